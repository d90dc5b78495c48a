"""Ladders and schedules, to be designed: what techniques 1, 2 and 4 say of them, and where DDPM's signal dies.

This file does NOT sample images or train.
"""

import math

import ipywidgets as ipw
import numpy as np
import torch

from .. import plots, schedules
from ..diffusion import ddim
from ..distributions import GaussianMixture
from .base import NO_LADDER, Explorer, in_red, int_slider, log_slider, outside_note, show_ends, slider, wide

SIZES = {"points in the plane": 2, "8 x 8 digits": 64, "28 x 28 digits": 784, "32 x 32 x 3 photographs": 3072}
N_NORMS = 20_000  # of noise, whose share in the neighbour's shell is measured


class LadderExplorer(Explorer):
    """A noise ladder: how much neighbouring levels overlap, predicted and measured, and the step size that suits it."""

    def __init__(self, *, sigma_1: float = 50.0, sigma_L: float = 0.01, n_levels: int = 232) -> None:
        controls = {
            "data": ipw.Dropdown(options=list(SIZES), value=list(SIZES)[-1], description="data", **wide()),
            "sigma_1": log_slider("first level", sigma_1, 0, 2),
            "sigma_L": log_slider("last level", sigma_L, -3, 0),
            "n_levels": int_slider("levels", n_levels, 2, 400),
            "n_steps_each": int_slider("steps each", 5, 1, 100),
        }
        super().__init__(controls, size=(9.2, 3.8))

    def _draw(self) -> None:
        self.shells, self.steps = self.figure.subplots(1, 2)
        (self.upper,) = self.shells.plot([], [], color=plots.BLUE, label=r"$\sigma_{i-1}$")
        (self.lower,) = self.shells.plot([], [], color=plots.ORANGE, label=r"$\sigma_i$")
        self.band = self.shells.axvspan(0, 1, color=plots.BLUE, alpha=0.15, lw=0)
        self.shells.set(title="lengths of the noise of two neighbours", xlabel=r"$\|z\|$ in units of $\sigma_i$")
        self.shells.legend(fontsize=9)
        self.eps = np.geomspace(1e-3, 1.9, 120)  # in units of sigma_L^2
        (self.ratio,) = self.steps.semilogx(self.eps, 0 * self.eps + 1, color=plots.RED)
        (self.best,) = self.steps.plot([1], [1], "o", color=plots.RED)
        self.steps.axhline(1, color=plots.GREY, lw=0.8, ls="--")
        self.steps.set(title=r"variance after a level, in $\sigma_i^2$", ylim=(0, 4), xlabel=r"$\epsilon / \sigma_L^2$")

    def _update(self, data: str, sigma_1: float, sigma_L: float, n_levels: int, n_steps_each: int) -> str:
        if sigma_1 <= sigma_L:
            return in_red(NO_LADDER)
        dim = SIZES[data]
        sigmas = schedules.geometric(sigma_1, sigma_L, n_levels, dtype=torch.float64)
        gamma = (sigmas[0] / sigmas[1]).item()
        middle, width = math.sqrt(dim), math.sqrt(0.5)
        low, high = gamma * (middle - 3 * width), gamma * (middle + 3 * width)
        lengths = np.linspace(max(0.0, middle - 4), max(high, middle + 4), 300)
        for line, factor in ((self.upper, gamma), (self.lower, 1.0)):
            z = (lengths / factor - middle) / width
            line.set_data(lengths, np.exp(-(z**2) / 2) / (factor * width * math.sqrt(2 * math.pi)))
        self.band.set(x=low, width=high - low)
        self.shells.set(xlim=(lengths[0], lengths[-1]), ylim=(0, 0.65))
        norms = np.sqrt(np.random.default_rng(0).chisquare(dim, N_NORMS))
        measured, predicted = ((norms > low) & (norms < high)).mean(), schedules.ratio_overlap(gamma, dim)
        self.ratio.set_ydata([schedules.variance_ratio(sigmas, e * sigma_L**2, n_steps_each) for e in self.eps])
        eps = schedules.eps_for_steps(sigmas, n_steps_each)
        at_best = schedules.variance_ratio(sigmas, eps, n_steps_each)
        self.best.set_data([eps / sigma_L**2], [min(at_best, 4)])
        half = schedules.levels_for_overlap(sigma_1, sigma_L, dim)
        return (
            f"<b>{n_levels}</b> levels from <b>{sigma_1:.3g}</b> to <b>{sigma_L:.3g}</b>, ratio {gamma:.4f}; overlap: "
            f"predicted <b>{predicted:.3f}</b>, measured <b>{measured:.3f}</b>; {half} levels overlap by one half<br>"
            f"<b>{n_steps_each}</b> steps each: best eps {eps:.3g}, with {at_best:.3f} of the variance that is wanted; "
            f"{n_levels * n_steps_each} evaluations of the net"
        )


