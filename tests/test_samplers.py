"""Samplers against theory: where chains settle, when they blow up, what they may not do."""

import gc
import math
import weakref
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers import F64, FALSE_ALARM, assert_mean, assert_variance, normal, seeded
from scipy import integrate, stats
from torch.utils._python_dispatch import TorchDispatchMode

from ncsn_edu import checks
from ncsn_edu.core import denoise, every, last
from ncsn_edu.diffusion import (
    ancestral,
    consistent_annealed,
    ddim,
    ddpm,
    predictor_corrector,
    probability_flow,
    repaint,
    reverse_sde,
)
from ncsn_edu.distributions import Empirical, GaussianMixture
from ncsn_edu.mcmc import annealed_langevin, inpaint, langevin, mala
from ncsn_edu.schedules import geometric, karras, stable_alpha, stable_eps
from ncsn_edu.sdes import VE, VP

ROOT = Path(__file__).resolve().parents[1]
NAN, INF = math.nan, math.inf
LADDER = torch.tensor([2.0, 1.0, 0.5])


def pull_to_zero(x, sigma):
    """The score of N(0, 1) after noise sigma, for x of any shape."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return -x / (1 + sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2)


def normal_with_log_prob(x):
    return -x.flatten(1).square().sum(1) / 2, -x


def halves(x):
    """A mask over one row of x: the first half of it is known."""
    mask = torch.zeros_like(x[0])
    mask.flatten()[: mask.numel() // 2] = 1
    return mask


# One short run of each sampler, to be asked the same questions: f(score, x, generator) -> states.
RUNS = {
    "langevin": lambda score, x, g: langevin(score, x, alpha=0.1, n_steps=6, sigma=0.5, generator=g),
    "annealed_langevin": lambda score, x, g: annealed_langevin(
        score, x, LADDER.to(x), eps=0.05, n_steps_each=2, generator=g
    ),
    "consistent_annealed": lambda score, x, g: consistent_annealed(
        score, x, geometric(2, 0.5, 7).to(x), eta=0.4, generator=g
    ),
    "ancestral": lambda score, x, g: ancestral(score, x, geometric(2, 0.5, 7).to(x), generator=g),
    "ddim": lambda score, x, g: ddim(score, x, geometric(2, 0.5, 7).to(x), eta=0.5, generator=g),
    "ddpm": lambda score, x, g: ddpm(lambda x, t: -score(x, 0.5), x, torch.linspace(0.9, 0.1, 6), generator=g),
    "predictor_corrector": lambda score, x, g: predictor_corrector(score, x, geometric(2, 0.5, 7).to(x), generator=g),
    "predictor_corrector of VP": lambda score, x, g: predictor_corrector(score, x, VP(), n_steps=6, generator=g),
    "reverse_sde": lambda score, x, g: reverse_sde(score, x, geometric(2, 0.5, 7).to(x), generator=g),
    "reverse_sde of VP": lambda score, x, g: reverse_sde(score, x, VP(), n_steps=5, denoising=True, generator=g),
    "inpaint": lambda score, x, g: inpaint(
        score, x, LADDER.to(x), image=x[0] * 0.3, mask=halves(x), eps=0.05, n_steps_each=2, generator=g
    ),
    "repaint": lambda score, x, g: repaint(
        score, x, geometric(2, 0.5, 4).to(x), image=x[0] * 0.3, mask=halves(x), n_times=2, generator=g
    ),
    "mala": lambda score, x, g: mala(
        lambda x: (-x.flatten(1).square().sum(1) / 2, score(x, 0.0)), x, alpha=0.1, n_steps=6, generator=g
    ),
}
every_sampler = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


# ---- what every sampler does ---------------------------------------------------------------------------------------


@every_sampler
@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 4, 4), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_dtype_and_x_is_left_alone(run, shape, dtype, device):
    x = torch.ones(shape, dtype=dtype, device=device)
    states = list(run(pull_to_zero, x, seeded(0, device)))
    assert len(states) == 6
    for state in states:
        assert state.x.shape == shape and state.x.dtype == dtype and state.x.device == x.device
        assert state.x.isfinite().all()
    assert (x == 1).all()
    assert len({state.x.data_ptr() for state in states}) == 6  # a kept state is not overwritten by the next step


@every_sampler
def test_the_generator_alone_decides(run, device):
    x = torch.ones(5, 2, device=device)
    torch.manual_seed(1)
    first = last(run(pull_to_zero, x, seeded(7, device)))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = last(run(pull_to_zero, x, seeded(7, device)))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, last(run(pull_to_zero, x, seeded(8, device))))


@every_sampler
def test_without_a_generator_the_global_seed_decides(run):
    x = torch.ones(5, 2)
    torch.manual_seed(1)
    first = last(run(pull_to_zero, x, None))
    torch.manual_seed(1)
    assert torch.equal(first, last(run(pull_to_zero, x, None)))


@pytest.mark.parametrize("run", [run for name, run in RUNS.items() if "corrector" not in name])
def test_rows_are_independent_chains(run):
    """The first chain does not feel where the others are."""
    x, other = torch.ones(4, 3), torch.ones(4, 3)
    other[1:] = 3.0
    assert torch.allclose(last(run(pull_to_zero, x, seeded()))[0], last(run(pull_to_zero, other, seeded()))[0])


@pytest.mark.parametrize("name", ["langevin", "annealed_langevin"])
def test_a_state_is_the_one_after_the_update(name):
    """The score is asked about the x of the state before, and never about the last one."""
    asked = []

    def score(x, sigma):
        asked.append(x.clone())
        return pull_to_zero(x, sigma)

    x = torch.ones(3, 2)
    states = list(RUNS[name](score, x, seeded()))
    assert torch.equal(asked[0], x)
    assert len(asked) == len(states) == 6
    for before, state in zip(asked[1:], states, strict=False):
        assert torch.equal(before, state.x)
    assert not torch.equal(states[-1].x, asked[-1])
    assert torch.equal(states[-1].x, last(RUNS[name](pull_to_zero, x, seeded())))
    kept = [state.x for state in every(RUNS[name](pull_to_zero, x, seeded()), 4)]
    assert len(kept) == 2 and torch.equal(kept[0], states[3].x) and torch.equal(kept[1], states[5].x)


def test_levels_steps_and_sigmas_of_states():
    states = list(annealed_langevin(pull_to_zero, torch.ones(2, 1), LADDER, eps=0.05, n_steps_each=3))
    assert [(s.level, s.step, s.sigma) for s in states] == [
        (level, step, sigma) for level, sigma in enumerate([2.0, 1.0, 0.5]) for step in range(3)
    ]
    states = list(langevin(pull_to_zero, torch.ones(2, 1), alpha=0.1, n_steps=3, sigma=0.7))
    assert [(s.level, s.step, s.sigma) for s in states] == [(0, 0, 0.7), (0, 1, 0.7), (0, 2, 0.7)]
    assert all(s.accepted is None for s in states)
    states = list(mala(normal_with_log_prob, torch.ones(4, 1), alpha=0.1, n_steps=3))
    assert [(s.level, s.step, s.sigma) for s in states] == [(0, 0, 0.0), (0, 1, 0.0), (0, 2, 0.0)]
    assert all(s.accepted.shape == (4,) and s.accepted.dtype == torch.bool for s in states)


def test_the_score_is_asked_at_the_level_s_sigma():
    asked = []
    last(
        annealed_langevin(
            lambda x, sigma: asked.append(sigma) or -x, torch.ones(2, 1), LADDER, eps=0.05, n_steps_each=2
        )
    )
    assert asked == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
    last(langevin(lambda x, sigma: asked.append(sigma) or -x, torch.ones(2, 1), alpha=0.1, n_steps=1, sigma=0.3))
    assert asked[-1] == 0.3


def test_the_paper_s_settings_are_the_defaults():
    x = torch.zeros(2, 1, dtype=F64)
    constant = lambda x, sigma: torch.ones_like(x)  # noqa: E731
    sigmas = torch.tensor([1.0, 0.01], dtype=F64)
    states = list(annealed_langevin(constant, x, sigmas, generator=seeded()))
    plain = last(annealed_langevin(lambda x, sigma: 0 * x, x, sigmas, generator=seeded()))
    assert len(states) == 2 * 100
    assert torch.allclose(states[-1].x - plain, torch.tensor(100 * (0.2 + 2e-5) / 2, dtype=F64))  # eps 2e-5


@every_sampler
def test_the_consumer_s_grad_mode_is_its_own(run):
    x = torch.ones(3, 2)
    for state in run(pull_to_zero, x, seeded()):
        assert torch.is_grad_enabled()
        assert not state.x.requires_grad
        w = torch.ones(2, requires_grad=True)
        assert (state.x * w).sum().requires_grad
    with torch.no_grad():
        for _ in run(pull_to_zero, x, seeded()):
            assert not torch.is_grad_enabled()
    states = run(pull_to_zero, x, seeded())
    next(states)
    del states  # left half way
    assert torch.is_grad_enabled()


@every_sampler
def test_a_score_may_use_autograd(run):
    def energy_score(x, sigma):
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(-(x**2).sum() / 2 / (1 + sigma**2), x)[0]

    x = torch.ones(3, 2, dtype=F64, requires_grad=True)
    by_hand = last(run(pull_to_zero, x, seeded()))
    by_autograd = last(run(energy_score, x, seeded()))
    assert torch.allclose(by_hand, by_autograd)
    assert not by_autograd.requires_grad


def live_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


LONG = {
    "langevin": lambda n: langevin(pull_to_zero, torch.ones(50, 2), alpha=0.1, n_steps=n),
    "annealed_langevin": lambda n: annealed_langevin(
        pull_to_zero, torch.ones(50, 2), LADDER, eps=0.05, n_steps_each=n // 3
    ),
    "mala": lambda n: mala(normal_with_log_prob, torch.ones(50, 2), alpha=0.1, n_steps=n),
    "inpaint": lambda n: inpaint(
        pull_to_zero,
        torch.ones(50, 2),
        LADDER,
        image=torch.zeros(2),
        mask=torch.tensor([0, 1]),
        eps=0.05,
        n_steps_each=n // 3,
    ),
    "consistent_annealed": lambda n: consistent_annealed(pull_to_zero, torch.ones(50, 2), geometric(5.0, 0.1, n + 1)),
}


@pytest.mark.parametrize("run", LONG.values(), ids=LONG.keys())
def test_memory_does_not_grow_with_the_number_of_steps(run):
    def held(n):
        """The most states of a run of n steps that are alive at once, and tensors alive at a tenth and at the end."""
        yielded, most, tensors = [], 0, []
        for number, state in enumerate(run(n), start=1):
            yielded.append(weakref.ref(state.x))
            most = max(most, sum(ref() is not None for ref in yielded))
            if number in (n // 10, n):
                tensors.append(live_tensors())
        return most, *tensors

    most, early, late = held(150)
    assert most == held(9)[0] <= 2
    assert early == late


class Counted(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at once, whichever operation makes them."""

    def __init__(self):
        super().__init__()
        self.most = 0
        self.alive = {}  # address -> bytes, tensors that share them

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            address = result.untyped_storage().data_ptr()
            size, users = self.alive.get(address, (result.untyped_storage().nbytes(), 0))
            self.alive[address] = size, users + 1
            weakref.finalize(result, self.freed, address)
            self.most = max(self.most, sum(size for size, _ in self.alive.values()))
        return result

    def freed(self, address):
        size, users = self.alive.pop(address)
        if users > 1:
            self.alive[address] = size, users - 1


