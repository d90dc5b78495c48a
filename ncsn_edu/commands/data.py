"""data: which data sets are here, getting them, and whether their files are whole.

This file does NOT know how: ncsn_edu/datasets does.
"""

import argparse
import sys
from pathlib import Path

from .. import datasets
from ..files import expanded, why
from .common import Commands, WrongUsage, new_command, there_is_no


def add(commands: Commands) -> None:
    """The parser of data."""
    parser = new_command(commands, "data", run, "list the data sets, get one, or verify the files that are here")
    parser.add_argument("action", choices=("list", "get", "verify"), help="what to do")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(datasets.NAMES)} (default: all, but for get)"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where they lie (default: NCSN_EDU_DATA, or a cache)")


def run(arguments: argparse.Namespace) -> int:
    """1 where one of them could not be got, or is not as published; the others are seen to all the same."""
    for name in arguments.names:
        if name not in datasets.NAMES:
            raise WrongUsage(there_is_no("data set", name, datasets.NAMES))
    root = expanded(arguments.root, "--root") if arguments.root else datasets.data_root()
    names = list(dict.fromkeys(arguments.names))
    if not arguments.root and not datasets.has_home():
        print(f"there is no home folder: data sets lie in {root}, unless NCSN_EDU_DATA names a folder", file=sys.stderr)
    if arguments.action == "get":
        if not names:
            raise WrongUsage(f"say which: python -m ncsn_edu data get NAME, with a NAME of {', '.join(datasets.NAMES)}")
        return max([_get(name, root) for name in names])
    there = datasets.available(root)
    if arguments.action == "list":
        return _list(names or list(datasets.NAMES), there, root)
    return max([_verify(name, root) for name in names or datasets.NAMES if names or there[name]], default=0)


def _list(names: list[str], there: dict[str, bool], root: Path) -> int:
    print(f"{'name':<8}  {'images':<14}  {'pixels':<7}  {'download':>8}  here")
    for name in names:
        record = datasets.DATASETS[name]
        numbers = " + ".join(map(str, record.n_images.values()))
        pixels = "x".join(map(str, record.shape))
        download = f"{record.download_bytes / 1e6:.0f} MB" if record.download_bytes else "none"
        here = f"yes, {record.place(root)}" if there[name] else f"no: python -m ncsn_edu data get {name}"
        print(f"{name:<8}  {numbers:<14}  {pixels:<7}  {download:>8}  {here}")
    return 0


def _get(name: str, root: Path) -> int:
    try:
        numbers = [len(datasets.load(name, split=split, root=root)[0]) for split in ("train", "test")]
    except (datasets.DataUnavailable, datasets.DataDamaged, ImportError, OSError) as error:
        return _failed(name, _said(error, root))
    print(f"{name}: {numbers[0]} + {numbers[1]} images {datasets.DATASETS[name].place(root)}", flush=True)
    return 0


def _verify(name: str, root: Path) -> int:
    try:
        found = datasets.verify(name, root)
    except (datasets.DataUnavailable, datasets.DataDamaged, OSError) as error:
        return _failed(name, _said(error, root))
    if not found:
        print(f"{name}: {datasets.DATASETS[name].place(root)}, nothing to verify")
    for file, problem in found.items():
        print(f"{name}: {root / file}: {problem or 'as published'}", flush=True)
    bad = sum(map(bool, found.values()))
    return _failed(name, f"{bad} of {len(found)} files are not as published") if bad else 0


def _said(error: Exception, root: Path) -> object:
    return f"{error.filename or root}: {why(error)}" if isinstance(error, OSError) else error


def _failed(name: str, why: object) -> int:
    print(f"ncsn_edu: {name}: {why}", file=sys.stderr)
    return 1
