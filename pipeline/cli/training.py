"""Commands that make and describe detectors: train, preview, export, import-weights, models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import ExportConfig, ImportConfig, PreviewConfig, TrainConfig
from ffpipe.pipeline.config.preview import NOT_SHOWN
from ffpipe.pipeline.output import Progress
from ffpipe.pipeline.workspace import Workspace


@app.command()
@configured(TrainConfig)
def train(settings: TrainConfig, workspace: WorkspaceOption = None, json_output: JsonOption = False) -> int:
    """Train a detector on the extracted faces.

    The only labelled dataset of the workspace is used unless --data names others.
    Run the same command again to resume an interrupted run exactly.
    """
    from ffpipe.pipeline import train as job
    from ffpipe.pipeline.next_step import after_train

    place = Workspace.find(workspace)
    with Progress("train", "steps", console=CONSOLE) as advance:
        result = job.train(settings, place, say, advance)
    say(f"model in {result.directory}")
    say(f"next: {after_train(place)}")
    if json_output:
        typer.echo(json.dumps({"model": str(result.directory), "metrics": result.metrics}))
    return 0


@app.command()
@configured(PreviewConfig, hidden=NOT_SHOWN)
def preview(
    settings: PreviewConfig,
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.", metavar="FILE")],
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Draw the faces of a training run as a contact sheet: as stored, as blended, as augmented.

    Each draw is the one that `ffpipe train` makes with the same settings and seed.
    """
    from ffpipe.pipeline import preview as job

    sheet = job.preview(settings, Workspace.find(workspace), out, say)
    typer.echo(json.dumps({"sheet": str(sheet.path), "faces": sheet.faces}) if json_output else sheet.path)
    return 0


@app.command()
@configured(ExportConfig)
def export(
    settings: ExportConfig,
    run: Annotated[
        str | None,
        typer.Argument(
            help="A model's folder, or MODEL/RUN in the workspace. [default: the newest]",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File: .onnx, or .pt2 for torch-export.", metavar="FILE"),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Write a trained network as an ONNX or torch.export file, its scores checked against ours.

    Beside the file, a JSON has what it takes and gives: size, colours, crops, labels, thresholds.
    """
    from ffpipe.pipeline import export as job

    result = job.export(run, settings, Workspace.find(workspace), out, say)
    if json_output:
        typer.echo(json.dumps(result.contract))
    return 0


@app.command("import-weights")
@configured(ImportConfig)
def import_weights(
    file: Annotated[
        Path, typer.Argument(help="Checkpoint: .pth, .pt, .bin, .ckpt or .safetensors.", metavar="FILE")
    ],
    settings: ImportConfig,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write a safetensors file for --pretrained instead of a run.", metavar="FILE"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Name of the run in the workspace. [default: imported-001, …]", show_default=False
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Take over weights that others trained, once their names, shapes and dtypes fit a detector.

    The file is opened by a confined process, and nothing in it is executed. Foreign weights have no validation, so
    that verdicts with them stay inconclusive.
    """
    from ffpipe.pipeline import importing as job

    result = job.import_weights(file, settings, Workspace.find(workspace), out=out, name=name, say=say)
    if json_output:
        typer.echo(
            json.dumps({"place": str(result.place), "model_id": result.model_id, "source": result.facts})
        )
    else:
        typer.echo(result.place)
    return 0


@app.command()
def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A detector, to see all of it, or the MODEL/RUN of a trained one.", metavar="NAME"
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the detectors, or describe one: paper, input, size, options with the paper's tables, both recipes.

    Of a trained model: what its verdicts rest on, and what it has stored of its training faces.
    """
    from ffpipe.models import list_detectors
    from ffpipe.pipeline import model_help

    columns = shutil.get_terminal_size().columns
    if name is None:
        typer.echo(json.dumps(model_help.list_json()) if json_output else model_help.list_text(columns))
    elif "/" in name:
        _describe_run(name, Workspace.find(workspace), json_output)
    elif name not in list_detectors():
        raise UsageError(f"no detector is called {name!r}; known are: {', '.join(list_detectors())}")
    else:
        typer.echo(
            json.dumps(model_help.model_json(name)) if json_output else model_help.model_text(name, columns)
        )


def _describe_run(name: str, workspace: Workspace, json_output: bool) -> None:
    from ffpipe.pipeline.run_help import run_json, run_text
    from ffpipe.pipeline.weights import Weights, find_run

    weights = Weights.load(find_run(name, workspace, "NAME"))
    typer.echo(json.dumps(run_json(weights)) if json_output else run_text(weights))
