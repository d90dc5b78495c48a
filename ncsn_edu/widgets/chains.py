"""Chains of Langevin dynamics on mixtures, with and without annealing. This file does NOT train."""

from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib.collections import LineCollection

from .. import plots
from ..distributions import GaussianMixture
from ..metrics import mode_moments, mode_weights
from ..samplers import annealed_langevin, langevin, mala
from ..schedules import geometric, stable_alpha, stable_eps, stationary_variance, step_sizes
from .base import Explorer, int_slider, log_slider, outside_note, show_ends, wide


class LangevinExplorer(Explorer):
    """Langevin chains on two unit Gaussians at (-2, 0) and (2, 0): step, length, start, with or without MALA."""

    mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 1.0, [0.2, 0.8])
    extent, n_chains, n_drawn = 6.0, 600, 10

    def __init__(
        self, *, alpha: float = 0.1, n_steps: int = 100, start: str = "uniform", metropolis: bool = False
    ) -> None:
        controls = {
            "alpha": log_slider("step alpha", alpha, -2.5, 1, 0.05),
            "n_steps": int_slider("steps", n_steps, 10, 500, 10),
            "start": ipw.Dropdown(value=start, options=list(self.starts), description="start", **wide()),
            "metropolis": ipw.Checkbox(metropolis, description="Metropolis correction (MALA)", indent=False),
        }
        super().__init__(controls, size=(9.2, 4.2))

    starts = ("uniform", "left mode", "right mode", "one far point")

    def _start(self, start: str, generator: torch.Generator) -> torch.Tensor:
        if start == "uniform":
            return (2 * torch.rand(self.n_chains, 2, generator=generator) - 1) * self.extent
        place = {"left mode": (-2.0, 0.0), "right mode": (2.0, 0.0), "one far point": (-5.5, 5.5)}[start]
        return torch.tensor(place).repeat(self.n_chains, 1)

    def _draw(self) -> None:
        self.field, self.histogram = self.figure.subplots(1, 2)
        plots.density(self.field, self.mixture.log_prob, extent=self.extent)
        self.paths = self.field.add_collection(LineCollection([], lw=0.8, alpha=0.8, colors=plots.GREEN))
        (self.dots,) = self.field.plot([], [], ls="", marker=".", ms=3, alpha=0.6, color=plots.ORANGE)
        self.outside = outside_note(self.field)
        self.field.set(title="chains: paths of ten, ends of all", xlabel="$x_1$", ylabel="$x_2$")
        edges = np.linspace(-self.extent, self.extent, 49)
        self.bars = self.histogram.stairs(np.zeros(48), edges, fill=True, color=plots.ORANGE, alpha=0.6, label="chains")
        first = GaussianMixture(self.mixture.means[:, :1], 1.0, self.mixture.weights)
        axis = torch.linspace(-self.extent, self.extent, 300, dtype=torch.float64)
        self.histogram.plot(axis, first.log_prob(axis[:, None]).exp(), color=plots.BLUE, label="truth")
        self.histogram.set(title="first coordinate at the end", xlabel="$x_1$", ylim=(0, 0.5), xlim=(-6, 6))
        self.histogram.legend(loc="upper left")

    def _update(self, alpha: float, n_steps: int, start: str, metropolis: bool) -> str:
        generator = torch.Generator().manual_seed(0)
        x = self._start(start, generator)
        settings: dict[str, Any] = {"alpha": alpha, "n_steps": n_steps, "generator": generator}
        if metropolis:
            states = mala(self.mixture.log_prob_and_score, x, **settings)
        else:
            states = langevin(self.mixture, x, **settings)
        path, accepted, failure = [x], [], ""
        try:
            for state in states:
                path.append(state.x)
                if state.accepted is not None:
                    accepted.append(state.accepted)
        except FloatingPointError:
            failure = f"<b style='color:{plots.RED}'>the chains ran away at step {len(path)}</b>"
        self.paths.set_segments(list(torch.stack(path)[:, : self.n_drawn].transpose(0, 1).numpy()))
        show_ends(path[-1], self.dots, self.outside, self.extent)
        counts, edges = np.histogram(path[-1][:, 0].numpy(), self.bars.get_data().edges)
        self.bars.set_data(counts / self.n_chains / np.diff(edges))
        stable = "" if alpha < stable_alpha(1.0) or metropolis else f", <b style='color:{plots.RED}'>unstable</b>"
        expected = 1.0 if metropolis else stationary_variance(alpha, 1.0)
        rate = f"acceptance rate <b>{torch.stack(accepted).float().mean():.3f}</b>; " if metropolis else ""
        found = mode_weights(path[-1], self.mixture)
        result = failure or (
            f"left mode <b>{found.weight[0]:.3f}</b> [{found.low[0]:.3f}, {found.high[0]:.3f}], truth 0.200<br>"
            f"variance of x<sub>2</sub> {path[-1][:, 1].var():.4g}, expected in the long run {expected:.4g}"
        )
        return f"step alpha <b>{alpha:.3g}</b>{stable}, <b>{n_steps}</b> steps; {rate}{result}"


