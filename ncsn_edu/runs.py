"""A training run in a folder: checkpoints and a log, stopped at any moment and gone on with exactly.

`log.jsonl` has a line for every `log_every` steps, and notes; `step-*.ckpt` is all one needs to go on, `best.ckpt` the
checkpoint with the lowest loss; where TensorBoard is installed, `events.*` hold the same numbers for it. This file does
NOT show progress, choose a device or know the command line.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from . import distributed
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
    labels: Tensor | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    resume: bool = False,
    start: tuple[nn.Module, int] | None = None,
    compiled: bool | str = False,
    log_every: int = 10,
    save_every: int | None = None,
    save_minutes: float = 10.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainState]:
    """Train by the recipe on uint8 images (N, C, H, W); yields each state after it is logged, and saved if it is due.

    labels       (N,): for a recipe whose net is told the class of each image
    resume       go on from the newest whole checkpoint in `folder`, as if there had been no stop; n_steps and cooldown
                 may be others than before
    start        (model, step): go on from weights alone, with a new optimiser, new averages and new draws
    save_every   save a checkpoint each so many steps, a multiple of log_every; not given: each `save_minutes`
    should_stop  asked after each step (in a process group at each line of the log); a last checkpoint is saved then

    In a process group all processes call this; the first one writes. A generator that is closed saves a last
    checkpoint as well, if it is the only process. Raises FileNotFoundError where there is nothing to resume,
    RecipeChanged where it was another recipe, FileExistsError where a run is there and resume was not asked.
    """
    states = training(recipe, images, labels=labels, seed=seed, device=device, compiled=compiled)
    keeper = Folder(folder)
    note = ""
    if resume:
        content = keeper.latest()
        _check_same(content["recipe"], content["seed"], recipe, seed)
        here, there = torch.device(device).type, content["device"]
        if here != there:
            note = f"resumed on {here}, and begun on {there}: the random draws from here on are new"
        states.load_state_dict(_of_this_process(content))
    elif keeper.steps():
        raise FileExistsError(f"{folder} holds a run already: go on with --resume, or choose another --out")
    elif start is not None:
        model, states.step = start
        for ours in (states.model, *([states.ema.model] if states.ema else [])):
            ours.load_state_dict(model.state_dict())
        states.model.train()
        note = f"from the weights of step {states.step}; the optimiser and the random draws are new"
    keeper.path.mkdir(parents=True, exist_ok=True)
    return _run(states, keeper, recipe, seed, log_every, save_every, 60 * save_minutes, should_stop, note)


def _run(
    states: Training,
    keeper: Folder,
    recipe: Images,
    seed: int,
    log_every: int,
    save_every: int | None,
    save_seconds: float,
    should_stop: Callable[[], bool],
    note: str,
) -> Iterator[TrainState]:
    alone = distributed.world_size() == 1
    recent: list[TrainState] = []  # since the last line of the log
    first, saved, loss, orderly, saved_at = states.step, states.step, math.inf, False, time.monotonic()
    with ExitStack() as files:
        log = files.enter_context(Log(keeper.path, first, note)) if distributed.rank() == 0 else None
        try:
            for state in states:
                recent.append(state)
                due = state.step % log_every == 0 or state.step == recipe.n_steps
                if due:
                    losses = distributed.gather(torch.cat([each.losses for each in recent]))
                    levels = distributed.gather(torch.cat([each.level for each in recent if each.level is not None]))
                    loss = losses.mean().item()
                    if log:
                        log.write(state.step, loss, mean_by_level(losses, levels, recipe.n_levels).tolist(), states)
                    recent.clear()
                    if save_every is not None:
                        late = state.step % save_every == 0
                    else:
                        late = distributed.any(time.monotonic() - saved_at > save_seconds)  # all save, or none
                    if late or state.step == recipe.n_steps:
                        _save(keeper, states, recipe, seed, loss)
                        saved, saved_at = state.step, time.monotonic()
                yield state
                if (alone or due) and distributed.any(should_stop()):
                    break
            orderly = True
        finally:
            # On Ctrl-C, or when the loop around this was left: whole steps only, as `states` is between two of them.
            # Of several processes the others may be elsewhere by then, and cannot join in.
            if states.step > saved and not states.broken and (orderly or alone):
                _save(keeper, states, recipe, seed, math.inf)


def _save(keeper: Folder, states: Training, recipe: Images, seed: int, loss: float) -> None:
    content = {**states.state_dict(), "recipe": asdict(recipe), "seed": seed}
    if distributed.world_size() > 1:
        content["processes"] = distributed.gather_object({name: content[name] for name in ("generator", "batches")})
    if distributed.rank() == 0:
        keeper.save(content, loss=loss)
    distributed.barrier()  # nobody reads it before it is there


def _of_this_process(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint, with what this process was to draw next."""
    then, now = content.get("processes") or [content], distributed.world_size()
    if len(then) != now:
        raise RecipeChanged(
            f"the run in the folder had {len(then)} processes, and this one has {now}: start as many, or go on "
            "from its weights alone: --from"
        )
    return {**content, **then[distributed.rank()]}


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


