"""The interface of a corpus source. Your own source is a subclass of `RowSettings` with `load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

from annotated_types import Ge, Le

from bisum.interfaces.defaults import from_conf

if TYPE_CHECKING:
    import pyarrow as pa


COLUMNS = ("id", "document", "summary", "language", "category")
"""Columns of every row in bisum; all are strings."""
SPLITS = ("train", "validation", "test")


@runtime_checkable
class Source(Protocol):
    """A corpus: three splits of rows, and how to use them."""

    @property
    def max_train_rows(self) -> int | None:
        """See `RowSettings.max_train_rows`."""

    @property
    def max_eval_rows(self) -> int | None:
        """See `RowSettings.max_eval_rows`."""

    @property
    def language_temperature(self) -> float:
        """See `RowSettings.language_temperature`."""

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """Read the rows of `languages` in each split that exists, as tables with the string columns `COLUMNS`.

        Rows keep the source's order; languages are concatenated in the given order. Ids are unique within a split;
        `category` may be null. Do not apply the settings here. Raise `UserError` if a language or a file is missing
        or invalid.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """Limits on the rows, sampled in the languages' shares, and the balance of languages in training."""

    max_train_rows: Annotated[int, Ge(1), Le(1_000_000_000)] | None = from_conf("corpus/_base", "max_train_rows")
    """Rows of the train split, in all languages together, sampled by `seed` (at least 1; null: all rows)."""

    max_eval_rows: Annotated[int, Ge(1), Le(1_000_000_000)] | None = from_conf("corpus/_base", "max_eval_rows")
    """Rows of each of validation and test, in all languages together, the same for every `seed` (at least 1; null: all
    rows)."""

    language_temperature: Annotated[float, Ge(1), Le(1e6)] = from_conf("corpus/_base", "language_temperature")
    """Temperature T: the share of a language with n training rows in each epoch is proportional to n^(1/T).

    At 1, languages keep their natural shares. A larger T brings the shares closer together, so that rows of small
    languages come more often. The number of rows in an epoch, validation and test do not change.
    """
