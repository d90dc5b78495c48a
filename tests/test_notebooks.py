"""Notebooks agree with their sources, were run whole, and keep the house rules; the tool that makes them works.

Every rule is a function from a notebook to a list of complaints. `test_the_rules_can_fail` breaks each of them.
"""

import ast
import copy
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

import ncsn_edu

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import notebooks as tool  # noqa: E402

NAMES = tool.all_names(ROOT)
WITHOUT = {"predictions": "00", "something_to_write": "00"}  # an overview, with nothing to predict or to write yet
Rule = Callable[[NotebookNode], list[str]]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# ---- reading a notebook ----------------------------------------------------------------------------------------


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def section(notebook: NotebookNode, heading: str) -> str | None:
    """The prose under a level-two heading, up to the next one."""
    parts = re.split(r"^## +(.+?) *$", prose(notebook), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(heading)


def parsed(cell: NotebookNode) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(cell.source))


def draws(cell: NotebookNode) -> bool:
    """Does the cell show a picture (the still of a widget aside)?"""
    outputs = cell.outputs if cell.cell_type == "code" else []
    return any("image/png" in out.get("data", {}) and not out.metadata.get("widget") for out in outputs)


def output_texts(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        yield from (output.get(key, "") for key in ("text", "evalue"))
        yield from output.get("traceback", [])
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/") or kind == "image/svg+xml":
                yield value if isinstance(value, str) else repr(value)


# ---- house rules -----------------------------------------------------------------------------------------------


def run_whole(notebook: NotebookNode) -> list[str]:
    """Every code cell was run, in order, from a fresh kernel, and compared: nothing skips or loosens the check."""
    problems = tool.execution_problems(notebook.cells)
    for cell in code_cells(notebook):
        loosened = [tag for tag in cell.metadata.get("tags", []) if re.search("skip|ignore|check-output", tag)]
        loosened += re.findall(r"#\s*(?:NBVAL_|PYTEST_VALIDATE_)\w+", cell.source)
        problems += [f"{mark!r} keeps a cell from being checked" for mark in loosened]
    return problems


def short_cells(notebook: NotebookNode) -> list[str]:
    lengths = [len(cell.source.splitlines()) for cell in code_cells(notebook)]
    problems = [f"a code cell has {length} lines; 25 is the most" for length in lengths if length > 25]
    if lengths and statistics.median(lengths) > 8:
        problems.append(f"the median code cell has {statistics.median(lengths)} lines; 8 is the most")
    return problems


def more_prose_than_code(notebook: NotebookNode) -> list[str]:
    code = sum(len(lines_of(cell.source)) for cell in code_cells(notebook) if tool.runs_here(cell))
    text = len(lines_of(prose(notebook)))
    return [] if text >= 2 * code else [f"{text} lines of prose for {code} of code; at least {2 * code} are asked for"]


def opening(notebook: NotebookNode) -> list[str]:
    first = notebook.cells[0] if notebook.cells else nbformat.v4.new_raw_cell()
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        return ["the first cell does not begin with a title, '# ...'"]
    problems = []
    if not re.search(r"\b(minutes?|seconds?)\b", first.source):
        problems.append("the first cell does not say how long the notebook takes, in minutes or seconds")
    if not re.search(r"\bscale\b", first.source):
        problems.append("the first cell does not say at which scale it runs (smoke, laptop or paper)")
    return problems


def closing(notebook: NotebookNode) -> list[str]:
    wanted = ("What you should be able to do now", "Exercises", "References")
    problems = [f"there is no '## {heading}'" for heading in wanted if not (section(notebook, heading) or "").strip()]
    numbers = re.findall(r"^(?:#+ *)?\**(?:Exercise +)?(\d+)[.:)]", section(notebook, "Exercises") or "", flags=re.M)
    if numbers != ["1", "2", "3"]:
        problems.append(f"the exercises are not numbered 1., 2., 3. (found: {', '.join(numbers) or 'none'})")
    return problems


def predictions(notebook: NotebookNode) -> list[str]:
    """Before every plot, since the last one: "**Predict** ..." with its answer folded under <details>."""
    problems, asked = [], False
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            _, question, rest = cell.source.partition("**Predict")
            asked |= bool(question) and "<details" in rest and "</details>" in rest
        elif draws(cell):
            if not asked:
                problems.append(f"cell {number} draws, and no **Predict** with a <details> answer stands before it")
            asked = False
    return problems


def bound_names(module: ast.Module) -> Iterator[str]:
    """Names that a cell binds at its top level; importing a name from ncsn_edu is no new meaning for it."""
    todo: list[ast.AST] = list(module.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            continue
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            todo += [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            ours = (node.module or "").split(".")[0] == "ncsn_edu"
            yield from (
                alias.asname or alias.name
                for alias in node.names
                if not ours or (alias.asname or alias.name) != alias.name
            )
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        todo += ast.iter_child_nodes(node)


def nothing_redefined(notebook: NotebookNode) -> list[str]:
    exported = set(ncsn_edu.__all__)
    return [
        f"a cell gives {name!r} a new meaning, and ncsn_edu exports that name"
        for cell in code_cells(notebook)
        for name in bound_names(parsed(cell))
        if name in exported
    ]


UNSTABLE = {
    "a path of a machine": re.compile(r"(?<![\w.])/(work|farm|root|home|tmp|opt|usr|Users)/[\w.]|\b[A-Z]:\\\w"),
    "a progress bar": re.compile(r"\d%\||\bit/s\b|\bs/it\b|[█▏▎▍▌▋▊▉]|\r"),
    "an address in memory": re.compile(r"\b0x[0-9a-fA-F]{8,}"),
    "a live widget without its still": re.compile(r"widget-view|^(HBox|VBox|interactive|Output)\("),
}


def stable_outputs(notebook: NotebookNode) -> list[str]:
    return [
        f"an output holds {what}: {match[0]!r}"
        for cell in code_cells(notebook)
        for text in output_texts(cell)
        for what, pattern in UNSTABLE.items()
        if (match := pattern.search(text))
    ] + [
        f"an output holds a {tool.WIDGET_VIEW}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if tool.WIDGET_VIEW in output.get("data", {})
    ]


def rough_numbers_are_held(notebook: NotebookNode) -> list[str]:
    """What stands after ≈ in an output is not compared with the stored one: an assert in the cell has to hold it."""
    return [
        f"an output has a number after ≈, and its cell has no assert: {text.strip()[:60]!r}"
        for cell in code_cells(notebook)
        if not any(isinstance(node, ast.Assert) for node in ast.walk(parsed(cell)))
        for text in output_texts(cell)
        if "≈" in text
    ]


def numbers_are_shown(notebook: NotebookNode) -> list[str]:
    """No output reads True or False: the number says how far, and an assert whether."""
    return [
        f"an output reads {match[0]}: print the numbers, and assert what must hold"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/markdown" not in output.get("data", {})  # that is code, displayed
        and not output.get("metadata", {}).get("widget")  # which lists its settings
        if (
            match := re.search(r"\b(True|False)\b", str(output.get("text") or output.get("data", {}).get("text/plain")))
        )
    ]


def alt_texts(notebook: NotebookNode) -> list[str]:
    """Every picture says in words what is to be seen, the still of a widget too, for those who do not see it."""
    return [
        f"cell {number} shows a picture without an alt text: "
        + ("`alt` of the explorer" if output.metadata.get("widget") else "save_figure(..., alt=..., caption=...)")
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
        and not output.get("metadata", {}).get("image/png", {}).get("alt", "").strip()
    ]


def formulas_are_whole(notebook: NotebookNode) -> list[str]:
    """No line within $...$ begins as an item of a list or a heading does: Markdown would end the formula there."""
    problems = []
    for number, cell in enumerate(notebook.cells, start=1):
        text = re.sub(r"```.*?```|\$\$.*?\$\$|`[^`]*`", "", cell.source, flags=re.DOTALL)
        inside = False
        for line in text.splitlines() if cell.cell_type == "markdown" else []:
            inside = inside and bool(line.strip())
            if inside and re.match(r"\s*([-+*#]|\d+[.)])\s", line):
                problems.append(f"cell {number} breaks a formula so that a line begins with {line.split()[0]!r}")
            inside ^= len(re.findall(r"(?<!\\)\$", line)) % 2 == 1
    return problems


def exercises_are_answered(notebook: NotebookNode) -> list[str]:
    """Each exercise has its answer folded below it."""
    parts = re.split(r"^(\d+)\. ", section(notebook, "Exercises") or "", flags=re.MULTILINE)
    return [
        f"exercise {number} has no <details><summary>Answer</summary>"
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
        if not re.search(r"<details><summary>Answer</summary>\s+\S.*?</details>", text, re.DOTALL)
    ]


def something_to_write(notebook: NotebookNode) -> list[str]:
    """One cell at least in which the learner writes the line that matters, before the library's version is shown."""
    written = [cell for cell in code_cells(notebook) if re.search(r"^practice\.\w+\(\w+\)$", cell.source, re.M)]
    return [] if written else ["no cell ends with practice.EXERCISE(my_function): what is worth writing oneself?"]


def explorers_ask(notebook: NotebookNode) -> list[str]:
    """Before an explorer stand questions, and their answers, folded."""
    return [
        f"cell {number} shows an explorer, and no folded answers stand before it"
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        and any(output.get("metadata", {}).get("widget") for output in cell.outputs)
        and "<details><summary>Answer" not in notebook.cells[number - 1].source
    ]


RULES: list[Rule] = [
    run_whole,
    short_cells,
    more_prose_than_code,
    opening,
    closing,
    predictions,
    nothing_redefined,
    stable_outputs,
    rough_numbers_are_held,
    numbers_are_shown,
    alt_texts,
    formulas_are_whole,
    exercises_are_answered,
    something_to_write,
    explorers_ask,
]


def test_there_are_notebooks():
    assert NAMES, "there is no notebooks/source/*.py"


@pytest.mark.parametrize("name", NAMES)
def test_source_and_notebook_agree(name):
    problems = tool.check(ROOT, name)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks" / "assignments" / "source").rglob("*.ipynb")))
def test_formulas_of_assignments_are_whole(path):
    problems = formulas_are_whole(nbformat.read(path, as_version=4))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_house_rule(name, rule):
    if name[:2] in WITHOUT.get(rule.__name__, ""):
        pytest.skip("an overview")
    problems = rule(nbformat.read(tool.notebook_path(ROOT, name), as_version=4))
    assert not problems, "\n".join(problems)


# ---- the rules can fail ----------------------------------------------------------------------------------------

OPENING = "# Title\n\nTakes 20 seconds, at laptop scale.\n\nMore."
QUESTION = "**Predict.** What will happen?\n\n<details><summary>Answer</summary>\n\nThis.\n\n</details>"
CLOSING = """## What you should be able to do now
- Something.

## Exercises
1. First.
   <details><summary>Answer</summary>

   One.
   </details>
2. Second.
   <details><summary>Hint</summary> Twice. </details>
   <details><summary>Answer</summary> Two. </details>
3. Third.
   <details><summary>Answer</summary> Three. </details>

## References
- A paper."""


def good_notebook() -> NotebookNode:
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    words = {"image/png": {"alt": "A curve that rises."}}
    picture = nbformat.v4.new_output(
        "display_data", {"image/png": "", "text/plain": "<Figure size 640x480>"}, metadata=words
    )
    still = nbformat.v4.new_output(
        "display_data", {"image/png": "", "text/plain": "Explorer"}, metadata=words | {"widget": True}
    )
    printed = nbformat.v4.new_output("stream", name="stdout", text="0.79, a/tmp/b, 100 %\n")
    start = "from ncsn_edu import langevin\nimport torch"
    cells = [
        markdown(OPENING),
        code(start, execution_count=1, outputs=[]),
        markdown(QUESTION),
        code("plot()", execution_count=2, outputs=[picture, printed]),
        code("def my_step(x): ...\n\n\npractice.langevin_step(my_step)", execution_count=3, outputs=[]),
        markdown("What moves?\n\n<details><summary>Answers</summary>\n\nAll.\n\n</details>"),
        code("explore()", execution_count=4, outputs=[still]),
        markdown(CLOSING),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_keeps_every_rule(rule):
    assert rule(good_notebook()) == []


def code_of(text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[1].update(source=text)


def text_of(index: int, old: str, new: str) -> Callable[[NotebookNode], None]:
    assert old in good_notebook().cells[index].source
    return lambda notebook: notebook.cells[index].update(source=notebook.cells[index].source.replace(old, new))


def prints(text: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[3].outputs[1].update(text=text)


BREAKS = [
    (run_whole, lambda notebook: notebook.cells[1].update(execution_count=None)),
    (run_whole, lambda notebook: notebook.cells[1].update(execution_count=2)),
    (run_whole, lambda notebook: notebook.cells[3].update(execution_count=4)),
    (run_whole, lambda notebook: notebook.cells.insert(7, nbformat.v4.new_code_cell("1"))),
    (run_whole, lambda notebook: notebook.cells[1].metadata.update(tags=["nbval-ignore-output"])),
    (run_whole, lambda notebook: notebook.cells[1].metadata.update(tags=["skip-execution"])),
    (run_whole, code_of("# NBVAL_SKIP\n1")),
    (
        run_whole,
        lambda notebook: notebook.cells[1].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="")),
    ),
    (short_cells, code_of("x = 1\n" * 26)),
    (
        short_cells,
        lambda notebook: [cell.update(source="x = 1\n" * 9) for cell in code_cells(notebook)],
    ),
    (more_prose_than_code, code_of("x = 1\n" * 20)),
    (opening, text_of(0, "# Title", "Title")),
    (opening, text_of(0, "20 seconds", "long")),
    (opening, text_of(0, "laptop scale", "ease")),
    (opening, lambda notebook: notebook.cells.pop(0)),
    (closing, text_of(7, "should be able to do", "know")),
    (closing, text_of(7, "## Exercises", "## Tasks")),
    (closing, text_of(7, "3. Third.", "")),
    (exercises_are_answered, text_of(7, "<details><summary>Answer</summary> Two. </details>", "")),
    (exercises_are_answered, text_of(7, "Answer</summary> Three.", "Answer</summary> ")),
    (something_to_write, lambda notebook: notebook.cells.pop(4)),
    (something_to_write, lambda notebook: notebook.cells[4].update(source="my_step = 1")),
    (explorers_ask, text_of(5, "Answers", "Note")),
    (explorers_ask, lambda notebook: notebook.cells.pop(5)),
    (closing, text_of(7, "## References\n- A paper.", "")),
    (closing, text_of(7, "## References\n- A paper.", "## References")),
    (predictions, text_of(2, "**Predict.**", "")),
    (predictions, text_of(2, "<details>", "")),
    (predictions, lambda notebook: notebook.cells.insert(3, copy.deepcopy(notebook.cells[3]))),
    (predictions, lambda notebook: notebook.cells.insert(2, notebook.cells.pop(3))),
    (predictions, lambda notebook: notebook.cells[6].outputs[0].metadata.clear()),
    (nothing_redefined, code_of("def langevin(): pass")),
    (nothing_redefined, code_of("class State: pass")),
    (nothing_redefined, code_of("%matplotlib inline\nlangevin = 3")),
    (nothing_redefined, code_of("x, (langevin, *y) = 1, (2, 3)")),
    (nothing_redefined, code_of("if x:\n    for langevin in range(3): pass")),
    (nothing_redefined, code_of("with f() as langevin: pass")),
    (nothing_redefined, code_of("import numpy as langevin")),
    (nothing_redefined, code_of("from numpy import add as langevin")),
    (nothing_redefined, code_of("from ncsn_edu import mala as langevin")),
    (nothing_redefined, code_of("print(langevin := 3)")),
    (nothing_redefined, code_of("langevin: int = 3")),
    (nothing_redefined, code_of("langevin += 3")),
    (stable_outputs, prints("wrote {}home/someone/x.png".format("/"))),
    (stable_outputs, prints(r"wrote C:\Users\x.png")),
    (stable_outputs, prints(" 40%|####      | 4/10")),
    (stable_outputs, prints("<object at 0x7f3c52a1b2d0>")),
    (stable_outputs, lambda notebook: notebook.cells[6].outputs[0].data.update({tool.WIDGET_VIEW: {}})),
    (rough_numbers_are_held, prints("J ≈ 0.79\n")),
    (numbers_are_shown, prints("they agree: True\n")),
    (numbers_are_shown, prints("J < 0.8: tensor(False)\n")),
    (alt_texts, lambda notebook: notebook.cells[3].outputs[0].metadata.clear()),
    (alt_texts, lambda notebook: notebook.cells[3].outputs[0].metadata.update({"image/png": {"alt": " "}})),
    (alt_texts, lambda notebook: notebook.cells[6].outputs[0].metadata.pop("image/png")),
    (formulas_are_whole, lambda notebook: notebook.cells[0].update(source="the mean $a m\n- b$, and more")),
    (formulas_are_whole, lambda notebook: notebook.cells[0].update(source="let $x$ be small, and $x\n  + \\$2 > 0$")),
]


@pytest.mark.parametrize(("rule", "damage"), BREAKS, ids=[f"{rule.__name__}{i}" for i, (rule, _) in enumerate(BREAKS)])
def test_the_rules_can_fail(rule, damage):
    notebook = good_notebook()
    damage(notebook)
    assert rule(notebook), "the rule did not notice"


@pytest.mark.parametrize(
    "text",
    [
        "from ncsn_edu import langevin",
        "from ncsn_edu.mcmc import langevin, mala",
        "state = [langevin for langevin in 'abc']",
        "def f(langevin):\n    mala = 2",
        "ncsn_edu.langevin.note = 1",
        "f(langevin=3)",
    ],
)
def test_using_a_name_is_not_redefining_it(text):
    notebook = good_notebook()
    code_of(text)(notebook)
    assert nothing_redefined(notebook) == []


# ---- references from notebook to notebook ----------------------------------------------------------------------


def reference_problems(texts: dict[str, str]) -> list[str]:
    """Links, "notebook 7" and "section 7.5" that lead nowhere, or elsewhere than they say. texts: {name: prose}."""
    numbers = {int(name[:2]): name for name in texts}
    sections = {found for text in texts.values() for found in re.findall(r"^## (\d+\.\d+)\b", text, re.MULTILINE)}
    problems = []
    for name, text in texts.items():
        said = text.partition("## References")[0] + text.partition("**Next:**")[2]
        said = re.sub(r"\s+", " ", re.sub(r"\d{4}, section \d[\d.]*", "", said))  # of a paper
        for words, target in re.findall(r"\[([^\]]*)\]\((\w+)\.ipynb\)", said):
            number = re.search(r"\d+", words)
            if target not in texts or (number and int(number[0]) != int(target[:2])):
                problems.append(f"{name}: [{words}]({target}.ipynb)")
        own = name[:2].lstrip("0") or "0"
        for section in re.findall(r"^## (\d+)\.", text, re.MULTILINE):
            problems += [f"{name}: a section {section}.*"] if section != own else []
        lists = re.findall(r"\b([Nn]otebooks?|[Ss]ections?) ((?:\d+(?:\.\d+)?(?:, | and | to )?)+)", said)
        for kind, numbered in lists:
            for found in re.findall(r"\d+(?:\.\d+)?", numbered):
                known = found in sections if kind.lower().startswith("section") else int(float(found)) in numbers
                problems += [] if known else [f"{name}: {kind} {found}"]
    return problems


def texts_of_notebooks(root: Path) -> dict[str, str]:
    return {name: prose(nbformat.read(tool.notebook_path(root, name), as_version=4)) for name in tool.all_names(root)}


def test_references_lead_to_what_they_say():
    problems = reference_problems(texts_of_notebooks(ROOT))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("## 1.1 A\nsection 1.1, [2 · B](02_b.ipynb), notebooks 1 and\n2, (Song 2019, section 4.3)", 0),
        ("## 1.1 A\n[3 · B](02_b.ipynb)", 1),
        ("## 1.1 A\n[2 · B](03_b.ipynb)", 1),
        ("## 1.1 A\nsection\n1.2", 1),
        ("## 1.1 A\nnotebooks 2 and 5", 1),
        ("## 2.2 A", 1),
        ("## 1.1 A\n## References\nsection 9.9\n**Next:** [1 · B](02_b.ipynb)", 1),
    ],
)
def test_a_reference_that_leads_astray_is_noticed(text, wrong):
    assert len(reference_problems({"01_a": text, "02_b": "## 2.1 B"})) == wrong


# ---- times ---------------------------------------------------------------------------------------------------------

IN_WORDS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
SECONDS = {"s": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600}


def seconds(text: str) -> float:
    """Of the first time in a text: "about five minutes", "an hour and a half", "40 s"."""
    number, unit = re.search(r"\b(\d+|an?|two|three|four|five|six) (second|minute|hour|min|s)s?\b", text).groups()
    half = 1.5 if re.search(r"\ban hour and a half\b", text) else 1
    return half * (int(number) if number.isdecimal() else IN_WORDS[number]) * SECONDS[unit]


def said_times(notebook: NotebookNode) -> tuple[float, float]:
    """Seconds of reading and of running that the top of a notebook names."""
    reading, running = re.search(
        r"\*Reading[^:]*: (.*?)\. Running[^:]*: (.*)", " ".join(notebook.cells[0].source.split())
    ).groups()
    return seconds(reading), seconds(running)


@pytest.mark.parametrize("name", NAMES)
def test_times_are_the_same_wherever_they_stand(name):
    reading, running = said_times(nbformat.read(tool.notebook_path(ROOT, name), as_version=4))
    row = re.search(
        rf"^\| \[[^\n]*notebooks/{name}\.ipynb\)[^\n]*\| (.*?) \| (.*?) \|$", read("README.md"), re.MULTILINE
    )
    assert (seconds(row[1]), seconds(row[2])) == (reading, running)
    map_of_all = prose(nbformat.read(tool.notebook_path(ROOT, "00_start_here"), as_version=4))
    minutes = re.search(rf"^\| \[[^\n]*\({name}\.ipynb\)[^\n]*\| (\d+) \|$", map_of_all, re.MULTILINE)
    assert name == "00_start_here" or int(minutes[1]) * 60 == reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about an hour and a half", 5400),
        ("90 minutes", 5400),
        ("about five minutes on", 300),
        ("40 s", 40),
        ("a minute", 60),
    ],
)
def test_times_are_read(text, expected):
    assert seconds(text) == expected


