"""The explain job: one video or image, scored as `score` does, then shown with where the detector looked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ffpipe.manifests.durable import new_folder
from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.manifests.inputs import AnyPath, collect, display_path
from ffpipe.manifests.records import Entry, Status
from ffpipe.pipeline import log, plan, provenance
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.config import ExplainConfig
from ffpipe.pipeline.config.explaining import NOT_ASKED
from ffpipe.pipeline.driver import hash_entries
from ffpipe.pipeline.explaining.maps import HeatMaps
from ffpipe.pipeline.explaining.result import Explanation
from ffpipe.pipeline.explaining.showing import Meter, Showing, no_meter
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.medium import choices_line
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.readings import arithmetic_for, model_facts, reading_for
from ffpipe.pipeline.score import ScoreJob
from ffpipe.pipeline.scoring import ScoredMedium, Stamp
from ffpipe.pipeline.weights import Weights, choose_run
from ffpipe.pipeline.workspace import Workspace, name_for
from ffpipe.stages.calibration import Reading

#: What a provenance, which is older than the scores, says of a layer that nobody asked for.
AUTO = "the first whose map of the highest-scoring face is not empty"


def explain(
    path: AnyPath,
    config: ExplainConfig,
    workspace: Workspace,
    *,
    out: Path | None = None,
    say: Say,
    meter: Meter = no_meter,
) -> Explanation:
    """Score one medium as `score` does and write, into a new folder, what shows where the detector looked.

    `out` is that folder, by default `explained/<name>-explained` in the workspace: never beside the input, where a
    later scoring of its folder would take the pictures for inputs. It is there whole or not at all. What fails over
    the medium is its status.

    Raises UsageError (no single file, a folder that is there already, weights or a layer that cannot be used) and
    StorageError (disk full, read-only).
    """
    entry, hashed = _single(path, workspace)
    place = _free_folder(entry.path, out, workspace)
    directory = choose_run(config.weights, workspace, say, "--weights")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = Weights.load(directory, device)
    kind = weights.inputs(config.kind).kind
    accepted = weights.accepts(kind, config.accept_crops)
    maps = HeatMaps(weights.loaded, config.layer, config.target, weights.crop.fit)
    if not maps.offered:
        say(
            f"{maps.detector} has no map that Grad-CAM could weight: boxes and scores are shown, no heat maps"
        )
    (item,) = plan.items_from(
        [entry], hashed or hash_entries([entry], workspace, config.rehash, say, config.max_bytes)
    )
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    reading = reading_for(config, weights, kind, say)
    origin = _origin(config, weights, reading, accepted, device, arithmetic.name, item, maps)
    job = ScoreJob(
        root=Path(),
        settings=config.model_copy(update={"keep_faces": "all"}),
        weights=directory,
        stamp=Stamp(weights.model_id, origin["id"], accepted),
        thresholds=weights.thresholds,
        device=device,
        arithmetic=arithmetic,
        kind=kind,
        reading=reading,
    )
    say(choices_line(config, None, kind))
    found = _scored(job, weights, item)
    showing = Showing(config, item, found, maps, origin, meter)
    if not found.scores:
        say(f"nothing to explain: {found.row.reason}")
        return showing.nothing(found.row)
    try:
        with new_folder(place) as folder:
            made = showing.fill(folder)
    except MediaError as error:
        say(f"nothing was written: {error.reason}")
        return showing.nothing(replace(found.row, status=Status(error.status), reason=error.reason))
    made = made.at(place)
    for note in made.notes:
        say(note)
    log.note(workspace, "explain", made.provenance, made.outputs)
    return made


def _single(path: AnyPath, workspace: Workspace) -> tuple[Entry, list[Hashed] | None]:
    """The one file that was given, and why it is not opened where it is not."""
    given = os.fsdecode(path)
    if Path(given).is_dir():
        raise UsageError(f"{display_path(given)}: is a folder; explain takes one video or image")
    found = collect([path], exclude=[workspace.root])
    names = [*found.entries, *(skipped.path for skipped in found.skipped)]
    if len(names) != 1:
        raise UsageError(
            f"{display_path(given)}: stands for {len(names)} inputs; explain takes one video or image"
        )
    refused = [Hashed(s.path, status=Status.SKIPPED, reason=s.reason) for s in found.skipped]
    return Entry(names[0]), refused or None


def _free_folder(source: str, out: Path | None, workspace: Workspace) -> Path:
    """Where the explanation goes. Raises UsageError where something is there already."""
    stem = name_for(display_path(Path(source).stem))
    place = out or workspace.root / "explained" / f"{stem}-explained"
    shown = display_path(os.fspath(place))
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise UsageError(f"--out {shown}: is no folder; give a name for a new one")
    if place.exists() and any(place.iterdir()):
        raise UsageError(f"--out {shown}: is there already; delete it, or give a name for a new folder")
    return Path(os.path.abspath(place))  # noqa: PTH100 - symlinks stay as the user named them


def _origin(
    config: ExplainConfig,
    weights: Weights,
    reading: Reading,
    accepted: bool,
    device: str,
    arithmetic: str,
    item: MediumItem,
    maps: HeatMaps,
) -> dict[str, Any]:
    left_out = (*NOT_ASKED, "weights")
    configuration = {name: value for name, value in config.resolved().items() if name not in left_out}
    return provenance.collect(
        config,
        configuration,
        weights=[weights.model_id],
        calibration=reading.calibration.id if reading.calibration else None,
        device=device_name(device),
        model=model_facts(weights, reading.calibration),
        crops_accepted=accepted,
        arithmetic=arithmetic,
        medium={"sha256": item.sha256, "bytes": item.bytes},
        heat_maps={"layer": config.layer or AUTO, "target": maps.target} if maps.offered else None,
    )


def _scored(job: ScoreJob, weights: Weights, item: MediumItem) -> ScoredMedium:
    scorer = job.scorer(weights)
    try:
        return scorer.score(item)
    finally:
        scorer.reader.close()
