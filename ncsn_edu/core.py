"""The one abstraction of the package, and the few words that everything else is said in.

A *score* is any callable `score(x, sigma)` that returns grad_x log p_sigma(x), the gradient of the log-density of
the data after adding noise of standard deviation sigma: p_sigma = p_data * N(0, sigma^2 I). Here x has shape
(B, *D), sigma is a float or has shape (B,), and the result has the shape of x. A closed form, a network on images
and an energy are all the same thing to a sampler. Data are as they are, noise is added: no other scaling leaves
the model that needs it.

This file does NOT sample, train or draw.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from .checks import check_count, check_points, check_sigma

T = TypeVar("T")


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
        raise ValueError("there is no last state: the sampler made no step (is it used up already? call it again)")
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
    return x + expand_like(sigma, x) ** 2 * evaluate(score, x, sigma)


def evaluate(score: Score, x: Tensor, sigma: float | Tensor, level: int = 0, step: int = 0) -> Tensor:
    """score(x, sigma) in the dtype of x, or an error that names the place on the ladder."""
    return usable(score(x, sigma), x, sigma, level, step)


def usable(s: Tensor, x: Tensor, sigma: float | Tensor, level: int, step: int) -> Tensor:
    """A score (B, *D) in the dtype of x, if it has the shape of x and is finite; else an error that names the place."""
    if isinstance(s, Tensor) and s.shape == x.shape and s.isfinite().all():
        return s.to(x.dtype)
    noise = f"{sigma:.4g}" if not isinstance(sigma, Tensor) or sigma.ndim == 0 else "one per row"
    where = f" at level {level} (sigma {noise}), step {step}"
    shaped(s, x, where)
    raise FloatingPointError(
        f"the score is NaN or infinite{where}. If the chains ran away before, the step is too large: "
        "compare eps with stable_eps(sigmas, data_var), or alpha with stable_alpha(data_var, sigma). "
        "If not, the score function itself returns it"
    )


def shaped(s: Tensor, x: Tensor, where: str = "") -> Tensor:
    """The score, if it has the shape of x: another one could be broadcast into something that means nothing."""
    if not isinstance(s, Tensor) or s.shape != x.shape:
        got = f"shape {tuple(s.shape)}" if isinstance(s, Tensor) else f"a {type(s).__name__}"
        raise ValueError(f"the score function returned {got}{where}; it must return the shape of x, {tuple(x.shape)}")
    return s


def expand_like(sigma: float | Tensor, x: Tensor) -> Tensor:
    """Give sigma (float, () or (B,)) the dtype, device and rank of x (B, *D), so that it multiplies row by row."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    if sigma.ndim == 0:
        return sigma
    if sigma.ndim > 1 or len(sigma) not in (1, len(x)):
        raise ValueError(
            f"sigma has shape {tuple(sigma.shape)}, but x is a batch of {len(x)}: give one number, "
            f"or one per row, shape ({len(x)},)"
        )
    return sigma.reshape(-1, *[1] * (x.ndim - 1))  # (B, 1, ..., 1)


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal noise z in the shape, dtype and device of x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
