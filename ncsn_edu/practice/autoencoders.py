"""Exercises: the parts of a variational autoencoder's bound (notebook 15)."""

import math

import torch
from torch import Tensor

from ..grading.tasks import Wrong
from .verdict import Answer, compare, exercise


@exercise
def latent_kl(answer: Answer) -> None:
    """my_kl(mean (B, K), std (B, K)) -> (B,): KL(N(mean, diag(std^2)) || N(0, I)) in nats."""
    for rows, dim in ((4, 3), (2, 6), (3, 1)):
        mean, std = torch.randn(rows, dim), 0.2 + 1.5 * torch.rand(rows, dim)
        log_var = 2 * std.log()
        right = 0.5 * (mean**2 + std**2 - log_var - 1).sum(1)
        turned = 0.5 * ((1 + mean**2) / std**2 + log_var - 1).sum(1)
        mistakes = {
            "the mean has to be squared: as it stands a negative mean makes the KL negative": (
                0.5 * (mean + std**2 - log_var - 1).sum(1)
            ),
            "the arguments are exchanged: this is KL(N(0, I) || q)": turned,
            "std is the standard deviation, and the formula wants the variance": (
                0.5 * (mean**2 + std - std.log() - 1).sum(1)
            ),
            "the logarithm is that of std; it has to be that of std squared": (
                0.5 * (mean**2 + std**2 - std.log() - 1).sum(1)
            ),
            "std is not squared in the trace": 0.5 * (mean**2 + std - log_var - 1).sum(1),
            "the half is missing": 2 * right,
            "the 1 is missing: the KL of N(0, I) to itself has to be 0": right + dim / 2,
            "the sign is wrong: a KL is never negative": -right,
            "the logarithm has the wrong sign": 0.5 * (mean**2 + std**2 + log_var - 1).sum(1),
        }
        if dim > 1:
            mistakes["sum over the latents; a mean makes it smaller by their number"] = right / dim
        value = answer(mean, std)
        _of_each_example(value, rows)
        compare(value, right, mistakes, what="the KL")


@exercise
def latent_draw(answer: Answer) -> None:
    """my_draw(mean (B, K), log_var (B, K), e (B, K)) -> (B, K): v = mean + std e, where log_var is log std^2."""
    for rows, dim in ((3, 2), (2, 5)):
        mean, log_var, e = torch.randn(rows, dim), torch.randn(rows, dim), torch.randn(rows, dim)
        std = (0.5 * log_var).exp()
        mistakes = {
            "the noise is multiplied by the variance: the draw would have variance std^4": mean + std**2 * e,
            "the noise is multiplied by the logarithm of the variance": mean + log_var * e,
            "log_var / 2 is the logarithm of std: take exp": mean + 0.5 * log_var * e,
            "there is no noise in it": mean,
            "the mean is missing": std * e,
            "the noise is not scaled": mean + e,
            "the sign of log_var is wrong: this is e / std": mean + e / std,
            "the root is taken twice": mean + std.sqrt() * e,
        }
        compare(answer(mean, log_var, e, shape=mean.shape), mean + std * e, mistakes, what="v")


@exercise
def decoder_log_likelihood(answer: Answer) -> None:
    """my_log_likelihood(x (B, D), mean (B, D), std) -> (B,): log N(x; mean, std^2 I) in nats."""
    for rows, dim, std in ((4, 3, 0.5), (2, 6, 1.7), (3, 1, 0.1)):
        x, mean = torch.randn(rows, dim), torch.randn(rows, dim)
        squares, log_std = (x - mean).square().sum(1), math.log(std)
        constant = 0.5 * dim * math.log(2 * math.pi)
        right = -squares / (2 * std**2) - dim * log_std - constant
        mistakes = {
            "the constant is that of 2 pi^(D/2); it has to be (2 pi)^(D/2)": (
                right + constant - math.log(2) - 0.5 * dim * math.log(math.pi)
            ),
            "the constant is missing": right + constant,
            "the term D log std is missing: then the widest decoder is the best": right + dim * log_std,
            "log std counts once for each of the D coordinates, not once": right + (dim - 1) * log_std,
            "the constant counts once for each of the D coordinates": right + constant - 0.5 * math.log(2 * math.pi),
            "divide the squares by 2 std^2; they are divided by 2 std": (
                right + squares / (2 * std**2) - squares / (2 * std)
            ),
            "the half of the squares is missing": right - squares / (2 * std**2),
            "log std has the wrong sign": right + 2 * dim * log_std,
            "this is -log p": -right,
            "sum over the coordinates; this is their mean": right / dim,
            "this is the density; take its logarithm": right.exp(),
        }
        if dim == 1:
            mistakes = {}
        value = answer(x, mean, std)
        _of_each_example(value, rows)
        compare(value, right, mistakes, what="log p")


def _of_each_example(value: Tensor, rows: int) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != (rows,):
        shape = tuple(value.shape) if isinstance(value, Tensor) else f"{len(value)} parts"
        raise Wrong(f"it has shape {shape}; return one number for each example, shape ({rows},)")
