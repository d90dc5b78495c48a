"""Grading: folders, zip files and notebooks as the world writes them, and the feedback that goes back.

Files that cannot be graded cost no kernel; those that can are of an assignment with one task and no PyTorch.
"""

import base64
import contextlib
import csv
import html.parser
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/assignments")]
import assignments as tool  # noqa: E402
import handed_in  # noqa: E402
from nbgrader.api import Gradebook  # noqa: E402

from ncsn_edu.__main__ import main  # noqa: E402
from ncsn_edu.files import write_whole  # noqa: E402
from ncsn_edu.grading import feedback, folders, grade, zips  # noqa: E402
from ncsn_edu.grading.course import Course, with_secrets, without_secrets  # noqa: E402
from ncsn_edu.grading.execute import Confined, Limits, run_cells  # noqa: E402
from ncsn_edu.grading.folders import Found, find, shown  # noqa: E402
from ncsn_edu.grading.record import gradebook_names, record  # noqa: E402
from ncsn_edu.grading.results import (  # noqa: E402
    Places,
    Result,
    keep_other_table,
    pack_feedback,
    put_feedback,
    read_results,
    write_results,
)
from ncsn_edu.grading.submissions import Submission, Unreadable, contents, parse, recognise, repair  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="grading needs Linux or macOS")

ONE = """
# %% [markdown]
# # One task
#
# ## Twice a number, $2 x$

# %% role="answer 1"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% role="tests 1 2"
assert double(1) == 2
### BEGIN HIDDEN TESTS
assert double(3) == 6
### END HIDDEN TESTS

# %% [markdown] role="question 2"
# ## In words
#
# ### BEGIN MARK SCHEME
# The secret of the rubric.
# ### END MARK SCHEME

# %% [markdown] role="written 2 4"
# YOUR ANSWER HERE
"""
PIXEL = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\4\x85\1"
    b"\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82"
).decode()


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A course with two assignments of one task."""
    root = tmp_path_factory.mktemp("course")
    for name in ("one", "b2_other"):
        (root / "source" / name).mkdir(parents=True)
        source = tool.parse(name, ONE)
        for cell in source.cells:  # tests as any nbgrader course may have them
            cell.source = re.sub(r"\A%%tests .*\n", "", cell.source)
        (root / "source" / name / f"{name}.ipynb").write_text(nbformat.writes(source))
    config = (ROOT / "notebooks/assignments/nbgrader_config.py").read_text()
    (root / "nbgrader_config.py").write_text(config + "\nc.Execute.cell_seconds = 20.0\n")
    return Course(root)


@pytest.fixture(scope="module")
def release(course, tmp_path_factory) -> nbformat.NotebookNode:
    return nbformat.read(course.prepare(["one"], tmp_path_factory.mktemp("made"))["one"], as_version=4)


@pytest.fixture
def solved(release, course) -> nbformat.NotebookNode:
    return handed_in.solved(release, course.notebook("one"))


NAMES = ["one", "b2_other"]


def put(folder: Path, *names: str, text: str = "x") -> Path:
    """Files with these names; a name that ends in / is an empty folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def states(found: Found) -> dict[str, tuple[str, str]]:
    """Of each file the student, and what is to become of it: grade, or the first words of why not."""
    return {s.file: (s.student, s.ignored or s.reason or "grade") for s in found.submissions}


def to_grade(found: Found) -> dict[str, tuple[str, str | None]]:
    return {s.file: (s.student, s.assignment) for s in found.submissions if not (s.ignored or s.reason)}


# ---- layouts ---------------------------------------------------------------------------------------------------

LAYOUTS = {
    "as nbgrader collects": (
        ("anna/one/one.ipynb", "anna/b2_other/x.ipynb", "bob/one/one.ipynb"),
        {
            "anna/one/one.ipynb": ("anna", "one"),
            "anna/b2_other/x.ipynb": ("anna", "b2_other"),
            "bob/one/one.ipynb": ("bob", "one"),
        },
    ),
    "a folder for each student": (
        ("anna/x.ipynb", "bob/deep/er/y.ipynb"),
        {"anna/x.ipynb": ("anna", None), "bob/deep/er/y.ipynb": ("bob", None)},
    ),
    "files": (
        ("one_anna.ipynb", "Bob Ng - b2_other.ipynb", "carl.ipynb"),
        {
            "one_anna.ipynb": ("anna", None),
            "Bob Ng - b2_other.ipynb": ("Bob Ng", None),
            "carl.ipynb": ("carl", None),
        },
    ),
    "names that hold an assignment's name as no word of its own": (
        ("simone.ipynb", "jones/hw.ipynb", "one-jones.ipynb"),
        {"simone.ipynb": ("simone", None), "jones/hw.ipynb": ("jones", None), "one-jones.ipynb": ("jones", None)},
    ),
    "by assignment": (
        ("one/anna/hw.ipynb", "one/bob/hw.ipynb", "b2_other/bob.ipynb", "b2_other/carl.ipynb"),
        {
            "one/anna/hw.ipynb": ("anna", "one"),
            "one/bob/hw.ipynb": ("bob", "one"),
            "b2_other/bob.ipynb": ("bob", "b2_other"),
            "b2_other/carl.ipynb": ("carl", "b2_other"),
        },
    ),
    "by assignment, called by its first word": (
        ("B2/bob.ipynb", "B2/carl.ipynb", "One/carl.ipynb"),
        {
            "B2/bob.ipynb": ("bob", "b2_other"),
            "B2/carl.ipynb": ("carl", "b2_other"),
            "One/carl.ipynb": ("carl", "one"),
        },
    ),
    "the course's own folder": (
        ("submitted/anna/one/one.ipynb", "submitted/bob/one/one.ipynb", "source/one/one.ipynb", "gradebook.db"),
        {"submitted/anna/one/one.ipynb": ("anna", "one"), "submitted/bob/one/one.ipynb": ("bob", "one")},
    ),
    "folders around": (
        ("download/week 3/anna/x.ipynb", "download/week 3/bob.ipynb"),
        {"download/week 3/anna/x.ipynb": ("anna", None), "download/week 3/bob.ipynb": ("bob", None)},
    ),
    "one student with a folder for each assignment": (
        ("anna/one/x.ipynb", "anna/b2_other/x.ipynb"),
        {"anna/one/x.ipynb": ("anna", "one"), "anna/b2_other/x.ipynb": ("anna", "b2_other")},
    ),
    "Moodle, folders": (
        (
            "Anna van der Berg_1234_assignsubmission_file_/my one.ipynb",
            "Jörg Ärm_77_assignsubmission_file/sub/x.ipynb",
            "Team 4_assignsubmission_file_/t.ipynb",
        ),
        {
            "Anna van der Berg_1234_assignsubmission_file_/my one.ipynb": ("Anna van der Berg", None),
            "Jörg Ärm_77_assignsubmission_file/sub/x.ipynb": ("Jörg Ärm", None),
            "Team 4_assignsubmission_file_/t.ipynb": ("Team 4", None),
        },
    ),
    "Moodle, files": (
        ("Anna B_12_assignsubmission_file_one.ipynb", "Carl D_13_assignsubmission_file_x_1.ipynb"),
        {
            "Anna B_12_assignsubmission_file_one.ipynb": ("Anna B", None),
            "Carl D_13_assignsubmission_file_x_1.ipynb": ("Carl D", None),
        },
    ),
    "Moodle, two of one name": (
        ("An Li_5_assignsubmission_file_/x.ipynb", "An Li_6_assignsubmission_file_/x.ipynb"),
        {
            "An Li_5_assignsubmission_file_/x.ipynb": ("An Li (5)", None),
            "An Li_6_assignsubmission_file_/x.ipynb": ("An Li (6)", None),
        },
    ),
    "Canvas": (
        ("bergannavander_991_4711_one.ipynb", "ngbob_LATE_992_4712_one-3.ipynb", "anon_Ab3xZ_4713_x.ipynb"),
        {
            "bergannavander_991_4711_one.ipynb": ("bergannavander", None),
            "ngbob_LATE_992_4712_one-3.ipynb": ("ngbob", None),
            "anon_Ab3xZ_4713_x.ipynb": ("anon_Ab3xZ", None),
        },
    ),
    "another try": (
        ("anna.ipynb", "anna-1.ipynb", "anna (2).ipynb", "team-1.ipynb", "team-2.ipynb"),
        {
            "anna.ipynb": ("anna", None),
            "anna-1.ipynb": ("anna", None),
            "anna (2).ipynb": ("anna", None),
            "team-1.ipynb": ("team-1", None),
            "team-2.ipynb": ("team-2", None),
        },
    ),
    "a folder called like a notebook": (
        ("anna.ipynb/hw.ipynb", "bob/hw.ipynb/inner.ipynb"),
        {"anna.ipynb/hw.ipynb": ("anna", None), "bob/hw.ipynb/inner.ipynb": ("bob", None)},
    ),
    "mail programs": (
        ("anna/hw.ipynb.txt", "bob/HW.IPYNB", "carl/notebook.json"),
        {
            "anna/hw.ipynb.txt": ("anna", None),
            "bob/HW.IPYNB": ("bob", None),
            "carl/notebook.json": ("carl", None),
        },
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whose_each_file_is_in_every_layout(layout, tmp_path):
    names, expected = LAYOUTS[layout]
    assert to_grade(find(put(tmp_path, *names), NAMES)) == expected


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("handed/anna.ipynb", "handed/bob.ipynb"), "handed/ is taken for the folder of all"),
        (("one/anna.ipynb", "one/bob.ipynb"), "one/ is taken for a folder of the assignment one"),
        (("w1/a.ipynb", "w1/b.ipynb", "w1/c.ipynb", "d.ipynb"), "w1/ holds 3 notebooks and is taken for one student's"),
        (("x_1_assignsubmission_file_/a.ipynb",), "as Moodle gives them"),
        (("smith_1_2_a.ipynb",), "as Canvas gives them"),
    ],
)
def test_what_could_be_read_in_two_ways_is_said(names, words, tmp_path):
    assert words in " ".join(find(put(tmp_path, *names), NAMES).notes)


