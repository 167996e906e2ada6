"""The bars between verdicts: chosen on validation video scores alone, and raised for videos with several faces.

With n real validation videos, the score of a new real video exceeds their j-th highest score with a probability
of at most j / (n + 1). The bar for a false-alarm rate a is therefore the j-th highest with j = floor(a (n + 1)),
and there is none where j is 0: quantiles are never extrapolated. Videos of one group (source, actor, clip at
several qualities) are not independent, so whether j is 0 is decided on the number of groups.

A video's score is the highest of its k eligible tracks, so each track is held to the rate
1 - (1 - a)^(1/k) (Sidak). The distribution is that of whole validation videos, which is at or above that of their
single tracks: the bar errs towards fewer false alarms. Where the rate is beyond the data, the bar is the highest
real validation score, as long as k tracks exceed it by chance no oftener than the inconclusive rate allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

from ffpipe.manifests.errors import WeightsError
from ffpipe.manifests.records import Label
from ffpipe.stages.metrics import Result, evaluate

#: Share of real videos that may be called likely manipulated.
FALSE_ALARM_RATE = 0.05
#: Share of real videos that may be called likely manipulated or inconclusive.
INCONCLUSIVE_RATE = 0.20
#: Rounding of a rate times a count: 0.05 * 20 must give 1.
_SLACK = 1e-9


class Bars(NamedTuple):
    """Scores above `threshold` are likely manipulated, those above `inconclusive_from` inconclusive.

    threshold is None where no score can support the verdict. `supported` is False where the false-alarm rate
    is beyond the data, so that the threshold is merely the highest score of any real validation video.
    """

    threshold: float | None
    inconclusive_from: float | None
    supported: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What validation says about a model's video scores; stored with the weights.

    real_tail: the highest scores of real validation videos, descending, as far as the bars reach.
    auc_low and auc_high: 95% interval of the video AUC, bootstrapped over groups. max_tracks: most eligible
    tracks of any validation video. reason: why no verdict can rest on these weights, None where one can.
    """

    n_real: int = 0
    n_fake: int = 0
    real_groups: int = 0
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    real_tail: tuple[float, ...] = ()
    max_tracks: int = 0
    false_alarm_rate: float = FALSE_ALARM_RATE
    inconclusive_rate: float = INCONCLUSIVE_RATE
    reason: str | None = None

    @property
    def usable(self) -> bool:
        """Whether scores of these weights can give a verdict other than inconclusive."""
        return self.reason is None

    @property
    def threshold(self) -> float | None:
        """The bar of a video with one track."""
        return self.bars(1).threshold

    @property
    def inconclusive_from(self) -> float | None:
        """Where doubt begins for a video with one track."""
        return self.bars(1).inconclusive_from

    def bars(self, tracks: int) -> Bars:
        """The bars of a video with this many eligible tracks (1 or more); never falling as tracks are added."""
        if not self.usable:
            return Bars(None, None, False)
        highest = self.real_tail[0]
        low_rank = self._rank(self.inconclusive_rate, tracks)
        low = self.real_tail[low_rank - 1] if low_rank else highest
        rank = self._rank(self.false_alarm_rate, tracks)
        if rank:
            return Bars(self.real_tail[rank - 1], low, True)
        by_chance = 1 - (1 - 1 / (self.real_groups + 1)) ** tracks
        within = self._rank(self.false_alarm_rate, 1) and by_chance <= self.inconclusive_rate
        return Bars(highest if within else None, low, False)

    def _rank(self, rate: float, tracks: int) -> int:
        """Which highest real score bounds the rate; 0 where the data do not reach that far."""
        return exceedance_rank(1 - (1 - rate) ** (1 / tracks), self.n_real, self.real_groups)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; holds the bars of a video with one track too, for people."""
        stored = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **stored,
            "real_tail": list(self.real_tail),
            "threshold": self.threshold,
            "inconclusive_from": self.inconclusive_from,
            "usable": self.usable,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Self:
        """What `to_json` wrote; None gives thresholds that support no verdict. Raises WeightsError."""
        if stored is None:
            return cls(reason="these weights have no validation result")
        try:
            values = {f.name: stored[f.name] for f in fields(cls)}
            values["real_tail"] = tuple(float(score) for score in values["real_tail"])
            loaded = cls(**values)
            loaded.bars(1)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise WeightsError(f"the thresholds stored with the weights are damaged: {error!r}") from None
        return loaded


def exceedance_rank(rate: float, count: int, groups: int) -> int:
    """Which highest of `count` values, of so many independent groups, a new one exceeds at most at `rate`.

    0 where the data do not reach that far.
    """
    reached = math.floor(rate * (groups + 1) + _SLACK)
    return math.floor(rate * (count + 1) + _SLACK) if reached else 0


def choose_thresholds(
    video_scores: Sequence[float],
    labels: Sequence[int],
    groups: Sequence[str],
    n_tracks: Sequence[int] = (),
    *,
    seed: int = 0,
) -> Thresholds:
    """Thresholds from the scores of validation videos, one entry a video that has a score.

    groups: what joins videos that are not independent. n_tracks: eligible tracks of each video.
    Raises ValueError for sequences of different lengths, or a score that is not in [0, 1].
    """
    if not len(video_scores) == len(labels) == len(groups):
        raise ValueError(f"{len(video_scores)} scores, {len(labels)} labels, {len(groups)} groups")
    if not all(0 <= score <= 1 for score in video_scores):
        raise ValueError("a validation score is not within 0 and 1")
    pairs = list(zip(video_scores, labels, groups, strict=True))
    real = sorted((score for score, label, _ in pairs if label == Label.REAL), reverse=True)
    real_groups = len({group for _, label, group in pairs if label == Label.REAL})
    area = evaluate(labels, video_scores, groups, names=["auc"], seed=seed)["auc"]
    return Thresholds(
        n_real=area.n_real,
        n_fake=area.n_fake,
        real_groups=real_groups,
        auc=area.value,
        auc_low=area.interval.low,
        auc_high=area.interval.high,
        real_tail=tuple(real[: max(1, math.floor(INCONCLUSIVE_RATE * (len(real) + 1) + _SLACK))]),
        max_tracks=max(n_tracks, default=1),
        reason=_why_not(real_groups, area),
    )


def _why_not(reals: int, area: Result) -> str | None:
    """Why no verdict can rest on the weights; reals counts independent groups of real videos."""
    if not area.n_real + area.n_fake:
        return "these weights were not validated"
    if area.value is None:
        return f"validation had only {'real' if area.n_real else 'fake'} videos"
    if math.floor(INCONCLUSIVE_RATE * (reals + 1) + _SLACK) == 0:
        return (
            f"validation had {reals} independent real video{'s' * (reals > 1)}, too few to bound false alarms at "
            f"{INCONCLUSIVE_RATE:.0%}"
        )
    low, high = area.interval.low, area.interval.high
    if low is None or high is None:
        return f"these weights' validation AUC has no interval: {area.interval.reason}"
    if low <= 0.5:
        includes = "includes 0.5" if high >= 0.5 else "lies below 0.5"
        return f"the 95% interval of these weights' validation AUC, {low:.2f} to {high:.2f}, {includes}"
    return None
