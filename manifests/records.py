"""The records that stages exchange and tables store, and the closed enumerations they use."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import Any

from ffpipe.manifests.inputs import display_path

#: Length of D, the SIDA vector: 4 statistics x 3 differences x 3 channels x 64 frequencies.
SIDA_LENGTH = 2304


class Label(IntEnum):
    """Ground truth of a medium; unknown is None, never a third number."""

    REAL = 0
    FAKE = 1


class Split(StrEnum):
    """Part of a dataset's protocol that a medium belongs to."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Status(StrEnum):
    """What became of an input."""

    OK = "ok"
    PARTIAL = "partial"
    NO_FACE = "no_face"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    MISSING = "missing"
    CHANGED = "changed"
    SKIPPED = "skipped"

    @property
    def failed(self) -> bool:
        """Whether the status counts as a failed input in the exit code."""
        return self in FAILED_STATUSES


FAILED_STATUSES = frozenset(
    {
        Status.UNREADABLE,
        Status.UNSUPPORTED,
        Status.TOO_LARGE,
        Status.TIMEOUT,
        Status.CRASHED,
        Status.MISSING,
        Status.CHANGED,
    }
)


class Verdict(StrEnum):
    """What is said of an input. The tool never says "authentic"."""

    LIKELY_MANIPULATED = "likely_manipulated"
    NO_MANIPULATION_FOUND = "no_manipulation_found"
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSABLE = "not_assessable"


