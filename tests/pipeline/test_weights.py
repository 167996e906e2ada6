from __future__ import annotations

from typing import cast, get_args

import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.models.checkpoint import LoadedModel
from ffpipe.pipeline.weights import Weights
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings, Kind

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
