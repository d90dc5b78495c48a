"""Checkpoints: written whole or not at all, verified when read.

A checkpoint is a file of torch.save with tensors, numbers and names: `torch.load(path, weights_only=True)` opens it.
It is a zip archive, whose comment, at the very end, is the SHA-256 of all that stands before. Reading a checkpoint runs
no code that it may hold. This file does NOT train, and does not read what others publish: official.py does.
"""

import errno
import hashlib
import io
import json
import math
import pickle
import platform
import re
import warnings
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from . import pickles
from .errors import first_line
from .files import check_there, end_of, link_whole, write_whole
from .kinds import COMMENT_SIZE, MARK, NOT_KNOWN, OLD_TORCH, PICKLE, PROGRAM, TORCH, Kind, describe


class CheckpointDamaged(ValueError):
    """The file is not the checkpoint that was written: cut short, changed, or something else."""


def save(path: str | PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write content (tensors, numbers, strings, in dicts and lists) to path. Whatever happens, path is never half.

    A file that was there is replaced at the very end. Adds the versions that wrote it. Raises OSError where the disk
    is full or the folder not writable, and leaves nothing behind.
    """
    buffer = io.BytesIO()
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    torch.save({**content, "versions": versions}, buffer)
    archive = buffer.getbuffer()
    archive[-2:] = COMMENT_SIZE.to_bytes(2, "little")  # a zip archive ends with the length of its comment
    return write_whole(path, archive, MARK, hashlib.sha256(archive).hexdigest().encode())


def load(path: str | PathLike[str], *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What was saved. Raises FileNotFoundError, and CheckpointDamaged for anything but a whole checkpoint."""
    check_file(path)
    data = Path(path).read_bytes()
    archive, comment = memoryview(data)[:-COMMENT_SIZE], data[-COMMENT_SIZE:]
    if not comment.startswith(MARK):
        advice = "give a .ckpt file of a run; published weights are read by load_official"
        other = describe(path, "is no checkpoint of ncsn_edu", advice)
        last = "; if it is a checkpoint of a run, it is cut short: delete it, and resume from the one before it"
        raise CheckpointDamaged(other + last * data.startswith(b"PK"))  # as every zip archive does
    if comment != MARK + hashlib.sha256(archive).hexdigest().encode():
        raise CheckpointDamaged(
            f"{path} is damaged: its checksum is wrong. Delete it, and resume from the one before it"
        )
    return read_tensors(io.BytesIO(data), path, NOT_KNOWN, device)


def check_file(path: str | PathLike[str]) -> None:
    """Raise FileNotFoundError, and CheckpointDamaged for a folder or a pipe, which could keep its reader waiting."""
    check_there(path)
    if not Path(path).is_file():
        raise CheckpointDamaged(describe(path, "is no file"))


def read_tensors(
    file: io.BytesIO | str | PathLike[str], path: Any, kind: Kind, device: torch.device | str = "cpu"
) -> Any:
    """What torch.save wrote; NumPy arrays as pickles.Array. No code that it may hold is run, and no name imported.

    path and kind are for the error of what cannot be read.
    """
    try:
        with (
            torch.serialization.safe_globals([(stand_in, name) for name, stand_in in pickles.STAND_INS.items()]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of newer protocols of pickle, and of TorchScript
            try:
                return torch.load(file, map_location=device, weights_only=True)
            except pickle.UnpicklingError as error:
                if "Unsupported operand" not in str(error):
                    raise
                return torch.load(_older(file), map_location=device, weights_only=True)
    except Exception as error:  # of a file that is no checkpoint, or is cut short, torch.load raises nearly anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is a seek to where a cut file has nothing
            raise
        raise CheckpointDamaged(_why_unread(path, kind, error)) from error


def _older(file: io.BytesIO | str | PathLike[str]) -> io.BytesIO:
    """The same file with its pickles in protocol 2, whichever they are in: a zip archive, or pickles in a row."""
    data = file.getvalue() if isinstance(file, io.BytesIO) else Path(file).read_bytes()
    new = io.BytesIO()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(new, "w") as target:
            for name in old.namelist():
                content = old.read(name)
                target.writestr(name, pickles.as_protocol_2(content)[0] if name.endswith("/data.pkl") else content)
    else:
        place = 0
        for _ in range(5):  # magic number, version, machine, what was saved, keys; then the numbers
            content, place = pickles.as_protocol_2(data, place)
            new.write(content)
        new.write(data[place:])
    new.seek(0)
    return new


def _why_unread(path: Any, kind: Kind, error: Exception) -> str:
    """In one line, with what to do."""
    if isinstance(error, MemoryError):
        return f"{path} does not fit into memory"
    if "cut short" in kind.what:
        return f"{path} is {kind.what}: {kind.advice}"
    if kind == PROGRAM:
        return f"{path} is {kind.what}, which is code: save its state_dict() with torch.save, and load that"
    if kind not in (NOT_KNOWN, TORCH, OLD_TORCH, PICKLE):
        return f"{path} is {kind.what}, no PyTorch checkpoint: {kind.advice or 'give the .pth file of the weights'}"
    named = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL|it names) ([\w.]+)", str(error))
    if named and not (kind.what and _ends_in(path, named[1].rpartition(".")[2])):
        return (
            f"{path} holds more than tensors, numbers and names: {named[1]}, perhaps code, and is not read. Where it "
            "comes from, save the state_dict() alone with torch.save"
        )
    if isinstance(error, pickle.UnpicklingError) and not kind.what:
        return f"{path} is no PyTorch checkpoint: give the .pth file of the weights"
    if kind == PICKLE:
        return f"{path} is a Python pickle that torch.save did not write: save the state_dict() with torch.save"
    reason = first_line(error, "it ends too soon").partition(". ")[0]  # torch's advice is long
    return f"{path} cannot be read, perhaps as it was cut short ({reason}): get it again"


def _ends_in(path: str | PathLike[str], name: str) -> bool:
    """Whether the file was cut short within this name, which torch reads without its last letter."""
    return end_of(path, len(name) + 1)[: len(name)] == name.encode()


def _checksum(path: Path) -> str:
    """The SHA-256 that a checkpoint ends with; its content is not looked at."""
    return end_of(path, COMMENT_SIZE).removeprefix(MARK).decode("ascii", "replace")


class Folder:
    """The checkpoints of one run: `step-*.ckpt`, of which the last `keep` stay, and `best.ckpt`, one of them by name.

    `best.json` says the loss of the best, so that a save reads no checkpoint; of another file than it was written for
    it says nothing.
    """

    def __init__(self, path: str | PathLike[str], *, keep: int = 2) -> None:
        self.path, self.keep = Path(path), keep

    def save(self, content: Mapping[str, Any], *, loss: float) -> Path:
        """Save content, which holds its `step`; as the best too if no loss was lower. Then drop the oldest.

        Only one process may save into a folder; others may read.
        """
        for left in self.path.glob(".*.tmp"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        path = save(self.path / f"step-{content['step']:09d}.ckpt", {**content, "loss": loss})
        if loss < math.inf and loss < self._lowest():
            link_whole(self.path / "best.ckpt", path)
            self._say_best(content["step"], loss)
        for old in self.steps()[self.keep :]:
            old.unlink()
        return path

    def _lowest(self) -> float:
        """The loss of the best checkpoint; infinite where there is none that can be read."""
        best = self.path / "best.ckpt"
        try:
            about = json.loads((self.path / "best.json").read_text(encoding="utf-8"))
            if about["sha256"] == _checksum(best):
                return float(about["loss"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        try:  # written by a process that was killed before it wrote best.json, or by an older version
            content = load(best)
            self._say_best(content["step"], content["loss"])
            return float(content["loss"])
        except (OSError, ValueError, KeyError, TypeError):
            return math.inf

    def _say_best(self, step: int, loss: float) -> None:
        about = {"step": int(step), "loss": float(loss), "sha256": _checksum(self.path / "best.ckpt")}
        write_whole(self.path / "best.json", json.dumps(about).encode())

    def steps(self) -> list[Path]:
        """The checkpoints there are, newest first."""
        return sorted(self.path.glob("step-*.ckpt"), reverse=True)

    def latest(self) -> dict[str, Any]:
        """The newest checkpoint that is whole. Raises FileNotFoundError where there is none."""
        for path in self.steps():
            try:
                return load(path)
            except CheckpointDamaged as error:
                print(error)
        raise FileNotFoundError(f"there is no checkpoint to resume from in {self.path}: start without --resume")
