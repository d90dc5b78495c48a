"""SDEs and what solves them: closed forms against simulation and derivatives, orders of convergence, densities."""

import math
from itertools import pairwise

import pytest
import torch
from helpers import F64, assert_mean, assert_variance, autograd_score, normal, seeded, torch_mixture
from pretended import KIND

from ncsn_edu.core import State, denoise, last
from ncsn_edu.diffusion import encode, predictor_corrector, probability_flow, reverse_sde
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.metrics import energy_test
from ncsn_edu.odes import NotSolved, method_of
from ncsn_edu.schedules import alphas_bar_of, ddpm_betas, geometric
from ncsn_edu.sdes import EDM, VE, VP, SubVP
from ncsn_edu.trained import load_trained

ALL = [VE(0.01, 20), VP(), SubVP(), EDM(0.01, 20), VP(0.5, 8.0, t_min=1e-2)]
THREE = [VE(0.01, 20), VP(), SubVP()]
every_sde = pytest.mark.parametrize("sde", ALL, ids=str)
each_of_three = pytest.mark.parametrize("sde", THREE, ids=lambda sde: type(sde).__name__)
MEANS = torch.tensor([[-1.5, 0.5], [1.5, -0.5]], dtype=F64)
FULL = torch.tensor([[[0.1, 0.05], [0.05, 0.2]], [[0.2, 0.0], [0.0, 0.05]]], dtype=F64)
WEIGHTS = torch.tensor([0.3, 0.7], dtype=F64)
MIXTURE = GaussianMixture(MEANS, FULL, WEIGHTS)


def inner(sde, n=5):
    """n times within (0, T), in float64."""
    return torch.linspace(0.03 * sde.T, 0.97 * sde.T, n, dtype=F64)


# ---- the letters ---------------------------------------------------------------------------------------------------


