"""What a submission sees of this machine: which folders, which environment, and what keeps it to them.

`protection` says by what. This file does NOT start or watch a process: execute.py and confine.py do.
"""

import functools
import importlib.machinery
import os
import shutil
import site
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import barrier

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/sys"),
    *("/nix/store", "/gnu/store", "/run/current-system", "/run/opengl-driver"),
)
READ_DEVICES, WRITE_DEVICES = ("/dev/random", "/dev/urandom"), ("/dev/null", "/dev/zero", "/dev/full")
OF_PREFIX = ("bin", "lib", "lib32", "lib64", "libexec", "include", "share", "etc", "ssl", "Frameworks", "pyvenv.cfg")
# Of the teacher's environment nothing else reaches a submission: there are tokens, passwords and sockets in it.
KEPT = (
    *("PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "CONDA_PREFIX", "VIRTUAL_ENV"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_DUPLICATE_LIB_OK", "NCSN_EDU_GRADING_SEED"),
)
# bubblewrap's options
APART = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--cap-drop", "ALL"),
    *("--die-with-parent", "--proc", "/proc", "--dev", "/dev"),
)
LONGEST = 70  # characters of the folder for temporary files: the name of a socket has about a hundred
PREFIX = "ncsn-grade-"


def new_place() -> Path:
    """A new folder of this user alone. Raises OSError where no folder for temporary files can be used.

    It is in TMPDIR, unless its name is too long for sockets there or no program can be started from it.
    """
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    parents = [parent for parent in (*named, "/tmp", "/var/tmp", os.path.expanduser("~")) if parent]
    parents = list(dict.fromkeys(os.path.realpath(parent) for parent in parents if os.path.isabs(parent)))
    usable = [parent for parent in parents if len(os.fsencode(parent)) <= LONGEST and os.path.isdir(parent)]
    for parent in sorted(usable, key=_forbids_programs):
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError:
            continue
    raise OSError(
        f"no folder for temporary files can be used ({', '.join(parents)}):"
        f" set TMPDIR to one that can be written to and whose name has at most {LONGEST} characters"
    )


def _forbids_programs(folder: str) -> bool:
    return hasattr(os, "ST_NOEXEC") and bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


# ---- Python and its libraries -----------------------------------------------------------------------------------


