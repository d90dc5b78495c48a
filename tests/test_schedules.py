"""Ladders, step sizes and stability against the papers' numbers, simulations and other libraries."""

import math

import numpy as np
import pytest
import torch
from helpers import F64, FALSE_ALARM_Z, normal, seeded
from scipy import stats
from scipy.spatial.distance import pdist

from ncsn_edu.core import every
from ncsn_edu.mcmc import annealed_langevin
from ncsn_edu.schedules import (
    eps_for_steps,
    eps_from_snr,
    eps_from_step_lr,
    geometric,
    karras,
    levels_for_overlap,
    max_pairwise_distance,
    ratio_overlap,
    settled_variance_ratio,
    snr_from_eps,
    stable_alpha,
    stable_eps,
    stationary_variance,
    step_lr_from_eps,
    step_sizes,
    variance_ratio,
)

NAN, INF = math.nan, math.inf
NCSN = geometric(1.0, 0.01, 10)
NCSNV2 = geometric(50.0, 0.01, 232)


# ---- ladders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("high", "low", "n"), [(1.0, 0.01, 10), (50, 0.01, 232), (20.0, 0.1, 2), (1e3, 1e-6, 1000)])
def test_a_geometric_ladder_has_equal_ratios_and_exact_ends(high, low, n):
    ladder = geometric(high, low, n, dtype=F64)
    assert ladder.shape == (n,) and ladder[0].item() == high and ladder[-1].item() == low
    ratios = ladder[1:] / ladder[:-1]
    assert torch.allclose(ratios, ratios[0], rtol=1e-9)
    assert np.allclose(ladder, np.geomspace(high, low, n), rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_of_a_ladder(dtype):
    ladder = geometric(1, 0.01, 10, dtype=dtype)
    assert ladder.dtype == dtype
    assert ladder[-1] == torch.tensor(0.01, dtype=dtype)
    assert geometric(1, 0.01, 10).dtype == torch.get_default_dtype()


def test_one_level():
    assert geometric(0.5, 0.5, 1).tolist() == [0.5]


@pytest.mark.parametrize(
    ("arguments", "repair"),
    [
        ((0.01, 1.0, 10), "needs sigma_max > sigma_min and n >= 2"),
        ((1.0, 1.0, 10), "or one level with both equal"),
        ((1.0, 0.1, 1), "a ladder of 1 levels cannot go from 1.0 down to 0.1"),
        ((0.0, 0.0, 1), "sigma_max must be a finite number above 0"),
        ((1.0, -0.1, 3), "sigma_min must be a finite number above 0"),
        ((INF, 1.0, 3), "sigma_max must be a finite number above 0"),
        ((1.0, 0.1, 2.5), "n must be a whole number"),
        ((1.0, 0.1, 0), "n must be a whole number of at least 1"),
    ],
)
def test_ladders_that_cannot_be(arguments, repair):
    with pytest.raises(ValueError, match=repair):
        geometric(*arguments)


# ---- step sizes: one quantity, four names -------------------------------------------------------------------------


def test_step_sizes_of_the_published_settings_in_every_convention():
    """NCSN: eps 4e-5 = step_lr 2e-5 = snr 0.316 (to three digits); NCSNv2: step_lr 6.2e-6 = eps 1.24e-5."""
    assert step_lr_from_eps(4e-5) == pytest.approx(2e-5)
    assert eps_from_step_lr(2e-5) == pytest.approx(4e-5)
    assert snr_from_eps(4e-5, 0.01) == pytest.approx(0.316, abs=5e-4)
    assert eps_from_snr(0.316, 0.01) == pytest.approx(4e-5, rel=2e-3)
    assert eps_from_step_lr(6.2e-6) == pytest.approx(1.24e-5)
    assert step_lr_from_eps(1.24e-5) == pytest.approx(6.2e-6)


@pytest.mark.parametrize("value", [1e-8, 2e-5, 0.3, 7.0])
def test_converters_there_and_back(value):
    assert eps_from_step_lr(step_lr_from_eps(value)) == pytest.approx(value)
    assert eps_from_snr(snr_from_eps(value, 0.02), 0.02) == pytest.approx(value)


def test_snr_is_that_of_a_step():
    """Algorithm 4 of the SDE paper moves by step s + sqrt(2 step) z with step = 2 (snr ||z|| / ||s||)^2."""
    snr, sigma = 0.2, 0.05
    s, z = normal(100_000) / sigma, normal(100_000, seed=1)
    step = 2 * (snr * z.norm() / s.norm()).item() ** 2
    assert eps_from_snr(snr, sigma) == pytest.approx(2 * step, rel=0.02)  # alpha/2 = step


@pytest.mark.parametrize("bad", [0, -1e-5, NAN, INF, "1"])
def test_step_sizes_must_be_positive(bad):
    for convert, name in [(eps_from_step_lr, "step_lr"), (step_lr_from_eps, "eps")]:
        with pytest.raises(ValueError, match=f"{name} must be a finite number above 0"):
            convert(bad)
    for convert, name in [(eps_from_snr, "snr"), (snr_from_eps, "eps")]:
        with pytest.raises(ValueError, match=f"{name} must be a finite number above 0"):
            convert(bad, 0.01)
        with pytest.raises(ValueError, match="sigma_min must be a finite number above 0"):
            convert(0.1, bad)
    with pytest.raises(ValueError, match="eps must be a finite number above 0"):
        step_sizes(NCSN, bad)
    with pytest.raises(ValueError, match="alpha must be a finite number above 0"):
        stationary_variance(bad, 1.0)


def test_step_sizes_are_those_annealed_langevin_takes():
    """With no score the increments are sqrt(alpha_i) z; with a constant one the drift is alpha_i / 2 times it."""
    sigmas, eps, n, each = torch.tensor([3.0, 1.0, 0.2], dtype=F64), 0.05, 20_000, 4
    alphas = step_sizes(sigmas, eps).repeat_interleave(each)
    x = previous = torch.zeros(n, 1, dtype=F64)

    def run(constant):
        score = lambda x, sigma: torch.full_like(x, constant)  # noqa: E731
        return annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=each, generator=seeded(0))

    drifted = torch.zeros(())
    for alpha, plain, pulled in zip(alphas, run(0.0), run(5.0), strict=True):
        spread = (plain.x - previous).var().item() / alpha.item()
        assert abs(spread - 1) < FALSE_ALARM_Z * math.sqrt(2 / n)
        drifted = drifted + 5 * alpha / 2
        assert torch.allclose(pulled.x - plain.x, drifted.expand(n, 1))
        previous = plain.x
    assert step_sizes(NCSN, 4e-5).tolist()[0] == pytest.approx(0.4)  # eps sigma_1^2 / sigma_L^2 = 4e-5 * 10^4
    assert step_sizes(NCSN, 4e-5).tolist()[-1] == pytest.approx(4e-5)


