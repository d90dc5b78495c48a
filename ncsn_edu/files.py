"""Files that are whole or not there. This file does NOT know what is in them."""

import errno
import hashlib
import os
import re
import time
import uuid
from contextlib import suppress
from glob import escape
from os import PathLike
from pathlib import Path

LONG = 200  # bytes of a name, beyond which a name with something added may be too long for the file system


def write_whole(path: str | PathLike[str], *parts: bytes | memoryview) -> Path:
    """Write the parts, one after the other, to path: all or nothing, also if this process is killed.

    Readers see the old file or the new one. Makes the folder where there is none. Raises OSError where the disk is
    full or the folder not writable, and leaves nothing behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name if len(os.fsencode(path.name)) <= LONG else hashlib.sha1(os.fsencode(path.name)).hexdigest()
    for left in path.parent.glob(f".{escape(name)}.*.tmp"):
        with suppress(FileNotFoundError):  # another process may be writing the same file
            if time.time() - left.stat().st_mtime > 3600:  # of a process that was killed
                left.unlink()
    temporary = path.with_name(f".{name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def end_of(path: str | PathLike[str], n: int) -> bytes:
    """The last n bytes of a file, or all where there are fewer. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - n))
        return file.read()


def link_whole(path: Path, source: Path) -> None:
    """Let path be another name of the file source, which costs no time; a copy where the disk has no hard links."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        os.link(source, temporary)
    except OSError:
        write_whole(path, source.read_bytes())
        return
    try:
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # it stays where both were the same file before


def check_there(path: str | PathLike[str]) -> None:
    """Raise FileNotFoundError, which says what may have become of the file, where there is none."""
    name = os.fspath(path)
    place, shown = Path(name), name if len(name) <= 300 else f"{name[:100]}..."
    try:
        if place.exists():
            return
        if os.path.islink(place):
            raise FileNotFoundError(f"{shown} is a link to {os.readlink(place)}, where no file is")
        if place.with_name(f".{place.name}.icloud").exists():
            raise FileNotFoundError(f"{shown} is in iCloud, and not on this machine: open its folder, and download it")
    except FileNotFoundError:
        raise
    except (OSError, ValueError):  # no name that a file can have
        pass
    if re.match(r"(https?|ftp|file|data|s3|gs|hf):", name):
        raise FileNotFoundError(f"{shown} is an address, and files are read: download it, and give the file's path")
    home = ": write out the home folder" if name.startswith("~") else ": look at its name, and at the folder you are in"
    raise FileNotFoundError(f"there is no file {shown}{home}")


def check_writable(path: str | PathLike[str]) -> None:
    """Raise OSError, with the reason in words, where `write_whole` could not write path. Nothing is made for that."""
    path = Path(os.path.abspath(path))
    try:
        if path.is_dir():
            raise OSError(f"{path} is a folder: give the name of a file in it")
        if path.exists() and not path.is_file():
            raise OSError(f"{path} is no ordinary file: give another name")
        folder, missing = _to_be_made(path)
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP, errno.EPERM):
            raise
        raise OSError(f"{path} cannot be written: {why(error)}") from error
    if not folder.is_dir():
        raise OSError(f"{path} cannot be written: {folder} is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"{path} cannot be written: the folder {folder} takes no files from you")
    for part in missing:
        try:
            os.lstat(folder / part)  # a name that is too long is found where it would be, not where no folder is
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OSError(f"{path} cannot be written: {why(error)}: {part[:40]}...") from error


def _to_be_made(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The nearest that exists above path, and the names that do not, the file's included."""
    above = next(parent for parent in path.parents if os.path.lexists(parent) or parent == parent.parent)
    return above, path.relative_to(above).parts


def expanded(path: str | PathLike[str], what: str) -> Path:
    """The path with ~ written out. Raises ValueError, which names `what` it is, where no such home folder is known."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{what} is {path}, and there is no such home folder here: write the path out") from error


def why(error: OSError) -> str:
    """What the system says, in its own words, such as "No space left on device"."""
    return error.strerror or str(error) or type(error).__name__
