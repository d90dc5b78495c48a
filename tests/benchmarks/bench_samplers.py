"""Annealed Langevin dynamics in 2-D: time, peak memory, and the closed-form score against autograd.

    python tests/benchmarks/bench_samplers.py                             # 100,000 chains x 1,000 steps: a minute
    python tests/benchmarks/bench_samplers.py --chains 1000 --steps 100   # seconds

Numbers are printed, never asserted: they belong to the machine that made them.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ncsn_edu.core import last
from ncsn_edu.distributions import GaussianMixture
from ncsn_edu.mcmc import annealed_langevin
from ncsn_edu.schedules import geometric

MEANS, WEIGHTS, LEVELS = torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), torch.tensor([0.2, 0.8]), 10


def start(chains: int) -> Tensor:
    return 16 * torch.rand(chains, 2, generator=torch.Generator().manual_seed(0)) - 8


def sample(chains: int, steps: int) -> Tensor:
    mixture, generator = GaussianMixture(MEANS, 1.0, WEIGHTS), torch.Generator().manual_seed(1)
    each = max(1, steps // LEVELS)
    ladder = geometric(20, 0.1, LEVELS)
    return last(annealed_langevin(mixture, start(chains), ladder, eps=0.003, n_steps_each=each, generator=generator))


def peak_memory(chains: int, steps: int) -> float:
    """MiB that a fresh process of that many steps took at most, all of it: interpreter, torch, chains."""
    command = [sys.executable, __file__, "--memory-of", "--chains", str(chains), "--steps", str(steps)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def own_peak_memory() -> float:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def autograd_score(x: Tensor, sigma: float) -> Tensor:
    covariance = (1 + sigma**2) * torch.eye(2)
    mixture = MixtureSameFamily(Categorical(probs=WEIGHTS), MultivariateNormal(MEANS, covariance))
    x = x.detach().requires_grad_()
    return torch.autograd.grad(mixture.log_prob(x).sum(), x)[0]


def seconds(score, x: Tensor) -> float:
    began = time.perf_counter()
    score(x, 1.0)
    return time.perf_counter() - began


def compare_scores(chains: int, repeats: int) -> tuple[float, float, float]:
    """Median seconds of one closed-form score and of one by autograd, and the median of their ratios, side by side."""
    x, closed_form = start(chains), GaussianMixture(MEANS, 1.0, WEIGHTS)
    torch.testing.assert_close(closed_form(x, 1.0), autograd_score(x, 1.0), rtol=1e-4, atol=1e-4)
    pairs = [(seconds(closed_form, x), seconds(autograd_score, x)) for _ in range(repeats + 2)][2:]  # two to warm up
    ours, theirs = zip(*pairs, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(b / a for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=1000, help="in all, over 10 noise levels")
    parser.add_argument("--repeats", type=int, default=30, help="pairs of scores to time")
    parser.add_argument("--threads", type=int, default=1, help="more are slower on a machine that others use")
    parser.add_argument("--memory-of", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        sample(options.chains, options.steps)
        print(own_peak_memory())
        return

    def row(what: str, value: float, unit: str) -> None:
        print(f"{what:<44}{value:>12.4g} {unit}")

    began = time.perf_counter()
    x = sample(options.chains, options.steps)
    row(f"{options.chains} chains x {options.steps} steps", time.perf_counter() - began, "s")
    row("  share of the small mode (truth 0.2)", (x.sum(1) < 0).float().mean().item(), "")
    for steps in (max(LEVELS, options.steps // 10), options.steps):
        row(f"peak memory, {steps} steps", peak_memory(options.chains, steps), "MiB")
    ours, theirs, ratio = compare_scores(options.chains, options.repeats)
    row("score in closed form", ours * 1e3, "ms")
    row("score by torch.distributions and autograd", theirs * 1e3, "ms")
    row("autograd / closed form (median of ratios)", ratio, "")
    print(f"\nPyTorch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
