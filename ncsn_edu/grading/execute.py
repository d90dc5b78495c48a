"""Run the cells of a submission in a confined process of its own, so that a crash in a cell costs that cell alone.

`Execute` stands where nbgrader has its own preprocessor of this name; nbgrader_config.py puts it there. This file does
NOT confine (confine.py does), and does NOT decide what an answer is worth (the test cells do, and nbgrader adds up).
"""

import ast
import contextlib
import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from nbformat import NotebookNode
from nbformat.v4 import new_output, output_from_msg
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Dict, Float, Integer

GRACE = 5.0  # seconds between asking a cell to stop and ending its process
# Does the judge still judge? Two checks, one of which fails, and an assertion.
CANARY = """
def _canary():
    from ncsn_edu.grading.tasks import Task, close
    task = Task("canary", {})
    task.check("right", points=1)(lambda: close(1.0, 1.0))
    task.check("wrong", points=2)(lambda: close(1.0, 2.0))
    try:
        assert not task
    except AssertionError:
        return task.done()
_canary()
"""


@dataclass(frozen=True)
class Limits:
    """What one submission may take: seconds, bytes, processes."""

    cell_seconds: float = 60.0
    total_seconds: float = 600.0
    memory: int = 4 << 30
    disk: int = 256 << 20
    processes: int = 64
    output: int = 200_000  # characters kept of what a cell prints


class Died(Exception):
    """The process is gone, or had to be ended; the message is for the learner."""


class Confined:
    """A Python kernel within limits, in a folder of its own that is deleted in the end. A context manager."""

    def __init__(self, limits: Limits, files: Path | None = None, environment: dict[str, str] | None = None) -> None:
        self._limits, self._environment = limits, environment or {}
        self._files = files
        self._place = Path(tempfile.mkdtemp(prefix="ncsn-grade-")).resolve()
        self.folder = self._place / "w"  # short: names of sockets have to be
        (self._place / "lib").mkdir()  # the package alone: beside it may lie the course
        (self._place / "lib" / "ncsn_edu").symlink_to(_package(), target_is_directory=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Confined":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        _remove(self._place)

    def start(self) -> None:
        """A fresh kernel in a fresh folder. Raises Died where none comes up."""
        self.stop()
        self._fill_folder()
        connection, self._reason = self._place / "kernel.json", self._place / "reason"
        connection.unlink(missing_ok=True)
        self._reason.unlink(missing_ok=True)
        write_connection_file(str(connection), transport="ipc", ip=str(self.folder / ".k"))
        limits = asdict(self._limits) | {
            "folder": str(self.folder),
            "reason": str(self._reason),
            "readable": [str(_package()), str(self._place / "lib"), str(connection)],
        }
        (self._place / "limits.json").write_text(json.dumps(limits))
        confine = Path(__file__).with_name("confine.py")
        kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection), "--HistoryManager.enabled=False"]
        with open(self._place / "log", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(confine), str(self._place / "limits.json"), *kernel],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(self.folder) | {"PYTHONPATH": str(self._place / "lib")} | self._environment,
            )
        self._client = BlockingKernelClient(connection_file=str(connection))
        self._client.load_connection_file()
        self._client.start_channels()
        try:
            self._await_ready(60)
        except Died as error:
            self.stop()
            log_text = (self._place / "log").read_text(errors="replace")[-500:]
            raise Died(f"no kernel could be started: {error} {log_text}".strip()) from None

    def _fill_folder(self) -> None:
        """The assignment's files and no others; no notebook."""
        _remove(self.folder)
        self.folder.mkdir()
        for fonts in _matplotlib_cache().glob("fontlist*.json"):
            shutil.copy(fonts, self.folder)
        if self._files is not None:
            skip = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "*.db")
            shutil.copytree(self._files, self.folder, ignore=skip, dirs_exist_ok=True)

    @property
    def alive(self) -> bool:
        """Is there a process, as far as is known?"""
        return self._process is not None

    def _await_ready(self, seconds: float) -> None:
        """Until it answers, and its broadcasts arrive: what it says before somebody listens is lost."""
        end = time.monotonic() + seconds
        answered = heard = False
        while time.monotonic() < end:
            self._client.kernel_info()
            with contextlib.suppress(queue.Empty):
                answered = answered or bool(self._client.get_shell_msg(timeout=0.2))
                heard = heard or bool(self._client.get_iopub_msg(timeout=0.2))
            if answered and heard:
                return
            self._look()
        raise Died("it did not answer")

    def stop(self) -> None:
        """End the kernel and all that it started."""
        if self._process is None:
            return
        self._client.stop_channels()
        if self._process.poll() is None:
            self._process.terminate()  # the watcher, which kills all that is below
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def run(self, code: str, seconds: float) -> list[NotebookNode]:
        """The outputs of a cell. Raises Died if the kernel went, or had to go for it would not stop in time."""
        ours = self._client.execute(code, store_history=True, allow_stdin=False)
        outputs: list[NotebookNode] = []
        end, asked, kept = time.monotonic() + seconds, False, 0
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                self._look()
                message = None
            if message and message["parent_header"].get("msg_id") == ours:
                kind, content = message["msg_type"], message["content"]
                if kind == "status" and content["execution_state"] == "idle":
                    break
                if kind in ("stream", "execute_result", "display_data", "error"):
                    kept += len(json.dumps(content, default=str))
                    if kept <= self._limits.output or kind in ("error", "execute_result"):
                        _append(outputs, output_from_msg(message))
            if time.monotonic() > end:
                self._look()
                if asked:
                    self.stop()
                    raise Died(f"took more than {seconds:.0f} seconds, and could not be interrupted")
                os.killpg(self._process.pid, signal.SIGINT)  # type: ignore[union-attr]
                asked, end = True, end + GRACE
        if self._asked_to_exit(ours):
            self.stop()
            raise Died("ended the Python process (exit)")
        if kept > self._limits.output:
            _append(
                outputs, new_output("stream", name="stdout", text="\n... the rest of what it printed is left out\n")
            )
        if asked:
            error = _error("OutOfTime", f"took more than {seconds:.0f} seconds")
            # A test cell that was interrupted has counted its points; another cell has failed.
            outputs += [] if any(o.output_type == "execute_result" for o in outputs) else [error]
        return outputs

    def _asked_to_exit(self, request: str) -> bool:
        """Did the cell call exit() or quit()? The process ends only after it has answered."""
        with contextlib.suppress(queue.Empty):
            while True:
                reply = self._client.get_shell_msg(timeout=GRACE)
                if reply["parent_header"].get("msg_id") == request:
                    return any(part.get("source") == "ask_exit" for part in reply["content"].get("payload", []))
        return False

    def _look(self) -> None:
        """Raises Died if the process is gone."""
        if self._process is not None and self._process.poll() is None:
            return
        reason = self._reason.read_text() if self._reason.exists() else "signal"
        self.stop()
        limits = self._limits
        words = {
            "memory": f"took more than {limits.memory / 2**30:.2g} GiB of memory",
            "disk": f"wrote more than {limits.disk / 2**20:.0f} MiB to the disk",
            "processes": f"started more than {limits.processes} processes",
        }
        raise Died(words.get(reason, f"ended the Python process ({reason})"))


