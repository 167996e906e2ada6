from __future__ import annotations

import asyncio

import httpx
import pytest
from local_page import ORIGIN, Site, make_site

from ffpipe.pipeline.serving.guard import CLOSED_POLICY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("home"))


def ask(site: Site, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app)) as client:
            return await client.request(method, url, headers=headers)

    return asyncio.run(asked())


def assert_closed(answer: httpx.Response) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_first_visit_leaves_a_cookie_and_leads_to_the_page(site: Site) -> None:
    first = ask(site, site.access.first_address)
    assert (first.status_code, first.headers["location"]) == (303, f"/{site.access.place}/")
    assert first.headers["set-cookie"] == site.access.cookie
    assert_closed(first)
    page = ask(site, f"{ORIGIN}{first.headers['location']}", cookie=first.headers["set-cookie"].split(";")[0])
    assert page.status_code == 200
    assert "Drop videos" in page.text
    assert_closed(page)


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("", "GET", {"cookie": "ffpipe=wrong"}),
        ("", "GET", {"sec-fetch-site": "cross-site"}),
        ("api/batches", "GET", {"host": "evil.example:5173"}),
        ("api/batches", "POST", {"origin": "http://evil.example"}),
        ("api/batches", "POST", {"origin": "null"}),
        (
            "api/batches",
            "OPTIONS",
            {"origin": "http://evil.example", "access-control-request-method": "POST"},
        ),
    ],
)
def test_a_refusal_is_one_line_and_as_closed_as_the_rest(
    site: Site, path: str, method: str, headers: dict[str, str]
) -> None:
    answer = site.ask(method, path, headers=headers)
    assert answer.status_code == 403
    assert "\n" not in answer.json()["error"]
    assert "set-cookie" not in answer.headers
    assert_closed(answer)
    assert site.store.all() == []


def test_wrong_place_and_wrong_cookie_are_told_alike(site: Site) -> None:
    answers = [
        ask(site, f"{ORIGIN}{path}", cookie="ffpipe=x")
        for path in ("/", "/api/batches", f"/{site.access.place}/")
    ]
    assert {(a.status_code, a.text) for a in answers} == {(403, answers[0].text)}


def test_errors_of_the_application_are_closed_too(site: Site) -> None:
    for path, status in (
        ("nothing", 404),
        ("api/batches/x/start", 405),
        ("docs", 404),
        ("openapi.json", 404),
    ):
        answer = site.ask("GET", path)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert answer.headers["content-security-policy"] == CLOSED_POLICY
        assert_closed(answer)


def test_nothing_is_read_of_a_body_before_it_is_known_who_sends_it(site: Site) -> None:
    said = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    async def send(message: dict[str, object]) -> None:
        said.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/x", "headers": [(b"host", ORIGIN[7:].encode())]}
    asyncio.run(site.app(scope, receive, send))
    assert said[0]["status"] == 403


def test_other_protocols_are_not_answered(site: Site) -> None:
    async def never(*_: object) -> dict[str, object]:
        raise AssertionError("it was answered")

    asyncio.run(site.app({"type": "websocket", "path": "/", "headers": []}, never, never))
