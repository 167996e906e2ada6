"""Settings of `ffpipe explain`: those of scoring, and what is drawn of it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ffpipe.pipeline.config.base import HOW
from ffpipe.pipeline.config.media import ScoreConfig

#: Settings of scoring that say nothing of one medium, scored in this process.
NOT_ASKED = (
    "engine", "address", "workers", "worker_memory", "limit", "retry_failed", "keep_faces",
)  # fmt: skip
_SPAN = re.compile(r"(?P<begin>\d+(\.\d*)?)?-(?P<end>\d+(\.\d*)?)?")


class Span(NamedTuple):
    """A part of a video, in seconds of its own time; either end may be open."""

    begin: float | None = None
    end: float | None = None

    def holds(self, seconds: float) -> bool:
        """Whether a time lies in it, both ends included."""
        return (self.begin is None or seconds >= self.begin) and not self.before(seconds)

    def before(self, seconds: float) -> bool:
        """Whether it has ended at a time."""
        return self.end is not None and seconds > self.end


class ExplainConfig(ScoreConfig):
    """Settings of `ffpipe explain`."""

    layer: str | None = Field(
        default=None,
        description="Module of the detector whose map is shown; default: the first that it offers whose map of "
        "the highest-scoring face is not empty.",
    )
    target: Literal["fake", "real"] = Field(
        default="fake", description="Class whose evidence the heat maps show."
    )
    faces: Literal["none", "worst", "all"] = Field(
        default="worst",
        description="Faces with pictures of their own: none, the 8 worst and 2 best of each track, or all.",
    )
    table: Literal["csv", "parquet", "json", "jsonl"] = Field(
        default="csv", json_schema_extra=HOW, description="Format of the table of faces."
    )
    video: bool = Field(default=True, description="Write the annotated video.")
    every_frame: bool = Field(
        default=False,
        description="Show every frame in the video, not only the scored ones; boxes are dashed between these.",
    )
    seconds: str | None = Field(
        default=None,
        description="Show only this part, BEGIN-END in seconds, such as 12-20 or 90-; the scores are those of the "
        "whole video.",
    )
    max_frames: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Most frames shown in the video; the rest is left out.",
    )

    @field_validator("seconds")
    @classmethod
    def _a_span(cls, text: str | None) -> str | None:
        if text is not None:
            _span(text)
        return text

    @property
    def span(self) -> Span:
        """The part of the video that is shown."""
        return Span() if self.seconds is None else _span(self.seconds)


def _span(text: str) -> Span:
    found = _SPAN.fullmatch(text.strip())
    ends = [None if found is None or found[name] is None else float(found[name]) for name in ("begin", "end")]
    begin, end = ends
    if begin is end is None or (begin is not None and end is not None and begin >= end):
        raise PydanticCustomError(
            "span", "BEGIN-END in seconds is allowed, END after BEGIN, either left open"
        )
    return Span(begin, end)
