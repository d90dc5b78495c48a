"""Make the notebooks from their sources, check that both agree, carry an edit made in JupyterLab back.

    python tools/notebooks.py build [NAME...]     run notebooks/source/NAME.py, store notebooks/NAME.ipynb
    python tools/notebooks.py build --prose NAME  only text, or the cell for Colab, has changed: run nothing
    python tools/notebooks.py check [NAME...]     do sources and notebooks agree? (runs nothing)
    python tools/notebooks.py pull  [NAME...]     write the cells of NAME.ipynb back to source/NAME.py

A source is a Python script in jupytext's percent format. A NAME is 07_annealing, 07 or a path; none means all.
A cell's id is its position and the hash of its source, so that the same source always gives the same bytes, and
a notebook that was edited still tells which source it came from.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from address import FOR_COLAB
from nbformat import NotebookNode

from ncsn_edu.files import write_whole
from ncsn_edu.kernels import CellFailed, run_cells

ROOT = Path(__file__).resolve().parents[1]
KEPT_METADATA = ("tags", "nbgrader")
STYLE_METADATA = ("lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker")  # how a cell is laid out in .py
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class NotebookError(Exception):
    """Something that a person has to fix; the message says what and how."""


class UnknownName(NotebookError):
    """A NAME on the command line that is no notebook."""


# ---- finding and reading ---------------------------------------------------------------------------------------


def source_path(root: Path, name: str) -> Path:
    return root / "notebooks" / "source" / f"{name}.py"


def notebook_path(root: Path, name: str) -> Path:
    return root / "notebooks" / f"{name}.ipynb"


def all_names(root: Path) -> list[str]:
    """Every notebook that has a source or a stored .ipynb, or both."""
    folder = root / "notebooks"
    return sorted({path.stem for path in [*folder.glob("source/*.py"), *folder.glob("*.ipynb")]})


def find_names(root: Path, wanted: Sequence[str]) -> list[str]:
    """Full names for what was typed: 07_annealing, 07, or a path to either file."""
    names = all_names(root)
    found = []
    for text in wanted:
        stem = Path(text).name.removesuffix(".py").removesuffix(".ipynb")
        matches = [name for name in names if name == stem] or [name for name in names if name.split("_")[0] == stem]
        if len(matches) != 1:
            close = difflib.get_close_matches(stem, names, n=3, cutoff=0.4)
            listed = [*close, *(name for name in names if name not in close)]
            raise UnknownName(f"no notebook is called {text!r}. There are: {', '.join(listed) or 'none yet'}")
        found += matches
    return list(dict.fromkeys(found)) or names


def read_source(path: Path) -> NotebookNode:
    """The notebook that a source describes: ids set, nothing executed."""
    return parse_source(path.read_text(encoding="utf-8"), path.name)


def parse_source(text: str, name: str) -> NotebookNode:
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        if other := set(cell.metadata) - {*KEPT_METADATA, *STYLE_METADATA}:
            raise NotebookError(
                f"{name}, cell {index + 1}: {', '.join(sorted(other))!r} in the '# %%' line would be lost; "
                f"only {' and '.join(KEPT_METADATA)} are kept"
            )
        cell.id = f"{index:02d}-{source_hash(cell)}"
    return notebook


def read_notebook(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise NotebookError(f"{path.name} cannot be read ({error}): `make notebooks` makes it again") from error


def source_hash(cell: NotebookNode) -> str:
    return hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]


def content(cell: NotebookNode) -> tuple[str, str, dict[str, Any]]:
    """What a cell says, whatever its id, its outputs and its layout."""
    return cell.cell_type, cell.source, {key: cell.metadata[key] for key in KEPT_METADATA if key in cell.metadata}


def write_text(path: Path, text: str) -> None:
    """Write LF and UTF-8, and never leave half a file."""
    write_whole(path, text.encode())


# ---- build -----------------------------------------------------------------------------------------------------


def build(root: Path, name: str, *, timeout: int = 3600, prose: bool = False) -> bool:
    """Run a source and store its notebook; True if the stored bytes changed. A cell that fails changes nothing.

    With prose the stored outputs are kept; an error where the code is not that which made them.
    """
    if not source_path(root, name).exists():
        raise NotebookError(f"{name}.ipynb has no source: `make pull ARGS={name}` writes notebooks/source/{name}.py")
    notebook = read_source(source_path(root, name))
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(content(cell)[2])
    if prose:
        keep_outputs(notebook, notebook_path(root, name))
    else:
        execute(notebook, cwd=root / "notebooks", name=name, timeout=timeout)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = stable_outputs(cell.outputs)
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)  # the kernel has written its version there
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    path = notebook_path(root, name)
    if path.exists() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def keep_outputs(notebook: NotebookNode, path: Path) -> None:
    """Take the outputs from the notebook as it is stored, if its code is the same.

    What is for Colab alone may have changed, or come: it does nothing here. Cells are numbered as a run would.
    """
    whole = read_notebook(path).cells if path.exists() else []
    stored = [cell for cell in whole if runs_here(cell)]
    cells = [cell for cell in notebook.cells if runs_here(cell)]
    if [content(cell) for cell in cells] != [content(cell) for cell in stored]:
        raise NotebookError(f"the code of {path.name} is not that of its source: build it without --prose")
    if problems := execution_problems(whole):
        raise NotebookError(f"{path.name} was not run from top to bottom ({problems[0]}): build it without --prose")
    for cell, kept in zip(cells, stored, strict=True):
        cell.outputs = kept.outputs
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number


def runs_here(cell: NotebookNode) -> bool:
    """Whether a cell is code that does something on any machine."""
    return cell.cell_type == "code" and not FOR_COLAB.fullmatch(cell.source)


def execute(notebook: NotebookNode, *, cwd: Path, name: str, timeout: int) -> None:
    """Run every cell in a fresh kernel of this Python; an error names the notebook, the cell and its source."""
    with tempfile.TemporaryDirectory() as ipython_folder:  # nobody's own start-up files and settings
        # Figures are written, all of them and to their place, whatever the caller's environment asks of figures.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NCSN_EDU_FIGURES")}
        # No data set that must be fetched: stored outputs are the same wherever they were made.
        # Threads that wait give way: on a busy machine, waiting by spinning takes ten times as long as the work.
        environment = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", **environment}
        environment |= {"NCSN_EDU_PROGRESS": "0", "NCSN_EDU_DATA": os.devnull, "IPYTHONDIR": ipython_folder}
        try:
            run_cells(notebook, cwd, environment, timeout=timeout)
        except CellFailed as error:
            raise NotebookError(
                f"{name}: cell {error.number} failed; the stored notebook is left as it was.\n\n{error.shown}"
            ) from error


def stable_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The same outputs in a form that does not vary from run to run and needs no live widget."""
    stable: list[NotebookNode] = []
    for output in outputs:
        last = stable[-1] if stable else None
        if output.output_type == "stream" and last and last.get("name") == output.name:
            last.text += output.text
            continue
        if output.output_type == "error":  # frames hold paths and change with every release of Python
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if WIDGET_VIEW in output.get("data", {}):
            del output.data[WIDGET_VIEW]
            output.metadata["widget"] = True
        stable.append(output)
    return stable


