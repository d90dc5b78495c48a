"""sample and inpaint: a trained net makes images, and they become a picture file, whole or not at all.

This file does NOT know how to sample or what a picture file looks like: samplers.py and pictures.py do.
"""

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import __version__, data, recipes
from ..files import check_writable, why, write_whole
from .common import (
    Commands,
    Failed,
    WrongUsage,
    find_device,
    load_images,
    new_command,
    positive,
    there_is_no,
    whole_number,
    with_bar,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ..trained import Trained

PAPER = recipes.Sampling(eps=2e-5, n_steps_each=100, denoising=False)
FRAMES = 40  # of an animation
SEEDS = 2**32 - 1  # larger ones give nothing new: the generator reads 32 bits
SMALLEST = 32  # pixels across, below which an image is enlarged in the picture
SOURCE = "name of weights that come with the package, folder of a run, .ckpt or .safetensors file (default: digits)"
SAMPLERS = """SAMPLER, and how often it asks the net:
  annealed     annealed Langevin dynamics, T steps at each of L levels        L T + 1
  consistent   consistent annealed sampling                                   L
  ancestral    the noise of a level taken away, less than that added again    L
  corrector    predictor and corrector: reverse diffusion and Langevin        2 L - 1
  flow         the probability flow, which adds no noise, by Heun's method    2 L - 1

Nets that take any noise level are sampled by the flow unless told otherwise, others, NCSN among them, by annealed
Langevin dynamics at the levels that they know."""
# Levels for nets that take any: about a hundred evaluations, fewer where more do not help.
ONCE_A_LEVEL = {"consistent": 100, "ancestral": 100, "corrector": 50, "flow": 18}
MASKS = """MASK is a picture file of the size of the net's images, white where the image is known and black where it is
missing (so is what is erased, that is transparent, there), or one of:
  left right top bottom   this half is known, the other is missing
  centre                  the middle is missing: half of the height, half of the width
  random random:0.9       this share of the pixels is missing (half unless given), drawn by --seed

The net never sees the missing pixels. The picture shows the image, what was left of it (grey where it is missing),
and then the completions."""


def add(commands: Commands) -> None:
    """The parsers of sample and inpaint."""
    parser = new_command(commands, "sample", sample, "draw images from a trained net, into a picture file")
    parser.add_argument("source", nargs="?", default="digits", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--n", type=whole_number(1), default=64, metavar="N", help="images (default: 64)")
    parser.add_argument(
        "--sampler", choices=("annealed", *ONCE_A_LEVEL), help="see below (default: what suits the net)"
    )
    parser.add_argument(
        "--levels",
        type=whole_number(2),
        metavar="L",
        help="noise levels of a sampler that is not annealed (default: what suits the net)",
    )
    parser.add_argument("--eta", type=positive, help="consistent: share of the noise a step takes away (default: 0.5)")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, SAMPLERS
    _add_options(parser, "samples-SOURCE")

    parser = new_command(commands, "inpaint", complete, "fill in the missing part of an image, in several ways")
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, MASKS
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="picture file, or one of the held-out images of a data set, counted from 0: digits:12, mnist:5",
    )
    parser.add_argument("--mask", required=True, metavar="MASK", help="what is known of it: see below")
    parser.add_argument("--weights", dest="source", default="digits", metavar="SOURCE", help=SOURCE)
    parser.add_argument(
        "--completions", dest="n", type=whole_number(1), default=8, metavar="N", help="how many (default: 8)"
    )
    _add_options(parser, "inpainted-IMAGE")


def _add_options(parser: argparse.ArgumentParser, out: str) -> None:
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
    add("--device", metavar="DEVICE", help="cpu, cuda or cuda:1 (default: a GPU where there is one)")


class Plan(NamedTuple):
    """A sampler with its settings, for any number of images."""

    states: Callable[[int], Iterator["Tensor"]]  # n -> x (n, C, H, W) after each evaluation of the net
    evaluations: int
    settings: dict[str, Any]


def sample(arguments: argparse.Namespace) -> int:
    """Write one picture of all images. What is wrong is found before the net is asked the first time."""
    from ..pictures import tile

    out = _outputs(arguments, f"samples-{_stem(arguments.source)}")
    trained, device = _trained(arguments)
    plan = _sampling(arguments, trained, device)
    start = time.monotonic()
    images, frames = _run(arguments, trained, plan, device)
    made_by = _made_by(arguments, trained, plan, device)
    _write(arguments, out, images, frames, lambda x: tile(x, arguments.columns), made_by)
    _say_written(arguments, out, "image", plan, time.monotonic() - start)
    return 0


def complete(arguments: argparse.Namespace) -> int:
    """Write one picture: the image, its known part, completions of it. What is wrong is found before all else."""
    import torch

    from ..pictures import tile

    out = _outputs(arguments, f"inpainted-{_stem(arguments.image).replace(':', '-')}")
    trained, device = _trained(arguments)
    image = _image(arguments.image, trained.shape)
    mask = _mask(arguments.mask, trained.shape, arguments.seed)
    plan = _inpainting(arguments, trained, image, mask, device)
    start = time.monotonic()
    images, frames = _run(arguments, trained, plan, device)
    images = torch.where(mask.bool(), image, images)  # of the paper's chains the known part still has noise
    given = torch.stack([image, torch.where(mask.bool(), image, 0.5)])
    columns = arguments.columns or min(arguments.n + 2, 10)
    made_by = _made_by(arguments, trained, plan, device)
    made_by |= {"image": Path(arguments.image).name, "mask": Path(arguments.mask).name}
    _write(arguments, out, images, frames, lambda x: tile(torch.cat([given, x]), columns), made_by)
    _say_written(arguments, out, "completion", plan, time.monotonic() - start)
    return 0


# --- what is asked for


def _outputs(arguments: argparse.Namespace, stem: str) -> Path:
    """Where the picture goes; raises where that, or what else is asked for, cannot be."""
    sampler = getattr(arguments, "sampler", "annealed")
    if arguments.paper and (arguments.eps or arguments.steps_each or sampler not in (None, "annealed")):
        raise WrongUsage("--paper sets --eps, --steps-each and --sampler: leave them out, or leave --paper out")
    if sampler in ONCE_A_LEVEL and (arguments.eps or arguments.steps_each):
        given = "--eps" if arguments.eps else "--steps-each"
        raise WrongUsage(f"{given} is for --sampler annealed: give {'--eta or ' * (sampler == 'consistent')}--levels")
    if getattr(arguments, "eta", None) and sampler != "consistent":
        raise WrongUsage("--eta is for --sampler consistent: give --eps")
    if getattr(arguments, "levels", None) and sampler not in ONCE_A_LEVEL:
        raise WrongUsage(f"--levels is for --sampler {', '.join(ONCE_A_LEVEL)}: give --steps-each")
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


def _stem(source: str) -> str:
    path = Path(source)
    stem = path.stem if path.suffix and not os.path.isdir(path) else os.path.basename(os.path.realpath(path))
    return stem[:100]  # of a name that may be near the longest there can be


def _trained(arguments: argparse.Namespace) -> "tuple[Trained, str]":
    from ..trained import load_trained

    device = find_device(arguments.device)
    try:
        return load_trained(arguments.source, device=device), device
    except FileNotFoundError as error:
        if not os.path.isdir(arguments.source):
            raise
        raise Failed(f"the folder {arguments.source} has no checkpoint (yet): give that of a run") from error


def _image(asked: str, shape: tuple[int, int, int]) -> "Tensor":
    """The image (C, H, W) of a picture file, or of a data set; prints what had to be done to it."""
    from ..pictures import fit_image, read_image

    name, colon, index = asked.rpartition(":")
    if os.path.exists(asked) or not (name in data.NAMES or asked in data.NAMES or (colon and index.isdecimal())):
        image, notes = read_image(asked, shape)
    else:
        image, notes = fit_image(_held_out(name or asked, index if colon else ""), shape)
    for note in notes:
        print(f"{asked}: {note}")
    return image


def _held_out(name: str, index: str) -> "Tensor":
    if name not in data.NAMES:
        raise WrongUsage(there_is_no("data set", name, data.NAMES))
    images = load_images(name, "test")
    if not index.isdecimal() or int(index) >= len(images):
        raise WrongUsage(f"{name} has {len(images)} held-out images: give {name}:0 to {name}:{len(images) - 1}")
    return images[int(index)]


def _mask(asked: str, shape: tuple[int, int, int], seed: int) -> "Tensor":
    """The mask (1, H, W)."""
    import torch

    from ..pictures import MASKS as PRESETS
    from ..pictures import preset_mask, read_mask

    if asked.partition(":")[0] in PRESETS:
        try:
            mask = preset_mask(asked, shape[1:], generator=torch.Generator().manual_seed(seed))
        except ValueError as error:
            raise WrongUsage(str(error)) from error
    elif Path(asked).suffix or os.path.exists(asked):
        mask = read_mask(asked, shape[1:])
    else:
        raise WrongUsage(there_is_no("mask", asked, PRESETS))
    if mask.all():
        raise Failed(f"with the mask {asked} nothing is missing: there is nothing to fill in")
    return mask


# --- sampling


def _settings(arguments: argparse.Namespace, trained: "Trained") -> recipes.Sampling:
    if arguments.paper:
        return PAPER
    asked = {"eps": arguments.eps, "n_steps_each": arguments.steps_each}
    return replace(trained.sampling, **{name: value for name, value in asked.items() if value is not None})


def _sampling(arguments: argparse.Namespace, trained: "Trained", device: str) -> Plan:
    import torch

    generator = torch.Generator(device).manual_seed(arguments.seed)
    asked = arguments.paper or arguments.eps or arguments.steps_each
    sampler = arguments.sampler or ("flow" if trained.recipe.continuous and not asked else "annealed")
    if sampler != "annealed":
        return _once_a_level(sampler, arguments, trained, generator)
    from ..samplers import annealed_langevin

    settings, sigmas = _settings(arguments, trained), trained.sigmas

    def states(n: int) -> Iterator["Tensor"]:
        x = trained.start(n, generator=generator)
        for state in annealed_langevin(trained.score, x, sigmas, generator=generator, **vars(settings)):
            yield state.x

    return Plan(states, settings.evaluations(len(sigmas)), {"sampler": "annealed_langevin", **vars(settings)})


def _once_a_level(sampler: str, arguments: argparse.Namespace, trained: "Trained", generator: "Generator") -> Plan:
    """Samplers that start from images with the noise of the first level, and end with a denoising step."""
    from .. import samplers
    from ..checks import check_eta
    from ..core import noise_like
    from ..schedules import VE, geometric, karras

    sigmas = trained.sigmas
    first, lowest = sigmas[0].item(), sigmas[-1].item()
    if arguments.levels and trained.recipe.net == "ncsn":
        raise Failed(f"this net knows its own {len(sigmas)} noise levels only: leave out --levels")
    if arguments.levels or trained.recipe.continuous:
        sigmas = (karras if sampler == "flow" else geometric)(first, lowest, arguments.levels or ONCE_A_LEVEL[sampler])
    settings: dict[str, Any] = {"sampler": sampler, "n_levels": len(sigmas), "denoising": True}
    if sampler == "consistent":
        settings["eta"] = arguments.eta or 0.5
        check_eta(settings["eta"], sigmas)
        chain = partial(samplers.consistent_annealed, sigmas=sigmas, eta=settings["eta"], generator=generator)
    elif sampler == "ancestral":
        chain = partial(samplers.ancestral, sigmas=sigmas, generator=generator)
    elif sampler == "corrector":
        sde, n = VE(lowest, first), len(sigmas) - 1
        chain = partial(samplers.predictor_corrector, sde=sde, n_steps=n, generator=generator)
    else:
        chain = partial(samplers.probability_flow, sigmas=sigmas)

    def states(n: int) -> Iterator["Tensor"]:
        x = trained.start(n, generator=generator)
        for state in chain(trained.score, x + first * noise_like(x, generator)):
            yield from [state.x] * (2 if sampler in ("corrector", "flow") else 1)  # as often as the net was asked
        yield samplers.denoise(trained.score, state.x, lowest)

    evaluations = len(sigmas) * (2 if sampler in ("corrector", "flow") else 1)
    return Plan(states, evaluations - (sampler in ("corrector", "flow")), settings)


def _inpainting(
    arguments: argparse.Namespace, trained: "Trained", image: "Tensor", mask: "Tensor", device: str
) -> Plan:
    import torch

    from ..samplers import denoise, inpaint

    settings, sigmas = _settings(arguments, trained), trained.sigmas
    generator = torch.Generator(device).manual_seed(arguments.seed)
    image, mask = image.to(device), mask.to(device)

    def states(n: int) -> Iterator["Tensor"]:
        x = trained.start(n, generator=generator)
        options = {"eps": settings.eps, "n_steps_each": settings.n_steps_each, "generator": generator}
        for state in inpaint(trained.score, x, sigmas, image=image, mask=mask, **options):
            x = state.x
            yield x
        if settings.denoising:
            yield denoise(trained.score, x, sigmas[-1].item())

    return Plan(states, settings.evaluations(len(sigmas)), {"sampler": "inpaint", **vars(settings)})


def _run(
    arguments: argparse.Namespace, trained: "Trained", plan: Plan, device: str
) -> tuple["Tensor", Iterator["Tensor"]]:
    """The images (n, C, H, W), and the frames of an animation before the last, of the same shape; all on the CPU.

    Frames are kept as bytes, and become floats one by one.
    """
    import torch

    n, size, evaluations = arguments.n, arguments.batch, plan.evaluations
    firsts = range(0, n, size)
    picked = torch.linspace(1, evaluations, FRAMES).round().int().unique().tolist()[:-1] if arguments.animate else []
    asks = f"{evaluations} evaluations of the net"
    if len(firsts) > 1:
        asks = f"{len(firsts)} batches of {asks}, {len(firsts) * evaluations} in all"
    height, width = trained.shape[1:]
    print(f"{arguments.source}: {n} of {width}x{height} pixels, {asks}, on {device}", flush=True)

    def steps() -> Iterator[tuple[int, int, "Tensor"]]:
        for first in firsts:
            for step, x in enumerate(plan.states(min(size, n - first)), start=1):
                yield first, step, x

    with _little_memory(n, "--n"):
        images = torch.empty(n, *trained.shape)
        frames = torch.empty(len(picked), n, *trained.shape, dtype=torch.uint8)
    with _little_memory(size):
        for first, step, x in with_bar(steps(), len(firsts) * evaluations, "evaluations"):
            if step in picked:
                frames[picked.index(step), first : first + len(x)] = (255 * x.clamp(0, 1)).round().byte().cpu()
            if step == evaluations:
                images[first : first + len(x)] = x.cpu()
    return images, (frame.float() / 255 for frame in frames)


@contextmanager
def _little_memory(images: int, option: str = "--batch") -> Iterator[None]:
    """Say what to do about the errors of long sampling."""
    import torch

    message = f"there is too little memory for {images} images at once: give a smaller {option}"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Failed(message) from error
    except FloatingPointError as error:
        raise Failed(f"{error}. Here: give a smaller --eps") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise Failed(message) from error


# --- what is written


def _made_by(arguments: argparse.Namespace, trained: "Trained", plan: Plan, device: str) -> dict[str, Any]:
    import torch

    net = {"source": str(arguments.source), "data": trained.recipe.data, "net": trained.recipe.net}
    drawn = {"n": arguments.n, "seed": arguments.seed, "batch": arguments.batch}
    how = {**plan.settings, "evaluations": plan.evaluations, "device": device, "torch": str(torch.__version__)}
    return {**net, "step": trained.step, **drawn, **how}


def _write(
    arguments: argparse.Namespace,
    out: Path,
    images: "Tensor",
    frames: Iterator["Tensor"],
    drawn: Callable[["Tensor"], "Tensor"],
    made_by: dict[str, Any],
) -> None:
    """The picture drawn(images), or the animation that ends with it, and the .npy."""
    import numpy as np

    from ..pictures import to_animation, to_png

    zoom = arguments.zoom or -(-SMALLEST // images.shape[-1])
    text = {"Software": f"ncsn_edu {__version__}", "ncsn_edu": json.dumps(made_by)}
    if arguments.animate:
        pictures = (drawn(x) for x in chain(frames, [images]))
        files = {out: to_animation(pictures, out.suffix.lower()[1:], zoom=zoom, text=text)}
    else:
        files = {out: to_png(drawn(images), zoom=zoom, text=text)}
    if arguments.npy:
        buffer = io.BytesIO()
        np.save(buffer, images.numpy())
        files[arguments.npy] = buffer.getvalue()
    for path, content in files.items():
        try:
            write_whole(path, content)
        except OSError as error:
            raise Failed(f"{path} cannot be written ({why(error)})") from error


def _say_written(arguments: argparse.Namespace, out: Path, what: str, plan: Plan, seconds: float) -> None:
    batches = -(-arguments.n // arguments.batch)
    names = f"{out} and {arguments.npy}" if arguments.npy else str(out)
    images = f"{arguments.n} {what}" + ("" if arguments.n == 1 else "s")
    print(f"wrote {names}: {images}, {batches * plan.evaluations} evaluations of the net in {seconds:.1f} s")
