"""Data sets as one uint8 tensor (N, C, H, W): found on this machine or downloaded, checked, and served in batches.

torch is imported inside functions only: the doctor reads this file where torch is missing. This file does NOT know
any model: images leave it as uint8, or as floats in [0, 1].
"""

import errno
import gzip
import hashlib
import os
import pickle
import re
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from . import celeba
from .files import expanded, why
from .kinds import GZIPPED, NOT_KNOWN, UNPACK, kind_of
from .layouts import Piece, cifar10, folder_of, lookalikes, mnist
from .layouts import archive as find_archive
from .progress import progress

if TYPE_CHECKING:
    import requests
    import torch
    from torch import Tensor

Split = Literal["train", "test"]
MIB = 2**20  # read at once
GZIP = b"\x1f\x8b"  # what a packed file starts with

# The files as their authors publish them, below data_root(). (digits is part of scikit-learn.)
OFFICIAL_FILES = {
    "mnist": tuple(
        f"mnist/{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ),
    "cifar10": (
        *(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        "cifar-10-batches-bin/test_batch.bin",
        "cifar-10-batches-bin/batches.meta.txt",
    ),
    "celeba": (f"celeba/{celeba.ARCHIVE}",),
}
# Those that hold the images and labels of a split. (CelebA's are looked for by celeba.py.)
FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "mnist": {"train": OFFICIAL_FILES["mnist"][:2], "test": OFFICIAL_FILES["mnist"][2:]},
    "cifar10": {"train": OFFICIAL_FILES["cifar10"][:5], "test": OFFICIAL_FILES["cifar10"][5:6]},
}
N_IMAGES = {
    "mnist": {"train": 60_000, "test": 10_000},
    "cifar10": {"train": 50_000, "test": 10_000},
    "celeba": {split: len(numbers) for split, numbers in celeba.NUMBERS.items()},
}
SHAPES = {  # of one image: C, H, W
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "celeba": (3, celeba.SIDE, celeba.SIDE),
}
NAMES = tuple(SHAPES)


class Source(NamedTuple):
    """One file to download: its place below the root, its address, and the MD5 that its publisher gives."""

    file: str
    url: str
    md5: str


_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"  # a mirror: the authors' own site answers no longer
_MNIST_MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
SOURCES = {
    "mnist": tuple(
        Source(file, _MNIST_URL + file.removeprefix("mnist/"), md5)
        for file, md5 in zip(OFFICIAL_FILES["mnist"], _MNIST_MD5, strict=True)
    ),
    "cifar10": (
        Source(
            "cifar-10-binary.tar.gz",  # the binary version: reading it unpickles nothing
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
        ),
    ),
    "celeba": (
        Source(
            OFFICIAL_FILES["celeba"][0],
            "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t"
            "&resourcekey=0-dYn9z10tMJOBAkviAcfdyQ",
            "00d2c5bc6d35e252742224ab0c1e8fcb",
        ),
    ),
}
# For people: Google often answers programs, and sometimes everybody, that too many have asked today.
PAGES = {"celeba": "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"}
# MD5 of each of FILES, .gz unpacked. The publishers give none: these are what others found in the published archives.
CONTENT_MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "cifar10": (
        "5dd7e06a14cb22eb9f671a540d1b7c25",
        "5ea93a67294ea407fff1d09f752e9692",
        "942cd6a4bcdd0dd3c604fbe906cb4421",
        "ae636b3ba5c66a11e91e8cb52e771fcb",
        "53f37980c15c3d472c316c40844f3f0d",
        "803d5f7f4d78ea53de84dbe85f74fb6d",
    ),
}
PYTHON_MD5 = "c58f30108f718f92721af3b95e74349a"  # of cifar-10-python.tar.gz, which is not downloaded here
DOWNLOAD_BYTES = {"digits": 0, "mnist": 11_594_722, "cifar10": 170_052_171, "celeba": 1_443_490_838}
CHUNK = 100_000  # bytes of a download that are written at once; a broken connection loses fewer than these
TRIES = 3  # connections to a server that hangs up half-way; each goes on where the one before stopped
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence


class DataUnavailable(RuntimeError):
    """The data set is not on this machine and could not be downloaded; the message names the ways to get it."""


class DataDamaged(RuntimeError):
    """A file of a data set is there, but is not what it should be; the message names it and the way to mend it."""


