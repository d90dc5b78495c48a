"""The explorers' JavaScript, run by V8 without a browser: it computes and says what the package does."""

import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from py_mini_racer import JSEvalException, MiniRacer
from scipy import stats

from ncsn_edu import schedules
from ncsn_edu.adapters import PREDICTIONS, convert
from ncsn_edu.conditions import ClassifierGuide, Conditioned
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.mcmc import annealed_langevin, langevin, mala
from ncsn_edu.metrics import energy_distance
from ncsn_edu.schedules import geometric, stable_alpha, stable_eps, stationary_variance, step_sizes
from ncsn_edu.widgets import (
    AnnealingExplorer,
    DdimExplorer,
    DiffusionExplorer,
    GridExplorer,
    GuidanceExplorer,
    LadderExplorer,
    LangevinExplorer,
    ScheduleExplorer,
    ScoreFieldExplorer,
    SolverExplorer,
    page,
)
from ncsn_edu.widgets.base import on_grid
from ncsn_edu.widgets.sdes import SDES, SOLVERS, WAYS

PAGES = (
    *(ScoreFieldExplorer, LangevinExplorer, AnnealingExplorer),
    *(LadderExplorer, ScheduleExplorer, DdimExplorer, DiffusionExplorer, SolverExplorer),
    *(GridExplorer, GuidanceExplorer),
)
FEW_STEPS = {AnnealingExplorer: {"n_levels": 2, "n_steps_each": 5}, DiffusionExplorer: {"n_steps": 5}}
MORE = {AnnealingExplorer: {"n_levels": 3}, DiffusionExplorer: {"way": "forward"}}
ALL = "(key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value"
GIVEN = """const given = (blocks) => ({ normals: () => blocks.shift(), uniforms: () => blocks.shift() });
const ran = (explorer, values, fixed) => {
    const found = explorer.compute(values, fixed);
    for (const _ of explorer.steps(found, values, fixed));
    return found;
};"""


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
    options = f"{{...{json.dumps(given)}, noise: {drawn(seed, n, n_steps, metropolis)}}}"
    found = js("langevin", described, x.flatten().tolist(), Code(options))
    path = np.reshape(found["path"], (n_steps + 1, n, 2))
    np.testing.assert_allclose(path, torch.stack([x, *(state.x for state in states)]), atol=1e-7)
    if metropolis:
        rate = torch.stack([state.accepted for state in states]).double().mean().item()
        assert 0.2 < rate < 1 and found["rate"] == pytest.approx(rate)


