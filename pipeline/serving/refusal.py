"""What the local page refuses, as one line with the HTTP status that goes with it."""

from __future__ import annotations

from ffpipe.manifests.errors import FfpipeError, LockedError, StorageError, UsageError


class Refused(UsageError):
    """A request that cannot be done; `status` is that of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[Refused], tuple[int, str]]:  # type: ignore[override]
        return type(self), (self.status, self.message)


def http_status(error: FfpipeError) -> int:
    """The status of the answer that an error becomes."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, StorageError):
        return 507
    if isinstance(error, LockedError):
        return 409
    return 400 if isinstance(error, UsageError) else 500
