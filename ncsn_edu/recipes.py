"""Experiments of the papers: what each one sets, at three scales.

smoke   shows in seconds that everything runs; what it learns is of no interest
laptop  shows the claim, in minutes or hours
paper   what the paper set; days without a GPU

A recipe is made of the parts in parts.py. torch is imported inside functions only, so that the command line can list
recipes at once. This file does NOT load data, choose a device or write files: runs.py does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import count
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .parts import (
    ConvVae,
    DdpmLadder,
    DdpmUnet,
    Device,
    EpsUnet,
    Ladder,
    LogNormal,
    LogUniform,
    Ncsn,
    NcsnV2,
    Network,
    Optimisation,
    Part,
    PlainClassifier,
    PreconditionedUnet,
    ResNetClassifier,
    ResNetScore,
    Sampling,
    ScoreNetwork,
    TrunkClassifier,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .training import Batch, Objective, Training

R = TypeVar("R", bound="Recipe")


# ---- recipes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe(Part):
    """What one run sets. Subclasses say in `learned` what is learned from what."""

    log_every: ClassVar[int] = 10  # steps from one line of the log to the next
    title: ClassVar[str] = "net"  # what comes out, in prose
    may_diverge: ClassVar[bool] = False  # a loss that overflows is a result, not a failure
    by_parts: ClassVar[bool] = False  # the loss asks for parts of the net, which is neither shared nor compiled then
    n_levels: ClassVar[int] = 0  # of its noise, if it has a ladder

    data: str
    network: Network
    optimisation: Optimisation

    def training(
        self,
        images: "Tensor",
        labels: "Tensor | None" = None,
        *,
        seed: int = 0,
        device: Device = "cpu",
        compiled: bool | str = False,
    ) -> "Training":
        """Training on uint8 images (N, C, H, W), with labels (N,) where they are needed; all draws follow seed.

        In a process group every process takes its share of each batch, and draws its own images and noise. Weights are
        laid out with the channels last where bfloat16 is asked for, as convolutions are fastest then: on a processor
        those of wide nets also in float32, on an old card not. The global random state is left as it was.
        """
        import torch

        from . import distributed

        rank, n_processes = distributed.rank(), distributed.world_size()
        size = self.optimisation.batch_size
        if size % n_processes:
            raise ValueError(f"a batch of {size} cannot be shared by {n_processes} processes: change one")
        if self.by_parts and (n_processes > 1 or compiled):
            raise ValueError(
                f"a {self.title} is trained by its encoder and its decoder, each by itself, and neither by several "
                "processes nor compiled: start it without torchrun, and leave out --compile"
            )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # and not those of GPUs, which would stay changed
            model = self.build(images.shape[1], images.shape[-1]).to(device)
        if self.optimisation.in_bf16(device) or (self.optimisation.bf16 and str(device) == "cpu"):
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        batches, objective = self.learned(model, images, labels, size // n_processes, seed + 1_000_003 * rank, device)
        return self.optimisation.training(model, batches, objective, compiled)

    def build(self, channels: int, size: int) -> "nn.Module":
        """The net for images (B, channels, size, size), with fresh weights from the global random state."""
        return self.network.build(channels, size, self.sigmas())

    def of_weights(self) -> dict[str, Any]:
        """The settings that weights depend on."""
        return {"recipe": type(self).__name__, "data": self.data, **self.network.of_weights()}

    def sigmas(self) -> "Tensor":
        """The noise levels, shape (L,); none here."""
        import torch

        return torch.empty(0)

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Batches of `size` rows for this process, and the objective."""
        raise NotImplementedError

    def runs(self: R) -> dict[str, R]:
        """The runs that the experiment is made of, by the name of their folder; one alone has no folder of its own."""
        return {"": self}

    def report(self, folder: Path, about: Mapping[str, Any]) -> str:
        """What the runs have shown, also written into the folder with `about`; usually nothing."""
        return ""


