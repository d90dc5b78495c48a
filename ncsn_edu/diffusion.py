"""Samplers that turn noise into data once through: each level of a ladder is passed once, the noise taken away.

Generators like those of mcmc.py, from x (B, *D) with noise sigma_1, the first level of the ladder sigmas (L,). Each
yields a State after each step to the next level, L - 1 in all; the last has noise sigma_L: `denoise` takes that away.
The reverse of diffusion is seen as a random walk (Song et al. 2021), or as a flow without noise; those that see it in
continuous time take an SDE with n_steps= for the ladder. This file does NOT know networks, data or plots.
"""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from .checks import (
    check_alphas_bar,
    check_between,
    check_choice,
    check_count,
    check_eta,
    check_generator,
    check_ladder,
    check_mask,
    check_points,
    check_positive,
    smallest_eta,
)
from .core import Evaluations, Looks, Score, State, exact, noise_like, shaped
from .odes import Method, Solver, method_of
from .sdes import SDE, path_of


def consistent_annealed(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float | None = 0.5,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Consistent annealed sampling (Jolicoeur-Martineau et al. 2021, Algorithm 2); one evaluation a level.

    A share eta of the noise sigma_i is taken away, and so much fresh noise added that exactly sigma_{i+1} is left.
    Their eta is eps / sigma_L^2. None chooses it for the ladder: 1.5 (1 - sigma_{i+1} / sigma_i), about what their
    settings amount to. The smallest that can be, without the 1.5, adds no noise: Euler's step of `probability_flow`.
    """
    check_points(x), check_generator(generator, x.device)
    ladder = check_ladder(sigmas)
    share = min(1.0, 1.5 * smallest_eta(ladder)) if eta is None else check_eta(eta, ladder)
    levels, evaluate = ladder.tolist(), Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (sigma, lower) in enumerate(pairwise(levels)):
            s = evaluate(x, sigma, level)
            fresh = math.sqrt(max(0.0, lower**2 - (1 - share) ** 2 * sigma**2))
            x = x + share * sigma**2 * s + fresh * noise_like(x, generator)
            yield State(x, lower, level + 1, 0)
        evaluate.finish()

    return states(x)


def ancestral(score: Score, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Iterator[State]:
    """Ancestral sampling of a ladder (Song et al. 2021, eq. 47); one evaluation a level.

    Noise is taken away down to the denoised mean, and so much fresh noise added as q(x_{i+1} | x_i, clean image) has.
    """
    check_points(x), check_generator(generator, x.device)
    ladder = check_ladder(sigmas).tolist()
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (sigma, lower) in enumerate(pairwise(ladder)):
            removed = sigma**2 - lower**2
            s = evaluate(x, sigma, level)
            x = x + removed * s + lower * math.sqrt(removed) / sigma * noise_like(x, generator)
            yield State(x, lower, level + 1, 0)
        evaluate.finish()

    return states(x)


def repaint(
    score: Score,
    x: Tensor,
    sigmas: Tensor,
    *,
    image: Tensor,
    mask: Tensor,
    n_times: int = 10,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Inpainting by resampling (Lugmayr et al. 2022, Algorithm 1), from x (B, *D); n_times evaluations a level.

    A step of `ancestral`, then the known part of image is pasted with fresh noise of the level reached. The noise that
    the step took away is put back and the step is taken again, n_times in all, so that the missing part comes to terms
    with the known one. image and mask are as for `inpaint`; the printed settings are 250 levels and n_times = 10, with
    the way back over 10 levels at once. Yields n_times States a level.
    """
    check_points(x), check_generator(generator, x.device)
    ladder, n_times = check_ladder(sigmas).tolist(), check_count("n_times", n_times)
    image, mask = check_mask(image, mask, x)
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (sigma, lower) in enumerate(pairwise(ladder)):
            removed = sigma**2 - lower**2
            for time in range(n_times):
                if time:
                    x = x + math.sqrt(removed) * noise_like(x, generator)
                s = evaluate(x, sigma, level, time)
                x = x + removed * s + lower * math.sqrt(removed) / sigma * noise_like(x, generator)
                x = torch.where(mask, image + lower * noise_like(x, generator), x)
                yield State(x, lower, level + 1, time)
        evaluate.finish()

    return states(x)


def ddim(
    score: Score, x: Tensor, sigmas: Tensor, *, eta: float = 0.0, generator: torch.Generator | None = None
) -> Iterator[State]:
    """Denoising diffusion implicit models on any ladder (Song, Meng & Ermon 2021, eq. 12); one evaluation a level.

    The noise that is guessed in x is scaled down to sigma_{i+1}, less what fresh noise takes its place. eta 1 adds as
    much as `ancestral`, and is that; eta 0 adds none, and is Euler's step of `probability_flow`.
    """
    check_points(x), check_generator(generator, x.device)
    ladder = check_ladder(sigmas).tolist()
    check_between("eta", eta, 0, 1)
    evaluate = Evaluations(score)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (sigma, lower) in enumerate(pairwise(ladder)):
            s = evaluate(x, sigma, level)
            fresh = eta * lower * math.sqrt(1 - (lower / sigma) ** 2)
            left = math.sqrt(lower**2 - fresh**2)
            x = x + sigma * (sigma - left) * s  # the clean image x + sigma^2 s, and `left` of the noise -sigma s
            x = x + fresh * noise_like(x, generator) if eta else x
            yield State(x, lower, level + 1, 0)
        evaluate.finish()

    return states(x)


def ddpm(
    net: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    alphas_bar: Tensor,
    *,
    steps: Sequence[int] | None = None,
    eta: float = 1.0,
    variance: Literal["posterior", "beta"] = "posterior",
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """DDPM in its own letters (Ho et al. 2020, Algorithm 2), and DDIM: x ~ N(0, I), net(x_t, t (B,)) guesses the noise.

    alphas_bar  (T,), falling. The index t = 0 ... T - 1 is their t = 1 ... T
    steps       the t that are visited, rising; all by default. Any of them will do (Song, Meng & Ermon 2021)
    eta         1 is DDPM; 0 adds no noise (DDIM)
    variance    of the fresh noise at eta 1: that of q(x_{t-1} | x_t, x_0), or beta_t; the last step adds none

    The State after the last step is the guess of x_0; `sigma` is the noise level in the letters of this package.
    """
    check_points(x), check_generator(generator, x.device), check_between("eta", eta, 0, 1)
    check_choice("variance", variance, ("posterior", "beta"))
    if variance == "beta" and eta != 1:
        raise ValueError("beta_t is a variance of DDPM's, eta = 1: leave out variance=, or eta=")
    kept, visited = exact(check_alphas_bar(alphas_bar)).tolist(), _visited(steps, len(alphas_bar))
    evaluate = _Guesses(net)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (t, before) in enumerate(pairwise([*reversed(visited), -1])):
            a, b = kept[t], kept[before] if before >= 0 else 1.0  # alpha_bar_t, alpha_bar_{t-1}
            beta, e = 1 - a / b, evaluate(x, t)
            posterior = beta * (1 - b) / (1 - a)
            left = math.sqrt(max(0.0, 1 - b - eta**2 * posterior))  # of the noise e
            x = math.sqrt(b / a) * (x - math.sqrt(1 - a) * e) + left * e
            fresh = eta * math.sqrt(posterior if variance == "posterior" else beta)
            x = x + fresh * noise_like(x, generator) if fresh and before >= 0 else x
            yield State(x, math.sqrt((1 - b) / b), level + 1, 0)
        evaluate.finish()

    return states(x)


class _Guesses(Looks):
    """DDPM's net as one run asks it: checked for its shape and for finite numbers."""

    def __init__(self, net: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net

    def __call__(self, x: Tensor, t: int) -> Tensor:
        e = shaped(self.net(x, torch.full((len(x),), t, device=x.device)), x, f" at step t = {t}")
        self.look_finite(e, _no_noise, t)
        return e.to(x.dtype)


def _no_noise(t: int) -> str:
    return f"the noise that the net guesses is NaN or infinite at step t = {t}: the net itself returns it"


def _visited(steps: Sequence[int] | None, n: int) -> list[int]:
    try:
        visited = list(range(n)) if steps is None else [operator.index(t) for t in steps]
    except TypeError:
        visited = []  # a number alone, or fractions
    if not visited or visited[0] < 0 or visited[-1] >= n or any(b <= a for a, b in pairwise(visited)):
        raise ValueError(f"steps are some of 0 to {n - 1}, rising, such as range(9, {n}, 10), not {steps}")
    return visited


# ---- in continuous time ---------------------------------------------------------------------------------------------
# A path is an SDE (sdes.py), or a ladder sigmas (L,), whose levels are times of EDM. x is in the letters of the SDE,
# and State.sigma is the noise level of x / scale, so that denoise(score, x / scale, sigma) guesses x_0.


def reverse_sde(
    score: Score,
    x: Tensor,
    path: SDE | Tensor,
    *,
    n_steps: int | None = None,
    denoising: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """The reverse SDE dx = [f x - g^2 score] dt + g dw, from T down to t_min (Song et al. 2021, eq. 6).

    By Euler and Maruyama, one evaluation a step. With denoising one more State is the guess of the clean x_0.
    """
    sde, times = path_of(path, n_steps, start=x)
    check_generator(generator, x.device)
    evaluate = OnPath(score, sde)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (t, before) in enumerate(pairwise(times)):
            dt, variance = t - before, sde.variance_rate(t) * (t - before)  # g^2 dt
            drift = sde.drift_rate(t) * dt * x - variance * evaluate(x, t, level)
            x = x - drift + math.sqrt(variance) * noise_like(x, generator)
            yield State(x, sde.sigma(before), level + 1, 0)
        if denoising:
            s, scale, sigma = evaluate(x, times[-1], level + 1), sde.scale(times[-1]), sde.sigma(times[-1])
            yield State((x + (scale * sigma) ** 2 * s) / scale, sigma, level + 1, 1)
        evaluate.finish()

    return states(x)


def predictor_corrector(
    score: Score,
    x: Tensor,
    path: SDE | Tensor,
    *,
    n_steps: int | None = None,
    snr: float = 0.16,
    generator: torch.Generator | None = None,
) -> Iterator[State]:
    """Reverse diffusion and Langevin steps in turn (Song et al. 2021, Algorithms 2 to 5); two evaluations a level.

    The forward chain x_t = r x_s + std z is undone by x_s = (2 - r) x_t + std^2 s + std z. The Langevin step
    x + a s + sqrt(2a) z has a = 2 r^2 (snr ||z|| / ||s||)^2 with mean squares over the batch, so that chains are not
    quite independent: with norms of its own a chain near a mode, where s is small, would be kicked out.
    The paper's ladder: VE(sigma_min, sigma_max).sigmas(n).
    """
    sde, times = path_of(path, n_steps, start=x)
    check_generator(generator, x.device)
    snr = check_positive("snr", snr)
    evaluate = OnPath(score, sde)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for level, (t, before) in enumerate(pairwise(times)):
            kept, added = sde.transition(before, t)
            x = (2 - kept) * x + added * evaluate(x, t, level) + math.sqrt(added) * noise_like(x, generator)
            s = evaluate(x, before, level + 1)
            a = 2 * (kept * snr) ** 2 / s.square().mean().clamp(min=1e-20)
            x = x + a * s + (2 * a).sqrt() * noise_like(x, generator)
            yield State(x, sde.sigma(before), level + 1, 0)
        evaluate.finish()

    return states(x)


def probability_flow(
    score: Score,
    x: Tensor,
    path: SDE | Tensor,
    *,
    n_steps: int | None = None,
    solver: Solver = "heun",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_evaluations: int = 10_000,
) -> Iterator[State]:
    """The flow dx/dt = f x - g^2 score / 2, whose x_t has the densities of the SDE too (Song et al. 2021, eq. 13).

    No noise is added: of a ladder, whose t is sigma, it is dx/dsigma = -sigma score(x, sigma).

    solver  "heun", as in Karras et al. 2022, asks twice a step and errs by the square of the step; "euler" asks once;
            "adaptive" (odes.py) chooses its steps for all rows together, so that the worst one errs by about atol +
            rtol |x| a step: of a ladder it needs the ends only, and of an SDE no n_steps. A State after each step
    """
    sde, times = path_of(path, n_steps, solver=solver, start=x)
    return _flow(score, x, sde, times, method_of(solver, rtol=rtol, atol=atol, max_evaluations=max_evaluations))


def encode(
    score: Score,
    x: Tensor,
    path: SDE | Tensor,
    *,
    n_steps: int | None = None,
    solver: Solver = "heun",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_evaluations: int = 10_000,
) -> Iterator[State]:
    """`probability_flow` upwards, from x at t_min to its noise at T (Song et al. 2021, section 4.3).

    x is in the letters of the SDE, as the last State of the flow downwards; `level` counts the steps.
    """
    sde, times = path_of(path, n_steps, solver=solver)
    check_points(x)
    return _flow(score, x, sde, times[::-1], method_of(solver, rtol=rtol, atol=atol, max_evaluations=max_evaluations))


def _flow(score: Score, x: Tensor, sde: SDE, times: Sequence[float], method: Method) -> Iterator[State]:
    evaluate = OnPath(score, sde)

    @torch.no_grad()
    def states(x: Tensor) -> Iterator[State]:
        for step, (t, after) in enumerate(method(evaluate.slope, x, times), start=1):
            yield State(after, sde.sigma(t), step, 0)
        evaluate.finish()

    return states(x)


class OnPath(Looks):
    """A score as a run under an SDE asks it: the gradient of log p_t at x_t, and the slope of the flow."""

    def __init__(self, score: Score, sde: SDE) -> None:
        super().__init__()
        self.score, self.sde = score, sde

    def __call__(self, x: Tensor, t: float, level: int) -> Tensor:
        """The gradient of log p_t at x_t (B, *D)."""
        scale, sigma = self.sde.scale(t), self.sde.sigma(t)
        data = x if scale == 1 else x / scale
        s = self.look_at_score(self.score(data, sigma), x, sigma, level)
        return s if scale == 1 else s / scale

    def slope(self, x: Tensor, t: float, level: int) -> Tensor:
        """dx/dt = f x - g^2 score / 2."""
        f, s = self.sde.drift_rate(t), self(x, t, level)
        pull = -self.sde.variance_rate(t) / 2 * s
        return f * x + pull if f else pull
