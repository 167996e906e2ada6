"""Runs the child that makes the copies of a video, and says what became of it, whatever it did."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import IO

from ffpipe.manifests.errors import MediaError, StorageError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.channel import Channel, ChannelClosed, ChannelTimeout, Message
from ffpipe.stages.decode.sandbox import CHILD_ENVIRONMENT, PACKAGE_ROOT
from ffpipe.stages.transcode.encoding import Transcoded

#: Seconds granted for each second of video and each copy, on a machine whose cores are all busy.
_SECONDS_PER_COPY = 60.0
_BOOT = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    "from ffpipe.stages.transcode.child import main; main(sys.argv[1:])"
)


def transcode_confined(path: str, outputs: Mapping[int, int], limits: Limits) -> Transcoded:
    """`encoding.transcode` in a child that can reach and change nothing else, bounded and killed when it stalls.

    outputs: rate factor -> descriptor of an empty file, open for writing, so that no file name reaches the child's
    encoder. Memory and time grow with the number of copies.

    Raises:
        MediaError: the video cannot be used, or the child died or stalled over it.
        StorageError: the disk is full, or cannot be written.
    """
    bounds = replace(
        limits,
        memory_bytes=limits.memory_bytes * (1 + len(outputs)),
        seconds_per_second=limits.seconds_per_second + _SECONDS_PER_COPY * len(outputs),
    )
    with ExitStack() as stack:
        descriptor = os.memfd_create("ffpipe-stderr", os.MFD_CLOEXEC)
        words = stack.enter_context(os.fdopen(descriptor, "w+b"))
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        stack.callback(channel.close)
        with theirs:
            child = _start(theirs, words, bounds, path, outputs)
        stack.callback(_end, child)
        return _facts(_followed(channel, child, words, bounds))


def _start(
    theirs: socket.socket, words: IO[bytes], limits: Limits, path: str, outputs: Mapping[int, int]
) -> subprocess.Popen[bytes]:
    bounds = json.dumps(asdict(limits))
    settings = [str(os.getpid()), str(theirs.fileno()), bounds, path, json.dumps(dict(outputs))]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT, PACKAGE_ROOT, *settings],
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=words,
        pass_fds=(theirs.fileno(), *outputs.values()),
        cwd="/",
        env=os.environ | CHILD_ENVIRONMENT,
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _followed(channel: Channel, child: subprocess.Popen[bytes], words: IO[bytes], limits: Limits) -> Message:
    """The child's last message. Raises MediaError where it dies or stalls."""
    began, allowed = time.monotonic(), limits.wall_seconds
    while True:
        try:
            message = channel.receive(max(began + allowed - time.monotonic(), 0.001))
        except ChannelTimeout as error:
            raise MediaError(Status.TIMEOUT, f"not done in {allowed:.0f} s") from error
        except ChannelClosed as error:
            raise _obituary(child, words) from error
        if message["kind"] != "header":
            return message
        allowed += limits.allowance(float(message["duration"]))


def _obituary(child: subprocess.Popen[bytes], words: IO[bytes]) -> MediaError:
    code = child.wait()
    if code == -signal.SIGXCPU:
        return MediaError(Status.TIMEOUT, "it used up its CPU seconds")
    if code == -signal.SIGXFSZ:
        return MediaError(Status.TOO_LARGE, "a copy grew beyond the limit on bytes")
    words.seek(0)
    lines = words.read(1 << 16).decode(errors="replace").strip().splitlines()
    cause = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    return MediaError(Status.CRASHED, f"its child died ({cause}){': ' + lines[-1] if lines else ''}")


def _facts(message: Message) -> Transcoded:
    kind = message.pop("kind")
    if kind == "disk":
        raise StorageError(f"a copy cannot be written: {message['reason']}")
    if kind == "error":
        raise MediaError(message["status"], message["reason"])
    return Transcoded(**message)