@dataclass(frozen=True)
class NoisyRecipe(Recipe):
    """A net that is told the noise of its images, over a ladder of noise levels."""

    noise: Ladder = Ladder()  # noqa: RUF009  (it is frozen)

    @property
    def n_levels(self) -> int:  # type: ignore[override]  # of a class with a constant
        """The number of noise levels that its log tells apart."""
        return len(self.noise.reported())

    def of_weights(self) -> dict[str, Any]:
        """The settings that weights depend on."""
        return super().of_weights() | self.noise.of_weights()

    def sigmas(self) -> "Tensor":
        """The noise levels, shape (L,)."""
        return self.noise.sigmas()


@dataclass(frozen=True)
class ScoreRecipe(NoisyRecipe):
    """Denoising score matching on images over a ladder of noise levels (Song & Ermon 2019, section 5)."""

    title = "score network"

    network: ScoreNetwork
    flip: bool = False
    unlabelled: float = 0.2  # the share of images whose class the net is not told, where it is told classes

    @property
    def sampling(self) -> Sampling:
        """Ten steps a level on 8x8 pixels, about four hundred in all on larger images, each of alpha/2 = 0.3 sigma^2.

        On digits that is better than the paper's hundred of 0.1 sigma^2. Larger images need more steps to agree on
        what they show; larger steps would leave too much noise for the next level, and make strokes too bold.
        """
        from .datasets import DATASETS

        few, n = DATASETS[self.data].shape[-1] <= 8 and self.noise.n_levels <= 40, self.noise.n_levels
        each = 10 if few else max(1 if n > 500 else 5, 400 // n)
        return Sampling(eps=0.6 * self.noise.sigma_min**2, n_steps_each=each)

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Dequantised images, with their classes if the net is told them, at random noise levels."""
        import torch

        from .datasets import batches

        told = self.network.n_classes > 0
        if told and labels is None:
            raise ValueError("this recipe's net is told the class of each image: give the labels of the images")
        generator = torch.Generator(device).manual_seed(seed % 2**32)  # it reads 32 bits
        stream = batches(
            images, size, flip=self.flip, generator=generator, device=device, labels=labels if told else None
        )
        return stream, self.noise.objective(model, self.unlabelled, generator)


@dataclass(frozen=True)
class ManifoldRecipe(Recipe):
    """Sliced score matching on images as they are, and on images with invisible noise (Song & Ermon 2019, Fig. 1)."""

    log_every = 1
    may_diverge = True

    sigma: float = 0.01  # standard deviation of the noise: the paper's N(0, 0.0001); 0 for the images as they are
    n_projections: int = 1
    distribution: str = "gaussian"  # of the projections, as in the published code
    dequantize: bool = False  # the published code trains on k/255 here; dequantised images fill the space a little

    def sigmas(self) -> "Tensor":
        """The only noise level, shape (1,)."""
        import torch

        return torch.tensor([self.sigma], dtype=torch.float64)  # the very number that the objective has

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Images, and the variance-reduced sliced loss of them with the noise.

        Runs of one seed start from the same net, and see the same images and the same directions in the same order:
        they differ by the noise alone.
        """
        import torch

        from .datasets import batches
        from .losses import Slicing

        # One stream each: of one seed, z and v would be made from the same numbers.
        order, noise, slices = (torch.Generator(device).manual_seed((3 * seed + i) % 2**32) for i in range(3))
        stream = batches(images, size, dequantize=self.dequantize, generator=order, device=device)
        n, distribution = self.n_projections, self.distribution
        return stream, Slicing(self.sigma, n_projections=n, distribution=distribution, noise=noise, slices=slices)

    def runs(self) -> "dict[str, ManifoldRecipe]":
        """On the images as they are, and on the noised ones."""
        return {"clean": replace(self, sigma=0.0), "noised": self}

    def report(self, folder: Path, about: Mapping[str, Any]) -> str:
        """The table of both runs; losses.png and summary.json are written."""
        from .datasets import DATASETS
        from .manifold import report

        noise = {name: part.sigma for name, part in self.runs().items()}
        return report(folder, noise, self.sigma, prod(DATASETS[self.data].shape), {**about, "settings": settings(self)})


@dataclass(frozen=True)
class VaeRecipe(Recipe):
    """A variational autoencoder, trained on the bound (Kingma & Welling 2014)."""

    title = "VAE"
    by_parts = True

    network: ConvVae
    beta: float = 1.0  # of the KL; 1 is the bound

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Dequantised images and the bound of a density; or greys as probabilities of white, drawn anew each time."""
        import torch

        from .datasets import batches
        from .vae import BoundObjective

        generator = torch.Generator(device).manual_seed(seed % 2**32)
        binary = self.network.decoder == "bernoulli"
        stream = batches(images, size, dequantize=not binary, generator=generator, device=device)
        return stream, BoundObjective(beta=self.beta, binarise=binary, generator=generator)


@dataclass(frozen=True)
class JudgeRecipe(Recipe):
    """A classifier of a data set, trained on its images, each time a little changed."""

    title = "classifier"

    photographs: bool = False  # they are flipped, shifted and covered; digits may be turned and stretched a little

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Random images with their classes, and the cross-entropy of them, augmented."""
        import torch

        from .datasets.augment import distort, vary_photographs
        from .losses import Classification

        generator = torch.Generator(device).manual_seed(seed % 2**32)
        augment = vary_photographs if self.photographs else distort
        return _labelled(images, labels, size, generator), Classification(augment, generator)


def _labelled(images: "Tensor", labels: "Tensor | None", size: int, generator: "torch.Generator") -> "Iterator[Batch]":
    """Random images in [0, 1] with their classes, without end, on the device of the generator."""
    import torch

    if labels is None:
        raise ValueError("a classifier learns the class of each image: give the labels of the images")
    device = generator.device
    x, label = images.to(device), labels.to(device)
    rows = (torch.randint(len(x), (size,), generator=generator, device=device) for _ in count())
    return ((x[i].float() / 255, label[i]) for i in rows)


@dataclass(frozen=True)
class GuideRecipe(NoisyRecipe):
    """A classifier of noisy images, to guide samplers (Song et al. 2021, appendix I)."""

    title = "noisy classifier"

    def learned(
        self, model: "nn.Module", images: "Tensor", labels: "Tensor | None", size: int, seed: int, device: Device
    ) -> "tuple[Iterator[Batch], Objective]":
        """Random images with their classes, and the cross-entropy of them with random noise."""
        import torch

        from .losses import NoisyClassification

        generator = torch.Generator(device).manual_seed(seed % 2**32)
        objective = NoisyClassification(self.sigmas(), draw=self.noise.draw(), generator=generator)
        return _labelled(images, labels, size, generator), objective


# ---- their settings, as text and as numbers ------------------------------------------------------------------------


def changed(recipe: R, **settings: Any) -> R:
    """The recipe with other settings, in whichever part they are. Raises ValueError for one that it does not have."""
    new: dict[str, Any] = {}
    left = dict(settings)
    for field in fields(recipe):
        part = getattr(recipe, field.name)
        if field.name in settings:
            new[field.name] = left.pop(field.name)
        elif is_dataclass(part):
            inside = {each.name: left.pop(each.name) for each in fields(part) if each.name in left}
            new[field.name] = replace(part, **inside)  # type: ignore[type-var]  # an instance, and no class
    if left:
        raise ValueError(f"this recipe has no setting {', '.join(left)}")
    return replace(recipe, **new)


def settings(recipe: Recipe) -> dict[str, Any]:
    """All settings by their names, and the kind of each part by the name of the part."""
    flat: dict[str, Any] = {"recipe": type(recipe).__name__}
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        more = {field.name: type(value).__name__, **vars(value)} if is_dataclass(value) else {field.name: value}
        if twice := flat.keys() & more.keys():
            raise ValueError(f"two parts of the recipe have a setting {', '.join(twice)}: rename one")
        flat |= more
    return flat


def to_json(part: Any) -> dict[str, Any]:
    """A recipe, or a part of one, as JSON can hold it."""
    values = ((field.name, getattr(part, field.name)) for field in fields(part))
    return {"kind": type(part).__name__} | {name: to_json(v) if is_dataclass(v) else v for name, v in values}


def from_json(content: Mapping[str, Any]) -> Any:
    """The recipe that `to_json` described. Raises ValueError, or TypeError for a setting of another version."""
    kind = str(content.get("kind"))
    if kind not in Part.kinds:
        raise ValueError(f"there is no recipe or part {kind!r} in this version")

    def value(found: Any) -> Any:
        return from_json(found) if isinstance(found, dict) else tuple(found) if isinstance(found, list) else found

    return Part.kinds[kind](**{name: value(found) for name, found in content.items() if name != "kind"})


# ---- the table ----------------------------------------------------------------------------------------------------


def _scales(**scales: Recipe) -> Mapping[str, Recipe]:
    return MappingProxyType(scales)


def _steps(n_steps: int, batch_size: int = 128, **settings: Any) -> Optimisation:
    return Optimisation(n_steps=n_steps, batch_size=batch_size, **settings)


_SMOKE = _steps(4, 8, ema=0.9)
# NCSN on photographs (Song & Ermon 2019, section 5 and appendix B), with an average of the weights.
_PHOTOGRAPHS = ScoreRecipe("cifar10", Ncsn(), _steps(200_000, ema=0.999), flip=True)
# NCSNv2 (Song & Ermon 2020, section 6): techniques 1, 2, 3 and 5 choose sigma_max, n_levels, the net and the average.
_V2 = Ladder(sigma_max=50.0, n_levels=232)
# The same techniques on digits, whose largest distance is 4.6: 21 levels share half of their mass.
_V2_DIGITS = Ladder(sigma_max=4.6, n_levels=21)
# The settings of Ho et al. 2020, appendix B, in a plainer U-Net: 27 million parameters for their 36, and attention at
# 8 x 8 and 4 x 4 pixels as well.
_DDPM = DdpmUnet(128, (1, 2, 2, 2), blocks=2, attention=3, dropout=0.1)
# A U-Net of 1.2 million parameters and 0.17 GFLOP an image, for any sigma: what two CPU cores can train in hours.
# sigma_max is large enough for a sampler without Langevin steps to start from pure noise.
_SMALL = PreconditionedUnet(16, (1, 3, 6, 6), attention=True)
_ANY = LogUniform(sigma_max=20.0, n_levels=20)
_SLOW: dict[str, Any] = {"lr": 2e-3, "warmup": 500, "cooldown": 5000}
# Its successor, 3.5 million parameters and 1.0 GFLOP an image, is told the class: a day of two CPU cores. Its layers
# are wide, as processors like them in bfloat16. The rate is constant and the average grows with the run, so that
# the weights are of use at any hour; the fall comes at the very end. Noise levels: Karras et al. 2022.
_CLASSES = PreconditionedUnet(64, (1, 2, 2, 2), attention=2, dropout=0.05, n_classes=10, data_std=0.25)
_KARRAS = LogNormal(sigma_max=20.0, n_levels=20)
_LONG: dict[str, Any] = {"bf16": True, "warmup": 500, "cooldown": 10_000}

# The noise that a classifier is to know, that of every net of digits; most is drawn where classes can be told.
_GUIDED = LogNormal(sigma_max=80.0, sigma_min=0.005, n_levels=20, mean=-0.3, std=1.5)

# For 8 x 8 digits within a notebook: a smaller batch, more steps.
MANIFOLD_DIGITS = ManifoldRecipe("digits", ResNetScore(16, 2), _steps(320, 16))

RECIPES: Mapping[str, Mapping[str, Recipe]] = MappingProxyType(
    {
        "manifold": _scales(
            smoke=ManifoldRecipe("digits", ResNetScore(4, 1), _steps(30, 16)),
            laptop=ManifoldRecipe("cifar10", ResNetScore(), _steps(240, 64)),
            paper=ManifoldRecipe("cifar10", ResNetScore(32, 5), _steps(50_000)),
        ),
        "digits": _scales(
            smoke=ScoreRecipe("digits", Ncsn(4), _steps(40, 16, ema=0.9)),
            laptop=ScoreRecipe("digits", Ncsn(24), _steps(7000, 64, ema=0.999)),
            paper=ScoreRecipe("digits", Ncsn(64), _steps(50_000, ema=0.999)),
        ),
        "digits_unet": _scales(
            smoke=ScoreRecipe("digits", EpsUnet(8), _steps(40, 16, ema=0.9)),
            laptop=ScoreRecipe("digits", EpsUnet(32), _steps(3000, ema=0.999)),
            paper=ScoreRecipe("digits", EpsUnet(64), _steps(20_000, ema=0.999)),
        ),
        "ncsnv2_digits": _scales(
            smoke=ScoreRecipe("digits", NcsnV2(4), _steps(40, 16, ema=0.9), _V2_DIGITS),
            laptop=ScoreRecipe("digits", NcsnV2(22), _steps(7000, 64, ema=0.999), _V2_DIGITS),
            paper=ScoreRecipe("digits", NcsnV2(64), _steps(50_000, lr=1e-4, ema=0.999), _V2_DIGITS),
        ),
        "ddpm_digits": _scales(
            smoke=ScoreRecipe("digits", DdpmUnet(8), _steps(40, 16, ema=0.9), DdpmLadder()),
            laptop=ScoreRecipe("digits", DdpmUnet(32), _steps(12_000, 64, ema=0.999, cooldown=3000), DdpmLadder()),
            paper=ScoreRecipe("digits", DdpmUnet(64), _steps(50_000, lr=2e-4, ema=0.9999), DdpmLadder()),
        ),
        "digits_classes": _scales(
            smoke=ScoreRecipe("digits", PreconditionedUnet(8, n_classes=10), _steps(40, 16, ema=0.9), _KARRAS),
            laptop=ScoreRecipe(
                "digits",
                PreconditionedUnet(32, dropout=0.1, n_classes=10),
                _steps(14_000, 64, ema=0.999, cooldown=3000),
                _KARRAS,
            ),
            paper=ScoreRecipe(
                "digits", PreconditionedUnet(64, dropout=0.1, n_classes=10), _steps(50_000, ema=0.9999), _KARRAS
            ),
        ),
        # Of 898 images a learned width of the decoder says 0.03 in the end, and the bound on others is lost.
        "vae_digits": _scales(
            smoke=VaeRecipe("digits", ConvVae(4, 8), _steps(40, 16)),
            laptop=VaeRecipe("digits", ConvVae(12, std=0.12), _steps(4000, 64, ema=0.995, cooldown=1000)),
        ),
        "mnist": _scales(
            smoke=ScoreRecipe("mnist", Ncsn(4), _SMOKE),
            laptop=ScoreRecipe("mnist", Ncsn(28), _steps(15_000, 32, ema=0.999, cooldown=2000)),
            paper=ScoreRecipe("mnist", Ncsn(64), _steps(200_000)),
        ),
        "ddpm_mnist": _scales(
            smoke=ScoreRecipe("mnist", DdpmUnet(8), _SMOKE, DdpmLadder()),
            laptop=ScoreRecipe(
                "mnist", DdpmUnet(32, (1, 2, 2)), _steps(16_000, 64, bf16=True, ema=0.999, cooldown=3000), DdpmLadder()
            ),
            paper=ScoreRecipe("mnist", DdpmUnet(64, (1, 2, 2)), _steps(200_000, lr=2e-4, ema=0.9999), DdpmLadder()),
        ),
        "vae_mnist": _scales(
            smoke=VaeRecipe("mnist", ConvVae(4, 8), _steps(4, 8)),
            laptop=VaeRecipe("mnist", ConvVae(16, 22), _steps(15_000, 64, bf16=True, ema=0.999, cooldown=5000)),
        ),
        "cifar10": _scales(
            smoke=ScoreRecipe("cifar10", Ncsn(4), _SMOKE, flip=True),
            laptop=ScoreRecipe("cifar10", Ncsn(32), _steps(5000, 64, ema=0.999), flip=True),
            paper=_PHOTOGRAPHS,
        ),
        # The same, narrow, with all the hours that two CPU cores have: 4.2 million parameters, 2.8 GFLOP an image.
        "cifar10_ncsn": _scales(
            smoke=ScoreRecipe("cifar10", Ncsn(4), replace(_SMOKE, warmup=1, cooldown=1, bf16=True), flip=True),
            laptop=ScoreRecipe("cifar10", Ncsn(48), _steps(200_000, 32, ema_power=6.94, **_LONG), flip=True),
            paper=_PHOTOGRAPHS,
        ),
        "cifar10_v2": _scales(
            smoke=ScoreRecipe("cifar10", NcsnV2(4), replace(_SMOKE, lr=1e-4), replace(_V2, n_levels=12), flip=True),
            laptop=ScoreRecipe("cifar10", NcsnV2(32), _steps(5000, 64, lr=1e-4, ema=0.999), _V2, flip=True),
            paper=ScoreRecipe("cifar10", NcsnV2(), _steps(300_000, lr=1e-4, ema=0.999), _V2, flip=True),
        ),
        "cifar10_small": _scales(
            smoke=ScoreRecipe(
                "cifar10", replace(_SMALL, width=4), replace(_SMOKE, lr=2e-3, warmup=1, cooldown=1), _ANY, flip=True
            ),
            laptop=ScoreRecipe("cifar10", _SMALL, _steps(20_000, 64, ema=0.9995, **_SLOW), _ANY, flip=True),
            paper=ScoreRecipe("cifar10", _SMALL, _steps(200_000, ema=0.9999, **_SLOW), _ANY, flip=True),
        ),
        "cifar10_classes": _scales(
            smoke=ScoreRecipe(
                "cifar10", replace(_CLASSES, width=8), replace(_SMOKE, warmup=1, cooldown=1, bf16=True), _KARRAS
            ),
            laptop=ScoreRecipe("cifar10", _CLASSES, _steps(150_000, 64, ema_power=6.94, **_LONG), _KARRAS),
            paper=ScoreRecipe("cifar10", _CLASSES, _steps(200_000, ema=0.9999, **_LONG), _KARRAS),
        ),
        "ddpm_cifar10": _scales(
            smoke=ScoreRecipe("cifar10", replace(_DDPM, width=8, blocks=1), _SMOKE, DdpmLadder(), flip=True),
            laptop=ScoreRecipe(
                "cifar10", replace(_DDPM, width=64, blocks=1), _steps(20_000, 64, ema=0.999), DdpmLadder(), flip=True
            ),
            paper=ScoreRecipe(
                "cifar10", _DDPM, _steps(800_000, lr=2e-4, ema=0.9999, warmup=5000), DdpmLadder(), flip=True
            ),
        ),
        "celeba": _scales(
            smoke=ScoreRecipe("celeba", Ncsn(4), _SMOKE, flip=True),
            laptop=ScoreRecipe("celeba", Ncsn(32), _steps(5000, 64, ema=0.999), flip=True),
            paper=ScoreRecipe("celeba", Ncsn(), _steps(200_000), flip=True),
        ),
        "judge_digits": _scales(
            smoke=JudgeRecipe("digits", PlainClassifier(4), _steps(10, 16)),
            laptop=JudgeRecipe("digits", PlainClassifier(), _steps(1500, 64, lr=2e-3, cooldown=None)),
        ),
        # Distorted digits, as the judge sees them, would have its gradient too small by half at large noise.
        "guide_digits": _scales(
            smoke=GuideRecipe("digits", TrunkClassifier(4), _steps(10, 16), _GUIDED),
            laptop=GuideRecipe(
                "digits", TrunkClassifier(), _steps(6000, 64, lr=2e-3, ema=0.999, cooldown=None), _GUIDED
            ),
        ),
        "judge_mnist": _scales(
            smoke=JudgeRecipe("mnist", PlainClassifier(4), _steps(4, 8)),
            laptop=JudgeRecipe("mnist", PlainClassifier(), _steps(3000, 64, lr=2e-3, cooldown=None)),
        ),
        "judge_cifar10": _scales(
            smoke=JudgeRecipe("cifar10", ResNetClassifier(4), _steps(4, 8), photographs=True),
            laptop=JudgeRecipe(
                "cifar10",
                ResNetClassifier(40),
                _steps(14_000, lr=3e-3, weight_decay=0.1, warmup=700, cooldown=None, bf16=True),
                photographs=True,
            ),
        ),
    }
)
