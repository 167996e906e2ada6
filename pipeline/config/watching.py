"""Settings of `ffpipe watch`: those of scoring, and when a file counts as arrived."""

from __future__ import annotations

from pydantic import Field

from ffpipe.pipeline.config.base import HOW
from ffpipe.pipeline.config.media import ScoreConfig


class WatchConfig(ScoreConfig):
    """Settings of `ffpipe watch`."""

    settle: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        json_schema_extra=HOW,
        description="Seconds that a file's size and time must stay the same before it is taken.",
    )
    poll: float = Field(
        default=2.0,
        gt=0,
        le=86_400,
        json_schema_extra=HOW,
        description="Seconds between two looks at the folder.",
    )

    def scoring(self) -> ScoreConfig:
        """The settings of the scoring alone: a run is the same whether files were watched for or given."""
        return ScoreConfig(**{name: getattr(self, name) for name in ScoreConfig.model_fields})
