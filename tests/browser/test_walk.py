"""The newcomer's walk: a fresh clone, `make lab`, every notebook run in the browser, every explorer operated.

`make walk` runs it, and `make test` does not: it takes half an hour or more. After each notebook it writes a table of
seconds, memory, moves and errors to build/walk.md, and it goes on after an error. NCSN_EDU_WALK names the notebooks,
separated by commas, if not all of them are to be walked through.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import psutil
import pytest
from waiting import closed_port

from conftest import NOTEBOOKS, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.walk

PROJECT = NOTEBOOKS.parent
NAMES = [name for name in os.environ.get("NCSN_EDU_WALK", "").split(",") if name] or sorted(
    path.stem for path in NOTEBOOKS.glob("*.ipynb")
)
OWN = ("VIRTUAL_ENV", "JUPYTER_PREFER_ENV_PATH", "NCSN_EDU_FIGURES", "NCSN_EDU_PROGRESS", "MAKEFLAGS", "MAKELEVEL")
TABLE = PROJECT / "build" / "walk.md"
SECONDS = 1000  # Playwright counts milliseconds
HANDLES = ".noUi-handle, input[type=range]"
# The page's own clock, of one explorer: from a key to another line, with the picture that came with it, painted.
CLOCK = """cell => {
    const line = () => cell.querySelector(".ncsn-readout")?.innerHTML;
    const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    const image = () => cell.querySelector("img.widget-image");
    let pressed = null, before = null, old = null;
    cell.latencies = [];
    cell.addEventListener("keydown", () => {
        [pressed, before, old] = [cell.oneByOne ? performance.now() : null, line(), image()?.src];
    }, true);
    new MutationObserver(async () => {
        if (pressed === null || line() === before) return;
        const start = pressed;
        pressed = null;
        for (let turn = 0; image()?.src === old && old && turn < 3; turn++) await painted();
        await image()?.decode().catch(() => {});
        await painted();
        cell.latencies.push(performance.now() - start);
    }).observe(cell, {subtree: true, childList: true, characterData: true});
}"""


@dataclass
class Row:
    """What the walk through one notebook took."""

    name: str
    seconds: float = 0.0  # of Run All
    operating: float = 0.0  # seconds at its explorers
    memory: float = 0.0  # of the kernel at most, GiB
    explorers: int = 0  # that were there
    operated: int = 0  # of these, to the end
    moves: int = 0
    latencies: list[float] = field(default_factory=list)  # from a key to another line and picture, ms
    error: str = ""  # the first line of what stopped it


class Newcomer(Lab):
    """JupyterLab as `make lab` starts it in a fresh clone; only its settings and state lie in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token, self.log = folder, secrets.token_hex(16), folder / "lab.log"
        self.project = folder / "project"
        subprocess.run(["git", "clone", "-q", PROJECT, self.project], check=True)
        self.notebooks = self.project / "work"
        # Every cell exists in the page, not only those in view.
        place = folder / "user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
        place.parent.mkdir(parents=True)
        place.write_text('{"windowingMode": "none"}', encoding="utf-8")
        self.port = closed_port()
        own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
        own |= {"JUPYTERLAB_SETTINGS_DIR": "user-settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
        environment = {name: value for name, value in os.environ.items() if name not in OWN}
        environment |= {name: str(folder / place) for name, place in own.items()}
        asked = f"--no-browser --port {self.port} -- --IdentityProvider.token={self.token}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["make", "lab", f"ARGS={asked}"],
                cwd=self.project,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kernels(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "ipykernel_launcher" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:  # it has just ended
                continue
        return found

    def end_kernels(self) -> None:
        """Shut them down: one that is killed is started anew."""
        with urllib.request.urlopen(self.address("api/kernels"), timeout=30) as answer:
            running = json.load(answer)
        for kernel in running:
            asked = urllib.request.Request(self.address(f"api/kernels/{kernel['id']}"), method="DELETE")
            urllib.request.urlopen(asked, timeout=60).close()


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    start = time.monotonic()
    lab = Newcomer(tmp_path_factory.mktemp("newcomer"))
    try:
        lab.wait_until_ready(seconds=1800)  # it installs PyTorch
        print(f"\nfrom `make lab` in a fresh clone to a page: {time.monotonic() - start:.0f} s")
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The rows of the table, shown at the end of the walk."""
    rows: list[Row] = []
    yield rows
    print(f"\n{table(rows)}\n{TABLE}")


COLUMNS = "notebook, Run All s, explorers s, kernel at most GiB, explorers, moves, answer median ms, 95th ms, error"


def table(rows: list[Row]) -> str:
    """All rows, and two sums of them, as Markdown."""
    part1 = [row for row in rows if row.name < "14"]
    columns = COLUMNS.split(", ")
    lines = [
        columns,
        ["---"] * len(columns),
        *map(_cells, rows),
        _cells(_sum("Part I", part1)),
        _cells(_sum("all", rows)),
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(row: Row) -> list[str]:
    median, late = "", ""
    if len(row.latencies) > 1:
        median, late = f"{statistics.median(row.latencies):.0f}", f"{statistics.quantiles(row.latencies, n=20)[-1]:.0f}"
    operated = f"{row.operated} of {row.explorers}"
    times = [f"{row.seconds:.0f}", f"{row.operating:.0f}", f"{row.memory:.2f}"]
    return [row.name, *times, operated, str(row.moves), median, late, row.error]


def _sum(name: str, rows: list[Row]) -> Row:
    numbers = {key: sum(getattr(row, key) for row in rows) for key in ("seconds", "operating", "explorers", "operated")}
    failed = sum(bool(row.error) for row in rows)
    return Row(
        f"{name}: {(numbers['seconds'] + numbers['operating']) / 60:.1f} minutes",
        **numbers,
        moves=sum(row.moves for row in rows),
        memory=max((row.memory for row in rows), default=0.0),
        latencies=[latency for row in rows for latency in row.latencies],
        error=f"{failed} of {len(rows)} notebooks" if failed else f"none in {len(rows)} notebooks",
    )


class Walk:
    """One notebook in the browser, and what its kernel says meanwhile, cells and widgets alike."""

    def __init__(self, page: Page, lab: Newcomer, name: str, row: Row) -> None:
        self.page, self.lab, self.name, self.row = page, lab, name, row
        self.path = lab.notebooks / f"{name}.ipynb"
        self.tracebacks: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._heard))
        page.goto(lab.address(f"lab/tree/{name}.ipynb") + "&reset")
        self._wait_until_idle(quiet=1)

    def _heard(self, frame: str | bytes) -> None:
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        if "Traceback" in text and "text/html" not in text:
            self.tracebacks.append(text[-2000:])

    def _wait_until_idle(self, *, quiet: float, seconds: float = 900) -> None:
        """Until the kernel has been idle for `quiet` seconds."""
        idle = self.page.get_by_text(re.compile(r"^Python 3.* \| Idle$"))
        since, end = None, time.monotonic() + seconds
        while since is None or time.monotonic() < since + quiet:
            assert time.monotonic() < end, f"{self.name}: the kernel is still busy after {seconds} s"
            since = (since or time.monotonic()) if idle.count() else None
            for kernel in self.lab.kernels():
                self.row.memory = max(self.row.memory, kernel.memory_info().rss / 2**30)
            self.page.wait_for_timeout(100)  # and not sleep: frames are heard meanwhile

    def run_all(self) -> None:
        """Run All Cells, and look at every output."""
        start = time.monotonic()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        prompts = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputArea-prompt")
        while {"[*]:", "[ ]:"} & {*prompts.all_inner_texts()}:  # waits or runs; or was given up
            assert not self.tracebacks, self.tracebacks[0]
            assert time.monotonic() < start + 900, f"{self.name}: not every cell has run"
            self._wait_until_idle(quiet=0)
        self.row.seconds = time.monotonic() - start
        self._wait_until_idle(quiet=1)
        cells = [cell for cell in self._saved().cells if cell.cell_type == "code"]
        assert cells and all(cell.execution_count for cell in cells if cell.source.strip()), "a cell did not run"
        failed = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
        failed += [out for cell in cells for out in cell.outputs if out.get("name") == "stderr"]
        assert not failed, failed

    def _saved(self) -> nbformat.NotebookNode:
        """The notebook as it is in the file once it has been saved."""
        before, end = self.path.read_bytes(), time.monotonic() + 60
        self.page.keyboard.press("Control+s")
        while True:
            self.page.wait_for_timeout(200)
            try:
                if self.path.read_bytes() != before:
                    return nbformat.read(self.path, as_version=4)
            except nbformat.reader.NotJSONError:  # it is being written
                pass
            assert time.monotonic() < end, f"{self.name}: the notebook was not saved"

    def explorers(self) -> list[Locator]:
        """The cells whose outputs are explorers."""
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-CodeCell")
        return cells.filter(has=self.page.locator(".ncsn-readout")).all()

    def operate(self, explorer: Locator) -> None:
        """Every control: keys one by one, both ends, ten fast keys, a drag; every choice; every button twice."""
        explorer.scroll_into_view_if_needed()
        explorer.evaluate(CLOCK)
        for i in range(explorer.locator(HANDLES).count()):
            handle = explorer.locator(HANDLES).nth(i)
            if handle.is_visible() and handle.is_enabled() and not _off(handle):
                self._slide(explorer, handle)
        self.row.latencies += explorer.evaluate("cell => cell.latencies")
        for select in explorer.locator(".jp-OutputArea select:enabled").all():
            first = select.input_value()
            for option in [*select.locator("option").all_inner_texts(), first]:
                select.select_option(option)
                self.row.moves += 1
        for box in explorer.locator(".jp-OutputArea input[type=checkbox]:enabled").all():
            for _ in range(2):
                box.press("Space")
                self.row.moves += 1
        self._wait_until_idle(quiet=0.5)
        for button in explorer.locator(".jp-OutputArea button:enabled").all():
            if button.is_visible():
                button.press("Enter")
                self.page.wait_for_timeout(700)
                button.press("Enter")
                self.row.moves += 2
        self._wait_until_idle(quiet=1)
        assert explorer.locator(".ncsn-readout").inner_text().strip(), "the line under the picture is empty"
        assert not self.tracebacks, self.tracebacks[0]

    def _slide(self, explorer: Locator, handle: Locator) -> None:
        line = explorer.locator(".ncsn-readout")
        explorer.evaluate("cell => { cell.oneByOne = true; }")
        for key in ("ArrowRight", "ArrowLeft", "PageUp", "PageDown", "Home", "ArrowRight", "End", "ArrowLeft"):
            before, start = line.inner_html(), time.monotonic()
            handle.press(key)
            while line.inner_html() == before and time.monotonic() < start + 1:
                self.page.wait_for_timeout(20)
            self.row.moves += 1
            self._wait_until_idle(quiet=0)
        explorer.evaluate("cell => { cell.oneByOne = false; }")
        for _ in range(10):  # without waiting for any
            handle.press("ArrowLeft")
        box = handle.bounding_box()
        assert box, "a slider without a place on the page"
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 60, y, steps=6)
        self.page.mouse.up()
        self.row.moves += 11
        self._wait_until_idle(quiet=0.2)
        assert not self.tracebacks, self.tracebacks[0]


def _off(handle: Locator) -> bool:
    return bool(handle.evaluate("h => !!h.closest('[disabled], .widget-disabled')"))


def explorers_in(path: Path) -> int:
    """How many outputs of a stored notebook are explorers, players among them."""
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    return sum(bool(output.get("metadata", {}).get("widget")) for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_newcomer_walks_through(newcomer: Newcomer, page: Page, rows: list[Row], name: str) -> None:
    rows.append(row := Row(name))
    try:
        walk = Walk(page, newcomer, name, row)
        walk.run_all()
        found, start = walk.explorers(), time.monotonic()
        row.explorers = explorers_in(NOTEBOOKS / f"{name}.ipynb")
        assert len(found) == row.explorers, f"{len(found)} of {row.explorers} explorers are there"
        for explorer in found:
            walk.operate(explorer)
            row.operated += 1
            row.operating = time.monotonic() - start
        assert row.memory < 4, f"{name} took {row.memory:.1f} GiB"
    except Exception as error:
        row.error = " ".join(str(error).split())[:120].replace("|", "/") or type(error).__name__
        raise
    finally:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(rows), encoding="utf-8")
        newcomer.end_kernels()
