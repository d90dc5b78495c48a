"""The manifold experiment (Song & Ermon 2019, Fig. 1): what the losses of its two runs say, as numbers and a picture.

This file does NOT train: recipes.py says what, runs.py does it.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from . import __version__
from .checks import check_count, check_positive
from .files import write_whole
from .logs import read_log, why_stopped

LEAST = 6  # losses, of which two are in the last third


def relative_spread(losses: Sequence[float]) -> float:
    """Standard deviation over |mean| of the last third of the losses: how restless the end of a run is.

    It counts a steady descent as spread too, and knows nothing of where the losses ought to be: see `share_of_bound`.
    """
    tail = _last_third(losses)
    return stdev(tail) / abs(fmean(tail))


def share_of_bound(losses: Sequence[float], sigma: float, dim: int) -> float:
    """The mean of the last third of the losses, as a share of the bound -dim / (2 sigma^2).

    No score gets below that bound in expectation on data with noise sigma, whatever the data: the optimum is
    -1/2 E||grad log p_sigma||^2, and by Tweedie's formula the score is -E[z | x~] / sigma, so that its mean square is
    at most E||z||^2 / sigma^2 = dim / sigma^2. Above 1 the losses belong to data that have no such noise.
    """
    return fmean(_last_third(losses)) / (-check_count("dim", dim) / (2 * check_positive("sigma", sigma) ** 2))


def _last_third(losses: Sequence[float]) -> list[float]:
    if len(losses) < LEAST:
        raise ValueError(f"at least {LEAST} losses are needed, to have two in their last third, not {len(losses)}")
    return [float(loss) for loss in losses[-(len(losses) // 3) :]]


def report(folder: Path, parts: Mapping[str, float], sigma: float, dim: int, about: Mapping[str, Any]) -> str:
    """A table of the runs in the folder, by name with their noise; the folder gets summary.json and losses.png as well.

    sigma and dim say where the bound is; about is what else is known, for the summary.
    """
    logs = {name: read_log(folder / name) for name in parts}
    losses = {parts[name]: [line["loss"] for line in log] for name, log in logs.items()}
    rows = [
        {
            "sigma": parts[name],
            "steps": len(log),
            "seconds": log[-1]["seconds"] if log else 0.0,
            **in_figures(losses[parts[name]], sigma, dim),
            "stopped": why_stopped(folder / name),
        }
        for name, log in logs.items()
    ]
    versions = {"ncsn_edu": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    write_whole(folder / "losses.png", drawn(losses, -dim / (2 * sigma**2)))
    summary = {**about, "runs": rows, "versions": versions}
    write_whole(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return f"{_table(rows)}\nsummary.json and losses.png are in {folder}"


def in_figures(losses: Sequence[float], sigma: float, dim: int) -> dict[str, float | None]:
    """What the losses of a run come to; None where there are too few to say."""
    enough = len(losses) >= LEAST
    return {
        "last_loss": losses[-1] if losses else None,
        "relative_spread": relative_spread(losses) if enough else None,
        "share_of_bound": share_of_bound(losses, sigma, dim) if enough else None,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["noise    steps  s/step  relative spread  share of the noised bound"]
    for row in rows:
        each = row["seconds"] / max(row["steps"], 1)
        numbers = [f"{row[key]:.3g}" if row[key] is not None else "-" for key in ("relative_spread", "share_of_bound")]
        lines.append(f"{row['sigma']:<7g}  {row['steps']:>5}  {each:6.2f}  {numbers[0]:>15}  {numbers[1]:>25}")
    return "\n".join(lines)


def drawn(losses: Mapping[float, Sequence[float]], bound: float) -> bytes:
    """The losses of each run, by its noise, as a PNG."""
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
