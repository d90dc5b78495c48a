"""The parts of a recipe: small frozen settings, each of which builds its own piece.

A Network builds a net, a Ladder noise levels and the objective over them, an Optimisation the training; Sampling says
how a net is sampled. torch is imported inside functions only. This file does NOT know any experiment: recipes.py does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .losses import Denoising, Draw
    from .training import Batch, Objective, Training

Device: TypeAlias = "torch.device | str"


# ---- the network --------------------------------------------------------------------------------------------------


class Part:
    """Settings of one kind: a frozen dataclass. `kinds` has all of them by name, for recipes that are read again."""

    kinds: ClassVar[dict[str, type["Part"]]] = {}

    def __init_subclass__(cls) -> None:
        Part.kinds[cls.__name__] = cls


class Network(Part):
    """Settings of a net."""

    title: ClassVar[str]  # in prose

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """The net for images (B, channels, size, size), for noise levels sigmas (L,) if it is a score.

        Its fresh weights are drawn from the global random state.
        """
        raise NotImplementedError

    def of_weights(self) -> dict[str, Any]:
        """The settings that weights depend on."""
        return {"network": type(self).__name__, **vars(self)}


class ScoreNetwork(Network):
    """Settings of a net that is a Score at many noise levels."""

    any_sigma: ClassVar[bool] = True  # also those that are not on the ladder
    n_classes: int = 0  # above 0: it is told the class of each image


@dataclass(frozen=True)
class Ncsn(ScoreNetwork):
    """The net of Song & Ermon 2019: a RefineNet that knows the levels of its ladder, and no other."""

    title = "NCSN"
    any_sigma = False
    width: int = 128

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """An NCSN."""
        from .nets.ncsn import NCSN

        return NCSN(channels, self.width, sigmas, size)


@dataclass(frozen=True)
class NcsnV2(Ncsn):
    """The net of Song & Ermon 2020: the noise level divides its output."""

    title = "NCSNv2"
    any_sigma = True

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """An NCSNv2."""
        from .nets.ncsnv2 import NCSNv2

        return NCSNv2(channels, self.width, sigmas, size)


@dataclass(frozen=True)
class EpsUnet(ScoreNetwork):
    """A U-Net that guesses the noise of images in [0, 1]."""

    title = "U-Net"
    told: ClassVar[str] = "log sigma"
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2)  # of the width, one for each resolution
    blocks: int = 1  # on either side of each resolution
    attention: bool | int = False  # in its middle, or at so many of its smallest resolutions
    dropout: float = 0.0
    n_classes: int = 0

    def of_weights(self) -> dict[str, Any]:
        """All but dropout."""
        return {name: value for name, value in super().of_weights().items() if name != "dropout"}

    def bare(self, channels: int) -> "nn.Module":
        """The net without its parametrisation."""
        from .nets.unet import UNet

        return UNet(
            channels,
            self.width,
            self.multipliers,
            blocks=self.blocks,
            attention=self.attention,
            n_classes=self.n_classes,
            told=self.told,
            dropout=self.dropout,
        )

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """The U-Net in an EpsScore."""
        from .adapters import EpsScore

        return EpsScore(self.bare(channels), data_mean=0.5, data_std=0.5)


@dataclass(frozen=True)
class DdpmUnet(EpsUnet):
    """The U-Net as DDPM's: it sees x_t of images in [-1, 1], is told the step t, and guesses the noise."""

    title = "U-Net of DDPM"
    told = "step"

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """The U-Net in an EpsScore of images in [-1, 1], and that in an AffineScore; a step for each sigma."""
        from .adapters import AffineScore, EpsScore
        from .schedules import alphas_bar_of_sigmas

        return AffineScore(EpsScore(self.bare(channels), alphas_bar_of_sigmas(2 * sigmas.double()).flip(0)))


@dataclass(frozen=True)
class PreconditionedUnet(EpsUnet):
    """The U-Net as Karras et al. 2022 scale it, and weigh its loss."""

    data_std: float = 0.5  # that this scaling is made for

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """The U-Net in a Preconditioned."""
        from .adapters import Preconditioned

        return Preconditioned(self.bare(channels), data_std=self.data_std)


