"""Make the assignments from their sources: nbgrader's notebooks, and what is handed out to students.

    python tools/assignments.py build   [NAME...]   notebooks/assignments/source/NAME/NAME.ipynb
    python tools/assignments.py release [NAME...]   the same, and notebooks/assignments/release/NAME/NAME.ipynb
    python tools/assignments.py check   [NAME...]   are both what the sources make?
    python tools/assignments.py pull    [NAME...]   write an edit made in JupyterLab back to the source
    python tools/assignments.py public  FOLDER      a copy of the project that can be shown: no solution in it

A source is notebooks/source/assignments/NAME.py in jupytext's percent format. A cell's role says what nbgrader makes
of it: role="answer 3" (the learner's), "tests 3 2" (2 points), "written 3 4" (read by a person, 4 points), "setup" and
"question 3" (locked). Cells without a role are text of no consequence. "setup tests" is what test cells share. These
and test cells get a first line `%%tests ...`, which runs them in names of their own (ncsn_edu/grading/cells.py).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from notebooks import NOTEBOOK_METADATA, STYLE_METADATA, NotebookError, source_hash, write_text

ROOT = Path(__file__).resolve().parents[1]
FIRST_LINE = "%%tests {}  (not found? First run the set-up cell at the top of the notebook)"
PRIVATE = (
    "notebooks/source/assignments/",
    "notebooks/assignments/source/",
    "notebooks/assignments/teachers_guide.md",
    "tests/assignments/wrong/",
    "tests/assignments/right/",
    "tests/assignments/own/",
)


def source_path(name: str) -> Path:
    return ROOT / "notebooks/source/assignments" / f"{name}.py"


def made_path(name: str, kind: str) -> Path:
    return ROOT / "notebooks/assignments" / kind / name / f"{name}.ipynb"


def find_names(wanted: Sequence[str]) -> list[str]:
    names = sorted(path.stem for path in source_path("*").parent.glob("*.py"))
    found = []
    for text in wanted:
        matches = [name for name in names if name == text or name.split("_")[0] == text]
        if len(matches) != 1:
            raise NotebookError(f"no assignment is called {text!r}. There are: {', '.join(names)}")
        found += matches
    return found or names


# ---- from the source to nbgrader's notebook --------------------------------------------------------------------


def parse(name: str, text: str) -> NotebookNode:
    """The notebook that a source describes, with nbgrader's data in its cells."""
    notebook = jupytext.reads(text, fmt="py:percent")
    setups = 0
    for index, cell in enumerate(notebook.cells):
        role = cell.metadata.pop("role", None)
        for key in STYLE_METADATA:
            cell.metadata.pop(key, None)
        if cell.metadata:
            raise NotebookError(f"{name}, cell {index + 1}: {', '.join(cell.metadata)!r} would be lost; use role=")
        cell.id = f"{index:02d}-{source_hash(cell)}"
        if cell.cell_type == "code":
            cell.source = cell.source.strip("\n")
        if role is not None:
            kind, *words = role.split()
            setups += kind == "setup"
            if (kind == "tests" and words) or role == "setup tests":
                cell.source = f"{FIRST_LINE.format('setup' if kind == 'setup' else words[0])}\n{cell.source}"
                role = role.removesuffix(" tests")
            cell.metadata["nbgrader"] = nbgrader_data(f"setup {setups}" if role == "setup" else role, cell.cell_type)
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    version = source_hash(nbformat.v4.new_raw_cell("".join(cell.id for cell in notebook.cells)))
    notebook.metadata["ncsn_edu"] = {"assignment": name, "version": version}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def nbgrader_data(role: str, cell_type: str) -> dict[str, Any]:
    """A cell's entry for nbgrader. Raises NotebookError for a role that there is not."""
    kind, *words = role.split()
    points = {"points": int(words[1])} if kind in ("tests", "written") and len(words) == 2 else {}
    if kind not in ("setup", "question", "answer", "tests", "written") or len(words) != 1 + len(points):
        raise NotebookError(f'role="{role}" is none of: setup, question N, answer N, tests N POINTS, written N POINTS')
    return {
        "grade": kind in ("tests", "written"),
        "grade_id": f"{kind}-{words[0]}",
        "locked": kind in ("setup", "question", "tests"),
        **points,
        "schema_version": 3,
        "solution": kind in ("answer", "written"),
        "task": False,
        **({"cell_type": cell_type} if points else {}),
    }


