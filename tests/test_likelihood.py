"""Likelihood by the flow: against the densities of mixtures, with the trace and without; bits a dimension."""

import math

import pytest
import torch
from helpers import F64, FALSE_ALARM_Z, mixture_parameters, normal, seeded, torch_mixture
from pretended import KIND

from ncsn_edu.distributions import GaussianMixture, UniformBoxes
from ncsn_edu.likelihood import bits_of_images, bits_per_dim, log_likelihood
from ncsn_edu.odes import NotSolved
from ncsn_edu.schedules import geometric
from ncsn_edu.sdes import EDM, VE, VP, SubVP

PATHS = [VE(0.01, 50), VP(t_min=1e-4), SubVP()]
each_path = pytest.mark.parametrize("sde", PATHS, ids=lambda sde: type(sde).__name__)


def mixtures(dim, kind="(K, D, D)"):
    means, covariances, weights, full = mixture_parameters(dim, kind)
    return GaussianMixture(means, covariances, weights), (means, full, weights)


def log_density(parameters, sde, t):
    """log p_t, of x in the letters of the SDE: of another library."""
    scale = sde.scale(t)
    noisy = torch_mixture(*parameters, sde.sigma(t))
    return lambda x: noisy.log_prob(x / scale) - x.shape[1] * math.log(scale)


@each_path
@pytest.mark.parametrize("dim", [2, 10])
def test_it_is_the_density_of_a_mixture(sde, dim):
    """Within 1e-3 nats, with the density of x_T that is known here: what is left is the solver's error."""
    score, parameters = mixtures(dim)
    x = sde.scale(sde.t_min) * score.sample(12, generator=seeded(1))
    options = {"rtol": 1e-6, "atol": 1e-6, "n_projections": None}
    found = log_likelihood(score, x, sde, prior=log_density(parameters, sde, sde.T), **options)
    torch.testing.assert_close(found, log_density(parameters, sde, sde.t_min)(x), atol=1e-3, rtol=0)


@pytest.mark.parametrize("dim", [2, 10])
def test_with_the_prior_of_the_sde_too_where_nothing_is_left_of_the_data(dim):
    score, parameters = mixtures(dim)
    sde = VP(0.1, 40.0, t_min=1e-4)
    x = sde.scale(sde.t_min) * score.sample(12, generator=seeded(1))
    found = log_likelihood(score, x, sde, n_projections=None, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, log_density(parameters, sde, sde.t_min)(x), atol=1e-3, rtol=0)


def test_what_a_wrong_prior_costs_is_seen():
    """The flow of VE ends in p_T, which is not quite N(0, sigma_max^2 I)."""
    mean = torch.tensor([[4.0, 0.0]], dtype=F64)
    score, sde = GaussianMixture(mean, 1.0), VE(0.01, 20)
    x = mean + torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 2.0]], dtype=F64)
    options = {"n_projections": None, "rtol": 1e-7, "atol": 1e-7}
    off = log_likelihood(score, x, sde, **options) - score.log_prob(x, sde.sigma(sde.t_min))
    end = mean + (x - mean) * math.sqrt((1 + 400) / (1 + sde.sigma(sde.t_min) ** 2))
    expected = ((end - mean).square().sum(1) / 401 - end.square().sum(1) / 400) / 2 + math.log(401 / 400)
    torch.testing.assert_close(off, expected, atol=1e-4, rtol=0)
    assert off.abs().max() > 0.1


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_fixed_steps_and_ladders_do_it_as_well(solver):
    score, parameters = mixtures(2, "scalar")
    x = score.sample(8, generator=seeded(1))
    ladder = geometric(50, 0.01, 1200 if solver == "heun" else 8000).double()[:: 1 if solver == "heun" else 4]
    sde = VE(0.01, 50)
    found = log_likelihood(score, x, ladder, n_projections=None, solver=solver, prior=log_density(parameters, sde, 1.0))
    true = torch_mixture(*parameters, 0.01).log_prob(x)
    torch.testing.assert_close(found, true, atol={"heun": 1e-3, "euler": 0.05}[solver], rtol=0)


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_projections_are_unbiased_and_more_of_them_scatter_less(distribution):
    """400 estimates of one log p: their mean by a z test, their spread 1 / sqrt(n) of that of one projection."""
    score, _ = mixtures(6)
    x = score.sample(1, generator=seeded(1)).expand(400, 6)
    options = {"solver": "heun", "n_steps": 40}
    exact = log_likelihood(score, x[:1], VP(), n_projections=None, **options)
    spreads = []
    for n in (1, 4):
        draws = {"n_projections": n, "distribution": distribution, "generator": seeded(n)}
        found = log_likelihood(score, x, VP(), **draws, **options)
        spreads.append(found.std().item())
        assert abs(found.mean() - exact).item() < FALSE_ALARM_Z * spreads[-1] / math.sqrt(400)
    assert spreads[0] / spreads[1] == pytest.approx(2, rel=5.3 * math.sqrt(2 / (2 * 400)))
    assert spreads[0] > 0.05


