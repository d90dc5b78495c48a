"""Where the files of a data set lie: as published, or as torchvision, Keras, Kaggle and people lay them out.

Capital letters do not matter. This file does NOT open any of them, and knows no data set.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

DEPTH = 3  # folders below the root that are looked into: cifar10/cifar-10-batches-py, MNIST/raw


class Piece(NamedTuple):
    """A file, or one array of a .npz file."""

    path: Path
    array: str = ""


def folders(root: Path, published: str, names: Collection[str]) -> Iterator[Path]:
    """The folders that may hold a data set: the published one, root itself, then those below it with these names."""
    first = root / published
    yield first
    level = [root]
    for _ in range(DEPTH):
        yield from (folder for folder in level if folder != first)
        level = [
            path for folder in level for key, path in sorted(entries(folder).items()) if key in names and path.is_dir()
        ]
    yield from (folder for folder in level if folder != first)


def entries(folder: Path) -> dict[str, Path]:
    """What is in a folder, by its name in small letters; nothing where there is no folder."""
    try:
        return {entry.name.lower(): folder / entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def find_archive(places: Iterable[Path], stems: Iterable[str]) -> Path | None:
    """An archive of one of these names, still packed: .tar.gz, .tgz, or .tar, as some browsers leave it."""
    names = [stem + suffix for stem in stems for suffix in (".tar.gz", ".tgz", ".tar")]
    for folder in places:
        here = entries(folder)
        for name in names:
            if (path := here.get(name)) and path.is_file():
                return path
    return None


def folder_that(holds: Callable[[Path], bool], places: Iterable[Path]) -> Path:
    """The first of the folders that holds a data set; the very first where none does."""
    places = list(places)
    return next((folder for folder in places if holds(folder)), places[0])


def lookalikes(root: Path, places: Iterable[Path], pattern: str) -> list[str]:
    """What lies there and seems to be of a data set, by its path below root; five at most."""
    try:
        found = [
            path.relative_to(root).as_posix()
            for folder in places
            for key, path in sorted(entries(folder).items())
            if not key.startswith(".") and path.is_file() and re.search(pattern, key)
        ]
    except OSError:  # a folder that may not be read
        return []
    return list(dict.fromkeys(found))[:5]
