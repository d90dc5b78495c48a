"""Any model under any sampler: a small table of each, and one set of questions for every pair of them.

What a single sampler or a single net promises is in their own tests; here stands what holds for all pairs.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any, NamedTuple

import pytest
import torch
from helpers import F64, normal, seeded
from torch import Tensor, nn

from ncsn_edu import (
    NCSN,
    AffineScore,
    ClassifierGuide,
    Conditioned,
    DenoiserScore,
    Empirical,
    EnergyScore,
    EpsScore,
    FlowScore,
    GaussianMixture,
    Guided,
    LinearGuide,
    NCSNv2,
    NoiseConditionalMLP,
    Preconditioned,
    Rotated,
    ScoreMLP,
    ScoreNoise,
    UNet,
    alphas_bar_of,
    alphas_bar_of_sigmas,
    completed,
    convert,
    ddpm_betas,
    denoise,
    energy_distance,
    last,
    sigmas_of_alphas_bar,
)
from ncsn_edu.core import State
from ncsn_edu.diffusion import (
    ancestral,
    consistent_annealed,
    ddim,
    ddpm,
    encode,
    predictor_corrector,
    probability_flow,
    reverse_sde,
)
from ncsn_edu.mcmc import annealed_langevin, inpaint, langevin, mala
from ncsn_edu.schedules import geometric
from ncsn_edu.sdes import SDE, VE, VP, SubVP

F32 = torch.float32
MIXTURE = GaussianMixture(torch.tensor([[-2.0, -1.0], [2.0, 1.0]], dtype=F64), [0.2, 0.4], [0.3, 0.7])
KEPT = alphas_bar_of(ddpm_betas(21, 0.01, 0.45))  # DDPM in 21 steps
STEPS = [0, 7, 14, 20]  # of which four are taken
LADDER = sigmas_of_alphas_bar(KEPT[STEPS]).flip(0)  # the same noise levels, from 18 down to 0.1
ONE = LADDER[2].item()  # for samplers that stay at one level


# ---- the table of models ------------------------------------------------------------------------------------------


class Told(nn.Module):
    """A small bare net for points, which is told anything: f(x, told)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim + 1, 8), nn.SiLU(), nn.Linear(8, dim))

    def forward(self, x: Tensor, told: float | Tensor) -> Tensor:
        column = torch.as_tensor(told, dtype=x.dtype).reshape(-1, 1).expand(len(x), 1)
        return self.layers(torch.cat([x, column.log1p()], 1))


def unet(**settings: Any) -> UNet:
    net = UNet(1, 4, **settings)
    nn.init.normal_(net.end[2].weight, std=0.1)  # its first output is zero, which would hide much
    return net


def energy(x: Tensor, sigma: float | Tensor) -> Tensor:
    """Of a density that is no Gaussian, wider with the noise; x of any shape."""
    width = 1 + torch.as_tensor(sigma, dtype=x.dtype).reshape(-1) ** 2
    return (x.flatten(1).square().sum(1) / 2 + x.flatten(1).cos().sum(1)) / width


def pixels(x: Tensor, sigma: float | Tensor) -> Tensor:
    """A mixture in 64 dimensions, as the score of images of 8 x 8."""
    mixture = GaussianMixture(torch.stack([torch.full((64,), 0.2), torch.full((64,), 0.8)]).double(), 0.1)
    return mixture(x.flatten(1), sigma).view(x.shape)


def classes(x: Tensor, sigma: float | Tensor, label: Tensor) -> Tensor:
    return MIXTURE(x, sigma) + 0.1 * label[:, None]


TURN = completed(torch.tensor([[3.0, 4.0]]))
HALF = torch.eye(64)[:32]  # rows of 8 x 8 that are known


def half_of_the_sum(x: Tensor, sigma: float | Tensor) -> Tensor:
    """Logits of two classes, for x of any shape."""
    total = x.flatten(1).mean(1) / (1 + torch.as_tensor(sigma, dtype=x.dtype).reshape(-1) ** 2)
    return torch.stack([total, -total], 1)


