"""Validation that an owner does not give: clips of people whom no clip of train shows, as target or as source.

Fakes tie people together: whoever lends a face to a clip of another shares it. Where these ties leave several
components, whole components are held out and nothing is lost. Where all are tied into one, some people are held out,
and the clips that show one of them together with another are in no split: dropping them is the price of a validation
that measures new faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from hashlib import sha256

from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import RATIOS, components, group_key, hold_out_validation


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Train entries with validation taken out of them.

    people: identities that validation shows, sorted. dropped: entries of no split, for the ties that they have to both.
    """

    entries: list[Entry]
    people: list[str]
    dropped: int

    @property
    def n_validation(self) -> int:
        """Entries that became validation."""
        return sum(entry.split is Split.VAL for entry in self.entries)

    def source(self, seed: int) -> str:
        """What the source of the split says of it beside the owner's; nothing where nothing was held out."""
        return f", validation held out of train by seed {seed}" if self.n_validation else ""

    def note(self, seed: int) -> str:
        """A line on what was held out and at what price."""
        held = self.n_validation
        if not held:
            return "no validation: no identity can be held out so that both parts keep real and fake videos"
        if not self.people:
            return (
                f"validation is not the owner's: {held} videos were held out by seed {seed}; nothing tells whom they "
                "show, so train may show the same people"
            )
        text = (
            f"validation is not the owner's: {held} videos were held out by seed {seed}, and no video of train shows "
            f"any of their {len(self.people)} identities"
        )
        if self.dropped:
            text += f"; {self.dropped} videos that show one of these together with another are in no split"
        return text


def identities(entry: Entry) -> list[str]:
    """The ids that tie an entry to others; one whose name tells none stands for itself."""
    ids = [name for name in (entry.target_id, entry.source_id) if name is not None]
    return ids or [f"clip {entry.path}"]


def by_component(entries: Sequence[Entry], dataset: str) -> list[Entry]:
    """Entries grouped by all that they are tied to, so that whole groups can be divided without a leak."""
    joined = components(map(identities, entries))
    return [replace(entry, group=f"{dataset}/linked {joined[identities(entry)[0]]}") for entry in entries]


def by_person(entries: Iterable[Entry], dataset: str) -> list[Entry]:
    """Entries grouped by whom they were filmed of, the target of a fake: what intervals resample.

    Finer than components, of which there may be one alone; two groups may share a source of faces.
    """
    return [replace(entry, group=f"{dataset}/{identities(entry)[0]}") for entry in entries]


def hold_out_identities(entries: Sequence[Entry], seed: int, dataset: str) -> HeldOut:
    """Train entries, some of which become validation, disjoint in identities.

    Train stays grouped by component, so that whoever divides it further leaks nothing.
    """
    linked = by_component(entries, dataset)
    chosen = hold_out_validation(linked, seed)
    parts: list[Split | None] = [Split.VAL if group_key(entry) in chosen else Split.TRAIN for entry in linked]
    people = _people(entry for entry, part in zip(linked, parts, strict=True) if part is Split.VAL)
    if not _both(entry for entry, part in zip(linked, parts, strict=True) if part is Split.VAL):
        people = _people_to_hold_out(linked, seed)
        parts = [_part(entry, people, whole) for entry, whole in zip(linked, parts, strict=True)]
    divided = [replace(entry, split=part) for entry, part in zip(linked, parts, strict=True)]
    validation = [entry for entry in divided if entry.split is Split.VAL]
    dropped = [entry for entry in divided if entry.split is None]
    return HeldOut(
        [
            *(entry for entry in divided if entry.split is Split.TRAIN),
            *by_person(validation, dataset),
            *(replace(entry, group=f"{dataset}/dropped {entry.path}") for entry in dropped),
        ],
        sorted(people),
        len(dropped),
    )


def _part(entry: Entry, people: AbstractSet[str], whole: Split | None) -> Split | None:
    """Where an entry goes once `people` are held out; one that shows nobody known goes where its component would."""
    shown = _people([entry])
    if not shown:
        return whole if people else Split.TRAIN
    if shown <= people:
        return Split.VAL
    return None if shown & people else Split.TRAIN


def _people(entries: Iterable[Entry]) -> set[str]:
    return {name for e in entries for name in (e.target_id, e.source_id) if name is not None}


def _both(entries: Iterable[Entry]) -> bool:
    return {entry.label for entry in entries} >= set(Label)


def _people_to_hold_out(entries: Sequence[Entry], seed: int) -> set[str]:
    """The fewest people in seeded order, from validation's share on, who leave both classes on either side.

    Empty where there is no such number.
    """
    named = [(_people([entry]), entry) for entry in entries]
    drawn = sorted(_people(entries), key=lambda name: _draw(seed, name))
    for count in range(max(1, round(RATIOS[1] * len(drawn))), len(drawn)):
        held = set(drawn[:count])
        inside = [entry for shown, entry in named if shown and shown <= held]
        outside = [entry for shown, entry in named if shown and not shown & held]
        if _both(inside) and _both(outside):
            return held
    return set()


def _draw(seed: int, name: str) -> bytes:
    """A person's place in the seeded order; it does not move when others come or go."""
    return sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
