"""Joining a Ray cluster, or starting one of this machine alone (loopback, token, no dashboard), and watching it."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
#: Seconds that a look may last; Ray ends a process whose question has been open for a minute.
ANSWER_SECONDS = 30.0
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
    head = ray_access.named_head(address)
    if head and not answers(head):
        # Ray would try for minutes.
        raise UsageError(f"--address {address}: no Ray cluster there: nothing listens at {head}")
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
    """What the cluster has, looked up now and then beside the job; the job needs so many cores of it.

    found: the cores that were there at the last look. broken: the cluster was found to be gone; Ray then ends a
    process that asks it for more.
    """

    def __init__(self, need: int = 1) -> None:
        self.broken = False
        self.found = _cores_now()
        self._need = need
        self._head = str(ray.get_runtime_context().gcs_address)
        # Behind a gateway (ray://) the head is out of reach from here; Ray itself then says when it is gone.
        self._watched = answers(self._head)
        self._began = time.monotonic()
        self._look: _Look | None = None
        self._silent = 0
        self._short_since: float | None = None

    def cores(self) -> int:
        """Cores of the cluster. Raises ClusterError where it is gone, or has had too few of them for too long."""
        now = time.monotonic()
        if self._look is None:
            if now - self._began >= LOOK_SECONDS:
                self._began, self._look = now, _Look(self._head if self._watched else None)
        elif not self._look.is_alive():
            self._heed(self._look, now)
            self._look = None
        elif now - self._began >= ANSWER_SECONDS:
            raise self._gone()
        return self.found

    def settle(self) -> None:
        """Wait for the look under way: the cluster must not be left, or ended, in the midst of a question."""
        if self._look and not self.broken:
            self._look.join(ANSWER_SECONDS)

    def _heed(self, look: _Look, now: float) -> None:
        if look.cores is None:
            self._silent += 1
            if self._silent >= _SILENT_LOOKS:
                raise self._gone()
            return
        self._silent, self.found = 0, look.cores
        self._require_enough(look.cores, now)

    def _gone(self) -> ClusterError:
        return self.lost(f"the Ray cluster's head at {self._head} does not answer")

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


class _Look(threading.Thread):
    """One look at the cluster: Ray answers no question, and refuses none, while its head is gone.

    cores: what was found; None where the head does not answer.
    """

    def __init__(self, head: str | None) -> None:
        super().__init__(name="look at the cluster", daemon=True)
        self.cores: int | None = None
        self._head = head
        self.start()

    def run(self) -> None:
        # A question that Ray refuses is as good as one that it leaves open.
        with suppress(ray.exceptions.RayError):
            if self._head is None or answers(self._head):
                self.cores = _cores_now()


def _cores_now() -> int:
    return int(ray.cluster_resources().get("CPU", 0))
