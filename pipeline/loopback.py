"""Whether this machine can talk to itself: Ray's processes do so over 127.0.0.1, also where there is no network."""

from __future__ import annotations

import socket

from ffpipe.manifests.errors import UsageError

_DISCARD = 9  # the port that RFC 863 sets aside; nothing is sent to it


def usable() -> bool:
    """Whether 127.0.0.1 can be reached; asks the routing table and sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", _DISCARD))
    except OSError:
        return False
    return True


def require() -> None:
    """Raises UsageError where a cluster of this machine alone could not be started."""
    if not usable():
        raise UsageError(
            "--engine ray: Ray's processes talk over the loopback interface, which is down here; bring it up (ip link "
            "set lo up), or take --engine local"
        )
