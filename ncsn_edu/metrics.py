"""How good are samples? Weights and shapes of modes, and distances between two sets of samples.

A number comes with its uncertainty where one can be had. This file does NOT draw, and does not know how samples
were made.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .checks import check_count, check_points
from .distributions import GaussianMixture


class ModeWeights(NamedTuple):
    """Share of samples in each mode, with a confidence interval; each field has shape (K,)."""

    weight: Tensor
    low: Tensor
    high: Tensor


def mode_weights(x: Tensor, mixture: GaussianMixture, *, confidence: float = 0.95) -> ModeWeights:
    """Share of the samples x (B, D) in each component of a mixture, with Wilson's interval.

    A sample counts for the component most likely to have made it. The interval holds for independent samples;
    chains started apart are, successive states of one chain are not.
    """
    from scipy.stats import binomtest

    counts = torch.bincount(_assign(x, mixture), minlength=mixture.n_components)
    tests = [binomtest(int(count), len(x)).proportion_ci(confidence, method="wilson") for count in counts]
    low, high = torch.tensor([(t.low, t.high) for t in tests], dtype=torch.float64).T
    return ModeWeights(counts / len(x), low, high)


def mode_moments(x: Tensor, mixture: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Mean (K, D) and covariance (K, D, D) of the samples in each mode; NaN for a mode with too few samples."""
    mode = _assign(x, mixture)
    x = x.detach().cpu().double()
    means, covariances = [], []
    for k in range(mixture.n_components):
        inside = x[mode == k]
        enough = len(inside) >= 2
        means.append(inside.mean(0) if enough else torch.full_like(x[0], torch.nan))
        covariances.append(
            inside.T.cov().reshape(2 * [x.shape[1]]) if enough else x.new_full(2 * [x.shape[1]], torch.nan)
        )
    return torch.stack(means), torch.stack(covariances)


def energy_distance(x: Tensor, y: Tensor, *, unbiased: bool = True, chunk: int = 2048) -> float:
    """Squared energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely & Rizzo 2013) of samples (n, *D), (m, *D).

    Zero exactly when the two distributions are equal. The unbiased estimate scatters around it and can be negative;
    with unbiased=False pairs of a point with itself count too: never negative, too large by about
    E|X - X'| / n + E|Y - Y'| / m.
    Distances are formed `chunk` rows at a time, so memory grows like chunk x (n + m).
    """
    x, y = _pair(x, y)
    return _energy(x, y, unbiased, check_count("chunk", chunk))


def energy_test(
    x: Tensor, y: Tensor, *, n_permutations: int = 200, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """Energy distance and the p-value of "x and y come from one distribution", by permuting who belongs to whom.

    The p-value counts the permutations that look at least as different, (1 + count) / (1 + n_permutations).
    All pairwise distances are held at once: (n + m)^2 numbers.
    """
    x, y = _pair(x, y)
    distances = torch.cdist(torch.cat([x, y]), torch.cat([x, y]))
    side = torch.cat([torch.full((len(x),), 1 / len(x)), torch.full((len(y),), -1 / len(y))]).to(distances)
    sides = [side] + [
        side[torch.randperm(len(side), generator=generator)]
        for _ in range(check_count("n_permutations", n_permutations))
    ]
    statistics = torch.stack(
        [-(s @ distances @ s) for s in sides]
    )  # 2 E|X-Y| - E|X-X'| - E|Y-Y'|, pairs with itself in
    p_value = (statistics >= statistics[0] * (1 - 1e-12)).double().mean().item()
    return _energy(x, y, True, 2048), p_value


def _assign(x: Tensor, mixture: GaussianMixture) -> Tensor:
    check_points(x, mixture.dim)
    if not x.isfinite().all():
        raise ValueError("x holds NaN or infinity: these chains ran away, so their modes cannot be counted")
    return mixture.responsibilities(x.detach()).argmax(1).cpu()


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    check_points(x), check_points(y)
    if x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"two sets of at least two samples of one shape are needed, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    return x.detach().flatten(1).double(), y.detach().to(x.device).flatten(1).double()


def _energy(x: Tensor, y: Tensor, unbiased: bool, chunk: int) -> float:
    def total(a: Tensor, b: Tensor) -> float:
        return sum(torch.cdist(part, b).sum().item() for part in a.split(chunk))

    n, m = len(x), len(y)
    pairs_x, pairs_y = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    return 2 * total(x, y) / (n * m) - total(x, x) / pairs_x - total(y, y) / pairs_y
