"""The command line: python -m ncsn_edu COMMAND. This file does NOT do any of the work: commands/ has a file each."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .commands import data, doctor, evaluate, figures, grade, inpaint, lab, sample, train
from .commands.common import Failed, WrongUsage
from .datasets import DataDamaged, DataUnavailable
from .devices import keep_freed_memory
from .distributed import leave

EXAMPLES = """examples:
  python -m ncsn_edu lab                    open a copy of the notebooks, yours to work in, at the first one
  python -m ncsn_edu lab 07                 open the notebook whose name starts with 07
  python -m ncsn_edu figures --check        make every figure again, and compare with the stored ones
  python -m ncsn_edu figures fig3_annealing make this one figure anew
  python -m ncsn_edu train manifold         the losses of Figure 1 on CIFAR-10, into runs/manifold-laptop
  python -m ncsn_edu sample                 64 digits by the net that comes with the package, as a picture
  python -m ncsn_edu sample runs/mnist-laptop --animate --out film.gif
                                            how images of your own net come out of noise
  python -m ncsn_edu inpaint digits:3 --mask left
                                            eight completions of the left half of a digit
  python -m ncsn_edu inpaint photo.jpg --mask mask.png --weights runs/celeba-laptop
  python -m ncsn_edu sample --n 1000 --npy digits.npy && python -m ncsn_edu evaluate digits.npy
                                            how far samples are from the data, with intervals
  python -m ncsn_edu grade handed-in        grade a folder of assignments, with a table and feedback
  python -m ncsn_edu data list              which data sets are here, and how large the others are
  python -m ncsn_edu data get mnist         download one, or resume a download that stopped
  python -m ncsn_edu doctor                 what is missing on this machine, and how to fix it
"""
COMMANDS = (lab, figures, train, sample, inpaint, evaluate, grade, data, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 ok, 1 something failed or is missing, 2 wrong usage, 130 interrupted.

    What a command expects to go wrong becomes a line on standard error; a mistake in the program is raised.
    """
    keep_freed_memory()
    words = list(sys.argv[1:] if argv is None else argv)
    words, extra = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    try:
        arguments = _parser().parse_args(words)
        arguments.extra = extra
        if extra and arguments.run is not lab.run:
            raise WrongUsage("only lab takes arguments after --")
        return int(arguments.run(arguments))
    except SystemExit as stop:  # from argparse, which has said why
        return int(stop.code or 0)
    except WrongUsage as error:
        return _say(error, 2)
    except EXPECTED as error:
        return _say(error, 1)
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        return _say(Failed("there is no home folder, where Jupyter keeps its files: set HOME to a folder of yours"), 1)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # end the line of a notebook that was running
        return 130


EXPECTED = (Failed, OSError, ValueError, ImportError, MemoryError, OverflowError, DataUnavailable, DataDamaged)


def _say(error: Exception, code: int) -> int:
    if not isinstance(error, BrokenPipeError):  # python -m ncsn_edu doctor | head -1
        print(f"ncsn_edu: {in_words(error)}", file=sys.stderr)
    return code


def in_words(error: BaseException) -> str:
    """What an error says; never only its class, nor the number that the system has for it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, MemoryError):
        return "there is too little memory for this: close other programs, or ask for less at once"
    if isinstance(error, OverflowError):
        return f"a number is too large for this ({error})"
    return str(error) or f"stopped by a {type(error).__name__}"


def run() -> int:
    """`main` for a process of its own: any error becomes a line, and a mistake in the program tells where it is.

    NCSN_EDU_TRACEBACK=1 shows the whole traceback of such a mistake.
    """
    _open_streams()
    try:
        code = _somewhere() or main()
    except Exception as error:
        if os.environ.get("NCSN_EDU_TRACEBACK"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"ncsn_edu: a mistake in the program: {in_words(error)} ({type(error).__name__} in "
            f"{os.path.basename(place.filename)}, line {place.lineno}). Please report it, with what the same command "
            "says after export NCSN_EDU_TRACEBACK=1",
            file=sys.stderr,
        )
        code = 1
    try:
        sys.stdout.flush()
    except OSError as error:  # a closed pipe or a full disk: said once, and not again by Python as it ends
        code = code or _say(error, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _open_streams() -> None:
    """Let every text be printed: closed streams take anything, and characters that an encoding lacks are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # python -m ncsn_edu ... >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        else:
            stream.reconfigure(errors="backslashreplace")


def _somewhere() -> int:
    """0, or 1 after a word where the current folder was deleted: nothing can be found or written from there."""
    try:
        os.getcwd()
    except OSError:
        return _say(Failed("the folder that you are in is not there any more: cd to another one"), 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ncsn_edu",
        description="Score-based generative models, to learn from.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ncsn_edu {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


def end() -> NoReturn:
    """`run`, and the end of this process: what the installed command and `python -m ncsn_edu` do."""
    leave(run())


if __name__ == "__main__":
    end()