# ---- figures ---------------------------------------------------------------------------------------------------


def saved_figures(source: str) -> Iterator[str]:
    """The names in the save_figure and save_animation calls of a source, which must be written out."""
    for call in ast.walk(ast.parse(source)):
        called = getattr(call.func, "id", getattr(call.func, "attr", "")) if isinstance(call, ast.Call) else ""
        if isinstance(call, ast.Call) and called in ("save_figure", "save_animation"):
            given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
            name = given[0].value if given and isinstance(given[0], ast.Constant) else None
            assert isinstance(name, str), f"the figure's name must be written out: {ast.unparse(call)}"
            yield name


def figure_problems(root: Path) -> list[str]:
    sources = sorted((root / "notebooks" / "source").glob("*.py"))
    names = [name for source in sources for name in saved_figures(source.read_text(encoding="utf-8"))]
    wanted = {f"{name}.{kind}" for name in names for kind in ("png", "json")}
    stored = {path.name for path in (root / "figures").iterdir()}
    return (
        [f"two calls save the figure {name!r}" for name in sorted(set(names)) if names.count(name) > 1]
        + [f"figures/{name} is missing: `make notebooks`" for name in sorted(wanted - stored)]
        + [f"figures/{name} is made by no notebook: delete it" for name in sorted(stored - wanted)]
    )


