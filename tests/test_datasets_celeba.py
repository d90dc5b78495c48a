"""CelebA from images made here: crop and filter against ramps and torch, the archive, and what is kept of it."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from test_datasets import Server, change, closed_port, listing, redirect

from ncsn_edu import datasets
from ncsn_edu.__main__ import main
from ncsn_edu.datasets import DATASETS, celeba, download

OFFICIAL = DATASETS["celeba"]
TRAIN, TEST = range(1, 8), range(10, 13)  # 8 and 9 stand for the validation images
KEPT = {"train-32x32.npy", "test-32x32.npy"}


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Few images, more than one block of them, and no way out to the internet."""
    change(monkeypatch, "celeba", numbers={"train": TRAIN, "test": TEST})
    monkeypatch.setattr(celeba, "BLOCK", 3)
    monkeypatch.setattr(download, "TIMEOUT", (2, 5))
    monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    redirect(monkeypatch, f"http://127.0.0.1:{closed_port()}/", {})


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "celeba"
    path.mkdir()
    return path


def jpeg(pixels: np.ndarray, **options) -> bytes:
    """Pixels (218, 178, 3) as a JPEG that is almost lossless."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG", **{"quality": 100, "subsampling": 0} | options)
    return stream.getvalue()


def noise(number: int) -> np.ndarray:
    """Strong at every frequency, so that a filter too narrow shows."""
    return np.random.default_rng(number).integers(0, 256, (218, 178, 3))


def plain(number: int, shift: int = 0) -> np.ndarray:
    return np.full((218, 178, 3), 15 * number + shift)


def files(make=plain) -> dict[str, bytes]:
    return {f"{number:06}.jpg": jpeg(make(number)) for number in range(1, 14)}


def lay_archive(folder: Path, images: dict[str, bytes]) -> Path:
    path = folder / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("img_align_celeba/", b"")
        for name, content in images.items():
            archive.writestr(f"img_align_celeba/{name}", content)
    return path


def lay_folder(folder: Path, images: dict[str, bytes]) -> Path:
    path = folder / "img_align_celeba"
    path.mkdir()
    for name, content in images.items():
        (path / name).write_bytes(content)
    return path


LAYOUTS = {"archive": lay_archive, "folder": lay_folder}


def faces(split: str = "train", **options) -> np.ndarray:
    images, labels = datasets.load("celeba", split=split, **options)
    assert images.dtype == torch.uint8 and images.shape[1:] == DATASETS["celeba"].shape == (3, 32, 32)
    assert labels.dtype == torch.int64 and labels.tolist() == [0] * len(images)
    return images.numpy()


def shades(split: str = "train") -> list[float]:
    return [round(face.mean() / 15, 1) for face in faces(split)]


# ---- the images -------------------------------------------------------------------------------------------------


def test_the_splits_are_the_official_ones():
    """162770 to train, then 19867 to validate, then 19962 to test."""
    train, test = OFFICIAL.numbers.values()
    assert list(OFFICIAL.numbers) == ["train", "test"]
    assert train[0] == 1 and len(train) == 162_770
    assert test[0] == 162_770 + 19_867 + 1 and test[-1] == 202_599
    assert len(test) == 19_962
    assert OFFICIAL.n_images == {"train": 162_770, "test": 19_962}


@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
def test_each_split_has_its_images_in_order(folder, lay):
    lay(folder, files())
    assert shades() == list(TRAIN) and shades("test") == list(TEST)
    assert shades() == list(TRAIN) and shades("test") == list(TEST)  # as kept
    assert datasets.available()["celeba"]


@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
def test_faces_are_the_middle_resized_as_torch_does_with_antialiasing(folder, lay):
    images = files(noise)
    lay(folder, images)
    found = faces("test")
    for face, number in zip(found, TEST, strict=True):
        pixels = torch.tensor(np.array(Image.open(io.BytesIO(images[f"{number:06}.jpg"]))))
        middle = pixels.permute(2, 0, 1)[None, :, 39:179, 19:159].double()
        expected = F.interpolate(middle, size=(32, 32), mode="bilinear", antialias=True)[0].numpy()
        assert np.abs(face - expected).max() < 1.1  # rounded once after the rows, once after the columns


def test_ramps_stay_ramps(folder):
    """Red is the column, green the row: a pixel that is a mean about its centre is its centre."""
    y, x = np.mgrid[:218, :178]
    lay_archive(folder, files(lambda _: np.stack([x, y, 0 * x + 200], -1)))
    red, green, blue = faces()[0].astype(float)
    centre = (np.arange(32) + 0.5) * 140 / 32 - 0.5
    inner = slice(1, -1)  # at the edge the filter is cut
    assert abs((red - (19 + centre))[:, inner].mean()) < 0.2
    assert abs((green.T - (39 + centre))[:, inner].mean()) < 0.2
    assert np.abs((red - (19 + centre))[:, inner]).max() < 2 and np.abs(blue - 200).max() < 2


def test_a_grey_image_has_three_equal_channels(folder):
    stream = io.BytesIO()
    Image.fromarray(noise(0)[..., 0].astype(np.uint8)).save(stream, "JPEG")
    lay_folder(folder, files() | {"000002.jpg": stream.getvalue()})
    face = faces()[1]
    assert np.array_equal(face[0], face[1]) and np.array_equal(face[0], face[2]) and face.std() > 5


# ---- what is kept -----------------------------------------------------------------------------------------------


def test_faces_are_kept_and_nothing_else_is_written(folder, tmp_path, capsys):
    archive = lay_archive(folder, files(noise))
    first = faces()
    assert listing(tmp_path) == {"celeba/img_align_celeba.zip", "celeba/train-32x32.npy"}
    assert np.array_equal(np.load(folder / "train-32x32.npy"), first)
    content = archive.read_bytes()
    archive.write_bytes(bytes(len(content)))  # were it read again, that would fail
    os.utime(archive, (1e9, 1e9))
    again = faces()
    assert np.array_equal(again, first) and again.flags.writeable
    again += 1
    assert np.array_equal(faces(), first)
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
def test_newer_images_are_decoded(folder, lay):
    source = lay(folder, files())
    shades()
    os.utime(folder / "train-32x32.npy", (1e9, 1e9))
    other = {f"{number:06}.jpg": jpeg(plain(number + 1)) for number in TRAIN}
    if source.is_dir():
        for name, content in other.items():
            (source / name).write_bytes(content)
    else:
        source.unlink()
        lay(folder, other)
    assert shades() == [number + 1 for number in TRAIN]
    assert (folder / "train-32x32.npy").stat().st_mtime > 1e9


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


BAD_KEPT = {
    "empty": b"",
    "text": b"<html>",
    "short": npy(np.zeros((7, 3, 32, 32), np.uint8))[:-1],
    "fewer": npy(np.zeros((6, 3, 32, 32), np.uint8)),
    "size": npy(np.zeros((7, 3, 64, 64), np.uint8)),
    "floats": npy(np.zeros((7, 3, 32, 32), np.float32)),
    "objects": npy(np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("content", BAD_KEPT.values(), ids=BAD_KEPT)
def test_damaged_faces_are_made_again(folder, capsys, content):
    archive = lay_archive(folder, files())
    kept = folder / "train-32x32.npy"
    kept.write_bytes(content)
    assert shades() == list(TRAIN)
    said = capsys.readouterr().err
    assert f"{kept} is damaged" in said and "made again from img_align_celeba.zip" in said
    assert shades() == list(TRAIN) and "damaged" not in capsys.readouterr().err
    archive.unlink()  # with nothing to make them from, it is an error
    kept.write_bytes(content)
    with pytest.raises(datasets.DataDamaged, match="load again") as error:
        datasets.load("celeba", download=False)
    assert str(kept) in str(error.value) and "uint8 (7, 3, 32, 32)" in str(error.value)
    assert kept.read_bytes() == content


def test_what_is_kept_suffices(folder):
    archive = lay_archive(folder, files())
    shades(), shades("test")
    archive.unlink()
    assert datasets.available()["celeba"] and shades() == list(TRAIN)
    (folder / "test-32x32.npy").unlink()
    assert not datasets.available()["celeba"] and shades() == list(TRAIN)
    with pytest.raises(datasets.DataUnavailable):
        datasets.load("celeba", split="test", download=False)


def test_a_folder_that_cannot_be_written_is_read(folder, tmp_path, capsys):
    lay_archive(folder, files())
    (folder / "train-32x32.npy").mkdir()  # so that nothing can be put there, by root either
    assert shades() == list(TRAIN)
    assert "cannot be written (" in capsys.readouterr().err
    assert listing(tmp_path) == {"celeba/img_align_celeba.zip"}


# ---- damage -----------------------------------------------------------------------------------------------------

BAD_IMAGES = {
    "truncated": (jpeg(noise(4))[:-3000], "truncated"),
    "text": (b"<html>404</html>", "found 16 bytes of something else"),
    "empty": (b"", "found 0 bytes of something else"),
    "turned": (jpeg(noise(4).transpose(1, 0, 2)), "found 218 x 178"),
    "one row more": (jpeg(np.zeros((219, 178, 3))), "found 178 x 219"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "found 108 bytes of something else"),
    "missing": (None, ""),
}


@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_damaged_image_is_named(folder, lay, name):
    content, found = BAD_IMAGES[name]
    images = files()
    del images["000004.jpg"]
    source = lay(folder, images if content is None else images | {"000004.jpg": content})
    with pytest.raises(datasets.DataDamaged, match="expected a JPEG of 178 x 218 pixels") as error:
        datasets.load("celeba")
    message = str(error.value)
    assert found in message and str(source) in message and "img_align_celeba/000004.jpg" in message
    assert ("Put the official one there" if source.is_dir() else "Delete the file") in message
    assert not (folder / "train-32x32.npy").exists()
    assert shades("test") == list(TEST)
    assert datasets.load_or_digits("celeba", split="test")[2] == "celeba"
    with pytest.raises(datasets.DataDamaged):
        datasets.load_or_digits("celeba")


def test_a_damaged_archive_is_named(folder):
    path = lay_archive(folder, files(noise))
    content = path.read_bytes()
    for bad in (content[:-2000], b"", b"<html>"):
        path.write_bytes(bad)
        with pytest.raises(datasets.DataDamaged, match=f"whole .zip, found {len(bad)} bytes") as error:
            datasets.load("celeba")
        assert str(path) in str(error.value)
    middle = content.index(b"img_align_celeba/000005.jpg") + 5000  # within the image: only the checksum tells
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(datasets.DataDamaged, match="000005.jpg"):
        datasets.load("celeba")


def test_a_member_that_unpacks_to_more_than_an_image_is_not_read(folder):
    lay_archive(folder, files() | {"000002.jpg": bytes(50_000_000)})
    with pytest.raises(datasets.DataDamaged, match=r"000002.jpg, found 50000000 bytes\."):
        datasets.load("celeba")


def test_the_archive_goes_before_a_folder_and_a_folder_of_a_part_does_not_count(folder):
    lay_folder(folder, {name: content for name, content in files().items() if name != "000007.jpg"})
    assert not datasets.available()["celeba"] and shades("test") == list(TEST)
    with pytest.raises(datasets.DataUnavailable):
        datasets.load("celeba", download=False)
    lay_archive(folder, {name: jpeg(plain(16)) for name in files()})
    assert shades() == [16] * 7


# ---- getting it, and looking at it ------------------------------------------------------------------------------


def test_without_it_the_ways_are_named(folder):
    with pytest.raises(datasets.DataUnavailable) as error:
        datasets.load("celeba")
    message = str(error.value)
    assert "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in message
    assert str(folder / "img_align_celeba.zip") in message and str(folder / "img_align_celeba/000001.jpg") in message
    assert datasets.load_or_digits("celeba")[2] == "digits"


def test_it_is_downloaded_once_and_taken_up_where_it_broke(monkeypatch, folder, tmp_path):
    content = lay_archive(folder, files(noise)).read_bytes()
    (folder / "img_align_celeba.zip").unlink()
    (source,) = DATASETS["celeba"].sources
    file = source.url.rsplit("/", 1)[1]
    assert "id=" in file and "confirm=t" in file
    server = Server({file: content})
    monkeypatch.setattr(download, "CHUNK", 1000)
    redirect(monkeypatch, server.url, server.files)
    server.drops = [20_500]
    try:
        found = faces("test")
        faces("train")
    finally:
        server.http.shutdown()
        server.http.server_close()
    first, second = server.asked_for(file)
    assert first is None and second.startswith("bytes=20")
    assert (folder / "img_align_celeba.zip").read_bytes() == content
    assert listing(tmp_path) == {"celeba/img_align_celeba.zip", *(f"celeba/{name}" for name in KEPT)}
    (folder / "test-32x32.npy").unlink()
    assert np.array_equal(faces("test", download=False), found)


def test_verify(monkeypatch, folder):
    assert datasets.verify("celeba") == {"celeba/img_align_celeba.zip": "missing"}
    images = lay_folder(folder, files())
    assert datasets.verify("celeba") == {"celeba/img_align_celeba": ""}
    (images / "000008.jpg").unlink()  # in no split that is loaded
    assert datasets.verify("celeba") == {"celeba/img_align_celeba": ""}
    for name in ("000012.jpg", "000003.jpg"):
        (images / name).unlink()
    assert datasets.verify("celeba") == {"celeba/img_align_celeba": "2 images are missing: 000003.jpg, ..."}
    archive = lay_archive(folder, files())
    (source,) = DATASETS["celeba"].sources
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    assert datasets.verify("celeba") == {"celeba/img_align_celeba.zip": f"MD5 {md5} instead of {source.md5}"}
    change(monkeypatch, "celeba", sources=(source._replace(md5=md5),))
    assert datasets.verify("celeba") == {"celeba/img_align_celeba.zip": ""}


# ---- as others lay it out ---------------------------------------------------------------------------------------


def nested_archive(folder: Path) -> None:
    """Kaggle's images lie in a folder of the same name."""
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name, content in files().items():
            archive.writestr(f"img_align_celeba/img_align_celeba/{name}", content)