def test_every_file_has_a_line_and_what_is_no_submission_says_why(tmp_path):
    put(
        tmp_path,
        "anna/hw.ipynb",
        "anna/data.csv",
        "anna/figures/a.png",
        "anna/.ipynb_checkpoints/hw-checkpoint.ipynb",
        "anna/.git/config",
        "bob/.ipynb_checkpoints/hw-checkpoint.ipynb",
        "carl/",
        "dora/letter.docx",
        "roster.csv",
        ".hidden",
        "Eve_9_assignsubmission_file_/hw.ipynb",
        "Eve_9_assignsubmission_onlinetext_/onlinetext.html",
        "Finn_8_assignsubmission_onlinetext_/onlinetext.html",
        *(f"anna/photos/{i}.jpg" for i in range(30)),
    )
    put(
        tmp_path, "grades.csv", "grades-1.csv", ".grades.json", "anna/hw.feedback.html", ".DS_Store", "anna/._hw.ipynb"
    )  # no lines
    assert states(find(tmp_path, NAMES)) == {
        "anna/hw.ipynb": ("anna", "grade"),
        "anna/data.csv": ("anna", "no notebook: it came with hw.ipynb"),
        "anna/figures/a.png": ("anna", "no notebook: it came with hw.ipynb"),
        "anna/photos": ("anna", "a folder of 30 files that are no notebooks"),
        "anna/.ipynb_checkpoints/hw-checkpoint.ipynb": ("anna", "Jupyter's own copy of an earlier state"),
        "anna/.git": ("anna", "a hidden folder"),
        "bob/.ipynb_checkpoints/hw-checkpoint.ipynb": (
            "bob",
            "there is nothing to grade: Jupyter's own copy of an earlier state",
        ),
        "carl": ("carl", "there is nothing in the folder"),
        "dora/letter.docx": ("dora", "grade"),  # reading it says what it is
        "roster.csv": ("", "a table or a log, no submission"),
        ".hidden": ("", "a hidden file"),
        "Eve_9_assignsubmission_file_/hw.ipynb": ("Eve", "grade"),
        "Eve_9_assignsubmission_onlinetext_/onlinetext.html": (
            "Eve",
            "typed into the learning platform: read it there",
        ),
        "Finn_8_assignsubmission_onlinetext_/onlinetext.html": (
            "Finn",
            "no file, but a text typed into the learning platform: read it there",
        ),
    }


def test_small_files_beside_a_notebook_are_its_students_alone(tmp_path):
    put(tmp_path, "one/anna.ipynb", "one/bob/hw.ipynb", "one/bob/data.txt", "one/bob/more/hw.ipynb")
    beside = {s.file: [path.name for path in s.beside] for s in find(tmp_path, NAMES).submissions}
    assert beside["one/bob/hw.ipynb"] == ["data.txt"]
    assert beside["one/anna.ipynb"] == beside["one/bob/more/hw.ipynb"] == []


# ---- files that are none ---------------------------------------------------------------------------------------


def reason(found: Found, file: str) -> str:
    (submission,) = [s for s in found.submissions if s.file == file]
    return submission.reason or submission.ignored


def test_links_pipes_and_sockets_are_lines_and_stop_nothing(tmp_path, monkeypatch):
    folder = put(tmp_path / "f", "bob/hw.ipynb", "zoe.ipynb")
    put(tmp_path, "secret/solution.ipynb")
    for name, target in (
        ("anna.ipynb", "gone.ipynb"),
        ("carl.ipynb", "carl.ipynb"),
        ("dora.ipynb", "bob/hw.ipynb"),
        ("eve.ipynb", "../secret/solution.ipynb"),
        ("finn", "bob"),
        ("gus", "."),
        ("hal", "../secret"),
        ("ida.ipynb", "/dev/zero"),
    ):
        os.symlink(target, folder / name)
    os.mkfifo(folder / "jon.ipynb")
    monkeypatch.chdir(folder)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind("kim.ipynb")
        found = find(folder, NAMES)
    assert "gone.ipynb, which is not there" in reason(found, "anna.ipynb")
    assert "leads to itself" in reason(found, "carl.ipynb")
    assert "outside of the folder" in reason(found, "eve.ipynb")
    assert "the folder bob, which is graded where it is" in reason(found, "finn")
    assert "link to the folder" in reason(found, "gus") and "outside" in reason(found, "hal")
    assert "outside" in reason(found, "ida.ipynb")
    assert "named pipe" in reason(found, "jon.ipynb") and "socket" in reason(found, "kim.ipynb")
    assert set(to_grade(found)) == {"bob/hw.ipynb", "zoe.ipynb", "dora.ipynb"}
    (dora,) = [s for s in found.submissions if s.file == "dora.ipynb"]
    assert dora.remarks == ("this is a link to bob/hw.ipynb, and was graded all the same",)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_a_line():
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # where everybody may go
        os.chmod(place, 0o755)
        folder = put(Path(place), "anna/hw.ipynb", "bob/hw.ipynb", "carl.ipynb")
        os.chmod(folder / "anna", 0o000)
        os.chmod(folder / "bob/hw.ipynb", 0o000)
        with nobody():
            found = find(folder, NAMES)
            assert "permissions" in reason(found, "anna") and reason(found, "carl.ipynb") == ""
            (bob,) = [s for s in found.submissions if s.student == "bob"]
            with pytest.raises(Unreadable, match="permissions"):
                handed_in.read(bob.path)
        os.chmod(folder / "anna", 0o755)


@pytest.mark.parametrize("code", [5, 116])  # a broken disk; a network drive that has lost it
def test_a_disk_that_fails_is_a_line(code, tmp_path, monkeypatch):
    folder, real = put(tmp_path, "anna/hw.ipynb", "bob/hw.ipynb"), os.scandir
    fail = OSError(code, os.strerror(code))

    def scandir(place: Path):
        if Path(place).name == "anna":
            raise fail
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find(folder, NAMES)
    assert reason(found, "anna") and "bob/hw.ipynb" in to_grade(found)


def test_a_file_that_goes_or_grows_while_it_is_read_says_so(tmp_path, monkeypatch):
    with pytest.raises(Unreadable, match="was there and is gone"):
        handed_in.read(tmp_path / "gone.ipynb")
    monkeypatch.setattr("ncsn_edu.grading.submissions.MOST_BYTES", 10)
    with pytest.raises(Unreadable, match="a device"):
        handed_in.read(Path("/dev/zero"))
    path = put(tmp_path, "grows.ipynb", text="0123456789") / "grows.ipynb"
    assert len(contents(path)) == 10
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda place: os.stat_result([*real(place)[:6], 3, *real(place)[7:]]))
    path.write_text("0123456789ab")
    with pytest.raises(Unreadable, match="more than"):
        handed_in.read(path)


