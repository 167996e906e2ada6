"""Provenance as part of a text or a picture: a section of Markdown, comments of LaTeX, the text field of a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: The name of the field in a picture, as in Parquet's metadata.
FIELD = "ffpipe.provenance"
#: Marks that could end the block, or begin markup, where the text stands.
_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&`"}


def as_json(provenance: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON in ASCII, in which nothing is markup."""
    return json.dumps(provenance, indent=indent, default=str).translate(_ESCAPES)


def as_markdown(provenance: Mapping[str, Any]) -> str:
    """A section that ends a document."""
    return f"## Provenance\n\n```json\n{as_json(provenance, indent=1)}\n```\n"


def as_latex(provenance: Mapping[str, Any]) -> str:
    """Comment lines, one a fact."""
    return "".join(f"% {FIELD} {name}: {as_json(value)}\n" for name, value in provenance.items())
