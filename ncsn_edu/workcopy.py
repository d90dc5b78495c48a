"""A folder for a learner: the notebooks without outputs, brought up to date around what the learner has changed.

What counts as changed in a notebook are cells: their order, kinds, sources and attachments. Outputs do not, nor does
the empty cell that JupyterLab adds after the last. A hidden file in the folder, STATE, says of each file which
version was given last. This file does NOT open JupyterLab, and does NOT write to the project.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .files import check_writable, why, write_whole

STATE = ".ncsn_edu.json"
LINKED = (
    "linked"  # what links of notebooks lead to that is outside the notebooks' folder: JupyterLab shows no such file
)
OURS = ("notebooks", "figures", "ncsn_edu", "tests", "tools")  # folders of the project that are nobody's to work in
MISSING, UNREADABLE = "missing", "unreadable"  # in place of a fingerprint
OTHER_FOLDER = "choose another folder by --folder PATH"


@dataclass
class Report:
    """What an update did: names of files in the folder, with / between their parts."""

    made: list[str] = field(default_factory=list)  # there was no such file
    updated: list[str] = field(default_factory=list)  # the learner had changed nothing
    offered: list[str] = field(default_factory=list)  # changed by the learner: the new version lies beside it
    held: list[str] = field(default_factory=list)  # the same, but what lies beside it is changed as well
    removed: list[str] = field(default_factory=list)  # gone from the project, and not changed by the learner
    left: list[str] = field(default_factory=list)  # gone from the project, but changed by the learner
    broken: list[str] = field(default_factory=list)  # the project's file is no notebook
    state_lost: bool = False  # STATE was there, and could not be read


def update(folder: Path, project: Path) -> Report:
    """Bring the folder to what the project's notebooks are now; no source of the learner is overwritten or removed.

    project: the folder of the stored notebooks. Raises OSError, with what to do, where the folder cannot be written
    or is the project's own. What was written until then is whole, and the next update continues from there.
    """
    check_place(folder, project)
    if not sources(project):  # all would be taken for gone
        raise FileNotFoundError(f"there are no notebooks in {project}: git -C {project.parent} checkout notebooks")
    return _Update(folder, project).run()


def sources(project: Path) -> dict[str, Path]:
    """The notebooks of a learner's folder, {name there: the project's file}: chapters, and assignments to hand out."""
    chapters = {path.name: path for path in sorted(project.glob("*.ipynb"))}
    tasks = {f"assignments/{path.name}": path for path in sorted(project.glob("assignments/release/*/*.ipynb"))}
    return {name: path for name, path in (chapters | tasks).items() if path.is_file()}


def bundle(project: Path, folder: Path) -> None:
    """Write what `update` reads of the project into a folder, as it lies there: notebooks/, and what they link to.

    Notebooks are written without outputs. This is how an installed package has them.
    """
    linked: dict[str, Path] = {}
    for path in sources(project).values():
        notebook = json.loads(path.read_bytes())
        write_whole(folder / path.relative_to(project.parent), _cleared(notebook))
        linked |= _lead_inside(notebook, project.parent)
    files = {*_pages(project), *linked.values()}
    for path in sorted(files):
        write_whole(folder / path.relative_to(project.parent), path.read_bytes())


def beside(name: str) -> str:
    """Where the new version of a changed file lies: 07_annealing.new.ipynb for 07_annealing.ipynb."""
    stem, suffix = os.path.splitext(name)
    return f"{stem}.new{suffix}"


def check_place(folder: Path, project: Path) -> None:
    """Raise OSError, with what to do, where the folder cannot be one to work in."""
    root, package = project.parent, Path(__file__).resolve().parent
    for above in (folder, *folder.parents):
        if above.exists() and above.samefile(package):
            raise OSError(f"{folder} lies in the package itself: {OTHER_FOLDER}")
        for name in OURS:
            if above.exists() and (root / name).exists() and above.samefile(root / name):
                raise OSError(f"{folder} is the project's own {name}/, or lies in it: {OTHER_FOLDER}")
    if folder.exists() and folder.samefile(root):
        raise OSError(f"{folder} is the project itself: {OTHER_FOLDER}, such as {root / 'work'}")
    try:
        check_writable(folder / STATE)
    except OSError as error:
        raise OSError(f"{why(error)}: {OTHER_FOLDER}") from error


def fingerprint(name: str, content: bytes) -> str:
    """Equal for two versions of a file in which a learner has written the same; UNREADABLE for a broken notebook."""
    if name.endswith(".ipynb"):
        try:
            content = json.dumps(_written(json.loads(content)), sort_keys=True).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return UNREADABLE
    return hashlib.sha256(content).hexdigest()


def _written(notebook: Any) -> list[Any]:
    """What people write in a notebook, and what grading goes by."""
    cells = []
    for cell in notebook["cells"]:
        marks = (cell.get("attachments") or None, cell.get("metadata", {}).get("nbgrader"))
        if (source := _text(cell["source"])).strip() or any(marks):
            cells.append([cell["cell_type"], source, *marks])
    return [notebook.get("metadata", {}).get("ncsn_edu"), cells]


def _text(source: Any) -> str:
    if not isinstance(source, (str, list)):
        raise TypeError("a source is a text, or a list of lines")
    return "".join(source)


# --- what the project gives


def _contents(project: Path) -> Iterator[tuple[str, bytes | None]]:
    """(name, content) of each file of a learner's folder; None where the project's own is no notebook."""
    linked: dict[str, Path] = {}
    for name, path in sources(project).items():
        content = path.read_bytes()
        if fingerprint(name, content) == UNREADABLE:
            yield name, None
            continue
        notebook = json.loads(content)
        if "/" not in name:
            linked |= _lead_inside(notebook, project.parent)
        yield name, _cleared(notebook)
    beside_notebooks = {path.relative_to(project).as_posix(): path for path in _pages(project)}
    for name, path in (beside_notebooks | linked).items():
        yield name, path.read_bytes()


def _pages(project: Path) -> list[Path]:
    """Pages beside the notebooks that learners read."""
    pages = [*sorted(project.glob("*.md")), project / "assignments" / "for_students.md"]
    return [path for path in pages if path.is_file()]


def _drafts(project: Path) -> set[str]:
    """Files of a learner's folder whose originals are not in git as they are: they may hold what exists nowhere else.

    A reader may have written in the project's own notebooks. A copy of that counts as changed, and is never replaced.
    """
    command = ["git", "-C", str(project), "ls-files", "--modified", "--others", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True).stdout.split(b"\0")
    except OSError:  # no git here
        return set()
    there = sources(project)
    names = {name for name, path in there.items() if os.fsencode(path.relative_to(project)) in listed}
    if len(names) == len(there):  # a project that was unpacked into a repository of something else
        return set()
    return names | {beside(name) for name in names}


def _cleared(notebook: Any) -> bytes:
    """The file of a notebook without what running has put into it, which is taken out of `notebook` too."""
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _lead_inside(notebook: Any, root: Path) -> dict[str, Path]:
    """Let links of the text that lead out of the notebooks' folder lead to copies; {name of the copy: the file}."""
    found: dict[str, Path] = {}

    def inside(link: re.Match[str]) -> str:
        path = root / link[1]
        if not path.is_file():
            return link[0]
        found[f"{LINKED}/{link[1]}"] = path
        if path.suffix == ".md":  # a page with pictures, which lie beside it
            shown = re.findall(r"\]\(([\w-]+\.png)\)", path.read_text(encoding="utf-8"))
            pictures = {PurePosixPath(LINKED, link[1]).with_name(name): path.with_name(name) for name in shown}
            found.update({str(name): picture for name, picture in pictures.items() if picture.is_file()})
        return f"]({LINKED}/{link[1]})"

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(r"\]\(\.\./([\w/.-]+)\)", inside, _text(cell["source"])).splitlines(keepends=True)
    return found


