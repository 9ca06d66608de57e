"""Documents of train in the splits that score it, which make the scores too good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.strings import trimmed

_LEAST_SHARE = 0.05
"""Share of a split's documents in train that is worth a line; `bisum explore` counts all."""


def leaks_into(splits: Mapping[str, pa.Table]) -> Iterator[str]:
    """Yield a line for each of validation and test whose documents are in train as well."""
    if "train" not in splits:
        return
    trained = trimmed(splits["train"]["document"])
    for split in ("validation", "test"):
        if split in splits and len(splits[split]):
            repeated = pc.sum(pc.is_in(trimmed(splits[split]["document"]), value_set=trained)).as_py()
            if repeated > _LEAST_SHARE * len(splits[split]):
                yield f"{repeated:,} of {len(splits[split]):,} documents of {split} are also in train"
