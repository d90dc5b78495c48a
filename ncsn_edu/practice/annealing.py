"""Exercises: annealed Langevin dynamics (notebook 7)."""

from functools import partial

import torch
from torch import Tensor

from ..grading.tasks import Given
from .verdict import Answer, compare, exercise


@exercise
def step_sizes(answer: Answer) -> None:
    """my_steps(sigmas (L,), eps) -> (L,): the step sizes alpha_i of Algorithm 1."""
    for ladder, eps in (([20.0, 6.0, 2.0, 0.5], 0.1), ([1.0, 0.3, 0.01], 2e-5), ([3.0], 0.2)):
        sigmas = torch.tensor(ladder)
        ratio = sigmas / sigmas[-1]
        mistakes = {
            "without squares: noise levels are standard deviations, steps are variances": eps * ratio,
            "divide by the last level squared, not by the first": eps * (sigmas / sigmas[0]) ** 2,
            "the last level is missing: the step there is to be eps": eps * sigmas**2,
            "the levels are squared, sigma_L is not": eps * sigmas**2 / sigmas[-1],
            "eps is missing": ratio**2,
            "upside down: the largest noise takes the longest step": eps / ratio**2,
            "these are the roots, which belong to the noise": eps**0.5 * ratio,
            "the half belongs to the drift, not to the step": eps / 2 * ratio**2,
        }
        if len(ladder) == 1:
            mistakes = {}
        compare(answer(sigmas, eps, shape=sigmas.shape), eps * ratio**2, mistakes, what="alpha")


@exercise
def annealing(answer: Answer) -> None:
    """my_annealing(score, x (B, D), sigmas (L,), eps, z (L, T, B, D)) -> (B, D): x at the end; score(x, sigma)."""
    for levels, steps, rows, dim in ((3, 2, 4, 2), (2, 4, 3, 3), (4, 1, 2, 1)):
        x, z = torch.randn(rows, dim), torch.randn(levels, steps, rows, dim)
        sigmas, eps = torch.linspace(2.0, 0.5, levels), 0.05
        ratio = sigmas / sigmas[-1]
        alphas, each = eps * ratio**2, torch.ones(levels)
        run, turned = partial(_run, x), partial(torch.flip, dims=[0])
        mistakes = {
            "alpha_i is without squares": run(sigmas, eps * ratio, z),
            "the step is eps at every level; alpha_i follows sigma_i squared": run(sigmas, eps * each, z),
            "the half of the drift is missing": run(sigmas, alphas, z, drift=1.0),
            "the points slide down: the drift must go along the score": run(sigmas, alphas, z, drift=-0.5),
            "the noise is alpha z; its variance is to be alpha": run(
                sigmas, alphas, z * alphas.sqrt()[:, None, None, None]
            ),
            "there is no noise in it": run(sigmas, alphas, 0 * z),
            "the score is asked at the last level all the time": run(sigmas[-1] * each, alphas, z),
            "the score is asked at the first level all the time": run(sigmas[0] * each, alphas, z),
            "the score is asked without noise": run(0 * each, alphas, z),
            "the ladder is climbed: begin with the largest noise": run(turned(sigmas), turned(alphas), turned(z)),
            "each level has to start where the last one ended": run(sigmas[-1:], alphas[-1:], z[-1:]),
            "each step has noise of its own: z[i, t]": run(sigmas, alphas, z[:, :1].expand_as(z)),
            "repeat T times at each level": run(sigmas, alphas, z[:, :1]),
        }
        value = answer(Given(_score), x, sigmas, eps, z, shape=x.shape)
        compare(value, run(sigmas, alphas, z), mistakes, what="x")


def _score(x: Tensor, sigma: float | Tensor) -> Tensor:
    return torch.tanh(1 - x) / (0.5 + sigma**2)


def _run(x: Tensor, seen: Tensor, alphas: Tensor, z: Tensor, drift: float = 0.5) -> Tensor:
    """x after z.shape[1] steps at each level: of size alphas (L,), with the score asked at noise `seen` (L,)."""
    for sigma, alpha, draws in zip(seen, alphas, z, strict=True):
        for draw in draws:
            x = x + drift * alpha * _score(x, sigma) + alpha.sqrt() * draw
    return x
