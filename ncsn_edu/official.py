"""The published NCSN and NCSNv2 checkpoints, in whatever wrapping they come, as nets of this package.

Reading one runs no code that it may hold. This file does NOT read checkpoints of this package: checkpoints.py does.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from torch import Tensor

from . import pickles
from .checkpoints import CheckpointDamaged, check_file, read_tensors
from .kinds import CHECKPOINT, kind_of
from .nets.ncsn import NCSN
from .nets.ncsnv2 import NCSNv2
from .schedules import geometric

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
        name, source = str(source), _content(source)
    found = _all_weights(source)
    if not found:
        names = ", ".join(map(str, list(source)[:3])) if isinstance(source, Mapping) else ""
        raise ValueError(
            f"{name} is no published NCSN or NCSNv2 checkpoint: there is no begin_conv.weight among "
            f"{names or 'its names, as there are none'}"
        )
    return _net(name, _chosen(name, found, ema), image_size, sigmas)


def _content(path: str | PathLike[str]) -> Any:
    """What torch.save wrote to a file."""
    check_file(path)
    if (kind := kind_of(path)) == CHECKPOINT:
        raise CheckpointDamaged(f"{path} is {kind.what}: load_trained reads it")
    return read_tensors(path, path, kind)


def _all_weights(content: Any) -> "list[_Weights]":
    """Those that have names, and moving averages that have none, in the order of the first of those."""
    found = list(_weights(content))
    return found + [_Weights(_named(values, found[0].state), True, "the list") for values in _shadows(content) if found]


def _chosen(name: str, found: "Sequence[_Weights]", ema: bool) -> dict[str, Tensor]:
    """The moving average or the weights as trained, with the noise levels; a line says which, if there are both."""
    trained, averaged = ([one for one in found if one.averaged == which] for which in (False, True))
    if not trained and not ema:
        raise ValueError(f"{name} holds a moving average only, and no weights as trained: leave out ema=False")
    if trained and averaged and ema:
        print(f"{name}: the moving average of the weights is taken; ema=False takes them as trained")
    elif averaged and not ema:
        print(f"{name}: the weights as trained are taken, not their moving average")
    levels = {key: value for key, value in (trained or averaged)[0].state.items() if key == "sigmas"}
    return levels | _only(name, averaged if averaged and ema else trained)


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
            found = {name: _tensor(name, value) for name, value in there.items() if _is_array(value)}
            yield _Weights(found, True, prefix)


def _shadows(content: Any, depth: int = 3) -> Iterator[Sequence[Any]]:
    """Moving averages without names: lists in the order of the parameters, as torch_ema, score_sde and NeMo do."""
    for key, value in content.items() if isinstance(content, Mapping) and depth else ():
        if isinstance(value, (list, tuple)) and value and AVERAGED.search(str(key)) and all(map(_is_array, value)):
            yield value
        else:
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                yield from _shadows(inner, depth - 1)


def _is_array(value: Any) -> TypeGuard["Tensor | np.ndarray | pickles.Array"]:
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
    width, channels = first.shape[:2]
    net: NCSN | NCSNv2
    if levels is not None:
        ladder = geometric(1.0, 0.01, len(levels)) if ladder is None else ladder  # the paper's
        if len(ladder) != len(levels):
            raise ValueError(f"{name}: there are {len(ladder)} noise levels, but its norms know {len(levels)}")
        net = NCSN(channels, width, ladder, image_size)
    elif ladder is not None:
        net = NCSNv2(channels, width, ladder, image_size)
    else:
        raise ValueError(
            f"{name}: these weights of NCSNv2 come without their noise levels, as a moving average alone does: give "
            "the whole checkpoint, or sigmas="
        )
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
    renamed: dict[str, Tensor] = {}
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
