"""Settings of the contact sheet of training draws: those of training that a draw depends on, and its size."""

from __future__ import annotations

from pydantic import Field

from ffpipe.pipeline.config.training import TrainConfig

#: Settings of training that change no draw.
NOT_SHOWN = (
    "teacher", "unpaired", "pretrained", "epochs", "batch_size", "accumulate", "learning_rate", "weight_decay",
    "optimiser", "momentum", "schedule", "patience", "num_workers", "loader_workers", "engine", "address", "run",
    "halve_validation",
)  # fmt: skip


class PreviewConfig(TrainConfig):
    """Settings of `ffpipe preview`."""

    model: str = Field(default="sfcl-hcmf", description="Detector whose recipe and input size are taken.")
    faces: int = Field(default=8, ge=1, le=100, description="Faces shown, a row each.")
    draws: int = Field(default=4, ge=1, le=20, description="Draws shown of each face.")
