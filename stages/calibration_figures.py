"""How well likelihood ratios are calibrated: figures with intervals, before and after, and Tippett curves.

ECE and reliability compare probabilities with shares of fakes, which depend on how many of the media are fake.
Likelihood ratios are therefore read as posteriors at the media's own share of fakes; raw scores p likewise, as
LR = p / (1 - p).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ffpipe.stages.evaluation import Figure
from ffpipe.stages.metrics import evaluate
from ffpipe.stages.resampling import REPLICATES
from ffpipe.stages.sample import Floats, checked

#: Figures of a calibration, by their names in `metrics.METRICS`.
FIGURES = ("ece", "cllr", "cllr_min")


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of the same media before and after calibration, by name, and why there are no intervals.

    misleading: shares of the reals with LR > 1 and of the fakes with LR < 1, after calibration.
    """

    raw: Mapping[str, Figure]
    calibrated: Mapping[str, Figure]
    misleading: tuple[float, float]
    n_real: int
    n_fake: int
    groups: int
    interval_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Tippett:
    """Shares of the reals and of the fakes whose log10 LR is at least as high, at rising log10 LR (T,)."""

    at: Floats
    real: Floats
    fake: Floats


def own_posterior(labels: npt.ArrayLike, log_ratio: Floats) -> Floats:
    """Probabilities (n,) of fake from ln LR (n,), the prior being the share of fakes among these labels.

    expit(ln LR + ln(N1 / N0)). Raises ValueError where a class is absent.
    """
    fakes = float(np.mean(np.asarray(labels, np.float64)))
    if not 0 < fakes < 1:
        raise ValueError("media of one class have no prior of their own")
    return np.asarray(expit(log_ratio + np.log(fakes / (1 - fakes))))


def measure(
    labels: npt.ArrayLike,
    raw: Floats,
    calibrated: Floats,
    groups: Sequence[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Measured:
    """Figures of ln LR (n,) as scores give them and as a calibration does; both classes must be there.

    Intervals are from the same draws of whole source groups. Raises ValueError as `Metric`, or for one class.
    """
    truth, _ = checked(labels, raw)
    drawn = {"replicates": replicates, "seed": seed}
    found = []
    reason: str | None = None
    for ratios in (raw, calibrated):
        own = evaluate(truth, own_posterior(truth, ratios), groups, names=["ece"], **drawn)
        even = evaluate(truth, expit(ratios), groups, names=["cllr", "cllr_min"], **drawn)
        results = {**own, **even}
        found.append(
            {
                name: Figure(results[name].value, results[name].interval.low, results[name].interval.high)
                for name in FIGURES
            }
        )
        reason = reason or next((r.interval.reason for r in results.values() if r.interval.reason), None)
    fake = truth == 1
    misled = float((calibrated[~fake] > 0).mean()), float((calibrated[fake] < 0).mean())
    n_fake = int(fake.sum())
    return Measured(found[0], found[1], misled, truth.size - n_fake, n_fake, len(set(groups)), reason)


def tippett(labels: npt.ArrayLike, log_ratio: Floats) -> Tippett:
    """The curves of ln LR (n,) of both classes, with the axis in log10. Raises ValueError as `Metric`."""
    truth, ratios = checked(labels, log_ratio)
    at = np.unique(ratios)
    shares = []
    for label in (0, 1):
        mine = np.sort(ratios[truth == label])
        shares.append((mine.size - np.searchsorted(mine, at, side="left")) / max(1, mine.size))
    return Tippett(at / np.log(10), shares[0], shares[1])