@pytest.mark.parametrize("seed", range(3))
def test_annealed_langevin_with_the_same_noise(js, seed):
    mixture, described = random_mixture(seed)
    n, n_levels, n_steps, double = 20, 3 + seed, 7, {"dtype": torch.float64}
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(9), **double)
    sigmas = geometric(10.0, 0.2, n_levels, dtype=torch.float64)
    settings = {"eps": 0.01, "n_steps_each": n_steps, "generator": torch.Generator().manual_seed(seed)}
    wanted = list(annealed_langevin(mixture, x, sigmas, **settings))
    numbers = drawn(seed, n, n_levels * n_steps, False)
    options = f"{{eps: 0.01, nStepsEach: {n_steps}, sigmas: geometric(10, 0.2, {n_levels}), noise: {numbers}}}"
    given = Code(f"scoreOf({json.dumps(described)})"), Code(f"Float64Array.from({x.flatten().tolist()})")
    found = js("((...all) => [...annealedLangevin(...all)])", *given, Code(options))
    assert [(state["level"], state["step"]) for state in found] == [(state.level, state.step) for state in wanted]
    path = np.reshape([state["x"] for state in found], (-1, n, 2))
    np.testing.assert_allclose(path, torch.stack([state.x for state in wanted]), atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_ladders_and_their_limits(js, seed):
    generator = np.random.default_rng(seed)
    high, low, n = 10 ** generator.uniform(0, 2), 10 ** generator.uniform(-3, 0), int(generator.integers(2, 60))
    sigmas = geometric(high, low, n, dtype=torch.float64)
    np.testing.assert_allclose(js("geometric", high, low, n), sigmas, rtol=1e-12)
    limits = torch.tensor([stable_alpha(1.0, sigma) for sigma in sigmas.tolist()], dtype=torch.float64)
    np.testing.assert_allclose(js("againstLimits", sigmas.tolist(), 0.3), step_sizes(sigmas, 0.3) / limits, rtol=1e-9)
    assert js("stableEps", sigmas.tolist()) == pytest.approx(stable_eps(sigmas, 1.0))


def drawn(seed: int, n: int, n_steps: int, metropolis: bool) -> Code:
    """The noise that n chains of the package draw from torch's generator of this seed, in float64."""
    generator, blocks = torch.Generator().manual_seed(seed), []
    for _ in range(n_steps):
        blocks.append(torch.randn(n, 2, generator=generator, dtype=torch.float64).flatten().tolist())
        if metropolis:
            blocks.append(torch.rand(n, generator=generator, dtype=torch.float64).tolist())
    return Code(f"given({json.dumps(blocks)})")


@pytest.mark.parametrize("seed", range(8))
def test_techniques_2_and_4(js, seed):
    generator = np.random.default_rng(seed)
    dim, n = int(generator.choice([2, 64, 784, 3072])), int(generator.integers(1, 101))
    high, low, levels = 10 ** generator.uniform(0, 2), 10 ** generator.uniform(-3, -1), int(generator.integers(2, 400))
    sigmas = geometric(high, low, levels, dtype=torch.float64)
    gamma, square = (sigmas[0] / sigmas[1]).item(), low**2
    assert js("ratioOverlap", gamma, dim) == pytest.approx(schedules.ratio_overlap(gamma, dim), abs=1e-12)
    assert js("levelsForHalf", high, low, dim) == schedules.levels_for_overlap(high, low, dim)
    best = schedules.eps_for_steps(sigmas, n)
    assert js("epsForSteps", gamma, n) == pytest.approx(best / square, rel=1e-4)
    for eps in (0.01, best / square, 1.5, 3.9, 4.0):
        one, whole = (f(sigmas, eps * square, n) for f in (schedules.variance_ratio, schedules.settled_variance_ratio))
        assert js("varianceRatio", gamma, eps, n) == (pytest.approx(one, rel=1e-6) if one < np.inf else None)
        assert js("settledVarianceRatio", gamma, eps, n) == (pytest.approx(whole, rel=1e-6) if whole < np.inf else None)


@pytest.mark.parametrize("n", [10, 70, 1000])
def test_schedules_of_ddpm(js, n):
    for python, script in (
        (schedules.ddpm_betas(n, 1e-4, 0.05), f"linearBetas({n}, 1e-4, 0.05)"),
        (schedules.cosine_betas(n), f"cosineBetas({n})"),
    ):
        kept = schedules.alphas_bar_of(python)
        found = js("((left) => [left, left.map(sigmaOfAlphaBar)])", Code(f"alphasBar({script})"))
        np.testing.assert_allclose(found[0], kept, rtol=1e-9)
        np.testing.assert_allclose(found[1], schedules.sigmas_of_alphas_bar(kept), rtol=1e-9)


@pytest.mark.parametrize("dim", [2, 64, 3072])
def test_lengths_of_noise(js, dim):
    assert stats.kstest(js("lengthsOfNoise", dim, 20_000), stats.chi(dim).cdf).pvalue > 1e-3


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("seed", [0, 1, 7, 2**31])
def test_noise_is_what_torch_draws(js, seed, bits):
    """Blocks one after another, of one generator."""
    found = js("((noise) => [noise.uniforms(700), noise.normals(1285), noise.uniforms(5), noise.normals(16)])",
               Code(f"torchNoise({seed}, {bits})"))  # fmt: skip
    generator, dtype = torch.Generator().manual_seed(seed), {32: torch.float32, 64: torch.float64}[bits]
    for numbers, draw in zip(found, (torch.rand, torch.randn, torch.rand, torch.randn), strict=True):
        wanted = draw(len(numbers), generator=generator, dtype=dtype)
        np.testing.assert_allclose(numbers, wanted, rtol=0, atol=1e-5 if bits == 32 else 1e-12)


def test_noise_that_is_replayed(js):
    first, second, again = js("""(() => {
        const noise = replayed(torchNoise(0)), draw = () => [...noise.normals(16), ...noise.uniforms(3)];
        const two = [draw(), draw()];
        noise.rewind();
        return [...two, draw()];
    })""")
    assert first == again != second and len(first) == 19


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


def said(text: str) -> tuple[str, list[str]]:
    """A line of numbers: its words, and its numbers."""
    words = re.sub(r"^<div[^>]*>|</div>$", "", text)
    return re.sub(r"[\d.]+", "#", words), re.findall(r"\d+(?:\.\d+)?", words)


def agrees(line: object, explorer: page.PageExplorer) -> None:
    """A line of the script has the words of Python's, and its numbers up to what rounding to its digits changes."""
    (words, numbers), (expected, those) = said(line), said(explorer.readout.value)
    assert words == expected
    for ours, theirs in zip(numbers, those, strict=True):
        last = 10.0 ** -len(theirs.partition(".")[2])  # of its digits
        assert float(ours) == pytest.approx(float(theirs), rel=1e-3, abs=1.1 * min(last, 1e-3)), (line, those)


def test_score_field_says_and_draws_what_python_does(js):
    explorer = ScoreFieldExplorer()
    explorer._png = lambda: b""  # drawing is most of the time
    for seed in range(20):
        explorer.set(**random_values(explorer, seed))
        settings = explorer.settings()
        found = js("explorers.ScoreFieldExplorer.compute", explorer.values, settings["fixed"])
        line = js("explorers.ScoreFieldExplorer.says", explorer.values, found, settings)
        agrees(line, explorer)
        np.testing.assert_allclose(found["heat"], explorer.heat.get_array().flatten(), atol=1e-9)
        arrows = np.array([[a["x"], a["y"], a["u"], a["v"]] for a in found["arrows"]])
        np.testing.assert_allclose(arrows[:, :2], explorer.arrows.get_offsets(), atol=1e-9)
        np.testing.assert_allclose(arrows[:, 2:], np.stack([explorer.arrows.U, explorer.arrows.V], 1), atol=1e-9)
        for drawn_line, name in ((explorer.density, "density"), (explorer.slope, "slope")):
            np.testing.assert_allclose(np.stack([found["line"], found[name]]), drawn_line.get_data(), atol=1e-9)


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize(("start", "alpha"), [("uniform", 0.1), ("one far point", 1.0), ("left mode", 1.99526)])
def test_langevin_says_and_draws_what_python_does(js, start, alpha, metropolis):
    explorer = LangevinExplorer().set(alpha=alpha, start=start, metropolis=metropolis, n_steps=40)
    n, settings = explorer.n_chains, explorer.settings()
    found = js("explorers.LangevinExplorer.compute", explorer.values, settings["fixed"])
    np.testing.assert_allclose([found["first"], found["second"]], explorer.dots.get_data(), atol=1e-3)
    path = np.reshape(found["path"], (41, n, 2))[:, : explorer.n_drawn].transpose(1, 0, 2)
    np.testing.assert_allclose(path, np.stack(explorer.paths.get_segments()), atol=1e-3)
    np.testing.assert_allclose(found["heights"], explorer.bars.get_data().values, atol=1e-6)
    line = js("explorers.LangevinExplorer.says", explorer.values, found, settings)
    agrees(line, explorer)


def test_langevin_runs_away_where_python_does(js):
    explorer = LangevinExplorer().set(alpha=10, n_steps=60)
    settings = explorer.settings()
    found = js("explorers.LangevinExplorer.compute", explorer.values, settings["fixed"])
    line = js("explorers.LangevinExplorer.says", explorer.values, found, settings)
    assert found["outside"] and "unstable" in line
    assert f"<div class='ncsn-readout' style='font-size:110%'>{line}</div>" == explorer.readout.value


def test_long_chains_of_the_page_have_the_variances_that_theory_has(js):
    """500 steps: the truth's (MALA), and the one of large steps (without)."""
    settings = LangevinExplorer().settings()
    values = {"alpha": 1.0, "n_steps": 500, "start": "right mode"}
    exact, biased = (
        js("explorers.LangevinExplorer.compute", values | {"metropolis": metropolis}, settings["fixed"])
        for metropolis in (True, False)
    )
    error = np.sqrt(2 / 600)  # of a variance of 1
    assert np.var(exact["second"]) == pytest.approx(1, abs=4 * error)
    assert np.var(biased["second"]) == pytest.approx(4 / 3, abs=4 * error * 4 / 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_levels": 4, "n_steps_each": 20},
        {"sigma_1": 1.0, "sigma_L": 10**-1.5, "n_levels": 2, "n_steps_each": 10, "eps": 0.001},
        {"n_levels": 3, "n_steps_each": 15, "eps": 1.0},
        {"n_levels": 10, "n_steps_each": 50},
        {"sigma_1": 1.0, "sigma_L": 1.0},
    ],
    ids=str,
)
def test_annealing_says_and_draws_what_python_does(js, changes):
    """Before the run, and at its end."""
    explorer = AnnealingExplorer(n_levels=2, n_steps_each=5).set(**changes)
    values, settings, n = explorer.values, explorer.settings(), explorer.n_chains
    name = "explorers.AnnealingExplorer"
    found = js(f"{name}.compute", values, settings["fixed"])
    agrees(js(f"{name}.says", values, found, settings), explorer)
    np.testing.assert_allclose(found["against"], explorer.bars.get_ydata(), rtol=1e-6)
    explorer.run()
    found = js("ran", Code(name), values, settings["fixed"])
    agrees(js(f"{name}.says", values, found, settings), explorer)
    np.testing.assert_allclose(found["shares"], explorer.in_small_mode, atol=1e-6)
    assert found["ranAway"] == ("ran away" in explorer.readout.value)
    if found["modes"]:
        np.testing.assert_allclose(np.reshape(found["x"], (n, 2)).T, explorer.dots.get_data(), atol=1e-3)


