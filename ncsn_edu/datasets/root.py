"""Where data sets lie on this machine. This file does NOT look into the folder."""

import os
import tempfile
from pathlib import Path

from ..files import expanded


def data_root() -> Path:
    """The folder of the data sets: NCSN_EDU_DATA, or this user's cache folder. It need not exist yet.

    Where there is no home folder, it is a folder below the system's temporary one. Raises ValueError if NCSN_EDU_DATA
    starts with ~ then.
    """
    named = os.environ.get("NCSN_EDU_DATA")
    return expanded(named, "NCSN_EDU_DATA") if named else _cache() or _temporary()


def has_home() -> bool:
    """Whether data sets have a place of their own: NCSN_EDU_DATA, or a cache folder in this user's home."""
    return bool(os.environ.get("NCSN_EDU_DATA")) or _cache() is not None


def resolved(root: str | Path | None) -> Path:
    """The root that a caller gave, or data_root(). Raises ValueError for a ~ where there is no home folder."""
    return data_root() if root is None else expanded(root, "the folder of the data")


def _cache() -> Path | None:
    from platformdirs import user_cache_dir

    try:
        path = Path(user_cache_dir("ncsn_edu"))
    except (RuntimeError, KeyError, OSError):  # no HOME, and no entry for this user
        return None
    return path if path.is_absolute() else None


def _temporary() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"ncsn_edu-{user}"
