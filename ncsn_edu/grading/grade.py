"""Grade a folder of submissions, each in a process and a folder of its own; one that fails is a line in the table.

`grade_folder` yields a result after each submission. Run as a script this file is the process that grades one. This
file does NOT print, and does NOT know the command line.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from ..files import write_whole
from .course import Course, CourseError, Grade, enter, grade_one, is_known
from .submissions import FEEDBACK, Submission, Unreadable, find, mend, read, recognise

TABLE, KNOWN = "grades.csv", ".grades.json"
EXTRA_SECONDS = 120.0  # for reading, starting kernels and writing, on top of what the notebook itself may take


@dataclass
class Result:
    """A line of the table. points is empty where the submission could not be graded, and reason says why."""

    student: str
    file: str
    assignment: str = ""
    points: dict[str, float | None] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    reason: str = ""
    digest: str = ""

    @property
    def total(self) -> float | None:
        """The points so far; None where nothing was graded."""
        return Grade(self.points, self.most).automatic if self.points else None

    @property
    def to_read(self) -> list[str]:
        """The written answers that wait for a person."""
        return [name for name, points in self.points.items() if points is None]


def grade_folder(
    course: Course, folder: Path, work: Path, *, jobs: int = 1, known: Mapping[str, Result] | None = None
) -> Iterator[Result]:
    """Grade all that lies in a folder, in an empty folder work; yields each result as it comes.

    Feedback is written beside each submission, as NAME.feedback.html. A result in `known`, by file, stays where neither
    the file nor the assignment has changed. Raises CourseError where there is nothing to grade.
    """
    names = course.names()
    submissions = find(folder, names)
    if not submissions:
        raise CourseError(f"{folder} holds no submission: expected are STUDENT/ASSIGNMENT/file.ipynb or STUDENT.ipynb")
    releases = course.prepare(names, work / "prepared")
    old = {} if known is None else known
    todo = []
    for submission in submissions:
        file = str(submission.path.relative_to(folder))
        before = old.get(file)
        if before and before.points and before.digest == _digest(submission.path, course, before.assignment):
            yield before
        else:
            todo.append((submission, file))
    running: set[subprocess.Popen[str]] = set()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(_in_a_process, course, work, releases, submission, file, jobs, running)
            for submission, file in todo
        ]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:  # also when nobody wants the rest
            for future in waiting:
                future.cancel()
            for process in list(running):
                process.terminate()


def _in_a_process(
    course: Course,
    work: Path,
    releases: Mapping[str, Path],
    submission: Submission,
    file: str,
    jobs: int,
    running: set[subprocess.Popen[str]],
) -> Result:
    """Grade one submission in another process, which is in `running` meanwhile, and in a folder that is deleted."""
    result = Result(submission.student, file, submission.assignment or "")
    with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as place:
        task = {
            "course": str(course.root.resolve()),
            "prepared": str((work / "prepared").resolve()),
            "submission": [submission.student, str(submission.path.resolve()), submission.assignment],
            "releases": {name: str(path.resolve()) for name, path in releases.items()},
            "own_folder": len(Path(file).parts) > 1,
            "place": place,
        }
        (Path(place) / "task.json").write_text(json.dumps(task))
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        limits = course.config().get("Execute", {})
        seconds = float(limits.get("total_seconds", 600.0)) + EXTRA_SECONDS
        process = subprocess.Popen(
            [sys.executable, "-m", "ncsn_edu.grading.grade", str(Path(place) / "task.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C for us is not one for a learner's code
            env=os.environ | {"PYTHONPATH": _import_path(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
        running.add(process)
        try:
            _, errors = process.communicate(timeout=seconds)
            done = json.loads((Path(place) / "result.json").read_text())
        except subprocess.TimeoutExpired:
            result.reason = f"grading took more than {seconds:.0f} seconds and was stopped"
        except FileNotFoundError:
            last = errors.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
            result.reason = f"grading it failed: {last[0]}"
        else:
            result = Result(submission.student, file, **done)
            for made, to in (("feedback.html", _feedback_path), ("graded.ipynb", _graded_path)):
                if (Path(place) / made).exists():
                    write_whole(to(submission.path), (Path(place) / made).read_bytes())
        finally:
            running.discard(process)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
    result.digest = _digest(submission.path, course, result.assignment)
    return result


def _feedback_path(path: Path) -> Path:
    return path.with_name(path.stem + FEEDBACK)


def _graded_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}.graded.ipynb")  # for the formgrader, not for the learner: it holds the tests


def _import_path() -> str:
    ours = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))


def _digest(path: Path, course: Course, name: str) -> str:
    """Of the file and of the assignment that it was graded by."""
    found = hashlib.sha256(path.read_bytes() if path.is_file() else b"")
    source = course.root / "source" / name / f"{name}.ipynb"
    found.update(source.read_bytes() if name and source.exists() else b"")
    return found.hexdigest()[:16]


# ---- one submission, in a process of its own --------------------------------------------------------------------


def _grade_this(task: Mapping[str, Any]) -> dict[str, Any]:
    course, place = Course(Path(task["course"])), Path(task["place"])
    student, path, assignment = task["submission"]
    submission = Submission(student, Path(path), assignment)
    releases = {name: nbformat.read(release, as_version=4) for name, release in task["releases"].items()}
    result: dict[str, Any] = {"assignment": assignment or ""}
    try:
        theirs = read(submission.path)
        name = recognise(theirs, submission, releases)
        result["assignment"] = name
        mended = mend(theirs, releases[name])
        own = place / "c"
        for part in ("gradebook.db", f"source/{name}"):
            (own / part).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (Path(task["prepared"]) / part).is_dir() else shutil.copy
            copy(Path(task["prepared"]) / part, own / part)
        if task["own_folder"]:
            _copy_other_files(submission.path, own / "submitted" / "one" / name)
        grade, remarks = grade_one(course, own, name, "one", mended.notebook)
    except (Unreadable, CourseError) as error:
        return result | {"reason": str(error)}
    (own / "feedback" / "one" / name / f"{name}.html").rename(place / "feedback.html")
    (own / "autograded" / "one" / name / f"{name}.ipynb").rename(place / "graded.ipynb")
    return result | asdict(grade) | {"remarks": [*mended.remarks, *remarks]}


def _copy_other_files(path: Path, to: Path) -> None:
    """Small files that were handed in beside the notebook."""
    to.mkdir(parents=True, exist_ok=True)
    for file in path.parent.iterdir():
        small = file.is_file() and not file.is_symlink() and file.stat().st_size < 1 << 20
        if small and file.suffix != ".ipynb" and not file.name.endswith(FEEDBACK):
            shutil.copy(file, to / file.name)


def mark_older(folder: Path, results: list[Result]) -> list[Result]:
    """Of several files by one student for one assignment the newest counts; the others are told so, and returned."""
    older = []
    for result in results:
        rivals = [r for r in results if (r.student, r.assignment) == (result.student, result.assignment) and r.points]
        newest = max(rivals, key=lambda r: (folder / r.file).stat().st_mtime, default=result)
        if newest is not result and result.points:
            said = f"{newest.file} is newer, and counts"
            result.remarks = [*(remark for remark in result.remarks if remark != said), said]
            older.append(result)
    return older


# ---- the table, and the course's own gradebook ------------------------------------------------------------------


def write_results(folder: Path, results: list[Result], known: Mapping[str, Result] | None = None) -> None:
    """The table, and what a later run has to know; what is `known` of files not yet looked at stays."""
    seen = {result.file for result in results}
    rest = [result for file, result in (known or {}).items() if file not in seen and (folder / file).exists()]
    everything = sorted([*results, *rest], key=lambda result: (result.assignment, result.student, result.file))
    write_whole(folder / TABLE, _csv(everything).encode())
    write_whole(folder / KNOWN, json.dumps([asdict(result) for result in everything], indent=1).encode())


def read_results(folder: Path) -> dict[str, Result]:
    """What an earlier run has found, by file; nothing where there was none."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return {entry["file"]: Result(**entry) for entry in json.loads((folder / KNOWN).read_bytes())}
    return {}


