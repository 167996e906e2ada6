"""Content credentials of report rows in words, and whether two of them say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: The column of the report.
COLUMN = "content_credentials"
#: What each state means, in words; "invalid" and "unreadable" are no sign of a manipulated face.
_WORDS = {
    "valid": "valid",
    "untrusted": "intact, from a signer whom no trust list vouches for",
    "invalid": "do not validate",
    "unreadable": "cannot be read",
}


def note(row: Mapping[str, Any]) -> str:
    """What a report row says of content credentials, in a few words; empty where there are none."""
    told = _parsed(row.get(COLUMN))
    words = (
        "do NOT fit the file: one of the two was changed"
        if changed(told)
        else _WORDS.get(str(told.get("state")))
    )
    if words is None:
        return ""
    claims = ", claim a trained model as a source" if told.get("claims_ai") else ""
    return f"content credentials {words}{claims}"


def changed(told: Mapping[str, Any]) -> bool:
    """Whether a file and its credentials, parsed, do not fit each other; a signer may also have run out, or be unknown.

    By the specification's codes: a hash or a signature that mismatches.
    """
    codes = told.get("failures")
    known = codes if isinstance(codes, list) else []
    return told.get("state") == "invalid" and any(str(code).endswith(".mismatch") for code in known)


def same(then: str | None, now: str | None) -> bool:
    """Whether two columns say the same; versions of the library aside, and where one was not looked at."""
    if then is None or now is None:
        return True
    told = [{**_parsed(text), "library": None} for text in (then, now)]
    return told[0] == told[1]


def _parsed(text: Any) -> dict[str, Any]:
    """The object in a column that anybody may have written; empty where there is none."""
    try:
        told = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
