"""Nets that were trained before: those that ship with the package, files of weights, and checkpoints of runs.

Weights that ship are safetensors, which hold nothing but numbers and names, in float16; beside each lies a model card.
Classifiers that judge samples are kept in the same way. This file does NOT train or sample.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from .checkpoints import CheckpointDamaged, Folder, load
from .datasets import DATASETS
from .devices import device_of
from .errors import first_line
from .files import write_whole
from .kinds import NOT_KNOWN, SAFETENSORS, kind_of
from .nets.classifier import Classifier, NoisyClassifier, ResNet
from .nets.vae import ConvVAE
from .parts import Sampling
from .recipes import GuideRecipe, JudgeRecipe, Recipe, ScoreRecipe, VaeRecipe, from_json

WEIGHTS = Path(__file__).parent / "weights"
KIND = "ncsn_edu weights 2"
JUDGE = "judge_"  # begins the names of classifiers that judge
GUIDE = "guide_"  # begins the names of classifiers of noisy images, which guide
VAE = "vae_"  # begins the names of variational autoencoders
R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Trained:
    """A score network with what is needed to use it."""

    score: nn.Module  # (x (B, *shape), sigma) -> score, gradients off
    recipe: ScoreRecipe
    shape: tuple[int, int, int]  # of an image: C, H, W
    step: int  # optimiser steps behind it

    @property
    def sigmas(self) -> Tensor:
        """The noise levels that it was trained at, (L,)."""
        return self.recipe.sigmas()

    @property
    def sampling(self) -> Sampling:
        """Settings that make good samples in little time."""
        return self.recipe.sampling

    def start(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n images of uniform noise, (n, *shape): where annealed Langevin dynamics starts (Song & Ermon 2019)."""
        return torch.rand(n, *self.shape, generator=generator, device=device_of(self.score))


@dataclass(frozen=True)
class TrainedVae:
    """A variational autoencoder with what is needed to use it. It is no score: it has samples, and a bound of log p."""

    net: ConvVAE  # gradients off
    recipe: VaeRecipe
    shape: tuple[int, int, int]  # of an image: C, H, W
    step: int  # optimiser steps behind it


def shipped() -> list[str]:
    """Names of the score networks that come with the package."""
    return [name for name in _names() if not name.startswith((JUDGE, GUIDE, VAE))]


def shipped_vaes() -> list[str]:
    """Names of the variational autoencoders that come with the package."""
    return [name for name in _names() if name.startswith(VAE)]


def shipped_judges() -> list[str]:
    """Names of the data sets whose classifiers come with the package."""
    return [name.removeprefix(JUDGE) for name in _names() if name.startswith(JUDGE)]


def shipped_guides() -> list[str]:
    """Names of the data sets whose classifiers of noisy images come with the package."""
    return [name.removeprefix(GUIDE) for name in _names() if name.startswith(GUIDE)]


def _names() -> list[str]:
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def load_judge(data: str) -> Classifier | ResNet:
    """The classifier of a data set that comes with the package: images (B, C, H, W) in [0, 1] -> logits."""
    path = WEIGHTS / f"{JUDGE}{data}.safetensors"
    if not path.is_file():
        there = ", ".join(shipped_judges())
        raise FileNotFoundError(
            f"no classifier of {data!r} comes with the package, only of {there or 'none'}: `evaluate --features "
            "inception` needs none"
        )
    return cast(Classifier | ResNet, _built(_content(path), path, JudgeRecipe, "cpu")[0])


@dataclass(frozen=True)
class TrainedGuide:
    """A classifier of noisy images with what is needed to guide samplers by it."""

    classifier: NoisyClassifier  # (x (B, *shape), sigma) -> logits (B, n_classes), gradients of its weights off
    recipe: GuideRecipe
    shape: tuple[int, int, int]  # of an image: C, H, W
    step: int  # optimiser steps behind it


def load_guide(source: str | PathLike[str], *, device: torch.device | str = "cpu") -> TrainedGuide:
    """A classifier of noisy images: of the data set of this name, or of a file or the folder of a run.

    Raises FileNotFoundError where there is none, ValueError for weights of another kind.
    """
    path = WEIGHTS / f"{GUIDE}{source}.safetensors" if source in DATASETS else _path(source)
    if source in DATASETS and not path.is_file():
        raise FileNotFoundError(
            f"no classifier of noisy {source} images comes with the package, only of {', '.join(shipped_guides())}"
        )
    net, recipe, shape, step = _built(_content(path), path, GuideRecipe, device)
    return TrainedGuide(cast(NoisyClassifier, net), recipe, shape, step)


def load_trained(source: str | PathLike[str], *, device: torch.device | str = "cpu") -> Trained:
    """A trained net: the name of shipped weights, a .safetensors or .ckpt file of ours, or the folder of a run.

    Of a checkpoint the moving average of the weights is taken where there is one. Raises FileNotFoundError where there
    is nothing, CheckpointDamaged for a file that is not whole, ValueError for one that holds no score of images.
    """
    found = load_any(source, device=device)
    if isinstance(found, TrainedVae):
        raise ValueError(f"{Path(source).stem} is a VAE, which has no score: give a score network, such as digits")
    return found


