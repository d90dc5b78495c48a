"""Oracles that the package is held against: torch.distributions, finite differences, and the laws of chance.

Nothing here imports the package: what it says is found another way.
"""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

F64 = torch.float64
KINDS = ["scalar", "(K,)", "(K, D)", "(K, D, D)"]
# A right program fails a check of chance this rarely for another seed; for the seeds in the tests it never does.
FALSE_ALARM = 1e-7
FALSE_ALARM_Z = stats.norm.isf(FALSE_ALARM / 2)  # 5.3 standard errors


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A process, which is gone at the end, whatever a test has found by then."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in filter(None, (process.stdout, process.stderr)):  # not read to an end that its children may put off
            pipe.close()


def seeded(seed: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def mixture_parameters(dim: int, kind: str, *, seed: int = 0) -> tuple[Tensor, float | Tensor, Tensor, Tensor]:
    """(means, covariances of that kind, weights, the same covariances in full) of three components, float64."""
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
    means = 2 * normal(3, dim, seed=seed)
    if kind == "scalar":
        covariances: float | Tensor = 0.7
        full = 0.7 * torch.eye(dim, dtype=F64).expand(3, -1, -1)
    elif kind == "(K,)":
        covariances = torch.tensor([0.3, 1.0, 2.5], dtype=F64)
        full = covariances[:, None, None] * torch.eye(dim, dtype=F64)
    elif kind == "(K, D)":
        covariances = normal(3, dim, seed=seed + 1).abs() + 0.2
        full = torch.diag_embed(covariances)
    else:
        root = normal(3, dim, dim, seed=seed + 2)
        full = covariances = root @ root.mT / dim + 0.3 * torch.eye(dim, dtype=F64)
    return means, covariances, weights, full


def torch_mixture(means: Tensor, full: Tensor, weights: Tensor, sigma: float | Tensor = 0.0) -> MixtureSameFamily:
    """The mixture, perturbed by noise sigma (a number, or one per row of the points it will be asked about)."""
    sigma = torch.as_tensor(sigma, dtype=F64)
    noise = sigma[..., None, None, None] ** 2 * torch.eye(means.shape[1], dtype=F64)
    components = MultivariateNormal(means.expand(*sigma.shape, *means.shape), full + noise)
    return MixtureSameFamily(Categorical(probs=weights.expand(*sigma.shape, -1)), components)


def autograd_score(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(log_prob(x).sum(), x)[0]


def finite_differences(log_prob: Callable[[Tensor], Tensor], x: Tensor, h: float = 1e-3) -> Tensor:
    """The gradient by central differences of fourth order, shape of x (B, D)."""
    slopes = []
    for unit in torch.eye(x.shape[1], dtype=x.dtype) * h:
        p2, p1, m1, m2 = (log_prob(x + shift * unit) for shift in (2, 1, -1, -2))
        slopes.append((-p2 + 8 * p1 - 8 * m1 + m2) / (12 * h))
    return torch.stack(slopes, 1)


def relative_error(got: Tensor, true: Tensor) -> float:
    """Largest distance between rows, relative to the length of the true row."""
    got, true = got.flatten(1).double(), true.flatten(1).double()
    return ((got - true).norm(dim=1) / true.norm(dim=1)).max().item()


def assert_variance(x: Tensor, variance: float, *, z: float = FALSE_ALARM_Z) -> None:
    """The independent normal numbers x have this variance, within z standard errors."""
    standard_error = variance * math.sqrt(2 / (x.numel() - 1))
    assert abs(x.var().item() - variance) < z * standard_error, (x.var().item(), variance, standard_error)


def assert_mean(x: Tensor, mean: float, *, z: float = FALSE_ALARM_Z) -> None:
    """The independent numbers x have this mean, within z standard errors."""
    standard_error = x.double().std().item() / math.sqrt(x.numel())
    assert abs(x.double().mean().item() - mean) < z * standard_error, (x.mean().item(), mean, standard_error)


def torchrun(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """What `torchrun` makes of these words with two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
