"""The losses against each other through their known constants, torch.func, and closed forms."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ncsn_edu import EnergyScore, GaussianMixture, NoiseConditionalMLP, ScoreMLP, ScoreResNet, geometric, losses
from ncsn_edu.schedules import nearest_level

F64 = torch.float64
DISTRIBUTIONS = ["rademacher", "gaussian", "sphere"]


def a_mixture(dim: int) -> GaussianMixture:
    generator = torch.Generator().manual_seed(dim)
    roots = 0.4 * torch.randn(3, dim, dim, generator=generator, dtype=F64)
    means = 1.5 * torch.randn(3, dim, generator=generator, dtype=F64)
    return GaussianMixture(means, roots @ roots.mT + 0.5 * torch.eye(dim, dtype=F64), [0.2, 0.3, 0.5])


def a_net(dim: int, seed: int = 0) -> ScoreMLP:
    torch.manual_seed(seed)
    return ScoreMLP(dim, [16]).double()


def any_level(net):
    """The net as a Score that takes any sigma and does not look at it."""
    return lambda x, sigma: net(x)


def assert_zero_mean(values: torch.Tensor, limit: float = 4.5) -> None:
    """The mean of independent rows is zero within `limit` standard errors (false alarm below 1e-5 a number)."""
    error = values.std(0) / len(values) ** 0.5
    assert (values.mean(0).abs() <= limit * error + 1e-12).all(), f"{values.mean(0)} with standard error {error}"


def parameter_gradients(net, loss_of_batch, batches: int) -> torch.Tensor:
    """One row of gradients with respect to all parameters for each batch, shape (batches, P)."""
    rows = []
    for index in range(batches):
        gradient = torch.autograd.grad(loss_of_batch(index).mean(), list(net.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradient]))
    return torch.stack(rows)


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_implicit_and_its_constant_are_explicit(dim):
    mixture, net = a_mixture(dim), a_net(dim)
    x = mixture.sample(40_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        constant = 0.5 * mixture(x).square().sum(1)
        gap = losses.implicit(net, x, rows_at_once=dim) + constant - losses.explicit(net, x, mixture)
    assert_zero_mean(gap)
    assert gap.std() > 0.1  # they agree on average only


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_gradients_of_implicit_are_those_of_explicit(dim):
    mixture, net = a_mixture(dim), a_net(dim)
    generator = torch.Generator().manual_seed(2)
    x = mixture.sample(60 * 500, generator=generator).split(500)
    gap = parameter_gradients(net, lambda i: losses.implicit(net, x[i]) - losses.explicit(net, x[i], mixture), 60)
    assert_zero_mean(gap, limit=5.5)  # some hundreds of numbers are looked at


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_denoising_less_its_floor_is_explicit_to_the_noisy_density(dim):
    mixture, net, sigma = a_mixture(dim), any_level(a_net(dim)), 0.7
    x = mixture.sample(40_000, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        same = [torch.Generator().manual_seed(4) for _ in range(3)]
        noisy = x + sigma * torch.randn(x.shape, generator=same[0], dtype=F64)
        denoising = losses.dsm(net, x, sigma, generator=same[1])
        floor = losses.dsm_floor(mixture, x, sigma, generator=same[2])
        assert_zero_mean(denoising - floor - sigma**2 * losses.explicit(net, noisy, mixture, sigma))


@pytest.mark.parametrize("dim", [1, 2, 8])
def test_gradients_of_denoising_are_those_of_explicit(dim):
    mixture, net, sigma = a_mixture(dim), a_net(dim), 0.7
    x = mixture.sample(60 * 1000, generator=torch.Generator().manual_seed(5)).split(1000)

    def gap(index: int) -> torch.Tensor:
        first, second = (torch.Generator().manual_seed(index) for _ in range(2))
        noisy = x[index] + sigma * torch.randn(x[index].shape, generator=first, dtype=F64)
        denoising = losses.dsm(any_level(net), x[index], sigma, generator=second)
        return denoising - sigma**2 * losses.explicit(any_level(net), noisy, mixture, sigma)

    assert_zero_mean(parameter_gradients(net, gap, 60), limit=5.5)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 20.0])
def test_the_floor_of_a_gaussian_is_its_closed_form(sigma):
    variances = torch.tensor([0.04, 1.0, 9.0], dtype=F64)
    gaussian = GaussianMixture([[1.0, 0.0, -2.0]], variances[None])
    x = gaussian.sample(100_000, generator=torch.Generator().manual_seed(6)).double()
    exact = 0.5 * (variances / (variances + sigma**2)).sum()  # half the posterior variance of z, direction by direction
    assert_zero_mean(losses.dsm(gaussian, x, sigma) - exact)
    for rows in (1, 3):
        floor = losses.dsm_floor(gaussian, x, sigma, rows_at_once=rows)
        torch.testing.assert_close(floor, exact.expand(len(x)), rtol=1e-9, atol=0)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 2.0, 6.0, 40.0])
def test_the_floor_is_unbiased_and_scatters_less_than_the_loss(sigma):
    mixture = GaussianMixture([[-3.0], [4.0]], [[0.3], [2.0]], [0.7, 0.3])
    clean, z = torch.linspace(-8, 13, 1501).double(), torch.linspace(-6, 6, 241).double()
    weights = (mixture.log_prob(clean[:, None])[:, None] - z**2 / 2).flatten().softmax(0)  # of each pair (x, z)
    residual = sigma * mixture((clean[:, None] + sigma * z).reshape(-1, 1), sigma)[:, 0] + z.repeat(len(clean))
    exact = 0.5 * (weights * residual**2).sum()

    x = mixture.sample(40_000, generator=torch.Generator().manual_seed(7)).double()
    floor, loss = (
        estimate(mixture, x, sigma, generator=torch.Generator().manual_seed(8))
        for estimate in (losses.dsm_floor, losses.dsm)
    )
    assert_zero_mean(floor - exact)
    assert floor.std() < 0.8 * loss.std()
    by_row = losses.dsm_floor(mixture, x[:3], torch.full((3,), sigma, dtype=F64), generator=torch.Generator())
    torch.testing.assert_close(by_row, losses.dsm_floor(mixture, x[:3], sigma, generator=torch.Generator()))


def test_the_floor_is_a_plain_number_for_images_and_nets_too():
    torch.manual_seed(0)
    net, images = ScoreResNet(channels=1, width=4, blocks=1), torch.rand(3, 1, 4, 4)
    floor = losses.dsm_floor(lambda x, sigma: net(x), images, 0.3)
    assert floor.shape == (3,) and not floor.requires_grad
    assert losses.dsm_floor(lambda x, sigma: net(x), images, 0.0).tolist() == [8.0] * 3


@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_a_zero_score_costs_half_the_dimension(shape):
    x = torch.rand(20_000, *shape)
    loss = losses.dsm(lambda x, sigma: torch.zeros_like(x), x, 0.3)
    assert_zero_mean(loss - x[0].numel() / 2)
    assert losses.implicit(lambda x, sigma: 0 * x, x[:7]).tolist() == [0.0] * 7


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (F64, 1e-10)])
@pytest.mark.parametrize("rows_at_once", [1, 3, 100])
def test_exact_trace_is_that_of_torch_func(dtype, tolerance, rows_at_once):
    torch.manual_seed(7)
    net = ScoreResNet(channels=2, width=4, blocks=2).to(dtype)
    x = torch.rand(3, 2, 4, 4, dtype=dtype)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda row: net(row[None])[0].flatten()))(x).flatten(2)
    trace = torch.stack([jacobian.trace() for jacobian in jacobians])
    got = losses.implicit(net, x, rows_at_once=rows_at_once) - 0.5 * net(x).flatten(1).square().sum(1)
    torch.testing.assert_close(got, trace, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variance_reduced", [True, False])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_sliced_is_unbiased_for_implicit(distribution, variance_reduced):
    net, rows = a_net(3), 20_000
    x = torch.tensor([[0.3, -1.0, 0.8]], dtype=F64).repeat(rows, 1)  # one point, many directions
    options = {"distribution": distribution, "variance_reduced": variance_reduced, "n_projections": 2}
    with torch.no_grad():
        sliced = losses.sliced(net, x, generator=torch.Generator().manual_seed(8), **options)
        assert_zero_mean(sliced - losses.implicit(net, x[:1]))
    assert sliced.std() > 0


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_directions_have_the_identity_as_second_moment(distribution):
    v = losses.projection(torch.zeros(50_000, 2, 2, dtype=F64), distribution).flatten(1)
    second = v[:, :, None] * v[:, None, :]
    assert_zero_mean((second - torch.eye(4, dtype=F64)).flatten(1))
    if distribution == "sphere":
        torch.testing.assert_close(v.norm(dim=1), torch.full((50_000,), 2.0, dtype=F64))
    if distribution == "rademacher":
        assert set(v.unique().tolist()) == {-1.0, 1.0}


def test_more_projections_scatter_less_and_the_reduced_form_less_than_the_plain():
    net = a_net(4)
    x = torch.full((20_000, 4), 0.5, dtype=F64)
    with torch.no_grad():
        one, four = (losses.sliced(net, x, n_projections=n).var() for n in (1, 4))
        plain = losses.sliced(lambda x, sigma: 3 - x, x, distribution="gaussian", variance_reduced=False).var()
        reduced = losses.sliced(lambda x, sigma: 3 - x, x, distribution="gaussian").var()
    assert four / one == pytest.approx(0.25, rel=0.1)
    assert reduced < plain / 2


def test_multilevel_visits_every_level_and_averages_the_single_ones():
    sigmas, seen = geometric(2, 0.1, 4), []

    def zero(x, sigma):
        seen.append(sigma)
        return torch.zeros_like(x)

    loss = losses.multilevel_dsm(zero, torch.zeros(20_000, 2), sigmas, generator=torch.Generator().manual_seed(9))
    counts = torch.stack([(seen[0] == sigma).sum() for sigma in sigmas])
    assert counts.sum() == 20_000 and ((counts - 5000).abs() < 4.5 * (20_000 * 0.25 * 0.75) ** 0.5).all()
    assert_zero_mean(loss - 1.0)


def score_is_at_the_noisy_point(x, sigma):
    return -x / sigma**2


def test_denoising_asks_at_the_noisy_point():
    """Data at 0: the score -x~/sigma^2 is perfect at x~ and would be 0 at the clean point."""
    x = torch.zeros(100, 3)
    assert losses.dsm(score_is_at_the_noisy_point, x, 0.5).max() < 1e-10


EVERY_LOSS = {
    "explicit": lambda s, x: losses.explicit(s, x, lambda x, sigma: -x, 0.5),
    "implicit": lambda s, x: losses.implicit(s, x, 0.5),
    "sliced": lambda s, x: losses.sliced(s, x, 0.5),
    "dsm": lambda s, x: losses.dsm(s, x, 0.5),
    "multilevel": lambda s, x: losses.multilevel_dsm(s, x, geometric(1, 0.1, 3)),
}


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_energies_and_nets_train_with_every_loss(name):
    """On N(0, I) each loss must bring a score closer to -x, from the same start."""
    torch.manual_seed(10)
    energy = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Softplus(), torch.nn.Linear(16, 1))
    for score in (EnergyScore(lambda x, sigma, e=energy: e(x)[:, 0]), NoiseConditionalMLP(2, [16])):
        parameters = list(energy.parameters()) if isinstance(score, EnergyScore) else list(score.parameters())
        optimiser, data = torch.optim.Adam(parameters, lr=0.02), torch.randn(2000, 2)
        start, gradients = EVERY_LOSS[name](score, data).mean().item(), []
        for _ in range(150):
            loss = EVERY_LOSS[name](score, torch.randn(128, 2)).mean()
            optimiser.zero_grad()
            loss.backward()
            gradients.append(sum(p.grad.abs().sum().item() for p in parameters if p.grad is not None))
            optimiser.step()
        assert min(gradients) > 0
        assert EVERY_LOSS[name](score, data).mean().item() < start - 0.05


@pytest.mark.parametrize("name", EVERY_LOSS)
def test_per_example_in_the_shape_and_dtype_of_x_and_without_a_graph_under_no_grad(name):
    for shape in ((2,), (3, 4, 4)):
        x = torch.rand(5, *shape, dtype=F64)
        weight = torch.ones(1, dtype=F64, requires_grad=True)
        loss = EVERY_LOSS[name](lambda x, sigma: -weight * x, x)  # noqa: B023
        assert loss.shape == (5,) and loss.dtype == F64 and loss.requires_grad
        with torch.no_grad():
            assert not EVERY_LOSS[name](lambda x, sigma: -weight * x, x).requires_grad  # noqa: B023
        assert not x.requires_grad


def test_generators_decide_and_the_global_seed_does_not():
    x, net = torch.rand(6, 2, dtype=F64), a_net(2)
    for loss in (
        lambda g: losses.sliced(net, x, generator=g),
        lambda g: losses.dsm(any_level(net), x, 0.1, generator=g),
        lambda g: losses.multilevel_dsm(any_level(net), x, geometric(1, 0.1, 3), generator=g),
    ):
        torch.manual_seed(0)
        first = loss(torch.Generator().manual_seed(1))
        torch.manual_seed(5)
        assert torch.equal(first, loss(torch.Generator().manual_seed(1)))
        assert not torch.equal(first, loss(torch.Generator().manual_seed(2)))


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


def test_no_full_jacobian_is_held_unless_asked_for():
    net, x = a_net(64), torch.rand(32, 64, dtype=F64)
    sizes = {}
    for rows in (1, 64):
        with Largest() as largest:
            losses.implicit(net, x, rows_at_once=rows)
        sizes[rows] = largest.numel
    assert sizes[1] <= 32 * 64 and sizes[64] >= 32 * 64 * 64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: losses.dsm(any_level(a_net(2)), x, 0.0), "above 0"),
        (lambda x: losses.dsm(any_level(a_net(2)), x, -1.0), "0 or more"),
        (lambda x: losses.dsm(any_level(a_net(2)), x, torch.ones(3)), "one per row"),
        (lambda x: losses.sliced(a_net(2), x, distribution="cauchy"), "rademacher"),
        (lambda x: losses.sliced(a_net(2), x, n_projections=0), "at least 1"),
        (lambda x: losses.implicit(a_net(2), x, rows_at_once=0), "at least 1"),
        (lambda x: losses.multilevel_dsm(any_level(a_net(2)), x, torch.tensor([1.0, 2.0])), "strictly decreasing"),
        (lambda x: losses.implicit(a_net(2), x[0]), "batch dimension"),
        (lambda x: losses.implicit(lambda x, sigma: torch.zeros_like(x), x), "no gradient at all"),
        (lambda x: losses.sliced(lambda x, sigma: x.detach(), x), "no gradient at all"),
        (lambda x: losses.sliced(lambda x, sigma: a_net(2)(x.detach()), x), "with respect to x"),
        (lambda x: losses.implicit(lambda x, sigma: a_net(2)(x.detach()), x, rows_at_once=2), "with respect to x"),
        (lambda x: losses.dsm(lambda x, sigma: x[:, :1], x, 0.5), "must return the shape of x"),
        (lambda x: losses.sliced(lambda x, sigma: x.sum(1), x), "must return the shape of x"),
        (lambda x: losses.explicit(lambda x, sigma: x[:1], x, a_mixture(2)), "must return the shape of x"),
        (lambda x: losses.dsm(lambda x, sigma: x.numpy(), x, 0.5), "a ndarray"),
        (lambda x: losses.dsm_floor(lambda x, sigma: x.detach().numpy(), x, 0.5), "a ndarray"),
        (lambda x: losses.dsm_floor(lambda x, sigma: x.detach(), x, 0.5), "no gradient at all"),
        (lambda x: EnergyScore(lambda x, sigma: x)(x), "one number a row"),
        (lambda x: a_net(2)(x, 0.5), "sigma 0 only"),
        (lambda x: a_net(3)(x), r"\(B, 3\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.rand(5, 2, dtype=F64))


def test_the_toy_net_of_the_paper_has_its_number_of_parameters():
    assert sum(p.numel() for p in ScoreMLP().parameters()) == 17_154
    assert sum(isinstance(layer, torch.nn.Softplus) for layer in ScoreMLP().layers) == 2


def test_energy_score_is_minus_the_gradient():
    mixture = a_mixture(2)
    score = EnergyScore(lambda x, sigma: -mixture.log_prob(x, sigma))
    x = mixture.sample(50)
    torch.testing.assert_close(score(x, 0.3), mixture(x, 0.3))
    with torch.no_grad():
        torch.testing.assert_close(score(x, 0.3), mixture(x, 0.3))


def test_noise_levels_between_are_uniform_in_their_logarithm():
    from scipy.stats import kstest

    ladder = torch.tensor([20.0, 3.0, 0.5, 0.01])
    sigma = losses.sigmas_between(torch.zeros(20_000, 1), ladder, torch.Generator().manual_seed(0))
    assert kstest(sigma.double().log10().numpy(), "uniform", (-2, math.log10(20) + 2)).pvalue > 1e-4
    middles = (ladder[1:] * ladder[:-1]).sqrt()  # between two rungs the geometric mean is as far from either
    assert torch.equal(nearest_level(sigma, ladder)[0], (sigma[:, None] < middles).sum(1))
