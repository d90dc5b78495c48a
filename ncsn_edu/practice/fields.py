"""Exercises: scores in closed form (notebook 1)."""

import torch

from .verdict import Answer, compare, exercise


@exercise
def noisy_score(answer: Answer) -> None:
    """my_score(x (B, D), mean (D,), variance, sigma) -> the score of N(mean, variance I) with noise, (B, D)."""
    for rows, dim, variance, sigma in ((5, 2, 0.5, 2.0), (3, 4, 9.0, 0.3), (1, 1, 2.0, 0.0)):
        x, mean = 3 * torch.randn(rows, dim), torch.randn(dim)
        pull = mean - x
        mistakes = {"the sign is flipped: a score points to where data are likely": -pull / (variance + sigma**2)}
        if sigma:
            mistakes |= {
                "it is the score without noise: sigma is not in it": pull / variance,
                "variances add up, standard deviations do not: sigma has to be squared": pull / (variance + sigma),
                "it is the score of the noise alone: the data have a variance, too": pull / sigma**2,
                "the score divides by the variance, not by its square root": pull / (variance + sigma**2) ** 0.5,
                "the noise comes on top of the variance: add, do not multiply": pull / (variance * sigma**2),
            }
        compare(answer(x, mean, variance, sigma, shape=x.shape), pull / (variance + sigma**2), mistakes)
