"""What every explorer is made of: controls, a picture that follows them, and a line of numbers.

The picture is drawn by Matplotlib's Agg canvas into a plain image widget, and its artists are changed in place, so
that only those that change are drawn anew (redraw.py), and nothing flickers. It was tried in JupyterLab 4.6 and
Notebook 7.6, by keyboard, mouse and finger; VS Code and Colab know ipywidgets and anywidget as well. What a screen
reader needs beside that is in words.py.
Where no kernel runs (GitHub, a static page) the stored notebook shows the picture as it was. Explorers in closed form
run in the page instead: see page/.
This file does NOT know what is explored.
"""

import asyncio
import base64
import inspect
import math
import struct
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, cast

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import LayoutEngine
from matplotlib.lines import Line2D
from matplotlib.quiver import Quiver
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image

from .. import plots
from ..bars import outputs_are_stored
from ..checks import check_points
from ..outputs import in_notebook, sharpness
from .redraw import Redraw
from .words import Words

DEAD = (
    "If the controls do not answer or are not there (the page was loaded again, the kernel was started anew): "
    "run the cells above, then this one. If a JavaScript error is there instead: python -m pip install anywidget where "
    "Jupyter itself runs, and load the page again."
)
# Of controls, and of a box without margins: windows may be narrow.
COLUMN, WHOLE = "min(100%, 400px)", "calc(100% - 4px)"


