"""Who may use the local page: whoever opened the address that the server printed, from the page itself.

Other users of the machine reach the port too, so that every request needs a secret: a token in the printed address
once, a cookie of that browser afterwards. Cookies of 127.0.0.1 go to every port of it, also to another user's server;
this one is bound to a path that nobody can guess. Other web pages are kept out by the headers that browsers set
themselves: Host (a name that was pointed at this machine), Origin and Sec-Fetch-Site (a form or script elsewhere).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie

Headers = Iterable[tuple[bytes, bytes]]

COOKIE = "ffpipe"
_SAFE_METHODS = ("GET", "HEAD")
_OPEN = "open/"
_WHERE = "open the address that `ffpipe serve` printed when it started"


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Access:
    """The secrets of one server, and what they open; all of them end with it.

    place is the first part of every path, token the one that the first visit brings, session the cookie's value.
    """

    host: str
    port: int
    place: str = field(default_factory=_secret, repr=False)
    token: str = field(default_factory=_secret, repr=False)
    session: str = field(default_factory=_secret, repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the Host header may say."""
        here = f"[{self.host}]" if ":" in self.host else self.host
        return f"{here}:{self.port}", f"localhost:{self.port}"

    @property
    def first_address(self) -> str:
        """The address that opens the page in a browser that has not been here."""
        return f"http://{self.hosts[0]}/{self.place}/{_OPEN}{self.token}"

    @property
    def cookie(self) -> str:
        """The Set-Cookie header of the first visit: gone with the browser, unseen by scripts and other sites."""
        return f"{COOKIE}={self.session}; Path=/{self.place}/; HttpOnly; SameSite=Strict"

    def refusal(self, method: str, path: str, headers: Headers) -> str | None:
        """Why a request is not answered, in one line; None where it may go on."""
        said = [(name.lower(), value) for name, value in headers]
        return self._foreign(method, said) or self._stranger(method, path, said)

    def opens(self, path: str) -> bool:
        """Whether this is the path of the first visit."""
        return _same(path, f"/{self.place}/{_OPEN}{self.token}")

    def inside(self, path: str) -> str:
        """The path behind the server's own place."""
        return path[len(self.place) + 1 :]

    def _foreign(self, method: str, headers: Headers) -> str | None:
        """Whether another page, or a name that is not this machine's, is behind a request."""
        host, origin, site = (_values(headers, name) for name in (b"host", b"origin", b"sec-fetch-site"))
        if len(host) != 1 or host[0] not in self.hosts:
            return f"this server answers to http://{self.hosts[0]} alone; {_WHERE}"
        if any(value not in ("same-origin", "none") for value in site):
            return f"another page asked for this, and none may; {_WHERE}"
        if any(value != f"http://{host[0]}" for value in origin) or len(origin) > 1:
            return f"another page asked for this, and none may; {_WHERE}"
        if method not in _SAFE_METHODS and not origin:
            return "a request that changes something must say its Origin, as browsers do"
        return None

    def _stranger(self, method: str, path: str, headers: Headers) -> str | None:
        """Whether a request lacks the secrets. Each of them is compared, so that time does not tell which one is."""
        placed = _same(path[: len(self.place) + 2], f"/{self.place}/")
        known = [_same(value, self.session) for value in _sessions(headers)]
        first = method in _SAFE_METHODS and self.opens(path)
        return None if first or (placed and any(known)) else f"this page is not open to you; {_WHERE}"


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for known, value in headers if known == name]


def _sessions(headers: Headers) -> list[str]:
    """The values of the cookie; a browser may send several of one name."""
    found = []
    for line in _values(headers, b"cookie"):
        for part in line.split(";"):
            try:
                found += [each.value for name, each in SimpleCookie(part.strip()).items() if name == COOKIE]
            except CookieError:
                continue
    return found


def _same(given: str, secret: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
