"""What a submission cannot do to the machine, what a right one must be able to do, and machines of other kinds.

Two kernels, one within bubblewrap and one without, serve most of it: each try is made in both. A try to do harm is made
in this process first, where it must succeed: otherwise that it fails in the kernel would say nothing.
"""

import os
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from helpers import started
from nbformat.v4 import new_code_cell
from waiting import wait_for

from ncsn_edu.__main__ import main
from ncsn_edu.grading import barrier, cleanup, sandbox
from ncsn_edu.grading.course import Course
from ncsn_edu.grading.execute import Confined, Limits, NotStarted, run_cells
from ncsn_edu.grading.results import Result
from ncsn_edu.grading.submissions import Submission

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests/assignments")]
import assignments as tool  # noqa: E402
import handed_in  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="grading needs Linux or macOS")
LIMITS = Limits(cell_seconds=60.0, memory=2 << 30, disk=64 << 20)
SECRET = "correct-horse-battery"


class Machine:
    """What a teacher may have: modules of his own, private files, servers, a process with a token."""

    def __init__(self, folder: Path) -> None:
        self.libs, self.private = folder / "libs", folder / "private"
        for place in (self.libs, self.private):
            place.mkdir()
        self.module, self.exam, self.notes = self.libs / "theirs.py", self.libs / "exam.txt", self.private / "notes.txt"
        self.module.write_text("value = 7\n")
        self.exam.write_text(SECRET)
        self.notes.write_text(SECRET)
        self.unix, self.datagrams = str(folder / "s"), str(folder / "d")
        self.abstract = f"\0ncsn-test-{os.getpid()}"
        self.servers: dict[str, socket.socket] = {}
        self.process = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], "API_TOKEN": SECRET})

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for server in self.servers.values():
            server.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("m"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def kernel(request, machine) -> Iterator[Confined]:
    """A kernel, started where the environment holds secrets; the second without bubblewrap."""
    if request.param == "bubblewrap" and sandbox.bubblewrap() is None:
        pytest.skip("no bubblewrap that works here")
    if request.param == "landlock" and (barrier.landlock_version() < 3 or not barrier.has_seccomp()):
        pytest.skip("needs Linux 6.2 or newer with Landlock, and libseccomp")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "landlock":
            patch.setattr(sandbox, "bubblewrap", lambda: None)
        for name in ("AWS_SECRET_ACCESS_KEY", "https_proxy", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "LC_PASSWORD"):
            patch.setenv(name, SECRET)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(machine.libs)]))
        started = Confined(LIMITS)
        started.start()
    with started:
        yield started


def said(outputs: list[nbformat.NotebookNode]) -> str:
    return " ".join(
        output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "") for output in outputs
    )


# ---- right, and unlucky where it is graded ----------------------------------------------------------------------

