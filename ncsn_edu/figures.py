"""Figures that anyone can regenerate, and that are tested: save_figure writes them, or compares with what is stored.

The environment says which: with NCSN_EDU_FIGURES=check nothing is written, and a figure that no longer comes out as
it is stored raises FigureDiffers. In a notebook the figure is shown, as it is stored, with its caption.
This file does NOT draw, and does not run notebooks.
"""

import ast
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import expanded, why, write_whole
from .outputs import check_words, in_notebook, sharpness, show_picture

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from PIL.Image import Image as PillowImage

DPI = 100
RELATIVE = 1e-4  # a number without a tolerance: a rerun moves the last bits, not four digits
WORDS, OF_ANIMATIONS = ("alt", "caption"), ("frames", "fps")  # what is kept besides the numbers
ZERO = 1e-12  # below this, differences are rounding errors in double precision

# What counts as the same picture; RMS on a scale from 0 to 1, measured on figures of 5 x 4 inches. Let pass: another
# matplotlib (3.9 against 3.11: 0.005 overall, 0.04 in the worst window), points moved by a pixel (0.004, 0.04), one
# coloured dot of s=4 (0.005, 0.06) or s=12 (0.007, 0.10). Seen: a one-letter label gone (0.008, 0.11), a curve of
# line width 1 gone (0.036, 0.13; dotted 0.019, 0.07), another colour map (0.11, 0.23), a title gone (0.03, 0.30).
SHIFT = 2  # pixels by which anything may move: fonts are placed differently by other versions of matplotlib
WINDOW = 32  # pixels: about a word, so that its loss fills the window, while the whole picture hardly notices
RMS_WINDOW = 0.10
RMS_OVERALL = 0.015  # for what is faint or thin, but long: a dotted curve, a tint


class FigureDiffers(AssertionError):
    """A figure did not come out as it is stored; the message says what moved, and where both pictures are."""


def save_figure(
    fig: "Figure",
    name: str,
    *,
    alt: str | None = None,
    caption: str | None = None,
    numbers: Mapping[str, float] = {},
    tolerance: Mapping[str, float] | float = {},
) -> None:
    """Write figures/NAME.png and figures/NAME.json; or compare with them, where NCSN_EDU_FIGURES=check. Show both.

    `alt` says what is to be seen, in plain words for those who do not see it. `caption` is the sentence below the
    figure, and may hold $formulas$; both are kept in NAME.json.
    `numbers` are the figure's statement in figures (plain numbers, numpy scalars or tensors of shape ()), kept to 6
    significant digits. `tolerance` says how far each may move, absolutely, or is one number for all;
    without one a number may move by a relative 1e-4.
    NCSN_EDU_FIGURES_ONLY (names with commas between them) leaves every other figure alone; to the file that
    NCSN_EDU_FIGURES_DONE names, a line with the name of each figure that came out well is added. In a notebook the
    picture is shown, and the figure closed: no plt.show() is needed.

    Raises FigureDiffers (check), FileNotFoundError (check, nothing stored), ValueError or TypeError (bad input),
    OSError (the folder cannot be written).
    """
    record = record_of(fig, name, numbers, tolerance) | check_words(f"figure {name}", alt, caption)
    picture = picture_of(fig)
    keep(name, picture, record)
    _show(fig, picture, record)


def show_figure(fig: "Figure", *, alt: str, caption: str) -> None:
    """Show a figure as `save_figure` does, and store nothing: for what is different on every machine, such as times."""
    check_figure(fig, "show_figure")
    words = check_words("the figure", alt, caption)
    _show(fig, picture_of(fig), words)


def keep(name: str, picture: bytes, record: dict[str, Any]) -> None:
    """Write the picture, a PNG file, and its record; or compare with them; or leave both alone, as the user asked."""
    mode = os.environ.get("NCSN_EDU_FIGURES") or "write"
    if mode not in ("write", "check"):
        raise ValueError(
            f"NCSN_EDU_FIGURES is {mode!r}: set it to 'check' to compare, to 'write' to write, or unset it"
        )
    only = [part.strip() for part in os.environ.get("NCSN_EDU_FIGURES_ONLY", "").split(",") if part.strip()]
    if only and name not in only:
        return
    folder = figures_folder()
    if mode == "check":
        _compare(folder, name, picture, record)
    else:
        make_writable(folder)
        write_whole(folder / f"{name}.png", picture)
        write_whole(folder / f"{name}.json", _json(record))
    _note(name)


