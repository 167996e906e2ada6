"""Commands that measure trained detectors: evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import EvaluateConfig
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
    """Measure a trained model on a dataset: AUC, EER, AP, accuracy, calibration, each with a 95% interval.

    Overall, per method or generator, quality and size of face, at the level of videos, tracks and frames; tables and
    plots are written into the run's folder. Every opening of a test split is counted and logged there.
    """
    from ffpipe.pipeline import evaluate as job
    from ffpipe.pipeline.evaluation_tables import headline_line
    from ffpipe.pipeline.figures_text import print_figures

    with Progress("evaluate", "pictures", console=CONSOLE) as advance:
        result = job.evaluate(run, settings, Workspace.find(workspace), say, advance)
    if json_output:
        typer.echo(result.to_json())
    else:
        print_figures(result.rows, CONSOLE)
        say(headline_line(result.facts, result.rows))
    return 0
