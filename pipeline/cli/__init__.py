"""The command line: parse, build the configuration, run the job, turn errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, Any

import typer

import ffpipe
from ffpipe.manifests.errors import FfpipeError, StorageError, UsageError
from ffpipe.pipeline import environment, interrupts

# Each of these modules adds its commands to the program when it is imported; help lists them in this order.
from ffpipe.pipeline.cli import (
    data,
    evaluation,
    evidence,
    explaining,
    reproducing,
    scoring,
    serving,
    splits,
    training,
    watching,
)  # isort: skip
from ffpipe.pipeline.cli.common import app, say

__all__ = [
    "data",
    "evaluation",
    "evidence",
    "explaining",
    "main",
    "reproducing",
    "run",
    "scoring",
    "serving",
    "splits",
    "training",
    "watching",
]

#: What the parser raises. Typer brings click along or inside itself, so the class is found through its own.
_ParseError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ffpipe {ffpipe.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of the program itself; `run` looks for --debug on its own, so that parsing errors show it too."""


def main() -> None:
    """Run a command and end with its exit code."""
    environment.prepare()
    interrupts.raise_first()
    code = run(sys.argv[1:])
    if code == interrupts.INTERRUPTED:
        interrupts.ignore_more()
        say(interrupts.HOW_TO_GO_ON)
        sys.stdout.flush()
        # Threads that still hash a large file, or end a cluster, are not waited for.
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of a command line: 0, 3 and 4 by inputs, 2 usage, 74 input/output, 130 interrupted, 1 bug."""
    # Every bug's message names --debug, so it is taken anywhere on the line.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="ffpipe", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return interrupts.INTERRUPTED
    except _ParseError as error:
        return _fail(error, error.format_message(), UsageError.exit_code, debug)
    except BrokenPipeError:
        # The reader of standard output has gone; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FfpipeError.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is named in one line, --debug shows where
        # An interrupt in the middle of an import, say, comes out as something else.
        return interrupts.INTERRUPTED if interrupts.seen() else _failed(error, debug)
    return code if isinstance(code, int) else 0


def _failed(error: Exception, debug: bool) -> int:
    if isinstance(error, FfpipeError):
        return _fail(error, error.message, error.exit_code, debug)
    if isinstance(error, OSError):
        place = error.filename or "input/output"
        return _fail(error, f"{place}: {error.strerror or error}", StorageError.exit_code, debug)
    return _fail(error, f"a bug in ffpipe: {type(error).__name__}: {error} (--debug shows where)", 1, debug)


def _fail(error: Exception, text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    say(f"ffpipe: error: {text}")
    return code
