from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.config import DegradeConfig, ExtractConfig, ScoreConfig, TrainConfig


def test_later_sources_win_and_what_is_not_given_keeps_its_default(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[extract]\nframes = 8\nseed = 3\n[train]\nmodel = 'x'\n")
    config = ExtractConfig.build({"frames": 16, "every": None}, file, ["store-size=256"])
    assert (config.frames, config.seed, config.store_size, config.detector) == (16, 3, 256, "mtcnn")


@pytest.mark.parametrize(
    ("given", "overrides", "words"),
    [
        ({"frames": "some"}, [], "--frames 'some'"),
        ({"store_size": 100}, [], "--store-size 100: Input should be a multiple of 8"),
        ({"timeout": 1e308}, [], "--timeout 1e+308: Input should be less than or equal to"),
        ({"every": float("inf")}, [], "--every inf: Input should be a finite number"),
        ({"max_pixels": 10**18}, [], "--max-pixels 1000000000000000000: Input should be less than"),
        ({"worker_memory": 1e300}, [], "--worker-memory 1e+300: Input should be less than"),
        ({"detector": "yolo"}, [], "'mtcnn' or 'dlib'"),
        ({}, ["colour=red"], "unknown key 'colour'; allowed: "),
        ({}, ["colour"], "expected key=value"),
        ({"colour": 1}, [], "unknown setting 'colour'; allowed: frames"),
    ],
)
def test_errors_are_one_line_that_says_what_was_given_and_what_is_allowed(
    given: dict[str, object], overrides: list[str], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        ExtractConfig.build(given, None, overrides)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_a_wrong_item_of_a_list_is_one_complaint() -> None:
    with pytest.raises(UsageError) as caught:
        DegradeConfig.build({"crf": ("52",)})
    assert caught.value.message == "--crf '52': Input should be less than or equal to 51"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "not valid TOML"),
        ("[trian]\na=1", "trian"),
        ("[score]\n[a]\n", "unknown table 'a'"),
        ("score = 5", "a table of settings"),
        ("score = 5", "a table of settings"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        ScoreConfig.build({}, tmp_path / "c.toml")
    with pytest.raises(UsageError, match=r"absent\.toml"):
        ScoreConfig.build({}, tmp_path / "absent.toml")


def test_model_options_are_set_by_their_prefix() -> None:
    config = TrainConfig.build({"model": "sfcl-hcmf"}, None, ["model.sida=off", "model.width=24", "epochs=2"])
    assert config.options == {"sida": "off", "width": 24}
    assert (config.model, config.epochs) == ("sfcl-hcmf", 2)


def test_the_digest_changes_with_results_and_not_with_how_they_are_made() -> None:
    base = ExtractConfig().digest()
    assert ExtractConfig(workers=7, engine="ray", limit=3, name="other").digest() == base
    assert ExtractConfig(frames=8).digest() != base
    assert ExtractConfig(detector="dlib").digest() != base
    assert ExtractConfig(only=("train/*",)).digest() == base, "it adds inputs, as --limit does"


def test_a_setting_that_came_later_leaves_older_digests_as_they_were() -> None:
    assert "whole" not in ExtractConfig().bound()
    assert ExtractConfig(whole=True).digest() != ExtractConfig().digest()


def test_inputs_are_of_one_kind() -> None:
    with pytest.raises(UsageError, match="not both"):
        ExtractConfig.build({"whole": True, "cropped": True})
    assert [ExtractConfig(**given).kind for given in ({}, {"whole": True}, {"cropped": True})] == [
        None,
        "whole",
        "crop",
    ]


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        ExtractConfig().frames = 3  # type: ignore[misc]


def test_pseudo_fakes_balance_and_damage_leave_the_digests_of_earlier_trainings_as_they_were() -> None:
    base = TrainConfig(model="meso4")
    assert not {"pseudo_fakes", "pseudo_share", "balance"} & base.bound().keys()
    for change in ({"pseudo_fakes": "selfblend"}, {"balance": "method"}, {"augmentation": {"jpeg": 0.3}}):
        assert TrainConfig(model="meso4", **change).digest() != base.digest()


def test_a_range_of_damage_is_set_as_a_list() -> None:
    given = TrainConfig.build(
        {"model": "meso4"}, overrides=["augmentation.jpeg=0.3", "augmentation.jpeg_quality=[40, 90]"]
    )
    assert given.augmentation == {"jpeg": 0.3, "jpeg_quality": [40, 90]}
