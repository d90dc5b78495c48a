"""Notebooks as students hand them in: solved, untouched, damaged, hostile; each with the points that it should get.

`variants` makes them from any assignment: a file's bytes, and what is lost. This file does NOT grade.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import psutil
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from ncsn_edu.grading.submissions import contents, grade_id, parse

LOOP, STUBBORN = "while True: pass", "while True:\n    try:\n        while True: pass\n    except BaseException: pass"


class Handed(NamedTuple):
    """A file, and what grading it should give: the tasks that are lost, or why it cannot be graded."""

    name: str
    data: bytes
    lost: tuple[str, ...] = ()
    reason: str = ""
    remark: str = ""
    suffix: str = ".ipynb"


def solved(release: NotebookNode, source: NotebookNode) -> NotebookNode:
    """The release with the solutions of the source in its answer cells."""
    answers = {grade_id(cell): cell.source for cell in source.cells if grade_id(cell).startswith("answer")}
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    return notebook


def as_bytes(notebook: NotebookNode) -> bytes:
    return nbformat.writes(notebook).encode()


def read(path: Path) -> NotebookNode:
    """The notebook in a file, as grading reads it."""
    return parse(contents(path))[0]


def running(mark: str) -> list[int]:
    """The processes with this mark in their command lines."""
    found = psutil.process_iter(["cmdline"])
    return [process.pid for process in found if mark in " ".join(process.info["cmdline"] or ())]


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def variants(release: NotebookNode, source: NotebookNode, function: str) -> Iterator[Handed]:
    """Everything that can happen to task 1, whose answer is the function of this name."""
    right = solved(release, source)

    def edited(edit: Callable[[NotebookNode], object]) -> bytes:
        notebook = copy.deepcopy(right)
        edit(notebook)
        return as_bytes(notebook)

    def answer(code: str) -> bytes:
        return edited(lambda notebook: cell_of(notebook, "answer-1").update(source=code))

    def body(code: str) -> bytes:
        indented = "\n".join("    " + line for line in code.splitlines())
        return answer(f"def {function}(*arguments):\n{indented}\n")

    def before(code: str) -> bytes:
        return edited(lambda notebook: notebook.cells.insert(2, new_code_cell(code)))

    good = cell_of(right, "answer-1").source
    stub = cell_of(release, "answer-1").source
    one = ("1",)
    yield Handed("solved", as_bytes(right))
    yield Handed("untouched", as_bytes(release), ("all",))

    # code that does not end, ends too much, or takes too much
    yield Handed("endless function", body(LOOP), one)
    yield Handed("endless cell", answer(LOOP + "\n" + good), one)
    yield Handed("endless and stubborn", answer(STUBBORN + "\n" + good), one)
    yield Handed(
        "os._exit in a cell", answer(good + "\nimport os\nos._exit(0)"), one, remark="ended the Python process"
    )
    yield Handed("os._exit in a function", body("import os\nos._exit(0)"), one, remark="ended the Python process")
    yield Handed("exit()", before("exit()"), remark="ended the Python process")
    yield Handed("sys.exit in a function", body("import sys\nsys.exit(0)"), one)
    yield Handed("abort", before("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"), remark="ended the Python")
    yield Handed("memory bomb in a function", body("x = []\nwhile True: x.append(bytearray(1 << 26))"), one)
    yield Handed("memory bomb in a cell", before("x = []\nwhile True: x.append(bytearray(1 << 26))"))
    yield Handed("100 MB of output", before("for _ in range(100): print('x' * 1_000_000)"))
    yield Handed(
        "40 MB of output from a function",
        answer(
            good + f"\nreal = {function}\n"
            f"def {function}(*a):\n    for _ in range(4): print('x' * 5_000_000)\n    return real(*a)"
        ),
    )
    yield Handed("endless recursion", body(f"return {function}(*arguments)"), one)
    yield Handed(
        "a thread that never ends",
        before(
            "import threading, time\nthreading.Thread(target=lambda: [time.sleep(0.1) for _ in iter(int, 1)]).start()"
        ),
    )
    yield Handed(
        "a process left behind",
        before("import subprocess\nsubprocess.Popen(['sleep', '98765'], start_new_session=True)"),
    )
    yield Handed(
        "fills the disk",
        before("for i in range(10_000):\n    open(f'big{i}', 'wb').write(bytes(1 << 20))"),
        remark="to the disk",
    )
    yield Handed("one huge file", before("with open('big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))"))
    yield Handed("asks for input", before("input('name?')"))
    yield Handed("deletes its folder", before("import shutil\nshutil.rmtree('.', ignore_errors=True)"))
    yield Handed("kills its parent", before("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"))
    yield Handed("syntax error", answer(good + "\ndef ("), one)
    yield Handed("runs nothing else after an error", before("1 / 0"))

    # that wants points for nothing
    wrong = f"def {function}(*arguments):\n    return None\n"
    hook = f"import sys\ndef {function}(*arguments):\n    sys.displayhook(2.0)\n"
    yield Handed("shows points of its own", answer(hook), one)
    yield Handed(
        "tests edited",
        edited(
            lambda notebook: (
                cell_of(notebook, "answer-1").update(source=wrong),
                cell_of(notebook, "tests-1").update(source="2.0"),
            )
        ),
        one,
        remark="tests-1 was edited",
    )
    yield Handed(
        "points edited",
        edited(
            lambda notebook: (
                cell_of(notebook, "answer-1").update(source=wrong),
                cell_of(notebook, "tests-1").metadata.nbgrader.update(points=100),
            )
        ),
        one,
    )

    # that was changed by a person or by another tool
    yield Handed(
        "answer removed",
        edited(lambda notebook: notebook.cells.remove(cell_of(notebook, "answer-1"))),
        one,
        remark="answer-1 is missing",
    )
    yield Handed(
        "tests removed",
        edited(lambda notebook: notebook.cells.remove(cell_of(notebook, "tests-1"))),
        remark="tests-1 was removed",
    )
    yield Handed("set-up removed", edited(lambda notebook: notebook.cells.remove(cell_of(notebook, "setup-1"))))
    yield Handed(
        "only the answers left",
        edited(
            lambda notebook: notebook.update(
                cells=[cell for cell in notebook.cells if grade_id(cell).startswith("answer")]
            )
        ),
    )
    yield Handed(
        "answer twice, the second right",
        edited(
            lambda notebook: (
                notebook.cells.insert(
                    1 + notebook.cells.index(cell_of(notebook, "answer-1")), _like(cell_of(notebook, "answer-1"), good)
                )
                or cell_of(notebook, "answer-1").update(source=wrong)
            )
        ),
        remark="answer-1 is there twice",
    )
    yield Handed(
        "answer twice, the second untouched",
        edited(lambda notebook: notebook.cells.append(_like(cell_of(notebook, "answer-1"), stub))),
        remark="answer-1 is there twice",
    )
    yield Handed(
        "answer in a cell of its own",
        edited(
            lambda notebook: (
                notebook.cells.append(new_code_cell(good)),
                cell_of(notebook, "answer-1").update(source=stub),
            )
        ),
        remark="answer-1 was found in another cell",
    )
    yield Handed("without nbgrader's data", edited(_stripped), remark="answer-1 was found in another cell")
    yield Handed(
        "answer in a text cell",
        edited(
            lambda notebook: notebook.cells.__setitem__(
                notebook.cells.index(cell_of(notebook, "answer-1")),
                new_markdown_cell(good, metadata=cell_of(notebook, "answer-1").metadata),
            )
        ),
        remark="was a markdown cell",
    )
    yield Handed(
        "another version",
        edited(lambda notebook: notebook.metadata.ncsn_edu.update(version="0")),
        remark="made from version 0",
    )
    yield Handed(
        "another kernel",
        edited(
            lambda notebook: notebook.metadata.update(kernelspec={"name": "ir", "language": "R", "display_name": "R"})
        ),
        remark="kernel for r",
    )
    yield Handed("Windows", as_bytes(right).replace(b"\\n", b"\\r\\n").replace(b"\n", b"\r\n"))
    yield Handed("with a mark at its start", b"\xef\xbb\xbf" + as_bytes(right))
    yield Handed("in 16 bits", as_bytes(right).decode().encode("utf-16"))
    yield Handed("of format 3", nbformat.writes(nbformat.convert(copy.deepcopy(right), 3), version=3).encode())
    yield Handed(
        "full of outputs",
        edited(
            lambda notebook: cell_of(notebook, "answer-1").update(outputs=[new_output("stream", text="x" * 20_000_000)])
        ),
    )
    yield Handed("cells without sources", _bare(right))

    # that is no notebook
    yield Handed("empty", b"", reason="empty")
    yield Handed("cut", as_bytes(right)[: len(as_bytes(right)) // 2], reason="ends in the middle")
    yield Handed("a zip", b"PK\x03\x04rest", reason="zip")
    yield Handed("a text", b"Dear teacher, my dog", reason="not a notebook", suffix=".docx")
    yield Handed("a PDF", b"%PDF-1.7", reason="PDF", suffix=".pdf")
    yield Handed("a picture", b"\x89PNG\r\n", reason="picture")
    yield Handed("other JSON", b'{"a": 1}', reason="no cells")
    yield Handed("no cells", json.dumps({"cells": [], "metadata": {}, "nbformat": 4}).encode(), reason="no cells")
    yield Handed(
        "another notebook", as_bytes(nbformat.v4.new_notebook(cells=[new_code_cell("1")])), reason="answers none"
    )


def _like(cell: NotebookNode, source: str) -> NotebookNode:
    twin = copy.deepcopy(cell)
    twin.update(source=source, id=cell.id + "b")
    return twin


def _stripped(notebook: NotebookNode) -> None:
    notebook.metadata.clear()
    for cell in notebook.cells:
        cell.metadata.clear()


def _bare(notebook: NotebookNode) -> bytes:
    """Sources as one string, no ids, no outputs, an entry that is no cell, a cell that has nothing."""
    raw = json.loads(as_bytes(notebook))
    raw["cells"] = [{key: cell[key] for key in ("cell_type", "source", "metadata")} for cell in raw["cells"]]
    for cell in raw["cells"]:
        cell["source"] = "".join(cell["source"])
    raw["cells"] += [{"cell_type": "code"}, None]
    return json.dumps(raw).encode()
