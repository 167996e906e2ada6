"""`ffpp`: FaceForensics++ with DeepFakeDetection (Roessler et al., ICCV 2019; Google and Jigsaw, 2019).

What: 1,000 videos from YouTube and their forgeries by five methods, at three qualities; beside it DFD, 28
actors filmed and swapped.
Layout: `original_sequences/{youtube,actors}/{raw,c23,c40}/videos/*.mp4` and
`manipulated_sequences/<method>/{raw,c23,c40}/videos/*.mp4`; `c0` is another name of `raw`, `c<N>` is any other rate
factor, the `videos` level may be absent, and the tree may lie up to two folders below the one given. `masks` are
counted.
Names: originals `NNN`, fakes `<target>_<source>`; DFD reals `<actor>__<scene>`, fakes
`<target>_<source>__<scene>__<8 characters>`. Labels: the folder. Subset: DFD's own for its fakes and its actors,
which are each other's measure; the methods of the 1,000 videos have those videos, and no subset.
Split: the owner's `train.json`, `val.json`, `test.json`, lists of pairs of ids; both ids and both orders of a
pair belong to the split. Looked for beside the tree, in `splits/`, or where `--splits` says. Without them a
seeded identity-disjoint split, which is unofficial and says so. DFD has no official split: beside
FaceForensics++ it is test material, alone it is divided by seed.
Licence: the owners' terms of use, signed by each user; not redistributable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from ffpipe.manifests.datasets.ffpp_splits import OFFICIAL_FILES, OfficialSplit, find_official
from ffpipe.manifests.datasets.layout import (
    Count,
    Dataset,
    Recognition,
    collect_videos,
    named_subfolders,
    nearest,
    only_tree,
    recognised,
    subfolders,
)
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, display_path
from ffpipe.manifests.qualities import USUAL, quality_named
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import components, seeded_split

#: The methods that forge the 1,000 YouTube videos, in the owner's spelling.
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFD = "DeepFakeDetection"
#: Real sources: folder -> videos that the owners give.
ORIGINS = {"youtube": 1000, "actors": 363}
EXPECTED = {**ORIGINS, **dict.fromkeys(METHODS, 1000), DFD: 3068}
_DFD_PARTS = (DFD, "actors")
#: Parts whose expected number was never checked against the owner's files: known from literature alone.
UNVERIFIED = frozenset(_DFD_PARTS)

_ORIGINALS, _MANIPULATED = "originalsequences", "manipulatedsequences"
_NAMES = {name.lower(): name for name in EXPECTED}
_FFPP_NAME = re.compile(r"(?P<target>\d+)(?:_(?P<source>\d+))?")
_DFD_NAME = re.compile(r"(?P<target>\d+)(?:_(?P<source>\d+))?__.+")
_SEARCH_LEVELS = 2


@dataclass(frozen=True, slots=True)
class _Part:
    """One folder of clips: a real source or a method, at one quality."""

    name: str
    quality: str
    folder: Path

    @property
    def is_dfd(self) -> bool:
        return self.name in _DFD_PARTS


class FaceForensics:
    """The owner's tree, as downloaded."""

    name = "ffpp"
    summary = "FaceForensics++ and DFD: original_sequences/, manipulated_sequences/"

    def recognise(self, root: Path) -> Recognition | None:
        """By the two top folders, one of which is enough, in the folder given or up to two below."""
        return recognised(_trees(root), _tops)

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every clip of every method and quality, split officially where the owner's files are found.

        Raises:
            UsageError: no tree or several, no clip in it, or split files that are missing or wrong.
        """
        needed = "original_sequences/ or manipulated_sequences/"
        tree = only_tree(_trees(root), root, "FaceForensics++", needed)
        dataset = Dataset(self.name, [])
        parts = list(_parts(tree, dataset))
        for part in parts:
            _add_clips(part, dataset, exclude)
        if not dataset.entries:
            raise UsageError(
                f"{display_path(tree)} has the folders of FaceForensics++ but no video in "
                f"<source>/<{'|'.join(USUAL)}>/videos"
            )
        official = find_official(splits_dir, [tree, root], dataset.notes)
        _divide(dataset, official, seed)
        _compare(parts, dataset, official)
        return dataset


def _is_top(plain: str) -> bool:
    return plain in (_ORIGINALS, _MANIPULATED)


def _tops(tree: Path) -> list[str]:
    return [f"{child.name}/" for key, child in named_subfolders(tree).items() if _is_top(key)]


def _trees(root: Path) -> list[Path]:
    """The nearest folders that have a top folder of the layout; more than one is an error of load."""
    return nearest(root, _SEARCH_LEVELS, lambda folder: any(map(_is_top, named_subfolders(folder))))


def _parts(tree: Path, dataset: Dataset) -> Iterator[_Part]:
    """The folders of clips; masks are counted, and folders of another name reported."""
    unknown: list[str] = []
    tops = named_subfolders(tree)
    for top in (_ORIGINALS, _MANIPULATED):
        for source in subfolders(tops[top]) if top in tops else []:
            name = _NAMES.get(source.name.lower().replace("_", ""))
            if name is None or (name in ORIGINS) != (top == _ORIGINALS):
                unknown.append(str(source.relative_to(tree)))
                continue
            for child in subfolders(source):
                if child.name.lower() == "masks":
                    dataset.companions["mask"] += sum(1 for path in child.rglob("*") if path.is_file())
                elif quality := quality_named(child.name):
                    yield _Part(name, quality, named_subfolders(child).get("videos", child))
                else:
                    unknown.append(str(child.relative_to(tree)))
    if unknown:
        dataset.notes.append(
            f"folders that are no part of FaceForensics++ were left out: {display_path(', '.join(unknown))}"
        )


def _add_clips(part: _Part, dataset: Dataset, exclude: Sequence[AnyPath]) -> None:
    videos = collect_videos(part.folder, dataset, exclude, "FaceForensics++")
    dataset.entries += [_entry(part, path) for path in videos]


def _entry(part: _Part, path: str) -> Entry:
    stem = Path(path).stem
    real = part.name in ORIGINS
    found = (_DFD_NAME if part.is_dfd else _FFPP_NAME).fullmatch(stem)
    target = found["target"] if found else None
    source = found["source"] if found else None
    return Entry(
        path=path,
        label=Label.REAL if real else Label.FAKE,
        method=None if real else part.name,
        quality=part.quality,
        source_id=target if real else source,
        target_id=None if real else target,
        pair_id=f"ffpp/{part.name}/{stem}",
        subset=DFD if part.is_dfd else None,
    )


def _identities(entry: Entry) -> list[str]:
    """The ids that tie an entry to others; a clip whose name tells none stands for itself at each quality."""
    ids = [name for name in (entry.source_id, entry.target_id) if name is not None]
    return ids or [f"clip {entry.pair_id}"]


def _is_dfd(entry: Entry) -> bool:
    return entry.method == DFD or str(entry.pair_id).startswith("ffpp/actors/")


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    joined = components(_identities(entry) for entry in entries)
    return [replace(entry, group=f"ffpp/{joined[_identities(entry)[0]]}") for entry in entries]


def _divide(dataset: Dataset, official: OfficialSplit | None, seed: int) -> None:
    """Set group and split of every entry, and say where the split comes from."""
    clips = [entry for entry in dataset.entries if not _is_dfd(entry)]
    dfd = _grouped([entry for entry in dataset.entries if _is_dfd(entry)])
    if official is not None:
        clips, outside = officially(clips, official)
        if outside:
            dataset.note_split(outside)
        dataset.split_source = official.words
    else:
        clips = seeded_split(_grouped(clips), seed)
        dataset.split_source = f"seeded {seed}, identity-disjoint, unofficial"
        dataset.note_split(
            f"UNOFFICIAL SPLIT: {', '.join(OFFICIAL_FILES.values())} were not found beside the data, so whole "
            f"identities were divided by seed {seed}; give the owner's files with --splits DIR to compare with "
            "published figures"
        )
    if dfd and clips:
        dfd = [replace(entry, split=Split.TEST) for entry in dfd]
        dataset.note_split(f"DFD has no official split: its {len(dfd)} videos are test material")
    elif dfd:
        dfd = seeded_split(dfd, seed)
        dataset.split_source = f"seeded {seed}, identity-disjoint, unofficial (DFD has no official split)"
    dataset.entries = sorted(clips + dfd, key=lambda entry: entry.path)


def officially(entries: Sequence[Entry], official: OfficialSplit) -> tuple[list[Entry], str | None]:
    """Entries whose ids are all of one split get it; the others get none and tie no groups together.

    Returns them in groups, and a line on what is outside of all splits, where there is any.
    """
    placed, outside = [], []
    for entry in entries:
        split = official.split_of(_identities(entry))
        if split is None:
            outside.append(replace(entry, split=None, group=f"ffpp/outside/{entry.pair_id}"))
        else:
            placed.append(replace(entry, split=split))
    line = None
    if outside:
        line = (
            f"{len(outside)} videos are in no official split (unknown ids, or ids of two splits) and are left out "
            f"of all three, such as {display_path(Path(outside[0].path).name)}"
        )
    return _grouped(placed) + outside, line


def _compare(parts: Sequence[_Part], dataset: Dataset, official: OfficialSplit | None) -> None:
    """Fill `expected`, one row a part and quality, and note methods that are absent altogether."""
    found: dict[tuple[str, str], set[str]] = {(part.name, part.quality): set() for part in parts}
    for entry in dataset.entries:
        _, name, stem = str(entry.pair_id).split("/", 2)
        found[name, str(entry.quality)].add(stem)
    for (name, quality), stems in found.items():
        owned = _official_names(name, official)
        dataset.expected.append(
            Count(
                f"{name} {quality}",
                len(stems),
                EXPECTED[name],
                missing=tuple(sorted(owned - stems)),
                surplus=tuple(sorted(stem for stem in stems if not _may_be_owned(name, stem, owned))),
                verified=name not in UNVERIFIED,
            )
        )
    present = {name for name, _ in found}
    absent = [name for name in ("youtube", *METHODS) if name not in present]
    if absent and absent != ["youtube", *METHODS]:
        dataset.notes.append(f"not present: {', '.join(absent)}")
    _note_repeats(dataset)


def _official_names(name: str, official: OfficialSplit | None) -> set[str]:
    """The clips that must exist, as far as it is known: the originals by number, the fakes by the pairs."""
    if name == "youtube":
        return {f"{number:03}" for number in range(ORIGINS[name])}
    if name in METHODS and official is not None:
        return {stem for a, b in official.pairs for stem in (f"{a}_{b}", f"{b}_{a}")}
    return set()


def _may_be_owned(name: str, stem: str, owned: AbstractSet[str]) -> bool:
    """Whether a clip can be the owner's: it is named where the names are known, else its numbers are in range."""
    if owned:
        return stem in owned
    if name in _DFD_PARTS:
        return _DFD_NAME.fullmatch(stem) is not None
    pair = _FFPP_NAME.fullmatch(stem)
    return pair is not None and all(
        number is not None and int(number) < ORIGINS["youtube"] for number in pair.groups()
    )


def _note_repeats(dataset: Dataset) -> None:
    """A clip present twice at one quality, as raw/ beside c0/ makes it, is said aloud."""
    clips: Mapping[tuple[str | None, str | None], int] = Counter(
        (entry.pair_id, entry.quality) for entry in dataset.entries
    )
    repeated = sum(count > 1 for count in clips.values())
    if repeated:
        dataset.notes.append(f"{repeated} clips are present more than once at one quality (raw/ beside c0/?)")