def test_figures_are_those_that_the_notebooks_save():
    problems = figure_problems(ROOT)
    assert not problems, "\n".join(problems)


def test_a_figure_too_many_or_too_few_is_noticed(tmp_path):
    (tmp_path / "notebooks" / "source").mkdir(parents=True)
    (tmp_path / "figures").mkdir()
    source = tmp_path / "notebooks" / "source" / "00_a.py"
    source.write_text('# %%\nsave_figure(fig, "one", numbers={})\nncsn_edu.save_figure(fig, name="two")\n')
    for name in ("one.png", "one.json", "two.png", "two.json"):
        (tmp_path / "figures" / name).touch()
    assert figure_problems(tmp_path) == []
    (tmp_path / "figures" / "two.json").rename(tmp_path / "figures" / "three.json")
    source.write_text(source.read_text() + 'save_figure(fig, "one")\n')
    assert len(figure_problems(tmp_path)) == 3
    source.write_text("save_figure(fig, name)")
    with pytest.raises(AssertionError, match="written out"):
        figure_problems(tmp_path)


# ---- the tool --------------------------------------------------------------------------------------------------

SOURCE = """\
# %% [markdown]
# # Title
#
# A line.

# %%
import os

print("one")
print(os.environ["NCSN_EDU_PROGRESS"], os.environ.get("NCSN_EDU_FIGURES"))

# %% tags=["raises-exception"]
1 / 0


# %%
def double(x):
    return 2 * x


# %%
double(21)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A root with one source and the notebook that was made from it."""
    root = tmp_path_factory.mktemp("built")
    source = tool.source_path(root, "00_tiny")
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE)
    assert tool.build(root, "00_tiny")
    return root


