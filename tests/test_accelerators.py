"""The package on an accelerator, pretended: nothing is mixed, nothing waits unseen, and Apple's limits are kept.

What the device computes is what the CPU does; `as Apple's` it refuses float64 and whole random int64.
"""

import io
import math
from itertools import islice, repeat

import numpy
import pytest
import torch
from helpers import seeded
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pretended import KIND, RANDOM
from torch import nn

from ncsn_edu import (
    NCSN,
    Conditioned,
    Denoising,
    GaussianMixture,
    LinearGuide,
    NoiseConditionalMLP,
    Rotated,
    annealed_langevin,
    checkerboard,
    completed,
    ddim,
    denoise,
    dsm,
    dsm_floor,
    geometric,
    implicit,
    langevin,
    last,
    mala,
    sliced,
)
from ncsn_edu import metrics as m
from ncsn_edu.__main__ import main
from ncsn_edu.adapters import Accelerated
from ncsn_edu.checkpoints import Folder
from ncsn_edu.datasets import DATASETS, load
from ncsn_edu.distributions import Empirical, UniformBoxes
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.recipes import RECIPES, changed, to_json
from ncsn_edu.runs import run
from ncsn_edu.sampling import SAMPLERS, completion, guided, plan
from ncsn_edu.schedules import eps_for_steps, stable_eps, stationary_variance, step_sizes, variance_ratio
from ncsn_edu.trained import load_any, load_judge, load_net, load_trained, save_weights
from ncsn_edu.training import train
from ncsn_edu.widgets import (
    InpaintingExplorer,
    LatentExplorer,
    NoiseLevelExplorer,
    ResamplingExplorer,
    SamplingExplorer,
)

IMAGES, LABELS = load("digits")
MIXTURE = GaussianMixture([[0.0, 0.0], [2.0, 1.0]], torch.tensor([[[1.0, 0.3], [0.3, 0.5]], [[0.2, 0.0], [0.0, 0.4]]]))
LADDER = geometric(1, 0.1, 4)


# ---- the device itself ---------------------------------------------------------------------------------------------


def on(x: torch.Tensor) -> torch.Tensor:
    return x.to(KIND)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, y: x + y,
        lambda x, y: y.add_(x),
        lambda x, y: torch.cat([x, y]),
        lambda x, y: torch.stack([x[0], torch.tensor(1.0)]),
        lambda x, y: torch.where(x > 0, x, y),
        lambda x, y: y[(x > 0).long()],
        lambda x, y: y * x[0],
        lambda x, y: torch.tensor(1.0).add_(x[0]),
        lambda x, y: nn.Linear(3, 1)(x),
        lambda x, y: torch.nn.functional.embedding(torch.tensor([0]), x[:, None]),
    ],
)
def test_tensors_of_two_devices_are_not_mixed(mix, far):
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mix(on(torch.ones(3)), torch.ones(3))


def test_what_may_come_from_the_cpu(far):
    x = on(torch.arange(3.0))
    assert (x + torch.tensor(1.0)).tolist() == torch.where(x > 5, 0.0, x + 1).tolist() == [1, 2, 3]
    assert x[torch.tensor([2, 0])].tolist() == [2, 0] and x.clone().copy_(torch.ones(3)).tolist() == [1, 1, 1]
    assert x.device == torch.zeros(2, device=KIND).device == torch.empty_like(x).device == x.new_ones(2).device


@pytest.mark.parametrize(
    ("look", "waits"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: bool(x.any()), 1),
        (lambda x: float(x[0]) + int(x[1]), 2),
        (lambda x: f"{x.sum():.3g}", 1),
        (lambda x: x.cpu(), 1),
        (lambda x: torch.zeros(3).copy_(x), 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x[torch.tensor([0])], 1),
        (lambda x: torch.equal(x, x), 1),
        (lambda x: torch.tensor([1.0, 2.0], device=KIND), 1),
        (lambda x: x.mean() * x.std().sqrt(), 0),
        (lambda x: torch.full((), 0.3, device=KIND) + x, 0),
        (lambda x: x.to(torch.float16).to(KIND), 0),
        (lambda x: x[x.argsort()], 0),
    ],
)
def test_waits_are_counted(look, waits, far):
    x = on(torch.arange(3.0))
    far.waits.clear()
    look(x)
    assert far.waits.total() == waits


