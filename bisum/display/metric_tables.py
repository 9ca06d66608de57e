"""Tables of the chosen metrics, shown below the ROUGE tables: one line per score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from bisum.display.scored_rows import ScoredRows, explain_mark, few_rows_mark
from bisum.display.tables import Fitting, new_table
from bisum.interfaces.score import score_name

BETTER = {True: "higher", False: "lower", None: ""}
_PERCENT = 100
_LARGE = 1e6


def metrics_table(
    metrics: Mapping[str, Any], prefix: str, rows: ScoredRows, beside: tuple[str, Mapping[str, Any]] | None = None
) -> list[str | Fitting]:
    """Return an empty line and the scores of the chosen metrics, overall and per language; [] without any.

    Args:
        metrics: scores, named as in `metrics.jsonl`.
        prefix: eval, test or baseline.
        rows: the rows that were scored.
        beside: the name and metrics (prefix `baseline`) of a system to show in an extra column.
    """
    names = [
        name for name in rows.metrics if {score_name(prefix, name), f"{score_name(prefix, name)}_rows"} & metrics.keys()
    ]
    if not names:
        return []
    return ["", Fitting([_metrics(names, metrics, prefix, rows, beside, intervals) for intervals in (True, False)])]


def _metrics(
    names: Sequence[str],
    metrics: Mapping[str, Any],
    prefix: str,
    rows: ScoredRows,
    beside: tuple[str, Mapping[str, Any]] | None,
    intervals: bool,
) -> Table:
    table = _new_table([language or "all" for language in _parts(rows)])
    if beside is not None:
        table.add_column(beside[0], justify="right", style="dim", no_wrap=True)

    def theirs(name: str) -> list[str]:
        return [] if beside is None else [number(beside[1].get(score_name("baseline", name)), rows.metrics[name])]

    return _filled(table, names, metrics, prefix, rows, intervals, theirs)


def _filled(
    table: Table,
    names: Sequence[str],
    metrics: Mapping[str, Any],
    prefix: str,
    rows: ScoredRows,
    intervals: bool,
    last: Callable[[str], list[str]],
) -> Table:
    """Fill a table with a line per score: values for all rows and per language, then the cells from `last`."""
    counts = []
    for name in names:
        score, cells = rows.metrics[name], []
        for language in _parts(rows):
            key = score_name(prefix, name, language=language)
            has_interval, counted = intervals and f"{key}_low" in metrics, _rows(metrics, key, rows, language)
            cells.append(_value(metrics, key, score, counted, has_interval, "+" if prefix == "difference" else ""))
            counts += [counted] if has_interval else []
        table.add_row(_label(name, score), BETTER[score["higher_is_better"]], *cells, *last(name))
    explain_mark(table, counts)
    lines = [*filter(None, [table.caption, _value_counts(names, metrics, prefix, rows)])]
    table.caption, table.caption_justify = "\n".join(map(str, lines)) or None, "left"
    return table


def _value_counts(names: Sequence[str], metrics: Mapping[str, Any], prefix: str, rows: ScoredRows) -> str:
    """Return a line with the number of rows with a value, for scores that some rows lack; "" without any."""
    some = []
    for name in names:
        keys = {language: score_name(prefix, name, language=language) for language in _parts(rows)}
        if any(f"{key}_rows" in metrics for key in keys.values()):
            counts = {of: _rows(metrics, key, rows, of) for of, key in keys.items()}
            total = counts.pop("")
            languages = ", ".join(f"{language} {count:,}" for language, count in counts.items())
            some.append(f"{name} {total:,}" + (f" ({languages})" if languages else ""))
    return f"rows with a value (of {rows.total:,}): {', '.join(some)}" if some else ""


def _rows(metrics: Mapping[str, Any], key: str, rows: ScoredRows, language: str) -> int:
    """Return the number of rows behind a score."""
    return int(metrics.get(f"{key}_rows", rows.count(language)))


def _value(
    metrics: Mapping[str, Any], key: str, score: Mapping[str, Any], rows: int, has_interval: bool, sign: str
) -> Text:
    """Return a cell with a score and its interval."""
    cell = Text(number(metrics.get(key), score, sign), "bold")
    if has_interval:
        ends = (number(metrics[f"{key}{end}"], score) for end in ("_low", "_high"))
        cell.append(f" {(' to ' if sign else '-').join(ends)}{few_rows_mark(rows)}", "dim")
    return cell


def metric_differences_table(metrics: Mapping[str, Any], rows: ScoredRows) -> list[str | Fitting]:
    """Return an empty line and the differences in the chosen metrics, with 95% intervals and verdicts."""
    names = [name for name in rows.metrics if score_name("difference", name) in metrics]
    if not names:
        return []
    return ["", Fitting([_differences(names, metrics, rows, intervals) for intervals in (True, False)])]


def _differences(names: Sequence[str], metrics: Mapping[str, Any], rows: ScoredRows, intervals: bool) -> Table:
    table = _new_table([language or "all" for language in _parts(rows)])
    table.add_column("verdict, all", no_wrap=True)
    return _filled(table, names, metrics, "difference", rows, intervals, lambda name: [_verdict(metrics, name, rows)])


def _verdict(metrics: Mapping[str, Any], name: str, rows: ScoredRows) -> str:
    """Return the verdict on a difference over all rows; "" without an interval."""
    key, higher_is_better = score_name("difference", name), rows.metrics[name]["higher_is_better"]
    low, high = (metrics.get(f"{key}{end}") for end in ("_low", "_high"))
    if low is None or high is None or not math.isfinite(high - low) or few_rows_mark(_rows(metrics, key, rows, "")):
        return ""
    if low <= 0 <= high:
        return "not distinguishable"
    if higher_is_better is None:
        return "higher" if metrics[key] > 0 else "lower"
    return "better" if (metrics[key] > 0) == higher_is_better else "worse"


def _label(name: str, score: Mapping[str, Any]) -> Text:
    return Text.assemble(name, (f" {score['unit']}", "dim"))


def number(value: float | None, score: Mapping[str, Any], sign: str = "") -> str:
    """Format a score for tables: one decimal on a scale up to 100, otherwise two; - if it is missing."""
    if value is None:
        return "-"
    decimals = 1 if score["range"][1] == _PERCENT else 2
    return f"{value:{sign}z.{decimals}f}" if abs(value) < _LARGE else f"{value:{sign}.4g}"


def _parts(rows: ScoredRows) -> list[str]:
    """Return "" for all rows, and each language if there are several."""
    return ["", *(rows.counts if len(rows.counts) > 1 else [])]


def _new_table(titles: Sequence[str]) -> Table:
    table = new_table("")
    table.add_column("better", style="dim")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table
