"""Fills a page's template: every value is escaped, and the content policy allows the page's own style alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent


def render(
    template: str, *, styles: Sequence[str] = ("style.css",), pictures: bool = False, **values: Any
) -> str:
    """The page that a template of this folder makes of these values, with the style and the policy that allows it."""
    style = "".join((_FOLDER / name).read_text(encoding="utf-8") for name in styles)
    page = _environment().get_template(template)
    # The style is a file of ours, and the browser hashes it as it stands there.
    return page.render(style=Markup(style), policy=content_policy(style, pictures), **values)  # noqa: S704


def content_policy(style: str, pictures: bool = False) -> str:
    """Nothing may be loaded, run, sent or used as a base; of styles only the one with this very text.

    With `pictures`, those that stand in the page itself may be shown.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shown = "img-src data:; " if pictures else ""
    return f"default-src 'none'; {shown}style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
