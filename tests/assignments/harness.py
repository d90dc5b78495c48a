"""Run the test cells of an assignment on answers from a file, in this process. This file does NOT hold any answer.

A bank is a Python file in chunks: a line `# %% 3 | what is special about it | 2` opens an answer to task 3 that is
worth 2 points (none: 0 in the wrong ones, all in the right ones), and the chunk is what stands in the answer cell.
In the bank own/ all chunks with the same words belong to one notebook, in which they replace the solutions; a chunk for
task 0 is a cell of the learner's after the first set-up. All tasks that are replaced get their points; with task 0 all.
"""

import ast
import contextlib
import io
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import nbformat
import numpy as np

matplotlib.use("agg")
from matplotlib import pyplot as plt
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import assignments as tool  # noqa: E402

from ncsn_edu.grading.cells import Cells, execute  # noqa: E402
from ncsn_edu.grading.settings import Settings  # noqa: E402
from ncsn_edu.grading.submissions import grade_id  # noqa: E402
from ncsn_edu.grading.tasks import Wrong  # noqa: E402

NAMES = tool.find_names([])


class Answer(NamedTuple):
    """A chunk of a bank."""

    task: str
    why: str
    code: str
    points: float | None


@cache
def notebook(name: str) -> NotebookNode:
    return tool.parse(name, tool.source_path(name).read_text(encoding="utf-8"))


def tasks(name: str) -> dict[str, float]:
    """Each automatically graded task and its points."""
    cells = [cell.metadata.nbgrader for cell in notebook(name).cells if grade_id(cell).startswith("tests-")]
    return {data.grade_id.removeprefix("tests-"): data.points for data in cells}


def defined(name: str, task: str) -> list[str]:
    """The functions that the answer to a task defines."""
    (cell,) = [cell for cell in notebook(name).cells if grade_id(cell) == f"answer-{task}"]
    return [node.name for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]


def bank(kind: str, name: str) -> list[Answer]:
    """The answers in tests/assignments/KIND/NAME.py; of the kind "solution" those of the assignment itself."""
    if kind == "solution":
        cells = [cell for cell in notebook(name).cells if grade_id(cell).startswith("answer-")]
        return [Answer(grade_id(cell).removeprefix("answer-"), "the solution", cell.source, None) for cell in cells]
    found = []
    for chunk in (ROOT / "tests/assignments" / kind / f"{name}.py").read_text(encoding="utf-8").split("\n# %% ")[1:]:
        head, _, code = chunk.partition("\n")
        task, why, *points = (part.strip() for part in head.split("|"))
        found.append(Answer(task, why, code.strip("\n") + "\n", float(points[0]) if points else None))
    return found


def run_cell(source: str, cells: Cells) -> Any:
    """Execute a cell; the value of its last line, if that is an expression."""
    if source.startswith("%%tests "):
        first, _, body = source.partition("\n")
        return cells.run(first.removeprefix("%%tests "), body)
    return execute(source, "<ipykernel>", cells.names)


