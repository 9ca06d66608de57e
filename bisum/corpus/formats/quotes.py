"""Quotation marks that swallow rows: a value in a CSV file that begins with one by chance runs up to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_FEW = 0.01
"""Share of a column's values up to which they count as exceptions."""

_SAMPLE_ROWS = 10_000
"""About how many rows, evenly spread, show what is usual in a column."""


@dataclass(frozen=True)
class Suspect:
    """A row with a value of several lines, most of which have as many values as a row."""

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


def holds_rows(lines: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether a row takes several lines, most of which have as many values as a row."""
    return len(lines) > 1 and _most(lines, lambda line: len(line) == width)


def first_swallower(suspects: Sequence[Suspect], columns: Mapping[int, Sequence[str]], width: int) -> Suspect | None:
    """Return the first suspect most of whose lines look like the file's other rows; prose with commas does not.

    A line looks like a row if it has `width` values, none of them begins with white space, and there is no white space
    in columns that otherwise have none, such as ids. Columns whose other values break this rule are not held to it.

    Args:
        suspects: the rows in question.
        columns: the values of all rows in the columns that are read, by their index.
        width: the number of values in a row.
    """
    if not suspects:
        return None
    doubtful = {suspect.row - 1 for suspect in suspects}
    rows = len(next(iter(columns.values())))
    sample = [row for row in range(0, rows, rows // _SAMPLE_ROWS + 1) if row not in doubtful]
    usual = {index: [values[row] for row in sample] for index, values in columns.items()}
    unspaced = {index for index, values in usual.items() if values and _share(values, _has_space) <= _FEW}
    indented = {index for index, values in usual.items() if _share(values, _is_indented) > _FEW}

    def fits(line: Sequence[str]) -> bool:
        return len(line) == width and not any(
            (_is_indented(value) and index not in indented) or (index in unspaced and _has_space(value))
            for index, value in enumerate(line)
        )

    return next((suspect for suspect in suspects if _most(suspect.lines, fits)), None)


def _most(lines: Sequence[Sequence[str]], fit: Callable[[Sequence[str]], bool]) -> bool:
    """Return whether more than half of the lines that are not blank fit."""
    filled = [line for line in lines if any(line)]
    return 2 * sum(map(fit, filled)) > len(filled)


def _share(values: Sequence[str], fit: Callable[[str], bool]) -> float:
    return sum(map(fit, values)) / max(len(values), 1)


def _has_space(value: str) -> bool:
    return len(value.split(None, 1)) > 1


def _is_indented(value: str) -> bool:
    return value[:1].isspace()
