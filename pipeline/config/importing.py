"""Settings of `ffpipe import-weights`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ffpipe.pipeline.config.base import JobConfig


class ImportConfig(JobConfig):
    """Settings of `ffpipe import-weights`."""

    dotted: ClassVar[dict[str, str]] = {"model": "options"}

    model: str = Field(description="Detector that the weights are of; `ffpipe models` lists them.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the detector, as model.KEY=VALUE."
    )
    crops: Literal["unknown", "face", "crop", "whole"] = Field(
        default="unknown",
        description="What the weights were trained on: face (cut as --margin says), crop (ready-made crops), whole "
        "images. With unknown, scoring asks for --accept-crops.",
    )
    margin: float = Field(
        default=1.3, ge=1, le=4, description="Side of a face's crop over the larger side of its box."
    )
