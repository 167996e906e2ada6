from __future__ import annotations

import pytest

from ffpipe.pipeline.serving.access import COOKIE, Access

PORT = 5173
HOST = f"127.0.0.1:{PORT}"
ACCESS = Access("127.0.0.1", PORT)
HOME = f"/{ACCESS.place}/"
OPEN = f"{HOME}open/{ACCESS.token}"
COOKIES = f"other=1; {COOKIE}={ACCESS.session}"


def refusal(
    method: str = "GET",
    path: str = HOME,
    host: str | None = HOST,
    cookie: str | None = COOKIES,
    origin: str | None = None,
    site: str | None = None,
    access: Access = ACCESS,
) -> str | None:
    given = {"host": host, "cookie": cookie, "origin": origin, "sec-fetch-site": site}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value is not None]
    return access.refusal(method, path, headers)


def test_the_page_itself_may_read_and_change() -> None:
    assert refusal() is None
    assert refusal(site="none") is None
    assert refusal(site="same-origin", path=f"{HOME}api/batches") is None
    assert refusal("POST", f"{HOME}api/batches", origin=f"http://{HOST}", site="same-origin") is None
    here = f"localhost:{PORT}"
    assert refusal("DELETE", host=here, origin=f"http://{here}") is None


def test_the_printed_address_opens_it_without_a_cookie() -> None:
    assert ACCESS.first_address == f"http://{HOST}{OPEN}"
    assert refusal(path=OPEN, cookie=None, site="none") is None
    assert ACCESS.opens(OPEN)
    assert not ACCESS.opens(f"{OPEN}x")


@pytest.mark.parametrize(
    "host",
    [
        None, "", "127.0.0.1", "127.0.0.1:80", "evil.example", f"evil.example:{PORT}", f"127.0.0.1.evil.example:{PORT}",
        f"127.0.0.2:{PORT}", f"[::1]:{PORT}", f"0.0.0.0:{PORT}", f"{HOST}.", f"x@{HOST}", f"LOCALHOST:{PORT}x",
    ],
)  # fmt: skip
def test_a_name_that_was_pointed_at_this_machine_is_refused(host: str | None) -> None:
    assert "answers to" in str(refusal(host=host))
    assert "answers to" in str(refusal(path=OPEN, host=host))


def test_two_host_headers_are_refused() -> None:
    headers = [(b"host", HOST.encode()), (b"Host", b"evil.example"), (b"cookie", COOKIES.encode())]
    assert "answers to" in str(ACCESS.refusal("GET", HOME, headers))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        f"https://{HOST}",
        "http://127.0.0.1",
        "http://127.0.0.1:80",
        f"http://{HOST}/",
    ],
)
def test_another_origin_is_refused(method: str, origin: str) -> None:
    assert "another page" in str(refusal(method, origin=origin))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin"])
def test_what_another_page_fetches_is_refused_even_with_the_cookie(site: str) -> None:
    assert "another page" in str(refusal(site=site))
    assert "another page" in str(refusal(path=OPEN, site=site))
    assert "another page" in str(refusal("POST", origin=f"http://{HOST}", site=site))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_change_must_say_its_origin(method: str) -> None:
    assert "Origin" in str(refusal(method))


@pytest.mark.parametrize(
    "cookie",
    [
        None, "", COOKIE, f"{COOKIE}=", f"{COOKIE}=wrong", f"{COOKIE}={ACCESS.session}x",
        f"{COOKIE}={ACCESS.session[:-1]}",
        f"{COOKIE}={ACCESS.token}", f"{COOKIE}={ACCESS.place}", f"x{COOKIE}={ACCESS.session}",
        f"{COOKIE}=\xe9\xff", "=;=;;",
    ],
)  # fmt: skip
def test_without_the_cookie_nothing_is_open(cookie: str | None) -> None:
    for path in (HOME, f"{HOME}api/batches", f"{HOME}reports/x/index.html", "/", "/api/batches"):
        assert "not open to you" in str(refusal(path=path, cookie=cookie))


@pytest.mark.parametrize(
    "path",
    ["", "/", "//", "/api/batches", f"/{ACCESS.place}", f"/{ACCESS.place}x/", f"//{ACCESS.place}/", f"/{ACCESS.token}/",
     f"/{ACCESS.place[:-1]}/", "/\udce9/"],
)  # fmt: skip
def test_the_cookie_alone_opens_nothing_outside_the_secret_place(path: str) -> None:
    assert "not open to you" in str(refusal(path=path))


@pytest.mark.parametrize(
    "path", [f"{OPEN}x", OPEN[:-1], f"{HOME}open/", f"{HOME}open/{ACCESS.session}", f"/x/open/{ACCESS.token}"]
)
def test_a_wrong_token_opens_nothing(path: str) -> None:
    assert "not open to you" in str(refusal(path=path, cookie=None))


def test_a_first_visit_changes_nothing() -> None:
    assert "not open to you" in str(refusal("POST", OPEN, cookie=None, origin=f"http://{HOST}"))


def test_one_of_several_cookies_of_that_name_is_enough() -> None:
    assert refusal(cookie=f"{COOKIE}=old; {COOKIE}={ACCESS.session}") is None


def test_every_server_has_secrets_of_its_own_that_are_not_printed_by_accident() -> None:
    other = Access("127.0.0.1", PORT)
    secrets = {*(ACCESS.place, ACCESS.token, ACCESS.session), *(other.place, other.token, other.session)}
    assert len(secrets) == 6
    assert all(len(secret) >= 43 for secret in secrets)
    assert not any(secret in repr(ACCESS) for secret in secrets)
    assert "not open to you" in str(refusal(access=other))


def test_the_cookie_is_for_this_place_alone_and_no_script() -> None:
    assert ACCESS.cookie == f"{COOKIE}={ACCESS.session}; Path={HOME}; HttpOnly; SameSite=Strict"


def test_the_other_loopback_address_is_named_as_browsers_name_it() -> None:
    access = Access("::1", PORT)
    assert access.first_address.startswith(f"http://[::1]:{PORT}/")
    headers = [(b"host", f"[::1]:{PORT}".encode()), (b"cookie", f"{COOKIE}={access.session}".encode())]
    assert access.refusal("GET", f"/{access.place}/", headers) is None
