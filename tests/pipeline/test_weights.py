from __future__ import annotations

from typing import cast

import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.models.checkpoint import LoadedModel
from ffpipe.pipeline.weights import Weights
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings


def trained_on(ready_made: bool) -> Weights:
    return Weights(cast(LoadedModel, None), CropSettings(ready_made=ready_made), Thresholds(reason="none"))


@pytest.mark.parametrize("ready_made", [False, True])
def test_faces_cut_as_in_training_are_scored_without_asking(ready_made: bool) -> None:
    assert trained_on(ready_made).accepts(cropped=ready_made, accept_crops=False) is False


@pytest.mark.parametrize(("ready_made", "words"), [(False, "margin 1.3"), (True, "ready-made")])
def test_faces_cut_otherwise_are_refused_unless_accepted_and_then_marked(
    ready_made: bool, words: str
) -> None:
    weights = trained_on(ready_made)
    with pytest.raises(UsageError, match=f"{words}.*--accept-crops|--accept-crops.*{words}"):
        weights.accepts(cropped=not ready_made, accept_crops=False)
    assert weights.accepts(cropped=not ready_made, accept_crops=True) is True


def test_the_two_ways_have_fingerprints_of_their_own() -> None:
    assert trained_on(False).crop.fingerprint() != trained_on(True).crop.fingerprint()
