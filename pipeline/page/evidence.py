"""What is known of one scored medium, gathered for its page: rows, kept faces, heat maps, facts of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.manifests.records import ReportRow, ScoreRecord, TrackRecord
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan, tables
from ffpipe.pipeline.page.bars import kind_of, prior_of
from ffpipe.pipeline.page.strata import Validated, validated
from ffpipe.pipeline.weights import Weights
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import Image, decode_crop
from ffpipe.stages.domain import Reference
from ffpipe.stages.explain import HeatMap, explain_face, telling_layer
from ffpipe.stages.infer import Vector

#: Tracks whose faces are shown, those of the highest scores; of each the faces of highest and of lowest score.
SHOWN_TRACKS, WORST_SHOWN, LEAST_SHOWN = 6, 3, 1
#: Kept faces that are in memory at a time while the wanted ones are looked for.
_READ_ROWS = 4
_FACE_COLUMNS = ("face_id", "crop_side", "stored_side", "crop", "sida")


@dataclass(frozen=True, slots=True)
class FaceView:
    """A kept face: its score's row, its stored crop (H,W,3), its D (2304,), and a heat map (H,W) where there is one.

    `crop_side` is the side in pixels of the frame, before storing; `suspicious` tells the highest from the lowest.
    """

    score: ScoreRecord
    crop: Image
    crop_side: int
    sida: Vector
    suspicious: bool
    heat: HeatMap | None = None

    def __repr__(self) -> str:
        mapped = "with" if self.heat is not None else "without"
        return f"FaceView({self.score.face_id}, {self.score.score:.3f}, crop {self.crop.shape}, {mapped} heat map)"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the page says of the weights that scored the medium.

    reference and validated are None where the model's folder has no such thing.
    """

    name: str
    model_id: str
    thresholds: Thresholds
    datasets: tuple[str, ...] = ()
    reference: Reference | None = None
    validated: Validated | None = None

    @classmethod
    def of(cls, weights: Weights) -> ModelFacts:
        """The facts of loaded weights."""
        config = weights.loaded.config
        datasets = tuple((config.get("data") or {}).get("datasets") or ())
        return cls(
            name=str(config["detector"]),
            model_id=weights.model_id,
            thresholds=weights.thresholds,
            datasets=datasets,
            reference=weights.reference,
            validated=validated(weights.loaded.directory, weights.model_id, datasets, weights.loaded.metrics),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the page of one medium shows.

    copies: rows of the same content under other paths. faces: the kept faces that are shown, by track, the highest
    scores first. no_faces and no_maps say why faces or heat maps are missing, map_layer of which module of the network
    the maps are. model: None where the weights are not
    at hand.
    """

    row: ReportRow
    copies: tuple[ReportRow, ...] = ()
    tracks: tuple[TrackRecord, ...] = ()
    scores: tuple[ScoreRecord, ...] = ()
    faces: Mapping[int, tuple[FaceView, ...]] = field(default_factory=dict)
    no_faces: str | None = None
    no_maps: str | None = None
    map_layer: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    model: ModelFacts | None = None

    @property
    def whole(self) -> bool:
        """Whether the medium was scored as whole frames, without looking for faces."""
        return kind_of(self.provenance) == "whole"

    @property
    def prior(self) -> float | None:
        """The probability of "fake" that posteriors start from, where one was given."""
        return prior_of(self.provenance)

    @property
    def face_side(self) -> float | None:
        """Median side in pixels of the crops of the track that decided the verdict; None where it is not on record."""
        sides = [
            s.crop_side for s in self.scores if s.track_id == self.row.worst_track and s.crop_side is not None
        ]
        return median(sides) if sides else None

    @property
    def still(self) -> bool:
        """Whether it is one frame, so that there is no time to show."""
        return self.row.n_frames == 1


class EvidenceSource:
    """Evidence on the media of one report.

    tables: `report`, `tracks` and `scores` (the last two may be missing). shards: the run's, which hold the kept faces,
    where they still exist. weights: those that scored the media, where they are at hand.
    """

    def __init__(
        self, tables: Mapping[str, pa.Table], shards: ShardGroup | None = None, weights: Weights | None = None
    ) -> None:
        self._tables = dict(tables)
        self._shards = shards
        self._weights = weights
        self._model = ModelFacts.of(weights) if weights else None
        self._places = {name: _places(table) for name, table in self._tables.items()}
        self._chunks, self._lost = _chunks(shards)

    def of(self, media_id: str) -> Evidence:
        """The evidence on a medium. What cannot be had is said in it; KeyError for a medium without a report row."""
        row, *copies = from_table(self._rows("report", media_id), ReportRow)
        scores = from_table(self._rows("scores", media_id), ScoreRecord)
        tracks = from_table(self._rows("tracks", media_id), TrackRecord)
        weights = self._weights if self._weights and self._weights.model_id == row.model_id else None
        wanted = chosen_faces(tracks, scores)
        faces, no_faces = self._kept(media_id, wanted) if wanted else ({}, None)
        maps = _heat_maps(weights, faces, wanted) if faces else _Maps()
        views = _views(wanted, faces, maps.of)
        return Evidence(
            row=row,
            copies=tuple(copies),
            tracks=tuple(tracks),
            scores=tuple(scores),
            faces=views,
            no_faces=no_faces,
            no_maps=maps.lacking,
            map_layer=maps.layer,
            provenance=tables.provenance_of(self._tables["report"]),
            model=self._model if weights else None,
        )

    def _rows(self, table: str, media_id: str) -> pa.Table:
        if table == "report":
            spans = self._places[table][media_id]
        elif table not in self._tables:
            return pa.table({})
        else:
            spans = self._places[table].get(media_id, [])
        rows = self._tables[table]
        return pa.concat_tables([rows.slice(start, length) for start, length in spans] or [rows.slice(0, 0)])

    def _kept(
        self, media_id: str, wanted: Mapping[int, Sequence[tuple[ScoreRecord, bool]]]
    ) -> tuple[dict[str, dict[str, Any]], str | None]:
        """The wanted faces that the run kept, by id, and why there are none."""
        if self._shards is None or self._lost:
            return {}, self._lost or "the folder of the run that scored it is not at hand"
        ids = [score.face_id for chosen in wanted.values() for score, _ in chosen]
        try:
            found = {face["face_id"]: face for face in self._faces(media_id, ids)}
        except (IntegrityError, StorageError) as error:
            return {}, f"the kept faces cannot be read: {error}"
        return found, None if found else "the run kept no faces (--keep-faces none), or they were deleted"

    def _faces(self, media_id: str, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        if self._shards is None or media_id not in self._chunks:
            return
        wanted = pa.array(ids, pa.string())
        batches = self._shards.chunk_batches(self._chunks[media_id], "faces", _FACE_COLUMNS, _READ_ROWS)
        for batch in batches:
            kept = batch.filter(pc.is_in(batch.column("face_id"), wanted))
            for face in kept.to_pylist():
                yield {**face, "crop": decode_crop(face["crop"]), "sida": np.float32(face["sida"])}


def chosen_faces(
    tracks: Sequence[TrackRecord], scores: Sequence[ScoreRecord]
) -> dict[int, list[tuple[ScoreRecord, bool]]]:
    """The faces that are shown, by track: of the highest-scoring tracks the highest and the lowest scores.

    With each face whether it is among the highest. Tracks that count for the verdict come first; equals by id.
    """
    ranked = sorted(tracks, key=lambda track: (not track.eligible, -track.score, track.track_id))
    of_track: defaultdict[int, list[ScoreRecord]] = defaultdict(list)
    for score in scores:
        of_track[score.track_id].append(score)
    chosen = {}
    for track in ranked[:SHOWN_TRACKS]:
        order = sorted(of_track[track.track_id], key=lambda score: (-score.logit, score.frame_index))
        least = order[max(WORST_SHOWN, len(order) - LEAST_SHOWN) :]
        chosen[track.track_id] = [(s, True) for s in order[:WORST_SHOWN]] + [(s, False) for s in least]
    return chosen


def _places(table: pa.Table) -> dict[str, list[tuple[int, int]]]:
    """Where the rows of each medium stand: start and length of every run of them."""
    spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    column = table.column("media_id").combine_chunks()
    if len(column):
        runs = pc.run_end_encode(column, run_end_type=pa.int64())
        start = 0
        for end, name in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
            spans[name].append((start, end - start))
            start = end
    return dict(spans)


def _chunks(shards: ShardGroup | None) -> tuple[dict[str, str], str | None]:
    """The chunk that holds each medium's own results, and why that cannot be told."""
    if shards is None:
        return {}, None
    try:
        commits = shards.commits()
    except (IntegrityError, StorageError) as error:
        return {}, f"the run's record of its faces cannot be read: {error}"
    own = {i["media_id"]: commit.chunk for commit in commits for i in commit.inputs if plan.is_own(i)}
    return own, None


@dataclass(frozen=True, slots=True)
class _Maps:
    """Heat maps by face, the layer that they are of, and why there is none."""

    of: Mapping[str, HeatMap] = field(default_factory=dict)
    layer: str | None = None
    lacking: str | None = None


def _heat_maps(
    weights: Weights | None,
    faces: Mapping[str, Mapping[str, Any]],
    wanted: Mapping[int, Sequence[tuple[ScoreRecord, bool]]],
) -> _Maps:
    """Grad-CAM of kept faces, at the layer that tells something of the first of the wanted ones."""
    if weights is None:
        return _Maps(lacking="the weights that scored it are not at hand")
    loaded, fit = weights.loaded, weights.crop.fit
    if not loaded.model.spec.gradcam_layers:
        return _Maps(
            lacking=f"{loaded.model.spec.name} reads statistics of the whole face and has no map of it"
        )
    first = next(score.face_id for chosen in wanted.values() for score, _ in chosen if score.face_id in faces)
    maps: dict[str, HeatMap] = {}
    try:
        layer = telling_layer(loaded, faces[first]["crop"], faces[first]["sida"], fit=fit)
        for name, face in faces.items():
            maps[name] = explain_face(loaded, face["crop"], face["sida"], layer, fit=fit)
    except (ValueError, FloatingPointError) as error:
        return _Maps(lacking=str(error))
    return _Maps(maps, layer)


def _views(
    wanted: Mapping[int, Sequence[tuple[ScoreRecord, bool]]],
    faces: Mapping[str, Mapping[str, Any]],
    maps: Mapping[str, HeatMap],
) -> dict[int, tuple[FaceView, ...]]:
    shown = {}
    for track, chosen in wanted.items():
        views = [
            FaceView(
                score=score,
                crop=faces[score.face_id]["crop"],
                crop_side=faces[score.face_id]["crop_side"],
                sida=faces[score.face_id]["sida"],
                suspicious=suspicious,
                heat=maps.get(score.face_id),
            )
            for score, suspicious in chosen
            if score.face_id in faces
        ]
        if views:
            shown[track] = tuple(views)
    return shown
