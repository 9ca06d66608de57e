"""Tests between systems that were scored on the same rows, with one seed or several.

A system's score is the mean over its seeds. It varies with the sampled rows and with the seeds. Rows are resampled with
replacement, the same rows for all systems (paired bootstrap; Koehn 2004, aclanthology.org/W04-3250). For a system with
several seeds, a normal draw adds the variation between seeds to each resample. The variance of that draw is itself
drawn, since a few seeds estimate it poorly; without row variation, the sum would follow Student's t distribution.
Part of the difference between seeds is due to the sampled rows. Resampling already covers that part, so it is
subtracted from each drawn variance (a generalized interval; Weerahandi 1993, doi.org/10.1080/01621459.1993.10476355).
`docs/explanation/comparisons.md` reports the measured size of this test and of alternatives.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bisum.comparison.variation import Variation
from bisum.evaluation.bootstrap import bounds, resampled_means, share_above_zero, without_rounding
from bisum.evaluation.row_scores import aggregated
from bisum.interfaces.score import Score

Floats = NDArray[np.float64]

_FEWEST_BEYOND = 10
"""Minimum number of resamples beyond 0 for taking the p-value from their share; with fewer, it is computed."""
_SINGLE, _DOUBLE = 1e-6, 1e-12
"""Relative errors of sums in single and double precision."""
_CHUNK = 1024


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two systems, the first minus the second."""

    difference: float
    low: float
    """Lower end of the 95% interval."""
    high: float
    p: float
    """Two-sided bootstrap p-value of no difference, not adjusted for other tests."""
    p_randomization: float
    """The p-value by approximate randomization of rows (Noreen 1989), as a check; it treats the seeds as fixed."""
    rows: int
    """Number of rows where both have a value."""


class ResampledSystems:
    """The values of several systems on the same rows, and resamples of the rows shared by all systems."""

    def __init__(
        self, values: Sequence[Floats], score: Score, samples: int, seed: int, seedless: Container[int] = ()
    ) -> None:
        """Resample rows.

        Args:
            values: for each system, the unscaled values of its seeds: shape (seeds, rows), NaN for a row without a
                value; or (seeds, rows, counts) for a score computed from counts.
            score: the definition of the score.
            samples: number of resamples.
            seed: seed of the resampling.
            seedless: the indices of systems without a seed, such as lead-k.
        """
        self._seedless = seedless
        self.values = list(values)
        self.score = score
        self.samples = samples
        self.seed = seed
        self.rows = self.values[0].shape[1]
        numbers = [_numbers(own) for own in self.values]
        self.seed_values = [self._of_means(own.mean(axis=0)) for own in numbers]
        """For each system, the score of each seed: shape (seeds,)."""
        parts = [own.reshape(self.rows, -1) for own in numbers]
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        means = np.split(resampled_means(np.concatenate(parts, axis=1), samples, seed), ends, axis=1)
        self._resampled = [  # for each system, shape (samples, seeds)
            self._of_means(part.reshape(samples, *own.shape[1:])) for own, part in zip(numbers, means, strict=True)
        ]

    def value(self, system: int) -> float:
        """Return the score of a system, averaged over its seeds."""
        return float(self.seed_values[system].mean())

    def interval(self, system: int, samples: int | None = None) -> tuple[float, float]:
        """Return the 95% interval of a system's score, from the first `samples` resamples."""
        resampled = self._resampled[system][:samples]
        variation = Variation.of([self.seed_values[system]], [resampled], resampled.mean(axis=1), [True])
        low, high = bounds(variation.added(resampled.mean(axis=1), [self.seed, 1, system]))
        return float(low), float(high)

    def tests(self, pairs: Sequence[tuple[int, int]]) -> list[PairedTest]:
        """Compare pairs of systems, each on the rows where all seeds of both have a value."""
        if not pairs:
            return []
        both = [_present(self.values[first]) & _present(self.values[second]) for first, second in pairs]
        partial = [at for at, rows in enumerate(both) if rows.any() and not rows.all()]
        masked = [_masked(self.values[system], both[at]) for at in partial for system in pairs[at]]
        resampled = ResampledSystems(masked, self.score, self.samples, self.seed) if masked else self
        randomized = self._randomized(pairs, both)
        tests = []
        for at, (pair, rows) in enumerate(zip(pairs, both, strict=True)):
            of, own = (self, pair)
            if at in partial:
                of, own = resampled, (2 * partial.index(at), 2 * partial.index(at) + 1)
            has_seeds = [system not in self._seedless for system in pair]
            test = of._test(own, pair, has_seeds, int(rows.sum())) if rows.any() else (math.nan,) * 4
            tests.append(PairedTest(*test, randomized[at], int(rows.sum())))
        return tests

    def _test(
        self, pair: tuple[int, int], draw: tuple[int, int], has_seeds: Sequence[bool], rows: int
    ) -> tuple[float, float, float, float]:
        """Return the difference of two systems, the ends of its interval, and its p-value.

        `draw` selects the random numbers, `has_seeds` is passed to `Variation.of`, and `rows` is the number of rows.
        """
        first, second = pair
        seeds = [self.seed_values[first], self.seed_values[second]]
        resampled = [self._resampled[first], self._resampled[second]]
        size = max(float(np.abs(own).max()) for own in seeds)
        delta = without_rounding(resampled[0].mean(axis=1) - resampled[1].mean(axis=1), size)
        difference = float(without_rounding(np.array(seeds[0].mean() - seeds[1].mean()), size))
        variation = Variation.of(seeds, resampled, delta, has_seeds)
        sign = 1 if draw[0] <= draw[1] else -1  # so that swapping the systems negates the result exactly
        drawn = sign * variation.added(sign * delta, [self.seed, 2, *sorted(draw)])
        low, high = bounds(drawn)
        return difference, float(low), float(high), _p_value(difference, drawn, variation, rows)

    def _of_means(self, means: Floats) -> Floats:
        """Compute scores from means over rows: (..., numbers) -> (...)."""
        if self.score.aggregate is not None:
            return aggregated(self.score, means)
        if means.shape[-1] == 1:
            return means[..., 0]
        total, present = means[..., 0], means[..., 1]
        scores: Floats = np.divide(total, present, out=np.full(total.shape, math.nan), where=present > 0)
        return scores

    def _randomized(self, pairs: Sequence[tuple[int, int]], both: Sequence[NDArray[np.bool_]]) -> list[float]:
        """Return, for each pair, the share of random swaps of its systems' rows with at least as large a difference.

        The seeds of a system are averaged first, so only rows are swapped.
        """
        own, other = (
            np.stack([_of_rows(self.values[pair[side]], rows) for pair, rows in zip(pairs, both, strict=True)], axis=1)
            for side in (0, 1)
        )  # shape (rows, pairs, counts)
        is_mean = self.score.aggregate is None
        precision = np.dtype(np.float32 if is_mean else np.float64)
        delta, total = (own - other).reshape(self.rows, -1).astype(precision), (own + other).sum(axis=0)
        found = np.abs(self._swapped((own - other).sum(axis=0), total))
        # Sums that differ only by rounding count as equal.
        size = np.abs(own - other).sum(axis=(0, 2)) if is_mean else np.abs(aggregated(self.score, total / 2))
        rounding = size * (_SINGLE if is_mean else _DOUBLE)
        generator = np.random.default_rng([self.seed, 3])
        beyond = np.zeros(len(pairs))
        for start in range(0, self.samples, _CHUNK):
            count = min(_CHUNK, self.samples - start)
            signs = 2 * generator.integers(2, size=(count, self.rows), dtype=np.int8).astype(precision) - 1
            moved = (signs @ delta).reshape(count, *total.shape)
            beyond += (np.abs(self._swapped(moved, total)) >= found - rounding).sum(axis=0)
        shares = (1 + beyond) / (1 + self.samples)
        return [float(share) if rows.any() else math.nan for share, rows in zip(shares, both, strict=True)]

    def _swapped(self, delta: NDArray[Any], total: Floats) -> Floats:
        """Compute score differences from summed differences and totals: (..., pairs, counts) -> (..., pairs)."""
        if self.score.aggregate is None:
            return np.asarray(delta[..., 0], dtype=np.float64)
        return aggregated(self.score, (total + delta) / 2) - aggregated(self.score, (total - delta) / 2)


