"""Train the tokenizer of the `starter` model: `python -m bisum.assets.starter.make_tokenizer CORPUS`.

CORPUS is a folder written by `make_corpus`, such as `descriptions`. A Unigram tokenizer of 8,000 pieces is trained on
the documents and summaries of all Spanish training rows and of 10,000 English ones, chosen with a fixed seed: nine
tenths of the rows are English, and pieces for English only would split Spanish into fragments. It is saved next to this
script.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bisum.assets.script import script
from bisum.assets.unigram import train_unigram

VOCABULARY_SIZE = 8_000
ENGLISH_ROWS = 10_000
SEED = 0


def main(corpus: Path, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`."""
    tokenizer = train_unigram(_texts(corpus), VOCABULARY_SIZE)
    tokenizer.save_pretrained(folder)
    print(f"{len(tokenizer):,} pieces")


def _texts(corpus: Path) -> Iterator[str]:
    rows = pq.read_table(corpus / "train.parquet")
    english, spanish = (rows.filter(pc.field("language") == language) for language in ("en", "es"))
    chosen = np.random.default_rng(SEED).choice(english.num_rows, ENGLISH_ROWS, replace=False)
    for table in (english.take(pa.array(chosen)), spanish):
        for column in ("document", "summary"):
            yield from table[column].to_pylist()


if __name__ == "__main__":
    script(lambda corpus: main(Path(corpus), Path(__file__).parent), "CORPUS")
