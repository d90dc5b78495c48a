"""The small U-Net takes any sigma, and learns a score that is known."""

import pytest
import torch
import torch.nn.functional as F

from ncsn_edu import (
    Denoising,
    Empirical,
    EpsScore,
    ScoreNoise,
    UNet,
    alphas_bar_of,
    ddpm,
    ddpm_betas,
    geometric,
)
from ncsn_edu.nets.unet import Attention
from ncsn_edu.training import train


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


def test_the_first_output_is_zero():
    assert (UNet(1, 8)(torch.rand(2, 1, 8, 8), 0.5) == 0).all()


def test_learns_the_score_of_two_images():
    """Two images and noise: the ideal denoiser is known. After some hundred steps the net denoises nearly as well."""
    torch.manual_seed(1)
    pair = torch.zeros(2, 1, 8, 8)
    pair[0, :, :, :4], pair[1, :, :4] = 1.0, 1.0
    ideal, sigmas = Empirical(pair), geometric(1, 0.1, 4)
    net = EpsScore(UNet(1, 8), data_mean=0.5, data_std=0.5)
    generator = torch.Generator().manual_seed(2)
    data = iter(lambda: pair[torch.randint(2, (32,), generator=generator)], None)
    for _ in train(net, data, objective=Denoising(sigmas, generator=generator), n_steps=300, lr=3e-3):
        pass
    x = pair.repeat(50, 1, 1, 1)
    for sigma in (1.0, 0.1):
        noisy = x + sigma * torch.randn(x.shape, generator=generator)
        with torch.no_grad():
            gap = (net(noisy, sigma) - ideal(noisy, sigma)).square().mean().sqrt() * sigma
        assert gap < 0.25, f"at sigma {sigma} the denoised images are off by {gap * sigma:.3f} a pixel"


def test_a_class_changes_the_score_of_its_own_rows_and_nothing_said_is_minus_one():
    torch.manual_seed(0)
    net = UNet(3, 8, n_classes=4)
    torch.nn.init.normal_(net.end[2].weight)
    x = torch.rand(3, 3, 8, 8)
    nothing, some = net(x, 0.4), net(x, 0.4, torch.tensor([-1, 2, -1]))
    torch.testing.assert_close(net(x, 0.4, torch.tensor([-1, -1, -1])), nothing)
    torch.testing.assert_close(some[[0, 2]], nothing[[0, 2]])
    assert (some[1] - nothing[1]).abs().max() > 1e-3
    for label in (torch.tensor([0, 1, 4]), torch.tensor([0, -2, 1]), torch.tensor([0, 1]), torch.rand(3)):
        with pytest.raises(ValueError, match="label"):
            net(x, 0.4, label)


def test_dropout_is_for_training_alone():
    torch.manual_seed(0)
    net = UNet(1, 8, dropout=0.5)
    torch.nn.init.normal_(net.end[2].weight)
    x = torch.rand(2, 1, 8, 8)
    assert not torch.equal(net(x, 0.5), net(x, 0.5))
    net.eval()
    assert torch.equal(net(x, 0.5), net(x, 0.5))


def test_attention_at_several_resolutions_stands_behind_each_of_their_blocks():
    net = UNet(1, 8, (1, 1, 2), blocks=2, attention=2)
    there = [isinstance(block.attention, Attention) for block in (*net.down, *net.up)]
    assert there == [False, False, True, True, True, True, True, True, True, True, False, False]
    assert isinstance(net.attention, Attention)


def test_attention_is_a_weighted_mean_over_all_places():
    torch.manual_seed(0)
    layer = Attention(8).double()
    torch.nn.init.normal_(layer.out.weight)
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    q, k, v = F.conv2d(layer.norm(x), layer.to_qkv.weight, layer.to_qkv.bias).split(8, dim=1)
    weights = torch.einsum("bchw,bcij->bhwij", q, k).div(8**0.5).flatten(3).softmax(3).view(2, 3, 4, 3, 4)
    mean = torch.einsum("bhwij,bcij->bchw", weights, v)
    torch.testing.assert_close(layer(x), x + F.conv2d(mean, layer.out.weight, layer.out.bias))


def test_with_attention_every_pixel_sees_every_other_from_the_start_of_training_on():
    torch.manual_seed(0)
    far = []
    for attention in (False, True):
        net = UNet(1, 8, (1, 1), attention=attention).double()
        torch.nn.init.normal_(net.end[2].weight)
        for block in (*net.down, net.middle, *net.up):
            block.norm1 = block.norm2 = torch.nn.Identity()  # group norms look at the whole image, too
        net.end[0] = torch.nn.Identity()
        if attention:
            torch.nn.init.normal_(net.attention.out.weight)
        x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
        net(x, 0.5)[0, 0, 0, 0].backward()
        far.append((x.grad[0, 0, -1, -1] != 0).item())
    assert far == [False, True]


def test_bad_input():
    net = UNet(1, 8, (1, 2, 2))
    with pytest.raises(ValueError, match="multiples of 4"):
        net(torch.rand(2, 1, 6, 8), 0.1)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        net(torch.rand(2, 3, 8, 8), 0.1)
    with pytest.raises(ValueError, match="one per row"):
        net(torch.rand(2, 1, 8, 8), torch.ones(3))


@pytest.mark.parametrize("step", [0.37, 1.0, -1, torch.tensor([3.0, 2.5])])
def test_a_net_that_is_told_steps_takes_no_sigma(step):
    net = UNet(1, 8, told="step")
    with pytest.raises(ValueError, match=r"DDPM's step .* wrap it in EpsScore\(net, alphas_bar\)"):
        net(torch.rand(2, 1, 8, 8), step)
    for right in (0, 999, torch.tensor([3, 2]), torch.tensor(7)):
        assert net(torch.rand(2, 1, 8, 8), right).shape == (2, 1, 8, 8)


def test_a_net_that_is_told_sigma_takes_no_steps():
    """DDPM's sampler gives steps as integers; a net for sigma would read t = 500 as a noise level."""
    net, kept = UNet(1, 8), alphas_bar_of(ddpm_betas(10))
    with pytest.raises(ValueError, match=r"told sigma, and gets whole numbers.*ScoreNoise"):
        list(ddpm(net, torch.rand(2, 1, 8, 8), kept))
    list(ddpm(ScoreNoise(EpsScore(net), kept), torch.rand(2, 1, 8, 8), kept))
    assert net(torch.rand(2, 1, 8, 8), 1).shape == (2, 1, 8, 8)  # a sigma of 1, as people write it
