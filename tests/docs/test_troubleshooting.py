"""Every message that the page of fixes quotes is one that the sources can print."""

from __future__ import annotations

import re

import pytest
from doc_pages import DOCS, ROOT, headings

ROOMS = ("manifests", "models", "stages", "pipeline")
#: Shorter pieces of text between two `…` could stand anywhere.
LEAST = 8
MESSAGES = [
    message
    for heading in headings(DOCS / "troubleshooting.md")
    for message in re.findall(r"`([^`]+)`", heading)
]


@pytest.fixture(scope="module")
def printed() -> str:
    """All sources, with texts that go on in a next line put together."""
    sources = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return "\n".join(re.sub(r'"\s+f?"', "", path.read_text(encoding="utf-8")) for path in sources)


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 30 and len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_exists(message: str, printed: str) -> None:
    pieces = [piece.strip(" ;:,()") for piece in message.split("…")]
    assert any(len(piece) >= LEAST for piece in pieces), "nothing in it to look for"
    for piece in pieces:
        if len(piece) >= LEAST:
            assert piece in printed
