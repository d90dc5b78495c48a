"""Experiments of the papers: what each one sets, at three scales, and the few lines that run it.

smoke   shows in seconds that everything runs; what it learns is of no interest
laptop  shows the claim, in minutes
paper   what the paper set; hours without a GPU

torch is imported inside functions only, so that the command line can list recipes at once. This file does NOT load
data, choose a device, draw or write files: commands/train.py and the notebooks do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .train import Training, TrainState


@dataclass(frozen=True)
class Manifold:
    """Sliced score matching on images as they are, and on images with invisible noise (Song & Ermon 2019, Fig. 1)."""

    data: str = "cifar10"
    width: int = 12  # filters of the ScoreResNet
    blocks: int = 3
    batch_size: int = 64
    n_steps: int = 240
    lr: float = 1e-3
    sigma: float = 0.01  # standard deviation of the noise, where there is noise: the paper's N(0, 0.0001)
    n_projections: int = 1
    distribution: str = "gaussian"  # of the projections, as in the published code
    dequantize: bool = False  # the published code trains on k/255 here; dequantised images fill the space a little


MANIFOLD: Mapping[str, Manifold] = MappingProxyType(
    {
        "smoke": Manifold(data="digits", width=4, blocks=1, batch_size=16, n_steps=30),
        "laptop": Manifold(),
        "paper": Manifold(width=32, blocks=5, batch_size=128, n_steps=50_000),
    }
)
# For 8 x 8 digits within a notebook: a smaller batch, more steps.
MANIFOLD_DIGITS = Manifold(data="digits", width=16, blocks=2, batch_size=16, n_steps=320)


@dataclass(frozen=True)
class Images:
    """Denoising score matching on images over a ladder of noise levels (Song & Ermon 2019, section 5)."""

    data: str
    net: str = "ncsn"  # ncsn, ncsnv2 or unet
    width: int = 128
    sigma_max: float = 1.0
    sigma_min: float = 0.01
    n_levels: int = 10
    batch_size: int = 128
    n_steps: int = 200_000
    lr: float = 1e-3
    ema: float | None = None  # the paper keeps none; NCSNv2 found it to help
    flip: bool = False
    bf16: bool = False
    continuous: bool = False  # noise at any sigma of the ladder's range, for nets that take any
    warmup: int = 0  # steps in which the learning rate rises
    cooldown: int = 0  # last steps, in which it falls to zero
    multipliers: tuple[int, ...] = (1, 2)  # of the width, one for each resolution of the U-Net
    blocks: int = 1  # of the U-Net, on either side of each resolution
    attention: bool | int = False  # of the U-Net: in its middle, or at so many of its smallest resolutions
    preconditioned: bool = False  # the U-Net as Karras et al. 2022 scale it, and weigh its loss
    data_std: float = 0.5  # that this scaling is made for
    dropout: float = 0.0  # of the U-Net
    log_normal: tuple[float, float] | None = None  # mean and deviation of log sigma, for nets that take any
    n_classes: int = 0  # above 0: the net is told the class of each image,
    unlabelled: float = 0.2  # but not of this share of them
    ema_power: float | None = None  # a longer average the longer the run, instead of ema

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", tuple(self.multipliers))  # JSON makes lists of tuples
        if self.log_normal is not None:
            object.__setattr__(self, "log_normal", tuple(self.log_normal))


@dataclass(frozen=True)
class Sampling:
    """Annealed Langevin dynamics as a net is sampled with it unless told otherwise."""

    eps: float  # x + alpha/2 s + sqrt(alpha) z, alpha = eps at the last level
    n_steps_each: int
    denoising: bool = True

    def evaluations(self, n_levels: int) -> int:
        """How often the net is asked."""
        return n_levels * self.n_steps_each + self.denoising


def sampling(recipe: Images) -> Sampling:
    """Ten steps a level on 8x8 pixels, about four hundred in all on larger images, each of alpha/2 = 0.3 sigma^2.

    On digits that is better than the paper's hundred of 0.1 sigma^2. Larger images need more steps to agree on what
    they show; larger steps would leave too much noise for the next level, and make strokes too bold.
    """
    from .data import SHAPES

    each = 10 if SHAPES[recipe.data][-1] <= 8 else max(5, 400 // recipe.n_levels)
    return Sampling(eps=0.6 * recipe.sigma_min**2, n_steps_each=each)


def _scales(smoke: Images, laptop: Images, paper: Images) -> Mapping[str, Images]:
    return MappingProxyType({"smoke": smoke, "laptop": laptop, "paper": paper})


# NCSNv2 (Song & Ermon 2020, section 6): techniques 1, 2, 3 and 5 choose sigma_max, n_levels, the net and the average.
_V2: dict[str, Any] = {"net": "ncsnv2", "sigma_max": 50.0, "n_levels": 232, "lr": 1e-4, "flip": True}
# A U-Net of 1.2 million parameters and 0.17 GFLOP an image, for any sigma: what two CPU cores can train in hours.
# sigma_max is large enough for a sampler without Langevin steps to start from pure noise.
_SMALL: dict[str, Any] = {
    "net": "unet",
    "width": 16,
    "multipliers": (1, 3, 6, 6),
    "attention": True,
    "preconditioned": True,
    "sigma_max": 20.0,
    "n_levels": 20,
    "continuous": True,
    "lr": 2e-3,
    "warmup": 500,
    "cooldown": 5000,
    "flip": True,
}
# Its successor, 3.5 million parameters and 1.0 GFLOP an image, is told the class: a day of two CPU cores. Its layers
# are wide, as processors like them in bfloat16. The rate is constant and the average grows with the run, so that
# the weights are of use at any hour; the fall comes at the very end. sigma_max is large enough for a sampler without
# Langevin steps to start from pure noise. Noise levels: Karras et al. 2022, -1.2 and 1.2 for images in [-1, 1].
_CLASSES: dict[str, Any] = {
    "net": "unet",
    "width": 64,
    "multipliers": (1, 2, 2, 2),
    "attention": 2,
    "preconditioned": True,
    "data_std": 0.25,
    "dropout": 0.05,
    "n_classes": 10,
    "sigma_max": 20.0,
    "n_levels": 20,
    "log_normal": (-1.9, 1.2),
    "bf16": True,
    "warmup": 500,
}

RECIPES: Mapping[str, Mapping[str, Manifold | Images]] = MappingProxyType(
    {
        "manifold": MANIFOLD,
        "digits": _scales(
            Images("digits", width=4, batch_size=16, n_steps=40, ema=0.9),
            Images("digits", width=24, batch_size=64, n_steps=7000, ema=0.999),
            Images("digits", width=64, n_steps=50_000, ema=0.999),
        ),
        "digits_unet": _scales(
            Images("digits", net="unet", width=8, batch_size=16, n_steps=40, ema=0.9),
            Images("digits", net="unet", width=32, n_steps=3000, ema=0.999),
            Images("digits", net="unet", width=64, n_steps=20_000, ema=0.999),
        ),
        "mnist": _scales(
            Images("mnist", width=4, batch_size=8, n_steps=4, ema=0.9),
            Images("mnist", width=28, batch_size=32, n_steps=15_000, ema=0.999, cooldown=2000),
            Images("mnist", width=64),
        ),
        "cifar10": _scales(
            Images("cifar10", width=4, batch_size=8, n_steps=4, ema=0.9, flip=True),
            Images("cifar10", width=32, batch_size=64, n_steps=5000, ema=0.999, flip=True),
            Images("cifar10", ema=0.999, flip=True),
        ),
        "cifar10_v2": _scales(
            Images("cifar10", width=4, batch_size=8, n_steps=4, ema=0.9, **_V2 | {"n_levels": 12}),
            Images("cifar10", width=32, batch_size=64, n_steps=5000, ema=0.999, **_V2),
            Images("cifar10", n_steps=300_000, ema=0.999, **_V2),
        ),
        "cifar10_small": _scales(
            Images("cifar10", batch_size=8, n_steps=4, ema=0.9, **_SMALL | {"width": 4, "warmup": 1, "cooldown": 1}),
            Images("cifar10", batch_size=64, n_steps=20_000, ema=0.9995, **_SMALL),
            Images("cifar10", n_steps=200_000, ema=0.9999, **_SMALL),
        ),
        "cifar10_classes": _scales(
            Images("cifar10", batch_size=8, n_steps=4, ema=0.9, **_CLASSES | {"width": 8, "warmup": 1, "cooldown": 1}),
            Images("cifar10", batch_size=64, n_steps=150_000, ema_power=6.94, cooldown=10_000, **_CLASSES),
            Images("cifar10", n_steps=200_000, ema=0.9999, cooldown=10_000, **_CLASSES),
        ),
        "celeba": _scales(
            Images("celeba", width=4, batch_size=8, n_steps=4, ema=0.9, flip=True),
            Images("celeba", width=32, batch_size=64, n_steps=5000, ema=0.999, flip=True),
            Images("celeba", flip=True),
        ),
    }
)


def network(recipe: Images, channels: int, image_size: int) -> "torch.nn.Module":
    """The recipe's net, with fresh weights from the global random state."""
    from .nets.ncsn import NCSN
    from .nets.ncsnv2 import NCSNv2
    from .nets.unet import UNet

    if recipe.net == "unet":
        names = ("blocks", "attention", "preconditioned", "data_std", "dropout", "n_classes")
        return UNet(channels, recipe.width, recipe.multipliers, **{name: getattr(recipe, name) for name in names})
    nets = {"ncsn": NCSN, "ncsnv2": NCSNv2}
    if recipe.net not in nets:
        raise ValueError(f"net must be ncsn, ncsnv2 or unet, not {recipe.net!r}")
    return nets[recipe.net](channels, recipe.width, ladder(recipe), image_size)


