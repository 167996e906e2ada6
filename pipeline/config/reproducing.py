"""Settings of `ffpipe reproduce`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ffpipe.pipeline.config.base import HOW, Arithmetic, BatchSize, JobConfig


class ReproduceConfig(JobConfig):
    """Settings of `ffpipe reproduce`."""

    recipe: Literal["paper", "quick"] = Field(
        default="paper",
        description="The paper's settings; or quick, a rehearsal whose figures reproduce nothing.",
    )
    table: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(), json_schema_extra=HOW, description="Only this table of the paper; repeatable."
    )
    only: tuple[str, ...] = Field(
        default=(),
        json_schema_extra=HOW,
        description="Only experiments whose name matches this glob, such as 'c23*'; --dry-run lists them; repeatable.",
    )
    use: tuple[str, ...] = Field(
        default=(),
        description="Take the dataset NAME of the workspace as the protocol's KEY, such as ffpp=FF++; repeatable.",
    )
    splits: tuple[str, ...] = Field(
        default=(),
        description="Divide the protocol's KEY as a split file says, KEY=FILE; repeatable. Default: the owner's split.",
    )
    pretrained: str | None = Field(
        default=None,
        description="Weights to start from, where the paper does: FILE, or 'none'. [default: the published ones]",
    )
    epochs: int | None = Field(
        default=None, ge=1, description="Epochs, for a rehearsal; default from the recipe."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Train on at most N faces per epoch, for a rehearsal."
    )
    seed: int = Field(default=0, ge=0, description="Seed of every training and bootstrap.")
    replicates: int = Field(default=1000, ge=100, description="Bootstrap draws of the 95% intervals.")
    batch_size: BatchSize = 8
    #: Of others the fastest here and now is chosen: figures would depend on what else the machine does.
    arithmetic: Arithmetic = "float32"
    num_workers: int = Field(
        default=1, ge=1, le=64, description="Training workers (one GPU each where present)."
    )
    engine: Literal["ray", "local"] = Field(
        default="ray", json_schema_extra=HOW, description="Where to train: Ray Train, or in this process."
    )
    address: str = Field(
        default="local", json_schema_extra=HOW, description="Ray: local, auto, or an address."
    )
    dry_run: bool = Field(
        default=False,
        json_schema_extra=HOW,
        description="Say what would be run and what is missing; run nothing.",
    )
