"""Each protective measure is tried in a process of its own, since none can be undone."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_TRY = """
import socket, sys
from ffpipe.stages.decode import protection
print({measure})
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(2)
            one.connect(("127.0.0.1", int(sys.argv[1])))
            one.sendall(b"leak")
            print("reached")
    except OSError as error:
        print("refused")
local, other = socket.socketpair()
local.sendall(b"x")
print("local works" if other.recv(1) == b"x" else "local fails")
"""


def attempt(measure: str) -> list[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        command = [sys.executable, "-c", _TRY.format(measure=measure), str(listener.getsockname()[1])]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_without_protection_the_listener_is_reached() -> None:
    assert attempt("None") == ["None", "reached", "reached", "local works"]


def test_the_network_is_cut_off() -> None:
    said, *rest = attempt("protection.cut_network()")
    assert said.startswith("no network (")
    assert rest == ["refused", "refused", "local works"]


def test_the_filter_alone_refuses_sockets() -> None:
    """What stands in where network namespaces are forbidden, as in most containers."""
    said, *rest = attempt("protection.refuse_sockets()")
    if said == "False":
        pytest.skip("system-call filters are not available here")
    assert rest == ["refused", "refused", "local works"]


def test_a_child_whose_parent_is_already_gone_ends() -> None:
    code = "from ffpipe.stages.decode import protection; protection.die_with_parent(1 << 30); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_large_can_be_written(tmp_path: Path) -> None:
    code = (
        "import sys; from ffpipe.stages.decode import protection; protection.bound_resources(1 << 32)\n"
        "open(sys.argv[1], 'wb', buffering=0).write(bytes(1 << 20))"
    )
    path = tmp_path / "out"
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
    assert path.stat().st_size <= 1 << 16


def test_cpu_seconds_are_bounded_anew_each_time() -> None:
    code = (
        "import resource; from ffpipe.stages.decode.protection import bound_cpu\n"
        "bound_cpu(1); bound_cpu(100); print(resource.getrlimit(resource.RLIMIT_CPU)[0] >= 100, flush=True)\n"
        "bound_cpu(0)\n"
        "while True: pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (-signal.SIGXCPU, "True\n")
