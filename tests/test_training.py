"""Training against problems whose answer is known, and its ways of stopping and resuming."""

import io
import os
from functools import partial
from itertools import count, pairwise, repeat
from pathlib import Path

import pytest
import torch
from helpers import seeded, torchrun
from torch import nn

from ncsn_edu import (
    NCSN,
    Denoising,
    EpsScore,
    GaussianMixture,
    NoiseConditionalMLP,
    ScoreMLP,
    TrainState,
    UNet,
    batches,
    checks,
    dsm,
    geometric,
    sliced,
)
from ncsn_edu.losses import Slicing, log_normal_sigmas, sigmas_between
from ncsn_edu.training import EMA, train


class Linear(nn.Module):
    """s(x) = b - a x: for data N(m, v) the best one, by any loss, is a = 1/v, b = m/v."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.zeros(2))

    def forward(self, x, sigma=0.0):
        return self.b - self.a * x


DATA = GaussianMixture([[1.0, -2.0]], 0.5)
REAL_COMPILE = torch.compile


def endless(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (DATA.sample(256, generator=generator) for _ in count())


@pytest.mark.parametrize(("loss", "variance"), [(sliced, 0.5), (partial(dsm, sigma=0.7), 0.5 + 0.49)])
def test_finds_the_score_of_a_gaussian(loss, variance):
    torch.manual_seed(0)
    model = Linear()
    for _ in train(model, endless(), objective=loss, n_steps=1500, lr=0.02):
        pass
    assert model.a.item() == pytest.approx(1 / variance, rel=0.07)
    assert (model.b * variance).tolist() == pytest.approx([1.0, -2.0], rel=0.07)


def test_states_are_those_after_each_step():
    model, before = Linear(), []
    states = train(model, endless(), objective=sliced, n_steps=3)
    assert model.a.item() == pytest.approx(0.1)  # nothing happens before the first state is asked for
    for state in states:
        assert isinstance(state, TrainState) and isinstance(state.loss, float) and state.model is model
        before.append((state.step, model.a.item()))
    assert [step for step, _ in before] == [1, 2, 3]
    assert len({a for _, a in before}) == 3 and before[0][1] != pytest.approx(0.1, abs=1e-9)


def test_the_loss_reported_is_the_mean_before_the_step():
    model, x = Linear(), DATA.sample(64)
    expected = -0.1 * 2 + 0.5 * (0.1 * x).square().sum(1).mean().item()  # tr grad s + 1/2 ||s||^2
    assert next(train(model, [x], objective=sliced, n_steps=1)).loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_parameters():
    torch.manual_seed(0)
    model = ScoreMLP()
    bad = [DATA.sample(8), torch.full((8, 2), torch.nan)]
    states = train(model, bad, objective=sliced, n_steps=2)
    next(states)
    kept = [p.clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match="nan at step 2.*parameters of step 1"):
        next(states)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), kept, strict=True))


def test_may_be_stopped_at_any_step_and_goes_on_from_there():
    model = Linear()
    for state in train(model, endless(), objective=sliced, n_steps=10**9):
        if state.step == 5:
            break
    a = model.a.item()
    assert next(train(model, endless(1), objective=sliced, n_steps=1)).step == 1
    assert model.a.item() != a


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number"),
        ({"ema": 1.0}, "decay below 1"),
        ({"ema": -0.5}, "ema must be"),
        ({"ema": 0.9, "ema_power": 7.0}, "two averages"),
        ({"ema_power": -1.0}, "ema_power must be"),
        ({"clip": 0}, "clip must be"),
        ({"lr": -1.0}, "lr must be a finite number above 0"),
        ({"model": nn.Softplus()}, "Softplus has no parameters"),
        ({"objective": lambda model, x: sliced(model, x).mean()}, r"one number a row, shape \(8,\)"),
        ({"batches": repeat(torch.zeros(8, 2), 2), "n_steps": 3}, "ended after 2 of 3 steps"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number of 0 or more"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0"),
        ({"cooldown": 1.5}, "cooldown must be a whole number"),
    ],
)
def test_bad_input(arguments, message):
    options = {"model": Linear(), "batches": repeat(torch.zeros(8, 2)), "objective": sliced, "n_steps": 1} | arguments
    with pytest.raises(ValueError, match=message):
        list(train(options.pop("model"), options.pop("batches"), **options))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Denoising(geometric(1, 0.1, 3), unlabelled=1.0), "unlabelled is a share"),
        (lambda: Denoising(geometric(1, 0.1, 3).flip(0)), "strictly decreasing"),
        (lambda: Slicing(-1.0), "sigma is a standard deviation"),
    ],
)
def test_bad_input_of_an_objective(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_ladder_is_learned_at_every_level():
    """For data N(m, v) the score is (m - x) / (v + sigma^2), and the loss at each level goes down to its floor."""
    torch.manual_seed(0)
    model, sigmas = NoiseConditionalMLP(2, [64, 64], data_std=1.0), geometric(3, 0.3, 3)
    generator, seen = torch.Generator().manual_seed(1), []
    for state in train(
        model, endless(), objective=Denoising(sigmas, generator=generator), n_steps=1500, lr=3e-3, ema=0.99
    ):
        assert state.losses.shape == state.level.shape == (256,)
        seen.append(state.level_losses(3))
    x = DATA.sample(2000)
    for sigma in sigmas.tolist():
        error = (state.ema(x, sigma) - DATA.score(x) * 0.5 / (0.5 + sigma**2)).norm() / DATA.score(x).norm()
        assert error < 0.1
    floors = 1 - sigmas**2 / (0.5 + sigmas**2)  # D/2 (1 - sigma^2 / (v + sigma^2)), D = 2
    torch.testing.assert_close(torch.stack(seen[-500:]).mean(0), floors, atol=0.02, rtol=0.02)


def test_noise_anywhere_on_the_ladder_is_counted_for_the_nearest_level():
    asked, sigmas = [], geometric(3, 0.3, 3)

    class Watched(NoiseConditionalMLP):
        def forward(self, x, sigma):
            asked.append(sigma)
            return super().forward(x, sigma)

    objective = Denoising(sigmas, draw=sigmas_between, generator=torch.Generator().manual_seed(0))
    for state in train(Watched(2, [8], data_std=1.0), endless(), objective=objective, n_steps=3):
        sigma = asked.pop().flatten()
        assert len(sigma.unique()) == 256 and sigma.min() > 0.3 and sigma.max() < 3
        assert torch.equal(state.level, (sigma[:, None] / sigmas).log().abs().argmin(1))


def test_log_normal_noise_is_gaussian_in_its_logarithm_within_the_ladder():
    asked, sigmas = [], geometric(20, 0.01, 20)

    class Watched(NoiseConditionalMLP):
        def forward(self, x, sigma):
            asked.append(sigma.flatten())
            return super().forward(x, sigma)

    draw = partial(log_normal_sigmas, mean=-1.0, std=0.8)
    objective = Denoising(sigmas, draw=draw, generator=torch.Generator().manual_seed(0))
    for state in train(Watched(2, [8], data_std=1.0), endless(), objective=objective, n_steps=40):
        assert torch.equal(state.level, (asked[-1][:, None] / sigmas).log().abs().argmin(1))
    log_sigma = torch.cat(asked).log()
    n = len(log_sigma)
    assert log_sigma.mean().item() == pytest.approx(-1.0, abs=5 * 0.8 / n**0.5)
    assert log_sigma.std().item() == pytest.approx(0.8, abs=5 * 0.8 / (2 * n) ** 0.5)
    narrow = geometric(0.5, 0.3, 3)
    run = train(Watched(2, [8], data_std=1.0), endless(), objective=Denoising(narrow, draw=draw), n_steps=1)
    next(run)
    ends = torch.stack([asked[-1].max(), asked[-1].min()])
    torch.testing.assert_close(ends, narrow[[0, -1]].to(ends))


def test_labels_reach_the_net_but_for_the_share_that_is_hidden():
    told = []

    class Watched(Linear):
        def forward(self, x, sigma=0.0, label=None):
            told.append((x, label))
            return super().forward(x, sigma)

    pairs = ((x, (x[:, 0] > 1).long()) for x in endless())
    generator = torch.Generator().manual_seed(0)
    objective = Denoising(geometric(1e-3, 1e-4, 2), unlabelled=0.3, generator=generator)
    for _ in train(Watched(), pairs, objective=objective, n_steps=40):
        pass
    x, label = torch.cat([x for x, _ in told])[:, 0], torch.cat([label for _, label in told])
    hidden = label == -1
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / len(x)) ** 0.5)
    sure = ~hidden & ((x - 1).abs() > 0.01)
    assert torch.equal(label[sure], (x[sure] > 1).long())


def test_the_average_that_grows_with_the_run_weighs_step_t_by_a_power_of_t():
    """Of weights 1, 2, ... n it is the mean of t under the density t^power: about n (power + 1) / (power + 2)."""
    model, n, power = Counter(), 4000, 6.94
    average = EMA(model, None, power)
    for step in range(1, n + 1):
        model.weight.data.fill_(step)
        average.update(model, step)
    assert average.model.weight.item() == pytest.approx(n * (power + 1) / (power + 2), rel=2e-3)


def test_the_learning_rate_rises_and_falls():
    """Of a loss that is its only parameter the gradient is 1, and every step of Adam is as long as its rate."""

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.zeros(()))

    def path(n_steps, **options):
        model, places = Constant(), [0.0]
        loss = lambda model, x: model.p.expand(len(x))  # noqa: E731
        for _ in train(model, repeat(torch.zeros(1, 1)), objective=loss, n_steps=n_steps, lr=0.01, **options):
            places.append(model.p.item())
        return [100 * (a - b) for a, b in pairwise(places)]

    assert path(8, warmup=4, cooldown=2) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5], rel=1e-4)
    assert path(3) == pytest.approx([1, 1, 1], rel=1e-4)
    assert path(2, cooldown=4) == pytest.approx([0.5, 0.25], rel=1e-4)


def test_weights_decay_beside_what_the_gradient_does():
    """A weight that no loss depends on shrinks by its share of the rate of each step, and else stays."""

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.tensor(2.0))

    loss = lambda model, x: 0 * model.p.expand(len(x))  # noqa: E731
    for decay, kept in ((0.0, 1.0), (0.5, 0.95 * 0.9 * 0.9 * 0.95)):
        model, options = Idle(), {"lr": 0.2, "warmup": 2, "cooldown": 2, "weight_decay": decay}
        list(train(model, repeat(torch.zeros(1, 1)), objective=loss, n_steps=4, **options))
        assert model.p.item() == pytest.approx(2 * kept, rel=1e-6)


def test_level_losses_are_means_and_nan_where_there_was_none():
    state = TrainState(1, torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 2]), nn.Identity(), nn.Identity())
    torch.testing.assert_close(state.level_losses(3), torch.tensor([2.0, torch.nan, 2.5]), equal_nan=True)
    with pytest.raises(ValueError, match="no levels"):
        state._replace(level=None).level_losses(3)


def test_noise_levels_of_ones_own_distribution():
    asked = []

    def draw(x, sigmas, generator):
        asked.append(len(x))
        return torch.rand(len(x), generator=generator) + 0.5  # 0.5 to 1.5

    ladder = torch.tensor([1.2, 0.8])
    states = list(train(NoiseConditionalMLP(2, [8]), endless(), objective=Denoising(ladder, draw=draw), n_steps=20))
    assert asked == [256] * 20
    share = torch.cat([state.level for state in states]).double().mean().item()  # of those below sqrt(1.2 * 0.8)
    assert share == pytest.approx((1.2 * 0.8) ** 0.5 - 0.5, abs=0.04)


@pytest.mark.parametrize("kind", ["ladder", "between", "own"])
def test_weights_say_which_noise_levels_count(kind):
    """One slope a for all levels, s = -a x, fits data N(0, v) at one level only: a is where the weighted sum is least.

    A level costs D/2 (a^2 sigma^2 (v + sigma^2) - 2 a sigma^2 + 1); those that are told are not weighted.
    """
    v, power = 0.5, 4.0
    generator, sigmas = torch.Generator().manual_seed(0), geometric(3, 0.3, 3)
    mean = lambda f: torch.stack([f(s) for s in sigmas]).mean()  # noqa: E731
    if kind != "ladder":
        fine = geometric(3, 0.3, 2001)  # the mean over levels uniform in their logarithm, by the midpoints
        mean = lambda f: f((fine[1:] * fine[:-1]).sqrt()).mean()  # noqa: E731
    own = lambda x, sigmas, g: 3 * 10 ** -torch.rand(len(x), generator=g)  # noqa: E731
    draw = {"ladder": None, "between": sigmas_between, "own": own}[kind]
    data = (v**0.5 * torch.randn(512, 2, generator=generator) for _ in count())
    model = Linear()
    model.b.requires_grad_(False)
    found, told = [], []
    objective = Denoising(sigmas, draw=draw, weight=lambda s: s**-power, generator=generator)
    for state in train(model, data, objective=objective, n_steps=1500, lr=0.02):
        found.append(model.a.item())
        told.append(state.loss)
    a = mean(lambda s: s ** (2 - power)) / mean(lambda s: s ** (2 - power) * (v + s**2))
    assert torch.tensor(found[-500:]).mean().item() == pytest.approx(a.item(), rel=0.03)
    cost = mean(lambda s: a**2 * s**2 * (v + s**2) - 2 * a * s**2 + 1).item()
    assert torch.tensor(told[-500:]).mean().item() == pytest.approx(cost, rel=0.05)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0]))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x, sigma=0.0):
        self.calls += 1
        return self.weight * x


def test_the_average_follows_the_step_and_copies_buffers():
    model = Counter()
    expected = 1.0
    for state in train(model, repeat(torch.ones(4, 1)), objective=lambda m, x: m(x)[:, 0], n_steps=5, lr=0.1, ema=0.9):
        expected = 0.9 * expected + 0.1 * model.weight.item()  # the weight after the step
        assert state.ema is not model and not state.ema.weight.requires_grad and not state.ema.training
        assert state.ema.weight.item() == pytest.approx(expected, rel=1e-6)
        assert state.ema.calls == model.calls == state.step


def test_a_watcher_that_leaves_the_model_in_evaluation_mode_changes_nothing():
    def losses(watch):
        torch.manual_seed(0)
        net = UNet(1, 8, dropout=0.5)
        torch.nn.init.normal_(net.end[2].weight, std=0.01)
        objective = Denoising(geometric(1, 0.1, 3), generator=torch.Generator().manual_seed(1))
        run = train(EpsScore(net), repeat(torch.ones(4, 1, 8, 8)), objective=objective, n_steps=4)
        return [(state.loss, watch(state.model))[0] for state in run]

    assert losses(lambda model: model.eval()) == losses(lambda model: None)


def test_dropout_resumes_exactly_and_leaves_the_random_state_alone():
    """What is dropped follows from the step and the objective's generator, and from nothing else."""

    def start():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5), nn.Linear(16, 2))
        model = type("Net", (nn.Module,), {"forward": lambda self, x, sigma: self.net(x)})()
        model.net = net
        ladder = geometric(1, 0.1, 3)
        objective = Denoising(ladder, generator=torch.Generator().manual_seed(1))
        return train(model, repeat(torch.ones(64, 2)), objective=objective, n_steps=8)

    expected = [state.loss for state in start()]
    stopped = start()
    losses = [next(stopped).loss for _ in range(3)]
    resumed = start()
    torch.manual_seed(12)
    before = torch.get_rng_state()
    resumed.load_state_dict(stopped.state_dict())
    assert losses + [state.loss for state in resumed] == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_without_an_average_the_model_stands_in_for_it():
    model = Linear()
    assert next(train(model, endless(), objective=sliced, n_steps=1)).ema is model


