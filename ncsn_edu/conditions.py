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
    check_count,
    check_independent,
    check_linear,
    check_noise,
    check_positive,
    check_sigma,
    may_look,
)
from .core import exact, expand_like, shaped


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
        self.scale = scale if scale == 0 else check_positive("scale", scale)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D)."""
        s = self.score(x, sigma)
        return s if self.scale == 0 else s + self.scale * shaped(self.guide(x, sigma), x, " as a guide")


class ClassifierGuide(EnergyScore):
    """The gradient of log p(label | x, sigma), by a classifier that was trained on noisy x (Dhariwal & Nichol 2021).

    classifier(x (B, *D), sigma) -> logits (B, K); label is one class for all rows, or one for each, (B,).
    """

    label: Tensor

    def __init__(self, classifier: Net, label: int | Tensor) -> None:
        super().__init__(self.surprise)
        self.classifier = classifier
        self.register_buffer("label", torch.as_tensor(label), persistent=False)
        if self.label.is_floating_point() or self.label.ndim > 1:
            raise ValueError(f"label is a class for all rows, or one for each: whole numbers, not {label}")

    def surprise(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """-log p(label | x, sigma), (B,), in nats."""
        logits, n = self.classifier(x, sigma), len(x)
        if logits.ndim != 2 or len(logits) != n:
            raise ValueError(f"the classifier must return logits of shape ({n}, n_classes), not {tuple(logits.shape)}")
        if self.label.ndim and len(self.label) not in (1, n):
            raise ValueError(f"label is a class for each row, {len(self.label)} of them, and x has {n} rows")
        label = self.label.expand(n)
        if may_look(label) and not (label.min() >= 0 and label.max() < logits.shape[1]):
            found = label[(label < 0) | (label >= logits.shape[1])][0].item()
            raise ValueError(f"label must be 0 to {logits.shape[1] - 1}, the classes of this classifier, not {found}")
        return -logits.log_softmax(1).gather(1, label[:, None])[:, 0]


# ---- what a linear operator has measured ----------------------------------------------------------------------------


class LinearGuide(nn.Module):
    """The gradient of log p(y | x, sigma) of y = A x_0 + noise n, n ~ N(0, I), where p(x_0 | x) is taken as Gaussian.

    Its mean is the denoised m = x + sigma^2 score(x, sigma), so that y has the mean A m and the covariance
    A C A' + noise^2 I, whose inverse weighs what is missing in y - A m. Exact for Gaussian data; elsewhere the better,
    the smaller sigma is.

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
        self._exact = *check_linear(a, exact(y), a.shape[-1]), *torch.linalg.eigh(a @ a.mT)
        if self.noise == 0:
            check_independent(a, self._exact[2])
        self._casts: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D)."""
        a, y, eigenvalues, u = self._on(x)
        check_noise(sigma, "without noise x itself says what A x is")
        _check_fit(a, y, x)
        sigmas = expand_like(sigma, x).flatten()[:, None]  # (B, 1), or (1, 1)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            m = (x + expand_like(sigma, x) ** 2 * shaped(self.score(x, sigma), x)).flatten(1)
            off = y - (m @ a.mT).detach()  # (B, M)
            if self.matched:
                return _matched(a, off, m, x, sigmas**2, self.noise**2)
            variance = sigmas**2 * self.data_std**2 / (sigmas**2 + self.data_std**2)
            pull = (off @ u) / (variance * eigenvalues + self.noise**2) @ u.mT  # (A C A' + noise^2 I)^-1 (y - A m)
            return torch.autograd.grad(m, x, pull @ a)[0]

    def _on(self, x: Tensor) -> tuple[Tensor, ...]:
        """A, y, and the eigenvalues and eigenvectors of A A', in the dtype and on the device of x, cast once."""
        key = (x.dtype, x.device)
        if key not in self._casts:
            self._casts[key] = tuple(value.to(x.device, x.dtype) for value in self._exact)
        return self._casts[key]


def _matched(a: Tensor, off: Tensor, m: Tensor, x: Tensor, variance: Tensor, noise: float) -> Tensor:
    """(A J)' (A C A' + noise I)^-1 (y - A m) with J = dm/dx and C = variance J; variance (B, 1), noise a variance."""
    rows = [torch.autograd.grad(m, x, row.expand_as(m), retain_graph=True)[0] for row in a]  # J' A_i, J is symmetric
    pulls = torch.stack(rows, 1).flatten(2)  # (B, M, D)
    of_y = variance[..., None] * (pulls @ a.mT)
    small = ((of_y + of_y.mT) / 2).cpu()  # not every accelerator has eigh
    spread, u = (part.to(x.device) for part in torch.linalg.eigh(small))  # of a net it need not be positive
    spread = spread.clamp(min=1e-6 * spread.amax(1, keepdim=True).clamp(min=0)) + noise
    weights = u @ ((u.mT @ off[..., None]) / spread[..., None])  # (B, M, 1)
    return (weights * pulls).sum(1).reshape(x.shape)


def _check_fit(a: Tensor, y: Tensor, x: Tensor) -> None:
    """Raise where the operator measures points of another size, or y has rows for another batch."""
    if x[0].numel() != a.shape[1]:
        raise ValueError(
            f"the operator measures points of {a.shape[1]} numbers, and x has rows of {x[0].numel()}, shape "
            f"{tuple(x.shape)}: make it for them, as by operator_of(f, {tuple(x.shape[1:])})"
        )
    if y.ndim == 2 and len(y) not in (1, len(x)):
        raise ValueError(f"y has {len(y)} rows and x {len(x)}: give one y for all, ({len(a)},), or one for each row")


def operator_of(f: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Tensor:
    """The matrix A (M, D) of a linear f: x (B, *shape) -> (B, *), on numbers in their order, float64.

    For example a coarser picture, `lambda x: F.avg_pool2d(x, 2)`, the greys, `lambda x: x.mean(1)`, the part that a
    mask knows, `lambda x: x[:, mask]`. Raises ValueError where f is not linear.
    """
    dim = math.prod(check_count("each number of the shape", n) for n in shape)
    eye = torch.eye(dim, dtype=torch.float64)
    a = f(eye.reshape(dim, *shape)).reshape(dim, -1).mT.contiguous()
    probe = torch.outer(torch.tensor([1.0, -2.5], dtype=torch.float64), torch.linspace(-1, 2, dim, dtype=torch.float64))
    if not torch.allclose(f(probe.reshape(2, *shape)).flatten(1).to(a), probe @ a.mT, atol=1e-4):
        raise ValueError("f is not linear: f(a x + b y) must be a f(x) + b f(y); leave out offsets, rounding, clipping")
    return a


def completed(rows: Tensor) -> Tensor:
    """An orthogonal basis (D, D) whose first M vectors span independent rows (M, D), the others what they leave open.

    With it a noise-free linear problem is inpainting: u = R x has M known coordinates. For colours, completed([[1, 1,
    1]]) has grey first (Song et al. 2021, appendix I).
    """
    a = exact(rows)
    if a.ndim != 2 or not 0 < len(a) <= a.shape[1]:
        raise ValueError(f"rows must have shape (M, D) with M of 1 to D, not {tuple(a.shape)}")
    check_independent(a, torch.linalg.eigvalsh(a @ a.mT))
    q, r = torch.linalg.qr(a.mT, mode="complete")
    signs = torch.ones(len(q), dtype=torch.float64)
    signs[: len(a)] = r.diagonal().sign()  # so that a row of length 1 stays itself
    return (q * signs).mT.contiguous()
