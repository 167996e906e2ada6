"""The engine contract, and the local engine: chunks of work in this process or in a pool of killable workers.

An engine hands each chunk to a warm worker, which does the work and commits it. Where a worker dies, the chunk's
items are tried again one by one, alone, a bounded number of times; what still kills its worker is recorded.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, Self

from ffpipe.manifests.errors import FfpipeError
from ffpipe.pipeline import environment, loopback, memory_limit
from ffpipe.pipeline.stops import guard_against_stops

#: Tries that a single item gets, alone, after the chunk that held it killed a worker.
RETRIES_ALONE = 2
#: Inputs from which `auto` takes Ray: starting a cluster costs seconds.
RAY_FROM_INPUTS = 8


@dataclass(frozen=True, slots=True)
class Chunk:
    """Items that are worked on and committed together; `cost` orders chunks, longest first."""

    id: str
    items: tuple[Any, ...]
    cost: float


Worker = Callable[[Chunk, str], dict[str, Any]]
"""Does a chunk's work under an attempt's name, commits it, and returns a small summary."""


class Job(Protocol):
    """What an engine runs: picklable, and cheap until `build` makes the worker inside a process."""

    @property
    def key(self) -> str:
        """Names the worker that `build` makes, so that a process keeps it warm."""

    def build(self) -> Worker:
        """Make the worker; called once in each process."""

    def single(self, item: Any) -> Chunk:
        """A chunk of one item."""

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        """Summary of a chunk that is committed already, else None."""

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        """Commit a chunk of one item as crashed, without touching the item."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A chunk whose worker died, with what is known of the cause."""

    chunk: Chunk
    cause: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished chunk and its worker's summary."""

    chunk: Chunk
    summary: dict[str, Any]


class Engine(ABC):
    """Runs the chunks of a job; a context manager, so that workers end with it."""

    name: str
    slots: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End every worker at once; what was not committed is not lost, since a resume does it again."""

    @abstractmethod
    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        """Run chunks in any order, one result each. Errors of ours end the job and are raised."""

    def run(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome]:
        """Run every chunk, longest first; yields one outcome a chunk, or one an item of a crashed chunk.

        Raises the FfpipeError that a worker raised (disk full, say), after which the job can be resumed.
        """
        suspects: list[Any] = []
        for result in self._execute(job, sorted(chunks, key=lambda c: (-c.cost, c.id))):
            if isinstance(result, Outcome):
                yield result
            elif (summary := job.committed(result.chunk)) is not None:
                yield Outcome(result.chunk, summary)
            else:
                suspects += result.chunk.items
        for item in suspects:
            yield self._alone(job, job.single(item))

    def _alone(self, job: Job, chunk: Chunk) -> Outcome:
        for _ in range(RETRIES_ALONE):
            (result,) = self._execute(job, [chunk])
            if isinstance(result, Outcome):
                return result
            if (summary := job.committed(chunk)) is not None:
                return Outcome(chunk, summary)
        return Outcome(chunk, job.poisoned(chunk, attempt_name()))


def attempt_name() -> str:
    """A name that no other attempt at a chunk has."""
    return uuid.uuid4().hex[:12]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class InlineEngine(Engine):
    """Works in this process; a crash of native code ends it, so it is for tests and debugging."""

    name = "local"
    slots = 1

    def close(self) -> None:
        """Nothing to end."""

    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        worker = warm_worker(job)
        for chunk in chunks:
            yield Outcome(chunk, worker(chunk, attempt_name()))


_warm: dict[str, Worker] = {}


def warm_worker(job: Job) -> Worker:
    """This process's worker for a job, built on first use; only the latest job's worker is kept."""
    if job.key not in _warm:
        single_thread()
        _warm.clear()
        _warm[job.key] = job.build()
    return _warm[job.key]


def single_thread() -> None:
    """One thread for every library in a worker: workers, not threads, fill the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


