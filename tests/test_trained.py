"""Trained nets from files: the same scores again, and an error that helps for everything else."""

import json
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ncsn_edu import Guided, checkpoints, denoise, karras, last, probability_flow, trained
from ncsn_edu.__main__ import main
from ncsn_edu.checkpoints import CheckpointDamaged
from ncsn_edu.datasets import DATASETS, available, load
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.metrics import frechet_distance, gaussian_fit
from ncsn_edu.recipes import (
    RECIPES,
    EpsUnet,
    JudgeRecipe,
    Ncsn,
    NcsnV2,
    Optimisation,
    PlainClassifier,
    PreconditionedUnet,
    ResNetClassifier,
    changed,
    from_json,
    to_json,
)
from ncsn_edu.runs import run
from ncsn_edu.sampling import SAMPLERS, decoding, draw
from ncsn_edu.trained import load_any, load_guide, load_judge, load_net, load_trained, save_weights

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import compare as compare_tool
import quality as quality_tool
import weights as weights_tool

RECIPE = changed(RECIPES["digits"]["smoke"], n_steps=3)
X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a few steps."""
    path = tmp_path_factory.mktemp("run")
    for state in run(RECIPE, load("digits")[0], path):
        kept = state
    torch.save({"ema": kept.ema(X, 0.01), "model": kept.model(X, 0.01).detach()}, path / "expected.pt")
    return path


@pytest.fixture
def weights(folder, tmp_path):
    return save_weights(tmp_path / "w.safetensors", checkpoints.Folder(folder).latest())


def test_a_run_s_folder_and_a_checkpoint_give_the_averaged_net(folder):
    expected = torch.load(folder / "expected.pt")
    for source in (folder, str(folder), folder / "step-000000003.ckpt", folder / "best.ckpt"):
        net = load_trained(source)
        assert torch.equal(net.score(X, 0.01), expected["ema"])
        assert (net.step, net.shape, net.recipe) == (3, (1, 8, 8), RECIPE)
        assert not net.score.training and not any(p.requires_grad for p in net.score.parameters())
    assert not torch.equal(expected["ema"], expected["model"])  # or nothing was tested


def test_weights_are_stored_in_half_and_mean_the_same(folder, weights):
    exact, stored = load_trained(folder), load_trained(weights)
    difference = (stored.score(X, 0.01) - exact.score(X, 0.01)).norm() / exact.score(X, 0.01).norm()
    assert 0 < difference < 5e-3  # float16 has 11 bits
    assert stored.recipe == exact.recipe and stored.step == 3
    assert torch.equal(stored.score.sigmas, exact.score.sigmas)
    with safe_open(weights, "pt") as file:  # read by the library itself, without this package
        assert all(file.get_tensor(n).dtype == torch.float16 for n in file.keys() if n != "sigmas")  # noqa: SIM118
        assert from_json(json.loads(file.metadata()["recipe"])) == RECIPE
    numbers = 2 * sum(p.numel() for p in exact.score.parameters())
    assert numbers < weights.stat().st_size < numbers + 40_000  # the rest are names


def test_a_checkpoint_without_average_gives_the_net_itself(folder, tmp_path):
    content = checkpoints.Folder(folder).latest()
    path = checkpoints.save(tmp_path / "a.ckpt", {**content, "ema": None})
    assert torch.equal(load_trained(path).score(X, 0.01), torch.load(folder / "expected.pt")["model"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_every_net_can_be_stored_and_read_again(shape, tmp_path):
    data = next(name for name, record in DATASETS.items() if record.shape == shape)
    for network in (EpsUnet(8), PreconditionedUnet(8), Ncsn(4), NcsnV2(4)):
        recipe = replace(RECIPE, data=data, network=network)
        torch.manual_seed(0)
        net = recipe.build(shape[0], shape[1])
        content = {"step": 1, "recipe": to_json(recipe), "model": net.state_dict()}
        again = load_trained(save_weights(tmp_path / "w.safetensors", content))
        x = torch.rand(2, *shape)
        torch.testing.assert_close(again.score(x, 1.0), net(x, 1.0).detach(), rtol=0.02, atol=0.02)


def test_what_it_is_for(folder):
    net = load_trained(folder)
    assert net.sigmas[0] == 1 and len(net.sigmas) == 10
    start = net.start(1000, generator=torch.Generator().manual_seed(0))
    assert start.shape == (1000, 1, 8, 8) and 0 <= start.min() < 0.001 and 0.999 < start.max() <= 1
    assert abs(start.mean() - 0.5) < 0.01
    assert SAMPLERS["annealed"].evaluations(10, **vars(net.sampling)) == 101


# ---- what comes with the package ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", trained.shipped())
def test_shipped_weights(name):
    path = trained.WEIGHTS / f"{name}.safetensors"
    net = load_trained(name)
    assert path.stat().st_size <= (3 if net.shape[0] == 1 else 12) * 2**20
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{sum(p.numel() for p in net.score.parameters()):,} parameters" in card and f"{net.step:,} steps" in card
    assert f"python -m ncsn_edu train {name}" in card and path.with_suffix(".png").is_file()


@pytest.mark.parametrize("name", trained.shipped_vaes())
def test_shipped_vaes(name):
    path, vae = trained.WEIGHTS / f"{name}.safetensors", load_any(name)
    assert path.stat().st_size <= 2 * 2**20
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{sum(p.numel() for p in vae.net.parameters()):,} parameters" in card and f"{vae.step:,} steps" in card
    assert f"python -m ncsn_edu train {name}" in card and path.with_suffix(".png").is_file()


def test_there_are_weights_for_digits_mnist_and_cifar10():
    assert {"digits", "mnist", "cifar10_small"} <= set(trained.shipped())
    assert {f"{net}_{data}" for net in ("ddpm", "vae") for data in ("digits", "mnist")} | {"ncsnv2_digits"} <= {
        *trained.shipped(),
        *trained.shipped_vaes(),
    }


def test_what_guides_is_no_score_and_no_judge(folder):
    """Its own loader knows a data set, a file and a run; the cards say what was measured of it."""
    guide = load_guide("digits")
    assert guide.classifier(X, 0.3).shape == (5, 10) and guide.shape == (1, 8, 8) and guide.step == 6000
    assert load_guide(trained.WEIGHTS / "guide_digits.safetensors").recipe == guide.recipe
    assert trained.shipped_guides() == ["digits"] and "guide_digits" not in trained.shipped()
    assert "digits_classes" in trained.shipped()
    for refused in ("guide_digits", trained.WEIGHTS / "guide_digits.safetensors"):
        with pytest.raises((ValueError, FileNotFoundError), match=r"holds no score network|there are no weights"):
            load_trained(refused)
    with pytest.raises(ValueError, match="holds no noisy classifier of images"):
        load_guide(folder)


@pytest.mark.parametrize("data", compare_tool.N)
def test_the_table_of_all_nets_was_measured_of_those_that_ship(data):
    rows = json.loads(compare_tool.path_of(data).read_text(encoding="utf-8"))
    wanted = compare_tool.settings(data)
    assert list(rows) == [*wanted, compare_tool.REAL, compare_tool.GAUSSIAN]
    for what, words in wanted.items():
        assert (rows[what]["asked"], rows[what]["step"]) == (words, load_any(words[0]).step)
        card = (trained.WEIGHTS / f"{words[0]}.md").read_text(encoding="utf-8")
        assert f"| {what} | {rows[what]['sure']:.3g} |" in card
    for row in rows.values():
        assert row["Frechet distance"]["low"] < row["Frechet distance"]["value"] < row["Frechet distance"]["high"]
    assert rows["VAE, prior"]["evaluations"] == 1 < rows["DDIM, 20 steps"]["evaluations"] == 20


def test_a_row_of_that_table_comes_out_again():
    """The quickest one, for which the data are always there: samples, and each number by its own function."""
    row = json.loads(compare_tool.path_of("digits").read_text(encoding="utf-8"))["VAE, prior"]
    plan = decoding(load_any("vae_digits"), generator=torch.Generator().manual_seed(0))
    x = torch.cat([step.x for step in draw(plan, 1024, 64)]).clamp(0, 1)
    held_out = load("digits", split="test")[0].float() / 255
    top, label = load_judge("digits")(x).softmax(1).max(1)
    assert row["sure"] == pytest.approx((top > 0.9).double().mean().item(), abs=0.003)
    assert row["classes"] == pytest.approx((torch.bincount(label, minlength=10) / 1024).tolist(), abs=0.003)
    flat, real = (images.flatten(1).double() for images in (x, held_out))
    varies = real.std(0) > 0  # some pixels are black in all of them, and nearly so in samples
    assert real.std(0)[~varies].sum() == 0 and flat.std(0)[~varies].max() < 0.02
    flat, real = flat[:, varies], real[:, varies]
    root = scipy.linalg.sqrtm((flat.T.cov() @ real.T.cov()).numpy()).real
    distance = (flat.mean(0) - real.mean(0)).square().sum() + flat.var(0).sum() + real.var(0).sum() - 2 * root.trace()
    assert row["pixels"] == pytest.approx(distance.item(), rel=0.01)


@pytest.mark.parametrize("name", [path.stem for path in trained.WEIGHTS.glob("cifar10*.safetensors")])
def test_what_comes_with_a_net_for_photographs_was_measured_of_it(name):
    net = load_trained(name)
    curve, quality = (
        json.loads((trained.WEIGHTS / f"{name}_{what}.json").read_text()) for what in ("training", "quality")
    )
    assert 0.99 * net.step < curve["step"][-1] <= net.step and len(curve["levels"]) == len(net.sigmas)
    assert (quality["source"], quality["step"], quality["data"]) == (name, net.step, "cifar10")
    only = ["flow"] if net.recipe.network.n_classes else None  # six times as slow: by what `sample` takes for it
    assert {tuple(row["asked"]) for row in quality["rows"]} >= set(map(tuple, quality_tool.settings(net, 1001, only)))


def by_flow(net, score, x, n_levels):
    levels = karras(net.sigmas[0].item(), net.sigmas[-1].item(), n_levels)
    return denoise(score, last(probability_flow(score, x, levels)), levels[-1]).clamp(0, 1)


@cache
def photographs():
    """256 samples of the shipped net, by the flow."""
    n, net, generator = 256, load_trained("cifar10_small"), torch.Generator().manual_seed(0)
    x = net.start(n, generator=generator) + net.sigmas[0] * torch.randn(n, *net.shape, generator=generator)
    return by_flow(net, net.score, x, 12)


def test_photographs_have_the_colours_and_the_smoothness_of_real_ones():
    """Means and standard deviations as published for CIFAR-10's channels; its neighbours are correlated by 0.93."""
    x = photographs()
    flat = x.transpose(0, 1).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.05, rtol=0)
    torch.testing.assert_close(flat.std(1), torch.tensor([0.2470, 0.2435, 0.2616]), atol=0.04, rtol=0)
    pairs = torch.stack([x[..., 1:].flatten(), x[..., :-1].flatten()])
    assert 0.88 < pairs.corrcoef()[0, 1] < 0.98


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_photographs_of_a_class_are_taken_for_it(scale):
    """By the judge, which took no part: two of each class, where one in ten would be right by chance."""
    net, label = load_trained("cifar10_classes"), torch.arange(10).repeat(2)
    x = 0.5 + net.sigmas[0] * torch.randn(20, *net.shape, generator=torch.Generator().manual_seed(0))
    x = by_flow(net, Guided(net.score, label, scale), x, 8)
    right = (load_judge("cifar10")(x).argmax(1) == label).double().mean()
    assert right >= (0.4 if scale == 1 else 0.7)