def test_annealing_at_the_ends_of_its_controls(js):
    explorer = AnnealingExplorer(n_levels=2, n_steps_each=5)
    explorer._png = lambda: b""
    settings = explorer.settings()
    sliders = {c["name"]: c for c in settings["controls"]}
    ends = [[10 ** sliders[name][end] for end in ("min", "max")] for name in ("sigma_1", "sigma_L", "eps")]
    for sigma_1, sigma_L, eps, n_levels in itertools.product(*ends, (2, 30)):
        explorer.set(sigma_1=sigma_1, sigma_L=sigma_L, eps=eps, n_levels=n_levels).run()
        found = js("ran", Code("explorers.AnnealingExplorer"), explorer.values, settings["fixed"])
        line = js("explorers.AnnealingExplorer.says", explorer.values, found, settings)
        if "unstable" not in line:
            agrees(line, explorer)
            continue
        python = explorer.readout.value  # where chains are at 1e20, rounding decides about modes
        assert ("ran away at level" in line) == ("ran away at level" in python)
        assert line.partition("Result")[0] == re.sub(r"^<div[^>]*>", "", python).partition("Result")[0]


def random_and_extreme(explorer: page.PageExplorer, n: int) -> list[dict[str, object]]:
    """n random settings, and all the ends of all controls."""
    ends = []
    for control in explorer.settings()["controls"]:
        if control["kind"] == "choice":
            ends.append([control["options"][0], control["options"][-1]])
        else:
            ends.append([10 ** control[end] if control["kind"] == "log" else control[end] for end in ("min", "max")])
    corners = [dict(zip(explorer.values, corner, strict=True)) for corner in itertools.product(*ends)]
    return [random_values(explorer, seed) for seed in range(n)] + corners


