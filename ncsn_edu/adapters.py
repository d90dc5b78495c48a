"""Other parametrisations seen as a Score: what a model was trained as stays inside, samplers see score(x, sigma).

This file does NOT train or sample.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class EnergyScore(nn.Module):
    """The score of p(x) = exp(-E(x, sigma)) / Z: minus the gradient of the energy, by automatic differentiation.

    energy(x (B, *D), sigma) -> (B,). Unlike a free vector field it is a gradient for sure, at the price of a backward
    pass for each evaluation. Can itself be differentiated, with respect to x and to the parameters, so that it trains
    with every loss in losses.py; it works under torch.no_grad too, as in samplers.
    """

    def __init__(self, energy: Callable[[Tensor, float | Tensor], Tensor]) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """-grad_x E(x, sigma), in the shape of x."""
        again = torch.is_grad_enabled()  # will somebody differentiate the score?
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            energy = self.energy(x, sigma)
            if energy.shape != x.shape[:1]:
                raise ValueError(f"the energy must be one number a row, shape ({len(x)},), not {tuple(energy.shape)}")
            return -torch.autograd.grad(energy.sum(), x, create_graph=again)[0]


class Guided(nn.Module):
    """The score of one class, by a net that was trained with and without being told it (Ho & Salimans 2022, eq. 6).

    s(x) + scale (s(x | label) - s(x)): scale 0 is the score of all images, 1 that of the class. Above 1 the chains
    keep to what is typical of the class: images that are easier to name, and less varied. For sigma > 0 that is no
    longer the score of a noised density. net(x, sigma, label=) with label (B,), -1 where no class is told.
    """

    label: Tensor

    def __init__(self, net: Callable[..., Tensor], label: int | Tensor, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.scale = net, scale
        self.register_buffer("label", torch.as_tensor(label), persistent=False)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Shape of x (B, *D); label is one class for all rows, or one for each. Two evaluations, but at scale 1."""
        label = self.label.expand(len(x))
        told = self.net(x, sigma, label=label)
        if self.scale == 1:
            return told
        return torch.lerp(self.net(x, sigma, label=torch.full_like(label, -1)), told, self.scale)
