"""A calibration as it is stored with weights: score to likelihood ratio, how far that is supported, and its scope.

Likelihood ratios are capped by the independent groups that support them. The chance that a new real group scores above
all G of a fold is at most 1 / (G + 1), as for thresholds, and no data say that it is less: no score is therefore given
more than LR = G_real + 1 for fake, and none less than 1 / (G_fake + 1). Beyond that a fitted curve extrapolates;
Vergeer et al., "Numerical likelihood ratios outputted by LR systems are often based on extrapolation: When to stop
extrapolating?", Science & Justice 56 (2016), say why it must not.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ffpipe.manifests.errors import WeightsError
from ffpipe.stages.sample import Floats
from ffpipe.stages.score_maps import Method, ScoreMap

_LN10 = math.log(10)
#: Levels of scores: media of one frame each, and the others.
IMAGE, VIDEO = "image", "video"


@dataclass(frozen=True, slots=True)
class Caps:
    """The log10 likelihood ratios that are given at most: `lowest` <= 0 <= `highest`."""

    lowest: float
    highest: float

    @classmethod
    def of(cls, labels: npt.ArrayLike, groups: Sequence[str]) -> Self:
        """Those that so many independent groups of each class support."""
        real, fake = groups_of_classes(labels, groups)
        return cls(-math.log10(fake + 1), math.log10(real + 1))

    def log_ratio(self, found: Floats) -> Floats:
        """ln LR (n,) within the caps."""
        return np.asarray(np.clip(found, self.lowest * _LN10, self.highest * _LN10))


def groups_of_classes(labels: npt.ArrayLike, groups: Sequence[str]) -> tuple[int, int]:
    """How many groups have reals, and how many fakes; one with both counts in each."""
    pairs = list(zip(np.asarray(labels).tolist(), groups, strict=True))
    real, fake = (len({group for label, group in pairs if label == wanted}) for wanted in (0, 1))
    return real, fake


@dataclass(frozen=True, slots=True)
class Scope:
    """What a calibration was fitted to, and therefore holds for.

    split: of the datasets, in words. forgeries: methods of its fakes. level: "video", or "image" where media are that.
    real_groups and fake_groups: independent groups with media of a class. max_tracks: most eligible tracks of any
    medium; more would need other bars. crop_fingerprint: how its faces were cut.
    """

    datasets: tuple[str, ...]
    split: str
    quality: str | None
    forgeries: tuple[str, ...]
    level: str
    n_real: int
    n_fake: int
    groups: int
    real_groups: int
    fake_groups: int
    max_tracks: int
    crop_fingerprint: str

    def covers(self, tracks: int, frames: int) -> bool:
        """Whether a medium with so many eligible tracks and frames is one of those that it was fitted to.

        An image's score is of one frame, a video's a mean; and the highest of more scores is higher by chance.
        """
        return tracks <= self.max_tracks and (frames == 1) == (self.level == IMAGE)

    def words(self) -> str:
        """In a line, for people."""
        quality = f", quality {self.quality}" if self.quality else ""
        forgeries = f", forged by {', '.join(self.forgeries)}" if self.forgeries else ""
        return (
            f"{self.level} level, on {self.n_real} real and {self.n_fake} fake {self.level}s of {self.groups} groups "
            f"({', '.join(self.datasets)}, {self.split}{quality}{forgeries})"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration of the weights with this model_id: pure functions of a video's score, and what they rest on."""

    map: ScoreMap
    caps: Caps
    scope: Scope
    model_id: str

    @property
    def method(self) -> Method:
        """How scores are mapped."""
        return self.map.method

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The numbers that were fitted."""
        return self.map.parameters

    @property
    def id(self) -> str:
        """Hash of all that it is, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def log_ratios(self, scores: npt.ArrayLike) -> Floats:
        """Capped ln LR (n,) of scores (n,). Raises ValueError for a score that is not in [0, 1]."""
        return self.caps.log_ratio(self.map.log_ratio(scores))

    def log10_likelihood_ratio(self, score: float) -> float:
        """log10 of P(score | fake) / P(score | real), capped; raises ValueError as `log_ratios`."""
        return self._log_ratio(score) / _LN10

    def probability(self, score: float) -> float:
        """LR / (1 + LR): the probability of fake if fake and real were equally likely before."""
        return float(expit(self._log_ratio(score)))

    def posterior(self, score: float, prior: float) -> float:
        """The probability of fake where it was `prior` before: posterior odds = LR * prior odds.

        Raises ValueError for a prior that is not between 0 and 1.
        """
        if not 0 < prior < 1:
            raise ValueError(f"a prior lies between 0 and 1, not at {prior}")
        return float(expit(self._log_ratio(score) + math.log(prior / (1 - prior))))

    def _log_ratio(self, score: float) -> float:
        return float(self.log_ratios([score])[0])

    def facts(self) -> dict[str, Any]:
        """What is told of it in provenance: all but the fitted numbers, which its id stands for."""
        scope = {**_plain(self.scope), "words": self.scope.words()}
        return {"id": self.id, "method": self.method, "scope": scope, "caps": asdict(self.caps)}

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "model_id": self.model_id,
            **self.map.to_json(),
            "caps": asdict(self.caps),
            "scope": _plain(self.scope),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Raises WeightsError."""
        try:
            caps = Caps(*(float(stored["caps"][f.name]) for f in fields(Caps)))
            if not (
                math.isfinite(caps.lowest)
                and math.isfinite(caps.highest)
                and caps.lowest <= 0 <= caps.highest
            ):
                raise ValueError(f"caps {caps.lowest} and {caps.highest}")
            return cls(ScoreMap.from_json(stored), caps, _scope(stored["scope"]), str(stored["model_id"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"the calibration stored with the weights is damaged: {error!r}") from None


class Columns(NamedTuple):
    """Columns of a report row, null where nothing can be said."""

    probability: float | None = None
    log10_likelihood_ratio: float | None = None
    posterior: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a run reads its scores: by a calibration, where there is one, and from a prior, where one was given."""

    calibration: Calibration | None = None
    prior: float | None = None

    def of(self, score: float | None, tracks: int, frames: int) -> Columns:
        """What the score of a medium with so many eligible tracks and frames says; nothing outside the scope."""
        return (
            self.columns(score)
            if self.calibration and self.calibration.scope.covers(tracks, frames)
            else Columns()
        )

    def columns(self, score: float | None) -> Columns:
        """What a score within the scope says; nothing where there is none, or no calibration."""
        found = self.calibration
        if score is None or found is None:
            return Columns()
        posterior = None if self.prior is None else found.posterior(score, self.prior)
        return Columns(found.probability(score), found.log10_likelihood_ratio(score), posterior)


def _plain(scope: Scope) -> dict[str, Any]:
    return {**asdict(scope), "datasets": list(scope.datasets), "forgeries": list(scope.forgeries)}


def _scope(stored: Mapping[str, Any]) -> Scope:
    """A scope from JSON. Raises KeyError or TypeError for what is none."""
    values = {f.name: stored[f.name] for f in fields(Scope)}
    return Scope(**{**values, **{name: tuple(values[name]) for name in ("datasets", "forgeries")}})
