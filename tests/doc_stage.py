"""The folder that examples are run in: videos, a labelled folder, faces as extract stores them, and a tiny model."""

from __future__ import annotations

from pathlib import Path

from media import make_face_clip, make_noise_clip, make_truncated_header
from small_weights import make_tiny_weights
from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split

#: Media of each part of the made-up dataset, half of them fake.
MEDIA = {Split.TRAIN: 8, Split.VAL: 12, Split.TEST: 8}
#: Media of another dataset, in no split, half of them fake.
OTHERS = 64


def set_stage(home: Path) -> Path:
    """Fill a folder: `videos/`, `broken/`, `clips/{real,fake}/` and a workspace.

    It has the datasets `faces` and `others`, and the run `meso4/quick-001`.
    """
    make_face_clip(home / "videos" / "anchor.mp4", seconds=0.4, seed=1)
    make_noise_clip(home / "videos" / "scenery.mp4", frames=5)
    (home / "videos" / "notes.txt").write_text("what the agency wrote")
    (home / "broken").mkdir()
    make_truncated_header(home / "broken" / "cut.mp4")
    for number, label in enumerate(("real", "fake")):
        make_face_clip(home / "clips" / label / "a.mp4", seconds=0.2, seed=number)
    clips = [
        (f"{part}{number // 2}", Label(number % 2), part)
        for part, count in MEDIA.items()
        for number in range(count)
    ]
    workspace = home / "ffpipe-workspace"
    write_dataset(workspace / "datasets" / "faces", clips)
    others = [(f"other{number // 2}", Label(number % 2), None) for number in range(OTHERS)]
    write_dataset(workspace / "datasets" / "others", others, frames=2, first=len(clips))
    make_tiny_weights(workspace / "models" / "meso4" / "quick-001")
    return home
