"""What sample and inpaint share: options, a check of them, the pictures that are written. This file does NOT sample."""

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from .. import __version__
from ..files import check_writable, why, write_whole
from .common import (
    Failed,
    WrongUsage,
    add_device,
    add_speed,
    check_bf16,
    count,
    find_device,
    in_memory,
    positive,
    whole_number,
    with_bar,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..parts import Sampling
    from ..sampling import Plan, Sampler
    from ..trained import Trained, TrainedVae

Layout: TypeAlias = Callable[["Tensor"], "Tensor"]
N = TypeVar("N")
FRAMES = 40  # of an animation
SEEDS = 2**32 - 1  # larger ones give nothing new: the generator reads 32 bits
SMALLEST = 32  # pixels across, below which an image is enlarged in the picture
SOURCE = "name of weights that come with the package, folder of a run, .ckpt or .safetensors file (default: digits)"


def add_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Those of both commands; `out` is the name of the picture unless told otherwise."""
    add, number = parser.add_argument, whole_number(1)
    add("--eps", type=positive, help="step size alpha at the lowest noise level (default: what suits the net)")
    add(
        "--steps-each",
        type=number,
        metavar="T",
        help="steps at each noise level (default: what suits the net)",
    )
    add("--paper", action="store_true", help="as in the paper: T 100, eps 2e-5, and no denoising at the end")
    add("--seed", type=whole_number(0, SEEDS), default=0, metavar="N", help="of all that is drawn (default: 0)")
    add(
        "--batch",
        type=number,
        default=64,
        metavar="N",
        help="images at once (default: 64); another number draws other images",
    )
    add("--columns", type=number, metavar="N", help="images side by side in the picture")
    add("--zoom", type=number, metavar="N", help="a pixel becomes NxN of the picture (default: small images grow)")
    add("--animate", action="store_true", help=f"show the way there, in {FRAMES} frames: a GIF, or a PNG that moves")
    add("--out", type=Path, metavar="FILE", help=f".png, or .gif with --animate (default: {out}.png or .gif)")
    add("--npy", type=Path, metavar="FILE", help="write the images as floats too, (N, C, H, W), as .npy")
    add_device(parser)
    add_speed(parser)


def table(samplers: "Mapping[str, Sampler]") -> str:
    """A table of samplers, for --help."""
    rows = (f"  {name:<12} {row.about:<62} {row.cost}" for name, row in samplers.items())
    return "\n".join(["SAMPLER, and how often it asks the net:", *rows])


def output_of(arguments: argparse.Namespace, stem: str) -> Path:
    """Where the picture goes. Raises where that, or another file that is asked for, cannot be."""
    out = arguments.out or Path(stem + (".gif" if arguments.animate else ".png"))
    if out.suffix.lower() not in ((".png", ".gif") if arguments.animate else (".png",)):
        hint = " or .gif" if arguments.animate else ("; for a .gif give --animate" if out.suffix == ".gif" else "")
        raise WrongUsage(f"--out {out}: give a name that ends in .png{hint}")
    if arguments.npy and arguments.npy.suffix != ".npy":
        raise WrongUsage(f"--npy {arguments.npy}: give a name that ends in .npy")
    for path in filter(None, (out, arguments.npy)):
        check_writable(path)
        for asked in (getattr(arguments, "image", None), getattr(arguments, "mask", None)):
            if asked and path.exists() and os.path.exists(asked) and path.samefile(asked):
                raise Failed(f"{path} would be overwritten: choose another --out")
    return out


def stem_of(source: str) -> str:
    """A name for the picture of this source."""
    path = Path(source)
    stem = path.stem if path.suffix and not os.path.isdir(path) else os.path.basename(os.path.realpath(path))
    return stem[:100]  # of a name that may be near the longest there can be


def trained_of(arguments: argparse.Namespace) -> "tuple[Trained, str]":
    """The score network that is asked for, and its device."""
    from .. import trained

    device, net = _loaded(arguments, trained.load_trained)
    return _accelerated(arguments, net), device


def score_or_vae_of(arguments: argparse.Namespace) -> "tuple[Trained | TrainedVae, str]":
    """The same, or a variational autoencoder."""
    from .. import trained

    device, net = _loaded(arguments, trained.load_any)
    return net if isinstance(net, trained.TrainedVae) else _accelerated(arguments, net), device


def _loaded(arguments: argparse.Namespace, load: Callable[..., N]) -> tuple[str, N]:
    device = find_device(arguments.device)
    check_bf16(arguments.bf16, device)
    try:
        return device, load(arguments.source, device=device)
    except FileNotFoundError as error:
        if not os.path.isdir(arguments.source):
            raise
        raise Failed(f"the folder {arguments.source} has no checkpoint (yet): give that of a run") from error


def _accelerated(arguments: argparse.Namespace, trained: "Trained") -> "Trained":
    from ..adapters import Accelerated

    if not (arguments.bf16 or arguments.compile):
        return trained
    return replace(trained, score=Accelerated(trained.score, bf16=arguments.bf16, mode=arguments.compile))


def langevin_settings(arguments: argparse.Namespace, trained: "Trained") -> "Sampling":
    """The settings of annealed Langevin dynamics: the paper's, or the net's with what the command line changes."""
    from ..sampling import PAPER

    if arguments.paper:
        return PAPER
    asked = {"eps": arguments.eps, "n_steps_each": arguments.steps_each}
    return replace(trained.sampling, **{name: value for name, value in asked.items() if value is not None})


def check_paper(arguments: argparse.Namespace, sampler: str | None = None) -> None:
    """Raise where --paper comes with what it sets itself."""
    if arguments.paper and (arguments.eps or arguments.steps_each or sampler not in (None, "annealed")):
        raise WrongUsage("--paper sets --eps, --steps-each and --sampler: leave them out, or leave --paper out")


def make_picture(
    arguments: argparse.Namespace,
    out: Path,
    trained: "Trained | TrainedVae",
    plan: "Plan",
    device: str,
    *,
    what: str,
    layout: Layout,
    finish: Callable[["Tensor"], "Tensor"] = lambda images: images,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Run a plan, and write what comes out; one line at the beginning, one at the end.

    what    it is called, in the singular
    layout  images (n, C, H, W) -> the picture of them (C, H, W)
    finish  what is done to the images at last, and not to the frames before; about is said in the picture, too
    """
    start = time.monotonic()
    made = _draw(arguments, trained, plan, device)
    made = made._replace(images=finish(made.images))
    _write(arguments, out, made, layout, {**_made_by(arguments, trained, plan, device), **about})
    _say_written(arguments, out, what, plan, time.monotonic() - start)
    return 0


class Drawn(NamedTuple):
    """What a plan made, on the CPU."""

    images: "Tensor"  # (n, C, H, W)
    frames: "Tensor"  # (frames, n, C, H, W), uint8: of an animation, before the last


def _draw(arguments: argparse.Namespace, trained: "Trained | TrainedVae", plan: "Plan", device: str) -> Drawn:
    """Run a plan, with a bar."""
    import torch

    from ..sampling import collect, draw

    n, size, evaluations = arguments.n, arguments.batch, plan.evaluations
    n_batches = -(-n // size)
    picked = torch.linspace(1, evaluations, FRAMES).round().int().unique().tolist()[:-1] if arguments.animate else []
    asks = f"{count(plan.asked, 'evaluation')} of the net"
    if n_batches > 1:
        asks = f"{n_batches} batches of {asks}, {n_batches * plan.asked} in all"
    height, width = trained.shape[1:]
    print(f"{arguments.source}: {n} of {width}x{height} pixels, {asks}, on {device}", flush=True)
    with _little_memory(n, "--n"):
        images = torch.empty(n, *trained.shape)
        frames = torch.empty(len(picked), n, *trained.shape, dtype=torch.uint8)
    with _little_memory(size):
        collect(with_bar(draw(plan, n, size), n_batches * evaluations, "evaluations"), images, frames, picked)
    return Drawn(images, frames)


@contextmanager
def _little_memory(images: int, option: str = "--batch") -> Iterator[None]:
    """Say what to do about the errors of long sampling."""
    with in_memory(f"there is too little memory for {images} images at once: give a smaller {option}"):
        try:
            yield
        except FloatingPointError as error:
            raise Failed(f"{error}. Here: give a smaller --eps") from error


def _made_by(
    arguments: argparse.Namespace, trained: "Trained | TrainedVae", plan: "Plan", device: str
) -> dict[str, Any]:
    """How the images were made, to be written into the picture."""
    import torch

    net = {"source": str(arguments.source), "data": trained.recipe.data, "net": trained.recipe.network.title}
    drawn = {"n": arguments.n, "seed": arguments.seed, "batch": arguments.batch}
    how = {**plan.settings, "evaluations": plan.asked, "device": device, "torch": str(torch.__version__)}
    how |= {"bf16": True} if arguments.bf16 else {}
    return {**net, "step": trained.step, **drawn, **how}


def _write(arguments: argparse.Namespace, out: Path, made: Drawn, layout: Layout, about: dict[str, Any]) -> None:
    """The picture layout(images), or the animation that ends with it, and the .npy."""
    import numpy as np

    from ..pictures import to_animation, to_png

    zoom = arguments.zoom or -(-SMALLEST // made.images.shape[-1])
    text = {"Software": f"ncsn_edu {__version__}", "ncsn_edu": json.dumps(about)}
    if arguments.animate:
        frames = (frame.float() / 255 for frame in made.frames)  # one by one
        pictures = (layout(x) for x in chain(frames, [made.images]))
        files = {out: to_animation(pictures, out.suffix.lower()[1:], zoom=zoom, text=text)}
    else:
        files = {out: to_png(layout(made.images), zoom=zoom, text=text)}
    if arguments.npy:
        buffer = io.BytesIO()
        np.save(buffer, made.images.numpy())
        files[arguments.npy] = buffer.getvalue()
    for path, content in files.items():
        try:
            write_whole(path, content)
        except OSError as error:
            raise Failed(f"{path} cannot be written ({why(error)})") from error


def _say_written(arguments: argparse.Namespace, out: Path, what: str, plan: "Plan", seconds: float) -> None:
    """One line at the end."""
    batches = -(-arguments.n // arguments.batch)
    names = f"{out} and {arguments.npy}" if arguments.npy else str(out)
    images = f"{arguments.n} {what}" + ("" if arguments.n == 1 else "s")
    print(f"wrote {names}: {images}, {count(batches * plan.asked, 'evaluation')} of the net in {seconds:.1f} s")