def test_generators_draw_where_they_live(far):
    near, there = seeded(), seeded(device=KIND)
    assert near.device.type == "cpu" and there.device.type == KIND
    assert torch.rand(3, generator=there, device=KIND).tolist() == torch.rand(3, generator=near).tolist()
    for generator, device in ((near, KIND), (there, "cpu")):
        with pytest.raises(RuntimeError, match=f"Expected a '{device}' device type for generator"):
            torch.rand(3, generator=generator, device=device)
    before = torch.get_rng_state()
    assert torch.rand(3, device=KIND).tolist() != torch.rand(3, device=KIND).tolist()
    assert torch.equal(torch.get_rng_state(), before)  # the random state is its own


def test_what_apple_s_has_not(far):
    words = torch.empty(3, dtype=torch.int64, device=KIND)
    if not far.as_mps:
        assert on(torch.ones(3)).double().dtype == torch.float64 and words.random_(-(2**63), None).shape == (3,)
        return
    for make in (lambda: on(torch.ones(3)).double(), lambda: on(torch.ones(3, dtype=torch.float64))):
        with pytest.raises(TypeError, match="doesn't support float64"):
            make()
    with pytest.raises(RuntimeError, match="does not handle the lowest"):
        words.random_(-(2**63), None)
    assert torch.ones(3, dtype=torch.float64).to(KIND, torch.float32).device.type == KIND
    assert torch.randint(5, (3,), device=KIND).dtype == torch.randperm(3, device=KIND).dtype == torch.int64


def test_gradients_and_files(far):
    net = on(nn.Linear(2, 1))
    net(on(torch.ones(3, 2))).sum().backward()
    assert net.weight.grad.device.type == KIND and net.weight.grad.tolist() == [[3, 3]]
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    back = torch.load(file, map_location="cpu", weights_only=True)
    assert torch.equal(back["weight"], net.weight.detach().cpu()) and type(back["weight"]) is torch.Tensor


# ---- training ------------------------------------------------------------------------------------------------------


def on_images(name: str, **settings):
    """A training of the smoke scale on the device, on random images in the shape that it is made for."""
    recipe = changed(RECIPES[name]["smoke"], n_steps=20, bf16=False, **settings)  # autocast is none of its
    images = torch.randint(256, (64, *DATASETS[recipe.data].shape), dtype=torch.uint8)
    return recipe.training(images, torch.randint(10, (64,)), device=KIND)


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_never_waits_for_the_device(name, far):
    states = on_images(name)
    next(states)  # which brings the ladder there
    far.waits.clear()
    for state in islice(states, 3):
        assert state.losses.device.type == KIND
    assert not far.waits
    assert state.loss > -1e9 and far.waits.total() == 1  # here


def test_losses_are_looked_at_once_in_fifty_steps_and_a_bad_one_is_named(far):
    def objective(net, x):
        step[0] += 1
        return dsm(net, x, 0.5) + (torch.nan if step[0] == 60 else 0.0)

    step, net = [0], on(NoiseConditionalMLP(2, [4]))
    states = train(net, repeat(on(torch.ones(8, 2))), objective=objective, n_steps=200)
    far.waits.clear()
    for _ in islice(states, 99):
        pass
    assert far.waits.total() == 1
    with pytest.raises(FloatingPointError, match="the loss is nan at step 60: training stops, and it has reached"):
        next(states)


def test_a_run_waits_where_it_logs_and_resumes_exactly(far, tmp_path):
    recipe = changed(RECIPES["digits_unet"]["smoke"], n_steps=6)
    options = {"device": KIND, "log_every": 3, "save_every": 3}
    waits, losses = [], []
    for state in run(recipe, IMAGES, tmp_path / "whole", **options):
        waits.append(far.waits.total())
        losses.append(state.losses)
        far.waits.clear()
    assert [bool(each) for each in waits[1:]] == [False, True, False, False, True]
    for state in run(recipe, IMAGES, tmp_path / "stopped", **options):
        if state.step == 3:
            break
    resumed = list(run(recipe, IMAGES, tmp_path / "stopped", resume=True, **options))
    assert [state.losses.tolist() for state in resumed] == [each.tolist() for each in losses[3:]]
    assert load_trained(tmp_path / "stopped").score(torch.rand(1, 1, 8, 8), 0.1).device.type == "cpu"