def test_names_that_are_no_utf_8_or_too_long_can_be_printed_and_written(tmp_path):
    name = os.fsdecode(b"J\xf6rg.ipynb")
    assert shown(name) == "Jörg.ipynb" and shown("a\nb\u202ec") == "a\\nb\\u202ec"
    long = "ü" * 121 + ".ipynb"  # 248 bytes
    put(tmp_path, long)
    with contextlib.suppress(OSError):  # macOS has only names in UTF-8
        put(tmp_path, name)
    found = find(tmp_path, NAMES)
    places = Places(tmp_path, tmp_path)
    pages = {places.feedback(submission) for submission in found.submissions}
    assert len(pages) == len(found.submissions)
    for page in pages:
        write_whole(page, b"x")
    results = [Result(s.student, s.file, "one", {"tests-1": 1.0}, {"tests-1": 2.0}) for s in found.submissions]
    write_results(places, results)
    assert set(rows(tmp_path)) == {shown(s.file) for s in found.submissions}
    assert read_results(tmp_path).keys() == {s.file for s in found.submissions}


def test_folders_in_folders_without_end_are_one_line(tmp_path):
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # more than any path may be long
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    put(tmp_path, "bob.ipynb")
    found = find(tmp_path, NAMES)
    assert [s.file for s in found.submissions if s.student == "bob"] == ["bob.ipynb"]
    assert any("deep" in (s.reason or s.ignored) for s in found.submissions)
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own clean-up gives up


# ---- which of several counts -----------------------------------------------------------------------------------


def chosen(folder: Path, release, course) -> tuple[dict[str, str], list[str]]:
    """Which files are left out, and why; which are to be graded."""
    results, todo = grade._chosen(find(folder, ["one"]).submissions, {"one": release}, course)
    return {r.file: r.ignored or r.reason for r in results}, sorted(s.file for s, _ in todo)


def test_of_several_files_by_a_student_the_newest_that_can_be_read_counts(tmp_path, release, course, solved):
    put(
        tmp_path,
        *("anna/old.ipynb", "anna/new.ipynb", "anna/one/between.ipynb", "bob.ipynb", "bob-1.ipynb", "carl/good.ipynb"),
        *("smith_7_100_one.ipynb", "smith_LATE_7_99_one-1.ipynb"),
        text=nbformat.writes(solved),
    )
    put(tmp_path, "carl/newer.ipynb", "anna/.ipynb_checkpoints/new-checkpoint.ipynb")
    ages = {"anna/old.ipynb": 300, "anna/one/between.ipynb": 200, "anna/new.ipynb": 100, "carl/newer.ipynb": 1}
    for path in tmp_path.rglob("*.ipynb"):  # bob's have the same time: his second try counts
        age = ages.get(str(path.relative_to(tmp_path)), 50)
        os.utime(path, (1e9 - age, 1e9 - age))
    left, todo = chosen(tmp_path, release, course)
    assert todo == ["anna/new.ipynb", "bob-1.ipynb", "carl/good.ipynb", "smith_7_100_one.ipynb"]
    assert left["anna/old.ipynb"] == left["anna/one/between.ipynb"] == "an older copy of anna/new.ipynb"
    assert left["bob.ipynb"] == "an older copy of bob-1.ipynb"
    assert left["smith_LATE_7_99_one-1.ipynb"] == "an older copy of smith_7_100_one.ipynb"  # by Canvas's number
    assert "not a notebook" in left["carl/newer.ipynb"]
    _, chosen_ones = grade._chosen(find(tmp_path, ["one"]).submissions, {"one": release}, course)
    assert {s.student: s.remarks for s, _ in chosen_ones if s.student != "smith"} == {
        "anna": (),
        "bob": (),
        "carl": ("carl/newer.ipynb is newer, but cannot be graded",),
    }
    assert "Jupyter's own" in left["anna/.ipynb_checkpoints/new-checkpoint.ipynb"]


def test_the_same_file_by_two_students_is_a_hint_in_the_table_alone(tmp_path):
    results = [
        Result(name, f"{name}.ipynb", "one", {"tests-1": 2.0}, {"tests-1": 2.0}, content=content)
        for name, content in (("anna", "x"), ("bob", "x"), ("carl", "y"), ("dora", ""), ("eve", ""))
    ]
    write_results(Places(tmp_path, tmp_path), results)
    remarks = {row["student"]: row["remarks"] for row in rows(tmp_path).values()}
    assert "byte for byte, as bob.ipynb" in remarks["anna"] and "anna.ipynb" in remarks["bob"]
    assert remarks["carl"] == remarks["dora"] == "" and all(result.remarks == [] for result in results)


def test_a_cell_of_the_table_is_no_formula(tmp_path):
    write_results(Places(tmp_path, tmp_path), [Result("=cmd()", "@x.ipynb", reason="\ud83d half")])
    text = (tmp_path / "grades.csv").read_text(encoding="utf-8")
    assert "'=cmd()" in text and "'@x.ipynb" in text and "\\ud83d half" in text


# ---- notebooks as they are written -----------------------------------------------------------------------------

ANSWER = "# Größe, 数, “quotes”\ndef double(x):\n    return 2 * x"
WINDOWS = "# Größe – “quotes” €\ndef double(x):\n    return 2 * x"


def written(solved: nbformat.NotebookNode, source: str) -> str:
    """A notebook's text, not reduced to ASCII, with this answer."""
    handed_in.cell_of(solved, "answer-1").source = source
    return json.dumps(solved, ensure_ascii=False, indent=1)


@pytest.mark.parametrize(
    ("encode", "source"),
    [
        (lambda text: text.encode("utf-8-sig"), ANSWER),
        (lambda text: text.encode("utf-16"), ANSWER),
        (lambda text: text.encode("utf-16-le"), ANSWER),
        (lambda text: b"\xfe\xff" + text.encode("utf-16-be"), ANSWER),
        (lambda text: text.encode("utf-16-be"), ANSWER),
        (lambda text: text.encode("utf-32"), ANSWER),
        (lambda text: text.encode("utf-32-be"), ANSWER),
        (lambda text: text.encode("cp1252"), WINDOWS),
        (lambda text: text.replace("\n", "\r").encode(), ANSWER),
        (lambda text: b"\r\n\r\n" + text.replace("\n", "\r\n").encode(), ANSWER),
        (lambda text: text.replace("\\n", "\\r").encode(), ANSWER),
    ],
)
def test_notebooks_in_any_encoding_and_with_any_line_ends_are_read(encode, source, solved):
    notebook, remarks = parse(encode(written(solved, source)))
    assert handed_in.cell_of(notebook, "answer-1").source == source
    assert bool(remarks) == (source is WINDOWS)
    assert not remarks or "Windows-1252" in remarks[0]


def test_one_letter_of_windows_among_those_of_utf_8_spoils_no_other(solved):
    data = written(solved, ANSWER).encode().replace("Größe".encode(), "Größe".encode() + b" \xe9t\xe9")
    source = handed_in.cell_of(parse(data)[0], "answer-1").source
    assert "Größe été, 数" in source


@pytest.mark.parametrize("escaped", [True, False])
def test_half_an_emoji_is_replaced_and_two_halves_are_one(escaped, solved, release):
    handed_in.cell_of(solved, "written-2").source = "half \ud83d and whole \ud83d\ude00"
    text = json.dumps(solved, ensure_ascii=escaped)
    repaired = repair(parse(text.encode("utf-8", "surrogatepass"))[0], release)
    source = handed_in.cell_of(repaired.notebook, "written-2").source
    assert source == "half \ufffd and whole \U0001f600"
    nbformat.writes(repaired.notebook).encode()


def edited(notebook: nbformat.NotebookNode, edit: Callable[[dict], object]) -> bytes:
    raw = json.loads(nbformat.writes(notebook))
    edit(raw)
    return json.dumps(raw).encode()  # NaN as Python writes it


def as_format_3(raw: dict) -> dict:
    return json.loads(nbformat.writes(nbformat.convert(nbformat.reads(json.dumps(raw), as_version=4), 3), version=3))


