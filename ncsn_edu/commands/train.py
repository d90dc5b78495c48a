"""train: an experiment of the papers, by its recipe, with what comes out in a folder.

This file does NOT know how to train: recipes.py and runs.py do.
"""

import argparse
import math
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import distributed, recipes
from ..devices import computes_bf16
from .common import (
    Commands,
    Failed,
    WrongUsage,
    add_device,
    add_speed,
    find_device,
    in_memory,
    load_labelled,
    new_command,
    positive,
    there_is_no,
    whole_number,
    with_bar,
)

if TYPE_CHECKING:
    from torch import nn

    from ..training import TrainState

STOPS = (signal.SIGINT, signal.SIGTERM)  # the second is what torchrun and a cluster send


def add(commands: Commands) -> None:
    """The parser of train."""
    parser = new_command(commands, "train", run, "run an experiment of the papers, and keep what comes out")
    parser.add_argument("recipe", metavar="RECIPE", help=f"which: {', '.join(recipes.RECIPES)}")
    parser.add_argument("--scale", default="laptop", metavar="SCALE", help="smoke, laptop (default) or paper")
    parser.add_argument("--steps", type=whole_number(1), metavar="N", help="this many steps, instead of the recipe's")
    parser.add_argument(
        "--batch", type=whole_number(1), metavar="N", help="this many images a step, instead of the recipe's"
    )
    parser.add_argument("--lr", type=positive, metavar="RATE", help="this learning rate, instead of the recipe's")
    parser.add_argument(
        "--warmup", type=whole_number(0), metavar="N", help="steps in which the learning rate rises to it"
    )
    parser.add_argument(
        "--cooldown",
        type=whole_number(0),
        metavar="N",
        help="last steps, in which it falls to 0; with --resume and --steps a run ends sooner or later than it was to",
    )
    add_speed(parser)
    parser.add_argument("--minutes", type=positive, metavar="M", help="stop after M minutes, to resume another time")
    parser.add_argument(
        "--from",
        dest="weights",
        metavar="SOURCE",
        help="begin with these weights (a run, a .ckpt or .safetensors file, a shipped name) and a new optimiser",
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="of the net, the batches and the noise"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/RECIPE-SCALE)")
    parser.add_argument("--resume", action="store_true", help="start at the newest checkpoint in that folder")
    parser.add_argument("--force", action="store_true", help="overwrite the results in that folder")
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train by a recipe of recipes.py; what comes out lies in a folder."""
    name, recipe = arguments.recipe, _recipe(arguments)
    if arguments.resume and arguments.force:
        raise WrongUsage("--resume and --force exclude each other")
    if arguments.resume and arguments.weights:
        raise WrongUsage("--resume starts at a checkpoint, --from begins with weights alone: give one of them")
    if arguments.weights and len(recipe.runs()) > 1:
        raise WrongUsage(f"--from is not for {name}, which is made of several runs")
    folder = arguments.out or Path("runs") / f"{name}-{arguments.scale}"
    device = find_device(distributed.local_device(arguments.device))  # before the processes meet: it may fail
    with distributed.process_group(device):
        return _train(arguments, recipe, folder, device)


def _recipe(arguments: argparse.Namespace) -> recipes.Recipe:
    """The recipe with what the command line changes."""
    scales = recipes.RECIPES.get(arguments.recipe)
    if scales is None:
        raise WrongUsage(there_is_no("recipe", arguments.recipe, recipes.RECIPES))
    if arguments.scale not in scales:
        raise WrongUsage(there_is_no("scale", arguments.scale, scales))
    asked = {
        "n_steps": arguments.steps,
        "batch_size": arguments.batch,
        "lr": arguments.lr,
        "warmup": arguments.warmup,
        "cooldown": arguments.cooldown,
        "bf16": arguments.bf16 or None,
    }
    given = {setting: value for setting, value in asked.items() if value is not None}
    return recipes.changed(scales[arguments.scale], **given)


@contextmanager
def _stops_noted_in(interrupted: list[int]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end nothing by themselves: a step that has begun is finished and written."""
    before = {kind: signal.signal(kind, lambda number, _: interrupted.append(number)) for kind in STOPS}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _train(arguments: argparse.Namespace, recipe: recipes.Recipe, folder: Path, device: str) -> int:
    """The runs of the recipe, one after the other. Ctrl-C, SIGTERM and --minutes end them after a step."""
    from ..runs import clear, run_all

    if not arguments.resume:
        distributed.first(lambda: _check_results_folder(folder, arguments.force))
    images, labels = load_labelled(recipe.data, "train")
    began, interrupted = time.monotonic(), list[int]()

    def should_stop() -> bool:
        return bool(interrupted) or time.monotonic() - began > 60 * (arguments.minutes or math.inf)

    options = {
        "labels": labels,
        "seed": arguments.seed,
        "device": device,
        "start": _start(arguments.weights, recipe) if arguments.weights else None,
        "compiled": arguments.compile if arguments.compile != "default" else True,
        "should_stop": should_stop,
    }
    ended: list[End] = []
    size = recipe.optimisation.batch_size
    faster = ", or --bf16" if computes_bf16(device) and not recipe.optimisation.bf16 else ""
    message = f"there is too little memory for batches of {size} on {device}: give a smaller --batch{faster}"
    with _stops_noted_in(interrupted), in_memory(message):
        if arguments.force:  # at last: nothing can be wrong with the command any more
            distributed.first(lambda: clear(folder))
        for name, states in run_all(recipe, images, folder, resume=arguments.resume, **options):
            _say_begun(arguments, recipe, name, device)
            ended.append(_through(states, recipe, name, folder))
            if ended[-1].left or distributed.any(should_stop()):
                break
    if distributed.rank() > 0:
        return 0
    if ended[-1].left or len(ended) < len(recipe.runs()):
        return _say_stopped(arguments, recipe, folder, ended[-1], bool(interrupted))
    return _say_done(arguments, recipe, folder, ended[-1], device)


