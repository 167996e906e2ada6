"""Settings of each job, declared once: default, unit, range and help; TOML and the command line fill them in."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.optimiser_names import OptimiserName, ScheduleName
from ffpipe.stages.crop import Kind
from ffpipe.stages.decode import Limits

EngineName = Literal["auto", "local", "ray"]
ArithmeticName = Literal["auto", "float32", "channels-last-float32", "bfloat16", "channels-last-bfloat16"]

_LIMITS = Limits()

#: Marks a setting that changes how a job runs but not what it produces; left out of the configuration hash.
HOW: JsonDict = {"result": False}
#: Marks a setting that came later: at its default it is left out of the hash, so that older results can go on.
LATER: JsonDict = {"later": True}


class JobConfig(BaseModel):
    """Base of the jobs' settings: frozen, typed, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    #: `prefix.key=value` overrides set a key of this setting.
    dotted: ClassVar[dict[str, str]] = {}

    def resolved(self) -> dict[str, Any]:
        """Every setting with its value, ready for JSON."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """Hash of the settings that change results, 16 hex digits."""
        return hashlib.sha256(json.dumps(self.bound(), sort_keys=True).encode()).hexdigest()[:16]

    def bound(self) -> dict[str, Any]:
        """The settings that change results, ready for JSON."""
        known = type(self).model_fields
        return {name: value for name, value in self.resolved().items() if _changes_result(known[name], value)}

    @classmethod
    def build(cls, given: Mapping[str, Any], file: Path | None = None, overrides: Sequence[str] = ()) -> Self:
        """Settings from a TOML file, then `given` (values of None are not given), then `key=value` overrides.

        Raises UsageError with one line that names the setting, what it got and what is allowed.
        """
        values: dict[str, Any] = _read_toml(file, cls.__name__) if file else {}
        values.update({name: value for name, value in given.items() if value is not None})
        for override in overrides:
            _apply(values, override, cls)
        try:
            return cls(**values)
        except ValidationError as error:
            raise UsageError(_one_line(cls, error)) from None


def _changes_result(field: Any, value: Any) -> bool:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return extra.get("result") is not False and not (extra.get("later") and value == field.default)


def _read_toml(path: Path, section: str) -> dict[str, Any]:
    """The job's table of a TOML file (`[extract]`, `[train]`, …), or its top level without tables."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config {path}: not valid TOML: {error}") from None
    name = section.removesuffix("Config").lower()
    jobs = {"extract", "train", "score", "evaluate", "export"}
    if jobs & content.keys():
        unknown = content.keys() - jobs
        if unknown:
            raise UsageError(
                f"--config {path}: unknown table {sorted(unknown)[0]!r}; allowed: {sorted(jobs)}"
            )
        return _table(content.get(name, {}), f"--config {path}: [{name}]")
    return content


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is {value!r}; a table of settings is allowed")
    return dict(value)


def _apply(values: dict[str, Any], override: str, cls: type[JobConfig]) -> None:
    key, equals, text = override.partition("=")
    key = key.strip().replace("-", "_")
    if not equals or not key:
        raise UsageError(f"--set {override!r}: expected key=value")
    head, dot, rest = key.partition(".")
    head = cls.dotted.get(head, head) if dot else head
    if head not in cls.model_fields:
        raise UsageError(f"--set {override!r}: unknown key {head!r}; allowed: {', '.join(cls.model_fields)}")
    if dot:
        inner = _table(values.get(head) or {}, head)
        inner[rest] = _scalar(text)
        values[head] = inner
    else:
        values[head] = _scalar(text)


def _scalar(text: str) -> Any:
    """A TOML value where the text is one, else the text itself."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _one_line(cls: type[JobConfig], error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    first = errors[0]
    if not first["loc"]:
        return str(first["msg"])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; allowed: {', '.join(cls.model_fields)}"
    # A setting of several types has one complaint a type: together they say what is allowed.
    texts = dict.fromkeys(e["msg"] for e in errors if e["loc"][:1] == first["loc"][:1])
    if first["type"] == "missing":
        return f"--{name.replace('_', '-')} is required"
    return f"--{name.replace('_', '-')} {first.get('input')!r}: {', or '.join(texts)}"


BatchSize = Annotated[
    int, Field(ge=1, le=1024, json_schema_extra=HOW, description="Pictures scored together.")
]
Arithmetic = Annotated[
    ArithmeticName,
    Field(description="How the network is computed; auto: the fastest within the model card's tolerance."),
]
Workers = Annotated[
    int | None,
    Field(
        default=None,
        ge=0,
        le=1024,
        json_schema_extra=HOW,
        description="Worker processes; 0 works in this process. Default: one per core.",
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
    max_pixels: int = Field(
        default=_LIMITS.max_pixels,
        ge=64,
        json_schema_extra=HOW,
        description="Largest picture that is decoded, in pixels.",
    )
    max_bytes: int = Field(
        default=_LIMITS.max_bytes, ge=1, json_schema_extra=HOW, description="Largest input file, in bytes."
    )
    timeout: float = Field(
        default=_LIMITS.wall_seconds,
        gt=0,
        json_schema_extra=HOW,
        description=f"Longest decoding time, in seconds, plus {_LIMITS.seconds_per_second:g} for each second of video.",
    )

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
    splits: Path | None = Field(default=None, description="Folder with the official split files.")
    seed: int = Field(default=0, ge=0, description="Seed of the fallback split.")
    store_size: int = Field(
        default=512, ge=64, le=4096, multiple_of=8, description="Longest side of a stored crop, in pixels."
    )
    overwrite: bool = Field(
        default=False, json_schema_extra=HOW, description="Delete what the dataset of this name holds first."
    )


class TrainConfig(JobConfig):
    """Settings of `ffpipe train`."""

    dotted: ClassVar[dict[str, str]] = {"model": "options"}

    model: str = Field(description="Detector to train; `ffpipe models` lists them.")
    data: tuple[str, ...] = Field(
        default=(), description="Datasets in the workspace; default: the only labelled one."
    )
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
    accept_crops: bool = Field(
        default=False, description="Score ready-made faces cut with other settings than the weights'."
    )
    keep_faces: Literal["none", "worst", "all"] = Field(
        default="worst", description="Crops kept per track: none, the 8 worst and 2 best, or all."
    )


class EvaluateConfig(JobConfig):
    """Settings of `ffpipe evaluate`."""

    data: str = Field(description="Dataset in the workspace.")
    split: Literal["train", "val", "test", "all"] = Field(
        default="test", description="Part of the dataset; each opening of the test split is logged."
    )
    quality: str | None = Field(default=None, description="Use only this quality (c0, c23, c40).")
    frames_per_video: int | None = Field(
        default=None,
        ge=1,
        description="Score at most N frames of each video, evenly spread. Default: all stored.",
    )
    replicates: int = Field(default=1000, ge=100, description="Bootstrap draws of the 95% intervals.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")
    batch_size: BatchSize = 8
    arithmetic: Arithmetic = "auto"
    accept_crops: bool = Field(
        default=False, description="Score pictures that were cut with other settings than the weights'."
    )


class ExportConfig(JobConfig):
    """Settings of `ffpipe export`."""

    format: Literal["onnx", "torch-export"] = Field(
        default="onnx", description="ONNX, or a torch.export program."
    )
    batch_size: int | None = Field(default=None, ge=1, description="Faces a call. Default: any number.")
