"""Several processes that train one net, as torchrun starts them: who this one is, and what they tell each other.

Where there is one process, each function does what that one would. All processes must call `gather`, `gather_object`,
`any`, `first` and `barrier`, and in the same order. torch is imported inside functions only, so that the command line
answers at once.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from .devices import device_of

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
SET_BY_TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launched() -> bool:
    """Whether this is one of several processes that torchrun started, in a process group or not yet."""
    return os.environ.get("WORLD_SIZE", "") not in ("", "0", "1")


def rank() -> int:
    """The number of this process, from 0; 0 where there is no process group."""
    import torch.distributed as dist

    return dist.get_rank() if _in_group() else 0


def world_size() -> int:
    """How many processes there are; 1 where there is no process group."""
    import torch.distributed as dist

    return dist.get_world_size() if _in_group() else 1


def _in_group() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def local_device(asked: str | None) -> str | None:
    """The device of this process: the one asked for, but under torchrun with GPUs one of its own, cuda:LOCAL_RANK.

    None stands for none asked for and no GPU. Raises ValueError where all processes would share one GPU, and where the
    variables that torchrun sets are missing.
    """
    if not launched():
        return asked
    if missing := [name for name in SET_BY_TORCHRUN if not os.environ.get(name)]:
        raise ValueError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, which asks for several processes, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set: start them by torchrun, or unset WORLD_SIZE"
        )
    if (asked or "").startswith("cuda:"):
        raise ValueError(f"--device {asked} would put all processes on one GPU: leave it out, or give cuda or cpu")
    import torch

    if asked in (None, "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return asked


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Under torchrun: a process group around what is done inside, on the device of this process."""
    if not launched():
        yield
        return
    import torch

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    yield
    torch.distributed.destroy_process_group()  # after a success only: what failed must not wait for the others


def gather(values: "Tensor") -> "Tensor":
    """values (n, ...) of all processes, ordered by rank: (world_size n, ...). n is the same in each."""
    import torch

    if world_size() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world_size())]
    torch.distributed.all_gather(parts, values)
    return torch.cat(parts)


def gather_object(value: T) -> list[T]:
    """The value of each process, ordered by rank: anything that pickle takes."""
    import torch.distributed as dist

    if world_size() == 1:
        return [value]
    values = [value] * world_size()
    dist.all_gather_object(values, value)
    return values


def any(flag: bool) -> bool:
    """Whether it is true in any process."""
    return True in gather_object(flag)


def first(action: Callable[[], None]) -> None:
    """Done by the first process alone; the others wait until it is done, and raise what it raised."""
    import torch.distributed as dist

    if world_size() == 1:
        return action()
    error: list[Exception | None] = [None]
    if rank() == 0:
        try:
            action()
        except Exception as raised:
            error = [raised]
    dist.broadcast_object_list(error)
    if error[0] is not None:
        raise error[0]


def barrier() -> None:
    """Wait until all processes are here."""
    import torch.distributed as dist

    if world_size() > 1:
        dist.barrier()


def data_parallel(model: "nn.Module") -> "nn.Module":
    """The model, whose backward pass averages the gradients over all processes."""
    if world_size() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    device = device_of(model)
    # Ladders are the same everywhere; averages of batch norms are those of the first process, which writes them.
    return DistributedDataParallel(
        model, device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
    )


def leave(code: int) -> NoReturn:
    """End this process. One of several ends at once, without taking the interpreter apart.

    Gloo's worker thread may drop a Python tensor while the interpreter ends, which aborts a process whose work is done
    (PyTorch issue 190489); and one that has failed must not wait for the others, which wait for it.
    """
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
