"""Make the sample corpus: `python -m bisum.assets.sample.make PATH`, where PATH is a corpus in MARC's layout.

It contains every Spanish row and, in each split, equally many English rows, chosen with a fixed seed. The three Parquet
files replace those next to this script; update the numbers in README.md by hand (a test compares them).
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bisum.assets.script import script
from bisum.corpus.marc import Marc

SEED = 42


def main(path: str, folder: Path) -> None:
    """Write `train.parquet`, `validation.parquet` and `test.parquet` into `folder` from the corpus at `path`."""
    source = Marc(path=path, max_train_rows=None, max_eval_rows=None, language_temperature=1)
    for split, rows in source.load(["en", "es"]).items():
        spanish, english = (rows.filter(pc.field("language") == language) for language in ("es", "en"))
        keys = np.random.default_rng(SEED).random(english.num_rows)
        chosen = np.sort(np.argsort(keys, kind="stable")[: spanish.num_rows])
        target = folder / f"{split}.parquet"
        pq.write_table(
            pa.concat_tables([english.take(pa.array(chosen)), spanish]).combine_chunks(),
            target,
            compression="zstd",
            compression_level=19,
            use_dictionary=["language", "category"],
            store_schema=False,
        )
        print(f"{target.name}: {spanish.num_rows} rows in each language, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    script(lambda path: main(path, Path(__file__).parent), "PATH")
