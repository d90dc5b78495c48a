"""Data sets from files made here, downloads from a server of our own, and batches held against counting.

The tests of the real data read them from NCSN_EDU_DATA or the cache folder, and are skipped where they are not.
"""

import gzip
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import numpy as np
import pytest
import requests
import torch
from helpers import FALSE_ALARM_Z, assert_mean, seeded
from scipy import stats
from waiting import PATIENCE, closed_port, wait_for

from ncsn_edu import datasets
from ncsn_edu.datasets import DATASETS, download
from ncsn_edu.datasets.filesets import Content

OFFICIAL = dict(DATASETS)
REAL = datasets.data_root()  # before any test changes the environment
MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SMALL = {"mnist": {"train": 60, "test": 20}, "cifar10": {"train": 50, "test": 10}}


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Data sets of a few images, downloads in small pieces, a root of their own, and no way out to the internet."""
    for name, n_images in SMALL.items():
        change(monkeypatch, name, n_images=n_images)
    monkeypatch.setattr(download, "CHUNK", 1000)
    monkeypatch.setattr(download, "TIMEOUT", (2, 5))
    monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    nowhere = f"http://127.0.0.1:{closed_port()}/"
    redirect(monkeypatch, nowhere, {})


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "root"


def change(monkeypatch, name: str, **fields) -> None:
    """Let the record of a data set have other fields."""
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], **fields))


def redirect(monkeypatch, url: str, files: dict[str, bytes]) -> None:
    """Let the data sets come from url, with the checksums of these files."""
    for name, record in DATASETS.items():
        moved = []
        for source in record.sources:
            file = source.url.rsplit("/", 1)[1]
            md5 = hashlib.md5(files[file]).hexdigest() if file in files else source.md5
            moved.append(download.Source(source.file, url + file, md5))
        change(monkeypatch, name, sources=tuple(moved))


def change_contents(monkeypatch, name: str, contents: Iterable[bytes]) -> None:
    """Let these be the published files of a data set, in their order."""
    sums = iter([hashlib.md5(content).hexdigest() for content in contents])
    record = DATASETS[name]
    changed = {split: tuple(Content(file, next(sums)) for file, _ in files) for split, files in record.contents.items()}
    assert next(sums, None) is None
    change(monkeypatch, name, contents=changed)


def md5_of_contents(name: str) -> list[str]:
    return [content.md5 for files in DATASETS[name].contents.values() for content in files]


# ---- files as their authors make them, written with numpy alone -------------------------------------------------


def random_bytes(*shape: int, seed: int, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(high, size=shape, dtype=np.uint8)


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.tobytes()


def mnist_arrays() -> dict[str, np.ndarray]:
    train, test = SMALL["mnist"]["train"], SMALL["mnist"]["test"]
    return {
        MNIST[0]: random_bytes(train, 28, 28, seed=0),
        MNIST[1]: random_bytes(train, seed=1, high=10),
        MNIST[2]: random_bytes(test, 28, 28, seed=2),
        MNIST[3]: random_bytes(test, seed=3, high=10),
    }


def mnist_files() -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(idx(values), mtime=0) for name, values in mnist_arrays().items()}


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def lay_mnist(root: Path) -> Path:
    return lay(root / "mnist", mnist_files())


def cifar_arrays() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    return {
        name: (random_bytes(10, 3, 32, 32, seed=i), random_bytes(10, seed=10 + i, high=10))
        for i, name in enumerate(names)
    }


def cifar_files() -> dict[str, bytes]:
    files = {"batches.meta.txt": b"airplane\n", "readme.html": b"<html>"}
    for name, (images, labels) in cifar_arrays().items():
        files[name] = b"".join(bytes([y]) + x.tobytes() for x, y in zip(images, labels, strict=True))
    return files


def lay_cifar(root: Path) -> Path:
    return lay(root / "cifar-10-batches-bin", cifar_files())


def tar_member(name: str, content: bytes = b"", **attributes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def cifar_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    folder = tar_member("cifar-10-batches-bin", type=tarfile.DIRTYPE, mode=0o755)
    return [folder, *(tar_member(f"cifar-10-batches-bin/{name}", content) for name, content in cifar_files().items())]


def assert_is_mnist(loaded: tuple, split: str) -> None:
    images, labels = loaded
    first = 0 if split == "train" else 2
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert np.array_equal(images.numpy(), mnist_arrays()[MNIST[first]][:, None])
    assert np.array_equal(labels.numpy(), mnist_arrays()[MNIST[first + 1]])


def assert_is_cifar(loaded: tuple, split: str) -> None:
    images, labels = loaded
    parts = list(cifar_arrays().values())
    parts = parts[:5] if split == "train" else parts[5:]
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert np.array_equal(images.numpy(), np.concatenate([x for x, _ in parts]))
    assert np.array_equal(labels.numpy(), np.concatenate([y for _, y in parts]))


def listing(root: Path) -> set[str]:
    """All that lies below root, lock files aside."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"}


# ---- loading ----------------------------------------------------------------------------------------------------


def test_digits_go_to_uint8_and_back():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    (train, train_labels), (test, test_labels) = datasets.load("digits"), datasets.load("digits", split="test")
    assert train.shape == (898, 1, 8, 8) and test.shape == (899, 1, 8, 8)
    images = torch.cat([train, test])
    assert images.dtype == torch.uint8 and train_labels.dtype == torch.int64
    grey = np.round(images.flatten(1).numpy() * 16.0 / 255)
    assert np.abs(images.flatten(1).numpy() - grey * 255 / 16).max() <= 0.5
    assert (images.min(), images.max()) == (0, 255)

    def rows(images, labels):
        return sorted(map(tuple, np.column_stack([images, labels]).astype(int).tolist()))

    assert rows(grey, torch.cat([train_labels, test_labels])) == rows(bunch.data, bunch.target)  # each image once


