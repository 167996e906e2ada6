"""The threshold for a false-alarm rate, from the scores of single media, as far as the reals can show it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffpipe.stages.metrics import checked


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold for a false-alarm rate, and what it rests on.

    `false_alarms` of `negatives` reals are at or above it; a further real is with a chance of at most
    `expected_rate`. Where `supported` is false, the reals are too few to show the rate that was asked for.
    """

    threshold: float
    false_alarms: int
    negatives: int
    expected_rate: float
    supported: bool


def threshold_at_false_alarm_rate(
    labels: npt.ArrayLike, scores: npt.ArrayLike, rate: float
) -> OperatingPoint | None:
    """The lowest threshold whose expected false-alarm rate on further reals is at most `rate`.

    With n reals, a further real is equally likely to rank anywhere among them, so a threshold passed by k of
    them is passed by it with chance (k + 1) / (n + 1): k = floor(rate (n + 1)) - 1 are allowed. Fewer than
    1 / rate - 1 reals (19 for 5%) support no threshold; then no false alarm is allowed and the result is
    marked so. The threshold lies midway between the highest real that must not pass and the next higher score
    of any medium, since any value between calls the same media fake and rounding must not; where nothing is
    higher it is the next float.

    None where there is no real.

    Raises:
        ValueError: as `Metric`, or a rate outside (0, 1).
    """
    if not 0 < rate < 1:
        raise ValueError(f"a false-alarm rate must lie between 0 and 1, not {rate}")
    truth, values = checked(labels, scores)
    reals = np.sort(values[truth == 0])[::-1]
    if not reals.size:
        return None
    allowed = math.floor(rate * (reals.size + 1) + 1e-9) - 1
    barred = reals[max(allowed, 0)]
    above = values[values > barred]
    threshold = float(np.nextafter(barred, np.inf))
    if above.size:
        threshold = max(threshold, float(barred + (above.min() - barred) / 2))
    alarms = int((reals >= threshold).sum())
    return OperatingPoint(
        threshold, alarms, int(reals.size), (alarms + 1) / (int(reals.size) + 1), supported=allowed >= 0
    )
