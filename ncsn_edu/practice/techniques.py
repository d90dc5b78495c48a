"""Exercises: techniques 2 and 4 of NCSNv2 (notebook 14)."""

import math
from statistics import NormalDist

import torch
from torch import Tensor

from .verdict import Answer, Wrong, compare, exercise


@exercise
def shell_overlap(answer: Answer) -> None:
    """my_overlap(gamma, dim) -> the mass of the lower level within three standard deviations of the upper one."""
    phi = NormalDist().cdf
    for gamma, dim in ((1.04, 3072), (1.36, 64), (1.5, 10), (1.0, 100), (1.1, 2)):
        shift, wide = math.sqrt(2 * dim) * (gamma - 1), 3 * gamma
        mistakes = {
            "the upper shell is wider than the lower one, by gamma: it reaches 3 gamma to either side": _mass(shift, 3),
            "both ends of the band are 3 gamma away, and not the lower one alone": torch.tensor(
                phi(shift + 3) - phi(shift - wide)
            ),
            "the root of 2 is missing: a shell has the standard deviation sigma / sqrt(2), and that is the unit": _mass(
                shift / math.sqrt(2), wide
            ),
            "without the root: the shell's radius is sqrt(D) sigma": _mass(2 * dim * (gamma - 1), wide),
            "the root of D belongs to the distance of the shells": _mass(math.sqrt(2) * (gamma - 1), wide),
            "the distance is gamma - 1 radii: at gamma 1 the shells are one": _mass(math.sqrt(2 * dim) * gamma, wide),
            "this is one tail alone: subtract the mass below the band": torch.tensor(phi(shift + wide)),
            "the band reaches three standard deviations, not one": _mass(shift, gamma),
            "the two are exchanged, and the mass is negative": -_mass(shift, wide),
        }
        compare(answer(gamma, dim, shape=()), _mass(shift, wide), mistakes, what="the overlap")


def _mass(shift: float, wide: float) -> Tensor:
    phi = NormalDist().cdf
    return torch.tensor(phi(shift + wide) - phi(shift - wide))


@exercise
def level_variances(answer: Answer) -> None:
    """my_variances(variance, sigma, alpha, n) -> n numbers: the variance after each of n steps, score -x / sigma^2."""
    for variance, sigma, alpha, n in ((2.5, 1.0, 0.3, 4), (9.0, 0.5, 0.1, 3), (0.2, 2.0, 1.5, 1)):
        share = 1 - alpha / (2 * sigma**2)
        right = _path(variance, share**2, alpha, n)
        mistakes = {
            "a factor of x is squared in the variance: (1 - alpha / (2 sigma^2))^2": _path(variance, share, alpha, n),
            "the drift has the half of alpha": _path(variance, (1 - alpha / sigma**2) ** 2, alpha, n),
            "the score has sigma squared": _path(variance, (1 - alpha / (2 * sigma)) ** 2, alpha, n),
            "the noise sqrt(alpha) z has the variance alpha": _path(variance, share**2, alpha**2, n),
            "the noise has the variance alpha, not 2 alpha": _path(variance, share**2, 2 * alpha, n),
            "the noise adds variance: alpha is missing": _path(variance, share**2, 0.0, n),
            "the start is no result of a step": torch.cat([torch.tensor([variance], dtype=right.dtype), right[:-1]]),
            "these are standard deviations; variances are asked for": right.sqrt(),
        }
        value = answer(variance, sigma, alpha, n)
        if value.shape == (n + 1,):
            raise Wrong("there are n + 1 numbers: the start is not the result of a step")
        if value.shape != (n,):
            raise Wrong(f"return {n} numbers, one for each step, not shape {tuple(value.shape)}")
        compare(value, right, mistakes, what="the variance")


def _path(variance: float, factor: float, added: float, n: int) -> Tensor:
    path = []
    for _ in range(n):
        variance = factor * variance + added
        path.append(variance)
    return torch.tensor(path, dtype=torch.float64)
