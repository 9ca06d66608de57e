"""Runs that are not compared: a table, and a single line for those that a search pruned."""

from __future__ import annotations

from rich.table import Table

from bisum.comparison.finding import PRUNED, OtherRun
from bisum.comparison.result import Comparison
from bisum.display.tables import new_table
from bisum.display.terminal import relative_path
from bisum.errors import one_line

_MOST_OTHERS = 20
_MOST_NAMED = 5


def listed(comparison: Comparison) -> list[OtherRun]:
    """Return the excluded runs that tables list individually: all but the pruned ones."""
    return [other for other in comparison.others if other.status != PRUNED]


def pruned_line(comparison: Comparison) -> str | None:
    """Return a line with the number and names of the pruned runs; None without any."""
    pruned = [other for other in comparison.others if other.status == PRUNED]
    if not pruned:
        return None
    named = ", ".join(str(relative_path(other.directory)) for other in pruned[:_MOST_NAMED])
    more = f" and {len(pruned) - _MOST_NAMED:,} more" if len(pruned) > _MOST_NAMED else ""
    are = "pruned run is" if len(pruned) == 1 else "pruned runs are"
    return f"{len(pruned):,} {are} not compared because training was stopped early: {named}{more}"


def others_table(comparison: Comparison) -> Table:
    """Return the table of the runs that are not compared."""
    others = listed(comparison)
    table = new_table("not compared")
    table.add_column("status", no_wrap=True)
    table.add_column("", overflow="fold")
    for other in others[:_MOST_OTHERS]:
        table.add_row(str(relative_path(other.directory)), other.status, one_line(other.reason))
    if (more := len(others) - _MOST_OTHERS) > 0:
        table.add_row(f"and {more:,} more", "", "format=json lists them")
    return table
