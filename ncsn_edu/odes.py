"""Solvers of ordinary differential equations dx/dt = slope(x, t): Euler's method, Heun's, and an adaptive one.

The adaptive one is scipy's Runge-Kutta pair of order 5 (4), which is there anyway, is known to everybody, and is
stepped by hand, so that evaluations are counted and a failure is seen. This file does NOT know scores.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from .checks import check_choice, check_count, check_positive
from .core import exact

if TYPE_CHECKING:
    from scipy.integrate import RK45

Solver = Literal["euler", "heun", "adaptive"]
Slope = Callable[[Tensor, float, int], Tensor]  # (x (B, *D), t, number of the step) -> dx/dt
Method = Callable[
    [Slope, Tensor, Sequence[float]], Iterator[tuple[float, Tensor]]
]  # x at times[0] -> t, x after a step


class NotSolved(ArithmeticError):
    """A differential equation that was not solved to the end: there is no result."""


def method_of(solver: Solver, *, rtol: float = 1e-5, atol: float = 1e-5, max_evaluations: int = 10_000) -> Method:
    """A solver that goes through the times given to it; the adaptive one from the first to the last.

    Adaptive: steps are as long as the worst row allows, whose error is about atol + rtol |x| a step, as a root mean
    square over its numbers. What needs more than max_evaluations of the slope, or steps too small for the arithmetic,
    raises NotSolved.
    """
    check_choice("solver", solver, ("heun", "euler", "adaptive"))
    rtol, atol, most = check_positive("rtol", rtol), check_positive("atol", atol), max_evaluations
    most = check_count("max_evaluations", most)
    if not rtol >= 1e-12:
        raise ValueError(f"rtol must be at least 1e-12, as float64 has 16 digits, and not {rtol}")
    if solver != "adaptive":
        return lambda slope, x, times: _fixed(slope, x, times, heun=solver == "heun")
    return lambda slope, x, times: _adaptive(slope, x, times[0], times[-1], rtol, atol, most)


def _fixed(slope: Slope, x: Tensor, times: Sequence[float], *, heun: bool) -> Iterator[tuple[float, Tensor]]:
    for i, (t, after) in enumerate(pairwise(times)):
        step, here = after - t, slope(x, t, i)
        ahead = x + step * here
        if heun:
            here = (here + slope(ahead, after, i + 1)) / 2
            ahead = x + step * here
        x = ahead
        yield after, x


def _adaptive(
    slope: Slope, x: Tensor, start: float, end: float, rtol: float, atol: float, most: int
) -> Iterator[tuple[float, Tensor]]:
    import numpy as np

    first = exact(x).flatten().numpy()
    if not np.isfinite(first).all():
        raise ValueError("x holds NaN or infinite numbers: there is no curve from there")
    asked = step = 0

    def back(y: np.ndarray) -> Tensor:
        return torch.from_numpy(y.copy()).to(x.dtype).to(x.device).view_as(x)  # some devices have no float64

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        nonlocal asked
        if asked == most:
            raise NotSolved(
                f"the adaptive solver stopped at t = {t:.4g}, on the way from {start:.4g} to {end:.4g}, after "
                f"max_evaluations = {most}: allow more of them, or a larger error by rtol= and atol="
            )
        asked += 1
        values = exact(slope(back(y), t, step)).flatten().numpy()
        if not np.isfinite(values).all():
            raise FloatingPointError(f"the slope is NaN or infinite at t = {t:.4g}: the score itself returns it")
        return values

    run = _worst_row(len(x))(rate, start, first, end, rtol=rtol, atol=atol)
    while first.size and run.status == "running":
        said = run.step()
        if run.status == "failed":
            raise NotSolved(
                f"the adaptive solver failed at t = {run.t:.4g} ({said}): allow a larger error by rtol=, atol="
            )
        step += 1
        yield run.t, back(run.y)


def _worst_row(rows: int) -> "type[RK45]":
    """Scipy's solver, whose norm would be that of the average row: a hard one among easy ones would go unseen."""
    import numpy as np
    from scipy.integrate import RK45

    class WorstRow(RK45):
        def _estimate_error_norm(self, stages: np.ndarray, h: float, scale: np.ndarray) -> float:
            error = (self._estimate_error(stages, h) / scale).reshape(rows, -1)
            return np.sqrt(np.square(error).mean(1).max())

    return WorstRow
