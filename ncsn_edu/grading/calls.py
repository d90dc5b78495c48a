"""Around the calls of a learner's functions: their time, what they leave behind, which of the package's they call.

This file does NOT compare results (tasks.py does).
"""

import contextlib
import functools
import inspect
import signal
import sys
import sysconfig
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from importlib import import_module
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

LIBRARIES = ("<frozen ", *{sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
MANY = 10_000  # entries: a longer list is data, and not what a function remembers
MEMORIES: tuple[Any, ...] = (OrderedDict, dict, list, set, deque)
CACHE = type(functools.lru_cache(int))


class TooSlow(BaseException):
    """Raised in code that took more than its time; no `except Exception` stops it."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[Callable[[], float]]:
    """Raises TooSlow where the block takes longer; yields a function that says how many seconds are left.

    Without SIGALRM (Windows), or in a thread, it takes as long as it takes.
    """
    end = time.monotonic() + seconds
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield lambda: end - time.monotonic()
        return

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # once more each second, if it is caught
    try:
        yield lambda: max(0.0, end - time.monotonic())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Kept:
    """A notebook's names and what its functions remember in lists, dictionaries, attributes, closures and caches.

    A learner's objects may do anything when they are asked for something: only what Python keeps of them is looked at.
    """

    def __init__(self, names: MutableMapping[str, Any]) -> None:
        self._names, self._before = names, dict(names)
        self._kept: list[tuple[Any, Any, list[Any]]] = []  # the kind of a memory, the memory, and what is in it
        self._caches: list[Any] = []
        todo = [value for name, value in names.items() if not name.startswith("_") and name not in ("In", "Out")]
        seen = {id(names)}
        while todo and len(seen) < 10 * MANY:
            value = todo.pop()
            if id(value) not in seen:
                seen.add(id(value))
                todo += self._keep(value)

    def _keep(self, value: Any) -> list[Any]:
        """Keep what is in it, if it is a memory; returns what else may lead to one."""
        kind = next((kind for kind in MEMORIES if issubclass(type(value), kind)), None)
        if kind is not None:
            if kind.__len__(value) > MANY:
                return []
            entries = list(kind.items(value) if issubclass(kind, dict) else kind.__iter__(value))
            self._kept.append((kind, value, entries))
            inside = list(kind.values(value)) if issubclass(kind, dict) else entries
            return [one for one in inside if not issubclass(type(one), str | bytes | int | float)]
        if type(value) is FunctionType:
            if value.__globals__ is not self._names and value.__module__ != "__main__":
                return []
            held = []
            for cell in value.__closure__ or ():
                with contextlib.suppress(ValueError):  # it is empty
                    held.append(cell.cell_contents)
            return [vars(value), value.__kwdefaults__, *(value.__defaults__ or ()), *held]
        if type(value) is MethodType:
            return [value.__self__, value.__func__]
        if type(value) is functools.partial:
            return [value.func, value.args, value.keywords]
        if type(value) is CACHE:
            self._caches.append(value)
            return [value.__wrapped__]
        if type(value).__module__ == "__main__":
            with contextlib.suppress(Exception):  # it has no attributes, or hides them
                return [object.__getattribute__(value, "__dict__")]
        if type(value) is type and value.__module__ == "__main__":
            return list(vars(value).values())
        return list(value) if type(value) is tuple and len(value) <= MANY else []

    def put_back(self) -> None:
        """All of it, as it was; caches are emptied."""
        for kind, memory, before in self._kept:
            kind.clear(memory)
            (kind.extend if kind in (list, deque) else kind.update)(memory, before)
        for function in self._caches:
            function.cache_clear()
        for name in set(self._names) - set(self._before):
            del self._names[name]
        self._names.update(self._before)


class Watch:
    """Which functions of the package a learner's code calls while this context holds.

    wanted: names such as "langevin", "GaussianMixture" or "training.EMA". names: the notebook's. A call counts if it
    comes from the notebook's code, or from a module that lies beside it, directly or through libraries. A call from a
    function that the tests have given does not.
    """

    def __init__(self, wanted: Sequence[str], names: MutableMapping[str, Any]) -> None:
        self._wanted = {code: name for name in wanted for code in codes_of(name)}
        self._names = names
        self._seen: set[tuple[str, frozenset[CodeType]]] = set()  # each with the learner's functions that led there
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = sys.getprofile()
        if self._wanted:
            sys.setprofile(self._look)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def seen(self, besides: Sequence[str]) -> list[str]:
        """Those that were called otherwise than by the learner's functions `besides`."""
        functions = [inspect.unwrap(self._names[name]) for name in besides if callable(self._names.get(name))]
        codes = {getattr(function, "__code__", None) for function in functions}
        return sorted({name for name, through in self._seen if not through & codes})

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        name = self._wanted.get(frame.f_code) if event == "call" else None
        through = set()
        while name is not None and (caller := frame.f_back) is not None:
            frame = caller
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith("ncsn_edu.grading") or frame.f_code.co_filename.startswith("<tests "):
                break
            if frame.f_globals is self._names or not (module.startswith("ncsn_edu") or is_a_librarys(frame.f_code)):
                through.add(frame.f_code)
        if name is not None and through:
            self._seen.add((name, frozenset(through)))


def is_a_librarys(code: CodeType) -> bool:
    """Does it come from a file of Python or of an installed package?"""
    return code.co_filename.startswith(LIBRARIES)


def codes_of(name: str) -> list[CodeType]:
    """Of a function of the package, such as "training.train", or of all methods of a class.

    Raises ImportError or AttributeError where there is none.
    """
    first, *rest = name.split(".")
    found: Any = getattr(import_module("ncsn_edu"), first, None)
    found = import_module(f"ncsn_edu.{first}") if found is None or (rest and not hasattr(found, rest[0])) else found
    for part in rest:
        found = getattr(found, part)
    functions = list(vars(found).values()) if inspect.isclass(found) else [found]
    return [inspect.unwrap(function).__code__ for function in functions if inspect.isfunction(function)]
