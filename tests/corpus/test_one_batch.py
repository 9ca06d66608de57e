"""The first training rows of each language, by its share, as a separate corpus."""

import pytest

from bisum.corpus.corpus import load_corpus
from bisum.corpus.one_batch import one_batch
from bisum.corpus.sample import Sample


@pytest.fixture(scope="module")
def corpus():
    return load_corpus(Sample(max_train_rows=30, max_eval_rows=4, language_temperature=1), {}, ["en", "es"], 1)


def test_all_splits_contain_the_same_rows_of_train(corpus):
    batch = one_batch(corpus, ["en", "es"], 6)
    (rows,) = {id(rows): rows for rows in batch.splits.values()}.values()
    assert list(batch.splits) == ["train", "validation", "test"]
    assert rows["language"].to_pylist().count("en") == 3
    train = corpus.splits["train"].to_pylist()
    firsts = [row for name in ("en", "es") for row in [row for row in train if row["language"] == name][:3]]
    assert rows.to_pylist() == sorted(firsts, key=train.index)
    assert batch.fingerprint not in (corpus.fingerprint, one_batch(corpus, ["en", "es"], 8).fingerprint)
    for count in batch.report.splits["test"].values():
        assert (count.kept, count.dropped["one batch"]) == (3, 12)
        assert count.loaded == count.kept + sum(count.dropped.values())


def test_batch_larger_than_train_is_all_of_train(corpus):
    batch = one_batch(corpus, ["en", "es"], 1000)
    assert batch.splits["test"].to_pylist() == corpus.splits["train"].to_pylist()
