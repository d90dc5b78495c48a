"""Samplers of other libraries on the same mixture: seconds and error at the same noise levels and evaluations.

    pip install -e ".[peers]"   # beside a torch for CPUs: pip install --no-deps azula smalldiffusion einops accelerate
    python tests/benchmarks/bench_peers.py                                   # a minute
    python tests/benchmarks/bench_peers.py --chains 200 --repeats 1          # seconds

Each library is given the exact answer of one mixture in its own letters: azula a denoiser, smalldiffusion the noise,
this package the score. All start from the same points on the same ladder, and draw the same noise, so that the ends
should agree to rounding. The sides take turns; a ratio is that of two neighbouring runs. Numbers are printed, never
asserted: they belong to the machine that made them.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from ncsn_edu import GaussianMixture, denoise, energy_distance, geometric, last
from ncsn_edu.diffusion import ancestral, ddim, probability_flow

HIGH, LOW = 20.0, 0.05
MIXTURE = GaussianMixture([[-4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, -4.0]], 0.25, [0.1, 0.2, 0.3, 0.4])
Sampler = Callable[[Tensor, int], Tensor]  # (start (B, 2), steps) -> x (B, 2) at noise LOW


class Pair(NamedTuple):
    """The same sampler twice."""

    name: str
    peer: str
    ours: Sampler
    theirs: Sampler
    asks: int = 1  # evaluations a step


def ours(sampler, random: bool = True, **settings) -> Sampler:
    def run(x: Tensor, n: int) -> Tensor:
        drawn = {"generator": torch.Generator().manual_seed(1)} if random else {}
        return last(sampler(MIXTURE, x, geometric(HIGH, LOW, n + 1), **drawn, **settings))

    return run


def of_azula() -> dict[str, Sampler]:
    from azula import sample
    from azula.denoise import Denoiser, DiracPosterior
    from azula.noise import VESchedule

    class Exact(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = VESchedule(LOW, HIGH)

        def forward(self, x_t: Tensor, t: Tensor) -> DiracPosterior:
            sigma = self.schedule.sigma(t).item()
            return DiracPosterior(x_t + sigma**2 * MIXTURE(x_t, sigma))

    def run(kind: type) -> Sampler:
        def of(x: Tensor, n: int) -> Tensor:
            torch.manual_seed(1)
            return kind(Exact(), steps=n, silent=True)(x)

        return of

    kinds = (sample.DDPMSampler, sample.DDIMSampler, sample.EulerSampler, sample.HeunSampler)
    return dict(zip(("DDPM", "DDIM", "Euler", "Heun"), map(run, kinds), strict=True))


def of_smalldiffusion() -> dict[str, Sampler]:
    diffusion = module("smalldiffusion", "diffusion")
    accelerator = diffusion.Accelerator(cpu=True)

    class Exact(torch.nn.Module):
        def rand_input(self, n: int) -> Tensor:
            return torch.randn(n, 2)

        def predict_eps_cfg(self, x: Tensor, sigma: Tensor, cond: None, cfg_scale: float) -> Tensor:
            level = sigma.item()
            return -level * MIXTURE(x, level)

    def run(mu: float) -> Sampler:
        def of(x: Tensor, n: int) -> Tensor:
            torch.manual_seed(1)
            states = diffusion.samples(Exact(), geometric(HIGH, LOW, n + 1), mu=mu, xt=x, accelerator=accelerator)
            for end in states:
                x = end
            return x

        return of

    return {"DDPM": run(0.5), "DDIM": run(0.0)}


def module(package: str, name: str) -> ModuleType:
    """One file of a package, without what the rest of it wants to have installed."""
    place = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"{package}_{name}", f"{place}/{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def pairs() -> list[Pair]:
    own = {
        "DDPM": ours(ancestral),
        "DDIM": ours(ddim),
        "Euler": ours(probability_flow, random=False, solver="euler"),
        "Heun": ours(probability_flow, random=False),
    }
    peers = {"azula": of_azula(), "smalldiffusion": of_smalldiffusion()}
    return [
        Pair(name, peer, own[name], theirs, 2 if name == "Heun" else 1)
        for peer, samplers in peers.items()
        for name, theirs in samplers.items()
    ]


def seconds(run: Sampler, x: Tensor, n: int) -> float:
    began = time.perf_counter()
    run(x, n)
    return time.perf_counter() - began


def timed(pair: Pair, x: Tensor, n: int, repeats: int) -> tuple[float, float, float]:
    """Median seconds of ours and theirs, and the median of theirs / ours; the one that begins takes turns."""
    found = []
    for i in range(repeats + 1):
        sides = (pair.ours, pair.theirs) if i % 2 else (pair.theirs, pair.ours)
        both = [seconds(side, x, n) for side in sides]
        found.append(both if i % 2 else both[::-1])
    mine, other = zip(*found[1:], strict=True)  # the first warms up
    return statistics.median(mine), statistics.median(other), statistics.median(b / a for a, b in found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=2000)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 50], help="of the score, in all")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of runs to time")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.empty(30 * 2**20, dtype=torch.uint8)  # freed: glibc keeps such memory from now on, else it is timed
    missing = [
        name for name in ("azula", "smalldiffusion", "einops", "accelerate") if not importlib.util.find_spec(name)
    ]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: see python {sys.argv[0]} --help")

    generator = torch.Generator().manual_seed(0)
    x = MIXTURE.perturb(HIGH).sample(options.chains, generator=generator)
    real, again = (MIXTURE.sample(options.chains, generator=generator) for _ in range(2))
    print(f"{options.chains} chains in 2-D; between two draws of the truth the energy distance is", end=" ")
    print(f"{energy_distance(again, real):.4f}\n")
    head = ("sampler", "against", "asked", "ours, ms", "theirs, ms", "theirs/ours", "error, ours", "theirs", "apart")
    print("{:8}{:16}{:>6}{:>10}{:>12}{:>13}{:>13}{:>9}{:>10}".format(*head))
    for pair in pairs():
        for asked in options.evaluations:
            n = asked // pair.asks
            mine, other, ratio = timed(pair, x, n, options.repeats)
            ends = pair.ours(x, n), pair.theirs(x, n)
            apart = (ends[0] - ends[1]).abs().max().item()
            errors = [energy_distance(denoise(MIXTURE, end, LOW), real) for end in ends]
            row = f"{pair.name:8}{pair.peer:16}{asked:>6}{1e3 * mine:>10.2f}{1e3 * other:>12.2f}{ratio:>13.2f}"
            print(f"{row}{errors[0]:>13.4f}{errors[1]:>9.4f}{apart:>10.1e}")
    print(f"\nPyTorch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
