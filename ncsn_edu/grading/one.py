"""Grade one submission in a process and a folder of its own, so that it can disturb neither others nor the course.

`grade_apart` starts the process, which is this file, run as a script. This file does NOT choose what is graded
(grade.py does), and does NOT run cells (execute.py does).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.utils import parse_utc

from ..files import why, write_whole
from ..kernels import child_environment
from .course import Course, CourseError, grade_one, without_secrets
from .results import Places, Result, hash_of, our_fault, put_feedback
from .submissions import Submission, Unreadable, contents, parse, remark, remarks_on, repair

TIMESTAMP = "timestamp.txt"
SMALL, MOST_BESIDE = 1 << 20, 100  # bytes and number of other files that are there when a notebook runs


@dataclass(frozen=True)
class Batch:
    """What all submissions of a run share. work: a folder, in which `Course.prepare` has filled prepared/."""

    course: Course
    work: Path
    releases: Mapping[str, Path]
    places: Places
    seconds: float  # that one submission may take
    jobs: int  # so many at a time
    running: set["subprocess.Popen[str]"] = field(default_factory=set)

    @property
    def prepared(self) -> Path:
        """The course that each process takes a copy of."""
        return self.work / "prepared"


def digest(data: bytes, course: Course, name: str) -> str:
    """Of a file's bytes and of the assignment that it is graded by."""
    source = course.root / "source" / name / f"{name}.ipynb"
    return hash_of(data + (source.read_bytes() if name and source.exists() else b""))


def grade_apart(batch: Batch, submission: Submission, name: str) -> Result:
    """Grade one submission for the assignment of this name; feedback is written where it belongs."""
    result = Result(submission.student, submission.file, name)
    try:
        data = contents(submission.path)  # once: it may change while it is graded
    except Unreadable as error:
        result.reason = str(error)
        return result
    with tempfile.TemporaryDirectory(dir=batch.work, ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        (place / "handed.ipynb").write_bytes(data)
        _copy_other_files(submission.beside, place / "beside")
        try:
            done = _in_a_process(batch, place, name)
        except Unreadable as error:
            result.reason = str(error)
        else:
            result = Result(submission.student, submission.file, **done)
            result.remarks[:0] = submission.remarks
            _keep(place, result, submission, batch.places)
    result.content, result.digest = hash_of(data), digest(data, batch.course, result.assignment)
    return result


def _in_a_process(batch: Batch, place: Path, name: str) -> dict[str, Any]:
    """What `_grade_this` gives, in a process that is in `running` meanwhile. Raises Unreadable where nothing comes."""
    task = {
        "course": str(batch.course.root.resolve()),
        "prepared": str(batch.prepared.resolve()),
        "assignment": name,
        "release": str(batch.releases[name].resolve()),
        "place": str(place),
    }
    (place / "task.json").write_text(json.dumps(task))
    threads = str(max(1, (os.cpu_count() or 1) // batch.jobs))
    process = subprocess.Popen(
        [sys.executable, "-m", "ncsn_edu.grading.one", str(place / "task.json")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a Ctrl-C for us is not one for a learner's code
        env=child_environment() | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
    )
    batch.running.add(process)
    errors = ""
    try:
        _, errors = process.communicate(timeout=batch.seconds)
        done: dict[str, Any] = json.loads((place / "result.json").read_text())
        return done
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"grading took more than {batch.seconds:.0f} seconds and was stopped") from error
    except (FileNotFoundError, ValueError) as error:
        last = errors.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
        raise Unreadable(our_fault("grading it", last[0])) from error
    finally:
        batch.running.discard(process)
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    """Let it clean up, and then make sure that it is gone."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


def _keep(place: Path, result: Result, submission: Submission, places: Places) -> None:
    """Put what the process has made where it belongs; what cannot be written is a remark."""
    page, graded = place / "feedback.html", place / "graded.ipynb"
    try:
        if graded.exists():
            write_whole(places.kept(result.file), graded.read_bytes())
        if page.exists():
            put_feedback(page.read_bytes(), result, places.feedback(submission), places)
    except OSError as error:
        result.remarks.append(f"feedback could not be written: {why(error)}")


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


# ---- in the process ---------------------------------------------------------------------------------------------


def _grade_this(task: Mapping[str, str]) -> dict[str, Any]:
    """Points and remarks, or a reason why there are none, as `Result` takes them; files that are kept lie in place."""
    name, place = task["assignment"], Path(task["place"])
    try:
        return {"assignment": name, **_graded(Course(Path(task["course"])), name, task, place)}
    except (Unreadable, CourseError) as error:
        return {"assignment": name, "reason": str(error)}
    except Exception as error:
        return {"assignment": name, "reason": our_fault("grading it", error)}


def _graded(course: Course, name: str, task: Mapping[str, str], place: Path) -> dict[str, Any]:
    theirs, said = parse(contents(place / "handed.ipynb"))
    repaired = repair(theirs, nbformat.read(task["release"], as_version=4))
    remark(repaired.notebook, [*said, *repaired.remarks])  # shown in the feedback; running may add some
    own = place / "c"
    for part in ("gradebook.db", f"source/{name}"):
        (own / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (Path(task["prepared"]) / part).is_dir() else shutil.copy
        copy(Path(task["prepared"]) / part, own / part)
    if (place / "beside").exists():
        shutil.copytree(place / "beside", own / "submitted" / "one" / name)
    grade, graded = grade_one(course, own, name, "one", repaired.notebook)
    (own / "feedback" / "one" / name / f"{name}.html").rename(place / "feedback.html")
    nbformat.write(without_secrets(graded), place / "graded.ipynb")
    return {**asdict(grade), "remarks": remarks_on(graded)}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that folders are deleted
    given = json.loads(Path(sys.argv[1]).read_text())
    (Path(given["place"]) / "result.json").write_text(json.dumps(_grade_this(given)))
