"""lab: the notebooks in JupyterLab. This file does NOT run notebooks."""

import argparse
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ..files import expanded
from ..kernels import child_environment
from .common import Commands, Failed, WrongUsage, new_command, notebooks_folder, there_is_no


def add(commands: Commands) -> None:
    """The parser of lab."""
    parser = new_command(commands, "lab", run, "open the notebooks in JupyterLab")
    parser.usage = "%(prog)s [-h] [--port N] [--no-browser] [NOTEBOOK] [-- EXTRA ...]"
    parser.epilog = "what follows -- goes to JupyterLab as it is: lab -- --ip=0.0.0.0"
    parser.add_argument(
        "notebook", nargs="?", default="00_start_here", metavar="NOTEBOOK", help="06, 06_annealing or a path"
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="port to serve on (default: the first free one from 8888)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and signals are JupyterLab's."""
    folder, notebook = _find_notebook(arguments.notebook)
    if find_spec("jupyterlab") is None:
        raise Failed(f"JupyterLab is not installed in this Python: {sys.executable} -m pip install jupyterlab")
    expanded("~", "JupyterLab's home")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    command.append(f"--LabApp.default_url=/lab/tree/{quote(os.fsencode(notebook))}")
    if arguments.port:
        _check_free(arguments.port)
        command += [f"--ServerApp.port={arguments.port}", "--ServerApp.port_retries=0"]
    if arguments.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in arguments.extra:
        print("running as root: JupyterLab is started with --allow-root", file=sys.stderr)
        command.append("--allow-root")
    command += arguments.extra
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, child_environment())
    return subprocess.call(command, env=child_environment())


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535, or leave --port out")
    return int(text)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server just closed does not hold its port
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failed(
                f"port {port} cannot be used ({error.strerror}): choose another --port, or leave --port out "
                "and a free one is taken"
            ) from error


def _find_notebook(asked: str) -> tuple[Path, str]:
    """(folder to serve, the notebook's path in it) for 06, 06_annealing, 06_annealing.ipynb or a path."""
    folder = notebooks_folder()
    for path in (Path(os.path.realpath(place)) for place in (asked, folder / asked)):
        if path.suffix == ".ipynb" and path.is_file():
            inside = path.is_relative_to(folder)
            return (folder, path.relative_to(folder).as_posix()) if inside else (path.parent, path.name)
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    wanted = asked.removesuffix(".ipynb")
    number = f"{int(wanted):02d}_" if wanted.isdecimal() else None
    fitting = [name for name in names if name == wanted or (number and name.startswith(number))]
    if not fitting:
        raise WrongUsage(there_is_no("notebook", asked, names))
    if len(fitting) > 1:
        raise WrongUsage(f"{asked} could be any of {', '.join(fitting)}: give the whole name")
    return folder, f"{fitting[0]}.ipynb"
