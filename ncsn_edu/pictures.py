"""Images as files: a batch tiled into one picture, PNG files, animations, and files of other people read in.

Floats of [0, 1] are what models see; clamping to that range belongs here, to the display. This file does NOT draw
axes, and knows no model: plots.py draws, samplers make the images.
"""

import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .checks import check_count, check_points
from .files import check_there
from .kinds import kind_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# No others: Pillow would start a program to read some.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MASKS = ("left", "right", "top", "bottom", "centre", "random", "text")


def tile(x: Tensor, columns: int | None = None, *, gap: int = 1) -> Tensor:
    """Images x (B, C, H, W), C 1 or 3, side by side and row by row: one picture (H', W', C), clamped to [0, 1].

    As many columns as rows, or a few more, unless given; `gap` white pixels between two images, none around.
    """
    x = check_points(x).detach().float().cpu()
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel():
        raise ValueError(f"x must be images of shape (B, 1 or 3, H, W), not {tuple(x.shape)}")
    n, c, h, w = x.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else min(check_count("columns", columns), n)
    rows = math.ceil(n / columns)
    picture = torch.ones(rows * (h + gap) - gap, columns * (w + gap) - gap, c)
    for i, image in enumerate(x.clamp(0, 1).permute(0, 2, 3, 1)):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        picture[top : top + h, left : left + w] = image
    return picture


def to_pillow(picture: Tensor, zoom: int = 1) -> "PillowImage":
    """A picture (H, W, C) of [0, 1], C 1 or 3, as a Pillow image: 8 bits, each pixel drawn as zoom x zoom."""
    from PIL import Image

    zoom = check_count("zoom", zoom)
    pixels = (255 * picture.detach().float().cpu().clamp(0, 1)).round().byte().numpy()
    pixels = pixels.repeat(zoom, 0).repeat(zoom, 1)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_png(picture: Tensor, *, zoom: int = 1, text: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a PNG file of a picture (H, W, C) of [0, 1]; `text` goes with it, and says how it was made."""
    buffer = io.BytesIO()
    to_pillow(picture, zoom).save(buffer, "PNG", pnginfo=_chunks(text))
    return buffer.getvalue()


def to_animation(
    frames: Iterable[Tensor],
    kind: str,
    *,
    zoom: int = 1,
    milliseconds: int = 80,
    pause: int = 2000,
    text: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of an animation of pictures (H, W, C) of [0, 1], kind "gif" or "png" (APNG), that runs in a loop.

    Each frame stays for `milliseconds`, the last for `pause`. Programs that know no APNG show the last frame. A GIF has
    256 colours a frame: enough for greys, few for colours.
    """
    if kind not in ("gif", "png"):
        raise ValueError(f'kind is "gif" or "png", not {kind!r}')
    images = [to_pillow(frame, zoom) for frame in frames]
    if not images:
        raise ValueError("an animation needs at least one frame")
    durations = [*[milliseconds] * (len(images) - 1), pause]
    if kind == "png":
        return animated_png(images[-1], images, durations, pnginfo=_chunks(text))
    buffer = io.BytesIO()
    comment = "\n".join(f"{name}: {value}" for name, value in (text or {}).items()).encode()
    more = {"duration": durations, "comment": comment, "optimize": False}
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], loop=0, **more)
    return buffer.getvalue()


def animated_png(
    picture: "PillowImage", frames: Sequence["PillowImage"], durations: Sequence[int], **options: Any
) -> bytes:
    """The bytes of an APNG: `frames` in a loop, each for its time in ms. Programs that know no APNG show `picture`."""
    buffer = io.BytesIO()
    more = {"duration": list(durations), "default_image": True} | options
    picture.save(buffer, "PNG", save_all=True, append_images=frames, loop=0, **more)
    return buffer.getvalue()


def _chunks(text: Mapping[str, str] | None) -> object:
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for name, value in (text or {}).items():
        chunks.add_text(name, value) if value.isascii() else chunks.add_itxt(name, value)
    return chunks


class NoPicture(ValueError):
    """A file cannot be read as a picture, or not as the mask that it should be; the message says how to fix it."""


