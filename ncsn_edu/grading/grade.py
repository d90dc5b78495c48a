"""Grade a folder of submissions; one that fails is a line in the table.

`grade_folder` yields a result after each submission. This file does NOT print, and does NOT know the command line.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .course import Course, CourseError
from .execute import NO_KERNEL, Limits, NotStarted, try_kernel
from .folders import HELD_TESTS, Found, find, shown
from .one import Batch, digest, grade_apart
from .results import Places, Result, hash_of, our_fault
from .submissions import Submission, Unreadable, contents, parse, recognise

EXTRA_SECONDS = 120.0  # for reading, starting kernels and writing, on top of what the notebook itself may take


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
    _remove_what_held_tests(found.submissions)
    limits = course.config().get("Execute", {})
    seconds = float(limits.get("total_seconds", Limits.total_seconds)) + EXTRA_SECONDS
    places = Places(folder, folder if out is None else out)
    batch = Batch(course, work, course.prepare(names, work / "prepared"), places, seconds, jobs)
    read = {name: nbformat.read(path, as_version=4) for name, path in batch.releases.items()}
    results, todo = _chosen(found.submissions, read, course)
    yield from results
    grading = []
    for submission, result in todo:
        before = (known or {}).get(result.file)
        if before is not None and _still_holds(before, result, places):
            before.student, before.content = result.student, result.content
            yield before
        else:
            grading.append((submission, result.assignment))
    yield from _all_graded(batch, grading)


def _still_holds(before: Result, now: Result, places: Places) -> bool:
    """Is nothing changed since an earlier run, and what that has made still there?"""
    fresh = bool(before.points) and before.digest == now.digest
    return fresh and places.kept(now.file).is_file() and (places.out / before.feedback).is_file()


def _all_graded(batch: Batch, todo: list[tuple[Submission, str]]) -> Iterator[Result]:
    """Grade each submission for its assignment, so many at a time; yields each result as it comes."""
    with ThreadPoolExecutor(batch.jobs) as pool:
        waiting = [pool.submit(grade_apart, batch, submission, name) for submission, name in todo]
        try:
            for done in as_completed(waiting):
                result = done.result()
                if NO_KERNEL in result.reason:
                    _try_a_kernel()
                yield result
        finally:  # also when nobody wants the rest
            for future in waiting:
                future.cancel()
            for process in list(batch.running):
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
        result = _read(submission, releases, course)
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
            _set_aside(older, line)
            results.append(older)
        newer = [shown(one.file) for one in unread[line.student] if one.order > newest.order]
        said = tuple(f"{file} is newer, but cannot be graded" for file in newer)
        todo.append((replace(newest, remarks=(*newest.remarks, *said)), line))
    return results, todo


def _read(submission: Submission, releases: Mapping[str, NotebookNode], course: Course) -> Result:
    """A result that says which assignment a file answers, or why it cannot be graded, or is ignored."""
    result = Result(submission.student, submission.file, submission.assignment or "", ignored=submission.ignored)
    result.reason, result.remarks = submission.reason, list(submission.remarks)
    if not (result.ignored or result.reason):
        try:
            data = contents(submission.path)
            result.assignment = recognise(parse(data)[0], submission, releases)
            result.content, result.digest = hash_of(data), digest(data, course, result.assignment)
        except Unreadable as error:
            result.reason = str(error)
        except Exception as error:  # one file must not end the run for all
            result.reason = our_fault("reading it", error)
    return result


def _set_aside(older: Result, newer: Result) -> None:
    """Say why of two files by one student this one is not graded: or perhaps they are two students'."""
    if _of_another(older.file, newer.file):
        around = shown(newer.file.partition("/")[0])
        older.reason = (
            f"this is older than {shown(newer.file)}, and both lie in {around}/, which is taken for one "
            "student's folder: if they are two students', grade that folder by itself"
        )
    else:
        older.ignored = f"an older copy of {shown(newer.file)}"


def _of_another(older: str, newer: str) -> bool:
    """May two files be two students', as their folders have two names, not numbers: TUTORIAL/ANNA, TUTORIAL/BOB?"""
    (*above, one, _), (*others, other, _) = (["", *file.split("/")] for file in (older, newer))
    same = re.sub(r"[\d\W_]+", "", one).casefold() == re.sub(r"[\d\W_]+", "", other).casefold()  # version 1, version 2
    return len(above) > 1 and above == others and not same
