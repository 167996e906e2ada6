"""What libraries read from the environment once, when they are imported: set here, before that."""

from __future__ import annotations

import os

#: Ray's switch between its multi-machine mode and the mode in which everything binds to 127.0.0.1. Its name tells
#: where it is off by default; on Linux too it is the only one that keeps every port of Ray off the network.
_CLUSTER_MODE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def prepare(address: str | None = None) -> None:
    """Set what is not set already: no telemetry, patient threads, and loopback alone for a cluster of this machine.

    `address` is that of the Ray cluster to be used, None where that is not known yet; a cluster at any address but
    "local" must be reachable from other machines.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Tasks that ask for no GPU must not lose sight of it: scoring workers take it where there is one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Threads that wait in a spin take the cores from the workers beside them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    if address == "local":
        os.environ.setdefault(_CLUSTER_MODE, "0")
