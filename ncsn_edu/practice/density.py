"""Exercises: errors weighted by the density (notebook 6)."""

import math

import torch
from torch import Tensor

from .verdict import Answer, compare, exercise


@exercise
def weighted_error(answer: Answer) -> None:
    """my_divergence(difference (N, D), log_p (N,), cell) -> a number: the Fisher divergence as a sum over a grid.

    difference: s - s* at the points of the grid; log_p: the density's logarithm there; cell: the area of a cell.
    """
    for rows, dim, cell in ((6, 2, 0.25), (5, 3, 2.0), (4, 1, 0.1)):
        difference, log_p = 1 + torch.rand(rows, dim), -3 * torch.rand(rows) - 0.5
        squares, p = difference.square().sum(1), log_p.exp()
        right = 0.5 * cell * (p * squares).sum()
        mistakes: dict[str, Tensor] = {
            "the half of the Fisher divergence is missing": 2 * right,
            "the area of a cell is missing: a sum becomes an integral by it": right / cell,
            "every point counts alike; an error is weighted by the density there": 0.5 * cell * squares.sum(),
            "it is a plain mean over the square; an error is weighted by the density there": 0.5 * squares.mean(),
            "the weight is log p; take its exponential": 0.5 * cell * (log_p * squares).sum(),
            "a mean over the grid divides by its number of points; the area of a cell does that": right / rows,
            "the error has to be squared": 0.5 * cell * (p * squares.sqrt()).sum(),
            "the weights are made to sum to one; p times the area is the weight": 0.5 * (p * squares).sum() / p.sum(),
            "the coordinates are averaged; the square of a length is their sum": right / dim,
        }
        compare(answer(difference, log_p, cell, shape=()), right, mistakes, what="the divergence")


@exercise
def chance_of_none(answer: Answer) -> None:
    """my_chance(n, c) -> a number: the probability that none of n points has log p < -c, where q = 4 pi exp(-c)."""
    for n, c in ((1_280_000, 20.0), (1_280_000, 14.0), (128, 4.0), (10**10, 24.0)):
        q = 4 * math.pi * math.exp(-c)
        number = lambda value: torch.tensor(value, dtype=torch.float64)  # noqa: E731
        mistakes: dict[str, Tensor] = {
            "it is the expected number of such points": number(n * q),
            "it is the probability that there is one at least": number(-math.expm1(n * math.log1p(-q))),
            "the probability of {log p < -c} is 4 pi exp(-c) here, and not exp(-c)": number(
                math.exp(n * math.log1p(-math.exp(-c)))
            ),
            "one draw of n is not enough: all of them have to miss": number(1 - q),
        }
        value = answer(n, c, shape=())
        compare(value, number(math.exp(n * math.log1p(-q))), mistakes, what="the probability")