@pytest.mark.parametrize("where", ["CelebA", "CelebA/Img", "celeba-dataset", "data/celeba", "."])
@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS)
def test_faces_are_found_where_others_lay_them(tmp_path, where, lay):
    folder = tmp_path / "root" / where
    folder.mkdir(parents=True)
    lay(folder, files())
    root = tmp_path / "root"
    assert datasets.available(root)["celeba"]
    images, _ = datasets.load("celeba", root=root, download=False)
    assert [round(face.float().mean().item() / 15, 1) for face in images] == list(TRAIN)
    assert (folder / "train-32x32.npy").is_file()
    (name,) = datasets.verify("celeba", root)
    assert (root / name).exists()


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_in_a_folder_of_the_same_name(folder, packed):
    if packed:
        nested_archive(folder)
    else:
        (folder / "img_align_celeba").mkdir()
        lay_folder(folder / "img_align_celeba", files())
    assert shades() == list(TRAIN) and shades("test") == list(TEST)
    if not packed:
        assert datasets.verify("celeba") == {"celeba/img_align_celeba/img_align_celeba": ""}
        (folder / "img_align_celeba/img_align_celeba/000002.jpg").unlink()
        (folder / "train-32x32.npy").unlink()
        with pytest.raises(datasets.DataDamaged, match="Put the official one there"):
            datasets.load("celeba")


