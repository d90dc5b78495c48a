"""Nets that were trained before: those that ship with the package, files of weights, and checkpoints of runs.

Weights that ship are safetensors, which hold nothing but numbers and names, in float16; beside each lies a model card.
This file does NOT train or sample.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from . import recipes
from .checkpoints import CheckpointDamaged, Folder, load
from .data import SHAPES
from .files import write_whole
from .recipes import Images, Sampling

WEIGHTS = Path(__file__).parent / "weights"
KIND = "ncsn_edu weights 1"


@dataclass(frozen=True)
class Trained:
    """A score network with what is needed to use it."""

    score: nn.Module  # (x (B, *shape), sigma) -> score, gradients off
    recipe: Images
    shape: tuple[int, int, int]  # of an image: C, H, W
    step: int  # optimiser steps behind it

    @property
    def sigmas(self) -> Tensor:
        """The noise levels that it was trained at, (L,)."""
        return recipes.ladder(self.recipe)

    @property
    def sampling(self) -> Sampling:
        """Settings that make good samples in little time."""
        return recipes.sampling(self.recipe)

    def start(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n images of uniform noise, (n, *shape): where annealed Langevin dynamics starts (Song & Ermon 2019)."""
        device = next(self.score.parameters()).device
        return torch.rand(n, *self.shape, generator=generator, device=device)


def shipped() -> list[str]:
    """Names of the weights that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def load_trained(source: str | PathLike[str], *, device: torch.device | str = "cpu") -> Trained:
    """A trained net: the name of shipped weights, a .safetensors or .ckpt file of ours, or the folder of a run.

    Of a checkpoint the moving average of the weights is taken where there is one. Raises FileNotFoundError where there
    is nothing, CheckpointDamaged for a file that is not whole, ValueError for one that holds no score of images.
    """
    path = WEIGHTS / f"{source}.safetensors" if source in shipped() else Path(source)
    if path.is_dir():
        content = Folder(path).latest()
    elif path.suffix == ".ckpt" or (path.is_file() and path.suffix != ".safetensors"):
        content = load(path)
    elif path.is_file():
        content = _read(path)
    else:
        raise FileNotFoundError(
            f"there are no weights {str(source)!r}: give the folder of a run, a .safetensors or .ckpt file, or one of "
            f"the names that come with the package ({', '.join(shipped()) or 'none'})"
        )
    return _built(content, path, device)


def save_weights(path: str | PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write the weights of a checkpoint's content, its moving average if it has one, to a .safetensors file.

    float32 is stored as float16, buffers such as the ladder as they are. All or nothing.
    """
    state, parameters = _state(content), _built(content, Path(path), "cpu").score.state_dict()
    small = {name: _half(name, value) if name != "sigmas" else value.contiguous() for name, value in state.items()}
    assert small.keys() == parameters.keys()
    metadata = {"kind": KIND, "recipe": json.dumps(content["recipe"]), "step": str(content["step"])}
    return write_whole(path, to_bytes(small, metadata))


def _half(name: str, value: Tensor) -> Tensor:
    half = value.to(torch.float16)
    if not half.isfinite().all():
        raise ValueError(f"{name} has values that float16 cannot hold: were these weights trained to an end?")
    return half.contiguous()


def _read(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointDamaged(f"{path} is no whole safetensors file ({error}): get it again") from error
    if metadata.get("kind") != KIND:
        raise ValueError(f"{path} holds weights of something else: those written by save_weights name their recipe")
    return {"recipe": json.loads(metadata["recipe"]), "step": int(metadata["step"]), "ema": state}


def _state(content: Mapping[str, Any]) -> Mapping[str, Tensor]:
    return content["ema"] if content.get("ema") is not None else content["model"]


def _built(content: Mapping[str, Any], path: Path, device: torch.device | str) -> Trained:
    try:
        recipe = Images(**content["recipe"])
        shape = SHAPES[recipe.data]
        net = recipes.network(recipe, shape[0], shape[1])
        net.load_state_dict({name: value.float() for name, value in _state(content).items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no score network of images as this version makes them: {str(error).splitlines()[0]}"
        ) from error
    return Trained(net.eval().requires_grad_(False).to(device), recipe, shape, content["step"])