class AnnealingExplorer(Explorer):
    """Annealed Langevin dynamics on the mixture of Fig. 3: ladder and eps; stability before, result after the run."""

    mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    extent, n_chains = 9.0, 640

    def __init__(
        self,
        *,
        sigma_1: float = 20.0,
        sigma_L: float = 0.1,
        n_levels: int = 10,
        n_steps_each: int = 100,
        eps: float = 0.003,
    ) -> None:
        controls = {
            "sigma_1": log_slider("sigma_1", sigma_1, 0, 1.6),
            "sigma_L": log_slider("sigma_L", sigma_L, -1.5, 0),
            "n_levels": int_slider("levels L", n_levels, 2, 30),
            "n_steps_each": int_slider("steps each T", n_steps_each, 5, 200, 5),
            "eps": log_slider("eps", eps, -5, 0),
        }
        self.button = ipw.Button(description="Run", button_style="primary", icon="play")
        self.button.on_click(lambda _: self.run())
        super().__init__(controls, size=(9.4, 3.6), buttons=[self.button])
        self.run()

    def _draw(self) -> None:
        self.field, self.steps, self.shares = self.figure.subplots(1, 3)
        plots.density(self.field, self.mixture.log_prob, extent=self.extent)
        (self.dots,) = self.field.plot([], [], ls="", marker=".", ms=3, alpha=0.6, color=plots.ORANGE)
        self.outside = outside_note(self.field)
        self.field.set(title="chains at the end", xlabel="$x_1$", ylabel="$x_2$")
        (self.bars,) = self.steps.plot([], [], marker="o", ms=4, lw=1, color=plots.BLUE)
        self.steps.axhspan(1, 1e5, color=plots.RED, alpha=0.15, lw=0)
        self.steps.set(
            title="step / stable limit, by level", xlabel="level", yscale="log", ylim=(1e-6, 1e3), xlim=(0, 11)
        )
        (self.share,) = self.shares.plot([], [], marker=".", color=plots.ORANGE)
        self.shares.axhline(0.2, color=plots.BLUE, lw=1, ls="--")
        self.shares.set(title="share in the small mode", xlabel="level", ylim=(0, 1.05), xlim=(0, 11))

    def _update(self, sigma_1: float, sigma_L: float, n_levels: int, n_steps_each: int, eps: float) -> str:
        self.dots.set_data([], [])
        self.share.set_data([], [])
        self.outside.set_visible(False)
        for ax in (self.steps, self.shares):
            ax.set_xlim(0, n_levels + 1)
        if sigma_1 <= sigma_L:
            self.bars.set_data([], [])
            self.prediction = (
                f"<b style='color:{plots.RED}'>sigma_1 must be larger than sigma_L: a ladder leads down</b>"
            )
            return self.prediction
        sigmas = geometric(sigma_1, sigma_L, n_levels)
        limits = torch.tensor([stable_alpha(1.0, sigma) for sigma in sigmas.tolist()])
        level = torch.arange(1, n_levels + 1)
        self.bars.set_data(level, step_sizes(sigmas, eps) / limits)
        bound = stable_eps(sigmas, 1.0)
        unstable = f"<b style='color:{plots.RED}'>unstable: with enough steps the chains run away</b>"
        self.prediction = (
            f"sigma {sigma_1:.3g} to {sigma_L:.3g}, L <b>{n_levels}</b>, T <b>{n_steps_each}</b>: "
            f"{n_levels * n_steps_each} evaluations<br>eps <b>{eps:.3g}</b> against a limit of {bound:.3g}: "
            f"{'stable' if eps < bound else unstable}"
        )
        return f"{self.prediction}. Press Run"

    def run(self) -> "AnnealingExplorer":
        """Run the chains with the present settings, as the button does. Returns the explorer."""
        values = self.values
        if values["sigma_1"] <= values["sigma_L"]:
            return self
        sigmas = geometric(values["sigma_1"], values["sigma_L"], values["n_levels"])
        generator = torch.Generator().manual_seed(0)
        x = (2 * torch.rand(self.n_chains, 2, generator=generator) - 1) * 8
        states = annealed_langevin(
            self.mixture, x, sigmas, eps=values["eps"], n_steps_each=values["n_steps_each"], generator=generator
        )
        shares, result = [], ""
        try:
            for state in states:
                x = state.x
                if state.step == values["n_steps_each"] - 1:
                    shares.append(mode_weights(x, self.mixture).weight[0].item())
        except (FloatingPointError, ValueError):
            result = f"<b style='color:{plots.RED}'>the chains ran away at level {len(shares) + 1}</b>"
        self.share.set_data(range(1, len(shares) + 1), shares)
        show_ends(x, self.dots, self.outside, self.extent)
        if not result:
            found = mode_weights(x, self.mixture)
            spread = mode_moments(x, self.mixture)[1].diagonal(dim1=1, dim2=2).mean(1).sqrt()
            result = (
                f"small mode <b>{found.weight[0]:.3f}</b> [{found.low[0]:.3f}, {found.high[0]:.3f}], truth 0.200; "
                f"std of the modes {spread[0]:.2f} and {spread[1]:.2f}, truth 1.00"
            )
        self._show(f"{self.prediction}.<br>Result: {result}")
        return self
