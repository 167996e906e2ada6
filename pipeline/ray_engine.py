"""The Ray engine: chunks as Ray Core tasks, a bounded number in flight, one core each."""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.exceptions

from ffpipe.manifests.errors import FfpipeError, UsageError
from ffpipe.pipeline import loopback
from ffpipe.pipeline.engine import (
    Chunk,
    Crash,
    Engine,
    Job,
    Outcome,
    attempt_name,
    portable,
    warm_worker,
)
from ffpipe.pipeline.stops import guard_against_stops

#: Only plans and summaries cross the object store; pixels never do.
OBJECT_STORE_BYTES = 150 << 20

_LOST_WORKER = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
)


def connect(address: str, cores: int, gpus: int | None = None) -> bool:
    """Join the cluster at `address`, or start one of this machine alone on loopback.

    Returns whether a cluster was started here. Raises UsageError when `address` cannot be reached.
    """
    if ray.is_initialized():
        return False
    with _own_signals():
        return _start(address, cores, gpus)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers of SIGINT and SIGTERM: Ray's native ones end it with a dump of its stack."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _start(address: str, cores: int, gpus: int | None) -> bool:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address != "local":
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"--address {address}: no Ray cluster there: {error}") from None
        return False
    loopback.require()
    ray.init(
        address="local",
        num_cpus=cores,
        num_gpus=gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        **quiet,
    )
    return True


class RayEngine(Engine):
    """Ray Core tasks, at most twice the cluster's cores in flight."""

    name = "ray"

    def __init__(self, address: str, cores: int) -> None:
        self._owner = connect(address, cores)
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        if address == "local":
            self.slots = min(self.slots, cores)
        self._running: dict[Any, Chunk] = {}

    def close(self) -> None:
        """Cancel what runs and leave the cluster, ending it if it was started here."""
        for reference in self._running:
            ray.cancel(reference, force=True)
        self._running.clear()
        if self._owner:
            ray.shutdown()

    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        queue = deque(chunks)
        shared = ray.put(job)
        while queue or self._running:
            while queue and len(self._running) < 2 * self.slots:
                chunk = queue.popleft()
                self._running[_work.remote(shared, chunk)] = chunk
            done, _ = ray.wait(list(self._running), num_returns=1)
            for reference in done:
                yield self._collect(reference, self._running.pop(reference))

    def _collect(self, reference: Any, chunk: Chunk) -> Outcome | Crash:
        try:
            result = ray.get(reference)
        except _LOST_WORKER as error:
            return Crash(chunk, type(error).__name__)
        if isinstance(result, BaseException):
            raise result
        return Outcome(chunk, result)


# Ray repeats crashed and out-of-memory tasks without end or together with their neighbours; the engine's own
# rule (alone, a bounded number of times, then recorded) needs every loss reported.
@ray.remote(num_cpus=1, max_retries=0)  # type: ignore[untyped-decorator]
def _work(job: Job, chunk: Chunk) -> Any:
    guard_against_stops()
    try:
        return warm_worker(job)(chunk, attempt_name())
    except FfpipeError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug in the worker is raised in the driver, with its place
        return portable(error)
