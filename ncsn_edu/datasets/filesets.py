"""Data sets whose files hold many images each: MNIST, CIFAR-10. This file does NOT know their formats."""

import gzip
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .gzipped import MIB, is_packed, md5, opened
from .layouts import Piece
from .record import SPLITS, DataDamaged, PublishedSet, Split, below, compared
from .root import resolved

if TYPE_CHECKING:
    from torch import Tensor


class Content(NamedTuple):
    """A published file that holds images or labels: its place below the root, and the MD5 of its unpacked content."""

    file: str
    md5: str


@dataclass(frozen=True, kw_only=True)
class FileSet(PublishedSet):
    """A published data set with a few files for each split, which all have a checksum."""

    contents: Mapping[Split, tuple[Content, ...]]

    @abstractmethod
    def find(self, root: Path, split: Split) -> list[Piece]:
        """Where the contents of a split lie, in their order; [] where they do not."""

    @abstractmethod
    def decode(self, pieces: list[Piece], split: Split) -> tuple["Tensor", "Tensor"]:
        """Images, uint8 (N, C, H, W), and labels, int64 (N,). Raises DataDamaged."""

    def md5_of(self, piece: Piece) -> str:
        """The MD5 of what the published file holds, in whichever layout it lies here."""
        return md5(piece.path, unpack=True)

    def has(self, root: Path, split: Split) -> bool:
        """Whether all contents of the split lie there."""
        return bool(self.find(root, split))

    def read(self, root: Path, split: Split) -> tuple["Tensor", "Tensor"]:
        """Images and labels of a split that is there."""
        return self.decode(self.find(root, split), split)

    def verify(self, root: str | Path | None) -> dict[str, str]:
        """Compare the MD5 of each content with the known one. Where a split is not whole, some are missing."""
        folder = resolved(root)
        report: dict[str, str] = {}
        for split in SPLITS:
            contents = self.contents[split]
            pieces: Sequence[Piece | None] = self.find(folder, split)
            pieces = pieces or [published(folder, content.file) for content in contents]
            for content, piece in zip(contents, pieces, strict=True):
                if piece is None:
                    report[content.file] = "missing"
                else:
                    array = f" ({piece.array})" if piece.array else ""
                    report[below(folder, piece.path) + array] = self._problem(piece, content.md5)
        return report

    def _problem(self, piece: Piece, expected: str) -> str:
        try:
            return compared(self.md5_of(piece), expected)
        except (OSError, EOFError, zlib.error, DataDamaged) as error:
            return f"cannot be read ({error})"

    def bytes_of(self, path: Path, size: int) -> bytearray:
        """The unpacked content of a file, which must have this many bytes. Raises DataDamaged; reads little more."""
        content, problem = bytearray(), ""
        try:
            with opened(path) as file:
                while len(content) <= size and (chunk := file.read1(MIB)):
                    content += chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = f" ({error})"
        if problem or len(content) != size:
            unpacked = " when unpacked" if is_packed(path) else ""
            found = f"{len(content)}{problem}" if len(content) <= size else "more"
            raise self.damaged(path, f"{size} bytes{unpacked}", found)
        return content

    def checked_labels(self, labels: "Tensor", path: Path) -> "Tensor":
        """Labels, uint8, as int64. Raises DataDamaged for one above 9."""
        if labels.max() > 9:
            raise self.damaged(path, "labels of 0 to 9", f"the label {labels.max().item()}")
        return labels.long()


def published(root: Path, file: str) -> Piece | None:
    """The file in its published place, packed or unpacked: x-idx3-ubyte.gz, x-idx3-ubyte, or x.idx3-ubyte."""
    plain = file.removesuffix(".gz")
    for spelling in (file, plain, plain.replace("-idx", ".idx")):
        if (root / spelling).is_file():
            return Piece(root / spelling)
    return None
