"""How likely a model finds data: log p(x) by the probability flow, in nats, and its bits a dimension.

Along the flow dx/dt = v(x, t) the density changes by d log p_t(x_t) / dt = -div v: log p(x) is that of the noise at the
end of the flow, plus the integral of div v on the way there (Song et al. 2021, appendix D.2). This file does NOT bound
anything: bounds.py has the bound of DDPM.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .checks import check_choice, check_count, check_generator, check_points, may_look
from .core import Score, gradient
from .diffusion import OnPath
from .losses import projection
from .odes import Slope, Solver, method_of
from .sdes import SDE, path_of
from .vae import gaussian_log_likelihood

DISTRIBUTIONS = ("rademacher", "gaussian")


def log_likelihood(
    score: Score,
    x: Tensor,
    path: SDE | Tensor,
    *,
    n_projections: int | None = 1,
    distribution: str = "rademacher",
    n_steps: int | None = None,
    solver: Solver = "adaptive",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_evaluations: int = 10_000,
    prior: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log p_t(x) at t = t_min, in nats, (B,), for x (B, *D) in the letters of the SDE (Song et al. 2021, eq. 39).

    n_projections  of the Hutchinson estimate v' (dv/dx) v of the divergence, drawn once for the whole flow: unbiased;
                   None: the exact trace, which takes D backward passes at each evaluation
    distribution   of the projections: "rademacher" or "gaussian"
    rtol           of log p as well, which is large in many dimensions: 1e-5 of a thousand nats are 0.01
    path, solver   as in `encode`. A net that knows its own levels only takes its ladder, with "heun" or "euler"
    prior          log density of x_T, (B, *D) -> (B,); by default that of sde.prior, which x_T has only nearly
    """
    sde, times = path_of(path, n_steps, solver=solver)
    check_points(x), check_generator(generator, x.device), check_choice("distribution", distribution, DISTRIBUTIONS)
    if len(times) < 2:
        raise ValueError("a ladder of one level is no path to the noise: give more of them, or its ends to `adaptive`")
    method = method_of(solver, rtol=rtol, atol=atol, max_evaluations=max_evaluations)
    n = 0 if n_projections is None else check_count("n_projections", n_projections)
    evaluate = OnPath(score, sde)
    with torch.inference_mode(False), torch.no_grad():  # inside an inference mode there would be no divergence
        directions = [projection(x, distribution, generator) for _ in range(n)]
        end = state = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)
        for _, end in method(_with_divergence(evaluate, x, directions), state, times[::-1]):  # noqa: B007
            pass
        evaluate.finish()
        noise, integral = end[:, :-1].reshape(x.shape), end[:, -1]
        return integral + _log_density(prior, noise, sde.prior_std)


def _with_divergence(evaluate: OnPath, x: Tensor, directions: list[Tensor]) -> Slope:
    """The slope v of the flow for states (B, D + 1): of points like x, and of the integral of div v beside them."""

    # tr(f I) by the same directions: where v is nearly 0, f u'u and u' (ds/dx) u cancel for each u, and not on average
    dim = torch.stack([_squares(u) for u in directions]).mean(0) if directions else x.shape[1:].numel()

    def slope(state: Tensor, t: float, step: int) -> Tensor:
        with torch.enable_grad():
            at = state[:, :-1].reshape(x.shape).detach().requires_grad_()
            s = evaluate(at, t, step)
            divergence = _projected(s, at, directions) if directions else _trace(s, at)
        f, pull = evaluate.sde.drift_rate(t), -evaluate.sde.variance_rate(t) / 2
        v, divergence = f * at.detach() + pull * s.detach(), f * dim + pull * divergence
        return torch.cat([v.flatten(1), divergence[:, None]], 1)

    return slope


def _log_density(prior: Callable[[Tensor], Tensor] | None, x: Tensor, std: float) -> Tensor:
    """Of x_T (B, *D), (B,): by the prior, or that of N(0, std^2 I)."""
    if prior is None:
        return gaussian_log_likelihood(x, torch.zeros_like(x), std)
    if not callable(prior):
        raise TypeError(f"prior is the log density of x_T, a function (B, *D) -> (B,), and not {prior!r}")
    log_p = prior(x)
    if not isinstance(log_p, Tensor) or log_p.shape != x.shape[:1]:
        got = tuple(log_p.shape) if isinstance(log_p, Tensor) else type(log_p).__name__
        raise ValueError(
            f"prior must return one number a row, shape ({len(x)},), not {got}: sum over the coordinates, as by .sum(1)"
        )
    return log_p


def bits_per_dim(log_p: Tensor, dim: int, levels: int) -> Tensor:
    """Bits a dimension, in the shape of log_p, which is the density in nats of x = (k + u) / levels in [0, 1]^dim.

    k is one of so many grey levels, and u uniform in [0, 1): a bound, on average over u, of -log2 p(k) / dim (Theis et
    al. 2016). A uniform density scores log2(levels). For another unit of x add log2 of how many of them are 1.
    """
    dim, levels = check_count("dim", dim), check_count("levels", levels, least=2)
    return math.log2(levels) - log_p / (dim * math.log(2))


def bits_of_images(
    score: Score,
    images: Tensor,
    path: SDE | Tensor,
    *,
    levels: int = 256,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Tensor:
    """Bits a pixel for images (B, C, H, W) in [0, 1] of so many grey levels, k / (levels - 1), (B,).

    The score is that of images in [0, 1] (Song et al. 2021, table 2). One draw u for each pixel fills the cell around
    its grey: x = (k + u - 1/2) / (levels - 1). options  of `log_likelihood`
    """
    check_points(images), check_generator(generator, images.device)
    if may_look(images) and not ((images >= 0) & (images <= 1)).all():
        low, high = images.min().item(), images.max().item()
        raise ValueError(f"images are in [0, 1] here, not from {low:.4g} to {high:.4g}: pass (x + 1) / 2, or x / 255")
    u = torch.rand(images.shape, generator=generator, dtype=images.dtype, device=images.device)
    dim, cell = images.shape[1:].numel(), 1 / (check_count("levels", levels, least=2) - 1)
    log_p = log_likelihood(score, images + (u - 0.5) * cell, path, generator=generator, **options)
    return bits_per_dim(log_p + dim * math.log(levels * cell), dim, levels)  # y = (k + u) / levels is in [0, 1]


def _squares(u: Tensor) -> Tensor:
    return u.flatten(1).square().sum(1)


def _projected(s: Tensor, x: Tensor, directions: list[Tensor]) -> Tensor:
    """The mean of u' (ds/dx) u over directions u, (B,)."""
    products = (gradient(s, x, u, "score", retain=True) * u for u in directions)
    return torch.stack([product.flatten(1).sum(1) for product in products]).mean(0)


def _trace(s: Tensor, x: Tensor) -> Tensor:
    """The trace of ds/dx, (B,), one backward pass for each coordinate."""
    trace, ones = x.new_zeros(len(x)), x.new_ones(len(x))
    for i, column in enumerate(s.flatten(1).unbind(1)):
        trace = trace + gradient(column, x, ones, "score", retain=True).flatten(1)[:, i]
    return trace
