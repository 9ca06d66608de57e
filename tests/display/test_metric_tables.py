"""Tables of the chosen metrics, for explicit numbers."""

import io

import pytest

from bisum.display.console import Console
from bisum.display.metric_tables import metric_differences_table, metrics_table, number
from bisum.display.scored_rows import ScoredRows

SHARE = {"description": "a share", "higher_is_better": False, "range": [0, 100], "scale": 100, "unit": "%"}
ARGUMENTS = {"description": "words", "higher_is_better": None, "range": [0, None], "scale": 1, "unit": ""}
GAIN = {"description": "a gain", "higher_is_better": True, "range": [None, None], "scale": 1, "unit": ""}
SCORES = {"empty": SHARE, "words": ARGUMENTS, "gain": GAIN}


def rows(**counts):
    return ScoredRows(counts=counts, profile="rouge", metrics=SCORES)


def shown(tables, width=120):
    console = Console(file=io.StringIO(), width=width, color_system="standard", force_terminal=True)
    console.print(*tables)
    with_style = console.file.getvalue()
    plain = Console(file=io.StringIO(), width=width)
    plain.print(*tables)
    return plain.file.getvalue(), with_style


def with_ends(name, *values):
    return {f"{name}{end}": value for end, value in zip(("", "_low", "_high"), values, strict=True)}


def cells(text, name):
    return next(line for line in text.splitlines() if line.startswith(name)).split()


def test_each_score_has_a_line_with_direction_and_interval():
    metrics = {
        **with_ends("test/empty", 12.34, 10.0, 15.04),
        **with_ends("test/en/empty", 20, 11, 30),
        "test/es/empty": 0.0,
        **with_ends("test/words", 7.126, 6.5, 8),
        "test/rougeL": 3.0,
    }
    text, _ = shown(metrics_table(metrics, "test", rows(en=20, es=30), ("lead-3", {"baseline/words": 51.0})))
    assert cells(text, "empty") == ["empty", "%", "lower", "12.3", "10.0-15.0", "20.0", "11.0-30.0", "0.0", "-"]
    assert cells(text, "words") == ["words", "7.13", "6.50-8.00", "-", "-", "51.00"]
    assert "rougeL" not in text
    assert "rows with a value" not in text
    narrow, _ = shown(metrics_table(metrics, "test", rows(en=20, es=30), ("lead-3", {})), 50)
    assert cells(narrow, "empty") == ["empty", "%", "lower", "12.3", "20.0", "0.0", "-"]


def test_no_table_without_chosen_metrics():
    assert metrics_table({"test/rougeL": 3.0}, "test", rows(en=20)) == []
    assert metric_differences_table({"difference/rougeL": 3.0}, rows(en=20)) == []


def test_rows_with_a_value_are_counted_and_small_counts_are_marked():
    metrics = {
        **with_ends("test/gain", 4, 4, 4), "test/gain_rows": 1,
        **with_ends("test/en/gain", 4, 4, 4), "test/en/gain_rows": 1, "test/es/gain_rows": 0,
    }  # fmt: skip
    text, _ = shown(metrics_table(metrics, "test", rows(en=150, es=150)))
    assert cells(text, "gain") == ["gain", "higher", "4.00", "4.00-4.00*", "4.00", "4.00-4.00*", "-"]
    assert "rows with a value (of 300): gain 1 (en 1, es 0)" in text
    assert "* fewer than 10 rows" in text


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("gain", (2, 1, 3), ["better"]),
        ("gain", (-2, -3, -1), ["worse"]),
        ("gain", (1, 0, 3), ["not", "distinguishable"]),
        ("empty", (2, 1, 3), ["worse"]),
        ("empty", (-2, -3, -1), ["better"]),
        ("words", (2, 1, 3), ["higher"]),
        ("words", (-2, -3, -1), ["lower"]),
        ("gain", (float("nan"), float("nan"), float("nan")), []),
        ("gain", (2, None, 3), []),
    ],
)
def test_verdict_follows_the_direction(name, values, verdict):
    found = {key: value for key, value in with_ends(f"difference/{name}", *values).items() if value is not None}
    text, _ = shown(metric_differences_table(found, rows(en=20)), 40)
    start = {"gain": 3, "empty": 4, "words": 2}[name]
    assert cells(text, name)[start:] == verdict


def test_one_row_with_a_value_has_no_verdict():
    found = {**with_ends("difference/gain", 4, 4, 4), "difference/gain_rows": 1}
    text, _ = shown(metric_differences_table(found, rows(en=300)))
    assert cells(text, "gain") == ["gain", "higher", "+4.00", "4.00", "to", "4.00*"]
    assert "rows with a value (of 300): gain 1" in text


@pytest.mark.parametrize(
    ("value", "score", "expected"),
    [
        (None, GAIN, "-"),
        (1.005e30, GAIN, "1.005e+30"),
        (-0.0, GAIN, "0.00"),
        (99.96, SHARE, "100.0"),
        (7, ARGUMENTS, "7.00"),
    ],
)
def test_decimals_follow_the_scale_of_the_score(value, score, expected):
    assert number(value, score) == expected
