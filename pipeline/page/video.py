"""The page of one medium: verdict, warnings, timeline, faces, statistics, error rates, and how it all was made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Concern, ScoreRecord, TrackRecord
from ffpipe.pipeline.output import VERDICT_WORDS, score_text, size_text
from ffpipe.pipeline.page import spectrum, video_texts
from ffpipe.pipeline.page.error_rates import calibration_lines, validation_lines
from ffpipe.pipeline.page.evidence import Evidence, FaceView
from ffpipe.pipeline.page.pictures import data_uri
from ffpipe.pipeline.page.render import render
from ffpipe.pipeline.page.timeline import Axis, Bars, Span, timeline
from ffpipe.pipeline.tables import escape_bytes
from ffpipe.stages.explain import overlay

_TEMPLATE = "video.html.jinja"
_STYLES = ("video.css",)
#: Gaps of a track that are written out in its table.
_LISTED_GAPS = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A face on the page: its pictures as data URIs, and what is said of it."""

    name: str
    crop: str
    overlay: str | None
    score: str
    when: str
    size: str


def video_page(evidence: Evidence, *, back: str | None = None) -> str:
    """The page of one medium; `back` is a relative link to the page of its run."""
    row = evidence.row
    mark, words, _ = VERDICT_WORDS[row.verdict]
    return render(
        _TEMPLATE,
        styles=_STYLES,
        pictures=True,
        texts=video_texts,
        back=back,
        row=row,
        name=display_path(row.path),
        names=[(display_path(each.path), escape_bytes(each.path_bytes)) for each in (row, *evidence.copies)],
        mark=mark,
        verdict=words,
        sentence=video_texts.VERDICT_SENTENCES[row.verdict],
        reason=display_path(row.reason or ""),
        concerns=_concerns(evidence),
        figure=_figure(evidence),
        still=evidence.still,
        whole=evidence.whole,
        tracks=list(_track_rows(evidence)),
        faces=[
            (track, [_picture(view, evidence) for view in views]) for track, views in evidence.faces.items()
        ],
        no_faces=evidence.no_faces,
        no_maps=evidence.no_maps,
        statistics=_statistics(evidence),
        validation=validation_lines(evidence.model, row),
        calibration=calibration_lines(evidence.model, row),
        credentials=_credentials(row.content_credentials),
        facts=list(_facts(evidence)),
        frames=[_frame(score) for score in evidence.scores],
        provenance=json.dumps(evidence.provenance, indent=1, sort_keys=True, default=str),
    )


def _concerns(evidence: Evidence) -> list[tuple[str, str]] | None:
    """Each warning with its meaning; None where the checks were not made."""
    found = None if evidence.row.concerns is None else [
        video_texts.CONCERNS[Concern(name)] for name in evidence.row.concerns
    ]  # fmt: skip
    return found


def _of_track(scores: Sequence[ScoreRecord]) -> dict[int, list[ScoreRecord]]:
    found: defaultdict[int, list[ScoreRecord]] = defaultdict(list)
    for score in scores:
        found[score.track_id].append(score)
    return found


def _ranked(evidence: Evidence) -> list[TrackRecord]:
    """The tracks, those that count for the verdict first, the highest scores first."""
    return sorted(evidence.tracks, key=lambda track: (not track.eligible, -track.score, track.track_id))


def _axis(evidence: Evidence) -> Axis:
    return Axis.of(evidence.row.sampled_seconds, evidence.scores, evidence.row.duration)


def _figure(evidence: Evidence) -> Markup | None:
    """The timeline, where there is time and a face."""
    row = evidence.row
    if evidence.still or not evidence.tracks:
        return None
    bars = Bars(row.threshold, row.inconclusive_from)
    return timeline(_ranked(evidence), _of_track(evidence.scores), _axis(evidence), bars, row.worst_track)


