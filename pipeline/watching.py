"""The watch job: scores what arrives in a folder, into the run that one scoring of the folder would make.

Every file that has arrived whole (`arrivals`) is a chunk of the run that `score` with the same settings, weights and
report has, committed in the same way: whatever is killed when, the next watch, or `score`, goes on from there. Worker
processes stay warm. The report is written whole each time, so that at most a fifth of the time goes into writing it:
with very many rows it lags behind the verdicts, which are told one by one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ffpipe.manifests.durable import writing
from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.inputs import Inputs, Skipped, collect, display_path
from ffpipe.manifests.records import ReportRow
from ffpipe.manifests.run_lock import RunLock
from ffpipe.pipeline import log, plan, reporting, tables
from ffpipe.pipeline.arrivals import Arrivals, Look
from ffpipe.pipeline.config import WatchConfig
from ffpipe.pipeline.driver import forget_failed, work
from ffpipe.pipeline.engine import Engine, create_engine
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.run_rows import RunRows
from ffpipe.pipeline.score import ScoreJob, ScoreResult, items_of, kept_line, prepare, without_own
from ffpipe.pipeline.table_reading import read_table
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace, finish_job

Tell = Callable[[Sequence[ReportRow]], None]
"""Takes rows that are new."""

#: Of the time between two looks, or two writings of the report, what one of them may take: one in so many.
_LOOKS, _WRITINGS = 10, 5
#: Seconds between two tries while a disk is full.
FULL_SECONDS = 10.0


def watch(
    folder: str,
    config: WatchConfig,
    workspace: Workspace,
    *,
    out: Path | None = None,
    report: Path | None = None,
    once: bool = False,
    tell: Tell,
    say: Say,
) -> int:
    """Score what lies in a folder and what arrives there, until interrupted; `once`: what is there now.

    `tell` gets every row as soon as it is committed, after a kill perhaps a second time; `out`, and the pages in the
    folder `report`, are kept as `score` would write them. Returns `score`'s exit code. While a disk is full it waits,
    unless `once`.

    Raises UsageError (no folder; output or weights that cannot be used; another watch of this folder, or another run,
    at work), StorageError, ClusterError, and KeyboardInterrupt once the report is written; what is committed stays.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - names need not be UTF-8
        raise UsageError(f"{display_path(folder)}: no such folder; give one to watch")
    if out is not None:
        tables.check_output(out)
    if report is not None:
        reporting.check_folder(report)
    job = prepare(config.scoring(), workspace, out, say)
    with (
        _sole_watch(workspace, folder),
        tables.sole_writer(out),
        tables.sole_writer(report),
        job.shards.lock(),
    ):
        forget_failed(job.shards, job.settings, say)
        job.shards.sweep()
        watcher = _Watcher(folder, config, workspace, job, out, report, once, tell, say)
        try:
            return watcher.run()
        finally:
            watcher.close()


@contextmanager
def _sole_watch(workspace: Workspace, folder: str) -> Iterator[None]:
    """While this lasts, another watch of the same folder from this workspace is refused with LockedError.

    The lock lies in the workspace: nothing is ever written beside the inputs.
    """
    real = os.path.realpath(folder)
    locks = workspace.root / "watching"
    with writing(locks):
        locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    with RunLock(locks / f"{name}.lock", of=Path(real), doing="watching"):
        yield


