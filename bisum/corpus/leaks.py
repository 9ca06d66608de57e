"""Documents that train shares with validation and test, which inflate the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from bisum.corpus.strings import digests

_LEAST_SHARE = 0.05
"""Share of a split's documents in train above which it is reported; `bisum explore` counts all."""


def leaks_into(splits: Mapping[str, pa.Table]) -> Iterator[str]:
    """Yield a line for each of validation and test that shares documents with train.

    White space around a document is ignored.
    """
    trained = digests(splits["train"]["document"]) if "train" in splits else None
    for split in ("validation", "test"):
        if trained is not None and split in splits:
            repeated = int(np.isin(digests(splits[split]["document"]), trained).sum())
            if repeated > _LEAST_SHARE * len(splits[split]):
                yield f"{repeated:,} of {len(splits[split]):,} documents of {split} are also in train"
