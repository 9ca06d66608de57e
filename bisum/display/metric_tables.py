"""Tables of the chosen metrics, which stand below those of ROUGE: one line per score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from bisum.display.scored_rows import ScoredRows, chosen_scores, explain_mark, few_rows_mark
from bisum.display.tables import Fitting, new_table
from bisum.interfaces.score import score_name

_BETTER = {True: "higher", False: "lower", None: ""}
_PERCENT = 100
_JOBS_PER_TABLE = 6


def metrics_table(
    metrics: Mapping[str, Any], prefix: str, rows: ScoredRows, beside: tuple[str, Mapping[str, Any]] | None = None
) -> Fitting | None:
    """Return the scores of the chosen metrics, overall and per language; None if there are none.

    Args:
        metrics: scores, named as in `metrics.jsonl`.
        prefix: eval, test or baseline.
        rows: the rows that were scored.
        beside: the name and metrics (prefix `baseline`) of a system to show in an extra column.
    """
    names = [name for name in rows.metrics if score_name(prefix, name) in metrics]
    if not names:
        return None
    return Fitting([_metrics(names, metrics, prefix, rows, beside, intervals) for intervals in (True, False)])


def _metrics(
    names: Sequence[str],
    metrics: Mapping[str, Any],
    prefix: str,
    rows: ScoredRows,
    beside: tuple[str, Mapping[str, Any]] | None,
    intervals: bool,
) -> Table:
    parts = _parts(rows)
    table = _new_table([language or "all" for language in parts])
    if beside is not None:
        table.add_column(beside[0], justify="right", style="dim", no_wrap=True)
    for name in names:
        score = rows.metrics[name]
        keys = [score_name(prefix, name, language=language) for language in parts]
        cells = [_value(metrics, key, score, rows.count(of), intervals) for key, of in zip(keys, parts, strict=True)]
        other = [] if beside is None else [number(beside[1].get(score_name("baseline", name)), score)]
        table.add_row(_label(name, score), _BETTER[score["higher_is_better"]], *cells, *other)
    if intervals:
        explain_mark(table, map(rows.count, parts))
    some = {name: metrics[key] for name in names if (key := f"{score_name(prefix, name)}_rows") in metrics}
    if some:
        counts = ", ".join(f"{name} {count:,}" for name, count in some.items())
        lines = [*filter(None, [table.caption]), f"rows with a value, of {rows.total:,}: {counts}"]
        table.caption, table.caption_justify = "\n".join(map(str, lines)), "left"
    return table


def _value(metrics: Mapping[str, Any], key: str, score: Mapping[str, Any], rows: int, intervals: bool) -> Text:
    cell = Text(number(metrics.get(key), score), "bold")
    if intervals and f"{key}_low" in metrics:
        ends = (number(metrics[f"{key}{end}"], score) for end in ("_low", "_high"))
        cell.append(f" {'-'.join(ends)}{few_rows_mark(rows)}", "dim")
    return cell


def metric_differences_table(metrics: Mapping[str, Any], rows: ScoredRows) -> Fitting | None:
    """Return the differences in the chosen metrics with their 95 % intervals and verdicts; None if there are none."""
    names = [name for name in rows.metrics if score_name("difference", name) in metrics]
    if not names:
        return None
    return Fitting([_differences(names, metrics, rows, intervals) for intervals in (True, False)])


def _differences(names: Sequence[str], metrics: Mapping[str, Any], rows: ScoredRows, intervals: bool) -> Table:
    parts = _parts(rows)
    table = _new_table([language or "all" for language in parts])
    table.add_column("", no_wrap=True)
    for name in names:
        score = rows.metrics[name]
        cells = []
        for language in parts:
            key = score_name("difference", name, language=language)
            cell = Text(number(metrics.get(key), score, "+"), "bold")
            if intervals and f"{key}_low" in metrics:
                ends = " to ".join(number(metrics[f"{key}{end}"], score) for end in ("_low", "_high"))
                cell.append(f" {ends}{few_rows_mark(rows.count(language))}", "dim")
            cells.append(cell)
        verdict = _verdict(metrics, score_name("difference", name), score["higher_is_better"], rows)
        table.add_row(_label(name, score), _BETTER[score["higher_is_better"]], *cells, verdict)
    if intervals:
        explain_mark(table, map(rows.count, parts))
    return table


def _verdict(metrics: Mapping[str, Any], key: str, higher_is_better: bool | None, rows: ScoredRows) -> str:
    """Return what the interval of a difference over all rows says; "" if there is none."""
    if f"{key}_low" not in metrics or few_rows_mark(rows.total):
        return ""
    if metrics[f"{key}_low"] <= 0 <= metrics[f"{key}_high"]:
        return "not distinguishable"
    if higher_is_better is None:
        return "higher" if metrics[key] > 0 else "lower"
    return "better" if (metrics[key] > 0) == higher_is_better else "worse"


def evaluated_metrics(jobs: Mapping[str, Mapping[str, Any]], prefixes: Sequence[str]) -> Iterator[Table]:
    """Yield tables of the chosen metrics over all rows, with a column for each of a sweep's evaluations.

    Args:
        jobs: the `run.json` of each job, by label; those without an evaluation are left out.
        prefixes: the prefix of each job's metrics, test or eval.
    """
    described: dict[str, Mapping[str, Any]] = {}
    for record in jobs.values():
        described |= chosen_scores(record)
    every = [
        (number, record["evaluation"], prefix)
        for number, (record, prefix) in enumerate(zip(jobs.values(), prefixes, strict=True))
        if "evaluation" in record
    ]
    for start in range(0, len(every), _JOBS_PER_TABLE):
        scored = {number: scores for number, *scores in every[start : start + _JOBS_PER_TABLE]}
        table = _new_table([f"job {n}" for n in scored])
        for name, score in described.items():
            values = [evaluation.get(score_name(prefix, name)) for evaluation, prefix in scored.values()]
            known = [value for value in values if value is not None]
            best = max(known, default=None) if score["higher_is_better"] else min(known, default=None)
            marked = score["higher_is_better"] is not None and len({*known}) > 1
            cells = [Text(number(v, score), "bold" if marked and v == best else "") for v in values]
            if known:
                table.add_row(_label(name, score), _BETTER[score["higher_is_better"]], *cells)
        if table.row_count:
            yield table


def _label(name: str, score: Mapping[str, Any]) -> Text:
    return Text.assemble(name, (f" {score['unit']}", "dim"))


def number(value: float | None, score: Mapping[str, Any], sign: str = "") -> str:
    """Return a score as tables show it: with one decimal on a scale to 100, else with two; - if there is none."""
    decimals = 1 if score["range"][1] == _PERCENT else 2
    return "-" if value is None else f"{value:{sign}z.{decimals}f}"


def _parts(rows: ScoredRows) -> list[str]:
    """Return "" for all rows, and each language if there are several."""
    return ["", *(rows.counts if len(rows.counts) > 1 else [])]


def _new_table(titles: Sequence[str]) -> Table:
    table = new_table("")
    table.add_column("better", style="dim")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table
