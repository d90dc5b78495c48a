"""Animations: Pillow reads the files, and the figures drawn by hand say what is to be in them."""

import base64
import io
import itertools
import json
import os

import IPython.display
import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image, ImageSequence

from ncsn_edu import animations, save_animation
from ncsn_edu.figures import FigureDiffers, figure_sources
from ncsn_edu.kernels import run_cells

WORDS = {"alt": "A dot goes round.", "caption": r"A dot goes round, with speed $\omega$."}


@pytest.fixture(autouse=True)
def folder(own_figures):
    return own_figures


def scene(noise=0.0, cmap="Blues"):
    """A figure, and draw(k): a heat map, an orange dot that goes round on it, and a title."""
    fig, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    x, y = np.meshgrid(*[np.linspace(-3, 3, 60)] * 2)
    random = np.random.default_rng(0)
    heat = ax.imshow(np.exp(-(x**2 + y**2) / 2), cmap=cmap, extent=(-3, 3, -3, 3), vmin=0, vmax=1)
    (dot,) = ax.plot([], [], "o", color="#E69F00")

    def draw(k):
        dot.set_data([2 * np.cos(k / 3)], [2 * np.sin(k / 3)])
        ax.set_title(f"frame {k}" if k < 6 else f"frame\n{k}")  # which alone would move everything else
        if noise:
            heat.set_data(np.exp(-(x**2 + y**2) / 2) + noise * random.normal(size=x.shape))

    return fig, draw


def animate(frames=range(8), name="goes", make=scene, **options):
    fig, draw = make()
    assert save_animation(fig, name, draw, frames, **(WORDS | options)) is None
    return fig, draw


def by_hand(k: int) -> np.ndarray:
    """Frame k as Matplotlib draws it, without the mechanism (H, W, 3)."""
    fig, draw = scene()
    draw(0)
    fig.canvas.draw()
    fig.set_layout_engine("none")
    draw(k)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=100)
    return np.asarray(Image.open(buffer).convert("RGB"), float) / 255


def frames_of(file) -> list[np.ndarray]:
    """The picture beside the animation, and then its frames, as Pillow puts them together."""
    with Image.open(file) as image:
        return [np.asarray(frame.convert("RGBA"), float) / 255 for frame in ImageSequence.Iterator(image)]


def times_of(image: Image.Image) -> list[float]:
    """The milliseconds of each frame; the picture beside them has none."""
    beside, *times = [frame.info.get("duration") for frame in ImageSequence.Iterator(image)]
    assert beside is None
    return times


# --- the file


@pytest.mark.filterwarnings("error")
def test_every_frame_is_as_it_was_drawn(folder):
    animate(numbers={"speed": 1 / 3}, tolerance=0.01)
    beside, *frames = frames_of(folder / "goes.png")
    assert len(frames) == 8
    for k, frame in [*enumerate(frames), (7, beside)]:  # programs that know no APNG show the last one
        assert (frame[..., 3] == 1).all()
        drawn = by_hand(k)
        assert np.abs(frame[..., :3] - drawn).max() < 0.1  # so the dot, a hundredth of the picture, has its colour
        assert ((frame[..., :3] - drawn) ** 2).mean() < 0.015**2
        assert (frame[0, 0, :3] == 1).all(), "the paper is white"
    assert json.loads((folder / "goes.json").read_text()) == WORDS | {
        "fps": 10.0,
        "frames": 8,
        "numbers": {"speed": 0.333333},
        "tolerance": {"speed": 0.01},
    }


def test_it_runs_in_a_loop_at_its_speed_and_rests_at_the_end(folder):
    animate(fps=4)
    with Image.open(folder / "goes.png") as image:
        assert (image.format, image.is_animated, image.n_frames, image.info["loop"]) == ("PNG", True, 9, 0)
        times = times_of(image)
    assert times == [250] * 7 + [2000]


