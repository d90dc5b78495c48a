"""Files that are whole or not there. This file does NOT know what is in them."""

import os
import time
import uuid
from contextlib import suppress
from os import PathLike
from pathlib import Path


def write_whole(path: str | PathLike[str], *parts: bytes | memoryview) -> Path:
    """Write the parts, one after the other, to path: all or nothing, also if this process is killed.

    Readers see the old file or the new one. Makes the folder where there is none. Raises OSError where the disk is
    full or the folder not writable, and leaves nothing behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError):  # another process may be writing the same file
            if time.time() - left.stat().st_mtime > 3600:  # of a process that was killed
                left.unlink()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
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
