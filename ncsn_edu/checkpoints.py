"""Weights from files: the published NCSN and NCSNv2 checkpoints, under the names of the nets here.

This file does NOT train.
"""

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

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


def load_official(source: str | PathLike[str] | Mapping[str, Any] | list[Any], image_size: int = 32) -> NCSN | NCSNv2:
    """The net of a published checkpoint: a .pth file, its content, or a state dict, with or without `module.`.

    A list is [weights, optimiser, ...]; the weights of NCSNv2 bring their `sigmas`, those of NCSN the paper's ladder
    of 1 to 0.01. Channels and width are read off the shapes. Unpickles nothing but tensors.
    """
    if isinstance(source, (str, PathLike)):
        source = torch.load(source, map_location="cpu", weights_only=True)
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
