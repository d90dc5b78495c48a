"""Pickles of the world read as data: numbers, text, NumPy arrays, and nothing that runs.

Names in a pickle are never imported. Those that NumPy's arrays need stand for small classes of this file, which only
hold what they are given; every other name is an error. This file does NOT know torch.
"""

import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import IO, Any

import numpy as np

KINDS = "biuf"  # dtypes that are numbers: bool, integers, floats


class DType:
    """Stands for numpy.dtype(code, align, copy)."""

    def __init__(self, code: str | bytes, align: object = False, copy: object = True) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.code = order.replace("|", "") + self.code

    def numpy(self) -> "np.dtype[Any]":
        """Itself. Raises pickle.UnpicklingError where its values are no numbers."""
        dtype = np.dtype(self.code) if isinstance(self.code, str) else np.dtype("O")
        if dtype.kind not in KINDS:
            raise pickle.UnpicklingError(f"arrays of {dtype} are not read")
        return dtype


class Array:
    """Stands for numpy.ndarray; `array` is what it holds."""

    array: "np.ndarray[Any, Any]" = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns_first, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        flat = np.frombuffer(content, dtype.numpy())
        self.array = flat.reshape(shape, order="F" if columns_first else "C")


def _reconstruct(kind: object, shape: object, code: object) -> Array:
    return Array()


def _from_buffer(content: bytes | bytearray, dtype: DType, shape: object, order: str) -> Array:
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(content)))
    return array


def _scalar(dtype: DType, content: str | bytes) -> Any:
    content = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(content, dtype.numpy())[0].item()


def _encode(text: str, codec: str = "latin1") -> bytes:
    return text.encode("latin1")


# By the names that NumPy 1 and NumPy 2 write.
STAND_INS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": Array,
    "numpy.dtype": DType,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
}


def load(file: IO[bytes]) -> Any:
    """What a pickle holds, with arrays as NumPy arrays; text of Python 2 is latin1.

    Raises pickle.UnpicklingError for one that names anything but arrays, or is damaged.
    """
    try:
        return arrays(_Reader(file, encoding="latin1").load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise pickle.UnpicklingError(f"it is damaged ({error or type(error).__name__})") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = STAND_INS | {"_codecs.encode": _encode, "collections.OrderedDict": OrderedDict}
        try:
            return known[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which may be code, and is not read") from None


def arrays(content: Any) -> Any:
    """The content with NumPy arrays for `Array`, in lists, tuples and dicts."""
    if isinstance(content, Array):
        return content.array
    if isinstance(content, dict):
        return {key: arrays(value) for key, value in content.items()}
    return type(content)(map(arrays, content)) if type(content) in (list, tuple) else content


# --- older opcodes


def as_protocol_2(data: bytes, start: int = 0) -> tuple[bytes, int]:
    """The pickle at data[start:], of any protocol, in the opcodes of protocol 2, and where it ends. Runs nothing.

    torch.load(weights_only=True) reads no newer ones. Raises pickle.UnpicklingError for what is no pickle.
    """
    file = BytesIO(data)
    file.seek(start)
    try:
        steps: list[tuple[Any, Any, Any]] = list(pickletools.genops(file))
    except Exception as error:  # of what is no pickle it raises nearly anything
        raise pickle.UnpicklingError(f"it is damaged ({error})") from error
    places = [place for _, _, place in steps] + [file.tell()]
    translation = _Translation()
    for (opcode, value, place), after in zip(steps, places[1:], strict=True):
        translation.add(opcode.name, value, data[place:after])
    return b"".join(map(_written, translation.pieces)), places[-1]


class _Translation:
    """A pickle in the opcodes of protocol 2, as far as it is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes | str] = []  # a str is text that is yet to be written
        self._texts: dict[int, str] = {}  # what the memo holds, where that is text: written out each time
        self._n_memos = 0

    def add(self, name: str, value: Any, code: bytes) -> None:
        """The next opcode, of this name and argument; `code` is both as they stand in the pickle."""
        if name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self._memoize(self._n_memos if name == "MEMOIZE" else value)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.pieces.append(self._texts[value] if value in self._texts else b"j" + value.to_bytes(4, "little"))
        elif "UNICODE" in name:
            self.pieces.append(value)
        elif name == "STACK_GLOBAL":
            module, attribute = self.pieces[-2:]
            if not (isinstance(module, str) and isinstance(attribute, str)):
                raise pickle.UnpicklingError("it computes a name, and is not read")
            self.pieces[-2:] = [f"c{module}\n{attribute}\n".encode()]
        elif name in ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"):
            self.pieces += [b"c_codecs\nencode\n", value.decode("latin1"), "latin1", b"\x86R"]
        elif name == "PROTO":
            self.pieces.append(b"\x80\x02")
        elif name != "FRAME":
            self.pieces.append(code)

    def _memoize(self, index: int) -> None:
        self._n_memos += 1
        last = self.pieces[-1]
        if isinstance(last, str):
            self._texts[index] = last
        else:
            self.pieces.append(b"r" + index.to_bytes(4, "little"))


def _written(piece: bytes | str) -> bytes:
    if isinstance(piece, bytes):
        return piece
    text = piece.encode("utf-8", "surrogatepass")
    return b"X" + len(text).to_bytes(4, "little") + text
