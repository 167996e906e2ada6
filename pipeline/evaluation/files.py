"""What an evaluation leaves in its folder: figures, every single score, tables for a paper, and plots.

figures.csv and evaluation.json hold every row; figures.md and figures.tex the tables; scores.parquet every picture,
tracks.parquet every track, media.parquet every medium with its verdict, or why it has none; plots/ PNG and SVG.
evaluation.json is written last: a folder that has it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import MediaRecord, TrackRecord
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.sealed import sealed
from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import tables
from ffpipe.pipeline.evaluation.parts import RESULT
from ffpipe.pipeline.evaluation.plots import evaluation_plots, write_plots
from ffpipe.pipeline.evaluation.scores import TRACK, Scores
from ffpipe.pipeline.evaluation.tables import latex_tables, markdown_document
from ffpipe.pipeline.evaluation.verdicts import Outcome, media_table
from ffpipe.pipeline.provenance_text import as_latex, as_markdown

if TYPE_CHECKING:
    from ffpipe.pipeline.evaluation.job import Evaluation

#: Tables of single scores: a row a picture, a track and a medium.
PICTURES, TRACKS, MEDIA = "scores.parquet", "tracks.parquet", "media.parquet"


def write_files(
    result: Evaluation, scores: Scores, media: Sequence[MediaRecord], found: dict[str, Outcome]
) -> None:
    """Write them all; `media` are rows of the media table. Raises StorageError."""
    folder, origin = result.directory, result.facts["provenance"]
    headline = scores.levels[scores.headline]

    def store(name: str, table: pa.Table) -> None:
        tables.write_table(folder / name, tables.with_provenance(table, origin))

    store("figures.csv", pa.Table.from_pylist([row.flat() for row in result.rows]))
    store(PICTURES, scores.table([m for m in media if m.faces]))
    store(MEDIA, media_table(media, found, headline))
    if TRACK in scores.levels:
        store(TRACKS, _tracks(scores))
    write_atomic(
        folder / "figures.md",
        f"{markdown_document(result.facts, result.rows)}\n\n{as_markdown(origin)}".encode(),
    )
    write_atomic(
        folder / "figures.tex", (as_latex(origin) + latex_tables(result.facts, result.rows)).encode()
    )
    plots = folder / "plots"
    try:
        plots.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to {plots}: {error.strerror or error}") from error
    write_plots(plots, evaluation_plots(result.facts, result.rows, headline, found), origin)
    write_atomic(folder / RESULT, sealed(json.loads(result.to_json()), indent=1))


def _tracks(scores: Scores) -> pa.Table:
    """Every track of every video, also those with too few frames, with label and group."""
    pairs: list[tuple[TrackRecord, Any]] = [
        (track, video) for video in scores.videos for track in video.all_tracks
    ]
    table = to_table("tracks", [track for track, _ in pairs])
    label = pa.array([video.label for _, video in pairs], pa.int8())
    group = pa.array([video.group for _, video in pairs], pa.string())
    return table.append_column("label", label).append_column("group", group)
