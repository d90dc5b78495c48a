"""Start an IPython kernel in which nothing outside is reached, and the usual ways outside do as little harm as can be.

    python launch.py CONNECTION.json wrapped|bare FOLDER...

The folders are searched for modules after all others. confine.py starts this; it does NOT import the package.
"""

import contextlib
import importlib.abc
import importlib.util
import inspect
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .barrier import seccomp
else:  # a script finds what lies beside it by its bare name
    from barrier import seccomp

sys.path.pop(0)  # this file's folder, in which there are modules of other names
WORKERS = ("num_workers", "prefetch_factor", "persistent_workers", "timeout", "multiprocessing_context")


def main() -> None:
    """Everything is in place before the first line of a submission runs."""
    connection, how, *folders = sys.argv[1:]
    sys.path += folders
    sys.argv = sys.argv[:1]
    from ipykernel.kernelapp import IPKernelApp

    if how == "wrapped":
        _limit_threads()
    after: dict[str, Callable[[ModuleType], None]] = {"matplotlib.pyplot": _without_windows}
    _halves_of_letters_can_be_printed()
    app = IPKernelApp.instance()
    app.initialize(["-f", connection, "--HistoryManager.enabled=False"])
    _commands_without_terminal()
    _matplotlib_without_windows(app.shell)
    os.getlogin = lambda: "learner"  # there is no terminal that could tell
    if seccomp(wrapped=how == "wrapped") and how == "bare":
        after["torch.utils.data.dataloader"] = _without_workers
        with contextlib.suppress(ValueError, KeyError):  # forkservers are reached by sockets
            default: Any = vars(multiprocessing.context)["_default_context"]
            default._default_context = multiprocessing.get_context("fork")
    sys.meta_path.insert(0, _After(after))
    app.start()


def _halves_of_letters_can_be_printed() -> None:
    """Messages in ASCII: jupyter_client's UTF-8 fails on half an emoji, and the kernel's output may stop for good."""
    from jupyter_client.jsonutil import json_default
    from jupyter_client.session import Session

    def pack(message: object) -> bytes:
        return json.dumps(message, default=json_default, allow_nan=False).encode()

    ordinary = Session.pack.default_value

    def pack_any(message: object) -> bytes:
        try:
            return pack(message)
        except (TypeError, ValueError):  # what only jupyter_client's own way can clean
            return ordinary(message)

    Session.pack.default_value = pack_any


def _limit_threads() -> None:
    """So that a fork bomb is small: in bubblewrap's namespace only its own processes and threads count."""
    import resource

    newer = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (5, 14)  # before, all of the user's counted
    most, now = 512 + 8 * (os.cpu_count() or 1), resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if newer and (now == resource.RLIM_INFINITY or most < now):
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


class _After(importlib.abc.MetaPathFinder):
    """Change modules once they have been imported."""

    def __init__(self, changes: dict[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._changes:
            return None
        change = self._changes.pop(name)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            run = loader.exec_module

            def run_and_change(module: ModuleType) -> None:
                run(module)
                change(module)

            loader.exec_module = run_and_change
        return spec


def _commands_without_terminal() -> None:
    """`!command` by pipes: IPython would open a terminal, which may be out of reach."""
    from ipykernel import zmqshell
    from IPython.core import interactiveshell

    def system(command: str) -> int:
        pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, shell=True, executable=shutil.which("bash"), **pipes) as process:
            for line in process.stdout or ():
                print(line.decode(errors="replace"), end="")
        return process.returncode

    modules: tuple[Any, ...] = (interactiveshell, zmqshell)
    for module in modules:
        module.system = system


def _matplotlib_without_windows(shell: Any) -> None:
    """`%matplotlib qt`, `%matplotlib widget` and `%gui` draw into the notebook, and say so."""
    enable, gui = shell.enable_matplotlib, shell.enable_gui

    def enable_matplotlib(name: str | None = None) -> Any:
        try:
            return enable(name)
        except Exception as error:
            print(f"(figures go into the notebook: while it is graded there is no {name}: {error})")
            return enable("inline")

    def enable_gui(name: str | None = None) -> None:
        try:
            gui(name)
        except Exception as error:
            print(f"(while a notebook is graded there are no windows: {error})")

    shell.enable_matplotlib, shell.enable_gui = enable_matplotlib, enable_gui


def _without_windows(pyplot: Any) -> None:
    switch = pyplot.switch_backend

    def switch_backend(name: Any) -> None:
        try:
            switch(name)
        except ImportError as error:
            print(f"(figures go into the notebook: while it is graded there are no windows: {error})")
            switch("module://matplotlib_inline.backend_inline")

    pyplot.switch_backend = switch_backend


def _without_workers(module: Any) -> None:
    """The data come from this process: PyTorch's workers hand tensors over by sockets, which are out of reach."""
    make = module.DataLoader.__init__
    signature = inspect.signature(make)

    def __init__(self: object, *given: Any, **options: Any) -> None:
        bound = signature.bind(self, *given, **options)
        for name in WORKERS:
            bound.arguments.pop(name, None)
        make(*bound.args, **bound.kwargs)

    module.DataLoader.__init__ = __init__


if __name__ == "__main__":
    main()
