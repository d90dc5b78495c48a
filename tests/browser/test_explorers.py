"""The explorers in a real JupyterLab: a reader opens a notebook, runs it, moves sliders by keyboard, and looks."""

from __future__ import annotations

import ast
import base64
import io
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import matplotlib.colors
import nbformat
import numpy as np
import pytest
import site_check
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image
from waiting import wait_for

from ncsn_edu import plots, widgets
from ncsn_edu.outputs import sharpness
from ncsn_edu.widgets.page import element, script

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from conftest import Lab

EXPLORERS = {
    "01_scores": "ScoreFieldExplorer",
    "03_score_matching": "ObjectiveExplorer",
    "02_langevin": "LangevinExplorer",
    "05_manifold": "ManifoldExplorer",
    "06_low_density": "ErrorExplorer",
    "07_annealing": "AnnealingExplorer",
    "08_noise_conditional": "NoiseLevelExplorer",
    "10_train_and_sample": "SamplingExplorer",
    "11_inpainting": "InpaintingExplorer",
    "14_improved_techniques": "LadderExplorer",
    "15_vae": "LatentExplorer",
    "16_ddpm": "DdimExplorer",
    "17_sdes": "DiffusionExplorer",
    "18_any_model_any_sampler": "GridExplorer",
    "19_conditions": "GuidanceExplorer",
}
PROMPT = ".jp-InputArea-prompt"
ERROR = ".jp-OutputArea-output[data-mime-type$='.error'], .jp-OutputArea-output[data-mime-type$='.stderr']"
Shown = TypeVar("Shown")

# What the picture of an image element is made of.
READ_PICTURE = """async image => {
    const blob = await (await fetch(image.src)).blob();
    return await new Promise(done => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(",")[1]);
        reader.readAsDataURL(blob);
    });
}"""

# Of an image element: as it is shown, and its own once it has been read.
SIZES = """async (i) => {
    while (!(i.complete && i.naturalWidth)) await new Promise((read) => setTimeout(read, 20));
    return [i.width, i.height, i.naturalWidth, i.naturalHeight];
}"""

# Press the button, and again on the way: once the line of numbers has a number in this range where the pattern says.
PRESSED_TWICE = """async (cell, [action, pattern, least, most]) => {
    const button = [...cell.querySelectorAll("button")].find((button) => button.innerText.includes(action));
    const drawn = () => new Promise((done) => requestAnimationFrame(done));
    const says = () => Number(cell.querySelector(".ncsn-readout").innerText.match(pattern)?.[1].replaceAll(",", ""));
    button.click();
    while (!button.innerText.includes("Stop")) await drawn();
    while (!(least <= says() && says() <= most)) {
        if (!button.innerText.includes("Stop")) throw new Error("the run has ended before it was stopped");
        await drawn();
    }
    button.click();
}"""

OUTPUTS = ".jp-OutputArea:has(.ncsn-readout)"
CONTROLS = "[role=slider], [role=textbox], .jp-OutputArea-output :is(input, select, button)"
NAMELESS = """controls => controls.filter(c => c.offsetParent
    && !(c.ariaLabel || c.innerText.trim() || [...(c.labels ?? [])].some(label => label.innerText.trim()))
).map(c => c.outerHTML)"""

# Of a moment: the numbers of a run go on.
DESCRIBES = """(cell, id) => {
    const line = document.getElementById(id), numbers = cell.querySelector(".ncsn-readout");
    return line?.ariaLive === "polite" && line.contains(numbers) && line.innerText.trim() === numbers.innerText.trim();
}"""

READ_CANVAS = """(canvas, [right, down]) => [...canvas.getContext("2d").getImageData(
    Math.floor(right * canvas.width), Math.floor(down * canvas.height), 1, 1).data]"""


def same_pixels(first: bytes, second: bytes) -> bool:
    """Equal up to what another rounding changes: a few levels of grey, in few pixels."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float) for png in (first, second))
    return a.shape == b.shape and np.abs(a - b).mean() < 0.05


def names_of(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines, and those that it needs from the cells before it."""
    nodes = list(ast.walk(ast.parse(TransformerManager().transform_cell(source))))  # a notebook has magics
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    changed = {
        node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }
    return own, {node.id for node in nodes if isinstance(node, ast.Name)} - own | changed


def with_number(pattern: str) -> str:
    """The pattern with a number where it has {}, as a regular expression of Python and of JavaScript."""
    return pattern.replace("{}", r"([-+]?[\d.,]*\d(?:e[-+]?\d+)?)")


