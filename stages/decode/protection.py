"""What a decoding child does to itself before it opens anything: die with its parent, no network, few resources.

Linux only. Each measure says what it achieved, since a container may forbid some of them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import dataclass

#: From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
#: From <linux/sched.h>.
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
#: Audit architecture and the numbers of socket and io_uring_setup, from <linux/audit.h> and <asm/unistd.h>.
_SYSCALLS = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
#: x86_64 also takes 32-bit-pointer calls, whose numbers start here.
_X32_FIRST = 0x40000000
#: What a child may write into files at most, in bytes: its last words.
_MAX_WRITTEN = 1 << 16
_MAX_OPEN_FILES = 128


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started this process ends; end now if its process is already gone."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def bound_resources(memory_bytes: int, written_bytes: int = _MAX_WRITTEN) -> None:
    """Bound address space, open files and the bytes of a written file; leave no core dump."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written_bytes, written_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))


def bound_cpu(seconds: float) -> None:
    """From now on, be killed by SIGXCPU after this many more CPU seconds; each call sets the bound anew."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def cut_network() -> str:
    """Leave every network for good, by the strongest means allowed here; returns what was achieved.

    A network namespace of its own has no interface but a loopback that is down. Where namespaces are
    forbidden, a system-call filter refuses every socket that is not local to the machine's files. Must be
    called while the process has one thread.
    """
    if _unshare(_CLONE_NEWNET) or _unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return "no network (a network namespace of its own)"
    if refuse_sockets():
        return "no network (sockets are refused by a system-call filter)"
    return "network not cut off (decoders are held to local files only)"


def _unshare(flags: int) -> bool:
    return bool(_libc().unshare(flags) == 0)


def refuse_sockets() -> bool:
    """Let socket() fail with EACCES for this process and its children, except for AF_UNIX; False if impossible."""
    if platform.machine() not in _SYSCALLS or sys.maxsize < 1 << 32:
        return False
    program = _filter_program(*_SYSCALLS[platform.machine()])
    instructions = ctypes.create_string_buffer(program, len(program))
    header = _FilterHeader(len(program) // 8, ctypes.addressof(instructions))
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) == 0)


class _FilterHeader(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _filter_program(architecture: int, socket_call: int, uring_call: int) -> bytes:
    """A classic BPF program over struct seccomp_data (call number at 0, architecture at 4, first argument at 16).

    Each instruction is (code, jump if true, jump if false, operand); the last three are the outcomes kill,
    refuse and allow.
    """
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    kill, refuse, allow = 0x80000000, 0x00050000 | 13, 0x7FFF0000
    lines = [
        (load, 0, 0, 4),
        (equal, 0, 6, architecture),
        (load, 0, 0, 0),
        (at_least, 4, 0, _X32_FIRST),
        (equal, 4, 0, uring_call),
        (equal, 0, 4, socket_call),
        (load, 0, 0, 16),
        (equal, 2, 1, 1),
        (give, 0, 0, kill),
        (give, 0, 0, refuse),
        (give, 0, 0, allow),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Protection:
    """What a running child reports of its own protection."""

    network: str
    memory_bytes: int

    def describe(self) -> str:
        """One line for people."""
        mebibytes = self.memory_bytes >> 20
        return f"killed with its parent; {self.network}; at most {mebibytes} MiB of memory; no core dumps"
