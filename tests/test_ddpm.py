"""DDPM, DDIM, their bound, and what nets may predict: against closed forms, brute force on grids, and each other."""

import math
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import F64, seeded
from scipy import integrate, stats

from ncsn_edu import Empirical, GaussianMixture, geometric
from ncsn_edu.adapters import PREDICTIONS, EpsScore, ScoreNoise, convert
from ncsn_edu.bounds import ddpm_bound
from ncsn_edu.core import last
from ncsn_edu.diffusion import ancestral, ddim, ddpm, probability_flow
from ncsn_edu.schedules import (
    alphas_bar_of,
    alphas_bar_of_sigmas,
    cosine_betas,
    ddpm_betas,
    sigmas_of_alphas_bar,
)

MIXTURE = GaussianMixture(torch.tensor([[-1.0, 0.5], [1.5, -0.5]], dtype=F64), [0.3, 0.8], [0.4, 0.6])
KEPT = alphas_bar_of(ddpm_betas(50, 1e-3, 0.3))


# ---- schedules -----------------------------------------------------------------------------------------------------


def test_the_schedule_of_the_paper():
    betas = ddpm_betas()
    assert betas[0] == 1e-4 and betas[-1] == 0.02 and len(betas) == 1000 and (betas.diff() > 0).all()
    assert alphas_bar_of(betas)[-1].item() == pytest.approx(4.0358e-5, rel=1e-4)  # as is known of it
    assert sigmas_of_alphas_bar(alphas_bar_of(betas))[-1].item() == pytest.approx(157.4, rel=1e-3)


def test_the_share_that_is_left_is_what_a_chain_leaves():
    """x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) e, step by step: its slope and its variance given x_0."""
    slope, variance = 1.0, 0.0
    for beta, kept in zip(ddpm_betas(30, 1e-3, 0.2).tolist(), alphas_bar_of(ddpm_betas(30, 1e-3, 0.2)), strict=True):
        slope, variance = math.sqrt(1 - beta) * slope, (1 - beta) * variance + beta
        assert kept.item() == pytest.approx(slope**2) and (1 - kept).item() == pytest.approx(variance)


def test_the_cosine_is_half_way_in_the_middle_and_ends_in_noise():
    kept = alphas_bar_of(cosine_betas(1000, offset=1e-9))
    assert kept[499].item() == pytest.approx(0.5, abs=2e-3) and kept[-1] < 1e-5
    assert kept[249].item() == pytest.approx(math.cos(math.pi / 8) ** 2, abs=2e-3)
    assert cosine_betas().max() == 0.999


def test_noise_levels_and_shares_are_one_thing():
    sigmas = geometric(20.0, 0.01, 30, dtype=F64)
    assert torch.allclose(sigmas_of_alphas_bar(alphas_bar_of_sigmas(sigmas)), sigmas)
    kept, x = 0.3, MIXTURE.sample(1000, generator=seeded(0)).double()
    z = torch.randn(x.shape, generator=seeded(1), dtype=F64)
    x_t = math.sqrt(kept) * x + math.sqrt(1 - kept) * z
    assert torch.allclose(x_t / math.sqrt(kept), x + sigmas_of_alphas_bar(torch.tensor(kept, dtype=F64)) * z)


@pytest.mark.parametrize(
    ("call", "repair"),
    [
        (lambda: ddpm_betas(10, 0.02, 1e-4), "they rise"),
        (lambda: ddpm_betas(10, 0.02, 1.0), "below 1|beta_n < 1"),
        (lambda: ddpm_betas(0), "n must be a whole number"),
        (lambda: alphas_bar_of(torch.tensor([0.1, 1.5])), r"betas\[1\] = 1.5 is not between 0 and 1: use ddpm_betas"),
        (lambda: alphas_bar_of(torch.zeros(3)), r"betas\[0\] = 0 is not between"),
        (lambda: alphas_bar_of(torch.zeros(0)), r"one row of variances, shape \(T,\), not \(0,\)"),
        (lambda: sigmas_of_alphas_bar(torch.tensor([0.5, 0.0])), "above 0, 1 at most"),
        (lambda: alphas_bar_of_sigmas(torch.tensor([-1.0])), "0 or more"),
        (lambda: cosine_betas(5, offset=-1), "offset must be"),
    ],
)
def test_schedules_that_cannot_be(call, repair):
    with pytest.raises(ValueError, match=repair):
        call()


