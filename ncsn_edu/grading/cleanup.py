"""Measure and remove folders that somebody may have made to hinder it. Imports nothing but the standard library.

Scripts that do NOT import the package use this file, too.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

DEEPEST = 100  # folders within folders
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def remove(folder: str | Path) -> None:
    """Delete a folder and all below it, whatever its depth and modes; nothing that a link points to is touched.

    A folder that is not there, or is a link, is left as it is. What cannot be deleted (another user's file) stays,
    without an error.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return
        _allow(os.fspath(folder), None)
        top = os.open(folder, FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(folder)


def _empty(top: int) -> None:
    """Each folder moves up to the top before it is emptied, so that neither depth nor the length of a path matters."""
    unique, moved, stuck = f".{os.urandom(8).hex()}", 0, set[str]()
    while names := [name for name in os.listdir(top) if name not in stuck]:
        for name in names:
            stuck.add(name)  # once is enough: what remains cannot be deleted
            with contextlib.suppress(OSError):
                if not _is_folder(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                _allow(name, top)
                inner = os.open(name, FOLDER, dir_fd=top)
                try:
                    for below in os.listdir(inner):
                        with contextlib.suppress(OSError):
                            if _is_folder(below, inner):
                                _allow(below, inner)  # moving a folder writes to it
                                moved += 1
                                os.rename(below, f"{unique}-{moved}", src_dir_fd=inner, dst_dir_fd=top)
                            else:
                                os.unlink(below, dir_fd=inner)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)


def _is_folder(name: str, within: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)


def _allow(name: str, within: int | None) -> None:
    """All rights to a folder for its owner, even if somebody puts a link in its place at this moment."""
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, 0o700, dir_fd=within, follow_symlinks=False)
        return
    place = os.open(name, os.O_PATH | FOLDER, dir_fd=within)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)
    finally:
        os.close(place)


def size(folder: str | Path, enough: int) -> int:
    """Bytes on the disk of all below a folder, where a small file costs 4 KiB; stops counting when there is enough.

    A folder that hides its content (deeper than DEEPEST, a path too long, no right to list it) counts as enough.
    """
    total = 0
    waiting = [(os.fspath(folder), 0)]
    while waiting and total <= enough:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        total += max(4096, entry.stat(follow_symlinks=False).st_blocks * 512)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
                    if total > enough:
                        break
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
                return enough + 1
        if depth > DEEPEST:
            return enough + 1
    return total