WORKS = {
    "DataLoader": (
        "import torch\nfrom torch.utils.data import DataLoader\n"
        "[float(b.sum()) for b in DataLoader(torch.arange(6.0), batch_size=3, num_workers=2, persistent_workers=True)]",
        "[3.0, 12.0]",
    ),
    "Lock": ("import multiprocessing as mp\nlock = mp.RLock()\nwith lock: print('held')", "held"),
    "Queue": (
        "import multiprocessing as mp\nq = mp.Queue()\n"
        "p = mp.Process(target=lambda: q.put('from below'))\np.start()\nq.get(timeout=20)",
        "'from below'",
    ),
    "Pool": ("import multiprocessing as mp\nwith mp.Pool(2) as pool: print(pool.map(abs, [-3, 4]))", "[3, 4]"),
    "executor": (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(1) as pool: print(list(pool.map(abs, [-5])))",
        "[5]",
    ),
    "shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\ns = SharedMemory(create=True, size=100)\n"
        "s.buf[1] = 3\nagain = SharedMemory(s.name)\nprint(again.buf[1])\nagain.close()\ns.close()\ns.unlink()",
        "3",
    ),
    "joblib": ("import joblib\njoblib.Parallel(2)(joblib.delayed(abs)(i) for i in (-1, -8))", "[1, 8]"),
    "subprocess": ("import subprocess\nsubprocess.run(['expr', '6', '*', '7'], capture_output=True).stdout", "42"),
    "os.system": ("import os\nos.system('test -d .')", "0"),
    "!command": (
        "x = 'shell'\n!printf 'from the %s' {x}; [[ 1 == 1 ]] && exit 3\nprint(_exit_code)",
        "from the shell3",
    ),
    "= !command": ("lines = !printf 'a\\nb'\nlist(lines)", "['a', 'b']"),
    "%%bash": ("%%bash\necho $((40 + 2))", "42"),
    "%timeit": ("%timeit -n 1 -r 1 sum([1])", "per loop"),
    "%matplotlib widget": (
        "%matplotlib widget\nimport matplotlib.pyplot as plt\nplt.plot([1])\nprint('drawn')",
        "drawn",
    ),
    "%matplotlib tk": ("%matplotlib tk\nprint('goes on')", "goes on"),
    "%gui": ("%gui gtk3\nprint('goes on')", "goes on"),
    "a backend with windows": (
        "import matplotlib\nmatplotlib.use('Qt5Agg')\nimport matplotlib.pyplot as plt\nplt.figure()\nplt.show()\n"
        "plt.switch_backend('GTK4Agg')\nprint('goes on')",
        "goes on",
    ),
    "who": ("import os, getpass\n(os.getlogin(), getpass.getuser())", "('learner', 'learner')"),
    "home": ("from pathlib import Path\n(Path.home() / 'x').write_text('abc')", "3"),
    "tempfile": ("import tempfile\nwith tempfile.NamedTemporaryFile() as f: print(f.write(b'abcd'))", "4"),
    "copies": (
        "import os, shutil, stat\nopen('one', 'w').write('x')\nshutil.copy2('one', 'two')\nos.chmod('two', 0o755)\n"
        "os.mkdir('in')\nshutil.move('two', 'in')\nshutil.copytree('in', 'again')\nopen('again/two').read()",
        "'x'",
    ),
    "asyncio": ("import asyncio\nawait asyncio.sleep(0, 'slept')", "'slept'"),
    "the package": ("import ncsn_edu, scipy, theirs\ntheirs.value", "7"),
}


@pytest.mark.parametrize("name", WORKS)
def test_what_is_usual_works(name, kernel):
    code, expected = WORKS[name]
    outputs = kernel.run(code, 60)
    assert expected in said(outputs), outputs
    assert all(output.output_type != "error" for output in outputs)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("input('How many?')", "nobody answers input"),
        ("import urllib.request\nurllib.request.urlopen('http://192.0.2.1', timeout=5)", "without the internet"),
        ("open('/etc/mine', 'w')", "can write in its own folder"),
        ("open('/var/lib/mine/data.npy')", "of your own files only small ones"),
        ("import torch\ntorch.load('weights.pt')", "of your own files only small ones"),
        ("import torch\ntorch.ones(2).cuda()", "without a GPU"),
        ("from google.colab import drive", "this package is not on the machine that grades"),
        ("import os\nos.mkdir('/usr/mine')", "can write in its own folder"),
    ],
)
def test_what_is_not_allowed_is_said_in_words(code, words, kernel):
    outputs = kernel.run(code, 60)
    assert [output.output_type for output in outputs] == ["error", "stream"] and words in said(outputs)


def test_a_command_that_does_not_end_is_interrupted(kernel):
    assert "took more than 5 seconds" in said(kernel.run("!sleep 300", 5.0))
    assert said(kernel.run("'still there'", 30)) == "'still there'"


def test_a_test_cell_that_is_interrupted_has_counted_its_points(kernel):
    code = """
from ncsn_edu.grading.tasks import Task
task = Task("1", {})
task.check("fine", points=2)(lambda: None)
@task.check("endless", points=1)
def _():
    while True: pass
task.done()
"""
    kernel.run("import ncsn_edu.grading.tasks", 60)  # torch with it
    outputs = kernel.run(code, 5.0)
    assert [float(output.data["text/plain"]) for output in outputs if "data" in output] == [2.0]
    assert "ran out of time" in said(outputs) and all(output.output_type != "error" for output in outputs)


def test_a_cell_has_more_time_where_it_is_graded_than_learners_are_told():
    """A minute on a laptop is more than a minute on a busy machine."""
    told = re.sub(r"\s+", " ", (ROOT / "notebooks/assignments/for_students.md").read_text(encoding="utf-8"))
    assert "below one minute" in told and "stops a cell after two minutes, and the notebook after fifteen" in told
    limits = Course(ROOT / "notebooks/assignments").config().Execute
    assert (limits.cell_seconds, limits.total_seconds) == (2 * 60, 15 * 60)
    assert (Limits().cell_seconds, Limits().total_seconds) == (2 * 60, 15 * 60)


