"""What the commands share: the program, its console, and the options that most of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffpipe.pipeline import output

#: One console, so that lines and the moving bar do not overwrite each other.
CONSOLE = output.make_console()

app = typer.Typer(
    name="ffpipe",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Video face forensics: which of these videos show a manipulated face, and on what evidence.\n\n"
    "The main job: `ffpipe extract FF++/`, then `ffpipe train --model sfcl-hcmf`, then "
    "`ffpipe score videos/ --out report.parquet`. Every command can be stopped and run again: it goes on where it was.",
)

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", help="Workspace folder. [default: $FFPIPE_WORKSPACE, else ./ffpipe-workspace]"
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="Folder for pages: one of the run, one of each video.", metavar="DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def say(line: str) -> None:
    """A line for people, on standard error; standard output is data."""
    output.say(line, CONSOLE)
