"""What was answered and held back is counted over every medium; the area needs a threshold, and says so."""

from __future__ import annotations

import numpy as np
from training_faces import media_record

from ffpipe.manifests.records import Concern, Label, Status, Verdict
from ffpipe.pipeline.evaluation.coverage import coverage_facts, curves
from ffpipe.pipeline.evaluation.verdicts import Outcome
from ffpipe.stages.evaluation import Bootstrap, Scored

FAKE, REAL, UNSURE = Verdict.LIKELY_MANIPULATED, Verdict.NO_MANIPULATION_FOUND, Verdict.INCONCLUSIVE
BLUR = (Concern.BLURRED,)
#: Label, score, verdict, verdict without the gate, concerns, those that withheld it.
MEDIA = [
    (0, 0.1, REAL, REAL, (), ()),
    (0, 0.9, UNSURE, FAKE, BLUR, BLUR),
    (0, 0.6, UNSURE, UNSURE, BLUR, ()),
    (1, 0.95, FAKE, FAKE, (Concern.FEW_FRAMES,), ()),
    (1, 0.2, REAL, REAL, (), ()),
]


def made():
    media = [media_record(k, f"g{k}", Label(row[0]), None, "d", 3) for k, row in enumerate(MEDIA)]
    found = {
        m.media_id: Outcome(score, verdict, "", 1, m.group, ungated, concerns, withheld, 1.0)
        for m, (_, score, verdict, ungated, concerns, withheld) in zip(media, MEDIA, strict=True)
    }
    lost = media_record(9, "g9", Label.FAKE, None, "d", 0, status=Status.UNREADABLE)
    found[lost.media_id] = Outcome(None, Verdict.NOT_ASSESSABLE, "cut", 0, "g9")
    scored = Scored(
        np.array([row[0] for row in MEDIA], np.int8),
        np.array([row[1] for row in MEDIA]),
        [m.media_id for m in media],
        [m.group for m in media],
    )
    return [*media, lost, media[0]], found, scored


def test_answers_are_counted_over_every_medium_with_and_without_the_gate() -> None:
    media, found, scored = made()
    facts = coverage_facts(media, found, scored, Bootstrap(100, 0, 0.7))
    assert (facts["media"], facts["scored"]) == (6, 5), "a copy counts once, a failure too"
    assert facts["answers"]["with the gate"] == {"answered": 3, "wrong": 1, "coverage": 0.5, "risk": 1 / 3}
    assert facts["answers"]["without"] == {"answered": 4, "wrong": 2, "coverage": 4 / 6, "risk": 0.5}
    assert facts["concerns"]["blurred"] == {
        "real": {"media": 2, "withheld": 1}, "fake": {"media": 0, "withheld": 0},
    }  # fmt: skip
    assert facts["concerns"]["few_frames"]["fake"] == {"media": 1, "withheld": 0}
    assert set(facts["concerns"]) == {concern.value for concern in Concern}


def test_the_area_rests_on_the_threshold_and_has_a_reason_where_it_is_none() -> None:
    media, found, scored = made()
    # About 0.7: 0.6 right, 0.5 wrong, 0.25 right, 0.2 wrong, 0.1 right.
    area = coverage_facts(media, found, scored, Bootstrap(100, 0, 0.7))["aurc"]
    assert np.isclose(area["value"], np.mean([0, 1 / 2, 1 / 3, 1 / 2, 2 / 5]))
    assert "too few" in area["reason"]
    assert (
        coverage_facts(media, found, scored, Bootstrap(100, 0))["aurc"]["reason"]
        == "validation set no threshold"
    )
    nothing = coverage_facts(media, found, scored.at([]), Bootstrap(100, 0, 0.7))
    assert nothing["aurc"]["reason"] == "no medium has a score"


def test_the_curves_are_over_every_medium_and_the_gate_has_one_of_its_own() -> None:
    media, found, scored = made()
    drawn = curves(found, scored, 0.7, 6)
    assert drawn["scored"].coverage[-1] == 5 / 6
    assert drawn["gated"].coverage[-1] == 4 / 6
    open_gate = {name: outcome for name, outcome in found.items() if not outcome.withheld}
    kept = scored.at([0, 2, 3, 4])
    assert curves(open_gate, kept, 0.7, 6)["gated"] is None