class Notebook:
    """A notebook open in JupyterLab, and the explorer in it.

    Unless the whole of it is asked for it is a copy with those cells alone that the explorer needs: JupyterLab takes
    longer to lay out a long notebook than to do all that the test asks of it.
    """

    def __init__(self, page: Page, lab: Lab, name: str, screenshots: Path, *, whole: bool = False) -> None:
        self.page, self.name, self.screenshots = page, name, screenshots
        self.stored = nbformat.read(lab.notebooks / f"{name}.ipynb", as_version=4)
        call = re.compile(rf"^(\w+ = )?(\w+\.)?{EXPLORERS[name]}\(", re.MULTILINE)
        places = [
            i for i, cell in enumerate(self.stored.cells) if cell.cell_type == "code" and call.search(cell.source)
        ]
        assert len(places) == 1, f"{name} should have one cell with {EXPLORERS[name]}(...), and has {len(places)}"
        self.place = places[0]
        if not whole:
            self.stored.cells = [self.stored.cells[place] for place in self._needed()]
            self.place = len(self.stored.cells) - 1
            nbformat.write(self.stored, lab.notebooks / f"{name}-explorer.ipynb")
        page.goto(lab.notebook(name if whole else f"{name}-explorer"))
        self.cells = page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell")
        self.cell = self.cells.nth(self.place)
        self.cell.wait_for()
        self.wait_until_idle()
        assert self.cells.count() == len(self.stored.cells)

    def wait_until_idle(self) -> None:
        self.page.get_by_text(re.compile(r"^Python 3.* \| Idle$")).wait_for()

    def run(self) -> None:
        """Run All Cells from the menu, wait until every code cell has run, and look at the explorer."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self._wait_until_run()
        self.check_layout()
        self.screenshot("start")

    def _needed(self) -> list[int]:
        """Places of the explorer's cell, of those that define a name it needs, and of those that import."""
        places, asked = [], set()
        for place in range(self.place, -1, -1):
            cell = self.stored.cells[place]
            if cell.cell_type != "code":
                continue
            defined, used = names_of(cell.source)
            if place == self.place or defined & asked or re.search(r"^(import|from) ", cell.source, re.MULTILINE):
                places.insert(0, place)
                asked = asked - defined | used
        return places

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
        found = re.search(with_number(pattern), self.says())
        assert found, f"{pattern!r} is not in {self.says()!r}"
        return float(found[1].replace(",", ""))

    def control(self, label: str) -> Locator:
        exactly = re.compile(rf"^{re.escape(label)}$")
        return self.cell.locator(".jupyter-widgets", has=self.page.locator("> .widget-label", has_text=exactly))

    def handle(self, label: str) -> Locator:
        return self.control(label).locator(".noUi-handle")

    def button(self, label: str) -> Locator:
        return self.cell.get_by_role("button", name=label)  # not exact: the icon is part of the name

    def slider(self, label: str) -> float:
        text = self.control(label).locator(".widget-readout").inner_text()
        return float(text.replace("\N{MINUS SIGN}", "-"))

    def press(self, label: str, key: str) -> float:
        """Press a key on a slider, and wait for the line under the picture to follow. Returns the slider's number."""
        number, line = self.slider(label), self.says()
        self.handle(label).press(key)
        wait_for(lambda: self.slider(label) != number, f"{key} moves the slider {label!r} from {number}")
        wait_for(lambda: self.says() != line, f"the line under the picture follows the slider {label!r}")
        return self.slider(label)

    def wait_for_picture(self, other_than: bytes) -> bytes:
        wait_for(lambda: self.picture() != other_than, "the picture changes")
        return self.picture()

    def run_a_part(self, action: str, pattern: str, *, least: float, most: float = np.inf) -> str:
        """Run it to a number in the line, and stop it, all in the page: a run may be over before this process looks.

        Returns the line once it stays as it is: the page may still have to show what came before the stop.
        """
        self.cell.evaluate(PRESSED_TWICE, [action, with_number(pattern), least, most])
        self.button(action).wait_for()
        return settled(self.says)

    def still_picture(self) -> bytes:
        """The picture when it has been the same for half a second: the line below it may change first."""

        def still() -> bool:
            before = self.picture()
            time.sleep(0.5)
            return self.picture() == before

        wait_for(still, "the picture stays as it is")
        return self.picture()

    def there_and_back(self, label: str, pattern: str, keys: tuple[str, str] = ("ArrowRight", "ArrowLeft")) -> None:
        """Move a slider by a key and back by another: both numbers and the picture follow, and come back."""
        before, number, line = self.still_picture(), self.slider(label), self.says()
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

    def sizes(self) -> list[float]:
        """Width and height of the picture as it is shown, and its own."""
        return self.image.evaluate(SIZES)

    def check_layout(self) -> None:
        """The picture has its own size, and nothing of the explorer lies outside of its cell."""
        size = self.sizes()
        assert size[0] / size[2] == pytest.approx(size[1] / size[3], abs=0.01), f"the picture is stretched: {size}"
        assert 0.9 <= sharpness() * size[0] / size[2] <= 1, f"the picture is not shown at about its own size: {size}"
        assert not self.cut_off()
        self.check_words()

    def cut_off(self) -> list[str]:
        """What reaches out of the cell on the right."""
        return self.cell.evaluate(
            """cell => {
                const right = cell.querySelector(".jp-OutputArea-output").getBoundingClientRect().right;
                return [...cell.querySelectorAll(".jupyter-widgets, .ncsn-readout, .ncsn-control")].filter(
                    e => e.getBoundingClientRect().right > right + 1 || e.scrollWidth > e.clientWidth + 1
                ).map(e => e.className + ": " + e.innerText);
            }"""
        )

    def check_words(self) -> None:
        """A screen reader finds a name for every control, and what the picture shows; axe has nothing to say.

        JupyterLab's own frame around it is not ours, and is not asked.
        """
        controls = self.cell.locator(CONTROLS).evaluate_all(NAMELESS)
        assert not controls, f"without a name: {controls}"
        pictures = self.cell.locator(".jp-OutputArea-output").get_by_role("img").all()
        assert pictures, "a picture is there, and is named so"
        for picture in pictures:
            line = picture.get_attribute("aria-describedby")
            assert self.cell.evaluate(DESCRIBES, line), "the picture is described by the line of numbers"
        assert site_check.findings(self.page, site_check.axe_script(), within=OUTPUTS) == []

    @property
    def canvas(self) -> Locator:
        return self.cell.locator("canvas")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a line on the canvas with the mouse; places are (right, down), as shares of its width and height."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        for (right, down), act in ((start, self.page.mouse.down), (end, self.page.mouse.up)):
            self.page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=3)
            act()

    def canvas_colour(self, right: float, down: float) -> np.ndarray:
        """Red, green and blue at a place of the canvas."""
        place = [right, down]
        return np.array(self.canvas.evaluate(READ_CANVAS, place)[:3], float)

    def finger(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """The same as `drag`, by a finger."""
        box = self.canvas.bounding_box()
        browser = self.page.context.new_cdp_session(self.page)
        for kind, place in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
            x, y = (box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]) if place else (0, 0)
            browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}] if place else []})

    def restart_kernel(self) -> None:
        self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
        self.page.locator(".jp-Dialog-button.jp-mod-accept").click()
        self.cell.locator(".jupyter-widgets-disconnected").first.wait_for()

    def screenshot(self, what: str) -> None:
        self.cell.scroll_into_view_if_needed()
        self.page.screenshot(path=self.screenshots / f"{self.name}-{what}.png")


