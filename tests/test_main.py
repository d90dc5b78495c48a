"""Whatever goes wrong becomes a line: errors of the system, closed streams, mistakes in the program."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ncsn_edu
from ncsn_edu import commands, datasets
from ncsn_edu.__main__ import main, run


@pytest.fixture
def failing(monkeypatch):
    """Let the command `doctor` raise this."""

    def let(error):
        def raises(_):
            raise error

        monkeypatch.setattr(commands.doctor.doctor, "checks", lambda: raises(None))
        monkeypatch.setattr(sys, "argv", ["ncsn_edu", "doctor"])

    return let


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/x/y"), "ncsn_edu: /x/y: Read-only file system"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "ncsn_edu: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", b"/x"), "ncsn_edu: b'/x': Permission denied"),
        (FileNotFoundError("there is no file x"), "ncsn_edu: there is no file x"),
        (MemoryError(), "ncsn_edu: there is too little memory for this: close"),
        (OverflowError("int too large"), "ncsn_edu: a number is too large for this (int too large)"),
        (ValueError(), "ncsn_edu: stopped by a ValueError"),
        (RuntimeError("Could not determine home directory."), "ncsn_edu: there is no home folder, where Jupyter"),
        (datasets.DataUnavailable("mnist is not here"), "ncsn_edu: mnist is not here"),
        (datasets.DataDamaged("x is damaged"), "ncsn_edu: x is damaged"),
    ],
)
@pytest.mark.parametrize("start", [run, main])
def test_what_may_go_wrong_is_one_line(failing, capsys, error, said, start):
    failing(error)
    assert start() == 1
    err = capsys.readouterr().err
    assert err.startswith(said) and err.count("\n") == 1 and "Errno" not in err


def test_a_mistake_in_the_program_says_where_it_is(failing, capsys, monkeypatch):
    failing(KeyError("shape"))
    assert run() == 1
    err = capsys.readouterr().err
    assert "a mistake in the program: 'shape' (KeyError in test_main.py, line" in err and err.count("\n") == 1
    assert "NCSN_EDU_TRACEBACK=1" in err
    monkeypatch.setenv("NCSN_EDU_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run()
    with pytest.raises(KeyError):  # in Python, and in tests
        main(["doctor"])


def process(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    package = Path(ncsn_edu.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(package), "PYTHONUNBUFFERED": "", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = command.replace("ncsn_edu", f"{sys.executable} -m ncsn_edu")
    return subprocess.run(["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("ncsn_edu data list >&-", 0, ""),
        ("ncsn_edu data list 2>&-", 0, ""),
        ("ncsn_edu data list > /dev/full", 1, "ncsn_edu: No space left on device\n"),
        ("ncsn_edu --version > /dev/full", 1, "ncsn_edu: No space left on device\n"),
        ("ncsn_edu data list | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("rmdir $PWD; ncsn_edu data list", 1, "ncsn_edu: the folder that you are in is not there any more"),
        (r"ncsn_edu data list --root $'\xff/\u03c3'", 0, ""),
        (r"ncsn_edu evaluate $'\xff \u03c3.npy'", 1, r"ncsn_edu: there is no file \udcff"),
    ],
)
def test_streams_folders_and_names_that_are_not_as_usual(tmp_path, command, code, said):
    (tmp_path / "here").mkdir()
    done = process(command, tmp_path / "here")
    assert done.returncode == code and done.stderr.startswith(said) and bool(said) == bool(done.stderr), done.stderr
    assert done.stderr.count("\n") <= 1
