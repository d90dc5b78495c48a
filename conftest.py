"""For every test, notebooks included: figures are compared with the stored ones, and workers share the cores."""

import os
import signal
from pathlib import Path

import pytest

# Files that take longest come first, so that at the end no worker waits for the other.
LONGEST = (
    *("test_assignments", "test_grading", "test_widgets", "test_runs", "test_trained", "test_benchmarks"),
    *("test_grading_folders", "test_redraw"),
    *("10_train_and_sample", "14_improved_techniques", "11_inpainting", "15_vae", "16_ddpm", "06_low_density"),
    *("18_any_model_any_sampler", "13_cifar10_at_full_scale", "09_architecture", "05_manifold", "07_annealing"),
)

# Scripts that the notebooks are made from, and notebooks that are not yet answered.
collect_ignore_glob = ["notebooks/source/*", "notebooks/assignments/*"]

# Kernels inherit these, so that plain `pytest --nbval notebooks` makes every figure again and compares it.
os.environ.setdefault("NCSN_EDU_FIGURES", "check")
os.environ.setdefault("NCSN_EDU_PROGRESS", "0")
for name, value in (("MALLOC_MMAP_THRESHOLD_", 2**30), ("MALLOC_TRIM_THRESHOLD_", 2**31 - 1)):
    os.environ.setdefault(name, str(value))  # as commands have it: devices.keep_freed_memory
os.environ.pop("MPLBACKEND", None)  # a reader's own may want a screen, and keep figures out of the outputs

if os.name == "posix" and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell that starts the tests in the background lets them ignore Ctrl-C, and with them each program they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Set before torch is imported: workers that each use every core wait for one another most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def pytest_configure(config: pytest.Config) -> None:
    """Numbers after ≈ differ a little from machine to machine: an assert in their cell holds them, and not nbval."""
    ours = str(Path(__file__).parent / "tests" / "nbval.cfg")
    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or ours


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put LONGEST first; everything else stays in its order."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
