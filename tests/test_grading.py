"""Grading: what test cells are written with, what a submission may take, how it is repaired, nbgrader's part.

Most of it runs on a tiny assignment without PyTorch, so that a kernel starts in a second.
"""

import copy
import csv
import html
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from helpers import started
from nbformat.v4 import new_code_cell, new_notebook
from scipy import stats
from waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/assignments")]
import assignments as tool  # noqa: E402
import handed_in  # noqa: E402
from nbgrader.utils import determine_grade  # noqa: E402

from ncsn_edu.__main__ import main  # noqa: E402
from ncsn_edu.grading import tasks  # noqa: E402
from ncsn_edu.grading.course import Course, CourseError  # noqa: E402
from ncsn_edu.grading.execute import Confined, Limits, run_cells  # noqa: E402
from ncsn_edu.grading.submissions import Submission, Unreadable, defines, recognise, repair  # noqa: E402
from ncsn_edu.grading.tasks import FALSE_ALARM, Given, Task, Wrong, close, plausible  # noqa: E402

TINY = """
# %% [markdown]
# # Tiny

# %% role="setup"
import math

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

# %% role="answer 2"
def root(x):
    ### BEGIN SOLUTION
    return math.sqrt(x)
    ### END SOLUTION

# %% role="tests 2 3"
points = 0
### BEGIN HIDDEN TESTS
points = sum(abs(root(x) - y) < 1e-9 for x, y in ((4, 2), (9, 3), (2, 2**0.5)))
### END HIDDEN TESTS
points

# %% [markdown] role="question 3"
# Why?
#
# ### BEGIN MARK SCHEME
# Because.
# ### END MARK SCHEME

# %% [markdown] role="written 3 4"
# YOUR ANSWER HERE
"""
# A busy machine may take many seconds for anything: only what does not end is given few.
SMALL = Limits(cell_seconds=60.0, total_seconds=600.0, memory=1 << 30, disk=16 << 20)
QUICK = replace(SMALL, cell_seconds=5.0)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A course with the tiny assignment."""
    root = tmp_path_factory.mktemp("course")
    (root / "source/tiny").mkdir(parents=True)
    source = tool.parse("tiny", TINY)
    for cell in source.cells:  # plain assertions, as any nbgrader course may have them, see the notebook's names
        cell.source = re.sub(r"\A%%tests .*\n", "", cell.source)
    (root / "source/tiny/tiny.ipynb").write_text(nbformat.writes(source))
    config = (ROOT / "notebooks/assignments/nbgrader_config.py").read_text()
    (root / "nbgrader_config.py").write_text(config + "\nc.Execute.cell_seconds = 60.0\nc.Execute.memory = 1 << 30\n")
    return Course(root)


@pytest.fixture(scope="module")
def release(course, tmp_path_factory) -> nbformat.NotebookNode:
    made = course.prepare(["tiny"], tmp_path_factory.mktemp("made"))
    return nbformat.read(made["tiny"], as_version=4)


# ---- what test cells are written with ---------------------------------------------------------------------------


def a_task(**names: object) -> Task:
    return Task("1", dict(names))


def test_points_are_those_of_the_checks_that_pass(capsys):
    task = a_task()
    task.check("helps", points=0)(lambda: close(1.0, 2.0))
    task.check("right", points=2)(lambda: close(1.0, 1.0))
    task.check("wrong", points=1)(lambda: close(1.0, 2.0))
    task.check("more", points=1, beyond=True)(lambda: None)
    assert task.done() == 2
    said = capsys.readouterr().out.splitlines()
    assert [line[0] for line in said] == ["✗", "✓", "✗", "✗"]
    assert "(2 points)" in said[1] and "counts only if" in said[3]


def test_a_value_that_is_not_there_and_one_not_given_yet_are_told_apart():
    for names, words in (({"predicton": "b"}, "keep its name"), ({"prediction": ...}, "in place of the dots")):
        with pytest.raises(Wrong, match=words):
            a_task(**names).value("prediction")


@pytest.mark.parametrize(
    ("names", "points"),
    [
        ({"prediction": "b"}, 1),
        ({"prediction": " C\n"}, 1),
        ({"prediction": "d"}, 0),
        ({"prediction": ...}, 0),
        ({}, 0),
    ],
)
def test_a_prediction_gives_its_point_whichever_it_is(names, points, capsys):
    task = a_task(**names)
    task.prediction("a", "b", "c")
    task.prediction("a", "b", "c", points=1)
    assert task.done() == points
    said = capsys.readouterr().out.splitlines()
    assert [line[0] for line in said] == (["✓", "✓"] if points else ["✗", "✗"])
    assert names.get("prediction") != "d" or ('put "a", "b" or "c"' in said[0] and "no prediction" in said[1])


def test_visible_checks_alone_give_no_points_and_fail_the_cell_if_one_fails():
    task = a_task()
    task.check("fine")(lambda: None)
    assert task.done() is None
    task.check("not fine")(lambda: close([1.0], [3.0]))
    with pytest.raises(Wrong, match="not yet"):
        task.done()


def test_after_a_check_that_ran_out_of_time_no_other_is_made(capsys):
    task, made = a_task(), []

    def endless() -> None:
        raise KeyboardInterrupt

    task.check("first", points=1)(lambda: None)
    task.check("endless", points=1)(endless)
    task.check("after", points=1)(lambda: made.append(1))
    assert task.done() == 1 and not made
    assert "ran out of time" in capsys.readouterr().out


def test_an_answer_gets_copies_prints_into_nothing_and_comes_back_as_numbers(capsys):
    def answer(x: torch.Tensor, unused: object = None) -> np.ndarray:
        print("hello")
        x *= 2
        return x.numpy().astype(np.float16)

    x = torch.ones(3)
    value = a_task(answer=answer).answer("answer")(x, shape=(3,))
    assert torch.equal(x, torch.ones(3)) and torch.equal(value, torch.full((3,), 2.0, dtype=torch.float64))
    assert capsys.readouterr().out == ""


def test_a_list_made_row_by_row_is_one_result_and_a_tuple_is_several():
    rows = a_task(answer=lambda x: [row.sum() for row in x]).answer("answer")(torch.ones(3, 2), shape=(3,))
    assert torch.equal(rows, torch.full((3,), 2.0, dtype=torch.float64))
    stacked = a_task(answer=lambda x: list(x)).answer("answer")(torch.ones(3, 2), shape=(3, 2))
    assert stacked.shape == (3, 2)
    assert len(a_task(answer=lambda x: (x, x)).answer("answer")(torch.ones(3, 2))) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no function answer"),
        (lambda x: None, "returned nothing"),
        (lambda x: "three", "not numbers"),
        (lambda x: x[:2], r"shape \(2,\), and \(3,\)"),
        (lambda x: (x, x), "2 things"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(answer, words):
    names = {} if answer is None else {"answer": answer}
    with pytest.raises(Wrong, match=words):
        a_task(**names).answer("answer")(torch.ones(3), shape=(3,))


@pytest.mark.parametrize(
    ("value", "expected", "words"),
    [
        ([1.0, 2.0], [-1.0, -2.0], "sign is flipped"),
        ([1.0, 3.0], [2.0, 6.0], "0.5 times"),
        ([1.5, 2.5, 0.0], [1.0, 2.0, -0.5], "off by the same 0.5"),
        ([0.0, 0.0], [1.0, 2.0], "everything is zero"),
        ([math.nan, 1.0], [1.0, 1.0], "nan for 1 of 2"),
        ([math.inf, math.inf], [1.0, 1.0], "infinite for all"),
        ([1.0, 2.0, 9.0], [1.0, 2.0, 3.0], r"at \[2\] is 9, and 3"),
        ([[1.0]], [1.0], "shape"),
    ],
)
def test_close_says_how_numbers_differ(value, expected, words):
    with pytest.raises(Wrong, match=words):
        close(torch.tensor(value), torch.tensor(expected))


def test_errors_in_an_answer_are_told_in_its_own_terms(capsys):
    task = a_task()
    for error in (NotImplementedError(), MemoryError(), ValueError("bad shape")):
        task.check("it", points=1)(lambda error=error: (_ for _ in ()).throw(error))
    said = capsys.readouterr().out
    assert task.done() == 0
    assert "not written yet" in said and "out of memory" in said and "ValueError: bad shape" in said


def test_p_values_are_uniform_for_right_answers():
    """So a check at FALSE_ALARM fails one right answer in 1 / FALSE_ALARM: the rate that it states."""
    torch.manual_seed(0)
    found: dict[str, list[float]] = {"mean": [], "variance": [], "normal": []}
    for _ in range(600):
        x = 2.0 + 3.0 * torch.randn(50, dtype=torch.float64)
        found["mean"].append(tasks.p_mean(x, 2.0, 3.0))
        found["variance"].append(tasks.p_variance(x, 9.0, 2.0))
        found["normal"].append(tasks.p_normal(x, 2.0, 3.0))
    for name, values in found.items():
        assert stats.kstest(values, "uniform").pvalue > 1e-4, name
    counts = stats.binom.rvs(40, 0.3, size=2000, random_state=0)
    shares = np.array([tasks.p_share(int(k), 40, 0.3) for k in counts])
    assert all((shares < level).mean() <= level + 4 * math.sqrt(level / 2000) for level in (0.01, 0.05, 0.2))
    assert FALSE_ALARM < 1e-4


def test_an_impossible_p_value_fails():
    for p in (0.0, 1e-9, math.nan):
        with pytest.raises(Wrong, match="no"):
            plausible(p, "no")
    plausible(1e-3, "fine")


def test_a_given_function_answers_in_the_type_it_is_asked_in():
    score = Given(lambda x, sigma=1.0: -x / sigma)
    assert isinstance(score(np.ones((2, 3), np.float32)), np.ndarray)
    assert score(np.ones((2, 3), np.float32)).dtype == np.float32
    assert score(torch.ones(4, 1, dtype=torch.float64)).dtype == torch.float64
    assert (score.calls, score.rows) == (3, 8)
    x = torch.ones(2, requires_grad=True)
    score(x, sigma=0.5).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), -2.0))


def test_random_numbers_differ_between_tasks_and_seeds_and_are_the_same_again(monkeypatch):
    def draw(title: str) -> tuple[float, float]:
        Task(title, {})
        return float(torch.rand(())), float(np.random.rand())

    first = draw("1")
    assert draw("1") == first and draw("2") != first
    monkeypatch.setenv("NCSN_EDU_GRADING_SEED", "5")
    assert draw("1") != first


# ---- what a submission may take ---------------------------------------------------------------------------------


def run(*codes: str, limits: Limits = SMALL, **options: object) -> tuple[list[nbformat.NotebookNode], list[str]]:
    cells = [new_code_cell(code) for code in codes]
    with Confined(limits, **options) as kernel:
        place = kernel.folder
        remarks = run_cells(cells, kernel, limits)
    assert not place.exists()
    return cells, remarks


def said(cell: nbformat.NotebookNode) -> str:
    return " ".join(
        output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def test_a_cell_that_ends_the_process_costs_itself_alone():
    cells, remarks = run("a = 1", "import os\nb = 2\nos._exit(7)", "a", "b")
    assert "ended the Python process (exit 7)" in said(cells[1]) and len(remarks) == 1
    assert said(cells[2]) == "1"
    assert "not defined" in said(cells[3])


def test_a_cell_that_does_not_end_is_interrupted_or_killed():
    cells, _ = run("a = 1", "while True: pass", "a", handed_in.STUBBORN, "a + 1", limits=QUICK)
    assert "took more than 5 seconds" in said(cells[1]) and said(cells[2]) == "1"
    assert "took more than 5 seconds" in said(cells[3]) and said(cells[4]) == "2"


def test_the_time_of_the_whole_is_limited():
    begin = time.monotonic()
    cells, _ = run("1", *["while True: pass"] * 3, "2", limits=Limits(cell_seconds=2.0, total_seconds=3.0))
    assert "the notebook took more than 3 seconds" in said(cells[-1])
    assert time.monotonic() - begin < 300


def test_threads_that_wait_leave_the_processor_to_others():
    """Threads that spin would starve a busy machine: a notebook of half a minute then takes four."""
    waiting = """
