from __future__ import annotations

import pytest

from ffpipe.models import detector_info, list_detectors
from ffpipe.pipeline.recipe_book import RECIPES, recipes_of
from ffpipe.stages.augment import Augmentation

every_detector = pytest.mark.parametrize("name", list_detectors())


def test_every_detector_has_recipes_in_the_book():
    assert set(list_detectors()) <= set(RECIPES)


def test_the_book_names_no_detector_that_does_not_exist():
    assert set(RECIPES) <= set(list_detectors())


def test_another_detector_gets_house_settings_that_say_so():
    paper, quick = recipes_of("nonesuch")
    assert (paper.name, quick.name) == ("paper", "quick")
    assert "house settings" in paper.summary
    assert quick.pretrained is None


@every_detector
def test_the_options_and_weights_of_both_recipes_are_the_detectors(name: str):
    spec = detector_info(name)
    for recipe in RECIPES[name]:
        resolved = spec.resolve(recipe.options)
        assert recipe.options.items() <= resolved.items(), "values are of their own type already"
        assert recipe.pretrained in (None, *spec.pretrained)


@every_detector
def test_the_paper_is_at_the_papers_size_and_quick_at_most_128_pixels(name: str):
    spec, (paper, quick) = detector_info(name), RECIPES[name]
    assert (paper.name, quick.name) == ("paper", "quick")
    assert not paper.options
    assert int(spec.resolve(quick.options)["input_size"]) <= 128
    assert quick.pretrained is None
    assert quick.accumulate == 1
    assert quick.epochs <= paper.epochs


#: As printed: optimiser, learning rate, momentum, weight decay, schedule, batch of an update, epochs, patience,
#: frames a video, weights. None where the paper prints nothing.
PRINTED = {
    "sfcl-hcmf": ("adam", 1e-3, None, 1e-8, None, 20, 20, None, 270, "imagenet"),
    "sffb": ("adam", 2e-4, None, None, None, 32, None, None, 50, "imagenet"),
    "sffb-kd": ("adam", 2e-4, None, None, None, 32, None, None, 50, None),
    "faclue": ("sgd", 1e-2, 0.9, 1e-4, "cosine", 32, None, None, 20, None),
    "fssnet": ("adamw", 4e-6, None, None, "cosine", 64, 50, 6, None, "dinov2"),
    "f3net": ("sgd", 2e-3, 0.9, None, "cosine", 128, None, None, 270, "imagenet"),
    "meso4": ("adam", 1e-3, None, None, None, 75, None, None, None, None),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_paper_prints_is_in_its_recipe(name: str):
    paper = RECIPES[name][0]
    found = (
        paper.optimiser,
        paper.learning_rate,
        paper.momentum,
        paper.weight_decay,
        paper.schedule,
        paper.batch_size * paper.accumulate,
        paper.epochs,
        paper.patience,
        paper.frames_per_video,
        paper.pretrained,
    )
    assert [f for f, p in zip(found, PRINTED[name], strict=True) if p is not None] == [
        p for p in PRINTED[name] if p is not None
    ]


def test_augmentation_is_what_the_papers_name():
    def named(name: str) -> set[str]:
        augmentation, none = RECIPES[name][0].augmentation, Augmentation()
        fields = Augmentation.__dataclass_fields__
        return {field for field in fields if getattr(augmentation, field) != getattr(none, field)}

    assert named("sfcl-hcmf") == {"horizontal_flip"}
    colour = {"brightness", "contrast", "saturation", "hue"}
    assert named("sffb") == named("sffb-kd") == {"horizontal_flip", "grayscale", "jitter"} | colour
    assert named("faclue") == {"horizontal_flip", "vertical_flip"}
    assert named("fssnet") == named("sida-linear") == set()


def test_a_student_starts_from_random_weights_and_is_trained_as_its_teacher_is():
    teacher, student = RECIPES["sffb"][0], RECIPES["sffb-kd"][0]
    assert student.pretrained is None
    assert (student.augmentation, student.epochs, student.batch_size) == (
        teacher.augmentation,
        teacher.epochs,
        teacher.batch_size,
    )
