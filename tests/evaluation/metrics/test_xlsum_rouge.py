"""ROUGE with XL-Sum's tokens. The golden tokens are pyonmttok 1.38.1's, in the mode that XL-Sum's scorer calls."""

import pytest
from nltk.stem.snowball import SnowballStemmer
from rouge_score.rouge_scorer import RougeScorer

from bisum.evaluation.metrics.xlsum_rouge import XlsumRouge, xlsum_tokens
from bisum.interfaces.progress import no_progress

TOKENS = {
    "abc123 v2 x86_64": ["abc", "123", "v", "2", "x", "86", "64"],
    "5€ 10°c 3½ ²x": ["5", "€", "10", "°", "c", "3½", "²", "x"],
    "Naïve CAFÉ état": ["naïve", "café", "état"],
    "हिन्दी भाषा १२३": ["हिन्दी", "भाषा", "१२३"],
    "a\u200db c\u00adc": ["ab", "cc"],
    "été 한국어 дом2": ["été", "한국어", "дом", "2"],
    "ⅷ x♥y 😀z": ["ⅷ", "x", "♥", "y", "😀", "z"],
    "l'eau, don't: «ya»": ["l", "eau", "don", "t", "ya"],
    "ａｂｃ１２ 中文字abc": ["ａｂｃ", "１２", "中", "文", "字", "abc"],
}


@pytest.mark.parametrize("text", TOKENS)
def test_tokens_without_a_stemmer(text):
    assert xlsum_tokens(text, "sw") == TOKENS[text]


class Tokens:
    """XL-Sum's tokens written a second time, for letters, digits and ASCII punctuation."""

    def __init__(self, name):
        self.stemmer = SnowballStemmer(name)

    def tokenize(self, text):
        kept = "".join(c if c.isalpha() or c.isdigit() else " " for c in text.lower())
        words = "".join(
            f" {c}" if at and c != " " and c.isdigit() != kept[at - 1].isdigit() else c for at, c in enumerate(kept)
        ).split()
        return [self.stemmer.stem(word) if len(word) > 3 else word for word in words]


def test_scores_are_those_of_rouge_score_over_these_tokens(rows_of):
    english = [
        ("Tools for PNG2 images", "A tool for the PNG image"),
        ("libfoo 2.0 development", "Developing with libfoo"),
    ]
    spanish = [("Bibliotecas de niños, 3ª edición", "La biblioteca del niño"), ("está aquí", "esta aqui")]
    rows = rows_of(
        [pair[0] for pair in english + spanish],
        [pair[1] for pair in english + spanish],
        languages=["en", "en", "es", "es"],
    )
    values = XlsumRouge().compute(rows)
    for row, (pair, name) in enumerate(zip(english + spanish, ["english"] * 2 + ["spanish"] * 2, strict=True)):
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Tokens(name))
        expected = scorer.score(pair[1], pair[0])
        assert [values[f"xlsum_{name}"][row] for name in expected] == [score.fmeasure for score in expected.values()]


def test_languages_with_another_segmenter_have_no_value_which_is_reported(rows_of):
    assert XlsumRouge().compute(rows_of(["猫", "a"], languages=["ja", "en"]))["xlsum_rouge1"] == [None, 1]
    (line,) = XlsumRouge().prepare(["en", "zh_CN", "tr"], no_progress)
    assert line.startswith("metric.xlsum_rouge: XL-Sum scores zh_CN, tr with other word segmenters or stemmers")
    assert list(XlsumRouge().prepare(["en", "ar"], no_progress)) == []
