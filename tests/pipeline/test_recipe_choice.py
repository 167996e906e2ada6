from __future__ import annotations

import dataclasses
import json

import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.models import list_detectors
from ffpipe.models.errors import PretrainedError
from ffpipe.models.registry import create_detector
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.recipe_book import RECIPES
from ffpipe.pipeline.recipe_choice import adjust, choose_recipe
from ffpipe.pipeline.recipes import Recipe
from ffpipe.stages.augment import Augmentation


class Builder:
    """Stands in for create_detector: notes what is built, and has no weights where told so."""

    def __init__(self, have_weights: bool) -> None:
        self.have_weights = have_weights
        self.built: list[tuple[object, dict]] = []

    def __call__(self, name, pretrained=None, **options):
        self.built.append((pretrained, options))
        if pretrained is not None and not self.have_weights:
            raise PretrainedError("ImageNet weights are not cached and the hub cannot be reached")


def _choose(asked="auto", pretrained=None, cuda=False, weights=False, **options):
    return choose_recipe("sfcl-hcmf", asked, pretrained, options, cuda, Builder(weights))


def test_auto_takes_the_paper_where_cuda_is_present_and_weights_load():
    choice = _choose(cuda=True, weights=True)
    assert (choice.recipe.name, choice.recipe.pretrained) == ("paper", "imagenet")
    assert choice.line.startswith("recipe paper (")
    assert "weights load" in choice.line


def test_auto_takes_quick_without_cuda_and_tries_no_download():
    builder = Builder(have_weights=True)
    choice = choose_recipe("sfcl-hcmf", "auto", None, {}, cuda=False, build=builder)
    assert choice.recipe.name == "quick"
    assert "no CUDA device" in choice.line
    assert [pretrained for pretrained, _ in builder.built] == [None]


def test_auto_takes_quick_where_weights_cannot_be_had_and_says_so():
    choice = _choose(cuda=True, weights=False)
    assert choice.recipe.name == "quick"
    assert "not cached" in choice.reason


def test_the_paper_by_name_stops_without_weights_and_names_the_option():
    with pytest.raises(UsageError, match=r"--pretrained FILE.*none"):
        _choose("paper", cuda=True, weights=False)


def test_the_paper_by_name_runs_from_random_weights_where_they_are_asked_for():
    assert _choose("paper", "none").recipe.pretrained is None


def test_a_weights_file_that_cannot_be_used_is_an_error_under_auto_too(tmp_path):
    for cuda in (True, False):
        with pytest.raises(UsageError):
            _choose(pretrained=str(tmp_path / "none.safetensors"), cuda=cuda)


def test_a_weights_file_is_named_by_its_full_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _choose(pretrained="w.safetensors", weights=True).recipe.pretrained == str(
        tmp_path / "w.safetensors"
    )


def test_unknown_detectors_and_options_are_refused_with_what_there_is():
    with pytest.raises(UsageError, match="sfcl-hcmf"):
        choose_recipe("nonesuch", "auto", None, {}, cuda=False)
    with pytest.raises(UsageError, match="backbone"):
        _choose(nonesuch=3)


def test_the_users_options_go_over_the_recipes():
    assert _choose(input_size=64).recipe.options["input_size"] == 64


def _adjusted(model="sfcl-hcmf", recipe="paper", overrides=(), **given):
    config = TrainConfig.build({"model": model, **given}, None, overrides)
    paper, quick = RECIPES[model]
    return adjust(paper if recipe == "paper" else quick, config)