def test_ladder_says_and_draws_what_python_does(js):
    """Given the lengths that Python drew."""
    explorer, name = LadderExplorer(), "explorers.LadderExplorer"
    explorer._png = lambda: b""
    settings = explorer.settings()
    lengths = {
        data: np.sqrt(np.random.default_rng(0).chisquare(dim, 20_000)).tolist()
        for data, dim in settings["fixed"]["sizes"].items()
    }
    for values in random_and_extreme(explorer, 5):
        explorer.set(**values)
        found = js(f"{name}.compute", explorer.values, settings["fixed"], lengths[explorer.values["data"]])
        line = js(f"{name}.says", explorer.values, endless(found), settings)
        agrees(line, explorer)
        for script, python in (("upper", explorer.upper), ("lower", explorer.lower)):
            if found["ladder"]:
                np.testing.assert_allclose([found["line"], found[script]], python.get_data(), atol=1e-9)
        for script, python in (("ratio", explorer.ratio), ("ladder", explorer.ladder)):
            np.testing.assert_allclose(found.get(script) or [], python.get_ydata(), rtol=1e-6)
        for script, python in (("inside", explorer.inside), ("outside", explorer.outside)):
            np.testing.assert_allclose(found.get(script) or [0], python.get_data().values, atol=1e-9)