def test_only_plain_files_of_the_assignment_are_there(tmp_path):
    files, outside = tmp_path / "files", tmp_path / "outside.txt"
    (files / "in").mkdir(parents=True)
    outside.write_text(SECRET)
    for name in ("data.csv", "answer.ipynb", "in/helper.py", "book.db"):
        (files / name).write_text("x")
    (files / "link.txt").symlink_to(outside)
    (files / "folder").symlink_to(tmp_path)
    os.mkfifo(files / "pipe")
    with Confined(LIMITS, files) as kernel:
        kernel._fill_folder()
        names = {
            str(path.relative_to(kernel.folder)) for path in kernel.folder.rglob("*") if "fontlist" not in path.name
        }
    assert names == {"data.csv", "in", "in/helper.py"}


# ---- harm -------------------------------------------------------------------------------------------------------

TRIES = {
    "chmod": "os.chmod(f, 0o777)",
    "chmod of what is open": "os.fchmod(os.open(f, os.O_RDONLY), 0o777)",
    "chmod by a program": "subprocess.run(['chmod', '777', f])",
    "chmod of a second name": "os.link(f, f + '2'); os.chmod(f + '2', 0o777)",
    "utime": "os.utime(f, (1, 1))",
    "touch": "subprocess.run(['touch', '-d', '1999-01-01', f])",
    "truncate": "os.truncate(f, 0)",
    "open to truncate": "os.open(f, os.O_RDONLY | os.O_TRUNC)",
    "append": "open(f, 'a').write('x')",
    "attributes": "os.setxattr(f, 'user.mark', b'x')",
    "replace": "open('new', 'w').close(); os.replace('new', f)",
    "remove": "os.remove(f)",
}


def state(path: Path) -> object:
    if not path.exists():
        return None
    about = path.stat()
    return about.st_mode, about.st_mtime, about.st_ctime, about.st_uid, path.read_bytes(), os.listxattr(path)


@pytest.mark.parametrize("name", TRIES)
def test_files_outside_stay_as_they_are(name, kernel, machine, tmp_path, monkeypatch):
    """Also those that it can read: here a module of the teacher's, which it imports."""
    monkeypatch.chdir(tmp_path)
    control = tmp_path / "control"
    shutil.copy(machine.module, control)
    before = state(control)
    try:
        exec(f"import os, subprocess\n{TRIES[name]}", {"f": str(control)})
    except OSError as error:
        pytest.skip(f"impossible here: {error}")
    assert state(control) != before

    assert said(kernel.run("import theirs, os\nf = os.path.realpath(theirs.__file__)\nf", 30)) == repr(
        str(machine.module)
    )
    before = state(machine.module)
    kernel.run(f"import os, subprocess\n{TRIES[name]}", 30)
    assert state(machine.module) == before


def test_only_what_is_needed_can_be_read(kernel, machine):
    tried = [machine.notes, machine.exam, ROOT / "notebooks/assignments/nbgrader_config.py", Path(__file__), ROOT]
    opened = f"""
import os
def there(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path).read())
    except OSError:
        return False
[path for path in {[str(path) for path in tried]} if there(path)]
"""
    assert all(path.exists() for path in tried)
    assert said(kernel.run(opened, 30)) in ("[]", repr([str(ROOT)]))  # where the environment lies in it, names at most
    assert "tests" not in said(
        kernel.run(f"os.path.isdir({str(ROOT)!r}) and os.access({str(ROOT)!r}, 4) and os.listdir({str(ROOT)!r})", 30)
    )


def test_no_secret_of_the_environment_is_within_reach(kernel, machine):
    everywhere = """
import glob, os
def content(path):
    try:
        return open(path, errors="replace").read()
    except OSError:
        return ""
everything = str(os.environ) + "".join(map(content, glob.glob("/proc/*/environ")))
"""
    there = Path(f"/proc/{machine.process.pid}/environ")
    assert not there.exists() or SECRET in there.read_text()
    found = said(kernel.run(everywhere + "len(everything) > 100", 30))
    assert "True" in found
    found = said(
        kernel.run(f"{SECRET!r} in everything, [n for n in os.environ if 'PROXY' in n.upper() or 'AWS' in n]", 30)
    )
    assert found == "(False, [])"


