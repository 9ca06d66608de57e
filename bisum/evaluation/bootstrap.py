"""Percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13), for one system or a pair.

With few rows, the interval covers the true mean too seldom; `docs/explanation/numbers.md` has the measured coverage.
"""

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_SEED = 0
"""Fixed, so that intervals and comparisons do not depend on the seed of a run."""
CONFIDENCE = 0.95
FEWEST_ROWS = 10
"""Fewest rows for a meaningful interval; with a single row, it has no width."""
_ROUNDING = 1e-12
"""Largest difference of equal sums of scores in [0, 1] due to rounding."""


def resampled_means(values: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Return the means of `samples` resamples of the rows with replacement: (rows, ...) -> (samples, ...).

    The drawn rows depend only on `seed` and the number of rows, so two systems scored over the same rows are resampled
    in pairs under one seed. To save memory, only one resample is held at a time.
    """
    rows = len(values)
    columns = values.reshape(rows, -1)
    means = np.empty((samples, columns.shape[1]))
    generator = np.random.default_rng(seed)
    for mean in means:
        counts = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        mean[:] = counts @ columns / rows
    return means.reshape(samples, *values.shape[1:])


def interval(values: NDArray[np.float64], samples: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of the 95 % interval of the mean over rows: (rows, ...) -> two arrays of shape (...)."""
    return bounds(resampled_means(values, samples, seed))


def bounds(resampled: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of the 95 % interval of a resampled statistic: (samples, ...) -> two arrays of shape (...).

    A resample in which the statistic is NaN, because no row has a value, does not count.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def without_rounding(differences: NDArray[np.float64], size: float = 1) -> NDArray[np.float64]:
    """Return resampled differences of scores of about `size`, with 0 for those that are only rounding errors."""
    return np.where(np.abs(differences) < _ROUNDING * max(size, 1), 0, differences)


def share_above_zero(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share in [0, 1] of resampled differences that are above 0: (samples, ...) -> (...).

    With differences between two systems over the same rows, this is paired bootstrap resampling (Koehn 2004,
    aclanthology.org/W04-3250): the difficulty of a row does not blur the comparison. A resample without rows that have
    a value does not count.
    """
    share: NDArray[np.float64] = (differences > 0).sum(axis=0) / np.isfinite(differences).sum(axis=0)
    return share
