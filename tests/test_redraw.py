"""A picture of which only what has changed is drawn anew is that of a full draw, to the last pixel."""

import io
import random

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Bbox
from moves import places
from PIL import Image

from ncsn_edu import widgets
from ncsn_edu.distributions import Empirical
from ncsn_edu.nets.vae import ConvVAE
from ncsn_edu.schedules import geometric
from ncsn_edu.widgets import Explorer
from ncsn_edu.widgets.base import RunningExplorer, as_png, put
from ncsn_edu.widgets.redraw import Redraw

IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SCORE, LADDER = Empirical(IMAGES), geometric(1.0, 0.1, 3)


def vae() -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(1, 8, 4).eval().requires_grad_(False)


# With few steps, as the steps are not looked at.
MADE = {
    "AnnealingExplorer": lambda kind: kind(n_levels=3, n_steps_each=5),
    "DiffusionExplorer": lambda kind: kind(n_steps=10),
    "ObjectiveExplorer": lambda kind: kind(n_steps=100),
    "ErrorExplorer": lambda kind: kind(n_steps=250),
    "ManifoldExplorer": lambda kind: kind(n_steps=100),
    "NoiseLevelExplorer": lambda kind: kind(IMAGES),
    "SamplingExplorer": lambda kind: kind(SCORE, LADDER, (1, 8, 8), n=4, n_steps_each=3),
    "InpaintingExplorer": lambda kind: kind(SCORE, LADDER, IMAGES, n_steps_each=3),
    "ResamplingExplorer": lambda kind: kind(SCORE, LADDER, IMAGES, n_levels=3, n_times=2),
    "LatentExplorer": lambda kind: kind(vae(), IMAGES),
}
KINDS = [kind for name, kind in sorted(vars(widgets).items()) if name.endswith("Explorer")]
DRAWN = [kind for kind in KINDS if kind not in (Explorer, RunningExplorer, widgets.TrainingExplorer)]


def test_all_are_here():
    """Those that run in the page as well: Matplotlib draws what a stored notebook shows of them."""
    assert len(DRAWN) == 18 and {*MADE} <= {kind.__name__ for kind in DRAWN}


@pytest.mark.parametrize("kind", DRAWN)
def test_explorers_show_what_a_full_draw_shows(kind):
    """Moved at random, beside a twin that draws all of its figure each time."""
    explorer, twin = (MADE.get(kind.__name__, lambda kind: kind())(kind) for _ in range(2))
    assert explorer.picture.value == twin.picture.value
    twin._redraw.draw = twin.figure.canvas.draw
    draw = random.Random(0)
    for turn in range(5):
        for each in draw.sample(list(explorer.controls), 2 if turn % 2 else 1):
            value = draw.choice(places(explorer.controls[each]))
            for one in (explorer, twin):
                one.set(**{each: value})
        assert explorer.picture.value == twin.picture.value, explorer
    lines = explorer.figure.findobj(Line2D)  # Matplotlib looks at a tensor's first number by making all of them
    assert not [line for line in lines if any(isinstance(data, torch.Tensor) for data in line.get_data(orig=True))]
    if isinstance(explorer, widgets.TrainingExplorer):
        return
    for one in (explorer, twin):
        if isinstance(one, RunningExplorer):
            one.run()
    assert explorer.picture.value == twin.picture.value


@pytest.mark.parametrize("size", [(3.33, 1.77), (1, 1), (0.01, 0.02)])
def test_pictures_are_files_that_another_library_reads(size):
    figure = Figure(figsize=size, dpi=101, facecolor="tan")
    FigureCanvasAgg(figure)
    figure.add_axes((0, 0, 0.6, 0.6)).imshow(np.random.default_rng(0).random((7, 7)))
    figure.canvas.draw()
    with Image.open(io.BytesIO(as_png(figure))) as found:
        found.load()
        assert (found.format, found.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(found), np.asarray(figure.canvas.buffer_rgba())[:, :, :3])


# ---- what may be done to a figure ----------------------------------------------------------------------------------


