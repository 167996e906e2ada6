"""Takes from this process, by Linux's Landlock, the right to change or run any file; reading stays.

What is open already stays usable, and so is memory without a file. Landlock looks at paths, so it also binds what a
system-call filter cannot see.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection

#: The three system calls; they have the same numbers on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
#: Rights to a file, from <linux/landlock.h>.
_EXECUTE, _WRITE_FILE, _TRUNCATE = 1 << 0, 1 << 1, 1 << 14
#: First version that knows a right: rights taken. Version 1: execute, write, remove, and make seven kinds of entries;
#: 2: move between folders; 3: truncate; 5: commands to devices.
_FILE_RIGHTS = {1: _EXECUTE | _WRITE_FILE | 0x1FF << 4, 2: 1 << 13, 3: _TRUNCATE, 5: 1 << 15}
#: The same of TCP: bind and connect.
_NETWORK_RIGHTS = {4: 3}
#: The same of reaching other processes: abstract sockets and signals.
_SCOPES = {6: 3}


def guard_files(writable: Collection[int] = ()) -> int:
    """Lose the right to change and run files, for good and for every later thread; returns Landlock's version, or 0.

    `writable` are descriptors of regular files or devices that may be opened again for writing. 0 says that the system
    has no Landlock, or forbids it: then nothing changed. Must be called while the process has one thread.
    """
    version = _call(CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return 0
    rights = _known(_FILE_RIGHTS, version)
    ruleset = _call(
        CREATE_RULESET,
        struct.pack("=QQQ", rights, _known(_NETWORK_RIGHTS, version), _known(_SCOPES, version)),
        24,
        0,
    )
    if ruleset < 0:
        return 0
    try:
        allowed = rights & (_WRITE_FILE | _TRUNCATE)
        rules = [struct.pack("=Qi", allowed, descriptor) for descriptor in writable]
        if any(_call(ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0 for rule in rules):
            return 0
        if ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return 0
        return version if _call(RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


def _known(rights: dict[int, int], version: int) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)


def _call(number: int, *arguments: int | bytes | None) -> int:
    plain = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), *plain))
