"""Each method is measured against the reals of its own subset, and the mean weighs methods alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn import metrics as reference
from training_faces import media_record

from ffpipe.manifests.records import Label, MediaRecord
from ffpipe.stages.evaluation import ALL, MEAN, Scored, comparisons, table


def medium(number: int, label: Label, method: str | None = None, subset: str | None = None) -> MediaRecord:
    return media_record(number, f"g{number}", label, None, "set", 1, method=method, subset=subset)


def ids(*numbers: int) -> frozenset[str]:
    return frozenset(f"{number:032x}" for number in numbers)


def scored(labels: Sequence[int], scores: Sequence[float], groups: Sequence[str] | None = None) -> Scored:
    numbers = range(len(labels))
    return Scored(
        np.array(labels, np.int8),
        np.array(scores, np.float64),
        [f"{number:032x}" for number in numbers],
        groups or [f"g{number}" for number in numbers],
    )


def test_without_subsets_each_method_meets_all_reals():
    media = [
        medium(0, Label.REAL),
        medium(1, Label.REAL),
        medium(2, Label.FAKE, "warp"),
        medium(3, Label.FAKE, "blend"),
        medium(4, Label.FAKE),
    ]
    assert comparisons(media) == {"blend": ids(0, 1, 3), "fake": ids(0, 1, 4), "warp": ids(0, 1, 2)}


def test_with_subsets_a_method_meets_the_reals_of_its_own():
    media = [
        medium(0, Label.REAL, subset="biggan"),
        medium(1, Label.FAKE, "biggan", "biggan"),
        medium(2, Label.REAL, subset="crn"),
        medium(3, Label.FAKE, "crn", "crn"),
        medium(4, Label.FAKE, "crn", "crn"),
        # The same picture is real in both sets.
        medium(5, Label.REAL, subset="biggan"),
        medium(5, Label.REAL, subset="crn"),
        medium(6, Label.FAKE, "warp", "films"),
    ]
    assert comparisons(media) == {
        "biggan": ids(0, 1, 5),
        "crn": ids(2, 3, 4, 5),
        "films/warp": ids(6),
    }


def test_a_method_whose_name_is_given_twice_keeps_all_its_media():
    media = [medium(0, Label.FAKE, "DFD"), medium(1, Label.FAKE, "DFD", "DFD"), medium(2, Label.REAL)]
    assert comparisons(media) == {"DFD": ids(0, 1, 2)}


def test_the_row_of_all_says_that_it_mixes_reals_of_several_sets():
    made = scored([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.6])
    first, *others = table("video", made, {"a": ids(0, 1), "b": ids(2, 3)}, replicates=100)
    assert "against the reals of other sets" in first.flat()["note"]
    assert [row.note for row in others] == [None, None, None]
    (first, *_) = table("video", made, {"a": ids(0, 1, 2), "b": ids(0, 2, 3)}, replicates=100)
    assert first.note is None


def test_rows_hold_the_figures_of_their_own_media_and_their_plain_mean():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 80)
    scores = np.round(np.clip(random.normal(0.4 + 0.3 * labels, 0.25), 0, 1), 1)
    parts = {"even": ids(*range(0, 80, 2)), "odd": ids(*range(1, 80, 2))}
    rows = {row.name: row for row in table("image", scored(labels, scores), parts, replicates=100)}
    assert list(rows) == [ALL, "even", "odd", MEAN]
    for name, own in ((ALL, slice(None)), ("even", slice(0, None, 2)), ("odd", slice(1, None, 2))):
        row, y, s = rows[name], labels[own], scores[own]
        assert (row.n_real, row.n_fake, row.groups) == ((y == 0).sum(), (y == 1).sum(), len(y))
        expected = {
            "accuracy": reference.accuracy_score(y, s >= 0.5),
            "average_precision": reference.average_precision_score(y, s),
            "auc": reference.roc_auc_score(y, s),
        }
        for figure, value in expected.items():
            assert row.figures[figure].value == pytest.approx(value)
            assert row.figures[figure].low <= value <= row.figures[figure].high
    for figure in ("accuracy", "average_precision", "auc"):
        both = [rows[name].figures[figure].value for name in ("even", "odd")]
        assert rows[MEAN].figures[figure].value == pytest.approx(sum(both) / 2)
        low, high = rows[MEAN].figures[figure].low, rows[MEAN].figures[figure].high
        assert low < rows[MEAN].figures[figure].value < high
        # Sets of different groups vary apart: their mean varies less than either.
        widths = [
            rows[name].figures[figure].high - rows[name].figures[figure].low for name in ("even", "odd")
        ]
        assert high - low < min(widths)


def test_the_mean_of_equal_sets_varies_as_one_of_them():
    random = np.random.default_rng(1)
    labels = [0, 1] * 30
    scores = np.clip(random.normal(0.4 + 0.2 * np.array(labels), 0.25), 0, 1).tolist()
    whole = ids(*range(60))
    made = scored(labels, scores)
    rows = {row.name: row for row in table("image", made, {"a": whole, "b": whole}, threshold=0.6)}
    for key, figure in rows["a"].figures.items():
        mean = rows[MEAN].figures[key]
        assert (mean.value, mean.low, mean.high) == pytest.approx((figure.value, figure.low, figure.high)), (
            key
        )


def test_a_mean_has_no_interval_where_one_of_its_sets_has_none():
    labels, scores = [0, 1] * 20, np.linspace(0, 1, 40)
    groups = [f"g{number}" if number < 36 else "last" for number in range(40)]
    sets = {"a": ids(*range(36)), "b": ids(36, 37, 38, 39)}
    (*_, mean) = table("image", scored(labels, scores, groups), sets, replicates=100)
    assert (mean.name, mean.figures["auc"].low) == (MEAN, None)
    assert mean.interval_reason is not None
    assert mean.interval_reason.startswith("b has none: 1 source groups")


def test_a_set_of_one_class_is_undefined_and_left_out_of_the_mean():
    made = scored([0, 1, 0, 1, 1, 1], [0.1, 0.9, 0.8, 0.6, 0.9, 0.2])
    sets = {"a": ids(0, 1), "b": ids(2, 3), "c": ids(4, 5)}
    rows = {row.name: row for row in table("image", made, sets, replicates=100)}
    assert rows["c"].reason == "all media are fake"
    assert (rows["c"].figures["auc"].value, rows["c"].figures["average_precision"].value) == (None, None)
    assert rows["c"].figures["accuracy"].value == 0.5
    assert rows[MEAN].reason == "1 of 3 sets have one class only and are left out"
    # a: 1 and 1; b: accuracy 1/2 (0.8 of a real is called fake), AUC 0.
    assert rows[MEAN].figures["accuracy"].value == 0.75
    assert rows[MEAN].figures["auc"].value == 0.5


def test_intervals_are_over_groups_and_missing_ones_say_why():
    labels, scores = [0, 1] * 20, np.linspace(0, 1, 40)
    (row,) = table("frame", scored(labels, scores, ["g1", "g2"] * 20), {}, replicates=100)
    assert row.groups == 2
    assert row.figures["auc"].low is None
    assert row.interval_reason is not None
    assert "2 source groups" in row.interval_reason
    flat = row.flat()
    assert (flat["set"], flat["auc"], flat["auc_low"]) == (ALL, row.figures["auc"].value, None)