class Log(AbstractContextManager["Log"]):
    """log.jsonl: a line of numbers from time to time, and notes; and TensorBoard's events, where that is installed."""

    def __init__(self, folder: Path, step: int, note: str) -> None:
        self.path, self.first, self.note, self.files = folder / "log.jsonl", step, note, ExitStack()
        kept = _until(self.path, step) if step else []
        self.before = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
        self.compiled = False

    def __enter__(self) -> "Log":
        self.file = self.files.enter_context(open(self.path, "a", encoding="utf-8"))
        self.show = self.files.enter_context(_tensorboard(self.path.parent, self.first))
        self.began = time.monotonic()
        if self.note:
            self._print({"step": self.first, "note": self.note})
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    def write(self, step: int, loss: float, by_level: list[float], states: Training) -> None:
        """A line: means since the last one, and the seconds that the run has taken so far, all slices together."""
        if states.compile_seconds and not self.compiled:
            self.compiled = True
            self._print({"step": step, "note": f"compiled in {states.compile_seconds:.1f} s"})
        seconds = time.monotonic() - self.began
        line = {
            "step": step,
            "loss": _rounded(loss),
            "levels": [_rounded(mean) if math.isfinite(mean) else None for mean in by_level],
            "steps/s": _rounded((step - self.first) / max(seconds, 1e-9)),
            "seconds": round(self.before + seconds, 1),
        }
        self._print(line)
        self.show(line)

    def _print(self, line: dict[str, Any]) -> None:
        print(json.dumps(line), file=self.file, flush=True)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of numbers of a run's log: step, loss, levels, seconds."""
    return [line for line in _until(folder / "log.jsonl", None) if "loss" in line]


def summary(log: list[dict[str, Any]]) -> dict[str, list[float]]:
    """A log in short: step, loss and seconds of about 300 of its lines, and the loss by `levels` at the end.

    The last is a mean over the last 100 lines, NaN for a level that none of them had.
    """
    if not log:
        raise ValueError("the log is empty: has this run made its first steps?")
    some, end = log[:: max(1, len(log) // 300)], log[-100:]
    columns = {name: [line[name] for line in some] for name in ("step", "loss", "seconds")}
    by_level = zip(*(line["levels"] for line in end), strict=True)
    known = [[loss for loss in losses if loss is not None] for losses in by_level]
    return columns | {"levels": [fmean(losses) if losses else math.nan for losses in known]}


def _until(path: Path, step: int | None) -> list[dict[str, Any]]:
    """The lines of a log up to a step: those of later steps will be made again."""
    kept: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
            if step is None or line["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            break  # a line that was being written when the process was killed
    return kept


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
