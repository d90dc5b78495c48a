"""Explorers of images without a browser: pictures and numbers are those of the package's functions run by hand."""

import asyncio
import base64
import builtins
import io
import math
import re
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from beside import live, until
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.stats import norm

from ncsn_edu import plots
from ncsn_edu.diffusion import repaint
from ncsn_edu.distributions import Empirical
from ncsn_edu.mcmc import annealed_langevin, inpaint
from ncsn_edu.nets.vae import ConvVAE
from ncsn_edu.pictures import MASKS, preset_mask, tile
from ncsn_edu.schedules import geometric
from ncsn_edu.widgets import (
    Explorer,
    InpaintingExplorer,
    LatentExplorer,
    NoiseLevelExplorer,
    ResamplingExplorer,
    SamplingExplorer,
)
from ncsn_edu.widgets.base import RunningExplorer

NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan))"
SHAPE = (1, 6, 8)  # higher and wider are told apart
LADDER = geometric(1.0, 0.01, 5)
IMAGES = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(1)).round(decimals=2)
SCORE = Empirical(IMAGES)


@pytest.fixture
def pictures() -> None:
    """For tests that look at the pixels of the whole picture."""


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all others nothing is drawn: that is most of the time."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)


def says(explorer: Explorer) -> str:
    return re.sub(r"<[^>]+>", "", explorer.readout.value.replace("<br>", "; "))


def number(explorer: Explorer, pattern: str) -> float:
    found = re.search(pattern.replace("{}", NUMBER), says(explorer))
    assert found, f"{pattern!r} is not in {says(explorer)!r}"
    return float(found[1])


def shown(artist) -> np.ndarray:
    return np.asarray(artist.get_array())


def picture(x: torch.Tensor, columns: int | None = None) -> np.ndarray:
    """A tiled picture as an artist holds it: without the axis of a single colour."""
    return tile(x, columns).numpy().squeeze(-1)


def sampling(**options) -> SamplingExplorer:
    return SamplingExplorer(SCORE, LADDER, SHAPE, **({"n": 5, "n_steps_each": 4} | options))


def inpainting(images: torch.Tensor = IMAGES[:3], **options) -> InpaintingExplorer:
    return InpaintingExplorer(SCORE, LADDER, images, **({"n_steps_each": 4, "n_completions": 4} | options))


# ---- noise levels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"image": 0, "sigma_1": 1.0, "sigma_L": 0.01, "n_levels": 10, "level": 5},
        {"image": 11, "sigma_1": 10.0, "sigma_L": 0.1, "n_levels": 37, "level": 37},
        {"image": 4, "sigma_1": 0.1, "sigma_L": 0.001, "n_levels": 3, "level": 1},
    ],
)
def test_noise_levels(values):
    explorer = NoiseLevelExplorer(IMAGES).set(**values)
    assert explorer.values == values
    image, n, level = IMAGES[values["image"]], values["n_levels"], values["level"]
    gamma = (values["sigma_1"] / values["sigma_L"]) ** (1 / (n - 1))
    sigmas = values["sigma_1"] / gamma ** torch.arange(n)
    sigma = sigmas[level - 1].item()
    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    noisy = image + sigma * z
    np.testing.assert_allclose(shown(explorer.clean), picture(image[None]))
    np.testing.assert_allclose(shown(explorer.noisy), picture(noisy[None]), atol=1e-5)
    log_weight = -(IMAGES - noisy).square().flatten(1).sum(1) / (2 * sigma**2)
    mean = (log_weight.softmax(0)[:, None, None, None] * IMAGES).sum(0)
    np.testing.assert_allclose(shown(explorer.mean), picture(mean[None]), atol=1e-4)

    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1)[:, 1], sigmas, rtol=1e-5)
    assert np.concatenate(explorer.mark.get_data()) == pytest.approx([level, sigma], rel=1e-5)
    some = [round(i * (n - 1) / (min(n, 10) - 1)) for i in range(min(n, 10))]
    row = torch.ones(10, *SHAPE)
    row[: len(some)] = image + sigmas[some].view(-1, 1, 1, 1) * z
    np.testing.assert_allclose(shown(explorer.tiles), picture(row, 10), atol=1e-5)
    left = explorer.frame.get_x() + 0.5
    assert left / (SHAPE[2] + 1) == min(range(len(some)), key=lambda place: abs(some[place] - (level - 1)))
    labels = [label.get_text() for label in explorer.tiles.axes.get_xticklabels()]
    assert [float(label) for label in labels if label] == pytest.approx(sigmas[some].tolist(), rel=0.05)

    assert number(explorer, "noise sigma {},") == pytest.approx(sigma, rel=6e-3)
    assert number(explorer, "gamma {},") == pytest.approx(gamma, rel=6e-3)
    shift = math.sqrt(2 * 48) * (gamma - 1)
    overlap = norm.cdf(shift + 3 * gamma) - norm.cdf(shift - 3 * gamma)
    assert number(explorer, "overlap by {};") == pytest.approx(overlap, rel=0.06, abs=1e-12)
    distance = max((a - b).norm().item() for a in IMAGES for b in IMAGES)
    assert number(explorer, "at most {} apart") == pytest.approx(distance, rel=6e-3)
    assert number(explorer, "to noise {};") == pytest.approx(IMAGES.numpy().std(ddof=1) / sigma, rel=6e-3)


