"""Grade a folder of submissions, each in a process and a folder of its own; one that fails is a line in the table.

`grade_folder` yields a result after each submission. Run as a script this file is the process that grades one. This
file does NOT print, and does NOT know the command line.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import parse_utc
from sqlalchemy.exc import SQLAlchemyError

from ..files import why, write_whole
from .course import (
    Course,
    CourseError,
    Grade,
    enter,
    grade_one,
    has_comments,
    is_known,
    make_feedback,
    with_secrets,
    without_secrets,
)
from .execute import NO_KERNEL, Limits, NotStarted, try_kernel
from .folders import CANVAS, ELSEWHERE, FEEDBACK, HELD_TESTS, KEPT, KNOWN, TABLE, Found, find, shown
from .submissions import Submission, Unreadable, contents, grade_id, mend, parse, recognise
from .zips import pack, shortened

EXTRA_SECONDS = 120.0  # for reading, starting kernels and writing, on top of what the notebook itself may take
TIMESTAMP = "timestamp.txt"
SMALL, MOST_BESIDE = 1 << 20, 100  # bytes and number of other files that are there when a notebook runs


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
        home = submission.home or submission.path.parent
        if self.out != self.folder:
            home = self.out / home.relative_to(self.folder)
        below = len((submission.home or submission.path.parent).relative_to(self.folder).parts)
        archive, name = submission.file.split("/")[below:-1][:1], submission.file.rpartition("/")[2]
        stem = name[: -len(".ipynb")] if name.lower().endswith(".ipynb") else name
        return home / (shortened("-".join([*(Path(one).stem for one in archive), stem]), 180) + FEEDBACK)

    def kept(self, file: str) -> Path:
        """Where the graded notebook is kept for the gradebook, without hidden tests."""
        return self.out / KEPT / f"{_hash(os.fsencode(file))}.ipynb"


def grade_folder(
    course: Course,
    folder: Path,
    work: Path,
    *,
    jobs: int = 1,
    known: Mapping[str, Result] | None = None,
    found: Found | None = None,
    out: Path | None = None,
) -> Iterator[Result]:
    """Grade all that lies in a folder, in an empty folder work; yields each result as it comes.

    Feedback is written beside each submission, as NAME.feedback.html, or below `out`. A result in `known`, by file,
    stays where neither the file nor the assignment has changed. Raises CourseError where there is nothing to grade.
    """
    names = course.names()
    found = find(folder, names, work / "unpacked", out=out) if found is None else found
    if not found.submissions:
        raise CourseError(f"{folder} holds no submission: expected are STUDENT/ASSIGNMENT/file.ipynb or STUDENT.ipynb")
    places = Places(folder, folder if out is None else out)
    _remove_what_held_tests(found.submissions)
    releases = course.prepare(names, work / "prepared")
    read = {name: nbformat.read(path, as_version=4) for name, path in releases.items()}
    results, todo = _chosen(found.submissions, read, course)
    yield from results
    old = {} if known is None else known
    grading = []
    for submission, result in todo:
        before = old.get(result.file)
        fresh = before is not None and bool(before.points) and before.digest == result.digest
        made = before is not None and places.kept(result.file).is_file() and (places.out / before.feedback).is_file()
        if before is not None and fresh and made:
            before.student, before.content = result.student, result.content
            yield before
        else:
            grading.append((submission, result.assignment))
    running: set[subprocess.Popen[str]] = set()
    limits = course.config().get("Execute", {})
    seconds = float(limits.get("total_seconds", Limits.total_seconds)) + EXTRA_SECONDS
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(_in_a_process, course, work, releases, submission, seconds, name, jobs, running, places)
            for submission, name in grading
        ]
        try:
            for done in as_completed(waiting):
                result = done.result()
                if NO_KERNEL in result.reason:
                    _try_a_kernel()
                yield result
        finally:  # also when nobody wants the rest
            for future in waiting:
                future.cancel()
            for process in list(running):
                process.terminate()


def _try_a_kernel() -> None:
    """Raises CourseError where this machine can start none for anybody: then nobody's points can be told."""
    try:
        try_kernel()
    except NotStarted as error:
        raise CourseError(f"nothing can be graded here: {error}") from error


