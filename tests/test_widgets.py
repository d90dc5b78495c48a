"""Explorers without a browser: what they draw and say is what the package computes, for every setting."""

import asyncio
import base64
import io
import itertools
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ipywidgets as ipw
import numpy as np
import pytest
import torch
from beside import live, until
from PIL import Image
from scipy import special, stats

from ncsn_edu import widgets
from ncsn_edu.adapters import FlowScore, ScoreVelocity
from ncsn_edu.core import denoise, last
from ncsn_edu.diffusion import probability_flow
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.mcmc import annealed_langevin, langevin, mala
from ncsn_edu.metrics import energy_distance, mode_weights
from ncsn_edu.schedules import geometric, stable_eps
from ncsn_edu.widgets import (
    AnnealingExplorer,
    DdimExplorer,
    DiffusionExplorer,
    ErrorExplorer,
    Explorer,
    GridExplorer,
    GuidanceExplorer,
    LadderExplorer,
    LangevinExplorer,
    ManifoldExplorer,
    ObjectiveExplorer,
    Player,
    ScheduleExplorer,
    ScoreFieldExplorer,
    SolverExplorer,
    TrainingExplorer,
)
from ncsn_edu.widgets.base import RunningExplorer, as_png, slider
from ncsn_edu.widgets.grid import SAMPLERS as GRID_SAMPLERS
from ncsn_edu.widgets.page import PageExplorer

TRAINING = (ObjectiveExplorer, ErrorExplorer, ManifoldExplorer)
DESIGNS = (LadderExplorer, ScheduleExplorer, DdimExplorer, GuidanceExplorer, GridExplorer)
SDES = (DiffusionExplorer, SolverExplorer)
EXPLORERS = (ScoreFieldExplorer, LangevinExplorer, AnnealingExplorer, *DESIGNS, *SDES, *TRAINING)
NUMBER = r"([-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan))"

# One other value for every control, on its grid.
CHANGES = [
    (ScoreFieldExplorer, {"weight": 0.5, "distance": 3.0, "std": 2.0, "correlation": -0.6, "sigma": 1.5}),
    (LangevinExplorer, {"alpha": 1.0, "n_steps": 40, "start": "left mode", "metropolis": True}),
    (AnnealingExplorer, {"sigma_1": 1.0, "sigma_L": 1.0, "n_levels": 3, "n_steps_each": 20, "eps": 1.0}),
    (
        LadderExplorer,
        {"data": "8 x 8 digits", "sigma_1": 10.0, "sigma_L": 0.1, "n_levels": 20, "n_steps_each": 12},
    ),
    (ScheduleExplorer, {"schedule": "cosine", "n_steps": 100, "beta_n": 0.1}),
    (DdimExplorer, {"n_steps": 6, "eta": 0.5, "seed": 3}),
    (DiffusionExplorer, {"sde": "VE", "way": "back: flow", "n_steps": 20}),
    (SolverExplorer, {"sde": "VE", "solver": "flow, Euler", "n_steps": 50}),
    (GuidanceExplorer, {"label": 2, "scale": 3.0, "sharpness": 2.0, "seed": 3}),
    (GridExplorer, {"predicts": "clean", "error": 0.4, "sampler": "ancestral (DDPM)", "evaluations": 8}),
    (
        ObjectiveExplorer,
        {"objective": "implicit", "sigma": 1.0, "distribution": "sphere", "n_projections": 3, "n_steps": 300},
    ),
    (ErrorExplorer, {"distance": 6.0, "weight": 0.5, "sigma": 2.0, "threshold": -10.0, "n_steps": 500}),
    (ManifoldExplorer, {"sigma": 0.0, "n_steps": 300}),
]
FEW_STEPS = {
    LangevinExplorer: {"n_steps": 10},
    AnnealingExplorer: {"n_levels": 3, "n_steps_each": 5},
    DiffusionExplorer: {"n_steps": 10},
    ObjectiveExplorer: {"n_steps": 100},
    ErrorExplorer: {"n_steps": 250},
    ManifoldExplorer: {"n_steps": 100},
}
# Settings away from those of the last run, whose result would be shown still.
NOT_RUN = {
    AnnealingExplorer: {"n_levels": 9},
    DiffusionExplorer: {"n_steps": 150},
    ObjectiveExplorer: {"objective": "sliced", "n_steps": 700},
    ErrorExplorer: {"weight": 0.3, "n_steps": 1000},
    ManifoldExplorer: {"sigma": 0.1, "n_steps": 700},
}
ONLY_IN_THE_RESULT = {(AnnealingExplorer, "n_steps_each"), (DiffusionExplorer, "way"), (ErrorExplorer, "n_steps")}
ONE_CHANGE = [(kind, name, value) for kind, values in CHANGES for name, value in values.items()]


@pytest.fixture(scope="module")
def explorers() -> dict[type[Explorer], Explorer]:
    """One of each, to save time: every test leaves it as it was found."""
    return {kind: kind() for kind in EXPLORERS}


@pytest.fixture
def explorer_of(explorers: dict[type[Explorer], Explorer]):
    starts = {kind: explorer.values for kind, explorer in explorers.items()}
    yield explorers.__getitem__
    for kind, explorer in explorers.items():
        explorer.set(**starts[kind])


def says(explorer: Explorer) -> str:
    return re.sub(r"<[^>]+>", "", explorer.readout.value)


def number(explorer: Explorer, pattern: str) -> float:
    """The number in the line under the picture that stands where the pattern has {}."""
    found = re.search(pattern.replace("{}", NUMBER), says(explorer))
    assert found, f"{pattern!r} is not in {says(explorer)!r}"
    return float(found[1])


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def ends(control: ipw.Widget) -> tuple[object, ...]:
    """The extreme settings of a control."""
    if isinstance(control, ipw.Dropdown):
        return control.options[0], control.options[-1]
    if isinstance(control, ipw.Checkbox):
        return False, True
    edges = control.min, control.max
    return tuple(control.base**edge for edge in edges) if isinstance(control, ipw.FloatLogSlider) else edges


# ---- every control does something, and can be undone ------------------------------------------------------------


def test_changes_cover_every_control(explorers):
    for kind, values in CHANGES:
        assert values.keys() == explorers[kind].controls.keys()


@pytest.mark.parametrize(("kind", "name", "value"), ONE_CHANGE, ids=lambda part: getattr(part, "__name__", str(part)))
def test_a_control_changes_numbers_and_picture_and_back(explorer_of, kind, name, value):
    explorer = explorer_of(kind)
    explorer.set(**NOT_RUN.get(kind, {}))
    before, text, start = explorer.picture.value, says(explorer), explorer.values
    assert explorer.set(**{name: value}) is explorer
    assert explorer.values == start | {name: value}
    assert says(explorer) != text
    assert (explorer.picture.value != before) is ((kind, name) not in ONLY_IN_THE_RESULT)
    explorer.set(**start)
    assert explorer.picture.value == before
    assert says(explorer) == text


@pytest.mark.parametrize("kind", EXPLORERS)
def test_every_control_is_watched_and_shown(explorer_of, kind):
    explorer = explorer_of(kind)
    if isinstance(explorer, PageExplorer):  # it shows controls of its own
        assert explorer.children == (explorer.view,)
        shown = [(control["name"], control["label"]) for control in explorer.settings()["controls"]]
        assert shown == [(name, control.description) for name, control in explorer.controls.items()]
        return
    words, rows, picture, readout = explorer.children
    assert words.names == {"img": explorer._repr_mimebundle_()[1]["image/png"]["alt"]} and not words.busy
    for name, control in explorer.controls.items():
        assert control in rows.children, name
        assert control.has_trait("value") and explorer._changed in control._trait_notifiers["value"]["change"], name
        assert control.description and control.disabled == (name in explorer._idle(**explorer.values))
    assert (picture, readout) == (explorer.picture, explorer.readout)


@pytest.mark.parametrize("kind", EXPLORERS)
def test_two_explorers_do_not_disturb_each_other(explorer_of, kind):
    explorer = explorer_of(kind)
    before = explorer.picture.value, says(explorer)
    name, control = next(iter(explorer.controls.items()))
    other = kind(**FEW_STEPS.get(kind, {}))
    other.set(**{name: ends(control)[1]})
    assert (explorer.picture.value, says(explorer)) == before


