"""Zip files: unpack what came from elsewhere without trusting it, and pack feedback to be sent back.

Nothing in an archive can be written outside of the folder that it is unpacked into, and none unpacks to more than it
may. This file does NOT know whose the files are.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..files import write_whole
from .submissions import MOST_BYTES, Unreadable

MOST_FILES = 20_000
MOST_OF_ONE, MOST_OF_A_CLASS = 300_000_000, 8_000_000_000  # bytes, unpacked
DEEPEST = 30
MARK = ".unpacked.json"
OFFICE = ("[Content_Types].xml", "mimetype")  # what Word's and LibreOffice's zips hold
# What damaged and unusual archives raise, besides OSError.
DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Member:
    """A file of an archive: its name in parts, where it was unpacked, or why it was not."""

    parts: tuple[str, ...]
    path: Path | None
    reason: str = ""


def is_zip(path: Path) -> bool:
    """Is it a file that begins as a zip does?"""
    with contextlib.suppress(OSError):
        return path.is_file() and path.open("rb").read(4) in (b"PK\3\4", b"PK\5\6")
    return False


def unpack(archive: Path, to: Path, most: int = MOST_OF_ONE) -> list[Member]:
    """Unpack an archive into a folder, at most so many bytes; what cannot be unpacked is in the list with a reason.

    Raises Unreadable where there is nothing to unpack, or it is an Office document, and OSError where the disk is full.
    """
    try:
        file = zipfile.ZipFile(archive)
    except (*DAMAGED, OSError) as error:
        raise Unreadable(f"this zip file cannot be opened ({error}): ask for it again") from error
    with file:
        inside = file.infolist()
        if any(info.filename in OFFICE for info in inside):
            raise Unreadable("this is a Word or Office document, not a notebook: ask for the .ipynb file")
        if not inside:
            raise Unreadable("this zip file is empty")
        if len(inside) > MOST_FILES:
            raise Unreadable(f"this zip file holds {len(inside)} files: ask for the .ipynb file alone")
        found, left = [], most
        for info in inside:
            member, size = _unpacked(file, info, to, left, most)
            left -= size
            found += [member] if member else []
        return found


def _unpacked(
    file: zipfile.ZipFile, info: zipfile.ZipInfo, to: Path, left: int, most: int
) -> tuple[Member | None, int]:
    """A member, and how many bytes it takes; None for a folder. `left` of `most` bytes may still be written."""
    name = _name(info)
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if not parts:
        return None, 0
    if reason := _refused(name, parts, info):
        return Member(parts[:DEEPEST], None, reason), 0
    target = to.joinpath(*map(shortened, parts))
    try:
        if info.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            return None, 0
        target.parent.mkdir(parents=True, exist_ok=True)
        target = _free(target, Path(parts[-1]))
        written = _copied(file, info, target, min(left, MOST_BYTES))
    except _TooLarge:
        limit = MOST_BYTES if left > MOST_BYTES else most
        return Member(parts, None, f"it unpacks to more than {limit / 1e6:.0f} MB: it was not unpacked"), 0
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # no fault of the archive
            raise
        return Member(parts, None, f"it cannot be unpacked ({error}): ask for it again"), 0
    return Member((*parts[:-1], target.name), target), written


def _refused(name: str, parts: tuple[str, ...], info: zipfile.ZipInfo) -> str:
    """Why a member is not unpacked at all, by what the archive says of it; "" where it may be."""
    if name.startswith(("/", "\\")) or ".." in parts or parts[0][1:2] == ":":
        return "its name in the zip file leads out of it: it was not unpacked"
    if len(parts) > DEEPEST:
        return f"folders in folders, more than {DEEPEST} deep: it was not unpacked"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "this is a link in the zip file: put the file itself there"
    return "it has a password in the zip file: ask for one without" if info.flag_bits & 1 else ""


def _free(target: Path, name: Path) -> Path:
    """The target, or the first of NAME (2), NAME (3), ... that is not there yet: an archive may hold a name twice."""
    number = 2
    while target.exists():
        target = target.with_name(shortened(f"{name.stem} ({number}){name.suffix}"))
        number += 1
    return target


class _TooLarge(Exception):
    """A member unpacks to more than it may."""


def _copied(file: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, most: int) -> int:
    """Unpack one member into a new file, with its time; returns how many bytes it has.

    Raises _TooLarge beyond `most` bytes, one of DAMAGED, or OSError; then there is no such file.
    """
    written = 0
    try:
        with file.open(info) as source, open(target, "xb") as copy:
            while block := source.read(1 << 20):  # what the archive says of its sizes need not be true
                written += len(block)
                if written > most:
                    raise _TooLarge
                copy.write(block)
    except BaseException:
        with contextlib.suppress(OSError):
            target.unlink()
        raise
    with contextlib.suppress(ValueError, OverflowError, OSError):
        moment = time.mktime((*info.date_time, 0, 0, -1))
        os.utime(target, (moment, moment))
    return written


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name: UTF-8 also where the archive does not say so, as macOS writes it; otherwise DOS's code page."""
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return info.filename.encode("cp437").decode("utf-8")
    return info.filename


def shortened(name: str, most: int = 200) -> str:
    """A file's name of at most so many bytes, with its suffix; what is cut off is replaced by a hash of the name."""
    data = os.fsencode(name)
    if len(data) <= most:
        return name
    suffix = os.fsencode(Path(name).suffix)
    suffix = suffix if len(suffix) <= 20 else b""  # the rest of a name with a dot in it
    mark = b"~" + hashlib.sha256(data).hexdigest()[:8].encode()
    start = data[: most - len(suffix) - len(mark)].decode("utf-8", "ignore").encode()  # no half of a character
    return os.fsdecode(start + mark + suffix)


def unpack_download(archive: Path, to: Path) -> list[Member]:
    """Unpack what a learning platform gave into a folder, which may hold an earlier such download; returns what failed.

    Raises Unreadable where it is no zip file, FileExistsError where the folder is there and holds anything else.
    """
    if to.exists() and not (to / MARK).exists() and (not to.is_dir() or any(to.iterdir())):
        raise FileExistsError(to)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".unpacking-") as place:
        fresh = Path(place) / "x"
        fresh.mkdir()
        members = unpack(archive, fresh, MOST_OF_A_CLASS)
        to.mkdir(exist_ok=True)
        for folder, names, files in os.walk(fresh):
            mine = to / Path(folder).relative_to(fresh)
            for name in names:
                (mine / name).mkdir(exist_ok=True)
            for name in files:
                os.replace(Path(folder) / name, mine / name)
    write_whole(to / MARK, json.dumps({"from": archive.name}).encode())
    return [member for member in members if member.path is None]


def pack(archive: Path, files: Iterable[tuple[str, Path]]) -> int:
    """Write a zip of files, each under its name in it, whole or not at all; returns how many there are."""
    data, count = io.BytesIO(), 0
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, path in files:
            file.writestr(name, path.read_bytes())
            count += 1
    write_whole(archive, data.getvalue())
    return count
