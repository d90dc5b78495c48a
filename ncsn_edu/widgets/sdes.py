"""Diffusion in continuous time, on a line where all densities are known: particles on their way, and what solvers err.

This file does NOT sample images or train.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise
from typing import Any, cast

import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor

from .. import plots
from ..core import last, noise_like
from ..diffusion import predictor_corrector, probability_flow, reverse_sde
from ..distributions import GaussianMixture
from ..metrics import quantiles
from ..sdes import SDE, VE, VP, SubVP
from .base import int_slider, wide
from .page import PageExplorer, RunningPageExplorer

SDES: dict[str, SDE] = {"VE": VE(0.02, 8.0), "VP": VP(), "sub-VP": SubVP()}
DATA = GaussianMixture(torch.tensor([[-1.5], [1.0]], dtype=torch.float64), 0.06, [0.3, 0.7])
WAYS = ("forward", "back: reverse SDE", "back: flow")


def points(sde: SDE, t: float, n: int) -> Tensor:
    """n points (n, 1) that are spread as x_t is: its quantiles, from below."""
    return sde.scale(t) * quantiles(DATA, (torch.arange(n) + 0.5) / n, sde.sigma(t))


def off(x: Tensor, sde: SDE, t: float) -> float:
    """How far points x (n, 1) are from the density of x_t, in its standard deviations: their Wasserstein distance."""
    exact = points(sde, t, len(x))
    return ((x.sort(0).values - exact).abs().mean() / exact.std()).item()


def density(sde: SDE, t: float, x: Tensor) -> Tensor:
    """p_t at x (n,), (n,)."""
    scale = sde.scale(t)
    return DATA.log_prob(x[:, None] / scale, sde.sigma(t)).exp() / scale


def _camel(name: str) -> str:
    """A name as the page's scripts have it: sigma_min is sigmaMin."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _on_the_line() -> dict[str, Any]:
    """The data and the SDEs, as the page's scripts have them."""
    own = {"means": DATA.means[:, 0].tolist(), "variance": DATA.covariances[0, 0, 0].item()}
    sdes = {name: {"kind": name, "tMin": sde.t_min, "priorStd": sde.prior_std} for name, sde in SDES.items()}
    for name, sde in SDES.items():
        sdes[name] |= {_camel(field.name): getattr(sde, field.name) for field in fields(cast(Any, sde))}
    return {"data": {"weights": DATA.weights.tolist(), **own}, "sdes": sdes}


