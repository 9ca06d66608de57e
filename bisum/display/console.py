"""Rich consoles for untrusted text, which can neither control the terminal nor style itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any, TextIO, cast

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bisum.printing import clean, uncleaned


class Console(RichConsole):
    """A console that shows texts verbatim, without markup or control sequences; rich's own ones still work.

    Style texts with `Text` and `Text.assemble`.
    """

    def __init__(self, file: IO[str] | None = None, *, stderr: bool = False, **options: Any) -> None:
        """Open a console on a file, on standard error or on standard output."""
        environment = {name: value for name, value in os.environ.items() if (name, value) != ("COLUMNS", "0")}
        stream = uncleaned(sys.stderr if stderr else sys.stdout)
        if file is None and stream is not None:  # closed by the shell: `>&-`
            file = cast("IO[str]", _Output(stream))
        super().__init__(
            file=file, stderr=stderr, markup=False, emoji=False, highlight=False, _environ=environment, **options
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Clean a text before it is measured."""
        return super().render_str(clean(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Clean every text, whatever its source."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


class _Output:
    """A standard stream that ignores errors, so that a run survives a closed pipe or a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write text, ignoring errors."""
        with suppress(OSError, ValueError):  # ValueError: the stream was closed elsewhere
            self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))

    def flush(self) -> None:
        """Flush; on an error, discard pending and later output, so that Python does not retry at exit."""
        try:
            self._stream.flush()
        except ValueError:  # the stream was closed elsewhere
            return
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
