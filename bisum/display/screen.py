"""Output of a run: filtered by `log` on the terminal, complete in `train.log`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, cast

from rich.console import RenderableType

from bisum.display.console import Console
from bisum.display.terminal import Terminal
from bisum.errors import one_line
from bisum.printing import CleanStream
from bisum.runs.progress import PROGRESS

Kind = Literal["step", "detail", "news", "result", "warning"]
"""A logged step or library record; a table or sample; a line of news; final scores and their location; a warning."""

_SHOWN: dict[str, set[Kind]] = {
    "debug": {"step", "detail", "news", "result", "warning"},
    "info": {"detail", "news", "result", "warning"},
    "quiet": {"result", "warning"},
}
_SHOWN_IN_JOB: dict[str, set[Kind]] = {**_SHOWN, "info": {"news", "warning"}, "quiet": {"warning"}}
"""For sweep jobs, which omit their scores because the sweep ends with a table of them."""


class Screen(Terminal):
    """The terminal and the log file of one run.

    While it is open, it handles Python's logging. Records of `bisum` become notes or warnings. Library records from
    WARNING up go to the log file; with `log=debug`, those from INFO up go to both.
    """

    def __init__(
        self,
        file: Path,
        log: str = "info",
        *,
        job: bool = False,
        mask: Callable[[str], str] = lambda text: text,
        detached: bool = False,
    ) -> None:
        """Open the log file.

        Args:
            file: the log file.
            log: verbosity of the terminal.
            job: whether the run belongs to a sweep.
            mask: a function that removes secrets from a text.
            detached: show nothing on the terminal, and write progress beside the log file.
        """
        self._mask = mask
        super().__init__(bars=log != "quiet", progress_file=file.with_name(PROGRESS) if detached else None)
        self._kinds = (_SHOWN_IN_JOB if job else _SHOWN)[log]
        self._file = CleanStream(file.open("a", encoding="utf-8", errors="backslashreplace", buffering=1))
        self._log = Console(cast("IO[str]", self._file), width=120, color_system=None, force_terminal=False)
        self._handler = LogHandler(self._show_record)
        self._levels = {name: logging.getLogger(name).level for name in (None, "bisum")}
        logging.getLogger("bisum").setLevel(logging.INFO)
        logging.getLogger().setLevel(logging.INFO if log == "debug" else logging.WARNING)
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)

    def print(self, *items: RenderableType, kind: Kind = "detail") -> None:
        """Show texts and tables, each starting on a new line."""
        for item in items:
            item = self._mask(item) if isinstance(item, str) else item
            if kind in self._kinds:
                self.console.print(item)
            self._log.print(item)

    def clip(self, text: str) -> None:
        """Show one line, truncated to the terminal's width; the log has the full line."""
        text = self._mask(text)
        if "detail" in self._kinds:
            self.console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
        self._write(text)

    def lines(self, *texts: str, kind: Kind = "result") -> None:
        """Show lines without wrapping, so that users can copy paths."""
        for text in map(self._mask, texts):
            if kind in self._kinds:
                self.console.print(text, soft_wrap=True)
            self._write(text)

    def note(self, text: str) -> None:
        """Show one line of news."""
        self.lines(f"> {text}", kind="news")

    def warn(self, text: str) -> None:
        """Show a one-line warning."""
        self.lines(f"> warning: {text}", kind="warning")

    def log(self, text: str) -> None:
        """Write to the log file and, with `log=debug`, to the terminal."""
        self.lines(text.rstrip(), kind="step")

    def _show_record(self, record: logging.LogRecord, text: str) -> None:
        if record.name.partition(".")[0] != "bisum":
            self.log(f"{record.levelname} {record.name}: {text}")
        elif record.levelno >= logging.WARNING:
            self.warn(text)
        else:
            self.note(text)

    def _write(self, text: str) -> None:
        self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")

    def close(self) -> None:
        """Close the log file and restore the previous logging setup."""
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._file.close()


class LogHandler(logging.Handler):
    """Handler that passes each logging record to a function, with its message on one line."""

    def __init__(self, show: Callable[[logging.LogRecord, str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._show(record, one_line(record.getMessage()))
