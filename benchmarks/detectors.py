"""Every detector through the main job on real clips: extract once, then a quick training run and scoring of each.

The labelled clips of a FaceForensics++ tree are re-encoded by libx264 at rate factors 23 and 40. Detectors train on
c23; a student trains on c40 under the detector of its kind that was trained on c23 before it. Runs the commands
themselves (`ffpipe extract`, `train --recipe quick`, `score`) in a workspace of its own, and prints a table:
parameters, faces a second in training, losses of the first and last epoch, validation AUC over frames, seconds of
training and of scoring, and how the scored clips ended. With a few clips of two identities the AUC says only that
training runs. Needs $FFPIPE_TEST_DATA, or `--source` (a tree of one quality) and `--clips`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from media import recompress

from ffpipe.models import create_detector, detector_info, list_detectors

QUALITIES = (23, 40)
CLIPS = (
    "real/hamilton_short.mp4",
    "real/retalking_face1.mp4",
    "fake/dfdcface_aaqaifqrwn_face00.mp4",
    "fake/crop_aniportrait_zl.mp4",
)


def ffpipe(*words: str, workspace: Path) -> tuple[Any, float]:
    """What a command prints as JSON, and the seconds it took. Its lines for people go to standard error."""
    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "ffpipe",
        *words,
        "--engine",
        "local",
        "--workspace",
        str(workspace),
        "--json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}")
    return json.loads(done.stdout), time.perf_counter() - began


def reencode(source: Path, target: Path) -> None:
    """The same tree at every quality: its clips lie in `<quality>/videos/` of each method."""
    for clip in sorted(source.rglob("videos/*.mp4")):
        method = clip.parents[2].relative_to(source)
        for quality in QUALITIES:
            copy = target / method / f"c{quality}" / "videos" / clip.name
            recompress(clip, copy, quality)


def teacher_of(name: str) -> str | None:
    """The detector that a student learns from; None for those that learn from labels alone."""
    return name.removesuffix("-kd") if "knowledge" in detector_info(name).options else None


def material(name: str, finished: dict[str, str]) -> list[str]:
    """What a detector learns from: c23, or for a student c40 and the finished run of its teacher on c23."""
    teacher = teacher_of(name)
    return ["--quality", "c40", "--teacher", finished[teacher]] if teacher else ["--quality", "c23"]


def row(name: str, workspace: Path, clips: list[str], finished: dict[str, str]) -> str:
    trained, training = ffpipe(
        "train", "--model", name, "--recipe", "quick", *material(name, finished), workspace=workspace
    )
    finished[name] = trained["model"]
    history, counts = trained["metrics"]["history"], trained["metrics"]["counts"]["train"]
    faces = counts["real_faces"] * counts["draws"]["real"] + counts["fake_faces"] * counts["draws"]["fake"]
    frame = trained["metrics"]["validation"]["frame"] or {"auc": None}
    out = workspace / f"{name}.parquet"
    report, scoring = ffpipe(
        "score",
        *clips,
        "--weights",
        trained["model"],
        "--frames",
        "8",
        "--out",
        str(out),
        workspace=workspace,
    )
    ended = ", ".join(
        f"{count} {status}" for status, count in Counter(r["status"] for r in report["rows"]).items()
    )
    options = json.loads((Path(trained["model"]) / "config.json").read_text())["options"]
    size = sum(p.numel() for p in create_detector(name, None, **options).parameters())
    area = "-" if frame["auc"] is None else f"{frame['auc']:.3f}"
    return (
        f"{name:18}{size / 1e6:9.2f}{faces * len(history) / training:10.1f}{history[0]['train_loss']:9.3f}"
        f"{history[-1]['train_loss']:9.3f}{area:>8}{training:9.0f}{scoring:9.0f}  {ended}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ.get("FFPIPE_TEST_DATA", "."))
    parser.add_argument("models", nargs="*", default=list_detectors(), metavar="MODEL")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--clips", nargs="*", default=[str(data / clip) for clip in CLIPS])
    given = parser.parse_args()
    source = given.source or data / "ffpp-sample"
    if not source.is_dir():
        if given.source:
            parser.error(f"{source} is no folder")
        print("skipped: needs real clips in $FFPIPE_TEST_DATA, or --source and --clips")
        return
    for name in given.models:
        teacher = teacher_of(name)
        if teacher and teacher not in given.models[: given.models.index(name)]:
            parser.error(f"{name} learns from {teacher}, which has to stand before it")
    with tempfile.TemporaryDirectory() as folder:
        workspace, finished = Path(folder), {}
        reencode(source, Path(folder) / "pairs")
        ffpipe("extract", str(Path(folder) / "pairs"), workspace=workspace)
        titles = ("M param.", "faces/s", "first", "last", "AUC", "train s", "score s")
        print(
            f"{'detector':18}"
            + "".join(f"{t:>{w}}" for t, w in zip(titles, (9, 10, 9, 9, 8, 9, 9), strict=True))
        )
        for name in given.models:
            print(row(name, workspace, given.clips, finished), flush=True)


if __name__ == "__main__":
    main()