@pytest.mark.parametrize(
    "edit",
    [
        lambda raw: raw["metadata"].update(score=float("nan"), best=float("inf")),
        lambda raw: [cell.update(id="same") for cell in raw["cells"]],
        lambda raw: raw.update(nbformat_minor=0) or [cell.pop("id", None) for cell in raw["cells"]],
        lambda raw: raw.update(nbformat_minor=9),
        lambda raw: raw.update(nbformat=5, nbformat_minor=2),
        lambda raw: raw.update(metadata=None),
        lambda raw: raw["metadata"].update(kernelspec="python", language_info=[], authors="me", title=7),
        lambda raw: [cell["metadata"].update(tags="x", collapsed=3, name=1, scrolled=[]) for cell in raw["cells"]],
        lambda raw: [cell.update(outputs="none", execution_count="x", id=7) for cell in raw["cells"]],
        lambda raw: [cell.update(attachments=["x"]) for cell in raw["cells"]],
        lambda raw: raw["cells"].extend(
            [7, None, {}, {"cell_type": 3, "source": {"a": 1}}, {"metadata": {"nbgrader": 1}}]
        ),
        lambda raw: raw["cells"].append(
            {"cell_type": "code", "source": ["x = 1", None], "metadata": {"nbgrader": {"grade_id": ["a"]}}}
        ),
        lambda raw: raw.update(as_format_3(raw), cells=0),
    ],
)
def test_notebooks_of_any_format_with_any_metadata_are_read_and_repaired(edit, solved, release):
    theirs, _ = parse(edited(solved, edit))
    assert recognise(theirs, Submission("x", Path("x")), {"one": release}) == "one"
    repaired = repair(theirs, release)
    assert "2 * x" in handed_in.cell_of(repaired.notebook, "answer-1").source
    nbformat.validate(repaired.notebook)
    nbformat.writes(repaired.notebook).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n\0\0\0", "empty"),
        (b"[" * 100_000, "no notebook"),
        (b'{"cells": ' + b"9" * 5000 + b"}", "no notebook|no cells"),
        (b"\x1f\x8b\x08\0rest", "packed"),
        (b"\xff\xd8\xff\xe0JFIF", "a picture"),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x", "git"),
        (b'{"cells": [\n<<<<<<< HEAD\n{}\n=======\n>>>>>>> x\n]}', "git"),
        (bytes(range(128, 256)) * 4, "not text"),
        (b'{"cells": [{"cell_type": "code", "sou', "ends in the middle"),
        (b'{"cells": {}}', "no cells"),
        (b"null", "no cells"),
    ],
)
def test_what_is_no_notebook_says_what_it_is(data, words):
    with pytest.raises(Unreadable, match=words):
        parse(data)


@pytest.mark.parametrize(
    "code", ["(" * 5000, "-" * 5000 + "1", "x = '" + "a" * 10**6 + "'", "if 1:\n" * 500, "\0", "'\\d'"]
)
def test_code_that_no_parser_likes_stops_nothing(code, solved, release, recwarn):
    handed_in.cell_of(solved, "answer-1").source = code
    solved.metadata = {}
    theirs, _ = parse(json.dumps(solved).encode())
    assert recognise(theirs, Submission("x", Path("x")), {"one": release}) == "one"
    repair(theirs, release)
    assert not recwarn.list


def test_a_pasted_photo_stays_with_the_answer_wherever_it_stands(solved, release):
    photo = {
        "my photo.png": {"image/png": [PIXEL[:20], PIXEL[20:]], "text/html": "<script>"},
        "bad": {"image/png": "<b>"},
    }
    for cell in (handed_in.cell_of(solved, "written-2"), new_markdown_cell("another")):
        cell.source, cell.attachments = "![proof](attachment:my%20photo.png)", photo
        if cell not in solved.cells:
            solved.cells.append(cell)
    theirs, _ = parse(json.dumps(solved).encode())
    repaired = repair(theirs, release).notebook
    kept = [cell.attachments for cell in repaired.cells if "attachments" in cell]
    assert kept == [{"my photo.png": {"image/png": PIXEL}}] * 2
    nbformat.validate(repaired)
    page = str(feedback.markdown(handed_in.cell_of(repaired, "written-2").source, kept[0]))
    assert f"data:image/png;base64,{PIXEL}" in page


# ---- zip files -------------------------------------------------------------------------------------------------


def zipped(
    path: Path, *names: str, data: bytes = b"x", edit: Callable[[zipfile.ZipInfo], object] | None = None
) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            info.compress_type = zipfile.ZIP_DEFLATED
            if edit:
                edit(info)
            file.writestr(info, data)
    return path


def inside(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "name", ["../out.ipynb", "/etc/out.ipynb", "a/../../out.ipynb", "..\\out.ipynb", "C:\\out.ipynb"]
)
def test_nothing_in_a_zip_gets_out_of_its_folder(name, tmp_path):
    archive = zipped(tmp_path / "x.zip", name, "good.ipynb")
    bad, good = zips.unpack(archive, tmp_path / "to")
    assert bad.path is None and "leads out" in bad.reason and good.path is not None
    assert inside(tmp_path) == ["to/good.ipynb", "x.zip"]


def test_links_passwords_and_bombs_in_a_zip_are_lines(tmp_path, monkeypatch):
    link = zipped(
        tmp_path / "l.zip",
        "l",
        data=b"/etc/passwd",
        edit=lambda i: setattr(i, "external_attr", (stat.S_IFLNK | 0o777) << 16),
    )
    assert "a link" in zips.unpack(link, tmp_path / "l")[0].reason
    data = bytearray(zipped(tmp_path / "p.zip", "p").read_bytes())
    for mark in (b"PK\3\4", b"PK\1\2"):  # say that it has a password
        data[data.index(mark) + (6 if mark == b"PK\3\4" else 8)] |= 1
    (tmp_path / "p.zip").write_bytes(data)
    assert "password" in zips.unpack(tmp_path / "p.zip", tmp_path / "p")[0].reason
    bomb = zipped(tmp_path / "b.zip", "1", "2", "3", data=bytes(3_000_000))
    members = zips.unpack(bomb, tmp_path / "b", most=7_000_000)
    assert [bool(member.path) for member in members] == [True, True, False] and "more than 7 MB" in members[2].reason
    monkeypatch.setattr(zips, "MOST_BYTES", 1_000_000)
    assert "more than 1 MB" in zips.unpack(bomb, tmp_path / "c")[0].reason and inside(tmp_path / "c") == []
    read, real = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda file, n: read.append(n) or real(file, n))
    large = zipped(tmp_path / "large.zip", "1", data=bytes(50_000_000))
    assert "more than" in zips.unpack(large, tmp_path / "large")[0].reason
    assert sum(read) < 5_000_000  # it stops there, and does not fill the disk first
    monkeypatch.setattr(zips, "MOST_FILES", 2)
    with pytest.raises(Unreadable, match="holds 3 files"):
        zips.unpack(bomb, tmp_path / "d")
    deep = zipped(tmp_path / "deep.zip", "d/" * 1500 + "x")
    assert "deep" in zips.unpack(deep, tmp_path / "e")[0].reason


def test_zips_in_zips_share_one_allowance(tmp_path, monkeypatch):
    inner = zipped(tmp_path / "inner.zip", "x", data=bytes(400_000)).read_bytes()
    zipped(put(tmp_path / "f", "anna/") / "anna" / "bomb.zip", *(f"{i}.zip" for i in range(20)), data=inner)
    monkeypatch.setattr(folders, "MOST_OF_ONE", 1_000_000)
    found = find(tmp_path / "f", NAMES, tmp_path / "scratch")
    assert len(found.submissions) == 20
    assert sum("more than" in s.reason for s in found.submissions) == 18
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*") if path.is_file()) < 1_000_000


def test_a_zip_that_says_less_than_it_holds_is_stopped(tmp_path):
    """The sizes in its directory are the attacker's."""
    data = bytearray(zipped(tmp_path / "b.zip", "1", data=bytes(5_000_000)).read_bytes())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(mark) + at
        data[start : start + 4] = struct.pack("<I", 10)
    (tmp_path / "b.zip").write_bytes(data)
    (member,) = zips.unpack(tmp_path / "b.zip", tmp_path / "to", most=1_000_000)
    assert member.path is None and inside(tmp_path / "to") == []


