"""Documents that train shares with the splits that score it, in tables written out here."""

import pyarrow as pa

from bisum.corpus.leaks import leaks_into


def table(*documents):
    return pa.table({"document": pa.array(documents, pa.string())})


def test_shared_documents_are_counted_whatever_white_space_is_around_them():
    splits = {"train": table("a", "b", "c"), "validation": table(" a\n", "b", "x"), "test": table("y", "z")}
    assert list(leaks_into(splits)) == ["2 of 3 documents of validation are also in train"]


def test_a_few_of_many_are_left_to_explore():
    own = [f"own {number}" for number in range(99)]
    assert list(leaks_into({"train": table("a"), "test": table("a", *own)})) == []


def test_a_split_alone_shares_nothing():
    assert list(leaks_into({"test": table("a")})) == []
    assert list(leaks_into({"train": table("a"), "test": table()})) == []
