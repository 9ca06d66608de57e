"""Where rows come from. A new source is a class with `load` and `RowSettings`; nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

from annotated_types import Ge

from bisum.interfaces.defaults import from_conf

if TYPE_CHECKING:
    import pyarrow as pa


COLUMNS = ("id", "document", "summary", "language", "category")
"""Columns of every row inside bisum, all of them strings."""
SPLITS = ("train", "validation", "test")


@runtime_checkable
class Source(Protocol):
    """A corpus: three splits of rows, and how to use them."""

    @property
    def max_train_rows(self) -> int | None: ...  # noqa: D102

    @property
    def max_eval_rows(self) -> int | None: ...  # noqa: D102

    @property
    def language_temperature(self) -> float: ...  # noqa: D102

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """Read the rows of `languages` in each split that exists, as tables with the string columns `COLUMNS`.

        Rows keep their order in the source; languages are concatenated in the order asked. Ids are unique within
        a split; `category` may be null. The settings are not applied here. Raises `UserError` for a language or a
        file that is missing or does not hold such rows.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """How many rows of a corpus to use, a seeded sample that keeps the languages' shares, and how to train on them."""

    max_train_rows: Annotated[int, Ge(1)] | None = from_conf("corpus/_settings", "max_train_rows")
    """Rows of the train split, all languages together (at least 1; null: all rows)."""

    max_eval_rows: Annotated[int, Ge(1)] | None = from_conf("corpus/_settings", "max_eval_rows")
    """Rows of validation and of test, each, all languages together (at least 1; null: all rows)."""

    language_temperature: Annotated[float, Ge(1)] = from_conf("corpus/_settings", "language_temperature")
    """T, by which a language with n training rows has a share of each epoch proportional to n^(1/T).

    At 1 languages have the shares that they have; the larger, the nearer to equal shares, so that the rows of
    small ones come more often. An epoch's number of rows stays; validation and test do not change.
    """
