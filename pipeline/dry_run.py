"""What extract would do: recognition, counts, bytes, time, what is done, and which files do not open.

Nothing is written. A file opens where the decoding child that extract uses accepts its header, and is damaged where
the header lists pictures past the file's end; what is broken further in shows only when it is extracted. Content is
not hashed, so copies are not told apart.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.datasets import Count, Dataset
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Entry, MediaRecord, Status
from ffpipe.manifests.schemas import from_table
from ffpipe.pipeline import plan, provenance
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.estimate import Estimate, estimate, time_line
from ffpipe.pipeline.extract import ExtractJob, bind, job_for, load_dataset
from ffpipe.pipeline.hashing import size_of
from ffpipe.pipeline.headers import Finding, open_headers
from ffpipe.pipeline.output import Advance, Say, size_text
from ffpipe.pipeline.workspace import Workspace

#: Files of each kind that are printed one by one.
SHOWN_FILES = 10


@dataclass(frozen=True, slots=True)
class DryRun:
    """What extract would find and do. bytes and to_do_bytes are of the files that can be examined."""

    dataset: Dataset
    name: str
    files: int
    bytes: int
    done: int
    to_do: int
    to_do_bytes: int
    findings: list[Finding]
    """Files that do not open, or not whole; those of earlier runs with what those said."""
    estimate: Estimate | None
    provenance: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0 where every file opens, 3 where some do not, 4 where none does."""
        statuses = Counter(finding.status.value for finding in self.findings)
        sound = self.files + len(self.dataset.skipped) - statuses.total()
        return plan.exit_code(statuses + Counter({Status.OK.value: sound}))

    def to_json(self) -> dict[str, Any]:
        """Everything, with every name, ready for JSON."""
        told = {name: getattr(self, name) for name in ("files", "bytes", "done", "to_do", "to_do_bytes")}
        return {
            "layout": self.dataset.name,
            "reason": self.dataset.reason,
            "name": self.name,
            "split": self.dataset.split_source,
            "summary": self.dataset.summary(),
            "parts": [_part(count) for count in self.dataset.expected],
            "notes": self.dataset.notes,
            **told,
            "not_opened": [_named(f) for f in self.findings],
            "refused": [{"path": display_path(s.path), "reason": s.reason} for s in self.dataset.skipped],
            "estimate": asdict(self.estimate) if self.estimate else None,
            "exit_code": self.exit_code,
            "provenance": self.provenance,
        }


def _part(count: Count) -> dict[str, Any]:
    names = {key: [*map(display_path, getattr(count, key))] for key in ("missing", "surplus")}
    return {**asdict(count), **names, "n_missing": count.n_missing, "n_surplus": count.n_surplus}


def _named(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "path": display_path(finding.path)}


def dry_run(
    source: Path, config: ExtractConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> DryRun:
    """Look at all that extract would read, and say what it would do; the workspace is only read.

    Raises UsageError as extract does: unknown layout, nothing found, another configuration.
    """
    began = provenance.now()
    dataset = load_dataset(source, config, workspace, say)
    job = job_for(source, dataset, config, workspace)
    stored = _stored(job, source, dataset)
    dataset.entries = dataset.entries[: config.limit]
    sizes = {entry.path: size_of(entry) for entry in dataset.entries}
    to_do = [entry for entry in dataset.entries if not _is_done(entry, stored, config)]
    known = [stored[entry.path] for entry in dataset.entries if _is_done(entry, stored, config)]
    findings = [Finding(m.path, m.status, m.reason) for m in known if m.status.failed]
    findings += open_headers(to_do, job.settings, advance)
    result = DryRun(
        dataset,
        job.dataset,
        files=len(dataset.entries),
        bytes=sum(sizes.values()),
        done=len(known),
        to_do=len(to_do),
        to_do_bytes=sum(sizes[entry.path] for entry in to_do),
        findings=findings,
        estimate=estimate(job, workspace, len(to_do)),
        provenance=provenance.finish(provenance.collect(job.settings, seed=config.seed, started=began)),
    )
    _tell(result, [e.path for e in to_do if _has_changed(e, stored)], say)
    return result


def _stored(job: ExtractJob, source: Path, dataset: Dataset) -> dict[str, MediaRecord]:
    """What the dataset's folder holds of each path; empty where it is new or would be emptied first."""
    if job.settings.overwrite or not (job.root / "job.json").exists():
        return {}
    bind(job, source, dataset)
    return {
        os.fsdecode(m.path_bytes): m for m in from_table(job.shards.read("media"), MediaRecord) if m.sha256
    }


def _is_done(entry: Entry, stored: Mapping[str, MediaRecord], config: ExtractConfig) -> bool:
    """Whether an earlier run has accounted for the file, as far as its path and size tell."""
    media = stored.get(entry.path)
    if media is None or media.status is Status.CHANGED or (config.retry_failed and media.status.failed):
        return False
    return not _has_changed(entry, stored)


def _has_changed(entry: Entry, stored: Mapping[str, MediaRecord]) -> bool:
    """Whether a medium has another size than what was stored of it; what changed while it was read never was."""
    media = stored.get(entry.path)
    return media is not None and media.status is not Status.CHANGED and media.bytes != size_of(entry)


def _tell(result: DryRun, changed: Sequence[str], say: Say) -> None:
    say(f"found {result.dataset.summary()}; split {result.dataset.split_source}")
    done = f", {result.done} of them done before (told by path and size)" if result.done else ""
    say(
        f"{_files(result.files)}, {size_text(result.bytes)}{done}; to do: {_files(result.to_do)}, "
        f"{size_text(result.to_do_bytes)}"
    )
    if changed:
        say(
            f"{_files(len(changed))} changed since extraction, which will refuse them, the first {changed[0]}"
        )
    say(time_line(result.estimate, result.to_do))
    damaged = sum(not finding.status.failed for finding in result.findings)
    say(
        f"not to be opened: {_files(len(result.findings) - damaged)}; damaged: {damaged}; "
        f"refused: {len(result.dataset.skipped)}"
    )
    _list([finding.line for finding in result.findings], say)
    _list([f"refused: {skipped.path}: {skipped.reason}" for skipped in result.dataset.skipped], say)
    say(f"dry run: nothing was written; without --dry-run this becomes the dataset {result.name}")


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"


def _list(lines: Sequence[str], say: Say) -> None:
    for line in lines[:SHOWN_FILES]:
        say(line)
    if len(lines) > SHOWN_FILES:
        say(f"… and {len(lines) - SHOWN_FILES} more; --json names every one")
