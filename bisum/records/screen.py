"""What a person sees of a run, on the terminal and, word for word, in `train.log`."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Screen:
    """The terminal and the log file of one run; on a terminal, stages show a progress bar."""

    def __init__(self, log: Path) -> None:
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
        self._file = log.open("a", encoding="utf-8", buffering=1)
        self._log = Console(file=self._file, width=120, color_system=None, force_terminal=False, highlight=False)
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)
        warnings.simplefilter("default")
        self._progress: Progress | None = None
        self._task: Any = None

    def print(self, *items: RenderableType) -> None:
        """Show texts and tables, each on lines of its own, on the terminal and in the log."""
        for item in items:
            self.console.print(item)
            self._log.print(item)

    def clip(self, text: str) -> None:
        """Show one line, cut at the terminal's width; the log has all of it."""
        self.console.print(text, no_wrap=True, overflow="ellipsis", crop=True, markup=False)
        self.log(text)

    def note(self, text: str) -> None:
        """Show one line of news."""
        self.print(f"[bold]>[/bold] {text}")

    def log(self, text: str) -> None:
        """Write to the log alone."""
        self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n")

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[None]:
        """Show a bar over `total` steps while the block runs, moved by `advance`."""
        if not self.console.is_terminal or self._progress is not None:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as self._progress:
            self._task = self._progress.add_task(title, total=total, completed=done, text="")
            try:
                yield
            finally:
                self._progress.stop()
                self._progress = None

    def advance(self, done: int) -> None:
        """Move the bar to `done` steps."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def training(self, step: int, loss: float, rows_per_second: float) -> None:
        """Show the state of training: beside the bar, and as a line of the log."""
        text = f"loss {loss:.3f}  {rows_per_second:.0f} rows/s"
        if self._progress is not None:
            self._progress.update(self._task, text=text)
        self.log(f"step {step}  {text}")

    def close(self) -> None:
        """Stop writing to the log file."""
        logging.getLogger().removeHandler(self._handler)
        self._file.close()
