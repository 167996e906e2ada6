"""The demo: clips of one photographed face, half of them visibly forged, through the whole main job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Box
from ffpipe.pipeline import output
from ffpipe.pipeline.config import ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.workspace import Workspace

Image = npt.NDArray[np.uint8]
Point = tuple[float, float]

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

    def matrix(self, aim: Point, t: float) -> npt.NDArray[np.float64]:
        """The affine map, (2, 3), from the photograph's pixels to the frame's at time t."""
        import cv2

        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * t
        roll = self.roll[0] + (self.roll[1] - self.roll[0]) * t
        matrix = np.asarray(cv2.getRotationMatrix2D(aim, roll, zoom), np.float64)
        matrix[:, 2] += SIDE / 2 - np.array(aim) + self.start + self.drift * t
        return matrix

    def view(self, photograph: Image, aim: Point, t: float) -> Image:
        """What the camera sees of the photograph at time t, (SIDE, SIDE, 3)."""
        import cv2

        seen = cv2.warpAffine(photograph, self.matrix(aim, t), (SIDE, SIDE), flags=cv2.INTER_CUBIC)
        return as_pixels(seen * np.float32(self.gain))

    def follow(self, box: Box, aim: Point, t: float) -> Box:
        """Where a box of the photograph is in the frame at time t."""
        corners = np.array(
            [[box[0], box[1], 1], [box[2], box[1], 1], [box[0], box[3], 1], [box[2], box[3], 1]]
        )
        seen = corners @ self.matrix(aim, t).T
        (x0, y0), (x1, y1) = seen.min(0), seen.max(0)
        return x0, y0, x1, y1


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

    def apply(self, frame: Image, box: Box) -> Image:
        """The frame with the face inside `box` replaced."""
        import cv2

        x0, y0, x1, y1 = box
        # Worked on a window around the face alone; the mask is 0 well before the window's edge.
        margin = 0.15 * (y1 - y0)
        left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
        window = frame[top : int(y1 + margin), left : int(x1 + margin)]
        rows, columns = np.mgrid[0 : window.shape[0], 0 : window.shape[1]].astype(np.float32)
        u, v = (columns + (left - x0)) / (x1 - x0), (rows + (top - y0)) / (y1 - y0)
        turn = 2 * np.pi
        along = (
            columns
            + self.strength * np.sin(turn * v + self.waves[0])
            + 2 * np.sin(2 * turn * u + self.waves[1])
        )
        down = (
            rows + self.strength * np.sin(turn * u + self.waves[2]) + 2 * np.sin(2 * turn * v + self.waves[3])
        )
        face = cv2.remap(window, along.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)
        # A generator's limited resolution: half the detail of the face is lost.
        small = cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        face = cv2.resize(small, (window.shape[1], window.shape[0]), interpolation=cv2.INTER_LINEAR)
        distance = ((u - 0.5) / 0.5) ** 2 + ((v - 0.5) / 0.55) ** 2
        mask = np.clip((1.1 - distance) / 0.35, 0, 1)[..., None]
        forged = frame.copy()
        forged[top : top + window.shape[0], left : left + window.shape[1]] = as_pixels(
            window * (1 - mask) + (face + self.shift) * mask
        )
        return forged


def as_pixels(values: npt.NDArray[Any]) -> Image:
    """Values rounded down into 0..255."""
    pixels: Image = np.clip(values, 0, 255).astype(np.uint8)
    return pixels


@cache
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
    picture, box = photograph(), _face_box()
    # Aimed so that the picture's edge stays out of view at the widest zoom and the farthest drift.
    x, y = np.clip([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], EDGE, picture.shape[0] - EDGE)
    aim = (float(x), float(y))
    motion, forgery = Motion.draw(rng), Forgery.draw(rng)
    raw = path.with_suffix(".raw.mp4")
    times = np.linspace(0, 1, FRAMES)
    grain = Grain(rng)
    encode(raw, (grain.over(motion.view(picture, aim, t)) for t in times), FILMED)
    frames: Iterator[Image] = decode(raw)
    if forged:
        pairs = zip(frames, times, strict=True)
        frames = (forgery.apply(frame, motion.follow(box, aim, t)) for frame, t in pairs)
    encode(path, frames, UPLOADED)
    raw.unlink()


def scenery(path: Path, rng: np.random.Generator) -> None:
    """A clip without a face: the photograph's lower corner, blurred beyond recognition."""
    import cv2

    blurred = cv2.GaussianBlur(photograph()[300:, :200], (0, 0), 9)
    still = as_pixels(cv2.resize(blurred, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    grain = Grain(rng)
    encode(path, (grain.over(still) for _ in range(FRAMES)), UPLOADED)


class Grain:
    """A sensor's noise: one field of standard deviation 3, moved to another place for each frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._field = 3 * rng.standard_normal((2 * SIDE, 2 * SIDE, 3), np.float32)

    def over(self, frame: Image) -> Image:
        """The frame with noise on it."""
        y, x = self._rng.integers(0, SIDE, 2)
        return as_pixels(frame + self._field[y : y + SIDE, x : x + SIDE])


@cache
def _face_box() -> Box:
    """Where the face is in the photograph."""
    from ffpipe.stages.detect import create_detector

    (found,) = create_detector("mtcnn").detect([photograph()])
    return max(found, key=lambda face: face.confidence).box


def encode(path: Path, frames: Iterator[Image], rate_factor: int) -> None:
    """Write RGB frames as H.264 with a constant rate factor."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": str(rate_factor), "preset": "superfast"}
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
    """Make the clips, extract, train, score and print the verdicts; returns the exit code of scoring.

    Raises UsageError where the folder is a file, and what the jobs raise.
    """
    from ffpipe.pipeline import reporting
    from ffpipe.pipeline.extract import extract
    from ffpipe.pipeline.score import score
    from ffpipe.pipeline.train import train

    began = time.monotonic()
    say = partial(output.say, console=console)
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - symlinks stay as the user named them
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder, or a name for a new one")
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
    say("4/4 ffpipe score videos/ --out report.parquet --report pages")
    out, pages = folder / "report.parquet", folder / "pages"
    reporting.check_folder(pages)
    with output.Progress("score", console=console) as advance:
        scored = score([str(folder / "videos")], ScoreConfig(), workspace, out=out, say=say, advance=advance)
    index, *_ = reporting.report_scoring(scored, pages, workspace, say)
    output.print_verdicts(scored.report.to_pylist(), console)
    places = {"pages": index, "report": out, "model": trained.directory, "clips": folder}
    for what, place in places.items():
        say(f"{what}: {place}")
    say(f"took {time.monotonic() - began:.0f} s")
    say(HONESTY)
    return scored.exit_code


_TRAINING = {"model": "sfcl-hcmf", "recipe": "quick", "data": ("demo",), "epochs": 4}
