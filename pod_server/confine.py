"""What a worker process may not do: no new file, no socket, no other program, no limitless memory.

Called once by each worker process after its start-up (workers.py, query/worker.py), never by the host.  Engines are
untrusted code on untrusted input; whatever one of them is tricked into, the kernel refuses it here.  Linux only, by
seccomp through the C library that Python already holds; elsewhere nothing holds and :class:`Confinement` says so.
This file must never loosen anything: every call only takes away.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_SET_MODE_FILTER: Final = 1
_SECCOMP_FILTER_FLAG_TSYNC: Final = 1
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM
_UNKNOWN_CALL: Final = 0x00050000 | errno.ENOSYS
_KILL_PROCESS: Final = 0x80000000
_CLONE_THREAD: Final = 0x00010000
_X32_BIT: Final = 0x40000000
_MACHINES: Final = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
"""Machine -> its audit number, and the number of the seccomp call itself."""

# Name: number on x86_64, number on aarch64 (None where it does not exist).
_ALWAYS_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "creat": (85, None),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "truncate": (76, 45),
    "chdir": (80, 49),
    "chroot": (161, 51),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "sethostname": (170, 161),
    "acct": (163, 89),
    "mq_open": (240, 180),
    "shmget": (29, 194),
    "shmat": (30, 196),
}
_REFUSED_TO_A_LEAF: Final[dict[str, tuple[int | None, int | None]]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "setrlimit": (160, 164),
    "prlimit64": (302, 261),
}
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_KILL: Final = (62, 129)
_TGKILL: Final = (234, 131)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What holds for this process: kind is "seccomp" or "none"; reason says why none, else it is empty."""

    kind: str
    reason: str = ""


def die_with(parent: int) -> None:
    """End this process at once when its parent ends; parent: the process id it was started by.

    The kernel's signal comes when the starting *thread* ends, and not at all when the parent was gone before this
    call, hence the second look.  Elsewhere than on Linux the caller's closed pipe has to do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit(*, address_space: int | None = None, cpu_seconds: int | None = None, files: int | None = None) -> None:
    """Lower this process's limits for good: bytes of address space, seconds of CPU, open files; never a core dump.

    None leaves a limit as it is; a limit that is already lower stays.
    """
    _lower(resource.RLIMIT_CORE, 0)
    if address_space is not None and sys.platform == "linux":
        _lower(resource.RLIMIT_AS, address_space)
    if cpu_seconds is not None:
        _lower(resource.RLIMIT_CPU, cpu_seconds)
    if files is not None:
        _lower(resource.RLIMIT_NOFILE, files)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (allowed, allowed))


def address_space_of(statm: int | None) -> int:
    """Bytes of address space in use; statm: ``/proc/self/statm`` opened before confinement, None gives 0."""
    if statm is None:
        return 0
    return int(os.pread(statm, 64, 0).split()[0]) * resource.getpagesize()


def open_statm() -> int | None:
    """A descriptor for :func:`address_space_of`; None where the system has no ``/proc``."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def confine(*, leaf: bool) -> Confinement:
    """Take from this process, all its threads and all its future children what no engine needs, for good.

    Refused with EPERM: opening, creating and renaming files, sockets, other programs, tracing, io_uring, mounts.
    Left: what is open already, memory, threads, clocks, exit.  leaf: it also may not fork, signal any process but
    itself, or change its limits; without leaf it may fork and signal its children.
    """
    if sys.platform != "linux":
        return Confinement("none", f"{platform.system()} has no seccomp")
    machine = platform.machine()
    if machine not in _MACHINES:
        return Confinement("none", f"no table of system calls for {machine}")
    problem = _install(_program(machine, leaf=leaf, pid=os.getpid()), _MACHINES[machine][1])
    if problem:
        return Confinement("none", problem)
    return Confinement("seccomp") if _holds() else Confinement("none", "the filter is in place but a file still opens")


def _holds() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except PermissionError:
        return True
    return False


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _install(program: bytes, seccomp_call: int) -> str:
    """The reason why the kernel did not take the program, empty when it did."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return f"no_new_privs: {os.strerror(ctypes.get_errno())}"
    described = _Program(len(program) // 8, program)
    library.syscall.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(_Program))
    taken = library.syscall(seccomp_call, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, ctypes.byref(described))
    return "" if taken == 0 else f"seccomp: {os.strerror(ctypes.get_errno()) if taken < 0 else 'a thread refused'}"


def _program(machine: str, *, leaf: bool, pid: int) -> bytes:
    """The filter in classic BPF (seccomp(2)): another architecture ends the process, listed calls are refused."""
    column = 0 if machine == "x86_64" else 1
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_IF_EQUAL, _MACHINES[machine][0], 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [_instruction(_IF_AT_LEAST, _X32_BIT, 0, 1), _instruction(_RETURN, _KILL_PROCESS)]
    for number in _numbers(_ALWAYS_REFUSED.values(), column):
        program += _answer(number, _REFUSE)
    if leaf:
        for number in _numbers(_REFUSED_TO_A_LEAF.values(), column):
            program += _answer(number, _REFUSE)
        program += _leaf_conditions(column, pid)
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])


def _leaf_conditions(column: int, pid: int) -> list[bytes]:
    """Signals to itself alone, clone for threads alone; clone3 hides its flags, and libc falls back on ENOSYS."""
    only_itself = (_instruction(_IF_EQUAL, pid, 1, 0), _instruction(_RETURN, _REFUSE))
    only_threads = (_instruction(_IF_ANY_BIT, _CLONE_THREAD, 1, 0), _instruction(_RETURN, _REFUSE))
    return [
        *_answer(_CLONE3[column], _UNKNOWN_CALL),
        *_conditional(_KILL[column], only_itself),
        *_conditional(_TGKILL[column], only_itself),
        *_conditional(_CLONE[column], only_threads),
    ]


def _conditional(number: int, condition: tuple[bytes, bytes]) -> list[bytes]:
    """A look at the low half of the first argument (both machines are little-endian), for one call alone."""
    return [
        _instruction(_IF_EQUAL, number, 0, 4),
        _instruction(_LOAD, _FIRST_ARGUMENT_AT),
        *condition,
        _instruction(_RETURN, _ALLOW),
    ]


def _answer(number: int, answer: int) -> list[bytes]:
    return [_instruction(_IF_EQUAL, number, 0, 1), _instruction(_RETURN, answer)]


def _numbers(rows: Iterable[tuple[int | None, int | None]], column: int) -> list[int]:
    return [number for row in rows if (number := row[column]) is not None]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
