"""An explorer of guidance: how much a class counts. No maths here: it calls the package."""

from collections.abc import Collection
from typing import Any

import torch

from .. import plots, schedules
from ..conditions import ClassifierGuide, Conditioned
from ..core import last
from ..diffusion import probability_flow
from ..distributions import GaussianMixture
from ..metrics import energy_distance
from .base import int_slider, outside_note, show_ends, slider
from .page import PageExplorer, described

COLORS = (plots.ORANGE, plots.GREEN, plots.PURPLE)


class GuidanceExplorer(PageExplorer):
    """Chains guided towards one of three classes that overlap, by the best classifier, always from the same starts."""

    extent = 5.0
    n_chains, n_lines, n_levels = 400, 12, 40
    ends = (30.0, 0.02)  # of the ladder
    own_seed = 1  # of the classes' own samples

    def __init__(self, *, scale: float = 1.0, label: int = 0) -> None:
        controls = {
            "label": int_slider("class", label, 0, 2),
            "scale": slider("scale", scale, 0, 10, 0.25),
            "sharpness": slider("classifier's sharpness", 1.0, 0.5, 5, 0.25),
            "seed": int_slider("seed of the starts", 0, 0, 9),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _fixed(self) -> dict[str, Any]:
        numbers = {"nChains": self.n_chains, "nLines": self.n_lines, "nLevels": self.n_levels, "ownSeed": self.own_seed}
        return {"mixture": described(self.mixture), "extent": self.extent, "ends": self.ends, **numbers}

    def _draw(self) -> None:
        means = [[-1.5, -0.9], [1.5, -0.9], [0.0, 1.8]]
        self.mixture = GaussianMixture(means, 1.0)
        self.sigmas = schedules.geometric(*self.ends, self.n_levels)
        generator = torch.Generator().manual_seed(self.own_seed)
        self.classes = [GaussianMixture([mean], 1.0).sample(self.n_chains, generator=generator) for mean in means]
        ends, paths = self.figure.subplots(1, 2)
        plots.density(ends, self.mixture.log_prob, extent=self.extent)
        for mean, color in zip(means, COLORS, strict=True):
            ends.plot(*mean, "o", ms=9, mfc="none", mec=color, mew=2, zorder=4)
        self.dots = [ends.plot([], [], ".", ms=3, color=color, label=f"class {k}")[0] for k, color in enumerate(COLORS)]
        ends.legend(fontsize=9, loc="upper left", markerscale=3, title="to the classifier")
        self.outside = outside_note(ends)
        ends.set(title="where the chains end", xlabel="$x_1$", ylabel="$x_2$")
        self.lines = [paths.plot([], [], "-", lw=1)[0] for _ in range(self.n_lines)]
        paths.set(title="how sure the classifier is on the way", xlabel=r"$\sigma$", ylabel=r"$p(y \mid x, \sigma)$")
        paths.set(xscale="log", xlim=self.ends, ylim=(0, 1.02))

    def _idle(self, **values: Any) -> Collection[str]:
        return () if values["scale"] else {"sharpness"}  # a classifier that does not count

    def _update(self, label: int, scale: float, sharpness: float, seed: int) -> str:
        def classifier(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
            return sharpness * self.mixture.logits(x, sigma)

        score = Conditioned(self.mixture, ClassifierGuide(classifier, label), scale)
        start = self.ends[0] * torch.randn(self.n_chains, 2, generator=torch.Generator().manual_seed(seed))
        states = list(probability_flow(score, start, self.sigmas))
        told = torch.stack([self.mixture.responsibilities(s.x[: len(self.lines)], s.sigma)[:, label] for s in states])
        x, classes = last(states), self.mixture.responsibilities(states[-1].x)
        for i, line in enumerate(self.lines):
            line.set_data(self.sigmas[1:].numpy(), told[:, i].numpy())
            line.set_color(COLORS[int(classes[i].argmax())])
        for k, dots in enumerate(self.dots):
            show_ends(x[classes.argmax(1) == k], dots, self.outside, self.extent)
        self.outside.set_visible(not (x.abs() < self.extent).all(1).any())
        share = (classes.argmax(1) == label).double().mean().item()
        return (
            f"class <b>{label}</b>, scale <b>{scale:g}</b>, sharpness <b>{sharpness:g}</b>, seed <b>{seed}</b>: "
            f"{share:.2f} of the chains are of the class to the best classifier (of the class's own samples 0.89), "
            f"which gives it {classes[:, label].mean():.2f} on average<br>their standard deviation is "
            f"{x.std(0).mean():.2f} (of the class 1.00), their energy distance to the class "
            f"{energy_distance(x, self.classes[label]):.3f}"
        )
