from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import cast, get_args

import pytest
from domain_faces import add_reference, reference, rewrite
from small_weights import make_linear_weights

from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.models.checkpoint import CONFIG, LoadedModel, content_id
from ffpipe.pipeline.run_help import run_json, run_text
from ffpipe.pipeline.weights import REFERENCE_HASH, Weights
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings, Kind
from ffpipe.stages.reference_file import REFERENCE, to_bytes

KINDS: tuple[Kind, ...] = get_args(Kind)


def trained_on(kind: Kind) -> Weights:
    return Weights(cast(LoadedModel, None), CropSettings(kind=kind), Thresholds(reason="none"))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_the_kind_of_training_are_scored_without_asking(kind: Kind) -> None:
    assert trained_on(kind).accepts(kind, accept_crops=False) is False


@pytest.mark.parametrize("trained", KINDS)
@pytest.mark.parametrize("given", KINDS)
def test_pictures_of_another_kind_are_refused_unless_accepted_and_then_marked(
    trained: Kind, given: Kind
) -> None:
    if trained == given:
        return
    words = {"face": "margin 1.3", "crop": "ready-made|--cropped", "whole": "whole"}
    with pytest.raises(UsageError, match=words[trained]) as refused:
        trained_on(trained).accepts(given, accept_crops=False)
    assert refused.match(words[given])
    assert refused.match("--accept-crops")
    assert trained_on(trained).accepts(given, accept_crops=True) is True


def test_what_is_taken_when_nothing_is_said() -> None:
    assert {kind: trained_on(kind).inputs(None).kind for kind in KINDS} == {
        "face": "face",
        "crop": "face",
        "whole": "whole",
    }
    assert trained_on("whole").inputs("crop").kind == "crop"


def test_the_ways_have_fingerprints_of_their_own() -> None:
    assert len({trained_on(kind).crop.fingerprint() for kind in KINDS}) == len(KINDS)


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_linear_weights(tmp_path_factory.mktemp("weights") / "a")
    assert Weights.load(folder).reference is None
    assert "None: sharpness" in run_text(Weights.load(folder))
    assert run_json(Weights.load(folder))["reference"] is None
    add_reference(folder)
    return folder


def test_a_reference_is_loaded_with_its_weights_and_told(referring: Path) -> None:
    weights = Weights.load(referring)
    found = weights.reference
    assert found is not None
    assert found.limit == reference().limit
    assert f"Beyond a distance of {found.limit:.3f} a medium is out of domain" in run_text(weights)
    told = json.loads(json.dumps(run_json(weights)))["reference"]
    assert (told["sha256"], told["limit"]["value"]) == (found.id, found.limit)


def test_a_reference_that_is_lost_damaged_or_of_others_is_refused_by_name(
    referring: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    shutil.copytree(referring, folder)
    data = (folder / REFERENCE).read_bytes()
    for content in (data[:-1] + bytes([data[-1] ^ 1]), b"", to_bytes(reference("b" * 64))):
        (folder / REFERENCE).write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{REFERENCE} is damaged"):
            Weights.load(folder)
    (folder / REFERENCE).unlink()
    with pytest.raises(WeightsError, match=rf"{REFERENCE}: cannot be read"):
        Weights.load(folder)
    (folder / REFERENCE).mkdir()
    with pytest.raises(WeightsError, match=rf"{REFERENCE}: cannot be read"):
        Weights.load(folder)


def test_a_reference_of_other_weights_under_a_right_hash_is_refused(tmp_path: Path) -> None:
    folder = make_linear_weights(tmp_path / "a")
    foreign = to_bytes(reference("b" * 64))
    (folder / REFERENCE).write_bytes(foreign)
    config = {**json.loads((folder / CONFIG).read_bytes()), REFERENCE_HASH: content_id(foreign)}
    rewrite(folder, CONFIG, json.dumps(config).encode())
    with pytest.raises(
        WeightsError, match=r"no reference of these weights: it belongs to weights with the sha256 bbbb"
    ):
        Weights.load(folder)
