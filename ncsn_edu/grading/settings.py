"""Settings of PyTorch, NumPy and Python that a notebook may change: the tests have theirs, and the learner's code his.

This file does NOT say when which of them hold (cells.py and tasks.py do).
"""

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Settings:
    """What changes numbers or raises errors in the whole process; without values it is how Python starts."""

    dtype: torch.dtype = torch.float32
    device: torch.device | None = None
    grad: bool = True
    deterministic: bool = False
    anomalies: bool = False
    recursion: int = 1000

    @staticmethod
    def now() -> "Settings":
        """The present ones."""
        device = torch.get_default_device()
        return Settings(
            torch.get_default_dtype(),
            None if device == torch.device("cpu") else device,
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_anomaly_enabled(),
            sys.getrecursionlimit(),
        )

    def set(self) -> None:
        """Make them the present ones."""
        torch.set_default_dtype(self.dtype)
        now = Settings.now()
        if now.device != self.device:
            torch.set_default_device(self.device)
        torch.set_grad_enabled(self.grad)
        if now.deterministic != self.deterministic:
            torch.use_deterministic_algorithms(self.deterministic)
        torch.autograd.set_detect_anomaly(self.anomalies)
        if now.recursion != self.recursion:
            sys.setrecursionlimit(self.recursion)


OURS = Settings()
_THEIRS: list[Settings] = []  # the learner's, while the tests' hold


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """The tests' settings, and nobody is warned. Afterwards the learner's come back, as his code has left them."""
    _THEIRS.append(Settings.now())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        Settings(recursion=max(_THEIRS[-1].recursion, OURS.recursion)).set()
        try:
            yield
        finally:
            _THEIRS.pop().set()


@contextlib.contextmanager
def theirs() -> Iterator[None]:
    """Within `ours`: the learner's settings, for a call of his code."""
    if not _THEIRS:
        yield
        return
    before = Settings.now()
    given = replace(_THEIRS[-1], grad=_THEIRS[-1].grad and before.grad)
    given.set()
    try:
        yield
    finally:
        left = Settings.now()
        _THEIRS[-1] = replace(left, grad=left.grad if left.grad != given.grad else _THEIRS[-1].grad)
        before.set()


@contextlib.contextmanager
def our_numbers() -> Iterator[None]:
    """Double and single precision as the tests have them, on the CPU; whether gradients are recorded stays."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    if dtype == OURS.dtype and device.type == "cpu":
        yield
        return
    torch.set_default_dtype(OURS.dtype)
    torch.set_default_device(None)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(None if device.type == "cpu" else device)


def random_state() -> tuple[Any, ...]:
    """Of the generators of PyTorch, NumPy and Python."""
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def set_random_state(state: tuple[Any, ...]) -> None:
    """Draw on from a `random_state`."""
    ours, numpys, pythons = state
    torch.set_rng_state(ours)
    np.random.set_state(numpys)
    random.setstate(pythons)
