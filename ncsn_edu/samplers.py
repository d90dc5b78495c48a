"""Samplers: generators that yield a State after every update, and see nothing of a model but score(x, sigma).

Step sizes: x <- x + alpha/2 score + sqrt(alpha) z, as in Song & Ermon 2019 (schedules.py converts from other
conventions). A sampler holds one batch at a time, so memory does not grow with the number of steps; `last` runs it to
its end, a `for` watches it. The x passed in is never changed. This file does NOT know networks, data or plots.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from .checks import checked
from .core import Score, State, expand_like, noise_like
from .schedules import VE


@checked
@torch.no_grad()
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
    for step in range(n_steps):
        s = evaluate(score, x, sigma, level=0, step=step)
        x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
        yield State(x, sigma, 0, step)


@checked
@torch.no_grad()
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
    ladder = sigmas.tolist()
    for level, sigma in enumerate(ladder):
        alpha = eps * sigma**2 / ladder[-1] ** 2
        for step in range(n_steps_each):
            s = evaluate(score, x, sigma, level, step)
            x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
            yield State(x, sigma, level, step)
    if denoising:
        x = x + sigma**2 * evaluate(score, x, sigma, level, n_steps_each)
        yield State(x, sigma, level, n_steps_each)


@checked
@torch.no_grad()
def consistent_annealed(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float = 0.5,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Consistent annealed sampling (Jolicoeur-Martineau et al. 2021, Algorithm 2), from x (B, *D) with noise sigma_1.

    One evaluation a level: a share eta of the noise sigma_i is taken away, and so much fresh noise added that exactly
    sigma_{i+1} is left. Their eta is eps / sigma_L^2. Yields L - 1 States, the last with noise sigma_L: see denoise.
    """
    ladder = sigmas.tolist()
    for level, (sigma, lower) in enumerate(pairwise(ladder)):
        s = evaluate(score, x, sigma, level, step=0)
        fresh = math.sqrt(lower**2 - (1 - eta) ** 2 * sigma**2)
        x = x + eta * sigma**2 * s + fresh * noise_like(x, generator)
        yield State(x, lower, level + 1, 0)


