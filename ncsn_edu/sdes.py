"""Diffusion in continuous time: dx = f(t) x dt + g(t) dw, 0 < t <= T, turns data into noise (Song et al. 2021).

An SDE is another set of letters for noise that is added to the data. As drift and noise are linear in x,

    x_t = scale(t) (x_0 + sigma(t) z),   z ~ N(0, I),

so that x_t / scale(t) is the data with noise sigma(t), and any Score runs under any SDE. This file does NOT sample:
diffusion.py does.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from .checks import check_count, check_ladder, check_points, check_positive, may_look
from .core import Score, exact, expand_like
from .odes import Solver
from .schedules import geometric

Number = TypeVar("Number", float, Tensor, float | Tensor)  # a number gives a number, a tensor (B,) gives (B,)


class SDE(ABC):
    """What all of them share. Times t in (0, T] are numbers or tensors (B,); another one is a ValueError.

    A subclass says its formulas, for numbers and tensors alike: _scale, _sigma, _time (the inverse of _sigma),
    _drift_rate f(t) and _variance_rate g(t)^2.
    """

    T: float = 1.0  # where the noise is largest
    t_min: float  # where samplers end: at 0 there may be no score

    @abstractmethod
    def _scale(self, t: Number) -> Number: ...

    @abstractmethod
    def _sigma(self, t: Number) -> Number: ...

    @abstractmethod
    def _time(self, sigma: Number) -> Number: ...

    @abstractmethod
    def _drift_rate(self, t: Number) -> Number: ...

    @abstractmethod
    def _variance_rate(self, t: Number) -> Number: ...

    # ---- the path ------------------------------------------------------------------------------------------

    def scale(self, t: Number) -> Number:
        """What is left of the data: E[x_t | x_0] = scale(t) x_0."""
        return self._scale(self._checked(t))

    def sigma(self, t: Number) -> Number:
        """The noise level of x_t / scale(t), rising with t."""
        return self._sigma(self._checked(t))

    def time(self, sigma: Number) -> Number:
        """The t at which the noise level is sigma."""
        sigma, least, most = _number("sigma", sigma), self._sigma(0.0), self.sigma(self.T)
        values = torch.as_tensor(sigma)
        known = (values > 0) & (values >= least * (1 - 1e-6)) & (values <= most * (1 + 1e-6))
        if may_look(known) and not known.all():
            bad = values[~known].flatten()[0].item()
            raise ValueError(f"{self} has noise levels above {least:.4g} and up to {most:.4g}, and not {bad:.4g}")
        t, first = self._time(sigma), 1e-12 * self.T  # the last level of VE's ladder is at t -> 0
        return t.clamp(first, self.T) if isinstance(t, Tensor) else min(max(t, first), self.T)

    def marginal(self, x_0: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, *D) and standard deviation, () or (B, 1, ..., 1), of x_t given clean x_0 (B, *D)."""
        scale, sigma = expand_like(self.scale(t), check_points(x_0), "t"), expand_like(self.sigma(t), x_0)
        return scale * x_0, scale * sigma

    def kernel(self, s: float, t: float) -> tuple[float, float]:
        """(factor, std) of x_t = factor x_s + std z, s < t: a step of the discrete chain."""
        factor, variance = self.transition(s, t)
        return factor, math.sqrt(variance)

    def transition(self, s: float, t: float) -> tuple[float, float]:
        """The same with the variance, (factor, std^2)."""
        if any(isinstance(time, Tensor) and time.numel() != 1 for time in (s, t)):
            raise ValueError("a kernel leads from one time s to one time t, both numbers: ask for each pair by itself")
        s, t = float(s), float(t)
        if not s < t:
            raise ValueError(f"the kernel goes forward, from s to a later t, and not from {s} to {t}: exchange them")
        scale = self.scale(t)
        return scale / self.scale(s), scale**2 * (self.sigma(t) ** 2 - self.sigma(s) ** 2)

    # ---- the equation --------------------------------------------------------------------------------------

    def drift_rate(self, t: Number) -> Number:
        """f(t): the drift is f(t) x."""
        return self._drift_rate(self._checked(t))

    def variance_rate(self, t: Number) -> Number:
        """g(t)^2, the variance that dw adds in a unit of time."""
        return self._variance_rate(self._checked(t))

    def drift(self, x: Tensor, t: float | Tensor) -> Tensor:
        """f(t) x, in the shape of x (B, *D)."""
        return expand_like(self.drift_rate(t), check_points(x), "t") * x

    def diffusion(self, t: Number) -> Number:
        """g(t), what multiplies dw."""
        return self._variance_rate(self._checked(t)) ** 0.5

    def score(self, score: Score, x: Tensor, t: float | Tensor) -> Tensor:
        """The gradient of log p_t at x_t (B, *D), by the score of data with noise: s(x_t / scale, sigma) / scale."""
        scale = expand_like(self.scale(t), check_points(x), "t")
        return score(x / scale, self.sigma(t)) / scale

    # ---- its ends, and times between -----------------------------------------------------------------------

    @property
    def prior_std(self) -> float:
        """The standard deviation of the noise in x_T, in which the data cannot be seen any more."""
        return self.scale(self.T) * self.sigma(self.T)

    def prior(self, *shape: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Where sampling starts: x_T ~ N(0, prior_std^2 I) of this shape (B, *D), on the generator's device."""
        device = generator.device if generator is not None else None
        return self.prior_std * torch.randn(*shape, generator=generator, dtype=dtype, device=device)

    def times(self, n: int) -> list[float]:
        """n times from T down to t_min, in equal steps."""
        n = check_count("n", n, least=2)
        return torch.linspace(self.T, self.t_min, n, dtype=torch.float64).tolist()

    def sigmas(self, n: int) -> Tensor:
        """The noise levels at these times, (n,): a ladder like any other."""
        return self.sigma(exact(self.times(n))).to(torch.get_default_dtype())

    def check_start(self, x: Tensor) -> Tensor:
        """Points (B, *D) that may be x_T: about as wide as the prior, for their number. On a GPU nobody looks."""
        if may_look(x) and (n := x.numel()):
            width = x.double().square().mean().sqrt().item() / self.prior_std
            z, root = 1 - 2 / (9 * n), 6 * math.sqrt(2 / (9 * n))  # chi^2 / n at six sigma (Wilson & Hilferty 1931)
            least, most = min(0.5, max(0.0, z - root) ** 1.5), max(5.0, (z + root) ** 1.5)  # data may widen it
            if not least <= width <= most:
                raise ValueError(
                    f"x is no x_T of {self}: its root mean square is {width * self.prior_std:.4g}, that of the prior "
                    f"{self.prior_std:.4g}: start from sde.prior{tuple(x.shape)}, and with data much wider than the "
                    "noise take a larger sigma_max"
                )
        return x

    def _checked(self, t: Number) -> Number:
        if isinstance(t, float) and 0 < t <= self.T:
            return t  # the common case, without the price of tensors
        t = _number("t", t)
        values = torch.as_tensor(t)
        if may_look(values) and not (good := (values > 0) & (values <= self.T * (1 + 1e-6))).all():
            bad = values[~good].flatten()[0].item()
            raise ValueError(f"t must be in (0, {self.T:g}], the times of {self}, not {bad:g}; t_min is {self.t_min:g}")
        return t


def _number(name: str, value: Number) -> Number:
    if isinstance(value, Tensor):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is a number or a tensor (B,), not {value!r}") from None


def _of(function: str, value: Number) -> Number:
    """A function that math and torch have both, such as "exp"."""
    return getattr(torch if isinstance(value, Tensor) else math, function)(value)


@dataclass(frozen=True)
class VE(SDE):
    """Variance exploding: noise is added to the data as they are (Song et al. 2021, eq. 9), until they drown in it.

    sigma(t) = sigma_min (sigma_max / sigma_min)^t, f = 0. NCSN's geometric ladder is its discretisation.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    t_min: float = 1e-5

    def __post_init__(self) -> None:
        _check_t_min(self.t_min)
        if not check_positive("sigma_max", self.sigma_max) > check_positive("sigma_min", self.sigma_min):
            raise ValueError(f"sigma_max must exceed sigma_min, but {self.sigma_max} <= {self.sigma_min}")

    @property
    def _growth(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def _scale(self, t: Number) -> Number:
        return 0 * t + 1

    def _sigma(self, t: Number) -> Number:
        return self.sigma_min * _of("exp", self._growth * t)

    def _time(self, sigma: Number) -> Number:
        return _of("log", sigma / self.sigma_min) / self._growth

    def _drift_rate(self, t: Number) -> Number:
        return 0 * t

    def _variance_rate(self, t: Number) -> Number:
        return 2 * self._growth * self._sigma(t) ** 2

    def sigmas(self, n: int) -> Tensor:
        """The levels of a discretisation with n of them, largest first, shape (n,): geometric, as in the paper."""
        return geometric(self.sigma_max, self.sigma_min, n)


@dataclass(frozen=True)
class EDM(SDE):
    """Noise is added to the data as they are, and its standard deviation is the time (Karras et al. 2022).

    T is sigma_max. Every ladder of noise levels is a row of its times.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if check_positive("sigma_max", self.sigma_max) < check_positive("sigma_min", self.sigma_min):
            raise ValueError(f"sigma_max must not be below sigma_min, but {self.sigma_max} < {self.sigma_min}")
        object.__setattr__(self, "T", self.sigma_max)
        object.__setattr__(self, "t_min", self.sigma_min)

    def _scale(self, t: Number) -> Number:
        return 0 * t + 1

    def _sigma(self, t: Number) -> Number:
        return t

    def _time(self, sigma: Number) -> Number:
        return sigma

    def _drift_rate(self, t: Number) -> Number:
        return 0 * t

    def _variance_rate(self, t: Number) -> Number:
        return 2 * t


@dataclass(frozen=True)
class _Fading(SDE):
    """The drift -beta(t) x / 2: data fade. beta rises from beta_min to beta_max."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-3

    def __post_init__(self) -> None:
        _check_t_min(self.t_min)
        if check_positive("beta_min", self.beta_min) > check_positive("beta_max", self.beta_max):
            raise ValueError(f"beta_min <= beta_max: noise comes in ever faster, not {self.beta_min}, {self.beta_max}")

    def beta(self, t: Number) -> Number:
        """beta_min + t (beta_max - beta_min)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def _integral(self, t: Number) -> Number:
        """The integral of beta from 0 to t."""
        return t * (self.beta_min + self.beta(t)) / 2

    def _time_at(self, integral: Number) -> Number:
        """Its inverse."""
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral) ** 0.5
        return 2 * integral / (self.beta_min + root)

    def _scale(self, t: Number) -> Number:
        return _of("exp", -self._integral(t) / 2)

    def _drift_rate(self, t: Number) -> Number:
        return -self.beta(t) / 2


