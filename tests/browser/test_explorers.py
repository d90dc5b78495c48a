"""The explorers in a real JupyterLab: a reader opens a notebook, runs it, moves sliders by keyboard, and looks."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import pytest
from PIL import Image

from ncsn_edu import widgets

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from conftest import Lab

EXPLORERS = {
    "01_scores": "ScoreFieldExplorer",
    "02_score_matching": "ObjectiveExplorer",
    "03_langevin": "LangevinExplorer",
    "05_low_density": "ErrorExplorer",
    "06_annealing": "AnnealingExplorer",
}
PROMPT = ".jp-InputArea-prompt"
ERROR = ".jp-OutputArea-output[data-mime-type$='.error'], .jp-OutputArea-output[data-mime-type$='.stderr']"
SECONDS = 1000  # Playwright counts milliseconds

# What the picture of an image element is made of.
READ_PICTURE = """async image => {
    const blob = await (await fetch(image.src)).blob();
    return await new Promise(done => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(",")[1]);
        reader.readAsDataURL(blob);
    });
}"""


def wait_for(what: Callable[[], bool], description: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"after {seconds} s still not so: {description}"
        time.sleep(0.03)


def same_pixels(first: bytes, second: bytes) -> bool:
    """Equal up to what another rounding changes: a few levels of grey, in few pixels."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float) for png in (first, second))
    return a.shape == b.shape and np.abs(a - b).mean() < 0.05


