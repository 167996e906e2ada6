"""`celeb-df`: Celeb-DF, version 1 and version 2 (Li et al., CVPR 2020).

What: interviews of celebrities, their faces swapped for one another's, and further real videos of other people.
Layout: `Celeb-real/`, `YouTube-real/` (also spelt `Youtube-real`) and `Celeb-synthesis/`, with or without a `videos`
level in each, up to two folders below the one given.
Names: real `<id>_<number>`, fakes `<target id>_<source id>_<number>`, further real videos five digits from 00000 on,
whose people are not named: each counts as another. Labels: the folder. Method: the folder of the fakes.
Split: the owner's `List_of_testing_videos.txt`, beside the folders or where `--splits` says; all else is train. The
list has no header line, and its label is 1 for real. It is not disjoint in identities: train shows most of its people.
The owner gives no validation, so identities of train are held out, see `identities.py`. Without the list a seeded
identity-disjoint split, which is unofficial and says so.
Groups: train by all that identities tie together; validation and test by the person filmed, which is what intervals
resample, since the ties of Celeb-DF leave but a few components.
Versions: v2 holds v1's kinds of folders with more videos; which one a tree is, is told by counts, the list, or the
names of folders.
Licence: the owner's terms of use, signed by each user; not redistributable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from ffpipe.manifests.datasets.celeb_df_list import LIST_NAME, TestList, find_list, key_of
from ffpipe.manifests.datasets.identities import by_component, by_person, hold_out_identities, identities
from ffpipe.manifests.datasets.layout import (
    Count,
    Dataset,
    Recognition,
    collect_videos,
    named_subfolders,
    nearest,
    only_tree,
    plain_name,
    recognised,
    some,
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, display_path
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import seeded_split

REAL, YOUTUBE, FAKE = "Celeb-real", "YouTube-real", "Celeb-synthesis"
#: Videos of each folder, by version.
EXPECTED = {"v1": {REAL: 158, YOUTUBE: 250, FAKE: 795}, "v2": {REAL: 590, YOUTUBE: 300, FAKE: 5639}}
#: Lines of the list of version 2.
TEST_VIDEOS = 518

_FOLDERS = {plain_name(name): name for name in (REAL, YOUTUBE, FAKE)}
_NAMES = {
    REAL: re.compile(r"(?P<source>id\d+)_\d+", re.IGNORECASE),
    YOUTUBE: re.compile(r"\d{5}"),
    FAKE: re.compile(r"(?P<target>id\d+)_(?P<source>id\d+)_\d+", re.IGNORECASE),
}
_VERSION_NAME = re.compile(r"celeb.*v([12])(?!\d)", re.IGNORECASE)
_SEARCH_LEVELS = 2


class CelebDF:
    """The owner's tree, as downloaded."""

    name = "celeb-df"
    summary = "Celeb-DF v1 and v2: Celeb-real/, YouTube-real/, Celeb-synthesis/"

    def recognise(self, root: Path) -> Recognition | None:
        """By the three folders, one of which is enough, in the folder given or up to two below."""
        return recognised(_trees(root), lambda tree: [f"{folder.name}/" for _, folder in _parts(tree)])

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every video of the three folders, tested as the owner's list says.

        Raises:
            UsageError: no tree or several, no video in it, or a list that is missing or wrong.
        """
        needed = f"{REAL}/, {YOUTUBE}/ or {FAKE}/"
        tree = only_tree(_trees(root), root, "Celeb-DF", needed)
        dataset = Dataset(self.name, [])
        found: dict[str, set[str]] = {}
        for part, folder in _parts(tree):
            videos = collect_videos(
                named_subfolders(folder).get("videos", folder), dataset, exclude, "Celeb-DF"
            )
            dataset.entries += [_entry(part, path) for path in videos]
            found.setdefault(part, set()).update(Path(path).stem.lower() for path in videos)
        if not dataset.entries:
            raise UsageError(
                f"{display_path(tree)} has the folders of Celeb-DF but no video in <folder>/ or <folder>/videos/"
            )
        listed = find_list(splits_dir, [tree, tree / "splits", root])
        version, reason = _version(found, listed, tree)
        dataset.notes.append(f"compared with Celeb-DF {version}: {display_path(reason)}")
        _divide(dataset, listed, seed)
        _compare(dataset, found, listed, version)
        return dataset


def _trees(root: Path) -> list[Path]:
    return nearest(root, _SEARCH_LEVELS, lambda folder: bool(_parts(folder)))


def _parts(tree: Path) -> list[tuple[str, Path]]:
    """The folders of videos, by the owner's name."""
    return [(_FOLDERS[key], folder) for key, folder in named_subfolders(tree).items() if key in _FOLDERS]


def _entry(part: str, path: str) -> Entry:
    name = _NAMES[part].fullmatch(Path(path).stem)
    ids = {key: value.lower() for key, value in name.groupdict().items()} if name else {}
    return Entry(
        path=path,
        label=Label.FAKE if part == FAKE else Label.REAL,
        method=FAKE if part == FAKE else None,
        source_id=ids.get("source"),
        target_id=ids.get("target"),
    )


