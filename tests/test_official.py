"""The nets against the published ones: their names, their shapes, and scores that the official code computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ncsn_edu import NCSN, NCSNv2, geometric, load_official
from ncsn_edu.checkpoints import CheckpointDamaged
from ncsn_edu.nets import norm, refinenet

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = ["ncsn_rgb32", "ncsn_gray28", "ncsnv2_rgb32"]
LADDER = geometric(1.0, 0.01, 10)


def golden(name: str):
    """State dict, input, level and score, as the official code left them."""
    with np.load(FIXTURES / f"official_{name}.npz") as file:
        state = {key: torch.as_tensor(file[key]) for key in file.files}
    return state, *(state.pop(key) for key in ("__x", "__level", "__score"))


def difference(name: str) -> float:
    """Relative difference between our score and the official one, with the official weights."""
    state, x, level, score = golden(name)
    net = load_official(state, x.shape[-1])
    with torch.no_grad():
        return ((net(x, net.sigmas[level]) - score).norm() / score.norm()).item()


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_are_the_official_ones(name):
    assert difference(name) < 1e-5


def full_size(name: str, width: int) -> dict[str, torch.Tensor]:
    """A state dict with the names of a golden one, whose width is 4, in the shapes of the published width."""
    state = {}
    for key, value in golden(name)[0].items():
        shape = [n * width // 4 if n % 4 == 0 else n for n in value.shape]  # channels, kernels and levels stay
        state[key] = torch.rand(shape)
    return state | ({"module.sigmas": geometric(50, 0.01, 232)} if "module.sigmas" in state else {})


@pytest.mark.parametrize(
    ("name", "kind", "channels", "width", "parameters"),
    [
        ("ncsn_rgb32", NCSN, 3, 128, 30_117_635),
        ("ncsn_gray28", NCSN, 1, 64, 7_638_657),
        ("ncsnv2_rgb32", NCSNv2, 3, 128, 29_694_083),
    ],
)
def test_checkpoints_of_the_published_size_load(name, kind, channels, width, parameters):
    net = load_official(full_size(name, width))
    assert type(net) is kind and (net.channels, net.width) == (channels, width)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert len(net.sigmas) == (232 if kind is NCSNv2 else 10)


def test_every_way_a_checkpoint_is_published(tmp_path):
    state, x, level, score = golden("ncsn_gray28")
    path = tmp_path / "checkpoint.pth"
    torch.save([state, {"an": "optimiser"}], path)
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    for source in (path, str(path), [state, {}], [bare, {}, 7], bare, {k: v.numpy() for k, v in bare.items()}):
        net = load_official(source, 28)
        assert torch.allclose(net(x, net.sigmas[level]), score, atol=1e-4) and not net.training
        assert net.image_size == 28


# ---- each detail is seen by the comparison ----------------------------------------------------------------------


def alpha_outside_gamma(x, gamma, alpha, beta):
    mu = x.mean((2, 3))
    m = (mu - mu.mean(1, keepdim=True)) / (mu.var(1, keepdim=True) + norm.EPS).sqrt()
    h = F.instance_norm(x, eps=norm.EPS)
    return (gamma[..., None, None] * h) + (alpha * m + beta)[..., None, None]


def biased_variance(x, gamma, alpha, beta):
    mu = x.mean((2, 3))
    m = (mu - mu.mean(1, keepdim=True)) / (mu.var(1, keepdim=True, unbiased=False) + norm.EPS).sqrt()
    return (gamma * alpha * m + beta)[..., None, None] + gamma[..., None, None] * F.instance_norm(x, eps=norm.EPS)


def plain_instance_norm(x, gamma, alpha, beta):
    return beta[..., None, None] + gamma[..., None, None] * F.instance_norm(x, eps=norm.EPS)


def norm_after_the_convolution(self, x, level, *, activate=False):
    h = self.conv(F.elu(x) if activate else x)
    return self.norm(h, level) if h.shape[1] == x.shape[1] else h


def pool_before_the_norm(self, x, level):
    x = path = F.elu(x)
    for norm_, conv in zip(self.norms, self.convs, strict=True):
        path = conv(norm_(self.pool(path), level))
        x = x + path
    return x


interpolate = F.interpolate
MUTATIONS = {
    "alpha outside gamma": (norm, "instance_norm_plus", alpha_outside_gamma),
    "biased variance": (norm, "instance_norm_plus", biased_variance),
    "channel means forgotten": (norm, "instance_norm_plus", plain_instance_norm),
    "norm after convolution": (refinenet.NormConv, "forward", norm_after_the_convolution),
    "pooling before norm": (refinenet.ChainedPooling, "forward", pool_before_the_norm),
    "max for average pooling": (refinenet.MeanPool, "forward", lambda self, x: F.max_pool2d(x, 5, 1, 2)),
    "edges not counted": (
        refinenet.MeanPool,
        "forward",
        lambda self, x: F.avg_pool2d(x, 5, 1, 2, count_include_pad=False),
    ),
    "corners not aligned": (F, "interpolate", lambda x, size, mode, align_corners: interpolate(x, size, mode=mode)),
    "nearest neighbour": (F, "interpolate", lambda x, size, mode, align_corners: interpolate(x, size)),
    "ReLU": (F, "elu", F.relu),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("name", ["ncsn_rgb32", "ncsn_gray28"])
def test_the_comparison_sees_every_detail(name, mutation, monkeypatch):
    monkeypatch.setattr(*MUTATIONS[mutation])
    assert difference(name) > 1e-3


@pytest.mark.parametrize("name", ["ncsn_rgb32", "ncsn_gray28"])
@pytest.mark.parametrize(("dilation", "mode"), [(1, "circular"), (2, "reflect"), (4, "replicate")])
def test_the_comparison_sees_padding(name, dilation, mode, monkeypatch):
    build = refinenet.conv3x3

    def other(before, after, **options):
        conv = build(before, after, **options)
        if options.get("dilation", 1) != dilation:
            return conv
        options["padding"], options["padding_mode"] = dilation, mode
        return nn.Conv2d(before, after, 3, **options)

    monkeypatch.setattr(refinenet, "conv3x3", other)
    assert difference(name) > 1e-3


# ---- any width, any even size, bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (16, 24), (6, 10)])
@pytest.mark.parametrize("kind", [NCSN, NCSNv2])
def test_any_width_and_any_even_size(kind, height, width):
    net = kind(2, 5, LADDER).double()
    x = torch.rand(3, 2, height, width, dtype=torch.float64)
    sigmas = LADDER[[0, 4, 9]]
    together = net(x, sigmas)
    assert together.shape == x.shape
    alone = torch.cat([net(row[None], sigma.item()) for row, sigma in zip(x, sigmas, strict=True)])
    torch.testing.assert_close(together, alone)
    together.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", ["ncsn_rgb32", "ncsn_gray28", "ncsnv2_rgb32"])
def test_the_form_for_accelerators_gives_the_golden_scores_too(name, monkeypatch):
    monkeypatch.setattr(norm, "GROUPS_ON", ())
    monkeypatch.setattr(F, "group_norm", lambda *_: pytest.fail("group norm was used"))
    assert difference(name) < 2e-5


def test_the_form_for_accelerators_has_the_same_gradients_and_keeps_type_and_layout(monkeypatch):
    torch.manual_seed(0)
    x, level = torch.randn(3, 4, 6, 8, dtype=torch.float64) + 2, torch.tensor([0, 2, 2])
    layer, found = norm.CondInstanceNormPlus(4, 3).double(), []
    for devices in (("cpu",), ()):
        monkeypatch.setattr(norm, "GROUPS_ON", devices)
        y = x.clone().requires_grad_()
        out = layer(y, level)
        gradients = torch.autograd.grad(out.square().sum(), [y, *layer.parameters()])
        found.append([out, *gradients])
    torch.testing.assert_close(found[0], found[1])
    narrow = x.bfloat16().contiguous(memory_format=torch.channels_last)
    out = layer.float()(narrow, level)
    assert out.dtype == torch.bfloat16 and out.stride() == narrow.stride()
    assert (out.double() - found[0][0]).abs().max() < 0.05


@pytest.mark.parametrize("kind", [NCSN, NCSNv2])
def test_channels_last_on_a_processor_gives_the_same_scores_without_a_copy(kind, monkeypatch):
    torch.manual_seed(0)
    net, x = kind(3, 4, LADDER).double(), torch.rand(2, 3, 8, 6, dtype=torch.float64)
    usual = net(x, LADDER[[1, 7]])
    monkeypatch.setattr(F, "group_norm", lambda *_: pytest.fail("group norm was used"))
    last = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last), LADDER[[1, 7]])
    torch.testing.assert_close(last, usual)


def test_a_compiler_gets_the_form_of_which_it_makes_one_pass():
    graphs, layer, x = [], norm.InstanceNormPlus(4), torch.randn(2, 4, 6, 6)
    compiled = torch.compile(layer, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    torch.testing.assert_close(compiled(x), layer(x), rtol=1e-5, atol=1e-5)
    (graph,) = graphs
    assert graph.code.count("torch.addcmul(") == 1 and "group_norm" not in graph.code


def test_the_means_of_the_channels_survive_the_norm():
    """Plain instance norm maps an image and a brighter one to the same numbers; this one does not."""
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    x = x - x.mean((2, 3), keepdim=True)  # a grey image: no channel stands out
    tinted = x + torch.tensor([0.3, 0.0, -0.2]).view(1, 3, 1, 1)
    plus = norm.InstanceNormPlus(3).double()
    assert torch.allclose(F.instance_norm(x), F.instance_norm(tinted))
    change = (plus(tinted) - plus(x)).mean((0, 2, 3))
    assert change.tolist() == pytest.approx([1.06, -0.13, -0.93], abs=0.15)  # (mu - mean) / std of (0.3, 0, -0.2)


def test_sigma_is_found_on_the_ladder():
    net = NCSN(1, 2, LADDER)
    assert net.level(LADDER).tolist() == list(range(10))
    assert net.level(LADDER[3].item()).tolist() == [3]
    assert net.level(LADDER.double() * 1.004).tolist() == list(range(10))


X = torch.rand(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NCSN(1, 2, LADDER)(X, 0.3), "knows 10 noise levels, and 0.3 is none of them: 1, 0.5995"),
        (lambda: NCSN(1, 2, LADDER)(X, torch.tensor([1.0, 0.02])), "0.02 is none"),
        (lambda: NCSN(1, 2, LADDER)(X, 0.0), "0 is none"),
        (lambda: NCSN(1, 2, LADDER)(X, -1.0), "-1 is none"),
        (lambda: NCSN(3, 2, LADDER)(X, 1.0), r"shape \(B, 3, H, W\)"),
        (lambda: NCSNv2(1, 2, LADDER)(X[:, :, 1:], 1.0), "even H and W"),
        (lambda: NCSN(1, 0, LADDER), "width must be a whole number"),
        (lambda: NCSN(1, 2, LADDER.flip(0)), "strictly decreasing"),
        (lambda: load_official({"weight": X}), "no published NCSN or NCSNv2 checkpoint"),
        (lambda: load_official({}), "there are none"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_pickle_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit('code was run')",)

    torch.save([Evil()], tmp_path / "evil.pth")
    with pytest.raises(CheckpointDamaged, match="perhaps code"):
        load_official(tmp_path / "evil.pth")


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 2, 28, 28), (2, 1, 4, 10), (2, 1, 10, 16), (1, 1, 2, 2)])
def test_pooling_by_products_is_average_pooling(shape):
    x = torch.rand(shape, dtype=torch.float64)
    torch.testing.assert_close(refinenet.MeanPool()(x), nn.AvgPool2d(5, stride=1, padding=2)(x))


@pytest.mark.parametrize("size", [1, 3])
def test_convolution_and_mean_in_one_is_both_after_each_other(size):
    layer, x = refinenet.ConvMeanPool(2, 3, size).double(), torch.rand(2, 2, 6, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), F.avg_pool2d(layer.conv(x), 2))


def test_pooling_in_bfloat16_is_exact_but_for_the_last_rounding():
    x = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = nn.AvgPool2d(5, stride=1, padding=2)(x.double())
    for pooled in (refinenet.MeanPool()(x), _under_autocast(refinenet.MeanPool(), x.float())):
        assert ((pooled.double() - exact).abs() <= exact.abs() * 2**-8).all()  # bfloat16 has 8 bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_on_meta_has_a_shape_and_no_numbers(dtype):
    x = torch.empty(2, 3, 12, 10, dtype=dtype, device="meta")
    assert refinenet.MeanPool()(x).shape == x.shape and refinenet.MeanPool()(x).dtype == dtype


def _under_autocast(layer, x):
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x)