class End(NamedTuple):
    """How one of the runs ended."""

    name: str
    last: "TrainState | None"  # None where nothing was left to do
    left: int  # steps that are still to be made


def _through(states: "Iterator[TrainState]", recipe: recipes.Recipe, name: str, folder: Path) -> End:
    """Train, with a bar in the first process; errors become words that say what to do."""
    from ..checkpoints import Folder

    n_steps, ended = recipe.optimisation.n_steps, deque["TrainState"](maxlen=1)
    alone = distributed.world_size() == 1
    try:
        ended.extend(with_bar(states, n_steps) if distributed.rank() == 0 else states)
    except FloatingPointError as error:
        if not (recipe.may_diverge and alone):  # of several processes only this one knows of it
            saved = Folder(folder / name).steps()
            kept = f"The last good checkpoint is {saved[0]}" if saved else "No checkpoint had been written yet"
            raise Failed(f"{error}. {kept}") from error
        print(f"ncsn_edu: {name}: {error}", file=sys.stderr)
        return End(name, ended[0] if ended else None, 0)
    last = ended[0] if ended else None
    return End(name, last, n_steps - last.step if last else 0)


def _say_begun(arguments: argparse.Namespace, recipe: recipes.Recipe, name: str, device: str) -> None:
    n_processes = distributed.world_size()
    where = f"{n_processes} processes, {device}" if n_processes > 1 else device
    if recipe.optimisation.bf16:
        narrow = recipe.optimisation.in_bf16(device)
        where += ", in bfloat16" if narrow else ", in float32, as it has no instructions for bfloat16"
    what = ", ".join(filter(None, (arguments.recipe, arguments.scale, name)))
    if distributed.rank() == 0:
        print(f"{what}: {recipe.optimisation.n_steps} steps on {recipe.data}, on {where}", flush=True)


def _say_stopped(
    arguments: argparse.Namespace, recipe: recipes.Recipe, folder: Path, end: End, interrupted: bool
) -> int:
    n_steps = recipe.optimisation.n_steps
    of = f" of the run {end.name}" if end.name else ""
    again = _again(arguments, folder)
    said = f"stopped after {end.last.step if end.last else n_steps} of {n_steps} steps{of}; resume with: {again}"
    print(f"\nncsn_edu: {said}" if interrupted else said, file=sys.stderr if interrupted else sys.stdout)
    return 130 if interrupted else 0


def _say_done(arguments: argparse.Namespace, recipe: recipes.Recipe, folder: Path, end: End, device: str) -> int:
    from ..logs import why_stopped

    about = {"recipe": arguments.recipe, "scale": arguments.scale, "seed": arguments.seed, "device": device}
    if report := recipe.report(folder, about):
        print(report)
    elif end.last:
        print(f"the last loss is {end.last.loss:.4g}; log.jsonl and the checkpoints are in {folder}")
    else:
        print(f"there was nothing left to do; log.jsonl and the checkpoints are in {folder}")
    return int(recipe.may_diverge and bool(why_stopped(folder / end.name)))


def _start(source: str, recipe: recipes.Recipe) -> "tuple[nn.Module, int]":
    """The weights to begin with, and the steps that they have seen."""
    from ..trained import load_net

    net, theirs, step = load_net(source)
    now, before = recipe.of_weights(), theirs.of_weights()
    for name in now | before:
        ours, then = now.get(name), before.get(name)
        if ours != then:
            raise Failed(f"the weights {source} are of another net: {name} is {then} there, and {ours} in the recipe")
    if step >= recipe.optimisation.n_steps:
        raise Failed(f"the weights {source} have {step} steps behind them: ask for more by --steps")
    return net, step


def _again(arguments: argparse.Namespace, folder: Path) -> str:
    """The command that resumes the run."""
    words = ["python -m ncsn_edu train", arguments.recipe, "--scale", arguments.scale]
    for name in ("steps", "batch", "lr", "warmup", "cooldown", "compile", "minutes", "device"):
        value = getattr(arguments, name)
        words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)] if value is not None else []
    words += ["--bf16"] if arguments.bf16 else []
    words += ["--seed", str(arguments.seed)] if arguments.seed else []
    return " ".join([*words, "--out", str(folder), "--resume"])


def _check_results_folder(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise Failed(f"{folder} is a file: choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise Failed(f"{folder} is not empty: choose another --out, or give --force to overwrite the results in it")