def _remove_what_held_tests(submissions: list[Submission]) -> None:
    """Earlier versions left graded notebooks with hidden tests beside the submissions, where they were given back."""
    for submission in submissions:
        if submission.ignored == HELD_TESTS:
            with contextlib.suppress(OSError, Unreadable):
                if b"BEGIN HIDDEN TESTS" in contents(submission.path):
                    submission.path.unlink()


def _chosen(
    submissions: list[Submission], releases: Mapping[str, NotebookNode], course: Course
) -> tuple[list[Result], list[tuple[Submission, Result]]]:
    """Results for what needs no grading, and the newest file of each student for each assignment, to be graded."""
    results: list[Result] = []
    rivals: dict[tuple[str, str], list[tuple[Submission, Result]]] = defaultdict(list)
    unread: dict[str, list[Submission]] = defaultdict(list)
    for submission in submissions:
        result = Result(submission.student, submission.file, submission.assignment or "", ignored=submission.ignored)
        result.reason, result.remarks = submission.reason, list(submission.remarks)
        if not (result.ignored or result.reason):
            try:
                data = contents(submission.path)
                result.assignment = recognise(parse(data)[0], submission, releases)
                result.content, result.digest = _hash(data), _digest(data, course, result.assignment)
            except Unreadable as error:
                result.reason = str(error)
            except Exception as error:  # one file must not end the run for all
                result.reason = f"reading it failed ({_where(error)}): look at it yourself, and report this"
        if result.ignored or result.reason:
            results.append(result)
            unread[result.student] += [submission] if result.reason else []
        else:
            rivals[result.student, result.assignment].append((submission, result))
    todo = []
    for several in rivals.values():
        several.sort(key=lambda one: (one[0].order, one[0].file))
        newest, line = several[-1]
        for _, older in several[:-1]:
            if _of_another(older.file, line.file):
                around = shown(line.file.partition("/")[0])
                older.reason = (
                    f"this is older than {shown(line.file)}, and both lie in {around}/, which is taken for one "
                    "student's folder: if they are two students', grade that folder by itself"
                )
            else:
                older.ignored = f"an older copy of {shown(line.file)}"
            results.append(older)
        newer = [shown(one.file) for one in unread[line.student] if one.order > newest.order]
        said = tuple(f"{file} is newer, but cannot be graded" for file in newer)
        todo.append((replace(newest, remarks=(*newest.remarks, *said)), line))
    return results, todo


def _of_another(older: str, newer: str) -> bool:
    """May two files be two students', as their folders have two names, not numbers: TUTORIAL/ANNA, TUTORIAL/BOB?"""
    (*above, one, _), (*others, other, _) = (["", *file.split("/")] for file in (older, newer))
    same = re.sub(r"[\d\W_]+", "", one).casefold() == re.sub(r"[\d\W_]+", "", other).casefold()  # version 1, version 2
    return len(above) > 1 and above == others and not same