# ---- what nets may predict -----------------------------------------------------------------------------------------


def posterior_means(x, sigma):
    """E[x_0 | x] of a mixture on the line by quadrature, and the mean of each target from it, by definition."""
    line = stats.norm(-1, 0.5), stats.norm(1, 1.0)
    p = lambda y: 0.3 * line[0].pdf(y) + 0.7 * line[1].pdf(y)  # noqa: E731
    joint = lambda y: p(y) * stats.norm(y, sigma).pdf(x)  # noqa: E731
    mass = integrate.quad(joint, -12, 12, points=[x], limit=200)[0]
    mean = lambda f: integrate.quad(lambda y: f(y) * joint(y), -12, 12, points=[x], limit=200)[0] / mass  # noqa: E731
    a = 1 / math.sqrt(1 + sigma**2)
    return {
        "clean": mean(lambda y: y),
        "noise": mean(lambda y: (x - y) / sigma),
        "score": mean(lambda y: -(x - y) / sigma**2),
        "v": mean(lambda y: a * (x - y) / sigma - a * sigma * y),
        "velocity": mean(lambda y: (x - y) / sigma - y),
    }


@pytest.mark.parametrize(("x", "sigma"), [(0.3, 0.5), (-2.0, 3.0), (1.0, 0.05)])
def test_each_prediction_is_another_in_other_letters(x, sigma):
    truth, at = posterior_means(x, sigma), torch.tensor([[x]], dtype=F64)
    for source, target in permutations(PREDICTIONS, 2):
        value = torch.tensor([[truth[source]]], dtype=F64)
        found = convert(value, at, sigma, source=source, target=target)
        assert found.item() == pytest.approx(truth[target], rel=1e-5, abs=1e-6), (source, target)


def test_rows_have_sigmas_of_their_own_and_images_are_converted_alike():
    x, value = torch.randn(3, 2, 4, 4, dtype=F64), torch.randn(3, 2, 4, 4, dtype=F64)
    sigmas = torch.tensor([0.1, 1.0, 10.0], dtype=F64)
    for source, target in product(PREDICTIONS, PREDICTIONS):
        together = convert(value, x, sigmas, source=source, target=target)
        rows = [
            convert(value[i : i + 1], x[i : i + 1], sigmas[i].item(), source=source, target=target) for i in range(3)
        ]
        assert torch.allclose(together, torch.cat(rows))
        assert torch.allclose(convert(together, x, sigmas, source=target, target=source), value)


def test_predictions_that_cannot_be_converted():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="target must be score or noise"):
        convert(x, x, 1.0, source="score", target="eps")
    with pytest.raises(ValueError, match="sigma must be above 0"):
        convert(x, x, 0.0, source="score", target="clean")
    with pytest.raises(ValueError, match="shape"):
        convert(x[:1], x, 1.0, source="score", target="clean")


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-9), (torch.float32, 1e-4)])
def test_the_score_of_a_mixture_s_exact_noise_is_its_score(dtype, tolerance):
    """EpsScore of E[e | x_t] from the mixture of x_t itself, in DDPM's coordinates."""

    def noise(x_t, t):
        """-sqrt(1 - abar) grad log p(x_t): x_t has means sqrt(abar) m and variances abar v + 1 - abar."""
        rows = []
        for row, kept in zip(x_t.double(), KEPT[t], strict=True):
            variances = (
                kept * MIXTURE.covariances[:, :1].reshape(-1) + 1 - kept if MIXTURE.covariances.ndim == 2 else None
            )
            variances = kept * torch.tensor([0.3, 0.8], dtype=F64) + 1 - kept if variances is None else variances
            seen = GaussianMixture(kept.sqrt() * MIXTURE.means, variances, [0.4, 0.6])
            rows.append(-(1 - kept).sqrt() * seen.score(row[None])[0])
        return torch.stack(rows).to(x_t.dtype)

    score = EpsScore(noise, KEPT)
    for t in (0, 10, 49):
        sigma = sigmas_of_alphas_bar(KEPT)[t].item()
        x = (MIXTURE.perturb(sigma).sample(20, generator=seeded(t))).to(dtype)
        exact = MIXTURE(x.double(), sigma)
        assert ((score(x, sigma).double() - exact).norm() / exact.norm()) < max(tolerance, 3e-7)  # levels are float32


