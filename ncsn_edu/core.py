"""The one abstraction of the package, and the few words that everything else is said in.

A *score* is any callable `score(x, sigma)` that returns grad_x log p_sigma(x), the gradient of the log-density of
the data after adding noise of standard deviation sigma: p_sigma = p_data * N(0, sigma^2 I). Here x has shape
(B, *D), sigma is a float or has shape (B,), and the result has the shape of x. A closed form, a network on images
and an energy are all the same thing to a sampler. Data are as they are, noise is added: no other scaling leaves
the model that needs it.

This file does NOT sample, train or draw.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from . import checks
from .checks import check_count, check_points, check_sigma

T = TypeVar("T")
CHECK_EVERY = 50  # evaluations on a GPU between two looks at them


class Score(Protocol):
    """(x (B, *D), sigma float or (B,)) -> grad_x log p_sigma(x), shape (B, *D)."""

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Return grad_x log p_sigma(x), in the shape of x."""
        ...


class State(NamedTuple):
    """What a sampler yields, AFTER each update."""

    x: Tensor  # (B, *D), the chains
    sigma: float  # the noise level of the update just made
    level: int  # its place on the ladder, from 0
    step: int  # the update's number within the level, from 0
    accepted: Tensor | None = None  # (B,) booleans, from samplers that reject


def last(states: Iterable[State]) -> Tensor:
    """Run a sampler to its end and return its final x (B, *D). Holds one state at a time."""
    final = deque(states, maxlen=1)
    if not final:
        raise ValueError(
            "there is no last state: the sampler made no step (is it used up already? call it again; a ladder of one "
            "level has no step)"
        )
    return final[0].x


def every(states: Iterable[T], k: int) -> Iterator[T]:
    """Every k-th state (the k-th, the 2k-th, ...), and always the last one, whether k divides the number or not."""
    check_count("k", k)
    return _every(states, int(k))


def _every(states: Iterable[T], k: int) -> Iterator[T]:
    number = 0
    for number, state in enumerate(states, start=1):
        if number % k == 0:
            yield state
    if number % k:
        yield state


@torch.no_grad()
def denoise(score: Score, x: Tensor, sigma: float | Tensor) -> Tensor:
    """E[clean | noisy = x] = x + sigma^2 score(x, sigma), shape of x (Tweedie; Jolicoeur-Martineau et al. 2021)."""
    check_points(x), check_sigma(sigma)
    evaluate = Evaluations(score)
    s = evaluate(x, sigma)
    evaluate.finish()
    return x + expand_like(sigma, x) ** 2 * s


class Looks:
    """Whether numbers are as they must be, asked at every step of a sampler and answered where that costs nothing.

    To look at numbers on a GPU is to wait for it: there they are looked at once in CHECK_EVERY times, and by `finish`,
    which a sampler calls at its end. The error names the first bad place all the same.
    """

    def __init__(self) -> None:
        self._unchecked: list[tuple[Tensor, Callable[..., str], tuple[Any, ...]]] = []

    def look(self, good: Tensor, why: Callable[..., str], *of: Any) -> None:
        """Raise FloatingPointError(why(*of)), now or later, unless the truth value `good` () holds."""
        at_once = checks.may_look(good)
        if not (at_once and good):
            self._unchecked.append((good, why, of))
            if at_once or len(self._unchecked) >= CHECK_EVERY:
                self.finish()

    def look_finite(self, values: Tensor, why: Callable[..., str], *of: Any) -> None:
        """The same, unless all values are finite."""
        # A finite sum says so in a twentieth of the time; one that is not may have overflown, and is no verdict.
        if not (checks.may_look(values) and math.isfinite(values.sum().item())):
            self.look(values.isfinite().all(), why, *of)

    def look_at_score(self, s: Tensor, x: Tensor, sigma: float | Tensor, level: int = 0, step: int = 0) -> Tensor:
        """A score in the dtype of x (B, *D), if it has its shape; it must be finite at this level and step."""
        if not isinstance(s, Tensor) or s.shape != x.shape:
            shaped(s, x, _place(sigma, level, step))
        self.look_finite(s, _not_finite, sigma, level, step)
        return s.to(x.dtype)

    def finish(self) -> None:
        """Look at what has not been looked at."""
        unchecked, self._unchecked = self._unchecked, []
        if unchecked and not torch.stack([good for good, _, _ in unchecked]).all():
            raise FloatingPointError(next(why(*of) for good, why, of in unchecked if not good))


