"""Windows of long documents, measured by plain tokenizer calls."""

import random
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from checkpoints import PROMPTS
from transformers import AutoTokenizer, ByT5Tokenizer, T5Config

from bisum import compose
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.evaluation.sentences import split_sentences
from bisum.evaluation.windows import pack, split_documents
from bisum.interfaces.family import TextReader
from bisum.models.families import T5
from bisum.models.loading import load_reader

LIMIT = 100


@pytest.fixture(scope="module")
def reader(checkpoints):
    """The function that returns the reader of a family's checkpoint."""
    usual = compose([f"model.max_document_tokens={LIMIT}", "model.max_summary_tokens=12"]).model

    def load(family, limit=LIMIT):
        options = replace(usual, checkpoint=str(checkpoints(family)), architecture=None, **PROMPTS.get(family, {}))
        return replace(load_reader(options), max_document_tokens=limit)

    return load


@pytest.fixture(scope="module")
def measure(checkpoints):
    """The function that returns a family's number of tokens of a text, by a plain tokenizer call."""

    def of(family):
        tokenizer = AutoTokenizer.from_pretrained(checkpoints(family))
        prompts = {"t5": "summarize: {}", "gpt2": "{}\nTL;DR:", "chat": "Summarize:\n{}"}

        def length(text):
            if family == "pegasus":
                text = text.replace("\n", "<n>")
            text = prompts.get(family, "{}").replace("{}", text)
            if family == "chat":
                turns = [{"role": "user", "content": text}]
                return len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
            return len(tokenizer(text)["input_ids"])

        return length

    return of


def descriptions(language):
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["validation"]
    return [row["document"] for row in rows.to_pylist() if row["language"] == language]


SENTENCES = [text for document in descriptions("en") for text in split_sentences(document, "en") if len(text) < 100]
"""Sentences that fit a window of every family."""
FAMILIES = ["t5", "mt5", "mbart50", "bart", "pegasus", "gpt2", "chat"]


def solid(text):
    """A text without white space."""
    return "".join(text.split())


def parts_of(document, windows):
    """Check that windows are parts of a document in order, with only white space between; return them."""
    at = 0
    for text in windows.texts:
        start = document.index(text, at)
        assert not document[at:start].strip()
        at = start + len(text)
    assert not document[at:].strip()
    return windows.texts


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_consist_of_whole_sentences_and_fit_with_the_prompt(family, reader, measure):
    document = "\n\n".join(" ".join(SENTENCES[at : at + 3]) for at in range(0, 45, 3))
    (windows,) = split_documents(reader(family), [document], ["en"])
    length = measure(family)
    texts = parts_of(document, windows)
    assert windows.tokens == length(document) > 5 * LIMIT
    assert max(map(length, texts)) <= LIMIT
    assert [part for text in texts for part in split_sentences(text, "en")] == split_sentences(document, "en")


@pytest.mark.parametrize("limit", [60, 150])
@pytest.mark.parametrize("family", ["t5", "mt5"])
def test_number_of_windows_is_the_lowest_possible(family, limit, reader, measure):
    """Windows filled one after the other, by exact lengths, are as few as possible."""
    generator, length = random.Random(1), measure(family)
    documents = [" ".join(generator.sample(SENTENCES, count)) for count in (4, 9, 17, 30)]
    for document, windows in zip(documents, split_documents(reader(family, limit), documents, ["en"] * 4), strict=True):
        filled = [""]
        for sentence in split_sentences(document, "en"):
            longer = f"{filled[-1]} {sentence}".strip()
            filled = [*filled[:-1], longer] if length(longer) <= limit else [*filled, sentence]
        assert len(windows.texts) == len(filled)


@pytest.mark.parametrize("family", ["mt5", "gpt2"])
def test_documents_are_split_alike_alone_and_together(family, reader):
    documents = [" ".join(SENTENCES[at : at + at % 11]) for at in range(12)]
    together = split_documents(reader(family), documents, ["en"] * 12)
    assert together == [split_documents(reader(family), [document], ["en"])[0] for document in documents]
    assert len({len(windows.texts) for windows in together}) > 3


def test_document_within_the_limit_stays_unchanged(reader):
    documents = ["", "  A tool that reads mail.\n", "\n" * 5000, f" \n{SENTENCES[0]} "]
    for family in ("mt5", "gpt2"):
        windows = split_documents(reader(family), documents, ["en"] * 4)
        assert [list(of.texts) for of in windows] == [[document] for document in documents]
    (blank,) = split_documents(reader("bart"), documents[2:3], ["en"])  # BART reads line breaks
    assert solid("".join(blank.texts)) == ""


@pytest.mark.parametrize(("family", "language"), [("mt5", "en"), ("bart", ""), ("gpt2", "xx")])
def test_sentence_longer_than_a_window_is_divided_between_words(family, language, reader, measure):
    words = (" ".join(descriptions("en")).replace(".", "") * 9).split()[:10_000]
    document = f"It begins. {' '.join(words)}"
    (windows,) = split_documents(reader(family, 500), [document], [language])
    assert [word for text in parts_of(document, windows) for word in text.split()] == ["It", "begins.", *words]
    assert len(words) == 10_000
    lengths = list(map(measure(family), windows.texts))
    assert max(lengths) <= 500
    assert min(lengths) > 400


