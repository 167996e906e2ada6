"""The inputs of a report scored once more, as it says that they were: in a run of its own, of which nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import Inputs
from ffpipe.manifests.records import Entry
from ffpipe.models import checkpoint
from ffpipe.pipeline import plan
from ffpipe.pipeline.config import ScoreConfig, VerifyConfig
from ffpipe.pipeline.credentials import reader_for
from ffpipe.pipeline.driver import drive
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.score import ScoreJob, ScoreResult, gather, run_shards
from ffpipe.pipeline.scoring import Stamp
from ffpipe.pipeline.verification.inputs import Input
from ffpipe.pipeline.weights import Weights, find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.arithmetic import Arithmetic
from ffpipe.stages.calibration import Reading
from ffpipe.stages.tuning import TOLERANCE

#: Largest difference of a score that is no difference in float32.
EXACT = 1e-4


@dataclass(frozen=True, slots=True)
class Again:
    """How the scores of a report were computed, and with what they are computed once more."""

    config: ScoreConfig
    weights: Weights
    arithmetic: Arithmetic
    device: str
    origin: Mapping[str, Any]

    @property
    def settings(self) -> ScoreConfig:
        """What is scored with: as the report says, but no crop of a face is kept, and no gate made up for a report
        of a time when there was none. Without its trust list no credentials are read.
        """
        gated = self.config.quality_gate and "quality_gate" in self.origin["configuration"]
        changes: dict[str, Any] = {"keep_faces": "none", "quality_gate": gated}
        try:
            reader_for(self.config)
        except UsageError:
            changes |= {"c2pa": False, "c2pa_trust": None}
        return self.config.model_copy(update=changes)

    @property
    def tolerance(self) -> float:
        """Largest difference of a score that is none: of float32, else as measured when the weights were trained."""
        if self.arithmetic.precision == "float32":
            return EXACT
        record = self.weights.loaded.config.get("arithmetic", {}).get(self.device) or {}
        return float(record.get("tolerance", TOLERANCE))

    def problems(self) -> list[str]:
        """In what settings and weights are not those of the report."""
        found = []
        if self.config.digest() != self.origin.get("configuration_hash"):
            found.append("the settings that the report has do not have the hash that it has")
        told = self.origin["model"]
        if told.get("crop_fingerprint") != self.weights.crop.fingerprint():
            found.append("the weights cut faces with other settings than those of the report")
        if told.get("thresholds") != self.weights.thresholds.to_json():
            found.append("the weights have other thresholds than those of the report")
        if told.get("reference") != (self.weights.reference.id if self.weights.reference else None):
            found.append(
                "the weights have another reference of their training faces than those of the report"
            )
        then, now = self.origin.get("calibration"), self._calibration_id
        if then is not None and then != now:
            found.append(
                f"the weights have {f'the calibration {now}' if now else 'no calibration'}, and the report was made "
                f"with {then}: it reads its scores otherwise"
            )
        return found

    def notes(self) -> list[str]:
        """What is no fault of the report: that its weights were calibrated since."""
        if self.origin.get("calibration") is None and self._calibration_id:
            return [
                f"the report is uncalibrated; the calibration {self._calibration_id}, which the weights have now, is "
                "not used"
            ]
        return []

    @property
    def reading(self) -> Reading:
        """How scores are read; not at all where the report does not either."""
        if self.origin.get("calibration") is None:
            return Reading()
        return Reading(self.weights.calibration, self.config.prior)

    @property
    def _calibration_id(self) -> str | None:
        return self.weights.calibration.id if self.weights.calibration else None


def again(origin: Mapping[str, Any], config: VerifyConfig, workspace: Workspace, say: Say) -> Again:
    """Settings, weights and arithmetic of a report, from its provenance.

    Raises UsageError where this version does not know them, or the weights are not found; WeightsError where they are
    damaged.
    """
    directory = find_weights(origin, config.weights, workspace)
    say(f"weights: {directory}")
    kept: dict[str, Any] = {"engine": config.engine, "address": config.address, "workers": config.workers}
    # What only chooses inputs, or what is stored, has been done: the report has the inputs.
    kept |= {"weights": directory, "limit": None, "rehash": False, "retry_failed": False}
    try:
        settings = ScoreConfig.build({**dict(origin["configuration"]), **kept})
        arithmetic = Arithmetic.parse(str(origin["arithmetic"]))
    except (UsageError, TypeError, ValueError) as error:
        raise UsageError(f"the report's settings are none of this version of ffpipe: {error}") from None
    device = "cuda" if origin["device"] != "cpu" and torch.cuda.is_available() else "cpu"
    return Again(settings, Weights.load(directory, device), arithmetic, device, origin)


def find_weights(origin: Mapping[str, Any], given: Path | None, workspace: Workspace) -> Path:
    """The folder of the weights that a report names by their hash. Raises UsageError and WeightsError."""
    wanted = str(origin["model"]["sha256"])
    if given is not None:
        directory = find_run(given, workspace, "--weights")
        if (found := Weights.load(directory).model_id) != wanted:
            raise UsageError(f"--weights {given}: their sha256 is {found}; the report was made with {wanted}")
        return directory
    places = [Path(str(origin.get("weights") or ".")), *reversed(workspace.finished_models())]
    for directory in places:
        if checkpoint.stored_hash(directory) == wanted:
            return directory
    raise UsageError(
        f"the weights with sha256 {wanted} are neither in {places[0]} nor in {workspace.root}; give --weights DIR"
    )


def rescore(
    inputs: Sequence[Input], how: Again, scratch: Path, say: Say, advance: Advance | None
) -> ScoreResult:
    """Score inputs as the report says that they were; the run's folder is made in `scratch`.

    Raises UsageError, StorageError.
    """
    shards = run_shards(scratch / "run")
    shards.create()
    kind = how.weights.inputs(how.config.kind).kind
    job = ScoreJob(
        root=shards.root,
        settings=how.settings,
        weights=how.weights.loaded.directory,
        stamp=Stamp(
            how.weights.model_id, how.origin["id"], how.weights.accepts(kind, how.config.accept_crops)
        ),
        thresholds=how.weights.thresholds,
        device=how.device,
        arithmetic=how.arithmetic,
        kind=kind,
        reading=how.reading,
    )
    unique = {each.scored_as: each for each in inputs}
    items = plan.items_from([Entry(path) for path in unique], [each.now for each in unique.values()])
    with shards.lock():
        drive(job, items, job.settings, say, advance)
        return gather(job, Inputs(entries=list(unique)), items, how.origin)
