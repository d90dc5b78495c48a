"""grade: a folder of handed-in notebooks, graded by nbgrader. This file does NOT grade: grading/ does."""

import argparse
import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import why
from .common import Commands, Failed, WrongUsage, count, new_command, notebooks_folder, whole_number, with_bar

if TYPE_CHECKING:
    from ..grading.course import Course
    from ..grading.results import Places, Result
    from ..grading.submissions import Submission
    from ..grading.zips import Member

ABOUT = """FOLDER holds what was handed in, as STUDENT/ASSIGNMENT/file.ipynb (so nbgrader collects), STUDENT/file.ipynb,
STUDENT.ipynb, ASSIGNMENT/STUDENT/file.ipynb or ASSIGNMENT/STUDENT.ipynb, or it is the zip file that Moodle or Canvas
gives, which is unpacked beside it. Which assignment a notebook answers is read from the notebook. Each runs in a
process and a folder of its own, within limits of time, memory and disk (nbgrader_config.py of the course sets them).

The table is written to FOLDER/grades.csv after each of them, with a line for each file that was found: its points, why
it could not be graded, or why it is ignored. Feedback goes to NAME.feedback.html beside each notebook. Run again, the
command grades what is new or has changed. With --record the points and notebooks go into the course itself too, where
the formgrader shows them and a person reads the written answers; the points given there come back into the table and
the feedback with the next --record.

exit codes: 0 all was graded (ignored files do not count), 1 something was not, or nothing could be done at all,
2 wrong usage, 130 stopped by Ctrl-C"""


