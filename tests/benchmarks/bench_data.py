"""Batches of images: `batches` against a DataLoader with two workers, over the same images.

The DataLoader is asked twice: with the usual steps for each image (array, Pillow, mirror, tensor, as torchvision's data
sets take them), and with the least that gives the same numbers.

    python tests/benchmarks/bench_data.py                  # 50,000 made images of CIFAR-10's size: a minute
    python tests/benchmarks/bench_data.py --images 2000    # seconds

With CIFAR-10 on this machine, loading it is timed too. Numbers are printed, never asserted: they belong to the
machine that made them.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ncsn_edu import datasets

BATCH = 128


class Lean(Dataset):
    """One image at a time, dequantised and flipped, as `batches` does for a whole batch."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        x = (self.images[index] + torch.rand(self.images[index].shape)) / 256
        return x.flip(-1) if torch.rand(()) < 0.5 else x


class Usual(Dataset):
    """The same by the steps of torchvision's data sets and transforms."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = Image.fromarray(self.images[index])
        image = ImageOps.mirror(image) if torch.rand(1) < 0.5 else image
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return (255 * x + torch.rand_like(x)) / 256


def rate_of_batches(images: Tensor) -> float:
    """Images a second over one epoch."""
    n_batches = len(images) // BATCH
    began = time.perf_counter()
    for x in datasets.batches(images, BATCH, flip=True, n_batches=n_batches):
        assert x.shape[0] == BATCH
    return n_batches * BATCH / (time.perf_counter() - began)


def rate_of_dataloader(images: Dataset) -> float:
    """The same, workers started beforehand: their start is not counted."""
    loader = DataLoader(images, BATCH, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True)
    next(iter(loader))
    began = time.perf_counter()
    for x in loader:
        assert x.shape[0] == BATCH
    return len(loader) * BATCH / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3, help="pairs of epochs to time")
    options = parser.parse_args()
    if options.images < BATCH:
        sys.exit(f"--images must be at least a batch, {BATCH}")

    def row(what: str, value: float, unit: str) -> None:
        print(f"{what:<44}{value:>12.4g} {unit}")

    images = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
    loaders = {"usual steps": Usual(images), "least work": Lean(images)}
    rounds = [(rate_of_batches(images), *map(rate_of_dataloader, loaders.values())) for _ in range(options.repeats)]
    row("batches", statistics.median(rates[0] for rates in rounds), "images/s")
    for place, name in enumerate(loaders, start=1):
        row(f"DataLoader, 2 workers, {name}", statistics.median(rates[place] for rates in rounds), "images/s")
        row("  batches / DataLoader (median of ratios)", statistics.median(r[0] / r[place] for r in rounds), "")
    if datasets.available()["cifar10"]:
        began = time.perf_counter()
        loaded, _ = datasets.load("cifar10", download=False)
        row(f"loading CIFAR-10, {len(loaded)} images", time.perf_counter() - began, "s")
    print(f"\nPyTorch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
