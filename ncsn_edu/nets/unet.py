"""A small U-Net that takes any sigma: a laptop trains it in minutes.

It is no net of a paper, but the common ground of later ones (Ho et al. 2020; Song et al. 2021): residual blocks with
group norm, told log sigma by a learned shift of every channel, and attention where the image is smallest. This file
does NOT know what its output means: adapters.py does.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checks import check_choice, check_count, check_floats, check_images, check_label, check_noise, may_look
from ..core import expand_like


class UNet(nn.Module):
    """f(u, sigma): a bare net, for a parametrisation of adapters.py to make a score of: EpsScore, Preconditioned.

    One resolution for each of `multipliers`, halved from one to the next, with width times the multiplier filters and
    `blocks` residual blocks on either side. H and W must be multiples of 2^(resolutions - 1). Its first output is zero.

    attention  True: every place of the smallest resolution looks at every other, in the middle; a number: after every
               block of so many of the smallest resolutions
    n_classes  the net can be told the class of each image, label (B,) with 0 ... n_classes - 1; -1, or no label at
               all: nothing is said. Trained on both it is two scores in one, of p(x) and of p(x | label)
    told       "log sigma", by its sines; or "step": the second argument is DDPM's t = 0, 1, ... (Ho et al. 2020)
    dropout    share of the activations set to zero in every block while the net is in training mode
    """

    def __init__(
        self,
        channels: int,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        *,
        blocks: int = 1,
        attention: bool | int = False,
        n_classes: int = 0,
        told: str = "log sigma",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.told = check_choice("told", told, ("log sigma", "step"))
        self.n_classes = check_count("n_classes", n_classes, least=0)
        self.channels, self.width = check_count("channels", channels), check_count("width", width)
        self.blocks, widths = check_count("blocks", blocks), [width * m for m in multipliers]
        embedding = 4 * width
        self.embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.label = nn.Embedding(n_classes + 1, embedding) if n_classes else None  # the last row: no class is told
        self.begin = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        attends = [attention > 1 and i >= len(widths) - attention for i in range(len(widths))]
        before, skips = widths[0], []
        for w, attend in zip(widths, attends, strict=True):
            for _ in range(blocks):
                self.down.append(Block(before, w, embedding, attend, dropout))
                skips.append(w)
                before = w
        self.middle = Block(before, before, embedding, False, dropout)
        self.attention = Attention(before) if attention else nn.Identity()
        for w, attend in zip(reversed(widths), reversed(attends), strict=True):
            for _ in range(blocks):
                self.up.append(Block(before + skips.pop(), w, embedding, attend, dropout))
                before = w
        self.end = nn.Sequential(_group_norm(before), nn.SiLU(), nn.Conv2d(before, channels, 3, padding=1))
        for parameter in self.end[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, u: Tensor, sigma: float | Tensor, label: Tensor | None = None) -> Tensor:
        """f at images u (B, channels, H, W), in their shape; sigma > 0 or a step, one or (B,); label integers (B,)."""
        check_images(u, self.channels, 2 ** (len(self.down) // self.blocks - 1))
        _check_told(self.told, sigma)
        e = self.embed(self._waves(expand_like(sigma, u).flatten().expand(len(u))))  # (B, 4 width)
        if self.label is not None:
            if label is None:
                label = torch.full((len(u),), -1, device=u.device)
            else:
                check_label(label, len(u), self.n_classes)
            e = e + self.label(label % (self.n_classes + 1))
        elif label is not None:
            raise ValueError("this U-Net was made without classes: leave out label, or make it with n_classes=")
        h, skips = self.begin(u), []
        for i, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if i and i % self.blocks == 0 else h, e)
            skips.append(h)
        h = self.attention(self.middle(h, e))
        for block in self.up:
            skip = skips.pop()
            h = block(torch.cat([h if h.shape == skip.shape else F.interpolate(h, skip.shape[2:]), skip], 1), e)
        return self.end(h).to(u.dtype)

    def _waves(self, sigma: Tensor) -> Tensor:
        if self.told == "step":
            return waves(sigma, self.width, 1e-4, 1.0)
        check_noise(sigma, "this net is told the logarithm of sigma")
        return waves(sigma.log(), self.width, 0.5, 25.0)


def _check_told(told: str, sigma: float | Tensor) -> None:
    """Raise for a sigma where a step is wanted, and for a step where sigma is."""
    values = torch.as_tensor(sigma)
    if told == "step":
        if values.is_floating_point() or (may_look(values) and not (values >= 0).all()):
            raise ValueError(
                "this net is told DDPM's step t = 0, 1, ..., whole numbers, and not a sigma: wrap it in EpsScore(net, "
                "alphas_bar), which finds the step of a sigma"
            )
    else:
        check_floats(sigma)


class Block(nn.Module):
    """Norm, SiLU, convolution, twice, the embedding of sigma added between, beside a shortcut; attention, if asked."""

    def __init__(self, before: int, after: int, embedding: int, attention: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.conv1 = _group_norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.norm2, self.conv2 = _group_norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.shift = nn.Linear(embedding, after)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.attention = Attention(after) if attention else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """(B, before, H, W) and (B, embedding) -> (B, after, H, W)."""
        h = self.conv1(F.silu(self.norm1(x))) + self.shift(e)[:, :, None, None]
        return self.attention(self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h)))))


class Attention(nn.Module):
    """Scaled dot-product attention with one head over all places of the image, beside a shortcut (Ho et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.to_qkv = _group_norm(channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).mT.chunk(3, dim=2)  # (B, H W, C) each
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.mT.reshape(x.shape))


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def waves(values: Tensor, n: int, lowest: float, highest: float) -> Tensor:
    """Sines and cosines of values (B,) at n/2 frequencies each, in geometric progression, shape (B, n)."""
    steps = torch.linspace(0, math.log(highest / lowest), n // 2, dtype=values.dtype, device=values.device)
    angles = values[:, None] * (lowest * steps.exp())
    return torch.cat([angles.sin(), angles.cos(), values[:, None].expand(-1, n - 2 * (n // 2))], 1)
