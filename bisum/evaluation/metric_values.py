"""The values of all metrics, checked: a user's metric may return anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from bisum.errors import UserError, reason
from bisum.evaluation.row_scores import Column, Floats, RowScores, Whole, aggregated
from bisum.interfaces.metric import Metric, Summaries
from bisum.interfaces.progress import Bar, ShowProgress, no_progress
from bisum.interfaces.score import Score

logger = logging.getLogger(__name__)


def measured(
    metrics: Mapping[str, Metric],
    summaries: Summaries,
    progress: ShowProgress = no_progress,
    check_interrupt: Callable[[], None] = lambda: None,
) -> tuple[RowScores, dict[str, float]]:
    """Return the scores of all metrics, and the seconds that each metric took.

    Args:
        metrics: by their names in the configuration.
        summaries: the rows to score.
        progress: shows the progress of the metrics that report theirs.
        check_interrupt: called between metrics; raises if a signal asked the run to end.

    Raises:
        UserError: a metric fails, or returns an invalid value.
    """
    columns: dict[str, Column] = {}
    wholes: dict[str, Whole] = {}
    seconds: dict[str, float] = {}
    for key, metric in metrics.items():
        began = time.perf_counter()
        with _progress_of(key, summaries, progress, check_interrupt) as rows:
            computed = _computed(key, metric, rows)
        numbers = {name: values for name, values in computed.items() if isinstance(values, Real)}
        by_language = _by_language(key, metric, summaries, numbers) if numbers else {}
        for name, values in computed.items():
            if name in columns or name in wholes:
                raise UserError(f"metric.{key}: gives '{name}', which another metric gives too")
            score = _score_of(key, metric, name)
            if name in numbers:
                wholes[name] = Whole(
                    score, {of: _in_range(key, f"'{name}'", score, n) for of, n in by_language[name].items()}
                )
            else:
                columns[name] = _by_row(key, score, name, values, summaries)
        seconds[key] = time.perf_counter() - began
        check_interrupt()
    return RowScores(tuple(summaries.ids), tuple(summaries.languages), columns, wholes), seconds


def of_metric(key: str, metric: Metric, error: BaseException) -> UserError:
    """Return an error that names the metric, by its name in the configuration, and its key if the error names one."""
    if not isinstance(error, UserError):
        return UserError(f"metric.{key}: {type(metric).__name__} failed: {reason(error)}")
    named = str(error).partition(":")[0]
    return UserError(f"metric.{key}{'.' if named in vars(metric) else ': '}{error}")


@contextmanager
def _progress_of(
    key: str, summaries: Summaries, progress: ShowProgress, check_interrupt: Callable[[], None]
) -> Iterator[Summaries]:
    """Give rows whose `advance` moves a progress bar, which opens when it is first called."""
    with ExitStack() as opened:
        bars: list[Bar] = []

        def advance(done: int) -> None:
            check_interrupt()
            if not bars:
                bars.append(opened.enter_context(progress(f"scoring {key}", len(summaries.ids))))
            bars[0].advance(done)

        yield replace(summaries, advance=advance)


def _computed(key: str, metric: Metric, summaries: Summaries) -> Mapping[str, Any]:
    try:
        values = metric.compute(summaries)
    except (Exception, SystemExit) as error:
        raise of_metric(key, metric, error) from error
    if not isinstance(values, Mapping):
        raise UserError(f"metric.{key}: compute must return a mapping of scores, not {type(values).__name__}")
    return values


def _score_of(key: str, metric: Metric, name: Any) -> Score:
    """Return what a metric says of one of its scores."""
    try:
        return metric.scores[name]
    except (KeyError, TypeError) as error:
        known = ", ".join(metric.scores)
        raise UserError(f"metric.{key}: gives {name!r}, which its scores do not describe ({known})") from error


def _by_row(key: str, score: Score, name: str, values: Any, summaries: Summaries) -> Column:
    """Return the checked values of rows."""
    values = values.tolist() if hasattr(values, "tolist") else values  # arrays and tensors
    rows = _numbers(key, name, values, score, len(summaries.ids))
    column, missing = Column(score, rows), sum(value is None for value in values)
    if wrong := int((~column.present).sum()) - missing:
        logger.warning("metric.%s: '%s' is not finite in %s of %s rows, left out", key, name, wrong, len(rows))
    if score.aggregate is not None:
        _check_aggregate(key, name, score, rows)
        return column
    outside = np.isfinite(rows) & ~((rows >= score.lowest) & (rows <= score.highest))
    for row in np.flatnonzero(outside)[:1]:
        _in_range(key, f"'{name}' of row {summaries.ids[row]}", score, rows[row])
    return column


def _in_range(key: str, what: str, score: Score, value: Any) -> float:
    """Return a number that lies within the bounds of its score, or is not finite."""
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if np.isfinite(number) and not score.lowest <= number <= score.highest:
        raise UserError(f"metric.{key}: {what} is {number:g}, not {score.lowest:g} to {score.highest:g}")
    return number


def _check_aggregate(key: str, name: str, score: Score, rows: Floats) -> None:
    """Refuse a function that does not turn the counts of several samples into a score of each."""
    try:
        found = aggregated(score, np.stack([np.nansum(rows, axis=0)] * 2))
    except Exception as error:
        raise UserError(f"metric.{key}: the aggregate of '{name}' failed: {reason(error)}") from error
    if found.shape != (2,):
        raise UserError(f"metric.{key}: the aggregate of '{name}' must give 1 score for each of 2 samples")
    _in_range(key, f"'{name}'", score, found[0])


def _numbers(key: str, name: str, values: Any, score: Score, rows: int) -> Floats:
    """Return values of rows as floats, NaN for None; shape (rows,), or (rows, counts) if the score aggregates them."""
    dimensions = 1 if score.aggregate is None else 2
    expected = f"{'a number or None' if dimensions == 1 else 'a list of counts'} for each row"
    try:
        if any(isinstance(value, str | bytes) for value in values):
            raise TypeError("a value is text")
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"metric.{key}: '{name}' must be {expected}: {reason(error)}") from error
    if numbers.ndim != dimensions or len(numbers) != rows:
        found = " x ".join(map(str, numbers.shape))
        raise UserError(f"metric.{key}: '{name}' must be {expected}; it has {found} values, and there are {rows} rows")
    return numbers


def _by_language(
    key: str, metric: Metric, summaries: Summaries, numbers: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return numbers for all rows and for those of each language, by score and by language ("": all)."""
    found = {name: {"": number} for name, number in numbers.items()}
    languages = list(dict.fromkeys(summaries.languages))
    for language in languages:
        own = numbers if len(languages) == 1 else _computed(key, metric, _of_language(summaries, language))
        for name in numbers:
            if isinstance(own.get(name), Real):
                found[name][language] = own[name]
    return found


def _of_language(summaries: Summaries, language: str) -> Summaries:
    rows = [row for row, of in enumerate(summaries.languages) if of == language]

    def chosen(values: Sequence[Any]) -> Any:
        return tuple(values[row] for row in rows)

    given: dict[str, Any] = {name: values for name, values in vars(summaries).items() if isinstance(values, Sequence)}
    return replace(summaries, **{name: chosen(values) for name, values in given.items()})
