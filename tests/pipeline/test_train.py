from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import torch
import training_faces
from training_faces import SIDE, write_dataset

from ffpipe.manifests.errors import ConfigMismatch, LockedError, UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.run_lock import RunLock
from ffpipe.models import registry
from ffpipe.models.checkpoint import load
from ffpipe.models.detector import OptionInfo
from ffpipe.pipeline import training_job
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings


class Tiny(training_faces.Tiny):
    """One with an option and words of its own."""

    spec = replace(
        training_faces.Tiny.spec,
        summary="a test's detector",
        paper="none",
        options={"width": OptionInfo(1, range(1, 9), "nothing")},
    )


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(registry._DETECTORS, "tiny", Tiny)


def _clips(media: int, part: Split | None) -> list[tuple[str, Label, Split | None]]:
    return [(f"{part}{i // 2}", Label(i % 2), part) for i in range(media)]


@pytest.fixture
def workspace(tmp_path):
    write_dataset(tmp_path / "datasets" / "made", [*_clips(8, Split.TRAIN), *_clips(24, Split.VAL)])
    return Workspace(tmp_path)


def _train(workspace, say=lambda line: None, advance=None, **settings):
    given = {"model": "tiny", "engine": "local", "recipe": "quick", "learning_rate": 1e-2, **settings}
    return train(TrainConfig(**given), workspace, say, advance)


def test_a_run_ends_with_a_model_that_loads_and_says_what_it_is(workspace):
    said: list[str] = []
    steps: list[tuple[int, int, str]] = []
    result = _train(workspace, said.append, lambda *step: steps.append(step), epochs=3)
    loaded = load(result.directory)
    assert isinstance(loaded.model, Tiny)
    assert loaded.config["labels"] == ["real", "fake"]
    assert CropSettings(**loaded.config["crop"]).fingerprint() == loaded.config["crop_fingerprint"]
    assert loaded.config["thresholds"]["n_real"] == 12
    assert loaded.metrics == json.loads(json.dumps(result.metrics))
    assert said[0].startswith("recipe quick")
    card = (result.directory / "MODEL_CARD.md").read_text()
    assert said[0].removeprefix("recipe") in card
    assert "made" in card
    assert steps[-1][0] == steps[-1][1] == 12
    assert all("faces/s" in text and "left" not in text for _, _, text in steps)
    assert any("will take about" in line for line in said)
    assert not (result.directory / "state").exists()
    assert list((result.directory / "tensorboard").iterdir())
    assert workspace.newest_model() == result.directory


def test_the_card_says_what_was_changed_in_the_recipe(workspace):
    changes = {"vertical_flip": 0.25, "jitter": 1, "hue": 0.1}
    result = _train(
        workspace, epochs=1, batch_size=4, accumulate=3, optimiser="sgd", momentum=0.5, patience=2,
        augmentation=changes,
    )  # fmt: skip
    card = (result.directory / "MODEL_CARD.md").read_text()
    assert "12 faces an update: 4 faces x 3 accumulated batches" in card
    assert "sgd, learning rate 0.01 (constant), momentum 0.5" in card
    assert "up to 1 epoch, stopped after 2 without a better validation AUC" in card
    assert (
        "mirrored with probability 0.5, turned upside down with probability 0.25, jittered in colour" in card
    )
    assert "the statistics D of a changed face come from its own pixels" in card
    assert "The quick recipe is for trying the tool out" in card
    assert load(result.directory).config["recipe"]["accumulate"] == 3


def test_a_run_stops_when_it_has_been_patient_enough(workspace):
    metrics = _train(workspace, epochs=30, patience=1, learning_rate=1e-9).metrics
    assert len(metrics["history"]) < 30
    assert len(metrics["history"]) == metrics["best"]["epoch"] + 1