def run_quietly(source: str, cells: Cells, *forgiven: type[Exception]) -> None:
    """Execute a cell for the names that it leaves."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(*forgiven):
        run_cell(source, cells)


def befores(name: str) -> Iterator[tuple[str, Cells]]:
    """Each task, and the notebook when all before its answer has been run, with right answers. One notebook for all."""
    cells = Cells({"__name__": "__main__"})
    for cell in notebook(name).cells:
        kind, _, task = grade_id(cell).partition("-")
        if kind == "answer":
            yield task, cells
        if cell.cell_type == "code" and kind != "tests":
            run_quietly(cell.source, cells)


def _points(cells: Cells, name: str, answer: Answer, seed: int, test: str | None = None) -> tuple[float, str]:
    """The answer, then the cells up to its test, then the test: the whole, or this part of it."""
    sources = {grade_id(cell): cell.source for cell in notebook(name).cells if cell.cell_type == "code"}
    order = list(sources)
    at, end = order.index(f"answer-{answer.task}"), order.index(f"tests-{answer.task}")
    for source in [answer.code, *(sources[cell] for cell in order[at + 1 : end])]:
        run_quietly(source, cells, Exception)  # an answer whose cell fails is a wrong one
    return _tested(test or sources[f"tests-{answer.task}"], cells, seed)


def owns(name: str) -> dict[str, dict[str, Answer]]:
    """The notebooks of the bank own/: by their words, and in each the chunks by task."""
    found: dict[str, dict[str, Answer]] = {}
    for answer in bank("own", name):
        found.setdefault(answer.why, {})[answer.task] = answer
    return found


def own(name: str, answers: dict[str, Answer], *, seed: int = 0) -> list[tuple[Answer, float, float, str]]:
    """The notebook with these answers: each task's expected points, those it got, and what the tests said."""
    before = Settings.now()
    with warnings.catch_warnings(), np.errstate():
        warnings.simplefilter("ignore")
        try:
            return _own(name, answers, seed)
        finally:
            before.set()


def _own(name: str, answers: dict[str, Answer], seed: int) -> list[tuple[Answer, float, float, str]]:
    cells, rows = Cells({"__name__": "__main__"}), []
    tested = tasks(name) if "0" in answers else list(answers)
    for cell in notebook(name).cells:
        kind, _, task = grade_id(cell).partition("-")
        if kind == "tests" and task in tested:
            answer = answers.get(task, Answer(task, "", "", None))
            most = tasks(name)[task] if answer.points is None else answer.points
            rows.append((answer, most, *_tested(cell.source, cells, seed)))
        elif cell.cell_type == "code" and kind != "tests":
            replaced = kind == "answer" and task in answers
            run_quietly(answers[task].code if replaced else cell.source, cells, Exception)
        if grade_id(cell) == "setup-1" and "0" in answers:
            run_quietly(answers["0"].code, cells, Exception)
        if len(rows) == len(tested):
            break
    return rows


def unanswered(name: str) -> dict[str, float]:
    """Points for the notebook as it is handed out, with the hidden tests back in it."""
    handed_out = nbformat.reads(tool.made_path(name, "release").read_text(encoding="utf-8"), as_version=4)
    tests = {grade_id(cell): cell.source for cell in notebook(name).cells if grade_id(cell).startswith("tests-")}
    cells, found = Cells({"__name__": "__main__"}), {}
    for cell in handed_out.cells:
        if grade_id(cell) in tests:
            found[grade_id(cell).removeprefix("tests-")] = _tested(tests[grade_id(cell)], cells, 0)[0]
        elif cell.cell_type == "code":
            run_quietly(cell.source, cells, NotImplementedError)
    return found


def _tested(source: str, cells: Cells, seed: int) -> tuple[float, str]:
    said = io.StringIO()
    os.environ["NCSN_EDU_GRADING_SEED"] = str(seed)
    try:
        with contextlib.redirect_stdout(said):
            value = run_cell(source, cells)
    except Wrong:  # without hidden checks the cell says so, and gives no points
        value = None
    finally:
        del os.environ["NCSN_EDU_GRADING_SEED"]
        plt.close("all")
    return float(value or 0), said.getvalue()


def table(name: str, *kinds: str, seed: int = 0) -> list[tuple[str, Answer, float, float, str]]:
    """Every answer of some banks: its kind, expected points, those it got, and what the tests said.

    The notebook is run once for all of them; the names that an answer leaves are taken back.
    """
    rows: list[tuple[str, Answer, float, float, str]] = []
    banks = [(kind, answer) for kind in kinds for answer in bank(kind, name)]
    for task, before in befores(name):
        kept = dict(before.names)
        answers = [(kind, answer) for kind, answer in banks if answer.task == task]
        for kind, answer in answers:
            rows.append((kind, answer, wanted(kind, name, answer), *_points(before, name, answer, seed)))
            before.names.clear()
            before.names.update(kept)
    return rows


