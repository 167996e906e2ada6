"""Whether a page with pictures, drawings and a link back runs nothing, fetches nothing and leads nowhere else."""

from __future__ import annotations

import re
from xml.dom import minidom

from html_page import Element

_FORBIDDEN = (
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "form",
    "base",
    "use",
    "image",
    "foreignObject",
    "style",
)


def assert_sealed(page: Element, back: str | None = None) -> None:
    """The page holds its own pictures as JPEG data, links to nothing but `back`, and has its own style alone."""
    for element in page.everything():
        assert element.tag not in _FORBIDDEN or (
            element.tag == "style" and element is page.one("head").one("style")
        )
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"<{element.tag} {name}>"
            assert name not in ("style", "srcset", "action", "data", "background", "xlink:href", "formaction")
            if name == "href":
                assert element.tag == "a"
                assert value in (
                    back,
                    *(f"#{e.attributes['id']}" for e in page.everything() if "id" in e.attributes),
                )
            elif name == "src":
                assert element.tag == "img"
                assert re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/]+=*", value or "")
            elif "url(" in (value or ""):
                assert name == "fill"
                assert re.fullmatch(r"url\(#[a-z-]+\)", value or "")
            else:
                assert not re.search(r"javascript:|https?:|//", value or ""), f"{name}={value}"


def assert_wellformed(drawing: str) -> minidom.Document:
    """The drawing as XML, which a parser with no mercy reads."""
    return minidom.parseString(drawing)  # noqa: S318 - our own text
