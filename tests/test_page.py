"""The explorers' JavaScript, run by V8 without a browser: it computes and says what the package does."""

import html
import json
import re

import numpy as np
import pytest
import torch
from py_mini_racer import JSEvalException, MiniRacer
from scipy import stats

from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.mcmc import langevin, mala
from ncsn_edu.schedules import stationary_variance
from ncsn_edu.widgets import LangevinExplorer, ScoreFieldExplorer, page
from ncsn_edu.widgets.base import on_grid

PAGES = (ScoreFieldExplorer, LangevinExplorer)
ALL = "(key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value"
GIVEN = """const given = (noise) => Object.fromEntries(
    Object.entries(noise).map(([name, numbers]) => [name, (i) => numbers[i]]));"""


@pytest.fixture(scope="module")
def js():
    """Calls a function of the scripts: js("general", 0.5, 3)."""
    engine = MiniRacer()
    engine.eval(page.source() + GIVEN)

    def call(function: str, *arguments: object) -> object:
        written = (argument if isinstance(argument, Code) else json.dumps(argument) for argument in arguments)
        try:
            return json.loads(engine.eval(f"JSON.stringify({function}({', '.join(written)}), {ALL})"))
        except JSEvalException as error:  # its text holds all of the arguments
            raise AssertionError(f"{function}: {str(error)[:300]}") from None

    return call


class Code(str):
    """An argument that is JavaScript."""


def noise(**numbers: torch.Tensor) -> Code:
    return Code(f"given({json.dumps({name: tensor.flatten().tolist() for name, tensor in numbers.items()})})")


def random_mixture(seed: int) -> tuple[GaussianMixture, dict[str, object]]:
    """Three Gaussians with full covariances, for Python and for the script."""
    generator = np.random.default_rng(seed)
    roots = generator.normal(size=(3, 2, 2))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2)
    means, weights = 3 * generator.normal(size=(3, 2)), generator.dirichlet(np.ones(3))
    flat = covariances.reshape(3, 4)[:, [0, 1, 3]]
    described = {"weights": weights.tolist(), "means": means.tolist(), "covariances": flat.tolist()}
    return GaussianMixture(torch.tensor(means), torch.tensor(covariances), torch.tensor(weights)), described


# ---- the library ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_density_score_and_shares(js, seed):
    mixture, described = random_mixture(seed)
    points = 6 * torch.randn(30, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for sigma in (0.0, 0.3, 5.0):
        found = [js("evaluate", Code(f"noisy({json.dumps(described)}, {sigma})"), *x) for x in points.tolist()]
        np.testing.assert_allclose([f["logProb"] for f in found], mixture.log_prob(points, sigma), rtol=1e-9)
        np.testing.assert_allclose([[f["scoreX"], f["scoreY"]] for f in found], mixture(points, sigma), rtol=1e-8)
        shares = mixture.responsibilities(points, sigma)
        np.testing.assert_allclose([f["shares"] for f in found], shares, atol=1e-9)
        assert [f["best"] for f in found] == shares.argmax(1).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metropolis", [False, True])
def test_langevin_with_the_same_noise(js, metropolis, seed):
    mixture, described = random_mixture(seed)
    double = {"dtype": torch.float64}
    n, n_steps, alpha = 20, 25, [0.05, 0.2, 0.6][seed]
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(9), **double)
    generator = torch.Generator().manual_seed(seed)
    if metropolis:
        states = mala(mixture.log_prob_and_score, x, alpha=alpha, n_steps=n_steps, generator=generator)
    else:
        states = langevin(mixture, x, alpha=alpha, n_steps=n_steps, generator=generator)
    states = list(states)
    given = {"mixture": described, "alpha": alpha, "nSteps": n_steps, "metropolis": metropolis}
    options = f"{{...{json.dumps(given)}, noise: {drawn(seed, n, n_steps, metropolis, **double)}}}"
    found = js("langevin", described, x.flatten().tolist(), Code(options))
    path = np.reshape(found["path"], (n_steps + 1, n, 2))
    np.testing.assert_allclose(path, torch.stack([x, *(state.x for state in states)]), atol=1e-7)
    if metropolis:
        rate = torch.stack([state.accepted for state in states]).double().mean().item()
        assert 0.2 < rate < 1 and found["rate"] == pytest.approx(rate)


