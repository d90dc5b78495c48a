"""Pictures as files: what is written is read back by Pillow, what is read was made by Pillow, or broken on purpose."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from helpers import seeded
from PIL import Image

from ncsn_edu.pictures import (
    MASKS,
    NoPicture,
    fit_image,
    preset_mask,
    read_image,
    read_mask,
    tile,
    to_animation,
    to_pillow,
    to_png,
)


def bytes_of(*shape: int, seed: int = 0) -> np.ndarray:
    return torch.randint(0, 256, shape, generator=seeded(seed), dtype=torch.uint8).numpy()


def pixels(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) of [0, 1] as bytes (H, W, C)."""
    return (255 * image).round().byte().permute(1, 2, 0).numpy()


# ---- masks


@pytest.mark.parametrize(("name", "rows"), [("left", "1100 1100"), ("right", "0011 0011"), ("top", "1111 0000")])
def test_half_of_the_image_is_known(name, rows):
    assert preset_mask(name, (2, 4)).tolist() == [[[float(value) for value in row] for row in rows.split()]]


def test_bottom_and_centre():
    assert preset_mask("bottom", (5, 1)).flatten().tolist() == [0, 0, 1, 1, 1]
    centre = preset_mask("centre", (8, 12))
    assert centre[:, 2:6, 3:9].sum() == 0 and centre.sum() == 8 * 12 - 4 * 6
    assert torch.equal(centre, centre.flip(1)) and torch.equal(centre, centre.flip(2))


@pytest.mark.parametrize("size", [(28, 28), (7, 9), (2, 1)])
@pytest.mark.parametrize("name", MASKS)
def test_every_mask_is_of_zeros_and_ones_in_the_size_asked_for(name, size):
    mask = preset_mask(name, size, generator=seeded())
    assert mask.shape == (1, *size) and mask.dtype == torch.float32 and set(mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("name", "missing"), [("random", 50), ("random:0.9", 90), ("random:0.333", 33)])
def test_random_masks_miss_exactly_their_share_by_the_generator(name, missing):
    mask = preset_mask(name, (10, 10), generator=seeded(1))
    assert (mask == 0).sum() == missing
    assert torch.equal(mask, preset_mask(name, (10, 10), generator=seeded(1)))
    assert not torch.equal(mask, preset_mask(name, (10, 10), generator=seeded(2)))


def test_letters_are_missing():
    """Where the letters are does not depend on the image's size; they are repeated downwards, and long texts go on."""
    one = 1 - preset_mask("text:score", (10, 31))
    assert 40 < one.sum() < 120 and one[:, :, 0].sum() == one[:, -1].sum() == 0
    for letter in range(5):  # each in its own 6 columns
        assert one[:, :, 1 + 6 * letter : 7 + 6 * letter].sum() > 5
    many = 1 - preset_mask("text", (32, 48))
    assert all(torch.equal(many[:, top : top + 10, :31], one) for top in (0, 11, 22)) and many[:, :, 31:].sum() == 0
    first, second = (1 - preset_mask(f"text:{word}", (10, 32)) for word in ("noise", "model"))
    both = 1 - preset_mask("text:noise model", (21, 32))
    assert torch.equal(both[:, :10], first) and torch.equal(both[:, 11:], second) and not torch.equal(first, second)


def test_every_pixel_is_missing_in_some_random_mask():
    seen = sum(preset_mask("random:0.2", (3, 3), generator=seeded(seed)) for seed in range(60))
    assert (seen > 0).all() and (seen < 60).all()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "middle",
        "left:0.5",
        "random:",
        "random:0",
        "random:1",
        "random:nan",
        "random:x",
        "text:",
        "text: ",
        "text:\u65e5",
    ],
)
def test_no_mask_of_that_name(name):
    with pytest.raises(ValueError, match="no mask|between 0 and 1|letters from A to z"):
        preset_mask(name, (8, 8))


@pytest.mark.parametrize("size", [(0, 8), (8, -1), (8, 2.5)])
def test_no_mask_of_that_size(size):
    with pytest.raises(ValueError, match="whole number of at least 1"):
        preset_mask("left", size)


# ---- writing


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_picture_and_how_it_was_made(channels):
    drawn = bytes_of(5, 7, channels)
    png = to_png(torch.from_numpy(drawn) / 255, text={"Software": "us", "seed": "σ = 1"})
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.array(image).reshape(drawn.shape), drawn)
        assert image.text == {"Software": "us", "seed": "σ = 1"}