def test_a_score_as_ddpm_s_net_and_back():
    score = EpsScore(ScoreNoise(MIXTURE, KEPT), KEPT)
    sigmas = sigmas_of_alphas_bar(KEPT)[[3, 17, 40]]
    x = torch.randn(3, 2, dtype=F64)
    assert torch.allclose(score(x, sigmas), MIXTURE(x, sigmas), rtol=1e-5)


# ---- samplers ------------------------------------------------------------------------------------------------------


def same_noise():
    return torch.Generator().manual_seed(3)


def sigma_path(states, scaled=1.0):
    return [state.x * scaled for state in states]


def test_ddpm_in_t_and_ancestral_in_sigma_are_one_path():
    """With the same noise: x_t / sqrt(abar_t), step by step; the last step of DDPM is the denoising step."""
    x = torch.randn(50, 2, generator=seeded(0), dtype=F64)
    ours = ancestral(MIXTURE, x / KEPT[-1].sqrt(), sigmas_of_alphas_bar(KEPT).flip(0), generator=same_noise())
    theirs = list(ddpm(ScoreNoise(MIXTURE, KEPT), x, KEPT, generator=same_noise()))
    assert len(theirs) == len(KEPT)
    for state, other, kept in zip(ours, theirs, KEPT.flip(0)[1:], strict=False):
        assert torch.allclose(state.x, other.x / kept.sqrt(), atol=1e-8) and state.sigma == pytest.approx(other.sigma)
    assert theirs[-1].sigma == 0


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [None, range(4, 50, 5), [0, 7, 49]])
def test_ddim_in_t_and_in_sigma_are_one_path(eta, steps):
    x = torch.randn(20, 2, generator=seeded(1), dtype=F64)
    visited = list(range(50)) if steps is None else list(steps)
    ladder = sigmas_of_alphas_bar(KEPT[visited]).flip(0)
    start = x / KEPT[visited[-1]].sqrt()
    theirs = list(ddpm(ScoreNoise(MIXTURE, KEPT), x, KEPT, steps=steps, eta=eta, generator=same_noise()))
    ours = last(ddim(MIXTURE, start, ladder, eta=eta, generator=same_noise()))
    assert torch.allclose(ours, theirs[-2].x / KEPT[visited[0]].sqrt(), atol=1e-8)


def test_ddim_without_noise_is_euler_and_with_all_of_it_ancestral():
    ladder, x = geometric(10.0, 0.05, 12, dtype=F64), 10 * torch.randn(40, 2, generator=seeded(2), dtype=F64)
    euler = last(probability_flow(MIXTURE, x, ladder, solver="euler"))
    assert torch.allclose(last(ddim(MIXTURE, x, ladder, eta=0.0)), euler, atol=1e-10)
    noisy = last(ancestral(MIXTURE, x, ladder, generator=same_noise()))
    assert torch.allclose(last(ddim(MIXTURE, x, ladder, eta=1.0, generator=same_noise())), noisy, atol=1e-10)