import time, torch
torch.set_num_threads(2)
x = torch.rand(400_000).exp()
def seconds(pause):
    begin = time.process_time()
    for _ in range(100):
        x.exp()
        time.sleep(pause)
    return time.process_time() - begin
seconds(0)
min(seconds(0.01) for _ in range(3)) - seconds(0)
"""
    cells, _ = run(waiting, limits=Limits(cell_seconds=60.0))
    assert float(said(cells[0])) < 0.15  # seconds of all threads, work aside: 0.01 if they sleep, 0.4 if they spin


def test_memory_is_limited_and_free_again_afterwards():
    cells, _ = run("a = 1", "x = []\nwhile True: x.append(bytearray(1 << 24))", "len(bytearray(300 << 20)) + a")
    assert "MemoryError" in [o.get("ename") for o in cells[1].outputs] or "of memory" in said(cells[1])
    assert said(cells[2]) == str((300 << 20) + 1)


def test_the_disk_is_limited_and_empty_again_afterwards():
    filling = "import time\nfor i in range(99):\n    open(f'b{i}', 'wb').write(bytes(1 << 20))\ntime.sleep(50)"
    one_file = "with open('big', 'wb') as f: f.truncate(1 << 30)"  # nothing written: only the limit of a file sees it
    cells, _ = run("a = 1", filling, "import os\n(a, os.path.exists('b1'))", one_file, "os.path.exists('big')")
    assert "wrote more than 16 MiB" in said(cells[1]) and said(cells[2]) == "(1, False)"
    assert "too large" in said(cells[3]) and said(cells[4]) == "False"


def test_output_is_limited():
    cells, _ = run("for _ in range(30): print('x' * 1_000_000)", "3")
    assert len(said(cells[0])) < 1_000_000 and "left out" in said(cells[0]) and said(cells[1]) == "3"


def test_no_process_is_left_behind():
    mark = "98761.25"
    start = f"subprocess.Popen(['sleep', '{mark}'], start_new_session=True)"
    sleep = f"os.execvp('sleep', ['sleep', '{mark}'])"
    daemon = f"import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: {sleep}\n    os._exit(0)"
    cells, _ = run(f"import subprocess\np = {start}\np.poll() is None", daemon)
    assert said(cells[0]) == "True"
    assert not handed_in.running(mark)


def test_many_processes_are_too_many():
    child = "    if os.fork() == 0: time.sleep(60); os._exit(0)"
    bomb = f"import os, time\nfor _ in range(40):\n{child}\ntime.sleep(50)"
    limits = Limits(cell_seconds=60.0, processes=12, memory=8 << 30)
    cells, _ = run("a = 1", bomb, "a", limits=limits)
    assert "more than 12 processes" in said(cells[1]) and said(cells[2]) == "1"


def test_it_works_in_a_folder_with_the_assignments_files_and_no_notebook(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / "solution.ipynb").write_text("{}")
    cells, _ = run("import os\n[f for f in os.listdir() if f.endswith(('.csv', '.ipynb'))]", files=tmp_path)
    assert said(cells[0]) == "['data.csv']"
    assert (tmp_path / "data.csv").read_text() == "1,2"


def graded_cell(code: str, points: float = 2.0) -> nbformat.NotebookNode:
    data = {"grade": True, "solution": False, "locked": True, "grade_id": "tests-1", "points": points}
    return new_code_cell(code, metadata={"nbgrader": {**data, "schema_version": 3, "task": False}})


@pytest.fixture(scope="module")
def quick_kernel() -> Iterator[Confined]:
    """For cells that leave nothing behind."""
    with Confined(SMALL) as kernel:
        yield kernel


@pytest.mark.parametrize(
    ("code", "points"),
    [
        ("1.5", 1.5),
        ("assert True", 2.0),  # nbgrader's rule: nothing went wrong
        ("assert False", 0.0),
        ("import warnings\nwarnings.warn('careful')\n2.0", 2.0),  # for nbgrader alone a warning is a failure
        ("import sys\nsys.displayhook(2.0)\nassert False", 0.0),  # a value shown before the error
        ("import sys\nsys.displayhook(2.0)\n0.5", 0.5),
        ("99", 0.0),  # more than there is
        ("-1", 0.0),
        ("'full marks'", 0.0),
        ("None", 0.0),  # a value was to be shown, and is not
    ],
)
def test_points_of_a_test_cell(code, points, quick_kernel):
    cell = graded_cell(code)
    run_cells([cell], quick_kernel, SMALL)
    assert determine_grade(cell)[0] == points


# ---- finding, reading, mending ----------------------------------------------------------------------------------


def test_defined_names_are_found_also_in_code_that_cannot_be_parsed():
    assert defines("%matplotlib inline\ndef f(x):\n    y = 1\nclass A: pass\nb, (c, d) = 1, (2, 3)\ne: int = 4") == set(
        "fAbcde"
    )
    assert defines("def f(x):\n  return (\ng = 3") == {"f", "g"}
    assert defines("") == set()


@pytest.fixture(scope="module")
def cases(release, course) -> dict[str, handed_in.Handed]:
    found = {case.name: case for case in handed_in.variants(release, course.notebook("tiny"), "double")}
    assert list(found) == NAMES  # each name once
    return found


MOST = {"1": 2.0, "2": 3.0}


def marks(
    data: bytes, suffix: str, release, course, tmp_path: Path, limits: Limits = SMALL
) -> tuple[dict[str, float], list[str]]:
    """Read, repair, put the hidden tests back, run: as nbgrader does it, without its database."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    theirs = handed_in.read(path)
    recognise(theirs, Submission("x", path), {"tiny": release})
    repaired = repair(theirs, release)
    full = {handed_in.grade_id(cell): cell.source for cell in course.notebook("tiny").cells}
    for cell in repaired.notebook.cells:
        if handed_in.grade_id(cell).startswith("tests-"):
            cell.source = full[handed_in.grade_id(cell)]
    with Confined(limits) as kernel:
        remarks = repaired.remarks + run_cells(repaired.notebook.cells, kernel, limits)
    return {
        handed_in.grade_id(cell).removeprefix("tests-"): determine_grade(cell)[0]
        for cell in repaired.notebook.cells
        if handed_in.grade_id(cell).startswith("tests-")
    }, remarks


