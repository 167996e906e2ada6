"""The low-rank Gaussian: its distance against the full inverse, and its shrinkage against the paper's sums."""

from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.gaussian import CONSTANT, NOISE_FLOOR, fit_gaussian

COLUMNS = 12


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Two common factors, own noise of unlike size, and a column that never changes."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(2, COLUMNS))
    mixing[:, 0] = 2
    made = random.normal(size=(count, 2)) @ mixing + random.normal(size=(count, COLUMNS)) * np.linspace(
        0.05, 1, COLUMNS
    )
    made[:, -1] = 7
    return (3 + made).astype(np.float32)


def same(x: np.ndarray) -> np.ndarray:
    return x


def covariance(found) -> np.ndarray:
    factors = found.factors.astype(np.float64)
    return factors.T @ factors + np.diag(found.noise.astype(np.float64))


@pytest.mark.parametrize("count", [8, 300])
def test_the_distance_is_that_of_the_whole_inverse(count: int) -> None:
    found = fit_gaussian(rows(count), same, factors=3)
    shown = rows(20, seed=1)
    standard = (shown.astype(np.float64) - found.mean) / found.scale
    direct = np.einsum("ni,ij,nj->n", standard, np.linalg.inv(covariance(found)), standard) / COLUMNS
    assert np.allclose(found.distance(shown), np.sqrt(direct), rtol=1e-9)
    assert found.distance(shown[:0]).shape == (0,)
    with pytest.raises(ValueError, match="12 columns"):
        found.distance(shown[:, 1:])


def test_the_covariance_is_the_shrunk_one_on_the_diagonal_and_nearly_beside_it() -> None:
    """Both ways of finding the factors, by rows' products and by columns', with Ledoit and Wolf's sums written out."""
    for count in (COLUMNS, 400):
        given = rows(count).astype(np.float64)
        scale = given.std(0)
        scale[scale < CONSTANT] = 1
        z = (given - given.mean(0)) / scale
        sample = z.T @ z / count
        apart = ((sample - np.eye(COLUMNS)) ** 2).sum()
        scatter = sum(((np.outer(each, each) - sample) ** 2).sum() for each in z) / count**2
        found = fit_gaussian(given, same, factors=COLUMNS - 2)
        assert found.shrinkage == pytest.approx(min(1, scatter / apart), rel=1e-6)
        shrunk = (1 - found.shrinkage) * sample + found.shrinkage * np.eye(COLUMNS)
        diagonal = np.diag(covariance(found))
        assert np.all(diagonal >= np.diag(shrunk) - 1e-5)
        assert np.all(diagonal <= np.diag(shrunk) + NOISE_FLOOR + 1e-5)
        leading = np.linalg.eigvalsh(sample)[::-1][: len(found.factors)] * (1 - found.shrinkage)
        assert np.allclose((found.factors.astype(np.float64) ** 2).sum(1), leading, rtol=1e-4, atol=1e-6)


def test_rows_like_those_fitted_are_at_one_and_a_broken_relation_is_not() -> None:
    found = fit_gaussian(rows(400), same, factors=2)
    fresh = rows(200, seed=5)
    assert np.sqrt((found.distance(fresh) ** 2).mean()) == pytest.approx(1, abs=0.15)
    # Every column within its own range, but the quiet first one no longer follows the others.
    odd = fresh.copy()
    odd[:, 0] = np.random.default_rng(3).permutation(odd[:, 0])
    beyond = found.distance(odd) > np.quantile(found.distance(fresh), 0.95)
    assert beyond.mean() > 0.4, "of rows as they were it is 5%"


def test_the_same_rows_give_the_same_numbers_and_too_few_are_refused() -> None:
    first, second = (fit_gaussian(rows(50), same) for _ in range(2))
    assert np.array_equal(first.factors, second.factors)
    assert np.array_equal(first.distance(rows(9, 2)), second.distance(rows(9, 2)))
    two = fit_gaussian(rows(2), same)
    assert np.isfinite(two.distance(rows(5))).all()
    assert np.isfinite(fit_gaussian(np.zeros((3, 4)), same).distance(np.ones((1, 4)))).all()
    with pytest.raises(ValueError, match="too few"):
        fit_gaussian(rows(1), same)
