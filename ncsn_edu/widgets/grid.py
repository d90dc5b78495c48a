"""Any model under any sampler: what an error of the net does, by what the net predicts, how it is sampled, how long.

This file does NOT train: its net is a mixture's exact answer with an error added in the net's own letters.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as ipw
import torch

from .. import mcmc, plots, schedules
from ..adapters import PREDICTIONS, convert
from ..core import Score, State, denoise, expand_like, last
from ..diffusion import ancestral, ddim, predictor_corrector, probability_flow
from ..distributions import GaussianMixture
from ..metrics import energy_distance
from .base import int_slider, outside_note, show_ends, slider, wide
from .page import PageExplorer, described

HIGH, LOW = 20.0, 0.05  # noise levels, between which the samplers go down
SEEDS = {"real": 1, "start": 2, "noise": 3}
WAVES = 2.0 * torch.randn(2, 2, generator=torch.Generator().manual_seed(4)).double()  # of an error
Run = Callable[[Score, torch.Tensor, int, torch.Generator], Iterator[State]]


def _down(n: int) -> torch.Tensor:
    return schedules.geometric(HIGH, LOW, n, dtype=torch.float64)


def _annealed(score: Score, x: torch.Tensor, n: int, g: torch.Generator) -> Iterator[State]:
    most = max(2, min(20, n // 2))
    n_levels = max(range(min(10, most), most + 1), key=lambda levels: (n // levels * levels, levels))
    sigmas, n_steps_each = _down(n_levels), max(1, n // n_levels)
    eps = float(f"{schedules.eps_for_steps(sigmas, n_steps_each):.4g}")  # further digits differ by the minimiser
    return mcmc.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=n_steps_each, generator=g)


# (score, x, evaluations, generator) -> States; the last evaluation is the denoising at the end
SAMPLERS: dict[str, Run] = {
    "annealed Langevin": _annealed,
    "ancestral (DDPM)": lambda score, x, n, g: ancestral(score, x, _down(n + 1), generator=g),
    "DDIM, eta 1/2": lambda score, x, n, g: ddim(score, x, _down(n + 1), eta=0.5, generator=g),
    "DDIM (flow by Euler)": lambda score, x, n, g: ddim(score, x, _down(n + 1)),
    "predictor-corrector": lambda score, x, n, g: predictor_corrector(score, x, _down(n // 2 + 1), generator=g),
    "flow by Heun": lambda score, x, n, g: probability_flow(score, x, _down(n // 2 + 1)),
}


class Erring:
    """The score by a net that predicts `kind` and errs by `error`, root mean square, in a pattern over its input."""

    def __init__(self, truth: Score, kind: str, error: float) -> None:
        self.truth, self.kind, self.error = truth, kind, error
        self.asked = 0

    def __call__(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """Score of x (B, 2)."""
        self.asked += 1
        right = self.truth(x, sigma)
        if not self.error:
            return right
        seen = x / (1 + expand_like(sigma, x) ** 2).sqrt()
        wrong = self.error * math.sqrt(2) * torch.sin(seen @ WAVES)
        said = convert(right, x, sigma, source="score", target=self.kind) + wrong
        return convert(said, x, sigma, source=self.kind, target="score")


class GridExplorer(PageExplorer):
    """Samples of a net that errs, by what it predicts, by the sampler and the evaluations, with their exact error."""

    alt = (
        "Left, samples in the plane over the density of four modes. Right, by how much the guess of the clean point is "
        "off at each noise level, for nets that err equally in score, noise, clean point, v or velocity; one is bold."
    )
    extent = 7.0
    n_chains, n_real = 1000, 2000

    def __init__(
        self,
        *,
        predicts: str = "noise",
        error: float = 0.2,
        sampler: str = "DDIM (flow by Euler)",
        evaluations: int = 20,
    ) -> None:
        controls = {
            "predicts": ipw.Dropdown(
                options=list(PREDICTIONS), value=predicts, description="the net predicts", **wide()
            ),
            "error": slider("and errs by", error, 0, 0.5, 0.05),
            "sampler": ipw.Dropdown(options=list(SAMPLERS), value=sampler, description="sampler", **wide()),
            "evaluations": int_slider("evaluations", evaluations, 4, 100),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _fixed(self) -> dict[str, Any]:
        numbers = {"ends": (HIGH, LOW), "nChains": self.n_chains, "nReal": self.n_real, "extent": self.extent}
        return {"mixture": described(self.mixture), "waves": WAVES.tolist(), "seeds": SEEDS, **numbers}

    def _draw(self) -> None:
        centres = 3.0 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
        self.mixture = GaussianMixture(centres, 0.25, [0.4, 0.3, 0.2, 0.1])
        real, start = (torch.Generator().manual_seed(SEEDS[name]) for name in ("real", "start"))
        self.real = self.mixture.sample(self.n_real, generator=real)
        self.start = HIGH * torch.randn(self.n_chains, 2, generator=start, dtype=torch.float64)
        ends, errors = self.figure.subplots(1, 2)
        plots.density(ends, self.mixture.log_prob, extent=self.extent)
        (self.dots,) = ends.plot([], [], ".", ms=3, color=plots.ORANGE)
        self.outside = outside_note(ends)
        ends.set(title="samples", xlabel="$x_1$", ylabel="$x_2$")
        self.sigmas = schedules.geometric(HIGH, LOW, 60)
        zero = torch.zeros(60, 1)
        self.lines = {}
        colors = (plots.RED, plots.BLUE, plots.GREEN, plots.ORANGE, plots.PURPLE)
        for kind, color in zip(PREDICTIONS, colors, strict=True):
            off, on = (convert(zero + k, zero, self.sigmas, source=kind, target="clean")[:, 0] for k in (0, 1))
            (self.lines[kind],) = errors.loglog(self.sigmas.numpy(), (on - off).abs().numpy(), color=color, label=kind)
        errors.set(title="error of the clean guess, for an error of 1", xlabel=r"$\sigma$", ylim=(1e-3, 500))
        errors.legend(fontsize=9, loc="upper left")

    def _update(self, predicts: str, error: float, sampler: str, evaluations: int) -> str:
        for kind, line in self.lines.items():
            line.set(lw=3.5 if kind == predicts else 1.0)
        score = Erring(self.mixture, predicts, error)
        generator = torch.Generator().manual_seed(SEEDS["noise"])
        x = last(SAMPLERS[sampler](score, self.start, evaluations - 1, generator))
        end = denoise(score, x, LOW)
        show_ends(end, self.dots, self.outside, self.extent)
        distance = energy_distance(end, self.real)
        right = self.mixture.responsibilities(end)[:, 0].mean().item()
        spent = f"<b>{score.asked}</b>" + (f" of {evaluations}" if score.asked < evaluations else "")
        return (
            f"a net that predicts <b>{predicts}</b> and errs by <b>{error:.2f}</b>, sampled by <b>{sampler}</b> with "
            f"{spent} evaluations:<br>energy distance to the truth <b>{distance:.4f}</b> (two draws of "
            f"the truth: 0 +- 0.003), share of the right mode {right:.3f} (truth 0.400)"
        )
