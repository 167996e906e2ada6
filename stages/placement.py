"""Where scored faces are in any frame of a video: as found in the frames that were looked at, held between them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ffpipe.manifests.records import Box


class Face(Protocol):
    """What placing needs of a face; boxes are x0, y0, x1, y1 in pixels of the frame."""

    @property
    def face_id(self) -> str:
        """Its name."""
        ...

    @property
    def track_id(self) -> int:
        """The track it belongs to."""
        ...

    @property
    def frame_index(self) -> int:
        """The frame it was found in."""
        ...

    @property
    def box(self) -> Box:
        """The detector's box."""
        ...

    @property
    def crop_box(self) -> tuple[int, int, int, int]:
        """The square that was cut."""
        ...


class Placed(NamedTuple):
    """A face in a frame; `held`: the frame lies between two that were looked at, and the face is the earlier one's."""

    face_id: str
    box: Box
    crop_box: Box
    held: bool


class Placement:
    """The faces of a medium by frame, with the frames that were looked at, whether or not one was found there.

    Between two frames that follow one another among these, a track that was seen in both has a box, interpolated
    linearly in time; one that was not has none, since nobody looked.
    """

    def __init__(self, frames: Sequence[int], seconds: Sequence[float], faces: Iterable[Face]) -> None:
        """`frames` ascend, with the presentation time of each in seconds."""
        self._frames = list(frames)
        self._seconds = list(seconds)
        self._faces: defaultdict[int, dict[int, Face]] = defaultdict(dict)
        for face in faces:
            self._faces[face.frame_index][face.track_id] = face

    def looked_at(self, index: int) -> bool:
        """Whether faces were searched in the frame."""
        place = bisect_right(self._frames, index)
        return place > 0 and self._frames[place - 1] == index

    def at(self, index: int, seconds: float) -> list[Placed]:
        """The faces of the frame of this index, shown at `seconds`, by track."""
        if self.looked_at(index):
            found = self._faces.get(index, {})
            return [
                Placed(face.face_id, face.box, _floats(face.crop_box), False)
                for _, face in sorted(found.items())
            ]
        after = bisect_right(self._frames, index)
        if after in (0, len(self._frames)):
            return []
        return self._between(after - 1, after, seconds)

    def _between(self, before: int, after: int, seconds: float) -> list[Placed]:
        earlier = self._faces.get(self._frames[before], {})
        later = self._faces.get(self._frames[after], {})
        begin, end = self._seconds[before], self._seconds[after]
        share = min(max((seconds - begin) / (end - begin), 0.0), 1.0) if end > begin else 0.0
        return [
            Placed(
                face.face_id,
                _mixed(face.box, later[track].box, share),
                _mixed(_floats(face.crop_box), _floats(later[track].crop_box), share),
                True,
            )
            for track, face in sorted(earlier.items())
            if track in later
        ]


def _mixed(first: Box, second: Box, share: float) -> Box:
    x0, y0, x1, y1 = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return x0, y0, x1, y1


def _floats(box: tuple[int, int, int, int]) -> Box:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])
