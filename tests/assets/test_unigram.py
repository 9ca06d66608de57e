"""A trained tokenizer cuts text like SentencePiece, with T5's conventions."""

import io
import json
import unicodedata

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from bisum.assets.unigram import train_unigram
from bisum.corpus.sample import Sample

PIECES = 400


@pytest.fixture(scope="module")
def rows():
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    return sample.load(["en", "es"])


@pytest.fixture(scope="module")
def texts(rows):
    return rows["train"]["summary"].to_pylist()[::8]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_unigram(texts, PIECES)


def test_special_tokens_are_t5s(tokenizer):
    assert len(tokenizer) == PIECES
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token) == ("<pad>", "</s>", "<unk>")
    assert tokenizer("").input_ids == [1]
    one, other = tokenizer("año").input_ids, tokenizer("new").input_ids
    assert one[-1] == other[-1] == 1
    assert tokenizer("año", "new").input_ids == one + other


def test_unseen_texts_are_cut_as_by_sentencepiece(tokenizer, texts, rows):
    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(unicodedata.normalize("NFKC", text).split()) for text in texts]),
        model_writer=trained, vocab_size=PIECES, character_coverage=1.0, num_threads=1, minloglevel=2,
        normalization_rule_name="identity", max_sentence_length=100_000, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
    )  # fmt: skip
    sentencepiece = SentencePieceProcessor(model_proto=trained.getvalue())
    unseen = rows["test"]["summary"].to_pylist()
    for text in unseen:
        plain = " ".join(unicodedata.normalize("NFKC", text).split())
        assert tokenizer(text).input_ids == [*sentencepiece.encode(plain), 1]
    assert len(unseen) > 100


def test_seen_texts_survive_a_round_trip(tokenizer, texts):
    ids = tokenizer(texts).input_ids
    assert not any(2 in row for row in ids)
    for text, row in zip(texts, ids, strict=True):
        plain = " ".join(unicodedata.normalize("NFKC", text).split())
        assert tokenizer.decode(row, skip_special_tokens=True) == plain


def test_white_space_and_compatibility_forms_are_normalized(tokenizer):
    # An n with a combining tilde, a no-break space, a line break and a ligature.
    assert tokenizer(" an\u0303o\u00a0nuevo\n \ufb01n ").input_ids == tokenizer("año nuevo fin").input_ids


def test_same_texts_yield_the_same_pieces(tokenizer, texts):
    again = train_unigram(iter(texts), PIECES)
    one, other = (json.loads(trained.backend_tokenizer.to_str()) for trained in (tokenizer, again))
    assert one == other


def test_texts_of_any_length_are_used(texts):
    """By default, SentencePiece leaves out texts longer than 4,192 bytes."""
    long = "zyx " * 5_000
    assert any("zyx" in piece for piece in train_unigram([*texts, long], PIECES).get_vocab())
