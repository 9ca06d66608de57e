"""The dialect of a CSV file: its line ends, the line that states its separator, and the separator itself."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from bisum.corpus.formats.decoding import has_lone_return, split_lines

LONE_RETURN = "\0"
"""Replaces a CR inside a line while csv parses it, since csv ends a row at a CR outside quotes."""

_STATED_SEPARATOR = re.compile(r'"?sep=(\\t|[^"\r\n])"?[\r\n]*', re.IGNORECASE)


class FirstLine(NamedTuple):
    """The first line of a table, the header."""

    skipped: int
    """Number of lines before it."""
    text: str
    """The line, or "" if the file is blank."""
    separator: str | None
    """The separator that an earlier line, such as `sep=;`, states for Excel."""


class CsvLines:
    """The lines of a CSV file. CR ends lines if it ends the first; otherwise, lone CRs become `LONE_RETURN`."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.has_lone_returns = False
        """Whether any line so far contained a CR that became `LONE_RETURN`."""

    def __iter__(self) -> Iterator[str]:
        """Yield the lines with their line ends; none contains a NUL."""
        cr_ends_lines = None
        for line in self._lines:
            if cr_ends_lines is None and line.strip():
                cr_ends_lines = has_lone_return(re.sub(r'"[^"]*"', "", line))
            at = line.find("\r")
            if at < 0 or line[at:] in ("\r\n", "\r"):
                yield line
            elif cr_ends_lines:
                yield from split_lines(line)
            else:
                self.has_lone_returns = True
                yield re.sub(r"\r(?!\n|\Z)", LONE_RETURN, line)


def find_first_line(lines: Iterator[str]) -> FirstLine:
    """Read up to the first line that is not blank and does not state the separator."""
    separator = None
    for skipped, line in enumerate(lines):
        stated = _STATED_SEPARATOR.fullmatch(line) if separator is None else None
        if stated:
            separator = stated[1].replace(r"\t", "\t")
        elif line.strip():
            return FirstLine(skipped, line, separator)
    return FirstLine(0, "", separator)


def likely_separator(head: Sequence[str], separators: str, quoting: Literal[0, 3]) -> str:
    """Return the separator that gives the most rows of a file's head as many values as the header.

    Ties go to the one that gives the header the most values; `head` begins with the header.
    """

    def score(separator: str) -> tuple[float, int]:
        header, *rows = csv.reader(head, delimiter=separator, quoting=quoting)
        width = len(header)
        filled = [row for row in rows if any(row)]
        matching = sum(len(row) == width or (len(row) > width and not any(row[width:])) for row in filled)
        return (matching / max(len(filled), 1) if width > 1 else -1), width

    return max(separators, key=score)
