"""Closed forms against torch.distributions, finite differences, quadrature, and the laws of chance."""

import math

import numpy as np
import pytest
import torch
from helpers import (
    F64,
    FALSE_ALARM,
    KINDS,
    assert_mean,
    assert_variance,
    autograd_score,
    finite_differences,
    mixture_parameters,
    normal,
    relative_error,
    seeded,
    torch_mixture,
)
from scipy import integrate, stats

from ncsn_edu.distributions import Empirical, GaussianMixture, UniformBoxes, checkerboard, circle, moons, spiral

NAN, INF = math.nan, math.inf


def two_modes(dtype=F64):
    return GaussianMixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]], dtype=dtype), 1.0, [0.2, 0.8])


# ---- Gaussian mixture: densities and scores --------------------------------------------------------------------


def near_and_far(means, full, sigma):
    """Points among the components, and points 30 standard deviations (of the widest direction) away."""
    k, dim = means.shape
    near = means.repeat(4, 1) + normal(4 * k, dim, seed=5)
    away = normal(len(near), dim, seed=6)
    std = (torch.linalg.eigvalsh(full).max() + sigma**2).sqrt()
    return near, near + 30 * std * away / away.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.0, 0.5, 20.0])
def test_log_prob_and_score(dim, kind, sigma):
    means, covariances, weights, full = mixture_parameters(dim, kind)
    mixture = GaussianMixture(means, covariances, weights)
    oracle = torch_mixture(means, full, weights, sigma).log_prob
    assert torch.allclose(mixture.covariances, full, rtol=1e-12, atol=1e-12)
    for x in near_and_far(means, full, sigma):
        given = x.clone()
        assert torch.allclose(mixture.log_prob(x, sigma), oracle(x), rtol=1e-10, atol=1e-10)
        score = mixture(x, sigma)
        assert score.shape == x.shape and score.dtype == F64
        assert relative_error(score, autograd_score(oracle, x)) < 1e-9
        assert relative_error(score, finite_differences(oracle, x)) < 1e-6
        assert torch.equal(mixture.score(x, sigma), score)
        log_p, both = mixture.log_prob_and_score(x, sigma)
        assert torch.equal(log_p, mixture.log_prob(x, sigma)) and torch.equal(both, score)
        assert torch.equal(mixture(x, torch.tensor(sigma, dtype=F64)), score)  # () as good as a float
        assert torch.equal(x, given)


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_one_sigma_per_row(dim, kind):
    means, covariances, weights, full = mixture_parameters(dim, kind)
    mixture = GaussianMixture(means, covariances, weights)
    x = means.repeat(4, 1) + 2 * normal(12, dim, seed=7)
    sigma = torch.logspace(-2, 1.5, 12, dtype=F64)
    sigma[3] = 0.0
    oracle = torch_mixture(means, full, weights, sigma).log_prob
    assert torch.allclose(mixture.log_prob(x, sigma), oracle(x), rtol=1e-10)
    assert relative_error(mixture(x, sigma), autograd_score(oracle, x)) < 1e-9
    assert relative_error(mixture(x, sigma), finite_differences(oracle, x)) < 1e-6
    assert torch.allclose(mixture(x, sigma.flip(0)), mixture(x.flip(0), sigma).flip(0), rtol=1e-12)
    assert torch.equal(mixture(x, torch.tensor([0.5])), mixture(x, 0.5))


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.0, 20.0])
def test_float32_stays_finite_and_right(dim, kind, sigma):
    means, covariances, weights, full = mixture_parameters(dim, kind)
    mixture = GaussianMixture(means, covariances, weights)
    oracle = torch_mixture(means, full, weights, sigma).log_prob
    for x in near_and_far(means, full, sigma):
        x = x.float()
        log_p, score = mixture.log_prob_and_score(x, sigma)
        assert log_p.dtype == score.dtype == torch.float32
        assert log_p.isfinite().all() and score.isfinite().all()
        assert torch.allclose(log_p.double(), oracle(x.double()), rtol=1e-5, atol=1e-4)
        assert relative_error(score, autograd_score(oracle, x.double())) < 1e-4


def test_thousands_of_deviations_away_the_nearest_component_pulls():
    x = torch.tensor([[-1e6, -1e6], [1e6, 1e6]])
    assert torch.allclose(two_modes()(x), torch.tensor([[1e6 - 5] * 2, [-1e6 + 5] * 2]))
    assert two_modes().log_prob(x).isfinite().all()


