"""The recipes hold what the papers set, run at smoke scale, and their summary numbers have known values."""

import json
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from helpers import seeded
from torch.utils.flop_counter import FlopCounterMode

from ncsn_edu import Empirical
from ncsn_edu.datasets import load
from ncsn_edu.datasets.augment import cut_out, distort, shift_and_flip, vary_photographs
from ncsn_edu.manifold import relative_spread, share_of_bound
from ncsn_edu.recipes import (
    MANIFOLD_DIGITS,
    RECIPES,
    GuideRecipe,
    JudgeRecipe,
    Ladder,
    Ncsn,
    NcsnV2,
    Optimisation,
    PlainClassifier,
    ResNetClassifier,
    TrunkClassifier,
    changed,
    from_json,
    settings,
    to_json,
)

SMOKE = changed(RECIPES["manifold"]["smoke"], n_steps=4)


@pytest.fixture(scope="module")
def digits():
    return load("digits")[0]


def losses_of(recipe, images, *, sigma, seed=0):
    return [state.loss for state in changed(recipe, sigma=sigma).training(images, seed=seed)]


def test_listing_the_recipes_does_not_import_torch():
    code = "import sys, ncsn_edu.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_scales_and_cannot_be_changed(name):
    judges = name.startswith(("judge_", "guide_", "vae_"))  # no paper has them
    assert list(RECIPES[name]) == ["smoke", "laptop", "paper"][: 2 if judges else 3]
    recipe = RECIPES[name]["laptop"]
    for part in (recipe, recipe.network, recipe.optimisation):
        with pytest.raises(FrozenInstanceError):
            setattr(part, fields(part)[0].name, None)
    with pytest.raises(TypeError):
        RECIPES[name]["laptop"] = recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_written_down_and_read_again(name):
    for recipe in RECIPES[name].values():
        assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    for change in ({"kind": "Novel"}, {"kind": None}, {"colour": 3}):
        with pytest.raises((ValueError, TypeError), match=r"Novel|None|colour"):
            from_json(to_json(recipe) | change)


def test_a_setting_is_changed_in_whichever_part_it_is():
    recipe = changed(RECIPES["cifar10"]["laptop"], width=8, lr=0.5, n_levels=3, flip=False)
    assert (recipe.network.width, recipe.optimisation.lr, recipe.noise.n_levels, recipe.flip) == (8, 0.5, 3, False)
    then, now = settings(RECIPES["cifar10"]["laptop"]), settings(recipe)
    assert {key for key in now if now[key] != then[key]} == {"width", "lr", "n_levels", "flip"}
    assert recipe.optimisation.n_steps == 5000
    with pytest.raises(ValueError, match="no setting colour"):
        changed(recipe, colour=3, lr=0.1)


def test_the_paper_scale_is_the_papers():
    paper = settings(RECIPES["manifold"]["paper"])
    wanted = {"data": "cifar10", "width": 32, "batch_size": 128, "n_steps": 50_000, "lr": 1e-3, "dequantize": False}
    assert paper.items() >= wanted.items() and paper["sigma"] ** 2 == pytest.approx(0.0001)


def test_the_paper_scale_of_photographs_is_the_papers_and_keeps_an_average():
    """Song & Ermon 2019, section 5 and appendix B; 2020, section 6 and appendix B.1."""
    ours = Optimisation(batch_size=128, ema=0.999, bf16=False, warmup=0, cooldown=0)
    then = replace(ours, n_steps=200_000, lr=1e-3), Ncsn(128), Ladder(1.0, 0.01, 10)
    later = replace(ours, n_steps=300_000, lr=1e-4), NcsnV2(128), Ladder(50.0, 0.01, 232)
    for name, wanted in (("cifar10", then), ("cifar10_v2", later)):
        recipe = RECIPES[name]["paper"]
        assert (recipe.optimisation, recipe.network, recipe.noise) == wanted
        assert recipe.data == "cifar10" and recipe.flip


def test_the_compact_net_for_photographs_is_as_small_as_promised():
    net = RECIPES["cifar10_small"]["laptop"].build(3, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(1, 3, 32, 32), 0.5)
    assert 0.8e6 < sum(p.numel() for p in net.parameters()) < 1.3e6 and counter.get_total_flops() < 0.2e9


