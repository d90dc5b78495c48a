"""Score-matching losses against the dimension: time and memory of a step with the exact trace, a slice, and denoising.

    python tests/benchmarks/bench_losses.py                          # 2 to 1024 dimensions: under a minute
    python tests/benchmarks/bench_losses.py --dims 2 32 --repeats 3  # seconds
    python tests/benchmarks/bench_losses.py --dims 3072 --batch 1    # as large as a CIFAR-10 image

A step is a loss and its gradient with respect to the parameters of an MLP. The three take turns, so that whatever else
the machine does meets all of them alike. Numbers are printed, never asserted: they belong to the machine that made
them.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from ncsn_edu.losses import dsm, implicit, sliced
from ncsn_edu.nets.mlp import ScoreMLP

SIGMA = 0.5
LOSSES = {"implicit": implicit, "sliced": sliced, "dsm": dsm}


def step(name: str, net: ScoreMLP, x: Tensor) -> None:
    LOSSES[name](net, x, SIGMA).mean().backward()


def seconds(name: str, net: ScoreMLP, x: Tensor) -> float:
    step("dsm", net, x)  # not timed: each starts from the same caches, also the one whose turn is after the trace
    began = time.perf_counter()
    step(name, net, x)
    return time.perf_counter() - began


def saved_memory(name: str, net: ScoreMLP, x: Tensor) -> float:
    """MiB that the graph of a loss keeps for the gradient of the parameters, each storage counted once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = LOSSES[name](net, x, SIGMA).mean()  # held, so that no storage is freed and counted again
    del loss
    return sum(kept.values()) / 2**20


def measure(dim: int, batch: int, hidden: int, repeats: int, budget: float) -> dict[str, tuple[float, float]]:
    """Median seconds and MiB of each loss; rounds stop early once `budget` seconds are spent."""
    torch.manual_seed(0)
    net, x = ScoreMLP(dim, [hidden], sigma=SIGMA), torch.randn(batch, dim)
    memory = {name: saved_memory(name, net, x) for name in LOSSES}  # warms up as well
    rounds: list[dict[str, float]] = []
    began = time.perf_counter()
    while len(rounds) < repeats and (not rounds or time.perf_counter() - began < budget):
        rounds.append({name: seconds(name, net, x) for name in LOSSES})
    return {name: (statistics.median(each[name] for each in rounds), memory[name]) for name in LOSSES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 8, 32, 128, 512, 1024])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=64, help="width of the one hidden layer")
    parser.add_argument("--repeats", type=int, default=20, help="rounds of all three at most")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds for the rounds at one dimension")
    parser.add_argument("--threads", type=int, default=1, help="more are slower on a machine that others use")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    columns = [f"{name} {unit}" for unit in ("ms", "MiB") for name in LOSSES]
    ratios = ["sliced/dsm", "implicit/dsm"]
    print(f"{'D':>6}" + "".join(f"{column:>14}" for column in [*columns, *ratios]))
    for dim in options.dims:
        found = measure(dim, options.batch, options.hidden, options.repeats, options.budget)
        row = [1e3 * found[name][0] for name in LOSSES] + [found[name][1] for name in LOSSES]
        row += [found[name][0] / found["dsm"][0] for name in ("sliced", "implicit")]
        print(f"{dim:>6}" + "".join(f"{value:>14.3g}" for value in row), flush=True)
    print(f"\nRatios are of times. Batch {options.batch}, hidden {options.hidden}, ", end="")
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