def add(commands: Commands) -> None:
    """The parser of grade."""
    parser = new_command(commands, "grade", run, "grade a folder of handed-in assignments")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, ABOUT
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what was handed in: a folder, or a zip file")
    parser.add_argument("--course", type=Path, metavar="DIR", help="nbgrader's course (default: notebooks/assignments)")
    parser.add_argument("--jobs", type=whole_number(1, 64), metavar="N", help="at a time (default: one for two cores)")
    parser.add_argument("--again", action="store_true", help="also what was graded before and has not changed")
    parser.add_argument("--record", action="store_true", help="enter the points into the course's gradebook")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where table and feedback go (default: into FOLDER)")
    parser.add_argument("--feedback-zip", type=Path, metavar="FILE", help="all feedback, to upload to Moodle or Canvas")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each submission and a table's file; 1 if there is one that could not be graded."""
    if importlib.util.find_spec("nbgrader") is None:
        raise Failed("grading needs nbgrader: pip install 'ncsn_edu[teach]'")
    _have_home()
    from ..grading.course import Course
    from ..grading.folders import TABLE, find
    from ..grading.grade import grade_folder
    from ..grading.results import Places, Table, keep_other_table, pack_feedback, read_results, write_results
    from ..grading.sandbox import protection

    folder, lost = _folder(arguments)
    out = _out(folder, arguments.to)
    with _in_words(out / TABLE), tempfile.TemporaryDirectory(prefix="ncsn-grades-", ignore_cleanup_errors=True) as work:
        course = Course((arguments.course or notebooks_folder() / "assignments").resolve())
        _end_as_by_ctrl_c()
        print(protection())
        found = find(folder, course.names(), Path(work) / "unpacked", lost, out)
        _print_lines(found.notes)
        if kept := keep_other_table(out):
            print(f"{out / TABLE} is not as this command left it: it is kept as {kept.name}")
        known = {} if arguments.again else read_results(out)
        jobs = arguments.jobs or max(1, (os.cpu_count() or 1) // 2)
        results = grade_folder(course, folder, Path(work), jobs=jobs, known=known, found=found, out=out)
        places = Places(folder, out)
        with Table(places, known) as table:
            for result in with_bar(results, len(found.submissions), "notebooks"):
                table.add(result)
                print(_line(result), flush=True)
        done = table.results
        trouble = _recorded(course, places, done, found.submissions) if arguments.record else []
        write_results(places, done)
        _print_lines(trouble)
        if arguments.feedback_zip is not None:
            pages = pack_feedback(arguments.feedback_zip, places, done)
            print(f"{pages} pages of feedback: {arguments.feedback_zip}")
    return _sum_up(done, trouble, out / TABLE)


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        print(line)


@contextlib.contextmanager
def _in_words(table: Path) -> Iterator[None]:
    """What a teacher or the system may stand in the way with becomes Failed."""
    from ..grading.course import CourseError
    from ..grading.folders import shown

    try:
        yield
    except CourseError as error:
        raise Failed(str(error)) from error
    except OSError as error:
        place = f"{shown(str(error.filename))}: " if error.filename else ""
        hint = ": set TMPDIR to a folder that can be written to" if "temporary directory" in str(error) else ""
        so_far = f"; what was graded before is in {table}" if table.exists() else ""
        raise Failed(f"{place}{why(error)}{hint}{so_far}") from error


def _end_as_by_ctrl_c() -> None:
    """Also when the terminal is closed or the process is told to end: what was started ends, too."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def _recorded(course: "Course", places: "Places", done: "list[Result]", submissions: "list[Submission]") -> list[str]:
    """Enter the points into the course's gradebook; print what a person has given there. Returns what failed."""
    from ..grading.record import record

    before = [_line(result) for result in done]
    trouble = record(course, places, done, submissions)
    after = [_line(result) for result in done]
    if changed := [line for line, old in zip(after, before, strict=True) if line != old]:
        print("\nWith the points in the gradebook:", *changed, sep="\n")
    return trouble


def _sum_up(done: "list[Result]", trouble: list[str], table: Path) -> int:
    """Print how many there were; 1 if something could not be graded or entered."""
    graded, failed = [r for r in done if r.points], [r for r in done if r.reason]
    counted = [*graded, *failed]
    others = f" ({count(done, 'file')} in all)" if len(done) > len(counted) else ""
    nothing = "NOTHING could be graded" if not graded else f"of which {len(failed)} could not be graded"
    print(f"\n{count(counted, 'submission')}{others}, {nothing}. Table: {table}")
    return int(bool(failed or trouble or not graded))


def _have_home() -> None:
    """Jupyter cannot be imported without one: by a user in a container that only has a number."""
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = tempfile.mkdtemp(prefix="ncsn-grade-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


def _folder(arguments: argparse.Namespace) -> tuple[Path, "list[Member]"]:
    """The folder of submissions, unpacked if it was a zip, and what could not be unpacked."""
    from ..grading.submissions import Unreadable
    from ..grading.zips import is_zip, unpack_download

    given: Path = arguments.folder
    if given.is_dir():
        return given, []
    if not is_zip(given):
        raise WrongUsage(f"{given} is not a folder or a zip file: give the one that holds what was handed in")
    to = arguments.to or given.with_suffix("")
    if to == given:
        to = given.with_name(given.name + "-unpacked")
    try:
        lost = unpack_download(given, to)
    except FileExistsError as error:
        raise WrongUsage(
            f"{to} is there already: grade that folder, or give another one to unpack into with --to"
        ) from error
    except Unreadable as error:
        raise Failed(f"{given}: {error}") from error
    except OSError as error:
        raise Failed(f"{given} cannot be unpacked into {to} ({why(error)}): give another folder with --to") from error
    print(f"{given} was unpacked into {to}")
    arguments.to = None
    return to, lost


def _out(folder: Path, asked: Path | None) -> Path:
    """The folder for table and feedback: the one asked for, that of the submissions, or one here if need be."""
    if asked is not None:
        out = asked
    elif os.access(folder, os.W_OK | os.X_OK):
        return folder
    else:
        out = Path(f"{folder.resolve().name}-graded")
        print(f"{folder} cannot be written to: table and feedback go into {out.resolve()} (another one: --to)")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{out} cannot be made ({why(error)}): give another folder with --to") from error
    return out


def _line(result: "Result") -> str:
    """A result for the terminal, with its remarks."""
    from ..grading.folders import shown

    if result.ignored:
        return f"{shown(result.file)}: ignored: {result.ignored}"
    who = f"{shown(result.student)}: {result.assignment or shown(result.file)}"
    if result.reason:
        return f"{who}: NOT GRADED: {result.reason}"
    wait = f", {count(result.to_read, 'answer')} to read" if result.to_read else ""
    line = f"{who}: {result.total:g} of {sum(result.most.values()):g} points{wait}"
    return "\n".join([line, *(f"    {remark}" for remark in result.remarks)])
