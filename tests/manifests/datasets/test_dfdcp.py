"""The DFDC preview: its list of labels and sets, methods that share names, held-out actors, counts."""

import json
from pathlib import Path

import pytest

from ffpipe.manifests.datasets.dfdcp import DFDCPreview
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks

#: Actors who lend one another their faces; the first two circles are the owner's test.
CIRCLES = (("11", "12"), ("13", "14"), ("21", "22"), ("23", "24"), ("25", "26"))


def build(root: Path, circles=CIRCLES, tested: int = 2, ids: bool = True) -> Path:
    """Two real videos an actor, and a fake of each method and pair; both methods use the same names."""
    listed = {}
    for number, circle in enumerate(circles):
        part = "test" if number < tested else "train"
        for actor in circle:
            listed |= {f"original_videos/{actor}/{actor}_{k}.mp4": real(part) for k in "ab"}
            for source in set(circle) - {actor}:
                facts = {"target_id": actor, "swapped_id": source} if ids else {}
                for method in ("method_A", "method_B"):
                    listed[f"{method}/{actor}/{actor}_{source}.mp4"] = {"label": "fake", "set": part, **facts}
    for path in map(root.joinpath, listed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    (root / "dataset.json").write_text(json.dumps(listed))
    return root


def real(part: str) -> dict:
    return {"label": "real", "set": part, "augmentations": []}


def load(root: Path, **options):
    return DFDCPreview().load(root, **options)


def of(dataset, split) -> list:
    return [entry for entry in dataset.entries if entry.split is split]


def shown(entries) -> set:
    return {name for e in entries for name in (e.source_id, e.target_id) if name is not None}


@pytest.mark.parametrize("above", ["", "dfdc_preview", "downloads/dfdc_preview"])
def test_labels_sets_and_methods_come_from_the_list(tmp_path, above):
    build(tmp_path / above)
    assert "method_A/" in DFDCPreview().recognise(tmp_path).reason
    dataset = load(tmp_path)
    fakes = [e for e in dataset.entries if Path(e.path).name == "11_12.mp4"]
    assert [(e.label, e.method, e.split) for e in fakes] == [
        (Label.FAKE, "method_A", Split.TEST),
        (Label.FAKE, "method_B", Split.TEST),
    ]
    assert {(e.target_id, e.source_id) for e in fakes} == {("11", "12")}
    assert dataset.split_source.startswith("official set of dataset.json in ")


@pytest.mark.parametrize("ids", [True, False])
def test_actors_of_train_are_held_out_and_the_owners_sets_are_disjoint(tmp_path, ids):
    dataset = load(build(tmp_path, ids=ids))
    train, validation = of(dataset, Split.TRAIN), of(dataset, Split.VAL)
    assert {e.label for e in train} == {e.label for e in validation} == set(Label)
    assert not shown(train) & shown(validation)
    assert leaks(dataset.entries) == []
    assert any("validation is not the owner's" in note for note in dataset.notes)


def test_where_nothing_tells_the_actors_that_is_said(tmp_path):
    listed = {f"original_videos/{n}.mp4": real("train") for n in range(6)}
    listed |= {f"method_A/{n}.mp4": {"label": "fake", "set": "train"} for n in range(6)}
    for path in map(tmp_path.joinpath, listed):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"clip")
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    dataset = load(tmp_path)
    assert of(dataset, Split.VAL)
    assert any("train may show the same people" in note for note in dataset.notes)


def test_the_lists_path_spellings_in_use_are_taken(tmp_path):
    build(tmp_path)
    text = (tmp_path / "dataset.json").read_text()
    (tmp_path / "dataset.json").write_text(text.replace("/", "\\\\").replace("method_A", "Method_A"))
    assert len(load(tmp_path).entries) == 40


def test_files_and_list_are_compared_both_ways(tmp_path):
    build(tmp_path)
    (tmp_path / "method_B/11/11_12.mp4").unlink()
    (tmp_path / "method_A/11/new.mp4").write_bytes(b"clip")
    dataset = load(tmp_path)
    real_videos, fakes = dataset.expected
    assert (real_videos.found, real_videos.expected) == (20, 1131)
    assert (fakes.found, fakes.expected) == (19, 4119)
    assert (fakes.missing, fakes.surplus) == (("method_B/11/11_12.mp4",), ("method_A/11/new.mp4",))
    assert [Path(s.path).name for s in dataset.skipped] == ["new.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", "not JSON"),
        ('{"method_A/a.mp4": {"label": "fake", "set": "dev"}}', "set 'dev' is not one of train"),
        ('{"method_A/a.mp4": {"set": "train"}}', "label '' is not one of real, fake"),
        ('{"method_A/a.mp4": {"label": "fake", "set": "train"}}', "none of the videos"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, content, message):
    (build(tmp_path) / "dataset.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


def test_without_the_list_nothing_can_be_labelled(tmp_path):
    (build(tmp_path) / "dataset.json").unlink()
    assert DFDCPreview().recognise(tmp_path)
    with pytest.raises(UsageError, match=r"dataset.json cannot be read: No such file"):
        load(tmp_path)


def test_split_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--splits"):
        load(build(tmp_path), splits_dir=tmp_path)
