"""Explorers that the kernel draws: milliseconds from a control's move to the picture, and how much a full draw takes.

    python tests/benchmarks/bench_explorers.py                 # 40 moves of each: two minutes
    python tests/benchmarks/bench_explorers.py --moves 10 --sharp

Each move is made by two explorers in turn: one draws again what has changed, one all. Nets are untrained, and small.
Nothing is run. Numbers are printed, never asserted: they belong to the machine that made them.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch

from ncsn_edu import datasets, trained, widgets
from ncsn_edu.nets.classifier import PlainClassifier  # noqa: F401
from ncsn_edu.widgets import Explorer
