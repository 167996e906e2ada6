"""What a reader of HTML that is not ours finds in a page: its elements, and the cells of its tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

#: Elements that have no end.
_VOID = {"meta", "link", "br", "img", "hr", "input", "base", "source", "embed", "area", "col", "track", "wbr"}


@dataclass
class Element:
    """A parsed element with its attributes, its own children and all the text below it."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of this kind below, in order."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        found = []
        for child in self.children:
            if child.tag == tag and wanted.items() <= child.attributes.items():
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag: str, **attributes: str) -> Element:
        """The only one of them."""
        (found,) = self.all(tag, **attributes)
        return found

    def everything(self) -> list[Element]:
        """Every element below."""
        return [element for child in self.children for element in (child, *child.everything())]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"<{self.open[-1].tag}> is ended by </{tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parse(page: str) -> Element:
    """The page as a tree. An element that is not ended in its place fails."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    assert len(builder.open) == 1, f"<{builder.open[-1].tag}> is never ended"
    return builder.open[0]


#: Where a link of a page may lead: within the page, and to the other pages of its folder.
_LINK = re.compile(r"#[a-z]+|videos/[0-9a-f]{32}\.html|\.\./index\.html")


def assert_inert(page: Element) -> None:
    """The page runs nothing but its own script, loads nothing, and leads nowhere but to pages of its folder."""
    assert all(script in page.one("head").children for script in page.all("script"))
    assert len(page.all("script")) <= 1
    for element in page.everything():
        assert element.tag not in (
            "iframe",
            "object",
            "embed",
            "link",
            "img",
            "form",
            "base",
            "foreignobject",
            "use",
        )
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"<{element.tag} {name}>"
            assert name not in ("src", "srcset", "style", "action", "data", "background"), element.tag
            assert name != "href" or (element.tag == "a" and _LINK.fullmatch(value or "")), f"{element.tag} {value}"
            assert not re.search(r"javascript:|https?:", value or ""), f"{name}={value}"
    assert "@import" not in page.one("style").text
    assert "url(" not in page.one("style").text
