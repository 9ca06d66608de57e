"""The interface of a row filter. Your own filter is a class with `keep`:

@dataclass(frozen=True, kw_only=True)
class NoQuestions:
    def keep(self, rows, held_out):
        return pc.invert(pc.ends_with(rows["summary"], "?"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa


@runtime_checkable
class Filter(Protocol):
    """A rule that decides which rows of a split to keep."""

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.Array | pa.ChunkedArray:
        """Return a boolean for each of `rows`: true keeps the row, false or null drops it.

        `rows` are the rows of one split, in all languages, that earlier filters kept; no `document` or `summary` is
        blank. `held_out` are the unfiltered rows of the splits that `rows` must not repeat: validation and test for
        train, test for validation, and no rows for test. Work on columns with `pyarrow.compute`, not row by row: a
        corpus can have millions of rows. Raise `UserError` if the filter's settings do not fit the corpus.
        """
        ...
