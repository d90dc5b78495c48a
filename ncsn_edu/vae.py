"""Variational autoencoders: the bound, its parts, and what can be had beyond it (Kingma & Welling 2014).

    log p(x) >= E_q[log p(x | v)] - KL(q(v | x) || p(v))      with p(v) = N(0, I), q(v | x) = N(mean, diag(std^2))

A VAE is no Score: it has a bound of log p, and samples in one pass. Everything here takes an `Autoencoder`, which the
net of nets/vae.py is, and any class of a few lines. This file does NOT know networks.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .checks import check_count, check_generator, check_points, check_positive, may_look
from .core import expand_like, noise_like
from .losses import Losses


class Autoencoder(Protocol):
    """An encoder q(v | x) and a decoder p(x | v)."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(v | x), (B, K) each."""
        ...

    def log_likelihood(self, x: Tensor, v: Tensor) -> Tensor:
        """Of x (B, *D) given latents v (B, K), in nats: log p(x | v), (B,)."""
        ...


def check_autoencoder(model: Autoencoder) -> Autoencoder:
    """A model that has what is asked of it here: encode and log_likelihood."""
    if missing := [name for name in ("encode", "log_likelihood") if not callable(getattr(model, name, None))]:
        raise TypeError(
            f"a {type(model).__name__} is no VAE: it has no {' and no '.join(missing)}. A ConvVAE has both, and so has "
            "load_vae(...).net; a score has no such bound"
        )
    return model


class Elbo(NamedTuple):
    """The two parts of the bound, for each example, in nats."""

    reconstruction: Tensor  # (B,), log p(x | v) at the v that was drawn
    kl: Tensor  # (B,), KL(q(v | x) || p(v)), in closed form

    @property
    def total(self) -> Tensor:
        """A lower bound of log p(x), on average over v, (B,)."""
        return self.reconstruction - self.kl


def elbo(model: Autoencoder, x: Tensor, *, generator: torch.Generator | None = None) -> Elbo:
    """The bound at x (B, *D) with one draw of v = mean + std e: unbiased, and with a scatter of its own."""
    check_points(x), check_generator(generator, x.device), check_autoencoder(model)
    mean, std = model.encode(x)
    v = mean + std * noise_like(mean, generator)  # the reparameterisation: its gradient passes through the draw
    return Elbo(model.log_likelihood(x, v), kl_to_standard(mean, std))


def importance_bound(model: Autoencoder, x: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """log of the mean of p(x, v) / q(v | x) over n draws, (B,): a bound that rises to log p(x) (Burda et al. 2016).

    n = 1 is the ELBO, with the KL estimated as well.
    """
    check_points(x), check_generator(generator, x.device), check_autoencoder(model)
    mean, std = model.encode(x)
    weights = []
    for _ in range(check_count("n", n)):
        e = noise_like(mean, generator)
        v = mean + std * e
        log_ratio = 0.5 * (e**2 - v**2).sum(1) + std.log().sum(1)  # log p(v) - log q(v | x); the constants cancel
        weights.append(model.log_likelihood(x, v) + log_ratio)
    return torch.logsumexp(torch.stack(weights), 0) - math.log(n)


def aggregate_posterior(model: Autoencoder, x: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """n latents (n, K) of the aggregate posterior: q(v | x) of rows of x (N, *D), such as the training images.

    It is what the decoder was trained on; the prior is what the bound pulls it towards.
    """
    check_points(x), check_generator(generator, x.device), check_autoencoder(model)
    rows = torch.randint(len(x), (check_count("n", n),), generator=generator, device=x.device)
    mean, std = model.encode(x[rows])
    return mean + std * noise_like(mean, generator)


class BoundObjective:
    """What a VAE is trained with: -log p(x | v) + beta KL.

    beta       1 is the bound; less draws sharper images that the prior finds less often, more fewer that it does find
               (Higgins et al. 2017). With a Gaussian decoder beta = b is the bound of a decoder with b times the
               variance, up to constants
    binarise   draw x from Bernoulli(x) first, for a decoder of black and white
    generator  draws the latents, and black and white
    """

    def __init__(self, *, beta: float = 1.0, binarise: bool = False, generator: torch.Generator | None = None) -> None:
        self.beta, self.binarise, self.generator = check_positive("beta", beta), binarise, generator

    @property
    def generators(self) -> tuple[torch.Generator | None, ...]:
        """What it draws from: their states are needed to resume exactly."""
        return (self.generator,)

    def __call__(self, model: Autoencoder, x: Tensor) -> Losses:
        """Losses of x (B, *D): -ELBO is reported, with beta it is minimised."""
        if self.binarise:
            if may_look(x) and not ((x >= 0) & (x <= 1)).all():
                raise ValueError("pixels are probabilities of white here, from 0 to 1: pass (x + 1) / 2, or x / 255")
            x = torch.bernoulli(x, generator=self.generator)
        bound = elbo(model, x, generator=self.generator)
        return Losses(-bound.total, self.beta * bound.kl - bound.reconstruction)


# ---- parts of it -----------------------------------------------------------------------------------------------------


def kl_to_standard(mean: Tensor, std: Tensor) -> Tensor:
    """KL(N(mean, diag(std^2)) || N(0, I)) = 1/2 sum(mean^2 + std^2 - log std^2 - 1), (B, K) -> (B,)."""
    return 0.5 * (mean**2 + std**2 - 2 * std.log() - 1).flatten(1).sum(1)


def gaussian_kl(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> Tensor:
    """KL(N(mean, cov) || N(other_mean, other_cov)) with full covariances, (K,) and (K, K), in nats.

    1/2 [tr(C'^-1 C) + (m' - m)' C'^-1 (m' - m) - K + log det C' - log det C].
    """
    factor, other = torch.linalg.cholesky(cov), torch.linalg.cholesky(other_cov)
    spread = torch.linalg.solve_triangular(other, factor, upper=False).square().sum()
    apart = torch.linalg.solve_triangular(other, (other_mean - mean)[:, None], upper=False).square().sum()
    log_det = 2 * (other.diagonal().log().sum() - factor.diagonal().log().sum())
    return 0.5 * (spread + apart - len(mean) + log_det)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, std: float | Tensor) -> Tensor:
    """log N(x; mean, std^2 I) = -||x - mean||^2 / (2 std^2) - D/2 log(2 pi std^2), (B, *D) -> (B,).

    std is a number, or one for each row, (B,).
    """
    z, n_dims = (x - mean) / expand_like(std, x), x.shape[1:].numel()
    log_std = torch.as_tensor(std, dtype=x.dtype, device=x.device).log()
    return -0.5 * z.flatten(1).square().sum(1) - n_dims * (log_std + 0.5 * math.log(2 * math.pi))


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of black and white pixels, 0 or 1, with log-odds (B, *D) -> (B,). Greys have no such probability."""
    if not ((x == 0) | (x == 1)).all():
        raise ValueError("a Bernoulli decoder is for pixels 0 and 1: binarise the images, or take the Gaussian one")
    return -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
