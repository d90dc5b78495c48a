"""The names of the package: type checkers and editors read them here, and so does __init__.py."""

# fmt: off
# ruff: noqa: I001

from .core import (
    Score as Score, State as State, denoise as denoise, every as every, expand_like as expand_like, last as last,
    noise_like as noise_like,
)
from .distributions import (
    Empirical as Empirical, GaussianMixture as GaussianMixture, UniformBoxes as UniformBoxes,
    checkerboard as checkerboard, circle as circle, moons as moons, spiral as spiral,
)
from .schedules import (
    alphas_bar_of as alphas_bar_of, alphas_bar_of_sigmas as alphas_bar_of_sigmas,
    cosine_betas as cosine_betas, ddpm_betas as ddpm_betas, eps_for_steps as eps_for_steps,
    eps_from_snr as eps_from_snr, eps_from_step_lr as eps_from_step_lr, geometric as geometric, karras as karras,
    levels_for_overlap as levels_for_overlap, max_pairwise_distance as max_pairwise_distance,
    ratio_overlap as ratio_overlap, settled_variance_ratio as settled_variance_ratio,
    sigmas_of_alphas_bar as sigmas_of_alphas_bar, snr_from_eps as snr_from_eps, stable_alpha as stable_alpha,
    stable_eps as stable_eps, stationary_variance as stationary_variance,
    step_lr_from_eps as step_lr_from_eps, step_sizes as step_sizes, variance_ratio as variance_ratio,
)
from .sdes import EDM as EDM, SDE as SDE, VE as VE, VP as VP, SubVP as SubVP
from .adapters import (
    AffineScore as AffineScore, DenoiserScore as DenoiserScore, EnergyScore as EnergyScore, EpsScore as EpsScore,
    FlowScore as FlowScore, Guided as Guided, Preconditioned as Preconditioned, Rotated as Rotated,
    ScoreNoise as ScoreNoise, ScoreVelocity as ScoreVelocity, convert as convert,
)
from .conditions import (
    ClassifierGuide as ClassifierGuide, Conditioned as Conditioned, LinearGuide as LinearGuide,
    completed as completed, operator_of as operator_of,
)
from .losses import (
    Denoising as Denoising, dsm as dsm, dsm_floor as dsm_floor, explicit as explicit,
    flow_matching as flow_matching, implicit as implicit, multilevel_dsm as multilevel_dsm, sliced as sliced,
)
from .mcmc import (
    annealed_langevin as annealed_langevin, inpaint as inpaint, langevin as langevin, mala as mala,
)
from .diffusion import (
    ancestral as ancestral, consistent_annealed as consistent_annealed, ddim as ddim, ddpm as ddpm, encode as encode,
    predictor_corrector as predictor_corrector, probability_flow as probability_flow, repaint as repaint,
    reverse_sde as reverse_sde,
)
from .likelihood import (
    bits_of_images as bits_of_images, bits_per_dim as bits_per_dim, log_likelihood as log_likelihood,
)
from .bounds import Bound as Bound, ddpm_bound as ddpm_bound
from .vae import (
    aggregate_posterior as aggregate_posterior,
    BoundObjective as BoundObjective, elbo as elbo, gaussian_kl as gaussian_kl, importance_bound as importance_bound,
    kl_to_standard as kl_to_standard,
)
from .nets.vae import ConvVAE as ConvVAE
from .nets.mlp import NoiseConditionalMLP as NoiseConditionalMLP, ScoreMLP as ScoreMLP
from .nets.ncsn import NCSN as NCSN
from .nets.ncsnv2 import NCSNv2 as NCSNv2
from .nets.resnet import ScoreResNet as ScoreResNet
from .nets.unet import UNet as UNet
from .datasets import (
    DataDamaged as DataDamaged, DataUnavailable as DataUnavailable, batches as batches,
    load_or_digits as load_or_digits,
)
from .official import load_official as load_official
from .trained import load_trained as load_trained
from .training import TrainState as TrainState
from .metrics import (
    ModeWeights as ModeWeights, energy_distance as energy_distance, energy_test as energy_test,
    mode_moments as mode_moments, mode_weights as mode_weights, quantiles as quantiles,
)
from .figures import FigureDiffers as FigureDiffers, save_figure as save_figure, show_figure as show_figure
from .animations import save_animation as save_animation
from .source import show as show
from .bars import progress as progress

__version__: str
__all__: list[str]