ONE_STEP_A_LEVEL = {
    "consistent_annealed": consistent_annealed,
    "ancestral": ancestral,
    "ddim": ddim,
    "probability_flow": probability_flow,
    "reverse_sde": reverse_sde,
}


@pytest.mark.parametrize("sampler", [*ONE_STEP_A_LEVEL, "annealed_langevin", "inpaint", "predictor_corrector"])
def test_many_steps_on_images_need_no_more_memory_than_one(sampler):
    x = torch.rand(64, 3, 32, 32, generator=seeded())

    def score(x, sigma):
        h = x.repeat(1, 32, 1, 1)  # features, as many as those of a small net
        return -h[:, -3:].clone() / (1 + sigma**2)

    def peak(n):
        settings = {} if sampler == "probability_flow" else {"generator": seeded()}
        if sampler in ONE_STEP_A_LEVEL:
            states = ONE_STEP_A_LEVEL[sampler](score, x, geometric(1.0, 0.9, n + 1), **settings)
        elif sampler == "predictor_corrector":
            states = predictor_corrector(score, x, VE(0.9, 1.0).sigmas(n + 1), **settings)
        else:
            run = {"annealed_langevin": annealed_langevin, "inpaint": partial(inpaint, image=x[:1], mask=x[:1] > 0.5)}
            states = run[sampler](
                score, x, geometric(1.0, 0.01, 10)[: min(n, 10)], n_steps_each=max(n // 10, 1), **settings
            )
        with Counted() as counted:
            assert sum(1 for _ in states) == n
        return counted.most

    assert peak(1) > 32 * x.nbytes  # features and more: they were counted
    assert peak(1000 if sampler == "annealed_langevin" else 100) <= 1.1 * peak(1)


def test_last_and_every_hold_one_state_at_a_time():
    yielded, most = [], 0

    def watched():
        nonlocal most
        for state in LONG["langevin"](200):
            yielded.append(weakref.ref(state.x))
            most = max(most, sum(ref() is not None for ref in yielded))
            yield state

    last(watched())
    assert most <= 2
    yielded.clear()
    for _ in every(watched(), 7):
        pass
    assert most <= 3


# ---- unadjusted Langevin: its bias, and where it diverges -----------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.6, 0.9])
def test_langevin_settles_at_the_variance_that_theory_says(share):
    """s^2 / (1 - alpha / (4 s^2)) within four standard errors, at five step sizes, from chains that start at s^2."""
    s2, n = 2.25, 20_000
    alpha = share * 4 * s2
    mixture = GaussianMixture(torch.zeros(1, 1, dtype=F64), s2)
    start = math.sqrt(s2) * normal(n, 1, seed=4)
    x = last(langevin(mixture, start, alpha=alpha, n_steps=40, generator=seeded(1)))
    theory = s2 / (1 - alpha / (4 * s2))
    assert_variance(x, theory, z=4)
    assert_mean(x, 0.0, z=4)
    assert theory / s2 - 1 > 4 * math.sqrt(2 / n)  # the bias is large enough to be seen


def test_langevin_at_a_noise_level_settles_on_the_perturbed_distribution():
    s2, sigma, alpha, n = 1.0, 2.0, 4.0, 50_000
    mixture = GaussianMixture(torch.full((1, 2), 3.0, dtype=F64), s2)
    start = torch.zeros(n, 2, dtype=F64)
    x = last(langevin(mixture, start, alpha=alpha, n_steps=40, sigma=sigma, generator=seeded(2)))
    assert_variance(x, (s2 + sigma**2) / (1 - alpha / (4 * (s2 + sigma**2))), z=4)
    assert_mean(x, 3.0, z=4)


@pytest.mark.parametrize(("s2", "sigma"), [(1.0, 0.0), (0.09, 0.0), (0.25, 2.0)])
def test_langevin_diverges_where_predicted(s2, sigma):
    mixture = GaussianMixture(torch.zeros(1, 1, dtype=F64), s2)
    edge, start = stable_alpha(s2, sigma), torch.ones(50, 1, dtype=F64)

    def size(alpha):
        x = last(langevin(mixture, start, alpha=alpha, n_steps=500, sigma=sigma, generator=seeded(3)))
        return x.abs().max().item() / math.sqrt(s2 + sigma**2)

    assert size(0.98 * edge) < 60  # standard deviations; it settles at 7
    assert size(1.02 * edge) > 1e6


def test_annealed_langevin_diverges_where_predicted():
    sigmas, s2 = torch.tensor([10.0, 1.0, 0.1], dtype=F64), 1.0
    mixture = GaussianMixture(torch.zeros(1, 2, dtype=F64), s2)
    edge, start = stable_eps(sigmas, s2), torch.ones(50, 2, dtype=F64)

    def sizes(eps):
        states = annealed_langevin(mixture, start, sigmas, eps=eps, n_steps_each=400, generator=seeded(4))
        return [state.x.abs().max().item() / math.sqrt(s2 + state.sigma**2) for state in every(states, 400)]

    assert max(sizes(0.98 * edge)) < 60
    assert sizes(1.02 * edge)[0] > 1e5  # on the first level already


def test_the_trap_of_the_ladder_from_ten_with_eps_a_tenth():
    """alpha_1 is 1000 where 404 is the edge: chains run away at level 0, and the message says so."""
    mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    x = 16 * torch.rand(64, 2, generator=seeded(5)) - 8
    with pytest.raises(FloatingPointError, match=r"NaN or infinite at level 0 \(sigma 10\), step \d+\..*stable_eps"):
        last(annealed_langevin(mixture, x, geometric(10, 0.1, 10), eps=0.1, generator=seeded(6)))


# ---- Metropolis-adjusted Langevin -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.6, 0.9])
def test_mala_is_unbiased_at_the_same_steps(share):
    """Chains that start in the target stay in it; and they reach it from a distribution that is too wide."""
    s2, n = 2.25, 20_000
    mixture = GaussianMixture(torch.zeros(1, 1, dtype=F64), s2)
    start = math.sqrt(s2) * normal(n, 1, seed=2)
    for x in (start, 1.3 * start):
        x = last(mala(mixture.log_prob_and_score, x, alpha=share * 4 * s2, n_steps=80, generator=seeded(3)))
        assert_variance(x, s2, z=4)
        assert_mean(x, 0.0, z=4)


def test_mala_accepts_less_at_longer_steps():
    mixture = GaussianMixture(torch.zeros(1, 2, dtype=F64), 1.0)
    x = normal(4000, 2)
    rates = []
    for alpha in (0.01, 0.5, 1.0, 2.0, 4.0, 8.0):
        states = list(mala(mixture.log_prob_and_score, x, alpha=alpha, n_steps=4, generator=seeded(1)))
        rates.append(torch.stack([state.accepted for state in states]).double().mean().item())
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.99 and rates[-1] < 0.5


def test_mala_says_which_chains_moved():
    x = normal(500, 2)
    for state in mala(normal_with_log_prob, x, alpha=3.0, n_steps=5, generator=seeded(1)):
        assert torch.equal((state.x != x).any(1), state.accepted)
        assert 0 < state.accepted.sum() < 500
        x = state.x


def overlapping():
    return GaussianMixture(
        torch.tensor([[-1.0], [1.5]], dtype=F64), torch.tensor([0.2, 1.0], dtype=F64), torch.tensor([0.6, 0.4])
    )


def test_mala_reaches_a_mixture_whose_distribution_function_is_known_by_quadrature():
    """Long steps, where the unadjusted chain is visibly wrong: the same test tells the two apart."""
    target, alpha, n = overlapping(), 0.6, 20_000

    def density(t):
        return 0.6 * stats.norm.pdf(t, -1, math.sqrt(0.2)) + 0.4 * stats.norm.pdf(t, 1.5, 1)

    edges = [-INF, -1.8, -1.4, -1.1, -0.8, -0.4, 0.2, 1.0, 1.8, 2.6, INF]
    mass = [integrate.quad(density, a, b)[0] for a, b in pairwise(edges)]

    def p_value(x):
        counts = torch.bucketize(x.flatten(), torch.tensor(edges[1:-1], dtype=F64)).bincount(minlength=10)
        return stats.chisquare(counts.numpy(), n * torch.tensor(mass).numpy() / sum(mass)).pvalue

    start = 3 * normal(n, 1, seed=5)
    adjusted = last(mala(target.log_prob_and_score, start, alpha=alpha, n_steps=150, generator=seeded(6)))
    unadjusted = last(langevin(target, start, alpha=alpha, n_steps=150, generator=seeded(6)))
    assert p_value(adjusted) > FALSE_ALARM
    assert p_value(unadjusted) < 1e-12


def test_mala_weighs_images_as_a_whole():
    """Acceptance is one decision a chain: on (B, 3, 2, 2) as on the same numbers laid flat."""
    x = normal(200, 3, 2, 2)
    images = last(mala(normal_with_log_prob, x, alpha=0.8, n_steps=5, generator=seeded(1)))
    flat = last(mala(normal_with_log_prob, x.flatten(1), alpha=0.8, n_steps=5, generator=seeded(1)))
    assert torch.equal(images.flatten(1), flat)


def test_mala_never_leaves_the_support():
    """Where log_prob is -inf the score may be anything, and no chain goes there; one that starts there comes back."""

    def half_normal(x):
        inside = x[:, 0] > 0
        return torch.where(inside, -(x[:, 0] ** 2) / 2, -INF), torch.where(inside[:, None], -x, NAN)

    start = torch.linspace(-0.5, 2, 5000, dtype=F64)[:, None]
    for state in mala(half_normal, start, alpha=0.5, n_steps=60, generator=seeded(1)):
        was_inside = (start[:, 0] > 0).sum()
        assert (state.x[:, 0] > 0).sum() >= was_inside
        start = state.x
    assert (state.x > 0).all()
    assert stats.kstest(state.x[:, 0].numpy(), stats.halfnorm.cdf).pvalue > FALSE_ALARM


# ---- denoising ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, torch.tensor([0.1, 0.5, 1.0, 3.0])])
def test_denoise_is_the_mean_of_the_clean_given_the_noisy(sigma):
    """For N(mu, 1) data the mean of the clean is the average of mu and x, weighted by precision."""
    x = normal(4, 3, 2, 2)
    mu = 2.0
    clean = denoise(lambda x, s: pull_to_zero(x - mu, s), x, sigma)
    s2 = torch.as_tensor(sigma, dtype=F64).reshape(-1, 1, 1, 1) ** 2
    assert torch.allclose(clean, (x / s2 + mu) / (1 / s2 + 1))
    data = normal(6, 2, seed=3)
    noisy = normal(4, 2, seed=4)
    assert torch.allclose(denoise(Empirical(data), noisy, sigma), Empirical(data).denoise(noisy, sigma), atol=1e-10)


def test_denoise_happens_at_the_call_and_checks_it():
    x = torch.ones(2, 2, requires_grad=True)
    assert not denoise(pull_to_zero, x, 1.0).requires_grad
    with pytest.raises(ValueError, match="0 or more, not -1"):
        denoise(pull_to_zero, x, -1.0)
    with pytest.raises(ValueError, match=r"one per row, shape \(2,\)"):
        denoise(lambda x, sigma: -x, x, torch.ones(3))
    with pytest.raises(FloatingPointError, match="one per row"):
        denoise(lambda x, sigma: x / 0 - x / 0, x, torch.ones(2))


# ---- the paper's figure 3 -------------------------------------------------------------------------------------------


def from_the_square(n, *, seed=0, dtype=torch.float32):
    return 16 * torch.rand(n, 2, generator=seeded(seed), dtype=dtype) - 8


def small_mode(x):
    return (x.sum(1) < 0).double().mean().item()


def two_modes():
    return GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])


