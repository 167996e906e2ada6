"""The score job: files, folders and globs to one report row an input, with tracks, face scores and kept crops."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

import ffpipe
from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.manifests.inputs import AnyPath, Inputs, collect
from ffpipe.manifests.records import Entry, MediaRecord, ReportRow, Status
from ffpipe.manifests.schemas import from_table, to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import log, plan, provenance, tables
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.compiling import try_compiled
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.credentials import reader_for
from ffpipe.pipeline.driver import ShardJob, drive, forget_failed, hash_entries
from ffpipe.pipeline.engine import Chunk, Worker
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.medium import MediumReader, choices_line
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.readings import arithmetic_for, model_facts, reading_for
from ffpipe.pipeline.scoring import (
    BEST_KEPT,
    WORST_KEPT,
    MediumScorer,
    ScoredMedium,
    Stamp,
    for_path,
    report_row,
)
from ffpipe.pipeline.table_reading import content_digest
from ffpipe.pipeline.weights import Weights, choose_run
from ffpipe.pipeline.workspace import Workspace, bind_job, finish_job, name_for
from ffpipe.stages.aggregate import Rule, Thresholds
from ffpipe.stages.arithmetic import Arithmetic
from ffpipe.stages.calibration import Calibration, Reading
from ffpipe.stages.crop import Kind
from ffpipe.stages.infer import Scorer
from ffpipe.stages.quality import OPEN, QualityGate

#: Hexadecimal digits of a run's name that tell it from other runs of the same report name.
_RUN_DIGITS = 12
#: Tables that are written beside the report.
BESIDE = ("tracks", "scores")


@dataclass(frozen=True, slots=True)
class ScoreJob(ShardJob[ScoredMedium]):
    """What an engine needs to score media into a run's shards."""

    root: Path
    settings: ScoreConfig
    weights: Path
    stamp: Stamp
    thresholds: Thresholds
    device: str
    arithmetic: Arithmetic
    kind: Kind
    reading: Reading = Reading()

    @property
    def key(self) -> str:
        """Names the warm worker: folder, every setting, the weights, how they are computed, and their calibration."""
        told = [self.root, self.settings.model_dump_json(), self.stamp.model_id, self.arithmetic.name]
        return " ".join(
            map(str, ["score", *told, self.reading.calibration.id if self.reading.calibration else "-"])
        )

    @property
    def shards(self) -> ShardGroup:
        """The run's folder of shards."""
        return run_shards(self.root)

    @property
    def rule(self) -> Rule:
        """How faces are gathered into tracks and videos."""
        return Rule(min_faces=self.settings.min_faces, whole=self.kind == "whole")

    def build(self) -> Worker:
        """A worker with a warm network, detector and decoding child."""
        weights = Weights.load(self.weights, self.device)
        if weights.model_id != self.stamp.model_id:
            raise WeightsError(f"{self.weights} was replaced while it was used; run the command again")
        scorer = self.scorer(weights)

        def work(chunk: Chunk, attempt: str) -> dict[str, Any]:
            results = [self._known(item) or scorer.score(item) for item in chunk.items]
            return self.commit(chunk, attempt, results)

        return work

    def scorer(self, weights: Weights) -> MediumScorer:
        """What scores one medium after another with these weights, already loaded."""
        return MediumScorer(
            reader=MediumReader(self.settings, weights.inputs(self.kind), None),
            scorer=Scorer(
                weights.loaded,
                self.device,
                self.settings.batch_size,
                self.arithmetic,
                weights.crop.fit,
                self.settings.compile,
            ),
            thresholds=weights.thresholds,
            rule=self.rule,
            stamp=self.stamp,
            keep=self.settings.keep_faces,
            gate=QualityGate(weights.reference, self.settings.quality_gate),
            reading=self.reading,
            credentials=reader_for(self.settings),
        )

    def _known(self, item: MediumItem) -> ScoredMedium | None:
        """The content's row under another path, where this run has it already: only rows are added then."""
        return None if item.known is None else ScoredMedium(_media_of(item.known), item.known)

    def failed(self, item: MediumItem, media: MediaRecord) -> ScoredMedium:
        """A medium of which there is nothing but a row."""
        return ScoredMedium(media, report_row(media, [], [], self.thresholds, self.rule, self.stamp, OPEN))

    def tables(self, chunk: Chunk, results: Sequence[ScoredMedium]) -> dict[str, pa.Table]:
        """Report rows of every path, and the tracks, scores and kept faces of every content."""
        pairs = zip(chunk.items, results, strict=True)
        rows = [for_path(result.row, entry) for item, result in pairs for entry in item.entries]
        return {
            "report": to_table("report", rows),
            "tracks": to_table("tracks", [t for result in results for t in result.tracks]),
            "scores": to_table("scores", [s for result in results for s in result.scores]),
            "faces": to_table("faces", [f for result in results for f in result.kept]),
        }


