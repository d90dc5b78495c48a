"""Images changed a little at random, for classifiers that are to see more than there is.

`batching` flips and dequantises for the models of densities. This file does NOT know any data set.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def distort(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) turned by up to 14 degrees, sheared and stretched by up to 20 %, shifted by up to a tenth.

    Noise of standard deviation 0.02 is added. For digits, which may be turned and stretched. The generator lives on
    the device of the images.
    """
    turn, shear, stretch_x, stretch_y, dx, dy = 2 * torch.rand(6, len(x), generator=generator, device=x.device) - 1
    cos, sin = torch.cos(turn / 4), torch.sin(turn / 4)
    rows = [
        [cos * (1 + 0.2 * stretch_x), -sin + 0.2 * shear, 0.2 * dx],
        [sin, cos * (1 + 0.2 * stretch_y), 0.2 * dy],
    ]
    grid = F.affine_grid(torch.stack([torch.stack(row, 1) for row in rows], 1), list(x.shape), align_corners=False)
    moved = F.grid_sample(x, grid, align_corners=False)
    return moved + 0.02 * torch.randn(x.shape, generator=generator, device=x.device)


def shift_and_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) moved by up to an eighth of their height either way, and half of them flipped left to right.

    For photographs. The border is reflected. The generator lives on the device of the images.
    """
    n, _, height, _ = x.shape
    most = height // 8
    padded = F.pad(x, 4 * [most], mode="reflect")
    down, right = torch.randint(2 * most + 1, (2, n, 1), generator=generator, device=x.device)
    image, channel, rows, columns = (torch.arange(size, device=x.device) for size in x.shape)
    row, column = down + rows, right + columns  # (n, H), (n, W)
    as_it_is = torch.rand(n, 1, generator=generator, device=x.device) < 0.5
    column = torch.where(as_it_is, column, column.flip(1))
    return padded[image[:, None, None, None], channel[:, None, None], row[:, None, :, None], column[:, None, None]]


def cut_out(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with a grey square at a random place, a quarter of their height wide.

    What shows a part of a thing is still that thing (DeVries & Taylor 2017). The generator lives on the device of the
    images.
    """
    n, _, height, width = x.shape
    side = height // 4
    top = torch.randint(height - side + 1, (n, 1), generator=generator, device=x.device)
    left = torch.randint(width - side + 1, (n, 1), generator=generator, device=x.device)
    row, column = torch.arange(height, device=x.device) - top, torch.arange(width, device=x.device) - left
    inside = ((row >= 0) & (row < side))[:, None, :, None] & ((column >= 0) & (column < side))[:, None, None, :]
    return torch.where(inside, 0.5, x)


def vary_photographs(x: Tensor, generator: torch.Generator) -> Tensor:
    """`shift_and_flip`, then `cut_out`."""
    return cut_out(shift_and_flip(x, generator), generator)