def _track_rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The tracks as rows of a table."""
    of_track, axis = _of_track(evidence.scores), _axis(evidence)
    for track in _ranked(evidence):
        scores = of_track[track.track_id]
        sides = sorted(score.crop_side for score in scores if score.crop_side is not None)
        yield {
            "track": track,
            "gaps": _spans_text(axis.gaps([score.pts_seconds for score in scores])),
            "side": f"{sides[len(sides) // 2]} px" if sides else "-",
            "worst": track.track_id == evidence.row.worst_track,
        }


def _spans_text(spans: Sequence[Span]) -> str:
    listed = [f"{span.begin:.1f}–{span.end:.1f} s" for span in spans[:_LISTED_GAPS]]
    more = [f"and {len(spans) - _LISTED_GAPS} more"] if len(spans) > _LISTED_GAPS else []
    return ", ".join(listed + more) or "none"


def _picture(view: FaceView, evidence: Evidence) -> Picture:
    score = view.score
    kind = "among the most suspicious" if view.suspicious else "the least suspicious"
    return Picture(
        name=f"Track {score.track_id}, frame {score.frame_index}: {kind}",
        crop=data_uri(view.crop),
        overlay=None if view.heat is None else data_uri(overlay(view.crop, view.heat)),
        score=score_text(score.score),
        when="" if evidence.still else f"{score.pts_seconds:.2f} s, frame {score.frame_index}",
        size=f"{view.crop_side} px wide in the frame",
    )


def _statistics(evidence: Evidence) -> dict[str, Any] | None:
    """The plot of the most suspicious face that was kept of the track that decided the verdict, and its table."""
    views = evidence.faces.get(-1 if evidence.row.worst_track is None else evidence.row.worst_track)
    view = next(iter(views or next(iter(evidence.faces.values()), ())), None)
    if view is None:
        return None
    bands = spectrum.ranges(evidence.model.reference if evidence.model else None)
    return {
        "score": view.score,
        "figure": spectrum.spectrum(view.sida, bands),
        "classes": list(bands),
        "outside": {name: spectrum.outside(view.sida, band) for name, band in bands.items()},
        "rows": list(spectrum.rows(view.sida, bands)),
    }


def _credentials(stored: str | None) -> str | None:
    """Content credentials as indented JSON; what is no JSON as it stands."""
    if stored is None:
        return None
    try:
        return json.dumps(json.loads(stored), indent=1, ensure_ascii=True)
    except (ValueError, RecursionError):
        return display_path(stored)


def _facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Facts of the medium and of how it was scored, with their headings."""
    row, origin = evidence.row, evidence.provenance
    yield "SHA-256", row.sha256 or "-"
    yield "Size", "-" if row.bytes is None else f"{size_text(row.bytes)} ({row.bytes} bytes)"
    yield "Codec", row.codec or "-"
    yield "Frame size", "-" if row.width is None else f"{row.width} x {row.height} px"
    yield "Frame rate", "-" if row.fps is None else f"{row.fps:.3f} frames a second"
    yield "Bit rate", "-" if row.bit_rate is None else f"{row.bit_rate / 1000:.0f} kbit/s"
    yield "Duration", "-" if row.duration is None else f"{row.duration:.2f} s"
    expected = "" if row.frames_expected is None else f" of {row.frames_expected} asked for"
    yield "Frames looked at", f"{row.n_frames}{expected}"
    yield (
        "Model",
        evidence.model.name if evidence.model else str((origin.get("model") or {}).get("detector", "-")),
    )
    yield "Weights SHA-256", row.model_id
    yield "Provenance", row.provenance_id
    for key, heading in (
        ("ffpipe", "ffpipe"), ("commit", "Commit"), ("calibration", "Calibration"), ("arithmetic", "Arithmetic"),
        ("device", "Device"), ("started", "Started (UTC)"), ("finished", "Finished (UTC)"),
    ):  # fmt: skip
        if origin.get(key):
            yield heading, str(origin[key])
    if origin.get("command"):
        yield "Command", display_path(" ".join(map(str, origin["command"])))


def _frame(score: ScoreRecord) -> tuple[str, ...]:
    """A scored face as a row of the table from which another tool can cut it again."""
    box = "-" if score.box is None else " ".join(f"{value:.1f}" for value in score.box)
    crop = "-" if score.crop_box is None else " ".join(map(str, score.crop_box))
    return (
        str(score.frame_index),
        f"{score.pts_seconds:.3f}",
        str(score.track_id),
        box,
        crop,
        f"{score.score:.3f}",
    )
