"""The calibrate job: a fold scored with a run's weights, a map from scores to likelihood ratios, and what it is worth.

Figures are of held-out groups: each medium is read by a map that was fitted without its part of the fold. The map that
is stored is then fitted to all of it. Scoring goes on where it was interrupted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.run_lock import RunLock
from ffpipe.manifests.sealed import read_sealed
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.calibration.fold import Fold, choose_fold
from ffpipe.pipeline.calibration.scores import FoldScores
from ffpipe.pipeline.calibration.stored import RESULT, TEXT, StoredCalibration, read_stored
from ffpipe.pipeline.config import CalibrateConfig
from ffpipe.pipeline.evaluation.parts import EvaluationFolder
from ffpipe.pipeline.evaluation.scores import score_media
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.readings import arithmetic_for
from ffpipe.pipeline.weights import Weights, find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.calibration import Calibration, Scope, groups_of_classes
from ffpipe.stages.calibration_choice import Choice, choose, too_small
from ffpipe.stages.calibration_figures import Measured, measure
from ffpipe.stages.infer import Scorer
from ffpipe.stages.score_maps import log_odds

#: Folder in a run's folder with one folder a calibration; each finished one has RESULT.
CALIBRATIONS = "calibration"
_LOCK = "_lock"


@dataclass(frozen=True, slots=True)
class CalibrateResult:
    """A finished calibration, its folder with the figures and plots, and all that is told of it.

    `new` is False where the run had this very calibration already.
    """

    calibration: Calibration
    directory: Path
    facts: dict[str, Any]
    new: bool = True

    def to_json(self) -> str:
        """Everything, as JSON."""
        return json.dumps({**self.facts, "new": self.new}, indent=1)

    def text(self) -> str:
        """The tables as Markdown, without the provenance that their file ends with. Raises StorageError."""
        path = self.directory / TEXT
        try:
            return path.read_text(encoding="utf-8").partition("\n## Provenance\n")[0]
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error


def calibrate(
    run: str, config: CalibrateConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> CalibrateResult:
    """Calibrate a run on a fold that it has not seen, and store the calibration with its weights.

    `run` is a model's folder, or `<model>/<run>` in the workspace. Raises UsageError (no such run or data, media that
    the run has seen, too few groups or one class, another calibration is there and not to be replaced), LockedError,
    WeightsError, IntegrityError, StorageError.
    """
    directory = find_run(run, workspace)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = Weights.load(directory, device, calibrated=False)
    fold = choose_fold(weights, config, workspace)
    accepted = _check_crop(fold, weights, config.accept_crops)
    say(fold.line())
    for note in fold.notes:
        say(note)
    if reason := too_small(
        [m.label for m in fold.labelled.values()], [m.group for m in fold.labelled.values()]
    ):
        raise UsageError(_unfit(weights, fold, reason))
    bound = {"model_id": weights.model_id, "fold": fold.digest(), "method": config.method}
    with RunLock(directory / _LOCK):
        there = None if config.overwrite else read_stored(directory, weights.model_id)
        if there is not None:
            return _as_before(there, bound, directory, say)
        return _Work(directory, weights, fold, config, workspace, accepted).run(bound, device, say, advance)


def _check_crop(fold: Fold, weights: Weights, accept_crops: bool) -> bool:
    """Whether the pictures were cut otherwise than in training. Raises UsageError where that was not accepted."""
    cut = fold.crop
    if cut.fingerprint() == weights.crop.fingerprint() and weights.crops_known:
        return False
    if not accept_crops:
        weights.require_known()
        raise UsageError(
            f"{', '.join(fold.names)} was stored with other crop settings ({cut.kind}, {cut.fingerprint()}) than the "
            f"weights were trained with ({weights.crop.kind}, {weights.crop.fingerprint()}); --accept-crops calibrates "
            "on it all the same, for pictures that are cut like it"
        )
    return True


def _unfit(weights: Weights, fold: Fold, reason: str) -> str:
    return f"{weights.name}: no calibration can rest on {', '.join(fold.names)}, {fold.split}: {reason}"


def _as_before(there: StoredCalibration, bound: dict[str, Any], directory: Path, say: Say) -> CalibrateResult:
    """The calibration that the run has, where it is the one that is asked for. Raises UsageError where it is not."""
    # The method that `auto` chose may be asked for by its name.
    method = bound["method"] if bound["method"] != there.calibration.method else there.bound.get("method")
    if dict(there.bound) != {**bound, "method": method}:
        raise UsageError(
            f"{directory} has another calibration, {there.calibration.id} ({there.calibration.method}, "
            f"{there.calibration.scope.words()}); --overwrite replaces it, and reports made with it then differ"
        )
    say(f"calibrated already, {there.calibration.id}: nothing to do")
    folder = directory / there.folder
    return CalibrateResult(there.calibration, folder, read_sealed(folder / RESULT), new=False)


@dataclass(frozen=True, slots=True)
class _Work:
    """The work itself, once all that can be refused was checked."""

    directory: Path
    weights: Weights
    fold: Fold
    config: CalibrateConfig
    workspace: Workspace
    accepted: bool

    def run(self, bound: dict[str, Any], device: str, say: Say, advance: Advance | None) -> CalibrateResult:
        # Matplotlib takes a second to import, which only this needs.
        from ffpipe.pipeline.calibration.files import write_files

        arithmetic = arithmetic_for(self.config.arithmetic, self.workspace, self.weights, device, say)
        scorer = Scorer(
            self.weights.loaded, device, self.config.batch_size, arithmetic, self.weights.crop.fit
        )
        depends = {**bound, "arithmetic": arithmetic.name, "device": device}
        folder = EvaluationFolder.open(
            self.directory, self.fold.folder, depends, kind=CALIBRATIONS, result=RESULT
        )
        with folder.work(say):
            scored = score_media(
                self.fold.groups, self.fold.labelled, scorer, advance=advance, parts=folder.parts
            )
            scores = FoldScores.of(scored)
            choice = self._choose(scores, folder)
            calibration = self._calibration(scores, choice)
            measured = measure(
                scores.labels, log_odds(scores.scores), choice.held_out, scores.groups,
                replicates=self.config.replicates, seed=self.config.seed,
            )  # fmt: skip
            facts = self._facts(calibration, choice, measured, scores, folder, arithmetic.name, device)
            result = CalibrateResult(calibration, folder.path, facts)
            write_files(result, scores, choice, measured)
        self._store(result, bound, say)
        return result

    def _choose(self, scores: FoldScores, folder: EvaluationFolder) -> Choice:
        try:
            return choose(self.config.method, scores.labels, scores.scores, scores.groups)
        except ValueError as error:
            folder.finish()
            folder.forget()
            raise UsageError(_unfit(self.weights, self.fold, str(error))) from None

    def _calibration(self, scores: FoldScores, choice: Choice) -> Calibration:
        real, fake = groups_of_classes(scores.labels, scores.groups)
        n_fake = int(scores.labels.sum())
        scope = Scope(
            datasets=self.fold.names,
            split=self.fold.split,
            quality=self.fold.quality,
            forgeries=self.fold.forgeries,
            level=scores.level,
            n_real=len(scores.labels) - n_fake,
            n_fake=n_fake,
            groups=len(set(scores.groups)),
            real_groups=real,
            fake_groups=fake,
            max_tracks=max(scores.tracks),
            crop_fingerprint=self.fold.crop.fingerprint(),
        )
        return Calibration(choice.map, choice.caps, scope, self.weights.model_id)

    def _facts(
        self,
        calibration: Calibration,
        choice: Choice,
        measured: Measured,
        scores: FoldScores,
        folder: EvaluationFolder,
        arithmetic: str,
        device: str,
    ) -> dict[str, Any]:
        """What is told of the calibration, ready for JSON."""
        origin = provenance.collect(
            self.config,
            weights=[self.weights.model_id],
            calibration=calibration.id,
            model_id=self.weights.model_id,
            crops_accepted=self.accepted,
            arithmetic=arithmetic,
            device=device_name(device),
            seed=self.config.seed,
        )
        return {
            "run": str(self.directory),
            "detector": self.weights.loaded.config["detector"],
            "model_id": self.weights.model_id,
            "calibration": {"id": calibration.id, **calibration.to_json()},
            "folder": str(folder.path),
            "method_asked": self.config.method,
            "cross_validated_cllr": dict(choice.costs),
            "figures": asdict(measured),
            "without_score": scores.untracked,
            "notes": self.fold.notes,
            "provenance": provenance.finish(origin),
        }

    def _store(self, result: CalibrateResult, bound: dict[str, Any], say: Say) -> None:
        stored = StoredCalibration(
            result.calibration,
            frozenset(self.fold.labelled),
            frozenset(self.fold.clips),
            str(result.directory.relative_to(self.directory)),
            bound,
            result.facts["provenance"],
        )
        file = stored.write(self.directory)
        log.note(
            self.workspace, "calibrate", result.facts["provenance"], [result.directory / RESULT, file],
            calibration=result.calibration.id,
        )  # fmt: skip
        say(f"calibrated: {result.calibration.method}, {result.calibration.id}, in {file}")
