"""What is printed: lines, progress and the table of verdicts; all of it for people, on stderr.

A terminal gets colour (unless NO_COLOR is set) and a moving bar; a pipe or file gets plain lines. Every verdict has
a mark of its own, so that nothing rests on colour. Text from files is never read as markup, and control
characters in it are shown as escapes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status, Verdict
from ffpipe.pipeline import credentials_text

#: Mark, words and colour of each verdict, the gravest first; never green, because people take it for "true".
VERDICT_WORDS: dict[Verdict, tuple[str, str, str]] = {
    Verdict.LIKELY_MANIPULATED: ("!!", "likely manipulated", "bold red"),
    Verdict.INCONCLUSIVE: ("??", "inconclusive", "yellow"),
    Verdict.NOT_ASSESSABLE: ("xx", "not assessable", "dim"),
    Verdict.NO_MANIPULATION_FOUND: ("--", "no manipulation found", "cyan"),
}

#: Report rows that are printed at most.
SHOWN_ROWS = 100
Say = Callable[[str], None]
"""Takes one line for people."""

Advance = Callable[[int, int, str], None]
"""Takes inputs done, inputs in all, and a short note."""

#: Seconds between progress lines where there is no terminal.
LINE_SECONDS = 5.0
#: Seconds without an advance after which the rate is of no use for an estimate.
_WARM_UP_SECONDS = 1.0


def make_console(stream: TextIO | None = None) -> Console:
    """A console on stderr (or a stream) that reads no markup, emoji code or link into what it prints."""
    return Console(file=stream, stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def inert(text: str) -> str:
    """One line without control characters; what undecodable bytes stand for is shown as escapes."""
    return display_path(text)


def say(line: str, console: Console | None = None) -> None:
    """Print one line for people."""
    (console or make_console()).print(Text(inert(line)))


def verdict_words(verdict: str) -> str:
    """A verdict's mark and words."""
    mark, words, _ = VERDICT_WORDS[Verdict(verdict)]
    return f"{mark} {words}"


def print_verdicts(
    rows: Sequence[Mapping[str, Any]],
    console: Console | None = None,
    limit: int = SHOWN_ROWS,
    calibration: Mapping[str, Any] | None = None,
    prior: float | None = None,
) -> None:
    """Report rows as a table, or as plain lines where there is no terminal; then how scores are to be read, and counts.

    `calibration` are the facts of the one that the rows were made with, `prior` what their posteriors start from.
    Of more than `limit` rows those with the gravest verdicts are printed, and the others are counted.
    """
    console = console or make_console()
    shown = rows if len(rows) <= limit else sorted(rows, key=_gravity)[:limit]
    if console.is_terminal:
        console.print(_table(shown), soft_wrap=False)
    else:
        for row in shown:
            console.print(Text(plain_line(row)))
    if len(shown) < len(rows):
        say(f"… and {len(rows) - len(shown)} more in the report", console)
    say(calibration_line(calibration, prior), console)
    if line := uncovered_line(rows):
        say(line, console)
    say(summary_line(rows), console)


def calibration_line(facts: Mapping[str, Any] | None, prior: float | None = None) -> str:
    """How scores are to be read: the scope of a calibration, of which these are the facts, or that there is none.

    `prior` is the probability of "fake" that posteriors start from, where there are any.
    """
    if facts is None:
        return "uncalibrated: a score orders videos, and is no probability"
    caps, start = facts["caps"], "" if prior is None else f"; posteriors at the prior {prior:g}"
    return (
        f"calibrated ({facts['method']}, {facts['id']}): {inert(facts['scope']['words'])}; log10 LR kept within "
        f"{caps['lowest']:.2f} and {caps['highest']:.2f}{start}"
    )