def test_clipping_bounds_the_gradient():
    model = Counter()
    norms = []
    for _ in train(model, repeat(100 * torch.ones(4, 1)), objective=lambda m, x: m(x)[:, 0], n_steps=2, clip=0.5):
        norms.append(model.weight.grad.norm().item())
    assert norms == pytest.approx([0.5, 0.5], rel=1e-4)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights():
    seen = []

    class Watched(ScoreMLP):
        def forward(self, x, sigma=0.0):
            seen.append(super().forward(x, sigma).dtype)
            return super().forward(x, sigma)

    state = next(train(Watched(sigma=0.5), endless(), objective=partial(dsm, sigma=0.5), n_steps=1, bf16=True))
    assert seen == [torch.bfloat16] and state.losses.dtype == torch.float32
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}


def a_run(seed: int, n_steps: int = 12):
    """Everything that draws or remembers: batches of images with flips, levels and noise, Adam, an average."""
    torch.manual_seed(seed)
    images = torch.arange(20 * 16).remainder(256).to(torch.uint8).view(20, 1, 4, 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Unflatten(1, (1, 4, 4)))
    score = Conditional(model)
    generator = torch.Generator().manual_seed(seed)
    data = batches(images, 8, flip=True, generator=generator)
    objective = Denoising(geometric(1, 0.1, 3), generator=generator)
    return train(score, data, objective=objective, n_steps=n_steps, ema=0.9)


