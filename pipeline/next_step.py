"""The command that goes on from what a job has made, with every option that it would be refused without."""

from __future__ import annotations

import json
import shlex

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.models import checkpoint
from ffpipe.pipeline.guides import quality_rank
from ffpipe.pipeline.stored_media import labelled_media, parts_of
from ffpipe.pipeline.training_data import choose_media
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings

#: The detector that is proposed for faces, and the one for whole images.
_OF_FACES, _OF_IMAGES = "sfcl-hcmf", "fssnet"


def after_extract(name: str, workspace: Workspace) -> str | None:
    """A command to train on the dataset, at its best quality that has both classes; else one to measure on it.

    None where it has no labelled faces of both classes for either. Raises StorageError and IntegrityError.
    """
    media = labelled_media(workspace.dataset(name))
    qualities = sorted({m.quality for m in media if m.quality}, key=quality_rank)
    chosen = qualities if len(qualities) > 1 else [None]
    there = workspace.words()
    for quality in chosen:
        model = _trainable(name, workspace, quality)
        if model:
            data = ["--data", name] if _has_others(name, workspace) else []
            return shlex.join(["ffpipe", "train", "--model", model, *data, *_quality_words(quality), *there])
    for quality in chosen:
        if _testable(media, quality):
            return shlex.join(["ffpipe", "evaluate", "RUN", "--data", name, *_quality_words(quality), *there])
    return None


def after_train(workspace: Workspace) -> str:
    """A command to score with the newest model, which is the one just trained. Raises StorageError."""
    inputs = ["crops/", "--cropped"] if _reads_crops(workspace) else ["videos/"]
    return shlex.join(["ffpipe", "score", *inputs, "--out", "report.parquet", *workspace.words()])


def _reads_crops(workspace: Workspace) -> bool:
    """Whether the newest model was trained on ready-made face crops, and so refuses whole frames."""
    models = workspace.finished_models()
    if not models:
        return False
    try:
        stored = json.loads((models[-1] / checkpoint.CONFIG).read_bytes())
        return CropSettings.from_json(stored["crop"]).kind == "crop"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{models[-1] / checkpoint.CONFIG}: cannot be read: {error}") from error


def _trainable(name: str, workspace: Workspace, quality: str | None) -> str | None:
    """The detector to train; None where training would refuse the data."""
    try:
        chosen = choose_media(workspace, [name], quality, (), seed=0)
    except UsageError:
        return None
    return _OF_IMAGES if chosen.crop.kind == "whole" else _OF_FACES


def _testable(media: list[MediaRecord], quality: str | None) -> bool:
    kept = [m for m in media if quality is None or m.quality in (quality, None)]
    parts = parts_of(kept)
    return len({m.label for m in kept if parts[m.media_id] is Split.TEST}) == len(Label)


def _has_others(name: str, workspace: Workspace) -> bool:
    """Whether training would ask which of several datasets to take."""
    return any(labelled_media(workspace.dataset(other)) for other in workspace.datasets() if other != name)


def _quality_words(quality: str | None) -> list[str]:
    return [] if quality is None else ["--quality", quality]
