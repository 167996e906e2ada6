"""Scores one batch in a process of its own: the score job, its tables under the files' own names, and the pages.

A process, so that a batch can be stopped at any moment, and so that nothing that goes wrong in it ends the server.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ffpipe.manifests.errors import FfpipeError
from ffpipe.pipeline import interrupts
from ffpipe.pipeline.config import ScoreConfig

if TYPE_CHECKING:
    import pyarrow as pa

    from ffpipe.pipeline.score import ScoreResult
    from ffpipe.pipeline.workspace import Workspace

#: Where a batch's own report lies in its folder, and the formats that it is written in.
REPORT = "report"
FORMATS = (".csv", ".json", ".parquet")
#: The folder of its pages.
PAGES = "pages"
_WORK = "work"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be scored: the batch's name and folder, and the name of each uploaded file by its place."""

    batch: str
    folder: Path
    names: dict[Path, str]
    settings: ScoreConfig
    workspace: Path


@dataclass(frozen=True, slots=True)
class Told:
    """What a runner says while it works: a line for people, how far it is, or how it ended.

    `value` is (done, total, stage) of progress, the line, the facts of a finished batch, or why it failed.
    """

    kind: Literal["progress", "line", "finished", "failed"]
    value: Any


Tell = Callable[[Told], None]


def run(connection: Connection, parent: int, order: Order) -> None:
    """Body of the process: works an order off and says how it went; a SIGTERM ends it and all below it."""
    from ffpipe.stages.decode.protection import die_with_parent

    die_with_parent(parent)
    interrupts.raise_first()
    # Ctrl-C reaches every process of a terminal; the server ends this one when it has heard it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        connection.send(_outcome(order, connection.send))
    except KeyboardInterrupt:
        os._exit(interrupts.INTERRUPTED)


def _outcome(order: Order, tell: Tell) -> Told:
    try:
        return Told("finished", perform(order, tell))
    except FfpipeError as error:
        return Told("failed", error.message)
    except OSError as error:
        return Told("failed", f"{error.filename or 'input/output'}: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001 - a bug costs this batch alone, and is named in its line
        return Told("failed", f"a bug in ffpipe: {type(error).__name__}: {error}")


def perform(order: Order, tell: Tell) -> dict[str, Any]:
    """Score an order; returns the facts that the page shows of it. Raises what the score job raises."""
    from ffpipe.pipeline import log
    from ffpipe.pipeline.score import score
    from ffpipe.pipeline.workspace import Workspace

    tell(Told("progress", (0, len(order.names), "loading the model")))
    workspace = Workspace(order.workspace)
    work = order.folder / _WORK
    work.mkdir(exist_ok=True)
    result = score(
        list(order.names),
        order.settings,
        workspace,
        # The scoring run is called after the batch, and each batch has a run of its own.
        out=work / f"{order.batch}.parquet",
        # Of that report nothing stays: the one under the files' own names takes its place.
        say=lambda line: None if line.startswith(f"report: {work}") else tell(Told("line", line)),
        advance=lambda done, total, note: tell(Told("progress", (done, total, _stage(note)))),
    )
    tell(Told("progress", (len(order.names), len(order.names), "writing the report")))
    tables = under_own_names(result, order.names)
    files = _write(tables, order, result, workspace, tell)
    log.note(workspace, "serve", result.provenance, files)
    shutil.rmtree(work)
    return _facts(tables["report"], result.root.name)


def _stage(note: str) -> str:
    return f"scoring, {note} so far" if note else "scoring"


def under_own_names(result: ScoreResult, names: Mapping[Path, str]) -> dict[str, pa.Table]:
    """The tables of a scoring, each file called as its owner calls it, and the hash of the rows made anew."""
    import pyarrow as pa

    from ffpipe.manifests.inputs import display_path
    from ffpipe.pipeline.table_reading import content_digest
    from ffpipe.pipeline.tables import provenance_of, with_provenance

    own = {os.fsencode(path): name for path, name in names.items()}
    called = [own[path] for path in result.report.column("path_bytes").to_pylist()]
    report = result.report
    for column, values in (
        ("path", [display_path(name) for name in called]),
        ("path_bytes", [name.encode("utf-8", "surrogateescape") for name in called]),
    ):
        field = report.schema.field(column)
        report = report.set_column(report.schema.get_field_index(column), field, pa.array(values, field.type))
    origin = provenance_of(result.report)
    told = {**origin, "content": {**origin["content"], "report": content_digest(report)}}
    return {name: with_provenance(table, told) for name, table in {**result.tables, "report": report}.items()}


def _write(
    tables: dict[str, pa.Table], order: Order, result: ScoreResult, workspace: Workspace, tell: Tell
) -> list[Path]:
    """The report in every format, its tables beside the first, and the pages. Raises StorageError."""
    from ffpipe.pipeline.reporting import write_pages
    from ffpipe.pipeline.tables import write_report
    from ffpipe.pipeline.weights import Weights

    files = []
    for suffix in FORMATS:
        held = tables if suffix == ".parquet" else {"report": tables["report"]}
        files += write_report(order.folder / f"{REPORT}{suffix}", held)
    pages = write_pages(
        tables,
        order.folder / PAGES,
        shards=workspace.scores(result.root.name),
        weights=Weights.load(result.weights),
        say=lambda line: tell(Told("line", line)),
    )
    return [*files, *pages]


def _facts(report: pa.Table, run: str) -> dict[str, Any]:
    """The verdicts in words, and the line of counts."""
    from ffpipe.manifests.records import Status, Verdict
    from ffpipe.pipeline.output import VERDICT_WORDS, score_text, summary_line

    rows = report.to_pylist()
    shown = [
        {
            "name": row["path"],
            "page": f"videos/{row['media_id']}.html",
            "kind": row["verdict"],
            "mark": VERDICT_WORDS[Verdict(row["verdict"])][0],
            "verdict": VERDICT_WORDS[Verdict(row["verdict"])][1],
            "score": score_text(row["score"]),
            "failed": Status(row["status"]).failed,
            "status": row["status"].replace("_", " "),
            "reason": row["reason"] or "",
        }
        for row in rows
    ]
    return {"rows": shown, "summary": summary_line(rows), "run": run}


def files_of(folder: Path) -> list[str]:
    """Names of the report's files that can be fetched, the report itself first in each format."""
    names = [f"{REPORT}{suffix}" for suffix in reversed(FORMATS)]
    beside = [f"{REPORT}.tracks.parquet", f"{REPORT}.scores.parquet", f"{REPORT}.csv.provenance.json"]
    return [name for name in (*names, *beside) if (folder / name).is_file()]


def check(settings: ScoreConfig, workspace: Path, say: Callable[[str], None]) -> tuple[ScoreConfig, str]:
    """The settings with the weights that every batch is scored with, and these in words.

    Raises UsageError where there are none, or where they cannot score faces as asked.
    """
    from ffpipe.pipeline.weights import Weights, choose_run
    from ffpipe.pipeline.workspace import Workspace

    directory = choose_run(settings.weights, Workspace(workspace), say, "--weights")
    weights = Weights.load(directory)
    weights.accepts(weights.inputs(settings.kind).kind, settings.accept_crops)
    words = f"{weights.loaded.config['detector']} ({directory.name}), model {weights.model_id[:12]}"
    if not weights.thresholds.usable:
        words += f"; its verdicts stay inconclusive: {weights.thresholds.reason}"
    return settings.model_copy(update={"weights": directory}), words
