"""Scores of every row, and what follows from them: means, intervals, values per language and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bisum.evaluation.bootstrap import bounds, resampled_means, share_above_zero, without_rounding
from bisum.interfaces.score import Score, score_name

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """The values of one score."""

    score: Score
    rows: Floats | None = None
    """Shape (rows,), NaN where a row has no value; or (rows, counts) for a score that aggregates counts."""
    whole: Mapping[str, float] | None = None
    """Numbers by language ("": all) of a score that has no values of rows."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each row has a value."""
        assert self.rows is not None
        by_row = self.rows.reshape(len(self.rows), -1)
        return np.array(np.isfinite(by_row).all(axis=1), dtype=bool)


@dataclass(frozen=True)
class RowScores:
    """The scores of one system on one split."""

    ids: tuple[str, ...]
    """Id of each row."""
    languages: tuple[str, ...]
    """Language code of each row."""
    columns: Mapping[str, Column]
    """Values of each score, by name."""

    def table(self) -> pa.Table:
        """Return the values of rows as a table with the columns `id`, `language` and the scores' names.

        The values are as the metric returned them, before `Score.scale`; rows without a value are null.
        """
        columns = {"id": pa.array(self.ids, pa.string()), "language": pa.array(self.languages, pa.string())}
        for name, column in self.columns.items():
            if column.rows is not None and column.rows.ndim == 1:
                columns[name] = pa.array(column.rows, from_pandas=True)  # NaN becomes null
            elif column.rows is not None:
                columns[name] = pa.array(list(column.rows), pa.list_(pa.float64()))
        return pa.table(columns)


def aggregate(scores: RowScores, prefix: str, samples: int, seed: int, languages: Iterable[str]) -> dict[str, float]:
    """Return metrics by their names in the logs: `eval/rouge1`, `eval/es/rouge1`, `eval/unicode/es/rougeL_low`, ...

    Each is `Score.scale` x a mean over the rows that have a value, or the score's own aggregate of counts. `_low` and
    `_high` bound its 95 % bootstrap interval from `samples` resamples; `_rows` is the number of rows with a value, if
    some have none. The metrics are over all rows, and over those of each of `languages` that has rows; a score without
    a value there is left out. `prefix` is `eval`, `test` or `baseline`.
    """
    metrics: dict[str, float] = {}
    for language, rows in _parts(scores.languages, languages):
        found = {name: _Statistic.of(column, rows) for name, column in scores.columns.items() if _has(column, rows)}
        with_interval = {name: statistic for name, statistic in found.items() if scores.columns[name].score.interval}
        resampled = _resampled(with_interval, samples, seed)
        for name, column in scores.columns.items():
            key, scale = score_name(prefix, name, language=language), column.score.scale
            if column.whole is not None and language in column.whole:
                metrics[key] = scale * column.whole[language]
            elif name in found:
                metrics[key] = float(scale * found[name].value)
                if (count := int((rows & column.present).sum())) < rows.sum():
                    metrics[f"{key}_rows"] = count
            if name in resampled:
                low, high = bounds(resampled[name])
                metrics |= {f"{key}_low": float(scale * low), f"{key}_high": float(scale * high)}
    return metrics


def difference(
    ours: RowScores, theirs: RowScores, samples: int, seed: int, languages: Iterable[str]
) -> dict[str, float]:
    """Return the differences between two systems over the same rows: `difference/rouge1`, `difference/es/chrf`, ...

    Each is `ours` minus `theirs` over the rows in which both have a value. `_low` and `_high` bound its 95 % interval,
    from a paired bootstrap of `samples` resamples. `_better` is the percentage of resamples in which `ours` is better,
    by the score's direction. A score of whole splits has the difference alone. Scores of only one system are left out.
    """
    if ours.ids != theirs.ids:
        raise ValueError("the two systems were not scored over the same rows")
    metrics: dict[str, float] = {}
    for language, rows in _parts(ours.languages, languages):
        statistics = {}
        for name in [name for name in ours.columns if name in theirs.columns]:
            column, other = ours.columns[name], theirs.columns[name]
            if column.whole is not None and other.whole is not None:
                if language in column.whole and language in other.whole:
                    key = score_name("difference", name, language=language)
                    metrics[key] = column.score.scale * (column.whole[language] - other.whole[language])
            elif column.score.interval and column.rows is not None and other.rows is not None:
                both = rows & column.present & other.present
                if both.any():
                    statistics[name] = _Statistic.of_pair(column, other, rows, both)
        for name, resampled in _resampled(statistics, samples, seed).items():
            score, value = ours.columns[name].score, statistics[name].value
            size = 1 if score.aggregate is None and score.highest <= 1 else np.nanmax(np.abs(resampled), initial=0)
            resampled = without_rounding(resampled, float(size))
            key = score_name("difference", name, language=language)
            low, high = bounds(resampled)
            ends: dict[str, Any] = {"": value, "_low": low, "_high": high}
            metrics |= {f"{key}{end}": float(score.scale * number) for end, number in ends.items()}
            if score.higher_is_better is not None:
                better = share_above_zero(resampled if score.higher_is_better else -resampled)
                metrics[f"{key}_better"] = float(100 * better)
    return metrics