def drawn(seed: int, n: int, n_steps: int, metropolis: bool, *, start: int = 0, **options: object) -> Code:
    """The numbers that n chains of the package draw from torch's generator of this seed."""
    generator = torch.Generator().manual_seed(seed)
    first, normal, uniform = torch.rand(start, 2, generator=generator, **options), [], [torch.zeros(0)]
    for _ in range(n_steps):
        normal.append(torch.randn(n, 2, generator=generator, **options))
        if metropolis:
            uniform.append(torch.rand(n, generator=generator, **options))
    return noise(start=first, normal=torch.stack(normal), uniform=torch.cat(uniform))


@pytest.mark.parametrize(("make", "cdf"), [("generator(5)", "uniform"), ("normals(generator(5))", "norm")])
def test_random_numbers(js, make, cdf):
    many = np.array(js("((draw) => Array.from({length: 20000}, draw))", Code(make)))
    assert stats.kstest(many, cdf).pvalue > 1e-3
    for lag in (1, 2, 3):
        assert stats.spearmanr(many[lag:], many[:-lag]).pvalue > 1e-3
    again, other = (js(f"(() => {make.replace('5', seed)}())") for seed in "56")
    assert again == many[0] != other


def test_numbers_are_written_as_in_python(js):
    generator = np.random.default_rng(0)
    for x in [
        0.0,
        1.0,
        1e5,
        999.96,
        9.9996e-5,
        *(10 ** generator.uniform(-12, 12, 300) * generator.choice([-1, 1], 300)),
    ]:
        assert js("general", float(x), 4) == f"{x:.4g}"
        assert js("signed", float(x), 3) == f"{x:+.3f}"
    assert js("general", Code("Infinity"), 4) == "inf"


def test_intervals_and_variances(js):
    for count, n in ((0, 600), (1, 600), (121, 600), (600, 600)):
        low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
        assert js("wilson", count, n) == pytest.approx([count / n, low, high], abs=1e-9)
    numbers = np.random.default_rng(0).normal(3, 2, 50)
    assert js("variance", numbers.tolist()) == pytest.approx(numbers.var(ddof=1))
    for alpha in (0.1, 2.0, 3.9):
        assert js("stationaryVariance", alpha) == pytest.approx(stationary_variance(alpha, 1.0))
    assert js("stationaryVariance", 4.0) is None  # infinity, in JSON


# ---- explorers --------------------------------------------------------------------------------------------------


def random_values(explorer: page.PageExplorer, seed: int) -> dict[str, object]:
    """Any place on the grid of each control."""
    generator, values = np.random.default_rng(seed), {}
    for control in explorer.settings()["controls"]:
        if control["kind"] in ("choice", "check"):
            values[control["name"]] = generator.choice(control.get("options", [False, True])).item()
        else:
            at = on_grid(generator.uniform(control["min"], control["max"]), control["min"], control["step"])
            values[control["name"]] = 10**at if control["kind"] == "log" else at
    return values


def said(text: str) -> tuple[str, list[float]]:
    """A line of numbers: its words, and its numbers."""
    words = re.sub(r"^<div[^>]*>|</div>$", "", text)
    return re.sub(r"[\d.]+", "#", words), [float(number) for number in re.findall(r"\d+(?:\.\d+)?", words)]


def test_score_field_says_and_draws_what_python_does(js):
    explorer = ScoreFieldExplorer()
    explorer._png = lambda: b""  # drawing is most of the time
    for seed in range(20):
        explorer.set(**random_values(explorer, seed))
        settings = explorer.settings()
        found = js("explorers.ScoreFieldExplorer.compute", explorer.values, settings["fixed"])
        line = js("explorers.ScoreFieldExplorer.says", explorer.values, found, settings)
        assert said(line)[0] == said(explorer.readout.value)[0]
        np.testing.assert_allclose(said(line)[1], said(explorer.readout.value)[1], atol=1.1e-3)
        np.testing.assert_allclose(found["heat"], explorer.heat.get_array().flatten(), atol=1e-9)
        arrows = np.array([[a["x"], a["y"], a["u"], a["v"]] for a in found["arrows"]])
        np.testing.assert_allclose(arrows[:, :2], explorer.arrows.get_offsets(), atol=1e-9)
        np.testing.assert_allclose(arrows[:, 2:], np.stack([explorer.arrows.U, explorer.arrows.V], 1), atol=1e-9)
        for drawn_line, name in ((explorer.density, "density"), (explorer.slope, "slope")):
            np.testing.assert_allclose(np.stack([found["line"], found[name]]), drawn_line.get_data(), atol=1e-9)


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize(("start", "alpha"), [("uniform", 0.1), ("one far point", 1.0), ("left mode", 1.99526)])
def test_langevin_says_and_draws_what_python_does(js, start, alpha, metropolis):
    """Given the numbers that Python drew; in the page they are others."""
    explorer = LangevinExplorer().set(alpha=alpha, start=start, metropolis=metropolis, n_steps=40)
    n, settings = explorer.n_chains, explorer.settings()
    numbers = drawn(0, n, 40, metropolis, start=n if start == "uniform" else 0)
    found = js("explorers.LangevinExplorer.compute", explorer.values, settings["fixed"], numbers)
    np.testing.assert_allclose([found["first"], found["second"]], explorer.dots.get_data(), atol=1e-3)
    path = np.reshape(found["path"], (41, n, 2))[:, : explorer.n_drawn].transpose(1, 0, 2)
    np.testing.assert_allclose(path, np.stack(explorer.paths.get_segments()), atol=1e-3)
    np.testing.assert_allclose(found["heights"], explorer.bars.get_data().values, atol=1e-6)
    line = js("explorers.LangevinExplorer.says", explorer.values, found, settings)
    assert said(line)[0] == said(explorer.readout.value)[0]
    np.testing.assert_allclose(said(line)[1], said(explorer.readout.value)[1], rtol=1e-3, atol=1.1e-3)


