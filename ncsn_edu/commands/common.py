"""What the commands share. This file does NOT know any of them."""

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from .. import datasets, distributed, figures
from ..bars import progress
from ..devices import computes_bf16, cuda_available, kernel_problem

if TYPE_CHECKING:
    from torch import Tensor

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
T = TypeVar("T")
Run: TypeAlias = Callable[[argparse.Namespace], int]


LARGEST = 2**31 - 1  # of the numbers of a command line: beyond it there is no memory, and no time


class WrongUsage(Exception):
    """The command line asks for what there is not: exit code 2."""


class Failed(Exception):
    """The command could not do its work: exit code 1."""


def new_command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """The parser of a command that calls run(arguments); the text is its line of help."""
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an argument."""
    span = f"of at least {least}" if most is None else f"from {least} to {most}"

    def number(text: str) -> int:
        if not text.isdecimal() or len(text) > 99 or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number {span}")
        if most is None and int(text) > LARGEST:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is too large: {LARGEST} is the most")
        return int(text)

    return number


def positive(text: str) -> float:
    """The type of an argument: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option of all commands that run a net, for `find_device`."""
    names = "cpu, cuda, cuda:1 or mps (default: an NVIDIA GPU where one works)"
    parser.add_argument("--device", metavar="DEVICE", help=names)


def add_speed(parser: argparse.ArgumentParser) -> None:
    """The options of commands that may run a net faster than plainly, for `check_bf16` and torch.compile."""
    parser.add_argument(
        "--bf16", action="store_true", help="run the net in bfloat16: on recent GPUs about twice as fast"
    )
    parser.add_argument(
        "--compile",
        nargs="?",
        const="default",
        choices=("default", "reduce-overhead", "max-autotune"),
        metavar="MODE",
        help="compile the net first, which takes up to minutes; reduce-overhead uses CUDA graphs",
    )


def find_device(asked: str | None) -> str:
    """The device asked for, if it can be used; otherwise a GPU where there is one that works, or the processor."""
    if asked is None:
        there, problem = cuda_available()
        problem = kernel_problem("cuda") if there else problem
        if problem.what:
            print(f"ncsn_edu: the GPU is not used ({problem})", file=sys.stderr)
        asked = "cuda" if there and not problem.what else "cpu"
    elif (problem := kernel_problem(asked)).what:
        if distributed.launched() and asked.startswith("cuda:"):  # nobody asked for it: it is this process's own
            raise Failed(
                f"this process would use {asked}, which it cannot ({problem}): start as many processes as there are "
                "GPUs that work (--nproc_per_node), or give --device cpu"
            )
        raise Failed(f"--device {asked} cannot be used here ({problem}): leave it out, or use --device cpu")
    if asked.startswith("cuda"):
        import torch

        torch.backends.cudnn.benchmark = True  # all batches have one size: the fastest convolution is found once
    return asked


def check_bf16(asked: bool, device: str) -> None:
    """Raise where bfloat16 is asked for on a GPU that has none."""
    if asked and device.startswith("cuda") and not computes_bf16(device):
        raise Failed(f"the GPU {device} does not compute in bfloat16: leave out --bf16")


@contextmanager
def in_memory(message: str) -> Iterator[None]:
    """Say what to do where the memory of the device or of the machine does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        import torch

        said = ("allocate memory", "not enough memory", "out of memory")  # a processor and Apple's have words alone
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in said):
            raise Failed(message) from error
        raise


def with_bar(states: Iterable[T], total: int, name: str = "steps") -> Iterable[T]:
    """A progress bar where a person looks on; none in a log file."""
    return progress(states, total, name) if sys.stderr.isatty() else states


def load_images(name: str, split: Literal["train", "test"]) -> "Tensor":
    """The images of a data set that is on this machine. Raises what datasets.load raises if it is not."""
    return load_labelled(name, split)[0]


def load_labelled(name: str, split: Literal["train", "test"]) -> "tuple[Tensor, Tensor]":
    """Images and labels of a data set that is on this machine. Raises what datasets.load raises if it is not."""
    return datasets.load(name, split=split, download=False)


def notebooks_folder() -> Path:
    """Where the notebooks are. Raises Failed where there are none."""
    root = figures.source_checkout()
    folder = root / "notebooks" if root else None
    if folder is None or not folder.is_dir():
        raise Failed(
            "the notebooks are not beside the package: get the project's source folder, and run this in it "
            "(the installed package has copies for learners alone: python -m ncsn_edu lab)"
        )
    return folder


def bundled_notebooks() -> Path | None:
    """The notebooks, without outputs, that an installed package has in it; None where it runs from its source."""
    folder = Path(figures.__file__).resolve().parent / "project" / "notebooks"
    return folder if figures.source_checkout() is None and folder.is_dir() else None


def count(things: Collection[object] | int, name: str) -> str:
    """1 figure, 2 figures."""
    n = things if isinstance(things, int) else len(things)
    return f"{n} {name}" + ("" if n == 1 else "s")


def there_is_no(kind: str, asked: str, names: Iterable[str]) -> str:
    """An error for a name that there is not, with the nearest one and all there are."""
    names = list(names)
    begun = [name for name in names if asked and name.startswith(asked.lower())]
    close = (
        begun
        or difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
        or [name for name in names if re.sub(r"\W", "", asked).lower() in name]
    )
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"there is no {kind} {asked!r}.{hint} There are: {', '.join(names) or 'none'}"
