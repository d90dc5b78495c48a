"""data: which data sets are here, getting them, and whether their files are whole.

This file does NOT know how: ncsn_edu/data.py does.
"""

import argparse
import sys
from pathlib import Path

from .. import data
from ..files import expanded, why
from .common import Commands, WrongUsage, new_command, there_is_no

N_DIGITS = (898, 899)  # train, test


def add(commands: Commands) -> None:
    """The parser of data."""
    parser = new_command(commands, "data", run, "list the data sets, get one, or verify the files that are here")
    parser.add_argument("action", choices=("list", "get", "verify"), help="what to do")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(data.NAMES)} (default: all, but for get)")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where they lie (default: NCSN_EDU_DATA, or a cache)")


def run(arguments: argparse.Namespace) -> int:
    """1 where one of them could not be got, or is not as published; the others are seen to all the same."""
    for name in arguments.names:
        if name not in data.NAMES:
            raise WrongUsage(there_is_no("data set", name, data.NAMES))
    root = expanded(arguments.root, "--root") if arguments.root else data.data_root()
    names = list(dict.fromkeys(arguments.names))
    if not arguments.root and not data.has_home():
        print(f"there is no home folder: data sets lie in {root}, unless NCSN_EDU_DATA names a folder", file=sys.stderr)
    if arguments.action == "get":
        if not names:
            raise WrongUsage(f"say which: python -m ncsn_edu data get NAME, with a NAME of {', '.join(data.NAMES)}")
        return max([_get(name, root) for name in names])
    there = data.available(root)
    if arguments.action == "list":
        return _list(names or list(data.NAMES), there, root)
    return max([_verify(name, root) for name in names or data.NAMES if names or there[name]], default=0)


def _list(names: list[str], there: dict[str, bool], root: Path) -> int:
    print(f"{'name':<8}  {'images':<14}  {'pixels':<7}  {'download':>8}  here")
    for name in names:
        numbers = " + ".join(map(str, N_DIGITS if name == "digits" else data.N_IMAGES[name].values()))
        size = data.DOWNLOAD_BYTES[name]
        download = f"{size / 1e6:.0f} MB" if size else "none"
        here = f"yes, {_place(name, root)}" if there[name] else f"no: python -m ncsn_edu data get {name}"
        print(f"{name:<8}  {numbers:<14}  {'x'.join(map(str, data.SHAPES[name])):<7}  {download:>8}  {here}")
    return 0


def _place(name: str, root: Path) -> str:
    return "in scikit-learn" if name == "digits" else f"in {root}"


def _get(name: str, root: Path) -> int:
    try:
        numbers = [len(data.load(name, split=split, root=root)[0]) for split in ("train", "test")]
    except (data.DataUnavailable, data.DataDamaged, ImportError, OSError) as error:
        return _failed(name, _said(error, root))
    print(f"{name}: {numbers[0]} + {numbers[1]} images {_place(name, root)}", flush=True)
    return 0


def _verify(name: str, root: Path) -> int:
    try:
        found = data.verify(name, root)
    except (data.DataUnavailable, data.DataDamaged, OSError) as error:
        return _failed(name, _said(error, root))
    if not found:
        print(f"{name}: {_place(name, root)}, nothing to verify")
    for file, problem in found.items():
        print(f"{name}: {root / file}: {problem or 'as published'}", flush=True)
    bad = sum(map(bool, found.values()))
    return _failed(name, f"{bad} of {len(found)} files are not as published") if bad else 0


def _said(error: Exception, root: Path) -> object:
    return f"{error.filename or root}: {why(error)}" if isinstance(error, OSError) else error


def _failed(name: str, why: object) -> int:
    print(f"ncsn_edu: {name}: {why}", file=sys.stderr)
    return 1
