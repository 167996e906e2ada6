"""Which validation media a page's error rates are of: a newer evaluation's, else those that chose the bars."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_weights import make_tiny_weights
from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.files import MEDIA
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.page.strata import Judged, Rates, Validated, validated
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace

METRICS = {"validation": {"media": {"label": [0, 1], "score": [0.25, 0.75], "face_side": [96, 200.5]}}}


def test_what_training_measured_is_told_where_there_is_no_evaluation(tmp_path: Path) -> None:
    found = validated(tmp_path, "m", ("made",), METRICS)
    assert found == Validated(
        "those that chose the bars", (Judged(False, 0.25, 96), Judged(True, 0.75, 200.5))
    )
    assert found.like(100) == ("96-191 px", [Judged(False, 0.25, 96)])
    assert found.like(None) is None
    assert Rates.of(list(found.media), 0.5) == Rates(1, 0, 1, 1)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"validation": None},
        {"validation": {"media": {"label": [], "score": [], "face_side": []}}},
        {"validation": {"media": {"label": [0], "score": [], "face_side": [1]}}},
        {"validation": {"media": {"label": [0], "score": ["high"], "face_side": [1]}}},
        {"validation": {"media": [1, 2]}},
    ],
)
def test_metrics_that_tell_no_media_are_no_strata(tmp_path: Path, metrics: dict[str, object]) -> None:
    assert validated(tmp_path, "m", ("made",), metrics) is None


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    workspace = Workspace(tmp_path_factory.mktemp("evaluated"))
    clips = [(f"v{number // 2}", Label(number % 2), Split.VAL) for number in range(6)]
    write_dataset(workspace.root / "datasets" / "made", clips)
    run = make_tiny_weights(workspace.root / "models" / "meso4" / "quick-001")
    config = EvaluateConfig.build({"data": "made", "split": "val", "replicates": 100})
    evaluate(str(run), config, workspace, lambda line: None)
    return Weights.load(run)


def test_an_evaluation_of_a_validation_split_comes_first(evaluated: Weights) -> None:
    run, model_id = evaluated.loaded.directory, evaluated.model_id
    found = validated(run, model_id, ("made",), METRICS)
    assert found is not None and found.name == "made-val-001"
    assert sorted(medium.fake for medium in found.media) == [False] * 3 + [True] * 3
    assert all(0 <= medium.score <= 1 and medium.side for medium in found.media)


def test_an_evaluation_of_other_weights_or_without_its_table_is_passed_over(evaluated: Weights) -> None:
    run = evaluated.loaded.directory
    of_training = validated(run / "none", "m", ("made",), METRICS)
    assert validated(run, "other weights", ("made",), METRICS) == of_training
    assert validated(run, evaluated.model_id, ("other data",), METRICS) == of_training
    next(run.glob(f"evaluations/*/{MEDIA}")).unlink()
    assert validated(run, evaluated.model_id, ("made",), METRICS) == of_training
