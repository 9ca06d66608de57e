"""ROUGE with XL-Sum's tokens, compared with pyonmttok, which XL-Sum's scorer uses."""

import string
import unicodedata

import pyonmttok
import pytest
from langcodes import Language
from nltk.stem.snowball import SnowballStemmer
from rouge_score.rouge_scorer import RougeScorer

from bisum.corpus.sample import Sample
from bisum.evaluation.metrics.xlsum_rouge import XlsumRouge, xlsum_tokens
from bisum.interfaces.progress import no_progress

_AGGRESSIVE = pyonmttok.Tokenizer("aggressive")


def reference_tokens(text):
    """Return tokens by the description of XL-Sum's scorer: no punctuation, pyonmttok, separate Han characters."""
    kept = [
        c for c in text.lower().replace("\ufffd", "") if c in "\t\n\r" or not unicodedata.category(c).startswith("C")
    ]
    words = "".join(
        " " if c in string.punctuation or unicodedata.category(c)[0] in "PZ" or c in "\t\n\r" else c for c in kept
    ).split()
    tokens = _AGGRESSIVE.tokenize(" ".join(words))[0]
    return "".join(f" {c} " if "CJK UNIFIED" in unicodedata.name(c, "") else c for c in " ".join(tokens)).split()


@pytest.mark.parametrize(
    "text",
    [
        "abc123 v2 x86_64",
        "5€ 10°c 3½ ²x",
        "Naïve CAFÉ e\u0301tat",
        "हिन्दी भाषा १२३",
        "a\u200db c\u00adc",
        "été 한국어 дом2",
        "ⅷ x♥y 😀z",
        "l'eau, don't: «ya» $5 a+b",
        "ａｂｃ１２ 中文字abc",
        "ที่นี่ ကျွန်တော်",
    ],
)
def test_tokens_without_a_stemmer_equal_xlsum(text):
    assert xlsum_tokens(text, "sw") == reference_tokens(text)


def test_tokens_of_the_sample_and_many_languages_equal_xlsum():
    splits = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])
    texts = [text for name in ("document", "summary") for text in splits["test"][name].to_pylist()]
    codes = "am ar az bn cy de el en es eu fa fr gd gu ha he hi hy id ig ja ka km ko ky lo ml mr my ne pa ps pt ru"
    names = [" ".join(Language.get(of).display_name(code) for of in codes.split()) for code in codes.split()]
    assert len({*names}) > 25
    for text in texts + names:
        assert xlsum_tokens(text, "sw") == reference_tokens(text)


class Tokens:
    """A tokenizer for rouge_score that stems the reference tokens with Snowball."""

    def __init__(self, name):
        self.stemmer = SnowballStemmer(name)

    def tokenize(self, text):
        return [self.stemmer.stem(word) if len(word) > 3 else word for word in reference_tokens(text)]


def test_scores_equal_rouge_score_over_these_tokens(rows_of):
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


def test_languages_with_another_segmenter_are_reported_and_have_no_value(rows_of):
    assert XlsumRouge().compute(rows_of(["猫", "a"], languages=["ja", "en"]))["xlsum_rouge1"] == [None, 1]
    (line,) = XlsumRouge().prepare(["en", "zh_CN", "tr"], no_progress)
    assert line.startswith("XL-Sum scores zh_CN, tr with other word segmenters or stemmers")
    assert list(XlsumRouge().prepare(["en", "ar"], no_progress)) == []
