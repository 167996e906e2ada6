"""The requests that the local page makes, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from ffpipe.manifests.errors import FfpipeError
from ffpipe.pipeline.serving.access import Access
from ffpipe.pipeline.serving.batches import Batch, State, Store
from ffpipe.pipeline.serving.guard import Guard
from ffpipe.pipeline.serving.page import Page
from ffpipe.pipeline.serving.queue import ScoringQueue
from ffpipe.pipeline.serving.refusal import Refused, http_status
from ffpipe.pipeline.serving.reports import read_file, read_page
from ffpipe.pipeline.serving.runner import PAGES, files_of
from ffpipe.pipeline.serving.uploads import Intake

Purge = Callable[[Batch], None]


def create_app(
    store: Store, intake: Intake, queue: ScoringQueue, purge: Purge, page: Page, access: Access
) -> ASGIApp:
    """The application behind its guard. `purge` deletes everything of a batch."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(FfpipeError, _failed)
    app.add_exception_handler(HTTPException, _unknown)
    _add_pages(app, store, page)
    _add_batches(app, store, queue, purge)
    _add_uploads(app, store, intake)
    return Guard(app, access)


def _add_pages(app: FastAPI, store: Store, page: Page) -> None:
    @app.get("/")
    def home() -> Response:
        return Response(page.html, media_type="text/html", headers={"content-security-policy": page.policy})

    @app.get("/reports/{batch_id}/{asked:path}")
    def report(batch_id: str, asked: str) -> Response:
        content, policy = read_page(store.folder(_done(store, batch_id)) / PAGES, asked or "index.html")
        return Response(content, media_type="text/html", headers={"content-security-policy": policy})

    @app.get("/files/{batch_id}/{asked}")
    def download(batch_id: str, asked: str) -> Response:
        folder = store.folder(_done(store, batch_id))
        if asked not in files_of(folder):
            raise Refused(404, "there is no such file in this report")
        headers = {"content-disposition": f'attachment; filename="{asked}"'}
        return Response(read_file(folder, asked), media_type="application/octet-stream", headers=headers)


def _add_batches(app: FastAPI, store: Store, queue: ScoringQueue, purge: Purge) -> None:
    @app.get("/api/batches")
    def batches() -> dict[str, Any]:
        return {
            "batches": [_shown(batch, store, queue) for batch in store.all() if batch.state is not State.OPEN]
        }

    @app.post("/api/batches", status_code=201)
    def create() -> dict[str, Any]:
        return {"id": store.create().id}

    @app.post("/api/batches/{batch_id}/start")
    def start(batch_id: str) -> dict[str, Any]:
        batch = store.get(batch_id)
        queue.put(batch)
        return _shown(batch, store, queue)

    @app.post("/api/batches/{batch_id}/cancel")
    def cancel(batch_id: str) -> dict[str, Any]:
        batch = store.get(batch_id)
        queue.cancel(batch)
        return _shown(batch, store, queue)

    @app.delete("/api/batches/{batch_id}", status_code=204)
    def remove(batch_id: str) -> None:
        batch = store.get(batch_id)
        with queue.at_rest(batch):
            purge(batch)


def _add_uploads(app: FastAPI, store: Store, intake: Intake) -> None:
    @app.put("/api/batches/{batch_id}/files", status_code=201)
    async def upload(batch_id: str, request: Request) -> dict[str, Any]:
        taken = await intake.take(
            store.get(batch_id), _name(request), _length(request), aiter(request.stream())
        )
        return {"id": taken.id, "bytes": taken.bytes}


def _name(request: Request) -> str:
    """The file's name as its owner has it; what is no UTF-8 in it is kept."""
    for part in request.scope["query_string"].decode("latin-1").split("&"):
        key, _, value = part.partition("=")
        if key == "name":
            return unquote(value, errors="surrogateescape")
    return ""


def _length(request: Request) -> int | None:
    given = request.headers.get("content-length", "")
    return int(given) if given.isascii() and given.isdigit() else None


def _done(store: Store, batch_id: str) -> Batch:
    batch = store.get(batch_id)
    if batch.state is not State.DONE:
        raise Refused(404, f"this batch has no report: it is {batch.state}")
    return batch


def _shown(batch: Batch, store: Store, queue: ScoringQueue) -> dict[str, Any]:
    files = files_of(store.folder(batch)) if batch.state is State.DONE else []
    return {**store.shown(batch), "ahead": queue.ahead_of(batch), "files": files}


def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, FfpipeError)
    # The rest of a body is read past, so that its sender hears why; but nobody waits for one who fell silent.
    headers = {"connection": "close"} if isinstance(error, Refused) and error.status == 408 else None
    return JSONResponse({"error": error.message}, http_status(error), headers)


def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"no such request: {error.detail}"}, error.status_code, error.headers)
