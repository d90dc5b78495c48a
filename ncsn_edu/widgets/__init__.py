"""Explorers: sliders beside a picture that follows them. They run the package's own functions; no maths here."""

from .base import Explorer
from .chains import AnnealingExplorer, LangevinExplorer
from .fields import ScoreFieldExplorer
from .learning import ErrorExplorer, ObjectiveExplorer, TrainingExplorer

__all__ = [
    "AnnealingExplorer",
    "ErrorExplorer",
    "Explorer",
    "LangevinExplorer",
    "ObjectiveExplorer",
    "ScoreFieldExplorer",
    "TrainingExplorer",
]