@every_sde
def test_paths_simulated_forward_have_the_closed_form_marginals(sde):
    """20000 paths of dx = f x dt + g dw from one point, in 800 steps of the midpoint rule."""
    x_0, n, generator = 1.3, 800, seeded(1)
    start = min(sde.t_min, sde.T / 1000)
    x = sde.scale(start) * (x_0 + sde.sigma(start) * normal(20_000, 1, seed=2))
    dt, looked = (sde.T - start) / n, (n // 4, n // 2, n)
    for i in range(1, n + 1):
        middle = start + (i - 0.5) * dt
        z = torch.randn(x.shape, generator=generator, dtype=F64)
        x = x + sde.drift(x, middle) * dt + sde.diffusion(middle) * math.sqrt(dt) * z
        if i in looked:
            mean, std = sde.marginal(torch.full((1, 1), x_0, dtype=F64), min(start + i * dt, sde.T))
            assert_mean(x, mean.item())
            assert_variance(x, std.item() ** 2)


@every_sde
def test_drift_and_diffusion_are_derivatives_of_scale_and_sigma(sde):
    """f = d log scale / dt and g^2 = scale^2 d sigma^2 / dt, by central differences."""
    t, h = inner(sde), 1e-5 * sde.T
    up, down = t + h, t - h
    f = (sde.scale(up).log() - sde.scale(down).log()) / (2 * h)
    g_squared = sde.scale(t) ** 2 * (sde.sigma(up) ** 2 - sde.sigma(down) ** 2) / (2 * h)
    torch.testing.assert_close(sde.drift_rate(t), f, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(sde.variance_rate(t), g_squared, rtol=1e-6, atol=0)
    torch.testing.assert_close(sde.diffusion(t), g_squared.sqrt(), rtol=1e-6, atol=0)
    x = normal(5, 3, seed=1)
    torch.testing.assert_close(sde.drift(x, t), x * f[:, None], rtol=1e-6, atol=1e-9)


@every_sde
def test_kernels_composed_are_the_direct_one_and_lead_to_the_marginal(sde):
    for s, m, t in ((0.1, 0.2, 0.9), (0.3, 0.31, 0.32), (0.001, 0.5, 1.0)):
        (a, u), (b, v), direct = (sde.kernel(p * sde.T, q * sde.T) for p, q in ((s, m), (m, t), (s, t)))
        assert (a * b, math.hypot(b * u, v)) == pytest.approx(direct, rel=1e-9)
    x_0, (factor, std) = normal(4, 2, seed=3), sde.kernel(0.2 * sde.T, sde.T)
    (early, spread), (late, wide) = sde.marginal(x_0, 0.2 * sde.T), sde.marginal(x_0, sde.T)
    torch.testing.assert_close(factor * early, late)
    assert math.hypot(factor * spread, std) == pytest.approx(wide.item(), rel=1e-9)


@every_sde
def test_time_is_the_inverse_of_sigma_and_numbers_are_as_tensors(sde):
    t = inner(sde, 7)
    torch.testing.assert_close(sde.time(sde.sigma(t)), t, rtol=1e-9, atol=1e-12)
    for name in ("scale", "sigma", "drift_rate", "variance_rate", "diffusion"):
        method = getattr(sde, name)
        one = method(t[2].item())
        assert isinstance(one, float) and one == pytest.approx(method(t)[2].item(), rel=1e-12)
        assert method(t.float()).dtype == torch.float32
    assert (sde.sigma(t).diff() > 0).all()


def test_what_each_of_them_is_known_for():
    assert VP().marginal(torch.zeros(1, 1), 1.0)[1].item() == pytest.approx(1, abs=5e-5)
    assert VP().scale(1.0) == pytest.approx(math.exp(-(0.1 + 20) / 4), rel=1e-12)
    t = inner(VP())
    kept, spread = VP().scale(t) ** 2, VP().scale(t) * VP().sigma(t)
    torch.testing.assert_close(kept + spread**2, torch.ones(5, dtype=F64))  # variance 1 stays 1
    torch.testing.assert_close(SubVP().scale(t) * SubVP().sigma(t), spread**2)
    assert VE(0.01, 50).sigma(0.5) == pytest.approx(math.sqrt(0.01 * 50))
    assert EDM().sigma(3.7) == 3.7 and EDM().T == 80 and EDM().diffusion(2.0) == 2.0
    torch.testing.assert_close(VE(0.01, 50).sigmas(232), geometric(50, 0.01, 232), rtol=0, atol=0)
    ladder = VP().sigmas(20)
    assert len(ladder) == 20 and (ladder.diff() < 0).all() and ladder[-1].item() == pytest.approx(VP().sigma(1e-3))


@every_sde
def test_a_ladder_of_its_own_leads_back_to_its_times(sde):
    """Also the last level of VE's, which is its smallest: t is just above 0 there."""
    sigmas = sde.sigmas(40).double()
    t = sde.time(sigmas)
    assert (t > 0).all() and (t <= sde.T).all()
    torch.testing.assert_close(sde.sigma(t), sigmas, rtol=1e-6, atol=0)


@every_sde
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_the_score_in_its_letters_is_the_gradient_of_its_log_density(sde, share):
    t = share * sde.T
    scale, std = sde.scale(t), sde.scale(t) * sde.sigma(t)
    true = torch_mixture(scale * MEANS, scale**2 * FULL, WEIGHTS, std)
    x = scale * normal(6, 2, seed=4) + std * normal(6, 2, seed=5)
    torch.testing.assert_close(sde.score(MIXTURE, x, t), autograd_score(true.log_prob, x))
    rows = torch.full((6,), t, dtype=F64)
    torch.testing.assert_close(sde.score(MIXTURE, x, rows), sde.score(MIXTURE, x, t))


# ---- DDPM and NCSN are discretisations -----------------------------------------------------------------------------


def test_the_chain_of_ddpm_is_vp_in_steps_and_vp_its_limit():
    torch.testing.assert_close(VP().betas(1000), ddpm_betas(1000), rtol=1e-12, atol=0)
    errors = []
    for n in (250, 500, 1000, 2000):
        t = torch.arange(1, n + 1, dtype=F64) / n
        errors.append((alphas_bar_of(VP().betas(n)) - VP().scale(t) ** 2).abs().max().item())
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)
    assert errors[-1] < 2e-3


def test_the_ladder_of_ncsn_is_ve_in_steps_and_ve_its_limit():
    """The variance that a step of the ladder adds, by its length, becomes g^2."""
    sde, errors = VE(0.01, 50), []
    for n in (101, 201, 401):
        sigmas = sde.sigmas(n).double().flip(0)
        t = torch.linspace(0, 1, n, dtype=F64)[1:]
        rate = (sigmas**2).diff() * (n - 1)
        errors.append((rate / sde.diffusion(t) ** 2 - 1).abs().max().item())
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)
    assert errors[-1] < 0.03