def test_both_halves_of_the_digits_are_of_one_distribution():
    (train, train_labels), (test, test_labels) = datasets.load("digits"), datasets.load("digits", split="test")
    again, _ = datasets.load("digits")
    assert torch.equal(train, again)
    counts = torch.stack([train_labels.bincount(), test_labels.bincount()]).double()
    expected = counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 28  # chi-squared of 9 degrees: beyond it once in 1000
    # By writers, as scikit-learn has them, the two means are 0.26 apart; halves drawn at random: about 0.13.
    assert (train.double().mean(0) - test.double().mean(0)).norm() / 255 < 0.19


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist(root, split):
    lay_mnist(root)
    assert_is_mnist(datasets.load("mnist", split=split, download=False), split)


@pytest.mark.parametrize("rename", [lambda name: name, lambda name: name.replace("-idx", ".idx")])
def test_mnist_unpacked(tmp_path, rename):
    (tmp_path / "elsewhere/mnist").mkdir(parents=True)
    for name, values in mnist_arrays().items():
        (tmp_path / "elsewhere/mnist" / rename(name)).write_bytes(idx(values))
    assert_is_mnist(datasets.load("mnist", root=tmp_path / "elsewhere", download=False), "train")
    assert datasets.available(tmp_path / "elsewhere")["mnist"] and not datasets.available()["mnist"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar10(root, split):
    lay_cifar(root)
    assert_is_cifar(datasets.load("cifar10", split=split, root=str(root), download=False), split)


def test_one_split_suffices_for_itself(root):
    folder = lay_mnist(root)
    for name in MNIST[2:]:
        (folder / f"{name}.gz").unlink()
    assert_is_mnist(datasets.load("mnist"), "train")
    assert not datasets.available()["mnist"]


def test_a_local_copy_is_read_only_in_effect(root):
    lay_mnist(root)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}
    images, labels = datasets.load("mnist")
    images += 1
    labels += 1
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()} == before
    assert_is_mnist(datasets.load("mnist"), "train")


@pytest.mark.parametrize(("name", "split", "repair"), [("cifar", "train", "cifar10"), ("mnist", "valid", '"test"')])
def test_unknown_names(name, split, repair):
    with pytest.raises(ValueError, match=repair):
        datasets.load(name, split=split)


# ---- damaged files ----------------------------------------------------------------------------------------------


def damaged(name: str, path: Path) -> str:
    """The error about this file, which is left as it is."""
    before = path.read_bytes()
    with pytest.raises(datasets.DataDamaged) as error:
        datasets.load(name)
    assert path.read_bytes() == before
    assert str(path) in str(error.value) and "load again" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("change", [-1, -3073, 1, 3073])
def test_cifar10_of_a_wrong_size(root, change):
    path = lay_cifar(root) / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    message = damaged("cifar10", path)
    assert "expected 30730 bytes" in message and f"Delete the folder {path.parent}" in message
    assert f"found {30730 + change}" in message if change < 0 else "found more" in message


def test_cifar10_out_of_step(root):
    """One byte lost and one gained: the size is right, and every label is a pixel."""
    path = lay_cifar(root) / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[1:] + b"\0")
    assert re.search(r"labels of 0 to 9, found the label \d{2,3}", damaged("cifar10", path))


@pytest.mark.parametrize("file", MNIST[:2])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_truncated(root, file, packed):
    path = lay_mnist(root) / f"{file}.gz"
    size = len(idx(mnist_arrays()[file]))
    if not packed:
        content = gzip.decompress(path.read_bytes())
        path.unlink()
        path = path.with_suffix("")
        path.write_bytes(content)
    path.write_bytes(path.read_bytes()[:-20])
    message = damaged("mnist", path)
    assert f"expected {size} bytes" in message and "Delete the file" in message
    found = int(re.search(r"found (\d+)", message)[1])
    assert found < size if packed else found == size - 20


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(idx(random_bytes(61, 28, 28, seed=0))), "found more"),
        (gzip.compress(idx(random_bytes(59, 28, 28, seed=0))), "expected 47056 bytes when unpacked, found 46272"),
        (gzip.compress(idx(random_bytes(28, 60, 28, seed=0))), r"[2051, 60, 28, 28], found [2051, 28, 60, 28]"),
        (gzip.compress(idx(random_bytes(60, 28, 28, seed=0)).replace(b"\0\0\x08", b"\0\0\x0d", 1)), "found [3331, 60"),
        (gzip.compress(idx(random_bytes(60, 28, 28, seed=0)))[:-8] + bytes(8), "CRC"),
        (b"<html>404</html>", "found 0 (Not a gzipped file"),
        (b"", "found 0"),
    ],
    ids=["long", "short", "shape", "magic", "checksum", "page", "empty"],
)
def test_mnist_of_a_wrong_content(root, content, complaint):
    path = lay_mnist(root) / f"{MNIST[0]}.gz"
    path.write_bytes(content)
    assert complaint in damaged("mnist", path)


