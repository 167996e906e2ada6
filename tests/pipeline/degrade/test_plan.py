"""Which copies are to be made: of the best there is, in the official tree or beside a manifest, over no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffpipe.manifests import datasets
from ffpipe.pipeline.degrade.plan import INNER, Plan, Tree, plan, sources

FAKES = "manipulated_sequences/Deepfakes"
REALS = "original_sequences/youtube"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def planned(root: Path, *rates: int, out: Path | None = None, made: frozenset[Path] = frozenset()) -> Plan:
    dataset = datasets.load(root)
    return plan(dataset, Tree.of(dataset.name, root, out or root), rates, made)


def targets(result: Plan, root: Path) -> dict[str, list[str]]:
    return {
        Path(clip.entry.path).relative_to(root).as_posix(): [
            copy.target.relative_to(root).as_posix() for copy in clip.copies
        ]
        for clip in result.clips
    }


def test_the_official_tree_gets_the_qualities_that_it_lacks(tmp_path):
    touch(tmp_path, f"{REALS}/raw/videos/000.mp4", f"{FAKES}/c0/000_001.avi")
    assert targets(planned(tmp_path, 40, 23), tmp_path) == {
        f"{REALS}/raw/videos/000.mp4": [f"{REALS}/c{q}/videos/000.mp4" for q in (23, 40)],
        f"{FAKES}/c0/000_001.avi": [f"{FAKES}/c{q}/videos/000_001.mp4" for q in (23, 40)],
    }


def test_the_owners_folder_is_left_as_it_is_also_where_it_lacks_a_clip(tmp_path):
    touch(tmp_path, *(f"{REALS}/raw/videos/{n}.mp4" for n in ("000", "001")), f"{REALS}/C23/000.mp4")
    result = planned(tmp_path, 23, 40)
    assert [copy.crf for clip in result.clips for copy in clip.copies] == [40, 40]
    assert result.present == 1
    (note,) = (note for note in result.notes if "were not made here" in note)
    assert note.endswith("left as it is, though it lacks 1 of the clips")


def test_a_folder_that_was_made_here_is_filled_up(tmp_path):
    touch(tmp_path, *(f"{REALS}/raw/videos/{n}.mp4" for n in ("000", "001")), f"{REALS}/c23/videos/000.mp4")
    made = frozenset([tmp_path / REALS / "c23/videos/000.mp4"])
    result = planned(tmp_path, 23, made=made)
    assert targets(result, tmp_path) == {f"{REALS}/raw/videos/001.mp4": [f"{REALS}/c23/videos/001.mp4"]}
    assert result.present == 1


def test_without_raw_the_best_is_taken_and_said_aloud(tmp_path):
    touch(tmp_path, f"{REALS}/c23/videos/000.mp4", f"{REALS}/c40/videos/001.mp4")
    result = planned(tmp_path, 23, 30)
    assert targets(result, tmp_path) == {f"{REALS}/c23/videos/000.mp4": [f"{REALS}/c30/videos/000.mp4"]}
    assert any(note.startswith("NO RAW VIDEO: copies of 1 clips are made of c23") for note in result.notes)
    assert "1 copies c23 from c40 cannot be made: it is no better" in result.notes
    assert "1 copies c30 from c40 cannot be made: it is no better" in result.notes


def test_another_folder_gets_every_quality_even_if_the_source_has_it(tmp_path):
    touch(tmp_path / "src", f"{REALS}/raw/videos/000.mp4", f"{REALS}/c23/videos/000.mp4")
    result = planned(tmp_path / "src", 23, out=tmp_path / "out")
    assert [copy.target for clip in result.clips for copy in clip.copies] == [
        tmp_path / "out" / REALS / "c23/videos/000.mp4"
    ]
    assert result.clips[0].entry.quality == "c0"


def test_other_layouts_keep_their_places_below_the_quality(tmp_path):
    touch(tmp_path, "real/a.mp4", "real/a.avi", "fake/sub/b.MP4", "fake/picture.png")
    result = planned(tmp_path, 40, out=tmp_path / "out")
    assert targets(result, tmp_path) == {
        "fake/sub/b.MP4": ["out/c40/fake/sub/b.MP4"],
        "real/a.avi": ["out/c40/real/a.avi.mp4"],
        "real/a.mp4": ["out/c40/real/a.mp4"],
    }
    assert "1 images or sequences of them are left out: copies are made of videos" in result.notes


def test_a_source_that_is_no_official_tree_keeps_its_own_folder_clean(tmp_path):
    tree = Tree.of("folder", tmp_path, tmp_path)
    assert tree.out == tmp_path / INNER and not tree.in_place and tree.has_manifest
    assert Tree.of("ffpp", tmp_path, tmp_path).in_place


def test_a_file_in_the_way_is_not_written_over(tmp_path):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4", "out/c40/real/a.mp4")
    dataset = datasets.load(tmp_path)
    result = plan(dataset, Tree.of("folder", tmp_path, tmp_path / "out"), [40], frozenset())
    assert list(targets(result, tmp_path)) == ["fake/b.mp4"]


@pytest.mark.parametrize("quality", ["c23", "c40"])
def test_the_best_quality_of_a_clip_comes_first(tmp_path, quality):
    touch(tmp_path, f"{REALS}/{quality}/videos/000.mp4", f"{REALS}/raw/videos/000.mp4")
    (found,) = sources(datasets.load(tmp_path).entries).values()
    assert [entry.quality for entry in found] == ["c0", quality]