def silent(name: str) -> tuple[list[Answer], int]:
    """The wrong answers that get nothing while all checks that the learner sees pass; how many get nothing at all."""
    none, unseen = 0, []
    for task, before in befores(name):
        (test,) = [cell.source for cell in notebook(name).cells if grade_id(cell) == f"tests-{task}"]
        seen = re.sub("### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", "", test, flags=re.DOTALL)
        kept = dict(before.names)
        for answer in bank("wrong", name):
            if answer.task == task and not answer.points:
                none += 1
                said = _points(before, name, answer, 0, seen)[1]
                unseen += [] if "✗" in said else [answer]
                before.names.clear()
                before.names.update(kept)
    return unseen, none


def wanted(kind: str, name: str, answer: Answer) -> float:
    """The points that an answer of a bank should get."""
    if answer.points is not None:
        return answer.points
    return 0.0 if kind == "wrong" else tasks(name)[answer.task]


def as_markdown() -> str:
    """The table of the teacher's guide: each answer of the banks, and its points."""
    lines = []
    for name in NAMES:
        lines += [f"#### {name}", "", "| task | answer | points |", "|---|---|---|"]
        for kind in ("wrong", "right"):
            for answer in sorted(bank(kind, name), key=lambda answer: int(answer.task)):
                got, most = wanted(kind, name, answer), tasks(name)[answer.task]
                lines.append(f"| {answer.task} | {kind}: {answer.why} | {got:g} of {most:g} |")
        lines.append("")
    return "\n".join(lines)


def write_guide() -> None:
    """Put the table between its two marks in the guide."""
    guide = ROOT / "notebooks/assignments/teachers_guide.md"
    head, _, rest = guide.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, _, tail = rest.partition("<!-- end of table -->")
    guide.write_text(f"{head}<!-- table -->\n{as_markdown()}<!-- end of table -->{tail}", encoding="utf-8")


def false_alarms(name: str, seeds: range) -> dict[str, list[int]]:
    """For each task the seeds with which the reference solution lost points; the answers are run once."""
    cells = Cells({"__name__": "__main__"})
    lost: dict[str, list[int]] = {}
    most = tasks(name)
    for cell in notebook(name).cells:
        if cell.cell_type != "code":
            continue
        task = grade_id(cell).removeprefix("tests-")
        if task in most and grade_id(cell).startswith("tests-"):
            for seed in seeds:
                got, said = _tested(cell.source, cells, seed)
                if got != most[task]:
                    lost.setdefault(task, []).append(seed)
                    print(name, task, "seed", seed, said)
        else:
            run_quietly(cell.source, cells)
    return lost


if (
    __name__ == "__main__"
):  # python tests/assignments/harness.py [NAME] | --guide | --silent [NAME] | --seeds 200 [NAME]
    words = sys.argv[1:]
    if words == ["--guide"]:
        write_guide()
    elif words[:1] == ["--silent"]:
        for name in tool.find_names(words[1:]):
            unseen, none = silent(name)
            print(
                f"{name}: {len(unseen)} of {none} answers without points pass every check that can be seen", flush=True
            )
            for answer in unseen:
                print(f"    {answer.task} {answer.why}")
    elif words[:1] == ["--seeds"]:
        for name in tool.find_names(words[2:]):
            begin = time.perf_counter()
            lost = false_alarms(name, range(int(words[1])))
            print(
                f"{name}: {words[1]} seeds, {time.perf_counter() - begin:.0f} s, false alarms: {lost or 'none'}",
                flush=True,
            )
    else:
        for name in tool.find_names(words):
            rows = table(name, "solution", "right", "wrong")
            rows += [("own", *row) for answers in owns(name).values() for row in own(name, answers)]
            for kind, answer, should, got, said in rows:
                mark = "ok  " if got == should else "BAD "
                print(f"{mark} {kind} {answer.task} {answer.why}: {got:g}", "" if got == should else said)