def test_signs_scatter_less_than_gaussian_directions_and_not_at_all_without_mixed_terms():
    """The score of a Gaussian along the coordinates has a diagonal Jacobian J, and v' J v is its trace for signs v."""
    score = GaussianMixture(torch.zeros(1, 4, dtype=F64), torch.tensor([[0.1, 0.5, 1.0, 2.0]], dtype=F64))
    x = normal(1, 4, seed=2).expand(50, 4)
    spread = {
        kind: log_likelihood(score, x, VP(), solver="heun", n_steps=30, distribution=kind, generator=seeded(1)).std()
        for kind in ("rademacher", "gaussian")
    }
    assert spread["rademacher"] < 1e-12 and spread["gaussian"] > 0.1


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_projections_do_not_scatter_where_the_flow_stands_still(distribution):
    """N(0, I) under VP: the flow moves nothing, and its drift and its score cancel for each direction."""
    score, x = GaussianMixture(torch.zeros(1, 4, dtype=F64), 1.0), normal(50, 4, seed=2)
    found = log_likelihood(score, x, VP(), distribution=distribution, generator=seeded(1))
    torch.testing.assert_close(
        found,
        torch_mixture(torch.zeros(1, 4, dtype=F64), torch.eye(4, dtype=F64)[None], torch.ones(1, dtype=F64)).log_prob(
            x
        ),
        atol=2e-4,
        rtol=0,
    )


def test_a_density_integrates_to_one():
    """exp(log p) on a grid, for a score that nobody normalised: that of N(0, 1) and a little more."""
    grid = torch.linspace(-9, 9, 601, dtype=F64)[:, None]

    def score(x, sigma):
        return -(x + 0.3 * x.sin()) / (1 + sigma**2)

    p = log_likelihood(score, grid, VE(0.01, 30), n_projections=None, rtol=1e-6, atol=1e-6).exp()
    assert torch.trapezoid(p, grid[:, 0]).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("shape", [(3, 4), (3, 1, 2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("n_projections", [1, None])
def test_any_shape_dtype_and_device(shape, dtype, n_projections, device):
    score, _ = mixtures(4, "scalar")
    x = normal(*shape, seed=1, dtype=dtype).to(device)

    def shaped(x, sigma):
        return score(x.flatten(1), sigma).view_as(x)

    for options in ({"solver": "adaptive", "rtol": 1e-2, "atol": 1e-2}, {"solver": "heun", "n_steps": 6}):
        draws = {"n_projections": n_projections, "generator": seeded(1, device)}
        found = log_likelihood(shaped, x, VP(), **draws, **options)
        assert found.shape == (3,) and found.dtype == dtype and found.device == x.device and not found.requires_grad
        flat = log_likelihood(score, x.flatten(1), VP(), **{**draws, "generator": seeded(1, device)}, **options)
        torch.testing.assert_close(found, flat)


def test_without_float64_it_is_as_on_the_cpu(far):
    score, _ = mixtures(2, "scalar")
    x = normal(5, 2, seed=1, dtype=torch.float32)
    there, here = (
        log_likelihood(score, x.to(kind), VP(), distribution="gaussian", generator=seeded(1, kind))
        for kind in (KIND, "cpu")
    )
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-3)


def test_a_uniform_density_scores_the_logarithm_of_the_number_of_levels():
    for levels in (2, 17, 256):
        assert bits_per_dim(torch.zeros(3, dtype=F64), 64, levels).tolist() == pytest.approx(
            3 * [math.log2(levels)], abs=1e-9
        )
    # of two values of a pixel one has the probability 3/4: x is uniform on each half
    log_p = torch.tensor([math.log(0.75 * 2), math.log(0.25 * 2)], dtype=F64)
    assert bits_per_dim(log_p, 1, 2).tolist() == pytest.approx([-math.log2(0.75), 2.0])


def test_bits_bound_those_of_the_grey_levels():
    """A density of two pixels: the mean over u is at least -log2 of the cell's probability, and near it if small."""
    _, (means, full, weights) = mixtures(2, "scalar")
    p = torch_mixture(means, full, weights)
    levels, span = 64, 8.0  # x in [-4, 4], y = (x + 4) / 8 in [0, 1]
    k = torch.tensor([29.0, 40.0], dtype=F64)
    u = torch.rand(20_000, 2, generator=seeded(1), dtype=F64)
    log_p = p.log_prob((k + u) / levels * span - span / 2) + 2 * math.log(span)
    exact = -(log_p.exp().mean() / levels**2).log2().item() / 2
    bound = bits_per_dim(log_p, 2, levels).mean().item()
    assert exact <= bound < exact + 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_projections": 0}, "n_projections must be a whole number of at least 1"),
        ({"distribution": "sphere"}, "distribution must be rademacher or gaussian, not 'sphere'"),
        ({"rtol": 0.0}, "rtol must be a finite number above 0"),
        ({"n_steps": 9}, "chooses its steps: leave out n_steps="),
        ({"solver": "heun"}, "give n_steps="),
    ],
)
def test_bad_input_is_found_at_the_call(options, message):
    def nothing(x, sigma):
        raise AssertionError("the score is not to be asked")

    with pytest.raises(ValueError, match=message):
        log_likelihood(nothing, torch.zeros(3, 2), VP(), **options)


