"""A progress bar that stays out of stored outputs. This file does NOT know what it counts."""

import os
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T], total: int | None = None, description: str = "") -> Iterator[T]:
    """Pass the items through, with a bar that vanishes when the loop ends, breaks or fails.

    `total` is the number of items; len(iterable) where there is one. No bar is drawn with NCSN_EDU_PROGRESS=0, or
    where figures are checked (NCSN_EDU_FIGURES=check): timings would make every stored output differ.
    """
    if not isinstance(iterable, Iterable):
        raise TypeError(f"progress wraps what a for loop can run over, not {iterable!r}: perhaps range({iterable!r})")
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    return _with_bar(iterable, total, description)


def _with_bar(iterable: Iterable[T], total: int | None, description: str) -> Iterator[T]:
    from tqdm.auto import tqdm

    with tqdm(iterable, desc=description or None, total=total, leave=False, disable=outputs_are_stored()) as bar:
        yield from bar


def outputs_are_stored() -> bool:
    """Whether what is shown is stored or compared with what was stored: then no two runs may differ."""
    return os.environ.get("NCSN_EDU_PROGRESS") == "0" or os.environ.get("NCSN_EDU_FIGURES") == "check"
