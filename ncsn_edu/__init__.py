"""Score-based generative models, to learn from: one abstraction, closed forms, samplers, and what they need.

Start with the notebooks (`python -m ncsn_edu lab`). The names in __init__.pyi are loaded when first used, so that
`python -m ncsn_edu --help` answers at once and `python -m ncsn_edu doctor` works even where PyTorch is missing: no
library of lazy imports either, which would have to be there first.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_names = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
_HOME = {alias.name: node.module for node in _names if isinstance(node, ast.ImportFrom) for alias in node.names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ncsn_edu' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
