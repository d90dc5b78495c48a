"""Conditions against what is known another way: quadrature, finite differences, conjugate Gaussians, tests."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import F64, finite_differences, mixture_parameters, normal, relative_error, seeded, torch_mixture
from torch.distributions import MultivariateNormal

from ncsn_edu import (
    ClassifierGuide,
    Conditioned,
    Empirical,
    EnergyScore,
    GaussianMixture,
    Guided,
    LinearGuide,
    NoiseConditionalMLP,
    Rotated,
    completed,
    ddim,
    energy_distance,
    energy_test,
    geometric,
    implicit,
    inpaint,
    last,
    likelihood,
    noise_like,
    operator_of,
    probability_flow,
)
from ncsn_edu.nets.classifier import Classifier, NoisyClassifier, ResNet
from ncsn_edu.trained import load_guide, load_judge, load_trained

A = torch.tensor([[1.0, -0.5]], dtype=F64)  # measures one number of a point of the plane
MIXTURE = GaussianMixture(
    [[-1.0, -0.6], [0.8, 0.5], [0.2, -1.2]],
    torch.tensor([[[0.5, 0.2], [0.2, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[0.2, -0.1], [-0.1, 0.2]]], dtype=F64),
    [0.5, 0.3, 0.2],
)
# Colours of a pixel: four, none of them grey, which is what is known of it.
COLOURS = GaussianMixture(
    torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.5, 0.6], [0.3, 0.6, 0.2], [0.6, 0.4, 0.1]], dtype=F64),
    torch.tensor([0.06, 0.06, 0.06, 0.06], dtype=F64) ** 2,
    [0.2, 0.3, 0.3, 0.2],
)


def grid(n: int = 401, reach: float = 5.0) -> tuple[torch.Tensor, float]:
    """Points of the plane (n^2, 2), and the area of each."""
    axis = torch.linspace(-reach, reach, n, dtype=F64)
    return torch.cartesian_prod(axis, axis), (2 * reach / (n - 1)) ** 2


def log_likelihood(x: torch.Tensor, sigma: float, *, y: float, noise: float) -> torch.Tensor:
    """log p(y | x, sigma) for MIXTURE by summing over all clean points of a grid, shape (B,)."""
    clean, _ = grid(201, 4.0)
    prior = torch_mixture(MIXTURE.means, MIXTURE.covariances, MIXTURE.weights).log_prob(clean)
    joint = prior - torch.cdist(x, clean) ** 2 / (2 * sigma**2)  # up to what does not depend on the clean point
    of_y = -((y - clean @ A[0]) ** 2) / (2 * noise**2)
    return (joint + of_y).logsumexp(1) - joint.logsumexp(1)


# ---- the truth ------------------------------------------------------------------------------------------------------


def test_the_posterior_of_a_linear_measurement_is_prior_times_likelihood():
    """On a grid, where the product only has to be summed to be normalised."""
    x, area = grid()
    product = torch_mixture(MIXTURE.means, MIXTURE.covariances, MIXTURE.weights).log_prob(x)
    product = product - (0.7 - x @ A[0]) ** 2 / (2 * 0.3**2)
    product = product - product.logsumexp(0) - math.log(area)
    dense = product > product.max() - 20
    posterior = MIXTURE.given(A, [0.7], noise=0.3)
    assert torch.allclose(posterior.log_prob(x[dense]), product[dense], atol=1e-6)


def test_in_more_dimensions_it_is_what_the_joint_mixture_says():
    """x and y are one mixture in D + M dimensions, whose conditional `posterior` knows."""
    means, _, weights, full = mixture_parameters(4, "(K, D, D)")
    a, y, noise = normal(2, 4, seed=5), torch.tensor([0.4, -0.3], dtype=F64), 0.35
    of_y = a @ full @ a.mT + noise**2 * torch.eye(2, dtype=F64)
    covariances = torch.cat([torch.cat([full, full @ a.mT], 2), torch.cat([a @ full, of_y], 2)], 1)
    joint = GaussianMixture(torch.cat([means, means @ a.mT], 1), covariances, weights)
    expected = joint.posterior([0, 0, 0, 0, 1, 1], y)
    found = GaussianMixture(means, full, weights).given(a, y, noise=noise)
    for name in ("weights", "means", "covariances"):
        assert torch.allclose(getattr(found, name), getattr(expected, name), atol=1e-9), name


def test_a_measurement_without_noise_is_inpainting_in_another_basis():
    """The limit of ever less noise, in which what is known is a coordinate."""
    basis, y = completed(A), 0.4
    known = torch.tensor([y / A.norm(), math.nan], dtype=F64)
    exact = MIXTURE.rotated(basis).posterior([1, 0], known)
    near = MIXTURE.given(A, [y], noise=1e-4).rotated(basis)
    assert torch.allclose(near.weights, exact.weights, atol=1e-4)
    assert torch.allclose(near.means[:, 1:], exact.means, atol=1e-4)
    assert torch.allclose(near.covariances[:, 1:, 1:], exact.covariances, atol=1e-4)
    assert torch.allclose(near.means[:, 0], known[0].expand(3), atol=1e-4)


@pytest.mark.parametrize("sigma", [0.1, 0.6, 2.0])
def test_the_posterior_s_score_is_the_prior_s_and_the_gradient_of_the_likelihood(sigma):
    x = normal(6, 2, seed=3)
    gradient = finite_differences(partial(log_likelihood, sigma=sigma, y=0.7, noise=0.3), x)
    posterior = MIXTURE.given(A, [0.7], noise=0.3)
    assert torch.allclose(posterior(x, sigma) - MIXTURE(x, sigma), gradient, atol=1e-5)


def test_a_rotated_mixture_has_the_density_and_the_score_of_the_rotated_points():
    basis, x = completed(normal(1, 2, seed=8)), normal(7, 2)
    turned, score = MIXTURE.rotated(basis), Rotated(MIXTURE, basis)
    assert torch.allclose(turned.log_prob(x @ basis.mT), MIXTURE.log_prob(x))
    assert torch.allclose(score(x, 0.3), turned(x, 0.3))
    assert torch.allclose(score.from_basis(score.to_basis(x)), x)


# ---- classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_with_the_best_classifier_the_score_of_the_mixture_becomes_that_of_a_component(dtype):
    x, sigma = normal(9, 2).to(dtype), torch.linspace(0.05, 20, 9, dtype=dtype)
    for k in range(3):
        guided = Conditioned(MIXTURE, ClassifierGuide(MIXTURE.logits, k))
        wide = MIXTURE.covariances[k] + sigma.double()[:, None, None] ** 2 * torch.eye(2, dtype=F64)
        component = torch.linalg.solve(wide, (MIXTURE.means[k] - x.double())[..., None])[..., 0]
        assert guided(x, sigma).dtype == dtype
        assert torch.allclose(guided(x, sigma).double(), component, atol=1e-9 if dtype == F64 else 1e-4)


def test_a_label_for_each_row_and_a_scale():
    x, labels = normal(3, 2), torch.tensor([2, 0, 1])
    each = torch.cat([ClassifierGuide(MIXTURE.logits, k)(x[i : i + 1], 0.5) for i, k in enumerate(labels.tolist())])
    guide = ClassifierGuide(MIXTURE.logits, labels)
    assert torch.allclose(guide(x, 0.5), each)
    assert torch.allclose(Conditioned(MIXTURE, guide, 2.5)(x, 0.5), MIXTURE(x, 0.5) + 2.5 * each)
    assert torch.equal(Conditioned(MIXTURE, guide, 0)(x, 0.5), MIXTURE(x, 0.5))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_guided_chains_are_of_the_component_at_scale_1_and_not_beyond(scale):
    """600 against 600: the test that passes at scale 1 sees what scale 3 does to them."""
    guided, ladder = Conditioned(MIXTURE, ClassifierGuide(MIXTURE.logits, 0), scale), geometric(15, 0.01, 60)
    start = 15 * noise_like(torch.empty(600, 2, dtype=F64), seeded(1))
    x = last(probability_flow(guided, start, ladder))
    truth = MultivariateNormal(MIXTURE.means[0], MIXTURE.covariances[0])
    torch.manual_seed(0)
    p = energy_test(x, truth.sample((600,)), generator=seeded())[1]
    assert p > 0.05 if scale == 1 else p < 0.01


# ---- linear measurements --------------------------------------------------------------------------------------------


def joint_log_likelihood(x, sigma, *, mean, covariance, a, y, noise):
    """log p(y | x) of Gaussian data as log p(x, y) - log p(x)."""
    wide = covariance + sigma**2 * torch.eye(len(mean), dtype=F64)
    of_y = a @ covariance @ a.mT + noise**2 * torch.eye(len(a), dtype=F64)
    both = torch.cat([torch.cat([wide, covariance @ a.mT], 1), torch.cat([a @ covariance, of_y], 1)])
    pair = torch.cat([x, y.expand(len(x), -1)], 1)
    joint = MultivariateNormal(torch.cat([mean, a @ mean]), both).log_prob(pair)
    return joint - MultivariateNormal(mean, wide).log_prob(x)


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("covariance", ["isotropic", "matched"])
def test_of_gaussian_data_the_guide_is_exact(covariance, noise):
    mean, a, y = normal(4, seed=1), normal(2, 4, seed=2), torch.tensor([0.3, -0.8], dtype=F64)
    root = normal(4, 4, seed=3)
    spread = 0.49 * torch.eye(4, dtype=F64) if covariance == "isotropic" else root @ root.mT / 4 + 0.1 * torch.eye(4)
    data = GaussianMixture(mean[None], spread[None])
    guide = LinearGuide(data, a, y, noise=noise, covariance=covariance, data_std=0.7)
    x, sigmas = normal(5, 4, seed=4), [0.05, 0.3, 1.0, 4.0, 30.0]
    known = {"mean": mean, "covariance": spread, "a": a, "y": y, "noise": noise}
    expected = [
        finite_differences(partial(joint_log_likelihood, sigma=s, **known), x[i : i + 1]) for i, s in enumerate(sigmas)
    ]
    assert relative_error(guide(x, torch.tensor(sigmas, dtype=F64)), torch.cat(expected)) < 1e-5
    assert relative_error(guide(x[:1], sigmas[0]), expected[0]) < 1e-5


@pytest.mark.parametrize("covariance", ["isotropic", "matched"])
def test_images_and_a_measurement_for_each_row(covariance, device):
    """Any shape, any device, in the dtype of x: as flattened points one by one on the CPU."""
    shape, sigma = (2, 2, 2), torch.tensor([0.2, 0.5, 3.0])
    centre, width = torch.linspace(-1, 1, 8), torch.linspace(0.2, 0.9, 8)

    def score(x, sigma):
        off = x - centre.reshape(shape).to(x)
        return -off / (width.reshape(shape).to(x) ** 2 + sigma.reshape(-1, 1, 1, 1).to(x) ** 2)

    a, y, x = operator_of(lambda x: x.mean(1), shape), normal(3, 4), normal(3, *shape, dtype=torch.float32)
    guide = LinearGuide(score, a, y, noise=0.1, covariance=covariance)
    found = guide(x.to(device), sigma.to(device))
    assert found.dtype == torch.float32 and found.device.type == device.type
    flat = GaussianMixture(centre[None], width[None] ** 2)
    for i in range(3):
        one = LinearGuide(flat, a, y[i], noise=0.1, covariance=covariance)(x[i].reshape(1, 8).double(), sigma[i].item())
        assert torch.allclose(found[i].cpu().flatten().double(), one[0], atol=1e-4)


@pytest.mark.parametrize("covariance", ["isotropic", "matched"])
def test_the_measured_comes_out(covariance):
    """Without noise in y, what the operator sees of the samples is y, within the last noise of the chains."""
    guided = Conditioned(COLOURS, LinearGuide(COLOURS, torch.ones(1, 3) / 3, [0.4], covariance=covariance))
    x = last(probability_flow(guided, 10 * normal(50, 3), geometric(10, 0.003, 60)))
    assert (x.mean(1) - 0.4).abs().max() < 0.01


def test_four_numbers_of_which_two_means_are_known():
    """500 of each against 500 of the posterior, of three components with much to say: weights 0.33, 0.43, 0.24."""
    means, _, weights, full = mixture_parameters(4, "(K, D, D)", seed=7)
    mixture = GaussianMixture(0.6 * means, full / 4, weights)
    a, y = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], dtype=F64), torch.tensor([-0.1, 0.3], dtype=F64)
    exact, start = mixture.given(a, y, noise=0.1), 60 * normal(500, 4, seed=60)
    truth = exact.sample(500, generator=seeded(50))
    guides = {
        kind: LinearGuide(mixture, a, y, noise=0.1, covariance=kind, data_std=0.7) for kind in ("isotropic", "matched")
    }
    scores = {"exact": exact, **{kind: Conditioned(mixture, guide) for kind, guide in guides.items()}}
    x = {name: last(probability_flow(score, start, geometric(60, 0.01, 60))) for name, score in scores.items()}
    p = {name: energy_test(samples, truth, generator=seeded())[1] for name, samples in x.items()}
    assert p["exact"] > 0.05 and p["matched"] > 0.05
    moved = x["exact"] + 0.5 * exact.covariances[0].diagonal().sqrt()  # what the test sees
    assert energy_test(moved, truth, generator=seeded())[1] < 0.01 and p["isotropic"] < 0.01
    assert energy_distance(x["isotropic"], truth) < 0.2 * energy_distance(mixture.sample(500), truth)  # and is of use


def test_colours_by_their_grey_are_inpainting_in_a_rotated_basis():
    """500 pixels of a known grey against the posterior: Algorithm 2 in the basis grey, and two colours.

    The four colours have one grey. Where theirs differ, Algorithm 2 gets the weights a little wrong, in any basis.
    """
    means = COLOURS.means - COLOURS.means.mean(1, keepdim=True) + 0.38
    colours, basis = GaussianMixture(means, COLOURS.covariances, COLOURS.weights), completed(torch.ones(1, 3))
    score, turned, ladder = Rotated(colours, basis), colours.rotated(basis), geometric(2, 0.01, 25)
    image = score.to_basis(torch.full((500, 3), 0.4, dtype=F64))
    settings = {"image": image, "mask": torch.tensor([1, 0, 0]), "eps": 4e-5, "n_steps_each": 20, "denoising": True}
    x = score.from_basis(last(inpaint(score, normal(500, 3), ladder, **settings, generator=seeded(1))))
    truth = turned.posterior([1, 0, 0], image[0]).sample(500, generator=seeded(2))
    truth = score.from_basis(torch.cat([image[:, :1], truth], 1))
    assert (x.mean(1) - 0.4).abs().max() < 1e-6
    assert energy_test(x, truth, generator=seeded())[1] > 0.05
    moved = truth + 0.5 * 0.06 * basis[1]  # by half a standard deviation, along a colour: what the test sees
    assert energy_test(x, moved, generator=seeded())[1] < 0.05


def contradicting(dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of rank 2, and a y that no x fits."""
    rows = normal(2, dim, seed=11)
    return torch.stack([rows[0], rows[1], rows[0] - 2 * rows[1]]), torch.tensor([0.4, -0.2, 2.0], dtype=F64)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("covariance", ["isotropic", "matched"])
