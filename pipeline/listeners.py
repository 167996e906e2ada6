"""Which of Ray's processes on this machine listen where, read from /proc alone."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTENING = "0A"
_PROC = Path("/proc")

#: Ray's role of a process by a word of its command line: the last part of a path, or a module's name.
_ROLES = {
    "gcs_server": "head (gcs_server)",
    "raylet": "raylet",
    "dashboard.py": "dashboard",
    "ray.util.client.server": "client server",
    "monitor.py": "autoscaler monitor",
    "log_monitor.py": "log monitor",
    "agent.py": "dashboard agent",
    "runtime_env/agent/main.py": "runtime environment agent",
}
#: How Ray's Python processes name themselves once they run.
_TITLE = "ray::"

#: Where Ray's dashboard listens unless told otherwise.
DASHBOARD_PORT = 8265


@dataclass(frozen=True, slots=True)
class Place:
    """An address that a socket listens on; an IPv4 address inside IPv6 is given as itself."""

    address: IPv4Address | IPv6Address
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether it is reached at every address of the machine."""
        return self.address.is_unspecified

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it."""
        return not self.address.is_loopback

    def __str__(self) -> str:
        shown = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{shown}:{self.port}"

    @property
    def dialled(self) -> str:
        """Where a process of this machine calls it."""
        here = self.address
        if self.is_wildcard:
            here = IPv4Address("127.0.0.1") if here.version == 4 else IPv6Address("::1")
        return str(Place(here, self.port))


@dataclass(frozen=True, slots=True)
class Listener:
    """A process of Ray that listens."""

    pid: int
    role: str
    place: Place


def ray_listeners() -> list[Listener]:
    """Every listening socket of every Ray process whose descriptors this user may read."""
    places = listening()
    found = []
    for process in _PROC.glob("[0-9]*"):
        role = ray_role(_words(process))
        if role is not None:
            found += [Listener(int(process.name), role, places[i]) for i in _sockets(process) if i in places]
    return sorted(found, key=lambda one: (one.pid, one.place.port))


def listening() -> dict[str, Place]:
    """The listening TCP sockets of this network namespace, by inode; also those of other users."""
    found: dict[str, Place] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6 has no such table
            found |= parse_table((_PROC / "net" / name).read_text())
    return found


def parse_table(text: str) -> dict[str, Place]:
    """The listening sockets of a table of /proc/net (tcp or tcp6), by inode."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return {row[9]: _place(row[1]) for row in rows if row[3] == _LISTENING}


def _place(text: str) -> Place:
    """`0100007F:1F90` and its like: words of the address in this machine's byte order, the port as a number."""
    words, _, port = text.partition(":")
    groups = [int(words[i : i + 8], 16) for i in range(0, len(words), 8)]
    address = ip_address(struct.pack(f"={len(groups)}I", *groups))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return Place(mapped or address, int(port, 16))


def ray_role(words: Sequence[str]) -> str | None:
    """What a process with this command line does for Ray; None where it is not one of Ray's."""
    if not words:
        return None
    if words[0].startswith(_TITLE):
        return words[0]
    for word in words:
        for tail, role in _ROLES.items():
            if word == tail or word.endswith(f"/{tail}"):
                return role if tail in ("gcs_server", "raylet") or "ray" in word else None
    return None


def _words(process: Path) -> list[str]:
    with contextlib.suppress(OSError):  # it has ended
        return [word.decode(errors="replace") for word in (process / "cmdline").read_bytes().split(b"\0")]
    return []


def _sockets(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                name = str(descriptor.readlink())
                if name.startswith("socket:["):
                    yield name[8:-1]


def serves(port: int) -> Iterator[Place]:
    """Where any process of this machine listens at a port."""
    return (place for place in listening().values() if place.port == port)