def test_the_net_that_is_told_classes_is_as_small_as_promised_and_asks_for_them():
    recipe = RECIPES["cifar10_classes"]["laptop"]
    net = recipe.build(3, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(1, 3, 32, 32), 0.5, label=torch.tensor([7]))
    assert 3e6 < sum(p.numel() for p in net.parameters()) < 4e6 and counter.get_total_flops() < 1.05e9
    with pytest.raises(ValueError, match="give the labels"):
        RECIPES["cifar10_classes"]["smoke"].training(torch.zeros(10, 3, 32, 32, dtype=torch.uint8))


def test_smoke_runs_and_the_same_seed_gives_the_same_losses(digits):
    before = torch.get_rng_state()
    first = losses_of(SMOKE, digits, sigma=0.01, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert losses_of(SMOKE, digits, sigma=0.01, seed=1) == first and len(first) == 4
    assert losses_of(SMOKE, digits, sigma=0.01, seed=2) != first


def test_runs_of_one_seed_differ_by_the_noise_alone(digits):
    clean = losses_of(SMOKE, digits, sigma=0.0)
    assert losses_of(SMOKE, digits, sigma=1e-6) == pytest.approx(clean, rel=1e-3)
    assert losses_of(SMOKE, digits, sigma=0.3) != pytest.approx(clean, rel=1e-2)


def test_the_noise_and_the_directions_are_not_made_from_the_same_numbers(monkeypatch, digits):
    seen = []

    def spy(model, x, sigma, *, n_projections, distribution, generator):
        seen.append((x, torch.randn(x.shape, generator=generator)))
        return model(x, sigma).flatten(1).sum(1)

    monkeypatch.setattr("ncsn_edu.losses.sliced", spy)
    black = torch.zeros_like(digits)
    losses_of(changed(SMOKE, batch_size=64), black, sigma=1.0)
    z, v = (torch.cat(part).flatten() for part in zip(*seen, strict=True))
    assert z.std() == pytest.approx(1, abs=0.05)  # of standard deviation sigma
    assert abs(torch.corrcoef(torch.stack([z, v]))[0, 1]) < 5 / math.sqrt(len(z))


@pytest.mark.parametrize("dequantize", [False, True])
def test_dequantisation_is_the_recipes_choice(monkeypatch, digits, dequantize):
    seen = []
    monkeypatch.setattr(
        "ncsn_edu.losses.sliced", lambda model, x, sigma, **_: seen.append(x) or model(x, sigma).flatten(1).sum(1)
    )
    losses_of(changed(SMOKE, dequantize=dequantize), digits, sigma=0.0)
    grid = torch.cat(seen) * 255
    assert torch.allclose(grid, grid.round(), atol=1e-4) is not dequantize


@pytest.mark.parametrize("sigma", [-0.1, math.nan])
def test_a_noise_that_makes_no_sense_is_refused_at_the_call(digits, sigma):
    with pytest.raises(ValueError, match="sigma"):
        changed(SMOKE, sigma=sigma).training(digits)


def test_relative_spread_is_that_of_the_last_third():
    tail = [-10.0, -14.0, -12.0]
    assert relative_spread([5.0, 1e9, 3.0, -1e9, 0.0, 7.0, *tail]) == pytest.approx(2 / 12)
    assert relative_spread([1.0] * 9) == 0
    with pytest.raises(ValueError, match="at least 6"):
        relative_spread([1.0] * 5)


def test_share_of_bound():
    assert share_of_bound([0.0] * 4 + [-100.0, -200.0], sigma=0.1, dim=4) == pytest.approx(150 / 200)
    with pytest.raises(ValueError, match="sigma"):
        share_of_bound([0.0] * 6, sigma=0, dim=4)


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_no_loss_gets_below_the_bound_and_points_far_apart_reach_it(sigma):
    """The lowest loss, -1/2 E||score||^2, of a finite data set whose score is known."""
    points = torch.tensor([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.3]], dtype=torch.float64)
    generator = seeded()
    x = points[torch.randint(3, (50_000,), generator=generator)]
    x = x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    lowest = -0.5 * Empirical(points)(x, sigma).square().sum(1).mean().item()
    share = share_of_bound([lowest] * 6, sigma, 3)
    assert share == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("seed", range(2))
