from __future__ import annotations

import json

import pytest
import torch
from detector_cases import CASES

from ffpipe.models import detector_info, list_detectors
from ffpipe.pipeline import model_help
from ffpipe.pipeline.recipe_book import recipes_of

every_detector = pytest.mark.parametrize("name", list_detectors())


@every_detector
def test_every_detector_is_described_whole(name: str):
    text = model_help.model_text(name, 120)
    spec = detector_info(name)
    words = " ".join(text.split())
    assert " ".join(spec.paper.split()) in words
    assert f"{spec.input_size} x {spec.input_size}" in words
    for key, option in spec.options.items():
        assert f"\n  {key}" in text
        assert option.help in words
        assert f"[default: {option.default}]" in words
        assert isinstance(option.allowed, range) or all(value in words for value in option.allowed)
    for recipe in recipes_of(name):
        assert f"Recipe {recipe.name} (--recipe {recipe.name}): {recipe.summary}" in words
        assert f"learning rate {recipe.learning_rate:g}" in words
    assert all(layer in words for layer in spec.gradcam_layers)
    assert ("cannot be distilled" in words) == (spec.prefusion is None)
    if spec.prefusion:
        fused = f", fused by {spec.fused}" if spec.fused else ""
        assert f"{' and '.join(spec.prefusion)}{fused}; distillation compares them" in words
    assert "None" not in words


@every_detector
@pytest.mark.parametrize("columns", [60, 80, 120, 300])
def test_no_line_is_wider_than_the_window_or_than_reads_well(name: str, columns: int):
    # A file's path or a module's name cannot be broken; nothing else may stand out.
    lines = model_help.model_text(name, columns).splitlines()
    assert max(len(line) for line in lines) <= min(columns, model_help.MOST_COLUMNS)
    assert all(line == line.rstrip() for line in lines)


def test_the_list_has_a_line_for_each_detector():
    text = model_help.list_text(100)
    for name in list_detectors():
        assert f"  {name} " in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert [entry["name"] for entry in model_help.list_json()] == list_detectors()


def test_frozen_parameters_do_not_count_as_trained(monkeypatch: pytest.MonkeyPatch):
    def half_frozen(name: str) -> torch.nn.Module:
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, bias=False))
        model[0].requires_grad_(False)
        return model

    monkeypatch.setattr(model_help, "create_detector", half_frozen)
    assert model_help.size_of("half frozen") == model_help.Size(parameters=24, trained=8)


@every_detector
def test_programs_get_the_same_as_json(name: str):
    facts = json.loads(json.dumps(model_help.model_json(name)))
    spec = detector_info(name)
    assert set(facts["options"]) == set(spec.options)
    assert facts["recipes"]["quick"]["options"] == dict(recipes_of(name)[1].options)
    for key, option in spec.options.items():
        allowed = facts["options"][key]["allowed"]
        if isinstance(option.allowed, range):
            assert range(allowed["from"], allowed["to"] + 1, allowed["step"]) == option.allowed
        else:
            assert allowed == list(option.allowed)
    # By hand, within 2%: the same figure that the contract test holds the detector to.
    assert abs(facts["parameters"] - CASES[name].parameters) < 0.02 * CASES[name].parameters
    assert 0 < facts["parameters_trained"] <= facts["parameters"]
