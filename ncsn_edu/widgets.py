"""Explorers: sliders beside a picture that follows them. They run the package's own functions; there are no maths here.

The picture is drawn by Matplotlib's Agg canvas into a plain image widget, and its artists are changed in place: half
the delay of redrawing, no flicker, and only core ipywidgets, so that JupyterLab, Notebook 7, VS Code and Colab show it.
Where no kernel runs (GitHub, a static page) the stored notebook shows the picture as it was.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from . import plots
from .distributions import GaussianMixture
from .metrics import mode_moments, mode_weights
from .samplers import annealed_langevin, langevin, mala
from .schedules import geometric, stable_alpha, stable_eps, stationary_variance, step_sizes


class Explorer(ipw.VBox):
    """Controls, a picture and a line of numbers. Subclasses draw once in `_draw`, then change artists in `_update`.

    `controls` are named widgets; `values` reads them. `readout` is the line under the picture.
    """

    def __init__(
        self, controls: dict[str, ipw.Widget], *, size: tuple[float, float], buttons: Sequence[ipw.Widget] = ()
    ):
        self.controls = controls
        with rc_context(plots.STYLE):
            self.figure = Figure(figsize=size, dpi=100, layout="constrained")
            FigureCanvasAgg(self.figure)
            self._draw()
        self.figure.canvas.draw()
        self.figure.set_layout_engine("none")  # lay out once: a picture that shifts is hard to compare
        width, height = self.figure.canvas.get_width_height()
        self.picture = ipw.Image(format="png", width=width, height=height)
        self.readout = ipw.HTML()
        for control in controls.values():
            control.observe(self._changed, names="value")
        rows = ipw.GridBox([*controls.values(), *buttons], layout=ipw.Layout(grid_template_columns="repeat(2, 400px)"))
        self._shown: dict[str, Any] = {}
        self._changed()
        super().__init__([rows, self.picture, self.readout])

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values by name, rounded: 0.2 comes back from a browser as 0.19999999999999998."""
        values = {name: control.value for name, control in self.controls.items()}
        return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}

    def set(self, **values: Any) -> "Explorer":
        """Set controls by name, as moving the sliders does: explorer.set(weight=0.5). Returns the explorer."""
        unknown = values.keys() - self.controls.keys()
        if unknown:
            raise ValueError(f"no control is called {', '.join(sorted(unknown))}: there are {', '.join(self.controls)}")
        for name, value in values.items():
            self.controls[name].value = value
        return self

    def _draw(self) -> None:
        raise NotImplementedError

    def _update(self, **values: Any) -> str:
        raise NotImplementedError

    def _changed(self, _: Any = None) -> None:
        if self.values != self._shown:  # a browser sends every slider's value once when it shows it
            self._shown = self.values
            self._show(self._update(**self.values))

    def _show(self, text: str) -> None:
        picture = self._png()  # takes most of the time: numbers and picture are to change together
        self.readout.value = f"<div class='ncsn-readout' style='font-size:110%'>{text}</div>"
        self.picture.value = picture

    def _png(self) -> bytes:
        self.figure.canvas.draw()
        buffer = io.BytesIO()
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[:, :, :3]
        Image.fromarray(pixels).save(buffer, "png", compress_level=1)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        return {**bundle, "text/plain": repr(self), "image/png": base64.b64encode(self.picture.value).decode()}


def slider(label: str, value: float, low: float, high: float, step: float, **options: Any) -> ipw.FloatSlider:
    """A slider that answers while it moves."""
    return ipw.FloatSlider(
        on_grid(value, low, step), min=low, max=high, step=step, description=label, **(wide() | options)
    )


def log_slider(label: str, value: float, low: float, high: float, step: float = 0.05) -> ipw.FloatLogSlider:
    """A slider over powers of ten, from 10^low to 10^high."""
    options = wide() | {"readout_format": ".3g"}
    value = 10 ** on_grid(math.log10(value), low, step)
    return ipw.FloatLogSlider(value, base=10, min=low, max=high, step=step, description=label, **options)


def int_slider(label: str, value: int, low: int, high: int, step: int = 1) -> ipw.IntSlider:
    """A slider over whole numbers."""
    return ipw.IntSlider(on_grid(value, low, step), min=low, max=high, step=step, description=label, **wide())


def on_grid(value: float, low: float, step: float) -> float:
    """The value that a slider can stand at, nearest to this one: a browser would move it there anyway."""
    return low + step * round((value - low) / step)


def outside_note(ax: Axes) -> Text:
    """Words in the middle of a picture, to be made visible when all chains have left it."""
    look = {"color": plots.RED, "backgroundcolor": "white", "zorder": 9}
    return ax.text(0.5, 0.5, "all chains are outside", transform=ax.transAxes, ha="center", visible=False, **look)


