"""NCSN, the noise-conditional score network of Song & Ermon 2019: a RefineNet whose norms know the noise level.

This file does NOT train, and does not know where weights come from: training.py and checkpoints.py do.
"""

from functools import partial

import torch
from torch import Tensor

from .. import checks
from ..checks import check_images
from ..schedules import nearest_level
from .norm import CondInstanceNormPlus
from .refinenet import LadderNet, MeanPool, RefineNet


class NCSN(LadderNet):
    """Score of images x (B, channels, H, W) in [0, 1], H and W even, at the levels of its own ladder `sigmas` (L,).

    Width 128 for 32x32 colour images has 30.1 million parameters, 64 for MNIST 7.64 (the paper's). `image_size` is
    what it is trained on, for the record: the net takes any even size.
    """

    def __init__(self, channels: int, width: int, sigmas: Tensor, image_size: int = 32) -> None:
        super().__init__(channels, width, sigmas, image_size)
        norm = partial(CondInstanceNormPlus, n_levels=len(self.sigmas))
        self.net = RefineNet(self.channels, self.width, norm, MeanPool(), refine_norm=norm)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Score of p_sigma at x, in the shape of x; sigma a float or (B,), each one of `sigmas`.

        Off the ladder it is an error; on a GPU, and in a compiled net, where an error would wait, it is NaN.
        """
        check_images(x, self.channels)
        if not checks.may_look(x):
            level, distance = nearest_level(sigma, self.sigmas)
            x = torch.where((distance < 0.01).view(-1, 1, 1, 1), x, torch.nan)
        else:
            level = self.level(sigma)
        return self.net(2 * x - 1, level.expand(len(x)))

    def level(self, sigma: float | Tensor) -> Tensor:
        """The place of sigma on the ladder, nearest in log sigma; off the ladder by more than 1 % is an error."""
        level, distance = nearest_level(sigma, self.sigmas)
        known = distance < 0.01  # False for NaN, 0 and negative sigmas too
        if not known.all():
            off = torch.as_tensor(sigma).reshape(-1)[~known.cpu()][0].item()
            ladder = ", ".join(f"{value:.4g}" for value in self.sigmas.tolist()[:12])
            raise ValueError(
                f"this net knows {len(self.sigmas)} noise levels, and {off:.4g} is none of them: {ladder}"
                f"{', ...' if len(self.sigmas) > 12 else ''}"
            )
        return level
