"""Commands that check what earlier commands left: verify, log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import VerifyConfig
from ffpipe.pipeline.output import Progress, inert
from ffpipe.pipeline.workspace import Workspace

#: What `log --check` returns where a chain is broken: as for inputs, some failed.
BROKEN = 3


@app.command()
@configured(VerifyConfig)
def verify(
    report: Annotated[
        Path,
        typer.Argument(
            help="Report that `score --out` wrote, in any of its formats but .html.", metavar="REPORT"
        ),
    ],
    settings: VerifyConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Hash a report's inputs and weights again, score the inputs again, and compare everything with the report.

    Nothing of it is kept. Exit code: 0 everything is equal, 3 something differs, 4 every input does, 2 it cannot be
    verified.
    """
    from ffpipe.pipeline.verification.job import verify as job
    from ffpipe.pipeline.verification.text import print_verification

    with Progress("verify", console=CONSOLE) as advance:
        result = job(report, settings, Workspace.find(workspace), say, advance)
    if json_output:
        typer.echo(json.dumps(result.to_json(), default=str))
    print_verification(result, say)
    return result.exit_code


@app.command(name="log")
def show_log(
    check: Annotated[
        bool, typer.Option("--check", help="Follow the chain and say where it is broken; exit code 3 then.")
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", help="Check also that this entry, noted elsewhere, is still there.", metavar="HASH"
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Show what commands wrote here and which test splits they opened, and check that the log is whole.

    Each entry names the hash of the one before. That makes changes evident, but forgery possible: who can write the
    file can make the whole chain anew. Only a head that was noted elsewhere shows that, or that its end was cut off.
    """
    from ffpipe.pipeline import log

    place = Workspace.find(workspace)
    found = log.read_logs(place, head)
    if json_output:
        typer.echo(json.dumps(found.to_json()))
    elif not (check or head):
        for entry in found.log.entries:
            typer.echo(log.entry_line(entry))
    for line in found.lines():
        say(inert(line))
    return BROKEN if (check or head) and not found.whole else 0