def test_the_posterior_s_mean_and_variance_by_brute_force():
    """Of q(x_{t-1} | x_t, x_0) on a grid, and in one step of the sampler, at x_0 = 0.7, x_t = -0.3."""
    kept, t = alphas_bar_of(ddpm_betas()), 500
    beta = ddpm_betas()[t]
    grid = torch.linspace(-3, 3, 60_001, dtype=F64)
    log_q = -((grid - kept[t - 1].sqrt() * 0.7) ** 2) / (2 * (1 - kept[t - 1]))
    log_q -= (-0.3 - (1 - beta).sqrt() * grid) ** 2 / (2 * beta)
    weights = log_q.softmax(0)
    mean = (weights * grid).sum()
    variance = (weights * (grid - mean) ** 2).sum()
    assert mean.item() == pytest.approx(-0.2961, abs=5e-5) and variance.item() == pytest.approx(0.01005, abs=5e-6)

    exact = lambda x, t: (x - kept[t].sqrt()[:, None] * 0.7) / (1 - kept[t]).sqrt()[:, None]  # noqa: E731
    x = torch.full((200_000, 1), -0.3, dtype=F64)
    state = next(ddpm(exact, x, kept, steps=[t - 1, t], generator=seeded(4)))
    assert state.x.mean().item() == pytest.approx(mean.item(), abs=4 * 0.1 / math.sqrt(200_000))
    assert state.x.var().item() == pytest.approx(variance.item(), rel=4 * math.sqrt(2 / 200_000))


@pytest.mark.parametrize(("variance", "data_std"), [("beta", 1.0), ("posterior", 1e-9)])
def test_the_variance_that_is_exact_for_normal_data_and_for_a_point(variance, data_std):
    """With the exact score, beta_t keeps N(0, I) what it is, and the posterior's variance is right for a point mass."""
    data = GaussianMixture(torch.zeros(1, 1, dtype=F64), data_std**2)
    x = torch.randn(100_000, 1, generator=seeded(5), dtype=F64)
    for state in ddpm(ScoreNoise(data, KEPT), x, KEPT, variance=variance, generator=seeded(6)):
        kept = 1 / (1 + state.sigma**2)
        if state.level < len(KEPT):  # the last step adds no noise
            expected = kept * data_std**2 + 1 - kept
            assert state.x.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / 100_000))


PEERS = np.load(Path(__file__).parent / "fixtures" / "diffusers_paths.npz")


def closed_form_net(x, t):
    """The one of fixtures/make_diffusers_paths.py."""
    t = t.double().view(-1, 1, 1, 1)
    return torch.tanh(x * (0.3 + t / 1000)) + 0.1 * torch.sin(t / 50)


@pytest.mark.parametrize("name", [name for name in PEERS if name != "version"])
def test_the_paths_of_another_library(name):
    """The schedulers of Hugging Face's diffusers, with the same net and noise; their alpha_bar is float32."""
    kind, setting, last = name.split()
    x = torch.linspace(-2, 2, 24, dtype=F64).view(2, 3, 2, 2)
    if kind == "ddpm":
        betas, n = ddpm_betas(), int(last)
        options = {"variance": {"fixed_small": "posterior", "fixed_large": "beta"}[setting]}
    else:
        betas, n = ddpm_betas() if setting == "linear" else cosine_betas(), 20
        options = {"eta": float(last)}
    steps = range(0, 1000, 1000 // n)
    states = list(ddpm(closed_form_net, x, alphas_bar_of(betas), steps=steps, generator=seeded(1), **options))
    for place, expected in zip(np.linspace(0, n - 1, 5).round().astype(int), PEERS[name], strict=True):
        off = 1e-5 if n < 1000 else 5e-5  # a thousand roundings of theirs add up
        torch.testing.assert_close(states[place].x, torch.from_numpy(expected), rtol=off, atol=off)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": []}, "steps are some of 0 to 49"),
        ({"steps": [3, 2]}, "rising"),
        ({"steps": [0, 50]}, "0 to 49"),
        ({"eta": 1.5}, "eta must be a number from 0 to 1"),
        ({"eta": 0.5, "variance": "beta"}, "variance of DDPM's"),
        ({"variance": "fixed"}, "posterior or beta"),
    ],
)
def test_bad_input_at_the_call(change, message):
    with pytest.raises(ValueError, match=message):
        ddpm(lambda x, t: x, torch.zeros(2, 1), KEPT, **change)
    with pytest.raises(ValueError, match="eta must be a number from 0 to 1"):
        ddim(lambda x, sigma: x, torch.zeros(2, 1), geometric(1, 0.1, 3), eta=-0.1)


