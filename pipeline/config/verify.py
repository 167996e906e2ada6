"""Settings of `ffpipe verify`: what of a report is looked at, where things are, and how the work is done."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ffpipe.pipeline.config.base import HOW, EngineName, JobConfig, Workers


class VerifyConfig(JobConfig):
    """Settings of `ffpipe verify`; how scores are computed is what the report says."""

    weights: Path | None = Field(
        default=None,
        json_schema_extra=HOW,
        description="Model folder. Default: looked for by its hash, where it was and in the workspace.",
    )
    root: Path | None = Field(
        default=None,
        json_schema_extra=HOW,
        description="Folder that the inputs were moved to, with the folders that they lay in or without.",
    )
    only: tuple[str, ...] = Field(
        default=(),
        description="Look only at this input, or at those in this folder or of this glob; repeatable.",
    )
    hashes_only: bool = Field(default=False, description="Compare hashes and sizes; score nothing again.")
    engine: EngineName = Field(default="auto", json_schema_extra=HOW, description="Where to run.")
    address: str = Field(
        default="local", json_schema_extra=HOW, description="Ray: local, auto, or an address."
    )
    workers: Workers = None
