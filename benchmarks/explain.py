"""What heat maps cost beside scoring: CPU seconds of Grad-CAM of the same faces as a ratio to the network's own.

Reading the clip, scoring its faces in batches of 8 in float32, one heat map a face, and the annotated video's drawing
and encoding, each the median of `--rounds`. Weights are random: the maps show nothing. Uses $FFPIPE_BENCH_CLIP, or a
clip made here. `--threads N` (1 by default).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from scoring import made_clip, median, network, read

from ffpipe.models import create_detector, list_detectors
from ffpipe.pipeline.engine import single_thread
from ffpipe.stages.annotate import Canvas, Mark
from ffpipe.stages.arithmetic import REFERENCE
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.explain import explain_face
from ffpipe.stages.film import Film


def film(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Annotate and encode frames of noise, the costliest picture there is."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    canvas, heat = Canvas(*size, ["a legend of one line"], keyed=True), np.ones((64, 64), np.float32)
    box = (size[0] * 0.4, size[1] * 0.3, size[0] * 0.6, size[1] * 0.7)
    with Film(path, canvas.width, canvas.height) as target:
        for number in range(frames):
            target.add(canvas.draw(noise, "0.000 s", [Mark("track 0", box, box, heat)]), number / 25)
        target.finish()
    path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="efficientnet-b0", choices=list_detectors())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    single_thread()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, made_clip(Path(folder)) as clip:
        reading, faces = read(clip, Path(folder), given.rounds)
        drawing = median(lambda: film(Path(folder) / "film.mp4", len(faces), (1920, 1080)), given.rounds)
    scoring = network(given.model, faces, REFERENCE, given.rounds)
    loaded = SimpleNamespace(model=create_detector(given.model).eval())
    maps = median(
        lambda: [explain_face(loaded, decode_crop(face.crop), face.sida) for face in faces], given.rounds
    )
    print(f"{given.model}, {len(faces)} faces, {given.threads} thread(s), median of {given.rounds}")
    for what, seconds in {
        "reading": reading,
        "scoring": scoring,
        "heat maps": maps,
        "video of 1080p noise": drawing,
    }.items():
        beside = f"{seconds / scoring:8.2f} of scoring{seconds / (reading + scoring):8.2f} of both"
        print(f"{what:24}{seconds:8.2f} CPU s{beside}")


if __name__ == "__main__":
    main()
