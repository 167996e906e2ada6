"""The command that opens a page on this machine: serve."""

from __future__ import annotations

import typer

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.cli.common import WorkspaceOption, app, say
from ffpipe.pipeline.cli.options import configured
from ffpipe.pipeline.config import ServeConfig
from ffpipe.pipeline.workspace import Workspace

#: Settings of the score job that have no meaning for batches of uploads.
_HIDDEN = ("limit", "rehash", "retry_failed")


@app.command()
@configured(ServeConfig, hidden=_HIDDEN)
def serve(settings: ServeConfig, workspace: WorkspaceOption = None) -> int:
    """Open a page on this machine: drop videos into the browser, and get the same report as `ffpipe score`.

    Listens on 127.0.0.1 alone and prints an address with a secret in it, for you alone. One batch is scored at a time.
    Uploads are deleted after scoring (`--keep` keeps them); Ctrl-C ends it, and the next start goes on.
    """
    try:
        from ffpipe.pipeline.serving import server
    except ModuleNotFoundError as error:
        raise UsageError(f"the page needs {error.name}: pip install 'ffpipe[serve]'") from None

    server.serve(settings, Workspace.find(workspace), say, _ready)
    return 0


def _ready(address: str) -> None:
    say("open this address in your browser; keep it to yourself; Ctrl-C ends the server")
    typer.echo(address)