@checked
@torch.no_grad()
def ancestral(score: Score, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Iterator[State]:
    """Ancestral sampling of a ladder (Song et al. 2021, eq. 47), from x (B, *D) with noise sigma_1.

    One evaluation a level: noise is taken away down to the denoised mean, and so much fresh noise added as
    q(x_{i+1} | x_i, clean image) has. Yields L - 1 States, the last with noise sigma_L: see denoise.
    """
    for level, (sigma, lower) in enumerate(pairwise(sigmas.tolist())):
        removed = sigma**2 - lower**2
        s = evaluate(score, x, sigma, level, step=0)
        x = x + removed * s + lower * math.sqrt(removed) / sigma * noise_like(x, generator)
        yield State(x, lower, level + 1, 0)


@checked
@torch.no_grad()
def predictor_corrector(
    score: Score,
    x: Tensor,
    sde: VE,
    *,
    n_steps: int,
    snr: float = 0.16,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Reverse diffusion and Langevin steps in turn (Song et al. 2021, Algorithm 2), from x (B, *D), noise sigma_max.

    Two evaluations a step. The Langevin step x + a s + sqrt(2a) z has a = 2 (snr ||z|| / ||s||)^2 with mean squares
    over the batch, so that chains are not quite independent: with norms of its own a chain near a mode, where s is
    small, would be kicked out. Yields n_steps States, the last with noise sigma_min: see denoise.
    """
    for level, (sigma, lower) in enumerate(pairwise(sde.sigmas(n_steps + 1).tolist())):
        removed = sigma**2 - lower**2
        x = x + removed * evaluate(score, x, sigma, level, 0) + math.sqrt(removed) * noise_like(x, generator)
        s = evaluate(score, x, lower, level + 1, 0)
        a = 2 * snr**2 / s.square().mean().clamp(min=1e-20)
        x = x + a * s + (2 * a).sqrt() * noise_like(x, generator)
        yield State(x, lower, level + 1, 0)


@checked
@torch.no_grad()
def probability_flow(
    score: Score, x: Tensor, sigmas: Tensor, *, solver: Literal["heun", "euler"] = "heun"
) -> Iterator[State]:
    """The flow dx/dsigma = -sigma score(x, sigma) that has the densities p_sigma too (Song et al. 2021, eq. 13, VE).

    From x (B, *D) with noise sigma_1, without any more noise. Heun's method, as in Karras et al. 2022, asks twice a
    step and errs by the square of the step; Euler's asks once. Yields L - 1 States, the last with noise sigma_L.
    """
    for level, (sigma, lower) in enumerate(pairwise(sigmas.tolist())):
        step = lower - sigma
        slope = -sigma * evaluate(score, x, sigma, level, step=0)
        ahead = x + step * slope
        if solver == "heun":
            slope = (slope - lower * evaluate(score, ahead, lower, level + 1, step=0)) / 2
            ahead = x + step * slope
        x = ahead
        yield State(x, lower, level + 1, 0)


@checked
@torch.no_grad()
def inpaint(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    image: Tensor,
    mask: Tensor,
    eps: float = 2e-5,
    n_steps_each: int = 100,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Inpainting by annealed Langevin dynamics (Song & Ermon 2019, Algorithm 2), from x (B, *D).

    image and mask can be broadcast to x; where mask is 1 the image is known, the rest of it is never looked at. Each
    level draws one noisy image y, and every step ends by pasting its known part: several rows of x are several
    completions.
    """
    ladder = sigmas.tolist()
    for level, sigma in enumerate(ladder):
        alpha = eps * sigma**2 / ladder[-1] ** 2
        y = image + sigma * noise_like(x, generator)
        for step in range(n_steps_each):
            s = evaluate(score, x, sigma, level, step)
            x = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
            x = torch.where(mask, y, x)
            yield State(x, sigma, level, step)


@checked
@torch.no_grad()
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

    def log_q(to: Tensor, start: Tensor, s: Tensor) -> Tensor:
        # log N(to; start + alpha/2 s, alpha I), up to a constant
        return -(to - start - alpha / 2 * s).flatten(1).square().sum(1) / (2 * alpha)

    log_p, s = evaluate_both(log_prob_and_score, x, step=0)
    for step in range(n_steps):
        proposal = x + alpha / 2 * s + math.sqrt(alpha) * noise_like(x, generator)
        log_p_new, s_new = evaluate_both(log_prob_and_score, proposal, step)
        log_ratio = log_p_new + log_q(x, proposal, s_new) - log_p - log_q(proposal, x, s)
        u = torch.rand(log_p.shape, generator=generator, dtype=x.dtype, device=x.device)
        accepted = u.log() < log_ratio
        move = accepted.view(-1, *[1] * (x.ndim - 1))
        x, s = torch.where(move, proposal, x), torch.where(move, s_new, s)
        log_p = torch.where(accepted, log_p_new, log_p)
        yield State(x, 0.0, 0, step, accepted)


@checked
@torch.no_grad()
def denoise(score: Score, x: Tensor, sigma: float | Tensor) -> Tensor:
    """E[clean | noisy = x] = x + sigma^2 score(x, sigma), shape of x (Tweedie; Jolicoeur-Martineau et al. 2021)."""
    return x + expand_like(sigma, x) ** 2 * evaluate(score, x, sigma, level=0, step=0)


def evaluate(score: Score, x: Tensor, sigma: float | Tensor, level: int, step: int) -> Tensor:
    """score(x, sigma) in the dtype of x, or an error that names the place on the ladder."""
    return _usable(score(x, sigma), x, sigma, level, step)


def evaluate_both(
    log_prob_and_score: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """log_prob_and_score(x), checked. Where log_prob is -inf no score is needed: the move is rejected."""
    both = log_prob_and_score(x)
    if not (isinstance(both, tuple) and len(both) == 2 and isinstance(both[0], Tensor)):
        raise ValueError(
            "mala needs a function that returns the pair of tensors (log_prob (B,), score (B, *D)), e.g. "
            f"mixture.log_prob_and_score; this one returned a {type(both).__name__}"
        )
    log_p, s = both
    if log_p.shape != x.shape[:1]:
        raise ValueError(f"log_prob must have shape ({len(x)},), one number a chain, not {tuple(log_p.shape)}")
    if not (log_p < math.inf).all():
        raise FloatingPointError(f"log_prob is NaN or +inf at step {step}; only finite numbers and -inf make sense")
    if isinstance(s, Tensor) and s.shape == x.shape:
        s = torch.where((log_p > -math.inf).view(-1, *[1] * (x.ndim - 1)), s, 0.0)
    return log_p, _usable(s, x, 0.0, level=0, step=step)


def _usable(s: Tensor, x: Tensor, sigma: float | Tensor, level: int, step: int) -> Tensor:
    if isinstance(s, Tensor) and s.shape == x.shape and s.isfinite().all():
        return s.to(x.dtype)
    noise = f"{sigma:.4g}" if not isinstance(sigma, Tensor) or sigma.ndim == 0 else "one per row"
    where = f"at level {level} (sigma {noise}), step {step}"
    if not isinstance(s, Tensor) or s.shape != x.shape:
        got = f"shape {tuple(s.shape)}" if isinstance(s, Tensor) else f"a {type(s).__name__}"
        raise ValueError(f"the score function returned {got} {where}; it must return the shape of x, {tuple(x.shape)}")
    raise FloatingPointError(
        f"the score is NaN or infinite {where}. If the chains ran away before, the step is too large: "
        "compare eps with stable_eps(sigmas, data_var), or alpha with stable_alpha(data_var, sigma). "
        "If not, the score function itself returns it"
    )
