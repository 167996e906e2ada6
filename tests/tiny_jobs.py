"""Jobs on made-up faces with the tests' tiny detector, in a workspace `ws` below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffpipe.pipeline.config import EvaluateConfig, PreviewConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.preview import preview
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace


def learn(home: Path) -> Any:
    config = TrainConfig(model="tiny", engine="local", recipe="quick", epochs=1, data=("made",))
    return train(config, Workspace(home / "ws"), lambda line: None)


def judge(home: Path) -> Any:
    workspace = Workspace(home / "ws")
    config = EvaluateConfig(data="made", replicates=100)
    return evaluate(str(workspace.newest_model()), config, workspace, lambda line: None)


def look(home: Path) -> Any:
    config = PreviewConfig(model="tiny", data=("made",), recipe="quick", faces=2, draws=1)
    return preview(config, Workspace(home / "ws"), home / "sheet.png", lambda line: None)
