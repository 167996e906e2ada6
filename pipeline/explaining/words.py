"""What the pictures of an explanation say beside the faces: where they come from, and what they do not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ffpipe.manifests.records import FaceRecord, ReportRow, ScoreRecord
from ffpipe.pipeline.explaining.maps import HeatMaps
from ffpipe.pipeline.output import inert, score_text, verdict_words
from ffpipe.stages.lettering import drawable

#: Digits of a hash that are drawn; all of them are in the table and its provenance.
_HASH_DIGITS = 12
SCORE_MEANS = (
    "Score: 0 to 1, higher is more like the fakes that the model learnt from; no probability, and no proof."
)
HELD_MEANS = (
    "Solid box: scored in this frame. Dashed box: between scored frames; score and map are the earlier one's."
)
SAMPLED_MEANS = "Only the frames that were scored are shown, each until the next."


class Scored(NamedTuple):
    """A face and its score."""

    face: FaceRecord
    record: ScoreRecord

    @property
    def seconds(self) -> str:
        """Its time, for people."""
        return time_text(self.face.pts_seconds)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one explanation."""

    name: str
    row: ReportRow
    maps: HeatMaps

    @property
    def source(self) -> str:
        """File, content and model."""
        return (
            f"{drawable(self.name)}, sha256 {self.row.sha256[:_HASH_DIGITS]}…; "
            f"model {self.maps.detector}, sha256 {self.row.model_id[:_HASH_DIGITS]}…"
        )

    @property
    def verdict(self) -> str:
        """What was said of the whole medium."""
        return f"Of the whole file: {verdict_words(self.row.verdict)}. {inert(self.row.reason or '')}"

    @property
    def map_means(self) -> str:
        """What the heat maps are, or why there are none."""
        if not self.maps.offered:
            return f"No heat maps: {self.maps.detector} looks at statistics of the whole face, not at places in it."
        return (
            f"Heat map: Grad-CAM of layer {drawable(self.maps.layer or '')} for the class {self.maps.target}; "
            "each is scaled to its own maximum, so strengths cannot be compared. An empty map: at this layer "
            f"nothing in the face speaks for {self.maps.target}."
        )

    @property
    def empty(self) -> str:
        """What is said of a map that is zero everywhere."""
        return f"empty: nothing for {self.maps.target}"

    def label(self, scored: Scored, held: bool) -> str:
        """What stands at a face in a frame."""
        since = f" at {scored.seconds}" if held else ""
        empty = ", map empty" if self.maps.is_empty(scored.face) else ""
        return f"track {scored.face.track_id}   score {score_text(scored.record.score)}{since}{empty}"

    def legend(self, held: bool | None) -> Sequence[str]:
        """The lines below each frame of the video (`held`: boxes may be dashed), or below an image (None)."""
        frames = [] if held is None else [HELD_MEANS if held else SAMPLED_MEANS]
        return [SCORE_MEANS, *frames, self.map_means, self.verdict, self.source]


def time_text(seconds: float) -> str:
    """A presentation time to the millisecond, with minutes and hours where there are any."""
    whole, rest = divmod(round(abs(seconds) * 1000), 1000)
    sign = "-" if seconds < 0 and (whole or rest) else ""
    if whole < 60:
        return f"{sign}{whole}.{rest:03d} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{front}:{whole % 60:02d}.{rest:03d}"


def frame_caption(index: int, seconds: float, looked_at: bool, faces: int) -> str:
    """What stands below a frame: its time, and whether it was scored."""
    if looked_at:
        found = f"scored: {faces} face{'' if faces == 1 else 's'}" if faces else "looked at: no face found"
    else:
        found = "between scored frames" if faces else "not looked at"
    return f"{time_text(seconds)}   frame {index}   {found}"
