"""The log of a run: a line of JSON from time to time, and TensorBoard's events, where that is installed.

A run that was stopped is resumed in the same file; its seconds are those of all slices together. This file does NOT
know what is trained.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

LOG, EVENTS = "log.jsonl", "events.out.tfevents.*"
STOPPED = "stopped: "  # begins the note of a run whose loss was no longer finite


class Log(AbstractContextManager["Log"]):
    """log.jsonl: a line of numbers from time to time, and notes; and TensorBoard's events, where that is installed."""

    def __init__(self, folder: Path, step: int, note: str) -> None:
        self.path, self.first, self.note_at_start, self.files = folder / LOG, step, note, ExitStack()
        kept = _until(self.path, step) if step else []
        self.before = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
        self.compiled = False

    def __enter__(self) -> "Log":
        self.file = self.files.enter_context(open(self.path, "a", encoding="utf-8"))
        self.show = self.files.enter_context(_tensorboard(self.path.parent, self.first))
        self.began = time.monotonic()
        if self.note_at_start:
            self.note(self.first, self.note_at_start)
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    def write(self, step: int, loss: float, by_level: list[float], compile_seconds: float | None = None) -> None:
        """A line: means since the last one, and the seconds that the run has taken so far, all slices together."""
        if compile_seconds and not self.compiled:
            self.compiled = True
            self.note(step, f"compiled in {compile_seconds:.1f} s")
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

    def note(self, step: int, text: str) -> None:
        """A line of words."""
        self._print({"step": step, "note": text})

    def _print(self, line: dict[str, Any]) -> None:
        print(json.dumps(line), file=self.file, flush=True)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of numbers of a run's log: step, loss, levels, seconds."""
    return [line for line in _until(folder / LOG, None) if "loss" in line]


def why_stopped(folder: Path) -> str:
    """The error that ended a run whose loss was no longer finite, or ""."""
    notes = [line["note"] for line in _until(folder / LOG, None) if "note" in line]
    return notes[-1].removeprefix(STOPPED) if notes and notes[-1].startswith(STOPPED) else ""


def summary(log: list[dict[str, Any]]) -> dict[str, list[float]]:
    """A log in short: step, loss and seconds of about 300 of its lines, and the loss by `levels` at the end.

    The last is a mean over the last 100 lines, NaN for a level that none of them had.
    """
    if not log:
        raise ValueError("the log is empty: has this run made its first steps?")
    some, end = log[:: max(1, len(log) // 300)], log[-100:]
    columns = {name: [line[name] for line in some] for name in ("step", "loss", "seconds")}
    rows = [[math.nan if loss is None else loss for loss in line["levels"]] for line in end]
    by_level = torch.tensor(rows, dtype=torch.float64)
    return columns | {"levels": by_level.nanmean(0).tolist()}


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
