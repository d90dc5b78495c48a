"""sample, inpaint and data on the command line: what is in the files, and what is said of bad input.

The score is a closed form: of one image, so that every chain must end there, or of two that agree on their left half.
"""

import errno
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import seeded, started
from PIL import Image
from waiting import PATIENCE

import ncsn_edu
from ncsn_edu import datasets, files, karras, pictures, sampling, trained
from ncsn_edu.__main__ import main
from ncsn_edu.datasets.filesets import Content
from ncsn_edu.distributions import Empirical
from ncsn_edu.mcmc import annealed_langevin
from ncsn_edu.recipes import (
    ConvVae,
    DdpmLadder,
    DdpmUnet,
    EpsUnet,
    GuideRecipe,
    Ladder,
    LogNormal,
    Ncsn,
    Optimisation,
    ScoreRecipe,
    TrunkClassifier,
    VaeRecipe,
)
from ncsn_edu.sampling import SAMPLERS, plan
from ncsn_edu.trained import Trained

KNOWN = torch.randint(0, 256, (1, 8, 8), generator=seeded(1)).float() / 255


class Net(Trained):
    """A closed form that says it was trained."""

    def start(self, n, *, generator=None):
        return torch.rand(n, *self.shape, generator=generator)


def net_of(images: torch.Tensor, score=None) -> Net:
    recipe = ScoreRecipe("digits", EpsUnet(), Optimisation(), Ladder(1.0, 0.01, 4))
    return Net(score or Empirical(images), recipe, tuple(images.shape[1:]), 7)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with no data, and the net of one image."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path / "no-data"))
    use(monkeypatch, net_of(KNOWN[None]))
    return tmp_path / "work"


def use(monkeypatch, net: Net) -> None:
    for name in ("load_trained", "load_any"):
        monkeypatch.setattr(trained, name, lambda source, device: net)


def picture(path, zoom: int = 1) -> np.ndarray:
    """The pixels (H, W) or (H, W, 3), one of each zoom x zoom."""
    with Image.open(path) as image:
        return np.array(image)[::zoom, ::zoom]


def drawn(x: torch.Tensor, columns: int | None = None) -> np.ndarray:
    return np.array(pictures.to_pillow(pictures.tile(x, columns)))


def made_by(path) -> dict:
    with Image.open(path) as image:
        assert image.text["Software"] == f"ncsn_edu {ncsn_edu.__version__}"
        return json.loads(image.text["ncsn_edu"])


def nothing_written(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.suffix in (".png", ".gif", ".npy", ".tmp")]


# ---- sample


EVALUATIONS = {"annealed": 41, "consistent": 4, "ancestral": 4, "ddim": 4, "reverse": 4, "corrector": 7, "flow": 7}


@pytest.mark.parametrize("more", [[], ["--sampler", "flow"]])
def test_in_bfloat16_the_images_are_nearly_the_same(tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    words = ["sample", "digits", "--n", "4", "--device", "cpu", *more]
    assert main([*words, "--npy", "a.npy"]) == main([*words, "--bf16", "--npy", "b.npy"]) == 0
    exact, rough = np.load("a.npy"), np.load("b.npy")
    assert 0 < np.abs(exact - rough).mean() < 0.1 and made_by("samples-digits.png")["bf16"] is True


def test_every_sampler_of_the_table_is_asked():
    assert EVALUATIONS.keys() == SAMPLERS.keys()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("anealed", {}, "the sampler must be annealed or consistent"),
        ("annealed", {"snr": 0.2}, "annealed has no setting 'snr', only eps, n_steps_each, denoising"),
        ("flow", {"eps": 1e-4}, "flow has no setting 'eps', only none"),
        ("annealed", {"n_levels": 5}, "stays at the levels of the net"),
        ("ancestral", {"n_levels": 0}, "n must be a whole number of at least"),
        ("corrector", {"snr": -1.0}, "snr must be a finite number above 0"),
    ],
)
def test_a_plan_that_cannot_be(name, settings, message):
    with pytest.raises(ValueError, match=message):
        plan(net_of(KNOWN[None]), name, generator=torch.Generator(), **settings)


def test_a_plan_says_all_its_settings():
    made = {
        name: plan(net_of(KNOWN[None]), name, generator=torch.Generator()).settings for name in ("corrector", "flow")
    }
    assert made["corrector"] == {"sampler": "corrector", "snr": 0.16, "n_levels": 4, "denoising": True}
    assert made["flow"] == {"sampler": "flow", "n_levels": 4, "denoising": True}


def test_eta_for_the_ladder(here):
    """On this ladder 0.785 of the noise must go at each step: 0.5 is too little, and 1.5 times as much is all of it."""
    assert main(["sample", "--n", "3", "--sampler", "consistent"]) == 1
    assert main(["sample", "--n", "3", "--sampler", "consistent", "--eta", "ladder", "--npy", "a.npy"]) == 0
    assert made_by("samples-digits.png")["eta"] is None
    assert main(["sample", "--n", "3", "--sampler", "consistent", "--eta", "1", "--npy", "b.npy"]) == 0
    assert np.array_equal(np.load("a.npy"), np.load("b.npy"))


