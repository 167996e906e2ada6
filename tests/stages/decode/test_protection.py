"""Each protective measure is tried in a process of its own, since none can be undone.

What a machine may forbid (namespaces, Landlock, filters) is made to fail at the kernel's own door; see `denial`.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import intruder
import pytest

from ffpipe.stages.decode import syscalls
from ffpipe.stages.decode.protection import Protection

FILES = [
    "open for writing", "open for both", "create", "create without a name", "truncate", "make a folder", "make a pipe",
    "link", "link by name", "rename", "remove", "remove a folder",
]  # fmt: skip
ATTRIBUTES = ["change permissions", "change times"]
PROCESSES = ["start a process", "trace a process", "read a process", "signal a process"]
SOCKETS = ["make a TCP socket", "make a UDP socket", "make a raw link", "make a UNIX socket"]
KERNEL = ["io_uring", "bpf", "keys", "userfaultfd", "mount", "another namespace"]
RUN = "run a program"
RIGHTS = [
    "read", "list", "import", "threads", "talk", "memory", "write what is open", "bound its own CPU time",
    "look at itself",
]  # fmt: skip
ALL = [*FILES, *ATTRIBUTES, *PROCESSES, *SOCKETS, "connect", *KERNEL, RUN]


@pytest.fixture(scope="module")
def other() -> Iterator[int]:
    """A process that an intruder would like to reach."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A listener that nothing may reach."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def attempt(
    folder: Path, other: int, port: int, *, denied: str = "", confined: str = "reader"
) -> tuple[Protection | None, dict[str, str]]:
    """What a confined process says of itself, and what became of every act, on a machine that denies some measures."""
    arguments = [str(folder), str(other), str(port), denied, confined]
    done = subprocess.run(
        [sys.executable, intruder.__file__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    found = json.loads(first)
    said = Protection(**found["said"]) if found["said"] else None
    return said, found["results"] | {RUN: second}


def refused(results: dict[str, str]) -> set[str]:
    assert set(results.values()) <= {"done", "refused"}, results
    return {name for name, result in results.items() if result == "refused"}


def needs(said: Protection, *measures: str) -> None:
    """Skip where this machine itself lacks a measure that the test is about."""
    lacking = [name for name in measures if not getattr(said, name)]
    if lacking:
        pytest.skip(f"not available here: {', '.join(lacking)}")


def test_without_protection_the_acts_succeed(tmp_path: Path, other: int, port: int) -> None:
    """So that a refusal below is the protection's doing; mounting and BPF need a superuser."""
    said, results = attempt(tmp_path, other, port, confined="free")
    assert said is None
    allowed_to_few = {"trace a process", "read a process", *KERNEL}
    assert refused(results) <= allowed_to_few
    if os.geteuid() == 0:
        assert results["trace a process"] == results["read a process"] == "done"


def test_a_confined_process_can_do_nothing_but_read(tmp_path: Path, other: int, port: int) -> None:
    said, results = attempt(tmp_path, other, port)
    assert said is not None
    needs(said, "calls")
    assert refused(results) == {*ALL, "write its output"} - ({"connect"} if not said.network_cut else set())
    assert {results[name] for name in RIGHTS} == {"done"}
    assert sorted(os.listdir(tmp_path)) == ["empty", "inherited", "output", "removed", "renamed", "there"]  # noqa: PTH208


def test_a_process_with_outputs_writes_them_and_nothing_else(tmp_path: Path, other: int, port: int) -> None:
    said, results = attempt(tmp_path, other, port, confined="writer")
    assert said is not None
    needs(said, "calls", "landlock")
    assert said.may_write
    assert refused(results) == set(ALL)
    assert results["write its output"] == "done"


@pytest.mark.parametrize(
    ("denied", "free", "words"),
    [
        (
            "namespace",
            [],
            "no network (sockets are refused by a system-call filter); files read only (Landlock",
        ),
        ("landlock", [], "system-call filter); files read only (a system-call filter)"),
        (
            "namespace,landlock",
            [],
            "no network (sockets are refused by a system-call filter); files read only (a ",
        ),
        (
            "calls",
            [*ATTRIBUTES, *PROCESSES, *SOCKETS, *KERNEL],
            "no network (a network namespace of its own); files read only (Landlock",
        ),
        (
            "namespace,landlock,calls",
            ALL,
            "network NOT cut off; files NOT guarded; system calls NOT filtered",
        ),
    ],
)
def test_what_is_missing_is_said_and_made_up_for_by_the_rest(
    tmp_path: Path, other: int, port: int, denied: str, free: list[str], words: str
) -> None:
    """`free` is what may then succeed; some of it is refused to ordinary users, or by other means of the machine."""
    said, results = attempt(tmp_path, other, port, denied=denied)
    assert said is not None
    missing = denied.split(",")
    needs(said, *(name for name in ("namespace", "landlock", "calls") if name not in missing))
    assert not any(getattr(said, name) for name in missing)
    assert {*ALL} - refused(results) <= set(free)
    assert {results[name] for name in RIGHTS} == {"done"}
    assert words in said.describe()
    assert said.network_cut == said.files_guarded == (len(missing) < 3)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_a_sound_program_on_every_architecture(machine: str) -> None:
    """Every jump lands inside, and no call is judged twice: what comes first would decide."""
    program = syscalls.filter_program(machine, 77, may_write=False)
    count, found = len(program) // 8, []
    for place in range(count):
        code, yes, no = (
            int.from_bytes(program[8 * place : 8 * place + 2], "little"),
            *program[8 * place + 2 :][:2],
        )
        assert place + 1 + max(yes, no) < count or code == 0x06
        operand = int.from_bytes(program[8 * place + 4 : 8 * place + 8], "little")
        found += [operand] * (code == 0x15 and no > 0 and place > 5)
    judged = {"x86_64": {41, 59, 57, 257, 425}, "aarch64": {198, 221, 56, 425}}[machine]
    assert judged <= set(found)
    assert len(program) // 8 < 4096


def test_an_unknown_architecture_goes_without_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert syscalls.refuse_calls() == 0


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
