"""The score field of a mixture, to be moved. This file does NOT sample or train."""

from typing import Any

import numpy as np
import torch

from .. import plots
from ..distributions import GaussianMixture
from .base import relative_density, slider, still_arrows
from .page import PageExplorer


class ScoreFieldExplorer(PageExplorer):
    """The score field of two Gaussians: their weight, distance, covariance, and noise added to them."""

    extent, n_points, n_arrows, n_line = 8.0, 90, 19, 400

    def __init__(self, *, weight: float = 0.2, distance: float = 6.0, sigma: float = 0.0) -> None:
        controls = {
            "weight": slider("weight of left", weight, 0.02, 0.98, 0.02),
            "distance": slider("distance", distance, 0, 12, 0.25),
            "std": slider("std of left", 1.0, 0.3, 2.5, 0.1),
            "correlation": slider("correlation of left", 0.0, -0.9, 0.9, 0.1),
            "sigma": slider("noise sigma", sigma, 0, 6, 0.1),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _fixed(self) -> dict[str, Any]:
        return {"extent": self.extent, "nPoints": self.n_points, "nArrows": self.n_arrows, "nLine": self.n_line}

    def _draw(self) -> None:
        self.points = plots.grid(self.extent, self.n_points)
        self.cells = plots.grid(self.extent * 0.95, self.n_arrows)
        self.axis = torch.linspace(-self.extent, self.extent, self.n_line, dtype=torch.float64)
        field, cut = self.figure.subplots(1, 2)
        plots.heatmap(field, torch.zeros(len(self.points)), extent=self.extent, vmin=0, vmax=1)
        self.heat = field.images[0]
        self.arrows = still_arrows(field, self.cells)
        field.set(title="density and score", xlabel="$x_1$", ylabel="$x_2$")
        field.axhline(0, color=plots.RED, lw=0.8, ls="--")
        nothing = (self.axis.numpy(), np.zeros(self.n_line))
        (self.density,) = cut.plot(*nothing, color=plots.BLUE, label="density (scaled)")
        (self.slope,) = cut.plot(*nothing, color=plots.RED, label="score, first coordinate")
        cut.axhline(0, color=plots.GREY, lw=0.6)
        cut.set(title="along the dashed line", xlabel="$x_1$", xlim=(-self.extent, self.extent), ylim=(-6, 6))
        cut.legend(loc="upper right", fontsize=9)

    def _update(self, weight: float, distance: float, std: float, correlation: float, sigma: float) -> str:
        mixture = two_gaussians(weight, distance, std, correlation)
        log_p = mixture.log_prob(self.points, sigma)
        self.heat.set_data(relative_density(log_p))
        self.arrows.set_UVC(*plots.arrows(mixture, self.cells, sigma, self.extent, self.n_arrows).T)
        line = torch.stack([self.axis, torch.zeros_like(self.axis)], 1)
        log_cut = mixture.log_prob(line, sigma)
        self.density.set_ydata((4 * (log_cut - log_cut.max()).exp()).numpy())
        self.slope.set_ydata(mixture(line, sigma)[:, 0].numpy())
        middle = mixture(torch.zeros(1, 2, dtype=torch.float64), sigma)[0]
        share = mixture.responsibilities(torch.zeros(1, 2, dtype=torch.float64), sigma)[0, 0]
        return (
            f"left: weight <b>{weight:.2f}</b>, std <b>{std:.1f}</b>, correlation <b>{correlation:.1f}</b>; "
            f"distance <b>{distance:.2f}</b>, noise sigma <b>{sigma:.1f}</b><br>"
            f"score at the origin ({middle[0]:+.3f}, {middle[1]:+.3f}); the left component claims {share:.1%} of it"
        )


def two_gaussians(weight: float, distance: float, std: float, correlation: float) -> GaussianMixture:
    """Two Gaussians on the first axis; the left one with a standard deviation and a correlation of its own."""
    left = std**2 * torch.tensor([[1, correlation], [correlation, 1]], dtype=torch.float64)
    covariances = torch.stack([left, torch.eye(2, dtype=torch.float64)])
    return GaussianMixture([[-distance / 2, 0], [distance / 2, 0]], covariances, [weight, 1 - weight])