def test_dropout_resumes_exactly_and_leaves_the_random_states_alone(far):
    def start():
        torch.manual_seed(0)
        net = on(nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5), nn.Linear(16, 2)))
        objective = Denoising(LADDER, generator=seeded(1, KIND))
        model = type("Net", (nn.Module,), {"forward": lambda self, x, sigma: self.net(x)})()
        model.net = net
        return train(model, repeat(on(torch.ones(64, 2))), objective=objective, n_steps=6)

    expected = [state.loss for state in start()]
    stopped, resumed = start(), start()
    losses = [next(stopped).loss for _ in range(3)]
    resumed.load_state_dict(stopped.state_dict())
    RANDOM.manual_seed(9)
    before = torch.get_rng_state(), RANDOM.get_state()
    assert losses + [state.loss for state in resumed] == expected
    assert all(map(torch.equal, before, (torch.get_rng_state(), RANDOM.get_state())))


def test_weights_of_a_training_on_a_device_are_those_of_its_checkpoint(far, tmp_path):
    recipe = changed(RECIPES["digits"]["smoke"], n_steps=2)
    training = recipe.training(IMAGES, None, device=KIND)
    for _ in training:
        pass
    content = {**training.state_dict(), "recipe": to_json(recipe)}
    far.waits.clear()
    direct = save_weights(tmp_path / "direct.safetensors", content)
    assert far.waits["_to_copy"] == len(content["ema"]) == far.waits.total()  # each of them comes once
    folder = Folder(tmp_path)
    folder.save(content, loss=1.0)
    later = save_weights(tmp_path / "later.safetensors", folder.latest())
    states = [load_net(path)[0].state_dict() for path in (direct, later)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


# ---- sampling ------------------------------------------------------------------------------------------------------


def points(name: str, device: str, n_levels: int = 6):
    """The States of a sampler of the table, from 16 points to the mixture."""
    row, sigmas = SAMPLERS[name], geometric(1, 0.1, n_levels)
    options = {"n_steps_each": 3, "eps": 0.01} if row.stays else {}
    drawn = {"generator": seeded(1, device)} if row.random else {}
    x = torch.randn(16, 2, generator=seeded(0, device), device=device)
    return row.function(MIXTURE, x, sigmas.to(device), **drawn, **options)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_on_the_device_what_they_draw_on_the_cpu(name, far):
    torch.testing.assert_close(last(points(name, KIND)).cpu(), last(points(name, "cpu")))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("n_levels", [5, 40, 60])
def test_samplers_wait_once_in_fifty_evaluations_and_at_their_end(name, n_levels, far):
    last(points(name, KIND))  # the mixture moves there once
    states = points(name, KIND, n_levels)
    far.waits.clear()
    row, n = SAMPLERS[name], sum(1 for _ in states)
    evaluations = n * row.asks
    assert n == (3 * n_levels if row.stays else n_levels - 1)
    assert far.waits == {"_local_scalar_dense": math.ceil(evaluations / 50)}


def test_langevin_and_a_denoising_step_wait_as_seldom(far):
    x = on(torch.zeros(3, 2))
    denoise(MIXTURE, x, 0.5)
    states = langevin(MIXTURE, x, alpha=0.1, n_steps=101)
    far.waits.clear()
    last(states)
    assert far.waits.total() == 3
    denoise(MIXTURE, x, 0.5)
    assert far.waits.total() == 4


def test_mala_waits_once_in_twenty_five_steps_for_each_of_which_it_looks_twice(far):
    x = on(torch.zeros(3, 2))
    MIXTURE(x)
    states = mala(MIXTURE.log_prob_and_score, x, alpha=0.1, n_steps=49)
    far.waits.clear()
    last(states)
    assert far.waits.total() == 2  # its first point is looked at, too


@pytest.mark.parametrize("bad", [3, 40])
def test_mala_names_the_step_at_which_log_prob_was_none(bad, far):
    asked = []

    def both(x):
        asked.append(x)
        return -x.square().sum(1) / 2 + (torch.nan if len(asked) > bad else 0.0), -x

    with pytest.raises(FloatingPointError, match=rf"log_prob is NaN or \+inf at step {bad - 1};"):
        last(mala(both, on(torch.zeros(3, 2)), alpha=0.1, n_steps=45))


def test_a_score_that_is_not_finite_is_named_where_it_was(far):
    asked = []

    def score(x, sigma):
        asked.append(sigma)
        return -x / sigma**2 + (torch.nan if len(asked) >= 7 else 0.0)

    with pytest.raises(FloatingPointError, match=r"NaN or infinite at level 2 \(sigma 0.3981\), step 0"):
        last(annealed_langevin(score, on(torch.ones(3, 2)), geometric(1, 0.1, 6), n_steps_each=3))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("weights", ["digits", "cifar10_small"])
def test_nets_are_sampled_there(name, weights, far):
    net, row = load_trained(weights, device=KIND), SAMPLERS[name]
    any_sigma = net.recipe.network.any_sigma
    settings = {"n_steps_each": 1} if row.stays else {"n_levels": 20} if any_sigma else {}
    plans = plan(net, name, generator=seeded(0, KIND), **settings)
    far.waits.clear()
    images = list(plans.states(1))
    assert len(images) == plans.evaluations and images[-1].device.type == KIND
    assert far.waits == {"_local_scalar_dense": 1 if row.stays else 2}  # the denoising step is one of its own


def test_a_net_that_is_not_to_be_faster_needs_no_autocast(far):
    score = load_trained("digits", device=KIND).score
    x = torch.rand(2, 1, 8, 8, device=KIND)
    assert torch.equal(Accelerated(score)(x, 1.0), score(x, 1.0))


@pytest.mark.parametrize("name", ["ddpm_digits", "digits_classes"])
def test_a_class_is_asked_for_there(name, far):
    net = guided(load_trained(name, device=KIND), 4, 2.0)
    plans = plan(net, "flow", generator=seeded(0, KIND), n_levels=5)
    far.waits.clear()
    images = list(plans.states(3))
    assert images[-1].device.type == KIND and far.waits == {"_local_scalar_dense": 2}


def test_linear_conditions_wait_once_or_for_their_matrices(far):
    a, y = torch.tensor([[1.0, -0.5]]), torch.tensor([0.3])
    x, sigmas = on(torch.randn(4, 2, generator=seeded())), geometric(5, 0.1, 4)
    for covariance, copies in (("isotropic", 0), ("matched", 3 * 3)):  # each of three steps: one matrix comes, two go
        score = Conditioned(MIXTURE, LinearGuide(MIXTURE, a, y, noise=0.1, covariance=covariance))
        expected = last(ddim(score, x.cpu(), sigmas))
        last(ddim(score, x, sigmas))  # all moves there once
        far.waits.clear()
        found = last(ddim(score, x, sigmas))
        assert far.waits["_local_scalar_dense"] == 1 and far.waits["_to_copy"] == copies
        torch.testing.assert_close(found.cpu(), expected)
    turned = Rotated(MIXTURE, completed(a))
    torch.testing.assert_close(turned(x, 0.3).cpu(), turned(x.cpu(), 0.3))


def test_inpainting_waits_once(far):
    net = load_trained("digits", device=KIND)
    image, mask = IMAGES[0].float() / 255, torch.ones(1, 8, 8, dtype=torch.float64)  # from the CPU, as pictures come
    mask[:, :4] = 0
    plans = completion(net, image, mask, "annealed", eps=1e-5, n_steps_each=1, generator=seeded(0, KIND))
    far.waits.clear()
    xs = list(plans.states(2))
    torch.testing.assert_close(xs[-1].cpu()[:, :, 4:], image[None, :, 4:].expand(2, -1, -1, -1))
    # The image and the mask come there, and are looked at before the first step; the images come back.
    assert far.waits == {"_to_copy": 3, "_local_scalar_dense": 2}


@pytest.mark.parametrize("home", ["cpu", KIND])
def test_a_generator_on_another_device_is_refused_in_words(home, far):
    x = torch.zeros(3, 2, device=KIND if home == "cpu" else "cpu")
    calls = [
        lambda g: annealed_langevin(MIXTURE, x, LADDER, generator=g),
        lambda g: langevin(MIXTURE, x, alpha=0.1, n_steps=3, generator=g),
        lambda g: mala(MIXTURE.log_prob_and_score, x, alpha=0.1, n_steps=3, generator=g),
        lambda g: dsm(MIXTURE, x, 0.5, generator=g),
        lambda g: Denoising(LADDER, generator=g)(MIXTURE, x),
        lambda g: Empirical(x).sample(3, generator=g),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"the generator lives on {home}, x on {x.device}: use torch.Generator"):
            call(seeded(0, home))


# ---- explorers: the net is there, what is drawn comes back -----------------------------------------------------------


def _score(device):
    torch.manual_seed(0)
    return NCSN(1, 4, LADDER[:3], 8).requires_grad_(False).to(device)


def _sampling(device):
    explorer = SamplingExplorer(_score(device), LADDER[:3], (1, 8, 8), n=3, n_steps_each=2).run()
    return explorer, [explorer.grid, explorer.set(step=2).grid]


def _inpainting(device):
    explorer = InpaintingExplorer(_score(device), LADDER[:3], PICTURES, n_steps_each=2, n_completions=2)
    return explorer.paint(2, 3, 2).run(), [explorer.completions, explorer.masked]


def _resampling(device):
    net = load_trained("digits_classes", device=device)
    explorer = ResamplingExplorer(net.score, net.sigmas, PICTURES, n_levels=3, n_times=2, n_completions=2)
    return explorer.set(mask="top").run(), [explorer.completions]


def _latents(device):
    explorer = LatentExplorer(load_any("vae_digits", device=device).net, PICTURES).set(walk=0.5, noise=True)
    return explorer, list(explorer.shown.values())


PICTURES = IMAGES[:4].float() / 255


@pytest.mark.parametrize("explore", [_sampling, _inpainting, _resampling, _latents])
def test_explorers_of_nets_that_are_there_show_what_they_show_here(explore, far, monkeypatch):
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)  # nobody looks at the pixels
    (there, pictures), (here, expected) = explore(KIND), explore("cpu")
    assert there.readout.value == here.readout.value and there.values == here.values
    for picture, other in zip(pictures, expected, strict=True):
        found = picture.get_array()
        step = 1 if found.dtype == numpy.uint8 else 1e-4
        assert found.std() > 20 * step and found.dtype == other.get_array().dtype
        numpy.testing.assert_allclose(found.astype(float), other.get_array().astype(float), atol=step)


