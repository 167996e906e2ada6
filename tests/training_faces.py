"""Made-up faces for the training tests: a class is a shift in brightness, so that a tiny network can learn it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ffpipe.manifests.records import FaceRecord, Label, MediaRecord, Split, Status
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.pipeline.batches import EvalBatches, NetworkInput, TrainBatches
from ffpipe.pipeline.faces import Face, FaceTable
from ffpipe.pipeline.objectives import Objective
from ffpipe.pipeline.sampler import Sampler
from ffpipe.pipeline.training_loop import LoopSettings, Observer, TrainingLoop
from ffpipe.pipeline.validation import Validation
from ffpipe.stages.augment import Augmentation
from ffpipe.stages.crop import CropSettings, encode_crop
from ffpipe.stages.statistics import face_sida

SIDE = 32
#: Eyes, nose and corners of the mouth, in shares of a crop's side.
LANDMARKS = np.float32([0.38, 0.42, 0.62, 0.42, 0.5, 0.56, 0.4, 0.7, 0.6, 0.7])


@cache
def crop(seed: int, fake: bool) -> np.ndarray:
    """Noise, brighter on the left where it is fake."""
    image = np.random.default_rng(seed).integers(60, 160, (SIDE, SIDE, 3), dtype=np.uint8)
    if fake:
        image[:, : SIDE // 2] += 60
    return image


class MadeFaces:
    """A source of made-up faces in memory: `media` of each class, with so many frames of one face each."""

    def __init__(self, media: int = 4, frames: int = 6) -> None:
        count = 2 * media * frames
        medium = np.repeat(np.arange(2 * media), frames).astype(np.int32)
        self.table = FaceTable(
            label=(medium % 2).astype(np.int8),
            medium=medium,
            track=np.zeros(count, np.int32),
            frame=np.tile(np.arange(frames), 2 * media).astype(np.int64),
            pts=np.tile(np.arange(frames), 2 * media).astype(np.float64),
            box=np.tile(np.float32([8, 8, 24, 24]), (count, 1)),
            side=np.full(count, SIDE, np.int32),
            stored_side=np.full(count, SIDE, np.int32),
            landmarks=np.tile(LANDMARKS, (count, 1)),
            inner=np.tile(np.float32([0.15, 0.15, 0.85, 0.85]), (count, 1)),
            block=(np.arange(count) // 8).astype(np.int32),
            place=(np.arange(count) % 8).astype(np.int32),
            block_bytes=np.full(-(-count // 8), 8 * SIDE * SIDE * 3, np.int64),
            media=tuple(f"{i:032x}" for i in range(2 * media)),
            groups=tuple(f"g{i // 2}" for i in range(2 * media)),
            methods=("warp",) * (2 * media),
            looked=(frames,) * (2 * media),
        )

    def fetch(self, rows: Sequence[int]) -> list[Face]:
        return [Face(crop(row, bool(self.table.label[row])), self._sida(row)) for row in rows]

    def sida(self, rows: Sequence[int]) -> np.ndarray:
        return np.stack([self._sida(row) for row in rows])

    def _sida(self, row: int) -> np.ndarray:
        return np.full(2304, row % 7 + 10 * self.table.label[row], np.float32)


class TinyNetwork(nn.Module):
    """A network with what makes exact resuming hard: BatchNorm, dropout, and both inputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.sida = nn.Linear(2304, 4)
        self.sida_norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        assert sida is not None
        pooled = self.norm(self.conv(image)).relu().mean((2, 3))
        return self.head(self.drop(torch.cat([pooled, self.sida_norm(self.sida(sida))], 1)))


class Tiny(Detector):
    """A detector that trains in milliseconds."""

    spec = DetectorSpec(name="tiny", summary="", paper="", input_size=32, needs_sida=True)

    def __init__(self, pretrained=None, **options):
        super().__init__()
        self.options = self.spec.resolve(options)
        self.net = TinyNetwork()

    def forward(self, image, sida=None):
        return self.net(image, sida)