def test_photographs_come_nearer_to_real_ones_than_a_gaussian_does():
    if not available()["cifar10"]:
        pytest.skip("cifar10 is not on this machine")
    judge = classifier_net("cifar10")
    some = load("cifar10")[0][:5000].float() / 255
    fit = gaussian_fit(some, 256, generator=torch.Generator().manual_seed(0))
    reference = extract(load("cifar10", split="test")[0][:2000], judge)
    ours, its = (frechet_distance(extract(x.clamp(0, 1), judge).values, reference.values) for x in (photographs(), fit))
    assert ours < 0.6 * its


@pytest.mark.parametrize(
    ("data", "least", "off"), [("digits", 0.985, 0.01), ("mnist", 0.985, 0.01), ("cifar10", 0.92, 0.04)]
)
def test_a_judge_is_right_on_held_out_images_and_knows_how_often(data, least, off):
    if not available()[data]:
        pytest.skip(f"{data} is not on this machine")
    images, labels = (part[:2000] for part in load(data, split="test"))
    top, label = extract(images, classifier_net(data)).probabilities.max(1)
    accuracy = (label == labels).double().mean()
    assert accuracy >= least
    assert abs(top.mean() - accuracy) < off


def test_a_judge_is_stored_and_read_again(tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(trained, "WEIGHTS", tmp_path)
    nets = {"small": ("digits", PlainClassifier(4)), "large": ("cifar10", PlainClassifier(4))}
    for name, (data, network) in (nets | {"residual": ("cifar10", ResNetClassifier(4))}).items():
        recipe, shape = JudgeRecipe(data, network, Optimisation()), DATASETS[data].shape
        net, x = recipe.build(shape[0], shape[1]), torch.rand(6, *shape)
        net.train()(x)  # the norms' averages move
        content = {"step": 2, "recipe": to_json(recipe), "model": net.state_dict(), "ema": None}
        save_weights(tmp_path / f"judge_{name}.safetensors", content)
        assert load_net(f"judge_{name}")[1:] == (recipe, 2)
        torch.testing.assert_close(load_judge(name)(x), net.eval()(x), rtol=0.01, atol=0.01)
    assert trained.shipped() == []
    with pytest.raises(FileNotFoundError, match="only of large, residual, small"):
        load_judge("mnist")


def test_the_tool_makes_weights_and_a_card_that_says_how(folder, tmp_path, monkeypatch, capsys):
    shutil.copy(trained.WEIGHTS / "judge_digits.safetensors", tmp_path)
    monkeypatch.setattr(trained, "WEIGHTS", tmp_path)
    monkeypatch.setitem(compare_tool.N, "digits", 288)
    words = ["--ended", "1", "2", "--note", "The mains failed once."]
    monkeypatch.setattr(sys, "argv", ["weights.py", "digits", str(folder), *words])
    weights_tool.main()
    assert trained.shipped() == ["digits"] and (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    card = (tmp_path / "digits.md").read_text(encoding="utf-8")
    assert card in capsys.readouterr().out
    for said in (
        "`python -m ncsn_edu train digits --scale smoke --steps 1`, then",
        "`python -m ncsn_edu train digits --scale smoke --steps 2 --resume`, then",
        "--steps 3 --resume`",
        "- The mains failed once.\n- 3 steps of 16 images",
        "EMA 0.9\n- 10 levels from 1 to 0.01",
        "- 288 samples, cut off",
        "- NCSN: `python -m ncsn_edu sample digits`",
    ):
        assert said in card
    head, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines() if line[:2] == "| ")
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    real, sampled, gaussian = found["training images"], found["NCSN"], found["Gaussian"]
    assert float(real["sure"]) > 0.95 and float(real["nearest, train / held out"]) < 0.001  # known by heart
    assert sampled["evaluations"] == "101"
    pixels = "Frechet, pixels"
    assert float(real[pixels]) < 0.6 < 5 * float(gaussian[pixels]) < float(sampled[pixels])  # three steps teach nothing
    assert json.loads((tmp_path / "digits_compared.json").read_text())["NCSN"]["step"] == 3
    (tmp_path / "digits.md").write_text(card.replace(sampled["sure"], "0.123"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["weights.py", "digits", "--table"])
    weights_tool.main()
    assert (tmp_path / "digits.md").read_text(encoding="utf-8") == card


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("digits FOLDER --ended 3", "growing steps before 3"),
        ("digits FOLDER --ended 2 1", "growing steps before 3"),
        ("digits FOLDER --ended 0", "growing steps before 3"),
        ("digits FOLDER/none", "no checkpoint"),
        ("faces", "NAME is one of"),
        ("manifold", "NAME is one of"),
        ("judge_digits --note x", "no --ended and no --note"),
        ("judge_digits FOLDER/none", "no checkpoint"),
        ("guide_digits --ended 3", "no --ended and no --note"),
    ],
)
def test_the_tool_refuses_before_it_writes(words, complaint, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trained, "WEIGHTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["weights.py", *words.replace("FOLDER", str(folder)).split()])
    with pytest.raises((SystemExit, FileNotFoundError)) as refused:
        weights_tool.main()
    assert complaint in str(refused.value) + capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_quality_tool_measures_each_setting_once_and_goes_on(folder, tmp_path, monkeypatch, capsys):
    out, evaluated = tmp_path / "q.json", []

    def without_a_judge(words):
        """The real `sample`; in place of `evaluate`, which takes seconds, one number that tells the samples apart."""
        if words[0] == "sample":
            code = main(words)
            if "corrector" in words and len(evaluated) < 3:  # as if it had diverged
                np.save(words[words.index("--npy") + 1], np.full((4, 1, 8, 8), np.nan))
            return code
        number = mean_of(np.load(words[1]))
        found = {key: [number] for key in ("samples", "training images")}
        Path(words[words.index("--out") + 1]).write_text(json.dumps(found))
        return 0

    def mean_of(x):
        assert x.min() >= 0 and x.max() <= 1 and len(x) == 4
        evaluated.append(x)
        if len(evaluated) == 3:
            raise KeyboardInterrupt
        return {"name": "mean", "value": float(x.mean())}

    def alone(x, *_, seed):
        return [SimpleNamespace(_asdict=lambda: mean_of(x))]

    monkeypatch.setattr(quality_tool, "extract", lambda x, net: x)
    monkeypatch.setattr(quality_tool, "held_out_features", lambda data: None)
    monkeypatch.setattr(quality_tool, "measured", alone)
    monkeypatch.setattr(quality_tool, "ncsn_edu", without_a_judge)
    monkeypatch.setattr(sys, "argv", ["quality.py", str(folder), "--n", "4", "--most", "30", "--out", str(out)])
    with pytest.raises(KeyboardInterrupt):
        quality_tool.main()
    assert len(json.loads(out.read_text())["rows"]) == 2
    assert "--sampler corrector: samples that are not finite; left out" in capsys.readouterr().out
    quality_tool.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["evaluations"] for row in rows] == [10, 10, 19, 11, 21]  # ten levels; T of 1 and 2, and denoising
    assert len({row["numbers"][0]["value"] for row in rows}) == 5 and len(evaluated) == 6
    assert ["scale" in row for row in rows] == [True] + 4 * [False]
    assert rows[3]["asked"][:4] == ["--sampler", "annealed", "--steps-each", "1"]
    monkeypatch.setattr(sys, "argv", ["quality.py", str(folder), "--n", "5", "--out", str(out)])
    with pytest.raises(SystemExit, match="choose another --out"):
        quality_tool.main()