def _version(found: Mapping[str, AbstractSet[str]], listed: TestList | None, tree: Path) -> tuple[str, str]:
    """The version that a tree is compared with, and what tells it."""
    for part, stems in found.items():
        if len(stems) > EXPECTED["v1"][part]:
            return "v2", f"{len(stems)} videos in {part}, of which v1 has {EXPECTED['v1'][part]}"
    beyond = sorted(stem for stem in found.get(YOUTUBE, ()) if _numbered(stem, "v2", from_version="v1"))
    if beyond:
        return "v2", f"{YOUTUBE}/{beyond[0]} is beyond the {EXPECTED['v1'][YOUTUBE]} of v1"
    if listed is not None and len(listed.labels) == TEST_VIDEOS:
        return "v2", f"its list has {TEST_VIDEOS} test videos"
    if named := _VERSION_NAME.search(tree.name):
        return f"v{named[1]}", f"the folder is called {tree.name}"
    if {part: len(stems) for part, stems in found.items()} == EXPECTED["v1"]:
        return "v1", "every folder has as many videos as v1"
    if listed is not None:
        return "v1", f"its list has {len(listed.labels)} test videos, that of v2 has {TEST_VIDEOS}"
    return "v2", "neither counts nor names tell v1 from v2, and v2 is in common use"


def _numbered(stem: str, version: str, from_version: str | None = None) -> bool:
    """Whether a further real video has a number of this version, and none of the other where one is given."""
    first = EXPECTED[from_version][YOUTUBE] if from_version else 0
    return bool(_NAMES[YOUTUBE].fullmatch(stem)) and first <= int(stem) < EXPECTED[version][YOUTUBE]


def _part_of(entry: Entry) -> str:
    """The owner's name of the folder that an entry lies in, at whatever depth."""
    names = (plain_name(folder.name) for folder in Path(entry.path).parents)
    return next(_FOLDERS[name] for name in names if name in _FOLDERS)


def _key(entry: Entry) -> tuple[str, str]:
    return key_of(_part_of(entry), entry.path)


def _is_named(entry: Entry) -> bool:
    return _NAMES[_part_of(entry)].fullmatch(Path(entry.path).stem) is not None


def _divide(dataset: Dataset, listed: TestList | None, seed: int) -> None:
    """Set group and split of every entry, and say where the split comes from."""
    if listed is None:
        dataset.entries = seeded_split(by_component(dataset.entries, dataset.name), seed)
        dataset.split_source = f"seeded {seed}, identity-disjoint, unofficial"
        dataset.note_split(
            f"UNOFFICIAL SPLIT: {LIST_NAME} was not found beside the data, so whole identities were divided by seed "
            f"{seed}; give the folder of the owner's list with --splits DIR to compare with published figures"
        )
        _note_lacking(dataset)
        return
    test = [entry for entry in dataset.entries if _key(entry) in listed.labels]
    rest = [entry for entry in dataset.entries if _key(entry) not in listed.labels]
    held = hold_out_identities([entry for entry in rest if _is_named(entry)], seed, dataset.name)
    outside = [entry for entry in rest if not _is_named(entry)]
    dataset.entries = sorted(
        [
            *(replace(entry, split=Split.TEST) for entry in by_person(test, dataset.name)),
            *held.entries,
            *(replace(entry, group=f"{dataset.name}/outside {entry.path}") for entry in outside),
        ],
        key=lambda entry: entry.path,
    )
    place = display_path(listed.file.parent)
    dataset.split_source = f"official {LIST_NAME} in {place}{held.source(seed)}"
    dataset.note_split(held.note(seed))
    _note_shared(dataset)
    _note_labels(dataset, listed)
    if outside:
        names = display_path(some([Path(entry.path).name for entry in outside]))
        dataset.note_split(f"videos whose names are not the owner's are in no split: {names}")


def _note_lacking(dataset: Dataset) -> None:
    """Say which part of a seeded split lacks a class, as where all fakes are tied together."""
    for split in Split:
        labels = {entry.label for entry in dataset.entries if entry.split is split}
        for label in set(Label) - labels:
            dataset.note_split(
                f"{split} has no {label.name.lower()} videos: the identities of this tree are tied together too closely"
            )


def _note_shared(dataset: Dataset) -> None:
    """Say how far the owner's test list is from being disjoint in identities."""
    people: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in dataset.entries:
        if entry.split is not None and (entry.source_id or entry.target_id):
            people[entry.split is Split.TEST].update(identities(entry))
    shared = people[True] & people[False]
    if shared:
        dataset.note_split(
            f"the official test list is not identity-disjoint: train or validation shows {len(shared)} of its "
            f"{len(people[True])} identities; the people of {YOUTUBE} have no names, and each counts as another"
        )


def _note_labels(dataset: Dataset, listed: TestList) -> None:
    wrong = [entry for entry in dataset.entries if listed.labels.get(_key(entry), entry.label) != entry.label]
    if wrong:
        dataset.notes.append(
            f"{len(wrong)} lines of {LIST_NAME} disagree with their folders (the owner's label is 1 for real); the "
            f"folders were believed, such as {display_path(Path(wrong[0].path).name)}"
        )


def _compare(
    dataset: Dataset, found: Mapping[str, AbstractSet[str]], listed: TestList | None, version: str
) -> None:
    """Fill `expected`, a row a folder and one for the test list."""
    for part, expected in EXPECTED[version].items():
        stems = found.get(part, set())
        known = {stem for folder, stem in (listed.labels if listed else ()) if _FOLDERS.get(folder) == part}
        missing = known - stems
        surplus = {stem for stem in stems if not _NAMES[part].fullmatch(stem)}
        if part == YOUTUBE:
            surplus |= {stem for stem in stems if not _numbered(stem, version)}
            numbers = {f"{number:05}" for number in range(expected)}
            missing |= numbers - stems
        dataset.expected.append(
            Count(part, len(stems), expected, tuple(sorted(missing)), tuple(sorted(surplus)))
        )
    if listed is not None:
        present = {_key(entry) for entry in dataset.entries}
        absent = sorted(name for key, name in listed.names.items() if key not in present)
        expected = TEST_VIDEOS if version == "v2" else len(listed.labels)
        dataset.expected.append(Count("test list", len(listed.labels) - len(absent), expected, tuple(absent)))