def test_values_beyond_the_range_are_clamped_and_pixels_grow():
    picture = torch.tensor([[[-1.0], [0.5], [2.0]]])
    assert np.array(to_pillow(picture)).tolist() == [[0, 128, 255]]
    assert np.array(to_pillow(picture, 2)).tolist() == [[0, 0, 128, 128, 255, 255]] * 2


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_an_animation_has_its_frames_and_waits_on_the_last(kind):
    frames = [tile(torch.from_numpy(bytes_of(4, 1, 3, 3, seed=seed)) / 255) for seed in range(5)]
    film = to_animation(iter(frames), kind, zoom=2, milliseconds=100, pause=3000, text={"seed": "7"})
    with Image.open(io.BytesIO(film)) as image:
        skipped = int(kind == "png")  # the picture for programs that know no APNG
        assert image.n_frames == 5 + skipped and image.info["loop"] == 0
        assert np.array_equal(np.array(image.convert("L")), np.array(to_pillow(frames[-1 if skipped else 0], 2)))
        assert "7" in str(image.info["seed" if kind == "png" else "comment"])
        durations = []
        for number, frame in enumerate(frames):
            image.seek(number + skipped)
            assert np.array_equal(np.array(image.convert("L")), np.array(to_pillow(frame, 2)))
            durations.append(image.info["duration"])
        assert durations == [100] * 4 + [3000]


def test_an_animation_in_colour_ends_with_its_last_frame():
    frames = [torch.from_numpy(bytes_of(6, 6, 3, seed=seed)) / 255 for seed in range(3)]
    with Image.open(io.BytesIO(to_animation(frames, "png"))) as image:
        image.seek(3)
        assert np.array_equal(np.array(image.convert("RGB")), np.array(to_pillow(frames[-1])))
    with Image.open(io.BytesIO(to_animation(frames, "gif"))) as image:
        image.seek(2)
        assert np.abs(np.array(image.convert("RGB")) - np.array(to_pillow(frames[-1])).astype(int)).max() < 32


def test_animations_that_cannot_be():
    with pytest.raises(ValueError, match="at least one frame"):
        to_animation([], "gif")
    with pytest.raises(ValueError, match="gif"):
        to_animation([torch.zeros(2, 2, 1)], "mp4")


# ---- reading pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_right_kind_comes_as_it_is(tmp_path, suffix, channels):
    drawn = bytes_of(6, 8, channels)
    to_pillow(torch.from_numpy(drawn) / 255).save(
        tmp_path / f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {})
    )
    image, notes = read_image(tmp_path / f"x.{suffix}", (channels, 6, 8))
    assert image.shape == (channels, 6, 8) and image.dtype == torch.float32
    assert np.array_equal(pixels(image), drawn)
    assert notes == [] or (suffix == "webp" and channels == 1)  # WebP knows no grey


def test_colours_become_grey_and_grey_three_equal_channels(tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "red.png")
    grey, notes = read_image(tmp_path / "red.png", (1, 4, 4))
    assert torch.allclose(grey, torch.tensor(0.299), atol=1 / 255) and "made grey" in notes[0]
    Image.new("L", (4, 4), 51).save(tmp_path / "grey.png")
    colour, notes = read_image(tmp_path / "grey.png", (3, 4, 4))
    assert torch.equal(colour, torch.full((3, 4, 4), 0.2)) and "equal" in notes[0]


def test_resizing_averages_areas(tmp_path):
    drawn = bytes_of(12, 16, 3)
    Image.fromarray(drawn).save(tmp_path / "x.png")
    image, notes = read_image(tmp_path / "x.png", (3, 3, 4))
    mean = torch.nn.functional.avg_pool2d(torch.from_numpy(drawn).float().permute(2, 0, 1) / 255, 4)
    assert torch.allclose(image, mean, atol=1.01 / 255) and notes == ["16x12 pixels resized to the 4x3 of the net"]