def test_metrics_count_what_was_used_and_hold_intervals_over_groups(workspace):
    metrics = _train(workspace, epochs=2).metrics
    train_part = metrics["counts"]["train"]
    assert (train_part["real_media"], train_part["fake_media"], train_part["groups"]) == (4, 4, 4)
    assert (train_part["real_faces"], train_part["fake_faces"]) == (16, 16)
    assert metrics["counts"]["validation"]["groups"] == 12
    assert len(metrics["history"]) == 2
    frame, video = metrics["validation"]["frame"], metrics["validation"]["video"]
    assert frame["low"] <= frame["auc"] <= frame["high"]
    assert video["auc_low"] <= video["auc"] <= video["auc_high"]
    assert metrics["best"] == max(
        metrics["history"], key=lambda entry: (entry["val_auc"], -entry["val_loss"])
    )
    media = metrics["validation"]["media"]
    assert len(media["label"]) == video["n_real"] + video["n_fake"] == 24
    pairs = zip(media["label"], media["score"], strict=True)
    reals = sorted((score for label, score in pairs if not label), reverse=True)
    assert reals[: len(video["real_tail"])] == pytest.approx(video["real_tail"])
    assert set(media["face_side"]) == {SIDE}


def test_the_test_split_has_no_influence(tmp_path, workspace):
    result = _train(workspace, epochs=1)
    other = tmp_path / "other"
    write_dataset(
        other / "datasets" / "made",
        [*_clips(8, Split.TRAIN), *_clips(24, Split.VAL), *_clips(6, Split.TEST)],
    )
    again = _train(Workspace(other), epochs=1)
    assert again.metrics["history"] == result.metrics["history"]


def test_an_interrupted_run_goes_on_by_the_same_command_and_ends_the_same(tmp_path, workspace, monkeypatch):
    whole = _train(workspace, epochs=3, run="whole")
    monkeypatch.setattr(training_job, "SAVE_SECONDS", 0.0)

    def interrupt(done, total, text):
        if done == 6:
            raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _train(workspace, said.append, interrupt, epochs=3)
    steps: list[int] = []
    result = _train(workspace, said.append, lambda done, total, text: steps.append(done), epochs=3)
    assert any(line.startswith("going on with the interrupted run tiny/quick-001") for line in said)
    assert steps[0] in (6, 7)
    assert result.metrics == whole.metrics
    first, second = (load(r.directory).model_id for r in (whole, result))
    assert first == second


