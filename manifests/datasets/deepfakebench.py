"""`deepfakebench`: the frames that DeepfakeBench (Yan et al., NeurIPS 2023) prepares, by its JSON lists.

What: face crops of FaceForensics++, Celeb-DF, DFDC and others, one folder of frames a video, as its preprocessing
writes them or its authors share them; a video's frames are one medium, and no face is searched.
Layout: `<Dataset>.json` (usual places: `dataset_json/`, `preprocessing/dataset_json/`), nested as dataset, label,
split (`train`, `val`, `test`), for FaceForensics++ a compression level (`c23`, `c40`, `raw`), then video name with
`label` and `frames`. Frame paths may hold backslashes, start with a root of another machine, and are listed in no
order; they are sorted by name. Where they begin on this machine is found by looking for them: in SOURCE, or around
the JSON where that is SOURCE; their first levels may be absent here.
Labels: the video's `label`, never the path: `FF-real` and `…_real` are real, other `FF-…` and `…_fake` fake, in any
case. Method: the label, with FaceForensics++'s own names for its methods.
Split: as listed. A video that is listed in several (the lists of Celeb-DF repeat test as val, others list everything
three times) belongs to the one that learns least: test, then val. Where that leaves no validation, whole groups of
train are held out for it, since a checkpoint must not be chosen on test.
Groups: identities in the names of FaceForensics++, DFD and Celeb-DF; else each video by itself.
Licence: the owners' of each dataset.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ffpipe.manifests.datasets.deepfakebench_paths import FrameRoot, find_root, frame_parts
from ffpipe.manifests.datasets.json_file import read_json
from ffpipe.manifests.datasets.layout import Count, Dataset, Recognition, subfolders
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import AnyPath, display_path
from ffpipe.manifests.qualities import quality_named
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import components, group_key, hold_out_validation

#: Labels of FaceForensics++ and DFD by the names that those give their methods.
METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "FF-SH": "FaceShifter",
    "DFD_fake": "DeepFakeDetection",
}
#: What the layout `ffpp` calls the clips of a label: their frames are copies of the same clips.
_CLIPS = {**METHODS, "FF-real": "youtube", "DFD_real": "actors"}
#: The split that learns least comes first.
_LEAST = (Split.TEST, Split.VAL, Split.TRAIN)
_FOLDERS = ("", "dataset_json", "preprocessing/dataset_json")
#: How such a list begins: dataset, label, split.
_HEAD = re.compile(rb'\s*\{\s*"[^"]+"\s*:\s*\{\s*"[^"]+"\s*:\s*\{\s*"(?:train|val|test)"\s*:')
_HEAD_BYTES = 4096
_SHOWN = 8
#: Identities in a video's name, by how its label begins.
_IDENTITIES = (
    ("FF-", re.compile(r"(?P<target>\d{3})(?:_(?P<source>\d{3}))?")),
    ("DFD", re.compile(r"(?P<target>\d\d)(?:_(?P<source>\d\d))?__.+")),
    ("CelebDF", re.compile(r"(?P<target>id\d+)(?:_(?P<source>id\d+))?_\d+")),
)


@dataclass(frozen=True, slots=True)
class _Video:
    """A video as it is listed: the dataset's and its own label, split, quality, name and frames (levels of paths)."""

    dataset: str
    label: str
    split: Split
    quality: str | None
    name: str
    frames: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> tuple[str, str | None, tuple[str, ...], str]:
        """What two listings of one video share: label, quality, the folder of its frames, and name."""
        return self.label, self.quality, self.frames[0][:-1] if self.frames else (), self.name