@pytest.fixture
def tiny(built, tmp_path) -> tuple[Path, Path, Path]:
    """(root, source, notebook), a copy to change."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path, tool.source_path(tmp_path, "00_tiny"), tool.notebook_path(tmp_path, "00_tiny")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fresh_build_is_whole(tiny):
    root, _, stored = tiny
    assert tool.check(root, "00_tiny") == []
    notebook = nbformat.read(stored, as_version=4)
    nbformat.validate(notebook)
    assert [cell.get("execution_count") for cell in notebook.cells] == [None, 1, 2, 3, 4]
    assert notebook.cells[1].outputs[0].text == "one\n0 None\n"  # one stream, no bars, figures are written
    assert notebook.cells[2].outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert notebook.cells[4].outputs[0].data == {"text/plain": "42"}
    assert notebook.metadata == tool.NOTEBOOK_METADATA
    assert stored.read_bytes().endswith(b"}\n")
    assert b"\r" not in stored.read_bytes()


def test_building_twice_gives_the_same_bytes(tiny):
    root, _, stored = tiny
    before = stored.read_bytes()
    assert not tool.build(root, "00_tiny")
    stored.unlink()
    assert tool.build(root, "00_tiny")
    assert stored.read_bytes() == before


def test_a_failing_cell_keeps_the_old_notebook(tiny, capsys):
    root, source, stored = tiny
    before = stored.read_bytes()
    edit(source, "double(21)", "double(undefined)")
    assert tool.main(["--root", str(root), "build", "00"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"00_tiny: cell 5 .*double\(undefined\).*NameError: name 'undefined'", said, flags=re.DOTALL)
    assert stored.read_bytes() == before
    assert sorted(path.name for path in stored.parent.iterdir()) == ["00_tiny.ipynb", "source"]


def test_if_changed_leaves_what_agrees(tiny, monkeypatch):
    root, source, _ = tiny
    monkeypatch.setattr(tool, "build", lambda *_, **__: pytest.fail("it was run"))
    assert tool.main(["--root", str(root), "build", "--if-changed"]) == 0
    edit(source, "A line.", "Another line.")
    with pytest.raises(pytest.fail.Exception, match="it was run"):
        tool.main(["--root", str(root), "build", "--if-changed"])


COLAB = """A line.