def data_root() -> Path:
    """The folder of the data sets: NCSN_EDU_DATA, or this user's cache folder. It need not exist yet.

    Where there is no home folder, a folder below the system's temporary one. Raises ValueError where NCSN_EDU_DATA
    starts with ~ then.
    """
    named = os.environ.get("NCSN_EDU_DATA")
    return expanded(named, "NCSN_EDU_DATA") if named else _cache() or _temporary()


def has_home() -> bool:
    """Whether data sets have a place of their own: NCSN_EDU_DATA, or a cache folder in this user's home."""
    return bool(os.environ.get("NCSN_EDU_DATA")) or _cache() is not None


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


def available(root: str | Path | None = None) -> dict[str, bool]:
    """Which data sets `load` finds ready to be read, both splits: {"digits": True, "mnist": False, ...}."""
    folder = _folder(root)
    there = {
        name: all(_there(name, split, folder) for split in ("train", "test")) for name in NAMES if name != "digits"
    }
    return {"digits": find_spec("sklearn") is not None, **there}


# --- loading


def load(
    name: str, *, split: Split = "train", root: str | Path | None = None, download: bool = True
) -> tuple["Tensor", "Tensor"]:
    """Images, uint8 (N, C, H, W), and labels 0..9, int64 (N,), of one data set.

    name      images (train + test)    from
    digits      898 +   899   1x8x8    scikit-learn: nothing to download
    mnist     60000 + 10000  1x28x28   the idx files, packed (.gz) or not, in root/mnist; or Keras' mnist.npz
    cifar10   50000 + 10000  3x32x32   root/cifar-10-batches-bin, or -py; an archive of them is unpacked
    celeba   162770 + 19962  3x32x32   img_align_celeba.zip, or the folder unpacked from it, in root/celeba

    Files are found as torchvision, Keras and Kaggle lay them out, too (MNIST/raw, one folder deeper, in root itself).
    The version of CIFAR-10 for Python is a pickle: only the arrays in it are read, and no code is run.

    CelebA's faces are cropped and made small the first time, in minutes, and kept beside the images in train-32x32.npy
    and test-32x32.npy, which suffice from then on. They have no classes: every label is 0. Their publishers allow
    non-commercial research only.

    `root` is data_root() unless given. Files that lie there are taken as they are and never changed; what is missing
    is downloaded unless download=False. Raises DataUnavailable where that is impossible, DataDamaged for a file of
    a wrong size or content.
    """
    _check_name(name)
    if split not in ("train", "test"):
        raise ValueError(f'split is "train" or "test", not {split!r}')
    if name == "digits":
        return _load_digits(split)
    folder = _folder(root)
    if not _there(name, split, folder):
        _provide(name, split, folder, download)
    if name == "celeba":
        return _load_celeba(_celeba_folder(folder, split), split)
    pieces = _pieces(name, split, folder)
    return _load_mnist(pieces, split) if name == "mnist" else _load_cifar10(pieces, split)


def load_or_digits(
    name: str, *, split: Split = "train", root: str | Path | None = None, download: bool = False
) -> tuple["Tensor", "Tensor", str]:
    """`load`, for a notebook that must run anywhere: (images, labels, name of the data set they are from).

    Where the data set is not on this machine, digits take its place, and one printed line says so. Nothing is
    downloaded unless download=True. A damaged file is an error all the same.
    """
    try:
        return *load(name, split=split, root=root, download=download), name
    except DataUnavailable:
        print(f"{name} is not on this machine: going on with digits, 8x8 pixels, from scikit-learn.")
        return *load("digits", split=split), "digits"


def verify(name: str, root: str | Path | None = None) -> dict[str, str]:
    """What is wrong with each file of a data set, by its path below root: "" where it is as published.

    {"mnist/train-images-idx3-ubyte.gz": "missing", "mnist/train-labels-idx1-ubyte": "", ...}. What counts is the MD5 of
    the content: MNIST may be packed or not; the same images in another order are another content. An archive that lies
    there instead of the files is looked at as a whole; a folder of CelebA's images is only searched for missing ones,
    as nobody publishes sums of them. digits is part of scikit-learn: {}. Downloads and changes nothing.
    """
    _check_name(name)
    if name == "digits":
        return {}
    folder, (source, *_) = _folder(root), SOURCES[name]
    if name == "celeba":
        return _verify_celeba(folder, source)
    pieces = {split: _pieces(name, split, folder) for split in FILES[name]}
    if name == "cifar10" and not any(pieces.values()) and (archive := _archive(folder)):
        return {_below(folder, archive.path): _problem(Piece(archive.path), archive.md5)}
    sums, found = iter(CONTENT_MD5[name]), {}
    for split, files in FILES[name].items():
        there = pieces[split] or [path and Piece(path) for path in (_find(folder, file) for file in files)]
        for file, piece in zip(files, there, strict=True):
            found[_below(folder, *piece) if piece else file] = _problem(piece, next(sums), unpack=True)
    return found


