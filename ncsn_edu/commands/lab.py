"""lab: the notebooks in JupyterLab. This file does NOT run notebooks, nor know what is in them."""

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from .. import workcopy
from ..files import expanded
from ..kernels import child_environment
from .common import Commands, Failed, WrongUsage, bundled_notebooks, new_command, notebooks_folder, there_is_no

LOOKS = Path(__file__).resolve().parents[1] / "jupyter"  # settings for JupyterLab, which those of its user outdo
SAID = {  # of what an update did, where the folder was there before
    "made": "new: {names}",
    "updated": "new version of: {names} (where one is open already: File > Reload Notebook from Disk)",
    "offered": "changed by you, and there is a new version: {name} is yours, {beside} the new one",
    "held": "changed by you, and there is a new version: to get it, rename or delete {beside}, changed by you as well",
    "removed": "no longer in the project, and not changed by you, so removed: {names}",
    "left": "no longer in the project, but changed by you, so kept: {names}",
    "broken": "left as it is: {name}, as the project's own is no notebook: git -C {root} status",
}


def add(commands: Commands) -> None:
    """The parser of lab."""
    parser = new_command(commands, "lab", run, "open a copy of the notebooks, yours to work in, in JupyterLab")
    parser.usage = (
        "%(prog)s [-h] [--folder PATH | --edit] [--port N] [--no-browser] [--only-copy] [NOTEBOOK] [-- EXTRA ...]"
    )
    parser.epilog = "what follows -- goes to JupyterLab as it is: lab -- --ip=0.0.0.0"
    parser.add_argument(
        "notebook", nargs="?", default="00_start_here", metavar="NOTEBOOK", help="07, 07_annealing, a1 or a path"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--folder",
        type=_folder,
        metavar="PATH",
        help="where your copy is (default: work/ beside the notebooks' folder; of an installed package: ./ncsn-edu)",
    )
    place.add_argument(
        "--edit", action="store_true", help="open the project's own notebooks, with their outputs, to change them"
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="port to serve on (default: the first free one from 8888)"
    )
    parser.add_argument("--only-copy", action="store_true", help="make or update your copy, and start nothing")
    parser.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and signals are JupyterLab's."""
    if arguments.only_copy:
        if arguments.edit:
            raise WrongUsage("--edit needs no copy: leave it out, or --only-copy")
        _to_work(arguments.notebook, arguments.folder)
        return 0
    if find_spec("jupyterlab") is None:
        raise Failed(f"JupyterLab is not installed in this Python: {sys.executable} -m pip install jupyterlab")
    expanded("~", "JupyterLab's home")
    if arguments.port:
        _check_free(arguments.port)
    if arguments.edit:
        (root, notebook), environment = _to_edit(arguments.notebook), child_environment()
    else:
        root, notebook = _to_work(arguments.notebook, arguments.folder)
        environment = child_environment() | _figures_in(root)
    environment |= looks(learner=not arguments.edit)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{quote(os.fsencode(notebook))}")
    if arguments.port:
        command += [f"--ServerApp.port={arguments.port}", "--ServerApp.port_retries=0"]
    if arguments.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in arguments.extra:
        print("running as root: JupyterLab is started with --allow-root", file=sys.stderr)
        command.append("--allow-root")
    command += arguments.extra
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)
    return subprocess.call(command, env=environment)


def looks(*, learner: bool) -> dict[str, str]:
    """Variables that make JupyterLab find the settings and the style of this package: before all others it knows.

    learner: without nbgrader's menus, which are for those who teach.
    """
    folders = {
        "JUPYTER_PATH": [LOOKS / "share"],
        "JUPYTER_CONFIG_PATH": [LOOKS / "everybody", *([LOOKS / "learners"] if learner else [])],
    }
    return {
        name: os.pathsep.join([*map(str, ours), *filter(None, [os.environ.get(name)])])
        for name, ours in folders.items()
    }


def _figures_in(root: Path) -> dict[str, str]:
    """For JupyterLab: figures go to the folder that is open, and not to the project's; what is shown is sharp."""
    folder = os.environ.get("NCSN_EDU_FIGURES_DIR") or str(root / "figures")
    sharp = os.environ.get("NCSN_EDU_FIGURES_SHARP") or "1"
    return {"NCSN_EDU_FIGURES": "write", "NCSN_EDU_FIGURES_DIR": folder, "NCSN_EDU_FIGURES_SHARP": sharp}


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the folder has no name: give one, or leave --folder out")
    return Path(os.path.realpath(expanded(text, "--folder")))


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


