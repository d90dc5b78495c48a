"""The newcomer's walk: a fresh clone, `make lab`, every notebook run in the browser, every explorer operated.

`make walk` runs it, and `make test` does not: it takes half an hour. It prints a table of seconds, memory and moves.
NCSN_EDU_WALK names the notebooks, separated by commas, if not all of them are to be walked through.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nbformat
import psutil
import pytest
from ports import closed_port

from conftest import NOTEBOOKS, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.walk

PROJECT = NOTEBOOKS.parent
NAMES = [name for name in os.environ.get("NCSN_EDU_WALK", "").split(",") if name] or sorted(
    path.stem for path in NOTEBOOKS.glob("*.ipynb")
)
OWN = ("VIRTUAL_ENV", "JUPYTER_PREFER_ENV_PATH", "NCSN_EDU_FIGURES", "NCSN_EDU_PROGRESS", "MAKEFLAGS", "MAKELEVEL")
SECONDS = 1000  # Playwright counts milliseconds
HANDLES = ".noUi-handle, input[type=range]"


class Row(NamedTuple):
    """What the walk through one notebook took."""

    name: str
    seconds: float
    memory: float  # of the kernel at most, GiB
    explorers: int
    moves: int
    latencies: list[float]  # from a key to another line below the picture, ms


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
    """The table, printed at the end of the walk."""
    rows: list[Row] = []
    yield rows
    print("\n| notebook | Run All, s | kernel at most, GiB | explorers | moves | answer, median ms | 95th, ms |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        median, late = _spread(row.latencies)
        print(
            f"| {row.name} | {row.seconds:.0f} | {row.memory:.2f} | {row.explorers} | {row.moves} | {median} | {late} |"
        )
    most = max((row.memory for row in rows), default=0)
    print(f"| all | {sum(row.seconds for row in rows):.0f} | {most:.2f} | {sum(row.explorers for row in rows)} | "
          f"{sum(row.moves for row in rows)} | | |")  # fmt: skip


def _spread(latencies: list[float]) -> tuple[str, str]:
    if len(latencies) < 2:
        return "", ""
    return f"{statistics.median(latencies):.0f}", f"{statistics.quantiles(latencies, n=20)[-1]:.0f}"


class Walk:
    """One notebook in the browser, and what its kernel says meanwhile, cells and widgets alike."""

    def __init__(self, page: Page, lab: Newcomer, name: str) -> None:
        self.page, self.lab, self.name = page, lab, name
        self.path = lab.notebooks / f"{name}.ipynb"
        self.tracebacks: list[str] = []
        self.latencies: list[float] = []
        self.moves, self.memory = 0, 0.0
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
                self.memory = max(self.memory, kernel.memory_info().rss / 2**30)
            self.page.wait_for_timeout(100)  # and not sleep: frames are heard meanwhile

    def run_all(self) -> float:
        """Run All Cells, and look at every output; seconds."""
        start = time.monotonic()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        prompts = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputArea-prompt")
        while {"[*]:", "[ ]:"} & {*prompts.all_inner_texts()}:  # waits or runs; or was given up
            assert not self.tracebacks, self.tracebacks[0]
            assert time.monotonic() < start + 900, f"{self.name}: not every cell has run"
            self._wait_until_idle(quiet=0)
        seconds = time.monotonic() - start
        self._wait_until_idle(quiet=1)
        stored = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        while self.path.stat().st_mtime_ns == stored:
            assert time.monotonic() < start + 960, f"{self.name}: the notebook was not saved"
            self.page.wait_for_timeout(100)
        cells = [cell for cell in nbformat.read(self.path, as_version=4).cells if cell.cell_type == "code"]
        assert cells and all(cell.execution_count for cell in cells if cell.source.strip()), "a cell did not run"
        failed = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
        failed += [out for cell in cells for out in cell.outputs if out.get("name") == "stderr"]
        assert not failed, failed
        return seconds

    def explorers(self) -> list[Locator]:
        """The cells whose outputs are explorers."""
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-CodeCell")
        return cells.filter(has=self.page.locator(".ncsn-readout")).all()

    def operate(self, explorer: Locator) -> None:
        """Every control: keys one by one, both ends, ten fast keys, a drag; every choice; every button twice."""
        explorer.scroll_into_view_if_needed()
        for i in range(explorer.locator(HANDLES).count()):
            handle = explorer.locator(HANDLES).nth(i)
            if handle.is_visible() and handle.is_enabled() and not _off(handle):
                self._slide(explorer, handle)
        for select in explorer.locator(".jp-OutputArea select:enabled").all():
            first = select.input_value()
            for option in [*select.locator("option").all_inner_texts(), first]:
                select.select_option(option)
                self.moves += 1
        for box in explorer.locator(".jp-OutputArea input[type=checkbox]:enabled").all():
            for _ in range(2):
                box.press("Space")
                self.moves += 1
        self._wait_until_idle(quiet=0.5)
        for button in explorer.locator(".jp-OutputArea button:enabled").all():
            if button.is_visible():
                button.press("Enter")
                self.page.wait_for_timeout(700)
                button.press("Enter")
                self.moves += 2
        self._wait_until_idle(quiet=1)
        assert explorer.locator(".ncsn-readout").inner_text().strip(), "the line under the picture is empty"
        assert not self.tracebacks, self.tracebacks[0]

    def _slide(self, explorer: Locator, handle: Locator) -> None:
        line = explorer.locator(".ncsn-readout")
        for key in ("ArrowRight", "ArrowLeft", "PageUp", "PageDown", "Home", "ArrowRight", "End", "ArrowLeft"):
            before, start = line.inner_html(), time.monotonic()
            handle.press(key)
            while line.inner_html() == before and time.monotonic() < start + 1:
                self.page.wait_for_timeout(2)
            if line.inner_html() != before:
                self.latencies.append(1000 * (time.monotonic() - start))
            self.moves += 1
            self._wait_until_idle(quiet=0)
        for _ in range(10):  # without waiting for any
            handle.press("ArrowLeft")
        box = handle.bounding_box()
        assert box, "a slider without a place on the page"
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 60, y, steps=6)
        self.page.mouse.up()
        self.moves += 11
        self._wait_until_idle(quiet=0.2)
        assert not self.tracebacks, self.tracebacks[0]


def _off(handle: Locator) -> bool:
    return bool(handle.evaluate("h => !!h.closest('[disabled], .widget-disabled')"))


@pytest.mark.parametrize("name", NAMES)
def test_a_newcomer_walks_through(newcomer: Newcomer, page: Page, rows: list[Row], name: str) -> None:
    walk = Walk(page, newcomer, name)
    try:
        seconds = walk.run_all()
        found = walk.explorers()
        for explorer in found:
            walk.operate(explorer)
        rows.append(Row(name, seconds, walk.memory, len(found), walk.moves, walk.latencies))
        assert walk.memory < 4, f"{name} took {walk.memory:.1f} GiB"
    finally:
        for kernel in newcomer.kernels():
            kernel.send_signal(signal.SIGKILL)