def read_image(path: str | PathLike[str], shape: tuple[int, int, int]) -> tuple[Tensor, list[str]]:
    """A picture file as an image of `shape` (C, H, W), C 1 or 3, in [0, 1], and what had to be done to it, in words.

    Any format that Pillow reads. Cut to the shape's proportions around its centre, resized by averaging areas, made
    grey, or given three equal channels, laid on white where it is transparent. Raises NoPicture for a file that is no
    whole picture, FileNotFoundError, and other OSErrors.
    """
    check_there(path)
    picture, notes = _read(Path(path))
    image, more = fit_image(picture, shape)
    return image, notes + more


def fit_image(picture: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, list[str]]:
    """uint8 (C', H', W') as floats of [0, 1] of `shape` (C, H, W), and what had to be done to it, in words."""
    from PIL import Image

    (channels, height, width), notes = shape, []
    image = Image.fromarray(picture.permute(1, 2, 0).squeeze(2).contiguous().numpy())
    if channels == 1 and image.mode == "RGB":
        image = image.convert("L")
        notes.append("its colours are made grey, as the net knows grey images only")
    elif channels == 3 and image.mode == "L":
        image = image.convert("RGB")
        notes.append("it is grey: its three channels are equal")
    if image.size != (width, height):
        scale = min(image.width / width, image.height / height)
        cut_x, cut_y = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        box = (cut_x, cut_y, image.width - cut_x, image.height - cut_y)
        cut = ", its middle," if max(cut_x, cut_y) >= 0.5 else ""
        notes.append(f"{image.width}x{image.height} pixels{cut} resized to the {width}x{height} of the net")
        # Areas are averaged: unlike with wider filters, a pixel takes nothing from beyond its own area.
        image = image.resize((width, height), Image.Resampling.BOX, box)
    pixels = torch.from_numpy(np.array(image)).float() / 255
    return pixels.reshape(height, width, channels).permute(2, 0, 1).contiguous(), notes


def read_mask(path: str | PathLike[str], size: tuple[int, int]) -> Tensor:
    """A picture file as a mask (1, H, W) of `size` (H, W): white is 1, known; black is 0, missing.

    What is erased, that is wholly transparent, is missing too. A mask of the numbers 0 and 1, as programs write them,
    is one of black and white. Raises NoPicture for any other colour or size, for half transparent pixels, for a
    transparent mask on which nothing is white; and what `read_image` raises.
    """
    check_there(path)
    path = Path(path)
    with _opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise NoPicture(f"the mask {path} has {frames} frames, or pages: save one of them as PNG")
        colours, alpha, _ = _split(image)
    _check_size(path, colours.shape[:2], size)
    erased = _erased(path, alpha, colours.shape[:2])
    seen = colours[~erased]  # (N, C)
    if seen.size and seen.max() == 1:
        seen = colours[~erased] = seen * 255
    _check_black_and_white(path, seen)
    if erased.any() and not (seen == 255).any():
        raise NoPicture(
            f"the mask {path} is transparent where nothing is drawn, which counts as missing, and nothing in it is "
            "white: fill what is known with white"
        )
    return torch.from_numpy((colours[None, ..., 0] == 255) & ~erased).float()


def _check_size(path: Path, found: tuple[int, ...], wanted: tuple[int, int]) -> None:
    """Raise NoPicture unless the mask has the size (H, W) of the net's images."""
    if tuple(found) != tuple(wanted):
        (height, width), (h, w) = found, wanted
        raise NoPicture(
            f"the mask {path} has {width}x{height} pixels, but the net's images have {w}x{h}: draw it in that size, or "
            "resize it without smoothing"
        )


def _erased(path: Path, alpha: np.ndarray | None, size: tuple[int, ...]) -> np.ndarray:
    """Where a mask is wholly transparent, booleans (H, W). Raises NoPicture where it is so in part."""
    if alpha is None:
        return np.zeros(size, bool)
    if not ((alpha == 0) | (alpha == 255)).all():
        raise NoPicture(
            f"the mask {path} is half transparent in places, as after a soft eraser: erase with a hard one, or draw "
            "black (missing) and white (known) without transparency"
        )
    return alpha == 0