class VP(_Fading):
    """Variance preserving: data fade as noise comes in, and variance 1 stays 1 (Song et al. 2021, eq. 11).

    f = -beta(t) / 2 and g^2 = beta(t), which rises from beta_min to beta_max; DDPM is its discretisation. For data of
    about mean 0 and variance 1, such as images in [-1, 1].
    """

    def _sigma(self, t: Number) -> Number:
        return _of("expm1", self._integral(t)) ** 0.5

    def _time(self, sigma: Number) -> Number:
        return self._time_at(_of("log1p", sigma**2))

    def _variance_rate(self, t: Number) -> Number:
        return self.beta(t)

    def betas(self, n: int) -> Tensor:
        """The DDPM that is this SDE in n steps: beta_i = beta(t) / n, (n,), float64; n = 1000 is the paper's."""
        if not self.beta_max < check_count("n", n):
            raise ValueError(f"{n} steps are too few for a chain: beta_i = beta / n < 1 needs n > {self.beta_max:g}")
        return torch.linspace(self.beta_min / n, self.beta_max / n, n, dtype=torch.float64)


class SubVP(_Fading):
    """The drift of VP with less noise, g^2 = beta (1 - e^(-2 int beta)) (Song et al. 2021, eq. 12).

    The standard deviation of x_t given x_0 is what VP has as variance.
    """

    def _sigma(self, t: Number) -> Number:
        return 2 * _of("sinh", self._integral(t) / 2)

    def _time(self, sigma: Number) -> Number:
        return self._time_at(2 * _of("asinh", sigma / 2))

    def _variance_rate(self, t: Number) -> Number:
        return -self.beta(t) * _of("expm1", -2 * self._integral(t))


