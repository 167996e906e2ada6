"""The command that runs a paper's whole protocol: reproduce."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.output import Progress
from ffpipe.pipeline.workspace import Workspace


@app.command()
@configured(ReproduceConfig)
def reproduce(
    paper: Annotated[str, typer.Argument(help="sfcl-hcmf, sffb-kd, faclue or fssnet.", metavar="PAPER")],
    settings: ReproduceConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Train and test all that a paper's tables ask for, and print its figures beside ours.

    Takes the datasets that the workspace has and names what is missing, with the command that provides it. Run the
    same command again to go on. Exit code: 0 every figure was measured, 3 some were, 4 none.
    """
    from ffpipe.pipeline import provenance
    from ffpipe.pipeline.reproduction import job as job
    from ffpipe.pipeline.reproduction.report import plan_json, print_results
    from ffpipe.pipeline.reproduction.results import headline

    result = job.reproduce(
        paper, settings, Workspace.find(workspace), say, lambda part: Progress(part, console=CONSOLE)
    )
    if settings.dry_run:
        if json_output:
            told = plan_json(result.plan, result.states, result.deviations)
            typer.echo(json.dumps({**told, "provenance": provenance.collect(settings, seed=settings.seed)}))
        return 0
    if json_output:
        typer.echo(json.dumps([found.to_json() for found in result.results]))
    else:
        print_results(result.results, CONSOLE)
    for line in headline(result.results, settings.recipe == "quick"):
        say(line)
    say(f"tables: {result.directory}")
    return result.exit_code