@pytest.mark.parametrize("sampler", EVALUATIONS)
@pytest.mark.parametrize("more", [[], ["--batch", "2"]])
def test_the_net_of_one_image_gives_that_image(here, capsys, more, sampler):
    more = [*more, "--sampler", sampler, *(["--eta", "0.9"] if sampler == "consistent" else [])]
    assert main(["sample", "--n", "5", "--zoom", "1", *more]) == 0
    assert np.array_equal(picture("samples-digits.png"), drawn(KNOWN.expand(5, 1, 8, 8)))
    out, err = capsys.readouterr()
    evaluations = EVALUATIONS[sampler]
    batches = 3 if "--batch" in more else 1
    assert f"{evaluations} evaluations of the net" in out.splitlines()[0] and err == ""
    assert out.splitlines()[-1].startswith(
        f"wrote samples-digits.png: 5 images, {batches * evaluations} evaluations of the net in "
    )


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], 41),
        (["--paper"], 400),
        (["--steps-each", "3"], 13),
        (["--sampler", "ddim", "--eta", "0.3", "--levels", "6"], 6),
        (["--sampler", "consistent", "--eta", "0.8"], 4),
        (["--sampler", "consistent", "--levels", "16", "--eta", "0.9"], 16),
        (["--sampler", "ancestral", "--levels", "7"], 7),
        (["--sampler", "corrector", "--levels", "6"], 11),
        (["--sampler", "flow", "--levels", "9"], 17),
        (["--batch", "4"], 82),
    ],
)
def test_the_evaluations_that_are_said_are_made(here, capsys, monkeypatch, arguments, asked):
    count, score = [], Empirical(KNOWN[None])
    use(monkeypatch, net_of(KNOWN[None], lambda x, sigma: count.append(1) or score(x, sigma)))
    assert main(["sample", "--n", "6", *arguments]) == 0
    assert len(count) == asked and f" {asked} evaluations of the net in " in capsys.readouterr().out


def test_a_net_that_takes_any_sigma_is_sampled_by_the_flow_unless_told_otherwise(here, monkeypatch, capsys):
    net = net_of(KNOWN[None])
    any_sigma = Net(net.score, replace(net.recipe, noise=LogNormal(20.0, 0.01, 4)), net.shape, 7)
    use(monkeypatch, any_sigma)
    assert main(["sample", "--n", "3", "--npy", "x.npy"]) == 0
    assert " 35 evaluations of the net in " in capsys.readouterr().out
    assert made_by("samples-digits.png")["sampler"] == "flow"
    assert np.allclose(np.load("x.npy"), KNOWN, atol=1e-3)
    assert main(["sample", "--n", "3", "--steps-each", "3"]) == 0
    assert " 13 evaluations" in capsys.readouterr().out


def test_ddpm_s_net_is_sampled_at_its_own_steps():
    """n of them, evenly spaced in t; the flow takes the ladder that suits Heun's method."""
    recipe = ScoreRecipe("digits", DdpmUnet(8), Optimisation(), DdpmLadder())
    net = Trained(recipe.build(1, 8), recipe, (1, 8, 8), 0)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = (1 - betas).cumprod(0)
    known = ((1 - kept) / kept).sqrt() / 2  # of pixels in [0, 1], which are half as far apart
    seen = {}
    for name, n in (("ddim", 20), ("ancestral", 1000), ("flow", 10)):
        states = plan(net, name, generator=torch.Generator(), n_levels=n)
        seen[name] = sampling._levels(SAMPLERS[name], name, net, n).double()
        assert states.settings["n_levels"] == n
    steps = [(known - sigma).abs().argmin().item() for sigma in seen["ddim"]]
    assert steps[0] == 999 and steps[-1] == 0 and set(np.diff(steps)) <= {-52, -53}
    torch.testing.assert_close(seen["ddim"], known[steps], rtol=1e-5, atol=0)
    torch.testing.assert_close(seen["ancestral"], known.flip(0), rtol=1e-5, atol=0)
    torch.testing.assert_close(seen["flow"], karras(known[-1].item(), known[0].item(), 10).double(), rtol=1e-4, atol=0)
    with pytest.raises(ValueError, match="DDPM has 1000 steps here: give at most so many"):
        plan(net, "ddim", generator=torch.Generator(), n_levels=1001)


def test_a_net_that_knows_its_levels_only_is_not_asked_for_others(here, monkeypatch, capsys):
    net = net_of(KNOWN[None])
    use(monkeypatch, Net(net.score, replace(net.recipe, network=Ncsn()), net.shape, 7))
    assert main(["sample", "--sampler", "flow", "--levels", "5"]) == 1
    assert "knows its own 4 noise levels only: leave out --levels" in capsys.readouterr().err
    assert main(["sample", "--n", "2", "--sampler", "flow"]) == 0
    assert main(["inpaint", "digits:0", "--mask", "left", "--levels", "5"]) == 1
    assert "knows its own 4 noise levels only: leave out --levels" in capsys.readouterr().err


def test_the_paper_s_chain_is_algorithm_1_without_denoising(here):
    assert main(["sample", "--n", "3", "--paper", "--seed", "5", "--npy", "x.npy"]) == 0
    net, generator = net_of(KNOWN[None]), seeded(5)
    x = net.start(3, generator=generator)
    for state in annealed_langevin(net.score, x, net.sigmas, generator=generator):
        x = state.x
    assert np.array_equal(np.load("x.npy"), x.numpy())
    said = made_by("samples-digits.png")
    assert (said["eps"], said["n_steps_each"], said["denoising"]) == (2e-5, 100, False)


def test_consistent_sampling_starts_with_noise_of_the_first_level_and_ends_denoised(here, monkeypatch):
    levels, score = [], Empirical(KNOWN[None])

    def watched(x, sigma):
        levels.append((float(sigma), (x - KNOWN).std().item()))
        return score(x, sigma)

    use(monkeypatch, net_of(KNOWN[None], watched))
    assert main(["sample", "--n", "200", "--batch", "200", "--sampler", "consistent", "--eta", "0.8"]) == 0
    sigmas = net_of(KNOWN[None]).sigmas
    assert torch.allclose(torch.tensor([sigma for sigma, _ in levels]), sigmas)
    assert 1.0 < levels[0][1] < 1.2  # noise of 1, and uniform images instead of KNOWN beside it
    assert levels[-1][1] == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("animate", [[], ["--animate"]])