REACH = """
import socket
def reach(family, kind, address, pair=False):
    try:
        s = socket.socketpair(family, kind)[0] if pair else socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:
            s.settimeout(3)
            s.connect(address)
            s.close()
        else:
            s.sendto(b'x', address)
        return True
    except OSError:
        return False
"""
SERVERS = {
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, "unix"),
    "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, "abstract"),
    "datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM, "datagrams"),
    "a pair that sends elsewhere": (socket.AF_UNIX, socket.SOCK_DGRAM, "datagrams"),
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, None),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, None),
}


@pytest.mark.parametrize("name", SERVERS)
def test_no_server_of_the_machine_is_reached(name, kernel, machine):
    family, kind, attribute = SERVERS[name]
    with socket.socket(family, kind) as server:
        server.settimeout(0.3)
        where = getattr(machine, attribute) if attribute else ("127.0.0.1", 0)
        if attribute in ("unix", "datagrams"):
            Path(where).unlink(missing_ok=True)
        server.bind(where)
        where = where if attribute else server.getsockname()
        if kind == socket.SOCK_STREAM:
            server.listen()

        def heard() -> bool:
            try:
                _ = server.accept() if kind == socket.SOCK_STREAM else server.recv(1)
            except TimeoutError:
                return False
            return True

        call = f"reach({int(family)}, {int(kind)}, {where!r}, {name.startswith('a pair')})"
        assert _reaches(call)
        assert heard()
        kernel.run(f"{REACH}\n{call}", 30)
        assert not heard()


def _reaches(call: str) -> bool:
    names: dict[str, object] = {}
    exec(REACH, names)
    return bool(eval(call, names))


def test_other_processes_and_keys_are_out_of_reach(kernel, machine):
    kernel.run(f"import os\nos.kill({machine.process.pid}, 9)", 30)
    kernel.run(f"import os\nos.kill({os.getpid()}, 12)\nos.kill(os.getppid(), 9)", 30)
    assert machine.process.poll() is None
    add_key = (
        "ctypes.CDLL(None).syscall({'x86_64': 248, 'aarch64': 217}[platform.machine()], b'user', b'k', b'v', 1, -4)"
    )
    assert said(kernel.run(f"import ctypes, platform\n{add_key}", 30)) == "-1"


# ---- what is left behind ----------------------------------------------------------------------------------------


def test_a_folder_is_removed_whatever_was_done_to_it(tmp_path):
    """Deeper than Python recurses and than a path can name; modes, links, pipes, names that are no text."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "kept").write_text("x")
    top = tmp_path / "top"
    (top / "closed/inner").mkdir(parents=True)
    (top / "closed/inner/file").write_text("x")
    os.chmod(top / "closed/inner", 0)
    os.chmod(top / "closed", 0)
    (top / "link").symlink_to(outside)
    (top / "file link").symlink_to(outside / "kept")
    os.mkfifo(top / "pipe")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe")).touch()
    place = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("folder", dir_fd=place)
        os.symlink(outside, "another", dir_fd=place)
        below = os.open("folder", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    assert cleanup.size(top, 1 << 30) > 1 << 30  # it hides what it holds
    cleanup.remove(top)
    assert not os.path.lexists(top)
    assert outside.stat().st_mode & 0o777 == 0o755 and (outside / "kept").read_text() == "x"


def test_a_link_is_not_removed_as_a_folder(tmp_path):
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cleanup.remove(tmp_path / "link")
    cleanup.remove(tmp_path / "not there")
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o755


def test_size_counts_blocks_and_every_small_file(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/big").write_bytes(bytes(1 << 20))
    for number in range(10):
        (tmp_path / f"{number}").touch()
    assert 1 << 20 < cleanup.size(tmp_path, 1 << 30) < (1 << 20) + (1 << 17)
    assert cleanup.size(tmp_path, 1 << 18) > 1 << 18


def test_the_disk_is_limited_also_for_files_without_a_name_and_folders_within_folders():
    nameless = """
import os
files = [open(f"x{i}", "wb") for i in range(4)]
for file in files:
    os.unlink(file.name)
    file.write(bytes(8 << 20))
    file.flush()