def test_frames_without_a_change_keep_their_time(folder):
    animate([0, 0, 0, 1, 1])
    with Image.open(folder / "goes.png") as image:
        times = times_of(image)
    assert sum(times) == 4 * 100 + 2000
    frames = frames_of(folder / "goes.png")
    assert np.abs(frames[1][..., :3] - by_hand(0)).max() < 0.1 and np.abs(frames[-1][..., :3] - by_hand(1)).max() < 0.1


def test_a_figure_of_few_colours(folder):
    """Their palette has places left, which must not be taken for the sign that says: as before."""

    fig, ax = plt.subplots(figsize=(1, 1))
    ax.set_axis_off()
    picture = ax.imshow(np.zeros((4, 4)), cmap="gray", vmin=0, vmax=1)
    save_animation(fig, "few", lambda k: picture.set_data(np.eye(4) if k else np.zeros((4, 4))), range(3), **WORDS)
    _, first, *_, last = frames_of(folder / "few.png")
    assert first[50, 50].tolist() == [0, 0, 0, 1] and last[60, 25].tolist() == [0, 0, 0, 1]
    assert (last[..., 3] == 1).all() and (last[..., :3] > 0.99).all(-1).mean() > (first[..., :3] > 0.99).all(-1).mean()


def test_it_is_small_as_it_holds_only_what_changes(folder):
    random = np.random.default_rng(0)
    fig, ax = plt.subplots(figsize=(3, 3))
    ax.imshow(random.random((60, 60)), cmap="Blues", extent=(0, 1, 0, 1))  # much to store, if more than once
    (dots,) = ax.plot([], [], ".")
    save_animation(fig, "goes", lambda k: dots.set_data(*random.random((2, 30))), range(20), **WORDS)
    beside, *frames = [
        Image.fromarray((255 * frame[..., :3]).round().astype(np.uint8)) for frame in frames_of(folder / "goes.png")
    ]
    beside = beside.quantize()
    frames = [frame.quantize(palette=beside, dither=Image.Dither.NONE) for frame in frames]
    plain = io.BytesIO()
    beside.save(plain, "PNG", save_all=True, append_images=frames, default_image=True)
    assert (folder / "goes.png").stat().st_size < 0.6 * len(plain.getvalue())


def test_frames_may_be_states_of_a_generator_drawn_anew(folder):
    def states():
        for k in range(5):
            yield {"k": k}

    fig, ax = plt.subplots(figsize=(2, 2))

    def draw(state):
        ax.clear()
        ax.plot([0, state["k"]])

    save_animation(fig, "anew", draw, states(), **WORDS)
    assert len(frames_of(folder / "anew.png")) == 6


# --- refused


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (range(1), {}, "1 frames, and an animation at least 2: use save_figure"),
        ([], {}, "0 frames"),
        (itertools.count(), {}, r"more than 120 frames.*every\(states, 10\)"),
        (range(3), {"fps": 0}, "fps must be a finite number above 0"),
        (range(3), {"alt": "none"}, "full stop"),
        (range(3), {"name": "Goes"}, "small letters"),
        (range(3), {"numbers": {"a": float("nan")}}, "nan"),
    ],
)
def test_what_cannot_be_an_animation_is_refused(monkeypatch, folder, frames, options, message):
    def quick():
        fig = plt.figure(figsize=(0.2, 0.2))
        return fig, lambda k: None

    with pytest.raises(ValueError, match=message):
        animate(frames, make=quick, **options)
    assert not folder.exists()


def test_a_file_that_is_too_large_is_refused(folder):
    random = np.random.default_rng(0)
    fig, ax = plt.subplots(figsize=(4, 4))
    noise = ax.imshow(random.random((300, 300)))
    with pytest.raises(ValueError, match=r"goes has \d+ kB, 12 frames of 400 x 400 pixels, and 400 kB are the most"):
        save_animation(fig, "goes", lambda k: noise.set_data(random.random((300, 300))), range(12), **WORDS)
    assert not folder.exists()


