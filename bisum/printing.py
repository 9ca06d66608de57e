"""Removal of control sequences from all printed text.

A document, file name or library message can contain sequences that clear a terminal, retitle it or reorder its text.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

# C0 except the line feed, DEL, C1, line and paragraph separators, bidirectional embeddings, overrides and isolates, and
# two characters that XML forbids. Joiners, soft hyphens and marks stay, because scripts and emoji need them.
_CONTROL = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff]"
_CONTROLS = re.compile(_CONTROL)
_COLORS_AND_CONTROLS = re.compile(f"\x1b\\[[0-9:;]*m|{_CONTROL}")


def clean(text: str) -> str:
    """Return a text without control characters: tabs and other white space become blanks, the rest is dropped.

    Line feeds stay. Sequences that only color text, which libraries print, are dropped whole.
    """
    return _COLORS_AND_CONTROLS.sub(lambda found: " " if found[0].isspace() else "", text)


def as_json(value: Any, indent: int | None = None) -> str:
    """Return plain data as readable JSON with control characters escaped; parsing returns the same data."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def finite(value: Any) -> Any:
    """Return plain data with None for numbers that JSON cannot represent (infinity, NaN)."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class CleanStream:
    """A text stream that cleans all text; characters outside its encoding are escaped."""

    def __init__(self, stream: TextIO) -> None:
        self.uncleaned = stream
        """The underlying stream, for writers that clean their text and add their own control sequences."""

    def write(self, text: str) -> int:
        """Write a text without its control sequences."""
        encoding = self.uncleaned.encoding or "utf-8"
        self.uncleaned.write(clean(text).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, without adding line feeds."""
        for line in lines:
            self.write(line)

    def __eq__(self, other: object) -> bool:
        """Return whether another stream is this one or the underlying one, since libraries spare `sys.stderr`."""
        return other is self or other is self.uncleaned

    def __hash__(self) -> int:
        return hash(self.uncleaned)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.uncleaned, name)


def uncleaned(stream: TextIO | None) -> TextIO | None:
    """Return the stream underlying a `CleanStream`, or the stream itself."""
    return stream.uncleaned if isinstance(stream, CleanStream) else stream


def clean_standard_streams() -> None:
    """Clean everything printed from here on: by bisum, Hydra, libraries, user classes, warnings and tracebacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, CleanStream):  # None if closed by the shell (`>&-`)
            setattr(sys, name, CleanStream(stream))
