"""How long an extraction would take, from what media took that the workspace holds already."""

from __future__ import annotations

from dataclasses import dataclass

from ffpipe.manifests.records import Status
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.engine import available_cores
from ffpipe.pipeline.extract import ExtractJob
from ffpipe.pipeline.output import duration_text
from ffpipe.pipeline.stored_media import stored_job
from ffpipe.pipeline.workspace import Workspace

#: Settings that decide how long a medium takes.
_PACE_SETTINGS = ("frames", "every", "decoder", "detector", "cropped", "whole")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that extraction would take, from `media` of a dataset that took `per_medium` seconds each on average."""

    seconds: float
    per_medium: float
    media: int
    dataset: str
    workers: int


def estimate(job: ExtractJob, workspace: Workspace, to_do: int) -> Estimate | None:
    """From what this dataset took so far, else from the largest one that was extracted with the same settings."""
    others = sorted(
        (
            (len(seconds), name, seconds)
            for name in workspace.datasets()
            if (seconds := _seconds(workspace.dataset(name), job.settings))
        ),
        key=lambda found: (found[1] == job.dataset, found[0]),
    )
    if not others:
        return None
    media, name, seconds = others[-1]
    each = sum(seconds) / media
    cores = available_cores() if job.settings.workers is None else job.settings.workers
    workers = max(1, min(cores, to_do))
    return Estimate(each * to_do / workers, each, media, name, workers)


def _seconds(shards: ShardGroup, settings: ExtractConfig) -> list[float]:
    """Seconds of each medium that the dataset read with settings like these; none where they were others."""
    bound = stored_job(shards).get("configuration", {})
    wanted = settings.resolved()
    if any(bound.get(key) != wanted[key] for key in _PACE_SETTINGS):
        return []
    accounts = [account for commit in shards.commits() for account in commit.inputs if plan.is_own(account)]
    return [float(a["seconds"]) for a in accounts if a.get("seconds") and not Status(a["status"]).failed]


def time_line(found: Estimate | None, to_do: int) -> str:
    """How long it would take and what tells so, for people."""
    if not to_do:
        return "time: nothing is left to do"
    if found is None:
        return (
            "time: not known, since nothing was extracted here with such settings; --limit 20 gives a measure"
        )
    workers = f"{found.workers} worker{'' if found.workers == 1 else 's'}"
    return (
        f"time: about {duration_text(found.seconds)} with {workers}, from {found.per_medium:.2g} s each of the "
        f"{found.media} media of {found.dataset}; other lengths and sizes take other times"
    )
