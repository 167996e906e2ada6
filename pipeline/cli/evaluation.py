"""Commands that measure trained detectors: evaluate, robustness."""

from __future__ import annotations

from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import EvaluateConfig, RobustnessConfig
from ffpipe.pipeline.output import Progress
from ffpipe.pipeline.workspace import Workspace


@app.command()
@configured(EvaluateConfig)
def evaluate(
    run: Annotated[
        str, typer.Argument(help="A model's folder, or MODEL/RUN in the workspace.", metavar="RUN")
    ],
    settings: EvaluateConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Measure a trained model on a dataset: accuracy at 0.5, AP and AUC, overall and per method or generator.

    Reads what extract stored. Every opening of a test split is counted and logged in the run's folder.
    """
    from ffpipe.pipeline import evaluate as job
    from ffpipe.pipeline.figures_text import print_figures

    with Progress("evaluate", "pictures", console=CONSOLE) as advance:
        result = job.evaluate(run, settings, Workspace.find(workspace), say, advance)
    if json_output:
        typer.echo(result.to_json())
    else:
        print_figures(result.rows, CONSOLE)
    return 0


@app.command()
@configured(RobustnessConfig)
def robustness(
    run: Annotated[
        str, typer.Argument(help="A model's folder, or MODEL/RUN in the workspace.", metavar="RUN")
    ],
    settings: RobustnessConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Measure a trained model on damaged faces, and against controls that must not do as well.

    Every stored face of the split is treated alike, real or fake: H.264, JPEG, blur, noise and size, from mild to
    strong. Tables and plots go to the run's folder. Every opening of a test split is counted and logged.
    """
    from ffpipe.pipeline.robustness import job
    from ffpipe.pipeline.robustness.files import markdown

    with Progress("robustness", "faces", console=CONSOLE) as advance:
        result = job.robustness(run, settings, Workspace.find(workspace), say, advance)
    typer.echo(result.to_json() if json_output else markdown(result))
    return 0