def holm(p_values: Sequence[float], untested: int = 0) -> list[float]:
    """Return p-values adjusted for multiple tests, which bounds the family-wise error rate by the level.

    The step-down method of Holm (1979), www.jstor.org/stable/4615733. NaN p-values do not count as tests. `untested`
    is the number of tests skipped because of the data, such as those between systems that are not the best; they count.
    """
    values = np.array(p_values, dtype=np.float64)
    order = np.argsort(values)  # NaN comes last
    count = int(np.isfinite(values).sum())
    adjusted = np.full(len(values), math.nan)
    steps = values[order[:count]] * (untested + np.arange(count, 0, -1))
    adjusted[order[:count]] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]


def _p_value(difference: float, drawn: Floats, variation: Variation, rows: int) -> float:
    """Return twice the smaller share of resampled differences on either side of 0.

    If that side has very few, the share is unreliable. The p-value then assumes normal rows with the same variance, and
    is at least 2 / 2**rows, the smallest that an exact test of that many rows can return.
    """
    if not difference:
        return 1.0
    smaller = min(float(share_above_zero(drawn)), float(share_above_zero(-drawn)))
    smaller += float((drawn == 0).mean())
    if smaller * len(drawn) >= _FEWEST_BEYOND:
        return min(1.0, 2 * smaller)
    smallest = max(math.ldexp(1, 1 - rows), sys.float_info.min)
    return max(min(variation.tail(difference), 2 * _FEWEST_BEYOND / len(drawn)), smallest)


def _present(values: Floats) -> NDArray[np.bool_]:
    """Return a mask of the rows where all seeds have a value: shape (rows,)."""
    axes = (0, *range(2, values.ndim))
    return np.array(np.isfinite(values).all(axis=axes), dtype=bool)


def _masked(values: Floats, rows: NDArray[np.bool_]) -> Floats:
    """Return the values with NaN in all other rows."""
    masked = values.copy()
    masked[:, ~rows] = math.nan
    return masked


def _of_rows(values: Floats, rows: NDArray[np.bool_]) -> Floats:
    """Return each row's mean over seeds, 0 in all other rows: (seeds, rows, ...) -> (rows, numbers)."""
    mean = np.where(rows.reshape(-1, *[1] * (values.ndim - 2)), values.mean(axis=0), 0)
    return mean.reshape(len(rows), -1)


def _numbers(values: Floats) -> Floats:
    """Return the numbers to resample: (seeds, rows, ...) -> (rows, seeds, numbers).

    A row's numbers are its counts or its value. If some rows lack a value, a second number marks its presence.
    """
    has_value = np.isfinite(values)
    if values.ndim == 2:
        columns = [values] if has_value.all() else [np.where(has_value, values, 0), has_value]
        values = np.stack(columns, axis=2)
    return np.nan_to_num(values).transpose(1, 0, 2)