"""
    deep = "import os\nfor _ in range(300):\n    os.mkdir('d')\n    os.chdir('d')"
    limits = Limits(cell_seconds=30.0, disk=16 << 20)
    cells = [new_code_cell(code + "\nimport time\ntime.sleep(25)") for code in (nameless, deep)]
    with Confined(limits) as kernel:
        place = kernel.folder.parent
        run_cells(cells, kernel, limits)
    assert all("wrote more than 16 MiB" in said(cell.outputs) for cell in cells), cells
    assert not place.exists()


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory")
def test_nothing_is_left_in_shared_memory(monkeypatch):
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    name = f"/dev/shm/ncsn-left-{os.getpid()}"
    with Confined(LIMITS) as kernel:
        kernel.start()
        kernel.run(f"import time\nf = open({name!r}, 'wb')\nf.write(b'x' * 10_000)\nf.flush()\ntime.sleep(1)", 30)
        assert os.path.exists(name) == (barrier.landlock_version() >= 0)
    assert not os.path.exists(name)


ABANDONED = """
import sys, time
from ncsn_edu.grading.execute import Confined, Limits
kernel = Confined(Limits()).__enter__()
kernel.start()
kernel.run("import subprocess; subprocess.Popen(['sleep', '98765.75'], start_new_session=True)", 30)
print(kernel.folder.parent, flush=True)
time.sleep(100)
"""


def test_folder_and_processes_go_when_the_grader_is_killed():
    with started([sys.executable, "-c", ABANDONED], stdout=-1, text=True) as grader:
        place = Path(grader.stdout.readline().strip())
        assert place.is_dir() and handed_in.running("98765.75")
        grader.send_signal(signal.SIGKILL)
    wait_for(lambda: not place.exists() and not handed_in.running("98765.75"), "both are gone", every=0.1)


# ---- other machines ---------------------------------------------------------------------------------------------


def test_the_folder_is_where_sockets_have_short_names(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    for value in (str(long), str(tmp_path / "missing"), "relative", ""):
        monkeypatch.setenv("TMPDIR", value)
        place = sandbox.new_place()
        assert len(str(place)) <= sandbox.LONGEST + 20 and place.stat().st_mode & 0o777 == 0o700
        place.rmdir()
    (tmp_path / "short").mkdir()
    monkeypatch.setattr(sandbox, "LONGEST", len(str(tmp_path)) + 10)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "short"))
    place = sandbox.new_place()
    assert place.parent == tmp_path / "short"
    monkeypatch.setattr(sandbox, "_forbids_programs", lambda folder: folder.endswith("short"))
    other = sandbox.new_place()
    assert other.parent != tmp_path / "short"
    for made in (place, other):
        made.rmdir()
    monkeypatch.setattr(sandbox, "LONGEST", 0)
    with pytest.raises(NotStarted, match="set TMPDIR to one that can be written"):
        Confined(LIMITS)


MACHINE = """
import os
from ncsn_edu.grading.execute import Confined, Limits
os.umask(0o077)
os.rmdir(os.getcwd())
with Confined(Limits()) as kernel:
    kernel.start()
    (value,) = kernel.run("import numpy, scipy, ncsn_edu; open('x', 'w').write('abc')", 60)
    print(value["data"]["text/plain"])