def _check_black_and_white(path: Path, seen: np.ndarray) -> None:
    """Raise NoPicture unless all pixels (N, C) are black or white."""
    strange = ((seen != 0) & (seen != 255) | (seen != seen[:, :1])).any(1)
    if strange.any():
        raise NoPicture(
            f"the mask {path} has other colours than black (missing) and white (known), such as "
            f"{tuple(seen[strange][0].tolist())}: save it as PNG, not as JPEG, drawn with a hard brush; or set all "
            "above the middle to white, the rest to black"
        )


@contextmanager
def _opened(path: Path) -> Iterator["PillowImage"]:
    """The file's picture, for Pillow to load within; what is wrong with it becomes NoPicture."""
    from PIL import Image, UnidentifiedImageError

    if path.is_dir():
        raise NoPicture(f"{path} is a folder: give a picture file")
    if not path.is_file() or not path.stat().st_size:
        raise NoPicture(f"{path} is empty, or no ordinary file: give a picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise NoPicture(f"{path} would fill too much memory when unpacked: make it smaller, then try again") from error
    except UnidentifiedImageError as error:
        raise NoPicture(_no_picture(path)) from error
    except NoPicture as error:  # from _split, which does not know the path
        raise NoPicture(f"{path} cannot be read: {error}") from error
    except Exception as error:  # of a damaged file Pillow's readers raise nearly anything
        if isinstance(error, OSError) and error.errno:  # but this is the system's word
            raise
        raise NoPicture(f"{path} cannot be read ({error}): get it again, or save it anew as PNG or JPEG") from error


def _no_picture(path: Path) -> str:
    kind = kind_of(path)
    if kind.what.removeprefix("a ").partition(" ")[0].upper() in FORMATS:
        return f"{path} begins as {kind.what}, but is not a whole one: get it again, or save it anew as PNG or JPEG"
    if not kind.what:
        return f"{path} is no picture, or of a kind that is not read here: save it as PNG or JPEG"
    return f"{path} is no picture that is read here, but {kind.what}: {kind.advice or 'save it as PNG or JPEG'}"


def _read(path: Path) -> tuple[Tensor, list[str]]:
    """Grey or colours, uint8 (1 or 3, H, W), as the picture is meant to be seen; and what was done to it."""
    with _opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        notes = ["of its several frames the first is taken"] if frames > 1 else []
        colours, alpha, more = _split(image)
    if colours.max() == 1:
        colours, more = colours * 255, [*more, "its brightest pixel is 1: taken as black (0) and white (1)"]
    if alpha is not None and alpha.min() < 255:
        share = alpha[..., None] / 255.0
        colours = (share * colours + (1 - share) * 255).round().astype(np.uint8)
        more = [*more, "where it is transparent it is laid on white"]
    return torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1))), notes + more


