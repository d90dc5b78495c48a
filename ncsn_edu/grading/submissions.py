"""Find what was handed in, read it whatever state it is in, and make of it a notebook that nbgrader can grade.

The result holds the cells of the learner and the tests of the release, each in its place; what had to be mended is
said in remarks for the teacher. This file does NOT run or grade anything.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

FEEDBACK = ".feedback.html"
MISSING = {
    "answer": "is missing: there is no cell for it, and none that defines what it asks for",
    "written": "is missing: there is no cell for it, and no text below its question",
    "tests": "was removed: it is back",
}
MOST_BYTES = 100_000_000
IGNORED = (FEEDBACK, ".csv", ".pyc", ".db")


class Unreadable(Exception):
    """This cannot be graded; the message says why, for the teacher."""


@dataclass(frozen=True)
class Submission:
    """A file that somebody has handed in."""

    student: str
    path: Path
    assignment: str | None = None  # as the folder has it


@dataclass
class Mended:
    """A notebook to be graded, and what was wrong with it."""

    notebook: NotebookNode
    remarks: list[str] = field(default_factory=list)


# ---- finding ---------------------------------------------------------------------------------------------------


def find(folder: Path, names: list[str]) -> list[Submission]:
    """What lies in a folder: STUDENT/ASSIGNMENT/file, STUDENT/file or STUDENT.ipynb. Of several files the newest."""
    found: list[Submission] = []
    for entry in sorted(folder.iterdir()):
        if _is_ignored(entry):
            continue
        if entry.is_file():
            found.append(Submission(_student_of(entry.stem, names), entry))
            continue
        inner = [path for path in sorted(entry.iterdir()) if not _is_ignored(path)]
        known = [path for path in inner if path.is_dir() and path.name in names]
        for path in known:
            found.append(Submission(entry.name, _best(path) or path, path.name))
        notebooks = [path for path in inner if path.suffix == ".ipynb"]
        if notebooks or not known:
            found += [Submission(entry.name, path) for path in notebooks or [_best(entry) or entry]]
    return found


def _is_ignored(path: Path) -> bool:
    return path.name.startswith((".", "__")) or (path.is_file() and path.name.endswith(IGNORED))


def _best(folder: Path) -> Path | None:
    """The newest notebook below, or any file where there is none."""
    files = [path for path in folder.rglob("*") if path.is_file() and not _is_ignored(path)]
    return max(files, key=lambda path: (path.suffix == ".ipynb", path.stat().st_mtime), default=None)


def _student_of(stem: str, names: list[str]) -> str:
    """anna of anna_a1_scores_and_langevin, anna of a1_scores_and_langevin-anna; otherwise the whole name."""
    for name in names:
        if name in stem and (rest := stem.replace(name, "").strip(" -_.")):
            return rest
    return stem


# ---- reading ---------------------------------------------------------------------------------------------------


def read(path: Path) -> NotebookNode:
    """The notebook in a file. Raises Unreadable where there is none, and says what there is."""
    if path.is_dir():
        raise Unreadable("there is nothing in the folder")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise Unreadable(f"the file has {size / 1e6:.0f} MB: ask for it with all outputs cleared")
    data = path.read_bytes()
    if not data.strip():
        raise Unreadable("the file is empty")
    for start, kind in (
        (b"PK", "a zip or Word file"),
        (b"%PDF", "a PDF"),
        (b"<", "a web page"),
        (b"\x89PNG", "a picture"),
    ):
        if data.startswith(start):
            raise Unreadable(f"this is {kind}, not a notebook: ask for the .ipynb file")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        raw = json.loads(text)
    except UnicodeDecodeError:
        raise Unreadable("this is not text, so not a notebook: ask for the .ipynb file") from None
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg
        where = "the file ends in the middle" if cut else f"line {error.lineno}: {error.msg}"
        hint = "to hand it in again" if text.lstrip().startswith("{") else "for the .ipynb file"
        raise Unreadable(f"this is not a notebook ({where}): ask {hint}") from None
    if isinstance(raw, dict) and "worksheets" in raw:  # of format 3
        raw = json.loads(nbformat.writes(nbformat.reads(text, as_version=4)))
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise Unreadable("this is JSON, but not a notebook: it has no cells")
    if not raw["cells"]:
        raise Unreadable("the notebook has no cells")
    cells = [_cell(cell) for cell in raw["cells"] if isinstance(cell, dict)]
    return nbformat.v4.new_notebook(cells=cells, metadata=_mapping(raw.get("metadata")))


def _cell(raw: Mapping[str, Any]) -> NotebookNode:
    source = raw.get("source", "")
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    kinds = {"code": nbformat.v4.new_code_cell, "raw": nbformat.v4.new_raw_cell}
    make = kinds.get(str(raw.get("cell_type")), nbformat.v4.new_markdown_cell)
    metadata = _mapping(raw.get("metadata"))
    if not isinstance(metadata.get("nbgrader", {}), dict):
        del metadata["nbgrader"]
    return make(source, metadata=metadata)


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


# ---- which assignment ------------------------------------------------------------------------------------------


def recognise(notebook: NotebookNode, submission: Submission, releases: Mapping[str, NotebookNode]) -> str:
    """The assignment that the notebook answers. Raises Unreadable where that cannot be told."""
    said = _mapping(notebook.metadata.get("ncsn_edu")).get("assignment")
    if said in releases:
        return str(said)
    if submission.assignment:
        return submission.assignment
    named = [name for name in releases if name in submission.path.stem]
    if len(named) == 1:
        return named[0]
    sources = {cell.source.strip() for cell in notebook.cells}
    defined = {name for cell in notebook.cells if cell.cell_type == "code" for name in defines(cell.source)}
    likeness = {
        name: len(defined & {key for cell in _answers(release) for key in defines(cell.source)})
        + len(sources & {cell.source.strip() for cell in release.cells if cell.source.strip()})
        for name, release in releases.items()
    }
    best = max(likeness, key=lambda name: likeness[name], default=None)
    if best is None or likeness[best] < 2 or list(likeness.values()).count(likeness[best]) > 1:
        raise Unreadable(f"this notebook answers none of {', '.join(releases)}, as far as can be told")
    return best


def defines(source: str) -> set[str]:
    """The names that a code cell defines at its top level, as far as can be told where it cannot be parsed."""
    tree = _parsed(source)
    if tree is None:
        found = re.findall(r"^(?:def|class)\s+(\w+)|^(\w+)\s*=", source, re.MULTILINE)
        return {one or other for one, other in found}
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names |= {leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name)} if target else set()
    return names


def _parsed(source: str) -> ast.Module | None:
    """A cell without its magics; None where it is no Python."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    try:
        return ast.parse(plain)
    except (SyntaxError, ValueError):
        return None


