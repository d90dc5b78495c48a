"""Ladders and schedules, to be designed: what techniques 1, 2 and 4 say of them, and where DDPM's signal dies.

This file does NOT sample images or train.
"""

import math
from collections.abc import Collection
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch

from .. import datasets, plots, schedules
from ..core import last
from ..diffusion import ddim, probability_flow
from ..distributions import GaussianMixture
from ..pictures import tile
from .base import NO_LADDER, in_red, int_slider, log_slider, outside_note, show_ends, slider, wide
from .page import PageExplorer, described

SIZES = {"points in the plane": 2, "8 x 8 digits": 64, "28 x 28 digits": 784, "32 x 32 x 3 photographs": 3072}
TICKS = (1, 1.5, 2, 3, 5, 10, 30, 100, 1000)  # of variances
EPS_ENDS = (1e-3, 1.9)  # in units of sigma_L^2
ABOVE: dict[str, Any] = {"fontsize": 8, "loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}  # of the axes, a legend
N_NORMS = 20_000  # of noise, whose share in the neighbour's shell is measured


class LadderExplorer(PageExplorer):
    """A noise ladder: how much neighbouring levels overlap, predicted and measured, and the step size that suits it."""

    alt = (
        "Left, the lengths of the noise at two neighbouring levels: two peaks, and the part of the lower one that lies "
        "in the band of the upper one. Right, the variance after a level against eps: it falls to a minimum near 1."
    )

    def __init__(self, *, sigma_1: float = 50.0, sigma_L: float = 0.01, n_levels: int = 232) -> None:
        controls = {
            "data": ipw.Dropdown(options=list(SIZES), value=list(SIZES)[-1], description="data", **wide()),
            "sigma_1": log_slider("first level", sigma_1, 0, 2),
            "sigma_L": log_slider("last level", sigma_L, -3, 0),
            "n_levels": int_slider("levels", n_levels, 2, 400),
            "n_steps_each": int_slider("steps each", 5, 1, 100),
        }
        super().__init__(controls, size=(9.2, 3.8))

    def _fixed(self) -> dict[str, Any]:
        marks = {"epsEnds": EPS_ENDS, "ticks": TICKS, "noLadder": NO_LADDER}
        return {"sizes": SIZES, "nLengths": N_NORMS, **marks}

    def _draw(self) -> None:
        self.shells, self.steps = self.figure.subplots(1, 2)
        self.band = self.shells.axvspan(0, 1, color=plots.BLUE, alpha=0.15, lw=0, label="within 3 std of it")
        self.outside = self.shells.stairs([0.0], [0.0, 1.0], fill=True, color=plots.GREY, alpha=0.35)
        look: dict[str, Any] = {"fill": True, "color": plots.ORANGE, "alpha": 0.5, "label": "measured, in the band"}
        self.inside = self.shells.stairs([0.0], [0.0, 1.0], **look)
        (self.upper,) = self.shells.plot([], [], color=plots.BLUE, label=r"$\sigma_{i-1}$, the level above")
        (self.lower,) = self.shells.plot([], [], color=plots.ORANGE, label=r"$\sigma_i$")
        self.shells.set(xlabel=r"length of the noise, in units of $\sigma_i$", ylabel="density", ylim=(0, 0.7))
        order = [self.upper, self.band, self.lower, self.inside]
        self.shells.legend(handles=order, **ABOVE, ncols=2)
        self.eps = np.geomspace(*EPS_ENDS, 120)  # in units of sigma_L^2
        (self.ladder,) = self.steps.loglog(self.eps, self.eps, color=plots.PURPLE, label="down the whole ladder")
        (self.ratio,) = self.steps.loglog(self.eps, self.eps, color=plots.RED, label="after one level (technique 4)")
        (self.best,) = self.steps.plot([1], [1], "o", color=plots.RED, label="its best eps")
        self.steps.axhline(1, color=plots.GREY, lw=0.8, ls="--")
        self.steps.set(xlabel=r"$\epsilon / \sigma_L^2$", ylabel=r"variance after a level, in $\sigma_i^2$")
        self.steps.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        self.steps.set_yticks([], minor=True)
        self.steps.legend(**ABOVE, ncols=2)

    def _update(self, data: str, sigma_1: float, sigma_L: float, n_levels: int, n_steps_each: int) -> str:
        if sigma_1 <= sigma_L:
            self._clear()
            return in_red(NO_LADDER)
        dim = SIZES[data]
        sigmas = schedules.geometric(sigma_1, sigma_L, n_levels, dtype=torch.float64)
        gamma = (sigmas[0] / sigmas[1]).item()
        measured, predicted = self._draw_shells(gamma, dim), schedules.ratio_overlap(gamma, dim)
        eps, at_best, below = self._draw_steps(sigmas, gamma, n_steps_each)
        half = schedules.levels_for_overlap(sigma_1, sigma_L, dim)
        settled = f"{below:.3f}" if below < math.inf else in_red("more at every level")
        return (
            f"<b>{n_levels}</b> levels from <b>{sigma_1:.3g}</b> to <b>{sigma_L:.3g}</b>, ratio {gamma:.4f}; overlap: "
            f"predicted <b>{predicted:.3f}</b>, measured <b>{measured:.3f}</b>; {half} levels overlap by one half<br>"
            f"<b>{n_steps_each}</b> steps each: best eps {eps:.3g}, with {at_best:.3f} of the variance that is wanted "
            f"after one level, {settled} down the ladder; {n_levels * n_steps_each} evaluations of the net"
        )

    def _clear(self) -> None:
        for line in (self.upper, self.lower, self.ladder, self.ratio, self.best):
            line.set_data([], [])
        for bars in (self.inside, self.outside):
            bars.set_data([0.0], [0.0, 1.0])
        self.band.set(width=0)

    def _draw_shells(self, gamma: float, dim: int) -> float:
        """Lengths of the noise of two neighbours, as technique 2 sees them and as they are; the share in the band."""
        middle, width = math.sqrt(dim), math.sqrt(0.5)
        low, high = max(0.0, gamma * (middle - 3 * width)), gamma * (middle + 3 * width)
        lengths = np.linspace(max(0.0, middle - 4), max(high, middle + 4), 300)
        for line, factor in ((self.upper, gamma), (self.lower, 1.0)):
            z = (lengths / factor - middle) / width
            line.set_data(lengths, np.exp(-(z**2) / 2) / (factor * width * math.sqrt(2 * math.pi)))
        self.band.set(x=low, width=high - low)
        self.shells.set_xlim(lengths[0], lengths[-1])
        norms = np.sqrt(np.random.default_rng(0).chisquare(dim, N_NORMS))
        edges = np.linspace(lengths[0], middle + 4, 41)
        heights, _ = np.histogram(norms, edges, density=True)
        within = (edges[:-1] >= low) & (edges[1:] <= high)
        self.inside.set_data(np.where(within, heights, 0), edges)
        self.outside.set_data(np.where(within, 0, heights), edges)
        return float(((norms > low) & (norms < high)).mean())

    def _draw_steps(self, sigmas: torch.Tensor, gamma: float, n_steps_each: int) -> tuple[float, float, float]:
        """Variances for every eps; technique 4's best eps, and what it gives after one level and down the ladder."""
        one, whole = schedules.variance_ratio, schedules.settled_variance_ratio
        steps = self.eps * sigmas[-1].item() ** 2
        for line, found in ((self.ratio, one), (self.ladder, whole)):
            line.set_data(self.eps, [min(found(sigmas, e, n_steps_each), 1e9) for e in steps])
        eps = schedules.eps_for_steps(sigmas, n_steps_each)
        at_best = one(sigmas, eps, n_steps_each)
        self.best.set_data([eps / sigmas[-1].item() ** 2], [at_best])
        self.steps.set_ylim(0.8, max(4.0, min(3 * gamma**2, 1000)))
        return eps, at_best, whole(sigmas, eps, n_steps_each)


class ScheduleExplorer(PageExplorer):
    """Schedules of DDPM: the signal that is left, signal against noise, and a digit on its way into noise."""

    times = torch.linspace(0, 1, 11).tolist()  # of T

    def __init__(self, *, schedule: str = "linear", n_steps: int = 1000, beta_n: float = 0.02) -> None:
        kinds = ["linear", "linear, falling", "cosine"]
        controls = {
            "schedule": ipw.Dropdown(options=kinds, value=schedule, description="schedule", **wide()),
            "n_steps": int_slider("steps T", n_steps, 10, 1000, 10),
            "beta_n": log_slider("largest beta (linear)", beta_n, -4, -0.05),
        }
        super().__init__(controls, size=(9.2, 4.6))

    def _fixed(self) -> dict[str, Any]:
        digit, noise = self.clean.flatten().tolist(), self.noise.flatten().tolist()
        return {"times": self.times, "digit": digit, "noise": noise}

    def _idle(self, **values: Any) -> Collection[str]:
        return ("beta_n",) if values["schedule"] == "cosine" else ()

    def _draw(self) -> None:
        axes = self.figure.subplot_mosaic([["left", "snr"], ["strip", "strip"]], height_ratios=[2, 1])
        self.left, self.snr, self.strip = axes["left"], axes["snr"], axes["strip"]
        paper, t = schedules.alphas_bar_of(schedules.ddpm_betas()), np.arange(1, 1001) / 1000
        grey: dict[str, Any] = {"color": plots.GREY, "lw": 1, "ls": "--", "label": "linear, to 0.02 in 1000 steps"}
        self.left.plot(t, paper, **grey)
        self.snr.semilogy(t, paper / (1 - paper), **grey)
        (self.kept,) = self.left.plot([], [], color=plots.BLUE)
        (self.ratio,) = self.snr.plot([], [], color=plots.BLUE)
        self.snr.axhline(1, color=plots.GREY, lw=0.8, ls=":")
        self.left.set(title=r"signal left, $\bar\alpha_t$", xlabel="$t / T$", xlim=(0, 1), ylim=(0, 1.03))
        self.snr.set(title=r"signal to noise, $\bar\alpha_t / (1 - \bar\alpha_t)$", xlabel="$t / T$", xlim=(0, 1))
        self.snr.set_ylim(1e-5, 1e5)
        self.left.legend(fontsize=9)
        self.clean = datasets.load("digits")[0][:1].float() / 255 * 2 - 1  # (1, 1, 8, 8) in [-1, 1], as DDPM has it
        self.noise = torch.randn(self.clean.shape, generator=torch.Generator().manual_seed(0))
        plots.images(self.strip, self.clean.expand(len(self.times), -1, -1, -1), columns=len(self.times))
        self.strip.set_axis_on()
        self.strip.spines[:].set_visible(False)
        self.strip.set_xticks(3.5 + 9 * np.arange(len(self.times)), [f"{time:.1f}" for time in self.times])
        self.strip.set(title="one digit, one draw of the noise", xlabel="$t / T$", yticks=[])

    def _update(self, schedule: str, n_steps: int, beta_n: float) -> str:
        linear = schedule != "cosine"
        betas = schedules.ddpm_betas(n_steps, min(1e-4, beta_n), beta_n) if linear else schedules.cosine_betas(n_steps)
        kept = schedules.alphas_bar_of(betas.flip(0) if schedule == "linear, falling" else betas)
        t = np.arange(1, n_steps + 1) / n_steps
        self.kept.set_data(t, kept.numpy())
        self.ratio.set_data(t, (kept / (1 - kept)).clamp(1e-12).numpy())
        left = torch.cat([torch.ones(1), kept.float()])[
            [round(time * n_steps) for time in self.times], None, None, None
        ]
        strip = tile((left.sqrt() * self.clean + (1 - left).sqrt() * self.noise + 1) / 2, len(self.times))
        self.strip.images[0].set_data(strip)
        half = int((kept < 0.5).int().argmax()) + 1 if kept[-1] < 0.5 else None
        bits = -0.5 * torch.log1p(-kept[-1]).item() / math.log(2)  # KL of x_T to N(0, 1), where x_0^2 = 1
        middle = (
            f"signal and noise are equal at t = {half}" if half else in_red("the signal never gets below the noise")
        )
        beta = f", largest beta <b>{beta_n:.3g}</b>" if linear else ""
        return (
            f"<b>{schedule}</b>, <b>{n_steps}</b> steps{beta}: {middle}<br>"
            f"at the end {kept[-1]:.3g} of the signal's variance is left, {bits:.3g} bits of a pixel of 1 or -1; "
            f"sigma goes from {schedules.sigmas_of_alphas_bar(kept[0]):.3g} to "
            f"{schedules.sigmas_of_alphas_bar(kept[-1]):.3g}"
        )


class DdimExplorer(PageExplorer):
    """DDPM against DDIM from the same starts: chains, coloured by the mode that the flow without noise leads to."""

    extent = 8.0
    n_chains = 400
    ends = (20.0, 0.05)  # of the ladder

    def __init__(self, *, n_steps: int = 20, eta: float = 1.0) -> None:
        controls = {
            "n_steps": int_slider("steps", n_steps, 2, 100),
            "eta": slider("eta", eta, 0, 1, 0.05),
            "seed": int_slider("seed of the noise", 0, 0, 9),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _fixed(self) -> dict[str, Any]:
        start, flow = ([float(f"{x:.7g}") for x in at.flatten().tolist()] for at in (self.start, self.flow))
        ladder = {"ends": self.ends, "extent": self.extent}
        return {"mixture": described(self.mixture), "start": start, "flow": flow, **ladder}

    def _idle(self, **values: Any) -> Collection[str]:
        return ("seed",) if values["eta"] == 0 else ()

    def _draw(self) -> None:
        self.mixture = GaussianMixture([[-4.0, -4.0], [4.0, 4.0]], 1.0, [0.2, 0.8])
        self.start = self.ends[0] * torch.randn(self.n_chains, 2, generator=torch.Generator().manual_seed(1))
        fine = schedules.geometric(*self.ends, 100)
        self.flow = last(probability_flow(self.mixture, self.start, fine))  # where each start leads without noise
        self.to_left = self.flow.sum(1) < 0
        ends, paths = self.figure.subplots(1, 2)
        plots.density(ends, self.mixture.log_prob, extent=self.extent)
        looks = ((plots.ORANGE, "the flow leads right"), (plots.PURPLE, "the flow leads left"))
        self.dots = [ends.plot([], [], ".", ms=3, color=color, label=label)[0] for color, label in looks]
        ends.legend(fontsize=9, loc="upper left", markerscale=3)
        self.outside = outside_note(ends)
        ends.set(title="where the chains end", xlabel="$x_1$", ylabel="$x_2$")
        self.shown = [i for side in (False, True) for i in (self.to_left == side).nonzero()[:4, 0].tolist()]
        colors = [looks[int(self.to_left[i])][0] for i in self.shown]
        self.lines = [paths.plot([], [], "-", lw=1, color=color)[0] for color in colors]
        paths.set(title="eight of them on the way", xlabel=r"$\sigma$", ylabel=r"$x_1 / \sqrt{1 + \sigma^2}$")
        paths.set(xscale="log", xlim=self.ends, ylim=(-7, 7))

    def _update(self, n_steps: int, eta: float, seed: int) -> str:
        sigmas = schedules.geometric(*self.ends, n_steps + 1)
        generator, path = torch.Generator().manual_seed(seed), [self.start]
        path += [state.x for state in ddim(self.mixture, self.start, sigmas, eta=eta, generator=generator)]
        scaled = torch.stack([x[self.shown, 0] for x in path], 1) / (1 + sigmas**2).sqrt()
        for line, way in zip(self.lines, scaled.numpy(), strict=True):
            line.set_data(sigmas.numpy(), way)
        end, left = path[-1], path[-1].sum(1) < 0
        for dots, side in zip(self.dots, (~self.to_left, self.to_left), strict=True):
            show_ends(end[side], dots, self.outside, self.extent)
        self.outside.set_visible(not (end.abs() < self.extent).all(1).any())
        spread = end[~left].std(0).mean().item() if not left.all() else math.nan
        return (
            f"<b>{n_steps}</b> steps, eta <b>{eta:.2f}</b>, seed <b>{seed}</b>: left mode "
            f"{left.double().mean():.2f} (truth 0.20), standard deviation of the right one {spread:.2f} (truth 1.00)"
            f"<br>{(left == self.to_left).double().mean():.0%} of the chains end in the mode that the flow leads to, "
            f"and on average {(end - self.flow).norm(dim=1).mean():.2f} from its end"
        )