def test_langevin_runs_away_where_python_does(js):
    explorer = LangevinExplorer().set(alpha=10, n_steps=60)
    settings = explorer.settings()
    numbers = drawn(0, explorer.n_chains, 60, False, start=explorer.n_chains)
    found = js("explorers.LangevinExplorer.compute", explorer.values, settings["fixed"], numbers)
    line = js("explorers.LangevinExplorer.says", explorer.values, found, settings)
    assert found["outside"] and "unstable" in line
    assert f"<div class='ncsn-readout' style='font-size:110%'>{line}</div>" == explorer.readout.value


def test_chains_of_the_page_agree_with_python_up_to_their_noise(js):
    """With noise of its own, and 500 steps: the long run that theory has (MALA), and the step's bias (without)."""
    settings = LangevinExplorer().settings()
    values = {"alpha": 1.0, "n_steps": 500, "start": "right mode"}
    exact, biased = (
        js("explorers.LangevinExplorer.compute", values | {"metropolis": metropolis}, settings["fixed"])
        for metropolis in (True, False)
    )
    error = np.sqrt(2 / 600)  # of a variance of 1
    assert np.var(exact["second"]) == pytest.approx(1, abs=4 * error)
    assert np.var(biased["second"]) == pytest.approx(4 / 3, abs=4 * error * 4 / 3)


# ---- controls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAGES)
def test_controls_settle_where_python_s_do(js, kind):
    explorer = kind()
    for control in explorer.settings()["controls"]:
        if control["kind"] in ("choice", "check"):
            continue
        low, high = (10 ** control[e] if control["kind"] == "log" else control[e] for e in ("min", "max"))
        assert js("settle", control, low - 1) == pytest.approx(low, rel=1e-5), "typed below the range"
        assert js("settle", control, 1e9) == pytest.approx(high, rel=1e-5), "typed above it"
        for seed in range(20):
            value = float(np.random.default_rng(seed).uniform(low, high))
            settled = js("settle", control, value)
            explorer.view.values = explorer.values | {control["name"]: settled}  # as the page sends it
            assert explorer.values[control["name"]] == settled
            step = np.log10(settled / value) if control["kind"] == "log" else settled - value
            assert abs(step) <= control["step"] / 2 + 1e-5
    written = [js("written", c, c["start"]) for c in kind().settings()["controls"] if "step" in c]
    assert (
        written == {ScoreFieldExplorer: ["0.20", "6.00", "1.0", "0.0", "0.0"], LangevinExplorer: ["0.1", "100"]}[kind]
    )


# ---- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_static_page_gets(kind):
    explorer = kind().set(**random_values(kind(), 3))
    element = page.element(explorer)
    settings = json.loads(html.unescape(re.search('data-ncsn-explorer="([^"]*)"', element)[1]))
    assert settings == json.loads(json.dumps(explorer.settings()))
    assert {c["name"]: c["start"] for c in settings["controls"]} == explorer.values
    assert settings["alt"] == explorer._repr_mimebundle_()[1]["image/png"]["alt"]


def test_the_script_is_whole_and_asks_for_nothing():
    script = page.script()
    assert "</script" not in script and not re.search(r"https?://|\bimport\b|\bfetch\(", script)
    engine = MiniRacer()
    engine.eval("var document = {readyState: 'complete', querySelectorAll: () => []}")
    engine.eval(script)
    assert engine.eval("typeof explorers") == "undefined", "it leaves no names behind in the page"
