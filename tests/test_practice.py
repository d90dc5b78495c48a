"""Cells "Write it": banks of right and wrong answers get the right word; whatever a learner writes, the cell ends well.

A bank is a file of tests/practice: chunks `# %% EXERCISE | right: WHAT` and `# %% EXERCISE | wrong: WORDS | WHAT`,
where WORDS have to be in what is said.
"""

import inspect
import itertools
import math
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

import ncsn_edu
from ncsn_edu import practice
from ncsn_edu.practice import verdict as mechanism

ROOT = Path(__file__).resolve().parents[1]
CHUNK = re.compile(r"^# %% (\w+) \| (right|wrong): (.+)\n", re.MULTILINE)
LEAST = {"right": 2, "wrong": 3}  # answers to each exercise


def chunks():
    for path in sorted((ROOT / "tests" / "practice").glob("*.py")):
        _, *parts = CHUNK.split(path.read_text(encoding="utf-8"))
        yield from zip(*(parts[i::4] for i in range(4)), strict=True)


BANK = list(chunks())


def written(code: str) -> object:
    """The function that the code defines, in names of its own."""
    names = {"__name__": "__main__", "torch": torch, "np": np, "math": math, "ne": ncsn_edu}
    before = set(names)
    exec(code, names)
    *_, last = (name for name in names if name not in before and name != "__builtins__")
    return names[last]


def said(capsys, exercise: str, function: object) -> str:
    capsys.readouterr()
    getattr(practice, exercise)(function)
    out, err = capsys.readouterr()
    assert err == "" and out.count("\n") == 1
    return out.rstrip("\n").partition(": ")[2]


@pytest.mark.parametrize(
    ("exercise", "kind", "title", "code"), BANK, ids=[f"{name}-{title}" for name, _, title, _ in BANK]
)
def test_answers_get_the_right_word(capsys, exercise, kind, title, code):
    words = said(capsys, exercise, written(code))
    if kind == "right":
        assert words == "right"
    else:
        assert words.startswith("not right yet: ") and title.partition(" | ")[0] in words


@pytest.mark.parametrize("exercise", practice.__all__)
def test_each_exercise_has_answers_of_both_kinds(exercise):
    counts = {kind: sum((name, sort) == (exercise, kind) for name, sort, _, _ in BANK) for kind in LEAST}
    assert all(counts[kind] >= LEAST[kind] for kind in LEAST), counts


# ---- whatever a learner writes ---------------------------------------------------------------------------------


class Own(BaseException):
    pass


def endless(x, score, alpha, z):
    while True:
        pass


def raising(error):
    def my_step(x, score, alpha, z):
        raise error

    return my_step


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, score, alpha, z: ..., "not written yet"),
        (lambda x, score, alpha, z: None, "not written yet"),
        (lambda x, score, alpha, z: x + alpha / 2 * score(x) + ..., "not written yet"),
        (lambda x, score, alpha, z: (x, ...), "not written yet"),
        (raising(NotImplementedError()), "not written yet"),
        (
            lambda x, score, alpha, z: print(x),
            "not right yet: <lambda> returned nothing: is there a return at its end?",
        ),
        (lambda x, score, alpha, z: "a string", "not right yet: <lambda> is a str, not numbers"),
        (lambda x, score, alpha, z: x[0], "not right yet: <lambda> has shape (2,), and (4, 2) was expected"),
        (lambda x, score, alpha, z: torch.nan * x, "not right yet: x is nan for all of it"),
        (lambda x, score, alpha, z: x / 0, "not right yet: x is infinite for all of it"),
        (lambda x: x, "not right yet: your code stopped with TypeError"),
        (lambda x, score, alpha, z: x @ z, "not right yet: your code stopped with RuntimeError"),
        (lambda x, score, alpha, z: score, "not right yet: <lambda> is a Given, not numbers"),
        (raising(SystemExit(3)), "not right yet: your code stopped with SystemExit: 3"),
        (raising(Own("mine")), "not right yet: your code stopped with Own: mine"),
        (raising(KeyboardInterrupt()), "not right yet: it ran out of time"),
        (torch.zeros(4, 2), "give the function itself, and not what it returns (this is a Tensor)"),
        (None, "give the function itself, and not what it returns (this is a NoneType)"),
    ],
)
def test_bad_answers_get_a_sentence(capsys, function, words):
    assert said(capsys, "langevin_step", function).startswith(words)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing stops a loop there but the learner")
def test_an_endless_loop_is_stopped(capsys, monkeypatch):
    monkeypatch.setattr(mechanism, "SECONDS", 0.2)
    assert said(capsys, "langevin_step", endless) == "not right yet: it ran out of time"


@pytest.mark.parametrize("body", ["...", "pass", '"""A step."""', "# one line\n    ...", "return ..."])
def test_an_empty_body_is_not_written_yet(capsys, body):
    code = f"def my_step(x, score, alpha, z):\n    {body}\n"
    assert said(capsys, "langevin_step", written(code)) == "not written yet"


def test_random_numbers_and_settings_stay_as_they_were(capsys):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.randn(3), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    torch.set_default_dtype(torch.float64)
    try:
        step = lambda x, score, alpha, z: x + alpha / 2 * score(x) + alpha**0.5 * (z + 0 * torch.rand(3).sum())  # noqa: E731
        assert said(capsys, "langevin_step", step) == "right"
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.randn(3), expected[0]) and np.random.rand() == expected[1]


def test_without_gradients_a_slice_is_still_right(capsys):
    code = next(code for name, kind, title, code in BANK if name == "slice_loss" and title.startswith("the gradient"))
    with torch.no_grad():
        assert said(capsys, "slice_loss", written(code)) == "right"


# ---- in the notebooks ------------------------------------------------------------------------------------------

SOLUTION = re.compile(r"<details><summary>Solution</summary>\n+```python\n(.*?)```\n", re.DOTALL)
CALL = re.compile(r"^practice\.(\w+)\((\w+)\)$", re.MULTILINE)


def cells_to_write():
    """(notebook, its cell of imports, the cell to write, the solution before it)."""
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        first = next((cell.source for cell in cells if cell.cell_type == "code" and "practice" in cell.source), "")
        for before, cell in itertools.pairwise(cells):
            if cell.cell_type == "code" and CALL.search(cell.source):
                yield path.stem, first, cell, before.source


TO_WRITE = list(cells_to_write())


@pytest.mark.parametrize(
    ("first", "cell", "text"),
    [each[1:] for each in TO_WRITE],
    ids=[f"{name}-{CALL.search(cell.source)[1]}" for name, _, cell, _ in TO_WRITE],
)
def test_cells_to_write_are_unwritten_and_their_solutions_right(capsys, first, cell, text):
    (solution,) = SOLUTION.findall(text)
    (exercise, function) = CALL.search(cell.source).groups()
    assert "**Write it" in text
    assert [output.text for output in cell.outputs] == [f"{function}: not written yet\n"]
    names: dict = {"__name__": "__main__"}
    exec(first, names)
    exec(cell.source, names)
    before = inspect.signature(names[function])
    exec(solution, names)
    assert inspect.signature(names[function]) == before, "the solution has other arguments than the cell"
    assert said(capsys, exercise, names[function]) == "right"


def test_each_exercise_stands_in_one_notebook():
    used = sorted(CALL.search(cell.source)[1] for _, _, cell, _ in TO_WRITE)
    assert used == sorted(practice.__all__)
