"""Parquet files from other programs: bytes, large strings, dictionaries, decimals, dates, repeated names."""

import dataclasses
import datetime
import decimal
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.errors import UserError

PLAIN = {"id": ["a", "b"], "text": ["El año", "Dos"], "title": ["Año", "Two"], "category": ["x", None]}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write columns to a.parquet and load its rows: `load({name: array}, columns={...})`."""
    monkeypatch.chdir(tmp_path)
    defaults = compose(["corpus=files", "corpus.path=x", "tracker=none"]).corpus

    def rows(table, **columns):
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(PLAIN | table), "a.parquet")
        names = {"path": None, "train": "a.parquet", "validation": "a.parquet", "test": "a.parquet"}
        columns = dataclasses.replace(defaults.columns, **columns)
        return dataclasses.replace(defaults, columns=columns, **names).load(["en"])["train"]

    return rows


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_of_any_type_is_read(load, kind):
    rows = load({name: pa.array(values).cast(kind) for name, values in PLAIN.items()})
    assert rows.select(["id", "document", "summary", "category"]).to_pydict() == {
        "id": PLAIN["id"],
        "document": PLAIN["text"],
        "summary": PLAIN["title"],
        "category": PLAIN["category"],
    }


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_that_are_not_utf_8_are_reported_with_their_row(load, kind):
    with pytest.raises(UserError, match=r"^a.parquet, row 2: title is not UTF-8; save the file again in UTF-8$"):
        load({"title": pa.array([b"A", "Año".encode("latin-1")], kind)})


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
        (pa.array([decimal.Decimal(10**20), decimal.Decimal(7)], pa.decimal128(30, 0)), [str(10**20), "7"]),
    ],
)
def test_whole_numbers_of_any_type_can_be_ids(load, ids, expected):
    assert load({"id": ids})["id"].to_pylist() == expected


ODD = {
    "a date": pa.array([datetime.date(2024, 1, 2)] * 2),
    "a time": pa.array([datetime.datetime(2024, 1, 2)] * 2),
    "a decimal": pa.array([decimal.Decimal("1.5")] * 2),
    "a float": pa.array([0.5, 1.5]),
    "a boolean": pa.array([True, False]),
    "a list": pa.array([["x"], ["y"]]),
    "an object": pa.array([{"x": 1}] * 2),
}


@pytest.mark.parametrize("column", ODD.values(), ids=ODD)
def test_category_of_another_type_is_left_out_if_guessed_and_refused_if_named(load, caplog, column):
    caplog.set_level(logging.INFO, "bisum")
    assert load({"category": column})["category"].to_pylist() == [None, None]
    assert caplog.messages[0].startswith("category is left out: a.parquet, row 1: category is ")
    with pytest.raises(UserError, match=r"^a.parquet, row 1: .*\(corpus.columns.category=null ignores the column\)$"):
        load({"category": column}, category="category")


def test_a_column_of_nan_is_empty(load):
    assert load({"category": pa.array([float("nan")] * 2)})["category"].to_pylist() == [None, None]


def test_repeated_name_is_refused_if_it_is_picked(load):
    table = pa.table(PLAIN)
    with pytest.raises(UserError, match=r"^a.parquet: the schema contains 'title' twice; it must occur once$"):
        load(table.append_column("title", table["title"]))
    assert load(table.append_column("note", table["id"]).append_column("note", table["id"])).num_rows == 2
    inner = pa.StructArray.from_arrays([pa.array(["a", "b"])] * 2, ["body", "body"])
    with pytest.raises(UserError, match=r"^a.parquet: the schema contains 'text.body' twice; it must occur once$"):
        load({"text": inner}, document="text.body")