def endless(found: object) -> Code:
    """What was found, with the infinity that JSON does not know."""
    return Code(f"((found) => ({{...found, below: found.below ?? Infinity}}))({json.dumps(found)})")


def said_alike(js, explorer: page.PageExplorer, moves: Iterable[dict]) -> Iterator[dict]:
    """What the page computes after each move, once it has said what Python says."""
    explorer._png = lambda: b""  # drawing is most of the time
    settings, name = explorer.settings(), f"explorers.{type(explorer).__name__}"
    for values in moves:
        explorer.set(**values)
        found = js(f"{name}.compute", explorer.values, settings["fixed"])
        agrees(js(f"{name}.says", explorer.values, found, settings), explorer)
        yield found


def test_schedule_says_and_draws_what_python_does(js):
    explorer, name = ScheduleExplorer(), "explorers.ScheduleExplorer"
    for found in said_alike(js, explorer, random_and_extreme(explorer, 20)):
        np.testing.assert_allclose(found["kept"], explorer.kept.get_ydata(), rtol=1e-6)
        strip = np.asarray(explorer.strip.images[0].get_array())
        for k, digit in enumerate(found["digits"]):
            shown = np.reshape(digit, (8, 8)).clip(0, 1)
            np.testing.assert_allclose(shown, strip[:, 9 * k : 9 * k + 8].reshape(8, 8), atol=1e-5)
        idle = js(f"{name}.idle", explorer.values)
        assert idle == [name for name, control in explorer.controls.items() if control.disabled]


def test_ddim_says_and_draws_what_python_does(js):
    explorer, name, n = DdimExplorer(), "explorers.DdimExplorer", DdimExplorer.n_chains
    for found in said_alike(js, explorer, random_and_extreme(explorer, 6)):
        left = np.array(found["toLeft"])
        for dots, side in zip(explorer.dots, (~left, left), strict=True):
            np.testing.assert_allclose(np.reshape(found["end"], (n, 2))[side].T, dots.get_data(), atol=1e-3)
        for line, python in zip(found["lines"], explorer.lines, strict=True):
            np.testing.assert_allclose([found["sigmas"], line["along"]], python.get_data(), atol=1e-3)
        idle = js(f"{name}.idle", explorer.values)
        assert idle == [name for name, control in explorer.controls.items() if control.disabled]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sde", SDES)