def test_clean_images_pass_the_bound_that_noised_images_keep(digits, seed):
    """The claim of Figure 1, at the scale of the notebook."""
    clean, noised = (
        losses_of(MANIFOLD_DIGITS, digits, sigma=sigma, seed=seed) for sigma in (0.0, MANIFOLD_DIGITS.sigma)
    )
    dim, sigma = digits[0].numel(), MANIFOLD_DIGITS.sigma
    assert share_of_bound(clean, sigma, dim) > 1.3 and 0.1 < share_of_bound(noised, sigma, dim) < 0.4
    assert relative_spread(clean) > 1.5 * relative_spread(noised)


def test_a_batch_is_shared_evenly_and_each_process_draws_its_own(digits, monkeypatch):
    from ncsn_edu import distributed

    def first_batch(rank):
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed, "data_parallel", lambda model: model)
        return next(RECIPES["digits_unet"]["smoke"].training(digits).batches)

    first, second = first_batch(0), first_batch(1)
    assert len(first) == len(second) == 8 and not torch.equal(first, second)
    with pytest.raises(ValueError, match="a batch of 15 cannot be shared by 2 processes"):
        changed(RECIPES["digits_unet"]["smoke"], batch_size=15).training(digits)


# ---- a classifier that judges ------------------------------------------------------------------------------------


def two_kinds(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images with a bright bar, upright (0) or lying (1), at a random place, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    images = torch.randint(60, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for image, label, place in zip(images, labels, torch.randint(2, 6, (n,), generator=generator), strict=True):
        image[0, :, place] = 250
        if label:
            image[0] = image[0].T.clone()
    return images, labels


@pytest.mark.parametrize(
    "recipe",
    [
        JudgeRecipe("digits", PlainClassifier(), Optimisation(64, 80, 2e-3, cooldown=80)),
        JudgeRecipe("digits", ResNetClassifier(8), Optimisation(64, 60, 5e-3, warmup=5, cooldown=60)),
    ],
)
def test_a_classifier_learns_what_it_has_not_seen_and_leaves_the_random_state_alone(recipe):
    (images, labels), (others, truth) = two_kinds(200, 0), two_kinds(200, 1)
    before = torch.get_rng_state()
    *_, state = recipe.training(images, labels)
    assert torch.equal(torch.get_rng_state(), before)
    net = state.model.eval()
    assert (net(others.float() / 255).argmax(1) == truth).double().mean() > 0.95
    *_, again = recipe.training(images, labels)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.model.parameters(), strict=True))


def test_a_noisy_classifier_learns_to_be_as_unsure_as_the_noise_makes_it():
    """Two kinds of images from a recipe of a minute's fraction: sure without noise, at a loss in much of it."""
    (images, labels), (others, truth) = two_kinds(400, 0), two_kinds(400, 1)
    recipe = GuideRecipe("digits", TrunkClassifier(8), Optimisation(64, 150, 5e-3, cooldown=150), Ladder(30.0, 0.01, 9))
    *_, state = recipe.training(images, labels)
    assert state.level.max() < 9 and state.level.unique().numel() > 3
    net, generator = state.model.eval(), seeded()

    def told(sigma):
        with torch.no_grad():
            return net(others / 255 + sigma * torch.randn(others.shape, generator=generator), sigma).softmax(1)

    assert (told(0.02).argmax(1) == truth).double().mean() > 0.95
    assert told(0.02)[:, :2].max(1).values.mean() > 0.9 and told(30.0).max(1).values.mean() < 0.6
    each = net(others[:2] / 255, torch.tensor([0.02, 30.0]))
    assert torch.allclose(each[1], net(others[1:2] / 255, 30.0)[0], atol=1e-5)
    with pytest.raises(ValueError, match="give the labels"):
        recipe.training(images)


