"""Parametrisations: what a net was trained as stays in a small module around it, and samplers see score(x, sigma).

Each is a Score made of something else; where its training has a natural weight for the loss `dsm`, that is its
`loss_weight`. What else a net is told, such as label=, is passed on. This file does NOT train or sample.
"""

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .checks import (
    check_alphas_bar,
    check_choice,
    check_class,
    check_floats,
    check_noise,
    check_orthogonal,
    check_positive,
    check_rows,
    check_scale,
    may_look,
)
from .core import as_tensor, differentiating, exact, expand_like, gradient, shaped
from .errors import first_line
from .schedules import nearest_level, sigmas_of_alphas_bar

Net = Callable[..., Tensor]


class EpsScore(nn.Module):
    """The score by a net that guesses the noise z of x~ = x + sigma z: s(x~, sigma) = -net(u, sigma) / sigma.

    The net sees u = (x~ - m) / sqrt(d^2 + sigma^2), which has about mean 0 and variance 1 at every level, for data of
    mean m = data_mean and standard deviation d = data_std. The loss `dsm` is then 1/2 ||net - z||^2.

    alphas_bar  (T,), falling: the net is DDPM's (Ho et al. 2020, section 3.2). It is told the step t = 0 ... T - 1 of
                x_t = sqrt(alpha_bar_t) x~ that is nearest to sigma, and sees x_t: m is 0, and d is 1
    """

    def __init__(
        self, net: Net, alphas_bar: Tensor | None = None, *, data_mean: float = 0.0, data_std: float = 1.0
    ) -> None:
        super().__init__()
        if alphas_bar is not None and (data_mean, data_std) != (0.0, 1.0):
            raise ValueError("with alphas_bar= the net sees x_t as it is: leave out data_mean= and data_std=")
        self.net, self.data_mean, self.per_std = net, float(data_mean), 1 / check_positive("data_std", data_std)
        self.told = SigmaItself() if alphas_bar is None else DDPMStep(alphas_bar)

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape of x."""
        check_noise(sigma, "the score is the noise by sigma")
        sigmas = expand_like(sigma, x)
        u = (self.per_std * x - self.per_std * self.data_mean) / (1 + (self.per_std * sigmas) ** 2).sqrt()
        return -self.net(u, self.told(x, sigma), **told) / sigmas


class SigmaItself(nn.Module):
    """What most nets are told of the noise level."""

    def forward(self, x: Tensor, sigma: float | Tensor) -> float | Tensor:
        """Sigma, as it is."""
        return sigma


class DDPMStep(nn.Module):
    """The step t of DDPM whose noise sigma_t, sigma_t^2 = (1 - alpha_bar_t) / alpha_bar_t, is nearest to sigma."""

    sigmas: Tensor

    def __init__(self, alphas_bar: Tensor) -> None:
        super().__init__()
        sigmas = sigmas_of_alphas_bar(check_alphas_bar(exact(alphas_bar))).float()  # rising with t
        self.first, self.last = sigmas[0].item(), sigmas[-1].item()
        self.register_buffer("sigmas", sigmas, persistent=False)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """t (B,) for x (B, *D). A sigma beyond the first and the last by more than 1 % is an error, but on a GPU."""
        values = check_floats(sigma)
        known = (values > 0.99 * self.first) & (values < 1.01 * self.last)
        if may_look(values) and not known.all():
            off = values[~known][0].item()
            raise ValueError(
                f"this net knows sigma from {self.first:.4g} to {self.last:.4g} (in the units that it was trained in), "
                f"and not {off:.4g}: take a ladder within, such as sigmas_of_alphas_bar(alphas_bar).flip(0)"
            )
        return nearest_level(sigma, self.sigmas)[0].expand(len(x))


class ScoreNoise(nn.Module):
    """DDPM's net made of a score, the inverse of EpsScore: e(x_t, t) = -sigma_t s(x_t / sqrt(alpha_bar_t), sigma_t).

    So DDPM's own sampler runs with a closed form, or with NCSN. alphas_bar (T,), falling; t = 0 ... T - 1.
    """

    roots: Tensor
    sigmas: Tensor

    def __init__(self, score: Net, alphas_bar: Tensor) -> None:
        super().__init__()
        kept = exact(check_alphas_bar(alphas_bar))
        self.score = score
        self.register_buffer("roots", kept.sqrt(), persistent=False)
        self.register_buffer("sigmas", sigmas_of_alphas_bar(kept), persistent=False)

    def forward(self, x: Tensor, t: Tensor, **told: Any) -> Tensor:
        """The noise e in x_t (B, *D) at steps t (B,), in the shape of x."""
        if t.is_floating_point() or (may_look(t) and not ((t >= 0) & (t < len(self.sigmas))).all()):
            found = f"{t.flatten()[0].item():g}, ..." if t.numel() > 1 else f"{t.item():g}"
            raise ValueError(
                f"t are steps 0 ... {len(self.sigmas) - 1}, whole numbers, and not {found} ({t.dtype}): for a sigma "
                "ask the score itself"
            )
        sigma = self.sigmas[t].to(x.dtype)
        return -expand_like(sigma, x) * self.score(x / expand_like(self.roots[t], x), sigma, **told)


# ---- what a net may predict: five names of one thing ----------------------------------------------------------------
# All are affine in each other, given x~ = x_0 + sigma z. In DDPM's letters x_t = a x~ = a x_0 + b z, a^2 + b^2 = 1.


def _clean_of(kind: str, value: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x~] from another prediction."""
    a = (1 + sigma**2).rsqrt()
    return {
        "clean": lambda: value,
        "score": lambda: x + sigma**2 * value,  # Tweedie
        "noise": lambda: x - sigma * value,
        "v": lambda: a * (a * x - sigma * value),  # v = a z - b x_0 (Salimans & Ho 2022): x_0 = a x_t - b v
        "velocity": lambda: (x - sigma * value) / (1 + sigma),  # u = z - x_0, of (1 - t) x_0 + t z, sigma = t / (1 - t)
    }[kind]()


