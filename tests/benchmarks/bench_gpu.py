"""NCSN on a GPU: images per second, share of the card's measured peak, memory; each way against the plain module.

    python tests/benchmarks/bench_gpu.py --out speed.json             # the paper's size on the GPU: about eight minutes
    python tests/benchmarks/bench_gpu.py --width 4 --batch 4 --steps 1 --repeats 1 --ways plain ours --device cpu

Plain: the textbook module of bench_nets.py in float32, eager, with Adam and a loop that reads every loss. All ways
alternate in one process, so that they share the card's mood. FLOPs are counted by torch, for the plain module.
Numbers are printed and written, never asserted.
"""

import argparse
import copy
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ncsn_edu.losses import Denoising, dsm
from ncsn_edu.nets.ncsn import NCSN
from ncsn_edu.schedules import geometric
from ncsn_edu.training import EMA, train

sys.path.insert(0, str(Path(__file__).parent))
from bench_nets import plain


class Way(NamedTuple):
    """How the net is run."""

    bf16: bool = False
    channels_last: bool = False
    compiled: bool | str = False


WAYS = {
    "plain": None,
    "ours": Way(),
    "bf16": Way(bf16=True),
    "bf16, channels last": Way(bf16=True, channels_last=True),
    "bf16, compiled": Way(bf16=True, compiled=True),
    "bf16, channels last, compiled": Way(bf16=True, channels_last=True, compiled=True),
    "bf16, channels last, CUDA graphs": Way(bf16=True, channels_last=True, compiled="reduce-overhead"),
}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device) -> float:
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product: what the card can do, and not what its data sheet says."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    return 2 * n**3 / min(timed(lambda: a @ b, device) for _ in range(10))


def counted(net: nn.Module, x: Tensor, sigma: Tensor) -> dict[str, float]:
    """FLOPs of one image: of an evaluation, and of a training step."""
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        net(x, sigma)
    with FlopCounterMode(display=False) as both:
        net(x, sigma).sum().backward()
    net.zero_grad()
    return {"sampling": forward.get_total_flops() / len(x), "training": both.get_total_flops() / len(x)}


def plain_training(net: nn.Module, x: Tensor, sigmas: Tensor) -> Iterator[float]:
    """A loop as one writes it first."""
    optimiser, average = torch.optim.Adam(net.parameters(), lr=1e-3), EMA(net, 0.999)
    while True:
        sigma = sigmas[torch.randint(len(sigmas), (len(x),), device=x.device)]
        loss = dsm(net, x, sigma).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for a, b in zip(average.model.parameters(), net.parameters(), strict=True):
                a.lerp_(b, 0.001)
        yield loss.item()


def work_of(way: Way | None, net: nn.Module, x: Tensor, sigmas: Tensor) -> dict[str, Callable[[], object]]:
    """Functions that make one training step, and one evaluation of the batch."""
    net = plain(net) if way is None else copy.deepcopy(net)
    trained = copy.deepcopy(net)
    sigma = sigmas[torch.randint(len(sigmas), (len(x),), device=x.device)]
    if way is None:
        steps: Iterator[object] = plain_training(trained, x, sigmas)
        called: Callable[[Tensor, Tensor], Tensor] = net
    else:
        if way.channels_last:
            net, trained = (module.to(memory_format=torch.channels_last) for module in (net, trained))
        settings = {"n_steps": 10**9, "ema": 0.999, "bf16": way.bf16, "compiled": way.compiled}
        objective = Denoising(sigmas, generator=torch.Generator(x.device).manual_seed(0))
        steps = train(trained, repeat(x), objective=objective, **settings)
        mode = None if way.compiled is True else way.compiled
        called = torch.compile(net, mode=mode) if way.compiled else net

    def sample() -> None:
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=bool(way and way.bf16)):
            called(x, sigma)

    return {"training": lambda: next(steps), "sampling": sample}


def measure(options: argparse.Namespace) -> dict:
    torch.manual_seed(0)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    sigmas = geometric(1, 0.01, 10).to(device)
    net = NCSN(3, options.width, sigmas, 32).to(device)
    x = torch.rand(options.batch, 3, 32, 32, device=device)
    flops = counted(plain(net), x[:1], sigmas[:1])
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    result = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "torch": str(torch.__version__),
        "width": options.width,
        "batch": options.batch,
        "gflop": {what: value / 1e9 for what, value in flops.items()},
        "peak_tflops": {str(dtype).removeprefix("torch."): matmul_peak(device, dtype) / 1e12},
        "ways": {},
    }
    works, memory, first = {}, {}, {}
    for name in options.ways:
        works[name] = work_of(WAYS[name], net, x, sigmas)
        for what, work in works[name].items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            first[name, what] = timed(work, device)  # compiling included
            for _ in range(2):
                work()
            memory[name, what] = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    seconds: dict[tuple[str, str], list[float]] = {(name, what): [] for name in works for what in works[name]}
    for _ in range(options.repeats):
        for (name, what), found in seconds.items():
            found.append(timed(lambda: [works[name][what]() for _ in range(options.steps)], device) / options.steps)  # noqa: B023
    print(f"{result['device']}, width {options.width}, batch {options.batch}, peak {result['peak_tflops']}")
    print(f"{'':<34}{'images/s':>10}{'ratio':>7}{'of peak':>9}{'GiB':>7}{'first s':>9}")
    (peak,) = result["peak_tflops"].values()
    for name, what in seconds:
        each = statistics.median(seconds[name, what])
        speed, share = options.batch / each, options.batch * flops[what] / each / peak / 1e12
        reference = seconds.get(("plain", what), seconds[name, what])
        ratio = statistics.median(a / b for a, b in zip(reference, seconds[name, what], strict=True))
        row = {
            "images/s": speed,
            "ratio": ratio,
            "of peak": share,
            "GiB": memory[name, what],
            "first s": first[name, what],
        }
        result["ways"].setdefault(name, {})[what] = row
        gib = f"{memory[name, what]:.2f}" if memory[name, what] is not None else "-"
        print(
            f"{what + ', ' + name:<34}{speed:>10.1f}{ratio:>7.2f}{share:>9.1%}{gib:>7}{first[name, what]:>9.1f}",
            flush=True,
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = torch.cuda.is_available()
    parser.add_argument("--width", type=int, default=128 if there else 16)
    parser.add_argument("--batch", type=int, default=128 if there else 8)
    parser.add_argument("--steps", type=int, default=10, help="between two looks at the clock")
    parser.add_argument("--repeats", type=int, default=7)
    ways = list(WAYS) if there else ["plain", "ours"]  # on a processor compiling takes minutes
    parser.add_argument("--ways", nargs="+", default=ways, choices=list(WAYS), metavar="WAY")
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path, help="write the numbers as .json")
    options = parser.parse_args()
    result = measure(options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nPyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
