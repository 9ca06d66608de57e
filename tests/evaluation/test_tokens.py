"""Tokens of the profile `unicode`, written by hand from the rules of each language."""

import pytest
from nltk.stem.snowball import SnowballStemmer

from bisum.evaluation.rouge import score_rows
from bisum.evaluation.tokens import unicode_tokens


@pytest.mark.parametrize(
    ("text", "language", "tokens"),
    [
        ("GPT-4は2024年のモデル", "ja", ["gpt", "4", "は", "2024", "年", "の", "モ", "デ", "ル"]),
        ("か\u3099く", "ja", ["が", "く"]),  # a combining voiced mark
        ("iPhone15很贵❤\ufe0f", "zh", ["iphone15", "很", "贵"]),
        ("नमस्ते, दुनिया!", "hi", ["नमस्ते", "दुनिया"]),  # vowel signs stay in the word
        ("می\u200cخواهم", "fa", ["می\u200cخواهم"]),  # join controls too
        ("کتاب\u200c.", "fa", ["کتاب"]),  # but not at its end
        ("cafe\u0301 CAFÉ", "tlh", ["café", "café"]),  # decomposed equals composed
        ("STRASSE Straße", "de", ["strass", "strass"]),
        ("Haupt\u00adstadt", "tlh", ["hauptstadt"]),  # a soft hyphen
        ("❤\ufe0f -- ¡!", "es", []),
    ],
)
def test_unicode_tokens_match_expected_ones(text, language, tokens):
    assert unicode_tokens(text, language) == tokens


@pytest.mark.parametrize(
    ("language", "variants"),
    [
        # Turkish and Azerbaijani: I is the capital of ı, İ that of i.
        ("tr", ["İSTANBUL ISPARTA", "istanbul ısparta", "I\u0307stanbul Isparta"]),
        ("tur_Latn", ["DİYARBAKIR", "Diyarbakır"]),
        ("az", ["QIZ", "qız"]),
        ("az-Latn-AZ", ["İŞIQ", "işıq"]),
        # Greek: a final sigma, and capitals without accents.
        ("el", ["ΑΘΗΝΑ", "Αθήνα"]),
        ("el", ["ΟΔΟΣ", "οδός", "Οδός"]),
        ("ell", ["ΑΫΠΝΙΑ", "αϋπνία"]),
        # Widths: NFKC.
        ("ja", ["１２３ＡＢＣ", "123abc"]),
        ("ja", ["ｶﾞｷﾞ", "ガギ"]),
        ("ko", ["ﾡ", "ㄱ"]),
        # Thai and Lao vowels, decomposed, with the tone mark in either order.
        ("th", ["ทํา", "ทำ"]),
        ("th", ["น้ำ", "นํ้า", "น้ํา"]),
        ("lo", ["ນ້ຳ", "ນໍ້າ"]),
        # Ligatures, superscripts and presentation forms are compatibility variants, too.
        ("en", ["ﬁne m² ①", "fine m2 1"]),
        ("ar", ["ﻛﺘﺎﺏ", "كتاب"]),
    ],
)
def test_variants_of_a_text_have_the_same_tokens(language, variants):
    first, *others = (unicode_tokens(variant, language) for variant in variants)
    assert first
    assert others == [first] * len(others)


@pytest.mark.parametrize(
    ("language", "different"),
    [
        ("tr", ["ISPARTA", "isparta"]),
        ("tr", ["kısa", "kisa"]),
        ("en", ["año", "ano"]),
        ("el", ["αυπνια", "αϋπνία"]),  # the diaeresis stays
        ("ja", ["か", "が"]),
    ],
)
def test_distinct_words_stay_distinct(language, different):
    one, other = (unicode_tokens(text, language) for text in different)
    assert one != other


def test_other_languages_use_default_case_folding():
    assert unicode_tokens("ISPARTA", "en") == unicode_tokens("isparta", "en")
    assert unicode_tokens("ИНИЦИАЛЫ", "az-Cyrl") == unicode_tokens("инициалы", "az-Cyrl")


@pytest.mark.parametrize(
    ("language", "name", "words"),
    [
        ("ar", "arabic", ["اقتصادها", "طائرةوا", "المكتبات", "يكتبون", "والكتاب", "بالمدارس", "كتبها", "سيكتب"]),
        ("fi", "finnish", ["talossa", "kirjastoissa", "lukemaan", "vanhempien"]),
        ("ru", "russian", ["библиотеками", "читающий", "писала"]),
    ],
)
def test_stem_depends_only_on_the_word(language, name, words):
    fresh = {word: SnowballStemmer(name).stem(word) for word in words}
    for order in (words, words[::-1], words[1:] + words[:1]):
        assert {word: unicode_tokens(word, language)[0] for word in order} == fresh


@pytest.mark.parametrize(
    ("prediction", "reference", "language"),
    [("İSTANBUL ISPARTA", "istanbul ısparta", "tr"), ("QIZ", "qız", "az"), ("ΑΘΗΝΑ", "Αθήνα", "el")],
)
def test_capitals_match_lower_case(prediction, reference, language):
    assert score_rows([prediction], [reference], [language])[0, 1, 0, 2] == 1.0


@pytest.mark.parametrize("code", ["zho", "cmn", "yue", "zh_Hans", "chi", "Chinese", "chinese_simplified", "zho_Hant"])
def test_every_code_for_chinese_scores_like_zh(code):
    pair = ["猫在屋顶上睡觉。"], ["猫在房顶上睡觉。"]
    scores, expected = (score_rows(*pair, [language]) for language in (code, "zh"))
    assert (scores == expected).all()
    assert expected[0, 1, 0, 2] == pytest.approx(6 / 7)  # six of seven characters
