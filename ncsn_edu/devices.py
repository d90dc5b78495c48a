"""Which devices of this machine can be used, and where a model is. A card may be too old, or its driver may be.

This file does NOT choose for anybody: the command line does.
"""

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Problem(NamedTuple):
    """Why a device cannot be used, and what helps; both empty where it can."""

    what: str = ""
    repair: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, self))


def cuda_available() -> tuple[bool, Problem]:
    """Whether PyTorch sees an NVIDIA card, and what hinders it where there is one that it does not see."""
    import torch

    with warnings.catch_warnings(record=True) as said:  # a driver that is too old is said in a warning
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return True, Problem()
    texts = [str(warning.message) for warning in said]
    return False, next((_in_words(text) for text in texts if "CUDA" in text or "NVIDIA" in text), Problem())


def keep_freed_memory() -> None:
    """Have this process keep the memory of tensors that are gone for those to come, where glibc is its allocator.

    Of tensors above 32 MB glibc otherwise asks the system for each and returns it at once, and every page is zeroed
    anew: on a processor a net takes up to twice as long for a large batch. The process stays as large as it once was.
    """
    trim_threshold, mmap_threshold = -1, -3  # numbers of malloc.h
    with suppress(AttributeError, OSError, TypeError):  # another system, or another library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)


def kernel_problem(device: str) -> Problem:
    """What hinders a kernel on the device. The only proof that there is nothing is to run one."""
    import torch

    try:
        torch.Generator(device)
        x = torch.ones(8, 8, device=device)
        return Problem() if (x @ x).sum().item() == 512 else Problem("it computes wrong results")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return _in_words(str(error))


def computes_bf16(device: str) -> bool:
    """Whether the device has instructions for bfloat16. Without them it takes several times as long as in float32."""
    import torch

    if device.startswith("cuda"):
        with torch.cuda.device(device):  # the one that is asked is the current one
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.startswith("cpu") and hasattr(torch.cpu, "get_capabilities"):
        there = torch.cpu.get_capabilities()
        return any(there.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return True  # Apple's have them; an older PyTorch cannot be asked


def device_of(model: object) -> "torch.device":
    """Where a model takes its input: where its first parameter is; the CPU for what has none, such as a function."""
    import torch

    parameters = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


@contextmanager
def random_state_apart(device: "torch.device", seed: int | None = None) -> Iterator[None]:
    """The global random states, of the CPU and of a device, are left as they were; inside, the device's is a seed's."""
    import torch

    far = device.type not in ("cpu", "meta")  # those have none of their own beside that of the CPU
    with torch.random.fork_rng([device] if far else [], device_type=device.type if far else "cpu"):
        if seed is not None:
            with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                (torch.get_device_module(device) if far else torch.default_generator).manual_seed(seed)
        yield


def _in_words(message: str) -> Problem:
    if "driver" in message and ("too old" in message or "insufficient" in message):
        return Problem(
            "the driver is too old for this PyTorch", "update it, or install a build of PyTorch for an older CUDA"
        )
    if "no kernel image" in message or "not compatible with the current PyTorch" in message:
        return Problem(
            "the card is too old, or too new, for this PyTorch", "install a build of PyTorch that supports the card"
        )
    return Problem(message.strip().splitlines()[0] if message.strip() else "no reason given")