def test_kept_faces_suffice_in_their_own_place(folder, tmp_path):
    """A folder elsewhere that holds one split only does not hide what is kept of the other."""
    lay_folder(folder, files())
    assert shades("test") == list(TEST)
    (tmp_path / "other").mkdir()
    (folder / "img_align_celeba").rename(tmp_path / "other/img_align_celeba")
    assert shades("test") == list(TEST)
    assert not datasets.available()["celeba"]


# ---- from the archive to a picture ------------------------------------------------------------------------------


def face(number: int) -> np.ndarray:
    """A drawing of a face where the published ones have theirs: hair, skin, eyes and a mouth, drawn by its number."""
    rng = np.random.default_rng(number)
    picture = Image.new("RGB", (178, 218), tuple(rng.integers(60, 220, 3)))
    draw, skin = ImageDraw.Draw(picture), np.array([224, 172, 140]) * rng.uniform(0.45, 1.1)
    middle, wide, high = 89 + rng.normal(0, 2), rng.normal(42, 3), rng.normal(56, 3)
    draw.ellipse((middle - 1.3 * wide, 45, middle + 1.3 * wide, 150), fill=tuple(rng.integers(10, 160, 3)))
    draw.ellipse((middle - wide, 122 - high, middle + wide, 122 + high), fill=tuple(skin.clip(0, 255).astype(int)))
    for side in (-1, 1):
        draw.ellipse((middle + 19 * side - 6, 108, middle + 19 * side + 6, 116), fill=(250, 250, 250))
        draw.ellipse((middle + 19 * side - 3, 109, middle + 19 * side + 3, 115), fill=tuple(rng.integers(0, 120, 3)))
    draw.ellipse((middle - 14, 146, middle + 14, 146 + rng.integers(5, 12)), fill=(170, 60, 70))
    return np.asarray(picture)


