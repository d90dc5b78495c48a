"""Test cells and the notebook around them: whose names, settings, helpers, random numbers and lines they are.

Most of it runs test cells in this process, as IPython's %%tests does; at the end there are kernels, and the grader.
"""

import copy
import linecache
import random
import sys
import warnings
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/assignments")]
import assignments as tool  # noqa: E402
import handed_in  # noqa: E402
from nbgrader.utils import determine_grade  # noqa: E402

import ncsn_edu  # noqa: E402
from ncsn_edu.grading.calls import codes_of  # noqa: E402
from ncsn_edu.grading.cells import Cells  # noqa: E402
from ncsn_edu.grading.execute import Confined, Limits, run_cells  # noqa: E402
from ncsn_edu.grading.settings import Settings  # noqa: E402
from ncsn_edu.grading.tasks import Given, Task, Wrong, close  # noqa: E402

SMALL = """
# %% role="setup"
import torch

import ncsn_edu as ne
from ncsn_edu.grading.tasks import Task, close, ensure

# %% role="setup tests"
factors = [3.0]


def tripled(x):
    return factors[0] * x


# %% role="answer 1"
def triple(x):
    ### BEGIN SOLUTION
    return 3 * x
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="geometric")
answer = task.answer("triple")


@task.check("three times one")
def _():
    close(answer(torch.ones(1), shape=(1,)), [3.0])


### BEGIN HIDDEN TESTS
@task.check("three times several random numbers", points=2)
def _():
    numbers = sum([torch.randn(5), torch.full((5,), 0.25)])
    ensure(max(map(abs, numbers.tolist())) > 0, "all of the numbers that were drawn are zero")
    close(answer(numbers, shape=numbers.shape), tripled(numbers.double()))


### END HIDDEN TESTS
task.done()

# %% role="answer 2"
def nine_times(x):
    ### BEGIN SOLUTION
    return triple(triple(x))
    ### END SOLUTION


# %% role="tests 2 3"
task = Task("2")
answer = task.answer("nine_times")


@task.check("nine times one")
def _():
    close(answer(torch.ones(1), shape=(1,)), [9.0])


### BEGIN HIDDEN TESTS
task.uses(triple=lambda x: 3 * x)


@task.check("nine times several random numbers", points=3)
def _():
    numbers = torch.randn(4, 3)
    close(answer(numbers, shape=(4, 3)), tripled(tripled(numbers.double())))


### END HIDDEN TESTS
task.done()
"""
FULL = {"1": 2.0, "2": 3.0}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What a notebook sets is its own."""
    before = Settings.now()
    with warnings.catch_warnings(), np.errstate():
        yield
    before.set()


def executed(code: str, names: dict[str, Any], filename: str = "<cell>") -> None:
    """As IPython does it: the line of an error can be looked up."""
    linecache.cache[filename] = (len(code), None, code.splitlines(True), filename)
    exec(compile(code, filename, "exec"), names)


def points_of(*, before: str = "", answers: dict[str, str] | None = None) -> tuple[dict[str, float], dict[str, Any]]:
    """The points of the small assignment in this process, and the notebook's names; `before`: a cell after set-up."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, points = Cells(names), {}
    for cell in tool.parse("small", SMALL).cells:
        kind, _, task = handed_in.grade_id(cell).partition("-")
        first, _, body = cell.source.partition("\n")
        if first.startswith("%%tests"):
            value = cells.run(first.removeprefix("%%tests "), body)
            points |= {task: value} if kind == "tests" else {}
        else:
            executed((answers or {}).get(task, cell.source) if kind == "answer" else cell.source, names)
        if handed_in.grade_id(cell) == "setup-2":
            executed(before, names)
    return points, names


# ---- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "from math import *\nfrom numpy import *\nfrom torch import *",
        "sum = max = abs = map = len = isinstance = print = 0",
        "def ensure(x): raise ValueError(x)\ndef close(plot): plot.close()\nclass Task: pass",
        "task, answer, check, Given, math, np = range(6)",
        "tripled = lambda x: x\nfactors.clear()",
        "tripled.__globals__['factors'] = [7.0]",
        "del torch, ne, Task, close, ensure, tripled, factors",
        "__builtins__ = {}",
    ],
)
def test_names_of_the_notebook_are_not_those_of_the_tests(code):
    assert points_of(before=code)[0] == FULL


