"""Each parametrisation, around a net that has learned its task to perfection, is the score in closed form."""

import math
from itertools import pairwise

import pytest
import torch
from helpers import F64, assert_mean, normal, seeded

from ncsn_edu import (
    AffineScore,
    DenoiserScore,
    EpsScore,
    FlowScore,
    GaussianMixture,
    Guided,
    Preconditioned,
    ScoreVelocity,
    UNet,
    convert,
    dsm,
    flow_matching,
    last,
    probability_flow,
)
from ncsn_edu.adapters import Accelerated

CLASSES = [GaussianMixture([[-3.0, 0.0]], 1.0), GaussianMixture([[2.0, 1.0]], 0.5)]
BOTH = GaussianMixture([[-3.0, 0.0], [2.0, 1.0]], [1.0, 0.5], [0.4, 0.6])


def net(x, sigma, label):
    """A net that has learned both scores of two classes to perfection."""
    return torch.stack(
        [
            (CLASSES[c] if c >= 0 else BOTH)(row[None], s)[0]
            for row, c, s in zip(x, label.tolist(), torch.as_tensor(sigma).expand(len(x)), strict=True)
        ]
    )


@pytest.mark.parametrize(("scale", "sigma"), [(0.0, 0.5), (1.0, 0.5), (2.5, 0.1), (2.5, torch.tensor([0.1, 0.9, 2]))])
def test_guidance_climbs_the_probability_of_the_class(scale, sigma):
    """s(x | c) - s(x) is the gradient of log p(c | x), here by automatic differentiation of Bayes' rule."""
    x, label = torch.randn(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])
    y = x.clone().requires_grad_()
    sigmas = torch.as_tensor(sigma, dtype=torch.float64).expand(3)
    logs = [torch.stack([m.log_prob(r[None], s)[0] for r, s in zip(y, sigmas, strict=True)]) for m in CLASSES]
    joint = torch.stack([logs[0] + torch.tensor(0.4).log(), logs[1] + torch.tensor(0.6).log()], 1)
    of_class = joint.log_softmax(1).gather(1, label[:, None])[:, 0]
    gradient = torch.autograd.grad((joint.logsumexp(1) + scale * of_class).sum(), y)[0]
    torch.testing.assert_close(Guided(net, label, scale)(x, sigma).double(), gradient, rtol=1e-5, atol=1e-6)


def test_one_class_serves_all_rows_and_a_wrong_number_of_classes_is_told():
    torch.manual_seed(0)
    unet = EpsScore(UNet(1, 8, n_classes=3))
    torch.nn.init.normal_(unet.net.end[2].weight)
    x = torch.rand(4, 1, 8, 8)
    one = Guided(unet, 2, 3.0)(x, 0.3)
    torch.testing.assert_close(one, Guided(unet, torch.tensor([2, 2, 2, 2]), 3.0)(x, 0.3))
    assert not torch.allclose(one, Guided(unet, 1, 3.0)(x, 0.3))
    with pytest.raises(ValueError, match="0 to 2"):
        Guided(unet, 3)(x, 0.3)
    with pytest.raises(ValueError, match="made without classes"):
        Guided(EpsScore(UNet(1, 8)), 0)(x, 0.3)


def test_at_scale_0_the_class_is_not_asked_for_and_at_1_nothing_else():
    asked = []

    def counting(x, sigma, label):
        asked.append(label.tolist())
        return net(x, sigma, label)

    x = normal(2, 2)
    torch.testing.assert_close(Guided(counting, 1, 0)(x, 0.4), BOTH(x, 0.4), rtol=1e-5, atol=1e-6)
    assert asked == [[-1, -1]]
    torch.testing.assert_close(Guided(counting, 1)(x, 0.4), CLASSES[1](x, 0.4), rtol=1e-5, atol=1e-6)
    assert asked == [[-1, -1], [1, 1]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_a_label_of_any_integer_type_is_the_class(dtype):
    x = normal(3, 2)
    expected = Guided(net, torch.tensor([0, 1, 0]), 2.5)(x, 0.4)
    assert torch.equal(Guided(net, torch.tensor([0, 1, 0], dtype=dtype), 2.5)(x, 0.4), expected)


def test_no_rows_are_guided_to_no_rows():
    unet = EpsScore(UNet(1, 4, n_classes=3))
    assert Guided(unet, 2, 3.0)(torch.empty(0, 1, 8, 8), 0.3).shape == (0, 1, 8, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Guided(net, 0, math.inf), "scale must be a finite number of 0 or more, not inf"),
        (lambda: Guided(net, 0, -0.5), "scale must be a finite number of 0 or more, not -0.5"),
        (lambda: Guided(net, 0, False), "scale must be"),
        (lambda: Guided(net, 0, "1"), "scale must be"),
        (lambda: Guided(net, 2.0), "label is a class.*whole numbers"),
        (lambda: Guided(net, True), "label is a class.*whole numbers"),
        (lambda: Guided(net, torch.tensor([0, -3])), "label is a class: it must be 0 or more, not -3"),
        (lambda: Guided(net, torch.tensor([[0], [1]])), "label is a class for all rows, or one for each"),
        (lambda: Guided(net, torch.tensor([0, 1]))(normal(4, 2), 0.3), "2 of them, and x has 4 rows: give one"),
    ],
)  # fmt: skip
def test_what_no_guidance_has(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- parametrisations of one Gaussian, N(m, v): the answer to all that a net can be asked for is known --------------

MEAN, VARIANCE = 0.7, 0.3
DATA = GaussianMixture([[MEAN, MEAN]], VARIANCE)
SIGMAS = [20.0, 0.6, 0.01, torch.tensor([0.02, 0.5, 3.0, 12.0], dtype=torch.float64)]


def columns(sigma) -> torch.Tensor:
    return torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, 1)


