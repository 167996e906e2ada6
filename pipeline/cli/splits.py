"""Commands on the division of data into train, validation and test: splits make, splits check, splits protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ffpipe.pipeline.cli.common import JsonOption, WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import SplitsConfig
from ffpipe.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from ffpipe.pipeline.splits import Checked

#: What check returns where something stands in two splits: as for inputs, some failed.
LEAKS = 3
#: Files that the line of a leak names.
SHOWN_FILES = 3

commands = typer.Typer(
    name="splits",
    no_args_is_help=True,
    help="Divide data by a protocol, and check that no split leaks into another.",
)
app.add_typer(commands)


@commands.command()
@configured(SplitsConfig)
def make(
    target: Annotated[
        str, typer.Argument(help="Source tree, or a dataset of the workspace.", metavar="SOURCE_OR_DATASET")
    ],
    settings: SplitsConfig,
    out: Annotated[Path, typer.Option("--out", "-o", help="Split file: .csv or .parquet.", metavar="FILE")],
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Write a split file by a protocol, for --splits of extract, train and evaluate.

    People, source videos, copies of a clip and equal files are kept in one split, unless the protocol says otherwise.
    """
    from ffpipe.pipeline import splits as job

    made = job.make_splits(target, out, settings, Workspace.find(workspace), say)
    if json_output:
        result = {"file": str(made.path), "protocol": settings.protocol, "left_out": made.left_out}
        typer.echo(json.dumps({**result, "notes": made.notes, **made.checked.to_json()}))
    else:
        _print_counts(made.checked)
    if made.left_out:
        say(f"{made.left_out} media are in no split")
    kinds = ", ".join(sorted({leak.kind for leak in made.checked.leaks}))
    say(
        f"NOT DISJOINT: {len(made.checked.leaks)} leaks ({kinds}); `ffpipe splits check {out}` names them"
        if kinds
        else f"disjoint by {', '.join(made.checked.looked_at) or 'file'}"
    )
    say(f"written to {out}")
    return 0


@commands.command()
@configured(SplitsConfig, hidden=("protocol", "ratios", "method", "links", "seed"))
def check(
    target: Annotated[
        str,
        typer.Argument(
            help="Split file, dataset of the workspace, or source tree.", metavar="FILE_OR_DATASET_OR_SOURCE"
        ),
    ],
    settings: SplitsConfig,
    of: Annotated[
        str | None,
        typer.Option(
            "--of",
            help="Source or dataset that a split file divides: what is known of it is checked too.",
            metavar="NAME",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json_output: JsonOption = False,
) -> int:
    """Name each group, person, clip and content that stands in more than one split; exit code 3 where there are any."""
    from ffpipe.pipeline import splits as job

    checked = job.check_splits(target, settings, Workspace.find(workspace), say, of)
    if json_output:
        typer.echo(json.dumps(checked.to_json()))
    else:
        _print_counts(checked)
        for leak in checked.leaks:
            typer.echo(f"leak: {leak}, such as {', '.join(leak.paths[:SHOWN_FILES])}")
    if not checked.looked_at:
        say(
            "nothing is known of groups, people or contents; --of SOURCE_OR_DATASET looks at the media themselves"
        )
    said = ", ".join(checked.looked_at) or "file"
    say(f"{len(checked.leaks)} leaks" if checked.leaks else f"no leak by {said}")
    return LEAKS if checked.leaks else 0


@commands.command()
def protocols() -> None:
    """List the protocols, and where each comes from."""
    from ffpipe.manifests.protocols import list_protocols

    for protocol in list_protocols():
        options = ", ".join(
            f"--{'splits' if name == 'official' else name}" for name in sorted(protocol.takes)
        )
        typer.echo(f"{protocol.name}{f' ({options})' if options else ''}")
        for line in protocol.text.splitlines():
            typer.echo(f"    {line}".rstrip())


def _print_counts(checked: Checked) -> None:
    for split, counts in checked.counts.items():
        typer.echo(f"{split}: {', '.join(f'{count} {name}' for name, count in counts.items())}")
