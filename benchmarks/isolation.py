"""What isolation costs: media read through the confined child, beside the same work with the decoder in this process.

Reading is what extract does with a medium: decode 32 frames, find and track faces, cut and encode them, take their
statistics. Rounds take both sides in turn, each time in the other order; a round's ratio is child over process, and the
median is printed with the least and the greatest. CPU seconds count this process and its children on one thread; the
child is warm, as a worker's is. Real clips are taken from $FFPIPE_TEST_DATA, else two are made.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from extraction import cpu_seconds
from media import make_face_clip

from ffpipe.pipeline.engine import single_thread
from ffpipe.stages.decode import Decoding, decode_in_process
from ffpipe.stages.decode.sandbox import DecodedMedia, DecodeSandbox
from ffpipe.stages.detect import create_detector
from ffpipe.stages.faces import FaceSettings, find_faces
from ffpipe.stages.sampling import Sampling

SAMPLING = Sampling.of_count(32)
#: Where real clips lie, from which one each is taken: 480p research clips, 1080p phone clips, and others.
_FOLDERS = ("ffpp-sample", "dfdc-sample", "real", "fake")


def real_clips(root: Path, count: int) -> list[Path]:
    """As many clips of each folder in turn as make up the count."""
    found = [sorted(root.joinpath(folder).rglob("*.mp4")) for folder in _FOLDERS]
    turns = max(map(len, found), default=0)
    return [clips[turn] for turn in range(turns) for clips in found if turn < len(clips)][:count]


def made_clips(home: Path) -> list[Path]:
    """One clip of 1080p and one of 480p, five seconds each."""
    sizes = ((1920, 1080), (854, 480))
    return [make_face_clip(home / f"{size[0]}.mp4", seconds=5.0, size=size).path for size in sizes]


class Reading:
    """Reads all clips, with the decoder in the child or in this process."""

    def __init__(self, clips: Sequence[Path], sandbox: DecodeSandbox) -> None:
        self._clips = clips
        self._sandbox = sandbox
        self._detector = create_detector("mtcnn")
        self.faces = 0

    def through_child(self) -> None:
        """As extract reads."""
        self._read(lambda clip: self._sandbox.open(clip, SAMPLING))

    def in_process(self) -> None:
        """The same without isolation."""
        self._read(lambda clip: decode_in_process(clip, SAMPLING))

    def _read(self, opened: Callable[[Path], Decoding | DecodedMedia]) -> None:
        self.faces = 0
        for clip in self._clips:
            with opened(clip) as medium:
                self.faces += len(find_faces(medium, self._detector, FaceSettings(), media_id="0" * 32).faces)


def seconds_of(side: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall seconds of one reading."""
    cpu, wall = cpu_seconds(), time.monotonic()
    side()
    return cpu_seconds() - cpu, time.monotonic() - wall


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=4)
    options = parser.parse_args()
    single_thread()
    data = os.environ.get("FFPIPE_TEST_DATA")
    with tempfile.TemporaryDirectory() as folder, DecodeSandbox() as sandbox:
        clips = (real_clips(Path(data), options.clips) if data else []) or made_clips(Path(folder))
        reading = Reading(clips, sandbox)
        sides = [reading.through_child, reading.in_process]
        for side in sides:
            side()
        ratios: list[tuple[float, float]] = []
        for number in range(options.rounds):
            taken = {side: seconds_of(side) for side in sides[:: 1 if number % 2 else -1]}
            (cpu, wall), (own_cpu, own_wall) = (taken[side] for side in sides)
            print(f"CPU {cpu:7.2f} s beside {own_cpu:7.2f} s, wall {wall:7.2f} s beside {own_wall:7.2f} s")
            ratios.append((cpu / own_cpu, wall / own_wall))
        print(
            f"{len(clips)} clips, {reading.faces} faces, {options.rounds} rounds; {sandbox.protection.describe()}"
        )
        for name, values in zip(("CPU", "wall"), zip(*ratios, strict=True), strict=True):
            middle = statistics.median(values)
            print(
                f"{name:4} child/process: median {middle:.3f}, least {min(values):.3f}, greatest {max(values):.3f}"
            )


if __name__ == "__main__":
    main()
