"""The dilated RefineNet of NCSN and NCSNv2 (Lin et al. 2017; Song & Ermon 2019, appendix A).

Down: four stages of residual blocks, C filters at full size and 2C at half size, the last two dilated instead of
halved again. Up: four refine blocks, each takes a stage and what came from below. Every norm stands before its
convolution or pooling, and is called norm(h, level). This file does NOT know what a noise level is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import check_count, check_ladder

Norm = Callable[[int], nn.Module]  # channels -> a module called as norm(h, level)


def conv3x3(before: int, after: int, *, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation, bias=bias)


class LadderNet(nn.Module):
    """What NCSN and NCSNv2 have in common: what they were made for, and their noise levels `sigmas` (L,)."""

    sigmas: Tensor

    def __init__(self, channels: int, width: int, sigmas: Tensor, image_size: int) -> None:
        super().__init__()
        self.channels, self.width = check_count("channels", channels), check_count("width", width)
        self.image_size = check_count("image_size", image_size)
        self.register_buffer("sigmas", check_ladder(torch.as_tensor(sigmas)).float())


class RefineNet(nn.Module):
    """x (B, channels, H, W), level (B,) -> (B, channels, H, W), for any even H and W."""

    def __init__(self, channels: int, width: int, norm: Norm, pool: nn.Module, *, refine_norm: Norm) -> None:
        super().__init__()
        c, d = width, 2 * width
        self.begin = conv3x3(channels, c)
        self.stages: Any = nn.ModuleList(  # of ModuleLists, which its type cannot say
            nn.ModuleList([first, second])
            for first, second in (
                (ResidualBlock(c, norm), ResidualBlock(c, norm)),
                (HalvingBlock(c, norm), ResidualBlock(d, norm)),
                (ResidualBlock(d, norm, dilation=2, shortcut=True), ResidualBlock(d, norm, dilation=2)),
                (ResidualBlock(d, norm, dilation=4, shortcut=True), ResidualBlock(d, norm, dilation=4)),
            )
        )
        self.refine = nn.ModuleList(
            [
                RefineBlock([d], d, refine_norm, pool),
                RefineBlock([d, d], d, refine_norm, pool),
                RefineBlock([d, d], c, refine_norm, pool),
                RefineBlock([c, c], c, refine_norm, pool, output_units=3),
            ]
        )
        self.norm, self.end = norm(c), conv3x3(c, channels)

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """The net's raw output, in the shape of x."""
        h, stages = self.begin(x), []
        for blocks in self.stages:
            for block in blocks:
                h = block(h, level)
            stages.append(h)
        h = self.refine[0]([stages[3]], level)
        for refine, stage in zip(self.refine[1:], stages[2::-1], strict=True):
            h = refine([stage, h], level)
        return self.end(F.elu(self.norm(h, level)))


class ResidualBlock(nn.Module):
    """Norm, ELU, convolution, twice, beside x or, with `shortcut`, a convolution of it; dilation widens the view."""

    def __init__(self, channels: int, norm: Norm, *, dilation: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        conv = partial(conv3x3, channels, channels, dilation=dilation)
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.conv1: nn.Module = conv()
        self.conv2: nn.Module = conv()
        self.shortcut: nn.Module = conv() if shortcut else nn.Identity()

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = self.conv1(F.elu(self.norm1(x, level)))
        h = self.conv2(F.elu(self.norm2(h, level)))
        return self.shortcut(x) + h


class HalvingBlock(ResidualBlock):
    """A residual block from (B, C, H, W) to (B, 2C, H/2, W/2)."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__(channels, norm)
        self.conv2 = ConvMeanPool(channels, 2 * channels, 3)
        self.shortcut = ConvMeanPool(channels, 2 * channels, 1)


class ConvMeanPool(nn.Module):
    """A convolution and the mean over 2x2 squares, H and W even: together one convolution of stride 2."""

    def __init__(self, before: int, after: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, padding=size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H/2, W/2)."""
        kernel = F.pad(self.conv.weight, (1, 1, 1, 1))  # the mean of the kernel's four shifts: one larger
        kernel = F.avg_pool2d(kernel, 2, stride=1)
        return F.conv2d(x, kernel, self.conv.bias, stride=2, padding=self.conv.padding)


class MeanPool(nn.Module):
    """Means over 5x5 neighbourhoods at every pixel, with zeros around the image: nn.AvgPool2d(5, 1, padding=2).

    A product with a band matrix from either side, or, of small images, with the matrix of both at once: on images of
    up to 32x32 about ten times as fast. In bfloat16 neither 1/5 nor 1/25 is exact: there it is the plain pooling.
    """

    def forward(self, x: Tensor) -> Tensor:
        """In the shape of x."""
        kind = x.device.type
        autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)  # not on meta
        if (autocast and x.dtype == torch.float32) or x.dtype in (torch.bfloat16, torch.float16):
            return F.avg_pool2d(x, 5, stride=1, padding=2)
        rows, columns = _band(x.shape[2], x), _band(x.shape[3], x)
        if x.shape[2] * x.shape[3] <= 64:
            return (x.flatten(2) @ torch.kron(rows, columns)).view_as(x)
        return rows @ x @ columns


