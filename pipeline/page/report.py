"""The page of a report table: what was found, every input with its verdict and reason, and who made it with what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from ffpipe.manifests.records import Status
from ffpipe.pipeline.output import VERDICT_WORDS
from ffpipe.pipeline.page import bars, texts
from ffpipe.pipeline.page.distribution import histogram
from ffpipe.pipeline.page.render import render
from ffpipe.pipeline.page.report_rows import gravity, page_row, status_words
from ffpipe.pipeline.page.summary import counted, noun, sentence
from ffpipe.stages.thresholds import Bars

_TEMPLATE = "report.html.jinja"
#: Rows that a page with its script shows before more is asked for.
FIRST_ROWS = 500
#: The element that holds the whole provenance as JSON.
_PROVENANCE_ID = "provenance"
#: Facts of the provenance that are shown one by one, with their headings.
_SHOWN = {
    "id": "Provenance", "ffpipe": "ffpipe", "commit": "Commit", "started": "Started (UTC)",
    "finished": "Finished (UTC)", "device": "Device", "arithmetic": "Arithmetic", "configuration_hash": "Settings",
}  # fmt: skip


def report_page(
    rows: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any], links: Mapping[str, str] | None = None
) -> str:
    """The page of report rows whose bytes are text already (`tables.text_rows`), the gravest first.

    `links` lead from a medium's id to its own page, relative to this one; without, the page stands alone.
    """
    thresholds = bars.thresholds_of(provenance)
    what, whole = noun(rows), bars.kind_of(provenance) == "whole"
    calibrated = bars.calibration_of(provenance) is not None
    return render(
        _TEMPLATE,
        styles=("report.css",),
        script="script.js",
        texts=texts,
        sentence=sentence(rows),
        total=counted(len(rows), what),
        verdicts=_verdicts(rows),
        statuses=_statuses(rows),
        failed=sum(Status(row["status"]).failed for row in rows),
        copies=len(rows) - len({row["media_id"] for row in rows}),
        chart=histogram(
            [row["score"] for row in rows if row["score"] is not None],
            thresholds.bars(1) if thresholds else Bars(None, None, False),
        ),
        explained=bars.explained(thresholds),
        prior=bars.prior_of(provenance),
        calibrated=calibrated or any(row["probability"] is not None for row in rows),
        about_score=texts.WHOLE_SCORE if whole else texts.SCORE,
        limits=texts.WHOLE_LIMITS if whole else texts.LIMITS,
        crops_accepted=any(row["crops_accepted"] for row in rows),
        first=FIRST_ROWS,
        rows=(page_row(row, links or {}, calibrated) for row in sorted(rows, key=gravity)),
        facts=_facts(provenance),
        provenance=json.dumps(provenance, indent=1, sort_keys=True, default=str),
    )


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, int, str]]:
    counts = Counter(row["verdict"] for row in rows)
    return [
        (verdict.value, mark, words, counts[verdict], texts.MEANINGS[verdict])
        for verdict, (mark, words, _) in VERDICT_WORDS.items()
    ]


def _statuses(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, bool, str]]:
    """Status, files, whether it counts as failed, and what it means; the failed first."""
    counts = Counter(row["status"] for row in rows)
    found = sorted((status for status in Status if counts[status]), key=lambda status: not status.failed)
    return [(status_words(s), counts[s], s.failed, texts.STATUSES[s]) for s in found]


def _facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Headings and values of what is shown of the provenance; it may be anyone's, so that nothing is sure of it."""
    facts = [(heading, str(provenance[key])) for key, heading in _SHOWN.items() if provenance.get(key)]
    model = provenance.get("model")
    if isinstance(model, Mapping):
        facts += [
            ("Model", str(model.get("detector", "-"))),
            ("Weights (SHA-256)", str(model.get("sha256", "-"))),
        ]
    facts.append(("Calibration", str(provenance.get("calibration") or texts.UNCALIBRATED)))
    command = provenance.get("command")
    if isinstance(command, list):
        facts.append(("Command", " ".join(map(str, command))))
    return facts


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
