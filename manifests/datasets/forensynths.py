"""`forensynths`: images of many generators beside the real ones (Wang et al., CVPR 2020: CNN-generated images).

What: whole pictures made by GANs and other networks, each generator with real pictures of its own; the usual
protocol trains on some of ProGAN's 20 object classes and tests on every generator apart. Nothing is a face crop.
Layout: `{train,val,test}/<generator>/[<class>/]{0_real,1_fake}/*`, with a class level for progan, stylegan, stylegan2
and cyclegan. Also in use: further levels (`dataset/`, `datasets/`, `ForenSynths/`, `progan/`) above or between, the
generator's level left out above ProGAN's classes (`train/horse/0_real`), and a split folder given by itself. One of
the classes is called `train`, like a split. `sitd` is another name of `seeingdark`.
Labels: the folder. Method: the generator, for fakes; subset: the generator, for fakes and reals alike, since each
generator is measured against the real pictures of its own folder.
Split: the folders, which are the owner's. Groups: each picture by itself; extraction joins identical content.
Counts: a class of ProGAN has 18,000 real pictures in train and as many fakes (FSSNet paper, section 4.1).
Licence: the owner's, and those of the image collections that the real pictures come from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.datasets.layout import Count, Dataset, Recognition, plain_name, subfolders
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES
from ffpipe.manifests.inputs import AnyPath, Skipped, collect, display_path
from ffpipe.manifests.records import Entry, Label, Split

LABELS = {"0real": Label.REAL, "1fake": Label.FAKE}
SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "test": Split.TEST}
PROGAN = "progan"
#: The owner's generators as `plain_name` writes them, with the other names that are in use.
GENERATORS = {
    **{
        name: name
        for name in (
            "progan", "stylegan", "stylegan2", "biggan", "cyclegan", "stargan", "gaugan", "deepfake",
            "seeingdark", "san", "crn", "imle", "whichfaceisreal",
        )
    },
    "sitd": "seeingdark",
}  # fmt: skip
PROGAN_CLASSES = frozenset(
    (
        "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
        "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    )
)  # fmt: skip
#: Real and fake pictures of a class in train (FSSNet paper, section 4.1).
TRAIN_PICTURES = 2 * 18_000

#: Levels that tell nothing.
_WRAPPERS = frozenset({"dataset", "datasets", "forensynths"})
#: Folders between the one given and the labels: two more than the tree itself has.
_SEARCH_LEVELS = 5


@dataclass(frozen=True, slots=True)
class _Part:
    """A folder of pictures of one label; `category` is the object class, where there is such a level."""

    folder: Path
    label: Label
    split: Split | None
    generator: str
    category: str | None


class ForenSynths:
    """The owner's tree, as downloaded or as the field's code bases lay it out."""

    name = "forensynths"
    summary = "ForenSynths: {train,val,test}/<generator>/[<class>/]{0_real,1_fake}; whole images, no faces"

    def recognise(self, root: Path) -> Recognition | None:
        """By label folders below a split and a generator or one of ProGAN's classes."""
        parts = [part for part in _parts(root) if part.split is not None]
        if not parts:
            return None
        splits = ", ".join(f"{split}/" for split in Split if split in {part.split for part in parts})
        names = sorted({part.generator for part in parts})
        return Recognition(root, f"found 0_real/ and 1_fake/ of {display_path(', '.join(names))} in {splits}")

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every picture of every generator; `seed` has nothing to divide.

        Raises:
            UsageError: no label folder below a generator, no picture in any, or `splits_dir` given.
        """
        if splits_dir is not None:
            raise UsageError(
                "--splits is for layouts with split files; ForenSynths is divided by its folders"
            )
        parts = _parts(root)
        dataset = Dataset(self.name, [], split_source="official train, val and test folders", whole=True)
        for part in parts:
            _add_pictures(root, part, dataset, exclude)
        if not dataset.entries:
            raise UsageError(
                f"{display_path(root)} has no picture in <split>/<generator>/[<class>/]0_real or 1_fake: "
                "not ForenSynths"
            )
        _note_sets(dataset)
        _compare(parts, dataset)
        return dataset


def _parts(root: Path) -> list[_Part]:
    """The label folders that have a generator, in order of their paths."""
    found = []
    for folder in _label_folders(root, _SEARCH_LEVELS):
        split, rest = _divide(root, folder.parent)
        if (named := _generator(rest)) is not None:
            found.append(_Part(folder, LABELS[plain_name(folder.name)], split, *named))
    return found


def _label_folders(folder: Path, levels: int) -> Iterator[Path]:
    for child in subfolders(folder):
        if plain_name(child.name) in LABELS:
            yield child
        elif levels:
            yield from _label_folders(child, levels - 1)


def _divide(root: Path, place: Path) -> tuple[Split | None, list[str]]:
    """The split of a place in the tree, and the names of its other levels.

    The outermost level named like a split is one, unless it is the class `train` among the other classes. Where
    there is none, the folder given may itself be a split, or a generator in one.
    """
    levels = [place, *place.parents][: len(place.relative_to(root).parts)][::-1]
    for number, level in enumerate(levels):
        if plain_name(level.name) in SPLITS and not _is_class(level):
            rest = [*levels[:number], *levels[number + 1 :]]
            return SPLITS[plain_name(level.name)], [folder.name for folder in rest]
    names = [folder.name for folder in levels]
    if plain_name(root.name) in GENERATORS:
        return SPLITS.get(plain_name(root.parent.name)), [root.name, *names]
    return SPLITS.get(plain_name(root.name)), names


def _is_class(folder: Path) -> bool:
    """Whether a folder stands among ProGAN's classes."""
    beside = {plain_name(child.name) for child in subfolders(folder.parent)} - {plain_name(folder.name)}
    return plain_name(folder.name) in PROGAN_CLASSES and not beside.isdisjoint(PROGAN_CLASSES)


