"""Run one command within limits of memory, disk, processes, files and network, and leave nothing of it behind.

    python confine.py LIMITS.json COMMAND...

A watcher starts the command in its own folder, looks after it ten times a second, kills all of it when it takes more
than it may, when it ends, or when whoever started the watcher is gone, and then writes why into a file that the
command cannot reach. On Linux the kernel's Landlock keeps the command from writing outside its folder, from reading
what is not Python, its libraries or that folder, from TCP, and from signals to others. It needs no privileges.
This file is run as a script, for it must start at once. It does NOT import the package, or anything but psutil.
"""

import contextlib
import ctypes
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOOK_EVERY = 0.1  # seconds
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/opt", "/run")
# linux/landlock.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
FOR_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # what a rule for a single file may hold
ALL_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 1 << 0 | 1 << 1  # bind and connect, since version 4
SIGNALS_AND_SOCKETS = 1 << 0 | 1 << 1  # to processes outside, since version 6


def landlock_version() -> int:
    """Of this kernel; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def landlock(readable: Iterable[str], writable: Iterable[str]) -> None:
    """From here on this process and its children reach only these files and folders. Nothing where there is none.

    Raises OSError where the kernel has Landlock and refuses.
    """
    version = landlock_version()
    if not version:
        return
    system = ctypes.CDLL(None, use_errno=True)
    everything = ALL_OF_VERSION[min(version, 5)]
    attributes = struct.pack("=QQQ", everything, TCP if version >= 4 else 0, SIGNALS_AND_SOCKETS if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24

    def checked(result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
        return result

    rules = checked(system.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    for paths, access in ((readable, READ), (writable, everything)):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                allowed = access & everything if os.path.isdir(path) else access & everything & FOR_FILES
                checked(system.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", allowed, place), 0))
                os.close(place)
    checked(system.prctl(38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
    checked(system.syscall(RESTRICT_SELF, rules, 0))
    os.close(rules)


def start(command: list[str], limits: dict[str, Any]) -> int:
    """The process id of the command, started within the limits that the system itself keeps."""
    child = os.fork()
    if child:
        return child
    try:
        import resource

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(limits["folder"])
        memory, file_size = int(limits["memory"]), int(limits["disk"])
        for name, most in (("RLIMIT_DATA", memory), ("RLIMIT_FSIZE", file_size), ("RLIMIT_CORE", 0)):
            with contextlib.suppress(ValueError, OSError):  # not all of them are on every system
                resource.setrlimit(getattr(resource, name), (most, most))
        packages = [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
        own = {sys.prefix, sys.base_prefix, *packages, *limits["readable"]}
        landlock([*SYSTEM, *own], [limits["folder"], os.devnull])
        os.execv(command[0], command)
    except BaseException as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(127)


def excess(limits: dict[str, Any], tree: list[Any], look: int) -> str | None:
    """What the processes take too much of, if anything."""
    import psutil

    if len(tree) > limits["processes"]:
        return "processes"
    memory = 0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
    if memory > limits["memory"]:
        return "memory"
    if look % 5 == 0 and _size(limits["folder"], limits["disk"]) > limits["disk"]:
        return "disk"
    return None


def _size(folder: str, enough: int) -> int:
    """Bytes in all files below; stops counting at enough."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            if total > enough:
                return total
    return total


def kill_all() -> None:
    """Every process below this one, also those that were started to outlive their parents."""
    import psutil

    me = psutil.Process()
    while tree := me.children(recursive=True):
        for how in (signal.SIGSTOP, signal.SIGKILL):  # first none of them may start more
            for process in tree:
                with contextlib.suppress(psutil.Error, OSError):
                    process.send_signal(how)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def watch(child: int, limits: dict[str, Any], parent: int) -> str:
    """Wait for the command's end, of its own or for a reason, which is returned."""
    import psutil

    me, look = psutil.Process(), 0
    while True:
        done, status = os.waitpid(-1, os.WNOHANG)
        if done == child:
            signalled = os.WIFSIGNALED(status)
            return f"signal {os.WTERMSIG(status)}" if signalled else f"exit {os.WEXITSTATUS(status)}"
        if os.getppid() != parent:
            return "abandoned"
        if not done:
            if reason := excess(limits, me.children(recursive=True), look):
                return reason
            look += 1
            time.sleep(LOOK_EVERY)


class _Stopped(Exception):
    """Whoever started the watcher has asked it to end."""


def main() -> int:
    """Run, watch, kill what is left, say why it ended."""
    limits = json.loads(Path(sys.argv[1]).read_text())
    parent = os.getppid()

    def stop(number: int, frame: object) -> None:
        raise _Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is for the command, which is in the same group
    signal.signal(signal.SIGTERM, stop)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans below come here
    reason = "stopped"
    try:
        reason = watch(start(sys.argv[2:], limits), limits, parent)
    except _Stopped:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        kill_all()
        Path(limits["reason"]).write_text(reason)
    return 0


if __name__ == "__main__":
    sys.exit(main())
