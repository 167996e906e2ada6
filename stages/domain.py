"""How far a face's statistics lie from those of the training faces, and what those were like.

A `Reference` is stored with a model's weights. Its Gaussian (`gaussian.py`) is of sign(D) log(1 + |D|), as sida-linear
compresses D, over training faces of both classes. A medium's distance is the median over the faces of the track that
its score rests on, so that a single odd frame does not move it. Beyond `limit` a medium is out of domain.

The limit comes from validation media alone, by the rule of `thresholds.py`: of n of them, in G independent groups, a
new one exceeds the j-th highest with a chance of at most j / (n + 1). j is that of `OUTSIDE`; where the data do not
reach that far, the limit is the highest of all as long as that chance, of groups, is at most `MOST_OUTSIDE`; else
there is none. Fakes of the training's own kind are inside, and a distance within the limit does not say that a score
is right.

The bands are quantiles of D itself, entry by entry and class by class, for a figure like 7 of the SFCL-HCMF paper,
which has a line for real and one for forged faces. `figure_of` takes out of a vector (2304,) the part that it shows:
one statistic of one channel, in the order row, column and intra-block differences, 64 frequencies each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.models.sida import SIDA_SHAPE, compress_sida
from ffpipe.stages.gaussian import Gaussian, Matrix, Stored, fit_gaussian
from ffpipe.stages.thresholds import exceedance_rank

#: Share of media like those of validation that may lie beyond a limit, and the most where media are few.
OUTSIDE, MOST_OUTSIDE = 0.01, 0.05
#: Quantiles of D that a band has, and those of the other measures of training media.
BAND = (0.05, 0.5, 0.95)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

BandName = Literal["real", "fake"]
BAND_NAMES: tuple[BandName, ...] = get_args(BandName)
#: What else of a medium is compared with training: median side in pixels and sharpness of its faces, bits per pixel and
#: second of its file, and frames of the track that its score rests on (of validation, whose bars rest on them).
Measure = Literal["crop_side", "sharpness", "bits", "frames"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
#: Entries of D whose band is computed at a time.
_COLUMNS = 256
_STATISTICS = ("mean", "deviation", "skewness", "kurtosis")
_CHANNELS = ("Y", "Cb", "Cr")


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Quantiles BAND of D over the training faces of a class, each (2304,)."""

    low: Stored
    median: Stored
    high: Stored


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that values rarely pass, or the reason why there is none; `count` values of `groups` groups."""

    value: float | None
    count: int
    groups: int
    reason: str | None = None

    @property
    def share(self) -> float:
        """The chance at which new media pass the limit at most."""
        return max(OUTSIDE, 1 / (self.groups + 1))


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles QUANTILES of a measure over media, and the floor that media like those rarely fall below."""

    quantiles: tuple[float, ...]
    floor: Bound


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the training faces of a model were like; see the module. `faces`: how many of each class it rests on.

    bands: of the classes that had faces. id: hash of the stored file, empty until it is stored.
    """

    gaussian: Gaussian
    bound: Bound
    bands: Mapping[BandName, Band]
    spreads: Mapping[Measure, Spread]
    faces: Mapping[BandName, int]
    model_id: str = ""
    id: str = ""

    @property
    def limit(self) -> float | None:
        """The distance beyond which a medium is out of domain; None where validation was too small for one."""
        return self.bound.value

    def distance(self, sida: NDArray[np.floating]) -> Matrix:
        """Distances (n,) of faces by their D (n,2304), about 1 for faces like those of training."""
        return self.gaussian.distance(_compressed(np.asarray(sida, np.float64)))

    def medium_distance(self, sida: NDArray[np.floating]) -> float:
        """The distance of a medium by D (n,2304) of the faces that its score rests on, n at least 1."""
        return float(np.median(self.distance(sida)))

    def floor(self, measure: Measure) -> float | None:
        """What training media rarely fall below; None where that is not known."""
        spread = self.spreads.get(measure)
        return spread.floor.value if spread else None


def fit_reference(
    faces: Mapping[BandName, NDArray[np.float32]], factors: int | None = None
) -> tuple[Gaussian, dict[BandName, Band]]:
    """Gaussian and bands of training faces by class, D (n,2304) each. Raises ValueError for fewer than 2 in all."""
    there = {name: rows for name, rows in faces.items() if len(rows)}
    together = np.concatenate([*there.values(), np.empty((0, SIDA_LENGTH), np.float32)])
    gaussian = fit_gaussian(together, _compressed, **({} if factors is None else {"factors": factors}))
    return gaussian, {name: _band(rows) for name, rows in there.items()}


def upper_bound(values: Sequence[float], groups: Sequence[str]) -> Bound:
    """What new values exceed rarely, as the module says, from one value and group a medium."""
    count, independent = len(values), len(set(groups))
    rank = exceedance_rank(OUTSIDE, count, independent)
    if not rank and exceedance_rank(MOST_OUTSIDE, independent, independent):
        rank = 1
    if not rank:
        needed = round(1 / MOST_OUTSIDE) - 1
        return Bound(
            None, count, independent, f"{independent} independent media are too few, {needed} are needed"
        )
    return Bound(float(sorted(values, reverse=True)[rank - 1]), count, independent)


def spread_of(values: Sequence[float], groups: Sequence[str]) -> Spread:
    """Quantiles and floor of a measure, from one value and group a medium, at least one."""
    bound = upper_bound([-value for value in values], groups)
    floor = Bound(None if bound.value is None else -bound.value, bound.count, bound.groups, bound.reason)
    return Spread(tuple(float(value) for value in np.quantile(values, QUANTILES)), floor)


def figure_of(
    sida: NDArray[np.floating], statistic: str = "mean", channel: str = "Y"
) -> NDArray[np.floating]:
    """Of a D (2304,), or a band's line, the 192 numbers of the paper's figure 7, for one statistic and channel.

    Raises ValueError for names other than mean, deviation, skewness, kurtosis and Y, Cb, Cr.
    """
    if statistic not in _STATISTICS or channel not in _CHANNELS:
        raise ValueError(f"{statistic} of {channel}: a figure is of {_STATISTICS} and {_CHANNELS}")
    shaped = np.asarray(sida).reshape(SIDA_SHAPE)  # statistic, difference, channel, frequency
    return shaped[_STATISTICS.index(statistic), :, _CHANNELS.index(channel)].reshape(-1)


def _compressed(sida: Matrix) -> Matrix:
    return np.asarray(compress_sida(torch.from_numpy(np.ascontiguousarray(sida))).numpy())


def _band(rows: NDArray[np.float32]) -> Band:
    """Column by column: a sorted copy of all of them would double the memory."""
    parts = [
        np.quantile(rows[:, start : start + _COLUMNS], BAND, axis=0)
        for start in range(0, SIDA_LENGTH, _COLUMNS)
    ]
    return Band(*np.concatenate(parts, axis=1).astype(np.float32))
