"""The logistic regression agrees with scikit-learn's, and refuses what it cannot fit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ffpipe.stages.logistic import Logistic


def made(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = (random.random(count) < 0.3).astype(int)
    rows = random.normal(0, [1, 20, 0.1, 5], (count, 4)) + labels[:, None] * [1, 5, 0, 0]
    return np.column_stack([rows, np.full(count, 7.0)]), labels


def test_weights_are_those_of_scikit_learn():
    rows, labels = made()
    ours = Logistic.fit(rows, labels, penalty=2.0)
    spread = np.where(rows.std(0) < 1e-9, 1.0, rows.std(0))
    theirs = LogisticRegression(C=0.5, class_weight="balanced", tol=1e-8).fit(
        (rows - rows.mean(0)) / spread, labels
    )
    np.testing.assert_allclose(ours.weights, theirs.coef_[0], atol=1e-3)
    probabilities = theirs.predict_proba((rows - rows.mean(0)) / spread)[:, 1]
    np.testing.assert_allclose(ours.score(rows), probabilities, atol=1e-3)


@pytest.mark.parametrize("labels", [[], [1, 1, 1], [0, 0]])
def test_one_class_is_refused(labels):
    with pytest.raises(ValueError, match="both classes"):
        Logistic.fit(np.zeros((len(labels), 2)), labels)


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Logistic.fit(np.array([[0.0], [np.nan]]), [0, 1])