def test_images_there_may_be_explored_too(far):
    line = NoiseLevelExplorer(PICTURES).set(level=3).readout.value
    assert NoiseLevelExplorer(on(PICTURES)).set(level=3).readout.value == line
    vae = load_any("vae_digits", device=KIND).net
    assert LatentExplorer(vae, on(PICTURES)).readout.value == LatentExplorer(vae, PICTURES).readout.value


# ---- closed forms, losses, ladders ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "score",
    [MIXTURE, checkerboard(), Empirical(torch.randn(20, 2, generator=seeded(3))), UniformBoxes([[0.0, 1.0]], 1.0)],
    ids=repr,
)
def test_closed_forms_are_those_of_the_cpu(score, far):
    x = torch.randn(16, 2, generator=seeded(4))
    for sigma in (0.5, torch.linspace(0.1, 1, 16)):
        there = sigma if isinstance(sigma, float) else on(sigma)
        torch.testing.assert_close(score(on(x), there).cpu(), score(x, sigma))
        for loss in (implicit, dsm_floor, lambda *of: sliced(*of, generator=seeded(0, of[1].device))):
            assert loss(score, on(x), there).device.type == KIND


def test_mixtures_may_be_made_of_tensors_there(far):
    parameters = [[0.0, 0.0], [2.0, 1.0]], [0.5, 2.0], [0.25, 0.75]
    there, here = (GaussianMixture(*(torch.tensor(each, device=d) for each in parameters)) for d in (KIND, "cpu"))
    x = there.sample(50, generator=seeded(0, KIND))
    torch.testing.assert_close(x.cpu(), here.sample(50, generator=seeded(0)))
    torch.testing.assert_close(there.log_prob(x).cpu(), here.log_prob(x.cpu()))
    known = torch.tensor([1, 0], device=KIND), torch.tensor([0.3], device=KIND)
    ends = there.posterior(*known), here.posterior(*(each.cpu() for each in known))
    drawn = [end.sample(5, generator=seeded(0, end.device)).cpu() for end in ends]
    torch.testing.assert_close(*drawn)
    torch.testing.assert_close(m.mode_weights(x, there).weight, m.mode_weights(x.cpu(), here).weight)
    torch.testing.assert_close(m.mode_moments(x, there), m.mode_moments(x.cpu(), here))


