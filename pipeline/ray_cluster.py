"""Joining a Ray cluster, or starting one of this machine alone: on loopback, with a token, without a dashboard."""

from __future__ import annotations

import logging
import signal
import socket
import threading
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
