"""show(annealed_langevin): the source that runs, rendered where the learner reads. This file does NOT import it."""

import ast
import inspect
import re
import sys
import textwrap
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any


def show(*objects: Any, docstring: bool = True) -> "Source":
    """The source of functions, classes, methods or modules, for a notebook to render.

    docstring=False leaves their docstrings out, where the text around says the same. Raises TypeError where an object
    has no Python source, as a builtin.
    """
    if not objects:
        raise TypeError("show() takes the functions or classes to show, such as show(annealed_langevin)")
    return Source([_read(obj, docstring) for obj in objects], docstring)


class Source:
    """Source code that a notebook renders as Markdown."""

    def __init__(self, parts: list[tuple[str, str, str]], docstring: bool = True):
        """`parts` are (name, file, code)."""
        self.parts, self.docstring = parts, docstring

    def _repr_markdown_(self) -> str:
        blocks = []
        for file, parts in groupby(self.parts, key=lambda part: part[1]):
            code = "\n\n\n".join(code for _, _, code in parts)
            fence = "`" * (1 + max(map(len, re.findall("`{2,}", code)), default=2))  # longer than any in the code
            blocks.append(f"**`{file}`**\n\n{fence}python\n{code}\n{fence}")
        return "\n\n".join(blocks)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _, _ in self.parts)
        return f"show({names})" if self.docstring else f"show({names}, docstring=False)"


def _read(obj: Any, docstring: bool) -> tuple[str, str, str]:
    original = inspect.unwrap(obj)
    name = getattr(original, "__qualname__", None) or getattr(original, "__name__", None) or type(obj).__name__
    try:
        code = textwrap.dedent(inspect.getsource(original)).strip("\n")
    except (TypeError, OSError) as error:
        hint = (
            f"try show({type(obj).__name__})" if _is_instance(obj) else "it is not written in Python, or made by exec"
        )
        raise TypeError(f"there is no Python source to show for {name}: {hint}") from error
    return name, _file(original), code if docstring else _without_docstrings(code)


def _is_instance(obj: Any) -> bool:
    return not (inspect.isroutine(obj) or inspect.isclass(obj) or inspect.ismodule(obj))


def _file(obj: Any) -> str:
    """As in the repository: ncsn_edu/samplers.py, wherever it is installed."""
    module = obj.__name__ if isinstance(obj, ModuleType) else obj.__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return "this notebook" if module == "__main__" else module
    parts = module.split(".")
    is_package = Path(file).stem == "__init__" and parts[-1] != "__init__"
    return "/".join(parts[:-1] + ([parts[-1], Path(file).name] if is_package else [Path(file).name]))


def _without_docstrings(code: str) -> str:
    lines: list[str | None] = list(code.split("\n"))
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        text, *rest = node.body
        start, end = text.lineno - 1, text.end_lineno or text.lineno
        before, after = code.split("\n")[start][: text.col_offset], code.split("\n")[end - 1][text.end_col_offset :]
        if before.strip() or after.partition("#")[0].strip():  # def f(): "on one line"
            continue
        lines[start:end] = [None] * (end - start)
        if not rest and not isinstance(node, ast.Module):
            lines[start] = before + "..."
        elif end < len(lines) and not (lines[end] or "").strip():  # the empty line below it
            lines[end] = None
    return "\n".join(line for line in lines if line is not None).strip("\n")