TEXTS = {
    "no spaces": ("en", "abcdefghij" * 400),
    "Chinese": ("zh", "这是一本书。价格是三块五毛吗？太贵了！" * 60),
    "Chinese without ends": ("zh", "这是一本书价格是三块五毛吗太贵了" * 60),
    "Japanese": ("ja", "これは本です。値段は3.5ドルですか？はい！" * 60),
    "Thai": ("th", "นี่คือหนังสือ ราคาเท่าไร แพงมาก " * 60),
    "Arabic": ("ar", "هل هذا كتاب؟ نعم. الكتاب على الطاولة. " * 60),
    "Hindi": ("hi", "मेरा नाम राम है। मैं ठीक हूँ। " * 60),
    "odd characters": ("en", "a\0b \0\0 c.\u200b\ufeff \x1b[2J Next\u2028line. " * 100),
    "marks": ("en", "e\u0301" * 1500),
    "one letter": ("en", "e" + "\u0301" * 1500),
    "emoji": ("", "👩‍👩‍👧‍👦" * 200),
    "white space": ("en", "A word. " + " \n" * 2000 + "Another one. " + "x " * 300),
}


@pytest.mark.parametrize("limit", [100, 20])
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_of_any_text_is_lost(name, limit, reader, measure):
    language, document = TEXTS[name]
    length = measure("bart")  # which reads every byte
    (windows,) = split_documents(reader("bart", limit), [document], [language])
    texts = parts_of(document, windows)
    assert max(map(length, texts)) <= limit
    assert len(texts) < 2 * length(document) / (limit - 2)


def test_letters_keep_their_marks_unless_they_exceed_the_limit(reader):
    (windows,) = split_documents(reader("bart"), [TEXTS["marks"][1]], ["en"])
    assert all(text.startswith("e") and text.endswith("\u0301") for text in windows.texts)


def test_windows_of_a_language_without_spaces_end_with_its_sentences(reader):
    (windows,) = split_documents(reader("bart"), [TEXTS["Chinese"][1]], ["zh"])
    assert {text[-1] for text in windows.texts} <= {"。", "？", "！"}


def test_limit_that_leaves_room_for_a_word(reader, measure):
    document, length = "A tool reads the mail", measure("t5")
    limit = max(length(word) for word in document.split())
    (windows,) = split_documents(reader("t5", limit), [document], ["en"])
    assert max(map(length, windows.texts)) <= limit
    assert solid("".join(windows.texts)) == solid(document)
    assert len(windows.texts) >= 3


def test_limit_without_room_is_refused(reader):
    long_prompt = replace(reader("mt5", 12), prefix="summarize this long text in a few words, please: ")
    with pytest.raises(UserError, match=r"^model\.max_document_tokens: the prompt alone has \d+ tokens; raise the l"):
        split_documents(long_prompt, ["A tool."], ["en"])
    with pytest.raises(UserError, match=r"^model\.max_document_tokens: 8 tokens leave no room for '😀' after a prompt"):
        split_documents(replace(reader("gpt2", 8), suffix=" TL;DR"), ["A tool 😀 that reads."], ["en"])


def test_tokenizer_without_offsets():
    """ByT5 reads bytes, and its tokenizer has no fast version."""
    reader = TextReader(
        tokenizer=ByT5Tokenizer(), family=T5(), config=T5Config(), prefix="sum: ", suffix="", max_document_tokens=64,
        max_summary_tokens=12,
    )  # fmt: skip
    document = "Un programa pequeño. Año tras año lee el correo, y muestra imágenes. " * 8
    (windows,) = split_documents(reader, [document], ["es"])
    sizes = [len(f"sum: {text}".encode()) + 1 for text in parts_of(document, windows)]  # with </s>
    assert max(sizes) <= 64 < len(document)
    assert len(sizes) == 16  # no two sentences fit together


def test_windows_are_balanced():
    assert pack([10] * 10, 40) == [(0, 3), (3, 6), (6, 10)]  # not 40, 40 and 20
    assert pack([30, 25, 10], 60) == [(0, 1), (1, 3)]  # not 55 and 10
    assert pack([20, 70, 5, 5], 60) == [(0, 1), (1, 2), (2, 4)]  # a longer piece is alone
    assert pack([5, 5], 60) == [(0, 2)]
    assert pack([], 60) == []


def test_packing_needs_the_fewest_groups():
    """Compared with all possible divisions."""
    generator = random.Random(7)
    for _ in range(200):
        lengths = [generator.randint(1, 20) for _ in range(generator.randint(1, 8))]
        room, count = generator.randint(20, 40), len(lengths)
        groups = pack(lengths, room)
        assert [at for group in groups for at in range(*group)] == list(range(count))
        assert all(sum(lengths[start:end]) <= room for start, end in groups)
        divisions = (
            [0, *cuts, count]
            for size in range(count)
            for cuts in combinations(range(1, count), size)
            if all(sum(lengths[start:end]) <= room for start, end in pairwise([0, *cuts, count]))
        )
        assert len(groups) == len(next(divisions)) - 1
