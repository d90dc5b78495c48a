"""The player of animations in a real JupyterLab: it plays, stops, and goes where the slider goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import site_check
from test_explorers import settled
from waiting import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from conftest import Lab

CELL = """
from matplotlib import pyplot as plt
from ncsn_edu import save_animation
fig, ax = plt.subplots(figsize=(3, 3))
(line,) = ax.plot([0, 1], [0, 1])
save_animation(fig, "turns", lambda k: line.set_ydata([0, k]), range(12), fps=2,
    alt="A line turns.", caption="It turns.")
"""
WATCH = """
import os, time, torch
from ncsn_edu import TrainState
from ncsn_edu.widgets import watch
os.environ["NCSN_EDU_PROGRESS"] = "1"
for k, state in enumerate(watch([TrainState(k, torch.rand(4), None, None, None) for k in range(1, 31)], every=10)):
    while k == 20 and not os.path.exists("seen"):
        time.sleep(0.1)
"""
OUTPUTS = ".jp-OutputArea:has(.widget-image)"


def frame(cell: Locator) -> int:
    """The number in the line under the picture."""
    return int(re.search(r"frame (\d+) of 12", cell.locator(".ncsn-readout").inner_text())[1])


def slider(cell: Locator) -> int:
    return int(cell.locator(".widget-readout").inner_text())


def test_player(page: Page, lab: Lab, screenshots: Path) -> None:
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (CELL, WATCH))), metadata=kernel)
    nbformat.write(notebook, lab.notebooks / "player.ipynb")
    page.goto(lab.notebook("player"))
    cell = page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell").first
    cell.wait_for()
    page.get_by_text(re.compile(r"^Python 3.* \| Idle$")).wait_for()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    image = cell.locator("img.widget-image")
    image.wait_for()
    assert cell.get_by_text("It turns.").last.is_visible()
    assert frame(cell) == 1

    handle = cell.locator(".noUi-handle")
    first = image.get_attribute("src")
    handle.press("ArrowRight")
    wait_for(lambda: frame(cell) == slider(cell) == 2, "an arrow key goes to the next frame")
    wait_for(lambda: image.get_attribute("src") != first, "the picture follows")
    handle.press("ArrowLeft")
    wait_for(lambda: frame(cell) == 1, "and back")

    assert image.get_attribute("alt") == "A line turns."
    assert site_check.findings(page, site_check.axe_script(), within=OUTPUTS) == []

    play, stop, *_ = cell.locator(".widget-play button").all()
    play.press("Enter")
    wait_for(lambda: frame(cell) > 3, "it plays")
    play.press("Enter")
    assert settled(lambda: frame(cell)) < 12  # in two seconds four would be played
    page.screenshot(path=screenshots / "player.png")
    play.press("Enter")
    wait_for(lambda: frame(cell) == 12, "it goes on to the last frame")
    stop.press("Enter")
    wait_for(lambda: frame(cell) == 1, "stopped, it is at its beginning")

    cell = page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell").nth(1)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    live = cell.locator("img.widget-image[alt*='the last of which is 20:']")  # training, while it goes on
    live.wait_for()
    assert site_check.findings(page, site_check.axe_script(), within=OUTPUTS) == []
    (lab.notebooks / "seen").touch()
    cell.locator(".jp-RenderedImage img").wait_for()  # and a picture that stays
    assert live.count() == 0