def _verify_celeba(root: Path, source: Source) -> dict[str, str]:
    folder = folder_of("celeba", root, celeba.has_source)
    archive, images = folder / celeba.ARCHIVE, celeba.images_in(folder)
    if images is not None and not archive.is_file():
        missing = celeba.missing(images)
        return {_below(root, images): f"{len(missing)} images are missing: {missing[0]}, ..." if missing else ""}
    return {_below(root, archive): _problem(Piece(archive) if archive.is_file() else None, source.md5)}


def _below(root: Path, path: Path, array: str = "") -> str:
    return path.relative_to(root).as_posix() + f" ({array})" * bool(array)


def _problem(piece: Piece | None, md5: str, *, unpack: bool = False) -> str:
    if piece is None:
        return "missing"
    try:
        found = _md5_of(piece) if unpack else _md5(piece.path)
    except (OSError, EOFError, zlib.error, DataDamaged) as error:
        return f"cannot be read ({error})"
    return "" if found == md5 else f"MD5 {found} instead of {md5}"


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"there is no data set {name!r}: choose one of {', '.join(NAMES)}")


def _load_digits(split: str) -> tuple["Tensor", "Tensor"]:
    """Two random halves, 898 images to train and 899 to test, always the same: both of one distribution.

    scikit-learn has the images in the order of their writers; its first half and its second differ by their hands.
    A grey value v of 0..16 becomes round(255 v / 16), half up: 0 is 0, 16 is 255, and round(16 u / 255) is v again.
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.RandomState(0).permutation(len(bunch.images))  # NumPy promises that it stays the same
    half = order[:898] if split == "train" else order[898:]
    grey = torch.from_numpy(bunch.images[half]).to(torch.int64)  # (N, 8, 8), 0..16
    images = (255 * grey + 8) // 16
    return images.to(torch.uint8).unsqueeze(1), torch.from_numpy(bunch.target[half]).to(torch.int64)


def _load_mnist(pieces: list[Piece], split: str) -> tuple["Tensor", "Tensor"]:
    import torch

    n = N_IMAGES["mnist"][split]
    images = torch.frombuffer(_read_idx(pieces[0], (n, 28, 28)), dtype=torch.uint8)
    labels = torch.frombuffer(_read_idx(pieces[1], (n,)), dtype=torch.uint8)
    return images.view(n, 1, 28, 28), _checked_labels(labels, pieces[1].path)


def _load_cifar10(pieces: list[Piece], split: str) -> tuple["Tensor", "Tensor"]:
    """Each record is one label byte and 3072 pixel bytes: red, green, blue, each row by row."""
    import torch

    n, pixels = N_IMAGES["cifar10"][split] // len(pieces), prod(SHAPES["cifar10"])
    images = torch.empty(len(pieces), n, *SHAPES["cifar10"], dtype=torch.uint8)
    labels = torch.empty(len(pieces), n, dtype=torch.int64)
    for i, (path, _) in enumerate(pieces):
        content = _read(path, n * (1 + pixels)) if path.suffix else _python_batch(path)
        if len(content) != n * (1 + pixels):
            raise _damaged(path, f"{n} images", f"{len(content) // (1 + pixels)}")
        records = torch.frombuffer(content, dtype=torch.uint8).view(n, 1 + pixels)
        labels[i] = _checked_labels(records[:, 0], path)
        images[i] = records[:, 1:].view(n, *SHAPES["cifar10"])
    return images.flatten(0, 1), labels.flatten()


def _python_batch(path: Path) -> bytearray:
    """A batch of the version for Python, in the records of the binary one."""
    import numpy as np

    from . import pickles

    expected = "a batch of CIFAR-10 for Python"
    try:
        with path.open("rb") as file:
            batch = {key.decode() if isinstance(key, bytes) else key: x for key, x in pickles.load(file).items()}
        images, labels = batch["data"], np.array(batch["labels"])
        if images.dtype != np.uint8 or images.shape != (len(labels), prod(SHAPES["cifar10"])):
            raise ValueError(f"data of {images.dtype} {images.shape}")
        if labels.dtype.kind not in "iu" or labels.ndim != 1 or not ((labels >= 0) & (labels <= 255)).all():
            raise ValueError(f"labels of {labels.dtype} {labels.shape}")
    except (pickle.UnpicklingError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, expected, f"something else ({error})") from error
    return bytearray(np.column_stack([labels.astype(np.uint8), images]).tobytes())


def _load_celeba(folder: Path, split: str) -> tuple["Tensor", "Tensor"]:
    import torch

    try:
        images = torch.from_numpy(celeba.load(folder, split))
    except celeba.Damaged as damage:
        raise _damaged(*damage.args) from damage
    return images, torch.zeros(len(images), dtype=torch.int64)


def _checked_labels(labels: "Tensor", path: Path) -> "Tensor":
    if labels.max() > 9:
        raise _damaged(path, "labels of 0 to 9", f"the label {labels.max().item()}")
    return labels.long()


def _read_idx(piece: Piece, shape: tuple[int, ...]) -> bytearray:
    """The bytes of an idx file: after the magic number 0x0800 + rank and the sizes (big-endian) come the values."""
    expected = [0x0800 + len(shape), *shape]
    length = 4 * len(expected)
    content = _from_archive(piece) if piece.array else _read(piece.path, length + prod(shape))
    found = [int.from_bytes(content[i : i + 4], "big") for i in range(0, length, 4)]
    if found != expected or len(content) != length + prod(shape):
        raise _damaged(piece.path, f"the magic number and sizes {expected}", f"{found}")
    del content[:length]
    return content


def _from_archive(piece: Piece) -> bytearray:
    """An array of a .npz file, as an idx file has it."""
    import numpy as np

    try:
        with np.load(piece.path) as archive:
            array = archive[piece.array]
    except Exception as error:  # of a damaged archive numpy and zipfile raise nearly anything
        raise _damaged(piece.path, f"the array {piece.array}", f"something else ({error})") from error
    if array.dtype != np.uint8:
        raise _damaged(piece.path, f"{piece.array} of uint8", f"{array.dtype} {array.shape}")
    head = [0x0800 + array.ndim, *array.shape]
    return bytearray(b"".join(size.to_bytes(4, "big") for size in head) + array.tobytes())


def _read(path: Path, size: int) -> bytearray:
    """The content of a file, unpacked where it is packed, after a look at its size."""
    content, problem = bytearray(), ""
    packed = _packed(path)
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            while len(content) <= size and (chunk := file.read1(MIB)):
                content += chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f" ({error})"
    if problem or len(content) != size:
        unpacked = " when unpacked" if packed else ""
        found = f"{len(content)}{problem}" if len(content) <= size else "more"
        raise _damaged(path, f"{size} bytes{unpacked}", found)
    return content


def _packed(path: Path) -> bool:
    """Whether a file is to be unpacked, by what it begins with: browsers unpack a .gz and leave it its name."""
    return _starts(path, 2) == GZIP or (path.suffix == ".gz" and _starts(path, 3) != b"\0\0\x08")


def _starts(path: Path, n: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n)


def _damaged(path: Path, expected: str, found: str) -> DataDamaged:
    if path.parent.name.startswith("cifar-10-batches"):  # one archive brings all of its files
        repair = f"Delete the folder {path.parent}"
    elif path.parent.name == celeba.IMAGES:  # somebody unpacked it: nothing would be downloaded for one of them
        repair = "Put the official one there"
    else:
        repair = "Delete the file"
    return DataDamaged(f"{path} is damaged: expected {expected}, found {found}.{_else(path)} {repair} and load again.")


def _else(path: Path) -> str:
    """What a file is that came instead, such as a web page, and what to do about it."""
    try:
        kind = kind_of(path)
    except OSError:
        return ""
    return f" It is {kind.what}: {kind.advice}." if kind.advice not in ("", UNPACK) else ""


# --- finding


def _folder(root: str | Path | None) -> Path:
    return data_root() if root is None else expanded(root, "the folder of the data")


def _find(root: Path, file: str) -> Path | None:
    """The file below root where it is published, or unpacked: x-idx3-ubyte.gz, x-idx3-ubyte, or x.idx3-ubyte."""
    plain = file.removesuffix(".gz")
    spellings = (file, plain, plain.replace("-idx", ".idx"))
    return next((root / spelling for spelling in spellings if (root / spelling).is_file()), None)


def _pieces(name: str, split: str, root: Path) -> list[Piece] | None:
    """Where the images and labels of a split lie, in the order of FILES; None where they do not."""
    return mnist(root, split) if name == "mnist" else cifar10(root, split)


def _celeba_folder(root: Path, split: str) -> Path:
    return folder_of("celeba", root, lambda folder: celeba.there(folder, split))


def _there(name: str, split: str, root: Path) -> bool:
    if name == "celeba":
        return celeba.there(_celeba_folder(root, split), split)
    return _pieces(name, split, root) is not None


def _unavailable(name: str, root: Path, why: str) -> DataUnavailable:
    """The error that names the ways to get the data."""
    by_hand = "\n".join(f"       {root / source.file}   from {source.url}" for source in SOURCES[name])
    first = {"cifar10": "cifar-10-batches-bin/data_batch_1.bin", "celeba": f"celeba/{celeba.IMAGES}/000001.jpg"}
    page = f"\n       (or, with a browser, from {PAGES[name]})" if name in PAGES else ""
    unpacked = f"\n       (or, unpacked, {root / first[name]} and the others)" if name in first else ""
    seen = _lookalikes(name, root)
    others = f"Found there, but not all of what is needed: {', '.join(seen)}.\n" if seen else ""
    return DataUnavailable(
        f"{name} is not complete in {root}: {why}.\n"
        f"{others}"
        "Three ways to get it:\n"
        f"  1. connect to the internet and run python -m ncsn_edu data get {name}, or in Python\n"
        f'     load("{name}", download=True): each goes on where a download stopped\n'
        f"  2. put the official files there by hand:\n{by_hand}{page}{unpacked}\n"
        "  3. set NCSN_EDU_DATA to a folder that has these files, or pass it as root=\n"
        'Without it: load("digits") needs no download.'
    )


def _lookalikes(name: str, root: Path) -> list[str]:
    try:
        return lookalikes(name, root)
    except OSError:  # a folder that may not be read
        return []


# --- downloading


def _provide(name: str, split: str, root: Path, download: bool) -> None:
    """Put the missing files of a data set below root: one process at a time, the others wait and find them there."""
    (source, *_) = SOURCES[name]
    packed = name == "cifar10" and _archive(root) is not None  # laid there by hand: only to be unpacked
    if not download and not packed:
        raise _unavailable(name, root, "this call was not to download anything (download=False)")
    with _locked(name, root):
        if _there(name, split, root):
            return
        if name == "mnist":
            _provide_mnist(root)
        elif name == "cifar10":
            _provide_cifar10(root)
        else:
            _fetch(name, source, root)


@contextmanager
def _locked(name: str, root: Path) -> Iterator[None]:
    """Hold the data set's lock file. The system frees it when the process ends, however that happens."""
    from filelock import FileLock, Timeout

    lock = FileLock(root / f".{name}.lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            print(f"waiting for another process that is getting {name} ({lock.lock_file}) ...", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise _unavailable(name, root, f"the folder cannot be written to ({why(error)})") from error
    try:
        yield
    finally:
        lock.release()


def _provide_mnist(root: Path) -> None:
    """Download the files that are missing, unless those present are another copy: labels must fit their images."""
    missing = [source for source in SOURCES["mnist"] if not _find(root, source.file)]
    for source in SOURCES["mnist"]:
        path = _find(root, source.file)
        if path is not None and _md5(path) != source.md5:
            why = f"it lacks {missing[0].file}, and {path} is not the file as published, so that a download may not fit"
            raise _unavailable("mnist", root, f"{why} it: add the missing files, or move this one away")
    for source in missing:
        _fetch("mnist", source, root)


class _Archive(NamedTuple):
    path: Path
    folder: str  # in it, and unpacked
    files: tuple[str, ...]
    md5: str


def _archive(root: Path) -> _Archive | None:
    """An archive of CIFAR-10 that lies there packed, the binary version before the one for Python."""
    binary = tuple(Path(file).name for file in OFFICIAL_FILES["cifar10"])
    python = tuple(name.removesuffix(".bin") for name in binary[:-1])
    for folder, files, md5, stems in (
        ("cifar-10-batches-bin", binary, SOURCES["cifar10"][0].md5, ("cifar-10-binary", "cifar-10-batches-bin")),
        ("cifar-10-batches-py", python, PYTHON_MD5, ("cifar-10-python", "cifar-10-batches-py")),
    ):
        if path := find_archive("cifar10", root, stems):
            return _Archive(path, folder, files, md5)
    return None


def _provide_cifar10(root: Path) -> None:
    """Download the archive unless one is there, and unpack it as a whole. One that we downloaded is deleted then."""
    (source,) = SOURCES["cifar10"]
    folder = root / "cifar-10-batches-bin"
    if folder.is_dir() and any(folder.iterdir()):
        missing = [Path(file).name for files in FILES["cifar10"].values() for file in files if not _find(root, file)]
        why = f"{folder} lacks {', '.join(missing)}, and a copy is not mixed with another"
        raise _unavailable("cifar10", root, f"{why}: add the missing files, or move the folder away")
    if by_hand := _archive(root):
        return _unpack(by_hand, root)
    _fetch("cifar10", source, root)
    fetched = _archive(root)
    assert fetched is not None
    _unpack(fetched, root)
    fetched.path.unlink()
    return None


def _unpack(archive: _Archive, root: Path) -> None:
    """Make the folder from the archive's files that belong there: all of them, or no folder.

    An archive can name any path, and hold links. So no name in it is ever used as a path: members are picked by
    their full name, only regular files count, and what they hold is written under the names that we know.
    """
    path, folder = archive.path, root / archive.folder
    wanted = {f"{archive.folder}/{file}" for file in archive.files}
    limit = max(N_IMAGES["cifar10"].values()) * (1 + prod(SHAPES["cifar10"]))
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)  # left by a process that was killed
    try:
        fresh.mkdir()
        with tarfile.open(path, "r:gz" if _starts(path, 2) == GZIP else "r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name in wanted and member.isreg() and member.size <= limit:
                    with (fresh / Path(name).name).open("wb") as target:
                        shutil.copyfileobj(tar.extractfile(member), target, MIB)  # type: ignore[arg-type]
                    wanted.discard(name)
            while tar.fileobj.read(MIB):  # type: ignore[union-attr]
                pass  # on to the very end, where gzip compares its checksum
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        whole = "a whole .tar" if path.suffix == ".tar" else "a whole .tar.gz"
        raise _damaged(path, whole, f"{path.stat().st_size} bytes ({error})") from error
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise _unavailable("cifar10", root, f"{path} cannot be unpacked there ({_room(error)})") from error
    if wanted:
        raise _damaged(path, f"the files {', '.join(sorted(wanted))} in it", "none of that name and size")
    if folder.is_dir():
        folder.rmdir()  # empty, or we would not be here
    fresh.replace(folder)


def _room(error: OSError) -> str:
    """What the system says of a file that cannot be written, and what to do."""
    full = ": free some space, or set NCSN_EDU_DATA to a folder on another disk" if error.errno == errno.ENOSPC else ""
    return f"{why(error)}{full}"


def _fetch(name: str, source: Source, root: Path) -> None:
    """Download one file into its place: whole and as published, or not at all. What arrived of it is kept aside."""
    import requests
    from urllib3.exceptions import HTTPError

    path = root / source.file
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resumed = partial.exists()
        _download(source.url, partial)
        if resumed and _md5(partial) != source.md5:  # the part that we had was bad: once more, from the start
            partial.unlink()
            _download(source.url, partial)
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise _unavailable(name, root, _explain(error, source.url, partial)) from error
    except OSError as error:
        if error.errno is None:  # requests' own, of certificates that are not there
            raise _unavailable(name, root, _explain(error, source.url, partial)) from error
        raise _unavailable(name, root, f"{partial} cannot be written ({_room(error)})") from error
    if (found := _md5(partial)) != source.md5:
        kind = kind_of(partial)
        partial.unlink()
        other = "not the published file" if kind in (NOT_KNOWN, GZIPPED) else f"{kind.what}, and not the published file"
        why = f"what {source.url} sent is {other} (MD5 {found}, not {source.md5}), and was deleted"
        raise _unavailable(name, root, why)
    partial.replace(path)


def _download(url: str, partial: Path) -> None:
    """Make `partial` whole, over a few connections if need be."""
    import requests

    for tries_left in reversed(range(TRIES)):
        try:
            return _download_rest(url, partial)
        except (requests.ConnectionError, requests.Timeout):
            if not tries_left or not partial.exists():  # nothing has arrived: there is no internet
                raise


def _download_rest(url: str, partial: Path) -> None:
    """Append what is missing from `partial`, or write it anew if the server sends everything.

    Raises requests.ConnectionError, with what arrived kept, when the connection breaks. Whether an old part fits
    the rest is for the caller to see, from the checksum.
    """
    import requests
    from urllib3.exceptions import HTTPError

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if have and response.status_code == 416:  # nothing lies beyond: it was whole already, or is not this file
            return
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.HTTPError(f"{_title(response)!r} on a web page, and sends no file")
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = int(response.headers.get("Content-Length", 0))
        # Not iter_content, which would unpack a .gz that the server declares as Content-Encoding.
        chunks = response.raw.stream(CHUNK, decode_content=False)
        description = f"{partial.name.removesuffix('.partial')}, in {CHUNK / 1e6:g} MB"
        try:
            with partial.open("ab" if have else "wb") as file:
                for chunk in progress(chunks, ceil(length / CHUNK) or None, description):
                    file.write(chunk)
        except HTTPError as error:
            raise requests.ConnectionError(f"the connection broke: {error}") from error


def _title(response: "requests.Response") -> str:
    """Of a page that came instead of a file: from a server with too many visitors, or a network that wants a login."""
    page = next(response.iter_content(CHUNK), b"").decode(errors="replace")
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL | re.IGNORECASE)
    return found[1].strip() if found else "nothing"


