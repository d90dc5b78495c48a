"""What grading has found: a result for each file, the table of all, what a later run has to know, what goes back.

This file does NOT grade (grade.py does), and does NOT touch the course's gradebook (record.py does).
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import time
import traceback
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..files import why, write_whole
from .course import Grade
from .folders import CANVAS, ELSEWHERE, FEEDBACK, KEPT, KNOWN, TABLE, shown
from .submissions import Submission
from .zips import pack, shortened

WRITE_EVERY = 1.0  # seconds at least between two tables: of a thousand files most may take no time


@dataclass
class Result:
    """A line of the table: points, or a reason why there are none, or why the file is ignored.

    given: what a person has given, by cell, None where an answer has changed since. Files are named as in the folder,
    the feedback's below the folder of the table.
    """

    student: str
    file: str
    assignment: str = ""
    points: dict[str, float | None] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    reason: str = ""
    digest: str = ""
    ignored: str = ""
    content: str = ""
    given: dict[str, float | None] = field(default_factory=dict)
    feedback: str = ""
    belongs: str = ""  # where the feedback would be, if it could be written there

    @property
    def scores(self) -> dict[str, float | None]:
        """Points of each cell, those that a person has given among them; None where a person has to read."""
        return {**self.points, **self.given}

    @property
    def total(self) -> float | None:
        """The points so far; None where nothing was graded."""
        return Grade(self.scores, self.most).automatic if self.points else None

    @property
    def to_read(self) -> list[str]:
        """The written answers that wait for a person."""
        return [name for name, points in self.scores.items() if points is None]


@dataclass(frozen=True)
class Places:
    """The folder that holds submissions, and the one that table and feedback go to: mostly the same."""

    folder: Path
    out: Path

    def feedback(self, submission: Submission) -> Path:
        """Where the feedback on a submission belongs: beside it, or at the same place below `out`."""
        home = (submission.home or submission.path.parent).relative_to(self.folder)
        *inside, name = submission.file.split("/")[len(home.parts) :]  # inside: a zip file, and folders in it
        stem = name[: -len(".ipynb")] if name.lower().endswith(".ipynb") else name
        words = [*(Path(archive).stem for archive in inside[:1]), stem]
        return self.out / home / (shortened("-".join(words), 180) + FEEDBACK)

    def kept(self, file: str) -> Path:
        """Where the graded notebook is kept for the gradebook, without hidden tests."""
        return self.out / KEPT / f"{hash_of(os.fsencode(file))}.ipynb"


def hash_of(data: bytes) -> str:
    """Sixteen digits that tell contents, and names, apart."""
    return hashlib.sha256(data).hexdigest()[:16]


def our_fault(doing: str, error: str | BaseException) -> str:
    """A reason that is no fault of the file's: the error, in one line, with the place in our code."""
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        at = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
        error = f"{type(error).__name__}: {error}{at}"
    return f"{doing} failed ({error}): look at it yourself, and report this"


# ---- the table, and what a later run has to know ----------------------------------------------------------------


class Table:
    """The table of a run, written again and again as results come; whole at the end of the `with`, however it ends."""

    def __init__(self, places: Places, known: Mapping[str, Result]) -> None:
        self.results: list[Result] = []
        self._places, self._known, self._written = places, known, 0.0

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        if self.results:
            self._write()

    def add(self, result: Result) -> None:
        """Take up a result. Raises OSError where the table cannot be written."""
        self.results.append(result)
        if time.monotonic() > self._written + WRITE_EVERY:
            self._write()

    def _write(self) -> None:
        write_results(self._places, self.results, self._known)
        self._written = time.monotonic()


def write_results(places: Places, results: list[Result], known: Mapping[str, Result] | None = None) -> None:
    """The table, and what a later run has to know; what is `known` of files not yet looked at stays."""
    seen = {result.file for result in results}
    rest = [r for file, r in (known or {}).items() if file not in seen and _is_there(places.folder, file)]
    everything = sorted([*results, *rest], key=lambda result: (result.assignment, result.student, result.file))
    write_whole(places.out / TABLE, _csv(everything).encode())
    write_whole(places.out / KNOWN, json.dumps([asdict(result) for result in everything], indent=1).encode())


