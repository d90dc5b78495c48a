"""A live view of training: what is trained and yielded is the same, watched or not; the picture shows what was read."""

import base64
import io
from types import SimpleNamespace

import IPython.display
import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image
from torch import nn

from ncsn_edu.losses import Denoising
from ncsn_edu.training import TrainState, train
from ncsn_edu.widgets import live, watch

LEVELS = 3


class Net(nn.Module):
    """x, and half of the time nothing: what it learns depends on the global random state and on its mode."""

    def __init__(self):
        super().__init__()
        self.scale, self.drop = nn.Parameter(torch.ones(())), nn.Dropout(0.5)

    def forward(self, x, sigma):
        return -self.drop(self.scale * x)


def training(n_steps: int = 25, device: torch.device | str = "cpu"):
    torch.manual_seed(0)
    generator = torch.Generator(device).manual_seed(1)
    batches = iter(lambda: torch.randn(8, 2, generator=generator, device=device), None)
    ladder = torch.tensor([1.0, 0.3, 0.1])
    return train(Net().to(device), batches, objective=Denoising(ladder, generator=generator), n_steps=n_steps)


def by_hand(n: int) -> list[TrainState]:
    """States without training: 6 losses each, two of every level."""
    model, generator = Net(), torch.Generator().manual_seed(2)
    level = torch.arange(6) % LEVELS
    return [TrainState(k, torch.rand(6, generator=generator) + level, level, model, model) for k in range(1, n + 1)]


@pytest.fixture
def notebook(monkeypatch):
    """As if in a notebook: what is displayed, and what takes its place in the end."""
    monkeypatch.delenv("NCSN_EDU_PROGRESS", raising=False)
    monkeypatch.delenv("NCSN_EDU_FIGURES", raising=False)
    monkeypatch.setattr(live, "in_notebook", lambda: True)
    seen = SimpleNamespace(shown=[], stays=[], views=[])

    def display(widget, display_id):
        seen.shown.append(widget)
        return SimpleNamespace(update=seen.stays.append)

    monkeypatch.setattr(IPython.display, "display", display)
    build = live.View.__init__
    monkeypatch.setattr(
        live.View, "__init__", lambda view, *arguments: seen.views.append(view) or build(view, *arguments)
    )
    return seen


def axes(view: live.View) -> dict[str, object]:
    return {ax.get_title(): ax for ax in view.figure.axes}


def test_states_pass_unchanged(notebook):
    states = by_hand(25)
    assert all(a is b for a, b in zip(watch(states, every=10), states, strict=True))
    assert len(notebook.shown) == len(notebook.stays) == 1


def test_where_a_screen_is_sharp_the_picture_has_twice_the_pixels_at_its_size(notebook, monkeypatch):
    sizes = []
    for sharp in "01":
        monkeypatch.setenv("NCSN_EDU_FIGURES_SHARP", sharp)
        list(watch(by_hand(3), every=3))
        image, stays = notebook.shown[-1].children[1], notebook.stays[-1]
        sizes.append(((int(image.width), int(image.height)), Image.open(io.BytesIO(stays.data)).size))
    (shown, pixels), (shown_sharp, pixels_sharp) = sizes
    assert shown == pixels == shown_sharp == (stays.width, stays.height)
    assert pixels_sharp == (2 * pixels[0], 2 * pixels[1])


def test_what_is_learned_does_not_depend_on_watching(notebook, device):
    losses = [state.loss for state in training(device=device)]
    samples = []

    def sample(model):
        samples.append(model)
        assert not model.training
        return torch.rand(4, 1, 5, 5, device=device)

    states = watch(training(device=device), every=7, sample=sample)
    watched = [(state.loss, state.model.training) for state in states]
    assert watched == [(loss, True) for loss in losses]
    assert len(samples) == 4


def test_the_picture_shows_losses_by_step_and_by_level_and_samples(notebook):
    states = by_hand(25)
    x = torch.rand(3, 1, 4, 5)
    for _ in watch(states, n_steps=40, every=10, window=4, sample=lambda model: x):
        pass
    (view,) = notebook.views
    parts = axes(view)
    assert parts.keys() == {"step 25 of 40", "by level", "samples"}
    (line,) = parts["step 25 of 40"].lines
    losses = np.array([state.losses.numpy().mean() for state in states])
    np.testing.assert_allclose(line.get_xdata(), np.arange(4, 26))
    np.testing.assert_allclose(line.get_ydata(), np.convolve(losses, np.ones(4) / 4, "valid"), rtol=1e-5)
    assert f"{losses[-4:].mean():.4g}" in parts["step 25 of 40"].get_ylabel()
    lines = parts["by level"].lines
    assert len(lines) == LEVELS
    for level, line in enumerate(lines):
        kept = np.stack([state.losses.numpy()[[level, level + LEVELS]] for state in states])
        means = [kept[:10].mean(), kept[10:20].mean(), kept[20:].mean()]
        np.testing.assert_allclose(line.get_xdata(), [10, 20, 25])
        np.testing.assert_allclose(line.get_ydata(), means, rtol=1e-5)
    (image,) = parts["samples"].images
    assert np.asarray(image.get_array()).shape[:2] == (9, 11)
    np.testing.assert_allclose(np.asarray(image.get_array())[:4, :5].squeeze(), x[0, 0])


