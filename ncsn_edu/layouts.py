"""Where the files of a data set lie: as published, or as torchvision, Keras, Kaggle and people lay them out.

Capital letters do not matter. This file does NOT open any of them, and does not know what is in them.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

DEPTH = 3  # folders below the root that are looked into: cifar10/cifar-10-batches-py, MNIST/raw
FOLDERS = {  # that may hold the files, or such a folder
    "mnist": ("mnist", "raw", "data", "datasets"),
    "cifar10": (
        *("cifar-10-batches-bin", "cifar-10-batches-py", "cifar-10-batches-py-target"),
        *("cifar-10", "cifar10", "cifar_10", "cifar", "cifar-10-binary", "cifar-10-python", "data", "datasets"),
    ),
    "celeba": ("celeba", "celeba-dataset", "celeba_dataset", "img", "data", "datasets"),
}
LOOKS_LIKE = {"mnist": r"mnist|idx[13]-ubyte", "cifar10": r"cifar", "celeba": r"celeb|img_align"}


class Piece(NamedTuple):
    """A file, or one array of a .npz file."""

    path: Path
    array: str = ""


def folders(name: str, root: Path) -> Iterator[Path]:
    """The folders that may hold the data set: the published one, root itself, then those below it by name."""
    published = root / {"mnist": "mnist", "cifar10": "cifar-10-batches-bin", "celeba": "celeba"}[name]
    yield published
    level = [root]
    for _ in range(DEPTH):
        yield from (folder for folder in level if folder != published)
        level = [
            path
            for folder in level
            for key, path in sorted(_entries(folder).items())
            if key in FOLDERS[name] and path.is_dir()
        ]
    yield from (folder for folder in level if folder != published)


def _entries(folder: Path) -> dict[str, Path]:
    """What is in a folder, by its name in small letters; nothing where there is no folder."""
    try:
        return {entry.name.lower(): folder / entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def mnist(root: Path, split: str) -> list[Piece] | None:
    """The images and the labels of a split: idx files, packed or not, or Keras' mnist.npz; None where neither is."""
    part = "train" if split == "train" else "t10k"
    names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    for folder in folders("mnist", root):
        here = _entries(folder)
        found = [_idx(here, name) for name in names]
        if all(found):
            return [Piece(path) for path in found if path]
        if (archive := here.get("mnist.npz")) and archive.is_file():
            return [Piece(archive, f"{kind}_{split}") for kind in ("x", "y")]
    return None


def _idx(here: dict[str, Path], name: str) -> Path | None:
    """x-idx3-ubyte.gz as published, or unpacked, or with a dot; or, of Kaggle, in a folder of its own name."""
    for spelling in (f"{name}.gz", name, name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
        path = here.get(spelling)
        if path and path.is_dir():
            path = _entries(path).get(spelling)
        if path and path.is_file():
            return path
    return None


def cifar10(root: Path, split: str) -> list[Piece] | None:
    """The files of a split: of the binary version, or else of the one for Python; None where there are none."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    for suffix in (".bin", ""):
        for folder in folders("cifar10", root):
            here = _entries(folder)
            if all((path := here.get(name + suffix)) and path.is_file() for name in names):
                return [Piece(here[name + suffix]) for name in names]
    return None


def archive(name: str, root: Path, stems: Iterable[str]) -> Path | None:
    """An archive of one of these names, still packed: .tar.gz, .tgz, or .tar, as some browsers leave it."""
    for folder in folders(name, root):
        here = _entries(folder)
        for stem in stems:
            for suffix in (".tar.gz", ".tgz", ".tar"):
                if (path := here.get(stem + suffix)) and path.is_file():
                    return path
    return None


def folder_of(name: str, root: Path, holds: Callable[[Path], bool]) -> Path:
    """The first folder that holds the data set; the published one where none does."""
    places = list(folders(name, root))
    return next((folder for folder in places if holds(folder)), places[0])


def lookalikes(name: str, root: Path) -> list[str]:
    """What lies there and seems to be of the data set, by its path below root; five at most."""
    found = [
        path.relative_to(root).as_posix()
        for folder in folders(name, root)
        for key, path in sorted(_entries(folder).items())
        if not key.startswith(".") and (path.is_file() and re.search(LOOKS_LIKE[name], key))
    ]
    return list(dict.fromkeys(found))[:5]
