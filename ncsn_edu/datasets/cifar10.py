"""CIFAR-10: photographs of ten classes, 32 x 32 pixels, in six files (Krizhevsky 2009).

The binary version is downloaded, as reading it unpickles nothing. The version for Python is a pickle: where it lies
there, only the arrays in it are read, and no code is run.
"""

import gzip
import hashlib
import pickle
import shutil
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .download import CannotProvide, Source, fetch, room
from .filesets import Content, FileSet, published
from .gzipped import GZIP, MIB, starts
from .layouts import Piece, entries, find_archive
from .record import SPLITS, Split, below, problem_of_file
from .root import resolved

if TYPE_CHECKING:
    from torch import Tensor

BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"  # the folders in the archives, and unpacked
TRAIN, TEST = tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
MD5 = (  # of the files of the binary version: others found these in the published archive
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
)
PYTHON_MD5 = "c58f30108f718f92721af3b95e74349a"  # of cifar-10-python.tar.gz, which is not downloaded here


class Archive(NamedTuple):
    """An archive of one version, still packed."""

    path: Path
    folder: str  # in it, and unpacked
    files: tuple[str, ...]
    md5: str  # as published


@dataclass(frozen=True, kw_only=True)
class Cifar10(FileSet):
    """CIFAR-10 as unpacked files, or an archive of them, of the binary version or of the one for Python."""

    def find(self, root: Path, split: Split) -> list[Piece]:
        """The files of a split: of the binary version, or else of the one for Python."""
        for suffix in (".bin", ""):
            names = [name + suffix for name in (TRAIN if split == "train" else TEST)]
            for folder in self.folders(root):
                here = entries(folder)
                if all(name in here and here[name].is_file() for name in names):
                    return [Piece(here[name]) for name in names]
        return []

    def decode(self, pieces: list[Piece], split: Split) -> tuple["Tensor", "Tensor"]:
        """Images, uint8 (N, 3, 32, 32), and labels, int64 (N,).

        A file is a row of records: one byte of label and 3072 of pixels, red, green, blue, each row by row.
        """
        import torch

        n, pixels = self.n_images[split] // len(pieces), prod(self.shape)
        images = torch.empty(len(pieces), n, *self.shape, dtype=torch.uint8)
        labels = torch.empty(len(pieces), n, dtype=torch.int64)
        for i, (path, _) in enumerate(pieces):
            content = self._records(path) if _is_pickle(path) else self.bytes_of(path, n * (1 + pixels))
            if len(content) != n * (1 + pixels):
                raise self.damaged(path, f"{n} images", f"{len(content) // (1 + pixels)}")
            records = torch.frombuffer(content, dtype=torch.uint8).view(n, 1 + pixels)
            labels[i] = self.checked_labels(records[:, 0], path)
            images[i] = records[:, 1:].view(n, *self.shape)
        return images.flatten(0, 1), labels.flatten()

    def _records(self, path: Path) -> bytearray:
        """A file of the version for Python, in the records of the binary one. Raises DataDamaged."""
        import numpy as np

        from .. import pickles

        try:
            with path.open("rb") as file:
                batch = {key.decode() if isinstance(key, bytes) else key: x for key, x in pickles.load(file).items()}
            images, labels = batch["data"], np.array(batch["labels"])
            if images.dtype != np.uint8 or images.shape != (len(labels), prod(self.shape)):
                raise ValueError(f"data of {images.dtype} {images.shape}")
            if labels.dtype.kind not in "iu" or labels.ndim != 1 or not ((labels >= 0) & (labels <= 255)).all():
                raise ValueError(f"labels of {labels.dtype} {labels.shape}")
        except (pickle.UnpicklingError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise self.damaged(path, "a batch of CIFAR-10 for Python", f"something else ({error})") from error
        return bytearray(np.column_stack([labels.astype(np.uint8), images]).tobytes())

    def md5_of(self, piece: Piece) -> str:
        """The MD5 of the records, in which both versions agree."""
        if _is_pickle(piece.path):
            return hashlib.md5(self._records(piece.path), usedforsecurity=False).hexdigest()
        return super().md5_of(piece)

    def verify(self, root: str | Path | None) -> dict[str, str]:
        """Compare the files; the archive, where it is all there is."""
        folder = resolved(root)
        packed = None if any(self.has(folder, split) for split in SPLITS) else self.archive(folder)
        if packed:
            return {below(folder, packed.path): problem_of_file(packed.path, packed.md5)}
        return super().verify(folder)

    def repair(self, path: Path) -> str:
        """One archive brings all of its files."""
        unpacked = path.parent.name.startswith("cifar-10-batches")
        return f"Delete the folder {path.parent}" if unpacked else super().repair(path)

    def archive(self, root: Path) -> Archive | None:
        """An archive that lies there packed, the binary version before the one for Python."""
        binary = tuple(Path(file).name for file in self.official_files)
        python = (*TRAIN, *TEST)
        for folder, files, published_md5, stems in (
            (BINARY, binary, self.sources[0].md5, ("cifar-10-binary", BINARY)),
            (PYTHON, python, PYTHON_MD5, ("cifar-10-python", PYTHON)),
        ):
            if path := find_archive(self.folders(root), stems):
                return Archive(path, folder, files, published_md5)
        return None

    def has_archive(self, root: Path) -> bool:
        """Whether an archive lies there."""
        return self.archive(root) is not None

    def provide(self, root: Path) -> None:
        """Download the archive unless one is there, and unpack it as a whole. A downloaded one is deleted then."""
        folder = root / self.folder
        if folder.is_dir() and any(folder.iterdir()):
            files = [content.file for split in SPLITS for content in self.contents[split]]
            missing = [Path(file).name for file in files if not published(root, file)]
            raise CannotProvide(
                f"{folder} lacks {', '.join(missing)}, and a copy is not mixed with another: add the missing files, or "
                "move the folder away"
            )
        if by_hand := self.archive(root):
            self._unpack(by_hand, root)
            return
        (source,) = self.sources
        fetch(source, root)
        fetched = self.archive(root)
        assert fetched is not None
        self._unpack(fetched, root)
        fetched.path.unlink()

    def _unpack(self, packed: Archive, root: Path) -> None:
        """Make the folder from the archive's files that belong there: all of them, or no folder.

        Raises DataDamaged for an archive that is not whole, CannotProvide where the folder cannot be written.
        """
        path, folder = packed.path, root / packed.folder
        fresh = folder.with_name(folder.name + ".partial")
        shutil.rmtree(fresh, ignore_errors=True)  # left by a process that was killed
        names = [f"{packed.folder}/{file}" for file in packed.files]
        limit = max(self.n_images.values()) * (1 + prod(self.shape))
        try:
            fresh.mkdir()
            missing = _extract(path, names, fresh, limit)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            whole = "a whole .tar" if path.suffix == ".tar" else "a whole .tar.gz"
            raise self.damaged(path, whole, f"{path.stat().st_size} bytes ({error})") from error
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise CannotProvide(f"{path} cannot be unpacked there ({room(error)})") from error
        if missing:
            raise self.damaged(path, f"the files {', '.join(sorted(missing))} in it", "none of that name and size")
        if folder.is_dir():
            folder.rmdir()  # empty, or we would not be here
        fresh.replace(folder)


def _extract(path: Path, names: Iterable[str], folder: Path, limit: int) -> set[str]:
    """Copy the members of these names, of at most `limit` bytes each, from a tar archive; returns those that it lacks.

    An archive can name any path, and hold links. So no name in it is ever used as a path: members are picked by their
    full name, only regular files count, and what they hold is written under the names that we know.
    """
    missing = set(names)
    with (
        gzip.open(path) if starts(path, 2) == GZIP else path.open("rb") as stream,
        tarfile.open(fileobj=stream, mode="r:") as tar,
    ):
        for member in tar:
            name = member.name.removeprefix("./")
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None and name in missing and member.size <= limit:
                with (folder / Path(name).name).open("wb") as target:
                    shutil.copyfileobj(content, target, MIB)
                missing.discard(name)
        while stream.read(MIB):
            pass  # on to the very end, where gzip compares its checksum
    return missing


def _is_pickle(path: Path) -> bool:
    """Whether it is a file of the version for Python, whose names have no ending."""
    return not path.suffix


CIFAR10 = Cifar10(
    name="cifar10",
    shape=(3, 32, 32),
    n_images={"train": 50_000, "test": 10_000},
    licence=(
        "its authors state none; used for research, with a citation of Krizhevsky 2009, see "
        "https://www.cs.toronto.edu/~kriz/cifar.html"
    ),
    preprocessing="none",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    download_bytes=170_052_171,
    sources=(
        Source(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
        ),
    ),
    official_files=(*(f"{BINARY}/{name}.bin" for name in (*TRAIN, *TEST)), f"{BINARY}/batches.meta.txt"),
    contents={
        "train": tuple(Content(f"{BINARY}/{name}.bin", digest) for name, digest in zip(TRAIN, MD5[:5], strict=True)),
        "test": tuple(Content(f"{BINARY}/{name}.bin", digest) for name, digest in zip(TEST, MD5[5:], strict=True)),
    },
    folder=BINARY,
    folder_names=(
        *(BINARY, PYTHON, f"{PYTHON}-target"),
        *("cifar-10", "cifar10", "cifar_10", "cifar", "cifar-10-binary", "cifar-10-python", "data", "datasets"),
    ),
    looks_like=r"cifar",
    unpacked_file=f"{BINARY}/data_batch_1.bin",
)
