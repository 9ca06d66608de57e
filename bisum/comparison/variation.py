"""Variation of a score, or of a difference of two, across sampled rows and across seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bisum.evaluation.bootstrap import without_rounding

Floats = NDArray[np.float64]

_TAIL_NODES = 2000
"""Number of variances over which a tail probability is averaged."""


@dataclass(frozen=True)
class Variation:
    """Variance components of a statistic, due to rows and seeds."""

    rows: float
    """Variance due to the sampled rows."""
    seeds: float
    """Observed variance between seeds; 0 if no system has several seeds."""
    explained: float
    """Part of `seeds` that is due to the sampled rows."""
    freedom: float
    """Degrees of freedom of `seeds`, by the approximation of Welch (1947), www.jstor.org/stable/2332510."""

    @classmethod
    def of(
        cls, seeds: Sequence[Floats], resampled: Sequence[Floats], statistic: Floats, has_seeds: Sequence[bool]
    ) -> Variation:
        """Return the variation of a system, or of the difference of two.

        A system with one seed is assumed to vary across seeds as much as the other system.

        Args:
            seeds: for each system, the score of each seed: shape (seeds,).
            resampled: for each system, these scores in each resample of rows: shape (samples, seeds).
            statistic: the statistic in each resample: shape (samples,).
            has_seeds: for each system, whether its summaries depend on a seed.
        """
        several = [_of_seeds(own, drawn) for own, drawn in zip(seeds, resampled, strict=True) if len(own) > 1]
        single = sum(len(own) == 1 and has for own, has in zip(seeds, has_seeds, strict=True))
        counts = [len(own) for own in seeds if len(own) > 1]
        # Weight of each system's single-seed variance in the variance of the statistic.
        shares = [1 / count + (single if len(several) == 1 else 0) for count in counts]
        observed = [share * variance for share, (variance, _) in zip(shares, several, strict=True)]
        explained = sum(share * part for share, (_, part) in zip(shares, several, strict=True))
        squares = sum(part**2 / (count - 1) for part, count in zip(observed, counts, strict=True))
        freedom = sum(observed) ** 2 / squares if squares else math.inf
        return cls(float(np.nanvar(statistic)), sum(observed), explained, freedom)

    def added(self, resampled: Floats, seed: Sequence[int]) -> Floats:
        """Add the variation of the seeds to resamples of rows, if any system has several seeds."""
        if not self.seeds:
            return resampled
        normal = np.random.default_rng([*seed, 0]).standard_normal(len(resampled))
        squares = np.random.default_rng([*seed, 1]).chisquare(self.freedom, len(resampled))
        noise: Floats = np.sqrt(self._beyond_rows(squares)) * normal
        return resampled + noise

    def tail(self, difference: float) -> float:
        """Return the two-sided p-value of a difference, assuming that resamples of rows are normal."""
        if not self.seeds:
            return _normal(difference, self.rows)
        half = self.freedom / 2
        logs = np.linspace(-60, math.log(self.freedom + 20 * math.sqrt(self.freedom) + 100), _TAIL_NODES)
        weights = np.exp(half * logs - np.exp(logs) / 2 - half * math.log(2) - math.lgamma(half))
        tails = [_normal(difference, self.rows + float(own)) for own in self._beyond_rows(np.exp(logs))]
        return float(weights @ np.array(tails) * (logs[1] - logs[0]))

    def _beyond_rows(self, squares: Floats) -> Floats:
        """Return seed variances, minus the part explained by rows, for draws from the chi-squared distribution."""
        variances: Floats = np.maximum(self.seeds * self.freedom / squares - self.explained, 0)
        return variances


def _of_seeds(seeds: Floats, resampled: Floats) -> tuple[float, float]:
    """Return the variance between seeds, and the part of it that is due to the sampled rows."""
    centered = without_rounding(seeds - seeds.mean(), float(np.abs(seeds).max()))
    deviations = resampled - resampled.mean(axis=1, keepdims=True)
    degrees = len(seeds) - 1
    return float((centered**2).sum()) / degrees, float(np.nanvar(deviations, axis=0).sum()) / degrees


def _normal(difference: float, variance: float) -> float:
    """Return the two-sided p-value of a nonzero normal difference."""
    return math.erfc(abs(difference) / math.sqrt(2 * variance)) if variance else 0.0
