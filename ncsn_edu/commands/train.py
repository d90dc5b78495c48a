"""train: an experiment of the papers, by its recipe, with what comes out in a folder.

This file does NOT know how to train: recipes.py and runs.py do.
"""

import argparse
import json
import platform
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import __version__, data, recipes
from ..files import write_whole
from .common import Commands, Failed, WrongUsage, find_device, new_command, there_is_no, whole_number, with_bar


def add(commands: Commands) -> None:
    """The parser of train."""
    parser = new_command(commands, "train", train, "run an experiment of the papers, and keep what comes out")
    parser.add_argument("recipe", metavar="RECIPE", help=f"which: {', '.join(recipes.RECIPES)}")
    parser.add_argument("--scale", default="laptop", metavar="SCALE", help="smoke, laptop (default) or paper")
    parser.add_argument("--steps", type=whole_number(1), metavar="N", help="this many steps, instead of the recipe's")
    parser.add_argument(
        "--batch", type=whole_number(1), metavar="N", help="this many images a step, instead of the recipe's"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="of the net, the batches and the noise"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/RECIPE-SCALE)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in that folder")
    parser.add_argument("--force", action="store_true", help="overwrite the results in that folder")
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda or cuda:1 (default: a GPU where there is one)")


def train(arguments: argparse.Namespace) -> int:
    """Train by a recipe of recipes.py; what comes out lies in a folder."""
    name, scale = arguments.recipe, arguments.scale
    scales = recipes.RECIPES.get(name)
    if scales is None:
        raise WrongUsage(there_is_no("recipe", name, recipes.RECIPES))
    if scale not in scales:
        raise WrongUsage(there_is_no("scale", scale, scales))
    asked = {"n_steps": arguments.steps, "batch_size": arguments.batch}
    recipe = replace(scales[scale], **{field: value for field, value in asked.items() if value is not None})
    folder = arguments.out or Path("runs") / f"{name}-{scale}"
    if arguments.resume and (arguments.force or isinstance(recipe, recipes.Manifold)):
        raise WrongUsage("--resume " + ("and --force exclude each other" if arguments.force else f"is not for {name}"))
    if not arguments.resume:
        _check_results_folder(folder, arguments.force)
    try:
        images, _ = data.load(recipe.data, download=False)
    except (data.DataUnavailable, data.DataDamaged) as error:
        raise Failed(str(error)) from error
    device = find_device(arguments.device)
    if isinstance(recipe, recipes.Manifold):
        return _train_manifold(arguments, recipe, folder, images, device)
    return _train_images(arguments, recipe, folder, images, device)