def test_the_recipe_from_the_archive_to_pictures(monkeypatch, folder, tmp_path, capsys):
    """What somebody does who lays the archive there: verify, train, stop, resume, sample, complete, look."""
    change(monkeypatch, "celeba", numbers={"train": range(1, 41), "test": range(41, 51)})
    archive = lay_archive(folder, {f"{n:06}.jpg": jpeg(face(n), quality=90) for n in range(1, 51)})
    digest = hashlib.md5(archive.read_bytes()).hexdigest()
    change(monkeypatch, "celeba", sources=(DATASETS["celeba"].sources[0]._replace(md5=digest),))
    monkeypatch.chdir(tmp_path)

    def command(text: str) -> str:
        assert main(text.split()) == 0
        return capsys.readouterr().out

    assert "as published" in command("data verify celeba")
    command("train celeba --scale smoke --steps 3 --device cpu --out run")
    command("train celeba --scale smoke --device cpu --out run --resume")
    command("sample run --n 4 --sampler consistent --npy x.npy --out x.png --device cpu")
    x = np.load("x.npy")
    assert x.shape == (4, 3, 32, 32) and np.isfinite(x).all()
    with Image.open("x.png") as picture:
        assert picture.mode == "RGB"
    command("inpaint celeba:3 --mask left --weights run --completions 2 --steps 1 --zoom 1 --out y.png --device cpu")
    with Image.open("y.png") as picture:
        shown = np.asarray(picture)
    held_out = faces("test")[3].transpose(1, 2, 0)
    assert np.abs(shown[:32, :32].astype(int) - held_out).max() <= 1  # the image itself,
    for column in (66, 99):  # and its left half, in both completions
        assert np.abs(shown[:32, column : column + 16].astype(int) - held_out[:, :16]).max() <= 1
    np.save("x.npy", faces("train") / np.float32(255))
    assert main(["evaluate", "x.npy", "--data", "celeba", "--device", "cpu"]) == 1
    assert "no classifier of 'celeba' comes with the package, only of cifar10, digits, mnist: `evaluate" in (
        capsys.readouterr().err
    )
