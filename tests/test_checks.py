"""What a user may get wrong, and that each message says what to do about it."""

import math

import numpy as np
import pytest
import torch

from ncsn_edu.checks import (
    check_count,
    check_eta,
    check_generator,
    check_known,
    check_ladder,
    check_points,
    check_positive,
    check_sigma,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.5), np.int64(3), torch.tensor(0.25), 1e-300])
def test_positive_numbers_of_any_make_become_floats(value):
    assert check_positive("eps", value) == float(value)
    assert type(check_positive("eps", value)) is float


@pytest.mark.parametrize("value", [0, -1.0, NAN, INF, -INF, "1", None, True, [1.0], torch.ones(2), 1j])
def test_not_positive(value):
    with pytest.raises(ValueError, match="^eps must be a finite number above 0, not "):
        check_positive("eps", value)


@pytest.mark.parametrize("value", [1, 3, 3.0, np.int32(3), torch.tensor(3)])
def test_counts_become_ints(value):
    assert check_count("n_steps", value) == int(value)
    assert type(check_count("n_steps", value)) is int


@pytest.mark.parametrize("value", [0, -1, 1.5, NAN, INF, -INF, "1", None, True, torch.ones(2)])
def test_not_a_count(value):
    with pytest.raises(ValueError, match="^n_steps must be a whole number of at least 1, not "):
        check_count("n_steps", value)


@pytest.mark.parametrize("sigma", [0, 0.0, 0.1, 50, torch.tensor(0.1), torch.tensor([0.0, 1.0])])
def test_sigma_passes_through_as_it_is(sigma):
    assert check_sigma(sigma) is sigma


@pytest.mark.parametrize(
    ("sigma", "named"),
    [(-1, "-1"), (-0.5, "-0.5"), (NAN, "nan"), (INF, "inf"), (torch.tensor([1.0, -2.0, 3.0]), "-2"), (-INF, "-inf")],
)
def test_bad_sigma_is_named(sigma, named):
    with pytest.raises(ValueError, match=f"must be finite and 0 or more, not {named}"):
        check_sigma(sigma)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_points_pass_through(dtype):
    x = torch.zeros(3, 2, dtype=dtype)
    assert check_points(x, 2) is x
    assert check_points(x[:, :, None]).shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("x", "error", "repair"),
    [
        ([[1.0, 2.0]], TypeError, r"not list: use torch\.as_tensor\(x\)"),
        (np.zeros((3, 2)), TypeError, r"not ndarray: use torch\.as_tensor\(x\)"),
        (torch.zeros(3, 2, dtype=torch.int64), TypeError, r"int64.*use x\.float\(\) or x\.double\(\)"),
        (torch.zeros(3, 2, dtype=torch.uint8), TypeError, r"uint8.*use x\.float\(\)"),
        (torch.zeros(3, 2, dtype=torch.complex64), TypeError, r"complex64.*real numbers"),
        (torch.zeros(2), ValueError, r"shape is \(2,\): use x\[None\] for a single point, or x\[:, None\]"),
        (torch.zeros(()), ValueError, r"shape is \(\): use x\[None\]"),
        (torch.zeros(3, 3), ValueError, r"must have shape \(B, 2\).*not \(3, 3\)"),
        (torch.zeros(3, 2, 1), ValueError, r"must have shape \(B, 2\).*not \(3, 2, 1\)"),
    ],
)
def test_bad_points(x, error, repair):
    with pytest.raises(error, match=repair):
        check_points(x, 2)


def test_a_ladder_may_be_a_tensor_or_a_list():
    assert check_ladder([3, 2, 1]).tolist() == [3, 2, 1]
    assert check_ladder(torch.tensor([0.5])).tolist() == [0.5]


@pytest.mark.parametrize(
    ("sigmas", "repair"),
    [
        ([], r"shape \(L,\), not \(0,\)"),
        ([[2.0, 1.0]], r"shape \(L,\), not \(1, 2\)"),
        (1.0, r"shape \(L,\), not \(\)"),
        ([2.0, 0.0], r"finite and above 0, but they are \[2, 0\]"),
        ([2.0, -1.0], r"finite and above 0, but they are \[2, -1\]"),
        ([2.0, NAN], r"finite and above 0.*nan"),
        ([INF, 1.0], r"finite and above 0.*inf"),
        ([1.0, 1.0], r"sigmas\[0\] = 1 is followed by sigmas\[1\] = 1: use geometric\("),
        ([0.1, 1.0, 10.0], r"sigmas\[0\] = 0.1 is followed by sigmas\[1\] = 1.*sigmas\.flip\(0\)"),
        ([3.0, 2.0, 2.5, 1.0], r"sigmas\[1\] = 2 is followed by sigmas\[2\] = 2.5"),
        ([NAN] * 20, r"\.\.\.\]"),  # a long ladder is cut short
    ],
)
def test_bad_ladders(sigmas, repair):
    with pytest.raises(ValueError, match=repair):
        check_ladder(torch.tensor(sigmas))


def test_a_generator_must_live_where_x_does():
    check_generator(None, torch.device("cuda"))
    check_generator(torch.Generator("cpu"), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"lives on cpu, x on cuda:0: use torch\.Generator\('cuda:0'\)"):
        check_generator(torch.Generator("cpu"), torch.device("cuda:0"))


@pytest.mark.parametrize("sigma", [0.5, 0.504, torch.tensor(0.496), torch.tensor([0.5, 0.5])])
def test_the_one_level_that_a_net_knows(sigma):
    assert check_known(sigma, 0.5) is sigma


@pytest.mark.parametrize(
    ("sigma", "known"), [(0.51, 0.5), (0, 0.5), (1e-9, 0), (torch.tensor([0.5, 0.6]), 0.5), (NAN, 1)]
)
def test_another_level_than_the_one_that_a_net_knows(sigma, known):
    with pytest.raises(ValueError, match=f"knows the score at sigma {known:g} only|finite and 0 or more"):
        check_known(sigma, known)


LADDER = torch.tensor([1.0, 0.5, 0.2])  # 0.6 of the noise must go in the second step


@pytest.mark.parametrize(
    ("eta", "sigmas", "message"),
    [
        (0.59, LADDER, "0.6 of the noise must go"),
        (0, LADDER, "0.6 of the noise must go"),
        (-0.1, LADDER[:1], "from 0 to 1"),
        (1.1, LADDER, "from 0 to 1"),
        (NAN, LADDER, "from 0 to 1"),
        ("half", LADDER, "from 0 to 1"),
    ],
)
def test_a_share_of_the_noise_that_is_too_small_for_the_ladder(eta, sigmas, message):
    with pytest.raises(ValueError, match=message):
        check_eta(eta, sigmas)


def test_a_share_of_the_noise_that_is_large_enough():
    assert check_eta(0.61, LADDER) == 0.61 and check_eta(1, LADDER) == 1
    assert check_eta(0, LADDER[:1]) == 0  # a single level: there is nowhere to go