def drawn() -> tuple[Figure, dict]:
    """A figure with two axes, a colour bar, and an image without axes; and their artists."""
    figure = Figure(figsize=(4, 2), dpi=50, layout="none")  # which would move the axes at each draw
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.set(title="left", xlim=(0, 3), ylim=(1, 10))
    (line,) = left.plot([0, 1, 2, 3], [1, 4, 2, 5], label="line")
    right.plot([0, 1], [0, 1], label="best")
    image = right.imshow(np.eye(3), extent=(0, 1, 0, 1), aspect="auto")
    names = {"left": left, "right": right, "line": line, "image": image, "text": left.text(1, 2, "words")}
    names |= {"legend": right.legend(loc="best"), "fixed": left.legend(loc="upper left")}
    bar = figure.colorbar(image, ax=right, extend="max")
    bare = figure.add_axes((0, 0, 0.2, 0.2))
    bare.set_axis_off()
    bare.set_title("bare")
    return figure, names | {"bar": bar, "bare": bare, "pixels": bare.imshow(np.arange(4).reshape(2, 2))}


CHANGES = {
    "nothing": lambda a: None,
    "a line": lambda a: a["line"].set_ydata([1, 2, 6, 3]),
    "an image under a legend": lambda a: a["image"].set_data(1 - np.eye(3)),
    "a legend that seeks its place": lambda a: a["right"].lines[0].set_data([0, 0.1, 1], [0.9, 0.9, 0.1]),
    "limits": lambda a: a["left"].set_xlim(-1, 4),
    "limits that follow": lambda a: (a["left"].plot([5], [20], "o"), a["left"].autoscale()),
    "the same limits": lambda a: a["left"].set_xlim(0, 3),
    "a scale": lambda a: a["left"].set_yscale("log"),
    "a shape": lambda a: a["left"].set_aspect(0.5),
    "a place": lambda a: a["left"].set_position((0.2, 0.2, 0.2, 0.5)),
    "a title": lambda a: a["left"].set_title("two\nlines"),
    "words": lambda a: a["text"].set(text="others", position=(2, 4)),
    "out of sight": lambda a: a["text"].set_visible(False),
    "words of a legend": lambda a: a["fixed"].get_texts()[0].set_text("longer words"),
    "ticks": lambda a: a["left"].set_xticks([0, 2], ["none", "two"]),
    "the colour of one tick": lambda a: a["left"].get_xticklabels()[1].set_color("red"),
    "a rule for ticks": lambda a: a["left"].yaxis.set_major_locator(FixedLocator([2, 7])),
    "no axis": lambda a: a["left"].set_axis_off(),
    "no frame": lambda a: a["left"].set_frame_on(False),
    "the order": lambda a: a["line"].set_zorder(9),
    "one more": lambda a: a["left"].axvspan(1, 2, zorder=0),
    "one less": lambda a: a["line"].remove(),
    "contours": lambda a: a["right"].contour(np.arange(9).reshape(3, 3) / 8, [0.5], extent=(0, 1, 0, 1)),
    "a note that points": lambda a: a["left"].annotate("here", (1, 4), (2, 8), arrowprops={"arrowstyle": "->"}),
    "another size": lambda a: a["left"].figure.set_dpi(60),
    "wider": lambda a: a["left"].figure.set_size_inches(5, 2),
    "other axes": lambda a: a["left"].figure.add_axes((0.4, 0.4, 0.2, 0.2)),
    "axes in axes": lambda a: a["left"].inset_axes((0.5, 0.5, 0.4, 0.4)).plot([1, 2]),
    "an image without axes": lambda a: a["pixels"].set_data(np.eye(2)),
    "axes that had none": lambda a: a["bare"].set_axis_on(),
    "a frame out of sight": lambda a: (a["bare"].patch.set_color("red"), a["bare"].set_axis_on()),
    "limits of colours": lambda a: a["image"].set_clim(0.5, 3),
    "the length of a colour bar": lambda a: a["bar"].ax.set_position((0.9, 0.3, 0.05, 0.3)),
    "the shape of a colour bar": lambda a: a["bar"].ax.set_box_aspect(5),
    "a rule for the place": lambda a: a["bare"].set_axes_locator(lambda *_: Bbox.from_bounds(0.1, 0.2, 0.1, 0.2)),
    "the name of a colour bar": lambda a: a["bar"].set_label("height"),
    "a colour of the figure": lambda a: a["left"].figure.set_facecolor("yellow"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_figure_is_seen(change):
    """Drawn, changed, drawn; and, as others have drawn it meanwhile, changed back and forth."""
    figure, artists = drawn()
    redraw = Redraw(figure)
    redraw.draw(), redraw.draw()
    CHANGES[change](artists)
    redraw.draw()
    found = np.asarray(figure.canvas.buffer_rgba()).copy()
    other, others = drawn()
    other.canvas.draw()
    CHANGES[change](others)
    other.canvas.draw()
    assert np.array_equal(found, np.asarray(other.canvas.buffer_rgba()))
    artists["line"].set_color("red"), others["line"].set_color("red")
    figure.canvas.draw(), other.canvas.draw()
    redraw.draw()
    assert np.array_equal(np.asarray(figure.canvas.buffer_rgba()), np.asarray(other.canvas.buffer_rgba()))


def test_only_what_has_changed_is_asked(monkeypatch):
    """A line under a legend, and an image without axes: nothing else, of these axes or others."""
    asked = []
    for kind in (Line2D, Text, AxesImage, Spine, Axes):
        real = kind.draw
        monkeypatch.setattr(kind, "draw", lambda self, renderer, real=real: (asked.append(self), real(self, renderer)))
    figure, artists = drawn()
    redraw = Redraw(figure)
    redraw.draw()
    assert len(asked) > 40
    asked.clear()
    artists["line"].set_ydata([1, 2, 6, 3])
    artists["left"].set_xlim(0, 3)  # as they are
    redraw.draw()
    best = artists["legend"].findobj()  # of a legend that seeks its place
    assert [artist for artist in asked if artist not in best] == [artists["line"]]
    asked.clear()
    artists["pixels"].set_data(np.eye(2))
    redraw.draw()
    assert [artist for artist in asked if artist not in best] == [artists["pixels"]]


def test_data_that_are_shown_already_are_not_drawn_anew():
    image = Figure().add_subplot().imshow(np.eye(3))
    for data, stale in (
        (np.eye(3), False),
        (2 * np.eye(3), True),
        (torch.eye(3), True),
        (np.full((3, 3), np.nan), True),
    ):
        image.stale = False
        put(image, data)
        assert image.stale == stale and np.array_equal(np.ma.getdata(image.get_array()), data, equal_nan=True)


@pytest.mark.parametrize("name", ["LatentExplorer", "ManifoldExplorer"])
def test_a_screen_of_few_pixels_gets_no_more_of_them(name, monkeypatch):
    """Nor do others lose theirs: a page says what screen it is on."""
    monkeypatch.setenv("NCSN_EDU_FIGURES_SHARP", "1")
    explorer = MADE[name](getattr(widgets, name))
    sharp, size = explorer.picture.value, (int(explorer.picture.width), int(explorer.picture.height))
    explorer.words.pixel_ratio = 2.0
    assert explorer.picture.value == sharp
    explorer.words.pixel_ratio = 1.0
    with Image.open(io.BytesIO(explorer.picture.value)) as found, Image.open(io.BytesIO(sharp)) as fine:
        assert found.size == size and fine.size == (2 * size[0], 2 * size[1])
        small = fine.resize(found.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(found, float) - np.asarray(small, float)).mean() < 4, "the same, with fewer pixels"
    assert explorer._repr_mimebundle_()[1]["image/png"].keys() == {"alt"}
    control = next(control for each, control in explorer.controls.items() if each in ("walk", "sigma"))
    control.value = control.max
    moved = explorer.picture.value
    explorer.words.pixel_ratio = 1.25  # a page that was zoomed
    assert explorer.picture.value not in (moved, sharp)
    twin = MADE[name](getattr(widgets, name)).set(**explorer.values)
    assert explorer.picture.value == twin.picture.value
    monkeypatch.delenv("NCSN_EDU_FIGURES_SHARP")
    plain = MADE[name](getattr(widgets, name))
    before = plain.picture.value
    plain.words.pixel_ratio = 2.0
    assert plain.picture.value == before, "who has asked for no sharp pictures gets none"