@dataclass
class Libraries:
    """Where the Python of a submission finds modules. Each of folders holds links, for what lies beside is not to be
    seen; before and after are put in front of, and behind, its other places."""

    readable: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def libraries(package: Path, links: Path) -> Libraries:
    """What this Python can import, with the package itself. links: an existing empty folder, which is filled."""
    sites = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    found = Libraries([str(package), str(links), *_prefixes(), *sites, *_linked_to(sites), *_editable()])
    (links / "own").mkdir()
    (links / "own" / package.name).symlink_to(package, target_is_directory=True)
    found.before.append(str(links / "own"))
    given = [(entry, found.before) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    for number, (entry, where) in enumerate([*given, *((entry, found.after) for entry in _pth_entries(sites))]):
        if os.path.isfile(entry):  # an archive
            found.readable.append(os.path.realpath(entry))
            where.append(os.path.realpath(entry))
        elif entry and os.path.isdir(entry) and not os.path.samefile(entry, package.parent):
            if any(name.endswith(".dist-info") for name in os.listdir(entry)):  # pip installed into it
                found.readable.append(os.path.realpath(entry))
                where.append(os.path.realpath(entry))
                continue
            folder = links / f"{number}"
            folder.mkdir()
            for path in _importable(Path(entry)):
                (folder / path.name).symlink_to(path.resolve())
                found.readable.append(str(path.resolve()))
            where.append(str(folder))
    return found


def _prefixes() -> list[str]:
    """The folders of Python's own files, by every name that they are reached by."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, os.environ.get("PYTHONHOME", "")}
    program = os.path.abspath(sys.executable)
    for _ in range(40):  # as many links as Linux follows
        prefixes.add(os.path.dirname(os.path.dirname(program)))
        if not os.path.islink(program):
            break
        program = os.path.normpath(os.path.join(os.path.dirname(program), os.readlink(program)))
    found = []
    for prefix in prefixes | {os.path.realpath(prefix) for prefix in prefixes if prefix}:
        conda = os.path.isdir(os.path.join(prefix, "conda-meta"))
        found += [prefix] if conda else [os.path.join(prefix, part) for part in OF_PREFIX if prefix]
    return found


def _pth_entries(sites: list[str]) -> list[str]:
    """Folders that .pth files of the site-packages add, outside of them."""
    found = []
    for folder in map(Path, sites):
        for file in sorted(folder.glob("*.pth")):
            for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                entry = os.path.join(folder, line.strip())
                usual = line.strip() and not line.startswith(("#", "import ", "import\t"))
                if usual and os.path.exists(entry) and not Path(entry).resolve().is_relative_to(folder.resolve()):
                    found.append(entry)
    return found


def _importable(folder: Path) -> list[Path]:
    """Modules, packages and what belongs to them."""
    entries = sorted(path for path in folder.iterdir() if path.name != "ncsn_edu")
    kinds = (*importlib.machinery.all_suffixes(), ".egg-info", ".libs")
    return [path for path in entries if path.name.endswith(kinds) or (path / "__init__.py").is_file()]


def _editable() -> list[str]:
    """Packages elsewhere that are found by setuptools' finders."""
    found = []
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            for path in getattr(module, "MAPPING", {}).values():
                found += [path, *(path + suffix for suffix in importlib.machinery.all_suffixes())]
    return found


def _linked_to(sites: list[str]) -> list[str]:
    """Where packages are that are links, or hold links in place of files, as uv can make them."""
    found = set()
    for folder in sites:
        for path in Path(folder).iterdir() if os.path.isdir(folder) else ():
            if path.is_symlink():
                found.add(os.path.realpath(path))
            elif (path / "__init__.py").is_symlink():
                found.add(str((path / "__init__.py").resolve().parents[1]))
    return sorted(found)


def _library_folders() -> list[str]:
    """Where the system's linker looks, outside of the system's folders."""
    found = [entry for entry in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if os.path.isabs(entry)]
    for file in [Path("/etc/ld.so.conf"), *Path("/etc/ld.so.conf.d").glob("*.conf")]:
        if file.is_file() and os.access(file, os.R_OK):
            found += [line for line in map(str.strip, file.read_text(errors="replace").splitlines()) if line[:1] == "/"]
    home = os.path.realpath(os.path.expanduser("~"))
    return [entry for entry in found if not Path(home).is_relative_to(os.path.realpath(entry))]


def environment(place: Path, before: list[str]) -> dict[str, str]:
    """Nobody's settings and no secrets; caches in the folder w of the place, IPython's and Jupyter's files in h."""
    kept = {key: value for key, value in os.environ.items() if key in KEPT}
    home, own = place / "w", place / "h"
    in_home = ("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME")
    user_site = site.ENABLE_USER_SITE and site.USER_BASE
    return kept | {
        **{name: str(home) for name in in_home},
        **{name: str(own) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")},
        **({"PYTHONUSERBASE": str(site.USER_BASE)} if user_site else {"PYTHONNOUSERSITE": "1"}),
        "TMPDIR": "/tmp" if bubblewrap() else str(place / "t"),  # short: in it are sockets
        "PYTHONPATH": os.pathsep.join(before),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "USER": "learner",
        "LOGNAME": "learner",
        "NCSN_EDU_PROGRESS": "0",
        "NCSN_EDU_DATA": os.devnull,
        # Threads that wait must not spin: beside another busy process two of them would take ten times as long as one.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PIP_RETRIES": "0",  # many a notebook begins with !pip install; there is no network
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # otherwise torch.compile starts a process for each processor
    }


# ---- what keeps it to them --------------------------------------------------------------------------------------


def wrapped(command: list[str], readable: list[str], place: Path) -> list[str]:
    """The command within bubblewrap, where `bubblewrap` has found one: it sees nothing but what is readable and the
    folders w and h of the place, has /tmp and /dev/shm of its own (t and s there), and no network."""
    program = bubblewrap()
    assert program is not None
    own = {"/tmp": "t", "/var/tmp": "t", "/dev/shm": "s"}
    mounts = [part for at, name in own.items() for part in ("--bind", str(place / name), at)]
    mounts += _read_only([*SYSTEM, *readable, *_library_folders()])
    mounts += [part for name in "wh" for part in ("--bind", str(place / name), str(place / name))]
    mounts += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(place / "w")]
    return [program, *APART, *mounts, "--", *command]


def _read_only(paths: list[str]) -> list[str]:
    """Each path as it is here; what lies in another of them is there already."""
    found: list[str] = []
    whole: set[str] = set()
    for path in sorted({os.path.abspath(path) for path in paths if os.path.lexists(path)}):
        if any(str(parent) in whole for parent in Path(path).parents):
            continue
        if os.path.islink(path) and path in SYSTEM:  # such as /bin
            found += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            found += ["--ro-bind", path, path]
        whole.add(path)
    return found


@functools.cache
def bubblewrap() -> str | None:
    """The program, if there is one that can start this Python here."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        return None
    python = [sys.executable, "-S", "-c", "import json"]
    command = [program, *APART, *_read_only([*SYSTEM, *_prefixes()]), "--remount-ro", "/", "--", *python]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None


def visible(readable: list[str], place: Path) -> dict[str, list[str]]:
    """What Landlock is to allow where there is no bubblewrap: the arguments of `barrier.landlock`."""
    return {
        "readable": [*SYSTEM, "/proc", *READ_DEVICES, *readable, *_library_folders()],
        "writable": [str(place / "w"), str(place / "h"), str(place / "t")],
        "devices": list(WRITE_DEVICES),
        "shared": ["/dev/shm"],
    }


@dataclass(frozen=True)
class Protection:
    """By what submissions are confined here, what that leaves open, and what to do about it ("" where nothing is)."""

    by: str
    open: str = ""
    advice: str = ""

    def __str__(self) -> str:
        return f"Submissions are confined by {self.by}." + "".join(
            f" {part[0].upper()}{part[1:]}." for part in (self.open, self.advice) if part
        )


def protection() -> Protection:
    """What this machine has to confine a submission with, besides limits of time, memory and disk."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    as_user = "run grade as a user without rights" if root else ""
    reached = "files that only root may read, such as /etc/shadow" if root else ""
    if bubblewrap():
        by = "bubblewrap" + (", seccomp" if barrier.has_seccomp() else "")
        return Protection(by, reached and f"within reach are {reached}", as_user)
    version, install = barrier.landlock_version(), "install bubblewrap (such as apt-get install bubblewrap)"
    if shutil.which("bwrap"):
        install = "bubblewrap is installed, but this system does not let it make namespaces"
    advice = "; ".join(filter(None, [install, as_user]))
    if not version:
        linux = sys.platform == "linux"
        everything = "a submission can do all that you can: read and change your files, use the network"
        return Protection("nothing but the limits", everything, advice if linux else "use a container, or Linux")
    holes = ["files in /dev/shm whose names are known"]
    if not barrier.has_seccomp():
        holes += ["modes and times of your files", "unix sockets"]
        holes += [] if version >= 4 else ["the network"]
    holes += [] if version >= 6 else ["signals to your other processes"]
    by = f"Landlock {version}" + (", seccomp" if barrier.has_seccomp() else "")
    return Protection(by, "within reach are " + ", ".join(filter(None, [*holes, reached])), advice)