@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6, 1e-9])
def test_a_measurement_that_contradicts_itself_pulls_by_what_it_can_mean(noise, covariance, dtype):
    """Against the pseudo-inverse: where noise is small, it is all that is left of the pull."""
    (a, y), x, width, sigma = contradicting(), normal(5, 4, seed=12), 0.6, 0.8
    data = GaussianMixture(torch.zeros(1, 4), width**2)
    guide = LinearGuide(data, a, y, noise=noise, covariance=covariance, data_std=width)
    kept = width**2 / (width**2 + sigma**2)  # dm/dx
    expected = (y - kept * x @ a.mT) @ torch.linalg.pinv(a, rtol=1e-9).mT / sigma**2  # kept / (sigma^2 kept)
    assert relative_error(guide(x.to(dtype), sigma), expected) < max(
        30 * noise**2, 1e-6 if dtype == torch.float32 else 1e-12
    )


def test_the_posterior_of_a_measurement_that_contradicts_itself_is_that_of_what_it_can_mean():
    """The weights of less and less noise are those of a least squares fit to y, measured by independent rows."""
    (a, y), means = contradicting(3), normal(2, 3, seed=13)
    mixture = GaussianMixture(means, [0.5, 0.3], [0.4, 0.6])
    fitted = torch.linalg.lstsq(a, y[:, None], driver="gelsd").solution[:, 0]
    expected = mixture.given(a[:2], a[:2] @ fitted, noise=1e-6)
    found = mixture.given(a, y, noise=1e-6)
    assert torch.allclose(found.means, expected.means, atol=1e-6)
    assert torch.allclose(found.weights, expected.weights, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_where_the_data_are_points_a_measurement_without_noise_says_nothing_that_x_does_not(dtype):
    """Near one of its points the denoised is that point, whatever x is."""
    points = Empirical(torch.tensor([[-1.0, 0.2, 0.0], [1.5, 0.0, 0.4], [0.1, 2.0, -1.0]]))
    guide = LinearGuide(points, torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, -2.0]]), [0.3, 0.1], covariance="matched")
    x = torch.tensor([[-0.99, 0.2, 0.0], [0.1, 2.0, -1.01]], dtype=dtype)
    assert torch.equal(guide(x, 0.02), torch.zeros_like(x))
    ends = last(probability_flow(Conditioned(points, guide), 8 * normal(20, 3).to(dtype), geometric(8, 0.002, 40)))
    assert ends.isfinite().all()


