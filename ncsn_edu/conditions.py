"""Conditions: the score of what is wanted is the score of everything and the gradient of log p(y | x, sigma).

By Bayes' rule, at every noise level (Song et al. 2021, eq. 14 and appendix I). y may be a class, of which a classifier
of noisy images speaks, or what a linear operator measured of the clean image: a part of it, its greys, a coarser or
blurred picture. `Conditioned` is a Score like any other. This file does NOT sample: every sampler does.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .adapters import EnergyScore, Net
from .checks import (
    check_choice,
    check_class,
    check_count,
    check_independent,
    check_linear,
    check_measured,
    check_noise,
    check_positive,
    check_rows,
    check_scale,
    check_sigma,
    may_look,
)
from .core import differentiating, exact, expand_like, gradient, shaped, uncorrelated

_RANDOM = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)  # in training mode


class Conditioned(nn.Module):
    """score(x, sigma) + scale guide(x, sigma), where the guide is the gradient of log p(y | x, sigma) in x.

    At scale 1 that is the score of p_sigma(x | y). At others it is the gradient of p_sigma(x) p(y | x, sigma)^scale,
    which is not the density of anything with noise on it: a sampler then comes only near to p(x) p(y | x)^scale.
    """

    def __init__(self, score: Net, guide: Net, scale: float = 1.0) -> None:
        super().__init__()
        if not callable(guide):
            raise ValueError(
                "a guide is a function (x, sigma) -> the gradient of log p(y | x, sigma), such as "
                f"ClassifierGuide(classifier, label) or LinearGuide(score, A, y), not {type(guide).__name__}"
            )
        self.score, self.guide = score, guide
        self.scale = check_scale("scale", scale)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D)."""
        if self.scale == 0:
            return self.score(x, sigma)
        s, guide = _both(self.score, self.guide, x, sigma)
        return s + self.scale * shaped(guide, x, " as a guide")