# ---- mending ---------------------------------------------------------------------------------------------------


def mend(notebook: NotebookNode, release: NotebookNode) -> Mended:
    """The learner's cells in their order, with the release's locked cells and tests where they belong.

    An answer that has lost nbgrader's data, or stands in another cell than its own, is found by what it defines. Of a
    cell that is there twice the last one that was worked on counts.
    """
    remarks: list[str] = []
    ours = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    places = _own_cells(notebook, ours, remarks)
    places |= _lost_answers(notebook, release, ours, places, remarks)
    taken = {index: name for name, index in places.items()}
    entries: list[tuple[float, NotebookNode]] = []
    for index, cell in enumerate(notebook.cells):
        name = taken.get(index)
        if name is None:
            if not _is_copy_of_ours(cell, ours):
                entries.append((index, _ordinary(cell)))
        elif _kind(name) in ("answer", "written"):
            entries.append((index, _answered(cell, ours[name], remarks)))
        elif cell.source.strip() != ours[name].source.strip():  # locked, and edited all the same
            remarks.append(
                f"{name} was edited: the original is used" + (", after theirs" if _kind(name) == "setup" else "")
            )
            if _kind(name) == "setup":
                entries.append((index - 0.25, _ordinary(cell)))
    at: dict[str, float] = {}
    previous = -1.0
    for name, cell in ours.items():  # in the release's order; what is missing comes after the one before
        kind = _kind(name)
        at[name] = previous = places.get(name, previous)
        if kind == "tests":
            at[name] = previous = max(previous, at.get(name.replace("tests", "answer"), -1.0))
        if kind not in ("answer", "written") or name not in places:
            entries.append((at[name], cell))
        if name not in places and kind in MISSING:
            remarks.append(f"{name} {MISSING[kind]}")
    entries.sort(key=lambda entry: entry[0])  # stable: the release's cells come after the learner's of the same place
    mended = nbformat.v4.new_notebook(cells=[nbformat.from_dict(dict(cell)) for _, cell in entries])
    mended.metadata = nbformat.from_dict(json.loads(json.dumps(release.metadata)))
    remarks += _other_version(notebook, release) + _other_language(notebook)
    remarks += [f"{name} calls the package: {used}" for name, used in _from_the_package(mended)]
    for index, cell in enumerate(mended.cells):
        cell.id = f"{index:04d}"
    return Mended(mended, remarks)


