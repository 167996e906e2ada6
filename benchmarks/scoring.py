"""Scoring on a CPU: a whole 10 s clip at 32 frames, and the network alone in the ways that it could be run.

`--threads N` (1 by default). The first table gives CPU seconds of reading the clip (decode, find faces, statistics) and
of the network, and their sum's ratio to reading alone. The second gives images a second of each way, measured in turn
in every round, the ratio of the medians to eager float32, and the largest difference from its logits and scores.
Weights are random: the scores say nothing, and a trained network's differences can be larger.
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
from ffpipe.stages.infer import Scorer, probability, to_input
from ffpipe.stages.statistics import face_sida

FRAMES = 32
BATCH = 8

#: A stored crop (H,W,3) and its D (2304,).
Pair = tuple[np.ndarray, np.ndarray]


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


def varied(faces: list[FaceRecord]) -> list[Pair]:
    """Crops and their D made of a clip's nearly equal faces: of different brightness, contrast and noise."""
    random = np.random.default_rng(0)
    pairs = []
    for face in faces:
        crop = decode_crop(face.crop).astype(np.float32)
        noise = random.normal(0, random.uniform(0, 25), crop.shape)
        changed = (crop - 128) * random.uniform(0.2, 1.5) + random.uniform(60, 190) + noise
        pixels = np.clip(changed, 0, 255).astype(np.uint8)
        pairs.append((pixels, face_sida([pixels])[0]))
    return pairs


def build(name: str, pairs: list[Pair], last: bool = False) -> SimpleNamespace:
    """The detector with the same random weights every time, its normalisation fitted to the faces.

    Without the fit a random network's output hardly depends on its input, and no arithmetic could change it.
    """
    torch.manual_seed(0)
    model = create_detector(name).train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        images = torch.stack([to_input(crop, model.spec.input_size) for crop, _ in pairs[:BATCH]])
        model(images, torch.from_numpy(np.stack([sida for _, sida in pairs[:BATCH]])))
    model.eval()
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


def read(clip: Path, home: Path, rounds: int) -> tuple[float, list[FaceRecord]]:
    """Median CPU seconds of reading the clip, and its faces."""
    reader, item = MediumReader(ScoreConfig(frames=FRAMES), CropSettings(), None), item_of(clip, home)
    faces = reader.read(item).faces
    seconds = [spent(lambda: reader.read(item)) for _ in range(rounds)]
    reader.close()
    return statistics.median(seconds), faces


def score_all(scorer: Scorer, pairs: list[Pair]) -> np.ndarray:
    """Logits of crops and their D."""
    return scorer.score([crop for crop, _ in pairs], np.stack([sida for _, sida in pairs]))


def compare(ways: dict[str, Scorer], pairs: list[Pair], rounds: int, clock: Callable[[], float]) -> None:
    """Print the speed of each way, in turn in every round, and how far its logits are from those of the first."""
    logits = {way: score_all(scorer, pairs) for way, scorer in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, scorer in ways.items():
            began = clock()
            score_all(scorer, pairs)
            seconds[way].append(clock() - began)
    first = next(iter(ways))
    slowest = statistics.median(seconds[first])
    print(f"\nlogits {logits[first].mean():.2f}, standard deviation {logits[first].std():.3f}")
    print(f"{'way':24}{'images/s':>10}{'ratio':>8}{'logit diff':>12}{'score diff':>12}")
    for way, times in seconds.items():
        median = statistics.median(times)
        apart = np.abs(logits[way] - logits[first]).max()
        score = np.abs(probability(logits[way]) - probability(logits[first])).max()
        print(f"{way:24}{len(pairs) / median:10.2f}{slowest / median:8.2f}{apart:12.1e}{score:12.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sfcl-hcmf", choices=list_detectors())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    single_thread()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, made_clip(Path(folder)) as clip:
        reading, faces = read(clip, Path(folder), given.rounds)
    pairs = varied(faces)
    plain, last = (build(given.model, pairs, last) for last in (False, True))
    ways = {
        "eager float32": Scorer(plain, batch_size=BATCH),
        "channels-last float32": Scorer(last, batch_size=BATCH),
        "eager bfloat16": Scorer(plain, batch_size=BATCH, precision="bfloat16"),
        "channels-last bfloat16": Scorer(last, batch_size=BATCH, precision="bfloat16"),
    }
    network = statistics.median(
        spent(lambda: score_all(ways["eager float32"], pairs)) for _ in range(given.rounds)
    )
    print(f"{given.model}, {len(faces)} faces, {given.threads} thread(s), median of {given.rounds}")
    for part, seconds in (("reading", reading), ("network", network), ("whole scoring", reading + network)):
        print(f"{part:24}{seconds:10.2f} CPU s{seconds / reading:8.2f}")
    # One thread's CPU time leaves out what else the machine does; several threads are judged by the clock.
    compare(
        ways, pairs[: 2 * BATCH], given.rounds, time.process_time if given.threads == 1 else time.perf_counter
    )


if __name__ == "__main__":
    main()