class Conditional(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma):
        return self.net(x) / sigma.view(-1, 1, 1, 1)


def test_a_partial_with_a_generator_resumes_exactly():
    def start():
        model = ScoreMLP(sigma=0.5)
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.1)
        loss = partial(dsm, sigma=0.5, generator=torch.Generator().manual_seed(4))
        return train(model, repeat(torch.ones(8, 2)), objective=loss, n_steps=4)

    expected = [state.loss for state in start()]
    stopped, resumed = start(), start()
    losses = [next(stopped).loss, next(stopped).loss]
    resumed.load_state_dict(stopped.state_dict())
    assert losses + [state.loss for state in resumed] == expected


def test_compiling_leaves_the_averages_of_norms_as_they_are(monkeypatch):
    def averages(compiled):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        run = train(
            net,
            repeat(DATA.sample(32).float()),
            objective=lambda m, x: m(x).square().sum(1),
            n_steps=3,
            compiled=compiled,
        )
        assert len(list(run)) == 3
        return net[1].num_batches_tracked.item()

    monkeypatch.setattr(torch, "compile", partial(REAL_COMPILE, backend="eager"))
    assert averages(True) == averages(False) == 3


@pytest.mark.parametrize("stop", [0, 1, 5, 11, 12])
def test_resumes_exactly(stop):
    whole = a_run(0)
    expected = [state.loss for state in whole]
    stopped = a_run(0)
    losses = [next(stopped).loss for _ in range(stop)]
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    for _ in stopped:  # what the stopped run does afterwards does not matter
        pass
    file.seek(0)
    other = a_run(1)  # other weights, other draws: all of it must come from the file
    other.load_state_dict(torch.load(file, weights_only=True))
    losses += [state.loss for state in other]
    assert losses == expected
    for ours, theirs in ((other.model, whole.model), (other.ema.model, whole.ema.model)):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_an_average_that_one_run_has_and_the_other_lacks():
    run = train(Linear(), endless(), objective=sliced, n_steps=2)
    with pytest.raises(ValueError, match="give the same ema="):
        train(Linear(), endless(), objective=sliced, n_steps=2, ema=0.9).load_state_dict(run.state_dict())


