"""A JupyterLab of its own and a real browser, for tests that use the notebooks as a reader does.

Everything that JupyterLab writes goes to a temporary folder, copies of the notebooks included. Where there is no
browser the tests are skipped, except with CI=true in the environment: there they fail.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from waiting import PATIENCE, closed_port, wait_for

from ncsn_edu.commands.lab import looks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
sys.path.insert(0, str(ROOT / "tools"))
import chromium  # noqa: E402

SETTINGS = {  # besides those that ship: every cell exists, not only those in view
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
WIDE, HIGH = 1400, 1000  # the browser's window


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


FAILED = pytest.StashKey[bool]()


# ---- JupyterLab -------------------------------------------------------------------------------------------------


class Lab:
    """A JupyterLab server on a free port, with its own token, settings, workspaces and copy of the notebooks.

    The copy lies in a project of its own, which is served as `lab --edit` serves the real one: with all that is linked.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        self.project, self.log = folder / "project", folder / "jupyterlab.log"
        self.notebooks = self.project / "notebooks"
        self.notebooks.mkdir(parents=True)
        for path in [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("*.md")]:
            shutil.copy(path, self.notebooks)
        for name in ("figures", "ncsn_edu"):  # only looked at
            (self.project / name).symlink_to(ROOT / name)
        kernel = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
        self._write("data/kernels/python3/kernel.json", kernel | {"display_name": "Python 3", "language": "python"})
        self._write("settings/overrides.json", SETTINGS)
        self.port = closed_port()
        self.process = self._start()

    def _write(self, name: str, content: object) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")

    def _start(self) -> subprocess.Popen[bytes]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "user-settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "NCSN_EDU_FIGURES_DIR": "figures",
        }
        environment = os.environ | {name: str(self.folder / place) for name, place in own.items()}
        environment |= looks(learner=True)
        environment |= {"JUPYTER_PREFER_ENV_PATH": "0", "NCSN_EDU_FIGURES": "write", "NCSN_EDU_PROGRESS": "0"}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        command += [f"--port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}"]
        command += [f"--ServerApp.root_dir={self.project}", f"--LabApp.app_settings_dir={self.folder / 'settings'}"]
        # Should nobody be left to stop it, it ends by itself.
        command += ["--ServerApp.shutdown_no_activity_timeout=600", "--MappingKernelManager.cull_idle_timeout=600"]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, env=environment, cwd=self.notebooks, stdout=log, stderr=log, start_new_session=True
            )

    def notebook(self, name: str) -> str:
        """The address of one of its notebooks, opened afresh."""
        return self.address(f"lab/tree/notebooks/{name}.ipynb") + "&reset"

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def wait_until_ready(self, seconds: float = PATIENCE) -> None:
        wait_for(self._answers, f"JupyterLab answers; its log is {self.log}", seconds, every=0.2)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"JupyterLab did not start. Its log:\n{self.log.read_text(errors='replace')[-3000:]}")
        try:
            urllib.request.urlopen(self.address("api/status"), timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End the server and its kernels, which live in process groups of their own."""
        import psutil  # comes with ipykernel

        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        for number in (signal.SIGTERM, signal.SIGKILL):  # on the first, Jupyter ends its kernels itself
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        for process in psutil.wait_procs(family, timeout=5)[1]:
            process.kill()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("jupyterlab"))
    try:
        lab.wait_until_ready()
        yield lab
    finally:
        lab.stop()


# ---- the browser ------------------------------------------------------------------------------------------------


def no_browser(reason: str) -> NoReturn:
    how = "python -m playwright install chromium, apt-get install chromium, or CHROMIUM=/path/to/it in the environment"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}. To get one: {how}", pytrace=False)
    pytest.skip(f"{reason}. To get one: {how}")


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.sync_api.Browser"]:  # noqa: F821 (imported below: not everyone has it)
    """Chromium: the one that CHROMIUM names, or the system's, or Playwright's own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        no_browser("Playwright is not installed (python -m pip install playwright)")
    with sync_playwright() as playwright:
        named = os.environ.get("CHROMIUM")
        program = chromium.program(playwright)
        if not Path(program).is_file():
            no_browser(f"CHROMIUM={named} is no file" if named else "there is no Chromium here")
        there = playwright.chromium.launch(executable_path=program, args=chromium.FLAGS)
        yield there
        there.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: NCSN_EDU_SCREENSHOTS, or pytest's temporary folder."""
    named = os.environ.get("NCSN_EDU_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def window(browser: "playwright.sync_api.Browser") -> Callable[..., "playwright.sync_api.BrowserContext"]:  # noqa: F821
    """Opens a window, with Playwright's options, which waits as long as all tests do."""

    def opened(**options: object) -> "playwright.sync_api.BrowserContext":  # noqa: F821
        there = browser.new_context(**options)
        there.set_default_timeout(1000 * PATIENCE)  # milliseconds
        return there

    return opened


@pytest.fixture(scope="module")
def context(window: Callable[..., "playwright.sync_api.BrowserContext"]) -> "playwright.sync_api.BrowserContext":  # noqa: F821
    """A window that keeps what it has fetched: JupyterLab's own code is several megabytes."""
    return window(viewport={"width": WIDE, "height": HIGH})


@pytest.fixture
def errors() -> list[str]:
    """Errors of the page's own scripts: a test that leaves one fails."""
    return []


@pytest.fixture
def page(
    context: "playwright.sync_api.BrowserContext",  # noqa: F821
    screenshots: Path,
    errors: list[str],
    request: pytest.FixtureRequest,
) -> Iterator["playwright.sync_api.Page"]:  # noqa: F821
    """An empty page; if the test fails, a screenshot of it is kept."""
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    if request.node.stash.get(FAILED, False):
        path = screenshots / f"FAILED-{request.node.name.replace('/', '_')}.png"
        page.screenshot(path=path)
        print(f"screenshot: {path}")
    page.close()
    assert not errors, f"the page's own scripts failed: {errors}"
