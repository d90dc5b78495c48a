"""The RefineNet of NCSN here against a plain textbook one, or itself compiled: forward, and a training step.

    python tests/benchmarks/bench_nets.py                                    # the three sizes: a minute
    python tests/benchmarks/bench_nets.py --sizes 8:4:4 --repeats 1          # size:width:batch, seconds
    python tests/benchmarks/bench_nets.py --against compiled --sizes 32:48:32   # minutes, and a C++ compiler

Both sides alternate in one process. Numbers are printed, never asserted: they belong to the machine that made them.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncsn_edu.losses import dsm
from ncsn_edu.nets.ncsn import NCSN
from ncsn_edu.nets.norm import CondInstanceNormPlus
from ncsn_edu.nets.refinenet import ConvMeanPool, MeanPool
from ncsn_edu.schedules import geometric


class PlainNorm(nn.Module):
    """CondInstanceNorm++ as its formula is written."""

    def __init__(self, norm: CondInstanceNormPlus) -> None:
        super().__init__()
        self.gamma, self.alpha, self.beta = norm.gamma, norm.alpha, norm.beta

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        gamma, alpha, beta = (p[level][:, :, None, None] for p in (self.gamma, self.alpha, self.beta))
        mu = x.mean((2, 3), keepdim=True)
        m = (mu - mu.mean(1, keepdim=True)) / torch.sqrt(mu.var(1, keepdim=True) + 1e-5)
        return gamma * (F.instance_norm(x) + alpha * m) + beta


class PlainConvMeanPool(nn.Module):
    """A convolution, and then the mean of the four pixels of each square."""

    def __init__(self, layer: ConvMeanPool) -> None:
        super().__init__()
        self.conv = layer.conv

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return (h[:, :, ::2, ::2] + h[:, :, 1::2, ::2] + h[:, :, ::2, 1::2] + h[:, :, 1::2, 1::2]) / 4


def plain(net: nn.Module) -> nn.Module:
    """A copy whose parts are the textbook ones."""

    def exchange(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, CondInstanceNormPlus):
                setattr(module, name, PlainNorm(child))
            elif isinstance(child, ConvMeanPool):
                setattr(module, name, PlainConvMeanPool(child))
            elif isinstance(child, MeanPool):
                setattr(module, name, nn.AvgPool2d(5, stride=1, padding=2))
            else:
                exchange(child)

    copied = copy.deepcopy(net)
    exchange(copied)
    return copied


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(size: int, width: int, batch: int, repeats: int, against: str) -> None:
    torch.manual_seed(0)
    channels, sigmas = 3 if size == 32 else 1, geometric(1, 0.01, 10)
    ours = NCSN(channels, width, sigmas, size)
    if against == "compiled":  # in the layout that the recipes in bfloat16 train in
        ours = ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        theirs = cast(nn.Module, torch.compile(copy.deepcopy(ours)))
    else:
        theirs = plain(ours)
    x = torch.rand(batch, channels, size, size)
    sigma = sigmas[torch.randint(10, (batch,))]

    def forward(net: nn.Module) -> Tensor:
        with torch.no_grad():
            return net(x, sigma)

    torch.testing.assert_close(forward(ours), forward(theirs), rtol=1e-4, atol=1e-4)
    optimisers = {net: torch.optim.Adam(net.parameters()) for net in (ours, theirs)}

    def step(net: nn.Module) -> None:
        optimisers[net].zero_grad()
        dsm(net, x, sigma).mean().backward()
        optimisers[net].step()

    for what, work in (("forward", forward), ("training step", step)):
        work(ours), work(theirs)
        pairs = [(seconds(lambda: work(ours)), seconds(lambda: work(theirs))) for _ in range(repeats)]  # noqa: B023
        mine, other = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{size}x{size}, width {width}, batch {batch}, {what:<14}{mine:>9.1f}{other:>9.1f}{ratio:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["8:32:128", "28:32:32", "32:32:16"], metavar="SIZE:WIDTH:BATCH")
    parser.add_argument("--against", choices=("plain", "compiled"), default="plain", help="the other side")
    parser.add_argument("--repeats", type=int, default=7, help="pairs to time")
    options = parser.parse_args()
    print(f"{'':<50}{'ms':>5}{options.against:>9}{'ratio':>8}")
    for text in options.sizes:
        compare(*map(int, text.split(":")), options.repeats, options.against)
    print(f"\nPyTorch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
