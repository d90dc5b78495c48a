"""Chains of Langevin dynamics on mixtures, with and without annealing. This file does NOT train."""

from collections.abc import Iterator
from typing import Any, ClassVar

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.collections import LineCollection

from .. import plots
from ..distributions import GaussianMixture
from ..mcmc import annealed_langevin, langevin, mala
from ..metrics import mode_moments, mode_weights
from ..schedules import geometric, stable_alpha, stable_eps, stationary_variance, step_sizes
from .base import (
    NO_LADDER,
    LabelsInside,
    in_red,
    int_slider,
    log_slider,
    outside_note,
    show_ends,
    wide,
)
from .page import PageExplorer, RunningPageExplorer, described


class LangevinExplorer(PageExplorer):
    """Langevin chains on two unit Gaussians at (-2, 0) and (2, 0): step, length, start, with or without MALA."""

    mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 1.0, [0.2, 0.8])
    extent, n_chains, n_drawn, n_bars = 6.0, 600, 10, 48
    places: ClassVar = {"left mode": (-2.0, 0.0), "right mode": (2.0, 0.0), "one far point": (-5.5, 5.5)}
    starts = ("uniform", *places)

    def __init__(
        self, *, alpha: float = 0.1, n_steps: int = 100, start: str = "uniform", metropolis: bool = False
    ) -> None:
        controls = {
            "alpha": log_slider("step alpha", alpha, -2.5, 1, 0.05),
            "n_steps": int_slider("steps", n_steps, 10, 500, 10),
            "start": ipw.Dropdown(value=start, options=list(self.starts), description="start", **wide()),
            "metropolis": ipw.Checkbox(metropolis, description="Metropolis correction (MALA)", indent=False),
        }
        super().__init__(controls, size=(9.2, 4.2))

    def _fixed(self) -> dict[str, Any]:
        sizes = {"extent": self.extent, "nChains": self.n_chains, "nDrawn": self.n_drawn, "nBars": self.n_bars}
        return {"mixture": described(self.mixture), "places": self.places, **sizes}

    def _start(self, start: str, generator: torch.Generator) -> torch.Tensor:
        if start == "uniform":
            return (2 * torch.rand(self.n_chains, 2, generator=generator) - 1) * self.extent
        return torch.tensor(self.places[start]).repeat(self.n_chains, 1)

    def _draw(self) -> None:
        self.field, self.histogram = self.figure.subplots(1, 2)
        plots.density(self.field, self.mixture.log_prob, extent=self.extent)
        self.paths = self.field.add_collection(LineCollection([], lw=0.8, alpha=0.8, colors=plots.GREEN))
        (self.dots,) = self.field.plot([], [], ls="", marker=".", ms=3, alpha=0.6, color=plots.ORANGE)
        self.outside = outside_note(self.field)
        self.field.set(title="chains: paths of ten, ends of all", xlabel="$x_1$", ylabel="$x_2$")
        edges = np.linspace(-self.extent, self.extent, self.n_bars + 1)
        self.bars = self.histogram.stairs(
            np.zeros(self.n_bars), edges, fill=True, color=plots.ORANGE, alpha=0.6, label="chains"
        )
        first = GaussianMixture(self.mixture.means[:, :1], 1.0, self.mixture.weights)
        axis = torch.linspace(-self.extent, self.extent, 300, dtype=torch.float64)
        self.histogram.plot(axis.numpy(), first.log_prob(axis[:, None]).exp().numpy(), color=plots.BLUE, label="truth")
        self.histogram.set(title="first coordinate at the end", xlabel="$x_1$", ylim=(0, 0.5), xlim=(-6, 6))
        self.histogram.legend(loc="upper left")

    def _update(self, alpha: float, n_steps: int, start: str, metropolis: bool) -> str:
        generator = torch.Generator().manual_seed(0)
        x = self._start(start, generator)
        settings: dict[str, Any] = {"alpha": alpha, "n_steps": n_steps, "generator": generator}
        if metropolis:
            states = mala(self.mixture.log_prob_and_score, x, **settings)
        else:
            states = langevin(self.mixture, x, **settings)
        path, accepted, failure = [x], [], ""
        try:
            for state in states:
                path.append(state.x)
                if state.accepted is not None:
                    accepted.append(state.accepted)
        except FloatingPointError:
            failure = in_red(f"the chains ran away at step {len(path)}")
        self.paths.set_segments(list(torch.stack(path)[:, : self.n_drawn].transpose(0, 1).numpy()))
        show_ends(path[-1], self.dots, self.outside, self.extent)
        counts, edges = np.histogram(path[-1][:, 0].numpy(), self.bars.get_data().edges)
        self.bars.set_data(counts / self.n_chains / np.diff(edges))
        stable = "" if alpha < stable_alpha(1.0) or metropolis else f", {in_red('unstable')}"
        expected = 1.0 if metropolis else stationary_variance(alpha, 1.0)
        rate = f"acceptance rate <b>{torch.stack(accepted).float().mean():.3f}</b>; " if metropolis else ""
        found = mode_weights(path[-1], self.mixture)
        result = failure or (
            f"left mode <b>{found.weight[0]:.3f}</b> [{found.low[0]:.3f}, {found.high[0]:.3f}], truth 0.200<br>"
            f"variance of x<sub>2</sub> {path[-1][:, 1].var():.4g}, expected in the long run {expected:.4g}"
        )
        return f"step alpha <b>{alpha:.3g}</b>{stable}, <b>{n_steps}</b> steps; {rate}{result}"


