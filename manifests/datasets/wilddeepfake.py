"""`wilddeepfake`: face sequences cut from videos of the internet (Zi et al., ACM MM 2020: WildDeepfake).

What: 7,314 sequences of 224x224 PNG faces from 707 videos, cut and aligned by their owners: a sequence is one medium,
and no face is searched.
Layout: `deepfake_in_the_wild/{real_train,real_test,fake_train,fake_test}/N.tar.gz`, also spelt with spaces, or the
four folders alone. A shard holds the sequences of one video as `N/<real|fake>/<sequence>/<frame>.png`, frames numbered
without leading zeros. Shards are read as they are, and as extracted: any folder of pictures below the four is a
sequence. Shard numbers repeat among the four folders, and sequence numbers among shards, so a sequence is told by
folder, shard and its own number.
Labels: the four folders. Method: not known, hence none.
Split: the folders, which are the owner's, for test; there is no official validation, so whole shards are held out of
train. Groups: a shard, since its sequences are of one video.
Counts: 3,805 real and 3,509 fake sequences. Licence: the owners'.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ffpipe.manifests.datasets.layout import (
    Count,
    Dataset,
    Recognition,
    named_subfolders,
    nearest,
    plain_name,
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, Skipped, collect, display_path
from ffpipe.manifests.pictures import TarContent, folder_pictures, is_picture, list_tar
from ffpipe.manifests.records import Entry, Label, Pictures, Split
from ffpipe.manifests.splits import group_key, hold_out_validation
from ffpipe.manifests.tars import TAR_SUFFIXES

#: The four folders as `plain_name` writes them.
CATEGORIES = {
    "realtrain": ("real_train", Label.REAL, Split.TRAIN),
    "realtest": ("real_test", Label.REAL, Split.TEST),
    "faketrain": ("fake_train", Label.FAKE, Split.TRAIN),
    "faketest": ("fake_test", Label.FAKE, Split.TEST),
}
#: Sequences that the owners count.
EXPECTED = {Label.REAL: 3_805, Label.FAKE: 3_509}

_TOP = "deepfakeinthewild"
_SEARCH_LEVELS = 2
#: Levels inside a category that tell nothing, and those that stand between shard and sequence.
_WRAPPERS = frozenset({"extracted", "."})
_CLASSES = frozenset({"real", "fake"})
#: Archives read side by side; unpacking and hashing release the interpreter lock.
_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Category:
    """One of the four folders."""

    folder: Path
    name: str
    label: Label
    split: Split


class WildDeepfake:
    """The owners' tree, packed or extracted."""

    name = "wilddeepfake"
    summary = (
        "WildDeepfake: {real,fake}_{train,test}/ of tar.gz shards, or extracted; face crops, no detection"
    )

    def recognise(self, root: Path) -> Recognition | None:
        """By two of the four folders, or one below `deepfake_in_the_wild`."""
        trees = _trees(root)
        if not trees:
            return None
        names = ", ".join(f"{display_path(part.folder.name)}/" for part in _categories(trees[0]))
        return Recognition(trees[0], f"found {names} in {display_path(trees[0])}")

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every sequence; each archive is read once from front to back, and nothing is unpacked.

        Raises:
            UsageError: none of the four folders, no sequence in any, or `splits_dir` given.
        """
        if splits_dir is not None:
            raise UsageError(
                "--splits is for layouts with split files; WildDeepfake is divided by its folders"
            )
        parts = [part for tree in _trees(root) or [root] for part in _categories(tree)]
        dataset = Dataset(self.name, [], split_source="official test folders", cropped=True)
        for part in parts:
            _add_sequences(part, dataset, exclude)
        if not dataset.entries:
            raise UsageError(
                f"{display_path(root)} has no sequence of pictures in real_train/, real_test/, fake_train/ or "
                "fake_test/: not WildDeepfake"
            )
        _hold_out(dataset, seed)
        _compare(dataset)
        return dataset


def _trees(root: Path) -> list[Path]:
    return nearest(root, _SEARCH_LEVELS, _is_tree)


def _is_tree(folder: Path) -> bool:
    found = CATEGORIES.keys() & named_subfolders(folder).keys()
    return len(found) > (0 if plain_name(folder.name) == _TOP else 1)


def _categories(tree: Path) -> list[_Category]:
    folders = named_subfolders(tree)
    return [_Category(folders[key], *told) for key, told in CATEGORIES.items() if key in folders]


def _add_sequences(part: _Category, dataset: Dataset, exclude: Sequence[AnyPath]) -> None:
    inputs = collect([part.folder], exclude)
    dataset.companions += inputs.companions
    dataset.skipped += inputs.skipped
    folders: dict[Path, list[str]] = defaultdict(list)
    shards: list[str] = []
    for path in inputs.entries:
        place = Path(path)
        if place.name.lower().endswith(TAR_SUFFIXES):
            shards.append(path)
        elif is_picture(place.name) and place.parent != part.folder:
            folders[place.parent].append(place.name)
        else:
            dataset.skipped.append(
                Skipped(path, "neither a shard nor a picture of a sequence of WildDeepfake")
            )
    for folder, names in folders.items():
        levels = folder.relative_to(part.folder).parts
        pictures = folder_pictures(str(folder), names)
        dataset.entries.append(_entry(part, str(folder), levels, pictures))
    with ThreadPoolExecutor(_THREADS) as pool:
        for path, content in zip(shards, pool.map(list_tar, shards), strict=True):
            _add_shard(part, path, content, dataset)


def _add_shard(part: _Category, path: str, content: TarContent, dataset: Dataset) -> None:
    """The sequences of an archive; one that cannot be read to its end has a row of its own besides."""
    dataset.companions += content.companions
    dataset.skipped += content.skipped
    shard = next(Path(path).name[: -len(s)] for s in TAR_SUFFIXES if path.lower().endswith(s))
    for folder, pictures in content.sequences.items():
        inner = PurePosixPath(folder).parts
        dataset.entries.append(_entry(part, f"{path}/{folder}", (shard, *inner), pictures))
    if content.fault or not content.sequences:
        fault = content.fault or "no picture in this archive"
        read = len(content.sequences)
        reason = f"{fault}; {read} sequences before it were taken" if read else fault
        lost = Pictures(path, (), packed=True, fault=reason)
        dataset.entries.append(_entry(part, path, (shard,), lost))
        dataset.notes.append(f"{display_path(path)}: {reason}")


def _entry(part: _Category, path: str, levels: Sequence[str], pictures: Pictures) -> Entry:
    shard = _key(levels)[0]
    return Entry(
        path,
        label=part.label,
        split=part.split,
        group=f"wilddeepfake/{part.name}/{display_path(shard)}",
        pictures=pictures,
    )


def _key(levels: Sequence[str]) -> tuple[str, ...]:
    """Shard and sequence from the levels below a category, without those that tell nothing or say the shard twice."""
    told = [level for level in levels if plain_name(level) not in _WRAPPERS]
    classes = [place for place, level in enumerate(told) if plain_name(level) in _CLASSES]
    if classes:
        return (*told[: min(1, classes[0])], *told[classes[0] + 1 :]) or ("",)
    return tuple(told) or ("",)


def _hold_out(dataset: Dataset, seed: int) -> None:
    """Whole shards of train become validation."""
    train = [entry for entry in dataset.entries if entry.split is Split.TRAIN]
    held = hold_out_validation(train, seed) if train else frozenset()
    dataset.entries = [
        replace(entry, split=Split.VAL) if entry.split is Split.TRAIN and group_key(entry) in held else entry
        for entry in dataset.entries
    ]
    if held:
        dataset.split_source += f", validation held out of train by seed {seed}"
    groups = len({group_key(entry) for entry in train})
    if train:
        dataset.note_split(
            f"no official validation: {len(held)} of {groups} train shards are held out for it by seed {seed}"
        )


def _compare(dataset: Dataset) -> None:
    """Count sequences by what tells them, so that one that is there packed and extracted counts once."""
    keys = {label: set(_keys(dataset.entries, label)) for label in Label}
    for label in Label:
        dataset.expected.append(Count(f"{label.name.lower()} sequences", len(keys[label]), EXPECTED[label]))
    total = sum(entry.pictures is not None and bool(entry.pictures.names) for entry in dataset.entries)
    if twice := total - sum(map(len, keys.values())):
        dataset.notes.append(
            f"{twice} sequences are there twice, packed and extracted; those of equal content are one medium"
        )


def _keys(entries: Sequence[Entry], label: Label) -> Iterator[tuple[str, tuple[str, ...]]]:
    for entry in entries:
        if entry.label is label and entry.pictures and entry.pictures.names:
            place = Path(entry.path)
            category = next(p for p in place.parents if plain_name(p.name) in CATEGORIES)
            levels = [_without_suffix(level) for level in place.relative_to(category).parts]
            yield category.name, _key(levels)


def _without_suffix(name: str) -> str:
    return next((name[: -len(s)] for s in TAR_SUFFIXES if name.lower().endswith(s)), name)