def load_any(source: str | PathLike[str], *, device: torch.device | str = "cpu") -> Trained | TrainedVae:
    """What images can be drawn from: a score network, or a variational autoencoder; otherwise as `load_trained`."""
    path = _path(source)
    content = _content(path)
    if isinstance(content.get("recipe"), Mapping) and content["recipe"].get("kind") == VaeRecipe.__name__:
        net, recipe, shape, step = _built(content, path, VaeRecipe, device)
        return TrainedVae(cast(ConvVAE, net), recipe, shape, step)
    return Trained(*_built(content, path, ScoreRecipe, device))


def _path(source: str | PathLike[str]) -> Path:
    """Of the weights that ship under this name; otherwise the source itself is one."""
    return WEIGHTS / f"{source}.safetensors" if source in _names() else Path(source)


def load_net(source: str | PathLike[str]) -> tuple[nn.Module, Recipe, int]:
    """A net of any recipe, the recipe, and its steps, from what `load_trained` takes; names of classifiers too."""
    path = _path(source)
    net, recipe, _, step = _built(_content(path), path, Recipe, "cpu")
    return net, recipe, step


def save_weights(path: str | PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write the weights of a checkpoint's content, its moving average if it has one, to a .safetensors file.

    float32 is stored as float16, buffers such as the ladder as they are. All or nothing.
    """
    state = {name: value.cpu() for name, value in _state(content).items()}
    _built({**content, "ema": state}, Path(path), Recipe, "cpu")  # what cannot be read again is not written
    metadata = {"kind": KIND, "recipe": json.dumps(content["recipe"]), "step": str(content["step"])}
    small = {name: _half(name, value) if value.dtype == torch.float32 else value for name, value in state.items()}
    return write_whole(path, to_bytes(small, metadata | {"sha256": _digest(small, metadata)}))


def _content(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, or a file of weights alone."""
    if path.is_dir():
        return Folder(path).latest()
    if path.suffix == ".ckpt" or (path.is_file() and not _is_safetensors(path)):
        return load(path)
    if path.is_file():
        return _read(path)
    raise FileNotFoundError(
        f"there are no weights '{path}': give the folder of a run, a .safetensors or .ckpt file, or one of "
        f"the names that come with the package ({', '.join([*shipped(), *shipped_vaes()]) or 'none'})"
    )


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors" or kind_of(path) == SAFETENSORS


def _digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of all that the file says: the format itself has no checksum."""
    digest = hashlib.sha256(json.dumps(sorted(item for item in metadata.items() if item[0] != "sha256")).encode())
    for name in sorted(state):
        value = state[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _half(name: str, value: Tensor) -> Tensor:
    if name == "sigmas":  # a net must find its own levels again, to the last digit
        return value.contiguous()
    half = value.to(torch.float16)
    if not half.isfinite().all():
        raise ValueError(f"{name} has values that float16 cannot hold: were these weights trained to an end?")
    return half.contiguous()


def _read(path: Path) -> dict[str, Any]:
    """The recipe, the step and the weights of a .safetensors file."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, UnicodeDecodeError) as error:
        found = kind_of(path)
        if found not in (NOT_KNOWN, SAFETENSORS):
            advice = found.advice or "give a .safetensors file that save_weights wrote"
            raise CheckpointDamaged(f"{path} is {found.what}: {advice}") from error
        raise CheckpointDamaged(f"{path} is no whole safetensors file ({error}): get it again") from error
    if metadata.get("kind") != KIND:
        if metadata.get("kind", "").startswith("ncsn_edu"):
            raise ValueError(f"{path} was written by another version ({metadata['kind']}): make it again from its run")
        raise ValueError(f"{path} holds weights of something else: those written by save_weights name their recipe")
    if metadata.get("sha256") != _digest(state, metadata):
        raise CheckpointDamaged(f"{path} is damaged: its checksum is wrong. Get it again")
    try:
        return {"recipe": json.loads(metadata["recipe"]), "step": int(metadata["step"]), "ema": state}
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} does not say what net its weights are of ({error}): get it again") from error


def _state(content: Mapping[str, Any]) -> Mapping[str, Tensor]:
    return content["ema"] if content.get("ema") is not None else content["model"]


def _built(
    content: Mapping[str, Any], path: Path, kind: type[R], device: torch.device | str
) -> tuple[nn.Module, R, tuple[int, int, int], int]:
    """The net, its recipe, the shape of its images and its steps, for a recipe of this kind."""
    try:
        recipe = from_json(content["recipe"])
        if not isinstance(recipe, kind):
            raise ValueError(f"it is a {recipe.title}")
        shape = DATASETS[recipe.data].shape
        net = recipe.build(shape[0], shape[1])
        state = _state(content).items()
        net.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in state})
        step = int(content["step"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no {kind.title} of images as this version makes them: {first_line(error)}"
        ) from error
    return net.eval().requires_grad_(False).to(device), recipe, shape, step
