"""The Ray engine: chunks as Ray Core tasks, a bounded number in flight, one core each."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
import ray.exceptions

from ffpipe.manifests.errors import FfpipeError
from ffpipe.pipeline import memory_limit
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
from ffpipe.pipeline.ray_cluster import Nodes, connect, ray_failure
from ffpipe.pipeline.stops import guard_against_stops

#: Losses of a node, or of its memory to other processes, that a chunk outlives; after them it is taken for the cause.
NODE_LOSSES = 3
#: Seconds that a job waits for a task before it looks at the cluster.
WAIT_SECONDS = 2.0

#: What says nothing of the medium: Ray ends workers when their node is short of memory, whoever took it; a worker that
#: takes too much itself is ended by its own guard.
_LOST_NODE = (ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)


class RayEngine(Engine):
    """Ray Core tasks, at most twice the cluster's cores in flight; nodes may come and go.

    The nodes of a cluster must share the workspace and the inputs: a common file system, the same paths.
    memory: bytes that a worker may hold; None takes `memory_limit`'s default on its node. `say` hears warnings.
    """

    name = "ray"

    def __init__(
        self,
        address: str,
        cores: int,
        memory: int | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._owner = connect(address, cores, say=say)
        self._most = cores if address == "local" else None
        self._memory = memory
        self._running: dict[Any, Chunk] = {}
        self._nodes = Nodes()
        self.slots = 1
        self._follow_nodes()

    def close(self) -> None:
        """Cancel what runs and leave the cluster, ending it if it was started here."""
        self._nodes.settle()
        if not self._nodes.broken:
            for reference in self._running:
                ray.cancel(reference, force=True)
        self._running.clear()
        if self._owner:
            ray.shutdown()

    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        queue = deque(chunks)
        losses: Counter[str] = Counter()
        while queue or self._running:
            while queue and len(self._running) < 2 * self.slots:
                chunk = queue.popleft()
                # The job travels with each task, not through Ray's store: a driver whose own node is lost
                # would be ended by Ray without a word when it reached for the store.
                self._running[_work.remote(job, chunk, self._memory)] = chunk
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=WAIT_SECONDS)
            for reference in done:
                chunk = self._running.pop(reference)
                result = self._collect(reference, chunk)
                if result is not None:
                    yield result
                elif (summary := job.committed(chunk)) is not None:
                    yield Outcome(chunk, summary)
                elif losses[chunk.id] < NODE_LOSSES:
                    losses[chunk.id] += 1
                    queue.append(chunk)
                else:
                    yield Crash(chunk, f"its node was lost or short of memory {NODE_LOSSES + 1} times")
            self._follow_nodes()

    def _collect(self, reference: Any, chunk: Chunk) -> Outcome | Crash | None:
        """What became of a task; None where it was lost with its node, or to a lack of memory there."""
        try:
            result = ray.get(reference)
        except ray.exceptions.WorkerCrashedError as error:
            return Crash(chunk, type(error).__name__)
        except _LOST_NODE:
            return None
        except ray.exceptions.LocalRayletDiedError:
            raise self._nodes.lost("Ray's process for this machine (raylet) ended") from None
        except ray.exceptions.RayError as error:
            raise ray_failure(error) from error
        if isinstance(result, BaseException):
            raise result
        return Outcome(chunk, result)

    def _follow_nodes(self) -> None:
        """Keep `slots` at what the cluster has. Raises ClusterError where it is gone, or empty for too long."""
        if cores := self._nodes.cores():
            self.slots = min(cores, self._most or cores)


# Ray repeats crashed and out-of-memory tasks without end or together with their neighbours; the engine's own
# rule (alone, a bounded number of times, then recorded) needs every loss reported.
@ray.remote(num_cpus=1, max_retries=0)  # type: ignore[untyped-decorator]
def _work(job: Job, chunk: Chunk, memory: int | None) -> Any:
    guard_against_stops()
    memory_limit.guard(memory)
    try:
        return warm_worker(job)(chunk, attempt_name())
    except FfpipeError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug in the worker is raised in the driver, with its place
        if memory_limit.is_exhausted(error):
            memory_limit.end_here()
        return portable(error)
