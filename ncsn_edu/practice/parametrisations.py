"""Exercises on what a net may predict: a score from v, the velocity of a score, a step of flow matching."""

import torch
from torch import Tensor

from .verdict import Answer, compare, exercise


@exercise
def score_of_v(answer: Answer) -> None:
    """my_score(v (B, D), x (B, D), sigma) -> (B, D): the score at x = x_0 + sigma z of a net that predicts v.

    v guesses a z - b x_0 with a = 1 / sqrt(1 + sigma^2), b = sigma a.
    """
    for rows, dim, sigma in ((4, 3, 0.5), (3, 2, 4.0), (2, 5, 0.07)):
        v, x = torch.randn(2, rows, dim).double()
        a = (1 + sigma**2) ** -0.5
        b = sigma * a
        clean = a * a * x - b * v
        noise = b * a * x + a * v
        right = -noise / sigma
        mistakes = {
            "this is the guess of the clean point x_0": clean,
            "this is the guess of the noise z; the score is minus it, divided by sigma": noise,
            "a minus too many: the score points from the noise towards the data": -right,
            "this is -z: divide by sigma as well": -noise,
            "the noise is divided by sigma^2: that belongs under x_0 - x, and sigma under -z": right / sigma,
            "v is taken for the noise": -v / sigma,
            "v is taken for the velocity, whose weights are 1 and 1": -(x + v) / (sigma * (1 + sigma)),
            "in x_0 - x the point is x, and not x_t = a x": (clean - a * x) / sigma**2,
            "x is taken for x_t: the formula x_0 = a x_t - b v needs x_t = a x": (a * x - b * v - x) / sigma**2,
            "signs: x_0 = a x_t - b v, with a minus": (a * a * x + b * v - x) / sigma**2,
            "a and b are exchanged": (b * a * x - a * v - x) / sigma**2,
            "this is the score of x_t = a x: by the chain rule that of x is a times as large": right / a,
        }
        compare(answer(v, x, sigma, shape=x.shape), right, mistakes, what="the score")


@exercise
def velocity_of_score(answer: Answer) -> None:
    """my_velocity(score, x_t (B, D), t) -> (B, D): E[z - x_0 | x_t] of x_t = (1 - t) x_0 + t z, t a number in (0, 1).

    score(x, sigma) is that of x = x_0 + sigma z.
    """
    for rows, dim, t in ((4, 3, 0.5), (3, 2, 0.8), (2, 4, 0.1)):
        x_t = torch.randn(rows, dim).double()
        x, sigma = x_t / (1 - t), t / (1 - t)
        right = _velocity(x, sigma)
        mistakes = {
            "the other way round: z - x_0 leads from the data to the noise": -right,
            "the score is asked at x_t; it knows x_t / (1 - t)": _velocity(x_t, sigma),
            "the score is told t; the noise of x_t / (1 - t) is sigma = t / (1 - t)": -x
            - sigma * (1 + sigma) * _score(x, t),
            "x_t and t go to the score as they are": _velocity(x_t, t),
            "this is the guess of the noise z; the clean point is to be subtracted": -sigma * _score(x, sigma),
            "the clean point is x + sigma^2 score: sigma is squared there": (
                -sigma * _score(x, sigma) - (x + sigma * _score(x, sigma))
            ),
            "only the score's argument is divided by 1 - t: the x in front is x_t / (1 - t) as well": (
                -x_t - sigma * (1 + sigma) * _score(x, sigma)
            ),
            "the noise is -sigma score, with a minus": sigma * _score(x, sigma) - (x + sigma**2 * _score(x, sigma)),
            "this is v of x_t = a x_0 + b z with a^2 + b^2 = 1, which has weights a and b": (
                (-sigma * _score(x, sigma) - sigma * (x + sigma**2 * _score(x, sigma))) / (1 + sigma**2) ** 0.5
            ),
        }
        compare(answer(_score, x_t, t, shape=x_t.shape), right, mistakes, what="the velocity")


def _score(x: Tensor, sigma: float | Tensor) -> Tensor:
    """Of no Gaussian, so that no mistake comes out right by chance."""
    return -(x + torch.sin(2 * x)) / (0.5 + torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1) ** 2)


def _velocity(x: Tensor, sigma: float) -> Tensor:
    return -x - sigma * (1 + sigma) * _score(x, sigma)


@exercise
def flow_loss(answer: Answer) -> None:
    """my_loss(velocity, x (B, D), t (B,), z (B, D)) -> (B,): ||velocity(x_t, t) - (z - x)||^2, summed over D."""
    for times, dim in (([0.2, 0.9, 0.5], 3), ([0.05, 0.6], 4)):
        t = torch.tensor(times).double()
        x, z = torch.randn(2, len(t), dim).double()
        column = t[:, None]
        x_t = (1 - column) * x + column * z
        right = _squares(_net(x_t, t) - (z - x))
        mistakes = {
            "the velocity goes from the data to the noise: its target is z - x, not x - z": _squares(
                _net(x_t, t) - (x - z)
            ),
            "the target is z - x; this compares with the noise z": _squares(_net(x_t, t) - z),
            "the target is z - x; this compares with x_t - x": _squares(_net(x_t, t) - (x_t - x)),
            "data and noise are exchanged: at t = 0 the path is at the data": _squares(
                _net(column * x + (1 - column) * z, t) - (z - x)
            ),
            "the straight path has weights 1 - t and t, not their roots": _squares(
                _net((1 - column).sqrt() * x + column.sqrt() * z, t) - (z - x)
            ),
            "this path keeps the data as they are: x + t z is VE": _squares(_net(x + column * z, t) - (z - x)),
            "the net sees the clean x; it must see x_t": _squares(_net(x, t) - (z - x)),
            "the net is told sigma; it is told t": _squares(_net(x_t, t / (1 - t)) - (z - x)),
            "the square is missing": right.sqrt(),
            "the net is told 1 - t; it is told t": _squares(_net(x_t, 1 - t) - (z - x)),
            "flow matching has no factor 1/2 here": right / 2,
            "sum over the coordinates; a mean makes it smaller by their number": right / dim,
        }
        compare(answer(_net, x, t, z, shape=(len(t),)), right, mistakes, what="the loss")


def _net(x: Tensor, t: Tensor) -> Tensor:
    return torch.cos(x) + torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1) * x**2 / 4


def _squares(residual: Tensor) -> Tensor:
    return residual.square().sum(1)
