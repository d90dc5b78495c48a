"""Checkpoints: written whole or not at all, verified when read; and the published NCSN and NCSNv2 weights.

A checkpoint is a file of torch.save with tensors, numbers and names: `torch.load(path, weights_only=True)` opens it.
It is a zip archive, whose comment, at the very end, is the SHA-256 of all that stands before. Reading a checkpoint runs
no code that it may hold. This file does NOT train; train.py says what is kept.
"""

import errno
import hashlib
import io
import json
import math
import os
import pickle
import platform
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import pickles
from .files import check_there, link_whole, write_whole
from .kinds import CHECKPOINT, COMMENT_SIZE, MARK, NOT_KNOWN, OLD_TORCH, PICKLE, PROGRAM, TORCH, Kind, describe, kind_of
from .nets.ncsn import NCSN
from .nets.ncsnv2 import NCSNv2
from .schedules import geometric


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
    archive = buffer.getbuffer()
    archive[-2:] = COMMENT_SIZE.to_bytes(2, "little")  # a zip archive ends with the length of its comment
    return write_whole(path, archive, MARK, hashlib.sha256(archive).hexdigest().encode())


def load(path: str | PathLike[str], *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What was saved. Raises FileNotFoundError, and CheckpointDamaged for anything but a whole checkpoint."""
    _check_file(path)
    data = Path(path).read_bytes()
    archive, comment = memoryview(data)[:-COMMENT_SIZE], data[-COMMENT_SIZE:]
    if not comment.startswith(MARK):
        advice = "give a .ckpt file of a run; published weights are read by load_official"
        other = describe(path, "is no checkpoint of ncsn_edu", advice)
        last = "; if it is a checkpoint of a run, it is cut short: delete it, and resume from the one before it"
        raise CheckpointDamaged(other + last * data.startswith(b"PK"))  # as every zip archive does
    if comment != MARK + hashlib.sha256(archive).hexdigest().encode():
        raise CheckpointDamaged(
            f"{path} is damaged: its checksum is wrong. Delete it, and resume from the one before it"
        )
    return _tensors(io.BytesIO(data), path, NOT_KNOWN, device)


def _check_file(path: str | PathLike[str]) -> None:
    """Raise FileNotFoundError, and CheckpointDamaged for a folder or a pipe, which could keep its reader waiting."""
    check_there(path)
    if not Path(path).is_file():
        raise CheckpointDamaged(describe(path, "is no file"))


def _tensors(file: io.BytesIO | str | PathLike[str], path: Any, kind: Kind, device: torch.device | str = "cpu") -> Any:
    """What torch.save wrote; NumPy arrays as pickles.Array. No code that it may hold is run, and no name imported.

    path and kind are for the error of what cannot be read.
    """
    try:
        with (
            torch.serialization.safe_globals([(stand_in, name) for name, stand_in in pickles.STAND_INS.items()]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of newer protocols of pickle, and of TorchScript
            try:
                return torch.load(file, map_location=device, weights_only=True)
            except pickle.UnpicklingError as error:
                if "Unsupported operand" not in str(error):
                    raise
                return torch.load(_older(file), map_location=device, weights_only=True)
    except Exception as error:  # of a file that is no checkpoint, or is cut short, torch.load raises nearly anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is a seek to where a cut file has nothing
            raise
        raise CheckpointDamaged(_why_unread(path, kind, error)) from error


def _older(file: io.BytesIO | str | PathLike[str]) -> io.BytesIO:
    """The same file with its pickles in protocol 2, whichever they are in: a zip archive, or pickles in a row."""
    data = file.getvalue() if isinstance(file, io.BytesIO) else Path(file).read_bytes()
    new = io.BytesIO()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(new, "w") as target:
            for name in old.namelist():
                content = old.read(name)
                target.writestr(name, pickles.as_protocol_2(content)[0] if name.endswith("/data.pkl") else content)
    else:
        place = 0
        for _ in range(5):  # magic number, version, machine, what was saved, keys; then the numbers
            content, place = pickles.as_protocol_2(data, place)
            new.write(content)
        new.write(data[place:])
    new.seek(0)
    return new


def _why_unread(path: Any, kind: Kind, error: Exception) -> str:
    """In one line, with what to do."""
    if isinstance(error, MemoryError):
        return f"{path} does not fit into memory"
    if "cut short" in kind.what:
        return f"{path} is {kind.what}: {kind.advice}"
    if kind == PROGRAM:
        return f"{path} is {kind.what}, which is code: save its state_dict() with torch.save, and load that"
    if kind not in (NOT_KNOWN, TORCH, OLD_TORCH, PICKLE):
        return f"{path} is {kind.what}, no PyTorch checkpoint: {kind.advice or 'give the .pth file of the weights'}"
    named = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL|it names) ([\w.]+)", str(error))
    if named and not (kind.what and _ends_in(path, named[1].rpartition(".")[2])):
        return (
            f"{path} holds more than tensors, numbers and names: {named[1]}, perhaps code, and is not read. Where it "
            "comes from, save the state_dict() alone with torch.save"
        )
    if isinstance(error, pickle.UnpicklingError) and not kind.what:
        return f"{path} is no PyTorch checkpoint: give the .pth file of the weights"
    if kind == PICKLE:
        return f"{path} is a Python pickle that torch.save did not write: save the state_dict() with torch.save"
    reason = (
        str(error).partition(". ")[0].splitlines()[0] if str(error) else "it ends too soon"
    )  # torch's advice is long
    return f"{path} cannot be read, perhaps as it was cut short ({reason}): get it again"


def _ends_in(path: str | PathLike[str], name: str) -> bool:
    """Whether the file was cut short within this name, which torch reads without its last letter."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - len(name) - 1))
        return file.read()[: len(name)] == name.encode()


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


def load_official(
    source: str | PathLike[str] | Mapping[str, Any] | Sequence[Any],
    image_size: int = 32,
    *,
    ema: bool = True,
    sigmas: Tensor | None = None,
) -> NCSN | NCSNv2:
    """The net of a published checkpoint: a file that torch.save wrote, its content, or a state dict.

    The weights may lie in a list, as NCSN's and NCSNv2's trainers write them, or in a dict ("model", "state_dict",
    "ema", ...), with or without `module.` or another prefix, in any precision, as tensors or NumPy arrays.

    ema     where the file has a moving average of the weights too, take that, as the publishers' samplers do; with
            False the weights as trained. A printed line says which was taken, where there are both.
    sigmas  noise levels (L,), decreasing. Unless given, those of the file; else, for NCSN, the paper's ladder from 1
            to 0.01, with as many levels as its norms know.

    Channels and width are read off the shapes. Unpickles nothing but tensors, arrays and numbers. Raises OSError,
    CheckpointDamaged for a file that is no whole checkpoint, ValueError for one of another net.
    """
    name = "this"
    if isinstance(source, (str, PathLike)):
        _check_file(source)
        if (kind := kind_of(source)) == CHECKPOINT:
            raise CheckpointDamaged(f"{source} is {kind.what}: load_trained reads it")
        name, source = str(source), _tensors(source, source, kind)
    found = list(_weights(source))
    if found:
        found += [_Weights(_named(values, found[0].state), True, "the list") for values in _shadows(source)]
    if not found:
        names = ", ".join(map(str, list(source)[:3])) if isinstance(source, Mapping) else ""
        raise ValueError(
            f"{name} is no published NCSN or NCSNv2 checkpoint: there is no begin_conv.weight among "
            f"{names or 'its names, as there are none'}"
        )
    trained, averaged = ([one for one in found if one.averaged == which] for which in (False, True))
    if not trained and not ema:
        raise ValueError(f"{name} holds a moving average only, and no weights as trained: leave out ema=False")
    chosen = _only(name, averaged if averaged and ema else trained)
    if trained and averaged and ema:
        print(f"{name}: the moving average of the weights is taken; ema=False takes them as trained")
    elif averaged and not ema:
        print(f"{name}: the weights as trained are taken, not their moving average")
    state = {key: value for key, value in (trained or averaged)[0].state.items() if key == "sigmas"}
    state |= chosen
    return _net(name, state, image_size, sigmas)


def _only(name: str, found: "Sequence[_Weights]") -> dict[str, Tensor]:
    """The one set of weights that there is, perhaps under several names."""
    first = found[0].state
    for other in found[1:]:
        if {*other.state} != {*first} or not all(torch.equal(other.state[key], first[key]) for key in first):
            places = ", ".join(repr(one.where) for one in found)
            raise ValueError(
                f"{name} holds several sets of weights that differ, in {places}: read the file with "
                "torch.load(..., weights_only=True), and give the part that is meant"
            )
    return first


class _Weights(NamedTuple):
    state: dict[str, Tensor]  # by the published names, without any prefix
    averaged: bool
    where: str  # the way to it in the file


# Numbers by the names of weights that are none: what optimisers keep.
NO_WEIGHTS = re.compile(r"optim|exp_avg|momentum|grad", re.IGNORECASE)
AVERAGED = re.compile(r"(^|[^a-z])ema([^a-z]|$)|averag|shadow|swa", re.IGNORECASE)


def _weights(content: Any, where: str = "", depth: int = 4) -> Iterator[_Weights]:
    """All weights in a checkpoint's content that have names; where is the way to it."""
    if isinstance(content, Mapping):
        texts = {key: value for key, value in content.items() if isinstance(key, str) and not NO_WEIGHTS.search(key)}
        places = [found for key in texts if (found := re.fullmatch(r"(|.*\.)begin_conv\.weight", key))]
        prefixes = [found[1] for found in places if _is_array(texts[found[0]])]
        for prefix in prefixes:
            state = {key.removeprefix(prefix): value for key, value in texts.items() if key.startswith(prefix)}
            place = f"{where}/{prefix}".strip("/.")
            averaged = bool(AVERAGED.search(place)) and "online" not in place
            weights = {key: _tensor(key, value) for key, value in state.items() if _is_array(value)}
            yield _Weights(weights, averaged, place)
            yield from _dotless(texts, weights)
        for key, value in () if prefixes or not depth else texts.items():
            yield from _weights(value, f"{where}/{key}", depth - 1)
    elif isinstance(content, (list, tuple)) and depth:
        for i, value in enumerate(content[:9]):
            yield from _weights(value, f"{where}/ema" if i else where, depth - 1)  # what comes later is the average


def _dotless(content: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Iterator[_Weights]:
    """Moving averages beside weights as LitEma names them: a prefix, and the name without its dots."""
    for key in content:
        if key.endswith(".begin_convweight"):
            prefix = key.removesuffix("begin_convweight")
            there = {name: content.get(prefix + name.replace(".", "")) for name in weights}
            yield _Weights(
                {name: _tensor(name, value) for name, value in there.items() if _is_array(value)}, True, prefix
            )


def _shadows(content: Any, depth: int = 3) -> Iterator[Sequence[Any]]:
    """Moving averages without names: lists in the order of the parameters, as torch_ema, score_sde and NeMo do."""
    for key, value in content.items() if isinstance(content, Mapping) and depth else ():
        if isinstance(value, (list, tuple)) and value and AVERAGED.search(str(key)) and all(map(_is_array, value)):
            yield value
        else:
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                yield from _shadows(inner, depth - 1)


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, pickles.Array))


