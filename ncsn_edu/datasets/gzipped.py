"""What a file holds, whether it is packed by gzip or not. This file does NOT know any format beyond that."""

import gzip
import hashlib
from io import BufferedReader
from pathlib import Path

MIB = 2**20  # bytes read at once
GZIP = b"\x1f\x8b"  # the first bytes of a packed file


def starts(path: Path, n: int) -> bytes:
    """The first n bytes of a file, or all of them where it has fewer."""
    with path.open("rb") as file:
        return file.read(n)


def is_packed(path: Path) -> bool:
    """Whether a file must be unpacked. Its first bytes say so: a browser may unpack a .gz and keep the name."""
    return starts(path, 2) == GZIP or (path.suffix == ".gz" and starts(path, 3) != b"\0\0\x08")


def opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file, open for reading its unpacked content."""
    return gzip.open(path) if is_packed(path) else path.open("rb")


def md5(path: Path, *, unpack: bool = False) -> str:
    """The MD5 of a file as it lies there, or (unpack=True) of its unpacked content, in 32 hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with opened(path) if unpack else path.open("rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()
