"""Readers of CSV and TSV as written by spreadsheets and databases; an error names the bad row.

Rows are counted from 1, excluding the header and blank lines; lines are numbered as in an editor.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Literal

import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.columns import Pick, pick_once
from bisum.corpus.disk import READ_ROWS, batches_of, stored
from bisum.corpus.formats.csv_dialect import LONE_RETURN, CsvLines, find_first_line, likely_separator
from bisum.corpus.formats.decoding import text_lines
from bisum.corpus.formats.quotes import Suspect, first_merged, lines_inside, may_contain_rows
from bisum.corpus.formats.quoting import Quoting
from bisum.errors import UserError, shown

logger = logging.getLogger(__package__)

_HEAD_LINES = 100
"""Number of lines after the header that determine a file's separator."""

_NULL = r"\N"
"""A missing value as MySQL and PostgreSQL write it."""
_MISSING_WORDS = ("NULL", "NA")
"""Missing values as MySQL's client and R write them; they can also be text."""


def read_csv(file: IO[bytes], url: str, pick: Pick, quoting: Quoting) -> Iterator[pa.Table]:
    """Read a file whose first row names the columns; commas, semicolons, bars or tabs separate the values."""
    content = _Csv(file, url, ",;|\t", quoted=quoting != "none", checked=quoting == "auto")
    yield from _in_pieces(content.table(pick))


def read_tsv(file: IO[bytes], url: str, pick: Pick, quoting: Quoting) -> Iterator[pa.Table]:
    """Read tab-separated values.

    If `quoting` is auto, quotation marks are text, unless the header is quoted or only quoting gives all rows the same
    number of values.
    """
    yield from _in_pieces(_tsv(file, url, pick, quoting))


def _in_pieces(table: pa.Table) -> Iterator[pa.Table]:
    return (pa.Table.from_batches([batch]) for batch in batches_of(table))


def _tsv(file: IO[bytes], url: str, pick: Pick, quoting: Quoting) -> pa.Table:
    if quoting != "auto":
        return _Csv(file, url, "\t", quoted=quoting == "minimal", checked=False).table(pick)
    file = file if file.seekable() else io.BytesIO(file.read())
    literal: UserError | None = None
    try:
        content = _Csv(file, url, "\t", quoted=False, checked=False)
        reason = "all column names are quoted"
        if not content.header_is_quoted:
            return _with_quotes_reported(content.table(pick), url)
    except _WrongWidth as error:
        literal, reason = error, "rows would otherwise differ in their number of values"
    file.seek(0)
    try:
        table = _Csv(file, url, "\t", quoted=True, checked=True).table(pick)
    except UserError as error:
        raise literal or error from None
    logger.info("%s: quotation marks around values are removed because %s (corpus.quoting)", url, reason)
    return table


def _with_quotes_reported(table: pa.Table, url: str) -> pa.Table:
    quoted = sum(pc.sum(pc.match_substring_regex(column, '^"([^"]|"")*"$')).as_py() or 0 for column in table.columns)
    if quoted:
        kept = "values that keep their surrounding quotation marks (corpus.quoting=minimal removes them)"
        logger.info("%s: %s: %s", url, kept, f"{quoted:,}")
    return table


class _WrongWidth(UserError):
    """A row with more or fewer values than the header."""


