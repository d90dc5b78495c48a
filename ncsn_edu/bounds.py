"""The variational bound of DDPM, term by term, in nats (Ho et al. 2020, eq. 5).

    -log p(x_0) <= KL(q(x_T | x_0) || p(x_T))                                       prior
                   + sum over t > 1 of E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))    steps
                   + E[-log p(x_0 | x_1)]                                                 decoder

This file does NOT train (the objective is `Denoising`, whose weights are others), and takes no VAE: it shares two parts
of its bound with vae.py.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .checks import check_alphas_bar, check_choice, check_count, check_generator, check_points
from .core import exact, noise_like, shaped
from .vae import gaussian_log_likelihood, kl_to_standard


class Bound(NamedTuple):
    """The three kinds of term, for each example; their sum is `total`."""

    prior: Tensor  # (B,), how much of x_0 is left in x_T
    steps: Tensor  # (B, T - 1), of t = 2 ... T
    decoder: Tensor  # (B,), -log p(x_0 | x_1): of a density, or of a grey level

    @property
    def total(self) -> Tensor:
        """An upper bound of -log p(x_0), in nats, on average over the noise that was drawn; (B,)."""
        return self.prior + self.steps.sum(1) + self.decoder


@torch.no_grad()
def ddpm_bound(
    net: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    alphas_bar: Tensor,
    *,
    variance: Literal["posterior", "beta"] = "posterior",
    greys: tuple[float, float, int] | None = None,
    generator: torch.Generator | None = None,
) -> Bound:
    """The bound at clean x (B, *D) for a net (x_t, t (B,)) that guesses the noise; one draw of x_t for each t.

    variance  of p(x_{t-1} | x_t), t > 1: that of q(x_{t-1} | x_t, x_0), or beta_t. At t = 1 the former is 0 and no
              density is left: the decoder has beta_1 in both cases
    greys     (lowest, highest, number): x holds one of so many values, and the decoder gives the probability of each
              (Ho et al. 2020, section 3.3), such as (-1, 1, 256); None: it gives the density at x

    Divide by D log 2 for bits a dimension; a density of x in [lowest, highest] is then in other units.
    """
    check_points(x), check_generator(generator, x.device), check_choice("variance", variance, ("posterior", "beta"))
    clean_x = x.double() if x.device.type == "cpu" else x  # some accelerators have no float64
    kept = exact(check_alphas_bar(alphas_bar)).to(clean_x)
    n_dims, steps = x[0].numel(), []
    for t in range(len(kept) - 1, -1, -1):
        a, b = kept[t], kept[t - 1] if t else kept.new_ones(())
        x_t = a.sqrt() * clean_x + (1 - a).sqrt() * noise_like(clean_x, generator)
        e = shaped(net(x_t.to(x.dtype), torch.full((len(x),), t, device=x.device)), x)
        clean = (x_t - (1 - a).sqrt() * e) / a.sqrt()
        if t == 0:
            break
        beta = 1 - a / b
        narrow = beta * (1 - b) / (1 - a)  # the variance of q(x_{t-1} | x_t, x_0)
        wide = narrow if variance == "posterior" else beta
        off = (b.sqrt() * beta / (1 - a) * (clean_x - clean)).flatten(1).square().sum(1)  # between the two means
        steps.append(0.5 * (n_dims * (narrow / wide - 1 - (narrow / wide).log()) + off / wide))
    prior = kl_to_standard(kept[-1].sqrt() * clean_x, (1 - kept[-1]).sqrt())
    decoder = _decoder(clean_x, clean, (1 - kept[0]).sqrt(), greys)
    return Bound(prior, torch.stack(steps[::-1], 1) if steps else prior.new_zeros(len(x), 0), decoder)


def _decoder(x: Tensor, mean: Tensor, std: Tensor, greys: tuple[float, float, int] | None) -> Tensor:
    """-log p(x | mean): of the density N(mean, std^2), or of the interval around a grey level."""
    if greys is None:
        return -gaussian_log_likelihood(x, mean, std)
    low, high, number = greys
    half = (high - low) / (check_count("the number of greys", number, 2) - 1) / 2
    if not (low < high and ((x >= low - 1e-6) & (x <= high + 1e-6)).all()):
        raise ValueError(f"x must hold greys from {low} to {high}, and it holds {x.min():.4g} to {x.max():.4g}")
    places = (x - low) / (2 * half)
    if ((places - places.round()).abs() > 0.01).any():
        raise ValueError(f"x holds values between the {number} greys from {low} to {high}: round it to them")
    log_below = torch.special.log_ndtr((x + half - mean) / std).masked_fill(x > high - half, 0.0)
    log_under = torch.special.log_ndtr((x - half - mean) / std).masked_fill(x < low + half, -math.inf)
    log_above = torch.special.log_ndtr((mean - x + half) / std).masked_fill(x < low + half, 0.0)
    log_over = torch.special.log_ndtr((mean - x - half) / std).masked_fill(x > high - half, -math.inf)
    left = log_below + torch.log1p(-(log_under - log_below).exp().clamp(max=1.0))  # from whichever side it is small
    right = log_above + torch.log1p(-(log_over - log_above).exp().clamp(max=1.0))
    return -torch.where(x > mean, right, left).flatten(1).sum(1)
