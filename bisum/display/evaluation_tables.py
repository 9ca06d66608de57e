"""Tables and lines that compare evaluated models with lead-k and with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from bisum.display.scored_rows import ScoredRows, explain_mark, few_rows_mark
from bisum.display.tables import SHOWN, Fitting, new_table
from bisum.evaluation.bootstrap import MIN_ROWS


def prefix_of(split: str) -> str:
    """Return the prefix of a split's metric names."""
    return "test" if split == "test" else "eval"


def difference_table(metrics: Mapping[str, float], rows: ScoredRows) -> Fitting:
    """Return differences in ROUGE, their 95% intervals and the share of resamples with a better ROUGE-L.

    Args:
        metrics: scores that include `difference/...`.
        rows: the rows that were scored.
    """
    names = [name for _, name in SHOWN]
    return Fitting([_difference(metrics, rows, intervals) for intervals in (names, names[-1:], [])])


def _difference(metrics: Mapping[str, float], rows: ScoredRows, intervals: Sequence[str]) -> Table:
    table = new_table("")
    for title in ("rows", *(title for title, _ in SHOWN), "better in\nresamples"):
        table.add_column(title, justify="right", no_wrap=True)
    for language in _parts(metrics, rows):
        cells = []
        for _, name in SHOWN:
            key = rows.name("difference", name, language)
            cells.append(Text(f"{metrics[key]:+z.1f}", "bold"))
            if name in intervals:
                cells[-1] += Text(f" {_interval(metrics, key)}{few_rows_mark(rows.count(language))}", "dim")
        better = metrics[f"{rows.name('difference', 'rougeL', language)}_better"]
        table.add_row(language or "all", f"{rows.count(language):,}", *cells, f"{better:.0f}%")
    if intervals:
        explain_mark(table, map(rows.count, _parts(metrics, rows)))
    return table


def verdicts(metrics: Mapping[str, float], rows: ScoredRows, baseline: str) -> Iterator[str]:
    """Yield a verdict on the system's ROUGE-L against the baseline's, for all rows and per language.

    Args:
        metrics: scores that include `difference/...`.
        rows: the rows that were scored.
        baseline: the name of the baseline.
    """
    for language in _parts(metrics, rows):
        key = rows.name("difference", "rougeL", language)
        mean, interval = metrics[key], f"95% interval {_interval(metrics, key, 2)}"
        label, count = language or "all", rows.count(language)
        if count < MIN_ROWS:
            rows_are = "row is" if count == 1 else "rows are"
            yield f"{label}: {count} {rows_are} too few to compare ROUGE-L with {baseline}'s"
        elif metrics[f"{key}_low"] <= 0 <= metrics[f"{key}_high"]:
            yield f"{label}: ROUGE-L is not distinguishable from {baseline}'s ({interval}, which includes 0)"
        else:
            where, verdict = ("above", "better") if mean > 0 else ("below", "worse")
            yield f"{label}: ROUGE-L is {abs(mean):.2f} {where} {baseline} ({interval}): {verdict}"


def _parts(metrics: Mapping[str, float], rows: ScoredRows) -> list[str]:
    """Return "" for all rows, and each language with rows if there are several."""
    of = [language for language in rows.counts if rows.name("difference", "rougeL", language) in metrics]
    return ["", *(of if len(of) > 1 else [])]


def _interval(metrics: Mapping[str, float], key: str, decimals: int = 1) -> str:
    return f"{metrics[f'{key}_low']:z.{decimals}f} to {metrics[f'{key}_high']:z.{decimals}f}"