# %%
import sys

if "google.colab" in sys.modules:
    print("it takes a minute")
    # %pip install -q git+https://git.example/a/b"""


@pytest.mark.parametrize("new", ["Another line.", COLAB], ids=["prose", "a cell for Colab"])
def test_prose_is_exchanged_without_a_run_and_gives_the_bytes_of_one(tiny, monkeypatch, new):
    root, source, stored = tiny
    edit(source, "A line.", new)
    with monkeypatch.context() as patch:
        patch.setattr(tool, "execute", lambda *_, **__: pytest.fail("it was run"))
        assert tool.main(["--root", str(root), "build", "--prose", "00"]) == 0
    assert tool.check(root, "00_tiny") == [] and new.split()[-1].encode() in stored.read_bytes()
    assert not tool.build(root, "00_tiny")


@pytest.mark.parametrize(
    ("old", "new"), [("2 * x", "3 * x"), (' tags=["raises-exception"]', ""), ("# %%\ndouble(21)\n", "")]
)
def test_prose_alone_is_not_enough_where_code_has_changed(tiny, capsys, old, new):
    root, source, stored = tiny
    before = stored.read_bytes()
    edit(source, old, new)
    assert tool.main(["--root", str(root), "build", "--prose", "00"]) == 1
    assert "build it without --prose" in capsys.readouterr().err and stored.read_bytes() == before
    stored.unlink()
    assert tool.main(["--root", str(root), "build", "--prose", "00"]) == 1