def _named(values: Sequence[Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = [name for name in state if name != "sigmas"]
    tensors = [_tensor("shadow_params", value) for value in values]
    if [value.shape for value in tensors] != [state[name].shape for name in names]:
        raise ValueError("the moving average in shadow_params does not fit the weights: give ema=False")
    return dict(zip(names, tensors, strict=True))


def _tensor(name: str, value: Tensor | np.ndarray | pickles.Array) -> Tensor:
    """In float32, whatever its byte order and precision. Raises ValueError where it holds no real numbers."""
    if isinstance(value, pickles.Array):
        value = value.array
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in pickles.KINDS:
            raise ValueError(f"{name} is an array of {value.dtype}, and no weights")
        value = torch.from_numpy(np.array(value, np.float64 if value.dtype.kind == "f" else np.int64))
    if value.is_complex():
        raise ValueError(f"{name} holds complex numbers, and no weights")
    if value.is_meta or value.is_quantized or value.layout != torch.strided:
        raise ValueError(f"{name} is a tensor of another kind ({value.type()}): save the weights as plain numbers")
    return value.detach().float()


def _net(name: str, state: dict[str, Tensor], image_size: int, sigmas: Tensor | None) -> NCSN | NCSNv2:
    first, levels = state["begin_conv.weight"], state.get("normalizer.embed.weight")
    ladder = state.pop("sigmas", None) if sigmas is None else torch.as_tensor(sigmas)
    state.pop("sigmas", None)
    if first.ndim != 4:
        raise ValueError(f"{name}: begin_conv.weight has the shape {tuple(first.shape)}, and is no convolution")
    if not any(key.startswith("refine") for key in state):
        raise ValueError(f"{name} holds another net than NCSN or NCSNv2: it starts as they do, but has no refine1")
    bad = next((key for key, value in state.items() if not value.isfinite().all()), None)
    if bad:
        raise ValueError(f"{name}: {bad} has numbers that are NaN or infinite: take a checkpoint from before that")
    if ladder is None and levels is None:
        raise ValueError(
            f"{name}: these weights of NCSNv2 come without their noise levels, as a moving average alone does: give "
            "the whole checkpoint, or sigmas="
        )
    if levels is not None and ladder is not None and len(ladder) != len(levels):
        raise ValueError(f"{name}: there are {len(ladder)} noise levels, but its norms know {len(levels)}")
    width, channels = first.shape[:2]
    if levels is None:
        net: NCSN | NCSNv2 = NCSNv2(channels, width, ladder, image_size)
    else:
        net = NCSN(channels, width, geometric(1.0, 0.01, len(levels)) if ladder is None else ladder, image_size)
    try:
        net.net.load_state_dict(_renamed(state))
    except (RuntimeError, ValueError, TypeError) as error:
        other = next((key for key in state if re.match(r"(res|refine)(31|5)\.", key)), None)
        which = f"it has {other}, a net for larger images" if other else str(error).strip().splitlines()[-1].strip()
        raise ValueError(
            f"{name} holds another net than NCSN or NCSNv2 for images of 28 or 32 pixels: {which}"
        ) from error
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
