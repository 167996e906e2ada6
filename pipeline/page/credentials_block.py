"""A report row's content credentials as facts for people: what was sealed into the file, apart from the verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ffpipe.manifests.inputs import display_path
from ffpipe.pipeline.credentials_text import changed
from ffpipe.pipeline.page.video_texts import CREDENTIALS_STATES

#: Characters of a fact that are shown: the file's maker chose them.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class CredentialsBlock:
    """Their state in a sentence, and every other fact with its name, inert."""

    state: str
    facts: tuple[tuple[str, str], ...]


def credentials_block(stored: str | None) -> CredentialsBlock | None:
    """What the column holds; None where nothing was looked for. Whatever is in it becomes text."""
    if stored is None:
        return None
    try:
        told = json.loads(stored)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return CredentialsBlock("What is on record of them cannot be read.", ())
    name = "changed" if changed(told) else str(told.get("state", ""))
    told.pop("state", None)
    state = CREDENTIALS_STATES.get(name, "Their state is not on record.")
    return CredentialsBlock(
        state, tuple((_words(name), _text(value)) for name, value in sorted(told.items()))
    )


def _words(name: str) -> str:
    return display_path(name.replace("_", " "))[:_LONGEST]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)[:_LONGEST]
    return display_path(value if isinstance(value, str) else json.dumps(value))[:_LONGEST]
