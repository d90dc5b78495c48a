import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ncsn_edu
from ncsn_edu import __main__ as cli
from ncsn_edu import doctor, figures
from ncsn_edu.__main__ import main

PLOT = (
    "import matplotlib.pyplot as plt\nfrom ncsn_edu.figures import save_figure\nfig, ax = plt.subplots(figsize=(3, 2))"
)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A source folder of the test's own, with notebooks that run in a second."""
    root = tmp_path / "checkout"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    write(root, "00_start_here", "print('hello')")
    write(root, "01_good", PLOT, "save_figure(fig, 'good'); save_figure(fig, 'other')")
    write(root, "02_broken", PLOT, "raise ZeroDivisionError('in the notebook')\nsave_figure(fig, 'broken')")
    write(root, "06_annealing", PLOT, "ax.plot([1, 2])\nsave_figure(fig, 'annealing', numbers={'a': 1})")
    monkeypatch.setattr(figures, "source_checkout", lambda: root)
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(root / "figures"))
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")  # the command's own --check counts
    return root


def write(root, name, *sources):
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(sources)
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook))


def run(*arguments, **more):
    environment = {**os.environ, "PYTHONPATH": str(Path(ncsn_edu.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-m", "ncsn_edu", *arguments], capture_output=True, text=True, env=environment, **more
    )


# --- the whole


def test_help_answers_without_importing_torch():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("lab", "figures", "doctor", "examples:"):
        assert word in done.stdout
    code = "import sys, ncsn_edu.__main__ as m; m.main(['--version']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("command", ["lab", "figures", "doctor"])
def test_every_command_has_help(capsys, command):
    assert main([command, "--help"]) == 0
    assert command in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ncsn_edu {ncsn_edu.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["doctor", "--nonsense"], ["doctor", "--", "extra"]])
def test_wrong_usage_is_2(capsys, arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err


@pytest.mark.parametrize("arguments", [["lab"], ["figures"]])
def test_without_the_source_folder_it_says_so(capsys, monkeypatch, arguments):
    monkeypatch.setattr(figures, "source_checkout", lambda: None)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert "source folder" in err and err.count("\n") == 1 and out == ""


def test_an_interruption_is_quiet(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "checks", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == ""


# --- doctor


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("optional", 0), ("missing", 1)])
def test_doctor_prints_what_is_found_and_how_to_mend_it(capsys, monkeypatch, status, code):
    found = [doctor.Check("long name", "ok", "fine"), doctor.Check("b", status, "detail", "do this")]
    monkeypatch.setattr(doctor, "checks", lambda: found)
    assert main(["doctor"]) == code
    out = capsys.readouterr().out
    assert out.startswith(f"long name  ok        fine\nb          {status:<8}  detail\n")
    assert ("do this" in out) == (status != "ok") and ("Nothing required is missing" in out) == (code == 0)
    assert main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "b",
        "status": status,
        "detail": "detail",
        "mend": "do this",
    }


def test_doctor_as_a_process():
    done = run("doctor", "--json")
    names = [check["name"] for check in json.loads(done.stdout)]
    assert "torch" in names and done.returncode in (0, 1) and done.stderr == ""


