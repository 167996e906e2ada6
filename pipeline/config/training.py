"""Settings of `ffpipe train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ffpipe.pipeline.config.base import HOW, LATER, JobConfig, Methods, SplitsFile
from ffpipe.pipeline.optimiser_names import OptimiserName, ScheduleName


class TrainConfig(JobConfig):
    """Settings of `ffpipe train`."""

    dotted: ClassVar[dict[str, str]] = {"model": "options"}

    model: str = Field(description="Detector to train; `ffpipe models` lists them.")
    data: tuple[str, ...] = Field(
        default=(), description="Datasets in the workspace; default: the only labelled one."
    )
    splits: SplitsFile = None
    methods: Methods = None
    quality: str | None = Field(default=None, description="Use only this quality (c0, c23, c40).")
    recipe: Literal["auto", "paper", "quick"] = Field(
        default="auto", description="Set of training settings; `ffpipe models NAME` shows both."
    )
    teacher: Path | None = Field(
        default=None,
        json_schema_extra=HOW,
        description="Finished run that teaches this one: its folder, or MODEL/RUN of the workspace.",
    )
    unpaired: Literal["error", "drop"] = Field(
        default="error",
        description="What to do with faces that the teacher's quality lacks: stop, or train without them.",
    )
    pretrained: str | None = Field(
        default=None, description="Weights to start from: FILE, published ones by name, or 'none'."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the detector, as model.KEY=VALUE."
    )
    epochs: int | None = Field(default=None, ge=1, description="Epochs; default from the recipe.")
    batch_size: int | None = Field(default=None, ge=2, description="Faces per step; default from the recipe.")
    accumulate: int | None = Field(
        default=None,
        ge=1,
        description="Steps per update, their gradients averaged; --batch-size 8 --accumulate 4 updates on 32 faces "
        "in the memory of 8. Default from the recipe.",
    )
    learning_rate: float | None = Field(
        default=None, gt=0, description="Learning rate at the start; default from the recipe."
    )
    weight_decay: float | None = Field(
        default=None, ge=0, description="Weight decay; default from the recipe."
    )
    optimiser: OptimiserName | None = Field(default=None, description="Optimiser; default from the recipe.")
    momentum: float | None = Field(
        default=None, ge=0, lt=1, description="Momentum of sgd; default from the recipe."
    )
    schedule: ScheduleName | None = Field(
        default=None, description="Learning rate over the epochs; default from the recipe."
    )
    patience: Annotated[int, Field(ge=1)] | Literal["never"] | None = Field(
        default=None,
        description="Stop after N epochs without a better validation AUC; default from the recipe.",
    )
    augmentation: dict[str, Any] = Field(
        default_factory=dict, description="Changes to the recipe's augmentation, as augmentation.KEY=VALUE."
    )
    pseudo_fakes: Literal["selfblend"] | None = Field(
        default=None,
        json_schema_extra=LATER,
        description="Make fakes of real faces while training: each blended with a changed copy of itself.",
    )
    pseudo_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        json_schema_extra=LATER,
        description="Share of the fakes of an epoch that --pseudo-fakes makes, where others are labelled; 1 leaves "
        "those out. [default: 0.5]",
    )
    balance: Literal["recipe", "none", "class", "method"] = Field(
        default="recipe",
        json_schema_extra=LATER,
        description="What an epoch draws equally often: as the recipe says, every face once, both classes, or each "
        "method and as many real faces as fakes.",
    )
    halve_validation: bool = Field(
        default=True,
        json_schema_extra=LATER,
        description="Keep half of the validation groups for `ffpipe calibrate`, where there are enough for two halves.",
    )
    frames_per_video: int | None = Field(
        default=None, ge=1, description="Faces' frames per video; default from the recipe."
    )
    limit: int | None = Field(default=None, ge=1, description="Train on at most N faces per epoch.")
    seed: int = Field(default=0, ge=0, description="Seed of initialisation, order and augmentation.")
    num_workers: int = Field(
        default=1, ge=1, le=64, description="Training workers (one GPU each where present)."
    )
    loader_workers: int | None = Field(
        default=None,
        ge=0,
        le=64,
        json_schema_extra=HOW,
        description="Threads that load faces ahead, per training worker. Default: up to 8 with a GPU, else none.",
    )
    engine: Literal["ray", "local"] = Field(
        default="ray", json_schema_extra=HOW, description="Ray Train, or in this process."
    )
    address: str = Field(
        default="local", json_schema_extra=HOW, description="Ray: local, auto, or an address."
    )
    run: str | None = Field(
        default=None,
        json_schema_extra=HOW,
        description="Name of the run; naming an unfinished one resumes it.",
    )
