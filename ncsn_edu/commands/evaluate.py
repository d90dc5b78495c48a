"""evaluate: how far are images from those of a data set? Each number with its feature net, counts and interval.

This file does NOT measure: metrics.py and features.py do.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import data
from ..files import write_whole
from .common import Commands, Failed, WrongUsage, load_images, new_command, there_is_no, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from ..features import FeatureNet
    from ..metrics import Features, Measured

ABOUT = """SAMPLES is a .npy file of images (N, C, H, W), floats in [0, 1] or bytes, as `sample --npy` writes it. They
are compared with the held-out images of a data set, in the space of a feature net. For scale the same is done for as
many images of the training set (the floor: no sampler can do better), for them with noise of 0.1, and for two
Gaussians (with the mean and covariance of the data, and with their 32 largest principal components). Distances depend
on the number of images: compare runs of equal N only. A distance is called FID where the features are those of
Inception-v3, and nowhere else."""


def add(commands: Commands) -> None:
    """The parser of evaluate."""
    parser = new_command(commands, "evaluate", evaluate, "measure how far samples are from a data set")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, ABOUT
    parser.add_argument("samples", type=Path, metavar="SAMPLES", help="a .npy file of images")
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
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the numbers too, as .json")


def evaluate(arguments: argparse.Namespace) -> int:
    """Print a line for each number, and write them where asked."""
    from ..features import extract

    if arguments.out and arguments.out.suffix != ".json":
        raise WrongUsage(f"--out {arguments.out}: give a name that ends in .json")
    x = _samples(arguments.samples, arguments.n)
    name = arguments.data or _data_of(tuple(x.shape[1:]))
    if name not in data.NAMES:
        raise WrongUsage(there_is_no("data set", name, data.NAMES))
    if data.SHAPES[name] != tuple(x.shape[1:]):
        raise Failed(
            f"{arguments.samples} holds images {tuple(x.shape[1:])}, and those of {name} are {data.SHAPES[name]}"
        )
    train, held_out = load_images(name, "train"), load_images(name, "test")
    net = _net(arguments.features, name)
    reference = extract(held_out, net)
    found: dict[str, list[Measured]] = {}
    sets = {"samples": x} if arguments.alone else {"samples": x, **dict(_for_scale(train, len(x)))}
    for what, images in sets.items():
        found[what] = list(_measured(extract(images, net), reference, arguments.seed))
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
    import numpy as np
    import torch

    if not path.is_file():
        raise Failed(f"there is no file {path}: make it with python -m ncsn_edu sample ... --npy {path}")
    try:
        array = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise Failed(f"{path} is no .npy file of numbers ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 4 or not (array.dtype == np.uint8 or array.dtype.kind == "f"):
        kind = f"{array.dtype}, {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise Failed(f"{path} must hold images (N, C, H, W), floats or bytes, and holds {kind}")
    if n is not None and n > len(array):
        raise Failed(f"{path} holds {len(array)} images, fewer than --n {n}")
    x = torch.from_numpy(array[:n])
    if x.dtype == torch.uint8:
        return x
    low, high = x.min().item(), x.max().item()
    if -0.5 < low <= high < 1.5:  # the last noise of a sampler; what is further off is another range, and refused later
        return x.float().clamp(0, 1)
    return x.float()


def _data_of(shape: tuple[int, ...]) -> str:
    fitting = [name for name, its in data.SHAPES.items() if its == shape]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise Failed(f"no data set has images of the shape {shape}: give --data, or make the samples again")
    raise WrongUsage(f"images of the shape {shape} may belong to {' or '.join(fitting)}: say which by --data")


def _net(kind: str, name: str) -> "FeatureNet":
    from ..features import FeatureUnavailable, classifier_net, inception_net

    try:
        return classifier_net(name) if kind == "classifier" else inception_net()
    except (FileNotFoundError, FeatureUnavailable) as error:
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


def _measured(x: "Features", y: "Features", seed: int) -> Iterator["Measured"]:
    import torch

    from ..metrics import classifier_score, frechet, kernel_distance, precision_recall

    generator = torch.Generator().manual_seed(seed)
    yield frechet(x, y, generator=generator)
    yield kernel_distance(x, y, generator=generator)
    yield from precision_recall(x, y, generator=generator)
    yield classifier_score(x, generator=generator)
