"""Images as files: a batch tiled into one picture, PNG files, animations, and files of other people read in.

Floats of [0, 1] are what models see; clamping to that range belongs here, to the display. This file does NOT draw
axes, and knows no model: plots.py draws, samplers make the images.
"""

import math

import torch
from torch import Tensor

from .checks import check_count, check_points


def tile(x: Tensor, columns: int | None = None, *, gap: int = 1) -> Tensor:
    """Images x (B, C, H, W), C 1 or 3, side by side and row by row: one picture (H', W', C), clamped to [0, 1].

    As many columns as rows, or a few more, unless given; `gap` white pixels between two images, none around.
    """
    x = check_points(x).detach().float().cpu()
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel():
        raise ValueError(f"x must be images of shape (B, 1 or 3, H, W), not {tuple(x.shape)}")
    n, c, h, w = x.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else min(check_count("columns", columns), n)
    rows = math.ceil(n / columns)
    picture = torch.ones(rows * (h + gap) - gap, columns * (w + gap) - gap, c)
    for i, image in enumerate(x.clamp(0, 1).permute(0, 2, 3, 1)):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        picture[top : top + h, left : left + w] = image
    return picture
