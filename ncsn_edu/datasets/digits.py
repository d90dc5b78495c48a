"""Handwritten digits of 8 x 8 pixels, which come with scikit-learn: nothing to download."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .record import DataSet, Split

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Digits(DataSet):
    """The digits of scikit-learn in two random halves."""

    def load(self, split: Split, root: str | Path | None, download: bool) -> tuple["Tensor", "Tensor"]:
        """Images, uint8 (N, 1, 8, 8), and labels, int64 (N,); the halves are always the same.

        scikit-learn has the images in the order of their writers; its first half and its second differ by their hands.
        Two random halves are of one distribution. A grey value v of 0..16 becomes round(255 v / 16), half up: 0 is 0,
        16 is 255, and round(16 u / 255) is v again.
        """
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        bunch = load_digits()
        order = np.random.RandomState(0).permutation(len(bunch.images))  # NumPy promises that it stays the same
        n_train = self.n_images["train"]
        half = order[:n_train] if split == "train" else order[n_train:]
        grey = torch.from_numpy(bunch.images[half]).to(torch.int64)  # (N, 8, 8), 0..16
        images = (255 * grey + 8) // 16
        return images.to(torch.uint8).unsqueeze(1), torch.from_numpy(bunch.target[half]).to(torch.int64)

    def available(self, root: Path) -> bool:
        """Whether scikit-learn is installed."""
        return find_spec("sklearn") is not None

    def verify(self, root: str | Path | None) -> dict[str, str]:
        """There are no files of its own."""
        return {}

    def place(self, root: Path) -> str:
        """The library."""
        return "in scikit-learn"


DIGITS = Digits(
    name="digits",
    shape=(1, 8, 8),
    n_images={"train": 898, "test": 899},
    licence=(
        "part of scikit-learn, which has the BSD 3-Clause licence; from UCI's Optical Recognition of Handwritten "
        "Digits (Alpaydin & Kaynak 1998), see https://archive.ics.uci.edu/dataset/80"
    ),
    preprocessing="grey values 0..16 become 0..255; two random halves serve as train and test",
    classes=tuple("0123456789"),
)
