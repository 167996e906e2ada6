"""Whole images from a tree like ForenSynths through the main job: taken pixel by pixel, never resized, measured per
generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from image_tree import make_tree, picture
from PIL import Image
from torch import nn

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.shards import ShardGroup
from ffpipe.models import checkpoint, registry
from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo
from ffpipe.pipeline.config import EvaluateConfig, ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.extract import ExtractResult, extract
from ffpipe.pipeline.score import score
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings, decode_crop
from ffpipe.stages.evaluation import METHOD
from ffpipe.stages.infer import probability
from ffpipe.stages.statistics import face_sida
from ffpipe.stages.window import window

SIZE = 32
INLINE: dict[str, Any] = {"engine": "local", "workers": 0}


class Grain(Detector):
    """Looks at differences of neighbours alone, so that it learns a trace of upsampling within seconds."""

    spec = DetectorSpec(
        name="grain",
        summary="a test's detector",
        paper="none",
        input_size=SIZE,
        needs_sida=False,
        options={"input_size": OptionInfo(SIZE, range(8, 129), "side of the image")},
    )

    def __init__(self, pretrained=None, **options):
        super().__init__()
        self.options = self.spec.resolve(options)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 2)

    def forward(self, image, sida=None):
        self.check_input(image, sida)
        down, across = image.diff(dim=2).diff(dim=2), image.diff(dim=3).diff(dim=3)
        energy = torch.cat([d.abs().mean((2, 3)) for d in (down, across)], 1)
        return self.head(self.norm(energy.clamp_min(1e-6).log()))


@pytest.fixture(scope="module", autouse=True)
def _grain():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "grain", Grain)
        yield


def run_extract(
    source: Path, workspace: Workspace, said: list[str] | None = None, **settings: Any
) -> ExtractResult:
    config = ExtractConfig.build({**INLINE, **settings})
    return extract(source, config, workspace, (said if said is not None else []).append)


def run_train(workspace: Workspace, said: list[str] | None = None, **settings: Any):
    given = {"model": "grain", "engine": "local", "recipe": "quick", "data": ("tree",), **settings}
    return train(TrainConfig(**given), workspace, (said if said is not None else []).append)


def faces_of(result: ExtractResult) -> pd.DataFrame:
    group = ShardGroup(result.root, "media", ["faces"])
    media = group.read("media", ["media_id", "path", "label", "split", "method", "subset"]).to_pandas()
    return group.read("faces").to_pandas().merge(media, on="media_id").set_index("path")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("images") / "tree")


@pytest.fixture(scope="module")
def workspace(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("ws"))


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def extracted(tree: Path, workspace: Workspace, said: list[str]) -> ExtractResult:
    return run_extract(tree, workspace, said, only=("train/*/horse", "val/*", "test"))


@pytest.fixture(scope="module")
def trained(extracted: ExtractResult, workspace: Workspace) -> Path:
    return run_train(workspace, epochs=12, batch_size=8, learning_rate=0.05).directory


def test_images_are_stored_whole_with_their_statistics_and_their_set(
    tree: Path, extracted: ExtractResult, said: list[str]
) -> None:
    faces = faces_of(extracted)
    assert len(faces) == extracted.faces == 2 * (15 + 10 + 10 + 10)
    assert set(faces["detector"]) == {"whole"}
    assert any("every frame whole, without looking for faces" in line for line in said)
    for path, face in faces.iterrows():
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        assert np.array_equal(decode_crop(face["crop"]), pixels)
        assert face["crop_side"] == face["stored_side"] == max(pixels.shape[:2])
        np.testing.assert_array_equal(face_sida([pixels])[0], np.asarray(face["sida"], np.float32))
    relative = {str(Path(path).relative_to(tree).parent): face for path, face in faces.iterrows()}
    real, fake = relative["test/biggan/0_real"], relative["test/progan/horse/1_fake"]
    assert (real["subset"], real["label"]) == ("biggan", 0)
    assert pd.isna(real["method"])
    assert (fake["subset"], fake["method"], fake["label"]) == ("progan", "progan", 1)
    job = json.loads((extracted.root / "job.json").read_text())
    assert job["crop"] == CropSettings(kind="whole").fingerprint()


def test_only_what_matches_is_taken_and_more_can_be_added(
    tree: Path, workspace: Workspace, extracted: ExtractResult, said: list[str]
) -> None:
    assert any(line == "--only: 90 of 94 files are taken" for line in said)
    with pytest.raises(UsageError, match="'train/\\*/zebra' matches no file or folder"):
        run_extract(tree, workspace, only=("train/*/horse", "train/*/zebra"), name="other")
    again = run_extract(tree, workspace, only=("train/*/horse",))
    assert (sum(again.statuses.values()), again.faces) == (30, extracted.faces), "nothing is done twice"


def test_too_small_an_image_gets_its_row_and_reason(tmp_path: Path) -> None:
    for kind in ("real", "fake"):
        (tmp_path / "in" / kind).mkdir(parents=True)
    picture(0, (15, 40), None).save(tmp_path / "in/real/thin.png")
    picture(1, (16, 16), None).save(tmp_path / "in/fake/block.png")
    result = run_extract(tmp_path / "in", Workspace(tmp_path / "ws"), whole=True)
    media = ShardGroup(result.root, "media", ["faces"]).read("media").to_pandas()
    thin = media[media["path"].str.endswith("thin.png")].iloc[0]
    assert (thin["status"], thin["reason"]) == (
        "no_face",
        "no frame has 16 x 16 pixels, the least that is looked at",
    )
    assert result.faces == 1


def test_the_model_says_that_it_reads_whole_images(trained: Path) -> None:
    loaded = checkpoint.load(trained)
    assert loaded.config["crop"]["kind"] == "whole"
    assert loaded.config["fit"] == "crop"
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"whole images, never resized: {SIZE} x {SIZE} pixels" in card
    assert "was extracted" not in card, "still images have no more frames to ask for"


def test_it_learns_and_is_measured_per_generator_against_that_generator_s_reals(
    trained: Path, workspace: Workspace
) -> None:
    result = evaluate(str(trained), EvaluateConfig(data="tree"), workspace, [].append)
    rows = {row.name: row for row in result.rows if row.kind == METHOD}
    assert list(rows) == ["all", "biggan", "progan", "mean"]
    assert [name for name, row in rows.items() if row.note] == ["all"]
    assert {row.level for row in result.rows} == {"image"}
    assert (rows["progan"].n_real, rows["progan"].n_fake, rows["all"].n_real) == (10, 10, 20)
    assert rows["progan"].figures["average_precision"].value > 0.95
    assert rows["progan"].figures["auc"].low > 0.5
    scores = pd.read_parquet(result.directory / "scores.parquet")
    own = scores[scores["subset"] == "biggan"]
    assert rows["biggan"].figures["accuracy"].value == pytest.approx(
        ((own["score"] >= 0.5) == (own["label"] == 1)).mean()
    )
    mean = np.mean([rows[name].figures["auc"].value for name in ("biggan", "progan")])
    assert rows["mean"].figures["auc"].value == pytest.approx(mean)


def test_scores_are_of_the_centre_of_untouched_pixels(
    trained: Path, tree: Path, workspace: Workspace
) -> None:
    folder, lines = tree / "test" / "progan" / "horse" / "1_fake", []
    config = ScoreConfig.build({**INLINE, "weights": trained, "arithmetic": "float32"})
    result = score([folder], config, workspace, say=lines.append)
    assert any("every frame whole" in line for line in lines)
    assert not any("mtcnn" in line for line in lines)
    model = checkpoint.load(trained).model
    for row in result.report.to_pylist():
        with Image.open(row["path"]) as image:
            centre = window(np.array(image.convert("RGB")), SIZE)
        with torch.inference_mode():
            logits = model(torch.from_numpy(centre).permute(2, 0, 1)[None].float() / 255)[0]
        expected = probability((logits[1] - logits[0])[None].numpy())[0]
        assert row["score"] == pytest.approx(expected, abs=1e-5)
        assert row["status"] == "ok"
        assert row["crops_accepted"] is False
        assert "face" not in row["reason"].lower().split(";")[0]
    single = evaluate(
        str(trained), EvaluateConfig(data="tree", arithmetic="float32"), workspace, [].append
    ).directory
    stored = pd.read_parquet(single / "scores.parquet").set_index("path")["score"]
    for row in result.report.to_pylist():
        assert row["score"] == pytest.approx(stored[row["path"]], abs=1e-6), "evaluate scores as score does"


def test_face_crops_are_refused_by_weights_of_whole_images_unless_accepted(
    trained: Path, tree: Path, workspace: Workspace
) -> None:
    image = next((tree / "test/biggan/0_real").iterdir())
    with pytest.raises(UsageError, match="whole images.*--accept-crops"):
        score(
            [image],
            ScoreConfig.build({**INLINE, "weights": trained, "cropped": True}),
            workspace,
            say=[].append,
        )
    accepted = {**INLINE, "weights": trained, "cropped": True, "accept_crops": True}
    row = score([image], ScoreConfig.build(accepted), workspace, say=[].append).report.to_pylist()[0]
    assert row["crops_accepted"] is True


def test_whole_images_are_no_faces(tree: Path, workspace: Workspace, extracted: ExtractResult) -> None:
    run_extract(tree / "val" / "progan", workspace, cropped=True, dataset="forensynths", name="crops")
    with pytest.raises(UsageError, match="different crop settings"):
        run_train(workspace, data=("tree", "crops"))


@pytest.mark.slow
def test_fssnet_goes_the_same_way(extracted: ExtractResult, workspace: Workspace) -> None:
    options = {"input_size": 56, "backbone": "vit-tiny"}
    run = run_train(
        workspace, model="fssnet", options=options, epochs=1, batch_size=8, limit=16, pretrained="none"
    ).directory
    result = evaluate(f"fssnet/{run.name}", EvaluateConfig(data="tree", replicates=100), workspace, [].append)
    assert [row.name for row in result.rows if row.kind == METHOD] == ["all", "biggan", "progan", "mean"]
    assert all(row.figures["average_precision"].value is not None for row in result.rows)
