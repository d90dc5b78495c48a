"""From a trained net to images: the table of samplers, and plans that say what a net will be asked, and how often.

The table is what the command `sample`, measurements of quality and lessons read: a new sampler is its function, a row
here and its tests. torch is imported inside functions only, so that the command line can list the table at once. This
file does NOT write pictures or know the command line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

from .parts import Sampling

if TYPE_CHECKING:
    from os import PathLike

    import torch
    from torch import Tensor

    from .core import State
    from .trained import Trained, TrainedVae


@dataclass(frozen=True)
class Sampler:
    """A row of the table: function(score, x, sigmas, generator=, **settings), and what is to be known about it."""

    place: str  # module.function
    about: str  # in one line
    cost: str  # evaluations of the net in all, for L levels
    settings: tuple[str, ...] = ()  # its own; it has defaults for them
    asks: int = 1  # evaluations for each State
    stays: bool = False  # at each level for some steps, from uniform noise; else it passes once, from noise of sigma_1
    random: bool = True  # it takes a generator
    any_sigma: bool = False  # it needs a net for any noise level to be good
    ladder: str | None = None  # of schedules.py, for nets that take any noise level; None: what their noise suggests,
    n_levels: int = 100  # of so many levels: about a hundred evaluations, fewer where more do not help
    lengths: tuple[int, ...] = (10, 20, 50, 100)  # levels at which quality is measured against cost; steps, if it stays

    @property
    def function(self) -> "Callable[..., Iterator[State]]":
        """The sampler itself."""
        module, name = self.place.split(".")
        return getattr(import_module(f".{module}", __package__), name)

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings that the function has unless told otherwise."""
        parameters = signature(self.function).parameters
        return {name: parameters[name].default for name in self.settings}

    def evaluations(self, n_levels: int, **settings: Any) -> int:
        """How often the net is asked, the denoising step at the end included."""
        if self.stays:
            return n_levels * settings["n_steps_each"] + settings.get("denoising", False)
        return self.asks * settings.get("n_times", 1) * (n_levels - 1) + 1


# The flow by the adaptive solver is not here: a plan says how often the net will be asked.
SAMPLERS = {
    "annealed": Sampler(
        "mcmc.annealed_langevin",
        "annealed Langevin dynamics, T steps at each of L levels",
        "L T + 1",
        settings=("eps", "n_steps_each", "denoising"),
        stays=True,
        lengths=(1, 2, 5, 10, 20, 50),
    ),
    "consistent": Sampler("diffusion.consistent_annealed", "consistent annealed sampling", "L", settings=("eta",)),
    "ancestral": Sampler("diffusion.ancestral", "the noise of a level taken away, less than that added again", "L"),
    "ddim": Sampler(
        "diffusion.ddim",
        "the noise scaled down, some of it drawn anew",
        "L",
        settings=("eta",),
        lengths=(),  # of its eta 1 is `ancestral`, which is measured, and eta 0 Euler's method for the flow
    ),
    "reverse": Sampler(
        "diffusion.reverse_sde",
        "the reverse SDE by Euler and Maruyama, t = sigma",
        "L",
        lengths=(),  # its step goes to that of `ancestral`, which is measured
    ),
    "corrector": Sampler(
        "diffusion.predictor_corrector",
        "predictor and corrector: reverse diffusion and Langevin",
        "2 L - 1",
        settings=("snr",),
        asks=2,
        n_levels=50,
        lengths=(6, 13, 26, 50),
    ),
    "flow": Sampler(
        "diffusion.probability_flow",
        "the probability flow, which adds no noise, by Heun's method",
        "2 L - 1",
        asks=2,
        random=False,
        any_sigma=True,
        ladder="karras",
        n_levels=18,
        lengths=(6, 10, 18, 50),
    ),
}
# What fills in the missing part of an image: function(score, x, sigmas, image=, mask=, generator=, **settings). Where
# Algorithm 2 leaves seams in photographs, `repaint` leaves none for the same price; its levels are close together.
INPAINTERS = {
    "annealed": Sampler(
        "mcmc.inpaint",
        "annealed Langevin dynamics (Song & Ermon 2019, Algorithm 2)",
        "L T + 1",
        settings=("eps", "n_steps_each", "denoising"),
        stays=True,
    ),
    "repaint": Sampler(
        "diffusion.repaint",
        "resampling: each step down is taken R times",
        "(L - 1) R + 1",
        settings=("n_times",),
        any_sigma=True,
        ladder="karras",
        n_levels=40,
    ),
}
PAPER = Sampling(eps=2e-5, n_steps_each=100, denoising=False)