def test_a_weight_that_is_not_finite_stops_before_it_reaches_the_parameters():
    model = NoiseConditionalMLP(2, [8])
    kept = [p.clone() for p in model.parameters()]
    objective = Denoising(geometric(1, 0.1, 3), weight=lambda sigma: torch.where(sigma < 0.5, torch.inf, 1.0))
    with pytest.raises(FloatingPointError, match=r"inf at step 1, level [12]: .*parameters of step 0"):
        next(train(model, endless(), objective=objective, n_steps=1))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), kept, strict=True))


def test_a_loss_that_is_not_finite_names_its_level():
    def bad(x, sigma):
        return torch.where(sigma[:, None] < 0.5, torch.nan, model(x, sigma))

    model = NoiseConditionalMLP(2, [8])
    bad_model = type("Bad", (nn.Module,), {"forward": lambda self, x, sigma: bad(x, sigma)})()
    bad_model.inner = model
    with pytest.raises(FloatingPointError, match="nan at step 1, level [12]: .*parameters of step 0"):
        next(train(bad_model, endless(), objective=Denoising(torch.tensor([1.0, 0.4, 0.1])), n_steps=1))


def bad_from(step: int, model: nn.Module) -> nn.Module:
    """A model that gives NaN in the second row from that step on."""

    class Bad(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = model, 0

        def forward(self, x, sigma):
            self.calls += 1
            rows = torch.arange(len(x))[:, None] == 1
            return torch.where(rows & (self.calls >= step), torch.nan, self.inner(x, sigma))

    return Bad()


def test_where_looking_means_waiting_a_bad_loss_is_found_soon_and_named_by_its_step():
    """As on a GPU, where losses are looked at once in a while."""
    ladder = geometric(1, 0.1, 3)
    run = train(bad_from(7, NoiseConditionalMLP(2, [8])), endless(), objective=Denoising(ladder), n_steps=100)
    run._check_every, states = 10, []
    with pytest.raises(FloatingPointError, match=r"nan at step 7, level \d: .*reached the parameters of step 9"):
        states.extend(run)
    assert run.broken
    run = train(bad_from(7, NoiseConditionalMLP(2, [8])), endless(), objective=Denoising(ladder), n_steps=100)
    run._check_every = 10
    seventh = [next(run) for _ in range(8)][6]
    assert seventh.losses[1].isnan()  # nobody has looked yet
    with pytest.raises(FloatingPointError, match="nan at step 7"):
        run.state_dict()  # what is saved was looked at


def test_large_losses_of_many_steps_are_no_infinity():
    """Each step is finite, and so is the run, though their sum is not."""
    run = train(Linear(), endless(), objective=lambda m, x: m(x).square().sum(1) * 0 + 1e36, n_steps=12)
    run._check_every = 10
    assert len(list(run)) == 12


def test_a_run_of_another_device_brings_its_numbers_and_not_its_kernels():
    run = train(Linear(), endless(), objective=sliced, n_steps=2)
    next(run)
    state = run.state_dict()
    ours = dict(state["optimiser"]["param_groups"][0])
    assert (ours["fused"], ours["foreach"]) == (False, True)
    for kernels in ({"fused": True, "foreach": None}, {"fused": False, "foreach": None}):
        state["optimiser"]["param_groups"][0].update(kernels)
        other = train(Linear(), endless(), objective=sliced, n_steps=2)
        other.load_state_dict(state)
        group = other.optimiser.param_groups[0]
        assert (group["fused"], group["foreach"]) == (False, True)
    assert torch.equal(*(o.state_dict()["state"][0]["exp_avg"] for o in (run.optimiser, other.optimiser)))


def test_one_call_for_all_tensors_gives_the_numbers_of_one_for_each(monkeypatch):
    """To the last bit, with decay of the weights too: what was trained before stays what it was."""
    ends, adam = [], torch.optim.Adam
    for foreach in (True, False):
        torch.manual_seed(0)
        monkeypatch.setattr(torch.optim, "Adam", lambda *a, to=foreach, **k: adam(*a, **{**k, "foreach": to}))
        net = NCSN(1, 4, geometric(1, 0.1, 3), 8)
        data = (torch.rand(4, 1, 8, 8, generator=seeded(step)) for step in count())
        objective = Denoising(geometric(1, 0.1, 3), generator=seeded(9))
        *_, state = train(net, data, objective=objective, n_steps=4, weight_decay=0.1, ema=0.9)
        ends.append([p.detach().clone() for p in (*state.model.parameters(), *state.ema.parameters())])
    assert all(map(torch.equal, *ends)) and len(ends[0]) > 100


def test_a_run_of_another_kind_of_device_draws_its_batches_anew_too():
    """The order of the images may have a generator of its own, which is none of the objective's."""
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1)

    def run():
        order = batches(images, 8, generator=torch.Generator().manual_seed(5))
        flat = (x.flatten(1) for x in order)
        training = train(Linear(), flat, objective=sliced, n_steps=50)
        training.batches = order
        return training, order

    (training, order), (other, again) = run(), run()
    first = torch.stack([next(order) for _ in range(5)])
    training.step = 5
    other.load_state_dict({**training.state_dict(), "device": "far"})
    assert not torch.equal(torch.stack([next(again) for _ in range(5)]), first)


