"""Fills a page's template: every value is escaped, and the content policy allows the page's own style alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of these values, with the style and the policy that allows it."""
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    page = _environment().get_template(template)
    # The style is a file of ours, and the browser hashes it as it stands there.
    return page.render(style=Markup(style), policy=content_policy(style), **values)  # noqa: S704


def content_policy(style: str) -> str:
    """Nothing may be loaded, run, sent or used as a base; of styles only the one with this very text."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