NAMES = [case.name for case in handed_in.variants(tool.parse("tiny", TINY), tool.parse("tiny", TINY), "double")]


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_submission_gets_its_points_or_a_reason(name, cases, release, course, tmp_path):
    case = cases[name]
    if case.reason:
        with pytest.raises(Unreadable, match=case.reason):
            marks(case.data, case.suffix, release, course, tmp_path)
        return
    limits = QUICK if name in ("endless function", "endless cell", "endless and stubborn") else SMALL
    points, remarks = marks(case.data, case.suffix, release, course, tmp_path, limits)
    lost = MOST if case.lost == ("all",) else case.lost
    assert points == {task: 0.0 if task in lost else most for task, most in MOST.items()}, remarks
    assert case.remark in " ".join(remarks)


def test_the_repaired_notebook_keeps_helpers_between_the_cells(release, course):
    notebook = handed_in.solved(release, course.notebook("tiny"))
    at = notebook.cells.index(handed_in.cell_of(notebook, "answer-1"))
    notebook.cells.insert(at, new_code_cell("two = 2"))
    handed_in.cell_of(notebook, "answer-1").source = "def double(x):\n    return two * x"
    repaired = repair(notebook, release)
    sources = [cell.source for cell in repaired.notebook.cells]
    assert sources.index("two = 2") < sources.index("def double(x):\n    return two * x")
    assert repaired.remarks == []


