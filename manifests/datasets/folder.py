"""`folder`: the user's own real and fake media, in two folders or listed in a manifest.

What: videos or images (also frames or face crops) of the user's own. Licence: the user's.
Layout, the first that applies:
- a manifest: a CSV or Parquet file given as the dataset, or `manifest.csv` or `manifest.parquet` in the folder (see
  `manifest.py`);
- class folders `real/` and `fake/` (also `0_real` and `1_fake`, `original`, `manipulated` and the like, in any
  case), directly in the folder or under `train/`, `val/`, `test/`.
Labels: the class folder, or the manifest's column.
Groups: by place and name, see `folder_groups.py`, or the manifest's column.
Split: the folders or the column where given, else seeded and group-disjoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ffpipe.manifests.datasets.folder_groups import group_clips
from ffpipe.manifests.datasets.layout import Dataset, Recognition, named_subfolders, subfolders
from ffpipe.manifests.datasets.manifest import has_columns, read_manifest
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ffpipe.manifests.inputs import AnyPath, collect, display_path
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import leaks, seeded_split

MANIFEST_NAMES = ("manifest.csv", "manifest.parquet")
#: Names of class folders as `plain_name` writes them.
CLASSES = {
    **dict.fromkeys(("real", "0real", "reals", "original", "originals", "pristine", "genuine"), Label.REAL),
    **dict.fromkeys(("fake", "1fake", "fakes", "manipulated", "forged", "synthetic", "altered"), Label.FAKE),
}
SPLITS = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), Split.VAL),
    **dict.fromkeys(("test", "testing"), Split.TEST),
}


@dataclass(frozen=True, slots=True)
class _ClassFolder:
    """A folder of media of one label, in a split where the tree gives one."""

    folder: Path
    label: Label
    split: Split | None


class Folder:
    """Class folders or a manifest, of the user's own."""

    name = "folder"
    summary = "real/ and fake/ folders of videos or images, or a CSV or Parquet manifest with path and label"

    def recognise(self, root: Path) -> Recognition | None:
        """By a manifest with the two columns, or by class folders of both labels."""
        if manifests := _manifests_of(root):
            reason = f"found a manifest with path and label: {display_path(manifests[0])}"
            return Recognition(root, reason, stated=True)
        found = _class_folders(root)
        if {part.label for part in found} != set(Label):
            return None
        names = ", ".join(f"{display_path(part.folder.relative_to(root))}/" for part in found)
        return Recognition(root, f"found class folders {names}")

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every medium of the class folders or of the manifest; other folders are named and left out.

        Raises:
            UsageError: no class folder with media, a manifest with a wrong row, or `splits_dir` given.
        """
        if splits_dir is not None:
            raise UsageError(
                "--splits is for layouts with official split files; here use train/, val/ and test/ folders, "
                "a manifest with a split column, or a split file"
            )
        manifests = _manifests_of(root)
        if len(manifests) > 1:
            raise UsageError(f"{display_path(root)} holds {' and '.join(MANIFEST_NAMES)}; give one of them")
        dataset = Dataset(self.name, [])
        for manifest in manifests:
            dataset.entries = read_manifest(manifest)
            _divide(dataset, f"given by the split column of {display_path(manifest)}", seed)
        if not manifests:
            _read_class_folders(root, dataset, exclude)
            _divide(dataset, "given by the train, val and test folders", seed)
        return dataset


def _manifests_of(root: Path) -> list[Path]:
    paths = [root / name for name in MANIFEST_NAMES] if root.is_dir() else [root]
    return [path for path in paths if path.is_file() and has_columns(path)]


def _class_folders(root: Path) -> list[_ClassFolder]:
    children = named_subfolders(root)
    places = [(root, None), *((children[name], split) for name, split in SPLITS.items() if name in children)]
    return [
        _ClassFolder(folder, CLASSES[name], split)
        for place, split in places
        for name, folder in named_subfolders(place).items()
        if name in CLASSES
    ]


def _read_class_folders(root: Path, dataset: Dataset, exclude: Sequence[AnyPath]) -> None:
    parts = _class_folders(root)
    clips: list[tuple[Entry, PurePath]] = []
    for part in parts:
        inputs = collect([part.folder], exclude)
        dataset.companions += inputs.companions
        dataset.skipped += inputs.skipped
        clips += [
            (Entry(path, label=part.label, split=part.split), PurePath(path).relative_to(part.folder))
            for path in inputs.entries
        ]
    if not clips:
        raise UsageError(
            f"{display_path(root)} has no media in class folders; the folder layout needs real/ and fake/ "
            "(or train/real/, train/fake/ and so on), or a CSV or Parquet manifest with path and label"
        )
    dataset.entries = group_clips(clips)
    _note_the_rest(root, parts, dataset, exclude)


def _note_the_rest(
    root: Path, parts: Sequence[_ClassFolder], dataset: Dataset, exclude: Sequence[AnyPath]
) -> None:
    """Say what lies beside the class folders and was not taken."""
    used = {path for part in parts for path in (part.folder, part.folder.parent)}
    excluded = {Path(os.fsdecode(path)).resolve() for path in exclude}
    others = [child for child in subfolders(root) if child not in used and child.resolve() not in excluded]
    if others:
        names = ", ".join(f"{display_path(child.name)}/" for child in others)
        dataset.notes.append(f"folders that are no class were left out: {names}")
    loose = sum(
        child.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES and child.is_file()
        for child in root.iterdir()
    )
    if loose:
        dataset.notes.append(f"{loose} media beside the class folders have no label and were left out")
    for label in set(Label) - {entry.label for entry in dataset.entries}:
        dataset.notes.append(f"no {label.name.lower()} media were found: nothing can be trained on one class")


def _divide(dataset: Dataset, given: str, seed: int) -> None:
    """Take the split where one is given, and warn of its leaks; else divide by seed."""
    if all(entry.split is None for entry in dataset.entries):
        dataset.entries = seeded_split(dataset.entries, seed)
        dataset.split_source = f"seeded {seed}, group-disjoint"
        return
    dataset.split_source = given
    unplaced = sum(entry.split is None for entry in dataset.entries)
    if unplaced:
        dataset.note_split(f"{unplaced} media are in no split")
    if found := leaks(dataset.entries):
        dataset.note_split(f"the given split leaks {len(found)} times, first: {display_path(str(found[0]))}")
