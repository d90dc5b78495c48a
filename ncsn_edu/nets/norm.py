"""Instance normalisation that does not forget the channel means, with and without noise levels.

Plain instance norm sets the mean of every channel of every image to zero, and colours with it. "Plus" brings the
means back, compared with each other across the channels: m^ below. This file does NOT know the net around it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-5
GROUPS_ON = ("cpu",)  # kinds of devices that may be fastest with group norm


def instance_norm_plus(x: Tensor, gamma: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """gamma (h + alpha m^) + beta (Song & Ermon 2019, appendix A.1; gamma, alpha, beta (B or 1, C), x (B, C, H, W)).

    h = (x - mu) / s per image and channel; m^ = (mu - mean of mu) / std of mu, over the channels of an image.
    """
    b, c = x.shape[:2]
    mu, ratio = x.mean((2, 3), dtype=gamma.dtype), 1 - 1 / c  # layer_norm divides the variance by C, and m^ by C - 1
    m = ratio**0.5 * F.layer_norm(mu, (c,), eps=ratio * EPS)
    scale, shift = gamma.expand(b, c), gamma * alpha * m + beta
    if not _as_groups(x):
        return _scaled(x, mu, scale, shift)
    # The batch as one image of B * C channels, each a group: instance norm with its scale and shift in a single pass.
    h = F.group_norm(x.reshape(1, b * c, *x.shape[2:]), b * c, scale.flatten(), shift.flatten(), EPS)
    return h.view(x.shape)


def _as_groups(x: Tensor) -> bool:
    """Whether group norm is fastest: on a processor, of images in the usual layout, and uncompiled."""
    return x.device.type in GROUPS_ON and x.is_contiguous() and not torch.compiler.is_compiling()


def _scaled(x: Tensor, mu: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale (x - mu) / s + shift for accelerators and compilers, as one product in the layout and the type that x has.

    CUDA's group norm takes at most 65,535 groups, wants float32 under autocast, and copies channels-last images, as a
    processor's does; a compiler makes one pass of this and of what surrounds it.
    """
    a = scale * (x.var((2, 3), correction=0).to(scale.dtype) + EPS).rsqrt()
    b = shift - mu * a
    return torch.addcmul(b.to(x.dtype)[:, :, None, None], x, a.to(x.dtype)[:, :, None, None])


class CondInstanceNormPlus(nn.Module):
    """CondInstanceNorm++: gamma, alpha, beta (L, C) of its own for each of L noise levels."""

    def __init__(self, channels: int, n_levels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(1 + 0.02 * torch.randn(n_levels, channels))
        self.alpha = nn.Parameter(1 + 0.02 * torch.randn(n_levels, channels))
        self.beta = nn.Parameter(torch.zeros(n_levels, channels))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x (B, C, H, W) normalised, by the parameters of each row's level (B,)."""
        return instance_norm_plus(x, *(F.embedding(level, rows) for rows in (self.gamma, self.alpha, self.beta)))


class InstanceNormPlus(nn.Module):
    """InstanceNorm++ without levels, as in NCSNv2: one gamma, alpha, beta (C,) for all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(1 + 0.02 * torch.randn(channels))
        self.alpha = nn.Parameter(1 + 0.02 * torch.randn(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """x (B, C, H, W) normalised; the level is not looked at."""
        return instance_norm_plus(x, self.gamma[None], self.alpha[None], self.beta[None])


class NoNorm(nn.Module):
    """Nothing, in the place of a norm: the refine blocks of NCSNv2."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """x as it is."""
        return x
