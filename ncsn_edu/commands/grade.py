"""grade: a folder of handed-in notebooks, graded by nbgrader. This file does NOT grade: grading/ does."""

import argparse
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .common import Commands, Failed, WrongUsage, count, new_command, notebooks_folder, whole_number, with_bar

if TYPE_CHECKING:
    from ..grading.grade import Result

ABOUT = """FOLDER holds what was handed in, as STUDENT/ASSIGNMENT/file.ipynb (so nbgrader collects), STUDENT/file.ipynb
or STUDENT.ipynb; which assignment a notebook answers is read from the notebook. Each runs in a process and a folder of
its own, within limits of time, memory and disk (nbgrader_config.py of the course sets them), without the internet and,
on Linux, without sight of the course. The table is written to FOLDER/grades.csv after each of them, and feedback to
NAME.feedback.html beside each. What could not be graded has no points and a reason: nothing is zero in silence.
Run again, it grades what is new or has changed. With --record the points and notebooks go into the course itself too,
where the formgrader shows them and a person reads the written answers."""


def add(commands: Commands) -> None:
    """The parser of grade."""
    parser = new_command(commands, "grade", grade, "grade a folder of handed-in assignments")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, ABOUT
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what was handed in")
    parser.add_argument("--course", type=Path, metavar="DIR", help="nbgrader's course (default: notebooks/assignments)")
    parser.add_argument("--jobs", type=whole_number(1, 64), metavar="N", help="at a time (default: one for two cores)")
    parser.add_argument("--again", action="store_true", help="also what was graded before and has not changed")
    parser.add_argument("--record", action="store_true", help="enter the points into the course's gradebook")


def grade(arguments: argparse.Namespace) -> int:
    """Print a line for each submission and a table's file; 1 if there is one that could not be graded."""
    if importlib.util.find_spec("nbgrader") is None:
        raise Failed("grading needs nbgrader: pip install 'ncsn_edu[teach]'")
    from ..grading.course import Course, CourseError
    from ..grading.grade import TABLE, grade_folder, mark_older, read_results, record, write_results
    from ..grading.submissions import find

    folder: Path = arguments.folder
    if not folder.is_dir():
        raise WrongUsage(f"{folder} is not a folder: give the one that holds what was handed in")
    if not os.access(folder, os.W_OK):
        raise Failed(f"{folder} cannot be written to, and the table and the feedback go there: copy it")
    try:
        course = Course((arguments.course or notebooks_folder() / "assignments").resolve())
        jobs = arguments.jobs or max(1, (os.cpu_count() or 1) // 2)
        done: list[Result] = []
        with tempfile.TemporaryDirectory(prefix="ncsn-grades-", ignore_cleanup_errors=True) as work:
            known = {} if arguments.again else read_results(folder)
            results = grade_folder(course, folder, Path(work), jobs=jobs, known=known)
            for result in with_bar(results, len(find(folder, course.names())), "notebooks"):
                done.append(result)
                print(_line(result), flush=True)
                write_results(folder, done, known)
        for result in (older := mark_older(folder, done)):
            print(f"{result.student}: {result.file}: {result.remarks[-1]}")
        write_results(folder, done)
        if arguments.record:
            for result in done:
                if result.points and result not in older:
                    record(course, folder, result)
    except CourseError as error:
        raise Failed(str(error)) from error
    failed = [result for result in done if result.reason]
    print(f"\n{count(done, 'submission')}, of which {len(failed)} could not be graded. Table: {folder / TABLE}")
    return int(bool(failed))


def _line(result: "Result") -> str:
    who = f"{result.student}: {result.assignment or result.file}"
    if result.reason:
        return f"{who}: NOT GRADED: {result.reason}"
    wait = f", {count(result.to_read, 'answer')} to read" if result.to_read else ""
    line = f"{who}: {result.total:g} of {sum(result.most.values()):g} points{wait}"
    return "\n".join([line, *(f"    {remark}" for remark in result.remarks)])