@pytest.mark.parametrize("cut", [10, 60, -30, -5])
def test_a_damaged_zip_says_so(cut, tmp_path):
    whole = zipped(tmp_path / "x.zip", "a.ipynb", data=os.urandom(200)).read_bytes()
    (tmp_path / "x.zip").write_bytes(whole[:cut])
    with pytest.raises(Unreadable, match="cannot be opened"):
        zips.unpack(tmp_path / "x.zip", tmp_path / "to")
    (tmp_path / "y.zip").write_bytes(whole.replace(whole[60:100], bytes(40)))
    assert "cannot be unpacked" in zips.unpack(tmp_path / "y.zip", tmp_path / "to")[0].reason


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_a_zip_are_read_as_macos_windows_and_moodle_write_them(tmp_path):
    class Plain(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:
            return self.filename.encode("cp437"), 0

    for number, (name, encoding) in enumerate((("Müller.ipynb", "utf-8"), ("Müller.ipynb", "cp437"))):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as file:
            file.writestr(Plain(name.encode(encoding).decode("cp437")), b"x")
        (member,) = zips.unpack(tmp_path / f"{number}.zip", tmp_path / str(number))
        assert member.parts == (name,)
    moodle = zipped(tmp_path / "m.zip", "Zoë Ō_12_assignsubmission_file_/x.ipynb", "a" * 400 + ".ipynb", "same", "same")
    members = zips.unpack(moodle, tmp_path / "m")
    assert members[0].parts[0] == "Zoë Ō_12_assignsubmission_file_"
    assert len(members[1].path.name) <= 200 and members[1].path.suffix == ".ipynb"
    assert [member.parts for member in members[2:]] == [("same",), ("same (2)",)]


def test_a_students_zip_is_unpacked_also_in_a_zip_and_an_office_document_is_none(tmp_path):
    folder = tmp_path / "f"
    put(folder, "carl/")
    zipped(folder / "bob.zip", "hw/one.ipynb", "hw/data.csv", "__MACOSX/._one.ipynb")
    inner = zipped(tmp_path / "inner.zip", "x.ipynb").read_bytes()
    zipped(folder / "carl" / "all.zip", "inner.zip", data=inner)
    zipped(folder / "dora.zip", "[Content_Types].xml", "word/document.xml")
    put(folder, "eve.zip")
    found = find(folder, NAMES, tmp_path / "scratch")
    assert to_grade(found) == {"bob.zip/hw/one.ipynb": ("bob", None), "carl/all.zip/inner.zip/x.ipynb": ("carl", None)}
    assert "Office" in reason(found, "dora.zip") and "cannot be opened" in reason(found, "eve.zip")
    places = Places(folder, folder)
    pages = {s.file: str(places.feedback(s).relative_to(folder)) for s in found.submissions}
    assert pages["bob.zip/hw/one.ipynb"] == "bob-one.feedback.html"
    assert pages["carl/all.zip/inner.zip/x.ipynb"] == "carl/all-x.feedback.html"


def test_a_download_is_unpacked_beside_itself_and_a_later_one_is_added(tmp_path):
    archive = zipped(tmp_path / "d.zip", "A B_1_assignsubmission_file_/x.ipynb", "../evil.ipynb")
    (lost,) = zips.unpack_download(archive, tmp_path / "d")
    assert lost.parts == ("..", "evil.ipynb")
    found = find(tmp_path / "d", NAMES, lost=[lost])
    assert "leads out" in reason(found, "../evil.ipynb") and len(found.submissions) == 2
    put(tmp_path, "d/A B_1_assignsubmission_file_/x.feedback.html")
    zipped(archive, "C D_2_assignsubmission_file_/y.ipynb", "A B_1_assignsubmission_file_/x.ipynb", data=b"new")
    zips.unpack_download(archive, tmp_path / "d")
    assert inside(tmp_path / "d") == [
        ".unpacked.json",
        "A B_1_assignsubmission_file_/x.feedback.html",
        "A B_1_assignsubmission_file_/x.ipynb",
        "C D_2_assignsubmission_file_/y.ipynb",
    ]
    assert (tmp_path / "d/A B_1_assignsubmission_file_/x.ipynb").read_bytes() == b"new"
    put(tmp_path, "mine/x.ipynb")
    with pytest.raises(FileExistsError):  # somebody's own folder stays as it is
        zips.unpack_download(archive, tmp_path / "mine")


def test_feedback_goes_back_under_the_names_that_the_platforms_gave(tmp_path):
    """Moodle looks for NAME_NUMBER_assignsubmission_file/..., and Canvas for NAME_NUMBER_NUMBER_..."""
    put(
        tmp_path,
        "A B_12_assignsubmission_file_/deep/hw.ipynb",
        "C D_13_assignsubmission_file_x.ipynb",
        "smith_LATE_7_99_one-1.ipynb",
        "e.ipynb",
    )
    zipped(tmp_path / "ng_8_101_all.zip", "hw.ipynb")
    places, results = Places(tmp_path, tmp_path), []
    for submission in find(tmp_path, NAMES, tmp_path / ".scratch").submissions:
        result = Result(submission.student, submission.file, "one", {"t": 1.0}, {"t": 1.0})
        put_feedback(b"page", result, places.feedback(submission), places)
        results.append(result)
    results.append(Result("zoe", "z.ipynb", reason="not graded", feedback="z.feedback.html"))
    assert pack_feedback(tmp_path / "back.zip", places, results) == 5
    with zipfile.ZipFile(tmp_path / "back.zip") as file:
        names = sorted(file.namelist())
        assert {file.read(name) for name in names} == {b"page"}
    assert names == [
        "A B_12_assignsubmission_file_/deep/hw.feedback.html",
        "C D_13_assignsubmission_file_x.feedback.html",
        "e.feedback.html",
        "ng_8_101_all-hw.feedback.html",
        "smith_LATE_7_99_one-1.feedback.html",
    ]


def test_feedback_that_cannot_be_put_beside_the_file_is_elsewhere_and_goes_back_all_the_same(tmp_path, monkeypatch):
    put(tmp_path, "A B_12_assignsubmission_file_/hw.ipynb")
    (submission,) = find(tmp_path, NAMES).submissions
    places, result, real = (
        Places(tmp_path, tmp_path),
        Result("A B", submission.file, "one", {"t": 1.0}),
        write_whole,
    )

    def refused(path: Path, data: bytes) -> Path:
        if "A B_12_assignsubmission_file_" in path.parts:
            raise PermissionError(13, "Permission denied")
        return real(path, data)

    monkeypatch.setattr("ncsn_edu.grading.results.write_whole", refused)
    put_feedback(b"page", result, places.feedback(submission), places)
    assert (tmp_path / result.feedback).read_bytes() == b"page" and "Permission denied" in result.remarks[0]
    pack_feedback(tmp_path / "back.zip", places, [result])
    with zipfile.ZipFile(tmp_path / "back.zip") as file:
        assert file.namelist() == ["A B_12_assignsubmission_file_/hw.feedback.html"]


# ---- feedback --------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    f"<img src='data:image/png;base64,{PIXEL}' onerror=alert(1) onload=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVa\tScRiPt:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<iframe src='https://example.org'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='x.swf'></object><embed src='x'>",
    "<form action='https://example.org'><button formaction='javascript:alert(1)'>x</button></form>",
    "<body onload=alert(1)>",
    "<style>@import 'https://example.org/x.css'; body { display: none }</style>",
    "<link rel=stylesheet href='https://example.org/x.css'><meta http-equiv=refresh content='0;url=https://example.org'>",
    "<div style='background:url(https://example.org/x.png);position:fixed' onclick='alert(1)'>x</div>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<base href='https://example.org/'>",
    "<img src='https://example.org/pixel.png'>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<video src='https://example.org/x' onplay=alert(1)></video><audio src=x>",
    "<details ontoggle=alert(1) open>x</details>",
    "<template><script>alert(1)</script></template>",
]


