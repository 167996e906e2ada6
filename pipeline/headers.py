"""Opens the header of every file in decoding children, to tell which files do not open or were cut short."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Entry, Status
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.engine import available_cores
from ffpipe.pipeline.medium import sandbox_for
from ffpipe.pipeline.output import Advance
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

#: Files that are worth a further child: starting one takes as long as opening some of them.
_LEAST_SHARE = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """A file, what it came to, and why."""

    path: str
    status: Status
    reason: str | None = None

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.status}: {self.path}: {self.reason}"


def open_headers(
    entries: Sequence[Entry], settings: ExtractConfig, advance: Advance | None = None
) -> list[Finding]:
    """What is wrong with media, in their order; those of which nothing was seen to be wrong are left out."""
    cores = available_cores() if settings.workers is None else settings.workers
    shares = max(1, min(cores, len(entries) // _LEAST_SHARE))
    walk = _Walk(entries, settings, advance)
    with ThreadPoolExecutor(shares) as pool:
        try:
            found = [
                finding for part in pool.map(walk.share, range(shares), [shares] * shares) for finding in part
            ]
        except BaseException:
            walk.stop.set()
            raise
    return [finding for _, finding in sorted(found, key=lambda numbered: numbered[0])]


class _Walk:
    """Files opened by several threads, each with a child of its own."""

    def __init__(self, entries: Sequence[Entry], settings: ExtractConfig, advance: Advance | None) -> None:
        self.stop = threading.Event()
        self._entries = entries
        self._settings = settings
        self._advance = advance
        self._lock = threading.Lock()
        self._done = 0

    def share(self, first: int, step: int) -> list[tuple[int, Finding]]:
        """Findings of every `step`th file, with the places of their files."""
        found = []
        with sandbox_for(self._settings) as sandbox:
            for place in range(first, len(self._entries), step):
                if self.stop.is_set():
                    break
                if finding := _open(self._entries[place], sandbox):
                    found.append((place, finding))
                self._count()
        return found

    def _count(self) -> None:
        with self._lock:
            self._done += 1
            if self._advance:
                self._advance(self._done, len(self._entries), "")


def _open(entry: Entry, sandbox: DecodeSandbox) -> Finding | None:
    """What is wrong with a medium; None where nothing was seen to be."""
    listed = entry.pictures
    if listed and not listed.names:
        return Finding(entry.path, listed.lost, listed.fault)
    try:
        with sandbox.open(listed or entry.path, Sampling.of_count(), header_only=True) as medium:
            for _ in medium:
                pass
            lost = medium.partial_reason or (listed.fault if listed else None)
            return Finding(entry.path, Status.PARTIAL, lost) if lost else None
    except MediaError as error:
        return Finding(entry.path, Status(error.status), error.reason)