def _both(score: Net, guide: Net, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    """score(x, sigma) and guide(x, sigma), by one evaluation where the guide makes it and nobody differentiates it."""
    if isinstance(guide, LinearGuide) and guide.score is score and not torch.is_grad_enabled():
        return guide.with_score(x, sigma)
    return score(x, sigma), guide(x, sigma)


class ClassifierGuide(EnergyScore):
    """The gradient of log p(label | x, sigma), by a classifier that was trained on noisy x (Dhariwal & Nichol 2021).

    classifier(x (B, *D), sigma) -> logits (B, K); label is one class for all rows, or one for each, (B,).
    """

    name = "classifier"
    label: Tensor

    def __init__(self, classifier: Net, label: int | Tensor) -> None:
        super().__init__(self.surprise)
        self.classifier = classifier
        self.register_buffer("label", check_class(label), persistent=False)

    def surprise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """-log p(label | x, sigma), (B,), in nats."""
        _check_still(self.classifier)
        logits, label, n = self.classifier(x, sigma), check_rows(self.label, x), len(x)
        if logits.ndim != 2 or len(logits) != n:
            raise ValueError(f"the classifier must return logits of shape ({n}, n_classes), not {tuple(logits.shape)}")
        if may_look(label) and (label >= logits.shape[1]).any():
            raise ValueError(
                f"label must be 0 to {logits.shape[1] - 1}, the classes of this classifier, not {label.max()}"
            )
        return -logits.log_softmax(1).gather(1, label[:, None])[:, 0]


def _check_still(classifier: Net) -> None:
    """Raise where a classifier says something else each time."""
    modules = classifier.modules() if isinstance(classifier, nn.Module) else ()
    if any(part.training and isinstance(part, _RANDOM) for part in modules):
        raise ValueError(
            "the classifier is in training mode, in which its dropout makes every gradient another one, or its batch "
            "norm mixes the rows: call classifier.eval() first"
        )


# ---- what a linear operator has measured ----------------------------------------------------------------------------


class LinearGuide(nn.Module):
    """The gradient of log p(y | x, sigma) of y = A x_0 + noise n, n ~ N(0, I), where p(x_0 | x) is taken as Gaussian.

    Its mean is the denoised m = x + sigma^2 score(x, sigma), so that y has the mean A m and the covariance
    A C A' + noise^2 I, whose inverse weighs what is missing in y - A m. Exact for Gaussian data, under "isotropic" for
    data of one width, data_std, in all directions: give theirs, as the default of 1 is right for standardised data
    alone. Data of width 1/2, such as images of black and white, it pulls 2.5 times too little at sigma 1 and noise 0.
    Elsewhere the better, the smaller sigma is.

    operator    A (M, D), over the D numbers of an x in their order; see operator_of
    y           (M,), or (B, M) with one for each row
    noise       standard deviation; at 0 the rows of A must be independent
    covariance  C. "isotropic": r^2 I with r^2 = sigma^2 d^2 / (sigma^2 + d^2), that of Gaussian data of width d =
                data_std (Song et al. 2023); one backward pass. "matched": sigma^2 (I + sigma^2 grad score), the true
                one (Boys et al. 2024), its change with x left out; M backward passes
    data_std    d. Where pixels go together, as in photographs, several times the width of a pixel: too small a d
                overdoes it where the noise is large, too large a d hears y late
    """

    def __init__(
        self,
        score: Net,
        operator: Tensor,
        y: Tensor,
        *,
        noise: float = 0.0,
        covariance: str = "isotropic",
        data_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.score, self.noise = score, float(check_sigma(noise))
        self.matched = check_choice("covariance", covariance, ("isotropic", "matched")) == "matched"
        self.data_std = check_positive("data_std", data_std)
        a = exact(operator)
        self.n_measured = len(check_linear(a, exact(y), a.shape[-1])[0])
        self._exact = uncorrelated(a, exact(y))
        if self.noise == 0:
            check_independent(a, len(self._exact[0]))
        self._casts: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D)."""
        return self.with_score(x, sigma)[1]

    def with_score(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """score(x, sigma), which is needed on the way, and the guide, both in the shape of x (B, *D)."""
        check_noise(sigma, "without noise x itself says what A x is")
        with differentiating(x, sigma) as (x, sigma):
            a, y, lengths = self._on(x)  # turned so that A A' is diagonal, with these on it
            x, sigmas = x.detach().requires_grad_(), expand_like(sigma, x)  # () or (B, 1, ..., 1)
            s = shaped(self.score(x, sigma), x)
            m = (x + sigmas**2 * s).detach().flatten(1)
            off = y - m @ a.mT  # (B, M)
            if self.matched:
                return s.detach(), _matched(a, off, s, x, sigmas, self.noise**2)
            variance = (sigmas**2 * self.data_std**2 / (sigmas**2 + self.data_std**2)).reshape(-1, 1)
            pull = off / (variance * lengths + self.noise**2) @ a  # A' (A C A' + noise^2 I)^-1 (y - A m)
            return s.detach(), _back(pull, s, x, sigmas)

    def _on(self, x: Tensor) -> tuple[Tensor, ...]:
        """A, y and the diagonal of A A', in the dtype and on the device of x, cast once, for x that they fit."""
        key = (x.dtype, x.device)
        if key not in self._casts:
            self._casts[key] = tuple(value.to(x.device, x.dtype) for value in self._exact)
        a, y, _ = self._casts[key]
        _check_fit(a, y, x, self.n_measured)
        return self._casts[key]


def _back(pull: Tensor, s: Tensor, x: Tensor, sigmas: Tensor, *, retain: bool = False) -> Tensor:
    """(dm/dx)' pull of m = x + sigma^2 s, in the shape of x; pull has its numbers."""
    pull = pull.reshape(x.shape)
    return pull + sigmas**2 * gradient(s, x, pull, "score", retain=retain)


def _matched(a: Tensor, off: Tensor, s: Tensor, x: Tensor, sigmas: Tensor, noise: float) -> Tensor:
    """(A J)' (A C A' + noise I)^-1 (y - A m) with J = dm/dx and C = sigma^2 J; noise is a variance."""
    rows = [_back(row.expand(len(x), -1), s, x, sigmas, retain=True) for row in a]  # J' A_i, J is symmetric
    pulls = torch.stack(rows, 1).flatten(2)  # (B, M, D)
    variance = (sigmas**2).reshape(-1, 1, 1)
    of_y = variance * (pulls @ a.mT)
    small = ((of_y + of_y.mT) / 2).nan_to_num(0, 0, 0).cpu()  # not every accelerator has eigh
    spread, u = (part.to(x.device) for part in torch.linalg.eigh(small))  # of a net it need not be positive
    # J = I + sigma^2 grad score: where that is 0 but for rounding, x itself says what is measured, and y nothing new.
    rounding = 8 * torch.finfo(x.dtype).eps * (variance * a.square().sum(1).amax())[..., 0]
    known, least = spread > rounding, 1e-6 * spread.amax(1, keepdim=True).clamp(min=0)
    spread = torch.where(known, torch.maximum(spread, least), 1) + noise
    weights = u @ (torch.where(known, (off[:, None] @ u)[:, 0], 0) / spread)[..., None]  # (B, M, 1)
    return (weights * pulls).sum(1).reshape(x.shape)


def _check_fit(a: Tensor, y: Tensor, x: Tensor, n_measured: int) -> None:
    """Raise where the operator measures points of another size, or y has rows for another batch."""
    if math.prod(x.shape[1:]) != a.shape[1]:
        raise ValueError(
            f"the operator measures points of {a.shape[1]} numbers, and x has rows of {math.prod(x.shape[1:])}, shape "
            f"{tuple(x.shape)}: make it for them, as by operator_of(f, {tuple(x.shape[1:])})"
        )
    if y.ndim == 2 and len(y) not in (1, len(x)):
        raise ValueError(
            f"y has {len(y)} rows and x {len(x)}: give one y for all, ({n_measured},), or one for each row"
        )


def operator_of(f: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Tensor:
    """The matrix A (M, D) of a linear f: x (B, *shape) -> (B, *), on numbers in their order, float64.

    For example a coarser picture, `lambda x: F.avg_pool2d(x, 2)`, the greys, `lambda x: x.mean(1)`, the part that a
    mask knows, `lambda x: x[:, mask]`. Raises ValueError where f is not linear.
    """
    dim = math.prod(check_count("each number of the shape", n) for n in shape)
    eye = torch.eye(dim, dtype=torch.float64)
    ends = torch.outer(torch.tensor([0.0, 1.0, -2.5]).double(), torch.linspace(-1, 2, dim, dtype=torch.float64))
    a, found = (_of(f, values.reshape(-1, *shape)) for values in (eye, ends))
    off = (found - ends @ a).abs()
    if found[0].any() or not (off <= 1e-5 * ends.abs().max() * a.abs().sum(0)).all():  # some 100 roundings of float32
        raise ValueError("f is not linear: f(a x + b y) must be a f(x) + b f(y); leave out offsets, rounding, clipping")
    return a.mT.contiguous()


def _of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f(x) (B, M) in float64, of x in float64, or in float32 where f has weights of that."""
    try:
        found = f(x)
    except RuntimeError:  # of two dtypes: if it is something else, it comes again
        found = f(x.float())
    if not isinstance(found, Tensor) or not found.ndim or len(found) != len(x):
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"f returned {got}, of x {tuple(x.shape)}: its result must have a row for each row of x")
    return exact(found).flatten(1) if found.ndim > 1 else exact(found)[:, None]


def completed(rows: Tensor) -> Tensor:
    """An orthogonal basis (D, D) whose first M vectors span independent rows (M, D), the others what they leave open.

    With it a noise-free linear problem is inpainting: u = R x has M known coordinates. For colours, completed([[1, 1,
    1]]) has grey first (Song et al. 2021, appendix I).
    """
    a = exact(rows)
    if a.ndim != 2 or not 0 < len(a) <= a.shape[1]:
        raise ValueError(f"rows must have shape (M, D) with M of 1 to D, not {tuple(a.shape)}")
    check_independent(check_measured("the matrix of rows", a), int(torch.linalg.matrix_rank(a, rtol=1e-5)))
    q, r = torch.linalg.qr(a.mT, mode="complete")
    signs = torch.ones(len(q), dtype=torch.float64)
    signs[: len(a)] = r.diagonal().sign()  # so that a row of length 1 stays itself
    return (q * signs).mT.contiguous()
