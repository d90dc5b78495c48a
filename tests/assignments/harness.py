"""Run the test cells of an assignment on answers from a file, in this process. This file does NOT hold any answer.

A bank is a Python file in chunks: a line `# %% 3 | what is special about it | 2` opens an answer to task 3 that is
worth 2 points (none: 0 in the wrong ones, all in the right ones), and the chunk is what stands in the answer cell.
"""

import ast
import contextlib
import io
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import nbformat

matplotlib.use("agg")
from matplotlib import pyplot as plt
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import assignments as tool  # noqa: E402

from ncsn_edu.grading.submissions import grade_id  # noqa: E402

NAMES = tool.find_names([])
SLOW = {("a4_digits", "9")}  # its test samples from a network for seconds


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
    """The answers in tests/assignments/KIND/NAME.py."""
    found = []
    for chunk in (ROOT / "tests/assignments" / kind / f"{name}.py").read_text(encoding="utf-8").split("\n# %% ")[1:]:
        head, _, code = chunk.partition("\n")
        task, why, *points = (part.strip() for part in head.split("|"))
        found.append(Answer(task, why, code.strip("\n") + "\n", float(points[0]) if points else None))
    return found


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<ipykernel>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<ipykernel>", "eval"), names) if last else None


def run_quietly(source: str, names: dict[str, Any], *forgiven: type[Exception]) -> None:
    """Execute a cell for the names that it leaves."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(*forgiven):
        run_cell(source, names)


def points(name: str, answer: Answer, *, seed: int = 0) -> tuple[float, str]:
    """What the task's test cell gives for the answer, the tasks before being right, and what it prints."""
    return _points(_names_before(name, answer.task), name, answer, seed)


def _names_before(name: str, task: str) -> dict[str, Any]:
    """The notebook's names when everything before a task's answer has been run, with right answers."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook(name).cells:
        if grade_id(cell) == f"answer-{task}":
            return names
        if cell.cell_type == "code" and not grade_id(cell).startswith("tests-"):
            run_quietly(cell.source, names)
    raise ValueError(f"{name} has no task {task}")


def _points(names: dict[str, Any], name: str, answer: Answer, seed: int) -> tuple[float, str]:
    """The answer, then the cells up to its test, then the test."""
    sources = {grade_id(cell): cell.source for cell in notebook(name).cells if cell.cell_type == "code"}
    order = list(sources)
    at, end = order.index(f"answer-{answer.task}"), order.index(f"tests-{answer.task}")
    for source in [answer.code, *(sources[cell] for cell in order[at + 1 : end])]:
        run_quietly(source, names, Exception)  # an answer whose cell fails is a wrong one
    return _tested(sources[f"tests-{answer.task}"], names, seed)


def reference(name: str, *, seed: int = 0) -> dict[str, tuple[float, str]]:
    """Points and words for the reference solutions, all in one run."""
    return _graded(name, notebook(name).cells, seed)


def unanswered(name: str) -> dict[str, float]:
    """Points for the notebook as it is handed out, with the hidden tests back in it."""
    handed_out = nbformat.reads(tool.made_path(name, "release").read_text(encoding="utf-8"), as_version=4)
    return {task: got for task, (got, _) in _graded(name, handed_out.cells, 0, NotImplementedError).items()}


def _graded(
    name: str, cells: list[NotebookNode], seed: int, *forgiven: type[Exception]
) -> dict[str, tuple[float, str]]:
    """Points and words for each task of a notebook, with the tests of the source."""
    tests = {grade_id(cell): cell.source for cell in notebook(name).cells if grade_id(cell).startswith("tests-")}
    names: dict[str, Any] = {"__name__": "__main__"}
    found = {}
    for cell in cells:
        if grade_id(cell) in tests:
            found[grade_id(cell).removeprefix("tests-")] = _tested(tests[grade_id(cell)], names, seed)
        elif cell.cell_type == "code":
            run_quietly(cell.source, names, *forgiven)
    return found


def _tested(source: str, names: dict[str, Any], seed: int) -> tuple[float, str]:
    said = io.StringIO()
    os.environ["NCSN_EDU_GRADING_SEED"] = str(seed)
    try:
        with contextlib.redirect_stdout(said):
            value = run_cell(source, names)
    finally:
        del os.environ["NCSN_EDU_GRADING_SEED"]
        plt.close("all")
    return float(value), said.getvalue()


def table(kind: str, name: str, seed: int = 0, every: int = 1) -> list[tuple[Answer, float, float, str]]:
    """Every answer of a bank with its expected points, those it got, and what the tests said.

    What stands before a task is run once for all its answers; the names that an answer leaves are taken back.
    every: of a SLOW task only each so-many-th answer.
    """
    rows: list[tuple[Answer, float, float, str]] = []
    for task in tasks(name):
        before = _names_before(name, task)
        kept = dict(before)
        answers = [answer for answer in bank(kind, name) if answer.task == task]
        for answer in answers[:: every if (name, task) in SLOW else 1]:
            rows.append((answer, wanted(kind, name, answer), *_points(before, name, answer, seed)))
            before.clear()
            before.update(kept)
    return rows


def wanted(kind: str, name: str, answer: Answer) -> float:
    """The points that an answer of a bank should get."""
    if answer.points is not None:
        return answer.points
    return tasks(name)[answer.task] if kind == "right" else 0.0


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
    names: dict[str, Any] = {"__name__": "__main__"}
    lost: dict[str, list[int]] = {}
    most = tasks(name)
    for cell in notebook(name).cells:
        if cell.cell_type != "code":
            continue
        task = grade_id(cell).removeprefix("tests-")
        if task in most and grade_id(cell).startswith("tests-"):
            before = dict(names)
            for seed in seeds:
                got, said = _tested(cell.source, names, seed)
                if got != most[task]:
                    lost.setdefault(task, []).append(seed)
                    print(name, task, "seed", seed, said)
                names.update(before)
        else:
            run_quietly(cell.source, names)
    return lost


if __name__ == "__main__":  # python tests/assignments/harness.py [NAME] | --guide | --seeds 200 [NAME]
    words = sys.argv[1:]
    if words == ["--guide"]:
        write_guide()
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
            for task, (got, said) in reference(name).items():
                print(f"{name} {task}: {got:g} of {tasks(name)[task]:g}", "" if got == tasks(name)[task] else said)
            for kind in ("wrong", "right"):
                for answer, should, got, said in table(kind, name):
                    mark = "ok  " if got == should else "BAD "
                    print(
                        f"{mark} {kind} {answer.task} {answer.why}: {got:g}", "" if got == should else said, flush=True
                    )
