"""Exercises: Langevin dynamics (notebook 2)."""

import math

import torch
from torch import Tensor

from ..grading.tasks import Given
from .verdict import Answer, compare, exercise


@exercise
def langevin_step(answer: Answer) -> None:
    """my_step(x (B, D), score, alpha, z (B, D)) -> (B, D): x after one step; score(x) -> (B, D)."""
    for rows, dim, alpha in ((4, 2, 0.3), (3, 5, 0.02), (1, 1, 2.0)):
        x, z, scale = torch.randn(rows, dim), torch.randn(rows, dim), 0.5 + torch.rand(dim)
        score, root = Given(lambda x, scale=scale: scale * (1 - x**3)), math.sqrt(alpha)
        drift = scale * (1 - x**3)
        mistakes = {
            "the points slide down: the drift must go along the score": x - alpha / 2 * drift + root * z,
            "there is no noise in it": x + alpha / 2 * drift,
            "there is no drift in it": x + root * z,
            "the noise has standard deviation alpha; its variance is to be alpha": x + alpha / 2 * drift + alpha * z,
            "the noise has variance 2 alpha, which belongs to a drift of alpha": x
            + alpha / 2 * drift
            + root * 2**0.5 * z,
            "the drift is twice too strong for this noise": x + alpha * drift + root * z,
            "the drift has no alpha in it": x + drift + root * z,
            "this is the step of size 2 alpha, in the convention of physics": x
            + alpha * drift
            + (2 * alpha) ** 0.5 * z,
            "this is the change; the step returns the new x": alpha / 2 * drift + root * z,
        }
        compare(answer(x, score, alpha, z, shape=x.shape), x + alpha / 2 * drift + root * z, mistakes, what="x")


@exercise
def acceptance(answer: Answer) -> None:
    """my_acceptance(log_p, log_p_new, log_q_forth, log_q_back), (B,) each -> (B,): the probability of acceptance."""
    log_p, log_p_new, forth, back = (torch.tensor(row) for row in _FOUR)
    ratio = (log_p_new + back - log_p - forth).exp()
    mistakes: dict[str, Tensor] = {
        "forth and back are exchanged: the way back stands in the numerator": (
            (log_p_new + forth - log_p - back).exp().clamp(max=1)
        ),
        "the proposals are not symmetric, and their densities are missing": (log_p_new - log_p).exp().clamp(max=1),
        "the new point's density stands in the numerator": (1 / ratio).clamp(max=1),
        "some are above 1, and no probability is": ratio,
        "these are logarithms; take the exponential": ratio.log().clamp(max=0),
    }
    compare(answer(log_p, log_p_new, forth, back, shape=(4,)), ratio.clamp(max=1), mistakes)
    far = [torch.tensor([value]) for value in (-2000.0, -1500.0, 3.0, 2.0)]
    compare(answer(*far, shape=(1,)), torch.ones(1), {}, what="for a point 500 better in log p the probability")


_FOUR = ([-1.0, -2.0, 0.5, -3.0], [-2.0, -1.0, 0.0, -3.5], [0.3, -0.4, 0.1, 1.0], [0.1, 0.2, -0.5, 0.2])
