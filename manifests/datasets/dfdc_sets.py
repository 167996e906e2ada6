"""Where the videos of the DeepFake Detection Challenge lie in a tree, and which file labels them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpipe.manifests.datasets.dfdc_labels import METADATA, TEST_FILES, Listed, is_of_dfdc
from ffpipe.manifests.datasets.layout import named_subfolders, plain_name, subfolders
from ffpipe.manifests.filekinds import VIDEO_SUFFIXES

PUBLIC_TEST = "public test"

_SAMPLE, _UNLABELLED = "trainsamplevideos", "testvideos"
_PART_NAME = re.compile(r"dfdctrainpart(\d+)")
#: Folders of the public test, as `plain_name` writes them.
_TEST_FOLDERS = ("test", "videos")


@dataclass(frozen=True, slots=True)
class VideoSet:
    """A folder of videos with the file that labels them; `number` is a part's."""

    name: str
    folder: Path
    file: Path
    number: int | None = None
    listed: dict[str, Listed] = field(default_factory=dict)

    @property
    def is_test(self) -> bool:
        """Whether it is the public test, and no part of train."""
        return self.name == PUBLIC_TEST


def find_sets(tree: Path) -> list[VideoSet]:
    """Parts, sample and public test of a tree, or the tree itself where it is a part or a sample."""
    if own := _training_set(tree) or _bare_set(tree):
        return [own]
    children = [child for place in _training_places(tree) for child in subfolders(place)]
    found = [made for child in children if (made := _training_set(child))]
    return [*sorted(found, key=lambda made: (made.number or 0, made.name)), *_test_set(tree)]


def _training_set(folder: Path) -> VideoSet | None:
    """A part or the sample by its name, also wrapped in one more folder of a part's name."""
    number = _PART_NAME.fullmatch(plain_name(folder.name))
    if number is None and plain_name(folder.name) != _SAMPLE:
        return None
    for place in (folder, *filter(_is_part, subfolders(folder))):
        if (place / METADATA).is_file():
            return VideoSet(folder.name, place, place / METADATA, int(number[1]) if number else None)
    return None


def _bare_set(folder: Path) -> VideoSet | None:
    """A part under another name, told by what its metadata names."""
    if plain_name(folder.name) in _TEST_FOLDERS or not is_of_dfdc(folder / METADATA):
        return None
    return VideoSet(folder.name, folder, folder / METADATA)


def _is_part(folder: Path) -> bool:
    return _PART_NAME.fullmatch(plain_name(folder.name)) is not None


def _test_set(tree: Path) -> list[VideoSet]:
    """The public test: a label file in the tree or in its test folders, and the nearest videos to it."""
    inner = _test_places(tree)
    for place in (tree, *inner):
        names = TEST_FILES if plain_name(place.name) in _TEST_FOLDERS else TEST_FILES[:-1]
        for file in (place / name for name in names if (place / name).is_file()):
            below = inner if place == tree else _test_places(place)
            for folder in filter(_holds_videos, (place, *below)):
                return [VideoSet(PUBLIC_TEST, folder, file)]
    return []


def _test_places(place: Path) -> list[Path]:
    """The subfolders that may be the public test, and the videos folder in them."""
    children = named_subfolders(place)
    found = [children[name] for name in _TEST_FOLDERS if name in children]
    below = [named_subfolders(folder).get("videos") for folder in found]
    return [*found, *(folder for folder in below if folder)]


def _holds_videos(folder: Path) -> bool:
    try:
        return any(child.suffix.lower() in VIDEO_SUFFIXES for child in folder.iterdir())
    except OSError:
        return False


def is_owners(found: VideoSet) -> bool:
    """Whether nothing else can be meant: parts are called as no other folder is, label files are looked into."""
    return found.number is not None or is_of_dfdc(found.file)


def without_labels(tree: Path, sets: Sequence[VideoSet]) -> list[Path]:
    """Folders that are called as the owner's, and that no label file tells of."""
    taken = {folder for found in sets for folder in (found.folder, found.folder.parent)}
    children = [child for place in _training_places(tree) for child in subfolders(place)]
    named = [c for c in children if _is_part(c) or plain_name(c.name) in (_SAMPLE, _UNLABELLED)]
    return [child for child in named if child not in taken]


def _training_places(tree: Path) -> list[Path]:
    inner = named_subfolders(tree).get("train")
    return [tree, inner] if inner else [tree]
