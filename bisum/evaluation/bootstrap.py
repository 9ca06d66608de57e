"""Percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13), for one system or a pair.

With few rows, the interval covers the true mean too rarely; `docs/explanation/numbers.md` gives the measured coverage.
"""

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_SEED = 0
"""Fixed, to make intervals and comparisons independent of a run's seed."""
CONFIDENCE = 0.95
MIN_ROWS = 10
"""Minimum number of rows for a meaningful interval; with a single row, it has no width."""
_ROUNDING = 1e-12
"""Largest rounding difference between equal sums of scores in [0, 1]."""


def resampled_means(values: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Return the means of `samples` resamples of the rows with replacement: (rows, ...) -> (samples, ...).

    The drawn rows depend only on `seed` and the number of rows, so under one seed, two systems scored over the same
    rows are resampled in pairs. Only one resample is in memory at a time.
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
    """Return the bounds of the 95% interval of the mean over rows: (rows, ...) -> two arrays of shape (...)."""
    return bounds(resampled_means(values, samples, seed))


def bounds(resampled: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of the 95% interval of a resampled statistic: (samples, ...) -> two arrays of shape (...).

    Resamples whose statistic is NaN, because no row has a value, are ignored.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def without_rounding(differences: NDArray[np.float64], size: float = 1) -> NDArray[np.float64]:
    """Return resampled score differences with rounding errors set to 0; `size` is the magnitude of the scores."""
    return np.where(np.abs(differences) < _ROUNDING * max(size, 1), 0, differences)


def share_above_zero(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share in [0, 1] of resampled differences that are above 0: (samples, ...) -> (...).

    With differences between two systems over the same rows, this is paired bootstrap resampling (Koehn 2004,
    aclanthology.org/W04-3250): pairing cancels the difficulty of each row. NaN differences, from resamples without any
    value, are ignored.
    """
    share: NDArray[np.float64] = (differences > 0).sum(axis=0) / np.isfinite(differences).sum(axis=0)
    return share