@dataclass(frozen=True)
class ResNetScore(Network):
    """The net of the manifold experiment, for one noise level."""

    title = "ScoreResNet"
    width: int = 12  # filters
    blocks: int = 3

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """A ScoreResNet for the only level of sigmas (1,)."""
        from .nets.resnet import ScoreResNet

        return ScoreResNet(channels, self.width, self.blocks, sigma=sigmas.item())


@dataclass(frozen=True)
class ConvVae(Network):
    """A convolutional VAE."""

    title = "VAE"
    n_latents: int = 16
    width: int = 32
    decoder: str = "gaussian"
    std: float | None = None  # of the Gaussian decoder; None: learned

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """A ConvVAE."""
        from .nets.vae import ConvVAE

        return ConvVAE(channels, size, self.n_latents, self.width, decoder=self.decoder, std=self.std)


@dataclass(frozen=True)
class PlainClassifier(Network):
    """Two convolutions and a linear layer."""

    title = "Classifier"
    width: int = 32

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """A Classifier."""
        from .nets.classifier import Classifier

        return Classifier(channels, size, self.width)


@dataclass(frozen=True)
class ResNetClassifier(Network):
    """Residual blocks, for photographs."""

    title = "ResNet"
    width: int = 24

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """A ResNet."""
        from .nets.classifier import ResNet

        return ResNet(channels, size, self.width)


@dataclass(frozen=True)
class TrunkClassifier(Network):
    """The first half of a U-Net, told the noise of the images."""

    title = "NoisyClassifier"
    width: int = 32

    def build(self, channels: int, size: int, sigmas: "Tensor") -> "nn.Module":
        """A NoisyClassifier."""
        from .nets.classifier import NoisyClassifier

        return NoisyClassifier(channels, size, self.width)


# ---- the noise ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ladder(Part):
    """Noise levels in geometric progression, each as likely as the next (Song & Ermon 2019)."""

    continuous: ClassVar[bool] = False  # any sigma between the first and the last is trained
    sigma_max: float = 1.0
    sigma_min: float = 0.01
    n_levels: int = 10

    def of_weights(self) -> dict[str, Any]:
        """The settings that weights depend on: the levels, and not how they are drawn."""
        return {field.name: getattr(self, field.name) for field in fields(Ladder)}

    def sigmas(self) -> "Tensor":
        """The levels, shape (n_levels,)."""
        from .schedules import geometric

        return geometric(self.sigma_max, self.sigma_min, self.n_levels)

    def shorter(self, n: int, kind: str | None = None) -> "Tensor":
        """n levels between its ends, (n,), for a net that takes them: geometric, or another kind of schedules.py."""
        from . import schedules

        return getattr(schedules, kind or "geometric")(self.sigma_max, self.sigma_min, n)

    def reported(self) -> "Tensor":
        """The levels that losses are sorted by in logs, (L,)."""
        return self.sigmas()

    def draw(self) -> "Draw":
        """How noise levels are drawn for a batch."""
        from .losses import random_sigmas

        return random_sigmas

    def objective(self, model: "nn.Module", unlabelled: float, generator: "torch.Generator") -> "Denoising":
        """Denoising, with the weight that suits the model's parametrisation, if it has one."""
        from .losses import Denoising

        weight = getattr(model, "loss_weight", None)
        return Denoising(
            self.sigmas(),
            draw=self.draw(),
            weight=weight,
            reported=self.reported(),
            unlabelled=unlabelled,
            generator=generator,
        )


