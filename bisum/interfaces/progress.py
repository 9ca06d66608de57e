"""How long work shows how far it is, whatever it is shown on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Bar(Protocol):
    """How far a stage is."""

    def advance(self, done: int, text: str | None = None) -> None:
        """Move to `done` steps; `text`, if given, replaces what stands behind the bar."""


class ShowProgress(Protocol):
    """Opens a bar for a block of work."""

    def __call__(self, title: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Bar]:
        """Show a bar over `total` steps (None: unknown), of which `done` are taken, while the block runs."""
