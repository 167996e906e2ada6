"""The demo: clips of one photographed face, half of them visibly forged, through the whole main job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import output
from ffpipe.pipeline.config import ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.workspace import Workspace

Image = npt.NDArray[np.uint8]

SIDE = 384  # pixels of a clip's frame
FPS = 25
EDGE = 200  # pixels of the photograph that the camera's aim keeps from its edge
FRAMES = 24
#: Clips of each class. A bar at 5% false alarms needs 19 real validation videos or more.
CLIPS = {"train": 10, "val": 20}
SCORE_CLIPS = 2
#: Frames that extract takes of each clip.
SAMPLED = 8
#: Rate factors of the two encodings that every clip goes through, as if filmed and then uploaded.
FILMED, UPLOADED = 16, 21

HONESTY = (
    "This demo has one identity and trains for a few steps: it shows the mechanics, not accuracy. "
    "Its verdicts say nothing about other faces or other forgeries."
)


@dataclass(frozen=True, slots=True)
class Motion:
    """A clip's camera: drift, zoom, roll and flicker, drawn once; time t runs from 0 to 1."""

    start: npt.NDArray[np.float64]
    drift: npt.NDArray[np.float64]
    zoom: tuple[float, float]
    roll: tuple[float, float]
    gain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Motion:
        """A gentle random motion."""
        return cls(
            rng.uniform(-12, 12, 2),
            rng.uniform(-20, 20, 2),
            (rng.uniform(1.15, 1.4), rng.uniform(1.15, 1.4)),
            (rng.uniform(-5, 5), rng.uniform(-5, 5)),
            rng.uniform(0.9, 1.1),
        )

    def view(self, photograph: Image, centre: tuple[float, float], t: float) -> Image:
        """What the camera sees of the photograph at time t, (SIDE, SIDE, 3)."""
        import cv2

        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * t
        roll = self.roll[0] + (self.roll[1] - self.roll[0]) * t
        matrix = cv2.getRotationMatrix2D(centre, roll, zoom)
        matrix[:, 2] += SIDE / 2 - np.array(centre) + self.start + self.drift * t
        seen = cv2.warpAffine(
            photograph, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return as_pixels(seen * self.gain)


@dataclass(frozen=True, slots=True)
class Forgery:
    """The forger: the face region is warped, blurred, colour-shifted and blended back; drawn once a clip."""

    shift: npt.NDArray[np.float64]
    waves: npt.NDArray[np.float64]
    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Forgery:
        """A visible forgery of random colour and shape."""
        sign = rng.choice([-1.0, 1.0], 3)
        return cls(sign * rng.uniform(12, 22, 3), rng.uniform(0, 2 * np.pi, 4), rng.uniform(2.5, 4.0))

    def apply(self, frame: Image, box: tuple[float, float, float, float]) -> Image:
        """The frame with the face inside `box` (x0, y0, x1, y1 in pixels) replaced."""
        import cv2

        x0, y0, x1, y1 = box
        rows, columns = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]].astype(np.float32)
        u, v = (columns - x0) / (x1 - x0), (rows - y0) / (y1 - y0)
        along = (
            columns
            + self.strength * np.sin(2 * np.pi * v + self.waves[0])
            + 2 * np.sin(4 * np.pi * u + self.waves[1])
        )
        down = (
            rows
            + self.strength * np.sin(2 * np.pi * u + self.waves[2])
            + 2 * np.sin(4 * np.pi * v + self.waves[3])
        )
        face = cv2.remap(frame, along.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)
        # A generator's limited resolution: half the detail of the face is lost.
        small = cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        face = cv2.resize(small, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
        distance = ((u - 0.5) / 0.5) ** 2 + ((v - 0.5) / 0.55) ** 2
        mask = np.clip((1.1 - distance) / 0.35, 0, 1)[..., None]
        mixed = frame * (1 - mask) + (face + self.shift) * mask
        return as_pixels(mixed)


def as_pixels(values: npt.NDArray[Any]) -> Image:
    """Values rounded down into 0..255."""
    pixels: Image = np.clip(values, 0, 255).astype(np.uint8)
    return pixels


def photograph() -> Image:
    """The public-domain portrait (NASA, Eileen Collins) that scikit-image ships.

    Raises UsageError where scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise UsageError("the demo needs scikit-image: pip install 'ffpipe[demo]'") from None
    return as_pixels(data.astronaut())


def film(path: Path, rng: np.random.Generator, forged: bool) -> None:
    """Make one clip: film the photograph, forge the decoded frames or leave them, and encode again."""
    picture = photograph()
    box = _face_box(picture)
    # Aimed so that the picture's edge stays out of view at the widest zoom and the farthest drift.
    aim = np.clip([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], EDGE, picture.shape[0] - EDGE)
    motion, forgery = Motion.draw(rng), Forgery.draw(rng)
    raw = path.with_suffix(".raw.mp4")
    times = np.linspace(0, 1, FRAMES)
    encode(raw, (_noisy(motion.view(picture, (aim[0], aim[1]), t), rng) for t in times), FILMED)
    frames = list(decode(raw))
    if forged:
        boxes = np.linspace(_face_box(frames[0]), _face_box(frames[-1]), FRAMES)
        frames = [forgery.apply(frame, tuple(box)) for frame, box in zip(frames, boxes, strict=True)]
    encode(path, iter(frames), UPLOADED)
    raw.unlink()


def scenery(path: Path, rng: np.random.Generator) -> None:
    """A clip without a face: the photograph's lower corner, blurred beyond recognition."""
    import cv2

    blurred = cv2.GaussianBlur(photograph()[300:, :200], (0, 0), 9)
    still = cv2.resize(blurred, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    encode(path, (_noisy(as_pixels(still), rng) for _ in range(FRAMES)), UPLOADED)


def _noisy(frame: Image, rng: np.random.Generator) -> Image:
    return as_pixels(frame + 3 * rng.standard_normal(frame.shape, np.float32))


_detector: list[Any] = []


def _face_box(frame: Image) -> tuple[float, float, float, float]:
    from ffpipe.stages.detect import create_detector

    if not _detector:
        _detector.append(create_detector("mtcnn"))
    found = _detector[0].detect([frame])[0]
    x0, y0, x1, y1 = max(found, key=lambda d: d.confidence).box if found else (0, 0, SIDE, SIDE)
    return x0, y0, x1, y1


def encode(path: Path, frames: Iterator[Image], rate_factor: int) -> None:
    """Write RGB frames as H.264 with a constant rate factor."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": str(rate_factor), "preset": "veryfast"}
        )
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def decode(path: Path) -> Iterator[Image]:
    """RGB frames of a clip that the demo made itself."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield as_pixels(frame.to_ndarray(format="rgb24"))


def make_clips(folder: Path, seed: int, say: Say) -> None:
    """The dataset (`dataset/train`, `dataset/val`) and the clips to score (`videos/`); kept where they exist."""
    jobs: list[tuple[Path, Callable[[Path, np.random.Generator], None]]] = []
    for split, count in CLIPS.items():
        for number in range(count):
            for label in ("real", "fake"):
                name = f"{split}-{label}-{number:02d}.mp4"
                jobs.append((folder / "dataset" / split / label / name, _filming(label == "fake")))
    for number in range(SCORE_CLIPS):
        for label in ("genuine", "forged"):
            jobs.append((folder / "videos" / f"{label}{number}.mp4", _filming(label == "forged")))
    jobs.append((folder / "videos" / "scenery.mp4", scenery))
    for index, (path, make) in enumerate(jobs):
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.part.mp4")
        make(partial, np.random.default_rng([seed, index]))
        partial.rename(path)
        if (index + 1) % 10 == 0 or index + 1 == len(jobs):
            say(f"clips: {index + 1} of {len(jobs)}")


def _filming(forged: bool) -> Callable[[Path, np.random.Generator], None]:
    return lambda path, rng: film(path, rng, forged)


def run(folder: Path, seed: int, console: Console) -> int:
    """Make the clips, extract, train, score and print the verdicts; returns the exit code of scoring."""
    from ffpipe.pipeline.extract import extract
    from ffpipe.pipeline.score import score
    from ffpipe.pipeline.train import train

    began = time.monotonic()
    say = partial(output.say, console=console)
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - symlinks stay as the user named them
    workspace = Workspace(folder / "ffpipe-workspace")
    say(HONESTY)
    say(f"1/4 making clips from one photograph in {folder}")
    make_clips(folder, seed, say)
    say(f"2/4 ffpipe extract dataset/ --frames {SAMPLED}")
    with output.Progress("extract", console=console) as advance:
        extract(
            folder / "dataset",
            ExtractConfig.build({"name": "demo", "frames": SAMPLED}),
            workspace,
            say,
            advance,
        )
    say("3/4 ffpipe train --model sfcl-hcmf --recipe quick")
    with output.Progress("train", "steps", console=console) as advance:
        trained = train(TrainConfig.build(_TRAINING), workspace, say, advance)
    say("4/4 ffpipe score videos/ --out report.parquet")
    out = folder / "report.parquet"
    with output.Progress("score", console=console) as advance:
        scored = score([str(folder / "videos")], ScoreConfig(), workspace, out=out, say=say, advance=advance)
    output.print_verdicts(scored.report.to_pylist(), console)
    for what, place in (("report", out), ("model", trained.directory), ("clips", folder)):
        say(f"{what}: {place}")
    say(f"took {time.monotonic() - began:.0f} s")
    say(HONESTY)
    return scored.exit_code


_TRAINING = {"model": "sfcl-hcmf", "recipe": "quick", "data": ("demo",), "epochs": 4}
