"""What a dataset layout is, and what it returns: the contract that each file of this package fulfils."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ffpipe.manifests.inputs import AnyPath, Skipped, collect, display_path
from ffpipe.manifests.records import Entry, Label, Split

#: How many names of missing or surplus files a line for people spells out.
SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class Recognition:
    """That a layout knows a folder: the tree's own root, and the reason in words.

    stated: a file in the root says what its media are, and no name had to be interpreted.
    """

    root: Path
    reason: str
    stated: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """Files found against files expected of one part of a dataset.

    `missing` and `surplus` name files as far as names are known: those that the owner lists and that are absent, and
    those that are there and that the owner does not have. `verified` is False where the expected number was never
    checked against the owner's own files.
    """

    part: str
    found: int
    expected: int
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    verified: bool = True

    @property
    def n_missing(self) -> int:
        """How many files are missing, named or not."""
        return max(len(self.missing), self.expected - self.found)

    @property
    def n_surplus(self) -> int:
        """How many files there are too many, named or not."""
        return max(len(self.surplus), self.found - self.expected)

    def __str__(self) -> str:
        names = [("missing", self.missing), ("surplus", self.surplus)]
        told = [f"{word} {some(listed)}" for word, listed in names if listed]
        return ", ".join([f"{self.part}: {self.found} of {self.expected}", *told])


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


@dataclass(slots=True)
class Dataset:
    """What a layout made of a folder.

    `name` is the layout's; `reason` why it was taken; `split_source` says where the split comes from and
    starts with "official", "seeded", "given" or "none"; `notes` are lines that the user must see;
    `expected` compares with the owner's counts and only warns; `skipped` get a row each; `companions` counts
    what was passed over, by kind; `whole` says that the media are taken whole, since they are no pictures of faces,
    and `cropped` that they are cut to faces already; `split_notes` are those of the notes that are about the layout's
    own split.
    """

    name: str
    entries: list[Entry]
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    expected: list[Count] = field(default_factory=list)
    split_source: str = "none"
    skipped: list[Skipped] = field(default_factory=list)
    companions: Counter[str] = field(default_factory=Counter)
    whole: bool = False
    cropped: bool = False
    split_notes: list[str] = field(default_factory=list)

    def note_split(self, line: str) -> None:
        """Add a note that is moot where the user gives another split."""
        self.notes.append(line)
        self.split_notes.append(line)

    def summary(self) -> str:
        """One line of counts, such as `4 files: 2 real, 2 fake; train 2, val 2`."""
        labels = Counter(entry.label for entry in self.entries)
        names = {Label.REAL: "real", Label.FAKE: "fake", None: "unlabelled"}
        parts = ", ".join(f"{labels[label]} {name}" for label, name in names.items() if labels[label])
        splits = Counter(entry.split for entry in self.entries)
        divided = ", ".join(f"{split} {splits[split]}" for split in Split if splits[split])
        total = len(self.entries)
        kind = "sequence" if any(entry.pictures for entry in self.entries) else "file"
        text = f"{total} {kind}{'s' * (total != 1)}" + (f": {parts}" if parts else "")
        return text + (f"; {divided}" if divided else "")


class Layout(Protocol):
    """A dataset as its owner ships it. Register it in `manifests/datasets/__init__.py`."""

    name: str
    summary: str

    def recognise(self, root: Path) -> Recognition | None:
        """Whether the folder holds this layout, judged from names alone; None where it does not."""
        ...

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """The dataset's entries with what the layout knows of each.

        Raises:
            UsageError: the folder does not hold this layout, or its split files are wrong.
        """
        ...


def recognised(trees: Sequence[Path], names: Callable[[Path], Sequence[str]]) -> Recognition | None:
    """The first of the trees, told by what `names` finds in it; None where there is no tree."""
    if not trees:
        return None
    found = display_path(" and ".join(names(trees[0])))
    return Recognition(trees[0], f"found {found} in {display_path(trees[0])}")


def plain_name(name: str) -> str:
    """A folder name without case, spaces, `-` and `_`, so that spellings in use compare equal."""
    return "".join(character for character in name.lower() if character not in " -_")


def subfolders(folder: Path) -> list[Path]:
    """The visible folders directly inside, sorted; empty where the folder cannot be read."""
    try:
        with os.scandir(folder) as children:
            return sorted(folder / c.name for c in children if not c.name.startswith(".") and c.is_dir())
    except OSError:
        return []


def named_subfolders(folder: Path) -> dict[str, Path]:
    """The visible folders directly inside, by `plain_name`."""
    return {plain_name(child.name): child for child in subfolders(folder)}


def nearest(root: Path, levels: int, wanted: Callable[[Path], bool]) -> list[Path]:
    """The folder itself if it is wanted, else all that are on the first of `levels` levels below that has any."""
    current = [root]
    for _ in range(levels):
        if found := [folder for folder in current if wanted(folder)]:
            return found
        current = [child for folder in current for child in subfolders(folder) if not child.is_symlink()]
    return [folder for folder in current if wanted(folder)]


def only_tree(trees: Sequence[Path], root: Path, what: str, needed: str) -> Path:
    """The one tree that was found below a folder.

    Raises:
        UsageError: there is none, where `needed` says what would make one, or there are several.
    """
    if len(trees) == 1:
        return trees[0]
    shown = display_path(root)
    if not trees:
        raise UsageError(f"{shown} holds no {needed}: not {what}")
    listed = ", ".join(display_path(tree) for tree in trees)
    raise UsageError(f"{shown} holds several {what} trees: {listed}; give one of them")


def collect_videos(folder: Path, dataset: Dataset, exclude: Sequence[AnyPath], what: str) -> list[str]:
    """The videos below a folder; pictures are counted among the companions, and all else gets a skipped row."""
    inputs = collect([folder], exclude)
    dataset.companions += inputs.companions
    dataset.skipped += inputs.skipped
    videos = []
    for path in inputs.entries:
        suffix = Path(path).suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            videos.append(path)
        elif suffix in IMAGE_SUFFIXES:
            dataset.companions[suffix] += 1
        else:
            dataset.skipped.append(Skipped(path, f"not a video of {what}"))
    return videos
