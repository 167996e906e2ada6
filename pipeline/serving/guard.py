"""Stands before every answer of the local page: refuses who may not ask, and sets the headers that browsers obey."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ffpipe.pipeline.serving.access import Access

#: Nothing may be loaded, run, sent or framed; pages bring a policy of their own.
CLOSED_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    b"content-security-policy": CLOSED_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=(), display-capture=()",
}


class Guard:
    """Wraps the application, whose paths begin behind the server's secret place."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; nothing of a body is read before it is known who asks."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        closed = _sender(send)
        method, path = scope["method"], scope["path"]
        if reason := self._access.refusal(method, path, scope["headers"]):
            await _answer(
                closed, 403, [(b"content-type", b"application/json")], json.dumps({"error": reason})
            )
        elif self._access.opens(path):
            home = f"/{self._access.place}/".encode()
            await _answer(closed, 303, [(b"location", home), (b"set-cookie", self._access.cookie.encode())])
        else:
            inside = self._access.inside(path)
            await self._app(
                {**scope, "path": inside, "raw_path": inside.encode("utf-8", "surrogateescape")},
                receive,
                closed,
            )


def _sender(send: Send) -> Send:
    """The same, with the headers that every answer has and this one does not set itself."""

    async def closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            named = {name.lower() for name, _ in own}
            message = {
                **message,
                "headers": own + [item for item in _HEADERS.items() if item[0] not in named],
            }
        await send(message)

    return closed


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: str = "") -> None:
    length = (b"content-length", str(len(body.encode())).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body.encode()})
