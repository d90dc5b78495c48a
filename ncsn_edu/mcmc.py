"""Markov chain Monte Carlo with a score: Langevin dynamics at one noise level, down a ladder, and around a hole.

Generators that yield a State after every update and see nothing of a model but score(x, sigma). Each checks what it is
given when it is called, and runs when it is iterated over: `last` runs it to its end, a `for` watches it. It holds one
batch at a time, and never changes the x passed in. Step sizes: x <- x + alpha/2 score + sqrt(alpha) z, as in
Song & Ermon 2019 (schedules.py converts from other conventions). This file does NOT know networks, data or plots.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .checks import (
    check_count,
    check_generator,
    check_ladder,
    check_mask,
    check_points,
    check_positive,
    check_sigma,
)
from .core import Evaluations, Looks, Score, State, noise_like


def langevin(
    score: Score,
    x: Tensor,
    *,
    alpha: float,
    n_steps: int,
    sigma: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Unadjusted Langevin dynamics at one noise level (Song & Ermon 2019, eq. 4), from x (B, *D).

    Yields n_steps States; raises FloatingPointError once the score is not finite. The
    stationary distribution is p_sigma only as alpha -> 0: see stationary_variance and mala.
    """
    check_points(x), check_sigma(sigma), check_generator(generator, x.device)
    alpha, n_steps = check_positive("alpha", alpha), check_count("n_steps", n_steps)
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for step in range(n_steps):
            s = evaluate(x, sigma, level=0, step=step)
            x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
            yield State(x, sigma, 0, step)
        evaluate.finish()

    return states(x)


def annealed_langevin(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    eps: float = 2e-5,
    n_steps_each: int = 100,
    denoising: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Annealed Langevin dynamics (Song & Ermon 2019, Algorithm 1), from x (B, *D).

    Down the ladder sigmas (L,) with steps alpha_i = eps sigma_i^2 / sigma_L^2. The defaults
    are printed in the paper; its code runs eps = 4e-5 in this convention. Yields
    L * n_steps_each States; raises FloatingPointError once the score is not finite.
    With denoising one more: `denoise` at sigma_L (Jolicoeur-Martineau et al. 2021).
    """
    check_points(x), check_generator(generator, x.device)
    ladder, eps = check_ladder(sigmas).tolist(), check_positive("eps", eps)
    n_steps_each = check_count("n_steps_each", n_steps_each)
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, sigma in enumerate(ladder):
            alpha = eps * sigma**2 / ladder[-1] ** 2
            for step in range(n_steps_each):
                s = evaluate(x, sigma, level, step)
                x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
                yield State(x, sigma, level, step)
        if denoising:
            x = x + sigma**2 * evaluate(x, sigma, level, n_steps_each)
            yield State(x, sigma, level, n_steps_each)
        evaluate.finish()

    return states(x)


def inpaint(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    image: Tensor,
    mask: Tensor,
    eps: float = 2e-5,
    n_steps_each: int = 100,
    denoising: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Inpainting by annealed Langevin dynamics (Song & Ermon 2019, Algorithm 2), from x (B, *D).

    image and mask can be broadcast to x; where mask is 1 the image is known, the rest of it is never looked at. Each
    level draws one noisy image y, and every step ends by pasting its known part: several rows of x are several
    completions. With denoising one State more: `denoise` at sigma_L, and the known part without noise.
    """
    check_points(x), check_generator(generator, x.device)
    ladder, eps = check_ladder(sigmas).tolist(), check_positive("eps", eps)
    n_steps_each = check_count("n_steps_each", n_steps_each)
    image, mask = check_mask(image, mask, x)
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, sigma in enumerate(ladder):
            alpha = eps * sigma**2 / ladder[-1] ** 2
            y = image + sigma * noise_like(x, generator)
            for step in range(n_steps_each):
                s = evaluate(x, sigma, level, step)
                x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
                x = torch.where(mask, y, x)
                yield State(x, sigma, level, step)
        if denoising:
            x = torch.where(mask, image, x + sigma**2 * evaluate(x, sigma, level, n_steps_each))
            yield State(x, sigma, level, n_steps_each)
        evaluate.finish()

    return states(x)


def mala(
    log_prob_and_score: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    *,
    alpha: float,
    n_steps: int,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Metropolis-adjusted Langevin (Roberts & Tweedie 1996): Langevin proposals, accepted or rejected.

    That makes p itself stationary, at any alpha. log_prob_and_score(x) -> (B,), (B, *D).
    Each State says in `accepted` (B,) which chains moved.
    """
    check_points(x), check_generator(generator, x.device)
    alpha, n_steps = check_positive("alpha", alpha), check_count("n_steps", n_steps)
    evaluate = EvaluationsOfBoth(log_prob_and_score)

    def log_q(to: Tensor, start: Tensor, s: Tensor) -> Tensor:
        # log N(to; start + alpha/2 s, alpha I), up to a constant
        return -(to - start - alpha / 2 * s).flatten(1).square().sum(1) / (2 * alpha)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        log_p, s = evaluate(x, step=0)
        for step in range(n_steps):
            proposal = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
            log_p_new, s_new = evaluate(proposal, step)
            log_ratio = log_p_new + log_q(x, proposal, s_new) - log_p - log_q(proposal, x, s)
            u = torch.rand(log_p.shape, generator=generator, dtype=x.dtype, device=x.device)
            accepted = u.log() < log_ratio
            move = accepted.view(-1, *[1] * (x.ndim - 1))
            x, s = torch.where(move, proposal, x), torch.where(move, s_new, s)
            log_p = torch.where(accepted, log_p_new, log_p)
            yield State(x, 0.0, 0, step, accepted)
        evaluate.finish()

    return states(x)


class EvaluationsOfBoth(Looks):
    """log_prob and score as one run of `mala` asks for them: checked, as by Evaluations."""

    def __init__(self, log_prob_and_score: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.log_prob_and_score = log_prob_and_score

    def __call__(self, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """log_prob_and_score(x). Where log_prob is -inf no score is needed: the move is rejected."""
        both = self.log_prob_and_score(x)
        if not (isinstance(both, tuple) and len(both) == 2 and isinstance(both[0], Tensor)):
            raise ValueError(
                "mala needs a function that returns the pair of tensors (log_prob (B,), score (B, *D)), e.g. "
                f"mixture.log_prob_and_score; this one returned a {type(both).__name__}"
            )
        log_p, s = both
        if log_p.shape != x.shape[:1]:
            raise ValueError(f"log_prob must have shape ({len(x)},), one number a chain, not {tuple(log_p.shape)}")
        why = "log_prob is NaN or +inf at step {}; only finite numbers and -inf make sense"
        self.look((log_p < math.inf).all(), why.format, step)
        if isinstance(s, Tensor) and s.shape == x.shape:
            s = torch.where((log_p > -math.inf).view(-1, *[1] * (x.ndim - 1)), s, 0.0)
        return log_p, self.look_at_score(s, x, 0.0, step=step)
