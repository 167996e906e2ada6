"""The scores that a calibration is fitted to, or measured on: one a video or image, by the rule of scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from ffpipe.pipeline.evaluation.scores import IMAGE as IMAGES
from ffpipe.pipeline.evaluation.scores import Scores
from ffpipe.stages.calibration import IMAGE, VIDEO
from ffpipe.stages.sample import Floats


@dataclass(frozen=True, slots=True)
class FoldScores:
    """Labels and scores (n,) of the media that have one, with their groups and numbers of eligible tracks.

    untracked: media without a score, since no face was seen in frames enough.
    """

    level: str
    media: Sequence[str]
    labels: Floats
    scores: Floats
    groups: Sequence[str]
    tracks: Sequence[int]
    untracked: int

    @classmethod
    def of(cls, scored: Scores) -> Self:
        """Those of scored pictures."""
        videos = [video for video in scored.videos if video.score is not None]
        return cls(
            IMAGE if scored.headline == IMAGES else VIDEO,
            [video.media_id for video in videos],
            np.array([video.label for video in videos], np.float64),
            np.array([video.score for video in videos], np.float64),
            [video.group for video in videos],
            [video.tracks for video in videos],
            scored.untracked,
        )

    def up_to(self, tracks: int) -> Self:
        """Those of media with at most so many eligible tracks."""
        places = [place for place, count in enumerate(self.tracks) if count <= tracks]
        return type(self)(
            self.level,
            [self.media[place] for place in places],
            self.labels[places],
            self.scores[places],
            [self.groups[place] for place in places],
            [self.tracks[place] for place in places],
            self.untracked,
        )

    def table(self, log10_likelihood_ratio: Floats) -> pa.Table:
        """One row a medium."""
        return pa.table(
            {
                "media_id": pa.array(self.media, pa.string()),
                "label": pa.array(self.labels.astype(np.int8)),
                "group": pa.array(self.groups, pa.string()),
                "tracks": pa.array(self.tracks, pa.int32()),
                "score": pa.array(self.scores),
                "held_out_log10_likelihood_ratio": pa.array(log10_likelihood_ratio),
            }
        )
