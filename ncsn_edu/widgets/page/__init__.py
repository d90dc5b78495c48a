"""Explorers in closed form, which run in the page itself: plain JavaScript beside this file, put together here.

One text serves every front end that knows anywidget (tried: JupyterLab 4.6, Notebook 7.6), and, as a classic script, a
page without a kernel. What Python draws is the picture of a stored notebook, and what the script is tested against.
"""

import html
import json
import threading
from functools import cache
from pathlib import Path
from typing import Any, cast

import anywidget
import ipywidgets as ipw
import matplotlib as mpl
import numpy as np
import torch
import traitlets

from ... import plots
from ...distributions import GaussianMixture
from ..base import Explorer, RunningExplorer

LIBRARY = ("scores.js", "schedules.js", "samplers.js", "draw.js", "runs.js", "controls.js")
FILES = (
    *LIBRARY,
    "score_field.js",
    "langevin.js",
    "annealing.js",
    "ladder.js",
    "schedule.js",
    "ddim.js",
    "diffusion.js",
    "solver.js",
    "grid.js",
    "guidance.js",
)
MODULE = "export default { render: ({ model, el }) => show(el, model) };"
CLASSIC = (
    'if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", showAll);\nelse showAll();'
)


@cache
def source() -> str:
    """All of the JavaScript, which defines functions and does nothing yet."""
    return "\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in FILES)


def script() -> str:
    """A classic script for a page without a kernel: it brings the page's elements (see `element`) to life."""
    return f'(() => {{\n"use strict";\n{source()}\n{CLASSIC}\n}})();\n'


def element(explorer: "PageExplorer") -> str:
    """The HTML element in which `script` shows this explorer, as it stands now; its text is for pages without one."""
    settings = html.escape(json.dumps(explorer.settings()))
    return f'<div data-ncsn-explorer="{settings}"><noscript>This explorer needs JavaScript.</noscript></div>'


def described(mixture: GaussianMixture) -> dict[str, Any]:
    """A mixture in the plane, as the page's scripts have it."""
    c = mixture.covariances
    covariances = torch.stack([c[:, 0, 0], c[:, 0, 1], c[:, 1, 1]], 1).tolist()
    return {"weights": mixture.weights.tolist(), "means": mixture.means.tolist(), "covariances": covariances}


class View(anywidget.AnyWidget):
    """An explorer in the page. `values`, and those that it `ran` for, go both ways, `settings` to the page."""

    _esm = f"{source()}\n{MODULE}\n"
    settings = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    ran = traitlets.Dict().tag(sync=True)


class PageExplorer(Explorer):
    """An explorer whose live view runs in the page, which answers at once and needs the kernel for nothing.

    Its `controls` stand where the page's stand. After a move in the page, Python draws `picture` and `readout` anew
    only when they are asked for. Subclasses say in `_fixed` what their script needs beside the values.
    """

    view: View | None = None
    _stale = False
    _follows: int | None = None  # the thread in which it follows the page

    def settings(self) -> dict[str, Any]:
        """What the script is told, ready for JSON: its controls, which start as they are now, and its colours."""
        controls = [_control(name, control, self.values[name]) for name, control in self.controls.items()]
        names = {"explorer": type(self).__name__, "alt": self._alt()}
        return {**names, "controls": controls, "fixed": self._fixed(), "look": _look()}

    def _fixed(self) -> dict[str, Any]:
        raise NotImplementedError

    def _parts(self) -> list[ipw.Widget]:
        for widget in (*self.rows.children, self.rows, self.picture, self.readout):
            widget.close()  # they live on without the page, which has its own
        self.view = View(settings=self.settings(), values=self.values)
        self.view.observe(self._moved, names="values")
        return [self.view]

    def _moved(self, change: Any) -> None:
        """Follow the page."""
        if change["new"] == self.values:
            return
        self._follows = threading.get_ident()
        try:
            self.set(**{name: value for name, value in change["new"].items() if value != change["old"].get(name)})
        finally:
            self._follows = None
            if self.view is not None and self.view.values != self.values:  # a cell changed something meanwhile
                self.view.values = self.values

    @property
    def _by_page(self) -> bool:
        """Whether a change comes from the page: others may come meanwhile, from other threads."""
        return self._follows == threading.get_ident()

    def _changed(self, _: Any = None) -> None:
        if self._by_page:
            self._stale = True
            return
        super()._changed(_)
        if self.view is not None:
            self.view.values = self.values

    def _catch_up(self) -> None:
        if self._stale:
            self._stale = False  # a move while it is drawn makes it so again
            try:
                super()._changed()  # of which the page knows
            except BaseException:
                self._stale = True
                raise

    @property
    def picture(self) -> ipw.Image:
        """The picture for the page's values, drawn by Matplotlib once it is asked for."""
        self._catch_up()
        return super().picture

    @property
    def readout(self) -> ipw.HTML:
        """The line of numbers for the page's values, computed by the package once it is asked for."""
        self._catch_up()
        return super().readout


class RunningPageExplorer(PageExplorer, RunningExplorer):
    """An explorer of something that runs at a button, in the page. Its script has `steps`, which yields as `_steps`.

    What has come to its end in the page is run in Python as well, when `picture` or `readout` are asked for; and what
    was run in Python, in the page.
    """

    _run_of: dict[str, Any] | None = None  # the problem, as posed, that was run to its end here

    def settings(self) -> dict[str, Any]:
        """What the script is told, and what its button says."""
        return {**super().settings(), "action": self.action}

    def run(self) -> "RunningPageExplorer":
        """Run to the end, here and in the page. Returns the explorer."""
        super()._catch_up()
        super().run()
        self._run_of = self._posed
        if self.view is not None:
            self.view.ran = self.view.values
        return self

    def _changed(self, _: Any = None) -> None:
        if self.view is not None and not self._by_page and self.view.values != self.values:
            self.view.ran = {}
        super()._changed(_)

    def _catch_up(self) -> None:
        super()._catch_up()
        if self.view is None:
            return
        ran = self.view.ran == self.view.values
        if ran == (self._run_of is self._posed):
            return
        if ran:
            self.run()
        else:  # stopped, or moved and moved back
            self._run_of, self._posed, self._shown = None, {}, {}
            super()._changed()


def _control(name: str, control: ipw.Widget, value: Any) -> dict[str, Any]:
    """A control in the script's words."""
    about = {"name": name, "label": control.description, "start": value}
    if isinstance(control, ipw.Checkbox):
        return {**about, "kind": "check"}
    if isinstance(control, ipw.Dropdown):
        return {**about, "kind": "choice", "options": list(control.options)}
    kind = "log" if isinstance(control, ipw.FloatLogSlider) else "linear"
    return {**about, "kind": kind, "min": control.min, "max": control.max, "step": control.step}


def _look() -> dict[str, Any]:
    """The colours of plots.py; those of maps as bytes, from the lowest to the highest."""
    names = {name: getattr(plots, name.upper()) for name in ("blue", "orange", "green", "red", "purple", "grey")}
    return {**names, "arrow": plots.QUIVER["color"], "density": _colours(plots.DENSITY_MAP), "greys": _colours("Greys")}


def _colours(name: str) -> list[list[int]]:
    colours: np.ndarray = (mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(int)
    return cast(list[list[int]], colours.tolist())