@pytest.mark.parametrize("kind", EXPLORERS)
def test_unknown_control(explorer_of, kind):
    explorer = explorer_of(kind)
    before = explorer.values
    name = next(iter(before))
    with pytest.raises(ValueError, match=rf"no control is called wieght: there are .*{name}"):
        explorer.set(**{name: ends(explorer.controls[name])[1]}, wieght=0.5)
    assert explorer.values == before, "nothing is set if one name is wrong"


@pytest.mark.parametrize("kind", EXPLORERS)
def test_no_setting_raises(explorer_of, kind):
    """Both ends of every slider, and of every pair; the picture is drawn and there is a line under it."""
    explorer = explorer_of(kind)
    explorer._png = lambda: b""  # drawing is most of the time; the corners are drawn below
    try:
        explorer.set(**FEW_STEPS.get(kind, {}))
        start = explorer.values
        for (first, one), (second, other) in itertools.combinations(explorer.controls.items(), 2):
            for values in itertools.product(ends(one), ends(other)):
                explorer.set(**dict(zip((first, second), values, strict=True)))
                assert says(explorer)
                if isinstance(explorer, AnnealingExplorer) and {"n_levels", "n_steps_each"} != {first, second}:
                    assert "Result" in says(explorer.run()) or explorer.values["sigma_1"] <= explorer.values["sigma_L"]
            explorer.set(**start)
    finally:
        del explorer._png
    for corner in (0, -1):
        explorer.set(**{name: ends(control)[corner] for name, control in explorer.controls.items()})
        assert pixels(explorer.picture.value).std() > 10


# ---- what a browser does ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXPLORERS)
def test_a_browser_that_rounds_changes_nothing(explorer_of, kind):
    """Sliders send their value once when they are shown, with other last bits; a result must not vanish by that."""
    explorer = explorer_of(kind)
    drawn = []
    explorer._png = lambda: drawn.append(1) or b""
    try:
        for control in explorer.controls.values():
            if isinstance(control.value, float):
                control.value *= 1 + 1e-12
    finally:
        del explorer._png
    assert not drawn


@pytest.mark.parametrize(("kind", "changes"), [row for row in CHANGES if issubclass(row[0], PageExplorer)])
def test_python_follows_the_page_and_the_page_follows_python(explorer_of, kind, changes):
    """What comes back from the page changes values at once, and picture and line when they are asked for."""
    explorer = explorer_of(kind)
    start = explorer.values
    explorer.set(**changes).set(**start)  # whatever was run before is not shown
    before = explorer.picture.value, says(explorer)
    assert explorer.view.values == start
    drawn = []
    explorer._png = lambda: drawn.append(1) or PageExplorer._png(explorer)
    try:
        for name in changes:
            explorer.view.set_state({"values": explorer.values | {name: changes[name]}})
        assert explorer.values == explorer.view.values == changes and not drawn
        moved = base64.b64decode(explorer._repr_mimebundle_()[0]["image/png"]), says(explorer)
        assert len(drawn) == 1
    finally:
        del explorer._png
    fresh = kind().set(**changes)
    assert moved == (fresh.picture.value, says(fresh)) != before
    explorer.set(**start)
    assert explorer.view.values == start and (explorer.picture.value, says(explorer)) == before


def test_a_cell_that_sets_a_value_while_python_follows_the_page_is_heard_by_the_page():
    explorer = widgets.ScoreFieldExplorer()
    with ThreadPoolExecutor(1) as cell:

        def meanwhile(_):
            cell.submit(explorer.set, sigma=2.0).result()

        explorer.controls["weight"].observe(meanwhile, names="value")
        explorer.view.set_state({"values": explorer.values | {"weight": 0.6}})
    assert explorer.view.values["sigma"] == explorer.values["sigma"] == 2.0 and explorer.values["weight"] == 0.6
    assert "weight 0.60" in says(explorer) and "noise sigma 2.0" in says(explorer)


def test_a_move_in_the_page_while_python_draws_is_drawn_the_next_time():
    explorer = widgets.ScoreFieldExplorer()
    explorer.view.set_state({"values": explorer.values | {"weight": 0.6}})
    draws = PageExplorer._png

    def moved_meanwhile():
        explorer._png = lambda: draws(explorer)
        with ThreadPoolExecutor(1) as page:  # waits for nobody: what it changes is drawn later
            page.submit(explorer.view.set_state, {"values": explorer.values | {"weight": 0.7}}).result()
        return draws(explorer)

    explorer._png = moved_meanwhile
    explorer.picture  # noqa: B018 (it draws)
    assert "weight 0.70" in says(explorer)


def test_what_a_cell_could_not_tell_the_page_is_told_at_its_next_move():
    explorer = widgets.ScoreFieldExplorer()
    explorer._png = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        explorer.set(sigma=2.0)
    del explorer._png
    assert explorer.view.values["sigma"] == 0.0
    explorer.view.set_state({"values": explorer.view.values | {"weight": 0.6}})
    assert explorer.view.values == explorer.values and explorer.values["sigma"] == 2.0


@pytest.mark.parametrize("kind", EXPLORERS)
def test_sliders_stand_on_their_steps(explorer_of, kind):
    """A browser moves a slider that stands between two steps, and so would change what was asked for."""
    for name, control in explorer_of(kind).controls.items():
        if hasattr(control, "step"):
            value = np.log10(control.value) if isinstance(control, ipw.FloatLogSlider) else control.value
            steps = np.array([value - control.min, control.max - control.min]) / control.step
            assert np.abs(steps - steps.round()).max() < 1e-4, name


def test_settings_between_two_steps_go_to_the_nearest():
    assert ScoreFieldExplorer(weight=0.213, distance=3.1, sigma=0.97).values == {
        "weight": 0.22,
        "distance": 3.0,
        "std": 1.0,
        "correlation": 0.0,
        "sigma": 1.0,
    }
    assert LangevinExplorer(alpha=0.101, n_steps=104).values["n_steps"] == 100
    assert AnnealingExplorer(eps=0.003, n_steps_each=7, n_levels=2).values["eps"] == pytest.approx(10**-2.5, rel=1e-5)


@pytest.mark.parametrize("kind", EXPLORERS)
def test_mime_bundle(explorer_of, kind):
    explorer = explorer_of(kind)
    bundle, metadata = explorer._repr_mimebundle_()
    assert metadata.keys() == {"image/png"} and metadata["image/png"].keys() == {"alt"}
    alt = metadata["image/png"]["alt"]
    assert (kind.alt or kind.__doc__).startswith(alt) and alt.endswith(".")
    assert bundle.keys() == {"application/vnd.jupyter.widget-view+json", "text/plain", "image/png"}
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert bundle["text/plain"] == repr(explorer)
    assert eval(repr(explorer).replace("Explorer(", "Explorer_(", 1), {f"{kind.__name__}_": SimpleNamespace}) == (
        SimpleNamespace(**explorer.values)
    )
    png = base64.b64decode(bundle["image/png"])
    assert png == explorer.picture.value
    width, height = (round(100 * inches) for inches in explorer.figure.get_size_inches())
    assert Image.open(io.BytesIO(png)).size == (width, height)
    assert (explorer.picture.width, explorer.picture.height) == (str(width), str(height))
    assert Image.open(io.BytesIO(png)).mode == "RGB"
    for edge in (pixels(png)[0], pixels(png)[-1], pixels(png)[:, 0], pixels(png)[:, -1]):
        assert (edge == 255).all(), "something is cut off at the picture's edge"