def run_shards(root: Path) -> ShardGroup:
    """The shards of a scoring run's folder."""
    return ShardGroup(root, "report", ["tracks", "scores", "faces"])


def _media_of(row: ReportRow) -> MediaRecord:
    return MediaRecord(
        media_id=row.media_id,
        path=row.path,
        path_bytes=row.path_bytes,
        sha256=row.sha256,
        bytes=row.bytes,
        status=row.status,
        reason=row.reason,
    )


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A finished scoring: its tables with their provenance, the files written, and the run's folder.

    report has one row an input, in the order of the inputs; tracks and scores follow it.
    """

    report: pa.Table
    tracks: pa.Table
    scores: pa.Table
    root: Path
    weights: Path
    provenance: dict[str, Any]
    files: list[Path] = field(default_factory=list)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The tables by name."""
        return {name: getattr(self, name) for name in ("report", *BESIDE)}

    @property
    def exit_code(self) -> int:
        """0 where no input failed, 3 where some did, 4 where all did."""
        return plan.exit_code(Counter(self.report.column("status").to_pylist()))


def score(
    paths: Sequence[AnyPath],
    config: ScoreConfig,
    workspace: Workspace,
    *,
    out: Path | None = None,
    say: Say,
    advance: Advance | None = None,
) -> ScoreResult:
    """Score every input that the paths stand for; the same command goes on where an interrupted one was.

    `out` is written as `tables.write_report` says. Raises UsageError (nothing found, output or weights that cannot
    be used, another run at work) and StorageError (disk full, read-only); what is committed by then stays.
    """
    if out is not None:
        tables.check_output(out)
    found = _collect(paths, config, workspace, out, say)
    job = prepare(config, workspace, out, say)
    with tables.sole_writer(out), job.shards.lock():
        forget_failed(job.shards, config, say)
        made = known_rows(from_table(job.shards.read("report"), ReportRow), plan.made(job.shards))
        items = items_of(found, made, workspace, config, say)
        drive(job, items, config, say, advance)
        result = gather(job, found, items, finish_job(job.shards))
        say(kept_line(config, job.shards))
        if out is not None:
            result = replace(result, files=tables.write_report(out, result.tables))
            say(f"report: {out}; beside it {', '.join(file.name for file in result.files[1:])}")
    log.note(workspace, "score", result.provenance, result.files, job.shards)
    return result


def prepare(config: ScoreConfig, workspace: Workspace, out: Path | None, say: Say) -> ScoreJob:
    """The job of scoring into the run of these settings, weights and report; makes the run's folder where it lacks.

    Raises UsageError (weights that cannot be used, a run of other settings) and StorageError.
    """
    reader_for(config)
    directory = choose_run(config.weights, workspace, say, "--weights")
    weights = Weights.load(directory)
    kind = weights.inputs(config.kind).kind
    accepted = weights.accepts(kind, config.accept_crops)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    if config.compile:
        say(try_compiled(weights.loaded, device, config.batch_size, arithmetic))
    reading = reading_for(config, weights, kind, say)
    root, facts = _bind(
        config, workspace, weights, kind, accepted, out, device, arithmetic, reading.calibration
    )
    job = ScoreJob(
        root=root,
        settings=config,
        weights=directory,
        stamp=Stamp(weights.model_id, facts["provenance"]["id"], accepted),
        thresholds=weights.thresholds,
        device=device,
        arithmetic=arithmetic,
        kind=kind,
        reading=reading,
    )
    if config.min_faces != Rule().min_faces:
        say(f"--min-faces {config.min_faces}: the bars were set with {Rule().min_faces}")
    if not weights.thresholds.usable:
        say(f"verdicts stay inconclusive with these weights: {weights.thresholds.reason}")
    say(choices_line(config, None, kind))
    return job


def _collect(
    paths: Sequence[AnyPath], config: ScoreConfig, workspace: Workspace, out: Path | None, say: Say
) -> Inputs:
    found = collect(paths, exclude=[workspace.root])
    line = found.companions_line()
    if line:
        say(line)
    entries = without_own(found.entries, out)
    found = replace(found, entries=entries[: config.limit], skipped=[] if config.limit else found.skipped)
    if not (found.entries or found.skipped):
        raise UsageError("no input found in what was given; give videos, images, folders or globs")
    return found


def without_own(paths: Sequence[str], out: Path | None) -> list[str]:
    """The paths but those of a report's files: what an earlier run wrote into a folder of inputs is no input."""
    own = {os.path.realpath(file) for file in tables.output_files(out, BESIDE)} if out else set()
    names = {os.path.basename(path) for path in own}  # noqa: PTH119 - names need not be UTF-8

    def is_own(path: str) -> bool:
        # Following every path would cost more than finding them all did.
        likely = os.path.basename(path) in names or os.path.islink(path)  # noqa: PTH114, PTH119
        return likely and os.path.realpath(path) in own

    return [path for path in paths if not is_own(path)]