def uncovered_line(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """How many inputs have a score and no likelihood ratio, where others have one; None where there are none such."""
    scored = [row for row in rows if row["score"] is not None]
    lacking = sum(row["log10_likelihood_ratio"] is None for row in scored)
    if not lacking or lacking == len(scored):
        return None
    return (
        f"{lacking} of {len(scored)} scored inputs {'has' if lacking == 1 else 'have'} no likelihood ratio: "
        "faces unlike those of training, more face tracks than any that calibrated, or images where videos did, or "
        "videos where images did"
    )


def ratio_text(log10_likelihood_ratio: float | None) -> str:
    """A log10 likelihood ratio for people, with its sign, or a dash."""
    return "-" if log10_likelihood_ratio is None else f"{log10_likelihood_ratio:+.2f}"


def _gravity(row: Mapping[str, Any]) -> tuple[int, float]:
    return list(VERDICT_WORDS).index(Verdict(row["verdict"])), -(row["score"] or 0.0)


def plain_line(row: Mapping[str, Any]) -> str:
    """One report row on one line."""
    parts = [verdict_words(row["verdict"]), inert(row["path"]), score_text(row["score"])]
    if row["log10_likelihood_ratio"] is not None:
        parts.append(f"log10 LR {ratio_text(row['log10_likelihood_ratio'])}")
    if row["posterior"] is not None:
        parts.append(f"posterior {score_text(row['posterior'])}")
    if row["status"] != Status.OK:
        parts.append(f"[{row['status']}]")
    noted = [f"[{note}]"] if (note := credentials_text.note(row)) else []
    return "  ".join([*parts, inert(row["reason"] or ""), *noted]).rstrip()


def score_text(score: float | None) -> str:
    """A score for people, or a dash."""
    return "-" if score is None else f"{score:.3f}"


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    calibrated = any(row["log10_likelihood_ratio"] is not None for row in rows)
    posterior = any(row["posterior"] is not None for row in rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("score", justify="right")
    if calibrated:
        table.add_column("log10 LR", justify="right", no_wrap=True)
    if posterior:
        table.add_column("posterior", justify="right", no_wrap=True)
    table.add_column("input")
    table.add_column("reason")
    for row in rows:
        style = VERDICT_WORDS[Verdict(row["verdict"])][2]
        status = "" if row["status"] == Status.OK else f"[{row['status']}] "
        table.add_row(
            Text(verdict_words(row["verdict"]), style),
            Text(score_text(row["score"])),
            *([Text(ratio_text(row["log10_likelihood_ratio"]))] if calibrated else []),
            *([Text(score_text(row["posterior"]))] if posterior else []),
            Text(inert(row["path"]), overflow="fold"),
            Text(_reason(status + (row["reason"] or ""), credentials_text.note(row))),
        )
    return table


def _reason(text: str, note: str) -> str:
    return "\n".join(filter(None, [inert(text), note]))


def summary_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many inputs had which verdict, and how many failed."""
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in Verdict}
    words = [f"{count} {VERDICT_WORDS[verdict][1]}" for verdict, count in counts.items() if count]
    failed = sum(Status(row["status"]).failed for row in rows)
    inputs = f"{len(rows)} input{'' if len(rows) == 1 else 's'}"
    return f"{inputs}: {', '.join(words) or 'nothing to judge'}" + (f" ({failed} failed)" if failed else "")


class Progress:
    """Progress of a job: a bar on a terminal, else a line every few seconds, with rate and time left.

    `with Progress("extract") as advance: job(…, advance)`: a callback of (done, total, note). The rate counts from
    the first call on, so that neither what an earlier run did nor the start of the workers distorts it.
    """

    def __init__(self, what: str, unit: str = "", console: Console | None = None) -> None:
        self.what = what
        self.unit = unit
        self._console = console or make_console()
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._began = self._line_at = time.monotonic()
        self._first: int | None = None
        self._printed: tuple[int, str] | None = None
        self._last: tuple[int, int, str] | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = RichProgress(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                _Note(), console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=None, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        if self._last and kind is None:
            self._print(*self._last)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` are finished, counted from the job's beginning; `note` is a short text of counts."""
        if self._first is None:
            self._first, self._began = done, time.monotonic()
        self._last = (done, total, note)
        self._show(done, total, note)

    def _show(self, done: int, total: int, note: str) -> None:
        if self._bar and self._task is not None:
            text = ", ".join(part for part in (note, self.pace(done, total)) if part)
            self._bar.update(self._task, completed=done, total=total, note=text)
        elif done >= total or time.monotonic() - self._line_at >= LINE_SECONDS:
            self._print(done, total, note)

    def _print(self, done: int, total: int, note: str) -> None:
        if self._printed == (done, note):
            return
        self._printed = (done, note)
        self._line_at = time.monotonic()
        text = ", ".join(
            part for part in (f"{done}/{total} {self.unit}".rstrip(), note, self.pace(done, total)) if part
        )
        say(f"{self.what}: {text}", self._console)

    def pace(self, done: int, total: int) -> str:
        """Rate and time left, in words; empty until there is enough to go by."""
        seconds = time.monotonic() - self._began
        finished = done - (self._first or 0)
        if seconds < _WARM_UP_SECONDS or finished <= 0:
            return ""
        rate = finished / seconds
        speed = f"{rate:.1f} {self.unit}".rstrip() + "/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        return speed if done >= total else f"{speed}, {duration_text((total - done) / rate)} left"


class _Note(ProgressColumn):
    """The task's note as text that is never read as markup."""

    def render(self, task: Task) -> Text:
        return Text(inert(str(task.fields.get("note", ""))))


def duration_text(seconds: float) -> str:
    """A duration in one or two units: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size_text(size: int) -> str:
    """A number of bytes in the largest unit of which there is at least one: `512 bytes`, `1.5 MiB`."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {unit}"
    return f"{size} bytes"
