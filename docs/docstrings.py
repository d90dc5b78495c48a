"""Docstrings of the package as reStructuredText.

They are plain text: `code`, formulas as they are typed, blocks of a "name  meaning" a line, and indented examples.
"""

import re
from collections.abc import Iterator, Sequence

NAMED = re.compile(r"(\S.*?)  +(\S.*)")  # a name, two spaces or more, what it means


def as_rst(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring, without its common indentation, in reStructuredText."""
    found: list[str] = []
    for block in _blocks(lines):
        if block[0].startswith(" "):
            found += ["::", "", *("    " + line for line in block), ""]
        elif NAMED.fullmatch(block[0]):
            found += _definitions(block)
        else:
            found += [*map(_escaped, block), ""]
    return found


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """What stands between empty lines; indented blocks that follow one another are one."""
    block: list[str] = []
    for number, line in enumerate(lines):
        if line.strip():
            block.append(line)
        elif block:
            following = next((later for later in lines[number:] if later.strip()), "")
            if block[0].startswith(" ") and following.startswith(" "):
                block.append("")
            else:
                yield block
                block = []
    if block:
        yield block


def _definitions(block: Sequence[str]) -> list[str]:
    found: list[str] = []
    for line in block:
        if line.startswith(" "):
            found.append("    " + _escaped(line.strip()))
        elif match := NAMED.fullmatch(line):
            found += ["", f"``{match[1]}``", "    " + _escaped(match[2])]
        else:  # a sentence below the list
            found += ["", _escaped(line)]
    return [*found[1:], ""]


def _escaped(line: str) -> str:
    """A line in which `code` alone has a meaning."""
    parts = re.split(r"`+([^`]+)`+", line)
    code = [f"``{part}``" for part in parts[1::2]]
    text = [re.sub(r"([\\*|_`:-])", r"\\\1", part) for part in parts[::2]]
    joined = text[0]
    for piece, after in zip(code, text[1:], strict=True):
        joined += ("\\ " if joined and joined[-1].isalnum() else "") + piece + ("\\ " if after[:1].isalnum() else "")
        joined += after
    return joined
