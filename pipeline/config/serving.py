"""Settings of `ffpipe serve`: those of scoring, where it listens, and how much it takes in."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ffpipe.pipeline.config.base import HOW, EngineName
from ffpipe.pipeline.config.media import MaxBytes, ScoreConfig

_GIB = 1 << 30


class ServeConfig(ScoreConfig):
    """Settings of `ffpipe serve`."""

    host: str = Field(
        default="127.0.0.1",
        json_schema_extra=HOW,
        description="Address to listen on: 127.0.0.1 or ::1, nothing that other machines reach.",
    )
    port: int = Field(
        default=0, ge=0, le=65535, json_schema_extra=HOW, description="Port; 0 takes a free one."
    )
    keep: bool = Field(
        default=False,
        json_schema_extra=HOW,
        description="Keep uploaded files after scoring; they are deleted otherwise.",
    )
    max_bytes: MaxBytes = 4 * _GIB
    max_files: int = Field(
        default=200, ge=1, le=10_000, json_schema_extra=HOW, description="Most files of one batch."
    )
    max_stored: int = Field(
        default=32 * _GIB, ge=1, json_schema_extra=HOW, description="Most bytes of uploads kept at a time."
    )
    min_free: int = Field(
        default=2 * _GIB,
        ge=0,
        json_schema_extra=HOW,
        description="Bytes of the disk that uploads leave free.",
    )
    engine: EngineName = Field(
        default="local",
        json_schema_extra=HOW,
        description="Where to run; ray is started anew for each batch.",
    )

    @field_validator("host")
    @classmethod
    def _loopback_alone(cls, value: str) -> str:
        try:
            here = ip_address("127.0.0.1" if value == "localhost" else value)
        except ValueError:
            here = None
        if here is None or not here.is_loopback:
            raise PydanticCustomError(
                "host",
                "allowed are 127.0.0.1 and ::1: whoever reaches the page sees faces and verdicts, so it is for this "
                "machine alone; come from another one through ssh -L",
            )
        return str(here)

    def scoring(self) -> ScoreConfig:
        """What of these settings the scoring job takes."""
        return ScoreConfig(**{name: getattr(self, name) for name in ScoreConfig.model_fields})
