"""Classifiers of images: they judge samples, lend their features to measure distances, and guide samplers.

This file does NOT train them: recipes.py does.
"""

from torch import Tensor, nn

from ..checks import check_count, check_images, check_noise
from ..core import expand_like
from .unet import Block, waves


class Classifier(nn.Module):
    """Images x (B, channels, size, size) in [0, 1] -> logits (B, n_classes); size a multiple of 4. For digits."""

    def __init__(self, channels: int, size: int, width: int = 32, n_classes: int = 10) -> None:
        super().__init__()
        self.channels, self.size = check_count("channels", channels), check_count("size", size)
        self.width, self.n_classes = check_count("width", width), check_count("n_classes", n_classes)
        w = self.width
        self.convolutions = nn.Sequential(
            *_conv(self.channels, w), *_conv(w, w), nn.AvgPool2d(2), *_conv(w, 2 * w), *_conv(2 * w, 2 * w)
        )
        pool = nn.AdaptiveAvgPool2d(4) if size > 16 else nn.AvgPool2d(2)
        side = 4 if size > 16 else size // 4
        self.head = nn.Sequential(pool, nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * w * side**2, self.n_classes))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees, (B, D)."""
        check_images(x, self.channels, 4, self.size if self.size <= 16 else None)  # a larger one pools any size
        return self.head[:2](self.convolutions(2 * x - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.logits(self.features(x))

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, n_classes)."""
        return self.head[2:](features)


class ResNet(nn.Module):
    """Images x (B, channels, size, size) in [0, 1] -> logits (B, n_classes); size a multiple of 8. For photographs.

    A small residual net (He et al. 2016): the image is halved three times while the filters double, and two residual
    blocks of two convolutions each stand where that is cheap. Its features are the means of 8 width channels; once it
    is trained, those of an image and of its mirror image, half and half: photographs are of the same kind either way.
    """

    def __init__(self, channels: int, size: int, width: int = 24, n_classes: int = 10) -> None:
        super().__init__()
        self.channels, self.size = check_count("channels", channels), check_count("size", size)
        self.width, self.n_classes = check_count("width", width), check_count("n_classes", n_classes)
        w = self.width
        self.convolutions = nn.Sequential(
            *_conv(self.channels, w),
            *(*_conv(w, 2 * w), nn.MaxPool2d(2), Residual(2 * w)),
            *(*_conv(2 * w, 4 * w), nn.MaxPool2d(2)),
            *(*_conv(4 * w, 8 * w), nn.MaxPool2d(2), Residual(8 * w)),
        )
        self.logits = nn.Linear(8 * w, self.n_classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees, (B, 8 width); in evaluation the same for an image and its mirror image."""
        found = self.convolutions(2 * check_images(x, self.channels, 8) - 1).mean((2, 3))
        if self.training:
            return found
        return (found + self.convolutions(2 * x.flip(3) - 1).mean((2, 3))) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.logits(self.features(x))


class NoisyClassifier(nn.Module):
    """Noisy images x (B, channels, size, size), and their noise sigma > 0 -> logits (B, n_classes); size even.

    The first half of a U-Net, told log sigma, and a linear layer (Dhariwal & Nichol 2021, section 4). It sees
    u = (x - 1/2) / sqrt(1/4 + sigma^2), which has about variance 1 at every level. Where the noise is large, the best
    logits are x . mu_k / sigma^2 with the mean mu_k of each class, so that a linear layer of u stands beside the rest,
    and all is divided by sqrt(1 + sigma^2): no class is told from another in the end.
    """

    def __init__(self, channels: int, size: int, width: int = 32, n_classes: int = 10) -> None:
        super().__init__()
        self.channels, self.size = check_count("channels", channels), check_count("size", size)
        self.width, self.n_classes = check_count("width", width), check_count("n_classes", n_classes)
        w = self.width
        self.embed = nn.Sequential(nn.Linear(w, 4 * w), nn.SiLU(), nn.Linear(4 * w, 4 * w), nn.SiLU())
        self.begin, self.fine = nn.Conv2d(channels, w, 3, padding=1), Block(w, w, 4 * w)
        self.halve, self.coarse = nn.AvgPool2d(2), Block(w, 2 * w, 4 * w)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.SiLU(), nn.Dropout(0.3), nn.Linear(2 * w * 16, self.n_classes)
        )
        self.linear = nn.Linear(channels * size**2, self.n_classes, bias=False)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Logits (B, n_classes); sigma a number or (B,)."""
        check_images(x, self.channels, size=self.size)
        check_noise(sigma, "this classifier is told the logarithm of sigma")
        sigmas = expand_like(sigma, x)
        e = self.embed(waves(sigmas.log().flatten().expand(len(x)), self.width, 0.5, 25.0))
        u = (x - 0.5) / (0.25 + sigmas**2).sqrt()
        logits = self.head(self.coarse(self.halve(self.fine(self.begin(u), e)), e)) + self.linear(u.flatten(1))
        return logits / (1 + sigmas.flatten()[:, None] ** 2).sqrt()


class Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*_conv(width, width), *_conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> (B, width, H, W)."""
        return x + self.convolutions(x)


def _conv(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.SiLU()]