class Live(html.parser.HTMLParser):
    """Collects what in a page runs, loads or sends something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        harmless = (
            "a b body br code dd del details div dl dt em h1 h2 h3 head hr html img li meta ol p pre section span"
        )
        harmless += " strong sub summary sup table tbody td th thead title tr ul"
        if tag not in harmless.split():
            self.found.append(tag)
        for name, value in attributes:
            text = re.sub(r"[\s\0]", "", value or "").lower()
            if name.startswith("on") or name in ("srcdoc", "action", "formaction", "background"):
                self.found.append(f"{tag} {name}")
            if name in ("href", "src") and not re.match(r"https?://|mailto:|#|data:image/[a-z+]+;base64,", text):
                self.found.append(f"{tag} {name}={text}")
            if name == "src" and not text.startswith("data:"):
                self.found.append(f"{tag} loads {text}")
            if name == "style" and ("url" in text or "position" in text):
                self.found.append(f"{tag} style={text}")


@pytest.mark.parametrize("source", HOSTILE)
def test_nothing_that_a_learner_writes_is_live(source):
    assert Live(source).found  # the collector sees it
    for page in (feedback.clean(source), str(feedback.markdown(source)), str(feedback.markdown(f"text {source} more"))):
        assert Live(page).found == [], page
    data = {"text/html": source, "application/javascript": "alert(1)", "text/plain": "plain"}
    output = new_output("display_data", data)
    cells = [new_code_cell("1", outputs=[output]), new_markdown_cell(source), new_markdown_cell(f"[x]({source})")]
    notebook, _ = feedback.Harmless().preprocess(new_notebook(cells=cells), {})
    assert not any(kind.endswith("javascript") for kind in notebook.cells[0].outputs[0].data)
    assert Live(notebook.cells[0].outputs[0].data.get("text/html", "")).found == []
    raw = feedback.MarkdownWithMath(renderer=feedback.IPythonRenderer(escape=False)).render(notebook.cells[1].source)
    assert [live for live in Live(raw).found if "loads" not in live and live != "img src=x"] == [], raw


def test_pictures_beside_something_live_stay():
    cell = new_markdown_cell(
        "![x](attachment:a%20b.png) <script>1</script>", attachments={"a b.png": {"image/png": PIXEL}}
    )
    notebook, _ = feedback.Harmless().preprocess(new_notebook(cells=[cell]), {})
    page = str(feedback.markdown(notebook.cells[0].source, notebook.cells[0].attachments))
    assert PIXEL in page and Live(page).found == [] and "&lt;script" in page.replace("<span>", "")


def test_half_an_emoji_that_a_cell_prints_is_no_error():
    cells = [
        new_code_cell(code) for code in ("print('half \\ud83d')", "x = '\\ud83d'\nprint(x + '\\ude00')\nx", "1 + 1")
    ]
    limits = Limits(cell_seconds=60.0)
    with Confined(limits) as kernel:
        assert run_cells(cells, kernel, limits) == []
    notebook, _ = feedback.Harmless().preprocess(new_notebook(cells=cells), {})
    assert [output.text for cell in notebook.cells[:2] for output in cell.outputs if "text" in output] == [
        "half \ufffd\n",
        "\U0001f600\n",
    ]
    assert notebook.cells[2].outputs[0].data["text/plain"] == "2"
    nbformat.writes(notebook).encode()


def test_links_in_markdown_that_run_something_are_none():
    for link in ("javascript:alert(1)", "&#106;avascript:alert(1)", "vbscript:x", "file:///etc/passwd"):
        source = f"[x]({link}) <{link}>"
        assert feedback.is_live(source)
        assert Live(str(feedback.markdown(source))).found == []
    assert 'href="https://example.org"' in feedback.markdown("[x](https://example.org)")


def test_tables_pictures_and_plain_texts_stay():
    table = "<table border=1><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    assert "<th>a</th>" in feedback.clean(table) and "<td>1</td>" in feedback.clean(table)
    assert PIXEL in feedback._output(new_output("display_data", {"image/png": PIXEL, "text/plain": "x"}))
    drawing = feedback._output(new_output("display_data", {"image/svg+xml": "<svg><script>alert(1)</script></svg>"}))
    assert drawing.startswith("<img") and "script" not in drawing  # as a picture it runs nothing
    broken = feedback._output(new_output("display_data", {"image/png": '"><script>', "text/plain": "a < b \ud83d"}))
    assert broken == "<pre>a &lt; b \ufffd</pre>"
    error = new_output("error", ename="E", evalue="<b>", traceback=["\x1b[31mred <b>\x1b[0m"])
    assert "red &lt;b&gt;" in feedback._output(error)
    data = {"text/html": "<div></div><script>" + "x" * 10**6 + "</script>", "text/plain": "Figure"}
    assert len(feedback._output(new_output("display_data", data))) < 100
    assert not feedback.is_live("# A\n\n$x < y$, <b>bold</b> [x](#a) ![p](attachment:p.png) <img src='q.png'>")
    assert "missing" in feedback.markdown("![x](attachment:lost.png)")
    assert "not in the notebook" in feedback.markdown("![x](../../etc/passwd)")


def test_formulas_are_drawn_without_a_network_or_shown_as_they_were_written():
    for name in ("a1_scores_and_langevin", "a2_score_matching", "a3_annealing", "a4_digits", "a5_ddpm_and_sdes"):
        release = nbformat.read(ROOT / "notebooks/assignments/release" / name / f"{name}.ipynb", as_version=4)
        sources = [cell.source for cell in release.cells if cell.cell_type == "markdown" and "$" in cell.source]
        source = min(sources, key=len)
        page = str(feedback.markdown(source))
        assert "<img alt=" in page and "<code>\\" not in page and "mathjax" not in page.lower()
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", feedback.formula(r"\frac12 x_1"))[1]).decode()
    x, y, width, height = map(float, re.search(r'viewBox="([^"]+)"', picture)[1].split())
    numbers = re.search(r' d="([^"]+)"', picture)[1]
    points = [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", numbers)]
    assert points and all(x <= a <= x + width and y <= -b <= y + height for a, b in points)
    for tex in (r"\begin{aligned}a&=b\end{aligned}", r"\frac{a}{", "x" * 10_000, "{" * 1500):
        assert feedback.formula(tex).startswith("<code>")


def test_secrets_are_not_in_what_is_kept_and_are_back_in_the_gradebook(course):
    source = course.notebook("one")
    kept = without_secrets(source)
    text = json.dumps(kept)
    assert "double(3) == 6" not in text and "secret of the rubric" not in text
    full = json.dumps(with_secrets(kept, source))
    assert "double(3) == 6" in full and "secret of the rubric" in full


def test_two_students_never_get_one_name_in_the_gradebook():
    names = gradebook_names(["Anna B", "Anna_B", "../..", "/", "Jörg", "x" * 300, os.fsdecode(b"J\xf6rg")])
    assert len(set(names.values())) == len(names)
    assert all("/" not in name and not name.startswith(".") and len(name) <= 120 for name in names.values())
    assert gradebook_names(["Cédric Ärm"]) == {"Cédric Ärm": "Cédric_Ärm"}


# ---- with nbgrader ---------------------------------------------------------------------------------------------


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "grades.csv", encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_points_that_a_person_gives_come_back_and_are_asked_for_again_only_if_the_answer_changes(
    course, tmp_path, solved
):
    """Without running a notebook: what grading gives is put in its place."""
    own = Course(Path(shutil.copytree(course.root, tmp_path / "course")))
    own.prepare(["one"], own.root)
    folder = put(tmp_path / "handed", "Anna B.ipynb")
    places, found = Places(folder, folder), find(folder, NAMES)

    def graded(text: str, points: dict[str, float | None]) -> Result:
        handed_in.cell_of(solved, "written-2").source = text
        path = places.kept("Anna B.ipynb")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(handed_in.as_bytes(without_secrets(solved)))
        most = {"tests-1": 2.0, "written-2": 4.0}
        return Result("Anna B", "Anna B.ipynb", "one", dict(points), most)

    def recorded(result: Result) -> Result:
        assert record(own, places, [result], found.submissions) == []
        return result

    def give(**changes: object) -> None:
        with Gradebook(f"sqlite:///{own.root / 'gradebook.db'}") as book:
            mark = book.find_grade("written-2", "one", "one", "Anna_B")
            for name, value in changes.items():
                setattr(mark, name, value)
            book.find_comment("written-2", "one", "one", "Anna_B").manual_comment = "Well said: $x^2$ <script>"
            book.db.commit()

    first = recorded(graded("Because.", {"tests-1": 2.0, "written-2": None}))
    assert first.total == 2 and first.to_read == ["written-2"] and first.feedback == ""
    kept = (own.root / "autograded/Anna_B/one/one.ipynb").read_text()
    assert "double(3) == 6" in kept and "secret of the rubric" in kept  # for the teacher
    assert "double(3) == 6" not in places.kept("Anna B.ipynb").read_text()

    give(manual_score=3.0, needs_manual_grade=False)
    second = recorded(graded("Because.", {"tests-1": 2.0, "written-2": None}))
    assert second.total == 5 and second.to_read == [] and second.remarks == []
    page = (folder / "Anna B.feedback.html").read_text()
    assert "5 of 6 points" in page and "Well said" in page and "<script" not in page and "not read yet" not in page
    write_results(places, [second])
    assert rows(folder)["Anna B.ipynb"]["written-2"] == "3" and rows(folder)["Anna B.ipynb"]["points"] == "5"
    assert read_results(folder)["Anna B.ipynb"].total == 5  # also without --record the next time

    third = recorded(graded("Because of another reason.", {"tests-1": 2.0, "written-2": None}))
    assert third.to_read == ["written-2"] and third.total == 2 and "read it again" in third.remarks[0]
    fourth = recorded(graded("Because of another reason.", {"tests-1": 2.0, "written-2": None}))
    assert fourth.to_read == ["written-2"]  # nobody has read it yet
    give(manual_score=3.5, extra_credit=0.5, needs_manual_grade=False)
    fifth = recorded(graded("Because of another reason.", {"tests-1": 1.0, "written-2": None}))
    assert fifth.total == 5 and fifth.to_read == [] and fifth.remarks == []


def test_a_gradebook_that_cannot_be_written_is_said_and_costs_no_other_result(course, tmp_path):
    own = Course(Path(shutil.copytree(course.root, tmp_path / "course")))
    (own.root / "gradebook.db").write_text("this is no database")
    folder = put(tmp_path / "handed", "anna.ipynb", "bob.ipynb")
    results = [Result(name, f"{name}.ipynb", "one", {"tests-1": 2.0}) for name in ("anna", "bob")]
    failed = record(own, Places(folder, folder), results, find(folder, NAMES).submissions)
    assert len(failed) == 2 and all("could not be entered" in line for line in failed)


@pytest.fixture
def prepared(release, tmp_path, monkeypatch) -> None:
    """Releases that are there already: to make them takes seconds."""
    path = tmp_path / "release.ipynb"
    path.write_text(nbformat.writes(release))
    monkeypatch.setattr(Course, "prepare", lambda self, names, place: dict.fromkeys(names, path))


def test_a_download_is_graded_as_it_comes(course, prepared, tmp_path, capsys):
    archive = zipped(tmp_path / "Course-HW 1-99.zip", "A B_1_assignsubmission_file_/x.ipynb", "../evil.ipynb")
    assert main(["grade", str(archive), "--course", str(course.root)]) == 1
    said = capsys.readouterr().out
    assert "NOTHING could be graded" in said and "names are read as Moodle gives them" in said
    table = rows(tmp_path / "Course-HW 1-99")
    assert "leads out" in table["../evil.ipynb"]["reason"]
    assert table["A B_1_assignsubmission_file_/x.ipynb"]["student"] == "A B"
    assert main(["grade", str(archive), "--course", str(course.root)]) == 1  # again, into the same folder
    put(tmp_path, "mine/x.ipynb", "text.zip")
    shutil.copy(archive, tmp_path / "mine.zip")
    for given in ("mine.zip", "text.zip", "nothing"):
        assert main(["grade", str(tmp_path / given), "--course", str(course.root)]) == 2
    said = capsys.readouterr().err
    assert "is there already" in said and said.count("is not a folder or a zip file") == 2
    archive.write_bytes(archive.read_bytes()[:50])
    assert main(["grade", str(archive), "--course", str(course.root)]) == 1
    assert "cannot be opened" in capsys.readouterr().err


def test_what_is_made_goes_elsewhere_where_the_folder_is_read_only_or_on_request(
    course, prepared, tmp_path, capsys, monkeypatch
):
    folder = put(tmp_path / "read only", "anna/x.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)
    assert main(["grade", str(folder), "--course", str(course.root)]) == 1
    assert "cannot be written to" in capsys.readouterr().out
    assert main(["grade", str(folder), "--course", str(course.root), "--to", "there"]) == 1
    assert inside(folder) == ["anna/x.ipynb"]
    for out in ("read only-graded", "there"):
        assert "not a notebook" in rows(tmp_path / out)["anna/x.ipynb"]["reason"]
    (submission,) = find(folder, NAMES).submissions
    put(folder, "out/grades.csv", "out/.grades.json", "out/anna/y.feedback.html", "out/x.ipynb")
    assert [s.file for s in find(folder, NAMES, out=folder / "out").submissions] == ["anna/x.ipynb"]
    shutil.rmtree(folder / "out")
    assert Places(folder, tmp_path / "there").feedback(submission) == tmp_path / "there/anna/x.feedback.html"
    put(tmp_path, "file")
    assert main(["grade", str(folder), "--course", str(course.root), "--to", "file/x"]) == 1
    assert "another folder" in capsys.readouterr().err


def test_a_full_disk_is_said_in_words(course, prepared, tmp_path, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "grades.csv"))

    monkeypatch.setattr("ncsn_edu.grading.results.write_whole", full)
    assert main(["grade", str(put(tmp_path / "f", "anna.ipynb")), "--course", str(course.root)]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_fault_of_ours_in_reading_one_file_is_its_line(course, release, tmp_path, monkeypatch):
    put(tmp_path, "anna.ipynb", "bob.ipynb")
    real = grade.parse
    monkeypatch.setattr(grade, "parse", lambda data: 1 / 0 if data == b"y" else real(data))
    (tmp_path / "anna.ipynb").write_bytes(b"y")
    left, todo = chosen(tmp_path, release, course)
    assert "reading it failed (ZeroDivisionError" in left["anna.ipynb"] and "not a notebook" in left["bob.ipynb"]
    assert todo == []


def test_sixty_mixed_submissions_all_have_their_line(course, solved, tmp_path, capsys, monkeypatch):
    good = handed_in.as_bytes(solved)
    handed_in.cell_of(solved, "written-2").source = "See ![proof](attachment:p.png) \ud83d, $x^2$"
    handed_in.cell_of(solved, "written-2").attachments = {"p.png": {"image/png": PIXEL}}
    show = (
        "from IPython.display import HTML, Javascript, display\ndisplay(HTML('<script>alert(7)</script><b>kept</b>'))\n"
    )
    show += "display(Javascript('alert(7)'))\n"
    answer = handed_in.cell_of(solved, "answer-1")
    answer.source = "# half \ud83d\n" + show + answer.source
    unlucky = json.dumps(solved, ensure_ascii=True).encode()

    folder = tmp_path / "f"
    graded: dict[str, tuple[str, str]] = {}
    refused: dict[str, str] = {}
    ignored: dict[str, str] = {}

    def add(name: str, data: bytes, age: float = 0.0) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1.6e9 - age, 1.6e9 - age))

    # graded, each of another layout
    add("anna/one/homework.ipynb", good)
    add("anna/one/old.ipynb", good, 100)
    add("Zoë Ō_12_assignsubmission_file_/x.ipynb", unlucky)
    long = "ü" * 121 + ".ipynb"
    add(long, good.decode().encode("utf-16"))
    zipped(folder / "ng_LATE_8_101_all.zip", "one.ipynb", data=good)
    graded |= {
        "anna/one/homework.ipynb": ("anna", "anna/one/homework.feedback.html"),
        "Zoë Ō_12_assignsubmission_file_/x.ipynb": ("Zoë Ō", "Zoë Ō_12_assignsubmission_file_/x.feedback.html"),
        long: ("ü" * 121, ""),
        "ng_LATE_8_101_all.zip/one.ipynb": ("ng", "ng_LATE_8_101_all-one.feedback.html"),
    }
    ignored["anna/one/old.ipynb"] = "an older copy of anna/one/homework.ipynb"
    # ignored
    for name in ("anna/one/timestamp.txt", "anna/one/.ipynb_checkpoints/homework-checkpoint.ipynb", "anna/.hidden"):
        add(name, b"x")
        ignored[name] = ""
    add("Zoë Ō_12_assignsubmission_onlinetext_/onlinetext.html", b"<p>")
    add("roster.csv", b"a,b")
    ignored |= {"Zoë Ō_12_assignsubmission_onlinetext_/onlinetext.html": "read it there", "roster.csv": "table"}
    add("anna/one/.homework.graded.ipynb", b"### BEGIN HIDDEN TESTS")
    ignored["anna/one/.homework.graded.ipynb"] = "earlier version"
    # not graded
    foreign = {
        "docx": b"PK\3\4",
        "pdf": b"%PDF-1.7",
        "png": b"\x89PNG",
        "jpg": b"\xff\xd8\xff",
        "gz": b"\x1f\x8b",
        "rar": b"Rar!",
        "7z": b"7z\xbc\xaf",
        "doc": b"\xd0\xcf\x11\xe0",
        "rtf": b"{\\rtf1",
        "html": b"<html>",
        "txt": b"Dear teacher",
    }
    for suffix, data in foreign.items():
        add(f"foreign-{suffix}x.{suffix}", data)
        refused[f"foreign-{suffix}x.{suffix}"] = "not a notebook"
    broken = {
        "empty": b"",
        "cut": good[:-40],
        "deep": b"[" * 10**5,
        "null": b"null",
        "no cells": b'{"cells": []}',
        "git": b"<<<<<<< a",
        "other": handed_in.as_bytes(new_notebook(cells=[new_code_cell("1")])),
        "binary": os.urandom(99) + b"\xff\0\x81",
        "zeros": bytes(999),
    }
    for name, data in broken.items():
        add(f"broken {name}.ipynb", data)
        refused[f"broken {name}.ipynb"] = ""
    for number in range(16):
        add(f"s{number}/homework.ipynb", b"{" * number)
        refused[f"s{number}/homework.ipynb"] = ""
    for name, target in (("link", "gone"), ("loop", "loop.ipynb"), ("out", "/etc/passwd"), ("dev", "/dev/zero")):
        os.symlink(target, folder / f"{name}.ipynb")
        refused[f"{name}.ipynb"] = "link"
    os.symlink("anna", folder / "copycat")
    refused["copycat"] = "link to the folder anna"
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "nothing").mkdir()
    (folder / "called like.ipynb").mkdir()
    refused |= {"pipe.ipynb": "pipe", "nothing": "nothing in the folder", "called like.ipynb": "nothing in the folder"}
    zipped(folder / "bomb.zip", "a.ipynb", data=bytes(3_000_000))
    zipped(folder / "slip.zip", "../../x.ipynb")
    zipped(folder / "office.zip", "[Content_Types].xml")
    add("bad.zip", b"PK\3\4 no")
    refused |= {
        "bomb.zip/a.ipynb": "more than",
        "slip.zip/../../x.ipynb": "leads out",
        "office.zip": "Office",
        "bad.zip": "opened",
    }
    with contextlib.suppress(OSError):  # macOS has only names in UTF-8
        name = os.fsdecode(b"J\xf6rg \xd1.ipynb")
        add(name, b"x")
        refused[shown(name)] = "not a notebook"
    add("big.ipynb", b"")
    os.truncate(folder / "big.ipynb", 200_000_000)
    refused["big.ipynb"] = "outputs cleared"
    monkeypatch.setattr(zips, "MOST_BYTES", 2_000_000)
    add("grades.csv", b"of an earlier run")

    tests = tmp_path / "back.zip"
    command = ["grade", str(folder), "--course", str(course.root), "--jobs", "2", "--feedback-zip", str(tests)]
    assert len(graded) + len(refused) + len(ignored) >= 60
    assert main(command) == 1
    said = capsys.readouterr().out
    assert f"of which {len(refused)} could not be graded" in said and "Traceback" not in said

    table = rows(folder)
    assert set(table) == {*graded, *refused, *ignored}
    for name, (student, page) in graded.items():
        row = table[name]
        assert (row["student"], row["assignment"], row["points"], row["reason"]) == (student, "one", "2", ""), row
        assert not page or (folder / page).exists()
    for name, words in refused.items():
        assert table[name]["points"] == "" and table[name]["reason"] and words in table[name]["reason"], table[name]
        assert not table[name]["reason"].startswith("ignored") and "Error" not in table[name]["reason"], table[name]
    for name, words in ignored.items():
        assert table[name]["reason"].startswith("ignored: ") and words in table[name]["reason"], table[name]
    assert "Canvas has it as late" in table["ng_LATE_8_101_all.zip/one.ipynb"]["remarks"]
    assert "written-2" in table["Zoë Ō_12_assignsubmission_file_/x.ipynb"]["to read"]

    assert not (folder / "anna/one/.homework.graded.ipynb").exists()
    left = [
        path for path in folder.rglob("*") if path.is_file() and path.suffix in (".ipynb", ".html", ".json", ".csv")
    ]
    for path in left:
        assert b"double(3) == 6" not in path.read_bytes() and b"secret of the rubric" not in path.read_bytes(), path
    page = (folder / "Zoë Ō_12_assignsubmission_file_/x.feedback.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "https://" not in page
    assert f"data:image/png;base64,{PIXEL}" in page and "<b>kept</b>" in page and 'alt="x^2"' in page
    assert Live(page.replace("<style>", "<p>").replace("</style>", "</p>")).found == []
    assert 'alt="2 x"' in page and "$2 x$" not in page  # in the heading
    assert "Twice a number" in page and "not read yet" in page and "Test cell" not in page
    with zipfile.ZipFile(tests) as file:
        assert len(file.namelist()) == len(graded)

    # once more: nothing is graded twice, and a notebook that has gone takes its line with it
    monkeypatch.setattr(grade, "grade_apart", lambda *a: pytest.fail("graded twice"))
    (folder / "broken cut.ipynb").unlink()
    assert main(command) == 1
    assert set(rows(folder)) == set(table) - {"broken cut.ipynb", "anna/one/.homework.graded.ipynb"}


# ---- what other platforms and programs leave


def test_attempts_from_blackboard_are_their_student_s(tmp_path):
    put(tmp_path, *(f"one_ng7_attempt_2025-0{m}-01-09-00-00_hw.ipynb" for m in (2, 3)))
    put(tmp_path, "one_ng7_attempt_2025-03-01-09-00-00.txt", "one_li_attempt_2025-02-01-09-00-00_a_b.ipynb")
    found = find(tmp_path, NAMES)
    assert {s.student for s in found.submissions} == {"ng7", "li"}
    newest = max((s for s in found.submissions if s.student == "ng7"), key=lambda s: s.order)
    assert newest.file.startswith("one_ng7_attempt_2025-03")


def test_canvas_names_with_hyphens_and_apostrophes(tmp_path):
    put(tmp_path, "lópez-ruizeva_LATE_61_9_one.ipynb", "d’arcyjo_62_8_one.ipynb")
    assert {s.student for s in find(tmp_path, NAMES).submissions} == {"lópez-ruizeva", "d’arcyjo"}


def test_what_platforms_put_beside_submissions_is_no_student(tmp_path):
    put(tmp_path, "One/grades.csv", "One/anna/hw.ipynb", "submission_metadata.yml", "index.html", "list.xlsx")
    assert {s.student for s in find(tmp_path, NAMES).submissions if not s.ignored} == {"anna"}
    course = put(tmp_path / "c", "submitted/bob/one/one.ipynb", "autograded/bob/one/one.ipynb", "feedback/bob/x.html")
    assert [s.student for s in find(course, NAMES).submissions if not s.ignored] == ["bob"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[InternetShortcut]\r\nURL=https://colab.research.google.com/x\r\n", "a link to a page"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE plist>\n<plist><dict/></plist>', "a link to a page"),
        (b'{"doc_id": "1", "email": "a@b"}', "a link to a file of Google's"),
        (b"L\0\0\0\1\x14\2\0\0\0", "a Windows shortcut"),
        (b"bplist00\xd1\1\2", "in the place of a file"),
    ],
)
def test_links_to_files_elsewhere_are_named(content, words):
    with pytest.raises(Unreadable, match=words):
        parse(content)


def test_a_file_that_icloud_holds_back_is_named(tmp_path):
    put(tmp_path, "anna/.one.ipynb.icloud")
    assert "iCloud" in reason(find(tmp_path, NAMES), "anna/.one.ipynb.icloud")


@pytest.mark.parametrize(
    ("older", "newer", "apart"),
    [
        ("Group B/li/hw.ipynb", "Group B/ng/hw.ipynb", True),
        ("ng/try 1/hw.ipynb", "ng/try 2/hw.ipynb", False),
        ("ng/old/hw.ipynb", "ng/hw.ipynb", False),
        ("ng/a.ipynb", "ng/b.ipynb", False),
    ],
)
def test_folders_of_people_are_not_older_copies(older, newer, apart, tmp_path, course, solved):
    put(tmp_path, older, newer, "zoe/hw.ipynb", text=nbformat.writes(solved))
    os.utime(tmp_path / older, (1, 1))
    found = find(tmp_path, NAMES)
    results, todo = grade._chosen(found.submissions, {"one": solved, "b2_other": solved}, course)
    assert {submission.file for submission, _ in todo} == {newer, "zoe/hw.ipynb"}
    (line,) = results
    assert line.file == older and bool(line.reason) == apart and bool(line.ignored) != apart
    assert not apart or "if they are two students'" in line.reason


def test_a_table_that_somebody_has_written_into_is_kept(tmp_path):
    places = Places(tmp_path, tmp_path)
    assert keep_other_table(tmp_path) is None
    (tmp_path / "grades.csv").write_text("name;exam\nanna;17\n")  # another program's
    assert keep_other_table(tmp_path) == tmp_path / "grades-1.csv"
    write_results(places, [Result("anna", "anna.ipynb", "one", {"answer-1": 1.5}, {"answer-1": 2.0}, ["späť"])])
    assert keep_other_table(tmp_path) is None
    with (tmp_path / "grades.csv").open("a") as file:
        file.write("by hand\n")
    kept = keep_other_table(tmp_path)
    assert kept == tmp_path / "grades-2.csv" and kept.read_text().endswith("by hand\n")
    assert (tmp_path / "grades-1.csv").read_text().startswith("name;exam")
