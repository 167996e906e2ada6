"""Commands that measure trained detectors, and calibrate them: evaluate, calibrate, compare, robustness."""

from __future__ import annotations

from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import CalibrateConfig, CompareConfig, EvaluateConfig, RobustnessConfig
from ffpipe.pipeline.output import Progress
from ffpipe.pipeline.workspace import Workspace

RunArgument = Annotated[
    str, typer.Argument(help="A model's folder, or MODEL/RUN in the workspace.", metavar="RUN")
]


@app.command()
@configured(EvaluateConfig)
def evaluate(
    run: RunArgument,
    settings: EvaluateConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Measure a trained model on a dataset: AUC, EER, AP, accuracy, calibration, each with a 95% interval.

    Overall, per method or generator, quality and size of face, at the level of videos, tracks and frames; tables and
    plots are written into the run's folder. Every opening of a test split is counted and logged there.
    """
    from ffpipe.pipeline.evaluation import job
    from ffpipe.pipeline.evaluation.figures_text import print_figures
    from ffpipe.pipeline.evaluation.tables import headline_line

    with Progress("evaluate", "pictures", console=CONSOLE) as advance:
        result = job.evaluate(run, settings, Workspace.find(workspace), say, advance)
    if json_output:
        typer.echo(result.to_json())
    else:
        print_figures(result.rows, CONSOLE)
        say(headline_line(result.facts, result.rows))
    return 0


@app.command()
@configured(CalibrateConfig)
def calibrate(
    run: RunArgument,
    settings: CalibrateConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Turn a trained model's scores into likelihood ratios, fitted on media that it has not seen.

    By default on the half of the run's validation that training kept for this. `score` then gives each video a capped
    log10 likelihood ratio, its probability at even odds, and with --prior the posterior. Tables and plots go to the
    run's folder.
    """
    from ffpipe.pipeline.calibration import job

    with Progress("calibrate", "pictures", console=CONSOLE) as advance:
        result = job.calibrate(run, settings, Workspace.find(workspace), say, advance)
    typer.echo(result.to_json() if json_output else result.text())
    return 0


@app.command()
@configured(CompareConfig)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: model folders, MODEL/RUN in the workspace, or folders of evaluations.",
            metavar="RUN_A RUN_B",
        ),
    ],
    settings: CompareConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Compare trained models on the same media: differences with intervals and p-values, each against the first.

    Runs that were not evaluated on the split yet are, which counts as an opening of a test split.
    """
    from ffpipe.pipeline.evaluation import compare as job
    from ffpipe.pipeline.evaluation.figures_text import print_pairs

    with Progress("evaluate", "pictures", console=CONSOLE) as advance:
        result = job.compare(runs, settings, Workspace.find(workspace), say, advance)
    if json_output:
        typer.echo(result.to_json())
    else:
        print_pairs(result.pairs, CONSOLE)
    return 0


@app.command()
@configured(RobustnessConfig)
def robustness(
    run: RunArgument,
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