def test_a_score_of_nan_comes_through_to_the_sampler():
    nowhere = lambda x, sigma: x * math.nan  # noqa: E731
    guided = Conditioned(nowhere, LinearGuide(nowhere, A, [0.1], covariance="matched"))
    with pytest.raises(FloatingPointError, match="NaN"):
        last(ddim(guided, normal(2, 2), geometric(2, 0.1, 3)))


@pytest.mark.parametrize("covariance", ["isotropic", "matched"])
def test_a_sampler_asks_the_score_once_where_the_guide_has_asked_it(covariance):
    """And gets what two questions give. Whoever differentiates it has the score's own graph."""
    calls = []

    def score(x, sigma):
        calls.append(len(x))
        return MIXTURE(x, sigma)

    guide, x = LinearGuide(score, A, [0.2], noise=0.1, covariance=covariance), normal(5, 2)
    with torch.no_grad():
        together = Conditioned(score, guide, 1.5)(x, 0.7)
        assert len(calls) == 1
        apart = Conditioned(score, lambda x, sigma: guide(x, sigma), 1.5)(x, 0.7)
        assert len(calls) == 3 and torch.equal(together, apart)
        assert torch.equal(Conditioned(score, guide, 0)(x, 0.7), MIXTURE(x, 0.7)) and len(calls) == 4
        other = Conditioned(lambda x, sigma: 2 * MIXTURE(x, sigma), guide, 1.5)(x, 0.7)  # the guide is of another score
        torch.testing.assert_close(other, together + MIXTURE(x, 0.7))
    x.requires_grad_()
    ours = torch.autograd.grad(Conditioned(score, guide, 1.5)(x, 0.7).sum(), x)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(MIXTURE(x, 0.7).sum(), x)[0])


