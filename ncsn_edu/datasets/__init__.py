"""Data sets of images, each one uint8 tensor (N, C, H, W): found on this machine or downloaded, checked, batched.

Each data set is a record in a file of its own, and DATASETS lists them. The doctor and the help of the command line
import this package where torch is missing, so torch is imported inside functions. No module here knows a model: images
leave as uint8, or as floats in [0, 1].
"""

from pathlib import Path
from typing import TYPE_CHECKING

from .batching import Batches, batches
from .celeba import CELEBA
from .cifar10 import CIFAR10
from .digits import DIGITS
from .mnist import MNIST
from .record import SPLITS, DataDamaged, DataSet, DataUnavailable, Split
from .root import data_root, has_home, resolved

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DATASETS",
    "NAMES",
    "Batches",
    "DataDamaged",
    "DataSet",
    "DataUnavailable",
    "Split",
    "available",
    "batches",
    "data_root",
    "has_home",
    "load",
    "load_or_digits",
    "verify",
]

DATASETS: dict[str, DataSet] = {
    record.name: record
    for record in (
        DIGITS,
        MNIST,
        CIFAR10,
        CELEBA,
    )
}
NAMES = tuple(DATASETS)


def load(
    name: str, *, split: Split = "train", root: str | Path | None = None, download: bool = True
) -> tuple["Tensor", "Tensor"]:
    """Images, uint8 (N, C, H, W), and labels 0..9, int64 (N,), of one data set.

    name      one of NAMES. DATASETS[name] says how many images there are, what was done to them and who may use them.
    split     "train" or "test".
    root      folder of the data sets; data_root() unless given.
    download  whether missing files are downloaded. Files that are there are read as they are and never changed.

    Files are also found where torchvision, Keras and Kaggle put them (MNIST/raw, one folder deeper, in root itself).

    Raises DataUnavailable where files are missing and cannot be downloaded, DataDamaged for a file of a wrong size or
    content, ValueError for an unknown name or split.
    """
    record = _record(name)
    if split not in SPLITS:
        raise ValueError(f'split is "train" or "test", not {split!r}')
    return record.load(split, root, download)


def load_or_digits(
    name: str, *, split: Split = "train", root: str | Path | None = None, download: bool = False
) -> tuple["Tensor", "Tensor", str]:
    """`load`, for a notebook that must run anywhere: (images, labels, name of the data set they are from).

    Where the data set is not on this machine, digits take its place, and one printed line says so. Nothing is
    downloaded unless download=True. Raises DataDamaged, as `load` does.
    """
    try:
        return *load(name, split=split, root=root, download=download), name
    except DataUnavailable:
        print(f"{name} is not on this machine: going on with digits, 8x8 pixels, from scikit-learn.")
        return *load("digits", split=split), "digits"


def available(root: str | Path | None = None) -> dict[str, bool]:
    """Which data sets `load` finds ready to be read, both splits: {"digits": True, "mnist": False, ...}."""
    folder = resolved(root)
    return {name: record.available(folder) for name, record in DATASETS.items()}


def verify(name: str, root: str | Path | None = None) -> dict[str, str]:
    """What is wrong with each file of a data set, by its path below root: "" where it is as published.

    {"mnist/train-images-idx3-ubyte.gz": "missing", "mnist/train-labels-idx1-ubyte": "", ...}. The MD5 of the content
    counts: MNIST may be packed or not; the same images in another order are another content. An archive that lies
    there instead of the files is checked as a whole. A folder of CelebA's images is only searched for missing ones, as
    nobody publishes their checksums. digits is part of scikit-learn: {}. `verify` downloads and changes nothing.
    """
    return _record(name).verify(root)


def _record(name: str) -> DataSet:
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}: choose one of {', '.join(NAMES)}")
    return DATASETS[name]
