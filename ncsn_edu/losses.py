"""Score-matching losses: four ways to learn a score, each returning one number per example, shape (B,).

x has any shape (B, *D); sigma is a float or (B,). All are written for one example and summed over its D coordinates, so
that a mean over the batch is the paper's expectation. `implicit` and `sliced` differentiate the score with respect to
x, which assumes that row b of the result depends on row b of x alone (no batch normalisation). Called under
torch.no_grad they return plain numbers; otherwise they can be differentiated with respect to the parameters.
This file does NOT train: train.py does.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .checks import check_count, check_generator, check_ladder, check_noise, check_points, check_sigma
from .core import Score, expand_like, noise_like

_IGNORES = (
    "it does not depend on x, or was detached from it (no_grad, detach, NumPy) on the way. Its trace would pass for 0; "
    "a score that is meant to be constant can return constant + 0 * x"
)


def explicit(score: Score, x: Tensor, true_score: Score, sigma: float | Tensor = 0.0) -> Tensor:
    """Explicit score matching, 1/2 ||s(x, sigma) - grad log p_sigma(x)||^2 (Hyvarinen 2005, section 2); x ~ p_sigma.

    Needs the very score that is sought: a yardstick for closed forms, not a way to learn.
    """
    check_points(x)
    return 0.5 * _dot(_shaped(score(x, sigma), x) - _shaped(true_score(x, sigma), x))


def implicit(score: Score, x: Tensor, sigma: float | Tensor = 0.0, *, rows_at_once: int = 1) -> Tensor:
    """Implicit score matching, tr(grad s(x)) + 1/2 ||s(x)||^2 (Song & Ermon 2019, eq. 1); x ~ p_sigma.

    Hyvarinen 2005, Theorem 1: in expectation it is `explicit` minus the constant 1/2 E||grad log p_sigma||^2, if p s
    vanishes at infinity. The trace is exact: one backward pass for each of the D coordinates, `rows_at_once` of them
    in one call (memory grows with that number).
    """
    x, s = _differentiable(score, x, sigma)
    trace = sum(g.sum(0) for g in _jacobian_diagonal(s, x, check_count("rows_at_once", rows_at_once)))
    return trace + 0.5 * _dot(s)


def sliced(
    score: Score,
    x: Tensor,
    sigma: float | Tensor = 0.0,
    *,
    n_projections: int = 1,
    distribution: str = "rademacher",
    variance_reduced: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sliced score matching, v'(grad s)v + 1/2 ||s||^2 (Song & Ermon 2019, eq. 3), averaged over n_projections of v.

    This is the variance-reduced form ("SSM-VR" of Song et al. 2019); without variance_reduced the second term is
    1/2 (v's)^2. Both are unbiased for `implicit`, as E[vv'] = I for each distribution: "rademacher" (signs),
    "gaussian", "sphere" (uniform, of length sqrt(D)).
    """
    x, s = _differentiable(score, x, sigma)
    check_generator(generator, x.device)
    total = 0.5 * _dot(s) if variance_reduced else x.new_zeros(len(x))
    for _ in range(check_count("n_projections", n_projections)):
        v = projection(x, distribution, generator)
        term = _dot(v, _vjp(s, x, v))  # v'(grad s)v by one vector-Jacobian product
        total = total + (term if variance_reduced else term + 0.5 * _dot(v, s) ** 2) / n_projections
    return total


