"""Fitting a calibration to a fold: what a fold must have, the method of least cross-validated cost, and the fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ffpipe.stages.calibration import Caps, groups_of_classes
from ffpipe.stages.calibration_metrics import cllr
from ffpipe.stages.metrics import auc
from ffpipe.stages.sample import Floats, checked, undefined_reason
from ffpipe.stages.score_maps import METHODS, Method, ScoreMap, fit

#: Independent groups that a fold needs of each class. With fewer, no likelihood ratio could exceed 10.
MIN_GROUPS = 10
#: Parts that groups are divided into for cross-validation.
PARTS = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """A method fitted to a whole fold, its caps, and each method's cross-validated cost.

    held_out: ln LR (n,) of each medium by the fit of the chosen method to the other parts, under their caps. costs:
    Cllr in bits of these by method.
    """

    map: ScoreMap
    caps: Caps
    held_out: Floats
    costs: dict[Method, float]


def too_small(labels: npt.ArrayLike, groups: Sequence[str]) -> str | None:
    """Why these media are too few to be calibrated on, whatever they score; None where they are enough."""
    if reason := undefined_reason(labels):
        return reason
    real, fake = groups_of_classes(labels, groups)
    if min(real, fake) < MIN_GROUPS:
        return (
            f"{real} independent groups have real media and {fake} fake ones; {MIN_GROUPS} of each are needed, or no "
            "likelihood ratio could say much"
        )
    return None


def unfit(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: Sequence[str]) -> str | None:
    """Why no calibration can rest on these media with these scores; None where one can."""
    truth, values = checked(labels, scores)
    if reason := too_small(truth, groups):
        return reason
    area = auc(truth, values)
    if area <= 0.5:
        return f"its fakes do not score above its reals (AUC {area:.3f}), and a calibration keeps that order"
    return None


def choose(
    method: Method | Literal["auto"], labels: npt.ArrayLike, scores: npt.ArrayLike, groups: Sequence[str]
) -> Choice:
    """Fit `method`, or of all the one whose cross-validated Cllr is least, of equals the simplest.

    Raises ValueError with the reason where the media are `unfit`.
    """
    if reason := unfit(labels, scores, groups):
        raise ValueError(reason)
    truth, values = checked(labels, scores)
    tried: tuple[Method, ...] = METHODS if method == "auto" else (method,)
    held_out = {each: cross_validated(each, truth, values, groups) for each in tried}
    costs = {each: cllr(truth, expit(ratios)) for each, ratios in held_out.items()}
    best = min(tried, key=lambda each: costs[each])
    return Choice(fit(best, truth, values), Caps.of(truth, groups), held_out[best], costs)


def cross_validated(method: Method, labels: Floats, scores: Floats, groups: Sequence[str]) -> Floats:
    """ln LR (n,) of each medium from a map that was fitted, and capped, without the part that its group is in."""
    part = parts_of_groups(labels, groups)
    names = np.asarray(groups, dtype=object)
    found = np.empty(len(labels))
    for number in np.unique(part):
        out = part == number
        others = Caps.of(labels[~out], names[~out].tolist())
        found[out] = others.log_ratio(fit(method, labels[~out], scores[~out]).log_ratio(scores[out]))
    return found


def parts_of_groups(labels: Floats, groups: Sequence[str]) -> npt.NDArray[np.intp]:
    """The part (n,) of each medium's group, 0 to at most PARTS - 1.

    Groups are dealt out one by one in the order of their names' hashes, those of the same mix of classes after each
    other, so that every part has each class and nothing depends on a seed or on the order of media.
    """
    classes: defaultdict[str, set[int]] = defaultdict(set)
    for label, group in zip(labels.tolist(), groups, strict=True):
        classes[group].add(int(label))
    dealt = sorted(classes, key=lambda group: (sorted(classes[group]), _hash(group)))
    place = {group: number % PARTS for number, group in enumerate(dealt)}
    return np.array([place[group] for group in groups], dtype=np.intp)


def _hash(group: str) -> bytes:
    return sha256(group.encode("utf-8", "surrogateescape")).digest()
