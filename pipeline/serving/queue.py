"""One scoring at a time: batches wait in the order in which they were started, each is scored by a runner process."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from ffpipe.manifests.errors import FfpipeError
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.output import Say, inert
from ffpipe.pipeline.serving import runner
from ffpipe.pipeline.serving.batches import Batch, State, Store
from ffpipe.pipeline.serving.refusal import Refused
from ffpipe.pipeline.serving.runner import Order, Told

#: Seconds that a runner has to end once it was told to.
_GRACE_SECONDS = 5.0
#: Seconds between looks at whether a runner is to end.
_LOOK_SECONDS = 0.2

Target = Callable[[Connection, int, Order], None]


class ScoringQueue:
    """Scores the batches of a store; a context manager, with whose end the runner ends too.

    A thread of its own starts the runners and lives as long as they may, since they die with it.
    """

    def __init__(
        self,
        store: Store,
        settings: ScoreConfig,
        workspace: Path,
        say: Say,
        keep: bool = False,
        target: Target = runner.run,
    ) -> None:
        self._store, self._settings, self._workspace, self._say = store, settings, workspace, say
        self._keep, self._target = keep, target
        self._waiting: deque[str] = deque(b.id for b in reversed(store.all()) if b.state is State.QUEUED)
        self._changed = threading.Condition()
        self._current: str | None = None
        self._stop_at: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the runner; what it was at, and what waits, is there for the next server."""
        with self._changed:
            self._closing = True
            self._stop_at = time.monotonic()
            self._changed.notify()
        self._thread.join()

    def put(self, batch: Batch) -> None:
        """Let a batch wait for its turn. Raises Refused where it cannot be scored, StorageError."""
        with self._changed, self._store.changing(batch):
            if batch.state.active or batch.state is State.DONE or not self._store.holds(batch):
                raise Refused(409, f"this batch is {batch.state} already, or was removed")
            if not batch.uploads:
                raise Refused(400, "this batch has no files")
            batch.state, batch.error, batch.done, batch.stage = State.QUEUED, None, 0, ""
            batch.total = len(batch.uploads)
            self._waiting.append(batch.id)
            self._changed.notify()

    def cancel(self, batch: Batch) -> None:
        """Take a batch out of the queue, or stop its scoring; what is scored by then is not lost. Raises Refused."""
        with self._changed, self._store.changing(batch):
            if batch.id in self._waiting:
                self._waiting.remove(batch.id)
                batch.state = State.STOPPED
            elif batch.id == self._current:
                self._stop_at = time.monotonic()
                batch.stage = "stopping"
            else:
                raise Refused(409, f"this batch is {batch.state}; there is nothing to stop")

    @contextmanager
    def at_rest(self, batch: Batch) -> Iterator[None]:
        """While this lasts nothing starts the batch. Raises Refused where it waits or is scored."""
        with self._changed:
            if batch.state.active:
                raise Refused(409, "this batch is waiting or being scored; stop it first")
            yield

    def ahead_of(self, batch: Batch) -> int:
        """Batches that are scored before this one."""
        with self._changed:
            running = int(self._current is not None)
            return self._waiting.index(batch.id) + running if batch.id in self._waiting else 0

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._score(batch)
            except FfpipeError as error:
                # The disk does not even take the news; the batch is where its file says it is.
                self._fail(batch, error.message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the batches behind it wait
                self._fail(batch, f"{type(error).__name__}: {error}")
            with self._changed:
                self._current = None

    def _fail(self, batch: Batch, why: str) -> None:
        batch.state, batch.error = State.FAILED, inert(why)
        self._say(f"batch {batch.id} failed: {why}")

    def _next(self) -> Batch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            if self._closing:
                return None
            batch = self._store.get(self._waiting.popleft())
            self._current, self._stop_at = batch.id, None
            return batch

    def _score(self, batch: Batch) -> None:
        with self._store.changing(batch):
            batch.state = State.RUNNING
        places = {self._store.uploads(batch) / upload.id: upload.name for upload in batch.uploads}
        order = Order(batch.id, self._store.folder(batch), places, self._settings, self._workspace)
        told = self._run(batch, order)
        with self._store.changing(batch):
            self._note(batch, told)
            if batch.state is State.DONE and not self._keep:
                # Noted first: a server that is killed in between must not score files that are gone.
                self._store.save(batch)
                self._store.forget_uploads(batch)
                batch.kept = False

    def _note(self, batch: Batch, told: Told) -> None:
        batch.stage = ""
        if told.kind == "finished":
            batch.state, batch.error = State.DONE, None
            batch.rows, batch.summary, batch.run = (told.value[key] for key in ("rows", "summary", "run"))
            self._say(f"batch {batch.id}: {batch.summary}")
        elif self._stop_at is None:
            batch.state, batch.error = State.FAILED, inert(told.value)
            self._say(f"batch {batch.id} failed: {told.value}")
        else:
            batch.state = State.QUEUED if self._closing else State.STOPPED

    def _run(self, batch: Batch, order: Order) -> Told:
        """What a runner said last; one that ended without a word has failed."""
        context: Any = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process: BaseProcess = context.Process(target=self._target, args=(theirs, os.getpid(), order))
        process.start()
        theirs.close()
        try:
            return self._listen(batch, process, ours)
        finally:
            process.kill()
            process.join()
            ours.close()

    def _listen(self, batch: Batch, process: BaseProcess, connection: Connection) -> Told:
        asked = False
        while True:
            try:
                if connection.poll(_LOOK_SECONDS):
                    told: Told = connection.recv()
                    if told.kind in ("finished", "failed"):
                        return told
                    self._hear(batch, told)
            except (EOFError, OSError):
                process.join(_GRACE_SECONDS)
                return Told("failed", f"its process ended with code {process.exitcode}")
            if self._stop_at is not None:
                if not asked:
                    process.terminate()
                    asked = True
                elif time.monotonic() - self._stop_at > _GRACE_SECONDS:
                    return Told("failed", "it did not stop in time and was ended")

    def _hear(self, batch: Batch, told: Told) -> None:
        if told.kind == "line":
            self._say(f"batch {batch.id}: {told.value}")
        elif self._stop_at is None:
            batch.done, batch.total, batch.stage = told.value
