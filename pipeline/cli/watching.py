"""The command that scores what arrives: watch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.manifests.records import ReportRow, row
from ffpipe.pipeline.cli.common import JsonOption, ReportOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import WatchConfig
from ffpipe.pipeline.output import plain_line
from ffpipe.pipeline.workspace import Workspace


@app.command()
@configured(WatchConfig, hidden=("limit",))
def watch(
    folder: Annotated[str, typer.Argument(help="Folder to watch, with the folders in it.", metavar="DIR")],
    settings: WatchConfig,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Report that is kept up to date: .parquet, .csv, .json, .jsonl or .html.",
            metavar="FILE",
        ),
    ] = None,
    report: ReportOption = None,
    once: Annotated[bool, typer.Option("--once", help="Score what is there, and end.")] = False,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Score videos and images as they arrive in a folder, a line each, until Ctrl-C or SIGTERM (exit code 130).

    The same run as that of `ffpipe score DIR`: either goes on where the other was. A file is taken once it is whole;
    one that changes is scored again. With --json, each line is a row of the report as JSON.
    """
    from ffpipe.pipeline import watching as job

    place = Workspace.find(workspace)
    tell = _tell_json if json_output else _tell
    return job.watch(folder, settings, place, out=out, report=report, once=once, tell=tell, say=say)


def _tell(rows: Sequence[ReportRow]) -> None:
    for each in rows:
        typer.echo(plain_line(row(each)))


def _tell_json(rows: Sequence[ReportRow]) -> None:
    from ffpipe.manifests.schemas import to_table
    from ffpipe.pipeline.tables import json_lines

    for line in json_lines(to_table("report", rows)):
        typer.echo(line)