def test_diffusion_says_and_draws_what_python_does(js, sde, way):
    explorer, name = DiffusionExplorer(n_steps=10), "explorers.DiffusionExplorer"
    explorer._png = lambda: b""
    settings = explorer.settings()
    for n_steps in (5, 60):
        explorer.set(sde=sde, way=way, n_steps=n_steps)
        ran_to = ("start", "end") if n_steps == 5 else ("end",)
        for place in ran_to:
            found = Code(f"{name}.compute({json.dumps(explorer.values)}, {json.dumps(settings['fixed'])})")
            if place == "end":
                explorer.run()
                found = Code(f"ran({name}, {json.dumps(explorer.values)}, {json.dumps(settings['fixed'])})")
            agrees(js(f"{name}.says", explorer.values, found, settings), explorer)
    got = js("((found) => [found.path, found.heat, found.times])", found)
    np.testing.assert_allclose(got[0], torch.stack(explorer.way_gone)[..., 0], rtol=0, atol=2e-4)
    np.testing.assert_allclose(got[1], explorer.back.get_array().flatten(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got[2], explorer.times)


@pytest.fixture(scope="module")
def solver_explorer():
    explorer = SolverExplorer()
    explorer._png = lambda: b""
    return explorer


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sde", SDES)
def test_solvers_say_and_draw_what_python_does(js, solver_explorer, sde, solver):
    explorer, name, settings = solver_explorer, "explorers.SolverExplorer", solver_explorer.settings()
    for n_steps in (5, 65, 200):
        explorer.set(sde=sde, solver=solver, n_steps=n_steps)
        found = js("ran", Code(name), explorer.values, settings["fixed"])
        agrees(js(f"{name}.says", explorer.values, found, settings), explorer)
        (error,) = explorer.here.get_ydata()
        np.testing.assert_allclose(
            [found["evaluations"], found["error"]], [*explorer.here.get_xdata(), error], rtol=1e-5
        )
        np.testing.assert_allclose(found["heights"], explorer.hist.get_data().values, atol=1e-9)
        np.testing.assert_allclose([found["axis"], found["exact"]], explorer.exact.get_data(), atol=1e-9)
    for solver, errors in found["curves"].items():
        np.testing.assert_allclose(errors, explorer.curves[solver].get_ydata(), rtol=1e-5)


def test_the_grid_says_and_draws_what_python_does(js):
    explorer, n = GridExplorer(), GridExplorer.n_chains
    chaotic = {"predicts": "score", "error": 0.5, "sampler": "annealed Langevin"}  # rounding decides where chains go
    moves = (values for values in random_and_extreme(explorer, 12) if not chaotic.items() <= values.items())
    for found in said_alike(js, explorer, moves):
        np.testing.assert_allclose(np.reshape(found["end"], (n, 2)).T, explorer.dots.get_data(), atol=1e-5)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_an_error_of_each_prediction_in_the_clean_guess(js, kind):
    zero = torch.zeros(1, 1, dtype=torch.float64)
    for sigma in (0.05, 1.0, 20.0):
        at_0, at_1 = (convert(zero + k, zero, sigma, source=kind, target="clean").item() for k in (0, 1))
        assert js(f"CLEAN_PER.{kind}", sigma) == pytest.approx(at_1 - at_0)


def test_energy_distances_and_samples(js):
    """Of points that a mixture drew as PyTorch does, from one generator."""
    means, stds = [[-2.0, 1.0], [3.0, 0.0], [0.0, 4.0]], [[0.5, 1.0], [2.0, 0.3], [1.0, 1.0]]
    mixture = GaussianMixture(torch.tensor(means), torch.tensor(stds) ** 2, [0.2, 0.5, 0.3])
    generator = torch.Generator().manual_seed(5)
    wanted = [mixture.sample(n, generator=generator) for n in (300, 40)]
    found = js(
        "((m, noise) => [sampled(m, 300, noise), sampled(m, 40, noise)])",
        page.described(mixture),
        Code("torchNoise(5)"),
    )
    for numbers, points in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.reshape(numbers, (-1, 2)), points, atol=1e-5)
    assert js("((y, x) => energyDistanceTo(y)(x))", *found) == pytest.approx(energy_distance(*wanted), rel=1e-5)