def test_small_noise_leaves_the_data_alone_and_large_noise_leaves_their_mean():
    explorer = NoiseLevelExplorer(IMAGES, sigma_1=100.0, sigma_L=0.001, level=10)
    np.testing.assert_allclose(shown(explorer.mean), IMAGES[0, 0], atol=1e-5)
    np.testing.assert_allclose(shown(explorer.noisy), IMAGES[0, 0], atol=0.005)
    np.testing.assert_allclose(shown(explorer.set(level=1).mean), IMAGES.mean(0)[0], atol=0.02)


def test_the_level_stays_on_the_ladder(pictures):
    explorer = NoiseLevelExplorer(IMAGES, level=10)
    assert explorer.set(n_levels=4).values["level"] == 4 == explorer.controls["level"].max
    assert number(explorer, ", level {} of 4") == 4
    before = says(explorer), explorer.picture.value
    assert explorer.set(n_levels=30, level=29).values["level"] == 29
    assert explorer.set(level=4, n_levels=4).picture.value == before[1] and says(explorer) == before[0]


@pytest.mark.parametrize("values", [{"sigma_1": 0.1, "sigma_L": 0.1}, {"sigma_1": 0.1, "sigma_L": 1.0}])
def test_a_ladder_that_leads_nowhere_is_said_in_words(values):
    explorer = NoiseLevelExplorer(IMAGES).set(**values)
    assert "sigma_1 must be larger than sigma_L" in says(explorer)
    assert "overlap" in says(explorer.set(sigma_1=10.0))


def test_colour_images():
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    explorer = NoiseLevelExplorer(images, level=10)
    np.testing.assert_allclose(shown(explorer.clean), images[0].permute(1, 2, 0))
    explorer = SamplingExplorer(Empirical(images), LADDER, (3, 4, 4), n=2, n_steps_each=2)
    assert shown(explorer.grid).shape == (4, 9, 3)
    explorer = InpaintingExplorer(Empirical(images), LADDER, images, n_steps_each=2)
    np.testing.assert_allclose(shown(explorer.masked)[:, :2], images[0].permute(1, 2, 0)[:, :2])


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (IMAGES[0], ValueError, r"\(N, 1 or 3, H, W\), not \(1, 6, 8\)"),
        (IMAGES * 255, ValueError, "divide bytes by 255"),
        ((IMAGES * 255).byte(), TypeError, r"use x.float\(\)"),
        (IMAGES / 0, ValueError, "must lie in"),
    ],
)
def test_images_that_make_no_sense(images, error, words):
    with pytest.raises(error, match=words):
        NoiseLevelExplorer(images)
    with pytest.raises(error, match=words):
        InpaintingExplorer(SCORE, LADDER, images)


# ---- sampling ---------------------------------------------------------------------------------------------------


def chain(explorer: SamplingExplorer) -> tuple[torch.Tensor, list]:
    """The same run by hand: its start and all its states."""
    values = explorer.values
    generator = torch.Generator().manual_seed(values["seed"])
    x = torch.rand(explorer.shape, generator=generator)
    settings = {"eps": values["eps"], "n_steps_each": values["n_steps_each"], "denoising": True}
    return x, list(annealed_langevin(SCORE, x, LADDER, generator=generator, **settings))


def frame(x: torch.Tensor) -> np.ndarray:
    return (255 * picture(x)).round().astype(np.uint8)


@pytest.mark.parametrize("seed", [0, 3])
def test_every_place_of_the_slider_shows_the_chains_as_they_were(seed):
    explorer = sampling(seed=seed)
    x, states = chain(explorer)
    assert explorer.values["step"] == explorer.controls["step"].max == len(states) == 21
    assert (shown(explorer.set(step=0).grid) == frame(x)).all() and "uniform noise" in says(explorer)
    before = x
    for k, state in enumerate(states, start=1):
        assert (shown(explorer.set(step=k).grid) == frame(state.x)).all()
        assert number(explorer, "step {} of 21") == k
        assert number(explorer, "; level {} of 5") == k // 4 + (k % 4 > 0) - (k == 21)
        assert number(explorer, "sigma {},") == pytest.approx(state.sigma, rel=6e-3)
        size = (state.sigma**2 * SCORE(before, state.sigma).square().sum() / before.numel()).sqrt().item()
        assert number(explorer, "mean square of {} by") == pytest.approx(size, rel=6e-3)
        assert explorer.norm.get_ydata()[k] == pytest.approx(size, rel=1e-4)
        if k < 21:
            assert number(explorer, "sigma [^,]+, step {} of 4") == (k - 1) % 4 + 1
            alpha = explorer.values["eps"] * (state.sigma / 0.01) ** 2
            assert number(explorer, "alpha {};") == pytest.approx(alpha, rel=6e-3)
        assert list(np.concatenate(explorer.mark.get_data())) == [k, state.sigma]
        before = state.x
    assert "the step that denoises" in says(explorer)
    level, sigma = map(list, explorer.stairs.get_data())
    assert (level, sigma) == (list(range(1, 22)), [state.sigma for state in states])