def test_langevin_misses_the_weights_of_the_modes():
    x = last(langevin(two_modes(), from_the_square(1280), alpha=0.1, n_steps=1000, generator=seeded(1)))
    assert 0.44 < small_mode(x) < 0.54


def test_annealing_the_components_finds_the_weights():
    """The published ladder of component standard deviations, 20 -> 1: five points, one of them in the small mode."""
    points = Empirical(torch.tensor([[-5.0, -5.0]] + 4 * [[5.0, 5.0]]))
    sigmas = geometric(20, 1, 10)
    x = last(annealed_langevin(points, from_the_square(1280), sigmas, eps=0.1, generator=seeded(2)))
    assert 0.16 < small_mode(x) < 0.26


def assert_modes(x, variance):
    for center, side in ((-5.0, x.sum(1) < 0), (5.0, x.sum(1) > 0)):
        off = x[side].double() - center
        assert off.var().item() == pytest.approx(variance, rel=0.06)
        assert_variance(off, variance, z=4)
        assert_mean(off, 0.0, z=4)


def test_annealed_modes_are_as_wide_as_theory_says():
    """Annealing the components down to 1 leaves variance 1 in the modes, and noise of 1 on the mixture leaves 1 + 1;
    either a little widened, by 1 / (1 - alpha / (4 variance))."""
    start, sigmas = from_the_square(8000), geometric(20, 1, 10)
    points = Empirical(torch.tensor([[-5.0, -5.0]] + 4 * [[5.0, 5.0]]))
    x = last(annealed_langevin(points, start, sigmas, eps=0.1, generator=seeded(3)))
    assert_modes(x, 1 / (1 - 0.1 / 4))
    assert 0.19 < small_mode(x) < 0.23
    x = last(annealed_langevin(two_modes(), start, sigmas, eps=0.1, generator=seeded(4)))
    assert_modes(x, 2 / (1 - 0.1 / 8))


