"""Read a notebook whatever state its file is in, and make of it a notebook that nbgrader can grade.

The result holds the cells of the learner and the tests of the release, each in its place; what was repaired is said in
remarks for the teacher. This file does NOT find submissions (folders.py does), and does NOT run or grade anything.
"""

import ast
import codecs
import contextlib
import errno
import json
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..files import why

MISSING = {
    "answer": "is missing: there is no cell for it, and none that defines what it asks for",
    "written": "is missing: there is no cell for it, and no text below its question",
    "tests": "was removed: it is back",
}
MOST_BYTES = 100_000_000
FOREIGN = (  # how files begin that are no notebooks
    (b"PK", "a zip or Word file"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a packed file (gzip)"),
    (b"Rar!", "a packed file (RAR)"),
    (b"7z\xbc\xaf", "a packed file (7-Zip)"),
    (b"\xd0\xcf\x11\xe0", "an old Word or Office file"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"[InternetShortcut]", "a link to a page"),
    (b"L\0\0\0\1\x14\2\0", "a Windows shortcut to a file"),
    (b"bplist00", "what Apple's iCloud or Safari writes in the place of a file"),
)
ANSWERS = ("answer", "written")  # kinds of cells that are the learner's
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml")


class Unreadable(Exception):
    """This cannot be graded; the message says why, for the teacher."""


@dataclass(frozen=True)
class Submission:
    """A file that somebody has handed in. What is known of it without reading it stands in reason or ignored."""

    student: str
    path: Path
    assignment: str | None = None  # as the folder has it
    file: str = ""  # what the table calls it: its place below the folder
    home: Path | None = None  # the folder that feedback belongs into, where it is not that of path
    remarks: tuple[str, ...] = ()
    reason: str = ""  # why it cannot be graded
    ignored: str = ""  # why it is none of those to be graded
    order: tuple[float, ...] = ()  # of several by one student the greatest is the newest
    beside: tuple[Path, ...] = ()  # other files by the student, in the same place


@dataclass
class Repaired:
    """A notebook to be graded, and what was wrong with it."""

    notebook: NotebookNode
    remarks: list[str] = field(default_factory=list)


# ---- reading ---------------------------------------------------------------------------------------------------


def contents(path: Path) -> bytes:
    """The bytes of a file. Raises Unreadable for what is no file, is too large, or cannot be read, and says so."""
    try:
        # A pipe that nobody writes to would be waited for, and a device may do anything when it is opened.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unreadable(what_it_is(path) or "it is no file")
        place = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(place, "rb") as file:
            size = os.fstat(place).st_size
            if size > MOST_BYTES:
                raise Unreadable(f"the file has {size / 1e6:.0f} MB: ask for it with all outputs cleared")
            data = file.read(MOST_BYTES + 1)  # it may grow meanwhile
    except OSError as error:
        raise Unreadable(in_words(error)) from error
    if len(data) > MOST_BYTES:
        raise Unreadable(f"the file has more than {MOST_BYTES / 1e6:.0f} MB: ask for it with all outputs cleared")
    return data


def what_it_is(path: Path) -> str:
    """What a path leads to, in words, if it is neither a file nor a folder. Raises OSError where it leads nowhere."""
    mode = os.stat(path).st_mode
    kinds = (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    for is_kind, name in kinds:
        if is_kind(mode):
            return f"this is {name}, not a file"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "this is not a file"


def in_words(error: OSError) -> str:
    """Why a file or folder cannot be read, and what to do."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "it cannot be read, for its permissions forbid it: change them (chmod u+rX), and grade again"
    if error.errno in (errno.ENOENT, errno.ENOTDIR, getattr(errno, "ESTALE", -1)):
        return "it was there and is gone: grade again when nothing is being copied"
    if error.errno == errno.ELOOP:
        return "this is a link that leads to itself"
    if error.errno == errno.ENAMETOOLONG:
        return "its path is too long for this system: give it a shorter name"
    return f"it cannot be read ({why(error)}): copy it again"


def parse(data: bytes) -> tuple[NotebookNode, list[str]]:
    """The notebook in the bytes of a file, and remarks on how they were read.

    Only what grading needs is kept: sources, pasted pictures, nbgrader's names of cells, and which assignment it is.
    Raises Unreadable where there is no notebook, and says what there is.
    """
    if not data.strip(b" \t\r\n\0"):
        raise Unreadable("the file is empty")
    for start, kind in FOREIGN:
        if data.startswith(start):
            raise Unreadable(f"this is {kind}, not a notebook: ask for the .ipynb file")
    text, remarks = _decoded(data)
    if "<!DOCTYPE plist" in text[:300] or "<plist" in text[:300]:
        raise Unreadable("this is a link to a page, not a notebook: ask for the .ipynb file")
    if text.lstrip().startswith("<") and not text.lstrip().startswith("<<<<<<<"):
        raise Unreadable("this is a web page, not a notebook: ask for the .ipynb file")
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(_not_json(text, error)) from None
    except (RecursionError, ValueError) as error:  # a number of a million digits is a ValueError
        raise Unreadable(f"this is JSON, but no notebook: {error}") from None
    sheets = raw.get("worksheets") if isinstance(raw, dict) else None  # up to format 3
    if isinstance(sheets, list):
        raw["cells"] = [cell for sheet in sheets for cell in _list(_mapping(sheet).get("cells"))]
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        link = isinstance(raw, dict) and {"url", "doc_id"} & {*raw}
        what = "a link to a file of Google's" if link else "JSON"
        raise Unreadable(f"this is {what}, but not a notebook: it has no cells")
    cells = [_cell(cell, number) for number, cell in enumerate(raw["cells"]) if isinstance(cell, dict)]
    if not cells:
        raise Unreadable("the notebook has no cells")
    metadata = _mapping(raw.get("metadata"))
    kept: dict[str, Any] = {}
    ours = _mapping(metadata.get("ncsn_edu"))
    kept["ncsn_edu"] = {key: text_of(ours[key]) for key in ("assignment", "version") if key in ours}
    language = _mapping(metadata.get("kernelspec")).get("language", "python")
    kept["kernelspec"] = {"language": text_of(language) if isinstance(language, str) else "python"}
    return nbformat.from_dict({"cells": cells, "metadata": kept, "nbformat": 4, "nbformat_minor": 5}), remarks


def _decoded(data: bytes) -> tuple[str, list[str]]:
    """The text in the bytes, whichever of the encodings of JSON they have; other bytes are taken for Windows-1252."""
    encoding = json.detect_encoding(data)
    if encoding in ("utf-8", "utf-8-sig"):
        try:
            return data.decode(encoding, "surrogatepass"), []
        except UnicodeDecodeError:
            text = data.decode(encoding, "ncsn_edu.windows")
            if not text.lstrip().startswith(("{", "<")):
                raise Unreadable("this is not text, so not a notebook: ask for the .ipynb file") from None
            return text, ["the file was not in UTF-8: it was read as Windows-1252, so look at letters with accents"]
    try:
        text = data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode(encoding, "ignore")
        if not text.lstrip("\ufeff \t\r\n").startswith("{"):
            raise Unreadable("this is not text, so not a notebook: ask for the .ipynb file") from None
    return text.removeprefix("\ufeff"), []


def _windows(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("ncsn_edu.windows", _windows)


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    if re.search(r"^<{7} ", text, re.MULTILINE):
        return "this holds two versions of a notebook, with git's marks between them: ask for one of them"
    cut = error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg
    where = "the file ends in the middle" if cut else f"line {error.lineno}: {error.msg}"
    hint = "to hand it in again" if text.lstrip().startswith("{") else "for the .ipynb file"
    return f"this is not a notebook ({where}): ask {hint}"


def _cell(raw: Mapping[str, Any], number: int) -> NotebookNode:
    source = raw.get("source", raw.get("input", raw.get("code", "")))  # the second and third of old formats
    source = "".join(map(str, source)) if isinstance(source, list) else str("" if source is None else source)
    source = text_of(source).replace("\r\n", "\n").replace("\r", "\n")
    kind = str(raw.get("cell_type"))
    kind = kind if kind in ("code", "raw") else "markdown"
    if raw.get("cell_type") == "heading":  # of format 3
        level = raw.get("level")
        source = "#" * (level if isinstance(level, int) and 0 < level < 7 else 1) + " " + source
    name = _mapping(_mapping(raw.get("metadata")).get("nbgrader")).get("grade_id")
    cell: dict[str, Any] = {"cell_type": kind, "source": source, "id": f"x{number}", "metadata": {}}
    if isinstance(name, str):
        cell["metadata"]["nbgrader"] = {"grade_id": text_of(name)}
    if kind == "code":
        cell |= {"outputs": [], "execution_count": None}
    elif pasted := _pictures(raw.get("attachments")):
        cell["attachments"] = pasted
    return nbformat.from_dict(cell)


def _pictures(attachments: object) -> dict[str, dict[str, str]]:
    """Pictures that were pasted into a cell, by name and type, as Base64."""
    found: dict[str, dict[str, str]] = {}
    for name, kinds in _mapping(attachments).items():
        for kind, data in _mapping(kinds).items():
            data = "".join(map(str, data)) if isinstance(data, list) else data
            if kind in IMAGES and isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9+/=\s]+", data):
                found.setdefault(text_of(name), {})[kind] = data
    return found


def text_of(value: object) -> str:
    """A text that can be written: halves of characters (lone surrogates) are put together, or replaced by U+FFFD."""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


# ---- which assignment ------------------------------------------------------------------------------------------


def recognise(notebook: NotebookNode, submission: Submission, releases: Mapping[str, NotebookNode]) -> str:
    """The assignment that the notebook answers. Raises Unreadable where that cannot be told. Parses no code."""
    said = _mapping(notebook.metadata.get("ncsn_edu")).get("assignment")
    if said in releases:
        return str(said)
    if submission.assignment:
        return submission.assignment
    named = [name for name in releases if as_word(name).search(submission.path.stem)]
    if len(named) == 1:
        return named[0]
    sources = {cell.source.strip() for cell in notebook.cells}
    defined = {name for cell in notebook.cells if cell.cell_type == "code" for name in _seem_defined(cell.source)}
    likeness = {
        name: len(defined & {key for cell in _answers(release) for key in _seem_defined(cell.source)})
        + len(sources & {cell.source.strip() for cell in release.cells if cell.source.strip()})
        for name, release in releases.items()
    }
    best = max(likeness, key=lambda name: likeness[name], default=None)
    if best is None or likeness[best] < 2 or list(likeness.values()).count(likeness[best]) > 1:
        raise Unreadable(f"this notebook answers none of {', '.join(releases)}, as far as can be told")
    return best


def as_word(assignment: str) -> re.Pattern[str]:
    """Matches an assignment's name where it stands as a word of its own in the name of a file."""
    return re.compile(rf"(?<![^\W_]){re.escape(assignment)}(?![^\W_])")


def defines(source: str) -> set[str]:
    """The names that a code cell defines at its top level, as far as can be told where it cannot be parsed."""
    tree = _parsed(source)
    if tree is None:
        return _seem_defined(source)
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names |= {leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name)} if target else set()
    return names


def _seem_defined(source: str) -> set[str]:
    found = re.findall(r"^(?:def|class)\s+(\w+)|^(\w+)\s*=", source, re.MULTILINE)
    return {one or other for one, other in found}


def _parsed(source: str) -> ast.Module | None:
    """A cell without its magics; None where it is no Python."""
    plain = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n"))
    with warnings.catch_warnings(), contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        warnings.simplefilter("ignore")
        return ast.parse(plain)
    return None


# ---- repairing -------------------------------------------------------------------------------------------------


def repair(notebook: NotebookNode, release: NotebookNode) -> Repaired:
    """The learner's cells in their order, with the release's locked cells and tests where they belong.

    An answer that has lost nbgrader's data, or stands in another cell than its own, is found by what it defines. Of a
    cell that is there twice the last one that was worked on counts.
    """
    remarks: list[str] = []
    ours = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    places = _own_cells(notebook, ours, remarks)
    places |= _lost_answers(notebook, release, ours, places, remarks)
    entries = [*_theirs_placed(notebook, ours, places, remarks), *_ours_placed(ours, places, remarks)]
    entries.sort(key=lambda entry: entry[0])  # stable: the release's cells come after the learner's of the same place
    repaired = nbformat.v4.new_notebook(cells=[nbformat.from_dict(cell) for _, cell in entries])
    repaired.metadata = nbformat.from_dict(release.metadata)
    remarks += _other_version(notebook, release) + _other_language(notebook)
    remarks += [f"{name} calls the package: {used}" for name, used in _from_the_package(repaired)]
    for index, cell in enumerate(repaired.cells):
        cell.id = f"{index:04d}"
    return Repaired(repaired, remarks)


def _theirs_placed(
    notebook: NotebookNode, ours: Mapping[str, NotebookNode], places: Mapping[str, int], remarks: list[str]
) -> Iterator[tuple[float, NotebookNode]]:
    """The learner's own cells and answers, each with its place."""
    taken = {index: name for name, index in places.items()}
    for index, cell in enumerate(notebook.cells):
        name = taken.get(index)
        if name is None:
            if not _is_copy_of_ours(cell, ours):
                yield index, _ordinary(cell)
        elif _kind(name) in ANSWERS:
            yield index, _answered(cell, ours[name], remarks)
        elif cell.source.strip() != ours[name].source.strip():  # locked, and edited all the same
            is_setup = _kind(name) == "setup"
            remarks.append(f"{name} was edited: the original is used" + (", after theirs" if is_setup else ""))
            if is_setup:
                yield index - 0.25, _ordinary(cell)


def _ours_placed(
    ours: Mapping[str, NotebookNode], places: Mapping[str, int], remarks: list[str]
) -> Iterator[tuple[float, NotebookNode]]:
    """The release's locked cells, and its empty answers where there is none, each with its place."""
    at: dict[str, float] = {}
    previous = -1.0
    for name, cell in ours.items():  # in the release's order; what is missing comes after the one before
        kind = _kind(name)
        at[name] = previous = places.get(name, previous)
        if kind == "tests":
            at[name] = previous = max(previous, at.get(name.replace("tests", "answer"), -1.0))
        if kind not in ANSWERS or name not in places:
            yield at[name], cell
        if name not in places and kind in MISSING:
            remarks.append(f"{name} {MISSING[kind]}")


def remark(notebook: NotebookNode, more: Iterable[str]) -> None:
    """Add remarks for the teacher to those that go with a notebook."""
    notebook.metadata.setdefault("ncsn_edu", {})["remarks"] = [*remarks_on(notebook), *more]


def remarks_on(notebook: NotebookNode) -> list[str]:
    """The remarks for the teacher that go with a notebook."""
    return list(notebook.metadata.get("ncsn_edu", {}).get("remarks", []))


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
        found |= {name: index for name in same if _kind(name) not in ANSWERS and name not in places}
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
    known = {cell.source.strip() for cell in release.cells} | {""}
    for name in ours:
        own = notebook.cells[places[name]].source.strip() if name in places else ""
        if _kind(name) == "written" and own in known:  # it is untouched, empty or gone
            start = {**places, **found}.get(name.replace("written", "question"), -1)
            for index in range(start + 1, len(notebook.cells) if start >= 0 else 0):
                cell = notebook.cells[index]
                if _is_text(cell) and cell.source.strip() not in known:
                    found[name] = index
                    remarks.append(f"{name} was found in another cell, below its question")
                    break
    return found


def _is_text(cell: NotebookNode) -> bool:
    """Also words in a code cell: a comment, a string, or what is no Python."""
    tree = _parsed(cell.source) if cell.cell_type == "code" else None
    return tree is None or all(
        isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in tree.body
    )


def _is_copy_of_ours(cell: NotebookNode, ours: Mapping[str, NotebookNode]) -> bool:
    """A test that is not where it belongs (the original is put there), or a second untouched copy of a cell."""
    if cell.cell_type == "code" and cell.source.lstrip().startswith(("task = Task(", "%%tests ")):
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
    pasted = {"attachments": cell.attachments} if "attachments" in cell and mine.cell_type != "code" else {}
    return nbformat.from_dict({**mine, "source": cell.source, **pasted})


def _other_version(notebook: NotebookNode, release: NotebookNode) -> list[str]:
    theirs = _mapping(notebook.metadata.get("ncsn_edu")).get("version")
    mine = str(release.metadata.ncsn_edu.version)
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
