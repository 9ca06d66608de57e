"""The table of a profile's most expensive operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bisum.display.screen import Screen
from bisum.display.tables import new_table

OPERATORS = 10
"""Number of operators in the table."""
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Operator:
    """An operator in one step."""

    name: str
    """Name in torch, such as aten::mm."""
    seconds: float
    """Self time, without the operators that it calls."""
    calls: float
    """Mean number of calls per recorded step."""


def narrate_profile_table(
    screen: Screen, operators: Sequence[Operator], steps: int, seconds: float, device: str, trace: Path
) -> None:
    """Show the most expensive operators of a step and the location of the trace.

    Args:
        screen: the screen to print on.
        operators: all operators, the most expensive first.
        steps: number of recorded steps.
        seconds: time per step while recording.
        device: the device whose time is counted: CPU or GPU.
        trace: the trace file.
    """
    counted = "1 step" if steps == 1 else f"{steps} steps"
    screen.print(f"\nprofile of {counted} ({1000 * seconds:,.1f} ms each while recording): self time on the {device}")
    screen.print(profile_table(operators))
    show_trace(screen, trace)


def show_trace(screen: Screen, trace: Path) -> None:
    """Show the location of a trace and how to view it."""
    screen.lines(f"profile        {trace}  (open it at https://ui.perfetto.dev)", kind="detail")


def profile_table(operators: Sequence[Operator]) -> Table:
    """Return a table of the first operators with their share of the total time, and the sum of the others."""
    table = new_table("operator")
    table.columns[0].no_wrap = True
    for title in ("ms/step", "share", "calls/step"):
        table.add_column(title, justify="right", no_wrap=True)
    total = sum(operator.seconds for operator in operators)
    for operator in operators[:OPERATORS]:
        table.add_row(_shortened(operator.name), *_cells(operator.seconds, total, operator.calls))
    if others := operators[OPERATORS:]:
        seconds, calls = sum(other.seconds for other in others), sum(other.calls for other in others)
        table.add_row(f"{len(others)} others", *_cells(seconds, total, calls), style="dim")
    return table


def _shortened(name: str) -> str:
    """Return a name that leaves room for the numbers in 80 columns."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _cells(seconds: float, total: float, calls: float) -> list[str]:
    return [f"{1000 * seconds:,.2f}", f"{seconds / total:.1%}", f"{calls:,.{0 if calls >= 100 else 1}f}"]