def test_the_noise_ladder_from_ten_finds_the_weights_too():
    sigmas = geometric(10, 0.1, 10)
    x = last(annealed_langevin(two_modes(), from_the_square(1280), sigmas, eps=2e-3, generator=seeded(5)))
    assert 0.16 < small_mode(x) < 0.27


def test_annealed_langevin_on_finite_data_returns_the_data():
    data = normal(5, 1, 4, 4).float()
    x = torch.rand(40, 1, 4, 4, generator=seeded(1))
    x = last(
        annealed_langevin(Empirical(data), x, geometric(3, 0.01, 12), eps=4e-5, n_steps_each=30, generator=seeded(2))
    )
    distance = torch.cdist(x.flatten(1), data.flatten(1))
    assert (distance.min(1).values < 0.02 * math.sqrt(16)).all()
    assert len(distance.argmin(1).unique()) == 5


# ---- bad input ------------------------------------------------------------------------------------------------------

X = torch.zeros(3, 2)
ZERO = lambda x, sigma: torch.zeros_like(x)  # noqa: E731
BAD_POINTS = [
    ([[0.0, 0.0]], TypeError, r"use torch\.as_tensor\(x\)"),
    (torch.zeros(3, 2, dtype=torch.int64), TypeError, r"use x\.float\(\) or x\.double\(\)"),
    (torch.zeros(2), ValueError, r"use x\[None\] for a single point"),
]
BAD_COUNTS = [0, -1, 1.5, NAN, INF, "3", None]
BAD_STEPS = [0, 0.0, -0.1, NAN, INF, "0.1", None]


