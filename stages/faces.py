"""The fused step of one medium: frames go in, stored face records come out, and no frame is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.manifests.records import Box, FaceRecord, Status
from ffpipe.stages.crop import (
    MAX_STORED_PIXELS,
    CropBox,
    CropSettings,
    Image,
    crop_box,
    crop_for_ready_made,
    cut,
    encode_crop,
    sharpness,
    store,
    too_small,
)
from ffpipe.stages.detect import Detection, FaceDetector
from ffpipe.stages.shots import frame_signature
from ffpipe.stages.statistics import face_sida
from ffpipe.stages.track import Tracker, TrackSettings, distinct

if TYPE_CHECKING:
    from ffpipe.stages.decode import Frame

#: Faces known beforehand: frame index -> (track_id, detection) of each face, in pixels of the frames to come.
GivenFaces = Mapping[int, Sequence[tuple[int, Detection]]]

#: What the `detector` column says of faces that no detector found, and of whole pictures.
READY_MADE, WHOLE = "cropped", "whole"
#: Most bytes of encoded pictures that a medium taken whole may have, since all are held until it is stored.
WHOLE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """How the faces of a medium are found and cut.

    max_faces: per frame; of more, the largest and most confident are kept. With crop settings of another kind than
    "face" every frame is taken as it is, as one track.
    """

    crop: CropSettings = CropSettings()
    track: TrackSettings = TrackSettings()
    max_faces: int = 32


@dataclass(frozen=True, slots=True)
class MediumFaces:
    """The faces of a medium, by frame and then by track, and what was left out.

    too_small: crops with fewer than 2 x 2 blocks of picture; dropped: faces of tracks judged false;
    duplicates: detections nested in another; over_limit: faces beyond `FaceSettings.max_faces`;
    downscaled: crops that were larger than the stored size.
    """

    faces: list[FaceRecord]
    tracks: int = 0
    frames: int = 0
    too_small: int = 0
    dropped: int = 0
    duplicates: int = 0
    over_limit: int = 0
    downscaled: int = 0


def find_faces(
    frames: Iterable[Frame],
    detector: FaceDetector | None,
    settings: FaceSettings = FaceSettings(),  # noqa: B008
    *,
    media_id: str,
    given: GivenFaces | None = None,
) -> MediumFaces:
    """Find, track, cut, measure and encode the faces of one medium while its frames stream by.

    Each frame is looked at once and not kept; memory grows with the encoded crops only. With `given`, nothing is
    searched or tracked: these faces are cut (for the same clip at another quality, see `faces_to_give`).
    `detector` may be None with `given`, or where frames are taken as they are. Errors of the frame source pass
    through; MediaError (too_large) is raised for pictures that are too large to be stored whole.
    """
    if settings.crop.kind == "whole":
        finder: _Finder = _Whole(settings, media_id, WHOLE)
    elif settings.crop.kind == "crop":
        finder = _ReadyMade(settings, media_id)
    elif given is not None:
        finder = _Given(settings, media_id, given)
    elif detector is not None:
        finder = _Searcher(settings, media_id, detector)
    else:
        raise UsageError("faces are found by a detector, given, or ready-made: none of these was chosen")
    for frame in frames:
        finder.look(frame)
    return finder.finish()


@dataclass(frozen=True, slots=True)
class KnownFace:
    """What of a stored face is needed to cut it out of another copy of its medium."""

    media_id: str
    track_id: int
    frame_index: int
    pts_seconds: float
    box: Box
    confidence: float
    landmarks: tuple[float, ...] | None


def faces_to_give(faces: Iterable[FaceRecord | KnownFace]) -> GivenFaces:
    """The faces of one medium in the form that `find_faces` takes for the same clip at another quality."""
    table: dict[int, list[tuple[int, Detection]]] = {}
    for face in faces:
        found = Detection(face.box, face.confidence, face.landmarks)
        table.setdefault(face.frame_index, []).append((face.track_id, found))
    return table


@dataclass
class _Finder:
    """What the three ways of finding faces share: cutting one and making its record."""

    settings: FaceSettings
    media_id: str
    detector_name: str = READY_MADE
    records: list[FaceRecord] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def look(self, frame: Frame) -> None:
        raise NotImplementedError

    def finish(self) -> MediumFaces:
        """The records with their final identity, in order."""
        self.records.sort(key=lambda face: (face.frame_index, face.track_id))
        tracks = len({face.track_id for face in self.records})
        return MediumFaces(self.records, tracks, **self.counts)

    def take(self, frame: Frame, track_id: int, found: Detection) -> None:
        """Cut a face out of the frame, or count it as too small."""
        found = _as_stored(found)
        box = crop_box(found.box, self.settings.crop)
        height, width = frame.rgb.shape[:2]
        if too_small(box, width, height):
            self.counts["too_small"] += 1
        else:
            self.keep(frame, track_id, found, box, cut(frame.rgb, box))

    def to_store(self, crop: Image) -> Image:
        """The crop as it is stored."""
        return store(crop, self.settings.crop.store_size)

    def keep(self, frame: Frame, track_id: int, found: Detection, box: CropBox, crop: Image) -> None:
        """Measure, store and encode a crop."""
        stored = self.to_store(crop)
        self.counts["downscaled"] += stored.shape != crop.shape
        self.records.append(
            FaceRecord(
                face_id=face_id(self.media_id, frame.index, track_id),
                media_id=self.media_id,
                track_id=track_id,
                frame_index=frame.index,
                pts_seconds=frame.pts_seconds,
                box=found.box,
                crop_box=box,
                detector=self.detector_name,
                confidence=found.confidence,
                landmarks=found.landmarks,
                sharpness=sharpness(crop),
                crop_side=max(crop.shape[:2]),
                stored_side=max(stored.shape[:2]),
                crop=encode_crop(stored),
                sida=face_sida([crop])[0],
            )
        )


class _Searcher(_Finder):
    """Detects and tracks; until the end a record's track_id is the tracker's key."""

    def __init__(self, settings: FaceSettings, media_id: str, detector: FaceDetector) -> None:
        super().__init__(settings, media_id, detector.name)
        self._detector = detector
        self._tracker = Tracker(settings.track)

    def look(self, frame: Frame) -> None:
        self.counts["frames"] += 1
        found = distinct(self._detector.detect([frame.rgb])[0], self.settings.track.nested)
        found = self._bounded(found)
        for key, face in self._tracker.update(
            frame.index, frame.pts_seconds, found, frame_signature(frame.rgb)
        ):
            self.take(frame, key, face)

    def _bounded(self, found: list[Detection]) -> list[Detection]:
        over = len(found) - self.settings.max_faces
        if over <= 0:
            return found
        self.counts["over_limit"] += over
        return sorted(found, key=_weight, reverse=True)[: self.settings.max_faces]

    def finish(self) -> MediumFaces:
        names = {track.key: track.track_id for track in self._tracker.finish()}
        self.counts["dropped"] = sum(face.track_id not in names for face in self.records)
        self.records = [
            _renamed(face, names[face.track_id]) for face in self.records if face.track_id in names
        ]
        return super().finish()


class _Given(_Finder):
    """Cuts the faces that another quality of the same clip showed."""

    def __init__(self, settings: FaceSettings, media_id: str, given: GivenFaces) -> None:
        super().__init__(settings, media_id, "given")
        self._given = given

    def look(self, frame: Frame) -> None:
        self.counts["frames"] += 1
        for track_id, found in self._given.get(frame.index, ()):
            self.take(frame, track_id, found)


class _ReadyMade(_Finder):
    """Takes every frame as a face crop."""

    def look(self, frame: Frame) -> None:
        self.counts["frames"] += 1
        box, crop = crop_for_ready_made(frame.rgb)
        if too_small(box, box[2], box[3]):
            self.counts["too_small"] += 1
            return
        whole = float(box[0]), float(box[1]), float(box[2]), float(box[3])
        self.keep(frame, 0, Detection(whole, 1.0), box, crop)


class _Whole(_ReadyMade):
    """Takes every frame as it is and stores every pixel."""

    _held = 0

    def look(self, frame: Frame) -> None:
        height, width = frame.rgb.shape[:2]
        if height * width > MAX_STORED_PIXELS:
            raise MediaError(
                Status.TOO_LARGE,
                f"{width}x{height} pixels; whole pictures are stored up to {MAX_STORED_PIXELS}",
            )
        super().look(frame)

    def keep(self, frame: Frame, track_id: int, found: Detection, box: CropBox, crop: Image) -> None:
        super().keep(frame, track_id, found, box, crop)
        self._held += len(self.records[-1].crop)
        if self._held > WHOLE_BYTES:
            raise MediaError(
                Status.TOO_LARGE,
                f"{len(self.records)} whole frames take more than {WHOLE_BYTES >> 20} MiB; take fewer with --frames",
            )

    def to_store(self, crop: Image) -> Image:
        return crop


def face_id(media_id: str, frame_index: int, track_id: int) -> str:
    """The name of a face: unique, since a track has one face a frame."""
    return f"{media_id}-{frame_index:06d}-{track_id:03d}"


def _renamed(face: FaceRecord, track_id: int) -> FaceRecord:
    return replace(face, track_id=track_id, face_id=face_id(face.media_id, face.frame_index, track_id))


def _as_stored(found: Detection) -> Detection:
    """In the precision of the faces table, so that a box given from there cuts the same pixels."""
    points = found.landmarks
    return Detection(
        _single(found.box),
        float(np.float32(found.confidence)),
        None if points is None else _single(points),
    )


def _single(values: tuple[float, ...]) -> Any:
    return tuple(np.asarray(values, np.float32).tolist())


def _weight(found: Detection) -> float:
    """Area times confidence: what is kept of a crowd."""
    x0, y0, x1, y1 = found.box
    return (x1 - x0) * (y1 - y0) * found.confidence
