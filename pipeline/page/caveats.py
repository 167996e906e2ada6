"""What makes a medium's result weigh less: what the checks found, what was measured, and what that means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from ffpipe.manifests.records import Concern, Status
from ffpipe.pipeline.page.evidence import Evidence
from ffpipe.pipeline.page.texts import CONCERNS
from ffpipe.pipeline.page.video_texts import ACCEPTED, CHECKS
from ffpipe.stages.domain import Measure, Reference


@dataclass(frozen=True, slots=True)
class Caveat:
    """A heading, what was measured here (or None), and what that means for the reader."""

    heading: str
    measured: str | None
    meaning: str


def caveats(evidence: Evidence) -> list[Caveat]:
    """Every caveat that a reader needs before the verdict is used; of what has no score, that it was read in part."""
    row = evidence.row
    found = [Concern(name) for name in row.concerns or () if name in set(Concern)]
    if row.status is Status.PARTIAL and Concern.PARTLY_DECODED not in found:
        found.append(Concern.PARTLY_DECODED)
    listed = [
        Caveat(CONCERNS[concern][0], _measured(concern, evidence), CONCERNS[concern][1]) for concern in found
    ]
    return listed + (
        [Caveat(ACCEPTED[0], None, ACCEPTED[1])] if row.crops_accepted and row.score is not None else []
    )


def checked(evidence: Evidence) -> tuple[list[str], list[str]]:
    """Which checks were made of a medium with a score, and which could not be, by name.

    What is held to the training faces needs a model that knows them, and a measure of this medium.
    """
    row, reference = evidence.row, evidence.model.reference if evidence.model else None
    if row.concerns is None:
        return [], [CHECKS[concern] for concern in Concern]
    made = {
        Concern.SMALL_FACE: reference is None or reference.floor("crop_side") is not None,
        Concern.BLURRED: _known(reference, "sharpness"),
        Concern.FEW_FRAMES: True,
        Concern.LOW_BITRATE: _known(reference, "bits") and row.bit_rate is not None,
        Concern.PARTLY_DECODED: True,
        Concern.OUT_OF_DOMAIN: row.domain_distance is not None
        and (reference is None or reference.limit is not None),
    }
    kinds = [[CHECKS[concern] for concern in Concern if made[concern] is wanted] for wanted in (True, False)]
    return kinds[0], kinds[1]


def _known(reference: Reference | None, measure: Measure) -> bool:
    return reference is not None and reference.floor(measure) is not None


def _measured(concern: Concern, evidence: Evidence) -> str | None:
    return " ".join(_MEASURES[concern](evidence)) or None


def _small(evidence: Evidence) -> Iterator[str]:
    if evidence.face_side is not None:
        yield f"Median side of the crop: {evidence.face_side:.0f} px."
        yield from _floor(evidence, "crop_side", "{:.0f} px")


def _blurred(evidence: Evidence) -> Iterator[str]:
    values = [
        s.sharpness
        for s in evidence.scores
        if s.track_id == evidence.row.worst_track and s.sharpness is not None
    ]
    if values:
        yield f"Median sharpness (variance of the Laplacian): {median(values):.1f}."
        yield from _floor(evidence, "sharpness", "{:.1f}")


def _few(evidence: Evidence) -> Iterator[str]:
    track = next((t for t in evidence.tracks if t.track_id == evidence.row.worst_track), None)
    if track is not None:
        yield f"The track has {track.n_faces} of the {evidence.row.n_frames} frames that were looked at."


def _bit_rate(evidence: Evidence) -> Iterator[str]:
    if evidence.row.bit_rate is not None:
        yield f"Bit rate: {evidence.row.bit_rate / 1000:.0f} kbit/s."


def _partly(evidence: Evidence) -> Iterator[str]:
    if evidence.row.frames_expected:
        yield f"{evidence.row.n_frames} of {evidence.row.frames_expected} frames were decoded."


def _outside(evidence: Evidence) -> Iterator[str]:
    distance = evidence.row.domain_distance
    if distance is not None:
        reference = evidence.model.reference if evidence.model else None
        limit = reference.limit if reference else None
        yield f"Distance from the training faces: {distance:.2f}" + (
            f", limit {limit:.2f}." if limit is not None else "."
        )


def _floor(evidence: Evidence, measure: Measure, form: str) -> Iterator[str]:
    """What training media rarely fall below, where the model knows it."""
    reference = evidence.model.reference if evidence.model else None
    value = reference.floor(measure) if reference else None
    if value is not None:
        yield f"Training media rarely have less than {form.format(value)}."


_MEASURES = {
    Concern.SMALL_FACE: _small,
    Concern.BLURRED: _blurred,
    Concern.FEW_FRAMES: _few,
    Concern.LOW_BITRATE: _bit_rate,
    Concern.PARTLY_DECODED: _partly,
    Concern.OUT_OF_DOMAIN: _outside,
}
