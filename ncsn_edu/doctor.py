"""What this machine has, what is missing, and how to fix it. Imports nothing that may be missing; never raises."""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from . import datasets, devices, figures
from .files import why

DISTRIBUTION = "ncsn_edu"
SMALL_DISK = 1e9  # bytes: less cannot hold a data set, nor the figures of a long evening


@dataclass(frozen=True)
class Check:
    """One finding. "optional": it is not there, and everything required runs without; "missing": fix it first."""

    name: str
    status: Literal["ok", "optional", "missing"]
    detail: str
    fix: str = ""


def checks() -> list[Check]:
    """Look at Python, packages, extras, kernel, GPU, processor, data, disk, figures folder, browser, grading."""
    found: list[Check] = []
    for look in (_python, _packages, _extras, _kernel, _gpu, _machine, _data, _disk, _figures, _browser, _grading):
        found += _safely(look)
    return found


def missing() -> list[str]:
    """The names of the required things that are missing; empty on a healthy machine."""
    return [check.name for check in checks() if check.status == "missing"]


def _safely(look: Callable[[], Iterator[Check]]) -> list[Check]:
    name = look.__name__.strip("_")
    try:
        return list(look())
    except Exception as error:  # a broken installation can fail in any way, and is what a doctor is for
        if isinstance(error, (RuntimeError, ValueError)) and "home" in str(error):  # Jupyter's settings lie there
            return [Check(name, "missing", f"there is no home folder ({error})", "set HOME to a folder of your own")]
        if isinstance(error, OSError) and error.filename:
            fix = "correct its permissions, or set NCSN_EDU_DATA or NCSN_EDU_FIGURES_DIR to another folder"
            return [Check(name, "missing", f"{error.filename} cannot be looked at: {error.strerror}", fix)]
        detail = f"could not be looked at: {type(error).__name__}: {error}"
        return [Check(name, "missing", detail, "reinstall: " + _install())]


# --- what the package declares


def _declared() -> tuple[str, list[str], dict[str, list[str]]]:
    """Python's range, requirements, and the requirements of each extra: from pyproject.toml, else as installed."""
    root = figures.source_checkout()
    if root is not None and sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return (
            project.get("requires-python", ""),
            project.get("dependencies", []),
            project.get("optional-dependencies", {}),
        )
    about = metadata.metadata(DISTRIBUTION)
    required: list[str] = []
    extras: dict[str, list[str]] = {name: [] for name in about.get_all("Provides-Extra") or []}
    for line in metadata.requires(DISTRIBUTION) or []:
        extra = re.search(r"""extra\s*==\s*["']([\w.-]+)["']""", line)
        (extras.setdefault(extra[1], []) if extra else required).append(line)
    return (about.get_all("Requires-Python") or [""])[0], required, extras


