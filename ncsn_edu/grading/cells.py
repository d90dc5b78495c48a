"""Run the test cells of a notebook in names of their own: nothing that the notebook calls so changes a test.

`%%tests 3` at the top of a cell runs the rest of it here; the import of ncsn_edu.grading.tasks makes it known to
IPython. Only what a task asks for by name (`task.answer`, `task.value`) is looked up in the notebook, and no name is
left there. `%%tests setup` is for what the tests of a notebook share: it is theirs, and the notebook gets copies.
This file does NOT grade, and does NOT need IPython (kernel.py is the grader's way in).
"""

import ast
import builtins
import contextlib
import io
import math
import sys
from collections.abc import MutableMapping
from typing import Any

import numpy as np
import torch

from . import tasks
from .settings import ours, random_state, set_random_state

SETUP = "setup"  # what stands after %%tests for that
_BUILTINS = dict(vars(builtins))
_TOOLS = {
    name: value
    for name, value in vars(tasks).items()
    if getattr(value, "__module__", "") == tasks.__name__ and not name.startswith("_")
}


class Cells:
    """The test cells of one notebook. names: the notebook's own, which the tests only look at."""

    def __init__(self, names: MutableMapping[str, Any]) -> None:
        self.names = names
        self.share, self.seconds = 1.0, math.inf  # as in `tasks.Task`
        self.task: tasks.Task | None = None  # the last one
        self._fixed = {"__builtins__": dict(_BUILTINS), **_TOOLS}  # as they are when this is made
        self._shared: dict[str, Any] = {}
        self._copies: dict[str, Any] = {}

    def run(self, line: str, source: str) -> Any:
        """Run a cell, whose first line says %%tests and then `line`; returns the value of its last expression.

        Raises Wrong where something is missing that a set-up cell defines, and what the cell itself raises.
        """
        title, drawn = (line.split() or ["?"])[0], random_state()
        try:
            with ours():
                if title != SETUP:
                    return execute(source, f"<tests {title}>", self._shared | self._tools())
                self._shared |= _defined(source, self._shared | self._tools())
                with contextlib.redirect_stdout(io.StringIO()):
                    self._copies |= _defined(source, self._copies | self._tools())
                self.names.update(self._copies)
                return None
        except NameError as error:
            raise tasks.Wrong(tasks.missing(error)) from None
        finally:
            set_random_state(drawn)

    def _tools(self) -> dict[str, Any]:
        modules = {"math": math, "np": np, "torch": torch, "ne": sys.modules["ncsn_edu"]}
        fixed = self._fixed | {"__builtins__": dict(self._fixed["__builtins__"])}
        return {"__name__": tasks.OURS, **modules, **fixed, "Task": self._task}

    def _task(self, title: str, *, stuck: str = "") -> tasks.Task:
        self.task = tasks.Task(title, self.names, stuck=stuck, share=self.share, seconds=self.seconds)
        return self.task


def execute(source: str, filename: str, names: dict[str, Any]) -> Any:
    """Execute a cell in these names; the value of its last line, if that is an expression."""
    tree = ast.parse(source, filename)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, filename, "exec", dont_inherit=True), names)
        return None
    del tree.body[-1]
    exec(compile(tree, filename, "exec", dont_inherit=True), names)
    return eval(compile(ast.Expression(last.value), filename, "eval", dont_inherit=True), names)


def _defined(source: str, names: dict[str, Any]) -> dict[str, Any]:
    """What a cell defines that is run in these names."""
    before = dict(names)
    execute(source, f"<tests {SETUP}>", names)
    return {name: value for name, value in names.items() if name not in before or before[name] is not value}