def measured(score: Any, dim: int, covariance: str) -> Conditioned:
    """By one number, the mean."""
    guide = LinearGuide(score, torch.full((1, dim), 1 / dim), [0.4], noise=0.1, covariance=covariance)
    return Conditioned(score, guide)


POINTS: dict[str, Callable[[], Any]] = {
    "mixture": lambda: MIXTURE,
    "Empirical": lambda: Empirical(MIXTURE.sample(5, generator=seeded(0))),
    "EnergyScore": lambda: EnergyScore(energy),
    "EpsScore told t": lambda: EpsScore(Told(2), KEPT),
    "EpsScore told sigma": lambda: EpsScore(Told(2)),
    "DenoiserScore": lambda: DenoiserScore(Told(2)),
    "FlowScore": lambda: FlowScore(Told(2)),
    "Preconditioned": lambda: Preconditioned(Told(2)),
    "AffineScore": lambda: AffineScore(EpsScore(Told(2)), 0.5, 1.0),
    "NoiseConditionalMLP": lambda: NoiseConditionalMLP(2, (8,)),
    "Guided": lambda: Guided(classes, 1, 2.0),
    "Conditioned": lambda: Conditioned(MIXTURE, ClassifierGuide(MIXTURE.logits, 1), 1.5),
    "Rotated": lambda: Rotated(EpsScore(Told(2)), TURN),
    "by a measurement": lambda: measured(MIXTURE, 2, "isotropic"),
    "by a measurement, matched": lambda: measured(NoiseConditionalMLP(2, (8,)), 2, "matched"),
}
IMAGES: dict[str, Callable[[], Any]] = {
    "mixture": lambda: pixels,
    "Empirical": lambda: Empirical(torch.rand(5, 1, 8, 8, generator=seeded(0))),
    "EnergyScore": lambda: EnergyScore(energy),
    "NCSN": lambda: NCSN(1, 4, LADDER.float(), 8),
    "NCSNv2": lambda: NCSNv2(1, 4, LADDER.float(), 8),
    "EpsScore told t": lambda: EpsScore(unet(told="step"), KEPT),
    "EpsScore told sigma": lambda: EpsScore(unet(), data_mean=0.5, data_std=0.5),
    "DenoiserScore": lambda: DenoiserScore(unet()),
    "FlowScore": lambda: FlowScore(unet()),
    "Preconditioned": lambda: Preconditioned(unet(attention=True)),
    "AffineScore": lambda: AffineScore(Preconditioned(unet(), data_mean=0.0)),
    "Guided": lambda: Guided(Preconditioned(unet(n_classes=3)), torch.tensor([0, 2]), 1.5),
    "Conditioned": lambda: Conditioned(
        net := Preconditioned(unet()), LinearGuide(net, HALF, torch.ones(32), noise=0.5)
    ),
    "Rotated": lambda: Rotated(Preconditioned(unet()), completed(HALF)),
    "by a classifier": lambda: Conditioned(Preconditioned(unet()), ClassifierGuide(half_of_the_sum, 0), 1.5),
    "by a measurement, matched": lambda: measured(pixels, 64, "matched"),
}
MODELS = [("points", name) for name in POINTS] + [("8x8", name) for name in IMAGES]
SHAPES = {"points": (2, 2), "8x8": (2, 1, 8, 8)}
LOG_PROBS = {"mixture": MIXTURE.log_prob, "EnergyScore": lambda x: -energy(x, 0.0)}  # for the sampler that rejects
made: dict[tuple[str, str, torch.dtype], Any] = {}


def model(kind: str, name: str, dtype: torch.dtype) -> Any:
    """A model of the tables, its parameters drawn once and in this dtype."""
    if (kind, name, dtype) not in made:
        torch.manual_seed(0)
        score = {"points": POINTS, "8x8": IMAGES}[kind][name]()
        made[kind, name, dtype] = score.to(dtype) if isinstance(score, nn.Module) else score
    return made[kind, name, dtype]