def dsm(score: Score, x: Tensor, sigma: float | Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Denoising score matching at x~ = x + sigma z, weighted by lambda = sigma^2: 1/2 ||sigma s(x~, sigma) + z||^2.

    Vincent 2011; Song & Ermon 2019, eq. 5, with the weight of eq. 6. x is clean. In expectation it is sigma^2 times
    `explicit` to p_sigma, plus a floor that no score can get below (`dsm_floor`). A score of zero costs D/2.
    """
    check_points(x), check_generator(generator, x.device)
    check_noise(sigma, "denoising needs noise")
    sigmas = expand_like(sigma, x)
    z = noise_like(x, generator)
    return 0.5 * _dot(sigmas * _shaped(score(x + sigmas * z, sigma), x) + z)


def multilevel_dsm(score: Score, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """`dsm` at a random level of the ladder sigmas (L,) for each example (Song & Ermon 2019, eq. 6)."""
    sigmas = check_ladder(sigmas).to(x)
    return dsm(score, x, sigmas[random_levels(x, len(sigmas), generator)], generator=generator)


def random_levels(x: Tensor, n_levels: int, generator: torch.Generator | None = None) -> Tensor:
    """A place on the ladder for each row of x, uniform on 0 ... n_levels - 1, shape (B,) (Song & Ermon 2019, eq. 6)."""
    check_generator(generator, x.device)
    return torch.randint(n_levels, (len(x),), generator=generator, device=x.device)


def sigmas_between(x: Tensor, sigmas: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Noise levels for the rows of x, uniform in their logarithm between the ends of a ladder (L,); the nearest rungs.

    Shapes (B,) and (B,). For nets that take any sigma, whose samplers choose ladders of their own: sigma is spread as
    in the geometric ladder of Song et al. 2021 (VE) for continuous t.
    """
    check_generator(generator, x.device)
    u = torch.rand(len(x), generator=generator, dtype=sigmas.dtype, device=x.device)
    ladder = sigmas.log()
    return _with_rungs(torch.lerp(ladder[0], ladder[-1], u), ladder)


def log_normal_sigmas(
    x: Tensor, sigmas: Tensor, mean: float, std: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Noise levels for the rows of x, with a Gaussian logarithm, cut off at the ends of a ladder (L,); nearest rungs.

    Shapes (B,) and (B,). Most examples go where something can be learned: far below the middle the noise cannot be
    seen, far above nothing else can (Karras et al. 2022, section 5 and table 1: P_mean, P_std).
    """
    check_generator(generator, x.device)
    normal = torch.randn(len(x), generator=generator, dtype=sigmas.dtype, device=x.device)
    ladder = sigmas.log()
    return _with_rungs((mean + std * normal).clamp(ladder[-1], ladder[0]), ladder)


def _with_rungs(log_sigma: Tensor, log_ladder: Tensor) -> tuple[Tensor, Tensor]:
    """The noise levels (B,) of these logarithms, and the nearest rung (B,) of each."""
    return log_sigma.exp(), (log_sigma[:, None] - log_ladder).abs().argmin(1)


def dsm_floor(
    true_score: Score,
    x: Tensor,
    sigma: float | Tensor,
    *,
    rows_at_once: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What the best possible score costs under `dsm`, per example, shape (B,): 1/2 tr Cov(z | x~), x clean.

    The covariance is I + sigma^2 grad s*(x~), Tweedie's formula of second order (Efron 2011), so that true_score must
    be differentiable in x. The mean over examples is unbiased at every sigma; its standard error is std / sqrt(B). Each
    value is the conditional mean of dsm(true_score, ...) given x~, and therefore never scatters more (Rao-Blackwell);
    for a Gaussian it does not scatter at all. The trace is that of `implicit`: D backward passes.
    """
    check_points(x), check_generator(generator, x.device)
    sigmas = expand_like(check_sigma(sigma), x)
    with torch.no_grad():  # a property of the data: nobody differentiates it
        noisy, s = _differentiable(true_score, x + sigmas * noise_like(x, generator), sigma)
        trace = sum(g.sum(0) for g in _jacobian_diagonal(s, noisy, check_count("rows_at_once", rows_at_once)))
        return 0.5 * (x[0].numel() + sigmas.flatten() ** 2 * trace)


def projection(x: Tensor, distribution: str, generator: torch.Generator | None = None) -> Tensor:
    """Random directions v in the shape of x with E[vv'] = I over the coordinates of an example."""
    if distribution == "gaussian":
        return noise_like(x, generator)
    if distribution == "rademacher":
        return torch.randint(0, 2, x.shape, generator=generator, device=x.device).to(x.dtype) * 2 - 1
    if distribution == "sphere":
        v = noise_like(x, generator)
        return v * expand_like((x[0].numel() / _dot(v)).sqrt(), x)
    raise ValueError(f"distribution must be 'rademacher', 'gaussian' or 'sphere', not {distribution!r}")


def _dot(a: Tensor, b: Tensor | None = None) -> Tensor:
    """<a, b> (or ||a||^2) of each example, shape (B,)."""
    return (a * (a if b is None else b)).flatten(1).sum(1)


def _shaped(s: Tensor, x: Tensor) -> Tensor:
    """The score, if it has the shape of x: another one could be broadcast into a loss that means nothing."""
    if not isinstance(s, Tensor) or s.shape != x.shape:
        found = f"shape {tuple(s.shape)}" if isinstance(s, Tensor) else f"type {type(s).__name__}"
        raise ValueError(f"a score has the shape of x, {tuple(x.shape)}, but this one returned {found}")
    return s


def _differentiable(score: Score, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    """x as a leaf and score(x, sigma) with the graph between them, also under no_grad."""
    check_points(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        s = _shaped(score(x, sigma), x)
    if not s.requires_grad:
        raise ValueError(f"the score has no gradient at all: {_IGNORES}")
    return x, s


def _vjp(s: Tensor, x: Tensor, v: Tensor, *, batched: bool = False) -> Tensor:
    """v'(grad s), in the shape of x; with batched, for each of several v stacked in front, in one call."""
    options = {"create_graph": torch.is_grad_enabled(), "retain_graph": True, "allow_unused": True}
    product = torch.autograd.grad(s, x, v, is_grads_batched=batched, **options)[0]
    if product is None:
        raise ValueError(f"the score has no gradient with respect to x: {_IGNORES}")
    return product


def _jacobian_diagonal(s: Tensor, x: Tensor, rows_at_once: int) -> Iterator[Tensor]:
    """Yields d s_i / d x_i for `rows_at_once` coordinates i at a time, shape (rows, B)."""
    dim = s[0].numel()
    for first in range(0, dim, rows_at_once):
        i = torch.arange(first, min(first + rows_at_once, dim), device=x.device)
        unit = torch.zeros(len(i), dim, dtype=s.dtype, device=x.device).scatter_(1, i[:, None], 1.0)
        unit = unit.view(len(i), 1, *x.shape[1:]).expand(-1, len(x), *x.shape[1:])  # (rows, B, *D), e_i in each row
        rows = _vjp(s, x, unit, batched=True).flatten(2)  # (rows, B, D): row i of every example's Jacobian
        yield rows.gather(2, i[:, None, None].expand(-1, len(x), 1))[:, :, 0]
