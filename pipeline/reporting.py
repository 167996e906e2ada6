"""A report as a folder of pages: one of the run, and one of each medium with its evidence.

The folder holds `index.html` and `videos/<media_id>.html`, and nothing else: a folder with something else in it is
refused, and of pages only those that ffpipe wrote are replaced or deleted, which the head of each says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ffpipe.manifests.durable import clear_temporaries, write_atomic, writing
from ffpipe.manifests.errors import FfpipeError, IntegrityError, StorageError, UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.schemas import SCHEMAS
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import log
from ffpipe.pipeline.output import LINE_SECONDS, Say
from ffpipe.pipeline.page.evidence import EvidenceSource
from ffpipe.pipeline.page.render import GENERATOR
from ffpipe.pipeline.page.report import report_page
from ffpipe.pipeline.page.video import video_page
from ffpipe.pipeline.score import BESIDE, ScoreResult
from ffpipe.pipeline.table_reading import read_table
from ffpipe.pipeline.tables import (
    companion,
    page_rows,
    provenance_of,
    read_provenance,
    sole_writer,
    with_provenance,
)
from ffpipe.pipeline.verification.rescoring import find_weights
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace, read_job

INDEX = "index.html"
#: The folder of the pages of the media, below the one of the run's page.
VIDEOS = "videos"
_BACK = f"../{INDEX}"
_MEDIA_ID = re.compile(r"[0-9a-f]{32}")
#: Bytes at the start of a page among which its generator is named.
_HEAD_BYTES = 4096


def check_folder(out: Path) -> None:
    """Refuse, before any work, a folder for pages that cannot be one: UsageError names what is in the way.

    Allowed are a folder that does not exist yet (its parent does), an empty one, and one of earlier pages. What is
    hidden is nobody's business here.
    """
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--report {out}: the folder {out.absolute().parent} does not exist")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"--report {out}: is no folder; give a folder, or a name for a new one")
    for other in _others(out):
        raise UsageError(
            f"--report {out}: holds {display_path(other.relative_to(out))}, which is no page of ffpipe's; "
            "give an empty folder, one of earlier pages, or a name for a new one"
        )


def _others(out: Path) -> Iterator[Path]:
    """What in a folder is neither hidden nor a page of ours in its place."""
    videos = out / VIDEOS
    for path in _listed(out):
        if path == videos and path.is_dir() and not path.is_symlink():
            yield from (p for p in _listed(path) if not (_MEDIA_ID.fullmatch(p.stem) and is_page(p)))
        elif path.name != INDEX or not is_page(path):
            yield path


def _listed(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def is_page(path: Path) -> bool:
    """Whether a file is a page that ffpipe wrote: HTML, no link to elsewhere, and its head names ffpipe."""
    if path.suffix != ".html" or path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(_HEAD_BYTES).split(b"<style", 1)[0]


def write_pages(
    tables: Mapping[str, pa.Table],
    out: Path,
    *,
    shards: ShardGroup | None = None,
    weights: Weights | None = None,
    unchanged: Container[str] = (),
    say: Say,
) -> list[Path]:
    """Write a report as pages below `out`, each whole or not at all, the run's page last.

    `tables` are the report with its provenance, and tracks and scores as far as there are any. `shards` are the run's,
    which hold the faces that were kept; `weights` those that scored it. `unchanged` are media whose pages, where they
    are still there, say what they would say now. Pages of an earlier report that this one has no
    medium for are deleted. Returns the files, the run's page first. Raises UsageError for a folder that holds
    something else, IntegrityError for a medium without a sound identity, StorageError where a file cannot be written.
    """
    check_folder(out)
    report = tables["report"]
    media = list(dict.fromkeys(report.column("media_id").to_pylist()))
    for media_id in media:
        if not _MEDIA_ID.fullmatch(media_id):
            raise IntegrityError(f"{media_id!r} identifies no medium: 32 hexadecimal digits do")
    folder = out / VIDEOS
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        clear_temporaries(folder)
        clear_temporaries(out, {INDEX})
    source = EvidenceSource(tables, shards, weights)
    pages = [folder / f"{media_id}.html" for media_id in media]
    for media_id, page in zip(media, _told(pages, say), strict=True):
        if media_id in unchanged and is_page(page):
            continue
        write_atomic(page, video_page(source.of(media_id), back=_BACK).encode())
    links = {media_id: f"{VIDEOS}/{media_id}.html" for media_id in media}
    write_atomic(out / INDEX, report_page(page_rows(report), provenance_of(report), links).encode())
    _delete_stale(folder, pages)
    return [out / INDEX, *pages]


def _told(pages: list[Path], say: Say) -> Iterator[Path]:
    """The pages one by one, with a line now and then of how many there are by then."""
    told = time.monotonic()
    for done, page in enumerate(pages):
        yield page
        if time.monotonic() - told >= LINE_SECONDS:
            say(f"pages: {done + 1}/{len(pages)}")
            told = time.monotonic()


def _delete_stale(folder: Path, pages: Iterable[Path]) -> None:
    kept = set(pages)
    for path in _listed(folder):
        if path not in kept and _MEDIA_ID.fullmatch(path.stem) and is_page(path):
            with writing(path):
                path.unlink(missing_ok=True)


def report_scoring(result: ScoreResult, out: Path, workspace: Workspace, say: Say) -> list[Path]:
    """The pages of a scoring that was just finished. Raises what `write_pages` does."""
    shards = workspace.scores(result.root.name)
    return _report(result.tables, out, shards, Weights.load(result.weights), workspace, say)


def report(path: Path, out: Path | None, workspace: Workspace, say: Say) -> list[Path]:
    """The pages of a report that `score --out` wrote, in any of its formats but .html.

    `out` is by default the folder `<report>-pages` beside it. Kept faces come from the workspace's run, weights from
    wherever `verify` would find them; without them the pages say what is missing. Raises UsageError for what is no
    report, and what `write_pages` raises.
    """
    if path.suffix.lower() == ".html":
        raise UsageError(f"{path}: is a page already; give the report as .parquet, .csv, .json or .jsonl")
    if not path.is_file():
        raise UsageError(f"{path}: no such report; give a file that `ffpipe score --out` wrote")
    folder = out or path.with_name(f"{path.stem}-pages")
    check_folder(folder)
    try:
        origin, rows = read_provenance(path), read_table(path, "report")
    except StorageError as error:
        raise UsageError(f"{path}: is no report that ffpipe wrote: {error.message}") from None
    shards = _run_of(origin, workspace, say)
    found = {"report": rows, **_beside(path, rows, shards, say)}
    carrying = {name: with_provenance(table, origin) for name, table in found.items()}
    return _report(carrying, folder, shards, _weights_of(origin, workspace, say), workspace, say)


def _report(
    found: Mapping[str, pa.Table],
    out: Path,
    shards: ShardGroup | None,
    weights: Weights | None,
    workspace: Workspace,
    say: Say,
) -> list[Path]:
    with sole_writer(out):
        pages = write_pages(found, out, shards=shards, weights=weights, say=say)
    say(f"pages: {pages[0]}, and one of each of {len(pages) - 1} media beside it")
    # The run's page stands for those of the media: a long run has thousands.
    log.note(workspace, "report", provenance_of(found["report"]), pages[:1], media=len(pages) - 1)
    return pages


def _run_of(origin: Mapping[str, Any], workspace: Workspace, say: Say) -> ShardGroup | None:
    """The shards of the run that made a report, where they are here and still of that run."""
    run = origin.get("run")
    with suppress(FfpipeError):
        shards = workspace.scores(str(run))
        if shards.root.is_dir() and read_job(shards.root).get("provenance", {}).get("id") == origin.get("id"):
            return shards
    say(f"no run {display_path(str(run))} in {workspace.root}: the pages show no faces")
    return None


def _weights_of(origin: Mapping[str, Any], workspace: Workspace, say: Say) -> Weights | None:
    try:
        return Weights.load(find_weights(origin, None, workspace))
    except (FfpipeError, KeyError, TypeError) as error:
        say(f"without the weights the pages have no heat maps: {error}")
        return None


def _beside(path: Path, report: pa.Table, shards: ShardGroup | None, say: Say) -> dict[str, pa.Table]:
    """The tables beside a report; one that is not there comes from the run, or is empty."""
    media = report.column("media_id")
    found = {}
    for name in BESIDE:
        file = companion(path, name)
        if file.is_file():
            found[name] = read_table(file, name)
        elif shards is not None:
            stored = shards.read(name)
            found[name] = stored.filter(pc.is_in(stored.column("media_id"), media.combine_chunks()))
        else:
            say(f"{file.name} is not there: the pages are without it")
            found[name] = SCHEMAS[name].empty_table()
    return found
