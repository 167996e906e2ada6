"""Fills a page's template: every value is escaped, and the content policy allows the page's own parts alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent
#: What all pages look like; a page's own rules come behind it, in the same element.
BASE_STYLE = "style.css"
#: What marks a page as ffpipe's own, in its head.
GENERATOR = '<meta name="generator" content="ffpipe">'


def render(
    template: str,
    *,
    styles: Sequence[str] = (),
    script: str | None = None,
    pictures: bool = False,
    **values: Any,
) -> str:
    """The page that a template of this folder makes of these values.

    `styles` are files of this folder behind the base style, and `script` is one too. They stand in the page, which
    places them as `style` and `script` (empty where there is none); `policy` allows these two and nothing else, but
    for the `pictures` that the page itself holds.
    """
    style = "".join(_own(name) for name in (BASE_STYLE, *styles))
    code = _own(script) if script else ""
    page = _environment().get_template(template)
    # Style and script are files of ours, and the browser hashes them as they stand there.
    return page.render(
        style=Markup(style),  # noqa: S704
        script=Markup(code),  # noqa: S704
        policy=content_policy(style, code, pictures),
        generator=Markup(GENERATOR),  # noqa: S704
        **values,
    )


def content_policy(style: str, script: str = "", pictures: bool = False) -> str:
    """Nothing may be loaded, sent or used as a base; of styles and scripts only those with this very text run.

    With `pictures`, those that stand in the page itself are shown.
    """
    scripts = f"script-src '{_digest(script)}'; " if script else ""
    images = "img-src data:; " if pictures else ""
    return f"default-src 'none'; style-src '{_digest(style)}'; {scripts}{images}base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _own(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
