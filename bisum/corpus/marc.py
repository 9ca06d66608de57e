"""Reads one JSON-lines file of the Multilingual Amazon Reviews Corpus."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus import readers
from bisum.corpus.columns import ColumnPath, text_rows
from bisum.corpus.sources import COLUMNS
from bisum.errors import UserError

MARC_COLUMNS = ("review_id", "review_body", "review_title", "language", "product_category")
"""The file's columns that become `COLUMNS`, in that order; the others are not read."""


def read_file(path: Path, language: str) -> pa.Table:
    """Read a file of `language` into a table with the string columns `COLUMNS`, in file order.

    Raises `UserError` for a file that cannot be read (not UTF-8, broken JSON, damaged gzip), has no rows, lacks a
    column, has a value that is not a string, or has rows of another language.
    """

    def pick(names: Mapping[str, ColumnPath]) -> Mapping[str, ColumnPath]:
        for column in MARC_COLUMNS:
            if column not in names:
                raise UserError(f"{path}: no column {column}; columns found: {', '.join(names)}")
        return paths

    paths = {role: (name,) for role, name in zip(COLUMNS, MARC_COLUMNS, strict=True)}
    rows = text_rows(readers.read_file(str(path), pick, ".jsonl"), str(path), paths)
    other = pc.fill_null(pc.not_equal(rows["language"], language), True)
    if pc.any(other).as_py():
        row = pc.index(other, True).as_py()
        value = rows["language"][row].as_py()
        raise UserError(f"{path}, row {row + 1}: language is {value!r}; must be {language!r}, as in the file's name")
    return rows.select(COLUMNS)
