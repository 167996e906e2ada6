"""Decodes hostile media safely: in a child process that is bounded, watched, and killed when it misbehaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from types import TracebackType

from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.manifests.records import Pictures, Status
from ffpipe.stages.confined import ConfinedChild
from ffpipe.stages.decode import DECODERS, DEFAULT_DECODER, answers
from ffpipe.stages.decode.channel import (
    MAX_REQUEST,
    ChannelClosed,
    ChannelTimeout,
    Message,
    SharedPictures,
    create_shared,
)
from ffpipe.stages.decode.contract import Frame, Limits
from ffpipe.stages.decode.decoding import Medium
from ffpipe.stages.decode.pictures import granted_seconds
from ffpipe.stages.decode.protection import Protection
from ffpipe.stages.sampling import Sampling

#: Media decoded by one child before a fresh one takes over: old decoders leak.
RECYCLE_AFTER = 500
#: Seconds that a child may take to start, on a crowded machine.
_START_SECONDS = 120.0
#: Seconds that a child gets to drop a medium that nobody wants to the end, before it is killed.
_STOP_SECONDS = 1.0
_CHILD = "ffpipe.stages.decode.child"


class DecodeSandbox:
    """Owns one decoding child, used for medium after medium and replaced when it fails or wears out.

    Use it as a context, from one thread that outlives it. One medium is open at a time: opening the next
    drops the one before.
    """

    def __init__(
        self,
        decoder: str = DEFAULT_DECODER,
        limits: Limits | None = None,
        recycle_after: int = RECYCLE_AFTER,
    ) -> None:
        """No child is started yet.

        Raises:
            UsageError: unknown decoder.
        """
        if decoder not in DECODERS:
            raise UsageError(f"no decoder {decoder!r}; there are {', '.join(DECODERS)}")
        self.decoder = decoder
        self.limits = limits or Limits()
        self._recycle_after = recycle_after
        self._child: _Child | None = None
        self._medium: DecodedMedia | None = None

    def open(
        self, medium: Medium, sampling: Sampling | None = None, *, header_only: bool = False
    ) -> DecodedMedia:
        """Open a file or a sequence of pictures in the child; without sampling, what scoring looks at is taken.

        With header_only it gives no frame, and its partial_reason says where the header lists more than there is.

        Raises:
            MediaError: the medium cannot be used, or the child died or stalled over it.
        """
        if self._medium is not None:
            self._medium.close()
        request = _request(medium)
        child = self._ready_child()
        child.media += 1
        asked = asdict(sampling) if sampling else None
        with suppress(
            ChannelClosed
        ):  # a child that died since it was looked at shows where its header is waited for
            child.channel.send(**request, sampling=asked, header_only=header_only)
        granted = granted_seconds(medium, self.limits) if isinstance(medium, Pictures) else 0.0
        self._medium = DecodedMedia(child, self.limits, granted)
        return self._medium

    @property
    def pid(self) -> int:
        """Process id of the child, started if need be."""
        return self._ready_child().process.pid

    @property
    def protection(self) -> Protection:
        """What the child reports of its own protection."""
        return self._ready_child().protection

    def _ready_child(self) -> _Child:
        child = self._child
        if child is not None and (not child.process.lives() or child.media >= self._recycle_after):
            self.close()
        if self._child is None:
            self._child = _Child(self.decoder, self.limits)
        return self._child

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
        self._child = self._medium = None

    def __enter__(self) -> DecodeSandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request(medium: Medium) -> Message:
    """What is asked of the child. Raises MediaError for a sequence of more names than can be sent."""
    if not isinstance(medium, Pictures):
        path = os.fsdecode(os.path.abspath(os.fsencode(medium)))  # noqa: PTH100 - names need not be UTF-8
        return {"kind": "open", "path": path, "pictures": None}
    # JSON writes a character as six bytes at most.
    if sum(6 * len(name) + 4 for name in medium.names) > MAX_REQUEST - (1 << 20):
        raise MediaError(
            Status.TOO_LARGE, f"{len(medium.names)} pictures: their names alone are too many to send"
        )
    place = os.path.abspath(medium.place)  # noqa: PTH100 - names need not be UTF-8
    return {"kind": "open", "path": None, "pictures": asdict(replace(medium, place=place))}


class DecodedMedia:
    """A medium open in a sandbox: iterate it once for its frames.

    probe holds the header's facts, targets how many looks were asked for (for every frame: the frames that
    the file lists), decoded the distinct frames given so far, covered the targets that they answer, and
    partial_reason, after the last frame, why some targets have none; file the facts of the file that the child has
    open (`content.file_facts`), None for a sequence. A frame's rgb is overwritten once the next frame is asked for.

    The time-out counts only the time spent waiting for the child, not what is done with its frames.
    """

    def __init__(self, child: _Child, limits: Limits, granted: float = 0.0) -> None:
        """Wait for the header; `granted` are seconds on top of what the header's duration gives.

        Raises:
            MediaError: the medium cannot be used, or the child died or stalled over it.
        """
        self._child = child
        self._patience = limits.wall_seconds + granted
        self._limit = limits.wall_seconds + granted
        self._finished = False
        header = self._receive("header")
        with self._believed():
            self.probe = answers.probe_of(header)
            self.targets = answers.count_of(header, "targets")
            self.file = answers.file_of(header)
        self.decoded = 0
        self.covered = 0
        self.partial_reason: str | None = None
        extra = limits.allowance(self.probe.duration or 0.0)
        self._patience += extra
        self._limit += extra

    def __iter__(self) -> Iterator[Frame]:
        while not self._finished:
            message = self._receive("picture", "end")
            if message["kind"] == "end":
                self._finished = True
                with self._believed():
                    self.probe = answers.probe_of(message)
                    self.covered = answers.count_of(message, "covered")
                    self.partial_reason = answers.reason_of(message, "partial_reason")
                self._child.pictures.trim()
                return
            with self._believed():
                slot, frame = self._picture(message)
            self.decoded += 1
            yield frame
            if not self._finished:
                self._give_back(slot)

    def _picture(self, message: Message) -> tuple[int, Frame]:
        slot, height, width = (answers.count_of(message, name) for name in ("slot", "height", "width"))
        rgb = self._child.pictures.view(slot, height, width)
        return slot, Frame(answers.index_of(message), answers.seconds_of(message), rgb)

    @contextmanager
    def _believed(self) -> Iterator[None]:
        """Around what reads an answer: a child that talks nonsense is ended, which costs its medium alone."""
        try:
            yield
        except (answers.Nonsense, ValueError) as error:
            self._fail()
            raise MediaError(Status.CRASHED, f"the decoder's answer makes no sense: {error}") from error

    def _give_back(self, slot: int) -> None:
        with suppress(ChannelClosed):  # the child's end shows where its next message is waited for
            self._child.channel.send(kind="free", slot=slot)

    def _receive(self, *kinds: str) -> Message:
        """The next message of the child; anything but the kinds is its failure, or the medium's."""
        began = time.monotonic()
        try:
            message = self._child.channel.receive(max(self._patience, 0.001))
        except ChannelTimeout as error:
            self._fail()
            raise MediaError(Status.TIMEOUT, f"no answer from the decoder in {self._limit:.0f} s") from error
        except ChannelClosed as error:
            self._finished = True
            raise self._child.obituary() from error
        self._patience -= time.monotonic() - began
        if message.get("kind") == "error":
            self._finished = True
            if message.get("worn_out"):
                self._child.kill()
            with self._believed():
                # A name for it would tie it to its own traceback, and the shared memory to both.
                raise answers.refusal_of(message)
        if message.get("kind") not in kinds:
            self._fail()
            raise MediaError(Status.CRASHED, f"the decoder answered {message.get('kind')!r:.40} out of turn")
        return message

    def _fail(self) -> None:
        self._finished = True
        self._child.kill()

    def close(self) -> None:
        """Drop what is left of the medium; a child that does not let go of it soon is killed."""
        if self._finished:
            return
        self._finished = True
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            self._child.channel.send(kind="stop")
            while (
                self._child.channel.receive(max(deadline - time.monotonic(), 0.001)).get("kind") == "picture"
            ):
                continue
        except (ChannelClosed, ChannelTimeout):
            self._child.kill()

    def __enter__(self) -> DecodedMedia:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Child:
    """One decoding child with the memory that its pictures come in."""

    def __init__(self, decoder: str, limits: Limits) -> None:
        self.media = 0
        shared = create_shared(limits.max_pixels)
        try:
            settings = [str(shared), decoder, json.dumps(asdict(limits))]
            self.pictures = SharedPictures(shared, limits.max_pixels)
            self.process = ConfinedChild(_CHILD, settings, [shared])
        finally:
            os.close(shared)
        self.channel = self.process.channel
        try:
            ready = self.channel.receive(_START_SECONDS)
        except (ChannelClosed, ChannelTimeout) as error:
            obituary = self.obituary("the decoding child does not start")
            self.end()
            raise obituary from error
        self.protection = Protection(**ready["protection"])

    def obituary(self, what: str = "the decoder died") -> MediaError:
        """Why the child ended; one that closed its channel yet lives on is killed."""
        died = self.process.ended(_STOP_SECONDS)
        if died.signal is signal.SIGXCPU:
            return MediaError(Status.TIMEOUT, "the decoder used up its CPU seconds")
        return MediaError(Status.CRASHED, died.told(what))

    def kill(self) -> None:
        """End the child at once, whatever it does."""
        self.process.kill()

    def end(self) -> None:
        """Kill the child and free what belongs to it; pictures already given stay valid."""
        self.process.close()


def active_protection() -> Protection:
    """What protects this machine from hostile media, as a child started now reports it."""
    with DecodeSandbox() as sandbox:
        return sandbox.protection
