"""Percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13), for one system or a pair.

With few rows, the interval covers the true mean too seldom; `docs/scores.md` has the measured coverage.
"""

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
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
    return _ends(resampled_means(values, samples, seed))


def paired(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], samples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare two systems over the same rows by paired bootstrap resampling (Koehn 2004, aclanthology.org/W04-3250).

    Both are resampled with the same rows, so that the difficulty of a row does not blur the comparison.

    Returns:
        The lower and upper bound of the 95 % interval of the mean of `ours - theirs`, and the share in [0, 1] of the
        resamples in which the mean of `ours` is strictly above the mean of `theirs`: (rows, ...) and (rows, ...) ->
        three arrays of shape (...).
    """
    means = resampled_means(ours - theirs, samples, seed)
    means[np.abs(means) < _ROUNDING] = 0
    low, high = _ends(means)
    return low, high, (means > 0).mean(axis=0)


def _ends(means: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high
