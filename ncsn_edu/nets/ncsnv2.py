"""NCSNv2 (Song & Ermon 2020): the noise level divides the output and is nowhere else, so that any sigma will do.

This file does NOT know levels: `sigmas` is the ladder that it was trained on, for samplers to use.
"""

from torch import Tensor, nn

from ..checks import check_images, check_noise
from ..core import expand_like
from .norm import InstanceNormPlus, NoNorm
from .refinenet import LadderNet, RefineNet


class NCSNv2(LadderNet):
    """s(x, sigma) = f(x) / sigma of images x (B, channels, H, W) in [0, 1], for any sigma > 0 (technique 3)."""

    def __init__(self, channels: int, width: int, sigmas: Tensor, image_size: int = 32) -> None:
        super().__init__(channels, width, sigmas, image_size)
        pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.net = RefineNet(self.channels, self.width, InstanceNormPlus, pool, refine_norm=NoNorm)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Score of p_sigma at x, in the shape of x; sigma a float or (B,)."""
        check_images(x, self.channels), check_noise(sigma, "this net divides by sigma")
        return self.net(2 * x - 1, None) / expand_like(sigma, x)
