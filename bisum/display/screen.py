"""What a person sees of a run: on the terminal, as much as `log` says, and whole in `train.log`."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Literal

from rich.console import Console, RenderableType

from bisum.display.terminal import Terminal
from bisum.errors import one_line

Kind = Literal["step", "detail", "news", "result", "warning"]
"""A logged step or a library's record; a table or a sample; a line of news; final scores and where they lie."""

_SHOWN: dict[str, set[Kind]] = {
    "debug": {"step", "detail", "news", "result", "warning"},
    "info": {"detail", "news", "result", "warning"},
    "quiet": {"result", "warning"},
}
_SHOWN_OF_A_JOB: dict[str, set[Kind]] = {**_SHOWN, "info": {"news", "warning"}, "quiet": {"warning"}}
"""A sweep ends with a table of its jobs' scores, so that no job need show its own."""


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
        text = one_line(record.getMessage())
        if record.name.partition(".")[0] != "bisum":
            self._screen.log(f"{record.levelname} {record.name}: {text}")
        elif record.levelno >= logging.WARNING:
            self._screen.warn(text)
        else:
            self._screen.note(text)
