"""The assignments: sources, releases and guide agree; right answers get their points, wrong ones lose them."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
if not (ROOT / "notebooks/source/assignments").exists():
    pytest.skip("a public copy has no sources of assignments", allow_module_level=True)
import assignments as tool  # noqa: E402
import handed_in  # noqa: E402
import harness  # noqa: E402

from ncsn_edu.grading.calls import codes_of  # noqa: E402
from ncsn_edu.grading.course import Course, grade_one  # noqa: E402
from ncsn_edu.grading.submissions import remarks_on  # noqa: E402

NAMES = harness.NAMES
COURSE = Course(ROOT / "notebooks/assignments")
ONE_SEED = 0


def release(name: str) -> nbformat.NotebookNode:
    return nbformat.read(tool.made_path(name, "release"), as_version=4)


# ---- what is handed out -----------------------------------------------------------------------------------------


def test_sources_and_releases_are_what_the_texts_make_byte_for_byte():
    assert tool.problems(NAMES) == []


def test_there_are_five_assignments():
    assert [name.split("_")[0] for name in NAMES] == ["a1", "a2", "a3", "a4", "a5"]
    assert COURSE.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_release_holds_no_solution_no_hidden_test_and_no_rubric(name):
    notebook = release(name)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search("BEGIN|END SOLUTION|HIDDEN|MARK SCHEME", text)
    for cell in notebook.cells:
        if handed_in.grade_id(cell).startswith("answer-"):
            assert "raise NotImplementedError()" in cell.source
            answer = handed_in.cell_of(harness.notebook(name), handed_in.grade_id(cell)).source
            solution = re.search("### BEGIN SOLUTION(.*?)### END SOLUTION", answer, re.DOTALL)[1]
            own = [line.strip() for line in solution.splitlines() if len(line.strip()) > 25]
            assert own or len(solution) < 200
            assert not set(own) & {line.strip() for line in text.splitlines()}
        if handed_in.grade_id(cell).startswith("written-"):
            assert cell.source.strip() == "YOUR ANSWER HERE"


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_has_the_parts_and_points_that_it_says(name):
    notebook = harness.notebook(name)
    ids = [handed_in.grade_id(cell) for cell in notebook.cells if handed_in.grade_id(cell)]
    assert len(ids) == len(set(ids))
    tasks = harness.tasks(name)
    assert 8 <= len(tasks) <= 12  # 6 to 10 small ones, the prediction, the open one
    assert sum(kind.startswith("written-") for kind in ids) == 1 == sum(kind.startswith("question-") for kind in ids)
    assert 1 in tasks.values(), "no point for a prediction"
    written = sum(c.metadata.nbgrader.points for c in notebook.cells if handed_in.grade_id(c).startswith("written-"))
    total, auto, by_hand = map(
        int,
        re.search(
            r"(\d+) points: (\d+) by\s+automatic\s+tests, (\d+) for\s+a\s+written", notebook.cells[0].source
        ).groups(),
    )
    assert (total, auto, by_hand) == (sum(tasks.values()) + written, sum(tasks.values()), written)
    minutes = int(re.search(r"About (\d+) minutes", notebook.cells[0].source)[1])
    assert 60 <= minutes <= 120
    headings = re.findall(r"^## Task (\d+) .*\((\d+) points?\)", harness_text(name), re.MULTILINE)
    assert {n: float(p) for n, p in headings} == {**tasks, **{str(len(tasks) + 1): written}}


def harness_text(name: str) -> str:
    return "\n".join(cell.source for cell in harness.notebook(name).cells if cell.cell_type == "markdown")


def test_a_public_copy_holds_no_solution(tmp_path):
    tool.public(tmp_path / "copy")
    made = [path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert "notebooks/assignments/for_students.md" in made and "Makefile" in made
    assert any(name.startswith("notebooks/assignments/release/") for name in made)
    for path in made:
        # What makes, grades and tests assignments knows nbgrader's marks by name.
        if not path.startswith(("tools/", "tests/", "ncsn_edu/grading/", "notebooks/assignments/nbgrader_config")):
            content = (tmp_path / "copy" / path).read_bytes()
            assert b"BEGIN SOLUTION" not in content and b"BEGIN HIDDEN" not in content, path
    private = ("/wrong/", "/right/", "/own/", "teachers_guide")
    assert not any(part in name for name in made for part in private)
    with pytest.raises(tool.NotebookError, match="not empty"):
        tool.public(tmp_path / "copy")


def test_an_edit_in_jupyterlab_can_be_carried_back(tmp_path, monkeypatch):
    """pull writes the very text that made the notebook, up to blank lines."""
    name = NAMES[0]
    before = tool.source_path(name).read_text(encoding="utf-8")
    monkeypatch.setattr(tool, "source_path", lambda name: tmp_path / f"{name}.py")
    tool.pull(name)
    after = (tmp_path / f"{name}.py").read_text(encoding="utf-8")
    same = [cell.source for cell in tool.parse(name, after).cells] == [c.source for c in tool.parse(name, before).cells]
    assert same and tool.parse(name, after).cells[3].metadata == tool.parse(name, before).cells[3].metadata


# ---- what answers get --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_solutions_and_every_answer_of_the_banks_get_what_they_should(name):
    """All in one run of the notebook: what is right, and then what is wrong."""
    rows = harness.table(name, "solution", "right", "wrong", seed=ONE_SEED)
    off = [
        f"{kind} {answer.task} {answer.why}: {got:g}, not {should:g}\n{said}"
        for kind, answer, should, got, said in rows
        if got != should
    ]
    assert {row[1].task for row in rows if row[0] == "solution"} == set(harness.tasks(name))
    assert not off, "\n".join(off)


@pytest.mark.parametrize("name", NAMES)
def test_helpers_names_and_settings_of_a_notebook_cost_nothing(name):
    """Whole notebooks of the bank own/, each with its own versions of earlier tasks, names or settings."""
    notebooks = harness.owns(name)
    rows = [row for answers in notebooks.values() for row in harness.own(name, answers, seed=ONE_SEED)]
    off = [f"{r[0].task} {r[0].why}: {r[2]:g}, not {r[1]:g}\n{r[3]}" for r in rows if r[1] != r[2]]
    assert len(notebooks) >= 4 and not off, "\n".join(off)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_task_prices_is_what_its_text_names(name):
    cells = harness.notebook(name).cells
    priced = 0
    for at, cell in enumerate(cells):
        if stuck := re.search(r'^task = Task\("\d+", stuck="([\w.]+)', cell.source, re.MULTILINE):
            text = next(cell.source for cell in reversed(cells[:at]) if "*Stuck?" in cell.source)
            assert codes_of(stuck[1]), "the package has none of this name"
            assert stuck[1].split(".")[-1] in text.partition("*Stuck?")[2], cell.source[:200]
            priced += 1
    assert priced >= 3


@pytest.mark.parametrize("name", NAMES)
def test_the_banks_hold_enough_for_each_task(name):
    wrong, right = harness.bank("wrong", name), harness.bank("right", name)
    assert {answer.task for answer in wrong + right} == set(harness.tasks(name))
    for task in harness.tasks(name):
        assert sum(answer.task == task and not answer.points for answer in wrong) >= 5, task
        assert sum(answer.task == task for answer in right) >= 3, task
    assert len({(answer.task, answer.code) for answer in wrong + right}) == len(wrong + right)


@pytest.mark.parametrize("name", NAMES)
def test_the_release_gets_no_points(name):
    assert set(harness.unanswered(name).values()) == {0.0}


def test_with_nbgrader_the_release_gets_none(tmp_path):
    """And the solutions all: tests/benchmarks/bench_grading.py, which is run with the tests."""
    name = NAMES[0]
    COURSE.prepare([name], tmp_path)
    grade, graded = grade_one(COURSE, tmp_path, name, "empty", release(name))
    assert grade.automatic == 0.0 and remarks_on(graded) == [] and len(grade.points) == len(harness.tasks(name)) + 1


# ---- the guide ---------------------------------------------------------------------------------------------------


def test_the_guide_has_the_table_of_answers():
    """With the points that each should get; that it gets them is tested above."""
    guide = (ROOT / "notebooks/assignments/teachers_guide.md").read_text(encoding="utf-8")
    assert harness.as_markdown() in guide, "run python tests/assignments/harness.py --guide"


def test_the_commands_of_the_guides_are_understood():
    from ncsn_edu.__main__ import _parser

    texts = [(ROOT / f"notebooks/assignments/{name}.md").read_text() for name in ("teachers_guide", "for_students")]
    commands = re.findall(r"python -m ncsn_edu ((?:grade|doctor)[^`\n]*)", "\n".join(texts))
    assert len(commands) >= 3
    for command in commands:
        _parser().parse_args(command.replace("FOLDER", "x").split())
    targets = re.findall(r"`make ([a-z-]+)", "\n".join(texts))
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert targets and all(f"  {target} " in shown for target in targets)
