"""The page of one medium: verdict, warnings, timeline, faces, statistics, error rates, and how it all was made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import ScoreRecord, TrackRecord
from ffpipe.pipeline.output import VERDICT_WORDS
from ffpipe.pipeline.page import spectrum, video_texts
from ffpipe.pipeline.page.bars import calibration_of
from ffpipe.pipeline.page.caveats import caveats, checked
from ffpipe.pipeline.page.credentials_block import credentials_block
from ffpipe.pipeline.page.error_rates import calibration_lines, validation_lines
from ffpipe.pipeline.page.evidence import Evidence
from ffpipe.pipeline.page.face_cards import deciding_face, face_sections, subject
from ffpipe.pipeline.page.medium_facts import FRAME_COLUMNS, file_facts, frame_row, run_facts
from ffpipe.pipeline.page.render import render
from ffpipe.pipeline.page.strip import strip
from ffpipe.pipeline.page.timeline import Axis, Bars, Span, timeline
from ffpipe.pipeline.tables import escape_bytes

_TEMPLATE = "video.html.jinja"
#: Gaps of a track that are written out in its table.
_LISTED_GAPS = 8


def video_page(evidence: Evidence, *, back: str | None = None) -> str:
    """The page of one medium; `back` is a relative link to the page of its run."""
    row = evidence.row
    mark, words, _ = VERDICT_WORDS[row.verdict]
    return render(
        _TEMPLATE,
        styles=("video.css",),
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
        scored=row.score is not None,
        glance=list(_glance(evidence)),
        deciding=deciding_face(evidence),
        caveats=caveats(evidence),
        checked=checked(evidence),
        limits=_limits(evidence),
        evidence=evidence,
        **_figures(evidence),
        sections=face_sections(evidence),
        left_out=len(evidence.tracks) - len(evidence.faces),
        statistics=_statistics(evidence),
        validation=validation_lines(evidence),
        calibration=calibration_lines(row, evidence.prior, calibration_of(evidence.provenance)),
        credentials=credentials_block(row.content_credentials),
        file_facts=list(file_facts(row)),
        run_facts=list(run_facts(evidence)),
        frame_columns=FRAME_COLUMNS,
        frames=[frame_row(score) for score in evidence.scores],
        provenance=json.dumps(evidence.provenance, indent=1, sort_keys=True, default=str),
    )


def _glance(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """The few figures that a reader wants first."""
    row = evidence.row
    if row.score is not None:
        calibrated = "" if row.log10_likelihood_ratio is not None else " (uncalibrated, from 0 to 1)"
        yield "Score", f"{row.score:.3f}{calibrated}"
        yield "Held to", _bars_text(Bars(row.threshold, row.inconclusive_from))
    if row.log10_likelihood_ratio is not None:
        yield "Log10 likelihood ratio", f"{row.log10_likelihood_ratio:+.2f}"
    if row.posterior is not None:
        known = "" if evidence.prior is None else f", with a prior of {evidence.prior:g}"
        yield "Posterior", f"{row.posterior:.3f}{known}"
    if row.worst_window_score is not None and not evidence.still:
        begin, end = row.worst_window_start_seconds, row.worst_window_end_seconds
        yield (
            "Worst window",
            f"track {row.worst_track}, {begin:.1f} s to {end:.1f} s: mean {row.worst_window_score:.3f}",
        )
    if row.n_frames:
        yield "Looked at", _looked_at(evidence)


def _bars_text(bars: Bars) -> str:
    known = [
        f"{name} {value:.3f}"
        for name, value in (("threshold", bars.threshold), ("doubt from", bars.inconclusive_from))
        if value is not None
    ]
    return ", ".join(known) or "no bars: these weights have none"


def _looked_at(evidence: Evidence) -> str:
    row = evidence.row
    frames = f"{row.n_frames} frame{'s' * (row.n_frames != 1)}"
    if evidence.whole:
        return frames
    tracks = f" in {row.n_tracks} track{'s' * (row.n_tracks != 1)}" if not evidence.still else ""
    return f"{frames}, {row.n_faces} face{'s' * (row.n_faces != 1)}{tracks}"


def _limits(evidence: Evidence) -> tuple[str, ...]:
    if evidence.whole:
        return video_texts.WHOLE_LIMITS
    return video_texts.STILL_LIMITS if evidence.still else video_texts.LIMITS


def _of_track(scores: Sequence[ScoreRecord]) -> dict[int, list[ScoreRecord]]:
    found: defaultdict[int, list[ScoreRecord]] = defaultdict(list)
    for score in scores:
        found[score.track_id].append(score)
    return found


def _ranked(evidence: Evidence) -> list[TrackRecord]:
    """The tracks, those that count for the verdict first, the highest scores first."""
    return sorted(evidence.tracks, key=lambda track: (not track.eligible, -track.score, track.track_id))


def _figures(evidence: Evidence) -> dict[str, Any]:
    """The timeline of a video, or the scores of an image's faces, with the table of tracks; None without a face."""
    row, tracks, of_track = evidence.row, _ranked(evidence), _of_track(evidence.scores)
    axis = Axis.of(row.sampled_seconds, evidence.scores, row.duration)
    lost = sorted(set(axis.sampled) - {score.pts_seconds for score in evidence.scores})
    bars = Bars(row.threshold, row.inconclusive_from)
    figure = None
    if tracks and evidence.still:
        figure = strip([(subject(track.track_id, evidence), track.score) for track in tracks], bars)
    elif tracks:
        figure = timeline(tracks, of_track, axis, bars, row.worst_track)
    rows = [_track_row(track, of_track, axis, evidence) for track in tracks]
    return {"figure": figure, "tracks": rows, "lost": axis.spans(set(lost)), "n_lost": len(lost)}


def _track_row(
    track: TrackRecord, of_track: Mapping[int, Sequence[ScoreRecord]], axis: Axis, evidence: Evidence
) -> dict[str, Any]:
    """A track as a row of the table."""
    scores = of_track.get(track.track_id, ())
    sides = sorted(score.crop_side for score in scores if score.crop_side is not None)
    counts = (
        "decides the verdict"
        if track.track_id == evidence.row.worst_track
        else "yes"
        if track.eligible
        else "too brief"
    )
    return {
        "name": subject(track.track_id, evidence),
        "track": track,
        "gaps": _spans_text(axis.gaps([score.pts_seconds for score in scores])),
        "side": f"{sides[len(sides) // 2]} px" if sides else "not on record",
        "counts": counts,
    }


def _spans_text(spans: Sequence[Span]) -> str:
    listed = [f"{span.begin:.1f}–{span.end:.1f} s" for span in spans[:_LISTED_GAPS]]
    more = [f"and {len(spans) - _LISTED_GAPS} more"] if len(spans) > _LISTED_GAPS else []
    return ", ".join(listed + more) or "none"


def _statistics(evidence: Evidence) -> dict[str, Any] | None:
    """The plot of the most suspicious face that was kept of the track that decided the verdict, and its table."""
    worst = evidence.row.worst_track
    shown = evidence.faces.get(worst) if worst is not None else None
    views = shown or next(iter(evidence.faces.values()), None)
    if not views:
        return None
    bands = spectrum.bands_of(evidence.model.reference if evidence.model else None)
    view = views[0]
    return {
        "name": subject(view.score.track_id, evidence),
        "score": view.score,
        "figure": spectrum.spectrum(view.sida, bands),
        "classes": list(bands),
        "outside": [(name, spectrum.outside(view.sida, band)) for name, band in bands.items()],
        "rows": list(spectrum.rows(view.sida, bands)),
    }
