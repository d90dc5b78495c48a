"""Checkpoints: written whole or not at all, verified when read; and the published NCSN and NCSNv2 weights.

A checkpoint is a line that names its kind, the SHA-256 of the rest, and what torch.save makes of tensors, numbers and
names. Reading one runs no code that it may hold. This file does NOT train; train.py says what is kept.
"""

import hashlib
import io
import json
import math
import pickle
import platform
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .files import link_whole, write_whole
from .nets.ncsn import NCSN
from .nets.ncsnv2 import NCSNv2
from .schedules import geometric

MAGIC = b"ncsn_edu checkpoint 1\n"


class CheckpointDamaged(ValueError):
    """The file is not the checkpoint that was written: cut short, changed, or something else."""


def save(path: str | PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write content (tensors, numbers, strings, in dicts and lists) to path. Whatever happens, path is never half.

    A file that was there is replaced at the very end. Adds the versions that wrote it. Raises OSError where the disk
    is full or the folder not writable, and leaves nothing behind.
    """
    buffer = io.BytesIO()
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    torch.save({**content, "versions": versions}, buffer)
    return write_whole(path, MAGIC, hashlib.sha256(buffer.getbuffer()).digest(), buffer.getbuffer())


def load(path: str | PathLike[str], *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What was saved. Raises FileNotFoundError, and CheckpointDamaged for anything but a whole checkpoint."""
    data = Path(path).read_bytes()
    body = data[len(MAGIC) + 32 :]
    if not data.startswith(MAGIC):
        raise CheckpointDamaged(f"{path} is no checkpoint of ncsn_edu: published weights are read by load_official")
    if hashlib.sha256(body).digest() != data[len(MAGIC) : len(MAGIC) + 32]:
        raise CheckpointDamaged(
            f"{path} is damaged: its checksum is wrong. Delete it, and go on from the checkpoint before it"
        )
    return _tensors(io.BytesIO(body), path, device)


def _tensors(file: io.BytesIO | str | PathLike[str], path: Any, device: torch.device | str = "cpu") -> Any:
    try:
        return torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointDamaged(
            f"{path} holds more than tensors, numbers and names, perhaps code, and is not read"
        ) from error
    except RuntimeError as error:  # what torch.load says of a file that is cut short
        raise CheckpointDamaged(f"{path} cannot be read: {error}") from error


class Folder:
    """The checkpoints of one run: `step-*.ckpt`, of which the last `keep` stay, and `best.ckpt`, one of them by name.

    `best.json` says the loss of the best, so that a save reads no checkpoint.
    """

    def __init__(self, path: str | PathLike[str], *, keep: int = 2) -> None:
        self.path, self.keep = Path(path), keep

    def save(self, content: Mapping[str, Any], *, loss: float) -> Path:
        """Save content, which holds its `step`; as the best too if no loss was lower. Then drop the oldest.

        Only one process may save into a folder; others may read.
        """
        for left in self.path.glob(".*.tmp"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        path = save(self.path / f"step-{content['step']:09d}.ckpt", {**content, "loss": loss})
        if loss < self._lowest():
            link_whole(self.path / "best.ckpt", path)
            about = {"step": int(content["step"]), "loss": float(loss), "bytes": path.stat().st_size}
            write_whole(self.path / "best.json", json.dumps(about).encode())
        for old in self.steps()[self.keep :]:
            old.unlink()
        return path

    def _lowest(self) -> float:
        """The loss of the best checkpoint; infinite where there is none that has the size it was written with."""
        try:
            about = json.loads((self.path / "best.json").read_text(encoding="utf-8"))
            whole = (self.path / "best.ckpt").stat().st_size == about["bytes"]
            return float(about["loss"]) if whole else math.inf
        except (OSError, ValueError, KeyError, TypeError):
            return math.inf

    def steps(self) -> list[Path]:
        """The checkpoints there are, newest first."""
        return sorted(self.path.glob("step-*.ckpt"), reverse=True)

    def latest(self) -> dict[str, Any]:
        """The newest checkpoint that is whole. Raises FileNotFoundError where there is none."""
        for path in self.steps():
            try:
                return load(path)
            except CheckpointDamaged as error:
                print(error)
        raise FileNotFoundError(f"there is no checkpoint to go on from in {self.path}: start without --resume")


# Published name -> name here, tried in order on what stands behind `module.`.
RENAMES = [
    (r"begin_conv\.", "begin."),
    (r"end_conv\.", "end."),
    (r"normalizer\.", "norm."),
    (r"res(\d)\.(\d)\.normalize(\d)\.", r"stages.<\1>.\2.norm\3."),
    (r"res(\d)\.", r"stages.<\1>."),
    (r"refine(\d)\.adapt_convs\.(\d)\.(\d)_(\d)_(norm|conv)\.", r"refine.<\1>.adapt.\2.units.<\3>.<\4>.\5."),
    (r"refine(\d)\.output_convs\.(\d)_(\d)_(norm|conv)\.", r"refine.<\1>.output.units.<\2>.<\3>.\4."),
    (r"refine(\d)\.msf\.(norm|conv)s\.(\d)\.", r"refine.<\1>.fuse.branches.\3.\2."),
    (r"refine(\d)\.crp\.", r"refine.<\1>.pool."),
]


def load_official(source: str | PathLike[str] | Mapping[str, Any] | list[Any], image_size: int = 32) -> NCSN | NCSNv2:
    """The net of a published checkpoint: a .pth file, its content, or a state dict, with or without `module.`.

    A list is [weights, optimiser, ...]; the weights of NCSNv2 bring their `sigmas`, those of NCSN the paper's ladder
    of 1 to 0.01. Channels and width are read off the shapes. Unpickles nothing but tensors.
    """
    if isinstance(source, (str, PathLike)):
        source = _tensors(source, source)
    state = source[0] if isinstance(source, list) else source
    state = {name.removeprefix("module."): torch.as_tensor(value) for name, value in state.items()}
    if "begin_conv.weight" not in state:
        raise ValueError(
            "this is no published NCSN or NCSNv2 checkpoint: there is no begin_conv.weight among "
            f"{', '.join(list(state)[:3]) or 'its names, as there are none'}"
        )
    width, channels = state["begin_conv.weight"].shape[:2]
    if "sigmas" in state:
        net: NCSN | NCSNv2 = NCSNv2(channels, width, state.pop("sigmas"), image_size)
    else:
        n_levels = len(state["normalizer.embed.weight"])
        net = NCSN(channels, width, geometric(1.0, 0.01, n_levels), image_size)
    net.net.load_state_dict(_renamed(state))
    return net.eval()


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for pattern, ours in RENAMES:
            new, found = re.subn(rf"^{pattern}", ours, name)
            if found:
                break
        new = re.sub(r"<(\d)>", lambda digit: str(int(digit[1]) - 1), new)  # they count these from 1
        if new.endswith(".embed.weight"):  # (L, 3 C): gamma, alpha, beta side by side
            parts = zip(("gamma", "alpha", "beta"), value.chunk(3, dim=1), strict=True)
            renamed |= {new.replace("embed.weight", part): chunk for part, chunk in parts}
        else:
            renamed[new] = value
    return renamed
