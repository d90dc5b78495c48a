"""Fixtures for all unit tests."""

import tempfile
from collections.abc import Iterator

import pytest
import torch
from pretended import KIND, Pretended, pretended

from ncsn_edu.devices import Problem


@pytest.fixture(
    params=[
        "cpu",
        KIND,
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
    ]
)
def device(request, monkeypatch) -> Iterator[torch.device]:
    """Each device there is, in turn, and one that is none."""
    if request.param == KIND:
        with pretended(monkeypatch):
            yield torch.device(KIND)
    else:
        yield torch.device(request.param)


@pytest.fixture(params=["as a GPU", "as Apple's"])
def far(request, monkeypatch) -> Iterator[Pretended]:
    """A device that is none, which notes what the host waits for."""
    with pretended(monkeypatch, as_mps=request.param == "as Apple's") as there:
        yield there


@pytest.fixture(autouse=True)
def commands_on_the_processor(request, monkeypatch) -> None:
    """Commands that name no device take a GPU where there is one; what they are to give is known for the processor."""
    on_a_card = any("CUDA" in mark.kwargs.get("reason", "") for mark in request.node.iter_markers("skipif"))
    if request.path.stem == "test_devices" or "device" in request.fixturenames or on_a_card:
        return
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of processes that are started
    monkeypatch.setattr("ncsn_edu.commands.common.cuda_available", lambda: (False, Problem()))


@pytest.fixture
def own_figures(tmp_path, monkeypatch):
    """Write mode into a folder of the test's own; temporary folders beside it."""
    from matplotlib import pyplot as plt

    for name in ("NCSN_EDU_FIGURES", "NCSN_EDU_FIGURES_ONLY", "NCSN_EDU_FIGURES_DONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(tmp_path / "figures"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield tmp_path / "figures"
    plt.close("all")
