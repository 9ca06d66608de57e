"""What a person sees of a run, on the terminal and, word for word, in `train.log`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Bar:
    """A progress bar on a terminal; nothing where there is none."""

    display: Progress | None
    task: TaskID | None

    def advance(self, done: int, text: str | None = None) -> None:
        """Move to `done` steps; `text`, if given, replaces what stands behind the bar."""
        if self.display is not None and self.task is not None:
            self.display.update(self.task, completed=done)
            if text is not None:
                self.display.update(self.task, text=text)


class _Terminal(Console):
    """Standard output; when its reader goes away, the run goes on without it."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on."""
        self.file = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process


class Screen:
    """The terminal and the log file of one run; on a terminal, stages show a progress bar."""

    def __init__(self, log: Path) -> None:
        self.console: Console = _Terminal(file=sys.stdout, highlight=False)
        self._file = log.open("a", encoding="utf-8", buffering=1)
        self._log = Console(file=self._file, width=120, color_system=None, force_terminal=False, highlight=False)
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)
        self._display: Progress | None = None

    def print(self, *items: RenderableType) -> None:
        """Show texts and tables, each on lines of its own, on the terminal and in the log."""
        for item in items:
            self.console.print(item)
            self._log.print(item)

    def clip(self, text: str) -> None:
        """Show one line, cut at the terminal's width; the log has all of it."""
        self.console.print(text, no_wrap=True, overflow="ellipsis", crop=True, markup=False)
        self.log(text)

    def lines(self, *texts: str) -> None:
        """Show lines as they are, however long: what a person may want to copy, such as paths."""
        for text in texts:
            self.console.print(text, markup=False, soft_wrap=True)
            self.log(text)

    def note(self, text: str) -> None:
        """Show one line of news."""
        self.lines(f"> {text}")

    def log(self, text: str) -> None:
        """Write to the log alone."""
        self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text.rstrip()}\n")

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """Show a bar over `total` steps while the block runs; one inside another's block stands below it."""
        if not self.console.is_terminal:
            yield Bar(None, None)
            return
        display = self._display or self._new_display()
        outermost, self._display = self._display is None, display
        task = display.add_task(title, total=total, completed=done, text="")
        display.start()
        try:
            yield Bar(display, task)
        finally:
            display.remove_task(task)
            if outermost:
                display.stop()
                self._display = None

    def _new_display(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self.console, transient=True)

    def close(self) -> None:
        """Stop writing to the log file."""
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        self._file.close()
