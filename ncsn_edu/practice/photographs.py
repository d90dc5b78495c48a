"""Exercises: a score for large noise, and a sampler of one step a level (notebook 13)."""

import math

import torch

from ..grading.tasks import Given
from .verdict import Answer, compare, exercise


@exercise
def preconditioned(answer: Answer) -> None:
    """my_score(f, x (B, D), sigma) -> (B, D): (f(u, log sigma) / sigma - 2 u) / w, w = (1 + 4 sigma^2)^(1/2)."""
    for rows, dim, sigma in ((4, 3, 0.5), (2, 5, 20.0), (3, 2, 0.02)):
        x = (torch.rand(rows, dim) + sigma * torch.randn(rows, dim)).double()
        f, net, wide = Given(_net), _net, math.sqrt(1 + 4 * sigma**2)
        u, level = (2 * x - 1) / wide, math.log(sigma)
        inner = net(u, level)
        right = (inner / sigma - 2 * u) / wide
        mistakes = {
            "the sign of the Gaussian's part: it points to the middle, -2 u": (inner / sigma + 2 * u) / wide,
            "f is not divided by sigma": (inner - 2 * u) / wide,
            "the root in the denominator is missing": inner / sigma - 2 * u,
            "divided by 1 + 4 sigma^2, without the root": (inner / sigma - 2 * u) / wide**2,
            "what the Gaussian knows is missing: -2 u": inner / sigma / wide,
            "f is told log sigma, not sigma": (net(u, sigma) / sigma - 2 * u) / wide,
            "f sees the scaled image u, not x": (net(x, level) / sigma - 2 * u) / wide,
            "f sees u, which is divided by the root: this is 2 x - 1": (net(2 * x - 1, level) / sigma - 2 * u) / wide,
            "the Gaussian's part takes u, which is divided by the root: this is 2 x - 1": (
                (inner / sigma - 2 * (2 * x - 1)) / wide
            ),
            "this is a score of the scaled image: pixels in [0, 1] are meant, so that it is twice as long": right / 2,
        }
        compare(answer(f, x, sigma, shape=x.shape), right, mistakes, what="the score")


def _net(u: torch.Tensor, level: float) -> torch.Tensor:
    return torch.sin(u + level) + 0.3 * u.flip(1)


@exercise
def consistent_step(answer: Answer) -> None:
    """my_step(x (B, D), s (B, D), sigma, lower, eta, z (B, D)) -> (B, D): a share eta of the noise away, some added."""
    for rows, dim, sigma, lower, eta in ((4, 3, 2.0, 1.5, 0.5), (3, 2, 0.5, 0.25, 1.0), (2, 4, 10.0, 9.5, 0.1)):
        x, s, z = torch.randn(3, rows, dim)
        taken, fresh = eta * sigma**2 * s, math.sqrt(lower**2 - (1 - eta) ** 2 * sigma**2)
        mistakes = {
            "no fresh noise: what is left is less than lower": x + taken,
            "lower z is what the next level has in all; (1 - eta) sigma of it is there already": x + taken + lower * z,
            "standard deviations do not subtract, variances do": x + taken + (lower - (1 - eta) * sigma) * z,
            "the root is missing: this is the variance of the fresh noise": x + taken + fresh**2 * z,
            "the share that stays is 1 - eta, and its square counts": (
                x + taken + math.sqrt(abs(lower**2 - (1 - eta) * sigma**2)) * z
            ),
            "1 - eta of the noise stays, not eta": x + taken + math.sqrt(abs(lower**2 - (eta * sigma) ** 2)) * z,
            "this is the step of a Langevin chain: the fresh noise is what is missing to lower": (
                x + taken + math.sqrt(2 * eta) * sigma * z
            ),
            "the noise is sigma^2 s, not sigma s": x + eta * sigma * s + fresh * z,
            "the score points to the clean image: add it": x - taken + fresh * z,
            "all of the noise is taken away; a share eta is meant": x + sigma**2 * s + fresh * z,
        }
        compare(answer(x, s, sigma, lower, eta, z, shape=x.shape), x + taken + fresh * z, mistakes, what="x")