class PageNotebook(Notebook):
    """A notebook whose explorer runs in the page: its picture is a canvas, its sliders are the browser's own."""

    @property
    def image(self) -> Locator:
        return self.canvas

    def picture(self) -> bytes:
        return base64.b64decode(self.canvas.evaluate("canvas => canvas.toDataURL().split(',')[1]"))

    def sizes(self) -> list[float]:
        return self.canvas.evaluate("c => [c.clientWidth, c.clientHeight, c.width, c.height]")

    def slider(self, label: str) -> float:
        return float(self.field(label).input_value())

    def handle(self, label: str) -> Locator:
        return self.cell.get_by_role("slider", name=label, exact=True)

    def field(self, label: str) -> Locator:
        return self.cell.get_by_role("spinbutton", name=f"{label}, as a number", exact=True)

    def type(self, label: str, text: str) -> None:
        self.field(label).fill(text)
        self.field(label).press("Tab")

    def in_python(self, expression: str) -> str:
        """What an expression of the explorer is in the kernel, printed: the explorer is the last output, `_`."""
        self.cell.locator(".cm-content").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        new = self.cells.nth(self.place + 1)
        new.get_by_role("textbox").fill(f"print({expression})")
        new.get_by_role("textbox").press("Control+Enter")
        output = new.locator(".jp-OutputArea-output")
        output.wait_for()
        return output.inner_text().strip()


@pytest.fixture
def open_page(page: Page, lab: Lab, screenshots: Path) -> Callable[..., PageNotebook]:
    return partial(PageNotebook, page, lab, screenshots=screenshots)


@pytest.fixture
def open_notebook(page: Page, lab: Lab, screenshots: Path) -> Callable[..., Notebook]:
    return partial(Notebook, page, lab, screenshots=screenshots)


@pytest.mark.parametrize("name", ["02_langevin", "11_inpainting"])  # one way for all of them
def test_a_notebook_that_was_not_run_shows_the_stored_picture(open_notebook, name):
    notebook = open_notebook(name, whole=True)
    outputs = [out for out in notebook.stored.cells[notebook.place].outputs if "image/png" in out.data]
    stored = [out.data["image/png"] for out in outputs]
    image = notebook.cell.locator(".jp-RenderedImage img")
    image.scroll_into_view_if_needed()
    assert image.count() == len(stored) == 1
    assert base64.b64decode(image.get_attribute("src").split(",")[1]) == base64.b64decode(stored[0])
    assert image.evaluate(SIZES)[2] > 800
    assert notebook.cell.locator(".ncsn-readout").count() == 0
    assert image.get_attribute("alt") == outputs[0].metadata["image/png"]["alt"]
    others = notebook.page.locator(".jp-RenderedImage img")  # those of figures near it, too, are there in words
    assert others.count() > 1 and all(other.get_attribute("alt") for other in others.all())
    notebook.screenshot("stored")


