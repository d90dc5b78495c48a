"""Cells in which a learner writes a line or three: what is written is tried at once, and a sentence says how it does.

It says "not written yet", "right", or what is wrong, as the test cells of assignments do. It never raises, so that an
unwritten cell stops nothing below it; and it leaves random numbers and settings as they were, so that a written one
changes nothing below it either. This file does NOT hold any exercise.
"""

import dis
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..grading.calls import at_most
from ..grading.settings import ours, random_state, set_random_state, theirs
from ..grading.tasks import Wrong, close, copied, in_words, quietly, tensors

SECONDS = 10.0  # what a cell may take; the right lines take a hundredth of it


class NotWritten(Exception):
    """The dots that stand for what is to be written are still there."""


class Answer:
    """A learner's function, called safely: with copies, in silence, with the settings of the notebook."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self._function = function

    def raw(self, *arguments: Any) -> Any:
        """What it returns, as it is."""
        with quietly(), theirs(), torch.enable_grad():
            result = self._function(*map(copied, arguments))
        parts = result if isinstance(result, tuple | list) else [result]
        if any(part is ... for part in parts):
            raise NotWritten
        return result

    def __call__(self, *arguments: Any, shape: Sequence[int] | None = None) -> Any:
        """What it returns as tensors of 64 bits; raises Wrong where that is nothing, no numbers, or another shape."""
        return tensors(self.raw(*arguments), self.name, shape)


def exercise(ask: Callable[[Answer], None]) -> Callable[[object], None]:
    """Make an exercise of a function that asks an answer for results, and raises Wrong where one is wrong.

    The exercise takes the learner's function and prints one sentence.
    """

    @functools.wraps(ask, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    def check(function: object) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        print(f"{name}: {verdict(ask, function)}")

    return check


def verdict(ask: Callable[[Answer], None], function: object) -> str:
    """The sentence that an exercise prints, without the name."""
    if not callable(function):
        return f"give the function itself, and not what it returns (this is a {type(function).__name__})"
    if _is_empty(function):
        return "not written yet"
    drawn = random_state()
    try:
        with ours(), at_most(SECONDS):
            torch.manual_seed(0)
            ask(Answer(function))
    except NotWritten:
        return "not written yet"
    except BaseException as error:  # whatever a learner's code may raise: SystemExit, an own class of BaseException
        if isinstance(error, TypeError) and "ellipsis" in str(error):  # `x + ...`
            return "not written yet"
        words = in_words(error, getattr(function, "__globals__", {}))
        return words if words == "not written yet" else f"not right yet: {words}"
    finally:
        set_random_state(drawn)
    return "right"


def _is_empty(function: object) -> bool:
    """Is its body `...`, `pass` or a docstring alone? Then it returns None and does nothing else."""
    if not isinstance(function, types.FunctionType):
        return False
    done = [(step.opname, step.argval) for step in dis.get_instructions(function) if step.opname != "RESUME"]
    return done in ([("LOAD_CONST", None), ("RETURN_VALUE", None)], [("RETURN_CONST", None)])


def compare(value: Tensor, right: Tensor, mistakes: Mapping[str, Tensor], *, what: str = "the result") -> None:
    """Raises Wrong unless the value is right: in the words of the mistake whose value it is, or by how they differ.

    mistakes: {what to say: the value that this mistake gives}; one whose value is right, by chance, is none.
    """
    for words, wrong in mistakes.items():
        if wrong.shape == value.shape and not _agree(wrong, right) and _agree(value, wrong):
            raise Wrong(words)
    close(value, right, what=what)


def _agree(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5))


__all__ = ["Answer", "Wrong", "compare", "exercise", "verdict"]