# ---- what is drawn is what the package computes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "distance", "std", "correlation", "sigma"),
    [(0.2, 6, 1, 0, 0), (0.7, 4, 0.5, 0.6, 0), (0.1, 9, 2, -0.3, 2)],
)
def test_score_field(explorer_of, weight, distance, std, correlation, sigma):
    explorer = explorer_of(ScoreFieldExplorer).set(
        weight=weight, distance=distance, std=std, correlation=correlation, sigma=sigma
    )
    left = torch.tensor([[std**2, correlation * std**2], [correlation * std**2, std**2]], dtype=torch.float64)
    truth = GaussianMixture(
        [[-distance / 2, 0.0], [distance / 2, 0.0]],
        torch.stack([left, torch.eye(2).double()]) + sigma**2 * torch.eye(2),
        [weight, 1 - weight],
    )

    tails = torch.as_tensor(np.asarray(explorer.arrows.get_offsets()))
    score = truth(tails)
    drawn = torch.as_tensor(np.stack([explorer.arrows.U, explorer.arrows.V], 1))
    assert len(drawn) == 19 * 19
    longest = drawn.norm(dim=1).max()
    torch.testing.assert_close(drawn / longest, score / score.norm(dim=1).max(), atol=1e-6, rtol=0)
    assert 0.8 < longest < 1.2  # as long as two arrows are apart: (2 * 8) / 19

    heat = explorer.heat.get_array()
    row, column = np.unravel_index(np.argmax(heat), heat.shape)
    axis = np.linspace(-8, 8, 90)
    density = truth.log_prob(torch.tensor([[x, y] for y in axis for x in axis])).exp().reshape(90, 90).numpy()
    np.testing.assert_allclose(heat, density / density.max(), atol=1e-9)
    assert heat[row, column] == 1 and (heat.shape, explorer.heat.get_clim()) == ((90, 90), (0, 1))
    edge = 8 + 16 / 89 / 2  # the outer pixels are centred on the edges of the picture
    assert tuple(explorer.heat.get_extent()) == pytest.approx((-edge, edge, -edge, edge))
    assert explorer.heat.origin == "lower"

    x, slope = explorer.slope.get_data()
    line = torch.stack([torch.as_tensor(np.asarray(x)), torch.zeros(len(x))], 1).double()
    np.testing.assert_allclose(slope, truth(line)[:, 0], atol=1e-9)
    height = np.asarray(explorer.density.get_ydata()) / truth.log_prob(line).exp().numpy()
    np.testing.assert_allclose(height, height[0], rtol=1e-6)

    origin = torch.zeros(1, 2).double()
    assert number(explorer, r"origin \({},") == pytest.approx(truth(origin)[0, 0].item(), abs=6e-4)
    assert number(explorer, r"origin \([^,]+, {}\)") == pytest.approx(truth(origin)[0, 1].item(), abs=6e-4)
    share = truth.responsibilities(origin)[0, 0].item()
    assert number(explorer, "component claims {}%") == pytest.approx(100 * share, abs=0.06)


def start_of(explorer: LangevinExplorer) -> tuple[torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    return (2 * torch.rand(explorer.n_chains, 2, generator=generator) - 1) * explorer.extent, generator


@pytest.mark.parametrize(("alpha", "n_steps"), [(0.1, 100), (1.0, 30), (3.16228, 50)])
def test_langevin_with_the_correction(explorer_of, alpha, n_steps):
    explorer = explorer_of(LangevinExplorer).set(alpha=alpha, n_steps=n_steps, metropolis=True)
    x, generator = start_of(explorer)
    states = list(mala(explorer.mixture.log_prob_and_score, x, alpha=alpha, n_steps=n_steps, generator=generator))
    rate = torch.stack([state.accepted for state in states]).double().mean().item()
    assert 0 < rate <= 1
    assert number(explorer, "acceptance rate {};") == pytest.approx(rate, abs=6e-4)
    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1), states[-1].x)
    assert "unstable" not in says(explorer)
    assert number(explorer, "in the long run {}$") == 1
    path = np.stack(explorer.paths.get_segments())  # (chains, steps, 2): the start, then every state
    assert path.shape == (10, n_steps + 1, 2)
    np.testing.assert_allclose(path[:, 0], x[:10])
    np.testing.assert_allclose(path[:, 7], states[6].x[:10])


def test_langevin_without_the_correction(explorer_of):
    explorer = explorer_of(LangevinExplorer).set(alpha=1.0, n_steps=60)
    x, generator = start_of(explorer)
    end = last(langevin(explorer.mixture, x, alpha=1.0, n_steps=60, generator=generator))
    assert "acceptance" not in says(explorer)
    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1), end)
    found = mode_weights(end, explorer.mixture)
    assert number(explorer, "left mode {} ") == pytest.approx(found.weight[0].item(), abs=6e-4)
    assert number(explorer, r"\[{},") == pytest.approx(found.low[0].item(), abs=6e-4)
    assert number(explorer, r", {}\]") == pytest.approx(found.high[0].item(), abs=6e-4)
    assert number(explorer, "variance of x2 {},") == pytest.approx(end[:, 1].var().item(), rel=6e-4)
    assert number(explorer, "in the long run {}$") == pytest.approx(4 / 3, rel=6e-4)  # 1 / (1 - alpha / 4)
    values, edges, _ = explorer.bars.get_data()
    inside = ((end[:, 0] >= -6) & (end[:, 0] <= 6)).double().mean().item()
    assert (values * np.diff(edges)).sum() == pytest.approx(inside)


@pytest.mark.parametrize("start", LangevinExplorer.starts)
def test_langevin_starts(explorer_of, start):
    explorer = explorer_of(LangevinExplorer).set(start=start, n_steps=10, alpha=10**-2.5)
    first = np.stack(explorer.paths.get_segments())[:, 0]
    place = {"left mode": (-2, 0), "right mode": (2, 0), "one far point": (-5.5, 5.5)}.get(start)
    assert (first == place).all() if place else len(np.unique(first)) == 20


@pytest.mark.parametrize(("alpha", "unstable"), [(3.98107, False), (4.46684, True), (10.0, True)])
def test_langevin_stability(explorer_of, alpha, unstable):
    """The limit on two Gaussians of variance 1 is alpha = 4, and the chains agree."""
    explorer = explorer_of(LangevinExplorer).set(alpha=alpha, n_steps=500)
    assert ("unstable" in says(explorer)) is unstable
    assert ("ran away at step" in says(explorer)) is unstable
    assert bool(np.abs(np.stack(explorer.dots.get_data())).max() > 1e4) is unstable
    assert len(says(explorer)) < 250
    assert "unstable" not in says(explorer.set(metropolis=True, n_steps=10))


# ---- annealing: a prediction, then a run ------------------------------------------------------------------------


def near_the_limit(above: bool) -> Callable[[dict[str, float]], float]:
    """The slider's last eps below the limit of a ladder, or the first one above."""

    def find(ladder: dict[str, float]) -> float:
        limit = stable_eps(geometric(ladder["sigma_1"], ladder["sigma_L"], ladder["n_levels"]), 1.0)
        steps = (np.log10(limit) + 5) / 0.05
        return float(10 ** (-5 + 0.05 * (np.ceil(steps) if above else np.ceil(steps) - 1)))

    return find


@pytest.mark.parametrize("unstable", [False, True])
@pytest.mark.parametrize(
    "ladder",
    [
        {"sigma_1": 10**1.3, "sigma_L": 0.1, "n_levels": 10},
        {"sigma_1": 1.0, "sigma_L": 0.1, "n_levels": 2},
        {"sigma_1": 10**1.6, "sigma_L": 10**-1.5, "n_levels": 30},
    ],
    ids=str,
)
def test_annealing_predicts_instability_exactly_at_the_limit(explorer_of, ladder, unstable):
    eps = near_the_limit(above=unstable)(ladder)
    explorer = explorer_of(AnnealingExplorer).set(**ladder, eps=eps)
    values = explorer.values
    limit = stable_eps(geometric(values["sigma_1"], values["sigma_L"], values["n_levels"]), 1.0)
    assert (eps >= limit) is unstable
    assert ("unstable" in says(explorer)) is unstable
    assert number(explorer, "limit of {}:") == pytest.approx(limit, rel=6e-3)
    level, ratio = map(np.asarray, explorer.bars.get_data())
    assert level.tolist() == list(range(1, ladder["n_levels"] + 1))
    assert bool(ratio.max() >= 1) is unstable and ratio.argmax() == 0
    assert ratio[0] == pytest.approx(eps / limit, rel=1e-4)


