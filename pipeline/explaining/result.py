"""What an explanation gives: its files, its table of faces, what was said of the medium, and what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import ReportRow
from ffpipe.pipeline import plan
from ffpipe.pipeline.explaining.maps import HeatMaps
from ffpipe.pipeline.explaining.pictures import FaceFiles
from ffpipe.pipeline.explaining.words import Scored
from ffpipe.pipeline.tables import with_provenance

_BOX, _CROP = pa.list_(pa.float32(), 4), pa.list_(pa.int32(), 4)
#: The table of faces: one row for each scored face in the part that is shown.
FACES = pa.schema(
    {
        "face_id": pa.string(),
        "media_id": pa.string(),
        "path": pa.string(),
        "path_bytes": pa.binary(),
        "sha256": pa.string(),
        "track_id": pa.int32(),
        "frame_index": pa.int32(),
        "pts_seconds": pa.float64(),
        "box": _BOX,
        "crop_box": _CROP,
        "model_id": pa.string(),
        "logit": pa.float32(),
        "score": pa.float32(),
        "layer": pa.string(),
        "target": pa.string(),
        "picture": pa.string(),
        "crop": pa.string(),
        "heat_map": pa.string(),
        "map_empty": pa.bool_(),
    }
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A finished explanation. `out` is its folder, None where there was no face to explain, or the input failed.

    faces: the table of faces, with provenance; its file names are relative to `out`. sheets: a contact sheet a track.
    annotated: the video, or the picture of an image. frames: how many the video shows. origin_seconds: which of the
    medium's times is the video's zero. notes: what is missing, and why.
    """

    row: ReportRow
    faces: pa.Table
    provenance: dict[str, Any]
    out: Path | None = None
    table: Path | None = None
    sheets: list[Path] = field(default_factory=list)
    annotated: Path | None = None
    frames: int = 0
    origin_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> list[Path]:
        """The files that speak for the whole: table, sheets, video. Pictures of single faces are named in the table."""
        return [path for path in (self.table, *self.sheets, self.annotated) if path is not None]

    @property
    def crops(self) -> int:
        """Faces whose crops were written as files."""
        return int(self.faces.num_rows - self.faces.column("crop").null_count)

    def at(self, place: Path) -> Explanation:
        """The same in another folder."""

        def moved(path: Path | None) -> Path | None:
            return None if path is None else place / path.name

        sheets = [place / sheet.name for sheet in self.sheets]
        return replace(
            self, out=place, table=moved(self.table), sheets=sheets, annotated=moved(self.annotated)
        )

    @property
    def exit_code(self) -> int:
        """0, or 4 where the input failed."""
        return plan.exit_code(Counter([self.row.status.value]))

    def to_json(self) -> dict[str, Any]:
        """Everything but the table's rows, ready for JSON."""
        row = self.row
        return {
            "path": row.path,
            "sha256": row.sha256,
            "status": row.status.value,
            "verdict": row.verdict.value,
            "reason": row.reason,
            "score": row.score,
            "probability": row.probability,
            "log10_likelihood_ratio": row.log10_likelihood_ratio,
            "posterior": row.posterior,
            "out": _shown(self.out),
            "table": _shown(self.table),
            "sheets": [_shown(sheet) for sheet in self.sheets],
            "annotated": _shown(self.annotated),
            "frames": self.frames,
            "origin_seconds": self.origin_seconds,
            "faces": self.faces.num_rows,
            "heat_maps": self.faces.num_rows - self.faces.column("heat_map").null_count,
            "notes": list(self.notes),
            "provenance": self.provenance,
        }


def faces_table(
    row: ReportRow,
    faces: Sequence[Scored],
    files: Mapping[str, FaceFiles],
    maps: HeatMaps,
    provenance: Mapping[str, Any],
) -> pa.Table:
    """The faces in their order, each with the names of its files."""
    about = {"layer": maps.layer, "target": maps.target if maps.offered else None}
    medium = {"path": row.path, "path_bytes": row.path_bytes, "sha256": row.sha256}
    rows = []
    for face, record in faces:
        own = files.get(face.face_id, FaceFiles())
        facts = {name: getattr(record, name) for name in FACES.names if hasattr(record, name)}
        named = {"picture": own.picture, "crop": own.crop, "heat_map": own.heat_map}
        rows.append({**facts, **medium, **named, **about, "map_empty": maps.is_empty(face)})
    return with_provenance(pa.Table.from_pylist(rows, schema=FACES), provenance)


def _shown(path: Path | None) -> str | None:
    return None if path is None else display_path(os.fspath(path))
