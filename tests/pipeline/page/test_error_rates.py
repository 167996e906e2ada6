"""Error rates in sentences: counts, intervals, the bin of face sizes, and likelihood ratios in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from names import report_row
from scored_media import evidence_of, scores_of

from ffpipe.pipeline.page.error_rates import alarms, calibration_lines, share, support, validation_lines
from ffpipe.pipeline.page.evidence import ModelFacts
from ffpipe.pipeline.page.strata import Judged, Validated
from ffpipe.pipeline.page.video_texts import INDEPENDENT
from ffpipe.stages.aggregate import Thresholds

KNOWN = Thresholds(
    n_real=10, n_fake=9, real_groups=10, auc=0.8, auc_low=0.6, auc_high=0.9, real_tail=(0.9, 0.8, 0.7)
)


def test_false_alarms_are_counted_as_far_as_the_scores_are_stored() -> None:
    assert [alarms(KNOWN, bar) for bar in (0.95, 0.9, 0.85, 0.7)] == [0, 0, 1, 2]
    assert alarms(KNOWN, 0.5) is None
    assert alarms(replace(KNOWN, n_real=3), 0.5) == 3
    assert alarms(Thresholds(), 0.5) is None


@pytest.mark.parametrize(
    ("count", "of", "words"),
    [
        (0, 20, "0 of 20, 0.0% (95% interval 0.0% to 16.8%)"),
        (20, 20, "20 of 20, 100.0% (95% interval 83.2% to 100.0%)"),
        (1, 20, "1 of 20, 5.0% (95% interval 0.1% to 24.9%)"),
        (0, 0, "none of none"),
    ],
)
def test_a_share_has_its_exact_interval(count: int, of: int, words: str) -> None:
    assert share(count, of) == words


def test_files_with_faces_of_the_same_size_have_rates_of_their_own() -> None:
    media = (Judged(False, 0.9, 50), Judged(False, 0.1, 40), Judged(True, 0.9, 60), Judged(True, 0.2, 400))
    model = ModelFacts("meso4", "m", KNOWN, validated=Validated("made-val-001", media))
    made = replace(evidence_of(scores_of(0, {k: 0.6 for k in range(4)}), 4), model=model)
    *_, everything, alike, independent = validation_lines(made)
    assert independent == INDEPENDENT
    assert "1 of 2, 50.0%" in everything
    assert "faces of 0-95 px, like this one" in alike
    assert "fakes above it 1 of 1, 100.0%" in alike
    unknown = replace(made, scores=tuple(replace(score, crop_side=None) for score in made.scores))
    assert "not on record" in validation_lines(unknown)[-2]
    without = replace(made, model=replace(model, validated=None))
    assert "rates of all of validation" in validation_lines(without)[-1 - bool(made.row.threshold)]


def test_weights_that_were_never_validated_have_no_error_rates() -> None:
    made = evidence_of(scores_of(0, {0: 0.5}), 1)
    model = ModelFacts("meso4", "m", Thresholds.from_json(None))
    assert validation_lines(replace(made, model=model)) == [
        "No error rates are known: these weights have no validation result."
    ]


@pytest.mark.parametrize(
    ("log10_ratio", "words"),
    [
        (0.0, "supports neither"),
        (0.2, "supports neither"),
        (0.31, "2.0 times as frequent among fake files"),
        (1.0, "moderate support for “fake”"),
        (2.0, "moderately strong support for “fake”"),
        (-3.0, "1000 times as frequent among real files as among fake ones"),
        (-3.0, "strong support for “real”"),
        (4.5, "very strong support for “fake”"),
        (6.0, "extremely strong support"),
    ],
)
def test_a_likelihood_ratio_has_the_words_of_the_scale(log10_ratio: float, words: str) -> None:
    assert words in support(log10_ratio)


def test_a_calibrated_score_has_ratio_probability_posterior_and_scope() -> None:
    scope = "videos of made, 40 real, 50 fake"
    row = report_row(log10_likelihood_ratio=1.5, probability=0.969, posterior=0.25)
    told = " ".join(calibration_lines(row, 0.01, scope))
    assert "With a prior of 0.01" in told and "25.0% probable" in told
    for words in ("+1.50", "97% probable", "videos of made", "ENFSI"):
        assert words in told
    assert "prior" not in " ".join(calibration_lines(replace(row, posterior=None), None, scope))
    assert calibration_lines(report_row(), None, None)[0].startswith("Uncalibrated")
    (outside,) = calibration_lines(report_row(), None, scope)
    assert outside.startswith("No likelihood ratio") and scope in outside and "Uncalibrated" not in outside
