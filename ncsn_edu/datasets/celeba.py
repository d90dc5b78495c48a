"""CelebA's aligned faces (Liu et al. 2015, arXiv:1411.7766) at 32 x 32 pixels, as Song & Ermon 2019 train on them.

The middle 140 x 140 of each 178 x 218 image is resized by a triangle filter that is wide enough not to alias. Decoding
takes minutes the first time. So the result is kept beside the images, in train-32x32.npy and test-32x32.npy, and used
until the images are newer; without the images it is enough. The faces have no classes: every label is 0.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import ZipFile

from ..bars import progress
from ..files import why, write_whole
from .download import Source, fetch
from .layouts import folder_that
from .record import PublishedSet, Split, below, problem_of_file
from .root import resolved

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]

ARCHIVE, IMAGES = "img_align_celeba.zip", "img_align_celeba"  # as published; the folder in it
SIZE, CROP, SIDE = (178, 218), 140, 32  # pixels: width and height as published, the middle, the result
LIMIT = 2**20  # bytes of one image file; the real ones have about 7000
BLOCK = 256  # images that a thread decodes between two moves of the progress bar


@dataclass(frozen=True, kw_only=True)
class CelebA(PublishedSet):
    """CelebA as the published archive, the folder unpacked from it, or the small faces that were kept."""

    numbers: Mapping[Split, range]  # of the images of each split

    def has(self, root: Path, split: Split) -> bool:
        """Whether there are images of the split, or its kept faces."""
        return self._has(self._folder(root, split), split)

    def _has(self, folder: Path, split: Split) -> bool:
        return _source(folder, self.numbers[split]) is not None or _kept_at(folder, split).is_file()

    def _folder(self, root: Path, split: Split) -> Path:
        return folder_that(lambda folder: self._has(folder, split), self.folders(root))

    def read(self, root: Path, split: Split) -> tuple["Tensor", "Tensor"]:
        """The faces of a split that is there, in the order of their numbers, and zeros for labels.

        Raises DataDamaged for an image, an archive, or (where there is nothing to make them from again) kept faces.
        """
        import torch

        try:
            images = torch.from_numpy(_load(self._folder(root, split), split, self.numbers[split]))
        except Damaged as damage:
            raise self.damaged(damage.path, damage.expected, damage.found) from damage
        return images, torch.zeros(len(images), dtype=torch.int64)

    def verify(self, root: str | Path | None) -> dict[str, str]:
        """Compare the archive, or look for missing images where there is only their folder."""
        top = resolved(root)
        folder = folder_that(_has_images, self.folders(top))
        archive, images = folder / ARCHIVE, _images_in(folder)
        if images is None or archive.is_file():
            return {below(top, archive): problem_of_file(archive, self.sources[0].md5)}
        missing = _missing(images, self.numbers)
        return {below(top, images): f"{len(missing)} images are missing: {missing[0]}, ..." if missing else ""}

    def provide(self, root: Path) -> None:
        """Download the archive."""
        for source in self.sources:
            fetch(source, root)

    def repair(self, path: Path) -> str:
        """An image that somebody unpacked is not downloaded by itself."""
        return "Put the official one there" if path.parent.name == IMAGES else super().repair(path)


class Damaged(ValueError):
    """A file is not what it should be."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path, self.expected, self.found = path, expected, found


# --- finding


def _has_images(folder: Path) -> bool:
    """Whether the archive, or a folder of images, be it whole or not, is in the folder."""
    return (folder / ARCHIVE).is_file() or _images_in(folder) is not None


def _images_in(folder: Path) -> Path | None:
    """The folder of images in this one; Kaggle's is a folder of the same name in it."""
    for images in (folder / IMAGES / IMAGES, folder / IMAGES):
        if images.is_dir():
            return images
    return None


def _missing(images: Path, numbers: Mapping[Split, range]) -> list[str]:
    """The images of both splits that are not in the folder of images."""
    there = {entry.name for entry in os.scandir(images)}
    return [name for split in numbers.values() for number in split if (name := _name(number)) not in there]


def _source(folder: Path, numbers: range) -> Path | None:
    """The archive, or the folder of images where it has the first and the last of these numbers."""
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    images = _images_in(folder)
    ends = (_name(numbers[0]), _name(numbers[-1]))
    return images if images and all((images / name).is_file() for name in ends) else None


def _name(number: int) -> str:
    return f"{number:06}.jpg"


# --- faces that are kept


def _load(folder: Path, split: Split, numbers: range) -> "Array":
    """The faces of a split, uint8 (N, 3, 32, 32): those kept, unless the images are newer. Raises Damaged."""
    source, kept = _source(folder, numbers), _kept_at(folder, split)
    if kept.is_file() and (source is None or kept.stat().st_mtime_ns >= source.stat().st_mtime_ns):
        try:
            return _read_kept(kept, len(numbers))
        except Damaged as damage:
            if source is None:
                raise
            print(f"{kept} is damaged ({damage.found}): made again from {source.name}", file=sys.stderr)
    if source is None:
        raise FileNotFoundError(f"neither {ARCHIVE} nor {IMAGES} is in {folder}")
    faces = _decode(source, numbers)
    _keep(kept, faces)
    return faces


def _kept_at(folder: Path, split: str) -> Path:
    return folder / f"{split}-{SIDE}x{SIDE}.npy"


def _read_kept(path: Path, n: int) -> "Array":
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


def _keep(path: Path, faces: "Array") -> None:
    import numpy as np

    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(faces))
    try:
        write_whole(path, header.getvalue(), faces.data)
    except OSError as error:
        print(f"{path} cannot be written ({why(error)}): the images will be decoded again next time", file=sys.stderr)


# --- decoding


def _decode(source: Path, numbers: range) -> "Array":
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


def _face(source: Path, name: str, read: Callable[[str], bytes]) -> "Array":
    """One image, uint8 (3, 32, 32)."""
    try:
        return _small(read(name))
    except Exception as error:  # a broken image can fail in any way
        path, inside = (source / name, "") if source.is_dir() else (source, f" as {IMAGES}/{name}")
        found = getattr(error, "strerror", None) or error
        raise Damaged(path, f"a JPEG of {SIZE[0]} x {SIZE[1]} pixels{inside}", f"{found}") from error


def _small(jpeg: bytes) -> "Array":
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


NUMBERS: dict[Split, range] = {  # as in list_eval_partition.txt, where the validation images lie between
    "train": range(1, 162_771),
    "test": range(182_638, 202_600),
}
CELEBA = CelebA(
    name="celeba",
    shape=(3, SIDE, SIDE),
    n_images={split: len(numbers) for split, numbers in NUMBERS.items()},
    numbers=NUMBERS,
    licence="its publishers allow non-commercial research only; see https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    preprocessing="the middle 140 x 140 of each 178 x 218 image, resized to 32 x 32; no classes, so every label is 0",
    download_bytes=1_443_490_838,
    sources=(
        Source(
            f"celeba/{ARCHIVE}",
            "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t"
            "&resourcekey=0-dYn9z10tMJOBAkviAcfdyQ",
            "00d2c5bc6d35e252742224ab0c1e8fcb",
        ),
    ),
    official_files=(f"celeba/{ARCHIVE}",),
    folder="celeba",
    folder_names=("celeba", "celeba-dataset", "celeba_dataset", "img", "data", "datasets"),
    looks_like=r"celeb|img_align",
    # For people: Google often answers programs, and sometimes everybody, that too many have asked today.
    page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    unpacked_file=f"celeba/{IMAGES}/000001.jpg",
)