def points(sigma) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return MEAN + (VARIANCE + columns(sigma) ** 2).sqrt() * torch.randn(4, 2, generator=generator, dtype=torch.float64)


def slope(distribution, x, sigma) -> torch.Tensor:
    """grad log p_sigma, by automatic differentiation of densities of torch.distributions."""
    x = x.clone().requires_grad_()
    scale = (distribution[1] + columns(sigma) ** 2).sqrt()
    torch.distributions.Normal(distribution[0], scale).log_prob(x).sum().backward()
    return x.grad


def clean_mean(x, sigma):
    """E[clean | noisy = x], by the rule for two Gaussians: weights in proportion to the inverse variances."""
    data, noise = 1 / VARIANCE, 1 / columns(sigma) ** 2
    return (data * MEAN + noise * x) / (data + noise)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.5)])
def test_noise_that_is_guessed(sigma, mean, std):
    def net(u, told):
        x = mean + (std**2 + columns(told) ** 2).sqrt() * u
        return (x - clean_mean(x, told)) / columns(told)

    x = points(sigma)
    found = EpsScore(net, data_mean=mean, data_std=std)(x, sigma)
    torch.testing.assert_close(found, slope((MEAN, VARIANCE), x, sigma), rtol=1e-9, atol=1e-9)


def test_noise_that_ddpm_guesses():
    """Told x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) e and t, it answers E[e | x_t]."""
    alphas_bar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    asked = []

    def net(x_t, t):
        asked.append(t)
        a = alphas_bar[t][:, None]
        return (1 - a).sqrt() * (x_t - a.sqrt() * MEAN) / (a * VARIANCE + 1 - a)  # cov(e, x_t) / var(x_t)

    score = EpsScore(net, alphas_bar=alphas_bar)
    t = torch.tensor([0, 17, 400, 999])
    sigma = ((1 - alphas_bar[t]) / alphas_bar[t]).sqrt()
    x = points(sigma)
    torch.testing.assert_close(score(x, sigma), slope((MEAN, VARIANCE), x, sigma), rtol=1e-6, atol=1e-9)
    assert torch.equal(asked[0], t)
    score(x, 1.01 * sigma[2].item())
    assert (asked[1] - 400).abs().max() <= 2 and asked[1].shape == (4,)
    for beyond in (1.05 * sigma[3].item(), 0.9 * sigma[0].item()):
        with pytest.raises(ValueError, match="this net knows sigma from 0.01 to"):
            score(x, beyond)
    with pytest.raises(ValueError, match="falling from near 1"):
        EpsScore(net, alphas_bar=alphas_bar.flip(0))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_clean_data_that_are_guessed(sigma):
    x = points(sigma)
    found = DenoiserScore(clean_mean)(x, sigma)
    torch.testing.assert_close(found, slope((MEAN, VARIANCE), x, sigma), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(2.0, -1.0), (-0.5, 3.0)])
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_score_in_other_units(sigma, scale, shift):
    there = scale * MEAN + shift, scale**2 * VARIANCE
    x = points(sigma)
    found = AffineScore(lambda y, told: slope(there, y, told), scale, shift)(x, sigma)
    torch.testing.assert_close(found, slope((MEAN, VARIANCE), x, sigma), rtol=1e-9, atol=1e-9)


