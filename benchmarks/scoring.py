"""Scoring on a CPU: a whole 10 s clip at 32 frames, and the network alone in the ways that it could be run.

`--threads N` (1 by default). The first table gives CPU seconds of reading the clip (decode, find faces, statistics) and
of the network, and their sum's ratio to reading alone. The second gives images a second of each way, measured in turn
in every round, the ratio of the medians to eager float32, and the largest difference from its logits and scores.
Weights are random, so scores say nothing; differences of arithmetic do.
Uses $FFPIPE_BENCH_CLIP, or a clip made here of scikit-image's photograph.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
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
from ffpipe.models.detector import Detector
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.engine import single_thread
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import MediumItem, items_from
from ffpipe.stages.crop import CropSettings, decode_crop
from ffpipe.stages.infer import Scorer, probability

FRAMES = 32
BATCH = 8


class ChannelsLast(torch.nn.Module):
    """The same network with its two-dimensional kernels and images in channels-last order."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.spec = model.spec
        self.model = model
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.to(memory_format=torch.channels_last)

    def forward(self, image: torch.Tensor, sida: torch.Tensor | None = None) -> torch.Tensor:
        return self.model(image.contiguous(memory_format=torch.channels_last), sida)


def build(name: str, last: bool) -> SimpleNamespace:
    """The detector with the same random weights every time, its statistics moved off their initial values."""
    torch.manual_seed(0)
    model = create_detector(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.0 + 0.1 * torch.randn_like(parameter))
    return SimpleNamespace(model=ChannelsLast(model) if last else model)


@contextmanager
def made_clip(home: Path) -> Iterator[Path]:
    given = os.environ.get("FFPIPE_BENCH_CLIP")
    yield Path(given) if given else make_face_clip(home / "clip.mp4", seconds=10.0, size=(1920, 1080)).path


def item_of(clip: Path, home: Path) -> MediumItem:
    (hashed,) = hash_inputs([str(clip)], HashCache(home / "hashes.sqlite"))
    return items_from([Entry(str(clip))], [hashed])[0]


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its children."""
    before = cpu_seconds()
    work()
    return cpu_seconds() - before


def whole(clip: Path, home: Path, scorer: Scorer, rounds: int) -> tuple[float, float, list[FaceRecord]]:
    """Median CPU seconds of reading a clip and of scoring its faces; and the faces."""
    reader, item = MediumReader(ScoreConfig(frames=FRAMES), CropSettings(), None), item_of(clip, home)
    faces = reader.read(item).faces
    score_all(scorer, faces)
    reading, network = [], []
    for _ in range(rounds):
        reading.append(spent(lambda: reader.read(item)))
        network.append(spent(lambda: score_all(scorer, faces)))
    reader.close()
    return statistics.median(reading), statistics.median(network), faces


def score_all(scorer: Scorer, faces: list[FaceRecord]) -> np.ndarray:
    """Logits of the stored crops, decoded as the job does."""
    return scorer.score([decode_crop(face.crop) for face in faces], np.stack([face.sida for face in faces]))


def compare(name: str, faces: list[FaceRecord], rounds: int) -> None:
    ways = {
        "eager float32": Scorer(build(name, last=False), batch_size=BATCH),
        "channels-last float32": Scorer(build(name, last=True), batch_size=BATCH),
        "eager bfloat16": Scorer(build(name, last=False), batch_size=BATCH, precision="bfloat16"),
        "channels-last bfloat16": Scorer(build(name, last=True), batch_size=BATCH, precision="bfloat16"),
    }
    sample = faces[: 2 * BATCH]
    logits = {way: score_all(scorer, sample) for way, scorer in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, scorer in ways.items():
            began = time.perf_counter()
            score_all(scorer, sample)
            seconds[way].append(time.perf_counter() - began)
    exact = logits["eager float32"]
    slowest = statistics.median(seconds["eager float32"])
    print(f"\n{'way':24}{'images/s':>10}{'ratio':>8}{'logit diff':>12}{'score diff':>12}")
    for way, times in seconds.items():
        median = statistics.median(times)
        apart = np.abs(logits[way] - exact).max()
        score = np.abs(probability(logits[way]) - probability(exact)).max()
        print(f"{way:24}{len(sample) / median:10.2f}{slowest / median:8.2f}{apart:12.1e}{score:12.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sfcl-hcmf", choices=list_detectors())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    single_thread()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder, made_clip(Path(folder)) as clip:
        scorer = Scorer(build(arguments.model, last=False), batch_size=BATCH)
        reading, network, faces = whole(clip, Path(folder), scorer, arguments.rounds)
        print(
            f"{arguments.model}, {len(faces)} faces, {arguments.threads} thread(s), median of {arguments.rounds}"
        )
        print(f"{'reading':24}{reading:10.2f} CPU s{1.0:8.2f}")
        print(f"{'network':24}{network:10.2f} CPU s{network / reading:8.2f}")
        print(f"{'whole scoring':24}{reading + network:10.2f} CPU s{(reading + network) / reading:8.2f}")
        compare(arguments.model, faces, arguments.rounds)


if __name__ == "__main__":
    main()