class Execute(NbGraderPreprocessor):
    """Runs a notebook in place of nbgrader's own preprocessor, within limits. Remarks go into the notebook's metadata.

    The process works in a folder that is thrown away, with the files of the assignment but without its source.
    """

    cell_seconds = Float(Limits.cell_seconds, help="seconds that one cell may take").tag(config=True)
    total_seconds = Float(Limits.total_seconds, help="seconds that the notebook may take").tag(config=True)
    memory = Integer(Limits.memory, help="bytes of memory of all its processes").tag(config=True)
    disk = Integer(Limits.disk, help="bytes that it may write").tag(config=True)
    processes = Integer(Limits.processes, help="processes at a time").tag(config=True)
    output = Integer(Limits.output, help="characters kept of what one cell prints").tag(config=True)
    environment = Dict(help="environment variables of the process").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Run all code cells of nb and store their outputs in it."""
        limits = Limits(**{field: getattr(self, field) for field in Limits.__dataclass_fields__})
        with Confined(limits, Path(resources["metadata"]["path"]), dict(self.environment)) as kernel:
            remarks = run_cells(nb.cells, kernel, limits)
        ours = nb.metadata.setdefault("ncsn_edu", {})
        ours["remarks"] = [*ours.get("remarks", []), *remarks]
        return nb, resources


def run_cells(cells: list[NotebookNode], kernel: Confined, limits: Limits) -> list[str]:
    """Run the code cells in order and store their outputs; returns remarks for the teacher.

    When the process is lost, a new one runs the cells before again, except for those that ended it and for tests.
    """
    remarks: list[str] = []
    end = time.monotonic() + limits.total_seconds
    good: list[str] = []
    for number, cell in enumerate(cells, start=1):
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        left = end - time.monotonic()
        try:
            if left <= 0:
                raise Died(f"not run: the notebook took more than {limits.total_seconds:.0f} seconds")
            if not kernel.alive:
                _restart(kernel, good, limits, end)
            cell.outputs = kernel.run(cell.source, min(limits.cell_seconds, left))
            errors = {output.ename for output in cell.outputs if output.output_type == "error"}
            full = any("File too large" in output.get("evalue", "") for output in cell.outputs)
            if full or "MemoryError" in errors:  # what filled it may still be there
                kernel.stop()
            elif not is_grade(cell) and "OutOfTime" not in errors:
                good.append(cell.source)
        except Died as error:
            name = cell.metadata.get("nbgrader", {}).get("grade_id", f"{number}")
            remarks.append(f"cell {name} {error}")
            cell.outputs.append(_error("Stopped", str(error)))
        if is_grade(cell):
            _only_the_points(cell, remarks)
    if kernel.alive and any("ncsn_edu.grading" in cell.source for cell in cells):
        with contextlib.suppress(Died):
            values = [output.data.get("text/plain") for output in kernel.run(CANARY, 30) if "data" in output]
            if values != ["1.0"]:
                remarks.append("THE TOOLS OF THE TESTS WERE CHANGED by this notebook: its points mean nothing; read it")
    return remarks


def _restart(kernel: Confined, good: list[str], limits: Limits, end: float) -> None:
    """A new process that has run the good cells; one that ends it now is good no more."""
    kernel.start()
    for code in list(good):
        try:
            kernel.run(code, max(1.0, min(limits.cell_seconds, end - time.monotonic())))
        except Died:
            good.remove(code)
            return _restart(kernel, good, limits, end)


def _only_the_points(cell: NotebookNode, remarks: list[str]) -> None:
    """Of a test cell keep what was printed, and its error or its last value.

    nbgrader counts the first value that it finds, takes no value for full points, and a warning for a failure.
    """
    name, most = cell.metadata.nbgrader["grade_id"], float(cell.metadata.nbgrader["points"])
    values = [output for output in cell.outputs if output.output_type == "execute_result"]
    failed = any(output.output_type == "error" for output in cell.outputs)
    cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
    if failed:
        return
    if len(values) > 1:
        remarks.append(f"cell {name} gave {len(values)} values: the last one counts; read the answer")
    points = values[-1].data.get("text/plain", "") if values else None
    if points is None and not _ends_in_a_value(cell.source):
        return
    try:
        fits = points is not None and 0 <= float(points) <= most
    except ValueError:
        fits = False
    if fits:
        cell.outputs.append(values[-1])
    else:
        said = f"the tests gave {points or 'nothing'} instead of points from 0 to {most:g}"
        remarks.append(f"cell {name}: {said}")
        cell.outputs.append(_error("NoPoints", said))


def _ends_in_a_value(source: str) -> bool:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[-1], ast.Expr)


def _error(name: str, text: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def _append(outputs: list[NotebookNode], output: NotebookNode) -> None:
    """Put streams together; all are stdout, for a warning is no failure."""
    if output.output_type == "stream":
        output.name = "stdout"
        if outputs and outputs[-1].output_type == "stream":
            outputs[-1].text += output.text
            return
    outputs.append(output)


def _package() -> Path:
    spec = importlib.util.find_spec("ncsn_edu")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _remove(folder: Path) -> None:
    """Also where somebody has taken the right to."""
    for place, names, _ in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(place, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _matplotlib_cache() -> Path:
    """Where it keeps its list of fonts, which takes seconds to make."""
    cache = os.environ.get("MPLCONFIGDIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "matplotlib")
    return Path(cache).expanduser()


def _environment(folder: Path) -> dict[str, str]:
    """Nobody's settings, and all caches in the folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NCSN_EDU_", "JUPYTER", "IPYTHON"))}
    kept |= {key: value for key, value in os.environ.items() if key == "NCSN_EDU_GRADING_SEED"}
    places = ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME")
    return kept | {
        **{name: str(folder) for name in places},
        "JUPYTER_RUNTIME_DIR": str(folder),
        "NCSN_EDU_PROGRESS": "0",
        "NCSN_EDU_DATA": os.devnull,
        "PYTHONDONTWRITEBYTECODE": "1",
        # Threads that wait must not spin: beside another busy process two of them would take ten times as long as one.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
