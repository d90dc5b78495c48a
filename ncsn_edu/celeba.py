"""CelebA's aligned faces (Liu et al. 2015, arXiv:1411.7766) at 32 x 32 pixels, as Song & Ermon 2019 train on them.

The middle 140 x 140 of each 178 x 218 image is resized by a triangle filter that is wide enough not to alias. Decoding
takes minutes, so the result is kept beside the images and used until they are newer. This file does NOT download:
data.py does.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from .files import why, write_whole
from .progress import progress

if TYPE_CHECKING:
    import numpy as np

ARCHIVE, IMAGES = "img_align_celeba.zip", "img_align_celeba"  # as published; the folder in it
NUMBERS = {"train": range(1, 162_771), "test": range(182_638, 202_600)}  # as in list_eval_partition.txt; between: valid
SIZE, CROP, SIDE = (178, 218), 140, 32
LIMIT = 2**20  # bytes of one image file; the real ones have about 7000
BLOCK = 256  # images that a thread decodes between two moves of the progress bar


class Damaged(ValueError):
    """A file is not what it should be; its args are the path, what was expected, and what was found."""


def there(folder: Path, split: str) -> bool:
    """Whether `load` finds the split in the folder."""
    return _source(folder, split) is not None or _kept_at(folder, split).is_file()


def has_source(folder: Path) -> bool:
    """Whether the archive, or a folder of images, be it whole or not, is in the folder."""
    return (folder / ARCHIVE).is_file() or images_in(folder) is not None


def images_in(folder: Path) -> Path | None:
    """The folder of images in this one; Kaggle's is a folder of the same name in it."""
    deeper = folder / IMAGES / IMAGES
    return deeper if deeper.is_dir() else folder / IMAGES if (folder / IMAGES).is_dir() else None


def missing(images: Path) -> list[str]:
    """The images of both splits that are not in the folder of images."""
    there = {entry.name for entry in os.scandir(images)}
    return [name for numbers in NUMBERS.values() for number in numbers if (name := _name(number)) not in there]


def load(folder: Path, split: str) -> "np.ndarray":
    """The faces of a split that is there, uint8 (N, 3, 32, 32), in the order of their numbers.

    Raises Damaged for an image, an archive, or (where there is nothing to make it from again) kept faces.
    """
    source, kept = _source(folder, split), _kept_at(folder, split)
    if kept.is_file() and (source is None or kept.stat().st_mtime_ns >= source.stat().st_mtime_ns):
        try:
            return _read_kept(kept, len(NUMBERS[split]))
        except Damaged as damage:
            if source is None:
                raise
            print(f"{kept} is damaged ({damage.args[2]}): made again from {source.name}", file=sys.stderr)
    if source is None:
        raise FileNotFoundError(f"neither {ARCHIVE} nor {IMAGES} is in {folder}")
    faces = _decode(source, NUMBERS[split])
    _keep(kept, faces)
    return faces


def _source(folder: Path, split: str) -> Path | None:
    """The archive, or the folder of images where it has the first and the last of the split."""
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    ends, images = (NUMBERS[split][0], NUMBERS[split][-1]), images_in(folder)
    return images if images and all((images / _name(n)).is_file() for n in ends) else None


def _name(number: int) -> str:
    return f"{number:06}.jpg"


# --- faces that are kept


def _kept_at(folder: Path, split: str) -> Path:
    return folder / f"{split}-{SIDE}x{SIDE}.npy"


def _read_kept(path: Path, n: int) -> "np.ndarray":
    import numpy as np

    expected = f"uint8 ({n}, 3, {SIDE}, {SIDE})"
    try:
        faces = np.lib.format.open_memmap(path, mode="r")  # takes no memory before the shape is known to be right
        found = f"{faces.dtype} {faces.shape}"
    except (OSError, ValueError) as error:
        raise Damaged(path, expected, f"{os.path.getsize(path)} bytes ({error})") from error
    if found != expected:
        raise Damaged(path, expected, found)
    return np.array(faces)


def _keep(path: Path, faces: "np.ndarray") -> None:
    import numpy as np

    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(faces))
    try:
        write_whole(path, header.getvalue(), memoryview(faces))
    except OSError as error:
        print(f"{path} cannot be written ({why(error)}): the images will be decoded again next time", file=sys.stderr)


# --- decoding


def _decode(source: Path, numbers: range) -> "np.ndarray":
    import numpy as np

    faces = np.empty((len(numbers), 3, SIDE, SIDE), np.uint8)
    with _reader(source) as read, ThreadPoolExecutor() as threads:

        def decode_block(start: int) -> None:
            for i in range(start, min(start + BLOCK, len(numbers))):
                faces[i] = _face(source, _name(numbers[i]), read)

        starts = range(0, len(numbers), BLOCK)
        for _ in progress(threads.map(decode_block, starts), len(starts), f"CelebA, in {BLOCK} images"):
            pass
    return faces


@contextmanager
def _reader(source: Path) -> Iterator[Callable[[str], bytes]]:
    """What reads an image by name. In the archive members are found by their full name; nothing is unpacked."""
    if source.is_dir():
        yield lambda name: (source / name).read_bytes()
        return
    try:
        archive = ZipFile(source)
    except Exception as error:  # a broken archive can fail in any way
        raise Damaged(source, "a whole .zip", f"{source.stat().st_size} bytes ({error})") from error

    names = archive.NameToInfo

    def read(name: str) -> bytes:
        member = archive.getinfo(deeper if (deeper := f"{IMAGES}/{IMAGES}/{name}") in names else f"{IMAGES}/{name}")
        if member.file_size > LIMIT:
            raise ValueError(f"{member.file_size} bytes")
        return archive.read(member)

    with archive:
        yield read


def _face(source: Path, name: str, read: Callable[[str], bytes]) -> "np.ndarray":
    """One image, uint8 (3, 32, 32)."""
    try:
        return _small(read(name))
    except Exception as error:  # a broken image can fail in any way
        path, inside = (source / name, "") if source.is_dir() else (source, f" as {IMAGES}/{name}")
        found = getattr(error, "strerror", None) or error
        raise Damaged(path, f"a JPEG of {SIZE[0]} x {SIZE[1]} pixels{inside}", f"{found}") from error


def _small(jpeg: bytes) -> "np.ndarray":
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    left, top = ((side - CROP) // 2 for side in SIZE)
    try:
        image = Image.open(BytesIO(jpeg), formats=["JPEG"])
    except UnidentifiedImageError:
        raise ValueError(f"{len(jpeg)} bytes of something else") from None
    if image.size != SIZE:
        raise ValueError(f"{image.width} x {image.height}")
    middle = image.convert("RGB").crop((left, top, left + CROP, top + CROP))
    return np.asarray(middle.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