def figures_folder() -> Path:
    """NCSN_EDU_FIGURES_DIR, or figures/ of the source checkout, or ./figures."""
    named = os.environ.get("NCSN_EDU_FIGURES_DIR")
    return expanded(named, "NCSN_EDU_FIGURES_DIR") if named else (source_checkout() or Path.cwd()) / "figures"


def source_checkout() -> Path | None:
    """The folder of pyproject.toml and the notebooks, where the package runs from its source; else None."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() else None


def make_writable(folder: Path) -> None:
    """Create the folder where it is missing, and try to write there. Raises OSError, with what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"the figures folder {folder} cannot be written ({why(error)}): "
            "set NCSN_EDU_FIGURES_DIR to a folder that can, or fix its permissions"
        ) from error


def stored_caption(name: str) -> str:
    """The caption in figures/NAME.json; "" where there is none, or no such file."""
    try:
        record = json.loads((figures_folder() / f"{name}.json").read_text(encoding="utf-8"))
        return str(record.get("caption", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def figure_sources(notebooks: Path) -> dict[str, Path]:
    """Which notebook makes which figure: {figure name: notebook}, from save_figure and save_animation in its cells.

    Raises ValueError where a name is not written out in the call, or where two notebooks make the same figure.
    """
    sources: dict[str, Path] = {}
    for notebook in sorted(notebooks.glob("*.ipynb")):
        for name in _saved_by(notebook):
            other = sources.setdefault(name, notebook)
            if other != notebook:
                raise ValueError(
                    f"{other.name} and {notebook.name} both make the figure {name!r}, and would overwrite each other: "
                    "rename it in one of them, or move a copy out of the folder"
                )
    return sources


# --- what is kept of a figure


def record_of(fig: Any, name: Any, numbers: Mapping[str, Any], tolerance: Mapping[str, Any] | float) -> dict[str, Any]:
    """The numbers and tolerances as they are stored, after all that is given has been checked."""
    check_figure(fig, "save_figure")
    if not isinstance(name, str) or not re.fullmatch("[a-z0-9_]+", name):
        raise ValueError(f"{name!r} cannot name a figure: use small letters, digits and _, such as 'fig3_annealing'")
    if not isinstance(tolerance, Mapping):
        tolerance = dict.fromkeys(numbers, tolerance)
    unknown = sorted(set(tolerance) - set(numbers))
    if unknown:
        known = ", ".join(sorted(numbers)) or "none"
        raise ValueError(f"figure {name}: a tolerance for {unknown[0]!r}, which is not among its numbers ({known})")
    kept = {key: _rounded(f"figure {name}: numbers[{key!r}]", value) for key, value in numbers.items()}
    allowed = {key: _rounded(f"figure {name}: tolerance[{key!r}]", value) for key, value in tolerance.items()}
    for key, value in allowed.items():
        if value < 0:
            raise ValueError(f"figure {name}: tolerance[{key!r}] is {value:g}: it must be 0 or more")
    return {"numbers": kept, "tolerance": allowed}


def check_figure(fig: Any, function: str) -> None:
    """Raise TypeError, which says what the function takes, where fig is no Figure."""
    if not hasattr(fig, "savefig") or not hasattr(fig, "axes"):
        raise TypeError(f"{function} takes a matplotlib Figure first, not {type(fig).__name__}: use axes.figure")


def _rounded(what: str, value: Any) -> float:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a numpy scalar, or a tensor of shape ()
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise TypeError(f"{what} is a {type(value).__name__}{shape}: give one real number, such as x.mean()")
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value}: only finite numbers can be compared; look for where it is computed")
    return float(f"{float(value):.6g}")


def picture_of(fig: "Figure", dpi: int = DPI) -> bytes:
    """The PNG: the same bytes for the same figure, whatever the reader's settings, and no version in it."""
    import matplotlib

    buffer = BytesIO()
    plain = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.startswith("savefig.")}
    with matplotlib.rc_context(plain):
        fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _show(fig: "Figure", picture: bytes, words: Mapping[str, str]) -> None:
    """Show the file itself, not another rendering; and close the figure, or the notebook would show it once more.

    With NCSN_EDU_FIGURES_SHARP=1, twice as many pixels at the same size: for screens that have as many.
    """
    if in_notebook():
        from matplotlib import pyplot

        alt, caption = words.get("alt", ""), words.get("caption", "")
        if (scale := sharpness()) > 1:
            show_picture(picture_of(fig, scale * DPI), repr(fig), alt, caption, size=_size(picture))
        else:
            show_picture(picture, repr(fig), alt, caption)
        pyplot.close(fig)


