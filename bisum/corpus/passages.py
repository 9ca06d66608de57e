"""A copying task, as a first corpus for a model with random weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le

from bisum.corpus.languages import tools_for
from bisum.errors import UserError
from bisum.interfaces.defaults import conf_default, from_conf
from bisum.interfaces.source import RowSettings, Source

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Passages(RowSettings):
    """Short passages from the documents of another corpus, each its own summary.

    A model with random weights learns to write frequent words long before it learns to attend to the document. Copying
    short passages teaches it to attend in minutes. Train it on real summaries afterwards.
    """

    of: Source
    """The corpus whose documents are cut into passages; set the row settings on this corpus, not on the other."""

    min_words: Annotated[int, Ge(1), Le(100_000)] = from_conf("corpus/passages", "min_words")
    """Words in the shortest passages (at least 1; characters where no spaces separate words)."""

    max_words: Annotated[int, Ge(1), Le(100_000)] = from_conf("corpus/passages", "max_words")
    """Words in the longest passages (at least `min_words`); passages cycle through the lengths between.

    A document shorter than the next length becomes a single passage.
    """

    def __post_init__(self) -> None:
        if self.min_words > self.max_words:
            raise UserError(
                f"min_words: {self.min_words} is above max_words, {self.max_words}; lower it or raise max_words"
            )
        for name in ("max_train_rows", "max_eval_rows", "language_temperature"):
            default = conf_default(type(self.of), name)
            if default is not None and getattr(self.of, name) != default():
                raise UserError(f"of.{name}: has no effect; set corpus.{name}, which counts passages")

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`. The end of a document is dropped if it is too short for the next passage."""
        import pyarrow as pa

        from bisum.corpus.fingerprints import SCHEMA

        try:
            of = self.of.load(languages)
        except UserError as error:  # its key lacks the `of` of the nesting
            raise UserError(re.sub(r"^corpus\.", "corpus.of.", str(error))) from error
        passages = {}
        for split, table in of.items():
            rows = table.to_pylist()
            passages[split] = pa.Table.from_pylist(list(self._passages(rows)), schema=SCHEMA)
            missing = {row["language"] for row in rows} - set(passages[split]["language"].to_pylist())
            if missing and (split == "train" or not passages[split]):
                language = min(missing)
                longest = max(len(_words(row)[0]) for row in rows if row["language"] == language)
                limit = f"the longest document of {split} in '{language}', which has {longest}"
                raise UserError(f"corpus.min_words: {self.min_words} exceeds {limit}; lower it")
        return passages

    def _passages(self, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        next_length = self.min_words
        for row in rows:
            words, space = _words(row)
            length = max(self.min_words, min(next_length, len(words)))
            start = number = 0
            while start + length <= len(words):
                passage = space.join(words[start : start + length])
                yield {**row, "id": f"{row['id']}:{number}", "document": passage, "summary": passage}
                start, number = start + length, number + 1
                length = next_length = next_length + 1 if next_length < self.max_words else self.min_words


def _words(row: dict[str, Any]) -> tuple[list[str], str]:
    """Return the units of a document (words or characters) and their separator."""
    words = (row["document"] or "").split()
    return (words, " ") if tools_for(row["language"]).spaced else (list("".join(words)), "")