def ladder(recipe: Images) -> "Tensor":
    """The recipe's noise levels, shape (n_levels,)."""
    from .schedules import geometric

    return geometric(recipe.sigma_max, recipe.sigma_min, recipe.n_levels)


def training(
    recipe: Images,
    images: "Tensor",
    *,
    labels: "Tensor | None" = None,
    seed: int = 0,
    device: "torch.device | str" = "cpu",
    compiled: bool | str = False,
) -> "Training":
    """Training of the recipe's net on uint8 images (N, C, H, W), ready to be iterated over; all draws follow seed.

    A net that is told classes needs the labels (N,) of the images.

    In a process group every process takes its share of each batch, and draws its own images and noise. On a GPU the
    net's weights are laid out as its convolutions like them best, in bfloat16: channels last.
    """
    import torch

    from . import distributed
    from .data import batches
    from .nets.unet import loss_weight
    from .train import train

    rank, n_processes = distributed.rank(), distributed.world_size()
    if recipe.batch_size % n_processes:
        raise ValueError(f"a batch of {recipe.batch_size} cannot be shared by {n_processes} processes: change one")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(recipe, images.shape[1], images.shape[-1]).to(device)
    if recipe.bf16:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
    generator = torch.Generator(device).manual_seed((seed + 1_000_003 * rank) % 2**32)  # it reads 32 bits
    size = recipe.batch_size // n_processes
    if recipe.n_classes and labels is None:
        raise ValueError("this recipe's net is told the class of each image: give the labels of the images")
    told = labels if recipe.n_classes else None
    stream = batches(images, size, flip=recipe.flip, generator=generator, device=device, labels=told)
    names = (
        "continuous",
        "log_normal",
        "unlabelled",
        "n_steps",
        "lr",
        "warmup",
        "cooldown",
        "ema",
        "ema_power",
        "bf16",
    )
    options = {name: getattr(recipe, name) for name in names}
    weight = partial(loss_weight, data_std=recipe.data_std) if recipe.preconditioned else None
    return train(model, stream, sigmas=ladder(recipe), weight=weight, compiled=compiled, generator=generator, **options)


