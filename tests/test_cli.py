import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from helpers import started
from waiting import PATIENCE, wait_for

import ncsn_edu
from ncsn_edu import commands, datasets, doctor, figures, losses, workcopy
from ncsn_edu.__main__ import main
from ncsn_edu.checkpoints import Folder
from ncsn_edu.logs import Log, read_log
from ncsn_edu.manifold import relative_spread, share_of_bound
from ncsn_edu.recipes import RECIPES, changed, settings

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
    for word in ("lab", "figures", "train", "sample", "inpaint", "data", "doctor", "examples:"):
        assert word in done.stdout
    code = "import sys, ncsn_edu.__main__ as m; m.main(['--version']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("command", ["lab", "figures", "train", "sample", "inpaint", "data", "doctor"])
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
def test_doctor_prints_what_is_found_and_how_to_fix_it(capsys, monkeypatch, status, code):
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
        "fix": "do this",
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
    (checkout / "figures/good.json").write_text('{"caption": "A curve rises."}')
    assert main(["figures", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "good  01_good.ipynb",
        "    A curve rises.",
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
    monkeypatch.setattr(commands.figures, "_run", lambda *_: pytest.fail("a notebook was run"))
    assert main(["figures"]) == 1
    assert "NCSN_EDU_FIGURES_DIR" in capsys.readouterr().err


def test_makes_what_is_named_and_checks_it(capfd, checkout, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "no_such_backend")  # of the reader's, for a screen that is not there
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


CODE_ALONE = shutil.ignore_patterns("weights", "__pycache__")  # other tests write into the latter meanwhile


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_everything(checkout, tmp_path):
    shutil.copytree(Path(ncsn_edu.__file__).parent, checkout / "ncsn_edu", ignore=CODE_ALONE)
    mark = tmp_path / "kernel"
    wait = (
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\nsave_figure(fig, 'good')"
    )
    write(checkout, "01_good", PLOT, wait)
    command = [sys.executable, "-m", "ncsn_edu", "figures", "good", "annealing"]
    with started(command, cwd=checkout, stdout=-1, stderr=-1, text=True) as process:
        wait_for(lambda: mark.exists() and mark.read_text(), "the kernel runs", every=0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and err.strip() == "" and "annealing" not in out
    wait_for(lambda: not _alive(int(mark.read_text())), "the kernel ends", every=0.1)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# --- figures that depend on the data

TWO_WAYS = """
if os.environ.get("NCSN_EDU_DATA", "").endswith("full"):
    save_figure(fig, "fig_cifar10")
else:
    save_figure(fig, "fig_digits")
"""


@pytest.fixture
def two_ways(checkout, monkeypatch, tmp_path):
    """A checkout whose one notebook makes fig_cifar10 or fig_digits, and folders of data with CIFAR-10 and without."""
    for notebook in (checkout / "notebooks").glob("*.ipynb"):
        notebook.unlink()
    write(checkout, "04_two", PLOT, "import os" + TWO_WAYS, "save_figure(fig, 'always')")
    for file in datasets.DATASETS["cifar10"].official_files:
        (tmp_path / "full" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "full" / file).touch()
    return lambda name: monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path / name))


@pytest.mark.parametrize(
    ("folder", "made", "other", "why"),
    [
        ("empty", "fig_digits", "fig_cifar10", "its data are not here (cifar10 is not in "),
        ("full", "fig_cifar10", "fig_digits", "the notebook found other data, and made fig_cifar10"),
    ],
)
def test_a_figure_of_other_data_is_said_to_be_not_made(capfd, checkout, two_ways, folder, made, other, why):
    two_ways(folder)
    (checkout / "figures").mkdir()
    (checkout / f"figures/{other}.png").touch()  # stored by someone who has the data: says nothing about this run
    assert main(["figures"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and f"s: {made}, always\n    {other}: not written: {why}" in out
    assert "2 figures from 1 notebook written" in out
    assert main(["figures", "--check"]) == 0
    out, _ = capfd.readouterr()
    assert f"    {other}: not checked: {why}" in out and "2 figures from 1 notebook as stored" in out

    assert main(["figures", other]) == 1
    out, err = capfd.readouterr()
    assert "FAILED" in out and f"{other}: not written" in out and f"did not save all of its figures: {other}" in err
    assert main(["figures", "--check", made]) == 0
    assert "1 figure from 1 notebook as stored" in capfd.readouterr().out


SAY = "import os; os.write(2, b'words of the kernel')"  # under pytest ipykernel leaves stream 2 to the process


def test_words_of_the_kernel_itself_are_heard_only_where_it_died(capfd, checkout):
    for notebook in (checkout / "notebooks").glob("*.ipynb"):
        notebook.unlink()
    write(checkout, "01_ends_well", PLOT, f"save_figure(fig, 'well'); {SAY}")
    assert main(["figures"]) == 0
    assert capfd.readouterr().err == ""
    write(checkout, "02_dies", PLOT, f"save_figure(fig, 'dying'); {SAY}; os._exit(1)")
    assert main(["figures"]) == 1
    assert "02_dies.ipynb: DeadKernelError: Kernel died: words of the kernel" in capfd.readouterr().err


def test_a_figure_that_is_stored_but_was_not_made_now_is_a_failure(capfd, checkout):
    write(checkout, "01_good", PLOT, "save_figure(fig, 'good')")
    assert main(["figures", "good"]) == 0
    write(checkout, "01_good", PLOT, "if False:\n    save_figure(fig, 'good')")
    assert main(["figures", "--check", "good"]) == 1
    out, err = capfd.readouterr()
    assert "FAILED" in out and "s: no figure" in out and "did not save all of its figures: good" in err


# --- train


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and no data set but digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path / "no-data"))
    return tmp_path


def smoke(*more):
    return main(["train", "manifold", "--scale", "smoke", "--steps", "7", *more])


def test_train_keeps_every_loss_and_a_summary(capfd, here):
    assert smoke("--seed", "3") == 0
    out, err = capfd.readouterr()
    assert all(f"manifold, smoke, {name}: 7 steps on digits, on " in out for name in ("clean", "noised"))
    assert "are in runs/manifold-smoke" in out and err == ""
    folder = here / "runs/manifold-smoke"
    assert sorted(os.listdir(folder)) == ["clean", "losses.png", "noised", "summary.json"]
    logs = {sigma: read_log(folder / name) for sigma, name in ((0, "clean"), (0.01, "noised"))}
    assert all([row["step"] for row in log] == [*range(1, 8)] for log in logs.values())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["settings"] == json.loads(json.dumps(settings(changed(RECIPES["manifold"]["smoke"], n_steps=7))))
    assert (summary["recipe"], summary["scale"], summary["seed"]) == ("manifold", "smoke", 3)
    assert summary["versions"]["ncsn_edu"] == ncsn_edu.__version__ and "torch" in summary["versions"]
    for run_, sigma in zip(summary["runs"], (0, 0.01), strict=True):
        losses = [row["loss"] for row in logs[sigma]]
        assert run_["steps"] == 7 and run_["stopped"] == "" and run_["last_loss"] == losses[-1]
        assert run_["sigma"] == sigma and run_["seconds"] >= 0
        assert run_["relative_spread"] == pytest.approx(relative_spread(losses))
        assert run_["share_of_bound"] == pytest.approx(share_of_bound(losses, 0.01, 64))
    assert (folder / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_train_too_short_for_a_summary_number(here):
    assert main(["train", "manifold", "--scale", "smoke", "--steps", "1", "--out", "one"]) == 0
    runs = json.loads((here / "one/summary.json").read_text())["runs"]
    assert [run_["relative_spread"] for run_ in runs] == [None, None]


def test_train_overwrites_nothing_unless_forced(capsys, here):
    (here / "out").mkdir()
    assert smoke("--out", "out") == 0  # an empty folder is fine
    (here / "out/note.txt").write_text("mine")

    def contents():
        return {path: path.read_bytes() for path in (here / "out").rglob("*") if path.is_file()}

    before = contents()
    assert smoke("--out", "out", "--seed", "1") == 1
    assert "out is not empty" in (err := capsys.readouterr().err) and "--force" in err and err.count("\n") == 1
    assert contents() == before
    assert smoke("--out", "out", "--seed", "1", "--force") == 0
    assert json.loads((here / "out/summary.json").read_text())["seed"] == 1
    assert (here / "out/note.txt").read_text() == "mine"
    assert smoke("--out", "out/note.txt", "--force") == 1
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["manifolds"], "no recipe 'manifolds'. Did you mean manifold?"),
        (["manifold", "--scale", "papre"], "no scale 'papre'. Did you mean paper?"),
        (["manifold", "--steps", "0"], "'0' is not a whole number of at least 1"),
        (["manifold", "--steps", "2.5"], "at least 1"),
        (["manifold", "--seed", "-1"], "'-1' is not a whole number of at least 0"),
        ([], "RECIPE"),
    ],
)
def test_train_with_bad_input(capsys, here, arguments, message):
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err and list(here.iterdir()) == []


