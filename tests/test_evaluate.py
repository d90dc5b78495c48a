"""evaluate: what it prints and writes, and what it says to files that are no samples."""

import gzip
import io
import json

import numpy as np
import pytest
import torch
from scipy import stats

from ncsn_edu import commands, features, metrics, trained
from ncsn_edu.__main__ import main
from ncsn_edu.datasets import load
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.recipes import EpsUnet, Ladder, Ncsn, Optimisation, ScoreRecipe
from ncsn_edu.trained import Trained

DIGITS = load("digits")[0]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_real_images_are_near_and_noise_is_far(here, capsys):
    np.save("real.npy", DIGITS[:300].numpy())
    noise = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    np.save("noise.npy", (1.4 * noise - 0.2).numpy())  # beyond [0, 1] by the last noise of a sampler: cut off
    found = {}
    for name in ("real", "noise"):
        assert main(["evaluate", f"{name}.npy", "--alone", "--out", f"{name}.json"]) == 0
        found[name] = json.loads((here / f"{name}.json").read_text())["samples"]
        said = capsys.readouterr().out
        assert "samples (300 images)" in said and "Features of the digits classifier, against 899 held-out" in said
    names = ["Frechet distance", "kernel distance", "precision", "recall", "classifier score"]
    assert [number["name"] for number in found["real"]] == names
    for number in found["real"]:
        assert number["low"] <= number["value"] <= number["high"] and number["net"] == "the digits classifier"
    assert 5 * found["real"][0]["value"] < found["noise"][0]["value"]
    assert found["real"][2]["value"] > 0.8 and found["noise"][2]["value"] < 0.3


def test_the_same_for_scale(here, capsys):
    np.save("real.npy", DIGITS[:400].float().numpy() / 255)
    assert main(["evaluate", "real.npy", "--n", "300", "--out", "all.json"]) == 0
    found = json.loads((here / "all.json").read_text())
    assert list(found) == [
        "samples",
        "training images",
        "training images, noise 0.1",
        "Gaussian",
        "Gaussian, 32 components",
    ]
    distance = {name: numbers[0]["value"] for name, numbers in found.items()}
    assert all(number["n"] == 300 for numbers in found.values() for number in numbers)
    assert distance["samples"] < distance["training images, noise 0.1"] < distance["Gaussian"]


@pytest.fixture
def modes(monkeypatch):
    """The modes in which nets are compiled, without a C++ compiler."""
    real, found = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda net, mode: found.append(mode) or real(net, backend="eager"))
    return found


@pytest.mark.filterwarnings("error:compiling failed")
def test_a_compiled_net_measures_the_same_and_one_in_bfloat16_something_near_by_another_name(here, modes):
    np.save("real.npy", DIGITS[:300].numpy())
    found = {}
    for options in ("", "--compile", "--compile max-autotune --bf16", "--bf16"):
        assert main(["evaluate", "real.npy", "--alone", *options.split(), "--out", "x.json"]) == 0
        found[options] = json.loads((here / "x.json").read_text())["samples"]
    assert modes == [None, "max-autotune"]
    exact, compiled, *narrow = ([number["value"] for number in numbers] for numbers in found.values())
    assert compiled == pytest.approx(exact, rel=1e-4)
    for values in narrow:  # eight bits of a feature are not its twenty-four
        assert values != exact and values[0] == pytest.approx(exact[0], rel=0.02)
    names = {options: numbers[0]["net"] for options, numbers in found.items()}
    assert names["--compile"] == names[""] == "the digits classifier"
    assert names["--bf16"] == names["--compile max-autotune --bf16"] == "the digits classifier in bfloat16"


def test_features_in_bfloat16_are_compared_with_their_own_only():
    net, x = features.classifier_net("digits"), DIGITS[:300]
    exact, narrow = (features.extract(x, each) for each in (net, features.faster(net, bf16=True)))
    with pytest.raises(ValueError, match="in bfloat16"):
        metrics.frechet(narrow, exact)