BETAS = ddpm_betas()


@pytest.mark.parametrize("wrong", [BETAS, BETAS.flip(0), sigmas_of_alphas_bar(KEPT).flip(0), KEPT.flip(0), 1.5 * KEPT])
@pytest.mark.parametrize(
    "use",
    [
        lambda kept: ddpm(lambda x, t: x, torch.zeros(2, 1), kept),
        lambda kept: ddpm_bound(lambda x, t: x, torch.zeros(2, 1), kept),
        lambda kept: EpsScore(lambda x, t: x, kept),
        lambda kept: ScoreNoise(MIXTURE, kept),
    ],
)
def test_betas_or_noise_levels_are_no_shares(use, wrong):
    with pytest.raises(ValueError, match=r"of betas take alphas_bar_of\(betas\)"):
        use(wrong)


def test_steps_and_noise_levels_are_not_taken_for_each_other():
    x, score = torch.zeros(2, 2, dtype=F64), EpsScore(ScoreNoise(MIXTURE, KEPT), KEPT)
    for t in (torch.tensor([0, 50]), torch.tensor([-1, 3]), torch.tensor([1.0, 2.0])):
        with pytest.raises(ValueError, match=r"steps 0 \.\.\. 49, whole numbers.* ask the score itself"):
            ScoreNoise(MIXTURE, KEPT)(x, t)
    for told_sigma in (score, MIXTURE, Empirical(torch.rand(3, 2)), EpsScore(lambda x, sigma: x)):
        with pytest.raises(ValueError, match=r"is told sigma, and gets whole numbers.*ScoreNoise\(score, alphas_bar\)"):
            list(ddpm(told_sigma, x, KEPT))
    last_sigma = sigmas_of_alphas_bar(KEPT)[-1].item()
    with pytest.raises(ValueError, match=rf"knows sigma from 0.03164 to {last_sigma:.4g} .*not 5000: take a ladder"):
        score(x, torch.tensor([1.0, 5000.0]))
    for steps in (20, [0.5, 3.7]):
        with pytest.raises(ValueError, match="steps are some of 0 to 49, rising, such as range"):
            ddpm(lambda x, t: x, x, KEPT, steps=steps)


def test_a_net_that_returns_nonsense_is_named_with_its_step():
    x = torch.zeros(2, 1)
    with pytest.raises(FloatingPointError, match=r"NaN or infinite at step t = 31: the net itself"):
        list(ddpm(lambda x, t: x / (t[0] != 31), torch.ones(2, 1), KEPT, steps=range(1, 50, 5), generator=seeded(0)))
    with pytest.raises(ValueError, match=r"shape \(2,\) at step t = 49"):
        list(ddpm(lambda x, t: x[:, 0], x, KEPT))


# ---- the bound -----------------------------------------------------------------------------------------------------


def test_the_bound_is_above_the_exact_log_density_and_near_it_with_many_steps():
    """Of N(0, 0.6) on the line, with its exact score; the more steps, the smaller the gap."""
    data = GaussianMixture(torch.zeros(1, 1, dtype=F64), 0.6)
    x = data.sample(100_000, generator=seeded(7)).double()
    gaps = []
    for n, largest in ((3, 0.9), (100, 0.1)):
        kept = alphas_bar_of(ddpm_betas(n, 0.1 / n, largest))
        bound = ddpm_bound(ScoreNoise(data, kept), x, kept, variance="beta", generator=seeded(8))
        assert bound.steps.shape == (100_000, n - 1)
        gap = bound.total + data.log_prob(x)
        gaps.append((gap.mean().item(), 4 * gap.std().item() / math.sqrt(len(x))))
    (few, few_error), (many, many_error) = gaps
    assert few > 2 * few_error and -many_error < many < 0.05