@dataclass(frozen=True)
class Judge:
    """A classifier of a data set, trained on its images, each time a little changed."""

    net: str = "plain"  # or resnet
    width: int = 32
    n_steps: int = 1500
    batch_size: int = 64
    lr: float = 2e-3
    warmup: int = 0


# Digits may be turned and stretched a little; photographs are mirrored and moved.
JUDGES: Mapping[str, Judge] = MappingProxyType(
    {
        "digits": Judge(),
        "mnist": Judge(n_steps=3000),
        "cifar10": Judge(net="resnet", width=24, n_steps=4000, batch_size=128, lr=3e-3, warmup=400),
    }
)


def classifier(recipe: Judge, images: "Tensor", labels: "Tensor", *, seed: int = 0) -> Iterable["TrainState"]:
    """Train a classifier on uint8 images (N, C, H, W) with labels (N,); yields a state a step.

    The step falls to zero by the end. The global random state is left as it was.
    """
    import torch
    import torch.nn.functional as F

    from .nets.classifier import Classifier, ResNet
    from .train import train

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = {"plain": Classifier, "resnet": ResNet}[recipe.net](images.shape[1], images.shape[-1], recipe.width)
        generator = torch.Generator().manual_seed(seed)
        n, size = recipe.n_steps, recipe.batch_size
        rows = (torch.randint(len(images), (size,), generator=generator) for _ in range(n))
        changed = _distorted if recipe.net == "plain" else _moved

        def loss(model: "torch.nn.Module", index: "Tensor") -> "Tensor":
            x = changed(images[index].float() / 255, generator)
            return F.cross_entropy(model(x), labels[index], reduction="none")

        yield from train(net, rows, loss=loss, n_steps=n, lr=recipe.lr, warmup=recipe.warmup, cooldown=n)