def _in_a_process(
    course: Course,
    work: Path,
    releases: Mapping[str, Path],
    submission: Submission,
    seconds: float,
    name: str,
    jobs: int,
    running: set[subprocess.Popen[str]],
    places: Places,
) -> Result:
    """Grade one submission in another process, which is in `running` meanwhile, and in a folder that is deleted."""
    result = Result(submission.student, submission.file, name)
    with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        try:
            data = contents(submission.path)  # once: it may change while it is graded
        except Unreadable as error:
            result.reason = str(error)
            return result
        (place / "handed.ipynb").write_bytes(data)
        _copy_other_files(submission.beside, place / "beside")
        task = {
            "course": str(course.root.resolve()),
            "prepared": str((work / "prepared").resolve()),
            "assignment": name,
            "release": str(releases[name].resolve()),
            "place": str(place),
        }
        (place / "task.json").write_text(json.dumps(task))
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        process = subprocess.Popen(
            [sys.executable, "-m", "ncsn_edu.grading.grade", str(place / "task.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C for us is not one for a learner's code
            env=os.environ | {"PYTHONPATH": _import_path(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
        running.add(process)
        try:
            _, errors = process.communicate(timeout=seconds)
            done = json.loads((place / "result.json").read_text())
        except subprocess.TimeoutExpired:
            result.reason = f"grading took more than {seconds:.0f} seconds and was stopped"
        except (FileNotFoundError, ValueError):
            last = errors.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
            result.reason = f"grading it failed ({last[0]}): look at it yourself, and report this"
        else:
            result = Result(submission.student, submission.file, **done)
            result.remarks[:0] = submission.remarks
            _keep(place, result, submission, places)
        finally:
            running.discard(process)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        result.content, result.digest = _hash(data), _digest(data, course, result.assignment)
    return result


def _keep(place: Path, result: Result, submission: Submission, places: Places) -> None:
    """Put what the process has made where it belongs; what cannot be written is a remark."""
    page, graded = place / "feedback.html", place / "graded.ipynb"
    try:
        if graded.exists():
            write_whole(places.kept(result.file), graded.read_bytes())
        if page.exists():
            _put_feedback(page.read_bytes(), result, places.feedback(submission), places)
    except OSError as error:
        result.remarks.append(f"feedback could not be written: {why(error)}")


def _put_feedback(page: bytes, result: Result, wanted: Path, places: Places) -> None:
    """Write feedback beside the submission, or elsewhere where that folder does not let us. Raises OSError."""
    try:
        written = write_whole(wanted, page)
    except OSError as error:
        short = shortened(wanted.name.removesuffix(FEEDBACK), 80)
        name = f"{short}-{_hash(os.fsencode(result.file))[:8]}{FEEDBACK}"
        written = write_whole(places.out / ELSEWHERE / name, page)
        result.remarks.append(f"feedback is in {ELSEWHERE}/, for it could not be put beside the file ({why(error)})")
    result.feedback, result.belongs = str(written.relative_to(places.out)), str(wanted.relative_to(places.out))


def _import_path() -> str:
    ours = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _digest(data: bytes, course: Course, name: str) -> str:
    """Of a file's bytes and of the assignment that it was graded by."""
    source = course.root / "source" / name / f"{name}.ipynb"
    return _hash(data + (source.read_bytes() if name and source.exists() else b""))


def _where(error: BaseException) -> str:
    """An error in one line, with the place in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{at}"


# ---- one submission, in a process of its own --------------------------------------------------------------------


def _grade_this(task: Mapping[str, Any]) -> dict[str, Any]:
    course, place, name = Course(Path(task["course"])), Path(task["place"]), task["assignment"]
    try:
        theirs, said = parse(contents(place / "handed.ipynb"))
        mended = mend(theirs, nbformat.read(task["release"], as_version=4))
        ours = mended.notebook.metadata.setdefault("ncsn_edu", {})
        ours["remarks"] = [*said, *mended.remarks]  # shown in the feedback; what comes up in running is added
        own = place / "c"
        for part in ("gradebook.db", f"source/{name}"):
            (own / part).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (Path(task["prepared"]) / part).is_dir() else shutil.copy
            copy(Path(task["prepared"]) / part, own / part)
        if (place / "beside").exists():
            shutil.copytree(place / "beside", own / "submitted" / "one" / name)
        grade, remarks = grade_one(course, own, name, "one", mended.notebook)
        graded = nbformat.read(own / "autograded" / "one" / name / f"{name}.ipynb", as_version=4)
    except (Unreadable, CourseError) as error:
        return {"assignment": name, "reason": str(error)}
    except Exception as error:
        return {
            "assignment": name,
            "reason": f"grading it failed ({_where(error)}): look at it yourself, and report this",
        }
    (own / "feedback" / "one" / name / f"{name}.html").rename(place / "feedback.html")
    nbformat.write(without_secrets(graded), place / "graded.ipynb")
    return {"assignment": name, **asdict(grade), "remarks": remarks}


def _copy_other_files(paths: Iterable[Path], to: Path) -> None:
    """Small files that were handed in beside the notebook; one that cannot be read is a line of the table itself."""
    for path in list(paths)[:MOST_BESIDE]:
        with contextlib.suppress(Unreadable, OSError):
            if not path.is_symlink() and path.stat().st_size < SMALL:
                data = contents(path)
                if path.name != TIMESTAMP or _is_a_time(data):
                    to.mkdir(exist_ok=True)
                    (to / path.name).write_bytes(data)


def _is_a_time(data: bytes) -> bool:
    """Can nbgrader read when it was handed in? It stops at a timestamp.txt that is anything else."""
    with contextlib.suppress(ValueError, OverflowError):
        parse_utc(data.decode().strip())
        return True
    return False


# ---- the table, and what goes back ------------------------------------------------------------------------------


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


def pack_feedback(archive: Path, places: Places, results: list[Result]) -> int:
    """Write a zip with all feedback, named so that Moodle and Canvas know whose each page is; returns how many."""
    named = []
    for result in results:
        if result.points and result.feedback:
            page = Path(result.belongs)
            name = page.name if CANVAS.fullmatch(page.name) else page.as_posix()  # Canvas wants no folders
            named.append((shown(name), places.out / result.feedback))
    return pack(archive, named)


# ---- the course's own gradebook ---------------------------------------------------------------------------------


def record(course: Course, places: Places, results: list[Result], submissions: list[Submission]) -> list[str]:
    """Enter graded submissions into the course's gradebook, where the formgrader shows them; returns what failed.

    What a person has given there goes into the results, and into the feedback.
    """
    paths = {submission.file: submission for submission in submissions}
    names = gradebook_names({result.student for result in results})
    failed = []
    for result in results:
        if result.points and result.file in paths:
            try:
                _record(course, places, result, paths[result.file], names[result.student])
            except (CourseError, OSError, SQLAlchemyError, Unreadable) as error:
                said = str(error).splitlines()[0] if str(error) else type(error).__name__
                failed.append(f"{shown(result.file)} could not be entered into the gradebook: {said}")
    return failed


def gradebook_names(students: Iterable[str]) -> dict[str, str]:
    """The name of each student in the gradebook: letters, digits and _.@- alone, and never one name for two."""
    plain = {student: re.sub(r"[^\w.@-]+", "_", shown(student)).strip(".") or "_" for student in sorted(students)}
    count = Counter(plain.values())
    return {
        student: shortened(name if count[name] == 1 else f"{name}-{_hash(os.fsencode(student))[:6]}", 120)
        for student, name in plain.items()
    }


def _record(course: Course, places: Places, result: Result, submission: Submission, student: str) -> None:
    name = result.assignment
    if not is_known(course.root, name):
        course.prepare([name], course.root)
    graded = with_secrets(nbformat.read(places.kept(result.file), as_version=4), course.notebook(name))
    place = course.root / "autograded" / student / name / f"{name}.ipynb"
    changed = _changed(place, graded, result.points)
    write_whole(course.root / "submitted" / student / name / f"{name}.ipynb", contents(submission.path))
    write_whole(place, nbformat.writes(graded).encode())
    result.given = enter(course.root, name, student, result.points, changed)
    said = "changed since you read it: read it again"
    result.remarks = [remark for remark in result.remarks if said not in remark]
    result.remarks += [f"{cell} {said}" for cell, points in result.given.items() if points is None]
    if result.given or has_comments(course.root, name, student):
        page = make_feedback(course, name, student).read_bytes()
        _put_feedback(page, result, places.feedback(submission), places)


def _changed(before: Path, graded: NotebookNode, points: Iterable[str]) -> set[str]:
    """The graded cells whose answers are not those that were recorded before."""
    if not before.exists():
        return set()
    old = {grade_id(cell): cell.source for cell in nbformat.read(before, as_version=4).cells}
    new = {grade_id(cell): cell.source for cell in graded.cells}
    answers = {cell: cell.replace("tests", "answer") for cell in points}  # a test cell stands for its answer
    return {cell for cell, answer in answers.items() if old.get(answer) != new.get(answer)}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that folders are deleted
    given = json.loads(Path(sys.argv[1]).read_text())
    (Path(given["place"]) / "result.json").write_text(json.dumps(_grade_this(given)))
