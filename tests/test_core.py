"""States, the words last and every, and the one broadcasting helper."""

import math

import pytest
import torch
from helpers import seeded

from ncsn_edu.core import Evaluations, State, every, expand_like, last, noise_like


def states(n):
    for step in range(n):
        yield State(torch.full((2, 1), float(step)), 0.5, 0, step)


def test_last_is_the_x_of_the_last_state():
    assert last(states(7)).tolist() == [[6.0], [6.0]]
    assert last(list(states(1))).tolist() == [[0.0], [0.0]]


def test_last_of_nothing_says_that_the_sampler_is_used_up():
    run = states(3)
    last(run)
    with pytest.raises(ValueError, match="made no step.*call it again"):
        last(run)


@pytest.mark.parametrize(
    ("n", "k", "steps"),
    [
        (6, 2, [1, 3, 5]),
        (7, 3, [2, 5, 6]),  # the last one too
        (3, 3, [2]),
        (2, 5, [1]),
        (4, 1, [0, 1, 2, 3]),
        (1, 1, [0]),
        (0, 2, []),
    ],
)
def test_every_kth_and_the_last(n, k, steps):
    assert [state.step for state in every(states(n), k)] == steps


def test_every_passes_a_state_on_before_asking_for_the_next():
    asked = []

    def watched():
        for state in states(10):
            asked.append(state.step)
            yield state

    first = next(every(watched(), 3))
    assert first.step == 2
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("k", [0, -1, 2.5, float("nan"), float("inf"), "3", None])
def test_every_refuses_a_bad_k_at_the_call(k):
    with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
        every(states(3), k)


@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 5, 6), (3, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_expand_like_multiplies_row_by_row(shape, dtype, device):
    x = torch.ones(shape, dtype=dtype, device=device)
    rows = torch.tensor([1, 2, 3])  # integers, and on the CPU
    y = expand_like(rows, x) * x
    assert y.shape == x.shape and y.dtype == dtype and y.device == x.device
    for row, value in enumerate([1, 2, 3]):
        assert (y[row] == value).all()
    for number in (2, 2.0, torch.tensor(2.0), torch.tensor([2.0])):
        y = expand_like(number, x) * x
        assert y.shape == x.shape and y.dtype == dtype and (y == 2).all()


def test_expand_like_of_a_square_batch_is_by_row_not_by_column():
    y = expand_like(torch.tensor([1.0, 2.0]), torch.ones(2, 2)) * torch.ones(2, 2)
    assert y.tolist() == [[1.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize("sigma", [torch.ones(2), torch.ones(4), torch.ones(3, 1), torch.ones(3, 2), torch.ones(0)])
def test_expand_like_names_the_shape_it_needs(sigma):
    with pytest.raises(ValueError, match=r"give one number, or one per row, shape \(3,\)"):
        expand_like(sigma, torch.ones(3, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_like_is_like_x_and_comes_from_the_generator(dtype, device):
    x = torch.zeros(5, 3, 2, dtype=dtype, device=device)
    z = noise_like(x, seeded(1, device))
    assert z.shape == x.shape and z.dtype == dtype and z.device == x.device
    assert torch.equal(z, noise_like(x, seeded(1, device)))
    assert not torch.equal(z, noise_like(x, seeded(2, device)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_whose_sum_overflows_is_finite_and_one_bad_number_is_not(bad):
    x = torch.zeros(3, 2)
    huge = torch.full_like(x, 3e38)  # each is a float32, and their sum is none
    assert torch.equal(Evaluations(lambda x, sigma: huge)(x, 1.0), huge)
    hidden = torch.tensor([[1.0, bad], [2.0, 0.0], [0.0, -bad]])
    for s in (hidden, torch.where(hidden.isfinite(), huge, hidden)):
        with pytest.raises(FloatingPointError, match="NaN or infinite"):
            Evaluations(lambda x, sigma, s=s: s)(x, 1.0)