def test_score_field_explorer(open_page):
    """By keyboard, by typing, and in a narrow window; Python follows the page, and says the same."""
    notebook = open_page("01_scores")
    notebook.run()
    start = notebook.says()
    for label, pattern in (
        ("weight of left", "left: weight {}"),
        ("distance", "distance {}"),
        ("noise sigma", "noise sigma {}"),
    ):
        notebook.there_and_back(label, pattern)
    score = notebook.number(r"score at the origin \({},")
    assert notebook.press("weight of left", "End") == 0.98
    assert notebook.number(r"score at the origin \({},") < 0 < score
    notebook.press("noise sigma", "PageUp")

    notebook.type("distance", "99")
    wait_for(lambda: notebook.slider("distance") == 12, "what is typed above the range becomes its end")
    notebook.type("distance", "3.1")
    wait_for(lambda: notebook.slider("distance") == 3, "what is typed between two steps goes to the nearest")
    notebook.type("distance", "")
    wait_for(lambda: notebook.slider("distance") == 3, "where nothing is typed all stays as it was")
    wait_for(lambda: notebook.number("distance {}") == 3, "the line under the picture follows what is typed")
    notebook.screenshot("moved")

    values = ast.literal_eval(notebook.in_python("_.values"))
    assert values == {label: notebook.slider(control) for label, control in SCORE_FIELD.items()}
    assert words(widgets.ScoreFieldExplorer().set(**values)) == notebook.says()

    notebook.page.set_viewport_size({"width": 850, "height": 1000})
    wait_for(lambda: notebook.canvas.bounding_box()["width"] < 560, "the picture fits a narrow window")
    notebook.check_layout()
    notebook.screenshot("narrow")
    notebook.button("Reset").press("Enter")
    wait_for(lambda: notebook.says() == start, "Reset goes back to the start")

    alone = notebook.cell.get_by_text("Run the cell again for Python to follow")
    assert not alone.is_visible()
    notebook.restart_kernel()
    alone.wait_for()
    notebook.there_and_back("distance", "distance {}")  # it lives on without the kernel
    assert no_broken_links(notebook)
    notebook.screenshot("kernel-gone")


def words(explorer: widgets.Explorer) -> str:
    """What Python's line says, as a page shows it."""
    return re.sub(r"<[^>]+>", "", explorer.readout.value.replace("<br>", "\n"))


def no_broken_links(notebook: Notebook) -> bool:
    """ipywidgets marks what has lost its kernel with a broken link, in the place of the labels."""
    shown = "e => getComputedStyle(e, '::before').display"
    marked = notebook.cell.locator(".jupyter-widgets-disconnected").all()
    return {part.evaluate(shown) for part in marked} == {"none"}


SCORE_FIELD = {
    "weight": "weight of left",
    "distance": "distance",
    "std": "std of left",
    "correlation": "correlation of left",
    "sigma": "noise sigma",
}


def settled(shown: Callable[[], Shown]) -> Shown:
    """What is shown once it has been the same for two seconds; a training that goes on comes to its last step."""
    last, since = shown(), time.monotonic()
    while time.monotonic() < since + 2:
        time.sleep(0.1)
        if (now := shown()) != last:
            last, since = now, time.monotonic()
    return last


def test_objective_explorer(open_notebook):
    """Training goes on beside the page: the picture follows, sliders answer, and the button stops it."""
    notebook = open_notebook("03_score_matching")
    notebook.run()
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
    stopped = notebook.run_a_part("Train", "step {} of", least=200)
    notebook.wait_for_picture(other_than=before)
    assert 200 <= notebook.number("step {} of") < 3000
    assert notebook.number("Fisher divergence {}[ ;]") < notebook.number("before training {}")
    notebook.screenshot("stopped")
    time.sleep(0.5)
    assert notebook.says() == stopped

    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.says() != stopped, "training begins anew")
    notebook.press("noise sigma", "PageUp")
    wait_for(lambda: "Press Train" in notebook.says(), "a slider moved meanwhile poses another problem")
    notebook.button("Train").wait_for()


def test_manifold_explorer(open_notebook):
    notebook = open_notebook("05_manifold")
    notebook.run()
    assert "Press Train" not in notebook.says()  # it comes with a result
    lowest = notebook.number("lowest possible {},")
    assert 1.3 * lowest < notebook.number("loss {} ") < 0.7 * lowest
    notebook.press("noise sigma", "ArrowRight")
    wait_for(lambda: "Press Train" in notebook.says(), "a new problem is posed")
    notebook.there_and_back("noise sigma", "noise sigma {}")
    notebook.press("noise sigma", "Home")
    wait_for(lambda: "no lower bound" in notebook.says(), "without noise there is no bound")
    before = notebook.picture()
    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.number("step {} of") >= 100, "training shows itself")
    notebook.wait_for_picture(other_than=before)
    wait_for(lambda: notebook.number("step {} of") == 600, "training comes to its end")
    notebook.button("Train").wait_for()
    assert notebook.number("loss {} ") < 2 * lowest
    notebook.screenshot("clean")


