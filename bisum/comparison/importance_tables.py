"""Terminal table of the importance of settings, and its explanation."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bisum.comparison.importance import METHOD, SOURCE, Importance
from bisum.comparison.settings import short_names
from bisum.display.tables import new_table

_BAR = 20
"""Width of a 100% bar."""


def importance_report(found: Importance) -> Iterator[RenderableType]:
    """Yield the table of importance and the notes below it."""
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
        table.add_row(names[key], f"{share:.0%}", "━" * round(_BAR * share))
    return table


def importance_explanations(found: Importance) -> Iterator[str]:
    """Yield the explanation of importance and the omitted settings."""
    yield (
        f"Importance by {METHOD} ({SOURCE}) over {found.systems:,} systems: how far the distribution of a setting's "
        "values differs between the better half and all systems. Shares sum to 100% and are rough with few runs."
    )
    if found.left_out:
        yield f"Omitted, as most of their values are unique: {', '.join(found.left_out)}."
