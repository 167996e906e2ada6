from __future__ import annotations

import json

import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.models import list_detectors
from ffpipe.models.errors import PretrainedError
from ffpipe.models.registry import create_detector
from ffpipe.pipeline.recipe_book import RECIPES
from ffpipe.pipeline.recipe_choice import choose_recipe


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


def test_the_papers_settings_are_the_published_ones():
    paper, quick = RECIPES["sfcl-hcmf"]
    figures = (
        paper.epochs,
        paper.batch_size,
        paper.learning_rate,
        paper.weight_decay,
        paper.frames_per_video,
    )
    assert figures == (20, 20, 1e-3, 1e-8, 270)
    assert not paper.options
    assert quick.options["input_size"] == 128
    assert "FaceShifter" in paper.left_out


@pytest.mark.parametrize("model", list_detectors())
def test_every_detector_has_recipes_that_build_and_can_be_stored(model):
    choice = choose_recipe(model, "quick", None, {}, cuda=False, build=create_detector)
    assert json.loads(json.dumps(choice.recipe.to_json()))["name"] == "quick"