def test_the_samples_are_samples():
    """With a score that is exact, the chains end at images of the data set."""
    explorer = sampling(n=4, n_steps_each=20)
    tiles = shown(explorer.grid) / 255
    ends = [tiles[i * 7 : i * 7 + 6, j * 9 : j * 9 + 8] for i in range(2) for j in range(2)]
    for end in ends:
        assert min(np.abs(end - image[0].numpy()).max() for image in IMAGES) < 0.01


@pytest.mark.parametrize("n_steps_each", [24, 30, 100])
def test_few_pictures_are_kept_and_they_are_small(n_steps_each):
    explorer = sampling(n_steps_each=n_steps_each)
    total = 5 * n_steps_each + 1
    numbers = [kept.number for kept in explorer.history]
    assert numbers[0] == 0 and numbers[-1] == total and len(numbers) <= 122
    assert set(np.diff(numbers)[:-1]) == {explorer.controls["step"].step}
    assert len(numbers) > 60
    assert {kept.picture.dtype for kept in explorer.history} == {np.dtype("uint8")}
    states = chain(explorer)[1]
    between = numbers[10] + explorer.stride - 1
    assert (shown(explorer.set(step=between).grid) == frame(states[numbers[10] - 1].x)).all()
    assert (shown(explorer.set(step=total).grid) == frame(states[-1].x)).all()


def test_the_slider_and_the_line_agree_also_where_there_is_nothing_to_see_yet():
    explorer = sampling()
    explorer.set(n_steps_each=10)
    step = explorer.controls["step"]
    assert step.disabled and (step.value, step.max) == (0, 51) and "step 0 of 51" in says(explorer)
    explorer.set(step=30)
    assert explorer.values["step"] == 0 and "step 0 of 51" in says(explorer)
    explorer.run()
    assert not step.disabled and explorer.values["step"] == number(explorer, "step {} of") == 51

    async def stop():
        await until(lambda: 12 < explorer.values["step"] < 51)
        explorer.button.click()

    live(explorer, stop)
    came = explorer.history[-1].number
    explorer.set(step=5)
    explorer.set(step=51)
    assert explorer.values["step"] == number(explorer, "step {} of") == came < 51


@pytest.mark.parametrize(
    ("make", "name", "change", "low", "high"),
    [
        (lambda: NoiseLevelExplorer(IMAGES), "level", {"n_levels": 23}, 1, 23),
        (lambda: NoiseLevelExplorer(IMAGES, n_levels=20), "level", {"n_levels": 3}, 1, 3),
        (sampling, "step", {"n_steps_each": 50}, 0, 251),
    ],
)
def test_a_slider_with_another_range_is_another_slider(make, name, change, low, high):
    """A page keeps the range that a slider had when it was made, whatever it is told later: End went to the old end."""
    explorer = make()
    old = explorer.controls[name]
    explorer.set(**change)
    new = explorer.controls[name]
    assert new is not old and (new.min, new.max) == (low, high) and old.comm is None, "the old one is gone"
    children = explorer.rows.children
    assert new in children and old not in children and children.index(new) == [*explorer.controls].index(name)
    assert (new.description, new.layout.width) == (name, "390px")
    before = says(explorer)
    new.disabled or setattr(new, "value", low)
    assert new.disabled or (explorer.values[name] == low and says(explorer) != before), "it is watched"
    changed = {key: value - 1 for key, value in explorer.values.items() if key == "seed"} or {"image": 4}
    assert explorer.set(**{key: abs(value) for key, value in changed.items()}).controls[name] is new


@pytest.mark.parametrize("n_levels", [2, 3, 7, 21, 51, 68, 100])
def test_labels_of_levels_are_not_cut_off(n_levels, pictures):
    labels_are_inside(NoiseLevelExplorer(IMAGES).set(n_levels=n_levels))


@pytest.mark.parametrize("n_steps_each", [2, 20, 50, 100])
def test_labels_of_steps_are_not_cut_off(n_steps_each, pictures):
    labels_are_inside(sampling().set(n_steps_each=n_steps_each))


def labels_are_inside(explorer: Explorer) -> None:
    """Every label of an axis lies in the picture, as a whole, and there are some."""
    explorer.figure.canvas.draw()
    renderer, width = explorer.figure.canvas.get_renderer(), explorer.figure.bbox.width
    boxes = [
        label.get_window_extent(renderer)
        for ax in explorer.figure.axes
        if ax.axison
        for label in ax.get_xticklabels()
        if label.get_text() and ax.get_xlim()[0] <= label.get_position()[0] <= ax.get_xlim()[1]
    ]
    assert len(boxes) > 1 and min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= width


@pytest.mark.parametrize("change", [{"eps": 1e-5}, {"n_steps_each": 3}, {"seed": 1}])
def test_a_change_forgets_the_run_and_the_button_makes_another(change, pictures):
    explorer = sampling()
    start = explorer.values
    end, line = explorer.picture.value, says(explorer)
    explorer.set(**change)
    assert "Press Sample" in says(explorer) and len(explorer.history) == 1 and explorer.values["step"] == 0
    assert explorer.controls["step"].max == 5 * explorer.values["n_steps_each"] + 1
    explorer.button.click()  # no notebook runs here, so it goes to the end at once
    assert "Press" not in says(explorer) and (says(explorer), explorer.picture.value) != (line, end)
    assert (shown(explorer.grid) == frame(chain(explorer)[1][-1].x)).all()
    explorer.set(**{name: start[name] for name in change}).run()
    assert (says(explorer), explorer.picture.value) == (line, end)


