"""Commands that score media, show what was found, and try the program out: score, report, demo, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, ReportOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.output import Progress, print_verdicts
from ffpipe.pipeline.workspace import Workspace

#: Rows of the report that score prints; all of them are in the report's file.
SHOWN_VERDICTS = 50
#: What doctor returns where something needs mending: as for inputs, some checks failed.
PROBLEMS = 3


@app.command()
@configured(ScoreConfig)
def score(
    paths: Annotated[list[str], typer.Argument(help="Videos, images, folders or globs.", metavar="PATH…")],
    settings: ScoreConfig,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Report: .parquet, .csv, .json, .jsonl or .html.", metavar="FILE"),
    ] = None,
    report: ReportOption = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Score videos and images, and give each input a verdict with its evidence.

    Every input gets one row, also one that fails. Exit code: 0 no input failed, 3 some did, 4 all did.
    """
    from ffpipe.pipeline import reporting
    from ffpipe.pipeline import score as job
    from ffpipe.pipeline.tables import to_json

    place = Workspace.find(workspace)
    if report is not None:
        reporting.check_folder(report)
    with Progress("score", console=CONSOLE) as advance:
        result = job.score(paths, settings, place, out=out, say=say, advance=advance)
    if report is not None:
        reporting.report_scoring(result, report, place, say)
    if json_output:
        typer.echo(to_json(result.report))
    else:
        told = result.provenance["model"]["calibration"]
        print_verdicts(result.report.to_pylist(), CONSOLE, SHOWN_VERDICTS, told, settings.prior)
    return result.exit_code


@app.command()
def report(
    table: Annotated[
        Path,
        typer.Argument(
            help="Report that `score --out` wrote, in any of its formats but .html.", metavar="REPORT"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the pages. [default: REPORT-pages beside it]", metavar="DIR"
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Show a report as pages: one of the run, and one of each video with its evidence.

    They open from disk, without a network. Faces and heat maps are there where the workspace still has the run and the
    weights.
    """
    from ffpipe.pipeline import reporting

    pages = reporting.report(table, out, Workspace.find(workspace), say)
    if json_output:
        typer.echo(json.dumps([str(page) for page in pages]))
    return 0


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo writes.")] = Path("ffpipe-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the clips' motion and noise.")] = 0,
) -> int:
    """Run the main job on clips made from one photograph: extract, train, score, offline on a CPU."""
    from ffpipe.pipeline import demo as job

    return job.run(folder, seed, CONSOLE)


@app.command()
def doctor(workspace: WorkspaceOption = None, json_output: JsonOption = False) -> int:
    """Check this machine: versions, codecs, detectors, GPU, memory, disk, ports; each problem with its fix."""
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