def test_words_are_needed_and_a_figure(folder):
    fig, draw = scene()
    with pytest.raises(TypeError, match="alt"):
        save_animation(fig, "goes", draw, range(3), caption="A dot.")
    with pytest.raises(TypeError, match="save_animation takes a matplotlib Figure first"):
        save_animation(fig.axes[0], "goes", draw, range(3), **WORDS)
    with pytest.raises(ZeroDivisionError):
        save_animation(fig, "goes", lambda k: 1 / k, range(3), **WORDS)
    assert not folder.exists()


# --- compared


def test_the_same_passes_and_so_does_a_percent_of_noise(monkeypatch, folder, tmp_path):
    animate()
    before = (folder / "goes.png").read_bytes()
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")
    animate()
    animate(make=lambda: scene(noise=0.01))
    assert (folder / "goes.png").read_bytes() == before
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": [3, *range(1, 8)]}, "the picture differs"),
        ({"frames": [0, 1, 2, 6, 4, 5, 6, 7]}, "the picture differs"),  # the middle one
        ({"frames": [*range(7), 9]}, "the picture differs"),
        ({"frames": range(7)}, "frames was 8, and is 7 now"),
        ({"fps": 5}, "fps was 10.0, and is 5.0 now"),
        ({"make": lambda: scene(cmap="Reds")}, "the picture differs"),
        ({"numbers": {"a": 2.0}}, "the number a = 2 is new"),
        ({"caption": "Another."}, "figures/goes.json has another caption: make notebooks"),
    ],
    ids=["first", "middle", "last", "fewer", "slower", "colours", "number", "caption"],
)
def test_what_differs_is_said(monkeypatch, change, message):
    animate()
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")
    with pytest.raises(FigureDiffers, match=message):
        animate(**change)


def test_an_animation_is_no_still(monkeypatch, folder):
    from ncsn_edu import save_figure

    fig, _ = animate()
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")
    with pytest.raises(FigureDiffers, match="frames was 8, and is None now"):
        save_figure(fig, "goes", **WORDS)


# --- in a notebook

CELL = """
from matplotlib import pyplot as plt
from ncsn_edu import save_animation
fig, ax = plt.subplots(figsize=(2, 2))
(line,) = ax.plot([0, 1], [0, 1])
save_animation(fig, "turns", lambda k: line.set_ydata([0, k]), range(4), alt="A line turns.", caption="A line turns.")
"""


def test_where_a_screen_is_sharp_the_player_has_more_pixels_and_the_file_is_the_same(folder, monkeypatch):
    animate()
    stored, shown = (folder / "goes.png").read_bytes(), []
    monkeypatch.setattr(animations, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda *parts, **options: shown.append(parts[0]))
    monkeypatch.setenv("NCSN_EDU_FIGURES_SHARP", "1")
    animate()
    assert (folder / "goes.png").read_bytes() == stored
    player, width = shown[0], Image.open(io.BytesIO(stored)).width
    assert player.picture.width == str(width) and len(player.sharp) == len(player.pictures)
    assert Image.open(io.BytesIO(player.picture.value)).width == 2 * width


def test_a_notebook_shows_a_player_the_file_and_the_caption(folder, tmp_path):
    cell = nbformat.v4.new_code_cell(CELL)
    backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    notebook = nbformat.v4.new_notebook(cells=[cell])
    run_cells(notebook, tmp_path, os.environ | backend)
    player, caption = notebook.cells[0].outputs
    assert player.data.keys() == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert base64.b64decode(player.data["image/png"]) == (folder / "turns.png").read_bytes()
    assert player.metadata == {"image/png": {"alt": "A line turns."}}
    assert player.data["text/plain"] == "Player(frame=1, speed=1.0)"
    assert caption.data["text/markdown"] == "**Figure.** A line turns."
    nbformat.write(notebook, tmp_path / "01_a.ipynb")
    assert figure_sources(tmp_path) == {"turns": tmp_path / "01_a.ipynb"}
