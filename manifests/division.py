"""Seeded division of a dataset's media, with three ways to treat media that tie many groups together.

Forgeries show two people, so that a set in which everybody is swapped with everybody is one single group: nothing of it
can be divided whole. What is done then is the user's choice, one of `LINKS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import (
    assign_groups,
    group_key,
    identities,
    merge_clip_groups,
    merge_content_groups,
    merge_identity_groups,
    seeded_split,
)

Ratios = tuple[float, float, float]

#: Ways to treat media that tie identities together, with what each does.
LINKS = {
    "whole": "everything that is tied together stays together",
    "drop": "identities are divided, and media that tie two splits together are left out",
    "ignore": "media are divided whoever they show, as many papers do: identities leak",
}
#: Seeded draws of which the division of identities that comes nearest to the ratios is taken, at each evenness.
_DRAWS = 16
#: How far the shares of identities are drawn towards equal ones. A split with a tenth of the people keeps a hundredth
#: of the fakes between people, so that small splits need more people than media.
_EVENNESS = (0.0, 0.1, 0.2, 0.3)


def grouped(entries: Sequence[Entry], contents: Mapping[str, str]) -> list[Entry]:
    """Entries in groups that share no identity, clip or content; `contents` maps path to a content's id."""
    return merge_content_groups(merge_identity_groups(entries), contents)


def divide(
    entries: Sequence[Entry], contents: Mapping[str, str], seed: int, ratios: Ratios, links: str = "whole"
) -> list[Entry]:
    """Entries with split and group set, as `links` says; those that are left out have no split.

    Raises:
        UsageError: `links` is none of LINKS, or the ratios are no shares.
    """
    if links not in LINKS:
        raise UsageError(f"--links {links!r}: allowed are {', '.join(LINKS)}")
    if links == "whole":
        return seeded_split(grouped(entries, contents), seed, ratios)
    alone = _untied(entries, contents)
    if links == "ignore":
        return seeded_split(alone, seed, ratios)
    placed = _divide_identities(alone, seed, ratios)
    kept = iter(grouped([replace(e, group=_own_group(e)) for e in placed if e.split], contents))
    return [next(kept) if entry.split else entry for entry in placed]


def shares(entries: Sequence[Entry], label: Label | None = None) -> Ratios:
    """The part of the placed entries (of a label) that each split has; zeros where there are none."""
    counts = Counter(e.split for e in entries if e.split and (label is None or e.label is label))
    total = max(counts.total(), 1)
    train, val, test = (counts[split] / total for split in Split)
    return train, val, test


def _own_group(entry: Entry) -> str | None:
    """The group of a medium that shows nobody by name; where identities are known they group alone."""
    return None if identities(entry) else entry.group


def _untied(entries: Sequence[Entry], contents: Mapping[str, str]) -> list[Entry]:
    """Entries in groups of one clip or content each, whoever they show."""
    bare = [replace(entry, group=_own_group(entry)) for entry in entries]
    return merge_content_groups(merge_clip_groups(bare), contents)


def _divide_identities(entries: Sequence[Entry], seed: int, ratios: Ratios) -> list[Entry]:
    """Of several seeded divisions of the identities, the one that comes nearest to the ratios with what it keeps."""
    return max(
        (
            _by_identity(entries, f"{seed}.{draw}", _evened(ratios, evenness))
            for evenness in _EVENNESS
            for draw in range(_DRAWS)
        ),
        key=lambda placed: _worth(placed, ratios),
    )


def _evened(ratios: Ratios, evenness: float) -> Ratios:
    """Ratios drawn towards equal ones; a share of nothing stays nothing."""
    equal = evenness / sum(ratio > 0 for ratio in ratios)
    train, val, test = ((1 - evenness) * ratio + equal if ratio > 0 else 0.0 for ratio in ratios)
    return train, val, test


def _by_identity(entries: Sequence[Entry], seed: int | str, ratios: Ratios) -> list[Entry]:
    """Give each identity a split, and each group of copies that of its identities where they agree."""
    shown: dict[str, set[str]] = {}
    for entry in entries:
        shown.setdefault(group_key(entry), set()).update(identities(entry))
    # A medium weighs for its target alone; a medium that shows nobody by name is a group of its own.
    weighed = [
        replace(e, group=f"id/{e.target_id or e.source_id}" if identities(e) else group_key(e))
        for e in entries
    ]
    sources = {name for names in shown.values() for name in names}
    weighed += [Entry(f"id/{name}", Label.FAKE, group=f"id/{name}") for name in sorted(sources)]
    assigned = assign_groups(weighed, seed, ratios)
    splits = {
        group: {assigned[f"id/{name}"] for name in names} or {assigned[group]}
        for group, names in shown.items()
    }
    return [
        replace(entry, split=next(iter(found)) if len(found := splits[group_key(entry)]) == 1 else None)
        for entry in entries
    ]


def _worth(placed: Sequence[Entry], ratios: Ratios) -> tuple[int, float, int]:
    """How good a division is: splits that have each class, nearness to the ratios, media that are kept."""
    cells = len({(entry.split, entry.label) for entry in placed if entry.split})
    distance = sum(
        abs(share - ratio)
        for label in Label
        for share, ratio in zip(shares(placed, label), ratios, strict=True)
    )
    return cells, -distance, sum(entry.split is not None for entry in placed)
