"""In the grader's kernel: run test cells apart from the notebook, with the tools as they were before its first cell.

`install` is the first thing that a kernel is asked for. From then on a request whose user_expressions hold "tests" does
not pass through IPython: no history, no names, no displayed value; what it gave goes into the reply. This file does
NOT confine anything: code that looks for it can still find the tests in its own process.
"""

import builtins
import contextlib
import importlib
import inspect
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from IPython.core.getipython import get_ipython

from .calls import is_a_librarys
from .cells import Cells
from .tasks import SEED, _said, _short

WATCHED = (
    *("builtins", "math", "torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.func"),
    *("torch.autograd", "numpy", "numpy.linalg", "numpy.random", "scipy.stats", "scipy.special"),
)
# What IPython puts among the builtins.
CHANGING = ("input", "display", "exit", "quit", "copyright", "credits", "license", "get_ipython")
# One right answer and several wrong ones: only the point of the right one may come out.
CANARY = """
task, x = Task("canary"), torch.tensor([1.0, -2.0])
task.check("right", points=1)(lambda: (close(x, [1.0, -2.0]), ensure((x.abs() <= 2).all(), ""), plausible(0.5, "")))
for wrong in (
    lambda: close(x, x + 1),
    lambda: close(x, x[:1]),
    lambda: ensure(x.max() > 5, ""),
    lambda: ensure((x > 0).all(), ""),
    lambda: ensure(abs(x.sum() - 7) < 1e-3, ""),
    lambda: plausible(1e-9, ""),
    lambda: plausible(p_mean(torch.full((100,), 9.0), 0.0, 1.0), ""),
    lambda: plausible(p_variance(torch.full((100,), 9.0), 1.0), ""),
    lambda: close(ne.GaussianMixture([[0.0]]).score(x[:1, None]), [[1.0]]),
):
    task.check("wrong", points=2)(wrong)
task.done()
"""


def install() -> None:
    """Make this kernel run test cells, with the tools as they are now. Random numbers start anew."""
    shell: Any = get_ipython()
    kernel, cells = shell.kernel, Cells(shell.user_ns)
    originals, ordinary = Originals(), shell.kernel.do_execute
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # torch.compile gives the same numbers, without a compiler
    seed = int(os.environ.get(SEED, 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

    async def do_execute(
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        if not user_expressions or "tests" not in user_expressions:
            return await ordinary(code, silent, store_history, user_expressions, allow_stdin, **more)
        given = _run(cells, originals, code, **json.loads(user_expressions["tests"]))
        payload = shell.payload_manager.read_payload()
        shell.payload_manager.clear_payload()
        return {
            "status": "ok",
            "execution_count": kernel.execution_count,
            "user_expressions": {"tests": given},
            "payload": payload,
        }

    kernel.do_execute = do_execute


def _run(cells: Cells, originals: "Originals", code: str, *, seconds: float, share: float) -> dict[str, Any]:
    """What a test cell prints and gives, whether it can be believed, and what else a teacher should know."""
    first, _, body = code.partition("\n")
    cells.seconds, cells.share, cells.task = seconds, share, None
    said = io.StringIO()
    value: Any = None
    error: list[str] | None = None
    with originals.back() as replaced:
        judges = _judges(cells)
        cells.task = None
        try:
            with contextlib.redirect_stdout(said):
                value = cells.run(first.removeprefix("%%tests "), body)
        except BaseException as raised:  # of a test cell's own lines, also KeyboardInterrupt
            error = [type(raised).__name__, _said(raised)]
        replaced_meanwhile = originals.foreign()
    task = cells.task
    return {
        "value": None if value is None else repr(value),
        "error": error,
        "text": said.getvalue(),
        "judges": judges,
        "replaced": [_short(name) for name in replaced],
        "replaced_meanwhile": replaced_meanwhile,
        "helped": task.helped if task is not None else [],
    }


def _judges(cells: Cells) -> bool:
    """Do the tests still tell right from wrong?"""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(BaseException):
        return bool(cells.run("canary", CANARY) == 1.0)
    return False


class Originals:
    """The functions and classes that tests are made with, as they are when this is made."""

    def __init__(self) -> None:
        modules = [importlib.import_module(name) for name in WATCHED]
        modules += [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "ncsn_edu"]
        owners: list[Any] = [*modules, torch.Tensor, torch.nn.Module]
        stats = sys.modules["scipy.stats"]
        owners += [type(stats.chi2), type(stats.norm), stats.chi2, stats.norm, stats.binom]
        owners += [value for module in modules for value in vars(module).values() if _is_our_class(value)]
        self._modules = {module.__name__: module for module in modules}
        self._kept = {id(owner): (owner, {name: _kept(value) for name, value in _watched(owner)}) for owner in owners}

    @contextlib.contextmanager
    def back(self) -> Iterator[list[str]]:
        """With the originals in place; yields what a notebook's code had put there instead."""
        changes = list(self._changes())
        replaced = [f"{_name(owner)}.{name}" for owner, name, now, _ in changes if not _is_a_librarys(now)]
        for owner, name, _, (value, code) in changes:
            _set(owner, name, value)
            if code is not None:
                value.__code__ = code
        try:
            yield replaced
        finally:
            for owner, name, now, _ in changes:
                _set(owner, name, now)

    def foreign(self) -> list[str]:
        """What is a notebook's code at the moment."""
        return [f"{_name(owner)}.{name}" for owner, name, now, _ in self._changes() if not _is_a_librarys(now)]

    def _changes(self) -> Iterator[tuple[Any, str, Any, tuple[Any, Any]]]:
        """Owner, name, the value that it has now, and what it should have; _GONE for none."""
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                yield sys.modules, name, sys.modules.get(name, _GONE), (module, None)
        for owner, kept in self._kept.values():
            now = vars(owner)
            for name, (value, code) in kept.items():
                if now.get(name, _GONE) is not value or (code is not None and value.__code__ is not code):
                    yield owner, name, now.get(name, _GONE), (value, code)
            if isinstance(owner, type) and len(now) > len(kept):
                bases = owner.__mro__[1:]
                for name in [name for name in now if name not in kept and any(name in vars(base) for base in bases)]:
                    yield owner, name, now[name], (_GONE, None)


_GONE = object()


def _watched(owner: Any) -> Iterator[tuple[str, Any]]:
    """Of a class everything; of a module what does not change by itself."""
    for name, value in list(vars(owner).items()):
        fixed = callable(value) or isinstance(value, float | ModuleType) or value is CANARY
        if isinstance(owner, type) or (fixed and not (owner is builtins and name in CHANGING)):
            yield name, value


def _kept(value: Any) -> tuple[Any, Any]:
    return value, value.__code__ if isinstance(value, FunctionType) else None


def _set(owner: Any, name: str, value: Any) -> None:
    if owner is sys.modules:
        sys.modules.pop(name) if value is _GONE else sys.modules.update({name: value})
    elif value is _GONE:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _is_our_class(value: Any) -> bool:
    return inspect.isclass(value) and str(value.__module__).startswith("ncsn_edu")


def _is_a_librarys(value: Any) -> bool:
    """A function of a library's own file: PyTorch replaces a few of its functions by itself."""
    code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
    return code is not None and is_a_librarys(code)


def _name(owner: Any) -> str:
    return "sys.modules" if owner is sys.modules else getattr(owner, "__name__", type(owner).__name__)