# ---- the table of samplers ----------------------------------------------------------------------------------------


class Run(NamedTuple):
    """run(score, x, generator, skip=0) -> States: a short run, or what is left of it after `skip` States."""

    states: Callable[..., Iterator[State]]
    n: int | None = 3  # States
    skip: int = 1  # after so many it can be stopped and gone on with
    random: bool = True
    staying: bool = False  # at the level ONE
    upwards: bool = False


def half(x: Tensor) -> Tensor:
    mask = torch.zeros_like(x[0])
    mask.flatten()[: mask.numel() // 2] = 1
    return mask


def down(sampler: Callable[..., Iterator[State]], random: bool = True, **settings: Any) -> Run:
    """A sampler that passes each level of the ladder once."""

    def states(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0) -> Iterator[State]:
        drawn = {"generator": generator} if sampler is not probability_flow else {}
        return sampler(score, x, LADDER[skip:].to(x), **drawn, **settings)

    return Run(states, random=random)


def annealed(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0) -> Iterator[State]:
    return annealed_langevin(score, x, LADDER[skip::2].to(x), eps=2e-4, n_steps_each=2, generator=generator)


def inpainted(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0) -> Iterator[State]:
    settings = {"image": torch.full_like(x[0], 0.3), "mask": half(x), "eps": 2e-4, "n_steps_each": 2}
    return inpaint(score, x, LADDER[skip::2].to(x), generator=generator, **settings)


def in_steps(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0, **settings: Any) -> Iterator[State]:
    """DDPM's own letters: x_t, and a net that guesses the noise. Its last State is the clean guess."""
    steps = STEPS[: len(STEPS) - skip]
    return ddpm(ScoreNoise(score, KEPT), x, KEPT, steps=steps, generator=generator, **settings)


def stay(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0) -> Iterator[State]:
    return langevin(score, x, alpha=0.01, n_steps=3 - skip, sigma=ONE, generator=generator)


RUNS = {
    "langevin": Run(stay, staying=True),
    "annealed_langevin": Run(annealed, n=4, skip=2),
    "inpaint": Run(inpainted, n=4, skip=2),
    "consistent_annealed": down(consistent_annealed, eta=None),
    "ancestral": down(ancestral),
    "ddim, eta 0": down(ddim, random=False),
    "ddim, eta 1/2": down(ddim, eta=0.5),
    "ddim, eta 1": down(ddim, eta=1.0),
    "ddpm": Run(in_steps, n=4),
    "ddpm, eta 0": Run(partial(in_steps, eta=0.0), n=4, random=False),
    "predictor_corrector": down(predictor_corrector),
    "flow by Euler": down(probability_flow, random=False, solver="euler"),
    "flow by Heun": down(probability_flow, random=False),
}

# In continuous time there is no going on in the middle; x and State.x are in the letters of the SDE.
SDES = {
    "VE": VE(0.11, 18.0),
    "VP": VP(0.1, 11.4, t_min=0.05),
    "sub-VP": SubVP(0.1, 11.4, t_min=0.14),
}  # within the noise levels of KEPT


ALONG: dict[str, tuple[Callable[..., Iterator[State]], dict[str, Any]]] = {
    "reverse SDE": (reverse_sde, {}),
    "predictor_corrector": (predictor_corrector, {}),
    "flow by Heun": (probability_flow, {}),
    "adaptive flow": (probability_flow, {"solver": "adaptive", "rtol": 1.0, "atol": 2.0}),
    "encode": (encode, {}),
}


def along(sde: SDE, sampler: Callable[..., Iterator[State]], settings: dict[str, Any]) -> Run:
    random, adaptive = sampler in (reverse_sde, predictor_corrector), "solver" in settings

    def states(score: Any, x: Tensor, generator: torch.Generator, skip: int = 0) -> Iterator[State]:
        drawn = {"generator": generator} if random else {}
        steps = {} if adaptive else {"n_steps": 3}
        return sampler(score, x, sde, **drawn, **steps, **settings)

    return Run(states, n=None if adaptive else 3, random=random, upwards=sampler is encode)


every_sampler = pytest.mark.parametrize("sampler", RUNS)
every_model = pytest.mark.parametrize(("kind", "name"), MODELS, ids=[f"{name}, {kind}" for kind, name in MODELS])


def start(kind: str, dtype: torch.dtype) -> Tensor:
    return normal(*SHAPES[kind], seed=1).to(dtype)


# ---- what holds for every pair -------------------------------------------------------------------------------------


def ask(run: Run, score: Any, x: Tensor) -> list[State]:
    """One run, and all that has to hold for it whatever the model and the sampler are."""
    before, drawn, states, copies = x.clone(), torch.get_rng_state(), [], []
    for state in run.states(score, x, seeded(7)):
        states.append(state)
        copies.append(state.x.clone())
    assert torch.equal(x, before) and torch.equal(torch.get_rng_state(), drawn)
    assert len(states) == run.n if run.n else len(states) > 1
    sigmas = [state.sigma for state in states]
    assert sigmas == sorted(sigmas, reverse=not run.upwards)
    for state, copy in zip(states, copies, strict=True):
        assert state.x.shape == x.shape and state.x.dtype == x.dtype and state.x.isfinite().all()
        assert not state.x.requires_grad and torch.equal(state.x, copy), "a later step wrote into this one"
    steps = [x, *copies]
    assert not any(torch.equal(a, b) for a, b in pairwise(steps)), "a State before its update"
    return states


@every_sampler
@every_model
def test_any_model_under_any_sampler(kind, name, sampler):
    for dtype in (F32, F64):
        run, score, x = RUNS[sampler], model(kind, name, dtype), start(kind, dtype)
        states = ask(run, score, x)
        generator = seeded(7)
        stopped = last(islice(run.states(score, x, generator), run.skip))
        rest = list(run.states(score, stopped, generator, run.skip))
        for state, again in zip(states[run.skip :], rest, strict=True):  # same seed, same bytes; and it stopped there
            assert torch.equal(state.x, again.x) and state.sigma == again.sigma
        other = next(run.states(score, x, seeded(8))).x
        assert torch.equal(other, states[0].x) is not run.random


@pytest.mark.parametrize("sampler", ALONG)
@every_model
def test_any_model_under_any_sde(kind, name, sampler):
    for sde_name, dtype in (("VE", F32), ("VP", F32), ("VP", F64), ("sub-VP", F64)):
        sde = SDES[sde_name]
        run, net = along(sde, *ALONG[sampler]), model(kind, name, dtype)
        x = (1.0 if run.upwards else sde.prior_std) * start(kind, dtype)
        if name == "NCSN":
            with pytest.raises(ValueError, match="knows 4 noise levels"):
                last(run.states(net, x, seeded(7)))
            continue
        states, asked = ask_and_listen(run, net, x)
        for state in states[:-1]:
            data = state.x / sde.scale(sde.time(state.sigma))
            apart = min((data - other).abs().max().item() for other in asked)
            assert apart < 1e-4 * data.abs().max(), f"{sde_name}: a State that the next step does not begin from"
        again, other = (next(run.states(net, x, seeded(seed))).x for seed in (7, 8))
        assert torch.equal(states[0].x, again) and torch.equal(again, other) is not run.random


def ask_and_listen(run: Run, net: Any, x: Tensor) -> tuple[list[State], list[Tensor]]:
    """The States, and the points, in units of the data, at which the score was asked."""
    asked = []

    def score(x: Tensor, sigma: float | Tensor) -> Tensor:
        asked.append(x)
        return net(x, sigma)

    return ask(run, score, x), asked


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", LOG_PROBS)
def test_what_has_a_density_under_the_sampler_that_rejects(name, dtype):
    def states(score, x, generator, skip=0):
        both = lambda x: (LOG_PROBS[name](x), score(x, 0.0))  # noqa: E731
        return mala(both, x, alpha=0.01, n_steps=3 - skip, generator=generator)

    run, score, x = Run(states), model("points", name, dtype), start("points", dtype)
    found = ask(run, score, x)
    generator = seeded(7)
    stopped = last(islice(states(score, x, generator), 1))
    assert torch.equal(found[-1].x, last(states(score, stopped, generator, 1)))


@every_sampler
def test_a_net_for_one_level_runs_at_its_level_and_refuses_any_other(sampler):
    run, score, x = RUNS[sampler], ScoreMLP(2, (8,), sigma=ONE), start("points", F32)
    if run.staying:
        ask(run, score, x)
    else:
        with pytest.raises(ValueError, match=r"knows the score at sigma [\d.]+ only"):
            last(run.states(score, x, seeded(7)))


# ---- one model in other letters -----------------------------------------------------------------------------------


def says(target: str) -> Callable[[Tensor, float | Tensor], Tensor]:
    """A perfect net that predicts this, told x = x_0 + sigma z and sigma."""
    return lambda x, sigma: convert(MIXTURE(x, sigma), x, sigma, source="score", target=target)


def noise_of(u: Tensor, sigma: float | Tensor) -> Tensor:
    return says("noise")(u * (1 + torch.as_tensor(sigma, dtype=u.dtype).reshape(-1, 1) ** 2).sqrt(), sigma)


def minus_v_of(u: Tensor, sigma: float | Tensor) -> Tensor:
    return -says("v")(u * (1 + torch.as_tensor(sigma, dtype=u.dtype).reshape(-1, 1) ** 2).sqrt(), sigma)


def velocity_of(x: Tensor, t: Tensor) -> Tensor:
    return says("velocity")(x / (1 - t[:, None]), t / (1 - t))


def shifted(y: Tensor, sigma: float | Tensor) -> Tensor:
    """The score of 3 x - 1, where x is the mixture."""
    return GaussianMixture(3 * MIXTURE.means - 1, 9 * torch.tensor([0.2, 0.4], dtype=F64), MIXTURE.weights)(y, sigma)


LETTERS = {
    "noise, told sigma": lambda: EpsScore(noise_of),
    "noise, told t": lambda: EpsScore(ScoreNoise(MIXTURE, KEPT), KEPT),
    "clean": lambda: DenoiserScore(says("clean")),
    "v": lambda: Preconditioned(minus_v_of, data_mean=0.0, data_std=1.0),
    "velocity": lambda: FlowScore(velocity_of),
    "energy": lambda: EnergyScore(lambda x, sigma: -MIXTURE.log_prob(x, sigma)),
    "other units": lambda: AffineScore(shifted, 3.0, -1.0),
    "guided": lambda: Guided(lambda x, sigma, label: MIXTURE(x, sigma), 1, 3.0),
    "rotated": lambda: Rotated(MIXTURE.rotated(TURN), TURN.mT),
}


@every_sampler
@pytest.mark.parametrize("letters", LETTERS)
def test_a_perfect_model_gives_the_same_samples_in_any_letters(letters, sampler):
    x = LADDER[0] * normal(20, 2, seed=2) if "ddpm" not in sampler else normal(20, 2, seed=2)
    found, expected = (last(RUNS[sampler].states(score, x, seeded(3))) for score in (LETTERS[letters](), MIXTURE))
    tolerance = 1e-4 if letters == "noise, told t" else 1e-7  # DDPM's table of noise levels is in float32
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


# ---- with the exact score, more steps bring every sampler nearer to the truth --------------------------------------

N = 1500
NEAR = GaussianMixture(torch.tensor([[-0.8, -0.4], [0.8, 0.4]], dtype=F64), [0.2, 0.4], [0.3, 0.7])  # one level does
KNOWN = torch.tensor([0.5, 0.0], dtype=F64)
REST = MIXTURE.posterior([1, 0], KNOWN)


def once_down(sampler: Callable[..., Iterator[State]], **settings: Any) -> Callable[[int], Tensor]:
    def ends(n: int) -> Tensor:
        sigmas = geometric(20, 0.05, n + 1, dtype=F64)
        drawn = {} if sampler is probability_flow else {"generator": seeded(1)}
        return denoise(MIXTURE, last(sampler(MIXTURE, 20 * normal(N, 2, seed=2), sigmas, **drawn, **settings)), 0.05)

    return ends


def by_ddpm(n: int, **settings: Any) -> Tensor:
    kept = alphas_bar_of_sigmas(geometric(20, 0.05, n, dtype=F64)).flip(0)
    return last(ddpm(ScoreNoise(MIXTURE, kept), normal(N, 2, seed=2), kept, generator=seeded(1), **settings))


def by_annealing(n: int, sampler: Callable[..., Iterator[State]] = annealed_langevin, **settings: Any) -> Tensor:
    settings |= {"eps": 5e-4, "n_steps_each": n, "denoising": True, "generator": seeded(1)}
    return last(sampler(MIXTURE, 20 * normal(N, 2, seed=2), geometric(20, 0.05, 20, dtype=F64), **settings))


def at_one_level(n: int, sampler: Callable[..., Iterator[State]], score: Any) -> Tensor:
    return last(sampler(score, 2 * normal(N, 2, seed=2), alpha=0.05, n_steps=n, generator=seeded(1)))


FALLS: dict[str, tuple[Callable[[int], Tensor], tuple[int, int, int], GaussianMixture]] = {
    "langevin": (partial(at_one_level, sampler=langevin, score=NEAR), (2, 10, 60), NEAR),
    "mala": (partial(at_one_level, sampler=mala, score=NEAR.log_prob_and_score), (2, 10, 60), NEAR),
    "annealed_langevin": (by_annealing, (1, 4, 30), MIXTURE),
    "inpaint": (lambda n: by_annealing(n, inpaint, image=KNOWN, mask=KNOWN > 0)[:, 1:], (1, 4, 30), REST),
    "consistent_annealed": (once_down(consistent_annealed, eta=None), (2, 5, 40), MIXTURE),
    "ancestral": (once_down(ancestral), (2, 5, 40), MIXTURE),
    "ddim, eta 0": (once_down(ddim), (2, 5, 40), MIXTURE),
    "ddim, eta 1/2": (once_down(ddim, eta=0.5), (2, 5, 40), MIXTURE),
    "ddim, eta 1": (once_down(ddim, eta=1.0), (2, 5, 40), MIXTURE),
    "ddpm": (by_ddpm, (2, 5, 40), MIXTURE),
    "ddpm, larger variance": (partial(by_ddpm, variance="beta"), (2, 5, 40), MIXTURE),
    "predictor_corrector": (once_down(predictor_corrector), (2, 5, 40), MIXTURE),
    "flow by Euler": (once_down(probability_flow, solver="euler"), (2, 5, 40), MIXTURE),
    "flow by Heun": (once_down(probability_flow), (2, 5, 40), MIXTURE),
}


@pytest.mark.parametrize(("ends", "steps", "truth"), FALLS.values(), ids=FALLS)
def test_with_the_exact_score_the_error_falls_with_the_steps(ends, steps, truth):
    """Between two draws of the truth the energy distance of 1500 points scatters by 0.002."""
    real = truth.sample(N, generator=seeded(3))
    few, some, many = (energy_distance(ends(n), real) for n in steps)
    assert few > 2 * some and some > 2 * many and many < 0.02, (few, some, many)
