"""inpaint: a trained net fills in what is missing of an image, and the completions become a picture file.

This file does NOT know how to inpaint or what a picture file looks like: sampling.py and drawing.py do.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import datasets
from ..sampling import INPAINTERS
from .common import Commands, Failed, WrongUsage, load_images, new_command, there_is_no, whole_number
from .drawing import (
    SOURCE,
    add_options,
    check_paper,
    langevin_settings,
    make_picture,
    output_of,
    stem_of,
    table,
    trained_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..trained import Trained

MASKS = f"""MASK is a picture file of the size of the net's images, white where the image is known and black where it is
missing (so is what is erased, that is transparent, there), or one of:
  left right top bottom   this half is known, the other is missing
  centre                  the middle is missing: half of the height, half of the width
  random random:0.9       this share of the pixels is missing (half unless given), drawn by --seed
  text "text:any words"   letters are missing

{table(INPAINTERS)}

The net never sees the missing pixels. The picture shows the image, what was left of it (grey where it is missing),
and then the completions."""


def add(commands: Commands) -> None:
    """The parser of inpaint."""
    parser = new_command(commands, "inpaint", run, "fill in the missing part of an image, in several ways")
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
    parser.add_argument(
        "--sampler", choices=INPAINTERS, help="see below (default: repaint for nets that take any noise level)"
    )
    parser.add_argument("--levels", type=whole_number(2), metavar="L", help="noise levels of repaint (default: 40)")
    parser.add_argument(
        "--times", type=whole_number(1), metavar="R", help="repaint: each step is taken so many times (default: 10)"
    )
    add_options(parser, "inpainted-IMAGE")


def run(arguments: argparse.Namespace) -> int:
    """Write one picture: the image, its known part, completions of it. What is wrong is found before all else."""
    import torch

    from ..pictures import tile
    from ..sampling import completion

    check_paper(arguments, arguments.sampler)
    out = output_of(arguments, f"inpainted-{stem_of(arguments.image).replace(':', '-')}")
    trained, device = trained_of(arguments)
    image = _image(arguments.image, trained.shape)
    mask = _mask(arguments.mask, trained.shape, arguments.seed)
    generator = torch.Generator(device).manual_seed(arguments.seed)
    settings = _settings(arguments, trained)
    plan = completion(trained, image.to(device), mask.to(device), **settings, generator=generator)
    given = torch.stack([image, torch.where(mask.bool(), image, 0.5)])
    columns = arguments.columns or min(arguments.n + 2, 10)
    return make_picture(
        arguments,
        out,
        trained,
        plan,
        device,
        what="completion",
        layout=lambda x: tile(torch.cat([given, x]), columns),
        finish=lambda x: torch.where(mask.bool(), image, x),  # the paper's chains end with noise
        about={"image": Path(arguments.image).name, "mask": Path(arguments.mask).name},
    )


def _settings(arguments: argparse.Namespace, trained: "Trained") -> dict[str, Any]:
    """The sampler and its settings. Raises for options of the other one."""
    from ..sampling import best_inpainter

    asked = {
        "annealed": {"--paper": arguments.paper, "--eps": arguments.eps, "--steps-each": arguments.steps_each},
        "repaint": {"--levels": arguments.levels, "--times": arguments.times},
    }
    given = {name: [option for option, value in options.items() if value] for name, options in asked.items()}
    named = next((name for name, options in given.items() if options), best_inpainter(trained))
    sampler = arguments.sampler or named
    for name, options in given.items():
        if name != sampler and options:
            others = f"{given[sampler][0]} for" if given[sampler] else "this is"
            raise WrongUsage(f"{options[0]} is for --sampler {name}, and {others} {sampler}: leave one of them out")
    if sampler == "annealed":
        return {"name": sampler, **vars(langevin_settings(arguments, trained))}
    times = {} if arguments.times is None else {"n_times": arguments.times}
    return {"name": sampler, "n_levels": arguments.levels, **times}


def _image(asked: str, shape: tuple[int, int, int]) -> "Tensor":
    """The image (C, H, W) of a picture file, or of a data set; prints what had to be done to it."""
    from ..pictures import fit_image, read_image

    name, colon, index = asked.rpartition(":")
    if os.path.exists(asked) or not (
        name in datasets.NAMES or asked in datasets.NAMES or (colon and index.isdecimal())
    ):
        image, notes = read_image(asked, shape)
    else:
        image, notes = fit_image(_held_out(name or asked, index if colon else ""), shape)
    for note in notes:
        print(f"{asked}: {note}")
    return image


def _held_out(name: str, index: str) -> "Tensor":
    if name not in datasets.NAMES:
        raise WrongUsage(there_is_no("data set", name, datasets.NAMES))
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