def test_the_two_readings_of_a_square_of_numbers():
    """K = D = 2: a 2 x 2 array holds one row of variances for each component, not one covariance matrix."""
    means = torch.tensor([[0.0, 0.0], [1.0, 2.0]], dtype=F64)
    variances = torch.tensor([[1.0, 4.0], [9.0, 0.25]], dtype=F64)
    mixture = GaussianMixture(means, variances)
    oracle = torch_mixture(means, torch.diag_embed(variances), torch.tensor([0.5, 0.5], dtype=F64))
    x = normal(5, 2)
    assert torch.allclose(mixture.log_prob(x), oracle.log_prob(x))


def test_responsibilities_are_bayes_rule():
    means, covariances, weights, full = mixture_parameters(2, "(K, D, D)")
    mixture = GaussianMixture(means, covariances, weights)
    x = normal(6, 2, seed=3)
    joint = np.stack(
        [
            w * stats.multivariate_normal(m, c + 0.25 * np.eye(2)).pdf(x.numpy())
            for w, m, c in zip(weights.numpy(), means.numpy(), full.numpy(), strict=True)
        ],
        axis=1,
    )
    assert np.allclose(mixture.responsibilities(x, 0.5), joint / joint.sum(1, keepdims=True), rtol=1e-10)


def test_a_component_of_weight_zero_is_not_there():
    means = torch.tensor([[0.0, 0.0], [3.0, 0.0]], dtype=F64)
    x = torch.tensor([[3.0, 0.0], [0.5, -1.0]], dtype=F64)
    assert torch.allclose(GaussianMixture(means, 1.0, [1.0, 0.0])(x), -x)


def test_dtype_and_device_of_results_are_those_of_x(device):
    mixture = GaussianMixture([[0, 0], [3, 3]], torch.eye(2).expand(2, 2, 2))
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(4, 2, dtype=dtype, device=device)
        for sigma in (1.0, torch.tensor(1.0), torch.ones(4)):
            for result in (mixture(x, sigma), mixture.log_prob(x, sigma), mixture.responsibilities(x, sigma)):
                assert result.dtype == dtype and result.device == x.device


def test_the_score_is_transparent_to_autograd():
    x = normal(3, 2).requires_grad_()
    (slope,) = torch.autograd.grad(two_modes().log_prob(x, 0.5).sum(), x)
    assert torch.allclose(slope, two_modes()(x.detach(), 0.5))


# ---- Gaussian mixture: samples and perturbation ----------------------------------------------------------------


def projected_cdf(means, full, weights, direction):
    """Distribution function of u'x for x from the mixture: a mixture of normals on a line."""
    centers = (means @ direction).numpy()
    stds = (direction @ full @ direction).sqrt().numpy()
    return lambda t: (weights.numpy() * stats.norm.cdf(t[:, None], centers, stds)).sum(1)


