"""A page that is loaded again, in JupyterLab and in Notebook 7: the kernel has not ended, and explorers live on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_explorers import Notebook, PageNotebook
from waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from conftest import Lab

WIDGET = "application/vnd.jupyter.widget-view+json"
OF_NOTEBOOK = ("'schema'", "filebrowser:open-path")  # errors of Notebook 7 itself, on any page


def leave(page: Page, errors: list[str]) -> None:
    """Requests that JupyterLab gives up on the way out fail, and are nobody's fault."""
    before = list(errors)
    page.goto("about:blank")
    errors[:] = before


@pytest.mark.parametrize(
    ("kind", "name", "label", "pattern"),
    [
        (PageNotebook, "01_scores", "distance", "distance {}"),
        (Notebook, "08_noise_conditional", "level", ", level {} of"),
    ],
)
def test_explorers_outlive_their_page(
    kind: type[Notebook],
    name: str,
    label: str,
    pattern: str,
    page: Page,
    errors: list[str],
    lab: Lab,
    screenshots: Path,
) -> None:
    notebook = kind(page, lab, name, screenshots)
    notebook.run()
    moved, cells = notebook.press(label, "ArrowRight"), notebook.cells.count()
    if kind is PageNotebook:
        page.keyboard.press("b")  # would add a cell, were it not the slider's
        page.keyboard.press("Control+Backspace")  # and this would join this cell and the one above
    page.keyboard.press("Control+s")  # with the slider in focus, too, this is the notebook's
    wait_for(lambda: WIDGET in (lab.notebooks / f"{name}-explorer.ipynb").read_text(), "the notebook is saved")
    assert notebook.cells.count() == cells

    address = page.url
    leave(page, errors)
    page.goto(address)
    notebook.cell.locator(".ncsn-readout").wait_for()
    notebook.wait_until_idle()
    wait_for(lambda: notebook.says(), "the line has words")
    assert notebook.slider(label) == notebook.number(pattern) == moved, "what the reader chose has stayed"
    notebook.there_and_back(label, pattern)
    notebook.check_layout()
    notebook.screenshot("loaded-again")

    leave(page, errors)
    page.goto(lab.address(f"notebooks/notebooks/{name}-explorer.ipynb"))
    notebook.cell.locator(".ncsn-readout").wait_for()
    assert page.locator("body[data-notebook=notebooks]").count() == 1, "this is Notebook 7"
    wait_for(lambda: notebook.says(), "the line has words")
    assert notebook.slider(label) == moved
    notebook.there_and_back(label, pattern)  # by arrow keys, which Notebook 7 takes for the page where it can
    notebook.screenshot("notebook-7")
    leave(page, errors)
    errors[:] = [error for error in errors if not any(known in error for known in OF_NOTEBOOK)]
