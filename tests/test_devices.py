"""A device is believed in after one kernel has run on it; what hinders it is said in words."""

import os
import subprocess
import sys
import warnings
from contextlib import contextmanager

import pytest
import torch

from ncsn_edu import devices, doctor
from ncsn_edu.__main__ import main
from ncsn_edu.commands.common import Failed, check_bf16, find_device
from ncsn_edu.recipes import RECIPES, changed

# What PyTorch says of a card or a driver that is too old, as users report it.
NO_KERNEL = (
    "CUDA error: no kernel image is available for execution on the device\n"
    "CUDA kernel errors might be asynchronously reported at some other API call"
)
OLD_DRIVER = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version"
)


@pytest.fixture
def card(monkeypatch):
    """A card that is there, and whose kernels end as the list says: an error's text, or nothing."""
    ends = []

    def ones(*shape, device):
        if ends:
            raise RuntimeError(ends[0])
        return torch.zeros(shape) + 1

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch, "Generator", lambda device: None)
    return ends


def test_a_card_that_runs_a_kernel_is_used(card, capsys):
    assert find_device(None) == "cuda" and find_device("cuda:1") == "cuda:1"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NO_KERNEL, "the card is too old, or too new"),
        ("CUDA driver version is insufficient for CUDA runtime version", "the driver is too old"),
        ("CUDA error: unspecified launch failure", "unspecified launch failure"),
        ("", "no reason given"),
    ],
)
def test_a_card_that_cannot_is_not_used_and_refused_where_it_is_asked_for(card, capsys, text, said):
    card.append(text)
    assert find_device(None) == "cpu"
    assert said in capsys.readouterr().err
    with pytest.raises(Failed, match=f"--device cuda cannot be used here .*{said}.*--device cpu"):
        find_device("cuda")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "2.13")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    about = type("About", (), {"name": "Old Card", "total_memory": 2**31})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: about)
    (check,) = doctor._gpu()
    monkeypatch.undo()
    assert check.status == "optional" and "Old Card" in check.detail and said in check.detail


def test_a_process_of_its_own_card_is_told_of_processes_and_not_of_an_option(card, monkeypatch):
    """torchrun's processes take a card each, by their number: nobody asked for this one."""
    card.append("CUDA error: invalid device ordinal")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(Failed, match="would use cuda:3.*invalid device ordinal.*--nproc_per_node.*--device cpu"):
        find_device("cuda:3")


def test_a_driver_that_is_too_old_is_said(monkeypatch, capsys):
    def not_available():
        warnings.warn(OLD_DRIVER, stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", not_available)
    assert find_device(None) == "cpu"
    assert "the driver is too old" in capsys.readouterr().err
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "2.13")
    (check,) = doctor._gpu()
    assert check.detail == "the driver is too old for this PyTorch" and "update it" in check.fix


def test_without_a_card_nothing_is_said(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device(None) == "cpu" and capsys.readouterr().err == ""


def test_the_processor_runs_a_kernel_and_unknown_devices_are_told():
    assert devices.kernel_problem("cpu") == devices.Problem("", "")
    assert devices.kernel_problem("gpu").what


@pytest.mark.parametrize(
    ("there", "computes"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, False),
    ],
)
def test_a_recipe_in_bfloat16_is_trained_in_float32_where_that_is_faster(
    there, computes, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: there, raising=False)
    assert devices.computes_bf16("cpu") == computes
    recipe = changed(RECIPES["digits"]["smoke"], bf16=True, n_steps=1)
    training = recipe.training(torch.zeros(16, 1, 8, 8, dtype=torch.uint8))
    seen = []
    convolution = [m for m in training.model.modules() if isinstance(m, torch.nn.Conv2d)][1]  # from several channels
    convolution.register_forward_hook(lambda module, x, y: seen.append(y.dtype))
    next(training)
    assert seen == [torch.bfloat16 if computes else torch.float32]
    layout = convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert layout and not convolution.weight.is_contiguous(), "on a processor wide nets are faster so, in float32 too"
    words = ["train", "digits", "--scale", "smoke", "--steps", "1", "--bf16", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    said = "on cpu, in bfloat16\n" if computes else "on cpu, in float32, as it has no instructions for bfloat16\n"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("computes", [True, False])
def test_a_card_without_bfloat16_trains_in_float32_and_samples_as_asked_or_not_at_all(computes, monkeypatch):
    asked = []

    @contextmanager
    def current(device):
        asked.append(device)
        yield

    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: computes)
    assert devices.computes_bf16("cuda:1") == computes and asked == ["cuda:1"]
    if computes:
        check_bf16(True, "cuda:1")
    else:
        with pytest.raises(Failed, match="cuda:1 does not compute in bfloat16: leave out --bf16"):
            check_bf16(True, "cuda:1")
    check_bf16(False, "cuda:1")


def test_the_command_line_answers_without_loading_torch():
    code = "import sys, ncsn_edu.__main__ as m; m.main(['--version']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts the pages that Linux gives a process")
def test_memory_of_large_tensors_is_kept_for_the_next_ones():
    script = """
import ctypes, resource, sys
import torch
from ncsn_edu.__main__ import main
if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
    sys.exit("no glibc")
if sys.argv[1] == "command":
    main(["data", "list"])
def step():
    torch.zeros(25_000_000).fill_(1.0)  # 100 MB, as an activation of 256 photographs
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print("pages", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    pages, own = {}, {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    for how in ("plain", "command"):
        done = subprocess.run([sys.executable, "-c", script, how], capture_output=True, text=True, env=own)
        if "no glibc" in done.stderr:
            pytest.skip("another allocator")
        assert done.returncode == 0, done.stderr
        pages[how] = int(done.stdout.rpartition("pages ")[2])
    assert pages["command"] < 0.1 * pages["plain"]