def test_guidance_says_and_draws_what_python_does(js):
    explorer, name = GuidanceExplorer(), "explorers.GuidanceExplorer"
    for found in said_alike(js, explorer, random_and_extreme(explorer, 12)):
        best = np.array(found["best"])
        for k, dots in enumerate(explorer.dots):
            of_class = np.array([found["first"], found["second"]])[:, best == k]
            np.testing.assert_allclose(of_class, dots.get_data(), atol=1e-4)
        for line, python in zip(found["lines"], explorer.lines, strict=True):
            np.testing.assert_allclose([found["sigmas"][1:], line], python.get_data(), atol=1e-4)
        idle = js(f"{name}.idle", explorer.values)
        assert idle == [name for name, control in explorer.controls.items() if control.disabled]


@pytest.mark.parametrize("seed", range(3))
def test_guided_scores(js, seed):
    """Of components of any shape, against automatic differentiation."""
    mixture, described = random_mixture(seed)
    points = 3 * torch.randn(20, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for label, scale, sharpness, sigma in ((0, 1.0, 1.0, 0.3), (1, 4.0, 0.5, 1.0), (2, 0.5, 3.0, 5.0)):
        guide = ClassifierGuide(lambda x, sigma, sharpness=sharpness: sharpness * mixture.logits(x, sigma), label)
        wanted = Conditioned(mixture, guide, scale)(points, sigma).detach()
        told = {"label": label, "scale": scale, "sharpness": sharpness}
        found = js(
            "((m, told, x, sigma) => guided(m, told)(x, sigma))", described, told, points.flatten().tolist(), sigma
        )
        np.testing.assert_allclose(np.reshape(found, (-1, 2)), wanted, rtol=1e-7, atol=1e-9)


# ---- runs -------------------------------------------------------------------------------------------------------

COUNTING = """const counting = {
    compute: ({ to }) => ({ to, count: 0 }),
    *steps(found) { found.count = 0; while (found.count < found.to) { found.count++; yield; } },
};
let clock = 0;
const seen = (posed) => [posed.found.count, posed.running, posed.done];
const worked = (posed) => (posed.work(10, () => clock += 2), seen(posed));"""


def test_a_run_goes_in_pieces_and_can_be_stopped_and_begun_again():
    """A clock that goes on by 2 ms each time it is looked at: five steps in a piece of 10 ms."""
    engine = MiniRacer()
    engine.eval(page.source() + COUNTING)

    def after(code: str) -> list[object]:
        return json.loads(engine.eval(f"(() => {{ {code} }})(); JSON.stringify(worked(posed))"))

    engine.eval("const posed = new Posed(counting, {}); posed.pose({to: 12})")
    assert after("") == [0, False, False], "nothing runs by itself"
    assert after("posed.start()") == [5, True, False]
    assert after("posed.pose({to: 12})") == [10, True, False], "the same problem runs on"
    assert after("") == [12, False, True]
    assert after("") == [12, False, True]
    assert after("posed.start()") == [5, True, False], "it begins anew"
    assert after("posed.stop()") == [5, False, False], "what there is so far stays"
    assert after("posed.start(); posed.pose({to: 30})") == [0, False, False], "another problem ends the run"
    assert after("posed.start()") == [5, True, False]


def test_what_ran_in_the_page_runs_in_python_and_the_other_way_round():
    explorer, other = AnnealingExplorer(n_levels=2, n_steps_each=5), AnnealingExplorer(n_levels=3, n_steps_each=10)
    assert explorer.view.ran == explorer.values, "it comes with a result"
    explorer.set(n_levels=3)
    assert explorer.view.ran == {} and "Press Run" in explorer.readout.value
    explorer.view.set_state({"values": other.values, "ran": {}})
    assert "Press Run" in explorer.readout.value
    explorer.view.set_state({"ran": other.values})
    assert (explorer.readout.value, explorer.picture.value) == (other.readout.value, other.picture.value)
    explorer.view.set_state({"values": other.values | {"n_levels": 4}, "ran": {}})
    explorer.view.set_state(
        {"values": other.values, "ran": other.values}
    )  # moved, moved back and run before Python looks
    assert explorer._still() == other._still()
    explorer.view.set_state({"values": other.values | {"eps": 1.0}, "ran": {}})
    assert "ran away" in explorer.run().readout.value and explorer.view.ran == explorer.values
    for values in (other.values, explorer.values):
        explorer.view.set_state({"values": values, "ran": {}})
    assert "Press Run" in explorer.readout.value, "moved and moved back, as in the page"


@pytest.mark.parametrize("first", ["picture", "readout"])
@pytest.mark.parametrize(
    ("kind", "moved"),
    [(AnnealingExplorer, {"n_levels": 3, "n_steps_each": 10}), (DiffusionExplorer, {"way": "forward", "n_steps": 50})],
)
def test_what_was_moved_and_ran_before_python_looked_is_there_at_the_first_look(kind, moved, first):
    explorer, other = kind(), kind(**moved)
    explorer.view.set_state({"values": other.values, "ran": {}})
    explorer.view.set_state({"ran": other.values})
    assert getattr(explorer, first).value == getattr(other, first).value
    assert (explorer.readout.value, explorer.picture.value) == (other.readout.value, other.picture.value)
    assert explorer.view.ran == other.values


def test_a_run_in_the_page_that_ended_for_other_values_counts_for_nothing():
    explorer = AnnealingExplorer(n_levels=2, n_steps_each=5)
    before = explorer.values
    explorer.set(n_levels=3)
    explorer.view.set_state({"ran": before})  # it was on its way
    assert "Press Run" in explorer.readout.value


@pytest.mark.parametrize("kind", [AnnealingExplorer, DiffusionExplorer])
def test_what_was_interrupted_is_made_up_for_at_the_next_look(kind, monkeypatch):
    """In the middle of a run, and in the middle of a drawing; each is done at the next look, and shown."""
    explorer, other, last = kind(), kind(**FEW_STEPS[kind]), kind(**{**FEW_STEPS[kind], **MORE[kind]})

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for values, what in ((other, "_look"), (last, "_png")):
        with monkeypatch.context() as patch:
            patch.setattr(explorer, what, interrupted)
            explorer.view.set_state({"values": values.values, "ran": values.values})
            with pytest.raises(KeyboardInterrupt):
                print(explorer.readout)
        assert (explorer.readout.value, explorer.picture.value) == (values.readout.value, values.picture.value)
    with monkeypatch.context() as patch:
        patch.setattr(explorer, "_png", interrupted)
        with pytest.raises(KeyboardInterrupt):
            explorer.set(**other.values)
    assert explorer.set(**other.values).run().picture.value == other.picture.value


# ---- controls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAGES)
def test_controls_settle_where_python_s_do(js, kind):
    explorer = kind()
    written = [js("written", c, c["start"]) for c in explorer.settings()["controls"] if "step" in c]
    assert written == WRITTEN[kind]
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


WRITTEN = {
    ScoreFieldExplorer: ["0.20", "6.00", "1.0", "0.0", "0.0"],
    LangevinExplorer: ["0.1", "100"],
    AnnealingExplorer: ["20", "0.1", "10", "100", "0.00316"],
    LadderExplorer: ["50.1", "0.01", "232", "5"],
    ScheduleExplorer: ["1000", "0.02"],
    DdimExplorer: ["20", "1.00", "0"],
    DiffusionExplorer: ["100"],
    SolverExplorer: ["20"],
    GridExplorer: ["0.20", "20"],
    GuidanceExplorer: ["0", "1.00", "1.00", "0"],
}


# ---- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_static_page_gets(kind):
    explorer = kind(**FEW_STEPS.get(kind, {}))
    explorer.set(**random_values(explorer, 3))
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
