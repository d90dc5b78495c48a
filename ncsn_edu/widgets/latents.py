"""The latents of a variational autoencoder: a walk between two images, two latents moved by hand, the decoder's width.

This file does NOT train, and does not judge images.
"""

from collections.abc import Collection
from typing import Any

import ipywidgets as ipw
import torch
from torch import Tensor

from .. import plots
from ..devices import device_of
from ..nets.vae import ConvVAE
from ..pictures import tile
from ..vae import kl_to_standard
from .base import Explorer, between_0_and_1, int_slider, log_slider, put, slider, wide

PLACES = 7  # images on the walk
IMAGE: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}


class LatentExplorer(Explorer):
    """What a decoder makes of latents on the way from one image to another, with and without its noise.

    net     with a Gaussian decoder, gradients off, on any device
    images  (N, C, H, W) in [0, 1], N at least 2: the walk leads from one of them to another; all of them are the
            cloud of dots
    """

    alt = (
        "An image decoded from latents, between two images that are the ends of a walk; a row of images on the walk; "
        "and a cloud of dots, the latents of all images, with a red dot for the latents that are decoded."
    )

    def __init__(self, net: ConvVAE, images: Tensor, *, start: int = 0, end: int = 1) -> None:
        if net.decoder != "gaussian":
            raise ValueError("the explorer shows the width of a Gaussian decoder: give a VAE that has one")
        self.net, self.images = net, between_0_and_1(images)
        if len(images) < 2:
            raise ValueError(f"a walk leads from one image to another: give 2 images or more, not {len(images)}")
        with torch.no_grad():
            self.means, self.stds = (part.cpu() for part in net.encode(self.images.to(device_of(net))))
        self.used = [kl_to_standard(self.means[:, [k]], self.stds[:, [k]]).mean().item() for k in range(net.n_latents)]
        first, second = sorted(sorted(range(net.n_latents), key=lambda k: -self.used[k])[:2])
        last = len(images) - 1
        controls = {
            "start": int_slider("from image", start, 0, last),
            "end": int_slider("to image", end, 0, last),
            "walk": slider("walk", 0.0, 0, 1, 0.05),
            "first": int_slider("first latent", first + 1, 1, net.n_latents),
            "first_by": slider("first moved by", 0.0, -4, 4, 0.1),
            "second": int_slider("second latent", second + 1, 1, net.n_latents),
            "second_by": slider("second moved by", 0.0, -4, 4, 0.1),
            "std": log_slider("decoder std", float(net.std), -2, 0, 0.02),
            "noise": ipw.Checkbox(value=False, description="with the decoder's noise", **wide()),
            "seed": int_slider("seed of the noise", 0, 0, 9),
        }
        super().__init__(controls, size=(9.2, 4.4))

    def _draw(self) -> None:
        rows: list[Any] = [["start", "image", "end", "cloud"], ["strip", "strip", "strip", "cloud"]]
        axes = self.figure.subplot_mosaic(rows, width_ratios=[1, 1.6, 1, 2.2], height_ratios=[2.4, 1])
        titles = {"start": "from", "image": "decoded", "end": "to", "strip": "the walk"}
        row = torch.zeros(PLACES, *self.images.shape[1:])
        self.shown = {
            name: axes[name].imshow(tile(row if name == "strip" else row[:1], PLACES).numpy(), **IMAGE)
            for name in titles
        }
        for name, title in titles.items():
            axes[name].set(title=title, xticks=[], yticks=[])
        self.cloud = axes["cloud"]
        (self.dots,) = self.cloud.plot([], [], ".", ms=2, color=plots.BLUE, label="images")
        (self.line,) = self.cloud.plot([], [], "-", lw=1, color=plots.GREY, label="walk")
        (self.here,) = self.cloud.plot([], [], "o", color=plots.RED, label="decoded")
        self.cloud.set(title="two latents", xlim=(-5, 5), ylim=(-5, 5), aspect="equal")
        self.cloud.set(xlabel="latent", ylabel="latent")  # the layout keeps room for them
        self.cloud.legend(loc="upper right", fontsize=8)

    def _update(self, start: int, end: int, walk: float, first: int, second: int, **rest: Any) -> str:
        moves = {"first": (first, rest.pop("first_by")), "second": (second, rest.pop("second_by"))}
        path = torch.lerp(self.means[start], self.means[end], torch.linspace(0, 1, PLACES)[:, None])
        v = torch.lerp(self.means[start], self.means[end], walk)
        for latent, by in moves.values():
            path[:, latent - 1] += by
            v[latent - 1] += by
        decoded = self._decoded(v[None], **rest)
        strip = self._decoded(path, **rest)
        ends = {"start": self.images[[start]], "end": self.images[[end]], "image": decoded, "strip": strip}
        for name, x in ends.items():
            put(self.shown[name], tile(x, PLACES))
        self.dots.set_data(self.means[:, first - 1].numpy(), self.means[:, second - 1].numpy())
        self.line.set_data(path[:, first - 1].numpy(), path[:, second - 1].numpy())
        self.here.set_data([v[first - 1]], [v[second - 1]])
        self.cloud.xaxis.label.set_text(f"latent {first}")
        self.cloud.yaxis.label.set_text(f"latent {second}")
        told = "; ".join(
            f"{name} latent {k}, moved by {by:.1f}, is <b>{v[k - 1]:.2f}</b> (KL {self.used[k - 1]:.2f} nats)"
            for name, (k, by) in moves.items()
        )
        return f"walk <b>{walk:.2f}</b> from image {start} to image {end}; {told}<br>" + self._words(v, decoded, **rest)

    def _idle(self, **values: Any) -> Collection[str]:
        return () if values["noise"] else {"std", "seed"}

    def _decoded(self, v: Tensor, *, std: float, noise: bool, seed: int) -> Tensor:
        """Means of v (B, K), or draws with the std that the slider says."""
        mean = self.net.sample(len(v), v=v.to(device_of(self.net))).cpu()
        e = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
        return mean + std * e if noise else mean

    def _words(self, v: Tensor, x: Tensor, *, std: float, noise: bool, seed: int) -> str:
        return (
            f"length of v {v.norm():.2f}, under the prior about {len(v) ** 0.5:.2f}; decoder std <b>{std:.3g}</b> (of "
            f"this net {float(self.net.std):.3g}), {'with' if noise else 'without'} noise, seed {seed}; "
            f"pixels from {x.min():.2f} to {x.max():.2f}"
        )
