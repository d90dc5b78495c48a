"""Data sets as torchvision, Keras, Kaggle, browsers and people lay them out; and why downloads fail, in words."""

import errno
import gzip
import io
import os
import pickle
import socket
import ssl
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import requests
import urllib3
from test_datasets import (
    MNIST,
    assert_is_cifar,
    assert_is_mnist,
    change_contents,
    cifar_arrays,
    cifar_files,
    cifar_members,
    idx,
    lay,
    lay_cifar,
    lay_mnist,
    mnist_arrays,
    redirect,
    root,
    server,
    small,
    tar_member,
    tar_of,
)

from ncsn_edu import datasets
from ncsn_edu.__main__ import main
from ncsn_edu.datasets import connection, gzipped

__all__ = ["root", "server", "small"]  # fixtures
PLAIN = {name: idx(values) for name, values in mnist_arrays().items()}


def both_splits(name: str, root: Path) -> None:
    """Each split is there, and as it was made."""
    assert datasets.available(root)[name]
    for split in ("train", "test"):
        loaded = datasets.load(name, split=split, root=root, download=False)
        assert_is_mnist(loaded, split) if name == "mnist" else assert_is_cifar(loaded, split)


# ---- MNIST ------------------------------------------------------------------------------------------------------


def npz() -> bytes:
    buffer = io.BytesIO()
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), mnist_arrays().values(), strict=True))
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


MNIST_LAYOUTS = {
    "unpacked by a browser": {f"mnist/{name}.gz": content for name, content in PLAIN.items()},
    "packed, without .gz": {f"mnist/{name}": gzip.compress(content) for name, content in PLAIN.items()},
    "torchvision": {f"MNIST/raw/{name}": content for name, content in PLAIN.items()},
    "torchvision, both": {
        f"MNIST/raw/{n}{s}": gzip.compress(c) if s else c for n, c in PLAIN.items() for s in ("", ".gz")
    },
    "in the root itself": {f"{name}.gz": gzip.compress(content) for name, content in PLAIN.items()},
    "raw": {f"raw/{name}": content for name, content in PLAIN.items()},
    "Kaggle": {f"mnist/{name}/{name}".replace("-idx", ".idx"): content for name, content in PLAIN.items()},
    "capitals and dots": {f"Mnist/{name.upper().replace('-IDX', '.IDX')}": content for name, content in PLAIN.items()},
    "one deeper": {f"data/MNIST/raw/{name}.gz": gzip.compress(content) for name, content in PLAIN.items()},
    "Keras": {"datasets/mnist.npz": npz()},
    "Keras, in its place": {"mnist/mnist.npz": npz()},
}


@pytest.mark.parametrize("layout", MNIST_LAYOUTS)
def test_mnist_as_others_lay_it(tmp_path, layout):
    for name, content in MNIST_LAYOUTS[layout].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    both_splits("mnist", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_images_and_labels_come_from_one_folder(tmp_path):
    """Half of one copy and half of another do not make a whole."""
    lay(tmp_path / "mnist", {name: PLAIN[name] for name in MNIST[::2]})
    lay(tmp_path / "MNIST/raw", {name: PLAIN[name] for name in MNIST[1::2]})
    assert not datasets.available(tmp_path)["mnist"]
    with pytest.raises(datasets.DataUnavailable, match="Found there, but not all of what is needed: mnist/t10k-images"):
        datasets.load("mnist", root=tmp_path, download=False)


def test_verify_of_other_layouts(tmp_path, monkeypatch):
    change_contents(monkeypatch, "mnist", PLAIN.values())
    (tmp_path / "mnist.npz").write_bytes(npz())
    names = [f"mnist.npz ({array})" for array in ("x_train", "y_train", "x_test", "y_test")]
    assert datasets.verify("mnist", tmp_path) == dict.fromkeys(names, "")
    (tmp_path / "mnist.npz").unlink()
    lay(tmp_path / "MNIST/raw", PLAIN | {MNIST[1]: idx(mnist_arrays()[MNIST[1]][::-1])})
    report = datasets.verify("mnist", tmp_path)
    assert [bool(problem) for problem in report.values()] == [False, True, False, False]
    assert list(report) == [f"MNIST/raw/{name}" for name in MNIST]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\3\4" + bytes(99), "expected the array x_train, found something else"),
        (npz()[:-30], "expected the array x_train, found something else"),
        (b"", "It is empty: get it again."),
    ],
)
def test_a_damaged_npz_is_told(tmp_path, content, message):
    lay(tmp_path / "mnist", {"mnist.npz": content})
    with pytest.raises(datasets.DataDamaged, match=message):
        datasets.load("mnist", root=tmp_path)