class _Watcher:
    """One watch at work, whose caller holds the locks."""

    def __init__(
        self,
        folder: str,
        config: WatchConfig,
        workspace: Workspace,
        job: ScoreJob,
        out: Path | None,
        report: Path | None,
        once: bool,
        tell: Tell,
        say: Say,
    ) -> None:
        self._folder, self._config, self._workspace = folder, config, workspace
        self._job, self._out, self._once = job, out, once
        self._tell, self._say = tell, say
        self._pages = _Pages(report, job, say) if report else None
        self._arrivals = Arrivals(config.settle)
        self._rows = RunRows(job.shards)
        self._told = self._in_report()
        self._engine: Engine | None = None
        self._first: set[str] | None = None
        self._quiet = 0
        self._gone = False
        self._unwritten = True
        self._writable_at = 0.0

    def run(self) -> int:
        """Look and score again and again; the exit code."""
        self._say(self._how_line())
        self._tell_untold([row for row in self._rows.below(self._folder) if not os.path.lexists(_path(row))])
        try:
            while (pause := self._round()) is not None:
                time.sleep(pause)
        except KeyboardInterrupt:
            self.close()
            self._write()
            raise
        self._patiently(self._write)
        if self._gone:
            raise StorageError(f"{display_path(self._folder)}: cannot be read")
        self._say(kept_line(self._job.settings, self._job.shards))
        rows = self._rows.below(self._folder)
        return plan.exit_code(Counter(row.status.value for row in rows)) if rows else 0

    def close(self) -> None:
        """End the workers; what they had not committed is done again."""
        if self._engine:
            self._engine.close()
        self._engine = None

    def _round(self) -> float | None:
        """One look, and what follows from it; the seconds to the next one, or None where it was the last."""
        began = time.monotonic()
        look = self._look(began)
        took = time.monotonic() - began
        inputs: list[str | Skipped] = [*look.whole, *look.skipped]
        size = self._working().slots * plan.CHUNKS_PER_SLOT if inputs else 1
        for start in range(0, len(inputs), size):
            part = inputs[start : start + size]
            self._patiently(lambda part=part: self._score(part))  # type: ignore[misc]
            self._patiently(self._write_if_due)
        if inputs:
            self._quiet = 0
            self._say(self._progress_line(len(inputs), look.waiting))
        else:
            self._patiently(self._write_if_due)
        return None if self._once and self._at_rest(look) else max(self._config.poll, took * _LOOKS)

    def _look(self, now: float) -> Look:
        here = os.path.isdir(self._folder)  # noqa: PTH112
        found = collect([self._folder], exclude=[self._workspace.root]) if here else Inputs()
        lost = not here or any(skipped.path == self._folder for skipped in found.skipped)
        if lost != self._gone:
            self._gone = lost
            what = "cannot be read; waiting until it can" if lost else "can be read again"
            self._say(f"{display_path(self._folder)} {what}")
        if lost:
            return Look([], [], 0)
        if self._first is None and self._once:
            self._first = {*found.entries, *(skipped.path for skipped in found.skipped)}
        entries = without_own(found.entries, self._out)
        if self._first is not None:
            entries = [path for path in entries if path in self._first]
        return self._arrivals.look(replace(found, entries=entries), now)

    def _at_rest(self, look: Look) -> bool:
        """Whether nothing more is to be expected of what was there at first: looks are counted, not time."""
        self._quiet += 1
        if look.waiting and self._quiet <= 2 * self._config.settle / self._config.poll + 2:
            return False
        if look.waiting:
            self._say(
                f"left out: {look.waiting} that did not come to rest, or have names of what is being written"
            )
        return True

    def _score(self, inputs: Sequence[str | Skipped]) -> None:
        """Score some inputs and tell what became of them; what is done already costs next to nothing."""
        found = Inputs(
            entries=[each for each in inputs if isinstance(each, str)],
            skipped=[each for each in inputs if isinstance(each, Skipped)],
        )
        items = items_of(found, self._rows.known, self._workspace, self._job.settings, lambda line: None)
        self._tell_untold(self._rows.found(items))
        self._unwritten = True
        for chunk in work(self._job, plan.remaining(items, self._rows.done), self._working()):
            rows, unsettled = self._rows.add(chunk.id)
            self._tell(rows)
            if self._told is not None:
                self._told |= {(row.media_id, _path(row)) for row in rows}
            for row in unsettled:
                self._arrivals.take_back(_path(row))
                self._say(f"{row.path} changed or went while it was looked at; it is waited for")

    def _working(self) -> Engine:
        """The engine, started where there is none; `auto` is this machine's, since Ray would hold it while idle."""
        if self._engine is None:
            settings = self._job.settings
            local = settings.engine == "auto" and settings.address == "local"
            name = "local" if local else settings.engine
            self._engine = create_engine(
                name, settings.address, settings.workers, 1 << 20, settings.worker_memory, self._say
            )
        return self._engine

    def _patiently(self, action: Callable[[], None]) -> None:
        """Do what may meet a full disk, again and again until there is room; not where it is done `once`."""
        told = False
        while True:
            try:
                action()
            except StorageError as error:
                if self._once or not error.disk_full:
                    raise
                # Workers may be in the middle of other chunks.
                self.close()
                if not told:
                    self._say(f"{error.message}; nothing is lost, and it goes on when there is room")
                told = True
                time.sleep(FULL_SECONDS)
            else:
                return

    def _write_if_due(self) -> None:
        if time.monotonic() >= self._writable_at:
            self._write()

    def _write(self) -> None:
        """Write the report of what is committed, where it is another than before."""
        rows = self._rows.below(self._folder)
        if not rows or not self._unwritten:
            return
        began = time.monotonic()
        result = self._rows.result(self._job, rows, finish_job(self._job.shards))
        files = tables.write_report(self._out, result.tables) if self._out else []
        files += self._pages.write(result, rows) if self._pages else []
        if files:
            log.note(self._workspace, "watch", result.provenance, files)
        self._unwritten = False
        now = time.monotonic()
        self._writable_at = now + (_WRITINGS - 1) * (now - began)

    def _in_report(self) -> set[tuple[str, str]] | None:
        """(media_id, path) of the rows that an earlier watch wrote, and has told; None where nothing says which."""
        if self._out is None:
            return None
        try:
            table = read_table(self._out, "report").select(["media_id", "path_bytes"])
        except UsageError:  # a page, which is not read back
            return None
        except StorageError:
            return set()
        told = {(row["media_id"], os.fsdecode(row["path_bytes"])) for row in table.to_pylist()}
        self._rows.recall(told, self._out.stat().st_mtime_ns)
        return told

    def _tell_untold(self, rows: Sequence[ReportRow]) -> None:
        """Tell rows that were committed before, where their watch was ended before it told them, or its report did."""
        if self._told is not None:
            keys = {(row.media_id, _path(row)): row for row in rows}
            self._tell([row for key, row in keys.items() if key not in self._told])
            self._told |= keys.keys()

    def _how_line(self) -> str:
        known = len(self._rows.below(self._folder))
        return (
            f"watching {display_path(self._folder)} every {self._config.poll:g} s, {known} scored before; a file is "
            f"taken once it stays the same for {self._config.settle:g} s; Ctrl-C ends"
        )

    def _progress_line(self, scored: int, waiting: int) -> str:
        arriving = f", {waiting} still arriving" if waiting else ""
        return f"watch: {scored} taken, {len(self._rows.below(self._folder))} in the report{arriving}"


class _Pages:
    """The folder of pages of a watch: a medium's page is written anew only where its rows are others than before."""

    def __init__(self, folder: Path, job: ScoreJob, say: Say) -> None:
        self._folder, self._job, self._say = folder, job, say
        self._weights = Weights.load(job.weights)
        self._written: dict[str, list[ReportRow]] = {}

    def write(self, result: ScoreResult, rows: Sequence[ReportRow]) -> list[Path]:
        """Write the pages of these rows; returns the run's, which stands for all. Raises StorageError."""
        media: defaultdict[str, list[ReportRow]] = defaultdict(list)
        for row in rows:
            media[row.media_id].append(row)
        same = {name for name, own in media.items() if self._written.get(name) == own}
        pages = reporting.write_pages(
            result.tables,
            self._folder,
            shards=self._job.shards,
            weights=self._weights,
            unchanged=same,
            say=self._say,
        )
        self._written = dict(media)
        return pages[:1]


def _path(row: ReportRow) -> str:
    return os.fsdecode(row.path_bytes)
