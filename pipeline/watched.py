"""Whether a file stays the one that was hashed, from before it is opened until its last picture was looked at."""

from __future__ import annotations

from pathlib import Path

from ffpipe.manifests.content import file_facts, sha256_file
from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Pictures, Status

_GONE = "it was there when it was hashed and is gone since"
_TOUCHED = "the file changed while it was processed"
_PUT_BACK = (
    "the file was exchanged or written to while it was processed, also if its content is the same again: "
    "what was decoded need not be what was hashed"
)
_OTHER = (
    "its content is not the one that was hashed: it changed before it was decoded, or the hash comes from a cache "
    "that is stale; --rehash reads it anew"
)


class Watch:
    """Watches one input over its decoding; made before it is opened.

    A sequence of pictures is not watched: its content was checked as it was read.
    """

    def __init__(self, opened: str | Pictures, sha256: str) -> None:
        self._path = None if isinstance(opened, Pictures) else opened
        self._sha256 = sha256
        self._before = self._facts()

    def check_opened(self, facts: tuple[int, ...] | None) -> None:
        """Compare with what the decoder has open. Raises MediaError (changed)."""
        if self._path is not None and facts is not None and facts != self._before:
            raise MediaError(Status.CHANGED, _TOUCHED)

    def fault(self) -> MediaError | None:
        """After decoding: why nothing may be said of the file (changed, missing), or None; reads it once more."""
        if self._path is None:
            return None
        try:
            now = sha256_file(self._path)
        except FileNotFoundError:
            return MediaError(Status.MISSING, _GONE)
        except OSError as error:
            return MediaError(Status.CHANGED, f"it could not be read again after decoding: {error.strerror}")
        same = self._facts() == self._before
        if now != self._sha256:
            return MediaError(Status.CHANGED, _OTHER if same else _TOUCHED)
        return None if same else MediaError(Status.CHANGED, _PUT_BACK)

    def _facts(self) -> tuple[int, ...] | None:
        try:
            return None if self._path is None else file_facts(Path(self._path).stat())
        except (OSError, ValueError):
            return None
