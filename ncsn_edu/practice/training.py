"""Exercises: training, and the last step of a sampler (notebook 10)."""

import torch
from torch import Tensor

from .verdict import Answer, Wrong, compare, exercise


@exercise
def averaged(answer: Answer) -> None:
    """my_average(averages, weights, decay) -> the averages after an update: two lists of tensors of the same shapes."""
    for decay in (0.9, 0.25):
        old, new = ([torch.randn(shape) for shape in ((2, 3), (4,), ())] for _ in range(2))
        found = answer.raw([each.clone() for each in old], new, decay)  # it may change them in place
        if isinstance(found, Tensor) or not hasattr(found, "__len__") or len(found) != len(old):
            raise Wrong(f"return a list of {len(old)} tensors, one for each of the averages")
        for each, before, now in zip(found, old, new, strict=True):
            mistakes = {
                "decay and 1 - decay are exchanged: the past keeps the share `decay`": torch.lerp(before, now, decay),
                "the shares have to sum to 1: the new weights count 1 - decay": decay * before + now,
                "the average has not moved": before,
                "these are the new weights": now,
                "it is the plain mean of both; the past keeps the share `decay`": (before + now) / 2,
            }
            value = torch.as_tensor(each)
            compare(value, decay * before + (1 - decay) * now, mistakes, what="the average")


@exercise
def chain_states(answer: Answer) -> None:
    """my_chain(step, x (B, D), n) -> n tensors (B, D): the states after each of n updates; step(x) -> the next x."""
    for rows, dim, n in ((2, 3, 4), (1, 2, 1)):
        x, matrix = torch.randn(rows, dim), torch.randn(dim, dim)
        path = [x]
        for _ in range(n):
            path.append(torch.tanh(path[-1] @ matrix) + 1)
        found = answer.raw(lambda x, matrix=matrix: torch.tanh(torch.as_tensor(x) @ matrix) + 1, x, n)
        states = [torch.as_tensor(state) for state in found]
        if len(states) == n + 1:
            raise Wrong(f"there are {n + 1} states: the start is not the result of an update")
        if len(states) != n:
            raise Wrong(f"there are {len(states)} states for {n} updates")
        before = "each state is stored before its update: the start comes first, and the result is lost"
        same = "all states are alike: one tensor is changed in place, and stored n times"
        mistakes = {before: torch.stack(path[:-1])} | ({same: torch.stack([path[-1]] * n)} if n > 1 else {})
        compare(torch.stack(states), torch.stack(path[1:]), mistakes, what="the state")
