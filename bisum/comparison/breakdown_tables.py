"""Terminal tables of where two systems differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bisum.comparison.breakdown import Row, Where
from bisum.comparison.result import Comparison, System
from bisum.comparison.tables import interval
from bisum.display.metric_tables import number
from bisum.display.tables import Fitting, new_table
from bisum.errors import one_line

_DOCUMENT = 160
"""Maximum number of characters shown of a document."""


def breakdown_report(comparison: Comparison, found: Where) -> Iterator[RenderableType]:
    """Yield a table of wins and losses, and the rows that differ most."""
    first, second = found.first, found.second
    if found.buckets:
        yield ""
        yield Fitting([_buckets(comparison, found, intervals) for intervals in (True, False)])
        if max(len(first.seeds), len(second.seeds)) > 1:
            yield Text("Row scores are means over seeds; intervals account for variation across rows only.", "dim")
    if found.rows:
        yield "\nrows with the largest differences"
    for row in found.rows:
        yield ""
        yield _row(comparison, row, (first, second))


def _buckets(comparison: Comparison, found: Where, intervals: bool) -> Table:
    """Return the table of wins and losses."""
    table = new_table(f"{found.first.number} vs. {found.second.number}")
    for title in ("rows", "wins", "ties", "losses", f"{comparison.by}, difference" if intervals else "difference"):
        table.add_column(title, justify="right", no_wrap=True)
    for division, buckets in found.buckets.items():
        table.add_row(Text(division, "bold"))
        for bucket in buckets:
            cell = Text(number(bucket.difference, comparison.score, "+"))
            if intervals and bucket.low is not None and bucket.high is not None:
                cell.append(f" {interval(comparison, bucket.low, bucket.high, sign=True)}", "dim")
            counts = (f"{count:,}" for count in (bucket.rows, bucket.wins, bucket.ties, bucket.losses))
            table.add_row(f"  {one_line(bucket.name)}", *counts, cell)
    return table


def _row(comparison: Comparison, row: Row, systems: Sequence[System]) -> Table:
    """Return a row's texts, one below the other."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(row.language, Text(one_line(row.id), "bold"))
    document = one_line(row.document)
    if len(document) > _DOCUMENT:
        document = f"{document[: _DOCUMENT - 1]}…"
    table.add_row("document", document)
    table.add_row("reference", one_line(row.reference))
    for system in systems:
        score = number(row.scores[str(system.number)], comparison.score)
        table.add_row(f"{system.number}  {score:>5}", one_line(row.summaries[str(system.number)]) or "(empty)")
    return table
