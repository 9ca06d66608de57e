"""Which rows of a corpus to keep. A filter of your own is a class with `keep`:

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
    """Decides, for every row of a split, whether it stays."""

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.Array | pa.ChunkedArray:
        """Return a boolean for each of `rows`: true keeps the row, false or null drops it.

        `rows` are one split's rows that earlier filters kept, all languages together, with non-blank `document` and
        `summary`. `held_out` are the rows, before any filter, of the splits that `rows` must not repeat: validation
        and test for train, test for validation, none for test. Work on columns (`pyarrow.compute`), not row by row:
        a corpus may have millions. Raises `UserError` where the filter's settings do not fit the corpus.
        """
        ...
