"""Made-up datasets of a workspace that pass for those of the papers' protocols."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.reproduction.protocols.sources import FOUR_METHODS
from ffpipe.pipeline.workspace import Workspace

#: Clips of each class, method and split.
CLIPS = 1
_PER_CALL = 1000


def write_part(
    folder: Path,
    part: Split,
    label: Label,
    number: int,
    clips: int = CLIPS,
    frames: int = 1,
    **more: Any,
) -> None:
    """Clips of one split and label; `number` tells the calls for one dataset apart."""
    named = [(f"{part}{clip}", label, part) for clip in range(clips)]
    write_dataset(folder, named, frames, first=number * _PER_CALL, **more)


def write_ffpp(
    workspace: Workspace,
    name: str = "FF++",
    qualities: Sequence[str] = ("c23",),
    methods: Sequence[str] = tuple(FOUR_METHODS.values()),
    parts: Sequence[Split] = tuple(Split),
    **more: Any,
) -> None:
    """FaceForensics++: real clips and those of each method, the copies of a clip paired across qualities."""
    folder = workspace.root / "datasets" / name
    number = 0
    for step, quality in enumerate(qualities):
        for method in (None, *methods):
            for part in parts:
                label = Label.FAKE if method else Label.REAL
                pairs = f"{method}/{part}/"
                write_part(
                    folder,
                    part,
                    label,
                    number,
                    quality=quality,
                    method=method,
                    pairs=pairs,
                    coarse=1 + 7 * step,
                    **more,
                )
                number += 1
    mark(folder, layout="ffpp", source="/data/FF++")


def write_simple(
    workspace: Workspace,
    name: str,
    layout: str,
    source: str,
    parts: Sequence[Split] = tuple(Split),
    **more: Any,
) -> None:
    """A dataset with one unnamed way of forging."""
    folder = workspace.root / "datasets" / name
    for number, (part, label) in enumerate((part, label) for part in parts for label in Label):
        write_part(folder, part, label, number, **more)
    mark(folder, layout=layout, source=source)


def mark(folder: Path, layout: str, source: str, **more: Any) -> None:
    """Give a dataset's job what extract notes of the tree that it came from."""
    path = folder / "job.json"
    job = json.loads(path.read_text())
    configuration = {**job["configuration"], "source": source, "detector": "mtcnn"}
    path.write_text(json.dumps({**job, "layout": layout, "configuration": configuration, **more}))
