"""Explorers: sliders beside a picture that follows them, and a live view of training.

They run the package's own functions; no maths here.
"""

from .base import Explorer
from .chains import AnnealingExplorer, LangevinExplorer
from .fields import ScoreFieldExplorer
from .images import InpaintingExplorer, NoiseLevelExplorer, SamplingExplorer
from .learning import ErrorExplorer, ObjectiveExplorer, TrainingExplorer
from .live import watch

__all__ = [
    "AnnealingExplorer",
    "ErrorExplorer",
    "Explorer",
    "InpaintingExplorer",
    "LangevinExplorer",
    "NoiseLevelExplorer",
    "ObjectiveExplorer",
    "SamplingExplorer",
    "ScoreFieldExplorer",
    "TrainingExplorer",
    "watch",
]
