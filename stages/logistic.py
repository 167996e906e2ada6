"""Logistic regression on a table of numbers, for references that a detector is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Floats = npt.NDArray[np.float64]

#: Columns that deviate by less in training are constant but for rounding, and keep their scale.
_CONSTANT = 1e-9


@dataclass(frozen=True, slots=True)
class Logistic:
    """Standardised columns, one weight each (k,) and a bias; the score is the probability of label 1."""

    mean: Floats
    deviation: Floats
    weights: Floats
    bias: float

    @classmethod
    def fit(cls, rows: Floats, labels: npt.ArrayLike, penalty: float = 1.0) -> Self:
        """Fit (n,k) rows to labels 0 and 1, both classes weighing alike, by L-BFGS.

        Minimises the mean of the log loss plus penalty / (2 n) times the squared weights, the bias left out.
        Raises ValueError where a class is absent or a number is none.
        """
        truth = np.asarray(labels, np.float64)
        fakes = truth.mean() if truth.size else 0.0
        if not 0 < fakes < 1 or not np.isfinite(rows).all():
            raise ValueError("logistic regression needs rows of both classes, all of finite numbers")
        mean, deviation = rows.mean(0), rows.std(0)
        deviation = np.where(deviation < _CONSTANT, 1.0, deviation)
        table = (rows - mean) / deviation
        shares = np.where(truth == 1, 0.5 / fakes, 0.5 / (1 - fakes)) / len(truth)

        def loss(parameters: Floats) -> tuple[float, Floats]:
            weights, logits = parameters[:-1], table @ parameters[:-1] + parameters[-1]
            value = float((shares * np.logaddexp(0, np.where(truth == 1, -logits, logits))).sum())
            error = shares * (expit(logits) - truth)
            scale = penalty / len(truth)
            gradient = np.append(table.T @ error + scale * weights, error.sum())
            return value + scale / 2 * float(weights @ weights), gradient

        found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B")
        return cls(mean, deviation, found.x[:-1], float(found.x[-1]))

    def score(self, rows: Floats) -> Floats:
        """Probabilities (n,) of label 1 for rows (n,k)."""
        return np.asarray(expit((rows - self.mean) / self.deviation @ self.weights + self.bias))