def test_tests_leave_nothing_in_the_notebook():
    """Not a name, not a setting, not another state of the random numbers."""
    names: dict[str, Any] = {"triple": lambda x: 3 * x}
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    torch.set_default_dtype(torch.float64)
    kept, settings = dict(names), Settings.now()
    Cells(names).run("1", 'task = Task("1")\nanswer = task.answer("triple")\nx = np.random.rand(3)\nanswer(x)')
    drawn = float(torch.rand(())), np.random.rand(), random.random()
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    assert drawn == (float(torch.rand(())), np.random.rand(), random.random())
    assert names == kept and Settings.now() == settings


def test_a_test_cell_without_its_set_up_says_so(capsys):
    said = "the tests lack bent, which a set-up cell defines"
    with pytest.raises(Wrong, match=said):
        Cells({}).run("1", "bent(2)")
    assert Cells({}).run("1", 'task = Task("1")\ntask.check("it", points=1)(lambda: bent(2))\ntask.done()') == 0
    assert said in capsys.readouterr().out


def test_in_a_plain_kernel_a_test_cell_works_and_says_what_is_missing():
    cells = {handed_in.grade_id(cell): cell for cell in tool.parse("small", SMALL).cells}
    order = ["tests-1", "setup-1", "setup-2", "answer-1", "tests-1"]
    notebook = new_notebook(cells=[new_code_cell(cells[name].source) for name in order])
    notebook.cells.insert(4, new_code_cell("from numpy import *\nsum = ensure = close = Task = 0"))
    notebook.cells.append(new_code_cell("[n for n in dir() if n in ('task', 'answer', 'numbers')], sum, Task"))
    NotebookClient(notebook, allow_errors=True).execute()
    missing, *_, tests, left = (cell.outputs for cell in notebook.cells)
    assert "Cell magic `%%tests` not found" in str(missing)
    assert "First run the set-up cell" in notebook.cells[0].source.splitlines()[0]  # which stands right above it
    assert tests[0].text.count("✓") == 2 and tests[1].data["text/plain"] == "2"
    assert left[0].data["text/plain"] == "([], 0, 0)"


# ---- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "torch.set_default_dtype(torch.float64)",
        "torch.set_grad_enabled(False)",
        "torch.use_deterministic_algorithms(True)",
        "torch.autograd.set_detect_anomaly(True)",
        "torch.set_default_device('meta')",
        "import numpy\nnumpy.seterr(all='raise')",
        "import warnings\nwarnings.simplefilter('error')\nimport sys\nsys.setrecursionlimit(300)",
        "torch.set_printoptions(sci_mode=True)\nimport numpy\nnumpy.set_printoptions(legacy='1.13')",
    ],
)
def test_settings_of_the_notebook_are_not_those_of_the_tests(code):
    assert points_of(before=code)[0] == FULL


def test_a_learners_function_runs_with_the_learners_settings_and_what_it_is_given_with_ours():
    heard: list[Any] = []
    change = "torch.set_default_dtype(torch.float16)"
    theirs = (
        f"def f(g):\n    heard.append(torch.get_default_dtype())\n    g(torch.ones(1))\n    {change}\n    return 1.0"
    )
    names: dict[str, Any] = {"heard": heard, "torch": torch}
    exec(theirs, names)
    torch.set_default_dtype(torch.float64)
    given = Given(lambda x: heard.append(torch.get_default_dtype()) or x)
    names["given"] = given
    Cells(names).run("1", 'task = Task("1")\ntask.answer("f")(task.value("given"))\ntorch.get_default_dtype()')
    assert heard == [torch.float64, torch.float32] and torch.get_default_dtype() == torch.float16


