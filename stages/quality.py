"""What of a medium makes its score weigh less, and which of it leaves the verdict inconclusive.

A verdict rests on bars that validation set. Where the faces that a score rests on are unlike those of training, the
bars say nothing of it: smaller or more blurred than nearly all of them, or statistics beyond the limit of the model's
`domain.Reference`. Then both verdicts are withheld. A part of a file that could not be examined may hold the forgery,
which withholds "no manipulation found" alone: what was found in the other part was found. Few frames and a low bit rate
are told and withhold nothing: the first is bounded by `Rule.min_faces`, and the second depends on the codec.

"Nearly all" is the floor of the reference, by its order statistic rule. Without a reference nothing is known of the
training faces: sharpness, bit rate and distance are not looked at then, and size and frames are held to
SMALLEST_SIDE and FEWEST_FRAMES.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.records import Concern, FaceRecord, MediaRecord, Status, Verdict
from ffpipe.stages.domain import Reference

#: Side in pixels of a crop under which a statistic of D rests on fewer than 8 x 8 blocks, and its kurtosis on noise.
SMALLEST_SIDE = 64
#: Faces of a track under which one frame moves its mean score by an eighth or more.
FEWEST_FRAMES = 8

_BOTH = frozenset({Verdict.LIKELY_MANIPULATED, Verdict.NO_MANIPULATION_FOUND})
#: The verdicts that a concern turns into inconclusive; none: it is only told.
WITHHOLDS: dict[Concern, frozenset[Verdict]] = {
    Concern.SMALL_FACE: _BOTH,
    Concern.BLURRED: _BOTH,
    Concern.FEW_FRAMES: frozenset(),
    Concern.LOW_BITRATE: frozenset(),
    Concern.PARTLY_DECODED: frozenset({Verdict.NO_MANIPULATION_FOUND}),
    Concern.OUT_OF_DOMAIN: _BOTH,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A concern about a medium, in words that follow "because"."""

    concern: Concern
    words: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of the faces that a medium's score rests on, and of its file; None where it is not known.

    side: median side of their crops in pixels of the original picture. sharpness: median variance of the Laplacian.
    frames: how many they are; looked_at: frames of the medium that were looked at. bits: per pixel and second of the
    file. partial: whether a part of it was not decoded. distance: from the training faces.
    """

    side: float | None = None
    sharpness: float | None = None
    frames: int | None = None
    looked_at: int | None = None
    bits: float | None = None
    partial: bool = False
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Measures media against a model's reference, where it has one. closed: whether concerns withhold verdicts."""

    reference: Reference | None = None
    closed: bool = True

    def measure(self, media: MediaRecord, faces: Sequence[FaceRecord]) -> Measured:
        """A medium whose score rests on these faces, at least one."""
        return measured(
            media,
            np.array([face.crop_side for face in faces], np.float64),
            np.array([face.sharpness for face in faces], np.float64),
            self.reference.distance(np.stack([face.sida for face in faces])) if self.reference else None,
        )

    def findings(self, found: Measured) -> tuple[Finding, ...]:
        """The concerns about a medium, in the order of `Concern`."""
        sides = (_small(found, self.reference), _blurred(found, self.reference), _few(found, self.reference))
        others = (_starved(found, self.reference), _partial(found), _outside(found, self.reference))
        return tuple(finding for finding in (*sides, *others) if finding is not None)

    def withheld(self, findings: Sequence[Finding], verdict: Verdict) -> tuple[Finding, ...]:
        """Those of the findings that turn this verdict into inconclusive."""
        return tuple(each for each in findings if self.closed and verdict in WITHHOLDS[each.concern])


#: Measures nothing and withholds nothing.
OPEN = QualityGate(closed=False)


def measured(
    media: MediaRecord,
    sides: NDArray[np.float64],
    sharpness: NDArray[np.float64] | None,
    distances: NDArray[np.float64] | None,
) -> Measured:
    """A medium by what is known of each face that its score rests on, (n,) with n at least 1."""
    return Measured(
        side=float(np.median(sides)),
        sharpness=None if sharpness is None else float(np.median(sharpness)),
        frames=len(sides),
        looked_at=media.frames_decoded,
        bits=bits_of(media.bit_rate, media.width, media.height),
        partial=media.status is Status.PARTIAL,
        distance=None if distances is None else float(np.median(distances)),
    )


def bits_of(bit_rate: int | None, width: int | None, height: int | None) -> float | None:
    """Bits per pixel and second of a file with this many bits a second; None where the file does not say."""
    return bit_rate / (width * height) if bit_rate and width and height else None


def _small(found: Measured, reference: Reference | None) -> Finding | None:
    if found.side is None:
        return None
    floor = reference.floor("crop_side") if reference else SMALLEST_SIDE
    if floor is None or found.side >= floor:
        return None
    than = (
        f"nearly all training media have {floor:g} or more" if reference else f"the statistics need {floor:g}"
    )
    return Finding(Concern.SMALL_FACE, f"what was scored is small ({found.side:g} pixels wide, {than})")


def _blurred(found: Measured, reference: Reference | None) -> Finding | None:
    floor = reference.floor("sharpness") if reference else None
    if found.sharpness is None or floor is None or found.sharpness >= floor:
        return None
    numbers = f"sharpness {found.sharpness:.3f}, nearly all training media have {floor:.3f} or more"
    return Finding(Concern.BLURRED, f"what was scored is blurred ({numbers})")


def _few(found: Measured, reference: Reference | None) -> Finding | None:
    if found.frames is None:
        return None
    floor: float | None = FEWEST_FRAMES if found.looked_at != 1 else 1
    if reference is not None and reference.floor("frames") is not None:
        floor = reference.floor("frames")
    if floor is None or found.frames >= floor:
        return None
    frames = f"{found.frames} frame{'s' * (found.frames > 1)}"
    return Finding(Concern.FEW_FRAMES, f"the score rests on {frames}, fewer than {floor:g}")


def _starved(found: Measured, reference: Reference | None) -> Finding | None:
    floor = reference.floor("bits") if reference else None
    if found.bits is None or floor is None or found.bits >= floor:
        return None
    words = f"the file has {found.bits:.3f} bits per pixel and second, nearly all training media {floor:.3f} or more"
    return Finding(Concern.LOW_BITRATE, words)


def _partial(found: Measured) -> Finding | None:
    words = "what could not be examined may be manipulated"
    return Finding(Concern.PARTLY_DECODED, words) if found.partial else None


def _outside(found: Measured, reference: Reference | None) -> Finding | None:
    limit = reference.limit if reference else None
    if found.distance is None or limit is None or found.distance <= limit:
        return None
    numbers = f"distance {found.distance:.3f}, the limit is {limit:.3f}"
    return Finding(Concern.OUT_OF_DOMAIN, f"what was scored is unlike the training data ({numbers})")
