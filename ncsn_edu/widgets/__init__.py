"""Explorers: sliders beside a picture that follows them, a live view of training, animations.

They run the package's own functions; no maths here, except in page/, whose scripts are tested against the package.
"""

from .base import Explorer
from .chains import AnnealingExplorer, LangevinExplorer
from .conditions import GuidanceExplorer
from .fields import ScoreFieldExplorer
from .grid import GridExplorer
from .images import InpaintingExplorer, NoiseLevelExplorer, ResamplingExplorer, SamplingExplorer
from .ladders import DdimExplorer, LadderExplorer, ScheduleExplorer
from .latents import LatentExplorer
from .learning import ErrorExplorer, ObjectiveExplorer, TrainingExplorer
from .live import watch
from .manifold import ManifoldExplorer
from .player import Player
from .sdes import DiffusionExplorer, SolverExplorer

__all__ = [
    "AnnealingExplorer",
    "DdimExplorer",
    "DiffusionExplorer",
    "ErrorExplorer",
    "Explorer",
    "GridExplorer",
    "GuidanceExplorer",
    "InpaintingExplorer",
    "LadderExplorer",
    "LangevinExplorer",
    "LatentExplorer",
    "ManifoldExplorer",
    "NoiseLevelExplorer",
    "ObjectiveExplorer",
    "Player",
    "ResamplingExplorer",
    "SamplingExplorer",
    "ScheduleExplorer",
    "ScoreFieldExplorer",
    "SolverExplorer",
    "TrainingExplorer",
    "watch",
]
