import pytest

from bisum.evaluation.sentences import split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Dr. Smith met Mrs. Jones at 3.30 today.", "Was he late?", "No."]),
        ("es", ["El Sr. García llegó a las 3.30.", "¿Qué pasó?", "El Dr. Ruiz no vino."]),
        ("de", ["Das ist z.B. ein Satz.", "Und noch einer."]),
        ("pt_BR", ["O Sr. Silva chegou.", "Foi cedo."]),
        ("tlh", ["An unknown code still works.", "It does."]),
    ],
)
def test_abbreviations_end_no_sentence(language, sentences):
    assert split_sentences(" ".join(sentences), language) == sentences


def test_each_language_has_its_own_abbreviations():
    text = "Vive en la Avda. Reina Sofía."
    assert split_sentences(text, "es") == [text]
    assert split_sentences(text, "en") == ["Vive en la Avda.", "Reina Sofía."]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("ja", ["これは本です。", "値段は3.5ドルですか？", "はい！"]),
        ("zh", ["这是一支笔。", "价格是3.5元吗？", "太贵了！"]),
        ("hi", ["मेरा नाम राम है।", "मैं ठीक हूँ।"]),
    ],
)
def test_scripts_with_end_marks_of_their_own_split_by_rule(language, sentences):
    # Japanese and Chinese put no space between sentences.
    separator = " " if language == "hi" else ""
    assert split_sentences(separator.join(sentences), language) == sentences


def test_sentences_are_stripped_and_never_empty():
    assert split_sentences("  First one.\n\n  Second one.  \n", "en") == ["First one.", "Second one."]
    assert split_sentences("", "en") == split_sentences(" \n\t ", "es") == split_sentences("\u3000", "ja") == []


def test_a_line_break_alone_ends_no_sentence():
    assert split_sentences("one sentence over\ntwo lines. Another.", "en") == [
        "one sentence over\ntwo lines.",
        "Another.",
    ]