# ---- check -----------------------------------------------------------------------------------------------------


def check(root: Path, name: str) -> list[str]:
    """What keeps the notebook from being the executed product of its source, one line each."""
    source, stored = source_path(root, name), notebook_path(root, name)
    if not source.exists():
        return [f"{name}.ipynb has no source: `make pull ARGS={name}` writes it, or delete the notebook"]
    if not stored.exists():
        return [f"{name}.py has no notebook: `make notebooks ARGS={name}`"]
    notebook = read_notebook(stored)
    problems = agreement_problems(read_source(source).cells, notebook.cells) + execution_problems(notebook.cells)
    if notebook.metadata != NOTEBOOK_METADATA:
        problems.append("the notebook's metadata are not those that the builder writes")
    return [f"{name}: {problem}" for problem in problems]


def agreement_problems(source: list[NotebookNode], stored: list[NotebookNode]) -> list[str]:
    problems = []
    for number, (ours, theirs) in enumerate(zip(source, stored, strict=False), start=1):
        fields = zip(("type", "source", "tags or nbgrader data"), content(ours), content(theirs), strict=True)
        differing = [field for field, mine, other in fields if mine != other]
        if not differing and ours.id != theirs.get("id"):
            differing = ["id"]
        if differing:
            problems.append(f"cell {number}: {' and '.join(differing)} differ{first_difference(ours, theirs)}")
    if len(source) != len(stored):
        problems.append(f"the source has {len(source)} cells, the notebook {len(stored)}")
    return problems


def first_difference(ours: NotebookNode, theirs: NotebookNode) -> str:
    mine, other = ours.source.splitlines(), theirs.source.splitlines()
    for line in range(max(len(mine), len(other))):
        pair = [lines[line] if line < len(lines) else "(nothing)" for lines in (mine, other)]
        if pair[0] != pair[1]:
            return f"\n    source:   {pair[0]}\n    notebook: {pair[1]}"
    return ""


def execution_problems(cells: list[NotebookNode]) -> list[str]:
    """Every code cell was run once, in order, from a fresh kernel, and none failed that was not meant to."""
    problems = []
    code = [(number, cell) for number, cell in enumerate(cells, start=1) if cell.cell_type == "code"]
    for expected, (number, cell) in enumerate(code, start=1):
        if cell.execution_count != expected:
            problems.append(f"cell {number} was run as [{cell.execution_count}], and a fresh run has [{expected}]")
        for output in cell.outputs:
            if output.get("execution_count", expected) != expected:
                problems.append(f"cell {number} has a result of [{output.execution_count}]")
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                problems.append(f"cell {number} stores an error: {output.ename}: {output.evalue}")
    return problems


# ---- pull ------------------------------------------------------------------------------------------------------


