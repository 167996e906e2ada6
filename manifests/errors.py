"""The few exceptions of ffpipe, picklable, each with the exit code that the command line returns for it."""

from __future__ import annotations

import errno
import os
from typing import ClassVar

#: How SQLite says it.
_SQLITE_FULL = "database or disk is full"


class FfpipeError(Exception):
    """Base of every error that a user can cause or mend; its text is one line.

    `exit_code` is what the command line returns: 1 bug, 2 usage, 74 input/output, 130 interrupted.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.message = self.args[0]

    def __reduce__(self) -> tuple[type[FfpipeError], tuple[str]]:
        return type(self), (self.message,)


class UsageError(FfpipeError):
    """What was asked for is not possible: a wrong option, an unknown name, a missing folder."""

    exit_code = 2


class ConfigMismatch(UsageError):
    """A folder already holds results of another configuration."""


class LockedError(UsageError):
    """Another run is writing to the same folder."""


class WeightsError(UsageError):
    """Weights are absent, damaged, or do not fit the model that they are loaded into."""


class StorageError(FfpipeError):
    """Reading or writing a file of ours failed, or its content is not what was committed."""

    exit_code = 74

    @property
    def disk_full(self) -> bool:
        """Whether what lacks is room, on the disk or in a quota: with more of it the same would go on."""
        said = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), _SQLITE_FULL)
        return any(words in self.message for words in said)


class IntegrityError(StorageError):
    """A stored file does not match its recorded hash, size or schema."""


class ClusterError(FfpipeError):
    """The Ray cluster broke under a job or has no node left; what was committed stays."""

    exit_code = 74


class MediaError(FfpipeError):
    """One input could not be used; becomes a row, never the end of a job.

    `status` is a value of `Status`; `reason` is one line for people.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = " ".join(reason.split())

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:  # type: ignore[override]
        return type(self), (self.status, self.reason)
