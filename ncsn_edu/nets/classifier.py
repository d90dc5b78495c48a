"""A small convolutional classifier: it judges samples, and later guides them. This file does NOT train it."""

from torch import Tensor, nn

from ..checks import check_count, check_images


class Classifier(nn.Module):
    """Images x (B, channels, size, size) in [0, 1] -> logits (B, n_classes); size a multiple of 4."""

    def __init__(self, channels: int, size: int, width: int = 32, n_classes: int = 10) -> None:
        super().__init__()
        self.channels, self.size = check_count("channels", channels), check_count("size", size)
        self.width, self.n_classes, w = check_count("width", width), n_classes, width
        self.convolutions = nn.Sequential(
            *_conv(self.channels, w), *_conv(w, w), nn.AvgPool2d(2), *_conv(w, 2 * w), *_conv(2 * w, 2 * w)
        )
        pool = nn.AdaptiveAvgPool2d(4) if size > 16 else nn.AvgPool2d(2)
        side = 4 if size > 16 else size // 4
        self.head = nn.Sequential(pool, nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * w * side**2, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        return self.head(self.convolutions(2 * check_images(x, self.channels, 4) - 1))


def _conv(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.SiLU()]
