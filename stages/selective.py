"""Answering less often to be wrong less often: selective risk against coverage, and the area below (AURC).

A medium is called fake where its score reaches the threshold, with a confidence of |score - threshold|. Media are
answered in falling order of confidence, those of equal confidence together; the risk at a coverage is the share of
wrong calls among the media answered so far (El-Yaniv and Wiener, 2010), and

    AURC = sum_i w_i risk(coverage of i) / sum_i w_i

over all media i (Geifman, Uziel and El-Yaniv, 2019): their mean where each weighs 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffpipe.stages.sample import Floats, Metric, Sample, checked


@dataclass(frozen=True, slots=True)
class CoverageRisk:
    """The points (T,) of a curve: shares of `total` media answered, and of wrong calls among them."""

    coverage: Floats
    risk: Floats
    total: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered in the end: of `total` media so many with a verdict, and so many of those wrongly."""

    answered: int
    wrong: int
    total: int

    @property
    def coverage(self) -> float | None:
        """The share of media with a verdict; None of no media."""
        return self.answered / self.total if self.total else None

    @property
    def risk(self) -> float | None:
        """The share of wrong verdicts; None where there is none."""
        return self.wrong / self.answered if self.answered else None


@Metric
def aurc(sample: Sample) -> Floats:
    """Area under the risk-coverage curve, at the sample's threshold; 0 where every call is right."""
    answered, wrong, places, order = _running(sample)
    with np.errstate(invalid="ignore"):
        risk = np.nan_to_num(wrong / answered)[:, places]
        return np.asarray((sample.weights[:, order] * risk).sum(axis=1) / answered[:, -1])


def coverage_risk(
    labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float, total: int, withheld: npt.ArrayLike = ()
) -> CoverageRisk | None:
    """The curve over `total` media, of which those have a score that are given; None where none is answered.

    withheld (n,): whether no verdict is given whatever the score; those are not answered at any confidence.
    Raises ValueError as `Metric`.
    """
    truth, values = checked(labels, scores)
    held = np.asarray(withheld, dtype=bool)
    kept = ~held if held.size else np.ones(truth.size, dtype=bool)
    if not kept.any():
        return None
    sample = Sample(truth[kept], values[kept], np.ones((1, int(kept.sum()))), threshold)
    answered, wrong, _, _ = _running(sample)
    return CoverageRisk(answered[0] / total, wrong[0] / answered[0], total)


def _running(sample: Sample) -> tuple[Floats, Floats, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Weights answered, and wrongly so, (B,T) at each distinct confidence; at which of those T each medium is; order.

    Confidences fall; the places (n,) are those of the media in that order (n,).
    """
    confidence = np.abs(sample.scores - sample.threshold)
    order = np.argsort(-confidence, kind="stable")
    last = np.append(np.diff(confidence[order]) != 0, True)
    called = sample.scores >= sample.threshold
    errors = (called != (sample.labels == 1)).astype(np.float64)[order]
    weights = sample.weights[:, order]
    answered, wrong = (np.cumsum(part, axis=1)[:, last] for part in (weights, weights * errors))
    places = np.cumsum(np.append(False, last[:-1]))
    return answered, wrong, places, order