@pytest.mark.parametrize(("x", "error", "repair"), BAD_POINTS)
def test_bad_x_is_refused_at_the_call(x, error, repair):
    with pytest.raises(error, match=repair):
        langevin(ZERO, x, alpha=0.1, n_steps=1)
    with pytest.raises(error, match=repair):
        annealed_langevin(ZERO, x, LADDER)
    with pytest.raises(error, match=repair):
        mala(normal_with_log_prob, x, alpha=0.1, n_steps=1)
    with pytest.raises(error, match=repair):
        denoise(ZERO, x, 1.0)


@pytest.mark.parametrize("n", BAD_COUNTS)
def test_bad_numbers_of_steps_are_refused_at_the_call(n):
    with pytest.raises(ValueError, match="n_steps must be a whole number of at least 1"):
        langevin(ZERO, X, alpha=0.1, n_steps=n)
    with pytest.raises(ValueError, match="n_steps must be a whole number of at least 1"):
        mala(normal_with_log_prob, X, alpha=0.1, n_steps=n)
    with pytest.raises(ValueError, match="n_steps_each must be a whole number of at least 1"):
        annealed_langevin(ZERO, X, LADDER, n_steps_each=n)


@pytest.mark.parametrize("step", BAD_STEPS)
def test_bad_step_sizes_are_refused_at_the_call(step):
    with pytest.raises(ValueError, match="alpha must be a finite number above 0"):
        langevin(ZERO, X, alpha=step, n_steps=1)
    with pytest.raises(ValueError, match="alpha must be a finite number above 0"):
        mala(normal_with_log_prob, X, alpha=step, n_steps=1)
    with pytest.raises(ValueError, match="eps must be a finite number above 0"):
        annealed_langevin(ZERO, X, LADDER, eps=step)


@pytest.mark.parametrize("sigma", [-1.0, NAN, INF])
def test_a_bad_sigma_is_refused_at_the_call(sigma):
    with pytest.raises(ValueError, match="sigma is a standard deviation: it must be finite and 0 or more"):
        langevin(ZERO, X, alpha=0.1, n_steps=1, sigma=sigma)


@pytest.mark.parametrize(
    ("sigmas", "repair"),
    [
        ([0.1, 1.0], r"strictly decreasing.*use geometric\(.*, or sigmas\.flip\(0\)"),
        ([1.0, 1.0], "strictly decreasing"),
        ([[1.0, 0.5]], r"shape \(L,\), not \(1, 2\)"),
        ([], r"shape \(L,\), not \(0,\)"),
        ([1.0, NAN], "finite and above 0"),
        ([1.0, 0.0], "finite and above 0"),
    ],
)
def test_a_bad_ladder_is_refused_at_the_call(sigmas, repair):
    with pytest.raises(ValueError, match=repair):
        annealed_langevin(ZERO, X, torch.tensor(sigmas))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_generator_on_another_device_is_refused_at_the_call():
    for run in RUNS.values():
        with pytest.raises(ValueError, match="the generator lives on cuda.*use torch.Generator"):
            run(pull_to_zero, X, torch.Generator("cuda"))


def test_hyperparameters_are_given_by_name():
    with pytest.raises(TypeError):
        langevin(ZERO, X, 0.1, 10)
    with pytest.raises(TypeError):
        annealed_langevin(ZERO, X, LADDER, 2e-5, 100)
    with pytest.raises(TypeError):
        mala(normal_with_log_prob, X, 0.1, 10)


@pytest.mark.parametrize("name", ["langevin", "annealed_langevin"])
@pytest.mark.parametrize(
    ("wrong", "repair"),
    [
        (lambda x: x[:, :1], r"returned shape \(3, 1\) at level 0 .*must return the shape of x, \(3, 2\)"),
        (lambda x: x.sum(), r"returned shape \(\) at level 0 .*must return the shape of x, \(3, 2\)"),
        (lambda x: None, r"returned a NoneType at level 0 .*step 0; it must return the shape of x"),
        (lambda x: (x, x), "returned a tuple at level 0"),
        (lambda x: x.numpy(), "returned a ndarray at level 0"),
    ],
)
def test_a_score_of_another_shape_is_refused(name, wrong, repair):
    with pytest.raises(ValueError, match=repair):
        last(RUNS[name](lambda x, sigma: wrong(x), X, seeded()))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_score_that_is_not_finite_is_refused_with_its_place(value):
    calls = 0

    def breaks(x, sigma):
        nonlocal calls
        calls += 1
        return torch.where(torch.arange(len(x))[:, None] == 1, value, -x) if calls == 5 else -x

    with pytest.raises(FloatingPointError, match=r"at level 1 \(sigma 1\), step 1\..*stable_eps.*stable_alpha"):
        last(annealed_langevin(breaks, X, LADDER, eps=0.01, n_steps_each=3))
    calls = 2
    with pytest.raises(FloatingPointError, match=r"at level 0 \(sigma 0.5\), step 2\."):
        last(langevin(breaks, X, alpha=0.01, n_steps=10, sigma=0.5))
    calls = 2
    with pytest.raises(FloatingPointError, match=r"at level 0 \(sigma 0\), step 1\."):
        last(mala(lambda x: (-x.square().sum(1) / 2, breaks(x, 0)), X, alpha=0.01, n_steps=10))


