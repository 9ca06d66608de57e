"""A first task for a model with random weights: to copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from bisum.corpus.filters import UNSPACED_LANGUAGES
from bisum.corpus.sources import RowSettings, Source
from bisum.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Passages(RowSettings):
    """Short passages of another corpus' documents, each of them its own summary.

    A model that starts from random weights learns to write frequent words long before it learns to look at the
    document. Short passages that are to be copied teach the latter in minutes; real summaries come after.
    """

    of: Source
    """The corpus whose documents are cut into passages; settings of rows are those of the passages."""

    min_words: Annotated[int, Ge(1)]
    """Words of the shortest passages (at least 1; characters in Japanese and Chinese)."""

    max_words: Annotated[int, Ge(1)]
    """Words of the longest passages (at least `min_words`); lengths between them occur equally often."""

    def __post_init__(self) -> None:
        if self.min_words > self.max_words:
            raise UserError(f"min_words: {self.min_words} is above max_words, {self.max_words}")
        usual = {"max_train_rows": None, "max_eval_rows": None, "language_temperature": 1}
        for name, value in usual.items():
            if getattr(self.of, name) != value:
                raise UserError(f"of.{name} has no effect: set corpus.{name}, which counts passages")

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`. The rest of a document that is shorter than the passage to come is left out."""
        import pyarrow as pa

        from bisum.corpus.corpus import SCHEMA

        return {
            split: pa.Table.from_pylist(list(self._passages(rows.to_pylist())), schema=SCHEMA)
            for split, rows in self.of.load(languages).items()
        }

    def _passages(self, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        lengths = cycle(range(self.min_words, self.max_words + 1))
        length = next(lengths)
        for row in rows:
            words, space = (row["document"] or "").split(), " "
            if row["language"] in UNSPACED_LANGUAGES:
                words, space = list("".join(words)), ""
            start = number = 0
            while start + length <= len(words):
                passage = space.join(words[start : start + length])
                yield {**row, "id": f"{row['id']}:{number}", "document": passage, "summary": passage}
                start, number, length = start + length, number + 1, next(lengths)
