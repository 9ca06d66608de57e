"""Scores of every row, and their means, intervals, values per language and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bisum.evaluation.bootstrap import bounds, resampled_means, share_above_zero, without_rounding
from bisum.interfaces.score import Score, score_name

ROWS_KEY = "bisum.rows"
"""Metadata key of the scored rows' fingerprint in a table of scores."""

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """The values of one score."""

    score: Score
    values: Floats
    """Shape (rows,), NaN where a row has no value; or (rows, counts) for a score that aggregates counts."""

    @property
    def present(self) -> Mask:
        """Whether each row has a value, shape (rows,)."""
        return np.array(np.isfinite(self.values).all(axis=tuple(range(1, self.values.ndim))), dtype=bool)


@dataclass(frozen=True)
class CorpusScore:
    """A corpus-level score, which has no values of rows."""

    score: Score
    values: Mapping[str, float]
    """The score of all rows (language "") and of each language's rows."""


@dataclass(frozen=True)
class RowScores:
    """The scores of one system on one split."""

    ids: tuple[str, ...]
    """Id of each row."""
    languages: tuple[str, ...]
    """Language code of each row."""
    columns: Mapping[str, Column]
    """Scores with a value per row, by name."""
    corpus_scores: Mapping[str, CorpusScore] = field(default_factory=dict)
    """Corpus-level scores, by name."""

    def table(self, fingerprint: str) -> pa.Table:
        """Return the values of rows as a table with the columns `id`, `language` and the names of `columns`.

        The values are as the metric returned them, before `Score.scale`; rows without a value are null. The
        metadata contains the rows' fingerprint under `ROWS_KEY`.
        """
        columns = {"id": pa.array(self.ids, pa.string()), "language": pa.array(self.languages, pa.string())}
        for name, column in self.columns.items():
            if column.values.ndim == 1:
                columns[name] = pa.array(column.values, from_pandas=True)  # NaN becomes null
            else:
                columns[name] = pa.array(list(column.values), pa.list_(pa.float64()))
        return pa.table(columns).replace_schema_metadata({ROWS_KEY: fingerprint})


def aggregate(scores: RowScores, prefix: str, samples: int, seed: int, languages: Iterable[str]) -> dict[str, float]:
    """Return metrics by their names in the logs: `eval/rouge1`, `eval/es/rouge1`, `eval/unicode/es/rougeL_low`, ...

    Each is `Score.scale` times the mean over the rows with a value, or the score's own aggregate of counts. `_low` and
    `_high` bound its 95% bootstrap interval from `samples` resamples; `_rows` counts the rows with a value if some
    lack one. A score without values, or with a non-finite aggregate, has only `_rows`, which is 0. Metrics cover all
    rows, and the rows of each of `languages` that has any. `prefix` is `eval`, `test` or `baseline`.
    """
    metrics: dict[str, float] = {}
    for language, rows in _parts(scores.languages, languages):
        present = {name: rows & column.present for name, column in scores.columns.items()}
        found = {
            name: _Statistic.of(scores.columns[name], rows, present[name]) for name in present if present[name].any()
        }
        with_interval = {name: statistic for name, statistic in found.items() if statistic.score.interval}
        resampled = _resampled(with_interval, samples, seed)
        for name, mask in present.items():
            count, statistic = int(mask.sum()), found.get(name)
            key = score_name(prefix, name, language=language)
            if statistic is None or not math.isfinite(statistic.value):
                metrics[f"{key}_rows"] = 0
                continue
            scale = statistic.score.scale
            metrics[key] = float(scale * statistic.value)
            if count < rows.sum():
                metrics[f"{key}_rows"] = count
            if name in resampled:
                low, high = bounds(resampled[name])
                metrics |= {f"{key}_low": float(scale * low), f"{key}_high": float(scale * high)}
        for name, corpus_score in scores.corpus_scores.items():
            if language in corpus_score.values:
                key = score_name(prefix, name, language=language)
                metrics[key] = corpus_score.score.scale * corpus_score.values[language]
    return metrics


