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
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from nbformat import NotebookNode
from nbformat.v4 import new_output, output_from_msg
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Dict, Float, Integer

from . import sandbox
from .cleanup import remove
from .submissions import remark

ENDING = 60.0  # seconds that the watcher may take to kill all and to clean up, on a busy machine
GRACE = 5.0  # seconds between asking a cell to stop and ending its process
NO_KERNEL = "no kernel could be started"
STARTING = 120.0  # seconds that a kernel may take to answer, on a busy machine
# What is said below an error that comes from being graded, and not from the code: the error, and the words.
NOT_HERE = (
    (r"StdinNotImplemented", "nobody answers input() while a notebook is graded"),
    (
        r"gaierror|URLError|HTTPError|ConnectionError|ConnectionRefused|ConnectTimeout|Network is unreachable"
        r"|resolve host|Name or service not known",
        "a notebook is graded without the internet",
    ),
    (
        r"PermissionError|Read-only file system|Permission denied|Operation not permitted",
        "while it is graded a notebook can write in its own folder and in tempfile's, and read Python's libraries and "
        "the files of the assignment, and nothing else of the machine",
    ),
    (
        r"^FileNotFoundError",
        "it is graded on another machine: of your own files only small ones are there, if they were handed in beside "
        "the notebook",
    ),
    (
        r"^ModuleNotFoundError",
        "this package is not on the machine that grades, and cannot be installed: use those that the course needs",
    ),
    (
        r"^EOFError",
        "if this comes from multiprocessing: where a notebook is graded there may be no sockets; Queue, Pool and Lock "
        "work without, but Manager and forkserver do not",
    ),
    (r"CUDA|NVIDIA", "a notebook is graded without a GPU: move to one only if torch.cuda.is_available()"),
    (r"File too large|No space left", "there is a limit to what a notebook may write while it is graded"),
    (r"can't start new thread|Resource temporarily", "there is a limit to the processes and threads of a notebook"),
)
INSTALL = "__import__('ncsn_edu.grading.kernel').grading.kernel.install()"


@dataclass(frozen=True)
class Limits:
    """What one submission may take: seconds, bytes, processes."""

    cell_seconds: float = 120.0
    total_seconds: float = 900.0
    memory: int = 4 << 30
    disk: int = 256 << 20
    processes: int = 64
    output: int = 200_000  # characters kept of what a cell prints


class Died(Exception):
    """The process is gone, or had to be ended; the message is for the learner."""


class NotStarted(Exception):
    """This machine could not start a kernel, which is no learner's fault; the message is for the teacher."""


