"""The runner of confined children: what a child says arrives, and whatever it does it is gone afterwards."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ffpipe.stages.confined import ChildDied, ChildStalled, ConfinedChild

CHILD = """
import os, signal, socket, sys, time
from ffpipe.stages.decode.channel import Channel
def main(arguments):
    parent, end, what = arguments
    channel = Channel(socket.socket(fileno=int(end)))
    channel.send(kind="begun", pid=os.getpid(), parent=int(parent))
    if what == "environment":
        channel.send(kind="environment", names=sorted(os.environ))
    if what == "sleep":
        time.sleep(3600)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "words":
        print("first"); print("last words", file=sys.stderr); sys.exit(7)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "misbehaving.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return lambda what: ConfinedChild("misbehaving", [what])


@pytest.mark.parametrize(
    ("what", "says", "ended_by"),
    [("kill", r"signal SIGKILL", signal.SIGKILL), ("words", r"exit code 7\): last words", None)],
)
def test_the_end_of_a_child_is_told_with_its_last_words(child, what, says, ended_by):
    with child(what) as running:
        assert running.receive(time.monotonic() + 120)["parent"] == os.getpid()
        with pytest.raises(ChildDied, match=says) as died:
            running.receive(time.monotonic() + 120)
    assert died.value.signal == ended_by


def test_a_child_gets_the_environment_without_its_secrets(child, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with child("environment") as running:
        running.receive(time.monotonic() + 120)
        names = running.receive(time.monotonic() + 120)["names"]
    assert "PATH" in names
    assert not {"RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(names)


def test_a_child_that_says_nothing_is_killed_with_its_context(child):
    with child("sleep") as running:
        pid = running.receive(time.monotonic() + 120)["pid"]
        with pytest.raises(ChildStalled):
            running.receive(time.monotonic() + 0.01)
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
