"""The page of a report table: counts on top, a row for each input, and who made it with what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status, Verdict
from ffpipe.pipeline.output import VERDICT_WORDS, score_text, size_text, summary_line
from ffpipe.pipeline.page import texts
from ffpipe.pipeline.page.render import render

_TEMPLATE = "report.html.jinja"
#: The element that holds the whole provenance as JSON.
_PROVENANCE_ID = "provenance"
#: Facts of the provenance that are shown one by one, with their headings.
_SHOWN = {
    "id": "Provenance", "ffpipe": "ffpipe", "commit": "Commit", "started": "Started (UTC)", "device": "Device",
    "arithmetic": "Arithmetic",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PageRow:
    """A report row in words. `kind` is the verdict's name, for the style; `counts` are frames, faces and tracks."""

    name: str
    path_bytes: str
    sha256: str
    size: str
    kind: str
    mark: str
    verdict: str
    status: str
    score: str
    reason: str
    counts: tuple[int, int, int]
    worst: str


def report_page(rows: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]) -> str:
    """The page of report rows whose bytes are text already (`tables.text_rows`)."""
    verdicts = Counter(row["verdict"] for row in rows)
    statuses = Counter(row["status"] for row in rows)
    return render(
        _TEMPLATE,
        texts=texts,
        summary=summary_line(rows),
        verdicts=[
            (verdict.value, *VERDICT_WORDS[verdict][:2], verdicts[verdict], texts.MEANINGS[verdict])
            for verdict in VERDICT_WORDS
        ],
        statuses=[(_words(status), statuses[status], status.failed) for status in Status if statuses[status]],
        rows=[page_row(row) for row in rows],
        facts=[(heading, provenance[key]) for key, heading in _SHOWN.items() if provenance.get(key)],
        command=" ".join(provenance.get("command", ())),
        model=dict(provenance.get("model") or {}),
        provenance=json.dumps(provenance, indent=1, sort_keys=True, default=str),
    )


def page_row(row: Mapping[str, Any]) -> PageRow:
    """One report row in words."""
    verdict = Verdict(row["verdict"])
    mark, words, _ = VERDICT_WORDS[verdict]
    return PageRow(
        name=display_path(row["path"]),
        path_bytes=row["path_bytes"],
        sha256=row["sha256"] or "-",
        size=size_text(row["bytes"]) if row["bytes"] is not None else "-",
        kind=verdict.value,
        mark=mark,
        verdict=words,
        status=_words(Status(row["status"])),
        score=score_text(row["score"]),
        reason=display_path(row["reason"] or ""),
        counts=(row["n_frames"], row["n_faces"], row["n_tracks"]),
        worst=_worst(row),
    )


def _words(status: Status) -> str:
    return status.value.replace("_", " ")


def _worst(row: Mapping[str, Any]) -> str:
    begin, end = row["worst_window_start_seconds"], row["worst_window_end_seconds"]
    if row["worst_track"] is None or begin is None or end is None:
        return "-"
    return (
        f"track {row['worst_track']}, {begin:.2f} s to {end:.2f} s: {score_text(row['worst_window_score'])}"
    )


class _ProvenanceReader(HTMLParser):
    """Gathers the text of the element that holds the provenance."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = dict(attrs).get("id") == _PROVENANCE_ID

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data


def provenance_in(page: str) -> dict[str, Any]:
    """The provenance that a page carries. Raises ValueError where there is none."""
    reader = _ProvenanceReader()
    reader.feed(page)
    reader.close()
    return dict(json.loads(reader.text))