class Concern(StrEnum):
    """What makes a medium's score weigh less; the report says which of them left its verdict inconclusive."""

    SMALL_FACE = "small_face"
    BLURRED = "blurred"
    FEW_FRAMES = "few_frames"
    LOW_BITRATE = "low_bitrate"
    PARTLY_DECODED = "partly_decoded"
    OUT_OF_DOMAIN = "out_of_domain"


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the upright frame; x1 and y1 are exclusive."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Image files that together are one video's frames, in the order of `names`: a medium of its own kind.

    `place` is the folder that the names are relative to, or, where `packed`, the tar or tar.gz that has members of
    these names; `start` is then the place of the first of them in the unpacked tar, in bytes. `bytes` is the size of
    all pictures and `sha256` the hash of their content (`content.sequence_hash`); a folder's are 0 and empty until it
    is hashed. `fault` says what of the sequence is lost (files that are not there, an archive cut short); without
    names, nothing of it is left.
    """

    place: str
    names: tuple[str, ...]
    packed: bool = False
    start: int = 0
    bytes: int = 0
    sha256: str = ""
    fault: str | None = None

    def __repr__(self) -> str:
        return f"Pictures({len(self.names)} in {self.place})"

    @property
    def lost(self) -> Status:
        """What a sequence has come to of which nothing is left."""
        return Status.UNREADABLE if self.packed else Status.MISSING


#: Facts of an entry that layouts read off file names, which need not be text.
_NAMED_AFTER_FILES = ("method", "quality", "source_id", "target_id", "group", "pair_id", "subset")


@dataclass(frozen=True, slots=True)
class Entry:
    """A medium that a dataset layout names, with what the layout knows about it; nothing is decoded yet.

    `path` is absolute or relative as given by the user, undecoded bytes kept by surrogateescape. With `pictures` the
    medium is a sequence of image files, and `path` its name: their folder, or the archive with a folder in it.
    `group` joins everything that must stay in one split (source, target, actor, content);
    `pair_id` is equal for the same clip at different qualities. `subset` is the part of a dataset that brings its
    own reals (a generator's test set, DFD beside FaceForensics++): its fakes are compared with the reals of the same
    subset. What layouts take from names for these is kept as text that any table can hold, as `display_path` shows it.
    """

    path: str
    label: Label | None = None
    method: str | None = None
    quality: str | None = None
    split: Split | None = None
    source_id: str | None = None
    target_id: str | None = None
    group: str | None = None
    pair_id: str | None = None
    subset: str | None = None
    pictures: Pictures | None = None

    def __post_init__(self) -> None:
        for name in _NAMED_AFTER_FILES:
            text = getattr(self, name)
            if text is not None and not text.isprintable():
                object.__setattr__(self, name, display_path(text))


@dataclass(frozen=True, slots=True)
class Probe:
    """Facts read from a container's header; None where the file does not say.

    A sequence of pictures has the container "pictures", the facts of the first picture that was looked at, their
    number, and neither rate nor duration: nothing says when they were shown.
    """

    container: str | None = None
    codec: str | None = None
    pixel_format: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    fps: float | None = None
    duration: float | None = None
    frame_count: int | None = None
    bit_rate: int | None = None


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """One row of the media table: an input file and what became of it.

    width and height are of the upright frame; duration and start are in seconds;
    frames_expected counts sampling targets, frames_decoded the distinct frames looked at. Of a sequence of pictures,
    sha256 is `content.sequence_hash` and bytes the size of all of them.
    """

    media_id: str
    path: str
    path_bytes: bytes
    sha256: str
    bytes: int
    status: Status
    reason: str | None = None
    dataset: str | None = None
    label: Label | None = None
    method: str | None = None
    quality: str | None = None
    split: Split | None = None
    source_id: str | None = None
    target_id: str | None = None
    group: str | None = None
    pair_id: str | None = None
    container: str | None = None
    codec: str | None = None
    pixel_format: str | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    fps: float | None = None
    duration: float | None = None
    frame_count: int | None = None
    bit_rate: int | None = None
    frames_expected: int = 0
    frames_decoded: int = 0
    faces: int = 0
    tracks: int = 0
    faces_too_small: int = 0
    faces_dropped: int = 0
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """One row of the faces table: a face in a sampled frame, its stored crop and its statistics.

    `crop` holds lossless image bytes; `crop_side` is the side in pixels at original resolution and
    `stored_side` the side of the stored image (smaller where the crop was area-downscaled).
    `landmarks` are ten numbers x0, y0 … x4, y4 in frame pixels: eyes, nose, mouth corners.
    Of a sequence of pictures, `frame_index` is the position in it and `pts_seconds` nominal: a 25th of that.
    `sharpness` is the variance of the Laplacian of the crop's luma. `sida` has SIDA_LENGTH numbers.
    """

    face_id: str
    media_id: str
    track_id: int
    frame_index: int
    pts_seconds: float
    box: Box
    crop_box: tuple[int, int, int, int]
    detector: str
    confidence: float
    landmarks: tuple[float, ...] | None
    sharpness: float
    crop_side: int
    stored_side: int
    crop: bytes
    sida: Any

    def __repr__(self) -> str:
        return (
            f"FaceRecord({self.face_id}, track={self.track_id}, t={self.pts_seconds:.3f}s, "
            f"crop={self.crop_side}px stored {self.stored_side}px, {len(self.crop)} bytes)"
        )


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One row of the tracks table: a face track of a scored medium.

    `score` is the mean over the track's frames; the worst window is the 10 s window of highest mean.
    """

    media_id: str
    track_id: int
    first_pts_seconds: float
    last_pts_seconds: float
    n_faces: int
    score: float
    eligible: bool
    worst_start_seconds: float
    worst_end_seconds: float
    worst_score: float


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """One row of the scores table: a face scored by a model. `logit` is fake minus real.

    `box` is the detector's and `crop_box` the square that was cut, as in the faces table: with `frame_index` or
    `pts_seconds` another tool can cut the face again. `crop_side` in pixels and `sharpness` are also as there.
    """

    face_id: str
    media_id: str
    track_id: int
    frame_index: int
    pts_seconds: float
    model_id: str
    logit: float
    score: float
    box: Box | None = None
    crop_box: tuple[int, int, int, int] | None = None
    crop_side: int | None = None
    sharpness: float | None = None


@dataclass(frozen=True, slots=True)
class LogitRecord:
    """One row of the logits table: a picture scored by an evaluation under way, `place` being its turn in it.

    `logit` is fake minus real.
    """

    place: int
    logit: float


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of the report: an input file, always exactly one, whatever happened to it.

    `sampled_frames` are the indices of all frames that were looked at, with a face or without, in their
    order, and `sampled_seconds` their presentation times. `probability` and `log10_likelihood_ratio` are
    there where the weights have a calibration, the probability at even odds; `posterior` only where a prior
    was given. `domain_distance` is how far the medium's statistics lie from those of the training data, and
    `concerns` are values of Concern.
    """

    media_id: str
    path: str
    path_bytes: bytes
    sha256: str
    bytes: int
    status: Status
    verdict: Verdict
    reason: str | None
    score: float | None
    probability: float | None
    log10_likelihood_ratio: float | None
    threshold: float | None
    inconclusive_from: float | None
    duration: float | None
    n_frames: int
    n_faces: int
    n_tracks: int
    worst_track: int | None
    worst_track_start_seconds: float | None
    worst_track_end_seconds: float | None
    worst_window_start_seconds: float | None
    worst_window_end_seconds: float | None
    worst_window_score: float | None
    crops_accepted: bool
    model_id: str
    provenance_id: str
    sampled_frames: tuple[int, ...] | None = None
    sampled_seconds: tuple[float, ...] | None = None
    posterior: float | None = None
    concerns: tuple[str, ...] | None = None
    domain_distance: float | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    bit_rate: int | None = None
    frames_expected: int | None = None
    content_credentials: str | None = None


def row(record: Any) -> dict[str, Any]:
    """A record as a flat dictionary in field order, without copying its values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
