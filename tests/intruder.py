"""Stands for a decoder that a hostile file has taken over: tries every forbidden act, and every one that must work.

Run as a program, with a folder, another process's id, a listener's port, the measures denied, and one of free, reader
and writer: how it is confined. Prints as JSON what the confinement says of itself and what became of each act, and in
a second line whether another program could be run.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from denial import deny

from ffpipe.stages.decode import protection

#: How a refusal reads: by the filter or capabilities, by Landlock or a mode, as unknown, and without a network.
_REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENETUNREACH})
_SIGCONT = 18
_ATTACH, _DETACH = 16, 17

Act = Callable[[], object]


class Intruder:
    """Has its files and its socket ready before it is confined."""

    def __init__(self, folder: Path, other: int, port: int) -> None:
        self.folder, self.other, self.port = folder, other, port
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._column = ["x86_64", "aarch64"].index(os.uname().machine)
        for name in ("there", "renamed", "removed", "inherited", "output"):
            (folder / name).touch()
        (folder / "empty").mkdir()
        self.inherited = os.open(folder / "inherited", os.O_RDWR)
        self.output = os.open(folder / "output", os.O_RDWR)
        self._socket = socket.socket()

    def forbidden(self) -> dict[str, Act]:
        """What must be refused."""
        there, folder = self.folder / "there", self.folder
        return {
            "open for writing": lambda: self._opened(there, os.O_WRONLY),
            "open for both": lambda: self._opened(there, os.O_RDWR),
            "create": lambda: self._opened(folder / "new", os.O_WRONLY | os.O_CREAT),
            "create without a name": lambda: self._opened(folder, os.O_TMPFILE | os.O_WRONLY),
            "truncate": lambda: os.truncate(there, 0),
            "make a folder": lambda: (folder / "folder").mkdir(),
            "make a pipe": lambda: os.mkfifo(folder / "pipe"),
            "link": lambda: (folder / "link").hardlink_to(there),
            "link by name": lambda: (folder / "symlink").symlink_to(there),
            "rename": lambda: (folder / "renamed").rename(folder / "elsewhere"),
            "remove": lambda: (folder / "removed").unlink(),
            "remove a folder": lambda: (folder / "empty").rmdir(),
            "change permissions": lambda: there.chmod(0o600),
            "change times": lambda: os.utime(there, (0, 0)),
            "start a process": self._fork,
            "trace a process": self._trace,
            "read a process": self._look_into,
            "signal a process": lambda: os.kill(self.other, _SIGCONT),
            "make a TCP socket": lambda: socket.socket().close(),
            "make a UDP socket": lambda: socket.socket(type=socket.SOCK_DGRAM).close(),
            "make a raw link": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
            "make a UNIX socket": self._listen,
            "connect": lambda: self._socket.connect(("127.0.0.1", self.port)),
            "io_uring": lambda: self._call(425, 425, 1, ctypes.create_string_buffer(120)),
            "bpf": lambda: self._call(321, 280, 0, (ctypes.c_int * 32)(1, 4, 4, 1), 128),
            "keys": lambda: self._call(250, 219, 1, 0),
            "userfaultfd": lambda: self._call(323, 282, 0),
            "mount": self._mount,
            "another namespace": lambda: self._call(272, 97, 0x10000000),
        }

    def allowed(self) -> dict[str, Act]:
        """What must go on working."""
        return {
            "read": (self.folder / "there").read_bytes,
            "list": lambda: list(self.folder.iterdir()),
            "import": self._import,
            "threads": self._start_thread,
            "talk": self._talk,
            "memory": self._remember,
            "write what is open": lambda: os.write(self.inherited, b"x"),
            "bound its own CPU time": lambda: protection.bound_cpu(100),
            "look at itself": lambda: os.kill(os.getpid(), 0),
        }

    def write_output(self) -> None:
        """What a process that makes copies must be able to do, and no other."""
        self._opened(Path(f"/proc/self/fd/{self.output}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def _call(self, x86_64: int, aarch64: int, *arguments: object) -> None:
        number = (x86_64, aarch64)[self._column]
        plain = [ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *arguments)]
        if self._libc.syscall(*plain) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    def _opened(self, path: Path, flags: int) -> None:
        os.close(os.open(path, flags))

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def _trace(self) -> None:
        self._call(101, 117, _ATTACH, self.other, 0, 0)
        os.waitpid(self.other, 0)
        self._call(101, 117, _DETACH, self.other, 0, 0)

    def _look_into(self) -> None:
        here = ctypes.create_string_buffer(8)
        vector = (ctypes.c_void_p * 2)(ctypes.addressof(here), 8)
        failed = self._libc.process_vm_readv(self.other, vector, 1, vector, 1, 0) < 0
        if (
            failed and ctypes.get_errno() != errno.EFAULT
        ):  # a bad address: it was let in, and found nothing there
            raise OSError(ctypes.get_errno(), "refused")

    def _mount(self) -> None:
        try:
            self._call(165, 40, b"none", b"/nowhere", b"tmpfs", 0, 0)
        except FileNotFoundError:
            return  # it was let in, and found nothing there

    def _listen(self) -> None:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(self.folder / "socket"))

    def _import(self) -> None:
        import colorsys

        assert colorsys

    def _start_thread(self) -> None:
        seen: list[int] = []
        thread = threading.Thread(target=seen.append, args=(1,))
        thread.start()
        thread.join()
        assert seen

    def _talk(self) -> None:
        ours, theirs = socket.socketpair()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"

    def _remember(self) -> None:
        memory = os.memfd_create("memory")
        os.ftruncate(memory, mmap.PAGESIZE)
        mmap.mmap(memory, mmap.PAGESIZE)[:2] = b"ab"


def outcome(act: Act) -> str:
    """done, refused, or what else went wrong."""
    try:
        act()
    except OSError as error:
        return "refused" if error.errno in _REFUSALS else str(error)
    return "done"


def main(folder: str, other: str, port: str, denied: str, confined: str) -> None:
    """See the module."""
    intruder = Intruder(Path(folder), int(other), int(port))
    if denied:
        deny(denied.split(","))
    said = None
    if confined != "free":
        said = protection.confine(1 << 32, outputs=[intruder.output] if confined == "writer" else [])
    results = {name: outcome(act) for name, act in (intruder.forbidden() | intruder.allowed()).items()}
    results["write its output"] = outcome(intruder.write_output)
    print(json.dumps({"said": asdict(said) if said else None, "results": results}), flush=True)
    try:
        os.execv("/bin/echo", ["echo", "done"])
    except OSError:
        print("refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
