"""Checkpoints as their publishers' programs write them, and files that are something else."""

import argparse
import bz2
import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

from ncsn_edu import NCSN, geometric, load_official, pickles
from ncsn_edu.checkpoints import CheckpointDamaged, load, save
from ncsn_edu.kinds import kind_of
from ncsn_edu.trained import load_trained

FIXTURES = Path(__file__).parent / "fixtures"


def published(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a small net of the official code, with `module.` before each name."""
    with np.load(FIXTURES / f"official_{name}.npz") as file:
        return {key: torch.as_tensor(file[key]) for key in file.files if not key.startswith("__")}


def averaged(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What EMAHelper of NCSNv2 keeps: parameters only, names without `module.`; here half of the weights."""
    return {key.removeprefix("module."): value / 2 for key, value in state.items() if "sigmas" not in key}


V1, V2 = published("ncsn_gray28"), published("ncsnv2_rgb32")
AVERAGE = averaged(V2)
ADAM = {"state": {0: {"step": 7, "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}}, "param_groups": [{"lr": 1}]}


def first(net) -> torch.Tensor:
    return net.net.begin.weight


def is_average(net, of=V2) -> bool:
    return torch.equal(first(net), of["module.begin_conv.weight"] / 2)


def is_raw(net, of=V2) -> bool:
    return torch.equal(first(net), of["module.begin_conv.weight"])


# ---- which weights


def prefixed(state, prefix):
    return {prefix + key.removeprefix("module."): value for key, value in state.items()}


HOLDING_BOTH = {
    "trainer of NCSNv2": [V2, ADAM, 3, 700, AVERAGE],
    "names with module. in both": [V2, ADAM, 3, 700, prefixed(AVERAGE, "module.")],
    "score_sde": {
        "optimizer": ADAM,
        "model": V2,
        "ema": {"decay": 0.999, "num_updates": 9, "shadow_params": list(AVERAGE.values())},
        "step": 700,
    },
    "two state dicts": {"ema_state_dict": AVERAGE, "state_dict": prefixed(V2, ""), "epoch": 3},
    "one state dict": {"state_dict": prefixed(V2, "online_model.") | prefixed(AVERAGE, "ema_model."), "epoch": 3},
    "timm": {"state_dict": V2, "state_dict_ema": prefixed(AVERAGE, "module."), "arch": "ncsnv2"},
    "LitEma": {
        "state_dict": prefixed(V2, "model.")
        | {"model_ema." + key.replace(".", ""): value for key, value in AVERAGE.items()}
        | {"model_ema.decay": torch.tensor(0.999)}
    },
    "shadow by name": {"model": V2, "ema": {"decay": 0.999, "shadow": AVERAGE}},
}


@pytest.mark.parametrize("content", HOLDING_BOTH.values(), ids=HOLDING_BOTH)
def test_the_moving_average_is_taken_unless_the_raw_weights_are_asked_for(tmp_path, capsys, content):
    torch.save(content, tmp_path / "checkpoint.pth")
    net = load_official(tmp_path / "checkpoint.pth")
    assert is_average(net) and torch.equal(net.sigmas, V2["module.sigmas"])
    assert "checkpoint.pth: the moving average of the weights is taken" in capsys.readouterr().out
    raw = load_official(content, ema=False)
    assert is_raw(raw) and torch.equal(raw.sigmas, V2["module.sigmas"])
    assert "weights as trained are taken" in capsys.readouterr().out


def test_where_there_is_one_set_of_weights_nothing_is_said(capsys):
    for content in (V1, [V1, ADAM], {"model": V1}, [V1, ADAM, 3, 700]):
        assert is_raw(load_official(content, 28), V1) and is_raw(load_official(content, 28, ema=False), V1)
    assert capsys.readouterr().out == ""


def test_a_moving_average_alone_wants_its_levels():
    with pytest.raises(ValueError, match="without their noise levels.*sigmas="):
        load_official(AVERAGE)
    levels = geometric(50, 0.01, 100)
    net = load_official(AVERAGE, sigmas=levels)
    assert is_average(net) and torch.equal(net.sigmas, levels)
    with pytest.raises(ValueError, match="moving average only"):
        load_official({"ema": AVERAGE}, ema=False)


def test_levels_of_one_s_own_for_ncsn():
    levels = geometric(5, 0.05, 10)
    assert torch.equal(load_official(V1, 28, sigmas=levels).sigmas, levels)
    assert torch.equal(load_official({**V1, "module.sigmas": levels}, 28).sigmas, levels)  # NCSN in NCSNv2's code
    assert isinstance(load_official({**V1, "module.sigmas": levels}, 28), NCSN)
    with pytest.raises(ValueError, match="9 noise levels, but its norms know 10"):
        load_official(V1, 28, sigmas=levels[:9])


def test_a_moving_average_that_does_not_fit():
    content = {"model": V2, "ema": {"shadow_params": list(AVERAGE.values())[:-1]}}
    with pytest.raises(ValueError, match="does not fit.*ema=False"):
        load_official(content)


# ---- how they are written


def on_cuda(_storage) -> str:
    return "cuda:0"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before PyTorch 1.6"])
def test_every_protocol_of_pickle(tmp_path, zipped, protocol):
    content = [OrderedDict(V2), ADAM, 3, 700, AVERAGE, {"name": "σ", "bytes": b"\xff\0"}]
    torch.save(content, tmp_path / "c.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert is_average(load_official(tmp_path / "c.pt"))


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_a_gpu(tmp_path, monkeypatch, zipped):
    monkeypatch.setattr(torch.serialization, "location_tag", on_cuda)
    torch.save([V1, ADAM], tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    assert b"cuda:0" in (tmp_path / "c.pth").read_bytes()
    assert is_raw(load_official(tmp_path / "c.pth", 28), V1)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.half().float() if value.is_floating_point() else value,
        torch.Tensor.double,
        torch.Tensor.numpy,
        lambda value: value.numpy().astype(">f8"),
        lambda value: np.asfortranarray(value.numpy()),
        torch.nn.Parameter,
    ],
    ids=["halved", "double", "numpy", "big-endian", "Fortran", "parameters"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_of_another_type(tmp_path, change, protocol):
    torch.save(
        {"model": {key: change(value) for key, value in V1.items()}, "loss": np.float32(3)},
        tmp_path / "c",
        pickle_protocol=protocol,
    )
    for source in (tmp_path / "c", {key: change(value) for key, value in V1.items()}):
        net = load_official(source, 28)
        assert first(net).dtype == torch.float32
        torch.testing.assert_close(first(net), V1["module.begin_conv.weight"], atol=1e-3, rtol=1e-3)


def test_half_precision(tmp_path):
    torch.save({key: value.half() for key, value in V2.items()}, tmp_path / "c.pth")
    net = load_official(tmp_path / "c.pth")
    torch.testing.assert_close(first(net), V2["module.begin_conv.weight"], atol=1e-3, rtol=1e-3)
    assert first(net).dtype == net.sigmas.dtype == torch.float32


def test_other_nets_are_named():
    with pytest.raises(ValueError, match=r"it has res31\.0\.conv1\.weight, a net for larger images"):
        load_official({**V2, "module.res31.0.conv1.weight": torch.zeros(8, 8, 3, 3)})
    with pytest.raises(ValueError, match="holds another net"):
        load_official({key: value for key, value in V2.items() if "refine3" not in key})
    with pytest.raises(ValueError, match="holds another net.*size mismatch"):
        load_official({**V2, "module.end_conv.bias": torch.zeros(5)})
    with pytest.raises(ValueError, match="is no convolution"):
        load_official({"begin_conv.weight": torch.zeros(3)})
    with pytest.raises(ValueError, match="array of <U1"):
        load_official({"begin_conv.weight": np.array("x")})


# ---- no code is run


class Code:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        [V1, Code(exec, "raise SystemExit('code was run')")],
        [V1, Code(eval, "1 / 0")],
        {"model": V1, "config": argparse.Namespace(lr=1)},
        torch.nn.Linear(2, 2),
    ],
    ids=["exec", "eval", "a configuration", "a whole module"],
)
def test_names_in_a_checkpoint_are_told_and_not_followed(tmp_path, content, zipped, protocol):
    torch.save(content, tmp_path / "c.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointDamaged, match=r"more than tensors.*: (exec|eval|argparse|torch\.nn\.modules).*perhaps code"
    ):
        load_official(tmp_path / "c.pth")


def test_arrays_of_objects_are_not_read(tmp_path):
    torch.save({**V1, "module.begin_conv.bias": np.array([{}, None])}, tmp_path / "c.pth")
    with pytest.raises(CheckpointDamaged, match="c.pth"):
        load_official(tmp_path / "c.pth")


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_hold_data_only(protocol):
    content = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [3, 4], b"x": "y", "s": np.int64(7)}
    found = pickles.load(io.BytesIO(pickle.dumps(content, protocol)))
    assert np.array_equal(found["data"], content["data"]) and found["labels"] == [3, 4] and found["s"] == 7
    for code in (Code(exec, "1 / 0"), Code(getattr, "", "join"), np.array([None]), Path("x"), print):
        with pytest.raises(pickle.UnpicklingError, match="not read"):
            pickles.load(io.BytesIO(pickle.dumps([code], protocol)))
    for length in range(len(pickle.dumps(content, protocol)) - 1):
        with pytest.raises(pickle.UnpicklingError):
            pickles.load(io.BytesIO(pickle.dumps(content, protocol)[:length]))


# ---- files that are something else


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def saved(content, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


WHOLE, OLD = saved(V1), saved(V1, _use_new_zipfile_serialization=False)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 120595465\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><TITLE>Google Drive -\n Virus scan warning</TITLE></head>"
OTHER = {  # what the message calls it, and what it says to do
    "empty": (b"", "is empty", "get it again"),
    "pointer": (POINTER, "pointer of Git LFS", "git lfs pull"),
    "page": (PAGE, "a web page ('Google Drive - Virus scan warning')", "browser"),
    "page on PyTorch": (
        b"<!DOCTYPE html><html><head><title>net.safetensors: a PyTorch pickle</title></head></html>",
        "a web page ('net.safetensors: a PyTorch pickle')",
        "browser",
    ),
    "error of a server": (b'{"error": {"code": 404}}', """the text '{"error": {"code": 404}}'""", "get the file again"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "AccessDenied", "refused"),
    "gzip": (gzip.compress(WHOLE), "packed by gzip", "unpack it"),
    "bzip2": (bz2.compress(WHOLE), "packed by bzip2", "unpack it"),
    "tar": (tar_of("net.pth"), "a tar archive", "unpack it"),
    "zip": (zip_of(**{"net/checkpoint.pth": WHOLE}), "a zip archive that holds net/checkpoint.pth", "unpack it"),
    "empty zip": (zip_of(), "a zip archive that holds nothing", "get it again"),
    "safetensors": (to_safetensors(V1), "a safetensors file", ".pth"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5", ".pth"),
    "Keras": (zip_of(**{"config.json": b"{}", "model.weights.h5": b""}), "a Keras model", ".pth"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:" + bytes(99), "an ONNX model", ".pth"),
    "TensorFlow": (b"\x08\x01\x12\xf1\x07\nsaved_model\x12\x05serve" + bytes(range(99)), "a TensorFlow model", ".pth"),
    "TensorFlow's index": (bytes(range(60)) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "index of a TensorFlow", ".pth"),
    "NumPy": (npy(), "a NumPy array", ".pth"),
    "NumPy's archive": (zip_of(**{"a.npy": npy(), "b.npy": npy()}), "a NumPy archive (.npz)", ".pth"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG picture", ".pth"),
    "text": (b"epoch,loss\n1,2\n", "the text 'epoch,loss 1,2'", ".pth"),
    "zeros": (bytes(5000), "zero bytes", "get it again"),
}
TORCH = {  # PyTorch's or Python's own, that are no whole checkpoint
    "script": (script(), "a TorchScript program", "state_dict()"),
    "pickle": (pickle.dumps({"begin_conv.weight": np.zeros(3)}), "a Python pickle", "torch.save"),
    "half": (WHOLE[: len(WHOLE) // 2], "cut short", "get it again"),
    "last byte": (WHOLE[:-1], "cut short", "get it again"),
    "old, half": (OLD[: len(OLD) // 2], "cut short", "get it again"),
    "old, within a name": (OLD[: OLD.index(b"FloatStorage") + 4], "cut short", "get it again"),
    "old, last byte": (OLD[:-1], "cut short", "get it again"),
}


@pytest.mark.parametrize("name", [*OTHER, *TORCH])
def test_load_official_says_what_else_a_file_is(tmp_path, name):
    content, what, advice = (OTHER | TORCH)[name]
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(CheckpointDamaged) as error:
        load_official(tmp_path / "net.pth")
    message = str(error.value)
    assert "net.pth" in message and what in message and advice in message and "\n" not in message
    assert "weights_only" not in message


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".pth"])
@pytest.mark.parametrize("name", OTHER)
def test_load_trained_says_what_else_a_file_is(tmp_path, name, suffix):
    content, what, _ = OTHER[name]
    (tmp_path / f"net{suffix}").write_bytes(content)
    with pytest.raises((CheckpointDamaged, ValueError)) as error:
        load_trained(tmp_path / f"net{suffix}")
    assert f"net{suffix}" in str(error.value) and "\n" not in str(error.value)
    assert what in str(error.value) or (name == "safetensors" and "something else" in str(error.value))


def test_the_loaders_name_each_other(tmp_path):
    torch.save(V1, tmp_path / "official.ckpt")
    with pytest.raises(CheckpointDamaged, match="a PyTorch file.*load_official"):
        load(tmp_path / "official.ckpt")
    save(tmp_path / "ours.pth", {"model": {"a.weight": torch.zeros(2)}, "step": 1})
    with pytest.raises(CheckpointDamaged, match="a checkpoint of ncsn_edu.*load_trained"):
        load_official(tmp_path / "ours.pth")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "ours.pth").read_bytes()[:900])
    with pytest.raises(CheckpointDamaged, match="cut short, or damaged, after 900 bytes.*resume from the one before"):
        load(tmp_path / "cut.ckpt")


def test_weights_that_ship_are_known_by_their_content(tmp_path):
    from ncsn_edu.trained import WEIGHTS

    (tmp_path / "net.pt").write_bytes((WEIGHTS / "digits.safetensors").read_bytes())
    assert load_trained(tmp_path / "net.pt").recipe.data == "digits"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("read", [load_official, load, load_trained])
def test_nothing_waits_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "net.ckpt")
    with pytest.raises(CheckpointDamaged, match="net.ckpt is no ordinary file: give a file"):
        read(tmp_path / "net.ckpt")


@pytest.mark.parametrize("kind", ["a folder", "no ordinary file"])
def test_kinds_of_what_is_no_file(tmp_path, kind):
    assert kind_of(tmp_path if kind == "a folder" else "/dev/null").what == kind


def test_json_of_a_net_is_no_weights(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["UNet2DModel"], "sample_size": 32}, indent=1))
    with pytest.raises(CheckpointDamaged, match="the text"):
        load_official(tmp_path / "config.json")


# ---- weights among other numbers

NAMED_MOMENTS = {key: {"exp_avg": value * 0, "step": torch.tensor(7.0)} for key, value in averaged(V2).items()}


@pytest.mark.parametrize(
    "beside",
    [
        {"optimizer": {"state": NAMED_MOMENTS, "param_groups": []}},  # as distributed training keeps it
        {"opt_m": {"exp_avg": AVERAGE, "exp_avg_sq": AVERAGE}},
        {"optimizer_states": [{"momentum_buffer": AVERAGE}]},
        {"grads": AVERAGE},
        {"notes": {"begin_conv.weight": "frozen"}},
    ],
)
def test_what_an_optimiser_keeps_by_name_is_no_weights(beside, capsys):
    assert is_raw(load_official({"model": V2, **beside})) and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "average",
    [
        {"ema": {"shadow_params": tuple(AVERAGE.values())}},
        {"optimizer_states": [{**ADAM, "ema": tuple(AVERAGE.values()), "decay": 0.999}]},
        {"swa_model": {"n_averaged": torch.tensor(5), **prefixed(AVERAGE, "module.")}},
        {"ema": prefixed(V2, "online_model.") | prefixed(AVERAGE, "ema_model.")},
    ],
)
def test_a_moving_average_is_found_in_other_places(average, capsys):
    assert is_average(load_official({**average, "model": V2})) and "moving average" in capsys.readouterr().out
    assert is_raw(load_official({**average, "model": V2}, ema=False))


@pytest.mark.parametrize("names", [("model", "best_model"), ("ema_0.99", "ema_0.9999"), ("student", "teacher")])
def test_of_several_weights_none_is_guessed(names):
    content = {"model": V2} | {name: {key: 3 * i * x for key, x in V2.items()} for i, name in enumerate(names, start=1)}
    with pytest.raises(ValueError, match=f"several sets of weights that differ, in .*'{names[1]}/module'"):
        load_official(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {"begin_conv.weight": state["module.begin_conv.weight"]}, "another net .*no refine1"),
        (lambda state: state | {"module.end_conv.bias": state["module.end_conv.bias"] / 0}, "end_conv.bias has .* NaN"),
        (lambda state: {key: value.to("meta") for key, value in state.items()}, "a tensor of another kind"),
        (lambda state: {key: value.to_sparse() for key, value in state.items()}, "a tensor of another kind"),
    ],
)
def test_weights_that_cannot_be_used_are_told(change, words):
    with pytest.raises(ValueError, match=words):
        load_official(change(V2))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_told_in_words(tmp_path, zipped):
    torch.save(V2, tmp_path / "whole.pth", _use_new_zipfile_serialization=zipped)
    data, path = (tmp_path / "whole.pth").read_bytes(), tmp_path / "cut.pth"
    for size in [1, 4, 30, 200, *range(1000, len(data), len(data) // 30)]:
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointDamaged, match="cut") as error:
            load_official(path)
        assert len(str(error.value)) < len(str(path)) + 200 and "Weights only" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://example.org/ncsn.pth", "is an address.*download"),
        ("dangling.pth", "is a link to gone.pth"),
        ("cloud.pth", "in iCloud"),
        ("~nobody/x.pth", "write out the home folder"),
        ("x" * 3000, "there is no file"),
    ],
)
def test_of_a_file_that_is_not_there_it_is_said_why(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    os.symlink("gone.pth", "dangling.pth")
    Path(".cloud.pth.icloud").write_bytes(b"bplist00")
    with pytest.raises(FileNotFoundError, match=words):
        load_official(name)
