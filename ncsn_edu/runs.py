"""A training run in a folder: checkpoints and a log, stopped at any moment and resumed exactly.

`log.jsonl` has a line for every `log_every` steps, and notes; `step-*.ckpt` is all that is needed to resume, and
`best.ckpt` the checkpoint with the lowest loss; where TensorBoard is installed, `events.*` hold the same numbers for
it. This file does NOT show progress, choose a device or know the command line.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import distributed
from .checkpoints import Folder
from .logs import EVENTS, LOG, STOPPED, Log, why_stopped
from .recipes import Recipe, from_json, settings, to_json
from .training import Training, TrainState, mean_by_level

RESULTS = ("*.ckpt", "best.json", LOG, EVENTS, "summary.json", "losses.png")


class RecipeChanged(ValueError):
    """The folder holds a run with other settings."""


def run(
    recipe: Recipe,
    images: Tensor,
    folder: Path,
    *,
    labels: Tensor | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    resume: bool = False,
    start: tuple[nn.Module, int] | None = None,
    compiled: bool | str = False,
    log_every: int | None = None,
    save_every: int | None = None,
    save_minutes: float = 10.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainState]:
    """Train by the recipe on uint8 images (N, C, H, W); yields each state after it is logged, and saved if it is due.

    labels       (N,): for a recipe whose net is told the class of each image
    resume       start at the newest whole checkpoint in `folder`, as if there had been no stop; n_steps and cooldown
                 may be others than before
    start        (model, step): start from weights alone, with a new optimiser, new averages and new draws
    log_every    steps from one line of the log to the next; not given: as the recipe says
    save_every   save a checkpoint each so many steps, a multiple of log_every; not given: each `save_minutes`
    should_stop  asked after each step (in a process group at each line of the log); a last checkpoint is saved then

    In a process group all processes call this; the first one writes. A generator that is closed saves a last
    checkpoint as well, if it is the only process. Raises FileNotFoundError where there is nothing to resume,
    RecipeChanged where it was another recipe, FileExistsError where a run is there and resume was not asked.
    """
    states = recipe.training(images, labels, seed=seed, device=device, compiled=compiled)
    saves = Saves(states, Folder(folder), recipe, seed, save_every, 60 * save_minutes)
    note = saves.resume() if resume else _begin(states, saves, start)
    return _run(states, saves, log_every or recipe.log_every, should_stop, note)


def _begin(states: Training, saves: "Saves", start: tuple[nn.Module, int] | None) -> str:
    """Make the folder of a run ready; from the weights of a model if one is given. Returns what is to be said of it."""
    folder = saves.folder.path
    if saves.folder.steps():
        raise FileExistsError(f"{folder} holds a run already: use --resume, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    for events in folder.glob(EVENTS) if distributed.rank() == 0 else ():
        events.unlink()  # a try that was killed before its first checkpoint leaves some
    if start is None:
        return ""
    model, step = start
    states.begin_at(step)
    saves.step = step
    for ours in (states.model, *([states.ema.model] if states.ema else [])):
        ours.load_state_dict(model.state_dict())
    return f"from the weights of step {step}; the optimiser and the random draws are new"


def run_all(
    recipe: Recipe, images: Tensor, folder: Path, *, resume: bool = False, **options: Any
) -> Iterator[tuple[str, Iterator[TrainState]]]:
    """The runs that a recipe is made of, each by its name and with its states, to be run through one after the other.

    resume  each that has begun is resumed, and the others begin; one that diverged stays as it is. Raises
            FileNotFoundError where none has begun
    """
    begun = [name for name in recipe.runs() if Folder(folder / name).steps()]
    for name, part in recipe.runs().items():
        if resume and recipe.may_diverge and why_stopped(folder / name):
            yield name, iter(())  # it has come to its end, though not to its last step
        else:
            again = resume and (name in begun or not begun)
            yield name, run(part, images, folder / name, resume=again, **options)


def clear(folder: Path) -> None:
    """Delete the results of earlier runs, also those in folders of their own: half old and half new would mislead."""
    for path in {folder, *(log.parent for log in folder.glob(f"*/{LOG}"))}:
        for old in [each for pattern in RESULTS for each in path.glob(pattern)]:
            old.unlink()
        if path != folder and not any(path.iterdir()):
            path.rmdir()


def _run(
    states: Training, saves: "Saves", log_every: int, should_stop: Callable[[], bool], note: str
) -> Iterator[TrainState]:
    alone = distributed.world_size() == 1
    recent: list[TrainState] = []  # since the last line of the log
    with ExitStack() as files:
        log = files.enter_context(Log(saves.folder.path, states.step, note)) if distributed.rank() == 0 else None
        try:
            for state in states:
                recent.append(state)
                due = state.step % log_every == 0 or state.step == states.n_steps
                if due:
                    states.check()  # the log waits for the losses anyway
                    loss, by_level = _means(recent, saves.recipe.n_levels)
                    if log:
                        log.write(state.step, loss, by_level, states.compile_seconds)
                    recent.clear()
                    if saves.are_due():
                        saves.save(loss)
                yield state
                if (alone or due) and distributed.any(should_stop()):
                    break
            if states.step > saves.step:
                saves.save(math.inf)
        except FloatingPointError as error:
            if log:
                log.note(states.step, f"{STOPPED}{error}")
            raise
        finally:
            # On Ctrl-C, or when the loop around this was left: whole steps only, as `states` is between two of them.
            # Of several processes the others may be elsewhere by then, and cannot join in.
            if states.step > saves.step and not states.broken and alone:
                saves.save(math.inf)


def _means(recent: list[TrainState], n_levels: int) -> tuple[float, list[float]]:
    """Mean loss of these steps, over all processes; and by level, where there are levels."""
    losses = distributed.gather(torch.cat([each.losses for each in recent]))
    levels = [each.level for each in recent if each.level is not None]
    by_level = mean_by_level(losses, distributed.gather(torch.cat(levels)), n_levels).tolist() if levels else []
    return losses.mean().item(), by_level


class Saves:
    """The checkpoints of a run: when they are due, and what is in them."""

    def __init__(
        self, states: Training, folder: Folder, recipe: Recipe, seed: int, every: int | None, seconds: float
    ) -> None:
        self.states, self.folder, self.recipe, self.seed = states, folder, recipe, seed
        self.every, self.seconds = every, seconds
        self.step, self.at = states.step, time.monotonic()  # of the last one

    def are_due(self) -> bool:
        """Whether to save after this step; the same in all processes."""
        step = self.states.step
        if step == self.states.n_steps:
            return True
        if self.every is not None:
            return step % self.every == 0
        return distributed.any(time.monotonic() - self.at > self.seconds)

    def save(self, loss: float) -> None:
        """All that is needed to resume, in all processes."""
        content = {**self.states.state_dict(), "recipe": to_json(self.recipe), "seed": self.seed}
        if distributed.world_size() > 1:
            mine = {name: content[name] for name in ("generators", "batches")}
            content["processes"] = distributed.gather_object(mine)
        if distributed.rank() == 0:
            self.folder.save(content, loss=loss)
        distributed.barrier()  # nobody reads it before it is there
        self.step, self.at = self.states.step, time.monotonic()

    def resume(self) -> str:
        """Bring the training to the newest whole checkpoint; returns what is to be said of it."""
        content = self.folder.latest()
        _check_same(content["recipe"], content["seed"], self.recipe, self.seed)
        self.states.load_state_dict(_of_this_process(content))
        self.step = self.states.step
        here, there = self.states.device.type, content["device"]
        return f"resumed on {here}, and begun on {there}: the random draws from here on are new" * (here != there)


def _of_this_process(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint, with what this process was to draw next."""
    then, now = content.get("processes") or [content], distributed.world_size()
    if len(then) != now:
        raise RecipeChanged(
            f"the run in the folder had {len(then)} processes, and this one has {now}: start as many, or begin "
            "from its weights alone: --from"
        )
    return {**content, **then[distributed.rank()]}


def _check_same(then: dict[str, Any], seed_then: int, recipe: Recipe, seed: int) -> None:
    try:
        before = {**settings(from_json(then)), "seed": seed_then}
    except (ValueError, TypeError) as error:
        raise RecipeChanged(
            f"the run in the folder is of another version ({error}): start anew in another --out"
        ) from error
    now = {**settings(recipe), "seed": seed}
    may_change = ("n_steps", "cooldown")  # they say how the run ends, and nothing about what was done so far
    differing = [name for name in before | now if before.get(name) != now.get(name) and name not in may_change]
    if differing:
        changed = ", ".join(f"{name} {before.get(name)!r} -> {now.get(name)!r}" for name in differing)
        raise RecipeChanged(f"the run in the folder has other settings ({changed}): give the same, or another --out")