class DeepfakeBench:
    """One of its lists, with the frames that it names."""

    name = "deepfakebench"
    summary = "DeepfakeBench: dataset_json/<Dataset>.json with the frames it lists; face crops, no detection"

    def recognise(self, root: Path) -> Recognition | None:
        """By a list: given as such, in the folder, or in its `dataset_json/` or `preprocessing/dataset_json/`."""
        lists = _lists(root)
        if not lists:
            return None
        names = ", ".join(display_path(path.name) for path in lists[:_SHOWN])
        return Recognition(root, f"found the frame lists {names} in {display_path(lists[0].parent)}")

    def load(
        self, root: Path, *, splits_dir: Path | None = None, seed: int = 0, exclude: Sequence[AnyPath] = ()
    ) -> Dataset:
        """Every video of the list; frames that are not there are named.

        `splits_dir` is the list, or a folder with it, where it does not lie in SOURCE.

        Raises:
            UsageError: no list or several, one that is none, a label that says neither real nor fake, or no frame
                found of it.
        """
        path = _only_list(root, splits_dir)
        videos = list(_videos(path))
        if not any(video.frames for video in videos):
            raise UsageError(f"{display_path(path)} lists no frame")
        found = find_root(root, path, [video.frames[0] for video in videos if video.frames])
        dataset = Dataset(self.name, [], split_source=f"given by {display_path(path.name)}", cropped=True)
        dataset.notes.append(f"frames are read from {display_path(found.base)}{found.dropped_text}")
        dataset.entries = _grouped(_entries(_merged(videos, dataset), found, dataset))
        _need_validation(dataset, seed)
        return dataset


def _lists(place: Path) -> list[Path]:
    if place.is_file():
        return [place] if _is_list(place) else []
    folders = [place / name for name in _FOLDERS]
    folders += [child for child in subfolders(place) if child.name.startswith("dataset_json")]
    for folder in folders:
        if found := sorted(path for path in folder.glob("*.json") if _is_list(path)):
            return found
    return []


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.suffix.lower() == ".json" and bool(_HEAD.match(file.read(_HEAD_BYTES)))
    except OSError:
        return False


def _only_list(root: Path, given: Path | None) -> Path:
    place = root if given is None else given
    found = _lists(place)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"{display_path(place)} holds no <Dataset>.json of DeepfakeBench; give the list as SOURCE, or the frames' "
            "folder as SOURCE and the list with --splits"
        )
    names = ", ".join(display_path(path.name) for path in found[:_SHOWN])
    raise UsageError(
        f"{display_path(found[0].parent)} holds several lists ({names}); give one of them as SOURCE, or with --splits"
    )


def _videos(path: Path) -> Iterator[_Video]:
    """The videos as listed. Raises UsageError naming the place that is wrong."""
    for dataset, labels in _items(read_json(path), display_path(path.name)):
        for label, splits in _items(labels, dataset):
            for split, listed in _items(splits, f"{dataset}/{label}"):
                where = f"{display_path(path.name)}: {dataset}/{label}/{split}"
                if split not in set(Split):
                    raise UsageError(f"{where}: a split is train, val or test")
                for quality, name, video in _listed(listed, where):
                    yield _video(dataset, label, Split(split), quality, name, video, where)