def _csv(results: list[Result]) -> str:
    """One row a submission, one column a task."""
    cells = list(dict.fromkeys(name for result in results for name in result.most))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "assignment", "points", "of", "to read", *cells, "reason", "remarks", "file"])
    for r in results:
        of = f"{sum(r.most.values()):g}" if r.most else ""
        total = "" if r.total is None else f"{r.total:g}"
        each = ["" if r.points.get(name) is None else f"{r.points[name]:g}" for name in cells]
        row = [r.student, r.assignment, total, of, " ".join(r.to_read), *each, r.reason, "; ".join(r.remarks), r.file]
        writer.writerow(
            [f"'{entry}" if entry.startswith(("=", "+", "-", "@")) else entry for entry in row]
        )  # no formulas
    return text.getvalue()


def record(course: Course, folder: Path, result: Result) -> None:
    """Put a graded submission where the formgrader looks: its notebooks, and its points in the course's gradebook."""
    name, student = result.assignment, re.sub(r"[^\w.@-]+", "_", result.student)
    if not is_known(course.root, name):
        course.prepare([name], course.root)
    graded = _graded_path(folder / result.file)
    for kind, source in (("submitted", folder / result.file), ("autograded", graded)):
        if source.exists():
            write_whole(course.root / kind / student / name / f"{name}.ipynb", source.read_bytes())
    enter(course.root, name, student, result.points)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    (Path(given["place"]) / "result.json").write_text(json.dumps(_grade_this(given)))
