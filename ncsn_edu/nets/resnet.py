"""A small residual score net for images at one noise level, as in the manifold experiment (paper's Fig. 1).

Full resolution throughout, no normalisation, smooth activations, so that implicit losses can differentiate it twice.
This file does NOT know noise levels: ncsn.py does.
"""

from torch import Tensor, nn

from ..checks import check_count, check_images, check_known, check_sigma


class ScoreResNet(nn.Module):
    """Score of images x (B, channels, H, W) in [0, 1]: `blocks` pre-activation residual blocks of `width` filters.

    Song & Ermon 2019, Fig. 1, train a ResNet of 32 filters. It learns the score at one noise level, `sigma` (0: the
    images as they are), and refuses any other.
    """

    def __init__(self, channels: int = 3, width: int = 32, blocks: int = 5, *, sigma: float = 0.0) -> None:
        super().__init__()
        self.channels, self.sigma = check_count("channels", channels), float(check_sigma(sigma))
        width = check_count("width", width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(check_count("blocks", blocks)))
        self.last = nn.Sequential(nn.ELU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Score at x, in the shape of x."""
        check_images(x, self.channels, 1), check_known(sigma, self.sigma)
        h = self.first(2 * x - 1)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


class _Block(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(
            nn.ELU(), nn.Conv2d(width, width, 3, padding=1), nn.ELU(), nn.Conv2d(width, width, 3, padding=1)
        )
