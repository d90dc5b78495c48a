"""The small U-Net is a Score of images, at any sigma, and can learn one that is known."""

import pytest
import torch
import torch.nn.functional as F

from ncsn_edu import Empirical, UNet, geometric
from ncsn_edu.nets.unet import Attention, loss_weight
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


def test_preconditioned_the_first_score_is_that_of_a_gaussian_as_wide_as_images_can_be():
    torch.manual_seed(0)
    x, sigmas = 3 * torch.rand(3, 3, 8, 8) - 1, torch.tensor([20.0, 0.5, 0.01])
    net = UNet(3, 8, preconditioned=True)
    for row, sigma in zip(x, sigmas, strict=True):
        row = row.clone().requires_grad_()
        torch.distributions.Normal(0.5, (0.25 + sigma**2).sqrt()).log_prob(row).sum().backward()
        torch.testing.assert_close(net(row[None], sigma.item())[0], row.grad)


@pytest.mark.parametrize("sigma", [20.0, 0.5, 0.01])
def test_the_weighted_loss_is_the_distance_of_the_layers_from_their_best(sigma):
    """Karras et al. 2022, eq. 7 and 8: D(x) = c_skip x + c_out F(c_in x), for data of width 1/2 around 0."""
    torch.manual_seed(0)
    net = UNet(1, 8, preconditioned=True).double()
    torch.nn.init.normal_(net.end[2].weight)
    clean, z = torch.rand(2, 4, 1, 8, 8, dtype=torch.float64)
    noisy, width = clean + sigma * z, 0.5
    c_skip = width**2 / (sigma**2 + width**2)
    c_out = sigma * width / (sigma**2 + width**2) ** 0.5
    c_in = 1 / (sigma**2 + width**2) ** 0.5
    seen, made = [], []
    net.begin.register_forward_hook(lambda layer, given, out: seen.append(given[0]))
    net.end.register_forward_hook(lambda layer, given, out: made.append(out))
    score = net(noisy, sigma)
    torch.testing.assert_close(seen[0], c_in * (noisy - 0.5))
    torch.testing.assert_close(noisy + sigma**2 * score - 0.5, c_skip * (noisy - 0.5) + c_out * made[0])
    best = (clean - 0.5 - c_skip * (noisy - 0.5)) / c_out
    loss = (sigma * score + z).square().flatten(1).sum(1) / 2
    torch.testing.assert_close(
        loss_weight(torch.tensor(sigma)) * loss, (made[0] - best).square().flatten(1).sum(1) / 2, rtol=1e-5, atol=0
    )


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


@pytest.mark.parametrize("std", [0.25, 0.1])
def test_preconditioned_for_narrower_data_the_first_score_is_that_of_such_a_gaussian(std):
    torch.manual_seed(0)
    x, sigmas = torch.rand(3, 3, 8, 8), torch.tensor([20.0, 0.5, 0.01])
    net = UNet(3, 8, preconditioned=True, data_std=std)
    expected = -(x - 0.5) / (std**2 + sigmas.view(-1, 1, 1, 1) ** 2)  # of N(1/2, std^2 + sigma^2)
    torch.testing.assert_close(net(x, sigmas), expected)


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