def pull(root: Path, name: str, *, force: bool = False) -> bool:
    """Write a notebook's cells to its source; True if the source changed."""
    if not notebook_path(root, name).exists():
        raise NotebookError(f"{name} has no notebook to pull from: `make notebooks ARGS={name}` makes it")
    notebook = read_notebook(notebook_path(root, name))
    path = source_path(root, name)
    old = read_source(path).cells if path.exists() else []
    if path.exists() and [content(cell) for cell in old] == [content(cell) for cell in notebook.cells]:
        return False
    if not force:
        refuse_to_lose(old, notebook.cells, committed_cells(root, path), path.name)
    text = to_source(notebook.cells, layout=old)
    expected = [(kind, source.strip(), kept) for kind, source, kept in map(content, notebook.cells)]
    if [content(cell) for cell in parse_source(text, path.name).cells] != expected:
        raise NotebookError(f"{name}: a percent script cannot hold these cells (a line '# %%' inside a cell?)")
    write_text(path, text)
    return True


def refuse_to_lose(
    source: list[NotebookNode], notebook: list[NotebookNode], committed: list[NotebookNode], name: str
) -> None:
    """Raise if a cell of the source is neither in git nor in the notebook, nor what a notebook cell was made from."""
    safe = {source_hash(cell) for cell in [*notebook, *committed]}
    safe |= {cell.get("id", "").rpartition("-")[2] for cell in notebook}
    kept = [content(cell) for cell in [*notebook, *committed]]
    lost = [
        number
        for number, cell in enumerate(source, start=1)
        if source_hash(cell) not in safe or (content(cell)[2] and content(cell) not in kept)
    ]
    if lost:
        raise NotebookError(
            f"{name} has changes that are neither committed nor in the notebook: cell {', '.join(map(str, lost))}. "
            "Commit them first, or give --force to overwrite them."
        )


def committed_cells(root: Path, path: Path) -> list[NotebookNode]:
    """The cells of the source as git has it; none where it is not in git."""
    command = ["git", "-C", str(root), "show", f"HEAD:./{path.relative_to(root).as_posix()}"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:  # no git here
        return []
    return parse_source(shown.stdout, path.name).cells if shown.returncode == 0 else []


def to_source(cells: list[NotebookNode], *, layout: Sequence[NotebookNode] = ()) -> str:
    """Cells as a percent script without a header; cells that `layout` has too keep their blank lines and marks."""
    styles = {
        (cell.cell_type, cell.source): {key: cell.metadata[key] for key in STYLE_METADATA if key in cell.metadata}
        for cell in layout
    }
    notebook = nbformat.v4.new_notebook()
    for cell in cells:
        new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(
            cell.cell_type, nbformat.v4.new_raw_cell
        )
        kept = {**content(cell)[2], **styles.get((cell.cell_type, cell.source), {})}
        notebook.cells.append(new(cell.source, metadata=kept))
    notebook.metadata = nbformat.from_dict(
        {
            **NOTEBOOK_METADATA,
            "jupytext": {
                "notebook_metadata_filter": "-all",
                "cell_metadata_filter": ",".join([*KEPT_METADATA, "-all"]),
            },
        }
    )
    return jupytext.writes(notebook, fmt="py:percent").rstrip("\n") + "\n"


# ---- command line ----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds notebooks/ (default: here)")
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="run sources and store the notebooks")
    builder.add_argument("--if-changed", action="store_true", help="leave out notebooks that agree with their source")
    builder.add_argument(
        "--prose", action="store_true", help="only the text has changed: keep the outputs, run nothing"
    )
    checker = commands.add_parser("check", help="compare sources and notebooks, running nothing")
    puller = commands.add_parser("pull", help="write notebooks edited in JupyterLab back to their sources")
    puller.add_argument("--force", action="store_true", help="overwrite uncommitted changes of the source")
    for command in (builder, checker, puller):
        command.add_argument("names", nargs="*", metavar="NAME", help="07_annealing, 07, or a path; none means all")
    options = parser.parse_args(arguments)

    try:
        names = find_names(options.root, options.names)
    except UnknownName as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    for name in names:
        try:
            failed |= run_command(options, name)
        except NotebookError as error:
            print(error, file=sys.stderr)
            failed = True
    if options.command == "check" and not failed:
        print(f"{len(names)} notebooks agree with their sources")
    return int(failed)


def run_command(options: argparse.Namespace, name: str) -> bool:
    """One command for one notebook; True if it found something to fix."""
    if options.command == "check":
        problems = check(options.root, name)
        for problem in problems:
            print(problem)
        if problems:
            print(f"  to run the source again: make notebooks ARGS={name}; to keep the notebook: make pull ARGS={name}")
        return bool(problems)
    if options.command == "pull":
        changed = pull(options.root, name, force=options.force)
        print(f"{name}: {'source written; now `make notebooks ARGS=' + name + '`' if changed else 'nothing to pull'}")
    elif options.if_changed and not check(options.root, name):
        print(f"{name}: agrees with its source, left as it is")
    else:
        if not options.prose:
            print(f"{name}: running", flush=True)
        print(f"{name}: {'stored' if build(options.root, name, prose=options.prose) else 'the same as before'}")
    return False


if __name__ == "__main__":
    sys.exit(main())
