"""Computation of all metrics, with checks of their values: a user's metric can return anything."""

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
from bisum.evaluation.row_scores import Column, CorpusScore, Floats, RowScores, aggregated
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
    """Return the scores of all metrics, and the seconds that each took.

    Args:
        metrics: by their names in the configuration.
        summaries: the rows to score.
        progress: shows the progress of metrics that report it.
        check_interrupt: called between metrics; raises if a signal asked the run to end.

    Raises:
        UserError: a metric fails, or returns an invalid value.
    """
    columns: dict[str, Column] = {}
    corpus_scores: dict[str, CorpusScore] = {}
    seconds: dict[str, float] = {}
    for key, metric in metrics.items():
        began = time.perf_counter()
        with _with_progress(key, summaries, progress, check_interrupt) as rows:
            computed = _compute(key, metric, rows)
        numbers = {name: values for name, values in computed.items() if isinstance(values, Real)}
        by_language = _by_language(key, metric, summaries, numbers) if numbers else {}
        for name, values in computed.items():
            if name in columns or name in corpus_scores:
                raise UserError(f"metric.{key}: returns '{name}', which another metric also returns")
            score = _description(key, metric, name)
            if name in numbers:
                corpus_scores[name] = CorpusScore(
                    score, {of: _checked_number(key, f"'{name}'", score, n) for of, n in by_language[name].items()}
                )
            else:
                columns[name] = _column(key, score, name, values, summaries)
        seconds[key] = time.perf_counter() - began
        check_interrupt()
    return RowScores(tuple(summaries.ids), tuple(summaries.languages), columns, corpus_scores), seconds


def of_metric(key: str, metric: Metric, error: BaseException) -> UserError:
    """Return `error` as a UserError that starts with the metric's key, and with its option if the error names one."""
    if not isinstance(error, UserError):
        return UserError(f"metric.{key}: {type(metric).__name__} failed: {reason(error)}")
    option = str(error).partition(":")[0]
    return UserError(f"metric.{key}{'.' if option in vars(metric) else ': '}{error}")


@contextmanager
def _with_progress(
    key: str, summaries: Summaries, progress: ShowProgress, check_interrupt: Callable[[], None]
) -> Iterator[Summaries]:
    """Yield the rows with an `advance` that moves a progress bar, opened at its first call."""
    with ExitStack() as opened:
        bars: list[Bar] = []

        def advance(done: int) -> None:
            check_interrupt()
            if not bars:
                bars.append(opened.enter_context(progress(f"scoring {key}", len(summaries.ids))))
            bars[0].advance(done)

        yield replace(summaries, advance=advance)


def _compute(key: str, metric: Metric, summaries: Summaries) -> Mapping[str, Any]:
    try:
        values = metric.compute(summaries)
    except (Exception, SystemExit) as error:
        raise of_metric(key, metric, error) from error
    if not isinstance(values, Mapping):
        raise UserError(f"metric.{key}: compute must return a mapping of scores, not {type(values).__name__}")
    return values


def _description(key: str, metric: Metric, name: Any) -> Score:
    """Return a metric's description of one of its scores."""
    try:
        return metric.scores[name]
    except (KeyError, TypeError) as error:
        known = ", ".join(metric.scores)
        raise UserError(f"metric.{key}: returns {name!r}, which is missing from its scores ({known})") from error


def _column(key: str, score: Score, name: str, values: Any, summaries: Summaries) -> Column:
    """Return the checked values of one score for all rows."""
    values = values.tolist() if hasattr(values, "tolist") else values  # arrays and tensors
    rows = _numbers(key, name, values, score, len(summaries.ids))
    column, missing = Column(score, rows), sum(value is None for value in values)
    if lost := int((~column.present).sum()) - missing:
        logger.warning("metric.%s: '%s' is not finite in %s of %s rows; they are ignored", key, name, lost, len(rows))
    if score.aggregate is not None:
        _check_aggregate(key, name, score, rows)
        return column
    outside = np.isfinite(rows) & ~((rows >= score.lowest) & (rows <= score.highest))
    for row in np.flatnonzero(outside)[:1]:
        _checked_number(key, f"'{name}' of row {summaries.ids[row]}", score, rows[row])
    return column


def _checked_number(key: str, what: str, score: Score, value: Any) -> float:
    """Return the value as a float; refuse a finite one outside the bounds of its score."""
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if np.isfinite(number) and not score.lowest <= number <= score.highest:
        raise UserError(f"metric.{key}: {what} is {number:g}; must be from {score.lowest:g} to {score.highest:g}")
    return number


def _check_aggregate(key: str, name: str, score: Score, rows: Floats) -> None:
    """Refuse an aggregate that does not return one score per sample."""
    try:
        found = aggregated(score, np.stack([np.nansum(rows, axis=0)] * 2))
    except Exception as error:
        raise UserError(f"metric.{key}: the aggregate of '{name}' failed: {reason(error)}") from error
    if found.shape != (2,):
        raise UserError(f"metric.{key}: the aggregate of '{name}' must return 1 score for each of 2 samples")
    _checked_number(key, f"'{name}'", score, found[0])


def _numbers(key: str, name: str, values: Any, score: Score, rows: int) -> Floats:
    """Return the rows' values as floats, NaN for None; shape (rows,), or (rows, counts) for aggregated counts."""
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
        raise UserError(f"metric.{key}: '{name}' must be {expected}; it has {found} values for {rows} rows")
    return numbers


def _by_language(
    key: str, metric: Metric, summaries: Summaries, numbers: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return each score over all rows ("") and over each language's, by name and language."""
    found = {name: {"": number} for name, number in numbers.items()}
    languages = list(dict.fromkeys(summaries.languages))
    for language in languages:
        own = numbers if len(languages) == 1 else _compute(key, metric, _rows_of_language(summaries, language))
        for name in numbers:
            if isinstance(own.get(name), Real):
                found[name][language] = own[name]
    return found


def _rows_of_language(summaries: Summaries, language: str) -> Summaries:
    rows = [row for row, of in enumerate(summaries.languages) if of == language]

    def select(values: Sequence[Any]) -> Any:
        return tuple(values[row] for row in rows)

    fields: dict[str, Any] = {name: values for name, values in vars(summaries).items() if isinstance(values, Sequence)}
    return replace(summaries, **{name: select(values) for name, values in fields.items()})
