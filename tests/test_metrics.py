"""Numbers about samples against SciPy, theory and repetition."""

import math

import numpy as np
import pytest
import torch
from helpers import F64, FALSE_ALARM, normal, seeded
from scipy import stats
from scipy.spatial.distance import cdist

from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.metrics import energy_distance, energy_test, mode_moments, mode_weights


def two_modes():
    return GaussianMixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]], dtype=F64), 1.0, [0.2, 0.8])


# ---- modes ------------------------------------------------------------------------------------------------------


def test_mode_weights_counts_and_wilson_s_interval():
    x = torch.cat([torch.full((30, 2), -5.0), torch.full((70, 2), 4.0)])
    weight, low, high = mode_weights(x, two_modes())
    assert weight.tolist() == pytest.approx([0.3, 0.7])
    # Wilson's interval solves (p_hat - p)^2 = z^2 p (1 - p) / n for p.
    z = stats.norm.isf(0.025)
    for k, share in enumerate([0.3, 0.7]):
        for edge in (low[k].item(), high[k].item()):
            assert (share - edge) ** 2 == pytest.approx(z**2 * edge * (1 - edge) / 100)
        assert low[k] < share < high[k]
    narrow = mode_weights(x, two_modes(), confidence=0.5)
    assert (narrow.low > low).all() and (narrow.high < high).all()


def test_mode_weights_of_an_empty_mode():
    weight, low, high = mode_weights(torch.full((20, 2), 5.0), two_modes())
    assert weight.tolist() == [0, 1]
    assert low[0] == pytest.approx(0, abs=1e-12) and 0.05 < high[0] < 0.3
    assert high[1] == pytest.approx(1) and 0.7 < low[1] < 0.95


def test_a_sample_belongs_to_the_component_most_likely_to_have_made_it():
    """Not to the nearest mean: a wide component reaches further, a heavy one too."""
    wide = GaussianMixture([[0.0], [10.0]], torch.tensor([16.0, 0.25]))
    assert mode_weights(torch.tensor([[7.0]]), wide).weight.tolist() == [1, 0]
    heavy = GaussianMixture([[0.0], [4.0]], 1.0, [0.999, 0.001])
    assert mode_weights(torch.tensor([[2.5]]), heavy).weight.tolist() == [1, 0]


def test_the_interval_holds_as_often_as_it_says():
    repeats, mixture = 400, two_modes()
    x = mixture.sample(repeats * 100, generator=seeded(1)).reshape(repeats, 100, 2)
    intervals = [mode_weights(part, mixture) for part in x]
    for k, true in enumerate([0.2, 0.8]):
        held = sum(bool(i.low[k] <= true <= i.high[k]) for i in intervals)
        assert stats.binomtest(held, repeats, 0.95).pvalue > 1e-4
        assert held / repeats > 0.92