def test_chains_that_run_away_are_said_in_words_and_seen():
    explorer = sampling()
    assert "ran away" not in says(explorer)
    explorer.set(eps=0.01, n_steps_each=100).run()
    assert "ran away after step" in says(explorer) and plots.RED in explorer.readout.value
    last = explorer.history[-1].number
    assert 0 < last < explorer.total and explorer.values["step"] == last
    assert "ran away" in says(explorer.set(step=0))
    assert "ran away" not in says(explorer.set(eps=6e-5, n_steps_each=4).run())


def test_the_readers_seed_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    sampling()
    inpainting()
    NoiseLevelExplorer(IMAGES)
    assert torch.equal(torch.rand(3), expected)


def test_a_ladder_elsewhere_has_its_own_range_of_eps():
    explorer = SamplingExplorer(SCORE, geometric(10.0, 1.0, 3), SHAPE, n=1, eps=0.5, n_steps_each=200, seed=500)
    assert explorer.values["eps"] == pytest.approx(0.5, rel=0.06)
    assert explorer.values["n_steps_each"] == 200 and explorer.values["seed"] == 500


# ---- inpainting -------------------------------------------------------------------------------------------------


def completed(explorer: InpaintingExplorer, mask: torch.Tensor, image: torch.Tensor = IMAGES[0]) -> torch.Tensor:
    values = explorer.values
    generator = torch.Generator().manual_seed(values["seed"])
    x = torch.rand(explorer.n, *SHAPE, generator=generator)
    settings = {"eps": values["eps"], "n_steps_each": values["n_steps_each"], "generator": generator}
    *_, state = inpaint(SCORE, x, LADDER, image=image, mask=mask, **settings)
    return state.x


@pytest.mark.parametrize("mask", MASKS)
def test_completions_by_preset(mask):
    explorer = inpainting().set(mask="painted").set(mask=mask)
    assert "Press Complete" in says(explorer) and explorer.nothing.get_visible()
    explorer.run()
    known = preset_mask(mask, SHAPE[1:], generator=torch.Generator().manual_seed(0))
    x = completed(explorer, known)
    np.testing.assert_allclose(shown(explorer.completions), picture(x, 3))
    np.testing.assert_allclose(shown(explorer.original), IMAGES[0, 0])
    colour = shown(explorer.masked)
    hidden = known[0].numpy() == 0
    np.testing.assert_allclose(colour[~hidden], IMAGES[0, 0].numpy()[~hidden][:, None].repeat(3, 1))
    np.testing.assert_allclose(colour[hidden], np.array([to_rgb(plots.ORANGE)] * hidden.sum()), rtol=1e-6)
    assert number(explorer, "{}% missing") == pytest.approx(100 * hidden.mean(), abs=0.06)
    spread = x[:, 0].numpy()[:, hidden].var(0, ddof=1).mean() ** 0.5
    assert number(explorer, "spread by {} ") == pytest.approx(spread, rel=6e-3)
    change = np.abs(x[:, 0].numpy() - IMAGES[0, 0].numpy())[:, ~hidden].max()
    assert number(explorer, "at most {}$") == pytest.approx(change, rel=0.06)
    assert change < 0.06  # noise of sigma_L = 0.01, and no more
    assert not explorer.nothing.get_visible() and "Press" not in says(explorer)


def test_hidden_pixels_do_not_matter():
    """Not for what is completed, nor for what is shown as known."""
    first, second = inpainting(), inpainting(torch.cat([IMAGES[:3, :, :, :4], 1 - IMAGES[:3, :, :, 4:]], 3))
    assert not np.array_equal(shown(first.original), shown(second.original))
    assert np.array_equal(shown(first.completions), shown(second.completions))
    assert np.array_equal(shown(first.masked), shown(second.masked))
    assert says(first) == says(second)


def test_painting():
    explorer = inpainting().clear()
    assert "nothing is missing" in says(explorer) and explorer.mask.all()
    assert explorer.paint(2, 3, 1) is explorer
    expected = np.ones((6, 8))
    for row, col in ((2, 3), (1, 3), (3, 3), (2, 2), (2, 4)):
        expected[row, col] = 0
    assert (explorer.mask[0].numpy() == expected).all() and explorer.mask.shape == (1, 6, 8)
    explorer.paint(0, 0, 0).paint(2, 4, 0, known=True)
    expected[0, 0], expected[2, 4] = 0, 1
    assert (explorer.mask[0].numpy() == expected).all()
    assert explorer.values["mask"] == "painted" and "mask: painted, 10.4% missing" in says(explorer)
    assert (explorer.paint(3, 3, 20).mask == 0).all()
    assert "no pixel is known" in says(explorer.run()) and "spread by" in says(explorer)
    assert (explorer.set(mask="top").mask == preset_mask("top", (6, 8))).all()