def test_the_quality_tool_asks_for_what_the_samplers_can_do():
    """From 20 to 0.01 in n levels: at least 12, for half of the noise to be enough from one to the next."""
    asked = list(quality_tool.settings(load_trained("cifar10_small"), 101))
    lengths = {
        name: [int(words[3]) for words in asked if words[1] == name and "--eta" not in words]
        for name in ("consistent", "ancestral", "corrector")
    }
    assert lengths == {"consistent": [20, 50, 100], "ancestral": [10, 20, 50, 100], "corrector": [6, 13, 26, 50]}
    # With a share that follows the ladder any number of levels can be taken.
    assert [words[3:] for words in asked if "--eta" in words] == [
        [n, "--eta", "ladder"] for n in ("10", "20", "50", "100")
    ]
    assert [words[:4] for words in asked if words[1] in ("flow", "annealed")] == [
        *(["--sampler", "flow", "--levels", n] for n in ("6", "10", "18", "50")),
        *(["--sampler", "annealed", "--steps-each", n] for n in ("1", "2", "5")),
    ]


def test_the_quality_tool_keeps_to_the_samplers_that_it_is_given():
    asked = list(quality_tool.settings(load_trained("digits"), 3000, ["annealed"]))
    assert {words[1] for words in asked} == {"annealed"} and ["--paper"] not in asked
    assert ["--paper"] in list(quality_tool.settings(load_trained("digits"), 3000))


