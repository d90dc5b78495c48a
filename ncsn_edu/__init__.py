"""Score-based generative models, to learn from: one abstraction, closed forms, samplers, and what they need.

Start with the notebooks (`python -m ncsn_edu lab`). Names are loaded when first used, so that `python -m ncsn_edu
--help` answers at once and `python -m ncsn_edu doctor` works even where PyTorch is missing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .progress import progress as progress  # at once: a function that bears its module's name
from .show import show as show

__version__ = "0.1.0"

_MODULES = {
    "core": ["Score", "State", "every", "expand_like", "last", "noise_like"],
    "distributions": ["Empirical", "GaussianMixture", "UniformBoxes", "checkerboard", "circle", "moons", "spiral"],
    "schedules": [
        "VE",
        "eps_for_steps",
        "eps_from_snr",
        "eps_from_step_lr",
        "geometric",
        "karras",
        "levels_for_overlap",
        "max_pairwise_distance",
        "ratio_overlap",
        "snr_from_eps",
        "stable_alpha",
        "stable_eps",
        "stationary_variance",
        "step_lr_from_eps",
        "step_sizes",
        "variance_ratio",
    ],
    "adapters": ["EnergyScore", "Guided"],
    "data": ["DataDamaged", "DataUnavailable", "batches", "load_or_digits"],
    "losses": ["dsm", "dsm_floor", "explicit", "implicit", "multilevel_dsm", "sliced"],
    "checkpoints": ["load_official"],
    "trained": ["load_trained"],
    "nets.mlp": ["NoiseConditionalMLP", "ScoreMLP"],
    "nets.ncsn": ["NCSN"],
    "nets.ncsnv2": ["NCSNv2"],
    "nets.resnet": ["ScoreResNet"],
    "nets.unet": ["UNet"],
    "samplers": [
        "ancestral",
        "annealed_langevin",
        "consistent_annealed",
        "denoise",
        "inpaint",
        "langevin",
        "mala",
        "predictor_corrector",
        "probability_flow",
    ],
    "train": ["TrainState"],  # the function is ncsn_edu.train.train: here its module has that name
    "metrics": ["ModeWeights", "energy_distance", "energy_test", "mode_moments", "mode_weights"],
    "figures": ["FigureDiffers", "save_figure"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted([*_HOME, "progress", "show"])

if TYPE_CHECKING:
    from .core import Score as Score


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ncsn_edu' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
