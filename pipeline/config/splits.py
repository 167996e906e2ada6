"""Settings of `ffpipe splits make`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ffpipe.pipeline.config.base import HOW, JobConfig


class SplitsConfig(JobConfig):
    """How a dataset is divided, and what is looked at for it."""

    protocol: str = Field(
        default="seeded", description="Whose division; `ffpipe splits protocols` describes them."
    )
    seed: int = Field(default=0, ge=0, description="Seed of what is drawn.")
    ratios: str | None = Field(
        default=None, description="Shares of train, validation and test, such as 6:1:1 or 0.8,0.2,0."
    )
    method: str | None = Field(default=None, description="The method that leave-one-method-out leaves out.")
    links: Literal["whole", "drop", "ignore"] | None = Field(
        default=None,
        description="What becomes of media that tie many people together: whole keeps all of them in one split, drop "
        "divides the people and leaves out what is between splits, ignore divides media whoever they show.",
    )
    dataset: str = Field(default="auto", description="Layout of a source tree.")
    splits: Path | None = Field(default=None, description="Folder with the owner's split files.")
    hash: bool = Field(
        default=False,
        description="Hash the files of a source tree, so that equal ones stay together; those of a dataset are known.",
    )
    rehash: bool = Field(default=False, json_schema_extra=HOW, description="Ignore the cached file hashes.")
