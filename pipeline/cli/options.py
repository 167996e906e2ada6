"""Command-line options read from a job's configuration, so that each setting is declared once."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from ffpipe.pipeline.config import JobConfig

_CONFIG_FILE = typer.Option(None, "--config", help="TOML file with settings.", metavar="FILE")
_SET = typer.Option(
    None,
    "--set",
    help="Set any setting: key=value; repeatable. Model options: model.KEY=VALUE.",
    metavar="KEY=VALUE",
)


#: What help calls a number.
_NUMBERS: dict[Any, str] = {int: "INTEGER", float: "FLOAT"}


def configured(
    config: type[JobConfig], hidden: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command that takes `settings`: its options become those of `config`.

    The command's own parameters stay; `settings` is replaced by one option a field, `--config` and `--set`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        fields = {
            n: f for n, f in config.model_fields.items() if n not in hidden and _option_type(f) is not None
        }

        def run(**values: Any) -> Any:
            file, overrides = values.pop("config_file"), values.pop("overrides")
            given = {name: _plain(values.pop(name)) for name in fields}
            return command(**values, settings=config.build(given, file, overrides or ()))

        options = [_parameter(name, field) for name, field in fields.items()]
        extra = [
            inspect.Parameter(
                "config_file", inspect.Parameter.KEYWORD_ONLY, default=_CONFIG_FILE, annotation=Path | None
            ),
            inspect.Parameter(
                "overrides", inspect.Parameter.KEYWORD_ONLY, default=_SET, annotation=list[str] | None
            ),
        ]
        positional = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature([*positional, *options, *extra])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*positional, *options, *extra]}
        run.__name__ = command.__name__
        run.__doc__ = command.__doc__
        return run

    return decorate


def _plain(value: Any) -> Any:
    return tuple(value) or None if isinstance(value, list) else value


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    kind = _option_type(field)
    names = [f"{flag}/--no-{flag[2:]}"] if kind is bool and field.default else [flag]
    option = typer.Option(None, *names, help=_help(field), show_default=False, metavar=_metavar(field))
    annotation = list[str] | None if kind is list else kind | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def _help(field: FieldInfo) -> str:
    default = field.default
    shown = "" if default in (None, (), False) or field.is_required() else f" [default: {default}]"
    # Help is Markdown, where stars would be taken for emphasis and vanish.
    return f"{field.description}{shown}".replace("*", r"\*")


def _alternatives(field: FieldInfo) -> list[Any]:
    kind = field.annotation
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    bare = [member.__origin__ if get_origin(member) is Annotated else member for member in members]
    return [member for member in bare if member is not type(None)]


def _option_type(field: FieldInfo) -> Any:
    """The type that Typer parses; None for tables of keys.

    Text where pydantic chooses among several, and for numbers: Typer's complaint would not say what was given.
    """
    members = _alternatives(field)
    origin = get_origin(members[0])
    if origin is dict:
        return None
    if origin is tuple:
        return list
    if origin is Literal or len(members) > 1 or members[0] in _NUMBERS:
        return str
    return members[0]


def _metavar(field: FieldInfo) -> str | None:
    members = _alternatives(field)
    choices = [str(c) for m in members if get_origin(m) is Literal for c in get_args(m)]
    numbers = ["N"] if int in members and choices else []
    return "|".join(numbers + choices) if choices else _NUMBERS.get(members[0])
