"""Decodes a sequence of image files as one medium, in a folder or in a tar that is never unpacked to disk.

A picture's index is its position in the sequence. Nothing says when it was shown: its time is nominal, position / 25
seconds, which tells order and distance to what follows tracks, and nothing else; the probe has neither rate nor
duration. N of them are sampled as of a video that lasts as long.

Every picture is hashed, also those that are not looked at, and those that are looked at are decoded from the very
bytes that were hashed: where the content hash is not the one that was planned, the sequence ends as `changed`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from ffpipe.manifests.content import sequence_hash
from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Pictures, Probe, Status
from ffpipe.manifests.tars import TarFault, TarReader
from ffpipe.stages.decode.contract import Limits, Picture
from ffpipe.stages.decode.gate import HEAD_BYTES, open_regular, recognise
from ffpipe.stages.sampling import Sampling, for_scoring, shown_at, targets

if TYPE_CHECKING:
    from ffpipe.stages.decode.image import StillPicture

#: Pictures a second that nominal times are made with.
NOMINAL_RATE = 25.0
#: Bytes a second at which an archive is read and hashed on a slow and busy machine: what reading grants in time.
_READING_RATE = 16 << 20
#: Largest file of one picture.
_PICTURE_BYTES = 256 << 20
#: Part of the child's memory that pictures may take which wait until their archive is read on: one in so many.
_HELD_SHARE = 4
_BLOCK = 1 << 20


class Archives:
    """The archive read last, kept open where it stands, so that the next sequence in it is read on from there.

    Sequences come in the order in which they lie in their archive. One that lies before is read from the start again.
    """

    def __init__(self) -> None:
        self._reader: TarReader | None = None
        self._identity: tuple[str, int, int, int, int] | None = None

    def reader(self, path: str, position: int) -> TarReader:
        """A reader of this archive that stands at a byte of its unpacked content.

        Raises:
            MediaError: missing or unreadable, or no regular file.
            TarFault: it cannot be read up to there.
        """
        descriptor = open_regular(os.fsencode(path))
        facts = os.fstat(descriptor)
        os.close(descriptor)
        identity = (path, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if self._reader is None or self._identity != identity or self._reader.position > position:
            self.close()
            self._reader, self._identity = TarReader(path), identity
        self._reader.skip_to(position)
        return self._reader

    def close(self) -> None:
        """Let go of the archive."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._identity = None


def granted_seconds(pictures: Pictures, limits: Limits) -> float:
    """Seconds granted on top of those of any medium: for reading what lies before in an archive, and for each picture.

    As many for the pictures as for a video of their number.
    """
    reading = (pictures.start + pictures.bytes) / _READING_RATE if pictures.packed else 0.0
    return reading + limits.allowance(len(pictures.names) / NOMINAL_RATE)


@dataclass(slots=True)
class Sequence:
    """An opened sequence: its facts, how many looks were asked for, and the pictures that are looked at.

    `pictures` gives each of them with the number of looks that it answers. `faults` collects why pictures are missing.
    """

    probe: Probe
    targets: int
    pictures: Iterator[tuple[Picture, int]] = field(default_factory=lambda: iter(()))
    faults: list[str] = field(default_factory=list)


def open_pictures(
    given: Pictures, sampling: Sampling | None, limits: Limits, archives: Archives | None = None
) -> Sequence:
    """Open a sequence and decode the first picture that is looked at.

    Raises:
        MediaError: missing or unreadable, unsupported or too_large where not one picture can be used; too_large past
            the limits on pictures and bytes; changed.
    """
    limits.check_frames(len(given.names))
    if given.bytes > limits.max_bytes:
        raise MediaError(Status.TOO_LARGE, f"{given.bytes} bytes; the limit is {limits.max_bytes}")
    looks = _looks(len(given.names), sampling)
    reading = _Reading(given, looks, limits)
    pictures = reading.packed(archives or Archives()) if given.packed else reading.files()
    first = next(pictures, None)
    if first is None:
        raise reading.failure()
    probe = replace(reading.probe, container="pictures", duration=None, frame_count=len(given.names))
    return Sequence(probe, sum(looks.values()), chain([first], pictures), reading.faults)


def _looks(count: int, sampling: Sampling | None) -> dict[int, int]:
    """Position -> how many of the times that are looked at it answers."""
    duration = count / NOMINAL_RATE
    rule = sampling or for_scoring(duration)
    if rule.kind == "all" and count <= rule.max_frames:
        return dict.fromkeys(range(count), 1)
    times = targets(Sampling.of_count(rule.max_frames) if rule.kind == "all" else rule, 0.0, duration)
    shown = [position / NOMINAL_RATE for position in range(count)]
    return Counter(shown_at(shown, time) for time in times) if shown else {}