class Explorer(ipw.VBox):
    """Controls, a picture and a line of numbers. Subclasses draw once in `_draw`, then change artists in `_update`.

    `controls` are named widgets; `values` reads them. `readout` is the line under the picture. `alt` is read aloud in
    the place of the picture in a stored notebook: the first line of the docstring, unless a subclass says more.
    """

    alt = ""
    words: Words | None = None  # where a kernel answers

    def __init__(
        self, controls: dict[str, ipw.Widget], *, size: tuple[float, float], buttons: Sequence[ipw.Widget] = ()
    ):
        self.controls = controls
        self._alone = threading.RLock()  # JupyterLab's messages come in a thread beside that of a run
        self._scale = self._sharp = sharpness()
        with plots.style(), rc_context({"axes.titley": 1}):  # as it is; and not sought anew among all ticks
            self.figure = Figure(figsize=size, dpi=100 * self._scale, layout="constrained")
            FigureCanvasAgg(self.figure)
            self._draw()
        if self.figure.axes:
            cast(LayoutEngine, self.figure.get_layout_engine()).execute(self.figure)
        self.figure.set_layout_engine("none")  # lay out once: a picture that shifts is hard to compare
        self._redraw = Redraw(self.figure)
        width, height = (pixels // self._scale for pixels in self.figure.canvas.get_width_height())
        self._image = ipw.Image(format="png", width=width, height=height, layout=ipw.Layout(max_width=WHOLE))
        self._line = ipw.HTML()
        for control in controls.values():
            control.observe(self._changed, names="value")
        columns = ipw.Layout(grid_template_columns=f"repeat(auto-fill, {COLUMN})", max_width="820px")  # two, or one
        self.rows = ipw.GridBox([*controls.values(), *buttons], layout=columns)
        self._shown: dict[str, Any] = {}
        self._changed()
        super().__init__(self._parts())

    def _parts(self) -> list[ipw.Widget]:
        """What is shown while a kernel runs, from top to bottom."""
        self.words = Words(names={"img": self._alt()})
        self.words.observe(self._seen, names="pixel_ratio")
        return [self.words, self.rows, self.picture, self.readout]

    @property
    def picture(self) -> ipw.Image:
        """The picture for these values, drawn by Matplotlib."""
        return self._image

    @property
    def readout(self) -> ipw.HTML:
        """The line of numbers for these values, computed by the package."""
        return self._line

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
        for name in self.controls:  # in this order: the range of one may depend on another before it
            if name in values:
                self.controls[name].value = values[name]
        return self

    def _draw(self) -> None:
        raise NotImplementedError

    def _update(self, *args: Any, **values: Any) -> str:
        raise NotImplementedError

    def _idle(self, **values: Any) -> Collection[str]:
        """Names of the controls that change nothing while the others stand at these values: they cannot be moved."""
        return ()

    def _changed(self, _: Any = None) -> None:
        with self._alone:
            if self.values != self._shown:  # a browser sends every slider's value once when it shows it
                self._shown = self.values
                try:
                    self._show(self._update(**self.values))
                except BaseException:  # interrupted, say: nothing is shown of these values
                    self._shown = {}
                    raise

    def _show(self, text: str) -> None:
        idle = self._idle(**self.values)
        for name, control in self.controls.items():
            if control.disabled != (name in idle):
                control.disabled = name in idle
        picture = self._png()  # takes most of the time: numbers and picture are to change together
        self._line.value = f"<div class='ncsn-readout' style='font-size:110%'>{text}</div>"
        self._image.value = picture

    def _move(self, name: str, **traits: Any) -> None:
        """Change a control from within, value and range at once; line and picture do not follow by themselves."""
        control = self.controls[name]
        self._shown = self.values | {name: traits.get("value", control.value)}
        if any(getattr(control, trait) != value for trait, value in traits.items() if trait in ("min", "max", "step")):
            self._renew_slider(name, traits)
            return
        with control.hold_sync(), control.hold_trait_notifications():
            for trait, value in traits.items():
                setattr(control, trait, value)

    def _renew_slider(self, name: str, traits: dict[str, Any]) -> None:
        """Put a slider with another range in its place: in a page, End goes to where the old one ended when made."""
        old = self.controls[name]
        kept = ("value", "min", "max", "step", "description", "style", "layout", "disabled")
        new = type(old)(**({trait: getattr(old, trait) for trait in kept} | traits))
        new.observe(self._changed, names="value")
        self.controls[name] = new
        self.rows.children = [new if child is old else child for child in self.rows.children]
        old.close()

    def _seen(self, change: dict[str, Any]) -> None:
        """On a screen where a sharp picture is no sharper, draw one with a quarter of its pixels: it comes sooner."""
        scale = self._sharp if change["new"] > 1 else 1
        with self._alone:
            if scale != self._scale:
                self._scale = scale
                self.figure.set_dpi(100 * scale)
                self._image.value = self._png()

    def _png(self) -> bytes:
        self._redraw.draw()
        return as_png(self.figure)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if in_notebook() and not outputs_are_stored():  # an output of its own: it outlives the widgets
            from IPython.display import HTML, display

            display(HTML(f"<small>{DEAD}</small>"))
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        still = base64.b64encode(self._still()).decode()
        about: dict[str, Any] = {"alt": self._alt()}
        if self._scale > 1:
            about |= {"width": int(self.picture.width), "height": int(self.picture.height)}
        return {**bundle, "text/plain": repr(self), "image/png": still}, {"image/png": about}

    def _alt(self) -> str:
        return self.alt or (inspect.getdoc(type(self)) or "").partition("\n")[0]

    def _still(self) -> bytes:
        """What a stored notebook shows: a PNG file."""
        return self.picture.value


class RunningExplorer(Explorer):
    """An explorer of something that runs at a button and shows itself on the way; pressed again, the button stops it.

    A control changed poses another problem and forgets what was run, except those named in `live`, which change the
    view only. Subclasses: `_pose` takes up the problem, `_renew` forgets, `_steps` runs from the beginning and yields
    wherever it can be shown or stopped, `_look` shows what there is so far.
    """

    action = "Run"  # what the button says
    live: frozenset[str] = frozenset()
    patience = 0.1  # seconds of work between two pictures, and between two looks for what the reader does

    def __init__(
        self, controls: dict[str, ipw.Widget], *, size: tuple[float, float], buttons: Sequence[ipw.Widget] = ()
    ) -> None:
        self.button = ipw.Button(description=self.action, button_style="primary", icon="play")
        self.button.on_click(lambda _: self.press())
        self._task: asyncio.Task[None] | None = None
        self._posed: dict[str, Any] = {}
        super().__init__(controls, size=size, buttons=[self.button, *buttons])
        self.run()

    def run(self) -> "RunningExplorer":
        """Run to the end, as the button does, and then show the result. Returns the explorer."""
        with self._alone:
            self.stop()
            for _ in self._steps():
                pass
            self._refresh()
        return self

    def press(self) -> None:
        """What the button does: start, or stop. Between steps the kernel is free for other messages."""
        if self._task:
            self.stop()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing to share this thread with: no notebook
            self.run()
        else:
            self._label("Stop", "stop", busy=True)
            self._task = loop.create_task(self._run_beside())

    def stop(self) -> None:
        """Stop where it is; what there is so far stays."""
        if self._task:
            self._task.cancel()
            self._ended()

    async def _run_beside(self) -> None:
        task, steps = asyncio.current_task(), self._steps()
        try:
            began = time.monotonic()
            while self._goes_on(task, steps):
                if time.monotonic() - began >= self.patience:
                    self._refresh()
                    await asyncio.sleep(0.02)
                    began = time.monotonic()
            self._refresh()
        finally:
            if self._task is task:  # not stopped, and perhaps started again, meanwhile
                self._ended()

    def _goes_on(self, task: "asyncio.Task[None] | None", steps: Iterator[None]) -> bool:
        """Take a step of the run, unless it was stopped or has come to its end."""
        with self._alone:
            return self._task is task and next(steps, self) is None

    def _ended(self) -> None:
        self._task = None
        self._label(self.action, "play", busy=False)

    def _label(self, text: str, icon: str, *, busy: bool) -> None:
        self.button.description, self.button.icon = text, icon
        if self.words is not None:
            self.words.busy = busy

    def _refresh(self) -> None:
        with self._alone:
            self._show(self._look(**self.values))

    def _update(self, *args: Any, **values: Any) -> str:
        problem = {name: value for name, value in values.items() if name not in self.live}
        if problem != self._posed:
            self.stop()
            self._posed = {}  # until it is: it may be interrupted
            self._pose(**values)
            self._renew()
            self._posed = problem
        return self._look(**self.values)

    def _pose(self, *args: Any, **values: Any) -> None:
        raise NotImplementedError

    def _renew(self) -> None:
        raise NotImplementedError

    def _steps(self) -> Iterator[None]:
        raise NotImplementedError

    def _look(self, *args: Any, **values: Any) -> str:
        raise NotImplementedError


def between_0_and_1(images: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) with C 1 or 3, in [0, 1], on the CPU."""
    images = check_points(images).detach().cpu().float()
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.numel():
        raise ValueError(f"images must have shape (N, 1 or 3, H, W), not {tuple(images.shape)}")
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"images must lie in [0, 1], but go from {images.min():.3g} to {images.max():.3g}: divide bytes by 255"
        )
    return images


def as_png(figure: Figure) -> bytes:
    """A figure of the Agg canvas as it was last drawn, as a PNG file (RGB).

    Rows are compressed as they are. Pillow tries five filters on each, which makes files of plots no smaller and takes
    as long again as everything else here.
    """
    drawn = Image.fromarray(np.asarray(cast(FigureCanvasAgg, figure.canvas).buffer_rgba()))
    rgb = np.asarray(drawn.convert("RGB"))  # NumPy itself would take as long as all of the compression
    height, width, _ = rgb.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # the byte before each row: no filter
    rows[:, 1:] = rgb.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of each of three colours
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


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


NO_LADDER = "sigma_1 must be larger than sigma_L: a ladder leads down"


def in_red(text: str) -> str:
    """A warning, as HTML for the line under the picture: a red line below it, as red words are too pale on white."""
    return f"<b style='border-bottom:2px solid {plots.RED}'>{text}</b>"


def relative_density(log_p: torch.Tensor) -> np.ndarray:
    """log p (n * n,) on a grid as a picture (n, n) of the density, which is 1 where it is largest."""
    side = math.isqrt(len(log_p))
    return (log_p - log_p.max()).exp().reshape(side, side).numpy()


def put(image: AxesImage, data: torch.Tensor | np.ndarray) -> None:
    """Show other data, (H, W) or (H, W, 3 or 4). Given those that are shown, Matplotlib would draw them anew."""
    data = np.asarray(data)
    if not np.array_equal(np.asarray(image.get_array()), data):
        image.set_data(data)


def still_arrows(ax: Axes, points: torch.Tensor, **look: Any) -> Quiver:
    """Arrows of no length at points (N, 2); `set_UVC` gives them theirs."""
    return ax.quiver(*points.T.numpy(), *np.zeros((2, len(points))), **(plots.QUIVER | look))


def moving_mean(values: Sequence[float], window: int) -> np.ndarray:
    """The mean of each `window` values in a row, (n - window + 1,); of none where there are fewer."""
    sums = np.cumsum([0.0, *values])
    return (sums[window:] - sums[:-window]) / window


class LabelsInside(MaxNLocator):
    """Ticks at whole numbers, but for those so near the right end of an axis that their labels would be cut off."""

    def __init__(self) -> None:
        super().__init__(nbins="auto", steps=[1, 2, 5, 10], integer=True)

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Places of the ticks, and a few beyond the limits."""
        ticks = np.asarray(super().tick_values(vmin, vmax))
        return cast(list[float], ticks[ticks <= vmin + 0.975 * (vmax - vmin)].tolist())


def outside_note(ax: Axes) -> Text:
    """Words in the middle of a picture, to be made visible when all chains have left it."""
    look: dict[str, Any] = {"color": plots.RED, "backgroundcolor": "white", "zorder": 9}
    return ax.text(0.5, 0.5, "all chains are outside", transform=ax.transAxes, ha="center", visible=False, **look)


def show_ends(x: torch.Tensor | None, dots: Line2D, outside: Text, extent: float) -> None:
    """Put the dots at the chains x (B, 2), if there are any; show the note if none of them is in the picture."""
    if x is None:
        dots.set_data([], [])
        outside.set_visible(False)
        return
    dots.set_data(*x.T.numpy())
    outside.set_visible(not (x.abs() < extent).all(1).any())


def wide() -> dict[str, Any]:
    """The common layout of sliders."""
    return {"style": {"description_width": "145px"}, "layout": ipw.Layout(width="390px", max_width=WHOLE)}
