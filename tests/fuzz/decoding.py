"""What becomes of mutants of media in the decoding child, and what must be true of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.pictures import list_tar
from ffpipe.manifests.records import FAILED_STATUSES
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.decoding import Medium
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling
from fuzz.mutations import mutant
from fuzz.seeds import seed

#: Seconds that one mutant may take; the sound files take hundredths of one.
LIMITS = Limits(wall_seconds=5, cpu_seconds=5, seconds_per_second=0.1)
#: What a mutant may end with; a crash of the child would be told as `crashed`, and a hang as `timeout`.
ENDINGS = {"ok", "partial", "unreadable", "unsupported", "too_large"}
_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Ending:
    """How a medium ended: its status, the reason on one line, the pictures that it gave, and what they show."""

    status: str
    reason: str = ""
    pictures: int = 0
    shown: str = ""


def ending(sandbox: DecodeSandbox, medium: Medium) -> Ending:
    """Decode a few pictures of a medium."""
    shown, decoded = hashlib.sha256(), 0
    try:
        with sandbox.open(medium, Sampling.of_count(_FRAMES)) as media:
            for frame in media:
                decoded += 1
                shown.update(
                    f"{frame.index} {frame.pts_seconds} {frame.rgb.shape}".encode() + frame.rgb.tobytes()
                )
    except MediaError as error:
        return Ending(str(error.status), error.reason, decoded)
    return Ending(
        "partial" if media.partial_reason else "ok", media.partial_reason or "", decoded, shown.hexdigest()
    )


def sound(sandbox: DecodeSandbox, folder: Path, name: str) -> Ending:
    """How a seed itself ends."""
    return _of_bytes(sandbox, folder, name, seed(name))


def of_mutant(sandbox: DecodeSandbox, folder: Path, name: str, number: int) -> Ending:
    """How a mutant ends."""
    return _of_bytes(sandbox, folder, name, mutant(name, number))


def _of_bytes(sandbox: DecodeSandbox, folder: Path, name: str, content: bytes) -> Ending:
    path = folder / f"medium.{name}"
    path.write_bytes(content)
    if name != "tar":
        return ending(sandbox, path)
    listed = list_tar(str(path))
    ends = [ending(sandbox, pictures) for pictures in listed.sequences.values() if pictures.names]
    return ends[0] if ends else Ending("unreadable", listed.fault or "no picture in it")


def endings(
    sandbox: DecodeSandbox, folder: Path, which: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Ending]:
    """How each mutant ends, all in one sandbox; each checked as it ends, and a sound clip after every eighth.

    A failure names the seed and the number: `fuzz.mutations.mutant(name, number)` makes the file again.
    """
    before = sound(sandbox, folder, "mp4")
    assert (before.status, before.pictures) == ("ok", _FRAMES)
    found = {}
    for place, (name, number) in enumerate(which):
        one = of_mutant(sandbox, folder, name, number)
        told = f"mutant({name!r}, {number}) with {sandbox.decoder}: {one}"
        assert one.status in ENDINGS, told
        assert (one.status in FAILED_STATUSES) == bool(one.reason and not one.shown), told
        assert one.pictures > 0 or one.status not in ("ok", "partial"), told
        assert "\n" not in one.reason, told
        assert len(one.reason) < 500, told
        found[name, number] = one
        if place % 8 == 7:
            assert sound(sandbox, folder, "mp4") == before, f"the clip after {told}"
    return found
