"""The command line: parse, build the configuration, run the job, turn errors into one line and an exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

import ffpipe
from ffpipe.manifests.errors import FfpipeError, StorageError, UsageError
from ffpipe.pipeline import environment, output
from ffpipe.pipeline.commands import configured
from ffpipe.pipeline.config import EvaluateConfig, ExportConfig, ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.output import Progress, print_verdicts
from ffpipe.pipeline.workspace import Workspace

INTERRUPTED = 130
#: What doctor returns where something needs mending: as for inputs, some checks failed.
PROBLEMS = 3
#: Failed inputs that extract prints one by one.
SHOWN_FAILURES = 10
#: Rows of the report that score prints; all of them are in the report's file.
SHOWN_VERDICTS = 50

#: One console, so that lines and the moving bar do not overwrite each other.
CONSOLE = output.make_console()

#: What the parser raises. Typer brings click along or inside itself, so the class is found through its own.
_ParseError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

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
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


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


@app.command()
@configured(ExtractConfig)
def extract(
    source: Annotated[
        Path, typer.Argument(help="Dataset folder, such as FF++/, or a folder of videos.", metavar="SOURCE")
    ],
    settings: ExtractConfig,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Decode videos, find and track faces, and store crops and statistics as Parquet.

    The layout of the folder is recognised (`ffpipe datasets` lists the layouts).
    Run the same command again to resume, or to add inputs.
    """
    from ffpipe.pipeline import extract as job
    from ffpipe.pipeline.next_step import after_extract

    place = Workspace.find(workspace)
    with Progress("extract", console=CONSOLE) as advance:
        result = job.extract(source, settings, place, say, advance)
    for path, status, reason in result.failures[:SHOWN_FAILURES]:
        say(f"{status}: {path}: {reason}")
    counts = ", ".join(f"{count} {status}" for status, count in sorted(result.statuses.items()))
    say(f"{result.faces} faces of {result.statuses.total()} inputs ({counts}) in {result.root}")
    if len(result.failures) > SHOWN_FAILURES:
        say(f"{len(result.failures)} inputs failed in all; the media table has the reason of each")
    if command := after_extract(result.name, place):
        say(f"next: {command}")
    if json_output:
        typer.echo(
            json.dumps(
                {
                    "dataset": result.name,
                    "root": str(result.root),
                    "faces": result.faces,
                    "statuses": result.statuses,
                }
            )
        )
    return result.exit_code


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
@configured(ScoreConfig)
def score(
    paths: Annotated[list[str], typer.Argument(help="Videos, images, folders or globs.", metavar="PATH…")],
    settings: ScoreConfig,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Report: .parquet, .csv, .json or .jsonl.", metavar="FILE"),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Score videos and images, and give each input a verdict with its evidence.

    Every input gets one row, also one that fails. Exit code: 0 no input failed, 3 some did, 4 all did.
    """
    from ffpipe.pipeline import score as job
    from ffpipe.pipeline.tables import to_json

    with Progress("score", console=CONSOLE) as advance:
        result = job.score(paths, settings, Workspace.find(workspace), out=out, say=say, advance=advance)
    if json_output:
        typer.echo(to_json(result.report))
    else:
        print_verdicts(result.report.to_pylist(), CONSOLE, SHOWN_VERDICTS)
    return result.exit_code


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


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A detector, to see all of it.", metavar="NAME")] = None,
    json_output: JsonOption = False,
) -> None:
    """List the detectors, or describe one: paper, input, size, options with the paper's tables, both recipes."""
    from ffpipe.models import list_detectors
    from ffpipe.pipeline import model_help

    columns = shutil.get_terminal_size().columns
    if name is None:
        typer.echo(json.dumps(model_help.list_json()) if json_output else model_help.list_text(columns))
    elif name not in list_detectors():
        raise UsageError(f"no detector is called {name!r}; known are: {', '.join(list_detectors())}")
    else:
        typer.echo(
            json.dumps(model_help.model_json(name)) if json_output else model_help.model_text(name, columns)
        )


@app.command()
def datasets() -> None:
    """List the dataset layouts that are recognised."""
    from ffpipe.manifests.datasets import list_layouts

    for layout in list_layouts():
        typer.echo(f"{layout.name:12} {layout.summary}")


@app.command()
def doctor(workspace: WorkspaceOption = None, json_output: JsonOption = False) -> int:
    """Check this machine: versions, codecs, detectors, GPU, memory, disk; each problem with its fix."""
    from ffpipe.pipeline.doctor import examine

    findings = examine(Workspace.find(workspace).root)
    if json_output:
        typer.echo(json.dumps([{"topic": f.topic, "text": f.text, "fix": f.fix} for f in findings]))
    else:
        for finding in findings:
            mark = "ok     " if finding.fix is None else "PROBLEM"
            typer.echo(f"{mark} {finding.topic}: {finding.text}")
            if finding.fix:
                typer.echo(f"        fix: {finding.fix}")
    return PROBLEMS if any(f.fix and not f.fix.startswith("optional") for f in findings) else 0


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo writes.")] = Path("ffpipe-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the clips' motion and noise.")] = 0,
) -> int:
    """Run the main job on clips made from one photograph: extract, train, score, offline on a CPU."""
    from ffpipe.pipeline import demo as job

    return job.run(folder, seed, CONSOLE)


@app.command()
def purge(
    name: Annotated[str, typer.Argument(help="A scoring run or a dataset of the workspace.", metavar="RUN")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete the face crops and tables that a scoring run or a dataset keeps in the workspace."""
    place = Workspace.find(workspace)
    if not yes and not _confirmed(f"Delete everything that {name} keeps in {place.root}?"):
        raise UsageError("nothing was deleted; answer y, or give --yes")
    for removed in place.purge(name):
        say(f"deleted {removed}")


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False


def say(line: str) -> None:
    """A line for people, on standard error; standard output is data."""
    output.say(line, CONSOLE)


def main() -> None:
    """Entry point: run a command and end with its exit code."""
    environment.prepare()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """The exit code of a command line: 0, 3 and 4 by inputs, 2 usage, 74 input/output, 130 interrupted, 1 bug."""
    # Every bug's message names --debug, so it is taken anywhere on the line.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="ffpipe", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except _ParseError as error:
        return _fail(error, error.format_message(), UsageError.exit_code, debug)
    except FfpipeError as error:
        return _fail(error, error.message, error.exit_code, debug)
    except BrokenPipeError:
        # The reader of standard output has gone; nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FfpipeError.exit_code
    except OSError as error:
        return _fail(
            error,
            f"{error.filename or 'input/output'}: {error.strerror or error}",
            StorageError.exit_code,
            debug,
        )
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is named in one line, --debug shows where
        return _fail(
            error, f"a bug in ffpipe: {type(error).__name__}: {error} (--debug shows where)", 1, debug
        )
    # Some versions of the parser turn an interrupt into this exit code themselves.
    if code == INTERRUPTED:
        say("interrupted; run the same command again to go on from here")
    return code if isinstance(code, int) else 0


def _fail(error: Exception, text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    say(f"ffpipe: error: {text}")
    return code
