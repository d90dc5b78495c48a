"""The small U-Net is a Score of images, at any sigma, and can learn one that is known."""

import pytest
import torch

from ncsn_edu import Empirical, UNet, geometric
from ncsn_edu.train import train


@pytest.mark.parametrize(("shape", "multipliers", "blocks"), [((1, 8, 8), (1, 2), 1), ((3, 12, 20), (1, 2, 2), 2)])
def test_rows_have_sigmas_of_their_own(shape, multipliers, blocks):
    torch.manual_seed(0)
    net = UNet(shape[0], 8, multipliers, blocks=blocks).double()
    torch.nn.init.normal_(net.end[2].weight)
    x, sigmas = torch.rand(3, *shape, dtype=torch.float64), torch.tensor([10.0, 0.3, 0.01], dtype=torch.float64)
    together = net(x, sigmas)
    alone = torch.cat([net(row[None], sigma.item()) for row, sigma in zip(x, sigmas, strict=True)])
    torch.testing.assert_close(together, alone)
    together.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_first_score_is_zero():
    assert (UNet(1, 8)(torch.rand(2, 1, 8, 8), 0.5) == 0).all()


def test_learns_the_score_of_two_images():
    """Two images and noise: the ideal denoiser is known. After some hundred steps the net denoises nearly as well."""
    torch.manual_seed(1)
    pair = torch.zeros(2, 1, 8, 8)
    pair[0, :, :, :4], pair[1, :, :4] = 1.0, 1.0
    ideal, net, sigmas = Empirical(pair), UNet(1, 8), geometric(1, 0.1, 4)
    generator = torch.Generator().manual_seed(2)
    data = iter(lambda: pair[torch.randint(2, (32,), generator=generator)], None)
    for _ in train(net, data, sigmas=sigmas, n_steps=300, lr=3e-3, generator=generator):
        pass
    x = pair.repeat(50, 1, 1, 1)
    for sigma in (1.0, 0.1):
        noisy = x + sigma * torch.randn(x.shape, generator=generator)
        with torch.no_grad():
            gap = (net(noisy, sigma) - ideal(noisy, sigma)).square().mean().sqrt() * sigma
        assert gap < 0.25, f"at sigma {sigma} the denoised images are off by {gap * sigma:.3f} a pixel"


def test_bad_input():
    net = UNet(1, 8, (1, 2, 2))
    with pytest.raises(ValueError, match="multiples of 4"):
        net(torch.rand(2, 1, 6, 8), 0.1)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        net(torch.rand(2, 3, 8, 8), 0.1)
    with pytest.raises(ValueError, match="one per row"):
        net(torch.rand(2, 1, 8, 8), torch.ones(3))
