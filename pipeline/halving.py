"""Validation in two halves of whole groups: one picks checkpoint and thresholds, the other is kept for calibration."""

from __future__ import annotations

from dataclasses import dataclass

from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import halve
from ffpipe.pipeline.loader import Labelled

Media = dict[str, Labelled]

#: Groups of each class that either half keeps: 19 of real media are what the bar at 5% false alarms takes.
MIN_HALF = 20


@dataclass(frozen=True, slots=True)
class _Placed:
    """A medium as splitting sees it: in one joined group, which nothing else ties to another."""

    path: str
    label: Label
    group: str
    split: Split | None = None
    source_id: str | None = None
    target_id: str | None = None
    pair_id: str | None = None


def halve_validation(media: Media, *, wanted: bool = True) -> tuple[Media, Media, str]:
    """The media that choose checkpoint and thresholds, those kept for calibration, and what was done, in words.

    Nothing is kept unless both halves have MIN_HALF groups of each class: small validations stay whole.
    """
    if not media:
        return media, {}, "there is no validation to halve"
    if not wanted:
        return media, {}, "validation was not halved, as was asked: all of it chose checkpoint and thresholds"
    members = [_Placed(name, Label(m.label), m.group) for name, m in media.items()]
    second = halve(members)
    kept = {name: m for name, m in media.items() if m.group in second}
    first = {name: m for name, m in media.items() if m.group not in second}
    if min(*_groups(first), *_groups(kept)) < MIN_HALF:
        real, fake = _groups(media)
        return (
            media,
            {},
            (
                f"validation is too small to be halved: {real} groups have real media and {fake} fake ones, and each "
                f"half needs {MIN_HALF} of both; all of it chose checkpoint and thresholds"
            ),
        )
    groups = len({m.group for m in kept.values()})
    fakes = sum(m.label for m in kept.values())
    return (
        first,
        kept,
        (
            f"validation halved by whole groups: {len(kept) - fakes} real and {fakes} fake media of {groups} groups "
            "are kept for `ffpipe calibrate`, and chose neither checkpoint nor thresholds"
        ),
    )


def _groups(media: Media) -> tuple[int, int]:
    """How many groups have real media, and how many fakes."""
    real, fake = (len({m.group for m in media.values() if m.label == label}) for label in Label)
    return real, fake