def show_ends(x: torch.Tensor, dots: Line2D, outside: Text, extent: float) -> None:
    """Put the dots at the chains x (B, 2), and show the note if none of them is in the picture."""
    dots.set_data(*x.T.numpy())
    outside.set_visible(not (x.abs() < extent).all(1).any())


def wide() -> dict[str, Any]:
    """The common layout of sliders."""
    return {"style": {"description_width": "130px"}, "layout": ipw.Layout(width="390px")}


class ScoreFieldExplorer(Explorer):
    """The score field of two Gaussians: their weight, distance, covariance, and noise added to them."""

    extent = 8.0

    def __init__(self, *, weight: float = 0.2, distance: float = 6.0, sigma: float = 0.0) -> None:
        controls = {
            "weight": slider("weight of left", weight, 0.02, 0.98, 0.02),
            "distance": slider("distance", distance, 0, 12, 0.25),
            "std": slider("std of left", 1.0, 0.3, 2.5, 0.1),
            "correlation": slider("correlation of left", 0.0, -0.9, 0.9, 0.1),
            "sigma": slider("noise sigma", sigma, 0, 6, 0.1),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _draw(self) -> None:
        self.points, self.cells = plots.grid(self.extent, 90), plots.grid(self.extent * 0.95, 19)
        self.axis = torch.linspace(-self.extent, self.extent, 400, dtype=torch.float64)
        field, cut = self.figure.subplots(1, 2)
        plots.heatmap(field, torch.zeros(len(self.points)), extent=self.extent, vmin=0, vmax=1)
        self.heat = field.images[0]
        self.arrows = field.quiver(*self.cells.T.numpy(), *np.zeros((2, len(self.cells))), **plots.QUIVER)
        field.set(title="density and score", xlabel="$x_1$", ylabel="$x_2$")
        field.axhline(0, color=plots.RED, lw=0.8, ls="--")
        (self.density,) = cut.plot(self.axis, 0 * self.axis, color=plots.BLUE, label="density (scaled)")
        (self.slope,) = cut.plot(self.axis, 0 * self.axis, color=plots.RED, label="score, first coordinate")
        cut.axhline(0, color=plots.GREY, lw=0.6)
        cut.set(title="along the dashed line", xlabel="$x_1$", xlim=(-self.extent, self.extent), ylim=(-6, 6))
        cut.legend(loc="upper right", fontsize=9)

    def _update(self, weight: float, distance: float, std: float, correlation: float, sigma: float) -> str:
        mixture = two_gaussians(weight, distance, std, correlation)
        log_p = mixture.log_prob(self.points, sigma)
        self.heat.set_data((log_p - log_p.max()).exp().reshape(90, 90).numpy())
        self.arrows.set_UVC(*plots.arrows(mixture, self.cells, sigma, self.extent, 19).T)
        line = torch.stack([self.axis, torch.zeros_like(self.axis)], 1)
        log_cut = mixture.log_prob(line, sigma)
        self.density.set_ydata(4 * (log_cut - log_cut.max()).exp())
        self.slope.set_ydata(mixture(line, sigma)[:, 0])
        middle = mixture(torch.zeros(1, 2, dtype=torch.float64), sigma)[0]
        share = mixture.responsibilities(torch.zeros(1, 2, dtype=torch.float64), sigma)[0, 0]
        return (
            f"left: weight <b>{weight:.2f}</b>, std <b>{std:.1f}</b>, correlation <b>{correlation:.1f}</b>; "
            f"distance <b>{distance:.2f}</b>, noise sigma <b>{sigma:.1f}</b><br>"
            f"score at the origin ({middle[0]:+.3f}, {middle[1]:+.3f}); the left component claims {share:.1%} of it"
        )


def two_gaussians(weight: float, distance: float, std: float, correlation: float) -> GaussianMixture:
    """Two Gaussians on the first axis; the left one with a standard deviation and a correlation of its own."""
    left = std**2 * torch.tensor([[1, correlation], [correlation, 1]], dtype=torch.float64)
    covariances = torch.stack([left, torch.eye(2, dtype=torch.float64)])
    return GaussianMixture([[-distance / 2, 0], [distance / 2, 0]], covariances, [weight, 1 - weight])


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
        settings = {"alpha": alpha, "n_steps": n_steps, "generator": generator}
        if metropolis:
            states = mala(self.mixture.log_prob_and_score, x, **settings)
        else:
            states = langevin(self.mixture, x, **settings)
        path, accepted, failure = [x], [], ""
        try:
            for state in states:
                path.append(state.x)
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
