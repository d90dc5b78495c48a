"""NCSN on a GPU: images per second, share of the card's measured peak, memory; each way against the plain module.

    python tests/benchmarks/bench_gpu.py --out speed.json             # the paper's size on the GPU: about eight minutes
    python tests/benchmarks/bench_gpu.py --width 4 --batch 4 --steps 1 --repeats 1 --ways plain ours --device cpu

Plain: the textbook module of bench_nets.py in float32, eager, with Adam and a loop that reads every loss. All ways
alternate in one process, so that they share the card's mood; memory is what each takes alone. A way that fails says
why, the others go on, and the exit code is 1. FLOPs are counted by torch, for the plain module. Numbers are printed and
written, never asserted.
"""

import argparse
import copy
import gc
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ncsn_edu.errors import first_line
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


def training(way: Way | None, net: nn.Module, x: Tensor, sigmas: Tensor) -> Callable[[], object]:
    """A function that makes one training step."""
    if way is None:
        steps: Iterator[object] = plain_training(plain(net), x, sigmas)
        return lambda: next(steps)
    net = copy.deepcopy(net)
    if way.channels_last:
        net = net.to(memory_format=torch.channels_last)
    objective = Denoising(sigmas, generator=torch.Generator(x.device).manual_seed(0))
    options = {"n_steps": 10**9, "ema": 0.999, "bf16": way.bf16, "compiled": way.compiled}
    steps = train(net, repeat(x), objective=objective, **options)
    return lambda: next(steps)


def sampling(way: Way | None, net: nn.Module, x: Tensor, sigmas: Tensor) -> Callable[[], object]:
    """A function that makes one evaluation of the batch."""
    called: Callable[[Tensor, Tensor], Tensor] = plain(net) if way is None else copy.deepcopy(net)
    if way and way.channels_last:
        called = called.to(memory_format=torch.channels_last)
    if way and way.compiled:
        called = torch.compile(called, mode=None if way.compiled is True else way.compiled)
    sigma = sigmas[torch.randint(len(sigmas), (len(x),), device=x.device)]

    def evaluate() -> None:
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=bool(way and way.bf16)):
            called(x, sigma)

    return evaluate


WORKS = {"training": training, "sampling": sampling}


@dataclass
class Row:
    """A way of doing one of the WORKS: what it took, or why it failed."""

    work: Callable[[], object] | None = None
    first: float = 0.0  # seconds of the first time, compiling included
    memory: float | None = None  # GiB at its peak, alone
    seconds: list[float] = field(default_factory=list)
    error: str = ""

    @contextmanager
    def alone(self, device: torch.device) -> Iterator[None]:
        """What goes wrong inside is this row's own affair; what it held is free again."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="compiling failed")  # or it would be timed without
                yield
                wait(device)
        except Exception as error:
            self.work, self.error = None, f"{type(error).__name__}: {first_line(error)}"
        if self.error:
            release(device)


def release(device: torch.device) -> None:
    """Give back all memory that nothing refers to."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def begun(build: Callable[[], Callable[[], object]], device: torch.device) -> Row:
    """The row of a work that has been done three times: its peak of memory, above what others hold."""
    row, on_gpu = Row(), device.type == "cuda"
    release(device)
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with row.alone(device):
        row.work = build()
        row.first = timed(row.work, device)
        for _ in range(2):
            row.work()
        wait(device)
        row.memory = (torch.cuda.max_memory_allocated(device) - before) / 2**30 if on_gpu else None
    return row


def repeated(rows: Iterable[Row], steps: int, device: torch.device) -> None:
    """Do each work so often, and note how long it takes."""
    for row in rows:
        with row.alone(device):
            if work := row.work:
                row.seconds.append(timed(lambda: [work() for _ in range(steps)], device) / steps)


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
        "ways": {name: {} for name in options.ways},
    }
    rows = {
        (name, what): begun(partial(build, WAYS[name], net, x, sigmas), device)
        for name in options.ways
        for what, build in WORKS.items()
    }
    for _ in range(options.repeats):
        repeated(rows.values(), options.steps, device)
    print(f"{result['device']}, width {options.width}, batch {options.batch}, peak {result['peak_tflops']}")
    print(f"{'':<43}{'images/s':>10}{'ratio':>7}{'of peak':>9}{'GiB':>7}{'first s':>9}")
    (peak,) = result["peak_tflops"].values()
    for (name, what), row in rows.items():
        reference = rows.get(("plain", what), Row()).seconds
        numbers = in_numbers(row, options.batch, flops[what] / peak / 1e12, reference)
        result["ways"][name][what] = numbers
        print(f"{what + ', ' + name:<43}{shown(numbers)}", flush=True)
    return result


def in_numbers(row: Row, batch: int, share: float, reference: list[float]) -> dict[str, float | str | None]:
    """A row as it is written; share: of the peak, at one image a second; reference: seconds of the plain module."""
    if row.error:
        return {"failed": row.error}
    speed = batch / statistics.median(row.seconds)
    both = len(reference) == len(row.seconds)
    ratio = statistics.median(a / b for a, b in zip(reference, row.seconds, strict=True)) if both else None
    return {"images/s": speed, "ratio": ratio, "of peak": share * speed, "GiB": row.memory, "first s": row.first}


def shown(numbers: dict[str, float | str | None]) -> str:
    """The numbers of a row, as a line of the table."""
    if "failed" in numbers:
        return f"  failed: {numbers['failed']}"
    forms = {
        "images/s": (10, ".1f"),
        "ratio": (7, ".2f"),
        "of peak": (9, ".1%"),
        "GiB": (7, ".2f"),
        "first s": (9, ".1f"),
    }
    texts = (
        (width, "-" if numbers[name] is None else format(numbers[name], form)) for name, (width, form) in forms.items()
    )
    return "".join(f"{text:>{width}}" for width, text in texts)


def main() -> int:
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
    torch.backends.cudnn.benchmark = True  # as the commands have it
    result = measure(options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nPyTorch {torch.__version__}")
    return int(any("failed" in row for rows in result["ways"].values() for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
