"""Maps from scores to likelihood ratios of fake against real: temperature, Platt and isotonic, fitted and applied.

A score p is read as the log odds s = ln(p / (1 - p)). A map gives the log likelihood ratio of it, ln LR, which never
falls as p rises. All are fitted with both classes weighing alike: the posterior that they fit is then one at even odds,
and its odds are the likelihood ratio (Brümmer and du Preez, Computer Speech and Language 20, 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import expit, logit

from ffpipe.stages.sample import LOG_FLOOR, Floats, checked

Method = Literal["temperature", "platt", "isotonic"]
#: The simplest first.
METHODS: tuple[Method, ...] = get_args(Method)
#: Temperatures that are looked through. Scores that say nothing, or nothing but the truth, would go on for ever.
_COLDEST, _HOTTEST = 0.01, 1e4


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """A fitted map. Parameters are `temperature`; `slope` and `bias`; or `scores` and `probabilities`, both rising.

    - temperature: ln LR = s / T.
    - platt: ln LR = a s + b.
    - isotonic: LR = r / (1 - r), with r linear in p between the knots and constant beyond them.
    """

    method: Method
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"no calibration method {self.method!r}; there are {', '.join(METHODS)}")
        if fault := _FAULTS[self.method](self.parameters):
            raise ValueError(f"{self.method} with {fault}")

    def log_ratio(self, scores: npt.ArrayLike) -> Floats:
        """ln LR (n,) of scores (n,); infinite where an isotonic map has seen one class alone.

        Raises ValueError for a score that is not in [0, 1].
        """
        given = np.asarray(scores, np.float64)
        if not ((given >= 0) & (given <= 1)).all():
            raise ValueError("a score to calibrate is not within 0 and 1")
        known = self.parameters
        if self.method == "isotonic":
            with np.errstate(divide="ignore"):
                return np.asarray(logit(np.interp(given, known["scores"], known["probabilities"])))
        if self.method == "platt":
            return np.asarray(known["slope"] * log_odds(given) + known["bias"])
        return np.asarray(log_odds(given) / known["temperature"])

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"method": self.method, "parameters": dict(self.parameters)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        return cls(stored["method"], dict(stored["parameters"]))


def log_odds(scores: npt.ArrayLike) -> Floats:
    """ln(p / (1 - p)) of scores (n,), which are kept LOG_FLOOR away from 0 and 1."""
    return np.asarray(logit(np.clip(np.asarray(scores, np.float64), LOG_FLOOR, 1 - LOG_FLOOR)))


def fit(method: Method, labels: npt.ArrayLike, scores: npt.ArrayLike) -> ScoreMap:
    """The map of a method that fits labels (n,), 0 real and 1 fake, and scores (n,) in [0, 1] best.

    Raises ValueError where a class is absent, or as `Metric`.
    """
    truth, values = checked(labels, scores)
    if np.unique(truth).size < 2:
        raise ValueError("a calibration needs media of both classes")
    return ScoreMap(method, _FITS[method](truth, values))


def _shares(truth: Floats) -> Floats:
    """Weights (n,) that add up to one, half of it in each class."""
    fakes = truth.mean()
    return np.asarray(np.where(truth == 1, 0.5 / fakes, 0.5 / (1 - fakes)) / truth.size)


def _temperature(truth: Floats, scores: Floats) -> dict[str, float]:
    """The T of least Cllr of s / T: temperature scaling (Guo et al., ICML 2017), the classes weighing alike."""
    against = np.where(truth == 1, -1, 1) * log_odds(scores)
    shares = _shares(truth)

    def cost(log_temperature: float) -> float:
        return float(shares @ np.logaddexp(0, against / np.exp(log_temperature)))

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return {"temperature": float(np.exp(found.x))}


def _platt(truth: Floats, scores: Floats) -> dict[str, float]:
    """Slope and bias of logistic regression on s, with the targets of Platt (1999), the classes weighing alike.

    Targets are (N1 + 1) / (N1 + 2) for the N1 fakes and 1 / (N0 + 2) for the N0 reals, in place of 1 and 0: what one
    more medium of each class and label would teach, so that a perfect separation has finite slopes. A slope below 0,
    which would turn the scores round, is taken as 0.
    """
    odds, shares = log_odds(scores), _shares(truth)
    fakes = float(truth.sum())
    target = np.where(truth == 1, (fakes + 1) / (fakes + 2), 1 / (truth.size - fakes + 2))

    def cost(at: Floats) -> tuple[float, Floats]:
        ratio = at[0] * odds + at[1]
        error = shares * (expit(ratio) - target)
        value = shares @ (np.logaddexp(0, ratio) - target * ratio)
        return float(value), np.array([error @ odds, error.sum()])

    found = minimize(
        cost, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )  # fmt: skip
    return {"slope": float(found.x[0]), "bias": float(found.x[1])}


def _isotonic(truth: Floats, scores: Floats) -> dict[str, list[float]]:
    """The rising posterior r of least squares, by pool-adjacent-violators (Zadrozny and Elkan, KDD 2002).

    Knots are the ends of each pool. Equal scores are one; both classes weigh alike.
    """
    places, place = np.unique(scores, return_inverse=True)
    shares = _shares(truth)
    mass = np.bincount(place, shares)
    raw = np.bincount(place, shares * truth) / mass
    fitted = np.clip(isotonic_regression(raw, weights=mass).x, 0, 1)
    steps = np.diff(fitted) != 0
    ends = np.append(True, steps) | np.append(steps, True)
    return {"scores": places[ends].tolist(), "probabilities": fitted[ends].tolist()}


_FITS: Mapping[Method, Callable[[Floats, Floats], dict[str, Any]]] = {
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}


def _temperature_fault(known: Mapping[str, Any]) -> str | None:
    value = known["temperature"]
    return None if np.isfinite(value) and value > 0 else f"the temperature {value}"


def _platt_fault(known: Mapping[str, Any]) -> str | None:
    slope, bias = known["slope"], known["bias"]
    return None if np.isfinite([slope, bias]).all() and slope >= 0 else f"slope {slope} and bias {bias}"


def _isotonic_fault(known: Mapping[str, Any]) -> str | None:
    scores, fitted = (np.asarray(known[name], np.float64) for name in ("scores", "probabilities"))
    if scores.ndim != 1 or not scores.size or scores.shape != fitted.shape:
        return "knots that are no two lists of one length"
    both = np.concatenate([scores, fitted])
    rising = (np.diff(scores) > 0).all() and (np.diff(fitted) >= 0).all()
    return None if rising and ((both >= 0) & (both <= 1)).all() else "knots that do not rise within 0 and 1"


_FAULTS: Mapping[Method, Callable[[Mapping[str, Any]], str | None]] = {
    "temperature": _temperature_fault,
    "platt": _platt_fault,
    "isotonic": _isotonic_fault,
}