class Notebook:
    """A notebook open in JupyterLab, and the explorer in it."""

    def __init__(self, page: Page, lab: Lab, name: str, screenshots: Path) -> None:
        self.page, self.name, self.screenshots = page, name, screenshots
        self.stored = nbformat.read(lab.notebooks / f"{name}.ipynb", as_version=4)
        call = re.compile(rf"^(\w+ = )?(\w+\.)?{EXPLORERS[name]}\(", re.MULTILINE)
        places = [
            i for i, cell in enumerate(self.stored.cells) if cell.cell_type == "code" and call.search(cell.source)
        ]
        assert len(places) == 1, f"{name} should have one cell with {EXPLORERS[name]}(...), and has {len(places)}"
        self.place = places[0]
        page.goto(lab.address(f"lab/tree/{name}.ipynb") + "&reset")
        self.cells = page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell")
        self.cell = self.cells.nth(self.place)
        self.cell.wait_for(timeout=60 * SECONDS)
        self.wait_until_idle()
        assert self.cells.count() == len(self.stored.cells)

    def wait_until_idle(self) -> None:
        self.page.get_by_text(re.compile(r"^Python 3.* \| Idle$")).wait_for(timeout=60 * SECONDS)

    def run_all(self) -> None:
        """Run All Cells from the menu, and wait until every code cell has run."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self._wait_until_run()

    def run_explorer(self) -> None:
        """Run the cells that import, and the explorer's, with the keyboard."""
        code = [(i, cell.source) for i, cell in enumerate(self.stored.cells) if cell.cell_type == "code"]
        wanted = [i for i, text in code if i < self.place and re.search(r"^(import|from) ", text, re.MULTILINE)]
        for place in [*wanted, self.place]:
            self.cells.nth(place).locator(".cm-content").click()
            self.page.keyboard.press("Control+Enter")
        self._wait_until_run()

    def _wait_until_run(self) -> None:
        live = self.cell.locator(".ncsn-readout")  # not the stored picture

        def finished() -> bool:
            errors = self.page.locator(ERROR).all_inner_texts()
            assert not errors, "\n".join(errors)
            prompts = self.cells.locator(PROMPT).all_inner_texts()  # [*]: waits or runs, [ ]: was given up
            return live.is_visible() and not {"[*]:", "[ ]:"} & set(prompts)

        wait_for(finished, "every cell has run, and the explorer is there", seconds=240)
        self.wait_until_idle()
        self.image.wait_for()

    # ---- the explorer

    @property
    def image(self) -> Locator:
        return self.cell.locator("img.widget-image")

    def picture(self) -> bytes:
        return base64.b64decode(self.image.evaluate(READ_PICTURE))

    def says(self) -> str:
        return self.cell.locator(".ncsn-readout").inner_text()

    def number(self, pattern: str) -> float:
        """The number in the line under the picture that stands where the pattern has {}."""
        found = re.search(pattern.replace("{}", r"([-+]?[\d.]+(?:e[-+]?\d+)?)"), self.says())
        assert found, f"{pattern!r} is not in {self.says()!r}"
        return float(found[1])

    def control(self, label: str) -> Locator:
        exactly = re.compile(rf"^{re.escape(label)}$")
        return self.cell.locator(".jupyter-widgets", has=self.page.locator("> .widget-label", has_text=exactly))

    def button(self, label: str) -> Locator:
        return self.cell.get_by_role("button", name=label)  # not exact: the icon is part of the name

    def slider(self, label: str) -> float:
        text = self.control(label).locator(".widget-readout").inner_text()
        return float(text.replace("\N{MINUS SIGN}", "-"))

    def press(self, label: str, key: str) -> float:
        """Press a key on a slider, and wait for the line under the picture to follow. Returns the slider's number."""
        number, line = self.slider(label), self.says()
        self.control(label).locator(".noUi-handle").press(key)
        wait_for(lambda: self.slider(label) != number, f"{key} moves the slider {label!r} from {number}")
        wait_for(lambda: self.says() != line, f"the line under the picture follows the slider {label!r}")
        return self.slider(label)

    def wait_for_picture(self, other_than: bytes) -> bytes:
        wait_for(lambda: self.picture() != other_than, "the picture changes")
        return self.picture()

    def there_and_back(self, label: str, pattern: str, keys: tuple[str, str] = ("ArrowRight", "ArrowLeft")) -> None:
        """Move a slider by a key and back by another: both numbers and the picture follow, and come back."""
        before, number, line = self.picture(), self.slider(label), self.says()
        start = time.monotonic()
        moved = self.press(label, keys[0])
        after = self.wait_for_picture(other_than=before)
        print(f"{self.name}: {label} {number} -> {moved}: new picture after {1000 * (time.monotonic() - start):.0f} ms")
        assert self.number(pattern) == pytest.approx(moved, rel=0.01)
        assert not same_pixels(before, after)
        assert self.press(label, keys[1]) == number
        wait_for(lambda: same_pixels(self.picture(), before), "the picture is again as it was")
        assert self.says() == line

    def draws_what_python_draws(self, **values: object) -> None:
        """The picture in the browser is the one that the same explorer draws in this process."""
        explorer = getattr(widgets, EXPLORERS[self.name])().set(**values)
        wait_for(lambda: same_pixels(self.picture(), explorer.picture.value), f"the browser shows {explorer!r}")

    def check_layout(self) -> None:
        """The picture has its own size, and nothing of the explorer lies outside of its cell."""
        size = self.image.evaluate("i => [i.width, i.height, i.naturalWidth, i.naturalHeight]")
        assert size[0] / size[2] == pytest.approx(size[1] / size[3], abs=0.01), f"the picture is stretched: {size}"
        assert 0.9 <= size[0] / size[2] <= 1, f"the picture is not shown at about its own size: {size}"
        cut = self.cell.evaluate(
            """cell => {
                const right = cell.querySelector(".jp-OutputArea-output").getBoundingClientRect().right;
                return [...cell.querySelectorAll(".jupyter-widgets, .ncsn-readout")].filter(
                    e => e.getBoundingClientRect().right > right + 1 || e.scrollWidth > e.clientWidth + 1
                ).map(e => e.className + ": " + e.innerText);
            }"""
        )
        assert not cut, f"cut off on the right: {cut}"

    def screenshot(self, what: str) -> None:
        self.cell.scroll_into_view_if_needed()
        self.page.screenshot(path=self.screenshots / f"{self.name}-{what}.png")


