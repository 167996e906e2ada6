"""Which media must stay together, and how they divide into train, validation and test without a leak.

A group is a connected component over everything that two media can share: source, target or actor identity,
and identical content. Only whole groups are ever assigned.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Label, Split

#: Share of the media for train, validation and test: FaceForensics++'s own 720 : 140 : 140.
RATIOS = (0.72, 0.14, 0.14)
#: What halving hashes names with: another order than that of any seed, which would put like with like.
_HALVING = "halves"


class Member(Protocol):
    """What splitting needs to know of a medium; `Entry` and `MediaRecord` both have it."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> Label | None: ...  # noqa: D102
    @property
    def split(self) -> Split | None: ...  # noqa: D102
    @property
    def group(self) -> str | None: ...  # noqa: D102
    @property
    def source_id(self) -> str | None: ...  # noqa: D102
    @property
    def target_id(self) -> str | None: ...  # noqa: D102
    @property
    def pair_id(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that stands in more than one split: a `group`, an `identity`, a `clip` or a `content` hash."""

    kind: str
    key: str
    splits: tuple[Split, ...]
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} is in {' and '.join(self.splits)} ({len(self.paths)} files)"


def components(links: Iterable[Collection[str]]) -> dict[str, str]:
    """Connected components by union-find: each node with the least node of its component.

    Each link joins all the nodes it holds; a link of one node makes that node known.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        roots = sorted({root(node) for node in link})
        for other in roots[1:]:
            parent[other] = roots[0]
    return {node: root(node) for node in list(parent)}


def group_key(member: Member) -> str:
    """The member's group, or its own path where it has none and so stands alone."""
    return member.path if member.group is None else member.group


def merge_content_groups(entries: Sequence[Entry], hashes: Mapping[str, str]) -> list[Entry]:
    """Entries with the groups joined that hold a file of identical content; `hashes` maps path to sha256.

    A joined group takes the least of the names. Entries that share no content stay as they are.
    """
    return _merge(entries, lambda e: [f"sha256:{hashes[e.path]}"] if e.path in hashes else [])


def merge_identity_groups(entries: Sequence[Entry]) -> list[Entry]:
    """Entries with the groups joined that share a source, a target or a clip, all of one dataset."""
    return _merge(merge_clip_groups(entries), lambda e: [f"identity:{name}" for name in identities(e)])


def merge_clip_groups(entries: Sequence[Entry]) -> list[Entry]:
    """Entries with the groups joined that hold copies of one clip."""
    return _merge(entries, lambda e: [f"clip:{e.pair_id}"] if e.pair_id is not None else [])


def identities(member: Member) -> list[str]:
    """The people, or source videos, that a medium is known to show."""
    return [name for name in (member.source_id, member.target_id) if name is not None]


def _merge(entries: Sequence[Entry], shared: Callable[[Entry], list[str]]) -> list[Entry]:
    """Entries with the groups joined that have something in common."""
    # The prefix sorts after any group or path, so that a component is never named by what it shares.
    links = [[group_key(entry), *(f"\U0010ffff{name}" for name in shared(entry))] for entry in entries]
    joined = components(links)
    merged = Counter(joined[key] for key in {group_key(entry) for entry in entries})
    return [
        replace(entry, group=joined[key]) if merged[joined[key := group_key(entry)]] > 1 else entry
        for entry in entries
    ]


def assign_groups(
    members: Sequence[Member], seed: int | str, ratios: tuple[float, float, float] = RATIOS
) -> dict[str, Split]:
    """A seeded split of whole groups: group -> split, near `ratios` of the media.

    Groups are taken in an order drawn from the seed and the group's name alone, and fill train first, then
    validation, then test. Groups with the same mix of labels are filled apart, so that each split sees each
    class where there are groups enough. Of a few equal groups, 1 gives train only, 2 train and validation,
    3 two of train and one of validation, 4 two, one and one. One group, or one group a class, gives no
    validation: train must keep every class.

    Raises:
        UsageError: ratios do not add up to one, or leave no train.
    """
    if min(ratios) < 0 or ratios[0] <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UsageError(f"split ratios must be shares of train, val and test that add up to 1, not {ratios}")
    weights = Counter(group_key(member) for member in members)
    labels: dict[str, set[Label | None]] = defaultdict(set)
    for member in members:
        labels[group_key(member)].add(member.label)
    strata: dict[frozenset[Label | None], list[str]] = defaultdict(list)
    for group in sorted(weights, key=lambda name: _draw(seed, name)):
        strata[frozenset(labels[group])].append(group)
    assigned: dict[str, Split] = {}
    for groups in strata.values():
        assigned |= _fill(groups, weights, ratios)
    if ratios[1] > 0 and Split.VAL not in assigned.values():
        _spare_one_for_validation(assigned, labels)
    return assigned


def seeded_split(
    entries: Sequence[Entry], seed: int, ratios: tuple[float, float, float] = RATIOS
) -> list[Entry]:
    """Entries with `split` set by `assign_groups`."""
    assigned = assign_groups(entries, seed, ratios)
    return [replace(entry, split=assigned[group_key(entry)]) for entry in entries]


def hold_out_validation(members: Sequence[Member], seed: int, share: float = RATIOS[1]) -> frozenset[str]:
    """Groups (as `group_key`) of the train members to hold out for validation, near `share` of the media.

    Pass the train members only. Both classes are held out where each has a group to spare; the result is
    empty where nothing can be, and the model must then be marked unvalidated.
    """
    assigned = assign_groups(members, seed, (1 - share, share, 0.0))
    return frozenset(group for group, split in assigned.items() if split is Split.VAL)


def halve(members: Sequence[Member]) -> frozenset[str]:
    """Groups (as `group_key`) that make the second half of some members, near half of the media.

    Groups with the same mix of labels are halved apart. Nothing is drawn: the hash of a group's name says where it
    goes, so that every run that holds out the same media has the same halves. A group that is more than half of its
    kind is in the first half.
    """
    assigned = assign_groups(members, _HALVING, (0.5, 0.5, 0.0))
    return frozenset(group for group, split in assigned.items() if split is Split.VAL)


def _draw(seed: int | str, group: str) -> bytes:
    """A group's place in the seeded order; it does not move when other groups come or go."""
    return sha256(f"{seed}:{group}".encode("utf-8", "surrogateescape")).digest()


def _fill(
    groups: Sequence[str], weights: Mapping[str, int], ratios: tuple[float, float, float]
) -> dict[str, Split]:
    """Lay groups end to end and give each the split in whose share of the length its middle falls."""
    total = sum(weights[group] for group in groups)
    # Too large for validation: taken first, so into train. Sorting is stable and keeps the seeded order.
    ordered = sorted(groups, key=lambda group: weights[group] <= ratios[1] * total)
    assigned: dict[str, Split] = {}
    laid = 0
    for group in ordered:
        middle = (laid + weights[group] / 2) / total
        laid += weights[group]
        if middle < ratios[0] or not assigned:
            assigned[group] = Split.TRAIN
        else:
            # Rounding of 0.72 + 0.14 must not push a last sliver into a test share of zero.
            in_val = middle < ratios[0] + ratios[1] or ratios[2] == 0
            assigned[group] = Split.VAL if in_val else Split.TEST
    if len(ordered) > 1 and ratios[1] > 0 and Split.VAL not in assigned.values():
        train = [group for group in ordered if assigned[group] is Split.TRAIN]
        assigned[train[-1] if len(train) > 1 else ordered[1]] = Split.VAL
    return assigned


def _spare_one_for_validation(assigned: dict[str, Split], labels: Mapping[str, set[Label | None]]) -> None:
    """Move one group from train to validation if train keeps every class; one with more classes first."""
    train = [group for group, split in assigned.items() if split is Split.TRAIN]
    held = Counter(label for group in train for label in labels[group])
    spare = [group for group in train if all(held[label] > 1 for label in labels[group])]
    if spare:
        assigned[max(spare, key=lambda group: len(labels[group]))] = Split.VAL


def leaks(members: Sequence[Member], hashes: Mapping[str, str] | None = None) -> list[Leak]:
    """Every group, identity, clip and (where `hashes` maps path to sha256) content found in more than one split.

    Give the members of one dataset: identities are compared by name. Members of no split are not in any.
    """
    places: dict[tuple[str, str], dict[Split, list[str]]] = defaultdict(lambda: defaultdict(list))
    for member in members:
        if member.split is None:
            continue
        keys = {("group", group_key(member))}
        keys |= {("identity", name) for name in identities(member)}
        keys |= {("clip", member.pair_id)} if member.pair_id is not None else set()
        if hashes and member.path in hashes:
            keys.add(("content", hashes[member.path]))
        for key in keys:
            places[key][member.split].append(member.path)
    order = list(Split)
    return [
        Leak(
            kind,
            key,
            tuple(sorted(found, key=order.index)),
            tuple(path for split in order for path in found.get(split, [])),
        )
        for (kind, key), found in sorted(places.items())
        if len(found) > 1
    ]
