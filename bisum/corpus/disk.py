"""Tables of text; large ones are files mapped into memory, whose pages the system can drop."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.errors import UserError

BATCH_ROWS = 10_000
"""Maximum number of rows that are processed at once."""
READ_ROWS = 1000
"""Number of rows that are read from a file at once."""
_BATCH_BYTES = 2**24
"""Approximate number of bytes of text processed at once."""
_MEMORY_BYTES = 2**26
"""Maximum size of a table that stays in memory."""

_folder: ContextVar[Path | None] = ContextVar("folder of large tables", default=None)

Integers = np.ndarray[Any, np.dtype[np.int64]]


@contextmanager
def large_tables_in(folder: Path | None) -> Iterator[None]:
    """Choose where large tables are written during the block; None: the system's temporary directory."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def batches_of(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield a table's rows in batches of bounded size, without a copy."""
    return iter(rows.to_batches(max_chunksize=_batch_rows(rows)))


def stored(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Return the table of some batches, which is on disk if it is large.

    Raises:
        UserError: it cannot be written to the disk.
    """
    kept, size = list[pa.RecordBatch](), 0
    batches = iter(batches)
    for batch in batches:
        kept.append(batch)
        size += batch.nbytes
        if size > _MEMORY_BYTES:
            return _written(chain(_emptied(kept), batches), schema)
    return pa.Table.from_batches(kept, schema)


def _emptied(kept: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while kept:
        yield kept.pop(0)


class Pulled:
    """Batches that are written to a file; `error` tells an error of their source from one of the file."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.error: OSError | None = None
        """What the source of the batches raised."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches
        except OSError as error:
            self.error = error
            raise


def _written(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    folder, pulled = _folder.get() or Path(gettempdir()), Pulled(batches)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:  # without a name, so that nothing is left after a kill
            with pa.ipc.new_stream(file, schema) as stream:
                for batch in _regrouped(pulled):
                    stream.write_batch(batch)
            file.flush()
            contents = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_stream(pa.py_buffer(contents)).read_all()
    except OSError as error:
        if error is pulled.error:
            raise
        raise UserError(
            f"cache_dir: rows cannot be written to '{folder}': {error.strerror or error}; free space there, or name "
            "another folder"
        ) from error


def _regrouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches that are not small, so that their number stays small."""
    group, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in batches:
        if group and (rows + len(batch) > BATCH_ROWS or size + batch.nbytes > _BATCH_BYTES):
            yield pa.concat_batches(group)
            group, rows, size = [], 0, 0
        group, rows, size = [*group, batch], rows + len(batch), size + batch.nbytes
    if group:
        yield pa.concat_batches(group)


def mapped(path: Path) -> pa.Table:
    """Return the table in an Arrow stream, whose pages the system reads when needed and can drop."""
    with pa.memory_map(os.fspath(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def filtered(rows: pa.Table, mask: pa.Array | pa.ChunkedArray | np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Table:
    """Return the rows where the mask is true; null is false. A mask that keeps all rows returns the table itself.

    Args:
        rows: the table.
        mask: boolean, shape (rows,).

    Raises:
        pa.ArrowException: the mask has another length or is not boolean.
        UserError: the result is large and cannot be written to the disk.
    """
    kept = pa.chunked_array([mask]) if isinstance(mask, np.ndarray) else mask
    if len(kept) != len(rows):
        raise pa.ArrowInvalid(f"the mask has {len(kept):,} values")
    keeps_all = not kept.null_count and pc.all(kept).as_py()
    return rows if keeps_all else stored(_filtered(rows, kept), rows.schema)


def _filtered(rows: pa.Table, kept: pa.Array | pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    at = 0
    for batch in batches_of(rows):
        own = kept.slice(at, len(batch))
        yield batch.filter(own.combine_chunks() if isinstance(own, pa.ChunkedArray) else own)
        at += len(batch)


def take(rows: pa.Table, order: Sequence[int] | pa.Array | Integers) -> pa.Table:
    """Return the rows at the positions in `order`; the table itself if these are all rows in their order.

    Args:
        rows: the table.
        order: positions in it, shape (selected rows,); a position can occur more than once.

    Raises:
        UserError: the result is large and cannot be written to the disk.
    """
    positions = np.asarray(order, dtype=np.int64)
    if len(positions) == len(rows) and (np.diff(positions, prepend=-1) == 1).all():
        return rows
    return stored(taken(rows, positions), rows.schema)


def taken(rows: pa.Table, positions: Integers, most: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the rows at some positions, shape (selected rows,), in batches of at most `most` rows and bounded size."""
    positions, parts = positions.astype(np.int64), rows.to_batches()  # Arrow's own are unsigned
    ends = np.cumsum([len(part) for part in parts])
    size = min(most, _batch_rows(rows))
    for at in range(0, len(positions), size):
        yield _taken(parts, ends, positions[at : at + size])


def _taken(parts: Sequence[pa.RecordBatch], ends: Integers, positions: Integers) -> pa.RecordBatch:
    """Return some rows of a table's batches; pyarrow's own `take` would first join all chunks of a column."""
    ascending = np.argsort(positions, kind="stable")
    part_of = np.searchsorted(ends, positions[ascending], side="right")
    numbers, firsts = np.unique(part_of, return_index=True)
    pieces = []
    for number, chosen in zip(numbers.tolist(), np.split(positions[ascending], firsts[1:]), strict=True):
        part = parts[number]
        pieces.append(part.take(pa.array(chosen - (ends[number] - len(part)))))
    back = np.empty_like(ascending)
    back[ascending] = np.arange(len(ascending))
    return pa.concat_batches(pieces).take(pa.array(back))


def _batch_rows(rows: pa.Table) -> int:
    average = rows.nbytes / max(len(rows), 1)
    return max(1, min(BATCH_ROWS, int(_BATCH_BYTES / max(average, 1))))