def test_error_explorer(open_notebook):
    notebook = open_notebook("06_low_density")
    notebook.run()
    error = notebook.number("median error there {},"), notebook.number("elsewhere {}$")
    assert error[0] > 3 * error[1]
    notebook.there_and_back("threshold, log p", "below {}")  # moves the line, and leaves what was learned
    notebook.press("noise sigma", "PageUp")
    wait_for(lambda: "Press Train" in notebook.says(), "a new problem is posed")
    notebook.there_and_back("noise sigma", "noise sigma {}")
    before = notebook.picture()
    notebook.button("Train").press("Enter")
    wait_for(lambda: notebook.number("step {} of") >= 250, "training shows itself")
    notebook.wait_for_picture(other_than=before)
    notebook.press("threshold, log p", "PageUp")  # while it trains
    wait_for(lambda: notebook.number("step {} of") == 1500, "training comes to its end")
    notebook.button("Train").wait_for()
    notebook.screenshot("noise")


def test_langevin_explorer(open_page):
    notebook = open_page("02_langevin")
    notebook.run()
    notebook.there_and_back("step alpha", "step alpha {}")
    notebook.there_and_back("steps", ", {} steps")

    before, line = notebook.picture(), notebook.says()
    assert "acceptance rate" not in line
    notebook.cell.get_by_role("checkbox").press("Space")
    wait_for(lambda: "acceptance rate" in notebook.says(), "the correction shows an acceptance rate")
    first = notebook.number("acceptance rate {}")
    assert 0 < first <= 1
    notebook.wait_for_picture(other_than=before)
    notebook.press("step alpha", "PageUp")
    assert 0 < notebook.number("acceptance rate {}") < first
    notebook.press("step alpha", "PageDown")
    notebook.screenshot("mala")
    notebook.cell.get_by_role("checkbox").press("Space")
    wait_for(lambda: notebook.says() == line, "without the correction all is as before")

    notebook.cell.get_by_role("combobox", name="start").select_option("one far point")
    wait_for(lambda: notebook.says() != line, "another start gives another result")
    notebook.press("step alpha", "End")
    wait_for(
        lambda: "ran away" in notebook.says() and "unstable" in notebook.says(), "large steps run away, and it says so"
    )
    notebook.screenshot("ran-away")


def test_ddim_explorer(open_page):
    notebook = open_page("16_ddpm")
    notebook.run()
    notebook.there_and_back("steps", "{} steps, eta")
    apart = notebook.number("and on average {} from its end")
    notebook.press("eta", "Home")
    wait_for(lambda: notebook.number(r"eta {},") == 0, "no noise is drawn")
    assert notebook.number("and on average {} from its end") < apart / 5
    seed = notebook.handle("seed of the noise")
    wait_for(seed.is_disabled, "no noise, no seed")
    assert words(widgets.DdimExplorer(eta=0.0)) == notebook.says()
    notebook.screenshot("ddim")


def test_diffusion_explorer(open_page):
    """Particles run at the button, another way than at first, and Python runs the same ones."""
    notebook = open_page("17_sdes")
    notebook.run()
    wait_for(lambda: notebook.number("{} of 100 steps") == 100, "it comes with a result")
    way = notebook.cell.get_by_role("combobox", name="way")
    way.select_option("back: flow")
    wait_for(lambda: "back: flow" in notebook.says(), "another way")
    before = notebook.picture()
    notebook.button("Run").press("Enter")
    notebook.wait_for_picture(other_than=before)
    wait_for(lambda: notebook.number("{} of 100 steps") == 100, "the particles arrive")
    notebook.button("Run").wait_for()
    assert notebook.number("exact density: {} of") < 0.2
    notebook.screenshot("arrived")
    assert "back: flow, <b>100</b> of" in notebook.in_python("_.readout.value"), "Python ran it as well"
    notebook.cell.get_by_role("combobox", name="SDE").select_option("VE")
    wait_for(lambda: "VE, back: flow" in notebook.says(), "another SDE")
    values = ast.literal_eval(notebook.in_python("_.values"))
    assert values == {"sde": "VE", "way": "back: flow", "n_steps": 100}


def test_grid_explorer(open_page):
    notebook = open_page("18_any_model_any_sampler")
    notebook.run()
    notebook.there_and_back("evaluations", "with {} evaluations")
    notebook.there_and_back("and errs by", "errs by {},")
    notebook.cell.get_by_role("combobox", name="the net predicts").select_option("v")
    wait_for(lambda: "predicts v" in notebook.says(), "another net")
    notebook.press("and errs by", "Home")
    wait_for(lambda: notebook.number("errs by {},") == 0, "the exact net")
    assert notebook.number("energy distance to the truth {} ") < 0.1
    assert words(widgets.GridExplorer(predicts="v", error=0.0)) == notebook.says()
    notebook.screenshot("exact")