def _to_edit(asked: str) -> tuple[Path, str]:
    """(folder to serve, the notebook's path in it), of the project's own notebooks or of a path.

    The whole project is served: JupyterLab shows no picture from outside of what it serves.
    """
    project = Path(os.path.realpath(notebooks_folder()))
    path = _path(asked, project)
    if path is None:
        path = project / _named(asked, [path.name for path in project.glob("*.ipynb")])
    root = project.parent
    return (root, path.relative_to(root).as_posix()) if path.is_relative_to(root) else _alone(path)


def _to_work(asked: str, folder: Path | None) -> tuple[Path, str]:
    """The same of the learner's folder, which is made or brought up to date; a path outside of it needs none."""
    project = Path(os.path.realpath(bundled_notebooks() or notebooks_folder()))
    folder = folder or _usual_folder(project)
    path = _path(asked, folder, project)
    if path and not path.is_relative_to(folder) and not path.is_relative_to(project):
        return _alone(path)
    first = not (folder / workcopy.STATE).exists()
    _say(workcopy.update(folder, project), folder, project, first=first)
    there = workcopy.sources(project)
    if path and path.is_relative_to(project):
        copies = [name for name, own in there.items() if own.samefile(path)]
        if not copies:
            raise WrongUsage(f"{path} is the project's own, and has no copy: lab --edit opens it")
        return folder, copies[0]
    path = _path(asked, folder)
    if path and path.is_relative_to(folder):
        return folder, path.relative_to(folder).as_posix()
    own = [path.name for path in folder.glob("*.ipynb") if path.name not in there]
    return folder, _named(asked, list(there), own)


def _usual_folder(project: Path) -> Path:
    """Where a learner's copy is if nothing is said: in the project, or else in or below the current folder."""
    if bundled_notebooks() is None:
        return Path(os.path.realpath(project.parent / "work"))
    here = Path.cwd()
    return here if (here / workcopy.STATE).is_file() else Path(os.path.realpath(here / "ncsn-edu"))


def _say(report: workcopy.Report, folder: Path, project: Path, *, first: bool) -> None:
    """What has been done to the learner's folder, in lines on the terminal."""
    print(f"your copy of the notebooks: {folder}")
    if report.state_lost:
        print(f"{workcopy.STATE} in it could not be read: what differs from the project counts as changed by you")
    for kind, text in SAID.items():
        names = getattr(report, kind)
        if "{names}" not in text:
            for name in names:
                print(text.format(name=name, beside=workcopy.beside(name), root=project.parent))
        elif names and not (kind == "made" and first):
            print(text.format(names=", ".join(names)))


def _path(asked: str, *folders: Path) -> Path | None:
    """The notebook at this path, from here or from one of the folders; a link to one keeps its own place."""
    for place in (Path(asked), *(folder / asked for folder in folders)):
        path = Path(os.path.realpath(place.parent)) / place.name
        if path.suffix == ".ipynb" and path.is_file():
            return path
    return None


def _alone(path: Path) -> tuple[Path, str]:
    return path.parent, path.name


def _named(asked: str, names: list[str], own: Sequence[str] = ()) -> str:
    """The notebook whose name, or the beginning of it up to _, is asked for: of these, else of the learner's own."""
    wanted = asked.removesuffix(".ipynb")
    start = f"{int(wanted):02d}_" if wanted.isdecimal() else f"{wanted}_"
    stems = {name: PurePosixPath(name).stem for name in [*names, *own]}
    for among in (names, own):
        fitting = [name for name in among if stems[name] == wanted] or [
            name for name in among if stems[name].startswith(start)
        ]
        if len(fitting) > 1:
            could_be = ", ".join(sorted(stems[name] for name in fitting))
            raise WrongUsage(f"{asked} could be any of {could_be}: give the whole name")
        if fitting:
            return fitting[0]
    raise WrongUsage(there_is_no("notebook", asked, sorted(stems.values())))
