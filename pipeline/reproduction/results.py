"""Printed figures beside ours: what each comparison says, and may be said of all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.reproduction.protocols.protocol import Printed, Protocol

#: The stored comparisons, which later calls add to.
RESULTS = "figures.json"


class Outcome(StrEnum):
    """Where the printed figure lies: in our 95% interval or not; or why that cannot be said."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    NO_INTERVAL = "no interval"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Result:
    """A printed figure beside ours.

    level: of what was measured, frame or image. low, high: our 95% interval. run: MODEL/RUN in the workspace.
    evaluation: folder in the run's. deviations: in what the run differs from the paper's. reason: why there is no
    figure or no interval. commands: that would help.
    """

    figure: Printed
    outcome: Outcome = Outcome.NOT_RUN
    level: str | None = None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n_real: int | None = None
    n_fake: int | None = None
    run: str | None = None
    evaluation: str | None = None
    deviations: tuple[str, ...] = ()
    reason: str = ""
    commands: tuple[str, ...] = ()

    @classmethod
    def of(cls, figure: Printed, row: Mapping[str, Any], **told: Any) -> Self:
        """From a row of evaluation.json."""
        measured = row["figures"][figure.metric]
        value, low, high = measured["value"], measured["low"], measured["high"]
        if value is None:
            return cls(figure, reason=row["reason"] or "undefined", **told)
        if low is None or high is None:
            outcome, reason = Outcome.NO_INTERVAL, row["interval_reason"] or "no interval"
        else:
            outcome = Outcome.INSIDE if low <= figure.value <= high else Outcome.OUTSIDE
            reason = row["reason"] or row["note"] or ""
        return cls(
            figure,
            outcome,
            row["level"],
            value,
            low,
            high,
            row["n_real"],
            row["n_fake"],
            reason=reason,
            **told,
        )

    def to_json(self) -> dict[str, Any]:
        """The printed figure and ours in one flat object; `deviations` and `commands` are lists."""
        printed = asdict(self.figure)
        place = {key: printed[key] for key in ("table", "row", "column", "metric")}
        rest = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "figure"}
        lists = {key: list(rest[key]) for key in ("deviations", "commands")}
        return {
            **place,
            "printed": self.figure.value,
            **rest,
            **lists,
            "experiment": self.figure.training,
            "note": self.figure.note,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], figure: Printed) -> Self:
        """What `to_json` wrote of this figure. Raises KeyError and ValueError for anything else."""
        told = {field.name: stored[field.name] for field in fields(cls) if field.name != "figure"}
        told |= {"outcome": Outcome(told["outcome"])}
        told |= {key: tuple(told[key]) for key in ("deviations", "commands")}
        return cls(figure, **told)


def key_of(figure: Printed) -> tuple[int, str, str, str]:
    """What tells a figure from all others of its paper."""
    return figure.table, figure.row, figure.column, figure.metric


def read_results(folder: Path, protocol: Protocol) -> dict[Printed, Result]:
    """What earlier calls have stored. Raises StorageError for a damaged file."""
    path = folder / RESULTS
    if not path.exists():
        return {}
    known = {key_of(figure): figure for figure in protocol.printed}
    try:
        stored = json.loads(path.read_bytes())["figures"]
        found = [(known.get((s["table"], s["row"], s["column"], s["metric"])), s) for s in stored]
        return {figure: Result.from_json(s, figure) for figure, s in found if figure is not None}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: damaged: {error}") from error


def headline(results: Sequence[Result], quick: bool) -> list[str]:
    """What may be said of all of it, and no more."""
    counts = Counter(result.outcome for result in results)
    measured = len(results) - counts[Outcome.NOT_RUN]
    lines = [
        f"{measured} of {len(results)} printed figures measured: {counts[Outcome.INSIDE]} inside our 95% interval, "
        f"{counts[Outcome.OUTSIDE]} outside, {counts[Outcome.NO_INTERVAL]} without an interval; "
        f"{counts[Outcome.NOT_RUN]} not run"
    ]
    if quick:
        lines.append("a rehearsal: whatever these figures are, they reproduce nothing")
    elif any(result.deviations for result in results):
        lines.append("no reproduction can be claimed: the runs differ from the paper's in what is listed")
    elif measured:
        lines.append(
            "no difference from the printed settings is known; what the paper does not print is in its notes"
        )
    return lines
