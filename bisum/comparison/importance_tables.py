"""The importance of settings as a table for the terminal, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bisum.comparison.importance import METHOD, SOURCE, Importance
from bisum.comparison.settings import short_names
from bisum.display.tables import new_table

_BAR = 20
"""Width of a bar of 100 %."""


def importance_report(found: Importance) -> Iterator[RenderableType]:
    """Yield the table of importance, and the lines below it."""
    yield ""
    yield _table(found)
    yield ""
    yield from map(Text, importance_explanations(found))


def _table(found: Importance) -> Table:
    table = new_table("setting")
    table.add_column("importance", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    names = short_names([*found.shares])
    for key, share in found.shares.items():
        table.add_row(names[key], percentage(share), "━" * round(_BAR * share))
    return table


def percentage(share: float) -> str:
    """Return a share as tables show it."""
    return f"{share:.0%}".replace("%", " %")


def importance_explanations(found: Importance) -> Iterator[str]:
    """Yield what importance is, and what it leaves out."""
    yield (
        f"Importance is by {METHOD} ({SOURCE}) over {found.systems:,} systems: how far the values of a setting differ "
        "between the better half of them and all. The shares sum to 100 %; with few runs they are rough."
    )
    if found.left_out:
        yield f"Left out, since most systems have a unique value: {', '.join(found.left_out)}."