def test_annealing_limit_itself_is_unstable(explorer_of, monkeypatch):
    explorer = explorer_of(AnnealingExplorer)
    monkeypatch.setattr(widgets.chains, "stable_eps", lambda *_: explorer.values["eps"])
    explorer.set(n_levels=8)
    assert "unstable" in says(explorer)


def test_annealing_draws_every_step_size_there_can_be(explorer_of):
    explorer = explorer_of(AnnealingExplorer)
    explorer._png = lambda: b""
    try:
        for sigma_1, sigma_L, eps in itertools.product(
            *(ends(explorer.controls[n]) for n in ("sigma_1", "sigma_L", "eps"))
        ):
            explorer.set(sigma_1=sigma_1, sigma_L=sigma_L, eps=eps)
            low, high = explorer.steps.get_ylim()
            ratio = np.asarray(explorer.bars.get_ydata())
            assert ((low < ratio) & (ratio < high)).all()
    finally:
        del explorer._png


def test_annealing_result_is_the_sampler_s(explorer_of):
    explorer = explorer_of(AnnealingExplorer).set(n_levels=5, n_steps_each=40).run()
    values = explorer.values
    generator = torch.Generator().manual_seed(0)
    x = (2 * torch.rand(explorer.n_chains, 2, generator=generator) - 1) * 8
    ladder = geometric(values["sigma_1"], values["sigma_L"], 5)
    end = last(annealed_langevin(explorer.mixture, x, ladder, eps=values["eps"], n_steps_each=40, generator=generator))
    found = mode_weights(end, explorer.mixture)
    assert number(explorer, "small mode {} ") == pytest.approx(found.weight[0].item(), abs=6e-4)
    assert number(explorer, r"\[{},") == pytest.approx(found.low[0].item(), abs=6e-4)
    assert number(explorer, r", {}\]") == pytest.approx(found.high[0].item(), abs=6e-4)
    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1), end)
    level, share = explorer.share.get_data()
    assert list(level) == [1, 2, 3, 4, 5]
    assert share[-1] == pytest.approx(found.weight[0].item())
    big = end[explorer.mixture.responsibilities(end).argmax(1) == 1]
    assert number(explorer, "modes [^ ]+ and {},") == pytest.approx(big.var(0).mean().sqrt().item(), rel=6e-3)


def test_annealing_at_its_defaults_gets_the_weights_right():
    explorer = AnnealingExplorer()
    assert "Result" in says(explorer), "it is shown with a result"
    assert number(explorer, r"\[{},") < 0.2 < number(explorer, r", {}\]")
    assert number(explorer, "modes {} and") == pytest.approx(1, abs=0.15)
    assert number(explorer, "modes [^ ]+ and {},") == pytest.approx(1, abs=0.1)


def test_annealing_run_is_the_button_and_repeats_itself(explorer_of):
    explorer = explorer_of(AnnealingExplorer).set(n_levels=4, n_steps_each=20)
    assert "Press Run" in says(explorer)
    explorer.button.click()
    result = says(explorer), explorer.picture.value
    assert "Result: small mode" in result[0] and "Press Run" not in result[0]
    assert explorer.run() is explorer
    assert (says(explorer), explorer.picture.value) == result


@pytest.mark.parametrize(("name", "value"), CHANGES[2][1].items())
def test_annealing_stale_results_vanish(explorer_of, name, value):
    explorer = explorer_of(AnnealingExplorer).set(n_levels=4, n_steps_each=30).run()
    with_result = explorer.picture.value
    assert len(explorer.dots.get_xdata()) == explorer.n_chains and len(explorer.share.get_xdata()) == 4
    explorer.set(**{name: value})
    assert "Result" not in says(explorer) and "Press Run" in says(explorer)
    assert len(explorer.dots.get_xdata()) == len(explorer.share.get_xdata()) == 0
    assert explorer.picture.value != with_result


def test_annealing_chains_that_run_away(explorer_of):
    explorer = explorer_of(AnnealingExplorer).set(eps=1.0)
    assert "unstable" in says(explorer)
    explorer.run()
    assert "Result: the chains ran away at level 1" in says(explorer)
    assert "small mode" not in says(explorer)
    assert not len(explorer.share.get_xdata())
    explorer.set(eps=10**-2.5).run()
    assert "ran away" not in says(explorer) and "small mode" in says(explorer)


def test_annealing_stops_at_the_button_and_shows_how_far_it_came(explorer_of):
    explorer = explorer_of(AnnealingExplorer).set(n_levels=20, n_steps_each=50)

    async def stop():
        await until(lambda: len(explorer.in_small_mode) >= 2)
        explorer.button.click()
        await asyncio.sleep(0.1)

    live(explorer, stop, 0.05)
    came = len(explorer.in_small_mode)
    assert explorer.button.description == "Run" and 2 <= came < 20
    assert f"after level {came} of 20" in says(explorer) and "Result" not in says(explorer)
    assert len(explorer.share.get_xdata()) == came and len(explorer.dots.get_xdata()) == explorer.n_chains
    assert "Result: small mode" in says(explorer.run())


@pytest.mark.parametrize("first", ["sigma_1", "sigma_L"])
def test_annealing_without_a_ladder(explorer_of, first):
    """Both sigmas can be set to 1: then there is nothing to run, and the explorer says so instead of raising."""
    explorer = explorer_of(AnnealingExplorer)
    for name in (first, "sigma_L" if first == "sigma_1" else "sigma_1"):
        explorer.set(**{name: 1.0})
    assert "sigma_1 must be larger than sigma_L" in says(explorer)
    assert not len(explorer.bars.get_xdata())
    before = says(explorer), explorer.picture.value
    explorer.run()
    assert (says(explorer), explorer.picture.value) == before
    assert "Press Run" in says(explorer.set(sigma_1=10**0.5))


def test_a_picture_that_all_chains_have_left_says_so():
    explorer = widgets.LangevinExplorer()
    assert not explorer.outside.get_visible()
    assert explorer.set(alpha=10, n_steps=500).outside.get_visible()
    assert not explorer.set(alpha=0.1).outside.get_visible()
    annealing = widgets.AnnealingExplorer().set(eps=1)
    assert annealing.run().outside.get_visible()
    assert not annealing.set(eps=0.003).outside.get_visible()


# ---- nets that train --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ObjectiveExplorer.objectives)
def test_every_objective_comes_near_and_reports_the_divergence_that_is_left(explorer_of, objective, monkeypatch):
    """Less its constant, each loss estimates the Fisher divergence that is measured on other points."""
    called = set()
    for name in ("explicit", "implicit", "sliced", "dsm"):
        function = getattr(widgets.learning, name)

        def spy(*arguments, function=function, **options):
            if isinstance(arguments[0], torch.nn.Module):  # from training, not from measuring
                called.add((function.__name__, options.get("variance_reduced", True)))
            return function(*arguments, **options)

        monkeypatch.setattr(widgets.learning, name, spy)
    explorer = explorer_of(ObjectiveExplorer).set(objective=objective, n_projections=4, sigma=0.8, n_steps=500).run()
    name = {"denoising": "dsm", "sliced, variance reduced": "sliced"}.get(objective, objective)
    assert called == {(name, objective != "sliced")}
    start, left = number(explorer, "before training {}$"), number(explorer, "divergence {};")
    assert left < 0.3 * start
    assert number(explorer, "constant {} ") == pytest.approx(left, abs=0.08)
    steps, divergence = explorer.divergence.get_data()
    assert list(steps) == [0, 100, 200, 300, 400, 500]
    assert (divergence[0], divergence[-1]) == pytest.approx((start, left), abs=6e-4)


