"""The verify job: a report's files, inputs, weights and scores compared with what they are now.

It proves that these inputs give this report with these weights, here and now; not when the report was made, nor by
whom, nor that what it says of a video is true.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.config import VerifyConfig
from ffpipe.pipeline.credentials_text import COLUMN
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.score import ScoreResult
from ffpipe.pipeline.verification.differences import Difference, added_later, compare_report, compare_tables
from ffpipe.pipeline.verification.inputs import Input, chosen, find_inputs
from ffpipe.pipeline.verification.recorded import Recorded, read_recorded
from ffpipe.pipeline.verification.rescoring import Again, again, rescore
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.calibration import Reading

#: Facts of the provenance that explain differences; of the first two the parts are compared.
_ENVIRONMENT = ("libraries", "ffmpeg", "ffpipe", "commit", "python", "machine", "processor", "device")


@dataclass(frozen=True, slots=True)
class Verified:
    """One input: its recorded path, what differs, and whether it was scored once more."""

    path: str
    differences: list[Difference]
    rescored: bool

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Verification:
    """A report verified: its inputs in order, what is wrong with its files, and what else may explain differences."""

    report: Path
    inputs: list[Verified]
    problems: list[str]
    notes: list[str]
    environment: dict[str, tuple[Any, Any]]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 where everything is equal, 4 where every input differs, 3 where some do or the files do not fit."""
        differing = sum(not each.equal for each in self.inputs)
        if differing == len(self.inputs):
            return 4
        return 3 if differing or self.problems else 0

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "report": str(self.report),
            "equal": not self.exit_code,
            "problems": self.problems,
            "notes": self.notes,
            "environment": {name: {"then": a, "now": b} for name, (a, b) in self.environment.items()},
            "inputs": [{**asdict(each), "equal": each.equal} for each in self.inputs],
            "exit_code": self.exit_code,
            "provenance": self.provenance,
        }


def verify(
    report: Path, config: VerifyConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> Verification:
    """Compare a report of `ffpipe score` with its files, inputs, weights and, unless `hashes_only`, scores as of now.

    Raises UsageError where it cannot be verified: no report, no provenance, weights that are not there; WeightsError
    where they are damaged; StorageError.
    """
    began = provenance.now()
    recorded = read_recorded(report, workspace)
    rows = chosen(recorded.tables["report"].to_pylist(), config.only)
    how = again(recorded.origin, config, workspace, say)
    origin = provenance.collect(
        config,
        weights=[how.weights.model_id],
        calibration=how.reading.calibration.id if how.reading.calibration else None,
        device=device_name(how.device),
        started=began,
    )
    with TemporaryDirectory(prefix="ffpipe-verify-") as scratch:
        inputs = find_inputs(rows, recorded.origin, config.root, Path(scratch), how.config.max_bytes)
        verified = _verified(recorded, inputs, how, config, Path(scratch), say, advance)
    result = Verification(
        report,
        verified,
        [*recorded.problems, *how.problems(), *_strays(recorded)],
        [*recorded.notes, *how.notes()],
        environment(recorded.origin, origin),
        provenance.finish(origin),
    )
    _log(result, workspace, say)
    return result


def _verified(
    recorded: Recorded,
    inputs: Sequence[Input],
    how: Again,
    config: VerifyConfig,
    scratch: Path,
    say: Say,
    advance: Advance | None,
) -> list[Verified]:
    found = [list(each.differences()) for each in inputs]
    comparable = [each for each, differences in zip(inputs, found, strict=True) if not differences]
    if config.hashes_only or not comparable:
        return [Verified(each.name, of, False) for each, of in zip(inputs, found, strict=True)]
    now = rescore(comparable, how, scratch, say, advance)
    recorded.notes.extend(_unread(recorded, now))
    rows = {row["path_bytes"]: row for row in now.report.to_pylist()}
    beside = compare_tables(recorded.tables, now.tables, how.tolerance)
    apart = added_later("report", recorded.tables["report"])
    verified = []
    for each, differences in zip(inputs, found, strict=True):
        if not differences:
            row = _as_read(rows[os.fsencode(each.scored_as)], each.row["score"], how.reading)
            differences += compare_report(each.row, row, how.tolerance, apart)
            differences += beside.get(row["media_id"], [])
            verified.append(Verified(each.name, differences, True))
        else:
            verified.append(Verified(each.name, differences, False))
    return verified


def _as_read(now: dict[str, Any], then: float | None, reading: Reading) -> dict[str, Any]:
    """The row as it is now, with the likelihood ratio of the score `then`.

    How far the scores may differ is known, but not how far likelihood ratios then do: that depends on the map.
    """
    if then is None or now["log10_likelihood_ratio"] is None or not 0 <= then <= 1:
        return now
    return {**now, **reading.columns(then)._asdict()}


def _unread(recorded: Recorded, now: ScoreResult) -> list[str]:
    """A note where the report has content credentials that were not looked at again."""
    then, again = (
        table.column(COLUMN).null_count < table.num_rows for table in (recorded.tables["report"], now.report)
    )
    lost = "content credentials were not compared: the extra c2pa, or the trust list, is not here"
    return [lost] if then and not again else []


def _strays(recorded: Recorded) -> list[str]:
    """Rows of the tables beside the report that are of no input of it, and inputs that stand in it twice."""
    rows = recorded.tables["report"].to_pylist()
    media, names = {row["media_id"] for row in rows}, [row["path_bytes"] for row in rows]
    found = ["report: an input stands in it twice"] * (len(names) != len(set(names)))
    for name, table in recorded.tables.items():
        strange = set(table.column("media_id").to_pylist()) - media
        if strange:
            found.append(f"{name}: has rows of {len(strange)} media that are not in the report")
    return found


def environment(then: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """In what the machine and the program differ from those that made the report, by name: then and now."""
    pairs: dict[str, tuple[Any, Any]] = {}
    for name in _ENVIRONMENT:
        old, new = then.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            pairs |= {part: (old.get(part), new.get(part)) for part in sorted({*old, *new})}
        else:
            pairs[name] = (old, new)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _log(result: Verification, workspace: Workspace, say: Say) -> None:
    """Note the result in the workspace's log, where there is a workspace; a log that fails spoils no result."""
    if not workspace.root.is_dir():
        return
    try:
        log.note(
            workspace,
            "verify",
            result.provenance,
            report=log.shown(result.report),
            report_sha256=sha256_file(result.report),
            equal=not result.exit_code,
            inputs=len(result.inputs),
            differing=sum(not each.equal for each in result.inputs),
        )
    except StorageError as error:
        say(f"not logged: {error.message}")