def assert_sampled_from(samples, means, full, weights, *, seed=0):
    """Kolmogorov-Smirnov along several directions, each with a false alarm rate of 1e-7."""
    for direction in [*torch.eye(means.shape[1], dtype=F64), *normal(3, means.shape[1], seed=seed)]:
        cdf = projected_cdf(means, full, weights, direction)
        assert stats.kstest((samples.double() @ direction).numpy(), cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_mixture(dim, kind):
    means, covariances, weights, full = mixture_parameters(dim, kind)
    samples = GaussianMixture(means, covariances, weights).sample(20_000, generator=seeded(1))
    assert samples.shape == (20_000, dim) and samples.dtype == F64
    assert_sampled_from(samples, means, full, weights)


def test_component_frequencies_and_moments_of_samples():
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=F64)
    means = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]], dtype=F64)
    root = normal(4, 2, 2)
    full = root @ root.mT + 0.5 * torch.eye(2, dtype=F64)
    n = 100_000
    x = GaussianMixture(means, full, weights).sample(n, generator=seeded(2))
    component = torch.cdist(x, means).argmin(1)
    counts = component.bincount(minlength=4)
    assert stats.chisquare(counts.numpy(), n * weights.numpy()).pvalue > FALSE_ALARM
    for k in range(4):
        inside = x[component == k] - means[k]
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(full[k]), inside.T, upper=False)
        for row in white:
            assert_mean(row, 0.0)
            assert_variance(row, 1.0)
        assert_mean(white[0] * white[1], 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_perturbing_is_adding_noise(kind):
    means, covariances, weights, full = mixture_parameters(2, kind)
    mixture = GaussianMixture(means, covariances, weights)
    sigma, x = 1.5, 3 * normal(20, 2, seed=8)
    perturbed = mixture.perturb(sigma)
    noisy = mixture.sample(20_000, generator=seeded(3)) + sigma * normal(20_000, 2, seed=4)
    assert_sampled_from(noisy, means, perturbed.covariances, weights)
    again = perturbed.sample(20_000, generator=seeded(5))
    for direction in torch.eye(2, dtype=F64):
        assert stats.ks_2samp((noisy @ direction).numpy(), (again @ direction).numpy()).pvalue > FALSE_ALARM
    assert torch.allclose(perturbed.log_prob(x), torch_mixture(means, full, weights, sigma).log_prob(x), rtol=1e-10)
    assert torch.allclose(perturbed.log_prob(x), mixture.log_prob(x, sigma), rtol=1e-10)
    assert torch.allclose(perturbed(x), mixture(x, sigma), rtol=1e-9)
    assert torch.allclose(mixture.perturb(3.0).perturb(4.0)(x), mixture(x, 5.0), rtol=1e-9)
    assert torch.allclose(mixture.perturb(0.0)(x), mixture(x), rtol=1e-9)


def test_sampling_again_with_the_same_generator_gives_the_same(device):
    mixture = GaussianMixture(torch.randn(3, 2, device=device), torch.eye(2).expand(3, 2, 2))
    first = mixture.sample(50, generator=seeded(1, device))
    torch.manual_seed(123)
    assert torch.equal(first, mixture.sample(50, generator=seeded(1, device)))
    assert not torch.equal(first, mixture.sample(50, generator=seeded(2, device)))
    assert first.device.type == device.type


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_have_the_dtype_of_the_means_also_after_perturbing(dtype):
    mixture = two_modes(dtype)
    for other in (mixture, mixture.perturb(1.0), mixture.posterior([1, 0], [0.0, 0.0])):
        assert other.sample(2).dtype == dtype
    assert GaussianMixture([[0, 0]]).sample(2).dtype == torch.get_default_dtype()


def test_a_mixture_says_what_it_is():
    mixture = two_modes()
    assert (mixture.dim, mixture.n_components) == (2, 2)
    assert repr(mixture) == "GaussianMixture(2 components in 2-D)"
    assert repr(Empirical(torch.zeros(5, 3, 4, 4))) == "Empirical(5 points of shape (3, 4, 4))"
    assert repr(checkerboard()) == "UniformBoxes(8 boxes in 2-D)"


# ---- Gaussian mixture: what is missing, given what is known -----------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mask", "point"),
    [
        ([1, 0], [0.3, NAN]),
        ([0, 1], [NAN, -1.2]),
        ([1, 0, 1], [0.5, NAN, 0.1]),
        ([0, 1, 0], [NAN, 1.0, NAN]),
        ([0, 0, 1], [NAN, NAN, -0.5]),
    ],
)
def test_posterior_against_quadrature(kind, mask, point):
    dim = len(mask)
    means, covariances, weights, full = mixture_parameters(dim, kind, seed=11)
    posterior = GaussianMixture(means, covariances, weights).posterior(mask, point)
    missing = [i for i in range(dim) if not mask[i]]
    assert posterior.dim == len(missing)

    axis = torch.linspace(-16, 16, 1201 if len(missing) == 1 else 321, dtype=F64)
    places = torch.cartesian_prod(*[axis] * len(missing)).reshape(-1, len(missing))
    x = torch.tensor(point, dtype=F64).repeat(len(places), 1)
    x[:, missing] = places
    joint = torch_mixture(means, full, weights).log_prob(x).exp()
    truth = joint / (joint.sum() * (axis[1] - axis[0]) ** len(missing))
    assert torch.allclose(posterior.log_prob(places).exp(), truth, rtol=1e-8, atol=1e-12)


def test_posterior_weighs_components_by_how_well_they_explain_what_is_known():
    posterior = two_modes().posterior([1, 0], [4.0, 0.0])
    assert posterior.weights[1] > 1 - 1e-12  # x = 4 can only come from the big mode
    middle = two_modes().posterior([1, 0], [0.0, 0.0])  # as far from both: the weights stay
    assert torch.allclose(middle.weights, torch.tensor([0.2, 0.8], dtype=F64))
    far = two_modes().posterior([1, 0], [-1e5, 0.0])
    assert far.weights.tolist() == [1.0, 0.0]