# ---- inside inference_mode, and of no rows --------------------------------------------------------------------------

GUIDES = {
    "classifier": lambda score: ClassifierGuide(lambda x, sigma: torch.cat([score(x, sigma), x], 1), 3),
    "isotropic": lambda score: LinearGuide(score, A, [0.2], noise=0.1),
    "matched": lambda score: LinearGuide(score, A, [0.2], noise=0.1, covariance="matched"),
    "energy": lambda score: EnergyScore(lambda x, sigma: (score(x, sigma) ** 2).sum(1)),
}


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("guide", GUIDES)
def test_guides_in_inference_mode_are_those_outside(guide, dtype):
    torch.manual_seed(0)
    for score in (NoiseConditionalMLP(2, (8,)).to(dtype), GaussianMixture(MIXTURE.means, 0.3)):
        ladder, x = geometric(3, 0.1, 5, dtype=dtype), normal(4, 2).to(dtype)
        expected = last(ddim(Conditioned(score, GUIDES[guide](score)), x, ladder))
        rows = GUIDES[guide](score)(x, ladder[:4])
        with torch.inference_mode():
            found = last(ddim(Conditioned(score, GUIDES[guide](score)), x.clone(), ladder.clone()))
            assert torch.equal(found, expected)
            assert torch.equal(GUIDES[guide](score)(x.clone(), ladder[:4].clone()), rows)


