"""Percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13)."""

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def resampled_means(values: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """Means of `samples` resamples of the rows with replacement: (rows, ...) -> (samples, ...).

    The rows drawn depend on `seed` and the number of rows alone, so two systems scored over the same rows are
    resampled in pairs under one seed. One resample is held at a time.
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
    """Lower and upper end of the 95 % interval of the mean over rows: (rows, ...) -> two of shape (...)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled_means(values, samples, seed), [tail, 1 - tail], axis=0)
    return low, high