def _explain(error: Exception, url: str, partial: Path) -> str:
    """What went wrong with a download, in few words."""
    import requests

    from .network import reason

    kept = f"; {partial.stat().st_size} bytes of it are kept in {partial}" if partial.exists() else ""
    if isinstance(error, requests.HTTPError):
        return f"the server says {error}{kept}"
    if partial.exists():
        return f"the connection to {urlsplit(url).netloc} was lost{kept}"
    return reason(error, url)


def _md5(path: Path, *, unpack: bool = False) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with gzip.open(path) if unpack and _packed(path) else path.open("rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


def _md5_of(piece: Piece) -> str:
    """Of what a published file holds, whichever way it lies here."""
    path, array = piece
    if array or (path.parent.name.startswith("cifar") and not path.suffix):
        content = _from_archive(piece) if array else _python_batch(path)
        return hashlib.md5(content, usedforsecurity=False).hexdigest()
    return _md5(path, unpack=True)


# --- batches


def batches(
    images: "Tensor",
    batch_size: int,
    *,
    flip: bool = False,
    dequantize: bool = True,
    generator: "torch.Generator | None" = None,
    device: "torch.device | str | None" = None,
    n_batches: int | None = None,
    labels: "Tensor | None" = None,
) -> "Batches":
    """Yield float32 batches (B, C, H, W) in [0, 1] of uint8 images (N, C, H, W): endlessly, or n_batches of them.

    The images move to `device` (default: where they are) once, as uint8, and all else happens there, with nothing
    that waits for the device. Each epoch is a fresh shuffle of all N images, and a batch that the end of one epoch
    does not fill is filled from the next: every image is seen once an epoch, and every batch has B rows.

    dequantize  (images + u) / 256 with u uniform on (0, 1), in steps of 1/256, for every value, so that the data have a
                density (Theis et al. 2016, arXiv:1511.01844); otherwise images / 255. floor(256 x) is the image again.
    flip        mirror each image left to right with probability 1/2.
    generator   draws all the randomness; it must live on `device`. The global one where there is none.

    labels      (N,): yields pairs (batch, labels (B,) of its images) instead.

    What is returned is an iterator that can be stopped and gone on with exactly: `state_dict`, `load_state_dict`.
    """
    from .checks import check_count, check_generator

    _check_images(images)
    images = images.to(device)
    batch_size = check_count("batch_size", batch_size)
    if batch_size > len(images):
        raise ValueError(f"batch_size is {batch_size}, but there are {len(images)} images: use {len(images)} or fewer")
    check_generator(generator, images.device)
    n_batches = None if n_batches is None else check_count("n_batches", n_batches)
    if labels is not None and labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have one number for each of the {len(images)} images, not {tuple(labels.shape)}")
    labels = None if labels is None else labels.to(images.device)
    return Batches(images, batch_size, flip, dequantize, generator, n_batches, labels)


def _check_images(images: "Tensor") -> None:
    import torch

    if not isinstance(images, torch.Tensor):
        raise TypeError(f"images must be a torch tensor, not {type(images).__name__}: use torch.as_tensor(images)")
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, as load() returns them, not {images.dtype}{_to_bytes(images)}")
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W), not {tuple(images.shape)}: one channel is [:, None]")
    if images.numel() == 0:
        raise ValueError(f"there are no images: the shape is {tuple(images.shape)}")


