"""Settings of the jobs that read media: extract and score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ffpipe.pipeline.config.base import (
    HOW,
    LATER,
    Arithmetic,
    BatchSize,
    EngineName,
    JobConfig,
    QualityGate,
    WorkerMemory,
    Workers,
)
from ffpipe.stages.crop import Kind
from ffpipe.stages.decode import Limits

_LIMITS = Limits()

MaxPixels = Annotated[
    int,
    Field(
        ge=64, le=1 << 32, json_schema_extra=HOW, description="Largest picture that is decoded, in pixels."
    ),
]
MaxBytes = Annotated[int, Field(ge=1, json_schema_extra=HOW, description="Largest input file, in bytes.")]
Timeout = Annotated[
    float,
    Field(
        gt=0,
        le=1e9,
        json_schema_extra=HOW,
        description=f"Longest decoding time, in seconds, plus {_LIMITS.seconds_per_second:g} for each second of video.",
    ),
]


class FrameSettings(JobConfig):
    """How frames are taken from a video; shared by extract and score."""

    frames: Annotated[int, Field(ge=1)] | Literal["all"] | None = Field(
        default=None,
        description="Frames per video, evenly spaced, or 'all'. [default: extract 32; score one per 2 s, 32 to 600]",
    )
    every: float | None = Field(default=None, gt=0, description="Take a frame every SECONDS instead.")
    decoder: Literal["pyav", "opencv", "decord"] = Field(default="pyav", description="Video decoder.")
    detector: Literal["mtcnn", "dlib"] = Field(default="mtcnn", description="Face detector.")
    cropped: bool = Field(
        default=False,
        description="The inputs are face crops already: no detection, statistics of the whole image.",
    )
    whole: bool = Field(
        default=False,
        json_schema_extra=LATER,
        description="Take every frame or image whole: no detection, and cropped for the network, never resized.",
    )
    max_pixels: MaxPixels = _LIMITS.max_pixels
    max_bytes: MaxBytes = _LIMITS.max_bytes
    timeout: Timeout = _LIMITS.wall_seconds

    @model_validator(mode="after")
    def _one_way_of_sampling(self) -> Self:
        if self.frames is not None and self.every is not None:
            raise PydanticCustomError("sampling", "give --frames or --every, not both")
        return self

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Self:
        if self.cropped and self.whole:
            raise PydanticCustomError(
                "kind", "give --cropped (the inputs are face crops) or --whole (no faces), not both"
            )
        return self

    @property
    def kind(self) -> Kind | None:
        """What the inputs were said to be; None: nothing was said."""
        return "whole" if self.whole else "crop" if self.cropped else None


class MediaSettings(FrameSettings):
    """How a job over media runs; shared by extract and score."""

    engine: EngineName = Field(default="auto", json_schema_extra=HOW, description="Where to run.")
    address: str = Field(
        default="local", json_schema_extra=HOW, description="Ray: local, auto, or an address."
    )
    workers: Workers = None
    worker_memory: WorkerMemory = None
    limit: int | None = Field(
        default=None, ge=1, json_schema_extra=HOW, description="Use only the first N inputs."
    )
    rehash: bool = Field(default=False, json_schema_extra=HOW, description="Ignore the cached file hashes.")
    retry_failed: bool = Field(
        default=False,
        json_schema_extra=HOW,
        description="Try inputs again that failed before, with the limits of this command.",
    )


class ExtractConfig(MediaSettings):
    """Settings of `ffpipe extract`."""

    dataset: str = Field(default="auto", json_schema_extra=HOW, description="Layout of the source tree.")
    name: str | None = Field(
        default=None,
        json_schema_extra=HOW,
        description="Name in the workspace; default: the source folder's.",
    )
    only: tuple[str, ...] = Field(
        default=(),
        json_schema_extra=HOW,
        description="Take only files and folders that match this glob below SOURCE, such as "
        "'train/*/horse'; '*' crosses folders; repeatable.",
    )
    splits: Path | None = Field(
        default=None, description="Folder with the official split files, or a split file (CSV or Parquet)."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the fallback split.")
    store_size: int = Field(
        default=512, ge=64, le=4096, multiple_of=8, description="Longest side of a stored crop, in pixels."
    )
    overwrite: bool = Field(
        default=False, json_schema_extra=HOW, description="Delete what the dataset of this name holds first."
    )


class ScoreConfig(MediaSettings):
    """Settings of `ffpipe score`."""

    weights: Path | None = Field(
        default=None, json_schema_extra=HOW, description="Model folder; default: the newest in the workspace."
    )
    min_faces: int = Field(
        default=3,
        ge=1,
        description="Frames a track needs to count for the verdict; capped by what the video has.",
    )
    batch_size: BatchSize = 8
    arithmetic: Arithmetic = "auto"
    compile: bool = Field(
        default=False,
        json_schema_extra=LATER,
        description="Compile the network first: half a minute or more a worker, then faster.",
    )
    prior: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        json_schema_extra=LATER,
        description="How probable a forgery is before the video is seen, for the posterior; needs a calibration.",
    )
    accept_crops: bool = Field(
        default=False, description="Score ready-made faces cut with other settings than the weights'."
    )
    quality_gate: QualityGate = True
    keep_faces: Literal["none", "worst", "all"] = Field(
        default="worst", description="Crops kept per track: none, the 8 worst and 2 best, or all."
    )
    c2pa: bool = Field(
        default=True,
        json_schema_extra=LATER,
        description="Show the content credentials (C2PA) of each input beside its verdict, which they do not change; "
        "needs the extra c2pa.",
    )
    c2pa_trust: Path | None = Field(
        default=None,
        json_schema_extra=LATER,
        description="Certificates (PEM) of signers to trust, or of those who vouch for them. Default: nobody.",
    )