def test_guidance_explorer(open_page):
    notebook = open_page("19_conditions")
    notebook.run()
    notebook.there_and_back("class", "class {}, scale")
    notebook.there_and_back("classifier's sharpness", "sharpness {},")
    near = notebook.number("energy distance to the class {}")
    notebook.press("scale", "End")
    wait_for(lambda: notebook.number("scale {},") == 10, "the largest scale")
    assert notebook.number("energy distance to the class {}") > near + 1
    assert words(widgets.GuidanceExplorer(scale=10.0)) == notebook.says()
    notebook.screenshot("far-out")
    notebook.press("scale", "Home")
    wait_for(notebook.handle("classifier's sharpness").is_disabled, "a classifier that does not count")


# What is moved by which key or to which choice, and the values that come of it, one after the other.
MOVES = {
    widgets.ScheduleExplorer: [
        ("schedule", "cosine", {"schedule": "cosine"}),
        ("steps T", "ArrowLeft", {"n_steps": 990}),
    ],
    widgets.SolverExplorer: [
        ("solver", "reverse SDE", {"solver": "reverse SDE"}),
        ("steps", "PageUp", {"n_steps": 40}),
        ("SDE", "VE", {"sde": "VE"}),
    ],
    widgets.GridExplorer: [
        ("evaluations", "ArrowRight", {"evaluations": 21}),
        ("the net predicts", "v", {"predicts": "v"}),
        ("and errs by", "ArrowLeft", {"error": 0.15}),
        ("sampler", "annealed Langevin", {"sampler": "annealed Langevin"}),
    ],
    widgets.GuidanceExplorer: [
        ("class", "ArrowRight", {"label": 1}),
        ("scale", "ArrowRight", {"scale": 1.25}),
        ("seed of the starts", "End", {"seed": 9}),
    ],
}


@pytest.mark.parametrize("kind", MOVES, ids=lambda kind: kind.__name__)
def test_moves_on_a_page_without_a_kernel(page, screenshots, kind):
    """By keyboard; after each the line is Python's, and in the end the picture is another. Reset goes back."""
    explorer = kind()
    page.set_content(f"<!doctype html><body>{element(explorer)}<script>{script()}</script>")
    says, canvas = page.locator(".ncsn-readout"), page.locator("canvas")
    wait_for(lambda: says.inner_text() == words(explorer), "it says what Python says")
    assert canvas.get_attribute("aria-label") == explorer.settings()["alt"]
    start, picture = words(explorer), canvas.evaluate("c => c.toDataURL()")
    page.screenshot(path=screenshots / f"{kind.__name__}.png")
    for label, key, values in MOVES[kind]:
        if "Arrow" in key or key in ("PageUp", "End"):
            page.get_by_role("slider", name=label, exact=True).press(key)
        else:
            page.get_by_role("combobox", name=label, exact=True).select_option(key)
        explorer.set(**values)
        wait_for(lambda: says.inner_text() == words(explorer), f"it says what Python says of {explorer!r}")
    assert canvas.evaluate("c => c.toDataURL()") != picture
    page.get_by_role("button", name="Reset").press("Enter")
    wait_for(lambda: says.inner_text() == start, "Reset goes back to the start")


# Move to another SDE: of each frame the line, and how much of the curves is green, until the picture stays.
FRAMES = """async () => {
    const [sde, says, canvas] = ["select", ".ncsn-readout", "canvas"].map((name) => document.querySelector(name));
    const green = () => {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width / 2, canvas.height).data;
        const is = (at) => pixels[at] < 40 && pixels[at + 1] > 120 && pixels[at + 2] < 140;
        return Array.from({ length: pixels.length / 4 }, (_, i) => is(4 * i)).filter(Boolean).length;
    };
    const frames = [];
    sde.value = "VE";
    sde.dispatchEvent(new Event("change"));
    while (frames.length < 32 || frames.at(-10)[1] !== frames.at(-1)[1]) {
        await new Promise((drawn) => requestAnimationFrame(drawn)); // asked for after the explorer's own
        frames.push([says.innerText, green()]);
    }
    return frames;
}"""


def test_curves_come_in_pieces_after_what_was_moved(page):
    explorer = widgets.SolverExplorer()
    page.set_content(f"<!doctype html><body>{element(explorer)}<script>{script()}</script>")
    page.locator(".ncsn-readout b").first.wait_for()
    frames = page.evaluate(FRAMES)
    assert {says for says, _ in frames} == {words(explorer.set(sde="VE"))}, "the first frame says it"
    green = [count for _, count in frames]
    assert green[0] < green[-1] - 100 and green == sorted(green)
    page.locator("select").first.select_option("VP")
    wait_for(lambda: page.locator(".ncsn-readout b").first.inner_text() == "VP", "back again")
    assert {count for _, count in page.evaluate(FRAMES)} == {green[-1]}, "they are known"


