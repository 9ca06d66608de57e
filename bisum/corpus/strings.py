"""Columns of text that can exceed 2 GiB, as chunks of Arrow strings of up to 2 GiB each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CHUNK_BYTES = 2**31 - 1
"""Maximum number of bytes of text in a chunk: the offsets of strings are signed 32-bit integers."""


def to_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a column to strings; a chunk whose text is too long is split. Raises ArrowException."""
    if pa.types.is_string(column.type):
        return column
    return pa.chunked_array([piece for chunk in column.chunks for piece in _cast(chunk)], pa.string())


def _cast(array: pa.Array) -> Iterator[pa.Array]:
    if array.nbytes <= CHUNK_BYTES or len(array) < 2:
        # A slice of longer buffers keeps their offsets; a copy has its own, which fit.
        is_part = array.get_total_buffer_size() > CHUNK_BYTES
        yield (pa.concat_arrays([array]) if is_part else array).cast(pa.string())
        return
    middle = len(array) // 2
    yield from _cast(array.slice(0, middle))
    yield from _cast(array.slice(middle))


def take(rows: pa.Table, order: pa.Array | Sequence[int]) -> pa.Table:
    """Return the rows of a table of strings at the positions in `order`."""
    if all(column.nbytes <= CHUNK_BYTES for column in rows.columns):
        return rows.take(order)
    # `take` joins the chunks of a column into one, which only large strings can hold.
    large = rows.cast(pa.schema([(name, pa.large_string()) for name in rows.column_names])).take(order)
    return pa.table({name: to_strings(large[name]) for name in rows.column_names})


def trimmed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts without white space at their ends, as large strings, which can be joined into one array."""
    return pc.utf8_trim_whitespace(texts.cast(pa.large_string()))


def numbered(texts: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a number for each text, shape (texts,); texts that are equal once trimmed have equal numbers."""
    codes = trimmed(texts).dictionary_encode().combine_chunks().indices
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def by_id(rows: pa.Table) -> pa.Array:
    """Return the positions of rows in the order of their ids."""
    return pc.sort_indices(rows, [("id", "ascending")])


def hashes(texts: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return a number for each text, shape (texts,): the first 8 bytes of the SHA-256 of its UTF-8."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts.to_pylist())
    return np.frombuffer(digests, ">u8").astype(np.uint64)