@pytest.fixture
def open_notebook(page: Page, lab: Lab, screenshots: Path) -> Callable[[str], Notebook]:
    return lambda name: Notebook(page, lab, name, screenshots)


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_notebook_that_was_not_run_shows_the_stored_picture(open_notebook, name):
    notebook = open_notebook(name)
    stored = [out.data["image/png"] for out in notebook.stored.cells[notebook.place].outputs if "image/png" in out.data]
    image = notebook.cell.locator(".jp-RenderedImage img")
    image.scroll_into_view_if_needed()
    assert image.count() == len(stored) == 1
    assert base64.b64decode(image.get_attribute("src").split(",")[1]) == base64.b64decode(stored[0])
    assert image.evaluate("i => i.complete && i.naturalWidth") > 800
    assert notebook.cell.locator(".ncsn-readout").count() == 0
    notebook.screenshot("stored")


def test_score_field_explorer(open_notebook):
    notebook = open_notebook("01_scores")
    notebook.run_all()
    notebook.check_layout()
    notebook.screenshot("start")
    for label, pattern in (
        ("weight of left", "left: weight {}"),
        ("distance", "distance {}"),
        ("noise sigma", "noise sigma {}"),
    ):
        notebook.there_and_back(label, pattern)
    notebook.there_and_back("distance", "distance {}", keys=("PageDown", "PageUp"))
    score = notebook.number(r"score at the origin \({},")
    weight = notebook.press("weight of left", "End")
    wait_for(lambda: notebook.number("left: weight {}") == weight, "the line under the picture shows the last weight")
    assert weight == 0.98
    assert notebook.number(r"score at the origin \({},") < 0 < score
    sigma = [notebook.press("noise sigma", "PageUp") for _ in range(4)][-1]
    wait_for(lambda: notebook.number("noise sigma {}") == sigma, "the line under the picture shows the last sigma")
    notebook.draws_what_python_draws(weight=weight, sigma=sigma)
    notebook.screenshot("moved")


def test_objective_explorer(open_notebook):
    """Training goes on beside the page: the picture follows, sliders answer, and the button stops it."""
    notebook = open_notebook("02_score_matching")
    notebook.run_explorer()
    notebook.check_layout()
    notebook.screenshot("start")
    assert "Press Train" not in notebook.says()  # it comes with a result
    notebook.control("objective").locator("select").select_option("sliced")
    wait_for(lambda: "Press Train" in notebook.says() and "1 rademacher" in notebook.says(), "a new problem is posed")
    notebook.draws_what_python_draws(objective="sliced")
    notebook.there_and_back("noise sigma", "noise sigma {}")
    for key in ("ArrowRight", "ArrowLeft"):  # one figure in the title is all that changes in the picture
        number = notebook.press("projections", key)
        assert notebook.number("{} rademacher") == number
    notebook.press("steps", "End")

    before = notebook.picture()
    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.number("step {} of") >= 200, "training shows itself", seconds=60)
    notebook.wait_for_picture(other_than=before)
    notebook.button("Stop").press("Space")
    notebook.button("Train").wait_for()
    time.sleep(0.5)  # the page may still have to show what came before the stop
    stopped = notebook.says()
    assert 200 <= notebook.number("step {} of") < 3000
    assert notebook.number("Fisher divergence {};") < notebook.number("before training {}")
    notebook.screenshot("stopped")
    time.sleep(0.5)
    assert notebook.says() == stopped

    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.says() != stopped, "training begins anew", seconds=60)
    notebook.press("noise sigma", "PageUp")
    wait_for(lambda: "Press Train" in notebook.says(), "a slider moved meanwhile poses another problem")
    notebook.button("Train").wait_for()


def test_error_explorer(open_notebook):
    notebook = open_notebook("05_low_density")
    notebook.run_explorer()
    notebook.check_layout()
    notebook.screenshot("start")
    error = notebook.number("median error there {},"), notebook.number("elsewhere {}$")
    assert error[0] > 3 * error[1]
    notebook.there_and_back("threshold, log p", "below {}")  # moves the line, and leaves what was learned
    notebook.press("noise sigma", "PageUp")
    wait_for(lambda: "Press Train" in notebook.says(), "a new problem is posed")
    notebook.there_and_back("noise sigma", "noise sigma {}")
    before = notebook.picture()
    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.number("step {} of") >= 250, "training shows itself", seconds=60)
    notebook.wait_for_picture(other_than=before)
    notebook.press("threshold, log p", "PageUp")  # while it trains
    wait_for(lambda: notebook.number("step {} of") == 1500, "training comes to its end", seconds=120)
    notebook.button("Train").wait_for()
    notebook.screenshot("noise")