class Evaluations(Looks):
    """A score as one run of a sampler asks it: in the dtype of x, and checked for its shape and for finite numbers."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.score = score

    def __call__(self, x: Tensor, sigma: float | Tensor, level: int = 0, step: int = 0) -> Tensor:
        """score(x, sigma), in the shape of x (B, *D), for a step at a level of the ladder."""
        return self.look_at_score(self.score(x, sigma), x, sigma, level, step)


def _not_finite(sigma: float | Tensor, level: int, step: int) -> str:
    return (
        f"the score is NaN or infinite{_place(sigma, level, step)}. If the chains ran away before, the steps "
        "are too large: take more of them, or for Langevin's compare eps with stable_eps(sigmas, data_var), alpha with "
        "stable_alpha(data_var, sigma). If not, the score function itself returns it"
    )


def _place(sigma: float | Tensor, level: int, step: int) -> str:
    noise = f"{sigma:.4g}" if not isinstance(sigma, Tensor) or sigma.ndim == 0 else "one per row"
    return f" at level {level} (sigma {noise}), step {step}"


def shaped(s: Tensor, x: Tensor, where: str = "") -> Tensor:
    """The score, if it has the shape of x: another one could be broadcast into something that means nothing."""
    if not isinstance(s, Tensor) or s.shape != x.shape:
        got = f"shape {tuple(s.shape)}" if isinstance(s, Tensor) else f"a {type(s).__name__}"
        raise ValueError(f"the score function returned {got}{where}; it must return the shape of x, {tuple(x.shape)}")
    return s


def expand_like(sigma: float | Tensor, x: Tensor, name: str = "sigma") -> Tensor:
    """Give sigma (float, () or (B,)) the dtype, device and rank of x (B, *D), so that it multiplies row by row."""
    sigma = as_tensor(sigma, x)
    if sigma.ndim == 0:
        return sigma
    if sigma.ndim > 1 or len(sigma) not in (1, len(x)):
        raise ValueError(
            f"{name} has shape {tuple(sigma.shape)}, but x is a batch of {len(x)}: give one number, "
            f"or one per row, shape ({len(x)},)"
        )
    return sigma.reshape(-1, *[1] * (x.ndim - 1))  # (B, 1, ..., 1)


def as_tensor(value: float | Tensor, like: Tensor) -> Tensor:
    """A number or a tensor in the dtype and on the device of another. A number is made there: to copy it is to wait."""
    if isinstance(value, (int, float)) and like.device.type != "cpu":
        return torch.full((), value, dtype=like.dtype, device=like.device)
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def exact(values: Any) -> Tensor:
    """A number or numbers in float64, on the CPU: some accelerators have none."""
    return torch.as_tensor(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=torch.float64)


@contextmanager
def differentiating(x: Tensor, sigma: float | Tensor) -> Iterator[tuple[Tensor, float | Tensor]]:
    """Gradients are on, under no_grad and inference_mode too; gives x and sigma as autograd can take them."""
    with torch.inference_mode(False), torch.enable_grad():
        if isinstance(sigma, Tensor) and sigma.is_inference():
            sigma = sigma.clone()
        yield (x.clone() if x.is_inference() else x), sigma


def gradient(
    of: Tensor, x: Tensor, v: Tensor, name: str, *, retain: bool = False, again: bool = False, batched: bool = False
) -> Tensor:
    """v' d of / d x, in the shape of x, where v has the shape of `of`. Raises ValueError where nothing comes from x.

    retain  the graph, for other v; again: it will itself be differentiated; batched: several v stacked in front
    """
    found = None
    if of.requires_grad:
        settings = {"retain_graph": retain or again, "create_graph": again, "allow_unused": True}
        found = torch.autograd.grad(of, x, v, is_grads_batched=batched, **settings)[0]
    if found is None:
        raise ValueError(
            f"the {name} has no gradient with respect to x: it does not depend on x, or was detached from it (no_grad, "
            "inference_mode, detach, NumPy) on the way: take that away; what is meant to be constant can return "
            "constant + 0 * x"
        )
    return found


def uncorrelated(operator: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What y = A x + noise z says in R <= M numbers: U'A (R, D), whose rows are orthogonal, U'y, and their lengths^2.

    U are the eigenvectors of A A', but for those that it sends to 0 (to 1e-10 of its largest eigenvalue): along them
    y is noise alone, and where it contradicts itself by more than the noise, rounding would make something of that.
    """
    lengths, u = torch.linalg.eigh(operator @ operator.mT)
    kept = lengths >= 1e-10 * lengths.max()
    return u[:, kept].mT @ operator, y @ u[:, kept], lengths[kept]


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal noise z in the shape, dtype and device of x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
