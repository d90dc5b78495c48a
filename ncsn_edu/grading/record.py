"""Enter graded submissions into the course's own gradebook, where the formgrader shows them and a person reads answers.

What a person gives there comes back into the results and the feedback. This file does NOT grade.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sqlalchemy.exc import SQLAlchemyError

from ..errors import first_line
from ..files import write_whole
from .course import Course, CourseError, enter, has_comments, is_known, make_feedback, with_secrets
from .folders import shown
from .results import Places, Result, hash_of, put_feedback
from .submissions import Submission, Unreadable, contents, grade_id
from .zips import shortened


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
                failed.append(f"{shown(result.file)} could not be entered into the gradebook: {first_line(error)}")
    return failed


def gradebook_names(students: Iterable[str]) -> dict[str, str]:
    """The name of each student in the gradebook: letters, digits and _.@- alone, and never one name for two."""
    plain = {student: re.sub(r"[^\w.@-]+", "_", shown(student)).strip(".") or "_" for student in sorted(students)}
    count = Counter(plain.values())
    return {
        student: shortened(name if count[name] == 1 else f"{name}-{hash_of(os.fsencode(student))[:6]}", 120)
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
        put_feedback(page, result, places.feedback(submission), places)


def _changed(before: Path, graded: NotebookNode, points: Iterable[str]) -> set[str]:
    """The graded cells whose answers are not those that were recorded before."""
    if not before.exists():
        return set()
    old = {grade_id(cell): cell.source for cell in nbformat.read(before, as_version=4).cells}
    new = {grade_id(cell): cell.source for cell in graded.cells}
    answers = {cell: cell.replace("tests", "answer") for cell in points}  # a test cell stands for its answer
    return {cell for cell, answer in answers.items() if old.get(answer) != new.get(answer)}