@pytest.mark.parametrize(
    ("make", "arguments", "code", "message"),
    [
        (None, ["x.npy"], 1, "there is no file x.npy: make it with python -m ncsn_edu sample"),
        (b"text", ["x.npy"], 1, "is no .npy file of numbers"),
        (
            np.zeros((4, 64)),
            ["x.npy"],
            1,
            r"must hold images (N, C, H, W), floats or bytes, and holds float64, (4, 64)",
        ),
        (np.zeros((4, 1, 8, 8), dtype=int), ["x.npy"], 1, "floats or bytes, and holds int64"),
        (np.zeros((40, 1, 8, 8)), ["x.npy", "--n", "50"], 1, "holds 40 images, fewer than --n 50"),
        (np.zeros((40, 1, 8, 8)), ["x.npy", "--alone"], 1, "40 images are too few for a covariance of 256 features"),
        (np.zeros((4, 2, 8, 8)), ["x.npy"], 1, "no data set has images of the shape (2, 8, 8)"),
        (np.zeros((4, 3, 32, 32)), ["x.npy"], 2, "may belong to cifar10 or celeba: say which by --data"),
        (np.zeros((4, 1, 8, 8)), ["x.npy", "--data", "mnist"], 1, "and those of mnist are (1, 28, 28)"),
        (np.zeros((4, 1, 8, 8)), ["x.npy", "--data", "digit"], 2, "Did you mean digits?"),
        (np.zeros((4, 1, 8, 8)), ["x.npy", "--out", "x.txt"], 2, "give a name that ends in .json"),
        (np.full((300, 1, 8, 8), 200.0), ["x.npy", "--alone"], 1, "pass images / 255"),
        (None, ["digits_unet", "--bits", "--bf16"], 2, "leave out --bf16"),
        (None, ["x.npy", "--compile", "fast"], 2, "invalid choice: 'fast'"),
        (np.full((300, 1, 8, 8), np.nan), ["x.npy", "--alone"], 1, "NaN or infinite"),
        (np.zeros((300, 1, 8, 8)), ["x.npy", "--alone", "--features", "inception"], 1, "pip install torch-fidelity"),
    ],
)
def test_bad_input(make, arguments, code, message, here, capsys):
    if isinstance(make, bytes):
        (here / "x.npy").write_bytes(make)
    elif make is not None:
        np.save("x.npy", make)
    assert main(["evaluate", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not list(here.glob("*.json"))


def test_data_that_are_not_here(here, capsys, monkeypatch):
    monkeypatch.setenv("NCSN_EDU_DATA", str(here / "nothing"))
    np.save("x.npy", np.zeros((4, 1, 28, 28)))
    assert main(["evaluate", "x.npy"]) == 1
    assert "python -m ncsn_edu data get mnist" in capsys.readouterr().err


REAL = DIGITS[:300].numpy()  # (300, 1, 8, 8), uint8
FLOATS = REAL.astype(np.float64) / 255


@pytest.fixture
def measured(monkeypatch):
    """The images that are measured, without measuring them."""
    seen = []
    monkeypatch.setattr(features, "extract", lambda images, net, device: seen.append(images))
    monkeypatch.setattr(commands.evaluate, "measured", lambda *_: ())
    return seen  # the held-out images first


def several(path, **arrays):
    np.savez_compressed(path, **arrays)


READ = {
    "channels last": (FLOATS.transpose(0, 2, 3, 1), "(300, 8, 8, 1) is taken as images (N, C, H, W) = (300, 1, 8, 8)"),
    "no channel": (REAL[:, 0], "(300, 8, 8) is taken as"),
    "big-endian": (FLOATS.astype(">f4"), ""),
    "long double": (FLOATS.astype(np.longdouble), ""),
    "columns first": (np.asfortranarray(FLOATS), ""),
    "bytes in int32": (REAL.astype(np.int32), ""),
    "bytes in big-endian": (REAL.astype(">u2"), ""),
    "one in an archive": ({"samples": REAL.transpose(0, 2, 3, 1)}, "(300, 8, 8, 1) is taken as"),
    "the first in an archive": ({"arr_0": FLOATS, "arr_1": REAL}, "of its 2 arrays, arr_0 is taken"),
    "images and labels": ({"labels": np.arange(300), "x": REAL}, "of its 2 arrays, x is taken"),
}


@pytest.mark.parametrize(("content", "said"), READ.values(), ids=READ)
def test_images_whose_meaning_is_certain(here, capsys, measured, content, said):
    name = "x.npz" if isinstance(content, dict) else "x.npy"
    several(name, **content) if isinstance(content, dict) else np.save(name, content)
    assert main(["evaluate", name, "--alone"]) == 0
    images = measured[1].double() / (255 if measured[1].dtype == torch.uint8 else 1)
    assert np.abs(images.numpy() - FLOATS).max() < 1e-6
    assert said in capsys.readouterr().out


def test_bits_and_halves(here, measured):
    np.save("bits.npy", REAL > 127)
    np.save("half.npy", FLOATS.astype(np.float16))
    for name in ("bits", "half"):
        assert main(["evaluate", f"{name}.npy", "--alone", "--n", "290"]) == 0
    assert np.array_equal(measured[1].numpy(), REAL[:290] > 127)
    assert np.abs(measured[3].numpy() - FLOATS[:290]).max() < 1e-3


def test_a_huge_file_is_not_read_whole(here, measured):
    """64 GB that take no room on the disk: only what --n asks for is looked at."""
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**28, 1, 8, 8)})
        start = file.tell()
        file.write(FLOATS.astype("<f4").tobytes())
        file.truncate(start + 2**28 * 256)
    assert main(["evaluate", "x.npy", "--alone", "--n", "300"]) == 0
    assert measured[1].shape == (300, 1, 8, 8) and np.abs(measured[1].numpy() - FLOATS).max() < 1e-6