def test_a_level_taken_on_trust_shows_as_nan(monkeypatch):
    monkeypatch.setattr(checks, "may_look", lambda values: False)
    net = NCSN(1, 4, geometric(1, 0.1, 3), 8)
    rows = net(torch.rand(3, 1, 8, 8), torch.tensor([1.0, 0.5, 0.1])).isnan().flatten(1).all(1)
    assert rows.tolist() == [False, True, False]


def two_runs(monkeypatch, compiler):
    runs = []
    for compiled in (False, True):
        torch.manual_seed(0)
        net, generator = NoiseConditionalMLP(2, [8]), torch.Generator().manual_seed(1)
        data = batches(torch.randint(256, (50, 1, 1, 2), dtype=torch.uint8), 8, generator=generator)
        flat = (x.flatten(1) for x in data)
        monkeypatch.setattr(torch, "compile", compiler)
        objective = Denoising(geometric(1, 0.1, 3), generator=generator)
        run = train(net, flat, objective=objective, n_steps=5, compiled=compiled)
        runs.append((run, [state.loss for state in run]))
    return runs


def test_compiling_changes_no_number(monkeypatch):
    """With a backend that traces the model and runs it as it is; what real ones make of it is equal up to rounding."""
    (plain, expected), (run, losses) = two_runs(monkeypatch, partial(REAL_COMPILE, backend="eager"))
    assert losses == expected
    assert plain.compile_seconds is None and run.compile_seconds > 0