def test_train_without_the_data_names_the_ways_to_get_them(capsys, here):
    assert main(["train", "manifold"]) == 1
    err = capsys.readouterr().err
    assert "cifar10 is not complete in" in err and "Three ways to get it" in err and "Traceback" not in err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(("overflowing", "code"), [(0.0, 0), (0.01, 1)])
def test_train_goes_on_after_a_loss_that_overflows(capsys, here, monkeypatch, overflowing, code):
    real = losses.sliced

    def spoiled(score, x, sigma, **options):
        spoiled.calls += sigma == overflowing
        bad = sigma == overflowing and spoiled.calls == 4
        return real(score, x, sigma, **options) * (math.inf if bad else 1)

    spoiled.calls = 0
    monkeypatch.setattr(losses, "sliced", spoiled)
    assert smoke() == code
    name = "noised" if overflowing else "clean"
    assert re.search(rf"ncsn_edu: {name}: the loss is -?inf at step 4", capsys.readouterr().err)
    runs = json.loads((here / "runs/manifold-smoke/summary.json").read_text())["runs"]
    assert [bool(run_["stopped"]) for run_ in runs] == [sigma == overflowing for sigma in (0, 0.01)]
    assert [run_["steps"] for run_ in runs] == [3 if sigma == overflowing else 7 for sigma in (0, 0.01)]
    calls = spoiled.calls
    assert smoke("--resume") == code and spoiled.calls == calls  # what diverged is not tried again


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_in_training(here):
    command = [sys.executable, "-m", "ncsn_edu", "train", "manifold", "--scale", "smoke", "--steps", "1000000"]
    environment = {**os.environ, "PYTHONPATH": str(Path(ncsn_edu.__file__).parent.parent)}
    with started(command, cwd=here, env=environment, stdout=-1, stderr=-1, text=True) as process:
        log = here / "runs/manifold-smoke/clean/log.jsonl"
        wait_for(lambda: log.exists() and log.stat().st_size, "the training goes on", every=0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "Traceback" not in err
    lines = log.read_text().splitlines()
    assert f"stopped after {len(lines)} of 1000000 steps of the run clean; resume with: python" in err
    assert json.loads(lines[-1])["step"] == len(lines)


def interrupt_at(line: int, monkeypatch, kind=signal.SIGINT):
    """A signal while this line of the logs is being written: the step is made, its line is not there yet."""
    note, written = Log._print, []

    def interrupted(self, text):
        written.append(text)
        if len(written) == line:
            signal.raise_signal(kind)
        note(self, text)

    monkeypatch.setattr(Log, "_print", interrupted)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_step_is_written_whole_before_training_stops_and_the_rest_can_follow(here, monkeypatch, capsys, kind):
    assert smoke("--out", "whole") == 0
    with monkeypatch.context() as patch:
        interrupt_at(3, patch, kind)
        assert smoke() == 130
    folder = here / "runs/manifold-smoke"
    assert [row["step"] for row in read_log(folder / "clean")] == [1, 2, 3]
    assert "stopped after 3 of 7 steps of the run clean" in capsys.readouterr().err
    assert not (folder / "summary.json").exists() and not (folder / "noised").exists()
    assert smoke("--resume") == 0
    for name in ("clean", "noised"):
        found, wanted = ([row["loss"] for row in read_log(path / name)] for path in (folder, here / "whole"))
        assert found == wanted
    assert smoke("--resume") == 0  # nothing is left to do: the report is made again


@pytest.mark.parametrize(("at", "code"), [(7, 130), (14, 0)])
def test_ctrl_c_in_a_last_step(here, monkeypatch, capsys, at, code):
    interrupt_at(at, monkeypatch)  # the last step of the first training, and of the second
    assert smoke() == code
    assert ("stopped after 7 of 7 steps of the run clean;" in capsys.readouterr().err) == (code == 130)
    assert (here / "runs/manifold-smoke/summary.json").exists() == (code == 0)


def test_a_judge_is_trained_like_any_other_net_and_resumed_exactly(here, capsys):
    command = ["train", "judge_digits", "--scale", "smoke", "--steps", "10"]
    assert main([*command, "--out", "whole"]) == 0
    assert main([*command, "--minutes", "1e-6", "--out", "parts"]) == 0
    assert "stopped after 1 of 10 steps; resume with: python" in capsys.readouterr().out
    assert main([*command, "--out", "parts", "--resume"]) == 0
    whole, parts = (Folder(here / name).latest() for name in ("whole", "parts"))
    assert all(torch.equal(whole["model"][name], parts["model"][name]) for name in whole["model"])
    assert read_log(here / "whole")[0]["levels"] == []
    assert main(["sample", "whole"]) == 1
    assert "holds no score network of images" in capsys.readouterr().err


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
    (checkout / "work").mkdir()
    shutil.copy(
        checkout / "notebooks/01_good.ipynb", checkout / "work/06_annealing-Copy1.ipynb"
    )  # of the learner's own
    _, command, environment = lab(*asked, "--no-browser", "--", "--ip=0.0.0.0")
    assert (checkout / f"work/{opened}.ipynb").is_file()
    assert command == [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={checkout / 'work'}",
        f"--LabApp.default_url=/lab/tree/{opened}.ipynb",
        "--no-browser",
        "--ip=0.0.0.0",
    ]
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert str(Path(ncsn_edu.__file__).parent.parent) == environment["PYTHONPATH"].split(os.pathsep)[0]


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_opens_a_path(lab, checkout, tmp_path, monkeypatch):
    handed_out = checkout / "notebooks/assignments/release/a1_task/a1_task.ipynb"
    handed_out.parent.mkdir(parents=True)
    for path in (handed_out, tmp_path / "mine.ipynb"):
        shutil.copy(checkout / "notebooks/01_good.ipynb", path)
    monkeypatch.chdir(tmp_path)
    command, environment = lab("mine.ipynb")[1:]
    assert f"--ServerApp.root_dir={tmp_path}" in command and "--LabApp.default_url=/lab/tree/mine.ipynb" in command
    assert environment["NCSN_EDU_FIGURES_DIR"] == str(checkout / "figures")  # as the environment says
    assert not (checkout / "work").exists()  # it needs none
    for asked in ("a1", "a1_task", "assignments/a1_task.ipynb", "checkout/work/assignments/a1_task.ipynb", handed_out):
        assert "--LabApp.default_url=/lab/tree/assignments/a1_task.ipynb" in lab(str(asked))[1]
    for asked in ("checkout/notebooks/01_good.ipynb", "checkout/work/01_good.ipynb", "1"):
        command = lab(asked)[1]
        assert "--LabApp.default_url=/lab/tree/01_good.ipynb" in command
        assert f"--ServerApp.root_dir={checkout / 'work'}" in command
    shutil.copy(tmp_path / "mine.ipynb", checkout / "work/30_mine.ipynb")
    assert "--LabApp.default_url=/lab/tree/30_mine.ipynb" in lab("30")[1]


def test_lab_can_make_the_copy_alone(lab, checkout, monkeypatch, capsys):
    monkeypatch.setattr(commands.lab, "find_spec", lambda name: None)  # not even JupyterLab is needed
    assert lab("--only-copy") == (0, None, None) and (checkout / "work/06_annealing.ipynb").is_file()
    assert lab("--only-copy", "--edit") == (2, None, None) and "--only-copy" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_an_installed_package_copies_what_it_has_below_the_current_folder(lab, checkout, tmp_path, monkeypatch):
    installed = tmp_path / "site-packages/ncsn_edu"
    workcopy.bundle(checkout / "notebooks", installed / "project")
    monkeypatch.setattr(figures, "source_checkout", lambda: None)
    monkeypatch.setattr(figures, "__file__", str(installed / "figures.py"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for _ in range(2):  # the second time from inside the copy
        assert f"--ServerApp.root_dir={tmp_path / 'empty/ncsn-edu'}" in lab("06")[1]
        monkeypatch.chdir(tmp_path / "empty/ncsn-edu")
    assert not (tmp_path / "empty/ncsn-edu/ncsn-edu").exists()
    assert lab("--edit") == (1, None, None)


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_settings_of_the_package_come_before_those_of_the_machine(lab, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/of/the/machine")
    for arguments, kinds in (([], ["everybody", "learners"]), (["--edit"], ["everybody"])):
        *ours, theirs = lab(*arguments)[2]["JUPYTER_CONFIG_PATH"].split(os.pathsep)
        assert theirs == "/of/the/machine" and [Path(folder).name for folder in ours] == kinds


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_edit_opens_the_stored_notebooks(lab, checkout, monkeypatch, capsys):
    monkeypatch.delenv("NCSN_EDU_FIGURES_DIR")
    (checkout / "notebooks/other").mkdir()
    shutil.copy(checkout / "notebooks/01_good.ipynb", checkout / "notebooks/other/x.ipynb")
    for asked, opened in {"06": "06_annealing", "other/x.ipynb": "other/x"}.items():
        _, command, environment = lab("--edit", asked)
        assert f"--ServerApp.root_dir={checkout}" in command
        assert f"--LabApp.default_url=/lab/tree/notebooks/{opened}.ipynb" in command
        assert "NCSN_EDU_FIGURES_DIR" not in environment and environment["NCSN_EDU_FIGURES"] == "check"
    assert not (checkout / "work").exists() and capsys.readouterr().out == ""
    assert lab("--edit", "--folder", "x") == (2, None, None)
    assert lab(str(checkout / "notebooks/other/x.ipynb")) == (2, None, None)
    assert "has no copy: lab --edit opens it" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_figures_of_a_learner_go_to_the_learners_folder(lab, checkout, tmp_path, monkeypatch):
    monkeypatch.delenv("NCSN_EDU_FIGURES_DIR")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to(tmp_path / "my folder")
    for arguments, folder in (([], checkout / "work"), (["--folder", "~/link"], tmp_path / "my folder")):
        _, command, environment = lab("06", *arguments)
        assert f"--ServerApp.root_dir={folder}" in command and (folder / "06_annealing.ipynb").is_file()
        run_notebook = [sys.executable, "-c", "".join(cells_of(folder / "06_annealing.ipynb"))]
        subprocess.run(run_notebook, env={**environment, "MPLBACKEND": "agg"}, check=True)
        assert (folder / "figures/annealing.png").is_file() and not (checkout / "figures").exists()


def cells_of(path):
    return ["".join(cell["source"]) + "\n" for cell in json.loads(path.read_text())["cells"]]


@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_says_what_it_did_to_the_learners_folder(lab, checkout, capsys):
    def said():
        assert lab()[0] is not None
        first, *lines = capsys.readouterr().out.splitlines()
        assert first == f"your copy of the notebooks: {checkout / 'work'}"
        return lines

    def change(name):
        path = checkout / f"work/{name}.ipynb"
        path.write_text(path.read_text().replace("hello", "mine").replace("figsize", "mine"))

    assert said() == [] and said() == []
    for name in ("00_start_here", "02_broken"):
        change(name)
    for name in ("00_start_here", "01_good", "03_new"):
        write(checkout, name, "print('hello again')")
    (checkout / "notebooks/02_broken.ipynb").unlink()
    (checkout / "notebooks/06_annealing.ipynb").rename(checkout / "notebooks/07_annealing.ipynb")
    assert said() == [
        "new: 03_new.ipynb, 07_annealing.ipynb",
        "new version of: 01_good.ipynb (where one is open already: File > Reload Notebook from Disk)",
        "changed by you, and there is a new version: 00_start_here.ipynb is yours, 00_start_here.new.ipynb the new one",
        "no longer in the project, and not changed by you, so removed: 06_annealing.ipynb",
        "no longer in the project, but changed by you, so kept: 02_broken.ipynb",
    ]
    assert said() == []
    change("00_start_here.new")
    write(checkout, "00_start_here", "print('hello for the third time')")
    (checkout / "notebooks/01_good.ipynb").write_text("<<<<<<< HEAD")
    broken = "left as it is: 01_good.ipynb, as the project's own is no notebook: git -C " + str(checkout) + " status"
    held = (
        "changed by you, and there is a new version: to get it, rename or delete 00_start_here.new.ipynb, "
        "changed by you as well"
    )
    assert said() == [held, broken]
    (checkout / "work/.ncsn_edu.json").write_text("{")
    assert "differs from the project counts as changed by you" in said()[0]


@pytest.mark.skipif(os.name != "posix", reason="there any home folder may be")
@pytest.mark.parametrize(
    "folder", ["", " ", "~nobody-of-this-name/x", "notebooks", "figures/mine", ".", "pyproject.toml"]
)
def test_a_folder_that_is_none_to_work_in(lab, checkout, monkeypatch, capsys, folder):
    (checkout / "figures").mkdir()
    monkeypatch.chdir(checkout)
    before = sorted(checkout.rglob("*"))
    code, command, _ = lab(f"--folder={folder}")
    assert code in (1, 2) and command is None and sorted(checkout.rglob("*")) == before
    err = capsys.readouterr().err
    assert "--folder" in err and "Traceback" not in err


NAMES = ["A1 #final 100%.ipynb", "what?.ipynb", "a+b&c=d;e.ipynb", "{übung} 1.ipynb", "[x] 'y'.ipynb", "%20.ipynb"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(os.name != "posix", reason="there the process is not replaced")
def test_lab_opens_any_name(lab, checkout, tmp_path, monkeypatch, name):
    """The address is read as a browser and Jupyter's server read it: cut at ? and #, then unquoted."""
    monkeypatch.chdir(tmp_path)
    outside, inside = tmp_path / "50% of #1?" / name, checkout / "work" / "mine #2+" / name
    for path in (outside, inside):
        path.parent.mkdir(parents=True)
        shutil.copy(checkout / "notebooks/01_good.ipynb", path)
    for path, root in ((outside, outside.parent), (inside, checkout / "work")):
        command = lab(str(path))[1]
        (url,) = (word.partition("=")[2] for word in command if word.startswith("--LabApp.default_url="))
        address = urlsplit("http://localhost:8888" + url.format())  # tornado's redirect formats it
        assert address.query == address.fragment == "" and url.isascii()
        assert unquote(address.path) == "/lab/tree/" + path.relative_to(root).as_posix()
        assert f"--ServerApp.root_dir={root}" in command


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_lab_is_not_lost_in_a_circle_of_links(lab, tmp_path, capsys):
    (tmp_path / "a.ipynb").symlink_to(tmp_path / "b.ipynb")
    (tmp_path / "b.ipynb").symlink_to(tmp_path / "a.ipynb")
    assert lab(str(tmp_path / "a.ipynb"))[0] == 2
    assert "no notebook" in capsys.readouterr().err


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


@pytest.mark.skipif(os.name != "posix", reason="there is always a home")
def test_without_a_home_jupyter_is_not_started(lab, monkeypatch, capsys):
    import pwd

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert lab()[0] == 1
    assert "JupyterLab's home is ~, and there is no such home folder" in capsys.readouterr().err


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
    monkeypatch.setattr(commands.lab, "find_spec", lambda name: None)
    assert lab() == (1, None, None)
    assert "pip install jupyterlab" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="root")
def test_as_root(lab, monkeypatch, capsys):
    assert "--allow-root" not in lab()[1] and capsys.readouterr().err == ""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lab()[1].count("--allow-root") == 1 and "root" in capsys.readouterr().err
    assert lab("--", "--allow-root")[1].count("--allow-root") == 1


def test_the_process_becomes_jupyterlab(checkout, tmp_path):
    shutil.copytree(Path(ncsn_edu.__file__).parent, checkout / "ncsn_edu", ignore=CODE_ALONE)
    (tmp_path / "fake/jupyterlab").mkdir(parents=True)
    (tmp_path / "fake/jupyterlab/__init__.py").touch()
    (tmp_path / "fake/jupyterlab/__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(5)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "fake")}
    command = [sys.executable, "-m", "ncsn_edu", "lab", "1"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 5 and "/lab/tree/01_good.ipynb" in done.stdout, done.stderr