"""


@pytest.mark.parametrize("kind", ["user site", "pth and PYTHONPATH"])
def test_packages_are_found_wherever_the_teacher_has_them(kind, tmp_path):
    """By a Python that has none of its own. Besides: a folder that is gone, no language, an odd umask."""
    packages = Path(site.getsitepackages()[0])
    python = Path(sys.base_prefix) / "bin/python3"
    if sys.prefix == sys.base_prefix or not python.exists():
        pytest.skip("needs a virtual environment, and the Python below it")
    (tmp_path / "home").mkdir()
    (tmp_path / "cwd").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "LANG": "C", "LC_ALL": "C"}
    if kind == "user site":
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        theirs = tmp_path / f"home/.local/lib/{version}/site-packages"
        theirs.parent.mkdir(parents=True)
        theirs.symlink_to(packages)
    else:
        subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
        python = tmp_path / "venv/bin/python"
        (theirs,) = (tmp_path / "venv/lib").glob("python*/site-packages")
        (theirs / "theirs.pth").write_text(f"# a comment\n{packages}\n")
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [python, "-c", MACHINE], cwd=tmp_path / "cwd", env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.stdout == "3\n", done.stderr


def test_what_lies_beside_modules_is_not_shown(tmp_path, monkeypatch):
    beside, installed, sites = tmp_path / "beside", tmp_path / "installed", tmp_path / "sites"
    for name in ("beside/pack/__init__.py", "beside/exam/solution.txt", "beside/mod.py", "beside/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (installed / "numpy-2.dist-info").mkdir(parents=True)
    (sites / "linked").mkdir(parents=True)
    (tmp_path / "cache/1/linked").mkdir(parents=True)
    (tmp_path / "cache/1/linked/__init__.py").touch()
    (sites / "linked/__init__.py").symlink_to(tmp_path / "cache/1/linked/__init__.py")
    (sites / "a.pth").write_text(f"{installed}\n{tmp_path / 'missing'}\nimport os\n")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(sites)])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(beside), str(ROOT), ""]))
    links = tmp_path / "links"
    links.mkdir()
    found = sandbox.libraries(ROOT / "ncsn_edu", links)
    shown = set(found.readable)
    assert {str(beside / "pack"), str(beside / "mod.py"), str(installed), str(tmp_path / "cache/1")} <= shown
    hidden = (beside, beside / "exam", beside / "notes.txt", ROOT, ROOT / "notebooks", tmp_path)
    assert not shown & set(map(str, hidden))
    names = [sorted(path.name for path in Path(folder).iterdir()) for folder in found.before]
    assert names == [["ncsn_edu"], ["mod.py", "pack"]] and found.after == [str(installed)]


def test_a_kernel_that_does_not_start_costs_nobody_points():
    """A cell has no outputs to be graded by, and the command ends with one message, not one for each student."""
    cell = new_code_cell("1", metadata={"nbgrader": {"grade": True, "grade_id": "tests-1", "points": 2.0}})
    broken = {"PYTHONHOME": "/nowhere"}
    with (
        Confined(LIMITS, environment=broken) as kernel,
        pytest.raises(NotStarted, match="no kernel could be started: .*encodings"),
    ):
        run_cells([cell], kernel, LIMITS)
    assert cell.outputs == []


TINY = """
# %% role="answer 1"
x = 1

# %% role="tests 1 2"
assert x == 1
"""


def test_on_a_machine_that_starts_no_kernel_grading_ends_with_one_message(tmp_path, capsys, monkeypatch):
    course, handed = tmp_path / "course", tmp_path / "handed"
    (course / "source/tiny").mkdir(parents=True)
    source = nbformat.writes(tool.parse("tiny", TINY))
    (course / "source/tiny/tiny.ipynb").write_text(source)
    config = (ROOT / "notebooks/assignments/nbgrader_config.py").read_text()
    handed.mkdir()
    (handed / "anna.ipynb").write_text(source)
    (course / "nbgrader_config.py").write_text(config + "\nc.Execute.environment = {'PYTHONHOME': '/nowhere'}\n")
    command = ["grade", str(handed), "--course", str(course), "--jobs", "1"]
    assert main(command) == 1  # the machine can, with its own settings: then she has a line
    shown = capsys.readouterr()
    assert shown.out.count("NOT GRADED: no kernel could be started") == 1 and "0 of 2 points" not in shown.out

    def cannot() -> None:
        raise NotStarted("no kernel could be started: the disk is full")

    def grade_apart(batch: object, submission: Submission, name: str) -> Result:
        return Result(submission.student, submission.file, "tiny", reason="no kernel could be started: as above")

    monkeypatch.setattr("ncsn_edu.grading.grade.grade_apart", grade_apart)
    monkeypatch.setattr("ncsn_edu.grading.grade.try_kernel", cannot)
    assert main([*command, "--again"]) == 1
    shown = capsys.readouterr()
    assert "the disk is full" in shown.err and "NOT GRADED" not in shown.out


def test_protection_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(barrier, "has_seccomp", lambda: True)
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: "/usr/bin/bwrap")
    assert str(sandbox.protection()) == "Submissions are confined by bubblewrap, seccomp."
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said = str(sandbox.protection())
    assert "Within reach are files that only root may read" in said and "Run grade as a user without rights" in said
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    monkeypatch.setattr(barrier, "landlock_version", lambda: 4)
    assert "signals" in sandbox.protection().open and "unix sockets" not in sandbox.protection().open
    monkeypatch.setattr(barrier, "has_seccomp", lambda: False)
    assert "unix sockets" in sandbox.protection().open
    monkeypatch.setattr(barrier, "landlock_version", lambda: 0)
    assert "can do all that you can" in str(sandbox.protection())