@pytest.mark.parametrize(
    ("function", "error", "repair"),
    [
        (
            lambda x: -x,
            ValueError,
            r"the pair of tensors \(log_prob \(B,\), score .*mixture\.log_prob_and_score; .* a Tensor",
        ),
        (lambda x: (x, x, x), ValueError, "the pair of tensors"),
        (lambda x: (-x, -x), ValueError, r"log_prob must have shape \(3,\), one number a chain, not \(3, 2\)"),
        (lambda x: (x.sum(), -x), ValueError, r"log_prob must have shape \(3,\)"),
        (lambda x: (x[:, 0], -x[:, :1]), ValueError, r"returned shape \(3, 1\) .*must return the shape of x"),
        (lambda x: (x[:, 0], None), ValueError, "returned a NoneType"),
        (lambda x: (x[:, 0] * NAN, -x), FloatingPointError, r"log_prob is NaN or \+inf at step 0"),
        (lambda x: (x[:, 0] + INF, -x), FloatingPointError, r"log_prob is NaN or \+inf at step 0"),
        (lambda x: (x[:, 0], x * NAN), FloatingPointError, "the score is NaN or infinite"),
    ],
)
def test_mala_says_what_function_it_needs(function, error, repair):
    with pytest.raises(error, match=repair):
        last(mala(function, X, alpha=0.1, n_steps=2))


def test_annealing_ends_with_a_denoising_step_where_asked():
    x, options = normal((6, 3), seed=1), {"eps": 0.05, "n_steps_each": 2}
    plain = list(annealed_langevin(pull_to_zero, x, LADDER, generator=seeded(2), **options))
    *same, end = annealed_langevin(pull_to_zero, x, LADDER, denoising=True, generator=seeded(2), **options)
    assert all(torch.equal(a.x, b.x) for a, b in zip(plain, same, strict=True))
    assert torch.equal(end.x, denoise(pull_to_zero, plain[-1].x, LADDER[-1].item()))
    assert (end.sigma, end.level, end.step) == (0.5, 2, 2)


# ---- consistent annealed sampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.4, 0.7, 1.0])
def test_consistent_annealing_leaves_exactly_the_noise_of_each_level(eta):
    """For data in one point, x - point is nothing but noise, and its variance must be sigma_i^2 at every level."""
    point, sigmas = torch.tensor([1.0, -2.0], dtype=F64), geometric(5, 0.1, 12)
    score = Empirical(point[None])
    x = point + 5 * normal((20_000, 2), seed=1)
    for state in consistent_annealed(score, x, sigmas, eta=eta, generator=seeded(2)):
        assert state.sigma == pytest.approx(sigmas[state.level].item())
        assert_variance((state.x - point).flatten(), state.sigma**2)
        assert_mean((state.x - point).flatten(), 0.0)
    assert state.level == 11


def test_consistent_annealing_reaches_both_modes_in_their_shares():
    mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 0.05, [0.3, 0.7])
    x = 10 * normal((4000, 2), seed=3)
    end = last(consistent_annealed(mixture, x, geometric(10, 0.05, 200), eta=0.05, generator=seeded(4)))
    share = (denoise(mixture, end, 0.05)[:, 0] < 0).double().mean().item()
    assert share == pytest.approx(0.3, abs=5 * (0.21 / 4000) ** 0.5)


# ---- ancestral sampling, predictor and corrector, the probability flow ----------------------------------------------


@pytest.mark.parametrize("ratio", [1.05, 3.0])
def test_ancestral_sampling_leaves_exactly_the_noise_of_each_level(ratio):
    """For data in one point this holds for steps of any size."""
    point = torch.tensor([1.0, -2.0], dtype=F64)
    sigmas = 5 * ratio ** -torch.arange(8, dtype=F64)
    x = point + 5 * normal((20_000, 2), seed=1)
    for state in ancestral(Empirical(point[None]), x, sigmas, generator=seeded(2)):
        assert state.sigma == pytest.approx(sigmas[state.level].item())
        assert_variance((state.x - point).flatten(), state.sigma**2)
        assert_mean((state.x - point).flatten(), 0.0)
    assert state.level == 7


def test_ancestral_sampling_reaches_a_mixture():
    mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 0.05, [0.3, 0.7])
    end = last(ancestral(mixture, 10 * normal((4000, 2), seed=3), geometric(10, 0.05, 200), generator=seeded(4)))
    share = (denoise(mixture, end, 0.05)[:, 0] < 0).double().mean().item()
    assert share == pytest.approx(0.3, abs=5 * (0.21 / 4000) ** 0.5)


def test_predictor_and_corrector_settle_on_the_data():
    """N(1, 0.5^2) in 8 dimensions. Langevin steps of finite length settle at a variance larger by 1/(1 - snr^2)."""
    score, start = GaussianMixture([8 * [1.0]], 0.25), 20 * normal((5000, 8), seed=1)
    x = last(predictor_corrector(score, start, VE(0.01, 20).sigmas(1001), generator=seeded(2)))
    settled = (0.25 + 0.01**2) / (1 - 0.16**2)
    assert x.var(0).mean().item() == pytest.approx(settled, rel=0.015 + 5 * (2 / 40_000) ** 0.5)
    assert x.mean().item() == pytest.approx(1.0, abs=5 * 0.5 / 40_000**0.5 + 0.005)


def test_the_corrector_has_the_signal_to_noise_ratio_asked_for():
    """A score of zero, then a constant one: what moves x along it is the signal, the rest is noise of variance 2 a."""
    direction = normal((20_000,), seed=5)
    answers = iter([0.0, 3.0])
    ladder = torch.tensor([1.0 + 1e-12, 1.0], dtype=F64)  # no predictor to speak of
    states = predictor_corrector(
        lambda x, sigma: next(answers) * direction.expand_as(x),
        torch.zeros(1, 20_000, dtype=F64),
        ladder,
        snr=0.3,
    )
    moved = last(states)[0]
    signal = (moved @ direction) / (direction @ direction) * direction
    noise = moved - signal
    assert (signal.norm() / noise.norm()).item() == pytest.approx(0.3, rel=0.05)
    a = signal.norm() / (3 * direction.norm())
    assert noise.var().item() == pytest.approx(2 * a.item(), rel=0.06)