def test_one_seed_one_file(here, animate):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert main(["sample", "--n", "4", "--paper", "--out", f"{name}.png", "--seed", seed, *animate]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert not np.array_equal(picture("a.png"), picture("c.png"))


def test_the_picture_says_how_it_was_made(here):
    assert main(["sample", "my/run", "--n", "2", "--seed", "9", "--eps", "3e-5", "--steps-each", "2"]) == 0
    said = made_by("samples-run.png")
    expected = {"source": "my/run", "step": 7, "n": 2, "seed": 9, "sampler": "annealed_langevin", "eps": 3e-5}
    expected |= {"n_steps_each": 2, "denoising": True, "evaluations": 9, "batch": 64, "data": "digits"}
    assert said.items() >= expected.items()


def test_floats_are_kept_as_they_are_and_folders_made(here, monkeypatch):
    images = 3 * torch.randn(1, 3, 4, 4, generator=seeded())  # far beyond [0, 1]
    use(monkeypatch, net_of(images))
    assert main(["sample", "--n", "2", "--out", "new/folder/x.png", "--npy", "other/x.npy", "--zoom", "3"]) == 0
    kept = np.load("other/x.npy")
    assert kept.shape == (2, 3, 4, 4) and kept.dtype == np.float32
    assert np.allclose(kept, images.expand(2, 3, 4, 4).numpy(), atol=1e-4)
    assert np.array_equal(picture("new/folder/x.png", 3), drawn(torch.from_numpy(kept)))


def test_columns_and_the_size_of_pixels(here):
    assert main(["sample", "--n", "6", "--columns", "6"]) == 0
    assert picture("samples-digits.png").shape == (4 * 8, 4 * (6 * 9 - 1))  # 8 pixels are grown to 32


@pytest.mark.parametrize("name", ["film.gif", "film.png"])
def test_an_animation_shows_the_way_and_ends_with_the_grid(here, name):
    arguments = ["sample", "--n", "3", "--batch", "2", "--zoom", "1"]
    assert main([*arguments, "--out", "still.png"]) == 0
    assert main([*arguments, "--animate", "--out", name]) == 0
    with Image.open(name) as film:
        assert film.n_frames == 40 + (name == "film.png")
        film.seek(film.n_frames - 1)
        assert np.array_equal(np.array(film.convert("L")), picture("still.png")) and film.info["duration"] == 2000
        distance = []
        for number in range(film.n_frames - 40, film.n_frames):
            film.seek(number)
            distance.append(np.abs(np.array(film.convert("L")).astype(int) - picture("still.png")).mean())
    assert distance[0] > 40 > 3 > distance[-2] > distance[-1] == 0


def test_an_animation_of_few_steps_has_a_frame_each(here):
    assert main(["sample", "--n", "1", "--steps-each", "1", "--animate"]) == 0
    with Image.open("samples-digits.gif") as film:
        assert film.n_frames == 5


# ---- inpaint

PAIR = torch.stack([KNOWN, torch.cat([KNOWN[..., :4], 1 - KNOWN[..., 4:]], 2)])  # the left halves agree


def test_completions_keep_what_is_known_and_fill_in_the_rest(here, monkeypatch, capsys):
    use(monkeypatch, net_of(PAIR))
    pictures.to_pillow(KNOWN.permute(1, 2, 0)).save("in.png")
    assert main(["inpaint", "in.png", "--mask", "left", "--completions", "6", "--zoom", "1", "--npy", "x.npy"]) == 0
    completions = torch.from_numpy(np.load("x.npy"))
    assert torch.equal(completions[..., :4], KNOWN[..., :4].expand(6, 1, 8, 4))
    nearest = torch.cdist(completions.flatten(1), PAIR.flatten(1)).min(1)
    assert (nearest.values < 0.2).all() and set(nearest.indices.tolist()) == {0, 1}
    masked = torch.cat([KNOWN[..., :4], torch.full((1, 8, 4), 0.5)], 2)
    wanted = drawn(torch.cat([KNOWN[None], masked[None], completions]), 8)
    assert np.array_equal(picture("inpainted-in.png"), wanted)
    said = made_by("inpainted-in.png")
    assert (said["image"], said["mask"], said["sampler"], said["n"]) == ("in.png", "left", "inpaint", 6)
    assert "6 completions, 41 evaluations of the net in" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more", [[], ["--paper"], ["--animate", "--out", "inpainted-in.png"], ["--sampler", "repaint"]]
)
def test_hidden_pixels_change_nothing(here, monkeypatch, more):
    use(monkeypatch, net_of(PAIR))
    results = []
    for right in (KNOWN[..., 4:], torch.zeros(1, 8, 4), torch.ones(1, 8, 4)):
        pictures.to_pillow(torch.cat([KNOWN[..., :4], right], 2).permute(1, 2, 0)).save("in.png")
        assert main(["inpaint", "in.png", "--mask", "left", "--npy", "x.npy", "--completions", "3", *more]) == 0
        results.append((Path("x.npy").read_bytes(), picture("inpainted-in.png")[:, 36:].tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("more", [[], ["--paper"], ["--times", "1"]])
def test_known_pixels_are_exact_also_where_the_chain_ends_with_noise(here, more):
    mask = pictures.preset_mask("random:0.7", (8, 8), generator=seeded(4))
    assert main(["inpaint", "digits:12", "--mask", "random:0.7", "--seed", "4", "--npy", "x.npy", *more]) == 0
    image = datasets.load("digits", split="test")[0][12].float() / 255
    assert np.array_equal(np.load("x.npy")[:, mask.bool().numpy()], image[mask.bool()].expand(8, -1).numpy())
    assert np.array_equal(picture("inpainted-digits-12.png", 4)[:, :8], drawn(image[None]))


def test_the_evaluations_of_inpainting(here, monkeypatch):
    count, score = [], Empirical(PAIR)
    use(monkeypatch, net_of(PAIR, lambda x, sigma: count.append(1) or score(x, sigma)))
    runs = {"": 41, "--paper": 400, "--batch 1 --completions 2": 82, "--sampler repaint": 31, "--times 2": 7}
    for more, asked in runs.items():
        count.clear()
        assert main(["inpaint", "digits:0", "--mask", "top", *more.split()]) == 0
        assert len(count) == asked


def test_photographs_are_completed_by_resampling_unless_told(here, monkeypatch):
    """Nets of any noise level go 40 levels of their own range, each step ten times; Algorithm 2 where it is named."""
    net, asked = net_of(PAIR), []
    score = Empirical(PAIR)
    recipe = replace(net.recipe, noise=LogNormal(1.0, 0.01, 4))
    use(monkeypatch, Net(lambda x, sigma: asked.append(float(sigma)) or score(x, sigma), recipe, net.shape, 7))
    for more, n_levels, evaluations in (("", 40, 391), ("--levels 7 --times 3", 7, 19), ("--steps-each 2", 4, 9)):
        asked.clear()
        assert main(["inpaint", "digits:0", "--mask", "top", *more.split()]) == 0
        assert len(asked) == evaluations and len({f"{sigma:.6g}" for sigma in asked}) == n_levels
        assert max(asked) == pytest.approx(1.0) and min(asked) == pytest.approx(0.01)
    assert made_by("inpainted-digits-0.png")["sampler"] == "inpaint"


def test_an_animation_of_completions_ends_with_the_picture(here, monkeypatch):
    use(monkeypatch, net_of(PAIR))
    arguments = ["inpaint", "digits:0", "--mask", "centre", "--paper", "--completions", "2", "--zoom", "1"]
    assert main(arguments) == main([*arguments, "--animate"]) == 0
    with Image.open("inpainted-digits-0.gif") as film:
        assert film.n_frames == 40
        film.seek(39)
        assert np.array_equal(np.array(film.convert("L")), picture("inpainted-digits-0.png"))


def test_a_mask_of_one_s_own(here, monkeypatch):
    use(monkeypatch, net_of(PAIR))
    mask = pictures.preset_mask("left", (8, 8))
    pictures.to_pillow(mask.permute(1, 2, 0)).save("mask.png")
    for name in ("mask.png", "left"):
        assert main(["inpaint", "digits:1", "--mask", name, "--npy", f"{name}.npy"]) == 0
    assert Path("mask.png.npy").read_bytes() == Path("left.npy").read_bytes()


def test_what_is_done_to_a_photograph_is_said(here, capsys):
    Image.new("RGBA", (90, 60), (255, 0, 0, 128)).save("photo.png")
    assert main(["inpaint", "photo.png", "--mask", "left"]) == 0
    out = capsys.readouterr().out
    for words in ("laid on white", "made grey", "90x60 pixels, its middle, resized to the 8x8 of the net"):
        assert any(line.startswith("photo.png: ") and words in line for line in out.splitlines())


def test_help_names_every_mask(capsys):
    assert main(["inpaint", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in pictures.MASKS)


# ---- bad input


def png(name: str, size=(8, 8), colour=0) -> None:
    Image.new("L", size, colour).save(name)


FILL = ["inpaint", "in.png", "--mask"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sample", "--out", "x.jpg"], 2, "ends in .png"),
        (["sample", "--out", "x"], 2, "ends in .png"),
        (["sample", "--out", "x.gif"], 2, "give --animate"),
        (["sample", "--animate", "--out", "x.mp4"], 2, "ends in .png or .gif"),
        (["sample", "--npy", "x.txt"], 2, "ends in .npy"),
        (["sample", "--out", "folder.png"], 1, "is a folder"),
        (["sample", "--out", "in.png/x.png"], 1, "is a file"),
        (["sample", "--out", "x" * 252 + ".png"], 1, "cannot be written: File name too long"),
        (["sample", "--npy", "new/" + "ü" * 126 + ".npy"], 1, "cannot be written: File name too long"),
        (["sample", "--out", "new/" + "y" * 300 + "/x.png"], 1, "cannot be written: File name too long"),
        ([*FILL, "left", "--out", "d/" * 2100 + "x.png"], 1, "cannot be written: File name too long"),
        (["sample", "--npy", "in.png/x.npy"], 1, "is a file"),
        (["sample", "--n", "0"], 2, "at least 1"),
        (["sample", "--n", "9" * 30], 2, "is too large: 2147483647 is the most"),
        (["sample", "--zoom", "9" * 5000], 2, "999' is not a whole number"),
        (["sample", "--steps-each", str(2**63)], 2, "is too large"),
        (["sample", "--eps", "0"], 2, "not a number above 0"),
        (["sample", "--eps", "nan"], 2, "not a number above 0"),
        (["sample", "--seed", "4294967296"], 2, "from 0 to 4294967295"),
        (["sample", "--sampler", "other"], 2, "consistent"),
        (["sample", "--paper", "--eps", "1e-5"], 2, "--paper sets"),
        (["sample", "--paper", "--steps-each", "2"], 2, "--paper sets"),
        (["sample", "--paper", "--sampler", "consistent"], 2, "--paper sets"),
        (["sample", "--sampler", "consistent", "--eps", "1e-5"], 2, "give --eta"),
        (
            ["sample", "--sampler", "flow", "--steps-each", "5"],
            2,
            "--steps-each is for --sampler annealed: give --levels",
        ),
        (["sample", "--levels", "5"], 2, "--levels is for --sampler consistent, ancestral, ddim, reverse, "),
        (["sample", "--sampler", "flow", "--levels", "1"], 2, "at least 2"),
        (["sample", "--eta", "0.5"], 2, "give --eps"),
        (["sample", "--sampler", "flow", "--eta", "0.5"], 2, "--eta is for --sampler consistent or ddim"),
        (["sample", "--sampler", "ddim", "--eta", "ladder"], 2, "give a share from 0 to 1"),
        (["sample", "--sampler", "ddim", "--eps", "1e-5"], 2, "give --eta or --levels"),
        (["sample", "--sampler", "consistent", "--eta", "2"], 2, "not a share from 0 to 1"),
        (["sample", "--sampler", "consistent", "--eta", "0.1"], 1, "larger eta"),
        (["sample", "--label", "10"], 1, "the classes that the classifier knows are 0 to 9: there is no class 10"),
        (["sample", "--label", "-1"], 2, "not a whole number of at least 0"),
        (["sample", "--label", "3.0"], 2, "'3.0' is not a whole number of at least 0"),
        (["sample", "--label", "three"], 2, "there is no class 'three'. There are: 0, 1, 2, 3"),
        (["sample", "--guidance", "2"], 2, "--guidance guides towards a class: say which by --label"),
        (["sample", "--classifier", "x"], 2, "--classifier guides towards a class: say which by --label"),
        (["sample", "--label", "3", "--guidance", "-1"], 2, "'-1' is not 0 or a number above 0"),
        (["sample", "--label", "3", "--guidance", "inf"], 2, "'inf' is not 0 or a number above 0"),
        (["sample", "--label", "3", "--guidance", "two"], 2, "'two' is not 0 or a number above 0"),
        (["sample", "--label", "3", "--classifier", "none"], 1, "there are no weights 'none'"),
        (["sample", "--label", "3", "--classifier", "cifar10"], 1, "of noisy cifar10 images"),
        (["sample", "--device", "gpu"], 1, "--device gpu cannot be used here"),
        (["sample", "--device", "meta"], 1, "--device meta cannot be used here"),
        (["inpaint", "in.png"], 2, "--mask"),
        ([*FILL, "lefft"], 2, "no mask 'lefft'. Did you mean left?"),
        ([*FILL, "random:2"], 2, "between 0 and 1"),
        ([*FILL, "no.png"], 1, "there is no file no.png"),
        ([*FILL, "grey.png"], 1, "other colours"),
        ([*FILL, "large.png"], 1, "9x9 pixels, but the net's images have 8x8"),
        ([*FILL, "white.png"], 1, "nothing is missing"),
        ([*FILL, "random:0.001"], 1, "nothing is missing"),
        ([*FILL, "left", "--out", "in.png"], 1, "would be overwritten"),
        ([*FILL, "mask.png", "--out", "./mask.png"], 1, "would be overwritten"),
        ([*FILL, "left", "--times", "2", "--eps", "1"], 2, "--times is for --sampler repaint, and --eps for annealed"),
        ([*FILL, "left", "--sampler", "annealed", "--times", "2"], 2, "for --sampler repaint, and this is annealed"),
        ([*FILL, "left", "--sampler", "repaint", "--steps-each", "2"], 2, "annealed, and this is repaint"),
        ([*FILL, "left", "--sampler", "repaint", "--paper"], 2, "--paper sets --eps, --steps-each and --sampler"),
        ([*FILL, "left", "--sampler", "flow"], 2, "invalid choice: 'flow'"),
        (["inpaint", "no.png", "--mask", "left"], 1, "there is no file no.png"),
        (["inpaint", "folder.png", "--mask", "left"], 1, "is a folder"),
        (["inpaint", "text.png", "--mask", "left"], 1, "is no picture"),
        (["inpaint", "empty.png", "--mask", "left"], 1, "is empty"),
        (["inpaint", "half.jpg", "--mask", "left"], 1, "truncated"),
        (["inpaint", "digits:899", "--mask", "left"], 2, "digits:0 to digits:898"),
        (["inpaint", "digits:x", "--mask", "left"], 2, "digits:0 to digits:898"),
        (["inpaint", "digits", "--mask", "left"], 2, "digits:0 to digits:898"),
        (["inpaint", "dgits:3", "--mask", "left"], 2, "no data set 'dgits'. Did you mean digits?"),
        (["inpaint", "mnist:3", "--mask", "left"], 1, "python -m ncsn_edu data get mnist"),
    ],
)
def test_bad_input_is_found_before_the_net_is_asked(here, capsys, monkeypatch, arguments, code, message):
    use(monkeypatch, net_of(KNOWN[None], lambda x, sigma: pytest.fail("the net was asked")))
    for name, size, colour in (("in", 8, 0), ("grey", 8, 9), ("large", 9, 0), ("white", 8, 255), ("mask", 8, 0)):
        png(f"{name}.png", (size, size), colour)
    Path("folder.png").mkdir()
    Path("text.png").write_text("no picture")
    Path("empty.png").touch()
    Image.effect_noise((99, 99), 50).save("half.jpg")
    Path("half.jpg").write_bytes(Path("half.jpg").read_bytes()[:2000])
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert (
        message in err
        and "Traceback" not in err
        and (code == 2 or err.count("\n") == 1 or "Three ways to get it" in err)
    )
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_a_picture_too_large_to_unpack(here, capsys, monkeypatch):
    png("in.png", (64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert main([*FILL, "left"]) == 1
    assert "too much memory" in capsys.readouterr().err


@pytest.mark.parametrize("length", [200, 236, 250, 255])
def test_the_longest_names_can_be_written(here, length):
    """Also while they are written, when there is something more to them."""
    name = "[ä]" + "x" * (length - 8) + ".png"
    assert len(os.fsencode(name)) == length
    assert main(["sample", "--n", "1", "--out", name]) == 0
    assert [path.name for path in here.iterdir()] == [name]


@pytest.mark.parametrize("source", ["no-such-net", "run", "text.safetensors", "text.ckpt"])
def test_no_net_there(here, capsys, monkeypatch, source):
    monkeypatch.undo()
    monkeypatch.chdir(here)
    Path("run").mkdir()
    for name in ("text.safetensors", "text.ckpt"):
        Path(name).write_text("no weights")
    assert main(["sample", source]) == 1
    err = capsys.readouterr().err
    assert source in err and err.count("\n") == 1 and nothing_written(here)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_takes_no_files(here, capsys):
    (here / "shut").mkdir(mode=0o555)
    assert main(["sample", "--out", "shut/x.png"]) == 1
    assert "takes no files" in capsys.readouterr().err


def test_a_folder_that_takes_no_files_as_the_system_says(here, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert main(["sample", "--out", "new/x.png"]) == 1
    assert "takes no files" in capsys.readouterr().err and not Path("new").exists()


# ---- what goes wrong on the way


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "smaller --batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "smaller --batch"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB). Tried to allocate 2 GB"), 1, "smaller --batch"),
        (MemoryError(), 1, "smaller --batch"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
@pytest.mark.parametrize("command", [["sample", "--animate"], ["inpaint", "digits:0", "--mask", "left"]])
def test_nothing_is_left_of_a_run_that_stops(here, capsys, monkeypatch, command, error, code, message):
    calls, score = [], Empirical(KNOWN[None])

    def stops(x, sigma):
        calls.append(1)
        if len(calls) > 20:
            raise error
        return score(x, sigma)

    use(monkeypatch, net_of(KNOWN[None], stops))
    assert main([*command, "--npy", "x.npy", "--out", "new/x.png"]) == code
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and list(here.iterdir()) == []


def test_a_chain_that_runs_away_is_an_error(here, capsys, monkeypatch):
    use(monkeypatch, net_of(KNOWN[None], lambda x, sigma: x.square() / sigma**2))
    assert main(["sample", "--eps", "100"]) == 1
    assert "smaller --eps" in capsys.readouterr().err and nothing_written(here)


def test_other_errors_of_the_net_are_not_hidden(here, monkeypatch):
    def broken(x, sigma):
        raise RuntimeError("a mistake in the program")

    use(monkeypatch, net_of(KNOWN[None], broken))
    with pytest.raises(RuntimeError, match="a mistake"):
        main(["sample"])


@pytest.mark.parametrize("more", [[], ["--animate", "--out", "x.png"], ["--animate", "--out", "x.gif"]])
def test_a_full_disk_leaves_nothing(here, capsys, monkeypatch, more):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    assert main(["sample", "--n", "2", "--npy", "x.npy", *more]) == 1
    err = capsys.readouterr().err
    assert "cannot be written (No space left on device)" in err and err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_an_old_picture_stays_where_the_new_one_fails(here, monkeypatch):
    assert main(["sample", "--n", "2"]) == 0
    before = Path("samples-digits.png").read_bytes()
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken disk")))
    assert main(["sample", "--n", "3"]) == 1
    assert Path("samples-digits.png").read_bytes() == before and len(list(here.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_as_a_process(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_commands_images as t; "
        "net = t.net_of(t.KNOWN[None]); t.trained.load_trained = lambda source, device: net; "
        "sys.exit(t.main(['sample', '--steps-each', '1000000', '--out', sys.argv[2]]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(ncsn_edu.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "x.png")]
    with started(command, env=environment, stdout=-1, stderr=-1, text=True) as process:
        assert "evaluations" in process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err.strip() == "" and list(tmp_path.iterdir()) == []


# ---- data


@pytest.fixture
def mnist(here, monkeypatch):
    """Four files that are MNIST as far as verify can know."""
    root, contents = here / "data", {"train": [], "test": []}
    (root / "mnist").mkdir(parents=True)
    record = datasets.DATASETS["mnist"]
    for split, files_of_split in record.contents.items():
        for file, _ in files_of_split:
            content = file.encode() * 10
            (root / file.removesuffix(".gz")).write_bytes(content)
            contents[split].append(Content(file, hashlib.md5(content).hexdigest()))
    changed = replace(record, contents={split: tuple(made) for split, made in contents.items()})
    monkeypatch.setitem(datasets.DATASETS, "mnist", changed)
    return root


def test_list_says_what_is_here_and_how_large_the_rest_is(mnist, capsys):
    assert main(["data", "list", "--root", str(mnist)]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(datasets.NAMES)
    rows = {row.split()[0]: row for row in rows}
    assert "yes, in scikit-learn" in rows["digits"] and f"yes, in {mnist}" in rows["mnist"]
    assert "no: python -m ncsn_edu data get cifar10" in rows["cifar10"] and "170 MB" in rows["cifar10"]
    for name, row in rows.items():
        record = datasets.DATASETS[name]
        numbers = list(record.n_images.values())
        if name == "digits":
            numbers = [len(datasets.load(name, split=split)[0]) for split in ("train", "test")]
        assert " + ".join(map(str, numbers)) in row and "x".join(map(str, record.shape)) in row
    assert main(["data", "list", "mnist"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_verify_reports_every_file_and_a_damaged_one_fails(mnist, capsys):
    assert main(["data", "verify", "--root", str(mnist)]) == 0
    out, err = capsys.readouterr()
    assert out.count("as published") == 4 and "digits" in out and "cifar10" not in out and err == ""
    damaged = mnist / "mnist/t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert main(["data", "verify", "mnist", "cifar10", "--root", str(mnist)]) == 1
    out, err = capsys.readouterr()
    line = next(line for line in out.splitlines() if str(damaged) in line)
    assert "as published" not in line and out.count("as published") == 3
    assert "mnist: 1 of 4 files are not as published" in err and "ncsn_edu: cifar10: " in err  # both are reported


def test_get_goes_on_after_a_failure(here, capsys, monkeypatch):
    load, asked = datasets.load, []

    def fetched(name, *, split, root):
        asked.append((name, split))
        if name == "mnist":
            raise datasets.DataUnavailable("the server cannot be reached")
        return load(name, split=split, root=root)

    monkeypatch.setattr(datasets, "load", fetched)
    assert main(["data", "get", "mnist", "digits"]) == 1
    out, err = capsys.readouterr()
    assert (
        err == "ncsn_edu: mnist: the server cannot be reached\n" and out == "digits: 898 + 899 images in scikit-learn\n"
    )
    assert asked == [("mnist", "train"), ("digits", "train"), ("digits", "test")]
    assert main(["data", "get", "digits"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get"], "say which"),
        (["get", "mnits"], "no data set 'mnits'. Did you mean mnist?"),
        (["verify", "all"], "no data set"),
        (["fetch"], "invalid choice"),
        ([], "required"),
    ],
)
def test_wrong_usage_of_data(here, capsys, arguments, message):
    assert main(["data", *arguments]) == 2
    assert message in capsys.readouterr().err


# ---- VAEs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def vae(here, monkeypatch):
    """A VAE whose mean image is grey by its first latent."""
    recipe = VaeRecipe("digits", ConvVae(2, 4, std=0.1), Optimisation())
    net = recipe.build(1, 8)
    net.forward = lambda v: v[:, :1, None, None].expand(-1, 1, 8, 8)
    found = trained.TrainedVae(net, recipe, (1, 8, 8), 5)
    monkeypatch.setattr(trained, "load_any", lambda source, device: found)
    return here


def test_a_vae_is_sampled_in_one_pass(vae, capsys):
    assert main(["sample", "vae_digits", "--n", "5000", "--batch", "1000", "--npy", "x.npy", "--seed", "3"]) == 0
    x = np.load("x.npy")
    assert x.shape == (5000, 1, 8, 8) and abs(x[:, 0, 0, 0].mean()) < 0.06 and abs(x[:, 0, 0, 0].std() - 1) < 0.05
    assert (x == x[:, :, :1, :1]).all()  # means, without the decoder's noise
    assert "5 evaluations" in capsys.readouterr().out
    about = made_by("samples-vae_digits.png")
    assert (about["sampler"], about["noise"], about["net"], about["step"]) == ("decoder", False, "VAE", 5)
    assert main(["sample", "vae_digits", "--n", "2000", "--noise", "--npy", "y.npy"]) == 0
    assert np.load("y.npy").std((2, 3)).mean() == pytest.approx(0.1, rel=0.1)


def test_a_walk_leads_from_one_latent_to_another_and_keeps_to_the_prior(vae):
    assert main(["sample", "vae_digits", "--n", "3000", "--batch", "3000", "--interpolate", "6", "--npy", "w.npy"]) == 0
    rows = np.load("w.npy")[:, 0, 0, 0].reshape(500, 6)
    angles = np.linspace(0, np.pi / 2, 6)
    assert np.allclose(rows, rows[:, :1] * np.cos(angles) + rows[:, -1:] * np.sin(angles), atol=1e-5)
    assert np.allclose(rows.std(0), 1, atol=0.12)
    assert picture("samples-vae_digits.png").shape[1] > picture("samples-vae_digits.png").shape[0] // 500 * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eta", "0.5"], "--eta is for --sampler consistent or ddim"),
        (["--levels", "1001", "--sampler", "ddim"], "DDPM has 1000 steps here: give at most"),
        (["--steps-each", "3", "--sampler", "ancestral"], "--steps-each is for --sampler annealed: give --levels"),
    ],
)
def test_options_are_judged_by_the_sampler_that_the_net_takes(tmp_path, monkeypatch, capsys, options, message):
    """DDPM's net is sampled by the flow unless told otherwise, which has levels."""
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "ddpm_digits", "--n", "2", "--levels", "4", "--npy", "x.npy"]) == 0
    assert np.load("x.npy").shape == (2, 1, 8, 8) and made_by("samples-ddpm_digits.png")["n_levels"] == 4
    assert main(["sample", "ddpm_digits", *options, "--out", "y.png"]) in (1, 2)
    assert message in capsys.readouterr().err and not Path("y.png").exists()


def test_a_vae_does_not_complete_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["inpaint", "digits:3", "--mask", "left", "--weights", "vae_digits", "--out", "c.png"]) == 1
    assert "vae_digits is a VAE, which has no score: give a score network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sampler", "flow"], "vae_digits is a VAE, which decodes in one pass: leave out --sampler"),
        (["--steps-each", "3"], "leave out --steps-each"),
        (["--paper"], "leave out --paper"),
        (["--interpolate", "1"], "whole number of at least 2"),
        (["--interpolate", "9", "--n", "8"], "--n 8 is less than one row of 9 images"),
        (["--levels", "5"], "leave out --levels"),
        (["--label", "5"], "vae_digits is a VAE, which is told no class: leave out --label"),
        (["--guidance", "5"], "leave out --label"),
    ],
)
def test_options_of_scores_are_none_of_a_vae_s(vae, capsys, options, message):
    assert main(["sample", "vae_digits", *options]) == 2
    assert message in capsys.readouterr().err and nothing_written(vae)


def test_latents_of_the_training_images(vae, capsys, monkeypatch):
    """The encoder says how bright an image is; so do, then, the latents."""
    net = trained.load_any("vae_digits", device="cpu").net
    net.encode = lambda x: (x.mean((1, 2, 3))[:, None].expand(-1, 2), torch.full((len(x), 2), 1e-3))
    arguments = ["sample", "vae_digits", "--aggregate", "--n", "2000", "--batch", "2000", "--npy", "x.npy"]
    assert main(arguments) == 0
    greys = np.load("x.npy")[:, 0, 0, 0]
    brightness = datasets.load("digits")[0].numpy().mean((1, 2, 3)) / 255
    assert abs(greys.mean() - brightness.mean()) < 0.005
    assert np.allclose(np.quantile(greys, [0.05, 0.95]), np.quantile(brightness, [0.05, 0.95]), atol=0.01)
    assert made_by("samples-vae_digits.png")["latents"] == "aggregate posterior"
    assert "1 evaluation of the net in" in capsys.readouterr().out
    monkeypatch.setattr(datasets, "load", lambda *a, **k: pytest.fail("the prior needs no data"))
    assert main(["sample", "vae_digits"]) == 0 and made_by("samples-vae_digits.png")["latents"] == "prior"


@pytest.mark.parametrize("option", ["--interpolate", "--noise", "--aggregate"])
def test_options_of_vaes_are_none_of_a_score_s(here, capsys, option):
    assert main(["sample", option]) == 2
    assert f"{option} is for VAEs, and digits is a score network" in capsys.readouterr().err


# ---- one class


class Told(torch.nn.Module):
    """The score of one of two images, or of both where no class is told."""

    def __init__(self):
        super().__init__()
        self.scores = [Empirical(image[None]) for image in (KNOWN, 1 - KNOWN)]
        self.all, self.asked = Empirical(torch.stack([KNOWN, 1 - KNOWN])), 0

    def forward(self, x, sigma, label=None):
        self.asked += 1
        if label is None or (label == -1).all():
            return self.all(x, sigma)
        return self.scores[label[0]](x, sigma)


class Best(torch.nn.Module):
    """What can be known of which of two images it was."""

    n_classes = 2

    def forward(self, x, sigma):
        distance = torch.stack([((x - image) ** 2).sum((1, 2, 3)) for image in (KNOWN, 1 - KNOWN)], 1)
        return -distance / (2 * torch.as_tensor(sigma).reshape(-1, 1) ** 2)


def told(n_classes: int) -> Net:
    return replace(net_of(KNOWN[None], Told()), recipe=replace(SMALL, network=EpsUnet(n_classes=n_classes)))


SMALL = ScoreRecipe("digits", EpsUnet(), Optimisation(), Ladder(1.0, 0.01, 4))


def guide_of(data="digits", noise=SMALL.noise) -> trained.TrainedGuide:
    return trained.TrainedGuide(Best(), GuideRecipe(data, TrunkClassifier(), Optimisation(), noise), (1, 8, 8), 1)


@pytest.mark.parametrize("n_classes", [0, 2])
@pytest.mark.parametrize("scale", [[], ["--guidance", "2"]])
def test_images_of_one_class(here, monkeypatch, capsys, n_classes, scale):
    """By the net itself where it is told classes, else by a classifier of noisy images."""
    use(monkeypatch, of_net := told(n_classes))
    monkeypatch.setattr(trained, "load_guide", lambda source, device: guide_of() if source == "digits" else 1 / 0)
    for label, image in enumerate((KNOWN, 1 - KNOWN)):
        assert main(["sample", "--n", "9", "--label", str(label), *scale, "--npy", "x.npy"]) == 0
        assert np.abs(np.load("x.npy") - image.numpy()).max() < 0.02
    about, said = made_by("samples-digits.png"), capsys.readouterr().out
    assert about["label"] == 1 and about.get("guidance") == (2 if scale else None)
    asked = of_net.score.asked // 2  # for one of the two labels
    assert about["evaluations"] == asked and said.count(f" {asked} evaluations of the net") == 4
    assert main(["sample", "--n", "9", "--label", "0", "--guidance", "0", "--npy", "x.npy"]) == 0
    both = np.abs(np.load("x.npy") - KNOWN.numpy()).mean((1, 2, 3)) > 0.1
    assert both.any() and not both.all()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (guide_of("mnist"), "the classifier knows mnist, and the net makes digits, whose classes are others"),
        (guide_of(noise=Ladder(0.5, 0.01, 4)), "trained with noise from 0.5 to 0.01, and the net is sampled from 1 to"),
        (
            guide_of(noise=Ladder(2.0, 0.1, 4)),
            "trained with noise from 2 to 0.1, and the net is sampled from 1 to 0.01",
        ),
    ],
)
def test_a_classifier_of_something_else(here, monkeypatch, capsys, found, message):
    monkeypatch.setattr(trained, "load_guide", lambda source, device: found)
    assert main(["sample", "--label", "1", "--classifier", "some"]) == 1
    assert message in capsys.readouterr().err and not list(here.iterdir())


def test_a_class_by_its_name(here, monkeypatch, capsys):
    use(monkeypatch, replace(told(2), recipe=replace(told(2).recipe, data="cifar10")))
    for name, image in (("airplane", KNOWN), ("Automobile", 1 - KNOWN)):
        assert main(["sample", "--n", "9", "--label", name, "--npy", "x.npy"]) == 0
        assert np.abs(np.load("x.npy") - image.numpy()).max() < 0.02
    assert made_by("samples-digits.png")["label"] == 1
    assert main(["sample", "--label", "auto"]) == 2
    assert "there is no class 'auto'. Did you mean automobile? There are: airplane," in capsys.readouterr().err


def test_a_net_that_is_told_other_classes_and_a_data_set_without_classifier(here, monkeypatch, capsys):
    use(monkeypatch, told(2))
    assert main(["sample", "--label", "2"]) == 1
    assert "the classes that this net is told are 0 to 1: there is no class 2" in capsys.readouterr().err
    use(monkeypatch, replace(net_of(KNOWN[None]), recipe=replace(SMALL, data="celeba")))
    assert main(["sample", "--label", "2"]) == 1
    assert "no classifier of noisy celeba images comes with the package" in capsys.readouterr().err
