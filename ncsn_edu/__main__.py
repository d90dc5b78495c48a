"""The command line: python -m ncsn_edu COMMAND. Each command is a function here, and its parser beside it below."""

import argparse
import difflib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from . import __version__, data, doctor, figures, recipes
from .files import write_whole
from .progress import progress

EXAMPLES = """examples:
  python -m ncsn_edu lab                    open the notebooks, at the first one
  python -m ncsn_edu lab 06                 open the notebook whose name starts with 06
  python -m ncsn_edu figures --check        make every figure again, and compare with the stored ones
  python -m ncsn_edu figures fig3_annealing make this one figure anew
  python -m ncsn_edu train manifold         the losses of Figure 1 on CIFAR-10, into runs/manifold-laptop
  python -m ncsn_edu doctor                 what is missing on this machine, and how to mend it
"""


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = Callable[[argparse.Namespace], int]


class WrongUsage(Exception):
    """The command line asks for what there is not: exit code 2."""


class Failed(Exception):
    """The command could not do its work: exit code 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 ok, 1 something failed or is missing, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    words, extra = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    try:
        arguments = _parser().parse_args(words)
        arguments.extra = extra
        if extra and arguments.run is not lab:
            raise WrongUsage("only lab takes arguments after --")
        return int(arguments.run(arguments))
    except SystemExit as stop:  # from argparse, which has said why
        return int(stop.code or 0)
    except WrongUsage as error:
        return _say(error, 2)
    except (Failed, OSError, ValueError, ImportError) as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # end the line of a notebook that was running
        return 130


def _say(error: Exception, code: int) -> int:
    if isinstance(error, BrokenPipeError):  # python -m ncsn_edu doctor | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        print(f"ncsn_edu: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ncsn_edu",
        description="Score-based generative models, to learn from.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ncsn_edu {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_lab, _add_figures, _add_train, _add_doctor):
        add(commands)
    return parser


def _command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


# --- lab


def _add_lab(commands: Commands) -> None:
    parser = _command(commands, "lab", lab, "open the notebooks in JupyterLab")
    parser.usage = "%(prog)s [-h] [--port N] [--no-browser] [NOTEBOOK] [-- EXTRA ...]"
    parser.epilog = "what follows -- goes to JupyterLab as it is: lab -- --ip=0.0.0.0"
    parser.add_argument(
        "notebook", nargs="?", default="00_start_here", metavar="NOTEBOOK", help="06, 06_annealing or a path"
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="port to serve on (default: the first free one from 8888)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")


def lab(arguments: argparse.Namespace) -> int:
    """Replace this process by JupyterLab, so that Ctrl-C and signals are JupyterLab's."""
    folder, notebook = _find_notebook(arguments.notebook)
    if find_spec("jupyterlab") is None:
        raise Failed(f"JupyterLab is not installed in this Python: {sys.executable} -m pip install jupyterlab")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    command.append(f"--LabApp.default_url=/lab/tree/{notebook}")
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
        os.execve(command[0], command, _environment())
    return subprocess.call(command, env=_environment())


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
    folder = _notebooks()
    for path in (Path(asked).resolve(), (folder / asked).resolve()):
        if path.suffix == ".ipynb" and path.is_file():
            inside = path.is_relative_to(folder)
            return (folder, path.relative_to(folder).as_posix()) if inside else (path.parent, path.name)
    names = sorted(path.stem for path in folder.glob("*.ipynb"))
    wanted = asked.removesuffix(".ipynb")
    number = f"{int(wanted):02d}_" if wanted.isdecimal() else None
    fitting = [name for name in names if name == wanted or (number and name.startswith(number))]
    if not fitting:
        raise WrongUsage(_unknown("notebook", asked, names))
    if len(fitting) > 1:
        raise WrongUsage(f"{asked} could be any of {', '.join(fitting)}: give the whole name")
    return folder, f"{fitting[0]}.ipynb"


# --- figures