@pytest.mark.parametrize("guide", GUIDES)
def test_no_rows_are_guided_to_no_rows(guide):
    x = torch.empty(0, 2)
    assert GUIDES[guide](MIXTURE)(x, 0.3).shape == (0, 2)
    assert last(ddim(Conditioned(MIXTURE, GUIDES[guide](MIXTURE)), x, geometric(2, 0.1, 3))).shape == (0, 2)
    assert Rotated(MIXTURE, completed(A))(x, 0.3).shape == (0, 2)
    assert ClassifierGuide(NoisyClassifier(1, 8, 4).eval(), 1)(torch.empty(0, 1, 8, 8), 0.3).shape == (0, 1, 8, 8)


def test_a_label_is_a_number_of_any_integer_type_on_any_device(device):
    expected = ClassifierGuide(MIXTURE.logits, torch.tensor([2, 0]))(normal(2, 2), 0.3)
    for dtype in (torch.uint8, torch.int32, torch.int16):
        assert torch.equal(
            ClassifierGuide(MIXTURE.logits, torch.tensor([2, 0], dtype=dtype))(normal(2, 2), 0.3), expected
        )
    found = ClassifierGuide(lambda x, sigma: x, torch.tensor([1, 0]))(torch.ones(2, 2, device=device), 0.3)
    assert found.device.type == device.type
    assert torch.allclose(found.cpu(), torch.tensor([[-0.5, 0.5], [0.5, -0.5]]))


