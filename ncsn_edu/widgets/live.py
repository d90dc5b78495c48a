"""Training while one watches: a `for` loop over its states, with a picture that follows. This file does NOT train."""

from collections.abc import Callable, Iterable, Iterator

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from .. import plots
from ..bars import outputs_are_stored, progress
from ..checks import check_count
from ..devices import device_of, random_state_apart
from ..outputs import in_notebook, sharpness
from ..pictures import tile
from ..training import TrainState, mean_by_level
from .base import as_png, moving_mean
from .words import Words

Sample = Callable[[nn.Module], Tensor]


def watch(
    states: Iterable[TrainState],
    *,
    n_steps: int | None = None,
    every: int = 100,
    sample: Sample | None = None,
    window: int = 50,
) -> Iterator[TrainState]:
    """Pass the states of `train` through; in a notebook a picture shows the losses, anew every `every` steps.

    n_steps  the steps that there will be, where the states do not say so
    sample   (model) -> images (B, C, H, W): called with the averaged net, in eval mode; shown beside the losses
    window   the losses are averaged over so many steps

    What is trained does not depend on being watched: the global random state is put back after each sample. Losses are
    read from the device only when they are drawn. In a terminal there is a progress bar, and where outputs are stored
    or checked (see bars.py) nothing at all.
    """
    every, window = check_count("every", every), check_count("window", window)
    n_steps = getattr(states, "n_steps", None) if n_steps is None else check_count("n_steps", n_steps)
    if outputs_are_stored() or not in_notebook():
        return progress(states, total=n_steps, description="training")
    return _watch(states, View(n_steps, sample, window), every)


def _watch(states: Iterable[TrainState], view: "View", every: int) -> Iterator[TrainState]:
    pending: list[TrainState] = []  # of which the losses are still on the device
    view.open()
    state = None
    try:
        for state in states:
            pending.append(state)
            if len(pending) == every:
                view.add(pending)
                view.draw(state.ema)
                pending = []
            yield state
        if state is not None and pending:
            view.add(pending)
            view.draw(state.ema)
            pending = []
    finally:  # also where the loop breaks off, or training fails: its losses, without another sample
        if pending:
            view.add(pending)
            view.draw()
        view.close()


class View:
    """The picture: losses over the steps, losses by level, the newest samples; the parts that there are."""

    n_lines, n_points = 10, 1000  # at most: levels shown, and points of a curve

    def __init__(self, n_steps: int | None, sample: Sample | None, window: int) -> None:
        self.n_steps, self.sample, self.window = n_steps, sample, window
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.by_level: list[tuple[int, Tensor]] = []  # (step, mean loss at each level since the last one)
        self.samples: np.ndarray | None = None
        self.figure: Figure | None = None

    def open(self) -> None:
        """Show an empty picture, which changes from now on."""
        from IPython.display import display

        self.image, self.words = ipw.Image(format="png"), Words()
        self.draw()
        self.box = ipw.VBox([self.words, self.image])
        self.handle = display(self.box, display_id=True)

    def close(self) -> None:
        """Put a picture that stays in the place of the widget, which would be lost with its kernel."""
        from IPython.display import Image

        size = {"width": int(self.image.width), "height": int(self.image.height)} if sharpness() > 1 else {}
        self.handle.update(Image(data=self.image.value, alt=self.alt(), **size))
        for widget in (self.box, self.image, self.words):
            widget.close()

    def alt(self) -> str:
        """What the picture shows, in words."""
        if not self.losses:
            return "Losses of training over its steps: there are none yet."
        return (
            f"Losses of training over its steps, the last of which is {self.steps[-1]}: the newest mean is "
            f"{self.mean_losses()[-1]:.4g}."
        )

    def add(self, states: list[TrainState]) -> None:
        """Read the losses of these states from the device: one transfer for all of them."""
        self.steps += [state.step for state in states]
        self.losses += torch.stack([state.losses.mean() for state in states]).tolist()
        if states[-1].level is not None:
            losses, levels = (torch.cat([getattr(s, name) for s in states]).cpu() for name in ("losses", "level"))
            self.by_level.append((states[-1].step, mean_by_level(losses, levels, int(levels.max()) + 1)))

    def draw(self, model: nn.Module | None = None) -> None:
        """Draw what there is by now; with samples of the model, if there is one."""
        if model is not None and self.sample is not None:
            self.samples = tile(_undisturbed(self.sample, model)).numpy()
        parts = [self._draw_losses]
        if self.by_level:
            parts.append(self._draw_levels)
        if self.sample is not None:
            parts.append(self._draw_samples)
        with plots.style():
            scale = sharpness()
            figure = Figure(figsize=(3.1 * max(len(parts), 2), 2.9), dpi=100 * scale, layout="constrained")
            FigureCanvasAgg(figure)
            for ax, part in zip(np.atleast_1d(figure.subplots(1, len(parts))), parts, strict=True):
                part(ax)
            figure.canvas.draw()
            picture = as_png(figure)
        self.figure = figure
        width, height = (pixels // scale for pixels in figure.canvas.get_width_height())
        self.image.width, self.image.height, self.image.value = str(width), str(height), picture
        self.words.names = {"img": self.alt()}

    def _draw_losses(self, ax: Axes) -> None:
        of = f" of {self.n_steps}" if self.n_steps else ""
        ax.set(title=f"step {self.steps[-1] if self.steps else 0}{of}", xlabel="step")
        if self.n_steps:
            ax.set_xlim(0, max([self.n_steps, *self.steps[-1:]]))
        mean = self.mean_losses()
        if len(mean):
            step = np.array(self.steps[-len(mean) :])
            thin = slice(None, None, -(-len(mean) // self.n_points))
            ax.plot(step[thin], mean[thin], color=plots.ORANGE)
            ax.set_ylabel(f"loss, mean of {min(self.window, len(self.losses))} steps: {mean[-1]:.4g}")

    def mean_losses(self) -> np.ndarray:
        """Means of the losses over the window, of fewer while there are fewer."""
        return moving_mean(self.losses, min(self.window, len(self.losses))) if self.losses else np.empty(0)

    def _draw_levels(self, ax: Axes) -> None:
        n_levels = max(len(means) for _, means in self.by_level)
        values = torch.full((len(self.by_level), n_levels), torch.nan)
        for row, (_, means) in zip(values, self.by_level, strict=True):
            row[: len(means)] = means
        shown = np.unique(np.linspace(0, n_levels - 1, min(n_levels, self.n_lines)).round().astype(int))
        for level in shown:
            colour = colormaps["viridis"](level / max(n_levels - 1, 1))
            label = f"{level + 1}" if level in (shown[0], shown[-1]) else None
            ax.plot([step for step, _ in self.by_level], values[:, level], color=colour, marker=".", label=label)
        ax.set(title="by level", xlabel="step", yscale="log" if values.nan_to_num(1.0).min() > 0 else "linear")
        ax.legend(title="level", fontsize=8)

    def _draw_samples(self, ax: Axes) -> None:
        if self.samples is not None:
            ax.imshow(self.samples, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title("samples")


def _undisturbed(sample: Sample, model: nn.Module) -> Tensor:
    """A sample, with the model in eval mode, that leaves the model's mode and the global random state as they were."""
    training = model.training
    try:
        with random_state_apart(device_of(model)), torch.no_grad():
            return sample(model.eval())
    finally:
        model.train(training)
