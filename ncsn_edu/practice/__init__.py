"""What the cells "Write it" of the notebooks are checked by: `practice.langevin_step(my_step)`.

An exercise a function, a file a subject. This file does NOT hold any code.
"""

from .annealing import annealing, step_sizes
from .autoencoders import decoder_log_likelihood, latent_draw, latent_kl
from .completing import pasted
from .conditions import class_gradient, guidance, pull
from .ddpm import ddim_step, noised, posterior, simple_loss
from .density import chance_of_none, weighted_error
from .fields import mixture_score, noisy_score
from .judging import gaussian_distance
from .langevin import acceptance, langevin_step
from .levels import geometric_ladder, ladder_loss
from .manifold import lowest_loss, share_of_bound
from .matching import denoised, denoising_loss, on_sphere, slice_loss
from .networks import normalised_means
from .parametrisations import flow_loss, score_of_v, velocity_of_score
from .photographs import consistent_step, preconditioned
from .sdes import flow_slope, forward_step, reverse_step
from .techniques import level_variances, shell_overlap
from .training import averaged, chain_states

__all__ = [
    "acceptance",
    "annealing",
    "averaged",
    "chain_states",
    "chance_of_none",
    "class_gradient",
    "consistent_step",
    "ddim_step",
    "decoder_log_likelihood",
    "denoised",
    "denoising_loss",
    "flow_loss",
    "flow_slope",
    "forward_step",
    "gaussian_distance",
    "geometric_ladder",
    "guidance",
    "ladder_loss",
    "langevin_step",
    "latent_draw",
    "latent_kl",
    "level_variances",
    "lowest_loss",
    "mixture_score",
    "noised",
    "noisy_score",
    "normalised_means",
    "on_sphere",
    "pasted",
    "posterior",
    "preconditioned",
    "pull",
    "reverse_step",
    "score_of_v",
    "share_of_bound",
    "shell_overlap",
    "simple_loss",
    "slice_loss",
    "step_sizes",
    "velocity_of_score",
    "weighted_error",
]
