"""Parts of a test set: datasets, qualities and sizes of face, each with the reals and fakes of its own."""

from __future__ import annotations

import numpy as np
import pytest
from training_faces import media_record

from ffpipe.manifests.records import Label
from ffpipe.stages.breakdowns import SIZES, media_parts, part_rows, size_name, size_parts
from ffpipe.stages.evaluation import Bootstrap, Scored
from ffpipe.stages.metrics import auc


def medium(number: int, **changes: str | None):
    return media_record(
        number, f"g{number}", Label(number % 2), None, changes.pop("dataset", "a"), 1, **changes
    )


def ids(*numbers: int) -> frozenset[str]:
    return frozenset(f"{number:032x}" for number in numbers)


def test_media_are_divided_by_dataset_and_by_quality_where_any_is_on_record() -> None:
    plain = [medium(0), medium(1, dataset="b")]
    assert media_parts(plain) == {"dataset": {"a": ids(0), "b": ids(1)}}
    mixed = [medium(0, quality="c40"), medium(1, quality="c23"), medium(2)]
    assert media_parts(mixed)["quality"] == {"c23": ids(1), "c40": ids(0), "not on record": ids(2)}


def test_the_bins_of_sizes_meet_without_gap_or_overlap() -> None:
    assert [size_name(number) for number in range(len(SIZES))] == [
        "0-95 px", "96-191 px", "192-383 px", "384 px and more",
    ]  # fmt: skip
    sides = [95, 95.5, 96, 191, 192, 383.5, 384, 4000]
    scored = Scored(np.zeros(8, np.int8), np.zeros(8), [str(n) for n in range(8)], ["g"] * 8, sides)
    found = {name: list(part.medium) for name, part in size_parts(scored).items()}
    assert found == {
        "0-95 px": ["0", "1"],
        "96-191 px": ["2", "3"],
        "192-383 px": ["4", "5"],
        "384 px and more": ["6", "7"],
    }
    assert size_parts(Scored(np.zeros(1, np.int8), np.zeros(1), ["0"], ["g"])) == {}


def test_a_part_is_measured_on_its_own_items_alone() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int8) % 2
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    sides = [50.0] * 20 + [200.0] * 20
    scored = Scored(labels, scores, [f"{n:032x}" for n in range(40)], [f"g{n}" for n in range(40)], sides)
    parts = {"quality": {"c23": ids(*range(10)), "c40": ids(*range(10, 40))}}
    rows = {(row.kind, row.name): row for row in part_rows("video", scored, parts, Bootstrap(100, 0, 0.5))}
    assert list(rows) == [
        ("quality", "c23"), ("quality", "c40"), ("face size", "0-95 px"), ("face size", "192-383 px"),
    ]  # fmt: skip
    for key, own in ((("quality", "c23"), slice(0, 10)), (("face size", "192-383 px"), slice(20, 40))):
        assert rows[key].figures["auc"].value == pytest.approx(auc(labels[own], scores[own]))
        assert rows[key].n_real == rows[key].n_fake == len(labels[own]) // 2
