"""Documents that train shares with validation and test, which inflate the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

_LEAST_SHARE = 0.05
"""Share of a split's documents in train above which it is reported; `bisum explore` counts all."""
_BATCH_ROWS = 100


def leaks_into(splits: Mapping[str, pa.Table]) -> Iterator[str]:
    """Yield a line for each of validation and test that shares documents with train, ignoring surrounding white space.

    Documents are compared by 64-bit hashes, since a copy of a large corpus would not fit into memory.
    """
    trained = set(_hashes(splits["train"])) if "train" in splits else set()
    for split in ("validation", "test"):
        if trained and split in splits:
            repeated = sum(document in trained for document in _hashes(splits[split]))
            if repeated > _LEAST_SHARE * len(splits[split]):
                yield f"{repeated:,} of {len(splits[split]):,} documents of {split} are also in train"


def _hashes(rows: pa.Table) -> Iterator[int]:
    for batch in rows.select(["document"]).to_batches(max_chunksize=_BATCH_ROWS):
        yield from (hash(text.strip()) for text in batch["document"].to_pylist())
