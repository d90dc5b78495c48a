"""What the Linux kernel forbids a process and its children from here on: Landlock, seccomp, no privileges.

Where bubblewrap runs, it does most of this better, and only `seccomp` is used besides. Scripts that do NOT import the
package use this file, too: it needs the standard library alone. On other systems nothing here does anything.
"""

import contextlib
import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import TypeAlias

# linux/landlock.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
FOR_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # what a rule for a single file may hold
SHARED = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 14  # files by their names, which cannot be listed
DEVICE = 1 << 1 | 1 << 2
ALL_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 1 << 0 | 1 << 1  # bind and connect, since version 4
SIGNALS_AND_SOCKETS = 1 << 0 | 1 << 1  # to processes outside, since version 6
SET_NO_NEW_PRIVS = 38  # linux/prctl.h

# seccomp.h of libseccomp
ALLOW, ERRNO, MASKED_EQUAL = 0x7FFF0000, 0x00050000, 7
ALL_THREADS = 4  # the attribute SCMP_FLTATR_CTL_TSYNC


def landlock_version() -> int:
    """Of this kernel; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def landlock(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], shared: Iterable[str]) -> None:
    """From here on this process and its children reach only these files and folders. Nothing where there is none.

    In shared folders they can make files, and use those whose names they know. Raises OSError where the kernel has
    Landlock and refuses.
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
    for paths, access in ((readable, READ), (writable, everything), (devices, DEVICE), (shared, SHARED)):
        for path in paths:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                allowed = access & everything if os.path.isdir(path) else access & everything & FOR_FILES
                checked(system.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", allowed, place), 0))
                os.close(place)
    checked(system.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    checked(system.syscall(RESTRICT_SELF, rules, 0))
    os.close(rules)


def drop_privileges() -> None:
    """Root keeps the files that are root's, and no right beyond those of other users."""
    if sys.platform == "linux":
        system = ctypes.CDLL(None, use_errno=True)
        header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)  # linux/capability.h, version 3
        if system.capset(header, nothing) < 0:
            raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")


# ---- system calls -----------------------------------------------------------------------------------------------


class _Argument(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint), ("test", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


# A test of one argument: its place, MASKED_EQUAL, the mask, the value. A rule: a call's name, the error that it gets,
# and perhaps a test of the calls that get it.
Test: TypeAlias = tuple[int, int, int, int]
Rule: TypeAlias = tuple[str, int] | tuple[str, int, Test]

# Landlock knows nothing of modes, times, owners and attributes. That programs such as `cp` change modes and times is
# common: they are told that it was done.
DONE_IN_NAME = ("chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat")
REFUSED = (
    *("chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr"),
    *("shmget", "shmat", "msgget", "semget", "mq_open"),  # memory and messages of the user's other programs
)
ALWAYS_REFUSED = ("add_key", "request_key", "keyctl", "open_by_handle_at", "userfaultfd", "bpf", "perf_event_open")
NEW_NUMBERS = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469}  # for older libseccomps
SET_FLAGS = (0x40086602, 0x40046602, 0x401C5820)  # FS_IOC_SETFLAGS of 64 and 32 bits, FS_IOC_FSSETXATTR


def has_seccomp() -> bool:
    """Is there libseccomp, which `seccomp` needs?"""
    return _library() is not None


def _library() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        return None


def seccomp(*, wrapped: bool) -> bool:
    """Refuse system calls to all threads of this process and all its children; False where there is no libseccomp.

    Inside of bubblewrap only those that reach the kernel's keys and rarely used parts. Otherwise also those that reach
    files outside in spite of Landlock, and sockets of every kind, which may be those of Docker, of the desktop, of an
    SSH agent: pairs of connected ones remain. Raises OSError where the kernel refuses.
    """
    library = _library()
    if library is None:
        return False
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))

    def checked(result: int) -> None:
        if result < 0:
            raise OSError(-result, f"seccomp: {os.strerror(-result)}")

    for name, error, *tests in _forbidden(wrapped):
        number = library.seccomp_syscall_resolve_name(name.encode())
        number = NEW_NUMBERS.get(name, number) if number < 0 else number
        if number >= 0:  # otherwise this architecture has none of this name
            arguments = (_Argument * len(tests))(*(_Argument(*test) for test in tests))
            action = ctypes.c_uint32(ERRNO | error)
            checked(library.seccomp_rule_add_array(context, action, number, len(tests), arguments))
    checked(library.seccomp_attr_set(context, ALL_THREADS, 1))
    checked(library.seccomp_load(context))
    library.seccomp_release(context)
    return True


def _forbidden(wrapped: bool) -> Iterator[Rule]:
    """The rules of `seccomp`."""
    for name in ALWAYS_REFUSED:
        yield name, errno.EPERM
    yield "io_uring_setup", errno.ENOSYS
    if wrapped:
        return
    yield "openat2", errno.ENOSYS
    for name in DONE_IN_NAME:
        yield name, 0
    for name in REFUSED:
        yield name, errno.EPERM
    for request in SET_FLAGS:
        yield "ioctl", errno.EPERM, (1, MASKED_EQUAL, 0xFFFFFFFF, request)
    if landlock_version() < 3:  # which lets files be cut
        yield "truncate", errno.EPERM
        for name, at in (("open", 1), ("openat", 2)):
            yield name, errno.EPERM, (at, MASKED_EQUAL, os.O_TRUNC | os.O_ACCMODE, os.O_TRUNC | os.O_RDONLY)
    yield "socket", errno.EACCES
    for datagrams in (2, 3):  # a pair of these can send elsewhere
        yield "socketpair", errno.EACCES, (1, MASKED_EQUAL, 0xF, datagrams)
