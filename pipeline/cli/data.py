"""Commands that take in data and show what there is: extract, degrade, datasets, purge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.cli.common import CONSOLE, JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import DegradeConfig, ExtractConfig
from ffpipe.pipeline.output import Progress
from ffpipe.pipeline.workspace import Workspace

#: Failed inputs that extract prints one by one.
SHOWN_FAILURES = 10


@app.command()
@configured(ExtractConfig)
def extract(
    source: Annotated[
        Path, typer.Argument(help="Dataset folder, such as FF++/, or a folder of videos.", metavar="SOURCE")
    ],
    settings: ExtractConfig,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing: say what is there and missing, which files do not open, and how long it takes.",
        ),
    ] = False,
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
    if dry_run:
        return _dry_run(source, settings, place, json_output)
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


def _dry_run(source: Path, settings: ExtractConfig, place: Workspace, json_output: bool) -> int:
    from ffpipe.pipeline import dry_run as job

    with Progress("open", unit="files", console=CONSOLE) as advance:
        result = job.dry_run(source, settings, place, say, advance)
    if json_output:
        typer.echo(json.dumps(result.to_json()))
    return result.exit_code


@app.command()
@configured(DegradeConfig)
def degrade(
    source: Annotated[Path, typer.Argument(help="Dataset folder, such as FF++/.", metavar="SOURCE")],
    settings: DegradeConfig,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of the copies; it may be SOURCE itself.", metavar="DIR"),
    ],
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Make copies of a dataset's videos at H.264 rate factors, such as c23 and c40, where they lack.

    Each copy has its source's pictures at its source's times, without sound. FaceForensics++ keeps its official tree;
    of other layouts the copies come with a manifest that `extract` reads. No existing file is touched.
    """
    from ffpipe.pipeline.degrade import job

    with Progress("degrade", "clips", console=CONSOLE) as advance:
        result = job.degrade(source, out, settings, Workspace.find(workspace), say, advance)
    for path, status, reason in result.failures[:SHOWN_FAILURES]:
        say(f"{status}: {path}: {reason}")
    if len(result.failures) > SHOWN_FAILURES:
        say(f"{len(result.failures)} clips failed in all; --json, or the tree's own JSON file, has each")
    if not settings.dry_run:
        say(f"{result.made} copies made, {result.present} there before; next: ffpipe extract {result.out}")
    if json_output:
        typer.echo(result.to_json())
    return result.exit_code


@app.command()
def datasets() -> None:
    """List the dataset layouts that are recognised."""
    from ffpipe.manifests.datasets import list_layouts

    for layout in list_layouts():
        typer.echo(f"{layout.name:15} {layout.summary}")


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
    from ffpipe.pipeline import log

    removed = place.purge(name)
    for folder in removed:
        say(f"deleted {folder}")
    log.note(place, "purge", {}, removed=[log.shown(folder) for folder in removed])


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False