def _generator(levels: Sequence[str]) -> tuple[str, str | None] | None:
    """Generator and class that the levels beside the split name; None where they name neither.

    A generator that the owner has not is called by all its levels but one of ProGAN's classes.
    """
    told = [name for name in levels if plain_name(name) not in _WRAPPERS]
    if not told:
        return None
    known = [k for k, name in enumerate(told) if plain_name(name) in GENERATORS]
    if known:
        # The innermost: `progan/` also stands above whole trees that hold the test sets of others.
        inner = told[known[-1] + 1 :]
        return GENERATORS[plain_name(told[known[-1]])], inner[-1].lower() if inner else None
    category = told.pop().lower() if plain_name(told[-1]) in PROGAN_CLASSES else None
    return "/".join(told) or PROGAN, category


def _add_pictures(root: Path, part: _Part, dataset: Dataset, exclude: Sequence[AnyPath]) -> None:
    inputs = collect([part.folder], exclude)
    dataset.companions += inputs.companions
    dataset.skipped += inputs.skipped
    for path in inputs.entries:
        if Path(path).suffix.lower() not in IMAGE_SUFFIXES:
            dataset.skipped.append(Skipped(path, "not a picture of ForenSynths"))
            continue
        dataset.entries.append(
            Entry(
                path,
                label=part.label,
                method=part.generator if part.label is Label.FAKE else None,
                split=part.split,
                group=f"forensynths/{display_path(Path(path).relative_to(root))}",
                subset=part.generator,
            )
        )


def _note_sets(dataset: Dataset) -> None:
    """Say which generators each split has, and which of them lack a class."""
    found: dict[Split | None, dict[str, set[Label | None]]] = defaultdict(lambda: defaultdict(set))
    for entry in dataset.entries:
        found[entry.split][str(entry.subset)].add(entry.label)
    for split in (*Split, None):
        if split not in found:
            continue
        where = split or "in no split"
        dataset.notes.append(f"{where}: {display_path(', '.join(sorted(found[split])))}")
        for name, labels in sorted(found[split].items()):
            for label in set(Label) - labels:
                dataset.notes.append(f"{where}: {display_path(name)} has no {label.name.lower()} pictures")


def _compare(parts: Sequence[_Part], dataset: Dataset) -> None:
    """Compare the training classes with the count that is known of each."""
    classes = {p.category for p in parts if p.split is Split.TRAIN and p.generator == PROGAN and p.category}
    if classes:
        found = sum(e.split is Split.TRAIN and e.subset == PROGAN for e in dataset.entries)
        dataset.expected.append(
            Count(f"train {PROGAN}, {len(classes)} of its classes", found, len(classes) * TRAIN_PICTURES)
        )
