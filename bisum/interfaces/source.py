"""The interface of a corpus source. Your own source is a subclass of `RowSettings` with `load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

from annotated_types import Ge, Le

from bisum.interfaces.defaults import from_conf
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa


COLUMNS = ("id", "document", "summary", "language", "category")
"""Columns of every row in bisum, all strings."""
SPLITS = ("train", "validation", "test")

RowLimit = Annotated[int, Ge(1), Le(1_000_000_000)]
"""A maximum number of rows."""


@runtime_checkable
class Source(Protocol):
    """A corpus: the rows of three splits, and settings for their use."""

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
        """Return the rows of `languages` in each existing split, as tables with the string columns `COLUMNS`.

        Rows keep the source's order; languages are concatenated in the given order. Ids are unique within a split;
        `category` can be null. Do not apply the settings here. Raise `UserError` if a language or file is missing or
        invalid.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """Row limits, sampled in the languages' shares, and the balance of languages in training."""

    max_train_rows: RowLimit | None = from_conf("corpus/_base", "max_train_rows")
    """Maximum number of training rows, over all languages, sampled by `seed`; null: all rows."""

    max_eval_rows: RowLimit | None = from_conf("corpus/_base", "max_eval_rows")
    """Maximum number of rows in each of validation and test, over all languages, the same for every `seed`; null: all
    rows."""

    language_temperature: Annotated[float, Ge(1), Le(1e6)] = from_conf("corpus/_base", "language_temperature")
    """Temperature T of sampling in training: a language with n rows has a share proportional to n^(1/T) in each epoch.

    At 1, languages keep their natural shares; a larger T evens them out, by repeating rows of small languages. The
    number of rows in an epoch, validation and test stay the same.
    """

    license: Name | None = from_conf("corpus/_base", "license")
    """Licence of the data, for the model card; null: not stated."""

    def identity(self, languages: Sequence[str]) -> Any:  # noqa: ARG002
        """Return a value that changes whenever `load` would return other rows, such as the versions of its files.

        Rows with an identity are cached, unless a user's own subclass inherits it. None: unknown.
        """
        return None