class ScheduleExplorer(Explorer):
    """DDPM's schedules: the signal that is left, and a line of points on its way into noise."""

    times = (0.0, 0.1, 0.2, 0.4, 1.0)  # of T

    def __init__(self, *, schedule: str = "linear", n_steps: int = 1000, beta_n: float = 0.02) -> None:
        controls = {
            "schedule": ipw.Dropdown(options=["linear", "cosine"], value=schedule, description="schedule", **wide()),
            "n_steps": int_slider("steps T", n_steps, 10, 1000, 10),
            "beta_n": log_slider("last beta (linear)", beta_n, -4, -0.05),
        }
        super().__init__(controls, size=(9.2, 4.2))

    def _draw(self) -> None:
        axes = self.figure.subplot_mosaic([["left", "left", "snr", "snr"], ["strip"] * 4], height_ratios=[2, 1])
        self.left, self.snr, self.strip = axes["left"], axes["snr"], axes["strip"]
        (self.kept,) = self.left.plot([], [], color=plots.BLUE)
        self.left.set(title=r"signal left, $\bar\alpha_t$", xlabel="$t / T$", xlim=(0, 1), ylim=(0, 1.03))
        (self.ratio,) = self.snr.semilogy([1], [1], color=plots.RED)
        self.snr.axhline(1, color=plots.GREY, lw=0.8, ls="--")
        self.snr.set(title="signal to noise", xlabel="$t / T$", xlim=(0, 1), ylim=(1e-5, 1e5))
        generator = torch.Generator().manual_seed(0)
        self.clean = torch.where(torch.arange(300) % 2 == 0, -1.0, 1.0) + 0.1 * torch.randn(300, generator=generator)
        self.noise = torch.randn(300, generator=generator)
        self.dots = [self.strip.plot([], [], ".", ms=2, color=plots.PURPLE)[0] for _ in self.times]
        self.strip.set(title="two groups of points, at five times", ylim=(-4, 4), xlim=(-0.6, 4.6))
        self.strip.set_xticks(range(len(self.times)), [f"$t / T$ = {time:g}" for time in self.times])

    def _update(self, schedule: str, n_steps: int, beta_n: float) -> str:
        first = min(1e-4, beta_n)
        linear = schedule == "linear"
        betas = schedules.ddpm_betas(n_steps, first, beta_n) if linear else schedules.cosine_betas(n_steps)
        kept = schedules.alphas_bar_of(betas)
        t = np.arange(1, n_steps + 1) / n_steps
        self.kept.set_data(t, kept)
        self.ratio.set_data(t, (kept / (1 - kept)).clamp(1e-12))
        whole = torch.cat([torch.ones(1, dtype=kept.dtype), kept])
        spread = (torch.arange(300) % 29 / 29 - 0.5) * 0.6
        for place, (dots, time) in enumerate(zip(self.dots, self.times, strict=True)):
            left = whole[round(time * n_steps)]
            dots.set_data(place + spread, left.sqrt() * self.clean + (1 - left).sqrt() * self.noise)
        half = int((kept < 0.5).int().argmax()) + 1 if kept[-1] < 0.5 else None
        bits = 0.5 * (kept[-1] * 1.01 - kept[-1] - (1 - kept[-1]).log()) / math.log(2)  # KL of x_T to N(0, 1)
        middle = (
            f"signal and noise are equal at t = {half}" if half else in_red("the signal never gets below the noise")
        )
        beta = f", last beta <b>{beta_n:.3g}</b>" if linear else ""
        return (
            f"<b>{schedule}</b>, <b>{n_steps}</b> steps{beta}: {middle}<br>"
            f"at the end {kept[-1]:.3g} of the signal is left, {bits:.3g} bits a pixel, and sigma is "
            f"{schedules.sigmas_of_alphas_bar(kept[-1]):.3g}"
        )


class DdimExplorer(Explorer):
    """DDPM against DDIM from one start: steps, and how much of the noise is drawn anew."""

    extent = 8.0
    n_chains = 400

    def __init__(self, *, n_steps: int = 20, eta: float = 1.0) -> None:
        controls = {
            "n_steps": int_slider("steps", n_steps, 2, 100),
            "eta": slider("eta", eta, 0, 1, 0.05),
            "seed": int_slider("seed of the noise", 0, 0, 9),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _draw(self) -> None:
        self.mixture = GaussianMixture([[-4.0, -4.0], [4.0, 4.0]], 1.0, [0.2, 0.8])
        self.start = 20 * torch.randn(self.n_chains, 2, generator=torch.Generator().manual_seed(1))
        ends, paths = self.figure.subplots(1, 2)
        plots.density(ends, self.mixture.log_prob, extent=self.extent)
        (self.dots,) = ends.plot([], [], ".", ms=3, color=plots.ORANGE)
        self.outside = outside_note(ends)
        ends.set(title="where the chains end", xlabel="$x_1$", ylabel="$x_2$")
        self.lines = [paths.plot([], [], "-", lw=1, color=color)[0] for color in 4 * (plots.BLUE, plots.ORANGE)]
        paths.set(title="eight of them on the way", xlabel=r"$\sigma$", ylabel="$x_1$", ylim=(-30, 30), xscale="log")
        paths.set_xlim(20, 0.05)

    def _update(self, n_steps: int, eta: float, seed: int) -> str:
        sigmas = schedules.geometric(20.0, 0.05, n_steps + 1)
        generator, path = torch.Generator().manual_seed(seed), [self.start]
        path += [state.x for state in ddim(self.mixture, self.start, sigmas, eta=eta, generator=generator)]
        for i, line in enumerate(self.lines):
            line.set_data(sigmas, [x[i, 0] for x in path])
        show_ends(path[-1], self.dots, self.outside, self.extent)
        left = (path[-1].sum(1) < 0).double().mean().item()
        spread = path[-1][path[-1].sum(1) > 0].std(0).mean().item() if left < 1 else math.nan
        return (
            f"<b>{n_steps}</b> steps, eta <b>{eta:.2f}</b>, seed <b>{seed}</b>: left mode {left:.2f} (truth 0.20), "
            f"standard deviation of the right one {spread:.2f} (truth 1.00)"
        )
