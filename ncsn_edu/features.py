"""Feature nets: what images are turned into before two sets of them are compared.

One interface for all: `extract(images, net)`, with a net of `classifier_net` or `inception_net`, or a FeatureNet of
your own. This file does NOT compare anything: metrics.py does.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor

from .adapters import Compiled
from .checks import check_count
from .metrics import INCEPTION, Features
from .trained import load_judge


class FeatureUnavailable(RuntimeError):
    """The net's weights or code are not on this machine and cannot be had; the message says what can be used."""


class FeatureNet(NamedTuple):
    """A net that describes images, with the name that numbers computed from it bear."""

    name: str
    describe: Callable[[Tensor], tuple[Tensor, Tensor]]  # x (B, C, H, W) in [0, 1] -> features (B, D), logits (B, K)


def classifier_net(data: str) -> FeatureNet:
    """The classifier of a data set that comes with the package (its model card says how good it is)."""
    net = load_judge(data)

    def describe(x: Tensor) -> tuple[Tensor, Tensor]:
        features = net.to(x.device).features(x.contiguous(memory_format=torch.channels_last))
        return features, net.logits(features)

    return FeatureNet(f"the {data} classifier", describe)


def inception_net(*, device: torch.device | str = "cpu") -> FeatureNet:
    """Inception-v3 as FID is defined by it, from torch-fidelity; downloads 91 MB the first time.

    Raises FeatureUnavailable where the library or the weights cannot be had.
    """
    instead = "Without it: classifier_net('cifar10'); what it measures is no FID, and not called so"
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
        raise FeatureUnavailable(
            f"Inception needs torch-fidelity, which cannot be imported here ({error}): "
            f"pip install torch-fidelity torchvision. {instead}"
        ) from error
    try:
        net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"]).to(device).eval()
    except OSError as error:  # URLError is one
        raise FeatureUnavailable(f"the weights of Inception could not be downloaded ({error}). {instead}") from error

    def describe(x: Tensor) -> tuple[Tensor, Tensor]:
        x = (255 * x).round().byte().to(device)
        features, logits = net(x.expand(-1, 3, -1, -1))
        return features, logits

    return FeatureNet(INCEPTION, describe)


def faster(net: FeatureNet, *, bf16: bool = False, mode: str | None = None) -> FeatureNet:
    """The same net in bfloat16, or compiled (mode of adapters.Compiled), or both.

    In bfloat16 its features are others. They have a name of their own, and are compared with each other only.
    """
    describe = Compiled(net.describe, mode) if mode else net.describe

    def narrow(x: Tensor) -> tuple[Tensor, Tensor]:
        with ExitStack() as settings:
            for kind in {x.device.type, *(["cuda"] if torch.cuda.is_available() else [])}:  # the net may move x there
                settings.enter_context(torch.autocast(kind, torch.bfloat16))
            return describe(x)

    return FeatureNet(f"{net.name} in bfloat16", narrow) if bf16 else FeatureNet(net.name, describe)


@torch.no_grad()
def extract(
    images: Tensor, net: FeatureNet, *, batch_size: int | None = None, device: torch.device | str | None = None
) -> Features:
    """Features of images (n, C, H, W): uint8, or floats in [0, 1]. What lies beyond is refused, not guessed at.

    batch_size  images at once; unless given 500, and 64 on a processor, where larger tensors can take twice as long
                (see `devices.keep_freed_memory`)
    device      where the net is to be; where the images are unless given. The features come back on the CPU.
    """
    if images.ndim != 4 or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise ValueError(
            f"images must be uint8 or float, of shape (n, C, H, W), not {images.dtype} of shape {tuple(images.shape)}"
        )
    values, probabilities = [], []
    if batch_size is None:
        batch_size = 64 if torch.device(device or images.device).type == "cpu" else 500
    for part in images.split(check_count("batch_size", batch_size)):
        part = part.float() / 255 if part.dtype == torch.uint8 else part.float()
        low, high = part.min().item(), part.max().item()
        if not math.isfinite(low + high):
            raise ValueError("some pixels are NaN or infinite: these images are no samples of anything")
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"{net.name} takes images in [0, 1], and these lie in [{low:.4g}, {high:.4g}]: "
                f"pass {_into_range(low, high)}"
            )
        features, logits = net.describe(part.to(device))
        values.append(features.cpu().double())
        probabilities.append(logits.cpu().double().softmax(1))
    return Features(net.name, torch.cat(values), torch.cat(probabilities))


def _into_range(low: float, high: float) -> str:
    """What probably brings images with these values into [0, 1]: they are bytes, or from -1 to 1, or else noisy."""
    if high > 10:
        return "images / 255"
    return "(images + 1) / 2" if -1.001 < low < -0.9 else "images.clamp(0, 1)"