# --- what the learner has


class _Update:
    """One run over a learner's folder."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.wanted, self.report = folder, dict(_contents(project)), Report()
        self.given, self.drafts = self._read_state(), _drafts(project)

    def run(self) -> Report:
        for name, content in self.wanted.items():
            if content is None:
                self.report.broken.append(name)
            else:
                self._bring(name, content)
        for name in sorted(self.given.keys() - self.wanted.keys() - {beside(name) for name in self.wanted}):
            self._take_back(name)
        self._keep_state()
        return self.report

    def _bring(self, name: str, content: bytes) -> None:
        fresh, now = fingerprint(name, content), self._now(name)
        if now == MISSING:
            self._give(name, content, self.report.made)
        elif now == fresh:  # with the learner's outputs
            self._note(name, fresh)
        elif self._untouched(name):
            self._give(name, content, self.report.updated)
        elif self.given.get(name) != fresh:  # else it is the learner's work on the version of now
            self._offer(name, content, fresh)
            return
        if self._untouched(beside(name)):  # it has served its time
            self._remove(beside(name))

    def _offer(self, name: str, content: bytes, fresh: str) -> None:
        place = beside(name)
        now = self._now(place)
        if fresh in (now, self.given.get(place)):  # the learner has it, works in it, or has thrown it away
            self._note(place, fresh)
        elif now == MISSING or self._untouched(place):
            self._give(place, content, [])
            self.report.offered.append(name)
        else:
            self.report.held.append(name)

    def _take_back(self, name: str) -> None:
        """A file that the project no longer has."""
        if self._untouched(name):
            self._remove(name)
            self.report.removed.append(name)
        elif self._now(name) != MISSING:
            self.report.left.append(name)
        self.given.pop(name, None)

    def _now(self, name: str) -> str:
        path = self.folder / name
        if not os.path.lexists(path):
            return MISSING
        try:
            return fingerprint(name, path.read_bytes()) if path.is_file() else UNREADABLE
        except OSError:
            return UNREADABLE

    def _untouched(self, name: str) -> bool:
        """Is the file what was given last? One that was put there as a link is not."""
        return name in self.given and self._now(name) == self.given[name] and not (self.folder / name).is_symlink()

    def _give(self, name: str, content: bytes, noted: list[str]) -> None:
        path = self.folder / name
        try:
            write_whole(path, content)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._note(name, fingerprint(name, content))
        self._keep_state()  # a process that is killed here has not forgotten it
        noted.append(name)

    def _remove(self, name: str) -> None:
        try:
            (self.folder / name).unlink()
        except OSError as error:
            raise _unwritable(self.folder / name, error) from error
        self.given.pop(name)

    def _note(self, name: str, mark: str) -> None:
        if name not in self.drafts:
            self.given[name] = mark

    def _keep_state(self) -> None:
        path = self.folder / STATE
        text = json.dumps({"given": self.given}, indent=1, sort_keys=True).encode()
        try:
            if not path.is_file() or path.read_bytes() != text:
                write_whole(path, text)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _read_state(self) -> dict[str, str]:
        """{name: fingerprint} of what was given; nothing where that is not known."""
        try:
            given = json.loads((self.folder / STATE).read_bytes())["given"]
            return {name: mark for name, mark in given.items() if _is_inside(name) and isinstance(mark, str)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.report.state_lost = True
            return {}


def _is_inside(name: str) -> bool:
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def _unwritable(path: Path, error: OSError) -> OSError:
    return OSError(
        f"{path} cannot be written ({why(error)}): make room, mend its permissions or move it away, or {OTHER_FOLDER}. "
        "Nothing that you have written is lost"
    )