@pytest.mark.slow
def test_what_is_measured_on_training_faces_is_measured_once_and_kept(workspace, monkeypatch):
    measured: list[torch.Tensor] = []

    def fit_statistics(self, sida):
        measured.append(torch.cat(list(sida)))

    def interrupt(done, total, text):
        if done == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(Tiny, "fit_statistics", fit_statistics, raising=False)
    monkeypatch.setattr(training_job, "SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        _train(workspace, advance=interrupt, epochs=3)
    result = _train(workspace, epochs=3)
    assert len(result.metrics["history"]) == 3
    (found,) = measured
    assert found.shape == (32, 2304)
    faces = ShardFaces.index([workspace.dataset("made")], _labelled(8))
    expected = faces.sida(range(len(faces.table)))
    assert sorted(map(bytes, found.numpy())) == sorted(map(bytes, expected))


def _labelled(media: int) -> dict[str, Labelled]:
    return {f"{number:032x}": Labelled(number % 2, "g", 4) for number in range(media)}


def test_another_configuration_is_another_run(workspace):
    first = _train(workspace, epochs=1)
    second = _train(workspace, epochs=2)
    assert first.directory != second.directory
    with pytest.raises(UsageError, match="finished already"):
        _train(workspace, epochs=1, run=first.directory.name)
    half = workspace.model_run("tiny", "mine")
    with pytest.raises(RuntimeError):
        _train(workspace, epochs=1, run="mine", advance=_fail)
    assert (half / "job.json").exists()
    with pytest.raises(ConfigMismatch, match="--run"):
        _train(workspace, epochs=2, run="mine")


def _fail(*_, **__):
    raise RuntimeError("stop")


def test_a_run_that_is_being_trained_elsewhere_is_refused(workspace):
    folder = workspace.model_run("tiny", "busy")
    folder.mkdir(parents=True)
    with RunLock(folder / "_lock"), pytest.raises(LockedError):
        _train(workspace, run="busy")


def test_a_recipe_that_wants_more_frames_than_there_are_says_so(workspace):
    said: list[str] = []
    result = _train(workspace, said.append, epochs=1, frames_per_video=50)
    line = next(line for line in said if "at most 4 were extracted" in line)
    assert line in (result.directory / "MODEL_CARD.md").read_text()
    advice = said[said.index(line) + 1]
    assert "ffpipe extract SOURCE --frames 50" in advice
    assert "--overwrite" in advice


def test_crops_larger_than_the_store_size_are_counted_and_said(tmp_path):
    clips = [*_clips(4, Split.TRAIN), *_clips(4, Split.VAL)]
    write_dataset(tmp_path / "datasets" / "big", clips, crop_side=1024)
    said: list[str] = []
    result = _train(Workspace(tmp_path), said.append, epochs=1)
    assert any(line.startswith("16 of 16 training crops were larger") for line in said)
    assert result.metrics["counts"]["train"]["downscaled"] == 16


def test_the_rarer_class_is_drawn_several_times(tmp_path):
    clips = [(f"g{i}", Label(i % 5 > 0), Split.TRAIN) for i in range(10)] + _clips(4, Split.VAL)
    write_dataset(tmp_path / "datasets" / "made", clips)
    said: list[str] = []
    result = _train(Workspace(tmp_path), said.append, epochs=1)
    assert result.metrics["counts"]["train"]["draws"] == {"real": 4, "fake": 1}
    assert any("real ones drawn 4 times" in line for line in said)


def test_a_limit_bounds_the_faces_of_an_epoch(workspace):
    counts = _train(workspace, epochs=1, limit=8).metrics["counts"]
    assert counts["train"]["real_faces"] == counts["train"]["fake_faces"] == 4


def test_without_validation_the_model_is_marked_unvalidated(tmp_path):
    write_dataset(tmp_path / "datasets" / "made", [("g", Label.REAL, None), ("g", Label.FAKE, None)])
    said: list[str] = []
    result = _train(Workspace(tmp_path), said.append, epochs=2)
    assert result.metrics["best"]["epoch"] == 2
    assert load(result.directory).config["validated"] is False
    assert load(result.directory).config["thresholds"]["usable"] is False
    assert "unvalidated" in said[-1]
    assert "unvalidated" in (result.directory / "MODEL_CARD.md").read_text()


def test_several_workers_need_ray_and_are_refused_before_anything_is_made(workspace):
    with pytest.raises(UsageError, match="--engine ray"):
        _train(workspace, num_workers=2)
    assert not (workspace.root / "models").exists()


def test_a_run_that_fails_before_its_first_step_leaves_nothing(workspace, monkeypatch):
    monkeypatch.setattr("ffpipe.pipeline.train.work", _fail)
    with pytest.raises(RuntimeError):
        _train(workspace, epochs=1)
    assert not (workspace.root / "models" / "tiny").exists()


@pytest.mark.slow
def test_a_run_killed_between_its_model_and_its_cleaning_is_cleaned_by_the_same_command(
    workspace, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ffpipe.pipeline.train_result.shutil.rmtree", _fail)
        with pytest.raises(RuntimeError):
            _train(workspace, epochs=1)
    folder = workspace.model_run("tiny", "quick-001")
    model_id = load(folder).model_id
    assert (folder / "state").exists()
    said: list[str] = []
    result = _train(workspace, said.append, epochs=1)
    assert result.directory == folder
    assert result.metrics == load(folder).metrics
    assert load(folder).model_id == model_id
    assert not (folder / "state").exists()
    assert "tiny/quick-001 was finished already" in said[-1]
    assert _train(workspace, epochs=1).directory.name == "quick-002"


def test_the_same_command_twice_gives_the_same_model(workspace):
    one, two = (_train(workspace, epochs=2) for _ in range(2))
    assert one.directory != two.directory
    assert load(one.directory).model_id == load(two.directory).model_id


def _reals(root, faces=8):
    return write_dataset(
        root / "datasets" / "made", [(f"r{i}", Label.REAL, Split.TRAIN) for i in range(faces)]
    )


def test_real_faces_alone_train_an_unvalidated_model_that_says_how_its_fakes_were_made(tmp_path):
    _reals(tmp_path)
    said: list[str] = []
    result = _train(Workspace(tmp_path), said.append, epochs=2, pseudo_fakes="selfblend")
    loaded = load(result.directory)
    assert any("an epoch draws 32 real, 32 self-blended" in line for line in said)
    assert loaded.config["pseudo_fakes"] == {"share": 0.5, "kind": "selfblend"}
    assert loaded.config["validated"] is False
    assert result.metrics["counts"]["train"]["epoch"] == {"real": 32, "self-blended": 32}
    assert result.metrics["best"]["epoch"] == 2
    card = (result.directory / "MODEL_CARD.md").read_text()
    assert "each blended with a changed copy of itself" in card
    assert "Each epoch draws so many faces: 32 real, 32 self-blended." in card
    assert "unvalidated" in card


def test_pseudo_fakes_beside_labelled_ones_are_validated_on_those(workspace):
    result = _train(workspace, epochs=1, pseudo_fakes="selfblend", pseudo_share=0.25)
    counts = result.metrics["counts"]
    assert counts["train"]["epoch"] == {"real": 16, "fake": 12, "self-blended": 4}
    assert counts["validation"]["fake_media"] == 12
    assert result.metrics["validation"]["frame"]["auc"] is not None


@pytest.mark.slow
def test_an_interrupted_run_with_blends_ends_like_one_that_was_not(tmp_path):
    for name in ("whole", "cut"):
        _reals(tmp_path / name)
    settings = {"epochs": 2, "pseudo_fakes": "selfblend", "batch_size": 8, "run": "x"}
    whole = _train(Workspace(tmp_path / "whole"), **settings)

    def stop(done: int, *_: object) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(Workspace(tmp_path / "cut"), advance=stop, **settings)
    resumed = _train(Workspace(tmp_path / "cut"), **settings)
    assert resumed.metrics["history"] == whole.metrics["history"]
    first, second = (load(run.directory).model.state_dict() for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_balance_by_method_is_trained_and_recorded(workspace):
    result = _train(workspace, epochs=1, balance="method")
    assert result.metrics["counts"]["train"]["epoch"] == {"real": 16, "warp": 16}
    assert load(result.directory).config["balance"] == "method"
    card = (result.directory / "MODEL_CARD.md").read_text()
    assert "the rarer class drawn several times" not in card
    assert "Each epoch draws so many faces: 16 real, 16 warp." in card


class Started(Tiny):
    """One that may start from weights."""

    spec = replace(Tiny.spec, pretrained=("imagenet",))


def test_the_file_that_a_run_starts_from_is_named_by_its_hash(workspace, tmp_path, monkeypatch):
    monkeypatch.setitem(registry._DETECTORS, "tiny", Started)
    file = tmp_path / "start.safetensors"
    file.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    result = _train(workspace, epochs=1, pretrained=str(file))
    assert load(result.directory).config["provenance"]["pretrained_sha256"] == sha256
    assert "pretrained_sha256" not in load(_train(workspace, epochs=1).directory).config["provenance"]


@pytest.mark.slow
def test_a_run_does_not_go_on_from_another_file_than_it_began_with(workspace, tmp_path, monkeypatch):
    monkeypatch.setitem(registry._DETECTORS, "tiny", Started)
    file = tmp_path / "start.safetensors"
    file.write_bytes(b"weights")

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(workspace, epochs=1, pretrained=str(file), advance=stop)
    file.write_bytes(b"others")
    with pytest.raises(ConfigMismatch, match=r"start\.safetensors: was replaced since .* began"):
        _train(workspace, epochs=1, pretrained=str(file))
    file.write_bytes(b"weights")
    result = _train(workspace, epochs=1, pretrained=str(file))
    assert load(result.directory).config["provenance"]["pretrained_sha256"]
