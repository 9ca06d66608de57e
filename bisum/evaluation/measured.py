"""The values of all metrics, checked: a metric of a user's own may return anything."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from bisum.errors import UserError, reason
from bisum.evaluation.row_scores import Column, Floats
from bisum.interfaces.metric import Metric, Summaries
from bisum.interfaces.score import Score

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(unicode/)?[A-Za-z][\w-]*")
_RESERVED = ("_low", "_high", "_better", "_rows")


def measured(
    metrics: Mapping[str, Metric], summaries: Summaries, check_interrupt: Callable[[], None]
) -> tuple[dict[str, Column], dict[str, float]]:
    """Return the values of each metric's scores by the score's name, and the seconds that each metric took.

    Args:
        metrics: by their names in the configuration.
        summaries: the rows to score.
        check_interrupt: called between metrics; raises if a signal asked the run to end.

    Raises:
        UserError: a metric fails, or returns what is no value of its scores.
    """
    columns: dict[str, Column] = {}
    seconds: dict[str, float] = {}
    for key, metric in metrics.items():
        began = time.perf_counter()
        computed = _computed(key, metric, summaries)
        wholes = {name: float(values) for name, values in computed.items() if isinstance(values, Real)}
        by_language = _by_language(key, metric, summaries, wholes) if wholes else {}
        for name, values in computed.items():
            if name in columns:
                raise UserError(f"metric.{key}: gives '{name}', which is the name of another metric's score")
            score = score_of(key, metric, name)
            if name in wholes:
                columns[name] = Column(score, whole=by_language[name])
            else:
                columns[name] = _by_row(key, score, name, values, summaries)
        seconds[key] = time.perf_counter() - began
        check_interrupt()
    return columns, seconds


def _computed(key: str, metric: Metric, summaries: Summaries) -> Mapping[str, Any]:
    try:
        values = metric.compute(summaries)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"metric.{key}: {type(metric).__name__} failed: {reason(error)}") from error
    if not isinstance(values, Mapping):
        raise UserError(f"metric.{key}: compute must return a mapping of scores, not {type(values).__name__}")
    return values


def _by_row(key: str, score: Score, name: str, values: Any, summaries: Summaries) -> Column:
    """Return the checked values of rows."""
    rows = _numbers(key, name, values, score, len(summaries.ids))
    if wrong := sum(isinstance(value, Real) and not math.isfinite(value) for value in values):
        logger.warning("metric.%s: '%s' is not finite in %s of %s rows, left out", key, name, wrong, len(rows))
    if score.aggregate is None:
        outside = np.isfinite(rows) & ~((rows >= score.lowest) & (rows <= score.highest))
        for row in np.flatnonzero(outside)[:1]:
            bounds = f"{score.lowest:g} to {score.highest:g}"
            raise UserError(f"metric.{key}: '{name}' of row {summaries.ids[row]} is {rows[row]:g}, not {bounds}")
    return Column(score, rows)


def score_of(key: str, metric: Metric, name: Any) -> Score:
    """Return what a metric says of one of its scores.

    Raises:
        UserError: it says nothing, or the name is not a score's.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(_RESERVED):
        ends = ", ".join(_RESERVED)
        raise UserError(
            f"metric.{key}: a score is named {name!r}; use letters, digits, - and _, and end in none of {ends}"
        )
    try:
        return metric.scores[name]
    except KeyError as error:
        known = ", ".join(metric.scores)
        raise UserError(f"metric.{key}: gives '{name}', which its scores do not describe ({known})") from error


def _numbers(key: str, name: str, values: Any, score: Score, rows: int) -> Floats:
    """Return values of rows as floats, NaN for None; shape (rows,), or (rows, counts) if the score aggregates them."""
    dimensions = 1 if score.aggregate is None else 2
    expected = "a number or None" if dimensions == 1 else "a list of counts"
    try:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise UserError(f"metric.{key}: '{name}' must be {expected} for each row: {reason(error)}") from error
    if numbers.ndim != dimensions or len(numbers) != rows:
        found = " x ".join(map(str, numbers.shape)) or "one"
        raise UserError(f"metric.{key}: '{name}' must be {expected} for each of {rows} rows, not {found} values")
    return numbers


def _by_language(
    key: str, metric: Metric, summaries: Summaries, wholes: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return numbers for all rows and for those of each language, by score and by language ("": all)."""
    found = {name: {"": whole} for name, whole in wholes.items()}
    languages = list(dict.fromkeys(summaries.languages))
    for language in languages:
        own = wholes if len(languages) == 1 else _computed(key, metric, _of_language(summaries, language))
        for name in wholes:
            if isinstance(value := own.get(name), Real):
                found[name][language] = float(value)
    return found


def _of_language(summaries: Summaries, language: str) -> Summaries:
    rows = [row for row, of in enumerate(summaries.languages) if of == language]

    def chosen(values: Sequence[Any]) -> list[Any]:
        return [values[row] for row in rows]

    return replace(
        summaries, **{name: chosen(values) for name, values in vars(summaries).items() if values is not None}
    )
