"""The share of a text's characters that a tokenizer lacks, and the warning about such a text."""

import logging

import pytest

import bisum
from bisum.models.loading import load_reader
from bisum.summarize.unknown_characters import UnknownCharacters


@pytest.fixture(scope="module")
def starter():
    return UnknownCharacters(load_reader(bisum.compose().model))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("¿Qué es X11?", 0),
        ("El nin\u0303o y la cigu\u0308en\u0303a", 0),
        ("ab 日本", 1 / 2),
        ("日日日 a\n", 3 / 4),
        ("עברית", 1),
        ("한국어 텍스트", 1),
        (" \n", 0),
        ("", 0),
    ],
)
def test_share_of_unknown_characters(starter, text, share):
    assert starter.share(text) == share
    assert starter.share(text) == share  # the characters are now in the cache


@pytest.mark.parametrize("kind", ["gpt2", "bart"])
def test_tokenizers_of_bytes_lack_no_character(kind, checkpoints):
    limits = ["model.max_document_tokens=32", "model.max_summary_tokens=8", "model.suffix=:"]
    reader = load_reader(bisum.compose([f"model.checkpoint={checkpoints(kind)}", *limits]).model)
    assert UnknownCharacters(reader).share("日本語 עברית") == 0


def test_text_beyond_the_limit_is_not_judged_unless_it_is_read(caplog):
    # 760 and 1,600 characters
    long = "A library that reads files and writes images. " * 20 + "日本語のテキスト" * 200
    limit = ["hardware=cpu", "model.max_document_tokens=128"]
    bisum.Summarizer(overrides=limit)(long)
    assert not caplog.records
    bisum.Summarizer(overrides=[*limit, "model.long_documents=chunk"])(long)
    assert [record.getMessage()[:41] for record in caplog.records] == ["the tokenizer lacks 68% of the characters"]


def test_a_warning_names_the_first_such_text_only(caplog):
    summarizer = bisum.Summarizer(overrides=["hardware=cpu"])
    with caplog.at_level(logging.WARNING, "bisum"):
        for texts in (["Un programa.", "日本語", "עברית"], ["한국어"]):
            summarizer(texts)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("the tokenizer lacks 100% of the characters of '日本語', so its summary can be wrong")
