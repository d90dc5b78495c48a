"""Checks of rows and of noise in the assignments' tests: what they accept, and what they find."""

import pytest
import torch

from ncsn_edu.grading import tasks


def weighted(x, weights):
    return (x * weights).sum(1)


def test_a_function_of_single_rows_passes():
    x, weights = torch.randn(6, 4, 3), torch.rand(6, 4, 3)
    tasks.rows_alone(weighted, x, weights)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.mean(0),
        lambda x: x[:1].expand_as(x),
        lambda x: x.cumsum(0),
        lambda x: x * (torch.arange(len(x)) == 3)[:, None],
        lambda x: x if len(x) > 1 else 0 * x,
        lambda x: x.roll(1, 0),
    ],
)
def test_rows_that_depend_on_each_other_are_found(function):
    with pytest.raises(tasks.Wrong):
        tasks.rows_alone(function, torch.randn(6, 4))


@pytest.mark.parametrize("seed", range(20))
def test_independent_noise_passes(seed):
    generator = torch.Generator().manual_seed(seed)
    tasks.fresh_noise(*torch.randn(3, 64, 5, 12, generator=generator))
    signs = torch.randint(0, 2, (64, 200), generator=generator) * 2.0 - 1
    assert tasks.p_apart(signs) > 1e-3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda z: z[:, :32].repeat(1, 2, 1),
        lambda z: torch.cat([z[:, :32], -z[:, :32].flip(1)], 1),
        lambda z: torch.cat([z[:, :32], z[:, :32].flip(2).roll(3, 1)], 1),
        lambda z: torch.cat([z[:, :, :30], -z[:, :, :30]], 2),
        lambda z: z[:1].repeat(2, 1, 1),
        lambda z: torch.stack([z[0], -z[0]]),
        lambda z: (z + z[:, :1]) / 2**0.5,
        lambda z: (z + z.roll(1, 1)) / 2**0.5,
        lambda z: z * torch.linspace(0.6, 1.4, 64)[:, None],
        lambda z: z * (torch.arange(60) != 59),
        lambda z: z * (torch.arange(64) != 7)[:, None],
        lambda z: z.sign(),
        lambda z: 1.1 * z,
        lambda z: (torch.rand_like(z) - 0.5) * 12**0.5,
        lambda z: z - z.mean(1, keepdim=True),
        lambda z: z - z.mean(2, keepdim=True),
        lambda z: z / z.square().mean(2, keepdim=True).sqrt(),
        lambda z: z / z.square().mean(1, keepdim=True).sqrt(),
        lambda z: z.clamp(-3, 3),
    ],
)
def test_noise_that_repeats_or_is_not_gaussian_is_found(spoil):
    with pytest.raises(tasks.Wrong, match="the noise"):
        tasks.fresh_noise(*spoil(torch.randn(2, 64, 60, generator=torch.Generator().manual_seed(1))))


def test_the_largest_cosine_is_as_rare_as_it_is_said_to_be():
    """The bound holds: in 2000 trials of the smallest case no more than its share lies below it."""
    values = torch.tensor([tasks.p_apart(torch.randn(2, 8)) for _ in range(2000)])
    assert (values < 0.05).float().mean() < 0.05
    assert tasks.p_apart(torch.tensor([[1.0, -1.0] * 50, [-1.0, 1.0] * 50])) < 1e-9


def test_a_scatter_that_is_too_small_is_found_and_that_of_chance_is_not():
    """Of 500 trials as many lie below 0.05 as should; calls with one row, and without noise, are found."""
    values = torch.tensor([tasks.p_scatter(torch.randn(40, 6)) for _ in range(500)])
    assert 0.01 < (values < 0.05).float().mean() < 0.1
    pairs = torch.randn(80, 2, 3)  # 80 calls with two rows
    assert tasks.p_scatter((pairs - pairs.mean(1, keepdim=True)).flatten(1)) < 1e-9
    assert tasks.p_scatter(torch.zeros(80, 2)) < 1e-9
