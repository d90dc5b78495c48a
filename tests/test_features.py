"""Feature nets say who they are, take images in [0, 1] only, and name what can be used where they cannot."""

import sys
import types

import pytest
import torch
from torch import nn

from ncsn_edu.datasets import load
from ncsn_edu.features import FeatureNet, FeatureUnavailable, classifier_net, extract, inception_net
from ncsn_edu.metrics import INCEPTION, frechet
from ncsn_edu.nets.classifier import ResNet
from ncsn_edu.trained import load_judge, shipped_judges

IMAGES = load("digits")[0]
MEANS = FeatureNet("means", lambda x: (x.mean((2, 3)), x.flatten(1)[:, :4]))


def test_photographs_are_judged_as_their_mirror_images_are():
    """Half by the one and half by the other, once the net is trained; in training each for itself."""
    torch.manual_seed(0)
    net, x = ResNet(3, 16, width=4), torch.rand(5, 3, 16, 16)
    for norm in net.modules():
        norm.train(not isinstance(norm, nn.BatchNorm2d))
    with torch.no_grad():
        one, other = net.features(x), net.features(x.flip(-1))
        assert not torch.allclose(one, other, atol=1e-4)
        net.eval()
        torch.testing.assert_close(net.features(x), (one + other) / 2)
        torch.testing.assert_close(net(x), net(x.flip(-1)))
        assert not torch.allclose(net(x), net(x.flip(-2)), atol=1e-4)  # upside down is another photograph


@pytest.mark.parametrize("data", shipped_judges())
def test_a_classifier_lends_its_last_layer(data):
    net, shape = load_judge(data), {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}[data]
    x = torch.rand(7, *shape)
    found = extract(x, classifier_net(data), batch_size=3)
    assert found.net == f"the {data} classifier"
    torch.testing.assert_close(found.probabilities, net(x).softmax(1).double(), atol=1e-5, rtol=1e-4)
    assert found.values.shape == (7, net.features(x).shape[1]) and found.values.dtype == torch.float64


def test_bytes_are_the_same_as_floats():
    assert torch.equal(extract(IMAGES, MEANS).values, extract(IMAGES.float() / 255, MEANS).values)


def test_real_against_real_is_small_and_against_noise_is_large():
    net, held_out = classifier_net("digits"), load("digits", split="test")[0]
    real, others = extract(IMAGES, net), extract(held_out, net)
    noise = extract(torch.rand(898, 1, 8, 8, generator=torch.Generator().manual_seed(0)), net)
    assert 20 * frechet(real, others, n_bootstrap=2).value < frechet(noise, others, n_bootstrap=2).value


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(4, 1, 8, 8) + 0.5, r"takes images in \[0, 1\], and these lie in .*: pass images.clamp\(0, 1\)"),
        (255 * torch.rand(4, 1, 8, 8), "pass images / 255"),
        (torch.linspace(-1, 1, 256).view(4, 1, 8, 8), r"pass \(images \+ 1\) / 2"),
        (torch.full((4, 1, 8, 8), torch.nan), "NaN or infinite"),
        (torch.rand(4, 64), r"of shape \(n, C, H, W\), not torch.float32 of shape \(4, 64\)"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.int64), "must be uint8 or float"),
    ],
)
def test_images_in_another_range_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        extract(images, MEANS)


def test_without_the_library_it_says_what_can_be_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(
        FeatureUnavailable, match=r"pip install torch-fidelity torchvision.*classifier_net\('cifar10'\)"
    ):
        inception_net()


def a_library(monkeypatch, make):
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = make
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_without_the_internet_it_says_what_can_be_measured(monkeypatch):
    def fail(*_):
        raise OSError("Name or service not known")

    a_library(monkeypatch, fail)
    with pytest.raises(FeatureUnavailable, match="could not be downloaded .*service not known.*classifier_net"):
        inception_net()


def test_inception_is_given_bytes_of_three_channels(monkeypatch):
    """As torch-fidelity wants them; the library itself is not here, so that this tests our side of it only."""

    class Stub(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert (name, features) == ("inception-v3-compat", ["2048", "logits_unbiased"])

        def forward(self, x):
            assert x.dtype == torch.uint8 and x.shape[1] == 3
            return x.flatten(1)[:, :5].float(), x.flatten(1)[:, :3].float()

    a_library(monkeypatch, Stub)
    found = extract(IMAGES[:4], inception_net())
    assert found.net == INCEPTION
    assert torch.equal(found.values, IMAGES[:4].flatten(1)[:, :5].double())