@pytest.mark.parametrize("size", [(20, 8), (8, 20)])
def test_proportions_are_kept_by_cutting_to_the_middle(tmp_path, size):
    """A white square in the middle of black, on a picture that is too wide or too high: all that is left is white."""
    picture = Image.new("L", size, 0)
    picture.paste(255, ((size[0] - 8) // 2, (size[1] - 8) // 2, (size[0] + 8) // 2, (size[1] + 8) // 2))
    picture.save(tmp_path / "x.png")
    image, notes = read_image(tmp_path / "x.png", (1, 4, 4))
    assert (image == 1).all() and "its middle" in notes[0]


def test_a_small_picture_is_made_larger():
    image, notes = fit_image(torch.tensor([[[0, 255]]], dtype=torch.uint8), (1, 2, 4))
    assert image.tolist() == [[[0, 0, 1, 1]] * 2] and "2x1 pixels" in notes[0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    if mode == "P":
        picture = Image.new("P", (2, 1), 0)
        picture.putpalette([0, 0, 0, 0, 0, 0])
        picture.putpixel((1, 0), 1)
        picture.info["transparency"] = 1
    picture.convert(mode).save(tmp_path / "x.png")
    image, notes = read_image(tmp_path / "x.png", (1, 1, 2))
    assert image.flatten().tolist() == [0, 1] and any("white" in note for note in notes)


def test_an_alpha_channel_that_hides_nothing_needs_no_word(tmp_path):
    Image.new("RGBA", (2, 2), (0, 255, 0, 255)).save(tmp_path / "x.png")
    image, notes = read_image(tmp_path / "x.png", (3, 2, 2))
    assert image[:, 0, 0].tolist() == [0, 1, 0] and notes == []


def test_other_kinds_of_pixels(tmp_path):
    Image.fromarray(np.array([[0, 65535, 32896]], dtype=np.uint16)).save(tmp_path / "16.png")
    assert pixels(read_image(tmp_path / "16.png", (1, 1, 3))[0]).flatten().tolist() == [0, 255, 128]
    Image.new("1", (3, 3), 1).save(tmp_path / "1.png")
    assert (read_image(tmp_path / "1.png", (1, 3, 3))[0] == 1).all()
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "cmyk.jpg")
    assert (read_image(tmp_path / "cmyk.jpg", (3, 8, 8))[0] > 0.98).all()


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png", (1, 2, 1))[0].flatten().tolist() == [0, 1]


def test_of_several_frames_the_first(tmp_path):
    frames = [torch.zeros(4, 4, 1), torch.ones(4, 4, 1)]
    (tmp_path / "x.gif").write_bytes(to_animation(frames, "gif"))
    image, notes = read_image(tmp_path / "x.gif", (1, 4, 4))
    assert (image == 0).all() and any("first" in note for note in notes)


# ---- files that are no pictures


def spoil(path, how: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(bytes_of(64, 64, 3)).save(buffer, "JPEG" if "jpeg" in how else "PNG")
    content = buffer.getvalue()
    if how == "folder":
        path.mkdir()
    elif how == "real numbers":
        Image.new("F", (4, 4)).save(path, "TIFF")
    elif how == "program":
        path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    elif how == "bit flipped":
        path.write_bytes(content[:2000] + bytes([content[2000] ^ 255]) + content[2001:])
    elif how != "missing":
        path.write_bytes({"empty": b"", "text": b"no picture\n" * 99}.get(how, content[: len(content) // 2]))


BAD = {
    "missing": "there is no file",
    "folder": "is a folder",
    "empty": "is empty",
    "text": "is no picture",
    "program": "is no picture",
    "half a jpeg": "cannot be read.*truncated",
    "half a png": "cannot be read",
    "bit flipped": "cannot be read",
    "real numbers": "real numbers",
}


@pytest.mark.parametrize(("how", "message"), BAD.items())
@pytest.mark.parametrize("read", [lambda path: read_image(path, (3, 8, 8)), lambda path: read_mask(path, (8, 8))])
def test_a_file_that_is_no_whole_picture(tmp_path, how, message, read):
    spoil(tmp_path / "x.png", how)
    with pytest.raises((NoPicture, FileNotFoundError), match=message) as error:
        read(tmp_path / "x.png")
    assert "x.png" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("limit", [100, 60])  # Pillow warns beyond the limit, and refuses beyond twice of it
def test_a_picture_that_would_fill_the_memory(tmp_path, monkeypatch, limit):
    Image.new("L", (12, 12)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(NoPicture, match="too much memory"):
        read_image(tmp_path / "x.png", (1, 8, 8))


# ---- masks from files


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_a_drawn_mask_is_read(tmp_path, mode):
    wanted = preset_mask("random:0.3", (6, 9), generator=seeded())
    to_pillow(wanted.permute(1, 2, 0)).convert(mode).save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png", (6, 9)), wanted)


@pytest.mark.parametrize(
    ("colour", "size", "message"),
    [
        ((255, 255, 254), (8, 8), "other colours.*hard brush"),
        ((255, 0, 0), (8, 8), r"such as \(255, 0, 0\)"),
        ((1, 1, 1), (8, 8), "other colours"),
        ((255, 255, 255), (8, 9), "8x9 pixels.*8x8"),
    ],
)
def test_a_mask_of_other_colours_or_size(tmp_path, colour, size, message):
    picture = Image.new("RGB", size, "white")
    picture.putpixel((3, 3), colour)
    picture.save(tmp_path / "mask.png")
    with pytest.raises(NoPicture, match=message):
        read_mask(tmp_path / "mask.png", (8, 8))


@pytest.mark.parametrize(
    "values",
    [
        np.uint8([0, 1]),
        np.uint16([0, 1]),
        np.uint16([0, 1023]),
        np.int32([0, 255]),
        np.float32([0, 1]),
        np.float32([0, 255]),
    ],
    ids=lambda values: f"{values.dtype} {values[1]}",
)
def test_a_mask_of_two_numbers_is_one_of_black_and_white(tmp_path, values):
    wanted = preset_mask("random:0.6", (5, 7), generator=seeded(3))
    Image.fromarray(values[wanted[0].int().numpy()]).save(tmp_path / "mask.tif")
    assert torch.equal(read_mask(tmp_path / "mask.tif", (5, 7)), wanted)


def transparent(tmp_path, kind: str, wanted: torch.Tensor) -> None:
    """A mask whose missing part is erased, in the ways that programs write such a file."""
    known = (wanted[0] == 1).numpy()
    white = Image.new("L", known.shape[::-1], 255)
    alpha = Image.fromarray((255 * known).astype(np.uint8))
    if kind in ("RGBA", "LA"):
        picture = white.convert("RGB" if kind == "RGBA" else "L")
        picture.putalpha(alpha)
        picture.save(tmp_path / "mask.png")
    elif kind == "palette":
        picture = Image.fromarray(known.astype(np.uint8)).convert("P")
        picture.putpalette([255, 255, 255, 255, 255, 255])
        picture.save(tmp_path / "mask.png", transparency=0)
    else:  # one colour stands for transparent
        picture = Image.fromarray(np.where(known, 255, 40).astype(np.uint8))
        picture.convert("RGB" if kind == "colour" else "L").save(
            tmp_path / "mask.png", transparency=(40, 40, 40) if kind == "colour" else 40
        )


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette", "colour", "grey"])
def test_what_is_erased_in_a_mask_is_missing(tmp_path, kind):
    wanted = preset_mask("random:0.4", (6, 4), generator=seeded(5))
    transparent(tmp_path, kind, wanted)
    assert torch.equal(read_mask(tmp_path / "mask.png", (6, 4)), wanted)


def test_black_and_erased_are_both_missing(tmp_path):
    mask = np.full((3, 3, 4), 255, np.uint8)
    mask[0, 0, :3] = 0
    mask[2, 2] = 0, 0, 255, 0  # whatever its hidden colour
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (3, 3)).flatten().tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        ((255, 255, 255, 254), "half transparent in places"),
        ((0, 0, 0, 0), "nothing in it is white"),
        ((200, 10, 10, 255), r"other colours.*\(200, 10, 10\)"),
    ],
)
def test_transparent_masks_that_may_mean_two_things(tmp_path, pixel, message):
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[..., 3] = 255  # black strokes, and the pixel among them
    mask[1, 2] = pixel
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with pytest.raises(NoPicture, match=message):
        read_mask(tmp_path / "mask.png", (4, 4))


@pytest.mark.parametrize(
    ("dtype", "highest", "note"),
    [
        (np.uint16, 1000, "1000: taken as a number of 10 bits"),
        (np.uint16, 16000, "16000: taken as a number of 14 bits"),
        (np.uint16, 200, "200: taken as a number of 8 bits"),
        (np.int32, 255, "255: taken as a number of 8 bits"),
        (np.int32, 4000, "4000: taken as a number of 12 bits"),
        (np.int32, 40000, None),
        (np.float32, 250, "taken as 0 to 255"),
    ],
)
@pytest.mark.parametrize("order", ["=", ">"])
def test_numbers_of_few_bits_in_a_file_of_many(tmp_path, dtype, highest, note, order):
    drawn = np.linspace(0, highest, 12).round().reshape(3, 4).astype(dtype)
    picture = Image.fromarray(drawn.astype(np.dtype(dtype).newbyteorder(order)))
    picture.save(tmp_path / "x.tif")
    image, notes = read_image(tmp_path / "x.tif", (1, 3, 4))
    top = {1000: 1023, 16000: 16383, 4000: 4095, 40000: 65535}.get(highest, 255)
    assert np.abs(image[0].numpy() - drawn / top).max() < 1 / 255
    assert (notes == []) if note is None else (len(notes) == 1 and note in notes[0])


def png_of_16_bits(path, values: np.ndarray) -> None:
    """A PNG with 16 bits for each of (H, W, 3) values, which Pillow reads but does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_colours_of_16_bits(tmp_path):
    drawn = np.random.default_rng(0).integers(0, 65536, (4, 5, 3))
    png_of_16_bits(tmp_path / "x.png", drawn)
    assert np.abs(read_image(tmp_path / "x.png", (3, 4, 5))[0].permute(1, 2, 0).numpy() - drawn / 65535).max() < 1 / 255
    png_of_16_bits(tmp_path / "x.png", drawn // 16)
    with pytest.raises(NoPicture, match="16 bits each, of which the upper ones are not used: save it with 8 bits$"):
        read_image(tmp_path / "x.png", (3, 4, 5))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.int32([[-1, 7]]), "numbers from -1 to 7"),
        (np.int32([[0, 70000]]), "numbers from 0 to 70000"),
        (np.float32([[0, 0.5, 300]]), "real numbers from 0 to 300"),
        (np.float32([[0, np.nan]]), "real numbers from nan"),
    ],
)
def test_numbers_of_no_known_range(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(NoPicture, match=f"{message}.*save it as PNG"):
        read_image(tmp_path / "x.tif", (1, 1, 2))


def test_a_picture_of_zeros_and_ones_is_black_and_white(tmp_path):
    Image.fromarray(np.uint8([[0, 1]])).save(tmp_path / "x.png")
    image, notes = read_image(tmp_path / "x.png", (1, 1, 2))
    assert image.flatten().tolist() == [0, 1] and "taken as black (0) and white (1)" in notes[0]


def test_an_orientation_that_cannot_be_read_is_passed_over(tmp_path):
    Image.fromarray(bytes_of(6, 6, 3)).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    plain = read_image(tmp_path / "x.jpg", (3, 6, 6))[0]
    for exif in (b"II*\0\xff\xff\xff\xff", b"??", b"MM\0*\0\0\0\x08\0\x05\x01\x12"):
        block = b"Exif\0\0" + exif
        (tmp_path / "x.jpg").write_bytes(
            whole[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + whole[2:]
        )
        assert torch.equal(read_image(tmp_path / "x.jpg", (3, 6, 6))[0], plain)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing: save it as PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC picture: save it as PNG"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "an AVIF picture: save it as PNG"),
        (b"8BPS" + bytes(40), "a Photoshop file: save it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS.*git lfs pull"),
        (b"<!doctype html><title>Not found</title>", r"a web page \('Not found'\).*save the file itself"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "begins as a PNG picture, but is not a whole one"),
        (b"GIF89a", "begins as a GIF picture, but is not a whole one"),
    ],
)
@pytest.mark.parametrize("read", [lambda path: read_image(path, (3, 8, 8)), lambda path: read_mask(path, (8, 8))])
def test_what_else_a_file_is(tmp_path, content, message, read):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(NoPicture, match=f"x.jpg.*{message}"):
        read(tmp_path / "x.jpg")


def test_the_extension_does_not_matter(tmp_path):
    drawn = bytes_of(4, 4, 3)
    Image.fromarray(drawn).save(tmp_path / "x.jpg", "PNG")
    assert np.array_equal(pixels(read_image(tmp_path / "x.jpg", (3, 4, 4))[0]), drawn)


def test_a_mask_of_several_frames_is_refused(tmp_path):
    white, black = Image.new("L", (8, 8), 255), Image.new("L", (8, 8), 0)
    white.save(tmp_path / "m.gif", save_all=True, append_images=[black])
    with pytest.raises(NoPicture, match="2 frames"):
        read_mask(tmp_path / "m.gif", (8, 8))


@pytest.mark.parametrize("name", ["https://example.org/x.png", "data:image/png;base64," + "A" * 5000])
def test_an_address_is_no_picture_file(name):
    for reader, size in ((read_image, (1, 8, 8)), (read_mask, (8, 8))):
        with pytest.raises(FileNotFoundError, match="is an address.*download") as error:
            reader(name, size)
        assert len(str(error.value)) < 400
