"""How far scores can be read as probabilities: calibration error, and the cost of a likelihood ratio.

Cllr reads a score p as a likelihood ratio p / (1 - p): networks are trained with both classes weighing about the same,
so that p is a posterior at even odds. Brümmer and du Preez, "Application-independent evaluation of speaker detection",
Computer Speech and Language 20 (2006).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ffpipe.stages.sample import LOG_FLOOR, Floats, Metric, Sample

#: Bins of equal width that [0, 1] is cut into, the number of Guo et al. (ICML 2017).
BINS = 15


def bin_of(probability: Floats) -> npt.NDArray[np.intp]:
    """The bin of each probability (n,), 0 to BINS - 1: bin k is [k / BINS, (k + 1) / BINS), the last one closed."""
    return np.minimum((probability * BINS).astype(np.intp), BINS - 1)


@Metric
def ece(sample: Sample) -> Floats:
    """Expected calibration error: the mean over bins of |share of fakes - mean score|, weighted by their media.

    15 bins of equal width. An estimate from few media is too high, and its draws are higher still: a perfectly
    calibrated model does not reach 0.
    """
    probability = sample.probabilities
    gaps = (sample.labels - probability)[:, None] * np.eye(BINS)[bin_of(probability)]  # (n, BINS)
    return np.asarray(np.abs(sample.weights @ gaps).sum(axis=1) / sample.weights.sum(axis=1))


@Metric
def cllr(sample: Sample) -> Floats:
    """Cost of log likelihood ratios, in bits: half of E[log2(1 + 1/LR)] over fakes plus E[log2(1 + LR)] over reals.

    With LR = p / (1 - p) these are -log2 p and -log2(1 - p). 0 is perfect, 1 is what LR = 1 always gives.
    """
    probability = np.clip(sample.probabilities, LOG_FLOOR, 1 - LOG_FLOOR)
    fakes = sample.mean(-np.log2(probability), of=sample.labels)
    reals = sample.mean(-np.log2(1 - probability), of=1 - sample.labels)
    return np.asarray((fakes + reals) / 2)


@Metric
def cllr_min(sample: Sample) -> Floats:
    """Cllr after the best monotone recalibration of these very scores: what their order alone is worth, in bits.

    By pool-adjacent-violators. Cllr minus this is the loss by calibration. Being fitted to the media that it is
    measured on, it is too low where they are few.
    """
    fakes, reals = (np.diff(rate, axis=1)[:, ::-1] for rate in sample.rates)  # each (B, T), by rising score
    return np.array([_least_cost(fake, real) for fake, real in zip(fakes, reals, strict=True)])


def _least_cost(fake: Floats, real: Floats) -> float:
    """Cllr_min of shares (T,) of the fakes and of the reals at each score, rising; NaN where a class is absent."""
    mass = fake + real
    if np.isnan(mass).any():
        return math.nan
    # The training loop imports this module, and runs where there is no SciPy.
    from scipy.optimize import isotonic_regression
    from scipy.special import xlogy

    there = mass > 0
    fake, real, mass = fake[there], real[there], mass[there]
    posterior = np.clip(isotonic_regression(fake / mass, weights=mass).x, 0, 1)
    cost = -(xlogy(fake, posterior) + xlogy(real, 1 - posterior)).sum() / (2 * math.log(2))
    return abs(float(cost))