def test_annealing_explorer(open_page):
    notebook = open_page("07_annealing")
    notebook.run()
    wait_for(lambda: "Result" in notebook.says(), "it comes with a result")
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

    notebook.type("eps", "0.003")
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
    assert "Result: small mode" in notebook.in_python("_.readout.value"), "Python ran it as well"

    notebook.press("levels L", "End")
    notebook.press("steps each T", "End")
    stopped = notebook.run_a_part("Run", "after level {} of", least=1)
    assert notebook.number("after level {} of") < 30
    run.press("Enter")
    wait_for(lambda: notebook.says() != stopped, "it begins anew")
    notebook.handle("eps").press("ArrowRight")
    wait_for(lambda: "Press Run" in notebook.says(), "a slider moved meanwhile poses another problem")
    run.wait_for()


def test_noise_level_explorer(open_notebook):
    notebook = open_notebook("08_noise_conditional")
    notebook.run()
    for label, pattern in (
        ("image", "image {},"),
        ("level", ", level {} of"),
        ("sigma_1", "sigma_1 {},"),
        ("sigma_L", "sigma_L {}:"),
        ("levels L", "of {}:"),
    ):
        notebook.there_and_back(label, pattern)
    ratio, overlap = notebook.number("gamma {},"), notebook.number("overlap by {};")
    notebook.press("levels L", "PageUp")
    assert notebook.number("gamma {},") < ratio and notebook.number("overlap by {};") > overlap
    n_levels = notebook.slider("levels L")
    notebook.press("level", "End")  # where the ladder ends now, not where it ended when the page was made
    wait_for(lambda: notebook.number(", level {} of") == n_levels, "the line shows the last level")
    assert notebook.number("noise sigma {},") == pytest.approx(notebook.number("sigma_L {}:"), rel=0.01)
    notebook.screenshot("last-level")
    notebook.press("levels L", "Home")
    wait_for(lambda: notebook.slider("level") == 2, "the level stays on a shorter ladder")
    assert notebook.number(", level {} of") == 2

    gone = notebook.cell.get_by_role("status")
    assert not gone.is_visible()
    notebook.restart_kernel()
    wait_for(lambda: "run the cells above" in gone.inner_text(), "a line says what to run")
    assert no_broken_links(notebook)
    assert notebook.handle("sigma_1").evaluate("h => h.closest('[inert]') !== null"), "no control moves in vain"
    notebook.screenshot("kernel-gone")


def test_ladder_explorer(open_page):
    notebook = open_page("14_improved_techniques")
    notebook.run()
    for label, pattern in (
        ("first level", "levels from {} to"),
        ("last level", " to {}, ratio"),
        ("levels", "{} levels from"),
        ("steps each", "{} steps each"),
    ):
        notebook.there_and_back(label, pattern)
    overlap = notebook.number("predicted {},")
    notebook.press("levels", "PageDown")
    wait_for(lambda: notebook.number("predicted {},") < overlap, "fewer levels overlap less")
    notebook.press("steps each", "Home")
    wait_for(lambda: notebook.number("{} steps each") == 1, "one step at each level")
    assert notebook.number("{} down the ladder") > 1.5 > notebook.number("with {} of the variance")
    notebook.cell.get_by_role("combobox", name="data").select_option("points in the plane")
    wait_for(lambda: notebook.number("predicted {},") > 0.99, "in the plane everything overlaps")
    notebook.screenshot("plane")


def test_sampling_explorer(open_notebook):
    """Chains run beside the page, the slider goes back and forth meanwhile and afterwards, the button stops them."""
    notebook = open_notebook("10_train_and_sample")
    notebook.run()
    total = notebook.slider("step")
    assert total == notebook.number("step {} of") == notebook.number("of {};")  # it comes with a result
    notebook.there_and_back("step", "step {} of", keys=("PageDown", "PageUp"))
    middle = [notebook.press("step", "PageDown") for _ in range(4)][-1]
    wait_for(lambda: notebook.number("step {} of") == middle, "the line shows the last step")
    notebook.screenshot("scrubbed")

    notebook.press("seed", "ArrowRight")
    assert "Press Sample" in notebook.says() and notebook.slider("step") == 0
    before = notebook.picture()
    notebook.button("Sample").press("Enter")
    wait_for(lambda: notebook.number("step {} of") > 0, "the chains show themselves")
    notebook.button("Stop").wait_for()
    notebook.wait_for_picture(other_than=before)
    notebook.control("step").locator(".noUi-handle").press("Home")
    wait_for(lambda: "uniform noise" in notebook.says(), "the slider goes back while the chains run on")
    notebook.button("Sample").wait_for()
    assert notebook.slider("step") == 0 and "uniform noise" in notebook.says()
    notebook.press("step", "End")
    wait_for(lambda: notebook.number("step {} of") == total, "the end of the run is there")
    notebook.screenshot("sampled")
    line = notebook.says()

    stopped = notebook.run_a_part("Sample", "step {} of", least=1, most=total - 1)
    assert 0 < notebook.number("step {} of") < total
    time.sleep(0.5)
    assert notebook.says() == stopped
    notebook.button("Sample").press("Enter")
    wait_for(lambda: notebook.says() == line, "the same seed gives the same run")


