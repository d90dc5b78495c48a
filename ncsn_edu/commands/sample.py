"""sample: a trained net makes images, and they become a picture file, whole or not at all.

This file does NOT know how to sample or what a picture file looks like: sampling.py and drawing.py do.
"""

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ..datasets import DATASETS
from ..sampling import SAMPLERS
from .common import Commands, Failed, WrongUsage, load_images, new_command, positive, there_is_no, whole_number
from .drawing import (
    SOURCE,
    add_options,
    check_paper,
    langevin_settings,
    make_picture,
    output_of,
    score_or_vae_of,
    stem_of,
    table,
)

if TYPE_CHECKING:
    from ..sampling import Plan
    from ..trained import Trained, TrainedVae

LADDER = "ladder"  # a value of --eta
OF_SCORES = ("sampler", "eta", "levels", "eps", "steps_each", "paper", "animate", "bf16", "compile")
OF_CLASSES = ("guidance", "classifier")


def add(commands: Commands) -> None:
    """The parser of sample."""
    parser = new_command(commands, "sample", run, "draw images from a trained net, into a picture file")
    parser.add_argument("source", nargs="?", default="digits", metavar="SOURCE", help=SOURCE)
    parser.add_argument("--n", type=whole_number(1), default=64, metavar="N", help="images (default: 64)")
    parser.add_argument("--sampler", choices=SAMPLERS, help="see below (default: what suits the net)")
    parser.add_argument(
        "--levels",
        type=whole_number(2),
        metavar="L",
        help="noise levels of a sampler that is not annealed (default: what suits the net)",
    )
    parser.add_argument(
        "--eta",
        type=_eta,
        help="ddim: share of the fresh noise, 0 for none (the default) to 1; consistent: share of the noise that a "
        "step takes away, or `ladder`: as the ladder needs (default: 0.5)",
    )
    _add_class(parser)
    parser.add_argument(
        "--interpolate",
        nargs="?",
        const=8,
        type=whole_number(2),
        metavar="K",
        help="a VAE's: each K images in a row lead from one latent to another (K: 8)",
    )
    parser.add_argument("--noise", action="store_true", help="a VAE's: with the decoder's noise, and not its means")
    parser.add_argument(
        "--aggregate",
        action="store_true",
        help="a VAE's: with latents of training images (the aggregate posterior), and not of the prior",
    )
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _table()
    add_options(parser, "samples-SOURCE")


def _add_class(parser: argparse.ArgumentParser) -> None:
    """The options of images of one class."""
    parser.add_argument(
        "--label",
        type=_class,
        metavar="CLASS",
        help="images of this class only: its number, from 0 on, or its name, as in cat",
    )
    parser.add_argument(
        "--guidance",
        type=_scale,
        metavar="W",
        help="how much the class counts: 1 as it should (the default), more for images that are easier to name, and "
        "less varied",
    )
    parser.add_argument(
        "--classifier",
        metavar="SOURCE",
        help="of noisy images, which says what the class is: a run or its weights (default: the net itself, if it is "
        "told classes, or what comes with the package for its data set)",
    )


def _table() -> str:
    return f"""{table(SAMPLERS)}

Nets that take any noise level are sampled by the flow unless told otherwise, others, NCSN among them, by annealed
Langevin dynamics at the levels that they know."""


def _eta(text: str) -> float | str:
    if text == LADDER:
        return text
    try:
        eta = float(text)
    except ValueError:
        eta = math.nan
    if not 0 <= eta <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1, nor `ladder`")
    return eta


def _class(text: str) -> int | str:
    """The type of an argument: the number of a class, or its name, in small letters."""
    return text.lower() if text[:1].isalpha() else whole_number(0)(text)


def _scale(text: str) -> float:
    """The type of an argument: a finite number, 0 or above."""
    try:
        return 0.0 if float(text) == 0 else positive(text)
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 or a number above 0") from None


