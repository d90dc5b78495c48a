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

matplotlib.use("agg")
from matplotlib import pyplot as plt
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import assignments as tool  # noqa: E402

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


def grade_id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def tasks(name: str) -> dict[str, float]:
    """Each automatically graded task and its points."""
    cells = [cell.metadata.nbgrader for cell in notebook(name).cells if grade_id(cell).startswith("tests-")]
    return {data.grade_id.removeprefix("tests-"): data.points for data in cells}


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


def points(name: str, answer: Answer, *, seed: int = 0) -> tuple[float, str]:
    """What the task's test cell gives for the answer, the tasks before being right, and what it prints."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook(name).cells:
        if cell.cell_type != "code" or (
            grade_id(cell).startswith("tests-") and grade_id(cell) != f"tests-{answer.task}"
        ):
            continue
        if grade_id(cell) == f"tests-{answer.task}":
            return _tested(cell.source, names, seed)
        source = answer.code if grade_id(cell) == f"answer-{answer.task}" else cell.source
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            run_cell(source, names)  # an answer whose cell fails is a wrong one
    raise ValueError(f"{name} has no task {answer.task}")


def reference(name: str, *, seed: int = 0) -> dict[str, tuple[float, str]]:
    """Points and words for the reference solutions, all in one run."""
    names: dict[str, Any] = {"__name__": "__main__"}
    found = {}
    for cell in notebook(name).cells:
        if cell.cell_type == "code" and grade_id(cell).startswith("tests-"):
            found[grade_id(cell).removeprefix("tests-")] = _tested(cell.source, names, seed)
        elif cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                run_cell(cell.source, names)
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


def table(kind: str, name: str, seed: int = 0) -> list[tuple[Answer, float, float, str]]:
    """Every answer of a bank with its expected points, those it got, and what the tests said."""
    most = tasks(name)
    rows = []
    for answer in bank(kind, name):
        wanted = answer.points if answer.points is not None else (most[answer.task] if kind == "right" else 0.0)
        rows.append((answer, wanted, *points(name, answer, seed=seed)))
    return rows


def as_markdown(table: dict[str, list[list[tuple[Answer, float, float, str]]]]) -> str:
    """The table of the teacher's guide: each answer of the banks, and the points that it got."""
    lines = []
    for name, banks in table.items():
        most = tasks(name)
        lines += [f"#### {name}", "", "| task | answer | points |", "|---|---|---|"]
        for kind, found in zip(("wrong", "right"), banks, strict=True):
            for answer, _, got, _ in sorted(found, key=lambda row: int(row[0].task)):
                why = answer.why.replace("|", "/")
                lines.append(f"| {answer.task} | {kind}: {why} | {got:g} of {most[answer.task]:g} |")
        lines.append("")
    return "\n".join(lines)


def write_guide() -> None:
    """Put the table between its two marks in the guide."""
    guide = ROOT / "notebooks/assignments/teachers_guide.md"
    head, _, rest = guide.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, _, tail = rest.partition("<!-- end of table -->")
    made = as_markdown({name: [table(kind, name) for kind in ("wrong", "right")] for name in NAMES})
    guide.write_text(f"{head}<!-- table -->\n{made}<!-- end of table -->{tail}", encoding="utf-8")


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
            with contextlib.redirect_stdout(io.StringIO()):
                run_cell(cell.source, names)
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
                for answer, wanted, got, said in table(kind, name):
                    mark = "ok  " if got == wanted else "BAD "
                    print(
                        f"{mark} {kind} {answer.task} {answer.why}: {got:g}", "" if got == wanted else said, flush=True
                    )