def test_objective_explorer_draws_both_fields_to_one_scale(explorer_of):
    explorer = explorer_of(ObjectiveExplorer).set(sigma=1.0, objective="explicit", n_steps=300).run()
    tails = torch.as_tensor(np.asarray(explorer.truth.get_offsets()))
    sigma = explorer.values["sigma"]
    true = explorer.mixture.perturb(sigma).score(tails)
    learned = explorer.model(tails.float(), sigma).detach().double()
    unit = np.hypot(explorer.truth.U, explorer.truth.V).max() / true.norm(dim=1).max()
    drawn = torch.as_tensor(np.stack([explorer.truth.U, explorer.truth.V], 1))
    torch.testing.assert_close(drawn, true * unit, atol=1e-6, rtol=0)
    drawn = torch.as_tensor(np.stack([explorer.learned.U, explorer.learned.V], 1))
    short = learned.norm(dim=1) < true.norm(dim=1).max()  # longer ones are cut
    assert short.double().mean() > 0.8
    torch.testing.assert_close(drawn[short], learned[short] * unit, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("sigma", "threshold"), [(0.0, -20.0), (1.0, -8.0)])
def test_error_explorer(explorer_of, sigma, threshold):
    explorer = explorer_of(ErrorExplorer).set(sigma=sigma, threshold=threshold, n_steps=500).run()
    place, axis = 7 / 2**0.5, np.linspace(-8, 8, 60)
    truth = GaussianMixture([[-place] * 2, [place] * 2], 1 + sigma**2, [0.2, 0.8])
    points = torch.tensor([[x, y] for y in axis for x in axis])
    learned = explorer.model(points.float(), sigma).detach().double()
    error, log_p = (learned - truth.score(points)).norm(dim=1), truth.log_prob(points)
    np.testing.assert_allclose(explorer.map.images[0].get_array().ravel(), error.log10(), atol=1e-6)
    np.testing.assert_allclose(np.stack(explorer.dots.get_data()), torch.stack([log_p, error]), rtol=1e-5)
    low = log_p < threshold
    assert number(explorer, "there {},") == pytest.approx(error[low].median().item(), rel=6e-3)
    assert number(explorer, "elsewhere {}$") == pytest.approx(error[~low].median().item(), rel=6e-3)
    assert number(explorer, "{}% of the picture") == pytest.approx(100 * low.double().mean().item(), abs=0.06)
    x = truth.sample(20_000, generator=torch.Generator().manual_seed(5)).double()
    assert number(explorer, "{}% of the data") == pytest.approx(
        100 * (truth.log_prob(x) < threshold).double().mean().item(), abs=1
    )
    squared = (explorer.model(x.float(), sigma).detach() - truth.score(x)).square().sum(1).mean().item()
    assert number(explorer, "over the data {}log") == pytest.approx(squared, rel=0.1)


def test_error_explorer_knows_an_empty_side(explorer_of):
    explorer = explorer_of(ErrorExplorer).set(distance=0.0, sigma=8.0, threshold=-60.0)
    assert "0.0% of the picture, 0.00% of the data; median error there none, elsewhere" in says(explorer)
    assert not explorer.borders
    assert "elsewhere none" in says(explorer.set(threshold=-2.0))


def test_the_threshold_is_moved_without_another_training(explorer_of):
    explorer = explorer_of(ErrorExplorer).set(n_steps=250).run()
    model, measured = explorer.model, list(explorer.measured)
    before = explorer.picture.value
    explorer.set(threshold=-10)
    assert explorer.model is model and explorer.measured == measured and explorer.picture.value != before
    assert len(explorer.borders) == 2 and "step 250" in says(explorer)
    assert "step 0" in says(explorer.set(weight=0.5)) and explorer.model is not model


def lowest_on_a_circle(sigma: float) -> float:
    """-1/2 E||score||^2 of a circle with noise, by quadrature over the radius, whose density has a Bessel function."""
    r = np.linspace(1e-6, 1 + 8 * sigma, 200_001)
    mass = r * np.exp(-((r - 1) ** 2) / (2 * sigma**2)) * special.i0e(r / sigma**2)
    score = (special.i1e(r / sigma**2) / special.i0e(r / sigma**2) - r) / sigma**2
    return -0.5 * (mass * score**2).sum() / mass.sum()


def test_manifold_explorer_with_noise_comes_to_the_lowest_loss_and_not_below(explorer_of):
    explorer = explorer_of(ManifoldExplorer).set(sigma=0.3, n_steps=600).run()
    lowest = lowest_on_a_circle(0.3)
    assert number(explorer, "lowest possible {},") == pytest.approx(lowest, abs=0.06)
    assert number(explorer, "any data {}divergence") == pytest.approx(-1 / 0.3**2, abs=0.06)
    assert explorer.lowest_line.get_visible() and explorer.lowest_line.get_ydata()[0] == pytest.approx(lowest, rel=1e-4)
    loss = number(explorer, "loss {} ")
    assert loss == pytest.approx(np.mean(explorer.losses[-50:]), abs=0.06)
    assert 1.15 * lowest < loss < 0.8 * lowest
    angle = torch.linspace(0, 6.2, 63, dtype=torch.float64)[:, None]
    points, step = torch.cat([angle.cos(), angle.sin()], 1), 1e-2
    ends = (explorer._score(points + sign * step * unit, 0.0) for unit in torch.eye(2).double() for sign in (1, -1))
    right, left, up, down = (end.numpy() for end in ends)
    divergence = ((right - left)[:, 0] + (up - down)[:, 1]).mean() / (2 * step)
    assert number(explorer, "on the circle {}, as") == pytest.approx(divergence, rel=0.1)
    assert number(explorer, "noise were {}$") == pytest.approx((-divergence) ** -0.5, rel=0.05)


def test_manifold_explorer_without_noise_passes_every_bound(explorer_of):
    explorer = explorer_of(ManifoldExplorer).set(sigma=0.0, n_steps=400).run()
    text = says(explorer)
    assert "no lower bound" in text and "lowest" not in text and "any data" not in text
    assert not explorer.lowest_line.get_visible() and not explorer.bound_line.get_visible()
    assert np.mean(explorer.losses[-50:]) < 10 * lowest_on_a_circle(0.3)
    assert torch.linalg.norm(torch.as_tensor(np.stack(explorer.dots.get_data())), dim=0) == pytest.approx(1, abs=1e-6)
    explorer.set(sigma=0.1)
    radius = torch.linalg.norm(torch.as_tensor(np.stack(explorer.dots.get_data())), dim=0)
    assert radius.std().item() == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("kind", TRAINING)
def test_training_again_gives_the_same_and_leaves_the_readers_seed_alone(explorer_of, kind):
    explorer = explorer_of(kind).set(**FEW_STEPS[kind])
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    assert explorer.run() is explorer
    assert torch.equal(torch.rand(3), expected)
    first = says(explorer), explorer.picture.value
    explorer.button.click()  # no notebook runs here, so it trains to the end at once
    assert (says(explorer), explorer.picture.value) == first
    assert explorer.button.description == "Train" and "Press Train" not in says(explorer)


@pytest.mark.parametrize("kind", TRAINING)
def test_live_training_shows_itself_and_ends(explorer_of, kind):
    explorer = explorer_of(kind).set(n_steps=kind.every * 3)
    explorer._renew()
    seen = set()

    async def watch():
        await until(lambda: seen.add(len(explorer.losses)) or explorer.button.description == "Train")

    live(explorer, watch, 0.05)
    assert len(seen) > 3 and max(seen) == 3 * kind.every
    text = says(explorer)
    assert f"step {3 * kind.every} of" in text and text == says(explorer.run())


@pytest.mark.parametrize("kind", TRAINING)
def test_live_training_stops_at_the_button_and_keeps_what_was_learned(explorer_of, kind):
    explorer = explorer_of(kind).set(n_steps=kind.every * 10)
    explorer._renew()

    async def stop():
        await until(lambda: len(explorer.losses) >= kind.every)
        explorer.button.click()
        made = len(explorer.losses)
        await asyncio.sleep(0.3)
        assert len(explorer.losses) == made

    live(explorer, stop, 0.05)
    assert explorer.button.description == "Train"
    assert number(explorer, "step {} of") == len(explorer.losses) < kind.every * 10


@pytest.mark.parametrize("kind", TRAINING)
def test_live_training_stops_when_the_problem_changes(explorer_of, kind):
    explorer = explorer_of(kind).set(n_steps=kind.every * 10)
    explorer._renew()

    async def change():
        await until(lambda: len(explorer.losses) >= kind.every)
        explorer.set(sigma=1.0)
        await asyncio.sleep(0.3)

    live(explorer, change, 0.05)
    assert explorer.losses == [] and "Press Train" in says(explorer) and explorer.button.description == "Train"