def test_a_weight_makes_the_loss_that_of_the_denoiser():
    x, sigma = DATA.sample(64).double(), torch.linspace(0.05, 4, 64, dtype=torch.float64)
    seen = []

    def denoiser(noisy, told):
        seen.append(0.3 * noisy)
        return seen[-1]

    score = DenoiserScore(denoiser)
    loss = dsm(score, x, sigma, generator=torch.Generator().manual_seed(0))
    wanted = (seen[0] - x).square().sum(1) / 2
    torch.testing.assert_close(score.loss_weight(sigma) * loss, wanted)


def test_a_weight_is_kept_in_other_units():
    inside = Preconditioned(lambda u, sigma: u, data_mean=0.0, data_std=0.5)
    sigma = torch.tensor([0.1, 2.0])
    torch.testing.assert_close(AffineScore(inside, 2.0).loss_weight(sigma), 1 + (2 * sigma / 0.5) ** 2)
    assert not hasattr(AffineScore(EpsScore(lambda u, sigma: u)), "loss_weight")


def test_the_step_of_ddpm_leaves_no_room_for_other_scalings():
    with pytest.raises(ValueError, match="leave out data_mean"):
        EpsScore(lambda x, t: x, torch.tensor([0.9, 0.5]), data_std=0.5)


@pytest.mark.parametrize("make", [EpsScore, Preconditioned, DenoiserScore, FlowScore])
def test_no_score_without_noise(make):
    with pytest.raises(ValueError, match="sigma must be above 0"):
        make(lambda x, sigma: x)(torch.zeros(2, 2), 0.0)


@pytest.mark.parametrize("make", [EpsScore, Preconditioned, DenoiserScore, AffineScore])
def test_what_else_a_net_is_told_is_passed_on(make):
    told = []
    make(lambda x, sigma, label: told.append(label) or x)(torch.ones(2, 2), 0.5, label=torch.tensor([3, 4]))
    assert told[0].tolist() == [3, 4]


def test_preconditioned_the_first_score_is_that_of_a_gaussian_as_wide_as_images_can_be():
    torch.manual_seed(0)
    x, sigmas = 3 * torch.rand(3, 3, 8, 8) - 1, torch.tensor([20.0, 0.5, 0.01])
    net = Preconditioned(UNet(3, 8))
    for row, sigma in zip(x, sigmas, strict=True):
        row = row.clone().requires_grad_()
        torch.distributions.Normal(0.5, (0.25 + sigma**2).sqrt()).log_prob(row).sum().backward()
        torch.testing.assert_close(net(row[None], sigma.item())[0], row.grad)


@pytest.mark.parametrize("sigma", [20.0, 0.5, 0.01])
def test_the_weighted_loss_is_the_distance_of_the_layers_from_their_best(sigma):
    """Karras et al. 2022, eq. 7 and 8: D(x) = c_skip x + c_out F(c_in x), for data of width 1/2 around 0."""
    torch.manual_seed(0)
    net = Preconditioned(UNet(1, 8)).double()
    torch.nn.init.normal_(net.net.end[2].weight)
    clean, z = torch.rand(2, 4, 1, 8, 8, dtype=torch.float64)
    noisy, width = clean + sigma * z, 0.5
    c_skip = width**2 / (sigma**2 + width**2)
    c_out = sigma * width / (sigma**2 + width**2) ** 0.5
    c_in = 1 / (sigma**2 + width**2) ** 0.5
    seen, made = [], []
    net.net.begin.register_forward_hook(lambda layer, given, out: seen.append(given[0]))
    net.net.end.register_forward_hook(lambda layer, given, out: made.append(out))
    score = net(noisy, sigma)
    torch.testing.assert_close(seen[0], c_in * (noisy - 0.5))
    torch.testing.assert_close(noisy + sigma**2 * score - 0.5, c_skip * (noisy - 0.5) + c_out * made[0])
    best = (clean - 0.5 - c_skip * (noisy - 0.5)) / c_out
    loss = (sigma * score + z).square().flatten(1).sum(1) / 2
    torch.testing.assert_close(
        net.loss_weight(torch.tensor(sigma)) * loss, (made[0] - best).square().flatten(1).sum(1) / 2, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("std", [0.25, 0.1])
def test_preconditioned_for_narrower_data_the_first_score_is_that_of_such_a_gaussian(std):
    torch.manual_seed(0)
    x, sigmas = torch.rand(3, 3, 8, 8), torch.tensor([20.0, 0.5, 0.01])
    net = Preconditioned(UNet(3, 8), data_std=std)
    expected = -(x - 0.5) / (std**2 + sigmas.view(-1, 1, 1, 1) ** 2)  # of N(1/2, std^2 + sigma^2)
    torch.testing.assert_close(net(x, sigmas), expected)


def test_accelerated_the_score_is_the_same_up_to_rounding(monkeypatch):
    torch.manual_seed(0)
    net = Preconditioned(UNet(1, 8))
    torch.nn.init.normal_(net.net.end[2].weight)
    x, sigmas = torch.rand(3, 1, 8, 8), torch.tensor([2.0, 0.3, 0.05])
    real, seen = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda model, mode: seen.append(mode) or real(model, backend="eager"))
    for sigma in (0.3, sigmas):
        exact = net(x, sigma)
        torch.testing.assert_close(Accelerated(net, mode="reduce-overhead")(x, sigma), exact, rtol=1e-4, atol=1e-4)
        rough = Accelerated(net, bf16=True)(x, sigma)
        assert rough.dtype == torch.float32 and 0 < (rough - exact).norm() / exact.norm() < 0.03
    assert seen == ["reduce-overhead"] * 2


