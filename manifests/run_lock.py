"""Locks that keep a second run from an output while a first one is at work."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ffpipe.manifests.errors import LockedError, StorageError


class RunLock:
    """An exclusive lock on a folder, held by one driver; gone with the process, however it ends.

    The descriptor is close-on-exec, so that no child keeps the lock alive. A lock `of` a file in the folder leaves
    nothing behind when it is given back.
    """

    def __init__(self, path: Path, of: Path | None = None, doing: str = "writing to") -> None:
        self.path = path
        self._doing = doing
        self._of = of
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        while self._descriptor is None:
            self._descriptor = self._taken()
        return self

    def _taken(self) -> int | None:
        """The lock's descriptor; None where who held it deleted its file in between."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"cannot write to {self.path.parent}: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            what = self._of or self.path.parent
            raise LockedError(f"another run is {self._doing} {what}; wait for it or stop it") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return descriptor
        os.close(descriptor)
        return None

    def __exit__(self, *_: object) -> None:
        if self._descriptor is None:
            return
        if self._of:
            with suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = None
