"""A device that is none: its tensors lie on the CPU, and cannot be told from those of an accelerator.

Each tensor of it says that it is on the device "lazy", which PyTorch knows and nobody has, and holds one on the CPU.
What PyTorch is told to do with them is done with those, but first looked at: tensors of two devices are not mixed,
generators draw where they live, and each operation for which the host would have to wait for a GPU is noted. As "mps"
the device has no float64 either, and draws no whole int64, as Apple's.

What it is not: it has no kernels, autocast or compiler of its own, and torch.load brings nothing to it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

KIND = "lazy"
# For these the host waits until the device has come to them, and looks at their result or at its size.
LOOKS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount", "_unique2", "unique_consecutive")
NO_FLOAT64 = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Use float32"
NO_INT64 = "random_mps_ currently does not handle the lowest() -> max() range"

RANDOM = torch.Generator()  # of what is drawn there without a generator
MODULE = SimpleNamespace(  # what torch.cuda is to a GPU; PyTorch keeps the first one that it is given
    manual_seed=RANDOM.manual_seed,
    get_rng_state=lambda device=None: RANDOM.get_state(),
    set_rng_state=lambda state, device=None: RANDOM.set_state(state),
)


class Far(Tensor):
    """A tensor of the device; `near` is the one on the CPU that holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> "Far":
        layout = {"strides": near.stride(), "storage_offset": near.storage_offset()}
        far: Far = Tensor._make_wrapper_subclass(cls, near.shape, dtype=near.dtype, device=KIND, **layout)
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} is called on a tensor of a device that is gone")

    def __repr__(self) -> str:
        return f"{self.near!r} on a pretended device"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.cpu().__reduce_ex__(protocol)  # torch.save writes the numbers of any device

    def __format__(self, how: str) -> str:
        return format(self.item(), how) if self.ndim == 0 else repr(self)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def data_ptr(self) -> int:
        return self.near.data_ptr()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {KIND} device type tensor to numpy. Use Tensor.cpu() first")


class Generator(torch.Generator):
    """A torch.Generator that may also live on the device. Operations get another object of it, with one address."""

    home: torch.device
    there: ClassVar[dict[int, "Generator"]] = {}

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        home = torch.device(device)
        made = super().__new__(cls, "cpu" if home.type == KIND else home)
        made.home = home
        if home.type == KIND:
            cls.there[made._cdata] = made
        return made

    def __init__(self, device: torch.device | str = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return self.home


class FromData(TorchFunctionMode):
    """Tensors made from Python's numbers are made on the CPU and then copied, as to any device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        makes = function in (torch.tensor, torch.as_tensor, torch.asarray) and device is not None
        if makes and torch.device(device).type == KIND and not isinstance(args[0], Far):
            made = function(*args, **{**kwargs, "device": "cpu"})
            with self:
                return made.to(device)
        return function(*args, **kwargs)


class Pretended(TorchDispatchMode):
    """The device, while it is there: what it is told to do, and `waits`, the operations that the host waited for.

    as_mps  refuse float64, and random numbers from all of int64
    """

    def __init__(self, *, as_mps: bool = False) -> None:
        super().__init__()
        self.as_mps = as_mps
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, function.overloadpacket.__name__
        inputs = list(_leaves((args, *kwargs.values())))
        fars = {id(each.near): each for each in inputs if isinstance(each, Far)}
        asked = kwargs.get("device")
        to_here = bool(fars) if asked is None else torch.device(asked).type == KIND
        _check_devices(function, name, args, inputs)
        self._check_drawn(name, args, inputs, KIND if to_here else "cpu")
        if (fars and self._is_wait(name, args, to_here)) or (name == "_to_copy" and to_here and not fars):
            self.waits[name] += 1
        if asked is not None:
            kwargs = {**kwargs, "device": torch.device("cpu") if to_here or fars else asked}
        nears = _each(args, lambda each: each.near if isinstance(each, Far) else each)
        kwargs = {key: each.near if isinstance(each, Far) else each for key, each in kwargs.items()}
        with self._own_random_state(function, to_here, inputs):
            result = function(*nears, **kwargs)
        return _each(result, lambda each: self._wrapped(each, fars)) if to_here else result

    def _wrapped(self, near: Any, fars: dict[int, Far]) -> Any:
        if not isinstance(near, Tensor):
            return near
        if self.as_mps and near.dtype == torch.float64:
            raise TypeError(NO_FLOAT64)
        return fars[id(near)] if id(near) in fars else Far(near)  # what was changed in place is the same tensor

    def _check_drawn(self, name: str, args: Any, inputs: list[Any], where: str) -> None:
        for generator in inputs:
            if isinstance(generator, torch._C.Generator):
                home = KIND if generator._cdata in Generator.there else generator.device.type
                if home != where:
                    raise RuntimeError(f"Expected a '{where}' device type for generator but found '{home}'")
        whole = name == "random_" and args[0].dtype == torch.int64 and args[2:3] in ((), (None,))
        if self.as_mps and where == KIND and whole:
            raise RuntimeError(NO_INT64)

    def _is_wait(self, name: str, args: Any, to_here: bool) -> bool:
        if name in ("_to_copy", "copy_"):
            return not (to_here and all(isinstance(each, Far) for each in args[: 1 + (name == "copy_")]))
        if name in ("index", "index_put_", "index_put"):  # masks become places; places come from the CPU
            places = [each for each in args[1] if each is not None]
            return any(each.dtype == torch.bool or not isinstance(each, Far) for each in places)
        return name in LOOKS

    @staticmethod
    @contextmanager
    def _own_random_state(function: Any, here: bool, inputs: list[Any]) -> Iterator[None]:
        drawn = here and torch.Tag.nondeterministic_seeded in function.tags
        if not drawn or any(isinstance(each, torch._C.Generator) for each in inputs):
            yield
            return
        with torch.random.fork_rng([], device_type="cpu"):
            torch.set_rng_state(RANDOM.get_state())
            yield
            RANDOM.set_state(torch.get_rng_state())


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with each leaf changed: torch.utils._pytree does it for more kinds of trees, in twice the time."""
    return type(value)(_each(each, change) for each in value) if isinstance(value, (list, tuple)) else change(value)


def _check_devices(function: Any, name: str, args: Any, inputs: list[Any]) -> None:
    """Raise where tensors of two devices meet; a single number may come from the CPU, and places in a far tensor."""
    near = [each for each in inputs if isinstance(each, Tensor) and not isinstance(each, Far)]
    far = [each for each in inputs if isinstance(each, Far)]
    if name in ("copy_", "_foreach_copy_") or not (near and far):
        return
    if torch.Tag.pointwise in function.tags or name in ("masked_fill", "masked_fill_") or name.startswith("_foreach"):
        near = [each for each in near if each.ndim]
    if name in ("index", "index_put", "index_put_") and isinstance(args[0], Far):
        near = [each for each in args[2:3] if isinstance(each, Tensor) and not isinstance(each, Far) and each.ndim]
    changed = function._schema.arguments[0].alias_info
    if near or (changed is not None and changed.is_write and not isinstance(args[0], (Far, list))):
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found {KIND} and cpu")


@contextmanager
def pretended(monkeypatch: pytest.MonkeyPatch, *, as_mps: bool = False) -> Iterator[Pretended]:
    """The device, from here to the end of the block."""
    device = Pretended(as_mps=as_mps)
    RANDOM.manual_seed(0)
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch, KIND, MODULE, raising=False)
    with device, FromData():
        yield device
    Generator.there.clear()
