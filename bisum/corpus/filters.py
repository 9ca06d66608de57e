"""The filters that come with bisum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le, MinLen

from bisum.corpus.languages import count_words
from bisum.errors import UserError
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Books:
    """Keep the rows of some categories, such as books."""

    categories: Annotated[list[Name], MinLen(1)] = from_conf("filter/books", "categories")
    """Names of the categories to keep, as spelled in the corpus (at least one must occur)."""

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.ChunkedArray:  # noqa: ARG002
        """See `Filter.keep`. Raises `UserError`, listing the categories found, if no row has one of `categories`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pc.is_in(rows["category"], value_set=pa.array(self.categories, pa.string()))
        if not pc.any(mask).as_py():
            counts = pc.value_counts(rows["category"].drop_null()).to_pylist()
            counts.sort(key=lambda count: (-count["counts"], count["values"]))
            found = ", ".join(f"{count['values']} ({count['counts']})" for count in counts[:10]) or "none"
            raise UserError(
                f"no row has a category in {self.categories}; categories found, with row counts: {found}"
                + (f" and {len(counts) - 10} more" if len(counts) > 10 else "")
            )
        return mask


@dataclass(frozen=True, kw_only=True)
class LongTitles:
    """Keep the rows whose summary is long enough to be informative, by default more than two words."""

    min_words: Annotated[int, Ge(1), Le(10_000_000)] = from_conf("filter/long_titles", "min_words")
    """Minimum length of a summary in words (at least 1; in characters where no spaces separate words)."""

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.ChunkedArray:  # noqa: ARG002
        """See `Filter.keep`."""
        import pyarrow.compute as pc

        return pc.greater_equal(count_words(rows, "summary"), self.min_words)


@dataclass(frozen=True, kw_only=True)
class Length:
    """Keep the rows whose document and summary lengths lie within inclusive bounds."""

    min_document_words: Annotated[int, Ge(0), Le(10_000_000)] | None = from_conf("filter/length", "min_document_words")
    """Minimum length of a document in words (in characters where no spaces separate words; null: no bound)."""

    max_document_words: Annotated[int, Ge(1), Le(10_000_000)] | None = from_conf("filter/length", "max_document_words")
    """Maximum length of a document in words (in characters where no spaces separate words; null: no bound)."""

    min_summary_words: Annotated[int, Ge(0), Le(10_000_000)] | None = from_conf("filter/length", "min_summary_words")
    """Minimum length of a summary in words (in characters where no spaces separate words; null: no bound)."""

    max_summary_words: Annotated[int, Ge(1), Le(10_000_000)] | None = from_conf("filter/length", "max_summary_words")
    """Maximum length of a summary in words (in characters where no spaces separate words; null: no bound)."""

    def __post_init__(self) -> None:
        for column, low, high in self._bounds():
            if low is not None and high is not None and low > high:
                raise UserError(
                    f"min_{column}_words: {low} is above max_{column}_words, {high}; lower it or raise the maximum"
                )

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.ChunkedArray:  # noqa: ARG002
        """See `Filter.keep`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pa.repeat(True, rows.num_rows)
        for column, low, high in self._bounds():
            words = count_words(rows, column)
            if low is not None:
                mask = pc.and_(mask, pc.greater_equal(words, low))
            if high is not None:
                mask = pc.and_(mask, pc.less_equal(words, high))
        return mask

    def _bounds(self) -> tuple[tuple[str, int | None, int | None], ...]:
        return (
            ("document", self.min_document_words, self.max_document_words),
            ("summary", self.min_summary_words, self.max_summary_words),
        )


@dataclass(frozen=True, kw_only=True)
class Deduplicate:
    """Drop all but the first of a split's repeated rows, and rows whose document is also in a held-out split.

    Leading and trailing white space is ignored.
    """

    def keep(self, rows: pa.Table, held_out: pa.Table) -> pa.ChunkedArray:
        """See `Filter.keep`."""
        import numpy as np
        import pyarrow as pa

        from bisum.corpus.strings import digests, numbered

        documents, summaries = digests(rows["document"]), numbered(rows["summary"])
        numbers = np.unique(documents, return_inverse=True)[1].astype(np.int64)
        _, first = np.unique(numbers * (summaries.max(initial=0) + 1) + summaries, return_index=True)
        kept = np.zeros(rows.num_rows, bool)
        kept[first] = True
        return pa.chunked_array([kept & ~np.isin(documents, digests(held_out["document"]))])
