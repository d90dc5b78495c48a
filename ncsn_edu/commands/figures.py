"""figures: run the notebooks that make them. This file does NOT draw or compare figures: ncsn_edu/figures.py does."""

import argparse
import sys
import tempfile
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from .. import datasets, figures
from ..kernels import CellFailed, child_environment, run_cells
from .common import Commands, Failed, WrongUsage, count, new_command, notebooks_folder, there_is_no


def add(commands: Commands) -> None:
    """The parser of figures."""
    parser = new_command(commands, "figures", run, "make the figures again by running their notebooks, or check them")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing: compare with the stored figures")
    parser.add_argument("--list", action="store_true", help="only list the figures, and the notebook that makes each")


def run(arguments: argparse.Namespace) -> int:
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
            if caption := figures.stored_caption(name):
                print(f"    {caption}")
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
        problem, made = _run(notebook, environment)
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


def _run(notebook: Path, environment: dict[str, str]) -> tuple[str, list[str]]:
    """What went wrong in running a notebook, or "", and the figures that came out well. Nothing is saved in it."""
    import nbformat

    with tempfile.TemporaryDirectory(prefix="ncsn_edu_") as folder:
        notes, problem = Path(folder) / "done", ""
        try:
            cells = nbformat.read(notebook, as_version=4)
            run_cells(cells, notebook.parent, environment | {"NCSN_EDU_FIGURES_DONE": str(notes)})
        except CellFailed as error:
            problem = str(error)
        return problem, notes.read_text(encoding="utf-8").split() if notes.exists() else []


def _why_not(name: str, made: Collection[str]) -> str:
    """Why a notebook that ran well may have left out this figure, or "" where there is no such reason.

    A figure whose name ends in that of a data set is made where the notebook found those data.
    """
    stem, _, dataset = name.rpartition("_")
    there = datasets.available()
    if there.get(dataset) is False:
        return f": its data are not here ({dataset} is not in {datasets.data_root()})"
    other = [f"{stem}_{other}" for other in there if other != dataset and f"{stem}_{other}" in made]
    return f": the notebook found other data, and made {other[0]}" if dataset in there and other else ""