# ---- bases and operators --------------------------------------------------------------------------------------------


def test_a_basis_turns_the_channels_of_every_pixel():
    basis, x = completed(normal(1, 3)), normal(2, 3, 4, 5)

    def score(x, sigma, label=None):
        return x**2 if label is None else x

    found, seen = Rotated(score, basis)(x, 0.1), x[1, :, 2, 3]
    assert torch.allclose(found[1, :, 2, 3], basis @ (basis.T @ seen) ** 2)
    assert torch.allclose(Rotated(score, basis)(x, 0.1, label=3), x)  # told what a net is told
    large = completed(normal(2, 60))
    assert torch.allclose(Rotated(score, large).to_basis(x)[1].flatten(), large @ x[1].flatten())


def test_completed_keeps_the_rows_it_is_given():
    rows = torch.linalg.qr(normal(5, 2))[0].mT
    basis = completed(rows)
    assert torch.allclose(basis @ basis.mT, torch.eye(5, dtype=F64), atol=1e-12)
    assert torch.allclose(basis[:2], rows, atol=1e-12)
    assert torch.allclose(completed([[1, 1, 1]])[0], torch.full((3,), 3**-0.5, dtype=F64))


def test_the_matrix_of_an_operator_does_what_it_does():
    x, mask = normal(3, 2, 4, 4), normal(4, 4) > 0
    for f in (lambda x: F.avg_pool2d(x, 2), lambda x: x.mean(1), lambda x: x[:, :, mask], lambda x: x.cumsum(3)):
        assert torch.allclose(x.flatten(1) @ operator_of(f, (2, 4, 4)).mT, f(x).flatten(1), atol=1e-6)


def test_losses_and_likelihoods_differentiate_a_score_in_inference_mode_too():
    torch.manual_seed(0)
    net, x, ladder = NoiseConditionalMLP(2, (8,)).double(), normal(3, 2), geometric(5, 0.1, 4, dtype=F64)
    flow = partial(likelihood.log_likelihood, net, path=ladder, n_projections=None, rtol=1e-2)
    expected = implicit(net, x, 0.4), flow(x)
    with torch.inference_mode():
        x = x.clone()
        found = implicit(net, x, 0.4), flow(x)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_matrix_of_an_operator_with_weights_in_float32():
    torch.manual_seed(0)
    blur, x = torch.nn.Conv2d(2, 1, 3, bias=False).requires_grad_(False), normal(3, 2, 5, 5)
    for f in (blur, lambda x: blur(x.float()), lambda x: (blur(x.float()) / 1e4).double()):
        a = operator_of(f, (2, 5, 5))
        assert a.dtype == F64
        assert torch.allclose(x.flatten(1) @ a.mT, f(x.float()).flatten(1).double(), atol=1e-6)


# ---- digits ---------------------------------------------------------------------------------------------------------


def test_the_classifier_of_noisy_digits_sees_what_is_there_and_no_more():
    from ncsn_edu.datasets import load

    images, labels = load("digits", split="test")
    classifier, x = load_guide("digits").classifier, images.float() / 255

    def told(sigma):
        with torch.no_grad():
            return classifier(x + sigma * noise_like(x, seeded()), sigma).softmax(1)

    right = {sigma: (told(sigma).argmax(1) == labels).double().mean().item() for sigma in (0.01, 0.3, 1.0)}
    assert right[0.01] > 0.98 and right[0.3] > 0.85 and 0.3 < right[1.0] < 0.6
    assert told(79.0).max(1).values.mean() < 0.15


@pytest.mark.parametrize("how", ["classifier", "told"])
def test_the_share_of_the_class_rises_with_the_scale(how):
    """16 digits by a few steps: at scale 0 of all classes, at scale 3 nearly all of the class, and more alike."""
    from ncsn_edu.sampling import guided

    net = load_trained("ddpm_digits" if how == "classifier" else "digits_classes")
    ladder, judge = net.recipe.noise.shorter(12, "karras"), load_judge("digits")
    start = ladder[0] * noise_like(torch.empty(16, *net.shape), seeded())

    def measured(scale):
        x = last(ddim(guided(net, 4, scale).score, start, ladder)).clamp(0, 1)
        return (judge(x).argmax(1) == 4).double().mean().item(), x.std(0).mean().item()

    (none, _), (some, width), (nearly_all, less) = (measured(scale) for scale in (0, 1, 3))
    assert none < 0.4 and some > 0.6 and nearly_all > 0.85 and less < 0.95 * width


