"""A course of assignments in nbgrader's layout: make the release of one, grade one submission, add up.

All the work on notebooks and grades is nbgrader's; here it is given folders of its own, so that one submission
cannot disturb another, nor the course. This file does NOT find submissions (submissions.py does), or run cells.
"""

import contextlib
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme
from nbgrader.utils import is_locked
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

DATABASE = "gradebook.db"
LOG = logging.getLogger("ncsn_edu.grading")


class CourseError(Exception):
    """Something that a teacher has to fix; the message says what and how."""


@dataclass(frozen=True)
class Course:
    """The folder that holds nbgrader_config.py and source/NAME/NAME.ipynb."""

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / "source").is_dir():
            raise CourseError(
                f"{self.root} has no folder source/ with the assignments: give the course's folder, as --course"
            )

    def names(self) -> list[str]:
        """The assignments, in order."""
        return sorted(path.stem for path in self.root.glob("source/*/*.ipynb") if path.stem == path.parent.name)

    def notebook(self, name: str) -> NotebookNode:
        """An assignment's source, with solutions and hidden tests."""
        return nbformat.read(self.root / "source" / name / f"{name}.ipynb", as_version=4)

    def config(self, root: Path | None = None) -> Config:
        """The course's settings of nbgrader, for the folder root in its place."""
        config = Config()
        if (self.root / "nbgrader_config.py").exists():
            config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        place = (root or self.root).resolve()
        config.CourseDirectory.root = str(place)
        config.CourseDirectory.db_url = f"sqlite:///{place / DATABASE}"
        return config

    def prepare(self, names: list[str], place: Path) -> dict[str, Path]:
        """Make the releases of some assignments below place, and a gradebook that knows them; returns the releases."""
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            if place.resolve() != self.root.resolve():
                shutil.copytree(self.root / "source" / name, place / "source" / name, dirs_exist_ok=True)
            _start(GenerateAssignment, self.config(place), name)
        return {name: place / "release" / name / f"{name}.ipynb" for name in names}


@dataclass
class Grade:
    """What nbgrader has of one submission: points of each cell, None where a person has to read."""

    points: dict[str, float | None]
    most: dict[str, float]

    @property
    def automatic(self) -> float:
        """The points that tests gave."""
        return sum(points for points in self.points.values() if points is not None)


def grade_one(
    course: Course, place: Path, name: str, student: str, notebook: NotebookNode
) -> tuple[Grade, NotebookNode]:
    """Grade one notebook in a prepared folder: autograded/ and feedback/ are made there.

    place is such as `Course.prepare` fills. Returns points, and the graded notebook. Raises CourseError with what
    nbgrader has to say where it fails.
    """
    submitted = place / "submitted" / student / name
    submitted.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, submitted / f"{name}.ipynb")
    config = course.config(place)
    _start(Autograde, config, name, student)
    _start(GenerateFeedback, config, name, student)
    graded = nbformat.read(place / "autograded" / student / name / f"{name}.ipynb", as_version=4)
    return read_grade(place, name, student), graded


def make_feedback(course: Course, name: str, student: str) -> Path:
    """nbgrader's feedback on what the course's own gradebook and autograded/ have; returns the page."""
    _start(GenerateFeedback, course.config(), name, student)
    return course.root / "feedback" / student / name / f"{name}.html"


def without_secrets(notebook: NotebookNode) -> NotebookNode:
    """A copy without hidden tests and rubrics, as the settings of nbgrader's preprocessors mark them."""
    notebook = nbformat.from_dict(notebook)
    for make in (ClearHiddenTests, ClearMarkScheme):
        notebook, _ = make(enforce_metadata=False).preprocess(notebook, {})
    return notebook


def with_secrets(notebook: NotebookNode, source: NotebookNode) -> NotebookNode:
    """A copy in which locked cells read as in the source again, with hidden tests and rubrics."""
    notebook = nbformat.from_dict(notebook)
    full = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells if is_locked(cell)}
    for cell in notebook.cells:
        if is_locked(cell):
            cell.source = full.get(cell.metadata.nbgrader.grade_id, cell.source)
    return notebook


def read_grade(place: Path, name: str, student: str) -> Grade:
    """A submission's points in the gradebook of a folder."""
    with _gradebook(place) as book:
        (notebook,) = book.find_submission(name, student).notebooks
        points = {grade.name: None if grade.needs_manual_grade else grade.auto_score for grade in notebook.grades}
        return Grade(points, {grade.name: grade.max_score for grade in notebook.grades})


def enter(
    place: Path, name: str, student: str, points: dict[str, float | None], changed: Collection[str] = ()
) -> dict[str, float | None]:
    """Put points into the gradebook of a folder; what a person has given stays. Returns what a person has given.

    An answer that was read is read again only if it is among the `changed`; until then its points are None.
    """
    with _gradebook(place) as book:
        book.update_or_create_student(student)
        book.update_or_create_submission(name, student)
        grades = {cell: book.find_grade(cell, name, name, student) for cell in points}
        touched = {cell for cell, grade in grades.items() if grade.manual_score is not None}
        for cell, grade in grades.items():
            grade.auto_score = value = points[cell]
            waits = grade.needs_manual_grade or cell in changed
            grade.needs_manual_grade = waits if cell in touched else value is None
        book.db.commit()
        return {
            cell: None if grade.needs_manual_grade else grade.score
            for cell, grade in grades.items()
            if cell in touched or grade.extra_credit
        }


def has_comments(place: Path, name: str, student: str) -> bool:
    """Has a person written comments on the submission?"""
    with _gradebook(place) as book:
        (notebook,) = book.find_submission(name, student).notebooks
        return any(comment.manual_comment for comment in notebook.comments)


def is_known(place: Path, name: str) -> bool:
    """Does the folder's gradebook know the assignment?"""
    if not (place / DATABASE).exists():
        return False
    with _gradebook(place) as book:
        try:
            book.find_assignment(name)
        except MissingEntry:
            return False
        return True


@contextlib.contextmanager
def _gradebook(place: Path) -> Iterator[Gradebook]:
    """A folder's gradebook, without the warnings that nbgrader's own queries cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        with Gradebook(f"sqlite:///{(place / DATABASE).resolve()}") as book:
            yield book


def _start(converter: type[Any], config: Config, name: str, student: str = "*") -> None:
    """Run one of nbgrader's converters. Raises CourseError with its last words where it fails."""
    config = Config(config)
    config.CourseDirectory.assignment_id, config.CourseDirectory.student_id = name, student
    said = _Said()
    LOG.addHandler(said)
    LOG.propagate = False
    try:
        with _programs_on_path():
            made = converter(coursedir=CourseDirectory(config=config, log=LOG), config=config, log=LOG)
            made.force = True
            made.start()
    except (Exception, SystemExit) as error:
        raise CourseError(_in_words(said.cause or error, said.last)) from error
    finally:
        LOG.removeHandler(said)


def _in_words(error: BaseException, last: str) -> str:
    """What is wrong: in its own words, if the error is of this package."""
    if type(error).__module__.partition(".")[0] == "ncsn_edu" and str(error):
        return str(error)
    said = last if isinstance(error, SystemExit) or not str(error) else f"{type(error).__name__}: {error}"
    return f"nbgrader: {said or type(error).__name__}"


class _Said(logging.Handler):
    """Remembers the last error, and the first exception that was being handled when one was logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""
        self.cause: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage().strip()
        self.cause = self.cause or sys.exc_info()[1]


@contextlib.contextmanager
def _programs_on_path() -> Iterator[None]:
    """nbgrader starts alembic, which lies beside this Python."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