@pytest.mark.parametrize("own", ["YOUR ANSWER HERE", "", " \n"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (nbformat.v4.new_markdown_cell, "Because two and two are four."),
        (nbformat.v4.new_raw_cell, "Because two and two are four."),
        (new_code_cell, "# Because two and\n# two are four."),
        (new_code_cell, "'Because two and two are four.'"),
        (new_code_cell, "Because two and two are four."),
    ],
)
def test_a_written_answer_below_the_cell_for_it_waits_to_be_read(own, kind, text, release, course):
    notebook = handed_in.solved(release, course.notebook("tiny"))
    cell = handed_in.cell_of(notebook, "written-3")
    cell.source = own
    notebook.cells.insert(notebook.cells.index(cell) + 1, kind(text))
    repaired = repair(notebook, release)
    found = handed_in.cell_of(repaired.notebook, "written-3")
    assert found.source == text and found.cell_type == "markdown" and determine_grade(found)[0] is None
    assert "written-3 was found in another cell, below its question" in repaired.remarks


@pytest.mark.parametrize("note", ["", "I liked this."])
def test_what_stands_above_the_question_or_beside_an_answer_is_not_the_answer(note, release, course):
    notebook = handed_in.solved(release, course.notebook("tiny"))
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell("A thought."))
    notebook.cells.append(new_code_cell("x = 1"))
    cell = handed_in.cell_of(notebook, "written-3")
    cell.source = "Mine." if note else "YOUR ANSWER HERE"
    notebook.cells.append(nbformat.v4.new_markdown_cell(note))
    repaired = repair(notebook, release)
    found = handed_in.cell_of(repaired.notebook, "written-3")
    assert found.source == cell.source and determine_grade(found)[0] == (None if note else 0)
    assert not any("written-3" in remark for remark in repaired.remarks)