def test_posterior_never_looks_at_hidden_entries_and_takes_every_form():
    means, covariances, weights, _ = mixture_parameters(3, "(K, D, D)")
    mixture = GaussianMixture(means, covariances, weights)
    forms = [
        ([1, 0, 1], [0.5, NAN, -0.5]),
        ([1.0, 0.0, 1.0], [0.5, 1e30, -0.5]),
        ([True, False, True], [0.5, -INF, -0.5]),
        ([1, 0, 1], [0.5, -0.5]),  # the known ones only
        (torch.tensor([1, 0, 1]), torch.tensor([0.5, 7.0, -0.5])),
        (torch.tensor([1, 0, 1]).bool(), torch.tensor([0.5, -0.5], requires_grad=True)),
        (torch.tensor([1.0, 0.0, 1.0]), np.array([0.5, 0.0, -0.5])),
    ]
    first = mixture.posterior(*forms[0])
    for mask, known in forms[1:]:
        other = mixture.posterior(mask, known)
        assert torch.equal(other.means, first.means)
        assert torch.equal(other.covariances, first.covariances)
        assert torch.equal(other.weights, first.weights)


def test_posterior_with_nothing_known_is_the_mixture():
    means, covariances, weights, _ = mixture_parameters(2, "(K, D, D)")
    mixture = GaussianMixture(means, covariances, weights)
    x = normal(5, 2)
    assert torch.allclose(mixture.posterior([0, 0], [NAN, NAN]).log_prob(x), mixture.log_prob(x))
    assert torch.allclose(mixture.posterior([0, 0], []).log_prob(x), mixture.log_prob(x))


@pytest.mark.parametrize(
    ("mask", "known", "repair"),
    [
        ([1, 1], [0.0, 0.0], "every coordinate is known.*set some of mask to 0"),
        ([1, 0, 0], [0.0], r"mask must have shape \(2,\) and hold 1 \(known\) or 0 \(missing\)"),
        ([[1, 0]], [0.0], r"mask must have shape \(2,\)"),
        ([0.5, 1], [0.0], r"hold 1 \(known\) or 0 \(missing\), not \[0.5, 1.0\]"),
        ([NAN, 1], [0.0], r"hold 1 \(known\) or 0 \(missing\)"),
        ([1, 0], [1.0, 2.0, 3.0], r"the whole point, shape \(2,\), or its 1 known values, shape \(1,\), not \(3,\)"),
        ([1, 0], 1.0, r"shape \(1,\), not \(\)"),
        ([1, 0], [NAN, 0.0], "known values must be finite"),
        ([1, 0], [INF], "known values must be finite"),
    ],
)
def test_posterior_says_what_it_needs(mask, known, repair):
    with pytest.raises(ValueError, match=repair):
        two_modes().posterior(mask, known)


