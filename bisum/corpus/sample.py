"""The sample corpus that comes with bisum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bisum.errors import UserError
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.source import SPLITS, RowLimit, RowSettings
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Sample(RowSettings):
    """The corpus that comes with bisum: package descriptions in English and Spanish (see `assets/sample/README.md`)."""

    max_train_rows: RowLimit | None = from_conf("corpus/sample", "max_train_rows")
    """Maximum number of training rows, over all languages, sampled by `seed`; null: all rows."""

    license: Name | None = from_conf("corpus/sample", "license")
    """Licence of the texts, for the model card; null: not stated."""

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        folder = Path(__file__).parents[1] / "assets" / "sample"
        splits = {}
        for split in SPLITS:
            with pq.ParquetFile(folder / f"{split}.parquet") as file:  # read_table would import pandas
                splits[split] = file.read()
        found = sorted(pc.unique(splits["train"]["language"]).to_pylist())
        for language in languages:
            if language not in found:
                raise UserError(f"languages: the sample corpus has no {language!r}; it has {', '.join(found)}")
        return {
            split: pa.concat_tables([rows.filter(pc.equal(rows["language"], language)) for language in languages])
            for split, rows in splits.items()
        }