def _to_bytes(images: "Tensor") -> str:
    """How to make bytes of images that are none: it depends on the range they lie in."""
    if images.numel() == 0 or images.is_complex():
        return ""
    if images.is_floating_point() and not images.isfinite().all():
        return "; and some of their pixels are NaN or infinite"
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 255:
        return (
            f"; they lie in [{low:.4g}, {high:.4g}]: bring them to [0, 1] first, then use (255 * images).round().byte()"
        )
    return ": use (255 * images).round().byte()" if high <= 1 else ": use images.round().byte()"


class Batches(Iterator[Any]):
    """What `batches` returns: an iterator over x (B, C, H, W), or over pairs (x, label (B,)) where it has labels."""

    def __init__(
        self,
        images: "Tensor",
        batch_size: int,
        flip: bool,
        dequantize: bool,
        generator: "torch.Generator | None",
        n_batches: int | None,
        labels: "Tensor | None" = None,
    ) -> None:
        import torch

        self.images, self.batch_size, self.flip, self.dequantize = images, batch_size, flip, dequantize
        self.generator, self.left, self.labels = generator, n_batches, labels
        self._draw: dict[str, Any] = {"generator": generator, "device": images.device}
        self._order = torch.empty(0, dtype=torch.int64, device=images.device)  # what is left of this epoch

    def __next__(self) -> "Tensor | tuple[Tensor, Tensor]":
        import torch

        if self.left == 0:
            raise StopIteration
        if self.left is not None:
            self.left -= 1
        if len(self._order) < self.batch_size:
            self._order = torch.cat([self._order, torch.randperm(len(self.images), **self._draw)])
        index, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        x = self.images.index_select(0, index)  # (B, C, H, W), uint8
        if self.flip:
            mirrored = torch.rand(self.batch_size, 1, 1, 1, **self._draw) < 0.5
            # where(mirrored, x.flip(-1), x), in an eighth of the time: x ^ ((x ^ flipped) & (255 or 0))
            x = x.flip(-1).bitwise_xor_(x).bitwise_and_(mirrored.byte().neg_()).bitwise_xor_(x)
        x = _dequantized(x, self._draw) if self.dequantize else x.float() / 255
        return x if self.labels is None else (x, self.labels[index])

    def state_dict(self) -> dict[str, Any]:
        """Where the iterator stands: rows left in the epoch, batches left, the generator's state."""
        if self.generator is None:
            raise ValueError("batches without a generator cannot be repeated: give batches(..., generator=)")
        # On the CPU, as other processes get it: a tensor on a GPU would bring each of them a context on that GPU.
        return {"order": self._order.cpu().clone(), "left": self.left, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, over the same images; a generator that is None stays as it is here."""
        order = state["order"].to(self.images.device)
        if self.generator is None:
            raise ValueError("batches without a generator cannot be repeated: give batches(..., generator=)")
        if len(order) and order.max() >= len(self.images):
            raise ValueError(f"the stopped run had more than these {len(self.images)} images: use the same data")
        self._order, self.left = order, state["left"]
        if state["generator"] is not None:
            self.generator.set_state(state["generator"].cpu())


def _dequantized(x: "Tensor", draw: dict[str, Any]) -> "Tensor":
    """(x + u) / 256, with u = (b + 1/2) / 256 and b a random byte: a sum that is exact in float32, and below x + 1."""
    import torch

    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=draw["generator"])  # 64 random bits serve eight values: 8 times as fast
    b = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return b.float().add_(x.float(), alpha=256).add_(0.5).mul_(2**-16)
