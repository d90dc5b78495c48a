"""Training as a generator: one optimiser step, one state; what watches it is an ordinary `for` around it.

This file does NOT know images, noise levels or networks: a loss says what is learned, batches say from what.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .checks import check_count, check_positive

Loss = Callable[[nn.Module, Tensor], Tensor]


class TrainState(NamedTuple):
    """What training yields, AFTER each optimiser step."""

    step: int  # steps made so far, from 1
    loss: float  # mean over the batch, before the step
    model: nn.Module  # the model itself, not a copy


def train(
    model: nn.Module, batches: Iterable[Tensor], *, loss: Loss, n_steps: int, lr: float = 1e-3
) -> Iterator[TrainState]:
    """Minimise the mean of loss(model, x) (B,) over batches x (B, *D) with Adam (Kingma & Ba 2015, its defaults).

    `loss` is one of losses.py with its settings filled in, such as `sliced` or `partial(dsm, sigma=0.1)`. A model that
    was trained before goes on from where it is, with new averages in the optimiser.
    Raises FloatingPointError at a loss that is not finite, before it reaches the parameters.
    """
    n_steps, lr = check_count("n_steps", n_steps), check_positive("lr", lr)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters to train")
    return _train(model, batches, loss, n_steps, torch.optim.Adam(parameters, lr=lr))


def _train(
    model: nn.Module, batches: Iterable[Tensor], loss: Loss, n_steps: int, optimiser: torch.optim.Optimizer
) -> Iterator[TrainState]:
    model.train()
    step = 0
    for step, x in zip(range(1, n_steps + 1), batches, strict=False):
        value = _mean(loss(model, x), x, step)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        yield TrainState(step, value.item(), model)
    if step < n_steps:
        raise ValueError(f"the batches ended after {step} of {n_steps} steps: give more, or an endless iterator")


def _mean(losses: Tensor, x: Tensor, step: int) -> Tensor:
    if losses.shape != x.shape[:1]:
        raise ValueError(f"the loss must be one number a row, shape ({len(x)},), not {tuple(losses.shape)}")
    mean = losses.mean()
    if not math.isfinite(mean.item()):
        raise FloatingPointError(
            f"the loss is {mean.item()} at step {step}: training stops, with the parameters of step {step - 1}. "
            "Are the data finite? If they are, a smaller lr may help"
        )
    return mean
