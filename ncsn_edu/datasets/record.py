"""The record of a data set: its facts, and the methods in which data sets differ. This file does NOT know any of them.

DataSet is what the rest of the package sees. PublishedSet is one whose files are published: it is found below a root
folder, in one of several layouts, or downloaded there.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..kinds import UNPACK, kind_of
from . import layouts
from .download import CannotProvide, Source, locked
from .gzipped import md5
from .root import resolved

if TYPE_CHECKING:
    from torch import Tensor

Split: TypeAlias = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


class DataUnavailable(RuntimeError):
    """The data set is not on this machine and could not be downloaded; the message names the ways to get it."""


class DataDamaged(RuntimeError):
    """A file of a data set is there, but is not what it should be; the message names it and the way to fix it."""


@dataclass(frozen=True, kw_only=True)
class DataSet(ABC):
    """What is known of a data set, and how it is loaded."""

    name: str
    shape: tuple[int, int, int]  # of one image: C, H, W
    n_images: Mapping[Split, int]
    licence: str  # as its publishers state it, and where
    preprocessing: str  # what differs between the published images and those that load() returns
    classes: tuple[str, ...] = ()  # what the labels 0, 1, ... mean; empty where there are none
    download_bytes: int = 0
    sources: tuple[Source, ...] = ()  # what is downloaded
    official_files: tuple[str, ...] = ()  # the files as published, below the root

    @abstractmethod
    def load(self, split: Split, root: str | Path | None, download: bool) -> tuple["Tensor", "Tensor"]:
        """Images, uint8 (N, C, H, W), and labels 0..9, int64 (N,). Raises what `datasets.load` raises."""

    @abstractmethod
    def available(self, root: Path) -> bool:
        """Whether both splits are ready to be read."""

    @abstractmethod
    def verify(self, root: str | Path | None) -> dict[str, str]:
        """What is wrong with each file, by its path below root: "" where it is as published."""

    @abstractmethod
    def place(self, root: Path) -> str:
        """Where it is once it is available: "in ..."."""


@dataclass(frozen=True, kw_only=True)
class PublishedSet(DataSet):
    """A data set of published files. A subclass says how they are found, read, and got in order once downloaded."""

    folder: str  # of the published files, below the root
    folder_names: tuple[str, ...]  # of folders that may hold the files, or such a folder; in small letters
    looks_like: str  # a pattern of file names that seem to belong to it
    page: str = ""  # where people can download it with a browser
    unpacked_file: str = ""  # one of the files that are in the download, below the root

    @abstractmethod
    def has(self, root: Path, split: Split) -> bool:
        """Whether the split is ready to be read."""

    @abstractmethod
    def read(self, root: Path, split: Split) -> tuple["Tensor", "Tensor"]:
        """Images and labels of a split that is there. Raises DataDamaged."""

    @abstractmethod
    def provide(self, root: Path) -> None:
        """Put the missing files below root. Raises CannotProvide, DataUnavailable or DataDamaged."""

    def has_archive(self, root: Path) -> bool:
        """Whether an archive lies there that `provide` only has to unpack."""
        return False

    def load(self, split: Split, root: str | Path | None, download: bool) -> tuple["Tensor", "Tensor"]:
        """Read the split; provide it first where it is missing."""
        folder = resolved(root)
        if not self.has(folder, split):
            self._provide_once(folder, split, download)
        return self.read(folder, split)

    def _provide_once(self, root: Path, split: Split, download: bool) -> None:
        """Let one process at a time provide the data set; the others wait, and find it there."""
        if not download and not self.has_archive(root):
            raise self.unavailable(root, "this call was not to download anything (download=False)")
        try:
            with locked(root / f".{self.name}.lock", self.name):
                if not self.has(root, split):
                    self.provide(root)
        except CannotProvide as error:
            raise self.unavailable(root, str(error)) from error

    def available(self, root: Path) -> bool:
        """Whether both splits are ready to be read."""
        return all(self.has(root, split) for split in SPLITS)

    def place(self, root: Path) -> str:
        """The root."""
        return f"in {root}"

    def folders(self, root: Path) -> Iterator[Path]:
        """The folders that may hold the data set, the published one first."""
        return layouts.folders(root, self.folder, self.folder_names)

    def unavailable(self, root: Path, reason: str) -> DataUnavailable:
        """The error that names the ways to get the data."""
        by_hand = "\n".join(f"       {root / source.file}   from {source.url}" for source in self.sources)
        page = f"\n       (or, with a browser, from {self.page})" if self.page else ""
        file = self.unpacked_file
        unpacked = f"\n       (or, unpacked, {root / file} and the others)" if file else ""
        seen = layouts.lookalikes(root, self.folders(root), self.looks_like)
        others = f"Found there, but not all of what is needed: {', '.join(seen)}.\n" if seen else ""
        return DataUnavailable(
            f"{self.name} is not complete in {root}: {reason}.\n"
            f"{others}"
            "Three ways to get it:\n"
            f"  1. connect to the internet and run python -m ncsn_edu data get {self.name}, or in Python\n"
            f'     load("{self.name}", download=True): each resumes a download that stopped\n'
            f"  2. put the official files there by hand:\n{by_hand}{page}{unpacked}\n"
            "  3. set NCSN_EDU_DATA to a folder that has these files, or pass it as root=\n"
            'Without it: load("digits") needs no download.'
        )

    def damaged(self, path: Path, expected: str, found: str) -> DataDamaged:
        """The error about a file that is not what it should be."""
        what_came = _instead(path)
        return DataDamaged(
            f"{path} is damaged: expected {expected}, found {found}.{what_came} {self.repair(path)} and load again."
        )

    def repair(self, path: Path) -> str:
        """What to do about a damaged file before it is loaded again."""
        return "Delete the file"


def _instead(path: Path) -> str:
    """What a file is that came instead, such as a web page, and what to do about it."""
    try:
        kind = kind_of(path)
    except OSError:
        return ""
    return f" It is {kind.what}: {kind.advice}." if kind.advice not in ("", UNPACK) else ""


def below(root: Path, path: Path) -> str:
    """The path as `verify` names it."""
    return path.relative_to(root).as_posix()


def compared(found: str, expected: str) -> str:
    """What `verify` says of a checksum."""
    return "" if found == expected else f"MD5 {found} instead of {expected}"


def problem_of_file(path: Path, expected: str) -> str:
    """What `verify` says of a file that is published as it is, such as an archive, by its MD5."""
    try:
        return compared(md5(path), expected) if path.is_file() else "missing"
    except OSError as error:
        return f"cannot be read ({error})"
