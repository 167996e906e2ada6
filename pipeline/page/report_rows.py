"""A report row as a reader meets it: words for its verdict, score, reason and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status, Verdict
from ffpipe.pipeline import credentials_text
from ffpipe.pipeline.output import VERDICT_WORDS, score_text, size_text
from ffpipe.pipeline.page import texts

_ORDER = {verdict: place for place, verdict in enumerate(VERDICT_WORDS)}
#: A score's place in its small drawing is told in tenths of a percent.
_PLACES = 1


@dataclass(frozen=True, slots=True)
class Gauge:
    """A score on a scale of 0 to 100 percent, with the band between its bars where it was held to any."""

    at: float
    band: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class PageRow:
    """A report row in words.

    `kind` is the verdict's name, for the style. `folder` and `file` together are the path. `escaped` are the path's
    bytes where the path does not show them as they are. `score_key` and `duration_key` are what sorting compares.
    `calibrated` has a line for each number that a calibration gave; `worst` is the worst window of a longer
    track, `credentials` what a signer sealed into the file, apart from the verdict.
    """

    folder: str
    file: str
    escaped: str
    link: str | None
    kind: str
    mark: str
    verdict: str
    failed: bool
    status: str
    score: str
    score_key: str
    gauge: Gauge | None
    calibrated: tuple[str, ...]
    reason: str
    worst: str
    concerns: tuple[str, ...]
    credentials: str
    duration: str
    duration_key: str
    faces: int
    facts: tuple[str, ...]
    sha256: str


def gravity(row: Mapping[str, Any]) -> tuple[int, float]:
    """Sorts rows the gravest first: by verdict, and within one the highest score first."""
    return _ORDER[Verdict(row["verdict"])], -(row["score"] or 0.0)


def page_row(row: Mapping[str, Any], links: Mapping[str, str], calibrated: bool = False) -> PageRow:
    """One report row in words, with the link to its medium's page where there is one.

    `calibrated`: whether the run has a calibration, which need not cover each row.
    """
    verdict, status = Verdict(row["verdict"]), Status(row["status"])
    mark, words, _ = VERDICT_WORDS[verdict]
    path = display_path(row["path"])
    folder, slash, file = path.rpartition("/")
    return PageRow(
        folder=folder + slash,
        file=file,
        escaped="" if row["path_bytes"] == path else row["path_bytes"],
        link=links.get(row["media_id"]),
        kind=verdict.value,
        mark=mark,
        verdict=words,
        failed=status.failed,
        status="" if status is Status.OK else status_words(status),
        score=score_text(row["score"]),
        score_key="" if row["score"] is None else f"{row['score']:.9g}",
        gauge=_gauge(row),
        calibrated=_calibrated(row, calibrated),
        reason=display_path(row["reason"] or ""),
        worst=_worst(row),
        concerns=tuple(_concern(name) for name in row.get("concerns") or ()),
        credentials=credentials_text.note(row),
        duration=clock(row["duration"]),
        duration_key="" if not row["duration"] else f"{row['duration']:.6g}",
        faces=row["n_faces"],
        facts=_facts(row),
        sha256=row["sha256"],
    )


def status_words(status: Status) -> str:
    """A status as words."""
    return status.value.replace("_", " ")


def clock(seconds: float | None) -> str:
    """A duration for people: `4.9 s`, `1:05`, `1:02:10`; a dash where there is none, as of an image."""
    if not seconds:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _concern(name: str) -> str:
    known = {concern.value: heading for concern, (heading, _) in texts.CONCERNS.items()}
    return known.get(name) or display_path(name)


def _gauge(row: Mapping[str, Any]) -> Gauge | None:
    if row["score"] is None:
        return None
    low, high = row["inconclusive_from"], row["threshold"]
    width = None if low is None else (_percent(low), _percent((1.0 if high is None else high) - low))
    return Gauge(_percent(row["score"]), width)


def _percent(part: float) -> float:
    return round(100 * max(0.0, min(1.0, part)), _PLACES)


def _calibrated(row: Mapping[str, Any], calibrated: bool) -> tuple[str, ...]:
    if row["score"] is None:
        return ()
    if row["probability"] is None or row["log10_likelihood_ratio"] is None:
        return (texts.NOT_COVERED if calibrated else texts.UNCALIBRATED,)
    lines = (f"probability {row['probability']:.3f}", f"log10 LR {row['log10_likelihood_ratio']:+.2f}")
    posterior = row.get("posterior")
    return lines if posterior is None else (*lines, f"posterior {posterior:.3f}")


def _worst(row: Mapping[str, Any]) -> str:
    """The worst window, where it is not the whole track, which the reason names already."""
    window = (row["worst_window_start_seconds"], row["worst_window_end_seconds"])
    track = (row["worst_track_start_seconds"], row["worst_track_end_seconds"])
    if row["worst_track"] is None or None in window or window == track:
        return ""
    return f"Highest from {window[0]:.1f} s to {window[1]:.1f} s: {score_text(row['worst_window_score'])}"


def _facts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What else is known of the file and of what was looked at."""
    size = f"{row['width']} × {row['height']}" if row.get("width") and row.get("height") else ""
    rate = f"{row['fps']:.4g} frames/s" if row.get("fps") else ""
    held = [size_text(row["bytes"]) if row["bytes"] is not None else "", row.get("codec") or "", size, rate]
    partial = row["status"] == Status.PARTIAL and row.get("frames_expected")
    expected = f" of {row['frames_expected']} that were asked for" if partial else ""
    frames = f"{row['n_frames']} frame{'s' * (row['n_frames'] != 1)} looked at{expected}"
    looked = [
        frames,
        f"{row['n_faces']} faces",
        f"{row['n_tracks']} face track{'' if row['n_tracks'] == 1 else 's'}",
    ]
    return tuple(", ".join(part for part in parts if part) for parts in (held, looked))
