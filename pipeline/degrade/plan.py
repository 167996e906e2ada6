"""Which copies a dataset's clips lack, and where those belong: pure, from names and what a tree holds already.

FaceForensics++ keeps its official tree, `<source>/c<N>/videos/`. Of every other layout the copies lie in
`c<N>/<place in the source>`, beside a manifest of the folder layout that says what belongs together. Such a tree is
never the source's own folder, whose layout would not be recognised any more: there it is the folder `degraded` in it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpipe.manifests.datasets import Dataset
from ffpipe.manifests.datasets.layout import named_subfolders, plain_name, subfolders
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES
from ffpipe.manifests.qualities import quality_of, rate_factor
from ffpipe.manifests.records import Entry
from ffpipe.pipeline.guides import quality_rank

#: Where copies go if the source's own folder is given for another layout than FaceForensics++.
INNER = "degraded"
OFFICIAL = "ffpp"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy to be made: its rate factor and its file."""

    crf: int
    target: Path


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip's best copy that is there, and the copies that it lacks."""

    entry: Entry
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """The source tree's root and layout, and the folder that copies are made in."""

    layout: str
    root: Path
    out: Path

    @classmethod
    def of(cls, layout: str, root: Path, out: Path) -> Tree:
        """Where copies of a layout's tree at `root` go if `out` is asked for."""
        inside = layout != OFFICIAL and out.resolve() == root.resolve()
        return cls(layout, root, out / INNER if inside else out)

    @property
    def in_place(self) -> bool:
        """Whether copies join the source's own tree."""
        return self.out.resolve() == self.root.resolve()

    @property
    def has_manifest(self) -> bool:
        """Whether a manifest says what the copies are; the official tree says it by its folders."""
        return self.layout != OFFICIAL


@dataclass(slots=True)
class Plan:
    """The clips that lack copies, how many copies are there, and what people must be told."""

    clips: list[Clip] = field(default_factory=list)
    present: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def copies(self) -> int:
        """Copies to be made."""
        return sum(len(clip.copies) for clip in self.clips)


def is_video(entry: Entry) -> bool:
    """Whether copies can be made: neither of images nor of sequences of them."""
    return entry.pictures is None and Path(entry.path).suffix.lower() not in IMAGE_SUFFIXES


def sources(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The videos by clip, the best quality first; a video of no clip on record is a clip of its own."""
    clips: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if is_video(entry):
            clips[entry.pair_id or f"file {entry.path}"].append(entry)
    return {
        name: sorted(found, key=lambda e: (quality_rank(e.quality or "c0"), e.path))
        for name, found in clips.items()
    }


def plan(dataset: Dataset, tree: Tree, rates: Sequence[int], made: Collection[Path]) -> Plan:
    """What is to be made for each of the rate factors; `made` are the finished copies that ffpipe made itself.

    A quality folder of the official tree that holds a file of another origin is its owner's, and left as it is.
    """
    planner = _Planner(tree, frozenset(made))
    result = Plan()
    for found in sources(dataset.entries).values():
        copies = planner.copies(found, sorted(set(rates)))
        if copies:
            result.clips.append(Clip(found[0], copies))
            planner.origins[_quality(found[0])] += 1
    result.present = planner.present
    result.notes = planner.notes(dataset)
    return result


def _quality(entry: Entry) -> str:
    """The best there is stands for raw where nothing says what it is."""
    return entry.quality or "c0"


class _Planner:
    """Decides clip by clip, and counts what was decided."""

    def __init__(self, tree: Tree, made: Collection[Path]) -> None:
        self.tree = tree
        self.made = made
        self.present = 0
        self.origins: Counter[str] = Counter()
        self._poor: Counter[str] = Counter()
        self._owned: Counter[str] = Counter()
        self._others: dict[Path, bool] = {}

    def copies(self, found: Sequence[Entry], rates: Sequence[int]) -> tuple[Copy, ...]:
        """The copies that a clip lacks, given what there is of it, the best first."""
        wanted = []
        there = {e.quality for e in found} if self.tree.has_manifest or self.tree.in_place else set()
        for crf in rates:
            quality = quality_of(crf)
            target = self._target(found[0], quality)
            if target in self.made or quality in there:
                self.present += 1
            elif (rate_factor(_quality(found[0])) or 0) >= crf:
                self._poor[f"{quality} from {_quality(found[0])}"] += 1
            elif self._is_owned(target):
                self._owned[str(target.parent)] += 1
            else:
                wanted.append(Copy(crf, target))
        return tuple(wanted)

    def _target(self, entry: Entry, quality: str) -> Path:
        place = Path(entry.path)
        if self.tree.layout == OFFICIAL:
            folder = place.parent.parent if plain_name(place.parent.name) == "videos" else place.parent
            source = self.tree.out / folder.parent.relative_to(self.tree.root)
            return _videos(source, quality) / f"{place.stem}.mp4"
        name = place.name if place.suffix.lower() == ".mp4" else f"{place.name}.mp4"
        return self.tree.out / quality / self._place(place.parent) / name

    def _place(self, folder: Path) -> Path:
        """A folder below the source's root; of one elsewhere, a name that no other has."""
        if folder.is_relative_to(self.tree.root):
            return folder.relative_to(self.tree.root)
        return Path("elsewhere", hashlib.sha256(os.fsencode(folder)).hexdigest()[:12])

    def _is_owned(self, target: Path) -> bool:
        """Whether a file of another origin is in the way, or the whole folder is the owner's."""
        folder = target.parent
        if self.tree.has_manifest:
            return target.exists()
        if folder not in self._others:
            self._others[folder] = any(path not in self.made for path in _files(folder))
        return self._others[folder]

    def notes(self, dataset: Dataset) -> list[str]:
        """What is left out and why, and what copies are made of."""
        images = sum(not is_video(entry) for entry in dataset.entries)
        lines = [f"{images} images or sequences of them are left out: copies are made of videos"] * bool(
            images
        )
        lines += [
            f"{count} copies {what} cannot be made: it is no better" for what, count in self._poor.items()
        ]
        lines += [
            f"{folder} holds videos that were not made here: left as it is, though it lacks {count} of the clips"
            for folder, count in self._owned.items()
        ]
        for quality, count in sorted(self.origins.items()):
            if quality != "c0":
                lines.append(
                    f"NO RAW VIDEO: copies of {count} clips are made of {quality}, the best there is: they are "
                    "compressed twice, and are not what the owner's copies would be"
                )
        return lines


def _videos(source: Path, quality: str) -> Path:
    """The folder of a quality's clips: as it is called if it is there, with or without the `videos` level."""
    for child in subfolders(source):
        if child.name.lower() == quality:
            inner = named_subfolders(child).get("videos")
            return inner or (child if _files(child) else child / "videos")
    return source / quality / "videos"


def _files(folder: Path) -> list[Path]:
    """The visible files directly inside; none where there is no such folder."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError:
        return []
