"""evaluate: how far are images from those of a data set? Each number with its feature net, counts and interval.

This file does NOT measure: metrics.py and features.py do.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import datasets
from ..errors import first_line
from ..files import check_writable, write_whole
from ..kinds import NPY, NPZ, kind_of
from .bits import report_bits
from .common import (
    Commands,
    Failed,
    WrongUsage,
    add_device,
    add_speed,
    check_bf16,
    find_device,
    load_images,
    new_command,
    there_is_no,
    whole_number,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..features import FeatureNet
    from ..metrics import Features, Measured

ABOUT = """SAMPLES is a .npy file of images (N, C, H, W), floats in [0, 1] or bytes, as `sample --npy` writes it; (N,
H, W, C), (N, H, W) and .npz are read too where their meaning is certain, and a line says so. They are compared with
the held-out images of a data set, in the space of a feature net. For scale the same is done for as many images of
the training set (the floor: no sampler can do better), for them with noise of 0.1, and for two Gaussians (with the
mean and covariance of the data, and with their 32 largest principal components). Distances depend on the number of
images: compare runs of equal N only. A distance is called FID where the features are those of Inception-v3, and
nowhere else. Those of a net in bfloat16 (--bf16) are a little different, and compare with each other only.

With --bits SAMPLES is a trained net instead, by name or file as for `sample`: how many bits a pixel it needs for images
held out, by its probability flow. Numbers of nets whose smallest noise differs are not comparable to the last digit."""


def add(commands: Commands) -> None:
    """The parser of evaluate."""
    parser = new_command(commands, "evaluate", run, "measure how far samples are from a data set")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, ABOUT
    parser.add_argument("samples", type=Path, metavar="SAMPLES", help="a .npy or .npz file of images")
    parser.add_argument("--data", metavar="NAME", help="the data set (default: the one whose images have this shape)")
    parser.add_argument(
        "--features",
        choices=("classifier", "inception"),
        default="classifier",
        help="the classifier of the data set that comes with the package (default), or Inception-v3, by download",
    )
    parser.add_argument("--n", type=whole_number(2), metavar="N", help="use this many of the samples (default: all)")
    parser.add_argument("--alone", action="store_true", help="measure the samples only, and nothing for scale")
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="of the bootstrap (default: 0)")
    parser.add_argument("--bits", action="store_true", help="of a net: the likelihood of held-out images (--n: 64)")
    add_device(parser)
    add_speed(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the numbers too, as .json")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each number, and write them where asked."""
    if arguments.out and arguments.out.suffix != ".json":
        raise WrongUsage(f"--out {arguments.out}: give a name that ends in .json")
    if arguments.out:
        check_writable(arguments.out)
    if arguments.bits:
        return report_bits(arguments)
    x = _samples(arguments.samples, arguments.n)
    name = arguments.data or _data_of(tuple(x.shape[1:]))
    if name not in datasets.NAMES:
        raise WrongUsage(there_is_no("data set", name, datasets.NAMES))
    shape = datasets.DATASETS[name].shape
    if shape != tuple(x.shape[1:]):
        fitting = _fitting(tuple(x.shape[1:]))
        hint = f": give --data {fitting[0]}" if fitting else ""
        raise Failed(f"{arguments.samples} holds images {tuple(x.shape[1:])}, and those of {name} are {shape}{hint}")
    from ..features import extract, faster

    train, held_out, device = load_images(name, "train"), load_images(name, "test"), find_device(arguments.device)
    check_bf16(arguments.bf16, device)
    net = faster(_net(arguments.features, name, device), bf16=arguments.bf16, mode=arguments.compile)
    reference = extract(held_out, net, device=device)
    found: dict[str, list[Measured]] = {}
    sets = {"samples": x} if arguments.alone else {"samples": x, **dict(_for_scale(train, len(x)))}
    for what, images in sets.items():
        found[what] = list(measured(extract(images, net, device=device), reference, arguments.seed))
        print(f"{what} ({len(images)} images)")
        for number in found[what]:
            print(f"  {number.name:17} {number.value:9.4g}   [{number.low:.4g}, {number.high:.4g}]", flush=True)
    print(f"Features of {net.name}, against {len(held_out)} held-out images of {name}; in brackets 95 % by bootstrap.")
    if arguments.out:
        lines = {what: [number._asdict() for number in numbers] for what, numbers in found.items()}
        write_whole(arguments.out, (json.dumps(lines, indent=2) + "\n").encode())
        print(f"wrote {arguments.out}")
    return 0


def _samples(path: Path, n: int | None) -> "Tensor":
    """Images (n, C, H, W) of a file, uint8 or float32 in [0, 1]; prints what had to be done to them."""
    array = _array(path)
    array, shape = _images(path, array), array.shape
    if array.shape != shape:
        print(f"{path}: {shape} is taken as images (N, C, H, W) = {array.shape}")
    if n is not None and n > len(array):
        raise Failed(f"{path} holds {len(array)} images, fewer than --n {n}")
    import torch

    return torch.from_numpy(_values(path, array[:n]))


