"""A calibration beside weights: read with them, and refused where it is damaged or of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calibrations import calibrated, made_calibration
from small_weights import make_linear_weights

from ffpipe.manifests.errors import WeightsError
from ffpipe.manifests.sealed import sealed
from ffpipe.pipeline.calibration.stored import FILE, read_stored
from ffpipe.pipeline.weights import Weights
from ffpipe.stages.crop import CropSettings


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_linear_weights(tmp_path_factory.mktemp("weights"))


def test_weights_come_with_their_calibration(weights: Path) -> None:
    (weights / FILE).unlink(missing_ok=True)
    assert Weights.load(weights).calibration is None
    calibration = calibrated(weights)
    loaded = Weights.load(weights)
    assert loaded.calibration == calibration
    assert loaded.calibration_for(loaded.crop) == calibration
    assert loaded.calibration_for(CropSettings(kind="whole")) is None, (
        "it is of faces that were cut otherwise"
    )


def test_a_calibration_that_is_not_of_these_weights_is_refused(weights: Path) -> None:
    calibrated(weights)
    text = (weights / FILE).read_text()
    (weights / FILE).write_text(text.replace('"temperature": 2.0', '"temperature": 2.5'))
    with pytest.raises(WeightsError, match=r"calibration.json: damaged.*--overwrite"):
        Weights.load(weights)
    assert Weights.load(weights, calibrated=False).calibration is None
    (weights / FILE).write_text(text[:100])
    with pytest.raises(WeightsError, match="damaged"):
        Weights.load(weights)
    stored = json.loads(text)
    stored.pop("content_sha256")
    other = {**stored, "calibration": made_calibration("0" * 64).to_json()}
    other["id"] = made_calibration("0" * 64).id
    (weights / FILE).write_bytes(sealed(other))
    with pytest.raises(WeightsError, match=r"calibrates the weights 0000000000000000, not those beside it"):
        Weights.load(weights)
    (weights / FILE).write_bytes(sealed({**stored, "id": "f" * 16}))
    with pytest.raises(WeightsError, match="another id"):
        Weights.load(weights)
    assert read_stored(weights / "nowhere", "m") is None