def gaussian_end(solver, n):
    """Error at the end of the flow for N(1, 0.5^2), whose solution is 1 + (x - 1) sqrt((v + s^2) / (v + s_0^2))."""
    x = torch.tensor([[-30.0], [5.0], [31.0]], dtype=F64)
    exact = 1 + (x - 1) * ((0.25 + 0.01**2) / (0.25 + 20**2)) ** 0.5
    sigmas = karras(20, 0.01, n).double()
    return (last(probability_flow(GaussianMixture([[1.0]], 0.25), x, sigmas, solver=solver)) - exact).abs().max().item()


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_flow_converges_at_the_order_of_its_solver(solver, order):
    coarse, fine = gaussian_end(solver, 101), gaussian_end(solver, 201)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert fine < {"euler": 0.02, "heun": 2e-4}[solver]


def test_the_flow_carries_noise_to_the_mixture():
    """In one dimension the flow keeps the order of points, so that quantiles go to quantiles."""
    mixture = GaussianMixture([[-1.0], [2.0]], 0.2, [0.3, 0.7])
    normals = torch.distributions.Normal(torch.tensor([-1.0, 2.0]).double(), torch.tensor(0.2).double().sqrt())
    noisy = mixture.perturb(10.0)
    start = torch.distributions.Normal(noisy.means[:, 0], noisy.covariances[:, 0, 0].sqrt())
    x = torch.tensor([[-12.0], [-4.0], [0.0], [3.0], [11.0]], dtype=F64)
    weights = mixture.weights.double()
    before = (weights * start.cdf(x)).sum(1)
    end = last(probability_flow(mixture, x, karras(10, 1e-3, 400).double()))
    torch.testing.assert_close((weights * normals.cdf(end)).sum(1), before, atol=2e-3, rtol=0)


def test_the_flow_draws_nothing_and_says_where_it_is():
    x, state = normal((4, 2), seed=1), torch.get_rng_state()
    states = list(probability_flow(pull_to_zero, x, LADDER))
    assert torch.equal(torch.get_rng_state(), state)
    assert [(s.sigma, s.level, s.step) for s in states] == [(1.0, 1, 0), (0.5, 2, 0)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: probability_flow(pull_to_zero, x, LADDER, solver="rk4"), "heun or euler or adaptive, not 'rk4'"),
        (lambda x: predictor_corrector(pull_to_zero, x, LADDER, snr=0), "snr must be a finite number above 0"),
        (lambda x: ancestral(pull_to_zero, x, LADDER.flip(0)), "strictly decreasing"),
    ],
)
def test_bad_input_of_these_at_the_call(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 2))


# ---- inpainting ----------------------------------------------------------------------------------------------------

PAIR = GaussianMixture(
    torch.tensor([[-2.0, -1.0], [2.0, 1.5]], dtype=F64),
    torch.tensor([[[0.5, 0.3], [0.3, 0.4]], [[0.3, -0.1], [-0.1, 0.6]]], dtype=F64),
    [0.4, 0.6],
)


def by_algorithm_2(x, image, mask):
    ladder = geometric(10, 0.03, 20)
    return inpaint(PAIR, x, ladder, image=image, mask=mask, eps=5e-4, n_steps_each=150, generator=seeded(6))


def by_resampling(x, image, mask, n_times=60):
    return repaint(PAIR, x, geometric(10, 0.03, 60), image=image, mask=mask, n_times=n_times, generator=seeded(6))


@pytest.mark.parametrize("complete", [by_algorithm_2, by_resampling])
@pytest.mark.parametrize(("mask", "known"), [([1, 0], 0.3), ([0, 1], 0.2), ([1, 0], -1.5)])
def test_inpainting_draws_from_the_conditional(mask, known, complete):
    """One coordinate of a mixture of Gaussians is known; the other must follow the exact conditional (KS test)."""
    mask = torch.tensor(mask)
    image = torch.where(mask == 1, known, NAN)
    x = 10 * (2 * torch.rand(2000, 2, generator=seeded(5), dtype=F64) - 1)
    end = last(complete(x, image, mask))
    missing = end[:, mask == 0].flatten()
    truth = PAIR.posterior(mask, image).perturb(0.03)
    normals = [stats.norm(m.item(), v.item() ** 0.5) for m, v in zip(truth.means, truth.covariances[:, 0], strict=True)]

    def cdf(value):
        return sum(w * n.cdf(value) for w, n in zip(truth.weights.tolist(), normals, strict=True))

    assert stats.kstest(missing.numpy(), cdf).statistic < 0.05
    assert_mean(end[:, mask == 1].flatten(), known)
    assert_variance(end[:, mask == 1].flatten(), 0.03**2)


def test_hidden_pixels_are_never_looked_at_and_known_ones_come_back():
    image = torch.rand(1, 4, 4, generator=seeded(7))
    mask = (torch.rand(4, 4, generator=seeded(8)) < 0.5).float()
    other = torch.where(mask == 1, image, NAN)
    x = torch.rand(3, 1, 4, 4, generator=seeded(9))
    settings = {"mask": mask, "eps": 1e-4, "n_steps_each": 5}
    ends = [
        last(inpaint(pull_to_zero, x, geometric(1, 0.01, 5), image=i, generator=seeded(1), **settings))
        for i in (image, other)
    ]
    assert torch.equal(*ends)
    known = mask.bool().expand(3, 1, 4, 4)
    assert (ends[0] - image)[known].abs().max() < 5 * 0.01
    assert (ends[0] - image)[~known].abs().max() > 0.1
    assert not torch.equal(ends[0][0], ends[0][1]), "several rows are several completions"


def test_pasting_without_resampling_misses_the_conditional():
    """Once down the ladder the missing coordinate hears of the known one too late: more go to the wrong mode."""
    mask, image = torch.tensor([1, 0]), torch.tensor([0.3, NAN])
    x = 10 * normal((2000, 2), seed=5).double()
    truth = PAIR.posterior(mask, image)
    once = PAIR.responsibilities(last(by_resampling(x, image, mask, n_times=1))).mean(0)
    assert (once - truth.weights).abs().max() > 0.2


