"""Finds a file of a finished batch by what a request calls it: inside its folder, no link, and with its policy."""

from __future__ import annotations

import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

from ffpipe.pipeline.serving.refusal import Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_MISSING = "there is no such file in this report"


def read_page(folder: Path, asked: str) -> tuple[bytes, str]:
    """A page and the content policy that it carries. Raises Refused."""
    page = read_file(folder, asked)
    if not asked.endswith(".html"):
        raise Refused(404, _MISSING)
    finder = _PolicyFinder()
    finder.feed(page.decode("utf-8", "replace"))
    if finder.policy is None or not finder.policy.isprintable() or not finder.policy.isascii():
        raise Refused(500, "this page carries no content policy and is not shown; open it from the disk")
    # What a page cannot say of itself: that no other page may frame it.
    return page, f"{finder.policy}; frame-ancestors 'none'"


def read_file(folder: Path, asked: str) -> bytes:
    """A regular file below a folder. Raises Refused for anything else, also for what leads out of it."""
    parts = asked.split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        raise Refused(404, _MISSING)
    try:
        return _read(folder, parts)
    except OSError:
        raise Refused(404, _MISSING) from None


def _read(folder: Path, parts: list[str]) -> bytes:
    """Opened part by part without following a link, so that none can lead out. Raises OSError."""
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(parts[-1], flags, dir_fd=here), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(_MISSING)
            return file.read()
    finally:
        os.close(here)


class _PolicyFinder(HTMLParser):
    """Finds the content policy in a page's head."""

    def __init__(self) -> None:
        super().__init__()
        self.policy: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "meta" and (facts.get("http-equiv") or "").lower() == "content-security-policy":
            self.policy = self.policy or facts.get("content")
