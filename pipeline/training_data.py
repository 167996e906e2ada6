"""Which media of the workspace a training run learns from, which validate it, and what to tell the user of that."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.split_files import read_split_file
from ffpipe.manifests.splits import components, group_key, hold_out_validation
from ffpipe.pipeline.balance import PseudoFakes
from ffpipe.pipeline.config import ExtractConfig, TrainConfig
from ffpipe.pipeline.halving import halve_validation
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.overlap import clips_of
from ffpipe.pipeline.stored_media import (
    are,
    crop_settings,
    data_digest,
    is_labelled,
    labelled_media,
    media_of,
    media_words,
    of_methods,
    of_quality,
    parts_of,
    stored_job,
    without_conflicts,
)
from ffpipe.pipeline.training_job import counted
from ffpipe.pipeline.workspace import Workspace, name_for
from ffpipe.stages.crop import CropSettings

#: Settings of extract that decide, beside the frames, what it stores.
_KEPT_SETTINGS = (
    "dataset", "only", "splits", "seed", "store_size", "cropped", "whole", "decoder", "detector", "max_pixels",
    "max_bytes", "timeout",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingMedia:
    """Media by id for training and for validation, with lines for the user.

    quality: the one that all media have, as far as they have any. split: where the division comes from, in words.
    crop: settings that the faces were cut with. data_digest: hash of the shards' content. train_clips and
    validation_clips: the clips that the media are copies of. splits_digest: hash of the split file, where there is one.
    calibration: the half of the validation groups that training does not look at (calibration_clips: its clips);
    halved: what was done, in words.
    """

    datasets: tuple[str, ...]
    train: dict[str, Labelled]
    validation: dict[str, Labelled]
    quality: str | None
    split: str
    crop: CropSettings
    data_digest: str
    train_clips: list[str] = field(default_factory=list)
    validation_clips: list[str] = field(default_factory=list)
    splits_digest: str | None = None
    notes: list[str] = field(default_factory=list)
    calibration: dict[str, Labelled] = field(default_factory=dict)
    calibration_clips: list[str] = field(default_factory=list)
    halved: str = ""


def pseudo_fakes(config: TrainConfig) -> PseudoFakes | None:
    """What the settings ask for. Raises UsageError for a share of none."""
    if config.pseudo_fakes is None:
        if config.pseudo_share is not None:
            raise UsageError(f"--pseudo-share {config.pseudo_share:g} needs --pseudo-fakes selfblend")
        return None
    return PseudoFakes() if config.pseudo_share is None else PseudoFakes(config.pseudo_share)


def choose_media(
    workspace: Workspace,
    data: Sequence[str],
    quality: str | None,
    left_out: Sequence[str],
    seed: int,
    pseudo: PseudoFakes | None = None,
    *,
    splits: Path | None = None,
    methods: Sequence[str] | None = None,
    halve: bool = True,
) -> TrainingMedia:
    """The media to train on: the named datasets, or the only labelled one; the test split is never touched.

    With pseudo-fakes real media are enough. Those never validate, so that without labelled fakes nothing does.
    A split file at `splits` replaces the stored split. Fakes are those of `methods`, else of all but `left_out`.
    With `halve` half of the validation groups are kept for calibration, where there are enough of them.

    Raises UsageError where the choice is not clear (several datasets or qualities), a name is unknown, a class
    is missing, the split file lists what is not there, datasets were cut with different crop settings, or pseudo-fakes
    are asked of whole images.
    """
    names = _choose_datasets(workspace, data)
    groups = [workspace.dataset(name) for name in names]
    notes: list[str] = []
    given = read_split_file(splits) if splits else None
    stored = [m for m in media_of(groups, given, notes) if is_labelled(m)]
    media = of_quality(of_methods(stored, methods), quality, notes)
    media = media if methods else _without_methods(media, left_out, notes)
    media = without_conflicts(media, notes)
    jobs = [stored_job(group) for group in groups]
    crop = crop_settings(names, jobs)
    if pseudo:
        _require_faces(crop, names)
    sources = sorted({str(job.get("split_source", "none")) for job in jobs})
    source = str(given) if given else f"the datasets' own ({'; '.join(sources)})"
    spare = pseudo is None or _has_fakes(media)
    train, validation, split = _divide(media, source, seed, notes, spare=spare)
    if pseudo:
        train, validation = _beside_pseudo_fakes(train, validation, pseudo, notes)
    _require_classes(train, names, pseudo)
    validation, calibration, halved = halve_validation(validation, wanted=halve)
    return TrainingMedia(
        datasets=names,
        train=train,
        validation=validation,
        quality=next((m.quality for m in media if m.quality), None),
        split=split,
        crop=crop,
        data_digest=data_digest(groups),
        train_clips=clips_of(stored, train),
        validation_clips=clips_of(stored, validation),
        splits_digest=given.digest if given else None,
        notes=notes,
        calibration=calibration,
        calibration_clips=clips_of(stored, calibration),
        halved=halved,
    )


def _choose_datasets(workspace: Workspace, data: Sequence[str]) -> tuple[str, ...]:
    there = workspace.datasets()
    if not there:
        raise UsageError(f"no dataset in {workspace.root}; make one with `ffpipe extract FOLDER`")
    unknown = [name for name in data if name not in there]
    if unknown:
        raise UsageError(
            f"--data {unknown[0]}: no such dataset in {workspace.root}; there are {', '.join(there)}"
        )
    if data:
        return tuple(dict.fromkeys(data))
    labelled = [name for name in there if labelled_media(workspace.dataset(name))]
    if not labelled:
        raise UsageError(f"no dataset in {workspace.root} has labelled faces; there are {', '.join(there)}")
    if len(labelled) > 1:
        raise UsageError(
            f"several labelled datasets: {', '.join(labelled)}; say which to train on with --data, "
            "so that none that is meant for testing is trained on by accident"
        )
    return (labelled[0],)


def _without_methods(
    media: list[MediaRecord], left_out: Sequence[str], notes: list[str]
) -> list[MediaRecord]:
    methods = {m.method for m in media if m.method}
    if not methods - set(left_out):
        return media
    dropped = Counter(m.method for m in media if m.method in left_out and m.split is not Split.TEST)
    if dropped:
        listed = ", ".join(f"{count} of {method}" for method, count in sorted(dropped.items(), key=str))
        notes.append(f"left out, since the protocol does not train on them: {listed}")
    return [m for m in media if m.method not in left_out]


def _require_faces(crop: CropSettings, names: Sequence[str]) -> None:
    if crop.kind == "whole":
        raise UsageError(
            f"--pseudo-fakes selfblend: {', '.join(names)}: these are whole images, in which no face was looked "
            "for; blending needs faces, as extract cuts them without --whole"
        )


def _has_fakes(media: Iterable[MediaRecord]) -> bool:
    """Whether fakes are labelled that training may look at."""
    return any(m.label == Label.FAKE and m.split is not Split.TEST for m in media)


def _beside_pseudo_fakes(
    train: dict[str, Labelled], validation: dict[str, Labelled], pseudo: PseudoFakes, notes: list[str]
) -> tuple[dict[str, Labelled], dict[str, Labelled]]:
    """What trains and validates where fakes are made of real faces."""
    fakes = sum(medium.label for medium in train.values())
    if fakes and pseudo.share == 1:
        train = {name: medium for name, medium in train.items() if not medium.label}
        notes.append(
            f"{media_words(fakes)} labelled fake {are(fakes)} not trained on, since --pseudo-share is 1"
        )
    if not any(medium.label for medium in validation.values()):
        unused = f"; {media_words(len(validation))} held out as validation stay unused" if validation else ""
        notes.append(
            "no validation: no fake is labelled for it, and pseudo-fakes never validate; the last epoch is kept, the "
            f"model will be marked unvalidated, and its verdicts stay inconclusive{unused}"
        )
        validation = {}
    return train, validation


def _divide(
    media: list[MediaRecord], split: str, seed: int, notes: list[str], spare: bool
) -> tuple[dict[str, Labelled], dict[str, Labelled], str]:
    """Training, validation, and where the division comes from; `spare` holds groups out where the datasets do not."""
    parts = parts_of(media)
    joined = components([group_key(m), m.media_id] for m in media)
    train = [m for m in media if parts[m.media_id] is Split.TRAIN]
    held_out = [m for m in media if parts[m.media_id] is Split.VAL]
    if not held_out and train and spare:
        groups = hold_out_validation(train, seed)
        held_out = [m for m in train if group_key(m) in groups]
        ids = {m.media_id for m in held_out}
        train = [m for m in train if m.media_id not in ids]
        split = f"{counted(len(groups), 'whole group')} held out of train, seed {seed}"
        notes.append(_held_out_line(len(groups), len(ids), seed))
    shared = {joined[m.media_id] for m in train} & {joined[m.media_id] for m in held_out}
    if shared:
        verb = "stands" if len(shared) == 1 else "stand"
        notes.append(
            f"warning: {counted(len(shared), 'group')} {verb} in both train and validation of the given split"
        )
    tested = sum(part is Split.TEST for part in parts.values())
    if tested:
        notes.append(f"{media_words(tested)} of the test split {are(tested)} not touched")
    return _by_id(train, joined), _by_id(held_out, joined), split


def _held_out_line(groups: int, media: int, seed: int) -> str:
    if not groups:
        return (
            "no validation: no whole group can be spared from train; the model will be marked unvalidated, and its "
            "verdicts stay inconclusive"
        )
    return (
        f"no validation split: {counted(groups, 'whole group')} ({media} media) held out of train, "
        f"seed {seed}"
    )


def _by_id(media: Iterable[MediaRecord], joined: dict[str, str]) -> dict[str, Labelled]:
    return {
        m.media_id: Labelled(int(m.label or 0), joined[m.media_id], m.frames_decoded, m.method) for m in media
    }


def _require_classes(train: dict[str, Labelled], names: Sequence[str], pseudo: PseudoFakes | None) -> None:
    labels = {medium.label for medium in train.values()}
    if pseudo and 0 not in labels:
        raise UsageError(
            f"no real media to train on in {', '.join(names)}: pseudo-fakes are made of real faces"
        )
    if labels != {0, 1} and not pseudo:
        missing = "real and fake" if not labels else "fake" if labels == {0} else "real"
        raise UsageError(f"no {missing} media to train on in {', '.join(names)}: both classes are needed")


def more_frames(workspace: Workspace, names: Sequence[str], frames: int) -> list[str]:
    """Commands that extract datasets again with `frames` a video; none for those that have no more.

    Those were extracted with as many or all, or every frame of every medium was taken. Raises StorageError.
    """
    stored = {name: stored_job(workspace.dataset(name)).get("configuration", {}) for name in names}
    return [
        extract_command(workspace, name, configuration, frames)
        for name, configuration in stored.items()
        if not _all_taken(workspace.dataset(name))
        if configuration.get("frames") is None
        or isinstance(configuration["frames"], int)
        and configuration["frames"] < frames
    ]


def _all_taken(group: ShardGroup) -> bool:
    """Whether the media with faces, pictures or short sequences of them, had no more frames than were taken."""
    stored = group.read("media", ["faces", "frame_count", "frames_decoded"]).to_pylist()
    counts = [(row["frame_count"], row["frames_decoded"]) for row in stored if row["faces"]]
    return bool(counts) and all(count is not None and taken >= count for count, taken in counts)


def extract_command(
    workspace: Workspace, name: str, configuration: dict[str, Any], frames: int | None = None
) -> str:
    """The command that made a dataset of this configuration; with `frames` the one that makes it anew with so many."""
    source = str(configuration.get("source", "SOURCE"))
    words = ["ffpipe", "extract", source]
    wanted = frames or configuration.get("frames")
    words += ["--frames", str(wanted)] if wanted else []
    for key in _KEPT_SETTINGS:
        value = configuration.get(key)
        if value and value != ExtractConfig.model_fields[key].default:
            flag = f"--{key.replace('_', '-')}"
            values = value if isinstance(value, list) else [value]
            words += [flag] if value is True else [word for v in values for word in (flag, str(v))]
    if name != name_for(Path(source).name):
        words += ["--name", name]
    return shlex.join([*words, *workspace.words(), *(["--overwrite"] if frames else [])])
