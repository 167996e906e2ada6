"""Decoding 32 of 300 frames of a 10 s 1080p clip, beside what a user would pick instead and beside the limit.

Each round starts every side in turn in a process of its own, lets it decode the clip once to warm up, and
counts the CPU time of the second time, with the decoding child where there is one; the table shows the median, its
ratio to decoding every frame once without keeping any, and the peak of memory. One thread each. Clips: one made here,
the first 1080p clip of $FFPIPE_TEST_DATA/dfdc-sample where that is set, and those named on the command line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

FRAMES = 32
HD = (1920, 1080)
LIMIT = "every frame once, none kept"
OURS = "ffpipe, sandboxed"


def cpu_seconds(pids: list[int]) -> float:
    """CPU seconds of these processes so far, with their ended threads."""
    process_clock = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>, for any process by its id
    return sum(time.clock_gettime((~pid << 3) | process_clock) for pid in pids)


def peak_mib(pids: list[int]) -> float:
    """The most resident memory that these processes had, each at its own peak, in MiB."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def middle_indexes(count: int) -> list[int]:
    """Frames in the middles of FRAMES equal parts of `count` frames."""
    return [int((k + 0.5) * count / FRAMES) for k in range(FRAMES)]


def decode_everything(path: str) -> int:
    """The limit: FFmpeg's own work through PyAV."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream)) and FRAMES


def with_decord(path: str) -> int:
    """decord as its documentation uses it, on one thread."""
    import decord

    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    return len(reader.get_batch(middle_indexes(len(reader))).asnumpy())


def with_opencv(path: str) -> int:
    """OpenCV in order, converting only what is kept."""
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    wanted = set(middle_indexes(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))
    kept, index = 0, 0
    while capture.grab():
        if index in wanted:
            kept += capture.retrieve()[1] is not None
        index += 1
    return kept


def with_ffpipe(path: str) -> int:
    """ffpipe without its child process."""
    from ffpipe.stages.decode import decode_in_process
    from ffpipe.stages.sampling import Sampling

    with decode_in_process(path, Sampling.of_count(FRAMES)) as decoding:
        return sum(1 for _ in decoding)


IN_PROCESS: dict[str, Callable[[str], int]] = {
    LIMIT: decode_everything,
    "ffpipe, in process": with_ffpipe,
    "decord": with_decord,
    "OpenCV": with_opencv,
}


def measure(side: str, path: str) -> None:
    """Decode twice and print the second time's CPU seconds and the peak memory."""
    if side != OURS:
        run = IN_PROCESS[side]
        print(*timed(lambda: run(path), [os.getpid()]))
        return
    from ffpipe.stages.decode.sandbox import DecodeSandbox
    from ffpipe.stages.sampling import Sampling

    with DecodeSandbox() as sandbox:
        sampling = Sampling.of_count(FRAMES)
        print(*timed(lambda: sum(1 for _ in sandbox.open(path, sampling)), [os.getpid(), sandbox.pid]))


def timed(run: Callable[[], int], pids: list[int]) -> tuple[float, float]:
    """CPU seconds of the second of two runs, and the peak of memory in MiB."""
    for _ in range(2):
        before = cpu_seconds(pids)
        kept = run()
        spent = cpu_seconds(pids) - before
    if kept != FRAMES:
        raise SystemExit(f"{kept} frames were kept instead of {FRAMES}")
    return spent, peak_mib(pids)


def make_hd_clip(path: Path) -> Path:
    """Ten seconds at 30 frames a second: a camera gliding over detailed ground, with grain."""
    import cv2
    from media import make_clip

    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (270, 480, 3)).astype(np.uint8)
    ground = cv2.resize(coarse, (2400, 1350), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = generator.integers(-6, 7, (1080, 1920, 1), dtype=np.int16)

    def paint(index: int, width: int, height: int) -> np.ndarray:
        x, y = int(200 + 180 * np.sin(index / 40)), int(100 + 90 * np.cos(index / 50))
        view = ground[y : y + height, x : x + width] + np.roll(grain, 7 * index, 1)
        return np.clip(view, 0, 255).astype(np.uint8)

    options = {"preset": "medium", "crf": "23"}
    return make_clip(
        path, size=HD, frames=300, fps=30, gop=250, b_frames=2, paint=paint, options=options
    ).path


def report(path: Path, rounds: int) -> None:
    """Print the table of one clip."""
    figures: dict[str, list[tuple[float, float]]] = {
        side: [] for side in [LIMIT, OURS, *list(IN_PROCESS)[1:]]
    }
    for _ in range(rounds):
        for side, found in figures.items():
            command = [sys.executable, __file__, "--side", side, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, memory = done.stdout.split()
            found.append((float(seconds), float(memory)))
    limit = statistics.median(seconds for seconds, _ in figures[LIMIT])
    print(f"\n{path.name}, {path.stat().st_size / 1e6:.1f} MB, {rounds} rounds")
    print(f"{'side':32}{'CPU s':>8}{'ratio':>8}{'peak MiB':>10}")
    for side, found in figures.items():
        seconds = statistics.median(second for second, _ in found)
        memory = max(memory for _, memory in found)
        print(f"{side:32}{seconds:8.2f}{seconds / limit:8.2f}{memory:10.0f}")


def main() -> None:
    """Parse, then measure one side or report on all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="more clips of 32 frames and up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side, str(options.clips[0]))
        return
    with tempfile.TemporaryDirectory() as folder:
        clips = [make_hd_clip(Path(folder) / "made-1080p.mp4")]
        data = os.environ.get("FFPIPE_TEST_DATA")
        clips += sorted(Path(data).glob("dfdc-sample/*/w*.mp4"))[:1] if data else []
        for clip in [*clips, *options.clips]:
            report(clip, options.rounds)


if __name__ == "__main__":
    main()
