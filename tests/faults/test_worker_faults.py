"""Workers and decoding children that die, hang, blow up or talk nonsense: each costs its own medium, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from faulty_jobs import KINDS, FaultyExtract, file_name

from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.decode.channel import SLOTS

#: More than a child may send before it is asked for more: none of them can have sent everything when it is struck.
FRAMES = SLOTS + 2

#: Status, and words of the reason.
OUTCOMES = {
    "poison": (
        "crashed",
        "also when it was tried again alone",
    ),
    "killed": ("crashed", "the decoder died (signal SIGKILL)"),
    "segfault": ("crashed", "the decoder died (signal SIGSEGV)"),
    "stopped": ("timeout", "no answer from the decoder"),
    "nonsense": ("crashed", "the decoder died"),
    "endless": ("crashed", "the decoder died"),
    "wrong facts": ("crashed", "the decoder's answer makes no sense"),
    "wrong picture": ("crashed", "the decoder's answer makes no sense"),
    "out of turn": ("crashed", "the decoder answered 'picture' out of turn"),
    "memory": ("too_large", "more memory than the limit"),
    "sound": ("ok", ""),
}


@pytest.mark.slow
def test_each_fault_costs_its_own_medium_and_a_retry_reads_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "set"
    tree.mkdir()
    for number, kind in enumerate(KINDS):
        content = clip.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([number])
        (tree / file_name(kind)).write_bytes(content)

    def run(home: Path, **settings: Any) -> tuple[int, list[pd.DataFrame]]:
        config = ExtractConfig.build({"engine": "local", "workers": 1, "frames": FRAMES, **settings})
        result = extract(tree, config, Workspace(home), lambda line: None)
        shards = Workspace(home).dataset(result.name)
        keys = {"media": "path", "faces": "face_id"}
        return result.exit_code, [
            shards.read(table).to_pandas().sort_values(key).reset_index(drop=True)
            for table, key in keys.items()
        ]

    with monkeypatch.context() as patch:
        patch.setattr("ffpipe.pipeline.extract.ExtractJob", FaultyExtract)
        code, (media, faces) = run(tmp_path / "ws", timeout=10)
    assert code == 3
    rows = media.set_index(media["path"].map(lambda path: Path(path).stem.replace("-", " ")))
    assert sorted(rows.index) == sorted(KINDS), "one row an input"
    for kind, (status, words) in OUTCOMES.items():
        assert rows.loc[kind, "status"] == status, (kind, rows.loc[kind, "reason"])
        assert words in str(rows.loc[kind, "reason"]), kind
    assert set(faces["media_id"]) == {rows.loc["sound", "media_id"]}
    code, again = run(tmp_path / "ws", timeout=10, retry_failed=True)
    assert code == 0
    shutil.rmtree(tmp_path / "ws")
    for found, expected in zip(again, run(tmp_path / "ws", timeout=10, workers=0)[1], strict=True):
        pd.testing.assert_frame_equal(found, expected)
