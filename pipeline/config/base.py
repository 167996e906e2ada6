"""What the settings of every job have in common: frozen, hashed, and filled from TOML and the command line."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from ffpipe.manifests.errors import UsageError

EngineName = Literal["auto", "local", "ray"]
ArithmeticName = Literal["auto", "float32", "channels-last-float32", "bfloat16", "channels-last-bfloat16"]

#: Tables that a TOML file of settings may have, one a job.
JOBS = (
    "extract",
    "train",
    "score",
    "explain",
    "evaluate",
    "calibrate",
    "compare",
    "export",
    "import",
    "preview",
    "verify",
    "degrade",
    "robustness",
    "splits",
    "reproduce",
    "watch",
    "serve",
)

#: Marks a setting that changes how a job runs but not what it produces; left out of the configuration hash.
HOW: JsonDict = {"result": False}
#: Marks a setting that came later: at its default it is left out of the hash, so that older results can go on.
LATER: JsonDict = {"later": True}


class JobConfig(BaseModel):
    """Base of the jobs' settings: frozen, typed, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

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
    if content.keys() & set(JOBS):
        unknown = content.keys() - set(JOBS)
        if unknown:
            raise UsageError(
                f"--config {path}: unknown table {sorted(unknown)[0]!r}; allowed: {sorted(JOBS)}"
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


def _follows(error: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Whether a complaint only says that a list is too short once the wrong item of the first one is left out."""
    return error["type"] == "too_short" and len(first["loc"]) > len(error["loc"])


def _one_line(cls: type[JobConfig], error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    first = errors[0]
    if not first["loc"]:
        return str(first["msg"])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; allowed: {', '.join(cls.model_fields)}"
    # A setting of several types has one complaint a type: together they say what is allowed.
    texts = dict.fromkeys(
        e["msg"] for e in errors if e["loc"][:1] == first["loc"][:1] and not _follows(e, first)
    )
    if first["type"] == "missing":
        return f"--{name.replace('_', '-')} is required"
    return f"--{name.replace('_', '-')} {first.get('input')!r}: {', or '.join(texts)}"


def _parted(value: Any) -> Any:
    """Names given with commas, alone or among others, one by one."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        return value
    return tuple(dict.fromkeys(part.strip() for name in given for part in name.split(",") if part.strip()))


#: Where a split file lies is a place; the hash of what it says is noted and bound apart.
SplitsFile = Annotated[
    Path | None,
    Field(
        json_schema_extra=HOW,
        description="Split file (CSV or Parquet, as `ffpipe splits make` writes) instead of the stored split; what it "
        "does not list is in no split.",
    ),
]
Methods = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1)] | None,
    BeforeValidator(_parted),
    Field(
        json_schema_extra=LATER,
        description="Use only the fakes of these methods, separated by commas, and the reals that belong to them.",
    ),
]
QualityGate = Annotated[
    bool,
    Field(
        json_schema_extra=LATER,
        description="Leave a verdict inconclusive where the face is small, blurred or unlike the training data.",
    ),
]
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
WorkerMemory = Annotated[
    float | None,
    Field(
        default=None,
        ge=1,
        le=1 << 20,
        json_schema_extra=HOW,
        description="Memory of a worker process, in GiB; one that takes more is ended, and its input recorded as "
        "crashed if that happens alone too. Default: a core's share of 80 % of the machine's, at least 4.",
    ),
]