def test_whether_gradients_are_recorded_is_the_callers_choice_in_a_given_function():
    given = Given(lambda x: x * torch.ones((), dtype=torch.float64))
    x = torch.ones(2, requires_grad=True)
    assert given(x).requires_grad
    with torch.no_grad():
        assert not given(x).requires_grad


# ---- a learner's own version of an earlier task -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("triple", "nine_times", "points"),
    [
        ("def triple(x, times=1): return x * 3**times", "def nine_times(x): return triple(x, times=2)", FULL),
        (
            "def triple(x, f=3): return (f * x, f)",
            "def nine_times(x): return triple(triple(x)[0])[0]",
            {"1": 0, "2": 3},
        ),
        ("def triple(x): return 3 + x", "def nine_times(x): return triple(triple(x))", {"1": 0, "2": 3}),
        ("def triple(x): raise SystemExit", "def nine_times(x): return triple(triple(x))", {"1": 0, "2": 3}),
        ("triple = None", "def nine_times(x): return triple(triple(x))", {"1": 0, "2": 3}),
        ("def triple(x): return 3 * x", "def nine_times(x): return triple(x)", {"1": 2, "2": 0}),
        ("def triple(x): return 9 * x", "def nine_times(x): return triple(x)", {"1": 0, "2": 3}),  # they agree
        ("def triple(x): return x", "def nine_times(x): return triple(x)", {"1": 0, "2": 0}),
    ],
)
def test_a_learners_own_helper_comes_first_and_the_right_one_where_it_fails(triple, nine_times, points):
    got, names = points_of(answers={"1": triple, "2": nine_times})
    assert got == points
    own: dict[str, Any] = {}
    exec(triple, own)
    assert getattr(names["triple"], "__code__", None) == getattr(own["triple"], "__code__", None)


MEMORIES = {
    "a list": "seen = []\ndef nine_times(x):\n    seen.append(1)\n    return triple(triple(x)) / len(seen)",
    "a dictionary": "old = {}\ndef nine_times(x):\n    return old.setdefault('x', triple(triple(x)))",
    "a number": "n = 0\ndef nine_times(x):\n    global n\n    n += 1\n    return triple(triple(x)) / n",
    "a new name": "def nine_times(x):\n    return globals().setdefault('y', triple(triple(x)))",
    "a default": "def nine_times(x, old=[]):\n    old.append(triple(triple(x)))\n    return old[0]",
    "an attribute": "def nine_times(x):\n    return vars(nine_times).setdefault('old', triple(triple(x)))",
    "an object": "class Old: pass\nold = Old()\n"
    "def nine_times(x):\n    return vars(old).setdefault('x', triple(triple(x)))",
    "a cache": "import functools\n@functools.lru_cache\ndef of(key):\n    return triple(triple(arguments[0]))\n"
    "arguments = [0]\ndef nine_times(x):\n    arguments[0] = x\n    return of(1)",
    "a closure": "def remembered(f):\n    old = {}\n    return lambda x: old.setdefault('x', f(x))\n"
    "@remembered\ndef nine_times(x): return triple(triple(x))",
    "a class": "class Old:\n    seen = {}\ndef nine_times(x):\n    return Old.seen.setdefault('x', triple(triple(x)))",
    "its object": "class Old:\n    def of(self, x):\n        return vars(self).setdefault('x', triple(triple(x)))\n"
    "nine_times = Old().of",
    "a list in a tuple in a dictionary": "old = {'seen': ([],)}\ndef nine_times(x):\n"
    "    old['seen'][0].append(1)\n    return triple(triple(x)) / len(old['seen'][0])",
    "a keyword's default": "def nine_times(x, *, old={}):\n    return old.setdefault('x', triple(triple(x)))",
    "a partial function's argument": "import functools\nnine_times = functools.partial("
    "lambda old, x: old.setdefault('x', triple(triple(x))), {})",
}
ODD = {
    "attributes are keys": "class Settings(dict):\n    __getattr__ = dict.__getitem__\nodd = Settings(a=1)",
    "attributes are keys or None": "class Settings(dict):\n    __getattr__ = dict.get\nodd = Settings(a=1)",
    "nothing but errors": "class Strict:\n    def __getattr__(self, name): raise RuntimeError(name)\nodd = Strict()",
    "no copies": "class Once(list):\n    def __copy__(self): raise TypeError\nodd = Once([1])",
    "no changes": "class Frozen(dict):\n    def clear(self): raise TypeError\nodd = Frozen(a=1)",
    "no class": "class Hidden:\n    @property\n    def __class__(self): raise ValueError\nodd = Hidden()",
    "gone": "import weakref\nclass Net: pass\nodd = weakref.proxy(Net())",
    "itself": "odd = []\nodd.append(odd)",
    "slots": "class Point:\n    __slots__ = ('x',)\nodd = Point()",
}


