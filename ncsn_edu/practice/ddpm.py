"""Exercises: DDPM and DDIM (notebook 16)."""

import torch
from torch import Tensor

from ..grading.tasks import Given
from ..schedules import alphas_bar_of, ddpm_betas
from .verdict import Answer, Wrong, compare, exercise


@exercise
def noised(answer: Answer) -> None:
    """my_noised(x (B, D), betas (T,), t (B,), e (B, D)) -> (B, D): x_t from the clean x at once; t = 0 ... T - 1."""
    betas = ddpm_betas(20, 0.01, 0.4)
    for index, dim in (([3, 0, 19], 3), ([7, 12, 1, 5], 2), ([0], 4)):
        t, kept = torch.tensor(index), alphas_bar_of(betas)
        x, e = torch.randn(len(t), dim).double(), torch.randn(len(t), dim).double()
        a, before = kept[t, None], torch.cat([torch.ones(1).double(), kept])[t, None]
        one, sums = 1 - betas[t, None], betas.cumsum(0)[t, None]
        mistakes = {
            "this is one step of the chain; t + 1 of them are wanted": one.sqrt() * x + (1 - one).sqrt() * e,
            "the last factor is missing: beta_t itself is among those that are multiplied": (
                before.sqrt() * x + (1 - before).sqrt() * e
            ),
            "the square roots are missing: alpha_bar is a share of the variance": a * x + (1 - a) * e,
            "the root of the noise is missing: 1 - alpha_bar is its variance": a.sqrt() * x + (1 - a) * e,
            "the root of the signal is missing": a * x + (1 - a).sqrt() * e,
            "t counts from 0 here: kept[t], and not kept[t - 1]": (
                kept[t - 1, None].sqrt() * x + (1 - kept[t - 1, None]).sqrt() * e
            ),
            "signal and noise are exchanged": (1 - a).sqrt() * x + a.sqrt() * e,
            "the signal is not shrunk: x_t keeps variance 1": x + (1 - a).sqrt() * e,
            "variances of the noise do not add up to the sum of the betas: each later step shrinks them": (
                a.sqrt() * x + sums.sqrt() * e
            ),
        }
        compare(answer(x, betas, t, e, shape=x.shape), a.sqrt() * x + (1 - a).sqrt() * e, mistakes, what="x_t")


@exercise
def posterior(answer: Answer) -> None:
    """my_posterior(x_t, x_0, beta, kept, before) -> (mean, variance) of q(x_{t-1} | x_t, x_0), numbers.

    kept and before are alpha_bar_t and alpha_bar_{t-1}, beta = 1 - kept / before.
    """
    for x_t, x_0, before, beta in ((1.2, -0.5, 0.9, 0.2), (0.4, 1.0, 0.3, 0.5), (-0.3, 0.7, 0.0786, 0.01006)):
        a = 1 - beta
        kept = a * before
        found = answer.raw(x_t, x_0, beta, kept, before)
        if isinstance(found, Tensor) and found.shape == (2,):
            found = list(found)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong("return two numbers, the mean and the variance")
        mean, variance = (torch.as_tensor(part, dtype=torch.float64) for part in found)
        compare(mean, *_mean(x_t, x_0, beta, kept, before), what="the mean")
        right = torch.tensor(beta * (1 - before) / (1 - kept), dtype=torch.float64)
        others = {
            "this is beta_t, the variance of the step forward; x_0 is known as well": torch.tensor(beta).double(),
            "alpha_bar_t and alpha_bar_{t-1} are exchanged in the variance": torch.tensor(
                beta * (1 - kept) / (1 - before), dtype=torch.float64
            ),
            "this is the standard deviation; the variance is asked for": right.sqrt(),
            "this is the precision; the variance is one over it": 1 / right,
        }
        compare(variance, right, others, what="the variance")


def _mean(x_t: float, x_0: float, beta: float, kept: float, before: float) -> tuple[Tensor, dict[str, Tensor]]:
    a = 1 - beta
    left, right = (a**0.5 * (1 - before), before**0.5 * beta)
    mistakes = {
        "sqrt(alpha_bar_t) stands where sqrt(alpha_t) belongs, the root of one step, beside x_t": (
            kept**0.5 * (1 - before) * x_t + right * x_0
        ),
        "sqrt(alpha_t) stands where sqrt(alpha_bar_{t-1}) belongs, beside x_0": left * x_t + a**0.5 * beta * x_0,
        "x_t and x_0 have each other's weight": left * x_0 + right * x_t,
        "1 - alpha_bar_{t-1} belongs beside x_t, not 1 - alpha_bar_t": a**0.5 * (1 - kept) * x_t + right * x_0,
        "the weights are not normalised: divide by 1 - alpha_bar_t": (left * x_t + right * x_0) * (1 - kept),
    }
    as_tensors = {words: torch.tensor(value / (1 - kept), dtype=torch.float64) for words, value in mistakes.items()}
    return torch.tensor((left * x_t + right * x_0) / (1 - kept), dtype=torch.float64), as_tensors


