"""Explorers that the kernel draws: milliseconds from a control's move to the picture, beside those of a full draw.

    python tests/benchmarks/bench_explorers.py                        # 40 moves of each: a minute or two
    python tests/benchmarks/bench_explorers.py --moves 10 --only Ladder Grid
    python tests/benchmarks/bench_explorers.py --cpu                  # processor's time, on a machine that is not quiet
    NCSN_EDU_FIGURES_SHARP=1 python tests/benchmarks/bench_explorers.py      # pictures with twice the pixels

Each move, of a control at random, is made by two explorers in turn: one draws what has changed, one all. Nothing is
run: a net that is moved away from is not trained anew. Numbers are printed, never asserted: they belong to the machine
that made them.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ncsn_edu import datasets, widgets
from ncsn_edu.trained import load_any, load_trained
from ncsn_edu.widgets import Explorer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from moves import places


def digits() -> torch.Tensor:
    """Images (N, 1, 8, 8) in [0, 1]."""
    return datasets.load("digits", split="test")[0].float() / 255


def _sampling() -> Explorer:
    net = load_trained("digits")
    return widgets.SamplingExplorer(net.score, net.sigmas, net.shape)


def _inpainting() -> Explorer:
    net = load_trained("digits")
    return widgets.InpaintingExplorer(net.score, net.sigmas, digits()[:20], n_completions=6, n_steps_each=1)


# As notebooks show them, with shorter trainings; what lacks here takes nothing.
MADE: dict[str, Callable[[], Explorer]] = {
    "AnnealingExplorer": lambda: widgets.AnnealingExplorer(n_steps_each=5),
    "NoiseLevelExplorer": lambda: widgets.NoiseLevelExplorer(digits()),
    "SamplingExplorer": _sampling,
    "InpaintingExplorer": _inpainting,
    "LatentExplorer": lambda: widgets.LatentExplorer(load_any("vae_digits").net, digits()),
    "LadderExplorer": widgets.LadderExplorer,
    "ScheduleExplorer": widgets.ScheduleExplorer,
    "DdimExplorer": widgets.DdimExplorer,
    "DiffusionExplorer": widgets.DiffusionExplorer,
    "SolverExplorer": widgets.SolverExplorer,
    "GridExplorer": widgets.GridExplorer,
    "GuidanceExplorer": widgets.GuidanceExplorer,
    "ObjectiveExplorer": lambda: widgets.ObjectiveExplorer(n_steps=100),
    "ErrorExplorer": lambda: widgets.ErrorExplorer(n_steps=250),
    "ManifoldExplorer": lambda: widgets.ManifoldExplorer(n_steps=100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=list(MADE), metavar="NAME", help="as Ladder or LadderExplorer")
    parser.add_argument("--cpu", action="store_true", help="the processor's time of this thread instead")
    options = parser.parse_args()
    clock = time.thread_time if options.cpu else time.perf_counter
    torch.set_num_threads(1)
    print(f"{'explorer':22}{'median':>9}{'95 %':>9}{'full draw':>12}{'ratio':>9}{'kB':>7}  ms; median of ratios")
    for name in options.only:
        name = name.removesuffix("Explorer") + "Explorer"
        explorer, full = MADE[name](), MADE[name]()
        full._redraw.draw = full.figure.canvas.draw  # type: ignore[method-assign]
        ours, theirs = times(explorer, full, options.moves, clock)
        numbers = "".join(f"{1000 * value:9.1f}" for value in np.quantile(ours, [0.5, 0.95]))
        beside = f"{1000 * np.median(theirs):12.1f}{np.median(ours / theirs):9.2f}"
        print(f"{name:22}{numbers}{beside}{len(explorer.picture.value) / 1000:7.0f}", flush=True)


def times(explorer: Explorer, full: Explorer, moves: int, clock: Callable[[], float]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each move, (moves,), of two explorers."""
    draw, found = random.Random(0), np.empty((2, moves))
    for move in range(moves):
        name = draw.choice(list(explorer.controls))
        old = explorer.values[name]
        new = draw.choice([value for value in places(explorer.controls[name]) if value != old] or [old])
        for row, one in enumerate((explorer, full)):
            begin = clock()
            one.set(**{name: new})
            found[row, move] = clock() - begin
    return found[0], found[1]


if __name__ == "__main__":
    main()
