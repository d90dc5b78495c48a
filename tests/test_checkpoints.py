"""Checkpoints: whole or not there at all, and never taken for good when they are not."""

import hashlib
import math
import os
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from helpers import started

from ncsn_edu import checkpoints
from ncsn_edu.checkpoints import CheckpointDamaged, Folder

CONTENT = {"step": 7, "model": {"weight": torch.arange(200.0)}, "ema": None, "recipe": {"lr": 0.1, "data": "digits"}}


def same(a, b) -> bool:
    return a["step"] == b["step"] and torch.equal(a["model"]["weight"], b["model"]["weight"]) and a["ema"] is b["ema"]


def test_what_was_saved_is_loaded(tmp_path):
    path = checkpoints.save(tmp_path / "new" / "a.ckpt", CONTENT)
    loaded = checkpoints.load(path)
    assert same(loaded, CONTENT) and loaded["recipe"] == CONTENT["recipe"]
    assert loaded["versions"]["torch"] == torch.__version__
    assert [p.name for p in path.parent.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("options", [{}, {"mmap": True}], ids=["read", "mapped"])
def test_torch_alone_opens_it(tmp_path, options):
    content = torch.load(checkpoints.save(tmp_path / "a.ckpt", CONTENT), weights_only=True, **options)
    assert same(content, CONTENT) and content["recipe"] == CONTENT["recipe"]


def test_the_comment_of_the_archive_is_the_checksum_of_the_rest(tmp_path):
    path = checkpoints.save(tmp_path / "a.ckpt", CONTENT)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        comment = archive.comment.decode()
    digest = hashlib.sha256(path.read_bytes()[: -len(comment)]).hexdigest()
    assert comment == f"ncsn_edu checkpoint, sha256 {digest}"


def test_truncated_anywhere(tmp_path):
    path = checkpoints.save(tmp_path / "a.ckpt", CONTENT)
    whole = path.read_bytes()
    for length in [*range(0, 80), *range(80, len(whole), 97), *range(len(whole) - 120, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointDamaged):
            checkpoints.load(path)


def test_any_bit_flipped(tmp_path):
    path = checkpoints.save(tmp_path / "a.ckpt", CONTENT)
    whole = path.read_bytes()
    for place in [*range(0, 80), *range(80, len(whole), 61), *range(len(whole) - 120, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(CheckpointDamaged):
            checkpoints.load(path)


def test_bytes_put_in_or_behind(tmp_path):
    path = checkpoints.save(tmp_path / "a.ckpt", CONTENT)
    whole = path.read_bytes()
    for data in (whole + b"\0", whole + b"\n", b"\0" + whole, whole[:500] + b"\0" + whole[500:], whole + whole[-93:]):
        path.write_bytes(data)
        with pytest.raises(CheckpointDamaged):
            checkpoints.load(path)


def test_something_else(tmp_path):
    torch.save(CONTENT, tmp_path / "a.pth")
    torch.save(CONTENT, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("data.pkl", "x")
        archive.comment = b"of another program"
    (tmp_path / "empty").touch()
    for path in tmp_path.iterdir():
        with pytest.raises(CheckpointDamaged, match="load_official|get it again|unpack it first"):
            checkpoints.load(path)
    with pytest.raises(FileNotFoundError):
        checkpoints.load(tmp_path / "b.ckpt")


def test_whole_but_no_archive_of_torch(tmp_path):
    """Every checksum holds, and torch.save did not write it."""
    kind = b"ncsn_edu checkpoint, sha256 "
    (tmp_path / "a.ckpt").write_bytes(b"PK" + kind + hashlib.sha256(b"PK").hexdigest().encode())
    with pytest.raises(CheckpointDamaged):
        checkpoints.load(tmp_path / "a.ckpt")


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


def test_code_in_it_is_not_run(tmp_path):
    checkpoints.save(tmp_path / "a.ckpt", {"step": Evil()})
    with pytest.raises(CheckpointDamaged, match="perhaps code"):
        checkpoints.load(tmp_path / "a.ckpt")


def test_the_old_file_stays_when_writing_fails(tmp_path, monkeypatch):
    path = checkpoints.save(tmp_path / "a.ckpt", CONTENT)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, {**CONTENT, "step": 8})
    assert checkpoints.load(path)["step"] == 7 and len(list(tmp_path.iterdir())) == 1


WRITER = """
import sys, torch
from ncsn_edu.checkpoints import Folder
folder = Folder(sys.argv[1])
step = int(folder.steps()[0].stem[5:]) if folder.steps() else 0
print("ready", flush=True)
while True:
    step += 1
    folder.save({"step": step, "weight": torch.full((400_000,), float(step))}, loss=1 / step)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_9_while_writing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    before = 0
    for pause in (0.05, 0.111, 0.173, 0.239):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with started(command, env=environment, stdout=-1) as process:
            assert process.stdout.readline() == b"ready\n"
            while not (Folder(tmp_path).steps() and (tmp_path / "best.ckpt").exists()):
                time.sleep(0.01)
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        content = Folder(tmp_path).latest()
        assert (content["weight"] == content["step"]).all() and content["step"] >= max(before, 1)
        assert checkpoints.load(tmp_path / "best.ckpt")
        before = content["step"]
    (tmp_path / ".step-000000001.ckpt.1234.tmp").write_bytes(b"half")
    Folder(tmp_path).latest()
    assert list(tmp_path.glob("*.tmp")), "who only reads removes nothing: another process may be writing"
    Folder(tmp_path).save({"step": before + 1}, loss=1.0)
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".ckpt" and p.name != "best.json"]


def test_a_folder_keeps_the_last_and_the_best(tmp_path):
    folder = Folder(tmp_path, keep=2)
    for step, loss in enumerate([3.0, 1.0, 2.0, 4.0], start=1):
        folder.save({**CONTENT, "step": step}, loss=loss)
    assert [path.name for path in folder.steps()] == ["step-000000004.ckpt", "step-000000003.ckpt"]
    assert folder.latest()["step"] == 4 and checkpoints.load(tmp_path / "best.ckpt")["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".ckpt") == ["best.json"]
    assert len(list(tmp_path.iterdir())) == 4


def test_the_best_takes_no_room_of_its_own_and_is_read_by_no_save(tmp_path, monkeypatch):
    folder = Folder(tmp_path, keep=2)
    path = folder.save({**CONTENT, "step": 1}, loss=1.0)
    assert (tmp_path / "best.ckpt").samefile(path)
    folder.save({**CONTENT, "step": 1}, loss=0.5)  # the same step once more, with a lower loss
    monkeypatch.setattr(checkpoints, "load", lambda path: pytest.fail("a checkpoint was read"))
    folder.save({**CONTENT, "step": 2}, loss=2.0)
    monkeypatch.undo()
    assert checkpoints.load(tmp_path / "best.ckpt")["loss"] == 0.5
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("when", ["between the two files", "before either"])
def test_a_save_that_is_killed_leaves_the_best_with_its_own_loss(when, tmp_path, monkeypatch):
    folder = Folder(tmp_path, keep=1)
    folder.save({**CONTENT, "step": 1}, loss=3.0)
    dies = "write_whole" if when == "between the two files" else "link_whole"
    real = getattr(checkpoints, dies)

    def killed(path, *rest):
        if Path(path).name.startswith("best"):
            raise KeyboardInterrupt
        return real(path, *rest)

    monkeypatch.setattr(checkpoints, dies, killed)
    with pytest.raises(KeyboardInterrupt):
        folder.save({**CONTENT, "step": 2}, loss=1.0)
    monkeypatch.undo()
    folder.save({**CONTENT, "step": 3}, loss=2.0)  # better than the first, worse than the second
    best = checkpoints.load(tmp_path / "best.ckpt")
    assert (best["step"], best["loss"]) == ((2, 1.0) if dies == "write_whole" else (3, 2.0))
    folder.save({**CONTENT, "step": 4}, loss=0.5)
    assert checkpoints.load(tmp_path / "best.ckpt")["step"] == 4


def test_the_best_of_a_run_that_was_copied_or_is_older_than_the_file_beside_it(tmp_path, monkeypatch):
    Folder(tmp_path / "a").save({**CONTENT, "step": 1}, loss=1.0)
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    (tmp_path / "b" / "best.json").write_text('{"step": 1, "loss": 1.0, "bytes": 1}')  # as it was written once
    for name in ("a", "b"):
        Folder(tmp_path / name).save({**CONTENT, "step": 2}, loss=2.0)
        assert checkpoints.load(tmp_path / name / "best.ckpt")["step"] == 1
    monkeypatch.setattr(checkpoints, "load", lambda path: pytest.fail("it was read twice"))
    Folder(tmp_path / "b").save({**CONTENT, "step": 3}, loss=3.0)
    (tmp_path / "b" / "best.json").unlink()
    Folder(tmp_path / "b").save({**CONTENT, "step": 4}, loss=math.inf)  # as at the end of a slice: none is lower


def test_without_hard_links_the_best_is_a_copy(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    path = Folder(tmp_path).save({**CONTENT, "step": 1}, loss=1.0)
    assert (tmp_path / "best.ckpt").read_bytes() == path.read_bytes()
    assert not (tmp_path / "best.ckpt").samefile(path)


def test_a_damaged_checkpoint_is_said_and_passed_over(tmp_path, capsys):
    folder = Folder(tmp_path)
    for step in (1, 2):
        folder.save({**CONTENT, "step": step}, loss=1.0)
    newest = folder.steps()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    assert folder.latest()["step"] == 1
    assert "it is cut short: delete it, and resume from the one before it" in capsys.readouterr().out
    folder.steps()[1].unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        folder.latest()


def test_a_damaged_best_is_replaced(tmp_path):
    folder = Folder(tmp_path)
    folder.save({**CONTENT, "step": 1}, loss=1.0)
    (tmp_path / "best.ckpt").write_bytes(b"x")
    folder.save({**CONTENT, "step": 2}, loss=5.0)
    assert checkpoints.load(tmp_path / "best.ckpt")["step"] == 2
