"""figures: run the notebooks that make them. This file does NOT draw or compare figures: ncsn_edu/figures.py does."""

import argparse
import sys
import tempfile
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from .. import data, figures
from .common import Commands, Failed, WrongUsage, child_environment, count, new_command, notebooks_folder, there_is_no


def add(commands: Commands) -> None:
    """The parser of figures."""
    parser = new_command(
        commands, "figures", make_figures, "make the figures again by running their notebooks, or check them"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing: compare with the stored figures")
    parser.add_argument("--list", action="store_true", help="only list the figures, and the notebook that makes each")


def make_figures(arguments: argparse.Namespace) -> int:
    """Run the notebooks that make the figures; report all that fail, not only the first."""
    sources = figures.figure_sources(notebooks_folder())
    unknown = [name for name in arguments.names if name not in sources]
    if unknown:
        raise WrongUsage(there_is_no("figure", unknown[0], list(sources)))
    wanted = {name: sources[name] for name in arguments.names or sources}
    if arguments.list:
        for name, notebook in wanted.items():
            stored = (figures.figures_folder() / f"{name}.png").is_file()
            print(f"{name}  {notebook.name}" + ("" if stored else "  (not stored yet)"))
        return 0
    if not wanted:
        raise Failed(f"no notebook in {notebooks_folder()} calls save_figure")
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        raise Failed(f"notebooks are run by nbclient and ipykernel: {sys.executable} -m pip install nbclient ipykernel")
    folder = figures.figures_folder().resolve()
    if not arguments.check:
        figures.make_writable(folder)
    environment = child_environment() | {
        "NCSN_EDU_PROGRESS": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # not one of the reader's, which may want a screen
        "NCSN_EDU_FIGURES": "check" if arguments.check else "write",
        "NCSN_EDU_FIGURES_DIR": str(folder),
        "NCSN_EDU_FIGURES_ONLY": ",".join(arguments.names),
    }
    return _run_all(wanted, folder, environment, "as stored" if arguments.check else "written")


def _run_all(wanted: dict[str, Path], folder: Path, environment: dict[str, str], done: str) -> int:
    notebooks = list(dict.fromkeys(wanted.values()))
    failed, made_of_all = [], 0
    for i, notebook in enumerate(notebooks, start=1):
        print(f"[{i}/{len(notebooks)}] {notebook.stem} ... ", end="", flush=True)
        names = [name for name in wanted if wanted[name] == notebook]
        start = time.monotonic()
        problem, made = _run_and_note(notebook, environment)
        left = {name: _why_not(name, made) for name in names if name not in made}
        lost = [name for name, why in left.items() if not why or environment["NCSN_EDU_FIGURES_ONLY"]]
        if not problem and lost:
            problem = "it ran to its end, but did not save all of its figures: " + ", ".join(lost)
        made = [name for name in names if name in made]
        made_of_all += len(made)
        listed = ", ".join(made) or "no figure"
        print(f"{'FAILED' if problem else 'ok'} after {time.monotonic() - start:.1f} s: {listed}", flush=True)
        for name, why in left.items():
            print(f"    {name}: not {'checked' if done == 'as stored' else done}{why}", flush=True)
        if problem:
            failed.append(notebook.stem)
            print(f"ncsn_edu: {notebook.name}: {problem}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {count(notebooks, 'notebook')} failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print(f"{count(range(made_of_all), 'figure')} from {count(notebooks, 'notebook')} {done} in {folder}")
    return 0


def _run_and_note(notebook: Path, environment: dict[str, str]) -> tuple[str, list[str]]:
    """What went wrong, or "", and the figures that came out well."""
    with tempfile.TemporaryDirectory(prefix="ncsn_edu_") as folder:
        notes = Path(folder) / "done"
        with open(Path(folder) / "kernel", "w+b") as log:
            problem = _run(notebook, environment | {"NCSN_EDU_FIGURES_DONE": str(notes)}, log)
        return problem, notes.read_text(encoding="utf-8").split() if notes.exists() else []


def _why_not(name: str, made: Collection[str]) -> str:
    """Why a notebook that ran well may have left out this figure, or "" where there is no such reason.

    A figure whose name ends in that of a data set is made where the notebook found those data.
    """
    stem, _, dataset = name.rpartition("_")
    there = data.available()
    if there.get(dataset) is False:
        return f": its data are not here ({dataset} is not in {data.data_root()})"
    other = [f"{stem}_{other}" for other in there if other != dataset and f"{stem}_{other}" in made]
    return f": the notebook found other data, and made {other[0]}" if dataset in there and other else ""


def _run(notebook: Path, environment: dict[str, str], log: BinaryIO) -> str:
    """Execute in a fresh kernel of this interpreter, without saving. What went wrong, or "".

    What the kernel itself says, beside its notebook, goes to log and counts only where the kernel died: one that is
    told to end may complain of the sockets that it loses.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    specs = KernelSpecManager(kernel_dirs=[])  # so that python3 is this interpreter, whatever else is installed
    client = NotebookClient(
        nbformat.read(notebook, as_version=4),
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        timeout=None,
        extra_arguments=["--log-level=50"],  # the kernel's own log: the notebook's errors are reported below
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    client.reset_execution_trackers()
    try:
        # Cell by cell: client.execute() would turn Ctrl-C into the next notebook's turn.
        with client.setup_kernel(cleanup_kc=True, env=environment, stderr=log):
            for index, cell in enumerate(client.nb.cells):
                client.execute_cell(cell, index)
    except CellExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        log.seek(0)
        last_words = log.read()[-500:].decode(errors="replace").strip()
        return f"{type(error).__name__}: {error}" + (f": {last_words}" if last_words else "")
    return ""