def test_a_recipe_stays_as_it_is_where_nothing_is_given():
    for model, recipes in RECIPES.items():
        for recipe in recipes:
            assert adjust(recipe, TrainConfig(model=model)) == recipe


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("batch-size=8", "batch_size", 8),
        ("accumulate=4", "accumulate", 4),
        ("learning_rate=0.5", "learning_rate", 0.5),
        ("weight-decay=0", "weight_decay", 0.0),
        ("optimiser=adamw", "optimiser", "adamw"),
        ("schedule=cosine", "schedule", "cosine"),
        ("patience=2", "patience", 2),
        ("frames-per-video=7", "frames_per_video", 7),
        ("augmentation.vertical_flip=0.25", "augmentation", Augmentation(0.5, 0.25)),
    ],
)
def test_every_setting_goes_over_the_recipes_and_leaves_the_others(override, name, value):
    changed = _adjusted(overrides=[override])
    assert getattr(changed, name) == value
    assert getattr(changed, name) != getattr(RECIPES["sfcl-hcmf"][0], name)
    assert (
        dataclasses.replace(changed, **{name: getattr(RECIPES["sfcl-hcmf"][0], name)})
        == RECIPES["sfcl-hcmf"][0]
    )


def test_every_field_of_a_recipe_that_is_no_protocol_can_be_changed():
    fixed = {"name", "summary", "balance", "left_out"}
    names = {field.name for field in dataclasses.fields(Recipe)} - fixed
    assert names <= set(TrainConfig.model_fields)


def test_patience_never_takes_a_papers_early_stop_away():
    assert RECIPES["fssnet"][0].patience == 6
    assert _adjusted("fssnet", overrides=["patience=never"]).patience is None


def test_momentum_belongs_to_sgd():
    assert _adjusted(overrides=["optimiser=sgd", "momentum=0.5"]).momentum == 0.5
    assert _adjusted("faclue", overrides=["optimiser=adam"]).momentum == 0
    with pytest.raises(UsageError, match=r"--momentum 0\.5.*adam"):
        _adjusted(overrides=["momentum=0.5"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("augmentation.shear=1", "augmentation.shear: there are horizontal_flip, vertical_flip"),
        ("augmentation.hue=0.9", "a number from 0 to 0.5"),
        ("patience=0", "--patience 0"),
        ("patience=soon", "'never'"),
        ("accumulate=0", "--accumulate 0"),
        ("optimiser=lion", "'adam', 'adamw' or 'sgd'"),
        ("momentum=1", "--momentum 1"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_allowed(override, words):
    with pytest.raises(UsageError) as caught:
        _adjusted(overrides=[override])
    assert words in caught.value.message


def test_a_recipe_from_random_weights_is_the_papers_where_cuda_is_present(monkeypatch):
    monkeypatch.setitem(
        RECIPES, "sfcl-hcmf", (dataclasses.replace(RECIPES["sfcl-hcmf"][0], pretrained=None),) * 2
    )
    for pretrained in (None, "none"):
        choice = _choose(pretrained=pretrained, cuda=True)
        assert choice.recipe.name == "paper"
        assert "no pretrained weights are needed" in choice.reason


def test_auto_with_random_weights_takes_quick_where_the_paper_starts_from_others():
    choice = _choose(pretrained="none", cuda=True)
    assert choice.recipe.name == "quick"
    assert "random weights were asked for" in choice.reason


def test_a_student_that_is_to_start_from_published_weights_gets_them():
    def choose(**options):
        return choose_recipe("sffb-kd", "paper", None, options, cuda=True, build=Builder(have_weights=True))

    assert choose().recipe.pretrained is None
    assert choose(student_init="imagenet").recipe.pretrained == "imagenet"
    with pytest.raises(UsageError, match="--pretrained none contradicts student_init=imagenet"):
        choose_recipe("sffb-kd", "paper", "none", {"student_init": "imagenet"}, cuda=True)


@pytest.mark.parametrize(("asked", "cuda"), [("quick", False), ("auto", False), ("auto", True)])
def test_options_that_do_not_go_together_are_a_usage_error(asked, cuda):
    options = {"backbone": "vit-tiny", "train_blocks": 12}
    with pytest.raises(UsageError, match=r"--model fssnet.*train_blocks=12: vit-tiny has 4 blocks"):
        choose_recipe("fssnet", asked, "none" if cuda else None, options, cuda=cuda)


@pytest.mark.parametrize("model", list_detectors())
def test_every_detector_has_recipes_that_build_and_can_be_stored(model):
    choice = choose_recipe(model, "quick", None, {}, cuda=False, build=create_detector)
    assert json.loads(json.dumps(choice.recipe.to_json()))["name"] == "quick"
