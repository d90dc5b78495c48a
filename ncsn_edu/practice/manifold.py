"""Exercises: how low a loss can get (notebook 5)."""

import torch
from torch import Tensor

from ..grading.tasks import Wrong
from .verdict import Answer, compare, exercise


@exercise
def lowest_loss(answer: Answer) -> None:
    """my_lowest(s (N, D)) -> a number: the implicit loss of the true score, from its values s at N points of data."""
    for rows, dim in ((6, 2), (5, 3), (4, 1)):
        s = 0.5 + torch.randn(rows, dim)
        squares = s.square().sum(1)
        mistakes: dict[str, Tensor] = {
            "the sign: a good implicit loss is below zero": 0.5 * squares.mean(),
            "the half is missing": -squares.mean(),
            "sum over the coordinates before the mean over the points": -0.5 * s.square().mean(),
            "a loss is a mean over the points, not their sum": -0.5 * squares.sum(),
            "the length has to be squared": -0.5 * squares.sqrt().mean(),
            "square first, then take the mean: the mean of a score is 0": -0.5 * s.mean(0).square().sum(),
        }
        value = answer(s)
        if isinstance(value, Tensor) and value.numel() > 1:
            raise Wrong("it is a loss for each point; take their mean")
        compare(value.reshape(()), -0.5 * squares.mean(), mistakes, what="the loss")


@exercise
def share_of_bound(answer: Answer) -> None:
    """my_share(losses, sigma, D) -> a number: the mean of the last third of a list, over the bound -D / (2 sigma^2)."""
    for n, sigma, dim in ((9, 0.4, 2), (30, 0.01, 64), (12, 2.0, 3)):
        losses = [-float(loss) for loss in (1 + torch.rand(n)).cumsum(0)]
        tail = torch.tensor(losses[-(n // 3) :]).mean()
        bound = -dim / (2 * sigma**2)
        mistakes: dict[str, Tensor] = {
            "the sign: bound and loss are both negative, their ratio is not": -tail / bound,
            "the bound divides by sigma squared": tail / (-dim / (2 * sigma)),
            "the half of the bound is missing": tail / (-dim / sigma**2),
            "the bound grows with the number of coordinates: D is missing": tail * dim / bound,
            "it is the mean of the whole run; the last third is asked for": torch.tensor(losses).mean() / bound,
            "it is the mean of the first third": torch.tensor(losses[: n // 3]).mean() / bound,
            "it is the mean of the last two thirds": torch.tensor(losses[n // 3 :]).mean() / bound,
            "it is the last loss alone, and single batches scatter": torch.tensor(losses[-1]) / bound,
            "this is bound over loss; the loss belongs above": bound / tail,
        }
        compare(answer(losses, sigma, dim, shape=()), tail / bound, mistakes, what="the share")
