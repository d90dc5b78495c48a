"""A small convolutional VAE for digits: an encoder, a decoder, and what the decoder's numbers mean.

The bound is in vae.py. This file does NOT train.
"""

import torch
from torch import Tensor, nn

from ..checks import check_choice, check_count, check_images, check_positive, may_look
from ..core import noise_like
from ..vae import bernoulli_log_likelihood, gaussian_log_likelihood

DECODERS = ("gaussian", "bernoulli")


class ConvVAE(nn.Module):
    """Images x (B, channels, size, size) in [0, 1], size a multiple of 4, and latents v (B, n_latents).

    decoder  "gaussian": p(x | v) = N(mean, std^2 I); "bernoulli": pixels are black or white
    std      of the Gaussian decoder, the same for all pixels; None: it is learned
    """

    log_std: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        n_latents: int = 16,
        width: int = 32,
        *,
        decoder: str = "gaussian",
        std: float | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.size = check_count("channels", channels), check_count("size", size, 4)
        self.n_latents, w = check_count("n_latents", n_latents), check_count("width", width)
        self.decoder = check_choice("decoder", decoder, DECODERS)
        if self.size % 4:
            raise ValueError(f"size must be a multiple of 4, not {size}: pad or resize the images")
        if decoder == "bernoulli" and std is not None:
            raise ValueError("a Bernoulli decoder has no width: leave out std=, or take decoder='gaussian'")
        side, act = self.size // 4, nn.SiLU
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, w, 3, padding=1), act(), nn.Conv2d(w, w, 4, 2, 1), act()),
            *(nn.Conv2d(w, 2 * w, 4, 2, 1), act(), nn.Flatten(), nn.Linear(2 * w * side**2, 8 * w), act()),
            nn.Linear(8 * w, 2 * n_latents),
        )
        self.decoded = nn.Sequential(
            *(nn.Linear(n_latents, 8 * w), act(), nn.Linear(8 * w, 2 * w * side**2), act()),
            *(nn.Unflatten(1, (2 * w, side, side)), nn.ConvTranspose2d(2 * w, w, 4, 2, 1), act()),
            *(nn.ConvTranspose2d(w, w, 4, 2, 1), act(), nn.Conv2d(w, channels, 3, padding=1)),
        )
        if std is None:
            self.log_std = nn.Parameter(torch.tensor(-1.5))  # 0.22: it is learned
        else:
            self.register_buffer("log_std", torch.tensor(check_positive("std", std)).log())

    @property
    def std(self) -> Tensor:
        """The standard deviation of the Gaussian decoder, a number."""
        return self.log_std.exp()

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(v | x), (B, n_latents) each."""
        if check_images(x, self.channels, 4).shape[2:] != (self.size, self.size):
            size = "x".join(map(str, x.shape[2:]))
            raise ValueError(f"this VAE is of {self.size}x{self.size} images, not {size}: resize them")
        if may_look(x) and ((x < -0.1) | (x > 1.1)).float().mean() > 0.01:  # a little noise is no mistake
            found = f"{x.min():.4g} to {x.max():.4g}"
            raise ValueError(f"images of a VAE have pixels from 0 to 1, not {found}: pass (x + 1) / 2, or x / 255")
        mean, log_std = self.encoder(2 * x - 1).chunk(2, 1)
        return mean, log_std.clamp(-10, 5).exp()

    def forward(self, v: Tensor) -> Tensor:
        """The mean image of latents v (B, n_latents): of a Gaussian, or the probabilities of white."""
        out = self._decoded(v)
        return out if self.decoder == "gaussian" else out.sigmoid()

    def _decoded(self, v: Tensor) -> Tensor:
        if v.ndim != 2 or v.shape[1] != self.n_latents:
            raise ValueError(f"latents of this VAE have the shape (B, {self.n_latents}), not {tuple(v.shape)}")
        return self.decoded(v)

    def log_likelihood(self, x: Tensor, v: Tensor) -> Tensor:
        """log p(x | v), (B,): a density, or a probability."""
        out = self._decoded(v)
        if self.decoder == "bernoulli":
            return bernoulli_log_likelihood(x, out)
        return gaussian_log_likelihood(x, out, self.std)

    @torch.no_grad()
    def sample(
        self, n: int, *, noise: bool = False, v: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """n images (n, C, H, W) of latents v (n, n_latents), which are drawn from the prior unless they are given.

        Samples of p(x) have the decoder's noise. Without it they are means, which are smoother than any data.
        """
        if v is None:
            v = torch.randn(check_count("n", n), self.n_latents, generator=generator, device=self.log_std.device)
        mean = self(v)
        if not noise:
            return mean
        if self.decoder == "bernoulli":
            return torch.bernoulli(mean, generator=generator)
        return mean + self.std * noise_like(mean, generator)
