"""Makes this process, and what it starts, see a system that forbids some means of protection, as containers do.

A filter answers the calls as such a system does, so that what is tested is the product as it stands.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection

from ffpipe.stages.decode import syscalls

#: What can be denied: the call's numbers on x86_64 and aarch64, an argument (None: any), and the error it gives.
_DENIALS: dict[str, tuple[tuple[int, int], int | None, int]] = {
    "namespace": ((272, 97), None, 1),
    "landlock": ((444, 444), None, 38),
    "calls": ((157, 167), 22, 22),
}


def deny(measures: Collection[str]) -> None:
    """Deny measures by the names of `Protection`'s fields: namespace, landlock, calls."""
    load, equal, give, allow = 0x20, 0x15, 0x06, 0x7FFF0000
    column = ["x86_64", "aarch64"].index(os.uname().machine)
    lines: list[tuple[int, int, int, int]] = []
    for numbers, argument, error in (_DENIALS[name] for name in measures):
        lines += [(load, 0, 0, 0), (equal, 0, 1 if argument is None else 3, numbers[column])]
        lines += [] if argument is None else [(load, 0, 0, 16), (equal, 0, 1, argument)]
        lines.append((give, 0, 0, 0x50000 | error))
    lines.append((give, 0, 0, allow))
    if not syscalls.install(b"".join(struct.pack("<HBBI", *line) for line in lines)):
        raise OSError("this system has no system-call filters to deny anything with")
