"""Filters that drop far more rows of one language than of another, with explicit counts."""

import pytest

from bisum.corpus.corpus import CorpusReport, RowCounts
from bisum.corpus.filter_shares import uneven_filters


def report(step="long_titles", **languages):
    """A report of one split and one step, from (loaded, dropped) by language."""
    counts = {
        language: RowCounts(loaded=loaded, dropped={"empty": 0} | {step: dropped}, kept=loaded - dropped)
        for language, (loaded, dropped) in languages.items()
    }
    return CorpusReport(splits={"train": counts})


def test_filter_that_drops_titles_of_one_language_is_reported():
    lines = list(uneven_filters(report(de=(500, 40), es=(500, 0), en=(500, 5))))
    assert lines == ["filter.long_titles drops 8% of the rows in de, but 0% of those in es"]


@pytest.mark.parametrize(
    "counts",
    [
        {"en": (1632, 17), "es": (1632, 6)},  # 1% and 0.4%: close
        {"de": (12, 1), "es": (12, 0)},  # 8% and 0% of twelve rows: chance
        {"de": (500, 200), "es": (500, 160)},  # 40% and 32%: less than a factor of 2
        {"de": (500, 40)},
        {"de": (500, 40), "es": (0, 0)},
        {"de": (1, 1), "es": (500, 0)},  # a single row
    ],
)
def test_small_differences_are_not_reported(counts):
    assert list(uneven_filters(report(**counts))) == []


def test_sampling_is_not_reported():
    assert list(uneven_filters(report("sample", de=(500, 400), es=(500, 0)))) == []


def test_shares_refer_to_the_rows_left_by_earlier_filters():
    counts = {
        "de": RowCounts(loaded=1000, dropped={"empty": 0, "books": 500, "long_titles": 50}, kept=450),
        "es": RowCounts(loaded=1000, dropped={"empty": 0, "books": 500, "long_titles": 0}, kept=500),
    }
    assert list(uneven_filters(CorpusReport(splits={"train": counts}))) == [
        "filter.long_titles drops 10% of the rows in de, but 0% of those in es"
    ]


def test_splits_are_counted_together():
    counts = report(de=(36, 3), es=(36, 0)).splits["train"]  # 8% and 0%, but too few rows in a single split
    assert list(uneven_filters(CorpusReport(splits={"train": counts}))) == []
    lines = list(uneven_filters(CorpusReport(splits={"train": counts, "validation": counts, "test": counts})))
    assert lines == ["filter.long_titles drops 8% of the rows in de, but 0% of those in es"]


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"es": (0, 0), "de": (500, 40), "fr": (500, 0)}, "8% of the rows in de, but 0% of those in fr"),
        ({"de": (1, 1), "es": (500, 250), "fr": (500, 100)}, "50% of the rows in es, but 20% of those in fr"),
        ({"de": (500, 40), "es": (500, 150), "fr": (500, 0)}, "30% of the rows in es, but 0% of those in fr"),
    ],
)
def test_third_language_does_not_hide_a_pair(counts, line):
    assert list(uneven_filters(report(**counts))) == [f"filter.long_titles drops {line}"]


def test_blank_texts_are_reported_separately():
    counts = report("empty", de=(500, 40), es=(500, 0))
    assert list(uneven_filters(counts)) == ["blank or missing texts drop 8% of the rows in de, but 0% of those in es"]
