"""Numbers about samples against SciPy, theory and repetition."""

import math

import numpy as np
import pytest
import torch
from helpers import F64, FALSE_ALARM, normal, seeded
from scipy import linalg, stats
from scipy.spatial.distance import cdist

from ncsn_edu import metrics
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.metrics import (
    INCEPTION,
    Features,
    classifier_score,
    energy_distance,
    energy_test,
    frechet,
    frechet_distance,
    gaussian_fit,
    judge,
    kernel_distance,
    mode_moments,
    mode_weights,
    nearest,
    precision_recall,
    quantiles,
)


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
    for equal in (x, 1000 * x, normal(7, 3), normal(100, 5)):  # rounding may leave less than nothing
        assert energy_test(equal, equal.clone(), n_permutations=50, generator=seeded(1))[1] == 1


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


# ---- images -----------------------------------------------------------------------------------------------------


def test_frechet_distance_of_known_gaussians():
    # N(m, diag(a^2)) and N(n, diag(b^2)): |m - n|^2 + |a - b|^2; turned together, the same.
    x = normal(200_000, 3, seed=0) * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([1.0, 0.0, 0.0])
    y = normal(200_000, 3, seed=1) * torch.tensor([2.0, 2.0, 1.0])
    turn = torch.linalg.qr(normal(3, 3, seed=2)).Q
    for q in (torch.eye(3, dtype=F64), turn.to(F64)):
        assert frechet_distance(x.to(F64) @ q, y.to(F64) @ q) == pytest.approx(1 + 1 + 0.25, rel=0.02)


