"""Tables of a corpus and of scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from bisum.corpus.corpus import CorpusReport
from bisum.runs.metrics import score_name

if TYPE_CHECKING:
    from bisum.batches.tokenization import EncodedSplit


_ROW_LIMIT = "max rows"  # name of the step of corpus.max_train_rows and corpus.max_eval_rows
FEWEST_ROWS = 10
"""Fewest rows for a meaningful bootstrap interval; with a single row, it has no width."""
_FEW_ROWS_CAPTION = f"* fewer than {FEWEST_ROWS} rows: too few for an interval"
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
    numbers["kept"] = [f"[bold]{count.kept:,}[/bold]" for count in counts.values()]
    table = new_table("rows")
    for step in numbers:
        table.add_column(step, justify="right")
    for row, (split, language) in enumerate(counts):
        table.add_row(f"{split} {language}", *(cells[row] for cells in numbers.values()))
    return table


def cut_line(splits: Mapping[str, EncodedSplit], limits: tuple[int, int]) -> str:
    """Return a line on how many documents and summaries exceed the token limits."""
    rows = sum(len(split) for split in splits.values())
    documents = sum(split.documents_cut for split in splits.values())
    summaries = sum(split.summaries_cut for split in splits.values())
    return (
        f"cut: {documents:,} of {rows:,} documents at {limits[0]} tokens ({documents / rows:.1%}), "
        f"{summaries:,} summaries at {limits[1]} ({summaries / rows:.1%})"
    )


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """The rows behind scores, and the ROUGE profile in which the scores are shown."""

    counts: Mapping[str, int]
    """Rows of each language."""
    profile: str
    """`rouge` or `unicode`; see `bisum.evaluation.rouge`."""

    @classmethod
    def of(cls, record: Mapping[str, Any], split: str) -> Self:
        """Return the rows of a split that a run recorded."""
        counts = {language: count["kept"] for language, count in record["data"]["rows"][split].items()}
        return cls(counts=counts, profile=record["profile"])

    @property
    def total(self) -> int:
        """Rows in all languages."""
        return sum(self.counts.values())

    def count(self, language: str) -> int:
        """Return the rows of a language; of all if it is ""."""
        return self.counts[language] if language else self.total

    def name(self, prefix: str, name: str, language: str = "") -> str:
        """Return the name of a score in the profile that is shown."""
        return score_name(prefix, name, language=language, profile=self.profile)

    def interval(self, metrics: Mapping[str, float], name: str, language: str = "") -> str:
        """Return the ends of a score's interval, marked if there are too few rows for it."""
        return f"{metrics[f'{name}_low']:.1f}-{metrics[f'{name}_high']:.1f}{few_rows_mark(self.count(language))}"


def few_rows_mark(rows: int) -> str:
    """Return the mark of an interval from too few rows; "" if there are enough."""
    return "*" if rows < FEWEST_ROWS else ""


def scores_table(
    metrics: Mapping[str, float], prefix: str, rows: ScoredRows, beside: tuple[str, Mapping[str, float]] | None = None
) -> Fitting:
    """Return ROUGE-1, -2 and -L, overall and per language, with 95 % intervals if there is room for them.

    Args:
        metrics: scores, named as in `metrics.jsonl`.
        prefix: eval, test or baseline.
        rows: the rows that were scored.
        beside: the name and metrics (prefix `baseline`) of a system to show in an extra column.
    """
    return Fitting([_scores(metrics, prefix, rows, beside, intervals) for intervals in (True, False)])


@dataclass(frozen=True)
class Fitting:
    """The first of several tables that fits the width of the screen, or else the last."""

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
        cells = []
        for _, name in SHOWN:
            key = rows.name(prefix, name, language)
            interval = f" [dim]{rows.interval(metrics, key, language)}[/dim]" if intervals else ""
            cells.append(f"[bold]{metrics[key]:.1f}[/bold]{interval}")
        if beside is not None:
            cells.append(" / ".join(f"{beside[1][rows.name('baseline', name, language)]:.1f}" for _, name in SHOWN))
        table.add_row(language or "all", *cells)
    if intervals:
        explain_mark(table, map(rows.count, scored))
    return table


def explain_mark(table: Table, counts: Iterable[int]) -> None:
    """Explain the mark of intervals from too few rows below a table, if any of `counts` gets it."""
    if any(map(few_rows_mark, counts)):
        table.caption, table.caption_justify = _FEW_ROWS_CAPTION, "left"


def new_table(first: str) -> Table:
    """Return an empty table in bisum's style, with the header of its first column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    return table
