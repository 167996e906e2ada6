"""A Gaussian of many columns from few rows: some common factors, and each column's own noise.

Rows x are standardised, z = (x - mean) / scale, and S is their covariance. It is shrunk towards the identity as far as
Ledoit and Wolf (2004) derive from the scatter of single rows, S* = (1 - a) S + a I. Of S* the k leading eigenvectors
are kept, W = V sqrt((1 - a) lambda), and of the rest the diagonal alone,

    C = W W' + diag(psi),   psi = max(diag(S*) - diag(W W'), NOISE_FLOOR),

which is the form of factor analysis: k (d + 1) numbers instead of d^2, and unlike an isotropic rest it still sees a
column whose noise is small leave its place among the others. The distance is Mahalanobis', by Woodbury's identity,

    d^2 = (z' psi^-1 z - y' (I + W' psi^-1 W)^-1 y) / columns,   y = W' psi^-1 z,

so that it is about 1 for rows like those that were fitted, whatever their number of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Stored = NDArray[np.float32]

#: Factors that are kept at most.
FACTORS = 64
#: Least own variance of a column, in shares of its variance: what is left below it may be rounding or few rows.
NOISE_FLOOR = 0.01
#: Deviation under which a column is constant and keeps its scale: divided by rounding, it would outweigh all others.
CONSTANT = 1e-3
#: Rows that are worked on at a time.
_CHUNK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """mean, scale and noise (d,), factors (k,d) with 0 <= k; float32, as they are stored. `shrinkage` is a."""

    mean: Stored
    scale: Stored
    factors: Stored
    noise: Stored
    shrinkage: float
    _whitening: tuple[Matrix, Matrix] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        factors = self.factors.astype(np.float64)
        weighted = factors / self.noise.astype(np.float64)  # W' psi^-1 (k,d)
        inner = np.eye(len(factors)) + weighted @ factors.T
        object.__setattr__(self, "_whitening", (weighted, np.linalg.cholesky(inner)))

    def distance(self, rows: NDArray[np.floating]) -> Matrix:
        """Distances (n,) of rows (n,d), about 1 for rows like those that were fitted."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ValueError(f"expected rows of {len(self.mean)} columns, got {rows.shape}")
        parts = [self._distance(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _distance(self, rows: NDArray[np.floating]) -> Matrix:
        # The training loop imports this module, and runs where there is no SciPy.
        from scipy.linalg import solve_triangular

        weighted, lower = self._whitening
        standard = (rows.astype(np.float64) - self.mean) / self.scale  # (n,d)
        own = (standard**2 / self.noise).sum(axis=1)
        common = solve_triangular(lower, weighted @ standard.T, lower=True)  # (k,n)
        squared = own - (common**2).sum(axis=0)
        return np.asarray(np.sqrt(np.maximum(squared, 0) / len(self.mean)))


def fit_gaussian(
    rows: NDArray[np.floating], transform: Callable[[Matrix], Matrix], factors: int = FACTORS
) -> Gaussian:
    """The Gaussian of transform(rows), rows (n,d), taken in double precision some rows at a time.

    Beside the rows it needs d^2 numbers where n > d, else n d. Raises ValueError where there are fewer than 2 rows.
    """
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} rows are too few for a covariance")

    def chunks() -> Iterator[Matrix]:
        for start in range(0, len(rows), _CHUNK):
            yield transform(rows[start : start + _CHUNK].astype(np.float64))

    count, width = rows.shape
    mean = np.sum([part.sum(axis=0) for part in chunks()], axis=0) / count
    variance = np.sum([((part - mean) ** 2).sum(axis=0) for part in chunks()], axis=0) / count
    scale = np.sqrt(variance)
    scale[scale < CONSTANT] = 1.0
    leading, squares, fourth = _spectrum(
        lambda: ((part - mean) / scale for part in chunks()), count, width, factors
    )
    shrinkage = _shrinkage(variance / scale**2, squares, fourth, count)
    loadings = leading * np.sqrt(1 - shrinkage)  # (k,d)
    diagonal = (1 - shrinkage) * variance / scale**2 + shrinkage
    noise = np.maximum(diagonal - (loadings**2).sum(axis=0), NOISE_FLOOR)
    stored = [part.astype(np.float32) for part in (mean, scale, loadings, noise)]
    return Gaussian(stored[0], stored[1], stored[2], stored[3], shrinkage)


def _spectrum(
    standard: Callable[[], Iterator[Matrix]], count: int, width: int, factors: int
) -> tuple[Matrix, float, float]:
    """sqrt(lambda) v of the leading eigenpairs of S (k,d), the sum of squares of S, and the sum of |z|^4.

    Where there are fewer rows than columns the eigenvectors are those of the rows' products.
    """
    from scipy.linalg import eigh

    fourth = float(sum(((part**2).sum(axis=1) ** 2).sum() for part in standard()))
    few = count <= width
    if few:
        whole = np.concatenate(list(standard()))
        products = whole @ whole.T / count
    else:
        products = np.zeros((width, width))
        for part in standard():
            products += part.T @ part
        products /= count
    kept = min(factors, len(products) - 1)
    places = (len(products) - kept, len(products) - 1)
    values, vectors = (
        eigh(products, subset_by_index=places) if kept else (np.empty(0), np.empty((len(products), 0)))
    )
    values = np.maximum(values, 0)
    # Of products Z Z'/n = U L U' the loadings of Z'Z/n are Z'U / sqrt(n).
    leading = vectors.T @ whole / np.sqrt(count) if few else (vectors * np.sqrt(values)).T
    return leading[::-1], float((products**2).sum()), fourth


def _shrinkage(variance: Matrix, squares: float, fourth: float, count: int) -> float:
    """a of Ledoit and Wolf's lemmas 3.2 to 3.4, for a target of the identity: min(b^2, d^2) / d^2.

    d^2 = |S - I|^2, b^2 = (sum |z z' - S|^2) / n^2 = (sum |z|^4 / n - |S|^2) / n.
    """
    apart = squares - 2 * float(variance.sum()) + len(variance)
    scatter = (fourth / count - squares) / count
    return min(1.0, max(0.0, scatter / apart)) if apart > 0 else 1.0