def test_where_compiling_fails_training_goes_on_without(monkeypatch):
    def broken(model, mode=None):
        def call(*_):
            raise RuntimeError("no compiler here\nand a long story")

        return call

    with pytest.warns(UserWarning, match="compiling failed, training continues without it: no compiler here$"):
        (_, expected), (run, losses) = two_runs(monkeypatch, broken)
    assert losses == expected and run.compile_seconds is None


def test_resumes_on_another_device_with_new_draws_and_moments_laid_out_as_their_parameters():
    """What a GPU left: the state of its generator is 16 bytes, and its moments are laid out otherwise."""

    def start():
        torch.manual_seed(0)
        net = EpsScore(UNet(1, 8)).to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(1)
        data = batches(torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8), 4, generator=generator)
        return train(net, data, objective=Denoising(geometric(1, 0.1, 3), generator=generator), n_steps=9, ema=0.9)

    def plain(value):
        return value.contiguous() if isinstance(value, torch.Tensor) else value

    run = start()
    for _ in range(3):
        next(run)
    state = run.state_dict()
    moments = state["optimiser"]["state"]
    state["optimiser"]["state"] = {p: {k: plain(v) for k, v in values.items()} for p, values in moments.items()}
    left = {**state, "device": "cuda", "generators": [torch.zeros(16, dtype=torch.uint8)]}
    left["batches"] = {**state["batches"], "generator": torch.zeros(16, dtype=torch.uint8)}
    with pytest.raises(RuntimeError):
        start().load_state_dict({**left, "device": "cpu"})  # such a state is none of a CPU's generator
    same, other = start(), start()
    same.load_state_dict(state)
    other.load_state_dict(left)
    for p, values in other.optimiser.state.items():
        assert all(values[name].stride() == p.stride() for name in ("exp_avg", "exp_avg_sq"))
    assert any(p.stride() != p.contiguous().stride() for p in other.model.parameters())
    first, second = next(same), next(other)
    assert first.step == second.step == 4 and not torch.equal(first.losses, second.losses)