def bytes_of(save, *arguments, **named) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments, **named)
    return buffer.getvalue()


WHOLE = bytes_of(np.save, FLOATS)
REFUSED = {
    "empty": (b"", "is no .npy file of numbers, but empty: get it again"),
    "cut": (WHOLE[:-9], "is no .npy file of numbers ("),
    "cut in its head": (WHOLE[:40], "is no .npy file of numbers ("),
    "a spoilt head": (WHOLE.replace(b"'descr'", b"'de\0cr'"), "is no .npy file of numbers ("),
    "no images": (bytes_of(np.save, FLOATS[:0]), "holds no images: its shape is (0, 1, 8, 8)"),
    "no axis": (bytes_of(np.save, np.float64(3)), "holds float64, ()"),
    "one image": (bytes_of(np.save, np.zeros((3, 32, 32))), "(3, 32, 32), one image: measures need many"),
    "one image, channels last": (bytes_of(np.save, np.zeros((28, 28, 1))), "one image: measures need many"),
    "objects": (bytes_of(np.save, np.array([None]), allow_pickle=True), "is no .npy file of numbers (Object arrays"),
    "complex": (bytes_of(np.save, FLOATS + 1j), "floats or bytes, and holds complex128"),
    "text": (bytes_of(np.save, np.full((4, 1, 8, 8), "x")), "floats or bytes, and holds <U1"),
    "negative bytes": (bytes_of(np.save, REAL.astype(int) - 128), "floats or bytes, and holds int64"),
    "zeros and ones": (bytes_of(np.save, (REAL > 99).astype(np.uint8)), "pass 255 * images as bytes, or floats"),
    "from -1": (bytes_of(np.save, 2 * FLOATS - 1), "from -1 to 1, and not from 0 to 1: pass (images + 1) / 2"),
    "overflow": (bytes_of(np.save, np.full((4, 1, 8, 8), np.inf, np.float16)), "NaN or infinite"),
    "two of them": (bytes_of(np.savez, a=FLOATS, b=FLOATS), "holds a (300, 1, 8, 8), b (300, 1, 8, 8): save the"),
    "none of them": (bytes_of(np.savez, labels=np.arange(3)), "holds labels (3,): save the"),
    "an empty archive": (bytes_of(np.savez), "a zip archive that holds nothing"),
    "a spoilt archive": (
        bytes_of(np.savez, x=FLOATS).replace(b"\x93NUMPY", b"\x93BUMPY"),
        "is no .npy file of numbers (",
    ),
    "objects in an archive": (bytes_of(np.savez, x=np.array([{}, None])), "is no .npy file of numbers (Object arrays"),
    "a tensor": (bytes_of(lambda file: torch.save(torch.zeros(3), file)), "but a PyTorch file: write the images with"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(9), "but a PNG picture: write the images with numpy.save"),
    "packed": (gzip.compress(WHOLE), "but packed by gzip: unpack it first"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_images_is_refused_in_words(here, capsys, name):
    content, message = REFUSED[name]
    (here / "x.npy").write_bytes(content)
    assert main(["evaluate", "x.npy", "--alone"]) == 1
    err = capsys.readouterr().err
    assert message in err and err.startswith("ncsn_edu: x.npy ") and err.count("\n") == 1


def test_a_folder_is_no_file_of_samples(here, capsys):
    (here / "samples").mkdir()
    assert main(["evaluate", "samples"]) == 1
    assert "samples is no .npy file of numbers, but a folder" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["x" * 251 + ".json", "new/" + "ü" * 130 + ".json", "x.npy/y.json", "folder.json"])
def test_an_output_that_cannot_be_is_found_before_measuring(here, capsys, monkeypatch, out):
    np.save("x.npy", FLOATS)
    (here / "folder.json").mkdir()
    monkeypatch.setattr(features, "extract", lambda *_, **__: pytest.fail("the samples were measured"))
    assert main(["evaluate", "x.npy", "--out", out]) == 1
    err = capsys.readouterr().err
    assert ("cannot be written" in err or "is a folder" in err) and "Errno" not in err and err.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["folder.json", "x.npy"]


@pytest.mark.parametrize("head", [b"{'descr': os.sys}", b"{'descr': '<f4', 'shape': (", b"\xff" * 20, b"(" * 300])
def test_a_header_that_is_no_header(tmp_path, capsys, head):
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head)
    assert main(["evaluate", str(path)]) == 1 and "is no .npy file of numbers" in capsys.readouterr().err