def run(arguments: argparse.Namespace) -> int:
    """Write one picture of all images. What is wrong is found before the net is asked the first time."""
    from ..pictures import tile

    check_paper(arguments, arguments.sampler)
    if arguments.sampler:
        _check(arguments, arguments.sampler)
    if arguments.interpolate and arguments.n < arguments.interpolate:
        raise WrongUsage(f"--n {arguments.n} is less than one row of {arguments.interpolate} images: give more of them")
    out = output_of(arguments, f"samples-{stem_of(arguments.source)}")
    trained, device = score_or_vae_of(arguments)
    about = {name: getattr(arguments, name) for name in ("label", *OF_CLASSES) if getattr(arguments, name) is not None}
    if "label" in about:
        about["label"] = _label(arguments.label, trained.recipe.data)
    trained = _of_class(arguments, trained, about.get("label")) if about else trained
    plan = _plan(arguments, trained, device)
    columns = arguments.columns or arguments.interpolate
    layout = partial(tile, columns=columns)
    return make_picture(arguments, out, trained, plan, device, what="image", layout=layout, about=about)


def _label(asked: int | str, data: str) -> int:
    """The number of a class that is given by it, or by its name in the data set."""
    if isinstance(asked, int):
        return asked
    names = DATASETS[data].classes
    if asked not in names:
        raise WrongUsage(there_is_no("class", asked[:40], names))
    return names.index(asked)


def _of_class(arguments: argparse.Namespace, trained: "Trained | TrainedVae", label: int | None) -> "Trained":
    """The net that makes images of the class asked for."""
    from ..sampling import guided
    from ..trained import TrainedVae

    if isinstance(trained, TrainedVae):
        raise WrongUsage(f"{arguments.source} is a VAE, which is told no class: leave out --label, or give a score net")
    if label is None:
        given = next(name for name in OF_CLASSES if getattr(arguments, name) is not None)
        raise WrongUsage(f"--{given} guides towards a class: say which by --label")
    scale = 1.0 if arguments.guidance is None else arguments.guidance
    try:
        return guided(trained, label, scale, classifier=arguments.classifier)
    except FileNotFoundError as error:
        raise Failed(f"{error}: give your own by --classifier, or leave out --label") from error


def _check(arguments: argparse.Namespace, sampler: str) -> None:
    """Raise for options of other samplers than this one."""
    langevin = arguments.eps or arguments.steps_each
    if not SAMPLERS[sampler].stays and langevin:
        given = "--eps" if arguments.eps else "--steps-each"
        others = "--eta or --levels" if "eta" in SAMPLERS[sampler].settings else "--levels"
        raise WrongUsage(f"{given} is for --sampler annealed: give {others}")
    if arguments.eta is not None and "eta" not in SAMPLERS[sampler].settings:
        having = " or ".join(name for name, row in SAMPLERS.items() if "eta" in row.settings)
        raise WrongUsage(f"--eta is for --sampler {having}" + (": give --eps" if sampler == "annealed" else ""))
    if arguments.eta == LADDER and sampler != "consistent":
        raise WrongUsage("--eta ladder is for --sampler consistent: give a share from 0 to 1")
    if arguments.levels and SAMPLERS[sampler].stays:
        passing = ", ".join(name for name, row in SAMPLERS.items() if not row.stays)
        raise WrongUsage(f"--levels is for --sampler {passing}: give --steps-each")


def _plan(arguments: argparse.Namespace, trained: "Trained | TrainedVae", device: str) -> "Plan":
    import torch

    from ..sampling import best_sampler, decoding, plan
    from ..trained import TrainedVae

    generator = torch.Generator(device).manual_seed(arguments.seed)
    settings: dict[str, Any]
    if isinstance(trained, TrainedVae):
        if given := [name for name in OF_SCORES if getattr(arguments, name) not in (None, False)]:
            option = given[0].replace("_", "-")
            raise WrongUsage(f"{arguments.source} is a VAE, which decodes in one pass: leave out --{option}")
        images = load_images(trained.recipe.data, "train").to(device) if arguments.aggregate else None
        settings = {"walk": arguments.interpolate or 0, "noise": arguments.noise, "images": images}
        return decoding(trained, **settings, generator=generator)
    if given := [option for option in ("interpolate", "noise", "aggregate") if getattr(arguments, option)]:
        raise WrongUsage(f"--{given[0]} is for VAEs, and {arguments.source} is a score network: leave it out")
    langevin = arguments.paper or arguments.eps or arguments.steps_each
    sampler = arguments.sampler or ("annealed" if langevin else best_sampler(trained))
    _check(arguments, sampler)
    settings = {}
    if SAMPLERS[sampler].stays:
        settings = vars(langevin_settings(arguments, trained))
    elif arguments.eta is not None:
        settings = {"eta": None if arguments.eta == LADDER else arguments.eta}
    return plan(trained, sampler, generator=generator, n_levels=arguments.levels, **settings)
