"""What the cells "Write it" of the notebooks are checked by: `practice.langevin_step(my_step)`.

An exercise a function, a file a subject. This file does NOT hold any code.
"""

from .density import chance_of_none, weighted_error
from .fields import mixture_score, noisy_score
from .langevin import acceptance, langevin_step
from .matching import denoised, denoising_loss, on_sphere, slice_loss

__all__ = [
    "acceptance",
    "chance_of_none",
    "denoised",
    "denoising_loss",
    "langevin_step",
    "mixture_score",
    "noisy_score",
    "on_sphere",
    "slice_loss",
    "weighted_error",
]
