from __future__ import annotations

from dataclasses import replace

from ffpipe.pipeline.recipe_book import RECIPES
from ffpipe.pipeline.recipe_text import describe
from ffpipe.stages.augment import Augmentation

PAPER = RECIPES["fssnet"][0]


def test_a_recipe_is_told_in_words():
    assert describe(PAPER, 252) == {
        "start": "pretrained weights (dinov2)",
        "optimiser": "adamw, learning rate 4e-06 (cosine), weight decay 0.01",
        "batch": "64 faces an update",
        "length": "up to 50 epochs, stopped after 6 without a better validation AUC; the best on validation is kept",
        "faces": "up to 32 frames a video, the rarer class drawn several times",
        "augmentation": "none",
        "network": "input 252 x 252 pixels",
    }


def test_what_is_left_out_momentum_and_options_are_named():
    recipe = replace(
        RECIPES["faclue"][0], options={"input_size": 96, "fae": "local"}, balance=False, patience=None
    )
    told = describe(recipe, 224)
    assert told["optimiser"] == "sgd, learning rate 0.01 (cosine), momentum 0.9, weight decay 0.0001"
    assert told["faces"] == "up to 20 frames a video; without FaceShifter and DeepFakeDetection"
    assert told["network"] == "input 96 x 96 pixels, fae=local"
    assert "stopped" not in told["length"]
    assert told["augmentation"] == "mirrored with probability 0.5, turned upside down with probability 0.5"


def test_the_batch_of_an_update_counts_accumulated_steps_and_workers():
    recipe = replace(PAPER, batch_size=8, accumulate=4, augmentation=Augmentation())
    assert describe(recipe, 252)["batch"] == "32 faces an update: 8 faces x 4 accumulated batches"
    assert describe(recipe, 252, workers=2)["batch"] == (
        "64 faces an update: 8 faces x 4 accumulated batches x 2 workers"
    )