class Plan(NamedTuple):
    """A sampler with its settings, for any number of images."""

    states: "Callable[[int], Iterator[Tensor]]"  # n -> x (n, C, H, W) after each evaluation of the score
    evaluations: int  # of the score
    settings: dict[str, Any]  # to be written beside the images
    asks: int = 1  # evaluations of the net for one of the score

    @property
    def asked(self) -> int:
        """Evaluations of the net in all."""
        return self.asks * self.evaluations


def best_sampler(trained: "Trained") -> str:
    """The flow for nets that were trained at any noise level, annealed Langevin dynamics for others."""
    return "flow" if trained.recipe.noise.continuous else "annealed"


def best_inpainter(trained: "Trained") -> str:
    """Resampling for nets that were trained at any noise level, Algorithm 2 for others."""
    return "repaint" if trained.recipe.noise.continuous else "annealed"


def plan(
    trained: "Trained", name: str, *, generator: "torch.Generator", n_levels: int | None = None, **settings: Any
) -> Plan:
    """Images by the sampler of this name in the table. Raises ValueError for settings that it cannot have.

    n_levels  of a sampler that passes each level once; a net that knows its own levels only takes no other
    """
    from .checks import check_choice

    row = SAMPLERS[check_choice("the sampler", name, SAMPLERS)]
    return _plan(row, name, trained, n_levels, settings, {"generator": generator} if row.random else {}, generator)


def completion(
    trained: "Trained",
    image: "Tensor",
    mask: "Tensor",
    name: str | None = None,
    *,
    generator: "torch.Generator",
    n_levels: int | None = None,
    **settings: Any,
) -> Plan:
    """Completions of an image (C, H, W) where the mask (1, H, W) is 0, by what is called this in INPAINTERS.

    The best for this net unless told; n_levels and errors as of `plan`.
    """
    from .checks import check_choice

    name = check_choice("the sampler", name or best_inpainter(trained), INPAINTERS)
    given = {"image": image, "mask": mask, "generator": generator}
    return _plan(INPAINTERS[name], name, trained, n_levels, settings, given, generator)


def _plan(
    row: Sampler,
    name: str,
    trained: "Trained",
    n_levels: int | None,
    settings: dict[str, Any],
    given: dict[str, Any],
    generator: "torch.Generator",
) -> Plan:
    """The plan of this row of a table; its function is also `given` what is no setting."""
    import torch

    from .core import denoise, noise_like

    sigmas, settings = _levels(row, name, trained, n_levels), _settings(row, name, trained, settings)
    first, lowest = sigmas[0].item(), sigmas[-1].item()
    nothing = torch.zeros(1, *trained.shape, device=generator.device)
    row.function(trained.score, nothing, sigmas, **given, **settings)  # checks them; asks nothing

    def staying(n: int) -> "Iterator[Tensor]":
        for state in row.function(trained.score, trained.start(n, generator=generator), sigmas, **given, **settings):
            yield state.x

    def passing(n: int) -> "Iterator[Tensor]":
        x = trained.start(n, generator=generator)
        x = x + first * noise_like(x, generator)
        for state in row.function(trained.score, x, sigmas, **given, **settings):
            x = state.x
            yield from [x] * row.asks
        x = denoise(trained.score, x, lowest)
        if "mask" in given:
            x = torch.where(given["mask"].to(x.device) > 0, given["image"].to(x), x)
        yield x

    about = {"sampler": row.place.split(".")[1] if row.stays else name} | settings
    if not row.stays:
        about |= {"n_levels": len(sigmas), "denoising": True}
    evaluations = row.evaluations(len(sigmas), **settings)
    return Plan(staying if row.stays else passing, evaluations, about, getattr(trained.score, "asks", 1))


def guided(
    trained: "Trained", label: int, scale: float = 1.0, *, classifier: "str | PathLike[str] | None" = None
) -> "Trained":
    """The net with the score of one class: its own, if it is told classes, or by a classifier of noisy images.

    classifier  what `load_guide` takes; by default the one of the data set, where the net is told no classes
    scale       of the gradient of log p(label | x): see Guided and Conditioned
    """
    from .adapters import Guided
    from .conditions import ClassifierGuide, Conditioned
    from .devices import device_of
    from .trained import load_guide

    n_classes, recipe, device = trained.recipe.network.n_classes, trained.recipe, device_of(trained.score)
    if n_classes and classifier is None:
        _check_class(label, n_classes, "this net is told")
        return replace(trained, score=Guided(trained.score, label, scale).to(device))
    guide = load_guide(classifier or recipe.data, device=device)
    if guide.recipe.data != recipe.data:
        raise ValueError(
            f"the classifier knows {guide.recipe.data}, and the net makes {recipe.data}, whose classes are others: "
            f"give a classifier of noisy {recipe.data} images"
        )
    known, asked = guide.recipe.noise, recipe.noise
    if known.sigma_max < 0.99 * asked.sigma_max or known.sigma_min > 1.01 * asked.sigma_min:
        raise ValueError(
            f"the classifier was trained with noise from {known.sigma_max:.4g} to {known.sigma_min:.4g}, and the net "
            f"is sampled from {asked.sigma_max:.4g} to {asked.sigma_min:.4g}: give one that knows as much"
        )
    _check_class(label, guide.classifier.n_classes, "the classifier knows")
    condition = ClassifierGuide(guide.classifier, label)
    return replace(trained, score=Conditioned(trained.score, condition, scale).to(device))


