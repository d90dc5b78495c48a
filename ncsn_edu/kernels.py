"""Run a notebook in a fresh kernel of this Python. This file does NOT read, store or judge notebooks.

Submissions of learners are not run by it: they get a kernel that is confined (grading/execute.py).
"""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from nbformat import NotebookNode

ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours, for a terminal


def child_environment() -> dict[str, str]:
    """For a child: this interpreter's programs first on the PATH, and this very package importable."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": Path(__file__).resolve().parents[1]}
    return os.environ | {
        name: os.pathsep.join([str(path), *filter(None, [os.environ.get(name)])]) for name, path in paths.items()
    }


class CellFailed(Exception):
    """A cell raised an error, or lost its kernel; the message says which error.

    number: the cell's, from 1. shown: the cell's source, and the traceback where there is one.
    """

    def __init__(self, message: str, number: int, shown: str) -> None:
        super().__init__(message)
        self.number, self.shown = number, ANSI.sub("", shown).strip()


def run_cells(
    notebook: "NotebookNode", folder: Path, environment: Mapping[str, str], *, timeout: int | None = None
) -> None:
    """Run all cells in order, in a folder and an environment, and store their outputs in the notebook.

    timeout: seconds that a cell may take. Raises CellFailed at the first that fails, unless it is marked to.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    specs = KernelSpecManager(kernel_dirs=[])  # so that python3 is this interpreter, whatever else is installed
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        timeout=timeout,
        extra_arguments=["--log-level=50"],  # the kernel's own log: the notebook's errors are raised here
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
    )
    client.reset_execution_trackers()
    index = 0
    with tempfile.TemporaryFile() as log:
        try:
            # Cell by cell: client.execute() would turn Ctrl-C into the next notebook's turn.
            with client.setup_kernel(cleanup_kc=True, env=dict(environment), stderr=log):
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
        except CellExecutionError as error:
            raise CellFailed(f"{error.ename}: {error.evalue}", index + 1, str(error)) from error
        except (TimeoutError, RuntimeError) as error:  # a cell took too long, or the kernel died
            message = ": ".join(filter(None, [type(error).__name__, str(error), _last_words(log)]))
            raise CellFailed(message, index + 1, f"{notebook.cells[index].source}\n\n{message}") from error


def _last_words(log: BinaryIO) -> str:
    """What the kernel itself said: one that is told to end may complain of lost sockets, but one that died says why."""
    log.seek(0)
    return log.read()[-500:].decode(errors="replace").strip()