@pytest.mark.parametrize("odd", ODD)
def test_objects_of_a_notebook_may_be_odd(odd):
    answers = {"1": ODD[odd] + "\ndef triple(x): return 0 * x", "2": "def nine_times(x): return triple(triple(x))"}
    assert points_of(answers=answers)[0] == {"1": 0, "2": 3}


@pytest.mark.parametrize("memory", MEMORIES)
def test_what_an_answer_remembers_of_a_wrong_helper_is_forgotten(memory):
    """Each check of the small task calls it once: what is left from the check before makes it wrong."""
    right = points_of(answers={"1": "def triple(x): return 3 * x", "2": MEMORIES[memory]})[0]
    assert right["1"] == 2
    assert points_of(answers={"1": "def triple(x): return 0 * x", "2": MEMORIES[memory]})[0] == {"1": 0, "2": 3}


def test_both_tries_draw_the_same_random_numbers(capsys):
    body = """
task, seen = Task("1"), []
task.uses(helper=lambda: 1)
@task.check("it", points=1)
def _():
    seen.append((float(torch.rand(())), np.random.rand()))
    close(task.answer("f")(), 1.0)
@task.check("both", points=1)
def _():
    ensure(len(seen) == 2 and seen[0] == seen[1], str(seen))
task.done()
"""
    names = {"helper": lambda: float(torch.rand(())) + 5}
    exec("def f(): return helper()", names)
    assert Cells(names).run("1", body) == 2
    assert "with helper put right" in capsys.readouterr().out


def test_a_slow_helper_leaves_time_for_the_right_one_and_is_not_asked_again():
    asked: list[int] = []
    names: dict[str, Any] = {"note": lambda: asked.append(1)}
    exec("def helper():\n    note()\n    while True: pass\ndef f(): return helper()", names)
    task = Task("1", names, seconds=1.0)
    answer = task.answer("f")
    task.uses(helper=lambda: 1.0)
    for text in ("first", "second"):
        task.check(text, points=1)(lambda: close(answer(), 1.0))
    assert task.done() == 2 and len(asked) == 1


def test_a_check_to_help_that_does_not_end_costs_nothing(capsys):
    task = Task("1", {}, seconds=1.0)

    def endless() -> None:
        while True:
            pass

    task.check("helps")(endless)
    task.check("counts", points=1)(lambda: None)
    assert task.done() == 1 and "ran out of time" in capsys.readouterr().out


# ---- what is said -----------------------------------------------------------------------------------------------


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("filename", ["<ipython-input-3-8f>", "/tmp/ipykernel_7/123.py", "my_notebook.py"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero, in your line '1 / 0'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one, in your line"),
        ("raise ValueError('w' * 9999)", "w ..., in your line"),
        ("raise ValueError", "stopped with ValueError, in your line 'raise ValueError'"),
        ("raise Silent", "stopped with Silent, in your line 'raise Silent'"),
        ("f(x)", "RecursionError: maximum recursion depth exceeded"),
        ("eval('1 +')", "SyntaxError: invalid syntax (<string>, line 1), in your line"),
        ("raise NotImplementedError('no such operation')", "NotImplementedError: no such operation"),
        ("assert x is None, 'x is there'", "AssertionError: x is there, in your line"),
        ("torch.ones(2) @ torch.ones(3)", "in your line 'torch.ones(2) @ torch.ones(3)'"),
        ("given(x)", "KeyError: 'inside', in your line 'given(x)'"),
        ("import json; json.loads('{')", "in your line \"import json; json.loads('{')\""),
    ],
)
def test_the_line_that_is_quoted_is_the_learners_own(filename, line, said, capsys):
    def inside(x: object) -> None:
        raise KeyError("inside")

    names: dict[str, Any] = {"__name__": "__main__", "torch": torch, "Silent": Silent, "given": Given(inside)}
    executed(f"def f(x):\n    {line}\n", names, filename)
    Cells(names).run("1", 'task = Task("1")\ntask.check("it")(lambda: task.answer("f")(np.ones(1)))')
    words = capsys.readouterr().out
    assert said in words.replace("comparison", "depth exceeded") and words.count("\n") == 1 and len(words) < 800


