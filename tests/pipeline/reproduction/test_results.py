"""What a comparison of a printed figure with ours says, and what may be said of many."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.reproduction.protocols import PROTOCOLS
from ffpipe.pipeline.reproduction.results import (
    RESULTS,
    Outcome,
    Result,
    headline,
    read_results,
)

PROTOCOL = PROTOCOLS["faclue"]
FIGURE = PROTOCOL.printed[0]


def row(value: float | None, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    figures = {FIGURE.metric: {"value": value, "low": low, "high": high}}
    counts = {"n_real": 3, "n_fake": 4}
    return {
        "level": "frame",
        "figures": figures,
        "reason": None,
        "interval_reason": None,
        "note": None,
        **counts,
        **more,
    }


@pytest.mark.parametrize(
    ("printed", "low", "high", "outcome"),
    [
        (0.95, 0.9, 1.0, Outcome.INSIDE),
        (0.90, 0.9, 1.0, Outcome.INSIDE),
        (0.89, 0.9, 1.0, Outcome.OUTSIDE),
        (0.97, 0.9, 0.96, Outcome.OUTSIDE),
        (0.95, None, None, Outcome.NO_INTERVAL),
    ],
)
def test_the_printed_figure_lies_in_our_interval_or_not(
    printed: float, low: float | None, high: float | None, outcome: Outcome
) -> None:
    found = Result.of(replace(FIGURE, value=printed), row(0.95, low, high, interval_reason="too few"))
    assert found.outcome is outcome
    assert (found.ours, found.low, found.high, found.n_real, found.n_fake) == (0.95, low, high, 3, 4)
    assert found.reason == ("too few" if low is None else "")


def test_an_undefined_figure_is_none_that_was_run(tmp_path) -> None:
    found = Result.of(FIGURE, row(None, None, None, reason="all media are fake"), run="faclue/x")
    assert (found.outcome, found.ours, found.reason) == (Outcome.NOT_RUN, None, "all media are fake")


def test_results_come_back_as_they_were_stored(tmp_path) -> None:
    found = Result.of(
        FIGURE,
        row(0.95, 0.9, 1.0),
        run="faclue/x",
        evaluation="e-001",
        deviations=("a", "b"),
        commands=("c",),
    )
    (tmp_path / RESULTS).write_text(json.dumps({"figures": [found.to_json()]}))
    assert read_results(tmp_path, PROTOCOL) == {FIGURE: found}
    (tmp_path / RESULTS).write_text("{}")
    with pytest.raises(StorageError, match=RESULTS):
        read_results(tmp_path, PROTOCOL)


def test_a_reproduction_is_never_claimed_of_runs_that_differ() -> None:
    inside = Result.of(FIGURE, row(0.9995, 0.99, 1.0))
    counted = "1 of 2 printed figures measured: 1 inside our 95% interval, 0 outside, 0 without an interval; 1 not run"
    assert headline([inside, Result(FIGURE)], quick=False) == [
        counted,
        "no difference from the printed settings is known; what the paper does not print is in its notes",
    ]
    differs = replace(inside, deviations=("random weights",))
    assert headline([differs], quick=False)[1].startswith("no reproduction can be claimed")
    assert headline([inside], quick=True)[1].startswith("a rehearsal")