def test_losses_without_levels_below_zero_and_few(notebook):
    states = [state._replace(level=None, losses=state.losses - 10) for state in by_hand(3)]
    list(watch(states, every=100))
    (ax,) = notebook.views[0].figure.axes
    assert ax.get_title() == "step 3"
    mean = torch.stack([state.losses for state in states]).mean().item()
    assert ax.lines[0].get_ydata() == pytest.approx([mean], rel=1e-5)


def test_a_level_that_no_batch_had_is_a_gap(notebook):
    states = by_hand(4)
    states[:2] = [state._replace(level=torch.zeros(6, dtype=torch.long)) for state in states[:2]]
    list(watch(states, every=2))
    first, *_, last = axes(notebook.views[0])["by level"].lines
    assert np.isfinite(first.get_ydata()).all() and np.isnan(last.get_ydata()).tolist() == [True, False]


def test_many_steps_and_levels_are_thinned_for_the_picture(notebook):
    states = by_hand(2500)
    states[-1] = states[-1]._replace(level=torch.arange(6) * 40)
    list(watch(states, every=2500))
    view = notebook.views[0]
    loss, levels = view.figure.axes
    assert 500 < len(loss.lines[0].get_xdata()) <= view.n_points and len(levels.lines) == 10


def test_the_device_is_asked_only_now_and_then(notebook, monkeypatch):
    asked = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda x, *a, real=real, **k: asked.append(1) or real(x, *a, **k))
    reads = []
    for state in watch(by_hand(30), every=10):
        if asked:
            reads.append(state.step)
            asked.clear()
    assert reads == [10, 20, 30]


def test_the_number_of_steps_is_that_of_the_training(notebook):
    for _ in watch(training(12), every=5):
        pass
    assert "step 12 of 12" in axes(notebook.views[0])


def test_the_widget_changes_and_a_picture_takes_its_place(notebook):
    pictures, alts = [], []
    for _ in watch(by_hand(6), every=2):
        (box,) = notebook.shown
        words, widget = box.children
        pictures.append(widget.value)
        alts.append(words.names["img"])
    assert len(set(pictures)) == 4  # the empty one and three more
    assert notebook.stays[0].data == pictures[-1]
    assert len(set(alts)) == 4 and "the last of which is 6:" in alts[-1] and notebook.stays[0].alt == alts[-1]
    assert Image.open(io.BytesIO(pictures[-1])).size == (int(widget.width), int(widget.height))


def test_a_loop_that_breaks_off_is_shown_to_its_last_step(notebook):
    samples = []
    watched = watch(by_hand(30), every=10, sample=lambda model: samples.append(1) or torch.rand(1, 1, 2, 2))
    for state in watched:
        if state.step == 13:
            break
    watched.close()
    assert notebook.views[0].steps == list(range(1, 14)) and "step 13" in axes(notebook.views[0])
    assert len(notebook.stays) == len(samples) == 1


def test_training_that_fails_is_shown_and_the_error_passes(notebook):
    def broken():
        yield from by_hand(5)
        raise FloatingPointError("the loss is nan")

    with pytest.raises(FloatingPointError, match="the loss is nan"):
        list(watch(broken(), every=10))
    assert notebook.views[0].steps == [1, 2, 3, 4, 5] and len(notebook.stays) == 1


@pytest.mark.parametrize(("variable", "value"), [("NCSN_EDU_PROGRESS", "0"), ("NCSN_EDU_FIGURES", "check")])
def test_nothing_is_shown_or_sampled_where_outputs_are_stored(notebook, monkeypatch, capfd, variable, value):
    monkeypatch.setenv(variable, value)
    states = by_hand(25)
    assert list(watch(states, every=10, sample=lambda model: pytest.fail("sampled"))) == states
    assert not notebook.shown and not notebook.views and capfd.readouterr() == ("", "")


def test_in_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.delenv("NCSN_EDU_PROGRESS", raising=False)
    monkeypatch.delenv("NCSN_EDU_FIGURES", raising=False)
    states = by_hand(7)
    assert list(watch(states, n_steps=7)) == states
    said = capsys.readouterr().err
    assert "training" in said and "/7" in said


@pytest.mark.parametrize("options", [{"every": 0}, {"window": 0.5}, {"n_steps": -1}])
def test_numbers_that_make_no_sense(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        watch([], **options)


CELL = """
import os, torch
os.environ.pop("NCSN_EDU_FIGURES", None)
os.environ["NCSN_EDU_PROGRESS"] = "{}"
from ncsn_edu.training import TrainState
from ncsn_edu.widgets import watch
net = torch.nn.Linear(1, 1)
for state in watch([TrainState(k, torch.rand(4), None, net, net) for k in range(1, 8)], every=3):
    pass
"""


def test_in_a_real_kernel():
    cells = [nbformat.v4.new_code_cell(CELL.format(progress)) for progress in "10"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", store_widget_state=False, timeout=300).execute()
    live, stored = (cell.outputs for cell in notebook.cells)
    assert stored == []
    (output,) = live
    assert "application/vnd.jupyter.widget-view+json" not in output.data
    assert Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).size == (620, 290)
