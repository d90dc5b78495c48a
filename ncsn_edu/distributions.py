"""Distributions whose score is known in closed form, at every noise level: mixtures, boxes, and finite data.

Each is a Score: `distribution(x, sigma)` is grad_x log p_sigma(x). They are the ground truth that samplers, losses and
networks are held against. This file does NOT learn anything.
"""

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from .checks import (
    check_count,
    check_generator,
    check_linear,
    check_noise,
    check_orthogonal,
    check_points,
    check_positive,
    check_sigma,
)
from .core import exact, expand_like, uncorrelated

LOG_2PI = math.log(2 * math.pi)
Parameters = tuple[Tensor, Tensor, Tensor, Tensor | None]  # log weights, means, eigenvalues, eigenvectors


class GaussianMixture:
    """sum_k w_k N(mu_k, S_k) in D dimensions, and its perturbation by noise, in closed form.

    means (K, D). covariances are VARIANCES: a number, one per component (K,), per coordinate (K, D), or full
    matrices (K, D, D). weights (K,) sum to one; equal weights by default.

    Adding noise of standard deviation sigma adds sigma^2 I to every S_k, not instead of it. With
    S_k = U_k diag(lambda_k) U_k', computed once, the sum has the same eigenvectors and the eigenvalues
    lambda_k + sigma^2, so one formula serves every sigma, also a different one in each row of x.

    Parameters are kept in float64; results have the dtype and device of x. `sample` uses the dtype and device of the
    means. Raises ValueError for weights, covariances, points or sigmas that make no sense, and says why.
    """

    def __init__(
        self,
        means: Tensor | Sequence[Any],
        covariances: float | Tensor | Sequence[Any] = 1.0,
        weights: Tensor | Sequence[float] | None = None,
    ) -> None:
        means = torch.as_tensor(means)
        means = means if means.is_floating_point() else means.to(torch.get_default_dtype())
        if means.ndim != 2 or 0 in means.shape:
            hint = "; for components on a line use means[:, None]" if means.ndim == 1 else ""
            raise ValueError(f"means must have shape (K, D), not {tuple(means.shape)}{hint}")
        if not means.isfinite().all():
            raise ValueError("means must be finite numbers")
        self.dtype, self.device = means.dtype, means.device
        self.means = exact(means)  # (K, D)
        self.weights = _weights(weights, len(means))  # (K,)
        self._eigenvalues, self._eigenvectors = _spectrum(covariances, *means.shape)  # (K, D), (K, D, D) or None
        self._casts: dict[tuple[torch.dtype, torch.device], Parameters] = {}

    def __repr__(self) -> str:
        return f"GaussianMixture({self.n_components} components in {self.dim}-D)"

    @property
    def dim(self) -> int:
        """D, the number of coordinates."""
        return self.means.shape[1]

    @property
    def n_components(self) -> int:
        """K, the number of components."""
        return self.means.shape[0]

    @property
    def covariances(self) -> Tensor:
        """The full covariance matrices S_k, shape (K, D, D), float64."""
        u = torch.eye(self.dim, dtype=torch.float64) if self._eigenvectors is None else self._eigenvectors
        return (u * self._eigenvalues[:, None, :]) @ u.mT

    # ---- densities and scores ---------------------------------------------------------------------------

    def __call__(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Score of p_sigma at x (B, D), shape (B, D): sum_k r_k(x) (S_k + sigma^2 I)^-1 (mu_k - x)."""
        return self._pull(x, *self._joint(x, sigma))

    def score(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """The same as calling the mixture: grad_x log p_sigma(x), shape (B, D)."""
        return self(x, sigma)

    def log_prob(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """log p_sigma(x), shape (B,), in nats."""
        return self._joint(x, sigma)[0].logsumexp(0)

    def log_prob_and_score(self, x: Tensor, sigma: float | Tensor = 0.0) -> tuple[Tensor, Tensor]:
        """log p_sigma(x) (B,) and its gradient (B, D), in one pass: what mala asks for."""
        log_joint, y, variance = self._joint(x, sigma)
        return log_joint.logsumexp(0), self._pull(x, log_joint, y, variance)

    def _pull(self, x: Tensor, log_joint: Tensor, y: Tensor, variance: Tensor) -> Tensor:
        r = log_joint.softmax(0)  # (K, B) responsibilities p(k | x): the only place where the weights enter
        pull = -y / variance  # (K, D, B) scores of the components, in each one's eigenbasis
        u = self._on(x)[3]
        pull = pull if u is None else u @ pull
        return (r[:, None, :] * pull).sum(0).mT.contiguous()

    def responsibilities(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Posterior probability of each component given x, shape (B, K); rows sum to one."""
        return self._joint(x, sigma)[0].softmax(0).mT

    def logits(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """log w_k N(x; mu_k, S_k + sigma^2 I), shape (B, K): the best classifier of the components there can be."""
        return self._joint(x, sigma)[0].mT

    def _joint(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k N(x; mu_k, S_k + sigma^2 I) (K, B); x - mu_k in the eigenbasis (K, D, B); its variances.

        The batch comes last: sums over few coordinates are then sums of long rows, four times as fast in 2-D.
        """
        check_points(x, self.dim)
        log_weights, means, eigenvalues, u = self._on(x)
        check_sigma(sigma)
        sigma = expand_like(sigma, x).mT if isinstance(sigma, Tensor) and sigma.ndim else sigma
        variance = eigenvalues[:, :, None] + sigma**2  # (K, D, 1), or (K, D, B) for one sigma per row
        y = x.mT.contiguous() - means[:, :, None]  # (K, D, B)
        y = y if u is None else u.mT @ y
        log_normal = -0.5 * ((y**2 / variance).sum(1) + (variance.log() + LOG_2PI).sum(1))  # (K, B)
        return log_weights[:, None] + log_normal, y, variance

    def _on(self, x: Tensor) -> Parameters:
        """(log weights, means, eigenvalues, eigenvectors) in the dtype and on the device of x, cast once."""
        key = (x.dtype, x.device)
        if key not in self._casts:
            log_weights, means, eigenvalues = (
                p.to(x.device, x.dtype) for p in (self.weights.log(), self.means, self._eigenvalues)
            )
            u = self._eigenvectors
            self._casts[key] = log_weights, means, eigenvalues, None if u is None else u.to(x.device, x.dtype)
        return self._casts[key]

    # ---- samples and other distributions ----------------------------------------------------------------

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n independent samples, shape (n, D), in the dtype and on the device of the means."""
        n = check_count("n", n)
        check_generator(generator, self.device)
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        log_weights, means, eigenvalues, u = self._on(like)
        k = torch.multinomial(log_weights.exp(), n, replacement=True, generator=generator)
        z = torch.randn(n, self.dim, generator=generator, dtype=self.dtype, device=self.device)
        y = z * eigenvalues.sqrt()[k]
        y = y if u is None else (u[k] @ y[:, :, None]).squeeze(-1)
        return means[k] + y

    def perturb(self, sigma: float) -> "GaussianMixture":
        """The mixture after adding noise N(0, sigma^2 I): p_sigma itself, as a GaussianMixture."""
        if isinstance(sigma, Tensor) and sigma.numel() != 1:
            raise ValueError("perturb takes one sigma; for one per row call the mixture itself: mixture(x, sigma)")
        variance = float(check_sigma(sigma)) ** 2
        noisy = copy(self)  # the same eigenvectors, wider
        noisy._eigenvalues, noisy._casts = self._eigenvalues + variance, {}
        return noisy

    def posterior(self, mask: Tensor | Sequence[float], known: Tensor | Sequence[float]) -> "GaussianMixture":
        """The conditional p(missing coordinates | known ones): the truth that inpainting aims at.

        mask (D,), 1 = known. known: the whole point (D,), of which the entries with mask 0 are never looked at, or only
        the known values, in order. Returns a mixture over the missing coordinates, in order: each component is
        conditioned (Schur complement) and weighs as much as it explains the known ones.
        """
        known_at, values = _known(mask, known, self.dim)
        missing_at = ~known_at
        covariances = self.covariances
        s_kk = covariances[:, known_at][:, :, known_at]
        s_mk = covariances[:, missing_at][:, :, known_at]
        s_mm = covariances[:, missing_at][:, :, missing_at]
        off = (values - self.means[:, known_at])[..., None]  # (K, n_known, 1)
        means = self.means[:, missing_at] + (s_mk @ torch.linalg.solve(s_kk, off)).squeeze(-1)
        schur = s_mm - s_mk @ torch.linalg.solve(s_kk, s_mk.mT)
        weights = self.weights
        if known_at.any():
            marginal = GaussianMixture(self.means[:, known_at], s_kk, self.weights)
            weights = marginal.responsibilities(values[None])[0]
        return self._like(means, schur, weights)

    def given(self, operator: Tensor, y: Tensor | Sequence[float], *, noise: float) -> "GaussianMixture":
        """The posterior p(x | y) of y = A x + noise z with A = operator (M, D), y (M,), noise > 0, z ~ N(0, I).

        It is the truth of every linear inverse problem. As a Score it is that of this mixture and the gradient of
        log p(y | x, sigma), together and exactly: each component is conditioned (Kalman's gain) and weighs as much as
        it explains y. Without noise the posterior lies on a plane: see `rotated`.
        """
        a, values = check_linear(exact(operator), exact(y), self.dim)
        if noise == 0:
            raise ValueError(
                "noise must be above 0, as without noise the posterior lies on a plane: "
                "use mixture.rotated(completed(A)).posterior(...)"
            )
        if values.ndim > 1:
            raise ValueError(f"a posterior is that of one y, shape ({len(a)},), not {tuple(values.shape)}")
        variance = check_positive("noise", noise) ** 2
        a, values, _ = uncorrelated(a, values)
        s, eye = self.covariances, torch.eye(self.dim, dtype=torch.float64)
        of_y = a @ s @ a.mT + variance * torch.eye(len(a), dtype=torch.float64)  # (K, M, M)
        gain = torch.linalg.solve(of_y, a @ s).mT  # (K, D, M)
        means = self.means + (gain @ (values - self.means @ a.mT)[..., None]).squeeze(-1)
        left = eye - gain @ a
        covariances = left @ s @ left.mT + variance * gain @ gain.mT  # Joseph's form: positive in finite precision
        weights = GaussianMixture(self.means @ a.mT, (of_y + of_y.mT) / 2, self.weights).responsibilities(values[None])
        return self._like(means, covariances, weights[0])

    def rotated(self, basis: Tensor) -> "GaussianMixture":
        """The distribution of u = R x, with an orthogonal R = basis (D, D): `posterior` then knows rows of R x.

        In the basis `completed(A)` the first coordinates say what y = A x says, so that noise-free y is inpainting.
        """
        r = check_orthogonal(exact(basis), self.dim)
        return self._like(self.means @ r.mT, r @ self.covariances @ r.mT, self.weights)

    def _like(self, means: Tensor, covariances: Tensor, weights: Tensor) -> "GaussianMixture":
        """A mixture that samples in the dtype and on the device of this one."""
        mixture = GaussianMixture(means, (covariances + covariances.mT) / 2, weights)
        mixture.dtype, mixture.device = self.dtype, self.device
        return mixture


class Empirical:
    """The distribution of a finite data set: a point mass at each row of data (N, *D).

    Its perturbation is a mixture of N Gaussians of variance sigma^2 on the data, so the score is known:
    (E[x | x~] - x~) / sigma^2 with E[x | x~] a softmax-weighted mean of the data (Tweedie; "ideal denoiser").
    Nothing is learned, nothing generalises: sampling from it returns the data. Memory grows like B x N.
    """

    def __init__(self, data: Tensor) -> None:
        self.data = check_points(data)
        if not len(data):
            raise ValueError("a data set needs at least one point, but data has none")

    def __repr__(self) -> str:
        return f"Empirical({len(self.data)} points of shape {tuple(self.data.shape[1:])})"

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Score of p_sigma at x (B, *D), shape (B, *D), for sigma > 0 (else ValueError)."""
        return (self.denoise(x, sigma) - x) / expand_like(sigma, x) ** 2

    def denoise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """E[clean | noisy = x], shape (B, *D): sum_j softmax_j(-||x - data_j||^2 / (2 sigma^2)) data_j."""
        check_points(x)
        if x.shape[1:] != self.data.shape[1:]:
            raise ValueError(f"x must have shape (B, {', '.join(map(str, self.data.shape[1:]))}), not {tuple(x.shape)}")
        check_noise(sigma, "a finite data set has no score without noise")
        data = self.data.to(x.device, x.dtype).flatten(1)  # (N, D)
        # Exact differences: ||x||^2 - 2 x.d + ||d||^2 would lose every digit at small sigma.
        distance = torch.cdist(x.flatten(1), data, compute_mode="donot_use_mm_for_euclid_dist")  # (B, N)
        weights = (-0.5 * (distance / expand_like(sigma, distance)) ** 2).softmax(1)
        return (weights @ data).reshape(x.shape)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n rows of the data, drawn with replacement, shape (n, *D)."""
        check_generator(generator, self.data.device)
        index = torch.randint(len(self.data), (check_count("n", n),), generator=generator, device=self.data.device)
        return self.data[index]


class UniformBoxes:
    """Equal mass spread evenly over each of K axis-aligned boxes; centers (K, D), one side length.

    Without noise the score is zero inside and undefined outside: a score is of use here only after perturbation,
    where each coordinate's density is a difference of two normal distribution functions.
    """

    def __init__(self, centers: Tensor | Sequence[Any], side: float) -> None:
        self.centers = check_points(torch.as_tensor(centers))
        self.side = check_positive("side", side)

    def __repr__(self) -> str:
        return f"UniformBoxes({len(self.centers)} boxes in {self.centers.shape[1]}-D)"

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Score of p_sigma at x (B, D), shape (B, D), for sigma > 0 (else ValueError)."""
        check_noise(sigma, "evenly filled boxes have no score at their edges")
        lower, upper, sigma = self._edges(x, sigma)
        log_mass = _log_ndtr_between(lower, upper)  # (K, B, D)
        slope = (_log_normal(lower) - log_mass).exp() - (_log_normal(upper) - log_mass).exp()
        r = log_mass.sum(-1).softmax(0)  # (K, B)
        return (r[:, :, None] * slope).sum(0) / sigma

    def log_prob(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """log p_sigma(x), shape (B,); -inf outside the boxes when sigma is 0."""
        k, dim = self.centers.shape
        if isinstance(sigma, (int, float)) and sigma == 0:
            inside = ((check_points(x, dim) - self.centers.to(x)[:, None]).abs() <= self.side / 2).all(-1)
            log_box = torch.where(inside, 0.0, -math.inf).to(x)
        else:
            lower, upper, _ = self._edges(x, check_sigma(sigma))
            log_box = _log_ndtr_between(lower, upper).sum(-1)  # (K, B)
        return log_box.logsumexp(0) - math.log(k) - dim * math.log(self.side)

    def _edges(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances from x to each box's edges in units of sigma: (K, B, D) twice, and sigma."""
        check_points(x, self.centers.shape[1])
        sigma = expand_like(sigma, x)
        y = x - self.centers.to(x)[:, None]  # (K, B, D)
        return (-self.side / 2 - y) / sigma, (self.side / 2 - y) / sigma, sigma

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n independent samples, shape (n, D)."""
        centers, n = self.centers, check_count("n", n)
        check_generator(generator, centers.device)
        k = torch.randint(len(centers), (n,), generator=generator, device=centers.device)
        u = torch.rand(n, centers.shape[1], generator=generator, dtype=centers.dtype, device=centers.device)
        return centers[k] + self.side * (u - 0.5)


# ---- two-dimensional toys --------------------------------------------------------------------------------


def circle(*, radius: float = 1.0, std: float = 0.05, n: int = 200) -> GaussianMixture:
    """A ring of the given radius and thickness: n Gaussians of standard deviation std, evenly along it."""
    angle = torch.arange(n) * (2 * math.pi / check_count("n", n))
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], 1), std**2)


def moons(*, std: float = 0.08, n: int = 100) -> GaussianMixture:
    """Two interleaved half circles of radius 1 and thickness std, n Gaussians along each."""
    angle = torch.linspace(0, math.pi, check_count("n", n))
    arch = torch.stack([angle.cos(), angle.sin()], 1) - torch.tensor([0.5, 0.25])
    return GaussianMixture(torch.cat([arch, -arch]), std**2)


def spiral(*, turns: float = 2.0, std: float = 0.04, n: int = 300) -> GaussianMixture:
    """An Archimedean spiral that ends at radius 1, of thickness std: n Gaussians evenly along its length."""
    share = torch.linspace(0.02, 1, check_count("n", n)).sqrt()  # length grows like the square of the angle
    angle = 2 * math.pi * turns * share
    return GaussianMixture(share[:, None] * torch.stack([angle.cos(), angle.sin()], 1), std**2)


def checkerboard(*, cells: int = 4, side: float = 1.0) -> UniformBoxes:
    """The dark squares of a cells x cells board around the origin."""
    place = (torch.arange(check_count("cells", cells)) - (cells - 1) / 2) * side
    centers = torch.cartesian_prod(place, place)
    dark = (torch.arange(cells)[:, None] + torch.arange(cells)).flatten() % 2 == 0
    return UniformBoxes(centers[dark], side)


# ---- checks and numerics -------------------------------------------------------------------------------


def _weights(weights: Any, k: int) -> Tensor:
    if weights is None:
        return torch.full((k,), 1 / k, dtype=torch.float64)
    weights = exact(weights)
    if tuple(weights.shape) != (k,):
        raise ValueError(f"weights must have shape ({k},), one per component, not {tuple(weights.shape)}")
    if not (weights >= 0).all():
        raise ValueError(f"weights must be 0 or more, but they are {weights.tolist()}")
    if not abs(weights.sum() - 1) <= 1e-5:
        raise ValueError(f"weights must sum to 1, but they sum to {weights.sum():.6g}: use weights / weights.sum()")
    return weights / weights.sum()


def _spectrum(covariances: Any, k: int, dim: int) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues (K, D) and eigenvectors (K, D, D), or None where the coordinate axes will do."""
    variances = exact(covariances)
    if not variances.isfinite().all():
        raise ValueError("covariances must be finite numbers")
    if variances.shape in [(), (k,), (k, dim)]:
        vectors, variances = None, variances.reshape(*variances.shape, *[1] * (2 - variances.ndim)).expand(k, dim)
    elif variances.shape == (k, dim, dim):
        if not torch.allclose(variances, variances.mT, rtol=1e-5, atol=1e-8):
            raise ValueError("covariance matrices must be symmetric: use (S + S.mT) / 2")
        variances, vectors = torch.linalg.eigh((variances + variances.mT) / 2)
        # Where all directions are alike rounding would choose them, and on another machine the samples would be others.
        alike = variances[:, -1] - variances[:, 0] <= 1e-10 * variances[:, -1]
        vectors = torch.where(alike[:, None, None], torch.eye(dim, dtype=torch.float64), vectors)
    else:
        raise ValueError(
            f"covariances must be a number or have shape ({k},), ({k}, {dim}) or ({k}, {dim}, {dim}) for these "
            f"means of shape ({k}, {dim}), not {tuple(variances.shape)}"
        )
    if not (variances > 0).all():
        at = int((variances.min(-1).values <= 0).nonzero()[0])
        raise ValueError(
            f"the covariance of component {at} is not positive definite: its smallest variance is "
            f"{variances[at].min():.4g}, and it must be above 0"
        )
    return variances.contiguous(), vectors


def _known(mask: Any, known: Any, dim: int) -> tuple[Tensor, Tensor]:
    mask = torch.as_tensor(mask).cpu()
    if tuple(mask.shape) != (dim,) or not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"mask must have shape ({dim},) and hold 1 (known) or 0 (missing), not {mask.tolist()}")
    known_at = mask.bool()
    if known_at.all():
        raise ValueError("every coordinate is known: nothing is left to be distributed; set some of mask to 0")
    values = exact(known)
    count = int(known_at.sum())
    if tuple(values.shape) == (dim,):
        values = values[known_at]
    if tuple(values.shape) != (count,):
        raise ValueError(
            f"known must be the whole point, shape ({dim},), or its {count} known values, shape ({count},), "
            f"not {tuple(values.shape)}"
        )
    if not values.isfinite().all():
        raise ValueError("the known values must be finite numbers")
    return known_at, values


def _log_normal(z: Tensor) -> Tensor:
    return -0.5 * (z**2 + LOG_2PI)


def _log_ndtr_between(lower: Tensor, upper: Tensor) -> Tensor:
    """log(Phi(upper) - Phi(lower)) for lower < upper, without cancellation far out in either tail."""
    flip = lower > 0  # use Phi(b) - Phi(a) = Phi(-a) - Phi(-b) on the right
    a, b = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    return torch.where(log_b == -math.inf, log_b, log_b + torch.log1p(-(log_a - log_b).exp()))
