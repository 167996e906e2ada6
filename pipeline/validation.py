"""What validation says of a model: frame AUC, video scores by the scoring job's own rule, thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from ffpipe.manifests.records import TrackRecord
from ffpipe.pipeline.batches import EvalBatches
from ffpipe.pipeline.faces import FaceTable, Rows, largest_per_frame
from ffpipe.stages.aggregate import (
    Rule,
    Thresholds,
    VideoScore,
    choose_thresholds,
    score_tracks,
    video_score,
)
from ffpipe.stages.arithmetic import REFERENCE, Arithmetic
from ffpipe.stages.infer import probability
from ffpipe.stages.metrics import auc

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VideoResult:
    """A video with its tracks, and its score by the rule of scoring."""

    media_id: str
    group: str
    label: int
    video: VideoScore
    all_tracks: tuple[TrackRecord, ...]

    @property
    def score(self) -> float | None:
        """The score of its worst track; None where no track had enough frames."""
        return self.video.score

    @property
    def tracks(self) -> int:
        """How many tracks had enough frames."""
        return self.video.n_eligible


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out faces: all of them are scored, and the largest of each frame make the frame figures."""

    batches: EvalBatches
    rule: Rule = Rule()

    @property
    def table(self) -> FaceTable:
        """The table that the faces are rows of."""
        return self.batches.source.table

    @property
    def rows(self) -> Rows:
        """The faces, in the order in which they are scored."""
        return self.batches.rows

    def figures(self, logits: Logits) -> dict[str, Any]:
        """Frame loss (nats) and AUC over the largest face of each frame, and video AUC; None where undefined."""
        main = np.isin(self.rows, largest_per_frame(self.table, self.rows))
        labels, values = self.table.label[self.rows][main], logits[main].astype(np.float64)
        videos = [(video.label, video.score) for video in self.videos(logits) if video.score is not None]
        return {
            "val_loss": float(np.logaddexp(0, np.where(labels == 1, -values, values)).mean()),
            "val_auc": _auc(labels, values),
            "val_video_auc": _auc([label for label, _ in videos], [score for _, score in videos]),
        }

    def videos(self, logits: Logits) -> list[VideoResult]:
        """Each medium's score, gathered over its tracks as in scoring."""
        return gather_videos(self.table, self.rows, logits, self.rule)

    def thresholds(self, logits: Logits, seed: int) -> Thresholds:
        """Thresholds from the video scores."""
        videos = [video for video in self.videos(logits) if video.score is not None]
        return choose_thresholds(
            [v.score or 0.0 for v in videos],
            [v.label for v in videos],
            [v.group for v in videos],
            [v.tracks for v in videos],
            seed=seed,
        )


def gather_videos(table: FaceTable, rows: Rows, logits: Logits, rule: Rule = Rule()) -> list[VideoResult]:  # noqa: B008
    """The score of each medium that some rows are of, one logit a row, by the rule of scoring."""
    scores = probability(logits)
    media = table.medium[rows]
    order = np.argsort(media, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(media[order])) + 1) if len(rows) else []
    return [_video(table, rows[places], scores[places], rule) for places in parts]


def _video(table: FaceTable, rows: Rows, scores: Logits, rule: Rule) -> VideoResult:
    medium = int(table.medium[rows[0]])
    frames = table.looked[medium]
    name, group = table.media[medium], table.groups[medium]
    ids, pts = table.track[rows].tolist(), table.pts[rows].tolist()
    tracks = score_tracks(ids, pts, scores.tolist(), name, rule, frames)
    video = video_score(tracks, rule, frames)
    return VideoResult(name, group, int(table.label[rows[0]]), video, tuple(tracks))


def _auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    area = auc(labels, scores)
    return None if math.isnan(area) else area


def score_faces(
    model: nn.Module, batches: EvalBatches, device: torch.device, arithmetic: Arithmetic = REFERENCE
) -> Logits:
    """Logits (n,), fake minus real, of all faces; with several ranks each scores a share and all get the whole.

    The model is left in evaluation mode.
    """
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    logits = torch.zeros(len(batches.rows), device=device)
    model.eval()
    with torch.inference_mode(), arithmetic.active(device):
        for place, batch in batches.batches(range(rank, batches.steps, world)):
            given = batch.to(device)
            output = model(arithmetic.images(given.image), given.sida)  # (B,2)
            logits[place] = (output[:, 1] - output[:, 0]).float()
    if world > 1:
        dist.all_reduce(logits)
    return logits.cpu().numpy()