@dataclass(frozen=True)
class DdpmLadder(Ladder):
    """The noise levels of DDPM's steps, each as likely as the next, for images in [0, 1] (Ho et al. 2020)."""

    continuous = True  # neighbours are so near that any sigma between the ends is one of them
    n_levels: int = 1000
    beta_1: float = 1e-4
    beta_n: float = 0.02

    def __post_init__(self) -> None:
        steps = (self.beta_n - self.beta_1) / max(1, self.n_levels - 1)  # the ends of sigmas(), without torch
        left = prod(1 - self.beta_1 - i * steps for i in range(self.n_levels))
        object.__setattr__(self, "sigma_max", sqrt((1 - left) / left) / 2)
        object.__setattr__(self, "sigma_min", sqrt(self.beta_1 / (1 - self.beta_1)) / 2)

    def of_weights(self) -> dict[str, Any]:
        """The schedule."""
        return vars(self).copy()

    def sigmas(self) -> "Tensor":
        """Half of sqrt((1 - alpha_bar) / alpha_bar), as images in [-1, 1] are twice as far apart; the largest first."""
        from .schedules import alphas_bar_of, ddpm_betas, sigmas_of_alphas_bar

        return (
            sigmas_of_alphas_bar(alphas_bar_of(ddpm_betas(self.n_levels, self.beta_1, self.beta_n))).flip(0) / 2
        ).float()

    def shorter(self, n: int, kind: str | None = None) -> "Tensor":
        """n of its own levels, evenly spaced in t (Song, Meng & Ermon 2021), unless a kind is asked for."""
        import torch

        if kind is not None:
            return super().shorter(n, kind)
        if n > self.n_levels:
            raise ValueError(f"DDPM has {self.n_levels} steps here: give at most so many levels, not {n}")
        return self.sigmas()[torch.linspace(0, self.n_levels - 1, n).round().long()]

    def reported(self) -> "Tensor":
        """Twenty levels in geometric progression."""
        from .schedules import geometric

        return geometric(self.sigma_max, self.sigma_min, min(20, self.n_levels))


@dataclass(frozen=True)
class LogUniform(Ladder):
    """Any sigma between the ends of the ladder, uniform in its logarithm."""

    continuous = True

    def draw(self) -> "Draw":
        """How noise levels are drawn for a batch."""
        from .losses import sigmas_between

        return sigmas_between


@dataclass(frozen=True)
class LogNormal(Ladder):
    """Any sigma between the ends of the ladder, with a Gaussian logarithm (Karras et al. 2022)."""

    continuous = True
    mean: float = -1.9  # of log sigma: P_mean -1.2 for images in [-1, 1] is this for [0, 1]
    std: float = 1.2

    def draw(self) -> "Draw":
        """How noise levels are drawn for a batch."""
        from .losses import log_normal_sigmas

        return partial(log_normal_sigmas, mean=self.mean, std=self.std)


# ---- the optimisation, and sampling -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optimisation(Part):
    """The batch size, and the settings of `train`."""

    batch_size: int = 128
    n_steps: int = 200_000
    lr: float = 1e-3
    weight_decay: float = 0.0  # none in the papers
    ema: float | None = None  # the paper keeps none; NCSNv2 found it to help
    ema_power: float | None = None  # a longer average the longer the run, instead of ema
    warmup: int = 0  # steps in which the learning rate rises
    cooldown: int | None = 0  # last steps, in which it falls to zero; None: it falls from the first step on
    bf16: bool = False  # where the device has instructions for it; it is slower than float32 elsewhere

    def training(
        self, model: "nn.Module", batches: "Iterator[Batch]", objective: "Objective", compiled: bool | str
    ) -> "Training":
        """Training, ready to be iterated over."""
        from .devices import device_of
        from .training import train

        settings = {name: value for name, value in vars(self).items() if name != "batch_size"}
        settings["cooldown"] = self.n_steps if self.cooldown is None else self.cooldown
        settings["bf16"] = self.in_bf16(device_of(model))
        return train(model, batches, objective=objective, compiled=compiled, **settings)

    def in_bf16(self, device: Device) -> bool:
        """Whether nets are run in bfloat16 on this device: as asked, where it has instructions for it."""
        from .devices import computes_bf16

        return self.bf16 and computes_bf16(str(device))


@dataclass(frozen=True)
class Sampling(Part):
    """Annealed Langevin dynamics as a net is sampled with it unless told otherwise."""

    eps: float  # x + alpha/2 s + sqrt(alpha) z, alpha = eps at the last level
    n_steps_each: int
    denoising: bool = True