def test_the_card_of_photographs_holds_what_the_commands_found(folder, monkeypatch):
    def with_known_numbers(words):
        if words[0] == "sample":
            return main(words)
        number = {"name": "distance", "value": 2.0, "low": 1.5, "high": 2.5, "net": "a net", "n_reference": 10_000}
        Path(words[words.index("--out") + 1]).write_text(json.dumps({"samples": [number], "Gaussian": [number]}))
        return 0

    monkeypatch.setattr(quality_tool, "ncsn_edu", with_known_numbers)
    sheets, lines = weights_tool.evaluated(load_trained(folder), str(folder), 4)
    card, (x,) = " ".join(lines), sheets.values()
    assert x.shape == (4, 1, 8, 8) and f"`python -m ncsn_edu sample {folder} --n 4 --npy x.npy`" in card
    assert lines[-6:-4] == ["| images | distance |", "|---|---|"] and "a net, against 10,000 held-out" in card
    assert lines[-4:-1] == ["| samples | 2 [1.5, 2.5] |", "| Gaussian | 2 [1.5, 2.5] |", ""]
    taken_for = torch.bincount(load_judge("digits")(x.clamp(0, 1)).argmax(1), minlength=10).tolist()
    said = ", ".join(f"{digit} {25 * n}.0 %" for digit, n in enumerate(taken_for))  # of four
    assert lines[-1] == f"- What the classifier takes the samples for: {said}."