class Confined:
    """A Python kernel within limits, in a folder of its own that is deleted in the end. A context manager."""

    def __init__(self, limits: Limits, files: Path | None = None, environment: dict[str, str] | None = None) -> None:
        """Raises NotStarted where there is no place for the folder."""
        self._limits, self._environment = limits, environment or {}
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._place = sandbox.new_place()
        except OSError as error:
            raise NotStarted(f"{NO_KERNEL}: {error}") from error
        self.folder = self._place / "w"

    def __enter__(self) -> "Confined":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        remove(self._place)

    def start(self) -> None:
        """A fresh kernel in a fresh folder. Raises NotStarted where none comes up."""
        self.stop()
        try:
            self._spawn()
            self._await_ready()
        except (Died, OSError) as error:
            self.stop()
            with contextlib.suppress(OSError):
                log = (self._place / "log").read_text(errors="replace").strip().splitlines()
                cause = [line for line in log if "rror" in line][-1:] or log[-1:]
                raise NotStarted(": ".join([NO_KERNEL, str(error), *cause])) from error
            raise NotStarted(f"{NO_KERNEL}: {error}") from error

    def _spawn(self) -> None:
        self._fill_folder()
        connection, self._reason = self._place / "kernel.json", self._place / "reason"
        write_connection_file(str(connection), transport="ipc", ip=str(self._place / "h" / "k"))
        libraries = sandbox.libraries(_package(), self._place / "lib")
        readable = [*libraries.readable, str(connection)]
        wrapped = sandbox.bubblewrap() is not None
        limits = asdict(self._limits) | {
            "place": str(self._place),
            "folder": str(self.folder),
            "reason": str(self._reason),
            "visible": None if wrapped else sandbox.visible(readable, self._place),
        }
        (self._place / "limits.json").write_text(json.dumps(limits))
        ours = Path(__file__).parent
        how = "wrapped" if wrapped else "bare"
        kernel = [sys.executable, str(ours / "launch.py"), str(connection), how, *libraries.after]
        command = sandbox.wrapped(kernel, readable, self._place) if wrapped else kernel
        with open(self._place / "log", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ours / "confine.py"), str(self._place / "limits.json"), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._place,  # that of the teacher may be gone
                start_new_session=True,
                env=sandbox.environment(self._place, libraries.before) | self._environment,
            )
        self._client = BlockingKernelClient(connection_file=str(connection))
        self._client.load_connection_file()
        self._client.start_channels()

    def _fill_folder(self) -> None:
        """The assignment's files and no others; no notebook, and no link."""
        for name in ("w", "h", "t", "s", "lib"):
            remove(self._place / name)
            (self._place / name).mkdir()
        for name in ("kernel.json", "reason", "limits.json"):
            (self._place / name).unlink(missing_ok=True)
        for fonts in _matplotlib_cache().glob("fontlist*.json"):
            with contextlib.suppress(OSError):  # another user's
                shutil.copy(fonts, self.folder)
        if self._files is not None:
            with contextlib.suppress(shutil.Error):  # what cannot be read is not there
                shutil.copytree(self._files, self.folder, ignore=_not_to_copy, dirs_exist_ok=True)

    @property
    def alive(self) -> bool:
        """Is there a process, as far as is known?"""
        return self._process is not None

    def _await_ready(self) -> None:
        """Until it answers, and its broadcasts arrive: what it says before somebody listens is lost."""
        end = time.monotonic() + STARTING
        answered = heard = False
        while time.monotonic() < end:
            self._client.kernel_info()
            with contextlib.suppress(queue.Empty):
                answered = answered or bool(self._client.get_shell_msg(timeout=0.2))
                heard = heard or bool(self._client.get_iopub_msg(timeout=0.2))
            if answered and heard:
                return
            self._look()
        raise Died(f"it did not answer for {STARTING:.0f} seconds")

    def stop(self) -> None:
        """End the kernel and all that it started."""
        if self._process is None:
            return
        self._client.stop_channels()
        if self._process.poll() is None:
            self._process.terminate()  # the watcher, which kills all that is below
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def run(self, code: str, seconds: float, *, hidden: bool = False) -> list[NotebookNode]:
        """The outputs of a cell. Raises Died if the kernel went, or had to go for it would not stop in time.

        hidden: the notebook's history does not get it.
        """
        return self._run(code, seconds, store_history=not hidden)[0]

    def run_tests(self, code: str, seconds: float, *, share: float) -> dict[str, Any]:
        """What a test cell gives, as kernel.py puts it into its reply. Raises Died as `run` does."""
        tests = {"seconds": seconds, "share": share}
        _, reply = self._run(code, seconds, store_history=False, user_expressions={"tests": json.dumps(tests)})
        given: dict[str, Any] = reply.get("user_expressions", {}).get("tests") or {}
        if not given:
            raise Died("was not answered")
        return given

    def _run(self, code: str, seconds: float, **how: Any) -> tuple[list[NotebookNode], dict[str, Any]]:
        ours = self._client.execute(code, allow_stdin=False, **how)
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
                self._interrupt()
                asked, end = True, end + GRACE
        reply = self._reply(ours)
        if any(part.get("source") == "ask_exit" for part in reply.get("payload", [])):  # exit() or quit()
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
        return outputs + _because_it_is_graded(outputs), reply

    def _interrupt(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)  # the watcher passes it on

    def _reply(self, request: str) -> dict[str, Any]:
        """What the kernel answered in the end; nothing where it did not."""
        with contextlib.suppress(queue.Empty):
            while True:
                reply = self._client.get_shell_msg(timeout=GRACE)
                if reply["parent_header"].get("msg_id") == request:
                    content: dict[str, Any] = reply["content"]
                    return content
        return {}

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


