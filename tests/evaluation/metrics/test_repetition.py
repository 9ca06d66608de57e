import pytest

from bisum.evaluation.metrics.repetition import Repetition


@pytest.mark.parametrize(
    ("text", "trigrams", "sentences"),
    [
        ("a b c a b c", 1 / 4, 0),  # abc bca cab abc
        ("the the the the the", 2 / 3, 0),
        ("A cat ran. A dog ran. A cat ran.", 1 / 7, 1 / 3),
        ("A cat. a cat! A CAT?", 2 / 4, 2 / 3),  # aca cac aca cac
        ("two words", 0, 0),
        ("", 0, 0),
        ("...", 0, 0),
    ],
)
def test_shares_match_hand_counts(rows_of, text, trigrams, sentences):
    values = Repetition().compute(rows_of([text]))
    assert values["repeated_trigrams"] == [pytest.approx(trigrams)]
    assert values["repeated_sentences"] == [pytest.approx(sentences)]


def test_loop_in_chinese_is_detected(rows_of):
    values = Repetition().compute(rows_of(["猫在睡。猫在睡。猫在睡。"], languages="zh"))
    assert values["repeated_sentences"] == [pytest.approx(2 / 3)]
    assert values["repeated_trigrams"] == [pytest.approx(4 / 7)]
