"""What a dataset of the workspace holds: its labelled media, their splits, how they were cut, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.stages.crop import CropSettings, Kind


def labelled_media(group: ShardGroup) -> list[MediaRecord]:
    """Media with a label and faces. Copies of a file are rows of one medium; their faces are stored once."""
    return [m for m in from_table(group.read("media"), MediaRecord) if m.label is not None and m.faces]


def of_quality(media: list[MediaRecord], quality: str | None, notes: list[str]) -> list[MediaRecord]:
    """Media of one quality, and those of none on record.

    Raises UsageError where there are several and none was chosen, or none of the one that was.
    """
    there = sorted({m.quality for m in media if m.quality})
    if quality is None:
        if len(there) > 1:
            raise UsageError(f"several qualities: {', '.join(there)}; say which to take with --quality")
        return media
    if quality not in there:
        raise UsageError(f"--quality {quality}: the data have {', '.join(there) or 'no qualities'}")
    unmarked = sum(m.quality is None for m in media)
    if unmarked:
        notes.append(f"{unmarked} media without a quality on record kept beside those of {quality}")
    return [m for m in media if m.quality in (quality, None)]


def without_conflicts(media: list[MediaRecord], notes: list[str]) -> list[MediaRecord]:
    """Media without those whose copies have both labels."""
    labels: dict[str, set[int]] = {}
    for m in media:
        labels.setdefault(m.media_id, set()).add(int(m.label or 0))
    conflicts = sorted(media_id for media_id, found in labels.items() if len(found) > 1)
    if conflicts:
        example = " and ".join([m.path for m in media if m.media_id == conflicts[0]][:2])
        notes.append(
            f"{media_words(len(conflicts))} labelled both real and fake {are(len(conflicts))} left out ({example})"
        )
    return [m for m in media if len(labels[m.media_id]) == 1]


def parts_of(media: Iterable[MediaRecord]) -> dict[str, Split]:
    """A medium's split, by id; of copies in several splits the one that learns least decides."""
    order = [Split.TRAIN, Split.VAL, Split.TEST]
    parts: dict[str, Split] = {}
    for m in media:
        part = m.split or Split.TRAIN
        parts[m.media_id] = max(parts.get(m.media_id, part), part, key=order.index)
    return parts


def stored_job(group: ShardGroup) -> dict[str, Any]:
    """What extraction noted of a dataset: configuration, crop fingerprint, split. Raises StorageError."""
    path = group.root / "job.json"
    try:
        stored: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error
    return stored


def crop_settings(names: Sequence[str], jobs: Sequence[dict[str, Any]]) -> CropSettings:
    """How the datasets of these jobs were cut. Raises UsageError where they differ, or cannot be told."""
    prints = {str(job["crop"]) for job in jobs}
    if len(prints) > 1:
        raise UsageError(
            f"the datasets {', '.join(names)} were cut with different crop settings; extract them with the same"
        )
    configuration = jobs[0].get("configuration", {})
    kind: Kind = "whole" if configuration.get("whole") else "crop" if configuration.get("cropped") else "face"
    settings = CropSettings(store_size=configuration.get("store_size", 512), kind=kind)
    if {settings.fingerprint()} != prints:
        raise UsageError(f"{', '.join(names)}: cut by another version of ffpipe; extract again with this one")
    return settings


def data_digest(groups: Sequence[ShardGroup]) -> str:
    """Hash of all that the shards hold, 16 hex digits."""
    digest = hashlib.sha256()
    for group in groups:
        for table in group.tables:
            for _, part in group.shards(table):
                digest.update(part.sha256.encode())
    return digest.hexdigest()[:16]


def media_words(number: int) -> str:
    """A number of media in words."""
    return "1 medium" if number == 1 else f"{number} media"


def are(number: int) -> str:
    """The verb that goes with a number."""
    return "is" if number == 1 else "are"