@pytest.mark.parametrize("count", [None, 9])
def test_outputs_of_no_whole_run_are_not_kept(tiny, capsys, count):
    root, source, stored = tiny
    change_cells(stored, lambda cells: cells[2].update(execution_count=count))
    before = stored.read_bytes()
    edit(source, "A line.", "Another line.")
    assert tool.main(["--root", str(root), "build", "--prose", "00"]) == 1
    assert "was not run from top to bottom (cell 3" in capsys.readouterr().err and stored.read_bytes() == before


def test_widgets_are_stored_as_their_still():
    output = nbformat.v4.new_output(
        "display_data",
        {tool.WIDGET_VIEW: {"model_id": "a1"}, "image/png": "aGk=", "text/plain": "Explorer"},
        metadata={"image/png": {"alt": "A curve."}},
    )
    (stable,) = tool.stable_outputs([output])
    words = {"image/png": {"alt": "A curve."}}
    assert (set(stable.data), stable.metadata) == ({"image/png", "text/plain"}, {"widget": True, **words})


def test_consecutive_streams_are_one():
    said = [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    stable = tool.stable_outputs([nbformat.v4.new_output("stream", name=name, text=text) for name, text in said])
    assert [(output.name, output.text) for output in stable] == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]


def change_cells(stored: Path, change: Callable[[list[NotebookNode]], object]) -> None:
    notebook = nbformat.read(stored, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, stored)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda cells: cells[3].update(source="pass"), "cell 4: source differ"),  # a cell that has no output
        (lambda cells: cells[0].update(source="# Other"), "cell 1: source differ"),
        (lambda cells: cells[2].metadata.clear(), "cell 3: tags"),
        (lambda cells: cells[2].metadata.clear(), "cell 3 stores an error: ZeroDivisionError"),
        (lambda cells: cells[3].update(id="other"), "cell 4: id differ"),
        (lambda cells: cells[3].update(execution_count=None), r"cell 4 was run as \[None\]"),
        (
            lambda cells: (cells[3].update(execution_count=4), cells[4].update(execution_count=3)),
            r"cell 4 was run as \[4\], and a fresh run has \[3\]",
        ),
        (lambda cells: cells[4].outputs[0].update(execution_count=9), r"cell 5 has a result of \[9\]"),
        (lambda cells: cells.append(nbformat.v4.new_markdown_cell("more")), "source has 5 cells, the notebook 6"),
        (lambda cells: cells.pop(), "source has 5 cells, the notebook 4"),
    ],
)
def test_check_notices_an_edited_notebook(tiny, capsys, change, complaint):
    root, _, stored = tiny
    change_cells(stored, change)
    assert tool.main(["--root", str(root), "check"]) == 1
    said = capsys.readouterr().out
    assert re.search(complaint, said)
    assert "make notebooks ARGS=00_tiny" in said