def _split(requirement: str) -> tuple[str, str, str]:
    """(name, constraint, marker) of, say, torch[opt]>=2.6; python_version > '3'."""
    text, _, marker = requirement.partition(";")
    parts = re.fullmatch(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*\(?([^()]*)\)?\s*", text)
    if parts is None:
        raise ValueError(f"the requirement {requirement!r} cannot be read")
    return parts[1], parts[2].strip(), marker.strip()


def _here(requirements: list[str]) -> list[tuple[str, str]]:
    """(name, constraint) of the requirements that hold for this machine and Python."""
    return [(name, constraint) for name, constraint, marker in map(_split, requirements) if _applies(marker)]


def _problem(name: str, constraint: str) -> str:
    """Why a requirement is not met; "" where it is."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
    return "" if _within(version, constraint) else f"{version} is installed, {constraint} is needed"


def _applies(marker: str) -> bool:
    try:
        from packaging.markers import Marker
    except ImportError:
        return not marker or "extra" in marker
    extra = re.search(r"""extra\s*==\s*["']([\w.-]+)["']""", marker)
    return not marker or Marker(marker).evaluate({"extra": extra[1] if extra else ""})


def _within(version: str, constraint: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # then the lower bound has to do
        bound = re.search(r">=\s*([\d.]+)", constraint)
        return bound is None or _numbers(version) >= _numbers(bound[1])
    return SpecifierSet(constraint).contains(version, prereleases=True)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.split(r"[^\d.]", version)[0].split(".") if part]


def _install(extra: str = "") -> str:
    """The command that installs the package here."""
    root = figures.source_checkout()
    wanted = f"[{extra}]" if extra else ""
    if root is None:
        return f"{_python_name()} -m pip install '{DISTRIBUTION}{wanted}'"
    constraints = "-c constraints.txt " if (root / "constraints.txt").is_file() else ""
    return f"cd {shlex.quote(str(root))} && {_python_name()} -m pip install {constraints}-e '.{wanted}'"


def _python_name() -> str:
    return sys.executable or "python"


# --- the looks


def _python() -> Iterator[Check]:
    version, needed = ".".join(map(str, sys.version_info[:3])), _declared()[0]
    good = _within(version, needed)
    fix = f"make a virtual environment with a Python {needed}, and install the package there"
    yield Check("python", "ok" if good else "missing", f"{version} ({needed or 'any'} is needed)", "" if good else fix)


def _packages() -> Iterator[Check]:
    for name, constraint in _here(_declared()[1]):
        problem = _problem(name, constraint)
        yield Check(name, "missing", problem, _install()) if problem else Check(name, "ok", metadata.version(name))


def _extras() -> Iterator[Check]:
    for extra, requirements in sorted(_declared()[2].items()):
        wanted = [(name, constraint) for name, constraint in _here(requirements) if name != DISTRIBUTION]
        absent = [name for name, constraint in wanted if _problem(name, constraint)]
        detail = f"missing or too old: {', '.join(absent)}" if absent else f"complete ({len(wanted)})"
        yield Check(f"extra: {extra}", "optional" if absent else "ok", detail, _install(extra) if absent else "")


def _kernel() -> Iterator[Check]:
    if find_spec("ipykernel") is None or find_spec("jupyter_client") is None:
        yield Check("jupyter kernel", "missing", "ipykernel is not installed", _install())
        return
    from jupyter_client.kernelspec import KernelSpecManager

    command = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    if command.is_absolute() and command.parent.resolve() != Path(sys.executable).parent.resolve():
        fix = f"{_python_name()} -m ipykernel install --sys-prefix"
        yield Check("jupyter kernel", "optional", f"the kernel python3 is another Python, {command}", fix)
    else:
        yield Check("jupyter kernel", "ok", "python3")


def _gpu() -> Iterator[Check]:
    without = "none: everything here runs without one; training at the paper's scale wants one"
    try:
        cpu_only = metadata.version("torch").endswith("+cpu")  # so that torch need not be imported, for seconds
    except metadata.PackageNotFoundError:
        yield Check("gpu", "optional", "not looked for, as torch is not installed", _install())
        return
    if cpu_only:
        card = shutil.which("nvidia-smi") is not None
        fix = "install the build of torch for your CUDA version, to use the NVIDIA card" if card else ""
        yield Check("gpu", "optional", without + " (this torch is the build for processors)", fix)
        return
    import torch

    there, problem = devices.cuda_available()
    if there:
        for i in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(i)
            name = f"cuda:{i} {about.name}, {about.total_memory / 2**30:.0f} GiB"
            yield _tried(f"cuda:{i}", name)
    elif torch.backends.mps.is_available():
        yield _tried("mps", "mps (Apple), with --device mps")
    else:
        yield Check("gpu", "optional", problem.what or without, problem.repair)


def _tried(device: str, name: str) -> Check:
    """A GPU that PyTorch sees works if a kernel on it does."""
    what, repair = devices.kernel_problem(device)
    return Check("gpu", "optional", f"{name}: {what}", repair) if what else Check("gpu", "ok", name)


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail = f"{cores} core" + ("s" if cores != 1 else "")
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        detail += f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB of memory"
    yield Check("processor", "ok", detail)


def _data() -> Iterator[Check]:
    root = datasets.data_root()
    for name, there in datasets.available(root).items():
        files = datasets.DATASETS[name].official_files
        if not files:  # digits come with scikit-learn, which is looked at as a package
            continue
        fix = f"put the official files there ({files[0]}, ...), or set NCSN_EDU_DATA to the folder that has them"
        where = f"in {root}" if there else f"not in {root} (optional: the notebooks run on digits and 2-D data)"
        yield Check(f"data: {name}", "ok" if there else "optional", where, "" if there else fix)


def _disk() -> Iterator[Check]:
    for name, variable, folder in (
        ("data", "NCSN_EDU_DATA", datasets.data_root()),
        ("figures", "NCSN_EDU_FIGURES_DIR", figures.figures_folder()),
    ):
        free = shutil.disk_usage(_existing(folder)).free
        fix = f"free some space, or set {variable} to a folder on another disk"
        good = free >= SMALL_DISK
        detail = f"{free / 1e9:.1f} GB free for {folder}"
        yield Check(f"disk: {name}", "ok" if good else "missing", detail, "" if good else fix)


def _figures() -> Iterator[Check]:
    folder = figures.figures_folder()
    try:
        with tempfile.TemporaryFile(dir=folder if folder.exists() else _existing(folder)):
            yield Check("figures folder", "ok", f"{folder} can be written")
    except OSError as error:
        fix = "set NCSN_EDU_FIGURES_DIR to a folder that can be written, or fix its permissions"
        yield Check("figures folder", "missing", f"{folder} cannot be written: {why(error)}", fix)


def _browser() -> Iterator[Check]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path:
        yield Check("chromium", "ok", path)
    else:
        fix = "install chromium with the system's package manager, such as apt-get install chromium"
        yield Check("chromium", "optional", "not found: only the browser tests need it", fix)


def _grading() -> Iterator[Check]:
    if find_spec("nbgrader") is not None:
        from .grading.sandbox import protection

        found = protection()
        detail = f"submissions are confined by {found.by}" + (f": {found.open}" if found.open else "")
        yield Check("grading", "optional" if found.advice else "ok", detail, found.advice)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