def _is_there(folder: Path, file: str) -> bool:
    """Also if it is in a zip file that is there."""
    path = folder
    for part in file.split("/"):
        path /= part
        if path.is_file():
            return True
    return os.path.lexists(path)


def read_results(out: Path) -> dict[str, Result]:
    """What an earlier run has found, by file; nothing where there was none."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return {entry["file"]: Result(**entry) for entry in json.loads((out / KNOWN).read_bytes())}
    return {}


def keep_other_table(out: Path) -> Path | None:
    """Rename a table that is not as `write_results` left it, as somebody wrote into it or it is another program's.

    Returns its new name; None where there is nothing to keep.
    """
    table = out / TABLE
    if not table.is_file() or table.read_bytes() == _csv(list(read_results(out).values())).encode():
        return None
    kept = next(path for n in itertools.count(1) if not os.path.lexists(path := table.with_stem(f"{table.stem}-{n}")))
    return table.rename(kept)


def _csv(results: list[Result]) -> str:
    """One row a file, one column a task."""
    cells = list(dict.fromkeys(name for result in results for name in result.most))
    hints = _same_files(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "assignment", "points", "of", "to read", *cells, "reason", "remarks", "file"])
    for r in results:
        of = f"{sum(r.most.values()):g}" if r.most else ""
        total = "" if r.total is None else f"{r.total:g}"
        each = ["" if (got := r.scores.get(name)) is None else f"{got:g}" for name in cells]
        reason = f"ignored: {r.ignored}" if r.ignored else r.reason
        remarks = "; ".join([*r.remarks, *hints.get(r.file, [])])
        row = [shown(r.student), r.assignment, total, of, " ".join(r.to_read), *each, reason, remarks, shown(r.file)]
        writer.writerow([_cell(entry) for entry in row])
    return text.getvalue()


def _cell(entry: str) -> str:
    """An entry of the table that no spreadsheet takes for a formula, and that can be written in UTF-8."""
    entry = entry.encode("utf-8", "backslashreplace").decode()
    return f"'{entry}" if entry.startswith(("=", "+", "-", "@")) else entry


def _same_files(results: list[Result]) -> dict[str, list[str]]:
    """Of files that are the same, byte for byte, and by different students: a hint, by file."""
    by_content: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.content and result.points:
            by_content[result.content].append(result)
    hints = {}
    for same in by_content.values():
        for result in same:
            others = [other for other in same if other.student != result.student]
            if others:
                more = f" and {len(others) - 1} others" if len(others) > 1 else ""
                hints[result.file] = [f"the same file, byte for byte, as {shown(others[0].file)}{more}"]
    return hints


# ---- what goes back ---------------------------------------------------------------------------------------------


def put_feedback(page: bytes, result: Result, wanted: Path, places: Places) -> None:
    """Write feedback beside the submission, or elsewhere where that folder does not let us. Raises OSError."""
    try:
        written = write_whole(wanted, page)
    except OSError as error:
        short = shortened(wanted.name.removesuffix(FEEDBACK), 80)
        name = f"{short}-{hash_of(os.fsencode(result.file))[:8]}{FEEDBACK}"
        written = write_whole(places.out / ELSEWHERE / name, page)
        result.remarks.append(f"feedback is in {ELSEWHERE}/, for it could not be put beside the file ({why(error)})")
    result.feedback, result.belongs = str(written.relative_to(places.out)), str(wanted.relative_to(places.out))


def pack_feedback(archive: Path, places: Places, results: list[Result]) -> int:
    """Write a zip with all feedback, named so that Moodle and Canvas know whose each page is; returns how many."""
    named = []
    for result in results:
        if result.points and result.feedback:
            page = Path(result.belongs)
            name = page.name if CANVAS.fullmatch(page.name) else page.as_posix()  # Canvas wants no folders
            named.append((shown(name), places.out / result.feedback))
    return pack(archive, named)
