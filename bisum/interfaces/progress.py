"""The interface of progress bars, independent of the display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """The progress bar of a stage."""

    def advance(self, done: int, text: str | None = None, left: float | None = None) -> None:
        """Move to `done` steps; `text`, if given, replaces the text after the bar, and `left` the seconds left."""


class ShowProgress(Protocol):
    """A function that opens a bar for a block of work."""

    def __call__(self, title: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Bar]:
        """Show a bar for the duration of the block, starting at `done` of `total` steps (None: unknown)."""


class _NoBar:
    def advance(self, done: int, text: str | None = None, left: float | None = None) -> None:
        """Ignore progress."""


@contextmanager
def no_progress(title: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:  # noqa: ARG001 - `ShowProgress`
    """Show nothing."""
    yield _NoBar()
