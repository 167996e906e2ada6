"""Scoring a whole 10 s clip at 32 frames on a CPU: reading it (decode, find faces, statistics) beside the network.

CPU seconds of the process and its children, the median of `--rounds`, with the ratio to reading alone; the network in
eager float32 and in `--arithmetic` (models.py compares all of them). `--threads N` (1 by default). Weights are random:
the scores say nothing. Uses $FFPIPE_BENCH_CLIP, or a clip made here of scikit-image's photograph.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from extraction import cpu_seconds
from media import make_face_clip

from ffpipe.manifests.records import Entry, FaceRecord
from ffpipe.models import create_detector, list_detectors
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.engine import single_thread
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import MediumItem, items_from
from ffpipe.stages.arithmetic import NAMES, REFERENCE, Arithmetic
from ffpipe.stages.crop import CropSettings, decode_crop
from ffpipe.stages.infer import Scorer

FRAMES = 32
BATCH = 8


@contextmanager
def made_clip(home: Path) -> Iterator[Path]:
    given = os.environ.get("FFPIPE_BENCH_CLIP")
    yield Path(given) if given else make_face_clip(home / "clip.mp4", seconds=10.0, size=(1920, 1080)).path


def item_of(clip: Path, home: Path) -> MediumItem:
    (hashed,) = hash_inputs([str(clip)], HashCache(home / "hashes.sqlite"))
    return items_from([Entry(str(clip))], [hashed])[0]


def median(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of this process and its children."""
    seconds = []
    for _ in range(rounds):
        before = cpu_seconds()
        work()
        seconds.append(cpu_seconds() - before)
    return statistics.median(seconds)


def read(clip: Path, home: Path, rounds: int) -> tuple[float, list[FaceRecord]]:
    """Seconds of reading the clip, and its faces."""
    reader, item = MediumReader(ScoreConfig(frames=FRAMES), CropSettings(), None), item_of(clip, home)
    faces = reader.read(item).faces
    seconds = median(lambda: reader.read(item), rounds)
    reader.close()
    return seconds, faces


def network(name: str, faces: list[FaceRecord], arithmetic: Arithmetic, rounds: int) -> float:
    """Seconds of scoring the faces."""
    scorer = Scorer(SimpleNamespace(model=create_detector(name)), batch_size=BATCH, arithmetic=arithmetic)
    crops, sida = [decode_crop(face.crop) for face in faces], np.stack([face.sida for face in faces])
    scorer.score(crops[:BATCH], sida[:BATCH])
    return median(lambda: scorer.score(crops, sida), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sfcl-hcmf", choices=list_detectors())
    parser.add_argument("--arithmetic", default="channels-last-bfloat16", choices=NAMES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    single_thread()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, made_clip(Path(folder)) as clip:
        reading, faces = read(clip, Path(folder), given.rounds)
    ways = dict.fromkeys((REFERENCE.name, given.arithmetic))
    print(f"{given.model}, {len(faces)} faces, {given.threads} thread(s), median of {given.rounds}")
    print(f"{'reading':32}{reading:10.2f} CPU s{1:8.2f}")
    for name in ways:
        seconds = network(given.model, faces, Arithmetic.parse(name), given.rounds)
        print(f"{'network, ' + name:32}{seconds:10.2f} CPU s{seconds / reading:8.2f}")


if __name__ == "__main__":
    main()
