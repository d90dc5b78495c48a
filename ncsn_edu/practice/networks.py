"""Exercises: the parts of the network (notebook 9)."""

import torch
from torch import Tensor

from .verdict import Answer, Wrong, compare, exercise


@exercise
def normalised_means(answer: Answer) -> None:
    """my_means(x (B, C, H, W)) -> (B, C): m^ of CondInstanceNorm++, the means of the channels compared with each other.

    Over the channels of an image they have mean 0 and, divided by C - 1, variance 1.
    """
    for rows, channels, height, width in ((3, 4, 2, 5), (2, 3, 6, 6), (4, 2, 3, 1)):
        x = torch.randn(rows, channels, height, width) + 2 * torch.randn(rows, channels, 1, 1)
        mu = x.mean((2, 3))
        apart, flat = mu - mu.mean(1, keepdim=True), x.flatten(1)
        right = apart / mu.std(1, keepdim=True)
        mistakes: dict[str, Tensor] = {
            "the variance divides by C - 1 (`std` does it by default), not by C": (
                apart / mu.std(1, keepdim=True, correction=0)
            ),
            "divide by the standard deviation, not by the variance": apart / mu.var(1, keepdim=True),
            "the mean over the channels is not subtracted": mu / mu.std(1, keepdim=True),
            "it is not divided by the standard deviation of the means": apart,
            "compare the channels of an image, not the images of the batch": (mu - mu.mean(0)) / mu.std(0),
            "divide by the standard deviation of the C means, not by that of all pixels": (
                apart / flat.std(1, keepdim=True)
            ),
            "these are the means; they are to be compared with each other": mu,
        }
        found = answer(x)
        if isinstance(found, Tensor) and found.shape == (rows, channels, 1, 1):
            raise Wrong(f"it has shape {tuple(found.shape)}; return one number for each channel, ({rows}, {channels})")
        compare(found, right, mistakes, what="m^")