def test_a_line_of_a_test_is_never_the_learners(capsys):
    body = 'task = Task("1")\n@task.check("it")\ndef _():\n    hidden = {}\n    hidden["of the test"]'
    linecache.cache["<tests 1>"] = (len(body), None, body.splitlines(True), "<tests 1>")
    Cells({}).run("1", body)
    assert capsys.readouterr().out == "✗ it: your code stopped with KeyError: 'of the test'\n"


# ---- results ----------------------------------------------------------------------------------------------------


class Agreeable(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True

    def detach(self):
        return torch.zeros(3)

    def to(self, *_, **__):
        return torch.zeros(3)

    def numpy(self):
        return np.zeros(3)


class AgreeableArray(np.ndarray):
    def __array_ufunc__(self, *_, **__):
        return np.ones(3, bool)

    def astype(self, *_, **__):
        return np.zeros(3)


@pytest.mark.parametrize("value", [torch.ones(3).as_subclass(Agreeable), np.ones(3).view(AgreeableArray)])
def test_a_result_is_judged_by_its_numbers_and_not_by_its_own_idea_of_them(value):
    with pytest.raises(Wrong, match="is 1, and 0 was expected"):
        close(value, np.zeros(3))
    close(value, np.ones(3))


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Parameter(torch.tensor([1.0, 2.0])),
        np.ma.masked_array([1.0, 2.0]),
        torch.tensor([1.0, 2.0]).to_sparse(),
        torch.tensor([0.0, 1j, 2j]).conj().imag[1:] * -1,
        np.array([1, 2], dtype=np.uint16),
        np.array([1, 2], dtype=np.longdouble),
        [Fraction(1), Decimal(2)],
        torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        torch.tensor([1.0, 2.0], requires_grad=True) * 1,
    ],
)
def test_numbers_of_every_kind_are_numbers(value):
    close(value, [1.0, 2.0])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_an_array():
    close(np.matrix([[1.0, 2.0]]), [[1.0, 2.0]])


@pytest.mark.parametrize("value", ["1", ["1", "2"], [object()], torch.ones(2, device="meta"), {}, 2 * [np.nan]])
def test_what_is_no_number_is_called_so(value):
    with pytest.raises(Wrong, match=r"not numbers|nan|shape"):
        close(value, [1.0, 2.0])


def test_masked_numbers_are_missing():
    with pytest.raises(Wrong, match="nan for 1 of 2"):
        close(np.ma.masked_array([1.0, 2.0], [False, True]), [1.0, 2.0])


# ---- the price of what is named for the stuck -------------------------------------------------------------------


PRICED = {
    "the function": ("def f(g): return ne.geometric(4.0, 1.0, 3)", 0.5),
    "another name": ("from ncsn_edu import geometric as of\ndef f(g): return list(map(of, [4.0], [1.0], [3]))[0]", 0.5),
    "through PyTorch": (
        "@torch.no_grad()\ndef f(g): return torch.vmap(lambda t: t * ne.geometric(4, 1, 3))(one)[0]",
        0.5,
    ),
    "a module of the learner's": (
        "exec('from ncsn_edu import geometric as g\\nf = lambda _: g(4, 1, 3)', m)\nf = m['f']",
        0.5,
    ),
    "a function of the tests": ("def f(g): return g(4.0)", 1.0),
    "an earlier task": ("def own(): return ne.geometric(4.0, 1.0, 3)\ndef f(g): return own()", 1.0),
    "another function": ("def f(g): return ne.step_sizes(torch.tensor([2.0, 2**0.5, 1.0]), 1.0)", 1.0),
}


