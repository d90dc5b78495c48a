"""A training run in a folder: checkpoints and a log, stopped at any moment and gone on with exactly.

`log.jsonl` has a line for every `log_every` steps, `step-*.ckpt` all that is needed to go on, `best.ckpt` the
checkpoint with the lowest loss; where TensorBoard is installed, `events.*` hold the same numbers for it. This file does
NOT show progress, choose a device or know the command line.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoints import Folder
from .recipes import Images, training
from .train import Training, TrainState, mean_by_level


class RecipeChanged(ValueError):
    """The folder holds a run with other settings."""


def run(
    recipe: Images,
    images: Tensor,
    folder: Path,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    resume: bool = False,
    log_every: int = 10,
    save_every: int = 500,
) -> Iterator[TrainState]:
    """Train by the recipe on uint8 images (N, C, H, W); yields each state after it is logged, and saved if it is due.

    resume goes on from the newest whole checkpoint in `folder`, as if there had been no stop; n_steps and cooldown may
    be others than before.
    A generator that is closed, or a Ctrl-C, saves a last checkpoint. Raises FileNotFoundError where there is nothing to
    resume, RecipeChanged where it was another recipe, FileExistsError where a run is there and resume was not asked.
    """
    states, keeper = training(recipe, images, seed=seed, device=device), Folder(folder)
    if resume:
        content = keeper.latest()
        _check_same(content["recipe"], content["seed"], recipe, seed)
        states.load_state_dict(content)
    elif keeper.steps():
        raise FileExistsError(f"{folder} holds a run already: go on with --resume, or choose another --out")
    return _run(states, keeper, recipe, seed, log_every, save_every)


def _run(
    states: Training, keeper: Folder, recipe: Images, seed: int, log_every: int, save_every: int
) -> Iterator[TrainState]:
    recent: list[TrainState] = []  # since the last line of the log
    began, first, saved = time.monotonic(), states.step, states.step
    keeper.path.mkdir(parents=True, exist_ok=True)
    with _log_until(keeper.path / "log.jsonl", states.step) as log, _tensorboard(keeper.path, first) as show:
        try:
            for state in states:
                recent.append(state)
                if state.step % log_every == 0 or state.step == recipe.n_steps:
                    speed = (state.step - first) / max(time.monotonic() - began, 1e-9)
                    losses = torch.cat([state.losses for state in recent])
                    by_level = mean_by_level(losses, torch.cat([state.level for state in recent]), recipe.n_levels)
                    means = [_rounded(mean) if math.isfinite(mean) else None for mean in by_level.tolist()]
                    loss = losses.mean().item()
                    line = {"step": state.step, "loss": _rounded(loss), "levels": means, "steps/s": _rounded(speed)}
                    print(json.dumps(line), file=log, flush=True)
                    show(line)
                    if state.step % save_every == 0 or state.step == recipe.n_steps:
                        _save(keeper, states, recipe, seed, loss)
                        saved = state.step
                    recent.clear()
                yield state
        finally:
            # On Ctrl-C, or when the loop around this was left: whole steps only, as `states` is between two of them.
            if states.step > saved and not states.broken:
                _save(keeper, states, recipe, seed, math.inf)


def _save(keeper: Folder, states: Training, recipe: Images, seed: int, loss: float) -> None:
    keeper.save({**states.state_dict(), "recipe": asdict(recipe), "seed": seed}, loss=loss)


def _check_same(then: dict[str, Any], seed_then: int, recipe: Images, seed: int) -> None:
    now = {**asdict(recipe), "seed": seed}
    then = {**asdict(Images(recipe.data)), **then, "seed": seed_then}  # a setting that is younger than the run: default
    may_change = ("n_steps", "cooldown")  # they say how the run ends, and nothing about what was done so far
    differing = [name for name in now if then.get(name) != now[name] and name not in may_change]
    changed = [f"{name} {then.get(name)!r} -> {now[name]!r}" for name in differing]
    if changed:
        raise RecipeChanged(
            f"the run in the folder has other settings ({', '.join(changed)}): give the same, or choose another --out"
        )


def _log_until(path: Path, step: int) -> Any:
    """The log, opened to go on after `step`: lines of steps that will be made again are dropped."""
    kept = []
    if path.exists() and step:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                break  # a line that was being written when the process was killed
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return open(path, "a", encoding="utf-8")


@contextmanager
def _tensorboard(folder: Path, step: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What shows a line of the log in TensorBoard; does nothing where that is not installed.

    Steps after `step` from before the run was stopped are hidden: they will be made again.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda line: None
        return

    def show(line: dict[str, Any]) -> None:
        writer.add_scalar("loss", line["loss"], line["step"])
        for i, mean in enumerate(line["levels"], start=1):
            if mean is not None:
                writer.add_scalar(f"loss by level/{i:03d}", mean, line["step"])

    with SummaryWriter(folder, purge_step=step + 1 if step else None) as writer:
        yield show


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