def test_a_larger_scale_costs_recall_and_not_precision():
    """80 digits of all classes, at scales 1 and 4."""
    from ncsn_edu.datasets import load
    from ncsn_edu.features import classifier_net, extract
    from ncsn_edu.metrics import precision_recall

    net, features, labels = load_trained("digits_classes"), classifier_net("digits"), torch.arange(10).repeat(8)
    real, ladder = extract(load("digits", split="test")[0][:400], features), net.recipe.noise.shorter(12, "karras")
    start, found = ladder[0] * noise_like(torch.empty(80, *net.shape), seeded()), []
    for scale in (1.0, 4.0):
        x = last(ddim(Guided(net.score, labels, scale), start, ladder)).clamp(0, 1)
        found.append([m.value for m in precision_recall(extract(x, features), real, n_bootstrap=2)])
    assert found[1][1] < found[0][1] - 0.1 and min(found[0][0], found[1][0]) > 0.85


# ---- bad input ------------------------------------------------------------------------------------------------------


def guide_of(a=((1.0, -0.5),), y=(0.3,), **settings):
    return LinearGuide(MIXTURE, torch.tensor(a), torch.tensor(y), **settings)


CUT = "has no gradient with respect to x.*detached from it"
WEIGHT = torch.ones(1, requires_grad=True, dtype=F64)