def test_ladders_there_say_what_they_say_here(far):
    there = on(LADDER)
    variances = torch.tensor([0.5, 1.0])
    assert stable_eps(there, on(variances)) == stable_eps(LADDER, variances)
    assert variance_ratio(there, 1e-3, 5) == variance_ratio(LADDER, 1e-3, 5)
    far.waits.clear()
    assert eps_for_steps(there, 5) == eps_for_steps(LADDER, 5) and far.waits.total() <= 3
    torch.testing.assert_close(step_sizes(there, 0.1).cpu(), step_sizes(LADDER, 0.1))
    assert torch.equal(stationary_variance(0.1, on(variances)), stationary_variance(0.1, variances))


# ---- metrics -------------------------------------------------------------------------------------------------------

X, Y = (torch.rand(n, 1, 8, 8, generator=seeded(n)) for n in (60, 80))


@pytest.mark.parametrize("home", ["cpu", KIND])
def test_metrics_take_images_and_generators_of_any_device(home, far):
    """Wherever the generator is, and wherever the images are, the number is the same: it is one of the images."""

    def g():
        return seeded(5, home)

    for x, y in ((on(X), on(Y)), (X, on(Y)), (on(X), Y)):
        far.waits.clear()
        assert m.energy_test(x, y, n_permutations=19, generator=g()) == m.energy_test(
            X, Y, n_permutations=19, generator=seeded(5)
        )
        assert far.waits.total() <= 3  # each set of images comes once, and what was drawn
        assert m.frechet_distance(x, y) == m.frechet_distance(X, Y)
        assert m.energy_distance(x, y) == m.energy_distance(X, Y)
        distances, which = m.nearest(x, y)
        assert distances.device == which.device == x.device and distances.dtype == torch.float32
        assert [each.tolist() for each in (distances, which)] == [each.tolist() for each in m.nearest(X, Y)]
    fit = m.gaussian_fit(on(X), 5, generator=g())
    assert fit.device.type == KIND and fit.tolist() == m.gaussian_fit(X, 5, generator=g()).tolist()