def _split(image: "PillowImage") -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Grey or colours, uint8 (H, W, 1 or 3); how opaque, uint8 (H, W), or None for wholly; and what was done."""
    from PIL import ImageOps

    deep = any(";16" in _raw_mode(tile[3]) for tile in getattr(image, "tile", ()))
    colour_key = image.info.get("transparency")
    image = ImageOps.exif_transpose(image)  # loads it, and turns it as the camera was held
    if 0 in image.size:
        raise ValueError("it has no pixels")
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        alpha = np.where(values == colour_key, 0, 255).astype(np.uint8) if isinstance(colour_key, int) else None
        grey, notes = _eight_bits(values)
        return grey[..., None], alpha, notes
    grey_modes = ("1", "L", "LA", "La")
    mode = "L" if image.mode in grey_modes else "RGB"
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or colour_key is not None:
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
    colours = np.array(image.convert(mode if image.mode != "RGBA" else "RGB"))
    colours = colours.reshape(*colours.shape[:2], -1)[..., : 1 if mode == "L" else 3]
    if deep and colours.max() < 64:  # Pillow keeps the upper 8 of 16 bits, and what was in the others is gone
        raise NoPicture("its colours have 16 bits each, of which the upper ones are not used: save it with 8 bits")
    return colours, alpha, []


def _raw_mode(arguments: object) -> str:
    """How a file holds its pixels, such as "RGB;16B", from what Pillow gives to the decoder."""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


DEPTHS = (1, 8, 10, 12, 14, 16)  # bits that cameras, microscopes and programs count with


def _eight_bits(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Grey values of more than 8 bits, or real numbers, as uint8: by the fewest bits that hold the largest of them."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 255 or not high or (high > 1 and (values % 1).any()):
            raise NoPicture(f"its pixels are real numbers from {low:.4g} to {high:.4g}: save it as PNG, with 8 bits")
        what, top = ("0 to 1", 1) if high <= 1 else ("0 to 255", 255)
        return (values * (255 / top)).round().astype(np.uint8), [f"its real numbers are taken as {what}"]
    high = int(values.max())
    if values.min() < 0 or high >= 2**16:
        raise NoPicture(f"its pixels are numbers from {values.min()} to {high}: save it as PNG, with 8 or 16 bits")
    bits = next(bits for bits in DEPTHS if high < 2**bits) if high else 16
    notes = [] if bits == 16 else [f"its brightest pixel is {high}: taken as a number of {bits} bit{'s' * (bits > 1)}"]
    return (values / ((2**bits - 1) / 255)).round().astype(np.uint8), notes


def preset_mask(name: str, size: tuple[int, int], *, generator: torch.Generator | None = None) -> Tensor:
    """A mask for images of `size` (H, W): float (1, H, W), 1 where the image is known and 0 where it is missing.

    left, right, top, bottom   that half is known
    centre                     the middle is missing: half of the height, half of the width
    random, random:0.9         this share of the pixels is missing (half of them unless given), drawn by `generator`
    text, text:any words       letters are missing, 6 pixels wide and 11 high with the gaps; repeated down to the bottom

    Raises ValueError for any other name.
    """
    height, width = check_count("the height", size[0]), check_count("the width", size[1])
    kind, colon, more = name.partition(":")
    if kind not in MASKS or (colon and kind not in ("random", "text")):
        raise ValueError(f"there is no mask {name!r}: choose one of {', '.join(MASKS)}, random:0.9 or text:any words")
    mask = torch.zeros(1, height, width)
    if kind == "left":
        mask[..., : width // 2] = 1
    elif kind == "right":
        mask[..., width // 2 :] = 1
    elif kind == "top":
        mask[:, : height // 2] = 1
    elif kind == "bottom":
        mask[:, height // 2 :] = 1
    elif kind == "centre":
        mask.fill_(1)
        top, left = (height + 1) // 4, (width + 1) // 4
        mask[:, top : height - top, left : width - left] = 0
    elif kind == "text":
        mask[0] = _letters(more if colon else "score", height, width)
    else:
        missing = round(_share(name, more if colon else "0.5") * height * width)
        device = generator.device if generator else None
        order = torch.randperm(height * width, generator=generator, device=device).cpu()
        mask.view(-1)[order[missing:]] = 1
    return mask


def _letters(text: str, height: int, width: int) -> Tensor:
    """White (H, W) with the text in black, line by line, and again until the bottom. Raises ValueError without any."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default_imagefont()  # its letters are pixels: alike with every version
    _, _, step, line = font.getbbox("A")
    lines = textwrap.wrap(text, max(1, int(width // step)))
    if not lines or not text.isascii():
        raise ValueError(f"the mask text:{text} is made of letters from A to z, digits and marks: give some, or `text`")
    picture = Image.new("1", (width, height), 1)
    draw = ImageDraw.Draw(picture)
    for top, words in zip(range(-1, height, int(line)), itertools.cycle(lines), strict=False):
        draw.text((1, top), words, 0, font=font)
    return torch.from_numpy(np.array(picture)).float()


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ValueError(f"mask {name!r}: the share of missing pixels is a number between 0 and 1, such as random:0.5")
    return share
