"""MNIST: handwritten digits of 28 x 28 pixels in four idx files (LeCun et al. 1998)."""

import hashlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from .download import CannotProvide, Source, fetch
from .filesets import Content, FileSet, published
from .gzipped import md5
from .layouts import Piece, entries
from .record import Split

if TYPE_CHECKING:
    from torch import Tensor

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"  # a mirror: the authors' own site no longer answers
# Each file with its MD5 as published, packed, and that of its content: others found these in the published files.
FILES = (
    ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
)


@dataclass(frozen=True, kw_only=True)
class Mnist(FileSet):
    """MNIST as idx files, packed or not, or as Keras' mnist.npz."""

    def find(self, root: Path, split: Split) -> list[Piece]:
        """The images and the labels of a split, both from one folder."""
        part = "train" if split == "train" else "t10k"
        for folder in self.folders(root):
            here = entries(folder)
            images, labels = _idx(here, f"{part}-images-idx3-ubyte"), _idx(here, f"{part}-labels-idx1-ubyte")
            if images and labels:
                return [Piece(images), Piece(labels)]
            if (archive := here.get("mnist.npz")) and archive.is_file():
                return [Piece(archive, f"x_{split}"), Piece(archive, f"y_{split}")]
        return []

    def decode(self, pieces: list[Piece], split: Split) -> tuple["Tensor", "Tensor"]:
        """Images, uint8 (N, 1, 28, 28), and labels, int64 (N,)."""
        import torch

        n, (_, height, width) = self.n_images[split], self.shape
        images = torch.frombuffer(self._values(pieces[0], (n, height, width)), dtype=torch.uint8)
        labels = torch.frombuffer(self._values(pieces[1], (n,)), dtype=torch.uint8)
        return images.view(n, *self.shape), self.checked_labels(labels, pieces[1].path)

    def _values(self, piece: Piece, shape: tuple[int, ...]) -> bytearray:
        """The values of an idx file: they follow the magic number 0x0800 + rank and the sizes, 4 bytes each."""
        expected = [0x0800 + len(shape), *shape]
        length = 4 * len(expected)
        content = self._from_npz(piece) if piece.array else self.bytes_of(piece.path, length + prod(shape))
        found = [int.from_bytes(content[i : i + 4], "big") for i in range(0, length, 4)]
        if found != expected or len(content) != length + prod(shape):
            raise self.damaged(piece.path, f"the magic number and sizes {expected}", f"{found}")
        del content[:length]
        return content

    def _from_npz(self, piece: Piece) -> bytearray:
        """An array of a .npz file, as an idx file has it."""
        import numpy as np

        try:
            with np.load(piece.path) as archive:
                array = archive[piece.array]
        except Exception as error:  # of a damaged archive numpy and zipfile raise nearly anything
            raise self.damaged(piece.path, f"the array {piece.array}", f"something else ({error})") from error
        if array.dtype != np.uint8:
            raise self.damaged(piece.path, f"{piece.array} of uint8", f"{array.dtype} {array.shape}")
        head = [0x0800 + array.ndim, *array.shape]
        return bytearray(b"".join(size.to_bytes(4, "big") for size in head) + array.tobytes())

    def md5_of(self, piece: Piece) -> str:
        """The MD5 of the idx file, unpacked."""
        if piece.array:
            return hashlib.md5(self._from_npz(piece), usedforsecurity=False).hexdigest()
        return super().md5_of(piece)

    def provide(self, root: Path) -> None:
        """Download the missing files, unless those present are another copy: labels must fit their images."""
        found = {source: published(root, source.file) for source in self.sources}
        missing = [source for source, piece in found.items() if piece is None]
        for source, piece in found.items():
            if piece is not None and md5(piece.path) != source.md5:
                raise CannotProvide(
                    f"it lacks {missing[0].file}, and {piece.path} is not the file as published, so that a download "
                    "may not fit it: add the missing files, or move this one away"
                )
        for source in missing:
            fetch(source, root)


def _idx(here: dict[str, Path], name: str) -> Path | None:
    """x-idx3-ubyte.gz as published, or unpacked, or with a dot; or, as Kaggle has it, in a folder of its own name."""
    dotted = name.replace("-idx", ".idx")
    for spelling in (f"{name}.gz", name, dotted, f"{dotted}.gz"):
        path = here.get(spelling)
        if path and path.is_dir():
            path = entries(path).get(spelling)
        if path and path.is_file():
            return path
    return None


MNIST = Mnist(
    name="mnist",
    shape=(1, 28, 28),
    n_images={"train": 60_000, "test": 10_000},
    licence="commonly given as CC BY-SA 3.0; see https://keras.io/api/datasets/mnist/",
    preprocessing="none",
    classes=tuple("0123456789"),
    download_bytes=11_594_722,
    sources=tuple(Source(f"mnist/{file}", URL + file, packed) for file, packed, _ in FILES),
    official_files=tuple(f"mnist/{file}" for file, _, _ in FILES),
    contents={
        "train": tuple(Content(f"mnist/{file}", content) for file, _, content in FILES[:2]),
        "test": tuple(Content(f"mnist/{file}", content) for file, _, content in FILES[2:]),
    },
    folder="mnist",
    folder_names=("mnist", "raw", "data", "datasets"),
    looks_like=r"mnist|idx[13]-ubyte",
)
