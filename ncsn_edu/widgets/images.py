"""Noise, sampling and inpainting on images, while one watches. This file does NOT train; the maths is elsewhere."""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import plots
from ..checks import check_count, check_ladder
from ..core import Score, State, denoise, noise_like
from ..devices import device_of
from ..diffusion import repaint
from ..distributions import Empirical
from ..mcmc import annealed_langevin, inpaint
from ..pictures import MASKS, preset_mask, tile
from ..schedules import geometric, karras, max_pairwise_distance, ratio_overlap, step_sizes
from .base import (
    COLUMN,
    NO_LADDER,
    Explorer,
    LabelsInside,
    RunningExplorer,
    between_0_and_1,
    in_red,
    int_slider,
    log_slider,
    put,
    wide,
)

PAINTED = "painted"
KNOWN = {  # what a mask leaves, in words
    "left": "left half known",
    "right": "right half known",
    "top": "upper half known",
    "bottom": "lower half known",
    "centre": "known around the centre",
    "random": "known at random",
    "text": "known around letters",
    PAINTED: "painted",
}


class NoiseLevelExplorer(Explorer):
    """One image at the noise levels of a ladder: near, the data as they are; far, noise in which all images are alike.

    images (N, C, H, W) in [0, 1]. The noise is one fixed draw, so that only sigma moves. The best guess is the mean of
    all images that the noisy one may have been (`Empirical.denoise`). The largest distance is that of the first 2000.
    """

    strip = 10  # pictures of the ladder in one row, at most

    def __init__(
        self, images: Tensor, *, sigma_1: float = 1.0, sigma_L: float = 0.01, n_levels: int = 10, level: int = 5
    ) -> None:
        self.images = between_0_and_1(images)
        self.guess = Empirical(self.images)
        self.noise = noise_like(self.images[0], torch.Generator().manual_seed(0))
        self.distance, self.signal = max_pairwise_distance(self.images[:2000]), self.images.std().item()
        controls = {
            "image": _chooser(self.images),
            "sigma_1": log_slider("sigma_1", sigma_1, -1, 2),
            "sigma_L": log_slider("sigma_L", sigma_L, -3, 0),
            "n_levels": int_slider("levels L", n_levels, 2, 100),
            "level": int_slider("level", level, 1, n_levels),
        }
        super().__init__(controls, size=(9.4, 4.1))

    def _draw(self) -> None:
        rows = self.figure.add_gridspec(2, 1, height_ratios=[2.3, 1])
        top, bottom = rows[0], rows[1]
        places = top.subgridspec(1, 4, width_ratios=[1, 1, 1, 1.25])
        shown = [_image(self.figure.add_subplot(places[i]), self.images[:1]) for i in range(3)]
        self.clean, self.noisy, self.mean = shown
        for image, title in zip(shown, ("clean", "noisy", "best guess"), strict=True):
            image.axes.set_title(title)
        self.ladder = self.figure.add_subplot(places[3], box_aspect=0.8)
        (self.dots,) = self.ladder.plot([], [], ls="", marker=".", color=plots.BLUE)
        (self.mark,) = self.ladder.plot([], [], ls="", marker="o", ms=10, mfc="none", mew=2, color=plots.RED)
        self.ladder.axhline(self.distance, color=plots.GREY, lw=1, ls="--", label="largest distance")
        self.ladder.axhline(self.signal, color=plots.GREY, lw=1, ls=":", label="std of the pixels")
        self.ladder.set(title="ladder", xlabel="level", yscale="log", ylim=(5e-4, 2e2), xlim=(0, 11))
        self.ladder.xaxis.set_major_locator(LabelsInside())
        self.ladder.minorticks_off()  # drawing ticks takes much of the time
        self.ladder.legend(loc="upper right", fontsize=8, frameon=True, framealpha=0.9)
        self.tiles = _image(self.figure.add_subplot(bottom), self.images[:1].repeat(self.strip, 1, 1, 1), self.strip)
        ax, (height, width) = self.tiles.axes, self.images.shape[2:]
        ax.set_axis_on()
        ax.spines[:].set_visible(False)
        ax.set_title("the image at levels of the ladder, sigma below")
        ax.set_yticks([])
        self.labels = ["0.01"] * self.strip
        ax.set_xticks((width + 1) * np.arange(self.strip) + (width - 1) / 2, self.labels, fontsize=9)
        ax.tick_params(length=0)
        self.frame = Rectangle((0, -0.5), width, height, fill=False, color=plots.RED, lw=2.5, clip_on=False)
        ax.add_patch(self.frame)

    def _update(self, image: int, sigma_1: float, sigma_L: float, n_levels: int, level: int) -> str:
        level = min(level, n_levels)
        self._move("level", max=n_levels, value=level)
        if sigma_1 <= sigma_L:
            return in_red(NO_LADDER)
        sigmas = geometric(sigma_1, sigma_L, n_levels)
        sigma, clean = sigmas[level - 1].item(), self.images[image]
        noisy = clean + sigma * self.noise
        for artist, picture in ((self.clean, clean), (self.noisy, noisy)):
            put(artist, tile(picture[None]))
        put(self.mean, tile(self.guess.denoise(noisy[None], sigma)))
        self.dots.set_data(range(1, n_levels + 1), sigmas.numpy())
        self.mark.set_data([level], [sigma])
        self.ladder.set_xlim(0, n_levels + 1)
        self._show_strip(clean, sigmas, level)
        gamma = (sigmas[0] / sigmas[1]).item()
        return (
            f"image {image}, level <b>{level}</b> of <b>{n_levels}</b>: noise sigma <b>{sigma:.3g}</b>, "
            f"signal to noise <b>{self.signal / sigma:.3g}</b><br>"
            f"sigma_1 <b>{sigma_1:.3g}</b>, sigma_L <b>{sigma_L:.3g}</b>: ratio gamma <b>{gamma:.3g}</b>, "
            f"neighbouring levels overlap by <b>{ratio_overlap(gamma, clean.numel()):.2g}</b>; "
            f"two images are at most <b>{self.distance:.3g}</b> apart"
        )

    def _show_strip(self, clean: Tensor, sigmas: Tensor, level: int) -> None:
        """The image at levels spread over the ladder, first and last included, and a frame around the nearest one."""
        shown = np.linspace(0, len(sigmas) - 1, min(len(sigmas), self.strip)).round().astype(int)
        row = torch.ones(self.strip, *clean.shape)
        row[: len(shown)] = clean + sigmas[shown].view(-1, 1, 1, 1) * self.noise
        put(self.tiles, tile(row, self.strip))
        labels = [f"{sigma:.2g}" for sigma in sigmas[shown].tolist()] + [""] * (self.strip - len(shown))
        if labels != self.labels:
            self.labels = labels
            self.tiles.axes.set_xticklabels(labels)
        self.frame.set_x((clean.shape[2] + 1) * np.abs(shown - (level - 1)).argmin() - 0.5)


