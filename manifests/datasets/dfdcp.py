"""`dfdcp`: the preview of the DeepFake Detection Challenge (Dolhansky et al., 2019).

What: clips of actors, real and with their faces swapped by two methods.
Layout: `original_videos/`, `method_A/` and `method_B/` with `dataset.json` beside them, up to two folders below the
one given. `dataset.json` maps each video's path below the tree to its `label`, its `set` and further facts.
Labels: `dataset.json`. Method: the folder of a fake.
Split: `set`, train or test, which is the owner's. There is no validation, so identities of train are held out, see
`identities.py`. Identities: `target_id` and `swapped_id` where the file tells them, else the folder of an actor below
the top one; neither was verified against the owner's files. Groups: train by all that identities tie together,
validation and test by the person filmed.
Licence: the owner's terms; not redistributable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ffpipe.manifests.datasets.dfdc_labels import read_object
from ffpipe.manifests.datasets.identities import by_person, hold_out_identities
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
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, Skipped, display_path
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.rows import allowed

LIST_NAME = "dataset.json"
#: Videos of each class.
EXPECTED = {Label.REAL: 1131, Label.FAKE: 4119}
ORIGINALS = "original_videos"

_FOLDERS = {plain_name(name): name for name in (ORIGINALS, "method_A", "method_B")}
_LABELS = {"real": Label.REAL, "fake": Label.FAKE}
_SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
_SEARCH_LEVELS = 2

#: The owner's folder, and the path below it.
Key = tuple[str, str]


class DFDCPreview:
    """The owner's tree, as downloaded."""

    name = "dfdcp"
    summary = "DFDC preview: original_videos/, method_A/, method_B/, dataset.json"

    def recognise(self, root: Path) -> Recognition | None:
        """By two of the three folders, or one and `dataset.json`, in the folder given or up to two below."""
        return recognised(_trees(root), _told)

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every video that `dataset.json` names and that is there.

        Raises:
            UsageError: no tree or several, no video of it, a wrong or absent `dataset.json`, or `splits_dir`.
        """
        if splits_dir is not None:
            raise UsageError(f"--splits is for layouts with split files; DFDCP is divided by {LIST_NAME}")
        needed = f"{LIST_NAME} beside {', '.join(f'{name}/' for name in _FOLDERS.values())}"
        tree = only_tree(_trees(root), root, "DFDCP", needed)
        listed = _listed(tree / LIST_NAME)
        dataset = Dataset(self.name, [])
        found = _add_videos(tree, listed, dataset, exclude)
        if not dataset.entries:
            raise UsageError(f"{display_path(tree)}: none of the videos that {LIST_NAME} names is there")
        _divide(dataset, tree, seed)
        _compare(dataset, listed, found)
        return dataset


def _told(tree: Path) -> list[str]:
    names = [f"{folder.name}/" for folder in _parts(tree).values()]
    return [*names, LIST_NAME] if (tree / LIST_NAME).is_file() else names


def _trees(root: Path) -> list[Path]:
    return nearest(
        root, _SEARCH_LEVELS, lambda folder: len(_parts(folder)) + (folder / LIST_NAME).is_file() > 1
    )


def _parts(tree: Path) -> dict[str, Path]:
    children = named_subfolders(tree)
    return {name: children[key] for key, name in _FOLDERS.items() if key in children}


def _listed(path: Path) -> dict[Key, dict[str, Any]]:
    """What the owner says of each video, with `label` and `set` as ours. Raises UsageError."""
    listed = {}
    for name, facts in read_object(path).items():
        place = PurePosixPath(name.replace("\\", "/"))
        where = f"{display_path(path)}: {display_path(name)}"
        cells = {key: str(value) for key, value in facts.items()}
        label = allowed(_LABELS, cells, "label", where)
        split = allowed(_SPLITS, cells, "set", where)
        top = _FOLDERS.get(plain_name(place.parts[0]), place.parts[0]) if place.parts else ""
        listed[top, str(PurePosixPath(*place.parts[1:]))] = {**facts, "label": label, "set": split}
    return listed


def _add_videos(
    tree: Path, listed: Mapping[Key, Mapping[str, Any]], dataset: Dataset, exclude: Sequence[AnyPath]
) -> set[Key]:
    """Add the videos that the list names; the others get a skipped row. Returns the keys of all that are there."""
    there = set()
    for name, folder in _parts(tree).items():
        for path in collect_videos(folder, dataset, exclude, "DFDCP"):
            key = name, Path(path).relative_to(folder).as_posix()
            there.add(key)
            if key in listed:
                dataset.entries.append(_entry(path, key, listed[key]))
            else:
                dataset.skipped.append(Skipped(path, f"not in {LIST_NAME}: its label is not known"))
    return there


def _entry(path: str, key: Key, facts: Mapping[str, Any]) -> Entry:
    folder = PurePosixPath(key[1]).parts[0] if "/" in key[1] else None
    target = facts.get("target_id", folder)
    swapped = facts.get("swapped_id")
    real = facts["label"] is Label.REAL
    return Entry(
        path=path,
        label=facts["label"],
        method=None if real else key[0],
        split=facts["set"],
        source_id=_text(target if real else swapped),
        target_id=None if real else _text(target),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _divide(dataset: Dataset, tree: Path, seed: int) -> None:
    """Keep the owner's test, and hold identities of train out where there is no validation."""
    train = [entry for entry in dataset.entries if entry.split is Split.TRAIN]
    rest = by_person([entry for entry in dataset.entries if entry.split is not Split.TRAIN], dataset.name)
    dataset.split_source = f"official set of {LIST_NAME} in {display_path(tree)}"
    if train and not any(entry.split is Split.VAL for entry in rest):
        held = hold_out_identities(train, seed, dataset.name)
        train = held.entries
        dataset.note_split(held.note(seed))
        dataset.split_source += held.source(seed)
    dataset.entries = sorted([*train, *rest], key=lambda entry: entry.path)


def _compare(dataset: Dataset, listed: Mapping[Key, Mapping[str, Any]], there: set[Key]) -> None:
    """Fill `expected`, a row a class; what the list does not name is surplus of the class of its folder."""
    for label, expected in EXPECTED.items():
        named = {key for key, facts in listed.items() if facts["label"] is label}
        surplus = {key for key in there - listed.keys() if (key[0] == ORIGINALS) == (label is Label.REAL)}
        dataset.expected.append(
            Count(
                f"{label.name.lower()} videos",
                len(there & named),
                expected,
                tuple("/".join(key) for key in sorted(named - there)),
                tuple("/".join(key) for key in sorted(surplus)),
            )
        )