def asks_elsewhere(x, sigma):
    """A score with weights, of which the graph knows, and of x cut off from it."""
    return WEIGHT * MIXTURE(x.detach(), sigma)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: guide_of(noise=-0.1), "sigma is a standard deviation"),
        (lambda: guide_of(noise=math.nan), "sigma is a standard deviation"),
        (lambda: guide_of(y=(math.nan,)), "y holds NaN.*leave out the rows"),
        (lambda: guide_of(a=((math.inf, 0.0),)), "the operator holds NaN or infinite"),
        (lambda: guide_of(y=(0.1, 0.2)), r"y must hold the 1 numbers.*not \(2,\)"),
        (lambda: guide_of(a=(1.0, 2.0)), r"a matrix of shape \(M,"),
        (lambda: guide_of(a=((1.0, 2.0), (0.0, 0.0)), y=(0.1, 0.2)), "row 1 of the operator is zero.*leave it out"),
        (lambda: guide_of(a=((1.0, 2.0), (2.0, 4.0)), y=(0.1, 0.2)), r"dependent \(rank 1\).*give noise="),
        (lambda: guide_of(covariance="true"), "covariance must be isotropic or matched"),
        (lambda: guide_of(data_std=0.0), "data_std must be"),
        (lambda: guide_of(a=((1.0, 2.0, 3.0),))(normal(2, 2), 0.1), r"points of 3 numbers.*operator_of\(f, \(2,\)\)"),
        (lambda: guide_of(y=((0.1,), (0.2,)))(normal(3, 2), 0.1), "y has 2 rows and x 3"),
        (lambda: guide_of()(normal(3, 2), 0.0), "sigma must be above 0"),
        (lambda: MIXTURE.given(A, [0.1], noise=0.0), r"noise .*use mixture.rotated\(completed\(A\)\).posterior"),
        (lambda: MIXTURE.given(A[:, :1], [0.1], noise=0.1), r"shape \(M, 2\)"),
        (lambda: MIXTURE.given(A, [math.nan], noise=0.1), "y holds NaN"),
        (lambda: MIXTURE.given(A, [[0.1]], noise=0.1), r"one y, shape \(1,\)"),
        (lambda: MIXTURE.rotated(2 * torch.eye(2)), "must be orthogonal.*completed"),
        (lambda: MIXTURE.rotated(torch.eye(3)), r"shape \(2, 2\)"),
        (lambda: Rotated(MIXTURE, torch.eye(3))(normal(4, 2), 0.1), "a basis of 3 vectors"),
        (lambda: Rotated(MIXTURE, torch.ones(2, 2)), "must be orthogonal"),
        (lambda: completed([[0.0, 0.0]]), "row 0 of the operator is zero"),
        (lambda: completed([[1.0, 2.0], [2.0, 4.0]]), "linearly dependent"),
        (lambda: completed(torch.eye(3)[:, :2]), "M of 1 to D"),
        (lambda: operator_of(lambda x: x + 1, (2,)), "f is not linear"),
        (lambda: operator_of(lambda x: x.clamp(min=0), (2,)), "f is not linear"),
        (lambda: operator_of(lambda x: x, (0,)), "each number of the shape"),
        (lambda: ClassifierGuide(MIXTURE.logits, 3)(normal(2, 2), 0.1), "label must be 0 to 2.*not 3"),
        (lambda: ClassifierGuide(MIXTURE.logits, -1), "label is a class: it must be 0 or more, not -1"),
        (lambda: ClassifierGuide(MIXTURE.logits, torch.tensor([0, -4])), "label is a class.*not -4"),
        (lambda: ClassifierGuide(MIXTURE.logits, torch.tensor([True, False])), "label is a class.*whole numbers"),
        (lambda: ClassifierGuide(MIXTURE.logits, None), "label is a class.*whole numbers, not None"),
        (lambda: ClassifierGuide(lambda x, sigma: MIXTURE.logits(x, sigma).detach(), 1)(normal(2, 2), 0.1), CUT),
        (lambda: ClassifierGuide(NoisyClassifier(1, 8, 4), 1)(torch.rand(2, 1, 8, 8), 0.1), r"classifier.eval\(\)"),
        (lambda: EnergyScore(lambda x, sigma: torch.zeros(len(x)))(normal(2, 2), 0.1), f"the energy {CUT}"),
        (lambda: LinearGuide(torch.no_grad()(MIXTURE.__call__), A, [0.1])(normal(2, 2), 0.1), f"the score {CUT}"),
        (lambda: LinearGuide(torch.inference_mode()(MIXTURE.__call__), A, [0.1])(normal(2, 2), 0.1), CUT),
        (lambda: LinearGuide(asks_elsewhere, A, [0.1])(normal(2, 2), 0.1), CUT),
        (lambda: LinearGuide(asks_elsewhere, A, [0.1], covariance="matched")(normal(2, 2), 0.1), CUT),
        (lambda: operator_of(lambda x: 1e-6 * x.clamp(min=0), (3,)), "f is not linear"),
        (lambda: operator_of(lambda x: x - 1e-8, (3,)), "f is not linear"),
        (lambda: operator_of(lambda x: x.mean(), (3,)), "a row for each row of x"),
        (lambda: operator_of(lambda x: x.mean(0), (3, 2)), "f returned shape .*a row for each row of x"),
        (lambda: completed([[1.0, 0.0, 0.0], [0.0, math.inf, 1.0]]), "holds NaN or infinite"),
        (lambda: MIXTURE.given(A, [0.1], noise=math.nan), "noise must be a finite number above 0, not nan"),
        (lambda: NoisyClassifier(1, 8, n_classes=1.5), "n_classes must be a whole number"),
        (lambda: ResNet(1, 8, n_classes=-1), "n_classes must be a whole number"),
        (lambda: NoisyClassifier(1, 8, 4)(torch.rand(2, 1, 12, 12), 0.1), "images of 8 x 8, not 12 x 12.*resize"),
        (lambda: Classifier(1, 8, 4)(torch.rand(2, 1, 16, 16)), "images of 8 x 8, not 16 x 16"),
        (lambda: ClassifierGuide(MIXTURE.logits, torch.tensor([0, 1]))(normal(3, 2), 0.1), "label is a class for each"),
        (lambda: ClassifierGuide(MIXTURE.logits, 0.5), "label is a class.*whole numbers"),
        (lambda: ClassifierGuide(lambda x, sigma: x[:, 0], 0)(normal(2, 2), 0.1), r"logits .*\(2, n_classes\)"),
        (lambda: Conditioned(MIXTURE, lambda x, sigma: x[:, :1])(normal(2, 2), 0.1), "as a guide; it must return"),
        (lambda: Conditioned(MIXTURE, MIXTURE, math.nan), "scale must be"),
        (lambda: Conditioned(MIXTURE, MIXTURE, False), "scale must be a finite number of 0 or more"),
        (lambda: Conditioned(MIXTURE, None), "a guide is a function.*ClassifierGuide"),
        (lambda: NoisyClassifier(1, 8)(torch.rand(2, 1, 8, 8), 0.0), "sigma must be above 0"),
        (lambda: load_guide("cifar10"), "no classifier of noisy cifar10 images.*only of digits"),
    ],
)  # fmt: skip
def test_bad_input(make, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make()
