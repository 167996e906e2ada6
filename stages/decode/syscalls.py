"""A filter that refuses this process the system calls which a decoder never needs and an intruder would.

It stands beside the other measures: where namespaces or Landlock are missing, it alone keeps sockets and files shut.
Refused calls fail with EPERM, so that a decoder which tries one goes on without. Linux on x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

#: From <linux/prctl.h> and <linux/seccomp.h>.
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_MODE_FILTER = 2
_KILL, _REFUSE, _ABSENT, _ALLOW = 0x80000000, 0x00050000 | 1, 0x00050000 | 38, 0x7FFF0000
#: Audit architecture, from <linux/audit.h>.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: x86_64 also takes calls with 32-bit pointers, whose numbers start here.
_X32_FIRST = 0x40000000
_AF_UNIX = 1
_CLONE_THREAD = 0x00010000
#: Puts characters into a terminal as if they were typed.
_TIOCSTI = 0x5412
#: Any of these bits in open()'s flags asks for more than reading.
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

#: Calls refused whatever their arguments: name, number on x86_64, number on aarch64 (- where it does not exist).
#: Programs are run; processes are made (threads are not), looked into and signalled; sockets are made and reached;
#: files are made, removed, renamed and changed in their attributes; the system itself is changed or its rarely used
#: interfaces are reached, in which most holes are found.
_REFUSED = """
execve 59 221, execveat 322 281, fork 57 -, vfork 58 -,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440, kcmp 312 272,
pidfd_open 434 434, pidfd_getfd 438 438, pidfd_send_signal 424 424, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240, tkill 200 130, move_pages 279 239, migrate_pages 256 238,
socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
shmget 29 194, semget 64 190, msgget 68 186, mq_open 240 180,
creat 85 -, truncate 76 45, unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276,
mkdir 83 -, mkdirat 258 34, rmdir 84 -, mknod 133 -, mknodat 259 33, link 86 -, linkat 265 37, symlink 88 -,
symlinkat 266 36, chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -,
fchownat 260 54, utime 132 -, utimes 235 -, utimensat 280 88, futimesat 261 -, setxattr 188 5, lsetxattr 189 6,
fsetxattr 190 7, setxattrat 463 463, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16,
removexattrat 466 466,
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, open_tree 428 428, move_mount 429 429, fsopen 430 430,
fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442 442, setns 308 268, unshare 272 97,
open_by_handle_at 304 265, quotactl 179 60, quotactl_fd 443 443, fanotify_init 300 262, acct 163 89,
bpf 321 280, perf_event_open 298 241, keyctl 250 219, add_key 248 217, request_key 249 218, userfaultfd 323 282,
io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, modify_ldt 154 -, iopl 172 -,
ioperm 173 -, personality 135 92, syslog 103 116,
init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294,
reboot 169 142, swapon 167 224, swapoff 168 225, settimeofday 164 170, clock_settime 227 112, sethostname 170 161,
setdomainname 171 162
"""
#: Calls answered as by a kernel that does not know them: their arguments lie in memory, where a filter cannot look,
#: and the C library takes an older call instead.
_UNSEEN = "clone3 435 435, openat2 437 437"
#: Calls refused by an argument; see `_judged`.
_JUDGED = (
    "socketpair 53 199, clone 56 220, kill 62 129, tgkill 234 131, prlimit64 302 261, prctl 157 167, ioctl 16 29,"
    " open 2 -, openat 257 56"
)


def refuse_calls(may_write: bool = False) -> int:
    """Refuse them from now on, for good and for every later thread; returns how many kinds of calls, 0 if impossible.

    With may_write files can still be opened for writing. Must be called while the process has one thread.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES or sys.maxsize < 1 << 32:
        return 0
    program = filter_program(machine, os.getpid(), may_write)
    return len(_numbers(_REFUSED, machine)) + len(_numbers(_JUDGED, machine)) if install(program) else 0


def install(program: bytes) -> bool:
    """Put a filter on this process; False where the system does not allow it."""
    libc = ctypes.CDLL(None)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = _FilterHeader(len(program) // 8, ctypes.addressof(instructions))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(header), 0, 0) == 0)


class _FilterHeader(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


#: An instruction of a classic BPF program: code, jump if true, jump if false, operand.
_Line = tuple[int, int, int, int]
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
#: Places in struct seccomp_data: call number, architecture, lower half of the first argument (little endian).
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def filter_program(machine: str, pid: int, may_write: bool) -> bytes:
    """The filter for one process on one kind of machine, a classic BPF program over struct seccomp_data."""
    lines: list[_Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_GIVE, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_FIRST),
        (_GIVE, 0, 0, _REFUSE),
    ]
    for text, answer in ((_REFUSED, _REFUSE), (_UNSEEN, _ABSENT)):
        for number in _numbers(text, machine).values():
            lines += [(_EQUAL, 0, 1, number), (_GIVE, 0, 0, answer)]
    for name, number in _numbers(_JUDGED, machine).items():
        judgement = _judged(name, pid, may_write)
        lines += [(_EQUAL, 0, len(judgement), number), *judgement]
    lines.append((_GIVE, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _judged(name: str, pid: int, may_write: bool) -> list[_Line]:
    """What becomes of a call by one of its arguments: allowed or refused, in either case the end of the program."""
    if name in ("open", "openat"):
        if may_write:
            return [(_GIVE, 0, 0, _ALLOW)]
        return _verdict(1 if name == "open" else 2, (_ANY_BIT, 1, 0, _WRITING))
    tests: dict[str, tuple[int, tuple[_Line, ...]]] = {
        "socketpair": (0, ((_EQUAL, 0, 1, _AF_UNIX),)),
        "clone": (0, ((_ANY_BIT, 0, 1, _CLONE_THREAD),)),
        "kill": (0, ((_EQUAL, 0, 1, pid),)),
        "tgkill": (0, ((_EQUAL, 0, 1, pid),)),
        "prlimit64": (0, ((_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, pid))),
        "prctl": (0, ((_EQUAL, 1, 0, _PR_SET_PDEATHSIG),)),
        "ioctl": (1, ((_EQUAL, 1, 0, _TIOCSTI),)),
    }
    place, steps = tests[name]
    return _verdict(place, *steps)


def _verdict(place: int, *steps: _Line) -> list[_Line]:
    """Load an argument and test it; the last test jumps over one line to be refused."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * place), *steps, (_GIVE, 0, 0, _ALLOW), (_GIVE, 0, 0, _REFUSE)]


def _numbers(text: str, machine: str) -> dict[str, int]:
    column = list(_ARCHITECTURES).index(machine) + 1
    rows = [row.split() for row in text.split(",")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