# ---- what is no trained net ---------------------------------------------------------------------------------------


def test_cut_short_anywhere(weights):
    whole = weights.read_bytes()
    for length in [*range(0, 16), *range(16, len(whole), len(whole) // 20), len(whole) - 1]:
        weights.write_bytes(whole[:length])
        with pytest.raises(CheckpointDamaged):
            load_trained(weights)


def test_any_bit_flipped(weights):
    whole = weights.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in [*range(0, header, header // 20), *range(header, len(whole), len(whole) // 20), len(whole) - 1]:
        weights.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises((CheckpointDamaged, ValueError)):  # a damaged kind: weights of something else
            load_trained(weights)


def test_weights_of_something_else(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="something else"):
        load_trained(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="no score network of images.*it is a classifier"):
        load_trained(trained.WEIGHTS / "judge_digits.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": to_json(RECIPES["manifold"]["smoke"])},
        {"recipe": to_json(changed(RECIPE, width=8))},
        {"recipe": {**to_json(RECIPE), "data": "faces"}},
        {"recipe": {**to_json(RECIPE), "network": {"kind": "Gan"}}},
        {"recipe": {**to_json(RECIPE), "colour": "red"}},
        {"recipe": {"data": "digits", "net": "ncsn", "width": 4}},  # of an early version
        {"model": {}, "ema": None},
    ],
)
def test_checkpoints_of_another_recipe(folder, tmp_path, change):
    path = checkpoints.save(tmp_path / "a.ckpt", {**checkpoints.Folder(folder).latest(), **change})
    with pytest.raises(ValueError, match=r"a\.ckpt holds no score network"):
        load_trained(path)


def test_weights_of_another_version(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors", {"kind": "ncsn_edu score network 1", "recipe": "{}"})
    with pytest.raises(ValueError, match="written by another version .ncsn_edu score network 1."):
        load_trained(tmp_path / "a.safetensors")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="digits"):
        load_trained("digit")
    with pytest.raises(FileNotFoundError):
        load_trained(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(CheckpointDamaged):
        load_trained(tmp_path / "a.txt")


def test_weights_that_ran_away_are_not_stored(folder, tmp_path):
    content = checkpoints.Folder(folder).latest()
    content["ema"]["net.begin.weight"][0] = 1e6
    with pytest.raises(ValueError, match=r"net\.begin\.weight"):
        save_weights(tmp_path / "w.safetensors", content)
    assert list(tmp_path.iterdir()) == []


def test_the_quality_tool_says_what_the_command_says(tmp_path, capsys):
    x = load("digits")[0][:300].float() / 255
    np.save(tmp_path / "x.npy", x.numpy())
    assert main(["evaluate", str(tmp_path / "x.npy"), "--alone", "--out", str(tmp_path / "x.json")]) == 0
    assert quality_tool.evaluate("digits", x, alone=True) == json.loads((tmp_path / "x.json").read_text())