# ---- stability -----------------------------------------------------------------------------------------------------


def iterate_variance(v, alpha, data_var, n):
    """Var of x - alpha/2 x / data_var + sqrt(alpha) z, n times."""
    for _ in range(n):
        v = (1 - alpha / 2 / data_var) ** 2 * v + alpha
    return v


@pytest.mark.parametrize("data_var", [0.01, 1.0, 25.0])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_stationary_variance_is_where_the_recursion_settles(data_var, share):
    alpha = share * stable_alpha(data_var)
    for start in (0.0, 10 * data_var):
        settled = iterate_variance(start, alpha, data_var, 3000)
        assert stationary_variance(alpha, data_var) == pytest.approx(settled, rel=1e-9)


def test_stationary_variance_of_unstable_steps_and_of_many_variances():
    assert stationary_variance(4.0, 1.0) == INF
    assert stationary_variance(5.0, 1.0) == INF
    assert iterate_variance(1.0, 5.0, 1.0, 500) > 1e100
    many = stationary_variance(0.5, torch.tensor([0.1, 1.0, 4.0]))
    settled = [iterate_variance(1.0, 0.5, v, 5000) for v in (1.0, 4.0)]
    assert many[0] == INF and np.allclose(many[1:], settled, rtol=1e-6)


def test_stable_alpha_is_the_edge_of_the_recursion():
    for data_var, sigma in [(0.5, 0.0), (0.5, 2.0), (0.0, 0.1), (torch.tensor([3.0, 0.5]), 2.0)]:
        edge = stable_alpha(data_var, sigma)
        smallest = float(torch.as_tensor(data_var).min()) + sigma**2
        assert iterate_variance(1.0, 0.99 * edge, smallest, 2000) < 200 * smallest
        assert iterate_variance(1.0, 1.01 * edge, smallest, 2000) > 1e10