@pytest.mark.parametrize("how", PRICED)
def test_an_answer_that_calls_what_is_named_for_the_stuck_gets_its_share(how, capsys):
    code, share = PRICED[how]
    names: dict[str, Any] = {"__name__": "__main__", "ne": ncsn_edu, "torch": torch, "one": torch.ones(1), "m": {}}
    exec(code, names)
    body = """
task = Task("1", stuck="geometric")
answer, right = task.answer("f"), ne.geometric(4.0, 1.0, 3)
task.uses(own=lambda: right)
task.check("it", points=2)(lambda: close(answer(Given(lambda x: ne.geometric(x, 1.0, 3))), right))
task.done()
"""
    cells = Cells(names)
    assert cells.run("1", body) == 2
    cells.share = 0.5
    assert cells.run("1", body) == 2 * share
    assert ("0.5 of the points" in capsys.readouterr().out) == (share < 1)


def test_what_is_named_for_the_stuck_is_there():
    assert codes_of("langevin") and len(codes_of("GaussianMixture")) > 5 and codes_of("training.EMA")
    with pytest.raises((AttributeError, ImportError)):
        codes_of("nothing_of_this_name")


# ---- the grader's kernel ----------------------------------------------------------------------------------------

WRONG = {"1": "def triple(x): return x", "2": "def nine_times(x): return x"}


def graded(
    *, before: str = "", answers: dict[str, str] | None = None, after: str = "", share: float = 1.0
) -> tuple[dict[str, float], list[str], list[NotebookNode]]:
    cells = copy.deepcopy(tool.parse("small", SMALL).cells)
    for cell in cells:
        kind, _, task = handed_in.grade_id(cell).partition("-")
        if kind == "answer":
            cell.source = (answers or {}).get(task, cell.source)
    cells[1:1] = [new_code_cell(before)] if before else []
    cells += [new_code_cell(after)] if after else []
    limits = Limits()
    with Confined(limits) as kernel:
        remarks = run_cells(cells, kernel, limits, share=share)
    tests = {handed_in.grade_id(cell): cell for cell in cells if handed_in.grade_id(cell).startswith("tests-")}
    return {name.removeprefix("tests-"): determine_grade(cell)[0] for name, cell in tests.items()}, remarks, cells


REPLACED = """
import builtins, torch, sys, ncsn_edu.grading.tasks as t, ncsn_edu.grading.cells as c
t.ensure = t.close = lambda *a, **k: None
t.Task.done = lambda self: 2.0
t.plausible.__code__ = (lambda *a: None).__code__
c._TOOLS.update(close=t.close, ensure=t.close)
c._BUILTINS.update(max=lambda *a: 1, sum=lambda *a: 0)
sys.modules["ncsn_edu.grading.kernel"].CANARY = "1.0"
torch.isfinite = torch.Tensor.__le__ = lambda *a: torch.ones(1, dtype=torch.bool)
builtins.abs = lambda *a: 0
get_ipython().register_magic_function(lambda line, cell: 2.0, "cell", "tests")
sys.modules["ncsn_edu.grading.tasks"] = None
"""


def test_replaced_tools_give_no_points_and_are_named():
    points, remarks, _ = graded(before=REPLACED, answers=WRONG)
    assert points == {"1": 0.0, "2": 0.0}
    for name in (
        "tasks.close",
        "Task.done",
        "torch.isfinite",
        "Tensor.__le__",
        "builtins.abs",
        "tasks.plausible",
        "kernel.CANARY",
    ):
        assert any(name in remark for remark in remarks), name


SECRET = "that were drawn are zero"