def test_check_notices_an_edited_source_and_missing_files(tiny):
    root, source, _ = tiny
    edit(source, "2 * x", "3 * x")
    assert "3 * x" in tool.check(root, "00_tiny")[0]
    source.write_text(SOURCE)
    assert tool.check(root, "00_tiny") == []
    source.rename(source.with_name("01_other.py"))
    assert "has no source" in tool.check(root, "00_tiny")[0]
    assert "has no notebook" in tool.check(root, "01_other")[0]


# ---- pull ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n\n"])
def test_pull_is_the_identity_on_an_unchanged_notebook(tiny, between):
    root, source, stored = tiny
    layout = SOURCE.replace("A line.\n\n", f"A line.{between}")
    source.write_text(layout)
    assert not tool.pull(root, "00_tiny")
    assert source.read_text() == layout
    cells = nbformat.read(stored, as_version=4).cells
    assert tool.to_source(cells, layout=tool.read_source(source).cells) == layout


def test_the_stored_notebooks_give_their_sources_back():
    for name in NAMES:
        cells = nbformat.read(tool.notebook_path(ROOT, name), as_version=4).cells
        source = tool.source_path(ROOT, name)
        assert tool.to_source(cells, layout=tool.read_source(source).cells) == source.read_text(encoding="utf-8")