def _check_class(label: int, n_classes: int, who: str) -> None:
    if not 0 <= label < n_classes:
        raise ValueError(f"the classes that {who} are 0 to {n_classes - 1}: there is no class {label}")


def _levels(row: Sampler, name: str, trained: "Trained", n_levels: int | None) -> "Tensor":
    """The ladder: the net's own, or one of n_levels in its range, where the net takes any noise level."""
    sigmas = trained.sigmas
    if n_levels is not None and row.stays:
        raise ValueError(f"the sampler {name} stays at the levels of the net: leave out n_levels=")
    if n_levels is not None and not trained.recipe.network.any_sigma:
        raise ValueError(f"this net knows its own {len(sigmas)} noise levels only: leave out --levels, or n_levels=")
    if row.stays or (n_levels is None and not trained.recipe.noise.continuous):
        return sigmas
    return trained.recipe.noise.shorter(row.n_levels if n_levels is None else n_levels, row.ladder)


def _settings(row: Sampler, name: str, trained: "Trained", asked: dict[str, Any]) -> dict[str, Any]:
    """All settings of the sampler: its defaults, what suits the net, what was asked for."""
    if unknown := [key for key in asked if key not in row.settings]:
        raise ValueError(f"the sampler {name} has no setting {unknown[0]!r}, only {', '.join(row.settings) or 'none'}")
    suited = {key: value for key, value in vars(trained.sampling).items() if row.stays and key in row.settings}
    return row.defaults | suited | asked


def decoding(
    trained: "TrainedVae",
    *,
    walk: int = 0,
    noise: bool = False,
    images: "Tensor | None" = None,
    generator: "torch.Generator",
) -> Plan:
    """Images from latents of the prior, by one evaluation of the decoder.

    walk    so many images in a row lead from one latent to another, all of them of the length that the prior's have
    noise   with the decoder's noise, as samples of p(x) have it; otherwise its means
    images  uint8 (N, C, H, W), such as the training images: the latents are of their aggregate posterior
    """
    import torch

    from .checks import check_count
    from .vae import aggregate_posterior

    net, walk = trained.net, check_count("walk", walk, least=0)

    def latents(n: int) -> "Tensor":
        if images is not None:
            return aggregate_posterior(net, images.float() / 255, n, generator=generator)
        return torch.randn(n, net.n_latents, generator=generator, device=generator.device)

    def states(n: int) -> "Iterator[Tensor]":
        if not walk:
            yield net.sample(n, noise=noise, generator=generator, v=latents(n))
            return
        rows = -(-n // walk)
        angle = torch.linspace(0, torch.pi / 2, walk, device=generator.device)[None, :, None]
        ends = latents(2 * rows)
        v = angle.cos() * ends[:rows, None] + angle.sin() * ends[rows:, None]  # each N(0, I), as both ends are
        yield net.sample(n, noise=noise, generator=generator, v=v.flatten(0, 1)[:n])

    about = {"sampler": "decoder", "walk": walk, "noise": noise}
    return Plan(states, 1, about | {"latents": "prior" if images is None else "aggregate posterior"})


class Step(NamedTuple):
    """A step on the way to n images: rows `first` and following of x, after `step` evaluations of their batch."""

    first: int
    step: int
    x: "Tensor"
    last: bool


def draw(plan: Plan, n: int, batch_size: int) -> Iterator[Step]:
    """Run a plan for n images, so many at once; another number at once draws other images."""
    for first in range(0, n, batch_size):
        for step, x in enumerate(plan.states(min(batch_size, n - first)), start=1):
            yield Step(first, step, x, step == plan.evaluations)


def collect(steps: Iterable[Step], images: "Tensor", frames: "Tensor", picked: Sequence[int]) -> None:
    """Fill images (n, C, H, W) with the last steps, and frames (len(picked), n, C, H, W), uint8, with picked ones."""
    for first, step, x, last in steps:
        rows = slice(first, first + len(x))
        if step in picked:
            frames[picked.index(step), rows] = (255 * x.clamp(0, 1)).round().byte().cpu()
        if last:
            images[rows] = x.cpu()
