"""Guidance without a classifier is the sum of scores that it says."""

import pytest
import torch

from ncsn_edu import GaussianMixture, Guided, UNet

CLASSES = [GaussianMixture([[-3.0, 0.0]], 1.0), GaussianMixture([[2.0, 1.0]], 0.5)]
BOTH = GaussianMixture([[-3.0, 0.0], [2.0, 1.0]], [1.0, 0.5], [0.4, 0.6])


def net(x, sigma, label):
    """A net that has learned both scores of two classes to perfection."""
    return torch.stack(
        [
            (CLASSES[c] if c >= 0 else BOTH)(row[None], s)[0]
            for row, c, s in zip(x, label.tolist(), torch.as_tensor(sigma).expand(len(x)), strict=True)
        ]
    )


@pytest.mark.parametrize(("scale", "sigma"), [(0.0, 0.5), (1.0, 0.5), (2.5, 0.1), (2.5, torch.tensor([0.1, 0.9, 2]))])
def test_guidance_climbs_the_probability_of_the_class(scale, sigma):
    """s(x | c) - s(x) is the gradient of log p(c | x), here by automatic differentiation of Bayes' rule."""
    x, label = torch.randn(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])
    y = x.clone().requires_grad_()
    sigmas = torch.as_tensor(sigma, dtype=torch.float64).expand(3)
    logs = [torch.stack([m.log_prob(r[None], s)[0] for r, s in zip(y, sigmas, strict=True)]) for m in CLASSES]
    joint = torch.stack([logs[0] + torch.tensor(0.4).log(), logs[1] + torch.tensor(0.6).log()], 1)
    of_class = joint.log_softmax(1).gather(1, label[:, None])[:, 0]
    gradient = torch.autograd.grad((joint.logsumexp(1) + scale * of_class).sum(), y)[0]
    torch.testing.assert_close(Guided(net, label, scale)(x, sigma).double(), gradient, rtol=1e-5, atol=1e-6)


def test_one_class_serves_all_rows_and_a_wrong_number_of_classes_is_told():
    torch.manual_seed(0)
    unet = UNet(1, 8, n_classes=3)
    torch.nn.init.normal_(unet.end[2].weight)
    x = torch.rand(4, 1, 8, 8)
    one = Guided(unet, 2, 3.0)(x, 0.3)
    torch.testing.assert_close(one, Guided(unet, torch.tensor([2, 2, 2, 2]), 3.0)(x, 0.3))
    assert not torch.allclose(one, Guided(unet, 1, 3.0)(x, 0.3))
    with pytest.raises(ValueError, match="0 to 2"):
        Guided(unet, 3)(x, 0.3)
    with pytest.raises(ValueError, match="made without classes"):
        Guided(UNet(1, 8), 0)(x, 0.3)