@exercise
def simple_loss(answer: Answer) -> None:
    """my_loss(net, x (B, D), kept (T,), t (B,), e (B, D)) -> (B,): ||e - net(x_t, t)||^2 of each example, summed."""
    kept = alphas_bar_of(ddpm_betas(20, 0.01, 0.4))
    for index, dim in (([3, 0, 19], 2), ([7, 12, 1, 5], 3), ([2], 4)):
        t = torch.tensor(index)
        x, e = torch.randn(len(t), dim).double(), torch.randn(len(t), dim).double()
        net, guess = Given(_net), _net
        a = kept[t, None]
        x_t, sigma = a.sqrt() * x + (1 - a).sqrt() * e, ((1 - a) / a).sqrt()
        squares = lambda residual: residual.square().sum(1)  # noqa: E731
        right = squares(e - guess(x_t, t))
        mistakes: dict[str, Tensor] = {
            "the net guesses the noise e, and this compares it with the clean x": squares(x - guess(x_t, t)),
            "the net sees the clean x; it must see x_t": squares(e - guess(x, t)),
            "the net sees x + sigma e; DDPM's net sees x_t, whose variance is 1": squares(e - guess(x + sigma * e, t)),
            "e has standard deviation sqrt(1 - alpha_bar_t) in x_t; this is its variance": squares(
                e - guess(a.sqrt() * x + (1 - a) * e, t)
            ),
            "the score's target has crept in: no weight, and no division by sqrt(1 - alpha_bar_t)": squares(
                (e - guess(x_t, t)) / (1 - a).sqrt()
            ),
            "the net is told t as it is, and not t + 1": squares(e - guess(x_t, t + 1)),
            "the net is told the step t, and not sigma": squares(e - guess(x_t, sigma[:, 0])),
            "the square is missing": right.sqrt(),
            "a minus too many: the net guesses e, not -e": squares(e + guess(x_t, t)),
            "sum over the coordinates; a mean makes it smaller by their number": right / dim,
            "without the half, as DDPM writes it": right / 2,
        }
        found = answer(net, x, kept, t, e)
        if found.dim() == 0:
            raise Wrong(f"it is one number; return the loss of each example, shape ({len(t)},)")
        compare(found, right, mistakes, what="the loss")


def _net(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(x) + 0.1 * torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1) / 20 + 0.3


@exercise
def ddim_step(answer: Answer) -> None:
    """my_step(x (B, D), e (B, D), kept, before, eta, z (B, D)) -> (B, D): from x_t to x_s, s < t any earlier step.

    kept and before are alpha_bar_t and alpha_bar_s, numbers; e is the noise that the net guesses in x.
    """
    for rows, dim, kept, before, eta in ((4, 3, 0.2, 0.5, 0.0), (3, 2, 0.3, 0.9, 1.0), (2, 4, 0.05, 0.06, 0.5)):
        x, e, z = torch.randn(3, rows, dim).double()
        variance = eta**2 * (1 - kept / before) * (1 - before) / (1 - kept)
        clean, left = (x - (1 - kept) ** 0.5 * e) / kept**0.5, (1 - before - variance) ** 0.5
        right = before**0.5 * clean + left * e + variance**0.5 * z
        mistakes = {
            "all of the noise stays and fresh noise comes on top: what is fresh replaces a part of it": (
                before**0.5 * clean + (1 - before) ** 0.5 * e + variance**0.5 * z
            ),
            "the fresh noise is missing": before**0.5 * clean + left * e,
            "the guess of the noise is not added again: only the clean image and fresh noise are here": (
                before**0.5 * clean + variance**0.5 * z
            ),
            "the clean image is not shrunk by sqrt(alpha_bar) of the step that it goes to": (
                clean + left * e + variance**0.5 * z
            ),
            "x_t itself stands where the clean image belongs": before**0.5 * x + left * e + variance**0.5 * z,
            "the clean image is (x - sqrt(1 - alpha_bar_t) e) / sqrt(alpha_bar_t): the division is missing": (
                before**0.5 * clean * kept**0.5 + left * e + variance**0.5 * z
            ),
            "the variance of fresh noise has (1 - before) / (1 - kept) too, and this is eta^2 beta_t": _with_share(
                clean, e, z, before, eta * (1 - kept / before) ** 0.5
            ),
            "fresh noise has a variance; it is multiplied by its standard deviation": (
                before**0.5 * clean + left * e + variance * z
            ),
            "eta multiplies the standard deviation, so that the variance has eta^2": _with_share(
                clean, e, z, before, eta**0.5 * (variance / eta**2 if eta else 0.0) ** 0.5
            ),
            "standard deviations do not subtract, variances do": (
                before**0.5 * clean + ((1 - before) ** 0.5 - variance**0.5) * e + variance**0.5 * z
            ),
        }
        compare(answer(x, e, kept, before, eta, z, shape=x.shape), right, mistakes, what="x")


def _with_share(clean: Tensor, e: Tensor, z: Tensor, before: float, fresh: float) -> Tensor:
    return before**0.5 * clean + max(0.0, 1 - before - fresh**2) ** 0.5 * e + fresh * z
