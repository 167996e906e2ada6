"""What a child that reads hostile media does to itself before it opens anything: no way out, and few resources.

Linux only. It dies with its parent, leaves every network, may change and run no file, keeps no privilege but reading,
and is refused the system calls that decoding never needs. Each measure says what it achieved, since a container may
forbid some of them; several cover the same ground, so that one that is missing leaves no hole.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Collection
from dataclasses import dataclass

from ffpipe.stages.decode.landlock import guard_files
from ffpipe.stages.decode.syscalls import refuse_calls

#: From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
#: From <linux/sched.h>.
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
#: From <linux/capability.h>: the version of its structures, and the right to read any file.
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2
#: What a child may write into files at most, in bytes: its last words.
_MAX_WRITTEN = 1 << 16
_MAX_OPEN_FILES = 128


@dataclass(frozen=True, slots=True)
class Protection:
    """What a running child reports of its own protection.

    namespace: it has a network namespace of its own. landlock: the version of Landlock that guards files, 0 without.
    calls: kinds of system calls refused, 0 without a filter. may_write: the filter lets files be opened for writing.
    memory_bytes: of address space.
    """

    namespace: bool
    landlock: int
    calls: int
    may_write: bool = False
    memory_bytes: int = 0

    @property
    def network_cut(self) -> bool:
        """Whether no network can be reached."""
        return self.namespace or self.calls > 0

    @property
    def files_guarded(self) -> bool:
        """Whether no file but those meant for it can be changed."""
        return self.landlock > 0 or (self.calls > 0 and not self.may_write)

    @property
    def network(self) -> str:
        """What keeps it from networks, for people."""
        means = ["a network namespace of its own"] * self.namespace
        means += ["sockets are refused by a system-call filter"] * (self.calls > 0)
        return f"no network ({', '.join(means)})" if means else "network NOT cut off"

    @property
    def files(self) -> str:
        """What keeps it from changing and running files, for people."""
        means = [f"Landlock version {self.landlock}"] * (self.landlock > 0)
        means += ["a system-call filter"] * (self.calls > 0 and not self.may_write)
        return f"files read only ({', '.join(means)})" if means else "files NOT guarded"

    def describe(self) -> str:
        """One line for people."""
        calls = f"{self.calls} system calls refused" if self.calls else "system calls NOT filtered"
        memory = f"at most {self.memory_bytes >> 20} MiB of memory"
        return "; ".join(["killed with its parent", self.network, self.files, calls, memory, "no core dumps"])


def confine(
    memory_bytes: int, written_bytes: int = _MAX_WRITTEN, outputs: Collection[int] = ()
) -> Protection:
    """Give up all that decoding does not need, for good; returns what was achieved.

    `outputs` are descriptors of the files that the process is to write, each up to written_bytes. Must be called while
    the process has one thread, and before it opens anything hostile; modules can still be imported afterwards.
    """
    sys.dont_write_bytecode = True
    bound_resources(memory_bytes, written_bytes)
    namespace = leave_network()
    landlock = guard_files(outputs)
    drop_privileges()
    calls = refuse_calls(may_write=bool(outputs))
    return Protection(namespace, landlock, calls, bool(outputs), memory_bytes)


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


def leave_network() -> bool:
    """Enter a network namespace without any interface but a loopback that is down; False where that is forbidden.

    Users need a namespace of users for it. A superuser would lose in one the right to read other users' files.
    """
    return _unshare(_CLONE_NEWNET) or (os.geteuid() != 0 and _unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _unshare(flags: int) -> bool:
    return bool(_libc().unshare(flags) == 0)


def drop_privileges() -> None:
    """Keep of a superuser's privileges only the one to read any file, so that it can read what its parent can."""
    libc = _libc()
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) == 0:
        permitted = struct.unpack("=6I", held.raw)[1] & _CAP_DAC_READ_SEARCH
        libc.capset(header, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
