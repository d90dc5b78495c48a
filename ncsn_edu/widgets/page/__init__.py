"""Explorers in closed form, which run in the page itself: plain JavaScript beside this file, put together here.

One text serves JupyterLab, Notebook 7, VS Code and Colab, as an anywidget module, and a page without a kernel, as a
classic script. What Python draws is the picture of a stored notebook, and what the script is tested against.
"""

import html
import json
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as ipw
import matplotlib as mpl
import numpy as np
import traitlets

from ... import plots
from ..base import Explorer

FILES = ("scores.js", "draw.js", "controls.js", "score_field.js", "langevin.js")
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


class View(anywidget.AnyWidget):
    """An explorer in the page. `values` go both ways, `settings` to the page."""

    _esm = f"{source()}\n{MODULE}\n"
    settings = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)


class PageExplorer(Explorer):
    """An explorer whose live view runs in the page, which answers at once and needs the kernel for nothing.

    Its `controls` stand where the page's stand. After a move in the page, Python draws `picture` and `readout` anew
    only when they are asked for. Subclasses say in `_fixed` what their script needs beside the values.
    """

    view: View | None = None
    _stale = _by_page = False

    def settings(self) -> dict[str, Any]:
        """What the script is told, ready for JSON: its controls, which start as they are now, and its colours."""
        controls = [_described(name, control, self.values[name]) for name, control in self.controls.items()]
        names = {"explorer": type(self).__name__, "alt": self._alt()}
        return {**names, "controls": controls, "fixed": self._fixed(), "look": _look()}

    def _fixed(self) -> dict[str, Any]:
        raise NotImplementedError

    def _parts(self) -> list[ipw.Widget]:
        for widget in (*self.controls.values(), self.rows, self.picture, self.readout):
            widget.close()  # they live on without the page, which has its own
        self.view = View(settings=self.settings(), values=self.values)
        self.view.observe(self._moved, names="values")
        return [self.view]

    def _moved(self, change: Any) -> None:
        """Follow the page."""
        if change["new"] == self.values:
            return
        self._by_page = True
        try:
            self.set(**change["new"])
        finally:
            self._by_page = False

    def _changed(self, _: Any = None) -> None:
        if self._by_page:
            self._stale = True
            return
        super()._changed(_)
        if self.view is not None:
            self.view.values = self.values

    def _catch_up(self) -> None:
        if self._stale:
            self._stale = False
            self._changed()

    @property
    def picture(self) -> ipw.Image:
        """The picture for these values, drawn by Matplotlib."""
        self._catch_up()
        return self._picture

    @picture.setter
    def picture(self, image: ipw.Image) -> None:
        self._picture = image

    @property
    def readout(self) -> ipw.HTML:
        """The line of numbers for these values, computed by the package."""
        self._catch_up()
        return self._readout

    @readout.setter
    def readout(self, line: ipw.HTML) -> None:
        self._readout = line


def _described(name: str, control: ipw.Widget, value: Any) -> dict[str, Any]:
    """A control in the script's words."""
    about = {"name": name, "label": control.description, "start": value}
    if isinstance(control, ipw.Checkbox):
        return {**about, "kind": "check"}
    if isinstance(control, ipw.Dropdown):
        return {**about, "kind": "choice", "options": list(control.options)}
    kind = "log" if isinstance(control, ipw.FloatLogSlider) else "linear"
    return {**about, "kind": kind, "min": control.min, "max": control.max, "step": control.step}


def _look() -> dict[str, Any]:
    """The colours of plots.py; those of a density as bytes, from none to the highest."""
    names = {name: getattr(plots, name.upper()) for name in ("blue", "orange", "green", "red", "grey")}
    density = (mpl.colormaps[plots.DENSITY_MAP](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(int)
    return {**names, "arrow": plots.QUIVER["color"], "density": density.tolist()}