def _distorted(x: "Tensor", generator: "torch.Generator") -> "Tensor":
    """Images turned by up to 14 degrees, sheared and stretched by up to 20 %, shifted by up to a tenth, a bit noisy."""
    import torch
    import torch.nn.functional as F

    turn, shear, stretch_x, stretch_y, dx, dy = 2 * torch.rand(6, len(x), generator=generator) - 1
    cos, sin = torch.cos(turn / 4), torch.sin(turn / 4)
    rows = [
        [cos * (1 + 0.2 * stretch_x), -sin + 0.2 * shear, 0.2 * dx],
        [sin, cos * (1 + 0.2 * stretch_y), 0.2 * dy],
    ]
    grid = F.affine_grid(torch.stack([torch.stack(row, 1) for row in rows], 1), list(x.shape), align_corners=False)
    moved = F.grid_sample(x, grid, align_corners=False)
    return moved + 0.02 * torch.randn(x.shape, generator=generator)


def _moved(x: "Tensor", generator: "torch.Generator") -> "Tensor":
    """Images (B, C, H, W) moved by up to an eighth of their height either way, and mirrored half of the time."""
    import torch
    import torch.nn.functional as F

    n, _, height, width = x.shape
    most = height // 8
    padded = F.pad(x, 4 * [most], mode="reflect")
    down, right = torch.randint(2 * most + 1, (2, n, 1), generator=generator)
    row, column = down + torch.arange(height), right + torch.arange(width)  # (n, H), (n, W)
    column = torch.where(torch.rand(n, 1, generator=generator) < 0.5, column, column.flip(1))
    index = torch.arange(n)[:, None, None, None]
    return padded[index, torch.arange(x.shape[1])[:, None, None], row[:, None, :, None], column[:, None, None, :]]


def manifold(
    recipe: Manifold, images: "Tensor", *, sigma: float, seed: int = 0, device: "torch.device | str" = "cpu"
) -> Iterable["TrainState"]:
    """Train a ScoreResNet on uint8 images (N, C, H, W) with noise sigma (0: none); yields a state a step.

    Runs of one seed start from the same net, and see the same images and the same directions in the same order: they
    differ by the noise alone. The global random state is left as it was.
    """
    import torch

    from .checks import check_sigma
    from .core import noise_like
    from .data import batches
    from .losses import sliced
    from .nets.resnet import ScoreResNet
    from .train import train

    check_sigma(sigma)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ScoreResNet(images.shape[1], recipe.width, recipe.blocks).to(device)
    # One stream each: of one seed, z and v would be made from the same numbers.
    order, noise, slices = (torch.Generator(device).manual_seed(3 * seed + i) for i in range(3))
    clean = batches(images, recipe.batch_size, dequantize=recipe.dequantize, generator=order, device=device)

    def loss(model: "torch.nn.Module", x: "Tensor") -> "Tensor":
        return sliced(
            model, x, n_projections=recipe.n_projections, distribution=recipe.distribution, generator=slices
        )  # variance reduced

    noised = (x + sigma * noise_like(x, noise) for x in clean)
    return train(net, noised, loss=loss, n_steps=recipe.n_steps, lr=recipe.lr)


def relative_spread(losses: Sequence[float]) -> float:
    """Standard deviation over |mean| of the last third of the losses: how restless the end of a run is.

    It counts a steady descent as spread too, and knows nothing of where the losses ought to be: see `share_of_bound`.
    """
    tail = _last_third(losses)
    return stdev(tail) / abs(fmean(tail))


def share_of_bound(losses: Sequence[float], sigma: float, dim: int) -> float:
    """The mean of the last third of the losses, as a share of the bound -dim / (2 sigma^2).

    No score gets below that bound in expectation on data with noise sigma, whatever the data: the optimum is
    -1/2 E||grad log p_sigma||^2, and by Tweedie's formula the score is -E[z | x~] / sigma, so that its mean square is
    at most E||z||^2 / sigma^2 = dim / sigma^2. Above 1 the losses belong to data that have no such noise.
    """
    from .checks import check_count, check_positive

    return fmean(_last_third(losses)) / (-check_count("dim", dim) / (2 * check_positive("sigma", sigma) ** 2))


def _last_third(losses: Sequence[float]) -> list[float]:
    tail = [float(loss) for loss in losses[-(len(losses) // 3) :]]
    if len(losses) < 6:
        raise ValueError(f"at least 6 losses are needed, to have two in their last third, not {len(losses)}")
    return tail
