"""A small net that learns the score of a circle, with noise or without: has the loss a lower bound, and where?

This file does NOT define losses or training steps.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import plots
from ..core import noise_like
from ..distributions import circle
from ..losses import explicit, implicit
from ..nets.mlp import ScoreMLP
from ..training import Objective
from .base import int_slider, moving_mean, slider, still_arrows
from .learning import TrainingExplorer, nothing


class ManifoldExplorer(TrainingExplorer):
    """Implicit score matching on a circle with noise of your choice: the learned field, and the loss with its bounds.

    The noise may be 0: then the data have no density, and the loss no lower bound.
    """

    extent, lr, every, window, longest = 1.7, 5e-3, 50, 50, 10.0

    def __init__(self, *, sigma: float = 0.2, n_steps: int = 600) -> None:
        controls = {
            "sigma": slider("noise sigma", sigma, 0, 0.5, 0.05),
            "n_steps": int_slider("steps", n_steps, 100, 2000, 100),
        }
        super().__init__(controls, size=(9.2, 4.2))

    def _draw(self) -> None:
        self.cells = plots.grid(self.extent * 0.94, 17)
        self.field, self.curve = self.figure.subplots(1, 2)
        (self.dots,) = self.field.plot([], [], ls="", marker=".", ms=3, alpha=0.5, color=plots.ORANGE)
        self.learned = still_arrows(self.field, self.cells)
        limits = (-self.extent, self.extent)
        self.field.set(xlim=limits, ylim=limits, aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
        self.field.set_title("data, learned score")
        (self.losses_line,) = self.curve.plot([], [], color=plots.BLUE, lw=1, label="loss")
        self.lowest_line = self.curve.axhline(0, color=plots.RED, ls="--", lw=1, label="lowest possible")
        self.bound_line = self.curve.axhline(0, color=plots.GREY, ls=":", lw=1.2, label="bound for any data")
        self.curve.set_yscale("symlog", linthresh=1)
        self.curve.set(title="implicit loss, deeper is lower", xlabel="step", ylim=(-1e6, 10))
        self.curve.legend(loc="lower left", fontsize=9)

    def _pose(self, sigma: float, n_steps: int) -> None:
        self.on_circle = _circle(400, torch.Generator().manual_seed(2))
        noisy = self.on_circle + sigma * noise_like(self.on_circle, torch.Generator().manual_seed(3))
        self.dots.set_data(*noisy.T.numpy())
        for line in (self.lowest_line, self.bound_line):
            line.set_visible(sigma > 0)
        self.lowest = self.bound = -math.inf
        if sigma > 0:
            truth, radius = circle(std=sigma), torch.linspace(0, 1 + 6 * sigma, 600, dtype=torch.float64)[1:]
            ray = torch.stack([radius, 0 * radius], 1)  # all rays are alike, and rings the longer the farther out
            mass = (truth.log_prob(ray) + radius.log()).softmax(0)  # of the rings: a sum in place of the integral
            self.lowest = -(mass * explicit(nothing, ray, truth)).sum().item()
            self.bound = -1 / sigma**2  # -D / (2 sigma^2)
            self.lowest_line.set_ydata([self.lowest] * 2)
            self.bound_line.set_ydata([self.bound] * 2)

    def _batch(self, generator: torch.Generator) -> Tensor:
        return _circle(self.batch_size, generator)

    def _net(self, **values: Any) -> ScoreMLP:
        return ScoreMLP(2, [64, 64])

    def _loss(self, generator: torch.Generator, *args: Any, **values: Any) -> Objective:
        sigma = values["sigma"]
        return lambda s, x: implicit(s, x + sigma * noise_like(x, generator), rows_at_once=2)

    def _measure(self, **values: Any) -> None:
        """Note the divergence of the field, tr grad s, on the circle: the loss without its second term."""
        loss = implicit(self.model, self.on_circle, rows_at_once=2).detach()
        with torch.no_grad():
            squares = self.model(self.on_circle, 0.0).square().sum(1)
        self.measured.append((len(self.losses), (loss - 0.5 * squares).mean().item()))

    def _look(self, sigma: float, n_steps: int) -> str:
        drawn = plots.arrows(self._score, self.cells, 0.0, self.extent, 17, max_length=self.longest)
        self.learned.set_UVC(*drawn.T)
        self.losses_line.set_data(np.arange(1, len(self.losses) + 1), self.losses)
        self.curve.set_xlim(0, 1.05 * self._of(n_steps))
        divergence = self.measured[-1][1]
        mean = moving_mean(self.losses, self.window)
        latest = f"loss <b>{mean[-1]:,.1f}</b> (mean of {self.window} steps), " if len(mean) else ""
        bounds = f"lowest possible {self.lowest:.1f}, bound for any data {self.bound:.1f}"
        like = f", as if the noise were <b>{(-divergence) ** -0.5:.3f}</b>" if divergence < 0 else ""
        return (
            f"noise sigma <b>{sigma:.2f}</b>: {self._progress(n_steps)}; "
            f"{self.failure or latest}{bounds if sigma else 'no lower bound'}<br>"
            f"divergence on the circle {divergence:,.1f}{like}{self._when()}"
        )


def _circle(n: int, generator: torch.Generator) -> Tensor:
    """n points of the unit circle, (n, 2): exactly on it, where `distributions.circle` has Gaussians."""
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    return torch.stack([angle.cos(), angle.sin()], 1)