class _Reading:
    """Goes once through the pictures of a sequence: hashes all, decodes those that are looked at."""

    def __init__(self, given: Pictures, looks: dict[int, int], limits: Limits) -> None:
        self.probe = Probe()
        self.faults: list[str] = []
        self._given = given
        self._looks = looks
        self._limits = limits
        self._errors: list[MediaError] = []

    def failure(self) -> MediaError:
        """Why there is no picture at all: what the first one suffered from."""
        if not self._errors:
            return MediaError(Status.UNREADABLE, "no picture in it")
        return MediaError(self._errors[0].status, f"no picture could be decoded: {self._errors[0].reason}")

    def files(self) -> Iterator[tuple[Picture, int]]:
        """The pictures of a folder, one file after another."""
        hashes: list[str] = []
        for position, name in enumerate(self._given.names):
            try:
                data = self._file(os.path.join(self._given.place, name), position in self._looks, hashes)  # noqa: PTH118
                if position in self._looks:
                    yield self._decode(position, data)
            except MediaError as error:
                self._fault(name, error)
        self._check(hashes)

    def packed(self, archives: Archives) -> Iterator[tuple[Picture, int]]:
        """The pictures of an archive; they need not lie in it in their order, so they are held until it is read on."""
        positions = {name: position for position, name in enumerate(self._given.names)}
        hashes: dict[int, str] = {}
        held: dict[int, bytes] = {}
        try:
            self._gather(archives.reader(self._given.place, self._given.start), positions, hashes, held)
        except TarFault as fault:
            archives.close()
            self._fault(self._given.place, MediaError(Status.UNREADABLE, str(fault)))
        for position in sorted(self._looks):
            name = self._given.names[position]
            try:
                if position not in held:
                    raise MediaError(Status.MISSING, "not in the archive")
                yield self._decode(position, held.pop(position))
            except MediaError as error:
                self._fault(name, error)
        self._check(hashes[position] for position in sorted(hashes))

    def _check(self, hashes: Iterable[str]) -> None:
        """Raises MediaError where what was read is not what was planned."""
        if self._given.sha256 and sequence_hash(hashes) != self._given.sha256:
            raise MediaError(Status.CHANGED, "the pictures changed since they were listed")

    def _gather(
        self, reader: TarReader, positions: dict[str, int], hashes: dict[int, str], held: dict[int, bytes]
    ) -> None:
        left = self._limits.memory_bytes // _HELD_SHARE
        for member in reader.members():
            position = positions.get(member.name) if member.is_file else None
            if position is not None and position not in hashes:
                wanted = position in self._looks
                data, hashes[position] = _hashed(reader.content(), wanted)
                left -= len(data)
                if left < 0:
                    raise MediaError(
                        Status.TOO_LARGE,
                        "the pictures looked at are too many to hold; take fewer with --frames",
                    )
                if wanted:
                    held[position] = data
            if len(hashes) == len(positions):
                return

    def _file(self, path: str, wanted: bool, hashes: list[str]) -> bytes:
        """The bytes of a picture that is looked at, and nothing of others. Raises MediaError."""
        try:
            with open(open_regular(os.fsencode(path)), "rb", buffering=0) as file:  # noqa: PTH123
                data, digest = _hashed(iter(lambda: file.read(_BLOCK), b""), wanted)
        except OSError as error:
            raise MediaError(Status.UNREADABLE, error.strerror or type(error).__name__) from error
        hashes.append(digest)
        return data

    def _decode(self, position: int, data: bytes) -> tuple[StillPicture, int]:
        """A picture with its place. Raises MediaError."""
        if not data:
            raise MediaError(Status.UNREADABLE, "the file is empty")
        if len(data) > _PICTURE_BYTES:
            raise MediaError(Status.TOO_LARGE, f"more than {_PICTURE_BYTES} bytes")
        kind, name = recognise(data[:HEAD_BYTES])
        if kind != "image":
            raise MediaError(Status.UNSUPPORTED, f"a video ({name}) among pictures")
        from ffpipe.stages.decode.image import decode_image

        probe, picture = decode_image(io.BytesIO(data), name, self._limits)
        if self.probe == Probe():
            self.probe = probe
        picture.index, picture.pts_seconds = position, position / NOMINAL_RATE
        return picture, self._looks[position]

    def _fault(self, name: str, error: MediaError) -> None:
        self._errors.append(error)
        self.faults.append(f"{display_path(os.path.basename(name))}: {error.reason}")  # noqa: PTH119


def _hashed(blocks: Iterable[bytes], keep: bool) -> tuple[bytes, str]:
    """The bytes, where they are to be kept (one block too many tells a file that is too large), and their hash."""
    digest, kept = hashlib.sha256(), bytearray()
    for block in blocks:
        digest.update(block)
        if keep and len(kept) <= _PICTURE_BYTES:
            kept += block
    return bytes(kept), digest.hexdigest()
