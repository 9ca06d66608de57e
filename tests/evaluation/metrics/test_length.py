import pytest

from bisum.evaluation.metrics.length import Length


def test_lengths_match_hand_counts(rows_of):
    values = Length().compute(
        rows_of(["One, two three", "", "猫在"], ["one two", "a", "小猫在"], languages=["en", "en", "zh"])
    )
    assert values["words"] == [3, 0, 2]
    assert values["length_ratio"] == [3 / 2, 0, pytest.approx(2 / 3)]
    assert values["empty"] == [0, 1, 0]


def test_reference_without_words_has_no_ratio(rows_of):
    assert Length().compute(rows_of(["a"], ["!"]))["length_ratio"] == [None]


def test_only_generated_summaries_have_at_limit(rows_of):
    assert "at_limit" not in Length().compute(rows_of(["a", "b"]))
    assert Length().compute(rows_of(["a", "b"], at_limit=[True, False]))["at_limit"] == [1, 0]