def test_resampling_asks_pastes_and_goes_back():
    """Each level is reached n_times, always with fresh noise on the known part, and of exactly its size."""
    image, mask = torch.ones(3), torch.tensor([1, 0, 0])
    x, asked = normal((4000, 3), seed=1).double(), []

    def score(x, sigma):
        asked.append((sigma, x[:, 1].var().item()))
        return -x / sigma**2  # of nothing but noise, around a point at 0

    ladder = LADDER.double()
    states = list(repaint(score, 2 * x, ladder, image=image, mask=mask, n_times=3, generator=seeded(2)))
    assert [(s.sigma, s.level, s.step) for s in states] == [
        (s, i, k) for i, s in ((1, 1.0), (2, 0.5)) for k in range(3)
    ]
    assert [sigma for sigma, _ in asked] == [2, 2, 2, 1, 1, 1]
    for (sigma, variance), state in zip(asked, states, strict=True):
        assert variance == pytest.approx(sigma**2, rel=0.1)  # put back: the noise of the level it came from
        assert_variance(state.x[:, 1], state.sigma**2)
        assert_mean(state.x[:, 0], 1.0)
        assert_variance(state.x[:, 0], state.sigma**2)
    assert len({state.x[0, 0].item() for state in states}) == 6


def test_the_noisy_image_is_drawn_once_a_level():
    x, mask = torch.zeros(2, 3), torch.tensor([1, 0, 0])
    states = list(inpaint(pull_to_zero, x, LADDER, image=torch.ones(3), mask=mask, n_steps_each=4, eps=0.01))
    pasted = torch.stack([state.x[:, 0] for state in states]).view(3, 4, 2)
    assert (pasted == pasted[:, :1]).all()
    assert len(pasted[:, 0].unique()) == 6, "another one for each level and row"


def test_a_mask_of_ones_gives_the_image_and_of_zeros_is_annealing():
    x, image = torch.rand(4, 3, generator=seeded(1)), torch.rand(3, generator=seeded(2))
    ladder = geometric(1, 0.001, 4)
    whole = last(inpaint(pull_to_zero, x, ladder, image=image, mask=torch.ones(3), n_steps_each=2))
    assert (whole - image).abs().max() < 0.01
    options = {"eps": 0.05, "n_steps_each": 200, "generator": seeded(3)}
    x = normal((5000, 1), seed=4)
    free = last(inpaint(pull_to_zero, x, LADDER, image=torch.zeros(1), mask=torch.zeros(1), **options))
    annealed = last(annealed_langevin(pull_to_zero, x, LADDER, **options))
    assert stats.ks_2samp(free.flatten(), annealed.flatten()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": torch.ones(4)}, "mask has shape .*does not fit the chains"),
        ({"image": torch.ones(2, 3, 3)}, "image has shape"),
        ({"mask": torch.tensor([1.0, 0.5, 0.0])}, "nothing but 0 .missing. and 1 .known.*mask > 0.5"),
        ({"mask": torch.tensor([1.0, NAN, 0.0])}, "nothing but 0"),
        ({"image": torch.tensor([NAN, 0.0, 0.0])}, "known part of the image holds NaN"),
    ],
)
@pytest.mark.parametrize("complete", [inpaint, repaint])
def test_inpainting_bad_input_at_the_call(change, message, complete):
    settings = {"image": torch.zeros(3), "mask": torch.tensor([1, 0, 1])} | change
    with pytest.raises(ValueError, match=message):
        complete(pull_to_zero, torch.zeros(2, 3), LADDER, **settings)


def test_resampling_no_times():
    with pytest.raises(ValueError, match="n_times must be a whole number of at least 1"):
        repaint(pull_to_zero, torch.zeros(2, 3), LADDER, image=torch.zeros(3), mask=torch.zeros(3), n_times=0)


@pytest.mark.parametrize(
    ("eta", "message"),
    [(0.4, "use a larger eta"), (1.1, "from 0 to 1"), (0.0, "use a larger eta"), (-0.5, "from 0 to 1")],
)
def test_consistent_annealing_bad_eta_at_the_call(eta, message):
    with pytest.raises(ValueError, match=message):
        consistent_annealed(pull_to_zero, torch.zeros(2, 3), LADDER, eta=eta)


def test_consistent_annealing_can_choose_eta_for_the_ladder():
    """1.5 times the least that must go: half of the noise on this ladder, 1 - gamma on a geometric one."""
    x = normal((50, 2), seed=3)
    for ladder, eta in ((LADDER.double(), 0.75), (geometric(2, 0.5, 40).double(), 1.5 * (1 - 0.25 ** (1 / 39)))):
        chosen, given = (
            last(consistent_annealed(pull_to_zero, x, ladder, eta=value, generator=seeded(1))) for value in (None, eta)
        )
        torch.testing.assert_close(chosen, given, rtol=1e-3, atol=1e-4)
    coarse = torch.tensor([2.0, 0.1])  # 1.5 times 95 % would be more than all
    assert last(consistent_annealed(pull_to_zero, x, coarse.double(), eta=None, generator=seeded(1))).isfinite().all()


def test_inpainting_can_end_with_the_denoising_step():
    image, mask = normal((4,), seed=1), torch.tensor([1, 0, 1, 0], dtype=torch.bool)
    settings = {"image": image, "mask": mask, "eps": 0.05, "n_steps_each": 2, "generator": seeded(2)}
    states = list(inpaint(pull_to_zero, normal((6, 4), seed=4), LADDER.double(), denoising=True, **settings))
    assert len(states) == 7 and (states[-1].sigma, states[-1].level, states[-1].step) == (0.5, 2, 2)
    before, after = states[-2].x, states[-1].x
    assert torch.equal(after[:, mask], image[mask].expand(6, 2)) and not torch.equal(before[:, mask], after[:, mask])
    torch.testing.assert_close(after[:, ~mask], denoise(pull_to_zero, before, 0.5)[:, ~mask])


@pytest.mark.parametrize("bad", [3, 60, 120])
def test_where_looking_means_waiting_the_first_bad_score_is_named_soon(bad, monkeypatch):
    monkeypatch.setattr(checks, "may_look", lambda values: False)
    asked = []

    def score(x, sigma):
        asked.append(sigma)
        return -x + (torch.nan if len(asked) >= bad else 0.0)

    states = langevin(score, torch.zeros(2, 2), alpha=0.1, n_steps=130)
    with pytest.raises(FloatingPointError, match=rf"NaN or infinite at level 0 \(sigma 0\), step {bad - 1}\."):
        last(states)
    assert len(asked) <= min(bad + 50, 130)


def test_a_score_in_another_dtype_does_not_change_the_chains():
    x = torch.zeros(3, 2)
    end = last(langevin(lambda x, sigma: -x.double(), x, alpha=0.1, n_steps=3))
    assert end.dtype == torch.float32


def test_mala_names_a_log_prob_that_is_no_tensor():
    with pytest.raises(ValueError, match="pair of tensors"):
        last(mala(lambda x: (0.0, -x), torch.zeros(3, 2), alpha=0.1, n_steps=1))