def media_record(
    number: int,
    group: str,
    label: Label | None,
    split: Split | None,
    dataset: str,
    faces: int,
    **changes: Any,
) -> MediaRecord:
    """A medium as extract records it; its id is its number."""
    media_id = f"{number:032x}"
    made = MediaRecord(
        media_id=media_id,
        path=f"/clips/{number}-{group}.mp4",
        path_bytes=f"/clips/{number}-{group}.mp4".encode(),
        sha256=media_id * 2,
        bytes=1000,
        status=Status.OK,
        dataset=dataset,
        label=label,
        method="warp" if label else None,
        split=split,
        group=group,
        frames_expected=faces,
        frames_decoded=faces,
        faces=faces,
        tracks=1,
    )
    return replace(made, **changes)


def write_dataset(
    root: Path,
    clips: Sequence[tuple[str, Label | None, Split | None]],
    frames: int = 4,
    first: int = 0,
    quality: str | None = None,
    method: str | None = None,
    crop_side: int = SIDE,
    pairs: str | None = None,
    coarse: int = 1,
    face_changes: Sequence[dict[str, Any]] = (),
) -> ShardGroup:
    """A dataset of a workspace as extract leaves it; a clip is (group, label, split), one chunk each.

    Media are numbered from `first`. `crop_side` is the side that crops had before they were stored. With `pairs` the
    clips are those that other calls wrote under this name, at another quality: their pixels are the same but for
    levels of grey, which are multiples of `coarse`. face_changes: for each clip what its faces have otherwise.
    """
    shards = ShardGroup(root, "media", ["faces"])
    shards.create()
    job = {
        "crop": CropSettings().fingerprint(),
        "split_source": "given",
        "configuration": {"store_size": 512},
    }
    (root / "job.json").write_text(json.dumps(job))
    for number, (group, label, split) in enumerate(clips, start=first):
        media = media_record(number, group, label, split, root.name, frames, quality=quality)
        if method:
            media = replace(media, method=method)
        if pairs is not None:
            media = replace(media, pair_id=f"{pairs}{number - first}")
        shown = number if pairs is None else number - first
        faces = [_face(number, frame, bool(label), crop_side, shown, coarse) for frame in range(frames)]
        if face_changes:
            faces = [replace(face, **face_changes[number - first]) for face in faces]
        tables = {"media": to_table("media", [media]), "faces": to_table("faces", faces)}
        shards.commit(f"{number:020x}", "a", tables, [])
    return shards


def _face(number: int, frame: int, fake: bool, crop_side: int, shown: int, coarse: int) -> FaceRecord:
    image = crop(1000 * shown + frame, fake) // coarse * coarse
    media_id = f"{number:032x}"
    return FaceRecord(
        face_id=f"{media_id}-{frame}-0",
        media_id=media_id,
        track_id=0,
        frame_index=10 * frame,
        pts_seconds=frame / 2,
        box=(8.0, 8.0, 24.0, 24.0),
        crop_box=(0, 0, crop_side, crop_side),
        detector="made",
        confidence=1.0,
        landmarks=None,
        sharpness=1.0,
        crop_side=crop_side,
        stored_side=SIDE,
        crop=encode_crop(image),
        sida=face_sida([image])[0],
    )


def make_loop(
    folder: Path, observer: Observer | None = None, objective: Objective | None = None, **changes: Any
) -> TrainingLoop:
    """A loop over made-up faces with a network that is made anew each time."""
    source = MadeFaces()
    table, network = source.table, NetworkInput(SIDE, needs_sida=True)
    rows, held_out = np.flatnonzero(table.medium < 6), np.flatnonzero(table.medium >= 6)
    sampler = Sampler(
        rows,
        table.block[rows],
        np.full(len(rows), 2),
        table.block_bytes,
        batch_size=5,
        seed=1,
        pool_bytes=1 << 15,
    )
    settings = LoopSettings(epochs=3, learning_rate=1e-2, seed=5, save_seconds=0.0)
    return TrainingLoop(
        TinyNetwork(),
        TrainBatches(source, sampler, network, Augmentation(horizontal_flip=0.5)),
        Validation(EvalBatches(source, held_out, network, batch_size=5)),
        replace(settings, **changes),
        folder,
        observer,
        objective=objective,
    )