def test_frechet_distance_against_scipy():
    x, y = normal(60, 8, seed=0).to(F64), (normal(70, 8, seed=1) @ normal(8, 8, seed=2) + 1).to(F64)
    s_x, s_y = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s_x + s_y - 2 * linalg.sqrtm(s_x @ s_y).real)
    assert frechet_distance(x, y) == pytest.approx(expected.item(), rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(expected.item(), rel=1e-6)
    assert frechet_distance(x.view(60, 2, 2, 2), y.view(70, 2, 2, 2)) == pytest.approx(expected.item(), rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_fewer_samples_than_dimensions():
    x, y = normal(20, 50, seed=0).to(F64), normal(30, 50, seed=1).to(F64)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + x.T.cov().trace() + y.T.cov().trace()
    s_x, s_y = x.T.cov().numpy(), y.T.cov().numpy()
    expected -= 2 * np.sqrt(np.clip(np.linalg.eigvals(s_x @ s_y).real, 0, None)).sum()
    assert frechet_distance(x, y) == pytest.approx(expected.item(), rel=1e-4)


def test_nearest_against_scipy():
    x, data = normal(1500, 1, 4, 3, seed=0), normal(200, 1, 4, 3, seed=1)
    distance, which = nearest(x, data)
    expected = cdist(x.flatten(1), data.flatten(1))
    assert np.allclose(distance, expected.min(1), rtol=1e-4) and (which.numpy() == expected.argmin(1)).mean() > 0.999
    with pytest.raises(ValueError, match="one shape"):
        nearest(x, data.flatten(1))


def test_judge_tells_copies_noise_and_a_lost_class():
    """Images of two kinds, dark and bright, with noise; the classifier looks at the mean."""
    generator = seeded(0)

    def images(n, share=0.5):
        bright = torch.rand(n, 1, 1, 1, generator=generator) < share
        return bright * 0.6 + 0.2 + 0.05 * torch.randn(n, 1, 4, 4, generator=generator)

    def classifier(x):
        bright = (x.mean((1, 2, 3)) - 0.5) * 40
        return torch.stack([-bright, bright], 1)

    train, held_out = images(400), images(400)
    real = judge(images(500), classifier, train=train, held_out=held_out)
    assert real.sure == 1 and real.memory == pytest.approx(1, abs=0.05)
    assert real.classes.tolist() == pytest.approx([0.5, 0.5], abs=0.1) and real.frechet < 0.2
    assert judge(train[:300], classifier, train=train, held_out=held_out).memory < 1e-4
    one = judge(images(500, share=0), classifier, train=train, held_out=held_out)
    assert one.classes.tolist() == [1, 0] and one.frechet > 1  # |0.3|^2 in each of 16 pixels
    middle = judge(0.5 + 0.001 * normal(50, 1, 4, 4, seed=3).float(), classifier, train=train, held_out=held_out)
    assert middle.sure == 0


def test_judge_cuts_off_what_no_display_shows():
    x = normal(40, 1, 2, 2, seed=0).float() * 3

    def classifier(x):
        assert x.min() >= 0 and x.max() <= 1
        return x.flatten(1)

    judge(x, classifier, train=torch.rand(30, 1, 2, 2), held_out=torch.rand(30, 1, 2, 2))


# ---- distances in the space of a feature net -----------------------------------------------------------------------


def some_features(n, dim=6, *, shift=0.0, width=1.0, seed=0, net="a net"):
    values = shift + width * normal((n, dim), seed=seed)
    return Features(net, values, (3 * values[:, :4]).softmax(1))


class Given(torch.nn.Module):
    """A feature net for torchmetrics: the "images" are features already."""

    num_features = 6

    def forward(self, x):
        return x


def test_frechet_distance_of_features_is_that_of_torchmetrics():
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = some_features(300, shift=0.3), some_features(400, width=1.5, seed=1)
    theirs = FrechetInceptionDistance(feature=Given(), normalize=True, input_img_size=(6,)).set_dtype(F64)
    theirs.update(x.values, real=False), theirs.update(y.values, real=True)
    assert frechet(x, y, n_bootstrap=2).value == pytest.approx(theirs.compute().item(), rel=1e-4)


@pytest.mark.filterwarnings("ignore:Metric")
def test_kernel_distance_is_that_of_torchmetrics():
    from torchmetrics.image.kid import KernelInceptionDistance

    x, y = some_features(300, shift=0.1), some_features(300, width=1.2, seed=1)
    theirs = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=300).set_dtype(F64)
    theirs.update(x.values, real=False), theirs.update(y.values, real=True)
    expected = theirs.compute()[0].item()
    for chunk in (1024, 7):
        assert kernel_distance(x, y, n_bootstrap=2, chunk=chunk).value == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore:Metric", "ignore:std")
def test_classifier_score_is_the_inception_score_of_torchmetrics():
    from torchmetrics.image.inception import InceptionScore

    logits = 2 * normal((500, 6), seed=3)
    theirs = InceptionScore(feature=Given(), splits=1)
    theirs.update(logits)
    x = Features("a net", logits, logits.softmax(1))
    assert classifier_score(x, n_bootstrap=2).value == pytest.approx(theirs.compute()[0].item(), rel=1e-4)
    sure = torch.eye(10, dtype=F64).repeat(20, 1)
    assert classifier_score(Features("a net", sure, sure)).value == pytest.approx(10)
    assert classifier_score(Features("a net", sure, sure[:1].expand(200, -1))).value == pytest.approx(1)


def test_precision_and_recall_say_what_is_wrong():
    """Real images in two clumps, and samples of one clump only (precise, half recalled), of none, and too wide ones."""
    clumps = normal((600, 3), seed=1) + 50 * (torch.arange(600) % 2)[:, None]
    real = Features("a net", clumps, clumps)

    def both(values):
        return [m.value for m in precision_recall(Features("a net", values, values), real, generator=seeded())]

    one = both(normal((600, 3), seed=2))
    assert one[0] > 0.9 and one[1] == pytest.approx(0.5, abs=0.05)
    nowhere = both(25 + normal((600, 3), seed=2))
    assert nowhere == [0, 0]
    wide = both(40 * normal((600, 3), seed=2))
    assert wide[0] < 0.1
    with pytest.raises(ValueError, match="more than 3 images"):
        precision_recall(some_features(3), some_features(50))


def test_precision_by_all_pairs():
    x, y = some_features(40, dim=2, shift=2.0), some_features(50, dim=2, seed=1)
    between, fellows = cdist(x.values, y.values), np.sort(cdist(y.values, y.values), axis=1)
    expected = (between <= fellows[:, 2]).any(1).mean()  # k = 2: column 0 is the point itself
    assert 0.2 < expected < 0.95
    assert precision_recall(x, y, k=2, n_bootstrap=2)[0].value == pytest.approx(expected)


@pytest.mark.parametrize("metric", [frechet, kernel_distance])
def test_intervals_hold_about_as_often_as_they_say(metric):
    """The truth is what the metric finds on average at this n: 60 experiments with 60 bootstraps each."""
    found = [
        metric(
            some_features(120, dim=3, shift=0.7, seed=100 + i), some_features(120, dim=3, seed=500 + i), n_bootstrap=60
        )
        for i in range(60)
    ]
    truth = sum(m.value for m in found) / len(found)
    held = sum(m.low <= truth <= m.high for m in found)
    assert 50 <= held <= 60
    assert all(m.low < m.value < m.high for m in found)


def test_the_kernel_distance_is_unbiased_and_the_frechet_distance_is_not():
    pairs = [(some_features(60, seed=2 * i), some_features(60, seed=2 * i + 1)) for i in range(80)]
    kernel = torch.tensor([kernel_distance(x, y, n_bootstrap=1).value for x, y in pairs])
    assert abs(kernel.mean()) < 4.5 * kernel.std() / 80**0.5
    assert min(frechet(x, y, n_bootstrap=1).value for x, y in pairs) > 0.1


def test_a_number_carries_its_net_and_its_counts_and_is_fid_for_inception_only():
    x, y = some_features(100), some_features(200, seed=1)
    number = frechet(x, y, n_bootstrap=5)
    assert number.name == "Frechet distance" and (number.net, number.n, number.n_reference) == ("a net", 100, 200)
    assert str(number).startswith("Frechet distance 0.") and "(features of a net, 100 images against 200)" in str(
        number
    )
    theirs = [features._replace(net=INCEPTION) for features in (x, y)]
    assert frechet(*theirs, n_bootstrap=5).name == "FID"
    assert kernel_distance(*theirs, n_bootstrap=5).name == "KID"
    assert classifier_score(theirs[0], n_bootstrap=5).name == "inception score"
    assert "100 images)" in str(classifier_score(x, n_bootstrap=5))


def test_a_gaussian_fit_has_the_moments_and_with_a_rank_the_largest_part_of_them():
    roots = torch.diag(torch.tensor([3.0, 1.0, 0.1, 0.01], dtype=F64)) @ torch.linalg.qr(normal((4, 4), seed=1))[0]
    data = (normal((5000, 4), seed=2) @ roots + 2).view(5000, 2, 2)
    x = gaussian_fit(data, 20_000, generator=seeded())
    assert x.shape == (20_000, 2, 2)
    torch.testing.assert_close(x.mean(0), data.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(x.flatten(1).T.cov(), data.flatten(1).T.cov(), atol=0.25, rtol=0.03)
    small = gaussian_fit(data, 1000, rank=2, generator=seeded()).flatten(1)
    values = torch.linalg.eigvalsh(small.T.cov())
    assert values[:2].abs().max() < 1e-9 and values[2:].tolist() == pytest.approx([1, 9], rel=0.2)


@pytest.mark.parametrize(
    "metric", [frechet, kernel_distance, precision_recall, lambda x, y, **k: classifier_score(x, **k)]
)
def test_an_interval_needs_a_bootstrap(metric):
    with pytest.raises(ValueError, match="n_bootstrap must be a whole number of at least 1, not 0"):
        metric(some_features(50), some_features(50), n_bootstrap=0)


def test_features_that_cannot_be_compared():
    with pytest.raises(ValueError, match="two nets, a net and another"):
        frechet(some_features(50), some_features(50, net="another"))
    with pytest.raises(ValueError, match="6 images are too few for a covariance of 6 features: give at least 7"):
        frechet(some_features(50), some_features(6))


def test_images_and_generators_may_be_on_any_device(device):
    """What is drawn follows the generator, what comes back the images; numbers are those of the CPU."""
    x, y = torch.rand(60, 1, 4, 4), torch.rand(80, 1, 4, 4)
    far, near = x.to(device), y.to(device)
    distances, which = metrics.nearest(far, near)
    assert distances.device.type == which.device.type == device.type
    torch.testing.assert_close(
        distances.cpu(), torch.cdist(x.flatten(1).double(), y.flatten(1).double()).amin(1).float()
    )
    fit = metrics.gaussian_fit(far, 5, generator=seeded(0, device))
    assert fit.shape == (5, 1, 4, 4) and fit.device.type == device.type
    assert metrics.frechet_distance(far, near) == pytest.approx(metrics.frechet_distance(x, y))
    assert 0 < metrics.energy_test(far, near, n_permutations=9, generator=seeded(0, device))[1] <= 1
    features = [metrics.Features("net", part.flatten(1), part.flatten(1).softmax(1)) for part in (x, y)]
    for measure in (metrics.frechet, metrics.kernel_distance, metrics.precision_recall):
        assert measure(*features, n_bootstrap=3, generator=seeded(0, device))


def test_quantiles_are_inverse_to_the_distribution_function():
    mixture = GaussianMixture([[-1.5], [1.0], [30.0]], torch.tensor([0.06, 0.5, 1e-4]), [0.3, 0.6, 0.1])
    shares = torch.tensor([1e-6, 0.1, 0.3, 0.5, 0.95, 1 - 1e-6])
    for sigma in (0.0, 2.0, 100.0):
        x = quantiles(mixture, shares, sigma)
        assert x.shape == (6, 1) and x.dtype == torch.float64
        parts = stats.norm([-1.5, 1.0, 30.0], np.sqrt(np.array([0.06, 0.5, 1e-4]) + sigma**2))
        assert parts.cdf(x.numpy()) @ [0.3, 0.6, 0.1] == pytest.approx(shares.tolist(), abs=1e-7)
    for bad, message in ((torch.tensor([0.0, 0.5]), "between 0 and 1"), (torch.ones(2, 2) / 2, "one row of numbers")):
        with pytest.raises(ValueError, match=message):
            quantiles(mixture, bad)
    with pytest.raises(ValueError, match="on a line|for a line"):
        quantiles(GaussianMixture([[0.0, 0.0]]), shares)
