"""Settings of `ffpipe degrade`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ffpipe.manifests.qualities import MAX_RATE_FACTOR
from ffpipe.pipeline.config.base import HOW, EngineName, JobConfig, WorkerMemory, Workers
from ffpipe.pipeline.config.media import MaxBytes, MaxPixels
from ffpipe.stages.decode import Limits

_LIMITS = Limits()


class DegradeConfig(JobConfig):
    """Settings of `ffpipe degrade`. None changes what a copy holds: that depends on its source and rate factor."""

    crf: tuple[Annotated[int, Field(ge=0, le=MAX_RATE_FACTOR)], ...] = Field(
        min_length=1,
        json_schema_extra=HOW,
        description=f"Constant rate factor of a copy, 0 to {MAX_RATE_FACTOR}; 23 makes c23. Repeatable.",
    )
    dataset: str = Field(default="auto", json_schema_extra=HOW, description="Layout of the source tree.")
    seed: int = Field(default=0, ge=0, description="Seed of the split that a new manifest notes down.")
    engine: EngineName = Field(default="auto", json_schema_extra=HOW, description="Where to run.")
    address: str = Field(
        default="local", json_schema_extra=HOW, description="Ray: local, auto, or an address."
    )
    workers: Workers = None
    worker_memory: WorkerMemory = None
    limit: int | None = Field(
        default=None, ge=1, json_schema_extra=HOW, description="Only the first N clips that lack a copy."
    )
    rehash: bool = Field(default=False, json_schema_extra=HOW, description="Ignore the cached file hashes.")
    dry_run: bool = Field(
        default=False, json_schema_extra=HOW, description="Say what would be made, and make nothing."
    )
    max_pixels: MaxPixels = _LIMITS.max_pixels
    max_bytes: MaxBytes = _LIMITS.max_bytes
    timeout: float = Field(
        default=_LIMITS.wall_seconds,
        gt=0,
        json_schema_extra=HOW,
        description="Longest time for a clip, in seconds, plus a minute and more for each second of video and copy.",
    )
