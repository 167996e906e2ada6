"""One forgery method left out of training, to be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ffpipe.manifests.division import grouped
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import Division, Material, Options, register
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import RATIOS, assign_groups, group_key


@register("leave-one-method-out", "seed", "ratios", "method", "official")
def _leave_one_method_out(material: Material, options: Options) -> Division:
    """The fakes of --method only in test, all others only in train and validation, groups disjoint.

    The usual test of generalisation to a forgery that was not trained on (Haliassos et al., CVPR 2021: LipForensics, on
    FaceForensics++). An official or given split is kept, and so are its groups; else groups are divided by seed, those
    that have no choice first. Fakes of the method in train and of others in test are left out, and with them the real
    media of subsets that have no fakes there.
    """
    sides = _Sides.of(material.entries, options.method)
    own = material.has_own_split and options.ratios is None
    if own:
        entries = list(material.entries)
        notes = [f"based on the split that is {material.split_source}"]
    else:
        entries = _divide_for(sides, grouped(material.entries, material.contents), options)
        notes = [f"groups divided by seed {options.seed}"]
    entries = [replace(e, split=e.split if e.split in sides.allowed(e) else None) for e in entries]
    for part in (Split.TRAIN, Split.TEST):
        if not any(entry.split is part and entry.label is Label.FAKE for entry in entries):
            way_out = "--ratios 72:14:14 divides groups anew" if own else "there are too few groups"
            raise UsageError(
                f"leaving out {options.method} leaves no fakes in {part} ({notes[0]}); {way_out}"
            )
    return Division(entries, notes)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Which splits a medium may be in when one method is left out."""

    method: str
    tested: frozenset[str | None]
    trained: frozenset[str | None]

    @classmethod
    def of(cls, entries: Sequence[Entry], method: str | None) -> _Sides:
        """Raises UsageError where the method is not there, or is the only one."""
        fakes = [entry for entry in entries if entry.label is Label.FAKE and entry.method]
        there = sorted({str(entry.method) for entry in fakes})
        if method is None or method not in there:
            given = "needs --method" if method is None else f"--method {method!r} is not there"
            raise UsageError(
                f"leave-one-method-out: {given}; the data have {', '.join(there) or 'no methods'}"
            )
        if len(there) == 1:
            raise UsageError(
                f"leave-one-method-out: {method} is the only method; nothing is left to train on"
            )
        return cls(
            method,
            frozenset(entry.subset for entry in fakes if entry.method == method),
            frozenset(entry.subset for entry in fakes if entry.method != method),
        )

    def allowed(self, entry: Entry) -> frozenset[Split]:
        """A fake whose method is not known may be of the one left out, and is in no split."""
        test, train = frozenset({Split.TEST}), frozenset({Split.TRAIN, Split.VAL})
        if entry.label is Label.REAL:
            found: frozenset[Split] = frozenset()
            found |= test if entry.subset in self.tested else found
            return found | train if entry.subset in self.trained else found
        if entry.label is None or entry.method is None:
            return frozenset()
        return test if entry.method == self.method else train

    def of_group(self, members: Sequence[Entry]) -> frozenset[Split]:
        """Where a group belongs: with its fakes, where they are of one side; else wherever a member may be."""
        fakes = {self.allowed(entry) for entry in members if entry.label is Label.FAKE} - {frozenset()}
        if len(fakes) == 1:
            return next(iter(fakes))
        return frozenset().union(*(self.allowed(entry) for entry in members))


def _divide_for(sides: _Sides, entries: Sequence[Entry], options: Options) -> list[Entry]:
    """Groups that belong to one side go there; the others are divided by the ratios."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(group_key(entry), []).append(entry)
    places = {name: sides.of_group(members) for name, members in groups.items()}
    train, val, test = options.ratios or RATIOS
    within = (train / (train + val), val / (train + val), 0.0)
    assigned = {name: Split.TEST for name, place in places.items() if place == {Split.TEST}}
    for wanted, ratios in (({Split.TRAIN, Split.VAL}, within), (set(Split), (train, val, test))):
        chosen = [e for e in entries if places[group_key(e)] == wanted]
        assigned |= assign_groups(chosen, options.seed, ratios)
    return [replace(entry, split=assigned.get(group_key(entry))) for entry in entries]
