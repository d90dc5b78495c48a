"""Pictures of two-dimensional things and of images: each function takes an Axes, draws on it and returns it.

One look for all: call `use_style()` once. A density is a heat map, a score field arrows, samples dots. `extent` is
(left, right, bottom, top) or a single number h for (-h, h, -h, h). This file does NOT compute scores, nor save figures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import rcsetup
from matplotlib.axes import Axes
from torch import Tensor

from .checks import check_count
from .core import Score
from .pictures import tile

Extent = float | tuple[float, float, float, float]

# Colour-blind safe (Okabe & Ito 2008), dark enough on white.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#A6528A", "#767676"
DENSITY_MAP = "Blues"

STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 120,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": rcsetup.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, GREY]),
    "legend.frameon": False,
    "image.cmap": "viridis",
}


def use_style() -> None:
    """Give all figures of this Python process the look of the collection, whatever the reader's own settings are.

    It starts from Matplotlib's defaults, as figures are compared with stored ones: a matplotlibrc with LaTeX, other
    fonts or a grid would change each of them. What shows figures (backend, interactive) stays the reader's choice.
    """
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)


@contextmanager
def style() -> Iterator[None]:
    """The same look for what is drawn within, and the reader's settings again after it."""
    with mpl.rc_context():
        use_style()
        yield


def grid(extent: Extent, n: int = 100) -> Tensor:
    """The n x n points of a regular grid, row by row from the bottom left, shape (n * n, 2), float64."""
    left, right, bottom, top = box(extent)
    n = check_count("n", n)
    y, x = torch.meshgrid(
        torch.linspace(bottom, top, n, dtype=torch.float64),
        torch.linspace(left, right, n, dtype=torch.float64),
        indexing="ij",
    )
    return torch.stack([x.flatten(), y.flatten()], 1)


def heatmap(
    ax: Axes, values: Callable[[Tensor], Tensor] | Tensor, *, extent: Extent, n: int = 100, **imshow: Any
) -> Axes:
    """A function of points (B, 2) -> (B,), or its values on grid(extent, n), as colours."""
    drawn = (values if isinstance(values, Tensor) else values(grid(extent, n))).detach().cpu()
    side = round(len(drawn.flatten()) ** 0.5)
    options: dict[str, Any] = {
        "cmap": DENSITY_MAP,
        "origin": "lower",
        "extent": _around(extent, side),
        "interpolation": "bilinear",
        "aspect": "equal",
    }
    ax.imshow(drawn.reshape(side, side).numpy(), **(options | imshow))
    return _frame(ax, extent)


def density(ax: Axes, log_prob: Callable[[Tensor], Tensor], *, extent: Extent, n: int = 120, **imshow: Any) -> Axes:
    """The density exp(log_prob), white where there is none."""
    return heatmap(ax, lambda x: log_prob(x).exp(), extent=extent, n=n, **({"vmin": 0} | imshow))


def score_field(
    ax: Axes,
    score: Score,
    *,
    extent: Extent,
    sigma: float = 0.0,
    n: int = 20,
    max_length: float | None = None,
    **quiver: Any,
) -> Axes:
    """Arrows of score(x, sigma) on an n x n grid.

    Arrows are true to scale among themselves, the longest a little longer than a cell. With max_length (in units of
    the score) that is the longest drawn: arrows beyond it are cut to it, keeping their direction.
    """
    points = grid(_inset(extent, n), n)
    ax.quiver(*points.T.numpy(), *arrows(score, points, sigma, extent, n, max_length).T, **(QUIVER | quiver))
    return _frame(ax, extent)


QUIVER: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.0035, "color": "#303030"}


def arrows(
    score: Score, points: Tensor, sigma: float, extent: Extent, n: int, max_length: float | None = None
) -> np.ndarray:
    """The arrows that score_field draws, in data units, shape (n * n, 2)."""
    s = score(points, sigma).detach().cpu()
    length = s.norm(dim=1, keepdim=True)
    longest = length.max().clamp(min=1e-12) if max_length is None else torch.tensor(float(max_length))
    left, right, *_ = box(extent)
    direction, share = s / length.clamp(min=1e-12), (length / longest).clamp(max=1)
    return (direction * share * (right - left) / n * 1.1).numpy()