class Frame(NamedTuple):
    """A state of a sampler as it is kept: a picture, and the numbers of the step that led to it."""

    number: int  # steps made, 0 at the start
    picture: np.ndarray  # uint8
    sigma: float = math.nan
    level: int = -1
    step: int = -1
    norm: float = math.nan  # root mean square of sigma * score


class SamplingExplorer(RunningExplorer):
    """Annealed Langevin dynamics on images as it happens; afterwards, or meanwhile, a slider goes back and forth.

    Some hundred states are kept, as small pictures, however many steps there are. The last step is `denoise`.
    """

    action, live, frames = "Sample", frozenset({"step"}), 120

    def __init__(
        self,
        score: Score,
        sigmas: Tensor,
        shape: Sequence[int],
        *,
        n: int = 16,
        eps: float = 6e-5,
        n_steps_each: int = 10,
        seed: int = 0,
    ) -> None:
        self.score, self.sigmas = score, check_ladder(sigmas)
        self.shape = (check_count("n", n), *shape)
        controls = _settings(self.sigmas, eps, n_steps_each, seed) | {"step": int_slider("step", 0, 0, 1)}
        super().__init__(controls, size=(9.2, 4.4))

    def _draw(self) -> None:
        places = self.figure.add_gridspec(2, 2, width_ratios=[1.25, 1])
        self.grid = _image(self.figure.add_subplot(places[:, 0]), torch.zeros(self.shape), vmax=255)
        self.grid.axes.set_title("samples")
        self.levels = self.figure.add_subplot(places[0, 1])
        (self.stairs,) = self.levels.plot([], [], color=plots.BLUE, drawstyle="steps-mid")
        (self.mark,) = self.levels.plot([], [], marker="o", ls="", color=plots.RED)
        low, high = self.sigmas[-1].item() / 1.5, self.sigmas[0].item() * 1.5
        self.levels.set(title="noise level sigma", yscale="log", ylim=(low, high))
        self.levels.minorticks_off()
        self.norms = self.figure.add_subplot(places[1, 1])
        (self.norm,) = self.norms.plot([], [], color=plots.ORANGE)
        (self.norm_mark,) = self.norms.plot([], [], marker="o", ls="", color=plots.RED)
        self.norms.axhline(1, color=plots.GREY, lw=1, ls="--")
        self.norms.set(title="size of sigma × score, by pixel", xlabel="step", yscale="log", ylim=(0.05, 20))
        self.norms.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        self.norms.minorticks_off()
        for ax in (self.levels, self.norms):
            ax.xaxis.set_major_locator(LabelsInside())

    def _pose(self, eps: float, n_steps_each: int, seed: int, step: int) -> None:
        self.total = len(self.sigmas) * n_steps_each + 1
        self.stride = math.ceil(self.total / self.frames)
        self.alphas = step_sizes(self.sigmas, eps).tolist()
        ladder = self.sigmas.repeat_interleave(n_steps_each)
        self.stairs.set_data(range(1, self.total + 1), [*ladder.tolist(), ladder[-1].item()])
        for ax in (self.levels, self.norms):
            ax.set_xlim(0, 1.02 * self.total)

    def _renew(self) -> None:
        self.history, self.failure, self._followed = [Frame(0, self._picture(self._start()[0]))], "", 0
        self._move("step", max=self.total, step=self.stride, value=0)

    def _start(self) -> tuple[Tensor, torch.Generator]:
        generator = torch.Generator(device_of(self.score)).manual_seed(self.values["seed"])
        return torch.rand(self.shape, generator=generator, device=generator.device), generator

    def _steps(self) -> Iterator[None]:
        eps, n_steps_each = self.values["eps"], self.values["n_steps_each"]
        self._renew()
        x, generator = self._start()
        settings = {"eps": eps, "n_steps_each": n_steps_each, "denoising": True, "generator": generator}
        try:
            for number, state in enumerate(annealed_langevin(self._listen, x, self.sigmas, **settings), start=1):
                if number % self.stride == 0 or number == self.total:
                    self._keep(number, state)
                yield
        except FloatingPointError:
            self.failure = _ran_away(f"the chains ran away after step {self.history[-1].number}")
        yield

    def _idle(self, **values: Any) -> Collection[str]:
        return {"step"} if len(self.history) == 1 else ()

    def _listen(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        self._last_score = self.score(x, sigma)
        return self._last_score

    def _keep(self, number: int, state: State) -> None:
        norm = (state.sigma * self._last_score).square().mean().sqrt().item()
        self.history.append(Frame(number, self._picture(state.x), state.sigma, state.level, state.step, norm))

    def _picture(self, x: Tensor) -> np.ndarray:
        return (255 * tile(x)).round().byte().numpy()

    def _refresh(self) -> None:
        if self.controls["step"].value >= self._followed:  # nobody has gone back: the slider goes along
            self._followed = self.history[-1].number
            self._move("step", value=self._followed)
        super()._refresh()

    def _look(self, eps: float, n_steps_each: int, seed: int, step: int) -> str:
        numbers = [frame.number for frame in self.history]
        if step > numbers[-1]:  # so far the chains have not come
            step = numbers[-1]
            self._move("step", value=step)
        frame = self.history[bisect_right(numbers, step) - 1]
        put(self.grid, frame.picture)
        self.mark.set_data([frame.number], [frame.sigma])
        self.norm.set_data(numbers, [frame.norm for frame in self.history])
        self.norm_mark.set_data([frame.number], [frame.norm])
        line = f"seed {seed}, eps <b>{eps:.3g}</b>, T <b>{n_steps_each}</b>: step <b>{frame.number}</b> of {self.total}"
        if frame.number == 0:
            line += ", uniform noise" + ("" if len(numbers) > 1 else ". Press Sample")
        else:
            alpha = f"step {frame.step + 1} of {n_steps_each}, alpha <b>{self.alphas[frame.level]:.3g}</b>"
            line += (
                f"; level <b>{frame.level + 1}</b> of {len(self.sigmas)}, sigma <b>{frame.sigma:.3g}</b>, "
                f"{alpha if frame.step < n_steps_each else 'the step that denoises'}"
                f"<br>sigma × score has a root mean square of <b>{frame.norm:.3g}</b> by pixel"
            )
        return line + self.failure


class InpaintingExplorer(RunningExplorer):
    """Completions of an image of which a part is missing: a preset mask, or one painted on the picture by mouse.

    images (N, C, H, W) in [0, 1]. The mouse needs ipycanvas; painting by sliders and a button, or by `paint`, does not.
    """

    action = "Complete"
    children: Any  # of ipywidgets, which has no types

    def __init__(
        self,
        score: Score,
        sigmas: Tensor,
        images: Tensor,
        *,
        eps: float = 6e-5,
        n_steps_each: int = 10,
        n_completions: int = 6,
        seed: int = 0,
    ) -> None:
        self._arrange(score, sigmas, images, _settings(check_ladder(sigmas), eps, n_steps_each, seed), n_completions)

    def _arrange(
        self, score: Score, sigmas: Tensor, images: Tensor, settings: dict[str, ipw.Widget], n_completions: int
    ) -> None:
        """What `settings` control belongs to the way of completing, all else to every way."""
        self.score, self.sigmas, self.images = score, check_ladder(sigmas), between_0_and_1(images)
        self.n = check_count("n_completions", n_completions)
        height, width = self.images.shape[2:]
        self.size = height, width
        names = [(KNOWN[mask], mask) for mask in (*MASKS, PAINTED)]
        masks = ipw.Dropdown(value=MASKS[0], options=names, description="mask", **wide())
        controls = {"image": _chooser(self.images), "mask": masks, **settings}
        clear = ipw.Button(description="Clear", icon="eraser")
        clear.on_click(lambda _: self.clear())
        self.easel = Easel(self)
        super().__init__(controls, size=(9.2, 3.0), buttons=[clear])
        words, rows, picture, readout = self.children
        words.names = words.names | {"canvas": "The image, to paint on by mouse or finger, or by what is below it."}
        rows.layout.grid_template_columns, rows.layout.flex = COLUMN, "1 1 300px"
        top = ipw.HBox([self.easel, rows], layout=ipw.Layout(align_items="flex-start", flex_flow="row wrap"))
        self.children = [words, top, picture, readout]

    def paint(self, row: int, col: int, radius: int, known: bool = False) -> "InpaintingExplorer":
        """Make the pixels within `radius` of a pixel missing, or known again. Returns the explorer."""
        with self._alone:
            self.touch(row, col, radius, known)
            return self.painted()

    def clear(self) -> "InpaintingExplorer":
        """Make every pixel known. Returns the explorer."""
        with self._alone:
            self.mask = torch.ones(1, *self.size)
            return self.painted()

    def touch(self, row: float, col: float, radius: float, known: bool) -> None:
        """Change the mask as `paint` does, in the middle of a stroke: the result is not yet asked for."""
        rows, cols = torch.arange(self.size[0])[:, None], torch.arange(self.size[1])
        near = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
        self.mask = torch.where(near, float(known), self.mask)

    def painted(self) -> "InpaintingExplorer":
        """The stroke is done: what was completed belongs to another mask. Returns the explorer."""
        with self._alone:
            self.stop()
            self._renew()
            self._move("mask", value=PAINTED)
            self._posed["mask"] = PAINTED
            self.easel.draw()
            self._refresh()
        return self

    def _draw(self) -> None:
        axes = self.figure.subplots(1, 3, width_ratios=[1, 1, 1.6])
        one, several = self.images[:1], torch.zeros(self.n, *self.images.shape[1:])
        self.columns = math.ceil(math.sqrt(1.5 * self.n))
        self.original, self.masked = (_image(ax, one) for ax in axes[:2])
        self.completions = _image(axes[2], several, self.columns)
        for ax, title in zip(axes, ("original", "known", "completions"), strict=True):
            ax.set_title(title)
        look = {"color": plots.GREY, "ha": "center", "transform": axes[2].transAxes}
        self.nothing = axes[2].text(0.5, 0.5, "press Complete", visible=False, **look)

    def _pose(self, image: int, mask: str, **settings: Any) -> None:
        self.image = self.images[image]
        if mask != PAINTED:
            self.mask = preset_mask(mask, self.size, generator=torch.Generator().manual_seed(0))
        self.easel.draw()

    def _renew(self) -> None:
        self.state: State | None = None
        self.failure = ""

    def _steps(self) -> Iterator[None]:
        self._renew()
        if self.mask.all():
            yield
            return
        generator = torch.Generator(device_of(self.score)).manual_seed(self.values["seed"])
        x = torch.rand(self.n, *self.image.shape, generator=generator, device=generator.device)
        try:
            for state in self._way(x, generator):
                self.state = state
                yield
        except FloatingPointError:
            self.failure = _ran_away("the chains ran away")
        yield

    def _way(self, x: Tensor, generator: torch.Generator) -> Iterator[State]:
        """States of the completions, from x (n, C, H, W) of uniform noise."""
        settings = {name: self.values[name] for name in ("eps", "n_steps_each")}
        settings |= {"image": self.image, "mask": self.mask, "generator": generator}
        return inpaint(self.score, x, self.sigmas, **settings)

    def _told(self) -> str:
        return f"eps <b>{self.values['eps']:.3g}</b>, T <b>{self.values['n_steps_each']}</b>"

    def _n_levels(self) -> int:
        return len(self.sigmas)

    def _look(self, image: int, mask: str, seed: int, **settings: Any) -> str:
        known = self.mask.bool()
        put(self.original, tile(self.image[None]))
        put(self.masked, _colours(self.image, known, 1.0))
        self.nothing.set_visible(self.state is None)
        x = torch.ones(self.n, *self.image.shape) if self.state is None else self.state.x.cpu()
        put(self.completions, tile(x, self.columns))
        line = (
            f"image {image}, mask: {KNOWN[mask]}, <b>{1 - self.mask.mean():.1%}</b> missing; "
            f"seed {seed}, {self._told()}"
        )
        if known.all():
            return f"{line}<br>nothing is missing: paint on the picture, or choose a mask"
        if self.state is None:
            return f"{line}{self.failure or '<br>Press Complete'}"
        known = known.expand_as(self.image)
        words = []
        if self.n > 1:
            spread = x.var(0)[~known].mean().sqrt()
            words.append(f"on missing pixels the completions spread by <b>{spread:.3g}</b> (root mean square)")
        if known.any():
            words.append(f"a known pixel changed by at most <b>{(x - self.image).abs()[:, known].max():.2g}</b>")
        else:
            words.append("no pixel is known")
        return (
            f"{line}; level <b>{self.state.level + 1}</b> of {self._n_levels()}, sigma <b>{self.state.sigma:.3g}</b>"
            f"<br>{'; '.join(words)}{self.failure}"
        )


class ResamplingExplorer(InpaintingExplorer):
    """An InpaintingExplorer that completes by `repaint`, with a net that takes any noise level.

    Of sigmas the first and the last count: between them lie n_levels, spaced as Karras et al. 2022 do.
    """

    def __init__(
        self,
        score: Score,
        sigmas: Tensor,
        images: Tensor,
        *,
        n_levels: int = 20,
        n_times: int = 10,
        n_completions: int = 6,
        seed: int = 0,
    ) -> None:
        settings = {
            "n_levels": int_slider("levels L", n_levels, 2, max(100, n_levels)),
            "n_times": int_slider("times each R", n_times, 1, max(20, n_times)),
            "seed": int_slider("seed", seed, 0, max(99, seed)),
        }
        self._arrange(score, sigmas, images, settings, n_completions)

    def _way(self, x: Tensor, generator: torch.Generator) -> Iterator[State]:
        first, lowest = self.sigmas[0].item(), self.sigmas[-1].item()
        settings = {"image": self.image, "mask": self.mask, "n_times": self.values["n_times"], "generator": generator}
        x = x + first * noise_like(x, generator)
        for state in repaint(self.score, x, karras(first, lowest, self._n_levels()), **settings):
            yield state
        x = torch.where(self.mask.to(x.device) > 0, self.image.to(x), denoise(self.score, state.x, lowest))
        yield state._replace(x=x)

    def _told(self) -> str:
        return f"L <b>{self.values['n_levels']}</b>, R <b>{self.values['n_times']}</b>"

    def _n_levels(self) -> int:
        return self.values["n_levels"]


class Easel(ipw.VBox):
    """The image of an InpaintingExplorer, enlarged, to paint on: missing pixels are covered by a colour.

    One paints by mouse or finger, or chooses a place by two sliders, where a frame appears, and presses a button.
    """

    side = 280  # screen pixels

    def __init__(self, explorer: InpaintingExplorer) -> None:
        self.explorer = explorer
        height, width = explorer.size
        self.scale = max(1, self.side // max(height, width))
        self.brush = ipw.ToggleButtons(
            options=[("missing", False), ("known", True)],
            tooltips=["paint pixels as missing", "paint pixels as known again"],
            style={"button_width": "128px"},
        )
        radius = max(height, width) // 12
        self.radius = ipw.IntSlider(radius, min=0, max=3 + 2 * radius, description="brush")
        self.radius.tooltip, self.radius.layout.width = "radius of the brush, in pixels", f"{self.side}px"
        self.row, self.column = self._place("row", height), self._place("column", width)
        self.here = ipw.Button(description="Paint here", icon="paint-brush")
        self.here.on_click(self.press)
        self.framed = False  # the place that the sliders say is shown: since one of them was moved
        self.place: tuple[float, float] | None = None  # of the mouse, while it is down
        parts = [self.brush, self.radius, self.row, self.column, self.here]
        try:
            from ipycanvas import Canvas
        except ImportError:
            self.canvas = None
            how = "To paint a mask by mouse, get ipycanvas: python -m pip install ipycanvas, and restart the kernel."
            super().__init__([ipw.HTML(how, layout=ipw.Layout(width=f"{self.side}px")), *parts])
            return
        width, height = width * self.scale, height * self.scale
        layout = ipw.Layout(width=f"{width}px", height=f"{height}px", min_height=f"{height}px")
        self.canvas = Canvas(width=width, height=height, layout=layout)
        self.canvas.on_client_ready(self.draw)  # a page that was loaded again begins with an empty canvas
        self.canvas.on_mouse_down(self.down)
        self.canvas.on_mouse_move(self.move)
        self.canvas.on_mouse_up(self.up)
        self.canvas.on_mouse_out(self.up)
        self.canvas.on_touch_start(lambda fingers: self.down(*fingers[0]))
        self.canvas.on_touch_move(lambda fingers: self.move(*fingers[0]))
        self.canvas.on_touch_end(self.up)
        self.canvas.on_touch_cancel(self.up)
        super().__init__([self.canvas, *parts])

    def _place(self, name: str, n: int) -> ipw.IntSlider:
        """A slider over the n rows, or columns, counted from 0 at the top, or left."""
        slider = ipw.IntSlider((n - 1) // 2, min=0, max=max(n - 1, 1), description=name)
        slider.layout.width = f"{self.side}px"
        slider.observe(self.point, names="value")
        return slider

    def point(self, _: Any = None) -> None:
        """A slider was moved: the frame goes to its place."""
        self.framed = True
        self.draw()

    def press(self, _: Any = None) -> None:
        """The button is pressed: paint where the sliders say, as a stroke does."""
        self.framed = True
        self.explorer.stop()
        self.explorer.paint(self.row.value, self.column.value, self.radius.value, self.brush.value)

    def down(self, x: float, y: float) -> None:
        """The mouse is pressed: a stroke begins."""
        self.explorer.stop()
        if self.framed:
            self.framed = False
            self.draw()
        self.place = x, y
        self.move(x, y)

    def move(self, x: float, y: float) -> None:
        """The mouse was moved: while it is down, paint along the straight line from where it was."""
        if self.place is None:
            return
        (x0, y0), before = self.place, self.explorer.mask
        n = math.ceil(math.hypot(x - x0, y - y0) / self.scale) or 1
        for part in np.linspace(0, 1, n + 1):
            row, col = (y0 + part * (y - y0)) // self.scale, (x0 + part * (x - x0)) // self.scale
            self.explorer.touch(row, col, self.radius.value, self.brush.value)
        self.place = x, y
        self.draw(self.explorer.mask != before)

    def up(self, *_: Any) -> None:
        """The mouse is released, or leaves the picture, or fingers do: the stroke ends."""
        if self.place is not None:
            self.place = None
            self.explorer.painted()

    def draw(self, changed: Tensor | None = None) -> None:
        """Draw all pixels, or only those that changed (1, H, W)."""
        if self.canvas is None:
            return
        known = self.explorer.mask.bool()
        colours = (255 * _colours(self.explorer.image, known, 0.5)).round().astype(np.uint8)
        rows, cols = np.nonzero(np.ones(known.shape[1:]) if changed is None else changed[0].numpy())
        if len(rows):
            corners = cols * self.scale, rows * self.scale
            self.canvas.fill_styled_rects(*corners, self.scale, self.scale, colours[rows, cols], 1)
        if self.framed:
            side = (2 * self.radius.value + 1) * self.scale
            corner = [(place.value - self.radius.value) * self.scale for place in (self.column, self.row)]
            self.canvas.stroke_style, self.canvas.line_width = plots.RED, 2
            self.canvas.stroke_rect(*corner, side, side)


def _chooser(images: Tensor) -> ipw.Widget:
    if len(images) > 1:
        return int_slider("image", 0, 0, len(images) - 1)
    return ipw.Dropdown(value=0, options=[0], description="image", **wide())  # a slider needs room to move


def _settings(sigmas: Tensor, eps: float, n_steps_each: int, seed: int) -> dict[str, ipw.Widget]:
    """Controls of annealed Langevin dynamics; steps that are stable lie in the middle, where eps is near sigma_L^2."""
    middle = round(2 * math.log10(sigmas[-1].item()))
    wanted = math.log10(eps)
    return {
        "eps": log_slider("eps", eps, min(middle - 2, math.floor(wanted)), max(middle + 2, math.ceil(wanted))),
        "n_steps_each": int_slider("steps each T", n_steps_each, 1, max(100, n_steps_each)),
        "seed": int_slider("seed", seed, 0, max(99, seed)),
    }


def _image(ax: Axes, x: Tensor, columns: int | None = None, **imshow: Any) -> AxesImage:
    return plots.images(ax, x, columns=columns, **imshow).images[0]


def _colours(image: Tensor, known: Tensor, cover: float) -> np.ndarray:
    """The image in colours (H, W, 3), with missing pixels covered, in full (1.0: nothing shines through) or in part."""
    pixels = tile(image[None]).expand(*image.shape[1:], 3)
    colour = torch.tensor(to_rgb(plots.ORANGE))
    covered = cover * colour + (1 - cover) * pixels if cover < 1 else colour.expand_as(pixels)
    return torch.where(known[0, :, :, None], pixels, covered).numpy()


def _ran_away(words: str) -> str:
    return "<br>" + in_red(f"{words}: the score is no longer finite. Is eps too large?")