class DiffusionExplorer(RunningPageExplorer):
    """Particles that become noise, or data again by the reverse SDE or the flow, with the exact density behind them."""

    alt = (
        "Left, paths of particles over time on the exact density, which is two bands near the data and one broad band "
        "at the end. Right, a histogram of all particles at the time that is reached, under the exact density's curve."
    )
    n_points, n_lines = 1000, 24

    def __init__(self, *, sde: str = "VP", way: str = WAYS[1], n_steps: int = 100) -> None:
        controls = {
            "sde": ipw.Dropdown(options=list(SDES), value=sde, description="SDE", **wide()),
            "way": ipw.Dropdown(options=WAYS, value=way, description="way", **wide()),
            "n_steps": int_slider("steps", n_steps, 5, 200, 5),
        }
        super().__init__(controls, size=(9.2, 4.0))

    def _fixed(self) -> dict[str, Any]:
        return {**_on_the_line(), "nPoints": self.n_points, "shown": self.shown}

    def _draw(self) -> None:
        self.paths, self.side = self.figure.subplots(1, 2, width_ratios=(2.6, 1))
        self.back = self.paths.imshow(
            np.zeros((2, 2)), origin="lower", aspect="auto", cmap="Greys", extent=(0, 1, -1, 1), vmin=0, vmax=1.6
        )
        colors = [plots.PURPLE if (i + 0.5) / self.n_lines < 0.3 else plots.ORANGE for i in range(self.n_lines)]
        self.lines = [self.paths.plot([], [], lw=0.9, color=color)[0] for color in colors]
        (self.rug,) = self.paths.plot([], [], "|", ms=9, color=plots.BLUE)
        self.paths.set(xlabel="$t$", ylabel="$x_t$", xlim=(0, 1), title="particles, coloured by where they start")
        self.hist = self.side.stairs(
            [0.0], [0.0, 1.0], orientation="horizontal", fill=True, color=plots.BLUE, alpha=0.4
        )
        (self.curve,) = self.side.plot([], [], color="black")
        self.side.set(xlabel="density", title="now")
        self.shown = [round((i + 0.5) * self.n_points / self.n_lines) for i in range(self.n_lines)]

    def _pose(self, sde: str, way: str, n_steps: int) -> None:
        self.sde = SDES[sde]
        self.times = self.sde.times(n_steps + 1)
        height = 2.2 * max(1.2, self.sde.prior_std)
        self.axis = torch.linspace(-height, height, 161, dtype=torch.float64)
        columns = [density(self.sde, t, self.axis) for t in torch.linspace(0.002, 1, 120, dtype=torch.float64).tolist()]
        self.back.set_data((torch.stack(columns, 1) / (columns[0].max() / 3)).sqrt())
        self.back.set_extent((0, 1, -height, height))
        self.rug.set_data(self.times, [-height] * len(self.times))
        for ax in (self.paths, self.side):
            ax.set_ylim(-height, height)
        if way == "forward":
            self.times = self.times[::-1]
        self.start = points(self.sde, self.times[0], self.n_points)

    def _renew(self) -> None:
        self.way_gone = [self.start]

    def _steps(self) -> Iterator[None]:
        self._renew()
        generator = torch.Generator().manual_seed(0)
        for x in self._run(generator):
            self.way_gone.append(x)
            yield

    def _run(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Where the particles are after each step."""
        way, n_steps, x = self.values["way"], self.values["n_steps"], self.start
        if way == "forward":
            for s, t in pairwise(self.times):
                factor, std = self.sde.kernel(s, t)
                x = factor * x + std * noise_like(x, generator)
                yield x
        elif way == "back: flow":
            yield from (state.x for state in probability_flow(DATA, x, self.sde, n_steps=n_steps))
        else:
            walk = reverse_sde(DATA, x, self.sde, n_steps=n_steps, generator=generator)
            yield from (state.x for state in walk)

    def _look(self, sde: str, way: str, n_steps: int) -> str:
        gone = len(self.way_gone)
        t, x = self.times[gone - 1], self.way_gone[-1]
        there = torch.stack([step[self.shown, 0] for step in self.way_gone])  # (steps, lines)
        for line, path in zip(self.lines, there.T, strict=True):
            line.set_data(self.times[:gone], path.numpy())
        counts, edges = np.histogram(x[:, 0], 60, (self.axis[0].item(), self.axis[-1].item()), density=False)
        width = edges[1] - edges[0]
        self.hist.set_data(counts / self.n_points / width, edges)
        exact = density(self.sde, t, self.axis)
        self.curve.set_data(exact.numpy(), self.axis.numpy())
        self.side.set_xlim(0, 1.3 * exact.max().item())
        return (
            f"<b>{sde}</b>, {way}, <b>{gone - 1}</b> of <b>{n_steps}</b> steps: t = {t:.3f}, sigma = "
            f"{self.sde.sigma(t):.3g}<br>distance of {self.n_points} particles to the exact density: "
            f"<b>{off(x, self.sde, t):.3f}</b> of its standard deviations"
        )


def _walk(x: Tensor, sde: SDE, n: int, generator: torch.Generator) -> Tensor:
    return last(reverse_sde(DATA, x, sde, n_steps=n, generator=generator))


def _corrected(x: Tensor, sde: SDE, n: int, generator: torch.Generator) -> Tensor:
    return last(predictor_corrector(DATA, x, sde, n_steps=n, generator=generator))


def _euler(x: Tensor, sde: SDE, n: int, generator: torch.Generator) -> Tensor:
    return last(probability_flow(DATA, x, sde, n_steps=n, solver="euler"))


def _heun(x: Tensor, sde: SDE, n: int, generator: torch.Generator) -> Tensor:
    return last(probability_flow(DATA, x, sde, n_steps=n, solver="heun"))


# name -> its run, evaluations of the score in a step, colour
SOLVERS: dict[str, tuple[Callable[[Tensor, SDE, int, torch.Generator], Tensor], int, str]] = {
    "reverse SDE": (_walk, 1, plots.ORANGE),
    "predictor-corrector": (_corrected, 2, plots.RED),
    "flow, Euler": (_euler, 1, plots.GREEN),
    "flow, Heun": (_heun, 2, plots.BLUE),
}


class SolverExplorer(PageExplorer):
    """Solvers against their steps: how far 500 points end from the exact density, and how they lie."""

    alt = (
        "Left, the error of four solvers against evaluations of the score on logarithmic axes: the flow by Heun falls "
        "most steeply, the random walks level off. Right, a histogram of the ends and the exact density of the data."
    )
    n_points = 500
    steps = (5, 10, 25, 60, 150)

    def __init__(self, *, sde: str = "VP", solver: str = "flow, Heun", n_steps: int = 20) -> None:
        controls = {
            "sde": ipw.Dropdown(options=list(SDES), value=sde, description="SDE", **wide()),
            "solver": ipw.Dropdown(options=list(SOLVERS), value=solver, description="solver", **wide()),
            "n_steps": int_slider("steps", n_steps, 5, 200, 5),
        }
        self.known: dict[str, dict[str, list[float]]] = {}  # SDE -> solver -> errors
        super().__init__(controls, size=(9.2, 4.0))

    def _fixed(self) -> dict[str, Any]:
        return {**_on_the_line(), "nPoints": self.n_points, "steps": self.steps}

    def _draw(self) -> None:
        errors, ends = self.figure.subplots(1, 2, width_ratios=(1.5, 1))
        self.curves = {
            name: errors.loglog([], [], ".-", lw=1, color=color, label=name)[0]
            for name, (_, _, color) in SOLVERS.items()
        }
        (self.here,) = errors.plot([], [], "o", ms=11, mfc="none", mew=2, color="black")
        errors.set(xlabel="evaluations of the score", ylabel="distance to the exact density")
        errors.set(xlim=(4, 500), ylim=(1e-5, 3))
        errors.legend(fontsize=8, loc="lower left")
        self.axis = torch.linspace(-3, 3, 241, dtype=torch.float64)
        self.hist = ends.stairs([0.0], [0.0, 1.0], fill=True, color=plots.BLUE, alpha=0.4)
        (self.exact,) = ends.plot([], [], color="black")
        ends.set(xlim=(-3, 3), ylim=(0, 1.8), xlabel="$x$ at the end", title="ends, and the exact density")

    def _errors(self, sde: str) -> dict[str, list[float]]:
        """Of each solver at each number of steps, computed once."""
        if sde not in self.known:
            self.known[sde] = {name: [self._end(sde, name, n)[1] for n in self.steps] for name in SOLVERS}
        return self.known[sde]

    def _end(self, name: str, solver: str, n_steps: int) -> tuple[Tensor, float]:
        """Where the points end, and how far that is from the density there."""
        sde, generator = SDES[name], torch.Generator().manual_seed(0)
        end = SOLVERS[solver][0](points(sde, sde.T, self.n_points), sde, n_steps, generator)
        return end, off(end, sde, sde.t_min)

    def _update(self, sde: str, solver: str, n_steps: int) -> str:
        for name, errors in self._errors(sde).items():
            self.curves[name].set_data([SOLVERS[name][1] * n for n in self.steps], errors)
        end, error = self._end(sde, solver, n_steps)
        evaluations = SOLVERS[solver][1] * n_steps
        self.here.set_data([evaluations], [error])
        counts, edges = np.histogram(end[:, 0], 60, (-3, 3))
        self.hist.set_data(counts / self.n_points / (edges[1] - edges[0]), edges)
        self.exact.set_data(self.axis.numpy(), density(SDES[sde], SDES[sde].t_min, self.axis).numpy())
        half = self._end(sde, solver, max(1, n_steps // 2))[1]
        order = f" (order {math.log2(half / error):.1f})" if solver.startswith("flow") else ""
        scatter = "" if order else f"; {self.n_points} points that are drawn are off by 0.03 or so in any case"
        return (
            f"<b>{sde}</b>, {solver}, <b>{n_steps}</b> steps, <b>{evaluations}</b> evaluations: distance to the exact "
            f"density <b>{error:.2g}</b> of its standard deviations<br>with half of the steps it is {half:.2g}, "
            f"{half / error:.1f} times as much{order}{scatter}"
        )
