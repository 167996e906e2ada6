"""What a dataset of the workspace holds: its labelled media, their splits, how they were cut, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.split_files import Place, SplitFile, relative_to
from ffpipe.manifests.splits import leaks
from ffpipe.pipeline.workspace import read_job
from ffpipe.stages.crop import CropSettings, Kind

#: How many leaks of a split file are spelt out; `ffpipe splits check` names them all.
SHOWN_LEAKS = 3


def labelled_media(group: ShardGroup) -> list[MediaRecord]:
    """Media with a label and faces. Copies of a file are rows of one medium; their faces are stored once."""
    return [m for m in from_table(group.read("media"), MediaRecord) if is_labelled(m)]


def is_labelled(media: MediaRecord) -> bool:
    """Whether a medium can be learned from: it has a label, and faces."""
    return media.label is not None and media.faces > 0


def media_of(groups: Sequence[ShardGroup], given: SplitFile | None, notes: list[str]) -> list[MediaRecord]:
    """All rows of some datasets' media tables, or those that a split file lists, with its splits and groups.

    Raises UsageError where the file lists what is of none of the datasets.
    """
    rows = [(group, m) for group in groups for m in from_table(group.read("media"), MediaRecord)]
    if given is None:
        return [m for _, m in rows]
    roots = {group.root: source_root(stored_job(group)) for group in groups}
    places = [place_of(m, roots[group.root]) for group, m in rows]
    found = [(m, row) for (_, m), row in zip(rows, given.match(places), strict=True) if row and row.split]
    notes.append(f"split {given}: {len(found)} of {len(rows)} files are in it")
    learned = len({m.media_id for m, row in found if m.split is Split.TEST and row.split is not Split.TEST})
    if learned:
        notes.append(
            f"warning: it has {media_words(learned)} of the stored test split in train or validation"
        )
    media = [replace(m, split=row.split, group=row.group or m.group) for m, row in found]
    for leak in leaks(media, {m.path: m.media_id for m in media})[:SHOWN_LEAKS]:
        notes.append(f"warning: the split file leaks: {leak}")
    return media


def place_of(media: MediaRecord, root: str) -> Place:
    """How a split file may name a medium of a dataset whose source is `root`."""
    return Place(media.path, relative_to(media.path, root), media.media_id if media.sha256 else None)


def source_root(job: Mapping[str, Any]) -> str:
    """The folder that the stored paths of a dataset lie in, as far as extraction noted it."""
    root = str(job.get("root") or job.get("configuration", {}).get("source", ""))
    return str(Path(root).parent) if Path(root).is_file() else root


def of_methods(media: list[MediaRecord], methods: Sequence[str] | None) -> list[MediaRecord]:
    """The fakes of some methods, and the reals of the subsets that these fakes are of; all where none is named.

    Raises UsageError naming a method that is not there, with those that are.
    """
    if methods is None:
        return media
    fakes = [m for m in media if m.label]
    there = sorted({m.method for m in fakes if m.method})
    if unknown := [method for method in methods if method not in there]:
        raise UsageError(f"--methods {unknown[0]}: the data have {', '.join(there) or 'no methods'}")
    subsets = {m.subset for m in fakes if m.method in methods}
    return [m for m in media if (m.method in methods if m.label else m.subset in subsets)]


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
    return read_job(group.root)


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
