"""Exercises: one network for all noise levels (notebook 8)."""

import torch
from torch import Tensor

from ..grading.tasks import Given
from .verdict import Answer, Wrong, compare, exercise


@exercise
def geometric_ladder(answer: Answer) -> None:
    """my_ladder(first, last, n) -> (n,): n noise levels from first down to last, with equal ratios."""
    for first, last, n in ((1.0, 0.01, 10), (20.0, 0.5, 4), (50.0, 0.02, 2)):
        place = torch.arange(n) / (n - 1)
        right = first * (last / first) ** place
        found = answer(first, last, n)
        if isinstance(found, Tensor) and found.dim() == 1 and len(found) != n:
            raise Wrong(f"it has {len(found)} levels; both ends are among the {n}, so there are {n - 1} ratios")
        mistakes = {
            "it is upside down: the largest level comes first": right.flip(0),
            "these are equal differences; equal ratios are asked for": first + (last - first) * place,
            f"it does not end at the last level: from first to last there are n - 1 ratios, not {n}": (
                first * (last / first) ** (torch.arange(n) / n)
            ),
            "these are the logarithms of the levels": right.log(),
        }
        compare(found, right, mistakes, what="the level")


@exercise
def ladder_loss(answer: Answer) -> None:
    """my_loss(score, x (B, D), sigmas (L,), level (B,), z (B, D)) -> (B,): lambda = sigma^2, a level for each row.

    score(x, sigma) takes a noise level for each row, (B,), and returns (B, D).
    """
    sigmas = torch.tensor([2.0, 0.5, 0.125])
    for level, dim in (([2, 0, 1], 3), ([1, 2, 0, 2, 1], 2), ([0], 4)):
        index, rows = torch.tensor(level), len(level)
        x, z, sigma = torch.randn(rows, dim), torch.randn(rows, dim), sigmas[index][:, None]
        score = Given(lambda x, sigma: torch.sin(x) - x / (1 + torch.as_tensor(sigma).reshape(-1, 1) ** 2))
        at = lambda place, sigma=sigma: torch.sin(place) - place / (1 + sigma**2)  # noqa: E731
        half = lambda residual: 0.5 * residual.square().sum(1)  # noqa: E731
        right = half(sigma * at(x + sigma * z) + z)
        mistakes: dict[str, Tensor] = {
            "the weight is missing: multiply the loss by sigma^2": half(at(x + sigma * z) + z / sigma),
            "the noise is sigma z, not sigma^2 z": half(sigma * at(x + sigma**2 * z) + z),
            "the network must see the noisy point; it sees the clean one": half(sigma * at(x) + z),
            "the sign of the noise: the target is -z / sigma": half(sigma * at(x + sigma * z) - z),
            "the score is asked at the number of the level; it takes the level itself, sigmas[level]": half(
                sigma * at(x + sigma * z, index[:, None].float()) + z
            ),
            "the half is missing": 2 * right,
            "sum over the coordinates; a mean makes it smaller by their number": right / dim,
        }
        if rows == dim:  # only then does the broadcast not fail
            across = sigma.T
            mistakes["sigma multiplies columns: give it a second dimension, sigma[:, None]"] = half(
                across * at(x + across * z) + z
            )
        found = answer(score, x, sigmas, index, z)
        if isinstance(found, Tensor) and found.dim() == 0:
            raise Wrong(f"it is one number; return the loss of each example, shape ({rows},)")
        compare(found, right, mistakes, what="the loss")
