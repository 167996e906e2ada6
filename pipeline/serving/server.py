"""Starts the local page: checks everything first, listens on loopback, prints the address, and ends with Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

import uvicorn

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.run_lock import RunLock
from ffpipe.pipeline import log
from ffpipe.pipeline.config import ServeConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.serving import runner
from ffpipe.pipeline.serving.access import Access
from ffpipe.pipeline.serving.app import create_app
from ffpipe.pipeline.serving.batches import Batch, State, Store
from ffpipe.pipeline.serving.page import make_page
from ffpipe.pipeline.serving.queue import ScoringQueue
from ffpipe.pipeline.serving.uploads import Intake, UploadLimits
from ffpipe.pipeline.workspace import Workspace

#: Folder of the batches in a workspace.
FOLDER = "serve"
#: Seconds that requests under way have to end when the server does.
_LAST_SECONDS = 2
#: Connections at a time; a browser opens about six.
_CONNECTIONS = 64


def serve(config: ServeConfig, workspace: Workspace, say: Say, ready: Callable[[str], None]) -> None:
    """Serve the page until an interrupt, which is raised as KeyboardInterrupt; `ready` gets its address.

    Raises UsageError (no weights, another server at work in this workspace) and StorageError (the folder cannot be
    written to, the port is taken) before anything is served.
    """
    settings, model = runner.check(config.scoring(), workspace.root, say)
    store = Store(workspace.root / FOLDER)
    with _listen(config.host, config.port) as listener:
        store.prepare()
        with RunLock(store.root / "_lock"):
            store.load(say, config.keep)
            access = Access(config.host, listener.getsockname()[1])
            limits = UploadLimits(config.max_bytes, config.max_files, config.max_stored, config.min_free)
            page = make_page(model, limits, config.keep, display_path(store.root))
            queue = ScoringQueue(store, settings, workspace.root, say, config.keep)
            purge = partial(remove, store, workspace)
            app = create_app(store, Intake(store, limits), queue, purge, page, access)
            try:
                with queue:
                    ready(access.first_address)
                    _run(app, listener)
            finally:
                _leave(store, say)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a loopback address. Raises StorageError where the port is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StorageError(
            f"--port {port}: cannot listen on {host}: {error.strerror or error}; give another port, or 0 for a free one"
        ) from error
    return listener


def _run(app: object, listener: socket.socket) -> None:
    settings = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        access_log=False,  # it would print the token
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    uvicorn.Server(settings).run(sockets=[listener])


def remove(store: Store, workspace: Workspace, batch: Batch) -> None:
    """Delete everything of a batch: files, report, and the crops and tables of its scoring run. Raises FfpipeError."""
    runs = [path for path in (workspace.root / "scores").glob(f"{batch.id}-*") if path.is_dir()]
    for run in runs:
        workspace.purge(run.name)
    folder = store.folder(batch)
    store.remove(batch)
    log.note(workspace, "purge", {}, removed=[log.shown(path) for path in (*runs, folder)])


def _leave(store: Store, say: Say) -> None:
    """Delete what was never sent whole, and say what stays."""
    store.give_up_abandoned(after=0)
    waiting = [batch for batch in store.all() if batch.state.active]
    if waiting:
        say(
            f"{len(waiting)} batches wait for their scoring; the next `ffpipe serve` of this workspace does it"
        )
    kept = [batch for batch in store.all() if batch.kept and batch.state is not State.OPEN]
    if kept:
        say(f"uploaded files of {len(kept)} batches are still in {store.root}; the page removes them")
