"""evaluate: what it prints and writes, and what it says to files that are no samples."""

import json

import numpy as np
import pytest
import torch

from ncsn_edu.__main__ import main
from ncsn_edu.data import load

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
