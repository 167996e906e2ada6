"""The pages of docs/: their blocks, each with what it is for, and the links and headings in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
#: Languages of blocks that are run; of all others only the texts named here may be blocks.
RUN = ("console", "python")
SHOWN = ("text", "toml", "ini", "yaml")
#: What the HTML comment before a block may say of it, each with a text behind a colon.
MARKS = ("slow", "elsewhere", "file")

_BLOCK = re.compile(r"(?ms)^(?:<!-- (\w+): ([^\n]*?) -->\n)?```(\w*)\n(.*?)^```$")


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is one of MARKS or None, `note` its text.

    slow: run with the slow tests, with the reason. elsewhere: the test that runs this very thing. file: the block
    is a file's content, written where the note says.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str | None
    note: str

    @property
    def runs(self) -> bool:
        return self.language in RUN and self.mark not in ("elsewhere", "file")


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        mark, note, language, content = match.groups()
        line = text.count("\n", 0, match.start(4)) + 1
        found.append(Block(page.name, line, language, content, mark, note or ""))
    return found


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[str]:
    """The headings of a page, without their marks of level."""
    return re.findall(r"(?m)^#+ (.*)$", prose(page))


def anchor(heading: str) -> str:
    """The anchor that code hosts give a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def tables(page: Path, heading: str) -> list[list[str]]:
    """Rows of the tables below a heading, without the head; a cell's text as it stands."""
    part = re.split(rf"(?m)^#+ {re.escape(heading)}$", prose(page))[1]
    part = re.split(r"(?m)^#+ ", part)[0]
    rows = [
        re.split(r" ?(?<!\\)\| ?", line.strip())[1:-1] for line in part.splitlines() if line.startswith("|")
    ]
    return [row for row in rows[2:] if not set("".join(row)) <= set("-: ")]