def test_a_painted_mask_is_completed_and_stays_for_other_images_and_settings():
    explorer = inpainting().paint(1, 1, 1)
    mask = explorer.mask
    assert "Press Complete" in says(explorer)
    explorer.run()
    np.testing.assert_allclose(shown(explorer.completions), picture(completed(explorer, mask), 3))
    explorer.set(image=2, eps=1e-5, seed=4)
    assert torch.equal(explorer.mask, mask) and "Press Complete" in says(explorer)
    explorer.run()
    np.testing.assert_allclose(shown(explorer.completions), picture(completed(explorer, mask, IMAGES[2]), 3))


def test_painting_forgets_what_was_completed_and_the_preset_comes_back(pictures):
    explorer = inpainting()
    before = says(explorer), explorer.picture.value
    explorer.paint(0, 0, 0)
    assert "Press Complete" in says(explorer) and explorer.nothing.get_visible()
    explorer.paint(0, 1, 0)
    assert explorer.mask.sum() == 22
    explorer.set(mask="left")
    assert (explorer.mask == preset_mask("left", (6, 8))).all()
    assert (says(explorer.run()), explorer.picture.value) == before


def test_inpainting_that_runs_away():
    explorer = inpainting().set(eps=0.01, n_steps_each=100).run()
    assert "the chains ran away: the score is no longer finite" in says(explorer)
    assert "ran away" not in says(explorer.set(eps=6e-5, n_steps_each=4).run())


def test_one_image_and_one_completion():
    explorer = inpainting(IMAGES[:1], n_completions=1)
    assert explorer.values["image"] == 0 and "a known pixel changed" in says(explorer)
    assert "nan" not in says(explorer)


def test_completions_by_resampling():
    """As by the function, with the known part as it is and the rest without noise."""
    explorer = ResamplingExplorer(SCORE, LADDER, IMAGES[:3], n_levels=5, n_times=3, n_completions=4)
    explorer.set(image=1, mask="top", seed=7).run()
    generator, mask = torch.Generator().manual_seed(7), preset_mask("top", SHAPE[1:])
    x = torch.rand(4, *SHAPE, generator=generator)
    x = x + LADDER[0] * torch.randn(x.shape, generator=generator)
    first, lowest = LADDER[0].item(), LADDER[-1].item()
    levels = torch.tensor([(first ** (1 / 7) + i / 4 * (lowest ** (1 / 7) - first ** (1 / 7))) ** 7 for i in range(5)])
    states = list(repaint(SCORE, x, levels, image=IMAGES[1], mask=mask, n_times=3, generator=generator))
    assert len(states) == 4 * 3
    missing = states[-1].x + lowest**2 * SCORE(states[-1].x, lowest)
    expected = torch.where(mask > 0, IMAGES[1], missing)
    np.testing.assert_allclose(shown(explorer.completions), picture(expected, 3), atol=1e-5)
    assert "seed 7, L 5, R 3; level 5 of 5" in says(explorer) and "changed by at most 0" in says(explorer)
    assert "Press Complete" in says(explorer.set(n_times=2))
    assert len(list(explorer._steps())) == 4 * 2 + 2  # the denoised ones, and the end


def test_resampling_with_a_net_that_runs_away():
    explorer = ResamplingExplorer(lambda x, sigma: 1e30 * x, LADDER, IMAGES, n_levels=4).run()
    assert "the chains ran away: the score is no longer finite" in says(explorer)


