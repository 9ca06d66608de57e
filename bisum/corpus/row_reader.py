"""A reader of tables as rows of text; it reports the columns that it guesses or leaves out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bisum.corpus.columns import ColumnPath, Columns, Pick, text_rows
from bisum.corpus.values import TEXTS, Misfit
from bisum.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

Find = Callable[[Mapping[str, ColumnPath], str], Mapping[str, ColumnPath]]
"""Function that returns the column of each field, from a table's columns by dotted name and the table's name."""

logger = logging.getLogger(__name__)


class RowReader:
    """A reader of tables with the column names in `columns`. It reports each guess once for all tables."""

    def __init__(self, columns: Columns, find: Find | None = None) -> None:
        """`find` replaces `columns.find`."""
        self._columns = columns
        self._find = find or columns.find
        self._reported: set[str] = set()
        self._left_out: set[str] = set()

    def read(self, place: str, read: Callable[[Pick], Iterable[pa.Table]]) -> pa.Table:
        """Return the rows of the table named `place`, which is read in pieces, like `text_rows`.

        A guessed column whose values do not fit is left out of this and later tables.

        Raises:
            UserError: a column is missing, or a named or required one has a value that does not fit.
        """
        paths: dict[str, ColumnPath] = {}

        def pick(names: Mapping[str, ColumnPath]) -> Mapping[str, ColumnPath]:
            found = self._find(names, place)
            paths.update({role: path for role, path in found.items() if role not in self._left_out})
            return paths

        try:
            with self._reporting_once():
                rows = text_rows(read(pick), place, paths)
        except Misfit as misfit:
            role, key = misfit.role, f"corpus.columns.{misfit.role}"
            if role in TEXTS:
                raise
            if not self._columns.may_leave_out(role):
                remedy = "numbers the rows instead" if role == "id" else "ignores the column"
                raise UserError(f"{misfit} ({key}=null {remedy})") from misfit
            self._report(f"{role} {misfit.name}", f"{role} is left out: {misfit} (set {key} to use another column)")
            self._left_out.add(role)
            return self.read(place, read)
        if guess := self._columns.guesses(paths):
            self._report(guess, f"{guess} in {place} (guessed; set corpus.columns to use others)")
        return rows

    def _report(self, subject: str, line: str) -> None:
        if self._is_new(subject):
            logger.info("%s", line)

    def _is_new(self, subject: str) -> bool:
        is_new = subject not in self._reported
        self._reported.add(subject)
        return is_new

    @contextmanager
    def _reporting_once(self) -> Iterator[None]:
        """Log each line of a reader once, since several splits can read the same file."""

        def is_new(record: logging.LogRecord) -> bool:
            return self._is_new(record.getMessage())

        formats = logging.getLogger("bisum.corpus.formats")
        formats.addFilter(is_new)
        try:
            yield
        finally:
            formats.removeFilter(is_new)
