"""The benchmarks run and print their tables: at a size of seconds, whose numbers mean nothing."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
PEERS = ("azula", "smalldiffusion", "einops", "accelerate")

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
    "bench_explorers.py": (
        ["--moves", "2", "--only", "Ladder"],
        [r"LadderExplorer +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+"],
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
    "bench_page.py": (
        ["--moves", "3", "--only", "ScoreField", "Langevin"],
        [rf"{slider} +[\d.]+ +[\d.]+ +[\d.]+" for slider in ("Field.*, noise sigma", "Langevin.*, steps")],
    ),
    "bench_peers.py": (
        ["--chains", "100", "--evaluations", "10", "--repeats", "1"],
        [
            rf"{name} +{peer} +10 +[\d.]+ +[\d.]+ +[\d.]+ +"
            for name, peer in (("Heun", "azula"), ("DDPM", "smalldiffusion"))
        ],
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
    if name == "bench_page.py" and not (os.environ.get("CHROMIUM") or shutil.which("chromium")):
        pytest.skip("there is no Chromium here, and it measures one")
    if name == "bench_peers.py" and (missing := [peer for peer in PEERS if not find_spec(peer)]):
        pytest.skip(f'{", ".join(missing)} not installed: pip install -e ".[peers]" brings what this compares with')
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


@pytest.fixture
def gpu(monkeypatch):
    """bench_gpu.py as a module: its ways are `plain`, `ours` and two that fail, before and in the middle."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("bench_gpu", BENCHMARKS / "bench_gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_gpu", module)  # where a dataclass looks for its own
    spec.loader.exec_module(module)
    ways = {"plain": None, "none": module.Way(compiled="of no mode"), "full": module.Way(), "ours": module.Way()}
    monkeypatch.setattr(module, "WAYS", ways)

    def sampling(way, *rest, real=module.sampling):
        work, calls = real(way, *rest), []

        def runs_out():
            calls.append(work())
            if len(calls) > 4:  # in the last repeat
                raise torch.OutOfMemoryError("there is no room\nfor this")

        return runs_out if way is ways["full"] else work

    monkeypatch.setitem(module.WORKS, "sampling", sampling)
    return module


def test_a_way_that_fails_loses_only_itself(gpu, monkeypatch, tmp_path, capsys):
    size = [*("--width", "4", "--batch", "2", "--steps", "1", "--repeats", "2", "--device", "cpu")]
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", *size, "--ways", *gpu.WAYS, "--out", str(tmp_path / "a.json")])
    assert gpu.main() == 1
    ways = json.loads((tmp_path / "a.json").read_text())["ways"]
    failed = {(name, what): row["failed"] for name, rows in ways.items() for what, row in rows.items() if len(row) == 1}
    mode = "RuntimeError: Unrecognized mode=of no mode, should be one of: "
    assert {key: value.partition("default")[0] for key, value in failed.items()} == {
        ("none", "training"): mode,
        ("none", "sampling"): mode,
        ("full", "sampling"): "OutOfMemoryError: there is no room",
    }
    out = capsys.readouterr().out
    assert re.search(r"sampling, full +failed: OutOfMemoryError: there is no room\n", out)
    for line in ("training, plain", "sampling, plain", "training, full", "training, ours", "sampling, ours"):
        assert re.search(rf"{line} +[\d.]+ +[\d.]+ +[\d.]+% +- +[\d.]+\n", out)


def test_a_way_that_is_not_compiled_is_not_timed_as_if_it_were(gpu, monkeypatch):
    def train(*arguments, real=gpu.train, **options):
        monkeypatch.setattr(torch, "compile", lambda *a, **b: lambda *c: 1 / 0)  # as a compiler that breaks off
        return real(*arguments, **options)

    monkeypatch.setattr(gpu, "train", train)
    sigmas = gpu.geometric(1, 0.1, 3)
    build = gpu.partial(gpu.training, gpu.Way(compiled=True), gpu.NCSN(3, 4, sigmas, 8), torch.rand(2, 3, 8, 8), sigmas)
    row = gpu.begun(build, torch.device("cpu"))
    assert row.work is None and row.error.startswith("UserWarning: compiling failed, training continues without it: d")


def test_memory_is_that_of_a_way_alone(gpu, monkeypatch):
    """A card that holds 3 GiB of other ways, of which this one takes 2 more at its peak, and keeps 1."""
    held, peaks, calls = [3.0], [9.0], []

    def reset(device):
        peaks[0] = held[0]
        calls.append("reset")

    def build():
        held[0], peaks[0] = 4.0, 5.0
        return lambda: None

    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held[0] * 2**30)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peaks[0] * 2**30)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("emptied"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert gpu.begun(build, torch.device("cuda")).memory == 2 and calls == ["emptied", "reset"]