# ---- the canvas -------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch) -> list[np.ndarray]:
    """What was drawn on canvases: red, green and blue of every screen pixel that was covered last, and where."""
    from ipycanvas import Canvas

    calls = []

    def fill(self, x, y, width, height, color, alpha=1):
        assert len(x) == len(y) == len(color) and alpha == 1
        calls.append({(int(b) // height, int(a) // width): tuple(c) for a, b, c in zip(x, y, color, strict=True)})

    monkeypatch.setattr(Canvas, "fill_styled_rects", fill)
    return calls


def test_the_canvas_shows_the_image_and_covers_what_is_missing(drawn):
    explorer = inpainting()
    assert (explorer.easel.scale, explorer.easel.canvas.width, explorer.easel.canvas.height) == (35, 280, 210)
    orange = 255 * np.array(to_rgb(plots.ORANGE))
    for (row, col), colour in drawn[-1].items():
        grey = 255 * IMAGES[0, 0, row, col].item()
        np.testing.assert_allclose(colour, grey if col < 4 else (grey + orange) / 2, atol=0.51)
    assert len(drawn[-1]) == 48
    n = len(drawn)
    explorer.set(image=1)
    assert len(drawn) > n and drawn[-1][0, 0] == pytest.approx((255 * IMAGES[1, 0, 0, 0].item(),) * 3, abs=0.51)


def mouse(explorer: InpaintingExplorer, event: str, x: float, y: float) -> None:
    """A message as the browser sends it."""
    explorer.easel.canvas._handle_frontend_event(None, {"event": event, "x": x, "y": y}, [])


def test_a_stroke_of_a_finger_does_what_the_mouse_does(drawn):
    by_mouse, by_finger = inpainting().clear(), inpainting().clear()
    for event, x in (("start", 36), ("move", 176), ("end", None)):
        if x is not None:
            mouse(by_mouse, f"mouse_{'down' if event == 'start' else event}", x, 71)
        fingers = [] if x is None else [{"x": x, "y": 71}, {"x": 1, "y": 1}]
        by_finger.easel.canvas._handle_frontend_event(None, {"event": f"touch_{event}", "touches": fingers}, [])
    mouse(by_mouse, "mouse_up", 176, 71)
    assert torch.equal(by_finger.mask, by_mouse.mask) and by_finger.mask.sum() == 48 - 5
    assert says(by_finger) == says(by_mouse)


def test_a_stroke_of_the_mouse(drawn):
    explorer = inpainting().clear()
    mouse(explorer, "mouse_move", 100, 100)  # the button is not down
    assert explorer.mask.all()
    drawn.clear()
    mouse(explorer, "mouse_down", 36, 71)
    mouse(explorer, "mouse_move", 36 + 4 * 35, 71)  # so fast that pixels were skipped
    expected = torch.ones(1, 6, 8)
    expected[0, 2, 1:6] = 0
    assert torch.equal(explorer.mask, expected)
    assert {place for call in drawn for place in call} == {(2, col) for col in range(1, 6)}, "only what changed"
    assert "nothing is missing" in says(explorer), "the picture waits for the end of the stroke"
    mouse(explorer, "mouse_up", 36 + 4 * 35, 71)
    assert "mask: painted" in says(explorer) and "10.4% missing" in says(explorer)
    mouse(explorer, "mouse_move", 270, 200)
    assert torch.equal(explorer.mask, expected)
    explorer.easel.brush.value = True
    mouse(explorer, "mouse_down", 36, 71)
    mouse(explorer, "mouse_out", 36, 71)
    assert explorer.mask[0, 2, 1] == 1 and explorer.mask.sum() == 48 - 4
    explorer.easel.brush.value, explorer.easel.radius.value = False, 1
    mouse(explorer, "mouse_down", 279, 209)
    mouse(explorer, "mouse_up", 279, 209)
    assert (explorer.mask[0, 5, 7], explorer.mask[0, 4, 7], explorer.mask[0, 5, 6]) == (0, 0, 0)
    assert explorer.mask.sum() == 48 - 4 - 3


def test_painting_without_a_mouse(drawn, monkeypatch):
    """Two sliders choose a place, which gets a frame, and a button paints there; the mouse takes the frame away."""
    frames = []
    monkeypatch.setattr("ipycanvas.Canvas.stroke_rect", lambda self, *where: frames.append(where))
    explorer = inpainting().clear()
    easel = explorer.easel
    assert {easel.row, easel.column, easel.here, easel.brush, easel.radius} < set(easel.children)
    assert (easel.row.max, easel.column.max) == (5, 7) and not frames
    easel.column.value, easel.row.value = 6, 1
    assert frames[-1] == (6 * 35, 1 * 35, 35, 35) and len(drawn[-1]) == 48
    easel.here.click()
    assert explorer.mask[0, 1, 6] == 0 and explorer.mask.sum() == 47 and "mask: painted, 2.1% missing" in says(explorer)
    easel.radius.value = 1
    easel.row.value = 2
    assert frames[-1] == (5 * 35, 1 * 35, 105, 105), "as wide as the brush"
    easel.brush.value = True
    easel.here.click()
    assert explorer.mask.all()
    n = len(frames)
    mouse(explorer, "mouse_down", 1, 1)
    mouse(explorer, "mouse_up", 1, 1)
    assert len(frames) == n


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_called_by_what_is_known(mask):
    """In the list and in the line, in words that say where the pixels are that are left."""
    explorer = inpainting().set(mask=mask)
    known = explorer.mask[0].bool()
    halves = {"left": known[:, :4], "right": known[:, 4:], "upper": known[:3], "lower": known[3:]}
    words = {name: label for label, name in explorer.controls["mask"].options}[mask]
    assert f"mask: {words}, " in says(explorer) and "known" in words
    for half, pixels in halves.items():
        assert (half in words) == bool(pixels.all()) or mask == "text"  # whose letters lie where they lie


def test_a_page_that_was_loaded_again_gets_the_whole_canvas(drawn):
    explorer = inpainting().paint(1, 1, 0)
    drawn.clear()
    explorer.easel.canvas._handle_frontend_event(None, {"event": "client_ready"}, [])
    assert len(drawn[-1]) == 48


def test_without_ipycanvas_presets_and_paint_still_work(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name == "ipycanvas":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "ipycanvas", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    explorer = inpainting()
    assert "python -m pip install ipycanvas" in explorer.easel.children[0].value
    assert "spread by" in says(explorer)
    assert "spread by" in says(explorer.set(mask="top").run())
    assert "mask: painted" in says(explorer.paint(0, 0, 0))
    explorer.easel.row.value, explorer.easel.column.value = 5, 7
    explorer.easel.here.click()
    assert explorer.mask[0, 5, 7] == 0


# ---- what all have in common ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: NoiseLevelExplorer(IMAGES), sampling, inpainting])
def test_a_stored_notebook_shows_the_picture(make: Callable, pictures):
    explorer = make()
    bundle, metadata = explorer._repr_mimebundle_()
    alt = metadata["image/png"]["alt"]
    assert type(explorer).__doc__.startswith(alt) and alt.endswith(".") and "\n" not in alt
    assert base64.b64decode(bundle["image/png"]) == explorer.picture.value
    assert bundle["text/plain"] == repr(explorer)
    pixels = np.asarray(Image.open(io.BytesIO(explorer.picture.value)))
    assert pixels.shape[1] > 800
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all(), "something is cut off at the picture's edge"
    again = make()
    assert (repr(again), again.picture.value) == (repr(explorer), explorer.picture.value)


@pytest.mark.parametrize("make", [lambda: NoiseLevelExplorer(IMAGES), sampling, inpainting])
def test_controls_are_shown_and_a_browser_that_rounds_changes_nothing(make: Callable):
    explorer = make()
    shown, todo = set(), [explorer]
    while todo:
        shown.add(widget := todo.pop())
        todo += getattr(widget, "children", ())
    assert {*explorer.controls.values(), explorer.picture, explorer.readout} <= shown
    drawn = []
    explorer._png = lambda: drawn.append(1) or b""
    for control in explorer.controls.values():
        if isinstance(control.value, float):
            control.value *= 1 + 1e-12
    assert not drawn
    with pytest.raises(ValueError, match="no control is called nothing"):
        explorer.set(nothing=1)


# ---- beside the page --------------------------------------------------------------------------------------------


@pytest.fixture
def runners() -> Iterator[list[RunningExplorer]]:
    yield [sampling(n_steps_each=8), inpainting(n_steps_each=8)]


def test_live_runs_show_themselves_and_end_as_runs_do(runners):
    for explorer in runners:
        end, lines = says(explorer), set()

        async def watch(explorer=explorer, lines=lines):
            await until(lambda: lines.add(says(explorer)) or explorer.button.description == explorer.action)

        live(explorer, watch)
        assert len(lines) > 10 and says(explorer) == end


def test_live_runs_stop_at_the_button_and_keep_what_there_is(runners):
    for explorer in runners:

        async def stop(explorer=explorer):
            await until(lambda: "level 2" in says(explorer))
            explorer.button.click()
            stopped = says(explorer)
            await asyncio.sleep(0.2)
            assert says(explorer) == stopped and "level 5" not in stopped

        live(explorer, stop)
        assert explorer.button.description == explorer.action


def test_live_runs_stop_when_the_problem_changes(runners):
    for explorer in runners:

        async def change(explorer=explorer):
            await until(lambda: "level 2" in says(explorer))
            explorer.set(seed=1)
            await asyncio.sleep(0.2)

        live(explorer, change)
        assert "Press" in says(explorer) and explorer.button.description == explorer.action


def test_stopped_and_started_again_at_once_the_button_still_says_stop(runners):
    for explorer in runners:

        async def again(explorer=explorer):
            await until(lambda: "level 2" in says(explorer))
            explorer.button.click()
            explorer.button.click()
            await asyncio.sleep(0.05)
            assert explorer.button.description == "Stop"
            await until(lambda: explorer.button.description == explorer.action)

        live(explorer, again)
        assert "level 5 of 5" in says(explorer)


def test_the_slider_goes_back_while_the_chains_run_on():
    explorer = sampling(n_steps_each=8)
    states = chain(explorer)[1]

    async def scrub():
        await until(lambda: 12 <= explorer.values["step"] < explorer.total)
        explorer.set(step=3)
        assert (shown(explorer.grid) == frame(states[2].x)).all()
        made = len(explorer.history)
        await until(lambda: len(explorer.history) > made + 4)
        assert explorer.values["step"] == 3 and (shown(explorer.grid) == frame(states[2].x)).all()
        explorer.set(step=explorer.total)
        await until(lambda: explorer.button.description == "Sample")

    live(explorer, scrub)
    assert explorer.values["step"] == explorer.total == 41
    assert (shown(explorer.grid) == frame(states[-1].x)).all()


def test_painting_stops_a_live_run():
    explorer = inpainting(n_steps_each=8)

    async def paint():
        await until(lambda: "level 2" in says(explorer))
        mouse(explorer, "mouse_down", 1, 1)
        assert explorer.button.description == "Complete"
        mouse(explorer, "mouse_up", 1, 1)
        await asyncio.sleep(0.1)

    live(explorer, paint)
    assert "mask: painted" in says(explorer) and "Press Complete" in says(explorer)


def test_live_failure_is_shown():
    explorer = sampling().set(eps=0.01, n_steps_each=100)

    async def watch():
        await until(lambda: explorer.button.description == "Sample")

    live(explorer, watch)
    assert "ran away after step" in says(explorer)


# ---- latents ----------------------------------------------------------------------------------------------------

SQUARES = torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def vae() -> ConvVAE:
    torch.manual_seed(4)
    net = ConvVAE(1, 8, 4, 4, std=0.2).eval().requires_grad_(False)
    net.encoder[-1].weight[:4].mul_(300)  # not trained: codes that differ, and images that differ by their codes
    net.decoded[0].weight.mul_(5)
    net.decoded[-1].bias.add_(0.5)  # grey: little is cut off at black and white
    return net


def decoded(net: ConvVAE, v: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return net.decoded(v).numpy()[:, 0]  # the layers themselves


@pytest.mark.parametrize(
    "values",
    [
        {"start": 0, "end": 1, "walk": 0.0, "first": 1, "first_by": 0.0, "second": 2, "second_by": 0.0},
        {"start": 7, "end": 2, "walk": 0.35, "first": 4, "first_by": -1.5, "second": 1, "second_by": 2.0},
        {"start": 3, "end": 8, "walk": 1.0, "first": 2, "first_by": 4.0, "second": 2, "second_by": -3.0},
    ],
)
def test_latents_on_a_walk(vae, values):
    explorer = LatentExplorer(vae, SQUARES).set(**values)
    codes = vae.encoder(2 * SQUARES - 1)[:, :4].numpy()
    start, end = codes[values["start"]], codes[values["end"]]
    moved = np.zeros(4)
    moved[values["first"] - 1] += values["first_by"]
    moved[values["second"] - 1] += values["second_by"]
    v = (1 - values["walk"]) * start + values["walk"] * end + moved
    image = decoded(vae, torch.tensor(v, dtype=torch.float32)[None])[0]
    np.testing.assert_allclose(shown(explorer.shown["image"]), image, atol=1e-5)
    np.testing.assert_allclose(shown(explorer.shown["start"]), SQUARES[values["start"], 0])
    np.testing.assert_allclose(shown(explorer.shown["end"]), SQUARES[values["end"], 0])
    path = torch.from_numpy(np.linspace(start + moved, end + moved, 7)).float()
    tiles = shown(explorer.shown["strip"])
    for place, x in enumerate(decoded(vae, path)):
        np.testing.assert_allclose(tiles[:, 9 * place : 9 * place + 8], x, atol=1e-5)
    pair = [values["first"] - 1, values["second"] - 1]
    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1), codes[:, pair], atol=1e-6)
    np.testing.assert_allclose(np.concatenate(explorer.here.get_data()), v[pair], atol=1e-5)
    assert number(explorer, "first latent [0-9]+, moved by [^,]+, is {} ") == pytest.approx(v[pair[0]], abs=0.006)
    assert number(explorer, "length of v {},") == pytest.approx(np.linalg.norm(v), abs=0.006)
    assert number(explorer, "pixels from {} to") == pytest.approx(image.min(), abs=0.006)


def test_the_nats_of_a_latent_are_those_of_its_gaussian(vae):
    explorer = LatentExplorer(vae, SQUARES)
    mean, log_std = vae.encoder(2 * SQUARES - 1).chunk(2, 1)
    q, prior = torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
    nats = torch.distributions.kl_divergence(q, prior).mean(0)
    assert explorer.used == pytest.approx(nats.tolist(), rel=1e-4)
    first, second = explorer.values["first"], explorer.values["second"]
    assert {first - 1, second - 1} == set(nats.argsort(descending=True)[:2].tolist())  # it begins with these
    assert number(explorer, r"first latent [^(]+\(KL {} nats") == pytest.approx(nats[first - 1].item(), abs=0.006)


def test_the_decoder_s_noise_is_as_wide_as_the_slider_says(vae):
    explorer = LatentExplorer(vae, SQUARES, start=4)
    mean = shown(explorer.shown["strip"]).copy()
    first = shown(explorer.set(noise=True, std=0.1, seed=1).shown["strip"]) - mean
    narrower = shown(explorer.set(std=10**-1.3).shown["strip"]) - mean
    inside = first != 0  # not the gaps
    assert inside.sum() == 7 * 64 and first[inside].std() == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(first[inside], 10**0.3 * narrower[inside], rtol=1e-3, atol=1e-5)
    other = shown(explorer.set(seed=2).shown["strip"]) - mean
    assert abs(np.corrcoef(other[inside], first[inside])[0, 1]) < 0.2
    np.testing.assert_array_equal(shown(explorer.set(noise=False).shown["strip"]), mean)


def test_every_control_of_the_latents_changes_the_line_and_comes_back(pictures, vae):
    explorer = LatentExplorer(vae, SQUARES).set(walk=0.5, noise=True)
    start, line, before = explorer.values, says(explorer), explorer.picture.value
    first, second = (1 + (start[name] + 1) % 4 for name in ("first", "second"))
    changes = {"start": 5, "end": 6, "walk": 0.2, "first": first, "first_by": 1.0, "second": second, "second_by": -1.0}
    changes |= {"std": 0.5012, "noise": False, "seed": 3}
    assert changes.keys() == explorer.controls.keys()
    for name, value in changes.items():
        explorer.set(**{name: value})
        assert says(explorer) != line and explorer.picture.value != before, name
        assert says(explorer.set(**start)) == line and explorer.picture.value == before, name
    pixels = np.asarray(Image.open(io.BytesIO(before)))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all(), "something is cut off at the picture's edge"


@pytest.mark.parametrize(
    ("net", "images", "words"),
    [
        (ConvVAE(1, 8, 4, 4, decoder="bernoulli"), SQUARES, "width of a Gaussian decoder"),
        (ConvVAE(1, 8, 4, 4), SQUARES[:1], "2 images or more, not 1"),
        (ConvVAE(1, 8, 4, 4), SQUARES * 255, "must lie in .* divide bytes"),
    ],
)
def test_latents_that_make_no_sense(net, images, words):
    with pytest.raises(ValueError, match=words):
        LatentExplorer(net.requires_grad_(False), images)
