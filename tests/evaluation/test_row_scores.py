"""Means, intervals and differences of scores with missing values and of counts; test_rouge.py covers ROUGE."""

import itertools

import numpy as np
import pytest

from bisum.evaluation.row_scores import Column, RowScores, aggregate, difference
from bisum.interfaces.score import Score

NAN = float("nan")
VALUE = Score("a value", higher_is_better=True)
LOWER = Score("a cost", higher_is_better=False)
NEITHER = Score("a length", higher_is_better=None)
RATIO = Score("a ratio", higher_is_better=True, aggregate=lambda counts: counts[..., 0] / counts[..., 1])


def scored(score, values, languages=None):
    ids = tuple(str(row) for row in range(len(values)))
    return RowScores(ids, tuple(languages or ["en"] * len(values)), {"x": Column(score, np.array(values, dtype=float))})


def test_missing_values_do_not_count_as_zero():
    metrics = aggregate(scored(VALUE, [2, NAN, 4, NAN], ["en", "en", "es", "fr"]), "test", 200, 0, ["en", "es", "fr"])
    assert (metrics["test/x"], metrics["test/x_rows"]) == (3, 2)
    assert (metrics["test/en/x"], metrics["test/en/x_rows"]) == (2, 1)
    assert metrics["test/es/x"] == 4
    assert "test/es/x_rows" not in metrics
    assert {name: value for name, value in metrics.items() if name.startswith("test/fr")} == {"test/fr/x_rows": 0}
    apart = difference(scored(VALUE, [2, NAN, 4, 1]), scored(VALUE, [1, 2, NAN, 1]), 100, 0, [])
    assert apart["difference/x_rows"] == 2
    # A resample's mean is 2, 3 or 4, depending on how often it draws the two rows.
    assert (metrics["test/x_low"], metrics["test/x_high"]) == (2, 4)


def test_interval_with_missing_values_matches_all_resamples():
    """4 rows, one without a value: of all 256 resamples, one has no value at all."""
    values = [1.0, 2.0, 4.0, NAN]
    means = [
        np.mean(found)
        for drawn in itertools.product(range(4), repeat=4)
        if (found := [values[row] for row in drawn if row != 3])
    ]
    assert len(means) == 255
    metrics = aggregate(scored(VALUE, values), "test", 20_000, 1, [])
    assert metrics["test/x_low"] == pytest.approx(np.quantile(means, 0.025), abs=0.05)
    assert metrics["test/x_high"] == pytest.approx(np.quantile(means, 0.975), abs=0.05)


def test_counts_are_summed_before_aggregation():
    rows = [[1, 10], [3, 4]]
    metrics = aggregate(scored(RATIO, rows, ["en", "es"]), "test", 500, 0, ["en", "es"])
    assert metrics["test/x"] == pytest.approx(4 / 14)
    assert metrics["test/en/x"] == pytest.approx(1 / 10)
    assert (metrics["test/x_low"], metrics["test/x_high"]) == pytest.approx((1 / 10, 3 / 4))
    apart = difference(scored(RATIO, rows), scored(RATIO, [[1, 10], [1, 4]]), 500, 0, [])
    assert apart["difference/x"] == pytest.approx(4 / 14 - 2 / 14)
    assert (apart["difference/x_low"], apart["difference/x_high"]) == pytest.approx((0, 2 / 4))
    assert apart["difference/x_better"] == pytest.approx(75, abs=6)  # unless the first row is drawn twice


@pytest.mark.parametrize(("score", "better"), [(VALUE, 100), (LOWER, 0), (NEITHER, None)])
def test_better_follows_the_score_direction(score, better):
    apart = difference(scored(score, [3, 4]), scored(score, [1, 2]), 100, 0, [])
    assert (apart["difference/x"], apart.get("difference/x_better")) == (2, better)


def test_difference_covers_rows_where_both_systems_have_a_value():
    ours, theirs = scored(VALUE, [5, NAN, 7, 100]), scored(VALUE, [1, 50, 4, NAN])
    apart = difference(ours, theirs, 300, 0, [])
    assert apart["difference/x"] == 3.5
    assert (apart["difference/x_low"], apart["difference/x_high"]) == (3, 4)
    assert apart["difference/x_better"] == 100


def test_scores_of_only_one_system_are_omitted():
    ours = scored(VALUE, [1, 2])
    theirs = RowScores(ours.ids, ours.languages, {"y": Column(VALUE, np.ones(2))})
    assert difference(ours, theirs, 100, 0, ["en"]) == {}


def test_rounding_errors_of_large_numbers_are_not_differences():
    score = Score("a product", higher_is_better=True, aggregate=lambda c: 1e6 * c[..., 0] * c[..., 1] / c[..., 2] ** 2)
    rows = np.random.default_rng(0).random((50, 3)).tolist()
    apart = difference(scored(score, rows), scored(score, rows), 500, 0, [])
    assert [apart[f"difference/x{end}"] for end in ("", "_low", "_high", "_better")] == [0, 0, 0, 0]


def test_table_contains_the_values_the_metric_returned():
    table = scored(RATIO, [[1, 10], [3, 4]], ["en", "es"]).table("f")
    assert table.to_pydict() == {"id": ["0", "1"], "language": ["en", "es"], "x": [[1, 10], [3, 4]]}
    scale = Score("a share", higher_is_better=True, scale=100)
    assert scored(scale, [0.5, NAN]).table("f")["x"].to_pylist() == [0.5, None]
    assert aggregate(scored(scale, [0.5, NAN]), "test", 100, 0, [])["test/x"] == 50
