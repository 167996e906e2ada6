"""Settings of `ffpipe calibrate`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ffpipe.pipeline.config.base import HOW, Arithmetic, BatchSize, JobConfig, Methods


class CalibrateConfig(JobConfig):
    """Settings of `ffpipe calibrate`."""

    data: str | None = Field(
        default=None,
        description="Labelled dataset in the workspace to calibrate on, but for its test split. Default: the half of "
        "the run's own validation that was kept for this.",
    )
    method: Literal["auto", "temperature", "platt", "isotonic"] = Field(
        default="auto", description="How scores are mapped; auto: the method of least cross-validated Cllr."
    )
    methods: Methods = None
    quality: str | None = Field(default=None, description="Use only this quality of --data (c0, c23, c40).")
    replicates: int = Field(default=1000, ge=100, description="Bootstrap draws of the 95% intervals.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")
    batch_size: BatchSize = 8
    arithmetic: Arithmetic = "auto"
    accept_crops: bool = Field(
        default=False,
        description="Calibrate on pictures that were cut with other settings than the weights'.",
    )
    overwrite: bool = Field(
        default=False, json_schema_extra=HOW, description="Replace another calibration of the run."
    )