@pytest.mark.parametrize("sde", [VP(), VE(0.01, 20), SubVP()], ids=lambda sde: type(sde).__name__)
@pytest.mark.parametrize("n_projections", [2, None])
@pytest.mark.parametrize("cut", [torch.no_grad(), None])
def test_a_score_that_is_cut_from_x_is_refused(sde, n_projections, cut):
    """Its divergence would pass for 0, and log p for that of the drift alone."""
    net = torch.nn.Linear(2, 2)

    def score(x, sigma):
        if cut is None:
            return torch.from_numpy(-x.detach().numpy())
        with cut:
            return net(x)

    options = {"n_projections": n_projections, "n_steps": 3, "solver": "heun"}
    with pytest.raises(ValueError, match=r"the score has no gradient with respect to x: .*detached"):
        log_likelihood(score, torch.zeros(4, 2), sde, **options)


@pytest.mark.parametrize(
    ("prior", "error", "message"),
    [
        (lambda x: torch.zeros(len(x), 1), ValueError, r"shape \(3,\), not \(3, 1\): sum over the coordinates"),
        (torch.distributions.Normal(0.0, 1.0).log_prob, ValueError, r"not \(3, 2\): sum over .* by .sum\(1\)"),
        (lambda x: 0.0, ValueError, "not float"),
        (1.0, TypeError, "prior is the log density of x_T, a function"),
    ],
)
def test_a_prior_gives_one_number_a_row(prior, error, message):
    with pytest.raises(error, match=message):
        log_likelihood(mixtures(2)[0], torch.zeros(3, 2), VP(), n_steps=2, solver="euler", prior=prior)


def test_it_works_in_inference_mode_and_alone_as_in_a_batch():
    score, x = mixtures(2)[0], normal(5, 2, seed=1)
    options = {"n_projections": None, "rtol": 1e-7, "atol": 1e-7}
    found = log_likelihood(score, x, VP(), **options)
    with torch.inference_mode():
        torch.testing.assert_close(log_likelihood(score, x.clone(), VP(), **options), found)
    alone = torch.cat([log_likelihood(score, row[None], VP(), **options) for row in x])
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=0)
    assert log_likelihood(score, x[:0], VP()).shape == (0,)


def test_a_ladder_of_one_level_is_no_path():
    with pytest.raises(ValueError, match="a ladder of one level is no path"):
        log_likelihood(mixtures(2)[0], torch.zeros(3, 2), torch.tensor([1.0]), solver="heun")


@pytest.mark.parametrize("levels", [5, 17])
def test_a_uniform_density_of_images_scores_the_logarithm_of_the_number_of_levels(levels):
    """Uniform on all that grey levels with u become: an interval of (levels) / (levels - 1) around 1/2, each pixel."""
    boxes = UniformBoxes(torch.full((1, 2), 0.5, dtype=F64), levels / (levels - 1))

    def score(x, sigma):
        return boxes(x.flatten(1), sigma).view_as(x)

    images = torch.tensor([[1, 2], [3, 2]], dtype=F64).view(2, 1, 1, 2) / (levels - 1)
    path = EDM(1e-3, 1e3)
    options = {"n_projections": None, "generator": seeded(1), "rtol": 1e-7, "atol": 1e-7}
    options["prior"] = lambda x: boxes.log_prob(x.flatten(1), 1e3)  # whose mean is not 0
    found = bits_of_images(score, images, path, levels=levels, **options)
    assert found.tolist() == pytest.approx([math.log2(levels)] * 2, abs=1e-5)


@pytest.mark.parametrize("wrong", [lambda x: 255 * x, lambda x: 2 * x - 1, lambda x: x / 0 * 0])
def test_images_of_another_range_have_no_such_bits(wrong):
    with pytest.raises(ValueError, match=r"images are in \[0, 1\] here, not from .*: pass \(x \+ 1\) / 2, or x / 255"):
        bits_of_images(mixtures(2)[0], wrong(torch.linspace(0, 1, 8).view(2, 1, 2, 2)), VP())


def test_an_unfinished_integral_is_no_likelihood():
    with pytest.raises(NotSolved, match="max_evaluations = 9: allow more"):
        log_likelihood(mixtures(2)[0], torch.zeros(3, 2), VP(), max_evaluations=9)


def test_bits_of_nothing():
    for call in (lambda: bits_per_dim(torch.zeros(1), 0, 256), lambda: bits_per_dim(torch.zeros(1), 64, 1)):
        with pytest.raises(ValueError, match="must be a whole number of at least"):
            call()
