"""Tables and lines that tell a run's story on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from bisum.corpus.corpus import CorpusReport
from bisum.records.run import Run

if TYPE_CHECKING:
    from bisum.corpus.tokenization import EncodedSplit

_ROW_LIMIT = "max rows"  # the step that corpus.max_train_rows and corpus.max_eval_rows make
_SHOWN = (("ROUGE-1", "rouge1"), ("ROUGE-2", "rouge2"), ("ROUGE-L", "rougeL"))


def corpus_table(report: CorpusReport, languages: Sequence[str]) -> Table:
    """Return a table of the rows loaded, dropped by each filter and kept, per split and language."""
    table = _table("rows")
    steps: list[str] = []
    for split, counts in report.splits.items():
        for language in languages:
            table.add_column(f"{split}\n{language}", justify="right")
            steps = steps or list(counts[language].dropped)
    cells = [counts[language] for counts in report.splits.values() for language in languages]
    table.add_row("loaded", *(f"{cell.loaded:,}" for cell in cells))
    for step in steps:
        if any(cell.dropped[step] for cell in cells) or step not in ("empty", "sample"):
            table.add_row(
                f"- {_ROW_LIMIT if step == 'sample' else step}",
                *(f"{-cell.dropped[step]:,}" if cell.dropped[step] else "0" for cell in cells),
            )
    table.add_row("[bold]kept[/bold]", *(f"[bold]{cell.kept:,}[/bold]" for cell in cells))
    return table


def cut_line(splits: Mapping[str, EncodedSplit], limits: tuple[int, int]) -> str:
    """Return how many rows are longer than the token limits."""
    rows = sum(len(split) for split in splits.values())
    documents = sum(split.documents_cut for split in splits.values())
    summaries = sum(split.summaries_cut for split in splits.values())
    return (
        f"cut: {documents:,} of {rows:,} documents at {limits[0]} tokens ({documents / rows:.1%}), "
        f"{summaries:,} summaries at {limits[1]} ({summaries / rows:.1%})"
    )


def scores_table(
    metrics: Mapping[str, float],
    prefix: str,
    languages: Sequence[str],
    beside: tuple[str, Mapping[str, float]] | None = None,
) -> Table:
    """Return ROUGE-1, -2 and -L with 95 % intervals, overall and per language.

    Args:
        metrics: by the names of `metrics.jsonl`.
        prefix: eval, test or baseline.
        languages: the languages to show.
        beside: a name and the metrics (prefix `baseline`) of a system to show in a column of its own.
    """
    table = _table("")
    for title, _ in _SHOWN:
        table.add_column(title, justify="right")
    if beside is not None:
        table.add_column(f"{beside[0]}\n1 / 2 / L", justify="right", style="dim")
    for label, infix in [("all", ""), *((language, f"{language}/") for language in languages)]:
        if f"{prefix}/{infix}rouge1" not in metrics:
            continue
        cells = []
        for _, name in _SHOWN:
            key = f"{prefix}/{infix}{name}"
            cells.append(
                f"[bold]{metrics[key]:.1f}[/bold] [dim]{metrics[f'{key}_low']:.1f}-{metrics[f'{key}_high']:.1f}[/dim]"
            )
        if beside is not None:
            cells.append(" / ".join(f"{beside[1][f'baseline/{infix}{name}']:.1f}" for _, name in _SHOWN))
        table.add_row(label, *cells)
    return table


def show_summaries(run: Run, predictions: Sequence[Mapping[str, Any]], count: int, languages: Sequence[str]) -> None:
    """Show the first `count` rows of each language: the beginnings of document, reference and summary."""
    for language in languages:
        for row in [row for row in predictions if row["language"] == language][:count]:
            for label, key in ((language, "document"), ("reference", "reference"), ("summary", "prediction")):
                run.screen.clip(f"  {label:<9} {' '.join(row[key].split()) or '(empty)'}")


def _table(first: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    return table