# ---- samplers: the densities ---------------------------------------------------------------------------------------


def noisy(sde, n, t, seed):
    """n points of x_t, drawn from the closed form."""
    z = normal(n, 2, seed=seed)
    return sde.scale(t) * (MIXTURE.sample(n, generator=seeded(seed)) + sde.sigma(t) * z)


@each_of_three
@pytest.mark.parametrize("how", ["reverse_sde", "predictor_corrector", "probability_flow"])
def test_each_sampler_has_the_forward_marginals_on_a_mixture(sde, how):
    """Half way and at the end. The same test finds what a mean off by 0.15 of a standard deviation does (the power)."""
    n, n_steps = 800, 300
    x = noisy(sde, n, sde.T, seed=1)
    sampler = {"reverse_sde": reverse_sde, "predictor_corrector": predictor_corrector}.get(how)
    if sampler:
        states = list(sampler(MIXTURE, x, sde, n_steps=n_steps, generator=seeded(2)))
    else:
        states = list(probability_flow(MIXTURE, x, sde, n_steps=n_steps))
    for state in (states[n_steps // 2 - 1], states[-1]):
        true = noisy(sde, n, sde.time(state.sigma), seed=3)
        assert energy_test(state.x, true, n_permutations=100, generator=seeded(4))[1] > 0.02
    off = state.x + torch.tensor([0.15, 0.15], dtype=F64) * state.x.std(0)
    assert energy_test(off, true, n_permutations=100, generator=seeded(4))[1] < 0.02


@each_of_three
def test_the_flow_without_the_half_and_the_walk_with_it_are_found_out(sde):
    """g^2 score instead of half of it in the flow, and half of it in the reverse SDE: neither has the marginals."""
    n, true = 800, noisy(sde, 800, sde.t_min, seed=3)
    x = noisy(sde, n, sde.T, seed=1)
    twice = last(probability_flow(lambda x, sigma: 2 * MIXTURE(x, sigma), x, sde, n_steps=200))
    half = last(reverse_sde(lambda x, sigma: MIXTURE(x, sigma) / 2, x, sde, n_steps=200, generator=seeded(2)))
    for wrong in (twice, half):
        assert energy_test(wrong, true, n_permutations=100, generator=seeded(4))[1] < 0.02


def test_where_the_reverse_walk_is_exact_for_a_gaussian():
    """Mean and variance of many chains for N(0.5, 0.4^2) under VP, at the end and after the denoising step."""
    mean, variance = 0.5, 0.16
    score, sde = GaussianMixture([[mean]], variance), VP()
    x = sde.scale(1.0) * mean + math.sqrt(sde.scale(1.0) ** 2 * variance + sde.prior_std**2) * normal(20_000, 1, seed=1)
    *_, before, end = reverse_sde(score, x, sde, n_steps=600, denoising=True, generator=seeded(2))
    sigma = sde.sigma(sde.t_min)
    assert (
        isinstance(end, State)
        and end.sigma == before.sigma == pytest.approx(sigma)
        and (end.level, end.step) == (600, 1)
    )
    assert before.x.mean().item() == pytest.approx(sde.scale(sde.t_min) * mean, abs=5.3 * 0.4 / 140 + 1e-3)
    assert before.x.var().item() == pytest.approx(variance + sigma**2, rel=5.3 * (2 / 20_000) ** 0.5 + 5e-3)
    torch.testing.assert_close(end.x, denoise(score, before.x / sde.scale(sde.t_min), sigma))


# ---- samplers: orders of convergence, and tolerances ----------------------------------------------------------------


def flow_error(sde, **options):
    """At the end of the flow of N(0.7, 0.5^2), along which x_t = scale (m + sqrt(v + sigma^2) u) with the same u."""
    u = torch.tensor([[-2.0], [0.4], [1.5]], dtype=F64)

    def exact(t):
        return sde.scale(t) * (0.7 + math.sqrt(0.25 + sde.sigma(t) ** 2) * u)

    down = last(probability_flow(GaussianMixture(torch.tensor([[0.7]], dtype=F64), 0.25), exact(sde.T), sde, **options))
    return (down - exact(sde.t_min)).abs().max().item()


@every_sde
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_flow_converges_at_the_order_of_its_solver_under_every_sde(sde, solver, order):
    n = 1600 if isinstance(sde, EDM) else 400  # its equal steps of sigma are coarse at the end
    coarse, fine = (flow_error(sde, solver=solver, n_steps=steps) for steps in (n, 2 * n))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@every_sde
def test_the_error_of_the_adaptive_solver_follows_its_tolerance(sde):
    errors = [flow_error(sde, solver="adaptive", rtol=10.0**-k, atol=10.0**-k) for k in (3, 5, 7, 9)]
    for k, error in zip((3, 5, 7, 9), errors, strict=True):
        assert error < 60 * 10.0**-k, (k, error)  # errors of its steps add up
    assert errors[-1] < errors[0] / 1e4


def test_a_hard_row_errs_no_more_among_easy_ones():
    """A point under the score of N(0, 0.02^2) beside 5000 that stay where they are: the worst row decides the step."""
    sde, hard, narrow = VE(0.01, 20), torch.tensor([[0.05, 0.01]], dtype=F64), GaussianMixture([[0.0, 0.0]], 4e-4)

    def score(x, sigma):
        return torch.cat([narrow(x[:1], sigma), 0 * x[1:]])

    true = hard * math.sqrt((4e-4 + 400) / (4e-4 + sde.sigma(sde.t_min) ** 2))
    options = {"solver": "adaptive", "rtol": 1e-4, "atol": 1e-4}
    errors = [
        (last(encode(score, torch.cat([hard, normal(n, 2, seed=1)]), sde, **options))[:1] / true - 1).abs().max()
        for n in (1, 5000)
    ]
    assert errors[1] < 2 * errors[0] < 0.02


def test_the_reverse_walk_has_weak_order_one():
    """The mean of x at the end is linear in x: without its noise the walk for a Gaussian goes through the means."""
    sde = VP()

    def error(n):
        end, start = sde.t_min, torch.tensor([[1.0]], dtype=F64)
        score = GaussianMixture([[0.7]], 0.25)
        here, ahead = (
            last(reverse_sde(score, x, sde, n_steps=n, generator=seeded(0))) for x in (start, start + 1)
        )  # with the same noise
        moved = (ahead - here).item()  # by how much the mean moves with its start
        variances = [sde.scale(t) ** 2 * (0.25 + sde.sigma(t) ** 2) for t in (end, 1.0)]
        covariance = sde.scale(1.0) / sde.scale(end) * variances[0]
        return abs(moved - covariance / variances[1])  # the regression of x at t_min on x_T

    coarse, fine = error(750), error(1500)
    assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)


@every_sde
@pytest.mark.parametrize("options", [{"solver": "adaptive", "rtol": 1e-8, "atol": 1e-8}, {"n_steps": 1000}])
def test_encoding_and_decoding_come_back(sde, options):
    x = noisy(sde, 20, sde.t_min, seed=6)
    states = list(encode(MIXTURE, x, sde, **options))
    assert states[-1].sigma == pytest.approx(sde.sigma(sde.T)) and states[0].sigma < states[-1].sigma
    assert [state.level for state in states] == list(range(1, len(states) + 1))
    back = last(probability_flow(MIXTURE, states[-1].x, sde, **options))
    allowed = 1e-6 if "solver" in options else 2e-2 if isinstance(sde, EDM) else 2e-3
    assert (back - x).abs().max() < allowed
    assert (states[-1].x - x).abs().max() > 0.5  # it went somewhere


def test_a_ladder_is_a_path_too():
    """dx/dsigma of a ladder, against the same under EDM; encoding goes up the same levels."""
    sde, x = EDM(0.1, 5.0), 5 * normal(9, 2, seed=1)
    ladder = torch.tensor(sde.times(30), dtype=F64)
    for solver in ("euler", "heun"):
        one = last(probability_flow(MIXTURE, x, ladder, solver=solver))
        assert torch.equal(one, last(probability_flow(MIXTURE, x, sde, n_steps=29, solver=solver)))
    ends = torch.tensor([5.0, 0.1], dtype=F64)
    adaptive = last(probability_flow(MIXTURE, x, ends, solver="adaptive", rtol=1e-8, atol=1e-8))
    torch.testing.assert_close(
        adaptive, last(probability_flow(MIXTURE, x, geometric(5, 0.1, 2000).double())), atol=1e-4, rtol=0
    )
    up = list(encode(MIXTURE, adaptive, geometric(5, 0.1, 2000).double()))
    assert [up[0].sigma, up[-1].sigma] == [pytest.approx(0.1, rel=0.01), 5.0] and len(up) == 1999
    torch.testing.assert_close(up[-1].x, x, atol=1e-3, rtol=0)
    walk = reverse_sde(MIXTURE, x, ladder, generator=seeded(1))
    assert torch.equal(last(walk), last(reverse_sde(MIXTURE, x, sde, n_steps=29, generator=seeded(1))))


# ---- shapes, dtypes, devices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2), (2, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flows_of_any_shape_and_dtype_leave_x_alone(shape, dtype, device):
    score = GaussianMixture([[0.0] * math.prod(shape[1:])], 0.25)

    def flat(x, sigma):
        return score(x.flatten(1), sigma).view_as(x)

    x = torch.ones(shape, dtype=dtype, device=device)
    for options in ({"solver": "adaptive"}, {"solver": "heun", "n_steps": 7}, {"solver": "euler", "n_steps": 7}):
        for flow in (probability_flow, encode):
            states = list(flow(flat, x, VP(), **options))
            assert all(state.x.shape == shape and state.x.dtype == dtype for state in states)
            assert states[-1].x.device == x.device and states[-1].x.isfinite().all()
    assert (x == 1).all()
    start = VP().prior(*shape, generator=seeded(0, device), dtype=dtype)
    assert start.shape == shape and start.dtype == dtype and start.device.type == device.type


def test_they_go_on_a_device_without_float64_as_on_the_cpu(far):
    x, mixture = normal(9, 2, seed=1, dtype=torch.float32), GaussianMixture(MEANS.float(), FULL, WEIGHTS)
    there = x.to(KIND)
    for run in (
        lambda x: probability_flow(mixture, x, VP(), solver="adaptive"),
        lambda x: encode(mixture, x, VE(), solver="adaptive", rtol=1e-3, atol=1e-3),
        lambda x: probability_flow(mixture, x, SubVP(), n_steps=5),
        lambda x: reverse_sde(mixture, x, VP(), n_steps=5, denoising=True, generator=seeded(1, x.device)),
        lambda x: predictor_corrector(mixture, x, VP(), n_steps=5, generator=seeded(1, x.device)),
    ):
        torch.testing.assert_close(last(run(there)).cpu(), last(run(x)), rtol=1e-4, atol=1e-4)
    t = torch.full((9,), 0.5)
    torch.testing.assert_close(VP().score(mixture, there, t.to(KIND)).cpu(), VP().score(mixture, x, t))


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, -0.1, 1.1, math.nan, torch.tensor([0.5, 0.0])])
@pytest.mark.parametrize("name", ["scale", "sigma", "drift_rate", "diffusion"])
def test_a_time_outside_is_refused(t, name):
    with pytest.raises(ValueError, match=r"t must be in \(0, 1\], the times of VP\(.*, not .*; t_min is 0.001"):
        getattr(VP(), name)(t)