def _items(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        raise UsageError(f"{where}: expected an object of names, found {type(node).__name__}")
    yield from node.items()


def _listed(node: Any, where: str) -> Iterator[tuple[str | None, str, Any]]:
    """Quality, name and object of each video below a split; a split that is itself a video (DFDC's val) has no name."""
    if isinstance(node, dict) and isinstance(node.get("frames"), list):
        yield None, "", node
        return
    for key, value in _items(node, where):
        quality = quality_named(key)
        if quality and isinstance(value, dict) and "frames" not in value:
            for name, video in value.items():
                yield quality, name, video
        else:
            yield None, key, value


def _video(
    dataset: str, label: str, split: Split, quality: str | None, name: str, video: Any, where: str
) -> _Video:
    frames = video.get("frames") if isinstance(video, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        raise UsageError(f"{where}/{display_path(name)}: a video has frames, a list of paths")
    parts = tuple(dict.fromkeys(frame_parts(frame, where) for frame in frames))
    told = str(video.get("label", label))
    _label(told, where)
    return _Video(
        dataset, told, split, quality, name or (parts[0][-2] if parts and parts[0][1:] else ""), parts
    )


def _label(told: str, where: str) -> Label:
    """Real or fake, from a label such as `CelebDFv2_real`, `DFDCP_FakeA` or `FF-DF`. Raises UsageError."""
    last = re.split(r"[-_]", told)[-1].lower()
    if last == "real":
        return Label.REAL
    if last.startswith("fake") or told.startswith("FF-"):
        return Label.FAKE
    raise UsageError(f"{where}: label {display_path(told)!r} says neither real nor fake")


def _merged(videos: Sequence[_Video], dataset: Dataset) -> list[_Video]:
    """One listing a video, in the split that learns least."""
    listings: dict[Any, list[_Video]] = defaultdict(list)
    for video in videos:
        listings[video.key].append(video)
    kept = [min(same, key=lambda video: _LEAST.index(video.split)) for same in listings.values()]
    repeated = sum(len({video.split for video in same}) > 1 for same in listings.values())
    if repeated:
        dataset.note_split(
            f"{repeated} videos are listed in several splits and belong to the one that learns least (test before val "
            "before train)"
        )
    return kept


def _entries(videos: Sequence[_Video], found: FrameRoot, dataset: Dataset) -> list[Entry]:
    entries: list[Entry] = []
    paths: set[str] = set()
    lost: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    listed: Counter[tuple[str, str | None]] = Counter()
    missing: list[str] = []
    for video in videos:
        pictures, absent = found.pictures(video.frames)
        listed[video.label, video.quality] += 1
        missing += absent
        if not pictures.names:
            lost[video.label, video.quality].append(video.name)
        # Two labels may list one folder: the rows stay apart.
        path = (
            pictures.place if pictures.place not in paths else f"{pictures.place}#{video.label}/{video.name}"
        )
        paths.add(path)
        entries.append(replace(_entry(video, path), pictures=pictures))
    for (label, quality), count in listed.items():
        part = f"{label} {quality}" if quality else label
        absent_videos = tuple(lost[label, quality])
        dataset.expected.append(Count(f"{part} videos", count - len(absent_videos), count, absent_videos))
    frames = sum(len(video.frames) for video in videos)
    dataset.expected.append(Count("frames", frames - len(missing), frames, tuple(missing)))
    return entries


def _entry(video: _Video, path: str) -> Entry:
    real = _label(video.label, video.name) is Label.REAL
    found = _identity(video)
    target = found["target"] if found else None
    source = found["source"] if found else None
    return Entry(
        path,
        label=Label.REAL if real else Label.FAKE,
        method=None if real else METHODS.get(video.label, video.label),
        quality=video.quality,
        split=video.split,
        source_id=target if real else source,
        target_id=None if real else target,
        group=f"{video.dataset}/{video.label}/{video.name}",
        pair_id=_clip(video),
    )


def _clip(video: _Video) -> str | None:
    """The clip that a video is a copy of, so that other copies are known: of FaceForensics++, or at other qualities."""
    if video.label in _CLIPS:
        return f"ffpp/{_CLIPS[video.label]}/{video.name}"
    return f"deepfakebench/{video.dataset}/{video.label}/{video.name}" if video.quality else None


def _identity(video: _Video) -> re.Match[str] | None:
    for beginning, pattern in _IDENTITIES:
        if video.label.startswith(beginning):
            return pattern.fullmatch(video.name)
    return None


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of one identity in one group; a video whose name tells none stands alone."""
    keys = [[name for name in (e.source_id, e.target_id) if name] or [f"video {e.group}"] for e in entries]
    joined = components(keys)
    return [
        replace(entry, group=f"deepfakebench/{joined[key[0]]}")
        for entry, key in zip(entries, keys, strict=True)
    ]


def _need_validation(dataset: Dataset, seed: int) -> None:
    """Where no validation is left, hold whole groups of train out."""
    train = [entry for entry in dataset.entries if entry.split is Split.TRAIN]
    if not train or any(entry.split is Split.VAL for entry in dataset.entries):
        return
    held = hold_out_validation(train, seed)
    dataset.entries = [
        replace(entry, split=Split.VAL) if entry.split is Split.TRAIN and group_key(entry) in held else entry
        for entry in dataset.entries
    ]
    moved = sum(entry.split is Split.VAL for entry in dataset.entries)
    if not moved:
        dataset.note_split("no validation: no group of train can be held out so that train keeps every class")
        return
    dataset.split_source += f", validation held out of train by seed {seed}"
    dataset.note_split(
        f"the list has no validation of its own: {moved} train videos are held out for it by seed {seed}"
    )