def _size(picture: bytes) -> tuple[int, int]:
    from PIL import Image

    return Image.open(BytesIO(picture)).size


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def _note(name: str) -> None:
    """Tell whoever runs the notebook that this figure was written, or was as it is stored."""
    if notes := os.environ.get("NCSN_EDU_FIGURES_DONE"):
        with open(notes, "a", encoding="utf-8") as file:
            file.write(f"{name}\n")


# --- check mode


def _compare(folder: Path, name: str, picture: bytes, record: dict[str, Any]) -> None:
    stored = folder / f"{name}.png"
    remake = f"python -m ncsn_edu figures {name}"
    for path in (stored, stored.with_suffix(".json")):
        if not path.is_file():
            raise FileNotFoundError(f"there is no stored {path} to compare with: make it with\n    {remake}")
    try:
        old_record = json.loads(stored.with_suffix(".json").read_text(encoding="utf-8"))
        old = _views(stored.read_bytes())
        old_numbers = old_record["numbers"], old_record["tolerance"]
        differences = list(_moved(*old_numbers, record["numbers"], record["tolerance"]))
        kind = ((key, old_record.get(key), record.get(key)) for key in OF_ANIMATIONS)
        differences += [f"{key} was {before}, and is {after} now" for key, before, after in kind if before != after]
        reworded = [key for key in WORDS if old_record.get(key) != record.get(key)]
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ValueError(
            f"the stored {stored} or its .json cannot be read ({error}): make it again, {remake}"
        ) from error
    new = _views(picture)
    differences += [line for pair in zip(old, new, strict=False) for line in _repainted(*pair)]
    if differences:
        kept = _kept(name, picture, record, old, new)
        lines = [f"the figure {name} is not as it is stored", *differences, f"stored:     {stored}", *kept]
        accept = f"If the new one is right, accept it: {remake} (or all: make figures)"
        raise FigureDiffers("\n    ".join(lines) + f"\n{accept}")
    if reworded:
        raise FigureDiffers(f"{folder.name}/{name}.json has another {' and '.join(reworded)}: make notebooks")


def _kept(
    name: str, picture: bytes, record: dict[str, Any], old: list["np.ndarray"], new: list["np.ndarray"]
) -> Iterator[str]:
    """Keep the new figure, and where it differs, in a folder of its own; lines that say where."""
    folder = Path(tempfile.mkdtemp(prefix=f"ncsn_edu_{name}_"))
    yield f"new:        {write_whole(folder / f'{name}.png', picture)}"
    write_whole(folder / f"{name}.json", _json(record))
    if old[0].shape == new[0].shape:
        pairs = list(zip(old, new, strict=False))
        differing = next((pair for pair in pairs if any(_repainted(*pair))), pairs[0])
        _difference_picture(*differing, folder / f"{name}_difference.png")
        yield f"difference: {folder / name}_difference.png"


def _moved(
    old: dict[str, float], old_tolerance: dict[str, float], numbers: dict[str, float], tolerance: dict[str, float]
) -> Iterator[str]:
    for key in sorted(old.keys() | numbers.keys()):
        if key not in numbers:
            yield f"the number {key} (stored: {old[key]:g}) is missing now"
        elif key not in old:
            yield f"the number {key} = {numbers[key]:g} is new, the stored figure has none"
        else:
            allowed = tolerance.get(key, max(RELATIVE * abs(old[key]), ZERO))
            if abs(numbers[key] - old[key]) > allowed * (1 + 1e-9):  # 1.1 - 1.0 > 0.1 in floating point
                what = f"tolerance {allowed:g}" + ("" if key in tolerance else ", as none is given")
                yield f"{key} moved from {old[key]:g} to {numbers[key]:g} ({what})"
    for key in sorted(old_tolerance.keys() | tolerance.keys()):
        before, after = old_tolerance.get(key), tolerance.get(key)
        shares = before is not None and after is not None and abs(before - after) <= 0.01 * max(before, after)
        if before != after and not shares:  # of the numbers, which move a little from machine to machine
            yield f"the tolerance of {key} was {before}, and is {after} now"