@pytest.mark.parametrize("data_var", [0.0, 0.3, 1.0, 50.0])
def test_stable_eps_is_the_edge_for_the_whole_ladder(data_var):
    sigmas = geometric(10, 0.1, 6, dtype=F64)
    edge = stable_eps(sigmas, data_var)

    def worst(eps):
        alphas = step_sizes(sigmas, eps).numpy()
        return max(abs(1 - a / 2 / (data_var + s**2)) for a, s in zip(alphas, sigmas.numpy(), strict=True))

    assert worst(0.999 * edge) < 1 < worst(1.001 * edge)


def test_stable_eps_names_of_the_lecture():
    """The ladder 10 -> 0.1 with unit variance allows eps up to 0.0404; at eps 0.1 its first step is 1000, over 404."""
    ladder = geometric(10, 0.1, 10)
    assert stable_eps(ladder, 1.0) == pytest.approx(0.0404)
    assert step_sizes(ladder, 0.1)[0].item() == pytest.approx(1000)
    assert stable_alpha(1.0, 10.0) == pytest.approx(404)
    assert stable_eps(ladder, torch.tensor([5.0, 1.0, 2.0])) == stable_eps(ladder, 1.0)


@pytest.mark.parametrize("bad", [-1.0, NAN, INF])
def test_a_variance_of_data_must_be_one(bad):
    for call in (lambda: stable_alpha(bad), lambda: stable_eps(NCSN, bad)):
        with pytest.raises(ValueError, match="data_var is a variance: it must be finite and 0 or more"):
            call()


# ---- technique 1 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_max_pairwise_distance(chunk):
    data = normal(60, 3, 4, 4)
    assert max_pairwise_distance(data, chunk=chunk) == pytest.approx(pdist(data.flatten(1).numpy()).max())
    assert max_pairwise_distance(data[:2]) == pytest.approx((data[0] - data[1]).norm().item())


def test_a_distance_needs_two_points_of_real_numbers():
    with pytest.raises(ValueError, match=r"needs two points, but data has shape \(1, 2\)"):
        max_pairwise_distance(torch.zeros(1, 2))
    with pytest.raises(TypeError, match=r"uint8.*use x\.float\(\)"):
        max_pairwise_distance(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))


# ---- technique 2 ---------------------------------------------------------------------------------------------------


def test_ratio_overlap_of_the_published_ladders():
    gamma = (NCSNV2[0] / NCSNV2[1]).item()
    assert ratio_overlap(gamma, 3072) == pytest.approx(0.567, abs=5e-4)
    assert ratio_overlap((NCSN[0] / NCSN[1]).item(), 3072) < 1e-12
    assert levels_for_overlap(50, 0.01, 3072) == 219


@pytest.mark.parametrize(("gamma", "dim"), [(1.0, 10), (1.05, 800), (1.02, 3072), (1.2, 50)])
def test_ratio_overlap_is_how_much_of_a_level_lies_in_the_shell_of_the_one_above(gamma, dim):
    """||x|| at level sigma is nearly N(sqrt(D) sigma, sigma^2 / 2); the shell is three standard deviations wide."""
    center, reach = math.sqrt(dim) * gamma, 3 * gamma / math.sqrt(2)
    radius = math.sqrt(dim) + normal(200_000, seed=1) / math.sqrt(2)  # the level below has sigma 1
    share = ((radius - center).abs() < reach).double().mean().item()
    overlap = ratio_overlap(gamma, dim)
    assert abs(share - overlap) < FALSE_ALARM_Z * math.sqrt(overlap * (1 - overlap) / 200_000)
    if dim > 500:  # the true law of the norm
        true = np.diff(stats.chi(dim).cdf([center - reach, center + reach]))
        assert overlap == pytest.approx(true.item(), abs=0.01)