def nothing(x, sigma):
    raise AssertionError("the score is not to be asked")


X = torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VE().time(51.0), "noise levels above 0.01 and up to 50, and not 51"),
        (lambda: VE(0.1, 9).time(torch.tensor([3.0, 0.02])), "noise levels above 0.1 and up to 9, and not 0.02"),
        (lambda: VP().time(-1.0), "noise levels above 0 and up to"),
        (lambda: VP().sigma([0.5, 0.6]), r"t is a number or a tensor \(B,\), not \[0.5, 0.6\]"),
        (lambda: SubVP().scale(None), r"t is a number or a tensor \(B,\), not None"),
        (lambda: VP().kernel(torch.tensor([0.1, 0.2]), 0.5), "a kernel leads from one time s to one time t"),
        (lambda: VP().marginal(X, torch.tensor([0.1, 0.2])), r"t has shape \(2,\), but x is a batch of 3"),
        (lambda: encode(nothing, X, VP, n_steps=9), r"path is a kind of SDE: give one, such as VP\(\)"),
        (lambda: probability_flow(nothing, X, "VE", n_steps=9), "path is an SDE, such as VE.*, not 'VE'"),
        (lambda: reverse_sde(nothing, X, None), "path is an SDE, such as VE.*, not None"),
        (lambda: last(encode(nothing, X / 0, VP(), solver="adaptive")), "x holds NaN or infinite numbers"),
        (lambda: encode(nothing, X, VP(), solver="adaptive", rtol=-1e-3), "rtol must be a finite number above 0"),
        (lambda: encode(nothing, X, VP(), solver="adaptive", atol=math.nan), "atol must be a finite number above 0"),
        (lambda: VP().marginal(X, 2.0), r"t must be in \(0, 1\]"),
        (lambda: VP().score(nothing, X, 0.0), r"t must be in \(0, 1\]"),
        (lambda: VP().kernel(0.5, 0.5), "goes forward, from s to a later t"),
        (lambda: VP().betas(20), "20 steps are too few"),
        (lambda: VE(2.0, 1.0), "sigma_max must exceed sigma_min"),
        (lambda: VE(0.0, 1.0), "sigma_min must be a finite number above 0"),
        (lambda: EDM(2.0, 1.0), "sigma_max must not be below sigma_min"),
        (lambda: VP(3.0, 1.0), "beta_min <= beta_max"),
        (lambda: VP(t_min=1.0), "before T = 1"),
        (lambda: VP().times(1), "n must be a whole number of at least 2"),
        (lambda: reverse_sde(nothing, X, VE()), r"VE\(.*is passed in steps of time: give n_steps="),
        (lambda: probability_flow(nothing, X, VP()), "give n_steps="),
        (lambda: encode(nothing, X, VP()), "give n_steps="),
        (lambda: predictor_corrector(nothing, X, VP()), "give n_steps="),
        (lambda: reverse_sde(nothing, X, VP(), n_steps=0), "n_steps must be a whole number of at least 1"),
        (lambda: reverse_sde(nothing, X, geometric(1, 0.1, 5), n_steps=9), "leave out n_steps=, or give an SDE"),
        (lambda: encode(nothing, X, geometric(1, 0.1, 5), n_steps=9), "leave out n_steps=, or give an SDE"),
        (
            lambda: probability_flow(nothing, X, VP(), solver="adaptive", n_steps=9),
            "chooses its steps: leave out n_steps=",
        ),
        (lambda: probability_flow(nothing, X, VP(), solver="adaptive", rtol=0), "rtol must be a finite number above 0"),
        (lambda: probability_flow(nothing, X, VP(), solver="adaptive", rtol=1e-15), "rtol must be at least 1e-12"),
        (lambda: encode(nothing, X, VP(), solver="adaptive", atol=0), "atol must be a finite number above 0"),
        (lambda: encode(nothing, X, VP(), solver="adaptive", max_evaluations=0), "max_evaluations must be a whole"),
        (lambda: encode(nothing, X, VP(), solver="rk4", n_steps=3), "heun or euler or adaptive, not 'rk4'"),
        (lambda: encode(nothing, X[0], VP(), n_steps=3), "x must have a batch dimension"),
        (lambda: reverse_sde(nothing, X.long(), VP(), n_steps=3), "scores are defined on real numbers"),
    ],
)
def test_bad_input_is_found_at_the_call(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("sampler", [reverse_sde, predictor_corrector, probability_flow])
@pytest.mark.parametrize("n", [9, 200])
def test_a_start_that_is_not_the_prior_s_is_refused(sampler, n):
    """VE from N(0, I), and VP from noise of 50."""
    x = normal(n, 2, seed=1)
    for sde, start in ((VE(0.01, 50), x), (VP(), 50 * x), (SubVP(), 0 * x)):
        with pytest.raises(ValueError, match=rf"is no x_T of .*: start from sde.prior\({n}, 2\)"):
            sampler(nothing, start, sde, n_steps=10)
        sampler(nothing, sde.prior(n, 2, generator=seeded(2)), sde, n_steps=10)


def test_a_start_that_is_the_prior_s_is_not_refused():
    """Not in 5000 draws of one to thirty numbers; nor what was encoded of data wider than the noise."""
    for i, n in enumerate((1, 2, 5, 10, 30)):
        for x in VE(0.01, 50).prior(1000, n, generator=seeded(i)):
            VE(0.01, 50).check_start(x[None])
    wide, sde = GaussianMixture(torch.tensor([[4.0, 4.0]], dtype=F64), 1.0), EDM(0.01, 2)
    x = wide.sample(100, generator=seeded(1))
    noise = last(encode(wide, x, sde, n_steps=400))
    torch.testing.assert_close(last(probability_flow(wide, noise, sde, n_steps=400)), x, atol=0.01, rtol=0)


@pytest.mark.parametrize("flow", [probability_flow, encode])
def test_a_solver_that_does_not_get_there_says_so_and_gives_no_end(flow):
    x = normal(5, 2, seed=1)
    with pytest.raises(NotSolved, match=r"stopped at t = .*on the way from .* after max_evaluations = 20: allow more"):
        last(flow(MIXTURE, x, VP(), solver="adaptive", max_evaluations=20))
    assert last(flow(MIXTURE, x, VP(), solver="adaptive", max_evaluations=2000)).isfinite().all()


def test_steps_that_become_too_small_are_a_failure():
    """dx/dt = x^2 from 1 is infinite at t = 1."""
    solve = method_of("adaptive", rtol=1e-6, atol=1e-6)
    with pytest.raises(NotSolved, match=r"failed at t = 1\b.*allow a larger error"):
        for t, _ in solve(lambda x, t, step: x**2, torch.ones(1, 1, dtype=F64), [0.0, 2.0]):
            assert t < 1.01


@pytest.mark.parametrize("solver", ["heun", "adaptive"])
def test_a_score_of_nan_is_named(solver):
    def score(x, sigma):
        return x * math.nan if sigma < 1 else -x / (1 + sigma**2)

    options = {"n_steps": 50} if solver == "heun" else {}
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        last(probability_flow(score, normal(5, 2, seed=1), VP(), solver=solver, **options))


def test_a_net_of_its_own_levels_names_them_to_the_adaptive_solver():
    net = load_trained("digits")
    x = torch.rand(2, 1, 8, 8, generator=seeded(1))
    with pytest.raises(ValueError, match="level"):
        last(probability_flow(net.score, x, net.sigmas, solver="adaptive"))
    assert last(probability_flow(net.score, x, net.sigmas)).isfinite().all()