def test_a_result_of_a_cuda_graph_outlives_the_next_one(monkeypatch):
    """A graph writes all of its results into the same memory; guidance asks twice, and takes both."""

    def graph(model, mode):
        kept = []

        def call(*words, **told):
            kept[:] = kept or [torch.empty_like(model(*words, **told))]
            return kept[0].copy_(model(*words, **told))

        return call

    monkeypatch.setattr(torch, "compile", graph)
    net = Accelerated(BOTH, mode="reduce-overhead")
    x, other = torch.rand(2, 4, 2)
    first, expected = net(x, 0.5), net(x, 0.5).clone()
    second = net(other, 0.5)
    assert torch.equal(first, expected) and not torch.equal(first, second)


def test_where_compiling_fails_the_net_runs_without(monkeypatch):
    def broken(model, mode):
        def call(*words, **told):
            raise RuntimeError("no compiler here\nand a long story")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    score = Accelerated(Preconditioned(lambda u, sigma: u), mode="default")
    with pytest.warns(UserWarning, match="compiling failed, the net runs without it: no compiler here$"):
        first = score(torch.ones(2, 2), 0.5)
    assert torch.equal(first, Preconditioned(lambda u, sigma: u)(torch.ones(2, 2), torch.tensor([0.5, 0.5])))
    score(torch.ones(2, 2), 0.5)  # and says so once


# ---- flow matching: the straight path x_t = (1 - t) x_0 + t z, and its velocity ----------------------------------

PAIR = GaussianMixture(torch.tensor([[-2.0, -1.0], [2.0, 1.0]], dtype=F64), [0.3, 0.8], [0.3, 0.7])


def exact_velocity(x, t):
    """E[z - x_0 | x_t = x] of PAIR: in each component z - x_0 is regressed on x_t, the components by Bayes' rule."""
    t = torch.as_tensor(t, dtype=x.dtype).expand(len(x))[:, None]
    log_joint, guesses = [], []
    for mean, variance, weight in zip(PAIR.means, (0.3, 0.8), (0.3, 0.7), strict=True):
        middle, seen = (1 - t) * mean, (1 - t) ** 2 * variance + t**2
        log_p = torch.distributions.Normal(middle, seen.sqrt()).log_prob(x).sum(1)
        log_joint.append(math.log(weight) + log_p)
        guesses.append((t - (1 - t) * variance) / seen * (x - middle) - mean)  # cov(z - x_0, x_t) / var(x_t)
    shares = torch.stack(log_joint).softmax(0)[..., None]
    return (shares * torch.stack(guesses)).sum(0).to(x.dtype)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_score_of_a_velocity(sigma):
    x = points(sigma)
    found = FlowScore(exact_velocity)(x, sigma)
    torch.testing.assert_close(found, PAIR(x, sigma), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("t", [0.01, 0.5, 0.99, torch.tensor([0.02, 0.4, 0.7, 0.95], dtype=F64)])
def test_the_velocity_of_a_score_and_back(t):
    x = points(1.0)
    torch.testing.assert_close(ScoreVelocity(PAIR)(x, t), exact_velocity(x, t), rtol=1e-8, atol=1e-9)
    back = ScoreVelocity(FlowScore(exact_velocity))
    torch.testing.assert_close(back(x.float(), t), exact_velocity(x, t).float(), rtol=1e-3, atol=1e-4)


def test_a_velocity_net_is_told_one_time_a_row_and_what_else_there_is():
    told = []
    net = lambda x, t, label: told.append((t, label)) or x  # noqa: E731
    FlowScore(net)(torch.ones(3, 1, 2, 2), 0.25, label=torch.tensor([1, 2, 3]))
    assert told[0][0].tolist() == pytest.approx([0.2, 0.2, 0.2]) and told[0][1].tolist() == [1, 2, 3]
    ScoreVelocity(lambda x, sigma, label: told.append((sigma, label)) or x)(torch.ones(2, 3), 0.2, label=7)
    assert told[1][0].tolist() == pytest.approx([0.25, 0.25]) and told[1][1] == 7


def by_time(velocity, x, times, solver):
    """A sampler as flow matching writes it, down the times to the data."""
    for t, s in pairwise(times.tolist()):
        v = velocity(x, t)
        ahead = x + (s - t) * v
        x = x + (s - t) * (v + velocity(ahead, s)) / 2 if solver == "heun" else ahead
    return x


def test_flow_matching_and_the_probability_flow_end_in_the_same_place():
    """Euler's steps are the same steps, to rounding. Heun's weigh the two slopes otherwise: both err by the square."""
    start, ends = normal(50, 2, seed=1), {}
    for n in (41, 81):
        times = torch.linspace(0.95, 0.02, n, dtype=F64)
        sigmas = times / (1 - times)
        for solver in ("euler", "heun"):
            theirs = by_time(exact_velocity, start, times, solver) / (1 - times[-1])
            ours = last(probability_flow(FlowScore(exact_velocity), start / (1 - times[0]), sigmas, solver=solver))
            ends[solver, n] = ours, theirs
        torch.testing.assert_close(*ends["euler", n], rtol=1e-9, atol=1e-9)
    coarse, fine = ((a - b).norm(dim=1).mean() for a, b in (ends["heun", 41], ends["heun", 81]))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.15) and fine < 0.003
    errors = [(ends["euler", n][0] - ends["heun", 81][0]).norm(dim=1).mean() for n in (41, 81)]
    assert errors[0] > 1.5 * errors[1] > 15 * fine