@pytest.mark.parametrize("home", ["cpu", KIND])
def test_features_are_extracted_there_and_compared_here(home, far):
    net = classifier_net("digits")
    near = extract(X, net), extract(Y, net)
    there = extract(on(X), net), extract(Y, net, device=KIND)
    for a, b in zip(there, near, strict=True):
        assert a.values.device.type == "cpu" and a.values.dtype == torch.float64
        torch.testing.assert_close(a.values, b.values, rtol=1e-4, atol=1e-4)
    for measure in (m.kernel_distance, m.precision_recall):
        options = {"n_bootstrap": 3, "generator": seeded(1, home)}
        assert measure(*there, **options) == measure(*there, n_bootstrap=3, generator=seeded(1))
    few = [part._replace(values=part.values[:, :8]) for part in there]  # fewer than images, as a covariance needs
    assert m.frechet(*few, **options).value == pytest.approx(m.frechet_distance(*(part.values for part in few)))
    assert m.classifier_score(there[0], **options).value == pytest.approx(m.classifier_score(near[0], **options).value)
    judged = m.judge(on(X), on(load_judge("digits")), train=on(X), held_out=on(Y))
    assert judged.memory == 0 and judged.classes.sum().item() == pytest.approx(1)


# ---- the command line ----------------------------------------------------------------------------------------------


def test_commands_run_there(far, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    numpy.save("images.npy", IMAGES[:300])
    words = "train digits_unet --scale smoke --out run --steps"
    for line in (
        f"{words} 2",
        f"{words} 3 --resume",
        "sample run --n 2 --sampler flow --levels 3",
        "sample run --n 2 --steps-each 1 --animate",
        "inpaint digits:1 --mask left --weights run --completions 2 --steps-each 1",
        "evaluate images.npy --data digits --alone",
    ):
        assert main([*line.split(), "--device", KIND]) == 0
    assert "3 steps on digits, on lazy" in capsys.readouterr().out
