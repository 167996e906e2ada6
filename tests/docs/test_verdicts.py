"""The page of verdicts describes every member of the closed sets, in the words of the report page, and every code."""

from __future__ import annotations

import re
from collections import Counter

from doc_pages import DOCS, prose, tables

from ffpipe.manifests import errors
from ffpipe.manifests.errors import FfpipeError
from ffpipe.manifests.records import Concern, Status, Verdict
from ffpipe.pipeline import interrupts, plan
from ffpipe.pipeline.output import VERDICT_WORDS
from ffpipe.pipeline.page import texts

PAGE = DOCS / "verdicts.md"


def told_of(verdict: Verdict) -> str:
    part = re.split(rf"(?m)^### `{verdict.value}`$", prose(PAGE))[1]
    return " ".join(re.split(r"(?m)^##", part)[0].split())


def names(heading: str) -> list[str]:
    return [row[0].strip("`") for row in tables(PAGE, heading)]


def test_every_verdict_has_its_mark_its_words_and_its_meaning_of_the_page() -> None:
    assert re.findall(r"(?m)^### `(\w+)`$", prose(PAGE)) == [verdict.value for verdict in Verdict]
    for verdict in Verdict:
        mark, words, _ = VERDICT_WORDS[verdict]
        assert told_of(verdict).startswith(f"`{mark}` {words}. {texts.MEANINGS[verdict]}")
        assert "- It means:" in told_of(verdict) and "- It does not mean" in told_of(verdict)


def test_every_status_is_told_and_whether_it_counts_as_failed() -> None:
    rows = tables(PAGE, "Statuses")
    told = {row[0].strip("`"): row[1] for row in rows}
    assert told == {status.value: "yes" if status.failed else "no" for status in Status}
    assert all(len(row) == 4 and all(row) for row in rows)


def test_every_concern_is_told() -> None:
    assert names("Concerns") == [concern.value for concern in Concern]


def test_exit_codes_are_those_of_the_program() -> None:
    def classes(base: type[FfpipeError]) -> list[type[FfpipeError]]:
        return [base, *(inner for kind in base.__subclasses__() for inner in classes(kind))]

    own = {kind.exit_code for kind in classes(FfpipeError) if kind.__module__ == errors.__name__}
    counted = {plan.exit_code(Counter(given)) for given in (["ok"], ["ok", "crashed"], ["crashed"])}
    assert {int(code) for code in names("Exit codes")} == own | counted | {interrupts.INTERRUPTED}


def test_no_page_calls_a_video_authentic_or_genuine_itself() -> None:
    """Where the words stand, they stand in a denial."""
    for page in sorted(DOCS.glob("*.md")):
        for sentence in re.split(r"(?<=[.!?])\s", prose(page)):
            if re.search(r"authentic\b|genuine", sentence):
                assert re.search(r"\bnever\b|\bno\b|\bnot\b", sentence), (page.name, sentence)