def grade_id(cell: NotebookNode) -> str:
    """nbgrader's name of a cell; empty where it has none."""
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _kind(name: str) -> str:
    return name.partition("-")[0]


def _answers(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if _kind(grade_id(cell)) == "answer")


def _own_cells(notebook: NotebookNode, ours: Mapping[str, NotebookNode], remarks: list[str]) -> dict[str, int]:
    """Where each of the release's cells is, by nbgrader's data; the last one worked on, if it is there twice."""
    places: dict[str, int] = {}
    for index, cell in enumerate(notebook.cells):
        name = grade_id(cell)
        if name not in ours:
            continue
        if name in places:
            remarks.append(f"{name} is there twice: the last one that was worked on counts")
            if cell.source.strip() == ours[name].source.strip():
                continue
        places[name] = index
    return places


def _lost_answers(
    notebook: NotebookNode,
    release: NotebookNode,
    ours: Mapping[str, NotebookNode],
    places: Mapping[str, int],
    remarks: list[str],
) -> dict[str, int]:
    """Answers that are not where they should be: elsewhere in the notebook, or without nbgrader's data."""
    found: dict[str, int] = {}
    for index, cell in enumerate(notebook.cells):  # locked cells whose data were lost
        same = [name for name, mine in ours.items() if cell.source.strip() == mine.source.strip()]
        found |= {name: index for name in same if _kind(name) not in ("answer", "written") and name not in places}
    for cell in _answers(release):
        name = grade_id(cell)
        untouched = name in places and notebook.cells[places[name]].source.strip() == cell.source.strip()
        if name in places and not untouched:
            continue
        asked = defines(cell.source)
        for index, theirs in enumerate(notebook.cells):
            free = not grade_id(theirs) or grade_id(theirs) not in ours
            if theirs.cell_type == "code" and free and asked & defines(theirs.source):
                found[name] = index
        if name in found:
            remarks.append(f"{name} was found in another cell, by what it defines")
    for name in ours:
        if _kind(name) == "written" and name not in places:
            start = {**places, **found}.get(name.replace("written", "question"), -1)
            known = {cell.source.strip() for cell in release.cells}
            for index in range(start + 1, len(notebook.cells) if start >= 0 else 0):
                cell = notebook.cells[index]
                if cell.cell_type == "markdown" and cell.source.strip() and cell.source.strip() not in known:
                    found[name] = index
                    remarks.append(f"{name} was found in another cell, below its question")
                    break
    return found


def _is_copy_of_ours(cell: NotebookNode, ours: Mapping[str, NotebookNode]) -> bool:
    """A test that is not where it belongs (the original is put there), or a second untouched copy of a cell."""
    if cell.cell_type == "code" and cell.source.lstrip().startswith("task = Task("):
        return True
    name = grade_id(cell)
    return name in ours and cell.source.strip() == ours[name].source.strip()


def _ordinary(cell: NotebookNode) -> NotebookNode:
    plain = {key: value for key, value in cell.items() if key != "metadata"}
    return nbformat.from_dict({**plain, "metadata": {}})


def _answered(cell: NotebookNode, mine: NotebookNode, remarks: list[str]) -> NotebookNode:
    """The release's cell with the learner's text."""
    if cell.cell_type != mine.cell_type:
        remarks.append(f"{grade_id(mine)} was a {cell.cell_type} cell: it is taken for {mine.cell_type}")
    return nbformat.from_dict({**mine, "source": cell.source})


def _other_version(notebook: NotebookNode, release: NotebookNode) -> list[str]:
    theirs = _mapping(notebook.metadata.get("ncsn_edu")).get("version")
    mine = release.metadata.ncsn_edu.version
    if theirs in (None, mine):
        return []
    return [f"made from version {theirs} of the assignment, and graded with the tests of version {mine}"]


def _other_language(notebook: NotebookNode) -> list[str]:
    kernel = _mapping(notebook.metadata.get("kernelspec"))
    language = str(kernel.get("language", "python")).lower()
    return [] if language in ("python", "") else [f"made with a kernel for {language}: it is run with Python"]


def _from_the_package(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Names of ncsn_edu that answers use. Whether they may is the teacher's to say."""
    modules, imported = {"ncsn_edu"}, set()
    for cell in notebook.cells:
        tree = _parsed(cell.source) if cell.cell_type == "code" else None
        if tree is None:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules |= {alias.asname or alias.name for alias in node.names if alias.name.startswith("ncsn_edu")}
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ncsn_edu"):
                imported |= {alias.asname or alias.name for alias in node.names}
        if _kind(grade_id(cell)) == "answer":
            used = {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
            }
            used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in imported}
            if used:
                yield grade_id(cell), ", ".join(sorted(used))