def _of_clean(kind: str, clean: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """Another prediction from E[x_0 | x~]."""
    noise, a = (x - clean) / sigma, (1 + sigma**2).rsqrt()
    return {
        "clean": lambda: clean,
        "score": lambda: -noise / sigma,
        "noise": lambda: noise,
        "v": lambda: a * (noise - sigma * clean),
        "velocity": lambda: noise - clean,
    }[kind]()


PREDICTIONS = ("score", "noise", "clean", "v", "velocity")


def convert(value: Tensor, x: Tensor, sigma: float | Tensor, *, source: str, target: str) -> Tensor:
    """What a net that predicts `source` at x~ = x_0 + sigma z says of `target`; each is one of PREDICTIONS.

    "score"     grad log p_sigma(x~)
    "noise"     E[z | x~]; DDPM's epsilon
    "clean"     E[x_0 | x~]; the denoiser
    "v"         E[a z - b x_0 | x~], a = 1 / sqrt(1 + sigma^2), b = sigma a (Salimans & Ho 2022)
    "velocity"  E[z - x_0 | x~], of the straight path (1 - t) x_0 + t z with sigma = t / (1 - t) (flow matching)

    value and x (B, *D); sigma above 0, a number or (B,). Expectations are affine, so that what holds for the targets
    holds for the best predictions.
    """
    for name, kind in (("source", source), ("target", target)):
        check_choice(name, kind, PREDICTIONS)
    check_noise(sigma, "the predictions say the same where there is noise")
    sigmas = expand_like(sigma, shaped(value, x))
    return _of_clean(target, _clean_of(source, value, x, sigmas), x, sigmas)


class Preconditioned(nn.Module):
    """A net that adds to the score of a Gaussian of mean data_mean, width data_std (Karras et al. 2022, section 5).

    s(x, sigma) = (net(u, sigma) / sigma - u / d) / r, with d = data_std, r = sqrt(1 + sigma^2 / d^2) and
    u = (x - data_mean) / (d r): a net that says 0 gives the score of the Gaussian. At large sigma an error of the net
    is one in the image that is guessed; in EpsScore it is one in the noise, sigma times as large. data_std 1/2 fits
    images of black and white, 1/4 photographs.
    """

    def __init__(self, net: Net, *, data_mean: float = 0.5, data_std: float = 0.5) -> None:
        super().__init__()
        self.net, self.data_mean, self.per_std = net, float(data_mean), 1 / check_positive("data_std", data_std)

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape of x."""
        check_noise(sigma, "a preconditioned net divides by sigma")
        sigmas = expand_like(sigma, x)
        root = (1 + (self.per_std * sigmas) ** 2).sqrt()
        u = (self.per_std * x - self.per_std * self.data_mean) / root
        return (self.net(u, sigma, **told) / sigmas - self.per_std * u) / root

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """1 + sigma^2 / d^2: times the loss `dsm` that is 1/2 ||net - the best net||^2, as much for every sigma.

        Karras et al. 2022, table 1: their lambda(sigma) times the squared error of the denoised image.
        """
        return 1 + (self.per_std * sigma) ** 2


class DenoiserScore(nn.Module):
    """The score by a denoiser, which guesses E[clean | noisy = x]: (denoiser(x, sigma) - x) / sigma^2 (Tweedie)."""

    def __init__(self, denoiser: Net) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape of x."""
        check_noise(sigma, "a denoiser needs noise")
        return (self.denoiser(x, sigma, **told) - x) / expand_like(sigma, x) ** 2

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """sigma^2: times the loss `dsm`, it is 1/2 ||denoiser - clean||^2."""
        return sigma**2


class FlowScore(nn.Module):
    """The score by a velocity net of flow matching (Lipman et al. 2023): s(x, sigma) = -(v + x) / (sigma (1 + sigma)).

    net(x_t, t (B,)) guesses the velocity z - x_0 of the straight path x_t = (1 - t) x_0 + t z from the data, t = 0, to
    the noise, t = 1. Then x = x_t / (1 - t) has noise sigma = t / (1 - t). Papers that go from noise to data have the
    other sign and the other time: give lambda x, t: -net(x, 1 - t).
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape of x."""
        check_noise(sigma, "the score is a velocity by sigma")
        sigmas = expand_like(sigma, x)
        t = (sigmas / (1 + sigmas)).flatten().expand(len(x))
        return -(self.net(x / (1 + sigmas), t, **told) + x) / (sigmas * (1 + sigmas))

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """(1 + sigma)^2: times the loss `dsm`, it is 1/2 ||net - (z - x_0)||^2, the loss of flow matching."""
        return (1 + sigma) ** 2


class ScoreVelocity(nn.Module):
    """A velocity of flow matching made of a score, the inverse of FlowScore: v(x_t, t) = -x - sigma (1 + sigma) s.

    s is score(x, sigma) at x = x_t / (1 - t) and sigma = t / (1 - t). So a solver that knows times only runs with a
    closed form, or with NCSN.
    """

    def __init__(self, score: Net) -> None:
        super().__init__()
        self.score = score

    def forward(self, x: Tensor, t: float | Tensor, **told: Any) -> Tensor:
        """E[z - x_0 | x_t = x], in the shape of x (B, *D); t between 0 and 1, a number or (B,)."""
        values = torch.as_tensor(t)
        if may_look(values) and not ((values > 0) & (values < 1)).all():
            off = values[~((values > 0) & (values < 1))].flatten()[0].item()
            raise ValueError(
                f"t must lie between 0, the data, and 1, pure noise, which have no score, and not be {off:.4g}: of a "
                "noise level take sigma / (1 + sigma)"
            )
        left = 1 - expand_like(t, x)
        sigma = (1 - left) / left
        clean = x / left
        return -clean - sigma / left * self.score(clean, sigma.flatten().expand(len(x)), **told)


class AffineScore(nn.Module):
    """The score of x where `score` is that of y = scale x + shift: scale score(scale x + shift, |scale| sigma).

    By default of a net that was trained on images in [-1, 1], for images in [0, 1].
    """

    def __init__(self, score: Net, scale: float = 2.0, shift: float = -1.0) -> None:
        super().__init__()
        self.score, self.shift, self.scale = score, float(shift), float(scale)
        check_positive("|scale|", abs(scale))
        if weight := getattr(score, "loss_weight", None):  # the loss `dsm` is the same in both units
            self.loss_weight = lambda sigma: weight(abs(self.scale) * sigma)

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape of x."""
        return self.scale * self.score(self.scale * x + self.shift, abs(self.scale) * sigma, **told)


class Rotated(nn.Module):
    """The score of u = R x where `score` is that of x, R orthogonal: R score(R' u, sigma), as noise stays noise.

    basis  R. (C, C) turns the C channels of every pixel, or the coordinates of points (B, C); (D, D), with D numbers
           in an x, all of them. conditions.completed makes one whose first vectors are those that are known
    """

    def __init__(self, score: Net, basis: Tensor) -> None:
        super().__init__()
        self.score = score
        self.basis = check_orthogonal(exact(basis), len(basis))

    def to_basis(self, x: Tensor) -> Tensor:
        """u = R x, in the shape of x (B, *D)."""
        return self._turned(self.basis, x)

    def from_basis(self, u: Tensor) -> Tensor:
        """x = R' u, in the shape of u (B, *D)."""
        return self._turned(self.basis.mT, u)

    def forward(self, u: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at u (B, *D), in the shape of u."""
        return self.to_basis(self.score(self.from_basis(u), sigma, **told))

    def _turned(self, basis: Tensor, x: Tensor) -> Tensor:
        n, r = len(basis), basis.to(x.device, x.dtype)
        if x.shape[1] == n:
            return (r @ x.flatten(2)).reshape(x.shape) if x.ndim > 2 else x @ r.mT
        if math.prod(x.shape[1:]) == n:
            return (x.flatten(1) @ r.mT).reshape(x.shape)
        raise ValueError(f"a basis of {n} vectors turns {n} channels, or points of {n} numbers, not {tuple(x.shape)}")


class EnergyScore(nn.Module):
    """The score of p(x) = exp(-E(x, sigma)) / Z: minus the gradient of the energy, by automatic differentiation.

    energy(x (B, *D), sigma) -> (B,). Unlike a free vector field it is a gradient for sure, at the price of a backward
    pass for each evaluation. Can itself be differentiated, with respect to x and to the parameters, so that it trains
    with every loss in losses.py; it works under torch.no_grad and torch.inference_mode too, as in samplers.
    """

    name = "energy"  # what an error says has no gradient

    def __init__(self, energy: Callable[[Tensor, float | Tensor], Tensor]) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """-grad_x E(x, sigma), in the shape of x."""
        again = torch.is_grad_enabled()  # will somebody differentiate the score?
        with differentiating(x, sigma) as (x, sigma):
            x = x if x.requires_grad else x.detach().requires_grad_()
            energy = self.energy(x, sigma)
            if energy.shape != x.shape[:1]:
                raise ValueError(f"the energy must be one number a row, shape ({len(x)},), not {tuple(energy.shape)}")
            return -gradient(energy, x, torch.ones_like(energy), self.name, again=again)


class Guided(nn.Module):
    """The score of one class, by a net that was trained with and without being told it (Ho & Salimans 2022, eq. 6).

    s(x) + scale (s(x | label) - s(x)): scale 0 is the score of all images, 1 that of the class. Above 1 the chains
    keep to what is typical of the class: images that are easier to name, and less varied. For sigma > 0 that is no
    longer the score of a noised density. net(x, sigma, label=) with label (B,), -1 where no class is told.
    """

    label: Tensor

    def __init__(self, net: Callable[..., Tensor], label: int | Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.scale = net, check_scale("scale", scale)
        self.register_buffer("label", check_class(label), persistent=False)

    @property
    def asks(self) -> int:
        """Evaluations of the net for one of this score."""
        return 1 if self.scale in (0, 1) else 2

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D); label is one class for all rows, or one for each."""
        label = check_rows(self.label, x)
        if self.scale == 1:
            return self.net(x, sigma, label=label)
        of_all = self.net(x, sigma, label=torch.full_like(label, -1))
        return of_all if self.scale == 0 else torch.lerp(of_all, self.net(x, sigma, label=label), self.scale)


class Compiled:
    """A function by torch.compile in a mode: "default", "reduce-overhead" (CUDA graphs) or "max-autotune".

    Where compiling fails it is called as it is, and a warning says so. Beware that a CUDA graph writes its next result
    into the same memory.
    """

    def __init__(self, function: Callable[..., Any], mode: str) -> None:
        self.function = function
        self._compiled: Any = torch.compile(function, mode=None if mode == "default" else mode)

    def __call__(self, *words: Any, **told: Any) -> Any:
        """What the function returns."""
        if self._compiled is not None:
            try:
                return self._compiled(*words, **told)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever a compiler may come up with
                self._compiled = None
                warnings.warn(f"compiling failed, the net runs without it: {first_line(error)}", stacklevel=3)
        return self.function(*words, **told)


class Accelerated(nn.Module):
    """The same score, computed in bfloat16, or by a compiled net, or both.

    mode  of `Compiled`; None: not compiled. Sigma reaches the net as a tensor (B,): each float would be compiled anew
    """

    def __init__(self, score: nn.Module, *, bf16: bool = False, mode: str | None = None) -> None:
        super().__init__()
        self.score, self.bf16 = score, bf16
        self._compiled = Compiled(score, mode) if mode else None

    def forward(self, x: Tensor, sigma: float | Tensor, **told: Any) -> Tensor:
        """Score of p_sigma at x (B, *D), in the shape and the dtype of x."""
        sigmas = as_tensor(sigma, x).expand(len(x))
        with torch.autocast(x.device.type, torch.bfloat16) if self.bf16 else nullcontext():  # few devices have it
            if self._compiled is None:
                return self.score(x, sigmas, **told).to(x.dtype)
            return self._compiled(x, sigmas, **told).to(x.dtype, copy=True)  # of a CUDA graph's memory
