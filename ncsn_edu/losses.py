"""Score-matching losses: four ways to learn a score, each returning one number per example, shape (B,).

x has any shape (B, *D); sigma is a float or (B,). All are written for one example and summed over its D coordinates, so
that a mean over the batch is the paper's expectation. `implicit` and `sliced` differentiate the score with respect to
x, which assumes that row b of the result depends on row b of x alone (no batch normalisation). Called under
torch.no_grad they return plain numbers; otherwise they can be differentiated with respect to the parameters.
`Denoising` is the objective that noise-conditional nets are trained with. This file does NOT train: training.py does.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import (
    check_count,
    check_generator,
    check_ladder,
    check_noise,
    check_points,
    check_share,
    check_sigma,
    may_look,
)
from .core import Score, differentiating, expand_like, gradient, noise_like, shaped
from .schedules import nearest_level

_IGNORES = (
    "it does not depend on x, or was detached from it (no_grad, detach, NumPy) on the way. Its trace would pass for 0; "
    "a score that is meant to be constant can return constant + 0 * x"
)


def explicit(score: Score, x: Tensor, true_score: Score, sigma: float | Tensor = 0.0) -> Tensor:
    """Explicit score matching, 1/2 ||s(x, sigma) - grad log p_sigma(x)||^2 (Hyvarinen 2005, section 2); x ~ p_sigma.

    Needs the very score that is sought: a yardstick for closed forms, not a way to learn.
    """
    check_points(x)
    return 0.5 * _dot(shaped(score(x, sigma), x) - shaped(true_score(x, sigma), x))


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
    return 0.5 * _dot(sigmas * shaped(score(x + sigmas * z, sigma), x) + z)


def flow_matching(
    velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """1/2 ||velocity(x_t, t) - (z - x)||^2 at x_t = (1 - t) x + t z, of clean x (B, *D) and times t (B,), shape (B,).

    Lipman et al. 2023, eq. 23 with sigma_min = 0 and their 1 - t. `dsm` times (1 + sigma)^2 at
    sigma = t / (1 - t), of the score that `FlowScore` makes of the velocity. At t = 0 and 1 it has a meaning as well.
    """
    check_points(x), check_generator(generator, x.device)
    if t.shape != x.shape[:1] or (may_look(t) and not ((t >= 0) & (t <= 1)).all()):
        raise ValueError(f"t are times from 0, the data, to 1, the noise, one a row: shape ({len(x)},)")
    z, times = noise_like(x, generator), expand_like(t, x)
    return 0.5 * _dot(shaped(velocity((1 - times) * x + times * z, t), x) - (z - x))


class Losses(NamedTuple):
    """What an objective returns for a batch; a tensor of losses (B,) says the same without weights and levels."""

    losses: Tensor  # (B,), as they are reported
    weighted: Tensor  # (B,), whose mean is minimised
    level: Tensor | None = None  # (B,), the place on the ladder that is nearest to each noise level


Draw = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]  # (x (B, *D), sigmas (L,), generator) -> sigma (B,)


class Denoising:
    """The objective of noise-conditional nets: `dsm` at a random level for each example (Song & Ermon 2019, eq. 6).

    sigmas      the ladder (L,)
    draw        how the levels are drawn from it: `random_sigmas` (the paper's), `sigmas_between`, `log_normal_sigmas`,
                or your own (x (B, *D), sigmas, generator) -> sigma (B,)
    weight      sigma (B,) -> (B,): how much the loss of an example counts; the losses are reported without it
    reported    a coarser ladder that losses are sorted by when they are reported; the ladder itself by default
    unlabelled  the share of examples whose label, where there are labels, is hidden from the net: -1 takes its place,
                and one net learns the score of all images and that of each class (Ho & Salimans 2022)
    generator   draws labels to hide, levels and noise, on the device of the batches
    """

    def __init__(
        self,
        sigmas: Tensor,
        *,
        draw: Draw | None = None,
        weight: Callable[[Tensor], Tensor] | None = None,
        reported: Tensor | None = None,
        unlabelled: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        self.sigmas, self.draw, self.weight = check_ladder(sigmas), draw or random_sigmas, weight
        self.reported = self.sigmas if reported is None else check_ladder(reported)
        self.unlabelled, self.generator = check_share("unlabelled", unlabelled), generator

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """What it draws from: their states are needed to resume exactly."""
        return (self.generator,)

    def __call__(self, score: Callable[..., Tensor], x: Tensor, label: Tensor | None = None) -> Losses:
        """Losses of clean x (B, *D), and of their labels (B,), which are passed on as score(x, sigma, label=label)."""
        check_generator(self.generator, x.device)
        if label is not None:
            hidden = torch.rand(len(x), generator=self.generator, device=x.device) < self.unlabelled
            score = partial(score, label=label.masked_fill(hidden, -1))
        self.sigmas, self.reported = self.sigmas.to(x.device), self.reported.to(x.device)  # once: later they are there
        sigma = self.draw(x, self.sigmas, self.generator)
        losses = dsm(score, x, sigma.to(x), generator=self.generator)
        weighted = losses if self.weight is None else self.weight(sigma.to(x)) * losses
        return Losses(losses, weighted, nearest_level(sigma, self.reported)[0])


class Slicing:
    """The objective of Song & Ermon 2019, Fig. 1: `sliced`, variance reduced, on data with noise sigma.

    n_projections and distribution are those of `sliced`; noise and slices are the generators of z and v.
    """

    def __init__(
        self,
        sigma: float,
        *,
        n_projections: int = 1,
        distribution: str = "rademacher",
        noise: torch.Generator | None = None,
        slices: torch.Generator | None = None,
    ) -> None:
        self.sigma, self.n_projections, self.distribution = check_sigma(sigma), n_projections, distribution
        self.noise, self.slices = noise, slices

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """What it draws from: their states are needed to resume exactly."""
        return self.noise, self.slices

    def __call__(self, score: Score, x: Tensor) -> Tensor:
        """Losses (B,) of clean x (B, *D)."""
        noisy = x + self.sigma * noise_like(x, self.noise)
        n, distribution = self.n_projections, self.distribution
        return sliced(score, noisy, self.sigma, n_projections=n, distribution=distribution, generator=self.slices)


class Classification:
    """The objective of a classifier: cross-entropy, in nats, of x (B, *D) after a random change that keeps its class.

    augment  (x, generator) -> x
    """

    def __init__(self, augment: Callable[[Tensor, torch.Generator], Tensor], generator: torch.Generator) -> None:
        self.augment, self.generator, self.generators = augment, generator, (generator,)

    def __call__(self, model: Callable[[Tensor], Tensor], x: Tensor, label: Tensor) -> Tensor:
        """Losses (B,) of clean x (B, *D) and its labels (B,)."""
        return F.cross_entropy(model(self.augment(x, self.generator)), label, reduction="none")


class NoisyClassification:
    """The objective of a classifier that is told the noise: cross-entropy, in nats, of x + sigma z.

    The noise is all that changes an image. sigmas is the ladder (L,), from which `draw` takes a level for each example
    as in Denoising.
    """

    def __init__(self, sigmas: Tensor, *, draw: Draw | None = None, generator: torch.Generator) -> None:
        self.sigmas, self.draw = check_ladder(sigmas), draw or random_sigmas
        self.generator, self.generators = generator, (generator,)

    def __call__(self, model: Callable[[Tensor, Tensor], Tensor], x: Tensor, label: Tensor) -> Losses:
        """Losses of clean x (B, *D) and its labels (B,)."""
        self.sigmas = self.sigmas.to(x.device)  # once: later they are there
        sigma = self.draw(x, self.sigmas, self.generator).to(x)
        noisy = x + expand_like(sigma, x) * noise_like(x, self.generator)
        losses = F.cross_entropy(model(noisy, sigma), label, reduction="none")
        return Losses(losses, losses, nearest_level(sigma, self.sigmas)[0])


def multilevel_dsm(score: Score, x: Tensor, sigmas: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """`dsm` at a random level of the ladder sigmas (L,) for each example (Song & Ermon 2019, eq. 6)."""
    return Denoising(sigmas, generator=generator)(score, x).losses


def random_sigmas(x: Tensor, sigmas: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A level of the ladder (L,) for each row of x, all equally likely, shape (B,) (Song & Ermon 2019, eq. 6)."""
    return sigmas[torch.randint(len(sigmas), (len(x),), generator=generator, device=x.device)]


def sigmas_between(x: Tensor, sigmas: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Noise levels for the rows of x, uniform in their logarithm between the ends of a ladder (L,), shape (B,).

    For nets that take any sigma, whose samplers choose ladders of their own: sigma is spread as in the geometric ladder
    of Song et al. 2021 (VE) for continuous t.
    """
    u = torch.rand(len(x), generator=generator, dtype=sigmas.dtype, device=x.device)
    return torch.lerp(sigmas[0].log(), sigmas[-1].log(), u).exp()


def log_normal_sigmas(
    x: Tensor, sigmas: Tensor, generator: torch.Generator | None = None, *, mean: float, std: float
) -> Tensor:
    """Noise levels for the rows of x with a Gaussian logarithm, cut off at the ends of a ladder (L,), shape (B,).

    Most examples go where something can be learned: far below the middle the noise cannot be seen, far above nothing
    else can (Karras et al. 2022, section 5 and table 1: P_mean, P_std).
    """
    normal = torch.randn(len(x), generator=generator, dtype=sigmas.dtype, device=x.device)
    return (mean + std * normal).clamp(sigmas[-1].log(), sigmas[0].log()).exp()


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


def _differentiable(score: Score, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    """x as a leaf and score(x, sigma) with the graph between them, also under no_grad."""
    check_points(x)
    with differentiating(x, sigma) as (x, sigma):
        x = x.detach().requires_grad_()
        s = shaped(score(x, sigma), x)
    if not s.requires_grad:
        raise ValueError(f"the score has no gradient at all: {_IGNORES}")
    return x, s


def _vjp(s: Tensor, x: Tensor, v: Tensor, *, batched: bool = False) -> Tensor:
    """v'(grad s), in the shape of x; with batched, for each of several v stacked in front, in one call."""
    return gradient(s, x, v, "score", retain=True, again=torch.is_grad_enabled(), batched=batched)


def _jacobian_diagonal(s: Tensor, x: Tensor, rows_at_once: int) -> Iterator[Tensor]:
    """Yields d s_i / d x_i for `rows_at_once` coordinates i at a time, shape (rows, B)."""
    dim = s[0].numel()
    for first in range(0, dim, rows_at_once):
        i = torch.arange(first, min(first + rows_at_once, dim), device=x.device)
        unit = torch.zeros(len(i), dim, dtype=s.dtype, device=x.device).scatter_(1, i[:, None], 1.0)
        unit = unit.view(len(i), 1, *x.shape[1:]).expand(-1, len(x), *x.shape[1:])  # (rows, B, *D), e_i in each row
        rows = _vjp(s, x, unit, batched=True).flatten(2)  # (rows, B, D): row i of every example's Jacobian
        yield rows.gather(2, i[:, None, None].expand(-1, len(x), 1))[:, :, 0]