def try_kernel() -> None:
    """Start one and end it. Raises NotStarted where this machine cannot."""
    with Confined(Limits()) as kernel:
        kernel.start()


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
    stuck_share = Float(1.0, help="of its points that a task gets whose answer calls what its *Stuck?* line names").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Run all code cells of nb and store their outputs in it."""
        limits = Limits(**{field: getattr(self, field) for field in Limits.__dataclass_fields__})
        with Confined(limits, Path(resources["metadata"]["path"]), dict(self.environment)) as kernel:
            remarks = run_cells(nb.cells, kernel, limits, share=self.stuck_share)
        remark(nb, remarks)
        return nb, resources


def run_cells(cells: list[NotebookNode], kernel: Confined, limits: Limits, *, share: float = 1.0) -> list[str]:
    """Run the code cells in order and store their outputs; returns remarks for the teacher.

    When the process is lost, a new one runs the cells before again, except for those that ended it and for tests.
    share: of its points that a task gets whose answer calls what its *Stuck?* line names.
    """
    run = _Run(cells, kernel, limits, share)
    for number, cell in enumerate(cells, start=1):
        if cell.cell_type == "code":
            run.cell(cell, cell.metadata.get("nbgrader", {}).get("grade_id", f"{number}"))
    return run.remarks


class _Run:
    """The run of one notebook: the time that is left, the cells that a new process has to run again, the remarks."""

    def __init__(self, cells: list[NotebookNode], kernel: Confined, limits: Limits, share: float) -> None:
        self._kernel, self._limits, self._share = kernel, limits, share
        self._end = time.monotonic() + limits.total_seconds
        self._good: list[NotebookNode] = []
        self._has_tests, self._hidden = any(map(_is_tests, cells)), _hidden_lines(cells)
        self.remarks: list[str] = []

    def cell(self, cell: NotebookNode, name: str) -> None:
        """Run one cell and store its outputs; of a test cell they are its points, or an error."""
        cell.outputs, cell.execution_count = [], None
        try:
            cell.outputs = self._outputs(cell, name)
            errors = {output.ename for output in cell.outputs if output.output_type == "error"}
            full = any("File too large" in output.get("evalue", "") for output in cell.outputs)
            if full or "MemoryError" in errors:  # what filled it may still be there
                self._kernel.stop()
            elif not is_grade(cell) and "OutOfTime" not in errors:
                self._good.append(cell)
        except Died as error:
            self.remarks.append(f"cell {name} {error}")
            cell.outputs.append(_error("Stopped", str(error)))
        if _shows(cell.outputs, self._hidden):
            cell.outputs = _left_out(cell.outputs)
            self.remarks.append(f"cell {name} SHOWS HIDDEN TESTS: what it shows is not in the feedback; read it")
        if is_grade(cell):
            _only_the_points(cell, self.remarks)

    def _outputs(self, cell: NotebookNode, name: str) -> list[NotebookNode]:
        """What a cell shows. Raises Died as the kernel does, and where no time is left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Died(f"not run: the notebook took more than {self._limits.total_seconds:.0f} seconds")
        if not self._kernel.alive:
            self._restart()
        seconds = min(self._limits.cell_seconds, left)
        if not _is_tests(cell):
            return self._kernel.run(cell.source, seconds)
        given = self._kernel.run_tests(cell.source, seconds, share=self._share)
        self.remarks += _remarks(name, given, self._share)
        return _as_outputs(given, self._share, self._limits.output)

    def _restart(self) -> None:
        """A new process that has run the good cells; one that ends it now is good no more."""
        self._kernel.start()
        if self._has_tests:
            install = self._kernel.run(INSTALL, 120.0, hidden=True)
            errors = [output for output in install if output.output_type == "error"]
            if errors:
                raise NotStarted(f"{NO_KERNEL} for the tests: {errors[0].ename}: {errors[0].evalue}")
        for cell in list(self._good):
            seconds = max(1.0, min(self._limits.cell_seconds, self._end - time.monotonic()))
            try:
                if _is_tests(cell):
                    self._kernel.run_tests(cell.source, seconds, share=1.0)
                else:
                    self._kernel.run(cell.source, seconds)
            except Died:
                self._good.remove(cell)
                return self._restart()


def _is_tests(cell: NotebookNode) -> bool:
    """A locked cell of tests, or of what they share: a learner's own cell of this kind is an ordinary one."""
    locked = cell.metadata.get("nbgrader", {}).get("locked", False)
    return bool(locked) and cell.cell_type == "code" and cell.source.startswith("%%tests ")


def _as_outputs(given: dict[str, Any], share: float, most: int) -> list[NotebookNode]:
    """A test cell's reply as what the cell shows: lines, and then an error or the points."""
    text = given["text"]
    text = text if len(text) <= most else f"{text[:most]}\n... the rest is left out\n"
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    if given["error"] is not None:
        outputs.append(_error(*given["error"]))
    elif _changed(given, share):
        outputs.append(_error("NoPoints", "the tools of the tests were changed"))
    elif given["value"] is not None:
        outputs.append(new_output("execute_result", data={"text/plain": given["value"]}))
    return outputs


