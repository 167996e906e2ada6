"""The command that shows where a detector looked: explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.manifests.inputs import display_path
from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import ExplainConfig
from ffpipe.pipeline.config.explaining import NOT_ASKED
from ffpipe.pipeline.output import Progress, print_verdicts
from ffpipe.pipeline.workspace import Workspace


@app.command()
@configured(ExplainConfig, hidden=NOT_ASKED)
def explain(
    path: Annotated[str, typer.Argument(help="A video or an image.", metavar="FILE")],
    settings: ExplainConfig,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="New folder. [default: explained/NAME-explained in the workspace]",
            metavar="DIR",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Show where the detector looked in the faces of one video or image: heat maps as pictures and as a video.

    Scores it as `score` does and writes into a new folder: a contact sheet for each face track, crops and heat maps as
    PNG, a table of faces, and the video with boxes, tracks, scores and times (H.264, no sound). A heat map shows where
    the model looked. It proves nothing. Exit code: 0 shown, or no face found; 4 the input failed.
    """
    from ffpipe.pipeline.explaining.job import explain as job

    result = job(
        path,
        settings,
        Workspace.find(workspace),
        out=out,
        say=say,
        meter=lambda part: Progress(part, console=CONSOLE),
    )
    if json_output:
        typer.echo(json.dumps(result.to_json(), default=str))
    else:
        calibration = result.provenance["model"]["calibration"]
        print_verdicts([result.to_json()], CONSOLE, calibration=calibration, prior=settings.prior)
        for file in result.outputs:
            say(f"    {file.name}")
    if result.out is not None:
        say(
            f"explained: {display_path(str(result.out))}, with {result.crops} face crops; delete it with them"
        )
    return result.exit_code