@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(("high", "low", "dim"), [(50, 0.01, 3072), (20.0, 0.1, 20), (8, 0.01, 64)])
def test_no_other_number_of_levels_comes_nearer_to_the_overlap(overlap, high, low, dim):
    def miss(n):
        return abs(ratio_overlap((high / low) ** (1 / (n - 1)), dim) - overlap)

    assert levels_for_overlap(high, low, dim, overlap) == min(range(2, 400), key=miss)


@pytest.mark.parametrize(("high", "low", "dim"), [(50, 0.01, 2), (20, 0.1, 4), (1.001, 1.0, 3072)])
def test_two_levels_are_enough_where_any_two_overlap(high, low, dim):
    """In fewer than five dimensions sqrt(2D) < 3: the shell of the level above holds its centre, at any ratio."""
    assert ratio_overlap(high / low, dim) > 0.5
    assert levels_for_overlap(high, low, dim) == 2


@pytest.mark.parametrize(
    ("arguments", "repair"),
    [
        ((1.0, 1.0, 10), "sigma_max must exceed sigma_min"),
        ((1.0, 2.0, 10), "sigma_max must exceed sigma_min"),
        ((2.0, 1.0, 10, 0.0), r"overlap must lie between 0 and 0.9973"),
        ((2.0, 1.0, 10, 0.999), r"overlap must lie between 0 and 0.9973"),
        ((2.0, 1.0, 0), "dim must be a whole number of at least 1"),
        ((-2.0, 1.0, 3), "sigma_max must be a finite number above 0"),
    ],
)
def test_overlaps_that_cannot_be(arguments, repair):
    with pytest.raises(ValueError, match=repair):
        levels_for_overlap(*arguments)


# ---- technique 4 ---------------------------------------------------------------------------------------------------


def test_variance_ratio_of_the_published_settings():
    assert variance_ratio(NCSNV2, 1.24e-5, 5) == pytest.approx(1.055, abs=5e-4)
    assert variance_ratio(NCSN, 4e-5, 100) == pytest.approx(1.111, abs=5e-4)


@pytest.mark.parametrize(("eps", "each"), [(1e-6, 1), (1e-5, 5), (1e-4, 30), (3e-4, 2), (3.9e-4, 4)])
def test_variance_ratio_is_that_of_the_recursion_at_every_level(eps, each):
    """Data at one point: s = -x / sigma_i^2 at level i, entered with the variance of the level before."""
    sigmas = geometric(1, 0.01, 5, dtype=F64)
    alphas = step_sizes(sigmas, eps)
    for i in range(1, 5):
        v = iterate_variance(sigmas[i - 1].item() ** 2, alphas[i].item(), sigmas[i].item() ** 2, each)
        assert variance_ratio(sigmas, eps, each) == pytest.approx(v / sigmas[i].item() ** 2, rel=1e-9)


def test_variance_ratio_is_that_of_chains():
    sigmas, eps, each, n = geometric(1, 0.2, 2, dtype=F64), 0.02, 4, 50_000
    start = sigmas[0] * normal(n, 1)
    point_mass = lambda x, sigma: -x / sigma**2  # noqa: E731
    states = every(annealed_langevin(point_mass, start, sigmas, eps=eps, n_steps_each=each, generator=seeded(1)), each)
    first = next(states).x.var().item()
    second = next(states).x.var().item() / sigmas[1].item() ** 2
    entered = first / sigmas[0].item() ** 2  # the chains leave level 0 a little wider than the formula's start
    a = 1 - eps / 2 / sigmas[-1].item() ** 2
    corrected = (
        variance_ratio(sigmas, eps, each) + a ** (2 * each) * (entered - 1) * (sigmas[0] / sigmas[1]).item() ** 2
    )
    assert abs(second / corrected - 1) < FALSE_ALARM_Z * math.sqrt(2 / n)


