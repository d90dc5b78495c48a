"""Small nets that learn a score while one watches. This file does NOT define losses or training steps."""

import itertools
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor

from .. import plots
from ..core import Score, noise_like
from ..distributions import GaussianMixture
from ..losses import dsm, dsm_floor, explicit, implicit, sliced
from ..nets.mlp import ScoreMLP
from ..training import Objective, train
from .base import (
    RunningExplorer,
    in_red,
    int_slider,
    log_slider,
    moving_mean,
    put,
    relative_density,
    slider,
    still_arrows,
    wide,
)


class TrainingExplorer(RunningExplorer):
    """An explorer with a net that trains at a button, shows itself on the way, and is measured every `every` steps.

    A control changed puts a new net in place of the old one, except those named in `live`. The number of steps is one
    of those: it is that of the next training, and the net stays.
    Subclasses: `_pose` draws the problem, `_loss` says what is learned, `_look` draws what was learned so far.
    """

    mixture: GaussianMixture
    action, batch_size, lr, every = "Train", 128, 1e-3, 100
    live = frozenset({"n_steps"})

    def _steps(self) -> Iterator[None]:
        """Train a new net."""
        values = self.values
        self._renew()
        generator = torch.Generator().manual_seed(1)
        batches = (self._batch(generator) for _ in itertools.count())
        objective, n_steps = self._loss(generator, **values), values["n_steps"]
        try:
            for state in train(self.model, batches, objective=objective, n_steps=n_steps, lr=self.lr):
                self.losses.append(state.loss)
                if state.step % self.every == 0 or state.step == n_steps:
                    self._measure(**values)
                yield
        except FloatingPointError:
            self.failure = in_red("the loss is no longer a finite number")
            yield

    def _renew(self) -> None:
        with torch.random.fork_rng(devices=[]):  # the reader's own seed is not ours to change
            torch.default_generator.manual_seed(0)
            self.model = self._net(**self.values)
        self.planned = self.values["n_steps"]
        self.losses: list[float] = []
        self.measured: list[tuple[int, float]] = []
        self.failure = ""
        self._measure(**self.values)

    def _of(self, n_steps: int) -> int:
        """The number of steps of this training, which the control may have left since, or of the one to come."""
        return self.planned if self.losses else n_steps

    def _progress(self, n_steps: int) -> str:
        """How far the training came, in words."""
        of = self._of(n_steps)
        said = f"step {len(self.losses)} of <b>{of}</b>"
        if not self.losses:
            return f"{said}. Press Train"
        return said if of == n_steps else f"{said} (this net stays until Train makes one with {n_steps} steps)"

    def _when(self) -> str:
        """The step that was measured last, in words, where others followed."""
        step = self.measured[-1][0]
        return "" if step == len(self.losses) else f" at step {step}"

    def _batch(self, generator: torch.Generator) -> Tensor:
        """Clean points to learn from, (batch_size, 2)."""
        return self.mixture.sample(self.batch_size, generator=generator)

    def _score(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """What the net has learned, in the precision of a picture."""
        with torch.no_grad():
            return self.model(x.float(), sigma).double()

    def _measure(self, **values: Any) -> None:
        """Note the Fisher divergence to p_sigma on points of its own."""
        with torch.no_grad():
            divergence = explicit(self._score, self.held_out, self.mixture, values["sigma"]).mean().item()
        self.measured.append((len(self.losses), divergence))

    def _net(self, **values: Any) -> ScoreMLP:
        return ScoreMLP(2, [64, 64], sigma=values["sigma"])

    def _loss(self, generator: torch.Generator, *args: Any, **values: Any) -> Objective:
        raise NotImplementedError


class ObjectiveExplorer(TrainingExplorer):
    """The same small net under each objective of score matching: its field, and its loss minus the known constant."""

    mixture = GaussianMixture([[-1.6, -1.0], [1.6, -0.6], [0.0, 1.5]], 0.25, [0.2, 0.3, 0.5])
    objectives = ("explicit", "implicit", "sliced", "sliced, variance reduced", "denoising")
    extent, lr, window = 3.5, 3e-3, 50

    def __init__(
        self,
        *,
        objective: str = "denoising",
        sigma: float = 0.5,
        distribution: str = "rademacher",
        n_projections: int = 1,
        n_steps: int = 600,
    ) -> None:
        names = ("rademacher", "gaussian", "sphere")
        controls = {
            "objective": ipw.Dropdown(value=objective, options=self.objectives, description="objective", **wide()),
            "sigma": log_slider("noise sigma", sigma, -1.5, 0.5),
            "distribution": ipw.Dropdown(value=distribution, options=names, description="projections from", **wide()),
            "n_projections": int_slider("projections", n_projections, 1, 20),
            "n_steps": int_slider("steps", n_steps, 100, 3000, 100),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _draw(self) -> None:
        self.points, self.cells = plots.grid(self.extent, 90), plots.grid(self.extent * 0.94, 17)
        self.field, self.curve = self.figure.subplots(1, 2)
        plots.heatmap(self.field, torch.zeros(len(self.points)), extent=self.extent, vmin=0, vmax=1)
        self.truth = still_arrows(self.field, self.cells, label="truth", color=plots.BLUE, width=0.008, alpha=0.45)
        self.learned = still_arrows(self.field, self.cells, label="learned", color=plots.RED, width=0.0035)
        self.field.legend(loc="upper left", fontsize=9, frameon=True, framealpha=0.9)
        self.field.set(title="score of the noisy data", xlabel="$x_1$", ylabel="$x_2$")
        (self.losses_line,) = self.curve.plot([], [], color=plots.ORANGE, lw=1, label="loss minus its constant")
        (self.divergence,) = self.curve.plot([], [], color=plots.BLUE, marker=".", label="Fisher divergence")
        self.curve.set_yscale("symlog", linthresh=0.1)
        self.curve.set(title="objective", xlabel="step", ylim=(-3, 100))
        self.curve.axhline(0, color=plots.GREY, lw=0.6)
        self.curve.legend(loc="upper right", fontsize=9)

    def _pose(self, objective: str, sigma: float, distribution: str, n_projections: int, n_steps: int) -> None:
        generator = torch.Generator().manual_seed(2)
        clean = self.mixture.sample(4000, generator=generator).double()
        self.held_out = clean + sigma * noise_like(clean, generator)
        self.constant = self._constant(objective, clean, sigma, generator)
        log_p = self.mixture.log_prob(self.points, sigma)
        put(self.field.images[0], relative_density(log_p))
        self.truth.set_UVC(*self._arrows(self.mixture, sigma).T)
        used = f": {n_projections} {distribution}" if objective.startswith("sliced") else ""
        self.curve.title.set_text(objective + used)  # set_title would take its size from the reader's settings

    def _idle(self, **values: Any) -> Collection[str]:
        return () if values["objective"].startswith("sliced") else {"distribution", "n_projections"}

    def _constant(self, objective: str, clean: Tensor, sigma: float, generator: torch.Generator) -> float:
        """What is added to an objective to make it the Fisher divergence."""
        if objective == "explicit":
            return 0.0
        if objective == "denoising":
            return -dsm_floor(self.mixture, clean, sigma, generator=generator).mean().item() / sigma**2
        return explicit(nothing, self.held_out, self.mixture, sigma).mean().item()

    def _arrows(self, score: Score, sigma: float) -> np.ndarray:
        longest = self.mixture(self.cells, sigma).norm(dim=1).max().item()  # one scale for both fields
        return plots.arrows(score, self.cells, sigma, self.extent, 17, max_length=longest)

    def _loss(
        self,
        generator: torch.Generator,
        objective: str,
        sigma: float,
        distribution: str,
        n_projections: int,
        n_steps: int,
    ) -> Objective:
        def noisy(x: Tensor) -> Tensor:
            return x + sigma * noise_like(x, generator)

        slices = partial(
            sliced, sigma=sigma, n_projections=n_projections, distribution=distribution, generator=generator
        )
        losses: dict[str, Objective] = {
            "explicit": lambda s, x: explicit(s, noisy(x), self.mixture, sigma),
            "implicit": lambda s, x: implicit(s, noisy(x), sigma),
            "sliced": lambda s, x: slices(s, noisy(x), variance_reduced=False),
            "sliced, variance reduced": lambda s, x: slices(s, noisy(x)),
            "denoising": lambda s, x: dsm(s, x, sigma, generator=generator) / sigma**2,
        }
        return losses[objective]

    def _look(self, objective: str, sigma: float, distribution: str, n_projections: int, n_steps: int) -> str:
        self.learned.set_UVC(*self._arrows(self._score, sigma).T)
        self.curve.set_xlim(0, 1.05 * self._of(n_steps))
        mean = moving_mean(self.losses, self.window) + self.constant
        self.losses_line.set_data(np.arange(len(mean)) + self.window, mean)
        self.divergence.set_data(*np.array(self.measured).T)
        plural = "s" if n_projections > 1 else ""
        used = f", <b>{n_projections}</b> {distribution} projection{plural}" if objective.startswith("sliced") else ""
        divergence = self.measured[-1][1]
        latest = f"loss minus its constant {mean[-1]:.3f} (mean of {self.window} steps), " if len(mean) else ""
        return (
            f"<b>{objective}</b>{used}, noise sigma <b>{sigma:.3g}</b>: {self._progress(n_steps)}<br>"
            f"{self.failure or latest + f'Fisher divergence <b>{divergence:.3f}</b>{self._when()}'}; "
            f"before training {self.measured[0][1]:.3f}"
        )


class ErrorExplorer(TrainingExplorer):
    """Where a learned score is wrong: the error as a map and against the density, with a threshold on log p."""

    live = TrainingExplorer.live | {"threshold"}
    extent, every = 8.0, 250

    def __init__(
        self,
        *,
        distance: float = 14.0,
        weight: float = 0.2,
        sigma: float = 0.0,
        threshold: float = -20.0,
        n_steps: int = 1500,
    ) -> None:
        controls = {
            "distance": slider("distance of modes", distance, 0, 18, 0.5),
            "weight": slider("weight of left", weight, 0.02, 0.98, 0.02),
            "sigma": slider("noise sigma", sigma, 0, 8, 0.25),
            "threshold": slider("threshold, log p", threshold, -60, -2, 1),
            "n_steps": int_slider("steps", n_steps, 250, 10000, 250),
        }
        super().__init__(controls, size=(9.6, 3.7))

    def _draw(self) -> None:
        self.points, self.cells = plots.grid(self.extent, 60), plots.grid(self.extent * 0.94, 15)
        self.field, self.map, self.against = self.figure.subplots(1, 3)
        plots.heatmap(self.field, torch.zeros(len(self.points)), extent=self.extent, vmin=0, vmax=1)
        self.learned = still_arrows(self.field, self.cells, width=0.005, color=plots.RED)
        self.field.set(title="density, learned score", xlabel="$x_1$", ylabel="$x_2$")
        colours: dict[str, Any] = {"cmap": "viridis", "vmin": -2, "vmax": 1.5}
        plots.heatmap(self.map, torch.zeros(len(self.points)), extent=self.extent, **colours)
        self.figure.colorbar(self.map.images[0], ax=self.map, shrink=0.75)
        self.map.set(title="log10 of the error", xlabel="$x_1$")
        self.borders: list[Any] = []
        (self.dots,) = self.against.plot([], [], ls="", marker=".", ms=2, alpha=0.3, color=plots.GREY)
        (self.medians,) = self.against.plot([], [], color=plots.RED, lw=2, label="median")
        self.line = self.against.axvline(0, color=plots.ORANGE, lw=1.5, label="threshold")
        self.against.set(title="error against log p", xlabel="$\\log p$", yscale="log", ylim=(1e-3, 1e2), xlim=(-80, 0))
        self.against.legend(loc="lower left", fontsize=9)

    def _pose(self, distance: float, weight: float, sigma: float, threshold: float, n_steps: int) -> None:
        place = distance / 2 / 2**0.5
        self.mixture = GaussianMixture([[-place, -place], [place, place]], 1.0, [weight, 1 - weight])
        noisy = self.mixture.perturb(sigma)
        self.held_out = noisy.sample(4000, generator=torch.Generator().manual_seed(2)).double()
        self.log_p, self.held_out_log_p = noisy.log_prob(self.points), noisy.log_prob(self.held_out)
        put(self.field.images[0], relative_density(self.log_p))

    def _idle(self, **values: Any) -> Collection[str]:
        return () if values["distance"] else {"weight"}  # both modes are in one place

    def _loss(self, generator: torch.Generator, **values: Any) -> Objective:
        sigma = values["sigma"]
        return lambda s, x: sliced(s, x + sigma * noise_like(x, generator), sigma, generator=generator)

    def _look(self, distance: float, weight: float, sigma: float, threshold: float, n_steps: int) -> str:
        self.learned.set_UVC(*plots.arrows(self._score, self.cells, sigma, self.extent, 15).T)
        error = (self._score(self.points, sigma) - self.mixture(self.points, sigma)).norm(dim=1)
        put(self.map.images[0], error.log10().reshape(60, 60))
        low = self.log_p < threshold
        self._border(threshold)
        self.dots.set_data(self.log_p.numpy(), error.numpy())
        edges = torch.arange(-80, 2, 2.0, dtype=torch.float64)
        inside = [error[(self.log_p >= left) & (self.log_p < left + 2)] for left in edges]
        known = [(left + 1, part.median()) for left, part in zip(edges.tolist(), inside, strict=True) if len(part)]
        self.medians.set_data(*np.array(known).T)
        self.line.set_xdata([threshold, threshold])
        below, above = (error[part].median().item() if part.any() else None for part in (low, ~low))
        words = ["none" if median is None else f"<b>{median:.3g}</b>" for median in (below, above)]
        share = (self.held_out_log_p < threshold).double().mean()
        divergence = self.measured[-1][1]
        return (
            f"distance <b>{distance:.1f}</b>, left weight <b>{weight:.2f}</b>, noise sigma <b>{sigma:.2f}</b>: "
            f"{self._progress(n_steps)}; "
            f"{self.failure or f'mean squared error over the data {2 * divergence:.3f}{self._when()}'}<br>"
            f"log p below <b>{threshold:.0f}</b>: {low.double().mean():.1%} of the picture, {share:.2%} of the data; "
            f"median error there {words[0]}, elsewhere {words[1]}"
        )

    def _border(self, threshold: float) -> None:
        """The line where log p is at the threshold, in both maps."""
        for border in self.borders:
            border.remove()
        axis = np.linspace(-self.extent, self.extent, 60)
        level = [threshold] if self.log_p.min() < threshold < self.log_p.max() else []
        values, look = self.log_p.reshape(60, 60).numpy(), {"colors": plots.ORANGE, "linestyles": "-"}
        self.borders = [ax.contour(axis, axis, values, level, **look) for ax in (self.field, self.map) if level]


def nothing(x: Tensor, sigma: float | Tensor) -> Tensor:
    """A score of zero: what it costs explicitly is the constant of the implicit objectives."""
    return torch.zeros_like(x)
