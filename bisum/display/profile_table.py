"""The table of a profile's most expensive operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bisum.display.screen import Screen
from bisum.display.tables import new_table

OPERATORS = 10
"""Operators that the table shows."""


@dataclass(frozen=True)
class Operator:
    """An operator in one step."""

    name: str
    """As torch calls it, such as aten::mm."""
    seconds: float
    """Self time: without the operators that it calls."""
    calls: float
    """Calls, in the mean over the recorded steps."""


def narrate_profiled(
    screen: Screen, operators: Sequence[Operator], steps: int, seconds: float, device: str, trace: Path
) -> None:
    """Show the most expensive operators of a step, and where the trace is.

    Args:
        screen: where to show them.
        operators: all operators, the most expensive first.
        steps: recorded steps.
        seconds: time of a step while it is recorded.
        device: the device whose time is counted: CPU or GPU.
        trace: file of the trace.
    """
    counted = "1 step" if steps == 1 else f"{steps} steps"
    screen.print(f"\nprofile of {counted} ({1000 * seconds:,.1f} ms each while recording): self time on the {device}")
    screen.print(profile_table(operators))
    show_trace(screen, trace)


def show_trace(screen: Screen, trace: Path) -> None:
    """Show where a trace is, and what opens it."""
    screen.lines(f"profile        {trace}  (to see it, drop it on https://ui.perfetto.dev)", kind="detail")


def profile_table(operators: Sequence[Operator]) -> Table:
    """Return a table of the first operators, with their share of the time of all, and of the others together."""
    table = new_table("operator")
    table.columns[0].overflow, table.columns[0].no_wrap = "ellipsis", True
    for title in ("ms", "share", "calls"):
        table.add_column(title, justify="right", no_wrap=True)
    total = sum(operator.seconds for operator in operators)
    for operator in operators[:OPERATORS]:
        table.add_row(operator.name, *_cells(operator.seconds, total, operator.calls))
    if others := operators[OPERATORS:]:
        seconds, calls = sum(other.seconds for other in others), sum(other.calls for other in others)
        table.add_row(f"{len(others)} others", *_cells(seconds, total, calls), style="dim")
    return table


def _cells(seconds: float, total: float, calls: float) -> list[str]:
    return [f"{1000 * seconds:,.2f}", f"{seconds / total:.1%}", f"{calls:,.4g}"]
