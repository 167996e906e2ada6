"""Which media calibrate a run: the half of its validation that was kept for it, or another labelled dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.splits import components, group_key
from ffpipe.pipeline.config import CalibrateConfig
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.overlap import clips_of, require_new, tied_to
from ffpipe.pipeline.stored_media import (
    crop_settings,
    data_digest,
    is_labelled,
    media_of,
    media_words,
    of_methods,
    of_quality,
    parts_of,
    stored_job,
    without_conflicts,
)
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings

#: The split of a run's own calibration half, in words.
OWN_HALF = "calibration half of validation"


@dataclass(frozen=True, slots=True)
class Fold:
    """Labelled media with pictures of some datasets, in groups that nothing ties together."""

    names: tuple[str, ...]
    groups: list[ShardGroup]
    media: list[MediaRecord]
    split: str
    labelled: dict[str, Labelled]
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """What the folder of a calibration on it is called."""
        return "-".join([*self.names, "half" if self.split == OWN_HALF else "data"])[:100]

    @property
    def crop(self) -> CropSettings:
        """How its faces were cut. Raises UsageError where its datasets differ in that."""
        return crop_settings(self.names, [stored_job(group) for group in self.groups])

    @property
    def quality(self) -> str | None:
        """The one that its media have, as far as they have any."""
        return next((m.quality for m in self.media if m.quality), None)

    @property
    def forgeries(self) -> tuple[str, ...]:
        """Methods of its fakes, as far as they are known."""
        return tuple(sorted({m.method for m in self.media if m.label and m.method}))

    @property
    def clips(self) -> list[str]:
        """The clips that its media are copies of."""
        return clips_of(self.media, self.labelled)

    def digest(self) -> str:
        """Hash of its media with labels and groups, and of all that its datasets hold, 16 hex digits."""
        lines = [f"{name} {m.label} {m.group}" for name, m in sorted(self.labelled.items())]
        return hashlib.sha256("\n".join([data_digest(self.groups), *lines]).encode()).hexdigest()[:16]

    def line(self) -> str:
        """What it is, in words."""
        fakes = sum(m.label for m in self.labelled.values())
        groups = len({m.group for m in self.labelled.values()})
        return (
            f"calibrating on {len(self.labelled) - fakes} real and {fakes} fake media of {groups} groups of "
            f"{', '.join(self.names)}, {self.split}"
        )


def choose_fold(weights: Weights, config: CalibrateConfig, workspace: Workspace) -> Fold:
    """The media that the settings ask for. Raises UsageError (none such, or the run has seen them) and StorageError."""
    if config.data is None:
        return _own_half(weights, config, workspace)
    return _other(config.data, weights, config, workspace)


def _own_half(weights: Weights, config: CalibrateConfig, workspace: Workspace) -> Fold:
    told = weights.loaded.config
    kept: Mapping[str, str] = told.get("calibration_media") or {}
    if not kept:
        why = (
            told.get("calibration_half") or "no half of its validation was kept, as earlier versions did not"
        )
        raise UsageError(
            f"{weights.name}: {why}; give --data DATASET to calibrate on another labelled dataset"
        )
    if config.quality or config.methods:
        raise UsageError(
            "--quality and --methods choose among the media of --data; a run's own half is as it is"
        )
    names = tuple(told["data"]["datasets"])
    groups = [_dataset(name, workspace, "the run's dataset") for name in names]
    rows = [m for m in media_of(groups, None, []) if m.media_id in kept and is_labelled(m)]
    there = {m.media_id: m for m in rows}
    if missing := len(kept) - len(there):
        raise UsageError(
            f"{media_words(missing)} of the {len(kept)} that the run's validation kept for calibration are not in "
            f"{', '.join(names)} of {workspace.root} any more"
        )
    notes = require_new(rows, told, ", ".join(names))
    known = media_of(groups, None, [])
    if tied := tied_to(rows, known, _seen(told)):
        notes.append(
            f"warning: {media_words(len(tied))} of these share a group or a person with what trained or validated the "
            "run, as the split was given; the calibration flatters it"
        )
    return Fold(names, groups, rows, OWN_HALF, _labelled(there.values(), kept), notes)


def _other(name: str, weights: Weights, config: CalibrateConfig, workspace: Workspace) -> Fold:
    """A dataset but for its test split, and for what its groups or people tie to that or to what the run has seen."""
    group = _dataset(name, workspace, "--data")
    notes: list[str] = []
    told = weights.loaded.config
    known = media_of([group], None, notes)
    media = of_methods([m for m in known if is_labelled(m)], config.methods)
    media = without_conflicts(of_quality(media, config.quality, notes), notes)
    parts = parts_of(media)
    tested = {m.media_id for m in media if parts[m.media_id] is Split.TEST}
    media = [m for m in media if m.media_id not in tested]
    notes += require_new(media, told, name)
    every = {m.media_id for m in known if m.split is Split.TEST}
    for ids, what in ((every, "its test split"), (_seen(told), "what trained or validated the run")):
        tied = tied_to(media, known, ids)
        media = [m for m in media if m.media_id not in tied]
        if tied:
            notes.append(f"{media_words(len(tied))} left out, which share a group or a person with {what}")
    if tested:
        notes.append(f"{media_words(len(tested))} of its test split are kept for evaluation")
    if not media:
        raise UsageError(
            f"--data {name}: nothing of it can calibrate this run{': ' if notes else ''}{'; '.join(notes)}"
        )
    joined = components([group_key(m), m.media_id] for m in media)
    return Fold((name,), [group], media, "all but its test split", _labelled(media, joined), notes)


def _labelled(media: Any, groups: Mapping[str, str]) -> dict[str, Labelled]:
    return {
        m.media_id: Labelled(int(m.label or 0), groups[m.media_id], m.frames_decoded, m.method) for m in media
    }


def _dataset(name: str, workspace: Workspace, what: str) -> ShardGroup:
    there: Sequence[str] = workspace.datasets()
    if name not in there:
        raise UsageError(
            f"{what} {name}: no such dataset in {workspace.root}; there are {', '.join(there) or 'none'}"
        )
    return workspace.dataset(name)


def _seen(told: Mapping[str, Any]) -> frozenset[str]:
    """Ids of the media that trained a run, or chose its checkpoint and thresholds."""
    return frozenset([*told.get("train_media", ()), *told.get("validation_media", ())])
