"""The first sentence of a run's page: what was found, in words that cannot be taken for more than they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ffpipe.manifests.records import Status, Verdict

_ONE: dict[Verdict, str] = {
    Verdict.LIKELY_MANIPULATED: "This {} is likely manipulated.",
    Verdict.INCONCLUSIVE: "The verdict on this {} is inconclusive.",
    Verdict.NOT_ASSESSABLE: "This {} could not be assessed.",
    Verdict.NO_MANIPULATION_FOUND: "No manipulation was found in this {}.",
}


def noun(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the inputs are called: videos where all that could be read has a duration, else files."""
    read = [row for row in rows if not Status(row["status"]).failed and row["status"] != Status.SKIPPED]
    return "video" if read and all(row["duration"] for row in read) else "file"


def counted(count: int, what: str) -> str:
    """`1 file`, `3 files`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was found: `12 of 40 videos are likely manipulated; 5 are inconclusive; 3 could not be assessed.`"""
    what = noun(rows)
    if not rows:
        return "There was nothing to assess."
    if len(rows) == 1:
        return _ONE[Verdict(rows[0]["verdict"])].format(what)
    counts = Counter(Verdict(row["verdict"]) for row in rows)
    return f"{_found(counts, len(rows), what)}{''.join(_open(counts))}."


def _found(counts: Mapping[Verdict, int], total: int, what: str) -> str:
    likely = counts[Verdict.LIKELY_MANIPULATED]
    if likely == total:
        return f"All {counted(total, what)} are likely manipulated"
    if likely:
        return f"{likely:,} of {counted(total, what)} {'is' if likely == 1 else 'are'} likely manipulated"
    return f"None of {counted(total, what)} is called likely manipulated"


def _open(counts: Mapping[Verdict, int]) -> list[str]:
    """What stays open, each with the semicolon before it."""
    unsure, lost = counts[Verdict.INCONCLUSIVE], counts[Verdict.NOT_ASSESSABLE]
    told = []
    if unsure:
        told.append(f"; {unsure:,} {'is' if unsure == 1 else 'are'} inconclusive")
    if lost:
        told.append(f"; {lost:,} could not be assessed")
    return told
