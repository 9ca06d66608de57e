"""Detection of stray quotation marks in CSV: a value that begins with one merges rows up to the next mark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

_FEW = 0.01
"""Largest share of a column's values that counts as exceptions."""

_FEW_SHAPES = 5
"""Largest number of different shapes in a column of ids."""

_SAMPLE_ROWS = 10_000
"""Approximate number of evenly spaced rows that show a column's typical values."""


@dataclass(frozen=True)
class Suspect:
    """A row with a value of several lines that may contain rows (`may_contain_rows`)."""

    row: int
    place: str
    """The row and its lines, for a message."""
    lines: list[list[str]]
    """The values of each line, as `lines_inside` returns them."""


def lines_inside(values: Sequence[str], separator: str) -> list[list[str]]:
    """Return the values that each line of a row would have if quotation marks around line ends were text."""
    lines: list[list[str]] = [[]]
    for value in values:
        if "\r" in value:
            value = value.replace("\r\n", "\n").replace("\r", "\n")
        if "\n" not in value:
            lines[-1].append(value)
            continue
        first, *others = value.split("\n")
        lines[-1] += first.split(separator)
        lines += [line.split(separator) for line in others]
    return lines


def may_contain_rows(values: Sequence[str], separator: str, width: int) -> bool:
    """Return whether a row spans several lines that look like rows by their number of values.

    Either most lines do, or one after the first that also begins like the row itself, such as with an id. This quick
    check counts separators; `lines_inside` returns the values.
    """
    ends = fits = before = 0  # line ends, lines with as many values as a row, separators so far in the current line
    parts: list[str] = []
    for value in values:
        if "\r" in value:
            value = value.replace("\r\n", "\n").replace("\r", "\n")
        if "\n" in value:
            parts = value.split("\n")
            counts = [part.count(separator) for part in parts]
            fits += (before + counts[0] == width - 1) + counts[1:-1].count(width - 1)
            ends, before = ends + len(parts) - 1, counts[-1]
        elif separator in value:
            before += value.count(separator)
        before += 1
    fits += before == width
    if not fits or not ends or 2 * fits > ends + 1:
        return bool(fits and ends)
    longest = 2 * len(values[0])  # prose rarely begins with text as short as an id
    heads = [head for part in parts[1:] if 0 < len(head := part.partition(separator)[0]) <= longest]
    return bool(heads) and "9" in (own := _shape(values[0])) and any(_shape(head) == own for head in heads)


def first_merged(suspects: Sequence[Suspect], columns: Mapping[int, pa.ChunkedArray], width: int) -> Suspect | None:
    """Return the first suspect whose lines look like the file's other rows; prose with commas does not.

    A line looks like a row if it has `width` values, no value begins with white space, and columns that otherwise have
    no white space, such as ids, have none. The rules do not apply to columns whose other values break them. Most lines
    must look like rows, or one line after the first whose id also has the shape of other ids: the same alternation of
    letters and digits.

    Args:
        suspects: the rows in question.
        columns: the values of all rows in the columns that are read, by column index.
        width: the number of values in a row.
    """
    if not suspects:
        return None
    doubtful = {suspect.row - 1 for suspect in suspects}
    rows = len(next(iter(columns.values())))
    sample = [row for row in range(0, rows, rows // _SAMPLE_ROWS + 1) if row not in doubtful]
    typical = {index: [values[row].as_py() for row in sample] for index, values in columns.items()}
    unspaced = {index for index, values in typical.items() if values and _share(values, _has_space) <= _FEW}
    indented = {index for index, values in typical.items() if _share(values, _is_indented) > _FEW}

    def fits(line: Sequence[str]) -> bool:
        return len(line) == width and not any(
            (_is_indented(value) and index not in indented) or (index in unspaced and _has_space(value))
            for index, value in enumerate(line)
        )

    shapes = {index: {_shape(value) for value in typical[index]} for index in unspaced}
    ids = {i: known for i, known in shapes.items() if len(known) <= _FEW_SHAPES and all("9" in one for one in known)}

    def continues(line: Sequence[str]) -> bool:
        return bool(ids) and fits(line) and all(_shape(line[index]) in known for index, known in ids.items())

    def is_merged(suspect: Suspect) -> bool:
        return _most(suspect.lines, fits) or any(map(continues, suspect.lines[1:]))

    return next(filter(is_merged, suspects), None)


def _most(lines: Sequence[Sequence[str]], fit: Callable[[Sequence[str]], bool]) -> bool:
    """Return whether more than half of the non-blank lines fit."""
    filled = [line for line in lines if any(line)]
    return 2 * sum(map(fit, filled)) > len(filled)


def _share(values: Sequence[str], fit: Callable[[str], bool]) -> float:
    return sum(map(fit, values)) / max(len(values), 1)


def _shape(value: str) -> str:
    """Return a value with each run of letters as `a` and each run of digits as `9`: `en-0042` becomes `a-9`."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", value))


def _has_space(value: str) -> bool:
    return len(value.split(None, 1)) > 1


def _is_indented(value: str) -> bool:
    return value[:1].isspace()