class PoolEngine(Engine):
    """Works in `slots` processes of this machine, each replaced when it dies.

    memory: bytes that a worker may hold; None takes `memory_limit`'s default.
    """

    name = "local"

    def __init__(self, slots: int, memory: int | None = None) -> None:
        self.slots = slots
        self._memory = memory
        self._workers: list[_PoolWorker] = []

    def close(self) -> None:
        """Kill the worker processes."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        queue = deque(chunks)
        while queue or any(worker.chunk for worker in self._workers):
            self._feed(job, queue)
            busy = {worker.connection: worker for worker in self._workers if worker.chunk}
            for ready in wait(list(busy)):
                yield self._collect(busy[ready])  # type: ignore[index]

    def _feed(self, job: Job, queue: deque[Chunk]) -> None:
        wanted = len(queue) + sum(worker.chunk is not None for worker in self._workers)
        while len(self._workers) < min(self.slots, wanted):
            self._workers.append(_PoolWorker(self._memory))
        for worker in self._workers:
            if queue and worker.chunk is None:
                worker.send(job, queue.popleft())

    def _collect(self, worker: _PoolWorker) -> Outcome | Crash:
        chunk = worker.chunk
        assert chunk is not None
        try:
            result = worker.receive()
        except (EOFError, ConnectionError):
            worker.kill()
            self._workers.remove(worker)
            return Crash(chunk, f"worker ended with code {worker.exit_code}")
        if isinstance(result, BaseException):
            raise result
        return Outcome(chunk, result)


class _PoolWorker:
    """One worker process and the pipe to it."""

    def __init__(self, memory: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, inner = context.Pipe()
        self.chunk: Chunk | None = None
        self._process = context.Process(target=_serve, args=(inner, os.getpid(), memory), daemon=True)
        with _interrupts_held():
            self._process.start()
        inner.close()

    @property
    def exit_code(self) -> int | None:
        """Exit code of the ended process; negative for a signal."""
        return self._process.exitcode

    def send(self, job: Job, chunk: Chunk) -> None:
        self.chunk = chunk
        # A worker that is dead already shows as end of file when its answer is read.
        with contextlib.suppress(ConnectionError):
            self.connection.send((job, chunk))

    def receive(self) -> Any:
        result = self.connection.recv()
        self.chunk = None
        return result

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Around the start of a process: it inherits that Ctrl-C is held back, also while it imports. Ours comes after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, parent: int, memory: int | None) -> None:
    """Body of a pool worker: chunks in, summaries or errors out, until the pipe closes."""
    # Here, since it comes with numpy, which a command that starts no worker need not wait for.
    from ffpipe.stages.decode.protection import die_with_parent

    die_with_parent(parent)
    memory_limit.guard(memory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard_against_stops()
    while True:
        try:
            job, chunk = connection.recv()
        except EOFError:
            return
        try:
            connection.send(warm_worker(job)(chunk, attempt_name()))
        except FfpipeError as error:
            connection.send(error)
        except Exception as error:  # noqa: BLE001 - a bug in the worker is raised in the driver, with its place
            if memory_limit.is_exhausted(error):
                memory_limit.end_here()
            connection.send(portable(error))


class WorkerBug(RuntimeError):
    """An unexpected error in a worker, with the worker's traceback as text."""


def portable(error: Exception) -> WorkerBug:
    """An unexpected error in a form that can be pickled whatever the error holds."""
    import traceback

    return WorkerBug("".join(traceback.format_exception(error)))


def create_engine(
    name: str,
    address: str,
    workers: int | None,
    inputs: int,
    memory: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Engine:
    """The engine for a job of `inputs` inputs; `auto` is Ray from RAY_FROM_INPUTS up, or where an address is given.

    `workers` 0 works in this process, which makes `auto` local; None means one worker a core. Where the loopback
    interface is down, on which Ray's processes talk, `auto` is local too.
    `memory` is a worker's, in GiB. `say` hears warnings about the cluster.
    """
    most = None if memory is None else int(memory * (1 << 30))
    if name == "auto":
        worth = inputs >= RAY_FROM_INPUTS and workers != 0 and loopback.usable()
        name = "ray" if worth or address != "local" else "local"
    slots = max(1, available_cores() if workers is None else workers)
    if name == "ray":
        environment.prepare(address)
        from ffpipe.pipeline.ray_engine import RayEngine

        return RayEngine(address, slots, most, say)
    if workers == 0:
        return InlineEngine()
    return PoolEngine(min(slots, max(1, inputs)), most)
