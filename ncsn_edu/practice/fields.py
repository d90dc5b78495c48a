"""Exercises: scores in closed form (notebook 1)."""

import torch

from .verdict import Answer, compare, exercise


@exercise
def mixture_score(answer: Answer) -> None:
    """my_mixture_score(x (B, D), means (K, D), weights (K,)) -> the score of sum_k w_k N(mean_k, I), (B, D)."""
    for rows, dim, parts, far in ((5, 2, 3, 1.0), (1, 4, 2, 1.0), (3, 1, 2, 1.0), (2, 2, 3, 100.0)):
        x, means = far * torch.randn(rows, dim), 2 * torch.randn(parts, dim)
        weights = torch.rand(parts).softmax(0)
        pulls = means - x[:, None]  # (B, K, D)
        half = -0.5 * pulls.square().sum(2)  # (B, K): log N(x; mean_k, I), up to a constant
        mixed = lambda r, pulls=pulls: (r[:, :, None] * pulls).sum(1)  # noqa: E731
        right = mixed((weights.log() + half).softmax(1))
        mistakes = {
            "the sign is flipped: a score points to where data are likely": -right,
            "the weights are not in it: they belong into the responsibilities": mixed(half.softmax(1)),
            "the weights alone mix the pulls; the responsibilities depend on x": mixed(weights.expand(rows, -1)),
            "inside the softmax the weights stand in logarithms": mixed((weights + half).softmax(1)),
            "the half in the exponent of the Gaussian is missing": mixed((weights.log() + 2 * half).softmax(1)),
            "the distance has to be squared": mixed((weights.log() - 0.5 * pulls.norm(dim=2)).softmax(1)),
            "responsibilities add up to 1 over the components, not over the points": mixed(
                (weights.log() + half).softmax(0)
            ),
            "it is the gradient of the density; divide by the density": mixed(weights * half.exp()),
            "it is the gradient of the density, up to a factor; divide by the density": mixed(
                weights * half.exp() / (2 * torch.pi) ** (dim / 2)
            ),
        }
        where = "far from all components, at a point that no density reaches, the score" if far > 1 else "the score"
        compare(answer(x, means, weights, shape=x.shape), right, mistakes if far == 1 else {}, what=where)


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