def test_inpainting_explorer(open_notebook):
    """A mask is painted by mouse on the picture, and completed beside the page."""
    notebook = open_notebook("11_inpainting")
    notebook.run()
    colour = 255 * np.array(matplotlib.colors.to_rgb(plots.ORANGE))
    assert notebook.number("{}% missing") == pytest.approx(50, abs=5)
    assert notebook.number("spread by {} ") > 0
    clean, hidden = notebook.canvas_colour(0.3, 0.7), notebook.canvas_colour(0.7, 0.7)
    assert clean.std() < 1 and hidden[0] > hidden[2] + 50, "the left half is known, the right one covered"

    before, share, above = notebook.picture(), notebook.number("{}% missing"), notebook.canvas_colour(0.3, 0.3)
    notebook.drag((0.1, 0.7), (0.4, 0.7))
    wait_for(lambda: "mask: painted" in notebook.says(), "the stroke makes a mask of its own")
    assert notebook.control("mask").locator("select").input_value() == "painted"
    assert notebook.number("{}% missing") > share and "Press Complete" in notebook.says()
    notebook.wait_for_picture(other_than=before)
    wait_for(lambda: np.abs(notebook.canvas_colour(0.3, 0.7) - (clean + colour) / 2).max() < 2, "the stroke is covered")
    assert (notebook.canvas_colour(0.3, 0.3) == above).all(), "what was not painted stays"
    share = notebook.number("{}% missing")
    notebook.button("known").click()
    notebook.drag((0.6, 0.7), (0.9, 0.7))
    wait_for(lambda: notebook.number("{}% missing") < share, "pixels can be made known again")
    wait_for(lambda: np.abs(notebook.canvas_colour(0.7, 0.7) - (2 * hidden - colour)).max() < 3, "they are uncovered")
    notebook.screenshot("painted")
    share = notebook.number("{}% missing")
    notebook.finger((0.6, 0.3), (0.9, 0.3))
    wait_for(lambda: notebook.number("{}% missing") < share, "a finger paints as well")
    notebook.handle("brush").press("Shift+Tab")
    for _ in range(2):
        notebook.page.keyboard.press("Shift+Tab")
    assert not notebook.canvas.evaluate("c => c.contains(document.activeElement)"), "the canvas keeps no keys"
    assert "to paint on" in notebook.canvas.get_attribute("aria-label")

    before = notebook.picture()
    notebook.button("Complete").press("Enter")
    wait_for(lambda: "spread by" in notebook.says(), "completions show themselves")
    notebook.wait_for_picture(other_than=before)
    notebook.button("Complete").wait_for()
    notebook.screenshot("completed")
    assert notebook.number("level {} of") == notebook.number("level [0-9]+ of {},")
    assert 0 < notebook.number("at most {}$") < 6 * notebook.number("sigma {}\n")

    notebook.button("Clear").click()
    wait_for(lambda: "nothing is missing" in notebook.says(), "all is known")
    wait_for(lambda: notebook.canvas_colour(0.3, 0.7).std() < 1, "nothing is covered")
    notebook.control("mask").locator("select").select_option("upper half known")
    wait_for(lambda: "mask: upper half known" in notebook.says(), "a preset is taken")
    assert "Press Complete" in notebook.says()
    wait_for(lambda: np.ptp(notebook.canvas_colour(0.3, 0.7)) > 50, "the lower half is covered")
    notebook.there_and_back("image", "image {},")
    notebook.page.set_viewport_size({"width": 500, "height": 900})
    notebook.page.keyboard.press("Control+b")  # JupyterLab's list of files goes
    wait_for(lambda: not notebook.cut_off(), "all of it fits a narrow window")
    notebook.screenshot("narrow")
    notebook.press("steps each T", "End")  # it takes a while, then
    notebook.button("Complete").press("Enter")
    wait_for(lambda: "spread by" in notebook.says(), "it begins")
    notebook.button("Stop").press("Space")
    notebook.button("Complete").wait_for()


def test_latent_explorer(open_notebook):
    """A walk between two digits, two latents moved, the decoder's width and its noise."""
    notebook = open_notebook("15_vae")
    notebook.run()
    for label, pattern in (
        ("from image", "from image {} to"),
        ("to image", "to image {};"),
        ("walk", "walk {} from"),
        ("first latent", "first latent {},"),
        ("first moved by", "first latent [0-9]+, moved by {},"),
        ("second latent", "second latent {},"),
        ("second moved by", "second latent [0-9]+, moved by {},"),
    ):
        notebook.there_and_back(label, pattern)
    before = notebook.still_picture()
    notebook.cell.get_by_label("with the decoder's noise").click()
    wait_for(lambda: ", with noise" in notebook.says(), "the noise is there")
    notebook.wait_for_picture(other_than=before)
    for label, pattern in (("decoder std", "decoder std {} "), ("seed of the noise", ", seed {};")):
        notebook.there_and_back(label, pattern)
    notebook.press("walk", "End")
    notebook.screenshot("walked")
    assert notebook.number("walk {} from") == 1
