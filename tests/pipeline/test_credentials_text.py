"""Content credentials in words, whatever stands in the column, and when two say the same."""

from __future__ import annotations

import io
import json
import re

import pytest
from names import report_row
from rich.console import Console

from ffpipe.manifests.records import row
from ffpipe.pipeline import output
from ffpipe.pipeline.credentials_text import note, same


def column(state: str, **facts: object) -> dict[str, str]:
    return {"content_credentials": json.dumps({"state": state, **facts})}


def test_each_state_has_words_and_absence_has_none() -> None:
    words = {
        state: note(column(state)) for state in ("valid", "untrusted", "invalid", "unreadable", "absent")
    }
    assert words.pop("absent") == ""
    assert len(set(words.values())) == 4
    assert all(text.startswith("content credentials ") for text in words.values())
    assert (
        note(column("valid", claims_ai=True))
        == "content credentials valid, claim a trained model as a source"
    )
    assert not re.search("authentic|genuine|real", " ".join(words.values()))


def test_only_a_mismatch_is_told_as_a_change() -> None:
    expired = note(column("invalid", failures=["signingCredential.expired", "signingCredential.untrusted"]))
    assert expired == "content credentials do not validate"
    for code in ("assertion.dataHash.mismatch", "claimSignature.mismatch"):
        assert "do NOT fit the file" in note(
            column("invalid", failures=["signingCredential.untrusted", code])
        )
    assert "NOT" not in note(column("invalid", failures="claimSignature.mismatch"))
    assert "NOT" not in note(column("valid", failures=["claimSignature.mismatch"]))


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"state": ["valid"]}', "[" * 100_000])
def test_what_is_no_state_has_no_words(text: str | None) -> None:
    assert note({"content_credentials": text}) == ""
    assert note({}) == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_the_console_notes_them_beside_the_reason(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=200, color_system=None)
    output.print_verdicts([row(report_row(**column("untrusted"))), row(report_row())], console)
    assert (
        stream.getvalue().count("content credentials intact, from a signer whom no trust list vouches for")
        == 1
    )


def test_the_same_but_for_the_library_s_version_is_the_same() -> None:
    told = [json.dumps({"state": "valid", "library": version}) for version in ("1", "2")]
    assert same(*told)
    assert same(None, told[0]) and same(told[0], None)
    assert not same(told[0], json.dumps({"state": "invalid", "library": "1"}))