def test_langevin_explorer(open_notebook):
    notebook = open_notebook("03_langevin")
    notebook.run_explorer()
    notebook.check_layout()
    notebook.screenshot("start")
    notebook.there_and_back("step alpha", "step alpha {}")
    notebook.there_and_back("steps", ", {} steps")

    before, line = notebook.picture(), notebook.says()
    assert "acceptance rate" not in line
    notebook.cell.locator("input[type=checkbox]").press("Space")
    wait_for(lambda: "acceptance rate" in notebook.says(), "the correction shows an acceptance rate")
    first = notebook.number("acceptance rate {}")
    assert 0 < first <= 1
    corrected = notebook.wait_for_picture(other_than=before)
    notebook.press("step alpha", "PageUp")
    assert 0 < notebook.number("acceptance rate {}") < first
    notebook.press("step alpha", "PageDown")
    wait_for(lambda: same_pixels(notebook.picture(), corrected), "the corrected picture is back")
    notebook.draws_what_python_draws(metropolis=True)
    notebook.screenshot("mala")
    notebook.cell.locator("input[type=checkbox]").press("Space")
    wait_for(lambda: notebook.says() == line, "without the correction all is as before")

    notebook.control("start").locator("select").select_option("one far point")
    wait_for(lambda: notebook.says() != line, "another start gives another result")
    notebook.press("step alpha", "End")
    wait_for(
        lambda: "ran away" in notebook.says() and "unstable" in notebook.says(), "large steps run away, and it says so"
    )
    notebook.draws_what_python_draws(alpha=10, start="one far point")
    notebook.screenshot("ran-away")


def test_annealing_explorer(open_notebook):
    notebook = open_notebook("06_annealing")
    notebook.run_explorer()
    notebook.check_layout()
    notebook.screenshot("start")
    assert "Result" in notebook.says()
    run = notebook.button("Run")

    notebook.press("eps", "ArrowRight")
    assert "Result" not in notebook.says()  # it was for other settings; from here on nothing has been run
    notebook.there_and_back("eps", "eps {}")
    notebook.there_and_back("levels L", "L {}")
    while "unstable" not in notebook.says():
        assert "Press Run" in notebook.says() and "Result" not in notebook.says()
        assert notebook.number("eps {}") < notebook.number("limit of {}")
        eps = notebook.press("eps", "ArrowRight")
        wait_for(lambda eps=eps: notebook.number("eps {}") == pytest.approx(eps, rel=0.01), f"the line shows eps {eps}")
    assert notebook.number("eps {}") >= notebook.number("limit of {}")
    assert "Press Run" in notebook.says() and "Result" not in notebook.says()
    notebook.screenshot("unstable")

    before = notebook.picture()
    run.press("Enter")
    wait_for(lambda: "ran away at level" in notebook.says(), "the chains run away, as predicted")
    notebook.wait_for_picture(other_than=before)
    notebook.screenshot("ran-away")

    for _ in range(4):
        notebook.press("eps", "PageDown")
    wait_for(lambda: "unstable" not in notebook.says(), "a small eps is stable")
    assert "Result" not in notebook.says()
    before = notebook.picture()
    run.press("Space")
    wait_for(lambda: "Result: small mode" in notebook.says(), "the chains arrive")
    notebook.wait_for_picture(other_than=before)
    low, high = notebook.number(r"\[{}, "), notebook.number(r"\[[\d.]+, {}\]")
    assert low < notebook.number("small mode {}") < high
    assert low <= 0.21 and high >= 0.19
    notebook.screenshot("settled")
