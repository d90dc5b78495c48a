"""What is drawn is what was given: read back from the artists, and from the pixels."""

import math

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
import torch
from helpers import F64, normal
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ncsn_edu import plots
from ncsn_edu.distributions import GaussianMixture

WIDE = (-2.0, 6.0, 1.0, 4.0)  # nothing about it is symmetric


@pytest.fixture
def ax():
    return Figure(figsize=(4, 4), dpi=100).subplots()


def colour_at(ax, x, y):
    """The red part, 0 to 255, of the pixel drawn at a point of the data."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    column, row = ax.transData.transform((x, y))
    return int(pixels[pixels.shape[0] - 1 - int(row), int(column), 0])


# ---- grids -----------------------------------------------------------------------------------------------------------


def test_a_grid_runs_row_by_row_from_the_bottom_left():
    points = plots.grid((-1, 3, 10, 12), 3)
    assert points.shape == (9, 2) and points.dtype == F64
    assert points.tolist() == [
        *([x, 10.0] for x in (-1.0, 1.0, 3.0)),
        *([x, 11.0] for x in (-1.0, 1.0, 3.0)),
        *([x, 12.0] for x in (-1.0, 1.0, 3.0)),
    ]
    assert plots.grid(2, 2).tolist() == [[-2, -2], [2, -2], [-2, 2], [2, 2]]


@pytest.mark.parametrize("extent", [2, 2.5, (-2, 2, -3, 1), [0, 1, 0, 1], np.array([0.0, 1, 0, 1])])
def test_extents(extent):
    left, right, bottom, top = plots.box(extent)
    if isinstance(extent, (int, float)):
        assert (left, right, bottom, top) == (-extent, extent, -extent, extent)
    else:
        assert [left, right, bottom, top] == list(extent)


@pytest.mark.parametrize(
    "extent", [0, -1.0, math.nan, (1, 0, 0, 1), (0, 1, 1, 0), (0, 1), (0, 1, 0, math.nan), (0, 0, 0, 1)]
)
@pytest.mark.parametrize(
    "draw",
    [
        lambda ax, extent: plots.grid(extent),
        lambda ax, extent: plots.heatmap(ax, lambda x: x[:, 0], extent=extent),
        lambda ax, extent: plots.density(ax, lambda x: x[:, 0], extent=extent),
        lambda ax, extent: plots.score_field(ax, lambda x, sigma: -x, extent=extent),
        lambda ax, extent: plots.scatter(ax, torch.zeros(2, 2), extent=extent),
        lambda ax, extent: plots.trajectories(ax, [torch.zeros(2, 2)] * 2, extent=extent),
    ],
)
def test_bad_extents_are_refused(ax, draw, extent):
    with pytest.raises(ValueError, match=r"extent must be a half width above 0, or \(left, right, bottom, top\)"):
        draw(ax, extent)


def test_a_bad_number_of_points_is_refused(ax):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        plots.heatmap(ax, lambda x: x[:, 0], extent=1, n=0)


# ---- heat maps -------------------------------------------------------------------------------------------------------


def test_a_heatmap_is_neither_flipped_nor_transposed(ax):
    def lower_right(points):  # dark in one place only
        return ((points[:, 0] > 4) & (points[:, 1] < 2)).double()

    assert plots.heatmap(ax, lower_right, extent=WIDE) is ax
    assert colour_at(ax, 5.5, 1.3) < 40
    for x, y in [(-1.5, 1.3), (5.5, 3.7), (-1.5, 3.7), (2.0, 2.5), (3.5, 1.3), (5.5, 2.4)]:
        assert colour_at(ax, x, y) > 200
    assert ax.get_xlim() == WIDE[:2] and ax.get_ylim() == WIDE[2:]


def test_the_values_of_a_heatmap(ax):
    values = plots.grid(WIDE, 50) @ torch.tensor([1.0, 10.0], dtype=F64)
    plots.heatmap(ax, values, extent=WIDE)
    plots.heatmap(ax, lambda points: points @ torch.tensor([1.0, 10.0], dtype=F64), extent=WIDE, n=50)
    given, computed = (image.get_array() for image in ax.images)
    assert np.array_equal(given, computed)
    half_x, half_y = 8 / 49 / 2, 3 / 49 / 2  # half a pixel: the outer pixels are centred on the edges
    assert ax.images[0].get_extent() == pytest.approx([-2 - half_x, 6 + half_x, 1 - half_y, 4 + half_y])
    assert (*ax.get_xlim(), *ax.get_ylim()) == WIDE
    assert ax.images[0].origin == "lower"
    assert given.shape == (50, 50)
    assert given[0, 0] == pytest.approx(-2 + 10) and given[0, -1] == pytest.approx(6 + 10)
    assert given[-1, 0] == pytest.approx(-2 + 40) and given[-1, -1] == pytest.approx(6 + 40)


def test_values_that_need_gradients_may_be_drawn_and_options_pass_through(ax):
    weights = torch.ones(2, dtype=F64, requires_grad=True)
    plots.heatmap(ax, lambda x: x @ weights, extent=1, n=5, cmap="magma", vmin=-7)
    assert ax.images[0].get_cmap().name == "magma" and ax.images[0].get_clim()[0] == -7


def test_density_draws_the_density_and_white_where_there_is_none(ax):
    mixture = GaussianMixture(torch.tensor([[3.0, -3.0]], dtype=F64), 0.5)
    assert plots.density(ax, mixture.log_prob, extent=8, n=81) is ax
    drawn = ax.images[0].get_array()
    assert drawn.sum() * (16 / 80) ** 2 == pytest.approx(1, rel=1e-3)
    assert drawn.max() == pytest.approx(1 / (2 * math.pi * 0.5), rel=1e-2)
    assert ax.images[0].get_clim()[0] == 0
    assert colour_at(ax, 3, -3) < 40
    assert colour_at(ax, -3, 3) > 240 and colour_at(ax, 3, 3) > 240 and colour_at(ax, -3, -3) > 240


# ---- arrows ----------------------------------------------------------------------------------------------------------


def lopsided(x, sigma):
    return torch.stack([2 * x[:, 0] + x[:, 1], 3 - x[:, 1]], 1) / (1 + sigma**2)


def test_arrows_point_along_the_score_and_keep_their_proportions(ax):
    assert plots.score_field(ax, lopsided, extent=WIDE, n=7) is ax
    (quiver,) = ax.collections
    at = torch.tensor(quiver.get_offsets(), dtype=F64)
    assert at.shape == (49, 2)
    s = lopsided(at, 0.0)
    drawn = torch.tensor(np.stack([quiver.U, quiver.V], 1), dtype=F64)
    ratio = (drawn * s).sum(1) / s.square().sum(1)
    assert torch.allclose(drawn, ratio[:, None] * s, atol=1e-9)  # the same direction
    assert torch.allclose(ratio, ratio[0]) and ratio[0] > 0  # and one scale for all
    cell = (WIDE[1] - WIDE[0]) / 7
    assert 0.5 * cell < drawn.norm(dim=1).max() < 1.5 * cell
    assert (quiver.angles, quiver.scale_units, quiver.scale) == ("xy", "xy", 1)  # in units of the data
    assert at[:, 0].min() == pytest.approx(WIDE[0] + cell / 2) and at[:, 0].max() == pytest.approx(WIDE[1] - cell / 2)
    assert ax.get_xlim() == WIDE[:2] and ax.get_ylim() == WIDE[2:]


def test_arrows_longer_than_the_longest_allowed_are_cut_and_keep_their_direction(ax):
    plots.score_field(ax, lopsided, extent=WIDE, n=7, max_length=4.0)
    (quiver,) = ax.collections
    s = lopsided(torch.tensor(quiver.get_offsets(), dtype=F64), 0.0)
    drawn = torch.tensor(np.stack([quiver.U, quiver.V], 1), dtype=F64)
    length, got = s.norm(dim=1), drawn.norm(dim=1)
    assert torch.allclose((drawn * s).sum(1), got * length)
    long = length > 4
    assert 0 < long.sum() < 49
    assert torch.allclose(got[long], got.max())
    assert torch.allclose(got[~long], length[~long] / 4 * got.max())


def test_arrows_are_of_the_asked_noise_level_and_of_any_score(ax):
    seen = []

    def score(x, sigma):
        seen.append(sigma)
        return (0 * x).requires_grad_()  # no arrow at all, and autograd on

    plots.score_field(ax, score, extent=1, sigma=0.7, n=3, color="red")
    assert seen == [0.7]
    (quiver,) = ax.collections
    assert np.array_equal(quiver.U, np.zeros(9)) and np.array_equal(quiver.V, np.zeros(9))
    assert mpl.colors.same_color(quiver.get_facecolor()[0], "red")


# ---- points and lines ------------------------------------------------------------------------------------------------


def test_scatter_draws_each_sample_where_it_is(ax):
    x = normal(20, 2).requires_grad_()
    assert plots.scatter(ax, x, extent=WIDE, color="k") is ax
    (dots,) = ax.lines
    assert np.array_equal(dots.get_xydata(), x.detach().numpy())
    assert dots.get_linestyle() == "None" and dots.get_color() == "k"
    assert ax.get_xlim() == WIDE[:2] and ax.get_ylim() == WIDE[2:]


def test_trajectories_are_one_line_a_chain_and_end_in_a_dot(ax):
    path = [normal(3, 2, seed=i) for i in range(5)]
    assert plots.trajectories(ax, iter(path), extent=(-9, 9, -8, 8)) is ax
    *lines, dots = ax.lines
    assert len(lines) == 3
    for b, line in enumerate(lines):
        assert np.array_equal(line.get_xydata(), torch.stack([x[b] for x in path]).numpy())
    assert np.array_equal(dots.get_xydata(), path[-1].numpy())
    assert dots.get_marker() == "o" and dots.get_linestyle() == "None"
    assert ax.get_xlim() == (-9, 9) and ax.get_ylim() == (-8, 8)


def test_an_interval_lies_between_its_edges(ax):
    assert plots.interval(ax, [0, 1, 2], [1.0, 2.0, 0.0], [3.0, 2.5, 4.0]) is ax
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(0, 1), (1, 2), (2, 0), (0, 3), (1, 2.5), (2, 4)}


def test_the_style_is_one_for_all_and_its_colours_differ():
    with mpl.rc_context():
        plots.use_style()
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert cycle[0] == plots.BLUE and len(set(cycle)) == 6
        assert not mpl.rcParams["axes.spines.top"]


READERS = {  # of a matplotlibrc
    "text.usetex": True,
    "font.family": "serif",
    "axes.grid": True,
    "axes.facecolor": "0.2",
    "figure.dpi": 250,
    "figure.facecolor": "yellow",
    "lines.linewidth": 9,
    "axes.prop_cycle": mpl.cycler(color=["pink"]),
    "axes.spines.top": True,
    "xtick.direction": "in",
    "path.sketch": (1, 100, 2),
}


def drawn() -> bytes:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 3, 2], label="a"), figure.axes[0].set_title("$x^2$"), figure.axes[0].legend()
    FigureCanvasAgg(figure).draw()
    return bytes(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("given", [READERS, "dark_background", "seaborn-v0_8-poster"])
def test_the_style_does_not_depend_on_the_reader_s_own_settings(given):
    with mpl.rc_context():
        plots.use_style()
        wanted = drawn()
    with mpl.rc_context(READERS) if isinstance(given, dict) else mpl.style.context(given):
        before = mpl.rcParams["figure.facecolor"], mpl.rcParams["axes.prop_cycle"]
        with plots.style():
            assert drawn() == wanted
        assert (mpl.rcParams["figure.facecolor"], mpl.rcParams["axes.prop_cycle"]) == before
        plots.use_style()
        assert drawn() == wanted


def test_how_figures_are_shown_stays_the_reader_s_choice():
    with mpl.rc_context({"interactive": True, "timezone": "Europe/Berlin"}):
        backend = mpl.rcParams._get("backend")
        plots.use_style()
        assert mpl.rcParams["interactive"] and mpl.rcParams._get("backend") == backend


def test_heatmap_pixels_are_centred_on_their_points(ax):
    plots.heatmap(ax, torch.arange(25.0), extent=2, n=5)
    assert ax.images[0].get_extent() == [-2.5, 2.5, -2.5, 2.5]  # five points from -2 to 2, one apart
    assert ax.get_xlim() == (-2, 2)


# ---- levels ----------------------------------------------------------------------------------------------------------


def test_a_figure_by_level_begins_at_the_largest_with_a_tick_at_each(ax):
    ax.plot([0.02, 5.0], [0.0, 1.0])
    assert plots.level_axis(ax, torch.tensor([4.0, 1.0, 0.25])) is ax
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "1", "0.25"]
    place = [ax.transData.transform((level, 0))[0] for level in (4.0, 1.0, 0.25)]
    left, right = ax.get_window_extent().intervalx
    gap = (right - left) / 3  # half of it beside the first and the last
    assert place == pytest.approx([left + gap / 2, left + 1.5 * gap, left + 2.5 * gap])
    assert not ax.xaxis.get_minorticklocs().size


def test_one_level_has_an_axis_too(ax):
    plots.level_axis(ax, torch.tensor([0.5]))
    left, right = ax.get_xlim()
    assert left > 0.5 > right > 0