def difference(
    ours: RowScores, theirs: RowScores, samples: int, seed: int, languages: Iterable[str]
) -> dict[str, float]:
    """Return the differences between two systems over the same rows: `difference/rouge1`, `difference/es/chrf`, ...

    Each is `ours` minus `theirs` over the rows where both have a value. `_rows` counts those rows if some are
    missing. `_low` and `_high` bound the 95% interval, from a paired bootstrap of `samples` resamples. `_better` is
    the percentage of resamples where `ours` is better, by the score's direction. A corpus-level score has only the
    difference. Scores of only one system, and scores without an interval, are omitted.

    Raises:
        ValueError: the two systems were not scored over the same rows.
    """
    if ours.ids != theirs.ids:
        raise ValueError("the two systems were not scored over the same rows")
    metrics: dict[str, float] = {}
    names = [name for name, column in ours.columns.items() if name in theirs.columns and column.score.interval]
    for language, rows in _parts(ours.languages, languages):
        both = {name: rows & ours.columns[name].present & theirs.columns[name].present for name in names}
        statistics = {
            name: _Statistic.of_pair(ours.columns[name], theirs.columns[name], rows, both[name])
            for name in names
            if both[name].any()
        }
        statistics = {name: statistic for name, statistic in statistics.items() if math.isfinite(statistic.value)}
        metrics |= {
            f"{score_name('difference', name, language=language)}_rows": 0 for name in names if name not in statistics
        }
        for name, resampled in _resampled(statistics, samples, seed).items():
            key, statistic = score_name("difference", name, language=language), statistics[name]
            apart, scale = without_rounding(resampled, statistic.size), statistic.score.scale
            low, high = bounds(apart)
            metrics[key] = float(scale * statistic.value)
            metrics |= {f"{key}_low": float(scale * low), f"{key}_high": float(scale * high)}
            if statistic.score.higher_is_better is not None:
                better = share_above_zero(apart if statistic.score.higher_is_better else -apart)
                metrics[f"{key}_better"] = float(100 * better)
            if (count := int(both[name].sum())) < rows.sum():
                metrics[f"{key}_rows"] = count
        for name in ours.corpus_scores.keys() & theirs.corpus_scores.keys():
            own, other = ours.corpus_scores[name], theirs.corpus_scores[name].values
            if language in own.values and language in other:
                key = score_name("difference", name, language=language)
                metrics[key] = own.score.scale * (own.values[language] - other[language])
    return metrics


@dataclass(frozen=True)
class _Statistic:
    """A function of the means over rows of some columns of numbers."""

    score: Score
    value: float
    numbers: Floats
    """Shape (rows, k)."""
    size: float = 1
    """Magnitude of the scores behind a difference, which sets the tolerance for rounding errors."""
    is_difference: bool = False
    """Whether the statistic is a difference; if so, the first half of the columns is ours, the second theirs."""

    @classmethod
    def of(cls, column: Column, rows: Mask, present: Mask, size: float = 1) -> _Statistic:
        """Return the score over the rows of a mask; `present` marks those with a value."""
        numbers = _numbers(column, rows, present)
        if column.score.aggregate is None:
            # The mean of one column sums in the order of np.mean over a list, so both agree bit for bit.
            return cls(column.score, float(column.values[present].mean()), numbers, size)
        return cls(column.score, float(aggregated(column.score, numbers.sum(axis=0))), numbers, size)

    @classmethod
    def of_pair(cls, ours: Column, theirs: Column, rows: Mask, both: Mask) -> _Statistic:
        """Return the difference between two systems, over the rows of a mask where both have a value."""
        if ours.score.aggregate is None:
            size = max(float(np.abs(column.values[both]).max()) for column in (ours, theirs))
            return cls.of(Column(ours.score, ours.values - theirs.values), rows, both, size)
        numbers = [_numbers(column, rows, both) for column in (ours, theirs)]
        own, other = (float(aggregated(ours.score, part.sum(axis=0))) for part in numbers)
        size = max(abs(own), abs(other))
        return cls(ours.score, own - other, np.concatenate(numbers, axis=1), size, is_difference=True)

    def of_means(self, means: Floats) -> Floats:
        """Return the statistic of the columns' means: (samples, k) -> (samples,)."""
        if self.is_difference:
            ours, theirs = np.split(means, 2, axis=1)
            return aggregated(self.score, ours) - aggregated(self.score, theirs)
        if self.score.aggregate is not None:
            return aggregated(self.score, means)
        if means.shape[1] == 1:
            return means[:, 0]
        total, present = means.T
        ratio: Floats = np.divide(total, present, out=np.full(len(means), math.nan), where=present > 0)
        return ratio


def aggregated(score: Score, counts: Floats) -> Floats:
    """Return the aggregate of counts: (..., k) -> (...); NaN where it is undefined, such as 0 / 0."""
    assert score.aggregate is not None
    with np.errstate(all="ignore"):
        return np.asarray(score.aggregate(counts), dtype=np.float64)


def _numbers(column: Column, rows: Mask, present: Mask) -> Floats:
    """Return the numbers to resample, shape (rows, k): values or counts, then a mask of values if some are missing."""
    columns = column.values[rows].reshape(int(rows.sum()), -1)
    has_value = present[rows]
    filled = np.where(has_value[:, None], columns, 0)
    if column.score.aggregate is not None or has_value.all():
        return filled
    return np.concatenate([filled, has_value[:, None].astype(np.float64)], axis=1)


def _resampled(statistics: Mapping[str, _Statistic], samples: int, seed: int) -> dict[str, Floats]:
    """Return `samples` resamples of each statistic, from the same drawn rows: arrays of shape (samples,)."""
    if not statistics:
        return {}
    parts = [statistic.numbers for statistic in statistics.values()]
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    means = np.split(resampled_means(np.concatenate(parts, axis=1), samples, seed), ends, axis=1)
    return {name: statistic.of_means(part) for (name, statistic), part in zip(statistics.items(), means, strict=True)}


def _parts(row_languages: Sequence[str], languages: Iterable[str]) -> Iterator[tuple[str, Mask]]:
    """Yield "" with a mask of all rows, then each language that has rows with their mask."""
    own = np.array(row_languages, dtype=object)
    for language, rows in [("", np.ones(len(own), bool)), *((language, own == language) for language in languages)]:
        if rows.any():
            yield language, rows
