"""Columns of text that can exceed 2 GiB, as chunks of Arrow strings of up to 2 GiB each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.disk import batches_of

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


def digests(texts: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.void]]:
    """Return 16 bytes for each text, shape (texts,), which are equal for texts that are equal once trimmed.

    They are the start of the SHA-256 of the trimmed text: a table of the texts themselves would need their memory.
    """
    found = bytearray()
    for batch in batches_of(pa.table({"text": texts})):
        for text in pc.utf8_trim_whitespace(batch["text"]).to_pylist():
            found += hashlib.sha256((text or "").encode()).digest()[:16]
    return np.frombuffer(bytes(found), "V16")


def numbered(texts: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a number for each text, shape (texts,); texts that are equal once trimmed have equal numbers."""
    numbers: np.ndarray[Any, np.dtype[np.int64]] = np.unique(digests(texts), return_inverse=True)[1].astype(np.int64)
    return numbers


def repeated(ids: pa.ChunkedArray) -> str | None:
    """Return an id that occurs twice, the first in ascending order; None if all differ."""
    ids = ids.cast(pa.large_string()).combine_chunks()  # ids are short, and a hash table would need more memory
    ascending = ids.take(pc.sort_indices(ids))
    twice = pc.index(pc.equal(ascending[1:], ascending[:-1]), True).as_py()
    return None if twice < 0 else str(ascending[twice])


def by_id(rows: pa.Table) -> pa.Array:
    """Return the positions of rows in the order of their ids."""
    return pc.sort_indices(rows, [("id", "ascending")])


def hashes(texts: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return a number for each text, shape (texts,): the first 8 bytes of the SHA-256 of its UTF-8."""
    found = bytearray()
    for chunk in texts.chunks:
        for text in chunk.to_pylist():
            found += hashlib.sha256(text.encode()).digest()[:8]
    return np.frombuffer(bytes(found), ">u8").astype(np.uint64)
