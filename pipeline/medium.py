"""One medium from file to records, fused in the worker that holds it: hash, decode, faces, statistics."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Entry, FaceRecord, MediaRecord, Probe, Status
from ffpipe.pipeline.config import FrameSettings
from ffpipe.pipeline.guides import Guide, OtherFrames
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.watched import Watch
from ffpipe.stages.crop import BLOCK, CropSettings, Kind
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.contract import Frame
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.detect import create_detector
from ffpipe.stages.faces import FaceSettings, MediumFaces, find_faces
from ffpipe.stages.sampling import SCORING_RULE, Sampling


@dataclass(frozen=True, slots=True)
class MediumResult:
    """A medium's facts (without what its dataset knows), its faces, and the seconds it took.

    guide: the medium whose boxes were to be taken; guided: whether they were, its frames being the same.
    times: the presentation time in seconds of every frame that was looked at, by its index.
    """

    media: MediaRecord
    faces: list[FaceRecord] = field(default_factory=list)
    seconds: float = 0.0
    guide: str | None = None
    guided: bool = False
    times: Mapping[int, float] = field(default_factory=dict)

    @property
    def n_faces(self) -> int:
        """Faces found in it; none where its content was known before."""
        return len(self.faces)


def sampling_from(settings: FrameSettings, default: Sampling | None) -> Sampling | None:
    """The sampling that the settings ask for, else `default` (None: as many as scoring a video needs)."""
    if settings.every is not None:
        return Sampling.of_every(settings.every)
    if settings.frames == "all":
        return Sampling.of_all()
    return default if settings.frames is None else Sampling.of_count(settings.frames)


def choices_line(settings: FrameSettings, default: Sampling | None, kind: Kind) -> str:
    """What is taken of each medium and by which means, in a line for people."""
    sampling = sampling_from(settings, default)
    frames = sampling.describe() if sampling else SCORING_RULE
    taken = {
        "face": f"faces by {settings.detector}",
        "crop": "ready-made face crops",
        "whole": "every frame whole, without looking for faces",
    }
    return f"of each video {frames}; {taken[kind]}; decoded by {settings.decoder}"


def sandbox_for(settings: FrameSettings) -> DecodeSandbox:
    """A decoding child with the decoder and the limits of the settings."""
    limits = Limits(
        max_pixels=settings.max_pixels, wall_seconds=settings.timeout, max_bytes=settings.max_bytes
    )
    return DecodeSandbox(decoder=settings.decoder, limits=limits)


class MediumReader:
    """Reads media one after another with a warm detector and a warm decoding child; one per worker process."""

    def __init__(self, settings: FrameSettings, crop: CropSettings, default: Sampling | None) -> None:
        self._sampling = sampling_from(settings, default)
        self._faces = FaceSettings(crop=crop)
        self._detector = create_detector(settings.detector) if crop.kind == "face" else None
        self._sandbox = sandbox_for(settings)

    def close(self) -> None:
        """End the decoding child."""
        self._sandbox.close()

    def read(self, item: MediumItem, guide: Guide | None = None) -> MediumResult:
        """Everything found in a medium; what goes wrong becomes its status and reason.

        With a guide its boxes are cut, unless the frames are not the same: then faces are searched, and the reason
        says why.
        """
        began = time.monotonic()
        if item.status is not None:
            return MediumResult(blank(item, item.status, item.reason))
        watch = Watch(item.opened, item.sha256)
        try:
            found = self._decode(item, guide, watch)
        except MediaError as error:
            found = MediumResult(blank(item, Status(error.status), error.reason))
        if fault := watch.fault():
            # Nothing of another content than the one that was planned may stay.
            found = MediumResult(blank(item, Status(fault.status), fault.reason))
        tried = guide.media.media_id if guide else None
        return replace(found, seconds=time.monotonic() - began, guide=tried)

    def _decode(self, item: MediumItem, guide: Guide | None, watch: Watch) -> MediumResult:
        """What is found in the medium, by the guide's boxes where these are its frames. Raises MediaError."""
        if guide is None:
            return self._look(item, None, watch)
        try:
            return replace(self._look(item, guide, watch), guided=True)
        except OtherFrames as difference:
            found = self._look(item, None, watch)
            note = f"faces searched in this copy itself: {difference}"
            reason = "; ".join(filter(None, [found.media.reason, note]))
            return replace(found, media=replace(found.media, reason=reason))

    def _look(self, item: MediumItem, guide: Guide | None, watch: Watch) -> MediumResult:
        """What is found in the medium. Raises MediaError, and OtherFrames where the guide does not fit."""
        times: dict[int, float] = {}
        with self._sandbox.open(item.opened, self._sampling) as medium:
            watch.check_opened(medium.file)
            if guide:
                guide.check_header(medium.probe)
            found = find_faces(
                _timed(medium, times),
                self._detector,
                self._faces,
                media_id=item.media_id,
                given=guide.faces if guide else None,
            )
            media = with_probe(blank(item, Status.OK), medium.probe)
            reason = "; ".join(filter(None, [medium.partial_reason, item.fault])) or None
            expected, decoded = medium.targets, medium.decoded
        if guide:
            guide.check_frames(times, whole=not reason)
        media = replace(
            media,
            frames_expected=expected,
            frames_decoded=decoded,
            faces=len(found.faces),
            tracks=found.tracks,
            faces_too_small=found.too_small,
            faces_dropped=found.dropped,
        )
        if reason:
            media = replace(media, status=Status.PARTIAL, reason=reason)
        elif not found.faces:
            media = replace(media, status=Status.NO_FACE, reason=self._why_no_face(found, guide))
        return MediumResult(media, found.faces, times=times)

    def _why_no_face(self, found: MediumFaces, guide: Guide | None) -> str:
        if self._faces.crop.kind == "whole":
            return f"no frame has {2 * BLOCK} x {2 * BLOCK} pixels, the least that is looked at"
        parts = [f"{found.too_small} too small"] * bool(found.too_small)
        parts += [f"{found.dropped} in tracks too short to trust"] * bool(found.dropped)
        where = f" in {guide.name} of the clip" if guide else ""
        return f"no face found{where}" + (f" ({', '.join(parts)})" if parts else "")


def _timed(frames: Iterable[Frame], times: dict[int, float]) -> Iterator[Frame]:
    """The frames, their times by index noted as they pass."""
    for frame in frames:
        times[frame.index] = frame.pts_seconds
        yield frame


def blank(item: MediumItem, status: Status, reason: str | None = None) -> MediaRecord:
    """The media record of an item's first path, with nothing known but its identity and status."""
    return for_entry(
        MediaRecord(
            media_id=item.media_id,
            path="",
            path_bytes=b"",
            sha256=item.sha256,
            bytes=item.bytes,
            status=status,
            reason=reason,
        ),
        item.entries[0],
    )


def with_probe(media: MediaRecord, probe: Probe) -> MediaRecord:
    """The record with the facts of the container's header."""
    return replace(media, **{name: getattr(probe, name) for name in Probe.__slots__})


def for_entry(media: MediaRecord, entry: Entry, dataset: str | None = None) -> MediaRecord:
    """The record of the same content under another path, with what the dataset's layout knows of that path."""
    return replace(
        media,
        path=display_path(entry.path),
        path_bytes=os.fsencode(entry.path),
        dataset=dataset,
        **{name: getattr(entry, name) for name in Entry.__slots__ if name not in ("path", "pictures")},
    )