def test_the_loss_of_flow_matching_is_the_weighted_loss_of_the_score():
    x, t = PAIR.sample(500, generator=seeded(0)), torch.linspace(0.02, 0.98, 500, dtype=F64)
    wrong = lambda x, t: exact_velocity(x, t) + torch.sin(3 * x)  # noqa: E731
    sigma = t / (1 - t)
    found = flow_matching(wrong, x, t, generator=seeded(1))
    score = FlowScore(wrong)
    torch.testing.assert_close(found, score.loss_weight(sigma) * dsm(score, x, sigma, generator=seeded(1)))


def test_the_loss_of_flow_matching_is_smallest_at_the_velocity():
    """What a wrong velocity costs more is half its squared distance: the targets scatter around the exact one."""
    x, t = PAIR.sample(100_000, generator=seeded(2)), torch.rand(100_000, generator=seeded(3), dtype=F64)
    off = torch.tensor([0.3, -0.2], dtype=F64)
    losses = [
        flow_matching(lambda x, t, k=k: exact_velocity(x, t) + k * off, x, t, generator=seeded(4)) for k in (0, 1)
    ]
    assert_mean(losses[1] - losses[0], 0.5 * off.square().sum().item())


@pytest.mark.parametrize("t", [0.0, 1.0, -0.1, 1.5, math.nan, torch.tensor([0.5, 1.0])])
def test_no_velocity_of_a_score_beyond_the_path(t):
    with pytest.raises(ValueError, match=r"t must lie between 0, the data, and 1.* take sigma / \(1 \+ sigma\)"):
        ScoreVelocity(PAIR)(torch.zeros(2, 2), t)


@pytest.mark.parametrize("t", [torch.tensor([0.5, 1.1]), torch.tensor([-0.1, 0.5]), torch.tensor(0.5), torch.ones(3)])
def test_the_loss_of_flow_matching_refuses_other_times(t):
    with pytest.raises(ValueError, match=r"times from 0, the data, to 1, the noise, one a row: shape \(2,\)"):
        flow_matching(exact_velocity, torch.zeros(2, 2), t)


def test_a_net_that_predicts_v_is_preconditioned_for_data_of_width_one():
    """Salimans & Ho's v = a z - b x_0 is, but for its sign, what Karras et al.'s net gives at data_std = 1."""
    sigma = torch.tensor([0.02, 0.5, 3.0, 12.0], dtype=F64)
    x = points(sigma)
    net = lambda u, sigma: -convert(PAIR(x, sigma), x, sigma, source="score", target="v")  # noqa: E731
    found = Preconditioned(net, data_mean=0.0, data_std=1.0)(x, sigma)
    torch.testing.assert_close(found, PAIR(x, sigma), rtol=1e-8, atol=1e-9)
