"""What a file is, by its first bytes: said about files that are not what was asked for. This file reads none further.

Most downloads that fail leave something readable: a web page, a pointer of Git LFS, half of the file.
"""

import re
from os import PathLike
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from .files import end_of

HEAD = 4096  # bytes that are looked at
MARK = b"ncsn_edu checkpoint, sha256 "  # what the comment of a checkpoint's archive starts with, then 64 digits
COMMENT_SIZE = len(MARK) + 64


class Kind(NamedTuple):
    """What a file is, in words, such as "a PNG picture"; and what to do where it can be no file that is wanted."""

    what: str
    advice: str = ""


CHECKPOINT = Kind("a checkpoint of ncsn_edu")
AGAIN = "get it again"
UNPACK = "unpack it first"
TORCH, OLD_TORCH, PROGRAM = Kind("a PyTorch file"), Kind("an old PyTorch file"), Kind("a TorchScript program")
PICKLE, SAFETENSORS, GZIPPED = Kind("a Python pickle"), Kind("a safetensors file"), Kind("packed by gzip", UNPACK)
NPY, NPZ = Kind("a NumPy array (.npy)"), Kind("a NumPy archive (.npz)")
NOT_KNOWN = Kind("")
SIGNATURES = {  # what a file of this kind starts with; longer ones before those that they start with
    b"\x93NUMPY": NPY,
    b"\x89HDF\r\n\x1a\n": Kind("an HDF5 file, as Keras and h5py write them"),
    b"\x1f\x8b": GZIPPED,
    b"BZh": Kind("packed by bzip2", UNPACK),
    b"\xfd7zXZ\0": Kind("packed by xz", UNPACK),
    b"\x28\xb5\x2f\xfd": Kind("packed by zstd", UNPACK),
    b"7z\xbc\xaf\x27\x1c": Kind("a 7z archive", UNPACK),
    b"Rar!": Kind("a RAR archive", UNPACK),
    b"\x89PNG\r\n\x1a\n": Kind("a PNG picture"),
    b"\xff\xd8\xff": Kind("a JPEG picture"),
    b"GIF8": Kind("a GIF picture"),
    b"BM": Kind("a BMP picture"),
    b"II*\0": Kind("a TIFF picture"),
    b"MM\0*": Kind("a TIFF picture"),
    b"8BPS": Kind("a Photoshop file"),
    b"gimp xcf": Kind("a GIMP file"),
    b"bplist00": Kind(
        "an Apple property list, as iCloud leaves it in the place of a file", "download the file itself in Finder"
    ),
    b"%!PS": Kind("a PostScript file"),
    b"%PDF": Kind("a PDF document"),
    b"GGUF": Kind("a GGUF model"),
    b"PAR1": Kind("a Parquet table"),
    b"\x7fELF": Kind("a program"),
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19": OLD_TORCH,
    b"\x80\x04\x95": PICKLE,
    b"\x80\x05\x95": PICKLE,
    b"\x80\x02": PICKLE,
    b"\x80\x03": PICKLE,
}
BRANDS = {b"avif": "an AVIF picture", b"heic": "a HEIC picture", b"heix": "a HEIC picture", b"mif1": "a HEIC picture"}


def kind_of(path: str | PathLike[str]) -> Kind:
    """What the file is; NOT_KNOWN where its bytes say nothing. Raises OSError where it cannot be read."""
    path = Path(path)
    if path.is_dir():
        return Kind("a folder", "give the file in it")
    if path.exists() and not path.is_file():
        return Kind("no ordinary file", "give a file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    tail = end_of(path, COMMENT_SIZE)
    if not head:
        return Kind("empty", AGAIN)
    if tail.startswith(MARK):
        return CHECKPOINT
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return _of_zip(path, size)
    if tail[-8:] == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        return Kind("the index of a TensorFlow checkpoint")
    return _of_bytes(head)


def describe(path: str | PathLike[str], otherwise: str, advice: str = AGAIN) -> str:
    """ "PATH is ...: what to do", for an error; `otherwise` where its kind says nothing, such as "is no picture"."""
    kind = kind_of(path)
    return f"{path} is {kind.what}: {kind.advice or advice}" if kind.what else f"{path} {otherwise}: {advice}"


def _of_bytes(head: bytes) -> Kind:
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    if head[4:8] == b"ftyp":
        return Kind(BRANDS.get(head[8:12], "a film or a picture of a newer kind"))
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("a WebP picture")
    if head[4:8] == b"TFL3":
        return Kind("a TensorFlow Lite model")
    if head[257:262] == b"ustar":
        return Kind("a tar archive", UNPACK)
    if head[8:10] in (b'{"', b"{ ", b"{}") and int.from_bytes(head[:8], "little") < 2**32:
        return SAFETENSORS
    if head[:1] == b"\x08" and re.search(rb"onnx|pytorch|tf2onnx", head[:200]):
        return Kind("an ONNX model")
    if head[:1] in (b"\x08", b"\x0a") and re.search(rb"serve|saved_model|Placeholder|VarHandleOp|tensorflow", head):
        return Kind("a TensorFlow model")
    if not head.strip(b"\0"):
        return Kind("nothing but zero bytes, at least in its first part", AGAIN)
    return _of_text(head)


def _of_text(head: bytes) -> Kind:
    text = head.decode("utf-8-sig", errors="ignore").strip()
    if len(re.findall(r"[\0-\x08\x0e-\x1f\ufffd]", text)) or len(text.encode()) < 0.9 * len(head.strip()):
        return NOT_KNOWN  # no text
    start = text[:200].lower()
    if re.match(r"version https?://(git-lfs|hawser)\.github\.com", start):
        advice = "run git lfs pull in its repository, or download the file itself"
        return Kind("a pointer of Git LFS, a few lines in the place of the file", advice)
    if re.match(r"(\.\./)*\.?/?\.?git/annex/objects|/annex/objects", start):
        return Kind("a pointer of git-annex", "run git annex get in its repository")
    if "<svg" in text.lower():
        return Kind("an SVG drawing")
    if re.match(r"<!doctype html|<html|<head|<!--|<script", start):
        title = re.search(r"<title[^>]*>\s*(.*?)\s*</title>", text, re.DOTALL | re.IGNORECASE)
        named = f" ({' '.join(title[1].split())[:80]!r})" if title and title[1] else ""
        advice = "open the address in a browser, which may ask for a login or an agreement, and save the file itself"
        return Kind(f"a web page{named}", advice)
    if start[:1] in ("<", "{"):
        return Kind(f"the text {' '.join(text.split())[:60]!r}", "the server may have refused; get the file again")
    return Kind(f"the text {' '.join(text.split())[:60]!r}" if text else "nothing but blanks", "")


def _of_zip(path: Path, size: int) -> Kind:
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return Kind(f"a zip file (PyTorch's are) that is cut short, or damaged, after {size} bytes", AGAIN)
    if any(name.endswith("/data.pkl") for name in names):
        program = any("/code/" in name for name in names)
        return PROGRAM if program else TORCH
    if names and all(name.endswith(".npy") for name in names):
        return NPZ
    if "model.weights.h5" in names:
        return Kind("a Keras model")
    inside = ", ".join(names[:2]) + (", ..." if len(names) > 2 else "") or "nothing"
    return Kind(f"a zip archive that holds {inside}", UNPACK if names else AGAIN)
