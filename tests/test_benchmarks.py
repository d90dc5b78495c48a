"""The benchmarks run and print their tables: at a size of seconds, whose numbers mean nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"

# file -> options for seconds, and what the table must hold.
RUNS = {
    "bench_data.py": (
        ["--images", "300", "--repeats", "1"],
        [
            r"batches +[\d.e+]+ images/s",
            r"DataLoader, 2 workers, usual steps +[\d.e+]+ images/s",
            r"median of ratios\) +[\d.]+",
        ],
    ),
    "bench_gpu.py": (
        [*("--width", "4", "--batch", "4", "--steps", "1", "--repeats", "1"), "--ways", "plain", "ours", "bf16"],
        [rf"{what}, {way} +[\d.]+ +[\d.]+ +[\d.]+%" for what in ("training", "sampling") for way in ("plain", "bf16")],
    ),
    "bench_grading.py": (
        ["--assignments", "a1", "--submissions", "0"],
        [r"a1_scores_and_langevin +[\d.]+ +\d+  23.0 of 23"],
    ),
    "bench_losses.py": (["--dims", "2", "8", "--repeats", "2"], [r"sliced */ *dsm", r"implicit */ *dsm"]),
    "bench_nets.py": (
        ["--sizes", "8:4:4", "--repeats", "1"],
        [r"8x8, width 4, batch 4, forward +[\d.]+ +[\d.]+ +[\d.]+", r"training step +[\d.]+ +[\d.]+ +[\d.]+"],
    ),
    "bench_samplers.py": (
        ["--chains", "200", "--steps", "20", "--repeats", "2"],
        [
            r"200 chains x 20 steps +[\d.]+ s",
            r"(?s)peak memory, \d+ steps +[\d.]+ MiB.*peak memory, \d+ steps +[\d.]+ MiB",
            r"autograd / closed form \(median of ratios\) +[\d.]+",
        ],
    ),
}


def test_every_benchmark_is_run_here():
    assert {path.name for path in BENCHMARKS.glob("*.py")} == set(RUNS)


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is not told on Windows")
@pytest.mark.parametrize("name", RUNS)
def test_the_table_is_printed(name):
    if name == "bench_grading.py" and not (ROOT / "notebooks/source/assignments").exists():
        pytest.skip("a public copy has no sources of assignments")
    options, expected = RUNS[name]
    run = subprocess.run(
        [sys.executable, BENCHMARKS / name, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stderr
    for pattern in expected:
        assert re.search(pattern, run.stdout), f"{pattern!r} is not in\n{run.stdout}"
