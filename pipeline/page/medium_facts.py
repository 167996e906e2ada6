"""Facts of a medium, of how it was scored, and of how its faces are cut again, each with its heading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import ReportRow, ScoreRecord, Status
from ffpipe.pipeline.output import size_text
from ffpipe.pipeline.page.evidence import Evidence

#: Facts of the provenance that are shown one by one.
_ORIGIN = {
    "ffpipe": "ffpipe", "commit": "Commit", "calibration": "Calibration", "configuration_hash": "Configuration",
    "arithmetic": "Arithmetic", "device": "Device", "id": "Provenance id",
}  # fmt: skip
_TIMES = {"started": "Run started", "finished": "Run finished"}
#: Headings of the table of frames.
FRAME_COLUMNS = ("Frame", "Time (s)", "Track", "Face box", "Crop box", "Score")


def file_facts(row: ReportRow) -> Iterator[tuple[str, str]]:
    """What the file is."""
    yield "SHA-256", row.sha256 or "not known: the file could not be read"
    yield "Size", "not known" if row.bytes is None else f"{size_text(row.bytes)} ({row.bytes:,} bytes)"
    for heading, value in (
        ("Codec", row.codec),
        ("Frame size", row.width and f"{row.width} x {row.height} px"),
        ("Frame rate", row.fps and f"{row.fps:.6g} frames a second"),
        ("Bit rate", row.bit_rate and f"{row.bit_rate / 1000:,.0f} kbit/s"),
        ("Duration", row.duration and f"{row.duration:.2f} s"),
    ):
        yield heading, display_path(value) if value else "not on record"
    partial = row.status is Status.PARTIAL and row.frames_expected
    expected = f" of {row.frames_expected} that were asked for" if partial else ""
    yield "Frames looked at", f"{row.n_frames}{expected}"
    yield "Status", row.status.value.replace("_", " ")


def run_facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """How it was scored."""
    origin = evidence.provenance
    told = origin.get("model")
    model: dict[str, Any] = told if isinstance(told, dict) else {}
    yield "Model", str(model.get("detector") or (evidence.model.name if evidence.model else "not on record"))
    yield "Weights SHA-256", evidence.row.model_id
    if model.get("crop_fingerprint"):
        yield "Crop fingerprint", str(model["crop_fingerprint"])
    for key, heading in _ORIGIN.items():
        if origin.get(key):
            yield heading, display_path(str(origin[key]))
    for key, heading in _TIMES.items():
        if origin.get(key):
            yield heading, _utc(origin[key])
    if origin.get("command"):
        yield "Command", display_path(" ".join(map(str, origin["command"])))


def _utc(stored: Any) -> str:
    """A time as a provenance has it, for people."""
    try:
        return datetime.fromisoformat(str(stored)).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return display_path(str(stored))


def frame_row(score: ScoreRecord) -> tuple[str, ...]:
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