class _Csv:
    """A CSV file read up to its header."""

    def __init__(self, file: IO[bytes], url: str, separators: str, quoted: bool, checked: bool) -> None:
        """Read the header. `quoted`: values can be in double quotes; `checked`: such values must not contain rows."""
        csv.field_size_limit(sys.maxsize)
        self._url, self._quoted, self._checked = url, quoted, checked
        self._source = CsvLines(text_lines(file, url))
        lines = iter(self._source)
        self._skipped, first, separator = find_first_line(lines)
        if not first:
            raise UserError(f"{url}: has no rows; at least one is required")
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        head = [first, *islice(lines, _HEAD_LINES)]
        self._separator = separator or likely_separator(head, separators, quoting)
        # Otherwise, a space before a quotation mark would make the mark part of the value.
        self._rows = csv.reader(
            chain(head, lines), delimiter=self._separator, quoting=quoting, strict=True, skipinitialspace=quoted
        )
        try:
            header = next(self._rows, [])
        except csv.Error as error:
            raise self._broken("header", error) from error
        self._header = header
        self.header_is_quoted = all(len(name) > 1 and name[0] == name[-1] == '"' for name in header)
        self._names = [_bare(name.replace(LONE_RETURN, " ")) for name in header]
        if not any(self._names):
            raise UserError(f"{url}: the header is blank; the first line must name the columns")
        while not self._names[-1]:
            self._names.pop()
        inside = lines_inside(header, self._separator)
        if checked and may_contain_rows(header, self._separator, len(inside[0])):
            raise self._merged(f"header ({self._lines(header)})")

    def table(self, pick: Pick) -> pa.Table:
        """Return the picked columns of all rows. Raises `UserError` for a row that does not fit the header."""
        paths = pick_once([(name,) for name in self._names if name], pick, self._url, "header")
        texts = self._read({role: self._names.index(name) for role, (name,) in paths.items()})
        if self._source.has_lone_returns:
            texts = _changed(texts, lambda column: pc.replace_substring(column, LONE_RETURN, "\r"))
        nulls = sum(pc.sum(pc.equal(column, _NULL)).as_py() or 0 for column in texts.columns)
        if nulls:
            convention = "as written by MySQL and PostgreSQL"
            logger.info("%s: %s values read as missing (%s): %s", self._url, _NULL, convention, f"{nulls:,}")
            texts = _changed(texts, lambda column: pc.if_else(pc.equal(column, _NULL), None, column))
        for word in _MISSING_WORDS:
            if count := sum(pc.sum(pc.equal(column, word)).as_py() or 0 for column in texts.columns):
                logger.info("%s: %s values read as text, not as missing: %s", self._url, word, f"{count:,}")
        return texts

    def _read(self, indices: Mapping[str, int]) -> pa.Table:
        """Read all rows and return the values at the indices of some roles."""
        suspects = list[Suspect]()
        schema = pa.schema({role: pa.string() for role in indices})
        texts = stored(self._batches([*indices.values()], schema, suspects), schema)
        columns = {index: texts[role] for role, index in indices.items()}
        if suspect := first_merged(suspects, columns, self._width):
            raise self._merged(suspect.place)
        return texts

    def _batches(self, indices: Sequence[int], schema: pa.Schema, suspects: list[Suspect]) -> Iterator[pa.RecordBatch]:
        """Yield the values at `indices` of all rows, and add the rows that may contain others to `suspects`."""
        columns: list[list[str]] = [[] for _ in indices]
        rows, named, width = self._rows, len(self._names), 0
        row, line, empty, headers, header = 0, rows.line_num, 0, 0, self._header
        first: tuple[str, Sequence[str]] = ("", ())
        try:
            for values in rows:
                line, before = rows.line_num, line
                if line != before + 1 and self._checked and may_contain_rows(values, self._separator, width or named):
                    inside = lines_inside(values, self._separator)
                    suspects.append(Suspect(row + 1, self._place(row + 1, values), inside))
                if values == header:
                    headers += 1
                    continue
                if len(values) != named or not values[0]:  # all other rows are valid
                    if not any(map(str.strip, values)):
                        empty += len(values) > 1
                        continue
                    width = width or (named if any(values[named:]) else max(len(values), named))
                    if len(values) != width or any(values[named:]):
                        if suspects and suspects[-1].row == row + 1:
                            raise self._merged(suspects[-1].place)
                        raise self._wrong_width(self._place(row + 1, values), values)
                elif width > named:  # so the first row has one empty value too many
                    raise self._wrong_width(*first)
                if not row:
                    width, first = width or named, (self._place(1, values), values)
                row += 1
                for column, index in zip(columns, indices, strict=True):
                    column.append(values[index])
                if row % READ_ROWS == 0:
                    yield pa.record_batch(columns, schema)
                    columns = [[] for _ in indices]
        except csv.Error as error:
            raise self._broken(f"row {row + 1}", error) from error
        yield pa.record_batch(columns, schema)
        self._width = width
        if width > named:
            logger.info("%s: every row ends with an extra %r, which is ignored", self._url, self._separator)
        if headers:
            logger.info("%s: rows that repeat the header, left out: %s", self._url, f"{headers:,}")
        if empty:
            logger.info("%s: empty rows left out: %s", self._url, f"{empty:,}")

    def _place(self, row: int, values: Sequence[str]) -> str:
        """Return the name of the last row read, with its lines."""
        return f"row {row} ({self._lines(values)})"

    def _lines(self, values: Sequence[str]) -> str:
        last, count = self._skipped + self._rows.line_num, len(lines_inside(values, self._separator))
        return f"line {last}" if count < 2 else f"lines {last - count + 1} to {last}"

    def _merged(self, place: str) -> UserError:
        return UserError(
            f"{self._url}, {place}: a quoted value seems to contain several rows; use corpus.quoting=none if quotation "
            "marks are text, or corpus.quoting=minimal if the value spans these lines"
        )

    def _broken(self, place: str, error: csv.Error) -> UserError:
        return UserError(
            f"{self._url}, {place} (up to line {self._skipped + self._rows.line_num}): {error}; a value that begins "
            'with " must end with " and double each " inside (corpus.quoting=none reads quotation marks as text)'
        )

    def _wrong_width(self, place: str, values: Sequence[str]) -> UserError:
        hint = "" if self._quoted else " and set corpus.quoting=minimal"
        if self._quoted and any(self._separator in value for value in values):
            hint = "; corpus.quoting=none reads quotation marks as text"
        return _WrongWidth(
            f"{self._url}, {place}: has {len(values)} value{'s' * (len(values) != 1)} but the header has "
            f"{len(self._names)}; enclose values containing {shown(self._separator)} or a line break in double "
            f"quotes{hint}"
        )


def _changed(table: pa.Table, change: Callable[[pa.Array], pa.Array]) -> pa.Table:
    """Return a table with each column changed."""
    changed = (pa.record_batch([*map(change, batch.columns)], table.schema) for batch in batches_of(table))
    return stored(changed, table.schema)


def _bare(name: str) -> str:
    """Return a column's name without surrounding white space and quotation marks."""
    name = name.strip()
    return name[1:-1].strip() if len(name) > 1 and name[0] == name[-1] == '"' else name