class AnnealingExplorer(RunningPageExplorer):
    """Annealed Langevin dynamics on the mixture of Fig. 3: ladder and eps; stability before, result after the run."""

    mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    extent, n_chains, start_width = 9.0, 640, 8.0

    def __init__(
        self,
        *,
        sigma_1: float = 20.0,
        sigma_L: float = 0.1,
        n_levels: int = 10,
        n_steps_each: int = 100,
        eps: float = 0.003,
    ) -> None:
        controls = {
            "sigma_1": log_slider("sigma_1", sigma_1, 0, 1.6),
            "sigma_L": log_slider("sigma_L", sigma_L, -1.5, 0),
            "n_levels": int_slider("levels L", n_levels, 2, 30),
            "n_steps_each": int_slider("steps each T", n_steps_each, 5, 200, 5),
            "eps": log_slider("eps", eps, -5, 0),
        }
        super().__init__(controls, size=(9.4, 3.6))

    def _fixed(self) -> dict[str, Any]:
        sizes = {"extent": self.extent, "nChains": self.n_chains, "startWidth": self.start_width}
        return {"mixture": described(self.mixture), "noLadder": NO_LADDER, **sizes}

    def _draw(self) -> None:
        self.field, self.steps, self.shares = self.figure.subplots(1, 3)
        plots.density(self.field, self.mixture.log_prob, extent=self.extent)
        (self.dots,) = self.field.plot([], [], ls="", marker=".", ms=3, alpha=0.6, color=plots.ORANGE)
        self.outside = outside_note(self.field)
        self.field.set(title="chains at the end", xlabel="$x_1$", ylabel="$x_2$")
        (self.bars,) = self.steps.plot([], [], marker="o", ms=4, lw=1, color=plots.BLUE)
        self.steps.axhspan(1, 1e5, color=plots.RED, alpha=0.15, lw=0)
        self.steps.set(
            title="step / stable limit, by level", xlabel="level", yscale="log", ylim=(1e-6, 1e3), xlim=(0, 11)
        )
        (self.share,) = self.shares.plot([], [], marker=".", color=plots.ORANGE)
        self.shares.axhline(0.2, color=plots.BLUE, lw=1, ls="--")
        self.shares.set(title="share in the small mode", xlabel="level", ylim=(0, 1.05), xlim=(0, 11))
        for ax in (self.steps, self.shares):
            ax.xaxis.set_major_locator(LabelsInside())

    def _pose(self, sigma_1: float, sigma_L: float, n_levels: int, n_steps_each: int, eps: float) -> None:
        for ax in (self.steps, self.shares):
            ax.set_xlim(0, n_levels + 1)
        self.sigmas = geometric(sigma_1, sigma_L, n_levels) if sigma_1 > sigma_L else None
        if self.sigmas is None:
            self.bars.set_data([], [])
            self.prediction = in_red(NO_LADDER)
            return
        limits = torch.tensor([stable_alpha(1.0, sigma) for sigma in self.sigmas.tolist()])
        self.bars.set_data(range(1, n_levels + 1), (step_sizes(self.sigmas, eps) / limits).numpy())
        bound = stable_eps(self.sigmas, 1.0)
        self.prediction = (
            f"sigma {sigma_1:.3g} to {sigma_L:.3g}, L <b>{n_levels}</b>, T <b>{n_steps_each}</b>: "
            f"{n_levels * n_steps_each} evaluations<br>eps <b>{eps:.3g}</b> against a limit of {bound:.3g}: "
            f"{'stable' if eps < bound else in_red('unstable: with enough steps the chains run away')}"
        )

    def _renew(self) -> None:
        self.x: torch.Tensor | None = None
        self.in_small_mode: list[float] = []  # the share of the chains, after each level
        self.result = ""

    def _steps(self) -> Iterator[None]:
        """Run the chains down the ladder."""
        self._renew()
        if self.sigmas is None:
            return
        eps, n_steps_each = self.values["eps"], self.values["n_steps_each"]
        generator = torch.Generator().manual_seed(0)
        self.x = (2 * torch.rand(self.n_chains, 2, generator=generator) - 1) * self.start_width
        settings = {"eps": eps, "n_steps_each": n_steps_each, "generator": generator}
        try:
            for state in annealed_langevin(self.mixture, self.x, self.sigmas, **settings):
                self.x = state.x
                if state.step == n_steps_each - 1:
                    self.in_small_mode.append(mode_weights(state.x, self.mixture).weight[0].item())
                yield
            self.result = self._found(self.x)
        except (FloatingPointError, ValueError):
            self.result = in_red(f"the chains ran away at level {len(self.in_small_mode) + 1}")
        yield

    def _found(self, x: torch.Tensor) -> str:
        """Share and spread of the chains at the end, in words."""
        found = mode_weights(x, self.mixture)
        spread = mode_moments(x, self.mixture)[1].diagonal(dim1=1, dim2=2).mean(1).sqrt()
        return (
            f"small mode <b>{found.weight[0]:.3f}</b> [{found.low[0]:.3f}, {found.high[0]:.3f}], truth 0.200; "
            f"std of the modes {spread[0]:.2f} and {spread[1]:.2f}, truth 1.00"
        )

    def _look(self, sigma_1: float, sigma_L: float, n_levels: int, n_steps_each: int, eps: float) -> str:
        self.share.set_data(range(1, len(self.in_small_mode) + 1), self.in_small_mode)
        show_ends(self.x, self.dots, self.outside, self.extent)
        if self.sigmas is None:
            return self.prediction
        if self.x is None:
            return f"{self.prediction}. Press Run"
        return f"{self.prediction}.<br>" + (
            f"Result: {self.result}" if self.result else f"after level {len(self.in_small_mode)} of {n_levels}"
        )
