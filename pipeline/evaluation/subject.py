"""What a trained detector is measured on and how, once all that can be refused was checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import ffpipe
from ffpipe.pipeline import provenance
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.calibrated import calibrated_on, calibration_of
from ffpipe.pipeline.evaluation.media import ChosenMedia, check_media, choose_split
from ffpipe.pipeline.evaluation.openings import open_test
from ffpipe.pipeline.evaluation.parts import EvaluationFolder
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.readings import arithmetic_for
from ffpipe.pipeline.stored_media import data_digest
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.infer import Scorer


@dataclass(frozen=True, slots=True)
class Subject:
    """A run's weights, the media that they are shown, and how scores are computed.

    accepted: whether the pictures were cut otherwise than in training, which the user accepted.
    """

    run: Path
    config: EvaluateConfig
    weights: Weights
    chosen: ChosenMedia
    scorer: Scorer
    accepted: bool
    workspace: Workspace

    @property
    def name(self) -> str:
        """Data and split, which folders are called by."""
        return f"{self.chosen.name}-{self.config.split}"

    @property
    def threshold(self) -> float | None:
        """The threshold of validation; None where it set none."""
        thresholds = self.weights.thresholds
        return thresholds.threshold if thresholds.usable else None

    def depends(self) -> dict[str, Any]:
        """What every score depends on, whatever is scored."""
        return {
            "ffpipe": ffpipe.__version__,
            "model_id": self.weights.model_id,
            "data_digest": data_digest([self.chosen.group]),
            "arithmetic": self.scorer.arithmetic.name,
            "device": self.scorer.device.type,
        }

    def facts(self, evaluation: str) -> dict[str, Any]:
        """What is to be told beside the figures of an evaluation of this name, ready for JSON."""
        config, weights, chosen, device = self.config, self.weights, self.chosen, self.scorer.device.type
        calibration = calibration_of(weights, chosen)
        return {
            "run": str(weights.loaded.directory),
            "detector": weights.loaded.config["detector"],
            "model_id": weights.model_id,
            "evaluation": evaluation,
            "data": chosen.name,
            "data_digest": data_digest([chosen.group]),
            "split": config.split,
            "split_source": chosen.split_source,
            "split_digest": chosen.given.digest if chosen.given else None,
            "methods": list(config.methods) if config.methods else None,
            "threshold": self.threshold,
            "threshold_reason": weights.thresholds.reason,
            "reference": weights.reference.id if weights.reference else None,
            "unscored": dict(chosen.unscored),
            "notes": chosen.notes,
            "provenance": provenance.collect(
                config,
                weights=[weights.model_id],
                calibration=calibration.id if calibration else None,
                model_id=weights.model_id,
                crops_accepted=self.accepted,
                fit=weights.crop.fit,
                arithmetic=self.scorer.arithmetic.name,
                device=device_name(device),
                seed=config.seed,
            ),
        }

    def open(self, folder: EvaluationFolder, facts: dict[str, Any], say: Say) -> None:
        """Log that the test split is opened, where it is, and note the number among the facts. Raises StorageError."""
        if self.chosen.opens_test(self.config.split):
            facts["opening"] = open_test(self.run, self.chosen.name, facts, folder.id, self.workspace, say)


def prepare(run: Path, config: EvaluateConfig, workspace: Workspace, say: Say) -> Subject:
    """Load a run's weights and choose the media, telling the user what they are.

    Raises UsageError (no such data, pictures cut otherwise than in training, media that the run or its teacher was
    trained on), WeightsError, IntegrityError, StorageError.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = Weights.load(run, device)
    chosen = choose_split(workspace, config, config.split)
    chosen.notes.extend(calibrated_on(weights, chosen))
    accepted = check_media(chosen, weights, config, say)
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    scorer = Scorer(weights.loaded, device, config.batch_size, arithmetic, weights.crop.fit)
    return Subject(run, config, weights, chosen, scorer, accepted, workspace)
