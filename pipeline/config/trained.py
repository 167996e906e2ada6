"""Settings of the jobs that take a trained model to stored pictures, or elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ffpipe.pipeline.config.base import Arithmetic, BatchSize, JobConfig, Methods, QualityGate, SplitsFile


class EvaluateConfig(JobConfig):
    """Settings of `ffpipe evaluate`."""

    data: str = Field(description="Dataset in the workspace.")
    split: Literal["train", "val", "test", "all"] = Field(
        default="test", description="Part of the dataset; each opening of the test split is logged."
    )
    splits: SplitsFile = None
    methods: Methods = None
    quality: str | None = Field(
        default=None, description="Use only this quality (c0, c23, c40); all: every one, with a row each."
    )
    frames_per_video: int | None = Field(
        default=None,
        ge=1,
        description="Score at most N frames of each video, evenly spread. Default: all stored.",
    )
    replicates: int = Field(default=1000, ge=100, description="Bootstrap draws of the 95% intervals.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")
    batch_size: BatchSize = 8
    arithmetic: Arithmetic = "auto"
    quality_gate: QualityGate = True
    accept_crops: bool = Field(
        default=False, description="Score pictures that were cut with other settings than the weights'."
    )


class CompareConfig(EvaluateConfig):
    """Settings of `ffpipe compare`: those under which every run is measured."""


class ExportConfig(JobConfig):
    """Settings of `ffpipe export`."""

    format: Literal["onnx", "torch-export"] = Field(
        default="onnx", description="ONNX, or a torch.export program."
    )
    batch_size: int | None = Field(default=None, ge=1, description="Faces a call. Default: any number.")