@pytest.mark.parametrize(("eps", "each"), [(1.24e-5, 5), (6.2e-6, 5), (4e-5, 3), (1.5e-4, 1)])
def test_settled_variance_ratio_is_where_the_whole_ladder_ends(eps, each):
    """Data at one point again, but each level is entered with what the one above has really left."""
    ladder = geometric(50.0, 0.01, 232, dtype=F64)
    v = ladder[0].item() ** 2
    for sigma, alpha in zip(ladder.tolist(), step_sizes(ladder, eps).tolist(), strict=True):
        v = iterate_variance(v, alpha, sigma**2, each)
    assert settled_variance_ratio(ladder, eps, each) == pytest.approx(v / ladder[-1].item() ** 2, rel=1e-5)
    assert settled_variance_ratio(ladder, eps, each) > variance_ratio(ladder, eps, each)


def test_a_chain_that_never_catches_up_settles_nowhere():
    slow = 0.9 * math.log(NCSNV2[0] / NCSNV2[1]) * 1e-4 * 2  # kept gamma^2 > 1 at one step each
    assert settled_variance_ratio(NCSNV2, slow, 1) == INF and variance_ratio(NCSNV2, slow, 1) < 1.1
    assert settled_variance_ratio(NCSNV2, 2 * slow, 1) < INF
    assert settled_variance_ratio(NCSN, 4e-4, 1000) == INF  # steps that diverge


def test_variance_ratio_of_steps_that_diverge():
    for eps in (4e-4, 5e-4, 1.0):
        assert variance_ratio(NCSN, eps, 1000) == INF


def test_eps_for_steps_is_near_the_published_one_and_a_true_minimum():
    best = eps_for_steps(NCSNV2, 5)
    assert best == pytest.approx(1.24e-5, rel=0.03)
    for each, ladder in [(5, NCSNV2), (1, NCSNV2), (100, NCSN), (20, geometric(20, 0.1, 10))]:
        best = eps_for_steps(ladder, each)
        lowest = variance_ratio(ladder, best, each)
        largest = 4 * ladder[-1].item() ** 2
        others = [variance_ratio(ladder, eps, each) for eps in np.geomspace(1e-6 * largest, 0.999 * largest, 500)]
        assert 1 < lowest <= min(others) + 1e-9
        assert lowest < variance_ratio(ladder, best * 1.05, each)
        assert lowest < variance_ratio(ladder, best / 1.05, each)


@pytest.mark.parametrize(
    "function", [lambda ladder: variance_ratio(ladder, 1e-5, 5), lambda ladder: eps_for_steps(ladder, 5)]
)
@pytest.mark.parametrize(
    ("ladder", "repair"),
    [
        ([1.0], "at least two levels"),
        ([1.0, 0.5, 0.4], "equal ratios: make it with geometric"),
        ([0.1, 1.0], r"strictly decreasing.*sigmas\.flip\(0\)"),
        ([1.0, 0.0], "finite and above 0"),
    ],
)
def test_technique_four_needs_a_geometric_ladder(function, ladder, repair):
    with pytest.raises(ValueError, match=repair):
        function(torch.tensor(ladder))


@pytest.mark.parametrize("each", [0, -5, 2.5, NAN, INF])
def test_technique_four_needs_whole_steps(each):
    with pytest.raises(ValueError, match="n_steps_each must be a whole number of at least 1"):
        variance_ratio(NCSN, 1e-5, each)
    with pytest.raises(ValueError, match="n_steps_each must be a whole number of at least 1"):
        eps_for_steps(NCSN, each)


def test_the_ladder_of_karras_has_equal_steps_of_the_seventh_root():
    ladder = karras(80, 0.002, 18).double()
    assert (ladder[0].item(), ladder[-1].item()) == (80, pytest.approx(0.002))
    steps = (ladder ** (1 / 7)).diff()
    torch.testing.assert_close(steps, steps[:1].expand(17), rtol=1e-4, atol=0)
    assert karras(1, 0.1, 4, rho=1).tolist() == pytest.approx([1, 0.7, 0.4, 0.1])
    assert karras(0.5, 0.5, 1).tolist() == [0.5]
    with pytest.raises(ValueError, match="cannot go from 1"):
        karras(1, 2, 5)
