"""The local page in a test: its application without a socket, asked as a browser that was there before would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.serving.access import COOKIE, Access
from ffpipe.pipeline.serving.app import create_app
from ffpipe.pipeline.serving.batches import Batch, State, Store
from ffpipe.pipeline.serving.page import make_page
from ffpipe.pipeline.serving.queue import ScoringQueue
from ffpipe.pipeline.serving.server import remove
from ffpipe.pipeline.serving.uploads import Intake, UploadLimits
from ffpipe.pipeline.workspace import Workspace

LIMITS = UploadLimits(file_bytes=1000, batch_files=5, stored_bytes=4000, free_bytes=0)
PORT = 5173
ORIGIN = f"http://127.0.0.1:{PORT}"


@dataclass
class Site:
    """An application, and what stands behind it. The queue is not at work unless it is entered."""

    workspace: Workspace
    store: Store
    intake: Intake
    queue: ScoringQueue
    access: Access
    app: Any

    def url(self, path: str) -> str:
        return f"{ORIGIN}/{self.access.place}/{path}"

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request of the page itself."""
        return asyncio.run(self.asked(method, path, **more))

    async def asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"origin": ORIGIN, "cookie": f"{COOKIE}={self.access.session}", **more.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
            return await client.request(method, self.url(path), headers=headers, **more)

    def raw(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path that no client puts in order first, behind the secret place."""
        said: list[Any] = []
        inside = f"/{self.access.place}/{unquote(path, errors='surrogateescape')}"
        headers = {"host": ORIGIN[7:], "cookie": f"{COOKIE}={self.access.session}"}
        scope = {
            "type": "http", "method": "GET", "path": inside, "raw_path": b"", "query_string": b"", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        asyncio.run(self.app(scope, receive, send))
        return said[0]["status"], b"".join(message.get("body", b"") for message in said[1:])

    def begin(self) -> Batch:
        """A batch that takes files."""
        return self.store.get(self.ask("POST", "api/batches").json()["id"])

    def send(self, batch: Batch, content: bytes, name: str = "a.mp4") -> httpx.Response:
        return self.ask("PUT", f"api/batches/{batch.id}/files", content=content, params={"name": name})

    def finished(self, pages: dict[str, str]) -> Batch:
        """A batch whose report has these pages."""
        batch = self.begin()
        folder = self.store.folder(batch)
        (folder / "pages" / "videos").mkdir(parents=True)
        for name, text in pages.items():
            (folder / "pages" / name).write_text(text)
        (folder / "report.csv").write_text("path\n")
        with self.store.changing(batch):
            batch.state = State.DONE
        return batch


def make_site(home: Path, limits: UploadLimits = LIMITS, **queue: Any) -> Site:
    workspace = Workspace(home)
    store = Store(home / "serve")
    store.prepare()
    store.load(print)
    intake = Intake(store, limits)
    scoring = ScoringQueue(store, ScoreConfig(), home, print, **queue)
    access = Access("127.0.0.1", PORT)
    page = make_page("a model", limits, False, "a folder")
    app = create_app(store, intake, scoring, partial(remove, store, workspace), page, access)
    return Site(workspace, store, intake, scoring, access, app)


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
