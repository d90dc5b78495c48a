"""Training against a problem whose answer is known, and its way of stopping."""

from functools import partial
from itertools import count, repeat

import pytest
import torch
from torch import nn

from ncsn_edu import GaussianMixture, ScoreMLP, TrainState, dsm, sliced
from ncsn_edu.train import train


class Linear(nn.Module):
    """s(x) = b - a x: for data N(m, v) the best one, by any loss, is a = 1/v, b = m/v."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.zeros(2))

    def forward(self, x, sigma=0.0):
        return self.b - self.a * x


DATA = GaussianMixture([[1.0, -2.0]], 0.5)


def endless(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (DATA.sample(256, generator=generator) for _ in count())


@pytest.mark.parametrize(("loss", "variance"), [(sliced, 0.5), (partial(dsm, sigma=0.7), 0.5 + 0.49)])
def test_finds_the_score_of_a_gaussian(loss, variance):
    torch.manual_seed(0)
    model = Linear()
    for _ in train(model, endless(), loss=loss, n_steps=1500, lr=0.02):
        pass
    assert model.a.item() == pytest.approx(1 / variance, rel=0.07)
    assert (model.b * variance).tolist() == pytest.approx([1.0, -2.0], rel=0.07)


def test_states_are_those_after_each_step():
    model, before = Linear(), []
    states = train(model, endless(), loss=sliced, n_steps=3)
    assert model.a.item() == pytest.approx(0.1)  # nothing happens before the first state is asked for
    for state in states:
        assert isinstance(state, TrainState) and isinstance(state.loss, float) and state.model is model
        before.append((state.step, model.a.item()))
    assert [step for step, _ in before] == [1, 2, 3]
    assert len({a for _, a in before}) == 3 and before[0][1] != pytest.approx(0.1, abs=1e-9)


def test_the_loss_reported_is_the_mean_before_the_step():
    model, x = Linear(), DATA.sample(64)
    expected = -0.1 * 2 + 0.5 * (0.1 * x).square().sum(1).mean().item()  # tr grad s + 1/2 ||s||^2
    assert next(train(model, [x], loss=sliced, n_steps=1)).loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_parameters():
    torch.manual_seed(0)
    model = ScoreMLP()
    bad = [DATA.sample(8), torch.full((8, 2), torch.nan)]
    states = train(model, bad, loss=sliced, n_steps=2)
    next(states)
    kept = [p.clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match="nan at step 2.*parameters of step 1"):
        next(states)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), kept, strict=True))


def test_may_be_stopped_at_any_step_and_goes_on_from_there():
    model = Linear()
    for state in train(model, endless(), loss=sliced, n_steps=10**9):
        if state.step == 5:
            break
    a = model.a.item()
    assert next(train(model, endless(1), loss=sliced, n_steps=1)).step == 1
    assert model.a.item() != a


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number"),
        ({"lr": -1.0}, "lr must be a finite number above 0"),
        ({"model": nn.Softplus()}, "Softplus has no parameters"),
        ({"loss": lambda model, x: sliced(model, x).mean()}, r"one number a row, shape \(8,\)"),
        ({"batches": repeat(torch.zeros(8, 2), 2), "n_steps": 3}, "ended after 2 of 3 steps"),
    ],
)
def test_bad_input(arguments, message):
    options = {"model": Linear(), "batches": repeat(torch.zeros(8, 2)), "loss": sliced, "n_steps": 1} | arguments
    with pytest.raises(ValueError, match=message):
        list(train(options.pop("model"), options.pop("batches"), **options))