def test_an_npz_of_other_arrays_is_told(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((60, 28, 28)), y_train=np.zeros(60, np.uint8))
    with pytest.raises(datasets.DataDamaged, match=r"x_train of uint8, found float64 \(60, 28, 28\)"):
        datasets.load("mnist", root=tmp_path)


def test_what_came_instead_of_a_file_is_told(root):
    path = lay_mnist(root) / f"{MNIST[0]}.gz"
    for content, what in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS.*git lfs pull"),
        (b"<!DOCTYPE html><title>Sign in</title>", r"a web page \('Sign in'\)"),
        (bytes(5000), "nothing but zero bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(datasets.DataDamaged, match=f"It is {what}"):
            datasets.load("mnist")


# ---- CIFAR-10 ---------------------------------------------------------------------------------------------------


def old_text(text: bytes) -> bytes:
    """As Python 2 pickles its strings."""
    return b"T" + struct.pack("<i", len(text)) + text


def python_batch(images: np.ndarray, labels: np.ndarray, *, protocol: int = 0) -> bytes:
    """A batch as published, written by Python 2 (protocol 0 here), or by somebody again."""
    rows = images.reshape(len(images), -1)
    if protocol:
        batch = {b"data": rows, b"labels": labels.tolist(), b"batch_label": b"x", b"filenames": [b"a.png"]}
        return pickle.dumps(batch, protocol)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR(K\1"
        + (b"(" + b"".join(b"M" + struct.pack("<H", n) for n in rows.shape) + b"t")
        + b"cnumpy\ndtype\n(U\2u1K\0K\1tR(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        + (b"\x89" + old_text(rows.tobytes()) + b"tb")
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + old_text(b"data") + array + old_text(b"labels") + numbers + b"u."


def python_files(protocol: int = 0) -> dict[str, bytes]:
    made = {name.removesuffix(".bin"): arrays for name, arrays in cifar_arrays().items()}
    batches = {name: python_batch(*arrays, protocol=protocol) for name, arrays in made.items()}
    return batches | {"batches.meta": pickle.dumps({"label_names": ["airplane"]})}


def python_archive() -> bytes:
    return tar_of(*(tar_member(f"cifar-10-batches-py/{name}", content) for name, content in python_files().items()))


@pytest.mark.parametrize(
    "folder", ["cifar-10-batches-py", "CIFAR10/cifar-10-batches-py", "data/cifar-10-batches-py", ""]
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar10_for_python(tmp_path, folder, protocol):
    lay(tmp_path / "x" / folder, python_files(protocol))
    both_splits("cifar10", tmp_path / "x")


@pytest.mark.parametrize("folder", ["cifar10", "CIFAR-10-BATCHES-BIN", "cifar-10-binary/cifar-10-batches-bin", ""])
def test_cifar10_one_deeper_or_in_the_root(tmp_path, folder):
    lay(tmp_path / "x" / folder, cifar_files())
    both_splits("cifar10", tmp_path / "x")


def test_the_binary_version_goes_first(tmp_path):
    lay(tmp_path / "cifar-10-batches-py", dict.fromkeys(python_files(), b"damaged"))
    lay_cifar(tmp_path)
    both_splits("cifar10", tmp_path)


ARCHIVES = {
    "cifar-10-python.tar.gz": python_archive(),
    "cifar-10-python.tar": gzip.decompress(python_archive()),
    "CIFAR10/cifar-10-batches-py.tar.gz": python_archive(),
    "cifar-10-python.tgz": python_archive(),
    "cifar-10-binary.tar": gzip.decompress(tar_of(*cifar_members())),
    "data/cifar-10-binary.tar.gz": tar_of(*cifar_members()),
    "cifar-10-binary.tar.gz": gzip.decompress(tar_of(*cifar_members())),  # a browser unpacked it, and kept its name
    "./cifar-10-python.tar": gzip.decompress(
        tar_of(*(tar_member(f"./cifar-10-batches-py/{name}", content) for name, content in python_files().items()))
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_left_packed(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(ARCHIVES[name])
    for split in ("train", "test"):
        assert_is_cifar(datasets.load("cifar10", split=split, root=tmp_path, download=False), split)
    assert (tmp_path / name).read_bytes() == ARCHIVES[name]
    assert not list(tmp_path.glob("*.partial"))


def test_verify_of_the_version_for_python(tmp_path, monkeypatch):
    # Those of the binary version: the same images in the same order.
    change_contents(monkeypatch, "cifar10", (cifar_files()[name] for name in cifar_arrays()))
    folder = lay(tmp_path / "cifar-10-batches-py", python_files())
    names = [f"cifar-10-batches-py/{name.removesuffix('.bin')}" for name in cifar_arrays()]
    assert datasets.verify("cifar10", tmp_path) == dict.fromkeys(names, "")
    (folder / "data_batch_2").write_bytes(python_files()["data_batch_1"])
    (folder / "data_batch_4").write_bytes(b"")
    report = datasets.verify("cifar10", tmp_path)
    assert [name for name in names if report[name]] == [names[1], names[3]]
    assert "MD5" in report[names[1]] and "cannot be read" in report[names[3]]


def test_verify_of_the_version_for_python_in_a_folder_of_any_name(tmp_path, monkeypatch):
    """The names of the files tell the version, not the folder's."""
    change_contents(monkeypatch, "cifar10", (cifar_files()[name] for name in cifar_arrays()))
    lay(tmp_path / "data", python_files())
    names = [f"data/{name.removesuffix('.bin')}" for name in cifar_arrays()]
    assert datasets.verify("cifar10", tmp_path) == dict.fromkeys(names, "")


class Code:
    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


BATCH = python_files()["data_batch_3"]
PLACES = cifar_arrays()["data_batch_3.bin"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"data": Code(), "labels": []}, 2), "names (__builtin__|builtins).exec, which may be code"),
        (pickle.dumps({"data": Code(), "labels": []}, 4), "names builtins.exec, which may be code"),
        (BATCH[: len(BATCH) // 2], "found something else"),
        (b"", "It is empty: get it again"),
        (b"<html>", "It is a web page"),
        (python_batch(PLACES[0][:9], PLACES[1][:9]), "expected 10 images, found 9"),
        (python_batch(PLACES[0][:, :1], PLACES[1]), r"data of uint8 \(10, 1024\)"),
        (python_batch(PLACES[0].astype(float), PLACES[1], protocol=3), "data of float64"),
        (python_batch(*PLACES, protocol=3).replace(b"labels", b"lebals"), "found something else"),
        (pickle.dumps({"data": PLACES[0].reshape(10, -1), "labels": [10] * 10}), "the label 10"),
        (pickle.dumps({"data": PLACES[0].reshape(10, -1), "labels": [-1] * 10}), "labels of int64"),
        (pickle.dumps([1, 2, 3]), "found something else"),
    ],
)
def test_a_batch_that_is_something_else(tmp_path, content, message):
    folder = lay(tmp_path / "cifar-10-batches-py", python_files() | {"data_batch_3": content})
    with pytest.raises(datasets.DataDamaged, match=message) as error:
        datasets.load("cifar10", root=tmp_path)
    assert f"{folder / 'data_batch_3'} is damaged" in str(error.value) and f"Delete the folder {folder}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("name", "content"), [("cifar-10-python.tar", b"x" * 999), ("cifar-10-python.tar.gz", b"\x1f\x8b")]
)
def test_a_damaged_archive_for_python(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(datasets.DataDamaged, match=f"{name} is damaged: expected a whole .tar"):
        datasets.load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar10", "cifar-10-python.zip"), ("mnist", "mnist_train.csv"), ("celeba", "celeba/list_attr_celeba.txt")],
)
def test_files_that_are_not_read_are_named(tmp_path, name, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(datasets.DataUnavailable, match=f"Found there, but not all of what is needed: {file}"):
        datasets.load(name, root=tmp_path, download=False)


# ---- why a download failed --------------------------------------------------------------------------------------

URL = "https://www.example.org/file.gz"


def urllib3_error(reason: Exception) -> urllib3.exceptions.MaxRetryError:
    return urllib3.exceptions.MaxRetryError(None, "/file.gz", reason)


def untrusted(message: str) -> Exception:
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {message}")
    error.verify_message = message
    return requests.exceptions.SSLError(urllib3_error(urllib3.exceptions.SSLError(error)))


def refused() -> Exception:
    new = urllib3.exceptions.NewConnectionError(None, "Failed to establish a new connection")
    new.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    return new


def proxied(reason: Exception) -> Exception:
    return requests.exceptions.ProxyError(urllib3_error(urllib3.exceptions.ProxyError("Unable to connect", reason)))


def unresolved() -> Exception:
    gone = socket.gaierror(-2, "Name or service not known")
    new = urllib3.exceptions.NameResolutionError("www.example.org", None, gone)
    return requests.exceptions.ConnectionError(urllib3_error(new))


CAUSES = {
    "self-signed certificate in certificate chain": (
        untrusted("self-signed certificate in certificate chain"),
        "its certificate is not trusted here: self-signed certificate in certificate chain.*REQUESTS_CA_BUNDLE",
    ),
    "expired": (untrusted("certificate has expired"), "not trusted here: certificate has expired"),
    "no TLS": (
        requests.exceptions.SSLError(
            urllib3_error(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))
        ),
        "no safe connection: .*wrong version number.*REQUESTS_CA_BUNDLE",
    ),
    "no name": (unresolved(), "www.example.org cannot be reached .its name cannot be looked up: there is no internet"),
    "refused": (requests.exceptions.ConnectionError(urllib3_error(refused())), "the connection was refused"),
    "silence": (requests.exceptions.ConnectTimeout(urllib3_error(TimeoutError())), "there was no answer in time"),
    "proxy": (proxied(refused()), "the proxy http://proxy:3128 does not let this through .the connection was refused"),
    "proxy's login": (
        proxied(OSError("Tunnel connection failed: 407 Proxy Authentication Required")),
        "does not let this through .Tunnel connection failed: 407 Proxy Authentication Required",
    ),
    "SOCKS": (
        requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."),
        "is a SOCKS proxy, which needs PySocks.*pip install pysocks, or unset",
    ),
    "portal": (requests.TooManyRedirects("Exceeded 30 redirects."), "redirects without end, .* want a login"),
    "bundle": (
        OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /x.pem"),
        "invalid path: /x.pem: correct or unset REQUESTS_CA_BUNDLE",
    ),
    "other": (
        requests.exceptions.ConnectionError(urllib3_error(OSError(errno.ENETUNREACH, "Network is unreachable"))),
        "cannot be reached .Network is unreachable",
    ),
    "nothing said": (requests.exceptions.ConnectionError(), "cannot be reached .the connection broke"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told_and_not_the_class(monkeypatch, name):
    error, message = CAUSES[name]
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    for variable in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(requests, "get", lambda *_, **__: (_ for _ in ()).throw(error))
    redirect(monkeypatch, "https://www.example.org/", {})
    with pytest.raises(datasets.DataUnavailable, match=message) as raised:
        datasets.load("mnist")
    said = str(raised.value).splitlines()[0]
    assert type(error).__name__ not in said and "Error(" not in said and "secret" not in str(raised.value)
    assert connection.reason(error, URL) in str(raised.value)


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("socks5h://127.0.0.1:1080", "PySocks|the connection was refused|SOCKS"),
        ("foo://127.0.0.1:1", "the proxy foo://127.0.0.1:1 has an address that cannot be used"),
        ("http://[bad", "has an address that cannot be used"),
        ("http://127.0.0.1:1", "the proxy http://127.0.0.1:1 does not let this through"),
    ],
)
def test_proxies_as_requests_finds_them(monkeypatch, proxy, message):
    for variable in ("NO_PROXY", "no_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    redirect(monkeypatch, "https://www.example.org/", {})
    with pytest.raises(datasets.DataUnavailable, match=message):
        datasets.load("mnist")


def test_a_full_disk_is_told_and_keeps_the_part(server, root, monkeypatch):
    import builtins

    written = []

    class Full(io.FileIO):
        def write(self, chunk):
            written.append(chunk)
            if len(written) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(chunk)

    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **_: (Full if "w" in mode or "a" in mode else builtins.open)(path, mode)
    )
    with pytest.raises(
        datasets.DataUnavailable, match="No space left on device: free some space, or set NCSN_EDU_DATA"
    ):
        datasets.load("mnist")
    assert (root / f"mnist/{MNIST[0]}.gz.partial").stat().st_size == 2000


@pytest.mark.parametrize(
    ("status", "text"), [(403, "403 Client Error: Forbidden"), (429, "429 Client Error: Too Many")]
)
def test_a_refusal_of_the_server_is_told(server, status, text):
    server.status = status
    with pytest.raises(datasets.DataUnavailable, match=f"the server says {text}"):
        datasets.load("mnist")


def test_a_page_that_calls_itself_a_file_is_told(server, root):
    """As networks that want a login send one."""
    name = f"{MNIST[0]}.gz"
    server.files = {**server.files, name: b"<html><head><title>Welcome to the hotel</title></head></html>"}
    with pytest.raises(
        datasets.DataUnavailable, match=r"sent is a web page \('Welcome to the hotel'\), and not the published"
    ):
        datasets.load("mnist")
    assert not (root / "mnist" / name).exists()


# ---- no home ----------------------------------------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """Nobody's process: no HOME, and no entry for its user."""
    import pwd

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "XDG_CACHE_HOME", "NCSN_EDU_DATA", "NCSN_EDU_FIGURES_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


needs_pwd = pytest.mark.skipif(os.name != "posix", reason="there is always a home")


@needs_pwd
def test_without_a_home_data_lie_in_the_temporary_folder_and_it_is_said(homeless, capsys):
    assert datasets.data_root().parent == homeless / "tmp" and not datasets.has_home()
    assert main(["data", "list", "digits", "mnist"]) == 0
    said = capsys.readouterr()
    assert "there is no home folder" in said.err and "NCSN_EDU_DATA" in said.err and str(homeless / "tmp") in said.err
    assert "digits    898 + 899" in said.out
    assert datasets.load_or_digits("mnist")[2] == "digits"
    assert not list(homeless.glob("~*"))


@needs_pwd
def test_a_home_that_is_meant_but_not_there_is_told(homeless, capsys, monkeypatch):
    assert main(["data", "list", "--root", "~/data"]) == 1
    assert "there is no such home folder here: write the path out" in capsys.readouterr().err
    monkeypatch.setenv("NCSN_EDU_DATA", "~/data")
    assert main(["data", "list"]) == 1
    assert "NCSN_EDU_DATA is ~/data" in capsys.readouterr().err
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", "~nobody-of-that-name/figures")
    assert main(["figures", "--list"]) == 1
    assert "NCSN_EDU_FIGURES_DIR is ~nobody" in capsys.readouterr().err


@needs_pwd
def test_doctor_without_a_home(homeless, capsys):
    main(["doctor"])
    out = capsys.readouterr().out
    assert "RuntimeError" not in out and "KeyError" not in out and "could not be looked at" not in out


@pytest.mark.parametrize("value", ["", "relative/cache", " "])
def test_a_cache_folder_that_is_no_path_is_passed_over(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NCSN_EDU_DATA")
    assert datasets.data_root().is_relative_to(tmp_path) or not datasets.has_home()


def test_a_home_that_cannot_be_used(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NCSN_EDU_DATA")
    assert main(["data", "list", "digits"]) == 0 and "digits" in capsys.readouterr().out
    assert main(["data", "get", "mnist"]) == 1
    assert "cannot be written to (Not a directory)" in capsys.readouterr().err


# ---- the real data, laid out in other ways ----------------------------------------------------------------------


def test_the_real_data_in_other_layouts(monkeypatch, tmp_path):
    monkeypatch.undo()
    from test_datasets import REAL

    if not datasets.available(REAL)["mnist"] or not (REAL / "mnist").is_dir():
        pytest.skip("MNIST is not on this machine")
    wanted = datasets.load("mnist", split="test", root=REAL, download=False)
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for path in (REAL / "mnist").glob("t10k*"):
        with gzipped.opened(path) as file:
            content = file.read()
        (tmp_path / "MNIST/raw" / path.name).write_bytes(content)  # unpacked, under the name that it has
    found = datasets.load("mnist", split="test", root=tmp_path, download=False)
    assert all((a == b).all() for a, b in zip(wanted, found, strict=True))
