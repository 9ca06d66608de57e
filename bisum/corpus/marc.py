"""Reads one JSON-lines file of the Multilingual Amazon Reviews Corpus, and says what is wrong with a bad one."""

import gzip
import json
import re
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.json import ParseOptions, ReadOptions, read_json

from bisum.corpus.sources import COLUMNS
from bisum.errors import UserError

MARC_COLUMNS = ("review_id", "review_body", "review_title", "language", "product_category")
"""The file's columns that become `COLUMNS`, in that order; the others are not read."""

_BLOCK_BYTES = 1 << 24  # a row must fit into a block


def read_file(path: Path, language: str) -> pa.Table:
    """Read a file of `language` into a table with the string columns `COLUMNS`, in file order.

    Raises `UserError` for a file that cannot be read (not UTF-8, broken JSON, damaged gzip), has no rows, lacks a
    column, has a value that is not a string, or has rows of another language.
    """
    schema = pa.schema([(column, pa.string()) for column in MARC_COLUMNS])
    try:
        rows = read_json(
            path,
            read_options=ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        ).select(MARC_COLUMNS)
        rows.validate(full=True)  # the reader itself lets bytes through that are not UTF-8
    except (pa.ArrowException, OSError) as error:
        # The reader's own row number counts from the start of a block, so it would mislead.
        fallback = ": " + re.sub(r" in row \d+$", "", str(error).splitlines()[0])
        raise UserError(f"{path}{_first_problem(path) or fallback}") from error
    if not rows.num_rows:
        raise UserError(f"{path}: no rows; must be JSON lines, one object with {', '.join(MARC_COLUMNS)} a line")
    # The reader fills a column that is not there with nulls.
    if any(column.null_count == rows.num_rows for column in rows.columns):
        found = _first_row_columns(path)
        for column in MARC_COLUMNS:
            if column not in found:
                raise UserError(f"{path}: no column {column}; columns found: {', '.join(found)}")
    other = pc.fill_null(pc.not_equal(rows["language"], language), True)
    if pc.any(other).as_py():
        row = pc.index(other, True).as_py()
        value = rows["language"][row].as_py()
        raise UserError(f"{path}, row {row + 1}: language is {value!r}; must be {language!r}, as in the file's name")
    return rows.rename_columns(COLUMNS)


def _first_problem(path: Path) -> str:
    """Read line by line to find the first bad row; "" if none is found."""
    empty = True
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    empty = False
                    if problem := _row_problem(line):
                        return f", row {number}: {problem}"
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f": damaged gzip file ({error}); copy it again, or drop .gz from the name if it is plain text"
    except OSError as error:
        return f": {error.strerror}"
    return ": no rows; the file is empty" if empty else ""


def _row_problem(line: bytes) -> str:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
    except UnicodeEncodeError:
        return "an escape \\ud800 to \\udfff without its other half; must be a pair, or the character itself"
    except json.JSONDecodeError as error:
        return f"broken JSON ({error.msg}, character {error.colno}); must be one JSON object a line"
    if not isinstance(row, dict):
        return f"{type(row).__name__} in place of a JSON object; must be one object a line"
    for column in MARC_COLUMNS:
        if not isinstance(row.get(column, ""), str | None):
            return f"{column} is {json.dumps(row[column])[:40]}; must be a string"
    return ""


def _first_row_columns(path: Path) -> list[str]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        return list(json.loads(next(line for line in lines if line.strip()).decode("utf-8-sig")))
