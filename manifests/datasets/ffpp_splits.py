"""The official split files of FaceForensics++: found, checked and read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.datasets.json_file import read_json
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Split

OFFICIAL_FILES = {Split.TRAIN: "train.json", Split.VAL: "val.json", Split.TEST: "test.json"}


@dataclass(frozen=True, slots=True)
class OfficialSplit:
    """The owner's pairs: `ids` maps each id to its split; `pairs` are as listed, one order each."""

    folder: Path
    ids: dict[str, Split]
    pairs: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """Where the split comes from, for people and provenance."""
        return f"official {', '.join(OFFICIAL_FILES.values())} in {display_path(self.folder)}"

    def split_of(self, names: Iterable[str]) -> Split | None:
        """The split that all of some ids belong to; None where one is unknown or they are of several."""
        splits = {self.ids.get(name) for name in names}
        return splits.pop() if len(splits) == 1 else None


def find_official(splits_dir: Path | None, roots: Sequence[Path], notes: list[str]) -> OfficialSplit | None:
    """The official split from `splits_dir`, else from a root or its `splits/`; None where none is complete.

    Raises:
        UsageError: `splits_dir` lacks a file, or a file found is not a list of pairs of ids.
    """
    if splits_dir is not None:
        absent = _absent(splits_dir)
        if absent:
            raise UsageError(
                f"--splits {display_path(splits_dir)} lacks {', '.join(absent)}; "
                f"it must hold {', '.join(OFFICIAL_FILES.values())}"
            )
        return read_official(splits_dir)
    for folder in (place for root in roots for place in (root, root / "splits")):
        absent = _absent(folder)
        if not absent:
            return read_official(folder)
        if len(absent) < len(OFFICIAL_FILES):
            notes.append(f"{display_path(folder)} lacks {', '.join(absent)}: its split files were not used")
    return None


def _absent(folder: Path) -> list[str]:
    return [name for name in OFFICIAL_FILES.values() if not (folder / name).is_file()]


def read_official(folder: Path) -> OfficialSplit:
    """Read the three files of one folder.

    Raises:
        UsageError: a file cannot be read, is no list of two-string pairs, or an id stands in two splits.
    """
    ids: dict[str, Split] = {}
    pairs: list[tuple[str, str]] = []
    for split, name in OFFICIAL_FILES.items():
        for pair in _read_pairs(folder / name):
            pairs.append(pair)
            for identity in pair:
                if ids.setdefault(identity, split) is not split:
                    raise UsageError(
                        f"{display_path(folder)}: id {display_path(identity)} is in both {ids[identity]} and {split}"
                    )
    return OfficialSplit(folder, ids, tuple(pairs))


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    shown = display_path(path)
    content = read_json(path)
    if not isinstance(content, list) or not all(_is_pair(pair) for pair in content):
        raise UsageError(f'{shown} must be a list of pairs of ids, such as [["071", "054"], …]')
    return [(first, second) for first, second in content]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