def test_more_than_expected_is_not_unpacked(root):
    path = lay_mnist(root) / f"{MNIST[0]}.gz"
    path.write_bytes(gzip.compress(bytes(50_000_000), 1))
    tracemalloc.start()
    try:
        assert "found more" in damaged("mnist", path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_mnist_labels_of_another_kind(root):
    path = lay_mnist(root) / f"{MNIST[1]}.gz"
    path.write_bytes(gzip.compress(idx(np.full(60, 10, np.uint8))))
    assert "found the label 10" in damaged("mnist", path)


# ---- as published -----------------------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch):
    """The files made here are the published ones."""
    change_contents(monkeypatch, "mnist", map(idx, mnist_arrays().values()))
    change_contents(monkeypatch, "cifar10", (cifar_files()[name] for name in cifar_arrays()))


def test_verify_tells_each_file_of_mnist(root, published):
    names = [f"mnist/{name}.gz" for name in MNIST]
    assert datasets.verify("mnist") == dict.fromkeys(names, "missing") and not root.exists()
    folder = lay_mnist(root)
    assert datasets.verify("mnist") == dict.fromkeys(names, "") == datasets.verify("mnist", str(root))
    path = folder / f"{MNIST[0]}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))  # packed by somebody else
    path = folder / f"{MNIST[1]}.gz"
    (folder / MNIST[1].replace("-idx", ".idx")).write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    changed = idx(mnist_arrays()[MNIST[2]][::-1])
    (folder / f"{MNIST[2]}.gz").write_bytes(gzip.compress(changed))
    path = folder / f"{MNIST[3]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    report = datasets.verify("mnist")
    assert list(report) == [names[0], f"mnist/{MNIST[1].replace('-idx', '.idx')}", *names[2:]]
    first, second, third, fourth = report.values()
    assert first == second == ""
    assert third == f"MD5 {hashlib.md5(changed).hexdigest()} instead of {md5_of_contents('mnist')[2]}"
    assert fourth.startswith("cannot be read (")


def test_verify_tells_each_file_of_cifar10(server, root, published):
    """Those that hold images; the archive, where it is all there is."""
    archive = root / "cifar-10-binary.tar.gz"
    root.mkdir()
    archive.write_bytes(server.files[archive.name])
    assert datasets.verify("cifar10") == {archive.name: ""}
    archive.write_bytes(server.files[archive.name][:-1])
    assert "instead of" in datasets.verify("cifar10")[archive.name]
    path = lay_cifar(root) / "data_batch_2.bin"
    names = [f"cifar-10-batches-bin/{name}" for name in cifar_arrays()]
    assert datasets.verify("cifar10") == dict.fromkeys(names, "")
    path.write_bytes(path.read_bytes()[::-1])
    (path.parent / "test_batch.bin").unlink()
    wrong = {name: text for name, text in datasets.verify("cifar10").items() if text}
    assert list(wrong) == [names[1], names[5]] and wrong[names[5]] == "missing"
    assert md5_of_contents("cifar10")[1] in wrong[names[1]]


def test_verify_has_no_files_of_digits_and_knows_the_names():
    assert datasets.verify("digits") == {}
    with pytest.raises(ValueError, match="choose one of digits, mnist"):
        datasets.verify("faces")


def test_the_size_of_every_download_is_known():
    assert list(datasets.NAMES) == list(DATASETS) == [record.name for record in DATASETS.values()]
    assert all((record.download_bytes > 0) == bool(record.sources) for record in DATASETS.values())


@pytest.mark.parametrize("name", DATASETS)
def test_a_record_says_what_people_ask_first(name):
    record = OFFICIAL[name]
    assert "see https://" in record.licence and record.preprocessing
    assert len(record.shape) == 3 and list(record.n_images) == ["train", "test"]
    with pytest.raises(FrozenInstanceError):
        record.name = "other"


# ---- no data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_without_data_three_ways_are_named(root, name, download):
    with pytest.raises(datasets.DataUnavailable) as error:
        datasets.load(name, download=download)
    message = str(error.value)
    assert ("cannot be reached (the connection was refused)" if download else "download=False") in message
    assert f'load("{name}", download=True)' in message
    for source in DATASETS[name].sources:
        assert str(root / source.file) in message and source.url in message
    assert "NCSN_EDU_DATA" in message and "root=" in message
    assert download or not root.exists()  # nothing was made
    assert not root.exists() or not listing(root)


def test_without_internet_one_attempt_is_enough(monkeypatch):
    asked, get = [], requests.get
    monkeypatch.setattr(requests, "get", lambda url, **options: asked.append(url) or get(url, **options))
    with pytest.raises(datasets.DataUnavailable):
        datasets.load("mnist")
    assert asked == [DATASETS["mnist"].sources[0].url]


def test_official_addresses():
    """In another Python, as the tests here change them."""
    code = """if True:
        from ncsn_edu.datasets import DATASETS
        print(*(source.url + " " + source.md5 for record in DATASETS.values() for source in record.sources), sep="|")
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip().split("|") == [
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz d53e105ee54ea40749a09fcbcd1e9432",
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz 9fb629c4189551a2d022fa330f9573f3",
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz ec29112dd5afa0611ce80d1b7f02629c",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz c32a1d4ab5d03f1284b67883e8d87530",
        "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t"
        "&resourcekey=0-dYn9z10tMJOBAkviAcfdyQ 00d2c5bc6d35e252742224ab0c1e8fcb",
    ]


def test_torch_is_not_needed_to_look():
    look = "import sys; from ncsn_edu import datasets; datasets.available()"
    code = f"{look}; print({{'torch', 'requests'}} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"


def test_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(datasets.DataUnavailable, match="cannot be written to .*Not a directory"):
        datasets.load("mnist", root=tmp_path / "file/below")


def test_load_or_digits_says_so(root, capsys):
    images, labels, name = datasets.load_or_digits("mnist", split="test")
    assert name == "digits" and images.shape == (899, 1, 8, 8) and len(labels) == 899
    said = capsys.readouterr()
    assert said.out.count("\n") == 1 and "mnist" in said.out and "digits" in said.out and not said.err
    lay_mnist(root)
    images, labels, name = datasets.load_or_digits("mnist", split="test")
    assert name == "mnist" and not capsys.readouterr().out
    assert_is_mnist((images, labels), "test")


def test_load_or_digits_hides_no_damage(root):
    path = lay_cifar(root) / "data_batch_1.bin"
    path.write_bytes(b"")
    with pytest.raises(datasets.DataDamaged):
        datasets.load_or_digits("cifar10")


# ---- downloads --------------------------------------------------------------------------------------------------


class Server:
    """Serves bytes on 127.0.0.1 and writes down what it was asked for and what it sent."""

    def __init__(self, files: dict[str, bytes]):
        self.files, self.ranges, self.status, self.headers = files, True, 200, {}
        self.drops: list[int] = []  # hang up after so many bytes, once each
        self.stall = None  # wait for good after so many bytes
        self.answers = threading.Event()  # cleared, each answer waits
        self.answers.set()
        self.requests: list[SimpleNamespace] = []
        self.open = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler) -> None:
        file, asked = handler.path.lstrip("/"), handler.headers.get("Range")
        log = SimpleNamespace(file=file, range=asked, sent=0)
        self.requests.append(log)
        self.answers.wait(PATIENCE)
        content = self.files.get(file)
        if content is None or self.status != 200:
            return handler.send_error(404 if content is None else self.status)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start >= len(content):
            return handler.send_error(416)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for header, value in self.headers.items():
            handler.send_header(header, value)
        handler.end_headers()
        self.send(handler, content[start:], log)

    def send(self, handler, content: bytes, log) -> None:
        limit = self.drops.pop(0) if self.drops else self.stall
        piece = content[:limit]
        handler.wfile.write(piece)
        handler.wfile.flush()
        log.sent = len(piece)
        if limit is not None and limit == self.stall:
            self.open.wait(PATIENCE)

    def asked_for(self, file: str) -> list[str | None]:
        return [log.range for log in self.requests if log.file == file]

    def sent(self, file: str) -> int:
        return sum(log.sent for log in self.requests if log.file == file)


@pytest.fixture
def server(monkeypatch):
    files = {**mnist_files(), "cifar-10-binary.tar.gz": tar_of(*cifar_members())}
    server = Server(files)
    redirect(monkeypatch, server.url, files)
    yield server
    server.open.set()
    server.http.shutdown()
    server.http.server_close()


BIG = f"{MNIST[0]}.gz"


@pytest.mark.parametrize("encoding", [None, "gzip"], ids=["", "declared as Content-Encoding"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_is_downloaded_once_whole(server, root, split, encoding):
    server.headers = {"Content-Encoding": encoding} if encoding else {}
    assert_is_mnist(datasets.load("mnist", split=split), split)
    assert listing(root) == {f"mnist/{name}.gz" for name in MNIST} and datasets.available()["mnist"]
    assert all((root / "mnist" / name).read_bytes() == content for name, content in mnist_files().items())
    for each in ("train", "test"):
        assert_is_mnist(datasets.load("mnist", split=each), each)
    assert Counter(log.file for log in server.requests) == dict.fromkeys(mnist_files(), 1)


def test_cifar10_is_downloaded_and_unpacked(server, root):
    assert_is_cifar(datasets.load("cifar10"), "train")
    assert_is_cifar(datasets.load("cifar10", split="test"), "test")
    assert listing(root) == set(DATASETS["cifar10"].official_files)  # no archive, no readme
    assert len(server.requests) == 1


@pytest.mark.parametrize("drops", [[20_500], [20_500, 3_700]])
def test_a_broken_connection_is_taken_up_where_it_broke(server, root, drops):
    server.drops = list(drops)
    assert_is_mnist(datasets.load("mnist"), "train")
    first, *later = server.asked_for(BIG)
    starts = [int(re.fullmatch(r"bytes=(\d+)-", text)[1]) for text in later]
    assert first is None and len(starts) == len(drops)
    assert sum(drops[:1]) - 1000 <= starts[0] <= drops[0]
    assert server.sent(BIG) <= len(server.files[BIG]) + 1000 * len(drops)  # less than a chunk is sent twice


def test_what_arrived_is_kept_for_the_next_call(server, root):
    size = len(server.files[BIG])
    server.drops = [10_000] * download.TRIES
    with pytest.raises(datasets.DataUnavailable, match=r"connection to 127.0.0.1:\d+ was lost; (\d+) bytes .* kept"):
        datasets.load("mnist")
    assert listing(root) == {f"mnist/{BIG}.partial"}
    kept = (root / f"mnist/{BIG}.partial").stat().st_size
    assert 10_000 < kept <= 30_000 and (root / f"mnist/{BIG}.partial").read_bytes() == server.files[BIG][:kept]
    before = server.sent(BIG)
    assert_is_mnist(datasets.load("mnist"), "train")
    assert server.asked_for(BIG)[-1] == f"bytes={kept}-"
    assert server.sent(BIG) - before == size - kept
    assert listing(root) == {f"mnist/{name}.gz" for name in MNIST}


def test_a_server_without_ranges_sends_it_all_again(server, root):
    server.ranges, server.drops = False, [20_000]
    assert_is_mnist(datasets.load("mnist"), "train")
    assert len(server.asked_for(BIG)) == 2
    assert server.sent(BIG) == 20_000 + len(server.files[BIG])


@pytest.mark.parametrize("length", [500, None, 10**5], ids=["shorter", "as long", "longer"])
def test_a_bad_part_is_thrown_away(server, root, length):
    partial = root / f"mnist/{BIG}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(length or len(server.files[BIG])))
    assert_is_mnist(datasets.load("mnist"), "train")
    with_range, without = server.asked_for(BIG)
    assert with_range and without is None


def test_a_whole_part_needs_no_more_bytes(server, root):
    """Killed after the last byte, before the file got its name."""
    partial = root / f"mnist/{BIG}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(server.files[BIG])
    assert_is_mnist(datasets.load("mnist"), "train")
    assert server.sent(BIG) == 0


@pytest.mark.parametrize("partial", [False, True])
def test_a_wrong_checksum_leaves_no_file(server, root, partial):
    server.files = {**server.files, BIG: server.files[BIG][:-1] + b"?"}
    if partial:
        (root / "mnist").mkdir(parents=True)
        (root / f"mnist/{BIG}.partial").write_bytes(b"something")
    with pytest.raises(datasets.DataUnavailable, match="is not the published file"):
        datasets.load("mnist")
    assert not listing(root)
    assert len(server.asked_for(BIG)) == 1 + partial


@pytest.mark.parametrize(("status", "text"), [(404, "404 Client Error"), (503, "503 Server Error")])
def test_an_error_of_the_server_is_told_at_once(server, root, status, text):
    server.status = status
    with pytest.raises(datasets.DataUnavailable, match=text):
        datasets.load("cifar10")
    assert not listing(root) and len(server.requests) == 1
    assert datasets.load_or_digits("cifar10", download=True)[2] == "digits"


def test_an_error_of_the_server_keeps_the_part(server, root):
    root.mkdir()
    (root / "cifar-10-binary.tar.gz.partial").write_bytes(server.files["cifar-10-binary.tar.gz"][:5000])
    server.status = 503
    with pytest.raises(datasets.DataUnavailable, match="503 .*; 5000 bytes of it are kept"):
        datasets.load("cifar10")
    server.status = 200
    assert_is_cifar(datasets.load("cifar10"), "train")
    assert server.asked_for("cifar-10-binary.tar.gz") == ["bytes=5000-"] * 2


@pytest.mark.parametrize(
    ("page", "title"), [(b"<html><Title>\nQuota exceeded</title><p>", "'Quota exceeded'"), (b"<html>", "'nothing'")]
)
def test_a_page_instead_of_the_file_is_no_part_of_it(server, root, page, title):
    """As Google Drive sends one, with status 200, where too many have asked."""
    root.mkdir()
    part = server.files["cifar-10-binary.tar.gz"][:5000]
    (root / "cifar-10-binary.tar.gz.partial").write_bytes(part)
    whole, server.ranges = server.files, False
    server.files, server.headers = {"cifar-10-binary.tar.gz": page}, {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(
        datasets.DataUnavailable, match=f"server says {title} on a web page.*; 5000 bytes of it are kept"
    ):
        datasets.load("cifar10")
    assert (root / "cifar-10-binary.tar.gz.partial").read_bytes() == part and len(server.requests) == 1
    server.files, server.headers, server.ranges = whole, {"Content-Type": "application/octet-stream"}, True
    assert_is_cifar(datasets.load("cifar10"), "train")
    assert server.asked_for("cifar-10-binary.tar.gz") == ["bytes=5000-"] * 2


def test_nothing_is_downloaded_unasked(server):
    with pytest.raises(datasets.DataUnavailable):
        datasets.load("mnist", download=False)
    datasets.load_or_digits("mnist")
    datasets.load_or_digits("cifar10", split="test")
    assert not server.requests


def test_missing_files_join_published_ones_only(server, root):
    folder = lay_mnist(root)
    (folder / f"{MNIST[1]}.gz").unlink()
    assert_is_mnist(datasets.load("mnist"), "train")  # the others are as published: the labels fit
    assert [log.file for log in server.requests] == [f"{MNIST[1]}.gz"]
    (folder / f"{MNIST[1]}.gz").unlink()
    (folder / BIG).write_bytes(gzip.compress(idx(mnist_arrays()[MNIST[0]][::-1])))  # another order
    with pytest.raises(datasets.DataUnavailable, match=f"{MNIST[0]}.gz is not the file as published"):
        datasets.load("mnist")
    assert len(server.requests) == 1


def test_a_part_of_cifar10_is_not_mixed_with_another_copy(server, root):
    (lay_cifar(root) / "data_batch_2.bin").unlink()
    before = listing(root)
    with pytest.raises(datasets.DataUnavailable, match="lacks data_batch_2.bin"):
        datasets.load("cifar10")
    assert listing(root) == before and not server.requests
    assert_is_cifar(datasets.load("cifar10", split="test"), "test")


def test_progress_is_silent_on_request(server, capsys, monkeypatch):
    monkeypatch.delenv("NCSN_EDU_FIGURES", raising=False)
    monkeypatch.setenv("NCSN_EDU_PROGRESS", "0")
    datasets.load("mnist")
    said = capsys.readouterr()
    assert not said.out and not said.err
    monkeypatch.delenv("NCSN_EDU_PROGRESS")
    datasets.load("cifar10")
    assert "cifar-10-binary.tar.gz" in capsys.readouterr().err


# ---- processes --------------------------------------------------------------------------------------------------


def start_loading(name: str, root: Path, said: IO[str] | int = subprocess.PIPE) -> subprocess.Popen:
    """load(name) in a process of its own, as set up here."""
    sources = [tuple(source) for source in DATASETS[name].sources]
    code = f"""
from dataclasses import replace
from ncsn_edu.datasets import DATASETS, download, load
download.CHUNK = 1000
sources = tuple(download.Source(*source) for source in {sources})
DATASETS[{name!r}] = replace(DATASETS[{name!r}], n_images={SMALL[name]}, sources=sources)
images, labels = load({name!r}, root={str(root)!r})
print(images.sum().item(), labels.sum().item())
"""
    environment = {**os.environ, "NCSN_EDU_PROGRESS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=said, text=True
    )


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_two_processes_download_once(server, root, tmp_path, name):
    server.answers.clear()
    with open(tmp_path / "said", "w") as said:
        both = [start_loading(name, root, said) for _ in range(2)]
    waiting = f"waiting for another process that is getting {name}"
    wait_for(lambda: waiting in (tmp_path / "said").read_text(), "the other one has started, too")
    server.answers.set()
    results = [process.communicate(timeout=PATIENCE)[0] for process in both]
    images, labels = datasets.load(name, root=root, download=False)
    assert results == [f"{images.sum()} {labels.sum()}\n"] * 2, (tmp_path / "said").read_text()
    asked = Counter(log.file for log in server.requests)
    assert asked == {source.url.rsplit("/", 1)[1]: 1 for source in DATASETS[name].sources}


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_download_leaves_a_part_that_the_next_call_resumes(server, root):
    server.stall = 20_500
    process = start_loading("mnist", root)
    partial = root / f"mnist/{BIG}.partial"
    # What is written reaches the file in blocks.
    wait_for(lambda: partial.exists() and partial.stat().st_size >= 10_000, "a part is there")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.open.set()
    server.stall = None
    assert process.returncode == -signal.SIGKILL
    assert listing(root) == {f"mnist/{BIG}.partial"}
    kept = partial.stat().st_size
    assert_is_mnist(datasets.load("mnist"), "train")
    assert server.asked_for(BIG) == [None, f"bytes={kept}-"]


# ---- archives ---------------------------------------------------------------------------------------------------


def lay_archive(root: Path, content: bytes) -> Path:
    root.mkdir(exist_ok=True)
    path = root / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    return path


def test_an_archive_laid_there_by_hand_is_unpacked_and_kept(root):
    path = lay_archive(root, tar_of(*cifar_members()))
    assert_is_cifar(datasets.load("cifar10", download=False), "train")
    assert path.is_file() and listing(root) == {path.name, *DATASETS["cifar10"].official_files}


def test_names_and_links_in_an_archive_lead_nowhere(root, tmp_path):
    (tmp_path / "secret").write_text("secret")
    evil = [
        tar_member("../escaped", b"x"),
        tar_member(str(tmp_path / "absolute"), b"x"),
        tar_member("cifar-10-batches-bin/../../climbed", b"x"),
        tar_member("cifar-10-batches-bin/more.bin", b"x"),
        tar_member("cifar-10-batches-bin/batches.meta.txt", type=tarfile.SYMTYPE, linkname=str(tmp_path / "secret")),
        tar_member("cifar-10-batches-bin/batches.meta.txt", type=tarfile.LNKTYPE, linkname=str(tmp_path / "secret")),
        tar_member("cifar-10-batches-bin/test_batch.bin", type=tarfile.FIFOTYPE),
    ]
    lay_archive(root, tar_of(*evil, *cifar_members()))
    assert_is_cifar(datasets.load("cifar10", split="test"), "test")
    assert listing(tmp_path) - {"secret"} == {
        "root/cifar-10-binary.tar.gz",
        *(f"root/{file}" for file in DATASETS["cifar10"].official_files),
    }
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert (root / "cifar-10-batches-bin/batches.meta.txt").read_bytes() == b"airplane\n"


@pytest.mark.parametrize(
    ("member", "complaint"),
    [
        (tar_member("cifar-10-batches-bin/data_batch_1.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "data_b"),
        (tar_member("cifar-10-batches-bin/data_batch_1.bin", bytes(50 * 3073 + 1)), "data_batch_1.bin"),
        (tar_member("data_batch_1.bin", cifar_files()["data_batch_1.bin"]), "data_batch_1.bin"),
    ],
    ids=["a link", "too large", "another folder"],
)
def test_an_archive_without_one_of_the_files_makes_no_folder(root, member, complaint):
    others = [each for each in cifar_members() if "data_batch_1" not in each[0].name]
    path = lay_archive(root, tar_of(member, *others))
    with pytest.raises(
        datasets.DataDamaged, match=f"{re.escape(str(path))} is damaged: expected the files .*{complaint}"
    ):
        datasets.load("cifar10")
    assert not (root / "cifar-10-batches-bin").exists()
    lay_archive(root, tar_of(*cifar_members()))
    assert_is_cifar(datasets.load("cifar10"), "train")  # what the first attempt left is in nobody's way


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, -1])
def test_a_truncated_archive_makes_no_folder(root, cut):
    whole = tar_of(*cifar_members())
    path = lay_archive(root, whole[: int(cut * len(whole)) if isinstance(cut, float) else cut])
    size = path.stat().st_size
    with pytest.raises(
        datasets.DataDamaged, match=f"{re.escape(str(path))} is damaged.*Delete the file and load again"
    ):
        datasets.load("cifar10")
    assert not (root / "cifar-10-batches-bin").exists() and path.stat().st_size == size


def test_a_flipped_bit_in_an_archive_is_noticed(root):
    content = bytearray(tar_of(*cifar_members()))
    content[len(content) // 2] ^= 1  # random pixels are stored as they are: tar and zlib notice nothing
    lay_archive(root, bytes(content))
    with pytest.raises(datasets.DataDamaged, match="CRC"):
        datasets.load("cifar10")
    assert not (root / "cifar-10-batches-bin").exists()


def test_an_empty_folder_is_no_obstacle(root):
    (root / "cifar-10-batches-bin").mkdir(parents=True)
    lay_archive(root, tar_of(*cifar_members()))
    assert_is_cifar(datasets.load("cifar10"), "train")


# ---- batches ----------------------------------------------------------------------------------------------------


def numbered(n: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """n images of 1x1x2 pixels that say which they are: (i, 255 - i)."""
    i = torch.arange(n, dtype=torch.uint8, device=device)
    return torch.stack([i, 255 - i], dim=-1)[:, None, None]


def whole(x: torch.Tensor) -> torch.Tensor:
    """The integers that x was made from without dequantisation."""
    return (x.double() * 255).round().long().cpu()


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (10, 4), (10, 10), (7, 5), (1, 1), (5, 1)])
def test_every_image_once_an_epoch(device, n, batch_size):
    rounds = 3 * n  # 3 x batch_size epochs
    stream = datasets.batches(numbered(n), batch_size, dequantize=False, device=device, generator=seeded(0, device))
    got = list(islice(stream, rounds))
    assert all(x.shape == (batch_size, 1, 1, 2) and x.dtype == torch.float32 for x in got)
    assert all(x.device.type == device.type for x in got)
    epochs = whole(torch.cat(got))[:, 0, 0, 0].view(-1, n)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(n).expand(len(epochs), n))


def test_labels_stay_with_their_images(device):
    labels = torch.arange(10) ** 2
    stream = datasets.batches(
        numbered(10), 4, dequantize=False, device=device, labels=labels, generator=seeded(1, device)
    )
    for x, label in islice(stream, 6):
        assert torch.equal(label.cpu(), whole(x)[:, 0, 0, 0].cpu() ** 2)
    with pytest.raises(ValueError, match="one number for each of the 10 images"):
        datasets.batches(numbered(10), 4, labels=labels[:9])


def test_epochs_are_shuffled_anew(device):
    """Each image takes each place equally often: counted over 2000 epochs of 6, chi-squared with 25 degrees."""
    n, epochs = 6, 2000
    stream = datasets.batches(numbered(n), 4, dequantize=False, device=device, generator=seeded(1, device))
    order = whole(torch.cat(list(islice(stream, n * epochs // 4))))[:, 0, 0, 0].view(epochs, n)
    counts = torch.stack([order[:, place].bincount(minlength=n) for place in range(n)])
    chi2 = ((counts - epochs / n) ** 2 / (epochs / n)).sum().item()
    assert 1e-6 < stats.chi2.sf(chi2, (n - 1) ** 2) < 1 - 1e-6
    assert len({tuple(row) for row in order.tolist()}) > 600  # of 720 orders


def test_images_stay_whole_and_are_not_changed():
    images = torch.from_numpy(random_bytes(20, 3, 4, 5, seed=5))
    before = images.clone()
    x = next(datasets.batches(images, 20, flip=True, dequantize=False, generator=seeded()))
    x += 1
    assert torch.equal(images, before)
    x = whole(next(datasets.batches(images, 20, dequantize=False, generator=seeded())))
    assert sorted(x.tolist()) == sorted(images.tolist())


def test_dequantisation_is_uniform_within_each_step(device):
    """u = 256 x - image is uniform on [0, 1): Kolmogorov-Smirnov, mean 1/2, and floor gives the image back."""
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(100, 3, -1, -1)
    (x,) = datasets.batches(images, 100, device=device, generator=seeded(2, device), n_batches=1)
    assert x.dtype == torch.float32 and x.min() >= 0 and x.max() < 1
    u = 256 * x.double().cpu() - images
    assert u.min() >= 0 and u.max() < 1
    assert torch.equal((256 * x).floor().byte().cpu(), images)
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-6
    assert_mean(u, 0.5)
    first, second = u[:-1].flatten(), u[1:].flatten()  # images do not share their noise, nor do pixels
    assert abs(np.corrcoef(first, second)[0, 1]) < FALSE_ALARM_Z / len(first) ** 0.5
    left, right = u[..., :-1].flatten(), u[..., 1:].flatten()
    assert abs(np.corrcoef(left, right)[0, 1]) < FALSE_ALARM_Z / len(left) ** 0.5


def test_dequantisation_never_reaches_the_next_step(device):
    """In float32, 255 + u rounds to 256 for one plain u in 130000."""
    images = torch.full((1, 3, 1000, 1000), 255, dtype=torch.uint8)
    x = next(datasets.batches(images, 1, device=device, generator=seeded(4, device)))
    assert x.min() >= 255 / 256 and x.max() < 1


def test_without_dequantisation_it_is_image_over_255(device):
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = next(datasets.batches(images, 1, dequantize=False, device=device))
    assert np.array_equal(x.cpu().numpy(), np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16) / np.float32(255))


def test_half_of_the_images_are_flipped_left_to_right(device):
    image = torch.from_numpy(random_bytes(1, 3, 4, 5, seed=6))
    n = 10_000
    stream = datasets.batches(
        image.expand(n, -1, -1, -1), n, flip=True, dequantize=False, device=device, generator=seeded(3, device)
    )
    x = whole(next(stream))
    plain = (x == image.long()).flatten(1).all(1)
    flipped = (x == torch.from_numpy(image.numpy()[..., ::-1].copy()).long()).flatten(1).all(1)
    assert torch.equal(plain, ~flipped)
    assert abs(flipped.sum().item() - n / 2) < FALSE_ALARM_Z * (n / 4) ** 0.5
    runs = (flipped[1:] != flipped[:-1]).sum().item()  # neighbours are independent
    assert abs(runs - (n - 1) / 2) < FALSE_ALARM_Z * (n / 4) ** 0.5


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (3, 32, 32)])
def test_batches_are_those_of_a_plain_formulation_bit_by_bit(shape):
    """Shuffle, torch.where, and (x + (b + 1/2) / 256) / 256 in float64, from the same random numbers."""
    images = torch.from_numpy(random_bytes(7, *shape, seed=7))
    draws, size = seeded(9), 5
    order = torch.randperm(7, generator=draws)
    for x in datasets.batches(images, size, flip=True, generator=seeded(9), n_batches=6):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(7, generator=draws)])
        chosen, order = images[order[:size]], order[size:]
        flipped = torch.rand(size, 1, 1, 1, generator=draws) < 0.5
        plain = torch.where(flipped, chosen.flip(-1), chosen).double()
        words = torch.empty((chosen.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=draws)
        noise = torch.from_numpy(words.numpy().view(np.uint8)[: chosen.numel()].reshape(chosen.shape).copy())
        expected = (plain + (noise + 0.5) / 256) / 256
        assert x.dtype == torch.float32 and torch.equal(x.double(), expected)


def test_all_randomness_is_the_generators(device):
    def some(seed):
        options = {"flip": True, "device": device, "n_batches": 5, "generator": seeded(seed, device)}
        return torch.stack(list(datasets.batches(numbered(10), 4, **options)))

    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = some(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(first, some(7))
    assert not torch.equal(first, some(8))


def test_without_a_generator_the_global_seed_counts():
    got = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        got.append(next(datasets.batches(numbered(10), 10)))
    assert torch.equal(got[0], got[1]) and not torch.equal(got[0], got[2])


def test_n_batches():
    assert len(list(datasets.batches(numbered(5), 2, n_batches=9))) == 9


@pytest.mark.parametrize(
    ("images", "options", "error", "repair"),
    [
        (torch.rand(4, 1, 2, 2), {}, TypeError, "(255 * images).round().byte()"),
        (numbered(4).long(), {}, TypeError, "images.round().byte()"),
        (255 * torch.rand(4, 1, 2, 2), {}, TypeError, ": use images.round().byte()"),
        (2 * torch.rand(4, 1, 2, 2) - 1.5, {}, TypeError, "bring them to [0, 1] first"),
        (torch.full((4, 1, 2, 2), torch.nan), {}, TypeError, "NaN or infinite"),
        (numbered(4).numpy(), {}, TypeError, "torch.as_tensor(images)"),
        (numbered(4)[:, 0], {}, ValueError, "[:, None]"),
        (numbered(4)[:0], {}, ValueError, "there are no images"),
        (numbered(4), {"batch_size": 5}, ValueError, "use 4 or fewer"),
        (numbered(4), {"batch_size": 0}, ValueError, "batch_size must be"),
        (numbered(4), {"batch_size": 1.5}, ValueError, "batch_size must be"),
        (numbered(4), {"n_batches": 0}, ValueError, "n_batches must be"),
        (numbered(4), {"device": "meta", "generator": seeded()}, ValueError, "the generator lives on cpu"),
    ],
)
def test_mistakes_show_at_the_call(images, options, error, repair):
    with pytest.raises(error, match=re.escape(repair)):
        datasets.batches(images, **{"batch_size": 2, **options})  # no next()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("n", [100, 50_000])  # torch shuffles small and large numbers in different ways
def test_nothing_waits_for_the_device(n):
    images = torch.zeros(n, 1, 2, 2, dtype=torch.uint8, device="cuda")
    stream = datasets.batches(images, 60, flip=True, generator=seeded(0, "cuda"))
    next(stream)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2 * n // 60):
            next(stream)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---- the real data ----------------------------------------------------------------------------------------------

CLASS_COUNTS = {  # as their authors publish them
    ("mnist", "train"): [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    ("mnist", "test"): [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ("cifar10", "train"): [5000] * 10,
    ("cifar10", "test"): [1000] * 10,
}
PIXEL_MEANS = {"mnist": [0.1307], "cifar10": [0.4914, 0.4822, 0.4465]}  # of the train split, in circulation everywhere


@pytest.mark.parametrize(("name", "split"), CLASS_COUNTS)
def test_the_real_data(monkeypatch, name, split):
    if not datasets.available(REAL)[name]:
        pytest.skip(f"{name} is not in {REAL}: set NCSN_EDU_DATA to a folder that has it")
    n = sum(CLASS_COUNTS[name, split])
    change(monkeypatch, name, n_images={split: n})
    images, labels = datasets.load(name, split=split, root=REAL, download=False)
    assert images.shape == (n, *((1, 28, 28) if name == "mnist" else (3, 32, 32))) and images.is_contiguous()
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert labels.bincount().tolist() == CLASS_COUNTS[name, split]
    if split == "train":
        means = [images[:, c].float().mean().item() / 255 for c in range(images.shape[1])]
        assert means == pytest.approx(PIXEL_MEANS[name], abs=6e-5)


def test_the_names_of_the_classes_are_those_that_come_with_the_files():
    published = REAL / "cifar-10-batches-bin" / "batches.meta.txt"
    if not published.is_file():
        pytest.skip(f"{published} is not there: set NCSN_EDU_DATA to a folder that has it")
    assert tuple(published.read_text().split()) == OFFICIAL["cifar10"].classes


FIRST_LABELS = {  # of the files as published
    "mnist": ([5, 0, 4, 1, 9, 2, 1, 3, 1, 4], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
    "cifar10": ([6, 9, 9, 4, 1, 1, 2, 7, 8, 3], [3, 8, 8, 0, 6, 8, 1, 6, 3, 1]),
}


@pytest.mark.parametrize("name", FIRST_LABELS)
def test_the_real_data_are_as_published_if_they_start_so(monkeypatch, name):
    """The same images in another order, as other collections hand them out, are a good data set and another file."""
    if not datasets.available(REAL)[name]:
        pytest.skip(f"{name} is not in {REAL}: set NCSN_EDU_DATA to a folder that has it")
    change(monkeypatch, name, n_images=OFFICIAL[name].n_images)
    found = [
        datasets.load(name, split=split, root=REAL, download=False)[1][:10].tolist() for split in ("train", "test")
    ]
    report = datasets.verify(name, REAL)
    assert len(report) == len(md5_of_contents(name))
    assert (set(report.values()) == {""}) == (found == list(FIRST_LABELS[name])), report


@pytest.mark.parametrize("stop", [0, 1, 3, 7])
def test_batches_stop_and_go_on_exactly(stop):
    images = torch.randint(0, 256, (10, 1, 4, 4), dtype=torch.uint8)

    def start(seed):
        return datasets.batches(images, 4, flip=True, generator=torch.Generator().manual_seed(seed), n_batches=12)

    whole, stopped, other = list(start(0)), start(0), start(1)
    for _ in range(stop):
        next(stopped)
    state = stopped.state_dict()
    next(stopped)  # what is drawn after the state was taken changes nothing in it
    next(other)
    other.load_state_dict(state)
    assert all(torch.equal(x, y) for x, y in zip(other, whole[stop:], strict=True))


def test_batches_that_cannot_go_on_say_so():
    images = torch.zeros(10, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="give batches"):
        datasets.batches(images, 2).state_dict()
    many = datasets.batches(images.repeat(3, 1, 1, 1), 2, generator=torch.Generator())
    next(many)
    with pytest.raises(ValueError, match="use the same data"):
        datasets.batches(images, 2, generator=torch.Generator()).load_state_dict(many.state_dict())
    with pytest.raises(ValueError, match="give batches"):
        datasets.batches(images, 2).load_state_dict(many.state_dict())
