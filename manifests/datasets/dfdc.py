"""`dfdc`: the DeepFake Detection Challenge (Dolhansky et al., 2020; Facebook and Kaggle).

What: short clips of actors, real and with their faces swapped by several methods that the owner does not name.
Layout: parts `dfdc_train_part_<0 to 49>/`, each with its `metadata.json`, under `train/` or beside one another, also a
part given alone or wrapped in a folder of the same name; the sample `train_sample_videos/`; the public test `test/` or
`videos/` (also `test/videos/`) with `labels.csv` (`filename,label`, 1 = fake) or `testing_metadata.json`. The tree may
lie up to two folders below the one given. `test_videos/` of the challenge has no labels.
Labels: those files. `original` names the real video that a fake was made of. Method: not told. Subset: the public test
has its own, since it brings its own reals.
Split: parts 0 to 34 are train, 35 to 39 validation, 40 to 49 test, as is in common use; to the owner all parts are
train. A fake follows its original. The public test is test. The sample, or one train part by itself, is divided by
seed, in whole groups. Groups: a real video and the fakes made of it.
Licence: the owner's terms; not redistributable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ffpipe.manifests.datasets.dfdc_labels import METADATA, Listed, read_labels
from ffpipe.manifests.datasets.dfdc_sets import PUBLIC_TEST, VideoSet, find_sets, is_owners, without_labels
from ffpipe.manifests.datasets.layout import (
    Count,
    Dataset,
    Recognition,
    collect_videos,
    nearest,
    only_tree,
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, Skipped, display_path
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import seeded_split

PARTS = 50
#: Videos of all parts, by loaders in use; the owners' paper has 119,154. Neither was checked against the files, whose
#: own lists are what a part is compared with.
VIDEOS = 119_197
#: First part of each split.
FIRST_PARTS = {Split.TRAIN: 0, Split.VAL: 35, Split.TEST: 40}
_PROTOCOL = "0-34 train, 35-39 val, 40-49 test: in common use, not the owner's"
_SEARCH_LEVELS = 2


class DFDC:
    """The owner's parts, sample and public test, as downloaded."""

    name = "dfdc"
    summary = "DFDC: dfdc_train_part_N/ with metadata.json, train_sample_videos/, test/ with labels.csv"

    def recognise(self, root: Path) -> Recognition | None:
        """By the parts' names, or by a label file that names videos as the owner does."""
        trees = [tree for tree in _trees(root) if any(is_owners(found) for found in find_sets(tree))]
        if not trees:
            return None
        names = [found.name for found in find_sets(trees[0])]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more sets" if len(names) > 3 else "")
        return Recognition(trees[0], f"found {display_path(shown)} of DFDC in {display_path(trees[0])}")

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every labelled video that is there.

        Raises:
            UsageError: nothing of DFDC or several trees of it, no labelled video, a wrong label file, or `splits_dir`.
        """
        if splits_dir is not None:
            raise UsageError("--splits is for layouts with split files; DFDC is divided by its parts")
        needed = f"dfdc_train_part_N/ with {METADATA}, train_sample_videos/ or test/ with labels.csv"
        tree = only_tree(_trees(root), root, "DFDC", needed)
        sets = [replace(found, listed=read_labels(found.file)) for found in find_sets(tree)]
        dataset = Dataset(self.name, [])
        numbers: dict[str, int | None] = {}
        for found in sets:
            others = [other.folder for other in sets if other.folder != found.folder]
            for entry in _add_videos(found, dataset, [*exclude, *others]):
                numbers[entry.path] = found.number
        if not dataset.entries:
            raise UsageError(f"{display_path(tree)}: none of the videos that its label files name is there")
        _divide(dataset, sets, numbers, seed)
        _note_the_rest(tree, sets, dataset)
        return dataset


def _trees(root: Path) -> list[Path]:
    return nearest(root, _SEARCH_LEVELS, lambda folder: bool(find_sets(folder)))


def _add_videos(found: VideoSet, dataset: Dataset, exclude: Sequence[AnyPath]) -> list[Entry]:
    """Add the videos that are there and labelled, and compare with what the label file names."""
    videos = {path: Path(path).name for path in collect_videos(found.folder, dataset, exclude, "DFDC")}
    entries = [_entry(found, path, found.listed[n]) for path, n in videos.items() if n in found.listed]
    unlisted = [path for path, name in videos.items() if name not in found.listed]
    reason = f"not in {found.file.name}: its label is not known"
    dataset.skipped += [Skipped(path, reason) for path in unlisted]
    dataset.entries += entries
    there = set(videos.values())
    missing = tuple(sorted(found.listed.keys() - there))
    surplus = tuple(sorted(there - found.listed.keys()))
    dataset.expected.append(
        Count(found.name, len(there & found.listed.keys()), len(found.listed), missing, surplus)
    )
    return entries


def _entry(found: VideoSet, path: str, facts: Listed) -> Entry:
    stem = Path(path).stem
    real = facts.label is Label.REAL
    return Entry(
        path=path,
        label=facts.label,
        source_id=stem if real else None,
        target_id=Path(facts.original).stem if facts.original and not real else None,
        subset=PUBLIC_TEST if found.is_test else None,
    )


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    """Entries with a real video and the fakes made of it in one group; a fake of an unknown one stands alone."""
    return [
        replace(entry, group=f"dfdc/{entry.source_id or entry.target_id or entry.path}") for entry in entries
    ]


def split_of_part(number: int | None) -> Split:
    """The split of a part; the sample is train."""
    return [split for split, first in FIRST_PARTS.items() if (number or 0) >= first][-1]


def _divide(dataset: Dataset, sets: Sequence[VideoSet], numbers: Mapping[str, int | None], seed: int) -> None:
    """Set group and split of every entry, and say where the split comes from."""
    entries = _grouped(dataset.entries)
    if len(sets) == 1 and not sets[0].is_test and split_of_part(sets[0].number) is Split.TRAIN:
        entries = seeded_split(entries, seed)
        dataset.split_source = f"seeded {seed}, group-disjoint, unofficial"
        dataset.note_split(
            f"UNOFFICIAL SPLIT: {display_path(sets[0].name)} is all that is there and train to the owner, so it was "
            f"divided by seed {seed}, real videos together with their fakes; several parts are divided by number"
        )
    else:
        entries = _by_part(entries, numbers, dataset)
        told = ["official public test"] if any(found.is_test for found in sets) else []
        told += [f"given by part numbers ({_PROTOCOL})"] if any(not found.is_test for found in sets) else []
        dataset.split_source = " and ".join(told)
    dataset.entries = sorted(entries, key=lambda entry: entry.path)
    dataset.notes.append(
        "DFDC does not name its actors: a real video and its fakes stay together, but one actor may be in two splits"
    )


def _by_part(entries: Sequence[Entry], numbers: Mapping[str, int | None], dataset: Dataset) -> list[Entry]:
    """Each group in the split of its real video's part, or of the first part that it is in."""
    own = {e.path: Split.TEST if e.subset else split_of_part(numbers[e.path]) for e in entries}
    order = list(Split)
    splits: dict[str | None, Split] = {}
    for entry in sorted(entries, key=lambda e: (e.label is not Label.REAL, order.index(own[e.path]))):
        splits.setdefault(entry.group, own[entry.path])
    moved = sum(splits[entry.group] is not own[entry.path] for entry in entries)
    if moved:
        dataset.note_split(f"{moved} fakes follow their real videos into the split of another part")
    return [replace(entry, split=splits[entry.group]) for entry in entries]


def _note_the_rest(tree: Path, sets: Sequence[VideoSet], dataset: Dataset) -> None:
    """Say which parts are there, what lies beside them without labels, and that there are two tests."""
    numbers = {found.number for found in sets if found.number is not None}
    if numbers == set(range(PARTS)):
        found = sum(entry.subset is None for entry in dataset.entries)
        dataset.expected.append(Count(f"all {PARTS} parts", found, VIDEOS, verified=False))
    elif numbers:
        shown = ", ".join(str(number) for number in sorted(numbers))
        dataset.notes.append(f"{len(numbers)} of {PARTS} parts are there: {shown}")
    if bare := without_labels(tree, sets):
        names = display_path(", ".join(f"{folder.name}/" for folder in bare))
        dataset.notes.append(f"folders without a label file were left out: {names}")
    tested = Counter(entry.subset for entry in dataset.entries if entry.split is Split.TEST)
    if len(tested) > 1:
        dataset.note_split(
            f"test holds {tested[PUBLIC_TEST]} videos of the public test and {tested[None]} of parts from "
            f"{FIRST_PARTS[Split.TEST]} on; the fakes of each are measured against their own reals"
        )
