"""Scoring in a test: settings that need no other process, and a picture with a face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data as photographs

from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.score import ScoreResult, score
from ffpipe.pipeline.workspace import Workspace

INLINE: dict[str, Any] = {"engine": "local", "workers": 0, "frames": 4}


def picture(path: Path) -> Path:
    Image.fromarray(photographs.astronaut()[:256, 100:356]).save(path)
    return path


def run(
    paths: Any,
    home: Path,
    weights: Path,
    out: Path | None = None,
    said: list[str] | None = None,
    **settings: Any,
) -> ScoreResult:
    config = ScoreConfig.build({**INLINE, "weights": weights, **settings})
    given = paths if isinstance(paths, list) else [paths]
    return score(given, config, Workspace(home), out=out, say=(said if said is not None else []).append)
