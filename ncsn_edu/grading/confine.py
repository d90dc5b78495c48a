"""Run one command within limits of memory, disk, processes, files and network, and leave nothing of it behind.

    python confine.py LIMITS.json COMMAND...

A watcher starts the command in its own folder, looks after it ten times a second, kills all of it when it takes more
than it may, when it ends, or when whoever started the watcher is gone, and then writes why into a file that the
command cannot reach. Whoever is gone cannot clean up either: then the watcher deletes the folder. On SIGUSR1 it
interrupts the command and all that this has started. It needs no privileges. What the command sees and reaches is
bubblewrap's part, which is in the command, or else that of barrier.py.
This file is run as a script, for it must start at once. It does NOT import the package, or anything but psutil.
"""

import contextlib
import ctypes
import json
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .barrier import drop_privileges, landlock
    from .cleanup import remove, size
else:  # a script finds what lies beside it by its bare name
    from barrier import drop_privileges, landlock
    from cleanup import remove, size

LOOK_EVERY = 0.1  # seconds
SHARED_MEMORY = "/dev/shm"


def start(command: list[str], limits: dict[str, Any]) -> int:
    """The process id of the command, started within the limits that the system itself keeps."""
    child = os.fork()
    if child:
        return child
    try:
        import resource

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # no terminal; and Linux shares the processors out by sessions: many processes get no more than one
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: nobody would watch it
        os.chdir(limits["folder"])
        os.umask(0o077)
        memory, file_size = int(limits["memory"]), int(limits["disk"])
        for name, most in (("RLIMIT_DATA", memory), ("RLIMIT_FSIZE", file_size), ("RLIMIT_CORE", 0)):
            with contextlib.suppress(ValueError, OSError):  # not all of them are on every system
                resource.setrlimit(getattr(resource, name), (most, most))
        if limits["visible"] is not None:
            landlock(**limits["visible"])
            drop_privileges()
        os.execv(command[0], command)
    except BaseException as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(127)


def excess(limits: dict[str, Any], tree: list[Any], look: int, shared: set[str]) -> str | None:
    """What the processes take too much of, if anything. Adds to shared the files of theirs in shared memory."""
    import psutil

    if len(tree) > limits["processes"]:
        return "processes"
    memory = 0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
    if memory > limits["memory"]:
        return "memory"
    nameless = _open_files(tree, shared, limits["place"])
    if nameless > limits["disk"] or (
        look % 5 == 0 and nameless + size(limits["place"], limits["disk"]) > limits["disk"]
    ):
        return "disk"
    return None


def _open_files(tree: list[Any], shared: set[str], place: str) -> int:
    """Bytes in files that are open, and in no folder that is looked at: those deleted, and those in shared memory."""
    if sys.platform != "linux":
        return 0
    memory = os.stat(SHARED_MEMORY).st_dev if os.path.isdir(SHARED_MEMORY) else None
    if memory == os.stat(place).st_dev:  # looked at already
        memory = None
    found: dict[tuple[int, int], int] = {}
    for process in tree:
        folder = f"/proc/{process.pid}/fd"
        with contextlib.suppress(OSError):
            for number in os.listdir(folder):
                with contextlib.suppress(OSError):
                    about = os.stat(f"{folder}/{number}")
                    if stat.S_ISREG(about.st_mode) and (about.st_nlink == 0 or about.st_dev == memory):
                        found[about.st_dev, about.st_ino] = about.st_blocks * 512
                        name = os.readlink(f"{folder}/{number}")
                        if about.st_nlink and name.startswith(SHARED_MEMORY + "/"):
                            shared.add(name)
    return sum(found.values())


def interrupt() -> None:
    """Ask all processes below this one to stop what they do; not bubblewrap, which would end."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not _is_bubblewrap(process):
                process.send_signal(signal.SIGINT)


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


def watch(child: int, limits: dict[str, Any], parent: int, shared: set[str]) -> str:
    """Wait for the command's end, of its own or for a reason, which is returned."""
    import psutil

    me, look = psutil.Process(), 0
    while True:
        done, status = os.waitpid(-1, os.WNOHANG)
        if done == child:
            code = os.waitstatus_to_exitcode(status)
            ended_by = -code if code < 0 else code - 128 if limits["visible"] is None else 0  # bubblewrap says 128 + n
            return f"signal {ended_by}" if ended_by > 0 else f"exit {code}"
        if os.getppid() != parent:
            return "abandoned"
        if not done:
            tree = [process for process in me.children(recursive=True) if not _is_bubblewrap(process)]
            if reason := excess(limits, tree, look, shared):
                return reason
            look += 1
            time.sleep(LOOK_EVERY)


def _is_bubblewrap(process: Any) -> bool:
    import psutil

    try:
        return bool(process.name() == "bwrap")
    except psutil.Error:
        return False


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
    signal.signal(signal.SIGUSR1, lambda number, frame: interrupt())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans below come here
    reason, shared = "stopped", set[str]()
    try:
        reason = watch(start(sys.argv[2:], limits), limits, parent, shared)
    except _Stopped:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        kill_all()
        for name in shared:
            with contextlib.suppress(OSError):
                os.unlink(name)
        Path(limits["reason"]).write_text(reason)
        if os.getppid() != parent:
            remove(limits["place"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