def test_pixels_of_an_unknown_white_are_not_divided_by_255(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.full((300, 1, 8, 8), 16.0))
    assert main(["evaluate", str(tmp_path / "x.npy")]) == 1
    assert "what white is" in capsys.readouterr().err


# ---- bits a pixel of a net ------------------------------------------------------------------------------------------


def use(monkeypatch, score, network) -> None:
    recipe = ScoreRecipe("digits", network, Optimisation(), Ladder(30.0, 0.01, 4))
    monkeypatch.setattr(trained, "load_trained", lambda source, device: Trained(score, recipe, (1, 8, 8), 7))


@pytest.mark.filterwarnings("error:compiling failed")
@pytest.mark.parametrize("options", [[], ["--compile"]])
def test_bits_of_a_net_that_takes_pixels_for_gaussian(options, here, capsys, modes, monkeypatch):
    """-log2 p of the cells around the greys of all held-out images, by the normal distribution function."""
    score, n = GaussianMixture([64 * [0.3]], 0.16), 200
    use(monkeypatch, lambda x, sigma: score(x.flatten(1), sigma).view_as(x), EpsUnet())
    assert main(["evaluate", "digits", "--bits", "--n", str(n), "--out", "b.json", *options]) == 0
    assert len(modes) == len(options)
    found, said = json.loads((here / "b.json").read_text()), capsys.readouterr().out
    greys = load("digits", split="test")[0].double().numpy() / 255
    cells = np.diff(stats.norm(0.3, 0.4).cdf([greys - 1 / 32, greys + 1 / 32]), axis=0)
    assert found["levels"] == 17 and found["n"] == n and "a uniform model: 4.087" in said and " of 17 greys" in said
    assert abs(found["bits"] + np.log2(cells).mean()) < 4 * found["standard_error"]


@pytest.mark.parametrize(
    ("network", "arguments", "code", "message"),
    [
        (Ncsn(), [], 1, "knows its own 4 noise levels only, and the flow asks for all between them: give a net"),
        (EpsUnet(), ["--n", "5000"], 1, "there are 899 held-out images of digits, fewer than --n 5000"),
        (EpsUnet(), ["--alone"], 2, "leave out --data, --features and --alone"),
        (EpsUnet(), ["--n", "2"], 1, "NaN or infinite"),
    ],
)
def test_bits_that_cannot_be_had(network, arguments, code, message, here, capsys, monkeypatch):
    use(monkeypatch, lambda x, sigma: x * torch.nan, network)
    assert main(["evaluate", "digits", "--bits", *arguments]) == code
    assert message in capsys.readouterr().err
