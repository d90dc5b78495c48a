"""What every explorer is made of: controls, a picture that follows them, and a line of numbers.

The picture is drawn by Matplotlib's Agg canvas into a plain image widget, and its artists are changed in place: half
the delay of redrawing, no flicker, and only core ipywidgets, so that JupyterLab, Notebook 7, VS Code and Colab show it.
Where no kernel runs (GitHub, a static page) the stored notebook shows the picture as it was.
This file does NOT know what is explored.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from .. import plots


class Explorer(ipw.VBox):
    """Controls, a picture and a line of numbers. Subclasses draw once in `_draw`, then change artists in `_update`.

    `controls` are named widgets; `values` reads them. `readout` is the line under the picture.
    """

    def __init__(
        self, controls: dict[str, ipw.Widget], *, size: tuple[float, float], buttons: Sequence[ipw.Widget] = ()
    ):
        self.controls = controls
        with rc_context(plots.STYLE):
            self.figure = Figure(figsize=size, dpi=100, layout="constrained")
            FigureCanvasAgg(self.figure)
            self._draw()
        self.figure.canvas.draw()
        self.figure.set_layout_engine("none")  # lay out once: a picture that shifts is hard to compare
        width, height = self.figure.canvas.get_width_height()
        self.picture = ipw.Image(format="png", width=width, height=height)
        self.readout = ipw.HTML()
        for control in controls.values():
            control.observe(self._changed, names="value")
        rows = ipw.GridBox([*controls.values(), *buttons], layout=ipw.Layout(grid_template_columns="repeat(2, 400px)"))
        self._shown: dict[str, Any] = {}
        self._changed()
        super().__init__([rows, self.picture, self.readout])

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values by name, rounded: 0.2 comes back from a browser as 0.19999999999999998."""
        values = {name: control.value for name, control in self.controls.items()}
        return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}

    def set(self, **values: Any) -> "Explorer":
        """Set controls by name, as moving the sliders does: explorer.set(weight=0.5). Returns the explorer."""
        unknown = values.keys() - self.controls.keys()
        if unknown:
            raise ValueError(f"no control is called {', '.join(sorted(unknown))}: there are {', '.join(self.controls)}")
        for name, value in values.items():
            self.controls[name].value = value
        return self

    def _draw(self) -> None:
        raise NotImplementedError

    def _update(self, **values: Any) -> str:
        raise NotImplementedError

    def _changed(self, _: Any = None) -> None:
        if self.values != self._shown:  # a browser sends every slider's value once when it shows it
            self._shown = self.values
            self._show(self._update(**self.values))

    def _show(self, text: str) -> None:
        picture = self._png()  # takes most of the time: numbers and picture are to change together
        self.readout.value = f"<div class='ncsn-readout' style='font-size:110%'>{text}</div>"
        self.picture.value = picture

    def _png(self) -> bytes:
        self.figure.canvas.draw()
        buffer = io.BytesIO()
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[:, :, :3]
        Image.fromarray(pixels).save(buffer, "png", compress_level=1)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": repr(self), "image/png": base64.b64encode(self.picture.value).decode()}


def slider(label: str, value: float, low: float, high: float, step: float, **options: Any) -> ipw.FloatSlider:
    """A slider that answers while it moves."""
    return ipw.FloatSlider(
        on_grid(value, low, step), min=low, max=high, step=step, description=label, **(wide() | options)
    )


def log_slider(label: str, value: float, low: float, high: float, step: float = 0.05) -> ipw.FloatLogSlider:
    """A slider over powers of ten, from 10^low to 10^high."""
    options = wide() | {"readout_format": ".3g"}
    value = 10 ** on_grid(math.log10(value), low, step)
    return ipw.FloatLogSlider(value, base=10, min=low, max=high, step=step, description=label, **options)


def int_slider(label: str, value: int, low: int, high: int, step: int = 1) -> ipw.IntSlider:
    """A slider over whole numbers."""
    return ipw.IntSlider(on_grid(value, low, step), min=low, max=high, step=step, description=label, **wide())


def on_grid(value: float, low: float, step: float) -> float:
    """The value that a slider can stand at, nearest to this one: a browser would move it there anyway."""
    return low + step * round((value - low) / step)


def outside_note(ax: Axes) -> Text:
    """Words in the middle of a picture, to be made visible when all chains have left it."""
    look = {"color": plots.RED, "backgroundcolor": "white", "zorder": 9}
    return ax.text(0.5, 0.5, "all chains are outside", transform=ax.transAxes, ha="center", visible=False, **look)


def show_ends(x: torch.Tensor, dots: Line2D, outside: Text, extent: float) -> None:
    """Put the dots at the chains x (B, 2), and show the note if none of them is in the picture."""
    dots.set_data(*x.T.numpy())
    outside.set_visible(not (x.abs() < extent).all(1).any())


def wide() -> dict[str, Any]:
    """The common layout of sliders."""
    return {"style": {"description_width": "130px"}, "layout": ipw.Layout(width="390px")}
