"""Which media of two class folders belong together, judged from their places and names alone.

A clip is a video, all images of one subfolder, or all images named `<clip>_frame<N>`. Joined are:
- what is called the same at one place of both trees (`real/a/1.mp4`, `fake/a/1.mp4`);
- everything in a subfolder that both classes have (`real/alice/`, `fake/alice/`), unless it is the only one;
- a fake and the reals whose names its name holds between underscores (`000_003`, of `000` and `003`);
- fakes that share a number in such a pair (`000_003` and `003_000`), also where the reals are absent.
Rather too much is joined than too little: a leak flatters a detector, a large group only costs variety.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from ffpipe.manifests.filekinds import IMAGE_SUFFIXES
from ffpipe.manifests.records import Entry, Label
from ffpipe.manifests.splits import components

_FRAME_NAME = re.compile(r"(?P<clip>.+?)[-_. ]?(?:frame|frm|face)[-_. ]?\d+", re.IGNORECASE)
_ID_PAIR = re.compile(r"(\d+)_(\d+)")
#: Longer runs of name parts are not looked up among the real names; no name in use comes near it.
_LONGEST_RUN = 8


def group_clips(media: Sequence[tuple[Entry, PurePath]]) -> list[Entry]:
    """Entries with `group` set, and `method` for fakes in subfolders that name no subject.

    Each medium comes with its place: its path relative to its class folder.
    """
    clips = [(entry, _clip(place)) for entry, place in media]
    subjects = _subjects(clips)
    distinct = {(entry.label, clip) for entry, clip in clips}
    names = Counter(clip.name for label, clip in distinct if label is Label.REAL)
    keys = {(label, clip): _keys(label, clip, subjects, names) for label, clip in distinct}
    joined = components(keys.values())
    return [
        replace(
            entry,
            group=f"folder/{joined[keys[entry.label, clip][0]]}",
            method=_method(clip, subjects) if entry.label is Label.FAKE else None,
        )
        for entry, clip in clips
    ]


def _clip(place: PurePath) -> PurePath:
    """The clip that a medium is, or is a frame of, as a path below the class folder."""
    if place.suffix.lower() not in IMAGE_SUFFIXES:
        return place.with_suffix("")
    if len(place.parts) > 1:
        return place.parent
    frame = _FRAME_NAME.fullmatch(place.stem)
    return PurePath(frame["clip"] if frame else place.stem)


def _subjects(clips: Sequence[tuple[Entry, PurePath]]) -> frozenset[str]:
    """First-level subfolders that both classes have; a single subfolder of all is mere structure."""
    tops: dict[Label | None, set[str]] = {Label.REAL: set(), Label.FAKE: set()}
    for entry, clip in clips:
        if len(clip.parts) > 1:
            tops[entry.label].add(clip.parts[0])
    shared = tops[Label.REAL] & tops[Label.FAKE]
    return frozenset(shared if len(tops[Label.REAL] | tops[Label.FAKE]) > 1 else ())


def _keys(
    label: Label | None, clip: PurePath, subjects: frozenset[str], real_names: Mapping[str, int]
) -> list[str]:
    """What a clip shares with others. A name that several reals bear (`1` in many folders) joins nothing."""
    keys = [f"clip/{clip}"]
    if len(clip.parts) > 1 and clip.parts[0] in subjects:
        keys.append(f"subject/{clip.parts[0]}")
    if label is Label.REAL:
        named = {clip.name}
    else:
        named = _runs(clip.name) & real_names.keys()
    keys += [f"name/{name}" for name in sorted(named) if real_names[name] == 1]
    if label is Label.FAKE and (pair := _ID_PAIR.fullmatch(clip.name)):
        keys += [f"name/{identity}" for identity in pair.groups() if real_names.get(identity, 0) <= 1]
    return keys


def _runs(name: str) -> set[str]:
    parts = name.split("_")
    return {
        "_".join(parts[first:last])
        for first in range(len(parts))
        for last in range(first + 1, min(first + _LONGEST_RUN, len(parts)) + 1)
    }


def _method(clip: PurePath, subjects: frozenset[str]) -> str | None:
    return clip.parts[0] if len(clip.parts) > 1 and clip.parts[0] not in subjects else None
