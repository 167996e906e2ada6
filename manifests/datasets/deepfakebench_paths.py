"""Where the frames that a list of DeepfakeBench names lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.pictures import folder_pictures, missing_text
from ffpipe.manifests.records import Pictures

Parts = tuple[str, ...]

#: Folders below a place in which DeepfakeBench keeps its frames.
_BELOW = ("", "datasets/rgb", "datasets", "rgb")
#: Folders above the list that are looked in.
_ABOVE = 4
#: Levels of a path that must be left when its first ones are dropped: fewer would match other videos' frames.
_LEAST_LEVELS = 3
#: Videos whose first frame is looked for.
_SAMPLES = 40


def frame_parts(frame: str, where: str) -> Parts:
    """The levels of a listed path, whatever slashes it has. Raises UsageError for one that goes up in its middle."""
    parts = [part for part in frame.replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        del parts[0]
    if not parts or ".." in parts or "\0" in frame:
        raise UsageError(f"{where}: no path of a frame: {display_path(frame)!r}")
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class FrameRoot:
    """A folder, and how many first levels of the listed paths are absent in it."""

    base: Path
    dropped: Parts
    _names: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def dropped_text(self) -> str:
        """For people."""
        return f" (without the listed {display_path('/'.join(self.dropped))}/)" if self.dropped else ""

    def pictures(self, frames: Sequence[Parts]) -> tuple[Pictures, list[str]]:
        """A video's frames that are there, sorted by name, and the paths of those that are not."""
        places = [str(self.base.joinpath(*frame[len(self.dropped) :])) for frame in frames]
        there = [place for place in places if self._exists(place)]
        absent = [place for place in places if not self._exists(place)]
        folder = os.path.commonpath([str(Path(place).parent) for place in places] or [str(self.base)])
        pictures = folder_pictures(folder, [os.path.relpath(place, folder) for place in there])
        fault = missing_text(absent, len(places)) if absent else None
        if not places:
            fault = "no frame is listed"
        return Pictures(folder, pictures.names, fault=fault), absent

    def _exists(self, place: str) -> bool:
        folder, name = os.path.split(place)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208
            except OSError:
                self._names[folder] = frozenset()
        return name in self._names[folder]


def find_root(source: Path, listing: Path, frames: Sequence[Parts]) -> FrameRoot:
    """Where most of some videos' first frames are found; the first place of equals.

    Looked in are SOURCE and then the folders above the list, with what lies below each as in DeepfakeBench; for the
    whole paths and for paths without their first levels.

    Raises:
        UsageError: not one of them is found.
    """
    step = max(1, len(frames) // _SAMPLES)
    samples = frames[::step]
    places = [source] * source.is_dir() + list(listing.absolute().parents)[:_ABOVE]
    bases = dict.fromkeys(place / below for place in places for below in _BELOW)
    found: list[tuple[int, Path, Parts]] = []
    for base in [*(base for base in bases if base.is_dir()), Path("/")]:
        levels = 1 if base == Path("/") else max(len(frame) for frame in samples)
        for drop in range(levels):
            dropped = samples[0][:drop]
            hits = sum(_hit(base, frame, drop, dropped) for frame in samples)
            found.append((hits, base, dropped))
    hits, base, dropped = max(found, key=lambda option: option[0])
    if not hits:
        raise UsageError(
            f"no frame of {display_path(listing.name)} was found, such as {display_path('/'.join(samples[0]))}, in "
            f"{', '.join(display_path(place) for place in places)}; give the folder that the paths begin in as SOURCE "
            f"and the list with --splits"
        )
    return FrameRoot(base, dropped)


def _hit(base: Path, frame: Parts, drop: int, dropped: Parts) -> bool:
    rest = frame[drop:]
    if frame[:drop] != dropped or len(rest) < min(_LEAST_LEVELS, len(frame)):
        return False
    return base.joinpath(*rest).is_file()
