"""Whole extraction of a 10 s 1080p clip at 32 frames, beside decoding alone and the field's usual script.

Every figure is CPU seconds of this process and its children on one thread; each round runs every side in turn, and the
table shows the median and the ratio to decoding every frame once. `--repeats N` then reads a short clip N times and
prints the memory in between. Uses $FFPIPE_BENCH_CLIP, or a clip made here of scikit-image's photograph.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import av
import cv2
from media import make_face_clip

from ffpipe.manifests.records import Entry
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.engine import attempt_name, single_thread
from ffpipe.pipeline.extract import ExtractJob
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.plan import items_from, single
from ffpipe.stages.crop import CropSettings

FRAMES = 32


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended or running children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(_cpu_of(pid) for pid in _children())
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + running


def _children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib() -> float:
    """Resident memory of this process and its children, in MiB."""
    pids = [os.getpid(), *_children()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def decode_alone(clip: Path) -> Callable[[], None]:
    """Decode every frame once, on one thread, without converting any."""

    def run() -> None:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for _ in container.decode(stream):
                pass

    return run


def usual_script(clip: Path) -> Callable[[], None]:
    """OpenCV frame by frame, dlib's HOG at full size with one upsampling, a PNG of each face."""
    import dlib

    detector = dlib.get_frontal_face_detector()

    def run() -> None:
        capture = cv2.VideoCapture(str(clip))
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = {int((k + 0.5) * total / FRAMES) for k in range(FRAMES)}
        for index in range(total):
            sound, frame = capture.read()
            if not sound or index not in wanted:
                continue
            for box in detector(frame, 1):
                crop = frame[max(0, box.top()) : box.bottom(), max(0, box.left()) : box.right()]
                cv2.imencode(".png", crop)

    return run


class Extraction:
    """One clip into a committed shard, again and again, with a warm worker."""

    def __init__(self, clip: Path, home: Path) -> None:
        (hashed,) = hash_inputs([str(clip)], HashCache(home / "hashes.sqlite"))
        (self._item,) = items_from([Entry(str(clip))], [hashed])
        self._home = home
        self._worker = self._job("warm").build()

    def _job(self, name: str) -> ExtractJob:
        root = self._home / name
        ShardGroup(root, "media", ["faces"]).create()
        return ExtractJob(root, name, ExtractConfig(frames=FRAMES), CropSettings())

    def __call__(self) -> None:
        chunk = single(self._item)
        self._worker(type(chunk)(uuid.uuid4().hex, chunk.items, chunk.cost), attempt_name())


def measure(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each side over the rounds, all sides in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            began = cpu_seconds()
            side()
            seconds[name].append(cpu_seconds() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--without-usual-script", action="store_true")
    options = parser.parse_args()
    single_thread()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        clip = Path(os.environ.get("FFPIPE_BENCH_CLIP") or home / "clip.mp4")
        if not clip.exists():
            make_face_clip(clip, seconds=10.0, size=(1920, 1080), fps=30.0)
        sides = {"decode every frame once": decode_alone(clip), "ffpipe extraction": Extraction(clip, home)}
        if not options.without_usual_script:
            sides["usual script (OpenCV, dlib HOG)"] = usual_script(clip)
        medians = measure(sides, options.rounds)
        limit = medians["decode every frame once"]
        print(f"{clip.name}, {FRAMES} frames, CPU seconds, median of {options.rounds}")
        for name, value in medians.items():
            print(f"{name:34} {value:8.2f} s {value / limit:8.2f}x")
        if options.repeats:
            _memory(home, options.repeats)


def _memory(home: Path, repeats: int) -> None:
    short = home / "short.mp4"
    make_face_clip(short, seconds=1.0, size=(640, 480))
    extraction = Extraction(short, home)
    for number in range(repeats + 1):
        extraction()
        if number in (10, repeats // 2, repeats):
            print(f"after {number:4} repeats: {resident_mib():8.1f} MiB resident, child included")


if __name__ == "__main__":
    main()