def _check_t_min(t_min: float) -> None:
    if not check_positive("t_min", t_min) < 1:
        raise ValueError(f"t_min is where sampling ends, before T = 1, and not {t_min}")


def path_of(
    path: SDE | Tensor, n_steps: int | None, *, solver: Solver | None = None, start: Tensor | None = None
) -> tuple[SDE, list[float]]:
    """What samplers take: an SDE, cut into n_steps, or a ladder (L,), whose levels are times of EDM; times from T down.

    solver  "adaptive" chooses its steps, and is given an SDE without n_steps
    start   points that are to be x_T
    """
    if start is not None:
        check_points(start)
    if solver == "adaptive" and n_steps is not None:
        raise ValueError("the adaptive solver chooses its steps: leave out n_steps=, and give rtol= and atol=")
    if isinstance(path, type) and issubclass(path, SDE):
        raise TypeError(f"path is a kind of SDE: give one, such as {path.__name__}()")
    if not isinstance(path, SDE):
        if not isinstance(path, (Tensor, Sequence)) or isinstance(path, str):
            raise TypeError(f"path is an SDE, such as VE(), or a ladder of noise levels (L,), not {path!r}")
        if n_steps is not None:
            raise ValueError("a ladder has a step to each next level: leave out n_steps=, or give an SDE such as VE()")
        ladder = check_ladder(path).tolist()
        return EDM(ladder[-1], ladder[0]), ladder
    if n_steps is None and solver != "adaptive":
        raise ValueError(f"{path} is passed in steps of time: give n_steps=, such as 1000")
    if start is not None:
        path.check_start(start)
    return path, path.times(2 if n_steps is None else check_count("n_steps", n_steps) + 1)