@pytest.mark.parametrize("kind", TRAINING)
def test_a_loss_that_is_not_finite_is_said_in_words(explorer_of, kind, monkeypatch):
    explorer = explorer_of(kind).set(**FEW_STEPS[kind])
    monkeypatch.setattr(explorer, "_loss", lambda *_, **__: lambda model, x: model(x, model.sigma)[:, 0] / 0)
    assert "the loss is no longer a finite number" in says(explorer.run())
    monkeypatch.undo()
    assert "finite" not in says(explorer.run())


@pytest.mark.parametrize("kind", TRAINING)
def test_another_number_of_steps_keeps_the_net_and_says_so(explorer_of, kind):
    few, more = 2 * kind.every, 4 * kind.every
    explorer = explorer_of(kind).set(n_steps=few).run()
    model, line = explorer.model, says(explorer)
    explorer.set(n_steps=more)
    assert explorer.model is model and len(explorer.losses) == few
    assert f"step {few} of {few} (this net stays until Train makes one with {more} steps)" in says(explorer)
    assert says(explorer.set(n_steps=few)) == line
    explorer.set(n_steps=more).run()
    assert explorer.model is not model and f"step {more} of {more}" in says(explorer) and "stays" not in says(explorer)


@pytest.mark.parametrize("kind", TRAINING)
def test_steps_moved_while_it_trains_leave_the_training_alone(explorer_of, kind):
    explorer = explorer_of(kind).set(n_steps=kind.every * 2)
    explorer._renew()

    async def move():
        await until(lambda: len(explorer.losses) >= 20)
        explorer.set(n_steps=kind.every * 4)
        await until(lambda: explorer.button.description == "Train")

    live(explorer, move, 0.05)
    assert len(explorer.losses) == kind.every * 2 and f"step {kind.every * 2} of {kind.every * 2} (" in says(explorer)


@pytest.mark.parametrize(
    ("kind", "values", "idle"),
    [
        (ObjectiveExplorer, {"objective": "implicit"}, {"distribution", "n_projections"}),
        (ObjectiveExplorer, {"objective": "sliced"}, set()),
        (ErrorExplorer, {"distance": 0.0}, {"weight"}),
        (ErrorExplorer, {"distance": 0.5}, set()),
        (GuidanceExplorer, {"scale": 0.0}, {"sharpness"}),
        (GuidanceExplorer, {"scale": 0.25}, set()),
    ],
)
def test_controls_that_would_change_nothing_cannot_be_moved(explorer_of, kind, values, idle):
    explorer = explorer_of(kind).set(**FEW_STEPS.get(kind, {}) | values)
    assert {name for name, control in explorer.controls.items() if control.disabled} == idle
    result = explorer.run if isinstance(explorer, TrainingExplorer) else lambda: explorer
    before = result().picture.value
    for name in idle:
        explorer.set(**{name: dict(CHANGES)[kind][name]})
        assert result().picture.value == before, "it did change something"


def test_moves_in_a_thread_beside_that_of_a_run():
    """As JupyterLab's messages come: the run goes on to its end, and the picture is that of one moment."""
    explorer = ErrorExplorer(n_steps=500)

    async def scene():
        explorer.press()
        running = explorer._task
        for threshold in (-15.0, -30.0, -40.0, -20.0):
            await asyncio.to_thread(explorer.set, threshold=threshold)
        await running

    explorer.patience = 0.02
    asyncio.run(scene())
    assert (
        len(explorer.losses) == 500 and "step 500 of 500" in says(explorer) and explorer.button.description == "Train"
    )
    shown = explorer.picture.value
    explorer.figure.canvas.draw()
    assert as_png(explorer.figure) == shown


def test_moves_in_a_thread_beside_a_run_of_a_cell():
    """They wait for its end, and then for each other."""
    explorer = ErrorExplorer(n_steps=500)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(explorer.run) for _ in range(2)]
        for threshold in (-15.0, -30.0, -40.0):
            explorer.set(threshold=threshold)
        for run in runs:
            run.result()
    assert (
        len(explorer.losses) == 500 and "step 500 of 500" in says(explorer) and "below <b>-40" in explorer.readout.value
    )
    shown = explorer.picture.value
    explorer.figure.canvas.draw()
    assert as_png(explorer.figure) == shown


# ---- beside the page: how long the reader waits ----------------------------------------------------------------


class Slow(RunningExplorer):
    """Ten turns of 30 ms each, by a clock of its own."""

    def __init__(self) -> None:
        self.shown_at: list[int] = []
        self.clock = 0.0
        super().__init__({"sigma": slider("sigma", 1, 0, 2, 1)}, size=(1, 1))

    def _draw(self) -> None:
        self.figure.subplots()

    def _pose(self, sigma: float) -> None:
        self._renew()

    def _renew(self) -> None:
        self.turns = 0

    def _steps(self):
        self._renew()
        for self.turns in range(1, 11):
            self.clock += 0.03
            yield

    def _look(self, sigma: float) -> str:
        self.shown_at.append(self.turns)
        return f"turn {self.turns}"


def test_a_run_is_shown_about_ten_times_a_second_and_stops_at_the_next_move(monkeypatch):
    explorer = Slow()
    monkeypatch.setattr("ncsn_edu.widgets.base.time", SimpleNamespace(monotonic=lambda: explorer.clock))
    explorer.shown_at.clear()
    explorer._png = lambda: b""

    async def scene() -> None:
        explorer.press()
        await until(lambda: explorer.button.description == "Run")
        assert explorer.shown_at == [4, 8, 10]
        explorer.press()
        await until(lambda: 0 < explorer.turns < 10)
        began, turn = time.process_time(), explorer.turns  # not the clock of the wall: other tests run beside this
        explorer.set(sigma=2.0)
        assert time.process_time() - began < 0.1 and turn < 6
        await asyncio.sleep(0.1)
        assert explorer.turns == 0

    asyncio.run(scene())


@pytest.mark.parametrize(("kind", "values"), [(AnnealingExplorer, {"n_steps_each": 200}), (ErrorExplorer, {})])
def test_the_reader_is_looked_for_all_the_time(explorer_of, kind, values):
    """Between two looks lies one update: of all chains, or of the net, with what is measured of it."""
    explorer = explorer_of(kind).set(**values)
    waits, before = [], time.process_time()
    for _ in itertools.islice(explorer._steps(), 1, 300):
        waits.append(time.process_time() - before)
        before = time.process_time()
    assert sorted(waits)[-3] < 0.1


# ---- pages that outlive their kernel ---------------------------------------------------------------------------