def test_an_answer_that_calls_the_package_is_remarked_on(release, course):
    notebook = handed_in.solved(release, course.notebook("tiny"))
    handed_in.cell_of(notebook, "answer-1").source = "import ncsn_edu as ne\ndef double(x):\n    return ne.last(x)"
    assert repair(notebook, release).remarks == ["answer-1 calls the package: last"]


# ---- with nbgrader ----------------------------------------------------------------------------------------------


@pytest.fixture
def handed(tmp_path, release, course) -> Path:
    """What four students have handed in."""
    folder = tmp_path / "handed in"
    solved = handed_in.solved(release, course.notebook("tiny"))
    written = copy.deepcopy(solved)
    handed_in.cell_of(written, "written-3").source = "Because it is so."
    crash = copy.deepcopy(solved)
    handed_in.cell_of(crash, "answer-2").source = "import os\nos._exit(1)"
    for name, data in (
        ("anna/tiny/my answers.ipynb", handed_in.as_bytes(written)),
        ("bob.ipynb", handed_in.as_bytes(release)),
        ("Cédric Ärm.ipynb", handed_in.as_bytes(crash)),
        ("dora.docx", b"PK.."),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "grades.csv", encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_a_folder_is_graded_with_table_feedback_and_gradebook(handed, course, tmp_path, capsys, monkeypatch):
    own = Course(Path(shutil.copytree(course.root, tmp_path / "course")))
    command = ["grade", str(handed), "--course", str(own.root), "--record", "--jobs", "2"]
    assert main(command) == 1  # one of them could not be graded
    shown = capsys.readouterr().out
    assert "4 submissions, of which 1 could not be graded" in shown

    table = rows(handed)
    assert {who: (row["points"], row["of"]) for who, row in table.items()} == {
        "anna": ("5", "9"),
        "bob": ("0", "9"),
        "Cédric Ärm": ("2", "9"),
        "dora": ("", ""),
    }
    assert table["anna"]["to read"] == "written-3" and table["bob"]["to read"] == ""
    assert "answer-2 ended the Python process" in table["Cédric Ärm"]["remarks"]
    assert "zip" in table["dora"]["reason"]

    page = (handed / "anna/tiny/my answers.feedback.html").read_text(encoding="utf-8")
    feedback = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert "Because it is so." in feedback and "double(1) == 2" in feedback
    assert "double(3) == 6" not in feedback and "MARK SCHEME" not in feedback
    assert not re.search(r"<pre>2(\.0)?</pre>", page)  # the points of a test cell stand in its heading

    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{own.root / 'gradebook.db'}") as book:
        found = {s.student.id: (s.score, s.needs_manual_grade) for s in book.assignment_submissions("tiny")}
    assert found == {"anna": (5.0, True), "bob": (0.0, False), "Cédric_Ärm": (2.0, False)}
    assert (own.root / "autograded/anna/tiny/tiny.ipynb").exists()

    # once more: only what has changed is graded, and what a person gave stays
    with Gradebook(f"sqlite:///{own.root / 'gradebook.db'}") as book:
        grade = book.find_grade("written-3", "tiny", "tiny", "anna")
        grade.manual_score, grade.needs_manual_grade = 3.0, False
        book.db.commit()
    from ncsn_edu.grading import grade as module

    graded, real = [], module.grade_apart
    monkeypatch.setattr(module, "grade_apart", lambda *given: graded.append(given[1].file) or real(*given))
    (handed / "bob.ipynb").write_bytes((handed / "anna/tiny/my answers.ipynb").read_bytes())
    (handed / "dora.docx").unlink()
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out.partition("With the points in the gradebook:")[2].splitlines()[1:]
    assert said[0] == "anna: tiny: 8 of 9 points" and not said[1]
    assert graded == ["bob.ipynb"] and rows(handed)["bob"]["points"] == "5" and len(rows(handed)) == 3
    with Gradebook(f"sqlite:///{own.root / 'gradebook.db'}") as book:
        assert book.find_submission("tiny", "anna").score == 8.0


def test_files_that_are_no_notebook_by_their_size_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ncsn_edu.grading.submissions.MOST_BYTES", 10)
    (tmp_path / "x.ipynb").write_text("{}" + " " * 20)
    with pytest.raises(Unreadable, match="outputs cleared"):
        handed_in.read(tmp_path / "x.ipynb")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_at_once_and_keeps_what_was_graded(handed, course, tmp_path):
    mark = "98763.5"
    endless = nbformat.reads((handed / "anna/tiny/my answers.ipynb").read_text(encoding="utf-8"), as_version=4)
    start = f"import subprocess\nsubprocess.Popen(['sleep', '{mark}'])\nwhile True: pass"
    handed_in.cell_of(endless, "answer-1").source = start
    for path in handed.iterdir():
        if path.name not in ("anna", "dora.docx"):
            path.unlink()
    (handed / "zoe.ipynb").write_bytes(handed_in.as_bytes(endless))
    own = Path(shutil.copytree(course.root, tmp_path / "course"))
    with open(own / "nbgrader_config.py", "a") as config:
        config.write("\nc.Execute.cell_seconds = 300.0\n")
    command = [sys.executable, "-m", "ncsn_edu", "grade", str(handed), "--course", str(own), "--jobs", "1"]
    with started(command, stdout=-1, stderr=-1, text=True, start_new_session=True) as run:
        wait_for(lambda: handed_in.running(mark), "zoe's endless cell runs", seconds=300, every=0.3)
        os.kill(run.pid, signal.SIGINT)
        run.communicate(timeout=PATIENCE)
    assert run.returncode == 130
    assert rows(handed)["anna"]["points"] == "5"
    wait_for(lambda: not handed_in.running(mark), "the cell's process ends", every=0.2)


def test_nothing_of_a_grading_is_left_in_the_temporary_folder(handed, course, tmp_path, monkeypatch):
    for name in ("anna", "bob.ipynb", "Cédric Ärm.ipynb"):
        shutil.rmtree(handed / name) if (handed / name).is_dir() else (handed / name).unlink()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["grade", str(handed), "--course", str(course.root)]) == 1
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "not a folder"),
        (["."], 1, "holds no submission"),
        ([".", "--course", "nowhere"], 1, "no folder source/"),
        ([".", "--jobs", "0"], 2, "--jobs"),
    ],
)
def test_wrong_usage_says_what_to_do(arguments, code, words, tmp_path, monkeypatch, capsys, course):
    monkeypatch.chdir(tmp_path)
    if "--course" not in arguments:
        arguments = [*arguments, "--course", str(course.root)]
    assert main(["grade", *arguments]) == code
    assert words in capsys.readouterr().err


def test_a_failing_nbgrader_is_an_error_with_its_words(course, tmp_path):
    notebook = new_notebook(cells=[new_code_cell("1", metadata={"nbgrader": {"grade_id": "x"}})])
    from ncsn_edu.grading.course import grade_one

    course.prepare(["tiny"], tmp_path)
    with pytest.raises(CourseError, match="nbgrader: "):
        grade_one(course, tmp_path, "tiny", "one", notebook)


def test_without_nbgrader_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["grade", str(tmp_path)]) == 1
    assert "pip install" in capsys.readouterr().err


def test_learners_do_not_need_nbgrader():
    """The tools of the test cells import without it, and so does the package."""
    code = "import sys; sys.modules['nbgrader'] = None; import ncsn_edu, ncsn_edu.grading.tasks; print('ok')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "ok\n"
