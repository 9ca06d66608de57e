"""The scores of a checkpoint, as its run recorded them: tables and verdicts for the card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from bisum.display.evaluation_tables import prefix_of, verdicts
from bisum.display.metric_tables import BETTER, number
from bisum.display.scored_rows import ScoredRows, few_rows_mark
from bisum.display.tables import SHOWN
from bisum.evaluation.bootstrap import MIN_ROWS
from bisum.hub.markdown import code, escaped, table
from bisum.interfaces.score import score_name
from bisum.runs.checkpoints import epoch_name
from bisum.runs.entries import is_number

_DASH = Markup("–")


@dataclass(frozen=True)
class Results:
    """The scores of one checkpoint on one split, with those of lead-k on the same rows."""

    split: str
    """`test` or `validation`."""
    values: Mapping[str, float]
    """Finite scores by their names in `metrics.jsonl`: the model's, the baseline's and their differences."""
    rows: ScoredRows
    baseline: str
    """Name of the baseline, lead-k."""

    @property
    def prefix(self) -> str:
        """The prefix of the model's scores."""
        return prefix_of(self.split)

    @property
    def parts(self) -> list[str]:
        """The groups of rows to show: "" for all and, if there are several, each language."""
        return ["", *(self.rows.counts if len(self.rows.counts) > 1 else [])]

    def value(self, prefix: str, name: str, language: str = "", end: str = "") -> float | None:
        """Return a score in the profile that the run shows, or the end of its interval; None if it is missing."""
        return self.values.get(self.rows.name(prefix, name, language) + end)


def results_of(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], checkpoint: str) -> Results | None:
    """Return the test scores of the tested checkpoint, and the validation scores of any other.

    None if neither was recorded.
    """
    test = record.get("test") or {}
    if test.get("checkpoint") == checkpoint:
        split, scores = "test", test
    else:
        evaluated = [*(line for line in lines if "eval/loss" in line), record.get("last"), record.get("best")]
        own = [line for line in evaluated if line and epoch_name(line.get("epoch") or 0) == checkpoint]
        if not own:
            return None
        split, scores = "validation", {**(record.get("baseline") or {}), **own[-1]}
    if not (record.get("data") or {}).get("rows", {}).get(split):
        return None
    rows = ScoredRows.of({"profile": "rouge", **record}, split)
    values = {name: value for name, value in scores.items() if is_number(value)}
    lead = (record.get("baseline") or {}).get("system") or "lead-k"
    return Results(split, values, rows, lead)


def rouge_table(results: Results) -> Markup:
    """Return ROUGE-1, -2 and -L of the model, of lead-k and their difference, with 95% intervals."""
    systems = {results.prefix: "this model", "baseline": results.baseline, "difference": "difference"}
    rows = []
    for part in results.parts:
        count = results.rows.count(part)
        label = Markup("{}, {:,} rows").format(code(part) if part else "all", count)
        for prefix, system in systems.items():
            cells = [_rouge_cell(results, prefix, name, part) for _, name in SHOWN]
            if any(cell != _DASH for cell in cells):
                rows.append([label, system, *cells])
                label = Markup("")
    return table(["", "", *(title for title, _ in SHOWN)], rows, numbers=len(SHOWN))


def _rouge_cell(results: Results, prefix: str, name: str, part: str) -> Markup:
    value, low, high = (results.value(prefix, name, part, end) for end in ("", "_low", "_high"))
    if value is None:
        return _DASH
    sign = "+" if prefix == "difference" else ""
    mean = f"{value:{sign}z.1f}" if prefix == "baseline" else f"**{value:{sign}z.1f}**"
    return Markup(mean + _interval(low, high, "z.1f", results.rows.count(part)))


def _interval(low: float | None, high: float | None, spec: str, rows: int) -> str:
    if low is None or high is None:
        return ""
    return f" ({low:{spec}} to {high:{spec}})" + few_rows_mark(rows).replace("*", r"\*")


def metrics_table(results: Results) -> Markup:
    """Return the loss, the length and the chosen metrics, over all rows and per language; empty without any."""
    lines = []
    for name, score in results.rows.metrics.items():
        cells = [_metric_cell(results, results.prefix, name, score, part) for part in results.parts]
        if any(cell != _DASH for cell in cells):
            lead = _metric_cell(results, "baseline", name, score, "")
            lines.append([code(name), BETTER[score["higher_is_better"]] or _DASH, *cells, lead])
    parts = [code(part) if part else "all" for part in results.parts]
    return table(["", "better", *parts, f"{results.baseline}, all"], lines, numbers=len(parts) + 1)


def _metric_cell(results: Results, prefix: str, name: str, score: Mapping[str, Any], part: str) -> Markup:
    key = score_name(prefix, name, language=part)
    value, low, high = (results.values.get(f"{key}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return _DASH
    ends = "" if low is None or high is None else f" ({number(low, score)} to {number(high, score)})"
    return Markup(number(value, score) + ends)


def described_metrics(results: Results) -> list[Markup]:
    """Return a line per chosen metric with its meaning, for those with a value."""
    return [
        Markup("{}: {}{}").format(code(name), escaped(score["description"]), unit)
        for name, score in results.rows.metrics.items()
        if any(score_name(results.prefix, name, language=part) in results.values for part in results.parts)
        for unit in [Markup(", in {}").format(escaped(score["unit"])) if score["unit"] else ""]
    ]


def baseline_verdicts(results: Results) -> Iterator[Markup]:
    """Yield whether ROUGE-L is better than lead-k's, over all rows and per language."""
    complete = {part for part in ("", *results.rows.counts) if _has_difference(results, part)}
    if "" in complete:
        counts = {language: rows for language, rows in results.rows.counts.items() if language in complete}
        yield from map(escaped, verdicts(results.values, replace(results.rows, counts=counts), results.baseline))


def _has_difference(results: Results, part: str) -> bool:
    return all(results.value("difference", "rougeL", part, end) is not None for end in ("", "_low", "_high"))


def has_few_rows(results: Results) -> bool:
    """Return whether an interval in the tables comes from too few rows."""
    return any(results.rows.count(part) < MIN_ROWS for part in results.parts)