def test_a_line_beside_the_explorer_says_what_to_run_when_its_kernel_is_gone(explorer_of, monkeypatch):
    """It is an output of its own, which stays where the widget is lost; stored notebooks do not get it."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    explorer = explorer_of(GridExplorer)
    monkeypatch.setattr("ncsn_edu.widgets.base.in_notebook", lambda: True)
    for stored in (True, False):
        monkeypatch.setattr("ncsn_edu.widgets.base.outputs_are_stored", lambda stored=stored: stored)
        explorer._repr_mimebundle_()
        assert len(shown) == 1 - stored
    assert "run the cells above, then this one" in shown[0]
    assert "If a JavaScript error is there instead: python -m pip install anywidget" in shown[0]


def test_where_a_screen_is_sharp_an_explorer_has_twice_the_pixels_at_its_size(explorer_of, monkeypatch):
    plain = explorer_of(ScheduleExplorer)
    monkeypatch.setenv("NCSN_EDU_FIGURES_SHARP", "1")
    sharp = ScheduleExplorer()
    for explorer in (plain, sharp):
        explorer.set(schedule="cosine")
    width, height = int(plain.picture.width), int(plain.picture.height)
    assert (sharp.picture.width, sharp.picture.height) == (str(width), str(height))
    shown = pixels(sharp.picture.value)
    assert shown.shape == (2 * height, 2 * width, 3)
    far = [
        image.reshape(height // 20, -1, width // 20, side, 3).mean((1, 3))
        for image, side in ((shown, 40), (pixels(plain.picture.value), 20))
    ]
    assert np.corrcoef(far[0].ravel(), far[1].ravel())[0, 1] > 0.95  # from afar they are the same
    bundle, about = sharp._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == sharp.picture.value
    assert {"width": width, "height": height}.items() < about["image/png"].items()


# ---- the player of animations ----------------------------------------------------------------------------------


def player(n: int = 5, **options) -> tuple[Player, list[np.ndarray]]:
    """A player of n pictures of noise, and their values."""
    values = [np.random.default_rng(k).integers(0, 255, (40, 60), dtype=np.uint8) for k in range(n)]
    pictures = [Image.fromarray(value) for value in values]
    return Player(pictures, b"the file", **({"fps": 10.0, "alt": "Noise."} | options)), values


def test_the_slider_goes_to_any_frame_and_back():
    shown, values = player()
    for k in (1, 4, 5, 2, 1):
        shown.set(frame=k)
        np.testing.assert_array_equal(pixels(shown.picture.value), values[k - 1])
        assert says(shown) == f"frame {k} of 5, 10 a second"
    slider = shown.controls["frame"]
    assert (slider.min, slider.max, slider.step) == (1, 5, 1)
    assert (shown.picture.width, shown.picture.height) == ("60", "40")


def test_the_speed_is_that_of_the_play_button():
    shown, _ = player(fps=5)
    assert (shown.play.min, shown.play.max, shown.play.interval) == (1, 5, 200)
    for speed in shown.speeds:
        shown.set(speed=speed)
        assert shown.play.interval == pytest.approx(200 / speed)
        assert number(shown, "{} a second") == pytest.approx(5 * speed)


def test_the_button_moves_the_slider_in_the_browser():
    shown, _ = player()
    link = shown._link
    assert isinstance(link, ipw.widgets.widget_link.Link)
    assert {link.source, link.target} == {(shown.play, "value"), (shown.controls["frame"], "value")}
    _, rows, picture, readout = shown.children
    assert {shown.play, *shown.controls.values()} == set(rows.children)
    assert (picture, readout) == (shown.picture, shown.readout)


def test_a_stored_notebook_keeps_the_file_whatever_frame_is_shown():
    shown, _ = player()
    for k in (1, 3):
        bundle, metadata = shown.set(frame=k)._repr_mimebundle_()
        assert base64.b64decode(bundle["image/png"]) == b"the file"
        assert metadata == {"image/png": {"alt": "Noise."}}
        assert bundle["text/plain"] == f"Player(frame={k}, speed=1.0)"


def test_a_player_shows_frames_that_are_sharp_at_the_size_of_the_others(monkeypatch):
    monkeypatch.setenv("NCSN_EDU_FIGURES_SHARP", "1")
    shown, _ = player(2, sharp=[b"first", b"second"])
    assert (shown.picture.width, shown.picture.height, shown.picture.value) == ("60", "40", b"first")
    assert shown.set(frame=2).picture.value == b"second"
    bundle, about = shown._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == b"the file"
    assert about == {"image/png": {"alt": "Noise.", "width": 60, "height": 40}}


# ---- ladders and schedules -----------------------------------------------------------------------------------------


def numbers_after(explorer, words):
    """The number that stands after these words in the line below the picture."""
    text = re.sub(r"<[^>]*>", "", explorer.readout.value)
    return float(re.search(re.escape(words) + r"[^-+.\d]*" + NUMBER, text)[1])


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        # Song & Ermon 2020: CIFAR-10, 50 -> 0.01, 232 levels, T 5, step 6.2e-6 in their letters
        ({"n_levels": 232}, {"predicted": 0.567, "overlap by one half": None, "best eps": 1.24e-5, "with": 1.055}),
        ({"sigma_1": 1.0, "n_levels": 10}, {"predicted": 0.0, "measured": 0.0}),
    ],
)
def test_ladder_explorer_says_what_the_papers_say(explorer_of, settings, numbers):
    explorer = explorer_of(LadderExplorer).set(data="32 x 32 x 3 photographs", sigma_L=0.01, n_steps_each=5, **settings)
    for words, expected in numbers.items():
        if expected is not None:
            assert numbers_after(explorer, words) == pytest.approx(expected, rel=0.01, abs=1e-3)
    assert numbers_after(explorer, "measured") == pytest.approx(numbers_after(explorer, "predicted"), abs=0.02)


def test_ladder_explorer_says_where_the_variance_settles(explorer_of):
    explorer = explorer_of(LadderExplorer).set(sigma_1=10.0, sigma_L=0.01, n_levels=100, n_steps_each=5)
    gamma, step, variance = 1000 ** (1 / 99), numbers_after(explorer, "best eps") / 0.01**2 / 2, 1.0
    for _ in range(100):
        variance *= gamma**2
        for _ in range(5):
            variance = (1 - step) ** 2 * variance + 2 * step
    assert number(explorer, "{} down the ladder") == pytest.approx(variance, abs=0.002)


def test_ladder_explorer_in_the_plane_where_the_formula_is_rough(explorer_of):
    """In two dimensions lengths are no Gaussian: what is measured comes from the distribution of lengths itself."""
    explorer = explorer_of(LadderExplorer).set(data="points in the plane", sigma_1=10.0, sigma_L=0.1, n_levels=10)
    gamma, (middle, width) = 100 ** (1 / 9), (2**0.5, 0.5**0.5)
    low, high = max(0, gamma * (middle - 3 * width)), gamma * (middle + 3 * width)
    exact = np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)  # Rayleigh
    assert numbers_after(explorer, "measured") == pytest.approx(exact, abs=0.01)


def test_a_ladder_that_leads_up_is_no_ladder(explorer_of):
    assert "must be larger" in explorer_of(LadderExplorer).set(sigma_1=1.0, sigma_L=1.0).readout.value


def test_schedule_explorer(explorer_of):
    explorer = explorer_of(ScheduleExplorer).set(schedule="linear", n_steps=1000, beta_n=0.02)
    kept = np.cumprod(1 - np.linspace(1e-4, explorer.values["beta_n"], 1000))
    assert numbers_after(explorer, "equal at t =") == np.argmax(kept < 0.5) + 1
    assert numbers_after(explorer, "at the end") == pytest.approx(kept[-1], rel=0.01)
    explorer.set(n_steps=10, beta_n=0.001)
    assert "never gets below the noise" in explorer.readout.value
    explorer.set(schedule="cosine", n_steps=500)
    assert numbers_after(explorer, "equal at t =") == pytest.approx(248, abs=4)


def test_schedule_explorer_with_falling_betas_and_its_strip(explorer_of):
    explorer = explorer_of(ScheduleExplorer).set(schedule="linear, falling", n_steps=1000, beta_n=0.02)
    kept = np.cumprod(1 - np.linspace(explorer.values["beta_n"], 1e-4, 1000))
    assert numbers_after(explorer, "equal at t =") == np.argmax(kept < 0.5) + 1
    assert numbers_after(explorer, "sigma goes from") == pytest.approx((1 / kept[0] - 1) ** 0.5, rel=0.01)
    assert numbers_after(explorer, "variance is left,") == pytest.approx(-np.log2(1 - kept[-1]) / 2, rel=0.01)
    strip = np.asarray(explorer.strip.images[0].get_array())
    x_0 = (explorer.clean[0, 0].numpy() + 1) / 2
    np.testing.assert_allclose(strip[:, :8], x_0, atol=1e-6)  # t = 0: the clean digit
    x_t = np.sqrt(kept[99]) * explorer.clean[0, 0].numpy() + np.sqrt(1 - kept[99]) * explorer.noise[0, 0].numpy()
    np.testing.assert_allclose(strip[:, 9:17], ((x_t + 1) / 2).clip(0, 1), atol=1e-5)  # t / T = 0.1


def test_ddim_explorer_without_noise_does_not_ask_the_seed(explorer_of):
    explorer = explorer_of(DdimExplorer).set(n_steps=50, eta=0.0, seed=1)
    picture = explorer.picture.value
    assert explorer.set(seed=2).picture.value == picture
    assert numbers_after(explorer, "left mode") == pytest.approx(0.2, abs=0.06)
    assert numbers_after(explorer, "of the right one") == pytest.approx(1.0, abs=0.1)
    assert numbers_after(explorer, "(truth 1.00)") >= 99  # percent of the chains end where the flow leads them to
    assert numbers_after(explorer, "on average") < 0.1
    assert explorer.set(eta=1.0).picture.value != picture
    assert numbers_after(explorer, "(truth 1.00)") < 85 and numbers_after(explorer, "on average") > 2
    ends = np.concatenate([np.stack(dots.get_data(), 1) for dots in explorer.dots])
    assert ends.shape == (explorer.n_chains, 2)
    assert explorer.dots[1].get_xdata().size == int((explorer.flow.sum(1) < 0).sum())


# ---- diffusion in continuous time --------------------------------------------------------------------------------

AT_THE_ENDS = stats.norm([-1.5, 1.0], 0.06**0.5)  # the two parts of the data


def test_the_particles_of_the_flow_keep_their_order_and_end_on_the_data(explorer_of):
    """On a line the lowest 30 % go to the left part, which has this weight."""
    explorer = explorer_of(DiffusionExplorer).set(sde="VP", way="back: flow", n_steps=100).run()
    assert number(explorer, "100 of 100 steps: t = {}") == pytest.approx(1e-3)
    assert number(explorer, "exact density: {} of") < 2e-3
    end = explorer.way_gone[-1][:, 0]
    assert (end.diff() > 0).all() and len(explorer.way_gone) == 101
    shares = 0.3 * AT_THE_ENDS.cdf(end[:, None].numpy())[:, 0] + 0.7 * AT_THE_ENDS.cdf(end[:, None].numpy())[:, 1]
    assert np.abs(shares - (np.arange(1000) + 0.5) / 1000).max() < 2e-3
    assert [line.get_ydata()[-1] for line in explorer.lines] == pytest.approx(end[explorer.shown].tolist())


@pytest.mark.parametrize("sde", ["VE", "VP", "sub-VP"])
def test_particles_that_walk_have_the_exact_density_up_to_their_number(explorer_of, sde):
    explorer = explorer_of(DiffusionExplorer)
    for way in ("forward", "back: reverse SDE"):
        explorer.set(sde=sde, way=way, n_steps=200).run()
        assert number(explorer, "exact density: {} of") < 0.08
        counts, edges = explorer.hist.get_data()[:2]
        assert 0.9 < (counts * np.diff(edges)).sum() <= 1 + 1e-9
        curve = np.stack(explorer.curve.get_data())
        assert np.trapezoid(curve[0], curve[1]) == pytest.approx(1, abs=0.04)
    explorer.set(n_steps=100)
    assert "0 of 100 steps" in says(explorer) and len(explorer.way_gone) == 1, "a change forgets the run"


def test_the_same_starts_for_the_walk_and_the_flow(explorer_of):
    explorer = explorer_of(DiffusionExplorer)
    starts = [
        explorer.set(sde="VP", way=way, n_steps=50).run().way_gone[0] for way in ("back: reverse SDE", "back: flow")
    ]
    assert torch.equal(*starts)


def test_the_error_of_solvers_falls_with_their_order(explorer_of):
    explorer = explorer_of(SolverExplorer)
    for sde in ("VE", "VP"):
        for solver, order in (("flow, Euler", 1), ("flow, Heun", 2)):
            explorer.set(sde=sde, solver=solver, n_steps=200)
            assert number(explorer, r"order {}\)") == pytest.approx(order, abs=0.25)
            assert number(explorer, "steps, {} evaluations") == 200 * order
    assert number(explorer.set(solver="reverse SDE"), "exact density {} of") < 0.06
    assert "drawn are off by" in says(explorer)
    steps, errors = explorer.curves["flow, Heun"].get_data()
    assert steps[0] == 10 and errors[-1] < errors[0] / 100


def test_guidance_explorer_is_right_at_scale_1_and_overdoes_it_beyond(explorer_of):
    """Against what is known of the class: its share, its width, and that the chains are its samples."""
    explorer = explorer_of(GuidanceExplorer).set(scale=1.0, label=1)
    truth = GaussianMixture(explorer.mixture.means, 1.0)
    own = truth.responsibilities(truth.means[1].float() + torch.randn(20_000, 2)).argmax(1) == 1
    assert numbers_after(explorer, "own samples") == pytest.approx(own.double().mean().item(), abs=0.01)
    assert numbers_after(explorer, "to the class") < 0.02
    assert numbers_after(explorer, "standard deviation is") == pytest.approx(1, abs=0.1)
    explorer.set(scale=5.0)
    assert numbers_after(explorer, "to the class") > 0.5 and numbers_after(explorer, "standard deviation is") < 0.8
    far = np.concatenate([np.stack(dots.get_data(), 1) for dots in explorer.dots])
    assert far.shape == (explorer.n_chains, 2) and explorer.dots[1].get_xdata().size == explorer.n_chains
    explorer.set(scale=0.0)
    shares = [dots.get_xdata().size / explorer.n_chains for dots in explorer.dots]
    assert max(shares) < 0.5 and numbers_after(explorer, "seed 0:") == pytest.approx(shares[1], abs=0.01)
    assert [len(line.get_xdata()) for line in explorer.lines] == [len(explorer.sigmas) - 1] * 12


# ---- any model, any sampler -------------------------------------------------------------------------------------


def test_the_grid_says_how_far_its_samples_are_from_the_truth(explorer_of):
    """Its line against a run made here, with the error put into the velocity as flow matching has it."""
    explorer = explorer_of(GridExplorer).set(predicts="velocity", error=0.3, sampler="flow by Heun", evaluations=21)
    waves = 2.0 * torch.randn(2, 2, generator=torch.Generator().manual_seed(4)).double()
    exact = ScoreVelocity(explorer.mixture)

    def velocity(x, t):
        seen = x / ((1 - t) ** 2 + t**2).sqrt()[:, None]
        return exact(x, t) + 0.3 * 2**0.5 * torch.sin(seen @ waves)

    score = FlowScore(velocity)
    end = denoise(
        score, last(probability_flow(score, explorer.start, geometric(20, 0.05, 11, dtype=torch.float64))), 0.05
    )
    np.testing.assert_allclose(np.stack(explorer.dots.get_data(), 1), end, atol=1e-6)
    distance = energy_distance(end, explorer.real)
    assert number(explorer, "distance to the truth {} ") == pytest.approx(distance, abs=2e-4)
    nearest = torch.cdist(end, explorer.mixture.means).argmin(1)
    assert number(explorer, "right mode {} ") == pytest.approx((nearest == 0).double().mean().item(), abs=0.01)
    assert number(explorer, "Heun with {} evaluations") == 21
    assert number(explorer.set(evaluations=24), "Heun with {} of 24 evaluations") == 23


def test_the_grid_s_curves_say_what_an_error_does_to_the_clean_guess(explorer_of):
    explorer, sigma = explorer_of(GridExplorer), np.geomspace(20, 0.05, 60)
    wanted = {"score": sigma**2, "noise": sigma, "clean": 1 + 0 * sigma}
    wanted |= {"v": sigma / np.sqrt(1 + sigma**2), "velocity": sigma / (1 + sigma)}
    for kind, line in explorer.lines.items():
        np.testing.assert_allclose(np.asarray(line.get_ydata()).ravel(), wanted[kind], rtol=1e-3)


@pytest.mark.parametrize("sampler", GRID_SAMPLERS)
@pytest.mark.parametrize("evaluations", [10, 41, 60, 84, 100])
def test_the_grid_asks_as_often_as_it_says(sampler, evaluations):
    """The denoising at the end is one of them; two evaluations a step, or some at each level, may leave some over."""
    asked = []

    def score(x, sigma):
        asked.append(sigma)
        return -x / (1 + sigma**2)

    last(GRID_SAMPLERS[sampler](score, torch.zeros(2, 2), evaluations - 1, torch.Generator().manual_seed(0)))
    left_over = 3 if sampler == "annealed Langevin" else 1
    assert evaluations - left_over <= len(asked) + 1 <= evaluations
