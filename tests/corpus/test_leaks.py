"""Documents that train shares with the scored splits, in explicit tables."""

import pyarrow as pa

from bisum.corpus.leaks import leaks_into


def table(*documents):
    return pa.table({"document": pa.array(documents, pa.string())})


def test_shared_documents_are_counted_ignoring_surrounding_white_space():
    splits = {"train": table("a", "b", "c"), "validation": table(" a\n", "b", "x"), "test": table("y", "z")}
    assert list(leaks_into(splits)) == ["2 of 3 documents of validation are also in train"]


def test_small_share_is_not_reported():
    own = [f"own {number}" for number in range(99)]
    assert list(leaks_into({"train": table("a"), "test": table("a", *own)})) == []


def test_single_split_shares_nothing():
    assert list(leaks_into({"test": table("a")})) == []
    assert list(leaks_into({"train": table("a"), "test": table()})) == []
