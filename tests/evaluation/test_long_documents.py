"""Summaries of long documents, compared with summaries of their windows one by one."""

import logging
from itertools import pairwise

import pytest

from bisum import Summarizer
from bisum.evaluation.windows import split_documents

LIMIT = 52
ARGUMENTS = [f"model.max_document_tokens={LIMIT}", "model.max_summary_tokens=12", "hardware=cpu"]
CHUNK, JOIN = "model.long_documents=chunk", "model.chunk_summaries=join"
SENTENCES = [
    "This library reads and writes files in many formats, which other programs of the suite need for their data.",
    "A small tool shows the pictures of a folder side by side, and lets you choose the ones that you want to keep.",
    "The package contains the documentation of the game, its levels for one player and the music of the first release.",
]
"""Each fits a window, and no two do."""
DOCUMENT = "  ".join(SENTENCES)


@pytest.fixture(scope="module")
def load(checkpoints):
    """The function that returns a summarizer with a family's checkpoint, cutting long documents by default."""
    return lambda *overrides, family="mt5": Summarizer(checkpoints(family), [*ARGUMENTS, *overrides])


@pytest.fixture(scope="module")
def truncating(load):
    return load()


@pytest.fixture(scope="module")
def chunking(load):
    return load(CHUNK)


def test_every_sentence_of_the_document_is_a_window(truncating):
    lengths = [len(truncating.loaded.tokenizer(text)["input_ids"]) for text in SENTENCES]
    assert max(lengths) <= LIMIT
    assert all(first + second - 1 > LIMIT for first, second in pairwise(lengths))  # one </s> for both


def test_summary_is_that_of_the_summaries_of_the_windows(truncating, chunking):
    parts = truncating(SENTENCES)
    assert len(set(parts)) == 3
    expected = truncating(" ".join(parts))
    assert chunking(DOCUMENT, "en") == expected
    assert expected != truncating(DOCUMENT)


def test_joined_summaries_are_those_of_the_windows(load, truncating):
    assert load(CHUNK, JOIN)(DOCUMENT, "en") == " ".join(truncating(SENTENCES))


def test_short_documents_have_the_same_summaries_as_without_windows(truncating, chunking):
    texts = [*SENTENCES, "", "A tool.", " \n"]
    assert chunking(texts) == truncating(texts)
    assert chunking([DOCUMENT, *texts, DOCUMENT]) == [chunking(DOCUMENT), *truncating(texts), chunking(DOCUMENT)]
    assert chunking([]) == []


def test_stream_has_the_same_summaries_in_order(chunking):
    documents = [DOCUMENT, SENTENCES[0], f"{DOCUMENT} {DOCUMENT}", "", SENTENCES[1]] * 3
    assert list(chunking.stream(documents)) == list(zip(documents, chunking(documents), strict=True))


def test_rounds_repeat_until_the_text_fits_one_window(truncating, chunking):
    document = " ".join(f"{number}. {sentence}" for number in range(8) for sentence in SENTENCES)
    text, rounds = document, 0
    while len(windows := split_documents(truncating.loaded, [text], ["en"])[0].texts) > 1:
        text, rounds = " ".join(truncating(list(windows))), rounds + 1
    assert rounds >= 2
    assert chunking(document, "en") == truncating(text)


@pytest.mark.parametrize("family", ["mbart50", "gpt2", "chat", "pegasus"])
def test_every_family_summarizes_windows(family, load):
    prompt = {"gpt2": ["model.suffix='\nTL;DR:'"], "chat": ["model.prefix='Summarize: '"]}.get(family, [])
    own = [*prompt, "model.max_document_tokens=80"]
    truncating, joining = load(*own, family=family), load(*own, CHUNK, JOIN, family=family)
    (windows,) = split_documents(truncating.loaded, [DOCUMENT], ["en"])
    assert len(windows.texts) > 1
    expected = " ".join(filter(None, truncating(list(windows.texts), "en")))
    assert joining(DOCUMENT, "en") == expected


def test_summaries_are_joined_without_a_space_where_the_language_has_none(load):
    document = "这是一本书，它的内容很多。价格是三块五毛吗？太贵了！我们不要买。" * 4
    truncating, joining = (load(*own, family="bart") for own in ([], [CHUNK, JOIN]))
    (windows,) = split_documents(truncating.loaded, [document], ["zh"])
    parts = truncating(list(windows.texts))
    assert len(parts) > 2
    assert all(parts)
    assert joining(document, "zh") == "".join(parts)
    assert joining(document, "en") == " ".join(split_and_summarized(truncating, document, "en"))


def split_and_summarized(truncating, document, language):
    return truncating(list(split_documents(truncating.loaded, [document], [language])[0].texts))


def own_messages(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("bisum.")]


def test_text_that_does_not_get_shorter_is_cut_and_reported_once(load, caplog):
    """Every summary has as many tokens as a window."""
    own = [f"model.max_summary_tokens={LIMIT}", f"generation.min_tokens={LIMIT - 1}"]
    truncating, chunking = load(*own), load(*own, CHUNK)
    with caplog.at_level(logging.WARNING, logger="bisum"):
        found = chunking([DOCUMENT, f"A. {DOCUMENT}"], "en")
        assert chunking(DOCUMENT, "en") == found[0]
    assert found[0] == truncating(" ".join(truncating(SENTENCES)))
    (message,) = own_messages(caplog)
    assert message.startswith("model.long_documents: the summaries of a document's windows are as long as the windows")
    assert f"cut at {LIMIT} tokens" in message


def test_cut_documents_are_noted_once(truncating, load, caplog):
    summarizer = load()
    with caplog.at_level(logging.INFO, logger="bisum"):
        summarizer(SENTENCES)
        assert not own_messages(caplog)
        summarizer([DOCUMENT])
        summarizer([DOCUMENT])
        load(CHUNK)(DOCUMENT)
    assert own_messages(caplog) == [
        f"long documents are cut at {LIMIT} tokens; model.long_documents=chunk reads all of them"
    ]
