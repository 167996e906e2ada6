"""The Ray engine: chunks as Ray Core tasks, a bounded number in flight, one core each."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
import ray.exceptions

from ffpipe.manifests.errors import ClusterError, FfpipeError
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
from ffpipe.pipeline.ray_cluster import answers, connect

#: Losses of a node that a chunk outlives; after them it is taken for the cause.
NODE_LOSSES = 3
#: Seconds that a job waits for a cluster without a core to get one; a cloud's nodes take minutes to come.
NODE_PATIENCE = 300.0
#: Seconds between two looks at the cluster's nodes.
LOOK_SECONDS = 2.0
#: Looks in a row that the head must leave unanswered before it counts as gone.
_SILENT_LOOKS = 5

_LOST_WORKER = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)
_RESUME = "what is committed stays, and the same command goes on from there"


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
        self._nodes = _Nodes()
        self.slots = 1
        self._follow_nodes()

    def close(self) -> None:
        """Cancel what runs and leave the cluster, ending it if it was started here."""
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
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=LOOK_SECONDS)
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
                    yield Crash(chunk, f"its node was lost {NODE_LOSSES + 1} times")
            self._follow_nodes()

    def _collect(self, reference: Any, chunk: Chunk) -> Outcome | Crash | None:
        """What became of a task; None where it was lost with its node."""
        try:
            result = ray.get(reference)
        except _LOST_WORKER as error:
            return Crash(chunk, type(error).__name__)
        except ray.exceptions.NodeDiedError:
            return None
        except ray.exceptions.LocalRayletDiedError:
            raise self._nodes.lost("Ray's process for this machine (raylet) ended") from None
        except ray.exceptions.RayError as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise ClusterError(f"Ray failed: {type(error).__name__}: {first}; {_RESUME}") from error
        if isinstance(result, BaseException):
            raise result
        return Outcome(chunk, result)

    def _follow_nodes(self) -> None:
        """Keep `slots` at what the cluster has. Raises ClusterError where it is gone, or empty for too long."""
        cores = self._nodes.cores()
        if cores:
            self.slots = min(cores, self._most or cores)


class _Nodes:
    """What the cluster has, looked up now and then.

    broken: it was found to be gone; Ray then ends a process that asks it for more.
    """

    def __init__(self) -> None:
        self.broken = False
        head = str(ray.get_runtime_context().gcs_address)
        # Behind a gateway (ray://) the head is out of reach from here; Ray itself then says when it is gone.
        self._head = head if answers(head) else None
        self._looked = -math.inf
        self._silent = 0
        self._empty_since: float | None = None

    def cores(self) -> int | None:
        """Cores of the cluster; None between two looks. Raises ClusterError."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        if self._head and not answers(self._head):
            self._silent += 1
            if self._silent >= _SILENT_LOOKS:
                raise self.lost(f"the Ray cluster's head at {self._head} does not answer")
            return None
        self._silent = 0
        found = int(ray.cluster_resources().get("CPU", 0))
        self._require_some(found, now)
        return found

    def _require_some(self, cores: int, now: float) -> None:
        if cores:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since >= NODE_PATIENCE:
            raise ClusterError(
                f"the Ray cluster has had no node with a core for {now - self._empty_since:.0f} s; {_RESUME}"
            )

    def lost(self, what: str) -> ClusterError:
        """The error of a cluster that is gone."""
        self.broken = True
        return ClusterError(f"{what}; {_RESUME}")


# Ray repeats crashed and out-of-memory tasks without end or together with their neighbours; the engine's own
# rule (alone, a bounded number of times, then recorded) needs every loss reported.
@ray.remote(num_cpus=1, max_retries=0)  # type: ignore[untyped-decorator]
def _work(job: Job, chunk: Chunk, memory: int | None) -> Any:
    memory_limit.guard(memory)
    try:
        return warm_worker(job)(chunk, attempt_name())
    except FfpipeError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a bug in the worker is raised in the driver, with its place
        if memory_limit.is_exhausted(error):
            memory_limit.end_here()
        return portable(error)