def _add_figures(commands: Commands) -> None:
    parser = _command(
        commands, "figures", make_figures, "make the figures again by running their notebooks, or check them"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing: compare with the stored figures")
    parser.add_argument("--list", action="store_true", help="only list the figures, and the notebook that makes each")


def make_figures(arguments: argparse.Namespace) -> int:
    """Run the notebooks that make the figures; report all that fail, not only the first."""
    sources = figures.figure_sources(_notebooks())
    unknown = [name for name in arguments.names if name not in sources]
    if unknown:
        raise WrongUsage(_unknown("figure", unknown[0], list(sources)))
    wanted = {name: sources[name] for name in arguments.names or sources}
    if arguments.list:
        for name, notebook in wanted.items():
            stored = (figures.figures_folder() / f"{name}.png").is_file()
            print(f"{name}  {notebook.name}" + ("" if stored else "  (not stored yet)"))
        return 0
    if not wanted:
        raise Failed(f"no notebook in {_notebooks()} calls save_figure")
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        raise Failed(f"notebooks are run by nbclient and ipykernel: {sys.executable} -m pip install nbclient ipykernel")
    folder = figures.figures_folder().resolve()
    if not arguments.check:
        figures.make_writable(folder)
    environment = _environment() | {
        "NCSN_EDU_PROGRESS": "0",
        "NCSN_EDU_FIGURES": "check" if arguments.check else "write",
        "NCSN_EDU_FIGURES_DIR": str(folder),
        "NCSN_EDU_FIGURES_ONLY": ",".join(arguments.names),
    }
    return _run_all(wanted, folder, environment, "as stored" if arguments.check else "written")


def _run_all(wanted: dict[str, Path], folder: Path, environment: dict[str, str], done: str) -> int:
    notebooks = list(dict.fromkeys(wanted.values()))
    failed, made_of_all = [], 0
    for i, notebook in enumerate(notebooks, start=1):
        print(f"[{i}/{len(notebooks)}] {notebook.stem} ... ", end="", flush=True)
        names = [name for name in wanted if wanted[name] == notebook]
        start = time.monotonic()
        problem, made = _run_and_note(notebook, environment)
        left = {name: _why_not(name, made) for name in names if name not in made}
        lost = [name for name, why in left.items() if not why or environment["NCSN_EDU_FIGURES_ONLY"]]
        if not problem and lost:
            problem = "it ran to its end, but did not save all of its figures: " + ", ".join(lost)
        made = [name for name in names if name in made]
        made_of_all += len(made)
        listed = ", ".join(made) or "no figure"
        print(f"{'FAILED' if problem else 'ok'} after {time.monotonic() - start:.1f} s: {listed}", flush=True)
        for name, why in left.items():
            print(f"    {name}: not {'checked' if done == 'as stored' else done}{why}", flush=True)
        if problem:
            failed.append(notebook.stem)
            print(f"ncsn_edu: {notebook.name}: {problem}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {_count(notebooks, 'notebook')} failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    print(f"{_count(range(made_of_all), 'figure')} from {_count(notebooks, 'notebook')} {done} in {folder}")
    return 0


def _run_and_note(notebook: Path, environment: dict[str, str]) -> tuple[str, list[str]]:
    """What went wrong, or "", and the figures that came out well."""
    with tempfile.TemporaryDirectory(prefix="ncsn_edu_") as folder:
        notes = Path(folder) / "done"
        problem = _run(notebook, environment | {"NCSN_EDU_FIGURES_DONE": str(notes)})
        return problem, notes.read_text(encoding="utf-8").split() if notes.exists() else []


def _why_not(name: str, made: Collection[str]) -> str:
    """Why a notebook that ran well may have left out this figure, or "" where there is no such reason.

    A figure whose name ends in that of a data set is made where the notebook found those data.
    """
    stem, _, dataset = name.rpartition("_")
    there = data.available()
    if there.get(dataset) is False:
        return f": its data are not here ({dataset} is not in {data.data_root()})"
    other = [f"{stem}_{other}" for other in there if other != dataset and f"{stem}_{other}" in made]
    return f": the notebook found other data, and made {other[0]}" if dataset in there and other else ""


def _run(notebook: Path, environment: dict[str, str]) -> str:
    """Execute in a fresh kernel of this interpreter, without saving. What went wrong, or ""."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    specs = KernelSpecManager(kernel_dirs=[])  # so that python3 is this interpreter, whatever else is installed
    client = NotebookClient(
        nbformat.read(notebook, as_version=4),
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs),
        timeout=None,
        extra_arguments=["--log-level=50"],  # the kernel's own log: the notebook's errors are reported below
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    client.reset_execution_trackers()
    try:
        # Cell by cell: client.execute() would turn Ctrl-C into the next notebook's turn.
        with client.setup_kernel(cleanup_kc=True, env=environment):
            for index, cell in enumerate(client.nb.cells):
                client.execute_cell(cell, index)
    except CellExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


# --- train


def _add_train(commands: Commands) -> None:
    parser = _command(commands, "train", train, "run an experiment of the papers, and keep what comes out")
    parser.add_argument("recipe", metavar="RECIPE", help=f"which: {', '.join(recipes.RECIPES)}")
    parser.add_argument("--scale", default="laptop", metavar="SCALE", help="smoke, laptop (default) or paper")
    parser.add_argument("--steps", type=_number(1), metavar="N", help="this many steps, instead of the recipe's")
    parser.add_argument(
        "--batch", type=_number(1), metavar="N", help="this many images a step, instead of the recipe's"
    )
    parser.add_argument("--seed", type=_number(0), default=0, metavar="N", help="of the net, the batches and the noise")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/RECIPE-SCALE)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in that folder")
    parser.add_argument("--force", action="store_true", help="overwrite the results in that folder")
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda or cuda:1 (default: a GPU where there is one)")


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return number


def train(arguments: argparse.Namespace) -> int:
    """Train by a recipe of recipes.py; what comes out lies in a folder."""
    name, scale = arguments.recipe, arguments.scale
    scales = recipes.RECIPES.get(name)
    if scales is None:
        raise WrongUsage(_unknown("recipe", name, recipes.RECIPES))
    if scale not in scales:
        raise WrongUsage(_unknown("scale", scale, scales))
    asked = {"n_steps": arguments.steps, "batch_size": arguments.batch}
    recipe = replace(scales[scale], **{field: value for field, value in asked.items() if value is not None})
    folder = arguments.out or Path("runs") / f"{name}-{scale}"
    if arguments.resume and (arguments.force or isinstance(recipe, recipes.Manifold)):
        raise WrongUsage("--resume " + ("and --force exclude each other" if arguments.force else f"is not for {name}"))
    if not arguments.resume:
        _check_results_folder(folder, arguments.force)
    try:
        images, _ = data.load(recipe.data, download=False)
    except (data.DataUnavailable, data.DataDamaged) as error:
        raise Failed(str(error)) from error
    device = _device(arguments.device)
    if isinstance(recipe, recipes.Manifold):
        return _train_manifold(arguments, recipe, folder, images, device)
    return _train_images(arguments, recipe, folder, images, device)


def _device(asked: str | None) -> str:
    import torch

    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise Failed(f"--device {asked} cannot be used here ({reason}): leave it out, or use --device cpu") from error
    return asked


def _train_images(arguments: argparse.Namespace, recipe: recipes.Images, folder: Path, images: Any, device: str) -> int:
    """Checkpoints and a log as they come; Ctrl-C ends the run after the step in hand, with a checkpoint."""
    import torch

    from .runs import run

    if arguments.force:
        _clear(folder, "*.ckpt", "log.jsonl")
    again = f"python -m ncsn_edu train {arguments.recipe} --scale {arguments.scale} --out {folder} --resume"
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        states = run(recipe, images, folder, seed=arguments.seed, device=device, resume=arguments.resume)
        print(
            f"{arguments.recipe}, {arguments.scale}: {recipe.n_steps} steps on {recipe.data}, on {device}", flush=True
        )
        last = None
        for last in _bar(states, recipe.n_steps):
            if interrupted:
                states.close()  # saves a checkpoint
                print(
                    f"\nncsn_edu: stopped after {last.step} of {recipe.n_steps} steps; go on with: {again}",
                    file=sys.stderr,
                )
                return 130
    except torch.OutOfMemoryError as error:
        raise Failed(f"the device has too little memory for batches of {recipe.batch_size}: use --batch") from error
    except FloatingPointError as error:
        raise Failed(f"{error}. The last good checkpoint is in {folder}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    done = f"the last loss is {last.loss:.4g}" if last else "there was nothing left to do"
    print(f"{done}; log.jsonl and the checkpoints are in {folder}")
    return 0


def _train_manifold(
    arguments: argparse.Namespace, recipe: recipes.Manifold, folder: Path, images: Any, device: str
) -> int:
    """Train on clean images and on noised ones; DIR gets log.jsonl on the way, summary.json and losses.png at the end.

    A loss that overflows ends its run, not the command: on clean data that is a result.
    """
    import torch

    name, scale = arguments.recipe, arguments.scale
    _clear(folder, "log.jsonl", "losses.png", "summary.json")
    losses: dict[float, list[float]] = {}
    results = []
    with open(folder / "log.jsonl", "w", encoding="utf-8") as log:
        for sigma in (0.0, recipe.sigma):
            print(f"{name}, {scale}: {recipe.n_steps} steps on {recipe.data}, noise {sigma:g}, on {device}", flush=True)
            start, stopped = time.monotonic(), ""
            losses[sigma] = kept = []
            states = recipes.manifold(recipe, images, sigma=sigma, seed=arguments.seed, device=device)
            try:
                for state in _bar(states, recipe.n_steps):
                    kept.append(state.loss)
                    line = {"sigma": sigma, "seed": arguments.seed, "step": state.step, "loss": kept[-1]}
                    print(json.dumps(line), file=log, flush=True)
            except FloatingPointError as error:
                stopped = str(error)
                print(f"ncsn_edu: noise {sigma:g}: {stopped}", file=sys.stderr)
            except KeyboardInterrupt:
                where = f"{len(kept)} of {recipe.n_steps} steps with noise {sigma:g}"
                print(f"\nncsn_edu: stopped after {where}; what was reached is in {log.name}", file=sys.stderr)
                return 130
            result = _run_in_figures(kept, recipe.sigma, images[0].numel())
            seconds = round(time.monotonic() - start, 1)
            results.append({"sigma": sigma, "steps": len(kept), "seconds": seconds, **result, "stopped": stopped})
    summary = {
        "recipe": name,
        "scale": scale,
        "settings": asdict(recipe),
        "seed": arguments.seed,
        "device": device,
        "runs": results,
        "versions": {"ncsn_edu": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
    }
    write_whole(folder / "losses.png", _drawn(losses, -images[0].numel() / (2 * recipe.sigma**2)))
    write_whole(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    _print_results(results)
    print(f"log.jsonl, summary.json and losses.png are in {folder}")
    return int(bool(results[-1]["stopped"]))


def _check_results_folder(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise Failed(f"{folder} is a file: choose another --out")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise Failed(f"{folder} is not empty: choose another --out, or give --force to overwrite the results in it")


def _clear(folder: Path, *patterns: str) -> None:
    """Make it, without the results of an earlier run: half old and half new would mislead."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [path for pattern in patterns for path in folder.glob(pattern)]:
        old.unlink()


def _bar(states: Iterable[Any], total: int) -> Iterable[Any]:
    """A progress bar where a person looks on; none in a log file."""
    return progress(states, total, "steps") if sys.stderr.isatty() else states


def _run_in_figures(losses: list[float], sigma: float, dim: int) -> dict[str, float | None]:
    enough = len(losses) >= 6
    return {
        "last_loss": losses[-1] if losses else None,
        "relative_spread": recipes.relative_spread(losses) if enough else None,
        "share_of_bound": recipes.share_of_bound(losses, sigma, dim) if enough else None,
    }


def _print_results(results: list[dict[str, Any]]) -> None:
    print("noise    steps  s/step  relative spread  share of the noised bound")
    for row in results:
        each = row["seconds"] / max(row["steps"], 1)
        numbers = [f"{row[key]:.3g}" if row[key] is not None else "-" for key in ("relative_spread", "share_of_bound")]
        print(f"{row['sigma']:<7g}  {row['steps']:>5}  {each:6.2f}  {numbers[0]:>15}  {numbers[1]:>25}")


def _drawn(losses: dict[float, list[float]], bound: float) -> bytes:
    from io import BytesIO

    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    for ax, (sigma, kept) in zip(figure.subplots(1, len(losses)), losses.items(), strict=True):
        ax.plot(range(1, len(kept) + 1), kept, lw=0.8)
        ax.axhline(bound, color="#D55E00", ls="--", lw=0.8, label="no score gets below this on noised data")
        ax.set(title=f"noise {sigma:g}", xlabel="step", ylabel="loss")
        ax.legend(fontsize=8, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


# --- doctor


def _add_doctor(commands: Commands) -> None:
    parser = _command(commands, "doctor", diagnose, "say what this machine has, what is missing, and how to mend it")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def diagnose(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 where something required is missing."""
    found = doctor.checks()
    if arguments.json:
        print(json.dumps([asdict(check) for check in found], indent=2))
    else:
        _print_table(found)
    return int(any(check.status == "missing" for check in found))


def _print_table(found: list[doctor.Check]) -> None:
    width = max(len(check.name) for check in found)
    for check in found:
        print(f"{check.name:<{width}}  {check.status:<8}  {check.detail}")
    for status, title in (("missing", "Missing: mend these first"), ("optional", "Optional: only if you want them")):
        mends: dict[str, list[str]] = {}
        for check in found:
            if check.status == status and check.mend:
                mends.setdefault(check.mend, []).append(check.name)
        if mends:
            print(f"\n{title}")
        for mend, names in mends.items():
            print(f"  {', '.join(names)}:\n      {mend}")
    if not any(check.status == "missing" for check in found):
        print("\nNothing required is missing. Start with: python -m ncsn_edu lab")


# --- what the commands share


def _notebooks() -> Path:
    root = figures.source_checkout()
    folder = root / "notebooks" if root else None
    if folder is None or not folder.is_dir():
        raise Failed(
            "the notebooks are not beside the package: get the project's source folder, and run this in it "
            "(the installed package has no notebooks)"
        )
    return folder


def _environment() -> dict[str, str]:
    """For a child: this interpreter's programs first on the PATH, and this very package importable."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": Path(__file__).resolve().parent.parent}
    return os.environ | {
        name: os.pathsep.join([str(path), *filter(None, [os.environ.get(name)])]) for name, path in paths.items()
    }


def _count(things: Collection[object], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def _unknown(kind: str, asked: str, names: Iterable[str]) -> str:
    names = list(names)
    close = difflib.get_close_matches(asked, names, n=1, cutoff=0.5) or [
        name for name in names if re.sub(r"\W", "", asked).lower() in name
    ]
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"there is no {kind} {asked!r}.{hint} There are: {', '.join(names) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
