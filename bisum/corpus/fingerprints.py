"""Fingerprints of rows: equal for equal rows, whatever their order, chunks and encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.disk import taken
from bisum.corpus.strings import by_id, to_strings
from bisum.interfaces.source import COLUMNS, SPLITS

SCHEMA = pa.schema([(column, pa.string()) for column in COLUMNS])


def as_rows(table: pa.Table) -> pa.Table:
    """Return the columns `COLUMNS` of a table as strings."""
    return pa.table({column: to_strings(table[column]) for column in COLUMNS}, SCHEMA)


def fingerprint(splits: Mapping[str, pa.Table]) -> str:
    """Return the SHA-256 (hex) of all rows of all splits, independent of their order, chunks and encoding.

    Each column is hashed as the lengths of its values in bytes (-1: null), followed by the UTF-8 of all values. Rows
    are in the order of their ids.
    """
    digest = hashlib.sha256()
    for split in filter(splits.__contains__, SPLITS):
        digest.update(f"{split} {splits[split].num_rows}\n".encode())
        _hash_rows(as_rows(splits[split]), digest.update)
    return digest.hexdigest()


def scored_rows_fingerprint(rows: pa.Table) -> str:
    """Return the SHA-256 (hex) of the ids, documents and references of rows, independent of their order.

    Two systems' scores can be compared row by row if the fingerprints of their rows are equal.
    """
    digest = hashlib.sha256()
    _hash_rows(pa.table({name: to_strings(rows[name]) for name in ("id", "document", "summary")}), digest.update)
    return digest.hexdigest()


def _hash_rows(rows: pa.Table, update: Callable[[Any], None]) -> None:
    order = by_id(rows).to_numpy()
    for name in rows.column_names:
        lengths = pc.fill_null(pc.binary_length(rows[name]), -1).to_numpy()
        update(lengths[order].astype("<i8"))
        for batch in taken(rows.select([name]), order):
            update(_utf8(batch[name].drop_null()))


def _utf8(strings: pa.StringArray) -> memoryview:
    """Return the concatenated bytes of all strings."""
    _, offsets, data = strings.buffers()
    ends = np.frombuffer(offsets, "<i4", len(strings) + 1, strings.offset * 4)
    return memoryview(data or b"")[ends[0] : ends[-1]]