def test_each_term_is_the_mean_of_log_ratios():
    """E_q[log q(x_{t-1} | x_t, x_0) - log p(x_{t-1} | x_t)], by drawing x_t and x_{t-1}: Monte Carlo, term by term."""
    kept, x0 = alphas_bar_of(ddpm_betas(6, 0.05, 0.5)), 0.7
    betas = ddpm_betas(6, 0.05, 0.5)
    net = lambda x, t: torch.tanh(x) * (1 + t[:, None].to(x)) / 5  # noqa: E731  # any guess will do
    x = torch.full((200_000, 1), x0, dtype=F64)
    bound = ddpm_bound(net, x, kept, variance="beta", generator=seeded(9))
    rng = np.random.default_rng(0)
    for t in range(1, 6):
        a, b, beta = kept[t].item(), kept[t - 1].item(), betas[t].item()
        x_t = math.sqrt(a) * x0 + math.sqrt(1 - a) * rng.standard_normal(200_000)
        mean = (math.sqrt(1 - beta) * (1 - b) * x_t + math.sqrt(b) * beta * x0) / (1 - a)
        std = math.sqrt(beta * (1 - b) / (1 - a))
        before = mean + std * rng.standard_normal(200_000)
        e = net(torch.tensor(x_t)[:, None], torch.full((200_000,), t)).numpy()[:, 0]
        guess = (x_t - beta / math.sqrt(1 - a) * e) / math.sqrt(1 - beta)  # Ho et al. 2020, eq. 11
        ratios = stats.norm.logpdf(before, mean, std) - stats.norm.logpdf(before, guess, math.sqrt(beta))
        error = 4 * (ratios.std() + bound.steps[:, t - 1].std().item()) / math.sqrt(200_000)
        assert bound.steps[:, t - 1].mean().item() == pytest.approx(ratios.mean(), abs=error)
    exact = stats.norm(math.sqrt(kept[-1]) * x0, math.sqrt(1 - kept[-1]))
    kl = integrate.quad(lambda y: exact.pdf(y) * (exact.logpdf(y) - stats.norm.logpdf(y)), -9, 9)[0]
    assert bound.prior[0].item() == pytest.approx(kl, rel=1e-6)


def test_greys_have_probabilities_that_sum_to_one():
    kept, number = torch.tensor([0.98], dtype=F64), 17
    greys = torch.linspace(-1, 1, number, dtype=F64)[:, None]
    fixed = 0.2  # a guess that does not depend on x_t: x_0 = 0.2
    net = lambda x, t: (x - math.sqrt(0.98) * fixed) / math.sqrt(0.02)  # noqa: E731
    bound = ddpm_bound(net, greys, kept, greys=(-1, 1, number))
    assert (-bound.decoder).exp().sum().item() == pytest.approx(1, abs=1e-9)
    edges = np.concatenate([[-np.inf], (greys[1:, 0] + greys[:-1, 0]).numpy() / 2, [np.inf]])
    masses = np.diff(stats.norm(fixed, math.sqrt(0.02)).cdf(edges))
    assert np.allclose((-bound.decoder).exp().numpy(), masses, rtol=1e-6, atol=1e-12)
    far = ddpm_bound(lambda x, t: (x - math.sqrt(0.98) * -40) / math.sqrt(0.02), greys, kept, greys=(-1, 1, number))
    assert far.decoder.isfinite().all() and far.decoder[-1] > 1e4  # no log of zero
    with pytest.raises(ValueError, match="x must hold greys from -1 to 1"):
        ddpm_bound(net, greys * 2, kept, greys=(-1, 1, number))