def _array(path: Path) -> "np.ndarray":
    """What a .npy file holds, or the one array of a .npz file that may be images; large ones stay on the disk."""
    import numpy as np

    if not path.exists():
        raise Failed(f"there is no file {path}: make it with python -m ncsn_edu sample ... --npy {path}")
    kind = kind_of(path)
    if kind not in (NPY, NPZ):
        advice = kind.advice or "write the images with numpy.save, or sample --npy"
        raise Failed(f"{path} is no .npy file of numbers{f', but {kind.what}' * bool(kind.what)}: {advice}")
    try:
        if kind == NPY:
            return np.load(path, mmap_mode="r" if path.stat().st_size > 2**24 else None)
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # of a damaged file numpy, tokenize and zipfile raise nearly anything
        said = first_line(error, "it ends too soon")
        raise Failed(f"{path} is no .npy file of numbers ({said}): get it again, or write it anew") from error
    images = {name: array for name, array in arrays.items() if _as_images(array) is not None}
    if len(images) == 1 or "arr_0" in images:  # the name that numpy.savez gives the first
        name = "arr_0" if "arr_0" in images else next(iter(images))
        if len(arrays) > 1:
            print(f"{path}: of its {len(arrays)} arrays, {name} is taken")
        return images[name]
    listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    raise Failed(f"{path} holds {listed}: save the images alone, with numpy.save")


def _as_images(array: "np.ndarray") -> "np.ndarray | None":
    """The array as images (N, C, H, W); None where its shape does not say how."""
    shapes = {record.shape for record in datasets.DATASETS.values()}
    if array.ndim == 4 and (array.shape[1:] in shapes or (*array.shape[3:], *array.shape[1:3]) not in shapes):
        return array
    if array.ndim == 4:
        return array.transpose(0, 3, 1, 2)
    if array.ndim == 3 and (1, *array.shape[1:]) in shapes:
        return array[:, None]
    return None


def _images(path: Path, array: "np.ndarray") -> "np.ndarray":
    images = _as_images(array)
    if images is None:
        shapes = (record.shape for record in datasets.DATASETS.values())
        one = array.shape in {shape for c, h, w in shapes for shape in ((c, h, w), (h, w, c), (h, w))}
        hint = ", one image: measures need many" if one else ""
        raise Failed(
            f"{path} must hold images (N, C, H, W), floats or bytes, and holds {array.dtype}, {array.shape}{hint}"
        )
    if not images.size:
        raise Failed(f"{path} holds no images: its shape is {array.shape}")
    return images


def _values(path: Path, array: "np.ndarray") -> "np.ndarray":
    """Bytes as they are, all else as float32 in [0, 1]."""
    import numpy as np

    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.float32)
    if kind in "iu" and array.min() >= 0 and array.max() == 1:
        raise Failed(f"{path} has pixels of 0 and 1 as {array.dtype}: pass 255 * images as bytes, or floats")
    if array.dtype == np.uint8 or (kind in "iu" and array.min() >= 0 and 1 < array.max() <= 255):
        return array.astype(np.uint8)
    if kind != "f":
        raise Failed(f"{path} must hold images (N, C, H, W), floats or bytes, and holds {array.dtype}, {array.shape}")
    low, high = float(array.min()), float(array.max())
    if not math.isfinite(low + high):
        raise Failed(f"{path} has pixels that are NaN or infinite: look for where the sampler ran away")
    if low < -0.5 or high > 1.5:  # more than the last noise of a sampler
        hint = "divide them by what white is, such as 255"
        if low < -0.5:
            hint = "pass (images + 1) / 2 where they are in [-1, 1]"
        elif 128 < high <= 256:
            hint = "pass images / 255, or bytes"
        raise Failed(f"{path} has pixels from {low:.4g} to {high:.4g}, and not from 0 to 1: {hint}")
    return array.astype(np.float32).clip(0, 1)


def _fitting(shape: tuple[int, ...]) -> list[str]:
    """The data sets whose images have this shape."""
    return [name for name, record in datasets.DATASETS.items() if record.shape == shape]


def _data_of(shape: tuple[int, ...]) -> str:
    fitting = _fitting(shape)
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise Failed(f"no data set has images of the shape {shape}: give --data, or make the samples again")
    raise WrongUsage(f"images of the shape {shape} may belong to {' or '.join(fitting)}: say which by --data")


def _net(kind: str, name: str, device: str) -> "FeatureNet":
    from ..features import FeatureUnavailable, classifier_net, inception_net

    try:
        return classifier_net(name) if kind == "classifier" else inception_net(device=device)
    except FeatureUnavailable as error:
        raise Failed(str(error)) from error


def _for_scale(train: "Tensor", n: int) -> Iterator[tuple[str, "Tensor"]]:
    import torch

    from ..core import noise_like
    from ..metrics import gaussian_fit

    generator = torch.Generator().manual_seed(0)
    chosen = train[torch.randperm(len(train), generator=generator)[:n]].float() / 255
    yield "training images", chosen
    yield "training images, noise 0.1", (chosen + 0.1 * noise_like(chosen, generator)).clamp(0, 1)
    some = train[:20_000].float() / 255
    yield "Gaussian", gaussian_fit(some, n, generator=generator).clamp(0, 1)
    yield "Gaussian, 32 components", gaussian_fit(some, n, rank=32, generator=generator).clamp(0, 1)


def measured(x: "Features", y: "Features", seed: int) -> Iterator["Measured"]:
    """The numbers of the command: of images with features x against those with features y."""
    import torch

    from ..metrics import classifier_score, frechet, kernel_distance, precision_recall

    generator = torch.Generator().manual_seed(seed)
    yield frechet(x, y, generator=generator)
    yield kernel_distance(x, y, generator=generator)
    yield from precision_recall(x, y, generator=generator)
    yield classifier_score(x, generator=generator)
