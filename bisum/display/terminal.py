"""Standard output and progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from bisum.display.console import Console
from bisum.printing import clean_standard_streams
from bisum.runs.progress import StageProgress, write_progress

_FIRST_LINE = 2.0
"""Seconds before a stage prints its first line, without a terminal."""
_INTERVAL = 30.0
"""Seconds between further progress lines."""
_FILE_INTERVAL = 1.0
"""Minimum seconds between updates of a progress file."""


@dataclass(frozen=True)
class Bar:
    """Progress of a stage; without a display, updates are ignored."""

    display: _Display | None
    task: TaskID | None

    def advance(self, done: int, text: str | None = None, left: float | None = None) -> None:
        """Move to `done` steps; `text`, if given, replaces the text behind the bar, and `left` the seconds left."""
        if self.display is not None and self.task is not None:
            given: dict[str, Any] = {"text": text, "left": left}
            fields = {name: value for name, value in given.items() if value is not None}
            self.display.update(self.task, completed=done, **fields)


class _Lines:
    """Progress without a terminal: a line after a delay, then further lines at intervals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[TaskID, dict[str, Any]] = {}

    def add_task(self, title: str, **fields: Any) -> TaskID:
        """Begin a stage of `total` steps (None: unknown) and silence the enclosing stages."""
        for outer in self._tasks.values():
            outer["timer"].cancel()
        timer = threading.Timer(_FIRST_LINE, self._print, [f"{title} ..."])
        timer.daemon = True
        timer.start()
        task = TaskID(len(self._tasks))
        self._tasks[task] = {"title": title, **fields, "timer": timer, "printed": time.monotonic()}
        return task

    def update(self, task: TaskID, **fields: Any) -> None:
        """Set the number of `completed` steps and the `text` to show with it."""
        stage = self._tasks[task]
        stage.update(fields)
        if time.monotonic() - stage["printed"] >= _INTERVAL:
            stage["printed"] = time.monotonic()
            left = f"  {clock(stage['left'])} left" if "left" in stage else ""
            count = f"{stage['completed']:,} of {stage['total'] or 0:,}"
            self._print(f"{stage['title']} {count}  {stage['text']}".rstrip() + left)

    def remove_task(self, task: TaskID) -> None:
        """End a stage."""
        self._tasks[task]["timer"].cancel()

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


class _File:
    """Progress in a file, for a watching process: the innermost stage, at most once per second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stages: dict[TaskID, dict[str, Any]] = {}
        self._written = -math.inf

    def add_task(self, title: str, **fields: Any) -> TaskID:
        """Begin a stage of `total` steps (None: unknown)."""
        task = TaskID(len(self._stages))
        self._stages[task] = {"stage": title, **fields}
        self._write()
        return task

    def update(self, task: TaskID, **fields: Any) -> None:
        """Set the number of `completed` steps and the `text` to show with it."""
        self._stages[task].update(fields)
        if time.monotonic() - self._written >= _FILE_INTERVAL:
            self._write()

    def remove_task(self, task: TaskID) -> None:
        """End a stage."""
        del self._stages[task]
        if self._stages:
            self._write()

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def _write(self) -> None:
        self._written = time.monotonic()
        stage = [*self._stages.values()][-1]
        write_progress(self._path, StageProgress(stage["stage"], stage["completed"], stage["total"], stage["text"]))


_Display = Progress | _Lines | _File


class _Count(ProgressColumn):
    """Column with the steps done, their total and the time left if known, otherwise the elapsed time."""

    def render(self, task: Task) -> Text:
        """Return the text behind a bar."""
        count = f"{task.completed:,.0f}/{task.total:,.0f}  " if task.total is not None else ""
        own = task.time_remaining if task.total is not None else None
        left = task.fields.get("left", own)
        return Text(f"{count}{clock(task.elapsed)}" if left is None else f"{count}{clock(left)} left")


def clock(time: float | None) -> str:
    """Format seconds as minutes and seconds, 2:05, or hours, minutes and seconds, 1:02:05."""
    minutes, seconds = divmod(int(time or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def relative_path(path: Path) -> Path:
    """Return a path relative to the current folder if it is inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class Terminal:
    """Standard output and the progress bars of the running stages."""

    def __init__(self, *, bars: bool = True, progress_file: Path | None = None) -> None:
        """Open standard output; with `progress_file`, show nothing and write the progress to this file."""
        self.console = Console(quiet=progress_file is not None)
        self._bars = bars or progress_file is not None
        self._progress_file = progress_file
        self._display: _Display | None = None

    @contextmanager
    def progress(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:
        """Show a bar over `total` steps (None: unknown) during the block, below any enclosing bar.

        Without a terminal that can move its cursor, print occasional progress lines.
        """
        if not self._bars:
            yield Bar(None, None)
            return
        display = self._display or self._new_display()
        outermost, self._display = self._display is None, display
        task = display.add_task(title, total=total, completed=done, text="")
        display.start()
        if outermost and isinstance(display, Progress):  # it prints other output above its bars, as ANSI text
            clean_standard_streams()
        try:
            yield Bar(display, task)
        finally:
            display.remove_task(task)
            if outermost:
                display.stop()
                self._display = None

    def _new_display(self) -> _Display:
        if self._progress_file is not None:
            return _File(self._progress_file)
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            return _Lines(self.console)
        columns = (_text("{task.description}"), BarColumn(None), _Count(Column(no_wrap=True)))
        return Progress(*columns, _text("{task.fields[text]}"), console=self.console, transient=True)


def _text(template: str) -> TextColumn:
    return TextColumn(template, markup=False)
