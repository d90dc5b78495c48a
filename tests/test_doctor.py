import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from ncsn_edu import datasets, devices, doctor, figures


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A source folder whose pyproject.toml the test writes; everything is written below tmp_path."""
    monkeypatch.setattr(figures, "source_checkout", lambda: tmp_path)
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(tmp_path / "figures"))
    monkeypatch.setenv("NCSN_EDU_DATA", str(tmp_path / "data"))

    def declare(*requirements, python=">=3.10", extra=()):
        lines = [
            "[project]",
            f'requires-python = "{python}"',
            f"dependencies = {json.dumps(requirements)}",
            "[project.optional-dependencies]",
            f"dev = {json.dumps(extra)}",
        ]
        (tmp_path / "pyproject.toml").write_text("\n".join(lines))

    declare("pytest>=8")
    return declare


def found(name):
    (check,) = [check for check in doctor.checks() if check.name == name]
    return check


needs_tomllib = pytest.mark.skipif(sys.version_info < (3, 11), reason="pyproject.toml is read by tomllib")


def test_every_required_package_is_looked_at():
    names = {check.name: check for check in doctor.checks()}
    for name in ("python", "torch", "numpy", "matplotlib", "jupyterlab", "gpu", "jupyter kernel", "figures folder"):
        assert name in names
    assert names["numpy"].detail == metadata.version("numpy")
    assert all(check.fix for check in names.values() if check.status == "missing")


@needs_tomllib
def test_a_healthy_machine_misses_nothing(checkout):
    assert doctor.missing() == []
    assert found("pytest") == doctor.Check("pytest", "ok", metadata.version("pytest"))


@needs_tomllib
@pytest.mark.parametrize("with_packaging", [True, False])
def test_missing_and_old_packages(checkout, monkeypatch, tmp_path, with_packaging):
    if not with_packaging:
        for name in ("packaging", "packaging.markers", "packaging.specifiers"):
            monkeypatch.setitem(sys.modules, name, None)
    checkout("no-such-package>=1", "pytest>=999", "numpy[extra]>=1.2")
    (tmp_path / "constraints.txt").touch()
    assert doctor.missing() == ["no-such-package", "pytest"]
    assert found("no-such-package").detail == "not installed"
    assert found("pytest").detail == f"{metadata.version('pytest')} is installed, >=999 is needed"
    for name in doctor.missing():
        assert f"cd {tmp_path} && {sys.executable} -m pip install -c constraints.txt -e '.'" in found(name).fix


@needs_tomllib
def test_requirements_of_other_machines_do_not_count(checkout):
    checkout("no-such-package>=1; python_version < '3'", "pytest>=8; python_version > '3'")
    assert doctor.missing() == []
    assert [check.name for check in doctor.checks()][:2] == ["python", "pytest"]


@needs_tomllib
def test_extras_are_optional(checkout):
    checkout("pytest>=8", extra=["no-such-package>=1", "pytest>=8"])
    check = found("extra: dev")
    assert check.status == "optional" and "no-such-package" in check.detail and "pytest" not in check.detail
    assert check.fix.endswith("pip install -e '.[dev]'")
    assert doctor.missing() == []


@needs_tomllib
def test_an_old_python_is_missing(checkout):
    checkout("pytest>=8", python=">=3.99")
    assert doctor.missing() == ["python"] and ">=3.99" in found("python").fix


def test_an_installed_distribution_is_read_where_there_is_no_checkout(monkeypatch):
    monkeypatch.setattr(figures, "source_checkout", lambda: None)
    monkeypatch.setattr(doctor, "DISTRIBUTION", "pytest")
    names = [check.name for check in doctor.checks()]
    assert names[0] == "python" and "pluggy" in names and "extra: dev" in names
    assert found("pluggy").status == "ok"


def test_nothing_declared_is_a_finding_and_no_crash(monkeypatch):
    monkeypatch.setattr(figures, "source_checkout", lambda: None)
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-package")
    assert {"python", "packages", "extras"} <= set(doctor.missing())
    assert "PackageNotFoundError" in found("packages").detail


@pytest.mark.parametrize("look", ["_kernel", "_gpu", "_machine", "_data", "_disk", "_figures", "_browser", "_python"])
def test_never_raises(monkeypatch, look):
    def fail():
        raise RuntimeError("a broken installation")
        yield

    fail.__name__ = look
    monkeypatch.setattr(doctor, look, fail)
    check = found(look.strip("_"))
    assert check.status == "missing" and "a broken installation" in check.detail and check.fix


def test_figures_folder(checkout, monkeypatch, tmp_path):
    assert found("figures folder").status == "ok"
    assert not (tmp_path / "figures").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(tmp_path / "file"))
    check = found("figures folder")
    assert check.status == "missing" and str(tmp_path / "file") in check.detail and "NCSN_EDU_FIGURES_DIR" in check.fix


def test_disk(checkout, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    usage = {str(tmp_path / "data"): 0.9e9, str(tmp_path): 1.1e9}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=usage[str(path)]))
    check = found("disk: data")
    assert check.status == "missing" and "0.9 GB" in check.detail and "NCSN_EDU_DATA" in check.fix
    assert found("disk: figures").status == "ok"  # not made yet: the folder above counts


def test_data_sets_are_optional_and_found_by_their_files(checkout, tmp_path):
    check = found("data: cifar10")
    assert check.status == "optional" and str(tmp_path / "data") in check.detail
    assert "NCSN_EDU_DATA" in check.fix and "data_batch_1.bin" in check.fix
    for file in datasets.DATASETS["cifar10"].official_files:
        (tmp_path / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / file).touch()
    assert found("data: cifar10").status == "ok" and found("data: mnist").status == "optional"
    (tmp_path / "data/cifar-10-batches-bin/data_batch_5.bin").unlink()
    assert datasets.available() == {"digits": True, "mnist": False, "cifar10": False, "celeba": False}


def test_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("NCSN_EDU_DATA", "~/data")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.data_root() == tmp_path / "data"
    monkeypatch.delenv("NCSN_EDU_DATA")
    assert "ncsn_edu" in datasets.data_root().parts
    assert datasets.DATASETS["mnist"].official_files == (
        "mnist/train-images-idx3-ubyte.gz",
        "mnist/train-labels-idx1-ubyte.gz",
        "mnist/t10k-images-idx3-ubyte.gz",
        "mnist/t10k-labels-idx1-ubyte.gz",
    )


def test_browser(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert found("chromium").status == "optional"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert found("chromium").status == "ok"


def test_a_kernel_of_another_python_is_noticed(monkeypatch):
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")
    spec = SimpleNamespace(argv=["/elsewhere/bin/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    check = found("jupyter kernel")
    assert check.status == "optional" and "/elsewhere/bin/python" in check.detail and "ipykernel install" in check.fix
    spec.argv[0] = "python3"  # which a Jupyter server replaces by its own
    assert found("jupyter kernel").status == "ok"


GPU = {
    "2.9+cpu": ("optional", "none"),
    "2.9+cu128 with a card": ("ok", "cuda:0 Card X, 80 GiB"),
    "2.9 on Apple": ("ok", "mps"),
    "2.9": ("optional", "none"),
}


@pytest.mark.parametrize("version", GPU)
def test_gpu(monkeypatch, version):
    properties = SimpleNamespace(name="Card X", total_memory=80 * 2**30)
    torch = SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: "card" in version,
            device_count=lambda: 1,
            get_device_properties=lambda i: properties,
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: "Apple" in version)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(doctor.metadata, "version", lambda name: version.split()[0])
    monkeypatch.setattr(doctor.devices, "kernel_problem", lambda device: devices.Problem())
    (check,) = doctor._gpu()
    status, detail = GPU[version]
    assert check.status == status and check.detail.startswith(detail)


BARE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "numpy", "matplotlib", "scipy", "sklearn", "PIL", "tqdm", "platformdirs",
                                      "packaging", "ipykernel", "jupyter_client"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from importlib import metadata
def nothing(name): raise metadata.PackageNotFoundError(name)
metadata.version = nothing
from ncsn_edu.__main__ import main
sys.exit(main(["doctor"]))
"""


@needs_tomllib
def test_works_where_nothing_is_installed():
    run = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, env=os.environ)
    assert run.returncode == 1 and run.stderr == ""
    assert [line for line in run.stdout.splitlines() if line.split()[:4] == ["torch", "missing", "not", "installed"]]
    assert "pip install" in run.stdout