def _changed(given: dict[str, Any], share: float) -> str:
    """Why the points of a test cell cannot be believed; nothing if they can."""
    if given["replaced_meanwhile"]:
        return f"while it was tested, the answer replaced {', '.join(given['replaced_meanwhile'])}"
    if not given["judges"]:
        return "a wrong result passes them"
    passed = sum(map(float, re.findall(r"^✓ .*\(([\d.]+) points?\)", given["text"], re.MULTILINE)))
    with contextlib.suppress(TypeError, ValueError):  # no points at all, or no number: that is said elsewhere
        if abs(float(given["value"]) - passed * (share if given["helped"] else 1.0)) > 1e-6:
            return f"they gave {given['value']}, and the checks that passed make {passed:g}"
    return ""


def _remarks(name: str, given: dict[str, Any], share: float) -> Iterator[str]:
    """What a teacher should know about a test cell."""
    if why := _changed(given, share):
        yield f"THE TOOLS OF THE TESTS WERE CHANGED by this notebook: no points for {name}; read it ({why})"
    if given["replaced"]:
        names = ", ".join(given["replaced"])
        yield f"before {name} this notebook replaced {names}: the tests ran with the originals; read it"
    if given["helped"]:
        calls = " and ".join(given["helped"])
        yield f"{name}: the answer calls {calls}, which its task names for the stuck: it counts {share:g}"


def _hidden_lines(cells: list[NotebookNode]) -> list[str]:
    """What stands in hidden tests and nowhere else in a notebook, without blanks and quotes; no short lines."""
    hidden: list[str] = []
    visible = ""
    for cell in cells:
        parts = re.split(r"^### (?:BEGIN|END) HIDDEN TESTS$", cell.source, flags=re.MULTILINE)
        hidden += [line for part in parts[1::2] for line in map(_bare, part.splitlines()) if len(line) > 25]
        visible += _bare("\n".join(parts[::2]))
    return [line for line in dict.fromkeys(hidden) if line not in visible]


def _shows(outputs: list[NotebookNode], lines: list[str]) -> bool:
    shown = _bare(json.dumps(outputs, ensure_ascii=False, default=str)) if outputs else ""
    return any(line in shown for line in lines)


def _left_out(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """A line in place of what was shown; an error stays one, for without it nbgrader would give all points."""
    said = "what this cell shows is left out"
    kept = [output for output in outputs if output.output_type == "execute_result" and _is_number(output)]
    failed = any(output.output_type == "error" for output in outputs)
    return [
        new_output("stream", name="stdout", text=f"({said})"),
        *kept,
        *([_error("LeftOut", said)] if failed else []),
    ]


def _is_number(output: NotebookNode) -> bool:
    return re.fullmatch(r"[\d.e+-]+", output.data.get("text/plain", "")) is not None


def _bare(text: str) -> str:
    return re.sub(r"\\u001b\[[0-9;]*m|\\[nrt]|[\s\\'\"]", "", text)


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
        body = ast.parse(source.partition("\n")[2] if source.startswith("%%tests ") else source).body
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


def _because_it_is_graded(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """In words, why an error happens here and not on the learner's machine, as far as can be told."""
    for error in (output for output in outputs if output.output_type == "error"):
        for pattern, words in NOT_HERE:
            if re.search(pattern, f"{error.ename}: {error.evalue}"):
                return [new_output("stream", name="stdout", text=f"\n({words})\n")]
    return []


def _not_to_copy(folder: str, names: list[str]) -> set[str]:
    """Notebooks, databases, and what is neither a file nor a folder: a link may lead anywhere, a pipe to nowhere."""
    found = set()
    for name in names:
        kind = os.lstat(os.path.join(folder, name)).st_mode
        plain = stat.S_ISREG(kind) or stat.S_ISDIR(kind)
        if not plain or name.endswith((".ipynb", ".db")) or name == ".ipynb_checkpoints":
            found.add(name)
    return found


def _matplotlib_cache() -> Path:
    """Where it keeps its list of fonts, which takes seconds to make."""
    cache = os.environ.get("MPLCONFIGDIR") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "matplotlib")
    return Path(os.path.expanduser(cache))