def test_a_closed_pipe_is_no_error():
    command = f"'{sys.executable}' -m ncsn_edu doctor | true"
    environment = {**os.environ, "PYTHONPATH": str(Path(ncsn_edu.__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
    assert subprocess.run(command, shell=True, capture_output=True, text=True, env=environment).stderr == ""


# --- figures


def test_list(capsys, checkout):
    (checkout / "figures").mkdir()
    (checkout / "figures/good.png").touch()
    assert main(["figures", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "good  01_good.ipynb",
        "other  01_good.ipynb  (not stored yet)",
        "broken  02_broken.ipynb  (not stored yet)",
        "annealing  06_annealing.ipynb  (not stored yet)",
    ]


def test_an_unknown_figure_gets_the_closest_and_the_list(capsys, checkout):
    assert main(["figures", "anealing"]) == 2
    err = capsys.readouterr().err
    assert "no figure 'anealing'. Did you mean annealing?" in err and "good, other, broken, annealing" in err


def test_a_folder_that_cannot_be_written_is_found_before_any_notebook_runs(capsys, checkout, monkeypatch):
    (checkout / "figures").write_text("a file")
    monkeypatch.setattr(cli, "_run", lambda *_: pytest.fail("a notebook was run"))
    assert main(["figures"]) == 1
    assert "NCSN_EDU_FIGURES_DIR" in capsys.readouterr().err


def test_makes_what_is_named_and_checks_it(capfd, checkout):
    notebook = (checkout / "notebooks/06_annealing.ipynb").read_bytes()
    assert main(["figures", "good", "annealing"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.startswith("[1/2] 01_good ... ok after ") and "\n[2/2] 06_annealing ... ok after " in out
    assert "2 figures from 2 notebooks written" in out
    stored = {"good.png", "good.json", "annealing.png", "annealing.json"}  # not `other`, of the same notebook
    assert set(os.listdir(checkout / "figures")) == stored
    assert (checkout / "notebooks/06_annealing.ipynb").read_bytes() == notebook

    before = {name: (checkout / "figures" / name).read_bytes() for name in stored}
    write(checkout, "06_annealing", PLOT, "save_figure(fig, 'annealing', numbers={'a': 2})")
    assert main(["figures", "--check", "good", "annealing"]) == 1
    out, err = capfd.readouterr()
    assert "01_good ... ok" in out and "06_annealing ... FAILED" in out
    assert "a moved from 1 to 2" in err and "the picture differs" in err and "Traceback" not in err
    assert {name: (checkout / "figures" / name).read_bytes() for name in os.listdir(checkout / "figures")} == before
    kept = Path(next(line for line in err.splitlines() if " new: " in line).split()[-1]).parent
    shutil.rmtree(kept)


def test_goes_on_after_a_notebook_that_fails(capfd, checkout):
    write(checkout, "01_good", PLOT, "if False:\n    save_figure(fig, 'good')")
    assert main(["figures"]) == 1
    out, err = capfd.readouterr()
    assert "[2/3] 02_broken ... FAILED" in out and "[3/3] 06_annealing ... ok" in out
    assert (
        "02_broken.ipynb: ZeroDivisionError: in the notebook" in err and "did not save all of its figures: good" in err
    )
    assert "2 of 3 notebooks failed: 01_good, 02_broken" in err
    assert (checkout / "figures/annealing.png").is_file()


def test_notebooks_run_with_this_python_in_their_folder(capfd, checkout, monkeypatch, tmp_path):
    kernels = tmp_path / "jupyter/kernels/python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text('{"argv": ["/no/such/python"], "display_name": "other", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    cell = f"import os, sys\nassert sys.executable == {sys.executable!r}\nassert os.path.exists('00_start_here.ipynb')"
    write(checkout, "01_good", PLOT, cell, "assert os.environ['NCSN_EDU_PROGRESS'] == '0'\nsave_figure(fig, 'good')")
    assert main(["figures", "good"]) == 0, capfd.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_everything(checkout, tmp_path):
    shutil.copytree(Path(ncsn_edu.__file__).parent, checkout / "ncsn_edu", ignore=shutil.ignore_patterns("weights"))
    mark = tmp_path / "kernel"
    wait = (
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\nsave_figure(fig, 'good')"
    )
    write(checkout, "01_good", PLOT, wait)
    command = [sys.executable, "-m", "ncsn_edu", "figures", "good", "annealing"]
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err.strip() == "" and "annealing" not in out
    deadline = time.monotonic() + 10
    while _alive(int(mark.read_text())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(int(mark.read_text()))


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# --- lab


@pytest.fixture
def lab(checkout, monkeypatch):
    """Run lab with JupyterLab replaced; what it was started with, and its environment."""
    started = []
    monkeypatch.setattr(os, "execve", lambda program, command, environment: started.append((command, environment)))
    monkeypatch.setattr(subprocess, "call", lambda command, env: started.append((command, env)) or 0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)

    def start(*arguments):
        started.clear()
        code = main(["lab", *arguments])
        return code, *(started[0] if started else (None, None))

    return start


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ([], "00_start_here"),
        (["06_annealing"], "06_annealing"),
        (["06"], "06_annealing"),
        (["6"], "06_annealing"),
        (["06_annealing.ipynb"], "06_annealing"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_opens_the_notebook_asked_for(lab, checkout, asked, opened):
    _, command, environment = lab(*asked, "--no-browser", "--", "--ip=0.0.0.0")
    assert command == [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={checkout / 'notebooks'}",
        f"--LabApp.default_url=/lab/tree/{opened}.ipynb",
        "--no-browser",
        "--ip=0.0.0.0",
    ]
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert str(Path(ncsn_edu.__file__).parent.parent) == environment["PYTHONPATH"].split(os.pathsep)[0]


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_opens_a_path(lab, checkout, tmp_path, monkeypatch):
    (checkout / "notebooks/assignments").mkdir()
    shutil.copy(checkout / "notebooks/01_good.ipynb", checkout / "notebooks/assignments/a1.ipynb")
    shutil.copy(checkout / "notebooks/01_good.ipynb", tmp_path / "mine.ipynb")
    assert "--LabApp.default_url=/lab/tree/assignments/a1.ipynb" in lab("assignments/a1.ipynb")[1]
    monkeypatch.chdir(tmp_path)
    assert "--LabApp.default_url=/lab/tree/01_good.ipynb" in lab("checkout/notebooks/01_good.ipynb")[1]
    command = lab("mine.ipynb")[1]
    assert f"--ServerApp.root_dir={tmp_path}" in command and "--LabApp.default_url=/lab/tree/mine.ipynb" in command


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("06_anealing", "no notebook '06_anealing'. Did you mean 06_annealing?"),
        ("anneal", "Did you mean 06_annealing?"),
        ("7", "There are: 00_start_here, 01_good, 02_broken, 06_annealing"),
        ("elsewhere/x.ipynb", "no notebook"),
    ],
)
def test_an_unknown_notebook_gets_the_list(lab, capsys, asked, message):
    assert lab(asked) == (2, None, None)
    assert message in capsys.readouterr().err


def test_a_number_that_two_notebooks_share(lab, checkout, capsys):
    write(checkout, "06_annealing-Copy1")
    assert lab("06")[0] == 2
    assert "06_annealing, 06_annealing-Copy1" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "1.5", ""])
def test_an_impossible_port(lab, capsys, port):
    assert lab(f"--port={port}") == (2, None, None)
    assert "1 to 65535" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_a_port_that_is_taken(lab, capsys):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert lab("--port", str(port)) == (1, None, None)
        err = capsys.readouterr().err
        assert f"port {port}" in err and "leave --port out" in err and err.count("\n") == 1
    command = lab("--port", str(port))[1]
    assert f"--ServerApp.port={port}" in command and "--ServerApp.port_retries=0" in command


def test_without_jupyterlab_it_says_how_to_install_it(lab, capsys, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert lab() == (1, None, None)
    assert "pip install jupyterlab" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="root")
def test_as_root(lab, monkeypatch, capsys):
    assert "--allow-root" not in lab()[1] and capsys.readouterr().err == ""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lab()[1].count("--allow-root") == 1 and "root" in capsys.readouterr().err
    assert lab("--", "--allow-root")[1].count("--allow-root") == 1


def test_the_process_becomes_jupyterlab(checkout, tmp_path):
    shutil.copytree(Path(ncsn_edu.__file__).parent, checkout / "ncsn_edu", ignore=shutil.ignore_patterns("weights"))
    (tmp_path / "fake/jupyterlab").mkdir(parents=True)
    (tmp_path / "fake/jupyterlab/__init__.py").touch()
    (tmp_path / "fake/jupyterlab/__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(5)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "fake")}
    command = [sys.executable, "-m", "ncsn_edu", "lab", "1"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 5 and "/lab/tree/01_good.ipynb" in done.stdout, done.stderr
