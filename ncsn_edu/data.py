"""Where the data sets lie.

torch is imported inside functions only: the doctor reads this file where torch is missing.
"""

import os
from importlib.util import find_spec
from pathlib import Path

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
}


def data_root() -> Path:
    """The folder of the data sets: NCSN_EDU_DATA, or this user's cache folder. It need not exist yet."""
    named = os.environ.get("NCSN_EDU_DATA")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("ncsn_edu"))


def available(root: Path | None = None) -> dict[str, bool]:
    """Which data sets are there, all files of each: {"digits": True, "mnist": False, "cifar10": False}."""
    root = data_root() if root is None else Path(root)
    there = {name: all((root / file).is_file() for file in files) for name, files in OFFICIAL_FILES.items()}
    return {"digits": find_spec("sklearn") is not None, **there}