def scatter(ax: Axes, x: Tensor, *, extent: Extent | None = None, **options: Any) -> Axes:
    """Samples x (B, 2) as dots."""
    look: dict[str, Any] = {"ls": "", "marker": ".", "ms": 2.5, "alpha": 0.6, "color": ORANGE}
    ax.plot(*x.detach().cpu().T.numpy(), **(look | options))
    return ax if extent is None else _frame(ax, extent)


def trajectories(ax: Axes, path: Iterable[Tensor], *, extent: Extent | None = None, **options: Any) -> Axes:
    """Chains as lines: path is the sequence of x (B, 2) over time; the end is a dot."""
    steps = torch.stack(list(path)).detach().cpu().numpy()  # (T, B, 2)
    ax.plot(steps[:, :, 0], steps[:, :, 1], **({"lw": 0.7, "alpha": 0.7} | options))
    ax.plot(*steps[-1].T, ls="", marker="o", ms=3, color="black")
    return ax if extent is None else _frame(ax, extent)


def images(ax: Axes, x: Tensor, *, columns: int | None = None, gap: int = 1, **imshow: Any) -> Axes:
    """Images x (B, C, H, W), grey or colour, side by side; values beyond [0, 1] are cut off for the display."""
    options: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    ax.imshow(tile(x, columns, gap=gap).numpy(), **(options | imshow))
    ax.set_axis_off()
    return ax


def interval(ax: Axes, x: Sequence[float], low: Sequence[float], high: Sequence[float], **options: Any) -> Axes:
    """A band between low and high over x."""
    ax.fill_between(np.asarray(x), np.asarray(low), np.asarray(high), **({"alpha": 0.25, "lw": 0} | options))
    return ax


def level_axis(ax: Axes, sigmas: Tensor) -> Axes:
    """The axis of a figure by noise level: logarithmic, the largest sigma left, a tick at each level of sigmas (L,)."""
    levels = sigmas.detach().cpu().double().numpy()
    ax.set_xscale("log")
    ax.set_xticks(levels, [f"{level:.2g}" for level in levels], fontsize=8)
    ax.minorticks_off()
    ratio = (levels[0] / levels[-1]) ** (1 / (len(levels) - 1)) if len(levels) > 1 else 2.0
    half = ratio**0.5  # half a level, so that nothing lies on the edge
    ax.set(xlim=(levels[0] * half, levels[-1] / half), xlabel=r"$\sigma$")
    return ax


def box(extent: Extent) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) from a half width or from four numbers."""
    edges = (-extent, extent, -extent, extent) if isinstance(extent, (int, float)) else tuple(map(float, extent))
    if len(edges) != 4 or not (edges[0] < edges[1] and edges[2] < edges[3]):
        raise ValueError(f"extent must be a half width above 0, or (left, right, bottom, top), not {extent!r}")
    return edges


def _inset(extent: Extent, n: int) -> tuple[float, float, float, float]:
    """The box drawn in by half a cell, so that arrows stand in the middle of their cells."""
    left, right, bottom, top = box(extent)
    dx, dy = (right - left) / n / 2, (top - bottom) / n / 2
    return left + dx, right - dx, bottom + dy, top - dy


def _around(extent: Extent, n: int) -> tuple[float, float, float, float]:
    """The box let out by half a pixel, so that the pixels of n x n grid points are centred on them."""
    left, right, bottom, top = box(extent)
    dx, dy = (right - left) / (n - 1) / 2, (top - bottom) / (n - 1) / 2
    return left - dx, right + dx, bottom - dy, top + dy


def _frame(ax: Axes, extent: Extent) -> Axes:
    left, right, bottom, top = box(extent)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    return ax
