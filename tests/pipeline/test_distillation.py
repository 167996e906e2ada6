"""A teacher at one quality and its student at another, through the train job: losses, resuming, errors."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from media import recompress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from training_faces import write_dataset
from twin_detectors import Twin, TwinStudent

from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.manifests.records import Label, Split
from ffpipe.models import registry
from ffpipe.models.checkpoint import load
from ffpipe.models.detector import Detector
from ffpipe.pipeline import training_job
from ffpipe.pipeline.config import EvaluateConfig, ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.score import score
from ffpipe.pipeline.teaching import Teaching
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace

FOUR = ("frequency", "spatial", "soft", "hard")


class Statistical(Twin):
    """A teacher that reads D."""

    spec = replace(Twin.spec, name="statistical", needs_sida=True, input_size=48)

    def __init__(self, pretrained=None, **options):
        super().__init__(pretrained, **options)
        self.sida = nn.Linear(2304, 2)

    def forward(self, image, sida=None):
        # 48 pixels read as 32, so that the maps are as large as a twin's.
        self.check_input(image, sida)
        x = nn.functional.interpolate(image, 32)
        maps = self.fused(self.spatial(x) + self.frequency(x))
        return self.head(maps.relu().mean((2, 3))) + self.sida(sida.sign() * sida.abs().log1p())


class Mapless(Twin):
    spec = replace(Twin.spec, name="mapless", prefusion=None, fused=None)


@pytest.fixture(autouse=True, scope="module")
def _detectors():
    with pytest.MonkeyPatch.context() as patch:
        for cls in (Twin, TwinStudent, Statistical, Mapless):
            patch.setitem(registry._DETECTORS, cls.spec.name, cls)
        yield


def _clips(media, part):
    return [(f"{part}{i // 2}", Label(i % 2), part) for i in range(media)]


CLIPS = [*_clips(8, Split.TRAIN), *_clips(4, Split.VAL), *_clips(2, Split.TEST)]


def write_pairs(root, qualities=("c0", "c40"), clips=CLIPS):
    for k, quality in enumerate(qualities):
        write_dataset(
            root / "datasets" / "made",
            clips,
            first=k * len(clips),
            quality=quality,
            pairs="clip",
            coarse=1 + 15 * k,
        )
    return Workspace(root)


def run(workspace, model="twin-kd", say=lambda line: None, advance=None, **settings):
    given = {
        "model": model, "engine": "local", "recipe": "quick", "learning_rate": 1e-2, "pretrained": "none",
        "epochs": 2, "data": ("made",), **settings,
    }  # fmt: skip
    return train(TrainConfig(**given), workspace, say, advance)


@pytest.fixture(scope="module")
def original(tmp_path_factory, _detectors):
    """A workspace with pairs, a trained teacher, and a second one."""
    workspace = write_pairs(tmp_path_factory.mktemp("made"))
    run(workspace, "twin", quality="c0", run="teacher")
    run(workspace, "twin", quality="c0", run="other", seed=3, epochs=1)
    return workspace


@pytest.fixture
def workspace(original, tmp_path):
    shutil.copytree(original.root, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


@pytest.fixture
def teacher(workspace):
    return workspace.model_run("twin", "teacher")


@pytest.fixture
def other(workspace):
    return workspace.model_run("twin", "other")


def test_a_student_is_taught_and_says_by_whom(workspace, teacher):
    said: list[str] = []
    before = {p: p.read_bytes() for p in teacher.iterdir() if p.is_file()}
    result = run(workspace, say=said.append, quality="c40", teacher=teacher)
    loaded = load(result.directory)
    assert loaded.config["data"]["quality"] == "c40"
    assert loaded.config["teacher"] == {
        "run": f"twin/{teacher.name}",
        "detector": "twin",
        "model_id": load(teacher).model_id,
        "quality": "c0",
        "knowledge": "maps+logits",
        "weights": {"features": 2.0, "soft": 100.0, "hard": 1.0, "temperature": 1.0},
        "train_media": [f"{number:032x}" for number in range(8)],
        "train_clips": [f"clip{number}" for number in range(8)],
    }
    card = (result.directory / "MODEL_CARD.md").read_text()
    for text in (
        "## Teacher",
        load(teacher).model_id,
        "c0",
        "maps 2, soft labels 100 at temperature 1, labels 1",
    ):
        assert text in card
    assert any(line.startswith(f"taught by twin in {teacher}") for line in said)
    assert {p: p.read_bytes() for p in before} == before
    _check_four_losses(result, said)


def _check_four_losses(result, said):
    """In the history, on the console, and as curves."""
    for entry in result.metrics["history"]:
        parts = {name: entry[f"train_{name}"] for name in FOUR}
        total = 2 * (parts["frequency"] + parts["spatial"]) + 100 * parts["soft"] + parts["hard"]
        assert entry["train_loss"] == pytest.approx(total, rel=1e-5)
        assert entry["val_loss"] < 10, "validation is the student's own cross-entropy"
    (line,) = (line for line in said if line.startswith("epoch 1"))
    first = result.metrics["history"][0]
    assert all(f"{name} {first[f'train_{name}']:.4g}" in line for name in FOUR)
    events = EventAccumulator(str(result.directory / "tensorboard")).Reload()
    assert {f"train/{name}" for name in FOUR} <= set(events.Tags()["scalars"])


def test_the_teacher_is_frozen_and_evaluates(workspace, teacher, monkeypatch):
    taught: list[Detector] = []
    loading = Teaching.load

    def caught(self):
        taught.append(loading(self))
        return taught[-1]

    monkeypatch.setattr(Teaching, "load", caught)
    run(workspace, quality="c40", teacher=teacher, epochs=1)
    wanted = load(teacher).model.state_dict()
    for model in taught:
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())
        assert all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())
    assert len(taught) > 1


def test_the_teacher_sees_its_own_quality_of_the_same_faces(workspace, teacher, monkeypatch):
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    original = training_job.Distil.__call__

    def spy(self, model, batch):
        seen.append((batch.image, batch.teacher_image))
        return original(self, model, batch)

    monkeypatch.setattr(training_job.Distil, "__call__", spy)
    run(workspace, quality="c40", teacher=teacher, run="seen", epochs=1)
    for image, better in seen:
        student, sharp = (np.round(255 * x.numpy()).astype(int) for x in (image, better))
        assert (sharp // 16 * 16 == student).all()
        assert (sharp != student).any()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_ends_the_same(workspace, teacher, monkeypatch):
    whole = run(workspace, quality="c40", teacher=teacher, run="whole", epochs=3)
    monkeypatch.setattr(training_job, "SAVE_SECONDS", 0.0)

    def interrupt(done, total, text):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(workspace, quality="c40", teacher=teacher, advance=interrupt, epochs=3)
    moved = teacher.with_name("moved")
    shutil.copytree(teacher, moved)
    said: list[str] = []
    # The same teacher under another name is the same run.
    result = run(workspace, say=said.append, quality="c40", teacher=moved, epochs=3)
    assert any(line.startswith("going on with the interrupted run twin-kd/quick-001") for line in said)
    assert result.metrics["history"] == whole.metrics["history"]
    assert load(result.directory).model_id == load(whole.directory).model_id


@pytest.mark.slow
def test_another_teacher_is_another_run(workspace, teacher, other):

    def interrupt(done, total, text):
        raise KeyboardInterrupt

    for folder in (teacher, other):
        with pytest.raises(KeyboardInterrupt):
            run(workspace, quality="c40", teacher=folder, advance=interrupt)
    assert sorted(p.name for p in (workspace.root / "models" / "twin-kd").iterdir()) == [
        "quick-001",
        "quick-002",
    ]


@pytest.mark.parametrize(
    ("knowledge", "names"),
    [("sum", {"sum", "hard"}), ("fused", {"fused", "hard"}), ("maps", {"frequency", "spatial", "hard"})],
)
def test_knowledge_is_an_option_of_the_student(workspace, teacher, knowledge, names):
    result = run(workspace, quality="c40", teacher=teacher, options={"knowledge": knowledge}, epochs=1)
    (entry,) = result.metrics["history"]
    assert {name.removeprefix("train_") for name in entry if name.startswith("train_")} == names | {"loss"}
    assert load(result.directory).config["teacher"]["knowledge"] == knowledge


def test_any_detector_with_maps_can_be_taught_by_any_that_has_such_maps(workspace):
    teacher = run(workspace, "statistical", quality="c0", epochs=1).directory
    result = run(workspace, "twin", quality="c40", teacher=teacher, epochs=1)
    config = load(result.directory).config
    assert (config["detector"], config["teacher"]["detector"]) == ("twin", "statistical")
    assert {f"train_{name}" for name in FOUR} <= result.metrics["history"][0].keys()


@pytest.mark.slow
def test_a_run_is_named_by_folder_weights_or_place_in_the_workspace(workspace, teacher):
    for k, name in enumerate((teacher / "model.safetensors", f"twin/{teacher.name}")):
        result = run(workspace, quality="c40", teacher=name, epochs=1, run=f"r{k}")
        assert load(result.directory).config["teacher"]["model_id"] == load(teacher).model_id


@pytest.mark.slow
def test_a_teacher_of_the_same_quality_is_said_aloud(workspace, teacher):
    said: list[str] = []
    result = run(workspace, quality="c0", teacher=teacher, say=said.append, epochs=1)
    note = "teacher and student both read c0: they see the same pixels"
    assert note in said
    assert note in (result.directory / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_teacher_that_saw_the_validation_clips_is_said_aloud(workspace, teacher, tmp_path):
    said: list[str] = []
    run(workspace, quality="c40", teacher=teacher, say=said.append, epochs=1)
    assert not any("flatter" in line for line in said)
    # In the teacher's time what validates the student was for training.
    before, now = (
        write_pairs(tmp_path / part, clips=[*_clips(2, part), *_clips(8, Split.TRAIN)[2:]])
        for part in (Split.TRAIN, Split.VAL)
    )
    early = run(before, "twin", quality="c0", epochs=1).directory
    run(now, quality="c40", teacher=early, say=said.append, epochs=1)
    assert any(
        "the teacher was trained on 2 of the 2 clips that validate the student" in line for line in said
    )


@pytest.mark.slow
def test_what_only_the_teacher_saw_is_no_test_of_the_student(tmp_path):
    """In the teacher's time the first two clips were for training; now they are the student's test split."""
    before, now = (
        write_pairs(tmp_path / part, clips=[*_clips(2, part), *_clips(10, Split.TRAIN)[2:]])
        for part in (Split.TRAIN, Split.TEST)
    )
    early = run(before, "twin", quality="c0", epochs=1).directory
    student = run(now, quality="c40", teacher=early, epochs=1).directory
    settings = {"data": "made", "replicates": 100}
    with pytest.raises(
        UsageError, match=r"its teacher was trained on other copies \(c0\) of 2 media"
    ) as caught:
        evaluate(str(student), EvaluateConfig(**settings, quality="c40"), now, lambda line: None)
    assert "the run was trained" not in str(caught.value)
    with pytest.raises(UsageError, match=r"its teacher was trained on 2 media of --split test of made"):
        evaluate(str(student), EvaluateConfig(**settings, quality="c0"), now, lambda line: None)


def test_a_job_with_a_teacher_can_be_sent_to_a_worker(workspace, teacher, monkeypatch):
    jobs: list[training_job.TrainingJob] = []
    original = training_job.work

    def catch(job, *more):
        jobs.append(pickle.loads(pickle.dumps(job)))
        return original(jobs[-1], *more)

    monkeypatch.setattr("ffpipe.pipeline.train.work", catch)
    run(workspace, quality="c40", teacher=teacher, epochs=1)
    assert jobs[0].teaching is not None
    assert jobs[0].teaching.folder == teacher


# ---------------------------------------------------------------- what is refused


def test_a_student_without_a_teacher_is_told_both_commands(workspace):
    with pytest.raises(UsageError) as caught:
        run(workspace, quality="c40")
    text = str(caught.value)
    assert "`ffpipe train --model twin --quality c0`" in text
    assert "`ffpipe train --model twin-kd --teacher RUN --quality c40`" in text
    assert not (workspace.root / "models" / "twin-kd").exists()


def test_a_teacher_that_is_none_is_refused(workspace, teacher, tmp_path):
    with pytest.raises(UsageError, match=r"--teacher .*nowhere: no such folder"):
        run(workspace, quality="c40", teacher=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="not a finished model"):
        run(workspace, quality="c40", teacher=tmp_path / "empty")
    weights = teacher / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="damaged"):
        run(workspace, quality="c40", teacher=teacher)


def test_a_teacher_replaced_meanwhile_is_refused(workspace, teacher, other):
    replaced: list[int] = []

    def replace_teacher(line):
        if line.startswith("new run twin-kd"):
            shutil.copytree(other, teacher, dirs_exist_ok=True)
            replaced.append(1)

    with pytest.raises(WeightsError, match="was replaced"):
        run(workspace, quality="c40", teacher=teacher, say=replace_teacher)
    assert replaced


def test_detectors_without_maps_can_neither_teach_nor_learn(workspace, teacher):
    for name in ("mapless", "meso4"):
        with pytest.raises(
            UsageError, match=f"student {name} exposes no maps before a fusion.*sfcl-hcmf.*twin, twin-kd"
        ):
            run(workspace, name, quality="c40", teacher=teacher)
    mapless = run(workspace, "mapless", quality="c0", epochs=1).directory
    with pytest.raises(UsageError, match=r"--teacher .*: teacher mapless exposes no maps"):
        run(workspace, quality="c40", teacher=mapless)
    assert not (workspace.root / "models" / "twin-kd").exists()


def test_maps_of_other_shapes_are_noticed_before_any_work(workspace):
    wide = run(workspace, "twin", quality="c0", options={"width": 6}, epochs=1).directory
    with pytest.raises(UsageError, match=r"map is \(2, 6, 8, 8\), the student's \(2, 4, 8, 8\)"):
        run(workspace, quality="c40", teacher=wide)
    assert not (workspace.root / "models" / "twin-kd").exists()


def test_a_teacher_of_other_crops_is_refused(workspace, teacher, tmp_path):
    job = workspace.root / "datasets" / "made" / "job.json"
    stored = json.loads(job.read_text())
    from ffpipe.stages.crop import CropSettings

    stored["configuration"]["store_size"] = 256
    stored["crop"] = CropSettings(store_size=256).fingerprint()
    job.write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"--teacher .*: it reads faces cut with the settings"):
        run(workspace, quality="c40", teacher=teacher)


def test_a_teacher_of_no_quality_is_refused(tmp_path, workspace):
    write_dataset(tmp_path / "plain" / "datasets" / "made", CLIPS)
    plain = run(Workspace(tmp_path / "plain"), "twin", epochs=1).directory
    with pytest.raises(UsageError, match="names no quality"):
        run(workspace, quality="c40", teacher=plain)


@pytest.mark.slow
def test_faces_without_a_pair_are_counted_and_shown(tmp_path):
    """c0 lacks two of the training clips; pair ids are numbered from the third clip on."""
    root = tmp_path / "datasets" / "made"
    write_dataset(root, CLIPS, quality="c40", pairs="clip", first=0)
    write_dataset(root, CLIPS[:6], quality="c0", pairs="clip", first=100)
    workspace = Workspace(tmp_path)
    teacher = run(workspace, "twin", quality="c0", epochs=1).directory
    with pytest.raises(UsageError) as caught:
        run(workspace, quality="c40", teacher=teacher)
    text = str(caught.value)
    assert "8 of 32 training faces have no pair at c0" in text
    assert text.count("no such copy of the clip") == 3
    assert "/clips/6-train3.mp4, frame 0" in text
    assert "extracted again" in text
    assert not (workspace.root / "models" / "twin-kd").exists()
    said: list[str] = []
    result = run(workspace, quality="c40", teacher=teacher, unpaired="drop", epochs=1, say=said.append)
    assert result.metrics["counts"]["train"]["real_faces"] == 12
    assert "left out by --unpaired drop: 8 faces without a pair at c0" in said
    assert "8 faces without a pair" in (result.directory / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_boxes_that_differ_are_no_pairs(tmp_path):
    root = tmp_path / "datasets" / "made"
    write_dataset(root, CLIPS, quality="c40", pairs="clip")
    write_dataset(root, CLIPS, quality="c0", pairs="clip", first=100, frames=3)
    workspace = Workspace(tmp_path)
    teacher = run(workspace, "twin", quality="c0", epochs=1).directory
    with pytest.raises(UsageError, match=r"8 of 32 .*frame 30 \(no face of this box there\)"):
        run(workspace, quality="c40", teacher=teacher)


# ---------------------------------------------------------------- real detectors

SMALL = {"input_size": 64, "backbone": "xception-small"}


def test_sffb_teaches_its_student(workspace):
    settings = {"options": SMALL, "epochs": 1, "limit": 8, "batch_size": 4}
    teacher = run(workspace, "sffb", quality="c0", **settings).directory
    result = run(workspace, "sffb-kd", quality="c40", teacher=teacher, **settings)
    assert {f"train_{name}" for name in FOUR} <= result.metrics["history"][0].keys()
    assert load(result.directory).config["options"]["knowledge"] == "maps+logits"


@pytest.mark.ray
@pytest.mark.slow
def test_ray_train_gives_the_student_of_the_loop_in_process(workspace, ray_cluster):
    settings = {"options": SMALL, "epochs": 1, "limit": 8, "batch_size": 4}
    teacher = run(workspace, "sffb", quality="c0", **settings).directory
    there = run(workspace, "sffb-kd", quality="c40", teacher=teacher, **{**settings, "engine": "ray"})
    torch.set_num_threads(1)
    here = run(workspace, "sffb-kd", quality="c40", teacher=teacher, **settings)
    assert there.metrics["history"] == here.metrics["history"]


@pytest.mark.slow
@pytest.mark.data
def test_the_whole_way_on_real_clips(clips, tmp_path):
    """Real clips re-encoded at rate factors 23 and 40: a teacher on the one, a student on the other, and a verdict."""
    tree = tmp_path / "FF"
    sources = {
        "original_sequences/youtube": sorted((clips / "real").glob("*.mp4"))[:4],
        "manipulated_sequences/Deepfakes": sorted((clips / "fake").glob("*.mp4"))[:4],
    }
    for place, found in sources.items():
        assert len(found) == 4
        for number, clip in enumerate(found):
            name = f"{number:03d}.mp4" if "youtube" in place else f"{number:03d}_{number + 500:03d}.mp4"
            for crf in (23, 40):
                recompress(clip, tree / place / f"c{crf}" / "videos" / name, crf)
    workspace, said = Workspace(tmp_path / "ws"), []
    config = ExtractConfig.build({"engine": "local", "workers": 0, "frames": 8})
    extract(tree, config, workspace, said.append)
    assert any("were cut with the boxes of a better quality" in line for line in said)
    settings = {"options": SMALL, "learning_rate": 1e-3, "data": ("FF",), "epochs": 4}
    teacher = run(workspace, "sffb", quality="c23", **settings).directory
    student = run(workspace, "sffb-kd", quality="c40", teacher=teacher, say=said.append, **settings)
    history = student.metrics["history"]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    video = tree / "original_sequences/youtube/c40/videos/000.mp4"
    scoring = ScoreConfig.build({"engine": "local", "workers": 0, "frames": 4, "weights": student.directory})
    (row,) = score([video], scoring, workspace, say=said.append).report.to_pylist()
    assert 0 <= row["score"] <= 1
    assert row["status"] == "ok"