WORKER = """
import sys, torch
from torch import nn
import torch.distributed as dist
from ncsn_edu.distributed import leave
from ncsn_edu.training import train

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.Linear(3, 3)
x = torch.randn(20, 8, 3, generator=torch.Generator().manual_seed(7))
mine = x[:, 4 * rank : 4 * rank + 4]
objective = lambda m, x: (m(x) - x.roll(1, 1)).square().sum(1)
for state in train(model, iter(mine), objective=objective, n_steps=20, lr=0.05):
    pass
torch.save(model.state_dict(), f"{sys.argv[1]}/{rank}.pt")
dist.destroy_process_group()
leave(0)
"""


def test_two_processes_are_one_with_the_joined_batch(tmp_path):
    """torchrun with gloo on the CPU: the same parameters on both ranks, and those of one process with all rows."""
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}
    done = torchrun(str(tmp_path / "worker.py"), str(tmp_path), env=environment)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    start = model.weight.detach().clone()
    x = torch.randn(20, 8, 3, generator=torch.Generator().manual_seed(7))
    for _ in train(model, iter(x), objective=lambda m, x: (m(x) - x.roll(1, 1)).square().sum(1), n_steps=20, lr=0.05):
        pass
    for name, value in model.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
    assert (model.weight - start).abs().max() > 0.3
