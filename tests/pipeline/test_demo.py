from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ffpipe.pipeline import demo
from ffpipe.stages.detect import create_detector


def frames(path: Path) -> list[np.ndarray]:
    return list(demo.decode(path))


def test_a_forged_clip_differs_from_the_same_genuine_one_in_the_face_alone(tmp_path: Path) -> None:
    for name, forged in (("real.mp4", False), ("fake.mp4", True), ("again.mp4", True)):
        demo.film(tmp_path / name, np.random.default_rng(5), forged)
    real, fake, again = (frames(tmp_path / name) for name in ("real.mp4", "fake.mp4", "again.mp4"))
    assert len(real) == len(fake) == demo.FRAMES
    assert all(np.array_equal(a, b) for a, b in zip(fake, again, strict=True)), "seeded"
    ((face,),) = create_detector("mtcnn").detect([real[0]])
    x0, y0, x1, y1 = map(int, face.box)
    difference = np.abs(real[0].astype(int) - fake[0].astype(int)).mean(-1)
    inside = difference[y0:y1, x0:x1].mean()
    difference[max(0, y0 - 40) : y1 + 40, max(0, x0 - 40) : x1 + 40] = 0
    assert inside > 8
    assert difference.mean() < 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.mp4", "fake.mp4", "real.mp4"]


def test_the_scenery_has_no_face(tmp_path: Path) -> None:
    demo.scenery(tmp_path / "s.mp4", np.random.default_rng(0))
    assert create_detector("mtcnn").detect(frames(tmp_path / "s.mp4")[:1]) == [[]]


def test_clips_that_exist_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CLIPS", {"train": 1})
    monkeypatch.setattr(demo, "SCORE_CLIPS", 0)
    said: list[str] = []
    demo.make_clips(tmp_path, 0, said.append)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.mp4")}
    assert len(times) == 3
    demo.make_clips(tmp_path, 0, said.append)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.mp4")} == times


@pytest.mark.slow
def test_the_whole_demo_says_what_it_is_and_ends_with_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.run(tmp_path / "demo", 0, Console(stderr=True)) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "shows the mechanics, not accuracy" in said
    assert "not assessable" in said
    assert (tmp_path / "demo" / "report.parquet").exists()
