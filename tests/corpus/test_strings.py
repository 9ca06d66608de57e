"""Text above the limit of 2 GiB, with the limit set low."""

import numpy as np
import pyarrow as pa
import pytest

from bisum.corpus import disk, strings
from bisum.corpus.corpus import load_corpus
from bisum.corpus.sample import Sample


@pytest.fixture(params=[60, 1000])
def limit(request, monkeypatch) -> int:
    monkeypatch.setattr(strings, "CHUNK_BYTES", request.param)
    return request.param


TEXTS = [f"text {n} " + "x" * (n % 17) for n in range(100)] + [None, "", "ñ"]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.large_binary(), pa.binary_view()])
def test_long_columns_are_split_into_chunks(limit, kind):
    long = pa.chunked_array([pa.array(TEXTS).cast(kind), pa.array(TEXTS).cast(kind).slice(40, 30)])
    column = strings.to_strings(long)
    assert column.type == pa.string()
    assert column.num_chunks > 2
    assert column.to_pylist() == TEXTS + TEXTS[40:70]
    assert all(chunk.nbytes <= limit or len(chunk) == 1 for chunk in column.chunks)


def test_rows_are_taken_in_any_order(limit):
    rows = pa.table({"id": [f"{n:03}" for n in range(len(TEXTS))], "text": TEXTS})
    order = np.random.default_rng(1).permutation(len(TEXTS))
    assert disk.take(rows, pa.array(order)).to_pylist() == [rows.slice(n, 1).to_pylist()[0] for n in order]


def test_corpus_does_not_depend_on_the_limit(monkeypatch):
    source = Sample(max_train_rows=50, max_eval_rows=20, language_temperature=1)
    default = load_corpus(source, {}, ["en", "es"], seed=1)
    monkeypatch.setattr(strings, "CHUNK_BYTES", 2000)
    assert load_corpus(source, {}, ["en", "es"], seed=1) == default
