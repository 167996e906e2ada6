"""What a run has learned from, as its config.json tells, and which media it has therefore seen already.

A medium was seen where the run was trained on its content, or on another copy of its clip (the same `pair_id`, as the
qualities of FaceForensics++ have); what its teacher was trained on, a student has learned from as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.splits import group_key, identities
from ffpipe.pipeline.stored_media import media_words

#: Keys of config.json, of the run itself and below `teacher`. Runs of earlier versions have no clips.
_MEDIA, _CLIPS = "train_media", "train_clips"
_HELD_OUT, _HELD_OUT_CLIPS = "validation_media", "validation_clips"


def clips_of(media: Iterable[MediaRecord], ids: Collection[str]) -> list[str]:
    """The clips that the media of the ids are copies of, sorted; media of no named clip have none."""
    return sorted({m.pair_id for m in media if m.media_id in ids and m.pair_id is not None})


def taught_from(teacher: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a student notes of its teacher's config.json: what that one, and who taught it, was trained on."""
    told = [teacher, teacher.get("teacher", {})]
    return {
        key: sorted({name for part in told for name in part.get(key, ())})
        for key in (_MEDIA, _CLIPS)
        if key in teacher
    }


@dataclass(frozen=True, slots=True)
class _Learned:
    """Ids of media and of clips that a run or its teacher learned from, and of which quality, where it is known."""

    media: Collection[str]
    clips: Collection[str]
    quality: str | None

    @classmethod
    def of(cls, told: Mapping[str, Any], quality: str | None, keys: tuple[str, str]) -> Self:
        media, clips = (frozenset(told.get(key, ())) for key in keys)
        return cls(media, clips, quality)

    def seen(self, media: Iterable[MediaRecord]) -> _Seen:
        same: dict[str, str] = {}
        copies: dict[str, str] = {}
        for m in media:
            if m.media_id in self.media:
                same.setdefault(m.media_id, m.path)
            elif m.pair_id in self.clips:
                copies.setdefault(m.media_id, m.path)
        return _Seen(same, {name: path for name, path in copies.items() if name not in same}, self.quality)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Paths by id of media that were seen: as `same` content, or as other `copies` of a clip, of a quality."""

    same: Mapping[str, str]
    copies: Mapping[str, str]
    quality: str | None

    @property
    def ids(self) -> set[str]:
        return {*self.same, *self.copies}

    def words(self, of: str, examples: bool) -> str:
        """Such as `2 media of these and other copies (c40) of 1 medium of these`."""
        copies = f"other copies{f' ({self.quality})' if self.quality else ''} of "
        return " and ".join(
            f"{prefix}{media_words(len(found))} of {of}"
            + (f", such as {next(iter(found.values()))}" if examples else "")
            for prefix, found in (("", self.same), (copies, self.copies))
            if found
        )


def check_overlap(
    media: Sequence[MediaRecord], config: Mapping[str, Any], data: str, split: Split | str
) -> list[str]:
    """Lines on what the run of a config.json has seen of a dataset's media, rows of its media table.

    Raises UsageError where the run or its teacher was trained on some, except for the train split.
    """
    if _MEDIA not in config:
        return [
            "this run does not say which media it was trained on; that it saw none of these was not checked"
        ]
    notes = _unchecked(media, config)
    teacher, quality = config.get("teacher", {}), config.get("data", {}).get("quality")
    own = _Learned.of(config, quality, (_MEDIA, _CLIPS)).seen(media)
    rest = [m for m in media if m.media_id not in own.ids]
    taught = _Learned.of(teacher, teacher.get("quality"), (_MEDIA, _CLIPS)).seen(rest)
    trained = [(who, seen) for who, seen in (("the run", own), ("its teacher", taught)) if seen.ids]
    if trained and split != Split.TRAIN:
        told = "; ".join(
            f"{who} was trained on {seen.words(f'--split {split} of {data}', examples=True)}"
            for who, seen in trained
        )
        raise UsageError(
            f"{told}; figures of those would mean nothing (--split train gives them, with a warning)"
        )
    notes += [
        f"warning: {who} was trained on {seen.words('these', examples=False)}; the figures flatter it"
        for who, seen in trained
    ]
    chose = _Learned.of(config, quality, (_HELD_OUT, _HELD_OUT_CLIPS)).seen(media)
    if chose.ids:
        notes.append(
            f"warning: {chose.words('these', examples=False)} chose the run's checkpoint and thresholds; the figures "
            "flatter it a little"
        )
    return notes


def require_new(media: Sequence[MediaRecord], config: Mapping[str, Any], data: str) -> list[str]:
    """Lines on what is not known of a run and media that are to calibrate it, rows of the media table of `data`.

    Raises UsageError where the run or its teacher was trained on some of them, also at another quality of a clip, or
    they chose its checkpoint and thresholds.
    """
    if _MEDIA not in config:
        return [
            "this run does not say which media it was trained on; that none of these were among them was not checked"
        ]
    teacher, quality = config.get("teacher", {}), config.get("data", {}).get("quality")
    told = {
        "the run was trained on": _Learned.of(config, quality, (_MEDIA, _CLIPS)),
        "its teacher was trained on": _Learned.of(teacher, teacher.get("quality"), (_MEDIA, _CLIPS)),
        "the run's checkpoint and thresholds were chosen by": _Learned.of(
            config, quality, (_HELD_OUT, _HELD_OUT_CLIPS)
        ),
    }
    found = {what: learned.seen(media) for what, learned in told.items()}
    shared = [f"{what} {seen.words(data, examples=True)}" for what, seen in found.items() if seen.ids]
    if shared:
        raise UsageError(f"{'; '.join(shared)}: a calibration needs media that the run knows nothing of")
    return _unchecked(media, config)


def shared_people(
    media: Sequence[MediaRecord], known: Sequence[MediaRecord], config: Mapping[str, Any]
) -> list[str]:
    """A line on media that show whom, or what, the run of a config.json was trained on, though in other files.

    known are rows of the same dataset, those that the run was trained on among them: names of people and of groups mean
    nothing across datasets.
    """
    shared = tied_to(media, known, frozenset(config.get(_MEDIA, ())))
    if not shared:
        return []
    return [
        f"warning: {media_words(len(shared))} of these share a group or a person with what the run was trained on; the "
        "figures flatter it"
    ]


def tied_to(
    media: Iterable[MediaRecord], known: Iterable[MediaRecord], ids: Collection[str]
) -> frozenset[str]:
    """The media, none of `ids` themselves, that share a group or a person with media of `ids` among `known`."""
    others = [m for m in known if m.media_id in ids]
    groups = {group_key(m) for m in others}
    people = {name for m in others for name in identities(m)}
    return frozenset(
        m.media_id
        for m in media
        if m.media_id not in ids and (group_key(m) in groups or not people.isdisjoint(identities(m)))
    )


def _unchecked(media: Iterable[MediaRecord], config: Mapping[str, Any]) -> list[str]:
    """Lines on what a run of an earlier version does not tell."""
    notes = []
    if "teacher" in config and _MEDIA not in config["teacher"]:
        notes.append("this run does not say what its teacher was trained on; that was not checked")
    told = [config, config["teacher"]] if "teacher" in config else [config]
    if any(_CLIPS not in part for part in told if _MEDIA in part) and any(m.pair_id for m in media):
        notes.append(
            "this run, or its teacher, does not say which clips it was trained on: only equal files were looked for, "
            "not other qualities of the same clip"
        )
    return notes