def test_an_honest_notebook_may_replace_something_and_its_history_holds_no_hidden_test():
    before = "import functools, linecache, torch._dynamo\ntorch.load = functools.partial(torch.load, weights_only=True)"
    everything = "(In, _ih, Out, list(linecache.cache.values()), vars(get_ipython().history_manager))"
    words = "('that were ' + 'drawn', 'three ' + 'times', 'def triple')"
    after = f"found = str({everything})\n[word in found for word in {words}]"
    points, remarks, cells = graded(before=before, after=after)
    assert points == FULL and remarks and all("replaced torch.load:" in remark for remark in remarks)
    assert cells[-1].outputs[0].data["text/plain"] == "[False, False, True]"


MINE = """
import sys
def triple(x):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()):
            if type(value).__name__ == "Task":
                value._record.append(("mine", 2.0))
        frame = frame.f_back
    return x
"""
MEANWHILE = """
def nine_times(x):
    torch.Tensor.__le__ = lambda *a: torch.tensor(True)
    return x
"""
ALL_TRUE = """
import torch.overrides
class All(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        return torch.ones_like(found) if getattr(found, "dtype", 0) == torch.bool else found
All().__enter__()
"""


@pytest.mark.parametrize("answers", [{"1": MINE, "2": MEANWHILE}, {**WRONG, "1": ALL_TRUE + WRONG["1"]}])
def test_a_cheat_that_is_noticed_gets_no_points_and_a_remark(answers):
    points, remarks, _ = graded(answers=answers)
    assert points == {"1": 0.0, "2": 0.0}
    for task in ("1", "2"):
        words = f"THE TOOLS OF THE TESTS WERE CHANGED by this notebook: no points for tests-{task}"
        assert any(remark.startswith(words) for remark in remarks)


LEAK = """
import sys
leak = []
def triple(x):
    ne.geometric(2.0, 1.0, 3)
    frame = sys._getframe()
    while frame:
        leak.extend(value for value in frame.f_locals.values() if isinstance(value, str))
        frame = frame.f_back
    return 3 * x
"""


def test_what_shows_hidden_tests_is_not_in_the_feedback_and_the_price_of_help_is_a_setting():
    after = "print(leak)\ndisplay({'text/html': str(leak)}, raw=True)\nraise ValueError(leak)"
    points, remarks, cells = graded(answers={"1": LEAK}, after=after, share=0.25)
    assert points == {"1": 0.5, "2": 3.0} and len(remarks) == 2
    assert "tests-1: the answer calls geometric" in remarks[0] and "0.25" in remarks[0]
    assert "0.25 of the points" in str(cells) and "SHOWS HIDDEN TESTS" in remarks[1]
    assert SECRET not in str(cells[-1].outputs) and "left out" in str(cells[-1].outputs)


def test_a_test_cell_whose_error_shows_hidden_lines_or_that_gives_nothing_gets_no_points():
    line = 'ensure(max(map(abs, numbers.tolist())) > 0, "all of the numbers that were drawn are zero")'
    given = {"value": None, "error": ["ValueError", line], "text": "", "judges": True, "helped": []}
    given |= {"replaced": [], "replaced_meanwhile": []}
    for error in (given["error"], None):
        cell = next(cell for cell in tool.parse("small", SMALL).cells if handed_in.grade_id(cell) == "tests-1")
        replies = SimpleNamespace(alive=True, run_tests=lambda *_, error=error, **__: given | {"error": error})
        remarks = run_cells([cell], replies, Limits())
        assert determine_grade(cell)[0] == 0 and SECRET not in str(cell.outputs) and len(remarks) == 1


def test_edited_in_jupyterlab_the_first_line_and_the_role_survive(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    made = tmp_path / "small/small.ipynb"
    made.write_text(nbformat.writes(tool.parse("small", SMALL)), encoding="utf-8")
    monkeypatch.setattr(tool, "made_path", lambda name, kind: made)
    monkeypatch.setattr(tool, "source_path", lambda name: tmp_path / f"{name}.py")
    tool.pull("small")
    text = (tmp_path / "small.py").read_text(encoding="utf-8")
    assert "%%tests" not in text and 'role="setup tests"' in text
    assert tool.parse("small", text).cells == tool.parse("small", SMALL).cells