def _repainted(old: "np.ndarray", new: "np.ndarray") -> Iterator[str]:
    if old.shape != new.shape:
        (h, w), (height, width) = old.shape[:2], new.shape[:2]
        yield f"the picture was {w} x {h} pixels, and is {width} x {height} now"
        return
    if (old == new).all():  # as on the machine that made it: nothing to measure
        return
    overall, worst, x, y = picture_distance(old, new)
    if overall > RMS_OVERALL or worst > RMS_WINDOW:
        yield (
            f"the picture differs: RMS {overall:.3f} overall (at most {RMS_OVERALL}), and {worst:.3f} "
            f"(at most {RMS_WINDOW}) in the {WINDOW} x {WINDOW} pixels right of and below ({x}, {y})"
        )


def picture_distance(a: "np.ndarray", b: "np.ndarray") -> tuple[float, float, int, int]:
    """RMS difference of two pictures (H, W, 3) in [0, 1]: overall, in the worst window, and that window's x, y.

    A pixel differs by how far it lies outside the range of the other picture's pixels around it (SHIFT), so ink may
    move a little but not vanish. Windows lie at every pixel: no grid of blocks cuts a label in two.
    """
    import numpy as np

    square = (np.maximum(_beyond(a, b), _beyond(b, a)) ** 2).mean(-1)  # (H, W)
    h, w = min(WINDOW, square.shape[0]), min(WINDOW, square.shape[1])
    total = np.pad(square, ((1, 0), (1, 0))).cumsum(0).cumsum(1)  # (H + 1, W + 1), sums from the corner
    means = (total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]) / (h * w)
    y, x = np.unravel_index(means.argmax(), means.shape)
    return float(square.mean() ** 0.5), float(max(means[y, x], 0.0) ** 0.5), int(x), int(y)


def _beyond(a: "np.ndarray", b: "np.ndarray") -> "np.ndarray":
    """How far each value of a is from the range of b's values at most SHIFT pixels away, (H, W, 3)."""
    import numpy as np

    low = high = np.pad(b, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    for axis in (0, 1):
        n = b.shape[axis]
        low = np.min([low.take(range(i, i + n), axis) for i in range(2 * SHIFT + 1)], axis=0)
        high = np.max([high.take(range(i, i + n), axis) for i in range(2 * SHIFT + 1)], axis=0)
    return np.maximum(np.maximum(a - high, low - a), 0)


def _views(png: bytes) -> list["np.ndarray"]:
    """What is compared of a picture: itself; of an animation the picture beside it, and three of its frames."""
    from PIL import Image

    image = Image.open(BytesIO(png))
    n = getattr(image, "n_frames", 1)
    views = []
    for k in sorted({0, min(1, n - 1), n // 2, n - 1}):
        image.seek(k)
        views.append(_on_white(image))
    return views


def _pixels(png: bytes) -> "np.ndarray":
    """(H, W, 3) in [0, 1], on white."""
    from PIL import Image

    return _on_white(Image.open(BytesIO(png)))


def _on_white(picture: "PillowImage") -> "np.ndarray":
    import numpy as np
    from PIL import Image

    image = picture.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")) / 255


def _difference_picture(old: "np.ndarray", new: "np.ndarray", path: Path) -> None:
    """Black where the pictures differ most, white where they agree, both pictures faintly behind."""
    from PIL import Image

    difference = abs(old - new).max(-1, keepdims=True)
    red = (0.85 + 0.15 * old) * (1 - difference) + difference * [0.8, 0, 0]
    Image.fromarray((red * 255).astype("uint8")).save(path)


# --- which notebook makes which figure


def _saved_by(notebook: Path) -> Iterator[str]:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{notebook} is not a notebook that can be read ({error}): restore it") from error
    for source in sources:
        if source.lstrip().startswith("%%"):  # a cell magic: another language
            continue
        try:
            tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))
        except SyntaxError as error:
            raise ValueError(f"{notebook.name}: a cell is not Python ({error.msg}): {error.text or source}") from error
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _called(call) in ("save_figure", "save_animation"):
                yield _figure_name(call, notebook)


def _called(call: ast.Call) -> str:
    """save_figure, for save_figure(...) and for ncsn_edu.save_figure(...)."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _figure_name(call: ast.Call, notebook: Path) -> str:
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    if not given or not isinstance(given[0], ast.Constant) or not isinstance(given[0].value, str):
        raise ValueError(
            f"{notebook.name}: the figure's name in {ast.unparse(call)} must be written out, "
            "save_figure(fig, 'fig1_score'), so that its notebook can be found"
        )
    return given[0].value
