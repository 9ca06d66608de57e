"""Tables of a corpus and of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bisum.corpus.corpus import CorpusReport
from bisum.display.scored_rows import ScoredRows, explain_mark

if TYPE_CHECKING:
    from bisum.batches.tokenization import EncodedSplit


_ROW_LIMIT = "max rows"  # column of the rows dropped by corpus.max_train_rows and corpus.max_eval_rows
SHOWN = (("ROUGE-1", "rouge1"), ("ROUGE-2", "rouge2"), ("ROUGE-L", "rougeL"))


def corpus_table(report: CorpusReport, languages: Sequence[str]) -> Table:
    """Return a table of the rows loaded, dropped by each filter and kept, per split and language."""
    counts = {(split, language): report.splits[split][language] for split in report.splits for language in languages}
    numbers = {"loaded": [f"{count.loaded:,}" for count in counts.values()]}
    for step in next(iter(counts.values())).dropped:
        dropped = [count.dropped[step] for count in counts.values()]
        if any(dropped) or step not in ("empty", "sample"):
            name = f"- {_ROW_LIMIT if step == 'sample' else step}"
            numbers[name] = [f"{-rows:,}" if rows else "0" for rows in dropped]
    numbers["kept"] = [f"{count.kept:,}" for count in counts.values()]
    table = new_table("rows")
    for step in numbers:
        table.add_column(step, justify="right", style="bold" if step == "kept" else None)
    for row, (split, language) in enumerate(counts):
        table.add_row(f"{split} {language}", *(cells[row] for cells in numbers.values()))
    return table


def cut_line(splits: Mapping[str, EncodedSplit], document_limit: int | None, summary_limit: int) -> str:
    """Return a line on how many documents and summaries exceed the token limits; None: no document is cut."""
    rows = sum(len(split) for split in splits.values())
    documents = sum(split.documents_cut for split in splits.values())
    summaries = sum(split.summaries_cut for split in splits.values())
    if document_limit is None:
        return f"cut: {summaries:,} of {rows:,} summaries at {summary_limit} tokens ({summaries / rows:.1%})"
    return (
        f"cut: {documents:,} of {rows:,} documents at {document_limit} tokens ({documents / rows:.1%}), "
        f"{summaries:,} summaries at {summary_limit} ({summaries / rows:.1%})"
    )


def split_line(documents: int, windows: int, rows: int, limit: int) -> str:
    """Return a line on how many documents are summarized in windows."""
    return (
        f"split: {documents:,} of {rows:,} documents into {windows:,} windows of up to {limit} tokens "
        f"({documents / rows:.1%})"
    )


def scores_table(
    metrics: Mapping[str, float], prefix: str, rows: ScoredRows, beside: tuple[str, Mapping[str, float]] | None = None
) -> Fitting:
    """Return ROUGE-1, -2 and -L, overall and per language, with 95% intervals if they fit.

    Args:
        metrics: scores, named as in `metrics.jsonl`.
        prefix: eval, test or baseline.
        rows: the rows that were scored.
        beside: the name and metrics (prefix `baseline`) of a system to show in an extra column.
    """
    return Fitting([_scores(metrics, prefix, rows, beside, intervals) for intervals in (True, False)])


@dataclass(frozen=True)
class Fitting:
    """The first of several tables that fits the screen's width, otherwise the last."""

    tables: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield one of the tables."""
        wide = options.update(width=1000)
        fitting = (table for table in self.tables if console.measure(table, options=wide).maximum <= options.max_width)
        yield next(fitting, self.tables[-1])


def _scores(
    metrics: Mapping[str, float],
    prefix: str,
    rows: ScoredRows,
    beside: tuple[str, Mapping[str, float]] | None,
    intervals: bool,
) -> Table:
    table = new_table("")
    for title, _ in SHOWN:
        table.add_column(title, justify="right", no_wrap=True)
    if beside is not None:
        table.add_column(f"{beside[0]}\n1 / 2 / L", justify="right", style="dim", no_wrap=True)
    scored = [language for language in ("", *rows.counts) if rows.name(prefix, "rouge1", language) in metrics]
    for language in scored:
        cells: list[Text | str] = []
        for _, name in SHOWN:
            key = rows.name(prefix, name, language)
            interval = [(f" {rows.interval(metrics, key, language)}", "dim")] if intervals else []
            cells.append(Text.assemble((f"{metrics[key]:.1f}", "bold"), *interval))
        if beside is not None:
            cells.append(" / ".join(f"{beside[1][rows.name('baseline', name, language)]:.1f}" for _, name in SHOWN))
        table.add_row(language or "all", *cells)
    if intervals:
        explain_mark(table, map(rows.count, scored))
    return table


def new_table(first: str) -> Table:
    """Return an empty table in bisum's style, with the header of its first column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    return table
