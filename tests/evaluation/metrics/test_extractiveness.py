import random

import pytest

from bisum.evaluation.metrics.extractiveness import Extractiveness, fragments


def by_figure_3(document, summary):
    """The algorithm of Grusky et al. 2018, figure 3, word for word."""
    found, i, j = [], 0, 0
    while i < len(summary):
        f = []
        while j < len(document):
            if summary[i] == document[j]:
                i2, j2 = i, j
                while i2 < len(summary) and j2 < len(document) and summary[i2] == document[j2]:
                    i2, j2 = i2 + 1, j2 + 1
                if len(f) < i2 - i:
                    f = summary[i:i2]
                j = j2
            else:
                j += 1
        i, j = i + max(len(f), 1), 0
        if f:
            found.append(f)
    return found


def test_fragments_equal_the_paper():
    generator = random.Random(0)
    for _ in range(2000):
        document = generator.choices("abcd", k=generator.randrange(12))
        summary = generator.choices("abcde", k=generator.randrange(8))
        assert list(fragments(document, summary)) == list(map(len, by_figure_3(document, summary)))


def test_values_match_hand_counts(rows_of):
    """The document has 10 words; "a red cat" and "the dog" are copied, "saw" is new."""
    document = "There was a red cat. It ran from the dog."
    values = Extractiveness().compute(rows_of(["A red cat saw the dog"], ["-"], [document]))
    assert values["coverage"] == [pytest.approx(5 / 6)]
    assert values["density"] == [pytest.approx((3**2 + 2**2) / 6)]
    assert values["compression"] == [pytest.approx(10 / 6)]
    assert values["new_1grams"] == [pytest.approx(1 / 6)]
    assert values["new_2grams"] == [pytest.approx(2 / 5)]
    assert values["new_3grams"] == [pytest.approx(3 / 4)]
    assert values["new_4grams"] == [1]


def test_new_ngrams_are_counted_once(rows_of):
    values = Extractiveness().compute(rows_of(["b b b a"], ["-"], ["a"]))
    assert values["new_1grams"] == [1 / 2]


def test_words_are_folded_but_not_stemmed(rows_of):
    values = Extractiveness().compute(rows_of(["GATOS, ¡sí!"], ["-"], ["gatos gato si"], "es"))
    assert values["coverage"] == [1 / 2]


def test_chinese_is_compared_by_characters(rows_of):
    values = Extractiveness().compute(rows_of(["猫在睡"], ["-"], ["小猫在屋顶睡觉"], "zh"))
    assert (values["coverage"], values["density"]) == ([1], [pytest.approx((2**2 + 1) / 3)])


def test_summary_without_words_has_no_values(rows_of):
    values = Extractiveness().compute(rows_of(["", "!?", "cat"], ["-"] * 3, ["a cat"] * 3))
    assert [value is None for value in values["coverage"]] == [True, True, False]
    assert values["new_2grams"] == [None] * 3


def test_fully_copied_document_is_one_fragment(debian, rows_of):
    values = Extractiveness().compute(rows_of(debian.documents, debian.references, debian.documents, debian.languages))
    assert set(values["coverage"]) == set(values["compression"]) == {1.0}
    assert set(values["new_4grams"]) == {0.0}