def _bind(
    config: ScoreConfig,
    workspace: Workspace,
    weights: Weights,
    kind: Kind,
    accepted: bool,
    out: Path | None,
    device: str,
    arithmetic: Arithmetic,
    calibration: Calibration | None,
) -> tuple[Path, dict[str, Any]]:
    """The run's folder and what is stored of it: one for each way to score these inputs into this report."""
    # The folder of the weights is a place; what they are is said by their hash.
    configuration = {name: value for name, value in config.resolved().items() if name != "weights"}
    place = os.fsencode(os.path.abspath(out)) if out else b""  # noqa: PTH100 - an undecodable name stays
    stable = [ffpipe.__version__, config.digest(), weights.model_id, place.hex(), device, arithmetic.name]
    stable += [calibration.id] if calibration else []
    digest = hashlib.sha256(json.dumps(stable).encode()).hexdigest()
    run = f"{name_for(out.stem if out else 'report')}-{digest[:_RUN_DIGITS]}"
    shards = workspace.scores(run)
    shards.create()
    origin = provenance.collect(
        config,
        configuration,
        weights=[weights.model_id],
        calibration=calibration.id if calibration else None,
        device=device_name(device),
        model=model_facts(weights, calibration),
        kind=kind,
        crops_accepted=accepted,
        arithmetic=arithmetic.name,
    )
    place_facts = {"run": run, "weights": str(weights.loaded.directory)}
    facts = {"configuration": configuration, "provenance": {**origin, **place_facts}}
    return shards.root, bind_job(shards.root, digest, facts, "write to another --out")


def known_rows(rows: Iterable[ReportRow], made: Collection[str]) -> dict[str, ReportRow]:
    """The row of each content that a run has scored itself (`made`), and that other paths may take over."""
    return {
        row.media_id: row
        for row in rows
        if row.media_id in made and not row.status.failed and row.status is not Status.SKIPPED
    }


def items_of(
    found: Inputs, known: Mapping[str, ReportRow], workspace: Workspace, config: ScoreConfig, say: Say
) -> list[MediumItem]:
    """One item per content, with the row that this run has of it already."""
    entries = [Entry(path) for path in found.entries]
    hashes = hash_entries(entries, workspace, config.rehash, say, config.max_bytes)
    refused = [Hashed(s.path, status=Status.SKIPPED, reason=s.reason) for s in found.skipped]
    items = plan.items_from([*entries, *(Entry(s.path) for s in found.skipped)], [*hashes, *refused])
    return [replace(item, known=known.get(item.media_id)) for item in items]


def gather(
    job: ScoreJob, found: Inputs, items: Sequence[MediumItem], origin: Mapping[str, Any]
) -> ScoreResult:
    """This command's part of the run, in the order of its inputs; `content` in its provenance says what it holds."""
    wanted = {(item.media_id, os.fsencode(e.path)) for item in items for e in item.entries}
    places = {
        os.fsencode(path): k for k, path in enumerate([*found.entries, *(s.path for s in found.skipped)])
    }
    stored = from_table(job.shards.read("report"), ReportRow)
    rows = [row for row in stored if (row.media_id, row.path_bytes) in wanted]
    rows.sort(key=lambda row: places[row.path_bytes])
    return arranged(job, rows, {name: job.shards.read(name) for name in BESIDE}, origin)


def arranged(
    job: ScoreJob, rows: Sequence[ReportRow], beside: Mapping[str, pa.Table], origin: Mapping[str, Any]
) -> ScoreResult:
    """Report rows in their order, with what the tables `beside` have of their media, as the result of a scoring."""
    order = list(dict.fromkeys(row.media_id for row in rows))
    made = {
        "report": to_table("report", rows),
        "tracks": _in_order(beside["tracks"], order, ["track_id"]),
        "scores": _in_order(beside["scores"], order, ["frame_index", "track_id"]),
    }
    told = {**origin, "content": {name: content_digest(table) for name, table in made.items()}}
    carrying = {name: tables.with_provenance(table, told) for name, table in made.items()}
    return ScoreResult(**carrying, root=job.root, weights=job.weights, provenance=told)


def _in_order(table: pa.Table, media: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """The rows of these media in their order, and within a medium by some columns."""
    place = pc.index_in(table.column("media_id"), pa.array(media, pa.string()))
    placed = table.append_column("place", place).filter(pc.is_valid(place))
    keys = [("place", "ascending"), *((name, "ascending") for name in columns)]
    return placed.take(pc.sort_indices(placed, keys)).drop_columns("place")


def kept_line(config: ScoreConfig, shards: ShardGroup) -> str:
    """What of people's faces stays on disk, and how it goes."""
    kept = sum(part.rows for _, part in shards.shards("faces"))
    rule = {
        "none": "none",
        "worst": f"the {WORST_KEPT} highest and {BEST_KEPT} lowest of a track",
        "all": "all",
    }
    return (
        f"run: {shards.root}, with {kept} face crops ({rule[config.keep_faces]}); "
        f"`ffpipe purge {shards.root.name}` deletes it"
    )