def _band(n: int, like: Tensor) -> Tensor:
    """(n, n): 1/5 where row and column are at most two apart."""
    place = torch.arange(n, device=like.device)
    return ((place[:, None] - place).abs() <= 2).to(like.dtype) / 5


class RefineBlock(nn.Module):
    """Residual units on every input, their fusion at the size of the first, chained residual pooling, units again."""

    def __init__(
        self, inputs: Sequence[int], width: int, norm: Norm, pool: nn.Module, *, output_units: int = 1
    ) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(ResidualUnits(channels, norm, 2) for channels in inputs)
        self.fuse = Fusion(inputs, width, norm) if len(inputs) > 1 else None
        self.pool = ChainedPooling(width, norm, pool)
        self.output = ResidualUnits(width, norm, output_units)

    def forward(self, inputs: Sequence[Tensor], level: Tensor | None) -> Tensor:
        """Inputs (B, C_i, H_i, W_i) -> (B, width, H_0, W_0)."""
        adapted = [units(x, level) for units, x in zip(self.adapt, inputs, strict=True)]
        h = self.fuse(adapted, level) if self.fuse else adapted[0]
        return self.output(self.pool(h, level), level)


class ResidualUnits(nn.Module):
    """Units of norm, ELU, convolution, twice, each with a shortcut around it."""

    def __init__(self, channels: int, norm: Norm, n_units: int) -> None:
        super().__init__()
        self.units: Any = nn.ModuleList(  # of pairs, which its type cannot say
            nn.ModuleList(NormConv(channels, channels, norm, bias=False) for _ in range(2)) for _ in range(n_units)
        )

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """In the shape of x."""
        for first, second in self.units:
            x = x + second(first(x, level, activate=True), level, activate=True)
        return x


class NormConv(nn.Module):
    """Norm, ELU or not, 3x3 convolution."""

    def __init__(self, before: int, after: int, norm: Norm, *, bias: bool) -> None:
        super().__init__()
        self.norm, self.conv = norm(before), conv3x3(before, after, bias=bias)

    def forward(self, x: Tensor, level: Tensor | None, *, activate: bool = False) -> Tensor:
        """(B, before, H, W) -> (B, after, H, W)."""
        h = self.norm(x, level)
        return self.conv(F.elu(h) if activate else h)


class Fusion(nn.Module):
    """Inputs of different sizes, convolved and brought to the size of the first by bilinear interpolation, added."""

    def __init__(self, inputs: Sequence[int], width: int, norm: Norm) -> None:
        super().__init__()
        self.branches = nn.ModuleList(NormConv(channels, width, norm, bias=True) for channels in inputs)

    def forward(self, inputs: Sequence[Tensor], level: Tensor | None) -> Tensor:
        """Inputs (B, C_i, H_i, W_i) -> (B, width, H_0, W_0)."""
        size = inputs[0].shape[2:]
        total: Any = 0
        for branch, x in zip(self.branches, inputs, strict=True):
            h = branch(x, level)
            total = total + (h if h.shape[2:] == size else F.interpolate(h, size, mode="bilinear", align_corners=True))
        return total


class ChainedPooling(nn.Module):
    """x + conv(pool(norm(x))) + the same of the last addend: 5x5 and 9x9 neighbourhoods, at full resolution."""

    def __init__(self, width: int, norm: Norm, pool: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.convs = nn.ModuleList(conv3x3(width, width, bias=False) for _ in range(2))
        self.pool = pool

    def forward(self, x: Tensor, level: Tensor | None) -> Tensor:
        """In the shape of x."""
        x = path = F.elu(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            path = conv(self.pool(norm(path, level)))
            x = x + path
        return x