# ---- Gaussian mixture: bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "covariances", "weights", "repair"),
    [
        ([1.0, 2.0], 1.0, None, r"means must have shape \(K, D\), not \(2,\); .* use means\[:, None\]"),
        ([[[1.0]]], 1.0, None, r"means must have shape \(K, D\), not \(1, 1, 1\)$"),
        (torch.zeros(0, 2), 1.0, None, r"means must have shape \(K, D\), not \(0, 2\)"),
        ([[NAN, 0.0]], 1.0, None, "means must be finite"),
        ([[0.0], [1.0]], 1.0, [0.2, 0.7], r"sum to 1, but they sum to 0.9: use weights / weights\.sum\(\)"),
        ([[0.0], [1.0]], 1.0, [1.0, 1.0], r"sum to 2: use weights / weights\.sum\(\)"),
        ([[0.0], [1.0]], 1.0, [-0.2, 1.2], r"weights must be 0 or more, but they are \[-0.2, 1.2\]"),
        ([[0.0], [1.0]], 1.0, [NAN, 1.0], "weights must be 0 or more"),
        ([[0.0], [1.0]], 1.0, [1.0], r"weights must have shape \(2,\), one per component, not \(1,\)"),
        ([[0.0], [1.0]], 1.0, [[0.5, 0.5]], r"weights must have shape \(2,\)"),
        ([[0.0, 0.0]] * 3, [1.0, 2.0], None, r"have shape \(3,\), \(3, 2\) or \(3, 2, 2\) .*not \(2,\)"),
        ([[0.0, 0.0]] * 3, torch.eye(2), None, r"\(3, 2, 2\) for these means of shape \(3, 2\), not \(2, 2\)"),
        ([[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]], None, r"symmetric: use \(S \+ S\.mT\) / 2"),
        ([[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]], None, "component 0 is not positive definite.*-1, .* above 0"),
        ([[0.0, 0.0]] * 2, [[1.0, 1.0], [1.0, 0.0]], None, "component 1 is not positive definite.*must be above 0"),
        ([[0.0, 0.0]], 0.0, None, "component 0 is not positive definite"),
        ([[0.0, 0.0]], -1.0, None, "component 0 is not positive definite: its smallest variance is -1"),
        ([[0.0, 0.0]], NAN, None, "covariances must be finite"),
        ([[0.0, 0.0]], INF, None, "covariances must be finite"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(means, covariances, weights, repair):
    with pytest.raises(ValueError, match=repair):
        GaussianMixture(means, covariances, weights)


@pytest.mark.parametrize("method", ["__call__", "score", "log_prob", "log_prob_and_score", "responsibilities"])
@pytest.mark.parametrize(
    ("x", "sigma", "error", "repair"),
    [
        ([[0.0, 0.0]], 0.0, TypeError, r"use torch\.as_tensor\(x\)"),
        (torch.zeros(3, 2, dtype=torch.int64), 0.0, TypeError, r"use x\.float\(\) or x\.double\(\)"),
        (torch.zeros(2), 0.0, ValueError, r"use x\[None\] for a single point"),
        (torch.zeros(3, 3), 0.0, ValueError, r"must have shape \(B, 2\) to fit this distribution, not \(3, 3\)"),
        (torch.zeros(3, 2), -1.0, ValueError, "finite and 0 or more, not -1"),
        (torch.zeros(3, 2), NAN, ValueError, "finite and 0 or more, not nan"),
        (torch.zeros(3, 2), INF, ValueError, "finite and 0 or more, not inf"),
        (torch.zeros(3, 2), torch.tensor(-1.0), ValueError, "finite and 0 or more, not -1"),
        (torch.zeros(3, 2), torch.tensor([1.0, NAN, 1.0]), ValueError, "finite and 0 or more, not nan"),
        (torch.zeros(3, 2), torch.ones(2), ValueError, r"give one number, or one per row, shape \(3,\)"),
        (torch.zeros(3, 2), torch.ones(3, 1), ValueError, r"give one number, or one per row, shape \(3,\)"),
    ],
)
def test_bad_points_and_sigmas_are_refused(method, x, sigma, error, repair):
    with pytest.raises(error, match=repair):
        getattr(two_modes(), method)(x, sigma)


def test_bad_numbers_of_samples_and_generators_are_refused():
    for distribution in (two_modes(), Empirical(torch.zeros(2, 2)), checkerboard()):
        for n in (0, -1, 1.5, None):
            with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
                distribution.sample(n)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        two_modes().perturb(-1.0)
    with pytest.raises(ValueError, match=r"perturb takes one sigma; for one per row call .* mixture\(x, sigma\)"):
        two_modes().perturb(torch.ones(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_generator_on_another_device_is_refused():
    for distribution in (two_modes(), Empirical(torch.zeros(2, 2)), checkerboard()):
        with pytest.raises(ValueError, match="generator lives on cuda.*use torch.Generator"):
            distribution.sample(2, generator=torch.Generator("cuda"))


# ---- finite data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 4, 4)])
@pytest.mark.parametrize("rows", [False, True])
def test_empirical_is_a_mixture_of_very_narrow_gaussians(shape, rows):
    data, x = normal(7, *shape), normal(5, *shape, seed=1)
    sigma = torch.tensor([0.1, 0.3, 1.0, 3.0, 30.0], dtype=F64) if rows else 0.4
    empirical = Empirical(data)
    score = empirical(x, sigma)
    assert score.shape == x.shape and score.dtype == F64
    flat = data.flatten(1)
    equal = torch.full((7,), 1 / 7, dtype=F64)
    oracle = torch_mixture(flat, torch.zeros(7, flat.shape[1], flat.shape[1], dtype=F64), equal, sigma).log_prob
    assert relative_error(score, autograd_score(oracle, x.flatten(1))) < 1e-9
    narrow = GaussianMixture(flat, 1e-12)(x.flatten(1), sigma)
    assert relative_error(score, narrow) < 1e-6


@pytest.mark.parametrize("sigma", [0.01, 0.3, 10.0])
def test_denoise_is_the_mean_of_the_clean_given_the_noisy(sigma):
    data, x = normal(6, 2, 3), normal(4, 2, 3, seed=1)
    empirical = Empirical(data)
    expected = []
    for point in x.numpy():  # Bayes' rule, point by point
        densities = [stats.norm.logpdf(point, clean, sigma).sum() for clean in data.numpy()]
        posterior = np.exp(np.array(densities) - max(densities))
        expected.append(np.tensordot(posterior / posterior.sum(), data.numpy(), 1))
    assert np.allclose(empirical.denoise(x, sigma), np.stack(expected), rtol=1e-9, atol=1e-12)
    tweedie = x + sigma**2 * empirical(x, sigma)
    assert torch.allclose(empirical.denoise(x, sigma), tweedie, atol=1e-10)


def test_empirical_close_to_a_point_and_far_from_all_of_them():
    data = normal(20, 3, 32, 32).float()
    near = data[:4] + 0.01 * normal(4, 3, 32, 32, seed=1).float()
    assert torch.allclose(Empirical(data).denoise(near, 0.01), data[:4], atol=1e-6)
    far = near + 1e4
    score = Empirical(data)(far, 0.01)
    assert score.isfinite().all()
    assert torch.allclose(Empirical(data).denoise(far, 1e7), data.mean(0).expand(4, -1, -1, -1), atol=1e-3)


def test_empirical_samples_are_rows_of_the_data_each_as_often(device):
    data = torch.arange(5.0, device=device)[:, None, None].expand(5, 2, 3)
    samples = Empirical(data).sample(10_000, generator=seeded(1, device))
    assert samples.shape == (10_000, 2, 3) and samples.device.type == device.type
    assert (samples == samples[:, :1, :1]).all()
    assert stats.chisquare(samples[:, 0, 0].long().bincount().cpu().numpy()).pvalue > FALSE_ALARM
    assert torch.equal(samples, Empirical(data).sample(10_000, generator=seeded(1, device)))


@pytest.mark.parametrize("sigma", [0.0, 0, torch.tensor(0.0), torch.tensor([1.0, 0.0, 1.0])])
def test_without_noise_finite_data_have_no_score(sigma):
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="no score without noise: sigma must be above 0"):
        Empirical(x)(x, sigma)
    with pytest.raises(ValueError, match="no score at their edges: sigma must be above 0"):
        checkerboard()(x, sigma)


@pytest.mark.parametrize(
    ("x", "sigma", "error", "repair"),
    [
        (torch.zeros(3, 5), 1.0, ValueError, r"x must have shape \(B, 2\), not \(3, 5\)"),
        (torch.zeros(3, 2, dtype=torch.uint8), 1.0, TypeError, r"use x\.float\(\)"),
        (torch.zeros(3, 2), -1.0, ValueError, "0 or more.* -1"),
        (torch.zeros(3, 2), torch.ones(2), ValueError, r"one per row, shape \(3,\)"),
    ],
)
def test_bad_input_to_finite_data_and_boxes(x, sigma, error, repair):
    with pytest.raises(error, match=repair):
        Empirical(torch.zeros(4, 2))(x, sigma)
    with pytest.raises(error, match=repair.replace(", not", " to fit this distribution, not")):
        checkerboard()(x, sigma)


def test_data_must_be_real_numbers():
    with pytest.raises(TypeError, match=r"use x\.float\(\)"):
        Empirical(torch.zeros(3, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="side must be a finite number above 0"):
        UniformBoxes([[0.0, 0.0]], 0.0)


# ---- boxes -------------------------------------------------------------------------------------------------------

BOXES = UniformBoxes(torch.tensor([[0.0, 0.0], [2.0, 0.5], [-1.0, 3.0]], dtype=F64), 1.5)


def box_density(point, sigma):
    """The convolution of three boxes with a Gaussian, by adaptive quadrature along each coordinate."""

    def smeared(t, center):
        low, high = center - 0.75, center + 0.75
        return integrate.quad(lambda u: stats.norm.pdf(t, u, sigma) / 1.5, low, high, epsabs=0, epsrel=1e-12)[0]

    return np.mean(
        [math.prod(smeared(t, c) for t, c in zip(point, box, strict=True)) for box in BOXES.centers.tolist()]
    )


@pytest.mark.parametrize("sigma", [0.2, 1.0, 4.0])
def test_perturbed_boxes_against_quadrature_and_finite_differences(sigma):
    x = 1.5 * normal(6, 2, seed=2)
    log_prob = BOXES.log_prob(x, sigma)
    assert np.allclose(log_prob.exp(), [box_density(point, sigma) for point in x.tolist()], rtol=1e-9)
    slopes = finite_differences(lambda points: BOXES.log_prob(points, sigma), x)
    assert relative_error(BOXES(x, sigma), slopes) < 1e-6
    rows = torch.full((6,), sigma, dtype=F64)
    rows[::2] = 0.7
    assert torch.equal(BOXES(x, rows)[1::2], BOXES(x, sigma)[1::2])
    assert torch.equal(BOXES(x, rows)[::2], BOXES(x, 0.7)[::2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_tails_of_one_box_against_fifty_digits(dtype):
    """Up to 495 sigma out. The score is a difference of logarithms as large as z^2 / 2, and loses their last digits."""
    mpmath = pytest.importorskip("mpmath")
    box, sigma = UniformBoxes(torch.zeros(1, 1, dtype=dtype), 1.0), 0.1
    x = torch.tensor([[-20.0], [-3.0], [-0.75], [0.25], [1.0], [5.0], [50.0]], dtype=dtype)
    score = box(x, sigma)
    assert score.isfinite().all() and box.log_prob(x, sigma).isfinite().all()
    with mpmath.workdps(50):

        def log_density(t):  # erfc keeps its digits on the right; the box is symmetric
            t, scale = abs(t), mpmath.mpf("0.1") * mpmath.sqrt(2)
            return mpmath.log((mpmath.erfc((t - 0.5) / scale) - mpmath.erfc((t + 0.5) / scale)) / 2)

        for point, got, log_p in zip(x.flatten().tolist(), score.flatten(), box.log_prob(x, sigma), strict=True):
            tolerance = torch.finfo(dtype).eps * (100 + 2 * (point / sigma) ** 2)
            assert float(got) == pytest.approx(float(mpmath.diff(log_density, mpmath.mpf(point))), rel=tolerance)
            assert float(log_p) == pytest.approx(float(log_density(mpmath.mpf(point))), rel=1e-5)


def test_boxes_without_noise_are_flat_inside_and_nothing_outside():
    x = torch.tensor([[0.0, 0.0], [0.7, -0.7], [2.0, 0.5], [-1.7, 3.0], [0.8, 0.0], [9.0, 9.0]], dtype=F64)
    height = -math.log(3 * 1.5**2)
    expected = torch.tensor([height, height, height, height, -INF, -INF], dtype=F64)
    for sigma in (0.0, 0, torch.tensor(0.0), torch.zeros(6)):
        assert torch.allclose(BOXES.log_prob(x, sigma), expected)


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_a_checkerboard_integrates_to_one_and_fills_every_second_cell(sigma):
    n, reach = 480, 6.0
    axis = (torch.arange(n, dtype=F64) + 0.5) / n * 2 * reach - reach  # the middles of small cells
    density = checkerboard().log_prob(torch.cartesian_prod(axis, axis), sigma).exp()
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-5)
    if sigma == 0:
        assert (density > 0).double().mean().item() == pytest.approx(8 / (2 * reach) ** 2, abs=1e-5)
        place = torch.tensor([[-1.5, -1.5], [-1.5, -0.5], [0.5, 0.5], [0.5, -0.5], [1.5, 1.5], [-2.5, 0.5]])
        assert (checkerboard().log_prob(place) > -INF).tolist() == [True, False, True, False, True, False]


def test_samples_of_boxes_fill_them_evenly():
    x = BOXES.sample(20_000, generator=seeded(3))
    inside = ((x[:, None] - BOXES.centers).abs() <= 0.75).all(-1)
    assert (inside.sum(1) == 1).all()
    assert stats.chisquare(inside.sum(0).numpy()).pvalue > FALSE_ALARM
    for k in range(3):
        for coordinate in (x[inside[:, k]] - BOXES.centers[k]).T:
            assert stats.kstest(coordinate.numpy(), stats.uniform(-0.75, 1.5).cdf).pvalue > FALSE_ALARM
    assert torch.equal(x, BOXES.sample(20_000, generator=seeded(3)))
    assert x.dtype == F64


# ---- toys ----------------------------------------------------------------------------------------------------------


def test_a_circle_is_round_and_as_thick_as_asked():
    ring = circle(radius=2.0, std=0.1)
    angle = torch.linspace(0, 7, 300, dtype=F64)
    for radius in (1.8, 2.0, 2.3):
        log_p = ring.log_prob(radius * torch.stack([angle.cos(), angle.sin()], 1))
        assert log_p.max() - log_p.min() < 1e-3
    x = ring.sample(20_000, generator=seeded(1)).double()
    squared = x.square().sum(1)
    assert_mean(squared, 2.0**2 + 2 * 0.1**2)  # E|m + z|^2
    assert squared.sqrt().std().item() == pytest.approx(0.1, rel=0.05)
    assert stats.kstest(torch.atan2(x[:, 1], x[:, 0]).numpy(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-7


def test_moons_are_two_half_circles_that_turn_into_each_other():
    pair = moons()
    x = normal(50, 2)
    assert torch.allclose(pair.log_prob(x), pair.log_prob(-x), atol=1e-5)
    samples = pair.sample(5000, generator=seeded(1)).double()
    centers = torch.tensor([[-0.5, -0.25], [0.5, 0.25]], dtype=F64)
    off = (samples[:, None] - centers).norm(dim=-1) - 1  # distance from each of the two full circles
    on = off.abs().min(1).values < 5 * 0.08
    assert on.all()
    upper = (off[:, 0].abs() < 0.2) & (samples[:, 1] > 0.5)
    lower = (off[:, 1].abs() < 0.2) & (samples[:, 1] < -0.5)
    assert upper.sum() > 1000 and lower.sum() > 1000
    assert not ((samples[:, 1] > 0.5) & (samples[:, 0] > 0.6)).any()  # the right half has no arch above
    assert not ((samples[:, 1] < -0.5) & (samples[:, 0] < -0.6)).any()


def test_a_spiral_grows_evenly_to_radius_one():
    means = spiral(turns=2.0, n=300).means
    radius = means.norm(dim=1)
    assert radius[-1].item() == pytest.approx(1) and means[-1].tolist() == pytest.approx([1, 0], abs=1e-6)
    turned = torch.atan2(means[:, 1], means[:, 0]) / (2 * math.pi)
    whole = 2 * radius - turned  # an Archimedean spiral: the radius grows with the angle
    assert torch.allclose(whole, whole.round(), atol=1e-5)
    steps = means.diff(dim=0).norm(dim=1)[50:]
    assert steps.max() / steps.min() < 1.05
    samples = spiral(turns=2.0).sample(2000, generator=seeded(1)).double()
    assert torch.cdist(samples, means).min(1).values.max() < 5 * 0.04


@pytest.mark.parametrize("toy", [lambda n: circle(n=n), lambda n: moons(n=n), lambda n: spiral(n=n)])
def test_toys_refuse_an_empty_line(toy):
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        toy(0)


def test_empirical_needs_a_point():
    with pytest.raises(ValueError, match="at least one point"):
        Empirical(torch.zeros(0, 2))


def test_isotropic_mixtures_stay_cheap_in_many_dimensions():
    """A full covariance matrix here would take 3 GB."""
    dim, sigma = 20_000, 2.0
    noisy = GaussianMixture(torch.zeros(1, dim, dtype=F64), 1.0).perturb(sigma)
    x = torch.full((1, dim), 3.0, dtype=F64)
    expected = torch.distributions.Normal(torch.zeros_like(x), math.sqrt(1 + sigma**2)).log_prob(x).sum()
    assert noisy.log_prob(x).item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(noisy(x), -x / 5)


def test_rounding_does_not_choose_the_samples_of_a_round_component():
    """Its eigenvectors are any: a machine that rounds otherwise would draw other points from the same seed."""
    means, noise = torch.tensor([[3.0, 0.0, 1.0], [-1.0, 2.0, 0.0]]), torch.tensor([[1.0, 0.7, 0.2]]).double()
    skew = 1e-16 * (noise.mT * noise)
    drawn = [
        GaussianMixture(means, 0.3**2 * torch.eye(3).double().expand(2, 3, 3) + sign * skew, [0.4, 0.6]).sample(
            50, generator=seeded(3)
        )
        for sign in (0, 1, -1)
    ]
    plain = GaussianMixture(means, 0.3**2, [0.4, 0.6]).sample(50, generator=seeded(3))
    for x in drawn:
        torch.testing.assert_close(x, plain, rtol=0, atol=1e-6)