def test_pull_carries_an_edit_back(tiny):
    root, source, stored = tiny
    change_cells(stored, lambda cells: (cells[4].update(source="double(4)"), cells[4].metadata.update(scrolled=True)))
    change_cells(stored, lambda cells: cells.insert(1, nbformat.v4.new_markdown_cell("A new cell.")))
    assert tool.pull(root, "00_tiny")
    expected = SOURCE.replace("double(21)", "double(4)").replace(
        "A line.\n", "A line.\n\n# %% [markdown]\n# A new cell.\n"
    )
    assert source.read_text() == expected


def test_pull_writes_a_source_that_is_not_there(tiny):
    root, source, _ = tiny
    source.unlink()
    assert tool.pull(root, "00_tiny")
    assert source.read_text() == SOURCE


def test_pull_loses_nothing(tiny, capsys):
    root, source, stored = tiny
    change_cells(stored, lambda cells: cells[4].update(source="double(4)"))
    edit(source, "A line.", "A line that nobody else has.")
    mine = source.read_text()
    command = ["--root", str(root), "pull", "00_tiny"]
    assert tool.main(command) == 1
    assert "cell 1" in capsys.readouterr().err
    assert source.read_text() == mine

    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "mine"]):
        subprocess.run([*git, *arguments], check=True)
    assert tool.main(command) == 0  # git has it
    assert "double(4)" in source.read_text()

    source.write_text(mine.replace("nobody", "no one"))
    assert tool.main(command) == 1
    assert tool.main([*command, "--force"]) == 0
    assert "no one" not in source.read_text()


def test_pull_refuses_what_a_script_cannot_hold(tiny):
    root, source, stored = tiny
    change_cells(stored, lambda cells: cells[4].update(source="x = 1\n# %%\nx"))
    with pytest.raises(tool.NotebookError, match="cannot hold"):
        tool.pull(root, "00_tiny")
    assert source.read_text() == SOURCE


# ---- names -----------------------------------------------------------------------------------------------------


def test_names(tmp_path, capsys):
    for name in ("03_langevin", "06_annealing"):
        tool.source_path(tmp_path, name).parent.mkdir(parents=True, exist_ok=True)
        tool.source_path(tmp_path, name).touch()
    for text in ("06", "06_annealing", "notebooks/06_annealing.ipynb", "notebooks/source/06_annealing.py"):
        assert tool.find_names(tmp_path, [text]) == ["06_annealing"]
    assert tool.find_names(tmp_path, []) == ["03_langevin", "06_annealing"]
    assert tool.main(["--root", str(tmp_path), "check", "06_anealing"]) == 2
    assert "'06_anealing'. There are: 06_annealing, 03_langevin" in capsys.readouterr().err


def test_metadata_that_would_be_lost_are_refused():
    with pytest.raises(tool.NotebookError, match="cell 1: 'title'"):
        tool.parse_source("# %% A title\n1\n", "00_a.py")