def source_notebook(name: str) -> str:
    """The text of source/NAME/NAME.ipynb."""
    return nbformat.writes(parse(name, source_path(name).read_text(encoding="utf-8"))).rstrip("\n") + "\n"


def release_notebooks(names: Sequence[str]) -> dict[str, str]:
    """The texts of release/NAME/NAME.ipynb, as nbgrader makes them from what the sources make.

    All in one gradebook, for it takes nbgrader seconds to make one.
    """
    from ncsn_edu.grading.course import Course

    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder) / "course"
        for name in names:
            (course / "source" / name).mkdir(parents=True)
            (course / "source" / name / f"{name}.ipynb").write_text(source_notebook(name), encoding="utf-8")
        shutil.copy(ROOT / "notebooks/assignments/nbgrader_config.py", course)
        made = Course(course).prepare(list(names), Path(folder) / "made")
        return {name: path.read_text(encoding="utf-8") for name, path in made.items()}


def texts(names: Sequence[str], *, release: bool) -> list[tuple[str, Path, str]]:
    """Each assignment's name, with the path of a notebook and the text that belongs there: source/, and release/."""
    found = [(name, made_path(name, "source"), source_notebook(name)) for name in names]
    if release:
        found += [(name, made_path(name, "release"), text) for name, text in release_notebooks(names).items()]
    return found


# ---- commands --------------------------------------------------------------------------------------------------


def make(names: Sequence[str], *, release: bool) -> None:
    for _, path, new in texts(names, release=release):
        if path.exists() and path.read_text(encoding="utf-8") == new:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, new)
        print(f"{path.relative_to(ROOT)} made")


def problems(names: Sequence[str]) -> list[str]:
    """Which of their notebooks are not what the sources make."""
    return [
        f"{path.relative_to(ROOT)} is not what {name}.py makes: `make release`"
        for name, path, text in texts(names, release=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def pull(name: str) -> None:
    """Write source/NAME/NAME.ipynb, as it was edited, back to the source."""
    notebook = nbformat.read(made_path(name, "source"), as_version=4)
    wanted = [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader")
        cell.metadata = nbformat.from_dict({} if data is None else {"role": role_of(data, cell.source)})
        if data is not None and cell.source.startswith("%%tests "):
            cell.source = cell.source.partition("\n")[2]
        cell.pop("outputs", None) if cell.cell_type == "markdown" else cell.update(outputs=[], execution_count=None)
    notebook.metadata = nbformat.from_dict({})
    text = jupytext.writes(notebook, fmt="py:percent").split("# ---\n")[-1].lstrip("\n")
    if [(cell.cell_type, cell.source.strip()) for cell in parse(name, text).cells] != wanted:
        raise NotebookError(f"{name}: a percent script cannot hold these cells (a line '# %%' inside a cell?)")
    write_text(source_path(name), text)


def role_of(data: dict[str, Any], source: str) -> str:
    kind, _, number = data["grade_id"].partition("-")
    if kind == "setup":
        return "setup tests" if source.startswith("%%tests ") else "setup"
    return f"{kind} {number}" + (f" {data['points']:g}" if data.get("grade") else "")


def public(folder: Path) -> None:
    """Copy what git has, without the assignments' sources, solutions and banks of answers."""
    if folder.exists() and any(folder.iterdir()):
        raise NotebookError(f"{folder} is not empty: give a new one")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(PRIVATE) or not (ROOT / name).exists():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=("build", "release", "check", "pull", "public"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "public":
            if len(arguments.names) != 1:
                raise NotebookError("public takes one folder to write to: make public ARGS=../public")
            public(Path(arguments.names[0]))
            return 0
        names = find_names(arguments.names)
        if arguments.action == "pull":
            for name in names:
                pull(name)
        elif arguments.action == "check":
            found = problems(names)
            print(*found, sep="\n", end="\n" if found else "")
            return int(bool(found))
        else:
            make(names, release=arguments.action == "release")
    except NotebookError as error:
        print(f"assignments: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
