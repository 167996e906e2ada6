"""The faces of a page: each kept face as a picture, under its heat map, and with what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffpipe.pipeline.page.evidence import Evidence, FaceView
from ffpipe.pipeline.page.pictures import data_uri
from ffpipe.stages.explain import overlay

#: Side in pixels of the crop's copy beside the verdict.
_THUMB = 160
#: What the faces of highest score are called.
_RANKS = ("Most suspicious", "Second most suspicious", "Third most suspicious")


@dataclass(frozen=True, slots=True)
class FaceCard:
    """A face on the page; `crop` and `overlay` are data URIs, the rest is text."""

    rank: str
    alt: str
    crop: str
    overlay: str | None
    empty: bool
    score: str
    where: str
    size: str


@dataclass(frozen=True, slots=True)
class TrackFaces:
    """The faces that are shown together; those of a track have a heading."""

    heading: str | None
    cards: tuple[FaceCard, ...]


def subject(track_id: int, evidence: Evidence) -> str:
    """What a track is called: a face of an image, the whole picture, or a track of a video."""
    if evidence.whole:
        return "The image" if evidence.still else "The video"
    return f"Face {track_id}" if evidence.still else f"Track {track_id}"


def face_sections(evidence: Evidence) -> list[TrackFaces]:
    """The shown faces by track, in the order in which the evidence has them; those of an image side by side."""
    if evidence.still:
        cards = [
            _card(view, _name(track, evidence), evidence)
            for track, views in evidence.faces.items()
            for view in views
        ]
        return [TrackFaces(None, tuple(cards))] if cards else []
    tracks = {track.track_id: track for track in evidence.tracks}
    return [
        TrackFaces(
            f"{_name(track_id, evidence)}, mean {tracks[track_id].score:.3f}", tuple(_cards(views, evidence))
        )
        for track_id, views in evidence.faces.items()
    ]


def deciding_face(evidence: Evidence) -> FaceCard | None:
    """The most suspicious face that was kept of the track that decided the verdict, small."""
    worst = evidence.row.worst_track
    views = () if worst is None else evidence.faces.get(worst, ())
    return _card(views[0], "", evidence, _THUMB) if views else None


def _name(track_id: int, evidence: Evidence) -> str:
    decides = len(evidence.tracks) > 1 and track_id == evidence.row.worst_track
    return subject(track_id, evidence) + (", decides the verdict" if decides else "")


def _cards(views: Sequence[FaceView], evidence: Evidence) -> list[FaceCard]:
    worst = sum(view.suspicious for view in views)
    ranks = [*_RANKS[:worst], *["Least suspicious"] * (len(views) - worst)] if len(views) > 1 else [""]
    return [_card(view, rank, evidence) for view, rank in zip(views, ranks, strict=True)]


def _card(view: FaceView, rank: str, evidence: Evidence, side: int | None = None) -> FaceCard:
    score = view.score
    when = "" if evidence.still else f" at {score.pts_seconds:.2f} s"
    what = "Picture" if evidence.whole else f"Face of {subject(score.track_id, evidence).lower()}"
    height, width = view.crop.shape[:2]
    return FaceCard(
        rank=rank,
        alt=f"{what}{when}, score {score.score:.3f}",
        crop=data_uri(view.crop, side) if side else data_uri(view.crop),
        overlay=None if view.heat is None else data_uri(overlay(view.crop, view.heat)),
        empty=view.heat is not None and not np.any(view.heat),
        score=f"{score.score:.3f}",
        where="" if evidence.still else f"{score.pts_seconds:.2f} s, frame {score.frame_index}",
        size=f"{width} x {height} px" if evidence.whole else f"crop of {view.crop_side} px",
    )