def test_mode_moments_against_numpy():
    mixture = GaussianMixture(
        torch.tensor([[-20.0, 0.0], [20.0, 5.0], [0.0, 100.0]]),
        torch.tensor([[[1.0, 0.5], [0.5, 2.0]], [[3.0, -1.0], [-1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]),
        [0.3, 0.7, 0.0],
    )
    x = mixture.sample(3000, generator=seeded(2))
    means, covariances = mode_moments(x, mixture)
    for k, side in enumerate([x[:, 0] < 0, x[:, 0] > 0]):
        inside = x[side].double().numpy()
        assert np.allclose(means[k], inside.mean(0))
        assert np.allclose(covariances[k], np.cov(inside.T))
        assert np.allclose(covariances[k], mixture.covariances[k], atol=0.25)
    assert means[2].isnan().all() and covariances[2].isnan().all()
    assert means.shape == (3, 2) and covariances.shape == (3, 2, 2)


def test_mode_moments_on_a_line_and_of_a_single_sample():
    line = GaussianMixture([[-3.0], [3.0]])
    means, covariances = mode_moments(torch.tensor([[-3.0], [-2.0], [3.0]]), line)
    assert means[0].item() == -2.5 and covariances[0].item() == pytest.approx(0.5)
    assert means[1].isnan().all() and covariances[1].isnan().all()


@pytest.mark.parametrize("metric", [mode_weights, mode_moments])
@pytest.mark.parametrize(
    ("x", "error", "repair"),
    [
        (torch.tensor([[0.0, math.nan]]), ValueError, "these chains ran away"),
        (torch.tensor([[0.0, math.inf]]), ValueError, "these chains ran away"),
        (torch.zeros(3, 3), ValueError, r"must have shape \(B, 2\)"),
        (torch.zeros(3, 2, dtype=torch.int32), TypeError, r"use x\.float\(\)"),
        ([[0.0, 0.0]], TypeError, r"use torch\.as_tensor\(x\)"),
    ],
)
def test_modes_of_bad_samples(metric, x, error, repair):
    with pytest.raises(error, match=repair):
        metric(x, two_modes())


# ---- energy distance --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(50, 70), (2, 2), (300, 5)])
@pytest.mark.parametrize("chunk", [1, 16, 2048])
def test_energy_distance_on_a_line_against_scipy(n, m, chunk):
    x, y = normal(n, 1, seed=1), 2 * normal(m, 1, seed=2) + 0.5
    scipys = stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2  # SciPy takes the root
    assert energy_distance(x, y, unbiased=False, chunk=chunk) == pytest.approx(scipys)


def test_energy_distance_of_images_against_all_pairs():
    x, y = normal(6, 2, 3, 3), normal(5, 2, 3, 3, seed=1) + 0.3
    a, b = x.flatten(1).numpy(), y.flatten(1).numpy()
    within = [cdist(s, s)[~np.eye(len(s), dtype=bool)].mean() for s in (a, b)]  # pairs of two different ones
    assert energy_distance(x, y) == pytest.approx(2 * cdist(a, b).mean() - sum(within))
    assert energy_distance(x, y) == pytest.approx(energy_distance(y, x))
    assert energy_distance(x.float(), y) == pytest.approx(energy_distance(x, y), rel=1e-5)


def test_the_unbiased_estimate_is_zero_on_average_and_the_other_is_not():
    repeats, n, m = 400, 20, 30
    x, y = normal(repeats, n, 1, seed=3), normal(repeats, m, 1, seed=4)
    unbiased = np.array([energy_distance(a, b) for a, b in zip(x, y, strict=True)])
    biased = np.array([energy_distance(a, b, unbiased=False) for a, b in zip(x, y, strict=True)])
    error = unbiased.std() / math.sqrt(repeats)
    assert abs(unbiased.mean()) < 4 * error
    assert unbiased.min() < 0 < biased.min()
    excess = (1 / n + 1 / m) * 2 / math.sqrt(math.pi)  # E|X - X'| = 2 / sqrt(pi)
    assert abs(biased.mean() - excess) < 4 * biased.std() / math.sqrt(repeats)
    assert excess > 8 * error


def test_the_energy_distance_of_two_normals_is_that_of_theory():
    """E|N(d, s^2)| is known: folded normal."""
    x, y = normal(3000, 1, seed=5), 0.5 * normal(3000, 1, seed=6) + 1.0
    cross = stats.foldnorm.mean(1 / math.sqrt(1.25), scale=math.sqrt(1.25))
    theory = 2 * cross - 2 / math.sqrt(math.pi) - 0.5 * 2 / math.sqrt(math.pi)
    assert energy_distance(x, y) == pytest.approx(theory, rel=0.05)


def test_p_values_are_uniform_when_there_is_no_difference():
    repeats, g = 300, seeded(7)
    x, y = normal(repeats, 15, 2, seed=8), normal(repeats, 25, 2, seed=9)
    p = np.array([energy_test(a, b, n_permutations=19, generator=g)[1] for a, b in zip(x, y, strict=True)])
    counts = np.bincount(np.round(20 * p).astype(int), minlength=21)
    assert counts[0] == 0 and counts.sum() == repeats  # 1/20, 2/20, ..., 1
    assert stats.chisquare(counts[1:]).pvalue > FALSE_ALARM
    assert stats.binomtest(int((p <= 0.1).sum()), repeats, 0.1).pvalue > 1e-4


def test_p_values_are_tiny_when_there_is_one():
    x = normal(100, 2)
    for y in (normal(100, 2, seed=1) + 1.0, 3 * normal(100, 2, seed=1)):  # a shift; a width
        distance, p = energy_test(x, y, n_permutations=199, generator=seeded(1))
        assert p == pytest.approx(1 / 200)
        assert distance == pytest.approx(energy_distance(x, y))
    assert energy_test(x, x.clone(), n_permutations=50, generator=seeded(1))[1] == 1


def test_the_test_s_generator_decides():
    x, y = normal(20, 2), normal(20, 2, seed=1)
    torch.manual_seed(0)
    first = energy_test(x, y, n_permutations=30, generator=seeded(3))
    torch.manual_seed(1)
    assert first == energy_test(x, y, n_permutations=30, generator=seeded(3))


@pytest.mark.parametrize("metric", [energy_distance, energy_test])
@pytest.mark.parametrize(
    ("x", "y", "error", "repair"),
    [
        (
            torch.zeros(3, 2),
            torch.zeros(3, 3),
            ValueError,
            r"samples of one shape are needed, not \(3, 2\) and \(3, 3\)",
        ),
        (torch.zeros(1, 2), torch.zeros(3, 2), ValueError, "at least two samples"),
        (torch.zeros(3, 2), torch.zeros(3), ValueError, r"use x\[None\]"),
        (torch.zeros(3, 2), torch.zeros(3, 2).long(), TypeError, r"use x\.float\(\)"),
        ([[0.0]], torch.zeros(3, 2), TypeError, r"use torch\.as_tensor\(x\)"),
    ],
)
def test_distances_of_bad_samples(metric, x, y, error, repair):
    with pytest.raises(error, match=repair):
        metric(x, y)


def test_bad_numbers_of_permutations_and_chunks():
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="n_permutations must be a whole number of at least 1"):
        energy_test(x, x, n_permutations=0)
    with pytest.raises(ValueError, match="chunk must be a whole number of at least 1"):
        energy_distance(x, x, chunk=0)
