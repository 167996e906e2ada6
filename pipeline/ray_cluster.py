"""Joining a Ray cluster, or starting one of this machine alone (loopback, token, no dashboard), and watching it."""

from __future__ import annotations

import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.exceptions

from ffpipe.manifests.errors import ClusterError, UsageError
from ffpipe.pipeline import loopback, ray_access

#: Only plans and summaries cross the object store; pixels never do.
OBJECT_STORE_BYTES = 150 << 20
#: Seconds that the head's port may take to accept a connection.
_CONNECT_SECONDS = 5.0
#: Seconds that a job waits for a cluster with too few cores to get more; a cloud's nodes take minutes to come.
NODE_PATIENCE = 300.0
#: Seconds between two looks at the cluster's nodes.
LOOK_SECONDS = 2.0
#: Looks in a row that the head must leave unanswered before it counts as gone.
_SILENT_LOOKS = 5
RESUME = "what is committed stays, and the same command goes on from there"
_UNGUARDED = (
    f"warning: {ray_access.MODE} is not token, so any user of this machine can run code in the Ray cluster that is "
    f"started here; unset {ray_access.MODE}"
)


def connect(
    address: str, cores: int, gpus: int | None = None, say: Callable[[str], None] | None = None
) -> bool:
    """Join the cluster at `address`, or start one of this machine alone on loopback, which asks for a token.

    Returns whether a cluster was started here. `say` hears a warning where a cluster obeys anybody. Raises UsageError
    when `address` cannot be reached, or refuses the token.
    """
    if ray.is_initialized():
        return False
    _keep_stdout_for_data()
    with _own_signals():
        warning = _start(cores, gpus) if address == "local" else _join(address)
    if warning and say:
        say(warning)
    return address == "local"


def answers(head: str) -> bool:
    """Whether the head of a cluster, at `host:port`, accepts a connection."""
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def ray_failure(error: ray.exceptions.RayError) -> ClusterError:
    """What Ray raised of itself, in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return ClusterError(f"Ray failed: {type(error).__name__}: {first}; {RESUME}")


def _keep_stdout_for_data() -> None:
    """Have Ray print what befalls its processes nowhere: it would use standard output, which is for data.

    What it costs a job is told by the job.
    """
    import ray._private.worker

    ray._private.worker.print_to_stdstream = _print_nothing


def _print_nothing(*_: Any, **__: Any) -> None:
    """In the place of Ray's printer of messages."""


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


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def _join(address: str) -> str | None:
    """Returns a warning where the cluster asks for no token."""
    ray_access.require_admission(address)
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if ray_access.is_refusal(error):
            raise ray_access.refusal(address) from None
        raise UsageError(f"--address {address}: no Ray cluster there: {error}") from None
    return ray_access.open_cluster_warning(address, ray.get_runtime_context().gcs_address)


def _start(cores: int, gpus: int | None) -> str | None:
    """Returns a warning where the user had the cluster ask for no token."""
    loopback.require()
    guarded = ray_access.grant_token()
    try:
        ray.init(
            address="local",
            num_cpus=cores,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            **_QUIET,
        )
    except Exception as error:
        # Ray raises plain exceptions here, when a busy machine does not start its processes in time above all.
        raise ClusterError(f"Ray did not start: {error}; --engine local does without it") from error
    return None if guarded else _UNGUARDED


class Nodes:
    """What the cluster has, looked up now and then; a job needs so many cores of it.

    broken: it was found to be gone; Ray then ends a process that asks it for more.
    """

    def __init__(self, need: int = 1) -> None:
        self.broken = False
        self._need = need
        head = str(ray.get_runtime_context().gcs_address)
        # Behind a gateway (ray://) the head is out of reach from here; Ray itself then says when it is gone.
        self._head = head if answers(head) else None
        self._looked = -math.inf
        self._silent = 0
        self._short_since: float | None = None

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
        self._require_enough(found, now)
        return found

    def _require_enough(self, cores: int, now: float) -> None:
        if cores >= self._need:
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now
        elif now - self._short_since >= NODE_PATIENCE:
            raise ClusterError(
                f"the Ray cluster has had fewer cores than the job needs ({cores} of {self._need}) for "
                f"{now - self._short_since:.0f} s; {RESUME}"
            )

    def lost(self, what: str) -> ClusterError:
        """The error of a cluster that is gone."""
        self.broken = True
        return ClusterError(f"{what}; {RESUME}")