@dataclass(frozen=True)
class _Statistic:
    """A function of the means of some columns of numbers over rows."""

    value: float
    numbers: Floats
    """Shape (rows, k)."""
    score: Score
    pair: bool = False
    """Whether the first half of the columns is ours, the second theirs, and the statistic their difference."""

    @classmethod
    def of(cls, column: Column, rows: NDArray[np.bool_]) -> _Statistic:
        """Return the score over the rows of a mask."""
        numbers = _numbers(column, rows, rows & column.present)
        if column.score.aggregate is None:
            assert column.rows is not None
            # One mean per column sums in the order of np.mean over a list of scores, so both are equal bit for bit.
            return cls(float(column.rows[rows & column.present].mean()), numbers, column.score)
        return cls(float(column.score.aggregate(numbers.sum(axis=0))), numbers, column.score)

    @classmethod
    def of_pair(cls, ours: Column, theirs: Column, rows: NDArray[np.bool_], both: NDArray[np.bool_]) -> _Statistic:
        """Return the difference of two systems in a score, over the rows of a mask in which both have a value."""
        assert ours.rows is not None
        assert theirs.rows is not None
        if ours.score.aggregate is None:
            return cls.of(Column(ours.score, np.where(both, ours.rows - theirs.rows, np.nan)), rows)
        numbers = [_numbers(column, rows, both) for column in (ours, theirs)]
        own, other = (float(ours.score.aggregate(part.sum(axis=0))) for part in numbers)
        return cls(own - other, np.concatenate(numbers, axis=1), ours.score, pair=True)

    def of_means(self, means: Floats) -> Floats:
        """Return the statistic of the columns' means: (samples, k) -> (samples,)."""
        aggregate = self.score.aggregate
        if self.pair and aggregate is not None:
            ours, theirs = np.split(means, 2, axis=1)
            return aggregate(ours) - aggregate(theirs)
        if aggregate is not None:
            return aggregate(means)
        if means.shape[1] == 1:
            return means[:, 0]
        total, present = means.T
        ratio: Floats = np.divide(total, present, out=np.full(len(means), math.nan), where=present > 0)
        return ratio


def _numbers(column: Column, rows: NDArray[np.bool_], present: NDArray[np.bool_]) -> Floats:
    """Return what to resample, shape (rows, k): values or counts; a last column marks values if some are missing."""
    assert column.rows is not None
    columns = column.rows[rows].reshape(rows.sum(), -1)
    has_value = present[rows]
    filled = np.where(has_value[:, None], columns, 0)
    if column.score.aggregate is not None or has_value.all():
        return filled
    return np.concatenate([filled, has_value[:, None].astype(np.float64)], axis=1)


def _resampled(statistics: Mapping[str, _Statistic], samples: int, seed: int) -> dict[str, Floats]:
    """Return `samples` resamples of each statistic, all from the same drawn rows: arrays of shape (samples,)."""
    if not statistics:
        return {}
    parts = [statistic.numbers for statistic in statistics.values()]
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    means = np.split(resampled_means(np.concatenate(parts, axis=1), samples, seed), ends, axis=1)
    return {name: statistic.of_means(of) for (name, statistic), of in zip(statistics.items(), means, strict=True)}


def _has(column: Column, rows: NDArray[np.bool_]) -> bool:
    return column.rows is not None and bool((rows & column.present).any())


def _parts(row_languages: Sequence[str], languages: Iterable[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield "" and a mask of all rows, then each language that has rows, and their mask."""
    of = np.array(row_languages, dtype=object)
    for language, rows in [("", np.ones(len(of), bool)), *((language, of == language) for language in languages)]:
        if rows.any():
            yield language, rows
