"""Animations as figures: save_animation draws the frames, and stores, compares and shows them as save_figure does.

A notebook shows a player, with a slider to go back and forth; where no kernel runs, the file itself plays: a PNG that
moves (APNG). This file does NOT run what it shows.
"""

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

from .checks import check_positive
from .figures import DPI, check_figure, keep, picture_of, record_of
from .outputs import check_words, in_notebook, sharpness, show_caption
from .pictures import animated_png
from .widgets import Player

Frame = TypeVar("Frame")

MOST_FRAMES = 120
MOST_BYTES = 400_000  # the file is in the notebook too, a third longer there
PAUSE = 2000  # milliseconds that the last frame stays, before all begins anew
SEEN = 8  # frames that the colours are chosen from
SAME = 255  # the index that says: as in the frame before


def save_animation(
    fig: Figure,
    name: str,
    draw: Callable[[Frame], object],
    frames: Iterable[Frame],
    *,
    alt: str,
    caption: str,
    fps: float = 10.0,
    numbers: Mapping[str, float] = {},
    tolerance: Mapping[str, float] | float = {},
) -> None:
    """Animate a figure: call draw(frame), which changes it, for each of `frames`, and take a picture after each.

    `frames` are what `draw` needs, such as range(40) or the states of a sampler; `draw` may move what is there, or
    clear the axes and draw anew. The layout is that of the first frame. `fps` is in frames per second; the last one
    stays for two seconds. `alt`, `caption`, `numbers` and `tolerance` are those of `save_figure`, and so is what
    happens to figures/NAME.png, here an animated PNG of 255 colours, and NAME.json. Compared are the first, the middle
    and the last frame. In a notebook a player is shown (`widgets.Player`), and the figure closed.

    Raises ValueError for fewer than 2 or more than 120 frames, or more than 400 kB; and what save_figure raises.
    """
    check_figure(fig, "save_animation")
    words = check_words(f"figure {name}", alt, caption)
    record = record_of(fig, name, numbers, tolerance) | words | {"fps": check_positive("fps", fps)}
    pictures = few_colours(list(_drawn(fig, name, draw, frames, sharp := list[bytes]())))
    file = to_apng(pictures, fps)
    if len(file) > MOST_BYTES:
        width, height = pictures[0].size
        raise ValueError(
            f"figure {name} has {len(file) / 1000:.0f} kB, {len(pictures)} frames of {width} x {height} pixels, and "
            f"{MOST_BYTES / 1000:.0f} kB are the most: take fewer frames, a smaller figure, or fewer dots or images"
        )
    keep(name, file, record | {"frames": len(pictures)})
    if in_notebook():
        from IPython.display import display

        display(Player(pictures, file, fps=fps, alt=words["alt"], sharp=sharp))
        show_caption(words["caption"])
        pyplot.close(fig)


def _drawn(
    fig: Figure, name: str, draw: Callable[[Frame], object], frames: Iterable[Frame], sharp: list[bytes]
) -> Iterable[Image.Image]:
    """A picture of each frame, RGB; where pictures are shown sharp, files with more pixels are added to `sharp`."""
    number, scale = 0, sharpness() if in_notebook() else 1
    for number, frame in enumerate(islice(frames, MOST_FRAMES + 1), start=1):
        if number > MOST_FRAMES:
            raise ValueError(f"figure {name} has more than {MOST_FRAMES} frames: take every so many, every(states, 10)")
        draw(frame)
        if number == 1:
            fig.canvas.draw()
            fig.set_layout_engine("none")  # laid out once: what shifts is hard to follow
        if scale > 1:
            sharp.append(picture_of(fig, scale * DPI))
        yield Image.open(BytesIO(picture_of(fig))).convert("RGB")
    if number < 2:
        raise ValueError(f"figure {name} has {number} frames, and an animation at least 2: use save_figure for one")


def few_colours(pictures: list[Image.Image]) -> list[Image.Image]:
    """RGB pictures of one size with one palette of 255 colours for all, white among them; index 255 is left free."""
    width, height = pictures[0].size
    some = [pictures[k] for k in np.linspace(0, len(pictures) - 1, SEEN).round().astype(int)]
    sheet = Image.new("RGB", (width, height * SEEN))
    for row, picture in enumerate(some):
        sheet.paste(picture, (0, row * height))
    found = sheet.quantize(SAME - 1, method=Image.Quantize.MAXCOVERAGE).getpalette() or []  # it keeps rare colours
    palette = np.zeros((SAME + 1, 3), np.uint8)
    palette[0], palette[1 : 1 + len(found) // 3] = 255, np.reshape(found, (-1, 3))
    nearest = KDTree(palette[:SAME])  # Pillow's own search comes close only: paper turns grey
    indices = (_nearest(np.asarray(picture), nearest) for picture in pictures)
    return [_with_palette(values, palette) for values in indices]


def _nearest(pixels: np.ndarray, palette: KDTree) -> np.ndarray:
    """The index of the nearest colour to each pixel of (H, W, 3), uint8 (H, W). Most pixels share their colour."""
    codes, place = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    return palette.query(colours)[1].astype(np.uint8)[place.reshape(pixels.shape[:2])]


def _with_palette(values: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Indices (H, W) as a picture with this palette (256, 3)."""
    picture = Image.fromarray(values)
    picture.putpalette(palette.tobytes())
    return picture


def to_apng(pictures: list[Image.Image], fps: float) -> bytes:
    """Pictures of one palette as an animated PNG that runs in a loop; half the bytes, as it holds only what changes."""
    values = [np.asarray(picture) for picture in pictures]
    palette = np.array(pictures[0].getpalette(), np.uint8)
    pairs = pairwise(values)
    changes = [_with_palette(np.where(new == old, SAME, new).astype(np.uint8), palette) for old, new in pairs]
    durations = [*[round(1000 / fps)] * len(changes), PAUSE]
    frames = [pictures[0], *changes]
    return animated_png(pictures[-1], frames, durations, blend=1, disposal=0, transparency=SAME)
