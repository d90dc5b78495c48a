"""Multi-layer perceptrons for points in a few dimensions.

`ScoreMLP` is the paper's toy net, for one noise level. `NoiseConditionalMLP` takes sigma and serves a whole ladder.
This file does NOT know images: refinenet.py and unet.py do.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..checks import check_count, check_known, check_noise, check_points, check_sigma
from ..core import expand_like


class ScoreMLP(nn.Module):
    """dim -> hidden -> ... -> dim with Softplus between; by default the toy net of Song & Ermon 2019.

    That one, 2-128-128-2, has 17,154 parameters.
    It learns the score at one noise level, `sigma` (0: the data as they are), and refuses any other.
    """

    def __init__(self, dim: int = 2, hidden: Sequence[int] = (128, 128), *, sigma: float = 0.0) -> None:
        super().__init__()
        self.dim, self.sigma = check_count("dim", dim), float(check_sigma(sigma))
        self.layers = _perceptron([self.dim, *hidden, self.dim])

    def forward(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Score at x (B, dim), shape (B, dim)."""
        check_points(x, self.dim)
        check_known(sigma, self.sigma)
        return self.layers(x)


class NoiseConditionalMLP(nn.Module):
    """s(x, sigma) = f(x / sqrt(data_std^2 + sigma^2), log sigma) / sigma for any sigma > 0, in `dim` dimensions.

    Both scalings keep what f sees and returns of order one at every level: x~ has a variance of about
    data_std^2 + sigma^2, and a score has a length of about 1/sigma.
    """

    def __init__(self, dim: int = 2, hidden: Sequence[int] = (128, 128), *, data_std: float = 1.0) -> None:
        super().__init__()
        self.dim, self.data_std = check_count("dim", dim), float(data_std)
        self.layers = _perceptron([self.dim + 1, *hidden, self.dim])

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Score of p_sigma at x (B, dim), shape (B, dim)."""
        check_points(x, self.dim), check_noise(sigma, "this net divides by sigma")
        sigmas = expand_like(sigma, x).expand(len(x), 1)  # (B, 1)
        inputs = torch.cat([x / (self.data_std**2 + sigmas**2).sqrt(), sigmas.log()], 1)
        return self.layers(inputs) / sigmas


def _perceptron(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.Softplus()]
    return nn.Sequential(*layers[:-1])