def _train_images(arguments: argparse.Namespace, recipe: recipes.Images, folder: Path, images: Any, device: str) -> int:
    """Checkpoints and a log as they come; Ctrl-C ends the run after the step in hand, with a checkpoint."""
    import torch

    from ..runs import run

    if arguments.force:
        _clear(folder, "*.ckpt", "log.jsonl", "events.out.tfevents.*")
    again = f"python -m ncsn_edu train {arguments.recipe} --scale {arguments.scale} --out {folder} --resume"
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        states = run(recipe, images, folder, seed=arguments.seed, device=device, resume=arguments.resume)
        print(
            f"{arguments.recipe}, {arguments.scale}: {recipe.n_steps} steps on {recipe.data}, on {device}", flush=True
        )
        last = None
        for last in with_bar(states, recipe.n_steps):
            if interrupted:
                states.close()  # saves a checkpoint
                print(
                    f"\nncsn_edu: stopped after {last.step} of {recipe.n_steps} steps; go on with: {again}",
                    file=sys.stderr,
                )
                return 130
    except torch.OutOfMemoryError as error:
        raise Failed(f"the device has too little memory for batches of {recipe.batch_size}: use --batch") from error
    except FloatingPointError as error:
        raise Failed(f"{error}. The last good checkpoint is in {folder}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    done = f"the last loss is {last.loss:.4g}" if last else "there was nothing left to do"
    print(f"{done}; log.jsonl and the checkpoints are in {folder}")
    return 0


def _train_manifold(
    arguments: argparse.Namespace, recipe: recipes.Manifold, folder: Path, images: Any, device: str
) -> int:
    """Train on clean images and on noised ones; DIR gets log.jsonl on the way, summary.json and losses.png at the end.

    A loss that overflows ends its run, not the command: on clean data that is a result.
    """
    import torch

    name, scale = arguments.recipe, arguments.scale
    _clear(folder, "log.jsonl", "losses.png", "summary.json")
    losses: dict[float, list[float]] = {}
    results = []
    with open(folder / "log.jsonl", "w", encoding="utf-8") as log:
        for sigma in (0.0, recipe.sigma):
            print(f"{name}, {scale}: {recipe.n_steps} steps on {recipe.data}, noise {sigma:g}, on {device}", flush=True)
            start, stopped = time.monotonic(), ""
            losses[sigma] = kept = []
            states = recipes.manifold(recipe, images, sigma=sigma, seed=arguments.seed, device=device)
            try:
                for state in with_bar(states, recipe.n_steps):
                    kept.append(state.loss)
                    line = {"sigma": sigma, "seed": arguments.seed, "step": state.step, "loss": kept[-1]}
                    print(json.dumps(line), file=log, flush=True)
            except FloatingPointError as error:
                stopped = str(error)
                print(f"ncsn_edu: noise {sigma:g}: {stopped}", file=sys.stderr)
            except KeyboardInterrupt:
                where = f"{len(kept)} of {recipe.n_steps} steps with noise {sigma:g}"
                print(f"\nncsn_edu: stopped after {where}; what was reached is in {log.name}", file=sys.stderr)
                return 130
            result = _run_in_figures(kept, recipe.sigma, images[0].numel())
            seconds = round(time.monotonic() - start, 1)
            results.append({"sigma": sigma, "steps": len(kept), "seconds": seconds, **result, "stopped": stopped})
    summary = {
        "recipe": name,
        "scale": scale,
        "settings": asdict(recipe),
        "seed": arguments.seed,
        "device": device,
        "runs": results,
        "versions": {"ncsn_edu": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
    }
    write_whole(folder / "losses.png", _drawn(losses, -images[0].numel() / (2 * recipe.sigma**2)))
    write_whole(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    _print_results(results)
    print(f"log.jsonl, summary.json and losses.png are in {folder}")
    return int(bool(results[-1]["stopped"]))


def _check_results_folder(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise Failed(f"{folder} is a file: choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise Failed(f"{folder} is not empty: choose another --out, or give --force to overwrite the results in it")


def _clear(folder: Path, *patterns: str) -> None:
    """Make it, without the results of an earlier run: half old and half new would mislead."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [path for pattern in patterns for path in folder.glob(pattern)]:
        old.unlink()


def _run_in_figures(losses: list[float], sigma: float, dim: int) -> dict[str, float | None]:
    enough = len(losses) >= 6
    return {
        "last_loss": losses[-1] if losses else None,
        "relative_spread": recipes.relative_spread(losses) if enough else None,
        "share_of_bound": recipes.share_of_bound(losses, sigma, dim) if enough else None,
    }


def _print_results(results: list[dict[str, Any]]) -> None:
    print("noise    steps  s/step  relative spread  share of the noised bound")
    for row in results:
        each = row["seconds"] / max(row["steps"], 1)
        numbers = [f"{row[key]:.3g}" if row[key] is not None else "-" for key in ("relative_spread", "share_of_bound")]
        print(f"{row['sigma']:<7g}  {row['steps']:>5}  {each:6.2f}  {numbers[0]:>15}  {numbers[1]:>25}")


def _drawn(losses: dict[float, list[float]], bound: float) -> bytes:
    from io import BytesIO

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    for ax, (sigma, kept) in zip(figure.subplots(1, len(losses)), losses.items(), strict=True):
        ax.plot(range(1, len(kept) + 1), kept, lw=0.8)
        ax.axhline(bound, color="#D55E00", ls="--", lw=0.8, label="no score gets below this on noised data")
        ax.set(title=f"noise {sigma:g}", xlabel="step", ylabel="loss")
        ax.legend(fontsize=8, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
