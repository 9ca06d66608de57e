"""What a person sees of a run: on the terminal, as much as `log` says, and whole in `train.log`."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

Kind = Literal["step", "detail", "news", "result", "warning"]
"""A logged step or a library's record; a table or a sample; a line of news; final scores and where they lie."""

_SHOWN: dict[str, set[Kind]] = {
    "debug": {"step", "detail", "news", "result", "warning"},
    "info": {"detail", "news", "result", "warning"},
    "quiet": {"result", "warning"},
}
_SHOWN_OF_A_JOB: dict[str, set[Kind]] = {**_SHOWN, "info": {"news", "warning"}, "quiet": {"warning"}}
"""A sweep ends with a table of its jobs' scores, so that no job need show its own."""

_SILENCE = 2.0
"""Seconds that a stage may take without a line, where there is no terminal for a bar."""
_PULSE = 30.0
"""Seconds between the lines that then say how far it is."""


@dataclass(frozen=True)
class Bar:
    """How far a stage is; without a display, for nobody to see."""

    display: Progress | _Lines | None
    task: TaskID | None

    def advance(self, done: int, text: str | None = None) -> None:
        """Move to `done` steps; `text`, if given, replaces what stands behind the bar."""
        if self.display is not None and self.task is not None:
            fields: dict[str, Any] = {} if text is None else {"text": text}
            self.display.update(self.task, completed=done, **fields)


class _Lines:
    """Progress where there is no terminal: a line when a stage has taken a while, and another every so often."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[TaskID, dict[str, Any]] = {}

    def add_task(self, title: str, **fields: Any) -> TaskID:
        """Begin a stage of `total` steps (None: unknown); it speaks for the one that it is a part of."""
        for outer in self._tasks.values():
            outer["timer"].cancel()
        timer = threading.Timer(_SILENCE, self._say, [f"{title} ..."])
        timer.daemon = True
        timer.start()
        task = TaskID(len(self._tasks))
        self._tasks[task] = {"title": title, **fields, "timer": timer, "said": time.monotonic()}
        return task

    def update(self, task: TaskID, **fields: Any) -> None:
        """Note how many steps are `completed`, and the `text` to show with them."""
        stage = self._tasks[task]
        stage.update(fields)
        if time.monotonic() - stage["said"] >= _PULSE:
            stage["said"] = time.monotonic()
            self._say(f"{stage['title']} {stage['completed']:,} of {stage['total'] or 0:,}  {stage['text']}".rstrip())

    def remove_task(self, task: TaskID) -> None:
        """End a stage."""
        self._tasks[task]["timer"].cancel()

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


class _Count(ProgressColumn):
    """Steps done and in all and the time left, where that is known; else the time the stage has taken."""

    def render(self, task: Task) -> Text:
        """Return what stands behind a bar."""
        count = f"{task.completed:,.0f}/{task.total:,.0f}  " if task.total is not None else ""
        left = task.time_remaining if task.total is not None else None
        return Text(f"{count}{_clock(task.elapsed)}" if left is None else f"{count}{_clock(left)} left")


def _clock(time: float | None) -> str:
    minutes, seconds = divmod(int(time or 0), 60)
    return f"{minutes}:{seconds:02}"


class _Output:
    """Standard output; when its reader goes away, or its disk is full, the run goes on without it."""

    def write(self, text: str) -> None:
        """Write what can be written."""
        with suppress(OSError):
            sys.stdout.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))

    def flush(self) -> None:
        """Flush; what cannot be written then is dropped, so that nothing is tried again at exit."""
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def from_here(path: Path) -> Path:
    """Return a path as a person in the current folder would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class Terminal:
    """Standard output and the bars of the stages that are going on."""

    def __init__(self, *, bars: bool = True) -> None:
        environment = {name: value for name, value in os.environ.items() if (name, value) != ("COLUMNS", "0")}
        output = cast("IO[str]", _Output()) if sys.stdout is not None else None  # closed by the shell: `>&-`
        self.console = Console(file=output, highlight=False, _environ=environment)
        self._bars = bars
        self._display: Progress | _Lines | None = None

    @contextmanager
    def progress(self, title: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:
        """Show a bar over `total` steps (None: unknown) while the block runs; one inside another's stands below it.

        Where there is no terminal, or none that can move its cursor, a line now and then shows that all is well.
        """
        if not self._bars:
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

    def _new_display(self) -> Progress | _Lines:
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            return _Lines(self.console)
        columns = (TextColumn("{task.description}"), BarColumn(None), _Count(Column(no_wrap=True)))
        return Progress(*columns, TextColumn("{task.fields[text]}"), console=self.console, transient=True)


class Screen(Terminal):
    """The terminal and the log file of one run.

    While it is open, Python's logging ends here: the records of `bisum` are notes, or warnings; those of libraries go
    to the log file, from WARNING on, or, with `log=debug`, to both from INFO on.
    """

    def __init__(self, file: Path, log: str = "info", *, job: bool = False) -> None:
        """Open the log file; `job`: the run is one of a sweep."""
        super().__init__(bars=log != "quiet")
        self._kinds = (_SHOWN_OF_A_JOB if job else _SHOWN)[log]
        self._file = file.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._log = Console(file=self._file, width=120, color_system=None, force_terminal=False, highlight=False)
        self._handler = _Records(self)
        self._levels = {name: logging.getLogger(name).level for name in (None, "bisum")}
        logging.getLogger("bisum").setLevel(logging.INFO)
        logging.getLogger().setLevel(logging.INFO if log == "debug" else logging.WARNING)
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)

    def print(self, *items: RenderableType, kind: Kind = "detail") -> None:
        """Show texts and tables, each on lines of its own."""
        for item in items:
            if kind in self._kinds:
                self.console.print(item)
            self._log.print(item)

    def clip(self, text: str) -> None:
        """Show one line, cut at the terminal's width; the log has all of it."""
        if "detail" in self._kinds:
            self.console.print(text, no_wrap=True, overflow="ellipsis", crop=True, markup=False)
        self._write(text)

    def lines(self, *texts: str, kind: Kind = "result") -> None:
        """Show lines as they are, however long: what a person may want to copy, such as paths."""
        for text in texts:
            if kind in self._kinds:
                self.console.print(text, markup=False, soft_wrap=True)
            self._write(text)

    def note(self, text: str) -> None:
        """Show one line of news."""
        self.lines(f"> {text}", kind="news")

    def warn(self, text: str) -> None:
        """Show one line that should not be missed."""
        self.lines(f"> warning: {text}", kind="warning")

    def log(self, text: str) -> None:
        """Write to the log, and with `log=debug` to the terminal."""
        self.lines(text.rstrip(), kind="step")

    def _write(self, text: str) -> None:
        self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")

    def close(self) -> None:
        """Stop writing to the log file; logging is as it was."""
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._file.close()


class _Records(logging.Handler):
    """Shows the records of Python's logging on a screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        text = " ".join(record.getMessage().split())
        if record.name.partition(".")[0] != "bisum":
            self._screen.log(f"{record.levelname} {record.name}: {text}")
        elif record.levelno >= logging.WARNING:
            self._screen.warn(text)
        else:
            self._screen.note(text)