def test_photographs_are_moved_and_flipped():
    """An image whose pixels say where they are: what comes out is a window of it, as it was or flipped."""
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    x = torch.stack([row, column]).expand(400, 2, 16, 16)
    moved = shift_and_flip(x, torch.Generator().manual_seed(0))
    inside = moved[:, :, 4:12, 4:12]  # away from the border, where the image is reflected
    assert (inside[:, 0].diff(dim=1) == 1).all()
    flipped = inside[:, 1, 0, 0] > inside[:, 1, 0, 1]
    assert (inside[:, 1].diff(dim=2).abs() == 1).all() and 120 < flipped.sum() < 280
    assert (inside[:, 0, 0, 0] - 4).unique().tolist() == [-2, -1, 0, 1, 2]
    assert (inside[~flipped][:, 1, 0, 0] - 4).unique().tolist() == [-2, -1, 0, 1, 2]


def test_photographs_lose_a_square():
    """One grey square of a quarter of the height, at places all over the image; the rest is as it was."""
    x = torch.rand(3000, 3, 16, 24)
    cut = cut_out(x, torch.Generator().manual_seed(0))
    changed = (cut != x).any(1)
    assert (changed.sum((1, 2)) == 16).all() and (cut.movedim(1, -1)[changed] == 0.5).all()
    rows, columns = changed.any(2), changed.any(1)
    assert (rows.sum(1) == 4).all() and (columns.sum(1) == 4).all()  # a square, in one piece:
    top, left = rows.int().argmax(1), columns.int().argmax(1)
    assert all(rows[i, t : t + 4].all() for i, t in enumerate(top.tolist()))
    for places, n in ((top, 13), (left, 21)):
        counts = torch.bincount(places, minlength=n).double()
        assert len(counts) == n and ((counts - 3000 / n) ** 2 / (3000 / n)).sum() < 60  # chi^2 of at most 20 degrees
    both = vary_photographs(torch.ones(200, 3, 16, 16), torch.Generator().manual_seed(0))
    assert ((both == 0.5).sum((1, 2, 3)) == 48).all()


def test_images_are_distorted_a_little():
    """A bright square in the middle stays about there, and as bright; two draws differ."""
    x = torch.zeros(500, 1, 16, 16)
    x[:, :, 6:10, 6:10] = 1
    moved = distort(x, torch.Generator().manual_seed(0))
    place = torch.arange(16.0) - 7.5
    mass = moved.sum((1, 2, 3))
    shift = torch.stack([(moved.sum(2) * place).sum((1, 2)), (moved.sum(3) * place).sum((1, 2))]) / mass
    assert shift.mean(1).abs().max() < 0.25 and 0.4 < shift.std(1).max() < 1.6  # a tenth of 16 pixels at most
    assert mass.mean() == pytest.approx(16, rel=0.1) and moved.std(0).max() > 0.1


def test_the_ddpm_of_the_paper():
    """Ho et al. 2020, appendix B."""
    recipe = RECIPES["ddpm_cifar10"]["paper"]
    assert (recipe.noise.n_levels, recipe.noise.beta_1, recipe.noise.beta_n) == (1000, 1e-4, 0.02)
    o = recipe.optimisation
    assert (o.n_steps, o.batch_size, o.lr, o.ema, recipe.network.dropout, recipe.flip) == (
        800_000,
        128,
        2e-4,
        0.9999,
        0.1,
        True,
    )


def test_ddpm_s_net_learns_the_noise_of_images_in_minus_one_to_one():
    """The score of x in [0, 1] is the noise by sigma: what the bare net sees and says, by hand."""
    recipe = RECIPES["ddpm_digits"]["smoke"]
    model = recipe.build(1, 8)
    kept = 1 / (1 + (2 * recipe.sigmas().flip(0)) ** 2)  # alpha_bar_t of images in [-1, 1]
    seen = {}

    def net(u, t):
        seen.update(u=u, t=t)
        return torch.full_like(u, 0.3)

    del model.score.net
    model.score.net = net
    x, t = torch.rand(4, 1, 8, 8), 400
    sigma = recipe.sigmas().flip(0)[t].float().item()
    assert torch.allclose(model(x, sigma), torch.full_like(x, -0.3 / sigma))
    assert seen["t"].tolist() == [t] * 4
    assert torch.allclose(seen["u"], kept[t].sqrt().float() * (2 * x - 1), atol=1e-5)
