"""JSON lines and JSON with values of mixed types, read or refused with the right row."""

import dataclasses
import json
import logging

import pytest

from bisum.corpus.corpus import drop_blank
from bisum.errors import UserError


@pytest.fixture
def load(defaults, tmp_path, monkeypatch):
    """Load rows from a.jsonl: `load(content, columns={...})`; a list of dictionaries is written as pandas does."""
    monkeypatch.chdir(tmp_path)

    def rows(content, name="a.jsonl", **columns):
        if not isinstance(content, str | bytes):
            content = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        columns = dataclasses.replace(defaults.columns, **columns)
        names = {"path": None, "train": name, "validation": name, "test": name}
        return dataclasses.replace(defaults, columns=columns, **names).load(["en"])["train"]

    return rows


@pytest.fixture
def refused(load):
    def line(*arguments, **columns) -> str:
        with pytest.raises(UserError) as error:
            load(*arguments, **columns)
        assert "\n" not in str(error.value)
        return str(error.value)

    return line


def rows_with(key: str, values: list) -> list[dict]:
    """Return a row for each value of a key."""
    return [{"text": f"Text {n}", "title": f"Title {n}"} | {key: value} for n, value in enumerate(values)]


NAN = float("nan")


@pytest.mark.parametrize("key", ["text", "title"])
def test_nan_is_a_missing_text(load, key):
    for values in ([NAN, "b", "c"], ["a", NAN, "c"], ["a", "b", NAN]):
        rows = load(rows_with(key, values), id=None)
        assert rows.num_rows == 3
        assert drop_blank(rows).num_rows == 2


def test_nan_is_a_missing_category_and_id(load, refused):
    assert load(rows_with("category", ["x", NAN, "y"]))["category"].to_pylist() == ["x", None, "y"]
    assert load(rows_with("category", [NAN, 2]))["category"].to_pylist() == [None, "2"]
    assert refused(rows_with("id", ["x", NAN, "y"])) == "a.jsonl, row 2: missing id; set it on every row or on none"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([2**64 - 1, 2**64 - 2], ["18446744073709551615", "18446744073709551614"]),
        ([1, 2**63, -(2**70)], ["1", "9223372036854775808", "-1180591620717411303424"]),
        ([1, "b", 3], ["1", "b", "3"]),
        (["a", 2**64], ["a", "18446744073709551616"]),
    ],
)
def test_ids_become_text_exactly(load, ids, expected):
    assert load(rows_with("id", ids))["id"].to_pylist() == expected


def test_number_and_its_text_are_the_same_id(refused):
    assert refused(rows_with("id", [1, "1"])).startswith(
        "a.jsonl, row 1 and row 2: both have the id '1'; ids must be unique"
    )


OR_NUMBER = "must be text or a whole number (corpus.columns.id=null numbers the rows instead)"


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("id", [0, 1, 2, 2.5, 3.5], f"row 4: id is 2.5; {OR_NUMBER}"),
        ("id", [0, 1.0, 2.0], f"row 2: id is 1.0; {OR_NUMBER}"),
        ("id", [0.0, 1.0], f"row 1: id is 0.0; {OR_NUMBER}"),
        ("id", ["a", "b", True], f"row 3: id is true; {OR_NUMBER}"),
        ("id", [1, False], f"row 2: id is false; {OR_NUMBER}"),
        ("id", [2**64, 0.5], f"row 2: id is 0.5; {OR_NUMBER}"),
        ("id", ["a", float("inf")], f"row 2: id is inf; {OR_NUMBER}"),
        ("title", [17, "b", "c"], "row 1: title is 17; must be text"),
        ("title", ["a", "b", 0.5], "row 3: title is 0.5; must be text, as in row 1"),
        ("title", [None, "b", float("-inf")], "row 3: title is -inf; must be text, as in row 2"),
        ("title", [["a"], "b", "c"], "row 1: title is ['a']; must be text, or a list in both documents and summaries"),
        ("title", [["a"], ["b"], "c"], "row 3: title is 'c'; must be a list, as in row 1"),
        (
            "title",
            [{"a": "b"}, "c"],
            "row 1: title is {'a': 'b'}; must be text; select a field with a dot, as in",
        ),
    ],
)
def test_value_of_another_type_is_reported_with_its_row(refused, key, values, message):
    assert refused(rows_with(key, values)).startswith(f"a.jsonl, {message}")


@pytest.mark.parametrize("values", [[["a", "b"], ["c"]], [True, False], [0.5, 1.5], [{"a": 1}, {"a": 2}], ["x", 0.5]])
def test_guessed_category_of_another_type_is_left_out(load, refused, caplog, values):
    caplog.set_level(logging.INFO, "bisum")
    assert load(rows_with("category", values))["category"].to_pylist() == [None, None]
    (message,) = (line for line in caplog.messages if line.startswith("category"))
    row = 1 + isinstance(values[0], str)
    assert message.startswith(f"category is left out: a.jsonl, row {row}: category is ")
    assert message.endswith(" (set corpus.columns.category to use another column)")
    line = refused(rows_with("category", values), category="category")
    assert line.startswith(f"a.jsonl, row {row}: category is ")
    assert line.endswith(" (corpus.columns.category=null ignores the column)")


def test_guessed_language_of_another_type_is_left_out(load, caplog):
    caplog.set_level(logging.INFO, "bisum")
    assert load(rows_with("lang", [0.5, 1.5]))["language"].to_pylist() == ["en", "en"]
    assert caplog.messages[0].startswith("language is left out: a.jsonl, row 1: lang is 0.5; must be text")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_and_line_ends_are_read(load, encoding):
    rows = [{"id": name, "text": "El año", "title": "T"} for name in "ab"]
    for end in ("\n", "\r\n", "\r"):
        text = "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)
        for name in ("a.jsonl", "a.json"):
            assert load(text.encode(encoding), name)["document"].to_pylist() == ["El año"] * 2
    assert load(json.dumps(rows).encode(encoding), "a.json")["id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000])
def test_json_beyond_pythons_limits_is_reported_in_one_line(refused, value):
    content = f'{{"text": {value}}}'
    assert refused(content).startswith("a.jsonl, row 1: Python cannot parse this JSON (")
    assert refused(content, "a.json").startswith("a.json: Python cannot parse this JSON (")


def test_key_that_first_occurs_late_is_reported(load, caplog):
    rows = [{"text": f"Text {n}", "title": f"Title {n}"} for n in range(1005)]
    rows[1002]["category"] = "late"
    with caplog.at_level(logging.INFO, "bisum"):
        load(rows)
    assert "a.jsonl: keys that first occur after 1,000 rows are not read: 'category' (row 1,003)" in caplog.messages
